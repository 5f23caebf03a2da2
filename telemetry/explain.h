/* A run's state in words: what a stage does, what it waits for and why that does not come, how full a link is. Pure: of a
 * snapshot, live or recorded. Every text ends where `size` ends it. */
#ifndef TP_TELEMETRY_EXPLAIN_H
#define TP_TELEMETRY_EXPLAIN_H

#include "telemetry/snapshot.h"

enum { EXPLANATION_MAX = 1024 };

/* "running the backward of mini-batch 7", "waiting for the activation of 8A", "writing a checkpoint". */
void explain_activity(const struct activity *activity, const struct schedule *schedule, char *text, size_t size);

/* One sentence, without a full stop, that follows what stage `stage` (1..W) waits for from stage to stage: "stage 2
 * waits for the gradient of mini-batch 7 from stage 3, which has been running the backward of mini-batch 7 for 3.2 s".
 * A chain that comes back to itself is a deadlock, and is called so. */
void explain_wait(const struct snapshot *snapshot, int stage, char *text, size_t size);

/* The link between stages l and l + 1 (1..W-1): "link 1-2: 3 of 3 activation slots in use, 2 messages not taken; 0 of 2
 * gradient slots, 0 not taken". */
void explain_link(const struct snapshot *snapshot, int link, char *text, size_t size);

#endif
