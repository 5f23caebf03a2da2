#include "tests/gpu/stream.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <pthread.h>
#include <sys/prctl.h>
#include <thread>
#include <time.h>

#include "tests/gpu/context.h"
#include "tests/gpu/double.h"
#include "tests/gpu/shared_file.h"

namespace gpu
{
namespace
{

/* Never destroyed: streams may still run while the process ends. */
struct registry {
    std::mutex lock;
    std::vector<std::shared_ptr<CUstream_st>> streams; /* and what was destroyed, but has work to do */
    std::vector<std::shared_ptr<CUstream_st>> defaults;
    uint64_t made = 0;
};

registry &all = *new registry;
std::atomic<uint64_t> kernels;

uint64_t next_random(uint64_t &state)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void delay(CUstream_st &stream)
{
    if (configured().delay_us == 0)
        return;
    uint64_t ns = next_random(stream.random) % (configured().delay_us * 1000ull + 1);
    timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    nanosleep(&time, nullptr);
}

void serve(const std::shared_ptr<CUstream_st> &stream)
{
    device_access access;
    std::unique_lock<std::mutex> guard(stream->lock);

    prctl(PR_SET_TIMERSLACK, 1);
    for (;;) {
        stream->changed.wait(guard, [&] { return stream->closing || !stream->queue.empty(); });
        if (stream->queue.empty())
            break;
        stream->running = std::move(stream->queue.front());
        stream->queue.pop_front();
        guard.unlock();
        delay(*stream);
        if (!faulted())
            stream->running.run();
        stream->running = {};
        guard.lock();
        stream->done++;
        stream->changed.notify_all();
    }
    guard.unlock();
    std::lock_guard<std::mutex> registered(all.lock);
    all.streams.erase(std::find(all.streams.begin(), all.streams.end(), stream));
}

/* Signals are for the program's own threads. */
void start(const std::shared_ptr<CUstream_st> &stream)
{
    sigset_t blocked, before;

    sigfillset(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    std::thread(serve, stream).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/* With all.lock held. */
std::shared_ptr<CUstream_st> make_stream(int device)
{
    auto stream = std::make_shared<CUstream_st>();

    stream->device = device;
    stream->random = configured().seed + all.made++;
    all.streams.push_back(stream);
    start(stream);
    return stream;
}

} // namespace

std::shared_ptr<CUstream_st> find_stream(cudaStream_t handle)
{
    std::lock_guard<std::mutex> guard(all.lock);

    if (handle == nullptr) {
        all.defaults.resize((size_t)configured().devices);
        auto &stream = all.defaults[(size_t)current_device()];
        if (stream == nullptr)
            stream = make_stream(current_device());
        return stream;
    }
    for (const auto &stream : all.streams) {
        if (stream.get() == handle)
            return stream->closing ? nullptr : stream;
    }
    return nullptr;
}

void push(CUstream_st &stream, task item)
{
    if (item.is_kernel && ++kernels == configured().fault_kernel)
        item.run = set_fault;
    std::lock_guard<std::mutex> guard(stream.lock);
    stream.queue.push_back(std::move(item));
    stream.queued++;
    stream.changed.notify_all();
}

void wait_for_stream(CUstream_st &stream)
{
    std::unique_lock<std::mutex> guard(stream.lock);
    uint64_t goal = stream.queued;

    stream.changed.wait(guard, [&] { return stream.done >= goal; });
}

void wait_for_device(int device)
{
    std::vector<std::shared_ptr<CUstream_st>> streams;

    {
        std::lock_guard<std::mutex> guard(all.lock);
        streams = all.streams;
    }
    for (const auto &stream : streams) {
        if (device < 0 || stream->device == device)
            wait_for_stream(*stream);
    }
}

} // namespace gpu

using namespace gpu;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags)
{
    return call([&] {
        if (flags == cudaStreamDefault)
            fatal("only streams of cudaStreamNonBlocking: no order with the default stream is kept here");
        if (flags != cudaStreamNonBlocking)
            return cudaErrorInvalidValue;
        std::lock_guard<std::mutex> guard(all.lock);
        *pStream = make_stream(current_device()).get();
        return cudaSuccess;
    });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return call([&] {
        auto found = stream == nullptr ? nullptr : find_stream(stream);

        if (found == nullptr)
            return cudaErrorInvalidResourceHandle;
        cudaError_t error = not_while_capturing(*found);
        if (error != cudaSuccess)
            return error;
        std::scoped_lock guard(all.lock, found->lock);
        found->closing = true;
        found->changed.notify_all();
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return call([&] {
        auto found = find_stream(stream);
        cudaError_t error = found == nullptr ? cudaErrorInvalidResourceHandle : not_while_capturing(*found);

        if (error == cudaSuccess)
            wait_for_stream(*found);
        return error;
    });
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return call([&] {
        auto found = find_stream(stream);
        cudaError_t error = found == nullptr ? cudaErrorInvalidResourceHandle : not_while_capturing(*found);

        if (error != cudaSuccess)
            return error;
        std::lock_guard<std::mutex> guard(found->lock);
        return found->done == found->queued ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaDeviceSynchronize(void)
{
    return call([] {
        cudaError_t error = not_while_capturing();

        if (error == cudaSuccess)
            wait_for_device(current_device());
        return error;
    });
}

uint64_t double_launches(void)
{
    return kernels;
}
