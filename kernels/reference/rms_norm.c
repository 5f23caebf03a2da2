/* RMSNorm of each position's C channels, with r = 1 / sqrt(sum x^2 / C + epsilon):
 *
 *   y = w x r                 dw = sum over positions of dy x r
 *   dx = r (w dy - x r^2 sum(w dy x) / C)
 *
 * Sums are doubles. */
#include <math.h>
#include <string.h>

#include "kernels/reference/reference.h"

static float inverse_root(int channels, const float *x)
{
    double sum = 0.0;

    for (int c = 0; c < channels; c++)
        sum += (double)x[c] * (double)x[c];
    return (float)(1.0 / sqrt(sum / channels + (double)NORM_EPSILON));
}

void reference_rms_norm_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->rows * shape_size(layer->in);

    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *x = call->inputs[0] + at, r = inverse_root(channels, x);

        for (int c = 0; c < channels; c++)
            call->output[at + (size_t)c] = call->weights[c] * (x[c] * r);
    }
}

void reference_rms_norm_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);

    for (size_t at = 0; call->input_gradients[0] && at < end; at += (size_t)channels) {
        const float *x = call->inputs[0] + at, *gradient = call->output_gradient + at, r = inverse_root(channels, x);
        double product = 0.0;

        for (int c = 0; c < channels; c++)
            product += (double)call->weights[c] * (double)gradient[c] * (double)x[c];

        const float share = (float)(product / channels) * r * r;

        for (int c = 0; c < channels; c++)
            reference_put(call, 0, at + (size_t)c, r * (call->weights[c] * gradient[c] - x[c] * share));
    }
}

void reference_rms_norm_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);

    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, layer->parameters * sizeof(float));
    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *x = call->inputs[0] + at, r = inverse_root(channels, x);

        for (int c = 0; c < channels; c++)
            call->weight_gradient[c] += call->output_gradient[at + (size_t)c] * (x[c] * r);
    }
}
