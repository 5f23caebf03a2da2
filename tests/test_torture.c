/* Goal of this test: a run survives what happens to its processes. A small run is started, and a signal goes to a
 * stage, to the coordinator, to both or to all at once, at a moment from its fork to its last unlink; all is drawn.
 * Then exit status and message are right, all ends within five seconds, no process and no shared memory is left, and
 * the run says the truth in its report. If it had saved anything it is resumed, and ends with the very results of one
 * that was left alone.
 *
 * Where coordinator and all stages are killed at once nobody is left to remove the name: there the next run has to.
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
#include "tests/support/suite.h"

enum { KILLS = 10, SECONDS_MAX = 5, START_SECONDS_MAX = 30, POLL_US = 50, DELAY_MAX_US = 2000, WORDS_MAX = 512 };

/* Who gets the signal. */
enum victim { STAGE, COORDINATOR, BOTH, ALL, VICTIMS };
static const char *const victim_names[VICTIMS] = {"a stage", "the coordinator", "both", "all"};

struct trial {
    uint64_t seed;
    const char *system, *arch, *placement;
    int parts; /* per stage */
    bool clips;
    int stages, microbatches, epochs;
    enum victim victim;
    int stage;        /* that gets it, or that is watched */
    int signal;       /* in `signals` */
    int moment;       /* in `moments`, when it is sent */
    double share;     /* of the time, or of the ops, where the moment is a share of them */
    int delay_us;     /* after that */
    uint64_t time_ns; /* that the whole run took */
};

/* What has become of a trial's run. */
struct outcome {
    pid_t coordinator, child; /* the stage that got the signal, or another child that was there instead; 0: none */
    bool seen;                /* it had a name, and `segment` is mapped */
    struct segment segment;
    uint64_t begin_ns, ops_total;
    int status; /* of the coordinator */
};

static struct program program;

/* What a process does about a signal. */
static const struct {
    int number;
    bool kills;
} signals[] = {
    {SIGKILL, true}, {SIGSEGV, true}, {SIGABRT, true}, {SIGINT, false}, {SIGTERM, false}, {SIGHUP, false},
};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]), KILLING_SIGNALS = 3 };

static uint32_t draw(uint64_t seed, uint64_t what, uint32_t bound)
{
    return random_below(seed, RANDOM_TEST, 0, what, bound);
}

static uint64_t environment_number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

/* The coordinator's children, oldest first: its stages, or what it tries before there are any. */
static int children_of(pid_t coordinator, pid_t children[MAX_STAGES])
{
    char path[64];
    int count = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)coordinator, (int)coordinator);
    FILE *file = fopen(path, "re");
    while (file && count < MAX_STAGES && fscanf(file, "%d", &children[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

/* Whether the coordinator has a file in /dev/shm open, with a name or without. */
static bool has_segment(pid_t coordinator)
{
    static const char prefix[] = "/dev/shm/";
    char path[64], target[64];

    for (int descriptor = 3; descriptor < 32; descriptor++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)coordinator, descriptor);
        const ssize_t length = readlink(path, target, sizeof(target));
        if (length >= (ssize_t)sizeof(prefix) && strncmp(target, prefix, sizeof(prefix) - 1) == 0)
            return true;
    }
    return false;
}

static const struct stage_block *block_of(const struct outcome *outcome, int stage)
{
    return segment_stage(&outcome->segment, stage);
}

static int stages_at(const struct trial *trial, const struct outcome *outcome, int state)
{
    int count = 0;

    for (int s = 1; s <= trial->stages && outcome->seen; s++)
        count += atomic_load(&block_of(outcome, s)->state) >= state;
    return count;
}

static bool at_time(const struct trial *trial, const struct outcome *outcome)
{
    return clock_now_ns() - outcome->begin_ns >= (uint64_t)(trial->share * (double)trial->time_ns);
}

static bool at_segment(const struct trial *trial, const struct outcome *outcome)
{
    (void)trial;
    return has_segment(outcome->coordinator);
}

static bool at_start(const struct trial *trial, const struct outcome *outcome)
{
    pid_t children[MAX_STAGES];

    return has_segment(outcome->coordinator) && children_of(outcome->coordinator, children) >= trial->stage;
}

static bool at_name(const struct trial *trial, const struct outcome *outcome)
{
    (void)trial;
    return outcome->seen;
}

static bool at_ready(const struct trial *trial, const struct outcome *outcome)
{
    return stages_at(trial, outcome, STAGE_READY) == trial->stages;
}

static bool at_op(const struct trial *trial, const struct outcome *outcome)
{
    return outcome->seen && (double)atomic_load(&block_of(outcome, trial->stage)->counters.ops) >=
                                trial->share * (double)outcome->ops_total;
}

static bool at_checkpoint(const struct trial *trial, const struct outcome *outcome)
{
    bool all = outcome->seen;

    for (int s = 1; s <= trial->stages && all; s++)
        all = atomic_load(&block_of(outcome, s)->saved[0].state) != SAVED_NOT_YET;
    return all;
}

static bool at_last_result(const struct trial *trial, const struct outcome *outcome)
{
    return outcome->seen && atomic_load(&outcome->segment.board->epochs_done) == trial->epochs;
}

static bool at_first_end(const struct trial *trial, const struct outcome *outcome)
{
    return stages_at(trial, outcome, STAGE_DONE) > 0;
}

static bool at_last_end(const struct trial *trial, const struct outcome *outcome)
{
    return stages_at(trial, outcome, STAGE_DONE) == trial->stages;
}

static bool at_dismissal(const struct trial *trial, const struct outcome *outcome)
{
    (void)trial;
    return outcome->seen && atomic_load(&outcome->segment.board->dismissed);
}

/* From the fork to the last unlink. Time and ops, which are everywhere, more often than the rest. */
static const struct {
    const char *name;
    bool (*has_come)(const struct trial *trial, const struct outcome *outcome);
} moments[] = {
    {"a share of the time", at_time},
    {"a share of the time", at_time},
    {"a share of the time", at_time},
    {"a share of the ops", at_op},
    {"a share of the ops", at_op},
    {"the segment is made", at_segment},
    {"a stage is started", at_start},
    {"the segment has its name", at_name},
    {"all are ready", at_ready},
    {"the first checkpoint's files are written", at_checkpoint},
    {"the last result is there", at_last_result},
    {"a stage is done", at_first_end},
    {"all are done", at_last_end},
    {"the name is gone", at_dismissal},
};
enum { MOMENTS = sizeof(moments) / sizeof(moments[0]) };

/* Systems whose stages host several parts, and how those are placed. */
static const struct {
    const char *system, *placement;
} lists[] = {{"interleaved-1f1b", "loop"}, {"breadth-first", "loop"}, {"zb-v", "v"}, {"dualpipe-v", "v"}};
enum { LISTS = sizeof(lists) / sizeof(lists[0]) };

static struct trial draw_trial(uint64_t seed)
{
    const struct system *system = &systems[draw(seed, 0, (uint32_t)asking_system_count)];
    const int needed = orders[system->order].microbatches, stages = 2 + (int)draw(seed, 1, 3);
    const enum victim victim = (enum victim)draw(seed, 4, VICTIMS);
    struct trial trial = {
        .seed = seed,
        .system = system->name,
        .placement = "loop",
        .parts = 1,
        .arch = stages > 3 || draw(seed, 8, 2) ? "resnet8" : "mlp",
        .stages = stages,
        .microbatches = needed ? needed : 1 + (int)draw(seed, 2, 4),
        .epochs = 2 + (int)draw(seed, 3, 2),
        .victim = victim,
        .stage = 1 + (int)draw(seed, 9, (uint32_t)stages),
        .signal = (int)draw(seed, 5, victim < BOTH ? SIGNALS : KILLING_SIGNALS),
        .moment = (int)draw(seed, 6, MOMENTS),
        .share = (double)random_uniform(seed, RANDOM_TEST, 0, 7),
        .delay_us = draw(seed, 10, 2) ? (int)draw(seed, 11, DELAY_MAX_US) : 0,
        .clips = draw(seed, 14, 2),
    };

    if (system->forward == FORWARD_DOUBLE_BUFFERED && trial.microbatches < stages)
        trial.microbatches = stages;
    if (draw(seed, 12, 5) == 0) {
        const uint32_t list = draw(seed, 13, LISTS);

        trial.system = lists[list].system;
        trial.placement = lists[list].placement;
        trial.arch = "resnet8";
        trial.stages = trial.parts = 2;
        trial.microbatches = 4;
        trial.stage = 1 + trial.stage % 2;
    }
    return trial;
}

/* What tpcoord is called with. */
static const char *words(const struct trial *trial, const char *name)
{
    static char text[WORDS_MAX];

    snprintf(text, sizeof(text),
             "@ --quiet --epochs %d --set run.name=%s --set pipeline.system=%s --set pipeline.stages=%d "
             "--set pipeline.parts=%d --set pipeline.placement=%s --set pipeline.microbatches=%d --set "
             "pipeline.order=static --set data.batch=16 --set train.lr=0.002 "
             "--set model.arch=%s --set data.limit=%d --set train.clip_norm=%s",
             trial->epochs, name, trial->system, trial->stages, trial->parts, trial->placement, trial->microbatches,
             trial->arch, trial->arch[0] == 'm' ? 400 : 160, trial->clips ? "0.5" : "0");
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

/* Whether the coordinator has ended; it can be waited for all the same. */
static bool has_ended(pid_t coordinator)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)coordinator, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == coordinator;
}

static void look(const struct trial *trial, struct outcome *outcome)
{
    if (outcome->seen || !program_segment(outcome->coordinator, "killed", &outcome->segment))
        return;
    const struct plan *plan = &outcome->segment.header->plan;
    const struct schedule training = plan_training(plan), evaluation = plan_evaluation(plan);
    outcome->ops_total =
        (uint64_t)(trial->epochs * (schedule_op_count(&training) + schedule_op_count(&evaluation)) / trial->parts);
    outcome->seen = true;
}

/* Starts the run and waits for the moment, or for its end if that is not seen. */
static void start(const struct trial *trial, struct outcome *outcome)
{
    const uint64_t deadline = seconds_from_now(START_SECONDS_MAX);

    outcome->begin_ns = clock_now_ns();
    outcome->coordinator = program_start(&program, words(trial, "killed"));
    for (;;) {
        look(trial, outcome);
        if (moments[trial->moment].has_come(trial, outcome) || has_ended(outcome->coordinator))
            break;
        poll_until(deadline, "the run does not go on");
    }
    if (trial->delay_us > 0)
        usleep((useconds_t)trial->delay_us);
}

static void strike(const struct trial *trial, struct outcome *outcome)
{
    const int number = signals[trial->signal].number;
    pid_t children[MAX_STAGES];
    const int count = children_of(outcome->coordinator, children);

    if (trial->victim != STAGE)
        ck_assert_int_eq(kill(outcome->coordinator, number), 0);
    for (int c = 0; c < count; c++)
        if (trial->victim == ALL || (trial->victim != COORDINATOR && c == trial->stage - 1))
            kill(children[c], number);
    if (trial->stage <= count)
        outcome->child = children[trial->stage - 1];
}

/* Waits until there is no process of the run any more: those whose parent died have become this one's children. */
static void finish(const struct trial *trial, struct outcome *outcome)
{
    uint64_t deadline = seconds_from_now(signals[trial->signal].kills ? SECONDS_MAX : START_SECONDS_MAX);
    pid_t ended;
    int status;

    while ((ended = waitpid(-1, &status, WNOHANG)) >= 0) {
        if (ended == outcome->coordinator)
            outcome->status = status;
        if (ended == 0)
            poll_until(deadline, "processes are left");
    }
    ck_assert_int_eq(errno, ECHILD);
    if (trial->victim != ALL)
        ck_assert_msg(!program_has_segment(outcome->coordinator), "shared memory is left");
}

static bool has_report(void)
{
    return program_has(&program, "runs/killed/report.json");
}

static void check_result(const char *expected)
{
    json_t *report = program_json(&program, "runs/killed/report.json");

    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), expected);
    json_decref(report);
}

/* A request finds the program not yet, or no more, occupied with what has to be cleaned up. */
static bool may_be_killed_by_request(void)
{
    return !program_has(&program, "runs/killed") || has_report();
}

static void check_killed(const struct trial *trial, const struct outcome *outcome)
{
    ck_assert_int_eq(WTERMSIG(outcome->status), signals[trial->signal].number);
    ck_assert_msg(trial->victim != STAGE && (signals[trial->signal].kills || may_be_killed_by_request()),
                  "the coordinator was killed by signal %d", WTERMSIG(outcome->status));
}

static void check_stage_death(const struct trial *trial, const struct outcome *outcome)
{
    char expected[128];

    snprintf(expected, sizeof(expected), "(pid %d) was killed by signal %d (", (int)outcome->child,
             signals[trial->signal].number);
    ck_assert_msg(strstr(program_text(&program, "err"), expected), "says '%s' instead of '%s'",
                  program_text(&program, "err"), expected);
}

/* What came too late changed nothing. */
static void check_end(const struct trial *trial, const struct outcome *outcome)
{
    static const char *const results[] = {"finished", "failed", "?", "interrupted"};
    const int number = signals[trial->signal].number;

    if (WIFSIGNALED(outcome->status)) {
        check_killed(trial, outcome);
        return;
    }
    const int status = WEXITSTATUS(outcome->status);
    const bool failed = trial->victim == STAGE && signals[trial->signal].kills;
    const bool stopped = trial->victim == STAGE ? number == SIGTERM : !signals[trial->signal].kills;
    ck_assert_msg(status == 0 || (status == 1 && failed) || (status == 3 && stopped), "exit status %d; it says: %s",
                  status, program_text(&program, "err"));
    if (status == 1)
        check_stage_death(trial, outcome);
    if (status == 0 || has_report())
        check_result(results[status]);
}

/* Nothing is lost but what came after the newest checkpoint, and that is computed again, bit for bit. The next run also
 * removes the names that no process was left to remove. */
static void check_resumed(const struct trial *trial, const struct outcome *outcome)
{
    char again[WORDS_MAX + 160], runs[128];
    struct checkpoint_set set;
    struct run_folder folder;
    struct error error;

    snprintf(runs, sizeof(runs), "%s/runs/killed", program.folder);
    bool saved = run_folder_look(&folder, runs, &error) == 0;
    if (saved) {
        saved = set_open_newest(&set, &folder, NULL, &error) == 0;
        run_folder_close(&folder);
    }
    if (saved) {
        set_release(&set);
        snprintf(again, sizeof(again), "%s --resume=%s", words(trial, "killed"), runs);
        ck_assert_msg(program_run(&program, again) == 0, "%s", program_text(&program, "err"));
        program_assert_same(&program, trial->stages * trial->parts, trial->epochs, "whole", "killed");
    } else if (program_has_segment(outcome->coordinator)) {
        ck_assert_int_eq(program_run(&program, words(trial, "next")), 0);
    }
    ck_assert_msg(!program_has_segment(outcome->coordinator), "shared memory is left after the next run");
}

START_TEST(a_kill_is_survived)
{
    struct trial trial = draw_trial(environment_number("SEED", 1) + (uint64_t)_i);
    struct outcome outcome = {0};

    printf("SEED=%llu: %s, %s, W = %d, N = %d; signal %d to %s (stage %d) %d us after %s (%.0f %%)\n",
           (unsigned long long)trial.seed, trial.system, trial.arch, trial.stages, trial.microbatches,
           signals[trial.signal].number, victim_names[trial.victim], trial.stage, trial.delay_us,
           moments[trial.moment].name, 100 * trial.share);
    fflush(stdout);
    const uint64_t begin = clock_now_ns();
    ck_assert_int_eq(program_run(&program, words(&trial, "whole")), 0);
    trial.time_ns = clock_now_ns() - begin;
    start(&trial, &outcome);
    strike(&trial, &outcome);
    finish(&trial, &outcome);
    check_end(&trial, &outcome);
    check_resumed(&trial, &outcome);
    if (outcome.seen)
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

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_kill_is_survived, 0, (int)environment_number("KILLS", KILLS));
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
