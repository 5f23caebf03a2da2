/* What a run does when processes die, stand still or lose their terminal, and when numbers or room run out. */
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "coordinator/limits.h"
#include "coordinator/process.h"
#include "coordinator/progress.h"
#include "coordinator/room.h"
#include "coordinator/watchdog.h"
#include "telemetry/explain.h"
#include "tests/support/pipeline.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static const char long_run[] = "@ --epochs 1000 --quiet --set data.limit=20000 --set run.name=long";

/* The run that the coordinator has going, if its last stage has done so many ops. */
static bool trains(pid_t coordinator, struct segment *segment)
{
    if (!program_segment(coordinator, "/long", segment))
        return false;
    if (atomic_load(&segment_stage(segment, 3)->counters.ops) > 100)
        return true;
    segment_close(segment);
    return false;
}

static pid_t start_long_run(struct segment *segment, const char *more)
{
    char words[512];

    snprintf(words, sizeof(words), "%s %s", long_run, more);
    pid_t child = program_start(&program, words);
    WAIT_FOR(&program, trains(child, segment));
    return child;
}

static bool is_stopped(const struct segment *segment, int stage)
{
    struct snapshot snapshot;

    snapshot_take(&snapshot, segment);
    return snapshot.stages[stage - 1].stopped;
}

static void stop_stage(const struct segment *segment, int stage)
{
    ck_assert_int_eq(kill(stage_pid(segment, stage), SIGSTOP), 0);
    WAIT_FOR(&program, is_stopped(segment, stage));
}

static int occurrences(const char *text, const char *words)
{
    int count = 0;

    while ((text = strstr(text, words)) != NULL) {
        text += strlen(words);
        count++;
    }
    return count;
}

static void check_report(const char *result, int restarts)
{
    json_t *report = program_json(&program, "runs/long/report.json");

    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), result);
    ck_assert_int_eq(json_integer_value(json_object_get(report, "restarts")), restarts);
    json_decref(report);
}

/* Stopped first, so that it is known what it was killed at. */
START_TEST(a_death_says_what_the_stage_was_doing)
{
    const struct stage_block *block;
    char expected[512], doing[256];
    struct segment segment;
    pid_t child = start_long_run(&segment, "");

    stop_stage(&segment, 2);
    block = segment_stage(&segment, 2);
    const struct activity activity = activity_unpack(atomic_load(&block->activity));
    const struct schedule schedule = plan_training(&segment.header->plan);
    explain_activity(&activity, &schedule, doing, sizeof(doing));
    snprintf(expected, sizeof(expected),
             "tpcoord: stage 2 (pid %d) was killed by signal 9 (Killed) while %s of epoch %d\n",
             (int)stage_pid(&segment, 2), doing, atomic_load(&block->counters.epoch));
    kill(stage_pid(&segment, 2), SIGKILL);
    ck_assert_int_eq(program_finish(child), 1);
    segment_close(&segment);
    ck_assert_str_eq(program_text(&program, "err"), expected);
    check_report("failed", 0);
}
END_TEST

START_TEST(a_stall_is_explained_and_ends_the_run)
{
    struct segment segment;
    pid_t child = start_long_run(&segment, "--set run.stall_seconds=1");

    stop_stage(&segment, 2);
    ck_assert_int_eq(program_finish(child), 1);
    segment_close(&segment);
    const char *err = program_text(&program, "err");
    ck_assert_ptr_nonnull(strstr(err, "tpcoord: no progress for 1 s:\n  stage 1 "));
    ck_assert_ptr_nonnull(strstr(err, "\n  stage 2 is stopped by a signal\n  stage 3 "));
    ck_assert_ptr_nonnull(strstr(err, "from stage 2, which is stopped by a signal\n"));
    ck_assert_ptr_nonnull(strstr(err, "\n  link 1-2: "));
    ck_assert_ptr_nonnull(strstr(err, "\n  link 2-3: "));
    ck_assert_ptr_nonnull(strstr(err, "\ntpcoord: no progress for run.stall_seconds = 1 s\n"));
    check_report("failed", 0);
}
END_TEST

/* A part that is not on turn works as little as the stage. */
START_TEST(a_stall_of_stages_with_several_parts_is_explained_by_part)
{
    struct segment segment;
    pid_t child = start_long_run(&segment, "--set run.stall_seconds=1 --set model.depth=4 --set pipeline.system=zb-v "
                                           "--set pipeline.stages=2 --set pipeline.parts=2 --set pipeline.placement=v "
                                           "--set pipeline.microbatches=4");

    stop_stage(&segment, 2);
    ck_assert_int_eq(program_finish(child), 1);
    segment_close(&segment);
    const char *err = program_text(&program, "err");
    ck_assert_ptr_nonnull(strstr(err, "\n  stage 2 is stopped by a signal\n  stage 2' is stopped by a signal\n"));
    ck_assert_msg(strstr(err, "\n  stage 1 comes after stage 1', which ") ||
                      strstr(err, "\n  stage 1' comes after stage 1, which "),
                  "%s", err);
    ck_assert_ptr_nonnull(strstr(err, "\n  link 2-2': "));
    ck_assert_ptr_nonnull(strstr(err, "\ntpcoord: no progress for run.stall_seconds = 1 s\n"));
}
END_TEST

START_TEST(a_stall_may_be_no_more_than_a_warning)
{
    struct segment segment;
    pid_t child = start_long_run(&segment, "--set run.stall_seconds=1 --set run.on_stall=warn");

    stop_stage(&segment, 2);
    WAIT_FOR(&program, strstr(program_text(&program, "err"), "link 2-3"));
    kill(stage_pid(&segment, 2), SIGCONT);
    kill(child, SIGINT);
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);
    ck_assert_int_eq(occurrences(program_text(&program, "err"), "no progress"), 1);
    check_report("interrupted", 0);
}
END_TEST

START_TEST(a_run_starts_again_by_itself)
{
    char first[64];
    struct segment segment;
    pid_t child = start_long_run(&segment, "--set run.restarts=1");

    strcpy(first, segment.header->name);
    kill(stage_pid(&segment, 3), SIGKILL);
    segment_close(&segment);
    WAIT_FOR(&program, trains(child, &segment) && strcmp(segment.header->name, first) != 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "was killed by signal 9 (Killed)"));
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"),
                                 "\ntpcoord: starting again from the beginning (restart 1 "
                                 "of 1)\n"));
    /* The second death is the run's end. */
    kill(stage_pid(&segment, 1), SIGKILL);
    segment_close(&segment);
    ck_assert_int_eq(program_finish(child), 1);
    ck_assert_int_eq(occurrences(program_text(&program, "err"), "starting again"), 1);
    check_report("failed", 1);
}
END_TEST

START_TEST(a_terminal_that_closes_ends_the_run_cleanly)
{
    struct segment segment;
    char discarded[4096];
    int terminal;

    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0) {
        setenv("TERM", "xterm", 1);
        execl(program.path, program.path, program.config, "--epochs", "1000", "--set", "run.name=long", "--set",
              "train.lr=0.001", (char *)NULL);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    while (!trains(child, &segment))
        ck_assert_int_gt(read(terminal, discarded, sizeof(discarded)), 0);
    segment_close(&segment);
    close(terminal);
    ck_assert_int_eq(program_finish(child), 3);
    check_report("interrupted", 0);
}
END_TEST

/* The signal waits from before the program's first step. */
START_TEST(a_comparison_can_be_interrupted_while_it_is_planned)
{
    sigset_t interrupt;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    pid_t child = program_start(&program, "compare @");
    kill(child, SIGINT);
    ck_assert_int_eq(program_finish(child), 3);
    ck_assert_str_eq(program_text(&program, "out"), "");
    ck_assert(!program_has(&program, "runs"));
}
END_TEST

/* Runs the program under a limit that this process does not keep. */
static int run_limited(int resource, rlim_t value)
{
    struct rlimit before, limit;

    ck_assert_int_eq(getrlimit((__rlimit_resource_t)resource, &before), 0);
    limit = (struct rlimit){value, before.rlim_max};
    ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &limit), 0);
    pid_t child = program_start(&program, "@ --quiet");
    ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &before), 0);
    return program_finish(child);
}

/* With ever more of them, until there are enough: first the loader has too few, then the program. */
START_TEST(no_descriptors_are_said)
{
    /* A child has what this process has, and two files for its output. */
    const int open_here = dup(STDIN_FILENO);
    int status, said = 0;

    close(open_here);
    for (rlim_t count = (rlim_t)open_here + 1; (status = run_limited(RLIMIT_NOFILE, count)) != 0; count++) {
        const char *err = program_text(&program, "err");

        ck_assert_uint_lt(count, 100);
        ck_assert_msg(strstr(err, "Too many open files\n") || strstr(err, "Error 24\n"), "%s", err);
        /* One line, or one for the checkpoint and one for the report. */
        ck_assert_int_eq(occurrences(err, "\n"),
                         occurrences(err, "Too many open files\n") + occurrences(err, "Error 24\n"));
        said += strncmp(err, "tpcoord: ", 9) == 0 || strstr(err, ".ini:");
    }
    ck_assert_int_gt(said, 0);
}
END_TEST

START_TEST(a_file_over_the_limit_is_said)
{
    ck_assert_int_eq(run_limited(RLIMIT_FSIZE, 8192), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "MiB of shared memory: File too large\n"));
}
END_TEST

START_TEST(a_full_disk_is_said)
{
    ck_assert_int_eq(program_run(&program, "@ --quiet --trace /dev/full"), 1);
    ck_assert_str_eq(program_text(&program, "err"), "tpcoord: the trace could not be written to its end\n");
}
END_TEST

START_TEST(a_plan_larger_than_memory_is_refused)
{
    static struct plan plan = {.stage_count = 2, .part_count = 2, .schedule = {.stages = 2, .parts = 1}};
    struct error error;

    plan.stages[1].memory[MEMORY_ACTIVATIONS] = (size_t)1 << 30;
    plan.stages[0].memory[MEMORY_WEIGHTS] = (size_t)1 << 50;
    ck_assert_int_eq(room_check(&plan, &error), -1);
    ck_assert_msg(strncmp(error.text, "the plan needs 1073742849 MiB of memory and this machine has ", 61) == 0, "%s",
                  error.text);
    plan.stages[0].memory[MEMORY_WEIGHTS] = plan.stages[1].memory[MEMORY_ACTIVATIONS] = 1;
    ck_assert_int_eq(room_check(&plan, &error), 0);
}
END_TEST

static void write_in(const char *folder, const char *name, const char *text)
{
    char command[512], path[256];

    snprintf(command, sizeof(command), "mkdir -p %s/%s", program.folder, folder);
    ck_assert_int_eq(system(command), 0);
    snprintf(path, sizeof(path), "%s/%s/%s", program.folder, folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* In a container of 1,000 bytes, its group's share is 600, of which 350 are in use and 100 of these only cached. */
START_TEST(the_memory_limit_of_a_group_counts)
{
    static const char v1[] = "sys/fs/cgroup/memory", v2[] = "sys/fs/cgroup";

    ck_assert_uint_eq(memory_limit_in(program.folder), UINT64_MAX);
    write_in("proc/self", "cgroup", "0::/jobs/one\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), UINT64_MAX);
    write_in("sys/fs/cgroup/jobs/one", "memory.max", "600\n");
    write_in("sys/fs/cgroup/jobs/one", "memory.current", "350\n");
    write_in("sys/fs/cgroup/jobs/one", "memory.stat", "anon 250\ninactive_file 60\nactive_file 40\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), 350);
    write_in("sys/fs/cgroup/jobs", "memory.max", "max\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), 350);
    write_in(v2, "memory.max", "1000\n");
    write_in(v2, "memory.current", "900\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), 100);
    write_in(v2, "memory.current", "1001\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), 0);
    /* The groups' first version, in a container that does not see where it is itself. */
    write_in("proc/self", "cgroup", "3:cpu,cpuacct:/\n4:memory:/docker/4711\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), UINT64_MAX);
    write_in(v1, "memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), UINT64_MAX);
    write_in(v1, "memory.limit_in_bytes", "5000000000\n");
    write_in(v1, "memory.usage_in_bytes", "3000000000\n");
    write_in(v1, "memory.stat", "cache 7\ntotal_inactive_file 500\ntotal_active_file 1\n");
    ck_assert_uint_eq(memory_limit_in(program.folder), 2000000501);
}
END_TEST

/* The nearest group that counts, else the machine. */
START_TEST(who_was_killed_for_lack_of_memory_is_counted)
{
    static const char events[] = "low 0\nhigh 1\nmax 22\noom 3\noom_kill %d\noom_group_kill 5\n";
    char text[128];

    ck_assert_uint_eq(memory_kills_in(program.folder), 0);
    write_in("proc", "vmstat", "nr_free_pages 77\noom_kill 4\nnuma_hit 9\n");
    ck_assert_uint_eq(memory_kills_in(program.folder), 4);
    write_in("proc/self", "cgroup", "0::/jobs/one\n");
    ck_assert_uint_eq(memory_kills_in(program.folder), 4);
    snprintf(text, sizeof(text), events, 3);
    write_in("sys/fs/cgroup/jobs", "memory.events", text);
    ck_assert_uint_eq(memory_kills_in(program.folder), 3);
    snprintf(text, sizeof(text), events, 0);
    write_in("sys/fs/cgroup/jobs/one", "memory.events", text);
    ck_assert_uint_eq(memory_kills_in(program.folder), 0);
    /* The groups' first version, beside a second that has no memory. */
    write_in("proc/self", "cgroup", "4:memory:/docker/4711\n3:cpu,cpuacct:/\n0::/\n");
    ck_assert_uint_eq(memory_kills_in(program.folder), 4);
    write_in("sys/fs/cgroup/memory", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    ck_assert_uint_eq(memory_kills_in(program.folder), 2);
}
END_TEST

/* As waitpid tells a death by a signal, its status is the signal's number. */
START_TEST(a_kill_for_lack_of_memory_is_said)
{
    static const char cause[] = "stage 2 was killed; probably by the kernel, which has killed for lack of memory "
                                "meanwhile: lower data.batch, or use pipeline.backward_activations = recompute";
    struct error error;

    error_set(&error, "stage 2 was killed");
    process_add_cause(SIGKILL, memory_kills(), &error);
    ck_assert_str_eq(error.text, "stage 2 was killed");
    process_add_cause(SIGTERM, memory_kills() - 1, &error);
    ck_assert_str_eq(error.text, "stage 2 was killed");
    process_add_cause(SIGKILL, memory_kills() - 1, &error);
    ck_assert_str_eq(error.text, cause);
}
END_TEST

/* With ever more of it, until there is enough: whoever notices first, planner, stage or library, says it in a line. */
START_TEST(a_limited_address_space_is_said)
{
    int status, refused = 0;

    for (rlim_t mebibytes = 40; (status = run_limited(RLIMIT_AS, mebibytes << 20)) != 0; mebibytes++) {
        const char *err = program_text(&program, "err");

        ck_assert_uint_lt(mebibytes, 1000);
        ck_assert_msg(occurrences(err, "\n") == 1 &&
                          !strstr(err, "Segmentation fault") == !strstr(err, " is limited to "),
                      "%s", err);
        refused += strstr(err, " MiB of address space and is allowed ") != NULL;
    }
    ck_assert_int_gt(refused, 0);
}
END_TEST

static const char *const names[] = {"timeprest", "1f1b", "zb-h1"};

/* Each update multiplies the weights by about -99. */
START_TEST(a_learning_rate_too_high_ends_the_run)
{
    char words[256];

    snprintf(
        words, sizeof(words),
        "@ --quiet --set data.limit=4000 --set train.lr=100 --set train.weight_decay=1 --set train.warmup_epochs=0 "
        "--set pipeline.system=%s",
        names[_i]);
    ck_assert_int_eq(program_run(&program, words), 1);
    const char *err = program_text(&program, "err");
    ck_assert_msg(strncmp(err, "tpcoord: stage 3 (pid ", 22) == 0 && strstr(err, " of mini-batch ") &&
                      strstr(err, " of epoch 1: the loss is ") &&
                      strstr(err, "; the first numbers out of range are in the output of ") &&
                      strstr(err, "; a lower train.lr may help\n"),
                  "%s", err);
    ck_assert_int_eq(occurrences(err, "\n"), 1);
}
END_TEST

/* A weight of `stage` is infinite from the beginning: the loss is not finite, and no stage before is to blame. */
static void poison(struct pipeline *pipeline, const char *const *overrides, int stage)
{
    pipeline_create(pipeline, overrides);
    ((float *)(uintptr_t)part_weights(pipeline->parts[stage - 1]))[0] = INFINITY;
    pipeline_start(pipeline);
    WAIT_FOR(&program, atomic_load(&pipeline->segment.board->diverged));
    segment_abort(&pipeline->segment);
    pipeline_wait(pipeline, -1);
    ck_assert_ptr_nonnull(strstr(pipeline->threads[2].error.text, "mini-batch 1 of epoch 1: the loss is "));
}

static const char *const overrides[][6] = {
    {"pipeline.stages=3", NULL},
    {"pipeline.stages=3", "pipeline.system=1f1b", "device.backend=onednn", NULL},
    {"pipeline.stages=3", "pipeline.backward_activations=recompute", NULL},
    {"pipeline.stages=3", "pipeline.system=zb-h1", "pipeline.backward_activations=recompute", NULL},
};

START_TEST(the_layer_where_it_began_is_found)
{
    struct pipeline pipeline;
    char expected[96];

    for (int stage = 1; stage <= 3; stage++) {
        poison(&pipeline, overrides[_i], stage);
        for (int s = 1; s < stage; s++)
            ck_assert_str_eq(segment_stage(&pipeline.segment, s)->diverged, "");
        snprintf(expected, sizeof(expected), "the output of %s",
                 pipeline.network->layers[pipeline.plan.parts[stage - 1].slice.first_layer].name);
        ck_assert_str_eq(segment_stage(&pipeline.segment, stage)->diverged, expected);
        pipeline_destroy(&pipeline);
    }
}
END_TEST

static const uint64_t second = 1000000000u;

/* Looks twice a second for `seconds`, and counts. */
static int barks(struct watchdog *dog, const struct segment *segment, uint64_t *now, int seconds)
{
    int count = 0;

    for (int i = 0; i < 2 * seconds; i++) {
        *now += second / 2;
        count += watchdog_barks(dog, segment, *now);
    }
    return count;
}

static void set_activity(const struct segment *segment, int stage, enum activity_kind kind)
{
    const struct activity activity = {.kind = kind, .op = {OP_FORWARD, 1, 1, 1, 0}};

    atomic_store(&segment_stage(segment, stage)->activity, activity_pack(&activity));
}

START_TEST(the_watchdog_barks_once_for_each_stall)
{
    struct pipeline pipeline;
    struct watchdog dog;
    uint64_t now = 7 * second;

    pipeline_create(&pipeline, (const char *const[]){"pipeline.stages=3", NULL});
    const struct segment *segment = &pipeline.segment;
    watchdog_begin(&dog, 10, now);
    ck_assert_int_eq(barks(&dog, segment, &now, 9), 0);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 1);
    atomic_fetch_add(&segment_stage(segment, 2)->counters.ops, 1);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 1);
    /* Another activity is progress, too. */
    for (int i = 0; i < 5; i++) {
        atomic_fetch_add(&segment_stage(segment, 3)->activity_since_ns, 1);
        ck_assert_int_eq(barks(&dog, segment, &now, 9), 0);
    }
    /* Nobody looked: this process was stopped. */
    now += 1000 * second;
    ck_assert_int_eq(barks(&dog, segment, &now, 1), 0);
    /* Off. */
    watchdog_begin(&dog, 0, now);
    ck_assert_int_eq(barks(&dog, segment, &now, 100), 0);
    pipeline_destroy(&pipeline);
}
END_TEST

START_TEST(the_watchdog_knows_who_holds_and_who_computes)
{
    struct pipeline pipeline;
    struct watchdog dog;
    uint64_t now = 7 * second;

    pipeline_create(&pipeline, (const char *const[]){"pipeline.stages=3", NULL});
    const struct segment *segment = &pipeline.segment;
    watchdog_begin(&dog, 10, now);
    set_activity(segment, 2, ACTIVITY_HELD);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 0);
    /* This process computes all the time. At the start and in an op that is progress, in a wait it is not. */
    atomic_store(&segment_stage(segment, 2)->pid, (int32_t)getpid());
    set_activity(segment, 2, ACTIVITY_NONE);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 0);
    atomic_store(&segment_stage(segment, 2)->state, STAGE_MEETING);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 1);
    atomic_store(&segment_stage(segment, 2)->state, STAGE_RUNNING);
    set_activity(segment, 2, ACTIVITY_RUN);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 0);
    set_activity(segment, 2, ACTIVITY_WAIT);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 1);
    /* Slow motion counts where the controls are obeyed. */
    atomic_store(&segment_controls(segment)->slow_motion, 100);
    atomic_fetch_add(&segment_stage(segment, 1)->counters.ops, 1);
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 1);
    pipeline.segment.header->interactive = true;
    ck_assert_int_eq(barks(&dog, segment, &now, 30), 0);
    pipeline_destroy(&pipeline);
}
END_TEST

/* Of the time that is left, and of the rate: nobody looked in between, so nothing ran. */
START_TEST(a_pause_is_no_time_of_the_run)
{
    struct progress_line line;
    struct pipeline pipeline;

    pipeline_create(&pipeline, (const char *const[]){"pipeline.stages=3", NULL});
    progress_begin(&line, pipeline.segment.header, NULL, NULL, NULL);
    const uint64_t start = line.start_ns;
    progress_draw(&line, start + second);
    ck_assert_uint_eq(line.start_ns, start);
    progress_draw(&line, start + 100 * second);
    ck_assert_uint_eq(line.start_ns, start + 99 * second);
    pipeline_destroy(&pipeline);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *tcase = tcase_create("guard");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_death_says_what_the_stage_was_doing);
    tcase_add_test(tcase, a_stall_is_explained_and_ends_the_run);
    tcase_add_test(tcase, a_stall_of_stages_with_several_parts_is_explained_by_part);
    tcase_add_test(tcase, a_stall_may_be_no_more_than_a_warning);
    tcase_add_test(tcase, a_run_starts_again_by_itself);
    tcase_add_test(tcase, a_terminal_that_closes_ends_the_run_cleanly);
    tcase_add_test(tcase, a_comparison_can_be_interrupted_while_it_is_planned);
    tcase_add_test(tcase, no_descriptors_are_said);
    tcase_add_test(tcase, a_file_over_the_limit_is_said);
    tcase_add_test(tcase, a_full_disk_is_said);
    tcase_add_test(tcase, a_plan_larger_than_memory_is_refused);
    tcase_add_test(tcase, the_memory_limit_of_a_group_counts);
    tcase_add_test(tcase, who_was_killed_for_lack_of_memory_is_counted);
    tcase_add_test(tcase, a_kill_for_lack_of_memory_is_said);
    tcase_add_test(tcase, a_limited_address_space_is_said);
    tcase_add_loop_test(tcase, a_learning_rate_too_high_ends_the_run, 0, COUNT(names));
    tcase_add_loop_test(tcase, the_layer_where_it_began_is_found, 0, COUNT(overrides));
    tcase_add_test(tcase, the_watchdog_barks_once_for_each_stall);
    tcase_add_test(tcase, the_watchdog_knows_who_holds_and_who_computes);
    tcase_add_test(tcase, a_pause_is_no_time_of_the_run);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
