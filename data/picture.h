/* JPEG and PNG files, decoded and scaled. Built with libjpeg-turbo and libpng where they are; without them no picture can be
 * read. */
#ifndef TP_DATA_PICTURE_H
#define TP_DATA_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "layers/layer.h"

enum { PICTURE_PIXELS_MAX = 1 << 26, PICTURE_BYTES_MAX = 1 << 28 };

/* Whether a file's name ends as that of a JPEG or a PNG does. */
bool picture_is_named(const char *name);

/* Decodes a file to out [height][width][channels], 1 or 3 channels: its shorter side is scaled to the shape's (a triangle
 * as wide as a pixel of the larger of the two), and of the other side the middle is kept. What is transparent lies on
 * white. An error does not name the file. */
int picture_read(const char *path, struct shape shape, uint8_t *out, struct error *error);

/* The same of a file's bytes. */
int picture_decode(const unsigned char *bytes, size_t size, struct shape shape, uint8_t *out, struct error *error);

/* Scales pixels [height][width][3] likewise. */
int picture_scale(const uint8_t *pixels, int height, int width, struct shape shape, uint8_t *out, struct error *error);

#endif
