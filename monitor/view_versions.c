/* Which weight versions each stage holds and who reads them, how stale what is read is, and the version difference. */
#include <stdio.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/format.h"
#include "monitor/lane.h"
#include "monitor/plot.h"
#include "monitor/readings.h"
#include "plan/describe.h"

enum {
    LEFT = 3,
    RIGHT = 24,
    BOX_MIN = 5,
    BOX_MAX = 18,
    NAMES_FROM = 11,
    METER_ROWS = 4,
    RULES_ROWS = 6,
    READINGS_ROWS = 5,
    HEIGHT_MAX = 3
};

/* Why a version is kept; without a name: stash_name. */
static const struct {
    int use;
    const char *glyph, *name, *brief;
    enum colour colour;
} uses[] = {
    {USE_LIVE, "●", "live", "live", COLOUR_GOOD},
    {USE_RUNNING, "▶", "read now", "read now", COLOUR_KEY},
    {USE_STASHED, "■", NULL, "kept", COLOUR_WAIT_GRADIENT},
    {USE_EXPECTED, "○", "in case", "in case", COLOUR_DIM},
};
enum { USES = sizeof(uses) / sizeof(uses[0]) };

/* What a forward's version is kept for. */
static const char *stash_name(const struct plan *plan)
{
    if (!update_rule(plan->schedule.update)->keeps_forward)
        return "kept for a backward";
    return backward_reading(plan->schedule.backward)->keeps_forward ? "kept for backward and update"
                                                                    : "kept for an update";
}

/* Versions that any of the stages shown holds. */
struct range {
    int first, last;
};

static struct range range_of(const struct snapshot *snapshot, int first, int shown)
{
    const int live = snapshot->stages[first - 1].version_live;
    struct range range = {live, live};

    for (int s = first - 1; s < first - 1 + shown; s++)
        for (int k = 0; k < snapshot->stages[s].version_count; k++) {
            range.first = min_int(range.first, snapshot->stages[s].versions[k].version);
            range.last = max_int(range.last, snapshot->stages[s].versions[k].version);
        }
    return range;
}

static void draw_uses(const struct canvas *canvas, int row, int column, struct style style, int kept_for)
{
    for (int k = 0; k < USES; k++)
        if (kept_for & uses[k].use)
            column = canvas_write(canvas, row, column, style, uses[k].glyph);
}

/* A version has the colour of the mini-batch whose update made it, the live one strongly. */
static void draw_box(const struct canvas *canvas, const struct moment *moment, int part, const struct version_use *use)
{
    const struct span span = {.op = {use->uses & USE_LIVE ? OP_BACKWARD : OP_FORWARD, 1, 1, 1, 0},
                              .number = use->version};
    const struct style style = lane_style(&span, COLOURING_MINIBATCH);
    const bool wide = canvas->columns >= NAMES_FROM, high = canvas->rows > 1;
    char readers[KEPT_FOR_MAX];
    int column;

    for (int row = 0; row < canvas->rows; row++)
        canvas_fill(canvas, row, 0, canvas->columns, style, ' ');
    column = canvas_print(canvas, 0, 0, style, wide ? " v%d " : "%d", use->version);
    if (high && column + USES > canvas->columns) {
        draw_uses(canvas, 1, 0, style, use->uses);
        return;
    }
    draw_uses(canvas, 0, wide ? column : min_int(column, canvas->columns - 2), style, use->uses);
    if (!high)
        return;
    readings_to_come(moment, part, use, readers);
    if (*readers)
        column = canvas_print(canvas, 1, 0, style, wide ? " for %s" : "%s", readers);
    if (column > canvas->columns)
        canvas_write(canvas, 1, canvas->columns - 1, style, "…");
}

static void draw_stage(const struct canvas *canvas, const struct moment *moment, int s, struct range range, int box,
                       bool selected)
{
    const struct plan *plan = moment->snapshot->plan;
    const struct stage_snapshot *stage = &moment->snapshot->stages[s - 1];
    const struct canvas boxes = canvas_part(canvas, 0, LEFT, canvas->rows, canvas->columns - LEFT - RIGHT);
    char text[FORMAT_MAX];
    uint64_t bytes = (uint64_t)plan->parts[s - 1].memory[MEMORY_WEIGHTS] * (uint64_t)max_int(stage->version_count, 0);

    draw_stage_name(canvas, 0, 0, bold(selected ? COLOUR_KEY : COLOUR_TITLE), plan, s);
    for (int k = 0; k < stage->version_count; k++) {
        const struct version_use *use = &stage->versions[k];
        const struct canvas part = canvas_part(&boxes, 0, (use->version - range.first) * box, canvas->rows, box - 1);

        if (use->version >= range.first)
            draw_box(&part, moment, s, use);
    }
    canvas_print(canvas, 0, canvas->columns - RIGHT + 1, bold(COLOUR_DEFAULT), "%d version%s", stage->version_count,
                 stage->version_count == 1 ? "" : "s");
    canvas_write_right(canvas, 0, canvas->columns - 1, ink(COLOUR_DIM), format_bytes(bytes, text));
}

/* Returns the column behind it, as if nothing had been clipped. */
static int draw_legend(const struct canvas *canvas, const struct plan *plan, bool brief)
{
    int column = canvas_width("versions held") + 6;

    for (int k = 0; k < USES; k++)
        column = canvas_print(canvas, 0, column, ink(uses[k].colour), " %s %s ", uses[k].glyph,
                              brief          ? uses[k].brief
                              : uses[k].name ? uses[k].name
                                             : stash_name(plan));
    return column;
}

static int draw_held(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    int stages = moment->snapshot->stage_count;
    int height = max_int(1, min_int((canvas->rows - 1) / stages, HEIGHT_MAX));
    int shown = max_int(0, min_int(stages, (canvas->rows - 1) / height));
    int first = first_stage_shown(state, moment, shown);
    struct range range = range_of(moment->snapshot, first, shown);
    int room = max_int(canvas->columns - LEFT - RIGHT, BOX_MIN);
    int box = max_int(BOX_MIN, min_int(room / (range.last - range.first + 1), BOX_MAX));
    const struct canvas nowhere = canvas_part(canvas, 0, 0, 0, 0);

    /* The newest are what matters where not all have room. */
    range.first = max_int(range.first, range.last - room / box + 1);
    draw_title(canvas, 0, "versions held");
    draw_legend(canvas, moment->snapshot->plan,
                draw_legend(&nowhere, moment->snapshot->plan, false) >
                    canvas->columns - (shown < stages ? STAGES_SHOWN_COLUMNS : 0));
    draw_stages_shown(canvas, 0, first, shown, stages);
    for (int s = first; s < first + shown; s++) {
        const struct canvas part =
            canvas_part(canvas, 1 + (s - first) * height, 0, height > 2 ? height - 1 : height, canvas->columns);

        draw_stage(&part, moment, s, range, box, s == state->cursor_stage);
    }
    return 1 + shown * height;
}

static void draw_staleness(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    int stages = moment->snapshot->stage_count, shown = min_int(stages, canvas->rows - 1);
    int first = first_stage_shown(state, moment, shown), half = canvas->columns / 2;

    draw_title(canvas, 0, "staleness, when a backward begins: newest version - version read");
    draw_stages_shown(canvas, 0, first, shown, stages);
    for (int k = 0; k < shown; k++) {
        const struct stage_counters *counters = &moment->snapshot->stages[first + k - 1].counters;
        const struct canvas left = canvas_part(canvas, 1 + k, 0, 1, half - 1);
        const struct canvas right = canvas_part(canvas, 1 + k, half, 1, canvas->columns - half);

        draw_stage_name(&left, 0, 0, bold(COLOUR_TITLE), moment->snapshot->plan, first + k);
        canvas_write(&left, 0, LEFT, ink(COLOUR_DIM), "forward");
        plot_histogram(&left, 0, LEFT + 8, counters->staleness_forward, STALENESS_BUCKETS,
                       (double)counters->staleness_forward_sum, ink(COLOUR_WAIT_ACTIVATION));
        canvas_write(&right, 0, 0, ink(COLOUR_DIM), "backward");
        plot_histogram(&right, 0, 9, counters->staleness_backward, STALENESS_BUCKETS,
                       1e-6 * (double)counters->staleness_millionths, ink(COLOUR_WAIT_GRADIENT));
    }
}

/* Mini-batch i reads what mini-batch i - v made: with v > 1, v sequences of updates take turns. */
static void draw_sequences(const struct canvas *canvas, int row, const struct moment *moment, int v)
{
    const struct stage_snapshot *last = &moment->snapshot->stages[moment->snapshot->stage_count - 1];
    int newest =
        last->counters.phase == PHASE_TRAIN ? last->counters.minibatch : moment->snapshot->plan->minibatches_per_epoch;
    int column = canvas_print(canvas, row, 1, ink(COLOUR_DEFAULT), "%d sequences of updates: ", v);

    for (int r = 1; r <= v && column < canvas->columns; r++)
        column = canvas_print(canvas, row, column, lane_chain_style(r, v), " %d,%d,%d,… ", r, r + v, r + 2 * v);
    column = canvas_write(canvas, row, column, ink(COLOUR_DIM), " newest: ");
    for (int i = max_int(1, newest - 2 * v + 1); i <= newest && column < canvas->columns - 5; i++)
        column = canvas_print(canvas, row, column, lane_chain_style(i, v), " %d ", i);
}

/* Measured in most mini-batches; before there is one, the plan's. */
static int usual_difference(const struct stage_counters *last, int planned)
{
    int v = -1;

    for (int k = 0; k < DIFFERENCE_BUCKETS; k++)
        if (last->version_difference[k] > (v < 0 ? 0 : last->version_difference[v]))
            v = k;
    return v < 0 ? planned : v;
}

static int meter_number(const struct canvas *canvas, int column, const char *name, int v)
{
    column = canvas_print(canvas, 1, column, ink(COLOUR_DIM), " %s ", name);
    return v > 0 ? canvas_print(canvas, 1, column, bold(COLOUR_KEY), "%d ", v)
                 : canvas_write(canvas, 1, column, ink(COLOUR_DIM), "– ");
}

static void draw_meter(const struct canvas *canvas, const struct moment *moment)
{
    const struct plan *plan = moment->snapshot->plan;
    const struct stage_counters *last = &moment->snapshot->stages[moment->snapshot->stage_count - 1].counters;
    int v = usual_difference(last, plan->version_difference_simulated), column;
    double sum = 0;

    draw_title(canvas, 0, "version difference v: mini-batch i reads what i - v made");
    column = meter_number(canvas, 0, "papers' formula", plan->version_difference_paper);
    column = meter_number(canvas, column, "exact", plan->version_difference_exact);
    column = meter_number(canvas, column, "planned", plan->version_difference_simulated);
    column = canvas_write(canvas, 1, column, ink(COLOUR_DIM), " measured ");
    for (int k = 0; k < DIFFERENCE_BUCKETS; k++)
        sum += (double)k * (double)last->version_difference[k];
    plot_histogram(canvas, 1, column, last->version_difference, DIFFERENCE_BUCKETS, sum, ink(COLOUR_KEY));
    if (v > 1)
        draw_sequences(canvas, 2, moment, v);
    else
        canvas_write(canvas, 2, 1, ink(COLOUR_DIM),
                     v == 1 ? "one sequence of updates: each reads what the one before made"
                            : "mini-batches read no weights that others made");
}

static int draw_rule(const struct canvas *canvas, int row, const char *what, const char *name, const char *formula)
{
    const int column = canvas_print(canvas, row, 0, ink(COLOUR_DIM), " %-10s", what);

    canvas_print(canvas, row, canvas_print(canvas, row, column, bold(COLOUR_KEY), "%s", name), ink(COLOUR_DEFAULT),
                 ": %s", formula);
    return row + 1;
}

static int draw_tau(const struct canvas *canvas, int row, const struct plan *plan)
{
    int column = canvas_print(canvas, row, 0, ink(COLOUR_DIM), " %-10s", "tau");

    if (plan->config.staleness.measure == STALENESS_MEASURED) {
        canvas_write(canvas, row, column, ink(COLOUR_DEFAULT), "each mini-batch's own");
        return row + 1;
    }
    column = canvas_write(canvas, row, column, ink(COLOUR_DEFAULT), "by stage:");
    for (int k = 1; k <= plan->part_count && column < canvas->columns; k++)
        column = canvas_print(canvas, row, column, bold(COLOUR_DEFAULT), " %d", plan_staleness(plan, k));
    return row + 1;
}

/* The formulas by which passes read sums and updates mind their staleness; nothing where the system has none. Returns the
 * rows that it takes. */
static int draw_rules(const struct canvas *canvas, const struct plan *plan)
{
    const struct reading *forward = forward_reading(plan->schedule.forward);
    const struct reading *backward = backward_reading(plan->schedule.backward);
    const struct update_rule *update = update_rule(plan->schedule.update);
    char kept[KEPT_TEXT_MAX];
    int row = 1;

    if (!plan_combines(plan) && plan->schedule.update == UPDATE_PLAIN)
        return 0;
    draw_title(canvas, 0, "rules: w is the newest version");
    if (forward->terms)
        row = draw_rule(canvas, row, "forward", forward->name, forward->formula);
    if (backward->terms)
        row = draw_rule(canvas, row, "backward", backward->name, backward->formula);
    if (plan->schedule.update != UPDATE_PLAIN)
        row = draw_rule(canvas, row, "update", update->name, update->formula);
    describe_kept(plan, kept);
    row = draw_rule(canvas, row, "optimizer", plan_optimizer(plan)->name, kept);
    if ((forward->terms && !forward->measures) || (backward->terms && !backward->measures) ||
        plan->schedule.update != UPDATE_PLAIN)
        row = draw_tau(canvas, row, plan);
    return row + 1;
}

void draw_versions(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    int stages = moment->snapshot->stage_count, rows = canvas->rows - METER_ROWS;
    int staleness = rows >= 2 * stages + 3 ? stages + 2 : rows >= 12 ? rows / 3 : 0;
    const struct canvas held = canvas_part(canvas, 0, 0, rows - staleness, canvas->columns);
    int end = draw_held(&held, state, moment);
    const struct canvas stale = canvas_part(canvas, end, 0, staleness, canvas->columns);
    const struct canvas meter = canvas_part(canvas, staleness > 0 ? end + stale.rows : canvas->rows - METER_ROWS, 0,
                                            METER_ROWS, canvas->columns);
    const int used = end + stale.rows + METER_ROWS;
    const struct canvas rules = canvas_part(canvas, used, 0, canvas->rows - used, canvas->columns);
    int row = 0;

    if (staleness > 0)
        draw_staleness(&stale, state, moment);
    draw_meter(&meter, moment);
    if (staleness > 0 && rules.rows >= RULES_ROWS)
        row = draw_rules(&rules, moment->snapshot->plan);
    const int chosen = readings_first(state, moment->snapshot);
    for (int k = 0; k < stages && staleness > 0 && rules.rows - row >= READINGS_ROWS; k++) {
        const struct canvas readings = canvas_part(&rules, row, 0, rules.rows - row, canvas->columns);

        row += draw_readings(&readings, state, moment, k == 0 ? chosen : k < chosen ? k : k + 1) + 1;
    }
}
