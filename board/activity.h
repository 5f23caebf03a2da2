/* What a stage does at a moment, as its block of the board says it: in one word, so that a reader never sees half of it. */
#ifndef TP_BOARD_ACTIVITY_H
#define TP_BOARD_ACTIVITY_H

#include <stdint.h>

#include "schedule/schedule.h"

enum phase { PHASE_TRAIN, PHASE_EVALUATE, PHASES };

enum activity_kind {
    ACTIVITY_NONE,   /* starting, between phases, done */
    ACTIVITY_WAIT,   /* for `cause`, until it can run `op` */
    ACTIVITY_HELD,   /* it could run `op`, but the controls hold it */
    ACTIVITY_RUN,    /* runs `op` */
    ACTIVITY_UPDATE, /* applies the update that follows `op` */
    ACTIVITY_SAVE,   /* writes a checkpoint */
    ACTIVITIES
};

struct activity {
    enum activity_kind kind;
    enum wait_cause cause; /* ACTIVITY_WAIT */
    enum phase phase;
    struct op op; /* all but NONE and SAVE */
};

/* Whatever word is unpacked, the result is in range: its enums and, if it has an op, mini-batch and micro-batches from 1. */
uint64_t activity_pack(const struct activity *activity);
struct activity activity_unpack(uint64_t word);

#endif
