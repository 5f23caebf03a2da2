/* Goal of this test: whoever is killed, asked to end, stopped or cut off, and whenever, a run ends as its parts agree
 * it should, and neither a process nor a name in /dev/shm outlives it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "telemetry/controls.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;

static void set_up(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static uint64_t ops_of(const struct segment *segment, int stage)
{
    return atomic_load(&segment_stage(segment, stage)->counters.ops);
}

static int state_of(const struct segment *segment, int stage)
{
    return atomic_load(&segment_stage(segment, stage)->state);
}

static bool all_are(const struct segment *segment, int state)
{
    for (int s = 1; s <= segment->header->block_count; s++)
        if (state_of(segment, s) != state)
            return false;
    return true;
}

/* The run is called "run" and has `more` words; it has a name when this returns. */
static pid_t start_run(struct segment *segment, const char *more)
{
    char words[512];

    snprintf(words, sizeof(words), "@ --quiet --set run.name=run %s", more);
    pid_t child = program_start(&program, words);
    WAIT_FOR(&program, program_segment(child, "/run", segment));
    return child;
}

static const char long_run[] = "--epochs 1000 --set data.limit=20000";

static pid_t start_long_run(struct segment *segment)
{
    pid_t child = start_run(segment, long_run);

    WAIT_FOR(&program, ops_of(segment, 3) > 100);
    return child;
}

static bool is_stopped(const struct segment *segment, pid_t pid, int stage)
{
    struct snapshot snapshot;

    if (stage == 0)
        return waitpid(pid, NULL, WNOHANG | WUNTRACED) == pid;
    snapshot_take(&snapshot, segment);
    return snapshot.stages[stage - 1].stopped;
}

/* Stops the coordinator, or a stage. */
static void halt(const struct segment *segment, pid_t pid, int stage)
{
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    WAIT_FOR(&program, is_stopped(segment, pid, stage));
}

/* Those whose parent died have become this process's children. */
static bool nobody_lives(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static void check_all_gone(pid_t coordinator)
{
    const uint64_t begin = clock_now_ns();

    WAIT_FOR(&program, nobody_lives());
    ck_assert_uint_lt(clock_now_ns() - begin, 10 * 1000000000ull);
    ck_assert_msg(!program_has_segment(coordinator), "shared memory is left");
}

/* The signal by which the kernel tells a stage of the coordinator's death may be blocked, or be ignored. */
START_TEST(an_inherited_mask_keeps_no_stage_alive)
{
    struct segment segment;
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGALRM, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    pid_t child = start_long_run(&segment);
    kill(child, SIGKILL);
    check_all_gone(child);
    segment_close(&segment);
}
END_TEST

/* One stage, which looks around only between two ops, and an op of several seconds. */
START_TEST(a_long_op_leaves_no_name)
{
    struct segment segment;
    pid_t child =
        start_run(&segment, "--set pipeline.stages=1 --set pipeline.microbatches=1 --set pipeline.partition=3 "
                            "--set device.backend=reference --set data.limit=40000 --set data.batch=40000");

    WAIT_FOR(&program, activity_unpack(atomic_load(&segment_stage(&segment, 1)->activity)).kind == ACTIVITY_RUN);
    kill(child, SIGKILL);
    const uint64_t begin = clock_now_ns();
    WAIT_FOR(&program, !program_has_segment(child));
    ck_assert_uint_lt(clock_now_ns() - begin, 2000000000u);
    check_all_gone(child);
    segment_close(&segment);
}
END_TEST

/* The coordinator stands still while its stages do all they have to do, and then is killed. */
START_TEST(stages_that_are_done_outlive_the_name)
{
    struct segment segment;
    pid_t child = start_run(&segment, "--epochs 3 --set data.limit=4000");

    WAIT_FOR(&program, ops_of(&segment, 1) > 0);
    halt(&segment, child, 0);
    WAIT_FOR(&program, all_are(&segment, STAGE_DONE));
    ck_assert(program_has_segment(child));
    for (int s = 1; s <= 3; s++)
        ck_assert_int_eq(kill(stage_pid(&segment, s), 0), 0);
    kill(child, SIGKILL);
    check_all_gone(child);
    segment_close(&segment);
}
END_TEST

/* A stage that has done everything and cannot end is not waited for. */
START_TEST(a_stage_that_hangs_at_the_end_costs_nothing)
{
    struct segment segment;
    pid_t child = start_run(&segment, "--epochs 3 --set data.limit=4000");

    WAIT_FOR(&program, ops_of(&segment, 1) > 0);
    halt(&segment, child, 0);
    WAIT_FOR(&program, all_are(&segment, STAGE_DONE));
    halt(&segment, stage_pid(&segment, 2), 2);
    kill(child, SIGCONT);
    ck_assert_int_eq(program_finish(child), 0);
    check_all_gone(child);
    ck_assert_str_eq(program_text(&program, "err"), "");
    segment_close(&segment);
}
END_TEST

START_TEST(a_stage_that_stands_still_while_it_starts_is_a_stall)
{
    struct segment segment;
    pid_t child;

    for (;;) {
        child = start_run(&segment, "--set run.stall_seconds=1 --epochs 1000");
        halt(&segment, stage_pid(&segment, 2), 2);
        if (state_of(&segment, 2) < STAGE_READY)
            break;
        kill(child, SIGKILL);
        kill(stage_pid(&segment, 2), SIGKILL);
        check_all_gone(child);
        segment_close(&segment);
        program_tear_down(&program);
        program_set_up(&program);
    }
    ck_assert_int_eq(program_finish(child), 1);
    segment_close(&segment);
    const char *err = program_text(&program, "err");
    ck_assert_msg(strstr(err, "tpcoord: no progress for 1 s:\n") &&
                      strstr(err, "\n  stage 2 is stopped by a signal\n") &&
                      strstr(err, "\ntpcoord: no progress for run.stall_seconds = 1 s\n"),
                  "%s", err);
}
END_TEST

static const int ignored[] = {SIGHUP, SIGINT};

/* As nohup leaves SIGHUP, and a shell that starts something in the background SIGINT. */
START_TEST(what_was_ignored_at_the_start_stays_ignored)
{
    struct segment segment;

    signal(ignored[_i], SIG_IGN);
    pid_t child = start_long_run(&segment);
    kill(child, ignored[_i]);
    kill(child, ignored[!_i]);
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);
    ck_assert_str_eq(program_text(&program, "err"),
                     "tpcoord: stopping after the mini-batches in flight; once more to end at once\n");
}
END_TEST

START_TEST(a_stage_that_is_asked_to_end_has_the_run_stop)
{
    struct segment segment;
    pid_t child = start_long_run(&segment);

    kill(stage_pid(&segment, 2), SIGTERM);
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);
    ck_assert_str_eq(program_text(&program, "err"),
                     "tpcoord: stage 2 was asked to end\n"
                     "tpcoord: stopping after the mini-batches in flight; once more to end at once\n");
}
END_TEST

/* As whoever ends a session or a service does; it is one request, in whatever order it arrives. */
START_TEST(a_signal_to_the_whole_group_is_one_request)
{
    struct segment segment;
    pid_t child = start_long_run(&segment);

    for (int s = 0; s <= 3; s++) {
        if (s > 0)
            kill(stage_pid(&segment, s), SIGTERM);
        if (s == _i)
            kill(child, SIGTERM);
    }
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);
}
END_TEST

static bool waits_for_norm(const struct segment *segment, int stage)
{
    const struct activity activity = activity_unpack(atomic_load(&segment_stage(segment, stage)->activity));

    return activity.kind == ACTIVITY_WAIT && activity.cause == WAIT_NORM;
}

/* Stage 1 is held in the middle of a mini-batch, so that the others wait for the norm of its gradient; then somebody is
 * killed, or the run is interrupted. */
START_TEST(who_waits_for_a_norm_ends_with_the_run)
{
    const bool interrupted = _i > 3;
    struct controls *controls;
    struct segment segment;
    struct error error;
    char name[64];
    pid_t child = start_run(&segment, "--epochs 1000 --interactive --set pipeline.system=gpipe "
                                      "--set pipeline.microbatches=3 --set train.clip_norm=0.1");

    ck_assert_int_eq(controls_hold(&segment), 0);
    ck_assert_msg((controls = segment_open_controls(&segment, segment.header->name, &error)) != NULL, "%s", error.text);
    controls_pause(controls);
    WAIT_FOR(&program, all_are(&segment, STAGE_RUNNING));
    for (int s = 1; s <= 3; s++)
        atomic_store(&controls->ops_allowed[s - 1], s == 1 ? ops_of(&segment, 1) / 6 * 6 + 11 : UINT64_MAX);
    WAIT_FOR(&program, waits_for_norm(&segment, 2) && waits_for_norm(&segment, 3));
    kill(_i == 0 || interrupted ? child : stage_pid(&segment, _i), interrupted ? SIGINT : SIGKILL);
    if (_i == 0) {
        check_all_gone(child);
    } else {
        ck_assert_int_eq(program_finish(child), interrupted ? 3 : 1);
        snprintf(name, sizeof(name), "stage %d (pid ", _i);
        ck_assert_msg(interrupted || strstr(program_text(&program, "err"), name), "%s", program_text(&program, "err"));
    }
    segment_close_controls(controls);
    segment_close(&segment);
}
END_TEST

/* In a child: closes some of the standard descriptors, and the rest lead nowhere. */
static void close_standard(int closed)
{
    const int nowhere = open("/dev/null", O_RDWR);

    for (int descriptor = 0; descriptor <= 2; descriptor++)
        dup2(nowhere, descriptor);
    close(nowhere);
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        if (closed & 1 << descriptor)
            close(descriptor);
}

/* A descriptor that is closed would be the next file's. */
START_TEST(closed_standard_descriptors_are_no_files)
{
    char runs[160], recording[160];

    snprintf(runs, sizeof(runs), "%s/runs/run/report.json", program.folder);
    snprintf(recording, sizeof(recording), "%s/recording", program.folder);
    pid_t child = fork();
    if (child == 0) {
        close_standard(_i);
        execl(program.path, program.path, program.config, "--set", "run.name=run", "--record", recording, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(program_finish(child), 0);
    ck_assert_int_eq(access(runs, F_OK), 0);
    child = fork();
    if (child == 0) {
        close_standard(_i);
        execl(program.monitor, program.monitor, "--once", "--replay", recording, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(program_finish(child), 0);
}
END_TEST

static void make_pipe(const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", program.folder, name);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static const char *const piped[][2] = {
    {"@ --json ~/pipe", "--json: "},
    {"@ --trace ~/pipe", "--trace: "},
    {"@ --record ~/pipe", "--record: "},
    {"plan @ --json ~/pipe", "--json: "},
    {"compare @ --csv ~/pipe", "--csv: "},
    {"~/pipe", "pipe: is a pipe; a config is a file\n"},
    {"@ --set data.set=idx --set data.dir=~", "is a pipe, not a regular file\n"},
    {"@ --set model.arch=~/pipe.net", "pipe.net is no file\n"},
    {"plan @ --set pipeline.system=~/pipe.csv", "pipe.csv is no file\n"},
    {"@ --resume=~/pipe", "pipe is no folder; give a run's, or a checkpoint's\n"},
    {"tpmon --once --replay ~/pipe", "pipe is no file\n"},
};

START_TEST(a_pipe_where_a_file_is_expected_is_refused)
{
    static const char *const pipes[] = {"pipe", "pipe.net", "pipe.csv", "train-images-idx3-ubyte"};

    for (size_t k = 0; k < sizeof(pipes) / sizeof(pipes[0]); k++)
        make_pipe(pipes[k]);
    const int status = program_run(&program, piped[_i][0]);
    const char *err = program_text(&program, "err");
    ck_assert_msg(status == 1 || status == 2, "exit status %d", status);
    ck_assert_msg(strstr(err, piped[_i][1]) && strchr(err, '\n') == err + strlen(err) - 1, "%s", err);
}
END_TEST

START_TEST(a_pipe_that_somebody_reads_may_be_written)
{
    char command[512];

    snprintf(command, sizeof(command),
             "%s %s --quiet --json /dev/stdout | grep -c '\"result\": \"finished\"' >/dev/null", program.path,
             program.config);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("endings");
    TCase *tcase = tcase_create("endings");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, an_inherited_mask_keeps_no_stage_alive);
    tcase_add_test(tcase, a_long_op_leaves_no_name);
    tcase_add_test(tcase, stages_that_are_done_outlive_the_name);
    tcase_add_test(tcase, a_stage_that_hangs_at_the_end_costs_nothing);
    tcase_add_test(tcase, a_stage_that_stands_still_while_it_starts_is_a_stall);
    tcase_add_loop_test(tcase, what_was_ignored_at_the_start_stays_ignored, 0, COUNT(ignored));
    tcase_add_test(tcase, a_stage_that_is_asked_to_end_has_the_run_stop);
    tcase_add_loop_test(tcase, a_signal_to_the_whole_group_is_one_request, 0, 4);
    tcase_add_loop_test(tcase, who_waits_for_a_norm_ends_with_the_run, 0, 5);
    tcase_add_loop_test(tcase, closed_standard_descriptors_are_no_files, 1, 8);
    tcase_add_loop_test(tcase, a_pipe_where_a_file_is_expected_is_refused, 0, COUNT(piped));
    tcase_add_test(tcase, a_pipe_that_somebody_reads_may_be_written);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
