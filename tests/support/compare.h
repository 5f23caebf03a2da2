/* The one way that tests compare tensors of floats: the tolerance is scaled by magnitude, NaN and infinity fail
 * whatever is expected, and a failure names the first bad index. */
#ifndef TP_TESTS_COMPARE_H
#define TP_TESTS_COMPARE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

enum { COMPARE_MESSAGE_MAX = 256 };

/* True if every |actual - expected| is at most tolerance * (|expected| + magnitude); else `message` says where not,
 * with `what` in front. `magnitude` is what the terms that were summed may measure: rounding errors are relative to
 * them, not to what is left of them. */
bool compare_close(const char *what, const float *actual, const double *expected, size_t count, double tolerance,
                   double magnitude, char message[COMPARE_MESSAGE_MAX]);

/* True if all are the same bits; NaN is not even equal to itself. */
bool compare_same(const char *what, const float *actual, const float *expected, size_t count,
                  char message[COMPARE_MESSAGE_MAX]);

/* Root mean square: a tensor's own magnitude. */
double compare_magnitude(const double *values, size_t count);

#define ck_assert_close(what, actual, expected, count, tolerance, magnitude)                                           \
    do {                                                                                                               \
        char message_[COMPARE_MESSAGE_MAX];                                                                            \
        if (!compare_close(what, actual, expected, count, tolerance, magnitude, message_))                             \
            ck_abort_msg("%s", message_);                                                                              \
    } while (0)

#define ck_assert_same(what, actual, expected, count)                                                                  \
    do {                                                                                                               \
        char message_[COMPARE_MESSAGE_MAX];                                                                            \
        if (!compare_same(what, actual, expected, count, message_))                                                    \
            ck_abort_msg("%s", message_);                                                                              \
    } while (0)

#endif
