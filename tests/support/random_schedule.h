/* Random schedules that are valid by construction, as schedule files. */
#ifndef TP_TESTS_RANDOM_SCHEDULE_H
#define TP_TESTS_RANDOM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "schedule/parts.h"

struct random_schedule {
    int stages, parts; /* parts per stage */
    enum placement placement;
    int microbatches;
    int minibatches; /* 1: PyTorch's form; more, of which several may be in flight at a stage: the extension */
    bool whole;      /* a backward covers the mini-batch; otherwise some are whole, some in halves */
    bool
        embellished; /* with bubbles, pairs, communication, blanks, quotes and CR line ends, as others might write them */
};

/* Runs ops that can run, one at a time, drawn from all that can, until all are done. The caller frees the text. */
char *random_schedule_csv(const struct random_schedule *random, uint64_t seed);

/* A random one of these. */
struct random_schedule random_schedule_draw(uint64_t seed);

#endif
