/* A picture as a list of what is drawn: rectangles, lines, areas and texts, in units of 1/72 inch, y downwards. Whoever
 * composes a picture needs no graphics library, and tests compare such lists; picture/render.h makes files of them. */
#ifndef TP_PICTURE_PICTURE_H
#define TP_PICTURE_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

#include "picture/ink.h"

enum element_kind { ELEMENT_RECTANGLE, ELEMENT_LINE, ELEMENT_CURVE, ELEMENT_AREA, ELEMENT_TEXT };
enum fill { FILL_SOLID, FILL_HATCHED, FILL_CLEAR }; /* CLEAR: what lies behind shows through */
enum stroke { STROKE_SOLID, STROKE_DASHED };
enum anchor { ANCHOR_LEFT, ANCHOR_MIDDLE, ANCHOR_RIGHT };

struct point {
    double x, y;
};

struct element {
    enum element_kind kind;
    enum ink ink;
    enum fill fill;       /* rectangle, area */
    enum stroke stroke;   /* line, curve */
    double x, y;          /* a rectangle's upper left corner, a line's begin, where a text's baseline is anchored */
    double width, height; /* of a rectangle; from a line's begin to its end */
    double size;          /* of a line: its width; of a text: its font's, in points */
    enum anchor anchor;   /* text */
    bool bold;            /* text */
    double room;          /* text: the width that it has; it is drawn smaller if it takes more. 0: any */
    char *text;           /* the picture's */
    struct point *points; /* of a curve or an area; the picture's */
    int point_count;
};

struct picture {
    double width, height;
    char title[256];          /* what the file says that it is */
    struct element *elements; /* [count], in the order in which they are drawn */
    int count, room;
    bool failed; /* out of memory: something is missing */
};

/* An empty picture of that size. The caller releases. */
void picture_begin(struct picture *picture, double width, double height);
void picture_release(struct picture *picture);

/* Adding to a picture fails only for want of memory, which `failed` keeps for whoever writes it. */
void picture_rectangle(struct picture *picture, struct element rectangle);
void picture_line(struct picture *picture, struct element line);
void picture_curve(struct picture *picture, struct element curve, const struct point *points, int count);
void picture_area(struct picture *picture, struct element area, const struct point *points, int count);
__attribute__((format(printf, 3, 4))) void picture_text(struct picture *picture, struct element text,
                                                        const char *format, ...);

/* About how wide a text is at that size: for composing, where a glyph more or less does not matter. */
double picture_text_width(const char *text, double size, bool bold);

/* Moves all that is in `other`, which is then empty, to (x, y) of the picture. */
void picture_append(struct picture *picture, struct picture *other, double x, double y);

/* 1, 2 or 5 times a power of ten, by which a scale of that length has about so many marks. */
double picture_step(double length, int marks);

/* A line for each element, to a tenth of a unit. */
void picture_print(const struct picture *picture, FILE *out);

#endif
