/* A run from its stages' start to their end. */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "coordinator/run_internal.h"
#include "telemetry/controls.h"

/* How often it looks around of itself: seldom, as stages wake it when it has to do something; more often for a
 * trace or a recording, which should lack no op. */
enum { LOOK_MS = 200, LOOK_KEEPING_MS = 20 };

static void stop(struct run *run)
{
    int32_t none = 0;

    run->stopping = true;
    if (!run->going) {
        run->outcome.state = RUN_INTERRUPTED;
        run_abort(run);
        return;
    }
    progress_clear(&run->progress);
    fprintf(stderr, "tpcoord: stopping after the mini-batches in flight; once more to end at once\n");
    /* It may be the mpirun that has started this process and now ends the job: it kills all a moment later. */
    if (run->request->joins)
        segment_unlink(run->segment.name);
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
        run_fail(run, "ended at once, as asked; the mini-batches in flight are lost");
        run_abort(run);
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

static uint64_t launcher_end(const struct run *run)
{
    return run->dismissed ? run->kill_at_ns + LAUNCHER_GRACE_SECONDS * 1000000000ull : UINT64_MAX;
}

static bool all_ready(const struct run *run)
{
    for (int s = 1; s <= run->processes.count; s++)
        if (atomic_load(&segment_stage(&run->segment, s)->state) != STAGE_READY)
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

void supervise(struct run *run)
{
    const bool keeping = run->request->trace || run->request->steps || run->keep.recorder;
    struct pollfd signals = {.fd = run->request->signals->descriptor, .events = POLLIN};

    watchdog_begin(&run->watchdog, run->request->plan->config.run.stall_seconds, clock_now_ns());
    while (run->processes.running > 0) {
        poll(&signals, 1, keeping ? LOOK_KEEPING_MS : LOOK_MS);
        read_signals(run);
        obey_stage(run);
        judge_machines(run);
        judge_stages(run);
        follow_launcher(run);
        launch_hurry(&run->launch, launcher_end(run));
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
        judge_stall(run);
        record(run);
    }
    /* Whatever the stages' states say: nobody is left who would remove the name. */
    run_dismiss(run);
    launch_await(&run->launch, launcher_end(run));
    launch_release(&run->launch);
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
