/* Smooth activations and gates, element by element: kernels/reference/gates.c has the formulas. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __device__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static __device__ float normal(float x)
{
    return 0.5f * (1.0f + erff(x * 0.70710678f));
}

static __global__ void silu(size_t count, const float *input, float *output)
{
    const size_t i = element_of_thread();

    if (i < count)
        output[i] = input[i] * sigmoid(input[i]);
}

static __global__ void silu_back(size_t count, const float *input, const float *gradient, bool add, float *to)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const float x = input[i], s = sigmoid(x);

    to[i] = (add ? to[i] : 0.0f) + gradient[i] * s * (1.0f + x * (1.0f - s));
}

static __global__ void gelu(size_t count, const float *input, float *output)
{
    const size_t i = element_of_thread();

    if (i < count)
        output[i] = input[i] * normal(input[i]);
}

static __global__ void gelu_back(size_t count, const float *input, const float *gradient, bool add, float *to)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const float x = input[i];

    to[i] = (add ? to[i] : 0.0f) + gradient[i] * (normal(x) + x * 0.39894228f * expf(-0.5f * x * x));
}

static __global__ void product(size_t count, const float *a, const float *b, float *output)
{
    const size_t i = element_of_thread();

    if (i < count)
        output[i] = a[i] * b[i];
}

static __global__ void product_back(size_t count, const float *a, const float *b, const float *gradient, bool add_a,
                                    float *gradient_a, bool add_b, float *gradient_b)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;
    if (gradient_b)
        gradient_b[i] = (add_b ? gradient_b[i] : 0.0f) + gradient[i] * a[i];
    if (gradient_a)
        gradient_a[i] = (add_a ? gradient_a[i] : 0.0f) + gradient[i] * b[i];
}

cudaError_t launch_silu(size_t count, const float *input, float *output, cudaStream_t stream)
{
    return launch(silu, blocks_for(count), THREADS, stream, count, input, output);
}

cudaError_t launch_silu_backward(size_t count, const float *input, const float *gradient, bool add,
                                 float *input_gradient, cudaStream_t stream)
{
    return launch(silu_back, blocks_for(count), THREADS, stream, count, input, gradient, add, input_gradient);
}

cudaError_t launch_gelu(size_t count, const float *input, float *output, cudaStream_t stream)
{
    return launch(gelu, blocks_for(count), THREADS, stream, count, input, output);
}

cudaError_t launch_gelu_backward(size_t count, const float *input, const float *gradient, bool add,
                                 float *input_gradient, cudaStream_t stream)
{
    return launch(gelu_back, blocks_for(count), THREADS, stream, count, input, gradient, add, input_gradient);
}

cudaError_t launch_multiply(size_t count, const float *a, const float *b, float *output, cudaStream_t stream)
{
    return launch(product, blocks_for(count), THREADS, stream, count, a, b, output);
}

cudaError_t launch_multiply_backward(size_t count, const float *a, const float *b, const float *gradient, bool add_a,
                                     float *gradient_a, bool add_b, float *gradient_b, cudaStream_t stream)
{
    return launch(product_back, blocks_for(count), THREADS, stream, count, a, b, gradient, add_a, gradient_a, add_b,
                  gradient_b);
}
