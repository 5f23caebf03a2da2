#include "data/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/numbers.h"
#include "data/decode.h"
#include "data/foreign.h"

bool picture_is_named(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const size_t length = strlen(name);

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        const size_t size = strlen(endings[i]);

        if (length > size && strcasecmp(name + length - size, endings[i]) == 0)
            return true;
    }
    return false;
}

/* One side: out pixel i is a weighted mean of the pixels around the place `begin + (i + 1/2) step` of the picture. */
struct side {
    int in;
    double begin, step;
};

/* Calls for each pixel that counts would cost more than the pixels: this gives the first, and fills their weights. */
static int weigh(const struct side *side, int i, double *weights, int *count)
{
    const double centre = side->begin + (i + 0.5) * side->step, reach = fmax(1.0, side->step);
    const int first = max_int(0, (int)floor(centre - reach)), end = min_int(side->in, (int)ceil(centre + reach));
    double sum = 0.0;

    *count = end - first;
    for (int k = 0; k < *count; k++)
        sum += weights[k] = fmax(0.0, 1.0 - fabs(first + k + 0.5 - centre) / reach);
    for (int k = 0; k < *count; k++)
        weights[k] /= sum;
    return first;
}

enum { COLOURS = 3 };

/* Rows become `width` pixels wide: out [height][width][3]. */
static void scale_rows(const uint8_t *pixels, int height, const struct side *side, int width, double *weights,
                       float *out)
{
    for (int x = 0; x < width; x++) {
        int count;
        const int first = weigh(side, x, weights, &count);

        for (int y = 0; y < height; y++) {
            const uint8_t *in = pixels + ((size_t)y * (size_t)side->in + (size_t)first) * COLOURS;
            float *pixel = out + ((size_t)y * (size_t)width + (size_t)x) * COLOURS;

            for (int c = 0; c < COLOURS; c++) {
                double sum = 0.0;

                for (int k = 0; k < count; k++)
                    sum += weights[k] * in[k * COLOURS + c];
                pixel[c] = (float)sum;
            }
        }
    }
}

/* Of a pixel's colours, as television has weighed them since 1953. */
static double grey(const double *colour)
{
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
}

static void scale_columns(const float *rows, const struct side *side, struct shape shape, double *weights, uint8_t *out)
{
    for (int y = 0; y < shape.height; y++) {
        int count;
        const int first = weigh(side, y, weights, &count);

        for (int x = 0; x < shape.width; x++) {
            double colour[COLOURS] = {0.0};

            for (int k = 0; k < count; k++)
                for (int c = 0; c < COLOURS; c++)
                    colour[c] +=
                        weights[k] *
                        (double)rows[(((size_t)(first + k)) * (size_t)shape.width + (size_t)x) * COLOURS + (size_t)c];
            if (shape.channels == 1)
                colour[0] = grey(colour);
            for (int c = 0; c < shape.channels; c++)
                *out++ = (uint8_t)fmin(255.0, colour[c] + 0.5);
        }
    }
}

int picture_scale(const uint8_t *pixels, int height, int width, struct shape shape, uint8_t *out, struct error *error)
{
    const double step = fmin((double)height / shape.height, (double)width / shape.width);
    const struct side down = {height, (height - step * shape.height) / 2, step},
                      right = {width, (width - step * shape.width) / 2, step};
    float *rows = malloc((size_t)height * (size_t)shape.width * COLOURS * sizeof(*rows));
    double *weights = malloc((size_t)(2.0 * step + 4.0) * sizeof(*weights));
    int result = 0;

    if (!rows || !weights) {
        result = error_set(error, "out of memory for a picture of %d x %d pixels", width, height);
    } else {
        scale_rows(pixels, height, &right, shape.width, weights, rows);
        scale_columns(rows, &down, shape, weights, out);
    }
    free(rows);
    free(weights);
    return result;
}

static int say_what_it_is(const unsigned char *bytes, size_t size, struct error *error)
{
    char foreign[FOREIGN_TEXT_MAX];

    foreign_describe(bytes, size < FOREIGN_BEGIN_BYTES ? size : FOREIGN_BEGIN_BYTES, foreign);
    return error_set(error, "%s", foreign[0] ? foreign : "is neither a JPEG nor a PNG");
}

int picture_decode(const unsigned char *bytes, size_t size, struct shape shape, uint8_t *out, struct error *error)
{
    uint8_t *pixels = NULL;
    int height = 0, width = 0, result;

    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        result = decode_jpeg(bytes, size, &pixels, &height, &width, error);
    else if (size >= 4 && memcmp(bytes, "\x89PNG", 4) == 0)
        result = decode_png(bytes, size, &pixels, &height, &width, error);
    else
        return say_what_it_is(bytes, size, error);
    if (result)
        return -1;
    result = picture_scale(pixels, height, width, shape, out, error);
    free(pixels);
    return result;
}

int picture_read(const char *path, struct shape shape, uint8_t *out, struct error *error)
{
    char *bytes;
    size_t size;
    int result;

    if (file_read(path, &bytes, &size, error))
        return -1;
    if (size > PICTURE_BYTES_MAX)
        result = error_set(error, "has %zu MiB; pictures may have %d", size >> 20, PICTURE_BYTES_MAX >> 20);
    else
        result = picture_decode((const unsigned char *)bytes, size, shape, out, error);
    free(bytes);
    return result;
}
