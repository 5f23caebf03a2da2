/* Goal of this test: the simulator is right, whatever times it is given, by an oracle that knows nothing of events: an op
 * starts when the op before it at its stage has ended, its message has come and its slot is free, not earlier and not
 * later. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/random.h"
#include "tests/support/schedules.h"
#include "tests/support/suite.h"
#include "tests/support/timed.h"

enum { SEED = 20241018 };

static struct simulation *simulate_in_units(const struct schedule *schedule, struct link_slots slots)
{
    struct simulation *simulation = NULL;
    struct error error = {""};

    ck_assert_msg(simulate_unit(schedule, slots, true, &simulation, &error) == 0, "%s", error.text);
    return simulation;
}

static bool same_op(const struct op *a, const struct op *b)
{
    return a->kind == b->kind && a->minibatch == b->minibatch && a->first == b->first && a->count == b->count;
}

static struct op op_at(const struct simulation *simulation, int s, int k)
{
    return timed_at(simulation, s, k).op;
}

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

int main(void)
{
    Suite *suite = suite_create("any times");
    TCase *tcase = tcase_create("any times");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_any_times, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_scale, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_replay_is_monotone, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_no_faster_than_the_slowest_stage, 0, asking_system_count);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
