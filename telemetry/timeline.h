/* What each stage did when: spans of its time, made of its op records and of what it does now. Whatever draws a run, on a
 * screen or on paper, draws these. */
#ifndef TP_TELEMETRY_TIMELINE_H
#define TP_TELEMETRY_TIMELINE_H

#include "plan/describe.h"
#include "telemetry/history.h"
#include "telemetry/snapshot.h"

enum span_kind { SPAN_NONE, SPAN_OP, SPAN_WAIT, SPAN_HELD };

/* A stretch of one stage's time, in nanoseconds of CLOCK_MONOTONIC. */
struct span {
    uint64_t start, end;
    enum span_kind kind;
    enum wait_cause cause; /* SPAN_WAIT */
    enum phase phase;
    struct op op;                   /* SPAN_OP */
    int number;                     /* of its mini-batch, counted through the run's training: gives its colour */
    const struct op_record *record; /* of an op that has ended; else NULL */
    int version;                    /* it read, a sum: it started from; -1: none, or not known */
    int made;                       /* the version that its update made; 0: none */
    bool updated;                   /* an update followed, within the span */
};

/* An op that has ended, as a span. */
struct span timeline_span(const struct plan *plan, const struct op_record *record);

/* Calls `visit` for the spans of a stage (1..) that reach into the time from `start` to `end`, oldest first; they do not
 * overlap. */
typedef void span_visitor(void *context, const struct span *span);
void timeline_visit(const struct snapshot *snapshot, const struct history *history, int stage, uint64_t start,
                    uint64_t end, span_visitor *visit, void *context);

/* The op that is nearest to a time, or NULL if none is known. */
const struct op_record *timeline_find(const struct stage_history *history, uint64_t ns);

/* The time of the last thing that happened. */
uint64_t timeline_newest(const struct snapshot *snapshot, const struct history *history);

/* The mini-batch of the newest update of a part, in its epoch; 0: none is known. */
int timeline_done(const struct history *history, int part);

/* The record's op; and a mini-batch's number, counted through the run. */
struct op timeline_op(const struct op_record *record);
int timeline_number(const struct plan *plan, int epoch, int minibatch);

/* Whether the op read a sum (version_read is -1); and that sum, of an op of training's. */
bool timeline_reads_sum(const struct plan *plan, const struct op_record *record);
struct summed_read timeline_summed_read(const struct plan *plan, int part, const struct op_record *record);

/* What a stage that runs an op has waited for before it: that it has not told yet, but this is what the op reads, or, of
 * part 1's forwards, what makes room. */
enum wait_cause timeline_waited_for(const struct plan *plan, int part, const struct op *op);

/* The epoch of what a stage does now; its counters tell that of the last op it has done. */
int timeline_epoch(const struct stage_snapshot *stage);

/* What op_format writes, with a 't' in front of an evaluation's. */
enum { OP_LABEL_SIZE = OP_TEXT_SIZE + 1 };
void timeline_label(const struct plan *plan, enum phase phase, const struct op *op, char label[OP_LABEL_SIZE]);

#endif
