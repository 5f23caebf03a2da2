/* The signals that a coordinator answers to, read from a descriptor: they arrive in order and between two steps, so that
 * a run that has begun is always cleaned up. */
#ifndef TP_COORDINATOR_SIGNALS_H
#define TP_COORDINATOR_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/error.h"

struct signals {
    int descriptor;    /* readable when one has come: SIGCHLD, or an interruption */
    sigset_t before;   /* the mask that child processes are to get */
    int interruptions; /* SIGINT, SIGTERM and SIGHUP so far */
    bool save;         /* SIGUSR1 has come: a checkpoint is wanted; whoever answers clears it */
};

/* From here on to the end of the process they wait to be read. */
int signals_take(struct signals *signals, struct error *error);
void signals_release(struct signals *signals);

/* Reads what has come, and returns how many interruptions were in it. */
int signals_read(struct signals *signals);

#endif
