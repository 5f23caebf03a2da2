/* Goal of this test: the orders that are lists are the published ones. Their makespans, idle times and peaks are
 * those of the closed forms where these are exact, found by an oracle that knows ops and dependencies only; every
 * list is whole and can be run for many W, N and c; and what does not suit an order is refused with what would be
 * right. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/simulate.h"
#include "tests/support/list_oracle.h"
#include "tests/support/schedules.h"
#include "tests/support/suite.h"

static const struct oracle_times unit = {.forward = 1, .backward = 2, .input = 1, .weights = 1};

static struct schedule parts_of(const char *name, int stages, int microbatches, int parts, enum placement placement)
{
    struct schedule schedule = schedule_named(name, stages, microbatches, 1);

    schedule.parts = parts;
    schedule.placement = placement;
    return schedule;
}

/* Every stage plays its list; fails the test if a list cannot be played. */
static struct list_oracle play(const struct schedule *schedule, struct oracle_times times)
{
    const size_t most = (size_t)(3 * schedule->parts * schedule->microbatches);
    struct oracle_list lists[ORACLE_STAGES_MAX];
    struct list_oracle oracle;
    struct error error;

    ck_assert_msg(!schedule->order.check(schedule, &error), "%s", error.text);
    for (int s = 1; s <= schedule->stages; s++) {
        struct op *ops = malloc(most * sizeof(*ops));

        lists[s - 1] = (struct oracle_list){ops, schedule->order.generate(schedule, s, ops), NULL};
        ck_assert_uint_le((size_t)lists[s - 1].count, most);
        for (int n = 0; n < lists[s - 1].count; n++)
            ck_assert_int_eq(placement_stage(schedule->placement, schedule->stages, ops[n].part), s);
    }
    ck_assert_msg(list_oracle_play(&oracle, lists, schedule->stages, schedule->parts * schedule->stages, 1,
                                   schedule->microbatches, times),
                  "%s, W = %d, N = %d, c = %d: %s", schedule->order.name, schedule->stages, schedule->microbatches,
                  schedule->parts, oracle.text);
    for (int s = 0; s < schedule->stages; s++)
        free((void *)(uintptr_t)lists[s].ops);
    return oracle;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Forward, backward and halves of one part: the closed forms hold for any, where it is not said that they are equal. */
static const struct oracle_times durations[] = {
    {1, 2, 1, 1},
    {3, 4, 3, 1},
    {2, 7, 3, 4},
};
enum { DURATIONS = sizeof(durations) / sizeof(durations[0]) };

static void assert_idle(const struct schedule *schedule, const struct list_oracle *oracle, int idle)
{
    for (int s = 0; s < schedule->stages; s++)
        ck_assert_msg(oracle->idle[s] == idle, "%s, W = %d, N = %d, c = %d: stage %d is idle for %d, not %d",
                      schedule->order.name, schedule->stages, schedule->microbatches, schedule->parts, s + 1,
                      oracle->idle[s], idle);
}

START_TEST(makespans_are_the_published_ones)
{
    static const struct {
        const char *system;
        int stages, microbatches;
        enum placement placement;
        int makespan;
    } golden[] = {
        {"interleaved-1f1b", 4, 8, PLACEMENT_LOOP, 57},
        {"interleaved-1f1b", 8, 16, PLACEMENT_LOOP, 117},
        {"breadth-first", 4, 8, PLACEMENT_LOOP, 57},
        {"breadth-first", 8, 16, PLACEMENT_LOOP, 117},
        {"zb-v", 4, 8, PLACEMENT_V, 51},
        {"zb-v", 8, 16, PLACEMENT_V, 103},
        {"dualpipe-v", 4, 8, PLACEMENT_V, 51},
        {"dualpipe-v", 8, 16, PLACEMENT_V, 103},
    };

    for (size_t k = 0; k < sizeof(golden) / sizeof(golden[0]); k++) {
        const struct schedule schedule =
            parts_of(golden[k].system, golden[k].stages, golden[k].microbatches, 2, golden[k].placement);

        ck_assert_msg(play(&schedule, unit).makespan == golden[k].makespan, "%s, W = %d: %d, not %d", golden[k].system,
                      golden[k].stages, play(&schedule, unit).makespan, golden[k].makespan);
    }
}
END_TEST

/* Idle (W - 1)(F + B) / c and the peak, for any times. */
START_TEST(interleaved_1f1b_is_idle_for_a_cth_of_1f1bs_bubble)
{
    for (int w = 1; w <= 8; w++)
        for (int c = 1; c <= 4; c++)
            for (int n = w; n <= 4 * w; n += w) {
                const struct schedule schedule = parts_of("interleaved-1f1b", w, n, c, PLACEMENT_LOOP);

                for (int d = 0; d < DURATIONS; d++) {
                    const struct list_oracle oracle = play(&schedule, durations[d]);

                    assert_idle(&schedule, &oracle, (w - 1) * (durations[d].forward + durations[d].backward));
                    for (int s = 1; s <= w; s++)
                        ck_assert_int_eq(oracle.peak[s - 1], smaller((c - 1) * w + 2 * (w - s) + 1, c * n));
                }
            }
}
END_TEST

/* The same idle time as interleaved 1F1B from N = W on, for any times, and every activation held at once. */
START_TEST(breadth_first_is_idle_as_interleaved_1f1b_and_holds_everything)
{
    for (int w = 1; w <= 8; w++)
        for (int c = 1; c <= 4; c++)
            for (int n = 1; n <= 2 * w + 3; n++) {
                const struct schedule schedule = parts_of("breadth-first", w, n, c, PLACEMENT_LOOP);

                for (int d = 0; d < DURATIONS; d++) {
                    const struct list_oracle oracle = play(&schedule, durations[d]);

                    if (n >= w || c == 1)
                        assert_idle(&schedule, &oracle, (w - 1) * (durations[d].forward + durations[d].backward));
                    else /* each of the c - 1 times round the loop waits for the first micro-batch */
                        assert_idle(&schedule, &oracle,
                                    (w - 1 + (c - 1) * (w - n)) * (durations[d].forward + durations[d].backward));
                    for (int s = 1; s <= w; s++)
                        ck_assert_int_eq(oracle.peak[s - 1], c * n);
                }
            }
}
END_TEST

/* With equal times, from N = 2 W - 1 on: stage s waits for the way in, s - 1, and is busy from then on; all end W - 1
 * later than they were busy. Fewer micro-batches make a list as well. */
START_TEST(zb_v_is_idle_on_the_way_in_only)
{
    for (int w = 1; w <= 12; w++)
        for (int n = 1; n <= 4 * w + 3; n++) {
            const struct schedule schedule = parts_of("zb-v", w, n, 2, PLACEMENT_V);
            const struct list_oracle oracle = play(&schedule, unit);

            for (int s = 1; s <= w; s++) {
                ck_assert_int_eq(oracle.peak[s - 1], smaller(2 * w, smaller(n + s, 2 * n)));
                ck_assert_int_eq(oracle.fill[s - 1], s - 1);
                if (n >= 2 * w - 1)
                    ck_assert_int_eq(oracle.holes[s - 1], 0);
            }
            if (n >= 2 * w - 1)
                assert_idle(&schedule, &oracle, w - 1);
        }
}
END_TEST

/* With nothing fused and equal times DualPipeV takes as long as ZB-V, and holds one part's activations more. */
START_TEST(dualpipe_v_unfused_takes_what_zb_v_takes)
{
    for (int w = 1; w <= 12; w++)
        for (int n = 2 * w; n <= 5 * w + 3; n++) {
            const struct schedule schedule = parts_of("dualpipe-v", w, n, 2, PLACEMENT_V);
            const struct list_oracle oracle = play(&schedule, unit);

            assert_idle(&schedule, &oracle, w - 1);
            for (int s = 1; s <= w; s++)
                ck_assert_int_eq(oracle.peak[s - 1], smaller(2 * w + 1, 2 * n));
        }
}
END_TEST

/* What a plan says of an order is the oracle's: makespan, idle time and peak of each stage. */
START_TEST(the_simulator_agrees)
{
    static const char *const names[] = {"interleaved-1f1b", "breadth-first", "zb-v", "dualpipe-v"};

    for (int k = 0; k < 4; k++)
        for (int w = 1; w <= 6; w++)
            for (int n = 1; n <= 13; n++)
                for (int c = 1; c <= 3; c++) {
                    const struct schedule schedule = parts_of(names[k], w, n, c, k < 2 ? PLACEMENT_LOOP : PLACEMENT_V);
                    struct simulation *simulation;
                    struct list_oracle oracle;
                    struct error error;

                    if (schedule_check(&schedule, &error) != 0)
                        continue;
                    oracle = play(&schedule, unit);
                    ck_assert_msg(!simulate_nominal(&schedule, (struct link_slots){0, 0}, false, &simulation, &error),
                                  "%s", error.text);
                    ck_assert_int_eq(simulation->duration, oracle.makespan);
                    for (int s = 0; s < w; s++) {
                        ck_assert_int_eq(simulation->duration - simulation->stages[s].busy, oracle.idle[s]);
                        ck_assert_int_eq(simulation->stages[s].microbatches_in_flight, oracle.peak[s]);
                    }
                    simulation_destroy(simulation);
                }
}
END_TEST

static void assert_refused(const struct schedule *schedule, const char *text)
{
    struct error error = {""};

    ck_assert_msg(schedule->order.check(schedule, &error) == -1, "%s takes it", schedule->order.name);
    ck_assert_str_eq(error.text, text);
}

START_TEST(what_does_not_suit_is_refused)
{
    struct schedule schedule;

    schedule = parts_of("interleaved-1f1b", 4, 6, 2, PLACEMENT_LOOP);
    assert_refused(&schedule,
                   "order interleaved-1F1B takes micro-batches in groups as large as there are stages, and 6 is "
                   "no multiple of 4: use pipeline.microbatches = 8");
    schedule = parts_of("interleaved-1f1b", 4, 8, 2, PLACEMENT_V);
    assert_refused(&schedule,
                   "order interleaved-1F1B needs parts in a loop, not in a V: use pipeline.placement = loop");
    schedule = parts_of("breadth-first", 4, 8, 3, PLACEMENT_V);
    assert_refused(&schedule, "order breadth-first needs parts in a loop, not in a V: use pipeline.placement = loop");
    schedule = parts_of("zb-v", 4, 8, 1, PLACEMENT_V);
    assert_refused(&schedule, "order ZB-V needs two parts per stage in a V: use pipeline.parts = 2 and "
                              "pipeline.placement = v");
    schedule = parts_of("zb-v", 4, 8, 2, PLACEMENT_LOOP);
    assert_refused(&schedule, "order ZB-V needs two parts per stage in a V: use pipeline.parts = 2 and "
                              "pipeline.placement = v");
    schedule = parts_of("dualpipe-v", 4, 8, 3, PLACEMENT_V);
    assert_refused(&schedule, "order DualPipeV needs two parts per stage in a V: use pipeline.parts = 2 and "
                              "pipeline.placement = v");
    schedule = parts_of("dualpipe-v", 4, 7, 2, PLACEMENT_V);
    assert_refused(&schedule,
                   "order DualPipeV needs two micro-batches per stage to fill the V, not 7 for 4 stages: use "
                   "pipeline.microbatches = 8 or more");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("orders");
    TCase *tcase = tcase_create("lists");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, makespans_are_the_published_ones);
    tcase_add_test(tcase, interleaved_1f1b_is_idle_for_a_cth_of_1f1bs_bubble);
    tcase_add_test(tcase, breadth_first_is_idle_as_interleaved_1f1b_and_holds_everything);
    tcase_add_test(tcase, zb_v_is_idle_on_the_way_in_only);
    tcase_add_test(tcase, dualpipe_v_unfused_takes_what_zb_v_takes);
    tcase_add_test(tcase, the_simulator_agrees);
    tcase_add_test(tcase, what_does_not_suit_is_refused);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
