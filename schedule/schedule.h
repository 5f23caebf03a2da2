/* What may be done next? One function answers for the executor, the simulator, the plan and the explainer of stalls.
 * Pure: a schedule is a few numbers, a part's progress a few counters.
 *
 * Numbers are the papers': stage s = 1..W, mini-batch i = 1..K, micro-batch j = 1..N. A stage hosts one or several parts
 * of the network, k = 1..C (schedule/parts.h); with one each, part k is stage k. Progress is counted in micro-batches
 * since the phase began: forward number n (0-based) is mini-batch n / N + 1, micro-batch n % N + 1. */
#ifndef TP_SCHEDULE_SCHEDULE_H
#define TP_SCHEDULE_SCHEDULE_H

#include <stdbool.h>

#include "schedule/parts.h"
#include "schedule/system.h"

struct schedule {
    struct order order;
    enum forward_rule forward;
    enum backward_rule backward;
    enum update_rule_name update;
    int stages; /* W */
    int parts;  /* c, per stage */
    enum placement placement;
    const char *text;  /* of an order that is read from a schedule file (schedule/csv.h); else NULL */
    int in_flight;     /* and how many mini-batches that has in flight at a part, at most */
    int microbatches;  /* N */
    int minibatches;   /* K, in this phase */
    bool forward_only; /* evaluation: no backward, nothing stays in flight */
};

/* C, parts in all; the stage that hosts one. */
int schedule_part_count(const struct schedule *schedule);
int schedule_stage_of(const struct schedule *schedule, int part);

/* Whether each stage runs a list of ops (schedule/list.h), come what may, instead of asking what has arrived. */
bool schedule_is_list(const struct schedule *schedule);

/* -1 and the reason if the rules, W and N make no sense together (2BW with N < W, PipeDream with N > 1, committed
 * backward with micro-batch-wise backwards, ...), with what would be right. The other functions here and in the
 * neighbouring headers expect a schedule that passes. */
int schedule_check(const struct schedule *schedule, struct error *error);

enum op_kind { OP_FORWARD, OP_BACKWARD, OP_BACKWARD_INPUT, OP_BACKWARD_WEIGHTS };
enum { OP_KINDS = OP_BACKWARD_WEIGHTS + 1 };
const char *op_kind_name(enum op_kind kind);

/* A unit of work of one part. OP_BACKWARD is both halves at once. */
struct op {
    enum op_kind kind;
    int minibatch; /* 1.. */
    int first;     /* first micro-batch, 1.. */
    int count;     /* micro-batches covered */
    int part;      /* 1..C */
};

/* Counters of one stage, in micro-batches since the phase began. */
struct progress {
    int forwards;            /* forwards done */
    int backwards;           /* backwards done (with split backward: input halves) */
    int weight_backwards;    /* weight halves done; equals `backwards` unless the backward is split */
    int activations_arrived; /* inputs that have come from stage s - 1; at stage 1 all K * N */
    int gradients_arrived;   /* output gradients that have come from stage s + 1; not read at stage W */
    int forward_room;        /* forwards 0..forward_room-1 have a slot for their output; at stage W INT_MAX */
    int backward_room;       /* likewise for input gradients; at stage 1 INT_MAX */
};

enum next_kind { NEXT_RUN, NEXT_WAIT, NEXT_DONE };

/* What a stage that cannot run anything waits for. WAIT_NORM, which schedules know nothing of: for the norm of the whole
 * gradient, by which the update that is due is clipped (plan_clips_together). WAIT_DATA, likewise: for what stage 1 reads
 * of the data set. WAIT_CORE: what it waited for was there, or it was in the middle of an op, and no core was free
 * (device/cores.h). Recordings hold these numbers. */
enum wait_cause { WAIT_NONE, WAIT_ACTIVATION, WAIT_GRADIENT, WAIT_SLOT, WAIT_NORM, WAIT_DATA, WAIT_CORE, WAIT_CAUSES };
const char *wait_cause_name(enum wait_cause cause);

struct next {
    enum next_kind kind;
    struct op op;          /* NEXT_RUN: run this; NEXT_WAIT: what would run if the cause were gone */
    enum wait_cause cause; /* NEXT_WAIT */
};

/* What stage `stage` does next in the dynamic order: a backward (input half) whose gradient has arrived; else the next
 * forward that flush and in-flight limit allow; else a weight half; else it waits. Stage W's gradients need not arrive:
 * they count as arrived when the forwards they need are done. */
struct next schedule_next(const struct schedule *schedule, int stage, const struct progress *progress);

/* Whether this very op, the next of its kind, can run now, and if not what it waits for: the question of a static
 * order. */
struct next schedule_can_run(const struct schedule *schedule, int stage, const struct progress *progress,
                             const struct op *op);

/* Counts the op as done. */
void progress_advance(struct progress *progress, const struct op *op);

/* Whether the mini-batch's update follows this op (its last backward, or weight half, at the stage). */
bool schedule_updates_after(const struct schedule *schedule, const struct op *op);

/* Ops that a stage runs in the whole phase; of a list, no more than these. */
int schedule_op_count(const struct schedule *schedule);

/* Mini-batches that stage `stage` may have in flight at once under any timing, from the first forward's begin to the
 * last backward's (weight half's) end. */
int schedule_in_flight_limit(const struct schedule *schedule, int stage);

/* Memory for activations is given out in slots. A slot holds what one backward covers: a mini-batch, or one micro-batch
 * where each has a backward of its own. Returns its size in micro-batches. */
int schedule_slot_size(const struct schedule *schedule);

/* Slots that stage `stage` may have in flight at once under any timing: what its own buffers must hold. */
int schedule_slots_limit(const struct schedule *schedule, int stage);

/* Slots with which the link from `stage` to the stage after never holds up what the in-flight limit allows. A slot is
 * taken by its first forward here and given back when both stages have done its backward (weight half): the later stage
 * reads its input from it, this stage may read its output in it. With forward_only it is given back after the later
 * stage's last forward, and two slots keep both stages busy. */
int schedule_activation_slots(const struct schedule *schedule, int stage);

/* Slots for the gradients on a link: one to be read while the next is written; with a split backward a gradient may wait
 * in its slot for the weight half. */
int schedule_gradient_slots(const struct schedule *schedule);

/* Whether the version that a micro-batch's forward read at a part is kept there up to its backward and the update. */
bool schedule_keeps_forward(const struct schedule *schedule);

/* Weight versions that stage `stage` may have to hold at once under any timing. */
int schedule_versions_limit(const struct schedule *schedule, int stage);

/* Updates that stage 1 has applied in this phase, under any timing, when forward number `forward` (0-based) begins
 * there: at least so many, as the flush and the in-flight limit hold the forward back until then. */
int schedule_updates_before(const struct schedule *schedule, int forward);

/* "1A" for a forward, "1" for a whole backward, "1a" for a micro-batch's. Halves of a split backward: "1a<", the input
 * gradient, which goes on to the stage before, and "1a+", the weight gradient, which is added up here. Letters run
 * A..Z, AA, AB, ... Ops of a stage's second part end with "'", of its third with "'2", and so on. */
enum { OP_TEXT_SIZE = 24 };
void op_format(const struct op *op, const struct schedule *schedule, char text[OP_TEXT_SIZE]);

/* "3", and with several parts per stage the same marks: "3'" is stage 3's second part. */
enum { PART_TEXT_SIZE = 24 };
void part_format(const struct schedule *schedule, int part, char text[PART_TEXT_SIZE]);

#endif
