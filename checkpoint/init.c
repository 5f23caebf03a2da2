#include "checkpoint/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "plan/config.h"

static const char ending[] = ".safetensors";

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name), least = strlen(end);

    return length > least && strcmp(name + length - least, end) == 0;
}

/* Older versions of a checkpoint's weights are not what it has learned. */
static bool holds_weights(const char *name)
{
    int stage, version;

    return ends_with(name, ending) && !(checkpoint_parse_file_name(name, &stage, &version) && version >= 0);
}

static int add_folder(struct tensor_files *files, struct error *error)
{
    char path[2 * CONFIG_PATH_MAX];
    struct dirent **entries;
    const int count = scandir(files->path, &entries, NULL, alphasort);
    int failed = 0;

    if (count < 0)
        return error_set(error, "%s cannot be read: %s", files->path, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (holds_weights(entries[i]->d_name) && !failed) {
            snprintf(path, sizeof(path), "%s/%s", files->path, entries[i]->d_name);
            failed = tensor_files_add(files, path, error);
        }
        free(entries[i]);
    }
    free(entries);
    if (!failed && files->count == 0)
        return error_set(error, "%s has no file *%s; a run's weights are in its checkpoints/best", files->path, ending);
    return failed;
}

static int add_files(struct tensor_files *files, const char *path, struct error *error)
{
    struct stat status;

    *files = (struct tensor_files){.folder = AT_FDCWD, .path = path};
    if (stat(path, &status))
        return error_set(error, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return add_folder(files, error);
    if (ends_with(path, ending))
        return tensor_files_add(files, path, error);
    if (ends_with(path, ".index.json"))
        return error_set(error, "%s lists the files of a model: give the folder that they are in", path);
    return error_set(error,
                     "%s is no file *%s, nor a folder of them; PyTorch writes one with "
                     "safetensors.torch.save_file(model.state_dict(), FILE)",
                     path, ending);
}

int init_read(const char *path, const struct tensors *tensors, float *parameters, float *state, struct error *error)
{
    const struct tensor_group groups[] = {{.floats = parameters}, {.state = true, .floats = state, .optional = true}};
    struct tensor_files files;
    const int failed = add_files(&files, path, error) || tensor_files_read(&files, tensors, groups, 2, error);

    tensor_files_close(&files);
    return failed ? -1 : 0;
}

/* The first of some tensors, and how many more there are. */
enum { LIST_LENGTH = 200 };
struct list {
    int count, left_out;
    char text[LIST_LENGTH];
};

__attribute__((format(printf, 2, 3))) static void list_add(struct list *list, const char *format, ...)
{
    char text[LIST_LENGTH];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (list->left_out > 0 || strlen(list->text) + strlen(text) + 3 > sizeof(list->text))
        list->left_out++;
    else
        text_append(list->text, sizeof(list->text), "%s%s", list->count > 0 ? ", " : "", text);
    list->count++;
}

static void append_list(char *text, size_t size, const struct list *list, const char *before, const char *behind)
{
    if (list->count == 0)
        return;
    text_append(text, size, "; %s%s", before, list->text);
    if (list->left_out > 0)
        text_append(text, size, " and %d more", list->left_out);
    text_append(text, size, "%s", behind);
}

/* "64 x 3 x 3 x 3" */
static void describe_shape(const uint64_t *shape, int dimensions, char text[LIST_LENGTH / 2])
{
    text[0] = '\0';
    for (int d = 0; d < dimensions; d++)
        text_append(text, LIST_LENGTH / 2, "%s%llu", d > 0 ? " x " : "", (unsigned long long)shape[d]);
    if (dimensions == 0)
        text_append(text, LIST_LENGTH / 2, "a number");
}

/* What is wrong with the files. */
struct misfit {
    struct list lacking, extra, shaped, typed;
};

static void compare_shape(struct misfit *misfit, const struct tensor *tensor, const struct safetensors_entry *entry)
{
    char is[LIST_LENGTH / 2], expected[LIST_LENGTH / 2];
    uint64_t shape[TENSOR_DIMENSIONS_MAX];

    for (int d = 0; d < tensor->dimensions; d++)
        shape[d] = (uint64_t)tensor->shape[d];
    describe_shape(entry->shape, entry->dimensions, is);
    describe_shape(shape, tensor->dimensions, expected);
    list_add(&misfit->shaped, "%s is %s, not %s", tensor->name, is, expected);
}

static int compare_tensor(struct misfit *misfit, struct tensor_files *files, const struct tensor *tensor,
                          struct error *error)
{
    const struct safetensors_entry *entry;

    if (tensor_files_find(files, tensor->name, &entry, error))
        return -1;
    if (!entry && !tensor->state)
        list_add(&misfit->lacking, "%s", tensor->name);
    else if (entry && !tensor_files_same_shape(tensor, entry))
        compare_shape(misfit, tensor, entry);
    else if (entry && !entry->type->floats)
        list_add(&misfit->typed, "%s is of type %s", tensor->name, entry->type->name);
    return 0;
}

/* Of checkpoints, and what PyTorch's modules hold that can be worked out. */
static bool is_beside_weights(const char *name)
{
    return strncmp(name, "optimizer.", 10) == 0 || strncmp(name, "version.", 8) == 0 ||
           ends_with(name, ".num_batches_tracked") || ends_with(name, ".rotary_emb.inv_freq");
}

static bool has_tensor(const struct tensors *tensors, const char *name)
{
    for (int t = 0; t < tensors->count; t++)
        if (strcmp(tensors->list[t].name, name) == 0)
            return true;
    return false;
}

/* What the n-th file has that the network does not, or another file, too. */
static int find_extra(struct misfit *misfit, struct tensor_files *files, int n, const struct tensors *tensors,
                      struct error *error)
{
    if (tensor_files_open(files, n, error))
        return -1;
    for (int i = 0; i < files->list[n].contents.count; i++) {
        const struct safetensors_entry *entry = &files->list[n].contents.entries[i], *first;

        if (is_beside_weights(entry->name))
            continue;
        if (!has_tensor(tensors, entry->name))
            list_add(&misfit->extra, "%.100s", entry->name);
        else if (tensor_files_find(files, entry->name, &first, error) == 0 && first != entry)
            return error_set(error, "%s has the tensor %s in two files", files->path, entry->name);
    }
    return 0;
}

static int compare(struct misfit *misfit, struct tensor_files *files, const struct tensors *tensors,
                   struct error *error)
{
    for (int n = 0; n < files->count; n++)
        if (find_extra(misfit, files, n, tensors, error))
            return -1;
    for (int t = 0; t < tensors->count; t++)
        if (compare_tensor(misfit, files, &tensors->list[t], error))
            return -1;
    return 0;
}

static int judge(const struct misfit *misfit, const char *path, struct error *error)
{
    char text[sizeof(error->text)] = "";

    append_list(text, sizeof(text), &misfit->lacking, "it lacks ", "");
    append_list(text, sizeof(text), &misfit->extra, "it has ", ", which the network does not have");
    append_list(text, sizeof(text), &misfit->shaped, "", "");
    append_list(text, sizeof(text), &misfit->typed, "", ", not F32, F16, BF16 or F64");
    if (text[0] == '\0')
        return 0;
    error_set(error, "%.300s does not fit the network: %s", path, text + 2);
    text_clean(error->text);
    return -1;
}

int init_check(const char *path, const struct network *network, struct error *error)
{
    const struct slice all = network_slice(network, 0, network->block_count);
    struct misfit misfit = {.lacking = {.count = 0}};
    struct tensors tensors = {.count = 0};
    struct tensor_files files;
    const int failed = add_files(&files, path, error) || tensors_create(&tensors, network, &all, error) ||
                       compare(&misfit, &files, &tensors, error) || judge(&misfit, path, error);

    tensors_release(&tensors);
    tensor_files_close(&files);
    return failed ? -1 : 0;
}
