/* tpmon as a user meets it, and the sources of what it shows: runs that begin, are controlled, end and die under its eyes,
 * recordings, and what is no run at all. */
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/source.h"
#include "telemetry/recording.h"
#include "telemetry/timeline.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

#define LONG_RUN "@ --quiet --epochs 1000 --set run.name=watched"

static struct program program;
static struct source *source;
static struct moment moment;

static void set_up(void)
{
    program_set_up(&program);
    source = NULL;
}

static void tear_down(void)
{
    source_close(source);
    program_tear_down(&program);
}

/* Starts a run and attaches to it when it trains. */
static pid_t watch(const char *words)
{
    pid_t run = program_start(&program, words);
    char folder[128];
    struct error error;
    int result;

    /* By its folder: other runs may have the same name. */
    snprintf(folder, sizeof(folder), "%s/runs/watched", program.folder);
    while ((result = source_attach(&source, folder, &error)) == 1)
        ck_assert_int_eq(waitpid(run, NULL, WNOHANG), 0);
    ck_assert_msg(result == 0, "%s", error.text);
    do
        source_look(source, &moment);
    while (moment.kind == MOMENT_LIVE && moment.snapshot->stages[2].counters.ops < 100);
    ck_assert_int_eq(moment.kind, MOMENT_LIVE);
    return run;
}

static void look_until_ended(void)
{
    while (moment.kind != MOMENT_ENDED)
        source_look(source, &moment);
}

static void check_message(const char *expected)
{
    ck_assert_msg(strstr(moment.message, expected) != NULL && !strchr(moment.message, '\n'), "%s", moment.message);
}

/* Exit status, and the one line on standard error. */
static void check_refused(const char *words, int status, const char *expected)
{
    ck_assert_int_eq(program_run(&program, words), status);
    const char *text = program_text(&program, "err");
    ck_assert_msg(strstr(text, expected) && strncmp(text, "tpmon: ", 7) == 0, "%s: %s", words, text);
    ck_assert_msg(strchr(text, '\n') == text + strlen(text) - 1, "%s: %s", words, text);
}

START_TEST(mistakes_are_said_in_one_line)
{
    char says[512];

    check_refused("tpmon --no-such", 2, "unknown option --no-such; ");
    check_refused("tpmon --replay", 2, "--replay needs a value");
    check_refused("tpmon --view memroy", 2, "\"memroy\" is no view: did you mean memory? use schedule");
    check_refused("tpmon --view sideways", 2, "--view: \"sideways\" is no view: use schedule");
    check_refused("tpmon --width 80", 2, "--width and --height go with --once");
    check_refused("tpmon --once --width 0", 2, "--width");
    check_refused("tpmon --once --width 1001", 2, "go up to 1000");
    check_refused("tpmon --at 3 --once", 2, "--at goes with --replay");
    check_refused("tpmon --at soon --replay ~/none.tprec", 2, "--at: \"soon\"");
    check_refused("tpmon --span 3 --once", 2, "--span goes with --svg, --pdf or --png");
    check_refused("tpmon one two", 2, "what is \"two\"?");
    check_refused("tpmon one --replay two --svg ~/a.svg", 2, "a picture is of one recording, not of \"one\"");
    check_refused("tpmon --list --once", 2, "--list goes alone");
    check_refused("tpmon", 1, "must be a terminal; --once prints");
    snprintf(says, sizeof(says), "there is no run no-such-run; start one with %s CONFIG\n", program.path);
    check_refused("tpmon --once no-such-run", 1, says);
    check_refused("tpmon --once --replay ~/none.tprec", 1, "none.tprec cannot be read: No such file");
    check_refused("tpmon --once --replay @", 1, "small.ini: this is not a recording of a tp run");
}
END_TEST

START_TEST(a_run_is_found_by_its_name_and_its_folder)
{
    pid_t run = watch(LONG_RUN);
    char words[256], pid[32];

    ck_assert_int_eq(program_run(&program, "tpmon --list"), 0);
    snprintf(pid, sizeof(pid), " %d running ", (int)run);
    ck_assert_msg(strstr(program_text(&program, "out"), pid) != NULL, "%s", program_text(&program, "out"));
    ck_assert_int_eq(program_run(&program, "tpmon --once ~/runs/watched"), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "watched"));
    snprintf(words, sizeof(words), "tpmon --once --width 132 --height 40 --view versions %s", moment.snapshot->name);
    ck_assert_int_eq(program_run(&program, words), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "watched"));
    ck_assert_int_eq(program_run(&program, "tpmon --once"), 0); /* the newest, whoever's test it is */
    kill(run, SIGINT);
    ck_assert_int_eq(program_finish(run), 3);
    look_until_ended();
    check_message("the run was interrupted");
}
END_TEST

START_TEST(a_run_whose_memory_is_cut_short_is_an_error_line)
{
    pid_t run = watch(LONG_RUN);
    int fd = shm_open(moment.snapshot->name, O_RDWR, 0);

    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    close(fd);
    look_until_ended();
    check_message("the run's shared memory was cut short");
    ck_assert_int_eq(program_finish(run), 1);
}
END_TEST

START_TEST(a_run_that_finishes_stays_to_be_seen)
{
    pid_t run = watch("@ --quiet --epochs 20 --set run.name=watched");

    look_until_ended();
    ck_assert_int_eq(program_finish(run), 0);
    check_message("the run has finished");
    source_look(source, &moment);
    ck_assert_int_eq(moment.snapshot->epochs_done, 20);
    ck_assert_int_gt(moment.history->stages[0].count, 100);
    ck_assert_int_gt(moment.curve->count, 0);
}
END_TEST

START_TEST(a_killed_stage_is_named)
{
    pid_t run = watch(LONG_RUN);
    char expected[128];
    int pid = moment.snapshot->stages[1].pid;

    ck_assert_int_gt(pid, 0);
    kill(pid, SIGKILL);
    look_until_ended();
    snprintf(expected, sizeof(expected), "the run has failed: stage 2 (pid %d) was killed by signal 9", pid);
    check_message(expected);
    ck_assert_int_eq(program_finish(run), 1);
}
END_TEST

START_TEST(a_killed_coordinator_is_missed)
{
    pid_t run = watch(LONG_RUN);
    char expected[128];
    int status;

    kill(run, SIGKILL);
    ck_assert_int_eq(waitpid(run, &status, 0), run);
    look_until_ended();
    snprintf(expected, sizeof(expected), "the coordinator (pid %d) is gone", (int)run);
    check_message(expected);
}
END_TEST

START_TEST(only_an_interactive_run_is_controlled)
{
    pid_t run = watch(LONG_RUN);

    for (const char *key = " .s<>"; *key; key++) {
        ck_assert(source_key(source, *key, 1));
        check_message("not started with --interactive");
    }
    ck_assert(!source_key(source, 'f', 1));
    ck_assert(!source_key(source, 'q', 1));
    for (int key = PRESS_UP; key <= PRESS_BACK_TAB; key++)
        ck_assert(!source_key(source, key, 1)); /* the views' */
    kill(run, SIGINT);
    ck_assert_int_eq(program_finish(run), 3);
}
END_TEST

static bool all_stand(void)
{
    for (int s = 0; s < 3; s++)
        if (moment.snapshot->stages[s].activity.kind != ACTIVITY_HELD &&
            moment.snapshot->stages[s].activity.kind != ACTIVITY_WAIT)
            return false;
    return true;
}

static uint64_t ops_done(void)
{
    uint64_t count = 0;

    for (int s = 0; s < 3; s++)
        count += moment.snapshot->stages[s].counters.ops;
    return count;
}

START_TEST(a_monitor_that_quits_lets_the_run_go_on)
{
    pid_t run = watch("@ --quiet --interactive --epochs 60 --set run.name=watched");
    uint64_t before;

    ck_assert(source_key(source, ' ', 1));
    check_message("the run is paused");
    do
        source_look(source, &moment);
    while (!all_stand());
    before = ops_done();
    ck_assert(source_key(source, 's', 1));
    do
        source_look(source, &moment);
    while (!strstr(moment.message, "one tick"));
    do
        source_look(source, &moment);
    while (ops_done() == before);
    ck_assert_uint_le(ops_done(), before + 3);
    source_close(source);
    source = NULL;
    ck_assert_int_eq(program_finish(run), 0);
}
END_TEST

/* No op is done before a monitor says so; then one of stage 1, since the others have nothing to compute with. */
START_TEST(a_run_that_begins_paused_shows_its_first_op)
{
    pid_t run = program_start(&program, "@ --quiet --interactive=paused --epochs 2 --set run.name=watched");
    char folder[128];
    struct error error;

    snprintf(folder, sizeof(folder), "%s/runs/watched", program.folder);
    WAIT_FOR(&program, source_attach(&source, folder, &error) == 0);
    do
        source_look(source, &moment);
    while (moment.snapshot->state != RUN_TRAINING || moment.snapshot->stages[0].activity.kind != ACTIVITY_HELD);
    ck_assert_uint_eq(ops_done(), 0);
    ck_assert(source_key(source, 's', 1));
    do
        source_look(source, &moment);
    while (moment.history->stages[0].count == 0);
    ck_assert_uint_eq(ops_done(), 1);
    ck_assert_int_eq(moment.history->stages[0].ops[0].minibatch, 1);
    source_close(source);
    source = NULL;
    ck_assert_int_eq(program_finish(run), 0);
}
END_TEST

/* Ops are stretched to eight times their length, which a monitor sees and may change; the bits are those of any run. */
START_TEST(a_run_that_begins_slow_is_slow_until_a_monitor_changes_that)
{
    ck_assert_int_eq(program_run(&program, "@ --quiet --set run.name=fast"), 0);
    pid_t run = program_start(&program, "@ --quiet --interactive=slow --set run.name=slow");
    char folder[128];
    struct error error;
    bool stretched = false;

    snprintf(folder, sizeof(folder), "%s/runs/slow", program.folder);
    WAIT_FOR(&program, source_attach(&source, folder, &error) == 0);
    do
        source_look(source, &moment);
    while (moment.history->stages[0].count < 3);
    for (int k = 0; k < 3; k++) {
        const struct op_record *op = &moment.history->stages[0].ops[k];

        stretched = stretched || op->held_ns > 4 * (op->end_ns - op->start_ns - op->held_ns);
    }
    ck_assert(stretched);
    for (int k = 0; k < 3; k++)
        source_key(source, '>', 1);
    source_close(source);
    source = NULL;
    ck_assert_int_eq(program_finish(run), 0);
    program_assert_same(&program, 3, 1, "fast", "slow");
}
END_TEST

static bool is_in_table(const struct stage_snapshot *stage, int version)
{
    for (int k = 0; k < stage->version_count; k++)
        if (stage->versions[k].version == version)
            return true;
    return false;
}

/* At each moment of a replay: the newest version is the one that the last update made, and what runs reads one of them. */
START_TEST(a_replayed_table_of_versions_follows_the_ops)
{
    static const char *const names[] = {"timeprest", "v-timeprest", "gpipe", "spectrain"};
    static struct snapshot snapshot;
    static struct history history;
    struct recording *recording;
    struct error error;
    struct curve curve;
    char path[128], words[256];
    int read = 0;

    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        snprintf(words, sizeof(words),
                 "@ --quiet --epochs 2 --record ~/run.tprec --set pipeline.order=static --set pipeline.system=%s%s",
                 names[k], strcmp(names[k], "spectrain") == 0 ? " --set pipeline.microbatches=1" : "");
        ck_assert_int_eq(program_run(&program, words), 0);
        snprintf(path, sizeof(path), "%s/run.tprec", program.folder);
        ck_assert_msg(recording_open(&recording, path, &error) == 0, "%s", error.text);
        const struct recording_facts facts = recording_facts(recording);
        uint64_t at = facts.begin_ns, before;
        do {
            recording_seek(recording, at, &snapshot, &history, &curve);
            for (int s = 0; s < snapshot.stage_count; s++) {
                const struct stage_history *done = &history.stages[s];
                const struct op_record *next = &recording_ops(recording, s + 1).ops[done->count];
                const struct stage_snapshot *stage = &snapshot.stages[s];

                if (done->count == 0 || done->ops[done->count - 1].phase != PHASE_TRAIN ||
                    stage->activity.phase != PHASE_TRAIN)
                    continue;
                ck_assert_int_eq(stage->versions[stage->version_count - 1].version, stage->version_live);
                if (stage->activity.kind != ACTIVITY_RUN || next->version_read < 0)
                    continue;
                ck_assert_msg(is_in_table(stage, next->version_read), "%s: stage %d reads v%d", names[k], s + 1,
                              next->version_read);
                read++;
            }
            before = at;
            at = recording_step(recording, at, true);
        } while (at != before);
        recording_close(recording);
    }
    ck_assert_int_gt(read, 100);
}
END_TEST

/* Makes a recording and plays it. */
static void replay_run(const char *words)
{
    char path[128];
    struct error error;

    ck_assert_int_eq(program_run(&program, words), 0);
    snprintf(path, sizeof(path), "%s/run.tprec", program.folder);
    ck_assert_msg(source_replay(&source, path, &error) == 0, "%s", error.text);
}

/* Where a replay goes, the last stage has just made that update. */
START_TEST(a_replay_goes_to_a_mini_batch)
{
    replay_run("@ --quiet --epochs 3 --record ~/run.tprec");
    source_look(source, &moment);
    for (int epoch = 1; epoch <= 3; epoch++)
        for (int i = 1; i <= moment.snapshot->plan->minibatches_per_epoch; i++) {
            source_go(source, epoch, i);
            source_look(source, &moment);
            const struct stage_history *last = &moment.history->stages[2];
            ck_assert_uint_eq(last->ops[last->count - 1].end_ns, moment.snapshot->now_ns);
            ck_assert_int_eq(last->ops[last->count - 1].epoch, epoch);
            ck_assert_int_eq(last->ops[last->count - 1].minibatch, i);
            ck_assert(last->ops[last->count - 1].updated);
        }
    ck_assert(source_key(source, '[', 1));
    source_look(source, &moment);
    ck_assert_int_eq(timeline_done(moment.history, 3), moment.snapshot->plan->minibatches_per_epoch - 1);
    ck_assert(source_key(source, '{', 1));
    source_look(source, &moment);
    ck_assert_int_eq(timeline_done(moment.history, 3), 1);
    ck_assert_int_eq(moment.history->stages[2].ops[moment.history->stages[2].count - 1].epoch, 2);
    source_go(source, 4, 1);
    source_look(source, &moment);
    check_message("the recording has no mini-batch 1 of epoch 4");
}
END_TEST

static const char *const holding[] = {"timeprest", "pipedream --set pipeline.microbatches=1", "zb-h1", "i-timeprest"};

/* A predicted run holds what is planned when it holds the most, and nothing but room for inputs ahead at its end. */
START_TEST(a_predicted_run_says_what_it_holds)
{
    struct recording *recording;
    struct snapshot snapshot;
    struct history history;
    struct curve curve;
    struct error error;
    char command[256], path[128];

    snprintf(command, sizeof(command),
             "plan @ --simulate --set pipeline.system=%s --set simulation.forward_ms=1 --set simulation.backward_ms=2 "
             "--set simulation.update_ms=0 --record ~/run.tprec",
             holding[_i]);
    ck_assert_int_eq(program_run(&program, command), 0);
    snprintf(path, sizeof(path), "%s/run.tprec", program.folder);
    ck_assert_msg(recording_open(&recording, path, &error) == 0, "%s", error.text);
    recording_seek(recording, recording_facts(recording).end_ns, &snapshot, &history, &curve);
    for (int s = 1; s <= snapshot.stage_count; s++) {
        const struct stage_counters *counters = &snapshot.stages[s - 1].counters;
        const struct plan_part *part = &snapshot.plan->parts[s - 1];

        ck_assert_int_eq(counters->versions_peak, part->weight_version_buffers);
        ck_assert_int_eq(counters->slots_peak, part->activation_sets);
        ck_assert_int_eq(counters->slots, 0);
        ck_assert_uint_eq(counters->memory[MEMORY_ACTIVATIONS], plan_ahead_bytes(snapshot.plan, s));
        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            ck_assert_uint_eq(counters->memory_peak[c], part->memory[c]);
    }
    recording_close(recording);
}
END_TEST

static const char *const calls[] = {
    "@ --quiet --epochs 2 --record ~/run.tprec --trace ~/trace.json",
    "plan @ --simulate --set simulation.forward_ms=1,2,1 --set simulation.backward_ms=3 "
    "--set simulation.update_ms=0.5 --record ~/run.tprec --trace ~/trace.json"};

/* Against the trace of the same run, or prediction, op for op. */
START_TEST(a_recording_has_the_ops_of_the_trace)
{
    struct recording *recording;
    struct error error;
    char path[128];
    int next[4] = {0}, ops = 0;

    ck_assert_int_eq(program_run(&program, calls[_i]), 0);
    snprintf(path, sizeof(path), "%s/run.tprec", program.folder);
    ck_assert_msg(recording_open(&recording, path, &error) == 0, "%s", error.text);
    ck_assert(!recording_facts(recording).cut);
    json_t *trace = program_json(&program, "trace.json"), *event;
    size_t i;
    json_array_foreach(trace, i, event)
    {
        const char *category = json_string_value(json_object_get(event, "cat"));
        int stage = (int)json_integer_value(json_object_get(event, "tid"));

        if (!category || strcmp(category, "update") == 0 || strcmp(category, "wait") == 0 ||
            strcmp(category, "message") == 0 || strcmp(category, "planned") == 0)
            continue;
        struct stage_history history = recording_ops(recording, stage);
        ck_assert_int_lt(next[stage], history.count);
        const struct op_record *op = &history.ops[next[stage]++];
        double duration = json_number_value(json_object_get(event, "dur"));
        ck_assert_int_eq((int)llround(1e3 * duration), (int)(op->end_ns - op->start_ns));
        const json_t *minibatch = json_object_get(json_object_get(event, "args"), "minibatch");
        if (minibatch)
            ck_assert_int_eq(json_integer_value(minibatch), op->minibatch);
        else /* a prediction's, whose times are its own */
            ck_assert_int_eq(llround(1e3 * json_number_value(json_object_get(event, "ts"))),
                             op->start_ns - recording_facts(recording).begin_ns);
        ops++;
    }
    ck_assert_int_gt(ops, 40);
    for (int s = 1; s <= 3; s++)
        ck_assert_int_eq(next[s], recording_ops(recording, s).count);
    json_decref(trace);
    recording_close(recording);
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/run.tprec"), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "run.tprec"));
    /* Beside itself it is in the same place, and looks the same; below both are the keys. */
    ck_assert_int_eq(program_run(&program, "tpmon --once --height 39 --at 0.01 --replay ~/run.tprec ~/run.tprec"), 0);
    const char *both = program_text(&program, "out"), *below = both;
    for (int row = 0; row < 19; row++)
        below = strchr(below, '\n') + 1;
    for (int row = 0; row < 19; row++) {
        const size_t length = strcspn(both, "\n");
        ck_assert_msg(strncmp(both, below, length + 1) == 0, "%.*s\n%.*s", (int)length, both, (int)length, below);
        both += length + 1;
        below += length + 1;
    }
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/run.tprec ~/none.tprec"), 1);
}
END_TEST

START_TEST(a_run_records_itself_into_its_folder)
{
    ck_assert_int_eq(program_run(&program, "@ --quiet --set run.record=yes --set run.name=watched"), 0);
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/runs/watched"), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "recording.tprec"));
}
END_TEST

START_TEST(a_replay_goes_wherever_keys_say)
{
    replay_run("@ --quiet --record ~/run.tprec");
    source_key(source, 'G', 1);
    source_look(source, &moment);
    ck_assert_int_eq(moment.kind, MOMENT_REPLAY);
    ck_assert_uint_eq(moment.snapshot->now_ns, moment.end_ns);
    check_message("the run had finished here");
    int last = moment.history->stages[2].count;
    /* Stage 1 ends the run: the first steps back are its evaluation's or others', until stage 3's are gone as well. */
    while (moment.history->stages[2].count == last) {
        ck_assert(source_key(source, ',', 1));
        source_look(source, &moment);
        ck_assert(moment.speed == 0.0);
    }
    ck_assert_int_eq(moment.history->stages[2].count, last - 1);
    source_key(source, '.', 1);
    source_look(source, &moment);
    ck_assert_int_eq(moment.history->stages[2].count, last);
    source_key(source, 'g', 1);
    source_look(source, &moment);
    ck_assert_uint_eq(moment.snapshot->now_ns, moment.begin_ns);
    /* A recorder that was late finds a few. */
    const struct stage_history *first = &moment.history->stages[0];
    ck_assert(first->count == 0 || first->ops[first->count - 1].end_ns <= moment.begin_ns);
    /* To its end at double speed, and back. */
    source_key(source, '>', 1);
    source_key(source, ' ', 1);
    source_look(source, &moment);
    ck_assert(moment.speed == 2.0);
    while (moment.speed != 0.0)
        source_look(source, &moment);
    ck_assert_uint_eq(moment.snapshot->now_ns, moment.end_ns);
    source_key(source, 'r', 1);
    source_look(source, &moment);
    ck_assert(moment.speed == -2.0);
    while (moment.speed != 0.0)
        source_look(source, &moment);
    ck_assert_uint_eq(moment.snapshot->now_ns, moment.begin_ns);
}
END_TEST

START_TEST(a_frozen_moment_stays)
{
    pid_t run = watch(LONG_RUN);
    struct moment *kept = moment_copy(&moment);
    uint64_t now_ns = moment.snapshot->now_ns;
    int count = moment.history->stages[0].count;

    ck_assert_ptr_nonnull(kept);
    struct op_record newest = moment.history->stages[0].ops[count - 1];
    do
        source_look(source, &moment);
    while (moment.history->stages[0].count == count);
    kill(run, SIGINT);
    ck_assert_int_eq(program_finish(run), 3);
    ck_assert_uint_eq(kept->snapshot->now_ns, now_ns);
    ck_assert_int_eq(kept->history->stages[0].count, count);
    ck_assert_mem_eq(&kept->history->stages[0].ops[count - 1], &newest, sizeof(newest));
    free(kept);
}
END_TEST

/* Something else has a run's name. */
START_TEST(a_foreign_segment_is_one_line)
{
    char name[64], words[128];

    snprintf(name, sizeof(name), "/tp-%u-%d-foreign", getuid(), (int)getpid());
    int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq((int)write(file, "hello", 5), 5);
    close(file);
    snprintf(words, sizeof(words), "tpmon --once %s", name);
    check_refused(words, 1, "this shared memory is not a tp run");
    int listed = program_run(&program, "tpmon --list");
    shm_unlink(name);
    ck_assert_int_eq(listed, 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "this shared memory is not a tp run"));
}
END_TEST

static bool err_has(const char *text)
{
    return strstr(program_text(&program, "err"), text) != NULL;
}

/* Another monitor, which pauses the run and then only lives. */
static pid_t start_pausing(const char *folder)
{
    struct error error;
    pid_t child = fork();

    if (child == 0) {
        struct source *own = NULL;
        struct moment now;

        if (source_attach(&own, folder, &error))
            _exit(1);
        source_look(own, &now);
        source_key(own, ' ', 1);
        for (;;)
            pause();
    }
    ck_assert_int_gt(child, 0);
    return child;
}

START_TEST(a_pause_ends_with_the_monitor_that_is_killed)
{
    pid_t run = watch("@ --interactive --epochs 1000 --set run.name=watched");
    char folder[128];

    snprintf(folder, sizeof(folder), "%s/runs/watched", program.folder);
    pid_t monitor = start_pausing(folder);
    do
        source_look(source, &moment);
    while (!all_stand());
    while (!strstr(program_text(&program, "out"), "%  paused  "))
        ck_assert_int_eq(waitpid(run, NULL, WNOHANG), 0);
    ck_assert(!err_has("has ended"));
    uint64_t before = ops_done();
    kill(monitor, SIGKILL);
    ck_assert_int_eq(waitpid(monitor, NULL, 0), monitor);
    do
        source_look(source, &moment);
    while (ops_done() < before + 100);
    while (!err_has("tpcoord: the monitor that had paused or slowed the run has ended; the run goes on\n"))
        ck_assert_int_eq(waitpid(run, NULL, WNOHANG), 0);
    kill(run, SIGINT);
    ck_assert_int_eq(program_finish(run), 3);
}
END_TEST

START_TEST(what_cannot_be_written_is_said)
{
    static const char *const words[] = {"--once --width 200 --height 60 --replay", "--once --replay", "--list",
                                        "--help", "--version"};
    char command[512];

    ck_assert_int_eq(program_run(&program, "@ --quiet --record ~/run.tprec"), 0);
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        snprintf(command, sizeof(command), "%s %s %s/run.tprec >/dev/full 2>%s/err", program.monitor, words[k],
                 k < 2 ? program.folder : "", program.folder);
        if (k >= 2)
            snprintf(command, sizeof(command), "%s %s >/dev/full 2>%s/err", program.monitor, words[k], program.folder);
        int status = system(command);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: %x", words[k], (unsigned)status);
        ck_assert_str_eq(program_text(&program, "err"), "tpmon: standard output cannot be written\n");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("monitor");
    TCase *tcase = tcase_create("monitor");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, mistakes_are_said_in_one_line);
    tcase_add_test(tcase, a_run_is_found_by_its_name_and_its_folder);
    tcase_add_test(tcase, a_run_whose_memory_is_cut_short_is_an_error_line);
    tcase_add_test(tcase, a_run_that_finishes_stays_to_be_seen);
    tcase_add_test(tcase, a_killed_stage_is_named);
    tcase_add_test(tcase, a_killed_coordinator_is_missed);
    tcase_add_test(tcase, only_an_interactive_run_is_controlled);
    tcase_add_test(tcase, a_run_that_begins_paused_shows_its_first_op);
    tcase_add_test(tcase, a_run_that_begins_slow_is_slow_until_a_monitor_changes_that);
    tcase_add_test(tcase, a_monitor_that_quits_lets_the_run_go_on);
    tcase_add_test(tcase, a_replay_goes_to_a_mini_batch);
    tcase_add_test(tcase, a_replayed_table_of_versions_follows_the_ops);
    tcase_add_loop_test(tcase, a_recording_has_the_ops_of_the_trace, 0, COUNT(calls));
    tcase_add_loop_test(tcase, a_predicted_run_says_what_it_holds, 0, COUNT(holding));
    tcase_add_test(tcase, a_run_records_itself_into_its_folder);
    tcase_add_test(tcase, a_replay_goes_wherever_keys_say);
    tcase_add_test(tcase, a_frozen_moment_stays);
    tcase_add_test(tcase, a_foreign_segment_is_one_line);
    tcase_add_test(tcase, a_pause_ends_with_the_monitor_that_is_killed);
    tcase_add_test(tcase, what_cannot_be_written_is_said);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
