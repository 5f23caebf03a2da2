/* The double of CUDA: what libcudart, libcublas, libcublasLt and libcudnn do, done on host memory by threads, late and in
 * CUDA's order only. The sources that drive a GPU are compiled against tests/gpu/include and linked with it.
 *
 * What it is like is read from the environment at the first call:
 *   GPU_DOUBLE_DEVICES=1         devices; 0 for none; "none" for a machine without a driver
 *   GPU_DOUBLE_PEERS=1           0: devices cannot reach each other's memory
 *   GPU_DOUBLE_CUDNN=1           0: as if cuDNN were not there
 *   GPU_DOUBLE_MEMORY_MIB=4096   of a device, for this process
 *   GPU_DOUBLE_DELAY_US=20       each item of a stream runs up to so much later
 *   GPU_DOUBLE_SEED=1            of the delays
 *   GPU_DOUBLE_FAULT_KERNEL=n    the n-th kernel that this process launches fails, and everything after it
 *
 * What CUDA leaves undefined or does silently ends the program with a message that begins with "gpu double:". Where the
 * processor has protection keys, a host thread that touches device memory dies of SIGSEGV; under AddressSanitizer, a kernel
 * that leaves its allocation is told. After a kernel has failed no event is reached any more, not by other processes either.
 *
 * Not here, and fatal: streams that are not cudaStreamNonBlocking, captures of several streams, types other than float. */
#ifndef TESTS_GPU_DOUBLE_H
#define TESTS_GPU_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this process so far: kernels (matrix products and convolutions included) launched; device and pinned
 * allocations and their bytes made, and not yet freed. Any thread may ask at any time. */
uint64_t double_launches(void);
uint64_t double_allocations_made(void);
uint64_t double_live_allocations(void);
uint64_t double_live_bytes(void);

/* Do host threads die when they touch device memory? */
bool double_protects_memory(void);

#ifdef __cplusplus
}
#endif

#endif
