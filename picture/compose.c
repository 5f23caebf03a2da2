/* Panels as elements: lanes, what is written on ops, the axis below, the legend. */
#include <math.h>
#include <string.h>

#include "picture/legend.h"
#include "picture/panel.h"

static const double margin = 18, name_size = 12, title_size = 16, note_size = 11, label_size = 13, axis_size = 9.5;
static const double lane_height = 30, lane_gap = 5, title_height = 24, note_height = 17, axis_height = 24,
                    panel_gap = 16;
static const double tick_width = 36, tick_width_least = 24, time_width = 880, least_size = 5.5;

/* Where time and lanes lie. */
struct frame {
    struct picture *picture;
    const struct panel_style *style;
    double left, scale; /* units per nanosecond, or tick */
};

static double x_of(const struct frame *frame, uint64_t time, uint64_t zero)
{
    return frame->left + frame->scale * (double)(time > zero ? time - zero : 0);
}

/* The widest name of a lane, and what stands between it and the lane. */
static double names_width(const struct panel *const *panels, int count)
{
    double width = 0;

    for (int p = 0; p < count; p++)
        for (int l = 0; l < panels[p]->lane_count; l++)
            width = fmax(width, picture_text_width(panels[p]->lanes[l].name, name_size, false));
    return width + 10;
}

static double width_of(const struct panel_style *style)
{
    if (style->width > 0)
        return style->width;
    if (style->ticks)
        return (double)style->length * fmax(tick_width_least, fmin(tick_width, 1600.0 / (double)style->length));
    return time_width;
}

static double panel_height(const struct panel *panel)
{
    return title_height + (panel->note[0] ? note_height : 0) + panel->lane_count * (lane_height + lane_gap) +
           axis_height;
}

/* A text in a box, smaller where it must be, and none where nobody could read it. */
static void write_in(struct picture *picture, enum ink ink, double middle, double baseline, double room, double size,
                     const char *text)
{
    const double fitting = size * room / fmax(picture_text_width(text, size, true), 1);

    if (fmin(fitting, size) >= least_size)
        picture_text(picture,
                     (struct element){.ink = ink,
                                      .x = middle,
                                      .y = baseline,
                                      .size = size,
                                      .anchor = ANCHOR_MIDDLE,
                                      .bold = true,
                                      .room = room},
                     "%s", text);
}

/* "v2", "v2→3" where an update follows, "v1-2" where micro-batches read different ones. */
static void format_versions(const struct panel_span *of, char text[48])
{
    char made[16] = "";

    if (of->made >= 0)
        snprintf(made, sizeof(made), "→%d", of->made);
    text[0] = '\0';
    if (of->read_first == VERSION_SUM)
        snprintf(text, 48, "sum%s", made);
    else if (of->read_first >= 0 && of->read_last == of->read_first)
        snprintf(text, 48, "v%d%s", of->read_first, made);
    else if (of->read_first >= 0)
        snprintf(text, 48, "v%d-%d%s", of->read_first, of->read_last, made);
    else if (of->made >= 0)
        snprintf(text, 48, "%s", made);
}

static void draw_op(const struct frame *frame, const struct panel *panel, const struct panel_span *of, double x,
                    double y, double width)
{
    const bool whole = of->span.end <= panel->zero + frame->style->length;
    const struct mark mark = legend_mark(&of->span);
    const double middle = x + width / 2, baseline = y + lane_height / 2 + 0.36 * label_size;
    char label[OP_LABEL_SIZE], versions[48] = "";

    legend_draw_mark(frame->picture, &mark, x, y, width, lane_height);
    if (whole && of->span.updated)
        picture_rectangle(frame->picture, (struct element){.ink = INK_TEXT,
                                                           .x = x + width - fmin(2.5, width / 2),
                                                           .y = y,
                                                           .width = fmin(2.5, width / 2),
                                                           .height = lane_height});
    timeline_label(panel->plan, of->span.phase, &of->span.op, label);
    if (frame->style->versions)
        format_versions(of, versions);
    const double lift = versions[0] ? 6 : 0;
    write_in(frame->picture, mark.text, middle, baseline - lift, width - 3, label_size, label);
    if (versions[0])
        write_in(frame->picture, mark.text, middle, y + lane_height - 4, width - 4, 9, versions);
}

static void draw_wait(const struct frame *frame, const struct span *span, double x, double y, double width)
{
    const struct mark mark = legend_mark(span);
    const double inset = 7;

    legend_draw_mark(frame->picture, &mark, x, y + inset, width, lane_height - 2 * inset);
    if (width > 10)
        write_in(frame->picture, mark.text, x + width / 2, y + lane_height / 2 + 3, width, 9, mark.letter);
}

static void draw_span(const struct frame *frame, const struct panel *panel, const struct panel_span *of, double y)
{
    const struct span *span = &of->span;
    const uint64_t last = panel->zero + frame->style->length;
    const double x = x_of(frame, span->start, panel->zero);
    const double width = x_of(frame, span->end < last ? span->end : last, panel->zero) - x;
    const double gap = width > 4 ? 0.6 : 0;

    if (span->end <= panel->zero || span->start >= last || width <= 0)
        return;
    if (span->kind == SPAN_OP)
        draw_op(frame, panel, of, x + gap, y, width - 2 * gap);
    else if (span->kind != SPAN_NONE)
        draw_wait(frame, span, x, y, width);
}

static void draw_lane(const struct frame *frame, const struct panel *panel, int l, double y)
{
    const struct panel_lane *lane = &panel->lanes[l];

    picture_text(frame->picture,
                 (struct element){.ink = INK_TEXT,
                                  .x = frame->left - 8,
                                  .y = y + lane_height / 2 + 0.36 * name_size,
                                  .size = name_size,
                                  .anchor = ANCHOR_RIGHT},
                 "%s", lane->name);
    picture_rectangle(frame->picture, (struct element){.ink = INK_LANE,
                                                       .x = frame->left,
                                                       .y = y,
                                                       .width = frame->scale * (double)frame->style->length,
                                                       .height = lane_height});
    for (int k = 0; k < lane->count; k++)
        draw_span(frame, panel, &lane->spans[k], y);
}

static void number_axis(const struct frame *frame, double x, double y, const char *text)
{
    picture_text(frame->picture,
                 (struct element){.ink = INK_DIM, .x = x, .y = y + 14, .size = axis_size, .anchor = ANCHOR_MIDDLE},
                 "%s", text);
}

/* Each column's number below it; of narrow ones every fifth. */
static void draw_ticks(const struct frame *frame, double y)
{
    const int step = frame->scale >= 18 ? 1 : 5;
    char text[16];

    for (uint64_t tick = 1; tick <= frame->style->length; tick++) {
        if (tick % (uint64_t)step != 0)
            continue;
        snprintf(text, sizeof(text), "%d", (int)tick);
        number_axis(frame, frame->left + frame->scale * ((double)tick - 0.5), y, text);
    }
}

static void draw_times(const struct frame *frame, double y)
{
    static const struct unit {
        double ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
    const double length = (double)frame->style->length, step = picture_step(length, 8);
    const struct unit *unit = units;
    char text[32];

    while (unit->ns > length && unit->ns > 1)
        unit++;
    for (int k = 0; k * step <= length * 1.0001; k++) {
        const double x = frame->left + frame->scale * k * step;

        picture_line(frame->picture, (struct element){.ink = INK_RULE, .x = x, .y = y, .height = 4, .size = 0.8});
        snprintf(text, sizeof(text), "%.6g%s%s", k * step / unit->ns, k == 0 ? " " : "", k == 0 ? unit->name : "");
        number_axis(frame, x, y, text);
    }
}

/* Returns where the next begins. */
static double draw_panel(const struct frame *frame, const struct panel *panel, double y)
{
    picture_text(frame->picture,
                 (struct element){.ink = INK_TEXT, .x = margin, .y = y + 15, .size = title_size, .bold = true}, "%s",
                 panel->title);
    y += title_height;
    if (panel->note[0]) {
        picture_text(frame->picture, (struct element){.ink = INK_DIM, .x = margin, .y = y + 9, .size = note_size}, "%s",
                     panel->note);
        y += note_height;
    }
    for (int l = 0; l < panel->lane_count; l++, y += lane_height + lane_gap)
        draw_lane(frame, panel, l, y);
    (frame->style->ticks ? draw_ticks : draw_times)(frame, y - lane_gap + 1);
    return y + axis_height;
}

static double texts_width(const struct panel *const *panels, int count)
{
    double width = 0;

    for (int p = 0; p < count; p++)
        width = fmax(width, fmax(picture_text_width(panels[p]->title, title_size, true),
                                 0.92 * picture_text_width(panels[p]->note, note_size, false)));
    return width;
}

void panels_compose(struct picture *picture, const char *title, const struct panel *const *panels, int count,
                    const struct panel_style *style)
{
    const double names = names_width(panels, count), time = width_of(style);
    const double width = fmax(names + time + 14, texts_width(panels, count)) + 2 * margin;
    const struct frame frame = {picture, style, margin + names, time / (double)style->length};
    struct legend legend;
    double height = 2 * margin - 6, y = margin;

    legend_find(&legend, panels, count, style);
    for (int p = 0; p < count; p++)
        height += panel_height(panels[p]) + (p > 0 ? panel_gap : 0);
    picture_begin(picture, width, height + legend_height(&legend, width - 2 * margin));
    snprintf(picture->title, sizeof(picture->title), "%s", title[0] ? title : panels[0]->title);
    for (int p = 0; p < count; p++)
        y = draw_panel(&frame, panels[p], y) + panel_gap;
    legend_draw(&legend, picture, margin, y - panel_gap + 10, width - 2 * margin);
}
