/* Files and folders that are one's own: read whole or mapped, made anew or not at all. Within a folder that is open, names
 * are looked up by its descriptor and no link is followed, so that nobody puts another folder or file in their place.
 * No open() here waits for anybody. */
#ifndef TP_BASE_FILE_H
#define TP_BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"

/* Opens a file to read it: a regular one, as whoever reads it may want its size, or read it again; or /dev/null, which
 * is empty. NULL and the reason, in which the path is not named: "is a pipe, not a regular file". */
FILE *file_open(const char *path, struct error *error);

/* Opens a file to write it anew: a regular one, a device, or a pipe that somebody reads, such as /dev/stdout may be. A link
 * is followed if it is this user's or root's. NULL and the reason, likewise. */
FILE *file_open_output(const char *path, struct error *error);

/* Reads a regular file to its end; a NUL follows the bytes. The caller frees. */
int file_read(const char *path, char **bytes, size_t *size, struct error *error);

/* Maps one, read-only. Pages that nobody looks at are not loaded. */
int file_map(const char *path, const void **bytes, size_t *size, struct error *error);

/* The same two with a file of this user's in an open folder. `folder_path` is for messages. */
int file_read_in(int folder, const char *folder_path, const char *name, char **bytes, size_t *size,
                 struct error *error);

int file_map_in(int folder, const char *folder_path, const char *name, const void **bytes, size_t *size,
                struct error *error);
void file_unmap(const void *bytes, size_t size);

/* A folder of this user's in an open one. Its descriptor, or -1 and errno: EPERM if it is another user's. The second makes
 * it if it is not there. */
int file_open_folder(int parent, const char *name);
int file_make_folder(int parent, const char *name);

/* Removes a folder of this user's in an open one (or AT_FDCWD), and all that is in it; links are not followed. */
void file_remove_tree(int parent, const char *name);

/* Whether the open file or folder is this user's. */
bool file_is_own(int descriptor);

/* A new file in an open folder: what had its name is gone, and was not written into. NULL and errno. */
FILE *file_create(int folder, const char *name);

/* A file that has its name when it is whole and on the disk; until then "<name>.part" has it. */
struct new_file {
    int folder; /* the caller's */
    char name[NAME_MAX + 1], part[NAME_MAX + 1];
    FILE *stream;
};

/* -1 and errno. Either of the others ends what new_file_open has begun. */
int new_file_open(struct new_file *file, int folder, const char *name);
int new_file_finish(struct new_file *file);
void new_file_discard(struct new_file *file);

#endif
