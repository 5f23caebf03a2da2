/* What a part reads of the data set: part 1 the inputs, part C the targets, both in the order that the seed gives. A
 * thread gathers the inputs ahead (stages/loader.h); targets take no time worth one. */
#ifndef TP_STAGES_BATCHES_H
#define TP_STAGES_BATCHES_H

#include <stdint.h>

#include "base/error.h"
#include "board/segment.h"
#include "plan/plan.h"

struct batches; /* opaque */

/* Of the segment's data set; `part` is the part's number. Its stage's doorbell rings when inputs are there. */
int batches_create(struct batches **out, const struct segment *segment, int part, struct error *error);
void batches_destroy(struct batches *batches);

/* Training visits the samples in the epoch's order, evaluation in the file's. The first `skipped` mini-batches are left
 * out: those that follow count from 1, and inputs are loaded for `first`..`last` of them. */
void batches_begin(struct batches *batches, enum phase phase, int epoch, int skipped, int first, int last);

/* Rows of mini-batch i (1..) of the phase. */
int batches_rows(const struct batches *batches, int minibatch);

/* Part 1: micro-batches whose inputs are there, counted from mini-batch 1 on. */
int batches_loaded(const struct batches *batches);

/* Writes micro-batch j's images, or its tokens, which are as large, to its rows of `input`, which begins with the
 * rows of micro-batch `first`. They must be there. */
int batches_inputs(struct batches *batches, int minibatch, int first, int j, float *input, struct error *error);

/* Writes the mini-batch's targets to targets [rows][targets per sample]. -1 if a mapped file has changed so that one
 * is not below model.classes. */
int batches_targets(struct batches *batches, int minibatch, int32_t *targets, struct error *error);

#endif
