/* One op, executed: choose the weight version, run the kernels, publish what the neighbour waits for, update. */
#include <string.h>

#include "base/numbers.h"
#include "data/data.h"
#include "stages/internal.h"

struct slot_tensors passes_tensors(struct part *part, const struct op *op)
{
    const struct stage_layout *layout = compute_layout(part->compute);
    const struct phase_run *phase = &part->phase;
    int size = schedule_slot_size(&phase->schedule);
    uint64_t n = part_sequence(part, op);
    const size_t place = n % (uint64_t)plan_input_slots(part->plan);

    return (struct slot_tensors){
        .minibatch = (phase->epoch - 1) * part->plan->minibatches_per_epoch + phase->skipped + op->minibatch,
        .rows = batches_rows(part->batches, op->minibatch),
        .first_microbatch = (op->first - 1) / size * size + 1,
        .input = part_is_first(part) ? part->images + place * layout->input_floats : link_slot(&part->ends.down_in, n),
        .output = part_is_last(part) ? NULL : link_slot(&part->ends.down_out, n),
        .set = part->sets + n % (uint64_t)part->set_count * layout->set_floats,
        .output_gradient = part_is_last(part) ? NULL : link_slot(&part->ends.up_in, n),
        .input_gradient = part_is_first(part) ? NULL : link_slot(&part->ends.up_out, n),
    };
}

static int rows_of(int rows, int microbatches, const struct op *op)
{
    return microbatch_start(rows, microbatches, op->first - 1 + op->count) -
           microbatch_start(rows, microbatches, op->first - 1);
}

/* The op's piece of its slot. */
struct piece {
    uint64_t slot; /* since the run began */
    size_t offset, bytes;
};

static struct piece piece_of(const struct part *part, const struct op *op, struct shape shape)
{
    const int microbatches = part->phase.schedule.microbatches, size = schedule_slot_size(&part->phase.schedule);
    const int rows = batches_rows(part->batches, op->minibatch), first = (op->first - 1) / size * size;
    const size_t row_bytes = shape_size(shape) * sizeof(float);

    return (struct piece){
        .slot = part_sequence(part, op),
        .offset = row_bytes * (size_t)(microbatch_start(rows, microbatches, op->first - 1) -
                                       microbatch_start(rows, microbatches, first)),
        .bytes = row_bytes * (size_t)rows_of(rows, microbatches, op),
    };
}

/* Takes the next message from a link; it must be the one that the schedule expects. */
static int take(struct part *part, struct link_end *end, const struct op *op, struct shape shape,
                struct message *message, struct error *error)
{
    const struct phase_run *phase = &part->phase;
    const struct piece piece = piece_of(part, op, shape);

    *message = *ring_message(&end->ring, end->ring.messages);
    if (message->minibatch != op->minibatch || message->first != op->first || message->count != op->count)
        return error_set(error, "expected micro-batch %d of mini-batch %d on the link but found %d of %d", op->first,
                         op->minibatch, message->first, message->minibatch);
    if (message->version < phase->first_version ||
        message->version > phase->first_version + phase->schedule.minibatches)
        return error_set(error, "micro-batch %d of mini-batch %d came with the weight version %d, which there is not",
                         op->first, op->minibatch, message->version);
    return link_take(&part->stage->links, end, piece.slot, piece.offset, piece.bytes, error);
}

/* Before the op's kernels write to the next part's slot, or to the one before's. */
static int begin_slot(struct part *part, struct link_end *end, const struct op *op, struct error *error)
{
    const bool first_of_slot = (op->first - 1) % schedule_slot_size(&part->phase.schedule) == 0;

    return first_of_slot ? link_begin(&part->stage->links, end, part_sequence(part, op), error) : 0;
}

static int publish(struct part *part, struct link_end *end, int neighbour, const struct op *op, int version,
                   struct shape shape, struct op_record *record, struct error *error)
{
    const struct piece piece = piece_of(part, op, shape);
    struct message message = {
        .minibatch = op->minibatch,
        .first = (int16_t)op->first,
        .count = (int16_t)op->count,
        .version = version,
    };

    if (link_publish(&part->stage->links, end, &message, piece.slot, piece.offset, piece.bytes, error))
        return -1;
    segment_ring_doorbell(part->segment, neighbour);
    telemetry_sent(part, piece.bytes);
    record->bytes_sent = piece.bytes;
    record->version_sent = version;
    return 0;
}

/* The op was the last of its slot at this part: others may write there again. */
static int release_slot(struct part *part, const struct op *op, struct error *error)
{
    const uint64_t slot = part_sequence(part, op);

    if (!part_is_first(part)) {
        if (link_release(&part->stage->links, &part->ends.down_in, slot, error))
            return -1;
        segment_ring_doorbell(part->segment, part->index - 1);
    }
    if (!part_is_last(part)) {
        if (link_release(&part->stage->links, &part->ends.up_in, slot, error))
            return -1;
        segment_ring_doorbell(part->segment, part->index + 1);
    }
    return 0;
}

/* Adds the loss of micro-batches to `sum`. No gradient of a mini-batch must go anywhere before its loss is known to be
 * finite: so this waits for the device. */
static int add_loss(struct part *part, const struct op *op, const struct slot_tensors *tensors, int first, int count,
                    bool differentiate, struct loss_result *sum, struct error *error)
{
    if (batches_targets(part->batches, op->minibatch, part->targets, error))
        return -1;
    if (compute_loss(part->compute, tensors, first, count, part->targets, differentiate, sum, error) ||
        pending_await_queue(part->stage, error))
        return error_prefix(error, "loss");
    return divergence_check(part, op, sum->loss_sum, error);
}

static bool recomputes(const struct part *part)
{
    return compute_layout_options(part->compute)->recompute;
}

/* And begins the next one's. */
static void count_loss(struct part *part, int rows)
{
    struct phase_run *phase = &part->phase;

    phase->loss_sum += part->loss[LOSS_REPORTED].loss_sum / plan_targets_per_sample(part->plan);
    phase->top1 += part->loss[LOSS_REPORTED].top1;
    phase->top5 += part->loss[LOSS_REPORTED].top5;
    phase->samples += rows;
    memset(part->loss, 0, LOSSES * sizeof(*part->loss));
}

/* Evaluation: newest weights, running statistics, nothing kept. */
static int evaluate(struct part *part, const struct op *op, const struct slot_tensors *tensors,
                    struct op_record *record, struct error *error)
{
    if (compute_forward(part->compute, tensors, op->first, false, weights_live(part->weights), part->state, error))
        return -1;
    if (part_is_last(part)) {
        if (add_loss(part, op, tensors, op->first, op->count, false, &part->loss[LOSS_REPORTED], error))
            return -1;
        count_loss(part, (int)record->rows);
    }
    return 0;
}

/* Takes the micro-batch's inputs from where the loader has put them: where part 1's forward reads them, or where
 * they are copied to its device from. As the forward's slot has an activation set, nobody reads a slot so many
 * before it any more, nor one before that; there the loader may go on when a device, if it is one, has copied them. */
static int take_inputs(struct part *part, const struct op *op, const struct slot_tensors *tensors, struct error *error)
{
    const struct device_type *type = part->device->type;
    const struct schedule *schedule = &part->phase.schedule;
    const struct piece piece = piece_of(part, op, part->plan->parts[0].input);
    const float *gathered = part->gathered + (tensors->input - part->images);
    const uint64_t places = (uint64_t)plan_input_slots(part->plan),
                   free_place = (piece.slot + (uint64_t)plan_slots_ahead(part->plan)) % places;

    if (batches_take(part->batches, op->minibatch, op->first, error))
        return -1;
    if (op->first == schedule->microbatches - schedule_slot_size(schedule) + 1) {
        if (pending_await(part->stage, part->copied[free_place], error))
            return -1;
        batches_release(part->batches, op->minibatch);
    }
    return type->copy(part->device, (char *)(uintptr_t)tensors->input + piece.offset,
                      (const char *)gathered + piece.offset, piece.bytes, error) ||
           type->mark(part->device, &part->copied[piece.slot % places], error);
}

static int run_forward(struct part *part, const struct op *op, struct pending_op *pending, struct error *error)
{
    struct phase_run *phase = &part->phase;
    struct op_record *record = &pending->record;
    struct slot_tensors tensors = passes_tensors(part, op);
    struct message message;
    const float *weights;
    int pinned = phase->first_version;

    if (part_is_first(part)) {
        if (take_inputs(part, op, &tensors, error))
            return -1;
    } else {
        if (take(part, &part->ends.down_in, op, part->plan->parts[part->index - 1].input, &message, error))
            return -1;
        pinned = message.version;
    }
    if (save_before_forward(part, op, error) ||
        (!part_is_last(part) && begin_slot(part, &part->ends.down_out, op, error)) ||
        pending_mark(part->stage, &pending->begin, error))
        return -1;
    if (phase->kind == PHASE_EVALUATE) {
        if (evaluate(part, op, &tensors, record, error))
            return -1;
        record->version_read = record->version_live = phase->first_version;
    } else {
        record->version_live = versions_live(phase->tracker);
        record->version_forward = versions_begin_forward(phase->tracker, op, pinned);
        record->version_read = forward_reading(phase->schedule.forward)->terms ? -1 : record->version_forward;
        if (part_is_first(part))
            pinned = record->version_live;
        weights_retire(part->weights, phase->tracker);
        telemetry_versions(part);
        weights = rules_forward_weights(part, op, record->version_forward, error);
        if (!weights || compute_forward(part->compute, &tensors, op->first, true, weights, part->state, error))
            return -1;
        /* The prediction's loss; the backward will differentiate another one. */
        if (part_is_last(part) && recomputes(part) &&
            add_loss(part, op, &tensors, op->first, op->count, false, &part->loss[LOSS_REPORTED], error))
            return -1;
        versions_end(phase->tracker, op);
    }
    if (!part_is_last(part) && publish(part, &part->ends.down_out, part->index + 1, op, pinned,
                                       part->plan->parts[part->index - 1].output, record, error))
        return -1;
    progress_advance(&phase->progress, op);
    if (phase->kind == PHASE_EVALUATE && op->first % schedule_slot_size(&phase->schedule) == 0)
        return release_slot(part, op, error);
    return 0;
}

/* The newest version applied on every part. Part 1 is the last to be told to update, and every other part finishes
 * its own update before its next op, so part 1's version is everybody's by the time it is asked for. With static order
 * it is what the unit-time schedule says, so that a run can be repeated. */
static int committed_version(const struct part *part, int minibatch)
{
    if (part->phase.simulation)
        return part->phase.first_version + simulation_committed(part->phase.simulation, minibatch);
    const int applied = atomic_load_explicit(&segment_stage(part->segment, 1)->applied, memory_order_acquire);

    return max_int(part->phase.first_version, min_int(applied, versions_live(part->phase.tracker)));
}

/* One batched backward over the micro-batches of the op that read the same weights. */
static int backward_group(struct part *part, const struct op *op, int first, int count,
                          const struct slot_tensors *tensors, const float *weights, struct error *error)
{
    static const int halves[] = {
        [OP_BACKWARD] = HALF_INPUT | HALF_WEIGHTS,
        [OP_BACKWARD_INPUT] = HALF_INPUT,
        [OP_BACKWARD_WEIGHTS] = HALF_WEIGHTS,
    };

    if (halves[op->kind] & HALF_INPUT) {
        struct loss_result *sum = &part->loss[recomputes(part) ? LOSS_RECOMPUTED : LOSS_REPORTED];

        if (recomputes(part) && compute_recompute(part->compute, tensors, first, count, weights, error))
            return -1;
        if (part_is_last(part) && add_loss(part, op, tensors, first, count, true, sum, error))
            return -1;
    }
    return compute_backward(part->compute, tensors, first, count, halves[op->kind], weights, part->gradient, first > 1,
                            error);
}

static int backward_groups(struct part *part, const struct op *op, const struct slot_tensors *tensors,
                           struct error *error)
{
    int end = op->first + op->count;

    for (int first = op->first, next; first < end; first = next) {
        struct backward_versions versions = versions_of_backward(part->phase.tracker, op->minibatch, first);
        /* A weight half reads none. */
        const float *weights = op->kind == OP_BACKWARD_WEIGHTS ? weights_live(part->weights)
                                                               : rules_backward_weights(part, versions, error);

        if (!weights)
            return -1;
        for (next = first; next < end; next++) {
            struct backward_versions other = versions_of_backward(part->phase.tracker, op->minibatch, next);

            if (!rules_same_weights(part, versions, other))
                break;
            if (op->kind != OP_BACKWARD_WEIGHTS)
                telemetry_backward(part, &other);
        }
        if (backward_group(part, op, first, next - first, tensors, weights, error))
            return -1;
    }
    return 0;
}

/* `versions`: of the op that ends the mini-batch. */
static int update(struct part *part, const struct op *op, struct backward_versions versions, struct error *error)
{
    telemetry_activity(part, ACTIVITY_UPDATE, WAIT_NONE, op);
    save_version_before_update(part);
    if (rules_update(part, versions, error))
        return -1;
    part_set_applied(part, versions_live(part->phase.tracker));
    return 0;
}

static int end_minibatch(struct part *part, struct pending_op *pending, struct backward_versions versions,
                         struct error *error)
{
    pending->record.updated = 1;
    if (!plan_clips_together(part->plan))
        return pending_mark(part->stage, &pending->update, error) || update(part, &pending->op, versions, error) ? -1
                                                                                                                 : 0;
    part->due = (struct due_update){.is = true, .op = *pending, .versions = versions};
    return norm_tell(part, error);
}

int passes_update(struct part *part, struct error *error)
{
    struct pending_op pending = part->due.op;

    part->due.is = false;
    pending.only_update = true;
    pending.cause = WAIT_NORM;
    if (pending_make_room(part->stage, error) || pending_mark(part->stage, &pending.begin, error) ||
        update(part, &pending.op, part->due.versions, error) || pending_mark(part->stage, &pending.end, error))
        return pending_name_failure(part->stage, &pending, error);
    pending_add(part->stage, &pending);
    telemetry_account(part);
    return executor_check_abort(part->stage, error);
}

static int run_backward(struct part *part, const struct op *op, struct pending_op *pending, struct error *error)
{
    struct phase_run *phase = &part->phase;
    struct op_record *record = &pending->record;
    const struct plan_part *own = &part->plan->parts[part->index - 1];
    const bool sends = op->kind != OP_BACKWARD_WEIGHTS && !part_is_first(part);
    struct slot_tensors tensors = passes_tensors(part, op);
    struct message message;
    struct backward_versions versions;
    int committed = 0;

    if (op->kind != OP_BACKWARD_WEIGHTS) {
        if (!part_is_last(part) && take(part, &part->ends.up_in, op, own->output, &message, error))
            return -1;
        committed = part_is_last(part) ? committed_version(part, op->minibatch) : message.version;
        if (part_is_last(part) && op->first == 1)
            telemetry_version_difference(part, op->minibatch - (committed - phase->first_version));
        versions_begin_backward(phase->tracker, op, committed);
        weights_retire(part->weights, phase->tracker);
        telemetry_versions(part);
    }
    versions = versions_of_backward(phase->tracker, op->minibatch, op->first);
    record->version_read = versions.read;
    record->version_forward = versions.forward;
    record->version_live = versions.live;
    if ((sends && begin_slot(part, &part->ends.up_out, op, error)) ||
        pending_mark(part->stage, &pending->begin, error) || backward_groups(part, op, &tensors, error))
        return -1;
    versions_end(phase->tracker, op);
    if (sends && publish(part, &part->ends.up_out, part->index - 1, op, committed, own->input, record, error))
        return -1;
    progress_advance(&phase->progress, op);
    if (op->kind != OP_BACKWARD_INPUT && release_slot(part, op, error))
        return -1;
    if (!schedule_updates_after(&phase->schedule, op))
        return 0;
    if (part_is_last(part)) {
        record->loss =
            (float)(part->loss[LOSS_REPORTED].loss_sum / (tensors.rows * plan_targets_per_sample(part->plan)));
        count_loss(part, tensors.rows);
    }
    return end_minibatch(part, pending, versions, error);
}

int passes_replay(struct part *part, const struct op *op, struct error *error)
{
    struct phase_run *phase = &part->phase;
    const struct simulation *simulation = phase->simulation;
    float *floats;

    if (op->kind == OP_FORWARD)
        versions_begin_forward(phase->tracker, op,
                               phase->first_version + simulation_pin(simulation, op->minibatch, op->first));
    else
        versions_begin_backward(phase->tracker, op,
                                phase->first_version + simulation_committed(simulation, op->minibatch));
    weights_retire(part->weights, phase->tracker);
    versions_end(phase->tracker, op);
    progress_advance(&phase->progress, op);
    if (!schedule_updates_after(&phase->schedule, op))
        return 0;
    save_version_before_update(part);
    versions_update(phase->tracker);
    floats = weights_make_room(part->weights, phase->tracker, error);
    return floats ? save_restore_version(part, versions_live(phase->tracker), floats, error) : -1;
}

int passes_run(struct part *part, struct pending_op *pending, struct error *error)
{
    const struct op *op = &pending->op;
    int rows = batches_rows(part->batches, op->minibatch);
    int failed;

    pending->record.rows = (uint32_t)rows_of(rows, part->phase.schedule.microbatches, op);
    failed = op->kind == OP_FORWARD ? run_forward(part, op, pending, error) : run_backward(part, op, pending, error);
    telemetry_account(part);
    return failed;
}
