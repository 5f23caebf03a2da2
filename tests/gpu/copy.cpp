/* Copies and fills. Copies that are asynchronous want pinned host memory. */
#include <cstring>

#include "tests/gpu/context.h"
#include "tests/gpu/memory.h"
#include "tests/gpu/stream.h"

using namespace gpu;

namespace
{

/* Which sides of a copy are the device's. */
const struct {
    cudaMemcpyKind kind;
    bool destination, source;
} directions[] = {
    {cudaMemcpyHostToHost, false, false},
    {cudaMemcpyHostToDevice, true, false},
    {cudaMemcpyDeviceToHost, false, true},
    {cudaMemcpyDeviceToDevice, true, true},
};

bool fits(const place &destination, const place &source, cudaMemcpyKind kind)
{
    if (destination.kind == kind::stray || source.kind == kind::stray)
        return false;
    if (kind == cudaMemcpyDefault)
        return true;
    for (const auto &d : directions) {
        if (d.kind == kind)
            return d.destination == (destination.kind == kind::device) && d.source == (source.kind == kind::device);
    }
    return false;
}

std::vector<uint64_t> serials(std::initializer_list<place> places)
{
    std::vector<uint64_t> list;

    for (const place &p : places) {
        if (p.serial != 0)
            list.push_back(p.serial);
    }
    return list;
}

cudaError_t fill(void *pointer, int value, size_t count, cudaStream_t stream)
{
    if (count == 0)
        return cudaSuccess;
    place p = locate(pointer, count);
    if (p.kind != kind::device && p.kind != kind::pinned)
        return cudaErrorInvalidValue;
    return enqueue(stream, {[=] { memset(pointer, value, count); }, false, serials({p})});
}

} // namespace

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    return call([&] {
        if (count == 0)
            return cudaSuccess;
        place destination = locate(dst, count), source = locate(src, count);
        if (!fits(destination, source, kind))
            return cudaErrorInvalidValue;
        if (destination.kind == kind::pageable || source.kind == kind::pageable)
            fatal("cudaMemcpyAsync with host memory that is not pinned: CUDA would copy while the caller waits");
        return enqueue(stream, {[=] { memcpy(dst, src, count); }, false, serials({destination, source})});
    });
}

/* Between two places of device memory, CUDA does not let the host wait. */
cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind)
{
    return call([&] {
        cudaError_t error = not_while_capturing();

        if (error != cudaSuccess || count == 0)
            return error;
        place destination = locate(dst, count), source = locate(src, count);
        if (!fits(destination, source, kind))
            return cudaErrorInvalidValue;
        error = enqueue(nullptr, {[=] { memcpy(dst, src, count); }});
        if (error == cudaSuccess && (destination.kind != kind::device || source.kind != kind::device))
            wait_for_stream(*find_stream(nullptr));
        return error;
    });
}

cudaError_t cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream)
{
    return call([&] { return fill(devPtr, value, count, stream); });
}

cudaError_t cudaMemset(void *devPtr, int value, size_t count)
{
    return call([&] {
        cudaError_t error = not_while_capturing();

        return error == cudaSuccess ? fill(devPtr, value, count, nullptr) : error;
    });
}
