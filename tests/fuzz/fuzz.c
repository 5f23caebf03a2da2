#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_MAX])
{
    int descriptor = memfd_create("input", MFD_CLOEXEC);

    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size)
        abort();
    snprintf(path, FUZZ_PATH_MAX, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

void fuzz_touch(const void *bytes, size_t size)
{
    const volatile unsigned char *byte = bytes;

    for (size_t i = 0; i < size; i++)
        (void)byte[i];
}
