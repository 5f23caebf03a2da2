#include "base/ini.h"

#include <string.h>

#define BLANKS " \t"

char *ini_next(char **rest)
{
    char *line = *rest, *end = line + strcspn(line, "\r\n");

    if (*line == '\0')
        return NULL;
    *rest = end + (*end == '\r' && end[1] == '\n' ? 2 : *end != '\0');
    *end = '\0';
    return line;
}

char *ini_trim(char *text)
{
    size_t length;

    text += strspn(text, BLANKS);
    length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

static void cut_comment(char *line)
{
    for (char *mark = strpbrk(line, "#;"); mark; mark = strpbrk(mark + 1, "#;")) {
        if (mark == line || strchr(BLANKS, mark[-1])) {
            *mark = '\0';
            return;
        }
    }
}

/* Bytes above 127 are a letter's part in UTF-8, and may stand in names of files. */
static int is_text(const char *line)
{
    for (; *line; line++)
        if (((unsigned char)*line < ' ' && *line != '\t') || *line == 127)
            return 0;
    return 1;
}

static struct ini_line split_section(char *text)
{
    struct ini_line line = {.kind = INI_SECTION, .name = "", .extra = ""};
    char *end = strchr(text, ']');

    if (!end) {
        line.wrong = "a section's name ends with \"]\"";
        return line;
    }
    *end = '\0';
    line.name = ini_trim(text + 1);
    line.extra = ini_trim(end + 1);
    if (*line.extra)
        line.wrong = "nothing may stand behind a [section]; give the key a line of its own";
    return line;
}

struct ini_line ini_split(char *line)
{
    char *text, *sign;

    if (!is_text(line))
        return (struct ini_line){.wrong = "not text", .extra = ""};
    cut_comment(line);
    text = ini_trim(line);
    if (*text == '\0')
        return (struct ini_line){.kind = INI_NOTHING};
    if (*text == '[')
        return split_section(text);
    sign = strpbrk(text, "=:");
    if (!sign || sign == text)
        return (struct ini_line){.wrong = "expected key = value, a [section] or a comment", .extra = ""};
    *sign = '\0';
    return (struct ini_line){.kind = INI_VALUE, .name = ini_trim(text), .value = ini_trim(sign + 1)};
}
