/* Files in which results are kept: whole and on the disk, or not there. */
#ifndef TP_COORDINATOR_RESULT_FILE_H
#define TP_COORDINATOR_RESULT_FILE_H

#include <jansson.h>

#include "base/error.h"

/* Writes under another name and renames; an older file of the name stays if that fails. */
int result_file_write(const char *path, const json_t *object, struct error *error);

#endif
