/* What goes wrong in a run, and who is named for it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/text.h"
#include "coordinator/run_internal.h"

/* What a stage that was told to end now may take before it is killed. */
enum { GRACE_SECONDS = 3 };

void run_dismiss(struct run *run)
{
    if (run->dismissed)
        return;
    run->dismissed = true;
    run->kill_at_ns = clock_now_ns() + GRACE_SECONDS * 1000000000ull;
    segment_unlink(run->segment.name);
    atomic_store(&run->segment.board->dismissed, 1);
    segment_ring_all(&run->segment);
}

void run_abort(struct run *run)
{
    if (run->aborted)
        return;
    run->aborted = true;
    segment_abort(&run->segment);
    run_dismiss(run);
}

void run_fail(struct run *run, const char *format, ...)
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
    run_fail(run, "stage %d%s (pid %d) %s", stage, on_host(run, stage, host), processes_pid(&run->processes, stage),
             death);
    process_add_cause(status, run->processes.kills, &run->outcome.error);
    run_abort(run);
}

/* Dismisses the stages when all of them are done, or one has failed. */
static void judge_states(struct run *run)
{
    char host[HOST_TEXT_MAX];
    bool done = true;

    for (int s = 1; s <= run->processes.count; s++) {
        const int state = state_of(run, s);

        if (state == STAGE_FAILED && !run->aborted) {
            run_fail(run, "stage %d%s (pid %d): %.*s", s, on_host(run, s, host), processes_pid(&run->processes, s),
                     STAGE_ERROR_MAX - 1, segment_stage(&run->segment, s)->error);
            run_abort(run);
        }
        done = done && state == STAGE_DONE;
    }
    if (done)
        run_dismiss(run);
}

void judge_stages(struct run *run)
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
        run_fail(run, "the launcher (pid %d) %s %s%s", (int)run->launch.pid, how, when,
                 run->going ? ", and the nodes on all machines with it" : "");
    else if (death->status < 0)
        run_fail(run, "the launcher has lost the node on %s %s", plan->machines[m].host, when);
    else
        run_fail(run, "the node on %s (pid %d) %s %s", plan->machines[m].host,
                 (int)atomic_load(&run->segment.board->machines[m].pid), how, when);
}

void judge_machines(struct run *run)
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
        run_fail(run, "%.*s", (int)sizeof(word->error) - 1, word->error);
        run->may_restart = run->going;
        run_abort(run);
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
    run_abort(run);
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

void judge_stall(struct run *run)
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
        run_fail(run, "%s has not joined the run for run.stall_seconds = %d s", awaited, config->run.stall_seconds);
    else
        run_fail(run, "no progress for run.stall_seconds = %d s", config->run.stall_seconds);
    run->may_restart = true;
    run_abort(run);
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
void judge_run(struct run *run)
{
    const struct segment *segment = &run->segment;
    const bool all_done = segment_epochs_done(segment) >= segment->header->plan.config.run.epochs;

    if (!segment_is_whole(segment))
        run_fail(run, "the run's shared memory was cut short by another process");
    locate_divergence(run);
    if (run->outcome.state == RUN_STARTING && !all_done && !atomic_load(&segment->board->stop))
        run_fail(run,
                 "the results of epoch %d are not there, or impossible: another process wrote into the run's memory",
                 segment_epochs_done(segment) + 1);
    if (run->outcome.state == RUN_STARTING)
        run->outcome.state = all_done ? RUN_FINISHED : RUN_INTERRUPTED;
    snprintf(segment->board->outcome, sizeof(segment->board->outcome), "%.*s", STAGE_ERROR_MAX - 1,
             run->outcome.state == RUN_FAILED ? run->outcome.error.text : "");
    /* Pairs with a monitor's acquire load: the outcome is there. */
    atomic_store(&segment->board->run_state, run->outcome.state);
}
