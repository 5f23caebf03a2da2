#include "monitor/choices.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* In a run's folder. */
static const char in_folder[] = "/recording.tprec";

void choices_free(struct choices *choices)
{
    free(choices->items);
    *choices = (struct choices){0};
}

int choices_add(struct choices *choices, const char *what, const char *text, struct error *error)
{
    struct choice *grown = realloc(choices->items, (size_t)(choices->count + 1) * sizeof(*grown));

    if (!grown)
        return error_set(error, "out of memory");
    choices->items = grown;
    snprintf(grown[choices->count].what, sizeof(grown->what), "%s", what);
    snprintf(grown[choices->count].text, sizeof(grown->text), "%s", text);
    text_clean(grown[choices->count++].text);
    return 0;
}

void choices_select(struct choices *choices, const char *what)
{
    for (int k = 0; k < choices->count; k++)
        if (strcmp(choices->items[k].what, what) == 0)
            choices->selected = k;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct choice *)a)->text, ((const struct choice *)b)->text);
}

/* A folder of runs, of comparisons of runs, of recordings; no further down. */
enum { LEVELS = 2 };

/* Whether an entry of the folder is a recording, or a run's folder with one. */
static bool is_recording(const char *entry)
{
    static const char ending[] = ".tprec";
    const size_t length = strlen(entry), end = sizeof(ending) - 1;

    return length > end && strcmp(entry + length - end, ending) == 0;
}

/* Adds what an entry of a folder is, or has in it. `named` is how much of the path the user has named. */
static int add_entry(struct choices *choices, const char *path, size_t named, int levels, struct error *error);

static int add_folder(struct choices *choices, const char *folder, size_t named, int levels, struct error *error)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    char path[CONFIG_PATH_MAX];
    int result = 0;

    while (directory && result == 0 && (entry = readdir(directory)))
        if (entry->d_name[0] != '.' && snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < (int)sizeof(path))
            result = add_entry(choices, path, named, levels, error);
    if (directory)
        closedir(directory);
    return result;
}

static int add_entry(struct choices *choices, const char *path, size_t named, int levels, struct error *error)
{
    char run[CONFIG_PATH_MAX + sizeof(in_folder)];
    const char *what = is_recording(path) ? path : run;

    snprintf(run, sizeof(run), "%s%s", path, in_folder);
    if (strlen(what) < CONFIG_PATH_MAX && access(what, R_OK) == 0)
        return choices_add(choices, strncmp(what, "./", 2) == 0 ? what + 2 : what, path + named, error);
    return levels > 1 ? add_folder(choices, path, named, levels - 1, error) : 0;
}

int choices_of_recordings(struct choices *choices, const char *folder, struct error *error)
{
    *choices = (struct choices){0};
    const int result = add_folder(choices, folder, strlen(folder) + 1, LEVELS, error);

    if (choices->count > 0)
        qsort(choices->items, (size_t)choices->count, sizeof(choices->items[0]), by_text);
    if (result)
        choices_free(choices);
    return result;
}

/* Cuts the last part of a path off; "." if that was all. */
static void go_up(char path[CONFIG_PATH_MAX])
{
    char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(path, CONFIG_PATH_MAX, ".");
    else
        slash[slash == path] = '\0';
}

void choices_folder(const char *recording, char folder[CONFIG_PATH_MAX])
{
    const size_t length = strlen(recording), end = sizeof(in_folder) - 1;

    snprintf(folder, CONFIG_PATH_MAX, "%s", recording);
    if (length > end && strcmp(recording + length - end, in_folder) == 0)
        go_up(folder);
    go_up(folder);
}
