/* Where to cut a network so that its slowest stage is as fast as can be. */
#include <math.h>

#include "network/network.h"

/* Fills the stages from the last to the first, each with as many blocks as `limit` allows while every stage before it
 * still gets one. True if that places all blocks; otherwise no limit below *next can. The sums run from the end in both
 * uses, so rounding cannot make them disagree. */
static bool pack(const double *block_cost, int block_count, int stages, double limit, int *counts, double *next)
{
    int left = block_count;

    *next = HUGE_VAL;
    for (int s = stages - 1; s >= 0; s--) {
        double sum = 0.0;
        counts[s] = 0;
        while (left > s && sum + block_cost[left - 1] <= limit) {
            sum += block_cost[--left];
            counts[s]++;
        }
        if (left > s)
            *next = fmin(*next, sum + block_cost[left - 1]);
    }
    return left == 0;
}

void partition_balance(const double *block_cost, int block_count, int stages, int *counts)
{
    double limit = 0.0, next;

    for (int b = 0; b < block_count; b++)
        limit = fmax(limit, block_cost[b]);
    while (!pack(block_cost, block_count, stages, limit, counts, &next))
        limit = next;
}
