/* Numbers that left the range of floats. A loss that is not finite ends the run at once, before a gradient of it goes
 * anywhere; then every part looks for the layer where that began, in what it still keeps of the op's forward. */
#include <math.h>
#include <stdio.h>

#include "base/numbers.h"
#include "stages/internal.h"

int divergence_check(struct part *part, const struct op *op, double loss, struct error *error)
{
    const struct activity activity = {.kind = ACTIVITY_RUN, .phase = part->phase.kind, .op = *op};

    if (isfinite(loss))
        return 0;
    /* Read by the others once the coordinator has told them to end. */
    atomic_store(&part->board->diverged, activity_pack(&activity));
    return error_set(error, "the %sloss is %s", part->phase.kind == PHASE_EVALUATE ? "test's " : "",
                     isnan(loss) ? "nan" : "infinite");
}

static const struct layer *find_output(struct part *part, const struct op *op)
{
    const bool recompute = compute_layout_options(part->compute)->recompute;
    struct slot_tensors tensors = passes_tensors(part, op);
    struct error ignored;

    /* With recomputation nothing but the input is kept; weights that are a few updates newer go wrong in the same
     * place. */
    if (recompute &&
        compute_recompute(part->compute, &tensors, op->first, op->count, weights_live(part->weights), &ignored))
        return NULL;
    return compute_output_not_finite(part->compute, &tensors, op->first, op->count, recompute);
}

/* What a test's forwards have computed is kept as long as no later one takes its place. An op whose input is out of range
 * already says nothing of this part. */
static const struct layer *find_output_of_test(struct part *part)
{
    const struct phase_run *phase = &part->phase;
    const int size = schedule_slot_size(&phase->schedule), microbatches = phase->schedule.microbatches;
    /* Stage W was at one more when it found the loss. */
    const int done = phase->progress.forwards + part_is_last(part);
    const int newest = (done - 1) / size, oldest = max_int(0, newest + 1 - part->set_count);
    const struct layer *layer = NULL;

    for (int k = oldest * size; k < done && !layer; k++) {
        const struct op op = {.minibatch = k / microbatches + 1, .first = k % microbatches + 1, .count = 1};
        const struct slot_tensors tensors = passes_tensors(part, &op);

        if (compute_input_is_finite(part->compute, &tensors, op.first, op.count))
            layer = compute_output_not_finite(part->compute, &tensors, op.first, op.count, false);
    }
    return layer;
}

/* Stage W's word for it, which may be any. */
static bool is_op_of(const struct schedule *schedule, const struct op *op)
{
    return op->minibatch <= schedule->minibatches && op->first + op->count - 1 <= schedule->microbatches;
}

static void name(struct part *part, const char *what, const struct layer *layer)
{
    struct stage_block *block = part->block;

    if (layer && !block->diverged[0])
        snprintf(block->diverged, sizeof(block->diverged), "the %s of %s", what, layer->name);
}

/* What all forwards of a test read. */
static void locate_in_weights(struct part *part)
{
    name(part, "weights", compute_weights_not_finite(part->compute, weights_live(part->weights)));
    name(part, "running statistics", compute_state_not_finite(part->compute, part->state));
}

void divergence_locate(struct part *part)
{
    const uint64_t word = atomic_load(&part->board->diverged);
    const struct activity activity = activity_unpack(word);
    const bool same_phase = activity.phase == part->phase.kind;

    if (word == 0)
        return;
    if (activity.phase == PHASE_EVALUATE) {
        /* It may train the next epoch already, with weights that the test has read as well. */
        locate_in_weights(part);
        if (same_phase)
            name(part, "output", find_output_of_test(part));
    } else if (same_phase && is_op_of(&part->phase.schedule, &activity.op)) {
        name(part, "output", find_output(part, &activity.op));
    }
}

void divergence_leave(struct part *part)
{
    locate_in_weights(part);
}
