#include "coordinator/limits.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The two kinds of groups: where they are mounted, and what their files are called. */
static const struct hierarchy {
    const char *controllers; /* in /proc/self/cgroup: "0::/a/b", "4:memory:/a/b" */
    const char *mount, *limit, *usage, *kills;
    const char *cached[2]; /* lines of memory.stat */
} hierarchies[] = {
    {"", "/sys/fs/cgroup", "memory.max", "memory.current", "memory.events", {"inactive_file ", "active_file "}},
    {"memory",
     "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     "memory.oom_control",
     {"total_inactive_file ", "total_active_file "}},
};
enum { HIERARCHIES = sizeof(hierarchies) / sizeof(hierarchies[0]) };

static FILE *open_in(const char *folder, const char *name)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return fopen(path, "re");
}

/* The file's one number; `fallback` if it is none, as in "max". */
static uint64_t read_number(const char *folder, const char *name, uint64_t fallback)
{
    FILE *file = open_in(folder, name);
    uint64_t value = fallback;

    if (file && fscanf(file, "%" SCNu64, &value) != 1)
        value = fallback;
    if (file)
        fclose(file);
    return value;
}

static uint64_t read_cached(const char *folder, const struct hierarchy *hierarchy)
{
    FILE *file = open_in(folder, "memory.stat");
    uint64_t sum = 0, value;
    char line[128];

    while (file && fgets(line, sizeof(line), file))
        for (int i = 0; i < 2; i++)
            if (strncmp(line, hierarchy->cached[i], strlen(hierarchy->cached[i])) == 0 &&
                sscanf(line, "%*s %" SCNu64, &value) == 1)
                sum += value;
    if (file)
        fclose(file);
    return sum;
}

/* Of one group, by its folder. */
static uint64_t left_in(const char *folder, const struct hierarchy *hierarchy)
{
    const uint64_t limit = read_number(folder, hierarchy->limit, UINT64_MAX);
    const uint64_t usage = read_number(folder, hierarchy->usage, 0), cached = read_cached(folder, hierarchy);
    const uint64_t taken = usage > cached ? usage - cached : 0;

    if (limit >= INT64_MAX / 2) /* version 1 says so what "max" means */
        return UINT64_MAX;
    return limit > taken ? limit - taken : 0;
}

/* Of the group and all above it. In a container the path may be that outside, and only the root be there. */
static uint64_t left_along(const char *root, const struct hierarchy *hierarchy, char *path)
{
    char folder[PATH_MAX];
    uint64_t least = UINT64_MAX, left;

    for (;;) {
        snprintf(folder, sizeof(folder), "%s%s%s", root, hierarchy->mount, path);
        left = left_in(folder, hierarchy);
        least = left < least ? left : least;
        if (path[0] == '\0')
            return least;
        *strrchr(path, '/') = '\0';
    }
}

/* Of this process: the kind of its group, and the group's path, which begins with "/" or is empty. */
struct group {
    const struct hierarchy *hierarchy;
    char path[PATH_MAX];
};

/* Fills groups[HIERARCHIES]; returns how many there are. */
static int find_groups(const char *root, struct group *groups)
{
    char line[PATH_MAX];
    FILE *file = open_in(root, "proc/self/cgroup");
    int count = 0;

    while (file && fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!path || path[1] != '/')
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        for (int i = 0; i < HIERARCHIES && count < HIERARCHIES; i++) {
            if (strcmp(controllers + 1, hierarchies[i].controllers) != 0)
                continue;
            groups[count].hierarchy = &hierarchies[i];
            strcpy(groups[count++].path, path);
        }
    }
    if (file)
        fclose(file);
    return count;
}

uint64_t memory_limit_in(const char *root)
{
    struct group groups[HIERARCHIES];
    const int count = find_groups(root, groups);
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < count; i++) {
        const uint64_t left = left_along(root, groups[i].hierarchy, groups[i].path);

        least = left < least ? left : least;
    }
    return least;
}

uint64_t memory_limit(void)
{
    return memory_limit_in("");
}

/* False if there is no such file, or no such line in it. */
static bool read_kills(const char *folder, const char *name, uint64_t *kills)
{
    FILE *file = open_in(folder, name);
    char line[128];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, "oom_kill %" SCNu64, kills) == 1;
    if (file)
        fclose(file);
    return found;
}

/* Of the group, or else of the nearest above it that counts. */
static bool read_kills_along(const char *root, const struct hierarchy *hierarchy, char *path, uint64_t *kills)
{
    char folder[PATH_MAX];

    for (;;) {
        snprintf(folder, sizeof(folder), "%s%s%s", root, hierarchy->mount, path);
        if (read_kills(folder, hierarchy->kills, kills))
            return true;
        if (path[0] == '\0')
            return false;
        *strrchr(path, '/') = '\0';
    }
}

uint64_t memory_kills_in(const char *root)
{
    struct group groups[HIERARCHIES];
    const int count = find_groups(root, groups);
    uint64_t kills = 0;
    bool found = false;

    for (int i = 0; i < count && !found; i++)
        found = read_kills_along(root, groups[i].hierarchy, groups[i].path, &kills);
    if (!found)
        read_kills(root, "proc/vmstat", &kills);
    return kills;
}

uint64_t memory_kills(void)
{
    return memory_kills_in("");
}
