/* Which samples an epoch visits when, and how they become rows of floats. */
#include <string.h>

#include "base/random.h"
#include "data/elements.h"
#include "data/enlarge.h"

/* How an image moves: pixel (y, x) of the output is pixel (y - down, x - right) of the image, mirrored first if
 * asked. */
struct move {
    int down, right;
    bool mirrored;
};

/* One multiply and one add take a channel's byte to its normalised value; `outside` is what comes in at the edges. */
struct normaliser {
    int channels;
    float scale[DATA_CHANNELS_MAX], offset[DATA_CHANNELS_MAX], outside[DATA_CHANNELS_MAX];
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

static int draw_shift(uint32_t word, int most)
{
    return (int)((uint64_t)word * (2 * (uint64_t)most + 1) >> 32) - most;
}

static struct move draw_move(const struct augmentation *augmentation, int sample)
{
    const int most = augmentation->kind == AUGMENT_CROP ? 4 : 2;
    uint32_t words[4];

    random_block(augmentation->seed, RANDOM_AUGMENT, (uint32_t)augmentation->epoch, (uint64_t)sample, words);
    return (struct move){
        .down = draw_shift(words[0], most), .right = draw_shift(words[1], most), .mirrored = words[2] >> 31};
}

static struct normaliser normaliser_of(const struct dataset *dataset, int channels, enum augment kind)
{
    struct normaliser normaliser = {.channels = channels};

    for (int c = 0; c < channels; c++) {
        normaliser.scale[c] = 1.0f / (255.0f * dataset->normalisation.deviation[c]);
        normaliser.offset[c] = -dataset->normalisation.mean[c] / dataset->normalisation.deviation[c];
        normaliser.outside[c] = kind == AUGMENT_CROP ? normaliser.offset[c] : 0.0f;
    }
    return normaliser;
}

/* Every `channels`-th of `count` numbers. */
static inline void normalise_channel(const uint8_t *in, size_t count, size_t channels, float scale, float offset,
                                     float *out)
{
    for (size_t i = 0; i < count; i += channels)
        out[i] = (float)in[i] * scale + offset;
}

/* Strides that are constants vectorise. */
static void normalise(const uint8_t *in, size_t pixels, const struct normaliser *normaliser, float *out)
{
    const float *scale = normaliser->scale, *offset = normaliser->offset;

    if (normaliser->channels == 1) {
        normalise_channel(in, pixels, 1, scale[0], offset[0], out);
        return;
    }
    for (size_t c = 0; c < (size_t)normaliser->channels; c++)
        normalise_channel(in + c, pixels * (size_t)normaliser->channels - c, (size_t)normaliser->channels, scale[c],
                          offset[c], out + c);
}

/* `pixels` pixels from `in` on towards the row's beginning. */
static void normalise_mirrored(const uint8_t *in, int pixels, const struct normaliser *normaliser, float *out)
{
    for (int x = 0; x < pixels; x++)
        for (int c = 0; c < normaliser->channels; c++)
            *out++ = (float)in[c - x * normaliser->channels] * normaliser->scale[c] + normaliser->offset[c];
}

static void fill(float *out, size_t pixels, const struct normaliser *normaliser)
{
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < normaliser->channels; c++)
            *out++ = normaliser->outside[c];
}

static void gather_moved(const uint8_t *image, struct shape shape, struct move move,
                         const struct normaliser *normaliser, float *out)
{
    const size_t channels = (size_t)shape.channels, row_size = (size_t)shape.width * channels;
    const int left = move.right > 0 ? move.right : 0; /* columns [left, end) of the output come from the image */
    const int end = move.right < 0 ? shape.width + move.right : shape.width;
    const int from = move.mirrored ? shape.width - 1 - (left - move.right) : left - move.right;

    fill(out, (size_t)shape.height * (size_t)shape.width, normaliser);
    for (int y = 0; y < shape.height; y++) {
        int source = y - move.down;
        if (source < 0 || source >= shape.height || left >= end)
            continue;
        const uint8_t *in = image + (size_t)source * row_size + (size_t)from * channels;
        float *row = out + (size_t)y * row_size + (size_t)left * channels;
        if (move.mirrored)
            normalise_mirrored(in, end - left, normaliser, row);
        else
            normalise(in, (size_t)(end - left), normaliser, row);
    }
}

void data_copy_image(const struct samples *samples, int index, uint8_t *out)
{
    const uint8_t *stored = elements_at(&samples->elements, (size_t)index, NULL);

    if (enlarge_is_needed(samples))
        enlarge_image(samples, stored, out);
    else
        memcpy(out, stored, shape_size(samples->shape));
}

void data_gather_images(const struct dataset *dataset, const struct samples *samples, const int *indices, int rows,
                        const struct augmentation *augmentation, float *out)
{
    const size_t size = shape_size(samples->shape);
    const enum augment kind = augmentation ? augmentation->kind : AUGMENT_NONE;
    const struct normaliser normaliser = normaliser_of(dataset, samples->shape.channels, kind);

    for (int r = 0; r < rows; r++, out += size) {
        const uint8_t *image = elements_at(&samples->elements, (size_t)indices[r], NULL);

        if (dataset->scratch) {
            enlarge_image(samples, image, dataset->scratch);
            image = dataset->scratch;
        }
        if (kind != AUGMENT_NONE)
            gather_moved(image, samples->shape, draw_move(augmentation, indices[r]), &normaliser, out);
        else
            normalise(image, size / (size_t)samples->shape.channels, &normaliser, out);
    }
}

/* `count` tokens from number `first` on. */
static void widen(const struct samples *samples, size_t first, int count, int32_t *out)
{
    const uint8_t *in = NULL;
    size_t follow = 0;

    for (int i = 0; i < count; i++, in += samples->token_bytes, follow--) {
        uint32_t token = 0;

        if (follow == 0)
            in = elements_at(&samples->elements, first + (size_t)i, &follow);
        for (int k = samples->token_bytes; k-- > 0;)
            token = token << 8 | in[k];
        out[i] = token > INT32_MAX ? INT32_MAX : (int32_t)token;
    }
}

/* All were below the classes when they were looked at; a mapped file may have changed since. */
static int check_range(const char *what, int sample, const int32_t *values, int count, int classes, struct error *error)
{
    for (int i = 0; i < count; i++)
        if (values[i] < 0 || values[i] >= classes)
            return error_set(error, "sample %d has %s %d, but there are only %d; its file has changed", sample, what,
                             values[i], classes);
    return 0;
}

int data_gather_tokens(const struct samples *samples, const int *indices, int rows, int classes, int32_t *out,
                       struct error *error)
{
    const int context = samples->shape.height;

    for (int r = 0; r < rows; r++, out += context) {
        widen(samples, (size_t)indices[r] * (size_t)context, context, out);
        if (check_range("token", indices[r], out, context, classes, error))
            return -1;
    }
    return 0;
}

int data_gather_targets(const struct samples *samples, const int *indices, int rows, int classes, int32_t *out,
                        struct error *error)
{
    const int size = samples->targets_per_sample;

    for (int r = 0; r < rows; r++, out += size) {
        if (samples->token_bytes > 0)
            widen(samples, (size_t)indices[r] * (size_t)size + 1, size, out);
        else
            *out = samples->targets[indices[r]];
        if (check_range(samples->token_bytes > 0 ? "token" : "label", indices[r], out, size, classes, error))
            return -1;
    }
    return 0;
}
