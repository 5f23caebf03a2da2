/* How the kernels' threads share work: one element each, or a block in lanes over the pixels of a tensor [pixels][C]. */
#ifndef TP_KERNELS_CUDA_THREADS_H
#define TP_KERNELS_CUDA_THREADS_H

#include "kernels/cuda/launch.h"

enum { THREADS = 256, TILE_CHANNELS = 32 };

/* Blocks for so many elements, one a thread. */
static inline unsigned blocks_for(size_t count)
{
    return (unsigned)((count + THREADS - 1) / THREADS);
}

static __device__ inline size_t element_of_thread()
{
    return (size_t)blockIdx.x * THREADS + threadIdx.x;
}

/* A block has a tile of neighbouring channels, blockIdx.x says which, and so many lanes as there are threads for them: at a
 * time it reads `lanes` neighbouring pixels, so that neighbouring threads read neighbouring floats. */
struct lane {
    int channel, lane, lanes, width;
    bool idle; /* beyond the last lane or channel; it still must come to the barriers */
};

static __host__ __device__ inline int tile_width(int channels)
{
    return channels < TILE_CHANNELS ? channels : TILE_CHANNELS;
}

static inline unsigned tiles_for(int channels)
{
    return (unsigned)((channels + TILE_CHANNELS - 1) / TILE_CHANNELS);
}

static __device__ inline struct lane lane_of_thread(int channels)
{
    const int width = tile_width(channels), thread = (int)threadIdx.x;
    struct lane own = {(int)blockIdx.x * width + thread % width, thread / width, THREADS / width, width, false};

    own.idle = own.lane >= own.lanes || own.channel >= channels;
    return own;
}

/* The sum of all lanes' values of the thread's channel, in the order of the lanes. The whole block calls it. */
static __device__ inline double sum_lanes(const struct lane &own, double value)
{
    __shared__ double values[THREADS];
    double sum = 0.0;

    __syncthreads(); /* the sum before this one has been read */
    values[threadIdx.x] = value;
    __syncthreads();
    for (int lane = 0; lane < own.lanes; lane++)
        sum += values[lane * own.width + (int)threadIdx.x % own.width];
    return sum;
}

#endif
