/* Data sets of four IDX files, MNIST's way: images and labels, of training and of the test. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/idx.h"
#include "data/memory.h"
#include "data/source.h"

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

static int say_missing(const char *dir, const char *const *halves, const char *const *files,
                       const struct source *source, struct error *error)
{
    char tried[256] = "";

    for (const char *const *file = files; *file; file++) {
        const size_t used = strlen(tried);
        snprintf(tried + used, sizeof(tried) - used, "%s%s-%s", used ? ", " : "", halves[0], *file);
    }
    return error_set(error, "%s: holds none of %s, with or without .gz%s%s%s; %s", dir, tried,
                     halves[1] ? ", or with " : "", halves[1] ? halves[1] : "", halves[1] ? "- in front" : "",
                     source->if_missing);
}

/* A folder of the name is passed over for a file of another, as archives have both; left alone it is what is found. */
static int find_file(char path[PATH_MAX], const char *dir, const char *const *halves, const char *const *files,
                     const struct source *source, struct error *error)
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
        return say_missing(dir, halves, files, source, error);
    memcpy(path, folder, sizeof(folder));
    return 0;
}

static int read_images(struct dataset *dataset, struct samples *samples, const char *path,
                       const struct data_options *options, struct error *error)
{
    struct data_memory memory;

    if (idx_read_images(samples, &memory, path, options->room, error) != 0) {
        data_memory_release(&memory);
        return -1;
    }
    return source_hold(dataset, memory, error);
}

static int read_half(struct dataset *dataset, struct samples *samples, const char *dir, const char *const *names,
                     const struct source *source, const struct data_options *options, int parts, struct error *error)
{
    char images_path[PATH_MAX], labels_path[PATH_MAX];

    if ((parts & DATA_IMAGES) && (find_file(images_path, dir, names, image_files, source, error) != 0 ||
                                  read_images(dataset, samples, images_path, options, error) != 0))
        return -1;
    int images = samples->count;
    if ((parts & DATA_TARGETS) && (find_file(labels_path, dir, names, label_files, source, error) != 0 ||
                                   idx_read_labels(samples, labels_path, options->classes, options->room, error) != 0))
        return -1;
    if (parts == (DATA_IMAGES | DATA_TARGETS) && samples->count != images)
        return error_set(error, "%s: holds %d labels, but %s holds %d images; they must be the same set's", labels_path,
                         samples->count, images_path, images);
    return 0;
}

static int open_idx(struct dataset *dataset, const struct source *source, const struct data_options *options, int parts,
                    struct error *error)
{
    const char *dir = source_dir(source, options, "the folder of the four IDX files", error);
    struct samples *train = &dataset->train, *test = &dataset->test;

    if (!dir || read_half(dataset, train, dir, train_names, source, options, parts, error) != 0 ||
        read_half(dataset, test, dir, test_names, source, options, parts, error) != 0)
        return -1;
    if (memcmp(&train->shape, &test->shape, sizeof(train->shape)) != 0)
        return error_set(error,
                         "%s: the training images are %d x %d x %d (height, width, channels) but the test images "
                         "%d x %d x %d; they must be alike",
                         dir, train->shape.height, train->shape.width, train->shape.channels, test->shape.height,
                         test->shape.width, test->shape.channels);
    source_limit(dataset, options);
    return 0;
}

const struct source source_fashion_mnist = {
    .name = "fashion-mnist",
    .default_dir = "/usr/share/datasets/fashion-mnist",
    .if_missing = "install the Debian package dataset-fashion-mnist, or set data.dir to where the files are",
    .train = 60000,
    .test = 10000,
    .shape = {28, 28, 1},
    .open = open_idx,
};

const struct source source_idx = {.name = "idx", .if_missing = "set data.dir to where the files are", .open = open_idx};
