#include "tests/gpu/library.h"

#include <algorithm>
#include <cstring>

#include "tests/gpu/context.h"
#include "tests/gpu/memory.h"
#include "tests/gpu/stream.h"

namespace gpu
{
namespace
{

/* Enough to be noticed, and little enough not to take time. */
constexpr size_t MOST_SCRIBBLED = 64 << 10;

} // namespace

bool usable(const workspace &w)
{
    return w.bytes == 0 || locate(w.data, w.bytes).kind == kind::device;
}

cudaError_t queue_kernel(int device, cudaStream_t stream, std::function<void()> run, const workspace &w,
                         std::initializer_list<span> spans)
{
    return call([&] {
        task item = {[=] {
                         if (w.bytes > 0)
                             memset(w.data, 0xff, std::min(w.bytes, MOST_SCRIBBLED));
                         run();
                     },
                     true};

        if (w.bytes > 0)
            item.allocations.push_back(use(device, w.data, w.bytes));
        for (const span &s : spans) {
            if (s.data != nullptr)
                item.allocations.push_back(use(device, s.data, s.bytes));
        }
        return enqueue(stream, std::move(item));
    });
}

} // namespace gpu
