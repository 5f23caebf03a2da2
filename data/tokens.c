/* Files of tokens that somebody else's tokenizer has written: llm.c's, which begin with a header, and bare 16-bit
 * ones as nanoGPT and llama2.c have them. A half may be several files, as large ones are handed out. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/file.h"
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

/* The files of one half, in order. */
struct files {
    int count;
    char **paths;                /* [count] */
    struct stream_piece *pieces; /* [count] */
    int bytes;                   /* of a token */
};

static void release_files(struct files *files)
{
    for (int k = 0; k < files->count; k++)
        free(files->paths[k]);
    free(files->paths);
    free(files->pieces);
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
    piece->count = integer_at(bytes, 2);
    if (size - HEADER_BYTES != piece->count * (size_t)format->bytes)
        return error_set(error,
                         "%s: its header promises %zu tokens of %d bytes, but %zu bytes follow; get the file again",
                         path, piece->count, format->bytes, size - HEADER_BYTES);
    return 0;
}

/* *bytes: of a token. */
static int open_file(struct dataset *dataset, struct stream_piece *piece, const char *path, int *bytes,
                     struct error *error)
{
    const struct format *format;
    struct data_memory memory;

    *piece = (struct stream_piece){.path = path};
    *bytes = 2;
    if (data_file_load(&memory, path, false, 0, error) || source_hold(dataset, memory, error))
        return -1;
    format = find_format(memory.bytes, memory.size);
    if (format) {
        *bytes = format->bytes;
        return read_header(piece, format, memory.bytes, memory.size, error);
    }
    if (memory.size % 2)
        return error_set(error, "%s: %zu bytes are no whole number of 16-bit tokens, and it has no header of llm.c's",
                         path, memory.size);
    piece->tokens = memory.bytes;
    piece->count = memory.size / 2;
    return 0;
}

static int open_files(struct dataset *dataset, struct files *files, struct error *error)
{
    files->pieces = calloc((size_t)files->count, sizeof(*files->pieces));
    if (!files->pieces)
        return error_set(error, "out of memory for the places of %d files", files->count);
    for (int k = 0; k < files->count; k++) {
        int bytes;

        if (open_file(dataset, &files->pieces[k], files->paths[k], &bytes, error))
            return -1;
        if (k > 0 && bytes != files->bytes)
            return error_set(error, "%s: has tokens of %d bytes, but those of %s have %d; they must be the same set's",
                             files->paths[k], bytes, files->paths[0], files->bytes);
        files->bytes = bytes;
    }
    return 0;
}

/* Whether names differ in their numbers alone. */
static bool are_alike(const char *one, const char *other)
{
    for (;; one++, other++) {
        while (isdigit((unsigned char)*one))
            one++;
        while (isdigit((unsigned char)*other))
            other++;
        if (*one != *other)
            return false;
        if (!*one)
            return true;
    }
}

static int add_path(struct files *files, const char *dir, const char *name, struct error *error)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX)
        return error_set(error, "data.dir is longer than a path can be: %.100s...", dir);
    if (!(files->paths[files->count] = strdup(path)))
        return error_set(error, "out of memory for a path");
    files->count++;
    return 0;
}

/* Names that match the pattern; they are sorted as numbers sort. */
static int take_names(struct files *files, const char *dir, struct dirent *const *names, int count, const char *pattern,
                      struct error *error)
{
    const char *first = NULL;

    for (int k = 0; k < count; k++) {
        if (fnmatch(pattern, names[k]->d_name, FNM_PERIOD))
            continue;
        if (first && !are_alike(first, names[k]->d_name))
            return error_set(error,
                             "%s: holds %s and %s, which are no numbered parts of one set; use a folder for each", dir,
                             first, names[k]->d_name);
        first = first ? first : names[k]->d_name;
        if (add_path(files, dir, names[k]->d_name, error))
            return -1;
    }
    return 0;
}

/* Those of the first pattern that any name matches. */
static int find_files(struct files *files, const char *dir, const char *const *patterns, struct error *error)
{
    struct dirent **names;
    const int count = scandir(dir, &names, NULL, versionsort);
    int failed = 0;

    if (count < 0)
        return error_set(error, "%s: cannot be read: %s", dir, strerror(errno));
    files->paths = calloc((size_t)count + 1, sizeof(*files->paths));
    if (!files->paths)
        failed = error_set(error, "out of memory for %d paths", count);
    for (const char *const *pattern = patterns; *pattern && !failed && files->count == 0; pattern++)
        failed = take_names(files, dir, names, count, *pattern, error);
    if (!failed && files->count == 0)
        failed = error_set(
            error, "%s: holds no %s and no %s; or set data.file to one file, whose last twentieth is the test's", dir,
            patterns[0], patterns[1]);
    for (int k = 0; k < count; k++)
        free(names[k]);
    free(names);
    return failed;
}

/* Both halves are one set's. */
static int fill(struct dataset *dataset, const struct files *train, const struct files *test,
                const struct data_options *options, struct error *error)
{
    const struct stream streams[] = {
        {.pieces = train->pieces, .count = train->count, .bytes = train->bytes, .mapped = true},
        {.pieces = test->pieces, .count = test->count, .bytes = test->bytes, .mapped = true}};

    return stream_fill(dataset, &streams[0], &streams[1], options, error);
}

static int open_folder(struct dataset *dataset, const char *dir, const struct data_options *options,
                       struct error *error)
{
    static const char *const train_patterns[] = {"train.bin", "*train*.bin", NULL}, *const test_patterns[] = {
                                                                                        "val.bin", "*val*.bin",
                                                                                        "test.bin", "*test*.bin", NULL};
    struct files train = {.count = 0}, test = {.count = 0};
    const int failed = find_files(&train, dir, train_patterns, error) || find_files(&test, dir, test_patterns, error) ||
                       open_files(dataset, &train, error) || open_files(dataset, &test, error) ||
                       fill(dataset, &train, &test, options, error);

    release_files(&train);
    release_files(&test);
    return failed ? -1 : 0;
}

static int open_tokens(struct dataset *dataset, const struct source *source, const struct data_options *options,
                       int parts, struct error *error)
{
    const char *dir;

    (void)parts;
    if (options->file && *options->file) {
        struct stream_piece piece;
        struct stream whole = {.pieces = &piece, .count = 1, .mapped = true};

        return open_file(dataset, &piece, options->file, &whole.bytes, error) ||
               stream_fill_split(dataset, &whole, options, error);
    }
    dir = source_dir(source, options, "the folder of train.bin and val.bin, or data.file", error);
    return dir ? open_folder(dataset, dir, options, error) : -1;
}

const struct source source_tokens = {.name = "tokens", .tokens = true, .open = open_tokens};
