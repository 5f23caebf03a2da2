/* The double of CUDA behaves as CUDA does where a program could get it wrong: nothing happens before it must, events mean
 * their newest record, a capture records, and what is undefined does not pass unseen. Every test is a process of its own,
 * which says by the environment what machine it is on. */
#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/gpu/double.h"
#include "tests/gpu/test_kernels.h"
#include "tests/gpu/test_support.h"
#include "tests/support/suite.h"

START_TEST(streams_run_later)
{
    float zero = 0, *memory = gpu_floats(&zero, 1);
    cudaStream_t stream = stream_create();
    volatile int *gate;

    ok(cudaStreamQuery(stream));
    gate = gate_close(stream);
    ok(test_scale(memory, 1, 1, 1, stream));
    gives(cudaErrorNotReady, cudaStreamQuery(stream));
    ok(cudaGetLastError());
    is(first_float(memory), 0);
    gate_open(gate);
    ok(cudaStreamSynchronize(stream));
    ok(cudaStreamQuery(stream));
    gives(cudaErrorInvalidValue, cudaMemset(&zero, 0, sizeof zero));
    gives(cudaErrorInvalidValue, cudaPeekAtLastError());
    gives(cudaErrorInvalidValue, cudaGetLastError());
    ok(cudaGetLastError());
    is(first_float(memory), 1);
    ck_assert_uint_eq(double_launches(), 2);
}
END_TEST

START_TEST(streams_keep_order)
{
    float one = 1, *memory = gpu_floats(&one, 1), expected = 1;
    cudaStream_t stream = stream_create();

    for (int i = 0; i < 200; i++) {
        ok(test_scale(memory, 1, 1.01f, (float)i, stream));
        expected = expected * 1.01f + (float)i;
    }
    ok(cudaStreamDestroy(stream));
    gives(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
    ok(cudaDeviceSynchronize());
    is(first_float(memory), expected);
}
END_TEST

START_TEST(events_mean_the_newest_record)
{
    cudaStream_t producer = stream_create(), consumer = stream_create();
    cudaEvent_t event = event_create(cudaEventDisableTiming);
    volatile int *first, *second;

    ok(cudaEventQuery(event));
    ok(cudaStreamWaitEvent(consumer, event, 0)); /* never recorded: no wait */
    ok(cudaStreamSynchronize(consumer));

    first = gate_close(producer);
    ok(cudaEventRecord(event, producer));
    ok(cudaStreamWaitEvent(consumer, event, 0)); /* this record, not the next */
    second = gate_close(producer);
    ok(cudaEventRecord(event, producer));
    gives(cudaErrorNotReady, cudaStreamQuery(consumer));
    gate_open(first);
    ok(cudaStreamSynchronize(consumer));
    gives(cudaErrorNotReady, cudaEventQuery(event));
    ok(cudaStreamWaitEvent(consumer, event, 0));
    gives(cudaErrorNotReady, cudaStreamQuery(consumer));
    ok(cudaEventDestroy(event)); /* who waits for it still does */
    gives(cudaErrorInvalidResourceHandle, cudaEventSynchronize(event));
    gives(cudaErrorNotReady, cudaStreamQuery(consumer));
    gate_open(second);
    ok(cudaStreamSynchronize(consumer));
}
END_TEST

/* Record 2, on a stream that runs, is reached before record 1, on one that is held up. */
START_TEST(records_are_reached_in_any_order)
{
    cudaStream_t slow = stream_create(), fast = stream_create(), consumer = stream_create();
    cudaEvent_t event = event_create(cudaEventDisableTiming);
    volatile int *gate = gate_close(slow);

    ok(cudaEventRecord(event, slow));
    ok(cudaStreamWaitEvent(consumer, event, 0));
    ok(cudaEventRecord(event, fast));
    ok(cudaEventSynchronize(event));
    ok(cudaEventQuery(event));
    gives(cudaErrorNotReady, cudaStreamQuery(consumer));
    gate_open(gate);
    ok(cudaStreamSynchronize(consumer));
}
END_TEST

START_TEST(events_order_streams)
{
    float zero = 0, *memory = gpu_floats(&zero, 1);
    cudaStream_t streams[2] = {stream_create(), stream_create()};
    cudaEvent_t event = event_create(cudaEventDisableTiming);
    float expected = 0;

    for (int i = 0; i < 100; i++) {
        ok(test_scale(memory, 1, 1.01f, (float)i, streams[i % 2]));
        ok(cudaEventRecord(event, streams[i % 2]));
        ok(cudaStreamWaitEvent(streams[(i + 1) % 2], event, 0));
        expected = expected * 1.01f + (float)i;
    }
    ok(cudaEventSynchronize(event));
    is(first_float(memory), expected);
}
END_TEST

static int64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

START_TEST(event_times)
{
    cudaStream_t stream = stream_create();
    cudaEvent_t begin, end, untimed = event_create(cudaEventDisableTiming);
    volatile int *gate;
    int64_t start;
    float ms;

    ok(cudaEventCreate(&begin));
    ok(cudaEventCreate(&end));
    gives(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&ms, begin, end));
    ok(cudaEventRecord(begin, stream));
    gate = gate_close(stream);
    ok(cudaEventRecord(end, stream));
    ok(cudaEventRecord(untimed, stream));
    gives(cudaErrorNotReady, cudaEventElapsedTime(&ms, begin, end));
    while (gate[1] == 0)
        ;
    start = nanoseconds();
    while (nanoseconds() - start < 3000000)
        ;
    gate_open(gate);
    ok(cudaStreamSynchronize(stream));
    ok(cudaEventElapsedTime(&ms, begin, end));
    ck_assert(ms >= 3);
    ok(cudaEventElapsedTime(&ms, end, begin));
    ck_assert(ms <= -3);
    gives(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&ms, begin, untimed));
    gives(cudaErrorInvalidValue, cudaEventCreateWithFlags(&end, cudaEventInterprocess));
}
END_TEST

static void copy_from_pageable_memory(void)
{
    float value = 0, *memory = gpu_floats(NULL, 1);

    cudaMemcpyAsync(memory, &value, sizeof value, cudaMemcpyHostToDevice, stream_create());
}

static void give_a_kernel_host_memory(void)
{
    float value = 0;

    test_scale(&value, 1, 1, 1, stream_create());
}

static void give_a_kernel_freed_memory(void)
{
    float *kept = gpu_floats(NULL, 1), *memory = gpu_floats(NULL, 1);

    cudaFree(memory);
    cudaFree(kept + 1);
    test_scale(memory, 1, 1, 1, stream_create());
}

static void diverge(enum test_divergence how)
{
    test_diverge(how, gpu_floats(NULL, 64), NULL);
    cudaDeviceSynchronize();
}

static void end_beside_a_barrier(void)
{
    diverge(UPPER_ENDS);
}

static void come_to_a_barrier_alone(void)
{
    diverge(LOWER_ENDS);
}

static void come_to_two_barriers(void)
{
    diverge(TWO_BARRIERS);
}

static void create_a_blocking_stream(void)
{
    cudaStream_t stream;

    cudaStreamCreateWithFlags(&stream, cudaStreamDefault);
}

START_TEST(mistakes_are_fatal)
{
    is_fatal(copy_from_pageable_memory, "host memory that is not pinned");
    is_fatal(give_a_kernel_host_memory, "neither device memory nor pinned");
    is_fatal(give_a_kernel_freed_memory, "no longer, allocated");
    is_fatal(end_beside_a_barrier, "a thread of the block has ended instead");
    is_fatal(come_to_a_barrier_alone, "a thread of the block has ended instead");
    is_fatal(come_to_two_barriers, "threads of one block wait at");
    is_fatal(create_a_blocking_stream, "cudaStreamNonBlocking");
}
END_TEST

/* Gives an event whose record it never reaches. */
static void die_before_the_record(struct peer *parent)
{
    cudaEvent_t event;
    cudaIpcEventHandle_t handle;
    cudaStream_t stream;

    event = event_create(cudaEventInterprocess | cudaEventDisableTiming);
    stream = stream_create();
    gate_close(stream);
    ok(cudaEventRecord(event, stream));
    ok(cudaIpcGetEventHandle(&handle, event));
    tell(parent, &handle, sizeof handle);
    hear(parent, &handle, 1);
}

START_TEST(exit_does_not_wait_for_the_dead)
{
    struct peer child = peer_start(die_before_the_record);
    cudaIpcEventHandle_t handle;
    cudaEvent_t event;
    cudaStream_t stream = stream_create();

    hear(&child, &handle, sizeof handle);
    ok(cudaIpcOpenEventHandle(&event, handle));
    ok(cudaStreamWaitEvent(stream, event, 0));
    tell(&child, &handle, 1);
    peer_end(&child);
    gives(cudaErrorNotReady, cudaStreamQuery(stream));
    /* and this process ends by itself, as every test does */
}
END_TEST

START_TEST(fork_after_the_first_call)
{
    int count, status;
    pid_t pid;

    ok(cudaGetDeviceCount(&count));
    ck_assert_int_eq(count, 1);
    pid = fork();
    if (pid == 0)
        _exit(cudaSetDevice(0) == cudaErrorInitializationError &&
                      cudaGetDeviceCount(&count) == cudaErrorInitializationError
                  ? 0
                  : 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(machines_without_a_device)
{
    int count = 7, version;

    setenv("GPU_DOUBLE_DEVICES", _i == 0 ? "0" : "none", 1);
    gives(_i == 0 ? cudaErrorNoDevice : cudaErrorInsufficientDriver, cudaGetDeviceCount(&count));
    ck_assert_int_eq(count, 0);
    ok(cudaDriverGetVersion(&version));
    ck_assert_int_eq(version > 0, _i == 0);
    gives(_i == 0 ? cudaErrorNoDevice : cudaErrorInsufficientDriver, cudaSetDevice(0));
}
END_TEST

START_TEST(capture)
{
    float one = 1, *memory = gpu_floats(&one, 1), *copy = gpu_floats(NULL, 1), *extra;
    cudaStream_t stream = stream_create();
    cudaEvent_t mark = event_create(cudaEventDisableTiming), shared;
    enum cudaStreamCaptureStatus status;
    cudaGraph_t graph;
    cudaGraphExec_t runnable;

    ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    ok(test_scale(memory, 1, 2, 0, stream));
    ok(cudaEventRecord(mark, stream));
    ok(cudaStreamWaitEvent(stream, mark, 0));
    ok(cudaMemcpyAsync(copy, memory, sizeof one, cudaMemcpyDeviceToDevice, stream));
    ok(cudaStreamIsCapturing(stream, &status));
    ck_assert_int_eq(status, cudaStreamCaptureStatusActive);
    ok(cudaStreamEndCapture(stream, &graph));
    ck_assert_uint_eq(double_launches(), 0);
    is(first_float(memory), 1);
    ok(cudaGraphInstantiate(&runnable, graph, 0));
    ok(cudaGraphDestroy(graph));
    ok(cudaGraphUpload(runnable, stream));
    for (int i = 0; i < 3; i++)
        ok(cudaGraphLaunch(runnable, stream));
    ok(cudaStreamSynchronize(stream));
    is(first_float(copy), 8);
    ck_assert_uint_eq(double_launches(), 3);

    shared = event_create(cudaEventDisableTiming | cudaEventInterprocess);
    ok(cudaEventRecord(shared, stream));
    for (int i = 0; i < 5; i++) {
        ok(cudaStreamBeginCapture(stream, i == 4 ? cudaStreamCaptureModeRelaxed : cudaStreamCaptureModeGlobal));
        if (i == 0)
            gives(cudaErrorStreamCaptureUnsupported, cudaMalloc((void **)&extra, 4));
        if (i == 1)
            gives(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(stream));
        if (i == 2)
            gives(cudaErrorStreamCaptureUnsupported, cudaEventRecord(shared, stream));
        if (i == 3)
            gives(cudaErrorStreamCaptureIsolation, cudaStreamWaitEvent(stream, shared, 0));
        if (i == 4)
            ok(cudaMalloc((void **)&extra, 4));
        gives(i < 4 ? cudaErrorStreamCaptureInvalidated : cudaSuccess, test_scale(memory, 1, 2, 0, stream));
        gives(i < 4 ? cudaErrorStreamCaptureInvalidated : cudaSuccess, cudaStreamEndCapture(stream, &graph));
        ck_assert_int_eq(graph == NULL, i < 4);
    }
    ok(cudaGraphDestroy(graph));
    ok(cudaGraphExecDestroy(runnable));
    ok(cudaStreamSynchronize(stream));
}
END_TEST

static void launch_a_graph_of_freed_memory(void)
{
    float *memory = gpu_floats(NULL, 1);
    cudaStream_t stream = stream_create();
    cudaGraph_t graph;
    cudaGraphExec_t runnable;

    ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    ok(test_scale(memory, 1, 2, 0, stream));
    ok(cudaStreamEndCapture(stream, &graph));
    ok(cudaGraphInstantiate(&runnable, graph, 0));
    ok(cudaFree(memory));
    ck_assert_ptr_eq(memory, gpu_floats(NULL, 1));
    cudaGraphLaunch(runnable, stream);
}

START_TEST(graphs_need_their_memory)
{
    is_fatal(launch_a_graph_of_freed_memory, "has been freed");
}
END_TEST

START_TEST(a_planted_fault_stays)
{
    float zero = 0, *memory;
    cudaStream_t stream;

    setenv("GPU_DOUBLE_FAULT_KERNEL", "3", 1);
    memory = gpu_floats(&zero, 1);
    stream = stream_create();
    ok(test_scale(memory, 1, 1, 1, stream));
    ok(test_scale(memory, 1, 1, 1, stream));
    ok(cudaStreamSynchronize(stream));
    ok(test_scale(memory, 1, 1, 1, stream)); /* the launch itself succeeds */
    gives(cudaErrorIllegalAddress, cudaStreamSynchronize(stream));
    gives(cudaErrorIllegalAddress, cudaGetLastError());
    gives(cudaErrorIllegalAddress, cudaGetLastError());
    gives(cudaErrorIllegalAddress, test_scale(memory, 1, 1, 1, stream));
    gives(cudaErrorIllegalAddress, cudaFree(memory));
}
END_TEST

START_TEST(barriers)
{
    enum { BLOCKS = 5 };
    float values[BLOCKS * 64], *memory, *sums, found[BLOCKS];

    for (int i = 0; i < BLOCKS * 64; i++)
        values[i] = (float)(i % 97);
    memory = gpu_floats(values, BLOCKS * 64);
    sums = gpu_floats(NULL, BLOCKS);
    ok(test_sum(memory, BLOCKS, sums, NULL));
    ok(cudaMemcpy(found, sums, sizeof found, cudaMemcpyDeviceToHost));
    for (int b = 0; b < BLOCKS; b++) {
        float expected = 0;

        for (int i = 0; i < 64; i++)
            expected += values[b * 64 + i];
        is(found[b], expected);
    }
    gives(cudaErrorInvalidConfiguration, test_scale(memory, 0, 1, 1, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu double");
    TCase *tcase = tcase_create("gpu double");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, streams_run_later);
    tcase_add_test(tcase, streams_keep_order);
    tcase_add_test(tcase, events_mean_the_newest_record);
    tcase_add_test(tcase, records_are_reached_in_any_order);
    tcase_add_test(tcase, events_order_streams);
    tcase_add_test(tcase, event_times);
    tcase_add_test(tcase, mistakes_are_fatal);
    tcase_add_test(tcase, exit_does_not_wait_for_the_dead);
    tcase_add_test(tcase, fork_after_the_first_call);
    tcase_add_loop_test(tcase, machines_without_a_device, 0, 2);
    tcase_add_test(tcase, capture);
    tcase_add_test(tcase, graphs_need_their_memory);
    tcase_add_test(tcase, a_planted_fault_stays);
    tcase_add_test(tcase, barriers);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
