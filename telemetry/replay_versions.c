/* The versions that a part of a recorded run held, op by op: what the stage's own tracker said, said again from the records.
 * Recorded states, which are samples, lag behind them. */
#include "telemetry/recording_internal.h"

/* More ops of an epoch than these take too long to follow for every picture. */
enum { FOLLOWED_MAX = 50000 };

/* Where the epoch of the op before `end` begins, if that is of training; -1: it is not, or its begin is not in the records. */
static int epoch_begin(struct stage_history ops, int end)
{
    int k = end;

    while (k > 0 && ops.ops[k - 1].phase == PHASE_TRAIN && ops.ops[k - 1].epoch == ops.ops[end - 1].epoch)
        k--;
    return k < end && end - k <= FOLLOWED_MAX && ops.ops[k].kind == OP_FORWARD && ops.ops[k].minibatch == 1 &&
                   ops.ops[k].first == 1
               ? k
               : -1;
}

/* What part 1 sent with its n-th forward of an epoch travels with the micro-batch: the next one of these. */
static int next_pin(struct stage_history first, int *cursor, const struct op_record *record)
{
    for (; *cursor < first.count; ++*cursor) {
        const struct op_record *sent = &first.ops[*cursor];

        if (sent->epoch == record->epoch && sent->phase == PHASE_TRAIN && sent->kind == OP_FORWARD &&
            sent->minibatch == record->minibatch && sent->first == record->first)
            return sent->version_sent;
        if (sent->start_ns > record->start_ns)
            break;
    }
    return record->version_live;
}

static void begin_op(struct version_tracker *tracker, const struct op *op, const struct op_record *record, int pin)
{
    if (op->kind == OP_FORWARD)
        versions_begin_forward(tracker, op, pin < 0 ? 0 : pin);
    else
        versions_begin_backward(tracker, op, record->version_read < 0 ? record->version_live : record->version_read);
}

void replay_versions(const struct recording *recording, int part, int done, bool running, struct stage_snapshot *stage)
{
    const struct schedule schedule = plan_training(&recording->run.plan);
    const struct stage_history ops = recording_ops(recording, part), first = recording_ops(recording, 1);
    const int end = done + running, begin = end > 0 && end <= ops.count ? epoch_begin(ops, end) : -1;
    int cursor = 0;

    if (begin < 0)
        return;
    struct version_tracker *tracker = versions_create(&schedule, part, ops.ops[begin].version_live);
    if (!tracker)
        return;
    while (cursor < first.count && first.ops[cursor].epoch < ops.ops[begin].epoch)
        cursor++;
    for (int k = begin; k < end; k++) {
        const struct op_record *record = &ops.ops[k];
        struct op op = {(enum op_kind)record->kind, record->minibatch, record->first, record->count, part};

        begin_op(tracker, &op, record, op.kind == OP_FORWARD && part > 1 ? next_pin(first, &cursor, record) : 0);
        if (k == done)
            break;
        versions_end(tracker, &op);
        if (record->updated)
            versions_update(tracker);
    }
    stage->version_count = versions_uses(tracker, stage->versions);
    versions_destroy(tracker);
}
