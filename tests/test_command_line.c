/* The command line's own words, and what is printed for a shell or into one: options in each of their forms, readers that
 * go away, hints that can be pasted. */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/shell.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static const char *const mistakes[][2] = {
    {"@ --resume=/nonexistent", "tpcoord: --resume: /nonexistent: No such file or directory\n"},
    {"@ --resume=@", "tpcoord: --resume: @: No such file or directory\n"},
    {"@ --resume=/dev/null", "tpcoord: --resume: /dev/null is no folder; give a run's, or a checkpoint's\n"},
    {"@ --resume=", "tpcoord: --resume= names nothing; name it behind \"=\", or leave that out\n"},
    {"@ --resume ~", "tpcoord: a folder to resume from goes into the same word: --resume=DIR; else, what is ..."},
    {"--resume ~ @", "tpcoord: a folder to resume from goes into the same word: --resume=DIR; else, what is ..."},
    {"@ --set a.b = 3", "tpcoord: --set: \"a.b\" is no SECTION.KEY=VALUE; it is one word: blanks in it need quotes\n"},
    {"@ --set a.b= 3", "tpcoord: --set: \"a.b=\" is no SECTION.KEY=VALUE; ..."},
    {"@ --set a.b =3", "tpcoord: --set: \"a.b\" is no SECTION.KEY=VALUE; ..."},
    {"@ --quiet=3", "tpcoord: --quiet takes no value\n"},
    {"@ -x", "tpcoord: unknown option -x; ..."},
    {"@ --s a.b=3", "tpcoord: unknown option --s; ..."},
    {"tpmon --once=1", "tpmon: --once takes no value\n"},
    {"plan @ --gird", "tpcoord: unknown option --gird; did you mean --grid? ..."},
    {"tpmon --repaly x", "tpmon: unknown option --repaly; did you mean --replay? ..."},
    {"pln @", "tpcoord: \"pln\" is neither a command nor a file; did you mean plan? ..."},
    {"sistems", "tpcoord: \"sistems\" is neither a command nor a file; did you mean systems? ..."},
    {"qqqqqq", "tpcoord: \"qqqqqq\" is neither a command nor a file; ..."},
    {"compare @ --systems gpip", "tpcoord: --systems: \"gpip\" is none of the choices; did you mean gpipe? ..."},
    {"network vgg61", "tpcoord: \"vgg61\" is none of the choices; did you mean vgg16? ..."},
    {"plan", "tpcoord: which config? usage: tpcoord plan CONFIG; for example ..."},
    {"demo", "tpcoord: the demo draws on a terminal, and standard ..."},
    {"demo x", "tpcoord: what is \"x\"? usage: tpcoord demo\n"},
    {"help plna", "tpcoord: there is no help on \"plna\"; did you mean plan? ..."},
    {"help pipeline.sistem", "tpcoord: there is no help on \"pipeline.sistem\"; did you mean pipeline.system? ..."},
    {"help plan run", "tpcoord: what is \"run\"? usage: tpcoord help [TOPIC]\n"},
};

/* One line on stderr that is `expected`, or begins so if it ends with "..."; nothing on stdout; exit status 2. */
START_TEST(what_is_mistaken_is_named_with_what_would_be_right)
{
    const char *expected = mistakes[_i][1];
    const size_t length = strcspn(expected, "\n") - (strchr(expected, '\n') ? 0 : strlen("..."));
    const int status = program_run(&program, mistakes[_i][0]);
    const char *err = program_text(&program, "err"), *newline = strchr(err, '\n');

    ck_assert_msg(strncmp(err, expected, length) == 0 && (expected[length] == '.' || err[length] == '\n'),
                  "\"%s\" says %s", mistakes[_i][0], err);
    ck_assert_msg(newline && newline[1] == '\0', "\"%s\" says not one line:\n%s", mistakes[_i][0], err);
    ck_assert_int_eq(status, 2);
    ck_assert_str_eq(program_text(&program, "out"), "");
}
END_TEST

static const char *const same[][2] = {
    {"--help", "-h"},
    {"--help", "help"},
    {"plan --help", "help plan"},
    {"help --grid", "help grid"},
    {"--help", "-hV"},
    {"plan --help", "plan --help @"},
    {"plan --help", "plan @ --grid -h"},
    {"--help", "@ --help"},
    {"--version", "-V"},
    {"tpmon --help", "tpmon -h"},
    {"tpmon --version", "tpmon -V"},
};

START_TEST(help_and_version_have_their_usual_names)
{
    ck_assert_int_eq(program_run(&program, same[_i][0]), 0);
    const char *one = program_text(&program, "out");
    ck_assert_uint_gt(strlen(one), 5);
    ck_assert_int_eq(program_run(&program, same[_i][1]), 0);
    ck_assert_str_eq(program_text(&program, "out"), one);
    ck_assert_str_eq(program_text(&program, "err"), "");
}
END_TEST

static int run_shell(const char *command)
{
    int status = system(command);

    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Starts tpcoord with its output in a pipe that nobody reads. Returns what waitpid says. */
static int run_unread(const char *const words[], bool sigpipe_ignored)
{
    char err[128];
    int pipe_ends[2], status;

    ck_assert_int_eq(pipe(pipe_ends), 0);
    close(pipe_ends[0]);
    snprintf(err, sizeof(err), "%s/err", program.folder);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, sigpipe_ignored ? SIG_IGN : SIG_DFL);
        dup2(pipe_ends[1], STDOUT_FILENO);
        dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
        execl(program.path, program.path, words[0], words[1], words[2], (char *)NULL); /* to the first NULL */
        _exit(127);
    }
    close(pipe_ends[1]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

/* Whether whoever started tpcoord ignores SIGPIPE or not. A run goes on to its end. */
START_TEST(a_reader_that_goes_away_is_no_failure)
{
    const char *const commands[][3] = {{"plan", program.config},
                                       {"systems"},
                                       {"--help-keys"},
                                       {"plan", program.config, "--grid"},
                                       {"run", program.config}};

    for (int ignored = 0; ignored < 2; ignored++) {
        int status = run_unread(commands[_i], ignored);

        ck_assert_str_eq(program_text(&program, "err"), "");
        if (strcmp(commands[_i][0], "run") == 0)
            ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the run did not end well: %x", status);
    }
}
END_TEST

static const char *const words[] = {"plain/x-1_2.ini", "two words", "it's", "'",    "''",    "",    "a\"b",
                                    "$HOME",           "`id`",      "~",    "a\\b", "*",     "a;b", "a\nb",
                                    "\xc3\xa4",        "#x",        "a&&b", "!x",   "x'y z'"};

START_TEST(a_shell_reads_a_word_back)
{
    char command[256] = "", read[256];
    FILE *out = fmemopen(command, sizeof(command), "w");

    fputs("printf %s ", out);
    shell_word(out, words[_i]);
    fclose(out);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    read[fread(read, 1, sizeof(read) - 1, pipe)] = '\0';
    ck_assert_int_eq(pclose(pipe), 0);
    ck_assert_str_eq(read, words[_i]);
}
END_TEST

/* Of a program, a config and an output folder with blanks and quotes. */
START_TEST(the_hint_to_continue_can_be_pasted)
{
    char command[PATH_MAX + 512], hint[1024], expected[1024], config[sizeof(program.config)], folder[PATH_MAX];
    const uint64_t deadline = clock_now_ns() + 30 * 1000000000ull;
    struct segment segment;

    snprintf(config, sizeof(config), "%s/it's mine.ini", program.folder);
    snprintf(command, sizeof(command), "sed \"s:/runs:/it's runs:\" %s >\"%s\"", program.config, config);
    ck_assert_int_eq(run_shell(command), 0);
    strcpy(program.config, config);
    /* Where the user's shell finds no tpcoord by its name. */
    ck_assert_ptr_nonnull(realpath(program.path, folder));
    *strrchr(folder, '/') = '\0';
    snprintf(program.path, sizeof(program.path), "%s/it's programs/tpcoord", program.folder);
    snprintf(command, sizeof(command), "ln -s %s \"%s/it's programs\"", folder, program.folder);
    ck_assert_int_eq(run_shell(command), 0);
    pid_t child = program_start(&program, "@ --quiet --epochs 1000 --set data.limit=20000 --set run.name=here");
    while (!program_segment(child, "/here", &segment))
        ck_assert_msg(clock_now_ns() < deadline, "the run does not begin: %s", program_text(&program, "err"));
    while (atomic_load(&segment_stage(&segment, 3)->counters.ops) < 10)
        ck_assert_msg(clock_now_ns() < deadline, "the run does not train: %s", program_text(&program, "err"));
    kill(child, SIGINT);
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);

    const char *line = strstr(program_text(&program, "out"), "continue with: ");
    ck_assert_ptr_nonnull(line);
    line += strlen("continue with: ");
    snprintf(hint, sizeof(hint), "%.*s", (int)strcspn(line, "\n"), line);
    snprintf(command, sizeof(command), "printf '%%s\\n' %s >%s/words", hint, program.folder);
    ck_assert_int_eq(run_shell(command), 0);
    snprintf(
        expected, sizeof(expected),
        "%s\n%s\n--set\nrun.epochs=1000\n--set\ndata.limit=20000\n--set\nrun.name=here\n--resume=%s/it's runs/here\n",
        program.path, config, program.folder);
    ck_assert_str_eq(program_text(&program, "words"), expected);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command line");
    TCase *tcase = tcase_create("command line");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, what_is_mistaken_is_named_with_what_would_be_right, 0, COUNT(mistakes));
    tcase_add_loop_test(tcase, help_and_version_have_their_usual_names, 0, COUNT(same));
    tcase_add_loop_test(tcase, a_reader_that_goes_away_is_no_failure, 0, 5);
    tcase_add_loop_test(tcase, a_shell_reads_a_word_back, 0, COUNT(words));
    tcase_add_test(tcase, the_hint_to_continue_can_be_pasted);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
