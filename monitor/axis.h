/* Which stretch of time is on the screen, and how wide. */
#ifndef TP_MONITOR_AXIS_H
#define TP_MONITOR_AXIS_H

#include "monitor/view.h"

/* Columns of time: column c begins at left + c * ns_per_column. */
struct time_axis {
    uint64_t left, ns_per_column;
    int columns;
};

static inline uint64_t axis_right(const struct time_axis *axis)
{
    return axis->left + axis->ns_per_column * (uint64_t)axis->columns;
}

/* What the state shows in so many columns. It follows the newest op, but not a run in which nothing runs: then what
 * happened last stays in sight. */
struct time_axis axis_shown(const struct view_state *state, const struct moment *moment, int columns);

/* The zoom that the state asks for, or one at which a forward has room for its name. */
uint64_t axis_zoom(const struct view_state *state, const struct moment *moment);

/* The zoom one step closer (direction > 0) or further. */
uint64_t axis_zoom_step(uint64_t ns_per_column, int direction);

#endif
