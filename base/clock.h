/* The one clock of a run: monotonic nanoseconds, comparable between processes of one machine. */
#ifndef TP_BASE_CLOCK_H
#define TP_BASE_CLOCK_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* No machine runs so long (146 years): a time read from a file that is not before it is damage, and sums of two times do
 * not overflow. */
#define CLOCK_NS_MAX (UINT64_C(1) << 62)

static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds of processor time that a process has used; 0 if there is no such process. */
static inline uint64_t clock_process_ns(pid_t pid)
{
    struct timespec time;
    clockid_t clock;

    if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
        return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

#endif
