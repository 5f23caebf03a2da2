/* Streams: a thread each, with a queue. What is queued runs later, in order, and never on the caller's thread. */
#ifndef TESTS_GPU_STREAM_H
#define TESTS_GPU_STREAM_H

#include <condition_variable>
#include <cuda_runtime_api.h>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

namespace gpu
{

struct task {
    std::function<void()> run;
    bool is_kernel = false;
    std::vector<uint64_t> allocations = {}; /* serials of the memory it is known to use */
};

struct capture; /* capture.h */

/* Queues it, or records it if the stream is capturing. */
cudaError_t enqueue(cudaStream_t stream, task item);

/* As enqueue(), whether or not the stream is capturing. */
void push(CUstream_st &stream, task item);

/* A handle's stream (NULL: the current device's own), or NULL if there is none such. Streams stay until their work is
 * done, whatever becomes of the handle. */
std::shared_ptr<CUstream_st> find_stream(cudaStream_t handle);

void wait_for_stream(CUstream_st &stream);

/* All streams of a device; of all devices: -1. */
void wait_for_device(int device);

/* cudaSuccess; or what a call returns that is not allowed while any stream captures, or this one. It ends the capture. */
cudaError_t not_while_capturing();
cudaError_t not_while_capturing(CUstream_st &stream);

} // namespace gpu

struct CUstream_st {
    int device;
    uint64_t random;
    gpu::capture *capture = nullptr; /* owned by capture.cpp */

    std::mutex lock;
    std::condition_variable changed;
    std::deque<gpu::task> queue;
    gpu::task running; /* not on its thread's stack, which a leak checker does not see while a fibre runs */
    uint64_t queued = 0, done = 0;
    bool closing = false;
};

#endif
