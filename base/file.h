/* Whole files, and what makes a change to a folder last. */
#ifndef TP_BASE_FILE_H
#define TP_BASE_FILE_H

#include <stddef.h>

#include "base/error.h"

/* Reads a regular file to its end; a NUL follows the bytes. The caller frees. */
int file_read(const char *path, char **bytes, size_t *size, struct error *error);

/* Until then a file that was renamed in the folder may have its old name after a crash. -1 and errno. */
int file_sync_folder(const char *path);

#endif
