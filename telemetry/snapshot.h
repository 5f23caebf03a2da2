/* A run at one moment, as plain data: what the monitor draws, what the explainer of stalls reasons about, what a recording
 * keeps samples of. Filled from a run's segment, or from a recording. */
#ifndef TP_TELEMETRY_SNAPSHOT_H
#define TP_TELEMETRY_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "board/segment.h"

/* One direction of the link between stages l and l + 1. */
struct link_snapshot {
    uint64_t published; /* messages since the run began */
    uint64_t released;  /* slots that the consumer has let go since the run began */
    uint64_t slots;
};

/* Sums since the run began, and what is in use now: struct counters without its atomics. */
struct stage_counters {
    uint64_t ops;
    uint64_t busy_ns, update_ns, held_ns;
    uint64_t op_count[OP_KINDS], op_ns[OP_KINDS];
    uint64_t wait_ns[WAIT_CAUSES];
    uint64_t messages_sent[PHASES], bytes_sent[PHASES];
    uint64_t memory[MEMORY_CATEGORIES], memory_peak[MEMORY_CATEGORIES]; /* bytes */
    int32_t versions, versions_peak;
    int32_t in_flight, in_flight_peak; /* mini-batches */
    int32_t slots, slots_peak;
    uint64_t staleness_forward[STALENESS_BUCKETS], staleness_backward[STALENESS_BUCKETS];
    uint64_t staleness_forward_sum, staleness_millionths;
    uint64_t version_difference[DIFFERENCE_BUCKETS]; /* stage W */
    int32_t epoch, phase, minibatch;
};

struct stage_snapshot {
    enum stage_state state;
    int pid;
    bool stopped; /* the process is stopped by a signal */
    bool dead;    /* there is no such process any more, though the stage has not ended */
    bool blocked; /* the process sleeps in the kernel and cannot be woken */
    struct activity activity;
    uint64_t activity_since_ns;
    int version_live; /* updates applied since the run began */
    struct stage_counters counters;
    struct version_use versions[VERSION_USES_MAX]; /* oldest first */
    int version_count;
    bool allowed; /* the controls let the stage's next op run */
};

/* One of the machines of a run on several, as the coordinator's node last heard of it. */
struct machine_snapshot {
    char host[64]; /* as in --hosts */
    enum machine_state state;
    int64_t clock_offset_ns; /* CLOCK_MONOTONIC there minus here, */
    uint64_t clock_bound_ns; /* wrong by no more */
    uint64_t round_trip_ns;
    uint64_t heard_ns;                   /* 0: never */
    double send_rate, receive_rate;      /* bytes a second over its links, in the last second */
    double processor_rate;               /* cores that its node used in the last second */
    uint64_t processor_ns;               /* that its node has used in all */
    uint64_t bytes_sent, bytes_received; /* in all */
};

struct snapshot {
    const struct plan *plan; /* the source's */
    char name[64];           /* of the segment */
    const char *run_folder;  /* the source's */
    enum run_state state;
    char outcome[STAGE_ERROR_MAX]; /* RUN_FAILED: why */
    bool coordinator_alive;
    int coordinator_pid;
    int64_t start_time;        /* seconds since 1970 */
    uint64_t start_ns, now_ns; /* CLOCK_MONOTONIC */
    int epochs_done;
    const struct epoch_result *epochs; /* [epochs_done]; the source's */
    bool interactive;
    uint32_t slow_motion;
    int machine_count; /* 0: it is a run on one; or it is replayed, as recordings do not keep them */
    struct machine_snapshot machines[MAX_STAGES]; /* the coordinator's first */
    int stage_count;
    struct stage_snapshot stages[MAX_STAGES];  /* stage s is stages[s - 1] */
    struct link_snapshot down[MAX_STAGES - 1]; /* link l is [l - 1] */
    struct link_snapshot up[MAX_STAGES - 1];
    double link_rates[MAX_STAGES - 1][2]; /* bytes a second, down and up, of those that leave a machine; likewise */
};

/* Of a live run, now. Never makes a stage wait. Numbers that stand for an enum are in range, whatever the segment
 * holds. */
void snapshot_take(struct snapshot *snapshot, const struct segment *segment);

/* Of the plan's machine m, 0 the coordinator's. */
void snapshot_take_machine(struct machine_snapshot *machine, const struct segment *segment, int m);

/* Takes a stage's numbers into the ranges that the plan allows, for those that come from foreign memory. */
void snapshot_bound_stage(struct stage_snapshot *stage, const struct plan *plan);

#endif
