/* The loop that runs a stage: ask the schedule what is next, wait on the doorbell until it can run, run it, record it.
 * Warm-up, steady state, drain and evaluation are all this loop; only the schedule differs. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "stages/internal.h"

/* Every wait ends by itself after this long, to look at the abort flag again. */
enum { WAIT_BOUND_MS = 100 };

/* And so often while the controls hold the stage, as they ring no doorbell. */
enum { HELD_BOUND_MS = 10 };

static int microbatches_arrived(const struct ring_end *end, uint64_t before, int per_message, int total)
{
    uint64_t arrived = (ring_published(end) - before) * (uint64_t)per_message;

    return arrived < (uint64_t)total ? (int)arrived : total;
}

static int room(const struct stage *stage, const struct ring_end *end)
{
    if (!end->ring)
        return INT_MAX;
    return (int)(ring_room(end) - stage->slots_before) * schedule_slot_size(&stage->phase.schedule);
}

static void refresh_progress(struct stage *stage)
{
    const struct schedule *schedule = &stage->phase.schedule;
    struct progress *progress = &stage->phase.progress;
    int total = schedule->minibatches * schedule->microbatches;

    progress->activations_arrived =
        stage_is_first(stage) ? total
                              : microbatches_arrived(&stage->down_in, stage->phase.activations_before, 1, total);
    if (!stage_is_last(stage) && !schedule->forward_only)
        progress->gradients_arrived =
            microbatches_arrived(&stage->up_in, stage->phase.gradients_before,
                                 schedule->order.whole_backward ? schedule->microbatches : 1, total);
    progress->forward_room = room(stage, &stage->down_out);
    progress->backward_room = room(stage, &stage->up_out);
}

/* A stop request shortens the phase: stage 1 says after which mini-batch, everybody ends there. */
static void obey_stop(struct stage *stage)
{
    struct phase_run *phase = &stage->phase;
    int microbatches = phase->schedule.microbatches;
    int admitted = (phase->progress.forwards + microbatches - 1) / microbatches;
    uint64_t stopped_at = atomic_load_explicit(&stage->header->stopped_at, memory_order_acquire);

    /* A phase that was admitted to its end is not shortened, as later stages may have left it already: the request then
     * falls on the next phase. */
    if (stage_is_first(stage) && stopped_at == UINT64_MAX && admitted < phase->schedule.minibatches &&
        atomic_load(&stage->header->stop)) {
        stopped_at = stop_point(phase->epoch, phase->kind, admitted);
        atomic_store_explicit(&stage->header->stopped_at, stopped_at, memory_order_release);
        segment_ring_all(stage->segment);
    }
    if (stopped_at >> 32 == stop_point(phase->epoch, phase->kind, 0) >> 32) {
        phase->schedule.minibatches = (int)(uint32_t)stopped_at;
        if (phase->tracker)
            versions_stop(phase->tracker, phase->schedule.minibatches);
    }
}

static struct next next_static(struct stage *stage)
{
    struct phase_run *phase = &stage->phase;
    const struct stage_order *order = &stage->simulation->stages[stage->index - 1];

    while (phase->next_op < order->op_count && order->ops[phase->next_op].minibatch > phase->schedule.minibatches)
        phase->next_op++;
    if (phase->next_op == order->op_count)
        return (struct next){.kind = NEXT_DONE};
    return schedule_can_run(&phase->schedule, stage->index, &phase->progress, &order->ops[phase->next_op]);
}

static struct next next_op(struct stage *stage)
{
    obey_stop(stage);
    refresh_progress(stage);
    if (stage->simulation && stage->phase.kind == PHASE_TRAIN)
        return next_static(stage);
    return schedule_next(&stage->phase.schedule, stage->index, &stage->phase.progress);
}

void executor_sleep(struct stage *stage, int milliseconds)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)milliseconds * 1000000u;
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u), .tv_nsec = (long)(deadline % 1000000000u)};

    while (sem_clockwait(&stage->block->doorbell, CLOCK_MONOTONIC, &until) && errno == EINTR)
        ;
}

static int check_abort(const struct stage *stage, struct error *error)
{
    return atomic_load(&stage->header->abort) ? error_set(error, "the run was aborted") : 0;
}

static int wait_for_doorbell(struct stage *stage, const struct next *next, struct error *error)
{
    uint64_t start = clock_now_ns();

    telemetry_activity(stage, ACTIVITY_WAIT, next->cause, &next->op);
    executor_sleep(stage, WAIT_BOUND_MS);
    telemetry_waited(stage, next->cause, clock_now_ns() - start);
    return check_abort(stage, error);
}

static int wait_while_held(struct stage *stage, const struct op *op, struct error *error)
{
    uint64_t start = clock_now_ns();

    telemetry_activity(stage, ACTIVITY_HELD, WAIT_NONE, op);
    executor_sleep(stage, HELD_BOUND_MS);
    telemetry_held(stage, clock_now_ns() - start);
    return check_abort(stage, error);
}

static int run_op(struct stage *stage, const struct op *op, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    struct op_record record = {
        .start_ns = clock_now_ns(),
        .epoch = phase->epoch,
        .minibatch = op->minibatch,
        .first = (int16_t)op->first,
        .count = (int16_t)op->count,
        .kind = (uint8_t)op->kind,
        .phase = (uint8_t)phase->kind,
    };

    if (phase->start_ns == 0)
        phase->start_ns = record.start_ns;
    telemetry_activity(stage, ACTIVITY_RUN, WAIT_NONE, op);
    record.held_ns = hold_stretch(stage, op);
    if (passes_run(stage, op, &record, error))
        return error_prefix(error, "mini-batch %d of epoch %d", op->minibatch, phase->epoch);
    record.end_ns = clock_now_ns();
    telemetry_op(stage, &record);
    phase->next_op++;
    return check_abort(stage, error);
}

static int begin_phase(struct stage *stage, enum phase kind, int epoch, struct error *error)
{
    struct phase_run *phase = &stage->phase;

    *phase = (struct phase_run){
        .kind = kind,
        .epoch = epoch,
        .schedule = kind == PHASE_TRAIN ? plan_training(stage->plan) : plan_evaluation(stage->plan),
        .first_version = atomic_load(&stage->block->applied),
        .activations_before = stage->down_in.messages,
        .gradients_before = stage->up_in.messages,
    };
    batches_begin(stage->batches, kind, epoch);
    telemetry_phase(stage);
    if (kind == PHASE_TRAIN) {
        phase->tracker = versions_create(&phase->schedule, stage->index, phase->first_version);
        if (!phase->tracker)
            return error_set(error, "out of memory");
    }
    return 0;
}

static int step(struct stage *stage, const struct next *next, struct error *error)
{
    if (next->kind == NEXT_WAIT)
        return wait_for_doorbell(stage, next, error);
    return hold_wanted(stage) ? wait_while_held(stage, &next->op, error) : run_op(stage, &next->op, error);
}

int executor_run_phase(struct stage *stage, enum phase kind, int epoch, struct error *error)
{
    struct next next;
    int failed = 0;

    if (begin_phase(stage, kind, epoch, error))
        return -1;
    while (!failed && (next = next_op(stage)).kind != NEXT_DONE)
        failed = step(stage, &next, error);
    if (failed)
        divergence_locate(stage);
    versions_destroy(stage->phase.tracker);
    stage->phase.tracker = NULL;
    telemetry_activity(stage, ACTIVITY_NONE, WAIT_NONE, NULL);
    if (failed)
        return -1;
    stage->slots_before += (uint64_t)(stage->phase.schedule.minibatches * stage->phase.schedule.microbatches /
                                      schedule_slot_size(&stage->phase.schedule));
    return 0;
}
