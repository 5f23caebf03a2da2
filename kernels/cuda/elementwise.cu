/* Element by element: a bias, ReLU's backward. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __global__ void add_bias(size_t count, int columns, const float *bias, bool relu, float *output)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const float sum = output[i] + bias[i % columns];

    output[i] = relu && sum < 0.0f ? 0.0f : sum;
}

static __global__ void mask(size_t count, const float *output, float *gradient)
{
    const size_t i = element_of_thread();

    if (i < count && !(output[i] > 0.0f))
        gradient[i] = 0.0f;
}

static __global__ void nothing()
{
}

cudaError_t launch_nothing(cudaStream_t stream)
{
    return launch(nothing, 1, 1, stream);
}

cudaError_t launch_relu_backward(size_t count, const float *output, float *gradient, cudaStream_t stream)
{
    return launch(mask, blocks_for(count), THREADS, stream, count, output, gradient);
}

cudaError_t launch_bias(int rows, int columns, const float *bias, bool relu, float *output, cudaStream_t stream)
{
    const size_t count = (size_t)rows * columns;

    return launch(add_bias, blocks_for(count), THREADS, stream, count, columns, bias, relu, output);
}
