#include "picture/legend.h"

#include <math.h>
#include <string.h>

static const double text_size = 11, swatch_width = 26, swatch_height = 17, row_height = 24, gap = 18;

static const struct mark waits[WAIT_CAUSES] = {
    [WAIT_NONE] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, ""},
    [WAIT_ACTIVATION] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "a"},
    [WAIT_GRADIENT] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "g"},
    [WAIT_SLOT] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "s"},
    [WAIT_NORM] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "n"},
    [WAIT_DATA] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "d"},
    [WAIT_CORE] = {INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "k"},
};

static struct mark op_mark(enum op_kind kind, enum ink strong, enum ink soft)
{
    switch (kind) {
    case OP_FORWARD:
        return (struct mark){soft, INK_NONE, INK_NONE, INK_TEXT, ""};
    case OP_BACKWARD_WEIGHTS:
        return (struct mark){INK_PAPER, strong, INK_NONE, INK_TEXT, ""};
    default:
        return (struct mark){strong, INK_NONE, INK_NONE, ink_upon(strong), ""};
    }
}

struct mark legend_mark(const struct span *span)
{
    const int number = span->number > 0 ? span->number - 1 : 0;

    if (span->kind == SPAN_WAIT)
        return waits[span->cause];
    if (span->kind == SPAN_HELD)
        return (struct mark){INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "h"};
    if (span->phase != PHASE_TRAIN)
        return op_mark(OP_FORWARD, INK_GREY_STRONG, INK_GREY_SOFT);
    return op_mark(span->op.kind, ink_strong(number), ink_soft(number));
}

/* What there is to explain. */
struct found {
    bool ops[OP_KINDS], waits[WAIT_CAUSES], test, held, update, versions, sums, parts;
    bool whole, each; /* backwards of mini-batches, and of micro-batches */
};

static void look_at(struct found *found, const struct panel_span *of, const struct schedule *schedule)
{
    const struct span *span = &of->span;

    found->held |= span->kind == SPAN_HELD;
    if (span->kind == SPAN_WAIT)
        found->waits[span->cause] = true;
    if (span->kind != SPAN_OP)
        return;
    found->parts |= schedule->parts > 1;
    found->test |= span->phase != PHASE_TRAIN;
    found->update |= span->updated;
    if (span->phase == PHASE_TRAIN)
        found->ops[span->op.kind] = true;
    found->whole |= span->op.kind == OP_BACKWARD && schedule->order.whole_backward;
    found->each |= span->op.kind == OP_BACKWARD && !schedule->order.whole_backward;
    found->versions |= of->read_first >= 0 || of->made >= 0;
    found->sums |= of->read_first == VERSION_SUM;
}

static struct legend_entry *add(struct legend *legend, struct mark mark, const char *sample, const char *text)
{
    struct legend_entry *entry = &legend->entries[legend->count++];

    *entry = (struct legend_entry){.mark = mark};
    snprintf(entry->sample, sizeof(entry->sample), "%s", sample);
    snprintf(entry->text, sizeof(entry->text), "%s", text);
    return entry;
}

static void add_ops(struct legend *legend, const struct found *found)
{
    const struct {
        bool there;
        enum op_kind kind;
        const char *sample, *text;
    } ops[] = {
        {found->ops[OP_FORWARD], OP_FORWARD, "1A", "forward of micro-batch A of mini-batch 1"},
        {found->whole, OP_BACKWARD, "1", "backward of mini-batch 1"},
        {found->each, OP_BACKWARD, "1a", "backward of micro-batch A"},
        {found->ops[OP_BACKWARD_INPUT], OP_BACKWARD_INPUT, "1a<", "its backward's input half"},
        {found->ops[OP_BACKWARD_WEIGHTS], OP_BACKWARD_WEIGHTS, "1a+", "its weight half"},
    };

    for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
        if (ops[k].there)
            add(legend, op_mark(ops[k].kind, ink_strong(0), ink_soft(0)), ops[k].sample, ops[k].text);
}

void legend_find(struct legend *legend, const struct panel *const *panels, int count, const struct panel_style *style)
{
    struct found found = {.test = false};
    char text[64];

    legend->count = 0;
    for (int p = 0; p < count; p++)
        for (int l = 0; l < panels[p]->lane_count; l++)
            for (int k = 0; k < panels[p]->lanes[l].count; k++)
                if (panels[p]->lanes[l].spans[k].span.start < panels[p]->zero + style->length &&
                    panels[p]->lanes[l].spans[k].span.end > panels[p]->zero)
                    look_at(&found, &panels[p]->lanes[l].spans[k], &panels[p]->plan->schedule);
    add_ops(legend, &found);
    if (found.parts)
        add(legend, op_mark(OP_FORWARD, ink_strong(0), ink_soft(0)), "1A'", "of the stage's second part");
    if (found.test)
        add(legend, op_mark(OP_FORWARD, INK_GREY_STRONG, INK_GREY_SOFT), "t1A", "forward of the test");
    if (found.update)
        add(legend, (struct mark){INK_GREY_SOFT, INK_NONE, INK_NONE, INK_TEXT, ""}, "", "an update follows")->update =
            true;
    if (style->versions && found.versions)
        add(legend, (struct mark){INK_PAPER, INK_NONE, INK_NONE, INK_TEXT, ""}, "v2→3",
            "reads weight version 2, makes 3");
    if (style->versions && found.sums)
        add(legend, (struct mark){INK_PAPER, INK_NONE, INK_NONE, INK_TEXT, ""}, "sum",
            "reads weights made of several vectors");
    for (int cause = WAIT_NONE + 1; cause < WAIT_CAUSES; cause++) {
        static const char *const articles[WAIT_CAUSES] = {
            [WAIT_ACTIVATION] = "an ", [WAIT_GRADIENT] = "a ", [WAIT_SLOT] = "a ",
            [WAIT_NORM] = "the ",      [WAIT_DATA] = "",       [WAIT_CORE] = "a "};

        snprintf(text, sizeof(text), "waits for %s%s", articles[cause], wait_cause_name((enum wait_cause)cause));
        if (found.waits[cause])
            add(legend, waits[cause], waits[cause].letter, text);
    }
    if (found.held)
        add(legend, (struct mark){INK_NONE, INK_NONE, INK_GREY_SOFT, INK_DIM, "h"}, "h", "held by the controls");
    add(legend, (struct mark){INK_LANE, INK_NONE, INK_NONE, INK_DIM, ""}, "", "idle")->idle = true;
}

static double entry_width(const struct legend_entry *entry)
{
    return swatch_width + 6 + picture_text_width(entry->text, text_size, false) * 0.92 + gap;
}

/* Where an entry stands: moves on to the next row where this one is full. */
static void place(const struct legend_entry *entry, double width, double *x, double *y)
{
    if (*x > 0 && *x + entry_width(entry) - gap > width) {
        *x = 0;
        *y += row_height;
    }
}

double legend_height(const struct legend *legend, double width)
{
    double x = 0, y = 0;

    for (int k = 0; k < legend->count; k++) {
        place(&legend->entries[k], width, &x, &y);
        x += entry_width(&legend->entries[k]);
    }
    return legend->count > 0 ? y + row_height + 4 : 0;
}

static void draw_box(struct picture *picture, enum ink ink, enum fill fill, double x, double y, double width,
                     double height)
{
    if (ink != INK_NONE && width > 0 && height > 0)
        picture_rectangle(picture,
                          (struct element){.ink = ink, .fill = fill, .x = x, .y = y, .width = width, .height = height});
}

void legend_draw_mark(struct picture *picture, const struct mark *mark, double x, double y, double width, double height)
{
    const double inset = mark->frame != INK_NONE ? fmin(1.8, width / 3) : 0;

    draw_box(picture, mark->frame, FILL_SOLID, x, y, width, height);
    draw_box(picture, mark->fill, FILL_SOLID, x + inset, y + inset, width - 2 * inset, height - 2 * inset);
    draw_box(picture, mark->hatch, FILL_HATCHED, x, y, width, height);
}

static void draw_swatch(const struct legend_entry *entry, struct picture *picture, double x, double y)
{
    legend_draw_mark(picture, &entry->mark, x, y, swatch_width, swatch_height);
    if (entry->update)
        picture_rectangle(
            picture, (struct element){
                         .ink = INK_TEXT, .x = x + swatch_width - 2.5, .y = y, .width = 2.5, .height = swatch_height});
    if (entry->sample[0])
        picture_text(picture,
                     (struct element){.ink = entry->mark.text,
                                      .x = x + swatch_width / 2,
                                      .y = y + swatch_height / 2 + 3.8,
                                      .size = 10.5,
                                      .anchor = ANCHOR_MIDDLE,
                                      .bold = true,
                                      .room = swatch_width - 2},
                     "%s", entry->sample);
}

void legend_draw(const struct legend *legend, struct picture *picture, double left, double top, double width)
{
    double x = 0, y = 0;

    for (int k = 0; k < legend->count; k++) {
        const struct legend_entry *entry = &legend->entries[k];

        place(entry, width, &x, &y);
        draw_swatch(entry, picture, left + x, top + y);
        picture_text(picture,
                     (struct element){.ink = INK_TEXT,
                                      .x = left + x + swatch_width + 6,
                                      .y = top + y + swatch_height / 2 + 4,
                                      .size = text_size},
                     "%s", entry->text);
        x += entry_width(entry);
    }
}
