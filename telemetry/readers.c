#include "telemetry/readers.h"

#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "telemetry/timeline.h"

/* As far as one looks back: what lies further cannot be on its way any more. */
enum { LOOK_BACK = 4096 };

/* Micro-batches of one mini-batch, of which nothing has been written yet if `count` is 0. */
struct readers {
    const struct plan *plan;
    char *text;
    int length;
    struct op op;
};

static void flush(struct readers *readers)
{
    struct op last = readers->op;
    char from[OP_LABEL_SIZE], to[OP_LABEL_SIZE];

    if (readers->op.count == 0)
        return;
    last.first += readers->op.kind == OP_FORWARD ? readers->op.count - 1 : 0;
    timeline_label(readers->plan, PHASE_TRAIN, &readers->op, from);
    timeline_label(readers->plan, PHASE_TRAIN, &last, to);
    readers->length += snprintf(readers->text + readers->length, (size_t)(READERS_TEXT_MAX - readers->length),
                                last.first > readers->op.first ? "%s%s-%s" : "%s%s", readers->length > 0 ? " " : "",
                                from, to + (last.first > readers->op.first ? strspn(to, "0123456789") : 0));
    readers->length = min_int(readers->length, READERS_TEXT_MAX - 1);
    readers->op.count = 0;
}

static void add(struct readers *readers, const struct op_record *record)
{
    const struct op op = timeline_op(record);

    if (op.kind == OP_FORWARD && readers->op.count > 0 && readers->op.kind == OP_FORWARD &&
        readers->op.minibatch == op.minibatch && readers->op.first + readers->op.count == op.first) {
        readers->op.count++;
        return;
    }
    flush(readers);
    readers->op = op;
    if (op.kind == OP_FORWARD)
        readers->op.count = 1;
}

static bool is_backward(const struct op_record *record)
{
    return record->kind == OP_BACKWARD || record->kind == OP_BACKWARD_INPUT;
}

static bool is_of_kind(const struct op_record *record, bool forward)
{
    return record->phase == PHASE_TRAIN && (forward ? record->kind == OP_FORWARD : is_backward(record));
}

/* Whether the part has begun the record's op, or one after it. */
static bool has_begun(const struct stage_snapshot *stage, const struct op_record *newest,
                      const struct op_record *record)
{
    const struct activity *activity = &stage->activity;

    if (newest && (newest->epoch > record->epoch ||
                   (newest->epoch == record->epoch &&
                    (newest->minibatch > record->minibatch ||
                     (newest->minibatch == record->minibatch && newest->first >= record->first)))))
        return true;
    return (activity->kind == ACTIVITY_RUN || activity->kind == ACTIVITY_UPDATE) && activity->phase == PHASE_TRAIN &&
           (activity->op.kind == OP_FORWARD) == (record->kind == OP_FORWARD) &&
           activity->op.kind != OP_BACKWARD_WEIGHTS && timeline_epoch(stage) == record->epoch &&
           activity->op.minibatch == record->minibatch && activity->op.first >= record->first;
}

static const struct op_record *newest_of(const struct stage_history *history, bool forward)
{
    for (int k = history->count - 1; k >= max_int(0, history->count - LOOK_BACK); k--)
        if (is_of_kind(&history->ops[k], forward))
            return &history->ops[k];
    return NULL;
}

/* Those of the source's ops that the part has not begun and that read the version, oldest first. */
static void add_from(struct readers *readers, const struct snapshot *snapshot, const struct history *history,
                     int source, int part, int version, bool forward)
{
    const struct stage_history *from = &history->stages[source - 1];
    const struct stage_snapshot *stage = &snapshot->stages[part - 1];
    const struct op_record *newest = newest_of(&history->stages[part - 1], forward);
    int k = from->count;

    while (k > max_int(0, from->count - LOOK_BACK) &&
           (!is_of_kind(&from->ops[k - 1], forward) || !has_begun(stage, newest, &from->ops[k - 1])))
        k--;
    for (; k < from->count; k++)
        if (is_of_kind(&from->ops[k], forward) && from->ops[k].version_read == version)
            add(readers, &from->ops[k]);
}

void readers_to_come(const struct snapshot *snapshot, const struct history *history, int part, int version,
                     char text[READERS_TEXT_MAX])
{
    const struct plan *plan = snapshot->plan;
    struct readers readers = {.plan = plan, .text = text};

    text[0] = '\0';
    if (forward_reading(plan->schedule.forward)->source == SOURCE_PINNED && part > 1)
        add_from(&readers, snapshot, history, 1, part, version, true);
    if (plan->schedule.backward == BACKWARD_COMMITTED && part < snapshot->stage_count)
        add_from(&readers, snapshot, history, snapshot->stage_count, part, version, false);
    flush(&readers);
}
