#include "checkpoint/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* What is written, and what the manifest will say of it. */
struct sink {
    FILE *file;
    struct written_file written;
};

static int put(struct sink *sink, const void *bytes, size_t size)
{
    sink->written.bytes += size;
    sink->written.crc32 = (uint32_t)crc32_z(sink->written.crc32, bytes, size);
    return fwrite(bytes, 1, size, sink->file) == size ? 0 : -1;
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
    return failed || fflush(sink->file) || fsync(fileno(sink->file)) ? -1 : 0;
}

static int make_folder(const char *path)
{
    return mkdir(path, 0777) && errno != EEXIST ? -1 : 0;
}

int checkpoint_write(const char *run_folder, const char *set, const char *file, const struct tensors *tensors,
                     const struct tensor_group *groups, int group_count, struct written_file *written)
{
    char folder[CHECKPOINT_PATH_MAX], path[CHECKPOINT_PATH_MAX], temporary[CHECKPOINT_PATH_MAX + 8];
    struct sink sink = {.file = NULL};
    int failed, reason;

    snprintf(folder, sizeof(folder), "%s/" CHECKPOINTS_FOLDER, run_folder);
    if (make_folder(folder))
        return errno;
    snprintf(folder, sizeof(folder), "%s/" CHECKPOINTS_FOLDER "/%s", run_folder, set);
    if (make_folder(folder))
        return errno;
    snprintf(path, sizeof(path), "%s/" CHECKPOINTS_FOLDER "/%s/%s", run_folder, set, file);
    snprintf(temporary, sizeof(temporary), "%s.part", path);
    sink.file = fopen(temporary, "we");
    if (!sink.file)
        return errno;
    failed = write_file(&sink, tensors, groups, group_count);
    reason = errno;
    if ((fclose(sink.file) && !failed) || (!failed && (rename(temporary, path) || file_sync_folder(folder)))) {
        failed = -1;
        reason = errno;
    }
    if (failed)
        unlink(temporary);
    *written = sink.written;
    return failed ? reason : 0;
}

/* The files that tensors are looked up in. */
struct source {
    int count;
    struct opened {
        char *bytes;
        struct safetensors contents;
    } * files;
    const char *folder;
    struct error *error;
};

static int open_file(struct source *source, const char *name)
{
    struct opened *file = &source->files[source->count];
    char path[CHECKPOINT_PATH_MAX];
    size_t size;

    snprintf(path, sizeof(path), "%s/%s", source->folder, name);
    if (file_read(path, &file->bytes, &size, source->error))
        return -1;
    source->count++;
    return safetensors_read(&file->contents, file->bytes, size, source->error) ? error_prefix(source->error, "%s", path)
                                                                               : 0;
}

static void close_files(struct source *source)
{
    for (int i = 0; i < source->count; i++) {
        safetensors_release(&source->files[i].contents);
        free(source->files[i].bytes);
    }
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
        return error_set(source->error, "%s: no file has the tensor %s", source->folder, name);
    if (!same_shape(tensor, entry))
        return error_set(source->error, "%s: the tensor %s has another shape than the network's", source->folder, name);
    for (size_t i = 0; i < tensor->count; i++)
        memcpy(&group->floats[tensor_element(tensor, i)], entry->values + i * sizeof(float), sizeof(float));
    return 0;
}

int checkpoint_read(const char *folder, int files, const struct tensors *tensors, const struct tensor_group *groups,
                    int group_count, struct error *error)
{
    struct source source = {.files = calloc((size_t)files, sizeof(struct opened)), .folder = folder, .error = error};
    char name[CHECKPOINT_NAME_MAX];
    int failed = source.files ? 0 : error_set(error, "out of memory");

    for (int s = 1; s <= files && !failed; s++) {
        checkpoint_file_name(s, -1, name);
        failed = open_file(&source, name);
    }
    if (!failed)
        failed = each_tensor(tensors, groups, group_count, read_values, &source);
    close_files(&source);
    free(source.files);
    return failed;
}

int checkpoint_read_file(const char *folder, const char *file, const struct tensors *tensors,
                         const struct tensor_group *groups, int group_count, struct error *error)
{
    struct opened opened = {.bytes = NULL};
    struct source source = {.files = &opened, .folder = folder, .error = error};
    int failed = open_file(&source, file);

    if (!failed)
        failed = each_tensor(tensors, groups, group_count, read_values, &source);
    close_files(&source);
    return failed;
}
