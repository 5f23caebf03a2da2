#include "monitor/axis.h"

#include <string.h>

#include "base/numbers.h"
#include "monitor/facts.h"
#include "monitor/lane.h"
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
    const uint64_t forward = (uint64_t)((double)usual_forward(snapshot) * facts_stretch(snapshot));

    if (state->ns_per_column > 0)
        return min_u64(state->ns_per_column, ZOOM_MAX_NS);
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

/* Of each part, so many newest ops have room for their names. */
enum { NAMED_OPS = 8 };

int axis_tick_columns(const struct view_state *state, const struct moment *moment)
{
    size_t longest = 2;

    if (state->tick_columns > 0)
        return min_int(state->tick_columns, TICK_COLUMNS_MAX);
    for (int p = 0; p < moment->snapshot->stage_count; p++) {
        const struct stage_history *stage = &moment->history->stages[p];

        for (int k = max_int(0, stage->count - NAMED_OPS); k < stage->count; k++) {
            const struct op op = timeline_op(&stage->ops[k]);
            char label[OP_LABEL_SIZE];

            timeline_label(moment->snapshot->plan, (enum phase)stage->ops[k].phase, &op, label);
            if (strlen(label) > longest)
                longest = strlen(label);
            if (state->colouring == COLOURING_VERSION)
                longest = max_size(longest,
                                   strlen(lane_version(&(struct span){.version = stage->ops[k].version_live}, label)));
        }
    }
    return min_int((int)longest + 1, TICK_COLUMNS_MAX);
}

int axis_ticks(const struct view_state *state, const struct moment *moment, const struct op_record *selected, int part,
               int columns, struct ticks *ticks)
{
    const struct part_times nominal = nominal_times(&moment->snapshot->plan->schedule);
    const struct stage_history *stage = &moment->history->stages[part - 1];
    const int shown = columns / axis_tick_columns(state, moment) + 1;
    uint64_t right = state->right_ns > 0 ? state->right_ns : UINT64_MAX;
    int k = selected ? (int)(selected - stage->ops) + 3 * shown / 4 : stage->count;

    /* The selected op is always in sight. */
    if (k < stage->count && stage->ops[k].start_ns < right)
        right = stage->ops[k].start_ns;
    if (selected && selected->start_ns >= right)
        right = selected->end_ns;
    return ticks_create(ticks, moment->snapshot, moment->history, right, shown + 4 * moment->snapshot->stage_count,
                        state->costs ? &nominal : NULL);
}

struct time_axis axis_of_ticks(const struct view_state *state, const struct moment *moment, const struct ticks *ticks,
                               const struct tick_op *selected, int columns)
{
    const int width = axis_tick_columns(state, moment), shown = max_int(columns / width, 1);
    int64_t left = max_i64(ticks->now + shown / 4 - shown, 0);

    if (ticks->origin >= 0 && ticks->now - ticks->origin < shown - shown / 4)
        left = ticks->origin;
    if (selected && selected->start < left)
        left = max_i64(selected->start - shown / 4, 0);
    return (struct time_axis){
        .left = (uint64_t)left * TICK_UNITS,
        .ns_per_column = (uint64_t)(TICK_UNITS / width),
        .columns = min_int(columns, shown * width),
    };
}
