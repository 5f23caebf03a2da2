#include "schedule/list.h"

#include <stdlib.h>
#include <string.h>

#include "schedule/csv.h"

int cycle_index(const struct cycle *cycle, int n, int *added)
{
    const int inside = n - cycle->from, repeated = cycle->length * cycle->turns;

    *added = 0;
    if (inside < 0)
        return n;
    if (inside < repeated) {
        *added = inside / cycle->length * cycle->shift;
        return cycle->from + inside % cycle->length;
    }
    *added = (cycle->turns - 1) * cycle->shift;
    return n - (repeated - cycle->length);
}

int cycle_count(const struct cycle *cycle, int stored)
{
    return stored + (cycle->turns - 1) * cycle->length;
}

/* A schedule's text has been read before. */
static int read_lists(struct op_list *lists, const struct schedule *schedule)
{
    struct csv_schedule csv;
    struct error error;
    int result = 0;

    if (csv_read(&csv, schedule->text, strlen(schedule->text), &error) != 0)
        return -1;
    for (int s = 1; s <= schedule->stages && result == 0; s++)
        result = csv_list(&csv, s, schedule->minibatches, &lists[s - 1]);
    csv_release(&csv);
    return result;
}

static int generate_list(struct op_list *list, const struct schedule *schedule, int stage)
{
    const size_t most = (size_t)3 * (size_t)schedule->parts * (size_t)schedule->microbatches;

    list->ops = malloc(most * sizeof(*list->ops));
    if (list->ops == NULL)
        return -1;
    list->stored = schedule->order.generate(schedule, stage, list->ops);
    list->cycle = (struct cycle){.length = list->stored, .turns = schedule->minibatches, .shift = 1};
    return 0;
}

int lists_create(struct op_list *lists, const struct schedule *schedule)
{
    int result = 0;

    if (schedule->text != NULL)
        return read_lists(lists, schedule);
    for (int s = 1; s <= schedule->stages && result == 0; s++)
        result = generate_list(&lists[s - 1], schedule, s);
    return result;
}

int list_count(const struct op_list *list)
{
    return cycle_count(&list->cycle, list->stored);
}

struct op list_op(const struct op_list *list, int n)
{
    int added;
    struct op op = list->ops[cycle_index(&list->cycle, n, &added)];

    op.minibatch += added;
    return op;
}
