#include "tests/gpu/test_kernels.h"

#include "kernels/cuda/launch.h"

enum { THREADS = 64 };

static __global__ void scale(float *__restrict__ values, int count, float factor, float summand)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

    if (i < count)
        values[i] = values[i] * factor + summand;
}

static __global__ void __launch_bounds__(THREADS) sum(const float *values, float *sums)
{
    __shared__ float partial[THREADS];
    unsigned i = threadIdx.x;

    partial[i] = __ldg(values + blockIdx.x * THREADS + i);
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (i < half)
            partial[i] += partial[i + half];
    }
    if (i == 0)
        sums[blockIdx.x] = partial[0];
}

static __global__ void hold(volatile int *gate)
{
    gate[1] = 1;
    while (gate[0] == 0)
        ;
}

static __global__ void diverge(test_divergence how, float *values)
{
    bool lower = threadIdx.x < THREADS / 2;

    if (lower ? how != LOWER_ENDS : how == LOWER_ENDS)
        __syncthreads();
    else if (how == TWO_BARRIERS)
        __syncthreads();
    values[threadIdx.x] = 1;
}

cudaError_t test_scale(float *values, int count, float factor, float summand, cudaStream_t stream)
{
    return launch(scale, (unsigned)(count + THREADS - 1) / THREADS, THREADS, stream, values, count, factor, summand);
}

cudaError_t test_sum(const float *values, int blocks, float *sums, cudaStream_t stream)
{
    return launch(sum, (unsigned)blocks, THREADS, stream, values, sums);
}

cudaError_t test_hold(volatile int *gate, cudaStream_t stream)
{
    return launch(hold, 1, 1, stream, gate);
}

cudaError_t test_diverge(enum test_divergence how, float *values, cudaStream_t stream)
{
    return launch(diverge, 1, THREADS, stream, how, values);
}
