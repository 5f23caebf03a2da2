#include "coordinator/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

static int join(char folder[CONFIG_PATH_MAX], const char *parent, const char *name, struct config_mistakes *mistakes)
{
    if (snprintf(folder, CONFIG_PATH_MAX, "%s/%s", parent, name) < CONFIG_PATH_MAX)
        return 0;
    config_mistake(mistakes, "run.output", "the run folder's path would be longer than %d characters", CONFIG_PATH_MAX);
    return -1;
}

static int create_named(char folder[CONFIG_PATH_MAX], const struct config *config, struct config_mistakes *mistakes)
{
    char report[CONFIG_PATH_MAX + 16];

    if (join(folder, config->run.output, config->run.name, mistakes))
        return -1;
    snprintf(report, sizeof(report), "%s/report.json", folder);
    if (access(report, F_OK) == 0) {
        config_mistake(mistakes, "run.name", "%s holds the report of an earlier run; remove it or choose another name",
                       folder);
        return -1;
    }
    if (mkdir(folder, 0777) == 0 || (errno == EEXIST && access(folder, W_OK | X_OK) == 0))
        return 0;
    config_mistake(mistakes, "run.output", "%s cannot be made: %s", folder, strerror(errno));
    return -1;
}

/* "resnet-20250131-235959", with "-2" and so on behind it if that is taken. */
static int create_unnamed(char folder[CONFIG_PATH_MAX], const struct config *config, struct config_mistakes *mistakes)
{
    const char *slash = strrchr(mistakes->path, '/'), *file = slash ? slash + 1 : mistakes->path;
    char date[32], suffix[16] = "", name[CONFIG_NAME_MAX];
    time_t now = time(NULL);
    struct tm local;

    strftime(date, sizeof(date), "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    for (int n = 2; n < 1000; n++) {
        snprintf(name, sizeof(name), "%.*s-%s%s", (int)(strcspn(file, ".") > 32 ? 32 : strcspn(file, ".")), file, date,
                 suffix);
        if (join(folder, config->run.output, name, mistakes))
            return -1;
        if (mkdir(folder, 0777) == 0)
            return 0;
        if (errno != EEXIST)
            break;
        snprintf(suffix, sizeof(suffix), "-%d", n);
    }
    config_mistake(mistakes, "run.output", "%s cannot be made: %s", folder, strerror(errno));
    return -1;
}

int run_folder_create(char folder[CONFIG_PATH_MAX], const struct config *config, struct config_mistakes *mistakes)
{
    if (make_folders(config->run.output)) {
        config_mistake(mistakes, "run.output", "%s cannot be made: %s", config->run.output, strerror(errno));
        return -1;
    }
    return config->run.name[0] ? create_named(folder, config, mistakes) : create_unnamed(folder, config, mistakes);
}

int run_folder_lock(const char *folder, struct error *error)
{
    /* Stages inherit it: they may still write a checkpoint when the coordinator has been killed. */
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY);

    if (descriptor < 0)
        return error_set(error, "%s cannot be opened: %s", folder, strerror(errno));
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return descriptor; /* where folders cannot be locked, none is */
    close(descriptor);
    return error_set(error, "%s is in use by a run that has not ended yet", folder);
}

void run_folder_discard(const char *folder)
{
    rmdir(folder);
}
