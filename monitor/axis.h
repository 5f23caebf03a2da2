/* Which stretch of time is on the screen, and how wide. */
#ifndef TP_MONITOR_AXIS_H
#define TP_MONITOR_AXIS_H

#include "monitor/view.h"
#include "telemetry/ticks.h"

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

/* Likewise in the order of things: `ticks` as axis_ticks made them, and the selected op or NULL. Columns that are no whole
 * tick are left out. Some room stays behind the newest op, where the plan goes on. */
struct time_axis axis_of_ticks(const struct view_state *state, const struct moment *moment, const struct ticks *ticks,
                               const struct tick_op *selected, int columns);

/* The ticks of what the state shows in so many columns. -1 if out of memory. */
int axis_ticks(const struct view_state *state, const struct moment *moment, const struct op_record *selected, int part,
               int columns, struct ticks *ticks);

/* How many columns a tick has: as the state asks for, or room for the names of the newest ops. */
int axis_tick_columns(const struct view_state *state, const struct moment *moment);
enum { TICK_COLUMNS_MAX = 12 };

/* The zoom that the state asks for, or one at which a forward has room for its name. */
uint64_t axis_zoom(const struct view_state *state, const struct moment *moment);

/* The zoom one step closer (direction > 0) or further. */
uint64_t axis_zoom_step(uint64_t ns_per_column, int direction);

#endif
