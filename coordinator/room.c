#include "coordinator/room.h"

#include <sched.h>
#include <stdio.h>

#include "base/numbers.h"

unsigned long long room_bytes(void)
{
    unsigned long long sum = 0, kib;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1 || sscanf(line, "SwapFree: %llu kB", &kib) == 1)
            sum += kib << 10;
    fclose(file);
    return sum;
}

int room_check_bytes(unsigned long long bytes, const char *what, const char *advice, struct error *error)
{
    const unsigned long long available = room_bytes();

    if (available == 0 || bytes <= available)
        return 0;
    return error_set(error, "%s needs %llu MiB of memory and this machine has %llu MiB left, swap included; %s", what,
                     (bytes >> 20) + 1, available >> 20, advice);
}

int room_check(const struct plan *plan, struct error *error)
{
    unsigned long long planned = 0;

    /* A GPU's own memory says by itself when it is full. */
    for (int s = 0; s < plan->stage_count; s++)
        for (int category = 0; category < MEMORY_CATEGORIES && plan_place_of(plan, s + 1) == PLACE_CPU; category++)
            planned += plan->stages[s].memory[category];
    return room_check_bytes(planned, "the plan", "lower data.batch, or use pipeline.backward_activations = recompute",
                            error);
}

/* That this process may run on; a large number if the kernel does not say. */
static int cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) ? INT32_MAX : CPU_COUNT(&set);
}

int room_check_threads(const struct plan *plan, struct error *error)
{
    const int threads = plan->config.device.threads, available = cores();
    int stages = 0;

    for (int s = 1; s <= plan->stage_count; s++)
        stages += plan_place_of(plan, s) == PLACE_CPU;
    if (threads == 1 || stages * threads <= available)
        return 0;
    return error_set(
        error,
        "%d stage%s on the CPU with device.threads = %d are %d threads on %d core%s, and will be slow; use "
        "device.threads = %d",
        stages, stages == 1 ? "" : "s", threads, stages * threads, available, available == 1 ? "" : "s",
        max_int(1, available / stages));
}
