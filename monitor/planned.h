/* The plan beside reality: the schedule on paper of the stretch that is on the screen, at reality's pace. */
#ifndef TP_MONITOR_PLANNED_H
#define TP_MONITOR_PLANNED_H

#include "monitor/axis.h"
#include "schedule/follower.h"
#include "telemetry/ticks.h"

struct planned {
    struct simulation *simulation; /* of a few mini-batches around those shown; NULL: there is nothing to show */
    struct schedule schedule;      /* that it is of */
    int shift;                     /* mini-batch i of the simulation is i + shift of the epoch */
    int epoch;
    bool ahead;                /* nothing has run yet: what will come, from the axis's left on */
    struct follower *follower; /* of its versions; NULL: they are not known */
    int version;               /* that the run had when the simulation began */
    double tick_ns, zero_ns;   /* tick k begins at zero_ns + k * tick_ns; in unit time an op takes one, else as
                                pipeline.static has it */
};

/* Lays the plan so that the last stage's updates on the screen are in the same places; where there are fewer than two,
 * ops take on the average what an op took. In a run that is paused before its first op the plan is what will come; else,
 * without an op of training on the screen, there is none. `ticks`, or NULL: the
 * axis is of these. `costs`: ops are as wide as they cost, in nominal times. */
void planned_begin(struct planned *planned, const struct moment *moment, const struct time_axis *axis,
                   const struct ticks *ticks, bool costs);
void planned_end(struct planned *planned);

/* When its last op ends: no later than the training of the epoch, of which it is. */
double planned_end_ns(const struct planned *planned);

/* As timeline_visit, of the planned ops on the axis; once for each part. */
void planned_visit(const struct planned *planned, const struct plan *plan, int part, const struct time_axis *axis,
                   span_visitor *visit, void *context);

#endif
