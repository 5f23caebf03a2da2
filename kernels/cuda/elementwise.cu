/* Element by element: a bias, sums and ReLU, there and back. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __global__ void add_bias(size_t count, int columns, const float *bias, bool relu, float *output)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const float sum = bias ? output[i] + bias[i % columns] : output[i];

    output[i] = relu && sum < 0.0f ? 0.0f : sum;
}

/* `other` may be NULL. */
static __global__ void add(size_t count, const float *input, const float *other, bool relu, float *output)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const float sum = other ? input[i] + other[i] : input[i];

    output[i] = relu && sum < 0.0f ? 0.0f : sum;
}

/* The gradient, masked in place where an output is given, goes to both. `other` and `input` may be NULL, or `other` the
 * gradient itself. */
static __global__ void hand_back(size_t count, const float *output, float *gradient, float *other, bool add_other,
                                 float *input, bool add_input)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const float value = output && !(output[i] > 0.0f) ? 0.0f : gradient[i];

    gradient[i] = value;
    if (other && other != gradient)
        other[i] = add_other ? other[i] + value : value;
    if (input)
        input[i] = add_input ? input[i] + value : value;
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

cudaError_t launch_add(size_t count, const float *input, const float *other, bool relu, float *output,
                       cudaStream_t stream)
{
    return launch(add, blocks_for(count), THREADS, stream, count, input, other, relu, output);
}

cudaError_t launch_add_backward(size_t count, const float *output, float *gradient, float *other, bool add_other,
                                float *input, bool add_input, cudaStream_t stream)
{
    return launch(hand_back, blocks_for(count), THREADS, stream, count, output, gradient, other, add_other, input,
                  add_input);
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
