/* Safetensors files in which tensors are looked up by name: those of a checkpoint, or weights that a run begins with. They
 * are mapped, and each only when the tensor was in none before it: so a stage whose own file has all of its tensors
 * opens no other, and of a file only the pages of these tensors are loaded. */
#ifndef TP_CHECKPOINT_TENSOR_FILES_H
#define TP_CHECKPOINT_TENSOR_FILES_H

#include "checkpoint/safetensors.h"
#include "checkpoint/tensors.h"

/* Tensors of a file that share a prefix, and the slice's array in which they lie. */
enum { TENSOR_PREFIX_MAX = 64 };
struct tensor_group {
    char prefix[TENSOR_PREFIX_MAX];
    bool state;
    float *floats;
    bool optional; /* those that no file has stay what they are */
};

struct tensor_file {
    char *name;
    const void *bytes; /* NULL: not opened yet */
    size_t size;
    struct safetensors contents;
};

struct tensor_files {
    int folder;       /* in which the files lie, this user's; AT_FDCWD: names are paths, of anybody's files */
    const char *path; /* for messages; the caller's */
    int count;
    struct tensor_file *list; /* [count], in the order in which they are looked into */
};

/* Adds a file, which is not looked at yet, to a struct that has at first but the folder and its path. */
int tensor_files_add(struct tensor_files *files, const char *name, struct error *error);

/* Opens the n-th file, if it is not open. */
int tensor_files_open(struct tensor_files *files, int n, struct error *error);

/* The tensor of that name; NULL if there is none. -1 if a file on the way to it cannot be read. */
int tensor_files_find(struct tensor_files *files, const char *name, const struct safetensors_entry **entry,
                      struct error *error);

/* Fills the groups' arrays. -1 and the file that is damaged, or the tensor that is missing, or of another shape or type. */
int tensor_files_read(struct tensor_files *files, const struct tensors *tensors, const struct tensor_group *groups,
                      int group_count, struct error *error);

/* Whether the tensor has that shape in the file. */
bool tensor_files_same_shape(const struct tensor *tensor, const struct safetensors_entry *entry);

void tensor_files_close(struct tensor_files *files);

/* The name that a group's tensor has in files. */
enum { TENSOR_FULL_NAME_MAX = TENSOR_NAME_MAX + TENSOR_PREFIX_MAX };
void tensor_files_name(const struct tensor *tensor, const struct tensor_group *group, char name[TENSOR_FULL_NAME_MAX]);

/* Calls `visit` for every tensor of every group, in file order, until it returns -1. */
int tensor_files_each(const struct tensors *tensors, const struct tensor_group *groups, int group_count,
                      int (*visit)(const struct tensor *, const struct tensor_group *, void *), void *context);

#endif
