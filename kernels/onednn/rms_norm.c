/* RMSNorm in loops that vectorise: kernels/reference/rms_norm.c has the formulas. A position's channels stay in the
 * first-level cache, so the passes over them cost little. */
#include <math.h>
#include <string.h>

#include "kernels/onednn/lanes.h"
#include "kernels/onednn/layers.h"

static float inverse_root(int channels, const float *x)
{
    return 1.0f / sqrtf(sum_of_products((size_t)channels, x, x) / (float)channels + NORM_EPSILON);
}

static float sum_of_triples(int count, const float *x, const float *y, const float *z)
{
    float lanes[LANES] = {0.0f};
    int i = 0;

    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += x[i + lane] * y[i + lane] * z[i + lane];
    for (; i < count; i++)
        lanes[i % LANES] += x[i] * y[i] * z[i];
    return lanes_sum(lanes);
}

void rms_norm_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->rows * shape_size(layer->in);
    const float *restrict weights = call->weights;

#pragma omp parallel for
    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *restrict x = call->inputs[0] + at;
        float *restrict y = call->output + at;
        const float r = inverse_root(channels, x);

        for (int c = 0; c < channels; c++)
            y[c] = weights[c] * (x[c] * r);
    }
}

void rms_norm_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);
    const float *restrict weights = call->weights;
    const bool add = call->add_input_gradients[0];

    if (!call->input_gradients[0])
        return;
#pragma omp parallel for
    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *restrict x = call->inputs[0] + at, *restrict gradient = call->output_gradient + at;
        float *restrict to = call->input_gradients[0] + at;
        const float r = inverse_root(channels, x);
        const float share = sum_of_triples(channels, weights, gradient, x) / (float)channels * r * r;

        for (int c = 0; c < channels; c++) {
            const float value = r * (weights[c] * gradient[c] - x[c] * share);

            to[c] = add ? to[c] + value : value;
        }
    }
}

void rms_norm_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);
    float *restrict sums = call->weight_gradient;

    if (!call->add_weight_gradient)
        memset(sums, 0, layer->parameters * sizeof(float));
    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *restrict x = call->inputs[0] + at, *restrict gradient = call->output_gradient + at;
        const float r = inverse_root(channels, x);

        for (int c = 0; c < channels; c++)
            sums[c] += gradient[c] * (x[c] * r);
    }
}
