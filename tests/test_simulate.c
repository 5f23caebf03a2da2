/* Goal of this test: the slot simulation draws the schedules that the papers draw, and counts what they count. The
 * grids were worked out by hand from the definitions; the numbers are the papers' or follow from them. */
#include <check.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/simulate.h"
#include "tests/support/schedules.h"
#include "tests/support/suite.h"

static struct simulation *simulate(const struct schedule *schedule)
{
    struct simulation *simulation = NULL;
    struct error error = {""};

    ck_assert_msg(schedule_check(schedule, &error) == 0, "%s", error.text);
    ck_assert_msg(simulate_unit(schedule, (struct link_slots){0, 0}, true, &simulation, &error) == 0, "%s", error.text);
    return simulation;
}

struct grid {
    const char *system;
    int stages, microbatches, minibatches, slots;
    const char *lines[4];
};

static const struct grid grids[] = {
    {"timeprest",
     3,
     2,
     8,
     11,
     {"1A 1B 2A 2B 3A 3B 1 4A 4B 2 5A", /* the papers' figure, and one slot more */
      ". 1A 1B 2A 2B 1 3A 3B 2 4A 4B",  /* */
      ". . 1A 1B 1 2A 2B 2 3A 3B 3"}},
    {"timeprest",
     2,
     3,
     8,
     11,
     {"1A 1B 1C 2A 2B 1 2C 3A 3B 2 3C", /* */
      ". 1A 1B 1C 1 2A 2B 2C 2 3A 3B"}},
    {"timeprest",
     4,
     3,
     8,
     14,
     {"1A 1B 1C 2A 2B 2C 3A 3B 3C 1 4A 4B 4C 2", /* */
      ". 1A 1B 1C 2A 2B 2C 3A 1 3B 3C 4A 2 4B",  /* */
      ". . 1A 1B 1C 2A 2B 1 2C 3A 3B 2 3C 4A",   /* */
      ". . . 1A 1B 1C 1 2A 2B 2C 2 3A 3B 3C"}},
    /* One forward, one backward: the classic figure of PipeDream. */
    {"pipedream",
     4,
     1,
     8,
     12,
     {"1A 2A 3A 4A . . . 1 5A 2 6A 3", /* */
      ". 1A 2A 3A . . 1 4A 2 5A 3 6A", /* */
      ". . 1A 2A . 1 3A 2 4A 3 5A 4",  /* */
      ". . . 1A 1 2A 2 3A 3 4A 4 5A"}},
    {"pipedream-2bw",
     3,
     3,
     6,
     12,
     {"1A 1B 1C . . 1a 2A 1b 2B 1c 2C 2a", /* */
      ". 1A 1B . 1a 1C 1b 2A 1c 2B 2a 2C", /* */
      ". . 1A 1a 1B 1b 1C 1c 2A 2a 2B 2b"}},
    {"gpipe",
     3,
     3,
     2,
     99,
     {"1A 1B 1C . . . . 1a 1b 1c 2A 2B 2C . . . . 2a 2b 2c", /* */
      ". 1A 1B 1C . . 1a 1b 1c . . 2A 2B 2C . . 2a 2b 2c .", /* */
      ". . 1A 1B 1C 1a 1b 1c . . . . 2A 2B 2C 2a 2b 2c . ."}},
    {"1f1b",
     3,
     4,
     2,
     14,
     {"1A 1B 1C . . 1a 1D 1b . 1c . 1d 2A 2B", /* */
      ". 1A 1B . 1a 1C 1b 1D 1c . 1d . . 2A",  /* */
      ". . 1A 1a 1B 1b 1C 1c 1D 1d . . . ."}},
    {"zb-h1",
     3,
     4,
     2,
     16,
     {"1A 1B 1C . . 1a< 1a+ 1D 1b< 1b+ 1c< 1c+ 1d< 1d+ 2A 2B", /* */
      ". 1A 1B . 1a< 1C 1b< 1a+ 1D 1c< 1b+ 1d< 1c+ 1d+ . 2A",  /* */
      ". . 1A 1a< 1B 1b< 1C 1c< 1a+ 1D 1d< 1b+ 1c+ 1d+ . ."}},
    /* The upper half of figure 3 of the Zero Bubble paper, arXiv 2401.10241, stage 1. */
    {"zb-h1",
     4,
     8,
     1,
     99,
     {"1A 1B 1C 1D . . . 1a< 1a+ 1E 1b< 1b+ 1F 1c< 1c+ 1G 1d< 1d+ 1H 1e< 1e+ 1f< 1f+ 1g< 1g+ 1h< 1h+"}},
    {"naive",
     3,
     1,
     2,
     99,
     {"1A . . . . 1 2A . . . . 2", /* */
      ". 1A . . 1 . . 2A . . 2 .", /* */
      ". . 1A 1 . . . . 2A 2 . ."}},
};

START_TEST(test_grid)
{
    const struct grid *grid = &grids[_i];
    const struct schedule schedule = schedule_named(grid->system, grid->stages, grid->microbatches, grid->minibatches);
    struct simulation *simulation = simulate(&schedule);

    for (int s = 1; s <= grid->stages && grid->lines[s - 1] != NULL; s++) {
        char *line = simulation_grid_line(simulation, &schedule, s, grid->slots), expected[256];
        snprintf(expected, sizeof(expected), "stage %d: %s", s, grid->lines[s - 1]);
        ck_assert_ptr_nonnull(line);
        ck_assert_str_eq(line, expected);
        free(line);
    }
    simulation_destroy(simulation);
}
END_TEST

START_TEST(test_grid_is_cut_where_asked)
{
    const struct schedule schedule = schedule_named("naive", 2, 1, 1);
    struct simulation *simulation = simulate(&schedule);
    static const char *const lines[] = {"stage 1:",        "stage 1: 1A",       "stage 1: 1A .",
                                        "stage 1: 1A . .", "stage 1: 1A . . 1", "stage 1: 1A . . 1"};

    for (int slots = 0; slots < 6; slots++) {
        char *line = simulation_grid_line(simulation, &schedule, 1, slots);
        ck_assert_str_eq(line, lines[slots]);
        free(line);
    }
    simulation_destroy(simulation);
}
END_TEST

START_TEST(test_version_difference)
{
    for (int w = 2; w <= 24; w++)
        for (int n = 1; n <= 16; n++) {
            const struct schedule schedule = schedule_named("timeprest", w, n, 2 * w + 8);
            const int exact = version_difference_exact(w, n), paper = version_difference_paper(w, n);
            struct simulation *simulation = simulate(&schedule);

            ck_assert_msg(simulation->version_difference_min == exact && simulation->version_difference_max == exact,
                          "W = %d, N = %d: simulated %d to %d, exact %d", w, n, simulation->version_difference_min,
                          simulation->version_difference_max, exact);
            if (n >= 2 && w <= 5) /* all of the papers' figures */
                ck_assert_int_eq(exact, paper);
            ck_assert_int_le(exact, paper);
            ck_assert_int_eq(exact == 1, w <= n + 1);
            simulation_destroy(simulation);
        }
    ck_assert_int_eq(version_difference_exact(6, 2), 2);
    ck_assert_int_eq(version_difference_paper(6, 2), 3);
    ck_assert_int_eq(version_difference_exact(4, 1), 2);
    ck_assert_int_eq(version_difference_paper(4, 1), 3);
}
END_TEST

/* v = 2: mini-batch i learns from those up to i - 2. For 2BW that is its definition; its first backward counts. */
START_TEST(test_committed)
{
    static const struct {
        const char *system;
        int stages, microbatches;
    } cases[] = {{"timeprest", 4, 2}, {"pipedream-2bw", 3, 3}};

    for (int y = 0; y < 2; y++) {
        const struct schedule schedule = schedule_named(cases[y].system, cases[y].stages, cases[y].microbatches, 9);
        struct simulation *simulation = simulate(&schedule);
        for (int i = 1; i <= 9; i++)
            ck_assert_int_eq(simulation_committed(simulation, i), i <= 2 ? 0 : i - 2);
        simulation_destroy(simulation);
    }
}
END_TEST

static void check_versions(const char *system, enum forward_rule forward, int stages, int microbatches,
                           int (*expected)(int stages, int stage))
{
    struct schedule schedule = schedule_named(system, stages, microbatches, 3 * stages + 5);
    struct simulation *simulation;

    schedule.forward = forward;
    simulation = simulate(&schedule);
    for (int s = 1; s <= stages; s++)
        ck_assert_msg(simulation->parts[s - 1].weight_versions == expected(stages, s),
                      "%s, %s forward, W = %d, N = %d: stage %d stores %d versions, not %d", system,
                      forward_rule_name(forward), stages, microbatches, s, simulation->parts[s - 1].weight_versions,
                      expected(stages, s));
    simulation_destroy(simulation);
}

static int versions_one(int stages, int stage)
{
    (void)stages, (void)stage;
    return 1;
}

static int versions_two(int stages, int stage)
{
    (void)stages, (void)stage;
    return 2;
}

static int versions_falling(int stages, int stage)
{
    return stages - stage + 1;
}

static int versions_all(int stages, int stage)
{
    (void)stage;
    return stages;
}

START_TEST(test_versions_stored)
{
    static const int timeprest[] = {1, 2};
    const struct schedule schedule = schedule_named("timeprest", 2, 3, 12);
    struct simulation *simulation = simulate(&schedule);

    for (int s = 1; s <= 2; s++)
        ck_assert_int_eq(simulation->parts[s - 1].weight_versions, timeprest[s - 1]);
    simulation_destroy(simulation);

    for (int w = 1; w <= 8; w++) {
        check_versions("pipedream", FORWARD_LIVE, w, 1, versions_falling);
        check_versions("pipedream", FORWARD_PINNED, w, 1, versions_all);
        check_versions("nesterov-async", FORWARD_LIVE, w, 1, versions_falling);
        check_versions("gap-aware", FORWARD_LIVE, w, 1, versions_falling);
        check_versions("dc-asgd", FORWARD_LIVE, w, 1, versions_falling);
        check_versions("dc-asgd", FORWARD_PINNED, w, 1, versions_all);
        check_versions("stale", FORWARD_LIVE, w, 1, versions_one);
        check_versions("spectrain", FORWARD_SPECTRAIN, w, 1, versions_one);
        check_versions("pipeoptim", FORWARD_PIPEOPTIM, w, 1, versions_one);
        check_versions("msnag", FORWARD_MSNAG, w, 1, versions_one);
        check_versions("pipemare", FORWARD_LIVE, w, 1, versions_one);
        check_versions("spike-compensation", FORWARD_LIVE, w, 1, versions_one);
        check_versions("naive", FORWARD_LIVE, w, 1, versions_one);
        for (int n = 1; n <= 6; n++) {
            check_versions("v-timeprest", FORWARD_LIVE, w, n, versions_one);
            check_versions("gpipe", FORWARD_LIVE, w, n, versions_one);
            check_versions("1f1b", FORWARD_LIVE, w, n, versions_one);
            check_versions("zb-h1", FORWARD_LIVE, w, n, versions_one);
        }
        for (int n = w; n <= w + 3; n++)
            check_versions("pipedream-2bw", FORWARD_DOUBLE_BUFFERED, w, n, versions_two);
    }
}
END_TEST

/* The words of a stage's grid line that stand for idle slots, and all. */
static void count_words(const char *line, int *idle, int *all)
{
    char *copy = strdup(line), *rest = strchr(copy, ':') + 1, *word;

    while ((word = strtok_r(rest, " ", &rest)) != NULL) {
        *idle += strcmp(word, ".") == 0;
        ++*all;
    }
    free(copy);
}

/* A stage that waits for its first activation is as idle as one that waits for anything else. */
START_TEST(test_idle_share_is_what_the_grid_shows)
{
    for (int w = 1; w <= 6; w++)
        for (int n = 1; n <= 6; n++) {
            const struct schedule schedule =
                schedule_named(systems[_i].name, w, orders[systems[_i].order].microbatches ? 1 : n, 7);
            int idle = 0, all = 0;

            if (systems[_i].forward == FORWARD_DOUBLE_BUFFERED && n < w)
                continue;
            struct simulation *simulation = simulate(&schedule);
            for (int s = 1; s <= w; s++) {
                char *line = simulation_grid_line(simulation, &schedule, s, (int)simulation->duration);

                count_words(line, &idle, &all);
                free(line);
            }
            ck_assert_int_eq(all, w * simulation->duration);
            ck_assert_msg(fabs(simulation->bubble_fraction - (double)idle / all) < 1e-12,
                          "%s, W = %d, N = %d: %d of %d slots are idle, not %.2f%%", systems[_i].name, w, n, idle, all,
                          100.0 * simulation->bubble_fraction);
            simulation_destroy(simulation);
        }
}
END_TEST

/* Slots that a synchronous system's mini-batch takes at every stage beyond its work: the closed forms of the bubble. */
static int bubble_twice(int w, int n)
{
    (void)n;
    return 2 * (w - 1);
}

/* With fewer micro-batches than stages there are not W weight halves to put off. */
static int bubble_zb_h1(int w, int n)
{
    return w - 1 + (n < w ? w - n : 0);
}

static const struct {
    const char *system;
    int slots_per_microbatch;
    int (*bubble)(int w, int n);
} synchronous[] = {
    {"gpipe", 2, bubble_twice},
    {"1f1b", 2, bubble_twice},
    {"zb-h1", 3, bubble_zb_h1},
    {"naive", 2, bubble_twice},
};

START_TEST(test_bubble)
{
    const int k = 3, work = synchronous[_i].slots_per_microbatch;

    for (int w = 1; w <= 12; w++)
        for (int n = 1; n <= (strcmp(synchronous[_i].system, "naive") == 0 ? 1 : 16); n++) {
            const struct schedule schedule = schedule_named(synchronous[_i].system, w, n, k);
            const int slots = k * (work * n + synchronous[_i].bubble(w, n));
            const double all = w * slots, busy = w * k * work * n;
            struct simulation *simulation = simulate(&schedule);

            ck_assert_msg(simulation->duration == slots, "%s, W = %d, N = %d: %d slots, not %d", synchronous[_i].system,
                          w, n, (int)simulation->duration, slots);
            ck_assert_double_eq_tol(simulation->bubble_fraction, (all - busy) / all, 1e-12);
            ck_assert_int_eq(simulation->version_difference_min, 1);
            ck_assert_int_eq(simulation->version_difference_max, 1);
            simulation_destroy(simulation);
        }
}
END_TEST

/* What tells the synchronous systems' memory apart: micro-batches held at a stage. */
START_TEST(test_microbatches_in_flight)
{
    for (int w = 1; w <= 8; w++)
        for (int n = 1; n <= 12; n++) {
            const struct schedule all = schedule_named("gpipe", w, n, 3), few = schedule_named("1f1b", w, n, 3),
                                  late = schedule_named("zb-h1", w, n, 3);
            struct simulation *gpipe = simulate(&all), *one = simulate(&few), *zero = simulate(&late);
            for (int s = 1; s <= w; s++) {
                ck_assert_int_eq(gpipe->stages[s - 1].microbatches_in_flight, n);
                ck_assert_int_eq(one->stages[s - 1].microbatches_in_flight, min_int(n, w - s + 1));
                ck_assert_int_le(zero->stages[s - 1].microbatches_in_flight, min_int(n, w));
                ck_assert_int_eq(one->stages[s - 1].minibatches_in_flight, 1);
            }
            simulation_destroy(gpipe);
            simulation_destroy(one);
            simulation_destroy(zero);
        }
}
END_TEST

static void check_same_work(const struct simulation *a, const struct simulation *b, const char *name, int w, int n)
{
    ck_assert_int_eq(a->duration, b->duration);
    for (int s = 1; s <= w; s++) {
        ck_assert_int_eq(simulation_op_count(a, s), simulation_op_count(b, s));
        for (int k = 0; k < simulation_op_count(a, s); k++) {
            const struct timed_op left = simulation_op(a, s, k), right = simulation_op(b, s, k);
            ck_assert_msg(left.start == right.start && left.op.kind == right.op.kind &&
                              left.op.minibatch == right.op.minibatch && left.op.first == right.op.first,
                          "%s, W = %d, N = %d: stage %d works differently", name, w, n, s);
        }
    }
}

/* The limit on mini-batches in flight turns N = 1 into 1F1B and never binds for N >= 2. */
START_TEST(test_limit_of_nf1b)
{
    for (int w = 1; w <= 10; w++)
        for (int n = 1; n <= 8; n++) {
            struct schedule schedule = schedule_named("timeprest", w, n, 2 * w + 4);
            struct simulation *limited = simulate(&schedule), *free_running;

            if (n == 1)
                schedule.order = orders[ORDER_1F1B];
            else
                schedule.order.limit = LIMIT_NONE;
            free_running = simulate(&schedule);
            check_same_work(limited, free_running, "timeprest", w, n);
            simulation_destroy(limited);
            simulation_destroy(free_running);
        }
}
END_TEST

/* The slots that are asked for hold nothing up on the unit-time schedule. Fewer cost time; where a slot is a mini-batch,
 * a single one is enough to work. */
START_TEST(test_slots)
{
    for (int w = 1; w <= 8; w++)
        for (int n = 1; n <= 8; n++) {
            const struct schedule schedule = schedule_named(systems[_i].name, w, n, 2 * w + 4);
            struct simulation *unlimited, *limited;
            struct error error;

            if (schedule_check(&schedule, &error) != 0)
                continue;
            const int gradients = schedule_gradient_slots(&schedule);
            const struct link_slots fewer[] = {
                {0, gradients}, {schedule_activation_slots(&schedule, 1), gradients}, {1, 1}};
            unlimited = simulate(&schedule);
            for (int k = 0; k < (schedule.order.whole_backward ? 3 : 2); k++) {
                ck_assert_int_eq(simulate_unit(&schedule, fewer[k], true, &limited, &error), 0);
                ck_assert_int_ge(limited->duration, unlimited->duration);
                for (int s = 0; s < w; s++)
                    ck_assert_int_eq(simulation_op_count(limited, s + 1), schedule_op_count(&schedule));
                if (k < 2)
                    check_same_work(unlimited, limited, systems[_i].name, w, n);
                simulation_destroy(limited);
            }
            simulation_destroy(unlimited);
        }
}
END_TEST

/* With one slot a stage starts the next mini-batch when its own backward has given the slot back. */
START_TEST(test_one_slot)
{
    static const char *const lines[] = {"stage 1: 1A 1B . . 1 2A 2B . . 2", "stage 2: . 1A 1B 1 . . 2A 2B 2 ."};
    const struct schedule schedule = schedule_named("timeprest", 2, 2, 2);
    struct simulation *simulation;
    struct error error;

    ck_assert_int_eq(simulate_unit(&schedule, (struct link_slots){1, 1}, true, &simulation, &error), 0);
    for (int s = 1; s <= 2; s++) {
        char *line = simulation_grid_line(simulation, &schedule, s, 99);
        ck_assert_str_eq(line, lines[s - 1]);
        free(line);
    }
    simulation_destroy(simulation);
}
END_TEST

/* Evaluation: forwards only, whatever the system, and nothing of training's bookkeeping. */
START_TEST(test_forward_only)
{
    const int w = 4, n = 3, k = 5;

    for (int y = 0; y < asking_system_count; y++) {
        struct schedule schedule = schedule_named(systems[y].name, w, orders[systems[y].order].microbatches ? 1 : n, k);
        struct link_slots slots = {0, 1};
        struct simulation *simulation;
        struct error error;

        schedule.forward_only = true;
        if (systems[y].forward == FORWARD_DOUBLE_BUFFERED)
            schedule.microbatches = w;
        slots.activations = schedule_activation_slots(&schedule, 1);
        ck_assert_int_eq(simulate_unit(&schedule, slots, true, &simulation, &error), 0);
        ck_assert_int_eq(simulation->duration, k * schedule.microbatches + w - 1);
        ck_assert_double_eq_tol(simulation->bubble_fraction, (w - 1.0) / simulation->duration, 1e-12);
        ck_assert_int_eq(simulation->version_difference_max, 0);
        for (int s = 0; s < w; s++) {
            ck_assert_int_eq(simulation_op_count(simulation, s + 1), k * schedule.microbatches);
            ck_assert_int_eq(simulation->parts[s].weight_versions, 1);
            ck_assert_int_eq(simulation->stages[s].minibatches_in_flight, 1);
        }
        simulation_destroy(simulation);
    }
}
END_TEST

/* An order whose stage W may hold one micro-batch and waits for two. */
START_TEST(test_deadlock_is_named)
{
    struct schedule schedule = schedule_named("timeprest", 2, 3, 4);
    struct simulation *simulation = NULL;
    struct error error = {""};

    schedule.order.limit = LIMIT_MICROBATCHES;
    ck_assert_int_eq(simulate_unit(&schedule, (struct link_slots){0, 0}, true, &simulation, &error), -1);
    ck_assert_ptr_null(simulation);
    ck_assert_str_eq(error.text,
                     "order nF1B deadlocks with 2 stages and 3 micro-batches: after 2 units of time nothing can run "
                     "and stage 1 waits for the activation of 1");
}
END_TEST

/* A list holds its prologue, a period and its epilogue, however many mini-batches an epoch has. */
START_TEST(test_lists_of_a_long_epoch_are_small)
{
    const struct system *system = &systems[_i];
    const int n = orders[system->order].microbatches ? 1 : 8;
    struct schedule schedule = schedule_named(system->name, 8, n, 100000);
    struct error error;

    for (schedule.parts = 1; schedule.parts <= 2; schedule.parts++)
        for (schedule.placement = PLACEMENT_LOOP; schedule.placement <= PLACEMENT_V; schedule.placement++) {
            struct simulation *simulation;

            if (schedule_check(&schedule, &error) != 0)
                continue;
            const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
            simulation = simulate(&schedule);
            const size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
            ck_assert_msg(bytes < 1 << 20, "%s holds %zu bytes", system->name, bytes);
            ck_assert_int_gt(simulation_op_count(simulation, 1), n * schedule.minibatches);
            simulation_destroy(simulation);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simulate");
    TCase *tcase = tcase_create("slots");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_grid, 0, COUNT(grids));
    tcase_add_test(tcase, test_grid_is_cut_where_asked);
    tcase_add_test(tcase, test_version_difference);
    tcase_add_test(tcase, test_committed);
    tcase_add_test(tcase, test_versions_stored);
    tcase_add_loop_test(tcase, test_idle_share_is_what_the_grid_shows, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_bubble, 0, COUNT(synchronous));
    tcase_add_test(tcase, test_microbatches_in_flight);
    tcase_add_test(tcase, test_limit_of_nf1b);
    tcase_add_loop_test(tcase, test_slots, 0, asking_system_count);
    tcase_add_test(tcase, test_one_slot);
    tcase_add_test(tcase, test_forward_only);
    tcase_add_test(tcase, test_deadlock_is_named);
    tcase_add_loop_test(tcase, test_lists_of_a_long_epoch_are_small, 0, system_count);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
