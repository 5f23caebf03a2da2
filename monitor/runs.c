#include "monitor/runs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "board/guard.h"
#include "telemetry/snapshot.h"
#include "transport/rings.h"

struct run {
    char segment[SEGMENT_NAME_MAX];
    char folder[CONFIG_PATH_MAX], system[CONFIG_NAME_MAX], arch[CONFIG_NAME_MAX];
    int pid, stages;
    int64_t start_time;
    uint64_t start_ns;
    bool going;
    const char *state;
    struct error error; /* "": the rest is valid */
};

static const char *state_name(const struct snapshot *snapshot)
{
    static const char *const names[] = {
        [RUN_STARTING] = "starting",       [RUN_TRAINING] = "running", [RUN_FINISHED] = "finished",
        [RUN_INTERRUPTED] = "interrupted", [RUN_FAILED] = "failed",
    };

    return snapshot->state < RUN_FINISHED && !snapshot->coordinator_alive ? "dead" : names[snapshot->state];
}

static void read_run(struct run *run)
{
    struct snapshot snapshot;
    struct segment segment;

    if (segment_open(&segment, run->segment, rings_bytes, &run->error))
        return;
    snapshot_take(&snapshot, &segment);
    snprintf(run->folder, sizeof(run->folder), "%.*s", CONFIG_PATH_MAX - 1, snapshot.run_folder);
    snprintf(run->system, sizeof(run->system), "%.*s", CONFIG_NAME_MAX - 1, snapshot.plan->config.pipeline.system);
    snprintf(run->arch, sizeof(run->arch), "%.*s", CONFIG_NAME_MAX - 1, snapshot.plan->config.model.arch);
    run->pid = snapshot.coordinator_pid;
    run->stages = snapshot.plan->stage_count;
    run->start_time = snapshot.start_time;
    run->start_ns = snapshot.start_ns;
    run->state = state_name(&snapshot);
    if (!segment_is_whole(&segment))
        error_set(&run->error, "%s: the run's shared memory was cut short", run->segment);
    run->going = snapshot.state < RUN_FINISHED && snapshot.coordinator_alive;
    segment_close(&segment);
}

static int newest_first(const void *a, const void *b)
{
    const struct run *left = a, *right = b;

    return left->start_ns < right->start_ns ? 1 : left->start_ns > right->start_ns ? -1 : 0;
}

/* The caller frees *out, which is NULL if there is none. */
static int list(struct run **out, int *count, struct error *error)
{
    DIR *directory = opendir("/dev/shm");
    const struct dirent *entry;
    struct stat status;
    char prefix[32];

    *out = NULL;
    *count = 0;
    if (!directory)
        return error_set(error, "/dev/shm cannot be read");
    snprintf(prefix, sizeof(prefix), "tp-%u-", getuid());
    while ((entry = readdir(directory))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || strlen(entry->d_name) > SEGMENT_NAME_MAX - 2 ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) || status.st_uid != getuid())
            continue;
        struct run *grown = realloc(*out, (size_t)(*count + 1) * sizeof(**out));
        if (!grown) {
            free(*out);
            closedir(directory);
            return error_set(error, "out of memory");
        }
        *out = grown;
        struct run *run = &grown[(*count)++];
        *run = (struct run){.state = ""};
        snprintf(run->segment, sizeof(run->segment), "/%.*s", SEGMENT_NAME_MAX - 2, entry->d_name);
        read_run(run);
    }
    closedir(directory);
    if (*count > 0)
        qsort(*out, (size_t)*count, sizeof(**out), newest_first);
    return 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int runs_print(FILE *out, const char *coordinator, struct error *error)
{
    struct run *runs;
    int count;

    guard_install();
    if (list(&runs, &count, error))
        return -1;
    if (count == 0)
        fprintf(out, "no run is going; start one with %s CONFIG\n", coordinator);
    else
        fprintf(out, "%-34s %8s %-11s %-16s %6s  %-12s %s\n", "run", "pid", "state", "since", "stages", "system",
                "model");
    for (int i = 0; i < count; i++) {
        struct run *run = &runs[i];
        time_t start = (time_t)run->start_time;
        char since[32] = "";
        struct tm local;

        if (run->error.text[0]) {
            fprintf(out, "%s\n", run->error.text);
            continue;
        }
        text_clean(run->folder);
        if (localtime_r(&start, &local))
            strftime(since, sizeof(since), "%Y-%m-%d %H:%M", &local);
        fprintf(out, "%-34s %8d %-11s %-16s %6d  %-12s %s\n", last_part(run->folder), run->pid, run->state, since,
                run->stages, run->system, run->arch);
    }
    free(runs);
    return 0;
}

/* A folder that is not absolute is the coordinator's. */
static bool is_folder(const struct run *run, const char *path)
{
    char folder[CONFIG_PATH_MAX + 32];
    struct stat theirs, ours;

    snprintf(folder, sizeof(folder), "/proc/%d/cwd/%s", run->pid, run->folder);
    return run->folder[0] && stat(path, &ours) == 0 &&
           stat(run->folder[0] == '/' ? run->folder : folder, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

static bool is_named(const struct run *run, const char *name)
{
    if (strcmp(run->segment, name) == 0 || strcmp(run->segment + 1, name) == 0)
        return true;
    return !run->error.text[0] && (strcmp(last_part(run->folder), name) == 0 || is_folder(run, name));
}

int runs_find(const char *name, char segment[SEGMENT_NAME_MAX], struct error *error)
{
    struct run *runs;
    int count, result = 1;

    if (list(&runs, &count, error))
        return -1;
    for (int i = 0; i < count && result == 1; i++) {
        if (name ? !is_named(&runs[i], name) : !runs[i].going)
            continue;
        memcpy(segment, runs[i].segment, SEGMENT_NAME_MAX);
        *error = runs[i].error;
        result = runs[i].error.text[0] ? -1 : 0;
    }
    free(runs);
    return result;
}

int runs_next(const char *segment, int coordinator, char next[SEGMENT_NAME_MAX], struct error *error)
{
    struct run *runs;
    int count, here = -1, result = 1;

    if (list(&runs, &count, error))
        return -1;
    for (int i = 0; i < count; i++)
        if (strcmp(runs[i].segment, segment) == 0)
            here = i;
    for (int k = 1; k <= count && result == 1; k++) {
        const struct run *run = &runs[(here + k) % count];

        if (!run->going || run->error.text[0] || (coordinator && run->pid != coordinator) ||
            strcmp(run->segment, segment) == 0)
            continue;
        memcpy(next, run->segment, SEGMENT_NAME_MAX);
        result = 0;
    }
    free(runs);
    return result;
}

int runs_choices(struct choices *choices, struct error *error)
{
    char text[CHOICE_TEXT_MAX];
    struct run *runs;
    int count, result;

    *choices = (struct choices){0};
    result = list(&runs, &count, error);
    for (int i = 0; i < count && result == 0; i++) {
        if (!runs[i].going || runs[i].error.text[0])
            continue;
        snprintf(text, sizeof(text), "%-28.28s %d stages, %.20s, %.20s", last_part(runs[i].folder), runs[i].stages,
                 runs[i].system, runs[i].arch);
        result = choices_add(choices, runs[i].segment, text, error);
    }
    free(runs);
    if (result)
        choices_free(choices);
    return result;
}
