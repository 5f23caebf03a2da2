/* The manifest of a checkpoint: which files make it complete, how far training had come, and the config it was made
 * with. It is written last, so a set that has one is whole. */
#ifndef TP_CHECKPOINT_MANIFEST_H
#define TP_CHECKPOINT_MANIFEST_H

#include "board/board.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/run_folder.h"

enum { MANIFEST_FILES_MAX = MAX_STAGES * (MAX_STAGES + 1) };

struct manifest_file {
    char name[CHECKPOINT_NAME_MAX];
    uint64_t bytes;
    uint32_t crc32; /* zlib's */
};

struct manifest {
    char run[RUN_ID_MAX]; /* of which it is a checkpoint (struct run_facts) */
    struct config config;
    int epoch;
    int minibatch;             /* of the epoch: all up to it are trained */
    int minibatches_per_epoch; /* minibatch is the same: the epoch is trained whole */
    int filled_after;          /* struct start */
    int updates;
    struct epoch_sums sums;                     /* of the epoch's trained mini-batches */
    int stage_count;                            /* 0 in a struct that holds none */
    int partition[MAX_STAGES];                  /* blocks per stage */
    char backends[MAX_STAGES][CONFIG_NAME_MAX]; /* per stage; all "" in a manifest that does not say */
    char hosts[MAX_STAGES][CONFIG_NAME_MAX];    /* likewise, of runs on several machines; the set goes on on any */
    int slot_count;
    char slots[PLAN_SLOTS_MAX][CONFIG_NAME_MAX]; /* names of what is kept with the weights (plan_slots) */
    struct shape shape;                          /* of the data */
    int train_count;
    struct normalisation normalisation; /* of the images; all 0 in a manifest that does not say */
    uint32_t data_crc32;                /* struct data_facts */
    uint32_t schedule_crc32;            /* of the schedule file's text; 0: the system is none */
    uint32_t network_crc32;             /* of the network file's text */
    bool test_failed;                   /* the loss in its epoch's test was not finite: nothing good follows from it */
    int epoch_count;                    /* tested: those before this one, and this one if it has been */
    struct epoch_result *epochs;        /* [epoch_count]; times count from the begin of each */
    int file_count;
    struct manifest_file *files; /* [file_count]: every stage's, and older versions */
};

/* Its text, sealed (checkpoint/seal.h). NULL if out of memory; the caller frees. */
char *manifest_text(const struct manifest *manifest, size_t *size);

/* Whether the epoch is trained to its end; whether it is tested, too. */
bool manifest_is_whole(const struct manifest *manifest);
bool manifest_is_tested(const struct manifest *manifest);

/* Whether the set has the slot of that name. */
bool manifest_has_slot(const struct manifest *manifest, const char *name);

/* Reads a manifest's text. Nothing in it is trusted: it is as it was sealed, numbers are in range and agree with each
 * other, names are those of stages' files, each is there once. -1 and what is wrong. The caller releases. */
int manifest_read(struct manifest *manifest, const char *text, size_t size, struct error *error);
void manifest_release(struct manifest *manifest);

#endif
