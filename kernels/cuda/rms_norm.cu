/* RMSNorm, a position a thread; the weights' gradient, a channel a thread: kernels/reference/rms_norm.c has the formulas. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __device__ float inverse_root(int channels, const float *x)
{
    double sum = 0.0;

    for (int c = 0; c < channels; c++)
        sum += (double)x[c] * (double)x[c];
    return (float)(1.0 / sqrt(sum / channels + (double)NORM_EPSILON));
}

static __global__ void normalise(size_t positions, int channels, const float *input, const float *weights,
                                 float *output)
{
    const size_t position = element_of_thread();

    if (position >= positions)
        return;

    const float *x = input + position * channels, r = inverse_root(channels, x);

    for (int c = 0; c < channels; c++)
        output[position * channels + c] = weights[c] * (x[c] * r);
}

static __global__ void differentiate(size_t positions, int channels, const float *input, const float *gradient,
                                     const float *weights, bool add, float *to)
{
    const size_t position = element_of_thread(), first = position * channels;

    if (position >= positions)
        return;

    const float *x = input + first, r = inverse_root(channels, x);
    double product = 0.0;

    for (int c = 0; c < channels; c++)
        product += (double)weights[c] * (double)gradient[first + c] * (double)x[c];

    const float share = (float)(product / channels) * r * r;

    for (int c = 0; c < channels; c++)
        to[first + c] = (add ? to[first + c] : 0.0f) + r * (weights[c] * gradient[first + c] - x[c] * share);
}

static __global__ void find_roots(size_t positions, int channels, const float *input, float *roots)
{
    const size_t position = element_of_thread();

    if (position < positions)
        roots[position] = inverse_root(channels, input + position * channels);
}

static __global__ void sum_weights(size_t positions, int channels, const float *input, const float *gradient,
                                   const float *roots, bool add, float *sums)
{
    const int c = (int)element_of_thread();
    double sum = 0.0;

    if (c >= channels)
        return;
    for (size_t position = 0; position < positions; position++)
        sum += (double)gradient[position * channels + c] * (double)(input[position * channels + c] * roots[position]);
    sums[c] = (add ? sums[c] : 0.0f) + (float)sum;
}

static size_t positions_of(const struct layer *layer, int rows)
{
    return (size_t)rows * shape_positions(layer->in);
}

cudaError_t launch_rms_norm(const struct layer *layer, int rows, const float *input, const float *weights,
                            float *output, cudaStream_t stream)
{
    const size_t positions = positions_of(layer, rows);

    return launch(normalise, blocks_for(positions), THREADS, stream, positions, layer->in.channels, input, weights,
                  output);
}

cudaError_t launch_rms_norm_backward(const struct layer *layer, int rows, const float *input, const float *gradient,
                                     const float *weights, bool add, float *input_gradient, cudaStream_t stream)
{
    const size_t positions = positions_of(layer, rows);

    return launch(differentiate, blocks_for(positions), THREADS, stream, positions, layer->in.channels, input, gradient,
                  weights, add, input_gradient);
}

cudaError_t launch_rms_norm_weights(const struct layer *layer, int rows, const float *input, const float *gradient,
                                    bool add, float *weight_gradient, float *roots, cudaStream_t stream)
{
    const size_t positions = positions_of(layer, rows);
    const cudaError_t status =
        launch(find_roots, blocks_for(positions), THREADS, stream, positions, layer->in.channels, input, roots);

    if (status != cudaSuccess)
        return status;
    return launch(sum_weights, blocks_for(layer->in.channels), THREADS, stream, positions, layer->in.channels, input,
                  gradient, roots, add, weight_gradient);
}
