/* Layer norm of each position's C channels, with mean m and variance v of x, r = 1 / sqrt(v + epsilon) and x^ = (x - m) r:
 *
 *   y = w x^ + b              dw = sum over positions of dy x^          db = sum over positions of dy
 *   dx = r (w dy - sum(w dy) / C - x^ sum(w dy x^) / C)
 *
 * Sums are doubles. */
#include <math.h>
#include <string.h>

#include "kernels/reference/reference.h"

/* x^ = (x - mean) * scale */
struct moments {
    float mean, scale;
};

static struct moments moments_of(int channels, const float *x)
{
    double sum = 0.0, squares = 0.0;

    for (int c = 0; c < channels; c++)
        sum += (double)x[c];
    for (int c = 0; c < channels; c++)
        squares += ((double)x[c] - sum / channels) * ((double)x[c] - sum / channels);
    return (struct moments){(float)(sum / channels), (float)(1.0 / sqrt(squares / channels + (double)NORM_EPSILON))};
}

void reference_layer_norm_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->rows * shape_size(layer->in);
    const float *bias = call->weights + channels;

    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *x = call->inputs[0] + at;
        const struct moments of = moments_of(channels, x);

        for (int c = 0; c < channels; c++)
            call->output[at + (size_t)c] = call->weights[c] * ((x[c] - of.mean) * of.scale) + bias[c];
    }
}

void reference_layer_norm_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);

    for (size_t at = 0; call->input_gradients[0] && at < end; at += (size_t)channels) {
        const float *x = call->inputs[0] + at, *gradient = call->output_gradient + at;
        const struct moments of = moments_of(channels, x);
        double sum = 0.0, product = 0.0;

        for (int c = 0; c < channels; c++) {
            sum += (double)call->weights[c] * (double)gradient[c];
            product += (double)call->weights[c] * (double)gradient[c] * (double)((x[c] - of.mean) * of.scale);
        }
        for (int c = 0; c < channels; c++) {
            const double normalised = (double)((x[c] - of.mean) * of.scale);
            const double value =
                (double)call->weights[c] * (double)gradient[c] - (sum + normalised * product) / channels;

            reference_put(call, 0, at + (size_t)c, of.scale * (float)value);
        }
    }
}

void reference_layer_norm_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);

    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, layer->parameters * sizeof(float));
    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *x = call->inputs[0] + at, *gradient = call->output_gradient + at;
        const struct moments of = moments_of(channels, x);

        for (int c = 0; c < channels; c++) {
            call->weight_gradient[c] += gradient[c] * ((x[c] - of.mean) * of.scale);
            call->weight_gradient[channels + c] += gradient[c];
        }
    }
}
