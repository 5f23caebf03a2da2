#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const struct shape in = kernel->layer.in;

    return cuda_check(launch_average_pool(call->rows, in.height * in.width, in.channels, call->inputs[0], call->output,
                                          kernel->engine->stream),
                      "average pool", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct shape in = kernel->layer.in;

    if (!call->input_gradients[0])
        return 0;
    return cuda_check(launch_average_pool_backward(call_rows(call), in.height * in.width, in.channels,
                                                   call->output_gradient, call->add_input_gradients[0],
                                                   call->input_gradients[0], kernel->engine->stream),
                      "average pool", error);
}

const struct layer_functions cuda_average_pool = {.forward = forward, .backward_input = backward_input};
