/* A GPU as a device, through CUDA's runtime: its queue is one stream. */
#include "device/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A mark is a timing event, and mark n is of event n % DEVICE_MARKS.
 *
 * CUDA tells the milliseconds between two events in a float: exact enough within a second or two, so the event that times
 * are counted from moves along. Its time on the host's clock is measured by set_clock, and corrected as the two clocks
 * drift apart: no mark is later than when it was seen reached, or earlier than when it was last seen unreached. */
struct cuda {
    struct device device;
    int ordinal;
    cudaStream_t stream;
    uint64_t marks, reached; /* numbered from 1: made so far, and the newest that is known to be reached */
    cudaEvent_t events[DEVICE_MARKS];
    uint64_t times_ns[DEVICE_MARKS]; /* of those reached */
    uint64_t unreached_ns;           /* when the first mark after `reached` was last seen unreached */
    cudaEvent_t base;                /* reached, */
    uint64_t base_ns;                /* at this time of the host's clock */
};

enum { BASE_AGE_NS = 1000000000 };

static struct cuda *cuda_of(const struct device *device)
{
    return (struct cuda *)(uintptr_t)device;
}

cudaStream_t cuda_device_stream(const struct device *device)
{
    return cuda_of(device)->stream;
}

int cuda_check(cudaError_t status, const char *what, struct error *error)
{
    if (status == cudaSuccess)
        return 0;
    (void)cudaGetLastError(); /* or the next check of a launch finds it again */
    return error_set(error, "%s: %s (%s)", what, cudaGetErrorName(status), cudaGetErrorString(status));
}

static int check(const struct cuda *cuda, cudaError_t status, const char *what, struct error *error)
{
    return cuda_check(status, what, error) ? error_prefix(error, "GPU %d", cuda->ordinal) : 0;
}

/* Why there is none. */
static void explain(cudaError_t status, struct error *reason)
{
    int driver = 0, runtime = 0;

    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (driver == 0)
        error_set(reason, "no NVIDIA driver is loaded");
    else if (status == cudaErrorInsufficientDriver)
        error_set(reason, "the NVIDIA driver is for CUDA %d.%d, and this program needs one for CUDA %d.%d or newer",
                  driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    else if (status == cudaSuccess || status == cudaErrorNoDevice)
        error_set(reason, "the NVIDIA driver shows no GPU%s",
                  getenv("CUDA_VISIBLE_DEVICES") ? ", and CUDA_VISIBLE_DEVICES is set" : "");
    else
        cuda_check(status, "looking for GPUs", reason);
}

static int count(struct error *reason)
{
    int devices = 0;
    cudaError_t status = cudaGetDeviceCount(&devices);

    if (status == cudaSuccess && devices > 0)
        return devices;
    explain(status, reason);
    return 0;
}

/* As the driver's own tools write it. */
static void format_uuid(const unsigned char *uuid, char *text)
{
    text += sprintf(text, "GPU-");
    for (int k = 0; k < 16; k++)
        text += sprintf(text, k == 4 || k == 6 || k == 8 || k == 10 ? "-%02x" : "%02x", uuid[k]);
}

static int facts(int ordinal, struct device_facts *facts, struct error *error)
{
    const struct cuda cuda = {.ordinal = ordinal};
    struct cudaDeviceProp properties;

    *facts = (struct device_facts){0};
    if (check(&cuda, cudaGetDeviceProperties(&properties, ordinal), "asking what it is", error) ||
        check(&cuda, cudaSetDevice(ordinal), "opening it", error) ||
        check(&cuda, cudaMemGetInfo(&facts->free_bytes, &facts->memory_bytes), "asking for its memory", error))
        return -1;
    snprintf(facts->name, sizeof(facts->name), "%.*s", (int)sizeof(facts->name) - 1, properties.name);
    format_uuid((const unsigned char *)properties.uuid.bytes, facts->id);
    facts->major = properties.major;
    facts->minor = properties.minor;
    return 0;
}

/* CUDA says that a device is not its own peer, and to its own memory none is needed; but some devices export nothing. */
static bool peers(int from, int to)
{
    int able = 0;
    cudaError_t status = from == to ? cudaDeviceGetAttribute(&able, cudaDevAttrIpcEventSupport, to)
                                    : cudaDeviceCanAccessPeer(&able, from, to);

    if (status != cudaSuccess)
        (void)cudaGetLastError();
    return status == cudaSuccess && able;
}

static void close_cuda(struct device *device)
{
    struct cuda *cuda = cuda_of(device);

    for (int k = 0; k < DEVICE_MARKS; k++)
        if (cuda->events[k])
            cudaEventDestroy(cuda->events[k]);
    if (cuda->base)
        cudaEventDestroy(cuda->base);
    if (cuda->stream)
        cudaStreamDestroy(cuda->stream);
    free(cuda);
}

static int create_events(struct cuda *cuda, struct error *error)
{
    for (int k = 0; k < DEVICE_MARKS; k++)
        if (check(cuda, cudaEventCreateWithFlags(&cuda->events[k], cudaEventDefault), "creating an event", error))
            return -1;
    return check(cuda, cudaEventCreateWithFlags(&cuda->base, cudaEventDefault), "creating an event", error);
}

static int set_clock(struct device *device, struct error *error);

static int open_cuda(struct device **out, int ordinal, struct error *error)
{
    struct cuda *cuda = calloc(1, sizeof(*cuda));
    struct error reason;

    *out = NULL;
    if (!cuda)
        return error_set(error, "out of memory");
    cuda->device.type = &device_cuda;
    cuda->ordinal = ordinal;
    if (count(&reason) == 0) {
        close_cuda(&cuda->device);
        return error_set(error, "GPU %d cannot be opened: %s", ordinal, reason.text);
    }
    if (check(cuda, cudaSetDevice(ordinal), "opening it", error) ||
        check(cuda, cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking), "creating a stream", error) ||
        create_events(cuda, error) || set_clock(&cuda->device, error)) {
        close_cuda(&cuda->device);
        return -1;
    }
    *out = &cuda->device;
    return 0;
}

static size_t mebibytes(size_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

static int allocate(struct device *device, void **out, size_t bytes, const char *what, struct error *error)
{
    size_t free_bytes = 0, total = 0;
    cudaError_t status;
    char doing[128];

    *out = NULL;
    status = cudaMalloc(out, bytes ? bytes : 1);
    if (status != cudaErrorMemoryAllocation) {
        snprintf(doing, sizeof(doing), "allocating %s", what);
        return check(cuda_of(device), status, doing, error);
    }
    (void)cudaGetLastError();
    cudaMemGetInfo(&free_bytes, &total);
    return error_set(error, "GPU %d has no memory for %s: %zu MiB are needed and %zu of its %zu MiB are free",
                     cuda_of(device)->ordinal, what, mebibytes(bytes), free_bytes >> 20, total >> 20);
}

static void release(struct device *device, void *memory)
{
    (void)device;
    cudaFree(memory);
}

static int allocate_host(struct device *device, void **out, size_t bytes, const char *what, struct error *error)
{
    char doing[128];

    *out = NULL;
    snprintf(doing, sizeof(doing), "allocating %zu MiB of pinned memory for %s", mebibytes(bytes), what);
    return check(cuda_of(device), cudaHostAlloc(out, bytes ? bytes : 1, cudaHostAllocPortable | cudaHostAllocMapped),
                 doing, error);
}

static void release_host(struct device *device, void *memory)
{
    (void)device;
    cudaFreeHost(memory);
}

static int adopt_host(struct device *device, void *memory, size_t bytes, struct error *error)
{
    return check(cuda_of(device), cudaHostRegister(memory, bytes, cudaHostRegisterPortable | cudaHostRegisterMapped),
                 "pinning memory of the host", error);
}

static void forget_host(struct device *device, void *memory)
{
    (void)device;
    cudaHostUnregister(memory);
}

static int copy(struct device *device, void *to, const void *from, size_t bytes, struct error *error)
{
    struct cuda *cuda = cuda_of(device);

    if (to == from || bytes == 0)
        return 0;
    return check(cuda, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, cuda->stream), "copying", error);
}

static int clear(struct device *device, void *memory, size_t bytes, struct error *error)
{
    struct cuda *cuda = cuda_of(device);

    return bytes ? check(cuda, cudaMemsetAsync(memory, 0, bytes, cuda->stream), "clearing memory", error) : 0;
}

/* Nanoseconds from the base to a mark that was reached. */
static int since_base(const struct cuda *cuda, uint64_t mark, uint64_t *elapsed_ns, struct error *error)
{
    float milliseconds = 0;

    if (check(cuda, cudaEventElapsedTime(&milliseconds, cuda->base, cuda->events[mark % DEVICE_MARKS]),
              "reading an event's time", error))
        return -1;
    *elapsed_ns = milliseconds > 0 ? (uint64_t)(1e6 * (double)milliseconds) : 0;
    return 0;
}

/* The base must be later than what of the past is still to be timed. */
static void move_base(struct cuda *cuda, uint64_t mark, uint64_t elapsed_ns)
{
    const cudaEvent_t base = cuda->events[mark % DEVICE_MARKS];

    if (elapsed_ns < BASE_AGE_NS)
        return;
    cuda->events[mark % DEVICE_MARKS] = cuda->base;
    cuda->base = base;
    cuda->base_ns += elapsed_ns;
}

/* Times the next mark, which was seen reached by `now_ns`. */
static int pass(struct cuda *cuda, uint64_t now_ns, struct error *error)
{
    const uint64_t mark = cuda->reached + 1, before_ns = cuda->times_ns[cuda->reached % DEVICE_MARKS];
    uint64_t elapsed_ns, time_ns;

    if (since_base(cuda, mark, &elapsed_ns, error))
        return -1;
    time_ns = cuda->base_ns + elapsed_ns;
    if (time_ns > now_ns)
        cuda->base_ns -= time_ns - now_ns;
    else if (time_ns < cuda->unreached_ns)
        cuda->base_ns += cuda->unreached_ns - time_ns;
    time_ns = cuda->base_ns + elapsed_ns;
    cuda->times_ns[mark % DEVICE_MARKS] = time_ns > before_ns ? time_ns : before_ns;
    cuda->reached = mark;
    move_base(cuda, mark, elapsed_ns);
    return 0;
}

/* Marks are reached in order, so all up to one that was are, too. */
static int reached(struct device *device, uint64_t mark, struct error *error)
{
    struct cuda *cuda = cuda_of(device);
    cudaError_t status;

    while (cuda->reached < mark) {
        uint64_t asked_ns = clock_now_ns();

        status = cudaEventQuery(cuda->events[(cuda->reached + 1) % DEVICE_MARKS]);
        if (status == cudaErrorNotReady) {
            (void)cudaGetLastError();
            cuda->unreached_ns = asked_ns;
            return 0;
        }
        if (check(cuda, status, "computing", error) || pass(cuda, clock_now_ns(), error))
            return -1;
    }
    return 1;
}

static int mark(struct device *device, uint64_t *mark, struct error *error)
{
    struct cuda *cuda = cuda_of(device);

    *mark = cuda->marks + 1;
    if (*mark > DEVICE_MARKS) {
        int last = reached(device, *mark - DEVICE_MARKS, error);

        if (last <= 0)
            return last < 0 ? -1 : error_set(error, "GPU %d is more than %d marks behind", cuda->ordinal, DEVICE_MARKS);
    }
    if (check(cuda, cudaEventRecord(cuda->events[*mark % DEVICE_MARKS], cuda->stream), "marking the queue", error))
        return -1;
    cuda->marks++;
    return 0;
}

static uint64_t time_ns(struct device *device, uint64_t mark)
{
    return cuda_of(device)->times_ns[mark % DEVICE_MARKS];
}

/* The event was reached between two looks at the host's clock. The first one that is recorded may take longer. */
static int set_clock(struct device *device, struct error *error)
{
    enum { TRIES = 8, NEAR_NS = 20000 };
    struct cuda *cuda = cuda_of(device);
    uint64_t before_ns, width_ns = UINT64_MAX;

    if (reached(device, cuda->marks, error) < 0)
        return -1;
    for (int k = 0; k < TRIES && width_ns > NEAR_NS; k++) {
        before_ns = clock_now_ns();
        if (check(cuda, cudaEventRecord(cuda->base, cuda->stream), "setting its clock", error) ||
            check(cuda, cudaEventSynchronize(cuda->base), "setting its clock", error))
            return -1;
        width_ns = clock_now_ns() - before_ns;
        cuda->base_ns = before_ns + width_ns / 2;
    }
    return 0;
}

static int export_memory(struct device *device, void *memory, struct device_handle *handle, struct error *error)
{
    cudaIpcMemHandle_t exported;

    _Static_assert(sizeof(exported) == sizeof(handle->bytes), "a handle has 64 bytes");
    if (check(cuda_of(device), cudaIpcGetMemHandle(&exported, memory),
              "sharing its memory with another process, which MIG slices and integrated GPUs cannot", error))
        return -1;
    memcpy(handle->bytes, &exported, sizeof(exported));
    return 0;
}

static int import_memory(struct device *device, const struct device_handle *handle, void **out, struct error *error)
{
    cudaIpcMemHandle_t exported;

    *out = NULL;
    memcpy(&exported, handle->bytes, sizeof(exported));
    return check(cuda_of(device), cudaIpcOpenMemHandle(out, exported, cudaIpcMemLazyEnablePeerAccess),
                 "opening another process's memory", error);
}

static void close_memory(struct device *device, void *memory)
{
    (void)device;
    cudaIpcCloseMemHandle(memory);
}

static void event_destroy(struct device *device, struct device_event *event)
{
    (void)device;
    if (event)
        cudaEventDestroy((cudaEvent_t)event);
}

static int event_create(struct device *device, struct device_event **out, struct device_handle *handle,
                        struct error *error)
{
    const struct cuda *cuda = cuda_of(device);
    cudaEvent_t event;
    cudaIpcEventHandle_t exported;

    _Static_assert(sizeof(exported) == sizeof(handle->bytes), "a handle has 64 bytes");
    *out = NULL;
    if (check(cuda, cudaEventCreateWithFlags(&event, cudaEventInterprocess | cudaEventDisableTiming),
              "creating an event for other processes", error))
        return -1;
    if (check(cuda, cudaIpcGetEventHandle(&exported, event), "sharing an event with another process", error)) {
        cudaEventDestroy(event);
        return -1;
    }
    memcpy(handle->bytes, &exported, sizeof(exported));
    *out = (struct device_event *)event;
    return 0;
}

static int event_import(struct device *device, struct device_event **out, const struct device_handle *handle,
                        struct error *error)
{
    cudaEvent_t event = NULL;
    cudaIpcEventHandle_t exported;

    memcpy(&exported, handle->bytes, sizeof(exported));
    if (check(cuda_of(device), cudaIpcOpenEventHandle(&event, exported), "opening another process's event", error))
        event = NULL;
    *out = (struct device_event *)event;
    return event ? 0 : -1;
}

static int event_record(struct device *device, struct device_event *event, struct error *error)
{
    const struct cuda *cuda = cuda_of(device);

    return check(cuda, cudaEventRecord((cudaEvent_t)event, cuda->stream), "recording an event", error);
}

static int event_wait(struct device *device, struct device_event *event, struct error *error)
{
    const struct cuda *cuda = cuda_of(device);

    return check(cuda, cudaStreamWaitEvent(cuda->stream, (cudaEvent_t)event, cudaEventWaitDefault),
                 "waiting for an event", error);
}

const struct device_type device_cuda = {
    .name = "cuda",
    .count = count,
    .facts = facts,
    .peers = peers,
    .open = open_cuda,
    .close = close_cuda,
    .allocate = allocate,
    .release = release,
    .allocate_host = allocate_host,
    .release_host = release_host,
    .adopt_host = adopt_host,
    .forget_host = forget_host,
    .copy = copy,
    .clear = clear,
    .mark = mark,
    .reached = reached,
    .time_ns = time_ns,
    .set_clock = set_clock,
    .export_memory = export_memory,
    .import_memory = import_memory,
    .close_memory = close_memory,
    .event_create = event_create,
    .event_import = event_import,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_wait = event_wait,
};
