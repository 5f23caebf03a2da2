/* Who will read a version that a stage holds, as far as the run itself knows: micro-batches that stage 1 has pinned to it and
 * that are still on their way, and mini-batches whose backward the last stage has begun with it. */
#ifndef TP_TELEMETRY_READERS_H
#define TP_TELEMETRY_READERS_H

#include "telemetry/history.h"
#include "telemetry/snapshot.h"

/* "33A-D 34A 31": forwards, then backwards, of part `part` (1..); "" if none is known. */
enum { READERS_TEXT_MAX = 64 };
void readers_to_come(const struct snapshot *snapshot, const struct history *history, int part, int version,
                     char text[READERS_TEXT_MAX]);

#endif
