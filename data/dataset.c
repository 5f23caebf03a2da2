/* The sources of data, and what every data set needs once its source has filled it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/numbers.h"
#include "base/text.h"
#include "data/elements.h"
#include "data/enlarge.h"
#include "data/memory.h"
#include "data/source.h"

enum { TEST_SHARE = 5, BYTE_VALUES = 256, TOKENS_AT_A_TIME = 1 << 16 };

static const struct source *const sources[] = {&source_fashion_mnist, &source_idx,    &source_cifar10,
                                               &source_cifar100,      &source_folder, &source_tiny_imagenet,
                                               &source_text,          &source_tokens, &source_synthetic};
enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };

const char *data_source_name(int n)
{
    return n >= 0 && n < SOURCES ? sources[n]->name : NULL;
}

static const struct source *find_source(const char *name)
{
    for (int i = 0; i < SOURCES; i++)
        if (strcmp(sources[i]->name, name) == 0)
            return sources[i];
    return NULL;
}

bool data_source_has_tokens(const char *name)
{
    const struct source *source = find_source(name);

    return source && source->tokens;
}

const char *source_dir(const struct source *source, const struct data_options *options, const char *what,
                       struct error *error)
{
    if (options->dir && *options->dir)
        return options->dir;
    if (!source->default_dir)
        error_set(error, "data.set = %s needs data.dir, %s", source->name, what);
    return source->default_dir;
}

int source_test_limit(int limit)
{
    return limit < TEST_SHARE ? 1 : limit / TEST_SHARE;
}

bool source_trusts(const struct data_options *options)
{
    return options->normalisation != NULL;
}

int source_hold(struct dataset *dataset, struct data_memory memory, struct error *error)
{
    const size_t count = (size_t)dataset->held_count + 1;
    struct data_memory *larger = realloc(dataset->held, count * sizeof(*larger));

    if (!larger) {
        data_memory_release(&memory);
        return error_set(error, "out of memory for the places of %zu files", count);
    }
    larger[dataset->held_count++] = memory;
    dataset->held = larger;
    return 0;
}

bool dataset_is_mapped(const struct dataset *dataset)
{
    return dataset->train.elements.mapped || dataset->test.elements.mapped;
}

static void limit_half(struct samples *samples, int count)
{
    samples->count = min_int(samples->count, count);
    elements_limit(&samples->elements, (size_t)count);
}

void source_limit(struct dataset *dataset, const struct data_options *options)
{
    if (options->limit == 0)
        return;
    limit_half(&dataset->train, options->limit);
    limit_half(&dataset->test, source_test_limit(options->limit));
}

/* What goes over all samples of a half. */
struct walk {
    const struct samples *samples;
    uint8_t *scratch; /* as struct dataset has it */
    uint32_t crc;
    size_t histograms[DATA_CHANNELS_MAX][BYTE_VALUES];
};

/* An image as a network sees it. */
static const uint8_t *seen(const struct walk *walk, const uint8_t *image)
{
    if (!enlarge_is_needed(walk->samples))
        return image;
    enlarge_image(walk->samples, image, walk->scratch);
    return walk->scratch;
}

static int count_bytes(void *context, const uint8_t *begin, size_t count)
{
    struct walk *walk = context;
    const uint8_t *image = seen(walk, begin);
    const size_t size = shape_size(walk->samples->shape), channels = (size_t)walk->samples->shape.channels;

    (void)count;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = c; i < size; i += channels)
            walk->histograms[c][image[i]]++;
    return 0;
}

/* Mean and deviation of a channel, exact by way of its histogram. */
static void measure_channel(struct normalisation *normalisation, const size_t *histogram, int channel)
{
    double sum = 0.0, squares = 0.0, count = 0.0;

    for (int value = 0; value < BYTE_VALUES; value++) {
        sum += (double)histogram[value] * value;
        count += (double)histogram[value];
    }
    double mean = sum / count;
    for (int value = 0; value < BYTE_VALUES; value++)
        squares += (double)histogram[value] * (value - mean) * (value - mean);
    normalisation->mean[channel] = (float)(mean / 255.0);
    if (squares > 0.0) /* all pixels alike have no scale; leave them at 0 */
        normalisation->deviation[channel] = (float)(sqrt(squares / count) / 255.0);
}

static void measure(struct dataset *dataset)
{
    struct walk walk = {.samples = &dataset->train, .scratch = dataset->scratch};

    if (dataset->train.token_bytes > 0 || dataset->train.elements.count == 0)
        return;
    elements_show(&dataset->train.elements, 1, count_bytes, &walk);
    for (int c = 0; c < dataset->train.shape.channels; c++)
        measure_channel(&dataset->normalisation, walk.histograms[c], c);
}

static int add_tokens(void *context, const uint8_t *begin, size_t count)
{
    struct walk *walk = context;

    walk->crc = (uint32_t)crc32_z(walk->crc, begin, count * (size_t)walk->samples->token_bytes);
    return 0;
}

static int add_image(void *context, const uint8_t *begin, size_t count)
{
    struct walk *walk = context;

    (void)count;
    walk->crc = (uint32_t)crc32_z(walk->crc, seen(walk, begin), shape_size(walk->samples->shape));
    return 0;
}

/* Labels to the checksum of what came before: as bytes if all are bytes, so that it is what it was when checkpoints were
 * made whose labels were bytes. */
static uint32_t add_labels(uint32_t crc, const struct samples *samples, int classes)
{
    const size_t count = (size_t)samples->count;
    unsigned char bytes[4096];

    if (classes > BYTE_VALUES)
        return (uint32_t)crc32_z(crc, (const unsigned char *)samples->targets, count * sizeof(*samples->targets));
    for (size_t start = 0, size; start < count; start += size) {
        size = count - start < sizeof(bytes) ? count - start : sizeof(bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)samples->targets[start + i];
        crc = (uint32_t)crc32_z(crc, bytes, size);
    }
    return crc;
}

uint32_t dataset_crc32(const struct dataset *dataset, int classes)
{
    const struct samples *halves[] = {&dataset->train, &dataset->test};
    struct walk walk = {.scratch = dataset->scratch};

    for (int half = 0; half < 2; half++) {
        walk.samples = halves[half];
        if (halves[half]->token_bytes > 0) {
            elements_show(&halves[half]->elements, TOKENS_AT_A_TIME, add_tokens, &walk);
        } else {
            elements_show(&halves[half]->elements, 1, add_image, &walk);
            walk.crc = add_labels(walk.crc, halves[half], classes);
        }
    }
    return walk.crc;
}

/* Between what lies in memory and what a network sees. */
static int prepare_images(struct dataset *dataset, const struct data_options *options, struct error *error)
{
    struct samples *halves[] = {&dataset->train, &dataset->test};

    for (int half = 0; half < 2; half++)
        if (options->enlarge && halves[half]->elements.count > 0 && halves[half]->token_bytes == 0)
            halves[half]->shape = enlarged_shape(halves[half]->stored);
    return dataset_prepare(dataset, error);
}

int dataset_prepare(struct dataset *dataset, struct error *error)
{
    if (dataset->train.elements.count == 0 || !enlarge_is_needed(&dataset->train))
        return 0;
    dataset->scratch = malloc(shape_size(dataset->train.shape));
    return dataset->scratch ? 0 : error_set(error, "out of memory for an image");
}

static int say_unknown(const char *name, struct error *error)
{
    char names[256] = "";

    for (int i = 0; i < SOURCES; i++)
        text_append(names, sizeof(names), "%s%s", i > 0 ? ", " : "", sources[i]->name);
    return error_set(error, "unknown data set \"%s\"; there are: %s", name, names);
}

int dataset_open(struct dataset **out, const struct data_options *options, int parts, struct error *error)
{
    const struct source *source = find_source(options->set);

    *out = NULL;
    if (!source)
        return say_unknown(options->set, error);
    struct dataset *dataset = calloc(1, sizeof(*dataset));
    if (!dataset)
        return error_set(error, "out of memory for a data set");
    for (int c = 0; c < DATA_CHANNELS_MAX; c++)
        dataset->normalisation.deviation[c] = 1.0f;
    if (source->open(dataset, source, options, parts, error) || prepare_images(dataset, options, error)) {
        dataset_close(dataset);
        return -1;
    }
    if (options->normalisation)
        dataset->normalisation = *options->normalisation;
    else
        measure(dataset);
    *out = dataset;
    return 0;
}

bool dataset_foretell_shape(const struct data_options *options, struct shape *shape)
{
    const struct source *source = find_source(options->set);

    *shape = (struct shape){0, 0, 0};
    if (source && source->tokens)
        *shape = (struct shape){options->context, 1, 1};
    else if (source && source->sized)
        *shape = (struct shape){options->size, options->size, options->channels};
    else if (source)
        *shape = source == &source_synthetic ? options->synthetic : source->shape;
    if (source && !source->tokens && options->enlarge && shape->height > 0)
        *shape = enlarged_shape(*shape);
    return shape->height > 0;
}

bool dataset_foretell(const struct data_options *options, struct samples *train, struct samples *test)
{
    const struct source *source = find_source(options->set);
    struct shape shape;

    if (!source || source->train == 0 || !dataset_foretell_shape(options, &shape))
        return false;
    *train = (struct samples){.count = source->train, .shape = shape};
    *test = (struct samples){.count = source->test, .shape = shape};
    if (options->limit > 0) {
        train->count = min_int(train->count, options->limit);
        test->count = min_int(test->count, source_test_limit(options->limit));
    }
    return true;
}

void dataset_close(struct dataset *dataset)
{
    struct samples *halves[] = {dataset ? &dataset->train : NULL, dataset ? &dataset->test : NULL};

    if (!dataset)
        return;
    for (int half = 0; half < 2; half++) {
        elements_release(&halves[half]->elements);
        if (!dataset->labels_held)
            free(halves[half]->targets);
    }
    for (int k = 0; k < dataset->held_count; k++)
        data_memory_release(&dataset->held[k]);
    free(dataset->held);
    free(dataset->scratch);
    free(dataset);
}
