/* ZB-V (arXiv 2405.15362; the order as in PyTorch's ScheduleZBVZeroBubble): two parts per stage in a V, so that stage 1
 * has the first part and the last, and the loss is where data enters. Input halves go at once, weight halves fill what
 * would be idle.
 *
 * The steady state begins with N = 2 W - 1; a smaller N is the list for 2 W - 1 without the micro-batches that are not
 * there. With equal times of a part's forward, input half and weight half, a stage is never idle between its first op
 * and its last, and all that is idle per mini-batch is the way in: W - 1 parts' forwards. In flight at every stage: 2 W
 * parts' activations, as much as at stage 1 of 1F1B; with a smaller N min(2 W, N + s, 2 N). */
#include "base/numbers.h"
#include "schedule/orders/orders.h"
#include "schedule/orders/placed.h"

int zb_v_check(const struct schedule *schedule, struct error *error)
{
    return check_v(schedule, error);
}

enum { FIRST, SECOND };

static void put_triple(struct two_parts *list, int part)
{
    two_parts_put(list, OP_FORWARD, part);
    two_parts_put(list, OP_BACKWARD_INPUT, part);
    two_parts_put(list, OP_BACKWARD_WEIGHTS, part);
}

static void warm_up(struct two_parts *list, int before, int after)
{
    for (int k = 0; k < 2 * after - 1; k++)
        two_parts_put(list, OP_FORWARD, FIRST);
    for (int k = 0; k < before; k++) {
        two_parts_put(list, OP_FORWARD, SECOND);
        two_parts_put(list, OP_FORWARD, FIRST);
    }
    for (int k = 0; k < after; k++)
        put_triple(list, SECOND);
}

static void cool_down(struct two_parts *list, int before, int after)
{
    for (int k = 0; k < before; k++) {
        two_parts_put(list, OP_BACKWARD_INPUT, FIRST);
        two_parts_put(list, OP_BACKWARD_INPUT, SECOND);
    }
    for (int k = 0; k < after; k++) {
        two_parts_put(list, OP_BACKWARD_INPUT, FIRST);
        two_parts_put(list, OP_BACKWARD_WEIGHTS, FIRST);
    }
    for (int part = SECOND; part >= FIRST; part--)
        while (list->done[part][OP_BACKWARD_WEIGHTS] < list->done[part][OP_BACKWARD_INPUT])
            two_parts_put(list, OP_BACKWARD_WEIGHTS, part);
}

int zb_v_generate(const struct schedule *schedule, int stage, struct op *ops)
{
    const int w = schedule->stages, total = max_int(schedule->microbatches, 2 * w - 1);
    const int before = stage - 1, after = w - before; /* stages before this one; from this one on */
    struct two_parts list = {.schedule = schedule, .stage = stage, .ops = ops};
    const int *first = list.done[FIRST], *second = list.done[SECOND];

    warm_up(&list, before, after);
    while (second[OP_FORWARD] < total) {
        if (first[OP_FORWARD] < total)
            two_parts_put(&list, OP_FORWARD, FIRST);
        two_parts_put(&list, OP_BACKWARD_INPUT, FIRST);
        two_parts_put(&list, OP_BACKWARD_WEIGHTS, FIRST);
        put_triple(&list, SECOND);
    }
    cool_down(&list, before, after);
    return list.count;
}
