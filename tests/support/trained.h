/* What settings train a pipeline of threads to. */
#ifndef TP_TESTS_TRAINED_H
#define TP_TESTS_TRAINED_H

#include <stddef.h>

#include "tests/support/settings.h"

/* The final weights, [*count]; the caller frees. */
float *trained_weights(struct settings *settings, size_t *count);

/* Fails the test unless both train to the same weights: bit for bit if the tolerance is 0, else their difference's norm is at
 * most so much of the weights'. */
void trained_assert_same(struct settings *one, struct settings *other, double tolerance, const char *what);

#endif
