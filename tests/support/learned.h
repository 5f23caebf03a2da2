/* What runs have learned, as their checkpoints have it, however the network was cut into parts. */
#ifndef TP_TESTS_LEARNED_H
#define TP_TESTS_LEARNED_H

#include "tests/support/program.h"

/* Fails the test unless the checkpoints of an epoch of two runs, by their names, have the same tensors to the bit. Each has
 * a file for each part. */
void learned_assert_same(const struct program *program, int epoch, const char *one, int parts_of_one, const char *other,
                         int parts_of_other);

#endif
