#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void program_begin(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        /* The lowest number that is free is what open() gives. */
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) != descriptor)
            _exit(1);
}

void program_beside(char call[PROGRAM_CALL_MAX], const char *called, const char *name)
{
    const char *slash = called ? strrchr(called, '/') : NULL;

    snprintf(call, PROGRAM_CALL_MAX, "%.*s%s", slash ? (int)(slash + 1 - called) : 0, slash ? called : "", name);
}

int program_find(char path[PATH_MAX], const char *name, struct error *error)
{
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - strlen(name) - 1);

    if (length < 0)
        return error_set(error, "cannot find the folder of this program: %s", strerror(errno));
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, name);
    return 0;
}
