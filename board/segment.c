#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/numbers.h"
#include "board/guard.h"
#include "board/records.h"
#include "board/segment_internal.h"

static size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

size_t segment_place(struct segment *segment, const struct plan *plan, channels_bytes *channels)
{
    const size_t blocks = (size_t)plan->part_count * sizeof(struct stage_block);

    segment->controls_offset = align_up(sizeof(struct board), CONTROLS_BYTES);
    segment->stages_offset = segment->controls_offset + CONTROLS_BYTES;
    segment->channels_offset = align_up(segment->stages_offset + blocks, 4096);
    return align_up(segment->channels_offset + channels(plan), 4096);
}

size_t segment_size(const struct plan *plan, channels_bytes *channels)
{
    return segment_place(&(struct segment){.fd = -1}, plan, channels);
}

int segment_map(struct segment *segment, size_t size, int protection, struct error *error)
{
    void *address;

    segment->header = calloc(1, sizeof(*segment->header));
    segment->results = calloc(1, sizeof(*segment->results));
    if (!segment->header || !segment->results)
        return error_set(error, "out of memory");
    address = mmap(NULL, size, protection, MAP_SHARED | (segment->fd < 0 ? MAP_ANONYMOUS : 0), segment->fd, 0);
    if (address == MAP_FAILED)
        return error_set(error, "cannot map %zu MiB of shared memory: %s", size >> 20, strerror(errno));
    segment->board = address;
    segment->size = size;
    guard_add(address, size);
    return 0;
}

static bool is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* A bool that others wrote may hold any byte, and must not be read as one before it is known to be sound. */
static bool is_bool(const void *byte)
{
    return *(const unsigned char *)byte <= 1;
}

static bool start_is_sound(const struct start *start, const struct plan *plan)
{
    const int left = plan->minibatches_per_epoch - start->filled_after;
    struct slot slots[PLAN_SLOTS_MAX];

    /* The epoch after the last: all was done before. */
    return is_text(start->set, sizeof(start->set)) && start->files >= 0 && start->files <= MAX_STAGES &&
           start->epoch >= 1 && start->epoch <= plan->config.run.epochs + 1 && start->filled_after >= 0 && left >= 0 &&
           start->replayed >= 0 && start->replayed <= left && start->updates >= 0 &&
           start->slots >> plan_slots(plan, slots) == 0 &&
           start->updates <= plan->config.run.epochs * plan->minibatches_per_epoch;
}

/* What a segment claims of itself must agree with what its plan implies. */
static int check(struct segment *segment, channels_bytes *channels, struct error *error)
{
    const struct segment_header *header = segment->header;
    const struct plan *plan = &header->plan;
    struct error reason;

    if (header->version != SEGMENT_VERSION || header->board_bytes != sizeof(struct board) ||
        header->stage_block_bytes != sizeof(struct stage_block))
        return error_set(error, "the run was started by another version of tp");
    if (plan_check(plan, &reason))
        return error_set(error, "the run's shared memory is damaged: its plan has %s", reason.text);
    if (header->block_count != plan->part_count || header->machine < 0 || header->machine >= plan_machines(plan) ||
        !is_text(header->lent_folder, sizeof(header->lent_folder)) || !is_bool(&header->interactive) ||
        !is_text(header->name, sizeof(header->name)) || !is_text(header->run_folder, sizeof(header->run_folder)) ||
        !start_is_sound(&header->start, plan))
        return error_set(error, "the run's shared memory is damaged: its header contradicts its plan");
    if (segment_place(segment, plan, channels) != segment->size || header->size != segment->size)
        return error_set(error, "the run's shared memory is damaged: sizes do not add up");
    return 0;
}

bool segment_is_own(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == getuid() && (status->st_mode & 077) == 0 &&
           status->st_nlink <= 1;
}

static int attach(struct segment *segment, int protection, channels_bytes *channels, struct error *error)
{
    struct stat status;

    if (fstat(segment->fd, &status))
        return error_set(error, "cannot read the shared memory's size: %s", strerror(errno));
    if (!segment_is_own(&status))
        return error_set(error, "this shared memory is not yours alone: a run's belongs to the user who started it and "
                                "lets nobody else read it");
    if ((size_t)status.st_size < sizeof(struct board))
        return error_set(error, "this shared memory is not a tp run: it has only %zu bytes", (size_t)status.st_size);
    if (segment_map(segment, (size_t)status.st_size, protection, error))
        return -1;
    /* Pairs with segment_seal: the header is written. */
    if (atomic_load_explicit(&segment->board->magic, memory_order_acquire) != SEGMENT_MAGIC)
        return error_set(error, "this shared memory is not a tp run");
    /* Once: what is checked is what is used. */
    if (pread(segment->fd, segment->header, sizeof(*segment->header), offsetof(struct board, header)) !=
        (ssize_t)sizeof(*segment->header))
        return error_set(error, "the run's shared memory cannot be read");
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
    *segment = (struct segment){.fd = shm_open(name, O_RDONLY | O_NONBLOCK, 0)};
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
    return (struct controls *)((unsigned char *)segment->board + segment->controls_offset);
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
    fd = shm_open(name, O_RDWR | O_NONBLOCK, 0);
    /* The name may be another run's by now. */
    if (fd >= 0 && fstat(fd, &status) == 0 && fstat(segment->fd, &mapped) == 0 && status.st_ino == mapped.st_ino &&
        status.st_dev == mapped.st_dev)
        address = mmap(NULL, CONTROLS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)segment->controls_offset);
    if (fd >= 0)
        close(fd);
    if (address != MAP_FAILED) {
        guard_add(address, CONTROLS_BYTES);
        return address;
    }
    error_set(error, "cannot open the controls of %s: the run has ended, or is another user's", name);
    return NULL;
}

void segment_close_controls(struct controls *controls)
{
    if (!controls)
        return;
    guard_remove(controls);
    munmap(controls, CONTROLS_BYTES);
}

bool segment_is_whole(const struct segment *segment)
{
    return !guard_has_lost(segment->board);
}

void segment_unlink(const char *name)
{
    shm_unlink(name);
}

void segment_close(struct segment *segment)
{
    if (segment->board) {
        guard_remove(segment->board);
        munmap(segment->board, segment->size);
    }
    free(segment->header);
    free(segment->results);
    if (segment->fd >= 0)
        close(segment->fd);
    *segment = (struct segment){.fd = -1};
}

int segment_epochs_done(const struct segment *segment)
{
    /* Pairs with stage W's release store: the results are there. */
    const int done = atomic_load_explicit(&segment->board->epochs_done, memory_order_acquire);
    struct results *results = segment->results;

    for (; results->count < min_int(done, segment->header->plan.config.run.epochs); results->count++) {
        results->epochs[results->count] = segment->board->epochs[results->count];
        if (epoch_check(&results->epochs[results->count]))
            break;
    }
    return results->count;
}

const struct epoch_result *segment_epochs(const struct segment *segment)
{
    return segment->results->epochs;
}

struct stage_block *segment_stage(const struct segment *segment, int stage)
{
    return (struct stage_block *)((unsigned char *)segment->board + segment->stages_offset) + (stage - 1);
}

unsigned char *segment_channels(const struct segment *segment)
{
    return (unsigned char *)segment->board + segment->channels_offset;
}

bool segment_is_here(const struct segment *segment, int stage)
{
    return plan_machine_of(&segment->header->plan, stage) == segment->header->machine;
}

void segment_ring_doorbell(const struct segment *segment, int part)
{
    const int stage = plan_stage_of(&segment->header->plan, part);

    /* The first of a stage's parts has its number, and the doorbell for all of them. */
    if (segment_is_here(segment, stage))
        doorbell_ring(&segment_stage(segment, stage)->doorbell);
    else
        doorbell_ring(&segment->board->node);
}

void segment_ring_all(const struct segment *segment)
{
    for (int s = 1; s <= segment->header->plan.stage_count; s++)
        doorbell_ring(&segment_stage(segment, s)->doorbell);
    doorbell_ring(&segment->board->node);
}

bool segment_saves(const struct segment *segment)
{
    return atomic_load(&segment->board->save) ||
           atomic_load(&segment->board->save_at) != atomic_load(&segment->board->saved_at);
}

void segment_ask_checkpoint(const struct segment *segment)
{
    if (segment_saves(segment))
        return;
    atomic_store(&segment->board->save, 1);
    segment_ring_doorbell(segment, 1);
}

void segment_abort(const struct segment *segment)
{
    atomic_store(&segment->board->abort, 1);
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
    return atomic_load(&segment->board->abort) ? error_set(error, "the run was aborted") : 0;
}
