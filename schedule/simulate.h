/* The simulator: plays a schedule's ops with times. Every stage does what the executor does, by the same functions: ask
 * what is next whenever something has changed, run it, or wait. From it come the grid, the lists that a static order
 * replays, the predicted version difference, versions stored, what is in flight; and, with times that were measured or
 * are wanted, what a run would do that nobody can run here: a slow stage, a slow link, a thousand stages.
 *
 * Times are whole numbers, so that sums are exact and a simulation repeats itself to the last event: nanoseconds, or
 * the ticks of unit and nominal times.
 *
 * A full pipeline repeats itself sooner or later. When the simulator finds it in a state in which it was before, but for
 * the numbers of the mini-batches, it leaves out as many repetitions as there can be: what it stores, and how long it
 * takes, does not grow with the number of mini-batches. */
#ifndef TP_SCHEDULE_SIMULATE_H
#define TP_SCHEDULE_SIMULATE_H

#include <stdint.h>

#include "schedule/list.h"
#include "schedule/schedule.h"
#include "schedule/versions.h"

/* What a part's work takes. The micro-batches of a mini-batch take the same: their rows differ by one at most. */
struct part_times {
    int64_t op[OP_KINDS]; /* one op of each kind that the order has, in a full mini-batch, without its update */
    int64_t update;
};

/* Room for outputs and gradients per link, in slots (schedule_slot_size), taken and given back as
 * schedule_activation_slots says; a gradient's when the earlier part has done its backward (weight half). 0 = without
 * end. */
struct link_slots {
    int activations, gradients;
};

/* The link between parts k and k + 1. Each direction carries one message at a time. All 0: shared memory. */
struct link_times {
    int64_t activation; /* time that one micro-batch's activation takes up the link: bytes / bandwidth */
    int64_t gradient;   /* likewise one backward's message */
    int64_t latency;    /* then, until the part at the other end sees it; the link is free again */
    struct link_slots slots;
};

struct timing {
    const struct part_times *parts; /* [C], or one for all of them */
    const struct link_times *links; /* [C - 1], or one for all of them */
    bool same_parts, same_links;
    /* [C]: the machine that each part is on, 0..63. A machine has one cable, which its links to others share, one message
     * at a time each way. NULL: each link has its own. */
    const int *machines;
    double last_minibatch; /* rows of mini-batch K / rows of the others; its ops, not its updates, and its messages take
                              so much of the others' time */
};

struct timed_op {
    struct op op;
    int64_t start, end; /* the end includes the update, if one follows */
};

struct simulated_stage {
    int stored;            /* ops, in the order in which they ran: see simulation_op */
    struct packed_op *ops; /* [stored]; NULL if they were not to be kept */
    struct op_time *times; /* [stored]; likewise */
    struct cycle cycle;
    int64_t first_start;
    int64_t busy;               /* ops and updates */
    int64_t waits[WAIT_CAUSES]; /* by cause; WAIT_NONE: after its last op. busy + all waits = duration */
    int minibatches_in_flight;  /* most at once: from the first forward's begin to the last backward's end, */
    int microbatches_in_flight; /* and from the forward's begin to the backward's (weight half's) end: of all its parts */
};

struct simulated_part {
    int minibatches_in_flight, microbatches_in_flight; /* as of a stage */
    int slots_in_flight;                               /* likewise in slots (schedule_slot_size) */
    int weight_versions;                               /* most at once, while an op runs and after its update */
    struct link_slots link;                            /* the most slots that its link to the next part held at once */
};

struct simulation {
    int64_t duration; /* until the last update */
    int stage_count, part_count;
    struct simulated_stage *stages; /* [stage_count] */
    struct simulated_part *parts;   /* [part_count] */
    int minibatch_count, microbatches;
    struct cycle minibatches; /* of `committed`, and of `pins` in mini-batches */
    struct cycle entries;
    int *committed, *pins; /* stored: see simulation_committed, simulation_pin */
    int64_t period;        /* time that one turn of the cycle takes; 0: there is no cycle */
    int *
        version_differences; /* [version_difference_max + 1]: mini-batches by i - committed, those after warm-up: i > W,
                                 or all if K <= W; with forward_only there are none, and all four are 0 */
    int version_difference_min, version_difference_median, version_difference_max; /* of these */
    double minibatch_duration; /* mean time from one update of part 1 to the next between warm-up and drain, the first
                                  and the last W mini-batches; if K is too small for these, duration / K */
    double bubble_fraction;    /* idle time / all time, over all stages: fill and drain included */
};

/* Runs K mini-batches. `replayed`: each stage runs this simulation's ops (of the same schedule) in their order, with its
 * committed versions; NULL: what the order says. `keep_ops`: simulation_op can be asked. What a stage does to its own
 * slots and versions every other stage knows at once, as in the executor; only messages travel. -1 when memory is short,
 * or nothing can run though work is left: a deadlock, named in the error. The caller owns the simulation. */
int simulate_timed(const struct schedule *schedule, const struct timing *timing, const struct simulation *replayed,
                   bool keep_ops, struct simulation **out, struct error *error);
void simulation_destroy(struct simulation *simulation);

/* Every op takes one tick, whatever it is: the schedules as papers draw them. */
int simulate_unit(const struct schedule *schedule, struct link_slots slots, bool keep_ops, struct simulation **out,
                  struct error *error);

/* A micro-batch's forward through a part takes one tick, each half of its backward one, a whole backward two, and one
 * over N micro-batches 2 N; an update nothing. */
int simulate_nominal(const struct schedule *schedule, struct link_slots slots, bool keep_ops, struct simulation **out,
                     struct error *error);
struct part_times nominal_times(const struct schedule *schedule);

/* Ops of a stage over all mini-batches; the one with number n (0-based), its time included. */
int simulation_op_count(const struct simulation *simulation, int stage);
struct timed_op simulation_op(const struct simulation *simulation, int stage, int n);

/* When stage 1 is done with the first `minibatches` mini-batches, or all that were simulated. */
int64_t simulation_until(const struct simulation *simulation, int minibatches);

/* Updates applied on every stage when the (first) backward of mini-batch i = 1..K began at part C; and the version that
 * part 1 had when micro-batch j of it entered: counted since the phase began. 0 with forward_only. */
int simulation_committed(const struct simulation *simulation, int minibatch);
int simulation_pin(const struct simulation *simulation, int minibatch, int microbatch);

/* For a phase that is stopped after mini-batch k, when version k is live: which older ones would the part's ops of later
 * mini-batches have read? Bit d of *versions stands for version k - d, counted since the phase began. They are fewer
 * than W; W is at most 64. -1 if out of memory. */
int simulation_versions_read_after(const struct simulation *simulation, const struct schedule *schedule, int part,
                                   int k, uint64_t *versions);

/* "stage 1: 1A 1B 2A 2B . 1 = ..." for the first `ticks` ticks of a simulation in unit or nominal times, at most what was
 * simulated; '.' is idle, '=' goes on with the op before. Returns a heap string. NULL if out of memory. */
char *simulation_grid_line(const struct simulation *simulation, const struct schedule *schedule, int stage, int ticks);

/* Version difference of nF1B: the papers' expression floor((W + N - 2) / N) (arXiv 2410.14312), and the exact value on
 * the unit-time schedule, 1 + floor((W - 1) / (N + 1)). For N >= 2 they part from W = 6 on, first at (6, 2): 3 against
 * 2; for N = 1, which is 1F1B, from W = 4 on. */
int version_difference_paper(int stages, int microbatches);
int version_difference_exact(int stages, int microbatches);

#endif
