/* Curves with bands, and bars of several parts: what comparisons are drawn with. */
#ifndef TP_PICTURE_CHART_H
#define TP_PICTURE_CHART_H

#include "picture/picture.h"

/* A value, and between what it may lie; both NaN: not known. */
struct band_point {
    double x, value, low, high;
};

struct series {
    const char *name;
    struct band_point *points; /* [count], by x */
    int count;
};

/* Series have the colours of the cycle, from the first on; those beyond it are dashed. */
struct chart {
    const char *title, *x_title;
    const char *unit; /* behind the numbers of the axis: "%", then they end at 100; or "" */
    double scale;     /* that values are multiplied by */
    const struct series *series;
    int series_count;
};
void chart_draw(struct picture *picture, const struct chart *chart, double x, double y, double width, double height);

/* A line for each series: returns its height. */
double chart_legend(struct picture *picture, const struct chart *chart, double x, double y, double width);

/* A bar of each name, made of the same parts. */
struct bars {
    const char *title, *unit;
    const char *const *names;      /* [count] */
    const char *const *part_names; /* [part_count] */
    const double *values;          /* [count][part_count], in the unit */
    int count, part_count;
};
double bars_height(const struct bars *bars);
void bars_draw(struct picture *picture, const struct bars *bars, double x, double y, double width);

#endif
