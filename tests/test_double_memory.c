/* Memory of the double of CUDA: filled with NaN, counted, closed to the host; and shared between processes and devices by
 * handles that name whole blocks. */
#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/gpu/double.h"
#include "tests/gpu/test_kernels.h"
#include "tests/gpu/test_support.h"
#include "tests/support/suite.h"

START_TEST(memory_is_poisoned_and_counted)
{
    float ones[4] = {1, 1, 1, 1}, *memory = gpu_floats(NULL, 4), *same;
    size_t available, total, later;
    void *large;

    ck_assert(isnan(first_float(memory)));
    ok(cudaMemcpy(memory, ones, sizeof ones, cudaMemcpyHostToDevice));
    ck_assert_uint_eq(double_live_allocations(), 1);
    ck_assert_uint_eq(double_live_bytes(), sizeof ones);
    ok(cudaMemGetInfo(&available, &total));
    ok(cudaMalloc(&large, (5 << 20) + 1));
    ok(cudaMemGetInfo(&later, &total));
    ck_assert_uint_eq(available - later, 6 << 20);
    ok(cudaFree(memory));
    same = gpu_floats(NULL, 4);
    ck_assert(isnan(first_float(same)));
    gives(cudaErrorMemoryAllocation, cudaMalloc(&large, total));
    gives(cudaErrorInvalidValue, cudaFree(same + 1));
    gives(cudaErrorInvalidValue, cudaMemcpy(same, ones, sizeof ones + 4, cudaMemcpyHostToDevice));
    gives(cudaErrorInvalidValue, cudaMemcpy(same, ones, sizeof ones, cudaMemcpyDeviceToHost));
    ck_assert_uint_eq(double_allocations_made(), 3);
    ck_assert_uint_eq(double_live_allocations(), 2);
    ok(cudaFree(NULL));
    ok(cudaDeviceReset());
    ck_assert_uint_eq(double_live_allocations(), 0);
}
END_TEST

static void touch_device_memory(void)
{
    float *memory = gpu_floats(NULL, 1);

    *memory = 1;
}

START_TEST(the_host_cannot_touch_device_memory)
{
    char said[1000];

    if (double_protects_memory())
        ck_assert_int_eq(end_of(touch_device_memory, said, sizeof said), SIGSEGV);
}
END_TEST

START_TEST(pinned_memory)
{
    static float registered[1024];
    float *pinned, *memory = gpu_floats(NULL, 1024), *mapped;
    cudaStream_t stream = stream_create();
    volatile int *gate;

    ok(cudaMallocHost((void **)&pinned, sizeof registered));
    ok(cudaHostRegister(registered, sizeof registered, cudaHostRegisterDefault));
    gives(cudaErrorHostMemoryAlreadyRegistered, cudaHostRegister(registered + 1023, 4, cudaHostRegisterDefault));
    ok(cudaHostGetDevicePointer((void **)&mapped, pinned, 0));
    pinned[5] = 1;
    gate = gate_close(stream);
    ok(cudaMemcpyAsync(memory, pinned, sizeof registered, cudaMemcpyHostToDevice, stream));
    pinned[5] = 2; /* too early: the copy has not read it */
    ok(test_scale(memory, 1024, 2, 0, stream));
    ok(cudaMemcpyAsync(registered, memory, sizeof registered, cudaMemcpyDeviceToHost, stream));
    is(registered[5], 0);
    gate_open(gate);
    ok(cudaStreamSynchronize(stream));
    is(registered[5], 4);
    ok(cudaMemsetAsync(memory, 0, 4096, stream));
    ok(test_scale(mapped, 1, 0, 7, stream));
    ok(cudaStreamSynchronize(stream));
    is(first_float(memory + 5), 0);
    ok(cudaHostUnregister(registered));
    gives(cudaErrorHostMemoryNotRegistered, cudaHostUnregister(registered));
    ok(cudaFreeHost(pinned));
    gives(cudaErrorInvalidValue, cudaFreeHost(pinned));
    ck_assert_uint_eq(double_live_allocations(), 2);
}
END_TEST

/* Opens the parent's block and its event, and adds 1 behind what the parent has queued. */
static void add_one(struct peer *parent)
{
    cudaIpcMemHandle_t memory_handle;
    cudaIpcEventHandle_t ready_handle;
    cudaEvent_t ready, done = event_create(cudaEventInterprocess | cudaEventDisableTiming);
    cudaIpcEventHandle_t done_handle;
    cudaStream_t stream = stream_create();
    ptrdiff_t offset;
    char *base, *again;

    hear(parent, &memory_handle, sizeof memory_handle);
    hear(parent, &ready_handle, sizeof ready_handle);
    hear(parent, &offset, sizeof offset);
    gives(cudaErrorInvalidValue, cudaIpcOpenMemHandle((void **)&base, memory_handle, 0));
    ok(cudaIpcOpenMemHandle((void **)&base, memory_handle, cudaIpcMemLazyEnablePeerAccess));
    ok(cudaIpcOpenMemHandle((void **)&again, memory_handle, cudaIpcMemLazyEnablePeerAccess));
    ck_assert_ptr_eq(base, again);
    ok(cudaIpcCloseMemHandle(again));
    ok(cudaIpcOpenEventHandle(&ready, ready_handle));
    ok(cudaIpcGetEventHandle(&done_handle, done));
    ok(cudaStreamWaitEvent(stream, ready, 0));
    ok(test_scale((float *)(base + offset), 1, 2, 1, stream));
    ok(cudaEventRecord(done, stream));
    tell(parent, &done_handle, sizeof done_handle);
    hear(parent, &offset, sizeof offset);
    gives(cudaErrorInvalidValue, cudaFree(base));
    ok(cudaIpcCloseMemHandle(base));
    gives(cudaErrorInvalidValue, cudaIpcCloseMemHandle(base));
    tell(parent, &offset, sizeof offset);
}

START_TEST(processes_share_memory_and_events)
{
    struct peer child;
    float zero = 0, *other, *memory;
    cudaIpcMemHandle_t memory_handle, other_handle;
    cudaIpcEventHandle_t ready_handle, done_handle;
    cudaEvent_t ready, done;
    cudaStream_t stream;
    volatile int *gate;
    ptrdiff_t offset = 512;
    void *own;

    child = peer_start(add_one);
    stream = stream_create();
    other = gpu_floats(&zero, 1);
    memory = gpu_floats(&zero, 1);
    ck_assert_ptr_eq((char *)other + offset, (char *)memory);
    ok(cudaIpcGetMemHandle(&memory_handle, memory));
    ok(cudaIpcGetMemHandle(&other_handle, other));
    ck_assert_mem_eq(&memory_handle, &other_handle, sizeof memory_handle);
    gives(cudaErrorDeviceUninitialized, cudaIpcOpenMemHandle(&own, memory_handle, cudaIpcMemLazyEnablePeerAccess));
    ready = event_create(cudaEventInterprocess | cudaEventDisableTiming);
    ok(cudaIpcGetEventHandle(&ready_handle, ready));
    gate = gate_close(stream);
    ok(test_scale(memory, 1, 1, 3, stream));
    ok(cudaEventRecord(ready, stream));
    tell(&child, &memory_handle, sizeof memory_handle);
    tell(&child, &ready_handle, sizeof ready_handle);
    tell(&child, &offset, sizeof offset);
    hear(&child, &done_handle, sizeof done_handle);
    ok(cudaIpcOpenEventHandle(&done, done_handle));
    gives(cudaErrorNotReady, cudaEventQuery(done));
    ok(cudaStreamWaitEvent(stream, done, 0));
    ok(test_scale(memory, 1, 10, 0, stream));
    gate_open(gate);
    ok(cudaStreamSynchronize(stream));
    is(first_float(memory), 70);
    tell(&child, &offset, sizeof offset);
    hear(&child, &offset, sizeof offset);
    ok(cudaFree(memory));
    ok(cudaFree(other));
    peer_end(&child);
}
END_TEST

/* Opens a block and waits to be told, or to be killed. */
static void hold(struct peer *parent)
{
    cudaIpcMemHandle_t handle;
    void *base;

    hear(parent, &handle, sizeof handle);
    ok(cudaIpcOpenMemHandle(&base, handle, cudaIpcMemLazyEnablePeerAccess));
    tell(parent, &handle, 1);
    pause();
}

static void free_what_is_open(void)
{
    struct peer child = peer_start(hold);
    cudaIpcMemHandle_t handle;
    float *memory = gpu_floats(NULL, 1);

    cudaIpcGetMemHandle(&handle, memory);
    tell(&child, &handle, sizeof handle);
    hear(&child, &handle, 1);
    cudaFree(memory);
}

START_TEST(free_while_open_is_fatal)
{
    is_fatal(free_what_is_open, "still has open");
}
END_TEST

START_TEST(the_dead_hold_nothing)
{
    struct peer child = peer_start(hold);
    cudaIpcMemHandle_t handle;
    float *memory = gpu_floats(NULL, 1);

    ok(cudaIpcGetMemHandle(&handle, memory));
    tell(&child, &handle, sizeof handle);
    hear(&child, &handle, 1);
    kill(child.pid, SIGKILL);
    ck_assert_int_eq(waitpid(child.pid, NULL, 0), child.pid);
    ok(cudaFree(memory));
}
END_TEST

/* What it opens, a kernel of its own device can reach. */
static void open_on_the_other_device(struct peer *parent)
{
    cudaIpcMemHandle_t handle;
    void *base;
    bool peers = strcmp(getenv("GPU_DOUBLE_PEERS"), "1") == 0;

    hear(parent, &handle, sizeof handle);
    ok(cudaSetDevice(1));
    gives(peers ? cudaSuccess : cudaErrorPeerAccessUnsupported,
          cudaIpcOpenMemHandle(&base, handle, cudaIpcMemLazyEnablePeerAccess));
    if (!peers)
        return;
    ok(test_scale(base, 1, 2, 0, stream_create()));
    ok(cudaDeviceSynchronize());
}

static void reach_across(void)
{
    float *memory = gpu_floats(NULL, 1);

    cudaSetDevice(1);
    test_scale(memory, 1, 1, 1, stream_create());
}

START_TEST(peers)
{
    struct peer child;
    struct cudaDeviceProp properties[2];
    cudaIpcMemHandle_t handle;
    cudaStream_t stream;
    float one = 1, *memory;
    char bus[16];
    int can;

    setenv("GPU_DOUBLE_DEVICES", "2", 1);
    setenv("GPU_DOUBLE_PEERS", _i == 0 ? "0" : "1", 1);
    is_fatal(reach_across, "without peer access");
    child = peer_start(open_on_the_other_device);
    ok(cudaDeviceCanAccessPeer(&can, 0, 0));
    ck_assert_int_eq(can, 0);
    ok(cudaDeviceCanAccessPeer(&can, 0, 1));
    ck_assert_int_eq(can, _i);
    gives(cudaErrorInvalidDevice, cudaDeviceCanAccessPeer(&can, 0, 2));
    gives(_i ? cudaSuccess : cudaErrorPeerAccessUnsupported, cudaDeviceEnablePeerAccess(1, 0));
    for (int d = 0; d < 2; d++)
        ok(cudaGetDeviceProperties(&properties[d], d));
    ck_assert_mem_ne(&properties[0].uuid, &properties[1].uuid, sizeof properties[0].uuid);
    ok(cudaDeviceGetPCIBusId(bus, sizeof bus, 1));
    gives(cudaErrorInvalidDevice, cudaSetDevice(2));

    memory = gpu_floats(&one, 1);
    ok(cudaIpcGetMemHandle(&handle, memory));
    tell(&child, &handle, sizeof handle);
    peer_end(&child);
    is(first_float(memory), _i ? 2 : 1);
    stream = stream_create();
    ok(cudaSetDevice(1));
    gives(cudaErrorInvalidResourceHandle, cudaEventRecord(event_create(0), stream));
    gives(cudaErrorInvalidResourceHandle, test_scale(memory, 1, 1, 1, stream));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu memory");
    TCase *tcase = tcase_create("gpu memory");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, memory_is_poisoned_and_counted);
    tcase_add_test(tcase, the_host_cannot_touch_device_memory);
    tcase_add_test(tcase, pinned_memory);
    tcase_add_test(tcase, processes_share_memory_and_events);
    tcase_add_test(tcase, free_while_open_is_fatal);
    tcase_add_test(tcase, the_dead_hold_nothing);
    tcase_add_loop_test(tcase, peers, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
