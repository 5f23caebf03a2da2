#include "tests/gpu/memory.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#include "tests/gpu/context.h"
#include "tests/gpu/double.h"
#include "tests/gpu/stream.h"

namespace gpu
{
namespace
{

/* As CUDA does: small allocations share a block, and a handle names the block. */
constexpr size_t BLOCK = 2 << 20, SMALL = 1 << 20, ALIGNMENT = 512;
constexpr int POISON = 0xff; /* NaN in every format */

struct allocation {
    size_t bytes;
    uint64_t serial;
    bool exported;
};

struct block {
    std::unique_ptr<shared_file> file;
    std::map<size_t, allocation> allocations; /* by offset */
    int opened;                               /* how often this process has opened another's block */
};

struct host_range {
    size_t bytes;
    uint64_t serial;
    bool allocated; /* by cudaHostAlloc, not registered */
};

/* Never destroyed: streams may still run while the process ends. */
struct registry {
    std::mutex lock;
    std::map<uintptr_t, block> blocks;
    std::map<uintptr_t, host_range> pinned;
    std::set<uint64_t> serials;
    uint64_t made = 0, live_bytes = 0;

    uint64_t admit(size_t bytes)
    {
        live_bytes += bytes;
        serials.insert(++made);
        return made;
    }

    void dismiss(uint64_t serial, size_t bytes)
    {
        live_bytes -= bytes;
        serials.erase(serial);
    }
};

registry &all = *new registry;

size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* The entry whose range begins at or before `address` and does not end before it. */
template <class Map, class Size> auto enclosing(Map &map, uintptr_t address, Size size)
{
    auto it = map.upper_bound(address);

    if (it == map.begin())
        return map.end();
    --it;
    return address - it->first <= size(it->second) ? it : map.end();
}

auto find_block(uintptr_t address)
{
    auto it = enclosing(all.blocks, address, [](const block &b) { return b.file->size(); });

    return it != all.blocks.end() && address - it->first == it->second.file->size() ? all.blocks.end() : it;
}

auto find_pinned(uintptr_t address)
{
    return enclosing(all.pinned, address, [](const host_range &r) { return r.bytes; });
}

size_t used(int device)
{
    size_t bytes = 0;

    for (const auto &[base, b] : all.blocks)
        bytes += b.opened == 0 && b.file->handle().device == device ? b.file->size() : 0;
    return bytes;
}

/* The first gap of a shared block, or a block's size if there is none. */
size_t find_gap(const block &b, size_t bytes)
{
    size_t begin = 0;

    for (const auto &[offset, a] : b.allocations) {
        if (offset - begin >= bytes)
            return begin;
        begin = offset + round_up(a.bytes, ALIGNMENT);
    }
    return begin + bytes <= b.file->size() ? begin : b.file->size();
}

/* A block with room at *offset; a new one if need be. */
auto find_room(int device, size_t bytes, size_t *offset)
{
    size_t room = round_up(bytes, ALIGNMENT);

    for (auto it = all.blocks.begin(); it != all.blocks.end() && bytes <= SMALL; ++it) {
        const block &b = it->second;
        if (b.opened == 0 && b.file->handle().device == device && b.file->size() == BLOCK &&
            (*offset = find_gap(b, room)) < BLOCK)
            return it;
    }
    *offset = 0;
    size_t size = round_up(bytes, BLOCK);
    if (bytes > configured().memory || used(device) + size > configured().memory)
        return all.blocks.end();
    block b = {shared_file::create(DEVICE_MEMORY, device, size, true), {}, 0};
    if (b.file == nullptr)
        return all.blocks.end();
    ASAN_POISON_MEMORY_REGION(b.file->data(), size);
    return all.blocks.emplace((uintptr_t)b.file->data(), std::move(b)).first;
}

void poison(char *data, size_t bytes)
{
    device_access access;

    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    memset(data, POISON, bytes);
}

/* Frees an allocation. A block that has no other goes, and with it what lies at its addresses: false then. */
bool release(std::map<uintptr_t, block>::iterator it, std::map<size_t, allocation>::iterator a)
{
    char *data = it->second.file->data() + a->first;
    pid_t importer = a->second.exported ? it->second.file->opened_by() : 0;

    if (importer != 0)
        fatal("cudaFree of memory that process %d still has open", (int)importer);
    poison(data, a->second.bytes);
    ASAN_POISON_MEMORY_REGION(data, a->second.bytes);
    all.dismiss(a->second.serial, a->second.bytes);
    it->second.allocations.erase(a);
    if (!it->second.allocations.empty())
        return true;
    ASAN_UNPOISON_MEMORY_REGION(it->second.file->data(), it->second.file->size());
    all.blocks.erase(it);
    return false;
}

cudaError_t host_alloc(void **pointer, size_t size)
{
    cudaError_t error = not_while_capturing();

    if (error != cudaSuccess)
        return error;
    *pointer = nullptr;
    if (size == 0)
        return cudaSuccess;
    void *memory = aligned_alloc(4096, round_up(size, 4096));
    if (memory == nullptr)
        return cudaErrorMemoryAllocation;
    memset(memory, POISON, size);
    std::lock_guard<std::mutex> guard(all.lock);
    all.pinned[(uintptr_t)memory] = {size, all.admit(size), true};
    *pointer = memory;
    return cudaSuccess;
}

/* Takes a range that begins here off the list. Work that uses it is waited for. */
cudaError_t forget_host(void *pointer, bool allocated, cudaError_t otherwise)
{
    cudaError_t error = not_while_capturing();

    if (error != cudaSuccess)
        return error;
    wait_for_device(-1);
    std::lock_guard<std::mutex> guard(all.lock);
    auto it = all.pinned.find((uintptr_t)pointer);
    if (it == all.pinned.end() || it->second.allocated != allocated)
        return otherwise;
    all.dismiss(it->second.serial, it->second.bytes);
    all.pinned.erase(it);
    return cudaSuccess;
}

} // namespace

place locate(const void *pointer, size_t bytes)
{
    std::lock_guard<std::mutex> guard(all.lock);
    uintptr_t address = (uintptr_t)pointer;
    auto pinned = find_pinned(address);
    auto it = find_block(address);

    if (it != all.blocks.end()) {
        const block &b = it->second;
        size_t offset = address - it->first;
        int device = b.file->handle().device;
        auto a = enclosing(b.allocations, offset, [](const allocation &x) { return x.bytes; });
        if (a == b.allocations.end() || bytes > a->second.bytes - (offset - a->first))
            return {kind::stray, device, 0};
        return {kind::device, device, a->second.serial};
    }
    if (pinned != all.pinned.end() && bytes <= pinned->second.bytes - (address - pinned->first))
        return {kind::pinned, -1, pinned->second.serial};
    return {kind::pageable, -1, 0};
}

bool alive(uint64_t serial)
{
    std::lock_guard<std::mutex> guard(all.lock);

    return all.serials.count(serial) != 0;
}

uint64_t use(int device, const void *pointer, size_t bytes)
{
    place p = locate(pointer, bytes);

    if (p.kind == kind::pageable)
        fatal("a kernel is given %p (%zu bytes), which is neither device memory nor pinned", pointer, bytes);
    if (p.kind == kind::stray)
        fatal("a kernel is given %p (%zu bytes), which is not, or no longer, allocated on a device", pointer, bytes);
    if (p.kind == kind::device && !peer_enabled(device, p.device))
        fatal("a kernel on device %d is given memory of device %d, without peer access", device, p.device);
    return p.serial;
}

} // namespace gpu

using namespace gpu;

cudaError_t cudaMalloc(void **devPtr, size_t size)
{
    return call([&] {
        size_t offset;
        cudaError_t error = not_while_capturing();

        if (error != cudaSuccess)
            return error;
        *devPtr = nullptr;
        if (size == 0)
            return cudaSuccess;
        std::lock_guard<std::mutex> guard(all.lock);
        auto it = find_room(current_device(), size, &offset);
        if (it == all.blocks.end())
            return cudaErrorMemoryAllocation;
        char *data = it->second.file->data() + offset;
        poison(data, size);
        it->second.allocations[offset] = {size, all.admit(size), false};
        *devPtr = data;
        return cudaSuccess;
    });
}

cudaError_t cudaFree(void *devPtr)
{
    return call([&] {
        cudaError_t error = not_while_capturing();

        if (error != cudaSuccess || devPtr == nullptr)
            return error;
        wait_for_device(locate(devPtr, 0).device);
        std::lock_guard<std::mutex> guard(all.lock);
        auto it = find_block((uintptr_t)devPtr);
        if (it == all.blocks.end() || it->second.opened != 0)
            return cudaErrorInvalidValue;
        auto a = it->second.allocations.find((uintptr_t)devPtr - it->first);
        if (a == it->second.allocations.end())
            return cudaErrorInvalidValue;
        release(it, a);
        return cudaSuccess;
    });
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    return call([&] {
        std::lock_guard<std::mutex> guard(all.lock);

        *total = configured().memory;
        *free = *total - used(current_device());
        return cudaSuccess;
    });
}

cudaError_t cudaHostAlloc(void **pHost, size_t size, unsigned int flags)
{
    return call([&] {
        return (flags & ~(unsigned)(cudaHostAllocPortable | cudaHostAllocMapped)) != 0 ? cudaErrorInvalidValue
                                                                                       : host_alloc(pHost, size);
    });
}

cudaError_t cudaMallocHost(void **ptr, size_t size)
{
    return cudaHostAlloc(ptr, size, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *ptr)
{
    return call([&] {
        cudaError_t error = ptr == nullptr ? cudaSuccess : forget_host(ptr, true, cudaErrorInvalidValue);

        if (error == cudaSuccess)
            free(ptr);
        return error;
    });
}

cudaError_t cudaHostRegister(void *ptr, size_t size, unsigned int flags)
{
    return call([&] {
        uintptr_t address = (uintptr_t)ptr;

        if (ptr == nullptr || size == 0 ||
            (flags & ~(unsigned)(cudaHostRegisterPortable | cudaHostRegisterMapped)) != 0)
            return cudaErrorInvalidValue;
        std::lock_guard<std::mutex> guard(all.lock);
        if (find_block(address) != all.blocks.end())
            return cudaErrorInvalidValue;
        auto next = all.pinned.lower_bound(address);
        auto before = find_pinned(address);
        if ((next != all.pinned.end() && next->first - address < size) ||
            (before != all.pinned.end() && address - before->first < before->second.bytes))
            return cudaErrorHostMemoryAlreadyRegistered;
        all.pinned[address] = {size, all.admit(size), false};
        return cudaSuccess;
    });
}

cudaError_t cudaHostUnregister(void *ptr)
{
    return call([&] { return forget_host(ptr, false, cudaErrorHostMemoryNotRegistered); });
}

cudaError_t cudaHostGetDevicePointer(void **pDevice, void *pHost, unsigned int flags)
{
    return call([&] {
        if (flags != 0 || locate(pHost, 1).kind != kind::pinned)
            return cudaErrorInvalidValue;
        *pDevice = pHost;
        return cudaSuccess;
    });
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *devPtr)
{
    return call([&] {
        std::lock_guard<std::mutex> guard(all.lock);
        auto it = find_block((uintptr_t)devPtr);

        if (it == all.blocks.end() || it->second.opened != 0)
            return cudaErrorInvalidValue;
        auto a = enclosing(it->second.allocations, (uintptr_t)devPtr - it->first,
                           [](const allocation &x) { return x.bytes; });
        if (a == it->second.allocations.end())
            return cudaErrorInvalidValue;
        a->second.exported = true;
        static_assert(sizeof(ipc_handle) <= sizeof *handle, "a handle has 64 bytes");
        memset(handle, 0, sizeof *handle);
        memcpy(handle, &it->second.file->handle(), sizeof(ipc_handle));
        return cudaSuccess;
    });
}

cudaError_t cudaIpcOpenMemHandle(void **devPtr, cudaIpcMemHandle_t handle, unsigned int flags)
{
    return call([&] {
        ipc_handle name;

        memcpy(&name, &handle, sizeof name);
        if (flags != cudaIpcMemLazyEnablePeerAccess)
            return cudaErrorInvalidValue;
        if (name.kind != DEVICE_MEMORY || name.device < 0 || name.device >= configured().devices)
            return cudaErrorInvalidValue;
        if (name.pid == getpid())
            return cudaErrorDeviceUninitialized;
        if (name.device != current_device() && !peers_possible(current_device(), name.device))
            return cudaErrorPeerAccessUnsupported;
        peer_enable(current_device(), name.device);
        std::lock_guard<std::mutex> guard(all.lock);
        for (auto &[base, b] : all.blocks) {
            if (b.opened > 0 && b.file->handle().nonce == name.nonce) {
                b.opened++;
                *devPtr = b.file->data();
                return cudaSuccess;
            }
        }
        block b = {shared_file::open(name, true), {}, 1};
        if (b.file == nullptr)
            return cudaErrorMapBufferObjectFailed;
        /* Counted as no allocation of this process. */
        uint64_t serial = UINT64_MAX - name.nonce / 2;
        b.allocations[0] = {b.file->size(), serial, false};
        all.serials.insert(serial);
        *devPtr = b.file->data();
        all.blocks.emplace((uintptr_t)*devPtr, std::move(b));
        return cudaSuccess;
    });
}

cudaError_t cudaIpcCloseMemHandle(void *devPtr)
{
    return call([&] {
        std::lock_guard<std::mutex> guard(all.lock);
        auto it = all.blocks.find((uintptr_t)devPtr);

        if (it == all.blocks.end() || it->second.opened == 0)
            return cudaErrorInvalidValue;
        if (--it->second.opened == 0) {
            all.serials.erase(it->second.allocations[0].serial);
            all.blocks.erase(it);
        }
        return cudaSuccess;
    });
}

/* Frees what is left on the device; streams and events of it stay. */
cudaError_t cudaDeviceReset(void)
{
    return call([] {
        cudaError_t error = not_while_capturing();

        if (error != cudaSuccess)
            return error;
        wait_for_device(current_device());
        std::lock_guard<std::mutex> guard(all.lock);
        for (auto it = all.blocks.begin(); it != all.blocks.end();) {
            auto next = std::next(it);
            while (it->second.opened == 0 && it->second.file->handle().device == current_device() &&
                   release(it, it->second.allocations.begin()))
                ;
            it = next;
        }
        return cudaSuccess;
    });
}

uint64_t double_allocations_made(void)
{
    std::lock_guard<std::mutex> guard(all.lock);

    return all.made;
}

uint64_t double_live_bytes(void)
{
    std::lock_guard<std::mutex> guard(all.lock);

    return all.live_bytes;
}

uint64_t double_live_allocations(void)
{
    std::lock_guard<std::mutex> guard(all.lock);
    uint64_t live = all.pinned.size();

    for (const auto &[base, b] : all.blocks)
        live += b.opened == 0 ? b.allocations.size() : 0;
    return live;
}

bool double_protects_memory(void)
{
    return device_memory_protected();
}
