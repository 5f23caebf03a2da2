/* SiLU with an exp that vectorises, and products of two inputs. */
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

void multiply_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->out);
    const float *restrict x = call->inputs[0], *restrict y = call->inputs[1];
    float *restrict product = call->output;

    for (size_t i = 0; i < count; i++)
        product[i] = x[i] * y[i];
}

/* to = gradient times the other factor, or that much more. */
static void multiply_gradient(size_t count, const float *restrict gradient, const float *restrict other, bool add,
                              float *restrict to)
{
    for (size_t i = 0; to && i < count; i++) {
        const float value = gradient[i] * other[i];

        to[i] = add ? to[i] + value : value;
    }
}

void multiply_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->out);

    for (int k = 1; k >= 0; k--)
        multiply_gradient(count, call->output_gradient, call->inputs[1 - k], call->add_input_gradients[k],
                          call->input_gradients[k]);
}
