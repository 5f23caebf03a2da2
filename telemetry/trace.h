/* Ops as a Chrome trace (the JSON array format of the Trace Event Format), which ui.perfetto.dev opens: a track for each stage
 * with ops, updates and waits, arrows from who sends to who receives, and counters of versions, staleness and memory. A
 * run's is written as the run goes, a recording's or a prediction's all at once. */
#ifndef TP_TELEMETRY_TRACE_H
#define TP_TELEMETRY_TRACE_H

#include <stdio.h>

#include "board/segment.h"
#include "plan/predict.h"
#include "telemetry/snapshot.h"

struct trace {
    FILE *file;
    const struct plan *plan; /* which outlives the trace */
    struct schedule schedule;
    uint64_t start_ns;
    uint64_t first_ns, counted_ns;              /* when the first op of training began; the newest counters; 0: none */
    double op_ns, ops;                          /* of training, in all */
    struct optimizer_course courses[MAX_PARTS]; /* of each part, as far as its ops are written */
};

/* Begins the array; the file stays the caller's. Times count from start_ns. */
void trace_begin(struct trace *trace, FILE *file, const struct plan *plan, uint64_t start_ns);
void trace_op(struct trace *trace, int part, const struct op_record *record);

/* What the stages hold at the snapshot's moment. Call often: as often as there is something to see it writes it. */
void trace_counters(struct trace *trace, const struct snapshot *snapshot);

/* The schedule on paper of the first mini-batches, beside what a run has done: in tracks of its own, at the run's pace. */
void trace_planned(const struct trace *trace);

/* -1 if anything could not be written. */
int trace_end(struct trace *trace);
struct recording;
int trace_recording(FILE *file, const struct recording *recording);
int trace_prediction(FILE *file, const struct plan *plan, const struct prediction *prediction);

#endif
