/* What each stage's memory holds, on one scale for all stages. */
#include <math.h>
#include <stdio.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/format.h"
#include "monitor/plot.h"
#include "plan/describe.h"

enum { LEFT = 3, RIGHT = 36, NAME_COLUMNS = 12, NUMBER_COLUMNS = 10, BLOCK_GAP = 4, COUNT_ROWS = 2, BAR_ROWS_MAX = 7 };

/* They stand for categories where there is no room for names. */
static const char letters[MEMORY_CATEGORIES] = {
    [MEMORY_WEIGHTS] = 'w',     [MEMORY_STASH] = 's', [MEMORY_GRADIENTS] = 'g', [MEMORY_OPTIMIZER] = 'o',
    [MEMORY_ACTIVATIONS] = 'a', [MEMORY_LINKS] = 'l', [MEMORY_WORKSPACE] = 'k',
};

struct stage_memory {
    uint64_t now, peak, planned;
};

/* The peak is that of each category, added: categories need not peak together. */
static struct stage_memory memory_of(const struct snapshot *snapshot, int s)
{
    struct stage_memory memory = {0};

    for (int c = 0; c < MEMORY_CATEGORIES; c++) {
        memory.now += snapshot->stages[s - 1].counters.memory[c];
        memory.peak += snapshot->stages[s - 1].counters.memory_peak[c];
        memory.planned += snapshot->plan->parts[s - 1].memory[c];
    }
    return memory;
}

static void draw_mark(const struct canvas *canvas, double bytes, double scale, struct style style, uint32_t glyph)
{
    int column = min_int((int)lround(bytes / scale * canvas->columns), canvas->columns - 1);

    for (int row = 0; row < canvas->rows; row++)
        canvas_put(canvas, row, column, style, glyph);
}

static void draw_stage(const struct canvas *canvas, const struct snapshot *snapshot, int s, double scale, bool selected)
{
    const struct stage_memory memory = memory_of(snapshot, s);
    const struct canvas bar = canvas_part(canvas, 0, LEFT, canvas->rows, canvas->columns - LEFT - RIGHT);
    struct plot_part parts[MEMORY_CATEGORIES];
    char now[FORMAT_MAX], peak[FORMAT_MAX], planned[FORMAT_MAX];
    int row = canvas->rows / 2;

    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        parts[c] =
            (struct plot_part){(double)snapshot->stages[s - 1].counters.memory[c], (enum colour)(COLOUR_PART + c),
                               memory_category_name((enum memory_category)c), letters[c]};
    plot_stack(&bar, parts, MEMORY_CATEGORIES, scale);
    draw_mark(&bar, (double)memory.planned, scale, bold(COLOUR_TITLE), 0x2503);
    if (memory.peak != memory.planned)
        draw_mark(&bar, (double)memory.peak, scale, bold(COLOUR_WARNING), 0x2506);
    draw_stage_name(canvas, row, 0, bold(selected ? COLOUR_KEY : COLOUR_TITLE), snapshot->plan, s);
    canvas_print(canvas, row, canvas->columns - RIGHT + 1, bold(COLOUR_DEFAULT), "%9s", format_bytes(memory.now, now));
    canvas_print(canvas, row, canvas->columns - RIGHT + 13, ink(memory.peak > memory.planned ? COLOUR_BAD : COLOUR_DIM),
                 "%9s %9s", format_bytes(memory.peak, peak), format_bytes(memory.planned, planned));
}

static void draw_legend(const struct canvas *canvas, int row)
{
    int column = 1;

    for (int c = 0; c < MEMORY_CATEGORIES; c++) {
        const struct style style = {COLOUR_INK, (uint8_t)(COLOUR_PART + c), 0};

        column = canvas_print(canvas, row, column, style, "%c", letters[c]);
        column =
            canvas_print(canvas, row, column, ink(COLOUR_DIM), " %s ", memory_category_name((enum memory_category)c));
    }
}

/* Which of its numbers a table has. */
enum amount { AMOUNT_NOW, AMOUNT_PLANNED, AMOUNT_PEAK, AMOUNTS };
static const char *const amount_titles[AMOUNTS] = {
    [AMOUNT_NOW] = "bytes in use, by stage", [AMOUNT_PLANNED] = "planned", [AMOUNT_PEAK] = "at their peaks"};

static uint64_t bytes_of(const struct snapshot *snapshot, int s, int category, enum amount amount)
{
    const struct stage_counters *counters = &snapshot->stages[s - 1].counters;

    return amount == AMOUNT_PLANNED ? snapshot->plan->parts[s - 1].memory[category]
           : amount == AMOUNT_PEAK  ? counters->memory_peak[category]
                                    : counters->memory[category];
}

/* What the stash and the activations are so many of. */
static void draw_counts(const struct canvas *canvas, int row, int column, const struct snapshot *snapshot, int s,
                        enum amount amount)
{
    const struct stage_counters *counters = &snapshot->stages[s - 1].counters;
    const struct plan_part *part = &snapshot->plan->parts[s - 1];
    const int versions[AMOUNTS] = {counters->versions, part->weight_version_buffers, counters->versions_peak};
    const int in_flight[AMOUNTS] = {counters->slots, part->activation_sets, counters->slots_peak};
    char text[FORMAT_MAX];

    snprintf(text, sizeof(text), "%d", versions[amount]);
    canvas_write_right(canvas, row, column, ink(COLOUR_DEFAULT), text);
    snprintf(text, sizeof(text), "%d", in_flight[amount]);
    canvas_write_right(canvas, row + 1, column, ink(COLOUR_DEFAULT), text);
}

/* A row per category and, if asked for, two of counts; a column per stage. Returns the columns that it takes. */
static int draw_block(const struct canvas *canvas, int row, int left, const struct snapshot *snapshot, int first,
                      int shown, enum amount amount, bool counts)
{
    char text[FORMAT_MAX];

    for (int s = first; s < first + shown; s++) {
        const int column = left + (s - first + 1) * NUMBER_COLUMNS;

        draw_stage_name(canvas, row, column - 2, bold(COLOUR_TITLE), snapshot->plan, s);
        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            canvas_write_right(canvas, row + 1 + c, column, ink(COLOUR_DEFAULT),
                               format_bytes(bytes_of(snapshot, s, c, amount), text));
        if (counts)
            draw_counts(canvas, row + 1 + MEMORY_CATEGORIES, column, snapshot, s, amount);
    }
    return shown * NUMBER_COLUMNS;
}

/* What is in use now; beside it, where there is room, what the plan says, and the peaks. */
static void draw_table(const struct canvas *canvas, int row, const struct snapshot *snapshot, int first, bool counts)
{
    int shown = min_int(snapshot->stage_count - first + 1, (canvas->columns - NAME_COLUMNS) / NUMBER_COLUMNS);
    char text[FORMAT_MAX];

    draw_title(canvas, row, amount_titles[AMOUNT_NOW]);
    draw_stages_shown(canvas, row, first, shown, snapshot->stage_count);
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        canvas_write(canvas, row + 2 + c, 1, ink(COLOUR_DEFAULT), memory_category_name((enum memory_category)c));
    if (counts) {
        canvas_write(canvas, row + 2 + MEMORY_CATEGORIES, 1, ink(COLOUR_DIM), "versions");
        snprintf(text, sizeof(text), "%s", describe_in_flight(snapshot->plan));
        canvas_write(canvas, row + 3 + MEMORY_CATEGORIES, 1, ink(COLOUR_DIM), text);
    }
    for (int amount = 0, left = NAME_COLUMNS; amount < AMOUNTS; amount++) {
        if (amount > 0 && (shown < snapshot->stage_count || left + shown * NUMBER_COLUMNS > canvas->columns))
            break;
        if (amount > 0)
            canvas_print(canvas, row, left + NUMBER_COLUMNS - 10, bold(COLOUR_TITLE), " %s ", amount_titles[amount]);
        left += draw_block(canvas, row + 1, left, snapshot, first, shown, (enum amount)amount, counts) + BLOCK_GAP;
    }
}

static void draw_head(const struct canvas *canvas, const struct snapshot *snapshot)
{
    struct stage_memory all = {0};
    char text[FORMAT_MAX];
    int column;

    for (int s = 1; s <= snapshot->stage_count; s++) {
        const struct stage_memory memory = memory_of(snapshot, s);

        all.now += memory.now;
        all.planned += memory.planned;
    }
    column = canvas_print(canvas, 0, LEFT, bold(COLOUR_TITLE), "%s", format_bytes(all.now, text));
    column =
        canvas_print(canvas, 0, column, ink(COLOUR_DIM), " in all, planned %s   ", format_bytes(all.planned, text));
    canvas_fill(canvas, 0, canvas->columns - RIGHT, RIGHT, ink(COLOUR_DEFAULT), ' ');
    canvas_write_right(canvas, 0, canvas->columns - RIGHT + 10, bold(COLOUR_TITLE), "now");
    canvas_write_right(canvas, 0, canvas->columns - RIGHT + 22, ink(COLOUR_WARNING), "┆ peak");
    canvas_write_right(canvas, 0, canvas->columns - RIGHT + 32, bold(COLOUR_TITLE), "┃ plan");
}

void draw_memory(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    int stages = snapshot->stage_count, rows = canvas->rows - 2, table = MEMORY_CATEGORIES + 3;
    bool has_table = rows >= 2 * stages + table || (rows >= stages + table && stages > 4);
    bool counts = has_table && rows >= 2 * stages + table + COUNT_ROWS;
    int bars = rows - (has_table ? table : 0) - (counts ? COUNT_ROWS : 0),
        height = max_int(1, min_int(bars / max_int(stages, 1), BAR_ROWS_MAX));
    int shown = min_int(stages, max_int(bars / height, 1)), first = first_stage_shown(state, moment, shown);
    double scale = 1;

    for (int s = 1; s <= stages; s++) {
        const struct stage_memory memory = memory_of(snapshot, s);

        scale = fmax(scale, (double)(memory.peak > memory.planned ? memory.peak : memory.planned));
    }
    draw_head(canvas, snapshot);
    for (int k = 0; k < shown; k++) {
        /* A blank row between bars that are more than one row high. */
        const struct canvas part = canvas_part(canvas, 1 + k * height, 0, height > 1 ? height - 1 : 1, canvas->columns);

        draw_stage(&part, snapshot, first + k, 1.02 * scale, first + k == state->cursor_stage);
    }
    if (has_table)
        draw_table(canvas, 1 + shown * height, snapshot, first, counts);
    draw_legend(canvas, canvas->rows - 1);
    draw_stages_shown(canvas, canvas->rows - 1, first, shown, stages);
}
