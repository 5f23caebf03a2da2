/* From lists to a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/csv_internal.h"

/* Whether the row's list is one mini-batch, over and over, and nothing else. */
static bool is_one_minibatch(const struct op_list *list)
{
    const struct cycle *cycle = &list->cycle;
    const bool repeated = cycle->from == 0 && cycle->length == list->stored && cycle->shift == 1;

    if (!repeated && cycle->turns > 1)
        return false;
    for (int k = 0; k < list->stored; k++)
        if (list->ops[k].minibatch != 1 || list->ops[k].count != 1)
            return false;
    return true;
}

static bool is_pytorchs(const struct schedule *schedule, const struct csv_row *rows)
{
    if (schedule->forward != FORWARD_LIVE || schedule->backward != BACKWARD_LIVE)
        return false;
    for (int rank = 0; rank < schedule->stages; rank++)
        if (!is_one_minibatch(rows[rank].list))
            return false;
    return true;
}

static void write_header(FILE *out, const struct schedule *schedule)
{
    fprintf(out, "#tp microbatches=%d", schedule->microbatches);
    if (schedule->forward != FORWARD_LIVE)
        fprintf(out, " forward=%s", forward_rule_name(schedule->forward));
    if (schedule->backward != BACKWARD_LIVE)
        fprintf(out, " backward=%s", backward_rule_name(schedule->backward));
    fputc('\n', out);
}

static void write_op(FILE *out, const struct op *op, bool extended)
{
    fprintf(out, "%d%c%d", op->part - 1, csv_letter(op->kind), op->first - 1);
    if (op->count > 1)
        fprintf(out, "-%d", op->first + op->count - 2);
    if (extended)
        fprintf(out, "@%d", op->minibatch - 1);
}

static void write_row(FILE *out, const struct csv_row *row, bool extended)
{
    const struct op_list *list = row->list;
    const struct cycle *cycle = &list->cycle;
    const bool marked = extended && cycle->length > 0 && cycle->length < list->stored;
    int column = 0;

    for (int k = 0; k < list->stored; k++, column++) {
        for (; row->columns != NULL && column < row->columns[k]; column++)
            fputc(',', out);
        if (marked && k == cycle->from)
            fputc('[', out);
        write_op(out, &list->ops[k], extended);
        if (marked && k == cycle->from + cycle->length - 1)
            fputc(']', out);
        if (k < list->stored - 1)
            fputc(',', out);
    }
    fputc('\n', out);
}

int csv_write(FILE *out, const struct schedule *schedule, const struct csv_row *rows, struct error *error)
{
    const bool extended = !is_pytorchs(schedule, rows);

    if (extended)
        write_header(out, schedule);
    for (int rank = 0; rank < schedule->stages; rank++)
        write_row(out, &rows[rank], extended);
    if (fflush(out) != 0 || ferror(out))
        return error_set(error, "%s", strerror(errno));
    return 0;
}

/* A row's list and columns, which are its own. */
static void row_release(struct csv_row *row)
{
    if (row->list != NULL)
        free(row->list->ops);
    free((void *)(uintptr_t)row->columns);
}

/* The ops that the simulation stores, as if its period stood there once. */
static int simulated_row(struct op_list *list, const int **columns, const struct simulation *simulation, int stage,
                         int64_t tick)
{
    const struct cycle *cycle = &simulation->stages[stage - 1].cycle;
    const int stored = simulation->stages[stage - 1].stored, end = cycle->from + cycle->length;
    const int left_out = cycle->turns - 1;
    int *column = tick > 0 ? malloc((size_t)stored * sizeof(*column)) : NULL;

    *list = (struct op_list){.ops = malloc((size_t)stored * sizeof(*list->ops)), .stored = stored, .cycle = *cycle};
    *columns = column;
    if (list->ops == NULL || (tick > 0 && column == NULL))
        return -1;
    for (int k = 0; k < stored; k++) {
        const bool later = k >= end;
        const struct timed_op timed = simulation_op(simulation, stage, later ? k + left_out * cycle->length : k);

        list->ops[k] = timed.op;
        list->ops[k].minibatch -= later ? left_out * cycle->shift : 0;
        if (tick > 0)
            column[k] = (int)((timed.start - (later ? left_out * simulation->period : 0)) / tick);
    }
    list->cycle.turns = 1;
    return 0;
}

/* Leaves the first mini-batch, which a flush ends, and says that it comes again. */
static void keep_first_minibatch(struct op_list *list)
{
    int count = 0;

    while (count < list->stored && list->ops[count].minibatch == 1)
        count++;
    list->stored = count;
    list->cycle = (struct cycle){.length = count, .turns = 1, .shift = 1};
}

int csv_write_simulation(FILE *out, const struct schedule *schedule, const struct simulation *simulation, int64_t tick,
                         struct error *error)
{
    struct op_list *lists = calloc((size_t)schedule->stages, sizeof(*lists));
    struct csv_row *rows = calloc((size_t)schedule->stages, sizeof(*rows));
    int result = lists != NULL && rows != NULL ? 0 : -1;

    for (int rank = 0; rank < schedule->stages && result == 0; rank++) {
        rows[rank].list = &lists[rank];
        result = simulated_row(&lists[rank], &rows[rank].columns, simulation, rank + 1, tick);
        if (result == 0 && schedule->order.flush)
            keep_first_minibatch(&lists[rank]);
    }
    result = result == 0 ? csv_write(out, schedule, rows, error)
                         : error_set(error, "out of memory for the lists of %d stages", schedule->stages);
    for (int rank = 0; rows != NULL && rank < schedule->stages; rank++)
        row_release(&rows[rank]);
    free(rows);
    free(lists);
    return result;
}
