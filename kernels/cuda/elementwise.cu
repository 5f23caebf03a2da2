/* Element by element: the optimiser's step, the blend of two weight versions, a bias, ReLU's backward. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

/* New and old weights may be one array. */
static __global__ void update(struct sgd sgd, size_t count, const float *weights, const float *gradient,
                              float *momentum_buffer, float *new_weights)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    float step = gradient[i] + sgd.weight_decay * weights[i];

    if (momentum_buffer) {
        const float momentum = sgd.momentum * momentum_buffer[i] + step;

        momentum_buffer[i] = momentum;
        step = sgd.nesterov ? step + sgd.momentum * momentum : momentum;
    }
    new_weights[i] = weights[i] - sgd.rate * step;
}

static __global__ void mix(size_t count, const float *live, const float *stale, float significance, float *blended)
{
    const size_t i = element_of_thread();

    if (i < count)
        blended[i] = live[i] + significance * (stale[i] - live[i]);
}

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

cudaError_t launch_sgd_update(const struct sgd *sgd, size_t count, const float *weights, const float *gradient,
                              float *momentum_buffer, float *new_weights, cudaStream_t stream)
{
    return launch(update, blocks_for(count), THREADS, stream, *sgd, count, weights, gradient,
                  sgd->momentum != 0.0f ? momentum_buffer : nullptr, new_weights);
}

cudaError_t launch_blend(size_t count, const float *live, const float *stale, float significance, float *blended,
                         cudaStream_t stream)
{
    return launch(mix, blocks_for(count), THREADS, stream, count, live, stale, significance, blended);
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
