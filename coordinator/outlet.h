/* Output that never makes who writes it wait. Whatever the coordinator writes while it watches over stages goes
 * through an outlet: a stream into a queue, which a thread of its own empties into the file, pipe or terminal. A
 * terminal that was stopped (Ctrl-S), a pipe whose reader sleeps or a disk that hangs holds up that thread alone. */
#ifndef TP_COORDINATOR_OUTLET_H
#define TP_COORDINATOR_OUTLET_H

#include <stdbool.h>
#include <stdio.h>

#include "coordinator/signals.h"

/* What becomes of that for which the queue has no room: it is left out; or the stream fails, as what follows would be
 * worth nothing without it. */
enum outlet_kind { OUTLET_TEXT, OUTLET_DATA };

struct outlet; /* opaque */

/* Its thread's name. */
#define OUTLET_THREAD "outlet"

/* The descriptor stays the caller's. NULL and the reason. Signals should have been taken: they are not the thread's. */
struct outlet *outlet_open(int descriptor, enum outlet_kind kind, struct error *error);

/* Its stream, which the outlet closes. */
FILE *outlet_stream(const struct outlet *outlet);

/* Whether something waits to be written. */
bool outlet_is_behind(struct outlet *outlet);

/* Waits until all is written, or there is no use in it: a write has failed, an interruption comes, or nothing of an
 * OUTLET_DATA has been taken for ten seconds. -1 and errno then, or if anything was lost before. */
int outlet_finish(struct outlet *outlet, struct signals *signals);

/* What has not been written is lost. NULL is fine. */
void outlet_close(struct outlet *outlet);

/* The standard streams through outlets: through one where both are the same file, so that they stay in order. */
struct standard_outlets {
    struct outlet *out, *err; /* perhaps the same */
    FILE *streams[2];         /* what `stdout` and `stderr` were */
    FILE *error_stream;       /* of an outlet that is not its own */
};

/* From here on `stdout` and `stderr` do not wait. */
int standard_outlets_begin(struct standard_outlets *outlets, struct error *error);

/* Whether something waits to be written to the stream, which is `stdout` or `stderr`. `outlets` may be NULL. */
bool standard_outlets_behind(const struct standard_outlets *outlets, const FILE *stream);

/* Waits as outlet_finish does; then they are what they were. -1 if not all could be written to stdout. */
int standard_outlets_end(struct standard_outlets *outlets, struct signals *signals);

/* The descriptor behind a stream, which may be one of these. */
int standard_descriptor(FILE *stream);

#endif
