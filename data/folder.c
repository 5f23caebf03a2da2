/* Folders of pictures. They are decoded once, into a file of the user's cache that is then mapped; it is made anew
 * when the folder has changed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/elements.h"
#include "data/listing.h"
#include "data/picture.h"
#include "data/source.h"

/* What the cache file begins with; the targets of training and test follow, then the images. */
struct head {
    char magic[16];
    uint64_t fingerprint; /* of the folder */
    int32_t counts[2], classes, padding;
    struct shape shape;
    int32_t end; /* so that the targets lie at a multiple of 8 */
};
static const char magic[16] = "tp pictures 1\n";

/* Where the cache is, and what must be in it. */
struct cache {
    int folder;
    char path[PATH_MAX], name[64];
    struct head head;
};

static size_t target_bytes(const struct head *head, int half)
{
    return (size_t)head->counts[half] * sizeof(int32_t);
}

static size_t image_bytes(const struct head *head, int half)
{
    return (size_t)head->counts[half] * shape_size(head->shape);
}

static size_t cache_bytes(const struct head *head)
{
    return sizeof(*head) + target_bytes(head, 0) + target_bytes(head, 1) + image_bytes(head, 0) + image_bytes(head, 1);
}

/* data.cache, or the user's cache: $XDG_CACHE_HOME/tp, or ~/.cache/tp. */
static int find_folder(char path[PATH_MAX], const struct data_options *options, struct error *error)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length;

    if (options->cache && *options->cache)
        length = snprintf(path, PATH_MAX, "%s", options->cache);
    else if (xdg && *xdg)
        length = snprintf(path, PATH_MAX, "%s/tp", xdg);
    else if (home && *home)
        length = snprintf(path, PATH_MAX, "%s/.cache/tp", home);
    else
        return error_set(error, "there is no HOME to keep decoded images in; set data.cache to a folder");
    return length < PATH_MAX ? 0 : error_set(error, "data.cache is longer than a path can be: %.100s...", path);
}

static int make_folders(char *path, struct error *error)
{
    for (char *at = strchr(path + 1, '/');; at = strchr(at + 1, '/')) {
        if (at)
            *at = '\0';
        if (mkdir(path, 0777) && errno != EEXIST)
            return error_set(error, "%s: cannot be made: %s; set data.cache to a folder for decoded images", path,
                             strerror(errno));
        if (!at)
            return 0;
        *at = '/';
    }
}

static int open_cache(struct cache *cache, const char *dir, const struct data_options *options, struct error *error)
{
    uint64_t name = 14695981039346656037u;
    char real[PATH_MAX];

    if (!realpath(dir, real))
        return error_set(error, "%s: cannot read: %s", dir, strerror(errno));
    for (const char *at = real; *at; at++)
        name = (name ^ (unsigned char)*at) * 1099511628211u;
    snprintf(cache->name, sizeof(cache->name), "%016" PRIx64 "-%dx%d.images", name, cache->head.shape.height,
             cache->head.shape.channels);
    if (find_folder(cache->path, options, error) || make_folders(cache->path, error))
        return -1;
    cache->folder = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->folder < 0)
        return error_set(error, "%s: cannot be used: %s; set data.cache to a folder", cache->path, strerror(errno));
    return 0;
}

/* 1 if the file is what is wanted, and mapped; 0 if it must be made. */
static int map_cache(struct data_memory *memory, const struct cache *cache)
{
    const int descriptor = openat(cache->folder, cache->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const size_t size = cache_bytes(&cache->head);
    struct head head;
    struct stat status;
    int found = 0;

    if (descriptor < 0)
        return 0;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= 0 &&
        (size_t)status.st_size == size && read(descriptor, &head, sizeof(head)) == (ssize_t)sizeof(head) &&
        memcmp(&head, &cache->head, sizeof(head)) == 0) {
        void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);

        found = bytes != MAP_FAILED;
        if (found)
            *memory = (struct data_memory){.bytes = bytes, .size = size, .mapped = true};
    }
    close(descriptor);
    return found;
}

static int write_images(FILE *stream, const struct listing *listing, struct shape shape, uint8_t *image,
                        struct error *error)
{
    for (int i = 0; i < listing->count; i++) {
        if (picture_read(listing->pictures[i].path, shape, image, error))
            return error_prefix(error, "%s", listing->pictures[i].path);
        if (fwrite(image, 1, shape_size(shape), stream) != shape_size(shape))
            return error_set(error, "cannot be written: %s", strerror(errno));
    }
    return 0;
}

static int write_all(FILE *stream, const struct cache *cache, const struct listings *listings, struct error *error)
{
    const struct listing *halves[] = {&listings->train, &listings->test};
    uint8_t *image = malloc(shape_size(cache->head.shape));
    int failed = 0;

    if (!image)
        return error_set(error, "out of memory for an image");
    fwrite(&cache->head, sizeof(cache->head), 1, stream);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < halves[half]->count; i++) {
            const int32_t label = halves[half]->pictures[i].label;

            fwrite(&label, sizeof(label), 1, stream);
        }
    for (int half = 0; half < 2 && !failed; half++)
        failed = write_images(stream, halves[half], cache->head.shape, image, error);
    free(image);
    return failed;
}

/* Beside the old one, whose name it gets when it is whole. */
static int make_cache(const struct cache *cache, const struct listings *listings, struct error *error)
{
    struct new_file file;

    if (new_file_open(&file, cache->folder, cache->name))
        return error_set(error, "%s/%s: cannot be written: %s", cache->path, cache->name, strerror(errno));
    if (write_all(file.stream, cache, listings, error)) {
        new_file_discard(&file);
        return -1;
    }
    if (new_file_finish(&file))
        return error_set(error, "%s/%s: cannot be written: %s; data.cache may be another folder", cache->path,
                         cache->name, strerror(errno));
    return 0;
}

static int take(struct dataset *dataset, const struct data_memory *memory, const struct head *head, struct error *error)
{
    struct samples *halves[] = {&dataset->train, &dataset->test};
    unsigned char *at = (unsigned char *)memory->bytes + sizeof(*head);

    dataset->labels_held = true;
    for (int half = 0; half < 2; half++) {
        *halves[half] = (struct samples){.count = head->counts[half],
                                         .shape = head->shape,
                                         .stored = head->shape,
                                         .elements = {.stride = shape_size(head->shape), .mapped = true},
                                         .targets_per_sample = 1,
                                         .targets = (int32_t *)(void *)at};
        at += target_bytes(head, half);
    }
    for (int half = 0; half < 2; half++) {
        if (elements_add(&halves[half]->elements, at, (size_t)halves[half]->count, error))
            return -1;
        at += image_bytes(head, half);
    }
    return 0;
}

static int load(struct dataset *dataset, struct cache *cache, const struct listings *listings, const char *dir,
                const struct data_options *options, struct error *error)
{
    struct data_memory memory;
    int failed = 0;

    memcpy(cache->head.magic, magic, sizeof(magic));
    cache->head.fingerprint = listings->fingerprint;
    cache->head.counts[0] = listings->train.count;
    cache->head.counts[1] = listings->test.count;
    cache->head.classes = listings->classes;
    if (open_cache(cache, dir, options, error))
        return -1;
    /* Of several who want it, one makes it. */
    if (flock(cache->folder, LOCK_EX))
        failed = error_set(error, "%s: cannot be locked: %s", cache->path, strerror(errno));
    if (!failed && !map_cache(&memory, cache)) {
        if (options->notice)
            options->notice("decoding the images; this is done once", cache->path);
        failed = make_cache(cache, listings, error);
        if (!failed && !map_cache(&memory, cache))
            failed = error_set(error, "%s/%s: cannot be mapped", cache->path, cache->name);
    }
    close(cache->folder);
    if (failed || source_hold(dataset, memory, error))
        return -1;
    return take(dataset, &memory, &cache->head, error);
}

static int open_folder(struct dataset *dataset, const struct source *source, const struct data_options *options,
                       int parts, struct error *error)
{
    const char *dir = source_dir(source, options, "the folder of its classes' folders", error);
    struct cache cache = {.head = {.shape = {options->size, options->size, options->channels}}};
    struct listings listings;
    int failed;

    (void)parts;
    if (!dir)
        return -1;
    if (options->enlarge)
        return error_set(error, "data.set = %s has images of data.size; set data.enlarge = no", source->name);
    failed = source == &source_folder ? listing_folders(&listings, dir, options->held_out, error)
                                      : listing_tiny_imagenet(&listings, dir, error);
    if (!failed && listings.classes > options->classes)
        failed = error_set(error, "%s: has %d classes; set model.classes = %d, it is %d", dir, listings.classes,
                           listings.classes, options->classes);
    failed = failed || load(dataset, &cache, &listings, dir, options, error);
    listing_release(&listings);
    if (failed)
        return -1;
    source_limit(dataset, options);
    return 0;
}

const struct source source_folder = {.name = "folder", .sized = true, .open = open_folder};
const struct source source_tiny_imagenet = {
    .name = "tiny-imagenet", .train = 100000, .test = 10000, .sized = true, .open = open_folder};
