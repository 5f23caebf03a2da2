/* Orders that flush clip by the norm of the whole network's gradient. Each part tells the sum of its own squares behind its
 * last backward of the mini-batch, and makes its update when it has everybody's. Until then its update is due. */
#include "stages/internal.h"

static int next_update(const struct part *part)
{
    return versions_live(part->phase.tracker) + 1;
}

int norm_tell(struct part *part, struct error *error)
{
    struct norm *own = &part->block->norm;
    double squares;

    if (rules_sum_of_squares(part, &squares, error))
        return -1;
    /* Nobody reads the last one any more: a backward comes after the forwards of all parts, and these after their updates. */
    atomic_store_explicit(&own->squares, squares, memory_order_relaxed);
    /* Pairs with norm_is_known(). */
    atomic_store_explicit(&own->updates, next_update(part), memory_order_release);
    segment_ring_all(part->segment);
    return 0;
}

bool norm_is_known(const struct part *part)
{
    for (int k = 1; k <= part->plan->part_count; k++)
        if (atomic_load_explicit(&segment_stage(part->segment, k)->norm.updates, memory_order_acquire) <
            next_update(part))
            return false;
    return true;
}

double norm_squared(const struct part *part)
{
    double sum = 0.0;

    for (int k = 1; k <= part->plan->part_count; k++)
        sum += atomic_load_explicit(&segment_stage(part->segment, k)->norm.squares, memory_order_relaxed);
    return sum;
}

bool norm_updates_are_due(const struct stage *stage)
{
    for (int i = 0; i < stage->count; i++)
        if (!stage->parts[i]->due.is)
            return false;
    return true;
}
