/* The run's one shared-memory segment: the plan, one block per stage (state, counters, doorbell, telemetry ring), and
 * the links between neighbours. The coordinator creates it, the stages inherit its descriptor, monitors open it by
 * name, read-only.
 *
 * Everything in it is found through offsets that were checked when the segment was opened; no pointer is stored in it.
 * Fields that two processes touch are atomic; what else is written is written before the release store that
 * publishes it. */
#ifndef TP_TRANSPORT_SEGMENT_H
#define TP_TRANSPORT_SEGMENT_H

#include <semaphore.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "plan/plan.h"
#include "schedule/schedule.h"
#include "schedule/versions.h"

#define SEGMENT_MAGIC UINT64_C(0x0a6e75722d7074) /* "tp-run\n" */

enum {
    SEGMENT_VERSION = 6,
    TELEMETRY_RECORDS = 8192,
    STAGE_ERROR_MAX = 1024,
    EPOCHS_MAX = 1000,
    CACHE_LINE = 64,
    CONTROLS_BYTES = 4096
};

enum stage_state { STAGE_STARTING, STAGE_READY, STAGE_RUNNING, STAGE_DONE, STAGE_FAILED };
enum run_state { RUN_STARTING, RUN_TRAINING, RUN_FINISHED, RUN_INTERRUPTED, RUN_FAILED };
enum phase { PHASE_TRAIN, PHASE_EVALUATE, PHASES };

/* What a stage does at a moment. */
enum activity_kind {
    ACTIVITY_NONE,   /* starting, between phases, done */
    ACTIVITY_WAIT,   /* for `cause`, until it can run `op` */
    ACTIVITY_HELD,   /* it could run `op`, but the controls hold it */
    ACTIVITY_RUN,    /* runs `op` */
    ACTIVITY_UPDATE, /* applies the update that follows `op` */
    ACTIVITY_SAVE,   /* writes a checkpoint */
    ACTIVITIES
};

struct activity {
    enum activity_kind kind;
    enum wait_cause cause; /* ACTIVITY_WAIT */
    enum phase phase;
    struct op op; /* all but NONE and SAVE */
};

/* In one word, so that a reader never sees half of it. Whatever word is unpacked, the result is in range: its enums and,
 * if it has an op, mini-batch and micro-batches from 1. */
uint64_t activity_pack(const struct activity *activity);
struct activity activity_unpack(uint64_t word);

/* One op as it happened. */
struct op_record {
    uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
    uint64_t wait_ns;          /* how long the stage had waited before it, for whatever */
    uint64_t held_ns;          /* of end_ns - start_ns, how long slow motion stretched it */
    uint64_t bytes_sent;       /* to a neighbour */
    int32_t epoch;             /* 1.. */
    int32_t minibatch;         /* 1.., in its phase */
    int16_t first, count;      /* micro-batches */
    uint8_t kind;              /* enum op_kind */
    uint8_t phase;             /* enum phase */
    uint8_t wait_cause;        /* enum wait_cause */
    uint8_t updated;           /* 1: the mini-batch's update followed; its time is within end_ns - start_ns */
    int32_t version_read;      /* weights read; a blend: -1 */
    int32_t version_forward;   /* a backward's micro-batches: version the first one's forward read */
    int32_t version_live;      /* newest at the stage when the op began */
    int32_t version_sent;      /* the pin or the committed version that went with the message */
    uint64_t update_ns;        /* of end_ns - start_ns, the update */
    float loss;                /* stage W, backward: mean loss of the mini-batch; else 0 */
    uint32_t rows;
};

struct telemetry {
    alignas(CACHE_LINE) _Atomic uint64_t head; /* records ever written; record n lies at n % TELEMETRY_RECORDS */
    alignas(CACHE_LINE) struct op_record records[TELEMETRY_RECORDS];
};

enum { STALENESS_BUCKETS = 16, DIFFERENCE_BUCKETS = 64 };

/* Running sums that a stage keeps, so that a report needs no record that a slow reader lost. Each is written by the
 * stage alone (relaxed stores) and read by anyone. */
struct counters {
    _Atomic uint64_t ops;
    _Atomic uint64_t busy_ns, update_ns;                  /* computing; of it, the updates */
    _Atomic uint64_t held_ns;                             /* by the controls: neither computing nor waiting */
    _Atomic uint64_t op_count[OP_KINDS], op_ns[OP_KINDS]; /* training's ops by kind; without updates */
    _Atomic uint64_t wait_ns[WAIT_CAUSES];                /* by cause */
    _Atomic uint64_t messages_sent[PHASES], bytes_sent[PHASES];
    _Atomic uint64_t memory[MEMORY_CATEGORIES]; /* bytes in use now */
    _Atomic uint64_t memory_peak[MEMORY_CATEGORIES];
    _Atomic int32_t versions, versions_peak;                 /* alive */
    _Atomic int32_t in_flight, in_flight_peak;               /* mini-batches in training */
    _Atomic int32_t slots, slots_peak;                       /* the same in slots of memory (schedule_slot_size) */
    _Atomic uint64_t staleness_forward[STALENESS_BUCKETS];   /* backwards by live - forward version; last: and above */
    _Atomic uint64_t staleness_backward[STALENESS_BUCKETS];  /* by staleness_of() what is read, rounded up */
    _Atomic uint64_t staleness_millionths;                   /* the sum of it, unrounded */
    _Atomic uint64_t version_difference[DIFFERENCE_BUCKETS]; /* stage W: mini-batches by i - committed */
    _Atomic int32_t epoch, phase, minibatch;                 /* where the stage is; 0: no op done there yet */
};

/* Results of one epoch; stage 1 fills in when training began and ended, stage W the rest; `epochs_done` publishes. */
struct epoch_result {
    double train_loss, test_loss, test_top1, test_top5;
    uint64_t start_ns, trained_ns, end_ns; /* stage 1's first op and last update; stage W's last evaluation */
    int32_t trained_samples, tested_samples;
};

/* Sums over the mini-batches of an epoch that are trained. */
struct epoch_sums {
    double loss;
    int32_t samples, top1, top5;
    uint64_t training_ns;
};

/* Where a run begins: at the initial weights, or at what a checkpoint holds (stages/checkpoint.h). */
struct start {
    char set[CONFIG_PATH_MAX]; /* the checkpoint's folder; "": there is none, and all else is 0 but the epoch, 1 */
    int32_t files;             /* stages that have written one into it */
    bool momentum;             /* they had one */
    int32_t epoch;             /* in which the run goes on; it may be trained, and only its test be missing */
    int32_t filled_after;      /* mini-batch of the epoch after which its pipeline was filled: 0, but after a checkpoint
                                  that does not continue bit for bit */
    int32_t replayed;          /* mini-batches after that one which are trained: their ops are only counted */
    int32_t updates;           /* applied since the run first began */
    struct epoch_sums sums;    /* of the epoch's trained mini-batches */
};

/* A file of a checkpoint that a stage has written, or not. */
enum { SAVED_NOT_YET = 0, SAVED = 1 }; /* -errno: it could not be */
struct saved_file {
    _Atomic int32_t state; /* stored last */
    int32_t number;        /* of the mini-batch in its epoch, or of the weight version */
    uint64_t bytes;
    uint32_t crc32; /* zlib's */
};

/* A stage's part of a checkpoint in the middle of an epoch, past which the run goes on. One is written at a time: the next
 * begins when the coordinator has judged this one (saved_at). */
struct passing {
    struct saved_file file;
    struct saved_file versions[MAX_STAGES]; /* older weight versions, in order; state 0 ends them */
    struct epoch_sums sums;                 /* as in struct stage_block */
    _Atomic uint64_t at;                    /* the stop_point() that it is of; stored last */
};

/* The weight versions that a stage holds and why (schedule/versions.h), rewritten as ops begin and end. `sequence` is
 * odd while it is being rewritten: a reader whose copy began or ended with another value looks again. */
struct version_table {
    _Atomic uint32_t sequence;
    _Atomic int32_t count;
    struct {
        _Atomic int32_t version, uses, stashed, stash_first, stash_last; /* struct version_use */
    } rows[VERSION_USES_MAX];                                            /* [count], oldest first */
};

struct stage_block {
    alignas(CACHE_LINE) sem_t doorbell;        /* posted on whatever may make the stage runnable */
    alignas(CACHE_LINE) _Atomic int32_t state; /* enum stage_state */
    _Atomic int32_t pid;
    _Atomic int32_t applied;   /* updates applied at this stage since the run began: its live version */
    _Atomic uint64_t activity; /* activity_pack() of what it does now */
    _Atomic uint64_t activity_since_ns;
    char error[STAGE_ERROR_MAX]; /* valid in STAGE_FAILED */
    char diverged[64];           /* likewise: "the output of block3.conv1", the first that is not finite here; or "" */
    alignas(CACHE_LINE) struct counters counters;
    struct version_table versions;
    struct telemetry telemetry;
    struct saved_file saved[EPOCHS_MAX]; /* at the end of epoch e, or where it was stopped: saved[e - 1] */
    struct saved_file
        saved_versions[MAX_STAGES];     /* where it was stopped: older versions, in order; state 0 ends them */
    struct epoch_sums sums[EPOCHS_MAX]; /* of what was trained when saved[e - 1] was; stage W, training_ns stage 1 */
    struct passing passing;
};

/* A link's message: one micro-batch's activation, or the gradient of the micro-batches that one backward covered. */
struct message {
    int32_t minibatch; /* in its phase, 1.. */
    int16_t first, count;
    int32_t version; /* down: the pin; up: the committed version */
};

/* LINK_DEVICE: a side has exported what is its own; and it has closed what it had opened of the other's. */
enum ring_meeting { MEETING_AWAITED, MEETING_EXPORTED, MEETING_CLOSED };
enum ring_side { RING_PRODUCER, RING_CONSUMER, RING_SIDES };

/* One direction of a link: single producer, single consumer; both cursors only grow. A slot holds what one backward
 * covers (schedule_slot_size), slot = how many came before since the run began % slots, and is written row by row as
 * micro-batches come. */
struct ring {
    alignas(CACHE_LINE) _Atomic uint64_t published; /* messages; written by the producer */
    alignas(CACHE_LINE) _Atomic uint64_t released;  /* slots that the consumer has let go */
    alignas(CACHE_LINE) uint64_t slots;             /* constant from here on */
    uint64_t slot_bytes, messages_offset, message_capacity;
    uint64_t data_offset;  /* of the slots in the segment; LINK_DEVICE has them in the consumer's memory, */
    uint64_t arena_offset; /* here in its arena */
    uint64_t handles_offset, handle_count; /* LINK_DEVICE: struct device_handle of the arena, of an event
                                                               per slot, and of one per message */
    alignas(CACHE_LINE) _Atomic int32_t meeting[RING_SIDES]; /* enum ring_meeting of each side, written by it */
};

/* What a monitor may change in a run that was started with --interactive: the only memory of a run that a monitor
 * writes. It rings no doorbell; stages that are held look again every few milliseconds. */
struct controls {
    _Atomic uint64_t ops_allowed[MAX_STAGES]; /* stage s runs its n-th op (0-based, counters.ops) when n < this;
                                                 UINT64_MAX: it runs freely */
    _Atomic uint32_t slow_motion;             /* an op takes so many times its usual time; 1: as fast as it can */
};
enum { SLOW_MOTION_MAX = 1000 };

struct segment_header {
    _Atomic uint64_t magic; /* SEGMENT_MAGIC; stored last, so that nobody takes a half-written segment for a run */
    uint32_t version;
    uint32_t header_bytes, stage_block_bytes;
    uint64_t size;                                         /* of the whole segment */
    uint64_t controls_offset, stages_offset, rings_offset; /* the controls have a page of their own */
    int32_t stage_count, ring_count; /* rings: link l (stages l, l+1; l = 1..W-1): down 2(l-1), up 2(l-1)+1 */
    int32_t coordinator_pid;
    uint64_t start_ns;  /* CLOCK_MONOTONIC */
    int64_t start_time; /* seconds since 1970 */
    char name[64];      /* of the segment, so that a stage can unlink it when the coordinator is gone */
    char run_folder[CONFIG_PATH_MAX];
    bool interactive;                              /* stages obey the controls */
    char outcome[STAGE_ERROR_MAX];                 /* why the run failed; valid in RUN_FAILED */
    alignas(CACHE_LINE) _Atomic int32_t run_state; /* enum run_state */
    _Atomic int32_t go;                            /* stages may start */
    _Atomic int32_t abort;                         /* everybody ends now */
    _Atomic uint64_t diverged;                     /* activity_pack() of the op whose loss was not finite; 0: none */
    _Atomic int32_t stop;                          /* stage 1 admits no further mini-batch */
    _Atomic int32_t epochs_done;
    _Atomic uint64_t stopped_at; /* set by stage 1 when it obeys `stop`: the last mini-batch it admitted, as
                                    stop_point(); UINT64_MAX before */
    _Atomic int32_t save;        /* a checkpoint is asked for */
    _Atomic uint64_t save_at;    /* set by stage 1 when it obeys `save` or checkpoints.every: the mini-batch after which
                                    all save, as stop_point(); the epoch's last: the epoch's own checkpoint will do. 0
                                    before */
    _Atomic uint64_t saved_at;   /* the newest save_at that the coordinator has judged */
    struct epoch_result epochs[EPOCHS_MAX];
    struct start start; /* written before the stages are started */
    struct plan plan;
};

/* A place in a run that compares by time. `minibatch` 0: none of this phase. */
static inline uint64_t stop_point(int epoch, enum phase phase, int minibatch)
{
    return (uint64_t)epoch << 33 | (uint64_t)phase << 32 | (uint32_t)minibatch;
}

/* A mapped segment. */
struct segment {
    struct segment_header *header;
    size_t size;
    int fd;
    char name[64]; /* "" in those that did not create it by name */
};

/* Bytes that a plan's segment needs. */
size_t segment_size(const struct plan *plan);

/* Coordinator: creates "/tp-<uid>-<pid>-<random>", mode 0600, every page allocated (or the error says how much
 * /dev/shm would need), with the plan in it, and locked as long as a process of the run lives. What dead runs of the
 * same user have left is removed. The run is not interactive until header->interactive is set. */
int segment_create(struct segment *segment, const struct plan *plan, const char *run_folder, struct error *error);

/* In memory of this process alone, for stages that are threads. */
int segment_create_private(struct segment *segment, const struct plan *plan, struct error *error);

/* Stage: maps an inherited descriptor. Monitor: opens by name, read-only. Both check all that later reads rely on. */
int segment_attach(struct segment *segment, int fd, struct error *error);
int segment_open(struct segment *segment, const char *name, struct error *error);

/* Monitor: maps the controls of an interactive run, writable. NULL and the reason if the run is not interactive. Unmap
 * with segment_close_controls. */
struct controls *segment_open_controls(const struct segment *segment, const char *name, struct error *error);
void segment_close_controls(struct controls *controls);

/* The controls as a stage or the coordinator sees them. */
struct controls *segment_controls(const struct segment *segment);

void segment_unlink(const char *name);
void segment_close(struct segment *segment);

struct stage_block *segment_stage(const struct segment *segment, int stage); /* 1.. */
struct ring *segment_ring_down(const struct segment *segment, int link);     /* link l: stage l -> l + 1 */
struct ring *segment_ring_up(const struct segment *segment, int link);       /* link l: stage l + 1 -> l */

/* Posts a stage's doorbell; and everybody's. */
void segment_ring_doorbell(const struct segment *segment, int stage);
void segment_ring_all(const struct segment *segment);

/* A checkpoint is asked for, unless one is under way; async-signal-safe. And whether one is. */
void segment_ask_checkpoint(const struct segment *segment);
bool segment_saves(const struct segment *segment);

/* Everybody ends now. */
void segment_abort(const struct segment *segment);

#endif
