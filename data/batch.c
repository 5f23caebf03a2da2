/* Which samples an epoch visits when, and how they become rows of floats. */
#include <string.h>

#include "base/random.h"
#include "data/data.h"

enum { SHIFT_MAX = 2 };

/* How an image moves: pixel (y, x) of the output is pixel (y - down, x - right) of the image, mirrored first if asked. */
struct move {
    int down, right;
    bool mirrored;
};

/* One multiply and one add take a byte to its normalised value. */
struct normaliser {
    float scale, offset;
};

void data_order(uint64_t seed, int epoch, int count, int *order)
{
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) { /* Fisher-Yates */
        uint32_t j = random_below(seed, RANDOM_ORDER, (uint32_t)epoch, (uint64_t)i, (uint32_t)i + 1);
        int swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

static int draw_shift(uint32_t word)
{
    return (int)((uint64_t)word * (2 * SHIFT_MAX + 1) >> 32) - SHIFT_MAX;
}

static struct move draw_move(const struct augmentation *augmentation, int sample)
{
    uint32_t words[4];

    random_block(augmentation->seed, RANDOM_AUGMENT, (uint32_t)augmentation->epoch, (uint64_t)sample, words);
    return (struct move){.down = draw_shift(words[0]), .right = draw_shift(words[1]), .mirrored = words[2] >> 31};
}

static void normalise(const uint8_t *in, size_t count, struct normaliser normaliser, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)in[i] * normaliser.scale + normaliser.offset;
}

/* `count` pixels from `in` on towards the row's beginning. */
static void normalise_mirrored(const uint8_t *in, int count, int channels, struct normaliser normaliser, float *out)
{
    for (int x = 0; x < count; x++)
        for (int c = 0; c < channels; c++)
            *out++ = (float)in[c - x * channels] * normaliser.scale + normaliser.offset;
}

static void gather_moved(const uint8_t *image, struct shape shape, struct move move, struct normaliser normaliser,
                         float *out)
{
    const size_t channels = (size_t)shape.channels, row_size = (size_t)shape.width * channels;
    const int left = move.right > 0 ? move.right : 0; /* columns [left, end) of the output come from the image */
    const int end = move.right < 0 ? shape.width + move.right : shape.width;
    const int from = move.mirrored ? shape.width - 1 - (left - move.right) : left - move.right;

    memset(out, 0, (size_t)shape.height * row_size * sizeof(*out));
    for (int y = 0; y < shape.height; y++) {
        int source = y - move.down;
        if (source < 0 || source >= shape.height || left >= end)
            continue;
        const uint8_t *in = image + (size_t)source * row_size + (size_t)from * channels;
        float *row = out + (size_t)y * row_size + (size_t)left * channels;
        if (move.mirrored)
            normalise_mirrored(in, end - left, shape.channels, normaliser, row);
        else
            normalise(in, (size_t)(end - left) * channels, normaliser, row);
    }
}

void data_gather_images(const struct dataset *dataset, const struct samples *samples, const int *indices, int rows,
                        const struct augmentation *augmentation, float *out)
{
    const size_t size = shape_size(samples->shape);
    const struct normaliser normaliser = {1.0f / (255.0f * dataset->deviation), -dataset->mean / dataset->deviation};

    for (int r = 0; r < rows; r++, out += size) {
        const uint8_t *image = samples->images + (size_t)indices[r] * size;
        if (augmentation && augmentation->enabled)
            gather_moved(image, samples->shape, draw_move(augmentation, indices[r]), normaliser, out);
        else
            normalise(image, size, normaliser, out);
    }
}

void data_gather_targets(const struct samples *samples, const int *indices, int rows, int32_t *out)
{
    const size_t size = (size_t)samples->targets_per_sample;

    for (int r = 0; r < rows; r++, out += size)
        memcpy(out, samples->targets + (size_t)indices[r] * size, size * sizeof(*out));
}
