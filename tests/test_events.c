/* Goal of this test: the simulator, given times, keeps the closed forms where there are some, and is otherwise right by an oracle that knows nothing of events: an op starts when the op
 * before it at its stage has ended, its message has come and its slot is free, not earlier and not later. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "schedule/simulate.h"
#include "tests/support/schedules.h"
#include "tests/support/suite.h"

enum { STAGES_MAX = 64, SEED = 20241018 };

/* What a test simulates: all stages and links alike until it changes one. */
static struct part_times stages[STAGES_MAX];
static struct link_times links[STAGES_MAX];
static const struct timing timing = {.parts = stages, .links = links, .last_minibatch = 1.0};

static void set_times(int64_t forward, int64_t backward, int64_t update)
{
    memset(links, 0, sizeof(links));
    for (int s = 0; s < STAGES_MAX; s++)
        stages[s] = (struct part_times){
            .op = {[OP_FORWARD] = forward,
                   [OP_BACKWARD] = backward,
                   [OP_BACKWARD_INPUT] = backward,
                   [OP_BACKWARD_WEIGHTS] = backward},
            .update = update,
        };
}

static struct simulation *simulate_with(const struct schedule *schedule, const struct timing *how,
                                        const struct simulation *replayed)
{
    struct simulation *simulation = NULL;
    struct error error = {""};

    ck_assert_msg(schedule_check(schedule, &error) == 0, "%s", error.text);
    ck_assert_msg(simulate_timed(schedule, how, replayed, true, &simulation, &error) == 0, "%s", error.text);
    return simulation;
}

static struct simulation *simulate(const struct schedule *schedule)
{
    return simulate_with(schedule, &timing, NULL);
}

static struct simulation *simulate_in_units(const struct schedule *schedule, struct link_slots slots)
{
    struct simulation *simulation = NULL;
    struct error error = {""};

    ck_assert_msg(simulate_unit(schedule, slots, true, &simulation, &error) == 0, "%s", error.text);
    return simulation;
}

/* How long the phase lasts when every stage takes the same. */
static int64_t duration_of(const char *name, int w, int n, int k)
{
    const struct schedule schedule = schedule_named(name, w, n, k);
    struct simulation *simulation = simulate(&schedule);
    const int64_t duration = simulation->duration;

    simulation_destroy(simulation);
    return duration;
}

static bool same_op(const struct op *a, const struct op *b)
{
    return a->kind == b->kind && a->minibatch == b->minibatch && a->first == b->first && a->count == b->count;
}

/* Op k of stage s (both 0-based). */
static struct timed_op timed_at(const struct simulation *simulation, int s, int k)
{
    return simulation_op(simulation, s + 1, k);
}

static struct op op_at(const struct simulation *simulation, int s, int k)
{
    return timed_at(simulation, s, k).op;
}

static int op_count(const struct simulation *simulation, int s)
{
    return simulation_op_count(simulation, s + 1);
}

/* The middle one of three machines sends each mini-batch's activation one way and its gradient the other: over one cable they
 * take turns. The repetitions that are left out take as long as those that are played. */
START_TEST(a_machine_has_one_cable)
{
    static const int machines[] = {0, 1, 2}, together[] = {0, 0, 0};
    const struct schedule schedule = schedule_named("pipedream", 3, 1, 200);
    struct timing shared = timing;
    struct simulation *simulation;
    int64_t own;

    set_times(1, 2, 0);
    for (int l = 0; l < 2; l++)
        links[l] = (struct link_times){.activation = 1000, .gradient = 1000};
    own = duration_of("pipedream", 3, 1, 200);
    shared.machines = machines;
    simulation = simulate_with(&schedule, &shared, NULL);
    ck_assert_int_gt(simulation->period, 0);
    ck_assert_int_ge(simulation->duration, INT64_C(200) * 2 * 1000);
    ck_assert_int_lt(own, INT64_C(200) * 2 * 1000);
    simulation_destroy(simulation);
    shared.machines = together;
    simulation = simulate_with(&schedule, &shared, NULL);
    ck_assert_int_eq(simulation->duration, own);
    simulation_destroy(simulation);
}
END_TEST

START_TEST(test_naive_is_the_sum_of_all)
{
    const int w = 4, k = 5;
    int64_t all = 0;

    set_times(0, 0, 0);
    for (int s = 0; s < w; s++) {
        stages[s] = (struct part_times){.op = {[OP_FORWARD] = 3 + s, [OP_BACKWARD] = 11 - 2 * s}, .update = 2 + s};
        all += stages[s].op[OP_FORWARD] + stages[s].op[OP_BACKWARD];
    }
    for (int l = 0; l < w - 1; l++) {
        links[l] = (struct link_times){.activation = 2, .gradient = 7, .latency = 5};
        all += 2 + 5 + 7 + 5;
    }
    /* The next mini-batch waits for stage 1's update alone: the other stages' end earlier. */
    ck_assert_int_eq(duration_of("naive", w, 1, k), k * (all + stages[0].update));
}
END_TEST

/* Flushed systems with stages alike: a mini-batch takes its work, its update and the bubble. */
START_TEST(test_bubbles)
{
    const char *const name = _i ? "1f1b" : "gpipe";

    for (int w = 1; w <= 7; w++)
        for (int n = 1; n <= 8; n++)
            for (int64_t f = 1; f <= 3; f++)
                for (int64_t b = 1; b <= 7; b += 2) {
                    const int64_t update = (f + b) % 3;

                    set_times(f, b, update);
                    ck_assert_msg(duration_of(name, w, n, 3) == 3 * ((n + w - 1) * (f + b) + update),
                                  "%s (%d, %d) with %" PRId64 " + %" PRId64, name, w, n, f, b);
                }
}
END_TEST

/* The bubble is (W - 1) (tX + max(0, tF - tW)) if both halves take at least a forward, and no smaller otherwise. */
START_TEST(test_bubble_of_zb_h1)
{
    for (int w = 1; w <= 5; w++)
        for (int n = w; n <= 10; n++)
            for (int64_t f = 1; f <= 4; f++)
                for (int64_t x = 1; x <= 4; x++)
                    for (int64_t g = 1; g <= 4; g++) {
                        const int64_t bubble = (w - 1) * (x + (f > g ? f - g : 0));
                        const int64_t expected = 2 * (n * (f + x + g) + bubble);

                        set_times(f, x, 0);
                        for (int s = 0; s < w; s++)
                            stages[s].op[OP_BACKWARD_WEIGHTS] = g;
                        const int64_t found = duration_of("zb-h1", w, n, 2);
                        ck_assert_msg(x >= f && g >= f ? found == expected : found >= expected,
                                      "zb-h1 (%d, %d), %" PRId64 " + %" PRId64 " + %" PRId64 ": %" PRId64
                                      ", expected %" PRId64,
                                      w, n, f, x, g, found, expected);
                    }
}
END_TEST

static void check_version_difference(int w, int n, int64_t f, int64_t b, int expected)
{
    const struct schedule schedule = schedule_named("timeprest", w, n, 4 * w + 12);

    set_times(f, b, 0);
    struct simulation *simulation = simulate(&schedule);
    ck_assert_msg(simulation->version_difference_min == expected && simulation->version_difference_max == expected &&
                      simulation->version_difference_median == expected,
                  "(%d, %d) with %" PRId64 " + %" PRId64 ": v is %d to %d, not %d", w, n, f, b,
                  simulation->version_difference_min, simulation->version_difference_max, expected);
    simulation_destroy(simulation);
}

/* Backwards leave stage W every N tF + tB and have reached and passed stage 1 W tB after they began there. */
START_TEST(test_version_difference)
{
    check_version_difference(4, 3, 1, 1, 1);
    check_version_difference(4, 3, 1, 2, 2); /* as measured by others, where the unit-time schedule has 1 */
    for (int w = 1; w <= 12; w++)
        for (int n = 2; n <= 8; n++)
            for (int64_t f = 1; f <= 2; f++)
                for (int64_t b = f; b <= 6 * f; b += f) {
                    const int64_t period = n * f + b;

                    check_version_difference(w, n, f, b, (int)((w * b + period - 1) / period));
                }
}
END_TEST

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The mini-batches after warm-up, each counted once; the median is the lower one of two. */
START_TEST(test_version_difference_histogram)
{
    enum { W = 4, K_MAX = 60 };

    set_times(5, 2, 0); /* backwards meet forwards half done: v is 1 or 2 */
    for (int k = W + 1; k <= K_MAX; k++) {
        const struct schedule schedule = schedule_named("timeprest", W, 2, k);
        struct simulation *simulation = simulate(&schedule);
        int differences[K_MAX], histogram[K_MAX + 1] = {0};

        for (int i = W; i < k; i++) {
            differences[i - W] = i + 1 - simulation_committed(simulation, i + 1);
            histogram[differences[i - W]]++;
        }
        qsort(differences, (size_t)(k - W), sizeof(differences[0]), ascending);
        ck_assert_mem_eq(simulation->version_differences, histogram,
                         (size_t)(simulation->version_difference_max + 1) * sizeof(histogram[0]));
        ck_assert_int_eq(simulation->version_difference_min, differences[0]);
        ck_assert_int_eq(simulation->version_difference_median, differences[(k - W - 1) / 2]);
        ck_assert_int_eq(simulation->version_difference_max, differences[k - W - 1]);
        if (k == K_MAX)
            ck_assert_int_lt(simulation->version_difference_min, simulation->version_difference_max);
        simulation_destroy(simulation);
    }
}
END_TEST

/* One slow stage: all others keep up, whichever it is. */
START_TEST(test_slow_stage_bounds_throughput)
{
    const int w = 5, n = 3;
    const struct schedule schedule = schedule_named("timeprest", w, n, 40);

    set_times(10, 20, 3);
    stages[_i] = (struct part_times){.op = {[OP_FORWARD] = 40, [OP_BACKWARD] = 85}, .update = 7};
    struct simulation *simulation = simulate(&schedule);
    ck_assert(simulation->minibatch_duration == n * 40.0 + 85.0 + 7.0);
    ck_assert_int_lt(simulation->stages[_i].waits[WAIT_ACTIVATION] + simulation->stages[_i].waits[WAIT_GRADIENT],
                     simulation->duration / 10);
    simulation_destroy(simulation);
}
END_TEST

/* One slow link, of which one direction at a time is the slow one: its bandwidth is all that counts, as mini-batches in
 * flight hide its latency. */
START_TEST(test_slow_link_bounds_throughput)
{
    const int w = 4;
    const struct schedule schedule = schedule_named("timeprest", w, 3, 40);

    for (int up = 0; up <= 1; up++) {
        set_times(1, 2, 1);
        links[_i] = (struct link_times){
            .activation = up ? 1 : 100, .gradient = up ? 300 : 1, .latency = 10, .slots = {.gradients = w}};
        struct simulation *simulation = simulate(&schedule);
        ck_assert_msg(simulation->minibatch_duration == 300.0, "link %d, %s: %f per mini-batch", _i + 1,
                      up ? "up" : "down", simulation->minibatch_duration);
        simulation_destroy(simulation);
    }
}
END_TEST

/* A gradient slot that its reader keeps holds up who would write the next. (Not the whole: see Graham's anomalies,
 * below.) */
START_TEST(test_slots_hold_up)
{
    const struct schedule schedule = schedule_named("timeprest", 3, 2, 20);
    int64_t waits[2];

    for (int tight = 0; tight <= 1; tight++) {
        set_times(1, 3, 0);
        stages[0].op[OP_BACKWARD] = 30;
        for (int l = 0; l < 2; l++)
            links[l].slots = (struct link_slots){.gradients = tight ? 1 : 20};
        struct simulation *simulation = simulate(&schedule);
        waits[tight] = simulation->stages[1].waits[WAIT_SLOT];
        simulation_destroy(simulation);
    }
    ck_assert_int_eq(waits[0], 0);
    ck_assert_int_gt(waits[1], 0);
}
END_TEST

/* The last mini-batch may be smaller: less work and shorter messages, but the same update. */
START_TEST(test_last_minibatch)
{
    const struct timing half = {.parts = stages, .links = links, .last_minibatch = 0.5};
    const struct schedule schedule = schedule_named("naive", 2, 1, 3);

    set_times(10, 20, 4);
    links[0] = (struct link_times){.activation = 6, .gradient = 8, .latency = 5};
    struct simulation *simulation = simulate_with(&schedule, &half, NULL);
    ck_assert_int_eq(simulation->duration, 2 * (60 + 14 + 10 + 4) + (30 + 7 + 10 + 4));
    simulation_destroy(simulation);
}
END_TEST

/* The oracle. Op k of stage s starts at starts[s][k], or it is not known yet (-1). */
struct oracle {
    const struct schedule *schedule;
    const struct simulation *simulation;
    int64_t *starts[STAGES_MAX];
    int64_t *free_at; /* [W]: scratch */
};

static int64_t work(const struct oracle *oracle, int s, const struct op *op)
{
    const bool last = op->minibatch == oracle->schedule->minibatches;

    return last ? (int64_t)((double)stages[s].op[op->kind] * timing.last_minibatch + 0.5) : stages[s].op[op->kind];
}

static int64_t result_at(const struct oracle *oracle, int s, int k)
{
    const int64_t start = oracle->starts[s][k];
    const struct op op = op_at(oracle->simulation, s, k);

    return start < 0 ? -1 : start + work(oracle, s, &op);
}

static int64_t free_again_at(const struct oracle *oracle, int s, int k)
{
    struct op op;

    if (k < 0)
        return 0;
    if (oracle->starts[s][k] < 0)
        return -1;
    op = op_at(oracle->simulation, s, k);
    return result_at(oracle, s, k) + (schedule_updates_after(oracle->schedule, &op) ? stages[s].update : 0);
}

/* Index of the op of one of two kinds that covers the micro-batch. */
static int find(const struct oracle *oracle, int s, enum op_kind kind, enum op_kind or_kind, int minibatch, int micro)
{
    for (int k = 0; k < op_count(oracle->simulation, s); k++) {
        const struct op op = op_at(oracle->simulation, s, k);
        if ((op.kind == kind || op.kind == or_kind) && op.minibatch == minibatch && op.first <= micro &&
            micro < op.first + op.count)
            return k;
    }
    ck_abort_msg("stage %d never runs kind %d of mini-batch %d", s + 1, kind, minibatch);
    return -1;
}

/* When the message of op k at stage `from` is seen over link l: each waits for the one before to have been sent. */
static int64_t seen_at(const struct oracle *oracle, int from, int k, const struct link_times *link)
{
    const struct op last = op_at(oracle->simulation, from, k);
    const bool down = last.kind == OP_FORWARD;
    int64_t link_free = 0;

    for (int j = 0; j <= k; j++) {
        if (op_at(oracle->simulation, from, j).kind != last.kind)
            continue;
        const int64_t sent = result_at(oracle, from, j), time = down ? link->activation : link->gradient;
        if (sent < 0)
            return -1;
        link_free = (sent > link_free ? sent : link_free) + time;
    }
    return link_free + link->latency;
}

static int64_t latest(const int64_t *times, int count)
{
    int64_t last = 0;

    for (int i = 0; i < count; i++) {
        if (times[i] < 0)
            return -1;
        last = times[i] > last ? times[i] : last;
    }
    return last;
}

/* When what had the slot before has left it: a mini-batch, or a micro-batch. An activation's slot is left when both
 * stages have done its backward, a gradient's when its reader has. 0 if nothing had it, -1 if that is not known yet. */
static int64_t slot_at(const struct oracle *oracle, int s, int reader, const struct op *op, int slots)
{
    const enum op_kind last = oracle->schedule->order.split_backward ? OP_BACKWARD_WEIGHTS : OP_BACKWARD;
    const int n = oracle->schedule->microbatches, size = oracle->schedule->order.whole_backward ? n : 1;
    const int before = ((op->minibatch - 1) * n + op->first - 1) / size - slots, end = (before + 1) * size - 1;
    int64_t times[2] = {0, 0};

    if (before < 0)
        return 0;
    times[0] = result_at(oracle, reader, find(oracle, reader, last, last, end / n + 1, end % n + 1));
    if (op->kind == OP_FORWARD)
        times[1] = result_at(oracle, s, find(oracle, s, last, last, end / n + 1, end % n + 1));
    return latest(times, 2);
}

static int64_t start_of(const struct oracle *oracle, int s, int k)
{
    const struct schedule *schedule = oracle->schedule;
    const struct op op = op_at(oracle->simulation, s, k);
    const int end = op.first + op.count - 1, w = schedule->stages;
    int64_t times[3] = {free_again_at(oracle, s, k - 1), 0, 0};

    if (op.kind == OP_FORWARD) {
        if (s > 0)
            times[1] =
                seen_at(oracle, s - 1, find(oracle, s - 1, OP_FORWARD, OP_FORWARD, op.minibatch, end), &links[s - 1]);
        if (s < w - 1 && links[s].slots.activations > 0)
            times[2] = slot_at(oracle, s, s + 1, &op, links[s].slots.activations);
    } else if (op.kind != OP_BACKWARD_WEIGHTS) {
        if (s < w - 1)
            times[1] = seen_at(oracle, s + 1, find(oracle, s + 1, OP_BACKWARD, OP_BACKWARD_INPUT, op.minibatch, end),
                               &links[s]);
        if (s > 0 && links[s - 1].slots.gradients > 0)
            times[2] = slot_at(oracle, s, s - 1, &op, links[s - 1].slots.gradients);
    }
    return latest(times, 3);
}

/* Fills in what is known until all is. */
static void check_with_oracle(const struct schedule *schedule, const struct simulation *simulation, const char *name)
{
    struct oracle oracle = {.schedule = schedule, .simulation = simulation};
    int known[STAGES_MAX] = {0}, progress;

    for (int s = 0; s < schedule->stages; s++) {
        const size_t count = (size_t)op_count(simulation, s);
        oracle.starts[s] = malloc(count * sizeof(*oracle.starts[s]));
        ck_assert_ptr_nonnull(oracle.starts[s]);
        for (size_t k = 0; k < count; k++)
            oracle.starts[s][k] = -1;
    }
    do {
        progress = 0;
        for (int s = 0; s < schedule->stages; s++)
            while (known[s] < op_count(simulation, s)) {
                const int64_t start = start_of(&oracle, s, known[s]);
                if (start < 0)
                    break;
                oracle.starts[s][known[s]++] = start;
                progress++;
            }
    } while (progress > 0);
    for (int s = 0; s < schedule->stages; s++) {
        ck_assert_int_eq(known[s], schedule_op_count(schedule));
        ck_assert_int_eq(op_count(simulation, s), schedule_op_count(schedule));
        for (int k = 0; k < known[s]; k++) {
            const struct timed_op timed = timed_at(simulation, s, k);
            const int64_t end = free_again_at(&oracle, s, k);
            ck_assert_msg(timed.start == oracle.starts[s][k] && timed.end == end,
                          "%s (%d, %d), seed %d: op %d of stage %d runs from %" PRId64 " to %" PRId64
                          ", not from %" PRId64 " to %" PRId64,
                          name, schedule->stages, schedule->microbatches, SEED, k, s + 1, timed.start, timed.end,
                          oracle.starts[s][k], end);
        }
        free(oracle.starts[s]);
    }
}

/* Updates that stage 1 had applied when mini-batch i's backward began at stage W: by the ops' times. */
static int committed_at(const struct schedule *schedule, const struct simulation *simulation, int64_t when)
{
    int count = 0;

    for (int k = 0; k < op_count(simulation, 0); k++) {
        const struct timed_op timed = timed_at(simulation, 0, k);
        count += schedule_updates_after(schedule, &timed.op) && timed.end <= when;
    }
    return count;
}

static void check_committed(const struct schedule *schedule, const struct simulation *simulation)
{
    const int last = schedule->stages - 1;

    for (int k = 0; k < op_count(simulation, last); k++) {
        const struct timed_op timed = timed_at(simulation, last, k);
        const struct op *op = &timed.op;
        if ((op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT) && op->first == 1)
            ck_assert_int_eq(simulation_committed(simulation, op->minibatch),
                             committed_at(schedule, simulation, timed.start));
    }
}

static void check_sums(const struct schedule *schedule, const struct simulation *simulation)
{
    double all_busy = 0.0;

    for (int s = 0; s < schedule->stages; s++) {
        const struct simulated_stage *events = &simulation->stages[s];
        int64_t busy = 0, waits = 0;

        for (int k = 0; k < op_count(simulation, s); k++)
            busy += timed_at(simulation, s, k).end - timed_at(simulation, s, k).start;
        for (int c = 0; c < WAIT_CAUSES; c++) {
            ck_assert_int_ge(events->waits[c], 0);
            waits += events->waits[c];
        }
        all_busy += (double)busy;
        ck_assert_int_eq(events->busy, busy);
        ck_assert_int_eq(busy + waits, simulation->duration);
        ck_assert_int_eq(events->waits[WAIT_NONE],
                         simulation->duration - timed_at(simulation, s, op_count(simulation, s) - 1).end);
        ck_assert_int_le(simulation->parts[s].weight_versions, schedule_versions_limit(schedule, s + 1));
        ck_assert_int_le(events->minibatches_in_flight, schedule_in_flight_limit(schedule, s + 1));
    }
    ck_assert_double_eq_tol(simulation->bubble_fraction,
                            1.0 - all_busy / schedule->stages / (double)simulation->duration, 1e-9);
    ck_assert_int_ge(simulation->version_difference_min, 1);
    ck_assert_int_le(simulation->version_difference_max, schedule->stages);
}

static int64_t draw(uint64_t *index, uint32_t bound)
{
    return random_below(SEED, RANDOM_TEST, 0, (*index)++, bound);
}

/* Any times, links that are free, slow or far away, and on all of them so many slots, which are returned: from one, which
 * holds things up, or as many as the order needs to get on, to more than can be used. */
static struct link_slots draw_times(uint64_t *index, const struct schedule *schedule)
{
    const struct order *order = &schedule->order;
    const int most = schedule_activation_slots(schedule, 1);
    const int least = order->fill_first || order->split_backward ? schedule_slots_limit(schedule, 1) : 1;
    const struct link_slots slots = {
        least + (int)draw(index, (uint32_t)(most - least + 2)),
        (order->split_backward ? schedule_gradient_slots(schedule) : 1) + (int)draw(index, 3),
    };

    for (int s = 0; s < schedule->stages; s++) {
        const uint32_t bound = draw(index, 4) == 0 ? 40 : 10;
        for (int kind = 0; kind < OP_KINDS; kind++)
            stages[s].op[kind] = 1 + draw(index, bound);
        stages[s].update = draw(index, 5);
        links[s].activation = draw(index, 2) * draw(index, 12);
        links[s].gradient = draw(index, 2) * draw(index, 12);
        links[s].latency = draw(index, 2) * draw(index, 30);
        links[s].slots = slots;
    }
    return slots;
}

/* Random times, every system, W, N, both orders. */
START_TEST(test_any_times)
{
    uint64_t index = 0;
    int tried = 0;

    for (int round = 0; round < 300; round++) {
        const int w = 1 + (int)draw(&index, 6), n = 1 + (int)draw(&index, 5);
        const struct schedule schedule = schedule_of(&systems[_i], w, n, 1 + (int)draw(&index, 12));
        struct error error;

        if (schedule_check(&schedule, &error) != 0)
            continue;
        struct simulation *slots = simulate_in_units(&schedule, draw_times(&index, &schedule));
        struct simulation *dynamic = simulate(&schedule), *replayed = simulate_with(&schedule, &timing, slots);
        check_with_oracle(&schedule, dynamic, systems[_i].name);
        check_with_oracle(&schedule, replayed, systems[_i].name);
        check_committed(&schedule, dynamic);
        check_sums(&schedule, dynamic);
        check_sums(&schedule, replayed);
        for (int i = 0; i < schedule.minibatches; i++)
            ck_assert_int_eq(simulation_committed(replayed, i + 1), simulation_committed(slots, i + 1));
        simulation_destroy(dynamic);
        simulation_destroy(replayed);
        simulation_destroy(slots);
        tried++;
    }
    ck_assert_int_ge(tried, 20);
}
END_TEST

/* All times three times as long: everything takes three times as long, and nothing else changes. */
START_TEST(test_scale)
{
    const struct schedule schedule = schedule_of(&systems[_i], 4, orders[systems[_i].order].microbatches ? 1 : 4, 12);
    uint64_t index = 0;

    for (int round = 0; round < 20; round++) {
        draw_times(&index, &schedule);
        struct simulation *once = simulate(&schedule);
        for (int s = 0; s < schedule.stages; s++) {
            for (int kind = 0; kind < OP_KINDS; kind++)
                stages[s].op[kind] *= 3;
            stages[s].update *= 3;
            links[s].activation *= 3;
            links[s].gradient *= 3;
            links[s].latency *= 3;
        }
        struct simulation *thrice = simulate(&schedule);
        ck_assert_int_eq(thrice->duration, 3 * once->duration);
        for (int s = 0; s < schedule.stages; s++)
            for (int k = 0; k < op_count(once, s); k++) {
                const struct timed_op first = timed_at(once, s, k), third = timed_at(thrice, s, k);
                ck_assert(same_op(&first.op, &third.op) && 3 * first.start == third.start);
            }
        for (int i = 1; i <= schedule.minibatches; i++)
            ck_assert_int_eq(simulation_committed(once, i), simulation_committed(thrice, i));
        simulation_destroy(once);
        simulation_destroy(thrice);
    }
}
END_TEST

/* In a fixed order nothing comes earlier because something takes longer. (In the dynamic order it may: Graham's
 * anomalies.) */
START_TEST(test_replay_is_monotone)
{
    const struct schedule schedule = schedule_of(&systems[_i], 4, orders[systems[_i].order].microbatches ? 1 : 4, 8);
    uint64_t index = 0;

    for (int round = 0; round < 30; round++) {
        struct simulation *slots = simulate_in_units(&schedule, draw_times(&index, &schedule));
        struct simulation *before = simulate_with(&schedule, &timing, slots);
        const int s = (int)draw(&index, 4);
        int64_t *const longer[] = {&stages[s].op[draw(&index, OP_KINDS)], &stages[s].update, &links[s].activation,
                                   &links[s].gradient, &links[s].latency};
        *longer[draw(&index, 5)] += 1 + draw(&index, 20);
        struct simulation *after = simulate_with(&schedule, &timing, slots);
        for (int t = 0; t < schedule.stages; t++)
            for (int k = 0; k < op_count(before, t); k++)
                ck_assert_int_le(timed_at(before, t, k).start, timed_at(after, t, k).start);
        simulation_destroy(before);
        simulation_destroy(after);
        simulation_destroy(slots);
    }
}
END_TEST

/* A stage's work, after the first activation could reach it and before its last gradient can have reached stage 1. */
START_TEST(test_no_faster_than_the_slowest_stage)
{
    const struct schedule schedule = schedule_of(&systems[_i], 5, orders[systems[_i].order].microbatches ? 1 : 5, 10);
    const enum op_kind back = schedule.order.split_backward ? OP_BACKWARD_INPUT : OP_BACKWARD;
    uint64_t index = 0;

    for (int round = 0; round < 30; round++) {
        int64_t way = 0;

        draw_times(&index, &schedule);
        struct simulation *simulation = simulate(&schedule);
        for (int s = 0; s < schedule.stages; s++) {
            const struct simulated_stage *events = &simulation->stages[s];
            ck_assert_int_ge(simulation->duration, way + events->busy - stages[s].update - stages[s].op[3]);
            way += stages[s].op[OP_FORWARD] + stages[s].op[back];
        }
        simulation_destroy(simulation);
    }
}
END_TEST

START_TEST(test_deadlock_is_named)
{
    struct schedule schedule = schedule_named("timeprest", 2, 3, 4);
    struct simulation *simulation = NULL;
    struct error error = {""};

    set_times(5, 7, 0);
    schedule.order.limit = LIMIT_MICROBATCHES;
    ck_assert_int_eq(simulate_timed(&schedule, &timing, NULL, true, &simulation, &error), -1);
    ck_assert_ptr_null(simulation);
    ck_assert_str_eq(error.text,
                     "order nF1B deadlocks with 2 stages and 3 micro-batches: after 10 units of time nothing can "
                     "run and stage 1 waits for the activation of 1");
}
END_TEST

/* What nobody here can run. It takes some hundredths of a second; the test's timeout leaves room for sanitizers. */
START_TEST(test_many_stages)
{
    const int w = 64, n = 8, k = 200;
    const struct schedule schedule = schedule_named("timeprest", w, n, k);

    set_times(7, 13, 3);
    struct simulation *simulation = simulate(&schedule);
    check_sums(&schedule, simulation);
    ck_assert_int_ge(simulation->version_difference_median, (w * 13 + 8 * 7 + 12) / (8 * 7 + 13));
    simulation_destroy(simulation);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("events");
    TCase *tcase = tcase_create("events"), *quick = tcase_create("quick");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_naive_is_the_sum_of_all);
    tcase_add_loop_test(tcase, test_bubbles, 0, 2);
    tcase_add_test(tcase, test_bubble_of_zb_h1);
    tcase_add_test(tcase, test_version_difference);
    tcase_add_test(tcase, test_version_difference_histogram);
    tcase_add_loop_test(tcase, test_slow_stage_bounds_throughput, 0, 5);
    tcase_add_loop_test(tcase, test_slow_link_bounds_throughput, 0, 3);
    tcase_add_test(tcase, test_slots_hold_up);
    tcase_add_test(tcase, a_machine_has_one_cable);
    tcase_add_test(tcase, test_last_minibatch);
    tcase_add_loop_test(tcase, test_any_times, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_scale, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_replay_is_monotone, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_no_faster_than_the_slowest_stage, 0, asking_system_count);
    tcase_add_test(tcase, test_deadlock_is_named);
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(quick, 10);
    tcase_add_test(quick, test_many_stages);
    suite_add_tcase(suite, quick);

    return run_suite(suite);
}
