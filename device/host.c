/* The host as a device: memory is the process's own, and work is done when the call returns. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "device/device.h"

struct host {
    struct device device;
    uint64_t marks; /* made so far, numbered from 1 */
    uint64_t times_ns[DEVICE_MARKS];
};

static int count(struct error *reason)
{
    (void)reason;
    return 1;
}

static int facts(int ordinal, struct device_facts *facts, struct error *error)
{
    (void)ordinal, (void)error;
    *facts = (struct device_facts){.name = "host"};
    return 0;
}

static bool peers(int from, int to)
{
    (void)from, (void)to;
    return true;
}

static int open_host(struct device **out, int ordinal, struct error *error)
{
    struct host *host = calloc(1, sizeof(*host));

    (void)ordinal;
    *out = NULL;
    if (!host)
        return error_set(error, "out of memory");
    host->device.type = &device_host;
    *out = &host->device;
    return 0;
}

static void close_host(struct device *device)
{
    free(device);
}

static int allocate(struct device *device, void **out, size_t bytes, const char *what, struct error *error)
{
    float *floats;

    (void)device;
    *out = NULL;
    if (memory_floats(&floats, (bytes + sizeof(float) - 1) / sizeof(float), what, error))
        return -1;
    *out = floats;
    return 0;
}

static void release(struct device *device, void *memory)
{
    (void)device;
    free(memory);
}

static int adopt(struct device *device, void *memory, size_t bytes, struct error *error)
{
    (void)device, (void)memory, (void)bytes, (void)error;
    return 0;
}

static void forget(struct device *device, void *memory)
{
    (void)device, (void)memory;
}

static int copy(struct device *device, void *to, const void *from, size_t bytes, struct error *error)
{
    (void)device, (void)error;
    if (to != from)
        memcpy(to, from, bytes);
    return 0;
}

static int clear(struct device *device, void *memory, size_t bytes, struct error *error)
{
    (void)device, (void)error;
    memset(memory, 0, bytes);
    return 0;
}

static int mark(struct device *device, uint64_t *mark, struct error *error)
{
    struct host *host = (struct host *)device;

    (void)error;
    *mark = ++host->marks;
    host->times_ns[*mark % DEVICE_MARKS] = clock_now_ns();
    return 0;
}

static int reached(struct device *device, uint64_t mark, struct error *error)
{
    (void)device, (void)mark, (void)error;
    return 1;
}

static uint64_t time_ns(struct device *device, uint64_t mark)
{
    return ((struct host *)device)->times_ns[mark % DEVICE_MARKS];
}

static int set_clock(struct device *device, struct error *error)
{
    (void)device, (void)error;
    return 0;
}

const struct device_type device_host = {
    .name = "host",
    .count = count,
    .facts = facts,
    .peers = peers,
    .open = open_host,
    .close = close_host,
    .allocate = allocate,
    .release = release,
    .allocate_host = allocate,
    .release_host = release,
    .adopt_host = adopt,
    .forget_host = forget,
    .copy = copy,
    .clear = clear,
    .mark = mark,
    .reached = reached,
    .time_ns = time_ns,
    .set_clock = set_clock,
};
