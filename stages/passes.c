/* One op, executed: choose the weight version, run the kernels, publish what the neighbour waits for, update. */
#include "base/clock.h"
#include "data/data.h"
#include "plan/learning_rate.h"
#include "plan/staleness.h"
#include "stages/internal.h"

struct slot_tensors passes_tensors(struct stage *stage, const struct op *op)
{
    const struct stage_layout *layout = compute_layout(stage->compute);
    int size = schedule_slot_size(&stage->phase.schedule);
    uint64_t n = stage_sequence(stage, op);
    size_t slot = n % (uint64_t)stage->plan->stages[stage->index - 1].activation_sets;

    return (struct slot_tensors){
        .rows = batches_rows(stage->batches, op->minibatch),
        .first_microbatch = (op->first - 1) / size * size + 1,
        .input = stage_is_first(stage) ? stage->images + slot * layout->input_floats : ring_slot(&stage->down_in, n),
        .output = stage_is_last(stage) ? NULL : ring_slot(&stage->down_out, n),
        .set = stage->sets + n % (uint64_t)stage->set_count * layout->set_floats,
        .output_gradient = stage_is_last(stage) ? NULL : ring_slot(&stage->up_in, n),
        .input_gradient = stage_is_first(stage) ? NULL : ring_slot(&stage->up_out, n),
    };
}

static int rows_of(int rows, int microbatches, const struct op *op)
{
    return microbatch_start(rows, microbatches, op->first - 1 + op->count) -
           microbatch_start(rows, microbatches, op->first - 1);
}

/* Takes the next message from a link; it must be the one that the schedule expects. */
static int take(struct ring_end *end, const struct op *op, const struct message **message, struct error *error)
{
    *message = ring_message(end, end->messages);
    if ((*message)->minibatch != op->minibatch || (*message)->first != op->first || (*message)->count != op->count)
        return error_set(error, "expected micro-batch %d of mini-batch %d on the link but found %d of %d", op->first,
                         op->minibatch, (*message)->first, (*message)->minibatch);
    end->messages++;
    return 0;
}

static void publish(struct stage *stage, struct ring_end *end, int neighbour, const struct op *op, int version,
                    struct shape shape, struct op_record *record)
{
    struct message message = {
        .minibatch = op->minibatch,
        .first = (int16_t)op->first,
        .count = (int16_t)op->count,
        .version = version,
    };
    uint64_t bytes = record->rows * shape_size(shape) * sizeof(float);

    ring_publish(end, &message);
    segment_ring_doorbell(stage->segment, neighbour);
    telemetry_sent(stage, bytes);
    record->bytes_sent = bytes;
    record->version_sent = version;
}

/* The op was the last of its slot at this stage: others may write there again. */
static void release_slot(struct stage *stage, const struct op *op)
{
    uint64_t done = stage_sequence(stage, op) + 1;

    if (!stage_is_first(stage)) {
        ring_release(&stage->down_in, done);
        segment_ring_doorbell(stage->segment, stage->index - 1);
    }
    if (!stage_is_last(stage)) {
        ring_release(&stage->up_in, done);
        segment_ring_doorbell(stage->segment, stage->index + 1);
    }
}

static void count_loss(struct phase_run *phase, const struct loss_result *result, int rows)
{
    phase->loss_sum += result->loss_sum;
    phase->top1 += result->top1;
    phase->top5 += result->top5;
    phase->samples += rows;
}

/* Evaluation: newest weights, running statistics, nothing kept. */
static int evaluate(struct stage *stage, const struct op *op, const struct slot_tensors *tensors,
                    struct op_record *record, struct error *error)
{
    struct loss_result result = {0};

    if (compute_forward(stage->compute, tensors, op->first, false, weights_live(stage->weights), stage->state, error))
        return -1;
    if (stage_is_last(stage)) {
        if (compute_loss(stage->compute, tensors, op->first, op->count, batches_labels(stage->batches, op->minibatch),
                         false, &result, error) ||
            divergence_check(stage, op, result.loss_sum, error))
            return -1;
        count_loss(&stage->phase, &result, (int)record->rows);
    }
    return 0;
}

static int run_forward(struct stage *stage, const struct op *op, struct op_record *record, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    struct slot_tensors tensors = passes_tensors(stage, op);
    const struct message *message = NULL;
    const float *weights;
    int pinned = phase->first_version;

    if (!stage_is_first(stage)) {
        if (take(&stage->down_in, op, &message, error))
            return -1;
        pinned = message->version;
    } else {
        batches_images(stage->batches, op->minibatch, tensors.first_microbatch, op->first,
                       (float *)(uintptr_t)tensors.input);
    }
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
        versions_end(phase->tracker, op);
    }
    if (!stage_is_last(stage))
        publish(stage, &stage->down_out, stage->index + 1, op, pinned, stage->plan->stages[stage->index - 1].output,
                record);
    progress_advance(&phase->progress, op);
    if (phase->kind == PHASE_EVALUATE && op->first % schedule_slot_size(&phase->schedule) == 0)
        release_slot(stage, op);
    return 0;
}

/* The newest version applied on every stage. Stage 1 is the last to be told to update, and every other stage finishes
 * its own update before its next op, so stage 1's version is everybody's by the time it is asked for. With static order
 * it is what the unit-time schedule says, so that a run can be repeated. */
static int committed_version(const struct stage *stage, int minibatch)
{
    if (stage->phase.simulation)
        return stage->phase.first_version + stage->phase.simulation->committed[minibatch - 1];
    return atomic_load_explicit(&segment_stage(stage->segment, 1)->applied, memory_order_acquire);
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
            ->blend(stage->plan->stages[stage->index - 1].slice.parameters, weights, stale, significance,
                    stage->blended, error))
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
        if (compute_layout_options(stage->compute)->recompute &&
            compute_recompute(stage->compute, tensors, first, count, weights, error))
            return -1;
        if (stage_is_last(stage) &&
            (compute_loss(stage->compute, tensors, first, count, batches_labels(stage->batches, op->minibatch), true,
                          &stage->phase.minibatch, error) ||
             divergence_check(stage, op, stage->phase.minibatch.loss_sum, error)))
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

static int update(struct stage *stage, struct op_record *record, struct error *error)
{
    const struct config *config = &stage->plan->config;
    struct version_tracker *tracker = stage->phase.tracker;
    uint64_t start = clock_now_ns();
    struct sgd sgd = {
        .rate = (float)learning_rate(config, stage->plan->minibatches_per_epoch, versions_live(tracker)),
        .momentum = (float)config->train.momentum,
        .weight_decay = (float)config->train.weight_decay,
        .nesterov = config->train.nesterov,
    };

    save_version_before_update(stage);
    versions_update(tracker);
    if (weights_update(stage->weights, tracker, compute_backend(stage->compute), &sgd, stage->gradient, stage->momentum,
                       error))
        return -1;
    /* Pairs with committed_version() at stage W. */
    atomic_store_explicit(&stage->block->applied, versions_live(tracker), memory_order_release);
    record->updated = 1;
    record->update_ns = clock_now_ns() - start;
    return 0;
}

static void finish_loss(struct stage *stage, const struct slot_tensors *tensors, struct op_record *record)
{
    struct phase_run *phase = &stage->phase;

    record->loss = (float)(phase->minibatch.loss_sum / tensors->rows);
    count_loss(phase, &phase->minibatch, tensors->rows);
    phase->minibatch = (struct loss_result){0};
}

static int run_backward(struct stage *stage, const struct op *op, struct op_record *record, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    struct slot_tensors tensors = passes_tensors(stage, op);
    const struct message *message = NULL;
    struct backward_versions versions;
    int committed = 0;

    if (op->kind != OP_BACKWARD_WEIGHTS) {
        if (!stage_is_last(stage) && take(&stage->up_in, op, &message, error))
            return -1;
        committed = message ? message->version : committed_version(stage, op->minibatch);
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
    if (backward_groups(stage, op, &tensors, error))
        return -1;
    versions_end(phase->tracker, op);
    if (op->kind != OP_BACKWARD_WEIGHTS && !stage_is_first(stage))
        publish(stage, &stage->up_out, stage->index - 1, op, committed, stage->plan->stages[stage->index - 1].input,
                record);
    progress_advance(&phase->progress, op);
    if (op->kind != OP_BACKWARD_INPUT)
        release_slot(stage, op);
    if (!schedule_updates_after(&phase->schedule, op))
        return 0;
    if (stage_is_last(stage))
        finish_loss(stage, &tensors, record);
    telemetry_activity(stage, ACTIVITY_UPDATE, WAIT_NONE, op);
    return update(stage, record, error);
}

int passes_replay(struct stage *stage, const struct op *op, struct error *error)
{
    struct phase_run *phase = &stage->phase;
    const struct simulation *simulation = phase->simulation;
    const int number = (op->minibatch - 1) * phase->schedule.microbatches + op->first - 1;
    float *floats;

    if (op->kind == OP_FORWARD)
        versions_begin_forward(phase->tracker, op, phase->first_version + simulation->pins[number]);
    else
        versions_begin_backward(phase->tracker, op, phase->first_version + simulation->committed[op->minibatch - 1]);
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

int passes_run(struct stage *stage, const struct op *op, struct op_record *record, struct error *error)
{
    int rows = batches_rows(stage->batches, op->minibatch);
    int failed;

    record->rows = (uint32_t)rows_of(rows, stage->phase.schedule.microbatches, op);
    failed = op->kind == OP_FORWARD ? run_forward(stage, op, record, error) : run_backward(stage, op, record, error);
    telemetry_account(stage);
    return failed;
}
