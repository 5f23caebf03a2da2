/* Tells a run that stands still from one that is slow, from its start to its end.
 *
 * Progress is an op done, a stage that goes over to doing something else, or computing: processor time of a stage that
 * is starting or in an op, which may take as long as it likes. A stage that the controls hold, or slow down, stands
 * still because somebody wants it to. */
#ifndef TP_COORDINATOR_WATCHDOG_H
#define TP_COORDINATOR_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "board/segment.h"

struct watchdog {
    uint64_t limit_ns; /* 0: never barks */
    uint64_t mark;     /* changes with every progress */
    uint64_t looked_ns, still_ns;
    bool barked; /* at this stall */
};

void watchdog_begin(struct watchdog *watchdog, int seconds, uint64_t now_ns);

/* True once for each stall: no progress for so many seconds in which the coordinator looked. Time in which it was itself
 * stopped, or the machine asleep, does not count. Call at least once a second. */
bool watchdog_barks(struct watchdog *watchdog, const struct segment *segment, uint64_t now_ns);

/* What every stage does or waits for, and how full every link is, a line each. */
void watchdog_explain(FILE *out, const struct segment *segment);

#endif
