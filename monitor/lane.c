#include "monitor/lane.h"

#include <ctype.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"

enum { SHARED = 0x2592, BEGIN = 0x258f, UPDATE = 0x25b2, IDLE = 0x00b7 };

/* How ops are told apart without colour: by texture, and by a name where there is room for one. */
static const struct texture {
    uint32_t fill;
    bool strong; /* its name stands in ink on the mini-batch's colour */
    const char *name;
} textures[OP_KINDS] = {
    [OP_FORWARD] = {0x2591, false, "forward"},
    [OP_BACKWARD] = {0x2588, true, "backward"},
    [OP_BACKWARD_INPUT] = {0x2588, true, "input half"},
    [OP_BACKWARD_WEIGHTS] = {0x2593, false, "weight half"},
};

static const struct wait_mark waits[WAIT_CAUSES] = {
    [WAIT_NONE] = {' ', COLOUR_DIM, "nothing", "nothing"},
    [WAIT_ACTIVATION] = {'a', COLOUR_WAIT_ACTIVATION, "activation", "act."},
    [WAIT_GRADIENT] = {'g', COLOUR_WAIT_GRADIENT, "gradient", "grad."},
    [WAIT_SLOT] = {'s', COLOUR_WAIT_SLOT, "slot", "slot"},
    [WAIT_NORM] = {'n', COLOUR_WAIT_NORM, "norm", "norm"},
};

const struct wait_mark lane_held = {'h', COLOUR_HELD, "held", "held"};

struct wait_mark lane_wait(enum wait_cause cause)
{
    return waits[cause];
}

void lane_begin(struct lane *lane, const struct plan *plan, const struct time_axis *axis)
{
    lane->plan = plan;
    lane->selected = NULL;
    lane->axis = *axis;
    lane->axis.columns = min_int(axis->columns, LANE_COLUMNS_MAX);
    memset(lane->columns, 0, sizeof(lane->columns[0]) * (size_t)max_int(lane->axis.columns, 0));
}

void lane_add(void *context, const struct span *span)
{
    struct lane *lane = context;
    const struct time_axis *axis = &lane->axis;
    uint64_t start = span->start > axis->left ? span->start - axis->left : 0;
    uint64_t end = span->end > axis->left ? span->end - axis->left : 0;

    for (uint64_t c = start / axis->ns_per_column; c < (uint64_t)axis->columns; c++) {
        struct lane_column *column = &lane->columns[c];
        uint64_t from = c * axis->ns_per_column, to = from + axis->ns_per_column;

        if (end <= from)
            break;
        uint64_t taken = (end < to ? end : to) - (start > from ? start : from);
        column->taken += taken;
        column->busy += span->kind == SPAN_OP ? taken : 0;
        if (taken > column->owned) {
            column->owned = taken;
            column->owner = *span;
        }
    }
}

double lane_idle_share(const struct lane *lane, int first, int end)
{
    uint64_t busy = 0;

    for (int c = first; c < end; c++)
        busy += lane->columns[c].busy;
    return end > first ? 1 - (double)busy / ((double)lane->axis.ns_per_column * (end - first)) : 0;
}

struct op_colours {
    enum colour strong, soft;
};

static struct op_colours colours_of(const struct span *span)
{
    int k = (span->number % MINIBATCH_COLOURS + MINIBATCH_COLOURS) % MINIBATCH_COLOURS;

    if (span->phase != PHASE_TRAIN)
        return (struct op_colours){COLOUR_EVALUATION, COLOUR_EVALUATION_SOFT};
    return (struct op_colours){(enum colour)(COLOUR_MINIBATCH + k), (enum colour)(COLOUR_MINIBATCH_SOFT + k)};
}

static struct style style_of(const struct span *span, struct op_colours colours)
{
    if (textures[span->op.kind].strong)
        return (struct style){COLOUR_INK, (uint8_t)colours.strong, ATTRIBUTE_BOLD};
    return (struct style){COLOUR_TITLE, (uint8_t)colours.soft, ATTRIBUTE_BOLD};
}

struct style lane_style(const struct span *span)
{
    return style_of(span, colours_of(span));
}

enum colour lane_colour(const struct span *span)
{
    return colours_of(span).strong;
}

/* Of the op's cells that have no text: one plain colour, in which the texture only shows on terminals with few. */
static struct style fill_style(struct style text)
{
    return (struct style){text.background, text.background, 0};
}

static bool is_selected(const struct lane *lane, const struct span *span)
{
    return lane->selected && span->record == lane->selected;
}

static bool is_shared(const struct lane *lane, int column)
{
    return 2 * lane->columns[column].owned < lane->axis.ns_per_column &&
           lane->columns[column].taken > lane->columns[column].owned;
}

/* The longest name of the op that fits: all of it, or a forward's micro-batch alone, which cannot be taken for anything
 * else. A name that ends with a digit or a small letter must not touch what comes next. */
static const char *fitting_label(const struct lane *lane, const struct span *span, int columns,
                                 char label[OP_LABEL_SIZE])
{
    size_t length;

    timeline_label(lane->plan, span->phase, &span->op, label);
    length = strlen(label);
    if ((int)length + (isdigit((unsigned char)label[length - 1]) || islower((unsigned char)label[length - 1])) <=
        columns)
        return label;
    if (span->op.kind == OP_FORWARD && span->phase == PHASE_TRAIN) {
        const char *letters = strpbrk(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (letters && (int)strlen(letters) <= columns)
            return letters;
    }
    return "";
}

static void draw_op(const struct lane *lane, const struct canvas *canvas, int first, int end)
{
    const struct span *span = &lane->columns[first].owner;
    const struct texture *texture = &textures[span->op.kind];
    const struct op_colours colours =
        is_selected(lane, span) ? (struct op_colours){COLOUR_TITLE, COLOUR_DIM} : colours_of(span);
    const struct style text = style_of(span, colours), fill = fill_style(text);
    const struct style edge = {texture->strong ? COLOUR_INK : (uint8_t)colours.strong, text.background, 0};
    bool ends_here = span->updated && span->end <= axis_right(&lane->axis);
    int mark = canvas->rows == 1 && ends_here ? 1 : 0;
    char label[OP_LABEL_SIZE];
    const char *name = fitting_label(lane, span, end - first - (end - first > 1 ? mark : 0), label);

    for (int row = 0; row < canvas->rows; row++) {
        for (int c = first; c < end; c++)
            canvas_put(canvas, row, c, fill, is_shared(lane, c) ? SHARED : texture->fill);
        if (end - first > 1 && span->start >= lane->axis.left && (*name == '\0' || row != canvas->rows / 2))
            canvas_put(canvas, row, first, edge, BEGIN);
    }
    if (end - first > 1 || !is_shared(lane, first))
        canvas_write(canvas, canvas->rows / 2, first, text, name);
    if (ends_here)
        canvas_put(canvas, canvas->rows - 1, end - 1, text, UPDATE);
}

static void draw_idle(const struct canvas *canvas, const struct span *span, int first, int end)
{
    const struct wait_mark mark = span->kind == SPAN_HELD ? lane_held : waits[span->cause];
    const struct style style = {(uint8_t)mark.colour, 0, 0};
    int row = canvas->rows / 2;

    canvas_fill(canvas, row, first, end - first, style, IDLE);
    canvas_put(canvas, row, first + (end - first - 1) / 2, style, (uint32_t)mark.letter);
}

static bool same_owner(const struct span *a, const struct span *b)
{
    return a->kind == b->kind && a->start == b->start;
}

void lane_draw(const struct lane *lane, const struct canvas *canvas)
{
    int columns = min_int(lane->axis.columns, canvas->columns);

    for (int first = 0, end; first < columns && canvas->rows > 0; first = end) {
        const struct span *span = &lane->columns[first].owner;

        for (end = first + 1; end < columns && same_owner(span, &lane->columns[end].owner); end++)
            ;
        if (span->kind == SPAN_OP)
            draw_op(lane, canvas, first, end);
        else if (span->kind != SPAN_NONE)
            draw_idle(canvas, span, first, end);
    }
}

static int legend_op(const struct plan *plan, const struct canvas *canvas, int row, int column, enum op_kind kind)
{
    const struct span span = {.op = {kind, 2, 2, 1, 0}, .number = 2};
    char label[OP_LABEL_SIZE];

    timeline_label(plan, PHASE_TRAIN, &span.op, label);
    column = canvas_write(canvas, row, column, lane_style(&span), label);
    canvas_put(canvas, row, column, fill_style(lane_style(&span)), textures[kind].fill);
    return canvas_print(canvas, row, column + 1, ink(COLOUR_DIM), " %s  ", textures[kind].name);
}

static int legend_wait(const struct canvas *canvas, int row, int column, const struct wait_mark *mark)
{
    column = canvas_print(canvas, row, column, bold(mark->colour), " %c", mark->letter);
    return canvas_print(canvas, row, column, ink(COLOUR_DIM), " %s ", mark->name);
}

void lane_legend(const struct plan *plan, const struct canvas *canvas, int row, bool interactive)
{
    const struct schedule schedule = plan_training(plan);
    static const char shared[] = "  ▒ several ops share a column";
    bool split = schedule.order.split_backward;
    int column = legend_op(plan, canvas, row, 0, OP_FORWARD);

    column = legend_op(plan, canvas, row, column, split ? OP_BACKWARD_INPUT : OP_BACKWARD);
    if (split)
        column = legend_op(plan, canvas, row, column, OP_BACKWARD_WEIGHTS);
    column = canvas_write(canvas, row, column, bold(COLOUR_UPDATE), "▲");
    column = canvas_write(canvas, row, column, ink(COLOUR_DIM), " update  waits:");
    for (int cause = WAIT_NONE + 1; cause < plan_wait_causes(plan); cause++)
        column = legend_wait(canvas, row, column, &waits[cause]);
    if (interactive)
        column = legend_wait(canvas, row, column, &lane_held);
    if (column + canvas_width(shared) < canvas->columns)
        canvas_write(canvas, row, column, ink(COLOUR_DIM), shared);
}
