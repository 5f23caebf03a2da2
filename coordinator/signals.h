/* The signals that a coordinator answers to, read from a descriptor: they arrive in order and between two steps, so that
 * a run that has begun is always cleaned up. */
#ifndef TP_COORDINATOR_SIGNALS_H
#define TP_COORDINATOR_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/error.h"

struct signals {
    int descriptor;    /* readable when one has come: SIGCHLD, or an interruption; -1: they are not taken */
    int interruptions; /* SIGINT, SIGTERM and SIGHUP so far */
    bool save;         /* SIGUSR1 has come: a checkpoint is wanted; whoever answers clears it */
};

/* From here on they wait to be read, whatever was blocked before; but an interruption that is ignored already, as nohup
 * does with SIGHUP, stays ignored. */
int signals_take(struct signals *signals, struct error *error);

/* From here on they do what they do to any program, so that whatever may wait for somebody else can be interrupted. */
void signals_release(struct signals *signals);

/* Reads what has come, and returns how many interruptions were in it. */
int signals_read(struct signals *signals);

/* For a program that takes none: nothing is blocked. */
void signals_unblock(void);

#endif
