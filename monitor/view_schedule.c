/* Who computes what, and when: a lane per stage, the plan's lanes below, an op's details, why stages wait. */
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/facts.h"
#include "monitor/format.h"
#include "monitor/lane.h"
#include "monitor/planned.h"
#include "plan/describe.h"
#include "telemetry/explain.h"

/* Columns left and right of the lanes, and how many the screen must have for the longer texts. */
enum {
    LEFT = 3,
    RIGHT_SHORT = 16,
    RIGHT_LONG = 26,
    LONG_FROM = 110,
    RIGHT_FROM = 50,
    TICK_COLUMNS = 12,
    VERSIONS_MAX = READ_TEXT_MAX + 80
};

/* How high things are. The first that fits is taken; with the last one lanes scroll. */
struct heights {
    int lane, gap, planned; /* rows per stage; planned 0: without the plan */
};
static const struct heights heights[] = {{5, 1, 3}, {5, 1, 2}, {4, 1, 2}, {3, 1, 2}, {3, 1, 1}, {3, 0, 1},
                                         {2, 1, 1}, {2, 0, 1}, {1, 1, 1}, {1, 0, 1}, {2, 0, 0}, {1, 0, 0}};

struct schedule_layout {
    struct heights heights;
    int axis, lanes, planned, reasons, legend, details; /* rows; -1: left out */
    int first, count, reason_count;                     /* stages shown; and those whose reasons are */
    int columns, right;                                 /* of the lanes, and of the text to their right */
};

/* Rows of the lanes and the plan's, one between them for its title. */
static int rows_of(const struct heights *it, int stages)
{
    return stages * (it->lane + it->gap) - it->gap + (it->planned > 0 ? 1 + stages * it->planned : 0);
}

static struct schedule_layout lay_out(const struct canvas *canvas, const struct view_state *state,
                                      const struct moment *moment)
{
    int stages = moment->snapshot->stage_count, rows = canvas->rows, lane_rows;
    struct schedule_layout it = {.axis = 0, .lanes = 1, .planned = -1, .reasons = -1, .legend = -1, .details = -1};
    size_t k = 0;

    it.right = canvas->columns >= LONG_FROM ? RIGHT_LONG : canvas->columns >= RIGHT_FROM ? RIGHT_SHORT : 0;
    it.columns = max_int(canvas->columns - LEFT - it.right, 0);
    if (rows >= 12)
        it.legend = --rows;
    if (rows >= 14)
        it.details = rows -= 2;
    it.reason_count = facts_paused(moment) ? max_int(min_int(stages, (rows - 2) / 2), 0) : 0;
    if (it.reason_count > 0)
        it.reasons = rows -= it.reason_count + 1;
    lane_rows = max_int(rows - it.lanes, 0);
    while (k + 1 < sizeof(heights) / sizeof(heights[0]) && rows_of(&heights[k], stages) > lane_rows)
        k++;
    it.heights = heights[k];
    it.count = min_int(stages, max_int(lane_rows / it.heights.lane, 1));
    it.first = first_stage_shown(state, moment, it.count);
    if (it.heights.planned > 0)
        it.planned = it.lanes + it.count * (it.heights.lane + it.heights.gap) - it.heights.gap;
    return it;
}

/* 1, 2 or 5 times a power of ten, of at least `least`. */
static uint64_t round_step(uint64_t least)
{
    uint64_t power = 1;

    while (power * 10 <= least)
        power *= 10;
    return power >= least ? power : 2 * power >= least ? 2 * power : 5 * power >= least ? 5 * power : 10 * power;
}

static void draw_axis(const struct canvas *canvas, const struct time_axis *axis, uint64_t now_ns)
{
    uint64_t step = round_step(axis->ns_per_column * TICK_COLUMNS), ago = 0;
    char text[FORMAT_MAX];

    canvas_fill(canvas, 0, 0, axis->columns, ink(COLOUR_DIM), 0x2500);
    if (axis_right(axis) < now_ns)
        ago = (now_ns - axis_right(axis)) / step * step;
    for (; ago <= now_ns && now_ns - ago >= axis->left; ago += step) {
        int column = (int)((now_ns - ago - axis->left) / axis->ns_per_column);

        canvas_put(canvas, 0, column, ink(COLOUR_DIM), 0x252c);
        if (ago == 0)
            canvas_write_right(canvas, 0, column, bold(COLOUR_TITLE), "now ");
        else
            canvas_print(canvas, 0, column + 1, ink(COLOUR_DIM), "-%s", format_duration(ago, text));
    }
}

/* What a stage does now, in so many words as there is room for. */
static void draw_activity(const struct canvas *canvas, int row, const struct moment *moment, int s)
{
    static const char *const kinds[OP_KINDS] = {"forward", "backward", "backward", "weights"};
    static const char *const states[] = {
        [STAGE_STARTING] = "starting", [STAGE_MEETING] = "starting", [STAGE_READY] = "ready",
        [STAGE_RUNNING] = "",          [STAGE_DONE] = "done",        [STAGE_FAILED] = "failed",
    };
    const struct stage_snapshot *stage = &moment->snapshot->stages[s - 1];
    const struct activity *activity = &stage->activity;
    bool is_long = canvas->columns >= RIGHT_LONG;
    struct wait_mark mark = lane_wait(activity->cause);
    char op[OP_LABEL_SIZE] = "";
    struct span span = {.op = activity->op, .phase = activity->phase, .kind = SPAN_OP};

    if (activity->kind != ACTIVITY_NONE && activity->kind != ACTIVITY_SAVE)
        timeline_label(moment->snapshot->plan, activity->phase, &activity->op, op);
    span.number = timeline_number(moment->snapshot->plan, timeline_epoch(stage), activity->op.minibatch);
    if (stage->stopped)
        canvas_write(canvas, row, 1, bold(COLOUR_BAD), is_long ? "stopped by a signal" : "stopped");
    else if (stage->state != STAGE_RUNNING)
        canvas_write(canvas, row, 1, stage->state == STAGE_FAILED ? bold(COLOUR_BAD) : ink(COLOUR_DIM),
                     states[stage->state]);
    else if (activity->kind == ACTIVITY_RUN || activity->kind == ACTIVITY_UPDATE) {
        bool update = activity->kind == ACTIVITY_UPDATE, ended = moment->snapshot->state > RUN_TRAINING;

        canvas_print(canvas, row, 1, ended ? ink(COLOUR_DIM) : bold(lane_colour(&span)), "%s %s %s",
                     ended    ? "×"
                     : update ? "▲"
                              : "▶",
                     update ? "update" : kinds[activity->op.kind], op);
    } else if (activity->kind == ACTIVITY_HELD)
        canvas_print(canvas, row, 1, ink(lane_held.colour), is_long ? "‖ held before %s" : "‖ held %s", op);
    else if (activity->kind == ACTIVITY_WAIT)
        canvas_print(canvas, row, 1, ink(mark.colour), is_long ? "%c waits: %s %s" : "%c %s %s", mark.letter,
                     is_long ? mark.name : mark.brief, op);
    else if (activity->kind == ACTIVITY_SAVE)
        canvas_write(canvas, row, 1, ink(COLOUR_DIM), is_long ? "writes a checkpoint" : "saves");
}

static void draw_lane_name(const struct canvas *canvas, int row, int height, const struct plan *plan, int s,
                           bool selected)
{
    struct style style = selected ? bold(COLOUR_KEY) : bold(COLOUR_TITLE);

    for (int k = 0; k < height; k++)
        canvas_put(canvas, row + k, LEFT - 1, ink(selected ? COLOUR_KEY : COLOUR_DIM), 0x2502);
    draw_stage_name(canvas, row + height / 2, 0, style, plan, s);
}

static void draw_lanes(const struct canvas *canvas, const struct schedule_layout *layout, const struct time_axis *axis,
                       const struct view_state *state, const struct moment *moment, const struct op_record *selected)
{
    struct lane lane;
    int selected_stage = max_int(state->cursor_stage, 1);

    for (int k = 0; k < layout->count; k++) {
        int s = layout->first + k, height = layout->heights.lane;
        int row = layout->lanes + k * (height + layout->heights.gap);
        struct canvas part = canvas_part(canvas, row, LEFT, height, layout->columns);
        struct canvas right = canvas_part(canvas, row, LEFT + layout->columns, height, layout->right);

        lane_begin(&lane, moment->snapshot->plan, axis);
        lane.selected = s == selected_stage ? selected : NULL;
        timeline_visit(moment->snapshot, moment->history, s, axis->left, axis_right(axis), lane_add, &lane);
        lane_draw(&lane, &part);
        draw_lane_name(canvas, row, height, moment->snapshot->plan, s, s == selected_stage && state->cursor_stage > 0);
        draw_activity(&right, height / 2, moment, s);
    }
}

static void draw_planned(const struct canvas *canvas, const struct schedule_layout *layout,
                         const struct time_axis *axis, const struct moment *moment)
{
    struct planned planned;
    struct lane lane;
    char text[FORMAT_MAX], title[80];

    planned_begin(&planned, moment, axis);
    if (moment->snapshot->plan->config.pipeline.static_times == STATIC_MEASURED)
        snprintf(title, sizeof(title), "planned: as measured before the run");
    else
        snprintf(title, sizeof(title), "planned: %s takes a slot, %s",
                 moment->snapshot->plan->config.pipeline.static_times == STATIC_UNIT ? "every op" : "a forward",
                 format_duration((uint64_t)planned.tick_ns, text));
    draw_title(canvas, layout->planned, planned.simulation ? title : "planned");
    if (!planned.simulation) {
        canvas_write(canvas, layout->planned + 1, LEFT, ink(COLOUR_DIM), "no training in sight, or too much of it");
        return;
    }
    for (int k = 0; k < layout->count; k++) {
        int row = layout->planned + 1 + k * layout->heights.planned;
        struct canvas part = canvas_part(canvas, row, LEFT, layout->heights.planned, layout->columns);

        lane_begin(&lane, moment->snapshot->plan, axis);
        planned_visit(&planned, moment->snapshot->plan, layout->first + k, axis, lane_add, &lane);
        lane_draw(&lane, &part);
        draw_lane_name(canvas, row, layout->heights.planned, moment->snapshot->plan, layout->first + k, false);
    }
    planned_end(&planned);
}

static void draw_reasons(const struct canvas *canvas, const struct schedule_layout *layout,
                         const struct view_state *state, const struct moment *moment)
{
    const int first = first_stage_shown(state, moment, layout->reason_count);
    char text[EXPLANATION_MAX];

    draw_title(canvas, layout->reasons, "why each stage waits");
    draw_stages_shown(canvas, layout->reasons, first, layout->reason_count, moment->snapshot->stage_count);
    for (int k = 0; k < layout->reason_count; k++) {
        const int row = layout->reasons + 1 + k;

        explain_wait(moment->snapshot, first + k, text, sizeof(text));
        if (canvas_write(canvas, row, 1, ink(COLOUR_DEFAULT), text) > canvas->columns)
            canvas_write(canvas, row, canvas->columns - 1, ink(COLOUR_DEFAULT), "…");
    }
}

/* "reads v7 - 0.054 momentum_buffer, tau 3". */
static void sum_text(char *text, size_t size, const struct op_record *op, const struct plan *plan, int part)
{
    const struct backward_versions versions = {op->version_forward, op->version_live, op->version_read};
    const struct summed_read read = timeline_summed_read(plan, part, op);
    struct optimizer_course course = {0};
    char sum[READ_TEXT_MAX];

    describe_read(plan, &read, &course, sum);
    if (op->kind == OP_FORWARD)
        snprintf(text, size, "reads %s, tau %d", sum, plan_tau(plan, read.reading, part, read.staleness));
    else
        snprintf(text, size, "reads %s: staleness %.2f", sum, plan_staleness_of(plan, &versions));
}

static void version_text(char *text, size_t size, const struct op_record *op, const struct plan *plan, int part)
{
    const bool forward = op->kind == OP_FORWARD;
    char read[READ_TEXT_MAX + 40];

    if (timeline_reads_sum(plan, op))
        sum_text(read, sizeof(read), op, plan, part);
    else
        snprintf(read, sizeof(read), "reads weights v%d, live v%d: staleness %d", op->version_read, op->version_live,
                 op->version_live - op->version_read);
    if (forward || op->phase != PHASE_TRAIN)
        snprintf(text, size, "%s", read);
    else
        snprintf(text, size, "%s; its forward %s v%d", read,
                 forward_reading(plan->schedule.forward)->terms ? "predicted from" : "read", op->version_forward);
}

/* Two rows about one op. */
static void draw_details(const struct canvas *canvas, int row, const struct moment *moment, int s,
                         const struct op_record *record)
{
    const struct span span = timeline_span(moment->snapshot->plan, record);
    char name[OP_LABEL_SIZE], stage[PART_TEXT_SIZE], time[FORMAT_MAX], other[FORMAT_MAX], versions[VERSIONS_MAX];
    int column;

    timeline_label(moment->snapshot->plan, span.phase, &span.op, name);
    column = canvas_print(canvas, row, 1, lane_style(&span), " %s ", name);
    part_format(&moment->snapshot->plan->schedule, s, stage);
    column =
        canvas_print(canvas, row, column, bold(COLOUR_TITLE), " %s at stage %s", op_kind_name(span.op.kind), stage);
    column = canvas_print(canvas, row, column, ink(COLOUR_DEFAULT), ", epoch %d, %s", record->epoch,
                          format_duration(record->end_ns - record->start_ns, time));
    if (record->updated)
        column = canvas_print(canvas, row, column, ink(COLOUR_DEFAULT), " (update %s)",
                              format_duration(record->update_ns, time));
    if (record->wait_ns > 0)
        column = canvas_print(canvas, row, column, ink(lane_wait(record->wait_cause).colour), ", waited %s for %s",
                              format_duration(record->wait_ns, time), lane_wait(record->wait_cause).name);
    if (record->held_ns > 0)
        canvas_print(canvas, row, column, ink(COLOUR_HELD), ", slowed by %s", format_duration(record->held_ns, time));
    version_text(versions, sizeof(versions), record, moment->snapshot->plan, s);
    column = canvas_write(canvas, row + 1, 1, ink(COLOUR_DEFAULT), versions);
    column = canvas_print(canvas, row + 1, column, ink(COLOUR_DEFAULT), "; %u images, sent %s", (unsigned)record->rows,
                          format_bytes(record->bytes_sent, other));
    if (record->loss > 0)
        canvas_print(canvas, row + 1, column, ink(COLOUR_LOSS), ", loss %.4f", (double)record->loss);
}

static void draw_hint(const struct canvas *canvas, int row, const struct time_axis *axis)
{
    char text[FORMAT_MAX];
    int column =
        canvas_print(canvas, row + 1, 1, ink(COLOUR_DIM), "a column is %s", format_duration(axis->ns_per_column, text));

    canvas_write(canvas, row + 1, column, ink(COLOUR_DIM), "; Enter selects an op");
}

void draw_schedule(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct schedule_layout layout = lay_out(canvas, state, moment);
    const struct time_axis axis = axis_shown(state, moment, min_int(layout.columns, LANE_COLUMNS_MAX));
    const struct canvas top = canvas_part(canvas, layout.axis, LEFT, 1, layout.columns);
    const struct canvas beside = canvas_part(canvas, layout.axis, LEFT + layout.columns, 1, layout.right);
    int stage = max_int(1, min_int(state->cursor_stage, moment->snapshot->stage_count));
    const struct op_record *selected =
        state->cursor_ns > 0 ? timeline_find(&moment->history->stages[stage - 1], state->cursor_ns) : NULL;

    draw_axis(&top, &axis, moment->snapshot->now_ns);
    draw_stages_shown(layout.right > 0 ? &beside : &top, 0, layout.first, layout.count, moment->snapshot->stage_count);
    draw_lanes(canvas, &layout, &axis, state, moment, selected);
    if (selected && selected->end_ns > axis.left)
        canvas_put(&top, 0, (int)(((selected->start_ns + selected->end_ns) / 2 - axis.left) / axis.ns_per_column),
                   bold(COLOUR_KEY), 0x25bc);
    if (layout.planned >= 0)
        draw_planned(canvas, &layout, &axis, moment);
    if (layout.reasons >= 0)
        draw_reasons(canvas, &layout, state, moment);
    if (layout.details >= 0 && selected)
        draw_details(canvas, layout.details, moment, stage, selected);
    else if (layout.details >= 0)
        draw_hint(canvas, layout.details, &axis);
    if (layout.legend >= 0) {
        const struct canvas legend = canvas_part(canvas, layout.legend, 1, 1, canvas->columns);

        lane_legend(moment->snapshot->plan, &legend, 0, moment->snapshot->interactive);
    }
}
