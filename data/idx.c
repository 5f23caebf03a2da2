#include "data/idx.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "data/elements.h"
#include "data/file.h"
#include "data/foreign.h"

enum {
    MAGIC_BYTES = 4,
    SIZE_BYTES = 4,
    DIMENSIONS_MAX = 4,
    TYPE_UNSIGNED_BYTE = 0x08,
    SIDE_MAX = 4096,
    CHANNELS_MAX = 3
};

/* What a kind of file must look like, and how messages call it. */
struct idx_kind {
    const char *elements, *begin;
    int dimensions_min, dimensions_max;
    uint32_t size_max[DIMENSIONS_MAX];
};

static const struct idx_kind images_kind = {"images",
                                            "00 00 08 03 or 00 00 08 04 (unsigned bytes, 3 or 4 dimensions)",
                                            3,
                                            4,
                                            {INT_MAX, SIDE_MAX, SIDE_MAX, CHANNELS_MAX}};
static const struct idx_kind labels_kind = {"labels", "00 00 08 01 (unsigned bytes, 1 dimension)", 1, 1, {INT_MAX}};

/* Third byte of the file. */
static const char *const element_types[] = {
    [TYPE_UNSIGNED_BYTE] = "unsigned bytes",
    [0x09] = "signed bytes",
    [0x0b] = "16-bit integers",
    [0x0c] = "32-bit integers",
    [0x0d] = "floats",
    [0x0e] = "doubles",
};

struct idx_header {
    int dimensions;
    uint32_t sizes[DIMENSIONS_MAX];
    uint64_t bytes; /* product of the sizes */
};

static size_t header_bytes(const struct idx_header *header)
{
    return MAGIC_BYTES + (size_t)header->dimensions * SIZE_BYTES;
}

static const char *element_type(const unsigned char magic[MAGIC_BYTES])
{
    const size_t types = sizeof(element_types) / sizeof(element_types[0]);

    return magic[0] == 0 && magic[1] == 0 && magic[2] < types ? element_types[magic[2]] : NULL;
}

/* The file has begun with `got` bytes of `begin`, and not as its kind does. */
static int say_what_it_is(struct data_file *file, unsigned char begin[FOREIGN_BEGIN_BYTES], size_t got,
                          const struct idx_kind *kind, const char *path, struct error *error)
{
    const char *type = got == MAGIC_BYTES ? element_type(begin) : NULL;
    char foreign[FOREIGN_TEXT_MAX];
    size_t more = 0;

    if (type)
        return error_set(error, "%s: is an IDX file of %s with %d dimension%s; one of %s starts with %s", path, type,
                         begin[3], begin[3] == 1 ? "" : "s", kind->elements, kind->begin);
    if (data_file_read(file, begin + got, FOREIGN_BEGIN_BYTES - got, &more, error) != 0)
        return -1;
    foreign_describe(begin, got + more, foreign);
    if (foreign[0])
        return error_set(error, "%s: %s", path, foreign);
    if (got < MAGIC_BYTES)
        return error_set(error, "%s: is too short to hold an IDX header; get the file again", path);
    return error_set(error, "%s: starts with the bytes %02x %02x %02x %02x; an IDX file of %s starts with %s", path,
                     begin[0], begin[1], begin[2], begin[3], kind->elements, kind->begin);
}

static int read_exactly(struct data_file *file, unsigned char *out, size_t size, const char *path, struct error *error)
{
    size_t got;

    if (data_file_read(file, out, size, &got, error) != 0)
        return -1;
    return got == size ? 0 : error_set(error, "%s: is too short to hold an IDX header; get the file again", path);
}

static int read_header(struct data_file *file, struct idx_header *header, const struct idx_kind *kind, const char *path,
                       struct error *error)
{
    unsigned char begin[FOREIGN_BEGIN_BYTES], size[SIZE_BYTES];
    size_t got;

    if (data_file_read(file, begin, MAGIC_BYTES, &got, error) != 0)
        return -1;
    if (got < MAGIC_BYTES || begin[0] != 0 || begin[1] != 0 || begin[2] != TYPE_UNSIGNED_BYTE ||
        begin[3] < kind->dimensions_min || begin[3] > kind->dimensions_max)
        return say_what_it_is(file, begin, got, kind, path, error);
    header->dimensions = begin[3];
    header->bytes = 1;
    for (int d = 0; d < header->dimensions; d++) {
        if (read_exactly(file, size, sizeof(size), path, error) != 0)
            return -1;
        header->sizes[d] = (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3];
        if (d == 3 && header->sizes[d] > CHANNELS_MAX && header->sizes[1] <= CHANNELS_MAX)
            return error_set(error,
                             "%s: its images are [%" PRIu32 "][%" PRIu32 "][%" PRIu32
                             "], channels first; tp reads [rows][columns][channels], channels last",
                             path, header->sizes[1], header->sizes[2], header->sizes[3]);
        if (header->sizes[d] < 1 || header->sizes[d] > kind->size_max[d])
            return error_set(error, "%s: its header says that dimension %d is %" PRIu32 "; it must be 1 to %" PRIu32,
                             path, d + 1, header->sizes[d], kind->size_max[d]);
        header->bytes *= header->sizes[d]; /* the bounds keep this below 2^57 */
    }
    if (header->bytes > data_file_size_limit(file))
        return error_set(error,
                         "%s: is shorter than its header says: %" PRIu64 " bytes of %s cannot be in so small a file; "
                         "get the file again",
                         path, header->bytes, kind->elements);
    return 0;
}

static int say_wrong_size(const char *path, bool longer, size_t got, size_t size, const struct idx_kind *kind,
                          struct error *error)
{
    if (longer)
        return error_set(error,
                         "%s: is longer than its header says: more follows the %zu bytes of %s; get the file again",
                         path, size, kind->elements);
    return error_set(error, "%s: is shorter than its header says: %zu of %zu bytes of %s; get the file again", path,
                     got, size, kind->elements);
}

/* The elements, and then the end of the file: reading on is also what makes zlib check its sums. */
static int inflate_elements(struct data_file *file, uint8_t *out, size_t size, const struct idx_kind *kind,
                            const char *path, struct error *error)
{
    unsigned char beyond;
    size_t got, more = 0;

    if (data_file_read(file, out, size, &got, error) || (got == size && data_file_read(file, &beyond, 1, &more, error)))
        return -1;
    return got == size && more == 0 ? 0 : say_wrong_size(path, more > 0, got, size, kind, error);
}

static int map_elements(struct data_file *file, struct data_memory *memory, const struct idx_header *header,
                        const struct idx_kind *kind, const char *path, struct error *error)
{
    if (data_file_map(file, memory, error))
        return -1;
    if (memory->size == header_bytes(header) + header->bytes)
        return 0;
    return say_wrong_size(path, memory->size > header_bytes(header) + header->bytes,
                          memory->size - header_bytes(header), header->bytes, kind, error);
}

/* *elements lie in `memory`, which the caller releases. */
static int read_idx(struct data_memory *memory, const uint8_t **elements, const char *path, const struct idx_kind *kind,
                    uint64_t room, struct idx_header *header, struct error *error)
{
    struct data_file *file;
    int failed;

    *memory = (struct data_memory){.bytes = NULL};
    if (data_file_open(&file, path, error) != 0)
        return -1;
    failed = read_header(file, header, kind, path, error);
    if (!failed && !data_file_is_compressed(file)) {
        failed = map_elements(file, memory, header, kind, path, error);
        *elements = (const uint8_t *)memory->bytes + header_bytes(header);
    } else if (!failed) {
        memory->bytes = data_allocate(path, kind->elements, header->bytes, room, error);
        memory->size = header->bytes;
        failed = !memory->bytes || inflate_elements(file, memory->bytes, header->bytes, kind, path, error);
        *elements = memory->bytes;
    }
    data_file_close(file);
    return failed ? -1 : 0;
}

int idx_read_images(struct samples *samples, struct data_memory *memory, const char *path, uint64_t room,
                    struct error *error)
{
    struct idx_header header;
    const uint8_t *images;

    if (read_idx(memory, &images, path, &images_kind, room, &header, error) != 0)
        return -1;
    samples->count = (int)header.sizes[0];
    samples->shape = samples->stored =
        (struct shape){(int)header.sizes[1], (int)header.sizes[2], header.dimensions == 4 ? (int)header.sizes[3] : 1};
    samples->elements.stride = shape_size(samples->stored);
    samples->elements.mapped = memory->mapped;
    return elements_add(&samples->elements, images, header.sizes[0], error);
}

int idx_read_labels(struct samples *samples, const char *path, int classes, uint64_t room, struct error *error)
{
    struct idx_header header;
    struct data_memory memory;
    const uint8_t *labels;
    int32_t *targets = NULL;

    if (read_idx(&memory, &labels, path, &labels_kind, room, &header, error) == 0)
        targets = data_allocate(path, "labels", header.bytes * sizeof(*targets), room, error);
    for (uint32_t i = 0; targets && i < header.sizes[0]; i++) {
        targets[i] = labels[i];
        if (labels[i] >= classes) {
            error_set(error, "%s: label %" PRIu32 " (counted from 0) is %d; with model.classes = %d labels are 0 to %d",
                      path, i, labels[i], classes, classes - 1);
            free(targets);
            targets = NULL;
        }
    }
    data_memory_release(&memory);
    if (!targets)
        return -1;
    samples->count = (int)header.sizes[0];
    samples->targets_per_sample = 1;
    samples->targets = targets;
    return 0;
}
