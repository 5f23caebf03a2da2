/* The safetensors format: a little-endian u64, the length of a JSON header that follows it, and the tensors' bytes. The
 * header has for each tensor its type, its shape, and where it begins and ends among the bytes. */
#ifndef TP_CHECKPOINT_SAFETENSORS_H
#define TP_CHECKPOINT_SAFETENSORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { SAFETENSORS_DIMENSIONS_MAX = 8 };

/* What the elements of a tensor are. */
struct safetensors_type {
    const char *name; /* as headers have it: "F32" */
    int bytes;
    void (*floats)(float *out, const unsigned char *values, size_t count); /* NULL: they are no floats */
};

struct safetensors_entry {
    const char *name;
    const struct safetensors_type *type;
    int dimensions;
    uint64_t shape[SAFETENSORS_DIMENSIONS_MAX];
    uint64_t begin, end;         /* in bytes; type->bytes for each element */
    const unsigned char *values; /* [end - begin], at any alignment */
};

struct safetensors {
    json_t *header; /* owns the names */
    int count;
    struct safetensors_entry *entries; /* [count], by place */
};

/* Reads a file that lies in memory, which must outlive what is read. Nothing in it is trusted: header length, JSON,
 * types, shapes and places are checked, and that the tensors fill the file without gap or overlap. -1 and what is wrong
 * with it. The caller releases. */
int safetensors_read(struct safetensors *file, const void *bytes, size_t size, struct error *error);
void safetensors_release(struct safetensors *file);

/* NULL if there is none of that name. */
const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name);

/* Elements first .. first + count - 1, in the file's order, as floats of 32 bits. The type has such. */
void safetensors_floats(const struct safetensors_entry *entry, uint64_t first, size_t count, float *out);

/* For a writer: adds a tensor of 32-bit floats to a header; *offset goes from its begin to its end. -1 if out of
 * memory. */
int safetensors_describe(json_t *header, const char *name, const int *shape, int dimensions, uint64_t *offset);

/* The header's bytes as they stand in the file, length and padding included. NULL if out of memory; the caller frees. */
char *safetensors_format(const json_t *header, size_t *size);

#endif
