#include "coordinator/examples.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/program.h"
#include "base/shell.h"

static const char any[] = "CONFIG", folder[] = "configs/";

const char *example_config(char path[PATH_MAX], const char *name)
{
    /* As seen from the program's folder. */
    static const char *const places[] = {"../configs", "../share/tp/configs"};
    char beside[2 * PATH_MAX], here[PATH_MAX];
    struct error unused;

    snprintf(path, PATH_MAX, "%s%s", folder, name);
    if (access(path, R_OK) == 0)
        return path;
    for (size_t k = 0; k < sizeof(places) / sizeof(places[0]) && program_find(here, "", &unused) == 0; k++) {
        snprintf(beside, sizeof(beside), "%s%s/%s", here, places[k], name);
        if (realpath(beside, path) && access(path, R_OK) == 0)
            return path;
    }
    return any;
}

static void print_word(FILE *out, const char *word, size_t length)
{
    const size_t prefix = strlen(folder);
    const bool named = length > prefix && strncmp(word, folder, prefix) == 0;
    char path[PATH_MAX], name[NAME_MAX + 1];

    if (!named && (length != strlen(any) || strncmp(word, any, length) != 0)) {
        fwrite(word, 1, length, out);
        return;
    }
    snprintf(name, sizeof(name), "%.*s", named ? (int)(length - prefix) : NAME_MAX,
             named ? word + prefix : "resnet.ini");
    shell_word(out, example_config(path, name));
}

void example_print(FILE *out, const char *program, const char *arguments)
{
    shell_word(out, program);
    for (const char *word = arguments; *word;) {
        const size_t length = strcspn(word, " ");

        fputc(' ', out);
        print_word(out, word, length);
        word += length + (word[length] == ' ');
    }
}
