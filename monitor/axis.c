#include "monitor/axis.h"

#include "base/numbers.h"
#include "monitor/facts.h"
#include "telemetry/timeline.h"

/* Columns that a forward should get; and what a column shows before anything was measured. */
enum { FORWARD_COLUMNS = 3, ZOOM_MIN_NS = 1000, ZOOM_FIRST_NS = 1000000 };
#define ZOOM_MAX_NS UINT64_C(100000000000)

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

uint64_t axis_zoom_step(uint64_t ns_per_column, int direction)
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

uint64_t axis_zoom(const struct view_state *state, const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    uint64_t forward = usual_forward(snapshot);

    if (state->ns_per_column > 0)
        return min_u64(state->ns_per_column, ZOOM_MAX_NS);
    if (snapshot->interactive && snapshot->slow_motion > 1)
        forward *= snapshot->slow_motion;
    return zoom_at(zoom_find(forward > 0 ? forward / FORWARD_COLUMNS : ZOOM_FIRST_NS));
}

struct time_axis axis_shown(const struct view_state *state, const struct moment *moment, int columns)
{
    struct time_axis axis = {.ns_per_column = axis_zoom(state, moment), .columns = columns};
    uint64_t right = state->right_ns, width = axis.ns_per_column * (uint64_t)columns;

    if (right == 0) {
        right = moment->snapshot->now_ns;
        if (facts_stand(moment))
            right = min_u64(right, timeline_newest(moment->snapshot, moment->history) + width / 8);
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
