/* Events: every record has a number; whoever waits, waits for the newest record at the time of the call. The state of an
 * interprocess event lies in a shared file, and is the same for all processes. */
#ifndef TESTS_GPU_EVENT_H
#define TESTS_GPU_EVENT_H

#include <atomic>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <memory>

#include "tests/gpu/shared_file.h"

namespace gpu
{

class event_state
{
  public:
    /* The number of a new record. */
    uint64_t record()
    {
        return ++recorded;
    }

    uint64_t newest() const
    {
        return recorded;
    }

    /* A stream has reached record n. */
    void reach(uint64_t n);

    bool reached(uint64_t n) const;

    /* Returns when record n is reached, or nothing runs any more because of a fault. */
    void wait(uint64_t n);

    /* When the newest record was reached, in nanoseconds. */
    int64_t time() const
    {
        return reached_at;
    }

  private:
    enum { SLOTS = 256 };

    std::atomic<uint64_t> recorded{0};
    std::atomic<uint64_t> done[SLOTS]{}; /* record n: done[n % SLOTS] >= n. Streams may reach records in any order. */
    std::atomic<int64_t> reached_at{0};
    std::atomic<uint32_t> changes{0}; /* a futex */
};

} // namespace gpu

struct CUevent_st {
    unsigned flags;
    int device;
    std::shared_ptr<gpu::event_state> state;
    gpu::ipc_handle handle;
    bool opened;                  /* another process's */
    CUstream_st *captured = NULL; /* its newest record is in a capture of this stream */
};

#endif
