/* The data sets that a config can name, a row each, and what every one of them must satisfy once read. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/numbers.h"
#include "data/data.h"
#include "data/enlarge.h"
#include "data/idx.h"
#include "data/synthetic.h"

enum { SYNTHETIC_TRAIN_COUNT = 10000, SYNTHETIC_TEST_COUNT = 2000, TEST_SHARE = 5, BYTE_VALUES = 256 };

struct set {
    const char *name, *default_dir, *if_missing;
    int train, test; /* images; 0: nobody can know */
    struct shape shape;
    int (*open)(struct dataset *dataset, const struct set *set, const struct data_options *options, int parts,
                struct error *error);
};

static int open_idx(struct dataset *dataset, const struct set *set, const struct data_options *options, int parts,
                    struct error *error);
static int open_synthetic(struct dataset *dataset, const struct set *set, const struct data_options *options, int parts,
                          struct error *error);

static const struct set sets[] = {
    {"fashion-mnist",
     "/usr/share/datasets/fashion-mnist",
     "install the Debian package dataset-fashion-mnist, or set data.dir to where the files are",
     60000,
     10000,
     {28, 28, 1},
     open_idx},
    {"idx", NULL, "set data.dir to where the files are", .open = open_idx},
    {"synthetic", .open = open_synthetic},
};

/* What files are called: the half's name, what it holds, and how it is packed; tried in this order. */
static const char *const train_names[] = {"train", NULL}, *const test_names[] = {"t10k", "test", NULL};
static const char *const image_files[] = {"images-idx3-ubyte", "images.idx3-ubyte", "images-idx4-ubyte",
                                          "images.idx4-ubyte", NULL};
static const char *const label_files[] = {"labels-idx1-ubyte", "labels.idx1-ubyte", NULL};
static const char *const endings[] = {"", ".gz", NULL};

/* Whether there is something to read at the path. If it cannot be read, the reader knows best why. */
static bool is_there(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int say_missing(const char *dir, const char *const *halves, const char *const *files, const struct set *set,
                       struct error *error)
{
    char tried[256] = "";

    for (const char *const *file = files; *file; file++) {
        const size_t used = strlen(tried);
        snprintf(tried + used, sizeof(tried) - used, "%s%s-%s", used ? ", " : "", halves[0], *file);
    }
    return error_set(error, "%s: holds none of %s, with or without .gz%s%s%s; %s", dir, tried,
                     halves[1] ? ", or with " : "", halves[1] ? halves[1] : "", halves[1] ? "- in front" : "",
                     set->if_missing);
}

/* A folder of the name is passed over for a file of another, as archives have both; left alone it is what is found. */
static int find_file(char path[PATH_MAX], const char *dir, const char *const *halves, const char *const *files,
                     const struct set *set, struct error *error)
{
    char folder[PATH_MAX] = "";

    for (const char *const *half = halves; *half; half++)
        for (const char *const *file = files; *file; file++)
            for (const char *const *ending = endings; *ending; ending++) {
                if (snprintf(path, PATH_MAX, "%s/%s-%s%s", dir, *half, *file, *ending) >= PATH_MAX)
                    return error_set(error, "data.dir is longer than a path can be: %.100s...", dir);
                if (is_folder(path))
                    memcpy(folder, path, sizeof(folder));
                else if (is_there(path))
                    return 0;
            }
    if (!folder[0])
        return say_missing(dir, halves, files, set, error);
    memcpy(path, folder, sizeof(folder));
    return 0;
}

static int read_half(struct samples *samples, const char *dir, const char *const *names, const struct set *set,
                     const struct data_options *options, int parts, struct error *error)
{
    char images_path[PATH_MAX], labels_path[PATH_MAX];

    if ((parts & DATA_IMAGES) && (find_file(images_path, dir, names, image_files, set, error) != 0 ||
                                  idx_read_images(samples, images_path, options->room, error) != 0))
        return -1;
    int images = samples->count;
    if ((parts & DATA_TARGETS) && (find_file(labels_path, dir, names, label_files, set, error) != 0 ||
                                   idx_read_labels(samples, labels_path, options->classes, options->room, error) != 0))
        return -1;
    if (parts == (DATA_IMAGES | DATA_TARGETS) && samples->count != images)
        return error_set(error, "%s: holds %d labels, but %s holds %d images; they must be the same set's", labels_path,
                         samples->count, images_path, images);
    return 0;
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
static void keep_first(struct samples *samples, int count)
{
    if (count >= samples->count)
        return;
    samples->count = count;
    samples->images = shrink(samples->images, (size_t)count * shape_size(samples->shape));
    samples->targets = shrink(samples->targets, target_bytes(samples, count));
}

static int test_limit(int limit)
{
    return limit < TEST_SHARE ? 1 : limit / TEST_SHARE;
}

static int open_idx(struct dataset *dataset, const struct set *set, const struct data_options *options, int parts,
                    struct error *error)
{
    const char *dir = options->dir && *options->dir ? options->dir : set->default_dir;
    struct samples *train = &dataset->train, *test = &dataset->test;

    if (!dir)
        return error_set(error, "data.set = %s needs data.dir, the folder of the four IDX files", set->name);
    if (read_half(train, dir, train_names, set, options, parts, error) != 0 ||
        read_half(test, dir, test_names, set, options, parts, error) != 0)
        return -1;
    if (memcmp(&train->shape, &test->shape, sizeof(train->shape)) != 0)
        return error_set(error,
                         "%s: the training images are %d x %d x %d (height, width, channels) but the test images "
                         "%d x %d x %d; they must be alike",
                         dir, train->shape.height, train->shape.width, train->shape.channels, test->shape.height,
                         test->shape.width, test->shape.channels);
    if (options->limit > 0) {
        keep_first(train, options->limit);
        keep_first(test, test_limit(options->limit));
    }
    return 0;
}

static int make_half(struct samples *samples, enum synthetic_half half, int count, const struct data_options *options,
                     int parts, struct error *error)
{
    samples->count = count;
    if (parts & DATA_IMAGES) {
        samples->shape = options->synthetic;
        if (synthetic_images(samples, half, options->classes, options->seed, options->room, error) != 0)
            return -1;
    }
    return parts & DATA_TARGETS ? synthetic_labels(samples, options->classes, options->room, error) : 0;
}

static int open_synthetic(struct dataset *dataset, const struct set *set, const struct data_options *options, int parts,
                          struct error *error)
{
    int limit = options->limit;

    (void)set;
    if (make_half(&dataset->train, SYNTHETIC_TRAIN, limit > 0 ? limit : SYNTHETIC_TRAIN_COUNT, options, parts, error))
        return -1;
    return make_half(&dataset->test, SYNTHETIC_TEST, limit > 0 ? test_limit(limit) : SYNTHETIC_TEST_COUNT, options,
                     parts, error);
}

/* Mean and deviation of the training images, exact by way of a histogram. */
static void measure(struct dataset *dataset)
{
    const struct samples *train = &dataset->train;
    size_t histogram[BYTE_VALUES] = {0};
    size_t count = train->images ? (size_t)train->count * shape_size(train->shape) : 0;
    double sum = 0.0, squares = 0.0;

    dataset->mean = 0.0f;
    dataset->deviation = 1.0f;
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        histogram[train->images[i]]++;
    for (int value = 0; value < BYTE_VALUES; value++)
        sum += (double)histogram[value] * value;
    double mean = sum / (double)count;
    for (int value = 0; value < BYTE_VALUES; value++)
        squares += (double)histogram[value] * (value - mean) * (value - mean);
    dataset->mean = (float)(mean / 255.0);
    if (squares > 0.0) /* all pixels alike have no scale; leave them at 0 */
        dataset->deviation = (float)(sqrt(squares / (double)count) / 255.0);
}

static const struct set *find_set(const char *name)
{
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}

int dataset_open(struct dataset **out, const struct data_options *options, int parts, struct error *error)
{
    const struct set *set = find_set(options->set);

    *out = NULL;
    if (!set)
        return error_set(error, "unknown data set \"%s\"; there are: fashion-mnist, idx, synthetic", options->set);
    struct dataset *dataset = calloc(1, sizeof(*dataset));
    if (!dataset)
        return error_set(error, "out of memory for a data set");
    if (set->open(dataset, set, options, parts, error) != 0 ||
        (options->enlarge && (parts & DATA_IMAGES) &&
         (enlarge_images(&dataset->train, options->room, error) != 0 ||
          enlarge_images(&dataset->test, options->room, error) != 0))) {
        dataset_close(dataset);
        return -1;
    }
    measure(dataset);
    *out = dataset;
    return 0;
}

bool dataset_foretell_shape(const struct data_options *options, struct shape *shape)
{
    const struct set *set = find_set(options->set);

    *shape = set && set->open == open_synthetic ? options->synthetic : set ? set->shape : (struct shape){0, 0, 0};
    if (options->enlarge && shape->height > 0)
        *shape = enlarged_shape(*shape);
    return shape->height > 0;
}

bool dataset_foretell(const struct data_options *options, struct samples *train, struct samples *test)
{
    const struct set *set = find_set(options->set);
    struct shape shape;

    if (!set || set->train == 0 || !dataset_foretell_shape(options, &shape))
        return false;
    *train = (struct samples){.count = set->train, .shape = shape};
    *test = (struct samples){.count = set->test, .shape = shape};
    if (options->limit > 0) {
        train->count = min_int(train->count, options->limit);
        test->count = min_int(test->count, test_limit(options->limit));
    }
    return true;
}

void dataset_close(struct dataset *dataset)
{
    if (!dataset)
        return;
    if (dataset->map) {
        munmap(dataset->map, dataset->map_bytes);
    } else {
        free(dataset->train.images);
        free(dataset->train.targets);
        free(dataset->test.images);
        free(dataset->test.targets);
    }
    free(dataset);
}
