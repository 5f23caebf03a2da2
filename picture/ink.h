/* The colours of pictures: few, each with a meaning, so that a legend can name them. Chosen for paper and for a projector:
 * strong colours are those of Okabe and Ito, which the colour-blind can tell apart, with a darker purple; soft ones are the
 * same with much white. Neighbours in the cycle differ in lightness too, for those who print in grey. */
#ifndef TP_PICTURE_INK_H
#define TP_PICTURE_INK_H

enum { INK_CYCLE = 6 };

enum ink {
    INK_NONE,
    INK_TEXT,
    INK_DIM,  /* what is not the matter itself: numbers of axes, notes */
    INK_RULE, /* thin lines */
    INK_LANE, /* behind a lane: time in which nothing runs */
    INK_PAPER,
    INK_CYCLE_STRONG, /* of mini-batches, systems, memory */
    INK_CYCLE_SOFT = INK_CYCLE_STRONG + INK_CYCLE,
    INK_GREY_STRONG = INK_CYCLE_SOFT + INK_CYCLE, /* what is in no cycle: a test, the rest */
    INK_GREY_SOFT,
    INKS
};

/* The colour of what has a number, 0 or more. */
enum ink ink_strong(int number);
enum ink ink_soft(int number);

/* What can be read on it: INK_TEXT or INK_PAPER. */
enum ink ink_upon(enum ink ink);

/* "text", "strong 1", ...: what a picture's text says. */
const char *ink_name(enum ink ink);

/* Red, green and blue, 0..1. Not of INK_NONE. */
struct rgb {
    double red, green, blue;
};
struct rgb ink_rgb(enum ink ink);

#endif
