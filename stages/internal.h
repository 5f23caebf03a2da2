/* What the files of stages/ share: the stage, its parts, and the phase that each of them is in. */
#ifndef TP_STAGES_INTERNAL_H
#define TP_STAGES_INTERNAL_H

#include "checkpoint/tensors.h"
#include "device/cores.h"
#include "schedule/simulate.h"
#include "schedule/versions.h"
#include "stages/batches.h"
#include "stages/compute.h"
#include "stages/stage.h"
#include "stages/weights.h"
#include "transport/link.h"

/* What later mini-batches read of the versions before `live`: bit d stands for version live - d. */
struct old_versions {
    int live;
    uint64_t bits;
};

/* Training or evaluation of one epoch. */
struct phase_run {
    enum phase kind;
    int epoch;
    struct schedule schedule;            /* minibatches may shrink when the run is stopped */
    int skipped;                         /* mini-batches of the epoch that come before the schedule's first */
    int replayed;                        /* static order: mini-batches whose ops are counted, not run (struct start) */
    const struct simulation *simulation; /* static order, training only */
    struct progress progress;
    struct version_tracker *tracker; /* training only */
    int first_version;               /* live when the phase began */
    struct old_versions restored;    /* static order, replay: from the checkpoint */
    int save_after;                  /* the mini-batch whose checkpoint is passed, until it is written; 0: none is */
    bool statistics_kept;            /* of it: later forwards have begun */
    struct old_versions kept;        /* static order: to save before they go, of it or of where the run is stopped */
    struct saved_file *kept_files;   /* where it is told which are */
    int versions_saved;
    uint64_t activations_before, gradients_before; /* messages taken from the links in earlier phases */
    double loss_sum;                               /* part C, over the phase: of samples' means */
    int samples, top1, top5;                       /* part C, over the phase */
    uint64_t start_ns;
};

/* Where an op's work begins or ends. */
struct point {
    uint64_t mark;    /* in the device's queue */
    uint64_t core_ns; /* how long the stage had waited for a core by then; on a GPU 0: its work needs none */
};

/* An op whose work is queued: its record is written when the device has done it. */
struct pending_op {
    struct part *part;
    struct op op;
    struct op_record record;
    enum wait_cause cause;           /* for which the part had nothing to queue before it */
    struct point begin, update, end; /* update: all 0 if none followed */
    bool only_update;                /* it is the update that follows the op, whose record is written */
};

/* The op has ended its mini-batch, and its update waits for the norm of all gradients (stages/norm.c). */
struct due_update {
    bool is;
    struct pending_op op;
    struct backward_versions versions;
};

/* Enough to keep a device busy, and few enough that their marks are at hand. */
enum { PENDING_OPS = 8 };

/* Of the predictions, which is what is told; and with recomputation, of the forwards that were run again at the backward's
 * weights: that is what is differentiated, and its sum only shows whether it is finite. */
enum { LOSS_REPORTED, LOSS_RECOMPUTED, LOSSES };

/* A piece of the network, in the stage that hosts it: its layers, its weight versions, its ends of the links. */
struct part {
    struct stage *stage;
    const struct segment *segment;
    const struct segment_header *header;
    struct board *board;
    struct stage_block *block;
    const struct plan *plan;
    int index;             /* 1..C */
    struct device *device; /* the stage's */
    struct compute *compute;
    struct batches *batches;
    struct weights *weights;
    struct tensors tensors;
    struct simulation *simulation; /* static order: of an epoch; NULL if dynamic */
    struct simulation *remainder;  /* likewise of the rest of the first one, if its pipeline is filled anew */
    /* On the device: */
    float *state, *gradient;
    int slot_count;
    struct slot slots[PLAN_SLOTS_MAX]; /* of the optimizer and the rules; their vectors, [parameters] each: */
    float *slot_floats[PLAN_SLOTS_MAX];
    float *combined; /* what a pass reads in place of a version; NULL unless a rule asks for it */
    int set_count;
    float *sets;   /* activation sets [set_count] */
    float *images; /* part 1, [plan_input_slots]: inputs, which may be tokens */
    /* On the host, where the device reaches it: */
    float *gathered;          /* where the loader puts them; `images` itself if that is on the host */
    uint64_t *copied;         /* [plan_input_slots] mark behind the copying of the slot's images */
    float *copies;            /* for checkpoints: [parameters], [state], [slot_count][parameters]; NULL if the device is
                                 the host */
    float *statistics;        /* likewise: [state] as it was before later mini-batches' forwards */
    int32_t *targets;         /* part C, [batch][targets per sample] */
    struct loss_result *loss; /* part C, [LOSSES], of the mini-batch that is running */
    double *norm;             /* of the gradient, squared */
    bool decays_norms;        /* plan_decays_norms() */
    struct optimizer_course course;
    struct due_update due;
    struct link_ends ends;
    uint64_t slots_before; /* of earlier phases, since the run began */
    int intervals;         /* part 1: of checkpoints.every, that lie behind */
    uint64_t passed_at;    /* the newest save_at whose checkpoint has its part */
    int applied;           /* updates, since the run first began: the live version */
    struct phase_run phase;
    uint64_t wait_ns, wait_core_ns; /* since the last op ended; of it, for a core */
    enum wait_cause wait_cause;
};

/* A process: it runs one op of one of its parts at a time, and queues its work on the one device that they share. */
struct stage {
    const struct segment *segment;
    int index; /* 1..W */
    int count;
    struct part *parts[STAGE_PARTS_MAX]; /* in the network's order */
    struct doorbell *doorbell;
    uint32_t heard; /* of the doorbell */
    const struct backend *backend;
    struct device *device;
    struct engine *engine;
    struct cores_watch *watch; /* of the threads that compute; NULL on a GPU */
    void *scratch;             /* of the part whose op is running */
    struct links links;
    struct pending_op pending[PENDING_OPS]; /* oldest first */
    int pending_count;
    uint64_t last_end_ns; /* of the last op that the device did */
    int next_op;          /* where there is a list: index of the next one */
};

static inline void part_set_applied(struct part *part, int applied)
{
    part->applied = applied;
    /* Pairs with committed_version() at part C. */
    atomic_store_explicit(&part->block->applied, applied, memory_order_release);
}

static inline bool part_is_first(const struct part *part)
{
    return part->index == 1;
}

static inline bool part_is_last(const struct part *part)
{
    return part->index == part->plan->part_count;
}

static inline bool on_host(const struct part *part)
{
    return part->device->type == &device_host;
}

/* How many slots came before the op's since the run began: its place in every ring and set. */
static inline uint64_t part_sequence(const struct part *part, const struct op *op)
{
    int microbatches = part->phase.schedule.microbatches;

    return part->slots_before +
           (uint64_t)(((op->minibatch - 1) * microbatches + op->first - 1) / schedule_slot_size(&part->phase.schedule));
}

/* stages/part.c: allocates and prepares everything that training needs, on the stage's device. The stage outlives the
 * part. */
int part_create(struct part **out, struct stage *stage, int index, struct error *error);

/* When the stage is connected: runs everything once, and fills in the weights. Then the part is ready. */
int part_fill(struct part *part, struct error *error);

/* After a failure, only for a part on the host: a GPU's work may wait for a dead neighbour's. */
void part_destroy(struct part *part);

/* stages/executor.c: runs the phase to its end, or to where the run is stopped. */
int executor_run_phase(struct stage *stage, enum phase kind, int epoch, struct error *error);

/* stages/hold.c: what the controls of an interactive run ask for. Whether the part's next op must wait; and the wait
 * that stretches an op to slow motion, which ends early if the controls or the run do; returns its nanoseconds. */
bool hold_wanted(const struct part *part);
uint64_t hold_stretch(struct part *part, const struct op *op);

/* stages/rules.c. The weights that a forward reads for which the tracker names `version`, and those of a backward's
 * micro-batch: a version, or part->combined, until the next of these calls. NULL on failure. And whether two micro-batches
 * of a backward read the same ones. */
const float *rules_forward_weights(struct part *part, const struct op *op, int version, struct error *error);
const float *rules_backward_weights(struct part *part, struct backward_versions versions, struct error *error);
bool rules_same_weights(const struct part *part, struct backward_versions a, struct backward_versions b);

/* Makes the next version from the gradient, which was taken for micro-batches of which the first read `versions`. */
int rules_update(struct part *part, struct backward_versions versions, struct error *error);

/* Of the gradient's numbers, when the device has added them up. */
int rules_sum_of_squares(struct part *part, double *sum, struct error *error);

/* The part's vector of that kind; NULL if it keeps none. */
float *rules_slot(const struct part *part, enum vector vector);

/* Runs the kernels of all this once, on whatever lies in the arrays, gradients excepted. */
int rules_warm_up(struct part *part, struct error *error);

/* stages/norm.c: tells the part's share of the norm by which its next update is clipped; whether all parts have, and the
 * sum of their squares, which is the same in every part. And whether the updates of all the stage's parts are due: a part
 * must not wait before the others of its stage have told theirs. */
int norm_tell(struct part *part, struct error *error);
bool norm_is_known(const struct part *part);
double norm_squared(const struct part *part);
bool norm_updates_are_due(const struct stage *stage);

/* stages/save.c: what a checkpoint is of, on the device, and its copies on the host: the arrays themselves if the device is
 * the host. Copied from one to the other, all that is not NULL on either side, and done when this returns. */
struct part_arrays {
    float *weights, *state;       /* [parameters], [state] */
    float *slots[PLAN_SLOTS_MAX]; /* [parameters] each */
};
struct part_arrays save_arrays(const struct part *part);
struct part_arrays save_copies(const struct part *part);
int save_copy(struct part *part, const struct part_arrays *to, const struct part_arrays *from, struct error *error);

/* Whether the run begins with a checkpoint; fills in weights, slots and running statistics from it. */
bool save_restores(const struct part *part);
int save_restore(struct part *part, struct error *error);

/* Whether the run goes on within this epoch, or with its test. */
bool save_continues(const struct part *part, int epoch);

/* Fills in a version that a replayed update has made, or that was live when a replayed phase began, if anyone reads
 * it. */
int save_restore_version(struct part *part, int version, float *floats, struct error *error);

/* Static order: what mini-batches after `minibatch` of the phase read, when all up to it are trained. -1 if out of
 * memory. */
int save_find_versions(const struct part *part, int minibatch, struct old_versions *versions);

/* The phase is about to be stopped after `minibatch`: what later ones read is saved, now or before it goes. */
void save_stopped(struct part *part, int minibatch);

/* The live version is about to go. */
void save_version_before_update(struct part *part);

/* A phase begins: what was due before it has been, or is, the epoch's own. */
void save_begin(struct part *part);

/* A checkpoint in the middle of an epoch, which the run passes without a halt. Each part writes it between two ops: its
 * older versions while they are there, its weights and slots behind the mini-batch's update, its running statistics
 * as they were before a later mini-batch's forward.
 *
 * save_decide: part 1 has admitted so many mini-batches of the phase; whether that is where a checkpoint is wanted.
 * save_look: before every op. save_before_forward: again, as the message may have brought the news. */
void save_decide(struct part *part, int admitted);
void save_look(struct part *part);
int save_before_forward(struct part *part, const struct op *op, struct error *error);

/* Of the epoch's mini-batches that are trained. */
struct epoch_sums save_sums(const struct part *part);

/* All that the part has learned after this mini-batch of the epoch. */
void save_epoch(struct part *part, int epoch, int minibatch, const struct epoch_sums *sums);

/* stages/executor.c: waits on the doorbell, but no longer than the bound. */
void executor_sleep(struct stage *stage, int microseconds);

/* -1 if the run is aborted, or has lost its coordinator. */
int executor_check_abort(const struct stage *stage, struct error *error);

/* stages/pending.c: waits until the device has reached the mark, or has done all; and the records of all that was pending
 * are written. -1 also if the run is aborted. */
int pending_await(const struct stage *stage, uint64_t mark, struct error *error);
int pending_await_queue(const struct stage *stage, struct error *error);
int pending_await_all(struct stage *stage, struct error *error);

/* A moment's sleep for whatever it may be; -1 if the run is aborted. `stage` is a struct stage. */
int pending_moment(void *stage, struct error *error);

/* Marks the device's queue where it is now. */
int pending_mark(const struct stage *stage, struct point *point, struct error *error);

/* Adds an op, for which there is room; makes room; and writes the records of those that are done. */
void pending_add(struct stage *stage, const struct pending_op *op);
int pending_make_room(struct stage *stage, struct error *error);
int pending_look(struct stage *stage, struct error *error);

/* Names the op that failed in the message: one that waits to be done, or `op`, which is not added yet. Returns -1. */
int pending_name_failure(struct stage *stage, const struct pending_op *op, struct error *error);

/* stages/warm_up.c: runs everything once, on arrays that are not filled yet. */
int warm_up(struct part *part, struct error *error);

/* stages/passes.c: counts an op that was run before the checkpoint from which the run goes on. */
int passes_replay(struct part *part, const struct op *op, struct error *error);

/* stages/passes.c: executes one op that can run, and fills in its marks and the versions, loss and bytes of its record. */
int passes_run(struct part *part, struct pending_op *pending, struct error *error);

/* stages/passes.c: makes the update that is due. */
int passes_update(struct part *part, struct error *error);

/* stages/passes.c: where the tensors of the op's slot are. */
struct slot_tensors passes_tensors(struct part *part, const struct op *op);

/* stages/divergence.c: -1 if the loss of part C's op is not finite. When the run has ended for that: names the first
 * layer of this part that was not finite in the op's forward, if there is one. And before a part ends whose last test is
 * over: names one whose weights are not finite, for the case that part C's test is not over yet and fails. */
int divergence_check(struct part *part, const struct op *op, double loss, struct error *error);
void divergence_locate(struct part *part);
void divergence_leave(struct part *part);

/* stages/telemetry.c. core_ns: how much of the time there was no core for it. */
void telemetry_start(struct part *part);
void telemetry_phase(struct part *part); /* a phase begins */
void telemetry_activity(struct part *part, enum activity_kind kind, enum wait_cause cause, const struct op *op);
void telemetry_versions(struct part *part); /* the table of weight versions */
void telemetry_held(struct part *part, uint64_t nanoseconds);
void telemetry_account(struct part *part); /* versions, mini-batches in flight, bytes by category, and their peaks */
void telemetry_waited(struct part *part, enum wait_cause cause, uint64_t nanoseconds, uint64_t core_ns);
void telemetry_sent(struct part *part, uint64_t bytes);
void telemetry_backward(struct part *part, const struct backward_versions *versions);
void telemetry_version_difference(struct part *part, int difference);
void telemetry_op(struct part *part, struct op_record *record, uint64_t update_core_ns);
void telemetry_update(struct part *part, uint64_t nanoseconds, uint64_t core_ns); /* that is in no op's record */
void telemetry_epoch(struct part *part, int epoch, const struct epoch_sums *trained);

#endif
