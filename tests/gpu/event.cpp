#include "tests/gpu/event.h"

#include <chrono>
#include <climits>
#include <cstring>
#include <linux/futex.h>
#include <mutex>
#include <set>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/gpu/capture.h"
#include "tests/gpu/context.h"
#include "tests/gpu/memory.h"

namespace gpu
{
namespace
{

struct registry {
    std::mutex lock;
    std::set<cudaEvent_t> events;
};

registry &all = *new registry;

int64_t now()
{
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool known(cudaEvent_t event)
{
    std::lock_guard<std::mutex> guard(all.lock);

    return all.events.count(event) != 0;
}

cudaEvent_t admit(cudaEvent_t event)
{
    std::lock_guard<std::mutex> guard(all.lock);

    all.events.insert(event);
    return event;
}

/* The state in a shared file keeps the file. */
std::shared_ptr<event_state> state_in(std::shared_ptr<shared_file> file)
{
    auto *state = reinterpret_cast<event_state *>(file->data());

    return std::shared_ptr<event_state>(std::move(file), state);
}

cudaError_t create(cudaEvent_t *event, unsigned flags)
{
    const unsigned interprocess = cudaEventInterprocess | cudaEventDisableTiming;

    if ((flags & ~(interprocess | cudaEventBlockingSync)) != 0 || (flags & interprocess) == cudaEventInterprocess)
        return cudaErrorInvalidValue;
    if ((flags & cudaEventInterprocess) == 0) {
        *event = admit(new CUevent_st{flags, current_device(), std::make_shared<event_state>(), {}, false});
        return cudaSuccess;
    }
    std::shared_ptr<shared_file> file = shared_file::create(EVENT, current_device(), sizeof(event_state), false);
    if (file == nullptr)
        return cudaErrorMemoryAllocation;
    new (file->data()) event_state;
    *event = admit(new CUevent_st{flags, current_device(), state_in(file), file->handle(), false});
    return cudaSuccess;
}

/* In a capture a record is only a mark. */
cudaError_t record_captured(CUevent_st &event, CUstream_st &stream)
{
    if ((event.flags & cudaEventInterprocess) != 0)
        return invalidate(stream, cudaErrorStreamCaptureUnsupported);
    event.captured = &stream;
    return cudaSuccess;
}

cudaError_t wait_captured(CUevent_st &event, CUstream_st &stream)
{
    if (event.captured == &stream)
        return cudaSuccess;
    if (event.captured != nullptr && capturing(*event.captured))
        fatal("a capture of more than one stream is not recorded here");
    return event.state->newest() == 0 ? cudaSuccess : invalidate(stream, cudaErrorStreamCaptureIsolation);
}

/* What a call says that asks for an event's state. */
cudaError_t cannot_ask(cudaEvent_t event)
{
    if (!known(event))
        return cudaErrorInvalidResourceHandle;
    if (event->captured != nullptr && capturing(*event->captured))
        return invalidate(*event->captured, cudaErrorCapturedEvent);
    return not_while_capturing();
}

} // namespace

void event_state::reach(uint64_t n)
{
    reached_at = now();
    done[n % SLOTS] = n;
    changes++;
    syscall(SYS_futex, &changes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool event_state::reached(uint64_t n) const
{
    return done[n % SLOTS] >= n;
}

void event_state::wait(uint64_t n)
{
    const timespec moment = {0, 50000000};

    for (;;) {
        uint32_t before = changes;
        if (reached(n) || faulted())
            return;
        syscall(SYS_futex, &changes, FUTEX_WAIT, before, &moment, nullptr, 0);
    }
}

} // namespace gpu

using namespace gpu;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    return call([&] { return create(event, flags); });
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return call([&] {
        std::lock_guard<std::mutex> guard(all.lock);

        if (all.events.erase(event) == 0)
            return cudaErrorInvalidResourceHandle;
        delete event;
        return cudaSuccess;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return call([&] {
        auto found = find_stream(stream);

        if (found == nullptr || !known(event) || event->device != found->device)
            return cudaErrorInvalidResourceHandle;
        if (capturing(*found))
            return record_captured(*event, *found);
        event->captured = nullptr;
        uint64_t n = event->state->record();
        return enqueue(stream, {[state = event->state, n] { state->reach(n); }});
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    return call([&] {
        auto found = find_stream(stream);

        if (found == nullptr || !known(event))
            return cudaErrorInvalidResourceHandle;
        if (flags != cudaEventWaitDefault)
            return cudaErrorInvalidValue;
        if (capturing(*found))
            return wait_captured(*event, *found);
        if (event->captured != nullptr && capturing(*event->captured))
            fatal("a capture of more than one stream is not recorded here");
        uint64_t n = event->state->newest();
        return enqueue(stream, {[state = event->state, n] { state->wait(n); }});
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return call([&] {
        cudaError_t error = cannot_ask(event);

        if (error != cudaSuccess)
            return error;
        return event->state->reached(event->state->newest()) ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return call([&] {
        cudaError_t error = cannot_ask(event);

        if (error == cudaSuccess)
            event->state->wait(event->state->newest());
        return error;
    });
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    return call([&] {
        for (cudaEvent_t event : {start, end}) {
            if (!known(event) || (event->flags & cudaEventDisableTiming) != 0 || event->state->newest() == 0)
                return cudaErrorInvalidResourceHandle;
        }
        for (cudaEvent_t event : {start, end}) {
            if (!event->state->reached(event->state->newest()))
                return cudaErrorNotReady;
        }
        *ms = (float)((double)(end->state->time() - start->state->time()) * 1e-6);
        return cudaSuccess;
    });
}

cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t *handle, cudaEvent_t event)
{
    return call([&] {
        if (!known(event) || (event->flags & cudaEventInterprocess) == 0 || event->opened)
            return cudaErrorInvalidResourceHandle;
        static_assert(sizeof event->handle <= sizeof *handle, "a handle has 64 bytes");
        memset(handle, 0, sizeof *handle);
        memcpy(handle, &event->handle, sizeof event->handle);
        return cudaSuccess;
    });
}

cudaError_t cudaIpcOpenEventHandle(cudaEvent_t *event, cudaIpcEventHandle_t handle)
{
    return call([&] {
        ipc_handle name;

        memcpy(&name, &handle, sizeof name);
        if (name.kind != EVENT || name.bytes != sizeof(event_state))
            return cudaErrorInvalidValue;
        if (name.pid == getpid())
            return cudaErrorDeviceUninitialized;
        std::shared_ptr<shared_file> file = shared_file::open(name, false);
        if (file == nullptr)
            return cudaErrorMapBufferObjectFailed;
        *event = admit(
            new CUevent_st{cudaEventInterprocess | cudaEventDisableTiming, name.device, state_in(file), name, true});
        return cudaSuccess;
    });
}
