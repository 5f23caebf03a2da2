#include "picture/picture.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void picture_begin(struct picture *picture, double width, double height)
{
    *picture = (struct picture){.width = width, .height = height};
}

void picture_release(struct picture *picture)
{
    for (int k = 0; k < picture->count; k++) {
        free(picture->elements[k].text);
        free(picture->elements[k].points);
    }
    free(picture->elements);
    picture->elements = NULL;
    picture->count = 0;
}

/* Takes over what the element owns. */
static void add(struct picture *picture, enum element_kind kind, struct element element)
{
    if (picture->count == picture->room) {
        const int room = picture->room > 0 ? 2 * picture->room : 256;
        struct element *elements = realloc(picture->elements, (size_t)room * sizeof(*elements));

        if (!elements) {
            picture->failed = true;
            free(element.text);
            free(element.points);
            return;
        }
        picture->elements = elements;
        picture->room = room;
    }
    element.kind = kind;
    picture->elements[picture->count++] = element;
}

void picture_rectangle(struct picture *picture, struct element rectangle)
{
    add(picture, ELEMENT_RECTANGLE, rectangle);
}

void picture_line(struct picture *picture, struct element line)
{
    add(picture, ELEMENT_LINE, line);
}

static void add_points(struct picture *picture, enum element_kind kind, struct element element,
                       const struct point *points, int count)
{
    if (count == 0)
        return;
    element.points = malloc((size_t)count * sizeof(*points));
    element.point_count = count;
    if (!element.points) {
        picture->failed = true;
        return;
    }
    memcpy(element.points, points, (size_t)count * sizeof(*points));
    add(picture, kind, element);
}

void picture_curve(struct picture *picture, struct element curve, const struct point *points, int count)
{
    add_points(picture, ELEMENT_CURVE, curve, points, count);
}

void picture_area(struct picture *picture, struct element area, const struct point *points, int count)
{
    add_points(picture, ELEMENT_AREA, area, points, count);
}

void picture_text(struct picture *picture, struct element text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text.text, format, arguments) < 0) {
        text.text = NULL;
        picture->failed = true;
    }
    va_end(arguments);
    if (text.text)
        add(picture, ELEMENT_TEXT, text);
}

void picture_append(struct picture *picture, struct picture *other, double x, double y)
{
    for (int k = 0; k < other->count; k++) {
        struct element *element = &other->elements[k];

        element->x += x;
        element->y += y;
        for (int p = 0; p < element->point_count; p++) {
            element->points[p].x += x;
            element->points[p].y += y;
        }
        add(picture, element->kind, *element);
    }
    picture->failed |= other->failed;
    other->count = 0;
    picture_release(other);
}

double picture_step(double length, int marks)
{
    const double rough = length / marks, power = pow(10, floor(log10(rough))), times = rough / power;

    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/* Of a usual sans-serif, in parts of its size. */
double picture_text_width(const char *text, double size, bool bold)
{
    double width = 0;

    for (; *text; text++) {
        if (((unsigned char)*text & 0xC0) == 0x80) /* a further byte of UTF-8 */
            continue;
        width += strchr("iljtfI.,:;'|()[]! ", *text) ? 0.36 : strchr("mwMW%@", *text) ? 0.92 : 0.62;
    }
    return width * size * (bold ? 1.1 : 1.0);
}

static void print_points(const struct element *element, FILE *out)
{
    for (int k = 0; k < element->point_count; k++)
        fprintf(out, " %.1f,%.1f", element->points[k].x, element->points[k].y);
}

static void print_element(const struct element *element, FILE *out)
{
    static const char *const kinds[] = {"rectangle", "line", "curve", "area", "text"};
    static const char *const fills[] = {"", " hatched", " clear"};
    static const char *const anchors[] = {"", " middle", " right"};

    fprintf(out, "%s %s%s%s", kinds[element->kind], ink_name(element->ink), fills[element->fill],
            element->stroke == STROKE_DASHED ? " dashed" : "");
    switch (element->kind) {
    case ELEMENT_RECTANGLE:
        fprintf(out, " %.1f,%.1f %.1fx%.1f", element->x, element->y, element->width, element->height);
        break;
    case ELEMENT_LINE:
        fprintf(out, " %.1f,%.1f to %.1f,%.1f width %.1f", element->x, element->y, element->x + element->width,
                element->y + element->height, element->size);
        break;
    case ELEMENT_CURVE:
    case ELEMENT_AREA:
        print_points(element, out);
        break;
    case ELEMENT_TEXT:
        fprintf(out, "%s%s %.1f,%.1f size %.1f", anchors[element->anchor], element->bold ? " bold" : "", element->x,
                element->y, element->size);
        if (element->room > 0)
            fprintf(out, " in %.1f", element->room);
        fprintf(out, ": %s", element->text);
        break;
    }
    fputc('\n', out);
}

void picture_print(const struct picture *picture, FILE *out)
{
    fprintf(out, "%.1fx%.1f %s\n", picture->width, picture->height, picture->title);
    for (int k = 0; k < picture->count; k++)
        print_element(&picture->elements[k], out);
}
