/* The threads of a block, run in turn on one thread of the host. */
#ifndef TESTS_GPU_FIBRES_H
#define TESTS_GPU_FIBRES_H

#include <functional>

namespace gpu
{

/* Runs `thread` for each threadIdx of blockDim. */
void run_block(const std::function<void()> &thread);

} // namespace gpu

#endif
