#include "monitor/readings.h"

#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/lane.h"
#include "telemetry/readers.h"

/* Left of the ops the version's name, right of them who is still to come. */
enum { OPS_MAX = 128, LEFT = 8, RIGHT = 22, LINE = 0x2500, IN_CASE = 0x00b7, UPDATE = 0x25b2 };

/* The newest ops of a stage that have read a version or made one, as a ring. */
struct readings {
    struct span ops[OPS_MAX];
    int seen;
};

static void add(void *context, const struct span *span)
{
    struct readings *readings = context;

    if (span->kind == SPAN_OP && span->phase == PHASE_TRAIN && (span->version >= 0 || span->made > 0))
        readings->ops[readings->seen++ % OPS_MAX] = *span;
}

/* The newest is 0. */
static const struct span *newest(const struct readings *readings, int k)
{
    return &readings->ops[(readings->seen - 1 - k) % OPS_MAX];
}

static void take(struct readings *readings, const struct moment *moment, int part)
{
    const struct stage_history *history = &moment->history->stages[part - 1];
    const int first = max_int(0, history->count - OPS_MAX);

    readings->seen = 0;
    if (history->count > 0)
        timeline_visit(moment->snapshot, moment->history, part, history->ops[first].start_ns, moment->snapshot->now_ns,
                       add, readings);
}

/* Micro-batches by their numbers in the phase: "12A-D". */
static void format_stash(const struct plan *plan, const struct version_use *use, char text[KEPT_FOR_MAX])
{
    int n = max_int(plan->schedule.microbatches, 1);
    struct op first = {OP_FORWARD, use->stash_first / n + 1, use->stash_first % n + 1, 1, 0};
    struct op last = {OP_FORWARD, use->stash_last / n + 1, use->stash_last % n + 1, 1, 0};
    char from[OP_LABEL_SIZE], to[OP_LABEL_SIZE];

    timeline_label(plan, PHASE_TRAIN, &first, from);
    timeline_label(plan, PHASE_TRAIN, &last, to);
    if (use->stash_first == use->stash_last)
        snprintf(text, KEPT_FOR_MAX, "%s", from);
    else
        snprintf(text, KEPT_FOR_MAX, "%s-%s", from, to);
}

void readings_to_come(const struct moment *moment, int part, const struct version_use *use, char text[KEPT_FOR_MAX])
{
    _Static_assert((int)KEPT_FOR_MAX == (int)READERS_TEXT_MAX, "the readers' text has room");
    if (use->uses & USE_STASHED)
        format_stash(moment->snapshot->plan, use, text);
    else
        readers_to_come(moment->snapshot, moment->history, part, use->version, text);
}

int readings_first(const struct view_state *state, const struct snapshot *snapshot)
{
    int most = 1;

    if (state->cursor_stage > 0)
        return min_int(state->cursor_stage, snapshot->stage_count);
    for (int k = 2; k <= snapshot->stage_count; k++)
        if (snapshot->plan->parts[k - 1].weight_versions > snapshot->plan->parts[most - 1].weight_versions)
            most = k;
    return most;
}

/* What is drawn where. */
struct table {
    struct canvas canvas;
    const struct moment *moment;
    const struct readings *readings;
    enum colouring colouring;
    int part, oldest, newest; /* versions, a row each */
    int ops, width;           /* so many, each with so many columns */
};

static int label_width(const struct plan *plan, const struct span *span)
{
    char label[OP_LABEL_SIZE];

    timeline_label(plan, span->phase, &span->op, label);
    return (int)strlen(label);
}

/* Back from the newest op as far as there are columns for ops and rows for the versions that they read. */
static void lay_out(struct table *table)
{
    const struct plan *plan = table->moment->snapshot->plan;
    const int seen = min_int(table->readings->seen, OPS_MAX), room = table->canvas.columns - LEFT - RIGHT;

    table->newest = table->moment->snapshot->stages[table->part - 1].version_live;
    table->oldest = table->newest;
    for (int k = 0; k < seen; k++) {
        const struct span *span = newest(table->readings, k);
        const int width = max_int(table->width, label_width(plan, span) + 1);
        const int oldest = span->version >= 0 ? min_int(table->oldest, span->version) : table->oldest;

        if ((k + 1) * width > room || table->newest - oldest >= table->canvas.rows)
            return;
        *table = (struct table){.canvas = table->canvas,
                                .moment = table->moment,
                                .readings = table->readings,
                                .colouring = table->colouring,
                                .part = table->part,
                                .newest = table->newest,
                                .oldest = oldest,
                                .ops = k + 1,
                                .width = width};
    }
}

static const struct version_use *use_of(const struct stage_snapshot *stage, int version)
{
    for (int k = 0; k < stage->version_count; k++)
        if (stage->versions[k].version == version)
            return &stage->versions[k];
    return NULL;
}

/* The oldest that is shown is 0. */
static const struct span *nth(const struct table *table, int k)
{
    return newest(table->readings, table->ops - 1 - k);
}

static bool made(const struct span *span, int version)
{
    return version > 0 && span->made == version;
}

/* Whether a message tells the part which version its forwards, or its backwards, read. */
static bool is_told(const struct table *table, bool forward)
{
    const struct plan *plan = table->moment->snapshot->plan;

    return forward ? forward_reading(plan->schedule.forward)->source == SOURCE_PINNED && table->part > 1
                   : plan->schedule.backward == BACKWARD_COMMITTED && table->part < plan->part_count;
}

/* The column at which the part had been told of newer versions only, so that nothing could ask for this one any more. */
static int asked_until(const struct table *table, int version)
{
    int until = LEFT;

    for (int forward = 0; forward < 2; forward++) {
        int k = 0;

        while (k < table->ops &&
               ((nth(table, k)->op.kind == OP_FORWARD) != forward || nth(table, k)->version <= version))
            k++;
        if (is_told(table, forward))
            until = max_int(until, LEFT + k * table->width);
    }
    return until;
}

/* The line of a version: from the update that made it, or from the left, to the last op that read it; and on as long as
 * it is held, for an op that is known or in case. */
static void draw_version(const struct table *table, int version)
{
    const struct plan *plan = table->moment->snapshot->plan;
    const struct version_use *use = use_of(&table->moment->snapshot->stages[table->part - 1], version);
    const int row = version - table->oldest, end = LEFT + table->ops * table->width;
    int from = LEFT, to = LEFT;
    char text[KEPT_FOR_MAX] = "", label[OP_LABEL_SIZE];

    if (use)
        readings_to_come(table->moment, table->part, use, text);
    for (int k = 0; k < table->ops; k++) {
        if (made(nth(table, k), version))
            from = LEFT + (k + 1) * table->width - 1;
        if (nth(table, k)->version == version)
            to = LEFT + k * table->width;
    }
    if (use && (*text || use->uses != USE_EXPECTED))
        to = end;
    canvas_print(&table->canvas, row, 1, bold(use ? COLOUR_TITLE : COLOUR_DIM), "v%d", version);
    canvas_fill(&table->canvas, row, from, (use ? end : asked_until(table, version)) - from, ink(COLOUR_DIM), IN_CASE);
    canvas_fill(&table->canvas, row, from, to - from, ink(COLOUR_DIM), LINE);
    for (int k = 0; k < table->ops; k++) {
        const struct span *span = nth(table, k);
        const int column = LEFT + k * table->width;

        timeline_label(plan, span->phase, &span->op, label);
        if (span->version == version)
            canvas_write(&table->canvas, row, column, lane_style(span, table->colouring), label);
        if (made(span, version))
            canvas_put(&table->canvas, row, column + table->width - 1, bold(COLOUR_UPDATE), UPDATE);
    }
    if (use)
        canvas_print(&table->canvas, row, end + 1, ink(COLOUR_DEFAULT), "%s%s",
                     *text                      ? "for "
                     : use->uses & USE_LIVE     ? "live"
                     : use->uses & USE_EXPECTED ? "in case"
                                                : "read now",
                     text);
}

int draw_readings(const struct canvas *canvas, const struct view_state *state, const struct moment *moment, int part)
{
    struct readings readings;
    struct table table = {.canvas = canvas_part(canvas, 1, 0, canvas->rows - 1, canvas->columns),
                          .moment = moment,
                          .readings = &readings,
                          .colouring = state->colouring,
                          .part = part};
    char name[PART_TEXT_SIZE], title[80];

    part_format(&moment->snapshot->plan->schedule, table.part, name);
    snprintf(title, sizeof(title), "stage %s: the version that each op has read, ▲ made", name);
    draw_title(canvas, 0, title);
    take(&readings, moment, table.part);
    lay_out(&table);
    for (int version = table.oldest; version <= table.newest && table.ops > 0; version++)
        draw_version(&table, version);
    return 1 + table.newest - table.oldest + 1;
}
