/* Texts of networks: what is built in, and files. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "network/internal.h"

const char *network_builtin(const char *name)
{
    for (int n = 0; network_builtins[n][0]; n++)
        if (strcmp(network_builtins[n][0], name) == 0)
            return network_builtins[n][1];
    return NULL;
}

const char *network_builtin_name(int n)
{
    return network_builtins[n][0];
}

bool network_reads_tokens(const char *text)
{
    for (const char *line = text; *line != '\0'; line += *line == '\n') {
        char first[8], second[8];

        if (sscanf(line, " %7s %7s", first, second) == 2 && strcmp(first, "input") == 0)
            return strcmp(second, "tokens") == 0;
        line += strcspn(line, "\n");
    }
    return false;
}

int network_load(char text[NETWORK_TEXT_MAX], const char *name, struct error *error)
{
    const char *builtin = network_builtin(name);
    char *bytes;
    size_t size;

    if (builtin) {
        snprintf(text, NETWORK_TEXT_MAX, "%s", builtin);
        return 0;
    }
    if (file_read(name, &bytes, &size, error))
        return -1;
    const bool has_nul = memchr(bytes, '\0', size) != NULL;
    if (size < NETWORK_TEXT_MAX && !has_nul)
        memcpy(text, bytes, size + 1);
    free(bytes);
    if (has_nul)
        return error_set(error, "%s: is no text: it has bytes of 0", name);
    if (size >= NETWORK_TEXT_MAX)
        return error_set(error, "%s: has %zu bytes; a network file has at most %d", name, size, NETWORK_TEXT_MAX - 1);
    return 0;
}
