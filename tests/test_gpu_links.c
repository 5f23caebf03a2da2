/* Links between processes, on GPUs or on the double of one: every byte of thousands of messages arrives, whatever the
 * path; each way of breaking the order of things is found by these very checks; and who is left alone ends. */
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/gpu/double.h"
#include "tests/support/exchange.h"
#include "tests/support/gpu.h"
#include "tests/support/suite.h"

#pragma weak double_live_allocations

enum { HOST = EXCHANGE_HOST };

static int gpus;

static bool on_double(void)
{
    return double_live_allocations != NULL;
}

static const struct {
    int stages, parts; /* of each stage */
    enum placement placement;
    int devices[EXCHANGE_STAGES_MAX];
    bool staged;
} shapes[] = {
    {2, 1, PLACEMENT_LOOP, {HOST, HOST}, false},
    {2, 1, PLACEMENT_LOOP, {0, 0}, false},
    {2, 1, PLACEMENT_LOOP, {0, 0}, true},
    {2, 1, PLACEMENT_LOOP, {0, HOST}, false},
    {2, 1, PLACEMENT_LOOP, {HOST, 0}, false},
    {3, 1, PLACEMENT_LOOP, {0, 0, 0}, false},
    {3, 1, PLACEMENT_LOOP, {0, 0, HOST}, true},
    {3, 1, PLACEMENT_LOOP, {HOST, 0, HOST}, false},
    {4, 1, PLACEMENT_LOOP, {HOST, 0, 0, 0}, false},
    {3, 1, PLACEMENT_LOOP, {0, 1, 0}, false},
    {3, 1, PLACEMENT_LOOP, {0, 1, 1}, true},
    {1, 3, PLACEMENT_LOOP, {0}, false},
    {2, 2, PLACEMENT_LOOP, {0, 0}, false},
    {2, 3, PLACEMENT_LOOP, {0, 1}, false},
    {2, 2, PLACEMENT_V, {0, 0}, false},
    {3, 3, PLACEMENT_V, {0, 1, 0}, false},
    {2, 2, PLACEMENT_V, {0, 0}, true},
    {3, 2, PLACEMENT_V, {0, HOST, 0}, false},
    {2, 2, PLACEMENT_LOOP, {HOST, 0}, false},
    {3, 2, PLACEMENT_LOOP, {0, 0, 0}, false},
};
/* Some of them by name. */
enum { ALONE_2 = 1, STAGED_2 = 2, ALONE_3 = 5, MIXED_3 = 6, V_2 = 14, LOOP_3 = 19 };

static const struct {
    int activation_slots, gradient_slots, microbatches;
} rings[] = {{1, 1, 1}, {1, 1, 3}, {3, 1, 1}, {2, 3, 2}};

static struct exchange exchange_of(size_t shape, size_t ring, enum device_sync sync, int messages)
{
    struct exchange exchange = {
        .stages = shapes[shape].stages,
        .parts = shapes[shape].parts,
        .placement = shapes[shape].placement,
        .staged = shapes[shape].staged,
        .sync = sync,
        .activation_slots = rings[ring].activation_slots,
        .gradient_slots = rings[ring].gradient_slots,
        .microbatches = rings[ring].microbatches,
        .floats = 1024,
        .minibatches = messages / rings[ring].microbatches,
        .starts = 1,
    };

    memcpy(exchange.devices, shapes[shape].devices, sizeof(exchange.devices));
    return exchange;
}

static bool has_devices(const struct exchange *exchange)
{
    for (int s = 0; s < exchange->stages; s++)
        if (exchange->devices[s] >= gpus)
            return false;
    return true;
}

static void run_well(const struct exchange *exchange)
{
    int results[EXCHANGE_STAGES_MAX];

    exchange_run(exchange, results);
    for (int s = 0; s < exchange->stages; s++)
        ck_assert_msg(results[s] == EXCHANGE_FINE, "stage %d ended with %d", s + 1, results[s]);
}

START_TEST(every_byte_arrives)
{
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        const struct exchange exchange =
            exchange_of(shape, (size_t)_i / 2, _i % 2 ? SYNC_HOST : SYNC_EVENT, _i % 2 ? 60 : 240);

        if (has_devices(&exchange))
            run_well(&exchange);
    }
}
END_TEST

/* Asked by a process of its own. */
static bool peers(int from, int to)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(device_cuda.peers(from, to) ? 1 : 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status) == 1;
}

START_TEST(devices_that_are_no_peers_pass_messages_on_through_the_host)
{
    struct exchange exchange = exchange_of(STAGED_2, 2, SYNC_EVENT, 200);

    if (!on_double())
        return;
    ck_assert(peers(0, 1) && peers(1, 1));
    setenv("GPU_DOUBLE_PEERS", "0", 1);
    ck_assert(!peers(0, 1) && peers(1, 1));
    exchange.devices[1] = 1;
    run_well(&exchange);
}
END_TEST

/* The stage that does it wrong, the device that it does it with, and how it was. */
static struct exchange_stage *wrong;
static struct device_type wrongly, rightly;
static struct device_event *held;
static enum ring_side held_side;

static void do_wrong(struct exchange_stage *stage)
{
    wrong = stage;
    rightly = wrongly = *stage->device->type;
    stage->device->type = &wrongly;
}

/* Where an event of either side is among the links'. */
static struct link_end *find_event(const struct device_event *event, bool own, uint64_t *k)
{
    struct link_ends *part = &wrong->parts[0].ends;
    struct link_end *const ends[] = {&part->down_in, &part->up_in, &part->down_out, &part->up_out};

    for (size_t e = 0; e < COUNT(ends); e++) {
        const enum ring_side side = own ? ends[e]->side : !ends[e]->side;

        if (!ends[e]->ring.ring || ends[e]->side != held_side || !ends[e]->events[side])
            continue;
        for (*k = 0; *k < ends[e]->ring.layout.slots; ++*k)
            if (ends[e]->events[side][*k] == event)
                return ends[e];
    }
    return NULL;
}

/* Somebody else is given time between the publishing and the record. */
static int record_held(struct device *device, struct error *error)
{
    struct device_event *event = held;

    held = NULL;
    if (!event)
        return 0;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return rightly.event_record(device, event, error);
}

static int record_later(struct device *device, struct device_event *event, struct error *error)
{
    uint64_t k;

    if (!find_event(event, true, &k))
        return rightly.event_record(device, event, error);
    held = event;
    return 0;
}

static int mark_after_held(struct device *device, uint64_t *mark, struct error *error)
{
    return record_held(device, error) || rightly.mark(device, mark, error);
}

static int copy_after_held(struct device *device, void *to, const void *from, size_t bytes, struct error *error)
{
    return record_held(device, error) || rightly.copy(device, to, from, bytes, error);
}

static int wait_after_held(struct device *device, struct device_event *event, struct error *error)
{
    return record_held(device, error) || rightly.event_wait(device, event, error);
}

static void records_late(struct exchange_stage *stage)
{
    do_wrong(stage);
    wrongly.event_record = record_later;
    wrongly.mark = mark_after_held;
    wrongly.copy = copy_after_held;
    wrongly.event_wait = wait_after_held;
}

/* With one message per slot an end's event k follows its wait for the other's event k. */
static int wait_and_record(struct device *device, struct device_event *event, struct error *error)
{
    uint64_t k;
    const struct link_end *end = find_event(event, false, &k);

    if (rightly.event_wait(device, event, error))
        return -1;
    return end ? rightly.event_record(device, end->events[end->side][k], error) : 0;
}

/* A producer has not waited for slots that it writes for the first time. */
static int record_first(struct device *device, struct device_event *event, struct error *error)
{
    uint64_t k;
    const struct link_end *end = find_event(event, true, &k);

    if (end && (end->side == RING_CONSUMER || end->ring.messages >= end->ring.layout.slots))
        return 0;
    return rightly.event_record(device, event, error);
}

static void records_early(struct exchange_stage *stage)
{
    do_wrong(stage);
    wrongly.event_wait = wait_and_record;
    wrongly.event_record = record_first;
}

static void forgets_the_offset(struct exchange_stage *stage)
{
    stage->parts[0].ends.up_out.slots = stage->links.opened[stage->index - 2];
}

/* In a block with others. */
static int allocate_little(struct device *device, void **out, size_t bytes, const char *what, struct error *error)
{
    const bool links = strcmp(what, "the links") == 0;

    return rightly.allocate(device, out, links ? bytes / 8 : bytes, what, error);
}

static void shares_the_block(struct exchange_stage *stage)
{
    void *other;
    struct error error;

    do_wrong(stage);
    wrongly.allocate = allocate_little;
    if (stage->device->type->allocate(stage->device, &other, 1000, "others", &error))
        abort();
}

static void frees_the_arena(struct exchange_stage *stage)
{
    fclose(stderr); /* the double says so, and aborts */
    stage->device->type->release(stage->device, stage->links.arena);
}

static const struct mistake {
    const char *name;
    int stages, stage, ring; /* whose it is, and in which of `rings` */
    enum exchange_point point;
    enum ring_side side;
    void (*make)(struct exchange_stage *stage);
    int found; /* as a stage says that finds it */
} mistakes[] = {
    {"published before the record", 2, 1, 0, POINT_DEVICE_OPEN, RING_PRODUCER, records_late, EXCHANGE_MISMATCH},
    {"released before the record", 2, 2, 0, POINT_DEVICE_OPEN, RING_CONSUMER, records_late, EXCHANGE_MISMATCH},
    {"recorded before all is written", 2, 1, 0, POINT_DEVICE_OPEN, RING_PRODUCER, records_early, EXCHANGE_MISMATCH},
    {"recorded before all is read", 2, 2, 0, POINT_DEVICE_OPEN, RING_CONSUMER, records_early, EXCHANGE_MISMATCH},
    {"recorded before all is read, behind", 3, 2, 2, POINT_DEVICE_OPEN, RING_CONSUMER, records_early,
     EXCHANGE_MISMATCH},
    {"offset forgotten", 3, 3, 2, POINT_CONNECTED, 0, forgets_the_offset, EXCHANGE_MISMATCH},
    {"a block that is not the arena's alone", 2, 2, 2, POINT_DEVICE_OPEN, 0, shares_the_block, EXCHANGE_MISMATCH},
    {"freed before it is closed", 2, 2, 0, POINT_TAKEN, 0, frees_the_arena, -SIGABRT},
};

static void make_mistake(struct exchange_stage *stage, enum exchange_point point)
{
    const struct mistake *mistake = stage->exchange->context;

    held_side = mistake->side;
    if (stage->index == mistake->stage && point == mistake->point)
        mistake->make(stage);
}

START_TEST(each_mistake_is_found)
{
    const struct mistake *mistake = &mistakes[_i];
    struct exchange exchange =
        exchange_of(mistake->stages == 2 ? ALONE_2 : ALONE_3, (size_t)mistake->ring, SYNC_EVENT, 1000);
    int results[EXCHANGE_STAGES_MAX];
    bool found = false;

    if (!on_double())
        return;
    setenv("GPU_DOUBLE_DELAY_US", "300", 1);
    exchange.at = make_mistake;
    exchange.context = mistake;
    exchange_run(&exchange, results);
    for (int s = 0; s < exchange.stages; s++)
        found |= results[s] == mistake->found;
    ck_assert_msg(found, "%s: stages ended with %d and %d", mistake->name, results[0], results[1]);
}
END_TEST

struct death {
    int stage;
    enum exchange_point point;
};

/* The points within the exchange come when it is well under way. */
static void die(struct exchange_stage *stage, enum exchange_point point)
{
    const struct death *death = stage->exchange->context;
    const bool under_way = point < POINT_TAKEN || point > POINT_READ || stage->parts[0].forwards >= 10;

    if (stage->index == death->stage && point == death->point && under_way)
        raise(SIGKILL);
}

/* Of three; with one part each, stage 1 takes no activation, and stage 3 writes none. */
static void kill_stage(size_t shape, int stage, enum exchange_point point, bool staged)
{
    const struct death death = {stage, point};
    struct exchange exchange = exchange_of(shape, 3, point % 2 ? SYNC_HOST : SYNC_EVENT, 100);
    int results[EXCHANGE_STAGES_MAX];
    double seconds;

    if (exchange.parts == 1 &&
        ((stage == 1 && point == POINT_TAKEN) || (stage == exchange.stages && point == POINT_WRITTEN)))
        return;
    exchange.staged = staged;
    exchange.at = die;
    exchange.context = &death;
    seconds = exchange_run(&exchange, results);
    ck_assert_msg(seconds < 5, "the others end %.1f s after stage %d has died at point %d", seconds, stage, point);
    ck_assert_int_eq(results[stage - 1], -SIGKILL);
    for (int s = 1; s <= exchange.stages; s++)
        ck_assert_msg(s == stage || results[s - 1] == EXCHANGE_ABORTED || results[s - 1] == EXCHANGE_FAILED ||
                          (results[s - 1] == EXCHANGE_FINE && point == POINT_DONE),
                      "stage %d ends with %d when stage %d has died at point %d", s, results[s - 1], stage, point);
}

START_TEST(who_is_left_alone_ends)
{
    for (int stage = 1; stage <= 3; stage++)
        for (int point = POINT_BEGUN; point <= POINT_DONE; point++)
            kill_stage(_i < 2 ? ALONE_3 : LOOP_3, stage, (enum exchange_point)point, _i % 2);
}
END_TEST

static int open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count;
}

struct holdings {
    uint64_t allocations;
    int files;
    size_t free_bytes;
};

static struct holdings look(const struct exchange_stage *stage)
{
    struct holdings holdings = {.files = open_files()};
    struct device_facts facts;
    struct error error;

    if (on_double())
        holdings.allocations = double_live_allocations();
    else if (stage->device->type->facts(0, &facts, &error) == 0)
        holdings.free_bytes = facts.free_bytes;
    return holdings;
}

/* Nothing is left of links that were closed. Other processes may take some of a real GPU's memory. */
static void compare_with_first(struct exchange_stage *stage, enum exchange_point point)
{
    enum { OTHERS_BYTES = 64 << 20 };
    static struct holdings first;
    struct holdings now;

    if (point != POINT_CLOSED)
        return;
    now = look(stage);
    if (first.files == 0)
        first = now;
    if (now.allocations != first.allocations || now.files != first.files ||
        now.free_bytes + OTHERS_BYTES < first.free_bytes)
        abort();
}

static const int left_by[] = {MIXED_3, ALONE_3, LOOP_3, V_2};

START_TEST(links_leave_nothing)
{
    struct exchange exchange = exchange_of((size_t)left_by[_i], 3, SYNC_EVENT, 4);

    setenv("GPU_DOUBLE_DELAY_US", "0", 1);
    exchange.at = compare_with_first;
    exchange.starts = 200;
    run_well(&exchange);
}
END_TEST

/* How often a process opens memory, and that it lets go of it. */
static int opened, closed;

static int count_import(struct device *device, const struct device_handle *handle, void **out, struct error *error)
{
    opened++;
    return rightly.import_memory(device, handle, out, error);
}

static void count_close(struct device *device, void *memory)
{
    closed++;
    rightly.close_memory(device, memory);
}

static void count_openings(struct exchange_stage *stage, enum exchange_point point)
{
    const int others = stage->exchange->stages - 1;

    if (point == POINT_DEVICE_OPEN) {
        do_wrong(stage);
        wrongly.import_memory = count_import;
        wrongly.close_memory = count_close;
    }
    if (point == POINT_CONNECTED && opened != others)
        abort();
    if (point == POINT_CLOSED && closed != others)
        abort();
}

/* Several parts of a stage write to several of another's. */
START_TEST(memory_is_opened_once)
{
    struct exchange exchange = exchange_of(_i ? V_2 : LOOP_3, 2, SYNC_EVENT, 20);

    exchange.at = count_openings;
    run_well(&exchange);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase;

    setenv("GPU_DOUBLE_DEVICES", "2", 1);
    gpus = gpu_count();
    if (gpus == 0)
        return gpu_skip();
    suite = suite_create("gpu links");
    tcase = tcase_create("gpu links");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, every_byte_arrives, 0, 2 * (int)COUNT(rings));
    tcase_add_test(tcase, devices_that_are_no_peers_pass_messages_on_through_the_host);
    tcase_add_loop_test(tcase, each_mistake_is_found, 0, (int)COUNT(mistakes));
    tcase_add_loop_test(tcase, who_is_left_alone_ends, 0, 4);
    tcase_add_loop_test(tcase, links_leave_nothing, 0, COUNT(left_by));
    tcase_add_loop_test(tcase, memory_is_opened_once, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
