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

/* Of the one process that waits there, with *heard 0 at first. However often the doorbell was rung, one look at what it
 * waits for answers it: so it silences it before each look. What comes later rings again. */
void doorbell_silence(struct doorbell *doorbell, uint32_t *heard);

/* Until it has been rung since it was silenced, or until `until_ns` (CLOCK_MONOTONIC), or a signal; and silences it. */
void doorbell_wait(struct doorbell *doorbell, uint32_t *heard, uint64_t until_ns);

#endif
