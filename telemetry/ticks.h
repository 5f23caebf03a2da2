/* Ops in the order of things, without the time that they took: a clock that only ops move. An op begins when the one before
 * it at its stage is done, and the one whose message it reads, and takes as many ticks as it costs. Pauses, slow motion and
 * cores that were missing are not in it; so a static run by unit times looks as its plan does. */
#ifndef TP_TELEMETRY_TICKS_H
#define TP_TELEMETRY_TICKS_H

#include "telemetry/timeline.h"

struct tick_op {
    const struct op_record *record; /* the history's; of an op that runs now, the ticks' own, with end_ns 0 */
    int64_t start, end;             /* in ticks */
};

struct ticks {
    struct tick_op *ops;
    int first[MAX_STAGES], count[MAX_STAGES]; /* part k's are ops[first[k - 1]] and so on: count[k - 1] of them */
    struct op_record *running;                /* [MAX_STAGES] */
    int64_t now;                              /* where the last op ends, or the running one */
    int64_t origin; /* where the newest epoch begins whose begin is known; -1: none is, and ticks count from anywhere */
};

/* Of the ops that began before `right_ns`, at least the newest `wanted` of each stage, if the history has so many.
 * `costs`: ticks by kind of op; NULL: one for each. -1 if out of memory. */
int ticks_create(struct ticks *ticks, const struct snapshot *snapshot, const struct history *history, uint64_t right_ns,
                 int wanted, const struct part_times *costs);
void ticks_destroy(struct ticks *ticks);

/* As timeline_visit, of all that is there: in units of which a tick has TICK_UNITS. */
enum { TICK_UNITS = 27720 }; /* whole parts for each number of columns up to 12 */
void ticks_visit(const struct ticks *ticks, const struct snapshot *snapshot, int part, span_visitor *visit,
                 void *context);

/* The op of a record, or NULL. */
const struct tick_op *ticks_find(const struct ticks *ticks, int part, const struct op_record *record);

#endif
