/* Goal of this test: a run survives what happens to its processes. A small run is started, one of its processes gets a
 * signal after a number of ops; process, signal and op are drawn. Then the exit status and the message are right, all
 * ends within five seconds, no process and no shared memory is left, and the run says the truth in its report. If it had
 * saved anything it is resumed, and ends with the very results of one that was left alone.
 *
 * make torture KILLS=200 [SEED=n]; a failure prints the seed that brings it back with KILLS=1. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "checkpoint/sets.h"
#include "tests/support/program.h"

enum { KILLS = 10, SECONDS_MAX = 5, START_SECONDS_MAX = 30, POLL_US = 100, WORDS_MAX = 512 };

struct trial {
    uint64_t seed;
    const char *system, *arch;
    int stages, microbatches, epochs;
    int victim;  /* stage, or 0: the coordinator */
    int signal;  /* that it gets */
    double when; /* after this part of its ops */
};

/* What has become of a trial's run. */
struct outcome {
    pid_t coordinator, victim;
    struct segment segment; /* still mapped */
    uint64_t ops, ops_total;
    int status; /* of the coordinator */
    double seconds;
};

static struct program program;

/* What a process does about a signal. */
static const struct {
    int number;
    bool kills_stage, kills_coordinator;
} signals[] = {
    {SIGKILL, true, true},  {SIGSEGV, true, true},   {SIGABRT, true, true},
    {SIGINT, false, false}, {SIGTERM, false, false}, {SIGHUP, false, false},
};

static uint32_t draw(uint64_t seed, uint64_t what, uint32_t bound)
{
    return random_below(seed, RANDOM_TEST, 0, what, bound);
}

static uint64_t environment_number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static struct trial draw_trial(uint64_t seed)
{
    const struct system *system = &systems[draw(seed, 0, (uint32_t)system_count)];
    const int needed = orders[system->order].microbatches, stages = 2 + (int)draw(seed, 1, 3);
    struct trial trial = {
        .seed = seed,
        .system = system->name,
        .arch = stages > 3 || draw(seed, 8, 2) ? "resnet8" : "mlp",
        .stages = stages,
        .microbatches = needed ? needed : 1 + (int)draw(seed, 2, 4),
        .epochs = 2 + (int)draw(seed, 3, 2),
        .victim = (int)draw(seed, 4, (uint32_t)stages + 1),
        .signal = (int)draw(seed, 5, sizeof(signals) / sizeof(signals[0])),
        .when = draw(seed, 6, 8) ? 0.9 * (double)random_uniform(seed, RANDOM_TEST, 0, 7) : 0,
    };

    if (system->forward == FORWARD_DOUBLE_BUFFERED && trial.microbatches < stages)
        trial.microbatches = stages;
    return trial;
}

/* What tpcoord is called with. */
static const char *words(const struct trial *trial, const char *name)
{
    static char text[WORDS_MAX];

    snprintf(text, sizeof(text),
             "@ --quiet --epochs %d --set run.name=%s --set pipeline.system=%s --set pipeline.stages=%d "
             "--set pipeline.microbatches=%d --set pipeline.order=static --set data.batch=16 --set train.lr=0.002 "
             "--set model.arch=%s --set data.limit=%d",
             trial->epochs, name, trial->system, trial->stages, trial->microbatches, trial->arch,
             trial->arch[0] == 'm' ? 400 : 160);
    return text;
}

static void poll_until(uint64_t deadline, const char *what)
{
    ck_assert_msg(clock_now_ns() < deadline, "%s; it says: %s", what, program_text(&program, "err"));
    usleep(POLL_US);
}

static uint64_t seconds_from_now(int seconds)
{
    return clock_now_ns() + (uint64_t)seconds * 1000000000u;
}

static struct stage_block *watched_stage(const struct trial *trial, const struct outcome *outcome)
{
    return segment_stage(&outcome->segment, trial->victim ? trial->victim : 1);
}

/* Starts the run and waits until the victim has come to the op. */
static void start(const struct trial *trial, struct outcome *outcome)
{
    uint64_t deadline = seconds_from_now(START_SECONDS_MAX);

    outcome->coordinator = program_start(&program, words(trial, "killed"));
    while (!program_segment(outcome->coordinator, "killed", &outcome->segment))
        poll_until(deadline, "the run does not begin");

    const struct plan *plan = &outcome->segment.header->plan;
    const struct schedule training = plan_training(plan), evaluation = plan_evaluation(plan);
    const struct stage_block *stage = watched_stage(trial, outcome);
    const int ready = signals[trial->signal].kills_stage ? STAGE_STARTING : STAGE_READY;
    outcome->ops_total = (uint64_t)(trial->epochs * (schedule_op_count(&training) + schedule_op_count(&evaluation)));
    while (atomic_load(&stage->pid) == 0 || atomic_load(&stage->state) < ready ||
           (double)atomic_load(&stage->counters.ops) < trial->when * (double)outcome->ops_total)
        poll_until(deadline, "the run does not go on");
    outcome->victim = trial->victim ? (pid_t)atomic_load(&stage->pid) : outcome->coordinator;
}

/* Waits until there is no process of the run any more: those whose parent died have become this one's children. */
static void finish(const struct trial *trial, struct outcome *outcome)
{
    uint64_t begin = clock_now_ns(), deadline = seconds_from_now(SECONDS_MAX);
    pid_t ended;
    int status;

    while ((ended = waitpid(-1, &status, WNOHANG)) >= 0) {
        if (ended == outcome->coordinator)
            outcome->status = status;
        if (ended == 0)
            poll_until(deadline, "processes are left");
    }
    ck_assert_int_eq(errno, ECHILD);
    outcome->seconds = (double)(clock_now_ns() - begin) / 1e9;
    outcome->ops = atomic_load(&watched_stage(trial, outcome)->counters.ops);
    ck_assert_msg(!program_has_segment(outcome->coordinator), "shared memory is left");
}

static void check_result(const char *expected)
{
    json_t *report = program_json(&program, "runs/killed/report.json");

    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), expected);
    json_decref(report);
}

static void check_exit(const struct outcome *outcome, int status, const char *result)
{
    ck_assert_msg(WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == status,
                  "tpcoord ended with status %#x instead of exit status %d; it says: %s", (unsigned)outcome->status,
                  status, program_text(&program, "err"));
    check_result(result);
}

/* The signal came too late to change anything. */
static bool too_late(const struct outcome *outcome)
{
    return outcome->ops == outcome->ops_total && WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == 0;
}

static void check_stage_death(const struct trial *trial, const struct outcome *outcome)
{
    char expected[128];

    snprintf(expected, sizeof(expected), "tpcoord: stage %d (pid %d) was killed by signal %d (", trial->victim,
             (int)outcome->victim, signals[trial->signal].number);
    check_exit(outcome, 1, "failed");
    ck_assert_msg(strncmp(program_text(&program, "err"), expected, strlen(expected)) == 0, "says '%s' instead of '%s'",
                  program_text(&program, "err"), expected);
}

static void check_end(const struct trial *trial, const struct outcome *outcome)
{
    const int number = signals[trial->signal].number;

    if (too_late(outcome) || (trial->victim && !signals[trial->signal].kills_stage))
        check_exit(outcome, 0, "finished");
    else if (trial->victim)
        check_stage_death(trial, outcome);
    else if (signals[trial->signal].kills_coordinator)
        ck_assert_msg(WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == number, "the coordinator lives on");
    else
        check_exit(outcome, 3, "interrupted");
}

/* Nothing is lost but what came after the newest checkpoint, and that is computed again, bit for bit. */
static void check_resumed(const struct trial *trial)
{
    char again[WORDS_MAX + 160], runs[128];
    struct checkpoint_set set;
    struct run_folder folder;
    struct error error;

    snprintf(runs, sizeof(runs), "%s/runs/killed", program.folder);
    ck_assert_msg(!run_folder_look(&folder, runs, &error), "%s", error.text);
    const int none = set_open_newest(&set, &folder, &error);
    run_folder_close(&folder);
    if (none)
        return;
    set_release(&set);
    snprintf(again, sizeof(again), "%s --resume=%s", words(trial, "killed"), runs);
    ck_assert_msg(program_run(&program, again) == 0, "%s", program_text(&program, "err"));
    ck_assert_int_eq(program_run(&program, words(trial, "whole")), 0);
    program_assert_same(&program, trial->stages, trial->epochs, "whole", "killed");
}

START_TEST(a_kill_is_survived)
{
    const struct trial trial = draw_trial(environment_number("SEED", 1) + (uint64_t)_i);
    struct outcome outcome = {0};

    printf("SEED=%llu: %s, %s, W = %d, N = %d; signal %d to %s %d after %.0f %% of the ops\n",
           (unsigned long long)trial.seed, trial.system, trial.arch, trial.stages, trial.microbatches,
           signals[trial.signal].number, trial.victim ? "stage" : "coordinator", trial.victim, 100 * trial.when);
    fflush(stdout);
    start(&trial, &outcome);
    ck_assert_int_eq(kill(outcome.victim, signals[trial.signal].number), 0);
    finish(&trial, &outcome);
    check_end(&trial, &outcome);
    check_resumed(&trial);
    segment_close(&outcome.segment);
}
END_TEST

static void set_up(void)
{
    static const struct rlimit none;

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0", 0);
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

int main(void)
{
    Suite *suite = suite_create("torture");
    TCase *tcase = tcase_create("kills");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_kill_is_survived, 0, (int)environment_number("KILLS", KILLS));
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
