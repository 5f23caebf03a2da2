/* Goal of this test: the simulator, given times, keeps the closed forms where there are some, and the bounds of the
 * slowest stage and the slowest link. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/schedules.h"
#include "tests/support/suite.h"
#include "tests/support/timed.h"

/* All stages and links alike, until a test changes one. */
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

/* How long the phase lasts when every stage takes the same. */
static int64_t duration_of(const char *name, int w, int n, int k)
{
    const struct schedule schedule = schedule_named(name, w, n, k);
    struct simulation *simulation = simulate(&schedule);
    const int64_t duration = simulation->duration;

    simulation_destroy(simulation);
    return duration;
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
    tcase_add_test(tcase, test_deadlock_is_named);
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(quick, 10);
    tcase_add_test(quick, test_many_stages);
    suite_add_tcase(suite, quick);

    return run_suite(suite);
}
