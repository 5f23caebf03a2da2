/* Schedule files: what passes has every op in its place, reads the same again when it is written, and makes lists of
 * any length. */
#include <stdlib.h>
#include <string.h>

#include "schedule/csv.h"
#include "tests/fuzz/fuzz.h"

enum { LENGTHS = 5 };

static void check_op(const struct csv_schedule *csv, int stage, int minibatches, const struct op *op)
{
    if (op->part < 1 || op->part > csv->stages * csv->parts || op->minibatch < 1 || op->minibatch > minibatches ||
        op->first < 1 || op->count < 1 || op->first + op->count - 1 > csv->microbatches ||
        placement_stage(csv->placement, csv->stages, op->part) != stage)
        abort();
}

/* Every stage has a forward, and a backward or both halves, of each micro-batch at each of its parts. */
static void check_lists(const struct csv_schedule *csv, int minibatches)
{
    for (int s = 1; s <= csv->stages; s++) {
        long long passes = 0, expected = 3LL * csv->parts * csv->microbatches * minibatches;
        struct op_list list;

        if (csv_list(csv, s, minibatches, &list))
            abort();
        for (int n = 0; n < list_count(&list); n++) {
            const struct op op = list_op(&list, n);

            check_op(csv, s, minibatches, &op);
            passes += (op.kind == OP_BACKWARD ? 2 : 1) * op.count;
        }
        if (passes != expected)
            abort();
        free(list.ops);
    }
}

static void check_again(const struct csv_schedule *csv)
{
    const struct schedule schedule = {.stages = csv->stages,
                                      .parts = csv->parts,
                                      .placement = csv->placement,
                                      .microbatches = csv->microbatches,
                                      .forward = csv->forward,
                                      .backward = csv->backward};
    struct csv_row *rows = calloc((size_t)csv->stages, sizeof(*rows));
    struct csv_schedule again;
    struct error error;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!rows || !out)
        abort();
    for (int s = 0; s < csv->stages; s++)
        rows[s].list = &csv->lists[s];
    if (csv_write(out, &schedule, rows, &error) || fclose(out) || csv_read(&again, text, size, &error))
        abort();
    for (int s = 0; s < csv->stages; s++)
        if (again.lists[s].stored != csv->lists[s].stored ||
            memcmp(again.lists[s].ops, csv->lists[s].ops, (size_t)again.lists[s].stored * sizeof(struct op)))
            abort();
    csv_release(&again);
    free(rows);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv_schedule csv;
    struct error error;

    if (csv_read(&csv, (const char *)data, size, &error)) {
        fuzz_touch(error.text, strlen(error.text));
        return 0;
    }
    for (int k = 1; k <= LENGTHS; k++)
        check_lists(&csv, k);
    check_lists(&csv, csv.minibatches + 2 * csv.shift + 1);
    check_again(&csv);
    csv_release(&csv);
    return 0;
}
