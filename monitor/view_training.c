/* How the network learns, where each stage's time goes, and what each machine's node does. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/facts.h"
#include "monitor/format.h"
#include "monitor/lane.h"
#include "monitor/plot.h"
#include "plan/describe.h"

enum { AXIS = 7, BARS_MIN = 26, TABLE_COLUMNS = 58, LEFT = 3, PERCENT = 7, NUMBER = 9, NUMBERS_FROM = 100 };

static void draw_facts(const struct canvas *canvas, const struct moment *moment)
{
    const struct facts facts = facts_of(moment);
    const struct plan *plan = moment->snapshot->plan;
    char text[FORMAT_MAX], rates[SETTING_TEXT_MAX];
    int column = 1;

    if (facts.loss >= 0)
        column = canvas_print(canvas, 0, column, bold(COLOUR_LOSS), "loss %.4f  ", facts.loss);
    describe_setting(plan, offsetof(struct optimizer_settings, rate), facts.updates, rates);
    column = canvas_print(canvas, 0, column, ink(COLOUR_DEFAULT), "learning rate %s  ", rates);
    if (facts.rate > 0)
        column = canvas_print(canvas, 0, column, ink(COLOUR_DEFAULT), "%.0f %s  ", facts.rate, plan_rate_unit(plan));
    column = canvas_print(canvas, 0, column, ink(COLOUR_DEFAULT), "%s", format_clock(facts.elapsed, text));
    if (facts.seconds_left >= 0)
        canvas_print(canvas, 0, column, bold(COLOUR_KEY), ", %s left", format_clock(facts.seconds_left, text));
}

static void draw_loss(const struct canvas *canvas, const struct moment *moment)
{
    const struct curve *curve = moment->curve;
    const struct canvas plot = canvas_part(canvas, 1, AXIS, canvas->rows - 2, canvas->columns - AXIS - 1);
    double top = 0;

    draw_title(canvas, 0, "training loss");
    for (int k = 0; curve && k < curve->count; k++)
        if (isfinite(curve->loss[k]))
            top = fmax(top, (double)curve->loss[k]);
    if (top <= 0) {
        canvas_write(&plot, plot.rows / 2, 1, ink(COLOUR_DIM), "no mini-batch is done yet");
        return;
    }
    top = plot_top(top);
    for (int row = 0; row < plot.rows; row++)
        canvas_put(canvas, 1 + row, AXIS - 1, ink(COLOUR_DIM), 0x2502);
    canvas_print(canvas, 1, 0, ink(COLOUR_DIM), "%5.3g", top);
    if (plot.rows > 4)
        canvas_print(canvas, 1 + plot.rows / 2, 0, ink(COLOUR_DIM), "%5.3g",
                     top * (plot.rows - 1 - plot.rows / 2) / (plot.rows - 1));
    canvas_print(canvas, plot.rows, 0, ink(COLOUR_DIM), "%5d", 0);
    canvas_fill(canvas, canvas->rows - 1, AXIS, plot.columns, ink(COLOUR_DIM), 0x2500);
    canvas_put(canvas, canvas->rows - 1, AXIS - 1, ink(COLOUR_DIM), 0x2514);
    canvas_print(canvas, canvas->rows - 1, AXIS + plot.columns - 24, ink(COLOUR_DIM), " mini-batch %d ",
                 curve->count * curve->minibatches_per_point);
    plot_curve(&plot, curve->loss, curve->count, top, bold(COLOUR_LOSS));
}

static void draw_accuracy(const struct canvas *canvas, const struct snapshot *snapshot)
{
    const struct canvas plot = canvas_part(canvas, 1, 1, canvas->rows - 2, canvas->columns - 2);
    double shares[EPOCHS_MAX];
    int count = min_int(snapshot->epochs_done, EPOCHS_MAX), left_out;

    draw_title(canvas, 0, "test accuracy by epoch");
    for (int e = 0; e < count; e++)
        shares[e] = snapshot->epochs[e].test_top1;
    if (count == 0) {
        canvas_write(&plot, plot.rows / 2, 1, ink(COLOUR_DIM), "no epoch is done yet");
        return;
    }
    left_out = plot_bars(&plot, shares, count, ink(COLOUR_ACCURACY));
    canvas_print(canvas, canvas->rows - 1, 1, ink(COLOUR_DIM), "epochs %d to %d", left_out + 1, count);
}

static void draw_epochs(const struct canvas *canvas, const struct snapshot *snapshot)
{
    int shown = max_int(0, min_int(snapshot->epochs_done, canvas->rows - 2)), first = snapshot->epochs_done - shown;

    draw_title(canvas, 0, "epochs");
    canvas_print(canvas, 1, 0, ink(COLOUR_DIM), "epoch  train loss  test loss   top-1   top-5  %s   time",
                 plan_rate_unit(snapshot->plan));
    for (int k = 0; k < shown; k++) {
        const struct epoch_result *epoch = &snapshot->epochs[first + k];
        double trained = epoch->trained_ns > epoch->start_ns ? 1e-9 * (double)(epoch->trained_ns - epoch->start_ns) : 0;
        double all = epoch->end_ns > epoch->start_ns ? 1e-9 * (double)(epoch->end_ns - epoch->start_ns) : 0;

        canvas_print(
            canvas, 2 + k, 0, ink(COLOUR_DEFAULT), "%5d %11.4f %10.4f %6.2f%% %6.2f%% %9.0f %5.1fs", first + k + 1,
            epoch->train_loss, epoch->test_loss, 100 * epoch->test_top1, 100 * epoch->test_top5,
            trained > 0 ? epoch->trained_samples * (double)plan_targets_per_sample(snapshot->plan) / trained : 0, all);
    }
}

/* What a stage's time went to. */
enum { COMPUTING, UPDATING, WAITING, HOLDING = WAITING + WAIT_CAUSES - 1, USES };

static double take_uses(const struct stage_counters *counters, struct plot_part parts[USES])
{
    double sum = 0;

    parts[COMPUTING] =
        (struct plot_part){(double)(counters->busy_ns - counters->update_ns), COLOUR_COMPUTE, "computing", 'c'};
    parts[UPDATING] = (struct plot_part){(double)counters->update_ns, COLOUR_PART + 4, "updating", 'u'};
    for (int cause = WAIT_NONE + 1; cause < WAIT_CAUSES; cause++) {
        const struct wait_mark mark = lane_wait((enum wait_cause)cause);

        parts[WAITING + cause - 1] =
            (struct plot_part){(double)counters->wait_ns[cause], mark.colour, mark.name, mark.letter};
    }
    parts[HOLDING] = (struct plot_part){(double)counters->held_ns, COLOUR_EVALUATION, lane_held.name, lane_held.letter};
    for (int k = 0; k < USES; k++)
        sum += parts[k].size;
    return sum;
}

/* Whether the run's stages wait for that. */
static bool is_wait(const struct plan *plan, int use)
{
    return use >= WAITING && use < HOLDING && plan_waits_for(plan, (enum wait_cause)(use - WAITING + 1));
}

/* Returns the column behind it, as if nothing had been clipped. */
static int draw_uses(const struct canvas *canvas, const struct plot_part parts[USES], const struct plan *plan,
                     bool interactive, bool brief)
{
    int column = canvas_width("time") + 6;

    for (int k = 0; k < (interactive ? USES : HOLDING); k++) {
        const bool wait = k >= WAITING && k < HOLDING;

        if (wait && !is_wait(plan, k))
            continue;
        if (k == WAITING)
            column = canvas_write(canvas, 0, column, ink(COLOUR_DIM), " waits: ");
        column = canvas_print(canvas, 0, column, (struct style){COLOUR_INK, (uint8_t)parts[k].colour, 0}, " %s ",
                              wait && brief ? lane_wait((enum wait_cause)(k - WAITING + 1)).brief : parts[k].name);
    }
    return column;
}

/* What all parts of the part's stage have used. */
static double stage_time(const struct snapshot *snapshot, int part)
{
    const int stage = plan_stage_of(snapshot->plan, part);
    struct plot_part parts[USES];
    double sum = 0;

    for (int k = 1; k <= snapshot->stage_count; k++)
        if (plan_stage_of(snapshot->plan, k) == stage)
            sum += take_uses(&snapshot->stages[k - 1].counters, parts);
    return sum;
}

/* Columns of the shares of all waits. */
static int numbers_of(const struct plan *plan)
{
    int columns = 1;

    for (int use = WAITING; use < HOLDING; use++)
        columns += is_wait(plan, use) ? NUMBER : 0;
    return columns;
}

static void draw_stage(const struct canvas *canvas, const struct snapshot *snapshot, int s, bool selected)
{
    int right = canvas->columns >= NUMBERS_FROM ? numbers_of(snapshot->plan) : 0, row = canvas->rows / 2;
    const struct canvas bar = canvas_part(canvas, 0, LEFT, canvas->rows, canvas->columns - LEFT - right - PERCENT);
    int column = LEFT + bar.columns;
    struct plot_part parts[USES];
    double sum = stage_time(snapshot, s);

    take_uses(&snapshot->stages[s - 1].counters, parts);

    draw_stage_name(canvas, row, 0, bold(selected ? COLOUR_KEY : COLOUR_TITLE), snapshot->plan, s);
    if (sum <= 0)
        return;
    plot_stack(&bar, parts, USES, sum);
    column = canvas_print(canvas, row, column, bold(COLOUR_COMPUTE), " %5.1f%%",
                          100 * (parts[COMPUTING].size + parts[UPDATING].size) / sum);
    for (int use = WAITING; use < HOLDING && right > 0; use++)
        if (is_wait(snapshot->plan, use))
            column = canvas_print(canvas, row, column, ink(parts[use].colour), "  %c%5.1f%%", parts[use].letter,
                                  100 * parts[use].size / sum);
}

static void draw_times(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    int stages = moment->snapshot->stage_count, height = max_int(1, min_int((canvas->rows - 1) / stages, 3));
    int shown = max_int(0, min_int(stages, (canvas->rows - 1) / height));
    int first = first_stage_shown(state, moment, shown);
    const struct canvas nowhere = canvas_part(canvas, 0, 0, 0, 0);
    const struct plan *plan = moment->snapshot->plan;
    const bool interactive = moment->snapshot->interactive;
    struct plot_part parts[USES];

    take_uses(&moment->snapshot->stages[0].counters, parts);
    draw_title(canvas, 0, "time");
    draw_uses(canvas, parts, plan, interactive,
              draw_uses(&nowhere, parts, plan, interactive, false) >
                  canvas->columns - (shown < stages ? STAGES_SHOWN_COLUMNS : 0));
    draw_stages_shown(canvas, 0, first, shown, stages);
    for (int s = first; s < first + shown; s++) {
        const struct canvas part =
            canvas_part(canvas, 1 + (s - first) * height, 0, max_int(height - 1, 1), canvas->columns);

        draw_stage(&part, moment->snapshot, s, s == state->cursor_stage);
    }
}

void draw_training(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    int stages = snapshot->stage_count, rows = canvas->rows - 1;
    int times = 1 + max_int(1, min_int(stages * (rows >= 30 && stages <= 8 ? 2 : 1), rows / 2 - 1));
    int machines = snapshot->machine_count > 0
                       ? min_int(1 + snapshot->machine_count + machine_links(snapshot), (rows - times) / 3)
                       : 0;
    int plots = rows - times - machines, bars = max_int(BARS_MIN, canvas->columns / 4), table = 0;

    if (canvas->columns >= BARS_MIN + TABLE_COLUMNS + 60)
        table = TABLE_COLUMNS + 5;
    else if (plots >= 16)
        plots -= min_int(plots / 2, 2 + max_int(snapshot->epochs_done, 1));
    const struct canvas loss = canvas_part(canvas, 1, 0, plots, canvas->columns - bars - table);
    const struct canvas accuracy = canvas_part(canvas, 1, loss.columns, plots, bars);
    const struct canvas beside = canvas_part(canvas, 1, loss.columns + bars, plots, table);
    const struct canvas below = canvas_part(canvas, 1 + plots, 0, rows - times - machines - plots, canvas->columns);
    const struct canvas between = canvas_part(canvas, 1 + rows - times - machines, 0, machines, canvas->columns);
    const struct canvas bottom = canvas_part(canvas, 1 + rows - times, 0, times, canvas->columns);

    draw_facts(canvas, moment);
    draw_loss(&loss, moment);
    draw_accuracy(&accuracy, snapshot);
    draw_epochs(table > 0 ? &beside : &below, snapshot);
    draw_machines(&between, snapshot);
    draw_times(&bottom, state, moment);
}
