/* Smooth activations and gates, element by element. SiLU is x s(x) with the sigmoid s; GELU is x F(x) with the normal
 * distribution's function F. */
#include <math.h>

#include "kernels/reference/reference.h"

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static float normal(float x)
{
    return 0.5f * (1.0f + erff(x * 0.70710678f));
}

static float silu_slope(float x)
{
    return sigmoid(x) * (1.0f + x * (1.0f - sigmoid(x)));
}

static float gelu_slope(float x)
{
    return normal(x) + x * 0.39894228f * expf(-0.5f * x * x);
}

static size_t elements(const struct layer *layer, int rows)
{
    return (size_t)rows * shape_size(layer->out);
}

void reference_silu_forward(const struct layer *layer, const struct forward_call *call)
{
    for (size_t i = 0; i < elements(layer, call->rows); i++)
        call->output[i] = call->inputs[0][i] * sigmoid(call->inputs[0][i]);
}

void reference_silu_backward(const struct layer *layer, const struct backward_call *call)
{
    for (size_t i = 0; i < elements(layer, call->group_start[call->groups]); i++)
        reference_put(call, 0, i, call->output_gradient[i] * silu_slope(call->inputs[0][i]));
}

void reference_gelu_forward(const struct layer *layer, const struct forward_call *call)
{
    for (size_t i = 0; i < elements(layer, call->rows); i++)
        call->output[i] = call->inputs[0][i] * normal(call->inputs[0][i]);
}

void reference_gelu_backward(const struct layer *layer, const struct backward_call *call)
{
    for (size_t i = 0; i < elements(layer, call->group_start[call->groups]); i++)
        reference_put(call, 0, i, call->output_gradient[i] * gelu_slope(call->inputs[0][i]));
}

void reference_multiply_forward(const struct layer *layer, const struct forward_call *call)
{
    for (size_t i = 0; i < elements(layer, call->rows); i++)
        call->output[i] = call->inputs[0][i] * call->inputs[1][i];
}

void reference_multiply_backward(const struct layer *layer, const struct backward_call *call)
{
    for (size_t i = 0; i < elements(layer, call->group_start[call->groups]); i++) {
        reference_put(call, 1, i, call->output_gradient[i] * call->inputs[0][i]);
        reference_put(call, 0, i, call->output_gradient[i] * call->inputs[1][i]);
    }
}
