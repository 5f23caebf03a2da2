#include "data/enlarge.h"

#include <stdlib.h>
#include <string.h>

#include "data/allocate.h"

enum { BORDER = 2, COLOURS = 3 };

struct shape enlarged_shape(struct shape shape)
{
    return (struct shape){
        .height = shape.height + 2 * BORDER,
        .width = shape.width + 2 * BORDER,
        .channels = shape.channels == 1 ? COLOURS : shape.channels,
    };
}

/* One image of `shape`, into black. */
static void enlarge(const uint8_t *in, struct shape shape, uint8_t *out)
{
    const struct shape larger = enlarged_shape(shape);
    const int copies = larger.channels / shape.channels; /* 3 of a grey channel, else 1 */

    for (int y = 0; y < shape.height; y++) {
        uint8_t *row = out + ((size_t)(y + BORDER) * (size_t)larger.width + BORDER) * (size_t)larger.channels;

        for (int i = 0; i < shape.width * shape.channels; i++, in++)
            for (int copy = 0; copy < copies; copy++)
                *row++ = *in;
    }
}

int enlarge_images(struct samples *samples, uint64_t room, struct error *error)
{
    const struct shape larger = enlarged_shape(samples->shape);
    const size_t size = shape_size(samples->shape), larger_size = shape_size(larger);
    const size_t bytes = (size_t)samples->count * larger_size;
    uint8_t *images = data_allocate("data.enlarge", "images", bytes, room, error);

    if (!images)
        return -1;
    memset(images, 0, bytes);
    for (int i = 0; i < samples->count; i++)
        enlarge(samples->images + (size_t)i * size, samples->shape, images + (size_t)i * larger_size);
    free(samples->images);
    samples->images = images;
    samples->shape = larger;
    return 0;
}
