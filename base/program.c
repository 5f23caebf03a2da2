#include "base/program.h"

#include <fcntl.h>
#include <unistd.h>

void program_begin(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        /* The lowest number that is free is what open() gives. */
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) != descriptor)
            _exit(1);
}
