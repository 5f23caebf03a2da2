/* Who computes what, and when: a lane per stage, the plan's lanes below, an op's details, why stages wait. */
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/facts.h"
#include "monitor/format.h"
#include "monitor/inspector.h"
#include "monitor/lane.h"
#include "monitor/planned.h"
#include "telemetry/explain.h"

/* Columns left and right of the lanes, and how many the screen must have for the longer texts. */
enum {
    LEFT = 3,
    RIGHT_SHORT = 16,
    RIGHT_LONG = 26,
    LONG_FROM = 110,
    RIGHT_FROM = 50,
    MARK_COLUMNS = 12,
    CHAINS_FROM = 14,
    TITLE_MAX = 80
};

/* How high things are. The first that fits is taken; with the last one lanes scroll. */
struct heights {
    int lane, gap, planned; /* rows per stage; planned 0: without the plan */
};
static const struct heights heights[] = {{7, 1, 4}, {6, 1, 4}, {5, 1, 3}, {5, 1, 2}, {4, 1, 2}, {3, 1, 2}, {3, 1, 1},
                                         {3, 0, 1}, {2, 1, 1}, {2, 0, 1}, {1, 1, 1}, {1, 0, 1}, {2, 0, 0}, {1, 0, 0}};

struct schedule_layout {
    struct heights heights;
    int axis, lanes, chains, planned, reasons, legend, details; /* rows; -1: left out */
    int first, count, reason_count;                             /* stages shown; and those whose reasons are */
    int columns, right;                                         /* of the lanes, and of the text to their right */
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
    struct schedule_layout it = {
        .axis = 0, .lanes = 1, .chains = -1, .planned = -1, .reasons = -1, .legend = -1, .details = -1};
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
    const bool chains = moment->snapshot->plan->version_difference_simulated > 1 && rows >= CHAINS_FROM;
    lane_rows = max_int(rows - it.lanes - chains, 0);
    while (k + 1 < sizeof(heights) / sizeof(heights[0]) && rows_of(&heights[k], stages) > lane_rows)
        k++;
    it.heights = heights[k];
    it.count = min_int(stages, max_int(lane_rows / it.heights.lane, 1));
    it.first = first_stage_shown(state, moment, it.count);
    if (it.heights.planned > 0)
        it.planned = it.lanes + it.count * (it.heights.lane + it.heights.gap) - it.heights.gap;
    if (chains && it.count == stages) {
        it.chains = it.lanes + it.count * (it.heights.lane + it.heights.gap) - it.heights.gap;
        it.planned += it.planned >= 0;
    }
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

/* The cursor's column, if that is 0 or more, stays free: a time with a hole would be another one. */
static void draw_axis(const struct canvas *canvas, const struct time_axis *axis, uint64_t now_ns, int cursor)
{
    uint64_t step = round_step(axis->ns_per_column * MARK_COLUMNS), ago = 0;
    char text[FORMAT_MAX];

    canvas_fill(canvas, 0, 0, axis->columns, ink(COLOUR_DIM), 0x2500);
    if (axis_right(axis) < now_ns)
        ago = (now_ns - axis_right(axis)) / step * step;
    for (; ago <= now_ns && now_ns - ago >= axis->left; ago += step) {
        const int column = (int)((now_ns - ago - axis->left) / axis->ns_per_column);

        canvas_put(canvas, 0, column, ink(COLOUR_DIM), 0x252c);
        format_duration(ago, text);
        if (ago == 0)
            canvas_write_right(canvas, 0, column, bold(COLOUR_TITLE), "now ");
        else if (cursor <= column || cursor > column + 1 + canvas_width(text))
            canvas_print(canvas, 0, column + 1, ink(COLOUR_DIM), "-%s", text);
    }
}

/* Ticks are numbered from the epoch's begin, 1, 2, ..., as columns of the grid; where that is not known, back from now. */
static void draw_tick_axis(const struct canvas *canvas, const struct time_axis *axis, const struct ticks *ticks,
                           int cursor)
{
    const int width = (int)(TICK_UNITS / axis->ns_per_column);
    const int64_t left = (int64_t)(axis->left / TICK_UNITS), now = ticks->now - left;
    const int64_t zero = ticks->origin >= 0 ? ticks->origin - 1 : ticks->now;
    const int64_t step = (int64_t)round_step((uint64_t)((MARK_COLUMNS / 2 + width - 1) / width));
    char text[FORMAT_MAX];

    canvas_fill(canvas, 0, 0, axis->columns, ink(COLOUR_DIM), 0x2500);
    for (int64_t tick = 0; tick * width < axis->columns && tick < now; tick++) {
        const int column = (int)tick * width;

        snprintf(text, sizeof(text), "%d", (int)(left + tick - zero));
        if ((left + tick - zero) % step == 0 && (cursor < column || cursor >= column + canvas_width(text)))
            canvas_write(canvas, 0, column, ink(COLOUR_DIM), text);
    }
    canvas_write(canvas, 0, (int)now * width, bold(COLOUR_TITLE), "▼now");
}

/* What a stage does now, in so many words as there is room for. */
static void draw_activity(const struct canvas *canvas, int row, const struct moment *moment, int s,
                          enum colouring colouring)
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
    struct span span = {.op = activity->op, .phase = activity->phase, .kind = SPAN_OP, .version = -1};

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

        int column = canvas_print(canvas, row, 1, ended ? ink(COLOUR_DIM) : bold(COLOUR_GOOD), "%s %s ",
                                  ended    ? "×"
                                  : update ? "▲"
                                           : "▶",
                                  update ? "update" : kinds[activity->op.kind]);
        canvas_write(canvas, row, column, ended ? ink(COLOUR_DIM) : lane_style(&span, colouring), op);
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
    draw_stage_name(canvas, row + lane_name_row(height), 0, style, plan, s);
}

/* What is drawn, and on which axis. */
struct scene {
    const struct canvas *canvas;
    const struct view_state *state;
    const struct moment *moment;
    struct schedule_layout layout;
    struct time_axis axis;
    struct ticks ticks; /* the axis is of these, if state->ticks; else empty */
    int stage;          /* selected */
    const struct op_record *selected;
    int begin, now; /* columns between which something has happened */
};

static const struct ticks *ticks_of(const struct scene *scene)
{
    return scene->ticks.ops ? &scene->ticks : NULL;
}

static struct canvas lanes_part(const struct scene *scene, int row, int height)
{
    return canvas_part(scene->canvas, row, LEFT, height, scene->layout.columns);
}

static struct canvas right_part(const struct scene *scene, int row, int height)
{
    return canvas_part(scene->canvas, row, LEFT + scene->layout.columns, height, scene->layout.right);
}

/* In the row of what the stage does there is no room for it. */
static void draw_idle_share(const struct canvas *right, int row, const struct lane *lane, int begin, int end)
{
    if (end > begin)
        canvas_print(right, row, 1, ink(COLOUR_DIM), "idle %.0f%%", 100 * lane_idle_share(lane, begin, end));
}

static void fill_lane(const struct scene *scene, int s, struct lane *lane)
{
    lane_begin(lane, scene->moment->snapshot->plan, &scene->axis);
    lane->colouring = scene->state->colouring;
    lane->selected = s == scene->stage ? scene->selected : NULL;
    if (ticks_of(scene))
        ticks_visit(&scene->ticks, scene->moment->snapshot, s, lane_add, lane);
    else
        timeline_visit(scene->moment->snapshot, scene->moment->history, s, scene->axis.left, axis_right(&scene->axis),
                       lane_add, lane);
}

static void draw_lanes(const struct scene *scene)
{
    const struct plan *plan = scene->moment->snapshot->plan;
    const struct schedule_layout *layout = &scene->layout;
    struct lane lane;

    for (int k = 0; k < layout->count; k++) {
        const int s = layout->first + k, height = layout->heights.lane;
        const int row = layout->lanes + k * (height + layout->heights.gap);
        const struct canvas part = lanes_part(scene, row, height), right = right_part(scene, row, height);

        fill_lane(scene, s, &lane);
        lane_draw(&lane, &part);
        draw_lane_name(scene->canvas, row, height, plan, s, s == scene->stage && scene->state->cursor_stage > 0);
        draw_activity(&right, lane_name_row(height), scene->moment, s, scene->state->colouring);
        if (height > 1)
            draw_idle_share(&right, height - 1, &lane, scene->begin, scene->now);
    }
}

/* An update of the last stage, in the colour of its chain. */
struct chains {
    struct canvas canvas;
    const struct time_axis *axis;
    int v;
};

static void add_chain(void *context, const struct span *span)
{
    const struct chains *chains = context;

    if (span->updated && span->phase == PHASE_TRAIN && span->end > chains->axis->left &&
        span->end < axis_right(chains->axis))
        canvas_print(&chains->canvas, 0, (int)((span->end - chains->axis->left) / chains->axis->ns_per_column),
                     lane_chain_style(span->op.minibatch, chains->v), "▲%d", span->op.minibatch);
}

/* With v > 1 updates are in v chains that take turns: each starts from what the one v before has made. */
static void draw_chains(const struct scene *scene)
{
    const struct snapshot *snapshot = scene->moment->snapshot;
    struct chains chains = {lanes_part(scene, scene->layout.chains, 1), &scene->axis,
                            snapshot->plan->version_difference_simulated};
    const struct canvas right = right_part(scene, scene->layout.chains, 1);

    canvas_write(scene->canvas, scene->layout.chains, 1, ink(COLOUR_DIM), "▲");
    if (ticks_of(scene))
        ticks_visit(&scene->ticks, snapshot, snapshot->stage_count, add_chain, &chains);
    else
        timeline_visit(snapshot, scene->moment->history, snapshot->stage_count, scene->axis.left,
                       axis_right(&scene->axis), add_chain, &chains);
    canvas_print(&right, 0, 1, ink(COLOUR_DIM), "v = %d: %d chains", chains.v, chains.v);
}

static void planned_title(const struct scene *scene, const struct planned *planned, char title[TITLE_MAX])
{
    const enum static_times times = scene->moment->snapshot->plan->config.pipeline.static_times;
    char text[FORMAT_MAX];

    if (!planned->simulation)
        snprintf(title, TITLE_MAX, "planned");
    else if (planned->ahead)
        snprintf(title, TITLE_MAX, "planned: what comes first, %s",
                 scene->state->costs ? "as wide as it costs" : "every op in a tick");
    else if (scene->state->costs)
        snprintf(title, TITLE_MAX, "planned: as wide as it costs");
    else if (ticks_of(scene))
        snprintf(title, TITLE_MAX, "planned: every op takes a tick");
    else if (times == STATIC_MEASURED)
        snprintf(title, TITLE_MAX, "planned: as measured before the run");
    else
        snprintf(title, TITLE_MAX, "planned: %s takes a tick, %s", times == STATIC_UNIT ? "every op" : "a forward",
                 format_duration((uint64_t)planned->tick_ns, text));
}

/* Beside the mark of now. */
static int title_column(const struct scene *scene, const char *title)
{
    const int now = LEFT + scene->now;

    return scene->now < scene->axis.columns - 1 && now < 2 + canvas_width(title) + 2 ? now + 5 : 2;
}

/* In sight, or the nearest that is. */
static int column_at(const struct scene *scene, double ns)
{
    const struct time_axis *axis = &scene->axis;
    const double column = (ns - (double)axis->left) / (double)axis->ns_per_column;

    return column <= 0 ? 0 : column >= axis->columns ? axis->columns : (int)column;
}

static void draw_planned(const struct scene *scene)
{
    const struct plan *plan = scene->moment->snapshot->plan;
    const struct schedule_layout *layout = &scene->layout;
    struct planned planned;
    struct lane lane;
    char title[TITLE_MAX];

    planned_begin(&planned, scene->moment, &scene->axis, ticks_of(scene), scene->state->costs);
    planned_title(scene, &planned, title);
    draw_title_at(scene->canvas, layout->planned, title_column(scene, title), title);
    if (!planned.simulation) {
        canvas_write(scene->canvas, layout->planned + 1, LEFT, ink(COLOUR_DIM),
                     "no training in sight, or too much of it");
        return;
    }
    if (scene->now < scene->axis.columns - 1)
        canvas_write(scene->canvas, layout->planned, LEFT + scene->now, bold(COLOUR_KEY), "▼now");
    const int begin = max_int(scene->begin, column_at(scene, planned.zero_ns));
    const int end = min_int(scene->now, column_at(scene, planned_end_ns(&planned)));
    for (int k = 0; k < layout->count; k++) {
        const int row = layout->planned + 1 + k * layout->heights.planned;
        const struct canvas part = lanes_part(scene, row, layout->heights.planned);
        const struct canvas right = right_part(scene, row + lane_name_row(layout->heights.planned), 1);

        lane_begin(&lane, plan, &scene->axis);
        lane.colouring = scene->state->colouring;
        planned_visit(&planned, plan, layout->first + k, &scene->axis, lane_add, &lane);
        lane_draw(&lane, &part);
        draw_lane_name(scene->canvas, row, layout->heights.planned, plan, layout->first + k, false);
        draw_idle_share(&right, 0, &lane, planned.ahead ? 0 : begin, planned.ahead ? scene->axis.columns : end);
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

/* Where the selected stage computes, and how it sends. */
static void draw_place(const struct scene *scene, int row)
{
    const struct plan *plan = scene->moment->snapshot->plan;
    const int part = scene->stage, stage = plan_stage_of(plan, part);
    char name[PART_TEXT_SIZE];
    int column;

    part_format(&plan->schedule, part, name);
    column = canvas_print(scene->canvas, row, 1, ink(COLOUR_DIM), "stage %s: process %d on ", name,
                          scene->moment->snapshot->stages[part - 1].pid);
    column = plan_place_of(plan, stage) == PLACE_GPU
                 ? canvas_print(scene->canvas, row, column, ink(COLOUR_DIM), "gpu %d", plan_stage(plan, stage)->device)
                 : canvas_write(scene->canvas, row, column, ink(COLOUR_DIM), "the cpu");
    if (part < plan->part_count)
        canvas_print(scene->canvas, row, column, ink(COLOUR_DIM), "; its link to the next: %s",
                     link_path_name(plan_part(plan, part)->link));
}

static void draw_hint(const struct scene *scene, int row)
{
    char text[FORMAT_MAX];
    int column;

    if (ticks_of(scene))
        column = canvas_write(scene->canvas, row, 1, ink(COLOUR_DIM), "a column is an op, in order");
    else
        column = canvas_print(scene->canvas, row, 1, ink(COLOUR_DIM), "a column is %s",
                              format_duration(scene->axis.ns_per_column, text));
    column = canvas_write(scene->canvas, row, column, ink(COLOUR_DIM), "; ");
    column = canvas_write(scene->canvas, row, column, bold(COLOUR_KEY), "t");
    column = canvas_write(scene->canvas, row, column, ink(COLOUR_DIM), ticks_of(scene) ? " clock, " : " ticks, ");
    column = canvas_write(scene->canvas, row, column, bold(COLOUR_KEY), "w");
    column =
        canvas_write(scene->canvas, row, column, ink(COLOUR_DIM), scene->state->costs ? " unit times, " : " costs, ");
    column = canvas_write(scene->canvas, row, column, bold(COLOUR_KEY), "c");
    canvas_print(scene->canvas, row, column, ink(COLOUR_DIM), " colours: %s",
                 lane_colouring_name(scene->state->colouring));
}

/* Columns between which the stages can be compared: from the first op in sight to now. */
static void find_span(struct scene *scene)
{
    const struct time_axis *axis = &scene->axis;
    uint64_t begin = UINT64_MAX, now = scene->moment->snapshot->now_ns;

    if (ticks_of(scene)) {
        begin = axis->left;
        now = (uint64_t)scene->ticks.now * TICK_UNITS;
    } else {
        for (int s = 0; s < scene->moment->snapshot->stage_count; s++) {
            const struct op_record *op = timeline_find(&scene->moment->history->stages[s], axis->left);
            if (op)
                begin = min_u64(begin, op->start_ns);
        }
    }
    begin = max_u64(begin, axis->left);
    scene->begin = begin < axis_right(axis) ? (int)((begin - axis->left) / axis->ns_per_column) : axis->columns;
    now = max_u64(now, axis->left);
    scene->now = now < axis_right(axis) ? (int)((now - axis->left) / axis->ns_per_column) : axis->columns;
}

/* The axis that the state asks for. */
static void choose_axis(struct scene *scene)
{
    const int columns = min_int(scene->layout.columns, LANE_COLUMNS_MAX);

    if (scene->state->ticks &&
        axis_ticks(scene->state, scene->moment, scene->selected, scene->stage, columns, &scene->ticks) == 0)
        scene->axis = axis_of_ticks(scene->state, scene->moment, &scene->ticks,
                                    ticks_find(&scene->ticks, scene->stage, scene->selected), columns);
    else
        scene->axis = axis_shown(scene->state, scene->moment, columns);
    find_span(scene);
}

/* Above the middle of the selected op; -1: none is, or it is not in sight. */
static int cursor_column(const struct scene *scene)
{
    const struct time_axis *axis = &scene->axis;
    uint64_t at = 0;

    if (scene->selected && ticks_of(scene)) {
        const struct tick_op *op = ticks_find(&scene->ticks, scene->stage, scene->selected);
        at = op ? (uint64_t)(op->start + op->end) * (TICK_UNITS / 2) : 0;
    } else if (scene->selected) {
        at = (scene->selected->start_ns + scene->selected->end_ns) / 2;
    }
    return at > axis->left && at < axis_right(axis) ? (int)((at - axis->left) / axis->ns_per_column) : -1;
}

/* The caller destroys its ticks. */
static struct scene scene_of(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    struct scene scene = {.canvas = canvas, .state = state, .moment = moment, .layout = lay_out(canvas, state, moment)};

    scene.stage = max_int(1, min_int(state->cursor_stage, moment->snapshot->stage_count));
    if (state->cursor_ns > 0)
        scene.selected = timeline_find(&moment->history->stages[scene.stage - 1], state->cursor_ns);
    choose_axis(&scene);
    return scene;
}

void draw_schedule(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    struct scene scene = scene_of(canvas, state, moment);
    const struct schedule_layout *layout = &scene.layout;
    const struct canvas top = lanes_part(&scene, layout->axis, 1), beside = right_part(&scene, layout->axis, 1);
    const int cursor = cursor_column(&scene);

    if (ticks_of(&scene))
        draw_tick_axis(&top, &scene.axis, &scene.ticks, cursor);
    else
        draw_axis(&top, &scene.axis, moment->snapshot->now_ns, cursor);
    if (cursor >= 0)
        canvas_put(&top, 0, cursor, bold(COLOUR_KEY), 0x25bc);
    draw_stages_shown(layout->right > 0 ? &beside : &top, 0, layout->first, layout->count,
                      moment->snapshot->stage_count);
    draw_lanes(&scene);
    if (layout->chains >= 0)
        draw_chains(&scene);
    if (layout->planned >= 0)
        draw_planned(&scene);
    if (layout->reasons >= 0)
        draw_reasons(canvas, layout, state, moment);
    if (layout->details >= 0 && scene.selected)
        inspector_draw(canvas, layout->details, moment, scene.stage, scene.selected);
    else if (layout->details >= 0)
        draw_hint(&scene, layout->details + 1);
    if (layout->details >= 0 && !scene.selected && state->cursor_stage > 0)
        draw_place(&scene, layout->details);
    if (layout->legend >= 0) {
        const struct canvas legend = canvas_part(canvas, layout->legend, 1, 1, canvas->columns);

        lane_legend(moment->snapshot->plan, &legend, 0, state->colouring, moment->snapshot->interactive);
    }
    ticks_destroy(&scene.ticks);
}

/* The stage whose lane, or planned lane, is in the row; 0: none. */
static int stage_at(const struct schedule_layout *layout, int row, bool *planned)
{
    const int height = layout->heights.lane + layout->heights.gap, below = row - layout->planned - 1;

    *planned = layout->planned >= 0 && below >= 0;
    if (*planned)
        return below < layout->count * layout->heights.planned ? layout->first + below / layout->heights.planned : 0;
    row -= layout->lanes;
    return row >= 0 && row < layout->count * height && row % height < layout->heights.lane
               ? layout->first + row / height
               : 0;
}

/* The op that has the column of the stage's lane, or what was waited for there; NULL: none that has ended. */
static const struct op_record *op_at(const struct scene *scene, int stage, int column)
{
    struct lane lane;

    fill_lane(scene, stage, &lane);
    const struct span *owner = &lane.columns[column].owner;
    if (owner->kind == SPAN_OP || owner->kind == SPAN_NONE || ticks_of(scene))
        return owner->record;
    const struct op_record *op = timeline_find(&scene->moment->history->stages[stage - 1], owner->end);
    return op && op->start_ns >= owner->end ? op : NULL;
}

void schedule_point(struct view_state *state, const struct moment *moment, int press, const struct canvas *canvas,
                    int row, int column)
{
    struct scene scene = scene_of(canvas, state, moment);
    bool planned;
    const int stage = stage_at(&scene.layout, row, &planned), at = column - LEFT;
    const bool on_lane = at >= 0 && at < scene.axis.columns && at < LANE_COLUMNS_MAX;

    if (press != PRESS_CLICK)
        schedule_zoom(state, moment, press == PRESS_WHEEL_UP ? 1 : -1, on_lane ? &scene.axis : NULL, at);
    else if (stage > 0)
        schedule_select(state, moment, stage, on_lane && !planned ? op_at(&scene, stage, at) : NULL);
    ticks_destroy(&scene.ticks);
}
