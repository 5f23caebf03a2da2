/* Each program's manual names every command and option that its own help lists. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

enum { TEXT_MAX = 1 << 16, WORD_MAX = 64 };

static void read_text(char text[TEXT_MAX], FILE *file)
{
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
}

static void read_help(const char *program, char text[TEXT_MAX])
{
    const char *build = getenv("TP_BUILD");
    char command[512];

    snprintf(command, sizeof(command), "%s/%s --help", build ? build : "build", program);
    FILE *pipe = popen(command, "r");
    read_text(text, pipe);
    ck_assert_int_eq(pclose(pipe), 0);
}

/* In mdoc, --json is the item "Fl -json" and run the item "Cm run". */
static void check_item(const char *manual, const char *macro, const char *word, int length)
{
    char item[WORD_MAX];

    snprintf(item, sizeof(item), ".It %s %.*s", macro, length, word);
    const char *found = strstr(manual, item);
    while (found && !isspace((unsigned char)found[strlen(item)]))
        found = strstr(found + 1, item);
    ck_assert_msg(found != NULL, "the manual has no \"%s\"", item);
}

static const struct {
    const char *program, *manual;
    int options, commands; /* at least */
} programs[] = {{"tpcoord", "docs/man/tpcoord.1", 10, 3}, {"tpmon", "docs/man/tpmon.1", 8, 0}};

START_TEST(the_manual_names_what_the_help_lists)
{
    static char help[TEXT_MAX], manual[TEXT_MAX];
    int options = 0, commands = 0;

    read_help(programs[_i].program, help);
    FILE *file = fopen(programs[_i].manual, "r");
    read_text(manual, file);
    fclose(file);
    for (const char *line = help; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
        if (strncmp(line, "  --", 4) == 0) {
            check_item(manual, "Fl", line + 3, (int)strcspn(line + 3, " "));
            options++;
        } else if (strncmp(line, "       tpcoord ", 15) == 0) {
            check_item(manual, "Cm", line + 15, (int)strcspn(line + 15, " "));
            commands++;
        }
    }
    ck_assert_int_ge(options, programs[_i].options);
    ck_assert_int_ge(commands, programs[_i].commands);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manual");
    TCase *tcase = tcase_create("manual");

    tcase_add_loop_test(tcase, the_manual_names_what_the_help_lists, 0, COUNT(programs));
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
