#include "coordinator/room.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/numbers.h"
#include "board/segment.h"
#include "coordinator/environment.h"
#include "coordinator/limits.h"
#include "device/cores.h"
#include "transport/rings.h"

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

unsigned long long room_bytes(void)
{
    const unsigned long long available = bytes_available(), limit = memory_limit();

    return available > 0 && available < limit ? available : limit < UINT64_MAX ? limit : 0;
}

int room_check_bytes(unsigned long long bytes, const char *what, const char *advice, struct error *error)
{
    const unsigned long long available = bytes_available(), limit = memory_limit();

    if (available != 0 && bytes > available)
        return error_set(error, "%s needs %llu MiB of memory and this machine has %llu MiB left, swap included; %s",
                         what, (bytes >> 20) + 1, available >> 20, advice);
    if (bytes > limit)
        return error_set(error,
                         "%s needs %llu MiB of memory and the limit of this process's group, a container's or a batch "
                         "system's, leaves %llu MiB; raise it, or %s",
                         what, (bytes >> 20) + 1, limit >> 20, advice);
    return 0;
}

/* A GPU's own memory says by itself when it is full. */
static unsigned long long stage_bytes(const struct plan *plan, int stage)
{
    unsigned long long sum = 0;

    for (int category = 0; category < MEMORY_CATEGORIES && plan_place_of(plan, stage) == PLACE_CPU; category++)
        sum += plan_stage(plan, stage)->memory[category];
    return sum;
}

/* What this program has mapped is about what a stage maps before it allocates anything: the same libraries. */
static unsigned long long bytes_mapped(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file && fscanf(file, "%llu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

/* What libraries take for themselves, such as compiled kernels, and crash without. */
enum { LIBRARY_BYTES = 32 << 20 };

/* Each process has its own, and each maps all of the links. */
static int check_address_space(const struct plan *plan, struct error *error)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    for (int s = 1; s <= plan->stage_count; s++) {
        const unsigned long long links = plan_stage(plan, s)->memory[MEMORY_LINKS], all = stage_bytes(plan, s);
        const unsigned long long needed =
            bytes_mapped() + LIBRARY_BYTES + segment_size(plan, rings_bytes) + (all > links ? all - links : 0);

        if (needed > limit.rlim_cur)
            return error_set(error,
                             "stage %d needs about %llu MiB of address space and is allowed %llu MiB; raise the limit "
                             "(ulimit -v), or lower data.batch",
                             s, (needed >> 20) + 1, (unsigned long long)limit.rlim_cur >> 20);
    }
    return 0;
}

int room_check(const struct plan *plan, struct error *error)
{
    unsigned long long planned = 0;

    for (int s = 1; s <= plan_machine_stages(plan, 0); s++)
        planned += stage_bytes(plan, s);
    return room_check_bytes(planned, "the plan", "lower data.batch, or use pipeline.backward_activations = recompute",
                            error) ||
                   check_address_space(plan, error)
               ? -1
               : 0;
}

int room_check_threads(const struct plan *plan, struct error *error)
{
    const int threads = plan->config.device.threads, available = cores_count(), stages = room_stages(plan);

    if (threads == 1 || available == 0 || stages * threads <= available)
        return 0;
    return error_set(
        error,
        "%d stage%s on the CPU with device.threads = %d are %d threads on %d core%s, and will be slow; use "
        "device.threads = %d",
        stages, stages == 1 ? "" : "s", threads, stages * threads, available, available == 1 ? "" : "s",
        max_int(1, available / stages));
}

int room_check_pins(const struct plan *plan, struct error *error)
{
    for (int s = 1; s <= plan->stage_count; s++) {
        const int core = place_pin(&plan->config, s);

        if (plan_place_of(plan, s) != PLACE_CPU || core < 0 || cores_check(core, error) == 0)
            continue;
        return -1;
    }
    return 0;
}

int room_stages(const struct plan *plan)
{
    int stages = 0;

    for (int s = 1; s <= plan_machine_stages(plan, 0); s++)
        stages += plan_place_of(plan, s) == PLACE_CPU;
    return stages;
}

int room_cores(const struct plan *plan)
{
    bool named[CORES_MAX] = {false};
    int count = 0;

    for (int s = 1; s <= plan_machine_stages(plan, 0); s++) {
        const int core = place_pin(&plan->config, s);

        if (plan_place_of(plan, s) != PLACE_CPU)
            continue;
        if (core < 0) /* no, or one after the other */
            return cores_count();
        count += !named[core];
        named[core] = true;
    }
    return count;
}
