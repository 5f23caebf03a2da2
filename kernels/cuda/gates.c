/* SiLU, GELU and products of two tensors. */
#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static size_t elements(const struct layer_kernel *kernel, int rows)
{
    return (size_t)rows * shape_size(kernel->layer.out);
}

static int forward_silu(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(launch_silu(elements(kernel, call->rows), call->inputs[0], call->output, kernel->engine->stream),
                      "SiLU", error);
}

static int backward_silu(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    if (!call->input_gradients[0])
        return 0;
    return cuda_check(launch_silu_backward(elements(kernel, call_rows(call)), call->inputs[0], call->output_gradient,
                                           call->add_input_gradients[0], call->input_gradients[0],
                                           kernel->engine->stream),
                      "SiLU", error);
}

static int forward_gelu(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(launch_gelu(elements(kernel, call->rows), call->inputs[0], call->output, kernel->engine->stream),
                      "GELU", error);
}

static int backward_gelu(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    if (!call->input_gradients[0])
        return 0;
    return cuda_check(launch_gelu_backward(elements(kernel, call_rows(call)), call->inputs[0], call->output_gradient,
                                           call->add_input_gradients[0], call->input_gradients[0],
                                           kernel->engine->stream),
                      "GELU", error);
}

static int forward_multiply(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(launch_multiply(elements(kernel, call->rows), call->inputs[0], call->inputs[1], call->output,
                                      kernel->engine->stream),
                      "product", error);
}

static int backward_multiply(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    return cuda_check(launch_multiply_backward(elements(kernel, call_rows(call)), call->inputs[0], call->inputs[1],
                                               call->output_gradient, call->add_input_gradients[0],
                                               call->input_gradients[0], call->add_input_gradients[1],
                                               call->input_gradients[1], kernel->engine->stream),
                      "product", error);
}

const struct layer_functions cuda_silu = {.forward = forward_silu, .backward_input = backward_silu};
const struct layer_functions cuda_gelu = {.forward = forward_gelu, .backward_input = backward_gelu};
const struct layer_functions cuda_multiply = {.forward = forward_multiply, .backward_input = backward_multiply};
