#include "coordinator/run.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/shell.h"
#include "base/text.h"
#include "board/guard.h"
#include "coordinator/checkpoints.h"
#include "coordinator/keep.h"
#include "coordinator/launch.h"
#include "coordinator/process.h"
#include "coordinator/progress.h"
#include "coordinator/report.h"
#include "coordinator/room.h"
#include "coordinator/watchdog.h"
#include "telemetry/controls.h"
#include "telemetry/drain.h"
#include "telemetry/trace.h"
#include "transport/rings.h"

/* How often the supervisor looks around of itself: seldom, as stages wake it when it has to do something; more often
 * for a trace or a recording, which should lack no op. */
enum { LOOK_MS = 200, LOOK_KEEPING_MS = 20 };

/* What a stage that was told to end now may take before it is killed. */
enum { GRACE_SECONDS = 3 };

struct run {
    const struct run_request *request;
    struct segment segment;
    struct processes processes;
    struct launch launch; /* of the nodes on the plan's machines, if it has several */
    int interruptions;    /* of this run */
    bool asked;           /* for a checkpoint, which is not there yet */
    bool going;
    bool stopping;  /* after the mini-batches in flight */
    bool aborted;   /* everybody ends now */
    bool dismissed; /* the name is gone, and stages that are done need not stay */
    bool killed;
    uint64_t kill_at_ns;
    struct outcome outcome;
    struct drain drain;
    struct trace trace;
    struct snapshot *snapshot; /* for the trace's counters; NULL: there are none */
    struct steps steps;
    struct keep keep;
    struct progress_line progress;
    struct checkpoints checkpoints;
    struct watchdog watchdog;
    bool lost;        /* results that should be on a disk */
    bool may_restart; /* it failed by a stage's death or a stall: what another attempt may be spared */
};

/* There is nothing more to watch. Stages have stayed until now so that, had the coordinator been killed, somebody would
 * have removed the name. */
static void dismiss(struct run *run)
{
    if (run->dismissed)
        return;
    run->dismissed = true;
    run->kill_at_ns = clock_now_ns() + GRACE_SECONDS * 1000000000ull;
    segment_unlink(run->segment.name);
    atomic_store(&run->segment.board->dismissed, 1);
    segment_ring_all(&run->segment);
}

static void abort_stages(struct run *run)
{
    if (run->aborted)
        return;
    run->aborted = true;
    segment_abort(&run->segment);
    dismiss(run);
}

/* The first failure is the run's; what follows are its consequences. */
__attribute__((format(printf, 2, 3))) static void fail(struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->outcome.state == RUN_FAILED)
        return;
    run->outcome.state = RUN_FAILED;
    va_start(arguments, format);
    vsnprintf(run->outcome.error.text, sizeof(run->outcome.error.text), format, arguments);
    va_end(arguments);
    text_clean(run->outcome.error.text);
}

static void stop(struct run *run)
{
    int32_t none = 0;

    run->stopping = true;
    if (!run->going) {
        run->outcome.state = RUN_INTERRUPTED;
        abort_stages(run);
        return;
    }
    progress_clear(&run->progress);
    fprintf(stderr, "tpcoord: stopping after the mini-batches in flight; once more to end at once\n");
    atomic_compare_exchange_strong(&run->segment.board->stop, &none, -1);
    segment_ring_all(&run->segment);
}

/* First time: the mini-batches in flight are finished. Second time: at once. */
static void interrupt(struct run *run)
{
    if (run->aborted)
        return;
    run->interruptions++;
    if (run->interruptions > 1) {
        fail(run, "ended at once, as asked; the mini-batches in flight are lost");
        abort_stages(run);
    } else if (!run->stopping) {
        stop(run);
    }
}

/* While one is under way that will do. */
static void ask_checkpoint(struct run *run)
{
    run->request->signals->save = false;
    if (run->aborted || run->stopping || run->request->only_test)
        return;
    run->asked = true;
    progress_clear(&run->progress);
    fprintf(stderr, "tpcoord: a checkpoint follows when the mini-batches in flight are done; the run goes on\n");
    segment_ask_checkpoint(&run->segment);
}

static void say_checkpoint(struct run *run)
{
    if (!run->asked)
        return;
    run->asked = false;
    progress_clear(&run->progress);
    fprintf(stderr, "tpcoord: checkpoint %s is complete\n", run->checkpoints.passed);
}

/* A stage may have been asked to end, which only the run can: somebody's kill, or one that went to all of its group,
 * and is no second request to this process. */
static void obey_stage(struct run *run)
{
    const int stage = atomic_load(&run->segment.board->stop);

    if (stage <= 0 || run->stopping || run->aborted)
        return;
    progress_clear(&run->progress);
    if (stage <= run->processes.count)
        fprintf(stderr, "tpcoord: stage %d was asked to end\n", stage);
    stop(run);
}

static void read_signals(struct run *run)
{
    for (int come = signals_read(run->request->signals); come > 0; come--)
        interrupt(run);
    if (run->request->signals->save)
        ask_checkpoint(run);
}

static int state_of(const struct run *run, int stage)
{
    return atomic_load(&segment_stage(&run->segment, stage)->state);
}

/* " on b", where that is not the one machine. */
enum { HOST_TEXT_MAX = CONFIG_NAME_MAX + 8 };
static const char *on_host(const struct run *run, int stage, char text[HOST_TEXT_MAX])
{
    const struct plan *plan = run->request->plan;

    text[0] = '\0';
    if (plan->machine_count > 1)
        snprintf(text, HOST_TEXT_MAX, " on %s", plan->machines[plan_machine_of(plan, stage)].host);
    return text;
}

/* A stage that has done everything may be killed. */
static void judge_death(struct run *run, int stage, int status)
{
    const int state = state_of(run, stage);
    char death[DEATH_TEXT_MAX], host[HOST_TEXT_MAX];

    if (run->aborted || state == STAGE_FAILED || (state == STAGE_DONE && (status == 0 || WIFSIGNALED(status))))
        return;
    process_describe_death(&run->segment, stage, status, death);
    run->may_restart = true;
    fail(run, "stage %d%s (pid %d) %s", stage, on_host(run, stage, host), processes_pid(&run->processes, stage), death);
    process_add_cause(status, run->processes.kills, &run->outcome.error);
    abort_stages(run);
}

/* Dismisses the stages when all of them are done, or one has failed. */
static void judge_states(struct run *run)
{
    char host[HOST_TEXT_MAX];
    bool done = true;

    for (int s = 1; s <= run->processes.count; s++) {
        const int state = state_of(run, s);

        if (state == STAGE_FAILED && !run->aborted) {
            fail(run, "stage %d%s (pid %d): %.*s", s, on_host(run, s, host), processes_pid(&run->processes, s),
                 STAGE_ERROR_MAX - 1, segment_stage(&run->segment, s)->error);
            abort_stages(run);
        }
        done = done && state == STAGE_DONE;
    }
    if (done)
        dismiss(run);
}

static void reap(struct run *run)
{
    int stage, status;

    while ((stage = processes_reap(&run->processes, &status)) != 0)
        judge_death(run, stage, status);
    judge_states(run);
    if (run->dismissed && !run->killed && clock_now_ns() > run->kill_at_ns) {
        processes_kill(&run->processes);
        run->killed = true;
    }
}

/* The launcher has ended: for one of the nodes, if it has said so, or of itself. */
static void blame_launcher(struct run *run)
{
    const struct plan *plan = run->request->plan;
    const struct launch_death *death = &run->launch.death;
    const char *when = run->going ? "in the middle of the run" : "before all stages were ready";
    char how[PROCESS_TEXT_MAX];
    int m = 0;

    while (m < plan->machine_count && m != death->rank && strcmp(plan->machines[m].host, death->host) != 0)
        m++;
    process_describe_status(m < plan->machine_count ? death->status : run->launch.status, how);
    if (m == plan->machine_count)
        fail(run, "the launcher (pid %d) %s %s%s", (int)run->launch.pid, how, when,
             run->going ? ", and the nodes on all machines with it" : "");
    else if (death->status < 0)
        fail(run, "the launcher has lost the node on %s %s", plan->machines[m].host, when);
    else
        fail(run, "the node on %s (pid %d) %s %s", plan->machines[m].host,
             (int)atomic_load(&run->segment.board->machines[m].pid), how, when);
}

/* A machine's node has told why it cannot go on; or the launcher has ended, and all that it had started with it. */
static void judge_machines(struct run *run)
{
    const struct plan *plan = run->request->plan;

    if (run->launch.pid == 0)
        return;
    launch_look(&run->launch, clock_now_ns());
    for (int m = 0; m < plan->machine_count && !run->aborted; m++) {
        const struct machine_word *word = &run->segment.board->machines[m];

        /* Pairs with the node's release store: the text is there. */
        if (atomic_load(&word->state) != MACHINE_FAILED)
            continue;
        fail(run, "%.*s", (int)sizeof(word->error) - 1, word->error);
        run->may_restart = run->going;
        abort_stages(run);
    }
    if (!run->launch.ended)
        return;
    processes_lose(&run->processes);
    if (run->dismissed)
        return;
    progress_clear(&run->progress);
    launch_tell(&run->launch, stderr);
    blame_launcher(run);
    run->may_restart = run->going;
    abort_stages(run);
}

/* What it says while nothing is wrong; and nothing when all is over but what will be told better. */
static void follow_launcher(struct run *run)
{
    if (run->dismissed || !launch_has_said(&run->launch, clock_now_ns()))
        return;
    progress_clear(&run->progress);
    launch_tell(&run->launch, stderr);
}

/* When the run is over, or broken: nodes end by themselves, and the launcher with them. */
enum { LAUNCHER_GRACE_SECONDS = 2 };
static void hurry_launcher(struct run *run)
{
    const uint64_t now_ns = clock_now_ns(), end_ns = run->kill_at_ns + LAUNCHER_GRACE_SECONDS * 1000000000ull;

    if (!run->dismissed || now_ns < end_ns)
        return;
    launch_signal(&run->launch, now_ns < end_ns + LAUNCHER_GRACE_SECONDS * 1000000000ull ? SIGTERM : SIGKILL);
}

static void await_launcher(struct run *run)
{
    while (run->launch.pid > 0 && !run->launch.ended) {
        launch_look(&run->launch, clock_now_ns());
        hurry_launcher(run);
        poll(NULL, 0, LOOK_KEEPING_MS);
    }
    launch_release(&run->launch);
}

static bool all_ready(const struct run *run)
{
    for (int s = 1; s <= run->processes.count; s++)
        if (state_of(run, s) != STAGE_READY)
            return false;
    return true;
}

static void go(struct run *run)
{
    run->going = true;
    checkpoints_started(&run->checkpoints);
    run->outcome.start_ns = clock_now_ns();
    progress_begin(&run->progress, run->segment.header, run->request->quiet ? NULL : run->request->out,
                   run->request->standard, run->request->label);
    atomic_store(&run->segment.board->run_state, RUN_TRAINING);
    atomic_store(&run->segment.board->go, 1);
    segment_ring_all(&run->segment);
    if (run->request->paused && controls_are_awaited(segment_controls(&run->segment)))
        fprintf(stderr,
                "tpcoord: each stage is held before its first op; in tpmon s steps them all, space frees them\n");
}

static void follow(struct run *run)
{
    struct op_record record;

    const int parts = run->segment.header->block_count;

    for (int s = 1; s <= parts; s++) {
        while (drain_take(&run->drain, s, &record)) {
            if (run->request->trace)
                trace_op(&run->trace, s, &record);
            steps_op(&run->steps, s, &record);
            if (run->keep.recorder)
                recorder_op(run->keep.recorder, s, &record);
            if (s == parts)
                progress_op(&run->progress, &record);
        }
    }
    if (run->request->trace && run->snapshot) {
        snapshot_take(run->snapshot, &run->segment);
        trace_counters(&run->trace, run->snapshot);
    }
    steps_tests(&run->steps, &run->segment);
    progress_epochs(&run->progress, &run->segment);
}

static void record(struct run *run)
{
    struct error why;

    if (!keep_look(&run->keep, &why))
        return;
    progress_clear(&run->progress);
    fprintf(stderr, "tpcoord: %s\n", why.text);
}

static void follow_checkpoints(struct run *run)
{
    struct error error;
    int judged;

    while ((judged = checkpoints_follow(&run->checkpoints, &error)) != 0) {
        if (judged > 0) {
            say_checkpoint(run);
            continue;
        }
        run->asked = run->asked && segment_saves(&run->segment);
        progress_clear(&run->progress);
        fprintf(stderr, "tpcoord: %s without a checkpoint: %s\n", run->stopping ? "stopping" : "training goes on",
                error.text);
    }
}

/* The first of the other machines of which nothing was heard yet; NULL: there is none. */
static const char *awaited_host(const struct run *run)
{
    const struct plan *plan = run->request->plan;

    for (int m = 1; m < plan->machine_count; m++)
        if (atomic_load(&run->segment.board->machines[m].state) == MACHINE_AWAITED)
            return plan->machines[m].host;
    return NULL;
}

static void watch(struct run *run)
{
    const struct config *config = &run->request->plan->config;

    if (run->dismissed || !watchdog_barks(&run->watchdog, &run->segment, clock_now_ns()))
        return;
    progress_clear(&run->progress);
    fprintf(stderr, "tpcoord: no progress for %d s:\n", config->run.stall_seconds);
    watchdog_explain(stderr, &run->segment);
    if (config->run.on_stall == STALL_WARN)
        return;
    const char *awaited = run->going ? NULL : awaited_host(run);
    if (awaited)
        fail(run, "%s has not joined the run for run.stall_seconds = %d s", awaited, config->run.stall_seconds);
    else
        fail(run, "no progress for run.stall_seconds = %d s", config->run.stall_seconds);
    run->may_restart = true;
    abort_stages(run);
}

/* A monitor that is killed cannot resume the run that it has paused. A run that is asked to stop is held no longer. */
static void follow_controls(struct run *run)
{
    if (!run->request->interactive)
        return;
    if (controls_free(&run->segment)) {
        progress_clear(&run->progress);
        fprintf(stderr, "tpcoord: the monitor that had paused or slowed the run has ended; the run goes on\n");
    }
    progress_pause(&run->progress, !run->stopping && controls_are_paused(segment_controls(&run->segment)));
}

static void supervise(struct run *run)
{
    const bool keeping = run->request->trace || run->request->steps || run->keep.recorder;
    struct pollfd signals = {.fd = run->request->signals->descriptor, .events = POLLIN};

    watchdog_begin(&run->watchdog, run->request->plan->config.run.stall_seconds, clock_now_ns());
    while (run->processes.running > 0) {
        poll(&signals, 1, keeping ? LOOK_KEEPING_MS : LOOK_MS);
        read_signals(run);
        obey_stage(run);
        judge_machines(run);
        reap(run);
        follow_launcher(run);
        hurry_launcher(run);
        if (!run->going && !run->aborted && all_ready(run))
            go(run);
        if (run->going) {
            follow(run);
            if (!run->request->only_test) {
                follow_checkpoints(run);
                checkpoints_ask(&run->checkpoints, clock_now_ns());
            }
            follow_controls(run);
            run->progress.saving = segment_saves(&run->segment);
            progress_draw(&run->progress, clock_now_ns());
        }
        watch(run);
        record(run);
    }
    /* Whatever the stages' states say: nobody is left who would remove the name. */
    dismiss(run);
    await_launcher(run);
    run->outcome.end_ns = run->going ? clock_now_ns() : 0;
    if (run->going) {
        follow(run);
        if (!run->request->only_test)
            follow_checkpoints(run);
    }
    run->outcome.checkpoints_written = run->checkpoints.written;
    run->outcome.checkpoints_failed = run->checkpoints.failed;
    run->outcome.records_lost = run->drain.lost;
    progress_clear(&run->progress);
}

/* Adds to a failure the first layer in the order of the stages that was not finite. */
static void locate_divergence(struct run *run)
{
    char *text = run->outcome.error.text;
    const size_t size = sizeof(run->outcome.error.text);

    if (run->outcome.state != RUN_FAILED || !atomic_load(&run->segment.board->diverged))
        return;
    for (int s = 1; s <= run->segment.header->block_count; s++) {
        const char *place = segment_stage(&run->segment, s)->diverged;

        if (!place[0])
            continue;
        snprintf(text + strlen(text), size - strlen(text), "; the first numbers out of range are in %.95s (stage %d)",
                 place, plan_stage_of(&run->segment.header->plan, s));
        break;
    }
    snprintf(text + strlen(text), size - strlen(text), "; a lower train.lr may help");
}

/* A stop that came when everything was done already stopped nothing. */
static void judge_run(struct run *run)
{
    const struct segment *segment = &run->segment;
    const bool all_done = segment_epochs_done(segment) >= segment->header->plan.config.run.epochs;

    if (!segment_is_whole(segment))
        fail(run, "the run's shared memory was cut short by another process");
    locate_divergence(run);
    if (run->outcome.state == RUN_STARTING && !all_done && !atomic_load(&segment->board->stop))
        fail(run, "the results of epoch %d are not there, or impossible: another process wrote into the run's memory",
             segment_epochs_done(segment) + 1);
    if (run->outcome.state == RUN_STARTING)
        run->outcome.state = all_done ? RUN_FINISHED : RUN_INTERRUPTED;
    snprintf(segment->board->outcome, sizeof(segment->board->outcome), "%.*s", STAGE_ERROR_MAX - 1,
             run->outcome.state == RUN_FAILED ? run->outcome.error.text : "");
    /* Pairs with a monitor's acquire load: the outcome is there. */
    atomic_store(&segment->board->run_state, run->outcome.state);
}

static void start(struct run *run)
{
    struct error error;
    int failed = processes_start(&run->processes, &run->segment, &error);

    for (int part = 1; part <= run->segment.header->block_count; part++) {
        const int stage = plan_stage_of(&run->segment.header->plan, part);

        atomic_store(&segment_stage(&run->segment, part)->pid, (int32_t)run->processes.stage[stage - 1].pid);
    }
    if (failed || segment_publish(&run->segment, &error) ||
        (run->request->plan->machine_count > 1 &&
         launch_start(&run->launch, run->request->plan, run->request->launch, run->segment.name, &error))) {
        fail(run, "%s", error.text);
        /* Stages elsewhere were never started: nobody will tell that they have ended. */
        processes_lose(&run->processes);
        abort_stages(run);
    }
}

static void say_failed(const struct run_request *request, const struct error *error)
{
    fprintf(stderr, "tpcoord: %s%s%s\n", request->label ? request->label : "", request->label ? ": " : "", error->text);
}

/* What was trained is as good as ever. */
static void lose(struct run *run, const struct error *error)
{
    run->lost = true;
    say_failed(run->request, error);
}

/* A disk may be full: what it should hold comes after what can be said. */
static void write_results(struct run *run, json_t *json)
{
    const struct run_request *request = run->request;
    struct error error;

    if (request->trace)
        trace_planned(&run->trace);
    if (request->trace && (trace_end(&run->trace) | outlet_finish(request->trace, request->signals))) {
        error_set(&error, "the trace could not be written to its end");
        lose(run, &error);
    }
    if (report_add_json(json, &run->segment, &run->outcome)) {
        error_set(&error, "out of memory for the report");
        lose(run, &error);
    }
    if (request->only_test)
        return;
    if (run_folder_write(request->folder, "report.json", json, &error))
        lose(run, &error);
    else if (run->outcome.state != RUN_FAILED && !request->label)
        fprintf(request->out, "report: %s/report.json\n", request->folder->path);
}

static enum exit_status report(struct run *run, json_t *json)
{
    const struct run_request *request = run->request;

    if (run->outcome.state == RUN_FAILED)
        say_failed(request, &run->outcome.error);
    else if (!request->label) /* who runs several says what they did */
        (request->quiet ? report_print_essentials : report_print)(request->out, &run->segment, &run->outcome);
    fflush(request->out);
    write_results(run, json);
    if (run->outcome.state == RUN_FAILED || run->lost)
        return EXIT_FAILED;
    if (run->outcome.state == RUN_INTERRUPTED)
        return EXIT_INTERRUPTED;
    return run->outcome.checkpoints_failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

static void say_option(FILE *out, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(out, " --%s ", name);
    shell_word(out, value);
}

/* How to go on with a run that is not at its end. */
static void say_how_to_continue(const struct run *run)
{
    const struct run_request *request = run->request;

    if (run->outcome.state == RUN_FINISHED || !request->config || !run->checkpoints.newest[0])
        return;
    fputs("continue with: ", request->out);
    shell_word(request->out, request->program);
    fputc(' ', request->out);
    shell_word(request->out, request->config);
    for (int i = 0; i < request->override_count; i++) {
        fputs(" --set ", request->out);
        shell_word(request->out, request->overrides[i]);
    }
    say_option(request->out, "hosts", request->hosts);
    say_option(request->out, "launch", request->launch);
    fputs(" --resume=", request->out);
    shell_word(request->out, request->folder->path);
    fputc('\n', request->out);
}

static int attempt(struct run *run, struct checkpoint_set *from, struct error *error)
{
    const struct run_request *request = run->request;

    const bool writes = !request->only_test;

    if (room_check(request->plan, error) || (writes && run_folder_start(request->folder, request->config, error)) ||
        segment_create(&run->segment, request->plan, rings_bytes, writes ? request->folder->path : "", error))
        return -1;
    run->drain.segment = &run->segment;
    if (writes)
        checkpoints_begin(&run->checkpoints, &run->segment, request->folder, from);
    else
        checkpoints_begin_test(&run->segment, request->folder, from);
    if (request->trace && !run->trace.file)
        trace_begin(&run->trace, outlet_stream(request->trace), request->plan, run->segment.header->start_ns);
    if (request->trace && !run->snapshot)
        run->snapshot = malloc(sizeof(*run->snapshot));
    if (request->steps)
        steps_begin(&run->steps, outlet_stream(request->steps), request->steps_form, request->plan,
                    run->segment.header->start_ns);
    run->segment.header->interactive = request->interactive;
    if (request->paused && run->outcome.restarts == 0)
        controls_await(segment_controls(&run->segment));
    else if (request->slow && run->outcome.restarts == 0)
        controls_begin_slow(segment_controls(&run->segment));
    run->segment.header->data = request->data;
    segment_seal(&run->segment);
    if (run->outcome.restarts == 0 && keep_begin(&run->keep, request, &run->segment, error))
        fail(run, "%s", error->text);
    else
        start(run);
    supervise(run);
    judge_run(run);
    if (keep_end(&run->keep, request, error))
        lose(run, error);
    return 0;
}

/* Whether another attempt follows; then the run is as new, but for its trace. It begins with the newest checkpoint of
 * those that came before: as long as no stage has begun, that from which the run was to go on is not the folder's newest.
 * *from is NULL, or `set`. */
static bool begin_again(struct run *run, struct checkpoint_set *set, struct checkpoint_set **from)
{
    const struct run_request *request = run->request;
    const int restarts = run->outcome.restarts + 1, allowed = request->plan->config.run.restarts;
    const char *newest = run->checkpoints.newest;
    const struct trace trace = run->trace;
    struct snapshot *const snapshot = run->snapshot;
    const bool lost = run->lost;
    struct error error;

    if (!run->may_restart || restarts > allowed || run->stopping || request->signals->interruptions > 0)
        return false;
    say_failed(request, &run->outcome.error);
    *from = newest[0] && !set_open_newest(set, request->folder, newest, &error) ? set : NULL;
    fprintf(stderr, "tpcoord: starting again from %s (restart %d of %d)\n", *from ? set->name : "the beginning",
            restarts, allowed);
    checkpoints_end(&run->checkpoints);
    segment_close(&run->segment);
    *run = (struct run){.request = request,
                        .outcome = {.folder = request->folder->path, .restarts = restarts},
                        .trace = trace,
                        .snapshot = snapshot,
                        .lost = lost};
    return true;
}

enum exit_status run_execute(const struct run_request *request, json_t *json)
{
    struct run run = {.request = request, .outcome = {.folder = request->folder->path}};
    struct checkpoint_set *from = request->from, set = {.manifest = {.stage_count = 0}};
    enum exit_status status;
    struct error error;

    guard_install();
    do {
        if (attempt(&run, from, &error)) {
            say_failed(request, &error);
            free(run.snapshot);
            report_add_failure(json, &error);
            set_release(&set);
            return EXIT_FAILED;
        }
    } while (begin_again(&run, &set, &from));
    status = report(&run, json);
    free(run.snapshot);
    say_how_to_continue(&run);
    if (run.outcome.state == RUN_FINISHED && request->plan->config.checkpoints.keep == 0 && !request->only_test)
        sets_remove_all(request->folder);
    checkpoints_end(&run.checkpoints);
    segment_close(&run.segment);
    return status;
}
