/* A GPU loads a kernel when it is first asked for, and may stop everything to do so. Before a part is ready, it has
 * therefore run everything once, for every number of rows, on what happens to lie in its arrays; it does so before they are
 * filled. The host has nothing to load. */
#include "data/data.h"
#include "stages/internal.h"

static struct slot_tensors tensors_of(const struct part *part, int rows, int first_microbatch)
{
    struct slot_tensors tensors = {
        .rows = rows,
        .first_microbatch = first_microbatch,
        .input = part->images,
        .set = part->sets,
    };

    if (!part_is_first(part)) {
        tensors.input = link_slot(&part->ends.down_in, 0);
        tensors.input_gradient = link_slot(&part->ends.up_out, 0);
    }
    if (!part_is_last(part)) {
        tensors.output = link_slot(&part->ends.down_out, 0);
        tensors.output_gradient = link_slot(&part->ends.up_in, 0);
    }
    return tensors;
}

static int train(struct part *part, int rows, int first, int count, const float *weights, struct error *error)
{
    const struct slot_tensors tensors = tensors_of(part, rows, first);

    for (int j = first; j < first + count; j++)
        if (compute_forward(part->compute, &tensors, j, true, weights, part->state, error))
            return -1;
    if (compute_layout_options(part->compute)->recompute &&
        compute_recompute(part->compute, &tensors, first, count, weights, error))
        return -1;
    if (part_is_last(part) &&
        compute_loss(part->compute, &tensors, first, count, part->targets, true, part->loss, error))
        return -1;
    return compute_backward(part->compute, &tensors, first, count, HALF_INPUT | HALF_WEIGHTS, weights, part->gradient,
                            false, error);
}

static int test(struct part *part, int rows, int j, const float *weights, struct error *error)
{
    const int size = schedule_slot_size(&part->plan->schedule);
    const struct slot_tensors tensors = tensors_of(part, rows, (j - 1) / size * size + 1);

    return compute_forward(part->compute, &tensors, j, false, weights, part->state, error);
}

int warm_up(struct part *part, struct error *error)
{
    const struct plan *plan = part->plan;
    const int training[] = {plan_minibatch_rows(plan, 1), plan->last_minibatch_rows};
    const int tests[] = {plan_test_minibatch_rows(plan, 1), plan->last_test_minibatch_rows};
    const int microbatches = plan->schedule.microbatches, size = schedule_slot_size(&plan->schedule);
    const float *weights = weights_live(part->weights);

    if (on_host(part))
        return 0;
    for (int i = 0; i < 2; i++) {
        for (int first = 1; first <= microbatches; first += size)
            if (train(part, training[i], first, size, weights, error))
                return -1;
        for (int j = 1; j <= microbatches; j++)
            if (test(part, tests[i], j, weights, error))
                return -1;
    }
    if (rules_warm_up(part, error) || device_finish(part->device, error))
        return -1;
    if (part->loss)
        *part->loss = (struct loss_result){0};
    return 0;
}
