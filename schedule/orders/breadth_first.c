/* Breadth-first (arXiv 2211.05953): a stage runs all N micro-batches through its first part, then all through the next,
 * and goes back the same way from the last. What a part sends or has summed up is complete early, at the price of
 * keeping every activation.
 *
 * Any N. With F and B the times of all of a stage's parts and N >= W, idle per mini-batch: (W - 1)(F + B) / c, at every
 * stage; with fewer micro-batches than stages the loop cannot be kept full. In flight: c N parts' activations. */
#include "schedule/orders/orders.h"
#include "schedule/orders/placed.h"

int breadth_first_check(const struct schedule *schedule, struct error *error)
{
    return check_loop(schedule, error);
}

int breadth_first_generate(const struct schedule *schedule, int stage, struct op *ops)
{
    const int c = schedule->parts, n = schedule->microbatches;

    for (int pass = 0; pass < 2 * c; pass++) {
        const int index = pass < c ? pass : 2 * c - 1 - pass;

        for (int j = 1; j <= n; j++)
            ops[pass * n + j - 1] = (struct op){
                .kind = pass < c ? OP_FORWARD : OP_BACKWARD,
                .part = placement_part(schedule->placement, schedule->stages, stage, index),
                .minibatch = 1,
                .first = j,
                .count = 1,
            };
    }
    return 2 * c * n;
}
