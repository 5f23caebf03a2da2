/* A file that is mapped may shrink under its reader, and whoever reads behind its end gets SIGBUS. With this the reader finds
 * zeros there instead, and can ask. */
#ifndef TP_BOARD_GUARD_H
#define TP_BOARD_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Handles SIGBUS in this process from now on; one that is not of guarded memory is passed to who handled it before. */
void guard_install(void);

/* For whoever takes SIGBUS over later: whether it was of guarded memory, where zeros are now. */
bool guard_answer(const siginfo_t *information);

/* Guards a mapping until guard_remove. At most a few at once; more than that are not guarded. */
void guard_add(void *address, size_t size);
void guard_remove(const void *address);

/* Whether the mapping's file has shrunk: what was read of it since may be zeros. */
bool guard_has_lost(const void *address);

#endif
