/* Numbers that left the range of floats. A loss that is not finite ends the run at once, before a gradient of it goes
 * anywhere; then every stage looks for the layer where that began, in what it still keeps of the op's forward. */
#include <math.h>
#include <stdio.h>

#include "stages/internal.h"

int divergence_check(struct stage *stage, const struct op *op, double loss, struct error *error)
{
    const struct activity activity = {.kind = ACTIVITY_RUN, .phase = stage->phase.kind, .op = *op};

    if (isfinite(loss))
        return 0;
    /* Read by the others once the coordinator has told them to end. */
    atomic_store(&stage->board->diverged, activity_pack(&activity));
    return error_set(error, "the %sloss is %s", stage->phase.kind == PHASE_EVALUATE ? "test's " : "",
                     isnan(loss) ? "nan" : "infinite");
}

static const struct layer *find_output(struct stage *stage, const struct op *op)
{
    const bool recompute = compute_layout_options(stage->compute)->recompute;
    struct slot_tensors tensors = passes_tensors(stage, op);
    struct error ignored;

    /* With recomputation nothing but the input is kept; weights that are a few updates newer go wrong in the same
     * place. */
    if (recompute &&
        compute_recompute(stage->compute, &tensors, op->first, op->count, weights_live(stage->weights), &ignored))
        return NULL;
    return compute_output_not_finite(stage->compute, &tensors, op->first, op->count, recompute);
}

void divergence_locate(struct stage *stage)
{
    const uint64_t word = atomic_load(&stage->board->diverged);
    const struct activity activity = activity_unpack(word);
    /* A test keeps no activations. */
    const bool test = activity.phase == PHASE_EVALUATE;
    const struct layer *layer = NULL;

    if (word == 0 || activity.phase != stage->phase.kind || activity.op.minibatch > stage->phase.schedule.minibatches ||
        activity.op.first + activity.op.count - 1 > stage->phase.schedule.microbatches)
        return;
    layer = test ? compute_weights_not_finite(stage->compute, weights_live(stage->weights))
                 : find_output(stage, &activity.op);
    if (layer)
        snprintf(stage->block->diverged, sizeof(stage->block->diverged), "the %s of %s", test ? "weights" : "output",
                 layer->name);
}
