#include "tests/support/exchange.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"

enum { CHECKS = 16, DRAWN = 8, MOMENT_NS = 200000, STARTS_MAX = 256 };

/* A part of a slot that is being copied to where the host can look at it. */
struct check {
    int i, j;
    uint64_t mark;
    uint64_t *words;
};

struct worker {
    struct exchange_stage stage; /* first, so that a stage is its worker */
    struct check checks[CHECKS]; /* a ring */
    int check_count;
    uint64_t *drawn[DRAWN], drawn_marks[DRAWN]; /* likewise, of what part 1 sends */
    int drawn_count;
    bool mismatch;
};

static int part_count(const struct exchange *exchange)
{
    return exchange->stages * exchange->parts;
}

static bool is_first(const struct exchange_part *part)
{
    return part->index == 1;
}

static bool is_last(const struct worker *worker, const struct exchange_part *part)
{
    return part->index == part_count(worker->stage.exchange);
}

static void at(struct worker *worker, enum exchange_point point)
{
    if (worker->stage.exchange->at)
        worker->stage.exchange->at(&worker->stage, point);
}

static int moment(void *context, struct error *error)
{
    struct exchange_stage *stage = context;

    doorbell_wait(&segment_stage(stage->segment, stage->index)->doorbell, &stage->heard, clock_now_ns() + MOMENT_NS);
    return atomic_load(&stage->segment->board->abort) ? error_set(error, "aborted") : 0;
}

static int await(struct worker *worker, uint64_t mark, struct error *error)
{
    struct device *device = worker->stage.device;
    int reached;

    while ((reached = device->type->reached(device, mark, error)) == 0)
        if (moment(&worker->stage, error))
            return -1;
    return reached < 0 ? -1 : 0;
}

static size_t part_bytes(const struct exchange *exchange)
{
    return (size_t)exchange->floats * sizeof(float);
}

static size_t slot_bytes(const struct exchange *exchange)
{
    return (size_t)exchange->microbatches * part_bytes(exchange);
}

/* Message j of slot i has so many words, which are those. */
static int word_count(const struct exchange *exchange, int i, int j)
{
    return 1 + (int)random_below(1, RANDOM_TEST, (uint32_t)j, (uint64_t)i, (uint32_t)exchange->floats / 2);
}

static uint64_t word(int i, int j, int k)
{
    return ((uint64_t)i * 64 + (uint64_t)j + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)k;
}

static int finish_check(struct worker *worker, const struct check *check, struct error *error)
{
    if (await(worker, check->mark, error))
        return -1;
    for (int k = 0; k < word_count(worker->stage.exchange, check->i, check->j); k++) {
        if (check->words[k] == word(check->i, check->j, k))
            continue;
        worker->mismatch = true;
        return error_set(error, "word %d of message %d of slot %d is %016llx", k, check->j, check->i,
                         (unsigned long long)check->words[k]);
    }
    return 0;
}

static int check_slot(struct worker *worker, const struct link_end *end, int i, int j, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    struct check *check = &worker->checks[worker->check_count % CHECKS];
    struct device *device = worker->stage.device;
    const char *part = (char *)link_slot(end, (uint64_t)i) + (size_t)j * part_bytes(exchange);

    if (worker->check_count >= CHECKS && finish_check(worker, check, error))
        return -1;
    worker->check_count++;
    check->i = i;
    check->j = j;
    return device->type->copy(device, check->words, part, (size_t)word_count(exchange, i, j) * sizeof(uint64_t),
                              error) ||
           device->type->mark(device, &check->mark, error);
}

static int finish_checks(struct worker *worker, struct error *error)
{
    for (int k = worker->check_count > CHECKS ? worker->check_count - CHECKS : 0; k < worker->check_count; k++)
        if (finish_check(worker, &worker->checks[k % CHECKS], error))
            return -1;
    worker->check_count = 0;
    return 0;
}

/* Queues the writing of a message that part 1 makes up. */
static int draw(struct worker *worker, void *to, int i, int j, struct error *error)
{
    struct device *device = worker->stage.device;
    const int slot = worker->drawn_count % DRAWN, words = word_count(worker->stage.exchange, i, j);

    if (worker->drawn_count++ >= DRAWN && await(worker, worker->drawn_marks[slot], error))
        return -1;
    for (int k = 0; k < words; k++)
        worker->drawn[slot][k] = word(i, j, k);
    return device->type->copy(device, to, worker->drawn[slot], (size_t)words * sizeof(uint64_t), error) ||
           device->type->mark(device, &worker->drawn_marks[slot], error);
}

static int take(struct worker *worker, struct link_end *end, int i, int j, int count, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    const struct message *message = ring_message(&end->ring, end->ring.messages);
    const size_t bytes = count > 1 ? slot_bytes(exchange) : (size_t)word_count(exchange, i, j) * sizeof(uint64_t);

    if (message->minibatch != i + 1 || message->first != j + 1 || message->count != count)
        return error_set(error, "message %d of slot %d is another", j, i);
    return link_take(&worker->stage.links, end, (uint64_t)i, (size_t)j * part_bytes(exchange), bytes, error);
}

static int publish(struct worker *worker, struct link_end *end, int i, int j, int count, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    const struct message message = {.minibatch = i + 1, .first = (int16_t)(j + 1), .count = (int16_t)count};
    const size_t bytes = count > 1 ? slot_bytes(exchange) : (size_t)word_count(exchange, i, j) * sizeof(uint64_t);

    if (link_publish(&worker->stage.links, end, &message, (uint64_t)i, (size_t)j * part_bytes(exchange), bytes, error))
        return -1;
    segment_ring_doorbell(worker->stage.segment, end->neighbour);
    return 0;
}

static int release(struct worker *worker, struct link_end *end, int i, struct error *error)
{
    struct device *device = worker->stage.device;

    if (device->type->clear(device, link_slot(end, (uint64_t)i), slot_bytes(worker->stage.exchange), error) ||
        link_release(&worker->stage.links, end, (uint64_t)i, error))
        return -1;
    segment_ring_doorbell(worker->stage.segment, end->neighbour);
    return 0;
}

static int forward(struct worker *worker, struct exchange_part *part, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    struct device *device = worker->stage.device;
    const int i = part->forwards / exchange->microbatches, j = part->forwards % exchange->microbatches;
    const size_t offset = (size_t)j * part_bytes(exchange);
    char *to;

    if (!is_first(part)) {
        if (take(worker, &part->ends.down_in, i, j, 1, error))
            return -1;
        at(worker, POINT_TAKEN);
        if (check_slot(worker, &part->ends.down_in, i, j, error))
            return -1;
    }
    if (!is_last(worker, part)) {
        to = (char *)link_slot(&part->ends.down_out, (uint64_t)i) + offset;
        if ((j == 0 && link_begin(&worker->stage.links, &part->ends.down_out, (uint64_t)i, error)) ||
            (is_first(part)
                 ? draw(worker, to, i, j, error)
                 : device->type->copy(device, to, (char *)link_slot(&part->ends.down_in, (uint64_t)i) + offset,
                                      (size_t)word_count(exchange, i, j) * sizeof(uint64_t), error)))
            return -1;
        at(worker, POINT_WRITTEN);
        if (publish(worker, &part->ends.down_out, i, j, 1, error))
            return -1;
    }
    part->forwards++;
    return 0;
}

static int check_all(struct worker *worker, const struct link_end *end, int i, struct error *error)
{
    for (int j = 0; j < worker->stage.exchange->microbatches; j++)
        if (check_slot(worker, end, i, j, error))
            return -1;
    return 0;
}

/* One message for the whole slot. */
static int backward(struct worker *worker, struct exchange_part *part, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    struct device *device = worker->stage.device;
    const int i = part->backwards, all = exchange->microbatches;
    struct link_end *from = is_last(worker, part) ? &part->ends.down_in : &part->ends.up_in;

    if (!is_last(worker, part) &&
        (take(worker, &part->ends.up_in, i, 0, all, error) || check_all(worker, &part->ends.up_in, i, error)))
        return -1;
    if (!is_first(part) &&
        (link_begin(&worker->stage.links, &part->ends.up_out, (uint64_t)i, error) ||
         device->type->copy(device, link_slot(&part->ends.up_out, (uint64_t)i), link_slot(from, (uint64_t)i),
                            slot_bytes(exchange), error) ||
         publish(worker, &part->ends.up_out, i, 0, all, error) || check_all(worker, &part->ends.down_in, i, error)))
        return -1;
    at(worker, POINT_READ);
    if ((!is_first(part) && release(worker, &part->ends.down_in, i, error)) ||
        (!is_last(worker, part) && release(worker, &part->ends.up_in, i, error)))
        return -1;
    part->backwards++;
    return 0;
}

static bool can_forward(const struct worker *worker, const struct exchange_part *part)
{
    const struct exchange *exchange = worker->stage.exchange;
    const uint64_t message = (uint64_t)part->forwards, slot = message / (uint64_t)exchange->microbatches;

    return part->forwards < exchange->minibatches * exchange->microbatches &&
           (is_first(part) || ring_published(&part->ends.down_in.ring) > message) &&
           (is_last(worker, part) || ring_room(&part->ends.down_out.ring) > slot);
}

static bool can_backward(const struct worker *worker, const struct exchange_part *part)
{
    const uint64_t slot = (uint64_t)part->backwards;

    return part->forwards >= (part->backwards + 1) * worker->stage.exchange->microbatches &&
           (is_last(worker, part) || ring_published(&part->ends.up_in.ring) > slot) &&
           (is_first(part) || ring_room(&part->ends.up_out.ring) > slot);
}

/* Does something for a part, if anything can be done. */
static int step(struct worker *worker, struct exchange_part *part, bool *moved, struct error *error)
{
    *moved = true;
    if (can_backward(worker, part))
        return backward(worker, part, error);
    if (can_forward(worker, part))
        return forward(worker, part, error);
    *moved = false;
    return 0;
}

static int exchange_messages(struct worker *worker, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    struct exchange_part *parts = worker->stage.parts;
    int ended = 0;

    while (ended < exchange->parts) {
        bool any = false;

        ended = 0;
        for (int i = 0; i < exchange->parts; i++) {
            bool moved;

            if (step(worker, &parts[i], &moved, error))
                return -1;
            any = any || moved;
            ended += parts[i].backwards == exchange->minibatches;
        }
        if (!any && ended < exchange->parts && moment(&worker->stage, error))
            return -1;
    }
    return 0;
}

static int open_links(struct worker *worker, struct error *error)
{
    struct exchange_stage *stage = &worker->stage;
    const struct plan *plan = &stage->segment->header->plan;
    const struct device_waiter waiter = {.moment = moment, .context = stage};

    if (links_open(&stage->links, stage->segment, stage->index, stage->device, &waiter, error))
        return -1;
    for (int i = 0; i < stage->exchange->parts; i++) {
        stage->parts[i] = (struct exchange_part){.index = plan_part_of(plan, stage->index, i)};
        if (links_open_part(&stage->links, &stage->parts[i].ends, stage->parts[i].index, error))
            return -1;
    }
    return 0;
}

static int start(struct worker *worker, const struct segment *segment, struct error *error)
{
    struct links *links = &worker->stage.links;

    worker->stage.segment = segment;
    if (open_links(worker, error))
        return -1;
    at(worker, POINT_LINKS_OPEN);
    if (links_connect(links, error))
        return -1;
    at(worker, POINT_CONNECTED);
    if (exchange_messages(worker, error))
        return -1;
    at(worker, POINT_DONE);
    if (links_close(links, error))
        return -1;
    at(worker, POINT_CLOSED);
    return finish_checks(worker, error);
}

static int pinned(struct device *device, uint64_t **out, size_t bytes, struct error *error)
{
    void *memory;

    if (device->type->allocate_host(device, &memory, bytes, "words", error))
        return -1;
    *out = memory;
    return 0;
}

static int open_device(struct worker *worker, struct error *error)
{
    const struct exchange *exchange = worker->stage.exchange;
    const int ordinal = exchange->devices[worker->stage.index - 1];
    const struct device_type *type = ordinal == EXCHANGE_HOST ? &device_host : &device_cuda;
    struct device *device;

    if (type->open(&device, ordinal, error))
        return -1;
    worker->stage.device = device;
    for (int k = 0; k < CHECKS; k++)
        if (pinned(device, &worker->checks[k].words, part_bytes(exchange), error))
            return -1;
    for (int k = 0; k < DRAWN; k++)
        if (pinned(device, &worker->drawn[k], part_bytes(exchange), error))
            return -1;
    return 0;
}

static void close_device(struct worker *worker)
{
    struct device *device = worker->stage.device;

    for (int k = 0; k < CHECKS; k++)
        device->type->release_host(device, worker->checks[k].words);
    for (int k = 0; k < DRAWN; k++)
        device->type->release_host(device, worker->drawn[k]);
    device->type->close(device);
}

static int run_stage(const struct exchange *exchange, const struct segment *segments, int index)
{
    struct worker worker = {.stage = {.exchange = exchange, .index = index, .segment = segments}};
    struct error error;
    int failed;

    at(&worker, POINT_BEGUN);
    failed = open_device(&worker, &error);
    if (!failed)
        at(&worker, POINT_DEVICE_OPEN);
    for (int k = 0; k < exchange->starts && !failed; k++)
        failed = start(&worker, &segments[k], &error);
    if (!failed) {
        close_device(&worker);
        return EXCHANGE_FINE;
    }
    if (!worker.mismatch && atomic_load(&segments->board->abort))
        return EXCHANGE_ABORTED;
    if (!exchange->at)
        fprintf(stderr, "stage %d: %s\n", index, error.text);
    return worker.mismatch ? EXCHANGE_MISMATCH : EXCHANGE_FAILED;
}

static enum link_path path_between(const struct exchange *exchange, int one, int other)
{
    const int a = exchange->devices[one - 1], b = exchange->devices[other - 1];

    if (a == EXCHANGE_HOST && b == EXCHANGE_HOST)
        return LINK_SHARED;
    if (one == other)
        return LINK_DEVICE;
    return a == EXCHANGE_HOST || b == EXCHANGE_HOST || exchange->staged ? LINK_STAGED : LINK_DEVICE;
}

static struct plan plan_of(const struct exchange *exchange)
{
    const int parts = part_count(exchange);
    struct plan plan = {
        .stage_count = exchange->stages,
        .part_count = parts,
        .schedule = {.stages = exchange->stages, .parts = exchange->parts, .placement = exchange->placement}};

    plan.config.data.batch = exchange->microbatches;
    plan.config.device.sync = exchange->sync;
    plan.schedule.microbatches = exchange->microbatches;
    plan.schedule.order.whole_backward = true;
    for (int k = 1; k <= parts; k++) {
        struct plan_part *part = &plan.parts[k - 1];

        part->activation_slots = exchange->activation_slots;
        part->gradient_slots = exchange->gradient_slots;
        part->input = part->output = (struct shape){1, 1, exchange->floats};
        if (k < parts)
            part->link = path_between(exchange, plan_stage_of(&plan, k), plan_stage_of(&plan, k + 1));
    }
    return plan;
}

/* In a process that has not asked for a GPU yet. */
static pid_t fork_stage(const struct exchange *exchange, const struct segment *segments, int index)
{
    char seed[16];
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    snprintf(seed, sizeof(seed), "%d", index);
    setenv("GPU_DOUBLE_SEED", seed, 1);
    _exit(run_stage(exchange, segments, index));
}

static void abort_all(const struct exchange *exchange, const struct segment *segments)
{
    for (int k = 0; k < exchange->starts; k++)
        segment_abort(&segments[k]);
}

double exchange_run(const struct exchange *exchange, int *results)
{
    static struct segment segments[STARTS_MAX];
    const struct plan plan = plan_of(exchange);
    pid_t pids[EXCHANGE_STAGES_MAX];
    uint64_t aborted_ns = 0;
    struct error error;

    ck_assert_int_le(exchange->starts, STARTS_MAX);
    for (int k = 0; k < exchange->starts; k++)
        ck_assert_msg(!segment_create_private(&segments[k], &plan, rings_bytes, &error), "%s", error.text);
    for (int s = 0; s < exchange->stages; s++)
        pids[s] = fork_stage(exchange, segments, s + 1);
    for (int ended = 0; ended < exchange->stages; ended++) {
        int status, s = 0;
        pid_t pid = waitpid(-1, &status, 0);

        while (s < exchange->stages - 1 && pids[s] != pid)
            s++;
        ck_assert_int_eq(pids[s], pid);
        results[s] = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        if (results[s] && !aborted_ns) {
            aborted_ns = clock_now_ns();
            abort_all(exchange, segments);
        }
    }
    for (int k = 0; k < exchange->starts; k++)
        segment_close(&segments[k]);
    return aborted_ns ? 1e-9 * (double)(clock_now_ns() - aborted_ns) : 0;
}
