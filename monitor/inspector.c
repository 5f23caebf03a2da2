#include "monitor/inspector.h"

#include <stdio.h>

#include "monitor/draw.h"
#include "monitor/format.h"
#include "monitor/lane.h"
#include "plan/describe.h"

enum { VERSIONS_MAX = READ_TEXT_MAX + 40 + 64 + 32 };

/* "reads v7 - 0.054 momentum_buffer, tau 3". */
static void sum_text(char *text, size_t size, const struct op_record *op, const struct plan *plan, int part)
{
    const struct backward_versions versions = {op->version_forward, op->version_live, op->version_read};
    const struct summed_read read = timeline_summed_read(plan, part, op);
    struct optimizer_course course = {0};
    char sum[READ_TEXT_MAX];

    describe_read(plan, &read, &course, sum);
    if (op->kind == OP_FORWARD)
        snprintf(text, size, "reads %s, tau %d", sum, plan_tau(plan, read.reading, part, read.staleness));
    else
        snprintf(text, size, "reads %s: staleness %.2f", sum, plan_staleness_of(plan, &versions));
}

/* Staleness is counted when the backward begins, also that of its forward: updates from the version read to the newest. */
static void version_text(char *text, size_t size, const struct op_record *op, const struct plan *plan, int part)
{
    char read[READ_TEXT_MAX + 40], forward[64] = "", made[32] = "";

    if (timeline_reads_sum(plan, op))
        sum_text(read, sizeof(read), op, plan, part);
    else if (op->kind == OP_BACKWARD_WEIGHTS)
        snprintf(read, sizeof(read), "reads no weights");
    else if (op->kind == OP_FORWARD)
        snprintf(read, sizeof(read), "reads v%d, newest here v%d", op->version_read, op->version_live);
    else
        snprintf(read, sizeof(read), "reads v%d, newest v%d: staleness %d", op->version_read, op->version_live,
                 op->version_live - op->version_read);
    if (op->kind != OP_FORWARD && op->phase == PHASE_TRAIN)
        snprintf(forward, sizeof(forward), "; its forward %s v%d: %d",
                 forward_reading(plan->schedule.forward)->terms ? "predicted from" : "read", op->version_forward,
                 op->version_live - op->version_forward);
    if (op->updated)
        snprintf(made, sizeof(made), "; makes v%d", op->version_live + 1);
    snprintf(text, size, "%s%s%s", read, forward, made);
}

/* What matters least stands last. */
static void mark_cut(const struct canvas *canvas, int row, int end)
{
    if (end > canvas->columns)
        canvas_write(canvas, row, canvas->columns - 1, ink(COLOUR_DEFAULT), "…");
}

void inspector_draw(const struct canvas *canvas, int row, const struct moment *moment, int s,
                    const struct op_record *record)
{
    const struct span span = timeline_span(moment->snapshot->plan, record);
    char name[OP_LABEL_SIZE], stage[PART_TEXT_SIZE], time[FORMAT_MAX], versions[VERSIONS_MAX];
    int column;

    timeline_label(moment->snapshot->plan, span.phase, &span.op, name);
    column = canvas_print(canvas, row, 1, lane_style(&span, COLOURING_MINIBATCH), " %s ", name);
    part_format(&moment->snapshot->plan->schedule, s, stage);
    column =
        canvas_print(canvas, row, column, bold(COLOUR_TITLE), " %s at stage %s", op_kind_name(span.op.kind), stage);
    column = canvas_print(canvas, row, column, ink(COLOUR_DEFAULT), ": %s",
                          format_duration(record->end_ns - record->start_ns, time));
    if (record->core_ns > 0)
        column = canvas_print(canvas, row, column, ink(COLOUR_WAIT_CORE), ", %s of it without a core",
                              format_duration(record->core_ns, time));
    if (record->wait_ns > 0)
        column = canvas_print(canvas, row, column, ink(lane_wait(record->wait_cause).colour), "; waited %s for %s",
                              format_duration(record->wait_ns, time), lane_wait(record->wait_cause).name);
    if (record->wait_core_ns > 0)
        column = canvas_print(canvas, row, column, ink(COLOUR_WAIT_CORE), ", of it %s for a core",
                              format_duration(record->wait_core_ns, time));
    if (record->held_ns > 0)
        column = canvas_print(canvas, row, column, ink(COLOUR_HELD), ", slowed by %s",
                              format_duration(record->held_ns, time));
    column = canvas_print(canvas, row, column, ink(COLOUR_DEFAULT), "; epoch %d", record->epoch);
    if (record->updated)
        column = canvas_print(canvas, row, column, ink(COLOUR_DEFAULT), "; update %s",
                              format_duration(record->update_ns, time));
    mark_cut(canvas, row, column);
    version_text(versions, sizeof(versions), record, moment->snapshot->plan, s);
    column = canvas_write(canvas, row + 1, 1, ink(COLOUR_DEFAULT), versions);
    if (record->loss > 0)
        column = canvas_print(canvas, row + 1, column, ink(COLOUR_LOSS), "; loss %.4f", (double)record->loss);
    column = canvas_print(canvas, row + 1, column, ink(COLOUR_DEFAULT), "; %u images, sent %s", (unsigned)record->rows,
                          format_bytes(record->bytes_sent, time));
    mark_cut(canvas, row + 1, column);
}
