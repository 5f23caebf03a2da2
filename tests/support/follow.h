/* Runs a pipeline and an oracle side by side. */
#ifndef TP_TESTS_FOLLOW_H
#define TP_TESTS_FOLLOW_H

#include "tests/support/pipeline.h"
#include "tests/support/settings.h"

/* How many passes of micro-batches had forward and backward read different versions; and how many forwards, backwards and
 * updates of a stage the method made other than they would have been without it. */
struct followed {
    int differences, forwards, backwards, updates;
};

/* Trains; then the oracle trains at the weight versions that the stages recorded. Every mini-batch's loss, every epoch's
 * test loss and top-1, and the final weights must agree, or the test fails. */
struct followed follow_oracle(struct settings *settings);

/* Mean loss of training mini-batch i as stage W recorded it. */
double follow_loss(const struct pipeline *pipeline, int minibatch);

#endif
