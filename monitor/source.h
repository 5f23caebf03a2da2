/* Where the moments come from that the views draw: a live run, attached to read-only, or a recorded one. */
#ifndef TP_MONITOR_SOURCE_H
#define TP_MONITOR_SOURCE_H

#include "base/error.h"
#include "monitor/view.h"

struct source; /* opaque */

/* The newest run that is going, or the one that `run` names (monitor/runs.h). 0; 1 if there is none yet; -1 and the
 * reason if it cannot be watched. */
int source_attach(struct source **out, const char *run, struct error *error);

/* A recording, or the one in a run's folder. */
int source_replay(struct source **out, const char *path, struct error *error);

/* The recording itself, for recording_close. */
struct recording;
int source_recording(struct recording **out, const char *path, struct error *error);

/* A run that this monitor has paused or slowed goes on freely, if no other has. NULL is fine. */
void source_close(struct source *source);

/* The run now, or where the replay is by now. What the moment points to is the source's, until the next look. */
void source_look(struct source *source, struct moment *moment);

/* A line for the user, for some seconds. */
void source_say(struct source *source, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A key of time (monitor/view.h), with the selected stage. False: it is none. */
bool source_key(struct source *source, int key, int stage);

/* Goes to so many seconds after a recording's begin, or to its end if they are negative, and stands there. -1 if it is
 * shorter, or there is only now. */
int source_seek(struct source *source, double seconds, struct error *error);

/* To a mini-batch of an epoch, or of this one if `epoch` is 0; a message says so if there is none. */
void source_go(struct source *source, int epoch, int minibatch);

/* A replay goes to where another is: as long after its stage 1 began its first op as the other is after that of its own. */
void source_keep_pace(struct source *source, const struct source *with);

/* What stays when the user freezes the view: a copy of a moment, for free(). NULL if out of memory. */
struct moment *moment_copy(const struct moment *moment);

#endif
