/* The loop that runs a stage: ask the schedule what is next, wait on the doorbell until it can run, run it, record it.
 * Warm-up, steady state, drain and evaluation are all this loop; only the schedule differs. */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "stages/internal.h"

/* Every wait ends by itself after this long, to look at the abort flag again. */
enum { WAIT_BOUND_US = 100000 };

/* And so often while the controls hold the stage, as they ring no doorbell. */
enum { HELD_BOUND_US = 10000 };

static int microbatches_arrived(const struct ring_end *end, uint64_t before, int per_message, int total)
{
    uint64_t arrived = (ring_published(end) - before) * (uint64_t)per_message;

    return arrived < (uint64_t)total ? (int)arrived : total;
}

static int room(const struct stage *stage, const struct ring_end *end)
{
    if (!end->ring)
        return INT_MAX;
    const int size = schedule_slot_size(&stage->phase.schedule);
    const int64_t slots = (int64_t)(ring_room(end) - stage->slots_before);

    /* The neighbour's word for it, which may be any number. */
    return slots < 0 ? 0 : slots > INT_MAX / size ? INT_MAX : (int)slots * size;
}

static void refresh_progress(struct stage *stage)
{
    const struct schedule *schedule = &stage->phase.schedule;
    struct progress *progress = &stage->phase.progress;
    int total = schedule->minibatches * schedule->microbatches;

    progress->activations_arrived =
        stage_is_first(stage)
            ? total
            : microbatches_arrived(&stage->links.down_in.ring, stage->phase.activations_before, 1, total);
    if (!stage_is_last(stage) && !schedule->forward_only)
        progress->gradients_arrived =
            microbatches_arrived(&stage->links.up_in.ring, stage->phase.gradients_before,
                                 schedule->order.whole_backward ? schedule->microbatches : 1, total);
    progress->forward_room = room(stage, &stage->links.down_out.ring);
    progress->backward_room = room(stage, &stage->links.up_out.ring);
}

/* A stop request shortens the phase: stage 1 says after which mini-batch, everybody ends there. */
static void obey_stop(struct stage *stage)
{
    struct phase_run *phase = &stage->phase;
    int microbatches = phase->schedule.microbatches;
    int admitted = max_int(phase->replayed, (phase->progress.forwards + microbatches - 1) / microbatches);
    uint64_t stopped_at = atomic_load_explicit(&stage->board->stopped_at, memory_order_acquire);

    if (stage_is_first(stage))
        save_decide(stage, admitted);
    /* A phase that was admitted to its end is not shortened, as later stages may have left it already: the request then
     * falls on the next phase. */
    if (stage_is_first(stage) && stopped_at == UINT64_MAX && admitted < phase->schedule.minibatches &&
        atomic_load(&stage->board->stop)) {
        stopped_at = stop_point(phase->epoch, phase->kind, admitted);
        atomic_store_explicit(&stage->board->stopped_at, stopped_at, memory_order_release);
        segment_ring_all(stage->segment);
    }
    const uint32_t last = (uint32_t)stopped_at;
    /* What this stage has begun it ends: a place before that is not stage 1's word. */
    if (stopped_at >> 32 == stop_point(phase->epoch, phase->kind, 0) >> 32 &&
        last < (uint32_t)phase->schedule.minibatches && last >= (uint32_t)admitted) {
        if (phase->kind == PHASE_TRAIN)
            save_stopped(stage, (int)last);
        phase->schedule.minibatches = (int)last;
        if (phase->tracker)
            versions_stop(phase->tracker, phase->schedule.minibatches);
    }
}

static struct stage *part_of(const struct hosted *hosted, int part)
{
    for (int i = 0; i < hosted->count; i++)
        if (hosted->parts[i]->index == part)
            return hosted->parts[i];
    return NULL;
}

/* Passes over the ops that a stop has cut off, and those that were run before the checkpoint. Returns the part whose turn
 * it is, NULL at the list's end or, with *failed, after a failure. */
static struct stage *pass_over(struct hosted *hosted, struct op *op, bool *failed, struct error *error)
{
    const struct phase_run *phase = &hosted->parts[0]->phase;

    for (; hosted->next_op < simulation_op_count(phase->simulation, hosted->stage); hosted->next_op++) {
        *op = simulation_op(phase->simulation, hosted->stage, hosted->next_op).op;
        struct stage *part = part_of(hosted, op->part);

        if (op->minibatch > part->phase.replayed && op->minibatch <= part->phase.schedule.minibatches)
            return part;
        if (op->minibatch <= part->phase.replayed && passes_replay(part, op, error)) {
            *failed = true;
            return NULL;
        }
    }
    return NULL;
}

/* The next op of the list, and its part. */
static int next_of_list(struct hosted *hosted, struct stage **turn, struct next *next, struct error *error)
{
    bool failed = false;
    struct op op;
    struct stage *part = pass_over(hosted, &op, &failed, error);

    if (failed)
        return -1;
    *next = (struct next){.kind = NEXT_DONE};
    if (!part)
        return 0;
    *turn = part;
    refresh_progress(part);
    *next = schedule_can_run(&part->phase.schedule, part->index, &part->phase.progress, &op);
    return 0;
}

/* What the parts could run, the one nearest to the loss first: it makes room for the others. */
static void ask_parts(const struct hosted *hosted, struct stage **turn, struct next *next)
{
    *next = (struct next){.kind = NEXT_DONE};
    for (int i = hosted->count - 1; i >= 0 && next->kind != NEXT_RUN; i--) {
        struct stage *part = hosted->parts[i];

        refresh_progress(part);
        const struct next of_part = schedule_next(&part->phase.schedule, part->index, &part->phase.progress);
        if (of_part.kind == NEXT_RUN || next->kind == NEXT_DONE) {
            *next = of_part;
            *turn = part;
        }
    }
}

static int next_op(struct hosted *hosted, struct stage **turn, struct next *next, struct error *error)
{
    doorbell_silence(hosted->parts[0]->doorbell, hosted->parts[0]->heard);
    for (int i = 0; i < hosted->count; i++) {
        obey_stop(hosted->parts[i]);
        save_look(hosted->parts[i]);
    }
    *turn = hosted->parts[0];
    if (hosted->parts[0]->phase.simulation)
        return next_of_list(hosted, turn, next, error);
    ask_parts(hosted, turn, next);
    return 0;
}

void executor_sleep(struct stage *stage, int microseconds)
{
    doorbell_wait(stage->doorbell, stage->heard, clock_now_ns() + (uint64_t)microseconds * 1000u);
}

int executor_check_abort(const struct stage *stage, struct error *error)
{
    return segment_check_run(stage->segment, error);
}

static int wait_for_doorbell(struct stage *stage, const struct next *next, struct error *error)
{
    uint64_t start = clock_now_ns();

    if (stage->pending_count > 0) {
        telemetry_activity(stage, ACTIVITY_RUN, WAIT_NONE, &stage->pending[0].op);
        return pending_moment(stage, error);
    }
    telemetry_activity(stage, ACTIVITY_WAIT, next->cause, &next->op);
    executor_sleep(stage, WAIT_BOUND_US);
    if (on_host(stage))
        telemetry_waited(stage, next->cause, clock_now_ns() - start);
    else
        stage->wait_cause = next->cause; /* a GPU's waits are counted by its own clock */
    return executor_check_abort(stage, error);
}

static int wait_while_held(struct stage *stage, const struct op *op, struct error *error)
{
    uint64_t start = clock_now_ns();

    telemetry_activity(stage, ACTIVITY_HELD, WAIT_NONE, op);
    executor_sleep(stage, HELD_BOUND_US);
    telemetry_held(stage, clock_now_ns() - start);
    return executor_check_abort(stage, error);
}

static int run_op(struct stage *stage, const struct op *op, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    struct pending_op pending = {
        .op = *op,
        .cause = stage->wait_cause,
        .record =
            {
                .epoch = phase->epoch,
                .minibatch = phase->skipped + op->minibatch,
                .first = (int16_t)op->first,
                .count = (int16_t)op->count,
                .kind = (uint8_t)op->kind,
                .phase = (uint8_t)phase->kind,
            },
    };

    if (phase->start_ns == 0)
        phase->start_ns = clock_now_ns();
    telemetry_activity(stage, ACTIVITY_RUN, WAIT_NONE, op);
    pending.record.held_ns = hold_stretch(stage, op);
    if (pending_make_room(stage, error) || passes_run(stage, &pending, error) ||
        stage->device->type->mark(stage->device, &pending.end, error))
        return pending_name_failure(stage, &pending, error);
    pending_add(stage, &pending);
    /* The controls count ops that are done. */
    if (stage->header->interactive && pending_await_all(stage, error))
        return -1;
    return executor_check_abort(stage, error);
}

/* The epoch that a checkpoint holds the begin of. What was run before it took slots and messages, as it were. */
static int continue_epoch(struct stage *stage, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    const struct start *start = &stage->header->start;
    const struct schedule *schedule = &phase->schedule;
    const uint64_t replayed = (uint64_t)start->replayed,
                   slots = (uint64_t)(schedule->microbatches / schedule_slot_size(schedule));

    phase->loss_sum = start->sums.loss;
    phase->samples = start->sums.samples;
    phase->top1 = start->sums.top1;
    phase->top5 = start->sums.top5;
    phase->skipped = start->filled_after;
    phase->schedule.minibatches -= start->filled_after;
    if (phase->simulation && start->filled_after > 0)
        phase->simulation = stage->remainder;
    phase->replayed = start->replayed;
    phase->first_version -= start->replayed;
    phase->activations_before -= replayed * (uint64_t)schedule->microbatches;
    phase->gradients_before -= replayed * slots;
    stage->slots_before -= replayed * slots;
    if (phase->replayed == 0)
        return 0;
    weights_renumber(stage->weights, phase->first_version);
    if (save_find_versions(stage, phase->replayed, &phase->restored))
        return error_set(error, "out of memory");
    return save_restore_version(stage, phase->first_version, weights_live(stage->weights), error);
}

static int begin_phase(struct stage *stage, enum phase kind, int epoch, struct error *error)
{
    struct phase_run *phase = &stage->phase;

    *phase = (struct phase_run){
        .kind = kind,
        .epoch = epoch,
        .schedule = kind == PHASE_TRAIN ? plan_training(stage->plan) : plan_evaluation(stage->plan),
        .simulation = kind == PHASE_TRAIN ? stage->simulation : NULL,
        .first_version = stage->applied,
        .activations_before = stage->links.down_in.ring.messages,
        .gradients_before = stage->links.up_in.ring.messages,
    };
    if (kind == PHASE_TRAIN && save_continues(stage, epoch) && continue_epoch(stage, error))
        return -1;
    if (stage->device->type->set_clock(stage->device, error))
        return -1;
    stage->last_end_ns = 0;
    save_begin(stage);
    batches_begin(stage->batches, kind, epoch, phase->skipped);
    telemetry_phase(stage);
    if (kind == PHASE_TRAIN) {
        phase->tracker = versions_create(&phase->schedule, stage->index, phase->first_version);
        if (!phase->tracker)
            return error_set(error, "out of memory");
    }
    return 0;
}

static int step(struct hosted *hosted, struct stage *part, const struct next *next, struct error *error)
{
    if (next->kind == NEXT_WAIT)
        return wait_for_doorbell(part, next, error);
    if (hold_wanted(part))
        return wait_while_held(part, &next->op, error);
    if (run_op(part, &next->op, error))
        return -1;
    hosted->next_op++;
    return 0;
}

/* Whoever looks at a stage sees what it does in the part that is on turn. */
static void leave_turn(const struct hosted *hosted, const struct stage *turn)
{
    for (int i = 0; i < hosted->count; i++)
        if (hosted->parts[i] != turn && hosted->parts[i]->pending_count == 0)
            telemetry_activity(hosted->parts[i], ACTIVITY_NONE, WAIT_NONE, NULL);
}

/* Ops until the phase is done. */
static int run_ops(struct hosted *hosted, struct error *error)
{
    for (;;) {
        struct stage *turn;
        struct next next;

        for (int i = 0; i < hosted->count; i++)
            if (pending_look(hosted->parts[i], error))
                return -1;
        if (next_op(hosted, &turn, &next, error))
            return -1;
        if (next.kind == NEXT_DONE)
            return 0;
        leave_turn(hosted, turn);
        if (step(hosted, turn, &next, error))
            return -1;
    }
}

static void end_phase(struct stage *stage, bool failed)
{
    if (failed)
        divergence_locate(stage);
    versions_destroy(stage->phase.tracker);
    stage->phase.tracker = NULL;
    telemetry_activity(stage, ACTIVITY_NONE, WAIT_NONE, NULL);
    if (!failed)
        stage->slots_before += (uint64_t)(stage->phase.schedule.minibatches * stage->phase.schedule.microbatches /
                                          schedule_slot_size(&stage->phase.schedule));
}

int executor_run_phase(struct hosted *hosted, enum phase kind, int epoch, struct error *error)
{
    int failed = 0;

    hosted->next_op = 0;
    for (int i = 0; i < hosted->count; i++)
        if (begin_phase(hosted->parts[i], kind, epoch, error))
            return -1;
    failed = run_ops(hosted, error);
    for (int i = 0; i < hosted->count && !failed; i++)
        failed = pending_await_all(hosted->parts[i], error);
    for (int i = 0; i < hosted->count; i++)
        end_phase(hosted->parts[i], failed != 0);
    return failed ? -1 : 0;
}
