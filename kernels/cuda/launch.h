/* How .cu files launch kernels: launch(kernel, grid, block, stream, arguments...). Arguments are converted to the kernel's
 * parameters. Returns what went wrong with this launch, and nothing that an earlier call left behind. With nvcc it is
 * CUDA's launch; with another compiler the kernel is a plain function that the tests' double of CUDA runs. */
#ifndef TP_KERNELS_CUDA_LAUNCH_H
#define TP_KERNELS_CUDA_LAUNCH_H

#include <cuda_runtime.h>

/* Keeps a parameter's type out of deduction: the kernel alone says it. */
template <class T> struct as_declared {
    using type = T;
};

template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream,
                   typename as_declared<Parameters>::type... arguments)
{
#ifdef __CUDACC__
    void *pointers[] = {(void *)&arguments...};

    return cudaLaunchKernel((const void *)kernel, grid, block, pointers, 0, stream);
#else
    return double_launch(stream, grid, block, [=] { kernel(arguments...); }, {double_pointer(arguments)...});
#endif
}

#endif
