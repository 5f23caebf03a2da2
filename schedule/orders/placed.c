#include "schedule/orders/placed.h"

int check_loop(const struct schedule *schedule, struct error *error)
{
    if (schedule->parts == 1 || schedule->placement == PLACEMENT_LOOP)
        return 0;
    return error_set(error, "order %s needs parts in a loop, not in a V: use pipeline.placement = loop",
                     schedule->order.name);
}

int check_v(const struct schedule *schedule, struct error *error)
{
    if (schedule->parts == 2 && schedule->placement == PLACEMENT_V)
        return 0;
    return error_set(error,
                     "order %s needs two parts per stage in a V: use pipeline.parts = 2 and pipeline.placement = v",
                     schedule->order.name);
}

void two_parts_put(struct two_parts *list, enum op_kind kind, int part)
{
    const struct schedule *schedule = list->schedule;
    int *done = list->done[part];
    const int number = done[kind == OP_BACKWARD ? OP_BACKWARD_INPUT : kind]++;

    if (kind == OP_BACKWARD)
        done[OP_BACKWARD_WEIGHTS]++;
    if (number < schedule->microbatches)
        list->ops[list->count++] = (struct op){
            .kind = kind,
            .part = placement_part(schedule->placement, schedule->stages, list->stage, part),
            .minibatch = 1,
            .first = number + 1,
            .count = 1,
        };
}
