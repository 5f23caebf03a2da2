/* Interleaved 1F1B (Megatron-LM, arXiv 2104.04473): a stage's c parts take turns, W micro-batches each, so that a
 * micro-batch comes round the loop as soon as the stage is done with the W before it. A stage runs ahead by the
 * forwards that a micro-batch needs on its way to the last part and back, then goes on with one forward, one
 * backward.
 *
 * N a multiple of W. With F and B the times of all of a stage's parts, idle per mini-batch: (W - 1)(F + B) / c, at
 * every stage, for which each micro-batch crosses between stages c times as often. Most in flight at stage s:
 * min((c - 1) W + 2 (W - s) + 1, c N) parts' activations. */
#include "base/numbers.h"
#include "schedule/orders/orders.h"
#include "schedule/orders/placed.h"

int interleaved_check(const struct schedule *schedule, struct error *error)
{
    const int w = schedule->stages, n = schedule->microbatches;

    if (check_loop(schedule, error) != 0)
        return -1;
    if (n % w != 0)
        return error_set(
            error,
            "order %s takes micro-batches in groups as large as there are stages, and %d is no multiple of "
            "%d: use pipeline.microbatches = %d",
            schedule->order.name, n, w, (n / w + 1) * w);
    return 0;
}

/* Of the stage's forwards or backwards, number `number` (0-based): `turn` counts parts in the order of their turns. */
static struct op op_of_turn(const struct schedule *schedule, int stage, enum op_kind kind, int number)
{
    const int w = schedule->stages, c = schedule->parts;
    const int turn = number / w % c, index = kind == OP_FORWARD ? turn : c - 1 - turn;

    return (struct op){
        .kind = kind,
        .part = placement_part(schedule->placement, w, stage, index),
        .minibatch = 1,
        .first = number / (w * c) * w + number % w + 1,
        .count = 1,
    };
}

int interleaved_generate(const struct schedule *schedule, int stage, struct op *ops)
{
    const int w = schedule->stages, c = schedule->parts, total = c * schedule->microbatches;
    const int ahead = min_int(total, (c - 1) * w + 2 * (w - stage));
    int count = 0;

    for (int k = 0; k < ahead; k++)
        ops[count++] = op_of_turn(schedule, stage, OP_FORWARD, k);
    for (int k = 0; k < total; k++) {
        if (ahead + k < total)
            ops[count++] = op_of_turn(schedule, stage, OP_FORWARD, ahead + k);
        ops[count++] = op_of_turn(schedule, stage, OP_BACKWARD, k);
    }
    return count;
}
