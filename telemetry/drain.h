/* Reads what the stages record about their ops, without ever making them wait. A reader that is too slow loses the
 * oldest records, and knows how many. What cannot have happened is not shown to anybody, and counts as lost. */
#ifndef TP_TELEMETRY_DRAIN_H
#define TP_TELEMETRY_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "board/segment.h"

struct drain {
    const struct segment *segment;
    uint64_t next[MAX_STAGES];   /* per stage: the record to read next, */
    uint64_t end_ns[MAX_STAGES]; /* and when the op of the one before ended */
    uint64_t lost;
};

/* The next record of a stage (1..), in order. False if there is none yet. */
bool drain_take(struct drain *drain, int stage, struct op_record *record);

#endif
