/* Layer norm, a position a thread; the weights' gradient, a channel a thread: kernels/reference/layer_norm.c has the
 * formulas. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

struct moments {
    float mean, scale;
};

static __device__ struct moments moments_of(int channels, const float *x)
{
    double sum = 0.0, squares = 0.0;

    for (int c = 0; c < channels; c++)
        sum += (double)x[c];
    for (int c = 0; c < channels; c++)
        squares += ((double)x[c] - sum / channels) * ((double)x[c] - sum / channels);
    return {(float)(sum / channels), (float)(1.0 / sqrt(squares / channels + (double)NORM_EPSILON))};
}

static __global__ void normalise(size_t positions, int channels, const float *input, const float *weights,
                                 float *output)
{
    const size_t position = element_of_thread(), first = position * channels;

    if (position >= positions)
        return;

    const struct moments of = moments_of(channels, input + first);

    for (int c = 0; c < channels; c++)
        output[first + c] = weights[c] * ((input[first + c] - of.mean) * of.scale) + weights[channels + c];
}

static __global__ void differentiate(size_t positions, int channels, const float *input, const float *gradient,
                                     const float *weights, bool add, float *to)
{
    const size_t position = element_of_thread(), first = position * channels;

    if (position >= positions)
        return;

    const float *x = input + first, *dy = gradient + first;
    const struct moments of = moments_of(channels, x);
    double sum = 0.0, product = 0.0;

    for (int c = 0; c < channels; c++) {
        sum += (double)weights[c] * (double)dy[c];
        product += (double)weights[c] * (double)dy[c] * (double)((x[c] - of.mean) * of.scale);
    }
    for (int c = 0; c < channels; c++) {
        const double normalised = (double)((x[c] - of.mean) * of.scale);
        const double value = (double)weights[c] * (double)dy[c] - (sum + normalised * product) / channels;

        to[first + c] = (add ? to[first + c] : 0.0f) + of.scale * (float)value;
    }
}

static __global__ void find_moments(size_t positions, int channels, const float *input, float *means, float *scales)
{
    const size_t position = element_of_thread();

    if (position >= positions)
        return;

    const struct moments of = moments_of(channels, input + position * channels);

    means[position] = of.mean;
    scales[position] = of.scale;
}

static __global__ void sum_weights(size_t positions, int channels, const float *input, const float *gradient,
                                   const float *means, const float *scales, bool add, float *sums)
{
    const int c = (int)element_of_thread();
    double products = 0.0, sum = 0.0;

    if (c >= channels)
        return;
    for (size_t position = 0; position < positions; position++) {
        const size_t at = position * channels + c;

        products += (double)gradient[at] * (double)((input[at] - means[position]) * scales[position]);
        sum += (double)gradient[at];
    }
    sums[c] = (add ? sums[c] : 0.0f) + (float)products;
    sums[channels + c] = (add ? sums[channels + c] : 0.0f) + (float)sum;
}

static size_t positions_of(const struct layer *layer, int rows)
{
    return (size_t)rows * shape_positions(layer->in);
}

cudaError_t launch_layer_norm(const struct layer *layer, int rows, const float *input, const float *weights,
                              float *output, cudaStream_t stream)
{
    const size_t positions = positions_of(layer, rows);

    return launch(normalise, blocks_for(positions), THREADS, stream, positions, layer->in.channels, input, weights,
                  output);
}

cudaError_t launch_layer_norm_backward(const struct layer *layer, int rows, const float *input, const float *gradient,
                                       const float *weights, bool add, float *input_gradient, cudaStream_t stream)
{
    const size_t positions = positions_of(layer, rows);

    return launch(differentiate, blocks_for(positions), THREADS, stream, positions, layer->in.channels, input, gradient,
                  weights, add, input_gradient);
}

cudaError_t launch_layer_norm_weights(const struct layer *layer, int rows, const float *input, const float *gradient,
                                      bool add, float *weight_gradient, float *moments, cudaStream_t stream)
{
    const size_t positions = positions_of(layer, rows);
    float *means = moments, *scales = moments + positions;
    const cudaError_t status = launch(find_moments, blocks_for(positions), THREADS, stream, positions,
                                      layer->in.channels, input, means, scales);

    if (status != cudaSuccess)
        return status;
    return launch(sum_weights, blocks_for(layer->in.channels), THREADS, stream, positions, layer->in.channels, input,
                  gradient, means, scales, add, weight_gradient);
}
