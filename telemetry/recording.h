/* Reads a recorded run (telemetry/recorder.h) and shows it at any moment, as a live run shows itself now. */
#ifndef TP_TELEMETRY_RECORDING_H
#define TP_TELEMETRY_RECORDING_H

#include "telemetry/history.h"
#include "telemetry/snapshot.h"

struct recording; /* opaque */

/* Checks the whole file. What a killed run left is played as far as it goes; anything else that is wrong is an error with
 * file and offset. recording_open_memory reads `size` bytes that must outlive the recording. */
int recording_open(struct recording **out, const char *path, struct error *error);
int recording_open_memory(struct recording **out, const void *bytes, size_t size, struct error *error);
void recording_close(struct recording *recording);

struct recording_facts {
    const struct plan *plan;
    uint64_t begin_ns, end_ns; /* the first and the last moment */
    bool cut;                  /* it ends in the middle of the run, which was killed or goes on */
    bool full;                 /* it ends before the run did, at its bound */
};
struct recording_facts recording_facts(const struct recording *recording);

/* All ops of a stage (1..), and the training loss. */
struct stage_history recording_ops(const struct recording *recording, int stage);
struct curve recording_curve(const struct recording *recording);

/* The run at a moment between begin and end: what the stages held when it was last noted, and exactly what they did.
 * `history` and `curve` end there. Pointers in them are the recording's. */
void recording_seek(const struct recording *recording, uint64_t time_ns, struct snapshot *snapshot,
                    struct history *history, struct curve *curve);

/* When the last stage had made a mini-batch's update; 0: the recording has none of it. */
uint64_t recording_find(const struct recording *recording, int epoch, int minibatch);

/* When the next op of any stage after `time_ns` ended, or the last before it if not `forward`. `time_ns` itself if there
 * is none. */
uint64_t recording_step(const struct recording *recording, uint64_t time_ns, bool forward);

#endif
