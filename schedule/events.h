/* The event simulator: the slot simulator's stages with ops that take what they take and messages that travel on links
 * of a given speed. Every stage does what the executor does, by the same functions: ask the schedule what is next
 * whenever something has changed, run it, or wait. So it tells what a run would do that nobody can run here: with a
 * backward that takes twice a forward, a slow stage, a slow link, 64 stages.
 *
 * Times are nanoseconds, and whole, so that sums are exact and a simulation repeats itself to the last event. */
#ifndef TP_SCHEDULE_EVENTS_H
#define TP_SCHEDULE_EVENTS_H

#include <stdint.h>

#include "schedule/simulate.h"

/* What a stage's work takes. The micro-batches of a mini-batch take the same: their rows differ by one at most. */
struct stage_times {
    int64_t op[OP_KINDS]; /* one op of each kind that the order has, in a full mini-batch, without its update */
    int64_t update;
};

/* The link between stages l and l + 1. Each direction carries one message at a time. All 0: shared memory. */
struct link_times {
    int64_t activation; /* time that one micro-batch's activation takes up the link: bytes / bandwidth */
    int64_t gradient;   /* likewise one backward's message */
    int64_t latency;    /* then, until the stage at the other end sees it; the link is free again */
    struct link_slots slots;
};

struct timing {
    const struct stage_times *stages; /* [W] */
    const struct link_times *links;   /* [W - 1]; not looked at if W = 1 */
    double last_minibatch;            /* rows of mini-batch K / rows of the others; its ops, not its updates, and its
                                         messages take so much of the others' time */
};

struct timed_op {
    struct op op;
    int64_t start, end; /* the end includes the update, if one follows */
};

struct stage_events {
    int op_count;
    struct timed_op *ops;       /* [op_count], in the order in which they ran */
    int64_t busy;               /* ops and updates */
    int64_t waits[WAIT_CAUSES]; /* by cause; WAIT_NONE: after the stage's last op. busy + all waits = duration */
    int minibatches_in_flight, microbatches_in_flight, weight_versions; /* most at once, as in struct stage_order */
};

struct event_simulation {
    int64_t duration; /* until the last update */
    int stage_count;
    struct stage_events *stages; /* [stage_count] */
    int minibatch_count;
    int *committed;           /* [minibatch_count], as in struct simulation */
    int *version_differences; /* [minibatch_count + 1]: mini-batches by i - committed, those after warm-up, as there */
    int version_difference_min, version_difference_median, version_difference_max; /* of these */
    double minibatch_duration; /* mean time from one update of stage 1 to the next between warm-up and drain, the first
                                  and the last W mini-batches; if K is too small for these, duration / K */
    double bubble_fraction;    /* idle time / all time, over all stages: fill and drain included */
};

/* Trains K mini-batches. `replayed`: run each stage's ops in this simulation's order (of the same schedule), with its
 * committed versions; NULL: in the dynamic order. What a stage does to its own slots and versions every other stage
 * knows at once, as in the executor; only messages travel. The schedule is not one of forward_only. -1 when memory is
 * short, or nothing can run though work is left. The caller owns the simulation. */
int simulate_events(const struct schedule *schedule, const struct timing *timing, const struct simulation *replayed,
                    struct event_simulation **out, struct error *error);
void event_simulation_destroy(struct event_simulation *simulation);

#endif
