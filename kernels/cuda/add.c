/* ReLU by itself, and the sum of two tensors. */
#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static size_t elements(const struct layer_kernel *kernel, int rows)
{
    return (size_t)rows * shape_size(kernel->layer.out);
}

/* The second input is NULL for a ReLU by itself. */
static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const bool relu = kernel->layer.kind == LAYER_RELU || kernel->layer.relu;

    return cuda_check(launch_add(elements(kernel, call->rows), call->inputs[0], call->inputs[1], relu, call->output,
                                 kernel->engine->stream),
                      kernel->layer.kind == LAYER_RELU ? "ReLU" : "sum", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const bool relu = kernel->layer.kind == LAYER_RELU || kernel->layer.relu;

    return cuda_check(launch_add_backward(elements(kernel, call_rows(call)), relu ? call->output : NULL,
                                          call->output_gradient, call->input_gradients[1], call->add_input_gradients[1],
                                          call->input_gradients[0], call->add_input_gradients[0],
                                          kernel->engine->stream),
                      kernel->layer.kind == LAYER_RELU ? "ReLU" : "sum", error);
}

const struct layer_functions cuda_relu = {.forward = forward, .backward_input = backward_input};
const struct layer_functions cuda_add = {.forward = forward, .backward_input = backward_input};
