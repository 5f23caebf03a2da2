#include "monitor/timeline.h"

#include <stdio.h>

#include "base/numbers.h"

/* Columns that a forward should get; and what a column shows before anything was measured. */
enum { FORWARD_COLUMNS = 3, ZOOM_MIN_NS = 1000, ZOOM_FIRST_NS = 1000000 };
#define ZOOM_MAX_NS UINT64_C(100000000000)

static uint64_t max_ns(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

struct op timeline_op(const struct op_record *record)
{
    return (struct op){(enum op_kind)record->kind, record->minibatch, record->first, record->count};
}

int timeline_number(const struct plan *plan, int epoch, int minibatch)
{
    return (epoch - 1) * plan->minibatches_per_epoch + minibatch;
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

/* 1, 1.5, 2, 3, 5, 7, 10, ...: steps that the eye can follow, and none that is not whole. */
static uint64_t zoom_at(int step)
{
    static const int tenths[] = {10, 15, 20, 30, 50, 70};
    uint64_t ns = ZOOM_MIN_NS / 10;

    for (; step >= 6; step -= 6)
        ns *= 10;
    return ns * (uint64_t)tenths[step];
}

/* The last step that is not above. */
static int zoom_find(uint64_t ns)
{
    int step = 0;

    while (zoom_at(step + 1) <= ns && zoom_at(step) < ZOOM_MAX_NS)
        step++;
    return step;
}

uint64_t timeline_zoom_step(uint64_t ns_per_column, int direction)
{
    int step = zoom_find(ns_per_column);

    if (direction < 0)
        return zoom_at(step + (zoom_at(step) < ZOOM_MAX_NS));
    return zoom_at(zoom_at(step) < ns_per_column ? step : max_int(step - 1, 0));
}

/* Mean of the forwards of all stages; 0 if there was none. */
static uint64_t usual_forward(const struct snapshot *snapshot)
{
    uint64_t count = 0, ns = 0;

    for (int s = 0; s < snapshot->stage_count; s++) {
        count += snapshot->stages[s].counters.op_count[OP_FORWARD];
        ns += snapshot->stages[s].counters.op_ns[OP_FORWARD];
    }
    return count > 0 ? ns / count : 0;
}

uint64_t timeline_zoom(const struct view_state *state, const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    uint64_t forward = usual_forward(snapshot);

    if (state->ns_per_column > 0)
        return min_ns(state->ns_per_column, ZOOM_MAX_NS);
    if (snapshot->interactive && snapshot->slow_motion > 1)
        forward *= snapshot->slow_motion;
    return zoom_at(zoom_find(forward > 0 ? forward / FORWARD_COLUMNS : ZOOM_FIRST_NS));
}

static bool is_working(const struct stage_snapshot *stage)
{
    return stage->state == STAGE_RUNNING &&
           (stage->activity.kind == ACTIVITY_RUN || stage->activity.kind == ACTIVITY_UPDATE ||
            stage->activity.kind == ACTIVITY_SAVE);
}

bool timeline_stands(const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    bool held = false;
    int done = 0;

    if (moment->kind == MOMENT_ENDED || snapshot->state > RUN_TRAINING)
        return true;
    for (int s = 0; s < snapshot->stage_count; s++) {
        if (is_working(&snapshot->stages[s]))
            return false;
        held = held || snapshot->stages[s].activity.kind == ACTIVITY_HELD;
        done += snapshot->stages[s].state >= STAGE_DONE;
    }
    return held || done == snapshot->stage_count;
}

uint64_t timeline_newest(const struct moment *moment)
{
    uint64_t newest = moment->snapshot->start_ns;

    for (int s = 0; s < moment->snapshot->stage_count; s++) {
        const struct stage_history *stage = &moment->history->stages[s];

        if (stage->count > 0)
            newest = max_ns(newest, stage->ops[stage->count - 1].end_ns);
    }
    return min_ns(newest, max_ns(moment->snapshot->now_ns, moment->snapshot->start_ns));
}

struct time_axis timeline_axis(const struct view_state *state, const struct moment *moment, int columns)
{
    struct time_axis axis = {.ns_per_column = timeline_zoom(state, moment), .columns = columns};
    uint64_t right = state->right_ns, width = axis.ns_per_column * (uint64_t)columns;

    if (right == 0) {
        right = moment->snapshot->now_ns;
        if (timeline_stands(moment))
            right = min_ns(right, timeline_newest(moment) + width / 8);
    }
    /* The selected op is always in sight. */
    if (state->cursor_ns > 0 && state->cursor_ns >= right)
        right = state->cursor_ns + width / 4;
    if (state->cursor_ns > 0 && state->cursor_ns + width < right)
        right = state->cursor_ns + width - width / 4;
    /* Whole columns, so that a picture that moves does not shimmer. */
    right = (right / axis.ns_per_column + 1) * axis.ns_per_column;
    axis.left = right > width ? right - width : 0;
    return axis;
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

const struct op_record *timeline_find(const struct moment *moment, int stage, uint64_t ns)
{
    const struct stage_history *history = &moment->history->stages[stage - 1];
    int k = first_after(history, ns);

    if (history->count == 0)
        return NULL;
    if (k == history->count)
        return &history->ops[k - 1];
    if (k > 0 && history->ops[k].start_ns > ns && history->ops[k].start_ns - ns > ns - history->ops[k - 1].end_ns)
        k--;
    return &history->ops[k];
}

struct visit {
    const struct moment *moment;
    span_visitor *visit;
    void *context;
};

static void visit_span(const struct visit *visit, struct span span)
{
    if (span.end > span.start)
        visit->visit(visit->context, &span);
}

/* Idle time from the op before to `start`: at its end the stage waited; what is left over within one phase of an
 * interactive run is time in which the controls held it. */
static void visit_idle(const struct visit *visit, const struct op_record *before, const struct op_record *op)
{
    uint64_t since = before ? before->end_ns : op->start_ns - min_ns(op->wait_ns, op->start_ns);
    uint64_t waits = op->start_ns > op->wait_ns ? max_ns(op->start_ns - op->wait_ns, since) : since;

    if (before && visit->moment->snapshot->interactive && before->phase == op->phase && before->epoch == op->epoch)
        visit_span(visit, (struct span){.start = since, .end = waits, .kind = SPAN_HELD});
    if (op->wait_cause > WAIT_NONE && op->wait_cause < WAIT_CAUSES)
        visit_span(visit, (struct span){.start = waits,
                                        .end = op->start_ns,
                                        .kind = SPAN_WAIT,
                                        .cause = (enum wait_cause)op->wait_cause});
}

/* What the stage does now lasts until now. */
static void visit_now(const struct visit *visit, int s, const struct op_record *last)
{
    const struct snapshot *snapshot = visit->moment->snapshot;
    const struct stage_snapshot *stage = &snapshot->stages[s - 1];
    const struct activity *activity = &stage->activity;
    uint64_t since = max_ns(stage->activity_since_ns, last ? last->end_ns : 0);
    struct span span = {.start = since, .end = snapshot->now_ns, .phase = activity->phase, .op = activity->op};

    /* A record that came between the two readings is this very op. */
    if (stage->state != STAGE_RUNNING || (last && stage->activity_since_ns < last->start_ns))
        return;
    span.number = timeline_number(snapshot->plan, timeline_epoch(stage), activity->op.minibatch);
    span.cause = activity->cause;
    span.kind = activity->kind == ACTIVITY_WAIT                                       ? SPAN_WAIT
                : activity->kind == ACTIVITY_HELD                                     ? SPAN_HELD
                : activity->kind == ACTIVITY_RUN || activity->kind == ACTIVITY_UPDATE ? SPAN_OP
                                                                                      : SPAN_NONE;
    if (span.kind != SPAN_NONE)
        visit_span(visit, span);
}

void timeline_visit(const struct moment *moment, int stage, const struct time_axis *axis, span_visitor *visitor,
                    void *context)
{
    const struct stage_history *history = &moment->history->stages[stage - 1];
    const struct visit visit = {moment, visitor, context};
    uint64_t right = axis_right(axis);
    int k = first_after(history, axis->left);

    for (; k < history->count &&
           history->ops[k].start_ns - min_ns(history->ops[k].wait_ns, history->ops[k].start_ns) < right;
         k++) {
        const struct op_record *op = &history->ops[k];

        visit_idle(&visit, k > 0 ? op - 1 : NULL, op);
        visit_span(&visit, (struct span){
                               .start = op->start_ns,
                               .end = op->end_ns,
                               .kind = SPAN_OP,
                               .phase = (enum phase)op->phase,
                               .op = timeline_op(op),
                               .number = timeline_number(moment->snapshot->plan, op->epoch, op->minibatch),
                               .updated = op->updated != 0,
                           });
    }
    if (k == history->count)
        visit_now(&visit, stage, k > 0 ? &history->ops[k - 1] : NULL);
}
