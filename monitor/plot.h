/* Curves and bars. */
#ifndef TP_MONITOR_PLOT_H
#define TP_MONITOR_PLOT_H

#include "monitor/canvas.h"

/* A curve over the whole canvas, in dots of half a column and a quarter of a row: the values stretched over its width,
 * 0 at its foot and `top` at its head. */
void plot_curve(const struct canvas *canvas, const float *values, int count, double top, struct style style);

/* Bars that stand, the newest values if not all have room; each with its value in percent above it where that fits.
 * Returns how many were left out. */
int plot_bars(const struct canvas *canvas, const double *shares, int count, struct style style);

/* A number not below `value` that an axis can end with: 1, 2, 2.5, 5 times a power of ten. */
double plot_top(double value);

/* A part of a whole that lies in a row. */
struct plot_part {
    double size;
    enum colour colour;
    const char *name; /* written on it if it has room for it; */
    char letter;      /* else this one */
};

/* Parts side by side, `scale` filling the canvas's columns, over all its rows; told apart by texture and names
 * without colour. Returns the column behind the last one. */
int plot_stack(const struct canvas *canvas, const struct plot_part *parts, int count, double scale);

/* A histogram in one row: "mean 0.88  1██88% 0▂▂12%", the fullest bucket first; where there is no room for all, an ellipsis
 * ends it. `sum` is that of all that was counted: buckets are rounded, and the last one, "15+", has all above it. Returns the column
 * behind it. */
int plot_histogram(const struct canvas *canvas, int row, int column, const uint64_t *buckets, int count, double sum,
                   struct style style);

#endif
