/* Files of tokens that somebody else's tokenizer has written: llm.c's, which begin with a header, and bare 16-bit ones as
 * nanoGPT and llama2.c have them. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/stream.h"

/* Little-endian 32-bit integers: the magic number, the version, how many tokens follow. */
enum { HEADER_INTEGERS = 256, HEADER_BYTES = 4 * HEADER_INTEGERS };

static const struct format {
    uint32_t magic, version;
    int bytes;
} formats[] = {{20240520, 1, 2}, {20240801, 7, 4}};

static uint32_t integer_at(const unsigned char *bytes, int n)
{
    const unsigned char *at = bytes + 4 * n;

    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* NULL if the file is bare. */
static const struct format *find_format(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; size >= 4 && i < sizeof(formats) / sizeof(formats[0]); i++)
        if (integer_at(bytes, 0) == formats[i].magic)
            return &formats[i];
    return NULL;
}

static int read_header(struct stream_piece *piece, const struct format *format, const unsigned char *bytes, size_t size,
                       struct error *error)
{
    const char *path = piece->path;

    if (size < HEADER_BYTES)
        return error_set(error, "%s: is shorter than the %d bytes of llm.c's header; get the file again", path,
                         HEADER_BYTES);
    if (integer_at(bytes, 1) != format->version)
        return error_set(error, "%s: has llm.c's magic number %" PRIu32 " and version %" PRIu32 "; tp reads %" PRIu32,
                         path, format->magic, integer_at(bytes, 1), format->version);
    piece->tokens = bytes + HEADER_BYTES;
    piece->bytes = format->bytes;
    piece->count = integer_at(bytes, 2);
    if (size - HEADER_BYTES != piece->count * (size_t)format->bytes)
        return error_set(error,
                         "%s: its header promises %zu tokens of %d bytes, but %zu bytes follow; get the file again",
                         path, piece->count, format->bytes, size - HEADER_BYTES);
    return 0;
}

static int open_file(struct data_memory *memory, struct stream_piece *piece, const char *path, struct error *error)
{
    const struct format *format;

    *piece = (struct stream_piece){.path = path, .bytes = 2};
    if (stream_load(memory, path, false, 0, error))
        return -1;
    format = find_format(memory->bytes, memory->size);
    if (format)
        return read_header(piece, format, memory->bytes, memory->size, error);
    if (memory->size % 2)
        return error_set(error, "%s: %zu bytes are no whole number of 16-bit tokens, and it has no header of llm.c's",
                         path, memory->size);
    piece->tokens = memory->bytes;
    piece->count = memory->size / 2;
    return 0;
}

static int find_file(char path[PATH_MAX], const char *dir, const char *const *names, struct error *error)
{
    struct stat status;

    for (const char *const *name = names; *name; name++) {
        if (snprintf(path, PATH_MAX, "%s/%s", dir, *name) >= PATH_MAX)
            return error_set(error, "data.dir is longer than a path can be: %.100s...", dir);
        if (stat(path, &status) == 0 || errno != ENOENT)
            return 0;
    }
    return error_set(error, "%s: holds no %s; or set data.file to one file, whose last twentieth is the test's", dir,
                     names[0]);
}

static int open_tokens(struct dataset *dataset, const struct source *source, const struct data_options *options,
                       int parts, struct error *error)
{
    static const char *const train_names[] = {"train.bin", NULL}, *const test_names[] = {"val.bin", "test.bin", NULL};
    char train_path[PATH_MAX], test_path[PATH_MAX];
    struct stream_piece whole, train, test;

    (void)parts;
    if (options->file && *options->file) {
        if (open_file(&dataset->held[0], &whole, options->file, error))
            return -1;
        stream_split(&whole, &train, &test);
        return stream_fill(dataset, &train, &test, options, error);
    }
    const char *dir = source_dir(source, options, "the folder of train.bin and val.bin, or data.file", error);
    if (!dir || find_file(train_path, dir, train_names, error) || find_file(test_path, dir, test_names, error) ||
        open_file(&dataset->held[0], &train, train_path, error) ||
        open_file(&dataset->held[1], &test, test_path, error))
        return -1;
    return stream_fill(dataset, &train, &test, options, error);
}

const struct source source_tokens = {.name = "tokens", .tokens = true, .open = open_tokens};
