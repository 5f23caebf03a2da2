/* Which memory there is: device allocations, blocks opened from other processes, pinned host memory. */
#ifndef TESTS_GPU_MEMORY_H
#define TESTS_GPU_MEMORY_H

#include <cstddef>
#include <cstdint>

#include "tests/gpu/shared_file.h"

namespace gpu
{

enum { DEVICE_MEMORY = 1, EVENT = 2 }; /* kinds of shared files */

enum class kind {
    pageable, /* host memory that CUDA knows nothing of */
    pinned,
    device,
    stray, /* in a device's address range, but not within one allocation */
};

struct place {
    gpu::kind kind;
    int device;
    uint64_t serial; /* of the allocation; no two are the same */
};

/* Where `bytes` from `pointer` on lie. The end of an allocation belongs to it if bytes is 0. */
place locate(const void *pointer, size_t bytes);

/* Is this allocation still there? */
bool alive(uint64_t serial);

/* The serial of the allocation of which a kernel on `device` uses so many bytes (0: it is not known how many). Ends the
 * program if they are not all there, or out of the device's reach. */
uint64_t use(int device, const void *pointer, size_t bytes);

} // namespace gpu

#endif
