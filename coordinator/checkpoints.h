/* The checkpoints of a run that is going on: when every stage has written its part of one, the coordinator makes it
 * whole with a manifest, marks the best, and removes those that are no longer kept. */
#ifndef TP_COORDINATOR_CHECKPOINTS_H
#define TP_COORDINATOR_CHECKPOINTS_H

#include "checkpoint/sets.h"

struct checkpoints {
    const struct segment *segment;
    const struct run_folder *folder;
    int epoch;                        /* whose set is next, or has yet to hear of its test */
    bool judged;                      /* it is complete, or will never be */
    char newest[CHECKPOINT_NAME_MAX]; /* complete; "": none */
    char passed[CHECKPOINT_NAME_MAX]; /* what the newest that was asked for within an epoch has become; "": it failed */
    uint64_t saved_at;                /* the newest save_at that is judged */
    uint64_t passed_ns;               /* when the run began, or the newest set was judged: checkpoints.every */
    struct manifest manifest;         /* of the epoch's set, if it is complete */
    int written, failed;
};

/* Before the stages are started: has them begin with `from`, or from the beginning if it is NULL. Its manifest becomes
 * the checkpoints'. */
void checkpoints_begin(struct checkpoints *checkpoints, const struct segment *segment, const struct run_folder *folder,
                       struct checkpoint_set *from);

/* Before stages are started that only test what a set has learned, and save nothing: the epoch is as good as trained. */
void checkpoints_begin_test(const struct segment *segment, const struct run_folder *folder,
                            const struct checkpoint_set *set);

/* The stages have all begun: sets after the one that they began with are set aside. */
void checkpoints_started(const struct checkpoints *checkpoints);

void checkpoints_end(struct checkpoints *checkpoints);

/* Completes what can be completed. Call often, and once when the stages have ended. 1 if a set that was asked for within an
 * epoch is complete (`passed`), -1 and the reason if a checkpoint could not be written: then call again. 0: no more. */
int checkpoints_follow(struct checkpoints *checkpoints, struct error *error);

/* Asks for one where checkpoints.every counts minutes and it is time. */
void checkpoints_ask(struct checkpoints *checkpoints, uint64_t now_ns);

/* Whether a run of this plan goes on from there as if it had never been interrupted, in the middle of an epoch too. */
bool checkpoints_exact(const struct manifest *manifest, const struct plan *plan);

/* Whether each block is computed by the backend that computed it before, as far as the manifest says. */
bool checkpoints_same_backends(const struct manifest *manifest, const struct plan *plan);

#endif
