/* A kernel on a stream: its blocks run one after another, in order. */
#include <cuda_runtime.h>

#include "tests/gpu/context.h"
#include "tests/gpu/fibres.h"
#include "tests/gpu/memory.h"
#include "tests/gpu/stream.h"

using namespace gpu;

namespace
{

bool possible(const dim3 &grid, const dim3 &block)
{
    uint64_t threads = (uint64_t)block.x * block.y * block.z;

    return grid.x > 0 && grid.x <= 0x7fffffff && grid.y > 0 && grid.y <= 65535 && grid.z > 0 && grid.z <= 65535 &&
           threads > 0 && threads <= 1024 && block.z <= 64;
}

void run_grid(const dim3 &grid, const dim3 &block, const std::function<void()> &thread)
{
    gridDim = grid;
    blockDim = block;
    for (unsigned z = 0; z < grid.z; z++) {
        for (unsigned y = 0; y < grid.y; y++) {
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = {x, y, z};
                run_block(thread);
            }
        }
    }
}

} // namespace

cudaError_t double_launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> thread,
                          std::initializer_list<const void *> pointers)
{
    return call([&] {
        auto found = find_stream(stream);
        std::vector<uint64_t> allocations;

        if (found == nullptr || found->device != current_device())
            return cudaErrorInvalidResourceHandle;
        if (!possible(grid, block))
            return cudaErrorInvalidConfiguration;
        for (const void *pointer : pointers) {
            if (pointer != nullptr)
                allocations.push_back(use(found->device, pointer, 0));
        }
        return enqueue(stream, {[=] { run_grid(grid, block, thread); }, true, std::move(allocations)});
    });
}
