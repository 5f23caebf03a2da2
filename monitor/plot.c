#include "monitor/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"

enum { BRAILLE = 0x2800, DOT_ROWS = 4, PLOT_ROWS_MAX = 256, BAR_COLUMNS = 6, PERCENT_COLUMNS = 3, FULL = 0x2588 };
enum { HISTOGRAM_MAX = 64 };

/* Dots of a cell, from its foot up, left and right. */
static const uint8_t dot_bits[2][DOT_ROWS] = {{0x40, 0x04, 0x02, 0x01}, {0x80, 0x20, 0x10, 0x08}};

/* The curve's height at dot column x, in dots; the mean of the values that fall there, or what lies between two. */
static int height_at(const float *values, int count, int x, int width, double top, int dots)
{
    double from = (double)x * count / width, to = (double)(x + 1) * count / width, sum = 0;
    int first = (int)from, last = max_int(first + 1, min_int((int)to, count));

    for (int k = first; k < last; k++)
        sum += (double)values[k];
    double share = sum / (last - first) / top;
    return isfinite(share) ? max_int(0, min_int((int)lround(share * (dots - 1)), dots - 1)) : dots - 1;
}

void plot_curve(const struct canvas *canvas, const float *values, int count, double top, struct style style)
{
    int dots = DOT_ROWS * min_int(canvas->rows, PLOT_ROWS_MAX), width = 2 * canvas->columns, before = -1;
    uint8_t bits[PLOT_ROWS_MAX] = {0};

    if (count <= 0 || top <= 0 || dots <= 0)
        return;
    for (int x = 0; x < width; x++) {
        int height = height_at(values, count, x, width, top, dots);
        /* A steep curve stays whole: each column's dots reach to the one's before. */
        int low = before < 0 ? height : min_int(height, before + (before < height));
        int high = before < 0 ? height : max_int(height, before - (before > height));

        for (int y = low; y <= high; y++)
            bits[y / DOT_ROWS] |= dot_bits[x % 2][y % DOT_ROWS];
        before = height;
        if (x % 2 == 0)
            continue;
        for (int row = 0; row < dots / DOT_ROWS; row++)
            if (bits[row])
                canvas_put(canvas, canvas->rows - 1 - row, x / 2, style, (uint32_t)BRAILLE + bits[row]);
        memset(bits, 0, sizeof(bits));
    }
}

int plot_bars(const struct canvas *canvas, const double *shares, int count, struct style style)
{
    int columns = max_int(1, min_int(canvas->columns / max_int(count, 1), BAR_COLUMNS));
    int shown = min_int(count, canvas->columns / columns), room = canvas->rows - 1;
    int filled = columns > 1 ? columns - 1 : 1;

    for (int k = 0; k < shown; k++) {
        double share = fmax(0, fmin(1, shares[count - shown + k]));

        for (int row = 0; row < room; row++)
            canvas_fill(canvas, canvas->rows - 1 - row, k * columns, filled, style,
                        canvas_level(fmax(0, fmin(1, share * room - row))));
        if (filled >= PERCENT_COLUMNS)
            canvas_print(canvas, max_int(0, room - (int)ceil(share * room)), k * columns, style, "%.0f%%", 100 * share);
    }
    return count - shown;
}

double plot_top(double value)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    double power = value > 0 && isfinite(value) ? pow(10, floor(log10(value))) : 1;
    int k = 0;

    while (k < 4 && steps[k] * power < value)
        k++;
    return steps[k] * power;
}

int plot_stack(const struct canvas *canvas, const struct plot_part *parts, int count, double scale)
{
    double sum = 0;
    int column = 0;

    for (int k = 0; k < count; k++) {
        const struct style text = {COLOUR_INK, (uint8_t)parts[k].colour, 0};
        const struct style fill = {(uint8_t)parts[k].colour, (uint8_t)parts[k].colour, 0};

        sum += parts[k].size;
        int end = min_int(scale > 0 ? (int)lround(sum / scale * canvas->columns) : 0, canvas->columns);

        for (int row = 0; row < canvas->rows; row++)
            canvas_fill(canvas, row, column, end - column, fill, k % 2 ? 0x2593 : FULL);
        if (end - column > (int)strlen(parts[k].name))
            canvas_write(canvas, canvas->rows / 2, column, text, parts[k].name);
        else if (end > column)
            canvas_put(canvas, canvas->rows / 2, column, text, (uint32_t)parts[k].letter);
        column = end;
    }
    return column;
}

/* Numbers of buckets, the fullest first. Returns how many are not empty. */
static int order_buckets(const uint64_t *buckets, int count, int *order)
{
    int used = 0;

    for (int k = 0; k < count; k++) {
        int place = used;

        if (buckets[k] == 0)
            continue;
        for (; place > 0 && buckets[order[place - 1]] < buckets[k]; place--)
            order[place] = order[place - 1];
        order[place] = k;
        used++;
    }
    return used;
}

int plot_histogram(const struct canvas *canvas, int row, int column, const uint64_t *buckets, int count, double sum,
                   struct style style)
{
    const struct style strong = {style.colour, 0, ATTRIBUTE_BOLD}, dim = {COLOUR_DIM, 0, 0};
    int order[HISTOGRAM_MAX];
    const int used = order_buckets(buckets, min_int(count, HISTOGRAM_MAX), order);
    double count_all = 0;

    for (int k = 0; k < used; k++)
        count_all += (double)buckets[order[k]];
    if (used == 0)
        return canvas_write(canvas, row, column, dim, "none yet");
    column = canvas_print(canvas, row, column, dim, "mean ");
    column = canvas_print(canvas, row, column, strong, "%.2f ", sum / count_all);
    for (int k = 0; k < used; k++) {
        const double share = (double)buckets[order[k]] / count_all;
        char name[16], text[32];

        /* A bar is whole, and a cut is seen. */
        snprintf(name, sizeof(name), "%d%s", order[k], order[k] == count - 1 ? "+" : "");
        snprintf(text, sizeof(text), "%s%.0f%%", name, 100 * share);
        if (column + (int)strlen(text) + 3 + (k + 1 < used ? 2 : 0) > canvas->columns)
            return canvas_write(canvas, row, column, strong, "…");
        column = canvas_print(canvas, row, column, strong, " %s", name);
        canvas_put(canvas, row, column, style, canvas_level(share));
        canvas_put(canvas, row, column + 1, style, canvas_level(share));
        column = canvas_print(canvas, row, column + 2, dim, "%.0f%%", 100 * share);
    }
    return column;
}
