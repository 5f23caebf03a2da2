/* From cells to lists. */
#include "schedule/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/csv_internal.h"

const struct cell *reader_cells(const struct reader *reader, int rank, int *count)
{
    const int *begins = reader->sheet->begins;

    *count = begins[rank + 1] - begins[rank];
    return &reader->sheet->cells[begins[rank]];
}

int reader_number(const struct reader *reader, const struct op *op)
{
    return (op->minibatch - 1) * reader->csv->microbatches + op->first - 1;
}

void count_op(const struct op *op, int done[3])
{
    done[0] += op->kind == OP_FORWARD ? op->count : 0;
    done[1] += op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT ? op->count : 0;
    done[2] += op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_WEIGHTS ? op->count : 0;
}

static int find_period(struct reader *reader, int rank)
{
    int count, *period = &reader->period[2 * rank];
    const struct cell *cells = reader_cells(reader, rank, &count);

    period[0] = period[1] = -1;
    for (int k = 0; k < count; k++) {
        if ((cells[k].begins && period[0] >= 0) || (cells[k].ends && period[1] >= 0))
            return cell_error(reader->error, reader->sheet, &cells[k], "a second period: a row has one, or none");
        if (cells[k].begins)
            period[0] = k;
        if (cells[k].ends && period[0] < 0)
            return cell_error(reader->error, reader->sheet, &cells[k],
                              "a period ends here that has not begun: [ first");
        if (cells[k].ends)
            period[1] = k + 1;
    }
    if (period[0] >= 0 && period[1] < 0)
        return cell_error(reader->error, reader->sheet, &cells[period[0]],
                          "a period begins here and never ends: ] behind its last op");
    if ((period[0] < 0) != (reader->period[0] < 0))
        return cell_error(reader->error, reader->sheet, &cells[0],
                          "this row has %s period, the first row has %s: it is in all rows or in none",
                          period[0] < 0 ? "no" : "a", period[0] < 0 ? "one" : "none");
    return 0;
}

/* All parts move on in a period by the same whole mini-batches. */
static int measure_period(struct reader *reader, int rank)
{
    static const char *const names[] = {"forwards", "backwards", "weight halves"};
    const struct csv_schedule *csv = reader->csv;
    int count;
    const struct cell *cells = reader_cells(reader, rank, &count);
    const int *period = &reader->period[2 * rank];

    for (int k = 0; k < period[1]; k++) {
        struct part_state *part = &reader->parts[cells[k].op.part - 1];

        count_op(&cells[k].op, k < period[0] ? part->begun : part->moved);
    }
    for (int index = 0; index < csv->parts; index++) {
        const int k = placement_part(csv->placement, csv->stages, rank + 1, index) - 1;

        for (int kind = 0; kind < 3; kind++) {
            const int moved = reader->parts[k].moved[kind], expected = reader->parts[0].moved[0];

            if (moved == 0 || moved % csv->microbatches != 0)
                return cell_error(reader->error, reader->sheet, &cells[period[0]],
                                  "%d %s of part %d in this period: whole mini-batches of %d are needed", moved,
                                  names[kind], k, csv->microbatches);
            if (moved != expected)
                return cell_error(
                    reader->error, reader->sheet, &cells[period[0]],
                    "%d %s of part %d in this period, but %d forwards of part 0 in its: a period moves all "
                    "parts on by the same mini-batches",
                    moved, names[kind], k, expected);
        }
    }
    return 0;
}

static int check_periods(struct reader *reader)
{
    struct csv_schedule *csv = reader->csv;

    for (int rank = 0; rank < csv->stages; rank++)
        if (find_period(reader, rank) != 0)
            return -1;
    csv->shift = csv->minibatches;
    if (reader->period[0] < 0) {
        for (int rank = 0; rank < csv->stages; rank++) {
            reader->period[2 * rank] = 0;
            reader_cells(reader, rank, &reader->period[2 * rank + 1]);
        }
        return 0;
    }
    for (int rank = 0; rank < csv->stages; rank++)
        if (measure_period(reader, rank) != 0)
            return -1;
    csv->shift = reader->parts[0].moved[0] / csv->microbatches;
    return 0;
}

static int make_lists(struct reader *reader)
{
    struct csv_schedule *csv = reader->csv;

    csv->lists = calloc((size_t)csv->stages, sizeof(*csv->lists));
    if (csv->lists == NULL)
        return error_set(reader->error, "out of memory for the lists of %d stages", csv->stages);
    csv->flush = true;
    for (int rank = 0; rank < csv->stages; rank++) {
        struct op_list *list = &csv->lists[rank];
        const int *period = &reader->period[2 * rank];
        const struct cell *cells = reader_cells(reader, rank, &list->stored);

        list->ops = malloc((size_t)list->stored * sizeof(*list->ops));
        if (list->ops == NULL)
            return error_set(reader->error, "out of memory for a list of %d ops", list->stored);
        list->cycle = (struct cycle){period[0], period[1] - period[0], 1, csv->shift};
        for (int k = 0; k < list->stored; k++) {
            list->ops[k] = cells[k].op;
            csv->flush = csv->flush && (k == 0 || cells[k - 1].op.minibatch <= cells[k].op.minibatch);
        }
    }
    return 0;
}

static int prepare(struct reader *reader)
{
    const struct sheet *sheet = reader->sheet;

    reader->cell_count = sheet->begins[sheet->ranks];
    for (int k = 0; k < reader->cell_count; k++)
        reader->part_count = max_int(reader->part_count, sheet->cells[k].op.part);
    reader->parts = calloc((size_t)reader->part_count, sizeof(*reader->parts));
    reader->ops = malloc((size_t)reader->cell_count * sizeof(int));
    reader->order = malloc((size_t)reader->cell_count * sizeof(int));
    reader->gradients = malloc((size_t)reader->cell_count * sizeof(int));
    reader->turn = malloc((size_t)reader->cell_count * sizeof(int));
    reader->period = malloc((size_t)sheet->ranks * 2 * sizeof(int));
    if (reader->parts == NULL || reader->ops == NULL || reader->order == NULL || reader->gradients == NULL ||
        reader->turn == NULL || reader->period == NULL)
        return error_set(reader->error, "out of memory for %d parts and %d ops", reader->part_count,
                         reader->cell_count);
    for (int k = 0; k < reader->part_count; k++)
        reader->parts[k].rank = -1;
    return 0;
}

/* Every part takes its mini-batches in ascending order. */
static void measure_in_flight(const struct reader *reader)
{
    struct csv_schedule *csv = reader->csv;

    for (int rank = 0; rank < csv->stages; rank++) {
        const struct op_list *list = &csv->lists[rank];

        for (int index = 0; index < csv->parts; index++) {
            const int part = placement_part(csv->placement, csv->stages, rank + 1, index);
            int weights = 0;

            for (int k = 0; k < list->stored; k++) {
                const struct op *op = &list->ops[k];
                if (op->part != part)
                    continue;
                if (op->kind == OP_FORWARD)
                    csv->in_flight = max_int(csv->in_flight, op->minibatch - weights / csv->microbatches);
                else if (op->kind != OP_BACKWARD_INPUT)
                    weights += op->count;
            }
        }
    }
}

static int read_sheet(struct reader *reader)
{
    if (prepare(reader) != 0 || check_placement(reader) != 0 || check_batches(reader) != 0 ||
        check_parts(reader) != 0 || check_periods(reader) != 0 || make_lists(reader) != 0)
        return -1;
    measure_in_flight(reader);
    return check_runs(reader);
}

int csv_read(struct csv_schedule *csv, const char *text, size_t size, struct error *error)
{
    struct sheet sheet;
    struct reader reader = {.sheet = &sheet, .csv = csv, .error = error};
    int result = sheet_read(&sheet, text, size, error);

    *csv = (struct csv_schedule){.stages = sheet.ranks,
                                 .microbatches = sheet.microbatches,
                                 .forward = sheet.forward,
                                 .backward = sheet.backward};
    if (result == 0)
        result = read_sheet(&reader);
    free(reader.parts);
    free(reader.ops);
    free(reader.order);
    free(reader.gradients);
    free(reader.turn);
    free(reader.period);
    sheet_release(&sheet);
    if (result != 0)
        csv_release(csv);
    return result;
}

void csv_release(struct csv_schedule *csv)
{
    for (int rank = 0; csv->lists != NULL && rank < csv->stages; rank++)
        free(csv->lists[rank].ops);
    free(csv->lists);
    *csv = (struct csv_schedule){.stages = 0};
}

struct order csv_order(const struct csv_schedule *csv, const char *name)
{
    return (struct order){
        .name = name,
        .summary = "as the file says",
        .whole_backward = csv->whole_backward,
        .flush = csv->flush,
        .split_backward = csv->split_backward,
        .limit = LIMIT_LIST,
    };
}

/* The last mini-batch of a list's period, which stands there once. */
static int last_of_period(const struct op_list *list)
{
    int last = 0;

    for (int k = list->cycle.from; k < list->cycle.from + list->cycle.length; k++)
        last = max_int(last, list->ops[k].minibatch);
    return last;
}

/* Appends items [from, to) with `added` to their mini-batches, without those of mini-batches beyond the last. */
static void append(struct op_list *list, const struct op_list *of, int from, int to, int added, int last)
{
    for (int k = from; k < to; k++)
        if (of->ops[k].minibatch + added <= last) {
            list->ops[list->stored] = of->ops[k];
            list->ops[list->stored++].minibatch += added;
        }
}

int csv_list(const struct csv_schedule *csv, int stage, int minibatches, struct op_list *list)
{
    const struct op_list *of = &csv->lists[stage - 1];
    const int shift = csv->shift, begin = of->cycle.from, end = begin + of->cycle.length, last = last_of_period(of);
    const int turns = 1 + max_int(0, (minibatches - csv->minibatches + shift - 1) / shift);
    /* Turns of which nothing is left out; those after them are written out one by one, numbered as behind the first. */
    const int whole = minibatches < last ? 0 : min_int(turns, (minibatches - last) / shift + 1);
    const int kept = max_int(whole, 1), hidden = (kept - 1) * shift;

    *list = (struct op_list){.cycle = {.turns = 1, .shift = shift}};
    list->ops = malloc(((size_t)of->stored + (size_t)(turns - kept) * (size_t)of->cycle.length) * sizeof(*list->ops));
    if (list->ops == NULL)
        return -1;
    append(list, of, 0, begin, 0, minibatches);
    if (whole > 0)
        list->cycle = (struct cycle){list->stored, of->cycle.length, whole, shift};
    append(list, of, begin, end, 0, minibatches);
    for (int turn = kept; turn < turns; turn++)
        append(list, of, begin, end, turn * shift - hidden, minibatches - hidden);
    append(list, of, end, of->stored, (turns - 1) * shift - hidden, minibatches - hidden);
    return 0;
}
