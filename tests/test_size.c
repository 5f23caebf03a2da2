/* Goal of this test: what is only planned, drawn or simulated may have a thousand stages, on any machine, without the data
 * that it is for; and as many stages as a run may have train on a machine that has a core for few of them. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

enum { PLANNED = 1024, MICROBATCHES = 8, RUNNING = 64, WORDS_MAX = 512 };

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

/* "plan @ " and what asks for as many stages as there can be, each with a layer, and then `more`. */
static const char *planned(const char *more)
{
    static char words[WORDS_MAX];

    snprintf(words, sizeof(words),
             "plan @ --set model.depth=%d --set pipeline.stages=%d --set pipeline.microbatches=%d %s", PLANNED, PLANNED,
             MICROBATCHES, more);
    return words;
}

static void run(const char *words)
{
    ck_assert_msg(program_run(&program, words) == 0, "%s: %s", words, program_text(&program, "err"));
}

static const char *said(const char *file)
{
    return program_text(&program, file);
}

static void assert_says(const char *file, const char *text)
{
    ck_assert_msg(strstr(said(file), text) != NULL, "no \"%s\" in: %s", text, said(file));
}

static int integer(const json_t *object, const char *name)
{
    return (int)json_integer_value(json_object_get(object, name));
}

/* A stage is idle while the first micro-batch comes to the last stage and its gradient comes back: W - 1 forwards and as
 * many backwards. */
START_TEST(a_thousand_stages_are_planned)
{
    json_t *plan, *schedule, *stages;

    run(planned("--set pipeline.system=gpipe --json ~/plan.json"));
    plan = program_json(&program, "plan.json");
    schedule = json_object_get(plan, "schedule");
    stages = json_object_get(plan, "stage");
    ck_assert_int_eq(integer(schedule, "makespan"), 3 * (MICROBATCHES + PLANNED - 1));
    ck_assert_uint_eq(json_array_size(stages), PLANNED);
    ck_assert(json_is_null(json_object_get(plan, "shared_memory_bytes")));
    for (size_t s = 0; s < PLANNED; s++) {
        const json_t *stage = json_array_get(stages, s), *memory = json_object_get(stage, "memory_bytes");
        const size_t inputs = s == 0 ? 784 : 256, outputs = s == PLANNED - 1 ? 10 : 256;

        ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(schedule, "idle"), s)), 3 * (PLANNED - 1));
        ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(schedule, "peak_activations"), s)),
                         MICROBATCHES);
        ck_assert_int_eq(integer(stage, "parameters"), (int)(outputs * (inputs + 1)));
        ck_assert_int_eq(integer(memory, "weights"), (int)(4 * outputs * (inputs + 1)));
    }
    json_decref(plan);
}
END_TEST

/* Two parts each: the limit is on parts. */
START_TEST(a_thousand_parts_are_planned)
{
    json_t *plan;

    run("plan @ --set model.depth=1024 --set pipeline.stages=512 --set pipeline.parts=2 --set pipeline.microbatches=8 "
        "--set pipeline.system=breadth-first --json ~/plan.json");
    plan = program_json(&program, "plan.json");
    ck_assert_uint_eq(json_array_size(json_object_get(plan, "stage")), 512);
    json_decref(plan);
    ck_assert_int_eq(program_run(&program, planned("--set pipeline.parts=2")), 2);
    assert_says("err", "pipeline.parts: 2 for each of 1024 stages are 2048 parts; use at most 1024 in all\n");
}
END_TEST

/* The last stage's first op begins after W - 1 others. */
START_TEST(a_thousand_stages_are_drawn)
{
    const char *line;

    run(planned("--grid --slots 1025 --minibatches 2 --set pipeline.system=gpipe"));
    line = strstr(said("out"), "stage 1024: ");
    ck_assert_ptr_nonnull(line);
    line += strlen("stage 1024: ");
    for (int slot = 0; slot < PLANNED - 1; slot++, line += strspn(line, " "))
        ck_assert_int_eq(*line++, '.');
    ck_assert_msg(strncmp(line, "1A", 2) == 0, "%.20s", line);
}
END_TEST

/* What is written is what is read, though it is more than a run takes. */
START_TEST(a_schedule_file_of_a_thousand_stages_is_read)
{
    char *grid;

    run(planned("--csv ~/large.csv --set pipeline.system=zb-h1"));
    run(planned("--grid --minibatches 1 --set pipeline.system=zb-h1"));
    grid = strdup(said("out"));
    run(planned("--grid --minibatches 1 --set pipeline.system=~/large.csv"));
    ck_assert_str_eq(said("out"), grid);
    free(grid);
}
END_TEST

static const char given[] = "--simulate --minibatches 20 --json ~/plan.json --set pipeline.system=gpipe "
                            "--set simulation.forward_ms=1 --set simulation.backward_ms=2 --set simulation.update_ms=0";

/* One mini-batch after the other, W - 1 forwards and backwards before and behind its own: 1 ms and 2 ms each. */
START_TEST(a_thousand_stages_are_simulated)
{
    const double seconds = 20 * 3e-3 * (MICROBATCHES + PLANNED - 1);
    json_t *plan, *simulation;

    run(planned(given));
    plan = program_json(&program, "plan.json");
    simulation = json_object_get(plan, "simulation");
    ck_assert_double_eq_tol(json_real_value(json_object_get(simulation, "seconds")), seconds, 1e-9);
    ck_assert_uint_eq(json_array_size(json_object_get(simulation, "stage")), PLANNED);
    json_decref(plan);
}
END_TEST

/* A straggler among a thousand: a number for each. It makes all wait for it, forward and backward. */
START_TEST(each_of_a_thousand_stages_has_its_own_time)
{
    enum { SLOW = 10 };
    const double seconds = 3e-3 * (PLANNED - 1) + 3e-3 * SLOW * MICROBATCHES;
    char path[128];
    FILE *file;
    json_t *plan;

    snprintf(path, sizeof(path), "%s/slow.ini", program.folder);
    file = fopen(path, "w");
    fprintf(file, "[data]\nset = synthetic\nlimit = 64\n[model]\narch = mlp\n[simulation]\nupdate_ms = 0\n");
    for (int back = 0; back < 2; back++) {
        fprintf(file, "%s = ", back ? "backward_ms" : "forward_ms");
        for (int s = 1; s <= PLANNED; s++)
            fprintf(file, "%d%s", (s == PLANNED / 2 ? SLOW : 1) * (back + 1), s < PLANNED ? "," : "\n");
    }
    ck_assert_int_eq(fclose(file), 0);
    run("plan ~/slow.ini --simulate --json ~/plan.json --set model.depth=1024 --set pipeline.stages=1024 "
        "--set pipeline.microbatches=8 --set pipeline.system=gpipe");
    plan = program_json(&program, "plan.json");
    ck_assert_double_eq_tol(json_real_value(json_object_get(json_object_get(plan, "simulation"), "seconds")), seconds,
                            1e-9);
    json_decref(plan);
}
END_TEST

START_TEST(a_simulation_with_all_times_needs_no_data)
{
    static const char nowhere[] = "--set data.set=fashion-mnist --set data.limit=0 --set data.dir=~/nowhere";
    char words[WORDS_MAX];
    json_t *plan, *data;

    snprintf(words, sizeof(words), "plan @ %s %s", given, nowhere);
    run(words);
    assert_says("err",
                "simulated for the 60000 + 10000 images of 28 x 28 x 1 that fashion-mnist has; it was not read: ");
    plan = program_json(&program, "plan.json");
    data = json_object_get(plan, "data");
    ck_assert_int_eq(integer(data, "train"), 60000);
    ck_assert_int_eq(integer(data, "minibatches_per_epoch"), 938);
    ck_assert(json_is_false(json_object_get(plan, "costs_measured")));
    json_decref(plan);
    snprintf(words, sizeof(words), "plan @ %s %s --set data.limit=1000", given, nowhere);
    run(words);
    assert_says("err", "simulated for the 1000 + 200 images");
}
END_TEST

static const struct {
    const char *words, *says;
} refused[] = {
    {"plan @ --simulate --set simulation.forward_ms=1 --set simulation.backward_ms=2 --set data.dir=~/nowhere "
     "--set data.set=fashion-mnist",
     "; a simulation needs no data where all times are given, update_ms too\n"},
    {"plan @ --simulate --set simulation.forward_ms=1 --set simulation.backward_ms=2 --set simulation.update_ms=0 "
     "--set data.dir=~/nowhere --set data.set=idx",
     "; to simulate without it, describe it with data.set = synthetic, data.limit and data.synthetic_size\n"},
    {"plan @ --set data.dir=~/nowhere --set data.set=fashion-mnist", "--set data.dir: "},
    {"@ --set pipeline.stages=65 --set model.depth=65",
     "--set pipeline.stages: 65 stages can be planned, drawn and simulated (tpcoord plan), but not be run; use at most "
     "64\n"},
    {"compare @ --set pipeline.stages=65 --set model.depth=65",
     "--set pipeline.stages: 65 stages can be planned, drawn and simulated (tpcoord plan), but not be run; use at most "
     "64\n"},
    {"@ --set pipeline.stages=33 --set pipeline.parts=4 --set model.depth=132",
     "--set pipeline.parts: 4 for each of 33 stages can be planned, drawn and simulated (tpcoord plan), but not be "
     "run; "
     "use at most 64 parts in all\n"},
};
enum { REFUSED = sizeof(refused) / sizeof(refused[0]) };

START_TEST(what_is_missing_or_too_large_is_said_in_a_line)
{
    ck_assert_int_eq(program_run(&program, refused[_i].words), 2);
    assert_says("err", refused[_i].says);
    ck_assert_int_eq(strcspn(said("err"), "\n") + 1, strlen(said("err")));
    ck_assert(!program_has(&program, "runs"));
}
END_TEST

/* Waits until a checkpoint in the middle of the epoch is complete; returns the stage's process. */
static pid_t await_checkpoint(pid_t child, const char *name, int epoch, int s)
{
    const uint64_t deadline = clock_now_ns() + 240 * 1000000000ull;
    struct segment segment;
    bool done = false;
    pid_t stage = 0;

    while (!done) {
        ck_assert_msg(clock_now_ns() < deadline, "%s", said("err"));
        usleep(2000);
        if (!program_segment(child, name, &segment))
            continue;
        stage = atomic_load(&segment_stage(&segment, s)->pid);
        done = atomic_load(&segment.board->saved_at) >= stop_point(epoch, PHASE_TRAIN, 1);
        segment_close(&segment);
    }
    return stage;
}

/* In the middle of an epoch, when stages hold versions of their own. */
START_TEST(sixty_four_stages_train_are_killed_and_go_on)
{
    static const char sixty_four[] =
        "@ --quiet --epochs 2 --set model.depth=64 --set pipeline.stages=64 "
        "--set pipeline.order=static --set pipeline.microbatches=2 --set data.batch=4 "
        "--set data.limit=800 --set train.lr=0.0001 --set train.momentum=0 --set device.backend=reference";
    char words[WORDS_MAX];
    pid_t child;

    snprintf(words, sizeof(words), "%s --set run.name=whole", sixty_four);
    run(words);
    snprintf(words, sizeof(words), "%s --set run.name=killed --set checkpoints.every=30", sixty_four);
    child = program_start(&program, words);
    kill(await_checkpoint(child, "killed", 1, RUNNING / 2), SIGKILL);
    ck_assert_int_eq(program_finish(child), 1);
    assert_says("err", "was killed by signal 9");
    snprintf(words, sizeof(words), "%s --set run.name=killed --resume", sixty_four);
    run(words);
    program_assert_same(&program, RUNNING, 2, "whole", "killed");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("size");
    TCase *plans = tcase_create("plans"), *runs = tcase_create("runs");

    tcase_set_timeout(plans, 120);
    tcase_add_checked_fixture(plans, set_up, tear_down);
    tcase_add_test(plans, a_thousand_stages_are_planned);
    tcase_add_test(plans, a_thousand_parts_are_planned);
    tcase_add_test(plans, a_thousand_stages_are_drawn);
    tcase_add_test(plans, a_schedule_file_of_a_thousand_stages_is_read);
    tcase_add_test(plans, a_thousand_stages_are_simulated);
    tcase_add_test(plans, each_of_a_thousand_stages_has_its_own_time);
    tcase_add_test(plans, a_simulation_with_all_times_needs_no_data);
    tcase_add_loop_test(plans, what_is_missing_or_too_large_is_said_in_a_line, 0, REFUSED);
    suite_add_tcase(suite, plans);
    tcase_set_tags(runs, "long");
    tcase_set_timeout(runs, 900);
    tcase_add_checked_fixture(runs, set_up, tear_down);
    tcase_add_test(runs, sixty_four_stages_train_are_killed_and_go_on);
    suite_add_tcase(suite, runs);
    return run_suite(suite);
}
