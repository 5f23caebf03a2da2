#include "tests/gpu/capture.h"

#include <algorithm>
#include <memory>

#include "tests/gpu/context.h"
#include "tests/gpu/memory.h"

struct CUgraph_st {
    std::vector<gpu::task> tasks;
};

struct CUgraphExec_st {
    std::vector<gpu::task> tasks;
};

namespace gpu
{
namespace
{

/* Guards all captures; they are few, and calls while they last are, too. Never destroyed. */
struct registry {
    std::mutex lock;
    std::vector<CUstream_st *> streams; /* that capture */
};

registry &all = *new registry;

/* May the calling thread do what would disturb this capture? */
bool forbids(const capture &c)
{
    return c.mode == cudaStreamCaptureModeGlobal ||
           (c.mode == cudaStreamCaptureModeThreadLocal && c.thread == std::this_thread::get_id());
}

} // namespace

bool capturing(const CUstream_st &stream)
{
    std::lock_guard<std::mutex> guard(all.lock);

    return stream.capture != nullptr;
}

cudaError_t invalidate(CUstream_st &stream, cudaError_t error)
{
    std::lock_guard<std::mutex> guard(all.lock);

    if (stream.capture != nullptr)
        stream.capture->invalid = true;
    return error;
}

cudaError_t not_while_capturing()
{
    std::lock_guard<std::mutex> guard(all.lock);
    cudaError_t error = cudaSuccess;

    for (CUstream_st *stream : all.streams) {
        if (forbids(*stream->capture)) {
            stream->capture->invalid = true;
            error = cudaErrorStreamCaptureUnsupported;
        }
    }
    return error;
}

cudaError_t not_while_capturing(CUstream_st &stream)
{
    return capturing(stream) ? invalidate(stream, cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

cudaError_t enqueue(cudaStream_t handle, task item)
{
    auto stream = find_stream(handle);

    if (stream == nullptr)
        return cudaErrorInvalidResourceHandle;
    std::unique_lock<std::mutex> guard(all.lock);
    if (stream->capture == nullptr) {
        guard.unlock();
        push(*stream, std::move(item));
    } else if (stream->capture->invalid) {
        return cudaErrorStreamCaptureInvalidated;
    } else {
        stream->capture->tasks.push_back(std::move(item));
    }
    return cudaSuccess;
}

} // namespace gpu

using namespace gpu;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    return call([&] {
        auto found = find_stream(stream);

        if (found == nullptr)
            return cudaErrorInvalidResourceHandle;
        if (stream == nullptr)
            return cudaErrorStreamCaptureUnsupported;
        std::lock_guard<std::mutex> guard(all.lock);
        if (found->capture != nullptr)
            return cudaErrorInvalidValue;
        found->capture = new capture{mode, std::this_thread::get_id()};
        all.streams.push_back(found.get());
        return cudaSuccess;
    });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *pGraph)
{
    return call([&] {
        auto found = find_stream(stream);

        *pGraph = nullptr;
        if (found == nullptr)
            return cudaErrorInvalidResourceHandle;
        std::lock_guard<std::mutex> guard(all.lock);
        if (found->capture == nullptr)
            return cudaErrorInvalidValue;
        if (found->capture->mode != cudaStreamCaptureModeRelaxed &&
            found->capture->thread != std::this_thread::get_id())
            return cudaErrorStreamCaptureWrongThread;
        std::unique_ptr<capture> ended(found->capture);
        found->capture = nullptr;
        all.streams.erase(std::find(all.streams.begin(), all.streams.end(), found.get()));
        if (ended->invalid)
            return cudaErrorStreamCaptureInvalidated;
        *pGraph = new CUgraph_st{std::move(ended->tasks)};
        return cudaSuccess;
    });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *pCaptureStatus)
{
    return call([&] {
        auto found = find_stream(stream);

        if (found == nullptr)
            return cudaErrorInvalidResourceHandle;
        std::lock_guard<std::mutex> guard(all.lock);
        *pCaptureStatus = found->capture == nullptr ? cudaStreamCaptureStatusNone
                          : found->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                                    : cudaStreamCaptureStatusActive;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *pGraphExec, cudaGraph_t graph, unsigned long long flags)
{
    return call([&] {
        if (graph == nullptr || flags != 0)
            return cudaErrorInvalidValue;
        *pGraphExec = new CUgraphExec_st{graph->tasks};
        return cudaSuccess;
    });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graphExec, cudaStream_t stream)
{
    return call([&] {
        if (graphExec == nullptr)
            return cudaErrorInvalidValue;
        return find_stream(stream) == nullptr ? cudaErrorInvalidResourceHandle : cudaSuccess;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t stream)
{
    return call([&] {
        cudaError_t error = graphExec == nullptr ? cudaErrorInvalidValue : cudaSuccess;

        for (size_t i = 0; error == cudaSuccess && i < graphExec->tasks.size(); i++) {
            for (uint64_t serial : graphExec->tasks[i].allocations) {
                if (!alive(serial))
                    fatal("a graph is launched whose memory has been freed");
            }
            error = enqueue(stream, graphExec->tasks[i]);
        }
        return error;
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return call([&] {
        delete graph;
        return graph == nullptr ? cudaErrorInvalidValue : cudaSuccess;
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graphExec)
{
    return call([&] {
        delete graphExec;
        return graphExec == nullptr ? cudaErrorInvalidValue : cudaSuccess;
    });
}
