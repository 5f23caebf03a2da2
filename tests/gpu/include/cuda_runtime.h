/* CUDA C++ as the double has it, for .cu files that a plain C++ compiler reads: the threads of a block run in turn on the
 * stream's thread, so that shared memory is thread-local there. No warp functions, no dynamic shared memory. */
#ifndef TESTS_GPU_CUDA_RUNTIME_H
#define TESTS_GPU_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"

#ifdef __cplusplus

#include <functional>
#include <initializer_list>
#include <math.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__      static thread_local
#define __constant__
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;

    constexpr dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1) : x(width), y(height), z(depth)
    {
    }
};

struct alignas(8) float2 {
    float x, y;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

inline float2 make_float2(float x, float y)
{
    return {x, y};
}

inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

inline __thread uint3 threadIdx, blockIdx;
inline __thread dim3 blockDim, gridDim;

/* All threads of the block come here, or the program ends. */
void double_barrier(const char *file, int line);

inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    double_barrier(file, line);
}

template <class T> inline T __ldg(const T *pointer)
{
    return *pointer;
}

inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}

#define DOUBLE_MIN_MAX(type)                                                                                           \
    inline type min(type a, type b)                                                                                    \
    {                                                                                                                  \
        return b < a ? b : a;                                                                                          \
    }                                                                                                                  \
    inline type max(type a, type b)                                                                                    \
    {                                                                                                                  \
        return a < b ? b : a;                                                                                          \
    }
DOUBLE_MIN_MAX(int)
DOUBLE_MIN_MAX(unsigned)
DOUBLE_MIN_MAX(long)
DOUBLE_MIN_MAX(unsigned long)
DOUBLE_MIN_MAX(long long)
DOUBLE_MIN_MAX(unsigned long long)
#undef DOUBLE_MIN_MAX

inline float min(float a, float b)
{
    return fminf(a, b);
}

inline float max(float a, float b)
{
    return fmaxf(a, b);
}

inline double min(double a, double b)
{
    return fmin(a, b);
}

inline double max(double a, double b)
{
    return fmax(a, b);
}

/* Queues a kernel: `thread` is what one thread of it does, `pointers` its arguments that are pointers (others are NULL
 * here): each must be device memory that is allocated, or pinned. */
cudaError_t double_launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> thread,
                          std::initializer_list<const void *> pointers);

template <class T> const void *double_pointer(const T &)
{
    return nullptr;
}

template <class T> const void *double_pointer(T *const &pointer)
{
    return const_cast<const void *>(static_cast<const volatile void *>(pointer));
}

#endif

#endif
