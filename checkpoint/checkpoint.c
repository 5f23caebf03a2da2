#include "checkpoint/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"

enum { CHUNK = 4096 };

void checkpoint_set_name(int epoch, int minibatch, char name[CHECKPOINT_NAME_MAX])
{
    if (minibatch > 0)
        snprintf(name, CHECKPOINT_NAME_MAX, "epoch-%04d-minibatch-%06d", epoch, minibatch);
    else
        snprintf(name, CHECKPOINT_NAME_MAX, "epoch-%04d", epoch);
}

void checkpoint_file_name(int stage, int version, char name[CHECKPOINT_NAME_MAX])
{
    if (version >= 0)
        snprintf(name, CHECKPOINT_NAME_MAX, "stage-%d-version-%d.safetensors", stage, version);
    else
        snprintf(name, CHECKPOINT_NAME_MAX, "stage-%d.safetensors", stage);
}

bool checkpoint_parse_file_name(const char *name, int *stage, int *version)
{
    char again[CHECKPOINT_NAME_MAX];

    *version = -1;
    if (sscanf(name, "stage-%3d-version-%9d", stage, version) < 1 || *stage < 1 || *stage > MAX_STAGES)
        return false;
    checkpoint_file_name(*stage, *version, again);
    return strcmp(name, again) == 0;
}

/* What is written, and what the manifest will say of it. */
struct sink {
    FILE *stream;
    struct written_file written;
};

static int put(struct sink *sink, const void *bytes, size_t size)
{
    sink->written.bytes += size;
    sink->written.crc32 = (uint32_t)crc32_z(sink->written.crc32, bytes, size);
    return fwrite(bytes, 1, size, sink->stream) == size ? 0 : -1;
}

static int put_tensor(struct sink *sink, const struct tensor *tensor, const float *floats)
{
    float chunk[CHUNK];

    for (size_t begin = 0; begin < tensor->count; begin += CHUNK) {
        size_t count = tensor->count - begin < CHUNK ? tensor->count - begin : CHUNK;

        for (size_t i = 0; i < count; i++)
            chunk[i] = floats[tensor_element(tensor, begin + i)];
        if (put(sink, chunk, count * sizeof(float)))
            return -1;
    }
    return 0;
}

struct header {
    json_t *json;
    uint64_t offset;
};

static int describe(const struct tensor *tensor, const struct tensor_group *group, void *context)
{
    struct header *header = context;
    char name[TENSOR_FULL_NAME_MAX];

    tensor_files_name(tensor, group, name);
    return safetensors_describe(header->json, name, tensor->shape, tensor->dimensions, &header->offset);
}

static int write_values(const struct tensor *tensor, const struct tensor_group *group, void *context)
{
    return put_tensor(context, tensor, group->floats);
}

static int write_file(struct sink *sink, const struct tensors *tensors, const struct tensor_group *groups,
                      int group_count)
{
    struct header header = {.json = json_object()};
    char *bytes = NULL;
    size_t size;
    int failed = -1;

    errno = ENOMEM;
    if (!tensor_files_each(tensors, groups, group_count, describe, &header) &&
        (bytes = safetensors_format(header.json, &size)))
        failed = put(sink, bytes, size) || tensor_files_each(tensors, groups, group_count, write_values, sink);
    free(bytes);
    json_decref(header.json);
    return failed;
}

/* Calls `open` for the folder of all sets, and then for the set's in it. */
static int open_folders(int run_folder, const char *set, int (*open)(int, const char *))
{
    const int sets = open(run_folder, CHECKPOINTS_FOLDER), folder = sets < 0 || !set[0] ? sets : open(sets, set);
    const int reason = errno;

    if (folder != sets)
        close(sets);
    errno = reason;
    return folder;
}

int checkpoint_open_folder(int run_folder, const char *set)
{
    return open_folders(run_folder, set, file_open_folder);
}

int checkpoint_make_folder(int run_folder, const char *set)
{
    return open_folders(run_folder, set, file_make_folder);
}

int checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                     const struct tensor_group *groups, int group_count, struct written_file *written)
{
    const int folder = checkpoint_make_folder(run_folder, set);
    struct sink sink = {.stream = NULL};
    struct new_file out;
    int failed = folder < 0 || new_file_open(&out, folder, file);

    if (!failed) {
        sink.stream = out.stream;
        failed = write_file(&sink, tensors, groups, group_count);
        if (failed)
            new_file_discard(&out);
        else
            failed = new_file_finish(&out);
    }
    const int reason = errno;
    if (folder >= 0)
        close(folder);
    *written = sink.written;
    return failed ? reason : 0;
}

/* A set in whose folder no file is named yet. */
struct set_files {
    char path[sizeof(CHECKPOINTS_FOLDER) + CHECKPOINT_NAME_MAX];
    struct tensor_files files;
};

static int open_set(struct set_files *set, int run_folder, const char *name, struct error *error)
{
    snprintf(set->path, sizeof(set->path), CHECKPOINTS_FOLDER "/%s", name);
    set->files = (struct tensor_files){.folder = checkpoint_open_folder(run_folder, name), .path = set->path};
    return set->files.folder < 0 ? error_set(error, "%s cannot be opened: %s", set->path, strerror(errno)) : 0;
}

static void close_set(struct set_files *set)
{
    tensor_files_close(&set->files);
    if (set->files.folder >= 0)
        close(set->files.folder);
}

/* The file of that part first: if it was cut as now, it has all. */
static int add_files(struct set_files *set, int count, int first, struct error *error)
{
    char name[CHECKPOINT_NAME_MAX];

    for (int k = 0; k < count; k++) {
        checkpoint_file_name(1 + (first - 1 + k) % count, -1, name);
        if (tensor_files_add(&set->files, name, error))
            return -1;
    }
    return 0;
}

int checkpoint_read(int run_folder, const char *set, int files, int first, const struct tensors *tensors,
                    const struct tensor_group *groups, int group_count, struct error *error)
{
    struct set_files opened;
    const int failed = open_set(&opened, run_folder, set, error) || add_files(&opened, files, first, error) ||
                       tensor_files_read(&opened.files, tensors, groups, group_count, error);

    close_set(&opened);
    return failed ? -1 : 0;
}

int checkpoint_read_file(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                         const struct tensor_group *groups, int group_count, struct error *error)
{
    struct set_files opened;
    const int failed = open_set(&opened, run_folder, set, error) || tensor_files_add(&opened.files, file, error) ||
                       tensor_files_read(&opened.files, tensors, groups, group_count, error);

    close_set(&opened);
    return failed ? -1 : 0;
}
