/* What a network sees of an image that is stored otherwise: planes become pixels; and networks that are made for 32
 * x 32 pixels in colour get larger images from small grey ones. */
#ifndef TP_DATA_ENLARGE_H
#define TP_DATA_ENLARGE_H

#include "data/data.h"

/* The shape that images of that shape have when they are enlarged: by black pixels, two wide, around them, and with
 * a grey channel in the place of each of three. */
struct shape enlarged_shape(struct shape shape);

/* Whether images are seen otherwise than they are stored. */
bool enlarge_is_needed(const struct samples *samples);

/* Writes an image that is stored at `in` to out [height][width][channels] of samples->shape. */
void enlarge_image(const struct samples *samples, const uint8_t *in, uint8_t *out);

#endif
