/* What all calls share: the settings, the current device, the errors, and whether this process may call at all. */
#ifndef TESTS_GPU_CONTEXT_H
#define TESTS_GPU_CONTEXT_H

#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>

namespace gpu
{

struct settings {
    bool driver, peers, cudnn;
    int devices;
    unsigned delay_us;
    uint64_t seed, fault_kernel;
    size_t memory; /* bytes per device */
};

const settings &configured();

/* What CUDA leaves undefined or does silently. */
[[noreturn]] void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

int current_device();

/* Peer access as this process has it: what has been enabled between devices, in this direction. */
bool peers_possible(int device, int peer);
bool peer_enabled(int device, int peer);
bool peer_enable(int device, int peer); /* was it already? */

/* A kernel has failed: from now on nothing runs, and all calls fail. */
void set_fault();
bool faulted();

/* The error with which every call of this process fails, if there is one. */
cudaError_t begin();
cudaError_t remember(cudaError_t error);

/* One call of the runtime. A wait may end with a fault. */
template <class Body> cudaError_t call(Body body)
{
    cudaError_t error = begin();

    if (error == cudaSuccess)
        error = body();
    return remember(faulted() ? cudaErrorIllegalAddress : error);
}

} // namespace gpu

#endif
