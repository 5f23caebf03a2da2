/* The slot simulator: every op takes one slot, an op may use only what was finished in an earlier slot. From it come
 * the grid, the static order, the predicted version difference, versions stored and mini-batches in flight; and the
 * closed forms to compare them with. */
#ifndef TP_SCHEDULE_SIMULATE_H
#define TP_SCHEDULE_SIMULATE_H

#include <stdint.h>

#include "schedule/schedule.h"
#include "schedule/versions.h"

/* A stage's work in the order that the unit-time schedule gives. */
struct stage_order {
    int op_count;
    struct op *ops;             /* [op_count] */
    int *slots;                 /* [op_count]: slot (0-based) in which each ran */
    int minibatches_in_flight;  /* most at once: from the first forward's begin to the last backward's end */
    int microbatches_in_flight; /* most at once: from the forward's begin to the backward's (weight half's) end */
    int weight_versions;        /* most at once, while an op runs and after its update */
};

struct simulation {
    int slot_count;
    int stage_count;
    struct stage_order *stages; /* [stage_count] */
    int minibatch_count;
    int *committed; /* [minibatch_count]: updates applied on every stage when mini-batch i + 1's (first) backward began
                       at stage W, counted since the phase began; all 0 with forward_only */
    int *pins; /* [minibatch_count * N]: version that stage 1 had when each micro-batch entered, counted likewise */
    int version_difference_min, version_difference_max; /* of i - committed over the mini-batches after warm-up, see
                                                           simulate_slots; 0 with forward_only */
    double bubble_fraction; /* idle slots / all slots, over all stages: fill and drain included */
};

/* Room for outputs and gradients per link, in slots (schedule_slot_size), taken and given back as
 * schedule_activation_slots says; a gradient's when the earlier stage has done its backward (weight half). 0 = without
 * end. */
struct link_slots {
    int activations, gradients;
};

/* Runs K mini-batches. Version differences are taken over the mini-batches i > W (steady state), or all if K <= W.
 * -1 when memory is short, or nothing can run though work is left: a deadlock, named in the error. The caller owns the
 * simulation. */
int simulate_slots(const struct schedule *schedule, struct link_slots slots, struct simulation **out,
                   struct error *error);
void simulation_destroy(struct simulation *simulation);

/* For a phase that is stopped after mini-batch k, when version k is live: which older ones would the stage's ops of later
 * mini-batches have read? Bit d of *versions stands for version k - d, counted since the phase began. They are fewer
 * than W; W is at most 64. -1 if out of memory. */
int simulation_versions_read_after(const struct simulation *simulation, const struct schedule *schedule, int stage,
                                   int k, uint64_t *versions);

/* "stage 1: 1A 1B 2A 2B . 1 ..." for the first `slots` slots, at most what was simulated; '.' is an idle slot. Returns
 * a heap string. NULL if out of memory. */
char *simulation_grid_line(const struct simulation *simulation, const struct schedule *schedule, int stage, int slots);

/* Version difference of nF1B: the papers' expression floor((W + N - 2) / N) (arXiv 2410.14312), and the exact value on
 * the unit-time schedule, 1 + floor((W - 1) / (N + 1)). For N >= 2 they part from W = 6 on, first at (6, 2): 3 against
 * 2; for N = 1, which is 1F1B, from W = 4 on. */
int version_difference_paper(int stages, int microbatches);
int version_difference_exact(int stages, int microbatches);

#endif
