/* One op, executed: choose the weight version, run the kernels, publish what the neighbour waits for, update. */
#include <string.h>

#include "base/numbers.h"
#include "data/data.h"
#include "plan/learning_rate.h"
#include "plan/staleness.h"
#include "stages/internal.h"

struct slot_tensors passes_tensors(struct stage *stage, const struct op *op)
{
    const struct stage_layout *layout = compute_layout(stage->compute);
    int size = schedule_slot_size(&stage->phase.schedule);
    uint64_t n = stage_sequence(stage, op);
    size_t slot = n % (uint64_t)stage->plan->parts[stage->index - 1].activation_sets;

    return (struct slot_tensors){
        .rows = batches_rows(stage->batches, op->minibatch),
        .first_microbatch = (op->first - 1) / size * size + 1,
        .input =
            stage_is_first(stage) ? stage->images + slot * layout->input_floats : link_slot(&stage->links.down_in, n),
        .output = stage_is_last(stage) ? NULL : link_slot(&stage->links.down_out, n),
        .set = stage->sets + n % (uint64_t)stage->set_count * layout->set_floats,
        .output_gradient = stage_is_last(stage) ? NULL : link_slot(&stage->links.up_in, n),
        .input_gradient = stage_is_first(stage) ? NULL : link_slot(&stage->links.up_out, n),
    };
}

static int rows_of(int rows, int microbatches, const struct op *op)
{
    return microbatch_start(rows, microbatches, op->first - 1 + op->count) -
           microbatch_start(rows, microbatches, op->first - 1);
}

/* The op's part of its slot. */
struct part {
    uint64_t slot; /* since the run began */
    size_t offset, bytes;
};

static struct part part_of(const struct stage *stage, const struct op *op, struct shape shape)
{
    const int microbatches = stage->phase.schedule.microbatches, size = schedule_slot_size(&stage->phase.schedule);
    const int rows = batches_rows(stage->batches, op->minibatch), first = (op->first - 1) / size * size;
    const size_t row_bytes = shape_size(shape) * sizeof(float);

    return (struct part){
        .slot = stage_sequence(stage, op),
        .offset = row_bytes * (size_t)(microbatch_start(rows, microbatches, op->first - 1) -
                                       microbatch_start(rows, microbatches, first)),
        .bytes = row_bytes * (size_t)rows_of(rows, microbatches, op),
    };
}

/* Takes the next message from a link; it must be the one that the schedule expects. */
static int take(struct stage *stage, struct link_end *end, const struct op *op, struct shape shape,
                struct message *message, struct error *error)
{
    const struct phase_run *phase = &stage->phase;
    const struct part part = part_of(stage, op, shape);

    *message = *ring_message(&end->ring, end->ring.messages);
    if (message->minibatch != op->minibatch || message->first != op->first || message->count != op->count)
        return error_set(error, "expected micro-batch %d of mini-batch %d on the link but found %d of %d", op->first,
                         op->minibatch, message->first, message->minibatch);
    if (message->version < phase->first_version ||
        message->version > phase->first_version + phase->schedule.minibatches)
        return error_set(error, "micro-batch %d of mini-batch %d came with the weight version %d, which there is not",
                         op->first, op->minibatch, message->version);
    return link_take(&stage->links, end, part.slot, part.offset, part.bytes, error);
}

/* Before the op's kernels write to the next stage's slot, or to the one before's. */
static int begin_slot(struct stage *stage, struct link_end *end, const struct op *op, struct error *error)
{
    const bool first_of_slot = (op->first - 1) % schedule_slot_size(&stage->phase.schedule) == 0;

    return first_of_slot ? link_begin(&stage->links, end, stage_sequence(stage, op), error) : 0;
}

static int publish(struct stage *stage, struct link_end *end, int neighbour, const struct op *op, int version,
                   struct shape shape, struct op_record *record, struct error *error)
{
    const struct part part = part_of(stage, op, shape);
    struct message message = {
        .minibatch = op->minibatch,
        .first = (int16_t)op->first,
        .count = (int16_t)op->count,
        .version = version,
    };

    if (link_publish(&stage->links, end, &message, part.slot, part.offset, part.bytes, error))
        return -1;
    segment_ring_doorbell(stage->segment, neighbour);
    telemetry_sent(stage, part.bytes);
    record->bytes_sent = part.bytes;
    record->version_sent = version;
    return 0;
}

/* The op was the last of its slot at this stage: others may write there again. */
static int release_slot(struct stage *stage, const struct op *op, struct error *error)
{
    const uint64_t slot = stage_sequence(stage, op);

    if (!stage_is_first(stage)) {
        if (link_release(&stage->links, &stage->links.down_in, slot, error))
            return -1;
        segment_ring_doorbell(stage->segment, stage->index - 1);
    }
    if (!stage_is_last(stage)) {
        if (link_release(&stage->links, &stage->links.up_in, slot, error))
            return -1;
        segment_ring_doorbell(stage->segment, stage->index + 1);
    }
    return 0;
}

/* Adds the loss of micro-batches to `sum`. No gradient of a mini-batch must go anywhere before its loss is known to be
 * finite: so this waits for the device. */
static int add_loss(struct stage *stage, const struct op *op, const struct slot_tensors *tensors, int first, int count,
                    bool differentiate, struct loss_result *sum, struct error *error)
{
    batches_labels(stage->batches, op->minibatch, stage->labels);
    if (compute_loss(stage->compute, tensors, first, count, stage->labels, differentiate, sum, error) ||
        pending_await_queue(stage, error))
        return error_prefix(error, "loss");
    return divergence_check(stage, op, sum->loss_sum, error);
}

static bool recomputes(const struct stage *stage)
{
    return compute_layout_options(stage->compute)->recompute;
}

/* And begins the next one's. */
static void count_loss(struct stage *stage, int rows)
{
    struct phase_run *phase = &stage->phase;

    phase->loss_sum += stage->loss[LOSS_REPORTED].loss_sum;
    phase->top1 += stage->loss[LOSS_REPORTED].top1;
    phase->top5 += stage->loss[LOSS_REPORTED].top5;
    phase->samples += rows;
    memset(stage->loss, 0, LOSSES * sizeof(*stage->loss));
}

/* Evaluation: newest weights, running statistics, nothing kept. */
static int evaluate(struct stage *stage, const struct op *op, const struct slot_tensors *tensors,
                    struct op_record *record, struct error *error)
{
    if (compute_forward(stage->compute, tensors, op->first, false, weights_live(stage->weights), stage->state, error))
        return -1;
    if (stage_is_last(stage)) {
        if (add_loss(stage, op, tensors, op->first, op->count, false, &stage->loss[LOSS_REPORTED], error))
            return -1;
        count_loss(stage, (int)record->rows);
    }
    return 0;
}

/* Gathers the micro-batch's images where stage 1's forward reads them. */
static int gather(struct stage *stage, const struct op *op, const struct slot_tensors *tensors, struct error *error)
{
    const struct device_type *type = stage->device->type;
    const struct part part = part_of(stage, op, stage->plan->parts[0].input);
    float *images = stage->gathered + (tensors->input - stage->images);
    uint64_t *copied = &stage->copied[part.slot % (uint64_t)stage->plan->parts[0].activation_sets];

    /* The device may not have come yet to the copying of the slot's images before these. */
    if (pending_await(stage, *copied, error))
        return -1;
    batches_images(stage->batches, op->minibatch, tensors->first_microbatch, op->first, images);
    return type->copy(stage->device, (char *)(uintptr_t)tensors->input + part.offset, (char *)images + part.offset,
                      part.bytes, error) ||
           type->mark(stage->device, copied, error);
}

static int run_forward(struct stage *stage, const struct op *op, struct pending_op *pending, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    struct op_record *record = &pending->record;
    struct slot_tensors tensors = passes_tensors(stage, op);
    struct message message;
    const float *weights;
    int pinned = phase->first_version;

    if (stage_is_first(stage)) {
        if (gather(stage, op, &tensors, error))
            return -1;
    } else {
        if (take(stage, &stage->links.down_in, op, stage->plan->parts[stage->index - 1].input, &message, error))
            return -1;
        pinned = message.version;
    }
    if (save_before_forward(stage, op, error) ||
        (!stage_is_last(stage) && begin_slot(stage, &stage->links.down_out, op, error)) ||
        stage->device->type->mark(stage->device, &pending->begin, error))
        return -1;
    if (phase->kind == PHASE_EVALUATE) {
        if (evaluate(stage, op, &tensors, record, error))
            return -1;
        record->version_read = record->version_live = phase->first_version;
    } else {
        record->version_live = versions_live(phase->tracker);
        record->version_read = versions_begin_forward(phase->tracker, op, pinned);
        if (stage_is_first(stage))
            pinned = record->version_live;
        weights_retire(stage->weights, phase->tracker);
        telemetry_versions(stage);
        weights = weights_version(stage->weights, record->version_read);
        if (!weights)
            return error_set(error, "weight version %d is not kept here", record->version_read);
        if (compute_forward(stage->compute, &tensors, op->first, true, weights, stage->state, error))
            return -1;
        /* The prediction's loss; the backward will differentiate another one. */
        if (stage_is_last(stage) && recomputes(stage) &&
            add_loss(stage, op, &tensors, op->first, op->count, false, &stage->loss[LOSS_REPORTED], error))
            return -1;
        versions_end(phase->tracker, op);
    }
    if (!stage_is_last(stage) && publish(stage, &stage->links.down_out, stage->index + 1, op, pinned,
                                         stage->plan->parts[stage->index - 1].output, record, error))
        return -1;
    progress_advance(&phase->progress, op);
    if (phase->kind == PHASE_EVALUATE && op->first % schedule_slot_size(&phase->schedule) == 0)
        return release_slot(stage, op, error);
    return 0;
}

/* The newest version applied on every stage. Stage 1 is the last to be told to update, and every other stage finishes
 * its own update before its next op, so stage 1's version is everybody's by the time it is asked for. With static order
 * it is what the unit-time schedule says, so that a run can be repeated. */
static int committed_version(const struct stage *stage, int minibatch)
{
    if (stage->phase.simulation)
        return stage->phase.first_version + simulation_committed(stage->phase.simulation, minibatch);
    const int applied = atomic_load_explicit(&segment_stage(stage->segment, 1)->applied, memory_order_acquire);

    return max_int(stage->phase.first_version, min_int(applied, versions_live(stage->phase.tracker)));
}

static bool same_weights(struct backward_versions a, struct backward_versions b)
{
    return a.read == b.read && (a.read >= 0 || (a.forward == b.forward && a.live == b.live));
}

/* The weights a backward reads: a version, or the blend of two. */
static const float *backward_weights(struct stage *stage, struct backward_versions versions, struct error *error)
{
    const float *weights, *stale;
    float significance;

    if (versions.read >= 0) {
        weights = weights_version(stage->weights, versions.read);
        if (!weights)
            error_set(error, "weight version %d is not kept here", versions.read);
        return weights;
    }
    weights = weights_version(stage->weights, versions.live);
    stale = weights_version(stage->weights, versions.forward);
    if (versions.live == versions.forward)
        return weights;
    significance = (float)staleness_significance(&stage->plan->config, versions.live - versions.forward);
    if (compute_backend(stage->compute)
            ->blend(compute_engine(stage->compute), stage->plan->parts[stage->index - 1].slice.parameters, weights,
                    stale, significance, stage->blended, error))
        return NULL;
    return stage->blended;
}

/* One batched backward over the micro-batches of the op that read the same weights. */
static int backward_group(struct stage *stage, const struct op *op, int first, int count,
                          const struct slot_tensors *tensors, const float *weights, struct error *error)
{
    static const int halves[] = {
        [OP_BACKWARD] = HALF_INPUT | HALF_WEIGHTS,
        [OP_BACKWARD_INPUT] = HALF_INPUT,
        [OP_BACKWARD_WEIGHTS] = HALF_WEIGHTS,
    };

    if (halves[op->kind] & HALF_INPUT) {
        struct loss_result *sum = &stage->loss[recomputes(stage) ? LOSS_RECOMPUTED : LOSS_REPORTED];

        if (recomputes(stage) && compute_recompute(stage->compute, tensors, first, count, weights, error))
            return -1;
        if (stage_is_last(stage) && add_loss(stage, op, tensors, first, count, true, sum, error))
            return -1;
    }
    return compute_backward(stage->compute, tensors, first, count, halves[op->kind], weights, stage->gradient,
                            first > 1, error);
}

static int backward_groups(struct stage *stage, const struct op *op, const struct slot_tensors *tensors,
                           struct error *error)
{
    int end = op->first + op->count;

    for (int first = op->first, next; first < end; first = next) {
        struct backward_versions versions = versions_of_backward(stage->phase.tracker, op->minibatch, first);
        const float *weights = backward_weights(stage, versions, error);

        if (!weights)
            return -1;
        for (next = first; next < end; next++) {
            struct backward_versions other = versions_of_backward(stage->phase.tracker, op->minibatch, next);

            if (!same_weights(versions, other))
                break;
            if (op->kind != OP_BACKWARD_WEIGHTS)
                telemetry_backward(stage, &other);
        }
        if (backward_group(stage, op, first, next - first, tensors, weights, error))
            return -1;
    }
    return 0;
}

static int update(struct stage *stage, struct pending_op *pending, struct error *error)
{
    const struct config *config = &stage->plan->config;
    struct version_tracker *tracker = stage->phase.tracker;
    struct sgd sgd = {
        .rate = (float)learning_rate(config, stage->plan->minibatches_per_epoch, versions_live(tracker)),
        .momentum = (float)config->train.momentum,
        .weight_decay = (float)config->train.weight_decay,
        .nesterov = config->train.nesterov,
    };

    if (stage->device->type->mark(stage->device, &pending->update, error))
        return -1;
    save_version_before_update(stage);
    versions_update(tracker);
    if (weights_update(stage->weights, tracker, compute_backend(stage->compute), compute_engine(stage->compute), &sgd,
                       stage->gradient, stage->momentum, error))
        return -1;
    stage_set_applied(stage, versions_live(tracker));
    pending->record.updated = 1;
    return 0;
}

static int run_backward(struct stage *stage, const struct op *op, struct pending_op *pending, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    struct op_record *record = &pending->record;
    const struct plan_part *own = &stage->plan->parts[stage->index - 1];
    const bool sends = op->kind != OP_BACKWARD_WEIGHTS && !stage_is_first(stage);
    struct slot_tensors tensors = passes_tensors(stage, op);
    struct message message;
    struct backward_versions versions;
    int committed = 0;

    if (op->kind != OP_BACKWARD_WEIGHTS) {
        if (!stage_is_last(stage) && take(stage, &stage->links.up_in, op, own->output, &message, error))
            return -1;
        committed = stage_is_last(stage) ? committed_version(stage, op->minibatch) : message.version;
        if (stage_is_last(stage) && op->first == 1)
            telemetry_version_difference(stage, op->minibatch - (committed - phase->first_version));
        versions_begin_backward(phase->tracker, op, committed);
        weights_retire(stage->weights, phase->tracker);
        telemetry_versions(stage);
    }
    versions = versions_of_backward(phase->tracker, op->minibatch, op->first);
    record->version_read = versions.read;
    record->version_forward = versions.forward;
    record->version_live = versions.live;
    if ((sends && begin_slot(stage, &stage->links.up_out, op, error)) ||
        stage->device->type->mark(stage->device, &pending->begin, error) || backward_groups(stage, op, &tensors, error))
        return -1;
    versions_end(phase->tracker, op);
    if (sends && publish(stage, &stage->links.up_out, stage->index - 1, op, committed, own->input, record, error))
        return -1;
    progress_advance(&phase->progress, op);
    if (op->kind != OP_BACKWARD_INPUT && release_slot(stage, op, error))
        return -1;
    if (!schedule_updates_after(&phase->schedule, op))
        return 0;
    if (stage_is_last(stage)) {
        record->loss = (float)(stage->loss[LOSS_REPORTED].loss_sum / tensors.rows);
        count_loss(stage, tensors.rows);
    }
    telemetry_activity(stage, ACTIVITY_UPDATE, WAIT_NONE, op);
    return update(stage, pending, error);
}

int passes_replay(struct stage *stage, const struct op *op, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    const struct simulation *simulation = phase->simulation;
    float *floats;

    if (op->kind == OP_FORWARD)
        versions_begin_forward(phase->tracker, op,
                               phase->first_version + simulation_pin(simulation, op->minibatch, op->first));
    else
        versions_begin_backward(phase->tracker, op,
                                phase->first_version + simulation_committed(simulation, op->minibatch));
    weights_retire(stage->weights, phase->tracker);
    versions_end(phase->tracker, op);
    progress_advance(&phase->progress, op);
    if (!schedule_updates_after(&phase->schedule, op))
        return 0;
    save_version_before_update(stage);
    versions_update(phase->tracker);
    floats = weights_make_room(stage->weights, phase->tracker, error);
    return floats ? save_restore_version(stage, versions_live(phase->tracker), floats, error) : -1;
}

int passes_run(struct stage *stage, struct pending_op *pending, struct error *error)
{
    const struct op *op = &pending->op;
    int rows = batches_rows(stage->batches, op->minibatch);
    int failed;

    pending->record.rows = (uint32_t)rows_of(rows, stage->phase.schedule.microbatches, op);
    failed = op->kind == OP_FORWARD ? run_forward(stage, op, pending, error) : run_backward(stage, op, pending, error);
    telemetry_account(stage);
    return failed;
}
