/* What a run that has ended measured, from the counters that its stages have kept: figures for a report, as text or JSON. */
#ifndef TP_COORDINATOR_MEASURED_H
#define TP_COORDINATOR_MEASURED_H

#include "board/board.h"
#include "coordinator/report.h"

static inline uint64_t measured_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Of a histogram of small integers, values 0..; low is -1 if nothing was counted. */
struct distribution {
    uint64_t count;
    int low, median, high;
};
struct distribution measured_distribution(const _Atomic uint64_t *histogram, int buckets);

/* Of the mini-batches, at the last stage. */
struct distribution measured_version_difference(const struct segment *segment);

/* A part's means over its backwards, in updates: of what they read, and of what their forwards had read. */
double measured_staleness(const struct counters *counters);
double measured_forward_staleness(const struct counters *counters);

/* A part's memory at its peak, in bytes by category. */
void measured_memory(const struct counters *counters, size_t memory[MEMORY_CATEGORIES]);

/* From the first op to the end. */
double measured_seconds(const struct outcome *outcome);

/* Over the epochs that were finished, without their tests; NaN if there is none. */
double measured_samples_per_second(const struct segment *segment);

/* The share, 0 to 1, of all stages' time from the first op to the end, tests included. */
double measured_idle(const struct segment *segment, const struct outcome *outcome);

/* Sent between stages: in all, and per mini-batch of training; NaN where that cannot be said, as when some were cut off. */
struct traffic {
    double messages, bytes;
};
struct traffic measured_traffic(const struct segment *segment);
struct traffic measured_training_traffic(const struct segment *segment, const struct outcome *outcome);

/* The papers' counts per mini-batch: N activations up each link, and one gradient down it, or one per micro-batch. */
int papers_messages_whole_backward(const struct plan *plan);
int papers_messages_microbatch_backward(const struct plan *plan);

/* "finished", "interrupted" or "failed". */
const char *measured_state_name(enum run_state state);

#endif
