/* SiLU with an exp that vectorises. */
#include "kernels/onednn/exponential.h"
#include "kernels/onednn/layers.h"

void silu_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->out);
    const float *restrict x = call->inputs[0];
    float *restrict y = call->output;

    for (size_t i = 0; i < count; i++)
        y[i] = x[i] / (1.0f + exponential(-x[i]));
}

void silu_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->out);
    const float *restrict x = call->inputs[0], *restrict gradient = call->output_gradient;
    float *restrict to = call->input_gradients[0];

    for (size_t i = 0; to && i < count; i++) {
        const float s = 1.0f / (1.0f + exponential(-x[i])), value = gradient[i] * s * (1.0f + x[i] * (1.0f - s));

        to[i] = call->add_input_gradients[0] ? to[i] + value : value;
    }
}
