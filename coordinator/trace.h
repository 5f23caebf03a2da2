/* A run's ops as a Chrome trace (the JSON array format of the Trace Event Format), which ui.perfetto.dev opens: one
 * track per stage. Written as the run goes. */
#ifndef TP_COORDINATOR_TRACE_H
#define TP_COORDINATOR_TRACE_H

#include <stdio.h>

#include "transport/segment.h"

struct trace {
    FILE *file;
    struct schedule schedule;
    uint64_t start_ns;
};

/* Begins the array; the file stays the caller's. */
void trace_begin(struct trace *trace, FILE *file, const struct segment *segment);
void trace_op(struct trace *trace, int stage, const struct op_record *record);

/* -1 if anything could not be written. */
int trace_end(struct trace *trace);

#endif
