/* What a monitor may ask of an interactive run (struct controls in board/board.h): pause, step, slow motion. And
 * who answers for it: a monitor *holds* the controls from its first change until it ends, however it ends. When nobody
 * holds them any more, the coordinator frees the run. */
#ifndef TP_TELEMETRY_CONTROLS_H
#define TP_TELEMETRY_CONTROLS_H

#include "telemetry/snapshot.h"

/* Monitor: before it changes anything. The kernel lets go when the segment is closed or the process ends. -1: not now. */
int controls_hold(const struct segment *segment);

/* Coordinator, before the stages start: every stage is held before its first op, or runs in slow motion, until a monitor
 * changes that. */
void controls_await(struct controls *controls);
enum { CONTROLS_BEGIN_SLOW = 8 }; /* times an op's own time */
void controls_begin_slow(struct controls *controls);
bool controls_are_awaited(const struct controls *controls);

/* Coordinator: lets a run that is paused or slowed go on freely, if no living process holds its controls, and one has
 * held them. True if it did. */
bool controls_free(const struct segment *segment);

/* Every stage ends the op that it runs and begins no other; and all run freely again. */
void controls_pause(struct controls *controls);
void controls_resume(struct controls *controls);
bool controls_are_paused(const struct controls *controls);

/* A paused stage runs the one op that it is held before. False if it is not held: it runs, or waits for something. */
bool controls_step(struct controls *controls, const struct snapshot *snapshot, int stage);

/* All paused stages that could run an op run one, like one tick of the unit-time grid: none may be running any more, nor
 * have ended so shortly ago that its neighbours could still not know. Returns how many run; -1: not yet. */
int controls_tick(struct controls *controls, const struct snapshot *snapshot);

/* Ops take twice as long, relative to their own time, or half as long. Returns the factor. */
int controls_slow_down(struct controls *controls);
int controls_speed_up(struct controls *controls);

#endif
