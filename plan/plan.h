/* What follows from a config: the network's layers, their partition into stages, the schedule, the sizes of all that a
 * stage holds. Plain data: the coordinator builds it, writes it into the run's shared segment, and every stage and
 * monitor reads it there. */
#ifndef TP_PLAN_H
#define TP_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "data/data.h"
#include "network/network.h"
#include "plan/config.h"
#include "plan/layout.h"
#include "plan/place.h"
#include "schedule/schedule.h"
#include "schedule/simulate.h"
#include "schedule/versions.h"

enum memory_category {
    MEMORY_WEIGHTS,     /* the live version */
    MEMORY_STASH,       /* older versions, and what a pass reads in place of one */
    MEMORY_GRADIENTS,   /* parameter gradients */
    MEMORY_OPTIMIZER,   /* the slots of the optimizer and of the rules */
    MEMORY_ACTIVATIONS, /* kept from forward to backward in the stage's own memory */
    MEMORY_LINKS,       /* this stage's input slots (activations from s - 1, gradients from s + 1), in shared memory or
                           its GPU's; and a GPU's copies of all slots of staged links */
    MEMORY_WORKSPACE,   /* scratch of one op: activation gradients, the backend's own */
    MEMORY_CATEGORIES
};
const char *memory_category_name(enum memory_category category);

/* What the coordinator learns about the data set before it plans. */
struct data_facts {
    int train_count, test_count;
    struct shape shape;
    bool tokens; /* what a network reads is tokens (data/data.h) */
    struct normalisation normalisation;
    uint32_t crc32; /* zlib's, of all that is used; 0 where nobody asks */
};

/* What one layer costs on a backend, for the row counts of the config; filled by a throw-away process. */
struct layer_cost {
    size_t saved_floats;         /* per micro-batch */
    size_t workspace_bytes;      /* its own, and what the backend holds for all layers */
    double op_seconds[OP_KINDS]; /* one op of each kind, in a full mini-batch; all 0 if not measured */
    double update_seconds;       /* its parameters' */
};

/* A part of the network, and what the stage that hosts it holds for it. */
struct plan_part {
    enum link_path link; /* to the part after it; part C: LINK_SHARED */
    struct slice slice;
    struct shape input, output;
    int weight_versions;        /* most at once on the unit-time schedule */
    int weight_version_buffers; /* that there is room for: the same where a list is replayed, else the limit */
    int minibatches_in_flight;  /* most at once on the unit-time schedule */
    int slots_in_flight;        /* likewise in slots (schedule_slot_size): mini-batches, or micro-batches */
    int activation_sets;        /* slots for whose activations there is room */
    int activation_slots;       /* and on the link to the part after, which may read its input a little longer */
    int gradient_slots;         /* on the same link */
    struct part_times times;    /* of all its layers, each measured by itself; all 0 if not measured */
    double compute_share;       /* of the network's cost, in measured seconds or else in floating-point operations */
    size_t memory[MEMORY_CATEGORIES]; /* bytes with all that room in use; its stage's first part has the workspace */
};

struct plan_stage {
    char backend[CONFIG_NAME_MAX]; /* that computes its parts, */
    int device;                    /* on this device of the backend's (0..) */
    double compute_share;          /* of all its parts, as is the memory */
    size_t memory[MEMORY_CATEGORIES];
};

/* What the network between two machines carries, as a prediction has measured it; all 0: it was not measured. */
struct plan_cable {
    double mbit, us; /* Mbit/s of a large message; latency of a small one */
};

/* Where a run has several: the machines, in the order of their stages. The first is the coordinator's. */
struct plan_machine {
    char host[CONFIG_NAME_MAX];
    int stages;
    struct plan_cable cable; /* to the machine after it, and from the last to the first */
};

enum { PLAN_SCHEDULE_TEXT_MAX = 1 << 16 };

struct plan {
    struct config config;
    char backend[CONFIG_NAME_MAX]; /* of the stages on GPUs, if there are any, else of all; never "auto" */
    struct data_facts data;
    struct schedule schedule; /* of one epoch's training; K = minibatches_per_epoch. Elsewhere than in the process that
                                 planned, use plan_training: it holds pointers. */
    char schedule_text[PLAN_SCHEDULE_TEXT_MAX]; /* of the schedule file, if the system is one; else "" */
    char network_text[NETWORK_TEXT_MAX];        /* of the network's file */
    bool schedule_renumbered;                   /* its backwards were not in ascending order (struct csv_schedule) */
    int minibatches_per_epoch;
    int last_minibatch_rows; /* rows of the epoch's last mini-batch */
    int test_minibatches;
    int last_test_minibatch_rows;
    /* The closed forms hold for systems that run one backward per mini-batch and never flush; 0 for others. */
    int version_difference_paper, version_difference_exact, version_difference_simulated;
    double bubble_fraction; /* idle slots of the unit-time schedule */
    bool costs_measured;    /* the partition, if auto, balances seconds instead of floating-point operations */
    int stage_count, part_count;
    struct plan_stage stages[MAX_STAGES]; /* stage s is stages[s - 1] */
    struct plan_part parts[MAX_PARTS];    /* part k is parts[k - 1] */
    int machine_count;                    /* 0: all stages are on one */
    struct plan_machine machines[MAX_STAGES];
    struct plan_tables *tables; /* these, and schedule_text, of a plan that is too large for a run; else NULL */
};

/* A plan that is too large for a run stays in the process that made it; plan_release it there. Whoever knows plans of
 * runs alone may look into plan->stages and plan->parts; the others ask for stage s (1..W) and part k (1..C). */
bool plan_fits_run(const struct plan *plan);
const struct plan_stage *plan_stage(const struct plan *plan, int s);
const struct plan_part *plan_part(const struct plan *plan, int k);
void plan_release(struct plan *plan);

/* Whether a config's stages and parts are no more than a run may have. */
bool config_fits_run(const struct config *config);

/* Row counts for which a stage's kernels must be prepared. Duplicates removed, ascending. */
enum { PLAN_ROWS_MAX = 4 * MAX_MICROBATCHES };
struct plan_rows {
    int forward[PLAN_ROWS_MAX], forward_count;   /* micro-batches of training and test */
    int backward[PLAN_ROWS_MAX], backward_count; /* calls of the backward: a mini-batch, a micro-batch, or a run of
                                                    micro-batches that read the same weights, as the system has it */
    int group[PLAN_ROWS_MAX], group_count;       /* micro-batches of training: what a batch norm's backward sees */
};
/* -1 if a list has no room; plan_begin has then refused the plan. */
int plan_rows(const struct plan *plan, struct plan_rows *rows);

/* Rows of mini-batch i (1..) of an epoch's training, or of the test set. */
int plan_minibatch_rows(const struct plan *plan, int minibatch);
int plan_test_minibatch_rows(const struct plan *plan, int minibatch);

/* Rows of the largest mini-batch that occurs: data.batch, unless training and test set are both smaller. */
int plan_largest_minibatch_rows(const struct plan *plan);

/* How to open the config's data set. The strings are the config's own. */
struct data_options plan_data_options(const struct config *config);

/* The key that says where the data set lies: of what is wrong with it. */
const char *plan_data_key(const struct config *config);

/* Targets of a sample: 1 of an image, or one for each token. Losses and accuracies are theirs. And what a rate counts:
 * "images/s" or "tokens/s". */
int plan_targets_per_sample(const struct plan *plan);
const char *plan_rate_unit(const struct plan *plan);

/* What the network is built from, in any process that has the plan. And the file's checksum. */
struct network_options plan_network_options(const struct plan *plan);
uint32_t plan_network_crc32(const struct plan *plan);

/* Whether pipeline.system names a schedule file (docs/schedule-files.md), not a row of the table. */
bool plan_is_from_file(const struct config *config);

/* Of the schedule file's text; 0 if there is none. */
uint32_t plan_schedule_crc32(const struct plan *plan);

/* When updates follow, in words. */
const char *plan_update_rule(const struct plan *plan);

/* Schedules of the two phases of an epoch, for any process that has the plan. */
struct schedule plan_training(const struct plan *plan);
struct schedule plan_evaluation(const struct plan *plan);

/* Rows that a slot of memory holds (schedule_slot_size). */
int plan_slot_rows(const struct plan *plan);

/* Part 1: slots whose inputs the loader fills before forwards ask for them, those of the next mini-batches; and
 * slots for inputs in all. */
enum { PLAN_MINIBATCHES_AHEAD = 2 };
int plan_slots_ahead(const struct plan *plan);
int plan_input_slots(const struct plan *plan);

/* Bytes of a part's activations that are inputs ahead. */
size_t plan_ahead_bytes(const struct plan *plan, int part);

/* "part", or "stage" where each stage has one. */
const char *plan_parts_word(const struct plan *plan);

/* The stage that hosts a part; the part that is number `index` (0..) of a stage's. */
int plan_stage_of(const struct plan *plan, int part);
int plan_part_of(const struct plan *plan, int stage, int index);

/* Puts the stages on several machines: between the first step below and the second. -1 if these have not as many
 * stages as the plan, or one of them has none. */
int plan_spread(struct plan *plan, const struct plan_machine *machines, int count, struct error *error);

/* How many machines there are, and which of them (0..) a stage or a part (1..) is on; the first stage of a machine, and how
 * many it has. */
int plan_machines(const struct plan *plan);
int plan_machine_of(const struct plan *plan, int stage);
int plan_machine_of_part(const struct plan *plan, int part);
int plan_first_stage(const struct plan *plan, int machine);
int plan_machine_stages(const struct plan *plan, int machine);

/* Whether the link between parts l and l + 1 leads from one machine to another; then machines[plan_cable_of].cable is
 * what it does so by. Two machines have one cable between them, more of them one each. */
bool plan_link_leaves(const struct plan *plan, int link);
int plan_cable_of(const struct plan *plan, int link);
int plan_cables(const struct plan *plan);

/* The optimizer, and what is set for it at a rate of 0; what is set for the rules. */
const struct optimizer *config_optimizer(const struct config *config);
const struct optimizer *plan_optimizer(const struct plan *plan);
struct optimizer_settings plan_optimizer_settings(const struct plan *plan);
struct rule_settings plan_rule_settings(const struct plan *plan);

/* What the rules need of the optimizer and its settings, and do not have. */
void plan_check_rules(const struct plan *plan, struct config_mistakes *mistakes);

/* The vectors that each part keeps from update to update: the optimizer's, then the rules'. Returns their number. */
enum { PLAN_SLOTS_MAX = UPDATE_SLOTS + 3 };
int plan_slots(const struct plan *plan, struct slot slots[PLAN_SLOTS_MAX]);

/* Whether passes read sums of vectors, which lie in a buffer of their own. */
bool plan_combines(const struct plan *plan);

/* Whether weight decay is of norms and biases as well. */
bool plan_decays_norms(const struct plan *plan);

/* Whether gradients are clipped by the norm of all parts', for which a flush lets parts wait for each other; else,
 * if they are clipped at all, by the norm of each part's own. */
bool plan_clips_together(const struct plan *plan);

/* Whether its parts can wait for that. */
bool plan_waits_for(const struct plan *plan, enum wait_cause cause);

/* How stale what a backward reads is, in updates: the age of the version, or what the rule says of its sum. The one
 * meaning of staleness in counters, reports and on screens. */
double plan_staleness_of(const struct plan *plan, const struct backward_versions *versions);

/* The staleness of a part in the full pipeline, in updates: as many as mini-batches are in flight there beside the
 * newest, on the unit-time schedule. */
int plan_staleness(const struct plan *plan, int part);

/* Updates that a part with the newest version `live` makes before that of a mini-batch (1.. in its epoch). */
int plan_staleness_ahead(const struct plan *plan, int epoch, int minibatch, int live);

/* For the update of a part that follows `updates` others, with a mini-batch that is stale by `staleness` updates:
 * what the update rule goes by (`settings` stays the caller's); what the optimizer then has for it, unclipped.
 * `course` is the part's, {0} at first, and is brought up to date. */
struct update_facts plan_update_facts(const struct plan *plan, const struct rule_settings *settings, int part,
                                      int staleness, int updates);
struct optimizer_settings plan_next_step(const struct plan *plan, const struct update_facts *facts,
                                         struct optimizer_course *course);

/* The tau that a reading rule goes by, as staleness.measure has it; and the terms of its sum, in a pass before that
 * update. Returns their number; the rule has terms. */
int plan_tau(const struct plan *plan, const struct reading *reading, int part, int staleness);
int plan_terms(const struct plan *plan, const struct reading *reading, int part, int staleness, int updates,
               struct optimizer_course *course, struct term terms[READING_TERMS_MAX]);

/* How a part's tensors are laid out (plan/layout.h). */
struct layout_options plan_layout_options(const struct plan *plan, int part);

/* Bytes of one slot of the link between parts l and l + 1 (1..C-1), activations or gradients. */
size_t plan_slot_bytes(const struct plan *plan, int link);

/* Whether layer_cost.op_seconds would change what a run does: a partition to balance by them, or a list to be made for
 * measured times. */
bool plan_wants_seconds(const struct plan *plan);

/* First step: everything that needs no measuring. Checks what spans several keys (more stages than blocks, partition
 * sums, N larger than the batch, rules that make no sense together); mistakes go to `mistakes`, which config_load
 * has filled, with the file and line of the key. The plan and the network are the caller's to release; after a
 * failure nothing is. `plan->backend` stays the config's. */
int plan_begin(struct plan *plan, const struct config *config, const struct data_facts *data, struct network **network,
               struct config_mistakes *mistakes);

/* Second step: where each stage runs (plan/place.h).
 *
 * Third step: partition and memory. costs[PLACES][network->layer_count], of the places where stages run; the partition
 * balances those of plan->backend. */
int plan_finish(struct plan *plan, const struct network *network, const struct layer_cost *costs, struct error *error);

/* Whether a plan that another process wrote, or that was read back, is one that these could have made: then it can
 * be used like one's own. The figures that are only shown may be any. -1 and what is impossible. */
int plan_check(const struct plan *plan, struct error *error);

#endif
