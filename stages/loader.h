/* A thread that fills the inputs of mini-batches ahead of the part that reads them. The part does not wait for a disk
 * then, nor for pictures to be moved and normalised, as long as the thread keeps up. */
#ifndef TP_STAGES_LOADER_H
#define TP_STAGES_LOADER_H

#include <stddef.h>

#include "base/error.h"

/* What is loaded. The thread calls `load` for the micro-batches of one mini-batch after the other, from 1 on, with the
 * buffer that the mini-batch has for itself; and `loaded` after each. Both may be called until loader_pause returns. */
struct loader_job {
    void *context;
    int (*load)(void *context, int minibatch, int microbatch, void *buffer, struct error *error);
    void (*loaded)(void *context);
    int microbatches; /* of each mini-batch */
    size_t bytes;     /* of a mini-batch */
};

struct loader; /* opaque */

/* Its buffers, for LOADER_AHEAD mini-batches, are allocated here. */
enum { LOADER_AHEAD = 2 };
int loader_create(struct loader **out, const struct loader_job *job, struct error *error);

/* Ends the thread. `loader` may be NULL. */
void loader_destroy(struct loader *loader);

/* What is loaded from now on are mini-batches first..last; those loaded before are forgotten. Pausing ends with what is
 * being loaded: until then the thread may read what `load` reads. */
void loader_pause(struct loader *loader);
void loader_resume(struct loader *loader, int first, int last);

/* Micro-batches that are there, or could not be loaded, counted from the first one of mini-batch 1 on. */
int loader_count(const struct loader *loader);

/* The mini-batch's buffer, where the micro-batch is there; NULL and an error if it could not be loaded. It stays until
 * loader_release gives it back, mini-batch after mini-batch. */
const void *loader_take(struct loader *loader, int minibatch, int microbatch, struct error *error);
void loader_release(struct loader *loader, int minibatch);

#endif
