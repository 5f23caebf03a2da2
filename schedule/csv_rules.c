/* The rules of a schedule file, as far as one part of the network can keep or break them by itself. */
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/csv_internal.h"

/* "micro-batch 2", or "micro-batch 2 of mini-batch 1". */
static const char *batch_text(const struct reader *reader, int number, char text[64])
{
    const int n = reader->csv->microbatches;

    if (reader->sheet->extended)
        snprintf(text, 64, "micro-batch %d of mini-batch %d", number % n, number / n);
    else
        snprintf(text, 64, "micro-batch %d", number);
    return text;
}

static int place_parts(struct reader *reader)
{
    int count;

    for (int rank = 0; rank < reader->sheet->ranks; rank++) {
        const struct cell *cells = reader_cells(reader, rank, &count);

        for (int k = 0; k < count; k++) {
            struct part_state *part = &reader->parts[cells[k].op.part - 1];

            if (part->rank >= 0 && part->rank != rank)
                return cell_error(reader->error, reader->sheet, &cells[k],
                                  "part %d is on rank %d already: a part is on one rank", cells[k].op.part - 1,
                                  part->rank);
            part->rank = rank;
            part->op_count++;
        }
    }
    for (int k = 0; k < reader->part_count; k++)
        if (reader->parts[k].rank < 0)
            return error_set(reader->error,
                             "no rank has part %d, and there is a part %d: parts are numbered from 0 without gaps", k,
                             reader->part_count - 1);
    return 0;
}

/* Parts from the first on that lie as the placement has them. */
static int placed(const struct reader *reader, enum placement placement)
{
    int k = 0;

    while (k < reader->part_count &&
           placement_stage(placement, reader->csv->stages, k + 1) == reader->parts[k].rank + 1)
        k++;
    return k;
}

static int infer_placement(struct reader *reader)
{
    struct csv_schedule *csv = reader->csv;
    const int loop = placed(reader, PLACEMENT_LOOP), v = placed(reader, PLACEMENT_V), wrong = max_int(loop, v);
    int k = 0;

    if (reader->part_count % csv->stages != 0)
        return error_set(reader->error, "%d parts on %d ranks: every rank needs as many", reader->part_count,
                         csv->stages);
    csv->parts = reader->part_count / csv->stages;
    csv->placement = loop >= v ? PLACEMENT_LOOP : PLACEMENT_V;
    if (wrong == reader->part_count)
        return 0;
    while (reader->sheet->cells[k].op.part != wrong + 1)
        k++;
    return cell_error(reader->error, reader->sheet, &reader->sheet->cells[k],
                      "part %d is on rank %d: with %d parts on %d ranks a loop has it on rank %d and a V on rank %d",
                      wrong, reader->parts[wrong].rank, reader->part_count, csv->stages,
                      placement_stage(PLACEMENT_LOOP, csv->stages, wrong + 1) - 1,
                      placement_stage(PLACEMENT_V, csv->stages, wrong + 1) - 1);
}

int check_placement(struct reader *reader)
{
    return place_parts(reader) == 0 ? infer_placement(reader) : -1;
}

/* Micro-batches that a backward covers are one or all, the same everywhere. */
static int check_counts(struct reader *reader, const struct cell *cell)
{
    const int n = reader->csv->microbatches;
    const struct op *op = &cell->op;

    if (op->first + op->count - 1 > n)
        return cell_error(reader->error, reader->sheet, cell, "a mini-batch has micro-batches 0 to %d: microbatches=%d",
                          n - 1, n);
    if (op->count > 1 && op->kind != OP_BACKWARD)
        return cell_error(reader->error, reader->sheet, cell,
                          "only a whole backward, B, may cover several micro-batches");
    if (op->kind == OP_BACKWARD && op->count != (reader->csv->whole_backward ? n : 1))
        return cell_error(reader->error, reader->sheet, cell,
                          "%d of %d micro-batches: backwards cover one micro-batch each, or all of a mini-batch each",
                          op->count, n);
    if (op->kind != OP_FORWARD && op->kind != OP_BACKWARD && reader->csv->whole_backward)
        return cell_error(reader->error, reader->sheet, cell,
                          "half a backward, where others cover whole mini-batches: either is possible, not both");
    return 0;
}

int check_batches(struct reader *reader)
{
    struct csv_schedule *csv = reader->csv;
    long long total;
    bool whole = reader->sheet->extended, any = false;

    for (int k = 0; k < reader->cell_count; k++) {
        const struct op *op = &reader->sheet->cells[k].op;

        csv->minibatches = max_int(csv->minibatches, op->minibatch);
        csv->split_backward = csv->split_backward || op->kind == OP_BACKWARD_INPUT || op->kind == OP_BACKWARD_WEIGHTS;
        whole = whole && (op->kind != OP_BACKWARD || op->count == reader->sheet->microbatches);
        any = any || op->kind == OP_BACKWARD;
        if (!reader->sheet->extended)
            csv->microbatches = max_int(csv->microbatches, op->first);
    }
    csv->whole_backward = whole && any && !(csv->split_backward && csv->microbatches == 1);
    for (int k = 0; k < reader->cell_count; k++)
        if (check_counts(reader, &reader->sheet->cells[k]) != 0)
            return -1;
    total = (long long)csv->minibatches * csv->microbatches;
    if (total > reader->cell_count)
        return error_set(reader->error,
                         "%d mini-batches of %d micro-batches are more than the %d cells with ops: every part has a "
                         "forward of each",
                         csv->minibatches, csv->microbatches, reader->cell_count);
    reader->total = (int)total;
    return 0;
}

static void group_by_part(struct reader *reader)
{
    int first = 0;

    for (int k = 0; k < reader->part_count; k++) {
        reader->parts[k].first_op = first;
        first += reader->parts[k].op_count;
        reader->parts[k].op_count = 0;
    }
    for (int k = 0; k < reader->cell_count; k++) {
        struct part_state *part = &reader->parts[reader->sheet->cells[k].op.part - 1];

        reader->ops[part->first_op + part->op_count++] = k;
    }
}

/* The next cell of the part with that kind and number, from its op `from` on; NULL if there is none. */
static const struct cell *find_op(const struct reader *reader, const struct part_state *part, int from,
                                  enum op_kind kind, int number)
{
    for (int k = from; k < part->op_count; k++) {
        const struct cell *cell = &reader->sheet->cells[reader->ops[part->first_op + k]];

        if (cell->op.kind == kind && reader_number(reader, &cell->op) == number)
            return cell;
    }
    return NULL;
}

static int check_forward(struct reader *reader, struct part_state *part, int at, const struct cell *cell)
{
    const int number = reader_number(reader, &cell->op);
    const struct cell *expected;
    char text[64];

    if (number < part->forwards)
        return cell_error(reader->error, reader->sheet, cell,
                          "this forward has been before: each micro-batch goes forward through a part once");
    if (number > part->forwards) {
        expected = find_op(reader, part, at, OP_FORWARD, part->forwards);
        batch_text(reader, part->forwards, text);
        return expected != NULL
                   ? cell_error(reader->error, reader->sheet, cell,
                                "that of %s comes later, in column %d: forwards of a part go in ascending order", text,
                                expected->column)
                   : cell_error(reader->error, reader->sheet, cell,
                                "part %d has no forward of %s: it needs all up to the last", cell->op.part - 1, text);
    }
    part->forwards++;
    return 0;
}

static int check_gradient(struct reader *reader, struct part_state *part, const struct cell *cell, int number)
{
    char text[64];

    if (number >= part->forwards)
        return cell_error(reader->error, reader->sheet, cell, "a backward before its forward at this part");
    if (reader->turn[number] >= 0)
        return cell_error(reader->error, reader->sheet, cell,
                          "this backward has been before: each micro-batch goes back through a part once");
    if (reader->sheet->extended && number != part->gradients)
        return cell_error(reader->error, reader->sheet, cell,
                          "the backward of %s is still to come: with a first line #tp they go in ascending order",
                          batch_text(reader, part->gradients, text));
    if (cell->op.part > 1 && reader->order[part->gradients] != number)
        return cell_error(reader->error, reader->sheet, cell,
                          "part 0 has the backward of %s in this turn: all parts go back in one order",
                          batch_text(reader, reader->order[part->gradients], text));
    reader->turn[number] = part->gradients;
    reader->gradients[part->gradients++] = number;
    return 0;
}

static int check_weights(struct reader *reader, struct part_state *part, const struct cell *cell, int number)
{
    char text[64];

    if (number >= reader->total || reader->turn[number] < 0)
        return cell_error(reader->error, reader->sheet, cell, "a weight half before its input half at this part");
    if (reader->turn[number] < part->weights)
        return cell_error(reader->error, reader->sheet, cell,
                          "this weight half has been before: alone, or in a whole backward");
    if (reader->turn[number] > part->weights)
        return cell_error(reader->error, reader->sheet, cell,
                          "the weight half of %s is still to come: weight halves go in the order of input halves",
                          batch_text(reader, reader->gradients[part->weights], text));
    part->weights++;
    return 0;
}

static int check_op(struct reader *reader, struct part_state *part, int at, const struct cell *cell)
{
    const int number = reader_number(reader, &cell->op);

    if (cell->op.kind == OP_FORWARD)
        return check_forward(reader, part, at, cell);
    for (int j = number; j < number + cell->op.count; j++) {
        if (cell->op.kind != OP_BACKWARD_WEIGHTS && check_gradient(reader, part, cell, j) != 0)
            return -1;
        if (cell->op.kind != OP_BACKWARD_INPUT && check_weights(reader, part, cell, j) != 0)
            return -1;
    }
    return 0;
}

/* After all of the part's ops: nothing is missing. */
static int check_whole(const struct reader *reader, const struct part_state *part)
{
    const struct cell *last = &reader->sheet->cells[reader->ops[part->first_op + part->op_count - 1]];
    const int k = last->op.part - 1;
    int missing = 0;
    char text[64];

    if (part->forwards < reader->total)
        return cell_error(reader->error, reader->sheet, last,
                          "the last op of part %d, which has no forward of %s: every part has as many", k,
                          batch_text(reader, part->forwards, text));
    while (missing < reader->total && reader->turn[missing] >= 0)
        missing++;
    if (missing < reader->total)
        return cell_error(reader->error, reader->sheet, last,
                          "the last op of part %d, which has no backward of %s: each forward needs one", k,
                          batch_text(reader, missing, text));
    if (part->weights < part->gradients)
        return cell_error(reader->error, reader->sheet, last,
                          "the last op of part %d, which has an input half of %s and no weight half: each needs one", k,
                          batch_text(reader, reader->gradients[part->weights], text));
    return 0;
}

/* Backwards in ascending order: `turn` is, after the last part, where each has its place. */
static void renumber(struct reader *reader)
{
    for (int j = 0; j < reader->total; j++)
        reader->csv->renumbered = reader->csv->renumbered || reader->order[j] != j;
    if (reader->csv->renumbered)
        for (int k = 0; k < reader->cell_count; k++) {
            struct op *op = &reader->sheet->cells[k].op;

            if (op->kind != OP_FORWARD)
                op->first = reader->turn[op->first - 1] + 1;
        }
}

int check_parts(struct reader *reader)
{
    group_by_part(reader);
    for (int k = 0; k < reader->part_count; k++) {
        struct part_state *part = &reader->parts[k];

        for (int j = 0; j < reader->total; j++)
            reader->turn[j] = -1;
        for (int n = 0; n < part->op_count; n++)
            if (check_op(reader, part, n, &reader->sheet->cells[reader->ops[part->first_op + n]]) != 0)
                return -1;
        if (check_whole(reader, part) != 0)
            return -1;
        if (k == 0)
            memcpy(reader->order, reader->gradients, (size_t)reader->total * sizeof(*reader->order));
    }
    renumber(reader);
    return 0;
}
