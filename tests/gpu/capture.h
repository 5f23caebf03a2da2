/* Capture: what is queued to a capturing stream is recorded, not run. */
#ifndef TESTS_GPU_CAPTURE_H
#define TESTS_GPU_CAPTURE_H

#include <thread>

#include "tests/gpu/stream.h"

namespace gpu
{

struct capture {
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool invalid = false;
    std::vector<task> tasks = {};
};

/* Is the stream capturing? */
bool capturing(const CUstream_st &stream);

/* Its capture will give no graph. Returns the error. */
cudaError_t invalidate(CUstream_st &stream, cudaError_t error);

} // namespace gpu

#endif
