#include "checkpoint/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* What the format allows, and what no header of ours comes near. */
enum { HEADER_BYTES_MAX = 100000000 };

static void from_f32(float *out, const unsigned char *values, size_t count)
{
    memcpy(out, values, count * sizeof(*out));
}

static void from_f64(float *out, const unsigned char *values, size_t count)
{
    double value;

    for (size_t i = 0; i < count; i++) {
        memcpy(&value, values + i * sizeof(value), sizeof(value));
        out[i] = (float)value;
    }
}

static uint32_t half_at(const unsigned char *values, size_t i)
{
    return (uint32_t)values[2 * i] | (uint32_t)values[2 * i + 1] << 8;
}

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The upper half of a float. */
static void from_bf16(float *out, const unsigned char *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = float_of_bits(half_at(values, i) << 16);
}

/* IEEE 754's binary16: a sign, 5 bits of exponent, 10 of fraction. */
static void from_f16(float *out, const unsigned char *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t half = half_at(values, i), sign = (half & 0x8000) << 16, exponent = half >> 10 & 31,
                       fraction = half & 1023;

        if (exponent == 0)
            out[i] = (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
        else
            out[i] = float_of_bits(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
    }
}

static const struct safetensors_type types[] = {
    {"F32", 4, from_f32}, {"F16", 2, from_f16}, {"BF16", 2, from_bf16}, {"F64", 8, from_f64}, {"I64", 8, NULL},
    {"U64", 8, NULL},     {"I32", 4, NULL},     {"U32", 4, NULL},       {"I16", 2, NULL},     {"U16", 2, NULL},
    {"I8", 1, NULL},      {"U8", 1, NULL},      {"BOOL", 1, NULL},      {"F8_E4M3", 1, NULL}, {"F8_E5M2", 1, NULL},
};

static const struct safetensors_type *find_type(const char *name)
{
    for (size_t t = 0; name && t < sizeof(types) / sizeof(types[0]); t++)
        if (strcmp(types[t].name, name) == 0)
            return &types[t];
    return NULL;
}

static int read_shape(struct safetensors_entry *entry, const json_t *shape, uint64_t *bytes)
{
    *bytes = (uint64_t)entry->type->bytes;
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_DIMENSIONS_MAX)
        return -1;
    entry->dimensions = (int)json_array_size(shape);
    for (int d = 0; d < entry->dimensions; d++) {
        const json_t *size = json_array_get(shape, (size_t)d);

        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return -1;
        entry->shape[d] = (uint64_t)json_integer_value(size);
        if (__builtin_mul_overflow(*bytes, entry->shape[d], bytes))
            return -1;
    }
    return 0;
}

static int read_place(struct safetensors_entry *entry, const json_t *offsets)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return -1;
    entry->begin = (uint64_t)json_integer_value(begin);
    entry->end = (uint64_t)json_integer_value(end);
    return 0;
}

static int read_entry(struct safetensors_entry *entry, const char *name, const json_t *described, struct error *error)
{
    const char *type = json_string_value(json_object_get(described, "dtype"));
    uint64_t bytes;

    entry->name = name;
    entry->type = find_type(type);
    if (!entry->type)
        return error_set(error, "%.80s is of type %.16s, which is not known", name, type ? type : "none");
    if (read_shape(entry, json_object_get(described, "shape"), &bytes))
        return error_set(error, "the shape of %.80s makes no sense", name);
    if (read_place(entry, json_object_get(described, "data_offsets")) || entry->end - entry->begin != bytes)
        return error_set(error, "%.80s does not have the bytes that its shape needs", name);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct safetensors_entry *one = a, *other = b;

    if (one->begin != other->begin)
        return one->begin < other->begin ? -1 : 1;
    return (one->end > other->end) - (one->end < other->end);
}

/* The tensors follow each other from the first byte to the last. */
static int place_entries(struct safetensors *file, const unsigned char *data, uint64_t size, struct error *error)
{
    uint64_t end = 0;

    qsort(file->entries, (size_t)file->count, sizeof(*file->entries), by_place);
    for (int i = 0; i < file->count; i++) {
        struct safetensors_entry *entry = &file->entries[i];

        if (entry->begin != end || entry->end > size)
            return error_set(error, "%.80s overlaps another tensor, leaves a gap or lies outside of the file",
                             entry->name);
        entry->values = data + entry->begin;
        end = entry->end;
    }
    return end == size ? 0 : error_set(error, "it has bytes that belong to no tensor");
}

static int read_entries(struct safetensors *file, struct error *error)
{
    const char *name;
    json_t *described;

    file->entries = calloc(json_object_size(file->header) + 1, sizeof(*file->entries));
    if (!file->entries)
        return error_set(error, "out of memory");
    json_object_foreach(file->header, name, described)
    {
        if (strcmp(name, "__metadata__") != 0 && read_entry(&file->entries[file->count++], name, described, error))
            return -1;
    }
    return 0;
}

int safetensors_read(struct safetensors *file, const void *bytes, size_t size, struct error *error)
{
    const unsigned char *data = bytes;
    uint64_t length = 0;
    json_error_t reason;

    *file = (struct safetensors){.count = 0};
    for (size_t i = 0; i < sizeof(length) && i < size; i++)
        length |= (uint64_t)data[i] << 8 * i;
    if (size < sizeof(length) || length > size - sizeof(length) || length > HEADER_BYTES_MAX)
        return error_set(error, "it is no safetensors file, or is cut off in its header");
    data += sizeof(length);
    file->header = json_loadb((const char *)data, (size_t)length, JSON_REJECT_DUPLICATES, &reason);
    if (!json_is_object(file->header)) {
        error_set(error, "its header is no JSON object%s%s", file->header ? "" : ": ", file->header ? "" : reason.text);
        safetensors_release(file);
        return -1;
    }
    if (read_entries(file, error) || place_entries(file, data + length, size - sizeof(length) - length, error)) {
        safetensors_release(file);
        return -1;
    }
    return 0;
}

void safetensors_release(struct safetensors *file)
{
    json_decref(file->header);
    free(file->entries);
    *file = (struct safetensors){.count = 0};
}

const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->entries[i].name, name) == 0)
            return &file->entries[i];
    return NULL;
}

void safetensors_floats(const struct safetensors_entry *entry, uint64_t first, size_t count, float *out)
{
    entry->type->floats(out, entry->values + first * (uint64_t)entry->type->bytes, count);
}

int safetensors_describe(json_t *header, const char *name, const int *shape, int dimensions, uint64_t *offset)
{
    json_t *sizes = json_array();
    uint64_t end = sizeof(float);

    for (int d = 0; d < dimensions; d++) {
        json_array_append_new(sizes, json_integer(shape[d]));
        end *= (uint64_t)shape[d];
    }
    end += *offset;
    if (json_object_set_new(header, name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", sizes, "data_offsets",
                                      (json_int_t)*offset, (json_int_t)end)))
        return -1;
    *offset = end;
    return 0;
}

char *safetensors_format(const json_t *header, size_t *size)
{
    char *text = json_dumps(header, JSON_COMPACT), *bytes;
    size_t length = text ? strlen(text) : 0, padded = (length + 7) / 8 * 8;
    uint64_t prefix = padded;

    bytes = text ? malloc(sizeof(prefix) + padded) : NULL;
    if (bytes) {
        for (size_t i = 0; i < sizeof(prefix); i++)
            bytes[i] = (char)(prefix >> 8 * i & 0xff);
        memset(bytes + sizeof(prefix), ' ', padded);
        memcpy(bytes + sizeof(prefix), text, length);
        *size = sizeof(prefix) + padded;
    }
    free(text);
    return bytes;
}
