#include "coordinator/documents.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/numbers.h"
#include "base/text.h"
#include "coordinator/examples.h"

enum { TEXT_LINE_MAX = 1024, PARAGRAPH_MAX = 8192 };

static const char mark[] = "\n## ", prompt[] = "$ tpcoord ";

int section_at(struct section *section, const char *document, int n)
{
    const char *found = strstr(document, mark);

    for (; found && n > 0; n--)
        found = strstr(found + 1, mark);
    if (!found)
        return -1;
    const char *heading = found + strlen(mark);
    const size_t heading_length = strcspn(heading, "\n");
    const char *text = heading + heading_length, *next = strstr(text, mark);
    *section = (struct section){heading, text, heading_length, next ? (size_t)(next - text) : strlen(text)};
    return 0;
}

void section_name(const struct section *section, char name[SECTION_NAME_MAX])
{
    snprintf(name, SECTION_NAME_MAX, "%.*s", (int)section->heading_length, section->heading);
    char *others = strstr(name, " (");
    if (others)
        *others = '\0';
}

static bool is_called(const struct section *section, const char *name)
{
    char heading[SECTION_NAME_MAX], *rest = heading, *one;

    snprintf(heading, sizeof(heading), "%.*s", (int)section->heading_length, section->heading);
    while ((one = strsep(&rest, "(,)")) != NULL) {
        one += strspn(one, " ");
        size_t length = strlen(one);
        while (length > 0 && one[length - 1] == ' ')
            one[--length] = '\0';
        if (*one && strcasecmp(one, name) == 0)
            return true;
    }
    return false;
}

int section_find(struct section *section, const char *document, const char *name)
{
    for (int n = 0; section_at(section, document, n) == 0; n++)
        if (is_called(section, name))
            return 0;
    return -1;
}

/* Adds a line of Markdown to a paragraph, without signs of emphasis, code and links. */
static void add_plain(char paragraph[PARAGRAPH_MAX], const char *line)
{
    size_t used = strlen(paragraph);
    bool code = false;

    if (used > 0 && used < PARAGRAPH_MAX - 1)
        paragraph[used++] = ' ';
    for (; *line && used < PARAGRAPH_MAX - 1; line++) {
        const bool link = !code && strncmp(line, "](", 2) == 0;

        code ^= *line == '`';
        if (link)
            line += strcspn(line, ")");
        else if (*line != '`' && (code || (*line != '*' && *line != '[')))
            paragraph[used++] = *line;
        else if (*line == '[' && !strstr(line, "]("))
            paragraph[used++] = *line;
    }
    paragraph[used] = '\0';
}

/* In lines; those behind the first begin below the text of an item. Leaves nothing of it. */
static void flush_paragraph(FILE *out, char paragraph[PARAGRAPH_MAX], int width)
{
    const int hang = strncmp(paragraph, "- ", 2) == 0 ? 2 : 0;
    const char *word = paragraph;
    int column = 0;

    while (*word) {
        const size_t length = strcspn(word, " ");
        const int columns = text_columns(word, length);

        if (column > hang && column + 1 + columns > width) {
            fprintf(out, "\n%*s", hang, "");
            column = hang;
        } else if (column > hang || (hang && column == 1)) {
            fputc(' ', out);
            column++;
        }
        fwrite(word, 1, length, out);
        column += columns;
        word += length + strspn(word + length, " ");
    }
    if (column > 0)
        fputc('\n', out);
    paragraph[0] = '\0';
}

struct printer {
    FILE *out;
    const char *program;
    int width;
    bool fenced;
    char paragraph[PARAGRAPH_MAX];
};

static void print_command(const struct printer *printer, const char *arguments)
{
    fputs("  $ ", printer->out);
    example_print(printer->out, printer->program, arguments);
    fputc('\n', printer->out);
}

static void print_line(struct printer *printer, const char *line)
{
    const bool fence = strncmp(line, "```", 3) == 0, table = line[0] == '|', item = strncmp(line, "- ", 2) == 0;

    if (fence || table || item || printer->fenced || !*line || strncmp(line, "    ", 4) == 0 || line[0] == '#')
        flush_paragraph(printer->out, printer->paragraph, printer->width);
    const bool command = printer->fenced && strncmp(line, prompt, strlen(prompt)) == 0;
    if (fence)
        printer->fenced = !printer->fenced;
    else if (command)
        print_command(printer, line + strlen(prompt));
    else if (printer->fenced)
        fprintf(printer->out, "  %s\n", line);
    else if (table || !*line || strncmp(line, "    ", 4) == 0)
        fprintf(printer->out, "%s\n", line);
    else if (line[0] == '#')
        fprintf(printer->out, "%s\n", line + strspn(line, "# "));
    else
        add_plain(printer->paragraph, line + (item ? 0 : strspn(line, " ")));
}

void section_print(FILE *out, const struct section *section, const char *program, int width)
{
    struct printer printer = {.out = out, .program = program, .width = width};
    const char *at = section->text + strspn(section->text, "\n"), *end = section->text + section->length;

    while (at < end) {
        char line[TEXT_LINE_MAX];
        const size_t length = min_size(strcspn(at, "\n"), (size_t)(end - at));

        snprintf(line, sizeof(line), "%.*s", (int)length, at);
        print_line(&printer, line);
        at += length + 1;
    }
    flush_paragraph(out, printer.paragraph, width);
}
