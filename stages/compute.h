/* A part's layers on its backend: forward of one micro-batch, backward of one or several, in memory that the layout
 * describes. Knows weights and tensors by address; nothing of versions, links or order. */
#ifndef TP_STAGES_COMPUTE_H
#define TP_STAGES_COMPUTE_H

#include "base/error.h"
#include "kernels/backend.h"
#include "plan/layout.h"
#include "plan/plan.h"

struct compute; /* opaque */

/* Builds the part's network and prepares its kernels for every row count of the plan. The backend is the plan's; its
 * engine and its device outlive it. */
int compute_create(struct compute **out, const struct backend *backend, struct engine *engine, struct device *device,
                   const struct plan *plan, int part, struct error *error);
void compute_destroy(struct compute *compute);

/* Bytes of the device's memory that one pass needs and nothing keeps; and that memory, 64-byte aligned, for all passes to
 * come. Parts whose passes take turns may share it. */
size_t compute_scratch_bytes(const struct compute *compute);
void compute_use_scratch(struct compute *compute, void *scratch);

const struct network *compute_network(const struct compute *compute);
const struct backend *compute_backend(const struct compute *compute);
struct engine *compute_engine(const struct compute *compute);
const struct stage_layout *compute_layout(const struct compute *compute);
const struct layout_options *compute_layout_options(const struct compute *compute);

/* The tensors of one slot: a mini-batch, or one of its micro-batches. Each begins with the row of the slot's first
 * micro-batch. */
struct slot_tensors {
    int minibatch;          /* since the run began, 1..; evaluation may say anything */
    int rows;               /* of the whole mini-batch */
    int first_microbatch;   /* of the slot, 1..N */
    const float *input;     /* images or the link's slot */
    float *output;          /* the next part's slot; unused at part C */
    float *set;             /* activation set */
    float *output_gradient; /* the slot it arrived in; unused at part C */
    float *input_gradient;  /* the slot of the part before; NULL at part 1 */
};

/* Forward of micro-batch j (1..N). `state` may be NULL in training (recomputation leaves the running statistics). */
int compute_forward(struct compute *compute, const struct slot_tensors *tensors, int j, bool training,
                    const float *weights, float *state, struct error *error);

/* The same again for micro-batches first..first+count-1 with other weights, its output kept from the link. */
int compute_recompute(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                      const float *weights, struct error *error);

/* Stage W: adds the loss of the micro-batches' logits to *result (which lies where a backend wants it), and with `differentiate` puts its gradient, divided
 * by the mini-batch's rows, where the backward starts. targets [tensors->rows][targets per sample]. */
int compute_loss(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                 const int32_t *targets, bool differentiate, struct loss_result *result, struct error *error);

/* The first of the part's layers whose output, in the forward of these micro-batches or its repetition, holds a number
 * that is not finite; whose weights do; whose running statistics do. NULL: none. And whether
 * the first layer's input in that forward is finite. */
const struct layer *compute_output_not_finite(const struct compute *compute, const struct slot_tensors *tensors,
                                              int first, int count, bool recomputed);
const struct layer *compute_weights_not_finite(const struct compute *compute, const float *weights);
bool compute_input_is_finite(const struct compute *compute, const struct slot_tensors *tensors, int first, int count);
const struct layer *compute_state_not_finite(const struct compute *compute, const float *state);

/* Backward of micro-batches first..first+count-1, both halves or one. Sums into `gradient` (slice parameters), after
 * clearing it unless `add`. */
enum backward_halves { HALF_INPUT = 1, HALF_WEIGHTS = 2 };
int compute_backward(struct compute *compute, const struct slot_tensors *tensors, int first, int count, int halves,
                     const float *weights, float *gradient, bool add, struct error *error);

#endif
