/* The schedule view's keys: zoom, move through time, select an op. */
#include "base/numbers.h"
#include "monitor/axis.h"
#include "monitor/draw.h"
#include "telemetry/timeline.h"

/* What a key moves, in columns: it does not know how wide the screen is. */
enum { MOVE_COLUMNS = 8, PAGE_COLUMNS = 40 };

static int selected_stage(const struct view_state *state, const struct moment *moment)
{
    return max_int(1, min_int(state->cursor_stage, moment->snapshot->stage_count));
}

static uint64_t right_of(const struct view_state *state, const struct moment *moment)
{
    const struct time_axis axis = axis_shown(state, moment, 1);

    return state->right_ns > 0 ? state->right_ns : axis_right(&axis);
}

static void move(struct view_state *state, const struct moment *moment, int columns)
{
    uint64_t by = axis_zoom(state, moment) * (uint64_t)(columns < 0 ? -columns : columns);
    uint64_t right = right_of(state, moment), newest = moment->snapshot->now_ns;
    uint64_t oldest = moment->snapshot->start_ns;

    if (columns < 0)
        state->right_ns = right > oldest + by ? right - by : oldest + 1;
    else
        state->right_ns = right + by < newest ? right + by : 0;
    state->cursor_ns = 0;
}

/* In the order of things: from op to op of the selected stage, as many as those columns are ticks. */
static void move_ticks(struct view_state *state, const struct moment *moment, int columns)
{
    const struct stage_history *history = &moment->history->stages[selected_stage(state, moment) - 1];
    const int width = axis_tick_columns(state, moment), by = columns / width != 0 ? columns / width
                                                             : columns < 0        ? -1
                                                                                  : 1;
    const struct op_record *newest = state->right_ns > 0 ? timeline_find(history, state->right_ns) : NULL;
    int k = (newest ? (int)(newest - history->ops) : history->count) + by;

    state->cursor_ns = 0;
    k = max_int(k, min_int(history->count, PAGE_COLUMNS / width));
    state->right_ns = k < history->count ? history->ops[k].start_ns : 0;
}

static void go(struct view_state *state, const struct moment *moment, int columns)
{
    if (state->ticks)
        move_ticks(state, moment, columns);
    else
        move(state, moment, columns);
}

void schedule_zoom(struct view_state *state, const struct moment *moment, int direction, const struct time_axis *axis,
                   int column)
{
    if (state->ticks) {
        state->tick_columns = max_int(1, min_int(axis_tick_columns(state, moment) + direction, TICK_COLUMNS_MAX));
        return;
    }
    state->ns_per_column = axis_zoom_step(axis_zoom(state, moment), direction);
    /* What follows the newest op goes on to. */
    if (axis && state->right_ns > 0)
        state->right_ns = axis->left + axis->ns_per_column * (uint64_t)column +
                          state->ns_per_column * (uint64_t)(axis->columns - column) - 1;
    if (state->right_ns >= moment->snapshot->now_ns)
        state->right_ns = 0;
}

static void select_op(struct view_state *state, const struct op_record *op)
{
    if (op)
        state->cursor_ns = op->start_ns + (op->end_ns - op->start_ns) / 2;
}

void schedule_select(struct view_state *state, const struct moment *moment, int stage, const struct op_record *op)
{
    state->cursor_stage = stage;
    if (op)
        state->right_ns = right_of(state, moment);
    else
        state->cursor_ns = 0;
    select_op(state, op);
}

static void select_newest(struct view_state *state, const struct moment *moment)
{
    const int stage = selected_stage(state, moment);

    schedule_select(state, moment, stage, timeline_find(&moment->history->stages[stage - 1], right_of(state, moment)));
}

static void select_neighbour(struct view_state *state, const struct moment *moment, int direction)
{
    int stage = selected_stage(state, moment);
    const struct stage_history *history = &moment->history->stages[stage - 1];
    const struct op_record *op = timeline_find(history, state->cursor_ns);

    if (op)
        select_op(state, &history->ops[max_int(0, min_int((int)(op - history->ops) + direction, history->count - 1))]);
}

static void select_oldest(struct view_state *state, const struct moment *moment)
{
    uint64_t oldest = timeline_newest(moment->snapshot, moment->history);

    for (int s = 0; s < moment->snapshot->stage_count; s++)
        if (moment->history->stages[s].count > 0 && moment->history->stages[s].ops[0].start_ns < oldest)
            oldest = moment->history->stages[s].ops[0].start_ns;
    state->cursor_ns = 0;
    state->right_ns = oldest + PAGE_COLUMNS * axis_zoom(state, moment);
}

bool schedule_key(struct view_state *state, const struct moment *moment, int key)
{
    int direction = key == PRESS_LEFT || key == PRESS_PAGE_UP ? -1 : 1;

    switch (key) {
    case '+':
    case '=':
        schedule_zoom(state, moment, 1, NULL, 0);
        return true;
    case '-':
        schedule_zoom(state, moment, -1, NULL, 0);
        return true;
    case '0':
        state->ns_per_column = 0;
        state->tick_columns = 0;
        return true;
    case 't':
        state->ticks = !state->ticks;
        return true;
    case 'c':
        state->colouring = (enum colouring)((state->colouring + 1) % COLOURINGS);
        return true;
    case 'w':
        state->costs = !state->costs;
        return true;
    case PRESS_LEFT:
    case PRESS_RIGHT:
        if (state->cursor_ns > 0)
            select_neighbour(state, moment, direction);
        else
            go(state, moment, direction * MOVE_COLUMNS);
        return true;
    case PRESS_PAGE_UP:
    case PRESS_PAGE_DOWN:
        go(state, moment, direction * PAGE_COLUMNS);
        return true;
    case PRESS_HOME:
        select_oldest(state, moment);
        return true;
    case PRESS_END:
        state->cursor_ns = state->right_ns = 0;
        return true;
    case PRESS_ENTER:
        select_newest(state, moment);
        return true;
    case PRESS_ESCAPE: /* from an op to none, and from the past to now */
        if (state->cursor_ns == 0)
            state->right_ns = 0;
        state->cursor_ns = 0;
        return true;
    default:
        return false;
    }
}
