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

/* Whether an entry of the folder is a recording, or a run's folder with one. */
static bool is_recording(const char *folder, const char *name, char path[CONFIG_PATH_MAX])
{
    static const char ending[] = ".tprec";
    const size_t length = strlen(name), end = sizeof(ending) - 1;
    const bool file = length > end && strcmp(name + length - end, ending) == 0;
    const bool here = strcmp(folder, ".") == 0;
    const int size =
        snprintf(path, CONFIG_PATH_MAX, "%s%s%s%s", here ? "" : folder, here ? "" : "/", name, file ? "" : in_folder);

    return name[0] != '.' && size < CONFIG_PATH_MAX && access(path, R_OK) == 0;
}

int choices_of_recordings(struct choices *choices, const char *folder, struct error *error)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    char path[CONFIG_PATH_MAX];
    int result = 0;

    *choices = (struct choices){0};
    while (directory && result == 0 && (entry = readdir(directory)))
        if (is_recording(folder, entry->d_name, path))
            result = choices_add(choices, path, entry->d_name, error);
    if (directory)
        closedir(directory);
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
