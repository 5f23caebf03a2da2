#include "data/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/numbers.h"
#include "data/file.h"

enum { GROWTH_BYTES = 1 << 22, LOOK_BYTES = 1 << 24 };

/* Larger by half. What it was stays the caller's after a failure. */
static int grow(struct data_memory *memory, size_t *capacity, const char *path, uint64_t room, struct error *error)
{
    const size_t larger = *capacity + *capacity / 2 + GROWTH_BYTES;
    void *bytes;

    if (room > 0 && larger > room)
        return error_set(error,
                         "%s: inflated, it needs more than %zu MiB of memory and this machine has %" PRIu64
                         " MiB left; unpack it: plain files are mapped",
                         path, *capacity >> 20, room >> 20);
    bytes = realloc(memory->bytes, larger);
    if (!bytes)
        return error_set(error, "%s: out of memory for %zu bytes", path, larger);
    memory->bytes = bytes;
    *capacity = larger;
    return 0;
}

static int inflate_all(struct data_memory *memory, struct data_file *file, const char *path, uint64_t room,
                       struct error *error)
{
    size_t capacity = 0, got;

    do {
        if (memory->size == capacity && grow(memory, &capacity, path, room, error))
            return -1;
        if (data_file_read(file, (unsigned char *)memory->bytes + memory->size, capacity - memory->size, &got, error))
            return -1;
        memory->size += got;
    } while (memory->size == capacity);
    return 0;
}

static int map(struct data_memory *memory, const char *path, struct error *error)
{
    FILE *file = file_open(path, error);
    struct stat status;
    void *bytes;
    int result = -1;

    if (!file)
        return error_prefix(error, "%s", path);
    if (fstat(fileno(file), &status)) {
        error_set(error, "%s: cannot read: %s", path, strerror(errno));
    } else if (status.st_size == 0) {
        error_set(error, "%s: is empty", path);
    } else if ((bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fileno(file), 0)) == MAP_FAILED) {
        error_set(error, "%s: cannot map its %lld bytes: %s", path, (long long)status.st_size, strerror(errno));
    } else {
        *memory = (struct data_memory){.bytes = bytes, .size = (size_t)status.st_size, .mapped = true};
        result = 0;
    }
    fclose(file);
    return result;
}

int stream_load(struct data_memory *memory, const char *path, bool inflates, uint64_t room, struct error *error)
{
    struct data_file *file;
    int result;

    if (data_file_open(&file, path, error))
        return -1;
    result = inflates && data_file_is_compressed(file) ? inflate_all(memory, file, path, room, error)
                                                       : map(memory, path, error);
    data_file_close(file);
    if (result == 0 && memory->size == 0)
        return error_set(error, "%s: holds no text", path);
    return result;
}

static int fill_half(struct samples *samples, const struct stream_piece *piece, int limit, int context,
                     struct error *error)
{
    const size_t count = piece->count > 0 ? (piece->count - 1) / (size_t)context : 0;

    if (count == 0)
        return error_set(error, "%s: %zu tokens are too few for a sample, which takes data.context = %d and one more",
                         piece->path, piece->count, context);
    samples->count = count > INT_MAX ? INT_MAX : (int)count;
    if (limit > 0)
        samples->count = min_int(samples->count, limit);
    samples->shape = (struct shape){context, 1, 1};
    samples->targets_per_sample = context;
    samples->stream = (struct token_stream){.tokens = piece->tokens, .bytes = piece->bytes};
    return 0;
}

/* What has been looked at once need not stay: of a file that is larger than memory nothing else would. The pages of a
 * mapped file come back when they are read again. */
static void let_go(const unsigned char *from, const unsigned char *to)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)from + page - 1) / page * page,
                    end = (uintptr_t)to / page * page;

    if (end > begin)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Of the tokens that samples are made of. */
static int check_tokens(const struct samples *samples, const struct stream_piece *piece, bool is_mapped, int classes,
                        struct error *error)
{
    const size_t count = (size_t)samples->count * (size_t)samples->targets_per_sample + 1;
    const unsigned char *in = piece->tokens, *kept = in;

    for (size_t i = 0; i < count; i++, in += piece->bytes) {
        uint32_t token = in[0];

        for (int k = 1; k < piece->bytes; k++)
            token |= (uint32_t)in[k] << 8 * k;
        if (token >= (uint32_t)classes)
            return error_set(error,
                             "%s: token %zu (counted from 0) is %" PRIu32
                             "; with a vocabulary of %d (model.classes) tokens are 0 to %d",
                             piece->path, piece->first + i, token, classes, classes - 1);
        if (is_mapped && in - kept >= LOOK_BYTES) {
            let_go(kept, in);
            kept = in;
        }
    }
    return 0;
}

int stream_fill(struct dataset *dataset, const struct stream_piece *train, const struct stream_piece *test,
                const struct data_options *options, struct error *error)
{
    const int test_limit = options->limit > 0 ? source_test_limit(options->limit) : 0;

    if (fill_half(&dataset->train, train, options->limit, options->context, error) ||
        fill_half(&dataset->test, test, test_limit, options->context, error))
        return -1;
    return check_tokens(&dataset->train, train, dataset_is_mapped(dataset), options->classes, error) ||
           check_tokens(&dataset->test, test, dataset_is_mapped(dataset), options->classes, error);
}

void stream_split(const struct stream_piece *whole, struct stream_piece *train, struct stream_piece *test)
{
    const size_t held_out = whole->count / STREAM_TEST_SHARE, kept = whole->count - held_out;

    *train = *test = *whole;
    train->count = kept;
    test->tokens = (const unsigned char *)whole->tokens + kept * (size_t)whole->bytes;
    test->first = whole->first + kept;
    test->count = held_out;
}
