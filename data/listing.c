#include "data/listing.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/picture.h"

enum { CLASSES_MAX = 1 << 18, PICTURES_MAX = INT_MAX / 2 };

struct names {
    int count;
    char **names;
};

static void release_names(struct names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct names){.count = 0};
}

/* FNV-1a. */
static void add_bytes(uint64_t *fingerprint, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *fingerprint = (*fingerprint ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

/* Room for one more element: an array grows at powers of two. */
static void *grow(void *array, int count, size_t size, struct error *error)
{
    void *larger = array;

    if ((count & (count - 1)) == 0)
        larger = realloc(array, (count > 0 ? 2 * (size_t)count : 1) * size);
    if (!larger)
        error_set(error, "out of memory for %d names", count + 1);
    return larger;
}

static int add_name(struct names *names, const char *name, struct error *error)
{
    char **larger = grow(names->names, names->count, sizeof(*names->names), error);

    if (!larger)
        return -1;
    names->names = larger;
    if (!(names->names[names->count] = strdup(name)))
        return error_set(error, "out of memory for a name");
    names->count++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int make_path(char path[PATH_MAX], const char *dir, const char *name, struct error *error)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return error_set(error, "%.100s...: a path in it is too long", dir);
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Sorted: folders, or pictures; what is hidden is left out. */
static int list(struct names *names, const char *dir, bool folders, struct error *error)
{
    DIR *stream = opendir(dir);
    struct dirent *entry;
    char path[PATH_MAX];
    int failed = 0;

    *names = (struct names){.count = 0};
    if (!stream)
        return error_set(error, "%s: cannot read: %s", dir, strerror(errno));
    while (!failed && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.' || (!folders && !picture_is_named(entry->d_name)))
            continue;
        failed = make_path(path, dir, entry->d_name, error);
        if (!failed && is_folder(path) == folders)
            failed = add_name(names, entry->d_name, error);
    }
    closedir(stream);
    if (names->count > 0)
        qsort(names->names, (size_t)names->count, sizeof(*names->names), compare_names);
    if (failed)
        release_names(names);
    return failed;
}

static int add_picture(struct listings *listings, struct listing *listing, const char *path, int label, int rank,
                       struct error *error)
{
    struct listed *larger = grow(listing->pictures, listing->count, sizeof(*listing->pictures), error);
    struct stat status;

    if (!larger)
        return -1;
    listing->pictures = larger;
    if (stat(path, &status))
        return error_set(error, "%s: cannot read: %s", path, strerror(errno));
    if (listing->count == PICTURES_MAX)
        return error_set(error, "%s: is one picture too many; there may be %d", path, PICTURES_MAX);
    const int64_t facts[] = {label, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                             listing == &listings->test};
    add_bytes(&listings->fingerprint, path, strlen(path) + 1);
    add_bytes(&listings->fingerprint, facts, sizeof(facts));
    listing->pictures[listing->count] = (struct listed){.path = strdup(path), .label = label, .rank = rank};
    if (!listing->pictures[listing->count].path)
        return error_set(error, "out of memory for a name");
    listing->count++;
    return 0;
}

/* Picture i of `count` is held out so that a share of them is, evenly. */
static bool is_held_out(int i, double share)
{
    return (int)((i + 1) * share) > (int)(i * share);
}

/* All of a class's go to `listing`, but those held out to the test's. */
static int add_class(struct listings *listings, struct listing *listing, const char *dir, int label, double held_out,
                     struct error *error)
{
    struct names names;
    char path[PATH_MAX];
    int failed, ranks[2] = {0};

    if (list(&names, dir, false, error))
        return -1;
    failed = names.count > 0 ? 0 : error_set(error, "%s: holds no JPEG and no PNG", dir);
    for (int i = 0; i < names.count && !failed; i++) {
        const bool tests = held_out > 0.0 && is_held_out(i, held_out);

        failed = make_path(path, dir, names.names[i], error) ||
                 add_picture(listings, tests ? &listings->test : listing, path, label, ranks[tests]++, error);
    }
    release_names(&names);
    return failed;
}

static int compare_listed(const void *a, const void *b)
{
    const struct listed *one = a, *other = b;

    return one->rank != other->rank ? (one->rank > other->rank) - (one->rank < other->rank)
                                    : (one->label > other->label) - (one->label < other->label);
}

static int finish(struct listings *listings, const char *dir, struct error *error)
{
    if (listings->test.count == 0)
        return error_set(error, "%s: no picture is left for the test; its classes need more, or data.held_out", dir);
    if (listings->train.count == 0)
        return error_set(error, "%s: no picture is left to train on", dir);
    qsort(listings->train.pictures, (size_t)listings->train.count, sizeof(struct listed), compare_listed);
    qsort(listings->test.pictures, (size_t)listings->test.count, sizeof(struct listed), compare_listed);
    return 0;
}

/* The folders of `dir` as classes, which are those of the training if that has been listed. */
static int add_half(struct listings *listings, struct listing *listing, struct names *classes, const char *dir,
                    double held_out, struct error *error)
{
    struct names names;
    char path[PATH_MAX];
    int failed = 0;

    if (list(&names, dir, true, error))
        return -1;
    if (names.count < 2 || names.count > CLASSES_MAX)
        failed = error_set(error, "%s: holds %d folder%s; each class needs one, and there are 2 to %d classes", dir,
                           names.count, names.count == 1 ? "" : "s", CLASSES_MAX);
    for (int i = 0; classes->count > 0 && i < names.count && !failed; i++)
        if (!bsearch(&names.names[i], classes->names, (size_t)classes->count, sizeof(char *), compare_names))
            failed = error_set(error, "%s/%s: is no class of the training's", dir, names.names[i]);
    if (!failed && classes->count == 0) {
        *classes = names;
        names = (struct names){.count = 0};
    }
    for (int label = 0; label < classes->count && !failed; label++) {
        failed = make_path(path, dir, classes->names[label], error);
        if (!failed && is_folder(path))
            failed = add_class(listings, listing, path, label, held_out, error);
    }
    release_names(&names);
    return failed;
}

int listing_folders(struct listings *listings, const char *dir, double held_out, struct error *error)
{
    static const char *const tests[] = {"test", "val", "valid"};
    char train[PATH_MAX], test[PATH_MAX];
    struct names classes = {.count = 0};
    int failed, n = 0;

    *listings = (struct listings){.fingerprint = 14695981039346656037u};
    if (make_path(train, dir, "train", error))
        return -1;
    if (!is_folder(train)) {
        failed = add_half(listings, &listings->train, &classes, dir, held_out, error);
    } else {
        do
            failed = make_path(test, dir, tests[n], error);
        while (!failed && !is_folder(test) && ++n < 3);
        if (!failed && n == 3)
            failed = error_set(error, "%s: has a folder train, but none named test, val or valid", dir);
        failed = failed || add_half(listings, &listings->train, &classes, train, 0.0, error) ||
                 add_half(listings, &listings->test, &classes, test, 0.0, error);
    }
    listings->classes = classes.count;
    release_names(&classes);
    return failed ? -1 : finish(listings, dir, error);
}

/* wnids.txt: an ID in each line. */
static int read_ids(struct names *ids, const char *dir, struct error *error)
{
    char path[PATH_MAX], *text, *rest, *line;
    size_t size;
    int failed = 0;

    *ids = (struct names){.count = 0};
    if (make_path(path, dir, "wnids.txt", error))
        return -1;
    if (file_read(path, &text, &size, error))
        return error_prefix(error, "%s", path);
    rest = text;
    while (!failed && (line = strsep(&rest, "\r\n")) != NULL) {
        if (line[0] == '\0')
            continue;
        if (strchr(line, '/') || line[0] == '.')
            failed = error_set(error, "%s: \"%.40s\" is no class's name", path, line);
        else
            failed = add_name(ids, line, error);
    }
    free(text);
    if (!failed && (ids->count < 2 || ids->count > CLASSES_MAX))
        failed = error_set(error, "%s: names %d classes; use 2 to %d", path, ids->count, CLASSES_MAX);
    if (!failed)
        qsort(ids->names, (size_t)ids->count, sizeof(*ids->names), compare_names);
    return failed;
}

/* A line: the picture's name, its class, and where in the picture it is. */
static int add_annotated(struct listings *listings, const struct names *ids, int *ranks, char *line, int number,
                         const char *dir, struct error *error)
{
    char *rest = line, *name = strsep(&rest, "\t"), *id = strsep(&rest, "\t"), **found, path[PATH_MAX],
         folder[PATH_MAX];

    if (!id || strchr(name, '/'))
        return error_set(error, "%s/val/val_annotations.txt:%d: is no picture's name, a tab and its class", dir,
                         number);
    found = bsearch(&id, ids->names, (size_t)ids->count, sizeof(char *), compare_names);
    if (!found)
        return error_set(error, "%s/val/val_annotations.txt:%d: \"%.40s\" is no class of wnids.txt's", dir, number, id);
    const int label = (int)(found - ids->names);
    return make_path(folder, dir, "val/images", error) || make_path(path, folder, name, error) ||
           add_picture(listings, &listings->test, path, label, ranks[label]++, error);
}

static int read_annotations(struct listings *listings, const struct names *ids, const char *dir, struct error *error)
{
    char path[PATH_MAX], *text, *rest, *line;
    int *ranks = calloc((size_t)ids->count, sizeof(*ranks));
    size_t size;
    int failed = 0;

    if (!ranks)
        return error_set(error, "out of memory for %d classes", ids->count);
    if (make_path(path, dir, "val/val_annotations.txt", error) || file_read(path, &text, &size, error)) {
        free(ranks);
        return error_prefix(error, "%s", path);
    }
    rest = text;
    for (int number = 1; !failed && (line = strsep(&rest, "\n")) != NULL; number++)
        if (line[strcspn(line, "\r")] = '\0', line[0] != '\0')
            failed = add_annotated(listings, ids, ranks, line, number, dir, error);
    free(text);
    free(ranks);
    return failed;
}

int listing_tiny_imagenet(struct listings *listings, const char *dir, struct error *error)
{
    char path[PATH_MAX];
    struct names ids;
    int failed;

    *listings = (struct listings){.fingerprint = 14695981039346656037u};
    failed = read_ids(&ids, dir, error);
    for (int label = 0; label < ids.count && !failed; label++) {
        if (snprintf(path, sizeof(path), "%s/train/%s/images", dir, ids.names[label]) >= PATH_MAX)
            failed = error_set(error, "%.100s...: a path in it is too long", dir);
        else
            failed = add_class(listings, &listings->train, path, label, 0.0, error);
    }
    failed = failed || read_annotations(listings, &ids, dir, error);
    listings->classes = ids.count;
    release_names(&ids);
    return failed ? -1 : finish(listings, dir, error);
}

static void release(struct listing *listing)
{
    for (int i = 0; i < listing->count; i++)
        free(listing->pictures[i].path);
    free(listing->pictures);
    *listing = (struct listing){.count = 0};
}

void listing_release(struct listings *listings)
{
    release(&listings->train);
    release(&listings->test);
}
