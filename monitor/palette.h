/* The colours that a terminal shows for what cells stand for. */
#ifndef TP_MONITOR_PALETTE_H
#define TP_MONITOR_PALETTE_H

#include "monitor/canvas.h"

/* -1: the terminal's own. */
struct tint {
    int of_256; /* xterm's palette */
    int of_8;   /* ANSI: black, red, green, yellow, blue, magenta, cyan, white */
};

/* With only 8 colours the softer ones are as strong as the others, but no background is: text on it must be read. */
struct tint palette_tint(enum colour colour);
struct tint palette_background(enum colour colour);

#endif
