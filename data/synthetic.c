/* Images made from a seed, for trying things without a data set: each class is a smooth random pattern under noise,
 * so a network can learn to tell them apart. Sample i does not depend on how many there are. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/elements.h"
#include "data/memory.h"
#include "data/source.h"

/* Pattern and noise each take half of a byte's range, so their sum never needs clipping. */
enum { TRAIN_COUNT = 10000, TEST_COUNT = 2000 };
enum { GRID = 5, PATTERN_RANGE = 128, NOISE_SHIFT = 1 };

/* Substreams of RANDOM_SYNTHETIC: the patterns, then one per half. */
enum { PATTERNS, NOISE };
enum half { TRAIN, TEST };

static const char where[] = "the synthetic data set";

static int label_of(int sample, int classes)
{
    return sample % classes;
}

/* The value at node (row, column) of the coarse grid behind a plane: one channel of one class. */
static float grid_value(uint64_t seed, uint64_t plane, int row, int column)
{
    uint64_t node = (plane * GRID + (uint64_t)row) * GRID + (uint64_t)column;

    return random_uniform(seed, RANDOM_SYNTHETIC, PATTERNS, node) * (float)PATTERN_RANGE;
}

/* Position i of `size` on the grid: the node before it, and how far it is to the next one. */
static int grid_position(int i, int size, float *fraction)
{
    float position = (float)i * (float)(GRID - 1) / (float)size;
    int node = (int)position;

    *fraction = position - (float)node;
    return node;
}

static uint8_t pattern_value(uint64_t seed, uint64_t plane, struct shape shape, int y, int x)
{
    float down, right;
    int row = grid_position(y, shape.height, &down), column = grid_position(x, shape.width, &right);
    float above =
        grid_value(seed, plane, row, column) * (1.0f - right) + grid_value(seed, plane, row, column + 1) * right;
    float below = grid_value(seed, plane, row + 1, column) * (1.0f - right) +
                  grid_value(seed, plane, row + 1, column + 1) * right;

    return (uint8_t)(above * (1.0f - down) + below * down);
}

/* patterns [classes][height][width][channels], values below PATTERN_RANGE. */
static void draw_patterns(uint8_t *patterns, int classes, struct shape shape, uint64_t seed)
{
    for (int label = 0; label < classes; label++)
        for (int y = 0; y < shape.height; y++)
            for (int x = 0; x < shape.width; x++)
                for (int c = 0; c < shape.channels; c++)
                    *patterns++ = pattern_value(seed, (uint64_t)(label * shape.channels + c), shape, y, x);
}

static void draw_image(uint8_t *image, const uint8_t *pattern, size_t size, uint64_t seed, uint32_t substream,
                       uint64_t sample)
{
    uint8_t noise[4 * sizeof(uint32_t)];
    uint64_t block = sample * ((size + sizeof(noise) - 1) / sizeof(noise));

    for (size_t i = 0; i < size; i++) {
        if (i % sizeof(noise) == 0) {
            uint32_t words[4];
            random_block(seed, RANDOM_SYNTHETIC, substream, block++, words);
            memcpy(noise, words, sizeof(noise));
        }
        image[i] = (uint8_t)(pattern[i] + (noise[i % sizeof(noise)] >> NOISE_SHIFT));
    }
}

/* Images of samples->stored to `images`. */
static int draw_images(const struct samples *samples, enum half half, const struct data_options *options,
                       uint8_t *images, struct error *error)
{
    const size_t count = (size_t)samples->count, size = shape_size(samples->stored);
    uint8_t *patterns = calloc((size_t)options->classes, size);

    if (!patterns)
        return error_set(error, "out of memory for the patterns of %d classes", options->classes);
    draw_patterns(patterns, options->classes, samples->stored, options->seed);
    for (size_t i = 0; i < count; i++)
        draw_image(images + i * size, patterns + (size_t)label_of((int)i, options->classes) * size, size, options->seed,
                   NOISE + half, i);
    free(patterns);
    return 0;
}

static int make_images(struct dataset *dataset, struct samples *samples, enum half half,
                       const struct data_options *options, struct error *error)
{
    struct data_memory memory;

    samples->shape = samples->stored = options->synthetic;
    samples->elements.stride = shape_size(samples->stored);
    memory.size = (size_t)samples->count * samples->elements.stride;
    memory = (struct data_memory){.bytes = data_allocate(where, "images", memory.size, options->room, error),
                                  .size = memory.size};
    return !memory.bytes || source_hold(dataset, memory, error) ||
           draw_images(samples, half, options, memory.bytes, error) ||
           elements_add(&samples->elements, memory.bytes, (size_t)samples->count, error);
}

static int make_labels(struct samples *samples, int classes, uint64_t room, struct error *error)
{
    int32_t *labels = data_allocate(where, "labels", (size_t)samples->count * sizeof(*labels), room, error);

    if (!labels)
        return -1;
    for (int i = 0; i < samples->count; i++)
        labels[i] = label_of(i, classes);
    samples->targets_per_sample = 1;
    samples->targets = labels;
    return 0;
}

static int make_half(struct dataset *dataset, struct samples *samples, enum half half, int count,
                     const struct data_options *options, int parts, struct error *error)
{
    samples->count = count;
    if ((parts & DATA_IMAGES) && make_images(dataset, samples, half, options, error))
        return -1;
    return parts & DATA_TARGETS ? make_labels(samples, options->classes, options->room, error) : 0;
}

static int open_synthetic(struct dataset *dataset, const struct source *source, const struct data_options *options,
                          int parts, struct error *error)
{
    const int limit = options->limit, train = limit > 0 ? limit : TRAIN_COUNT,
              test = limit > 0 ? source_test_limit(limit) : TEST_COUNT;

    (void)source;
    if (make_half(dataset, &dataset->train, TRAIN, train, options, parts, error))
        return -1;
    return make_half(dataset, &dataset->test, TEST, test, options, parts, error);
}

const struct source source_synthetic = {.name = "synthetic", .open = open_synthetic};
