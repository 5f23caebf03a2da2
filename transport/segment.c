#include "transport/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/device.h"

/* Offsets of everything, computed one way for sizing, creating and checking. */
struct placement {
    size_t controls, stages, rings, end;
};

static size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

static int ring_count(const struct plan *plan)
{
    return 2 * (plan->stage_count - 1);
}

/* Ring r of link r / 2 + 1: even down, odd up. */
static uint64_t ring_slots(const struct plan *plan, int r)
{
    return (uint64_t)(r % 2 ? plan->gradient_slots : plan->stages[r / 2].activation_slots);
}

static bool ring_exported(const struct plan *plan, int r)
{
    return plan->stages[r / 2].link == LINK_DEVICE;
}

/* In a stage's exported memory gradients from the stage after it lie behind activations from the stage before. */
static size_t arena_offset(const struct plan *plan, int r)
{
    const int activations = r - 3;

    if (r % 2 == 0 || activations < 0 || !ring_exported(plan, activations))
        return 0;
    return ring_slots(plan, activations) * plan_slot_bytes(plan, activations / 2 + 1);
}

/* Fills all that is constant and returns the offset after it. */
static size_t place_ring(const struct plan *plan, int r, size_t offset, struct ring *ring)
{
    const bool exported = ring_exported(plan, r);

    ring->slots = ring_slots(plan, r);
    ring->slot_bytes = plan_slot_bytes(plan, r / 2 + 1);
    ring->message_capacity = ring->slots * (uint64_t)schedule_slot_size(&plan->schedule);
    ring->handle_count = exported ? 1 + ring->slots + ring->message_capacity : 0;
    ring->arena_offset = exported ? arena_offset(plan, r) : 0;
    ring->messages_offset = align_up(offset, CACHE_LINE);
    ring->handles_offset =
        align_up(ring->messages_offset + ring->message_capacity * sizeof(struct message), CACHE_LINE);
    ring->data_offset = align_up(ring->handles_offset + ring->handle_count * sizeof(struct device_handle), 4096);
    return ring->data_offset + (exported ? 0 : ring->slots * ring->slot_bytes);
}

static struct placement place(const struct plan *plan, struct ring *rings)
{
    struct placement placement;
    struct ring unused;

    placement.controls = align_up(sizeof(struct segment_header), CONTROLS_BYTES);
    placement.stages = placement.controls + CONTROLS_BYTES;
    placement.rings = placement.stages + (size_t)plan->stage_count * sizeof(struct stage_block);
    placement.end = placement.rings + (size_t)ring_count(plan) * sizeof(struct ring);
    for (int r = 0; r < ring_count(plan); r++)
        placement.end = place_ring(plan, r, placement.end, rings ? &rings[r] : &unused);
    placement.end = align_up(placement.end, 4096);
    return placement;
}

size_t segment_size(const struct plan *plan)
{
    return place(plan, NULL).end;
}

static int initialise(struct segment *segment, const struct plan *plan, const char *run_folder, struct error *error)
{
    struct segment_header *header = segment->header;
    struct placement placement = place(plan, NULL);

    header->version = SEGMENT_VERSION;
    header->header_bytes = sizeof(*header);
    header->stage_block_bytes = sizeof(struct stage_block);
    header->size = segment->size;
    header->controls_offset = placement.controls;
    header->stages_offset = placement.stages;
    header->rings_offset = placement.rings;
    header->stage_count = plan->stage_count;
    header->ring_count = ring_count(plan);
    header->coordinator_pid = getpid();
    header->start_ns = clock_now_ns();
    header->start_time = time(NULL);
    snprintf(header->name, sizeof(header->name), "%s", segment->name);
    snprintf(header->run_folder, sizeof(header->run_folder), "%s", run_folder);
    atomic_init(&header->stopped_at, UINT64_MAX);
    header->start.epoch = 1;
    header->plan = *plan;
    for (int s = 1; s <= MAX_STAGES; s++)
        atomic_init(&segment_controls(segment)->ops_allowed[s - 1], UINT64_MAX);
    atomic_init(&segment_controls(segment)->slow_motion, 1);
    place(plan, (struct ring *)((unsigned char *)header + placement.rings));
    for (int s = 1; s <= plan->stage_count; s++)
        if (sem_init(&segment_stage(segment, s)->doorbell, 1, 0))
            return error_set(error, "cannot make a semaphore: %s", strerror(errno));
    /* Pairs with check(): all of the above is written. */
    atomic_store_explicit(&header->magic, SEGMENT_MAGIC, memory_order_release);
    return 0;
}

static int map(struct segment *segment, size_t size, int protection, struct error *error)
{
    void *address = mmap(NULL, size, protection, MAP_SHARED | (segment->fd < 0 ? MAP_ANONYMOUS : 0), segment->fd, 0);

    if (address == MAP_FAILED)
        return error_set(error, "cannot map %zu MiB of shared memory: %s", size >> 20, strerror(errno));
    segment->header = address;
    segment->size = size;
    return 0;
}

/* Takes every page now: a full /dev/shm must fail here and not as a SIGBUS in the middle of a run. */
static int allocate(int fd, size_t size, struct error *error)
{
    struct statvfs space;
    int reason;

    do
        reason = posix_fallocate(fd, 0, (off_t)size);
    while (reason == EINTR);
    if (reason == 0)
        return 0;
    if (reason != ENOSPC || fstatvfs(fd, &space))
        return error_set(error, "cannot allocate %zu MiB of shared memory: %s", (size >> 20) + 1, strerror(reason));
    return error_set(error,
                     "/dev/shm is too small: this run needs %zu MiB there and %zu MiB are free; enlarge it (mount -o "
                     "remount,size=... /dev/shm; docker run --shm-size=...) or lower data.batch",
                     (size >> 20) + 1, (size_t)(space.f_bavail * space.f_frsize) >> 20);
}

/* The coordinator locks the segment's descriptor, its stages inherit it, and the kernel unlocks it when the last of them
 * has ended. Removed while it is locked here, so that nobody can take it for his own in between. */
static void remove_unlocked(const char *name)
{
    int fd = shm_open(name, O_RDONLY | O_NONBLOCK, 0);

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        shm_unlink(name);
    close(fd);
}

/* Removes what this user's dead runs left: whoever is killed together with all its stages cannot. */
static void sweep(void)
{
    DIR *directory = opendir("/dev/shm");
    const struct dirent *entry;
    unsigned user;
    int pid;

    if (!directory)
        return;
    while ((entry = readdir(directory)))
        if (sscanf(entry->d_name, "tp-%u-%d-", &user, &pid) == 2 && user == getuid())
            remove_unlocked(entry->d_name);
    closedir(directory);
}

static int open_new(struct segment *segment, struct error *error)
{
    uint64_t nonce;

    if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
        return error_set(error, "cannot draw a random name: %s", strerror(errno));
    snprintf(segment->name, sizeof(segment->name), "/tp-%u-%d-%016llx", getuid(), (int)getpid(),
             (unsigned long long)nonce);
    segment->fd = shm_open(segment->name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (segment->fd < 0)
        return error_set(error, "cannot create shared memory %s: %s", segment->name, strerror(errno));
    return 0;
}

/* False if another run's start swept it away before it was locked. */
static bool lock_new(const struct segment *segment)
{
    struct stat status;

    if (flock(segment->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return false;
    return fstat(segment->fd, &status) || status.st_nlink > 0;
}

int segment_create(struct segment *segment, const struct plan *plan, const char *run_folder, struct error *error)
{
    size_t size = segment_size(plan);

    *segment = (struct segment){.fd = -1};
    sweep();
    do {
        segment_close(segment);
        if (open_new(segment, error))
            return -1;
    } while (!lock_new(segment));
    if (allocate(segment->fd, size, error) || map(segment, size, PROT_READ | PROT_WRITE, error) ||
        initialise(segment, plan, run_folder, error)) {
        segment_unlink(segment->name);
        segment_close(segment);
        return -1;
    }
    return 0;
}

int segment_create_private(struct segment *segment, const struct plan *plan, struct error *error)
{
    *segment = (struct segment){.fd = -1};
    if (map(segment, segment_size(plan), PROT_READ | PROT_WRITE, error))
        return -1;
    if (initialise(segment, plan, "", error)) {
        segment_close(segment);
        return -1;
    }
    return 0;
}

static struct ring *segment_ring(const struct segment *segment, int r)
{
    return (struct ring *)((unsigned char *)segment->header + segment->header->rings_offset) + r;
}

static bool ring_as_planned(const struct segment *segment, int r, size_t *end)
{
    const struct ring *ring = segment_ring(segment, r);
    struct ring planned;

    *end = place_ring(&segment->header->plan, r, *end, &planned);
    return ring->slots == planned.slots && ring->slot_bytes == planned.slot_bytes &&
           ring->message_capacity == planned.message_capacity && ring->messages_offset == planned.messages_offset &&
           ring->data_offset == planned.data_offset && ring->arena_offset == planned.arena_offset &&
           ring->handles_offset == planned.handles_offset && ring->handle_count == planned.handle_count;
}

/* What a segment claims of itself must agree with what its plan implies; then every offset is in range. */
static int check(const struct segment *segment, struct error *error)
{
    const struct segment_header *header = segment->header;
    const struct plan *plan = &header->plan;
    struct placement placement;
    struct error reason;
    size_t end;

    if (atomic_load_explicit(&header->magic, memory_order_acquire) != SEGMENT_MAGIC)
        return error_set(error, "this shared memory is not a tp run");
    if (header->version != SEGMENT_VERSION || header->header_bytes != sizeof(*header) ||
        header->stage_block_bytes != sizeof(struct stage_block))
        return error_set(error, "the run was started by another version of tp");
    if (plan_check(plan, &reason))
        return error_set(error, "the run's shared memory is damaged: its plan has %s", reason.text);
    if (header->stage_count != plan->stage_count || header->ring_count != ring_count(plan) ||
        *(const unsigned char *)&header->interactive > 1 || !memchr(header->name, '\0', sizeof(header->name)) ||
        !memchr(header->run_folder, '\0', sizeof(header->run_folder)))
        return error_set(error, "the run's shared memory is damaged: its header contradicts its plan");
    placement = place(plan, NULL);
    if (placement.end != segment->size || header->size != segment->size ||
        header->controls_offset != placement.controls || header->stages_offset != placement.stages ||
        header->rings_offset != placement.rings)
        return error_set(error, "the run's shared memory is damaged: sizes do not add up");
    end = placement.rings + (size_t)header->ring_count * sizeof(struct ring);
    for (int r = 0; r < header->ring_count; r++)
        if (!ring_as_planned(segment, r, &end))
            return error_set(error, "the run's shared memory is damaged: a link lies elsewhere than planned");
    return 0;
}

static int attach(struct segment *segment, int protection, struct error *error)
{
    struct stat status;

    if (fstat(segment->fd, &status))
        return error_set(error, "cannot read the shared memory's size: %s", strerror(errno));
    if ((size_t)status.st_size < sizeof(struct segment_header))
        return error_set(error, "this shared memory is not a tp run: it has only %zu bytes", (size_t)status.st_size);
    if (map(segment, (size_t)status.st_size, protection, error))
        return -1;
    return check(segment, error);
}

int segment_attach(struct segment *segment, int fd, struct error *error)
{
    *segment = (struct segment){.fd = fd};
    if (attach(segment, PROT_READ | PROT_WRITE, error)) {
        segment_close(segment);
        return -1;
    }
    return 0;
}

int segment_open(struct segment *segment, const char *name, struct error *error)
{
    *segment = (struct segment){.fd = shm_open(name, O_RDONLY, 0)};
    if (segment->fd < 0)
        return error_set(error, "cannot open shared memory %s: %s", name, strerror(errno));
    if (attach(segment, PROT_READ, error)) {
        segment_close(segment);
        return error_prefix(error, "%s", name);
    }
    return 0;
}

struct controls *segment_controls(const struct segment *segment)
{
    return (struct controls *)((unsigned char *)segment->header + segment->header->controls_offset);
}

struct controls *segment_open_controls(const struct segment *segment, const char *name, struct error *error)
{
    void *address = MAP_FAILED;
    struct stat status, mapped;
    int fd;

    if (!segment->header->interactive) {
        error_set(error, "the run was not started with --interactive, so it can only be watched");
        return NULL;
    }
    fd = shm_open(name, O_RDWR, 0);
    /* The name may be another run's by now. */
    if (fd >= 0 && fstat(fd, &status) == 0 && fstat(segment->fd, &mapped) == 0 && status.st_ino == mapped.st_ino)
        address =
            mmap(NULL, CONTROLS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)segment->header->controls_offset);
    if (fd >= 0)
        close(fd);
    if (address != MAP_FAILED)
        return address;
    error_set(error, "cannot open the controls of %s: the run has ended, or is another user's", name);
    return NULL;
}

void segment_close_controls(struct controls *controls)
{
    if (controls)
        munmap(controls, CONTROLS_BYTES);
}

void segment_unlink(const char *name)
{
    shm_unlink(name);
}

void segment_close(struct segment *segment)
{
    if (segment->header)
        munmap(segment->header, segment->size);
    if (segment->fd >= 0)
        close(segment->fd);
    *segment = (struct segment){.fd = -1};
}

struct stage_block *segment_stage(const struct segment *segment, int stage)
{
    return (struct stage_block *)((unsigned char *)segment->header + segment->header->stages_offset) + (stage - 1);
}

struct ring *segment_ring_down(const struct segment *segment, int link)
{
    return segment_ring(segment, 2 * (link - 1));
}

struct ring *segment_ring_up(const struct segment *segment, int link)
{
    return segment_ring(segment, 2 * (link - 1) + 1);
}

void segment_ring_doorbell(const struct segment *segment, int stage)
{
    sem_post(&segment_stage(segment, stage)->doorbell);
}

void segment_ring_all(const struct segment *segment)
{
    for (int s = 1; s <= segment->header->stage_count; s++)
        segment_ring_doorbell(segment, s);
}

bool segment_saves(const struct segment *segment)
{
    return atomic_load(&segment->header->save) ||
           atomic_load(&segment->header->save_at) != atomic_load(&segment->header->saved_at);
}

void segment_ask_checkpoint(const struct segment *segment)
{
    if (segment_saves(segment))
        return;
    atomic_store(&segment->header->save, 1);
    segment_ring_doorbell(segment, 1);
}

void segment_abort(const struct segment *segment)
{
    atomic_store(&segment->header->abort, 1);
    segment_ring_all(segment);
}
