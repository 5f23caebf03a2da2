/* What the files of plan.h share: plan.c has what follows from a plan, begin.c and finish.c make one. */
#ifndef TP_PLAN_PLAN_INTERNAL_H
#define TP_PLAN_PLAN_INTERNAL_H

#include "plan/plan.h"

/* Of the order that a schedule file is. */
extern const char file_order_name[], file_order_summary[];

/* Whether the partition balances what was measured: for stages that run as they can, or where the config asks for it. */
bool plan_balances_seconds(const struct plan *plan);

struct plan_tables {
    struct plan_stage stages[PLANNED_MAX];
    struct plan_part parts[PLANNED_MAX];
    char *schedule_text; /* NULL: there is none */
};

/* The plan's own, to be filled. */
struct plan_stage *plan_fill_stage(struct plan *plan, int s);
struct plan_part *plan_fill_part(struct plan *plan, int k);

/* Whether the machines of a plan that somebody else wrote have its stages. */
bool machines_are_sound(const struct plan *plan);

/* Room for what the list needs that will be replayed, or for what any timing may need; and what the simulation
 * foretells. */
void plan_make_room(struct plan *plan, const struct simulation *simulation);

#endif
