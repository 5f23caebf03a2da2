/* What the files that read a recording share: recording.c, which checks it and takes it in, and replay.c, which shows a
 * moment of it. */
#ifndef TP_TELEMETRY_RECORDING_INTERNAL_H
#define TP_TELEMETRY_RECORDING_INTERNAL_H

#include "telemetry/recording.h"
#include "telemetry/recording_format.h"

/* Elements of one size, in memory that doubles. */
struct list {
    void *items;
    size_t count, room;
};

struct state_place {
    uint64_t now_ns;
    size_t offset, bytes; /* of the chunk's payload */
};

struct recording {
    const unsigned char *bytes;
    size_t size;
    void *owned; /* to be freed; NULL: `bytes` is the caller's */
    struct recorded_run run;
    struct list ops[MAX_STAGES]; /* struct op_record */
    struct list states;          /* struct state_place */
    struct list epochs;          /* struct epoch_result */
    struct curve_log curve;
    bool ended, cut;
    struct recorded_end end;
};

static inline const struct state_place *state_at(const struct recording *recording, size_t k)
{
    return (const struct state_place *)recording->states.items + k;
}

/* The versions that a part held when it had done `done` of its ops and, if `running`, had begun the next. What the state says
 * stays where the records do not reach back to the epoch's begin, or the epoch is tested. */
void replay_versions(const struct recording *recording, int part, int done, bool running, struct stage_snapshot *stage);

/* Fills what a recorded state says of a snapshot; false if its payload is not of that size. */
bool recording_take_state(const struct recording *recording, const unsigned char *payload, size_t bytes,
                          struct snapshot *snapshot);

#endif
