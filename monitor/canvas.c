#include "monitor/canvas.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/numbers.h"

enum { FULL_BLOCK = 0x2588, LEVELS = 8, PRINT_MAX = 1024, BRAILLE = 0x2800 };

static const struct {
    uint32_t glyph;
    char ascii;
} fallbacks[] = {
    {0x00b7, '.'}, /* · */
    {0x00d7, 'x'}, /* × */
    {0x2013, '-'}, /* – */
    {0x2026, '~'}, /* … */
    {0x2190, '<'}, /* ← */
    {0x2191, '^'}, /* ↑ */
    {0x2192, '>'}, /* → */
    {0x2193, 'v'}, /* ↓ */
    {0x2500, '-'}, /* ─ */
    {0x2502, '|'}, /* │ */
    {0x2503, '|'}, /* ┃ */
    {0x2506, '|'}, /* ┆ */
    {0x250a, '|'}, /* ┊ */
    {0x250c, '+'}, /* ┌ */
    {0x2510, '+'}, /* ┐ */
    {0x2514, '+'}, /* └ */
    {0x2518, '+'}, /* ┘ */
    {0x251c, '+'}, /* ├ */
    {0x2524, '+'}, /* ┤ */
    {0x252c, '+'}, /* ┬ */
    {0x2534, '+'}, /* ┴ */
    {0x253c, '+'}, /* ┼ */
    {0x2591, '-'}, /* ░ */
    {0x2592, '%'}, /* ▒ */
    {0x2593, '='}, /* ▓ */
    {0x2590, '['}, /* ▐ */
    {0x258f, '['}, /* ▏ */
    {0x25a0, '#'}, /* ■ */
    {0x25b2, '^'}, /* ▲ */
    {0x25b6, '>'}, /* ▶ */
    {0x25bc, 'v'}, /* ▼ */
    {0x25cf, '*'}, /* ● */
    {0x25cb, 'o'}, /* ○ */
    {0x25c6, '*'}, /* ◆ */
    {0x2016, '|'}, /* ‖ */
};

static int dots(uint32_t bits)
{
    int count = 0;

    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

static uint32_t fallback(uint32_t glyph)
{
    if (glyph < 0x80)
        return glyph;
    for (size_t i = 0; i < sizeof(fallbacks) / sizeof(fallbacks[0]); i++)
        if (fallbacks[i].glyph == glyph)
            return (uint32_t)fallbacks[i].ascii;
    if (glyph > 0x2580 && glyph <= 0x2584) /* bars that stand, up to a half */
        return '.';
    if (glyph > 0x2584 && glyph < FULL_BLOCK)
        return ':';
    if (glyph == FULL_BLOCK)
        return '#';
    if (glyph >= BRAILLE && glyph <= BRAILLE + 0xff)
        return (uint32_t) " .:*********"[dots(glyph - BRAILLE)];
    return '?';
}

int canvas_create(struct canvas *canvas, int rows, int columns, bool ascii)
{
    size_t count = (size_t)max_int(rows, 1) * (size_t)max_int(columns, 1);

    *canvas = (struct canvas){malloc(count * sizeof(struct cell)), rows, columns, columns, ascii};
    if (!canvas->cells)
        return -1;
    canvas_clear(canvas);
    return 0;
}

void canvas_destroy(struct canvas *canvas)
{
    free(canvas->cells);
    *canvas = (struct canvas){0};
}

void canvas_clear(const struct canvas *canvas)
{
    for (int row = 0; row < canvas->rows; row++)
        canvas_fill(canvas, row, 0, canvas->columns, (struct style){0}, ' ');
}

struct canvas canvas_part(const struct canvas *canvas, int row, int column, int rows, int columns)
{
    int top = max_int(0, min_int(row, canvas->rows)), left = max_int(0, min_int(column, canvas->columns));

    return (struct canvas){
        .cells = canvas->cells + (ptrdiff_t)top * canvas->stride + left,
        .rows = max_int(0, min_int(row + rows, canvas->rows) - top),
        .columns = max_int(0, min_int(column + columns, canvas->columns) - left),
        .stride = canvas->stride,
        .ascii = canvas->ascii,
    };
}

static struct cell *cell_at(const struct canvas *canvas, int row, int column)
{
    if (row < 0 || row >= canvas->rows || column < 0 || column >= canvas->columns)
        return NULL;
    return &canvas->cells[(ptrdiff_t)row * canvas->stride + column];
}

const struct cell *canvas_cell(const struct canvas *canvas, int row, int column)
{
    return cell_at(canvas, row, column);
}

void canvas_put(const struct canvas *canvas, int row, int column, struct style style, uint32_t glyph)
{
    struct cell *cell = cell_at(canvas, row, column);

    if (cell)
        *cell = (struct cell){canvas->ascii ? fallback(glyph) : glyph, style};
}

void canvas_fill(const struct canvas *canvas, int row, int column, int columns, struct style style, uint32_t glyph)
{
    int end = min_int(column + columns, canvas->columns);

    for (int k = max_int(column, 0); k < end; k++)
        canvas_put(canvas, row, k, style, glyph);
}

/* Reads one character and moves behind it. */
static uint32_t decode(const char **text)
{
    const unsigned char *bytes = (const unsigned char *)*text;
    int more = bytes[0] >= 0xf0 ? 3 : bytes[0] >= 0xe0 ? 2 : bytes[0] >= 0xc0 ? 1 : 0;
    uint32_t glyph = more ? (uint32_t)bytes[0] & (0x3fu >> more) : bytes[0];
    int k = 1;

    for (; k <= more && (bytes[k] & 0xc0) == 0x80; k++)
        glyph = glyph << 6 | (bytes[k] & 0x3fu);
    *text += k;
    return k <= more || (!more && bytes[0] >= 0x80) ? 0 : glyph;
}

/* Latin, Greek and Cyrillic letters, symbols and drawings. Everything else may be wider than a column or combine with a
 * neighbour. */
static bool is_one_column(uint32_t glyph)
{
    return (glyph >= 0x20 && glyph < 0x7f) || (glyph >= 0xa0 && glyph < 0x300 && glyph != 0xad) ||
           (glyph >= 0x370 && glyph < 0x483) || (glyph >= 0x2010 && glyph < 0x2028) ||
           (glyph >= 0x2190 && glyph < 0x2300) || (glyph >= 0x2500 && glyph < 0x2600) ||
           (glyph >= BRAILLE && glyph < BRAILLE + 0x100);
}

int canvas_write(const struct canvas *canvas, int row, int column, struct style style, const char *text)
{
    while (*text) {
        uint32_t glyph = decode(&text);

        canvas_put(canvas, row, column++, style, is_one_column(glyph) ? glyph : '?');
    }
    return column;
}

int canvas_print(const struct canvas *canvas, int row, int column, struct style style, const char *format, ...)
{
    char text[PRINT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return canvas_write(canvas, row, column, style, text);
}

int canvas_width(const char *text)
{
    int width = 0;

    while (*text) {
        decode(&text);
        width++;
    }
    return width;
}

void canvas_write_right(const struct canvas *canvas, int row, int column, struct style style, const char *text)
{
    canvas_write(canvas, row, column - canvas_width(text), style, text);
}

void canvas_box(const struct canvas *canvas, struct style style)
{
    int bottom = canvas->rows - 1, right = canvas->columns - 1;

    for (int row = 0; row <= bottom; row += max_int(bottom, 1))
        canvas_fill(canvas, row, 0, right + 1, style, 0x2500);
    for (int row = 1; row < bottom; row++) {
        canvas_put(canvas, row, 0, style, 0x2502);
        canvas_put(canvas, row, right, style, 0x2502);
    }
    canvas_put(canvas, 0, 0, style, 0x250c);
    canvas_put(canvas, 0, right, style, 0x2510);
    canvas_put(canvas, bottom, 0, style, 0x2514);
    canvas_put(canvas, bottom, right, style, 0x2518);
}

uint32_t canvas_level(double share)
{
    int level = share > 0.0 ? max_int(1, min_int((int)lround(share * LEVELS), LEVELS)) : 0;

    return level > 0 ? (uint32_t)(0x2580 + level) : ' ';
}

int canvas_encode(uint32_t glyph, char bytes[4])
{
    if (glyph < 0x80) {
        bytes[0] = (char)glyph;
        return 1;
    }
    if (glyph < 0x800) {
        bytes[0] = (char)(0xc0 | glyph >> 6);
        bytes[1] = (char)(0x80 | (glyph & 0x3fu));
        return 2;
    }
    bytes[0] = (char)(0xe0 | glyph >> 12);
    bytes[1] = (char)(0x80 | (glyph >> 6 & 0x3f));
    bytes[2] = (char)(0x80 | (glyph & 0x3fu));
    return 3; /* canvas_write lets nothing longer through */
}

char *canvas_text(const struct canvas *canvas)
{
    size_t row_bytes = 3 * (size_t)canvas->columns + 1;
    char *text = malloc((size_t)canvas->rows * row_bytes + 1), *end = text;

    if (!text)
        return NULL;
    for (int row = 0; row < canvas->rows; row++) {
        char *inked = end;

        for (int column = 0; column < canvas->columns; column++) {
            uint32_t glyph = cell_at(canvas, row, column)->glyph;

            end += canvas_encode(glyph, end);
            if (glyph != ' ')
                inked = end;
        }
        end = inked;
        *end++ = '\n';
    }
    *end = '\0';
    return text;
}
