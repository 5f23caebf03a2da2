/* What several orders share: where their parts must lie, and lists in which every part takes its micro-batches one
 * after the other. */
#ifndef TP_SCHEDULE_ORDERS_PLACED_H
#define TP_SCHEDULE_ORDERS_PLACED_H

#include "schedule/schedule.h"

/* Parts in a loop, or one part per stage. */
int check_loop(const struct schedule *schedule, struct error *error);

/* Two parts per stage, in a V. */
int check_v(const struct schedule *schedule, struct error *error);

/* A list of a stage with two parts as it grows. */
struct two_parts {
    const struct schedule *schedule;
    int stage;
    struct op *ops;
    int count;
    int done[2]
            [OP_KINDS]; /* micro-batches of the first and of the second part; a whole backward counts as both halves */
};

/* The part's next micro-batch of that kind, `part` 0 or 1. One beyond N is counted, but not written. */
void two_parts_put(struct two_parts *list, enum op_kind kind, int part);

#endif
