#include "board/doorbell.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void doorbell_ring(struct doorbell *doorbell)
{
    /* Both sides store and then load, in one order for all: either the sleeper sees the ring or this sees the sleeper. The
     * first who sees it wakes it; until it is up, the others need not. */
    atomic_fetch_add(&doorbell->rings, 1);
    if (atomic_load(&doorbell->sleeps) && atomic_exchange(&doorbell->sleeps, 0))
        syscall(SYS_futex, &doorbell->rings, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void doorbell_silence(struct doorbell *doorbell, uint32_t *heard)
{
    /* What was stored before these rings is seen by the look that follows. */
    *heard = atomic_load(&doorbell->rings);
}

void doorbell_wait(struct doorbell *doorbell, uint32_t *heard, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                                   .tv_nsec = (long)(until_ns % 1000000000u)};

    atomic_store(&doorbell->sleeps, 1);
    if (atomic_load(&doorbell->rings) == *heard)
        syscall(SYS_futex, &doorbell->rings, FUTEX_WAIT_BITSET, *heard, &until, NULL, FUTEX_BITSET_MATCH_ANY);
    atomic_store(&doorbell->sleeps, 0);
    doorbell_silence(doorbell, heard);
}
