/* How long stages are idle, said honestly: the grid on paper has every op as long as every other, and no stage is. */
#ifndef TP_PLAN_IDLE_H
#define TP_PLAN_IDLE_H

#include "plan/plan.h"

/* Shares of all stages' time in training an epoch, fill and drain included, if each stage had a core or GPU of its own and
 * links took no time. Where the plan replays a list, that of pipeline.static is replayed. */
struct idle_figures {
    double unit;   /* every op takes one unit of time, */
    double costs;  /* as long as its layers cost: */
    bool measured; /* in seconds that were measured; else in floating-point operations, a backward twice a forward */
};

/* -1 if they cannot be had: the pipeline is too large for figures that are only shown, or memory is short. */
int plan_idle(const struct plan *plan, struct idle_figures *figures);

/* "0.2% in unit times, 36.4% in computed costs". */
enum { IDLE_TEXT_MAX = 96 };
void idle_describe(const struct idle_figures *figures, char text[IDLE_TEXT_MAX]);

#endif
