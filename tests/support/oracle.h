/* An independent oracle of pipelined training: one process, double precision, plain loops, no schedule. It is told which
 * weight version every pass read, and trains a copy of the network accordingly. */
#ifndef TP_TESTS_ORACLE_H
#define TP_TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "network/network.h"

/* Versions that stage s (0-based here) read for micro-batch j of a mini-batch: [stage][microbatch]. backward -1: the
 * intermediate weight, live + significance * (forward - live). */
struct oracle_versions {
    int forward[8][8], backward[8][8], live[8][8];
    double significance[8][8];
};

struct oracle {
    const struct network *network;
    int stages, microbatches;
    struct slice slices[8];
    bool recompute;
    uint64_t seed; /* of what dropout draws */
    double rate, momentum, weight_decay;
    double clip_norm; /* of the whole gradient; 0: it is not clipped */
    int updates;      /* applied so far, the same on every stage between mini-batches */
    int capacity;     /* versions that `weights` has room for */
    double **weights; /* [capacity]: the whole network at version k */
    double *velocity;
    double *state;    /* the whole network's running statistics */
    double *gradient; /* of the last mini-batch */
};

/* `initial`: the whole network's parameters. */
void oracle_create(struct oracle *oracle, const struct network *network, const float *initial, int capacity);
void oracle_destroy(struct oracle *oracle);

/* Trains on one mini-batch of `rows` samples; returns its mean loss. images [rows][input]. */
double oracle_train(struct oracle *oracle, const float *images, const uint8_t *labels, int rows,
                    const struct oracle_versions *versions);

/* Mean loss over samples at the newest weights and the running statistics; *top1 receives how many it gets right. */
double oracle_evaluate(struct oracle *oracle, const float *images, const uint8_t *labels, int rows, int *top1);

#endif
