/* A GPU loads a kernel when it is first asked for, and may stop everything to do so. Before a stage is ready, it has
 * therefore run everything once, for every number of rows, on what happens to lie in its arrays; it does so before they are
 * filled. The host has nothing to load. */
#include "data/data.h"
#include "stages/internal.h"

static struct slot_tensors tensors_of(const struct stage *stage, int rows, int first_microbatch)
{
    struct slot_tensors tensors = {
        .rows = rows,
        .first_microbatch = first_microbatch,
        .input = stage->images,
        .set = stage->sets,
    };

    if (!stage_is_first(stage)) {
        tensors.input = link_slot(&stage->links.down_in, 0);
        tensors.input_gradient = link_slot(&stage->links.up_out, 0);
    }
    if (!stage_is_last(stage)) {
        tensors.output = link_slot(&stage->links.down_out, 0);
        tensors.output_gradient = link_slot(&stage->links.up_in, 0);
    }
    return tensors;
}

static int train(struct stage *stage, int rows, int first, int count, const float *weights, struct error *error)
{
    const struct slot_tensors tensors = tensors_of(stage, rows, first);

    for (int j = first; j < first + count; j++)
        if (compute_forward(stage->compute, &tensors, j, true, weights, stage->state, error))
            return -1;
    if (compute_layout_options(stage->compute)->recompute &&
        compute_recompute(stage->compute, &tensors, first, count, weights, error))
        return -1;
    if (stage_is_last(stage) &&
        compute_loss(stage->compute, &tensors, first, count, stage->labels, true, stage->loss, error))
        return -1;
    return compute_backward(stage->compute, &tensors, first, count, HALF_INPUT | HALF_WEIGHTS, weights, stage->gradient,
                            false, error);
}

static int test(struct stage *stage, int rows, int j, const float *weights, struct error *error)
{
    const int size = schedule_slot_size(&stage->plan->schedule);
    const struct slot_tensors tensors = tensors_of(stage, rows, (j - 1) / size * size + 1);

    return compute_forward(stage->compute, &tensors, j, false, weights, stage->state, error);
}

static int update(struct stage *stage, const float *weights, struct error *error)
{
    const struct backend *backend = compute_backend(stage->compute);
    const size_t parameters = stage->plan->parts[stage->index - 1].slice.parameters;
    const struct sgd sgd = {.momentum = stage->momentum ? 0.5f : 0.0f};

    if (backend->sgd_update(compute_engine(stage->compute), &sgd, parameters, weights, stage->gradient, stage->momentum,
                            stage->gradient, error))
        return -1;
    return stage->blended ? backend->blend(compute_engine(stage->compute), parameters, weights, weights, 0.5f,
                                           stage->blended, error)
                          : 0;
}

int warm_up(struct stage *stage, struct error *error)
{
    const struct plan *plan = stage->plan;
    const int training[] = {plan_minibatch_rows(plan, 1), plan->last_minibatch_rows};
    const int tests[] = {plan_test_minibatch_rows(plan, 1), plan->last_test_minibatch_rows};
    const int microbatches = plan->schedule.microbatches, size = schedule_slot_size(&plan->schedule);
    const float *weights = weights_live(stage->weights);

    if (on_host(stage))
        return 0;
    for (int i = 0; i < 2; i++) {
        for (int first = 1; first <= microbatches; first += size)
            if (train(stage, training[i], first, size, weights, error))
                return -1;
        for (int j = 1; j <= microbatches; j++)
            if (test(stage, tests[i], j, weights, error))
                return -1;
    }
    if (update(stage, weights, error) || device_finish(stage->device, error))
        return -1;
    if (stage->loss)
        *stage->loss = (struct loss_result){0};
    return 0;
}
