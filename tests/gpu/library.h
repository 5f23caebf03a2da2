/* What the libraries on top of the runtime (cuBLAS, cuBLASLt, cuDNN) share. */
#ifndef TESTS_GPU_LIBRARY_H
#define TESTS_GPU_LIBRARY_H

#include <cstddef>
#include <cuda_runtime_api.h>
#include <functional>
#include <initializer_list>

namespace gpu
{

struct workspace {
    void *data;
    size_t bytes;
};

struct span {
    const void *data;
    size_t bytes;
};

/* Is it a piece of device memory (or of no bytes)? */
bool usable(const workspace &w);

/* Queues one kernel that uses this memory (spans that are NULL aside), and leaves nothing of the workspace's contents. */
cudaError_t queue_kernel(int device, cudaStream_t stream, std::function<void()> run, const workspace &w,
                         std::initializer_list<span> spans);

} // namespace gpu

#endif
