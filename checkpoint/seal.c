#include "checkpoint/seal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Of one length, so that its place is known from the text's end. */
static const char tail_format[] = ",\n  \"crc32\": \"%08x\"\n}\n";
enum { TAIL_BYTES = 26, TAIL_ROOM = TAIL_BYTES + 1 };

static void format_tail(const char *text, size_t size, char tail[TAIL_ROOM])
{
    snprintf(tail, TAIL_ROOM, tail_format, (unsigned)crc32_z(0, (const unsigned char *)text, size));
}

/* Without the blanks at its end. */
static size_t trimmed(const char *text, size_t size)
{
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\n'))
        size--;
    return size;
}

char *seal_text(const char *text, size_t size, size_t *sealed_size)
{
    char *sealed;

    size = trimmed(text, size);
    if (size == 0 || text[size - 1] != '}')
        return NULL;
    size = trimmed(text, size - 1);
    sealed = malloc(size + TAIL_ROOM);
    if (!sealed)
        return NULL;
    memcpy(sealed, text, size);
    format_tail(sealed, size, sealed + size);
    *sealed_size = size + TAIL_BYTES;
    return sealed;
}

char *seal_json(const json_t *object, size_t *size)
{
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    char *sealed = text ? seal_text(text, strlen(text), size) : NULL;

    free(text);
    return sealed;
}

int seal_check(const char *text, size_t size, struct error *error)
{
    char tail[TAIL_ROOM];

    if (size > TAIL_BYTES) {
        format_tail(text, size - TAIL_BYTES, tail);
        if (memcmp(text + size - TAIL_BYTES, tail, TAIL_BYTES) == 0)
            return 0;
    }
    return error_set(error, "it is damaged: its checksum is not that of what it says");
}
