#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static size_t moments_bytes(const struct layer_kernel *kernel, int rows)
{
    return 2 * (size_t)rows * (size_t)shape_positions(kernel->layer.in) * sizeof(float);
}

static int prepare_backward(struct layer_kernel *kernel, int rows, struct error *error)
{
    (void)error;
    return cuda_need_workspace(kernel, moments_bytes(kernel, rows));
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(launch_layer_norm(&kernel->layer, call->rows, call->inputs[0], call->weights, call->output,
                                        kernel->engine->stream),
                      "layer norm", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    if (!call->input_gradients[0])
        return 0;
    return cuda_check(launch_layer_norm_backward(&kernel->layer, call_rows(call), call->inputs[0],
                                                 call->output_gradient, call->weights, call->add_input_gradients[0],
                                                 call->input_gradients[0], kernel->engine->stream),
                      "layer norm", error);
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const int rows = call_rows(call);

    if (cuda_check_workspace(kernel, rows, moments_bytes(kernel, rows), error))
        return -1;
    return cuda_check(launch_layer_norm_weights(&kernel->layer, rows, call->inputs[0], call->output_gradient,
                                                call->add_weight_gradient, call->weight_gradient, call->workspace,
                                                kernel->engine->stream),
                      "layer norm", error);
}

const struct layer_functions cuda_layer_norm = {.prepare_backward = prepare_backward,
                                                .forward = forward,
                                                .backward_input = backward_input,
                                                .backward_weights = backward_weights};
