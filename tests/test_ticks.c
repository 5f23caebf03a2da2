/* Goal of this test: the order of things is the schedule's, whatever time its ops took. Every system's unit-time schedule is
 * played with random times, pauses among them; its ticks must be the schedule's slots again. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "telemetry/ticks.h"
#include "tests/support/fabricate.h"
#include "tests/support/suite.h"

enum { SEED = 20260815, MINIBATCHES = 24 };
#define BEGIN_NS UINT64_C(1000000000)

static uint64_t drawn;

static uint64_t draw(uint32_t below)
{
    return random_below(SEED, RANDOM_TEST, 0, drawn++, below);
}

/* Slot k of the schedule lasts from edges[k] to edges[k + 1]. */
static uint64_t *draw_edges(int slots)
{
    uint64_t *edges = calloc((size_t)slots + 2, sizeof(*edges));

    ck_assert_ptr_nonnull(edges);
    edges[0] = BEGIN_NS;
    for (int k = 0; k <= slots; k++)
        edges[k + 1] = edges[k] + 2000 + draw(draw(8) == 0 ? 400000000 : 40000); /* a pause now and then */
    return edges;
}

static void record_stage(struct stage_history *stage, const struct schedule *schedule,
                         const struct simulation *simulation, int s, const uint64_t *edges)
{
    const int count = simulation_op_count(simulation, s);
    struct op_record *records = calloc((size_t)count, sizeof(*records));

    ck_assert_ptr_nonnull(records);
    for (int k = 0; k < count; k++) {
        const struct timed_op timed = simulation_op(simulation, s, k);
        const uint64_t slot = edges[timed.start + 1] - edges[timed.start], start = edges[timed.start] + draw(900);

        records[k] = (struct op_record){
            .start_ns = start,
            .end_ns = start + 100 + draw((uint32_t)(slot - 1000)),
            .epoch = 1,
            .minibatch = timed.op.minibatch,
            .first = (int16_t)timed.op.first,
            .count = (int16_t)timed.op.count,
            .kind = (uint8_t)timed.op.kind,
            .updated = schedule_updates_after(schedule, &timed.op),
        };
    }
    *stage = (struct stage_history){records, count};
}

static struct history record_run(const struct fabricated *run, const struct simulation *simulation)
{
    uint64_t *edges = draw_edges((int)simulation->duration);
    struct history history = {.lost = 0};

    for (int s = 1; s <= run->plan.stage_count; s++)
        record_stage(&history.stages[s - 1], &run->plan.schedule, simulation, s, edges);
    free(edges);
    return history;
}

static void check_slots(const struct fabricated *run, const struct simulation *simulation, const struct ticks *ticks,
                        const struct history *history, int from)
{
    int64_t shift = INT64_MAX;

    for (int s = 1; s <= run->plan.stage_count; s++) {
        ck_assert_int_le(ticks->count[s - 1], history->stages[s - 1].count);
        for (int k = 0; k < ticks->count[s - 1]; k++) {
            const struct tick_op *op = &ticks->ops[ticks->first[s - 1] + k];
            const int n = (int)(op->record - history->stages[s - 1].ops);
            const int64_t slot = simulation_op(simulation, s, n).start;

            if (slot < from)
                continue;
            shift = shift == INT64_MAX ? op->start - slot : shift;
            ck_assert_msg(op->start - slot == shift && op->end == op->start + 1,
                          "%s, %d stages: op %d of stage %d is in tick %d, not %d", run->plan.config.pipeline.system,
                          run->plan.stage_count, n, s, (int)op->start, (int)(slot + shift));
        }
    }
    ck_assert_int_ne(shift, INT64_MAX);
    if (from == 0) {
        ck_assert_int_eq(shift, 0);
        ck_assert_int_eq(ticks->origin, 0);
        ck_assert_int_eq(ticks->now, simulation->duration);
    }
}

/* Of a run's end alone, too: what came before it is no longer known, but ticks soon agree. */
START_TEST(ticks_are_the_slots_of_the_schedule)
{
    const struct system *system = &systems[_i];
    const int n = orders[system->order].microbatches;

    for (int w = 1; w <= 7; w += 1 + w / 4) {
        struct fabricated *run = fabricate(&(struct fabrication){system->name, w, n > 0 ? n : 8, MINIBATCHES, 1, 0.5});
        struct simulation *simulation;
        struct ticks ticks;
        struct error error;

        ck_assert_int_eq(simulate_unit(&run->plan.schedule,
                                       (struct link_slots){.gradients = run->plan.parts[0].gradient_slots}, true,
                                       &simulation, &error),
                         0);
        struct history history = record_run(run, simulation);
        memset(run->snapshot.stages, 0, sizeof(run->snapshot.stages));
        ck_assert_int_eq(ticks_create(&ticks, &run->snapshot, &history, UINT64_MAX, 0, NULL), 0);
        check_slots(run, simulation, &ticks, &history, 0);
        ticks_destroy(&ticks);
        struct history end = history;
        for (int s = 0; s < w; s++) {
            end.stages[s].ops += end.stages[s].count / 2;
            end.stages[s].count -= end.stages[s].count / 2;
        }
        ck_assert_int_eq(ticks_create(&ticks, &run->snapshot, &end, UINT64_MAX, 0, NULL), 0);
        check_slots(run, simulation, &ticks, &history, (int)(simulation->duration - simulation->duration / 4));
        ticks_destroy(&ticks);
        for (int s = 0; s < w; s++)
            free((void *)(uintptr_t)history.stages[s].ops);
        simulation_destroy(simulation);
        fabricated_destroy(run);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ticks");
    TCase *tcase = tcase_create("ticks");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, ticks_are_the_slots_of_the_schedule, 0, asking_system_count);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
