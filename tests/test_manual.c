/* The manual names every command and option that the program's own help lists. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 16, WORD_MAX = 64 };

static void read_text(char text[TEXT_MAX], FILE *file)
{
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
}

static void read_help(char text[TEXT_MAX])
{
    const char *build = getenv("TP_BUILD");
    char command[512];

    snprintf(command, sizeof(command), "%s/tpcoord --help", build ? build : "build");
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

START_TEST(the_manual_names_what_the_help_lists)
{
    static char help[TEXT_MAX], manual[TEXT_MAX];
    int options = 0, commands = 0;

    read_help(help);
    FILE *file = fopen("docs/man/tpcoord.1", "r");
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
    ck_assert_int_ge(options, 10);
    ck_assert_int_ge(commands, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manual");
    TCase *tcase = tcase_create("manual");

    tcase_add_test(tcase, the_manual_names_what_the_help_lists);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
