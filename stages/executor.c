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

static int room(const struct part *part, const struct ring_end *end)
{
    if (!end->ring)
        return INT_MAX;
    const int size = schedule_slot_size(&part->phase.schedule);
    const int64_t slots = (int64_t)(ring_room(end) - part->slots_before);

    /* The neighbour's word for it, which may be any number. */
    return slots < 0 ? 0 : slots > INT_MAX / size ? INT_MAX : (int)slots * size;
}

static void refresh_progress(struct part *part)
{
    const struct schedule *schedule = &part->phase.schedule;
    struct progress *progress = &part->phase.progress;
    int total = schedule->minibatches * schedule->microbatches;

    progress->activations_arrived =
        part_is_first(part) ? min_int(batches_loaded(part->batches), total)
                            : microbatches_arrived(&part->ends.down_in.ring, part->phase.activations_before, 1, total);
    if (!part_is_last(part) && !schedule->forward_only)
        progress->gradients_arrived =
            microbatches_arrived(&part->ends.up_in.ring, part->phase.gradients_before,
                                 schedule->order.whole_backward ? schedule->microbatches : 1, total);
    progress->forward_room = room(part, &part->ends.down_out.ring);
    progress->backward_room = room(part, &part->ends.up_out.ring);
}

/* A stop request shortens the phase: part 1 says after which mini-batch, everybody ends there. */
static void obey_stop(struct part *part)
{
    struct phase_run *phase = &part->phase;
    int microbatches = phase->schedule.microbatches;
    int admitted = max_int(phase->replayed, (phase->progress.forwards + microbatches - 1) / microbatches);
    uint64_t stopped_at = atomic_load_explicit(&part->board->stopped_at, memory_order_acquire);

    if (part_is_first(part))
        save_decide(part, admitted);
    /* A phase that was admitted to its end is not shortened, as later parts may have left it already: the request then
     * falls on the next phase. */
    if (part_is_first(part) && stopped_at == UINT64_MAX && admitted < phase->schedule.minibatches &&
        atomic_load(&part->board->stop)) {
        stopped_at = stop_point(phase->epoch, phase->kind, admitted);
        atomic_store_explicit(&part->board->stopped_at, stopped_at, memory_order_release);
        segment_ring_all(part->segment);
    }
    const uint32_t last = (uint32_t)stopped_at;
    /* What this part has begun it ends: a place before that is not part 1's word. */
    if (stopped_at >> 32 == stop_point(phase->epoch, phase->kind, 0) >> 32 &&
        last < (uint32_t)phase->schedule.minibatches && last >= (uint32_t)admitted) {
        if (phase->kind == PHASE_TRAIN)
            save_stopped(part, (int)last);
        phase->schedule.minibatches = (int)last;
        if (phase->tracker)
            versions_stop(phase->tracker, phase->schedule.minibatches);
    }
}

static struct part *part_of(const struct stage *stage, int part)
{
    for (int i = 0; i < stage->count; i++)
        if (stage->parts[i]->index == part)
            return stage->parts[i];
    return NULL;
}

/* Passes over the ops that a stop has cut off, and those that were run before the checkpoint. Returns the part whose turn
 * it is, NULL at the list's end or, with *failed, after a failure. */
static struct part *pass_over(struct stage *stage, struct op *op, bool *failed, struct error *error)
{
    const struct phase_run *phase = &stage->parts[0]->phase;

    for (; stage->next_op < simulation_op_count(phase->simulation, stage->index); stage->next_op++) {
        *op = simulation_op(phase->simulation, stage->index, stage->next_op).op;
        struct part *part = part_of(stage, op->part);

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
static int next_of_list(struct stage *stage, struct part **turn, struct next *next, struct error *error)
{
    bool failed = false;
    struct op op;
    struct part *part = pass_over(stage, &op, &failed, error);

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
static void ask_parts(const struct stage *stage, struct part **turn, struct next *next)
{
    *next = (struct next){.kind = NEXT_DONE};
    for (int i = stage->count - 1; i >= 0 && next->kind != NEXT_RUN; i--) {
        struct part *part = stage->parts[i];

        refresh_progress(part);
        const struct next of_part = schedule_next(&part->phase.schedule, part->index, &part->phase.progress);
        if (of_part.kind == NEXT_RUN || next->kind == NEXT_DONE) {
            *next = of_part;
            *turn = part;
        }
    }
}

/* Part 1's activations are the loader's. */
static void name_loader(const struct part *turn, struct next *next)
{
    if (next->kind == NEXT_WAIT && next->cause == WAIT_ACTIVATION && part_is_first(turn))
        next->cause = WAIT_DATA;
}

/* The updates that are due come before all else, when the norm is known by which they are clipped: so nothing of the next
 * mini-batch begins, and no checkpoint is taken, before them. */
static int next_op(struct stage *stage, struct part **turn, struct next *next, struct error *error)
{
    *turn = stage->parts[0];
    doorbell_silence(stage->doorbell, &stage->heard);
    if (norm_updates_are_due(stage)) {
        *next = (struct next){.kind = NEXT_WAIT, .op = stage->parts[0]->due.op.op, .cause = WAIT_NORM};
        if (!norm_is_known(stage->parts[0]))
            return 0;
        for (int i = 0; i < stage->count; i++)
            if (passes_update(stage->parts[i], error))
                return -1;
    }
    for (int i = 0; i < stage->count; i++) {
        obey_stop(stage->parts[i]);
        save_look(stage->parts[i]);
    }
    if (!stage->parts[0]->phase.simulation)
        ask_parts(stage, turn, next);
    else if (next_of_list(stage, turn, next, error))
        return -1;
    name_loader(*turn, next);
    return 0;
}

void executor_sleep(struct stage *stage, int microseconds)
{
    doorbell_wait(stage->doorbell, &stage->heard, clock_now_ns() + (uint64_t)microseconds * 1000u);
}

int executor_check_abort(const struct stage *stage, struct error *error)
{
    return segment_check_run(stage->segment, error);
}

/* Whoever looks at a stage sees what it does in the part that is on turn. */
static void leave_turn(const struct stage *stage, const struct part *turn)
{
    for (int i = 0; i < stage->count; i++)
        if (stage->parts[i] != turn)
            telemetry_activity(stage->parts[i], ACTIVITY_NONE, WAIT_NONE, NULL);
}

/* Shows the oldest op that the device has not done. */
static int wait_for_device(struct stage *stage, struct error *error)
{
    const struct pending_op *oldest = &stage->pending[0];

    leave_turn(stage, oldest->part);
    telemetry_activity(oldest->part, ACTIVITY_RUN, WAIT_NONE, &oldest->op);
    return pending_moment(stage, error);
}

static int wait_for_doorbell(struct stage *stage, struct part *part, const struct next *next, struct error *error)
{
    const uint64_t start = clock_now_ns(), without_core = cores_waited_ns(stage->watch);

    leave_turn(stage, part);
    telemetry_activity(part, ACTIVITY_WAIT, next->cause, &next->op);
    executor_sleep(stage, WAIT_BOUND_US);
    if (on_host(part))
        telemetry_waited(part, next->cause, clock_now_ns() - start, cores_waited_ns(stage->watch) - without_core);
    else
        part->wait_cause = next->cause; /* a GPU's waits are counted by its own clock */
    return executor_check_abort(stage, error);
}

static int wait_while_held(struct part *part, const struct op *op, struct error *error)
{
    uint64_t start = clock_now_ns();

    telemetry_activity(part, ACTIVITY_HELD, WAIT_NONE, op);
    executor_sleep(part->stage, HELD_BOUND_US);
    telemetry_held(part, clock_now_ns() - start);
    return executor_check_abort(part->stage, error);
}

static int run_op(struct part *part, const struct op *op, struct error *error)
{
    struct stage *stage = part->stage;
    struct phase_run *phase = &part->phase;
    struct pending_op pending = {
        .part = part,
        .op = *op,
        .cause = part->wait_cause,
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
    telemetry_activity(part, ACTIVITY_RUN, WAIT_NONE, op);
    pending.record.held_ns = hold_stretch(part, op);
    if (pending_make_room(stage, error) || passes_run(part, &pending, error) ||
        pending_mark(stage, &pending.end, error))
        return pending_name_failure(stage, &pending, error);
    pending_add(stage, &pending);
    /* The controls count ops that are done. */
    if (part->header->interactive && pending_await_all(stage, error))
        return -1;
    return executor_check_abort(stage, error);
}

/* The epoch that a checkpoint holds the begin of. What was run before it took slots and messages, as it were. */
static int continue_epoch(struct part *part, struct error *error)
{
    struct phase_run *phase = &part->phase;
    const struct start *start = &part->header->start;
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
        phase->simulation = part->remainder;
    phase->replayed = start->replayed;
    phase->first_version -= start->replayed;
    phase->activations_before -= replayed * (uint64_t)schedule->microbatches;
    phase->gradients_before -= replayed * slots;
    part->slots_before -= replayed * slots;
    if (phase->replayed == 0)
        return 0;
    weights_renumber(part->weights, phase->first_version);
    if (save_find_versions(part, phase->replayed, &phase->restored))
        return error_set(error, "out of memory");
    return save_restore_version(part, phase->first_version, weights_live(part->weights), error);
}

static int begin_phase(struct part *part, enum phase kind, int epoch, struct error *error)
{
    struct phase_run *phase = &part->phase;

    *phase = (struct phase_run){
        .kind = kind,
        .epoch = epoch,
        .schedule = kind == PHASE_TRAIN ? plan_training(part->plan) : plan_evaluation(part->plan),
        .simulation = kind == PHASE_TRAIN ? part->simulation : NULL,
        .first_version = part->applied,
        .activations_before = part->ends.down_in.ring.messages,
        .gradients_before = part->ends.up_in.ring.messages,
    };
    if (kind == PHASE_TRAIN && save_continues(part, epoch) && continue_epoch(part, error))
        return -1;
    save_begin(part);
    batches_begin(part->batches, kind, epoch, phase->skipped, phase->replayed + 1, phase->schedule.minibatches,
                  part->slots_before);
    telemetry_phase(part);
    if (kind == PHASE_TRAIN) {
        phase->tracker = versions_create(&phase->schedule, part->index, phase->first_version);
        if (!phase->tracker)
            return error_set(error, "out of memory");
    }
    return 0;
}

static int step(struct stage *stage, struct part *part, const struct next *next, struct error *error)
{
    if (next->kind == NEXT_WAIT)
        return stage->pending_count > 0 ? wait_for_device(stage, error) : wait_for_doorbell(stage, part, next, error);
    leave_turn(stage, part);
    if (hold_wanted(part))
        return wait_while_held(part, &next->op, error);
    if (run_op(part, &next->op, error))
        return -1;
    stage->next_op++;
    return 0;
}

/* Ops until the phase is done. */
static int run_ops(struct stage *stage, struct error *error)
{
    for (;;) {
        struct part *turn;
        struct next next;

        if (pending_look(stage, error) || next_op(stage, &turn, &next, error))
            return -1;
        if (next.kind == NEXT_DONE)
            return 0;
        if (step(stage, turn, &next, error))
            return -1;
    }
}

static void end_phase(struct part *part, bool failed)
{
    if (failed)
        divergence_locate(part);
    versions_destroy(part->phase.tracker);
    part->phase.tracker = NULL;
    telemetry_activity(part, ACTIVITY_NONE, WAIT_NONE, NULL);
    if (!failed)
        part->slots_before += (uint64_t)(part->phase.schedule.minibatches * part->phase.schedule.microbatches /
                                         schedule_slot_size(&part->phase.schedule));
}

int executor_run_phase(struct stage *stage, enum phase kind, int epoch, struct error *error)
{
    int failed = 0;

    if (stage->device->type->set_clock(stage->device, error))
        return -1;
    stage->last_end_ns = 0;
    stage->next_op = 0;
    for (int i = 0; i < stage->count; i++)
        if (begin_phase(stage->parts[i], kind, epoch, error))
            return -1;
    failed = run_ops(stage, error) || pending_await_all(stage, error);
    for (int i = 0; i < stage->count; i++)
        end_phase(stage->parts[i], failed != 0);
    return failed ? -1 : 0;
}
