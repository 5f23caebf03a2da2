#include "coordinator/record_prediction.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/numbers.h"
#include "schedule/follower.h"
#include "telemetry/recorder.h"
#include "telemetry/timeline.h"

/* The recording begins at this time of a clock that nobody has; and the stages' states are noted so often, at most. */
#define BEGIN_NS UINT64_C(1000000000)
enum { NOTES = 200 };

struct recording_made {
    const struct plan *plan;
    const struct prediction *prediction;
    struct schedule schedule;
    struct follower *follower;
    struct recorder *recorder;
    struct snapshot *snapshot;
    int next[MAX_STAGES];                            /* the op that each stage runs next */
    uint64_t free_ns[MAX_STAGES];                    /* when it had done the one before */
    int forwards[MAX_STAGES], backwards[MAX_STAGES]; /* micro-batches that each part has done with */
};

static struct op_record record_of(const struct recording_made *it, const struct timed_op *timed,
                                  const struct op_versions *versions)
{
    const struct op *op = &timed->op;
    const struct simulation *events = it->prediction->events;
    const bool forward = op->kind == OP_FORWARD;
    struct op_record record = {
        .start_ns = BEGIN_NS + (uint64_t)timed->start,
        .end_ns = BEGIN_NS + (uint64_t)timed->end,
        .epoch = 1,
        .minibatch = op->minibatch,
        .first = (int16_t)op->first,
        .count = (int16_t)op->count,
        .kind = (uint8_t)op->kind,
        .updated = versions->made != VERSION_UNKNOWN,
        .version_read = versions->read_first,
        .version_forward = versions->forward,
        .version_live = versions->live,
        .version_sent =
            forward ? simulation_pin(events, op->minibatch, op->first) : simulation_committed(events, op->minibatch),
        .rows = (uint32_t)(plan_minibatch_rows(it->plan, op->minibatch) * op->count / it->schedule.microbatches),
    };

    if (op->kind == OP_BACKWARD_WEIGHTS)
        record.version_read = backward_reading(it->schedule.backward)->terms ? VERSION_SUM : versions->live;
    if (record.updated)
        record.update_ns =
            min_u64((uint64_t)it->prediction->times[op->part - 1].update, record.end_ns - record.start_ns);
    return record;
}

static void count_backward(struct recording_made *it, struct stage_counters *counters, const struct op *op,
                           const struct op_versions *versions)
{
    const struct backward_versions read = {versions->forward, versions->live, versions->read_first};
    const double staleness = plan_staleness_of(it->plan, &read);

    counters->staleness_forward[min_int(versions->live - versions->forward, STALENESS_BUCKETS - 1)]++;
    counters->staleness_backward[min_int((int)ceil(staleness), STALENESS_BUCKETS - 1)]++;
    counters->staleness_forward_sum += (uint64_t)(versions->live - versions->forward);
    counters->staleness_millionths += (uint64_t)llround(1e6 * staleness);
    if (op->part == it->plan->part_count && op->first == 1)
        counters->version_difference[min_int(
            op->minibatch - simulation_committed(it->prediction->events, op->minibatch), DIFFERENCE_BUCKETS - 1)]++;
}

static int slots_between(int forwards, int backwards, int size)
{
    return (forwards + size - 1) / size - backwards / size;
}

/* What the part holds now, as a stage would tell (stages/telemetry.c). */
static void account(struct recording_made *it, int part)
{
    const struct plan_part *planned = &it->plan->parts[part - 1];
    const int forwards = it->forwards[part - 1], backwards = it->backwards[part - 1];
    struct stage_snapshot *stage = &it->snapshot->stages[part - 1];
    struct stage_counters *counters = &stage->counters;

    stage->version_count = follower_uses(it->follower, part, stage->versions);
    counters->versions = stage->version_count;
    counters->in_flight = slots_between(forwards, backwards, it->schedule.microbatches);
    counters->slots = slots_between(forwards, backwards, schedule_slot_size(&it->schedule));
    counters->memory[MEMORY_STASH] = (size_t)(max_int(counters->versions, 1) - 1 + (plan_combines(it->plan) ? 1 : 0)) *
                                     planned->slice.parameters * sizeof(float);
    if (it->plan->config.pipeline.backward_activations == ACTIVATIONS_STORED)
        counters->memory[MEMORY_ACTIVATIONS] =
            planned->memory[MEMORY_ACTIVATIONS] / (size_t)planned->activation_sets * (size_t)counters->slots;
    counters->versions_peak = max_int(counters->versions_peak, counters->versions);
    counters->in_flight_peak = max_int(counters->in_flight_peak, counters->in_flight);
    counters->slots_peak = max_int(counters->slots_peak, counters->slots);
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        counters->memory_peak[c] = max_u64(counters->memory_peak[c], counters->memory[c]);
}

/* A stage's next op has ended: takes it into the sums, and records it. */
static void end_op(struct recording_made *it, int stage)
{
    const struct timed_op timed = simulation_op(it->prediction->events, stage, it->next[stage - 1]++);
    const struct op_versions versions = follower_begin(it->follower, &timed.op);
    struct stage_snapshot *part = &it->snapshot->stages[timed.op.part - 1];
    struct stage_counters *counters = &part->counters;
    struct op_record record = record_of(it, &timed, &versions);

    follower_end(it->follower, &timed.op);
    record.wait_ns = record.start_ns - max_u64(it->free_ns[stage - 1], BEGIN_NS);
    record.wait_cause =
        (uint8_t)(record.wait_ns > 0 ? timeline_waited_for(it->plan, timed.op.part, &timed.op) : WAIT_NONE);
    it->free_ns[stage - 1] = record.end_ns;
    counters->ops++;
    counters->busy_ns += record.end_ns - record.start_ns;
    counters->update_ns += record.update_ns;
    counters->op_count[record.kind]++;
    counters->op_ns[record.kind] += record.end_ns - record.start_ns - record.update_ns;
    counters->wait_ns[record.wait_cause] += record.wait_ns;
    counters->epoch = 1;
    counters->minibatch = record.minibatch;
    if (record.kind == OP_BACKWARD || record.kind == OP_BACKWARD_INPUT)
        count_backward(it, counters, &timed.op, &versions);
    part->version_live += record.updated;
    if (timed.op.kind == OP_FORWARD)
        it->forwards[timed.op.part - 1] += timed.op.count;
    else if (timed.op.kind != OP_BACKWARD_INPUT)
        it->backwards[timed.op.part - 1] += timed.op.count;
    account(it, timed.op.part);
    recorder_op(it->recorder, timed.op.part, &record);
}

/* What all stages have done by then. */
static void note(struct recording_made *it, uint64_t now_ns, bool last)
{
    struct snapshot *snapshot = it->snapshot;

    snapshot->now_ns = now_ns;
    snapshot->state = last ? RUN_FINISHED : RUN_TRAINING;
    for (int k = 1; k <= snapshot->stage_count; k++) {
        struct stage_snapshot *part = &snapshot->stages[k - 1];

        part->state = last ? STAGE_DONE : STAGE_RUNNING;
    }
    recorder_note(it->recorder, snapshot);
}

static void play(struct recording_made *it)
{
    const struct simulation *events = it->prediction->events;

    for (int n = 0; n <= NOTES; n++) {
        const int64_t until = (int64_t)((double)events->duration * n / NOTES);

        for (int s = 1; s <= events->stage_count; s++)
            while (it->next[s - 1] < simulation_op_count(events, s) &&
                   (n == NOTES || simulation_op(events, s, it->next[s - 1]).end <= until))
                end_op(it, s);
        note(it, BEGIN_NS + (uint64_t)until, n == NOTES);
    }
}

static struct segment_header *header_of(const struct plan *plan)
{
    struct segment_header *header = calloc(1, sizeof(*header));

    if (!header)
        return NULL;
    header->start_ns = BEGIN_NS;
    header->start_time = time(NULL);
    header->plan = *plan;
    snprintf(header->name, sizeof(header->name), "simulated");
    return header;
}

static void begin_snapshot(struct recording_made *it)
{
    const struct plan *plan = it->plan;
    struct snapshot *snapshot = it->snapshot;

    snapshot->stage_count = plan->part_count;
    snapshot->slow_motion = 1;
    for (int k = 0; k < plan->part_count; k++) {
        struct stage_counters *counters = &snapshot->stages[k].counters;

        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            counters->memory[c] = plan->parts[k].memory[c];
        account(it, k + 1);
        snapshot->stages[k].allowed = true;
    }
}

int prediction_record(FILE *file, const struct plan *plan, const struct prediction *prediction, struct error *error)
{
    struct recording_made it = {.plan = plan, .prediction = prediction, .schedule = plan_training(plan)};
    struct segment_header *header;
    int result = -1;

    if (plan->tables)
        return error_set(error, "a recording has room for %d stages, not for %d", MAX_STAGES, plan->stage_count);
    if (prediction->minibatches > plan->minibatches_per_epoch)
        return error_set(error, "a recording has room for an epoch's %d mini-batches, not for %d",
                         plan->minibatches_per_epoch, prediction->minibatches);
    it.schedule.minibatches = prediction->minibatches;
    header = header_of(plan);
    it.snapshot = calloc(1, sizeof(*it.snapshot));
    it.follower = follower_create(&it.schedule, prediction->events);
    it.recorder = header ? recorder_begin_noted(file, header, UINT64_MAX) : NULL;
    if (it.snapshot && it.follower && it.recorder) {
        begin_snapshot(&it);
        play(&it);
        result = recorder_end(it.recorder) ? error_set(error, "the recording could not be written to its end") : 0;
    } else {
        error_set(error, "out of memory for the recording");
        recorder_end(it.recorder);
    }
    follower_destroy(it.follower);
    free(it.snapshot);
    free(header);
    return result;
}
