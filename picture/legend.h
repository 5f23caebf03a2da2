/* What spans look like, and the legend that says so. */
#ifndef TP_PICTURE_LEGEND_H
#define TP_PICTURE_LEGEND_H

#include "picture/panel.h"

/* Forwards are soft and backwards strong, in the colour of their mini-batch; weight halves are hollow; waits are hatched. */
struct mark {
    enum ink fill, frame, hatch, text; /* INK_NONE: without */
    const char *letter;                /* of a wait */
};
struct mark legend_mark(const struct span *span);

/* The mark in that box. */
void legend_draw_mark(struct picture *picture, const struct mark *mark, double x, double y, double width,
                      double height);

/* The entries that the panels need, in the order in which they are drawn. */
enum { LEGEND_MAX = OP_KINDS + WAIT_CAUSES + 8 };
struct legend {
    struct legend_entry {
        struct mark mark;
        bool update, idle;
        char sample[16], text[96];
    } entries[LEGEND_MAX];
    int count;
};
void legend_find(struct legend *legend, const struct panel *const *panels, int count, const struct panel_style *style);

/* In as many rows as the width asks for. */
double legend_height(const struct legend *legend, double width);
void legend_draw(const struct legend *legend, struct picture *picture, double x, double y, double width);

#endif
