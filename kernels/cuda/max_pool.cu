/* Max pooling, an element a thread: of the output going forward, of the input going back. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

struct pooling {
    int height, width, channels, out_height, out_width, kernel, stride, padding;
};

static struct pooling pooling_of(const struct layer *layer)
{
    return {layer->in.height, layer->in.width, layer->in.channels, layer->out.height,
            layer->out.width, layer->kernel,   layer->stride,      layer->padding};
}

static __device__ inline int larger(int a, int b)
{
    return a > b ? a : b;
}

static __device__ inline size_t input_at(const struct pooling &pool, size_t row, int y, int x, int channel)
{
    return ((row * pool.height + y) * pool.width + x) * pool.channels + channel;
}

/* Where the window of output (p, q) has its largest value, the first by rows, or what is no number. */
static __device__ size_t find_largest(const struct pooling &pool, size_t row, int p, int q, int channel,
                                      const float *input)
{
    const int top = p * pool.stride - pool.padding, left = q * pool.stride - pool.padding;
    bool found = false;
    size_t best = 0;

    for (int y = top < 0 ? 0 : top; y < top + pool.kernel && y < pool.height; y++)
        for (int x = left < 0 ? 0 : left; x < left + pool.kernel && x < pool.width; x++) {
            const size_t at = input_at(pool, row, y, x, channel);

            if (!found || !(input[at] <= input[best]))
                best = at;
            found = true;
        }
    return best;
}

static __global__ void pool_largest(struct pooling pool, size_t count, const float *input, float *output)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const int channel = (int)(i % pool.channels), q = (int)(i / pool.channels % pool.out_width);
    const int p = (int)(i / pool.channels / pool.out_width % pool.out_height);
    const size_t row = i / pool.channels / pool.out_width / pool.out_height;

    output[i] = input[find_largest(pool, row, p, q, channel, input)];
}

/* The sum over the windows that have the element, in their order. */
static __global__ void give_back(struct pooling pool, size_t count, const float *input, const float *output_gradient,
                                 bool add, float *input_gradient)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const int channel = (int)(i % pool.channels), x = (int)(i / pool.channels % pool.width);
    const int y = (int)(i / pool.channels / pool.width % pool.height);
    const size_t row = i / pool.channels / pool.width / pool.height;
    const int first_p = larger(0, (y + pool.padding - pool.kernel + pool.stride) / pool.stride);
    const int first_q = larger(0, (x + pool.padding - pool.kernel + pool.stride) / pool.stride);
    float sum = add ? input_gradient[i] : 0.0f;

    for (int p = first_p; p * pool.stride <= y + pool.padding && p < pool.out_height; p++)
        for (int q = first_q; q * pool.stride <= x + pool.padding && q < pool.out_width; q++)
            if (find_largest(pool, row, p, q, channel, input) == i)
                sum += output_gradient[((row * pool.out_height + p) * pool.out_width + q) * pool.channels + channel];
    input_gradient[i] = sum;
}

cudaError_t launch_max_pool(const struct layer *layer, int rows, const float *input, float *output, cudaStream_t stream)
{
    const size_t count = (size_t)rows * shape_size(layer->out);

    return launch(pool_largest, blocks_for(count), THREADS, stream, pooling_of(layer), count, input, output);
}

cudaError_t launch_max_pool_backward(const struct layer *layer, int rows, const float *input,
                                     const float *output_gradient, bool add, float *input_gradient, cudaStream_t stream)
{
    const size_t count = (size_t)rows * shape_size(layer->in);

    return launch(give_back, blocks_for(count), THREADS, stream, pooling_of(layer), count, input, output_gradient, add,
                  input_gradient);
}
