#include "picture/render.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const names[PICTURE_FORMATS] = {[PICTURE_SVG] = "svg", [PICTURE_PDF] = "pdf", [PICTURE_PNG] = "png"};

const char *picture_format_name(enum picture_format format)
{
    return names[format];
}

static int check_ending(enum picture_format format, const char *path, struct error *error)
{
    const char *dot = strrchr(path, '.');

    for (int other = 0; dot && other < PICTURE_FORMATS; other++)
        if (other != (int)format && strcasecmp(dot + 1, names[other]) == 0)
            return error_set(error, "%s ends like a file for --%s", path, names[other]);
    return 0;
}

int picture_format_of(const char *path, enum picture_format *format, struct error *error)
{
    const char *dot = strrchr(path, '.');

    for (int k = 0; dot && k < PICTURE_FORMATS; k++) {
        if (strcasecmp(dot + 1, names[k]) == 0) {
            *format = (enum picture_format)k;
            return 0;
        }
    }
    return error_set(error, "%s: a picture's name ends with .svg, .pdf or .png", path);
}

#ifndef TP_CAIRO

int picture_check(enum picture_format format, const char *path, struct error *error)
{
    if (check_ending(format, path, error))
        return -1;
    return error_set(error, "--%s: tp was built without cairo; install libcairo2-dev and build it again",
                     names[format]);
}

int picture_write(const struct picture *picture, enum picture_format format, FILE *out, const char *name,
                  struct error *error)
{
    (void)picture;
    (void)out;
    return picture_check(format, name, error);
}

#else

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>

enum { PIXELS_PER_UNIT = 2, PIXELS_MAX = 32000 };
static const double hatch_step = 5, hatch_width = 1.1, dash = 4;

int picture_check(enum picture_format format, const char *path, struct error *error)
{
    return check_ending(format, path, error);
}

static void set_ink(cairo_t *cairo, enum ink ink, double opacity)
{
    const struct rgb rgb = ink_rgb(ink);

    cairo_set_source_rgba(cairo, rgb.red, rgb.green, rgb.blue, opacity);
}

/* Lines that rise to the right, over the path that is the clip. They begin at the picture's origin, so that those of
 * neighbours meet. */
static void hatch(cairo_t *cairo)
{
    double left, top, right, bottom;

    cairo_clip_extents(cairo, &left, &top, &right, &bottom);
    cairo_set_line_width(cairo, hatch_width);
    for (double c = floor((left + top) / hatch_step) * hatch_step; c < right + bottom; c += hatch_step) {
        cairo_move_to(cairo, c - top, top);
        cairo_line_to(cairo, c - bottom, bottom);
    }
    cairo_stroke(cairo);
}

/* Of the path. */
static void fill(cairo_t *cairo, const struct element *element)
{
    set_ink(cairo, element->ink, element->fill == FILL_CLEAR ? 0.25 : 1.0);
    if (element->fill != FILL_HATCHED) {
        cairo_fill(cairo);
        return;
    }
    cairo_save(cairo);
    cairo_clip(cairo);
    hatch(cairo);
    cairo_restore(cairo);
}

static void stroke(cairo_t *cairo, const struct element *element)
{
    set_ink(cairo, element->ink, 1.0);
    cairo_set_line_width(cairo, element->size);
    cairo_set_dash(cairo, &dash, element->stroke == STROKE_DASHED, 0);
    cairo_stroke(cairo);
}

static void trace_points(cairo_t *cairo, const struct element *element)
{
    for (int k = 0; k < element->point_count; k++)
        cairo_line_to(cairo, element->points[k].x, element->points[k].y);
}

static void draw_text(cairo_t *cairo, const struct element *element)
{
    static const double shares[] = {[ANCHOR_LEFT] = 0, [ANCHOR_MIDDLE] = 0.5, [ANCHOR_RIGHT] = 1};
    cairo_text_extents_t extents;
    double size = element->size;

    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           element->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, size);
    cairo_text_extents(cairo, element->text, &extents);
    if (element->room > 0 && extents.x_advance > element->room) {
        size *= element->room / extents.x_advance;
        cairo_set_font_size(cairo, size);
        cairo_text_extents(cairo, element->text, &extents);
    }
    set_ink(cairo, element->ink, 1.0);
    cairo_move_to(cairo, element->x - shares[element->anchor] * extents.x_advance, element->y);
    cairo_show_text(cairo, element->text);
}

static void draw(cairo_t *cairo, const struct element *element)
{
    cairo_new_path(cairo);
    switch (element->kind) {
    case ELEMENT_RECTANGLE:
        cairo_rectangle(cairo, element->x, element->y, element->width, element->height);
        fill(cairo, element);
        break;
    case ELEMENT_LINE:
        cairo_move_to(cairo, element->x, element->y);
        cairo_line_to(cairo, element->x + element->width, element->y + element->height);
        stroke(cairo, element);
        break;
    case ELEMENT_CURVE:
        trace_points(cairo, element);
        stroke(cairo, element);
        break;
    case ELEMENT_AREA:
        trace_points(cairo, element);
        fill(cairo, element);
        break;
    case ELEMENT_TEXT:
        draw_text(cairo, element);
        break;
    }
}

static cairo_status_t write_bytes(void *stream, const unsigned char *bytes, unsigned count)
{
    return fwrite(bytes, 1, count, stream) == count ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static cairo_surface_t *open_surface(const struct picture *picture, enum picture_format format, FILE *out)
{
    cairo_surface_t *surface;

    switch (format) {
    case PICTURE_SVG:
        return cairo_svg_surface_create_for_stream(write_bytes, out, picture->width, picture->height);
    case PICTURE_PDF:
        surface = cairo_pdf_surface_create_for_stream(write_bytes, out, picture->width, picture->height);
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, picture->title);
        return surface;
    default:
        surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(PIXELS_PER_UNIT * picture->width),
                                             (int)ceil(PIXELS_PER_UNIT * picture->height));
        cairo_surface_set_device_scale(surface, PIXELS_PER_UNIT, PIXELS_PER_UNIT);
        return surface;
    }
}

static void draw_all(cairo_surface_t *surface, const struct picture *picture)
{
    cairo_t *cairo = cairo_create(surface);

    set_ink(cairo, INK_PAPER, 1.0);
    cairo_paint(cairo);
    for (int k = 0; k < picture->count; k++)
        draw(cairo, &picture->elements[k]);
    cairo_destroy(cairo);
}

int picture_write(const struct picture *picture, enum picture_format format, FILE *out, const char *name,
                  struct error *error)
{
    if (picture->failed)
        return error_set(error, "out of memory for the picture");
    if (format == PICTURE_PNG && PIXELS_PER_UNIT * fmax(picture->width, picture->height) > PIXELS_MAX)
        return error_set(error, "%s: the picture is too large for pixels; draw less of it, or use --svg or --pdf",
                         name);

    cairo_surface_t *surface = open_surface(picture, format, out);
    cairo_status_t status;

    draw_all(surface, picture);
    status = cairo_surface_status(surface);
    if (status == CAIRO_STATUS_SUCCESS && format == PICTURE_PNG)
        status = cairo_surface_write_to_png_stream(surface, write_bytes, out);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    if (status == CAIRO_STATUS_NO_MEMORY)
        return error_set(error, "out of memory for the picture");
    if (status != CAIRO_STATUS_SUCCESS && status != CAIRO_STATUS_WRITE_ERROR)
        return error_set(error, "%s: %s", name, cairo_status_to_string(status));
    if (fflush(out) || ferror(out) || status == CAIRO_STATUS_WRITE_ERROR)
        return error_set(error, "%s cannot be written: %s", name, strerror(errno));
    return 0;
}

#endif
