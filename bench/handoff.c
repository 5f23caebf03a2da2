/* What it takes to hand a message from one stage to the next: two processes on two cores, over a run's own rings and
 * doorbells. The message is a time; the consumer subtracts it from its own when it has taken the message.
 *
 * Usage: handoff [MESSAGES]   (at least 100; default 20000) */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "transport/link.h"

enum {
    PRODUCER = 1,
    CONSUMER = 2,
    SLOTS = 4,
    FLOATS = 16,
    MESSAGES_MAX = 1000000,
    PAUSE_NS = 20000,
    BOUND_NS = 100000000
};

/* How the consumer waits: it looks again and again, or sleeps on its doorbell. Whether the producer gives it time to. */
struct manner {
    const char *name;
    bool sleeps, paced;
};
static const struct manner manners[] = {
    {"consumer looks again and again", false, true},
    {"consumer is asleep", true, true},
    {"as many as there is room for", true, false},
};

/* In memory that both processes have. */
struct measured {
    uint64_t latency_ns[MESSAGES_MAX]; /* of each message, from before it is written until it is taken */
    uint64_t ring_ns[MESSAGES_MAX];    /* of them, the producer at the doorbell */
    uint64_t took_ns;                  /* all of them */
};

/* One end, in its process. */
struct worker {
    const struct segment *segment;
    struct device *device;
    struct links links;
    struct link_ends ends;
    struct doorbell *doorbell;
    uint32_t heard;
};

static void check(int failed, const struct error *error)
{
    if (!failed)
        return;
    fprintf(stderr, "handoff: %s\n", error->text);
    exit(1);
}

static int moment(void *context, struct error *error)
{
    struct worker *worker = context;

    doorbell_wait(worker->doorbell, &worker->heard, clock_now_ns() + BOUND_NS);
    return segment_check_run(worker->segment, error);
}

static struct plan plan_of_two(void)
{
    struct plan plan = {.stage_count = 2, .part_count = 2, .schedule = {.stages = 2, .parts = 1, .microbatches = 1}};

    plan.config.data.batch = 1;
    plan.schedule.order.whole_backward = true;
    for (int k = 0; k < plan.part_count; k++) {
        plan.parts[k].activation_slots = plan.parts[k].gradient_slots = SLOTS;
        plan.parts[k].input = plan.parts[k].output = (struct shape){1, 1, FLOATS};
    }
    return plan;
}

static void open_worker(struct worker *worker, const struct segment *segment, int stage)
{
    const struct device_waiter waiter = {.moment = moment, .context = worker};
    struct error error;

    *worker = (struct worker){.segment = segment, .doorbell = &segment_stage(segment, stage)->doorbell};
    check(device_host.open(&worker->device, 0, &error), &error);
    check(links_open(&worker->links, segment, stage, worker->device, &waiter, &error), &error);
    check(links_open_part(&worker->links, &worker->ends, stage, &error), &error);
    check(links_connect(&worker->links, &error), &error);
}

static void close_worker(struct worker *worker)
{
    struct error error;

    check(links_close(&worker->links, &error), &error);
    device_host.close(worker->device);
}

/* Until the consumer has let go of all, and, where it sleeps, is asleep. */
static void let_settle(struct worker *worker, const struct manner *manner, uint64_t sent)
{
    const struct ring_end *ring = &worker->ends.down_out.ring;
    const struct doorbell *other = &segment_stage(worker->segment, CONSUMER)->doorbell;
    uint64_t since;

    while (ring_room(ring) < sent + SLOTS || (manner->sleeps && !atomic_load(&other->sleeps)))
        ;
    for (since = clock_now_ns(); clock_now_ns() - since < PAUSE_NS;)
        ;
}

static void produce(struct worker *worker, const struct manner *manner, struct measured *measured, int count)
{
    struct link_end *end = &worker->ends.down_out;
    const uint64_t start = clock_now_ns();
    struct error error;

    for (int k = 0; k < count; k++) {
        const uint64_t n = (uint64_t)k;
        const struct message message = {.minibatch = k + 1, .first = 1, .count = 1};

        doorbell_silence(worker->doorbell, &worker->heard);
        if (manner->paced)
            let_settle(worker, manner, n);
        while (ring_room(&end->ring) <= n)
            check(moment(worker, &error), &error);
        check(link_begin(&worker->links, end, n, &error), &error);
        const uint64_t begin = clock_now_ns();
        memcpy(link_slot(end, n), &begin, sizeof(begin));
        check(link_publish(&worker->links, end, &message, n, 0, FLOATS * sizeof(float), &error), &error);
        const uint64_t ring = clock_now_ns();
        segment_ring_doorbell(worker->segment, CONSUMER);
        measured->ring_ns[k] = clock_now_ns() - ring;
    }
    while (ring_room(&end->ring) < (uint64_t)count + SLOTS)
        ;
    measured->took_ns = clock_now_ns() - start;
}

static void consume(struct worker *worker, const struct manner *manner, struct measured *measured, int count)
{
    struct link_end *end = &worker->ends.down_in;
    struct error error;
    uint64_t sent;

    for (int k = 0; k < count; k++) {
        const uint64_t n = (uint64_t)k;

        for (;;) {
            doorbell_silence(worker->doorbell, &worker->heard);
            if (ring_published(&end->ring) > n)
                break;
            if (manner->sleeps)
                check(moment(worker, &error), &error);
        }
        check(link_take(&worker->links, end, n, 0, FLOATS * sizeof(float), &error), &error);
        memcpy(&sent, link_slot(end, n), sizeof(sent));
        measured->latency_ns[k] = clock_now_ns() - sent;
        check(link_release(&worker->links, end, n, &error), &error);
        segment_ring_doorbell(worker->segment, PRODUCER);
    }
}

/* The n-th of these cores. */
static void move_to_core(const cpu_set_t *allowed, int n)
{
    cpu_set_t own;

    CPU_ZERO(&own);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, allowed) && n-- == 0)
            CPU_SET(core, &own);
    sched_setaffinity(0, sizeof(own), &own);
}

static void run(const struct manner *manner, const cpu_set_t *allowed, struct measured *measured, int count)
{
    const struct plan plan = plan_of_two();
    struct segment segment;
    struct worker worker;
    struct error error;
    int status;

    check(segment_create_private(&segment, &plan, rings_bytes, &error), &error);
    const pid_t pid = fork();
    check(pid < 0 ? error_set(&error, "cannot start a process") : 0, &error);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    move_to_core(allowed, pid == 0 ? 1 : 0);
    open_worker(&worker, &segment, pid == 0 ? CONSUMER : PRODUCER);
    if (pid == 0)
        consume(&worker, manner, measured, count);
    else
        produce(&worker, manner, measured, count);
    close_worker(&worker);
    if (pid == 0)
        _exit(0);
    check(waitpid(pid, &status, 0) != pid || status != 0 ? error_set(&error, "the consumer failed") : 0, &error);
    segment_close(&segment);
}

static int compare(const void *a, const void *b)
{
    const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

/* Microseconds below which so many of a hundred are. Sorts. */
static double percentile(uint64_t *ns, int count, int percent)
{
    qsort(ns, (size_t)count, sizeof(*ns), compare);
    return 1e-3 * (double)ns[(size_t)(count - 1) * (size_t)percent / 100];
}

static void report(const struct manner *manner, struct measured *measured, int count)
{
    printf("%-32s %8.2f %8.2f %8.2f", manner->name, percentile(measured->latency_ns, count, 50),
           percentile(measured->latency_ns, count, 99), percentile(measured->ring_ns, count, 50));
    if (manner->paced)
        printf(" %12s\n", "-");
    else
        printf(" %12.0f\n", 1e9 * count / (double)measured->took_ns);
}

int main(int argc, char **argv)
{
    const size_t bytes = sizeof(struct measured);
    struct measured *measured;
    int64_t count = 20000;
    struct error error;
    cpu_set_t allowed;

    if (argc > 2 || (argc == 2 && parse_int(&count, argv[1], 100, MESSAGES_MAX, &error))) {
        fprintf(stderr, "usage: handoff [MESSAGES]   (100 to %d)\n", MESSAGES_MAX);
        return 2;
    }
    if (sched_getaffinity(0, sizeof(allowed), &allowed) || CPU_COUNT(&allowed) < 2) {
        fprintf(stderr, "handoff: this is about two cores, and there is one\n");
        return 77;
    }
    measured = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(measured == MAP_FAILED ? error_set(&error, "out of memory") : 0, &error);
    printf("a message between stages on two cores; %d of %zu bytes; us unless said otherwise\n\n", (int)count,
           FLOATS * sizeof(float));
    printf("%-32s %8s %8s %8s %12s\n", "", "median", "99th", "its ring", "messages/s");
    for (size_t m = 0; m < sizeof(manners) / sizeof(manners[0]); m++) {
        run(&manners[m], &allowed, measured, (int)count);
        report(&manners[m], measured, (int)count);
    }
    return 0;
}
