#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_stream(FILE *file, const char *path, char **bytes, size_t *size, struct error *error)
{
    struct stat status;

    if (fstat(fileno(file), &status))
        return error_set(error, "%s cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, "%s is no file", path);
    *size = (size_t)status.st_size;
    *bytes = malloc(*size + 1);
    if (!*bytes)
        return error_set(error, "out of memory for the %zu bytes of %s", *size, path);
    if (fread(*bytes, 1, *size, file) != *size) {
        error_set(error, "%s cannot be read to its end", path);
        free(*bytes);
        *bytes = NULL;
        return -1;
    }
    (*bytes)[*size] = '\0';
    return 0;
}

int file_read(const char *path, char **bytes, size_t *size, struct error *error)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "r");
    int result;

    *bytes = NULL;
    *size = 0;
    if (!file) {
        error_set(error, "%s cannot be read: %s", path, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return -1;
    }
    result = read_stream(file, path, bytes, size, error);
    fclose(file);
    return result;
}

int file_sync_folder(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed, reason;

    if (descriptor < 0)
        return -1;
    failed = fsync(descriptor);
    reason = errno;
    close(descriptor);
    errno = reason;
    return failed;
}
