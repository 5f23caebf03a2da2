/* DualPipeV (DeepSeek's DualPipe, arXiv 2412.19437, cut in half; the order as in PyTorch's ScheduleDualPipeV): two
 * parts per stage in a V. In the middle a forward of one part goes with a backward of the other, in turns; where
 * kernels can hide one behind the other's communication, such a pair is fused. Nothing is fused here: a pair is its
 * forward, then its backward. Only the ends of a mini-batch split backwards into halves.
 *
 * N >= 2 W. Not fused it costs what ZB-V costs: W - 1 parts' forwards idle per mini-batch when a part's forward and
 * the halves of its backward take the same time; and one part's activations more: 2 W + 1 at every stage. */
#include "schedule/orders/orders.h"
#include "schedule/orders/placed.h"

int dualpipe_v_check(const struct schedule *schedule, struct error *error)
{
    if (check_v(schedule, error) != 0)
        return -1;
    if (schedule->microbatches < 2 * schedule->stages)
        return error_set(error,
                         "order %s needs two micro-batches per stage to fill the V, not %d for %d stages: use "
                         "pipeline.microbatches = %d or more",
                         schedule->order.name, schedule->microbatches, schedule->stages, 2 * schedule->stages);
    return 0;
}

enum { FIRST, SECOND };

static void put_pair(struct two_parts *list, int forward, int backward)
{
    two_parts_put(list, OP_FORWARD, forward);
    two_parts_put(list, OP_BACKWARD, backward);
}

/* The weight half that has waited longest: the first input half at or behind `*looked`, which is set behind it. */
static void put_weights(struct two_parts *list, int *looked)
{
    while (list->ops[*looked].kind != OP_BACKWARD_INPUT)
        ++*looked;
    two_parts_put(list, OP_BACKWARD_WEIGHTS, list->ops[(*looked)++].part > list->schedule->stages ? SECOND : FIRST);
}

static void warm_up(struct two_parts *list, int upto, int after, int *looked)
{
    for (int k = 0; k < 2 * after; k++)
        two_parts_put(list, OP_FORWARD, FIRST);
    for (int k = 0; k < upto; k++) {
        two_parts_put(list, OP_FORWARD, FIRST);
        two_parts_put(list, OP_FORWARD, SECOND);
    }
    for (int k = 0; k < after; k++) {
        two_parts_put(list, OP_BACKWARD_INPUT, SECOND);
        put_weights(list, looked);
        two_parts_put(list, OP_FORWARD, SECOND);
    }
}

/* Half of the last backwards in turns are whole; the others leave their weight halves for the way out. */
static void cool_down(struct two_parts *list, int upto, int after, int *looked)
{
    for (int k = 0; k < after; k++) {
        two_parts_put(list, OP_BACKWARD, SECOND);
        put_pair(list, SECOND, FIRST);
    }
    for (int k = 0; k < 2 * upto; k++)
        two_parts_put(list, k < upto ? OP_BACKWARD : OP_BACKWARD_INPUT, k % 2 == 0 ? SECOND : FIRST);
    for (int k = 0; k < after; k++) {
        put_weights(list, looked);
        two_parts_put(list, OP_BACKWARD_INPUT, FIRST);
    }
    for (int k = 0; k < upto; k++)
        put_weights(list, looked);
}

int dualpipe_v_generate(const struct schedule *schedule, int stage, struct op *ops)
{
    const int upto = stage, after = schedule->stages - stage; /* stages up to this one; after it */
    struct two_parts list = {.schedule = schedule, .stage = stage, .ops = ops};
    int looked = 0;

    warm_up(&list, upto, after, &looked);
    for (int k = 0; k < schedule->microbatches - schedule->stages - after; k++) {
        put_pair(&list, FIRST, SECOND);
        put_pair(&list, SECOND, FIRST);
    }
    cool_down(&list, upto, after, &looked);
    return list.count;
}
