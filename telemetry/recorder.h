/* Records a run to a file: its plan, every op, a few times a second what each stage does and holds, its results and its
 * end. telemetry/recording.h plays it. What is written is complete up to half a second ago, whenever the run is killed. */
#ifndef TP_TELEMETRY_RECORDER_H
#define TP_TELEMETRY_RECORDER_H

#include <stdio.h>

#include "board/segment.h"
#include "telemetry/snapshot.h"

struct recorder; /* opaque */

/* The file stays the caller's. It grows to at most `bound` bytes; what does not fit is left out, but for the end. NULL if
 * out of memory. */
struct recorder *recorder_begin(FILE *file, const struct segment *segment, uint64_t bound);

/* Of a run that nobody watches, as a simulated one: of the header its plan, names and times are taken, and the caller tells
 * with recorder_note what recorder_look would find. */
struct recorder *recorder_begin_noted(FILE *file, const struct segment_header *header, uint64_t bound);
void recorder_note(struct recorder *recorder, const struct snapshot *snapshot);

/* An op of a stage (1..), as drained. */
void recorder_op(struct recorder *recorder, int stage, const struct op_record *record);

/* Call often: takes note of what the stages do when it is time. */
void recorder_look(struct recorder *recorder);

/* The file has reached its bound: nothing but the end is written any more. */
bool recorder_is_full(const struct recorder *recorder);

/* Why the file could not be written, errno's number, or 0. Nothing is written any more: what is there is whole, and a
 * piece behind a gap would not be. */
int recorder_failure(const struct recorder *recorder);

/* After the run's outcome is known. 0, or -1 if the file could not be written to its end. Releases the recorder; NULL is
 * fine. */
int recorder_end(struct recorder *recorder);

#endif
