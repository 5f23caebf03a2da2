#include "tests/support/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/device.h"
#include "tests/gpu/double.h"

#pragma weak double_live_allocations

enum { SKIPPED = 77 };

static int ask(void)
{
    struct error reason = {"built without CUDA"};
    const int count = &device_cuda ? device_cuda.count(&reason) : 0;

    if (count == 0)
        fprintf(stderr, "no GPU: %s\n", reason.text);
    return count;
}

int gpu_count(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(ask());
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        exit(EXIT_FAILURE);
    return WEXITSTATUS(status);
}

bool gpu_is_double(void)
{
    return double_live_allocations != NULL;
}

int gpu_skip(void)
{
    const char *required = getenv("REQUIRE_GPU");

    return required && strcmp(required, "1") == 0 ? EXIT_FAILURE : SKIPPED;
}
