#include "monitor/lane.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"

enum { SHARED = 0x2592, HATCHED = 0x2592, BEGIN = 0x258f, UPDATE = 0x25b2, IDLE = 0x00b7 };

/* How ops are told apart without colour: by texture, and by a name where there is room for one. */
static const struct texture {
    uint32_t fill;
    bool strong; /* its name stands in ink on the strong colour */
    const char *name, *brief;
    enum colour colour; /* where colours stand for kinds */
} textures[OP_KINDS] = {
    [OP_FORWARD] = {0x2591, false, "forward", "forward", COLOUR_PART},
    [OP_BACKWARD] = {0x2588, true, "backward", "backward", COLOUR_PART + 1},
    [OP_BACKWARD_INPUT] = {0x2588, true, "input half", "input", COLOUR_PART + 1},
    [OP_BACKWARD_WEIGHTS] = {HATCHED, true, "weight half", "weights", COLOUR_PART + 3},
};

static const struct wait_mark waits[WAIT_CAUSES] = {
    [WAIT_NONE] = {' ', COLOUR_DIM, "nothing", "nothing"},
    [WAIT_ACTIVATION] = {'a', COLOUR_WAIT_ACTIVATION, "activation", "act."},
    [WAIT_GRADIENT] = {'g', COLOUR_WAIT_GRADIENT, "gradient", "grad."},
    [WAIT_SLOT] = {'s', COLOUR_WAIT_SLOT, "slot", "slot"},
    [WAIT_NORM] = {'n', COLOUR_WAIT_NORM, "norm", "norm"},
    [WAIT_DATA] = {'d', COLOUR_WAIT_DATA, "data", "data"},
    [WAIT_CORE] = {'k', COLOUR_WAIT_CORE, "core", "core"},
};

const struct wait_mark lane_held = {'h', COLOUR_HELD, "held", "held"};

int lane_name_row(int rows)
{
    return max_int(rows - 1, 0) / 2;
}

struct wait_mark lane_wait(enum wait_cause cause)
{
    return waits[cause];
}

void lane_begin(struct lane *lane, const struct plan *plan, const struct time_axis *axis)
{
    lane->plan = plan;
    lane->selected = NULL;
    lane->colouring = COLOURING_MINIBATCH;
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

const char *lane_colouring_name(enum colouring colouring)
{
    static const char *const names[COLOURINGS] = {
        [COLOURING_MINIBATCH] = "mini-batch",
        [COLOURING_KIND] = "kind",
        [COLOURING_MICROBATCH] = "micro-batch",
        [COLOURING_VERSION] = "version read",
    };

    return names[colouring];
}

/* In the circle of colours. */
static struct op_colours colours_at(int number)
{
    int k = (number % MINIBATCH_COLOURS + MINIBATCH_COLOURS) % MINIBATCH_COLOURS;

    return (struct op_colours){(enum colour)(COLOUR_MINIBATCH + k), (enum colour)(COLOUR_MINIBATCH_SOFT + k)};
}

static struct op_colours colours_of(const struct span *span, enum colouring colouring)
{
    const struct op_colours neutral = {COLOUR_EVALUATION, COLOUR_EVALUATION_SOFT};
    const enum colour kind = textures[span->op.kind].colour;

    if (span->phase != PHASE_TRAIN)
        return neutral;
    if (colouring == COLOURING_KIND)
        return (struct op_colours){kind, kind};
    if (colouring == COLOURING_MICROBATCH)
        return span->op.count == 1 ? colours_at(span->op.first - 1) : neutral;
    if (colouring == COLOURING_VERSION)
        return span->version >= 0 ? colours_at(span->version) : neutral;
    return colours_at(span->number);
}

static struct style style_of(const struct span *span, struct op_colours colours)
{
    if (textures[span->op.kind].strong || colours.soft == colours.strong)
        return (struct style){COLOUR_INK, (uint8_t)colours.strong, ATTRIBUTE_BOLD};
    return (struct style){COLOUR_PAPER, (uint8_t)colours.soft, ATTRIBUTE_BOLD};
}

struct style lane_style(const struct span *span, enum colouring colouring)
{
    return style_of(span, colours_of(span, colouring));
}

struct style lane_chain_style(int minibatch, int v)
{
    const int chain = (minibatch - 1) % v + 1;

    return (struct style){COLOUR_INK, (uint8_t)(COLOUR_MINIBATCH + chain % MINIBATCH_COLOURS), ATTRIBUTE_BOLD};
}

const char *lane_version(const struct span *span, char text[LANE_VERSION_MAX])
{
    text[0] = '\0';
    if (span->version >= 0)
        snprintf(text, LANE_VERSION_MAX, "v%d", span->version);
    return text;
}

/* Of the op's cells that have no text: one plain colour, in which the texture only shows on terminals with few; a weight
 * half's is hatched, which shows on all. */
static struct style fill_style(const struct span *span, struct op_colours colours)
{
    const uint8_t background = style_of(span, colours).background;

    if (textures[span->op.kind].fill == HATCHED)
        return (struct style){(uint8_t)colours.strong,
                              (uint8_t)(colours.soft == colours.strong ? COLOUR_EVALUATION_SOFT : colours.soft), 0};
    return (struct style){background, background, 0};
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

/* The version that was read, below the name, and the one that was made behind its mark: what has room. */
static void draw_op_versions(const struct canvas *canvas, const struct span *span, int first, int end,
                             struct style style)
{
    const int row = lane_name_row(canvas->rows) + 1;
    char read[LANE_VERSION_MAX], made[LANE_VERSION_MAX];
    const int width = (int)strlen(lane_version(span, read));

    if (width > 0 && width + 1 <= end - first && canvas->rows > 1)
        canvas_write(canvas, row, first, style, read);
    if (span->made == 0)
        return;
    snprintf(made, sizeof(made), "▲%d", span->made);
    if (canvas->rows > 1 && width + 2 + canvas_width(made) < end - first)
        canvas_write_right(canvas, canvas->rows - 1, end - 1, style, made);
    else
        canvas_put(canvas, canvas->rows - 1, end - 1, style, UPDATE);
}

static void draw_op(const struct lane *lane, const struct canvas *canvas, int first, int end)
{
    struct span span = lane->columns[first].owner;
    const struct texture *texture = &textures[span.op.kind];
    const struct op_colours colours = is_selected(lane, &span) ? (struct op_colours){COLOUR_EVALUATION, COLOUR_DIM}
                                                               : colours_of(&span, lane->colouring);
    const struct style text = style_of(&span, colours), fill = fill_style(&span, colours);
    const bool dark = texture->strong && texture->fill != HATCHED;
    const struct style edge = {dark ? COLOUR_INK : (uint8_t)colours.strong, fill.background, 0};
    const bool named = lane->colouring != COLOURING_VERSION || canvas->rows > 1;
    char label[OP_LABEL_SIZE], version[LANE_VERSION_MAX];
    const char *name;

    if (span.end > axis_right(&lane->axis))
        span.made = 0;
    const int mark = canvas->rows == 1 && span.made > 0 && end - first > 1 ? 1 : 0;
    name = named ? fitting_label(lane, &span, end - first - mark, label) : lane_version(&span, version);
    if (!named && (int)strlen(name) + 1 > end - first)
        name = "";
    for (int row = 0; row < canvas->rows; row++) {
        for (int c = first; c < end; c++)
            canvas_put(canvas, row, c, fill, is_shared(lane, c) ? SHARED : texture->fill);
        if (end - first > 1 && span.start >= lane->axis.left && (*name == '\0' || row != lane_name_row(canvas->rows)))
            canvas_put(canvas, row, first, edge, BEGIN);
    }
    if (end - first > 1 || !is_shared(lane, first))
        canvas_write(canvas, lane_name_row(canvas->rows), first, text, name);
    draw_op_versions(canvas, &span, first, end, text);
}

static void draw_idle(const struct canvas *canvas, const struct span *span, int first, int end)
{
    const struct wait_mark mark = span->kind == SPAN_HELD ? lane_held : waits[span->cause];
    const struct style style = {(uint8_t)mark.colour, 0, 0};
    int row = lane_name_row(canvas->rows);

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

static int legend_op(const struct plan *plan, const struct canvas *canvas, int row, int column, enum op_kind kind,
                     enum colouring colouring, bool brief)
{
    const struct span span = {.op = {kind, 2, 2, 1, 0}, .number = 2, .version = 2};
    const struct style style = lane_style(&span, colouring);
    char label[OP_LABEL_SIZE];

    timeline_label(plan, PHASE_TRAIN, &span.op, label);
    column = canvas_write(canvas, row, column, style, label);
    canvas_put(canvas, row, column, fill_style(&span, colours_of(&span, colouring)), textures[kind].fill);
    return canvas_print(canvas, row, column + 1, ink(COLOUR_DIM), " %s ",
                        brief ? textures[kind].brief : textures[kind].name);
}

static int legend_wait(const struct canvas *canvas, int row, int column, const struct wait_mark *mark, bool brief)
{
    column = canvas_print(canvas, row, column, bold(mark->colour), " %c", mark->letter);
    return canvas_print(canvas, row, column, ink(COLOUR_DIM), " %s", brief ? mark->brief : mark->name);
}

/* How much of it is written out. */
enum legend_length { LEGEND_LONG, LEGEND_BRIEF, LEGEND_BRIEFEST, LEGEND_LENGTHS };

/* Returns the column behind it, as if nothing had been clipped. */
static int draw_legend(const struct plan *plan, const struct canvas *canvas, int row, enum colouring colouring,
                       bool interactive, enum legend_length length)
{
    static const char *const updates[LEGEND_LENGTHS] = {" update  waits:", " update", " upd"};
    const bool split = plan_training(plan).order.split_backward, brief = length > LEGEND_LONG;
    int column = legend_op(plan, canvas, row, 0, OP_FORWARD, colouring, brief);

    column = legend_op(plan, canvas, row, column, split ? OP_BACKWARD_INPUT : OP_BACKWARD, colouring, brief);
    if (split)
        column = legend_op(plan, canvas, row, column, OP_BACKWARD_WEIGHTS, colouring, brief);
    column = canvas_write(canvas, row, column, bold(COLOUR_UPDATE), "▲");
    column = canvas_write(canvas, row, column, ink(COLOUR_DIM), updates[length]);
    for (int cause = WAIT_NONE + 1; cause < WAIT_CAUSES; cause++)
        if (plan_waits_for(plan, (enum wait_cause)cause))
            column = legend_wait(canvas, row, column, &waits[cause], brief);
    return interactive ? legend_wait(canvas, row, column, &lane_held, brief) : column;
}

void lane_legend(const struct plan *plan, const struct canvas *canvas, int row, enum colouring colouring,
                 bool interactive)
{
    static const char shared[] = "   ▒ several ops share a column";
    const struct canvas nowhere = canvas_part(canvas, 0, 0, 0, 0);
    enum legend_length length = LEGEND_LONG;

    while (length < LEGEND_BRIEFEST &&
           draw_legend(plan, &nowhere, row, colouring, interactive, length) > canvas->columns)
        length++;
    const int column = draw_legend(plan, canvas, row, colouring, interactive, length);

    if (column + canvas_width(shared) < canvas->columns)
        canvas_write(canvas, row, column, ink(COLOUR_DIM), shared);
}
