/* How a segment comes to be: locked, with every page there, and what dead runs left gone; and then under a name. */
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
#include "board/segment_internal.h"

static void initialise(struct segment *segment, const struct plan *plan, channels_bytes *channels,
                       const char *run_folder)
{
    struct segment_header *header = segment->header;

    segment_place(segment, plan, channels);
    header->version = SEGMENT_VERSION;
    header->board_bytes = sizeof(struct board);
    header->stage_block_bytes = sizeof(struct stage_block);
    header->size = segment->size;
    header->block_count = plan->part_count;
    header->coordinator_pid = getpid();
    header->start_ns = clock_now_ns();
    header->start_time = time(NULL);
    snprintf(header->name, sizeof(header->name), "%s", segment->name);
    snprintf(header->run_folder, sizeof(header->run_folder), "%s", run_folder);
    atomic_init(&segment->board->stopped_at, UINT64_MAX);
    header->start.epoch = 1;
    header->plan = *plan;
    for (int s = 1; s <= MAX_STAGES; s++)
        atomic_init(&segment_controls(segment)->ops_allowed[s - 1], UINT64_MAX);
    atomic_init(&segment_controls(segment)->slow_motion, 1);
    atomic_init(&segment_controls(segment)->awaited, 0);
}

void segment_seal(const struct segment *segment)
{
    segment->board->header = *segment->header;
    /* Pairs with attach(): the header is written. */
    atomic_store_explicit(&segment->board->magic, SEGMENT_MAGIC, memory_order_release);
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

    struct stat status;

    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && segment_is_own(&status) && flock(fd, LOCK_EX | LOCK_NB) == 0)
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

/* A file without a name, locked before it has one. */
static int open_new(struct segment *segment, struct error *error)
{
    uint64_t nonce;

    if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
        return error_set(error, "cannot draw a random name: %s", strerror(errno));
    snprintf(segment->name, sizeof(segment->name), "/tp-%u-%d-%016llx", getuid(), (int)getpid(),
             (unsigned long long)nonce);
    segment->fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (segment->fd < 0)
        return error_set(error, "cannot create shared memory in /dev/shm: %s", strerror(errno));
    flock(segment->fd, LOCK_EX | LOCK_NB);
    return 0;
}

int segment_create(struct segment *segment, const struct plan *plan, channels_bytes *channels, const char *run_folder,
                   struct error *error)
{
    size_t size = segment_size(plan, channels);

    *segment = (struct segment){.fd = -1};
    sweep();
    if (open_new(segment, error) || allocate(segment->fd, size, error) ||
        segment_map(segment, size, PROT_READ | PROT_WRITE, error)) {
        segment_close(segment);
        return -1;
    }
    initialise(segment, plan, channels, run_folder);
    return 0;
}

int segment_publish(const struct segment *segment, struct error *error)
{
    char file[64], name[96];

    snprintf(file, sizeof(file), "/proc/self/fd/%d", segment->fd);
    snprintf(name, sizeof(name), "/dev/shm%s", segment->name);
    if (linkat(AT_FDCWD, file, AT_FDCWD, name, AT_SYMLINK_FOLLOW))
        return error_set(error, "cannot give the shared memory the name %s: %s", name, strerror(errno));
    return 0;
}

int segment_create_private(struct segment *segment, const struct plan *plan, channels_bytes *channels,
                           struct error *error)
{
    *segment = (struct segment){.fd = -1};
    if (segment_map(segment, segment_size(plan, channels), PROT_READ | PROT_WRITE, error)) {
        segment_close(segment);
        return -1;
    }
    initialise(segment, plan, channels, "");
    return 0;
}
