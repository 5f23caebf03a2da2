/* Where a run is, in numbers that several views show. */
#ifndef TP_MONITOR_FACTS_H
#define TP_MONITOR_FACTS_H

#include "monitor/view.h"

struct facts {
    int epoch, minibatch, minibatches; /* the last stage's; of its phase */
    enum phase phase;
    double share;        /* of the run that is done, by time */
    double rate;         /* plan_rate_unit, in training, over the last seconds; 0: not known */
    double seconds_left; /* < 0: not known */
    double elapsed;      /* seconds since the run began */
    int updates;         /* of the last stage, since the run began */
    double loss;         /* mean of the last mini-batches; < 0: none yet */
};

struct facts facts_of(const struct moment *moment);

/* The run's state in a word or two, and its colour. */
enum colour facts_state(const struct moment *moment, char text[32]);

/* Nothing goes on: no stage computes, and some are held, or all are done. */
bool facts_stand(const struct moment *moment);

/* The run stands until somebody lets it go on. */
bool facts_paused(const struct moment *moment);

/* Why the run ended, if it did not end well; else "". */
const char *facts_outcome(const struct moment *moment);

/* How many times as long as they compute ops take here, as far as all ops so far tell: where stages share cores, and in slow
 * motion. 1 or more. */
double facts_stretch(const struct snapshot *snapshot);

#endif
