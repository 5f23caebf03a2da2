#include "checkpoint/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"

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

/* Calls `visit` for every tensor of every group, in file order. */
static int each_tensor(const struct tensors *tensors, const struct tensor_group *groups, int group_count,
                       int (*visit)(const struct tensor *, const struct tensor_group *, void *), void *context)
{
    for (const struct tensor_group *group = groups; group < groups + group_count; group++)
        for (int t = 0; t < tensors->count; t++)
            if (tensors->list[t].state == group->state && visit(&tensors->list[t], group, context))
                return -1;
    return 0;
}

static void full_name(const struct tensor *tensor, const struct tensor_group *group, char *name, size_t size)
{
    snprintf(name, size, "%s%s", group->prefix, tensor->name);
}

struct header {
    json_t *json;
    uint64_t offset;
};

static int describe(const struct tensor *tensor, const struct tensor_group *group, void *context)
{
    struct header *header = context;
    char name[sizeof(tensor->name) + sizeof(group->prefix)];

    full_name(tensor, group, name, sizeof(name));
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
    if (!each_tensor(tensors, groups, group_count, describe, &header) &&
        (bytes = safetensors_format(header.json, &size)))
        failed = put(sink, bytes, size) || each_tensor(tensors, groups, group_count, write_values, sink);
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

int checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                     const struct tensor_group *groups, int group_count, struct written_file *written)
{
    const int folder = open_folders(run_folder, set, file_make_folder);
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

/* The files that tensors are looked up in. */
struct source {
    int folder;
    char path[sizeof(CHECKPOINTS_FOLDER) + CHECKPOINT_NAME_MAX]; /* for messages */
    int count;
    struct opened {
        const void *bytes;
        size_t size;
        struct safetensors contents;
    } * files;
    struct error *error;
};

static int open_file(struct source *source, const char *name)
{
    struct opened *file = &source->files[source->count];

    if (file_map_in(source->folder, source->path, name, &file->bytes, &file->size, source->error))
        return -1;
    source->count++;
    return safetensors_read(&file->contents, file->bytes, file->size, source->error)
               ? error_prefix(source->error, "%s/%s", source->path, name)
               : 0;
}

static int source_open(struct source *source, int run_folder, const char *set, int room, struct error *error)
{
    *source = (struct source){.error = error, .files = calloc((size_t)room, sizeof(struct opened))};
    snprintf(source->path, sizeof(source->path), CHECKPOINTS_FOLDER "/%s", set);
    source->folder = checkpoint_open_folder(run_folder, set);
    if (source->folder < 0)
        return error_set(error, "%s cannot be opened: %s", source->path, strerror(errno));
    return source->files ? 0 : error_set(error, "out of memory");
}

static void source_close(struct source *source)
{
    for (int i = 0; i < source->count; i++) {
        safetensors_release(&source->files[i].contents);
        file_unmap(source->files[i].bytes, source->files[i].size);
    }
    free(source->files);
    if (source->folder >= 0)
        close(source->folder);
}

static bool same_shape(const struct tensor *tensor, const struct safetensors_entry *entry)
{
    bool same = tensor->dimensions == entry->dimensions;

    for (int d = 0; d < tensor->dimensions && same; d++)
        same = (uint64_t)tensor->shape[d] == entry->shape[d];
    return same;
}

static int read_values(const struct tensor *tensor, const struct tensor_group *group, void *context)
{
    const struct source *source = context;
    const struct safetensors_entry *entry = NULL;
    char name[sizeof(tensor->name) + sizeof(group->prefix)];

    full_name(tensor, group, name, sizeof(name));
    for (int i = 0; i < source->count && !entry; i++)
        entry = safetensors_find(&source->files[i].contents, name);
    if (!entry)
        return error_set(source->error, "%s: no file has the tensor %s", source->path, name);
    if (!same_shape(tensor, entry))
        return error_set(source->error, "%s: the tensor %s has another shape than the network's", source->path, name);
    for (size_t i = 0; i < tensor->count; i++)
        memcpy(&group->floats[tensor_element(tensor, i)], entry->values + i * sizeof(float), sizeof(float));
    return 0;
}

int checkpoint_read(int run_folder, const char *set, int files, const struct tensors *tensors,
                    const struct tensor_group *groups, int group_count, struct error *error)
{
    char name[CHECKPOINT_NAME_MAX];
    struct source source;
    int failed = source_open(&source, run_folder, set, files, error);

    for (int s = 1; s <= files && !failed; s++) {
        checkpoint_file_name(s, -1, name);
        failed = open_file(&source, name);
    }
    if (!failed)
        failed = each_tensor(tensors, groups, group_count, read_values, &source);
    source_close(&source);
    return failed;
}

int checkpoint_read_file(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                         const struct tensor_group *groups, int group_count, struct error *error)
{
    struct source source;
    int failed = source_open(&source, run_folder, set, 1, error) || open_file(&source, file);

    if (!failed)
        failed = each_tensor(tensors, groups, group_count, read_values, &source);
    source_close(&source);
    return failed ? -1 : 0;
}
