#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* O_NONBLOCK is for the opening alone. */
static FILE *open_stream(const char *path, int flags, const char *mode)
{
    const int descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    FILE *file = descriptor < 0 || fcntl(descriptor, F_SETFL, flags) ? NULL : fdopen(descriptor, mode);

    if (!file && descriptor >= 0)
        close(descriptor);
    return file;
}

/* What it is instead of a regular file; NULL: it is one, or empty by nature. */
static const char *misfit(const struct stat *status)
{
    const bool null_device = S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);

    if (S_ISREG(status->st_mode) || null_device)
        return NULL;
    return S_ISDIR(status->st_mode) ? "a folder" : S_ISFIFO(status->st_mode) ? "a pipe" : "a device";
}

FILE *file_open(const char *path, struct error *error)
{
    FILE *file = open_stream(path, O_RDONLY, "r");
    const char *what;
    struct stat status;

    if (!file || fstat(fileno(file), &status)) {
        error_set(error, "cannot be read: %s", strerror(errno));
    } else {
        what = misfit(&status);
        if (!what)
            return file;
        error_set(error, "is %s, not a regular file", what);
    }
    if (file)
        fclose(file);
    return NULL;
}

/* The system's own, such as /dev/stdout, are not. */
static bool is_foreign_link(const char *path)
{
    struct stat link;

    return lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && link.st_uid != geteuid() && link.st_uid != 0;
}

FILE *file_open_output(const char *path, struct error *error)
{
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    FILE *file = open_stream(path, flags | O_NOFOLLOW, "w");

    if (!file && errno == ELOOP) {
        if (is_foreign_link(path)) {
            error_set(error, "cannot be written: it is a link of another user's");
            return NULL;
        }
        file = open_stream(path, flags, "w");
    }
    if (!file)
        error_set(error, "cannot be written: %s",
                  errno == ENXIO ? "it is a pipe that nobody reads, or a socket" : strerror(errno));
    return file;
}

bool file_is_own(int descriptor)
{
    struct stat status;

    return fstat(descriptor, &status) == 0 && status.st_uid == geteuid();
}

static int refuse(int descriptor, int reason)
{
    if (descriptor >= 0)
        close(descriptor);
    errno = reason;
    return -1;
}

/* A pipe is refused, not waited for. */
static int open_regular(int folder, const char *name, int flags, size_t *size)
{
    const int descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    struct stat status;

    if (descriptor < 0 || fstat(descriptor, &status))
        return refuse(descriptor, errno);
    if (!S_ISREG(status.st_mode))
        return refuse(descriptor, EINVAL);
    *size = (size_t)status.st_size;
    return descriptor;
}

static int open_own(int folder, const char *name, size_t *size)
{
    const int descriptor = open_regular(folder, name, O_NOFOLLOW, size);

    return descriptor >= 0 && !file_is_own(descriptor) ? refuse(descriptor, EPERM) : descriptor;
}

static int cannot_read(const char *path, struct error *error)
{
    const char *reason = errno == EPERM   ? "it belongs to another user"
                         : errno == ELOOP ? "it is a link"
                                          : strerror(errno);

    if (errno == EINVAL)
        return error_set(error, "%s is no file", path);
    return error_set(error, "%s cannot be read: %s", path, reason);
}

static int read_all(int descriptor, const char *path, char **bytes, size_t size, struct error *error)
{
    size_t done = 0;
    ssize_t got = 1;

    *bytes = malloc(size + 1);
    if (!*bytes)
        return error_set(error, "out of memory for the %zu bytes of %s", size, path);
    while (done < size && (got = read(descriptor, *bytes + done, size - done)) > 0)
        done += (size_t)got;
    (*bytes)[done] = '\0';
    if (done == size)
        return 0;
    error_set(error, "%s cannot be read to its end%s%s", path, got < 0 ? ": " : "", got < 0 ? strerror(errno) : "");
    free(*bytes);
    *bytes = NULL;
    return -1;
}

int file_read(const char *path, char **bytes, size_t *size, struct error *error)
{
    const int descriptor = open_regular(AT_FDCWD, path, 0, size);

    *bytes = NULL;
    if (descriptor < 0)
        return cannot_read(path, error);
    const int result = read_all(descriptor, path, bytes, *size, error);
    close(descriptor);
    return result;
}

int file_read_in(int folder, const char *folder_path, const char *name, char **bytes, size_t *size, struct error *error)
{
    const int descriptor = open_own(folder, name, size);
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folder_path, name);
    *bytes = NULL;
    if (descriptor < 0)
        return cannot_read(path, error);
    const int result = read_all(descriptor, path, bytes, *size, error);
    close(descriptor);
    return result;
}

/* Levels that tp makes below a folder. */
enum { TREE_LEVELS = 4 };

static void remove_tree(int parent, const char *name, int levels)
{
    const int folder = levels > 0 ? file_open_folder(parent, name) : -1;
    DIR *directory = folder < 0 ? NULL : fdopendir(folder);
    const struct dirent *entry;

    if (!directory) {
        if (folder >= 0)
            close(folder);
        return;
    }
    while ((entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlinkat(folder, entry->d_name, 0))
            remove_tree(folder, entry->d_name, levels - 1);
    closedir(directory);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void file_remove_tree(int parent, const char *name)
{
    remove_tree(parent, name, TREE_LEVELS);
}

/* Closes the descriptor, which may be -1 and errno. */
static int map_all(int descriptor, const char *path, const void **bytes, const size_t *size, struct error *error)
{
    void *map;

    *bytes = NULL;
    if (descriptor < 0)
        return cannot_read(path, error);
    /* Nothing can be mapped of an empty file, in which there is nothing to look at either. */
    map = mmap(NULL, *size > 0 ? *size : 1, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (map == MAP_FAILED)
        return cannot_read(path, error);
    *bytes = map;
    return 0;
}

int file_map(const char *path, const void **bytes, size_t *size, struct error *error)
{
    const int descriptor = open_regular(AT_FDCWD, path, 0, size);

    return map_all(descriptor, path, bytes, size, error);
}

int file_map_in(int folder, const char *folder_path, const char *name, const void **bytes, size_t *size,
                struct error *error)
{
    const int descriptor = open_own(folder, name, size);
    const int reason = errno;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folder_path, name);
    errno = reason;
    return map_all(descriptor, path, bytes, size, error);
}

void file_unmap(const void *bytes, size_t size)
{
    if (bytes)
        munmap((void *)(uintptr_t)bytes, size > 0 ? size : 1);
}

int file_open_folder(int parent, const char *name)
{
    const int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return descriptor >= 0 && !file_is_own(descriptor) ? refuse(descriptor, EPERM) : descriptor;
}

int file_make_folder(int parent, const char *name)
{
    return mkdirat(parent, name, 0777) && errno != EEXIST ? -1 : file_open_folder(parent, name);
}

FILE *file_create(int folder, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    FILE *stream;
    int descriptor;

    if (unlinkat(folder, name, 0) && errno != ENOENT)
        return NULL;
    descriptor = openat(folder, name, flags, 0666);
    stream = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!stream)
        refuse(descriptor, errno);
    return stream;
}

int new_file_open(struct new_file *file, int folder, const char *name)
{
    file->folder = folder;
    errno = ENAMETOOLONG;
    if (snprintf(file->name, sizeof(file->name), "%s", name) >= (int)sizeof(file->name) ||
        snprintf(file->part, sizeof(file->part), "%s.part", name) >= (int)sizeof(file->part))
        return -1;
    file->stream = file_create(folder, file->part);
    return file->stream ? 0 : -1;
}

static int end(struct new_file *file, bool failed)
{
    int reason = errno;

    if (fclose(file->stream) && !failed) {
        failed = true;
        reason = errno;
    }
    if (!failed && (renameat(file->folder, file->part, file->folder, file->name) || fsync(file->folder))) {
        failed = true;
        reason = errno;
    }
    if (failed)
        unlinkat(file->folder, file->part, 0);
    errno = reason;
    return failed ? -1 : 0;
}

int new_file_finish(struct new_file *file)
{
    return end(file, fflush(file->stream) || ferror(file->stream) || fsync(fileno(file->stream)));
}

void new_file_discard(struct new_file *file)
{
    end(file, true);
}
