/* A GPU as a device, a real one or the double's: its queue, its marks and their times, its memory; and what every call says
 * where there is no GPU. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "device/device.h"
#include "tests/gpu/double.h"
#include "tests/support/gpu.h"
#include "tests/support/suite.h"

#pragma weak double_live_allocations

/* How fast the device's clock runs, and the longest time that was asked for; linked in between (Makefile). */
static double clock_speed = 1, longest_ms;
int __real_cudaEventElapsedTime(float *milliseconds, void *from, void *to) __attribute__((weak));
int __wrap_cudaEventElapsedTime(float *milliseconds, void *from, void *to);

int __wrap_cudaEventElapsedTime(float *milliseconds, void *from, void *to)
{
    const int status = __real_cudaEventElapsedTime(milliseconds, from, to);

    *milliseconds = (float)(clock_speed * (double)*milliseconds);
    longest_ms = (double)*milliseconds > longest_ms ? (double)*milliseconds : longest_ms;
    return status;
}

static struct device *device_open(void)
{
    struct device *device;
    struct error error;

    ck_assert_msg(!device_cuda.open(&device, 0, &error), "%s", error.text);
    return device;
}

static void *allocate(struct device *device, size_t bytes)
{
    void *memory;
    struct error error;

    ck_assert_msg(!device->type->allocate(device, &memory, bytes, "a test", &error), "%s", error.text);
    ck_assert_uint_eq((uintptr_t)memory % 64, 0);
    return memory;
}

static unsigned char *allocate_host(struct device *device, size_t bytes)
{
    void *memory;
    struct error error;

    ck_assert_msg(!device->type->allocate_host(device, &memory, bytes, "a test", &error), "%s", error.text);
    return memory;
}

static void copy(struct device *device, void *to, const void *from, size_t bytes)
{
    struct error error;

    ck_assert_msg(!device->type->copy(device, to, from, bytes, &error), "%s", error.text);
}

static uint64_t mark(struct device *device)
{
    uint64_t number;
    struct error error;

    ck_assert_msg(!device->type->mark(device, &number, &error), "%s", error.text);
    return number;
}

static bool reached(struct device *device, uint64_t number)
{
    struct error error;
    const int answer = device->type->reached(device, number, &error);

    ck_assert_msg(answer >= 0, "%s", error.text);
    return answer > 0;
}

static void await(struct device *device, uint64_t number)
{
    while (!reached(device, number))
        ;
}

static void finish(struct device *device)
{
    struct error error;

    ck_assert_msg(!device_finish(device, &error), "%s", error.text);
}

static void contains(const struct error *error, const char *part)
{
    ck_assert_msg(strstr(error->text, part) != NULL, "'%s' instead of '%s'", error->text, part);
}

/* What a machine without a GPU answers; the first of these is every machine without a driver. */
static const struct {
    const char *devices, *reason;
} without[] = {{"none", "no NVIDIA driver is loaded"}, {"0", "the NVIDIA driver shows no GPU"}};

START_TEST(every_call_says_that_there_is_no_gpu)
{
    struct device_facts facts;
    struct device *device;
    struct error error;

    setenv("GPU_DOUBLE_DEVICES", without[_i].devices, 1);
    ck_assert_int_eq(device_cuda.count(&error), 0);
    contains(&error, without[_i].reason);
    ck_assert_int_eq(device_cuda.open(&device, 0, &error), -1);
    ck_assert_ptr_null(device);
    contains(&error, "GPU 0");
    contains(&error, without[_i].reason);
    ck_assert_int_eq(device_cuda.facts(0, &facts, &error), -1);
    contains(&error, "GPU 0");
    ck_assert(!device_cuda.peers(0, 0) && !device_cuda.peers(0, 1));
}
END_TEST

START_TEST(facts_are_told)
{
    struct device_facts facts;
    struct device *device;
    struct error error;

    ck_assert_int_ge(device_cuda.count(&error), 1);
    ck_assert_msg(!device_cuda.facts(0, &facts, &error), "%s", error.text);
    ck_assert_uint_gt(strlen(facts.name), 0);
    ck_assert_uint_eq(strlen(facts.id), strlen("GPU-01234567-0123-0123-0123-0123456789ab"));
    ck_assert_uint_gt(facts.free_bytes, 0);
    ck_assert_uint_ge(facts.memory_bytes, facts.free_bytes);
    ck_assert_int_ge(facts.major, 3);
    ck_assert(device_cuda.peers(0, 0));
    ck_assert_int_eq(device_cuda.facts(99, &facts, &error), -1);
    contains(&error, "GPU 99");
    ck_assert_int_eq(device_cuda.open(&device, 99, &error), -1);
    contains(&error, "GPU 99");
}
END_TEST

/* Parts of arrays go round: host, device, device, memory that was adopted, device, host. */
START_TEST(copies_arrive_in_order)
{
    enum { BYTES = 1 << 20, TIMES = 50 };
    struct device *device = device_open();
    unsigned char *out = allocate_host(device, BYTES), *back = allocate_host(device, BYTES);
    unsigned char *expected = calloc(BYTES, 1);
    unsigned char *a = allocate(device, BYTES), *b = allocate(device, BYTES);
    void *adopted = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct error error;

    ck_assert_ptr_ne(adopted, MAP_FAILED);
    ck_assert_msg(!device->type->adopt_host(device, adopted, BYTES, &error), "%s", error.text);
    ck_assert_msg(!device->type->clear(device, a, BYTES, &error), "%s", error.text);
    for (int k = 0; k < BYTES; k++)
        out[k] = (unsigned char)random_below(1, RANDOM_TEST, 0, (uint64_t)k, 256);
    for (int k = 0; k < TIMES; k++) {
        const size_t from = random_below(1, RANDOM_TEST, 1, (uint64_t)k, BYTES);
        const size_t bytes = random_below(1, RANDOM_TEST, 2, (uint64_t)k, (uint32_t)(BYTES - from));
        const size_t to = random_below(1, RANDOM_TEST, 3, (uint64_t)k, (uint32_t)(BYTES - bytes));

        memcpy(expected + to, out + from, bytes);
        copy(device, a + to, out + from, bytes);
    }
    copy(device, b, a, BYTES);
    copy(device, b, b, BYTES);
    copy(device, b, a, 0);
    ck_assert_msg(!device->type->clear(device, a, BYTES, &error), "%s", error.text);
    copy(device, adopted, b, BYTES);
    ck_assert_msg(!device->type->clear(device, b, BYTES, &error), "%s", error.text);
    copy(device, a, adopted, BYTES);
    copy(device, back, a, BYTES);
    finish(device);
    ck_assert_mem_eq(back, expected, BYTES);
    ck_assert_mem_eq(adopted, expected, BYTES);
    device->type->forget_host(device, adopted);
    munmap(adopted, BYTES);
    device->type->release(device, a);
    device->type->release(device, b);
    device->type->release_host(device, out);
    device->type->release_host(device, back);
    device->type->close(device);
    free(expected);
}
END_TEST

START_TEST(memory_that_is_not_there_is_told)
{
    struct device *device = device_open();
    struct error error;
    void *memory;

    ck_assert_int_eq(device->type->allocate(device, &memory, SIZE_MAX / 4, "the moon", &error), -1);
    ck_assert_ptr_null(memory);
    contains(&error, "GPU 0 has no memory for the moon");
    memory = allocate(device, 0);
    ck_assert_ptr_nonnull(memory);
    device->type->release(device, memory);
    device->type->release(device, NULL);
    device->type->release_host(device, allocate_host(device, 0));
    device->type->release_host(device, NULL);
    finish(device);
    device->type->close(device);
}
END_TEST

/* An earlier mark never comes after a later one. */
START_TEST(marks_are_reached_in_order)
{
    enum { BYTES = 1 << 16, MARKS = 2000, BEHIND = 20 };
    struct device *device = device_open();
    unsigned char *host = allocate_host(device, BYTES), *memory = allocate(device, BYTES);
    uint64_t newest = 0;

    for (int k = 0; k < MARKS; k++) {
        copy(device, memory, host, BYTES);
        ck_assert_uint_eq(mark(device), newest + 1);
        newest++;
        if (newest <= BEHIND)
            continue;
        await(device, newest - BEHIND);
        ck_assert(reached(device, 1) && reached(device, newest - BEHIND));
        if (reached(device, newest))
            ck_assert(reached(device, newest - 1));
    }
    finish(device);
    ck_assert(reached(device, newest));
    device->type->release(device, memory);
    device->type->release_host(device, host);
    device->type->close(device);
}
END_TEST

START_TEST(too_many_marks_are_refused)
{
    struct device *device;
    struct error error;
    uint64_t number;
    int marks = 0;

    if (!gpu_is_double())
        return;
    setenv("GPU_DOUBLE_DELAY_US", "100000", 1);
    device = device_open();
    while (marks < 10 * DEVICE_MARKS && device->type->mark(device, &number, &error) == 0)
        marks++;
    ck_assert_int_ge(marks, DEVICE_MARKS);
    ck_assert_int_lt(marks, 10 * DEVICE_MARKS);
    contains(&error, "marks behind");
    device->type->close(device);
}
END_TEST

static const double speeds[] = {1, 1 + 1e-3, 1 - 1e-3};

/* A mark's time lies between its making and its being seen, and no later mark's is earlier: for longer than times are
 * counted from one base, and though the clocks drift apart by far more than real ones do. */
START_TEST(times_are_the_hosts)
{
    enum { NANOSECONDS = 1500000000, SLACK_NS = 20000 };
    struct device *device;
    struct error error;
    uint64_t begin_ns, last_ns = 0, worst_ns = 0;

    setenv("GPU_DOUBLE_DELAY_US", "300", 1);
    device = device_open();
    clock_speed = speeds[_i];
    for (begin_ns = clock_now_ns(); clock_now_ns() < begin_ns + NANOSECONDS;) {
        const uint64_t before_ns = clock_now_ns(), number = mark(device);
        uint64_t time_ns;

        await(device, number);
        time_ns = device->type->time_ns(device, number);
        ck_assert_uint_le(time_ns, clock_now_ns());
        ck_assert_uint_ge(time_ns, last_ns);
        if (time_ns < before_ns && before_ns - time_ns > worst_ns)
            worst_ns = before_ns - time_ns;
        last_ns = time_ns;
    }
    ck_assert_msg(worst_ns < SLACK_NS, "a mark is %.1f us too early", 1e-3 * (double)worst_ns);
    ck_assert_msg(!device->type->set_clock(device, &error), "%s", error.text);
    device->type->close(device);
}
END_TEST

/* The time between two marks is what was between them, though nobody looks in the meantime; and CUDA is never asked for so
 * long a time that its float is too coarse. */
START_TEST(durations_are_exact)
{
    enum { ROUNDS = 60, SLACK_NS = 20000 };
    const struct timespec pause = {.tv_nsec = 10000000};
    struct device *device;

    setenv("GPU_DOUBLE_DELAY_US", "0", 1);
    device = device_open();
    for (int k = 0; k < ROUNDS; k++) {
        uint64_t first, second, told_ns, between_ns, outside_ns = clock_now_ns();

        first = mark(device);
        nanosleep(&pause, NULL);
        await(device, first);
        between_ns = clock_now_ns();
        nanosleep(&pause, NULL);
        between_ns = clock_now_ns() - between_ns;
        second = mark(device);
        nanosleep(&pause, NULL);
        await(device, second);
        outside_ns = clock_now_ns() - outside_ns;
        told_ns = device->type->time_ns(device, second) - device->type->time_ns(device, first);
        ck_assert_uint_ge(told_ns + SLACK_NS, between_ns);
        ck_assert_uint_le(told_ns, outside_ns);
    }
    ck_assert_double_lt(longest_ms, 1500);
    device->type->close(device);
}
END_TEST

START_TEST(own_exports_cannot_be_opened)
{
    struct device *device = device_open();
    struct device_handle handle;
    struct device_event *event, *opened;
    void *memory = allocate(device, 2 << 20), *imported;
    struct error error;

    ck_assert_msg(!device->type->export_memory(device, memory, &handle, &error), "%s", error.text);
    ck_assert_int_eq(device->type->import_memory(device, &handle, &imported, &error), -1);
    ck_assert_ptr_null(imported);
    contains(&error, "opening another process's memory");
    ck_assert_msg(!device->type->event_create(device, &event, &handle, &error), "%s", error.text);
    ck_assert_int_eq(device->type->event_import(device, &opened, &handle, &error), -1);
    ck_assert_ptr_null(opened);
    contains(&error, "opening another process's event");
    ck_assert_msg(!device->type->event_record(device, event, &error), "%s", error.text);
    ck_assert_msg(!device->type->event_wait(device, event, &error), "%s", error.text);
    finish(device);
    device->type->event_destroy(device, event);
    device->type->event_destroy(device, NULL);
    device->type->release(device, memory);
    device->type->close(device);
}
END_TEST

START_TEST(what_is_opened_is_closed)
{
    uint64_t before = gpu_is_double() ? double_live_allocations() : 0;

    for (int k = 0; k < 50; k++) {
        struct device *device = device_open();
        void *memory = allocate(device, 1 << 20);

        mark(device);
        finish(device);
        device->type->release(device, memory);
        device->type->close(device);
    }
    ck_assert_uint_eq(gpu_is_double() ? double_live_allocations() : 0, before);
}
END_TEST

static int run(TCase *tcase, const char *name)
{
    Suite *suite = suite_create(name);

    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

/* Where there is one, only the double can do without. */
static int run_without(void)
{
    TCase *tcase = tcase_create("without a GPU");

    tcase_add_loop_test(tcase, every_call_says_that_there_is_no_gpu, 0, gpu_is_double() ? (int)COUNT(without) : 1);
    return run(tcase, "without a GPU");
}

static int run_with(void)
{
    TCase *tcase = tcase_create("gpu device");

    tcase_add_test(tcase, facts_are_told);
    tcase_add_test(tcase, copies_arrive_in_order);
    tcase_add_test(tcase, memory_that_is_not_there_is_told);
    tcase_add_test(tcase, marks_are_reached_in_order);
    tcase_add_test(tcase, too_many_marks_are_refused);
    tcase_add_loop_test(tcase, times_are_the_hosts, 0, COUNT(speeds));
    tcase_add_test(tcase, durations_are_exact);
    tcase_add_test(tcase, own_exports_cannot_be_opened);
    tcase_add_test(tcase, what_is_opened_is_closed);
    return run(tcase, "gpu device");
}

int main(void)
{
    const int gpus = gpu_count();
    int failed = 0;

    if (&device_cuda && (gpu_is_double() || gpus == 0))
        failed = run_without();
    if (gpus > 0)
        failed += run_with();
    if (failed > 0)
        return 1;
    return gpus > 0 ? 0 : gpu_skip();
}
