/* The terminal: shows a canvas, reads keys, and is left as it was found, however the monitor ends. The only file that
 * knows of curses. */
#ifndef TP_MONITOR_SCREEN_H
#define TP_MONITOR_SCREEN_H

#include <stdbool.h>

#include "base/error.h"
#include "monitor/canvas.h"

struct screen; /* opaque; there is one terminal, so there may be one screen */

/* -1 and the reason if standard input and output are no terminal that can be drawn on. The mouse is the terminal's. */
int screen_open(struct screen **out, struct error *error);
void screen_close(struct screen *screen);

/* Asks the terminal to tell of the mouse's presses, from the next picture on, or to keep them for itself, which selects
 * text with them. A terminal that has no mouse is not asked. */
void screen_take_mouse(struct screen *screen, bool take);

/* Now. */
void screen_size(const struct screen *screen, int *rows, int *columns);

/* Draws what has changed. */
void screen_show(struct screen *screen, const struct canvas *canvas);

/* Other than a key (monitor/view.h). SCREEN_OTHER: the size may have changed, or the key has no meaning. */
enum { SCREEN_NOTHING = 0, SCREEN_OTHER = -1, SCREEN_END = -2 };

/* Waits up to so many milliseconds for a key. SCREEN_END: the terminal is gone, or a signal asks the program to end. */
int screen_key(struct screen *screen, int milliseconds);

/* Where the mouse was at its last press. */
void screen_pointer(const struct screen *screen, int *row, int *column);

/* Whether the terminal, or a pipe, shows more than ASCII: the locale's encoding is UTF-8. After setlocale. */
bool screen_has_unicode(void);

#endif
