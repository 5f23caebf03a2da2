/* SiLU by vectors, and products of two inputs. */
#include "kernels/onednn/exponential.h"
#include "kernels/onednn/layers.h"

void silu_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->out);

#pragma omp parallel for
    for (size_t i = 0; i < count; i += WIDTH) {
        const vector x = load_some(call->inputs[0] + i, count - i);

        store_some(x / (1.0f + exponential(-x)), count - i, call->output + i);
    }
}

void silu_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->out);
    float *const to = call->input_gradients[0];

    if (!to)
        return;
#pragma omp parallel for
    for (size_t i = 0; i < count; i += WIDTH) {
        const vector x = load_some(call->inputs[0] + i, count - i), s = 1.0f / (1.0f + exponential(-x));
        const vector value = load_some(call->output_gradient + i, count - i) * s * (1.0f + x * (1.0f - s));

        store_some(call->add_input_gradients[0] ? load_some(to + i, count - i) + value : value, count - i, to + i);
    }
}

void multiply_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->out);
    const float *restrict x = call->inputs[0], *restrict y = call->inputs[1];
    float *restrict product = call->output;

#pragma omp parallel for
    for (size_t i = 0; i < count; i++)
        product[i] = x[i] * y[i];
}

/* to = gradient times the other factor, or that much more. */
static void multiply_gradient(size_t count, const float *restrict gradient, const float *restrict other, bool add,
                              float *restrict to)
{
    if (!to)
        return;
#pragma omp parallel for
    for (size_t i = 0; i < count; i++) {
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
