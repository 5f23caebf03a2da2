#include "tests/gpu/context.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>

namespace gpu
{
namespace
{

enum { MOST_DEVICES = 16 };

std::atomic<bool> fault_seen, forked;
std::atomic<bool> enabled[MOST_DEVICES][MOST_DEVICES];
thread_local int device_of_thread;
thread_local cudaError_t last_error;

uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    char *end;

    if (text == nullptr)
        return otherwise;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0')
        fatal("%s=%s is no number", name, text);
    return value;
}

settings read_environment()
{
    settings s = {};
    const char *devices = getenv("GPU_DOUBLE_DEVICES");

    s.driver = devices == nullptr || strcmp(devices, "none") != 0;
    s.devices = s.driver ? (int)number("GPU_DOUBLE_DEVICES", 1) : 0;
    if (s.devices > MOST_DEVICES)
        fatal("GPU_DOUBLE_DEVICES is at most %d", MOST_DEVICES);
    s.peers = number("GPU_DOUBLE_PEERS", 1) != 0;
    s.cudnn = number("GPU_DOUBLE_CUDNN", 1) != 0;
    s.delay_us = (unsigned)number("GPU_DOUBLE_DELAY_US", 20);
    s.seed = number("GPU_DOUBLE_SEED", 1);
    s.fault_kernel = number("GPU_DOUBLE_FAULT_KERNEL", 0);
    s.memory = number("GPU_DOUBLE_MEMORY_MIB", 4096) << 20;
    return s;
}

/* CUDA's state does not survive a fork. */
bool watch_forks()
{
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    return true;
}

} // namespace

const settings &configured()
{
    static const settings s = read_environment();

    return s;
}

void fatal(const char *format, ...)
{
    va_list arguments;

    fputs("gpu double: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

int current_device()
{
    return device_of_thread;
}

bool peers_possible(int device, int peer)
{
    return device != peer && configured().peers;
}

bool peer_enabled(int device, int peer)
{
    return device == peer || enabled[device][peer];
}

bool peer_enable(int device, int peer)
{
    return enabled[device][peer].exchange(true);
}

void set_fault()
{
    fault_seen = true;
}

bool faulted()
{
    return fault_seen;
}

cudaError_t begin()
{
    if (!configured().driver)
        return cudaErrorInsufficientDriver;
    if (configured().devices == 0)
        return cudaErrorNoDevice;
    if (forked)
        return cudaErrorInitializationError;
    static const bool watched = watch_forks();
    return watched && faulted() ? cudaErrorIllegalAddress : cudaSuccess;
}

/* "Not ready" is an answer, not an error. */
cudaError_t remember(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

} // namespace gpu

using namespace gpu;

cudaError_t cudaSetDevice(int device)
{
    return call([&] {
        if (device < 0 || device >= configured().devices)
            return cudaErrorInvalidDevice;
        device_of_thread = device;
        return cudaSuccess;
    });
}

cudaError_t cudaGetDevice(int *device)
{
    return call([&] {
        *device = device_of_thread;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceCanAccessPeer(int *canAccessPeer, int device, int peerDevice)
{
    return call([&] {
        int devices = configured().devices;

        if (device < 0 || device >= devices || peerDevice < 0 || peerDevice >= devices)
            return cudaErrorInvalidDevice;
        *canAccessPeer = peers_possible(device, peerDevice);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceEnablePeerAccess(int peerDevice, unsigned int flags)
{
    return call([&] {
        if (flags != 0)
            return cudaErrorInvalidValue;
        if (peerDevice < 0 || peerDevice >= configured().devices || peerDevice == device_of_thread)
            return cudaErrorInvalidDevice;
        if (!peers_possible(device_of_thread, peerDevice))
            return cudaErrorPeerAccessUnsupported;
        return peer_enable(device_of_thread, peerDevice) ? cudaErrorPeerAccessAlreadyEnabled : cudaSuccess;
    });
}

cudaError_t cudaPeekAtLastError(void)
{
    return faulted() ? cudaErrorIllegalAddress : last_error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();

    last_error = cudaSuccess;
    return error;
}
