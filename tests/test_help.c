/* What the programs say about themselves: help on each command, option and key, what a shell completes, and what a misspelt
 * word may have meant. All of it must follow from the tables, whatever stands in them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/guess.h"
#include "coordinator/commands.h"
#include "coordinator/complete.h"
#include "coordinator/documents.h"
#include "coordinator/explain.h"
#include "coordinator/help.h"
#include "coordinator/options.h"
#include "network/network.h"
#include "plan/config_keys.h"
#include "schedule/system.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

enum { TEXT_MAX = 1 << 16 };

static char text[TEXT_MAX];

static FILE *begin(void)
{
    FILE *out = fmemopen(text, sizeof(text), "w");

    ck_assert_ptr_nonnull(out);
    return out;
}

static const char *help(const char *topic)
{
    struct error error;
    FILE *out = begin();

    ck_assert_msg(help_print(out, "tpcoord", topic, &error) == 0, "%s", error.text);
    fclose(out);
    return text;
}

/* What may follow a command line of so many words. */
static const char *complete(char *a, char *b, char *c, char *d)
{
    char *words[] = {a, b, c, d, NULL};
    FILE *out = begin();

    text[0] = '\0';
    complete_print(out, words);
    fclose(out);
    return text;
}

static bool has_line(const char *lines, const char *wanted)
{
    const size_t length = strlen(wanted);

    for (const char *line = lines; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
        if (strncmp(line, wanted, length) == 0 && (line[length] == '\n' || line[length] == '\0'))
            return true;
    return false;
}

static int count_lines(const char *lines)
{
    int count = 0;

    for (; *lines; lines++)
        count += *lines == '\n';
    return count;
}

START_TEST(a_command_s_help_has_its_options_and_no_others)
{
    const struct command_line *line = options_line();

    ck_assert_int_gt(line->row_count, 10);
    for (int v = 0; v < VERBS; v++) {
        help(commands[v].name);
        ck_assert_msg(strstr(text, commands[v].usage) != NULL, "%s", text);
        ck_assert_ptr_nonnull(strstr(text, commands[v].about));
        for (int r = 0; r < line->row_count; r++) {
            char start[64];

            snprintf(start, sizeof(start), "\n  --%s ", line->rows[r].name);
            ck_assert_msg((strstr(text, start) != NULL) == ((line->rows[r].verbs & 1 << v) != 0), "help %s, --%s:\n%s",
                          commands[v].name, line->rows[r].name, text);
        }
    }
}
END_TEST

/* A config is not opened before the command line is read. */
START_TEST(a_command_s_examples_are_command_lines)
{
    int examples = 0;

    for (int v = 0; v < VERBS; v++) {
        for (int k = 0; k < 3 && commands[v].examples[k]; k++) {
            char program[] = "tpcoord", config[] = "x.ini", copy[256], *rest = copy, *words[16] = {program};
            struct options options;
            struct error error;
            int count = 1;

            snprintf(copy, sizeof(copy), "%s", commands[v].examples[k]);
            while ((words[count] = strsep(&rest, " ")) != NULL) {
                if (strcmp(words[count], "CONFIG") == 0)
                    words[count] = config;
                count++;
            }
            ck_assert_msg(options_read(&options, count, words, &error) == 0, "%s: %s", commands[v].examples[k],
                          error.text);
            ck_assert_int_eq(options.verb, v);
            options_release(&options);
            examples++;
        }
    }
    ck_assert_int_gt(examples, 10);
}
END_TEST

START_TEST(every_key_and_section_has_help)
{
    for (int k = 0; k < config_key_count; k++) {
        char section[64];

        help(config_keys[k].name);
        ck_assert_ptr_nonnull(strstr(text, config_keys[k].help));
        snprintf(section, sizeof(section), "%.*s", (int)strcspn(config_keys[k].name, "."), config_keys[k].name);
        help(section);
        /* [run] is a command, too. */
        ck_assert_msg(command_find(section) || strstr(text, config_keys[k].help), "%s:\n%s", config_keys[k].name, text);
        help(strchr(config_keys[k].name, '.') + 1);
    }
}
END_TEST

START_TEST(every_option_is_completed_where_it_goes)
{
    const struct command_line *line = options_line();
    char dashes[] = "--", before[] = "x", command[64];

    for (int v = 0; v < VERBS; v++) {
        int wanted = 0;

        snprintf(command, sizeof(command), "%s", commands[v].name);
        complete(command, before, dashes, NULL);
        for (int r = 0; r < line->row_count; r++) {
            char name[64];

            snprintf(name, sizeof(name), "--%s", line->rows[r].name);
            wanted += (line->rows[r].verbs & 1 << v) != 0;
            ck_assert_msg(has_line(text, name) == ((line->rows[r].verbs & 1 << v) != 0), "complete %s, %s:\n%s",
                          commands[v].name, name, text);
        }
        ck_assert_int_eq(count_lines(text), wanted);
    }
}
END_TEST

START_TEST(every_key_and_choice_is_completed)
{
    char set[] = "--set", plan[] = "plan", config[] = "x.ini", word[256], wanted[256], none[] = "";

    ck_assert_int_eq(count_lines(complete(plan, config, set, none)), config_key_count);
    for (int k = 0; k < config_key_count; k++) {
        const struct config_key *key = &config_keys[k];

        snprintf(wanted, sizeof(wanted), "%s=", key->name);
        ck_assert_msg(has_line(complete(plan, config, set, none), wanted), "%s is not completed", wanted);
        snprintf(word, sizeof(word), "%s=", key->name);
        complete(plan, config, set, word);
        for (int i = 0; (key->choice || key->choices) && config_key_choice(key, i); i++) {
            snprintf(wanted, sizeof(wanted), "%s=%s", key->name, config_key_choice(key, i));
            ck_assert_msg(has_line(text, wanted), "%s is not completed", wanted);
        }
    }
}
END_TEST

START_TEST(commands_systems_and_networks_are_completed)
{
    char none[] = "", compare[] = "compare", network[] = "network", config[] = "x.ini", option[] = "--systems",
         list[] = "gpipe,", file[] = "--json", wanted[128];

    complete(none, NULL, NULL, NULL);
    for (int v = 0; v < VERBS; v++)
        ck_assert(has_line(text, commands[v].name));
    complete(compare, config, option, list);
    for (int k = 0; k < system_count; k++) {
        snprintf(wanted, sizeof(wanted), "gpipe,%s", systems[k].name);
        ck_assert(has_line(text, wanted));
    }
    complete(network, none, NULL, NULL);
    for (int k = 0; network_builtin_name(k); k++)
        ck_assert(has_line(text, network_builtin_name(k)));
    /* A file: the shell's. */
    ck_assert_str_eq(complete(compare, config, file, none), "");
    ck_assert_str_eq(complete(compare, none, NULL, NULL), "");
}
END_TEST

/* What is left of a text without blanks and Markdown's signs. */
static void squeeze(char *squeezed, const char *from, size_t length)
{
    for (; length > 0 && *from; from++, length--)
        if (!strchr(" \n`*", *from))
            *squeezed++ = *from;
    *squeezed = '\0';
}

/* No word of an entry is lost, none is added, and no line is too long for a terminal. */
START_TEST(every_word_is_explained_as_the_glossary_has_it)
{
    static char expected[TEXT_MAX], actual[TEXT_MAX];
    struct section section;
    int words = 0;

    for (; section_at(&section, documents[0][1], words) == 0; words++) {
        char name[SECTION_NAME_MAX];
        struct error error;
        FILE *out = begin();

        section_name(&section, name);
        ck_assert(explain_knows(name));
        ck_assert_msg(explain_print(out, "tpcoord", name, &error) == 0, "%s", error.text);
        fclose(out);
        for (const char *line = text; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
            ck_assert_msg(strncmp(line, "  ", 2) == 0 || strcspn(line, "\n") <= 82, "%s: too long:\n%s", name, line);
        if (memchr(section.text, '[', section.length))
            continue;
        squeeze(expected, section.heading, section.heading_length + section.length);
        squeeze(actual, text, sizeof(text));
        ck_assert_str_eq(actual, expected);
    }
    ck_assert_int_ge(words, 30);
    ck_assert_str_eq(documents[0][0], "glossary");
}
END_TEST

/* With the idea first, a grid in columns, the formulas and what it holds. */
START_TEST(every_system_is_explained)
{
    struct error error;
    FILE *out = begin();

    ck_assert_msg(explain_print(out, "a/tpcoord", systems[_i].name, &error) == 0, "%s", error.text);
    fclose(out);
    ck_assert(strncmp(text, systems[_i].name, strlen(systems[_i].name)) == 0);
    ck_assert_ptr_null(strstr(text, "**"));
    ck_assert_ptr_null(strstr(text, "]("));
    ck_assert_ptr_nonnull(strstr(text, "\nIdea."));
    ck_assert_ptr_nonnull(strstr(text, "stage 1: 1A "));
    ck_assert_ptr_nonnull(strstr(text, "\nWith W = 4, N = "));
    const char *formulas = strstr(text, "\nFormulas");
    ck_assert_ptr_nonnull(formulas);
    for (int line = 0; line < 4; line++) {
        formulas = strchr(formulas + 1, '\n');
        ck_assert_msg(strcspn(formulas + 1, "\n") > 33, "a formula is missing: %s", text);
    }
    ck_assert_int_eq(explain_print(stdout, "tpcoord", "sstash", &error), -1);
    ck_assert_str_eq(error.text,
                     "\"sstash\" is no system and no word of the glossary; did you mean stash? tpcoord explain "
                     "lists them");
}
END_TEST

static void expect_no_file_of_the_tree(const char *topic)
{
    static const char *const files[] = {"configs/", "docs/", "networks/", ".md"};

    for (int k = 0; k < COUNT(files); k++)
        ck_assert_msg(!strstr(text, files[k]), "%s names a file that is not there, %s:\n%s", topic, files[k], text);
}

/* Where neither the tree nor an installed config is in sight, examples have a word for the user's own. */
START_TEST(nothing_names_a_file_that_the_user_may_not_have)
{
    char room[SECTION_NAME_MAX];
    const char *name;

    ck_assert_int_eq(chdir("/"), 0);
    help(NULL);
    expect_no_file_of_the_tree("help");
    for (int v = 0; v < VERBS; v++) {
        help(commands[v].name);
        expect_no_file_of_the_tree(commands[v].name);
    }
    ck_assert_ptr_nonnull(strstr(help("plan"), "\n  tpcoord plan CONFIG\n"));
    for (int k = 0; k < config_key_count; k++) {
        help(config_keys[k].name);
        expect_no_file_of_the_tree(config_keys[k].name);
    }
    for (int n = 0; (name = explain_name(n, room)) != NULL; n++) {
        struct error error;
        FILE *out = begin();

        ck_assert_msg(explain_print(out, "tpcoord", name, &error) == 0, "%s", error.text);
        fclose(out);
        expect_no_file_of_the_tree(name);
    }
}
END_TEST

/* In the tree's top folder they are configs of the tree, and can be pasted. */
START_TEST(examples_name_a_config_that_is_there)
{
    struct error error;
    FILE *out = begin();

    ck_assert_int_eq(explain_print(out, "a b/tpcoord", "grid", &error), 0);
    fclose(out);
    ck_assert_msg(strstr(text, "\n  $ 'a b/tpcoord' plan configs/resnet.ini --grid "), "%s", text);
    ck_assert_ptr_nonnull(strstr(help("plan"), "\n  tpcoord plan configs/resnet.ini\n"));
}
END_TEST

/* The optimal string alignment distance by its definition, which takes exponential time. */
static int edits(const char *a, int m, const char *b, int n)
{
    if (m == 0 || n == 0)
        return m + n;
    int best = edits(a, m - 1, b, n - 1) + (tolower(a[m - 1]) != tolower(b[n - 1]));
    const int shorter = edits(a, m - 1, b, n) + 1, longer = edits(a, m, b, n - 1) + 1;

    best = shorter < best ? shorter : best;
    best = longer < best ? longer : best;
    if (m > 1 && n > 1 && tolower(a[m - 1]) == tolower(b[n - 2]) && tolower(a[m - 2]) == tolower(b[n - 1])) {
        const int swapped = edits(a, m - 2, b, n - 2) + 1;

        best = swapped < best ? swapped : best;
    }
    return best;
}

static void make_word(char *word, int length)
{
    for (int i = 0; i < length; i++)
        word[i] = (char)((rand() % 2 ? 'a' : 'A') + rand() % 3);
    word[length] = '\0';
}

START_TEST(a_guess_is_the_nearest)
{
    srand(1);
    for (int k = 0; k < 3000; k++) {
        char word[8], candidate[8];
        struct guess guess;

        make_word(word, 1 + rand() % 6);
        make_word(candidate, 1 + rand() % 6);
        const int m = (int)strlen(word), n = (int)strlen(candidate), wanted = edits(word, m, candidate, n);
        const bool near = (wanted <= (m / 3 > 1 ? m / 3 : 1) && wanted < m) ||
                          (m >= 3 && strncasecmp(word, candidate, (size_t)m) == 0);
        guess_begin(&guess, word);
        guess_consider(&guess, candidate);
        ck_assert_msg((guess.nearest != NULL) == near, "%s, %s: %d edits", word, candidate, wanted);
        if (near)
            ck_assert_int_eq(guess.edits, wanted);
    }
}
END_TEST

static const char *guess_system(const char *word, struct guess *guess)
{
    guess_begin(guess, word);
    for (int k = 0; k < system_count; k++)
        guess_consider(guess, systems[k].name);
    return guess->nearest;
}

START_TEST(one_wrong_letter_is_always_understood)
{
    for (int k = 0; k < system_count; k++) {
        const int length = (int)strlen(systems[k].name);

        for (int at = 0; at < length; at++) {
            char wrong[64];
            struct guess guess;

            snprintf(wrong, sizeof(wrong), "%s", systems[k].name);
            wrong[at] = '?';
            /* zb-h? is either. */
            ck_assert_ptr_nonnull(guess_system(wrong, &guess));
            ck_assert_int_eq(guess.edits, 1);
            snprintf(wrong, sizeof(wrong), "%.*s%s", at, systems[k].name, systems[k].name + at + 1);
            ck_assert_ptr_nonnull(guess_system(wrong, &guess));
            ck_assert_int_le(guess.edits, 1);
        }
    }
}
END_TEST

START_TEST(a_word_that_is_like_nothing_is_not_guessed)
{
    static const char *const words[] = {
        "",          "x",       "q?",
        "unrelated", "tpcoord", "a-word-that-is-longer-than-sixty-four-letters-and-so-is-no-name-at-all"};
    char meant[GUESS_TEXT_MAX];
    struct guess guess;

    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        ck_assert_ptr_null(guess_system(words[k], &guess));
        ck_assert_str_eq(guess_text(&guess, "; ", ".", meant), "");
    }
    guess_system("TiMePReSt", &guess);
    ck_assert_str_eq(guess_text(&guess, "; ", ".", meant), "; did you mean timeprest?.");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("help");
    TCase *tcase = tcase_create("help");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_command_s_help_has_its_options_and_no_others);
    tcase_add_test(tcase, a_command_s_examples_are_command_lines);
    tcase_add_test(tcase, every_key_and_section_has_help);
    tcase_add_test(tcase, every_option_is_completed_where_it_goes);
    tcase_add_test(tcase, every_key_and_choice_is_completed);
    tcase_add_test(tcase, commands_systems_and_networks_are_completed);
    tcase_add_test(tcase, every_word_is_explained_as_the_glossary_has_it);
    tcase_add_loop_test(tcase, every_system_is_explained, 0, system_count);
    tcase_add_test(tcase, nothing_names_a_file_that_the_user_may_not_have);
    tcase_add_test(tcase, examples_name_a_config_that_is_there);
    tcase_add_test(tcase, a_guess_is_the_nearest);
    tcase_add_test(tcase, one_wrong_letter_is_always_understood);
    tcase_add_test(tcase, a_word_that_is_like_nothing_is_not_guessed);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
