/* What a run shows and is told, as it lies in the run's shared-memory segment (board/segment.h): the plan, the run's state
 * and results, the controls, and one block per stage (state, counters, doorbell, telemetry ring, version table). Behind it
 * lies a region for channels, whose contents are transport's.
 *
 * No pointer is stored in it. Fields that two processes touch are atomic; what else is written is written before the
 * release store that publishes it. */
#ifndef TP_BOARD_BOARD_H
#define TP_BOARD_BOARD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "board/activity.h"
#include "board/doorbell.h"
#include "plan/plan.h"
#include "schedule/schedule.h"
#include "schedule/versions.h"

#define SEGMENT_MAGIC UINT64_C(0x0a6e75722d7074) /* "tp-run\n" */

enum { SEGMENT_VERSION = 9, STAGE_ERROR_MAX = 1024, EPOCHS_MAX = 1000, CACHE_LINE = 64, CONTROLS_BYTES = 4096 };

/* MEETING: still starting, but all that is left to do is the neighbours'. */
enum stage_state { STAGE_STARTING, STAGE_MEETING, STAGE_READY, STAGE_RUNNING, STAGE_DONE, STAGE_FAILED };
enum run_state { RUN_STARTING, RUN_TRAINING, RUN_FINISHED, RUN_INTERRUPTED, RUN_FAILED };

/* One op as it happened. */
struct op_record {
    uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
    uint64_t wait_ns;          /* how long the stage had waited before it, for whatever */
    uint64_t wait_core_ns;     /* of wait_ns, its end: what it waited for was there, and no core was free */
    uint64_t held_ns;          /* of end_ns - start_ns, how long slow motion stretched it */
    uint64_t core_ns;          /* of what is left, how long it was kept from a core */
    uint64_t bytes_sent;       /* to a neighbour */
    int32_t epoch;             /* 1.. */
    int32_t minibatch;         /* 1.., in its phase */
    int16_t first, count;      /* micro-batches */
    uint8_t kind;              /* enum op_kind */
    uint8_t phase;             /* enum phase */
    uint8_t wait_cause;        /* enum wait_cause */
    uint8_t updated;           /* 1: the mini-batch's update followed */
    int32_t version_read;      /* weights read; a sum: -1 */
    int32_t version_forward;   /* a backward's micro-batches: version the first one's forward read */
    int32_t version_live;      /* newest at the stage when the op began */
    int32_t version_sent;      /* the pin or the committed version that went with the message */
    uint64_t update_ns;        /* of end_ns - start_ns, the update; 0 if that came later, when the norm of all gradients
                                  was known: counters have its time */
    float loss;                /* stage W, backward: mean loss of the mini-batch; else 0 */
    uint32_t rows;
};

#ifndef TELEMETRY_RECORDS
#define TELEMETRY_RECORDS 8192
#endif

enum { RECORD_WORDS = sizeof(struct op_record) / sizeof(uint64_t) };
_Static_assert(sizeof(struct op_record) % sizeof(uint64_t) == 0, "a record is of whole words");

/* Read and written with board/records.h. */
struct telemetry {
    alignas(CACHE_LINE) _Atomic uint64_t head; /* records ever written; record n lies at n % TELEMETRY_RECORDS */
    alignas(CACHE_LINE) _Atomic uint64_t records[TELEMETRY_RECORDS][RECORD_WORDS];
};

enum { STALENESS_BUCKETS = 16, DIFFERENCE_BUCKETS = 64 };

/* Running sums that a stage keeps, so that a report needs no record that a slow reader lost. Each is written by the
 * stage alone (relaxed stores) and read by anyone. */
struct counters {
    _Atomic uint64_t ops;
    _Atomic uint64_t busy_ns, update_ns;                  /* computing, on a core; of it, the updates */
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
    _Atomic uint64_t staleness_backward[STALENESS_BUCKETS];  /* by plan_staleness_of() what is read, rounded up */
    _Atomic uint64_t staleness_forward_sum;                  /* the sums of both, in updates, without bounds; */
    _Atomic uint64_t staleness_millionths;                   /* and of the latter in millionths, unrounded */
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

/* Where a run begins: at the initial weights, or at what a checkpoint holds (checkpoint/checkpoint.h). */
struct start {
    char set[CONFIG_PATH_MAX]; /* its name, in the run folder; "": there is none, and all else is 0 but the epoch, 1 */
    int32_t files;             /* stages that have written one into it */
    uint32_t slots;            /* of plan_slots(), bit k for the one with number k: those that are in them */
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

/* A part's share of the norm by which all gradients are clipped (plan_clips_together). */
struct norm {
    _Atomic double squares;  /* the sum of its own gradient's */
    _Atomic int32_t updates; /* the update for which it is there, counted as in `applied`; stored last */
};

/* In the segments of other machines than its own, a stage's block is what the nodes have told of it (node/node.h). */
enum { STAGE_ENDED = 1 << 16 };
struct stage_block {
    alignas(CACHE_LINE) struct doorbell doorbell; /* rung on whatever may make the stage runnable */
    alignas(CACHE_LINE) _Atomic int32_t state;    /* enum stage_state */
    _Atomic int32_t pid;
    _Atomic uint64_t processor_ns; /* on another machine: that its process has used */
    _Atomic int32_t ended;   /* on another machine: waitpid's status | STAGE_ENDED; the last thing that is told of it */
    _Atomic int32_t applied; /* updates applied at this stage since the run began: its live version */
    _Atomic uint64_t activity; /* activity_pack() of what it does now */
    _Atomic uint64_t activity_since_ns;
    char error[STAGE_ERROR_MAX]; /* valid in STAGE_FAILED */
    char diverged[96];           /* likewise: "the output of block3.conv1", the first that is not finite here; or "" */
    alignas(CACHE_LINE) struct norm norm;
    alignas(CACHE_LINE) struct counters counters;
    struct version_table versions;
    struct telemetry telemetry;
    struct saved_file saved[EPOCHS_MAX]; /* at the end of epoch e, or where it was stopped: saved[e - 1] */
    struct saved_file
        saved_versions[MAX_STAGES];     /* where it was stopped: older versions, in order; state 0 ends them */
    struct epoch_sums sums[EPOCHS_MAX]; /* of what was trained when saved[e - 1] was; stage W, training_ns stage 1 */
    struct passing passing;
};

/* What a monitor may change in a run that was started with --interactive: the only memory of a run that a monitor
 * writes. It rings no doorbell; stages that are held look again every few milliseconds. */
struct controls {
    _Atomic uint64_t ops_allowed[MAX_STAGES]; /* stage s runs its n-th op (0-based, counters.ops) when n < this;
                                                 UINT64_MAX: it runs freely */
    _Atomic uint32_t slow_motion;             /* an op takes so many times its usual time; 1: as fast as it can */
    _Atomic uint32_t awaited;                 /* 1: it began paused or slow, and no monitor has changed anything yet */
};
enum { SLOW_MOTION_MAX = 1000 };

/* One of the run's machines, as the coordinator's node sees it. Offsets are of CLOCK_MONOTONIC, there minus here. */
enum machine_state { MACHINE_AWAITED, MACHINE_PRESENT, MACHINE_ENDED, MACHINE_FAILED };
struct machine_word {
    _Atomic int32_t state;         /* enum machine_state */
    _Atomic int32_t pid;           /* of its node */
    char host[64];                 /* as it calls itself */
    char error[256];               /* valid in MACHINE_FAILED */
    _Atomic uint64_t processor_ns; /* that its node has used */
    _Atomic int64_t clock_offset_ns;
    _Atomic uint64_t clock_bound_ns;             /* the offset is wrong by no more */
    _Atomic uint64_t round_trip_ns;              /* of the exchange that it is from */
    _Atomic uint64_t heard_ns;                   /* when something came from there the last time */
    _Atomic uint64_t bytes_sent, bytes_received; /* by its node, over links */
    /* In a second: bytes, and millionths of a core. Of the last one that is over. */
    _Atomic uint64_t send_rate, receive_rate, processor_rate;
};

/* What does not change any more once the run is published. Every process reads a copy of its own (struct segment). */
struct segment_header {
    uint32_t version;
    uint32_t board_bytes, stage_block_bytes;
    uint64_t size;       /* of the whole segment */
    int32_t block_count; /* one per part */
    int32_t machine;     /* whose segment this is: 0 the coordinator's */
    int32_t coordinator_pid;
    uint64_t start_ns;  /* CLOCK_MONOTONIC */
    int64_t start_time; /* seconds since 1970 */
    char name[64];      /* of the segment, so that a stage can unlink it when the coordinator is gone; it has it from
                           segment_publish() to `dismissed` */
    char run_folder[CONFIG_PATH_MAX];
    bool interactive; /* stages obey the controls */
    int32_t data;     /* stages inherit this descriptor of the data set; 0: they open it by themselves */
    int32_t folder; /* descriptor of the run folder, which stages inherit; valid if run_folder or start.set is not "" */
    char lent_folder[CONFIG_PATH_MAX]; /* the run folder's stand-in on another machine; its node removes it, or whoever
                                          outlives that; "" on the coordinator's */
    struct start start;
    struct plan plan;
};

struct board {
    _Atomic uint64_t magic; /* SEGMENT_MAGIC; stored last, so that nobody takes a half-written segment for a run */
    struct segment_header header;
    alignas(CACHE_LINE) _Atomic int32_t run_state; /* enum run_state */
    _Atomic int32_t go;                            /* stages may start */
    _Atomic int32_t abort;                         /* everybody ends now */
    _Atomic int32_t stop;        /* not 0: stage 1 admits no further mini-batch; s: stage s was asked to end; -1: the
                                  coordinator was */
    _Atomic int32_t dismissed;   /* the name is gone: whoever is done may end */
    _Atomic uint64_t diverged;   /* activity_pack() of the op whose loss was not finite; 0: none */
    _Atomic uint64_t stopped_at; /* set by stage 1 when it obeys `stop`: the last mini-batch it admitted, as
                                    stop_point(); UINT64_MAX before */
    _Atomic int32_t save;        /* a checkpoint is asked for */
    _Atomic uint64_t save_at;    /* set by stage 1 when it obeys `save` or checkpoints.every: the mini-batch after which
                                    all save, as stop_point(); the epoch's last: the epoch's own checkpoint will do. 0
                                    before */
    _Atomic uint64_t saved_at;   /* the newest save_at that the coordinator has judged */
    _Atomic int32_t epochs_done; /* read it with segment_epochs_done */
    struct epoch_result epochs[EPOCHS_MAX];
    char outcome[STAGE_ERROR_MAX];            /* why the run failed; valid in RUN_FAILED */
    alignas(CACHE_LINE) struct doorbell node; /* rung for stages that are on other machines */
    struct machine_word machines[MAX_STAGES]; /* the coordinator's segment: machine m is [m] */
    _Atomic uint64_t
        link_rates[MAX_PARTS][2]; /* likewise, of link l, [l - 1], where it leads to another machine: bytes down,
                                                  and up, in the last second that is over */
};

/* A place in a run that compares by time. `minibatch` 0: none of this phase. */
static inline uint64_t stop_point(int epoch, enum phase phase, int minibatch)
{
    return (uint64_t)epoch << 33 | (uint64_t)phase << 32 | (uint32_t)minibatch;
}

#endif
