#include "telemetry/timeline.h"

#include <stdio.h>

#include "base/numbers.h"

struct op timeline_op(const struct op_record *record)
{
    return (struct op){(enum op_kind)record->kind, record->minibatch, record->first, record->count, 0};
}

int timeline_number(const struct plan *plan, int epoch, int minibatch)
{
    return (epoch - 1) * plan->minibatches_per_epoch + minibatch;
}

static const struct reading *reading_of(const struct plan *plan, const struct op_record *record)
{
    return record->kind == OP_FORWARD ? forward_reading(plan->schedule.forward)
                                      : backward_reading(plan->schedule.backward);
}

bool timeline_reads_sum(const struct plan *plan, const struct op_record *record)
{
    return record->phase == PHASE_TRAIN && record->version_read < 0 && reading_of(plan, record)->terms;
}

struct summed_read timeline_summed_read(const struct plan *plan, int part, const struct op_record *record)
{
    return (struct summed_read){
        .reading = reading_of(plan, record),
        .part = part,
        .staleness = record->kind == OP_FORWARD
                         ? plan_staleness_ahead(plan, record->epoch, record->minibatch, record->version_live)
                         : record->version_live - record->version_forward,
        .forward = record->version_forward,
        .live = record->version_live,
    };
}

static int version_of(const struct op_record *record)
{
    if (record->kind == OP_BACKWARD_WEIGHTS || record->end_ns == 0)
        return -1;
    return record->version_read >= 0 ? record->version_read : record->version_live;
}

struct span timeline_span(const struct plan *plan, const struct op_record *record)
{
    return (struct span){
        .start = record->start_ns,
        .end = record->end_ns,
        .kind = SPAN_OP,
        .phase = (enum phase)record->phase,
        .op = timeline_op(record),
        .number = timeline_number(plan, record->epoch, record->minibatch),
        .record = record,
        .version = version_of(record),
        .made = record->updated ? record->version_live + 1 : 0,
        .updated = record->updated != 0,
    };
}

int timeline_epoch(const struct stage_snapshot *stage)
{
    bool next = stage->counters.phase == PHASE_EVALUATE && stage->activity.phase == PHASE_TRAIN;

    return max_int(stage->counters.epoch + next, 1);
}

void timeline_label(const struct plan *plan, enum phase phase, const struct op *op, char label[OP_LABEL_SIZE])
{
    const struct schedule schedule = phase == PHASE_TRAIN ? plan_training(plan) : plan_evaluation(plan);
    char text[OP_TEXT_SIZE];

    op_format(op, &schedule, text);
    snprintf(label, OP_LABEL_SIZE, "%s%s", phase == PHASE_TRAIN ? "" : "t", text);
}

uint64_t timeline_newest(const struct snapshot *snapshot, const struct history *history)
{
    uint64_t newest = snapshot->start_ns;

    for (int s = 0; s < snapshot->stage_count; s++) {
        const struct stage_history *stage = &history->stages[s];

        if (stage->count > 0)
            newest = max_u64(newest, stage->ops[stage->count - 1].end_ns);
    }
    return min_u64(newest, max_u64(snapshot->now_ns, snapshot->start_ns));
}

/* The first op that ends after a time. */
static int first_after(const struct stage_history *stage, uint64_t ns)
{
    int low = 0, high = stage->count;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (stage->ops[middle].end_ns > ns)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct op_record *timeline_find(const struct stage_history *history, uint64_t ns)
{
    int k = first_after(history, ns);

    if (history->count == 0)
        return NULL;
    if (k == history->count)
        return &history->ops[k - 1];
    if (k > 0 && history->ops[k].start_ns > ns && history->ops[k].start_ns - ns > ns - history->ops[k - 1].end_ns)
        k--;
    return &history->ops[k];
}

int timeline_done(const struct history *history, int part)
{
    const struct stage_history *stage = &history->stages[part - 1];

    for (int k = stage->count - 1; k >= 0; k--)
        if (stage->ops[k].updated)
            return stage->ops[k].minibatch;
    return 0;
}

struct visit {
    const struct snapshot *snapshot;
    span_visitor *visit;
    void *context;
};

static void visit_span(const struct visit *visit, struct span span)
{
    if (span.end > span.start)
        visit->visit(visit->context, &span);
}

/* Idle time from the op before to `start`: at its end the stage waited, at last for a core; what is left over within one phase of an
 * interactive run is time in which the controls held it, or another of its parts ran. */
static void visit_idle(const struct visit *visit, const struct op_record *before, const struct op_record *op)
{
    uint64_t since = before ? before->end_ns : op->start_ns - min_u64(op->wait_ns, op->start_ns);
    uint64_t waits = op->start_ns > op->wait_ns ? max_u64(op->start_ns - op->wait_ns, since) : since;

    if (before && visit->snapshot->interactive && visit->snapshot->plan->schedule.parts == 1 &&
        before->phase == op->phase && before->epoch == op->epoch)
        visit_span(visit, (struct span){.start = since, .end = waits, .kind = SPAN_HELD});
    if (op->wait_cause <= WAIT_NONE || op->wait_cause >= WAIT_CAUSES)
        return;
    const uint64_t core = max_u64(op->start_ns - min_u64(op->wait_core_ns, op->start_ns), waits);
    visit_span(visit,
               (struct span){.start = waits, .end = core, .kind = SPAN_WAIT, .cause = (enum wait_cause)op->wait_cause});
    visit_span(visit, (struct span){.start = core, .end = op->start_ns, .kind = SPAN_WAIT, .cause = WAIT_CORE});
}

enum wait_cause timeline_waited_for(const struct plan *plan, int part, const struct op *op)
{
    if (op->kind == OP_BACKWARD_WEIGHTS)
        return WAIT_NONE;
    if (op->kind == OP_FORWARD)
        return part > 1 ? WAIT_ACTIVATION : WAIT_GRADIENT;
    return part < plan->part_count ? WAIT_GRADIENT : WAIT_ACTIVATION;
}

/* What the stage does now lasts until now. */
static void visit_now(const struct visit *visit, int s, const struct op_record *last)
{
    const struct snapshot *snapshot = visit->snapshot;
    const struct stage_snapshot *stage = &snapshot->stages[s - 1];
    const struct activity *activity = &stage->activity;
    uint64_t since = max_u64(stage->activity_since_ns, last ? last->end_ns : 0);
    struct span span = {
        .start = since, .end = snapshot->now_ns, .phase = activity->phase, .op = activity->op, .version = -1};

    /* A record that came between the two readings is this very op. */
    if (stage->state != STAGE_RUNNING || (last && stage->activity_since_ns < last->start_ns))
        return;
    span.number = timeline_number(snapshot->plan, timeline_epoch(stage), activity->op.minibatch);
    span.cause = activity->cause;
    span.kind = activity->kind == ACTIVITY_WAIT                                       ? SPAN_WAIT
                : activity->kind == ACTIVITY_HELD                                     ? SPAN_HELD
                : activity->kind == ACTIVITY_RUN || activity->kind == ACTIVITY_UPDATE ? SPAN_OP
                                                                                      : SPAN_NONE;
    if (span.kind == SPAN_OP && last && !snapshot->interactive && snapshot->plan->schedule.parts == 1 &&
        last->phase == activity->phase)
        visit_span(visit, (struct span){.start = last->end_ns,
                                        .end = since,
                                        .kind = SPAN_WAIT,
                                        .cause = timeline_waited_for(snapshot->plan, s, &activity->op)});
    if (span.kind != SPAN_NONE)
        visit_span(visit, span);
}

void timeline_visit(const struct snapshot *snapshot, const struct history *history, int stage, uint64_t start,
                    uint64_t end, span_visitor *visitor, void *context)
{
    const struct stage_history *ops = &history->stages[stage - 1];
    const struct visit visit = {snapshot, visitor, context};
    int k = first_after(ops, start);

    for (; k < ops->count && ops->ops[k].start_ns - min_u64(ops->ops[k].wait_ns, ops->ops[k].start_ns) < end; k++) {
        visit_idle(&visit, k > 0 ? &ops->ops[k - 1] : NULL, &ops->ops[k]);
        visit_span(&visit, timeline_span(snapshot->plan, &ops->ops[k]));
    }
    if (k == ops->count)
        visit_now(&visit, stage, k > 0 ? &ops->ops[k - 1] : NULL);
}
