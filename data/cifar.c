/* CIFAR's binary files: records of one or two labels and the planes red, green and blue of 32 x 32 pixels. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/allocate.h"
#include "data/file.h"
#include "data/foreign.h"
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

/* Planes become pixels. */
static void interleave(const unsigned char *planes, uint8_t *image)
{
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < COLOURS; c++)
            *image++ = planes[c * PLANE + i];
}

/* The other kind's test file has as many records, and their size betrays it. */
static int say_wrong_size(const struct cifar *cifar, const char *path, int records, const unsigned char *begin,
                          size_t size, struct error *error)
{
    const struct cifar *other = cifar == &cifar10 ? &cifar100 : &cifar10;
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

/* The file's bytes and one more, so that a longer file shows. */
static int read_file(unsigned char *bytes, size_t room, const struct cifar *cifar, int records, const char *path,
                     struct error *error)
{
    const size_t right = (size_t)records * record_bytes(cifar);
    struct data_file *file;
    size_t got;
    int failed;

    if (data_file_open(&file, path, error))
        return -1;
    failed = data_file_read(file, bytes, room, &got, error);
    data_file_close(file);
    if (failed || got == right)
        return failed;
    return say_wrong_size(cifar, path, records, bytes, got, error);
}

static int take_records(struct samples *samples, const struct cifar *cifar, const unsigned char *bytes, int records,
                        int classes, const char *path, struct error *error)
{
    for (int i = 0; i < records; i++, bytes += record_bytes(cifar)) {
        const int label = bytes[cifar->labels - 1];

        if (label >= classes)
            return error_set(error,
                             "%s: label of record %d (counted from 0) is %d; with model.classes = %d labels are "
                             "0 to %d",
                             path, i, label, classes, classes - 1);
        if (samples->images)
            interleave(bytes + cifar->labels, samples->images + (size_t)samples->count * IMAGE);
        if (samples->targets)
            samples->targets[samples->count] = label;
        samples->count++;
    }
    return 0;
}

static int read_half(struct samples *samples, const struct cifar *cifar, int half, const struct data_options *options,
                     const char *dir, int parts, struct error *error)
{
    const int files = cifar->halves[half].files, records = cifar->halves[half].records;
    const size_t count = (size_t)files * (size_t)records, room = (size_t)records * record_bytes(cifar) + 1;
    unsigned char *bytes = data_allocate(dir, "records", room, options->room, error);
    char path[PATH_MAX];
    int failed = !bytes;

    samples->shape = parts & DATA_IMAGES ? (struct shape){SIDE, SIDE, COLOURS} : (struct shape){0, 0, 0};
    samples->targets_per_sample = 1;
    if (!failed && (parts & DATA_IMAGES))
        failed = !(samples->images = data_allocate(dir, "images", count * IMAGE, options->room, error));
    if (!failed && (parts & DATA_TARGETS))
        failed =
            !(samples->targets = data_allocate(dir, "labels", count * sizeof(*samples->targets), options->room, error));
    for (int f = 0; f < files && !failed; f++) {
        if (snprintf(path, sizeof(path), "%s/%s", dir, cifar->halves[half].names[f]) >= PATH_MAX)
            failed = error_set(error, "data.dir is longer than a path can be: %.100s...", dir);
        failed = failed || read_file(bytes, room, cifar, records, path, error) ||
                 take_records(samples, cifar, bytes, records, options->classes, path, error);
    }
    free(bytes);
    return failed ? -1 : 0;
}

static int open_cifar(struct dataset *dataset, const struct source *source, const struct data_options *options,
                      int parts, struct error *error)
{
    const struct cifar *cifar = source == &source_cifar10 ? &cifar10 : &cifar100;
    const char *dir = source_dir(source, options, "the folder of its binary files", error);

    if (!dir || read_half(&dataset->train, cifar, 0, options, dir, parts, error) ||
        read_half(&dataset->test, cifar, 1, options, dir, parts, error))
        return -1;
    source_limit(dataset, options);
    return 0;
}

const struct source source_cifar10 = {
    .name = "cifar10", .train = 50000, .test = 10000, .shape = {SIDE, SIDE, COLOURS}, .open = open_cifar};
const struct source source_cifar100 = {
    .name = "cifar100", .train = 50000, .test = 10000, .shape = {SIDE, SIDE, COLOURS}, .open = open_cifar};
