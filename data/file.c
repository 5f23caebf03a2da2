#include "data/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/file.h"

/* A deflate block can say 258 bytes in 2 bits, and no more. */
enum { DEFLATE_RATIO_MAX = 258 * 8 / 2 };
enum {
    GROWTH_BYTES = 1 << 22,
    BUFFER_BYTES = 1 << 16,
    INFLATE_BYTES_MAX = 1 << 30,
    GZIP_MAGIC_0 = 0x1f,
    GZIP_MAGIC_1 = 0x8b
};

struct data_file {
    const char *path;
    FILE *handle;
    uint64_t file_bytes;
    bool compressed;
    bool member_ended; /* between two gzip members, or at the end of the last */
    z_stream inflater;
    unsigned char buffer[BUFFER_BYTES];
};

static int read_file(struct data_file *file, void *out, size_t size, size_t *got, struct error *error)
{
    *got = fread(out, 1, size, file->handle);
    if (ferror(file->handle))
        return error_set(error, "%s: cannot read: %s", file->path, strerror(errno));
    return 0;
}

static int prepare(struct data_file *file, struct error *error)
{
    unsigned char magic[2] = {0, 0};
    struct stat status;
    size_t got;

    if (fstat(fileno(file->handle), &status) != 0)
        return error_set(error, "%s: cannot read: %s", file->path, strerror(errno));
    file->file_bytes = (uint64_t)status.st_size;
    if (read_file(file, magic, sizeof(magic), &got, error) != 0)
        return -1;
    rewind(file->handle);
    if (magic[0] != GZIP_MAGIC_0 || magic[1] != GZIP_MAGIC_1)
        return 0;
    if (inflateInit2(&file->inflater, 16 + MAX_WBITS) != Z_OK)
        return error_set(error, "%s: out of memory for zlib", file->path);
    file->compressed = true;
    return 0;
}

int data_file_open(struct data_file **out, const char *path, struct error *error)
{
    struct data_file *file = calloc(1, sizeof(*file));

    *out = NULL;
    if (!file)
        return error_set(error, "%s: out of memory", path);
    file->path = path;
    file->handle = file_open(path, error);
    if (!file->handle) {
        error_prefix(error, "%s", path);
        goto fail;
    }
    if (prepare(file, error) != 0)
        goto fail;
    *out = file;
    return 0;

fail:
    data_file_close(file);
    return -1;
}

void data_file_close(struct data_file *file)
{
    if (!file)
        return;
    if (file->compressed)
        inflateEnd(&file->inflater);
    if (file->handle)
        fclose(file->handle);
    free(file);
}

bool data_file_is_compressed(const struct data_file *file)
{
    return file->compressed;
}

uint64_t data_file_size_limit(const struct data_file *file)
{
    return file->compressed ? file->file_bytes * DEFLATE_RATIO_MAX : file->file_bytes;
}

/* Sees to it that there is gzip data to inflate; *ended: the file is at its end, and that is where it should end. */
static int refill(struct data_file *file, bool *ended, struct error *error)
{
    z_stream *z = &file->inflater;
    size_t got = z->avail_in;

    if (got == 0) {
        if (read_file(file, file->buffer, sizeof(file->buffer), &got, error) != 0)
            return -1;
        z->next_in = file->buffer;
        z->avail_in = (uInt)got;
    }
    *ended = file->member_ended && got == 0;
    if (*ended)
        return 0;
    if (got == 0)
        return error_set(error, "%s: gzip data is cut short; get the file again", file->path);
    if (file->member_ended) {
        if (z->next_in[0] != GZIP_MAGIC_0)
            return error_set(error, "%s: other bytes follow the end of the gzip data; get the file again", file->path);
        inflateReset(z);
        file->member_ended = false;
    }
    return 0;
}

static int read_compressed(struct data_file *file, unsigned char *out, size_t size, size_t *got, struct error *error)
{
    z_stream *z = &file->inflater;
    bool ended = false;

    for (*got = 0; *got < size;) {
        if (refill(file, &ended, error) != 0)
            return -1;
        if (ended)
            return 0;
        size_t room = size - *got;
        if (room > INFLATE_BYTES_MAX)
            room = INFLATE_BYTES_MAX;
        z->next_out = out + *got;
        z->avail_out = (uInt)room;
        int result = inflate(z, Z_NO_FLUSH);
        *got += room - z->avail_out;
        file->member_ended = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_STREAM_END)
            return error_set(error, "%s: damaged gzip data (%s); get the file again", file->path,
                             z->msg ? z->msg : zError(result));
    }
    return 0;
}

int data_file_read(struct data_file *file, void *out, size_t size, size_t *got, struct error *error)
{
    if (file->compressed)
        return read_compressed(file, out, size, got, error);
    return read_file(file, out, size, got, error);
}

int data_file_map(struct data_file *file, struct data_memory *memory, struct error *error)
{
    return data_memory_map(memory, fileno(file->handle), file->path, error);
}

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

static int inflate_all(struct data_memory *memory, struct data_file *file, uint64_t room, struct error *error)
{
    size_t capacity = 0, got;

    do {
        if (memory->size == capacity && grow(memory, &capacity, file->path, room, error))
            return -1;
        if (data_file_read(file, (unsigned char *)memory->bytes + memory->size, capacity - memory->size, &got, error))
            return -1;
        memory->size += got;
    } while (memory->size == capacity);
    return 0;
}

int data_file_load(struct data_memory *memory, const char *path, bool inflates, uint64_t room, struct error *error)
{
    struct data_file *file;
    int failed;

    *memory = (struct data_memory){.bytes = NULL};
    if (data_file_open(&file, path, error))
        return -1;
    failed = inflates && file->compressed ? inflate_all(memory, file, room, error) : data_file_map(file, memory, error);
    if (!failed && memory->size == 0)
        failed = error_set(error, "%s: holds nothing", path);
    data_file_close(file);
    if (failed)
        data_memory_release(memory);
    return failed ? -1 : 0;
}
