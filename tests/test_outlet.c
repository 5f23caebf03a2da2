/* Goal of this test: nobody who takes no output holds up the watching over a run. What was written arrives in order
 * when it is taken after all, and what cannot arrive is said. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "coordinator/outlet.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

enum { STOP_OUTPUT = 'S' - '@', GO_ON = 'Q' - '@' }; /* Ctrl-S, Ctrl-Q */

static struct program program;
static struct error error;

static void set_up(void)
{
    program_set_up(&program);
    signal(SIGPIPE, SIG_IGN);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

/* Reads until `count` bytes have come, or the end. */
static size_t read_all(int from, char *bytes, size_t count)
{
    size_t got = 0;
    ssize_t some;

    while (got < count && (some = read(from, bytes + got, count - got)) > 0)
        got += (size_t)some;
    return got;
}

/* More than a pipe holds. */
enum { NUMBERS = 20000, NUMBER_BYTES = 8 };

static void write_numbers(FILE *stream)
{
    for (int i = 0; i < NUMBERS; i++)
        fprintf(stream, "%7d\n", i);
    fflush(stream);
}

START_TEST(a_pipe_that_nobody_reads_makes_nobody_wait)
{
    static char bytes[NUMBERS * NUMBER_BYTES];
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    struct outlet *outlet = outlet_open(ends[1], _i ? OUTLET_DATA : OUTLET_TEXT, &error);
    ck_assert_ptr_nonnull(outlet);
    write_numbers(outlet_stream(outlet));
    ck_assert(outlet_is_behind(outlet));
    /* Now somebody does. */
    ck_assert_uint_eq(read_all(ends[0], bytes, sizeof(bytes)), sizeof(bytes));
    for (int i = 0; i < NUMBERS; i++)
        ck_assert_int_eq(atoi(bytes + i * NUMBER_BYTES), i);
    ck_assert_int_eq(outlet_finish(outlet, NULL), 0);
    ck_assert(!outlet_is_behind(outlet));
    outlet_close(outlet);
}
END_TEST

START_TEST(what_does_not_fit_is_left_out_or_fails)
{
    struct signals signals;
    int ends[2], failed = 0;

    ck_assert_int_eq(signals_take(&signals, &error), 0);
    ck_assert_int_eq(pipe(ends), 0);
    struct outlet *outlet = outlet_open(ends[1], _i ? OUTLET_DATA : OUTLET_TEXT, &error);
    for (int i = 0; i < 200; i++) {
        write_numbers(outlet_stream(outlet));
        failed += ferror(outlet_stream(outlet)) != 0;
    }
    ck_assert_int_eq(failed > 0, _i);
    /* The second wait ends by an interruption. */
    kill(getpid(), SIGINT);
    ck_assert_int_eq(outlet_finish(outlet, &signals), -1);
    outlet_close(outlet);
    signals_release(&signals);
}
END_TEST

START_TEST(a_write_that_fails_is_told)
{
    const int full = open("/dev/full", O_WRONLY);
    struct outlet *outlet = outlet_open(full, OUTLET_TEXT, &error);

    fputs("lost", outlet_stream(outlet));
    ck_assert_int_eq(outlet_finish(outlet, NULL), -1);
    ck_assert_int_eq(errno, ENOSPC);
    outlet_close(outlet);
}
END_TEST

static const char *const run_words[] = {"--set", "run.name=run", "--set", "train.lr=0.001", "--set", "data.limit=4000"};

/* On a terminal of its own, with so many epochs; in the background of it if asked. */
static pid_t start_on_terminal(int *terminal, const char *epochs, bool background)
{
    pid_t child = forkpty(terminal, NULL, NULL, NULL);

    if (child == 0) {
        setenv("TERM", "xterm", 1);
        if (background && (child = fork()) > 0) {
            int status;

            waitpid(child, &status, 0);
            _exit(WEXITSTATUS(status));
        }
        if (background)
            setpgid(0, 0);
        execl(program.path, program.path, program.config, "--epochs", epochs, run_words[0], run_words[1], run_words[2],
              run_words[3], run_words[4], run_words[5], (char *)NULL);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* What comes until the last process has closed the terminal. */
static const char *read_terminal(int terminal)
{
    static char text[1 << 20];

    text[read_all(terminal, text, sizeof(text) - 1)] = '\0';
    return text;
}

static bool has_result(void)
{
    return program_has(&program, "runs/run/report.json");
}

/* A stage dies: that is noticed, said in the report and, at last, on the terminal. */
START_TEST(a_terminal_that_stands_still_does_not_blind_the_run)
{
    static const char stop = STOP_OUTPUT, go_on = GO_ON;
    struct segment segment;
    int terminal;

    pid_t child = start_on_terminal(&terminal, "1000", false);
    ck_assert_int_eq(write(terminal, &stop, 1), 1);
    WAIT_FOR(&program, program_segment(child, "/run", &segment) && atomic_load(&segment.board->epochs_done) > 2);
    /* Its redrawn line and the lines of its epochs have nowhere to go, and its checkpoints are completed. */
    WAIT_FOR(&program, program_has(&program, "runs/run/checkpoints/epoch-0003/manifest.json"));
    kill(atomic_load(&segment_stage(&segment, 2)->pid), SIGKILL);
    WAIT_FOR(&program, has_result() && !program_has_segment(child));
    ck_assert_int_eq(write(terminal, &go_on, 1), 1);
    const char *text = read_terminal(terminal);
    ck_assert_int_eq(program_finish(child), 1);
    ck_assert_msg(strstr(text, "tpcoord: stage 2 (pid ") && strstr(text, ") was killed by signal 9 (Killed)"), "%s",
                  text);
    segment_close(&segment);
    close(terminal);
}
END_TEST

/* It is asked to stop, and does; and asked again, as nobody will ever see what it says, gives up. */
START_TEST(a_run_on_a_terminal_that_stands_still_obeys)
{
    static const char stop = STOP_OUTPUT;
    struct segment segment;
    int terminal;

    pid_t child = start_on_terminal(&terminal, "1000", false);
    ck_assert_int_eq(write(terminal, &stop, 1), 1);
    WAIT_FOR(&program, program_segment(child, "/run", &segment) && atomic_load(&segment.board->epochs_done) > 0);
    kill(child, SIGTERM);
    WAIT_FOR(&program, has_result() && !program_has_segment(child));
    kill(child, SIGTERM);
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);
    close(terminal);
}
END_TEST

START_TEST(the_line_is_drawn_in_the_foreground_alone)
{
    int terminal;

    pid_t child = start_on_terminal(&terminal, "12", _i);
    const char *text = read_terminal(terminal);
    ck_assert_int_eq(program_finish(child), 0);
    ck_assert_ptr_nonnull(strstr(text, "12/12 "));
    ck_assert_msg((strstr(text, "\repoch ") == NULL) == _i, "%s", text);
    close(terminal);
}
END_TEST

/* Nobody reads the recording until the run is over. */
START_TEST(a_recording_into_a_pipe_does_not_hold_up_the_run)
{
    static char bytes[1 << 24];
    char path[128];
    struct segment segment;

    snprintf(path, sizeof(path), "%s/pipe", program.folder);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    const int end = open(path, O_RDONLY | O_NONBLOCK);
    pid_t child =
        program_start(&program, "@ --quiet --epochs 8 --set run.name=run --set data.limit=4000 --record ~/pipe");
    WAIT_FOR(&program, program_segment(child, "/run", &segment));
    WAIT_FOR(&program, atomic_load(&segment.board->dismissed));
    fcntl(end, F_SETFL, 0);
    const size_t size = read_all(end, bytes, sizeof(bytes));
    ck_assert_int_eq(program_finish(child), 0);
    ck_assert_uint_gt(size, 1 << 16);
    snprintf(path, sizeof(path), "%s/recording", program.folder);
    FILE *file = fopen(path, "w");
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/recording"), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "the run had finished here"));
    segment_close(&segment);
    close(end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outlet");
    TCase *tcase = tcase_create("outlet");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_pipe_that_nobody_reads_makes_nobody_wait, 0, 2);
    tcase_add_loop_test(tcase, what_does_not_fit_is_left_out_or_fails, 0, 2);
    tcase_add_test(tcase, a_write_that_fails_is_told);
    tcase_add_test(tcase, a_terminal_that_stands_still_does_not_blind_the_run);
    tcase_add_test(tcase, a_run_on_a_terminal_that_stands_still_obeys);
    tcase_add_loop_test(tcase, the_line_is_drawn_in_the_foreground_alone, 0, 2);
    tcase_add_test(tcase, a_recording_into_a_pipe_does_not_hold_up_the_run);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
