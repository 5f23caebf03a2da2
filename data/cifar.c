/* CIFAR's binary files: records of one or two labels and the planes red, green and blue of 32 x 32 pixels. Images
 * stay where they are, in the mapped files. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "data/elements.h"
#include "data/file.h"
#include "data/foreign.h"
#include "data/memory.h"
#include "data/source.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, COLOURS = 3, IMAGE = PLANE * COLOURS, LABELS_MAX = 2, FILES_MAX = 5 };

struct cifar {
    const char *name;
    int classes;
    int labels; /* of a record; the last is the fine one, which counts */
    struct {
        int files, records; /* of each file */
        const char *names[FILES_MAX];
    } halves[2]; /* training, test */
};

static const struct cifar cifar10 = {
    "cifar10",
    10,
    1,
    {{5, 10000, {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}},
     {1, 10000, {"test_batch.bin"}}}};
static const struct cifar cifar100 = {"cifar100", 100, 2, {{1, 50000, {"train.bin"}}, {1, 10000, {"test.bin"}}}};

static size_t record_bytes(const struct cifar *cifar)
{
    return (size_t)cifar->labels + IMAGE;
}

static const struct cifar *other_than(const struct cifar *cifar)
{
    return cifar == &cifar10 ? &cifar100 : &cifar10;
}

/* A path of PATH_MAX. */
static int path_in(char *path, const char *dir, const char *name, struct error *error)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return error_set(error, "data.dir is longer than a path can be: %.100s...", dir);
    return 0;
}

/* Whether the folder is this kind's. */
static int check_folder(const struct cifar *cifar, const char *dir, struct error *error)
{
    const char *first = cifar->halves[0].names[0], *others = other_than(cifar)->halves[0].names[0];
    char path[PATH_MAX];

    if (path_in(path, dir, first, error))
        return -1;
    if (access(path, F_OK) == 0)
        return 0;
    if (path_in(path, dir, others, error))
        return -1;
    if (access(path, F_OK) == 0)
        return error_set(error, "%s: holds no %s, but %s, which is %s's; set data.set = %s", dir, first, others,
                         other_than(cifar)->name, other_than(cifar)->name);
    return error_set(error, "%s: holds no %s, with which the binary version of %s begins", dir, first, cifar->name);
}

/* The other kind's test file has as many records, and their size betrays it. */
static int say_wrong_size(const struct cifar *cifar, const char *path, int records, const unsigned char *begin,
                          size_t size, struct error *error)
{
    const struct cifar *other = other_than(cifar);
    const size_t right = (size_t)records * record_bytes(cifar), begins = size < 64 ? size : 64;
    char foreign[FOREIGN_TEXT_MAX];

    foreign_describe(begin, begins, foreign);
    if (size > 0 && foreign[0] && size < record_bytes(cifar))
        return error_set(error, "%s: %s", path, foreign);
    if (size > 0 && size % record_bytes(other) == 0)
        return error_set(error, "%s: has %zu records of %s, not of %s; set data.set = %s", path,
                         size / record_bytes(other), other->name, cifar->name, other->name);
    return error_set(error, "%s: is %s than the %zu bytes of %d records of %s; get the file again", path,
                     size < right ? "shorter" : "longer", right, records, cifar->name);
}

static int take_labels(struct samples *samples, const struct cifar *cifar, const unsigned char *bytes, int records,
                       int classes, const char *path, struct error *error)
{
    for (int i = 0; i < records; i++, bytes += record_bytes(cifar)) {
        const int label = bytes[cifar->labels - 1];

        if (label >= classes)
            return error_set(error,
                             "%s: label of record %d (counted from 0) is %d; with model.classes = %d labels are "
                             "0 to %d",
                             path, i, label, classes, classes - 1);
        samples->targets[samples->count + i] = label;
    }
    return 0;
}

static int read_file(struct dataset *dataset, struct samples *samples, const struct cifar *cifar, int records,
                     const struct data_options *options, const char *path, struct error *error)
{
    const size_t right = (size_t)records * record_bytes(cifar);
    const bool sees_images = samples->shape.height > 0;
    struct data_memory memory = {.bytes = NULL};

    if (data_file_load(&memory, path, true, options->room, error) || source_hold(dataset, memory, error))
        return -1;
    if (memory.size != right)
        return say_wrong_size(cifar, path, records, memory.bytes, memory.size, error);
    if (samples->targets && take_labels(samples, cifar, memory.bytes, records, options->classes, path, error))
        return -1;
    if (memory.mapped)
        data_memory_let_go(memory.bytes, (unsigned char *)memory.bytes + memory.size);
    samples->count += records;
    samples->elements.mapped |= memory.mapped && sees_images;
    return sees_images
               ? elements_add(&samples->elements, (unsigned char *)memory.bytes + cifar->labels, (size_t)records, error)
               : 0;
}

static int read_half(struct dataset *dataset, struct samples *samples, const struct cifar *cifar, int half,
                     const struct data_options *options, const char *dir, int parts, struct error *error)
{
    const int files = cifar->halves[half].files, records = cifar->halves[half].records;
    const size_t label_bytes = (size_t)files * (size_t)records * sizeof(*samples->targets);
    char path[PATH_MAX];

    samples->stored = (struct shape){SIDE, SIDE, COLOURS};
    samples->planes = true;
    samples->elements.stride = record_bytes(cifar);
    samples->targets_per_sample = 1;
    if (parts & DATA_IMAGES)
        samples->shape = samples->stored;
    if ((parts & DATA_TARGETS) && !(samples->targets = data_allocate(dir, "labels", label_bytes, options->room, error)))
        return -1;
    for (int f = 0; f < files; f++) {
        if (path_in(path, dir, cifar->halves[half].names[f], error) ||
            read_file(dataset, samples, cifar, records, options, path, error))
            return -1;
    }
    return 0;
}

static int open_cifar(struct dataset *dataset, const struct source *source, const struct data_options *options,
                      int parts, struct error *error)
{
    const struct cifar *cifar = source == &source_cifar10 ? &cifar10 : &cifar100;
    const char *dir = source_dir(source, options, "the folder of its binary files", error);

    if (!dir || check_folder(cifar, dir, error) ||
        read_half(dataset, &dataset->train, cifar, 0, options, dir, parts, error) ||
        read_half(dataset, &dataset->test, cifar, 1, options, dir, parts, error))
        return -1;
    source_limit(dataset, options);
    return 0;
}

const struct source source_cifar10 = {
    .name = "cifar10", .train = 50000, .test = 10000, .shape = {SIDE, SIDE, COLOURS}, .open = open_cifar};
const struct source source_cifar100 = {
    .name = "cifar100", .train = 50000, .test = 10000, .shape = {SIDE, SIDE, COLOURS}, .open = open_cifar};
