/* Larger images from small grey ones, for networks that are made for 32 x 32 pixels in colour. */
#ifndef TP_DATA_ENLARGE_H
#define TP_DATA_ENLARGE_H

#include "data/data.h"

/* The shape that images of that shape have when they are enlarged. */
struct shape enlarged_shape(struct shape shape);

/* Puts black pixels, two wide, around the images, and a grey channel in the place of each of three. -1 and both figures if there is
 * no room (struct data_options); then they are as they were. */
int enlarge_images(struct samples *samples, uint64_t room, struct error *error);

#endif
