#include "data/idx.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "data/allocate.h"
#include "data/file.h"

enum { MAGIC_BYTES = 4, SIZE_BYTES = 4, DIMENSIONS_MAX = 4, TYPE_UNSIGNED_BYTE = 0x08, SIDE_MAX = 4096 };

/* What a kind of file must look like, and how messages call it. */
struct idx_kind {
    const char *elements, *magic;
    int dimensions_min, dimensions_max;
    uint32_t size_max[DIMENSIONS_MAX];
};

static const struct idx_kind images_kind = {
    "images", "00 00 08 03 or 00 00 08 04", 3, 4, {INT_MAX, SIDE_MAX, SIDE_MAX, 3}};
static const struct idx_kind labels_kind = {"labels", "00 00 08 01", 1, 1, {INT_MAX}};

struct idx_header {
    int dimensions;
    uint32_t sizes[DIMENSIONS_MAX];
    uint64_t bytes; /* product of the sizes */
};

static int check_magic(const unsigned char *magic, const struct idx_kind *kind, const char *path, struct error *error)
{
    int dimensions = magic[3];

    if (magic[0] == 0 && magic[1] == 0 && magic[2] == TYPE_UNSIGNED_BYTE && dimensions >= kind->dimensions_min &&
        dimensions <= kind->dimensions_max)
        return 0;
    return error_set(error,
                     "%s: starts with the bytes %02x %02x %02x %02x; an IDX file of %s starts with %s (unsigned bytes, "
                     "number of dimensions)",
                     path, magic[0], magic[1], magic[2], magic[3], kind->elements, kind->magic);
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
    unsigned char magic[MAGIC_BYTES], size[SIZE_BYTES];

    if (read_exactly(file, magic, sizeof(magic), path, error) != 0 || check_magic(magic, kind, path, error) != 0)
        return -1;
    header->dimensions = magic[3];
    header->bytes = 1;
    for (int d = 0; d < header->dimensions; d++) {
        if (read_exactly(file, size, sizeof(size), path, error) != 0)
            return -1;
        header->sizes[d] = (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3];
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

/* The elements, and then the end of the file: reading on is also what makes zlib check its sums. */
static int read_elements(struct data_file *file, uint8_t *out, size_t size, const struct idx_kind *kind,
                         const char *path, struct error *error)
{
    unsigned char beyond;
    size_t got;

    if (data_file_read(file, out, size, &got, error) != 0)
        return -1;
    if (got < size)
        return error_set(error, "%s: is shorter than its header says: %zu of %zu bytes of %s; get the file again", path,
                         got, size, kind->elements);
    if (data_file_read(file, &beyond, 1, &got, error) != 0)
        return -1;
    if (got > 0)
        return error_set(error,
                         "%s: is longer than its header says: more follows the %zu bytes of %s; get the file again",
                         path, size, kind->elements);
    return 0;
}

/* The caller frees *elements. */
static int read_idx(const char *path, const struct idx_kind *kind, uint64_t room, struct idx_header *header,
                    uint8_t **elements, struct error *error)
{
    struct data_file *file;
    uint8_t *bytes = NULL;
    int result = -1;

    if (data_file_open(&file, path, error) != 0)
        return -1;
    if (read_header(file, header, kind, path, error) != 0)
        goto close;
    bytes = data_allocate(path, kind->elements, header->bytes, room, error);
    if (!bytes || read_elements(file, bytes, header->bytes, kind, path, error) != 0)
        goto close;
    *elements = bytes;
    bytes = NULL;
    result = 0;

close:
    free(bytes);
    data_file_close(file);
    return result;
}

int idx_read_images(struct samples *samples, const char *path, uint64_t room, struct error *error)
{
    struct idx_header header;
    uint8_t *images;

    if (read_idx(path, &images_kind, room, &header, &images, error) != 0)
        return -1;
    samples->count = (int)header.sizes[0];
    samples->shape =
        (struct shape){(int)header.sizes[1], (int)header.sizes[2], header.dimensions == 4 ? (int)header.sizes[3] : 1};
    samples->images = images;
    return 0;
}

int idx_read_labels(struct samples *samples, const char *path, int classes, uint64_t room, struct error *error)
{
    struct idx_header header;
    uint8_t *labels;

    if (read_idx(path, &labels_kind, room, &header, &labels, error) != 0)
        return -1;
    for (uint32_t i = 0; i < header.sizes[0]; i++) {
        if (labels[i] >= classes) {
            error_set(error, "%s: label %" PRIu32 " (counted from 0) is %d; with model.classes = %d labels are 0 to %d",
                      path, i, labels[i], classes, classes - 1);
            free(labels);
            return -1;
        }
    }
    samples->count = (int)header.sizes[0];
    samples->labels = labels;
    return 0;
}
