/* Layer norm in loops that vectorise: kernels/reference/layer_norm.c has the formulas. */
#include <math.h>
#include <string.h>

#include "kernels/onednn/lanes.h"
#include "kernels/onednn/layers.h"

/* x^ = (x - mean) * scale */
struct moments {
    float mean, scale;
};

static struct moments moments_of(int channels, const float *restrict x)
{
    const float mean = sum_of((size_t)channels, x) / (float)channels;
    float squares[LANES] = {0.0f};
    int c = 0;

    for (; c + LANES <= channels; c += LANES)
        for (int lane = 0; lane < LANES; lane++)
            squares[lane] += (x[c + lane] - mean) * (x[c + lane] - mean);
    for (; c < channels; c++)
        squares[c % LANES] += (x[c] - mean) * (x[c] - mean);
    return (struct moments){mean, 1.0f / sqrtf(lanes_sum(squares) / (float)channels + NORM_EPSILON)};
}

/* The sums of w dy, and of w dy x^. */
struct shares {
    float gradient, product;
};

static struct shares shares_of(int channels, struct moments of, const float *restrict weights,
                               const float *restrict gradient, const float *restrict x)
{
    float sums[LANES] = {0.0f}, products[LANES] = {0.0f};
    int c = 0;

    for (; c + LANES <= channels; c += LANES)
        for (int lane = 0; lane < LANES; lane++) {
            const float scaled = weights[c + lane] * gradient[c + lane];

            sums[lane] += scaled;
            products[lane] += scaled * ((x[c + lane] - of.mean) * of.scale);
        }
    for (; c < channels; c++) {
        sums[c % LANES] += weights[c] * gradient[c];
        products[c % LANES] += weights[c] * gradient[c] * ((x[c] - of.mean) * of.scale);
    }
    return (struct shares){lanes_sum(sums), lanes_sum(products)};
}

void layer_norm_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->rows * shape_size(layer->in);
    const float *restrict weights = call->weights, *restrict bias = call->weights + channels;

    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *restrict x = call->inputs[0] + at;
        float *restrict y = call->output + at;
        const struct moments of = moments_of(channels, x);

        for (int c = 0; c < channels; c++)
            y[c] = weights[c] * ((x[c] - of.mean) * of.scale) + bias[c];
    }
}

void layer_norm_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);
    const float *restrict weights = call->weights;
    const bool add = call->add_input_gradients[0];

    for (size_t at = 0; call->input_gradients[0] && at < end; at += (size_t)channels) {
        const float *restrict x = call->inputs[0] + at, *restrict gradient = call->output_gradient + at;
        float *restrict to = call->input_gradients[0] + at;
        const struct moments of = moments_of(channels, x);
        const struct shares shares = shares_of(channels, of, weights, gradient, x);

        for (int c = 0; c < channels; c++) {
            const float shared = shares.gradient + (x[c] - of.mean) * of.scale * shares.product;
            const float value = of.scale * (weights[c] * gradient[c] - shared / (float)channels);

            to[c] = add ? to[c] + value : value;
        }
    }
}

void layer_norm_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const size_t end = (size_t)call->group_start[call->groups] * shape_size(layer->in);
    float *restrict weight_sums = call->weight_gradient, *restrict bias_sums = call->weight_gradient + channels;

    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, layer->parameters * sizeof(float));
    for (size_t at = 0; at < end; at += (size_t)channels) {
        const float *restrict x = call->inputs[0] + at, *restrict gradient = call->output_gradient + at;
        const struct moments of = moments_of(channels, x);

        for (int c = 0; c < channels; c++) {
            weight_sums[c] += gradient[c] * ((x[c] - of.mean) * of.scale);
            bias_sums[c] += gradient[c];
        }
    }
}
