/* Which weight version does an op read, and which versions must a stage still keep?
 *
 * A tracker follows one stage through its ops. It holds numbers only; stages/ keeps the buffers that it says are
 * needed. The same tracker runs in the simulator, so a plan's versions are a run's versions. */
#ifndef TP_SCHEDULE_VERSIONS_H
#define TP_SCHEDULE_VERSIONS_H

#include <stdbool.h>

#include "schedule/schedule.h"

struct version_tracker; /* opaque */

/* `live` is the version that the stage starts with (all stages start a phase with the same one). The tracker keeps a
 * copy of the schedule. NULL if out of memory. */
struct version_tracker *versions_create(const struct schedule *schedule, int part, int live);
void versions_destroy(struct version_tracker *tracker);

/* The phase ends after mini-batch `minibatches`, earlier than the schedule says: no op of a later one will come. */
void versions_stop(struct version_tracker *tracker, int minibatches);

/* The stage's newest version. */
int versions_live(const struct version_tracker *tracker);

/* A forward begins: returns the version it reads, and remembers it for the backward. `pinned` is what this function
 * returned at stage 1 for the same micro-batch: it travels with the activation, from stage to stage and under every
 * rule. At stage 1 itself it is ignored. */
int versions_begin_forward(struct version_tracker *tracker, const struct op *op, int pinned);

/* What a backward (or a half of one) of one micro-batch reads. */
struct backward_versions {
    int forward; /* the version the micro-batch's forward read at this stage */
    int live;    /* at the time the backward (input half) began */
    int read;    /* what the backward reads; -1 if its rule has terms: a sum of vectors, from `live` on */
};

/* Updates that the part will make between the begin of a forward, now, and its mini-batch's own: those of the mini-batches
 * before. So many have come when its backward begins, unless that is split and weight halves of theirs are put off. */
int versions_staleness_ahead(const struct version_tracker *tracker, const struct op *op);

/* A backward begins. `committed` came with the gradient (at stage W: the newest version that stage 1 has applied). */
void versions_begin_backward(struct version_tracker *tracker, const struct op *op, int committed);

/* What micro-batch `microbatch` of the op that began reads: valid from its begin until its end (with a split backward:
 * until the weight half's end, which is told what the input half read; it keeps no version alive, since it reads the
 * saved activations and gradients only). */
struct backward_versions versions_of_backward(const struct version_tracker *tracker, int minibatch, int microbatch);

/* The op has ended; nothing of it reads a version any more. */
void versions_end(struct version_tracker *tracker, const struct op *op);

/* The mini-batch's update is applied: live becomes live + 1. If the version that was live is not needed from now on,
 * the update may be made in place: call this first, then ask versions_needed(live - 1). */
void versions_update(struct version_tracker *tracker);

/* Whether some op that is running or may still come at this stage can read `version`, as far as the stage itself can
 * know from what it has seen. The live version is always needed. Independent of timing: a function of the ops begun
 * and ended here and of the versions that came with them. Only an update makes a further version needed. */
bool versions_needed(const struct version_tracker *tracker, int version);

/* Oldest version that is needed (needed versions need not be contiguous), and how many are. */
int versions_oldest_needed(const struct version_tracker *tracker);
int versions_count_needed(const struct version_tracker *tracker);

/* Why a stage keeps a version: for a teacher's eye. `uses` adds up enum version_use_reason; micro-batches are numbered
 * through the phase (schedule.h): the one with number n is micro-batch n % N + 1 of mini-batch n / N + 1. */
enum version_use_reason {
    USE_LIVE = 1,     /* the newest: the next update starts from it */
    USE_RUNNING = 2,  /* an op that runs now reads it; a forward that stashes it counts as USE_STASHED from its begin */
    USE_STASHED = 4,  /* micro-batches in flight have read it forward and read it again backward */
    USE_EXPECTED = 8, /* an op still to come may ask for it */
};

struct version_use {
    int version;
    int uses;
    int stashed;                 /* micro-batches of USE_STASHED */
    int stash_first, stash_last; /* the first and the last of them; 0 if there is none */
};

/* The needed versions, oldest first; the oldest of them are left out if there are more than VERSION_USES_MAX. Returns
 * their number. */
enum { VERSION_USES_MAX = 72 };
int versions_uses(const struct version_tracker *tracker, struct version_use uses[VERSION_USES_MAX]);

#endif
