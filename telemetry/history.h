/* A run's past, as far as a monitor keeps it: of every stage the newest ops, and the training loss since the run began.
 * Bounded however long the run is. Filled from a live run's telemetry; a recording gives the same structs. */
#ifndef TP_TELEMETRY_HISTORY_H
#define TP_TELEMETRY_HISTORY_H

#include "telemetry/drain.h"

/* What readers see: plain data, the owner's. */
struct stage_history {
    const struct op_record *ops; /* [count], oldest first */
    int count;
};

struct history {
    struct stage_history stages[MAX_STAGES]; /* stage s is stages[s - 1] */
    uint64_t lost;                           /* records that were overwritten before they could be read */
};

/* Training loss, each point the mean of so many mini-batches, oldest first; what is left over is in no point yet. */
struct curve {
    const float *loss; /* [count] */
    int count;
    int minibatches_per_point;
};

/* A curve that grows: when its points run out, each two become one. */
enum { CURVE_POINTS = 2048 };
struct curve_log {
    float loss[CURVE_POINTS];
    uint64_t end_ns[CURVE_POINTS]; /* when each point's last mini-batch was done */
    int count, minibatches_per_point;
    double sum; /* of the point to come, */
    int summed; /* so many mini-batches */
};

/* Begins empty with minibatches_per_point = 1. Takes note of an op of the last stage; only those that end a training
 * mini-batch count. */
void curve_add(struct curve_log *log, const struct op_record *record);
struct curve curve_of(const struct curve_log *log);

/* The past of a live run. Per stage at least the newest HISTORY_OPS ops are kept. */
enum { HISTORY_OPS = 4096 };
struct history_log; /* opaque */

/* From the oldest record on that the segment still holds; it must outlive the log. */
int history_create(struct history_log **out, const struct segment *segment, struct error *error);
void history_destroy(struct history_log *log);

/* Takes what the stages have recorded since. What history_of and history_curve gave before is no longer valid. */
void history_take(struct history_log *log);
struct history history_of(const struct history_log *log);
struct curve history_curve(const struct history_log *log);

#endif
