/* What the tests of the double, and with it, share: calls that must succeed, gates, processes that must die. */
#ifndef TESTS_GPU_TEST_SUPPORT_H
#define TESTS_GPU_TEST_SUPPORT_H

#include <check.h>
#include <cuda_runtime_api.h>
#include <stddef.h>
#include <sys/types.h>

#define ok(call)            ck_assert_str_eq(cudaGetErrorName(call), "cudaSuccess")
#define gives(error, call)  ck_assert_str_eq(cudaGetErrorName(call), cudaGetErrorName(error))
#define is(value, expected) ck_assert_double_eq((double)(value), (double)(expected))

cudaStream_t stream_create(void);
cudaEvent_t event_create(unsigned flags);

/* Device memory with these values; with NaNs if they are NULL. */
float *gpu_floats(const float *values, int count);

float first_float(const float *device_memory);

/* Work that is queued to the stream now does not run before the gate is opened. gate[1] is 1 when the stream has come there. */
volatile int *gate_close(cudaStream_t stream);
void gate_open(volatile int *gate);

/* A child that begins before its parent has called CUDA, with a pipe in each direction. */
struct peer {
    pid_t pid;
    int in, out;
};

/* `body` is given the way back. peer_end() wants the child to exit with 0. */
struct peer peer_start(void (*body)(struct peer *parent));
void peer_end(struct peer *child);
void tell(struct peer *peer, const void *data, size_t bytes);
void hear(struct peer *peer, void *data, size_t bytes);

/* Does this in a process of its own. Returns the signal that ends it, or 0, and the beginning of what it says before. */
int end_of(void (*body)(void), char *said, size_t size);

/* It must abort with a message that contains this one. */
void is_fatal(void (*body)(void), const char *message);

#endif
