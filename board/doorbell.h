/* What a stage sleeps on: whoever may have made it runnable rings. Rings that come together are heard as one. */
#ifndef TP_BOARD_DOORBELL_H
#define TP_BOARD_DOORBELL_H

#include <stdatomic.h>
#include <stdint.h>

/* In shared memory; all 0 at first. Whatever others write into it, the calls below return. */
struct doorbell {
    _Atomic uint32_t rings;
    _Atomic uint32_t sleeps; /* 1: somebody may have to be woken */
};

/* From any process, and from a signal's handler. */
void doorbell_ring(struct doorbell *doorbell);

/* Until it has been rung since *heard, which this updates, or until `until_ns` (CLOCK_MONOTONIC), or a signal. One process
 * waits at a doorbell, with *heard 0 at first. It must look again at what it waits for, each time. */
void doorbell_wait(struct doorbell *doorbell, uint32_t *heard, uint64_t until_ns);

#endif
