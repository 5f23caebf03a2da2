/* libjpeg-turbo and libpng: what they decode is pixels [height][width][3], which the caller frees. */
#ifndef TP_DATA_DECODE_H
#define TP_DATA_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

int decode_jpeg(const unsigned char *bytes, size_t size, uint8_t **pixels, int *height, int *width,
                struct error *error);
int decode_png(const unsigned char *bytes, size_t size, uint8_t **pixels, int *height, int *width, struct error *error);

#endif
