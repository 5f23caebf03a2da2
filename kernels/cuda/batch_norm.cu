/* Batch norm's kernels; formulas as in kernels/reference/batch_norm.c. Blocks are (tile of channels, part of the group's
 * pixels, group): one launch sums each part, and the next one's blocks each add the parts up before they go over their
 * own. How many parts there are depends on the group's pixels alone, whatever other groups the launch is for.
 *
 * Sums are doubles. Variances are summed around the group's first pixel, so one look at the input is enough. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

/* A lane has at least so many pixels of a part, while there are fewer parts than there may be. */
enum { LANE_PIXELS = 4 };

static __host__ __device__ inline int parts_of(int pixels, int channels)
{
    const int least = LANE_PIXELS * (THREADS / tile_width(channels)), parts = (pixels + least - 1) / least;

    return parts < BATCH_NORM_PARTS ? parts : BATCH_NORM_PARTS;
}

/* Pixels begin .. end - 1 of a group are the block's part, blockIdx.y. None if it has no such part. */
struct range {
    int begin, end, parts;
};

static __device__ inline struct range range_of_block(int pixels, int channels)
{
    const int parts = parts_of(pixels, channels), part = (int)blockIdx.y;

    if (part >= parts)
        return {0, 0, parts};
    return {(int)((long long)pixels * part / parts), (int)((long long)pixels * (part + 1) / parts), parts};
}

/* Two sums for each channel. */
struct sums {
    double first, second;
};

static __device__ void store_part(const struct lane &own, int channels, const struct sums &sums, double *parts)
{
    const double first = sum_lanes(own, sums.first), second = sum_lanes(own, sums.second);

    if (own.idle || own.lane > 0)
        return;
    parts += (size_t)blockIdx.y * 2 * channels + own.channel;
    parts[0] = first;
    parts[channels] = second;
}

static __device__ struct sums add_parts(const struct lane &own, int channels, int count, const double *parts)
{
    struct sums sums = {0.0, 0.0};

    for (int part = own.lane; !own.idle && part < count; part += own.lanes) {
        sums.first += parts[(size_t)part * 2 * channels + own.channel];
        sums.second += parts[((size_t)part * 2 + 1) * channels + own.channel];
    }
    return {sum_lanes(own, sums.first), sum_lanes(own, sums.second)};
}

static __device__ inline float inverse_deviation(float variance)
{
    return 1.0f / sqrtf(variance + BATCH_NORM_EPSILON);
}

static __global__ void sum_input(int pixels, int channels, const float *input, double *parts)
{
    const struct lane own = lane_of_thread(channels);
    const struct range range = range_of_block(pixels, channels);
    const double origin = own.idle ? 0.0 : (double)input[own.channel];
    struct sums sums = {0.0, 0.0};

    for (int pixel = range.begin + own.lane; !own.idle && pixel < range.end; pixel += own.lanes) {
        const double distance = (double)input[(size_t)pixel * channels + own.channel] - origin;

        sums.first += distance;
        sums.second += distance * distance;
    }
    store_part(own, channels, sums, parts);
}

static __device__ void normalise(const struct lane &own, const struct range &range, int channels, const float *input,
                                 const float *residual, const float *weights, bool relu, float mean, float variance,
                                 float *output)
{
    const float scale = inverse_deviation(variance), gamma = weights[own.channel];
    const float beta = weights[channels + own.channel];

    for (int pixel = range.begin + own.lane; pixel < range.end; pixel += own.lanes) {
        const size_t at = (size_t)pixel * channels + own.channel;
        const float normalised = (input[at] - mean) * scale;
        const float z = gamma * normalised + beta + (residual ? residual[at] : 0.0f);

        output[at] = relu && z < 0.0f ? 0.0f : z;
    }
}

static __device__ void update_state(int channels, int channel, int pixels, float mean, float variance, float *state)
{
    const float unbiased = pixels > 1 ? (float)((double)pixels / ((double)pixels - 1.0)) : 1.0f;

    state += channel;
    state[0] += BATCH_NORM_MOMENTUM * (mean - state[0]);
    state[channels] += BATCH_NORM_MOMENTUM * (variance * unbiased - state[channels]);
}

static __global__ void normalise_batch(int pixels, int channels, const float *input, const float *residual,
                                       const float *weights, bool relu, const double *parts, float *output,
                                       float *saved, float *state)
{
    const struct lane own = lane_of_thread(channels);
    const struct range range = range_of_block(pixels, channels);
    const struct sums sums = add_parts(own, channels, range.parts, parts);

    if (own.idle)
        return;

    const double from_origin = sums.first / pixels, squares = sums.second / pixels - from_origin * from_origin;
    const float mean = (float)((double)input[own.channel] + from_origin);
    const float variance = squares < 0.0 ? 0.0f : (float)squares;

    if (blockIdx.y == 0 && own.lane == 0) {
        saved[own.channel] = mean;
        saved[channels + own.channel] = variance;
        if (state)
            update_state(channels, own.channel, pixels, mean, variance, state);
    }
    normalise(own, range, channels, input, residual, weights, relu, mean, variance, output);
}

static __global__ void normalise_running(int pixels, int channels, const float *input, const float *residual,
                                         const float *weights, bool relu, const float *state, float *output)
{
    const struct lane own = lane_of_thread(channels);

    if (!own.idle)
        normalise(own, range_of_block(pixels, channels), channels, input, residual, weights, relu, state[own.channel],
                  state[channels + own.channel], output);
}

/* dz */
static __device__ inline float masked(const float *output, const float *gradient, size_t at)
{
    return !output || output[at] > 0.0f ? gradient[at] : 0.0f;
}

/* Where a group's sums begin. */
static __host__ __device__ inline size_t group_offset(int group, int channels)
{
    return (size_t)group * BATCH_NORM_PARTS * 2 * channels;
}

static __device__ inline int pixels_of(const struct batch_norm_groups &groups, int group)
{
    return groups.start[group + 1] - groups.start[group];
}

/* Sums of dz and dz x^ of the block's part of group blockIdx.z. */
static __global__ void sum_gradient(struct batch_norm_groups groups, int channels, const float *input,
                                    const float *output, const float *gradient, const float *saved, double *parts)
{
    const int group = (int)blockIdx.z;
    const struct lane own = lane_of_thread(channels);
    const struct range range = range_of_block(pixels_of(groups, group), channels);
    struct sums sums = {0.0, 0.0};

    if (!own.idle) {
        const float *statistics = saved + (size_t)group * 2 * channels + own.channel;
        const float mean = statistics[0], scale = inverse_deviation(statistics[channels]);

        for (int pixel = range.begin + own.lane; pixel < range.end; pixel += own.lanes) {
            const size_t at = (size_t)(groups.start[group] + pixel) * channels + own.channel;
            const double dz = (double)masked(output, gradient, at);

            sums.first += dz;
            sums.second += dz * (double)((input[at] - mean) * scale);
        }
    }
    if (range.begin < range.end)
        store_part(own, channels, sums, parts + group_offset(group, channels));
}

/* dbeta and dgamma: the sums of all groups. */
static __device__ void add_parameters(const struct lane &own, const struct batch_norm_groups &groups, int channels,
                                      const double *parts, float *weight_gradient, bool add)
{
    struct sums total = {0.0, 0.0};

    for (int group = 0; group < groups.count; group++) {
        const int count = parts_of(pixels_of(groups, group), channels);
        const struct sums sums = add_parts(own, channels, count, parts + group_offset(group, channels));

        total.first += sums.first;
        total.second += sums.second;
    }
    if (own.idle || own.lane > 0)
        return;
    weight_gradient += own.channel;
    weight_gradient[0] = (add ? weight_gradient[0] : 0.0f) + (float)total.second;
    weight_gradient[channels] = (add ? weight_gradient[channels] : 0.0f) + (float)total.first;
}

static __global__ void apply_gradient(struct batch_norm_groups groups, int channels, const float *input,
                                      const float *output, const float *gradient, const float *saved,
                                      const float *weights, const double *parts, float *input_gradient, bool add_input,
                                      float *residual_gradient, bool add_residual, float *weight_gradient,
                                      bool add_weight)
{
    const int group = (int)blockIdx.z, pixels = pixels_of(groups, group);
    const struct lane own = lane_of_thread(channels);
    const struct range range = range_of_block(pixels, channels);

    if (blockIdx.y == 0 && group == 0)
        add_parameters(own, groups, channels, parts, weight_gradient, add_weight);
    if (range.begin == range.end)
        return;

    const struct sums sums = add_parts(own, channels, range.parts, parts + group_offset(group, channels));

    if (own.idle)
        return;

    const float *statistics = saved + (size_t)group * 2 * channels + own.channel;
    const float mean = statistics[0], scale = inverse_deviation(statistics[channels]);
    const float factor = weights[own.channel] * scale;
    const float dz_mean = (float)(sums.first / pixels), product_mean = (float)(sums.second / pixels);

    for (int pixel = range.begin + own.lane; pixel < range.end; pixel += own.lanes) {
        const size_t at = (size_t)(groups.start[group] + pixel) * channels + own.channel;
        const float dz = masked(output, gradient, at), normalised = (input[at] - mean) * scale;

        if (input_gradient)
            input_gradient[at] =
                (add_input ? input_gradient[at] : 0.0f) + factor * (dz - dz_mean - normalised * product_mean);
        if (residual_gradient)
            residual_gradient[at] = (add_residual ? residual_gradient[at] : 0.0f) + dz;
    }
}

/* Blocks for a group of so many pixels, or for several. */
static dim3 grid_for(int pixels, int channels, int groups)
{
    return dim3(tiles_for(channels), (unsigned)parts_of(pixels, channels), (unsigned)groups);
}

static int largest_group(const struct batch_norm_groups *groups)
{
    int largest = 0;

    for (int group = 0; group < groups->count; group++)
        largest = max(largest, groups->start[group + 1] - groups->start[group]);
    return largest;
}

cudaError_t launch_batch_norm_train(int pixels, int channels, const float *input, const float *residual,
                                    const float *weights, bool relu, float *output, float *saved, float *state,
                                    double *parts, cudaStream_t stream)
{
    const dim3 grid = grid_for(pixels, channels, 1);
    const cudaError_t status = launch(sum_input, grid, THREADS, stream, pixels, channels, input, parts);

    return status != cudaSuccess ? status
                                 : launch(normalise_batch, grid, THREADS, stream, pixels, channels, input, residual,
                                          weights, relu, parts, output, saved, state);
}

cudaError_t launch_batch_norm_infer(int pixels, int channels, const float *input, const float *residual,
                                    const float *weights, bool relu, float *output, const float *state,
                                    cudaStream_t stream)
{
    return launch(normalise_running, grid_for(pixels, channels, 1), THREADS, stream, pixels, channels, input, residual,
                  weights, relu, state, output);
}

cudaError_t launch_batch_norm_backward(const struct batch_norm_groups *groups, int channels, const float *input,
                                       const float *output, const float *gradient, const float *saved,
                                       const float *weights, float *input_gradient, bool add_input,
                                       float *residual_gradient, bool add_residual, float *weight_gradient,
                                       bool add_weight, double *parts, cudaStream_t stream)
{
    const dim3 grid = grid_for(largest_group(groups), channels, groups->count);
    const cudaError_t status =
        launch(sum_gradient, grid, THREADS, stream, *groups, channels, input, output, gradient, saved, parts);

    return status != cudaSuccess ? status
                                 : launch(apply_gradient, grid, THREADS, stream, *groups, channels, input, output,
                                          gradient, saved, weights, parts, input_gradient, add_input, residual_gradient,
                                          add_residual, weight_gradient, add_weight);
}
