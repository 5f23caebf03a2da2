#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board/segment_internal.h"

static size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

struct placement segment_place(const struct plan *plan, channels_bytes *channels)
{
    struct placement placement;

    placement.controls = align_up(sizeof(struct segment_header), CONTROLS_BYTES);
    placement.stages = placement.controls + CONTROLS_BYTES;
    placement.channels = align_up(placement.stages + (size_t)plan->stage_count * sizeof(struct stage_block), 4096);
    placement.end = align_up(placement.channels + channels(plan), 4096);
    return placement;
}

size_t segment_size(const struct plan *plan, channels_bytes *channels)
{
    return segment_place(plan, channels).end;
}

int segment_map(struct segment *segment, size_t size, int protection, struct error *error)
{
    void *address = mmap(NULL, size, protection, MAP_SHARED | (segment->fd < 0 ? MAP_ANONYMOUS : 0), segment->fd, 0);

    if (address == MAP_FAILED)
        return error_set(error, "cannot map %zu MiB of shared memory: %s", size >> 20, strerror(errno));
    segment->header = address;
    segment->size = size;
    return 0;
}

/* What a segment claims of itself must agree with what its plan implies; then every offset is in range. */
static int check(const struct segment *segment, channels_bytes *channels, struct error *error)
{
    const struct segment_header *header = segment->header;
    const struct plan *plan = &header->plan;
    struct placement placement;
    struct error reason;

    if (atomic_load_explicit(&header->magic, memory_order_acquire) != SEGMENT_MAGIC)
        return error_set(error, "this shared memory is not a tp run");
    if (header->version != SEGMENT_VERSION || header->header_bytes != sizeof(*header) ||
        header->stage_block_bytes != sizeof(struct stage_block))
        return error_set(error, "the run was started by another version of tp");
    if (plan_check(plan, &reason))
        return error_set(error, "the run's shared memory is damaged: its plan has %s", reason.text);
    if (header->stage_count != plan->stage_count || *(const unsigned char *)&header->interactive > 1 ||
        !memchr(header->name, '\0', sizeof(header->name)) ||
        !memchr(header->run_folder, '\0', sizeof(header->run_folder)))
        return error_set(error, "the run's shared memory is damaged: its header contradicts its plan");
    placement = segment_place(plan, channels);
    if (placement.end != segment->size || header->size != segment->size ||
        header->controls_offset != placement.controls || header->stages_offset != placement.stages ||
        header->channels_offset != placement.channels)
        return error_set(error, "the run's shared memory is damaged: sizes do not add up");
    return 0;
}

static int attach(struct segment *segment, int protection, channels_bytes *channels, struct error *error)
{
    struct stat status;

    if (fstat(segment->fd, &status))
        return error_set(error, "cannot read the shared memory's size: %s", strerror(errno));
    if ((size_t)status.st_size < sizeof(struct segment_header))
        return error_set(error, "this shared memory is not a tp run: it has only %zu bytes", (size_t)status.st_size);
    if (segment_map(segment, (size_t)status.st_size, protection, error))
        return -1;
    return check(segment, channels, error);
}

int segment_attach(struct segment *segment, int fd, channels_bytes *channels, struct error *error)
{
    *segment = (struct segment){.fd = fd};
    if (attach(segment, PROT_READ | PROT_WRITE, channels, error)) {
        segment_close(segment);
        return -1;
    }
    return 0;
}

int segment_open(struct segment *segment, const char *name, channels_bytes *channels, struct error *error)
{
    *segment = (struct segment){.fd = shm_open(name, O_RDONLY, 0)};
    if (segment->fd < 0)
        return error_set(error, "cannot open shared memory %s: %s", name, strerror(errno));
    if (attach(segment, PROT_READ, channels, error)) {
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

unsigned char *segment_channels(const struct segment *segment)
{
    return (unsigned char *)segment->header + segment->header->channels_offset;
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

bool segment_orphaned(const struct segment *segment)
{
    return segment->parent != 0 && getppid() != segment->parent;
}

int segment_check_run(const struct segment *segment, struct error *error)
{
    if (segment_orphaned(segment))
        return error_set(error, "the run has lost its coordinator");
    return atomic_load(&segment->header->abort) ? error_set(error, "the run was aborted") : 0;
}
