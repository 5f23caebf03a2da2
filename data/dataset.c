/* The sources of data, and what every data set needs once its source has filled it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/numbers.h"
#include "base/text.h"
#include "data/enlarge.h"
#include "data/source.h"

enum { TEST_SHARE = 5, BYTE_VALUES = 256 };

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

static void *shrink(void *bytes, size_t size)
{
    void *smaller = bytes ? realloc(bytes, size) : NULL;

    return smaller ? smaller : bytes;
}

static size_t target_bytes(const struct samples *samples, int count)
{
    return (size_t)count * (size_t)samples->targets_per_sample * sizeof(*samples->targets);
}

/* Forgets all but the first `count` samples and gives their memory back. */
static void keep_first(struct samples *samples, int count, bool is_mapped)
{
    if (count >= samples->count)
        return;
    samples->count = count;
    if (is_mapped)
        return;
    samples->images = shrink(samples->images, (size_t)count * shape_size(samples->shape));
    samples->targets = shrink(samples->targets, target_bytes(samples, count));
}

int source_test_limit(int limit)
{
    return limit < TEST_SHARE ? 1 : limit / TEST_SHARE;
}

bool dataset_is_mapped(const struct dataset *dataset)
{
    return dataset->held[0].mapped || dataset->shared.mapped;
}

void source_limit(struct dataset *dataset, const struct data_options *options)
{
    if (options->limit == 0)
        return;
    keep_first(&dataset->train, options->limit, dataset_is_mapped(dataset));
    keep_first(&dataset->test, source_test_limit(options->limit), dataset_is_mapped(dataset));
}

/* Mean and deviation of a channel of the training images, exact by way of a histogram. */
static void measure_channel(struct normalisation *normalisation, const struct samples *train, int channel)
{
    const size_t channels = (size_t)train->shape.channels, size = (size_t)train->count * shape_size(train->shape);
    size_t histogram[BYTE_VALUES] = {0};
    double sum = 0.0, squares = 0.0, count = (double)(size / channels);

    for (size_t i = (size_t)channel; i < size; i += channels)
        histogram[train->images[i]]++;
    for (int value = 0; value < BYTE_VALUES; value++)
        sum += (double)histogram[value] * value;
    double mean = sum / count;
    for (int value = 0; value < BYTE_VALUES; value++)
        squares += (double)histogram[value] * (value - mean) * (value - mean);
    normalisation->mean[channel] = (float)(mean / 255.0);
    if (squares > 0.0) /* all pixels alike have no scale; leave them at 0 */
        normalisation->deviation[channel] = (float)(sqrt(squares / count) / 255.0);
}

static void measure(struct dataset *dataset)
{
    const struct samples *train = &dataset->train;

    for (int c = 0; train->images && c < train->shape.channels; c++)
        measure_channel(&dataset->normalisation, train, c);
}

static int enlarge_both(struct dataset *dataset, const struct data_options *options, int parts, struct error *error)
{
    if (!options->enlarge || !(parts & DATA_IMAGES) || !dataset->train.images)
        return 0;
    return enlarge_images(&dataset->train, options->room, error) ||
           enlarge_images(&dataset->test, options->room, error);
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
    if (source->open(dataset, source, options, parts, error) || enlarge_both(dataset, options, parts, error)) {
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

static void release(struct data_memory *memory)
{
    if (memory->mapped)
        munmap(memory->bytes, memory->size);
    else
        free(memory->bytes);
}

void dataset_close(struct dataset *dataset)
{
    if (!dataset)
        return;
    if (!dataset->shared.bytes) {
        free(dataset->train.images);
        free(dataset->train.targets);
        free(dataset->test.images);
        free(dataset->test.targets);
    }
    release(&dataset->shared);
    for (int k = 0; k < 2; k++)
        release(&dataset->held[k]);
    free(dataset);
}
