#include "coordinator/room.h"

#include <stdio.h>

/* Memory that can be had without anybody suffering, and swap, in bytes; 0 if the kernel does not say. */
static unsigned long long bytes_available(void)
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

int room_check(const struct plan *plan, struct error *error)
{
    const unsigned long long available = bytes_available();
    unsigned long long planned = 0;

    /* A GPU's own memory says by itself when it is full. */
    for (int s = 0; s < plan->stage_count; s++)
        for (int category = 0; category < MEMORY_CATEGORIES && plan_place_of(plan, s + 1) == PLACE_CPU; category++)
            planned += plan->stages[s].memory[category];
    if (available == 0 || planned <= available)
        return 0;
    return error_set(error,
                     "the plan needs %llu MiB of memory and this machine has %llu MiB left, swap included; lower "
                     "data.batch, or use pipeline.backward_activations = recompute",
                     (planned >> 20) + 1, available >> 20);
}
