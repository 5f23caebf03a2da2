/* An independent oracle of pipelined training: one process, double precision, plain loops, no schedule. It is told which
 * weight version every pass read, and trains a copy of the network accordingly. */
#ifndef TP_TESTS_ORACLE_H
#define TP_TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "network/network.h"
#include "tests/support/method.h"

/* Versions that stage s (0-based here) read for micro-batch j of a mini-batch, [stage][microbatch]: those from which it
 * started, where the rule makes a sum; backward then is -1. */
struct oracle_versions {
    int forward[8][8], backward[8][8], live[8][8];
    int last[8]; /* [stage]: first micro-batch (0-based) of the backward that the update followed */
};

struct oracle {
    const struct network *network;
    int microbatches;
    struct slice slices[8];
    bool recompute;
    uint64_t seed; /* of what dropout draws */
    struct method method;
    int updates;                     /* applied so far, the same on every stage between mini-batches */
    int capacity;                    /* versions that there is room for */
    struct method_version *versions; /* [capacity] */
    bool *one_dimensional;           /* [parameters] */
    double *state;                   /* the whole network's running statistics */
    double *gradient;                /* of the last mini-batch */
    double *read;                    /* a sum that a pass reads */
    int changed_forwards, changed_backwards, changed_updates; /* by the method, of micro-batches and of mini-batches */
};

/* `initial`: the whole network's parameters. The caller sets the versions' rates. */
void oracle_create(struct oracle *oracle, const struct network *network, const float *initial, int capacity);
void oracle_destroy(struct oracle *oracle);

/* Trains on one mini-batch of `rows` samples; returns its mean loss. images [rows][input]. */
double oracle_train(struct oracle *oracle, const float *images, const int32_t *targets, int rows,
                    const struct oracle_versions *versions);

/* Mean loss over samples at the newest weights and the running statistics; *top1 receives how many it gets right. */
double oracle_evaluate(struct oracle *oracle, const float *images, const int32_t *targets, int rows, int *top1);

#endif
