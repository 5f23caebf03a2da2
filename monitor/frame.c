/* What stands around every view: the run above, the keys below, why it ended, and the help over it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/facts.h"
#include "monitor/format.h"

enum { PLACE_MAX = 192, PLACE_FROM = 70 };

static void draw_run(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    const struct config *config = &snapshot->plan->config;
    const char *source = moment->source && *moment->source ? moment->source : snapshot->name;
    char name[32], badge[64], ago[FORMAT_MAX], model[2 * CONFIG_NAME_MAX + 16], speed[48] = "", past[48] = "";
    const uint8_t colour = (uint8_t)facts_state(moment, name);
    int room, column;

    snprintf(badge, sizeof(badge), " %s ", name);
    room = canvas->columns - canvas_width(badge);
    if (state->frozen) {
        canvas_write_right(canvas, 0, room - 1, bold(COLOUR_WARNING), "frozen");
        room -= canvas_width("frozen") + 2;
    }
    const struct canvas left = canvas_part(canvas, 0, 0, 1, room - 1);

    snprintf(model, sizeof(model), "  %.60s on %.60s", config->model.arch, config->data.set);
    if (moment->kind == MOMENT_REPLAY && moment->speed != 0)
        snprintf(speed, sizeof(speed), "  replay ×%g", moment->speed);
    else if (moment->kind == MOMENT_REPLAY)
        snprintf(speed, sizeof(speed), "  replay stopped");
    if (state->view == VIEW_SCHEDULE && state->right_ns > 0 && state->right_ns < snapshot->now_ns)
        snprintf(past, sizeof(past), "  up to %s ago", format_duration(snapshot->now_ns - state->right_ns, ago));
    column = canvas_write(&left, 0, 1, bold(COLOUR_TITLE), source);
    if (column + canvas_width(model) + canvas_width(speed) + canvas_width(past) <= left.columns)
        column = canvas_write(&left, 0, column, ink(COLOUR_DEFAULT), model);
    column = canvas_write(&left, 0, column, bold(COLOUR_WARNING), speed);
    canvas_write(&left, 0, column, bold(COLOUR_WARNING), past);
    canvas_write_right(canvas, 0, canvas->columns, (struct style){COLOUR_INK, colour, ATTRIBUTE_BOLD}, badge);
}

/* Where the run is; in few columns without its names and rate. */
static void format_place(const struct moment *moment, int columns, char text[PLACE_MAX])
{
    const struct facts facts = facts_of(moment);
    const char *what = facts.phase == PHASE_TRAIN ? "mini-batch " : "test ";
    bool is_long = columns >= PLACE_FROM;
    char rate[32] = "";

    if (facts.rate > 0 && is_long)
        snprintf(rate, sizeof(rate), "  %.0f %s", facts.rate, plan_rate_unit(moment->snapshot->plan));
    snprintf(text, PLACE_MAX, "epoch %d/%d  %s%d/%d  %.0f%%%s", facts.epoch, moment->snapshot->plan->config.run.epochs,
             is_long ? what : "", facts.minibatch, facts.minibatches, floor(100 * facts.share), rate);
}

/* Beside the weights that are read, only what is not the usual. */
static void format_rules(const struct plan *plan, const struct schedule *schedule, char text[PLACE_MAX])
{
    int used = snprintf(text, PLACE_MAX, "weights: forward %s, backward %s", forward_rule_name(schedule->forward),
                        backward_rule_name(schedule->backward));

    if (schedule->update != UPDATE_PLAIN)
        used += snprintf(text + used, (size_t)(PLACE_MAX - used), ", update %s", update_rule(schedule->update)->name);
    if (plan_optimizer(plan) != &optimizer_sgd)
        snprintf(text + used, (size_t)(PLACE_MAX - used), ", %s", plan_optimizer(plan)->name);
}

/* Left out where there is no room; where a system is more than its order and versions, the order goes first. */
static void draw_rules(const struct canvas *canvas, int column, int room, const struct plan *plan)
{
    const struct schedule schedule = plan_training(plan);
    char rules[PLACE_MAX], all[2 * PLACE_MAX];

    format_rules(plan, &schedule, rules);
    snprintf(all, sizeof(all), "%s order %s, %s", plan->config.pipeline.order == RUN_STATIC ? "static" : "dynamic",
             schedule.order.name, rules);
    if (column + 2 + canvas_width(all) <= room)
        canvas_write(canvas, 1, column + 2, ink(COLOUR_DIM), all);
    else if ((plan_combines(plan) || schedule.update != UPDATE_PLAIN) && column + 2 + canvas_width(rules) <= room)
        canvas_write(canvas, 1, column + 2, ink(COLOUR_DIM), rules);
}

void frame_header(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct plan *plan = moment->snapshot->plan;
    const struct schedule schedule = plan_training(plan);
    char place[PLACE_MAX];
    int column, room;

    draw_run(canvas, state, moment);
    format_place(moment, canvas->columns, place);
    room = canvas->columns - canvas_width(place) - 3;
    column = canvas_print(canvas, 1, 1, bold(COLOUR_TITLE), "%s", plan->config.pipeline.system);
    column =
        canvas_print(canvas, 1, column, ink(COLOUR_DEFAULT), "  W=%d N=%d", plan->stage_count, schedule.microbatches);
    draw_rules(canvas, column, room, plan);
    canvas_fill(canvas, 1, max_int(room, 0), canvas->columns, ink(COLOUR_DEFAULT), ' ');
    canvas_write_right(canvas, 1, canvas->columns - 1, bold(COLOUR_KEY), place);
}

/* Written first; all else has what room is left. */
static const char quit[] = "  q quit";

/* In the order in which they are left out where there is no room, the last first. */
static const struct {
    enum { HINT_ALWAYS, HINT_CONTROLS, HINT_REPLAY } kind;
    const char *text;
} hints[] = {
    {HINT_ALWAYS, "  ? keys"},
    {HINT_CONTROLS, "  space pause"},
    {HINT_CONTROLS, "  . step"},
    {HINT_REPLAY, "  space stop"},
    {HINT_REPLAY, "  < > speed"},
    {HINT_ALWAYS, "  f freeze"},
    {HINT_ALWAYS, "  + - zoom"},
    {HINT_ALWAYS, "  arrows move"},
    {HINT_ALWAYS, "  Enter selects"},
    {HINT_CONTROLS, "  s tick  < > slow motion"},
    {HINT_REPLAY, "  . , op  r turn  g G ends"},
};

/* The views' keys; only the shown one has its name where there is no room for all. `ends`: the columns behind them. */
static int draw_tabs(const struct canvas *canvas, enum view shown, int ends[VIEWS])
{
    int width = 0, column = 0;

    for (int v = 0; v < VIEWS; v++)
        width += canvas_width(view_name((enum view)v)) + 4;
    for (int v = 0; v < VIEWS; v++) {
        const struct style style =
            v == (int)shown ? (struct style){COLOUR_INK, COLOUR_KEY, ATTRIBUTE_BOLD} : ink(COLOUR_DEFAULT);

        if (v == (int)shown || width + canvas_width(quit) <= canvas->columns)
            column = canvas_print(canvas, 0, column, style, " %d %s ", v + 1, view_name((enum view)v));
        else
            column = canvas_print(canvas, 0, column, style, " %d ", v + 1);
        ends[v] = column;
    }
    return column;
}

enum view frame_view_at(const struct canvas *footer, enum view shown, int column)
{
    struct canvas unseen = *footer;
    int ends[VIEWS], view = 0;

    unseen.rows = 0;
    draw_tabs(&unseen, shown, ends);
    while (view < VIEWS && column >= ends[view])
        view++;
    return (enum view)view;
}

void frame_message(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct style style = {COLOUR_INK, COLOUR_WARNING, ATTRIBUTE_BOLD};
    const char *message = moment->message ? moment->message : "";

    if (!state->prompt && !*message)
        return;
    canvas_fill(canvas, 0, 0, canvas->columns, style, ' ');
    if (state->prompt)
        canvas_print(canvas, 0, 1, style, "go to mini-batch, or EPOCH:MINI-BATCH: %s_", state->prompt);
    else if (canvas_write(canvas, 0, 1, style, message) > canvas->columns)
        canvas_write(canvas, 0, canvas->columns - 1, style, "…");
}

/* Of a bar's end: a short recording's to the hundredth. */
static const char *format_time(uint64_t ns, uint64_t length, char text[FORMAT_MAX])
{
    if (length >= 100 * UINT64_C(1000000000))
        return format_clock(1e-9 * (double)ns, text);
    snprintf(text, FORMAT_MAX, "%.2f s", 1e-9 * (double)ns);
    return text;
}

/* A recording from its begin to its end, between the two times. */
struct seek_bar {
    char at[FORMAT_MAX], end[FORMAT_MAX];
    int left, room; /* columns */
    double begin_ns, length_ns;
};

static struct seek_bar lay_bar(const struct canvas *canvas, const struct moment *moment)
{
    const uint64_t length = max_u64(moment->end_ns - moment->begin_ns, 1);
    struct seek_bar bar = {.begin_ns = (double)moment->begin_ns, .length_ns = (double)length};

    bar.left = 1 + canvas_width(format_time(moment->snapshot->now_ns - moment->begin_ns, length, bar.at)) + 1;
    bar.room = max_int(canvas->columns - canvas_width(format_time(length, length, bar.end)) - 3 - bar.left, 1);
    return bar;
}

static int bar_column(const struct seek_bar *bar, uint64_t ns)
{
    return bar->left + (int)(((double)ns - bar->begin_ns) / bar->length_ns * (bar->room - 1));
}

double frame_time_at(const struct canvas *seek, const struct moment *moment, int column)
{
    const struct seek_bar bar = lay_bar(seek, moment);
    const double share = (double)(column - bar.left) / max_int(bar.room - 1, 1);

    return 1e-9 * bar.length_ns * fmin(fmax(share, 0), 1);
}

void frame_seek(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    const struct seek_bar bar = lay_bar(canvas, moment);

    (void)state;
    canvas_write(canvas, 0, 1, bold(COLOUR_DEFAULT), bar.at);
    canvas_fill(canvas, 0, bar.left, bar.room, ink(COLOUR_DIM), 0x2500);
    for (int e = 0; e < snapshot->epochs_done; e++)
        if (snapshot->epochs[e].end_ns >= moment->begin_ns && snapshot->epochs[e].end_ns <= moment->end_ns)
            canvas_put(canvas, 0, bar_column(&bar, snapshot->epochs[e].end_ns), ink(COLOUR_DIM), 0x2502);
    canvas_put(canvas, 0, bar_column(&bar, snapshot->now_ns), bold(COLOUR_KEY), 0x25cf);
    canvas_write(canvas, 0, bar.left + bar.room + 1, ink(COLOUR_DIM), bar.end);
}

void frame_footer(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    int ends[VIEWS], column = draw_tabs(canvas, state->view, ends);

    column = canvas_write(canvas, 0, column, ink(COLOUR_DIM), quit);
    for (size_t k = 0; k < sizeof(hints) / sizeof(hints[0]); k++)
        if ((hints[k].kind != HINT_CONTROLS || moment->controlled) &&
            (hints[k].kind != HINT_REPLAY || moment->kind == MOMENT_REPLAY) &&
            column + canvas_width(hints[k].text) <= canvas->columns)
            column = canvas_write(canvas, 0, column, ink(COLOUR_DIM), hints[k].text);
}

/* As much of the text as one row holds, broken at a blank; moves behind it. */
static int take_row(const char **text, int columns, char *row, size_t size)
{
    int length = (int)strlen(*text), end;

    columns = min_int(columns, (int)size - 1);
    end = min_int(length, columns);
    if (end < length)
        for (int k = end; k > columns / 2; k--)
            if ((*text)[k] == ' ') {
                end = k;
                break;
            }
    memcpy(row, *text, (size_t)end);
    row[end] = '\0';
    *text += end;
    while (**text == ' ')
        (*text)++;
    return end;
}

int frame_banner(const struct canvas *canvas, const struct moment *moment, int rows)
{
    const struct style style = {COLOUR_INK, COLOUR_BAD, ATTRIBUTE_BOLD};
    const char *rest = facts_outcome(moment);
    char text[512];
    int used = 0;

    while (*rest && used < rows && take_row(&rest, canvas->columns - 2, text, sizeof(text)) > 0) {
        canvas_fill(canvas, used, 0, canvas->columns, style, ' ');
        canvas_write(canvas, used++, 1, style, text);
    }
    return used;
}

void draw_title_at(const struct canvas *canvas, int row, int column, const char *title)
{
    canvas_fill(canvas, row, 0, canvas->columns, ink(COLOUR_DIM), 0x2500);
    canvas_print(canvas, row, column, bold(COLOUR_TITLE), " %s ", title);
}

void draw_title(const struct canvas *canvas, int row, const char *title)
{
    draw_title_at(canvas, row, 2, title);
}

void draw_stages_shown(const struct canvas *canvas, int row, int first, int shown, int stages)
{
    char which[32], text[64];

    if (shown >= stages)
        return;
    snprintf(which, sizeof(which), shown > 1 ? "%d–%d" : shown == 1 ? "%d" : "none", first, first + shown - 1);
    snprintf(text, sizeof(text), " stages %s of %d ↑↓ ", which, stages);
    if (canvas_width(text) > canvas->columns)
        snprintf(text, sizeof(text), "%s of %d ↑↓", which, stages);
    canvas_write_right(canvas, row, canvas->columns, bold(COLOUR_WARNING), text);
}

void draw_stage_name(const struct canvas *canvas, int row, int column, struct style style, const struct plan *plan,
                     int part)
{
    char name[PART_TEXT_SIZE];

    part_format(&plan->schedule, part, name);
    canvas_print(canvas, row, column, style, "%2s", name);
}

int first_stage_shown(const struct view_state *state, const struct moment *moment, int room)
{
    int stages = moment->snapshot->stage_count, selected = max_int(1, min_int(state->cursor_stage, stages));

    return max_int(1, min_int(selected - room / 2, stages - room + 1));
}
