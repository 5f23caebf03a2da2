/* A thread that fills the inputs of mini-batches ahead of the part that reads them, and where it reads them. The
 * part does not wait for a disk then, nor for pictures to be moved and normalised, as long as the thread keeps up. */
#ifndef TP_STAGES_LOADER_H
#define TP_STAGES_LOADER_H

#include "base/error.h"

/* What is loaded. The thread calls `load` for the micro-batches of one mini-batch after the other, from 1 on, and
 * `loaded` after each. Both may be called until loader_pause returns. */
struct loader_job {
    void *context;
    int (*load)(void *context, int minibatch, int microbatch, struct error *error);
    void (*loaded)(void *context);
    int microbatches; /* of each mini-batch */
    int ahead;        /* mini-batches behind the one released last that there is room for */
};

struct loader; /* opaque */

int loader_create(struct loader **out, const struct loader_job *job, struct error *error);

/* Ends the thread. `loader` may be NULL. */
void loader_destroy(struct loader *loader);

/* What is loaded from now on are mini-batches first..last; those loaded before are forgotten. Pausing ends with what is
 * being loaded: until then the thread may read what `load` reads. */
void loader_pause(struct loader *loader);
void loader_resume(struct loader *loader, int first, int last);

/* Micro-batches that are there, or could not be loaded, counted from the first one of mini-batch 1 on. */
int loader_count(const struct loader *loader);

/* 0 where the micro-batch is there; -1 and an error if it could not be loaded. */
int loader_take(struct loader *loader, int minibatch, int microbatch, struct error *error);

/* Mini-batch after mini-batch: there is room for one more. */
void loader_release(struct loader *loader, int minibatch);

#endif
