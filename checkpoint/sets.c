#include "checkpoint/sets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"

static const char manifest_name[] = "manifest.json", aside_name[] = "manifest.json.aside";

enum { PATH_LENGTH = CONFIG_PATH_MAX + sizeof(CHECKPOINTS_FOLDER) + CHECKPOINT_NAME_MAX + 2 };

/* For messages. */
static void path_of(const struct run_folder *folder, const char *name, char path[PATH_LENGTH])
{
    snprintf(path, PATH_LENGTH, "%s/" CHECKPOINTS_FOLDER "/%s", folder->path, name);
}

static int open_set(const struct run_folder *folder, const char *name)
{
    return checkpoint_open_folder(folder->descriptor, name);
}

/* Keeps errno. */
static void close_set(int descriptor)
{
    const int reason = errno;

    if (descriptor >= 0)
        close(descriptor);
    errno = reason;
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

int sets_list(const struct run_folder *folder, struct set_place **places)
{
    const int descriptor = open_set(folder, "");
    DIR *directory = descriptor < 0 ? NULL : fdopendir(descriptor);
    struct set_place place, *grown;
    const struct dirent *entry;
    int count = 0;

    *places = NULL;
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

/* Whether a run was started in that folder. */
static bool is_run(const char *path)
{
    char facts[CONFIG_PATH_MAX + sizeof("/run.json")];

    snprintf(facts, sizeof(facts), "%s/run.json", path);
    return access(facts, F_OK) == 0;
}

int set_split_path(const char *path, char run_folder[CONFIG_PATH_MAX], char name[CHECKPOINT_NAME_MAX],
                   struct error *error)
{
    static const char middle[] = "/" CHECKPOINTS_FOLDER;
    char copy[CONFIG_PATH_MAX];
    struct set_place place;
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length >= sizeof(copy))
        return error_set(error, "%s: the path is longer than %zu characters", path, sizeof(copy) - 1);
    snprintf(copy, sizeof(copy), "%.*s", (int)length, path);
    char *last = strrchr(copy, '/');
    if (!last || (!parse_place(last + 1, &place) && strcmp(last + 1, BEST_SET) != 0))
        return is_run(path)
                   ? error_set(error, "%s has no checkpoint: none was written yet, or checkpoints.keep is 0", path)
                   : error_set(error, "%s is no checkpoint; its name would be as in epoch-0003", path);
    snprintf(name, CHECKPOINT_NAME_MAX, "%s", last + 1);
    *last = '\0';
    length = strlen(copy);
    if (length < sizeof(middle) || strcmp(copy + length + 1 - sizeof(middle), middle) != 0)
        return error_set(error, "%s does not lie in the folder " CHECKPOINTS_FOLDER " of a run", path);
    snprintf(run_folder, CONFIG_PATH_MAX, "%.*s", (int)(length + 1 - sizeof(middle)), copy);
    return 0;
}

bool set_is_complete(const struct run_folder *folder, const char *name)
{
    const int descriptor = open_set(folder, name);
    const bool complete = descriptor >= 0 && faccessat(descriptor, manifest_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

    close_set(descriptor);
    return complete;
}

static int check_file(int descriptor, const char *path, const struct manifest_file *file, struct error *error)
{
    const void *bytes;
    size_t size;
    bool same;

    if (file_map_in(descriptor, path, file->name, &bytes, &size, error))
        return -1;
    same = size == file->bytes && crc32_z(0, bytes, size) == file->crc32;
    file_unmap(bytes, size);
    return same ? 0 : error_set(error, "%s/%s is damaged: it is not what its manifest says", path, file->name);
}

static int check_set(const struct checkpoint_set *set, const struct run_folder *folder, int descriptor,
                     const char *path, struct error *error)
{
    const struct manifest *manifest = &set->manifest;
    char name[CHECKPOINT_NAME_MAX];

    checkpoint_set_name(manifest->epoch, manifest_is_whole(manifest) ? 0 : manifest->minibatch, name);
    if (strcmp(name, set->name) != 0)
        return error_set(error, "%s/%s is damaged: it is that of %s", path, manifest_name, name);
    if (strcmp(manifest->run, folder->facts.run) != 0)
        return error_set(error, "%s is of another run than its folder", path);
    if (manifest->test_failed)
        return error_set(error, "the loss was not finite when %s was tested; go on from an earlier one", path);
    for (int i = 0; i < manifest->file_count; i++)
        if (check_file(descriptor, path, &manifest->files[i], error))
            return -1;
    return 0;
}

static int read_set(struct checkpoint_set *set, const struct run_folder *folder, int descriptor, struct error *error)
{
    char path[PATH_LENGTH], *text;
    size_t size;
    int failed;

    path_of(folder, set->name, path);
    if (file_read_in(descriptor, path, manifest_name, &text, &size, error))
        return -1;
    failed = manifest_read(&set->manifest, text, size, error);
    free(text);
    if (failed)
        return error_prefix(error, "%s/%s", path, manifest_name);
    failed = check_set(set, folder, descriptor, path, error);
    if (failed)
        set_release(set);
    return failed;
}

/* The set that the link names. */
static int read_best(const struct run_folder *folder, char name[CHECKPOINT_NAME_MAX], struct error *error)
{
    const int descriptor = open_set(folder, "");
    const ssize_t length = readlinkat(descriptor, BEST_SET, name, CHECKPOINT_NAME_MAX - 1);
    struct set_place place;

    close_set(descriptor);
    if (descriptor < 0 || length < 0)
        return error_set(error, "%s/" CHECKPOINTS_FOLDER "/" BEST_SET " cannot be read: %s", folder->path,
                         strerror(errno));
    name[length] = '\0';
    return parse_place(name, &place)
               ? 0
               : error_set(error, "%s/" CHECKPOINTS_FOLDER "/" BEST_SET " is no link to a set", folder->path);
}

int set_open(struct checkpoint_set *set, const struct run_folder *folder, const char *name, struct error *error)
{
    char path[PATH_LENGTH];
    int descriptor, failed;

    memset(set, 0, sizeof(*set));
    snprintf(set->name, sizeof(set->name), "%s", name);
    if (strcmp(name, BEST_SET) == 0 && read_best(folder, set->name, error))
        return -1;
    path_of(folder, set->name, path);
    descriptor = open_set(folder, set->name);
    if (descriptor < 0)
        return error_set(error, "%s cannot be opened: %s", path, strerror(errno));
    failed = read_set(set, folder, descriptor, error);
    close(descriptor);
    return failed;
}

void set_release(struct checkpoint_set *set)
{
    manifest_release(&set->manifest);
}

int set_open_newest(struct checkpoint_set *set, const struct run_folder *folder, const char *last, struct error *error)
{
    struct set_place *places, end;
    const bool ends = last && parse_place(last, &end);
    const int count = sets_list(folder, &places);
    int failed = -1;

    for (int i = 0; i < count && failed; i++) {
        if ((ends && set_compare(&places[i], &end) < 0) || !set_is_complete(folder, places[i].name))
            continue;
        failed = set_open(set, folder, places[i].name, error);
        if (failed)
            fprintf(stderr, "tpcoord: passing over a checkpoint: %s\n", error->text);
    }
    free(places);
    return failed ? error_set(error, "%s has no complete checkpoint", folder->path) : 0;
}

/* From the set's folder up to the one in which the run's lies. */
static int sync_folders(const struct run_folder *folder, int set)
{
    const int sets = open_set(folder, "");
    const int failed = sets < 0 || fsync(set) || fsync(sets) || fsync(folder->descriptor);

    close_set(sets);
    return failed ? -1 : 0;
}

static int write_manifest(const struct run_folder *folder, int set, const char *text, size_t size)
{
    struct new_file file;

    /* What it names is to be found when it is. */
    if (sync_folders(folder, set) || new_file_open(&file, set, manifest_name))
        return -1;
    fwrite(text, 1, size, file.stream);
    return new_file_finish(&file);
}

int set_write_manifest(const struct run_folder *folder, const char *name, const struct manifest *manifest,
                       struct error *error)
{
    size_t size;
    char *text = manifest_text(manifest, &size), path[PATH_LENGTH];
    int set, failed;

    if (!text)
        return error_set(error, "out of memory for a checkpoint's manifest");
    set = open_set(folder, name);
    failed = set < 0 || write_manifest(folder, set, text, size);
    path_of(folder, name, path);
    if (failed)
        error_set(error, "%s/%s cannot be written: %s", path, manifest_name, strerror(errno));
    close_set(set);
    free(text);
    return failed ? -1 : 0;
}

void set_mark_best(const struct run_folder *folder, const char *name)
{
    static const char temporary[] = BEST_SET ".part";
    const int sets = open_set(folder, "");

    if (sets < 0)
        return;
    unlinkat(sets, temporary, 0);
    if (symlinkat(name, sets, temporary) || renameat(sets, temporary, sets, BEST_SET))
        unlinkat(sets, temporary, 0);
    close(sets);
}

/* Whether tp gives a file that name, or gives it while it writes it. */
static bool is_own(const char *file)
{
    char name[CHECKPOINT_NAME_MAX];
    size_t length = strlen(file);
    int stage, version;

    if (length > 5 && strcmp(file + length - 5, ".part") == 0)
        length -= 5;
    if (strcmp(file, aside_name) == 0)
        return true;
    return snprintf(name, sizeof(name), "%.*s", (int)length, file) < (int)sizeof(name) &&
           (strcmp(name, manifest_name) == 0 || checkpoint_parse_file_name(name, &stage, &version));
}

void set_remove(const struct run_folder *folder, const char *name)
{
    const int sets = open_set(folder, ""), set = open_set(folder, name);
    DIR *directory = set < 0 ? NULL : fdopendir(dup(set));
    const struct dirent *entry;

    if (set >= 0)
        unlinkat(set, manifest_name, 0);
    while (directory && (entry = readdir(directory)))
        if (is_own(entry->d_name))
            unlinkat(set, entry->d_name, 0);
    if (directory)
        closedir(directory);
    close_set(set);
    if (set >= 0)
        unlinkat(sets, name, AT_REMOVEDIR);
    close_set(sets);
}

void sets_remove_all(const struct run_folder *folder)
{
    struct set_place *places;
    const int count = sets_list(folder, &places), sets = open_set(folder, "");

    for (int i = 0; i < count; i++)
        set_remove(folder, places[i].name);
    free(places);
    if (sets < 0)
        return;
    unlinkat(sets, BEST_SET, 0);
    close(sets);
    unlinkat(folder->descriptor, CHECKPOINTS_FOLDER, AT_REMOVEDIR);
}

void sets_set_aside_after(const struct run_folder *folder, const char *name)
{
    struct set_place *places;
    const int count = sets_list(folder, &places);

    for (int i = 0; i < count && strcmp(places[i].name, name) != 0; i++) {
        const int set = open_set(folder, places[i].name);

        if (set >= 0)
            renameat(set, manifest_name, set, aside_name);
        close_set(set);
    }
    free(places);
}
