/* What the fuzz targets share. A target is one reader of data from outside: LLVMFuzzerTestOneInput feeds it a damaged
 * input and then uses what the reader let pass, as the programs do. libFuzzer drives it (make fuzz); tests/fuzz/replay.c
 * runs the seeds through it in make test. */
#ifndef TP_TESTS_FUZZ_H
#define TP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "data/data.h"
#include "monitor/view.h"
#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_PATH_MAX = 32 };

/* A file in memory with these bytes, for readers that take a path. The caller closes the descriptor. */
int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_MAX]);

/* Gives the input to a reader of sealed texts (checkpoint/seal.h): as it is, and with the right checksum behind it. */
void fuzz_sealed(const uint8_t *data, size_t size, void (*check)(const char *text, size_t size));

/* Reads every byte, so that a sanitizer sees those that cannot be read. */
void fuzz_touch(const void *bytes, size_t size);

/* Gathers every sample of an open set of tokens. Each is whole, below `classes`, and goes on where the one before it in its
 * half ended. */
void fuzz_gather(const struct dataset *dataset, int classes);

/* The plan of a small run in three stages, two of them on a GPU. */
void fuzz_plan(struct plan *plan);

/* The k-th op of each of its stages, as if they ran one after the other. */
struct op_record fuzz_op(const struct plan *plan, uint64_t start_ns, int k);

/* Draws every view of a moment, as tpmon does. */
void fuzz_draw(const struct moment *moment);

#endif
