#include "checkpoint/sets.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"

static const char manifest_name[] = "manifest.json", aside_name[] = "manifest.json.aside";

enum { PATH_LENGTH = CHECKPOINT_PATH_MAX + NAME_MAX };

/* <run_folder>/checkpoints/<name>/<file>; names may be empty. */
static void path_of(const char *run_folder, const char *name, const char *file, char path[PATH_LENGTH])
{
    snprintf(path, PATH_LENGTH, "%s/" CHECKPOINTS_FOLDER "%s%s%s%s", run_folder, name[0] ? "/" : "", name,
             file[0] ? "/" : "", file);
}

static bool parse_place(const char *name, struct set_place *place)
{
    char again[CHECKPOINT_NAME_MAX];
    int minibatch = 0;

    if (sscanf(name, "epoch-%4d-minibatch-%9d", &place->epoch, &minibatch) < 1 || place->epoch < 1 || minibatch < 0)
        return false;
    checkpoint_set_name(place->epoch, minibatch, again);
    snprintf(place->name, sizeof(place->name), "%s", again);
    place->minibatch = minibatch > 0 ? minibatch : INT_MAX;
    return strcmp(name, again) == 0;
}

int set_compare(const void *a, const void *b)
{
    const struct set_place *one = a, *other = b;

    if (one->epoch != other->epoch)
        return one->epoch > other->epoch ? -1 : 1;
    return (one->minibatch < other->minibatch) - (one->minibatch > other->minibatch);
}

int sets_list(const char *run_folder, struct set_place **places)
{
    char path[PATH_LENGTH];
    const struct dirent *entry;
    struct set_place place, *grown;
    int count = 0;

    *places = NULL;
    path_of(run_folder, "", "", path);
    DIR *directory = opendir(path);
    while (directory && (entry = readdir(directory))) {
        if (!parse_place(entry->d_name, &place))
            continue;
        grown = realloc(*places, (size_t)(count + 1) * sizeof(**places));
        if (!grown)
            break;
        *places = grown;
        grown[count++] = place;
    }
    if (directory)
        closedir(directory);
    if (count > 0)
        qsort(*places, (size_t)count, sizeof(**places), set_compare);
    return count;
}

bool set_is_complete(const char *run_folder, const char *name)
{
    char path[PATH_LENGTH];

    path_of(run_folder, name, manifest_name, path);
    return access(path, F_OK) == 0;
}

static int check_file(const char *folder, const struct manifest_file *file, struct error *error)
{
    char path[PATH_LENGTH], *bytes;
    size_t size;
    bool same;

    snprintf(path, sizeof(path), "%s/%s", folder, file->name);
    if (file_read(path, &bytes, &size, error))
        return -1;
    same = size == file->bytes && crc32_z(0, (const unsigned char *)bytes, size) == file->crc32;
    free(bytes);
    return same ? 0 : error_set(error, "%s is damaged: it is not what its manifest says", path);
}

static int check_set(const struct checkpoint_set *set, struct error *error)
{
    const struct manifest *manifest = &set->manifest;
    const bool whole = manifest->minibatch == manifest->minibatches_per_epoch;
    char name[CHECKPOINT_NAME_MAX];

    checkpoint_set_name(manifest->epoch, whole ? 0 : manifest->minibatch, name);
    if (strcmp(name, set->name) != 0)
        return error_set(error, "%s/%s is damaged: it is that of %s", set->path, manifest_name, name);
    for (int i = 0; i < manifest->file_count; i++)
        if (check_file(set->path, &manifest->files[i], error))
            return -1;
    return 0;
}

/* Splits <run_folder>/checkpoints/<name>, with or without a slash behind it. */
static int split_path(struct checkpoint_set *set, const char *path, struct error *error)
{
    static const char middle[] = "/" CHECKPOINTS_FOLDER "/";
    struct set_place place;
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length >= sizeof(set->path))
        return error_set(error, "%s: the path is longer than %zu characters", path, sizeof(set->path) - 1);
    snprintf(set->path, sizeof(set->path), "%.*s", (int)length, path);
    const char *name = strrchr(set->path, '/');
    if (!name || !parse_place(name + 1, &place))
        return error_set(error, "%s is no checkpoint; its name would be as in epoch-0003", path);
    snprintf(set->name, sizeof(set->name), "%s", place.name);
    length = (size_t)(name + 1 - set->path);
    if (length <= sizeof(middle) - 1 || strncmp(name + 2 - sizeof(middle), middle, sizeof(middle) - 1) != 0)
        return error_set(error, "%s does not lie in the folder " CHECKPOINTS_FOLDER " of a run", path);
    snprintf(set->run_folder, sizeof(set->run_folder), "%.*s", (int)(length - (sizeof(middle) - 1)), set->path);
    return 0;
}

int set_open(struct checkpoint_set *set, const char *path, struct error *error)
{
    char manifest[PATH_LENGTH], *text = NULL;
    size_t size;
    int failed;

    memset(set, 0, sizeof(*set));
    if (split_path(set, path, error))
        return -1;
    snprintf(manifest, sizeof(manifest), "%s/%s", set->path, manifest_name);
    failed = file_read(manifest, &text, &size, error);
    if (!failed && (failed = manifest_read(&set->manifest, text, size, error)))
        error_prefix(error, "%s", manifest);
    free(text);
    if (!failed && (failed = check_set(set, error)))
        set_release(set);
    return failed;
}

void set_release(struct checkpoint_set *set)
{
    manifest_release(&set->manifest);
}

int set_open_newest(struct checkpoint_set *set, const char *run_folder, struct error *error)
{
    struct set_place *places;
    const int count = sets_list(run_folder, &places);
    char path[PATH_LENGTH];
    int failed = -1;

    for (int i = 0; i < count && failed; i++) {
        if (!set_is_complete(run_folder, places[i].name))
            continue;
        path_of(run_folder, places[i].name, "", path);
        failed = set_open(set, path, error);
        if (failed)
            fprintf(stderr, "tpcoord: passing over a checkpoint: %s\n", error->text);
    }
    free(places);
    return failed ? error_set(error, "%s has no complete checkpoint", run_folder) : 0;
}

static int print_json(const char *path, const json_t *json)
{
    FILE *file = json ? fopen(path, "we") : NULL;
    int failed;

    if (!file)
        return -1;
    failed = json_dumpf(json, file, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) || fputc('\n', file) == EOF ||
             fflush(file) || fsync(fileno(file));
    return fclose(file) || failed ? -1 : 0;
}

/* From the set's folder up to the one in which the run's lies. */
static int sync_folders(const char *run_folder, const char *name)
{
    char set[PATH_LENGTH], sets[PATH_LENGTH];

    path_of(run_folder, name, "", set);
    path_of(run_folder, "", "", sets);
    return file_sync_folder(set) || file_sync_folder(sets) || file_sync_folder(run_folder) ? -1 : 0;
}

int set_write_manifest(const char *run_folder, const char *name, const struct manifest *manifest, struct error *error)
{
    char path[PATH_LENGTH], temporary[PATH_LENGTH];
    json_t *json = manifest_json(manifest);
    int failed;

    path_of(run_folder, name, manifest_name, path);
    path_of(run_folder, name, "manifest.json.part", temporary);
    errno = ENOMEM;
    failed = print_json(temporary, json) || sync_folders(run_folder, name) || rename(temporary, path) ||
             sync_folders(run_folder, name);
    if (failed) {
        error_set(error, "%s cannot be written: %s", path, strerror(errno));
        unlink(temporary);
    }
    json_decref(json);
    return failed ? -1 : 0;
}

/* Whether tp may have written a file of that name. */
static bool is_own(const char *file)
{
    return strncmp(file, "stage-", 6) == 0 || strncmp(file, manifest_name, sizeof(manifest_name) - 1) == 0;
}

void set_remove(const char *run_folder, const char *name)
{
    char path[PATH_LENGTH];
    const struct dirent *entry;

    path_of(run_folder, name, manifest_name, path);
    unlink(path);
    path_of(run_folder, name, "", path);
    DIR *directory = opendir(path);
    while (directory && (entry = readdir(directory))) {
        path_of(run_folder, name, entry->d_name, path);
        if (is_own(entry->d_name))
            unlink(path);
    }
    if (directory)
        closedir(directory);
    path_of(run_folder, name, "", path);
    rmdir(path);
}

void sets_set_aside_after(const char *run_folder, const char *name)
{
    struct set_place *places;
    const int count = sets_list(run_folder, &places);
    char from[PATH_LENGTH], to[PATH_LENGTH];

    for (int i = 0; i < count && strcmp(places[i].name, name) != 0; i++) {
        path_of(run_folder, places[i].name, manifest_name, from);
        path_of(run_folder, places[i].name, aside_name, to);
        rename(from, to);
    }
    free(places);
}
