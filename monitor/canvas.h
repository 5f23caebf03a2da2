/* What a view draws on: a grid of cells, each a glyph one column wide with a colour that says what it stands for. A
 * screen shows it on a terminal, a test reads it as text. Whatever lies outside is clipped. In ASCII mode every glyph
 * becomes its 7-bit fallback. */
#ifndef TP_MONITOR_CANVAS_H
#define TP_MONITOR_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

enum { MINIBATCH_COLOURS = 6, PART_COLOURS = 7 };

/* What a cell stands for; monitor/palette.h gives the colours of the screen. */
enum colour {
    COLOUR_DEFAULT, /* the terminal's own */
    COLOUR_DIM,
    COLOUR_TITLE,
    COLOUR_KEY,  /* a key to press, a number that matters */
    COLOUR_GOOD, /* it runs, it is as planned */
    COLOUR_WARNING,
    COLOUR_BAD,
    COLOUR_INK,   /* text on a strong background, */
    COLOUR_PAPER, /* and on one that is less strong */
    COLOUR_WAIT_ACTIVATION,
    COLOUR_WAIT_GRADIENT,
    COLOUR_WAIT_SLOT,
    COLOUR_WAIT_NORM,
    COLOUR_WAIT_DATA,
    COLOUR_WAIT_CORE,
    COLOUR_HELD,
    COLOUR_UPDATE,
    COLOUR_COMPUTE,
    COLOUR_EVALUATION, /* an evaluation's op, and what lies under its text */
    COLOUR_EVALUATION_SOFT,
    COLOUR_LOSS,
    COLOUR_ACCURACY,
    COLOUR_MINIBATCH,                                             /* of mini-batch i: + i % MINIBATCH_COLOURS */
    COLOUR_MINIBATCH_SOFT = COLOUR_MINIBATCH + MINIBATCH_COLOURS, /* likewise, of a background that is less strong */
    COLOUR_PART = COLOUR_MINIBATCH_SOFT + MINIBATCH_COLOURS,      /* of a whole: categories of memory, histograms */
    COLOURS = COLOUR_PART + PART_COLOURS
};

enum attribute { ATTRIBUTE_BOLD = 1, ATTRIBUTE_REVERSE = 2, ATTRIBUTE_UNDERLINE = 4 };

struct style {
    uint8_t colour, background; /* enum colour */
    uint8_t attributes;         /* of enum attribute, added up */
};

struct cell {
    uint32_t glyph; /* Unicode */
    struct style style;
};

/* A whole grid, or a part of one that shares its cells. */
struct canvas {
    struct cell *cells;
    int rows, columns;
    int stride; /* cells from one row to the next */
    bool ascii;
};

/* Blank. -1 if out of memory. Only a whole canvas is destroyed. */
int canvas_create(struct canvas *canvas, int rows, int columns, bool ascii);
void canvas_destroy(struct canvas *canvas);
void canvas_clear(const struct canvas *canvas);

/* The part that begins at a cell, clipped to what is there; it may be empty. */
struct canvas canvas_part(const struct canvas *canvas, int row, int column, int rows, int columns);

/* NULL outside. */
const struct cell *canvas_cell(const struct canvas *canvas, int row, int column);

void canvas_put(const struct canvas *canvas, int row, int column, struct style style, uint32_t glyph);
void canvas_fill(const struct canvas *canvas, int row, int column, int columns, struct style style, uint32_t glyph);

/* UTF-8; what is no printable character of one column becomes '?'. Returns the column behind the text, as if nothing had
 * been clipped. */
int canvas_write(const struct canvas *canvas, int row, int column, struct style style, const char *text);
int canvas_print(const struct canvas *canvas, int row, int column, struct style style, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Ends before `column`. */
void canvas_write_right(const struct canvas *canvas, int row, int column, struct style style, const char *text);

/* In columns. */
int canvas_width(const char *text);

/* A frame around the canvas. */
void canvas_box(const struct canvas *canvas, struct style style);

/* The glyph of a bar that stands in one cell and is `share` (0..1) of it high: ' ' to a full block. */
uint32_t canvas_level(double share);

/* The text alone, rows ending with '\n', without the blanks at their ends. The caller frees it; NULL if out of memory. */
char *canvas_text(const struct canvas *canvas);

/* A glyph in UTF-8; returns its bytes. */
int canvas_encode(uint32_t glyph, char bytes[4]);

#endif
