#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(
        launch_rope(&kernel->layer, call->rows, false, call->inputs[0], false, call->output, kernel->engine->stream),
        "rotary positions", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    if (!call->input_gradients[0])
        return 0;
    return cuda_check(launch_rope(&kernel->layer, call_rows(call), true, call->output_gradient,
                                  call->add_input_gradients[0], call->input_gradients[0], kernel->engine->stream),
                      "rotary positions", error);
}

const struct layer_functions cuda_rope = {.forward = forward, .backward_input = backward_input};
