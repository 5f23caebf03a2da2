#include "coordinator/result_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "plan/config.h"

int result_file_write(const char *path, const json_t *object, struct error *error)
{
    char temporary[CONFIG_PATH_MAX + 64];
    FILE *file;

    snprintf(temporary, sizeof(temporary), "%s.part", path);
    if (!(file = fopen(temporary, "we")))
        return error_set(error, "%s cannot be written: %s", path, strerror(errno));
    int failed = json_print(file, path, object, error);
    if (!failed && fsync(fileno(file)))
        failed = error_set(error, "%s cannot be written: %s", path, strerror(errno));
    if (fclose(file) && !failed)
        failed = error_set(error, "%s cannot be written: %s", path, strerror(errno));
    if (!failed && rename(temporary, path))
        failed = error_set(error, "%s cannot be written: %s", path, strerror(errno));
    if (failed)
        unlink(temporary);
    return failed;
}
