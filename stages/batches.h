/* What a part reads of the data set: part 1 the inputs, part C the targets, both in the order that the seed gives. A
 * thread gathers the inputs ahead (stages/loader.h); targets take no time worth one. */
#ifndef TP_STAGES_BATCHES_H
#define TP_STAGES_BATCHES_H

#include <stdint.h>

#include "base/error.h"
#include "board/segment.h"
#include "plan/plan.h"

struct batches; /* opaque */

/* Of the segment's data set; `part` is the part's number. Part 1's inputs go to inputs
 * [plan_input_slots(plan)][slot_floats], on the host, and its stage's doorbell rings when some are there. */
int batches_create(struct batches **out, const struct segment *segment, int part, float *inputs, size_t slot_floats,
                   struct error *error);
void batches_destroy(struct batches *batches);

/* Training visits the samples in the epoch's order, evaluation in the file's. The first `skipped` mini-batches are left
 * out: those that follow count from 1, and inputs are loaded for `first`..`last` of them. Slot n
 * of the phase (0..) lies at place (slots_before + n) modulo plan_input_slots(plan). */
void batches_begin(struct batches *batches, enum phase phase, int epoch, int skipped, int first, int last,
                   uint64_t slots_before);

/* Rows of mini-batch i (1..) of the phase. */
int batches_rows(const struct batches *batches, int minibatch);

/* Part 1: micro-batches whose inputs are there, counted from mini-batch 1 on. */
int batches_loaded(const struct batches *batches);

/* Part 1: 0 where micro-batch j's inputs are there; -1 if they could not be loaded. */
int batches_take(struct batches *batches, int minibatch, int j, struct error *error);

/* Part 1: the forward of the mini-batch's last slot begins, so that what is read of inputs lies no further back than
 * there are activation sets. */
void batches_release(struct batches *batches, int minibatch);

/* Writes the mini-batch's targets to targets [rows][targets per sample]. -1 if a mapped file has changed so that one
 * is not below model.classes. */
int batches_targets(struct batches *batches, int minibatch, int32_t *targets, struct error *error);

#endif
