/* Ops as a Chrome trace (the JSON array format of the Trace Event Format), which ui.perfetto.dev opens: one track per
 * stage. A run's is written as the run goes, a prediction's all at once. */
#ifndef TP_COORDINATOR_TRACE_H
#define TP_COORDINATOR_TRACE_H

#include <stdio.h>

#include "board/segment.h"
#include "plan/predict.h"

struct trace {
    FILE *file;
    const struct plan *plan; /* which outlives the trace */
    struct schedule schedule;
    uint64_t start_ns;
    struct optimizer_course courses[MAX_PARTS]; /* of each part, as far as its ops are written */
};

/* Begins the array; the file stays the caller's. Times count from start_ns. */
void trace_begin(struct trace *trace, FILE *file, const struct plan *plan, uint64_t start_ns);
void trace_op(struct trace *trace, int part, const struct op_record *record);

/* -1 if anything could not be written. */
int trace_end(struct trace *trace);
int trace_prediction(FILE *file, const struct plan *plan, const struct prediction *prediction);

#endif
