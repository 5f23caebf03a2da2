#include "data/enlarge.h"

#include <string.h>

enum { BORDER = 2, COLOURS = 3 };

struct shape enlarged_shape(struct shape shape)
{
    return (struct shape){
        .height = shape.height + 2 * BORDER,
        .width = shape.width + 2 * BORDER,
        .channels = shape.channels == 1 ? COLOURS : shape.channels,
    };
}

bool enlarge_is_needed(const struct samples *samples)
{
    return samples->planes || samples->shape.height != samples->stored.height;
}

void enlarge_image(const struct samples *samples, const uint8_t *in, uint8_t *out)
{
    const struct shape stored = samples->stored, shape = samples->shape;
    const size_t channels = (size_t)stored.channels, pixels = (size_t)stored.height * (size_t)stored.width;
    const size_t pixel = samples->planes ? 1 : channels, channel = stored.channels == 1 ? 0
                                                                   : samples->planes    ? pixels
                                                                                        : 1;
    const int border = (shape.height - stored.height) / 2;

    if (border > 0)
        memset(out, 0, shape_size(shape));
    for (int y = 0; y < stored.height; y++) {
        uint8_t *row = out + ((size_t)(y + border) * (size_t)shape.width + (size_t)border) * (size_t)shape.channels;

        for (int x = 0; x < stored.width; x++, in += pixel)
            for (size_t c = 0; c < (size_t)shape.channels; c++)
                *row++ = in[c * channel];
    }
}
