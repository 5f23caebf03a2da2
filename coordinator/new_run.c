#include "coordinator/new_run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* What follows a config file's name: "-20250131-235959", and "-2" and so on if that is taken. */
enum { SUFFIX_MAX = 24 };

/* mkdir -p */
static int make_folders(const char *path)
{
    char part[CONFIG_PATH_MAX];
    struct stat status;

    for (size_t end = 1; end <= strlen(path); end++) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        snprintf(part, sizeof(part), "%.*s", (int)end, path);
        if (mkdir(part, 0777) && errno != EEXIST)
            return -1;
    }
    if (stat(path, &status))
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(status.st_mode) ? 0 : -1;
}

static int join(char path[CONFIG_PATH_MAX], const char *parent, const char *name, struct config_mistakes *mistakes)
{
    if (snprintf(path, CONFIG_PATH_MAX, "%s/%s", parent, name) < CONFIG_PATH_MAX)
        return 0;
    config_mistake(mistakes, "run.output", "the run folder's path would be longer than %d characters", CONFIG_PATH_MAX);
    return -1;
}

static int create_named(struct run_folder *folder, const struct config *config, struct config_mistakes *mistakes)
{
    char path[CONFIG_PATH_MAX];
    struct error error;
    bool taken;

    if (join(path, config->run.output, config->run.name, mistakes))
        return -1;
    if (run_folder_make(folder, path, mistakes->path, &taken, &error) == 0)
        return 0;
    config_mistake(mistakes, taken ? "run.name" : "run.output", "%s", error.text);
    return -1;
}

/* The config file's name, without what stands behind its last dot. */
static int stem_length(const char *file)
{
    const char *dot = strrchr(file, '.');
    const size_t length = dot && dot != file ? (size_t)(dot - file) : strlen(file);

    return (int)(length > NAME_MAX - SUFFIX_MAX ? NAME_MAX - SUFFIX_MAX : length);
}

static int create_unnamed(struct run_folder *folder, const struct config *config, struct config_mistakes *mistakes)
{
    const char *slash = strrchr(mistakes->path, '/'), *file = slash ? slash + 1 : mistakes->path;
    char date[32], suffix[16] = "", name[NAME_MAX + 1], path[CONFIG_PATH_MAX];
    time_t now = time(NULL);
    struct error error;
    bool taken = true;
    struct tm local;

    strftime(date, sizeof(date), "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    for (int n = 2; n < 1000 && taken; n++) {
        snprintf(name, sizeof(name), "%.*s-%.16s%s", stem_length(file), file, date, suffix);
        if (join(path, config->run.output, name, mistakes))
            return -1;
        if (run_folder_make(folder, path, mistakes->path, &taken, &error) == 0)
            return 0;
        snprintf(suffix, sizeof(suffix), "-%d", n);
    }
    config_mistake(mistakes, "run.output", "%s", error.text);
    return -1;
}

int new_run_create(struct run_folder *folder, const struct config *config, struct config_mistakes *mistakes)
{
    if (make_folders(config->run.output)) {
        config_mistake(mistakes, "run.output", "%s cannot be made: %s", config->run.output, strerror(errno));
        return -1;
    }
    return config->run.name[0] ? create_named(folder, config, mistakes) : create_unnamed(folder, config, mistakes);
}
