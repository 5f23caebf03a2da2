#include "base/numbers.h"
#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static int plane(const struct layer *layer)
{
    return layer->in.height * layer->in.width;
}

static void create(struct layer_kernel *kernel)
{
    kernel->workspace_bytes =
        (size_t)BATCH_NORM_GROUPS * BATCH_NORM_PARTS * 2 * (size_t)kernel->layer.in.channels * sizeof(double);
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const struct layer *layer = &kernel->layer;
    const int pixels = call->rows * plane(layer), channels = layer->in.channels;
    const cudaStream_t stream = kernel->engine->stream;

    return cuda_check(call->training
                          ? launch_batch_norm_train(pixels, channels, call->inputs[0], call->inputs[1], call->weights,
                                                    layer->relu, call->output, call->saved, call->state,
                                                    call->workspace, stream)
                          : launch_batch_norm_infer(pixels, channels, call->inputs[0], call->inputs[1], call->weights,
                                                    layer->relu, call->output, call->state, stream),
                      "batch norm", error);
}

/* `base`, if it is there, at a row. */
static float *at(const struct layer *layer, const float *base, int row)
{
    return base ? (float *)(uintptr_t)base + (size_t)row * shape_size(layer->in) : NULL;
}

/* Groups first .. first + count - 1, of which some have rows. */
static cudaError_t backward_groups(const struct layer_kernel *kernel, const struct backward_call *call, int first,
                                   int count, bool add)
{
    const struct layer *layer = &kernel->layer;
    const int row = call->group_start[first];
    struct batch_norm_groups groups = {.count = count};

    for (int group = 0; group <= count; group++)
        groups.start[group] = (call->group_start[first + group] - row) * plane(layer);
    return launch_batch_norm_backward(
        &groups, layer->in.channels, at(layer, call->inputs[0], row), layer->relu ? at(layer, call->output, row) : NULL,
        at(layer, call->output_gradient, row), call->saved + (size_t)first * 2 * (size_t)layer->in.channels,
        call->weights, at(layer, call->input_gradients[0], row), call->add_input_gradients[0],
        at(layer, call->input_gradients[1], row), call->add_input_gradients[1], call->weight_gradient, add,
        call->workspace, kernel->engine->stream);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    bool add = call->add_weight_gradient;

    for (int first = 0; first < call->groups; first += BATCH_NORM_GROUPS) {
        const int count = min_int(call->groups - first, BATCH_NORM_GROUPS);

        if (call->group_start[first] == call->group_start[first + count])
            continue;
        if (cuda_check(backward_groups(kernel, call, first, count, add), "batch norm", error))
            return -1;
        add = true;
    }
    return 0;
}

const struct layer_functions cuda_batch_norm = {.create = create, .forward = forward, .backward_input = backward_input};
