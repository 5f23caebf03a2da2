#include "device/cores.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/numbers.h"

int cores_count(void)
{
    cpu_set_t allowed;

    return sched_getaffinity(0, sizeof(allowed), &allowed) ? 0 : CPU_COUNT(&allowed);
}

int cores_at(int n)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return -1;
    n %= CPU_COUNT(&allowed);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed) && n-- == 0)
            return core;
    return -1;
}

int cores_check(int core, struct error *error)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return error_set(error, "the cores that may be used are not known: %s", strerror(errno));
    if (core < 0 || core >= CPU_SETSIZE || !CPU_ISSET(core, &allowed))
        return error_set(error, "core %d is not one of the %d that this process may use; the first is %d", core,
                         CPU_COUNT(&allowed), cores_at(0));
    return 0;
}

int cores_keep_to(int core, struct error *error)
{
    cpu_set_t own;

    if (cores_check(core, error))
        return -1;
    CPU_ZERO(&own);
    CPU_SET(core, &own);
    if (sched_setaffinity(0, sizeof(own), &own))
        return error_set(error, "cannot keep to core %d: %s", core, strerror(errno));
    return 0;
}

struct watched {
    int thread, file; /* its number, and its schedstat */
    uint64_t waited_ns;
};

struct cores_watch {
    uint64_t waited_ns;
    char name[16];
    nlink_t links;      /* of /proc/self/task when the team was looked for: they count threads */
    int count, threads; /* known, and wanted */
    struct watched team[];
};

static int open_of(int thread, const char *file)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", thread, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Its second number is the time that the thread has spent on a run queue. */
static uint64_t read_waited(int file)
{
    char text[96];
    const ssize_t length = pread(file, text, sizeof(text) - 1, 0);
    uint64_t waited = 0;

    text[length > 0 ? length : 0] = '\0';
    return sscanf(text, "%*u %" SCNu64, &waited) == 1 ? waited : 0;
}

static void add(struct cores_watch *watch, int thread)
{
    const int file = open_of(thread, "schedstat");

    if (file >= 0)
        watch->team[watch->count++] = (struct watched){thread, file, read_waited(file)};
}

static bool bears_name(const struct cores_watch *watch, int thread)
{
    const size_t length = strlen(watch->name);
    const int file = open_of(thread, "comm");
    char name[sizeof(watch->name) + 1] = "";
    const ssize_t got = file < 0 ? 0 : read(file, name, sizeof(name));

    if (file >= 0)
        close(file);
    return got == (ssize_t)length + 1 && memcmp(name, watch->name, length) == 0;
}

static bool is_known(const struct cores_watch *watch, int thread)
{
    for (int k = 0; k < watch->count; k++)
        if (watch->team[k].thread == thread)
            return true;
    return false;
}

/* A library starts its threads when it first needs them. */
static void look_for_team(struct cores_watch *watch)
{
    struct stat status;
    DIR *tasks;

    if (watch->count >= watch->threads || stat("/proc/self/task", &status) || status.st_nlink == watch->links)
        return;
    watch->links = status.st_nlink;
    tasks = opendir("/proc/self/task");
    for (const struct dirent *entry; tasks && watch->count < watch->threads && (entry = readdir(tasks));) {
        const int thread = atoi(entry->d_name);

        if (thread > 0 && !is_known(watch, thread) && bears_name(watch, thread))
            add(watch, thread);
    }
    if (tasks)
        closedir(tasks);
}

struct cores_watch *cores_watch(int threads)
{
    struct cores_watch *watch = calloc(1, sizeof(*watch) + (size_t)threads * sizeof(watch->team[0]));

    if (!watch)
        return NULL;
    watch->threads = threads;
    prctl(PR_GET_NAME, watch->name);
    add(watch, gettid());
    return watch;
}

void cores_unwatch(struct cores_watch *watch)
{
    for (int k = 0; watch && k < watch->count; k++)
        close(watch->team[k].file);
    free(watch);
}

uint64_t cores_waited_ns(struct cores_watch *watch)
{
    uint64_t longest = 0;

    if (!watch)
        return 0;
    look_for_team(watch);
    for (int k = 0; k < watch->count; k++) {
        struct watched *thread = &watch->team[k];
        const uint64_t before = thread->waited_ns;

        thread->waited_ns = read_waited(thread->file);
        longest = max_u64(longest, thread->waited_ns - min_u64(before, thread->waited_ns));
    }
    watch->waited_ns += longest;
    return watch->waited_ns;
}
