/* What each stage did when, and which stretch of it is on the screen. */
#ifndef TP_MONITOR_TIMELINE_H
#define TP_MONITOR_TIMELINE_H

#include "monitor/view.h"

enum span_kind { SPAN_NONE, SPAN_OP, SPAN_WAIT, SPAN_HELD };

/* A stretch of one stage's time. */
struct span {
    uint64_t start, end;
    enum span_kind kind;
    enum wait_cause cause; /* SPAN_WAIT */
    enum phase phase;
    struct op op; /* SPAN_OP */
    int number;   /* of its mini-batch, counted through the run's training: gives its colour */
    bool updated; /* an update followed, within the span */
    bool selected;
};

/* Columns of time: column c begins at left + c * ns_per_column. */
struct time_axis {
    uint64_t left, ns_per_column;
    int columns;
};

static inline uint64_t axis_right(const struct time_axis *axis)
{
    return axis->left + axis->ns_per_column * (uint64_t)axis->columns;
}

/* The zoom that the state asks for, or one at which a forward has room for its name. */
uint64_t timeline_zoom(const struct view_state *state, const struct moment *moment);

/* The zoom one step closer (direction > 0) or further. */
uint64_t timeline_zoom_step(uint64_t ns_per_column, int direction);

/* What the state shows in so many columns. It follows the newest op, but not a run in which nothing runs: then what
 * happened last stays in sight. */
struct time_axis timeline_axis(const struct view_state *state, const struct moment *moment, int columns);

/* Whether nothing goes on: no stage computes, and some are held, or all are done. */
bool timeline_stands(const struct moment *moment);

/* The time of the last thing that happened. */
uint64_t timeline_newest(const struct moment *moment);

/* The op of a stage that is nearest to a time, or NULL if none is known. */
const struct op_record *timeline_find(const struct moment *moment, int stage, uint64_t ns);

/* Calls `visit` for the spans of a stage that reach into the axis, oldest first; they do not overlap. */
typedef void span_visitor(void *context, const struct span *span);
void timeline_visit(const struct moment *moment, int stage, const struct time_axis *axis, span_visitor *visit,
                    void *context);

/* The record's op; and its mini-batch, counted through the run. */
struct op timeline_op(const struct op_record *record);
int timeline_number(const struct plan *plan, int epoch, int minibatch);

/* The epoch of what a stage does now; its counters tell that of the last op it has done. */
int timeline_epoch(const struct stage_snapshot *stage);

/* What op_format writes, with a 't' in front of an evaluation's. */
enum { OP_LABEL_SIZE = OP_TEXT_SIZE + 1 };
void timeline_label(const struct plan *plan, enum phase phase, const struct op *op, char label[OP_LABEL_SIZE]);

#endif
