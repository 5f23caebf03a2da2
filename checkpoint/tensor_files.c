#include "checkpoint/tensor_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { CHUNK = 4096 };

int tensor_files_add(struct tensor_files *files, const char *name, struct error *error)
{
    struct tensor_file *list = realloc(files->list, (size_t)(files->count + 1) * sizeof(*list));

    if (list)
        files->list = list;
    if (!list || !(list[files->count] = (struct tensor_file){.name = strdup(name)}).name)
        return error_set(error, "out of memory");
    files->count++;
    return 0;
}

int tensor_files_open(struct tensor_files *files, int n, struct error *error)
{
    struct tensor_file *file = &files->list[n];
    const bool path = files->folder == AT_FDCWD;

    if (file->bytes)
        return 0;
    if (path ? file_map(file->name, &file->bytes, &file->size, error)
             : file_map_in(files->folder, files->path, file->name, &file->bytes, &file->size, error))
        return -1;
    if (safetensors_read(&file->contents, file->bytes, file->size, error) == 0)
        return 0;
    return error_prefix(error, "%s%s%s", path ? "" : files->path, path ? "" : "/", file->name);
}

int tensor_files_find(struct tensor_files *files, const char *name, const struct safetensors_entry **entry,
                      struct error *error)
{
    *entry = NULL;
    for (int n = 0; n < files->count && !*entry; n++) {
        if (tensor_files_open(files, n, error))
            return -1;
        *entry = safetensors_find(&files->list[n].contents, name);
    }
    return 0;
}

bool tensor_files_same_shape(const struct tensor *tensor, const struct safetensors_entry *entry)
{
    bool same = tensor->dimensions == entry->dimensions;

    for (int d = 0; d < tensor->dimensions && same; d++)
        same = (uint64_t)tensor->shape[d] == entry->shape[d];
    return same;
}

void tensor_files_name(const struct tensor *tensor, const struct tensor_group *group, char name[TENSOR_FULL_NAME_MAX])
{
    snprintf(name, TENSOR_FULL_NAME_MAX, "%s%s", group->prefix, tensor->name);
}

int tensor_files_each(const struct tensors *tensors, const struct tensor_group *groups, int group_count,
                      int (*visit)(const struct tensor *, const struct tensor_group *, void *), void *context)
{
    for (const struct tensor_group *group = groups; group < groups + group_count; group++)
        for (int t = 0; t < tensors->count; t++)
            if (tensors->list[t].state == group->state && visit(&tensors->list[t], group, context))
                return -1;
    return 0;
}

struct reading {
    struct tensor_files *files;
    struct error *error;
};

static void take_values(const struct tensor *tensor, const struct safetensors_entry *entry, float *floats)
{
    float chunk[CHUNK];

    for (size_t begin = 0; begin < tensor->count; begin += CHUNK) {
        const size_t count = tensor->count - begin < CHUNK ? tensor->count - begin : CHUNK;

        safetensors_floats(entry, begin, count, chunk);
        for (size_t i = 0; i < count; i++)
            floats[tensor_element(tensor, begin + i)] = chunk[i];
    }
}

static int read_values(const struct tensor *tensor, const struct tensor_group *group, void *context)
{
    const struct reading *reading = context;
    const char *path = reading->files->path;
    const struct safetensors_entry *entry;
    char name[TENSOR_FULL_NAME_MAX];

    tensor_files_name(tensor, group, name);
    if (tensor_files_find(reading->files, name, &entry, reading->error))
        return -1;
    if (!entry && group->optional)
        return 0;
    if (!entry)
        return error_set(reading->error, "%s: no file has the tensor %s", path, name);
    if (!tensor_files_same_shape(tensor, entry))
        return error_set(reading->error, "%s: the tensor %s has another shape than the network's", path, name);
    if (!entry->type->floats)
        return error_set(reading->error, "%s: the tensor %s is of type %s, which are no floats", path, name,
                         entry->type->name);
    take_values(tensor, entry, group->floats);
    return 0;
}

int tensor_files_read(struct tensor_files *files, const struct tensors *tensors, const struct tensor_group *groups,
                      int group_count, struct error *error)
{
    struct reading reading = {files, error};

    return tensor_files_each(tensors, groups, group_count, read_values, &reading);
}

void tensor_files_close(struct tensor_files *files)
{
    for (int n = 0; n < files->count; n++) {
        safetensors_release(&files->list[n].contents);
        file_unmap(files->list[n].bytes, files->list[n].size);
        free(files->list[n].name);
    }
    free(files->list);
    files->list = NULL;
    files->count = 0;
}
