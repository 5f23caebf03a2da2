#include "telemetry/ticks.h"

#include <stdlib.h>

#include "base/numbers.h"

/* So many ops of all parts together are looked at in any case: then the epoch's begin is often among them. */
enum { OPS_USUAL = 16384 };

/* While ticks are made. */
struct making {
    struct ticks *ticks;
    const struct snapshot *snapshot;
    const struct part_times *costs;
    int taken[MAX_STAGES];                         /* ops of each part that have their ticks */
    int forward[MAX_STAGES], backward[MAX_STAGES]; /* of them, the first that its neighbour has not read yet */
    int64_t free[MAX_STAGES];                      /* when each stage is done with its last op */
};

/* The first op that begins at a time or after it. */
static int first_begun(const struct stage_history *stage, uint64_t ns)
{
    int low = 0, high = stage->count;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (stage->ops[middle].start_ns >= ns)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Since when a part's newest `wanted` ops before right_ns have begun; the latest such time of all parts, so that of no
 * part more are needed. */
static uint64_t begin_of(const struct history *history, int parts, uint64_t right_ns, int wanted)
{
    uint64_t begin = 0;

    for (int p = 0; p < parts; p++) {
        const struct stage_history *stage = &history->stages[p];
        const int end = first_begun(stage, right_ns);

        if (end > wanted)
            begin = max_u64(begin, stage->ops[end - wanted].start_ns);
    }
    return begin;
}

/* What the part runs now, as a record that has no end; false if it runs nothing, or its record is there. */
static bool take_running(struct op_record *record, const struct plan *plan, int part,
                         const struct stage_snapshot *stage, const struct stage_history *history)
{
    const struct activity *activity = &stage->activity;

    if (stage->state != STAGE_RUNNING || (activity->kind != ACTIVITY_RUN && activity->kind != ACTIVITY_UPDATE) ||
        (history->count > 0 && stage->activity_since_ns < history->ops[history->count - 1].end_ns))
        return false;
    *record = (struct op_record){
        .start_ns = stage->activity_since_ns,
        .epoch = timeline_epoch(stage),
        .minibatch = activity->op.minibatch,
        .first = (int16_t)activity->op.first,
        .count = (int16_t)activity->op.count,
        .kind = (uint8_t)activity->op.kind,
        .phase = (uint8_t)activity->phase,
        .wait_cause = (uint8_t)timeline_waited_for(plan, part, &activity->op),
    };
    return true;
}

/* The ops of all parts between two times, not in ticks yet. */
static void collect(struct ticks *ticks, const struct snapshot *snapshot, const struct history *history,
                    uint64_t begin_ns, uint64_t right_ns)
{
    int room = 0;

    for (int p = 0; p < snapshot->stage_count; p++) {
        const struct stage_history *stage = &history->stages[p];
        const int end = first_begun(stage, right_ns);

        ticks->first[p] = room;
        for (int k = first_begun(stage, begin_ns); k < end; k++)
            ticks->ops[room++] = (struct tick_op){.record = &stage->ops[k]};
        if (right_ns > snapshot->now_ns &&
            take_running(&ticks->running[p], snapshot->plan, p + 1, &snapshot->stages[p], stage))
            ticks->ops[room++] = (struct tick_op){.record = &ticks->running[p]};
        ticks->count[p] = room - ticks->first[p];
    }
}

/* Mini-batches, and micro-batches in them, follow each other in this order through every part and every link. */
static bool is_before(const struct op_record *a, const struct op_record *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch;
    if (a->phase != b->phase)
        return a->phase < b->phase;
    return a->minibatch != b->minibatch ? a->minibatch < b->minibatch : a->first < b->first;
}

/* When the neighbour's op of the same micro-batches is done, which has sent what this one reads; 0 if that is too long ago. */
static int64_t arrival(const struct making *it, int neighbour, int *next, const struct op_record *record, bool forward)
{
    const struct tick_op *ops = &it->ticks->ops[it->ticks->first[neighbour]];

    for (; *next < it->taken[neighbour]; ++*next) {
        const struct op_record *sent = ops[*next].record;

        if ((sent->kind == OP_FORWARD) != forward || sent->kind == OP_BACKWARD_WEIGHTS || is_before(sent, record))
            continue;
        return is_before(record, sent) ? 0 : ops[*next].end;
    }
    return 0;
}

static int64_t cost_of(const struct making *it, const struct op_record *record)
{
    return it->costs ? max_int(1, (int)it->costs->op[record->kind]) : 1;
}

static void take(struct making *it, int p)
{
    struct tick_op *op = &it->ticks->ops[it->ticks->first[p] + it->taken[p]++];
    const struct op_record *record = op->record;
    int64_t *free = &it->free[plan_stage_of(it->snapshot->plan, p + 1) - 1];

    op->start = *free;
    if (record->kind == OP_FORWARD && p > 0)
        op->start = max_i64(op->start, arrival(it, p - 1, &it->forward[p - 1], record, true));
    if (record->kind != OP_FORWARD && record->kind != OP_BACKWARD_WEIGHTS && p + 1 < it->snapshot->stage_count)
        op->start = max_i64(op->start, arrival(it, p + 1, &it->backward[p + 1], record, false));
    op->end = *free = op->start + cost_of(it, record);
    it->ticks->now = max_i64(it->ticks->now, op->end);
    if (p == 0 && record->kind == OP_FORWARD && record->phase == PHASE_TRAIN && record->minibatch == 1 &&
        record->first == 1)
        it->ticks->origin = op->start;
}

/* In the order in which they began: what an op reads has begun before it. */
static void place(struct making *it)
{
    for (;;) {
        const struct op_record *earliest = NULL;
        int part = 0;

        for (int p = 0; p < it->snapshot->stage_count; p++) {
            if (it->taken[p] == it->ticks->count[p])
                continue;
            const struct op_record *record = it->ticks->ops[it->ticks->first[p] + it->taken[p]].record;
            if (!earliest || record->start_ns < earliest->start_ns) {
                earliest = record;
                part = p;
            }
        }
        if (!earliest)
            return;
        take(it, part);
    }
}

int ticks_create(struct ticks *ticks, const struct snapshot *snapshot, const struct history *history, uint64_t right_ns,
                 int wanted, const struct part_times *costs)
{
    const int parts = snapshot->stage_count;
    const uint64_t begin_ns = begin_of(history, parts, right_ns, max_int(wanted, OPS_USUAL / max_int(parts, 1)));
    size_t room = MAX_STAGES;

    *ticks = (struct ticks){.origin = -1};
    for (int p = 0; p < parts; p++)
        room +=
            (size_t)max_int(0, first_begun(&history->stages[p], right_ns) - first_begun(&history->stages[p], begin_ns));
    ticks->ops = malloc(room * sizeof(*ticks->ops));
    ticks->running = malloc(MAX_STAGES * sizeof(*ticks->running));
    if (!ticks->ops || !ticks->running) {
        ticks_destroy(ticks);
        return -1;
    }
    collect(ticks, snapshot, history, begin_ns, right_ns);
    place(&(struct making){.ticks = ticks, .snapshot = snapshot, .costs = costs});
    return 0;
}

void ticks_destroy(struct ticks *ticks)
{
    free(ticks->ops);
    free(ticks->running);
    *ticks = (struct ticks){0};
}

static void visit_span(span_visitor *visit, void *context, struct span span, int64_t start, int64_t end)
{
    span.start = (uint64_t)start * TICK_UNITS;
    span.end = (uint64_t)end * TICK_UNITS;
    if (end > start)
        visit(context, &span);
}

void ticks_visit(const struct ticks *ticks, const struct snapshot *snapshot, int part, span_visitor *visit,
                 void *context)
{
    const struct tick_op *ops = &ticks->ops[ticks->first[part - 1]];
    const struct activity *activity = &snapshot->stages[part - 1].activity;
    int64_t since = 0;

    for (int k = 0; k < ticks->count[part - 1]; k++) {
        const struct op_record *record = ops[k].record;
        struct span span = timeline_span(snapshot->plan, record);

        if (record->wait_cause > WAIT_NONE && record->wait_cause < WAIT_CAUSES)
            visit_span(visit, context, (struct span){.kind = SPAN_WAIT, .cause = (enum wait_cause)record->wait_cause},
                       since, ops[k].start);
        visit_span(visit, context, span, ops[k].start, ops[k].end);
        since = ops[k].end;
    }
    if (activity->kind == ACTIVITY_WAIT || activity->kind == ACTIVITY_HELD)
        visit_span(
            visit, context,
            (struct span){.kind = activity->kind == ACTIVITY_WAIT ? SPAN_WAIT : SPAN_HELD, .cause = activity->cause},
            since, ticks->now);
}

const struct tick_op *ticks_find(const struct ticks *ticks, int part, const struct op_record *record)
{
    for (int k = 0; k < ticks->count[part - 1]; k++)
        if (ticks->ops[ticks->first[part - 1] + k].record == record)
            return &ticks->ops[ticks->first[part - 1] + k];
    return NULL;
}
