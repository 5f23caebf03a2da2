#include "picture/chart.h"

#include <math.h>
#include <stdlib.h>

static const double title_size = 13, text_size = 10.5, axis_size = 9.5, left_room = 46, bottom_room = 34, top_room = 24,
                    bar_height = 18, bar_gap = 6, swatch = 14;

/* What of the values is shown. */
struct range {
    double low, high;
};

static void widen(struct range *range, double value)
{
    if (isnan(value))
        return;
    range->low = isnan(range->low) ? value : fmin(range->low, value);
    range->high = isnan(range->high) ? value : fmax(range->high, value);
}

/* The values' range and some room; bands that are wider are cut. */
static struct range range_of(const struct chart *chart, bool of_x)
{
    struct range range = {(double)NAN, (double)NAN};

    for (int s = 0; s < chart->series_count; s++)
        for (int k = 0; k < chart->series[s].count; k++)
            widen(&range, of_x ? chart->series[s].points[k].x : chart->scale * chart->series[s].points[k].value);
    if (isnan(range.low))
        return (struct range){0, 1};
    const double room = of_x ? 0 : fmax(0.12 * (range.high - range.low), 1e-3 * fabs(range.high) + 1e-12);
    if (of_x && range.high == range.low)
        return (struct range){range.low - 0.5, range.high + 0.5};
    range.low = range.low >= 0 ? fmax(0, range.low - room) : range.low - room;
    range.high = chart->unit[0] == '%' ? fmin(range.high + room, 100) : range.high + room;
    return range;
}

struct plane {
    const struct chart *chart;
    struct range x, y;
    double left, top, width, height;
};

static double place_x(const struct plane *plane, double x)
{
    return plane->left + plane->width * (x - plane->x.low) / (plane->x.high - plane->x.low);
}

static double place_y(const struct plane *plane, double value)
{
    const double y = fmin(fmax(plane->chart->scale * value, plane->y.low), plane->y.high);

    return plane->top + plane->height * (plane->y.high - y) / (plane->y.high - plane->y.low);
}

static void draw_grid(struct picture *picture, const struct plane *plane)
{
    const double y_step = picture_step(plane->y.high - plane->y.low, 5);
    const double x_step = fmax(1, picture_step(plane->x.high - plane->x.low, 6));

    for (double y = ceil(plane->y.low / y_step) * y_step; y <= plane->y.high; y += y_step) {
        const double at = plane->top + plane->height * (plane->y.high - y) / (plane->y.high - plane->y.low);

        picture_line(picture,
                     (struct element){.ink = INK_LANE, .x = plane->left, .y = at, .width = plane->width, .size = 0.8});
        picture_text(
            picture,
            (struct element){
                .ink = INK_DIM, .x = plane->left - 5, .y = at + 3.4, .size = axis_size, .anchor = ANCHOR_RIGHT},
            "%.5g%s", fabs(y) < 1e-9 * y_step ? 0 : y, plane->chart->unit);
    }
    for (double x = ceil(plane->x.low / x_step) * x_step; x <= plane->x.high; x += x_step)
        picture_text(picture,
                     (struct element){.ink = INK_DIM,
                                      .x = place_x(plane, x),
                                      .y = plane->top + plane->height + 13,
                                      .size = axis_size,
                                      .anchor = ANCHOR_MIDDLE},
                     "%.5g", x);
    picture_line(
        picture,
        (struct element){
            .ink = INK_RULE, .x = plane->left, .y = plane->top + plane->height, .width = plane->width, .size = 1});
}

/* The known points, first along the curve and, for a band, back along its lower edge. */
static void draw_series(struct picture *picture, const struct plane *plane, int s, bool band)
{
    const struct series *series = &plane->chart->series[s];
    struct point *points = calloc((size_t)(2 * series->count + 1), sizeof(*points));
    int count = 0;

    if (!points) {
        picture->failed = true;
        return;
    }
    for (int k = 0; k < series->count; k++) {
        const struct band_point *of = &series->points[k];

        if (!isnan(band ? of->high : of->value))
            points[count++] = (struct point){place_x(plane, of->x), place_y(plane, band ? of->high : of->value)};
    }
    for (int k = series->count - 1; band && k >= 0; k--)
        if (!isnan(series->points[k].low))
            points[count++] =
                (struct point){place_x(plane, series->points[k].x), place_y(plane, series->points[k].low)};
    const struct element style = {
        .ink = ink_strong(s), .fill = FILL_CLEAR, .stroke = s >= INK_CYCLE ? STROKE_DASHED : STROKE_SOLID, .size = 2};
    if (band)
        picture_area(picture, style, points, count);
    else if (count > 1)
        picture_curve(picture, style, points, count);
    for (int k = 0; !band && k < count; k++)
        picture_rectangle(
            picture, (struct element){
                         .ink = ink_strong(s), .x = points[k].x - 2, .y = points[k].y - 2, .width = 4, .height = 4});
    free(points);
}

void chart_draw(struct picture *picture, const struct chart *chart, double x, double y, double width, double height)
{
    const struct plane plane = {.chart = chart,
                                .x = range_of(chart, true),
                                .y = range_of(chart, false),
                                .left = x + left_room,
                                .top = y + top_room,
                                .width = width - left_room - 10,
                                .height = height - top_room - bottom_room};

    picture_text(picture,
                 (struct element){.ink = INK_TEXT, .x = x + left_room, .y = y + 13, .size = title_size, .bold = true},
                 "%s", chart->title);
    draw_grid(picture, &plane);
    for (int s = 0; s < chart->series_count; s++)
        draw_series(picture, &plane, s, true);
    for (int s = 0; s < chart->series_count; s++)
        draw_series(picture, &plane, s, false);
    picture_text(picture,
                 (struct element){.ink = INK_DIM,
                                  .x = plane.left + plane.width / 2,
                                  .y = y + height - 6,
                                  .size = axis_size,
                                  .anchor = ANCHOR_MIDDLE},
                 "%s", chart->x_title);
}

double chart_legend(struct picture *picture, const struct chart *chart, double left, double top, double width)
{
    double x = 0, y = 0;

    for (int s = 0; s < chart->series_count; s++) {
        const double needed = swatch + 30 + picture_text_width(chart->series[s].name, text_size, false);

        if (x > 0 && x + needed > width) {
            x = 0;
            y += 18;
        }
        picture_line(picture, (struct element){.ink = ink_strong(s),
                                               .stroke = s >= INK_CYCLE ? STROKE_DASHED : STROKE_SOLID,
                                               .x = left + x,
                                               .y = top + y + 8,
                                               .width = swatch + 6,
                                               .size = 3});
        picture_text(
            picture,
            (struct element){.ink = INK_TEXT, .x = left + x + swatch + 12, .y = top + y + 12, .size = text_size}, "%s",
            chart->series[s].name);
        x += needed;
    }
    return y + 22;
}

double bars_height(const struct bars *bars)
{
    return top_room + bars->count * (bar_height + bar_gap) + bottom_room + 14;
}

static double bar_total(const struct bars *bars, int bar)
{
    double sum = 0;

    for (int k = 0; k < bars->part_count; k++)
        sum += bars->values[bar * bars->part_count + k];
    return sum;
}

static void draw_bar(struct picture *picture, const struct bars *bars, int bar, double x, double y, double scale)
{
    picture_text(
        picture,
        (struct element){
            .ink = INK_TEXT, .x = x - 8, .y = y + bar_height / 2 + 4, .size = text_size, .anchor = ANCHOR_RIGHT},
        "%s", bars->names[bar]);
    for (int k = 0; k < bars->part_count; k++) {
        const double width = scale * bars->values[bar * bars->part_count + k];

        if (width > 0)
            picture_rectangle(picture, (struct element){.ink = k < INK_CYCLE ? ink_strong(k) : INK_GREY_STRONG,
                                                        .x = x,
                                                        .y = y,
                                                        .width = width,
                                                        .height = bar_height});
        x += width;
    }
    picture_text(picture, (struct element){.ink = INK_TEXT, .x = x + 6, .y = y + bar_height / 2 + 4, .size = text_size},
                 "%.4g %s", bar_total(bars, bar), bars->unit);
}

void bars_draw(struct picture *picture, const struct bars *bars, double x, double y, double width)
{
    double names = 0, most = 0, at = x;

    for (int b = 0; b < bars->count; b++) {
        names = fmax(names, picture_text_width(bars->names[b], text_size, false) + 10);
        most = fmax(most, bar_total(bars, b));
    }
    picture_text(picture, (struct element){.ink = INK_TEXT, .x = x, .y = y + 13, .size = title_size, .bold = true},
                 "%s", bars->title);
    y += top_room;
    for (int b = 0; b < bars->count; b++, y += bar_height + bar_gap)
        draw_bar(picture, bars, b, x + names, y, most > 0 ? (width - names - 90) / most : 0);
    for (int k = 0; k < bars->part_count; k++) {
        picture_rectangle(picture, (struct element){.ink = k < INK_CYCLE ? ink_strong(k) : INK_GREY_STRONG,
                                                    .x = at,
                                                    .y = y + 8,
                                                    .width = swatch,
                                                    .height = 12});
        picture_text(picture, (struct element){.ink = INK_TEXT, .x = at + swatch + 6, .y = y + 18, .size = text_size},
                     "%s", bars->part_names[k]);
        at += swatch + 26 + picture_text_width(bars->part_names[k], text_size, false);
    }
}
