/* Global average pooling, and the sums of a matrix's columns. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __global__ void average(int rows, int pixels, int channels, const float *input, float *output)
{
    const size_t i = element_of_thread();

    if (i >= (size_t)rows * channels)
        return;

    const float *pixel = input + i / channels * channels * pixels + i % channels;
    float sum = 0.0f;

    for (int k = 0; k < pixels; k++)
        sum += pixel[(size_t)k * channels];
    output[i] = sum / (float)pixels;
}

static __global__ void spread(size_t count, int pixels, int channels, const float *output_gradient, bool add,
                              float *input_gradient)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const size_t row = i / channels / pixels, channel = i % channels;

    input_gradient[i] = (add ? input_gradient[i] : 0.0f) + output_gradient[row * channels + channel] / (float)pixels;
}

static __global__ void sum_columns(int rows, int columns, const float *matrix, bool add, float *sums)
{
    const struct lane own = lane_of_thread(columns);
    double sum = 0.0;

    for (int row = own.lane; !own.idle && row < rows; row += own.lanes)
        sum += (double)matrix[(size_t)row * columns + own.channel];
    sum = sum_lanes(own, sum);
    if (!own.idle && own.lane == 0)
        sums[own.channel] = (add ? sums[own.channel] : 0.0f) + (float)sum;
}

cudaError_t launch_average_pool(int rows, int pixels, int channels, const float *input, float *output,
                                cudaStream_t stream)
{
    return launch(average, blocks_for((size_t)rows * channels), THREADS, stream, rows, pixels, channels, input, output);
}

cudaError_t launch_average_pool_backward(int rows, int pixels, int channels, const float *output_gradient, bool add,
                                         float *input_gradient, cudaStream_t stream)
{
    const size_t count = (size_t)rows * pixels * channels;

    return launch(spread, blocks_for(count), THREADS, stream, count, pixels, channels, output_gradient, add,
                  input_gradient);
}

cudaError_t launch_column_sums(int rows, int columns, const float *matrix, bool add, float *sums, cudaStream_t stream)
{
    return launch(sum_columns, tiles_for(columns), THREADS, stream, rows, columns, matrix, add, sums);
}
