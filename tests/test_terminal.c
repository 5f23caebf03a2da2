/* Goal of this test: however tpmon is used, stopped and ended, its terminal shows what it should and is left as it was; and
 * whatever a terminal sends, only keys act. On pseudo-terminals, of which the test has the other end. */
#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

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

/* tpmon on a terminal, which the test has the other end of. What has come is read once, in order. */
static struct {
    int descriptor;
    pid_t child;
    char text[1 << 20];
    size_t length, seen;
} terminal;

static void start_command(const char *command, unsigned short rows, unsigned short columns)
{
    struct winsize size = {.ws_row = rows, .ws_col = columns};

    terminal.length = terminal.seen = 0;
    terminal.text[0] = '\0';
    terminal.child = forkpty(&terminal.descriptor, NULL, NULL, &size);
    if (terminal.child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        /* Which a shell ignores in what it runs in the background. */
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_gt(terminal.child, 0);
}

/* A recording is made, and a shell on a terminal of that size runs `format` with %s for tpmon's playing of it, in an
 * environment to which `variables` ("LINES=5 COLUMNS=30") are added. */
static void start(const char *format, unsigned short rows, unsigned short columns, const char *variables)
{
    char replay[512], command[640];

    ck_assert_int_eq(program_run(&program, "@ --quiet --record ~/run.tprec"), 0);
    snprintf(replay, sizeof(replay), "env TERM=xterm-256color %s %s --replay %s/run.tprec", variables, program.monitor,
             program.folder);
    snprintf(command, sizeof(command), format, replay);
    start_command(command, rows, columns);
}

/* The terminal's process is tpmon itself. */
static void start_replay(unsigned short rows, unsigned short columns, const char *variables)
{
    start("exec %s", rows, columns, variables);
}

/* Until the text comes. At the end of the output this fails. */
static void read_until(const char *text)
{
    const char *found;

    while ((found = strstr(terminal.text + terminal.seen, text)) == NULL) {
        ssize_t count =
            read(terminal.descriptor, terminal.text + terminal.length, sizeof(terminal.text) - 1 - terminal.length);

        if (count <= 0)
            ck_abort_msg("no \"%s\" in what the terminal shows: %s", text + 1, terminal.text);
        terminal.length += (size_t)count;
        terminal.text[terminal.length] = '\0';
    }
    terminal.seen = (size_t)(found - terminal.text) + strlen(text);
}

/* Whether a text is on the whole screen that is drawn next. */
static bool drawn_anew_has(const char *text)
{
    read_until("\033[2J");
    const char *begin = terminal.text + terminal.seen;
    /* What is in the screen's last cell comes apart from the rest. */
    read_until("q qui");
    const char *found = strstr(begin, text);

    return found && found < terminal.text + terminal.seen;
}

static void type(const char *bytes)
{
    ck_assert_int_eq((int)write(terminal.descriptor, bytes, strlen(bytes)), (int)strlen(bytes));
}

static int terminal_status(void)
{
    int status;

    ck_assert_int_eq(waitpid(terminal.child, &status, 0), terminal.child);
    return status;
}

/* The screen that was there before, and a line mode with echo; closes the terminal. Returns the wait status. */
static int check_restored(void)
{
    struct termios mode;
    int status;

    read_until("\033[?1049l");
    status = terminal_status();
    ck_assert_int_eq(tcgetattr(terminal.descriptor, &mode), 0);
    ck_assert((mode.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO));
    close(terminal.descriptor);
    return status;
}

static void check_quits(void)
{
    type("q");
    int status = check_restored();
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "tpmon ended with %x", (unsigned)status);
}

static const struct {
    unsigned short rows, columns;
    int signal_number; /* 0: the key q */
} ends[] = {{24, 80, 0}, {60, 200, SIGTERM}, {40, 120, SIGINT}, {24, 80, SIGHUP}, {3, 8, 0}, {1, 1, 0}};

START_TEST(the_terminal_is_left_as_it_was)
{
    struct winsize other = {.ws_row = 7, .ws_col = 30};

    start_replay(ends[_i].rows, ends[_i].columns, "");
    read_until("\033[?1049h");
    type("2?\t<\033[A ");
    ck_assert_int_eq(ioctl(terminal.descriptor, TIOCSWINSZ, &other), 0);
    if (ends[_i].signal_number)
        kill(terminal.child, ends[_i].signal_number);
    else
        type("q");
    int status = check_restored();
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "tpmon ended with %x", (unsigned)status);
}
END_TEST

/* A crash's signals are sent as anybody can send them; 0: Ctrl-\, typed. */
static const int deaths[] = {0, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGUSR1, SIGPIPE};

START_TEST(a_crash_leaves_the_terminal_as_it_was)
{
    /* A sanitizer would make something else of some. */
    start_replay(24, 80,
                 "ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0 "
                 "UBSAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0");
    read_until("q quit");
    if (deaths[_i])
        kill(terminal.child, deaths[_i]);
    else
        type("\034");
    int status = check_restored();
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == (deaths[_i] ? deaths[_i] : SIGQUIT), "tpmon ended with %x",
                  (unsigned)status);
}
END_TEST

/* What is shown is the memory of a run, which others can cut short: no crash, and the screen says so. */
START_TEST(a_run_whose_memory_is_cut_short_is_told_on_the_screen)
{
    pid_t run = program_start(&program, "@ --quiet --epochs 1000 --set run.name=watched");
    struct segment segment;
    char command[640];

    while (!program_segment(run, "watched", &segment))
        usleep(1000);
    snprintf(command, sizeof(command), "exec env TERM=xterm-256color %s %s", program.monitor, segment.header->name);
    start_command(command, 24, 120);
    read_until("q quit");
    int fd = shm_open(segment.header->name, O_RDWR, 0);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    close(fd);
    read_until("cut short");
    check_quits();
    program_finish(run);
}
END_TEST

START_TEST(a_comparisons_runs_are_followed_one_after_the_other)
{
    char command[640];

    snprintf(command, sizeof(command), "exec env TERM=xterm-256color %s", program.monitor);
    start_command(command, 24, 80);
    read_until("waiting for a run");
    pid_t comparison = program_start(&program, "compare @ --quiet --epochs 60 --systems gpipe,pipedream");
    read_until("gpipe");
    read_until("pipedream");
    check_quits();
    ck_assert_int_eq(program_finish(comparison), 0);
}
END_TEST

/* In a folder of several recordings it is asked which; the list comes back with a key. */
START_TEST(recordings_are_picked_from_a_list)
{
    char command[640];

    ck_assert_int_eq(program_run(&program, "compare @ --quiet --systems gpipe,pipedream --set run.record=yes "
                                           "--set run.name=both"),
                     0);
    snprintf(command, sizeof(command), "exec env TERM=xterm-256color %s --replay %s/runs/both", program.monitor,
             program.folder);
    start_command(command, 24, 80);
    read_until("Enter shows");
    type("\033OB\r");
    read_until("pipedream/recording.tprec");
    type("n");
    read_until("gpipe");
    type("l");
    read_until("Enter shows");
    type("\033OB\r");
    read_until("pipedream");
    check_quits();
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/runs/both"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "has 2 recordings in it: name one, such as "));
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/runs"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "runs/both/gpipe/recording.tprec"));
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~/runs/both/gpipe"), 0);
    ck_assert_int_eq(program_run(&program, "tpmon --once --replay ~"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "has no recording in it"));
}
END_TEST

/* Ctrl-S, or a line that is down: the first SIGTERM is not heard. */
START_TEST(a_monitor_ends_though_its_terminal_takes_nothing)
{
    int status;

    start_replay(24, 80, "");
    read_until("q quit");
    int other_end = open(ptsname(terminal.descriptor), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(other_end, 0);
    ck_assert_int_eq(tcflow(other_end, TCOOFF), 0);
    while (waitpid(terminal.child, &status, WNOHANG) == 0)
        kill(terminal.child, SIGTERM);
    struct termios mode;
    ck_assert_int_eq(tcgetattr(other_end, &mode), 0);
    ck_assert((mode.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO));
    close(other_end);
    close(terminal.descriptor);
}
END_TEST

/* The whole screen after a help that shows which view is under it. */
static void check_untouched(const char *sent)
{
    type("?\014");
    ck_assert_msg(drawn_anew_has("Each stage's ops as they happen"), "\"%s\" acts as a key", sent + 1);
    type("??"); /* over the second page */
}

/* Bytes that are no character, characters that are no key, and what terminals send unasked. Many of them have keys in
 * them, and q as the letter without its eighth bit. */
START_TEST(what_is_no_key_does_nothing)
{
    static const char *const sequences[] = {
        "\xf1",
        "\xff\xfe",
        "\xc3",
        "\xe2\x82",
        "\xc3\xb1",
        "\xf0\x9f\x98\x80",
        "\x01",
        "\x7f",
        "\033[<0;2;3m",
        "\033[<0;18;24m",
        "\033[<35;18;24M",
        "\033[<2;18;24M",
        "\033[<0;18M",
        "\033[<0;18;24;1M",
        "\033[<99999999999999999999999999999999999999999999;18;24M",
        "\033[M q2",
        "\033[M\xf1qq",
        "\033[32;4;2M",
        "\033[I",
        "\033[?1;2c",
        "\033[3;4;2t",
        "\033[99~",
        "\033[1;5q",
        "\033Oq",
        "\033]11;rgb:2222/3333/4444\a",
        "\033P1$r2 q\033\\",
    };

    start_replay(24, 80, "");
    read_until("q quit");
    for (size_t k = 0; k < sizeof(sequences) / sizeof(sequences[0]); k++) {
        type(sequences[k]);
        check_untouched(sequences[k]);
    }
    check_quits();
}
END_TEST

/* At the name of the view of versions, which is in the last row. */
static const char click[] = "\033[<0;18;24M";

START_TEST(a_click_on_a_views_name_shows_it)
{
    start_replay(24, 80, "");
    read_until("\033[?1000h\033[?1006h");
    read_until("q quit");
    type(click);
    read_until("staleness");
    type("1m");
    read_until("\033[?1006l\033[?1000l");
    read_until("selects text");
    type(click);
    check_untouched(click);
    type("m");
    read_until("\033[?1000h\033[?1006h");
    type(click);
    read_until("staleness");
    type("q");
    read_until("\033[?1006l\033[?1000l");
    int status = check_restored();
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* A terminal that has none, and a user who wants none. */
START_TEST(nobody_is_asked_for_a_mouse_in_vain)
{
    start(_i == 0 ? "exec %s" : "exec %s --no-mouse", 24, 80, _i == 0 ? "TERM=vt100" : "");
    read_until("q quit");
    if (_i == 0) {
        type("q");
        ck_assert(WIFEXITED(terminal_status()));
        close(terminal.descriptor);
    } else {
        type(click);
        check_untouched(click);
        check_quits();
    }
    ck_assert_ptr_null(strstr(terminal.text, "\033[?1000"));
}
END_TEST

START_TEST(a_crash_gives_the_mouse_back)
{
    start_replay(24, 80, "ASAN_OPTIONS=handle_segv=0");
    read_until("\033[?1000h");
    read_until("q quit");
    kill(terminal.child, SIGSEGV);
    read_until("\033[?1006l\033[?1000l");
    check_restored();
}
END_TEST

/* Stopped by what cannot be caught: the shell had the terminal meanwhile, set its mode and wrote on it. */
START_TEST(a_monitor_that_was_stopped_draws_its_screen_anew)
{
    struct termios mode;
    int status;

    start_replay(24, 80, "");
    read_until("q quit");
    kill(terminal.child, SIGSTOP);
    ck_assert_int_eq(waitpid(terminal.child, &status, WUNTRACED), terminal.child);
    ck_assert(WIFSTOPPED(status));
    ck_assert_int_eq(tcgetattr(terminal.descriptor, &mode), 0);
    mode.c_lflag |= ICANON | ECHO;
    ck_assert_int_eq(tcsetattr(terminal.descriptor, TCSANOW, &mode), 0);
    ck_assert_int_eq(ioctl(terminal.descriptor, TIOCSWINSZ, &(struct winsize){.ws_row = 7, .ws_col = 30}), 0);
    kill(terminal.child, SIGCONT);
    read_until("\033[?1049h");
    read_until("\033[2J");
    read_until("needs 40 x 8");
    ck_assert_int_eq(tcgetattr(terminal.descriptor, &mode), 0);
    ck_assert((mode.c_lflag & (ICANON | ECHO)) == 0);
    check_quits();
}
END_TEST

START_TEST(a_monitor_that_stops_leaves_the_terminal_to_the_shell)
{
    /* A shell that has jobs: the next command runs when the first has stopped. */
    start("set -m; %s; stty -a; echo stopped; fg", 24, 80, "");
    read_until("q quit");
    type("\032");
    read_until("\033[?1049l");
    read_until(" icanon");
    read_until("stopped");
    read_until("\033[?1049h");
    ck_assert(drawn_anew_has(" 1 schedule "));
    check_quits();
}
END_TEST

START_TEST(the_screen_has_the_terminals_size_whatever_is_exported)
{
    start_replay(24, 80, "LINES=5 COLUMNS=30");
    read_until(" 1 schedule ");
    ck_assert_int_eq(ioctl(terminal.descriptor, TIOCSWINSZ, &(struct winsize){.ws_row = 7, .ws_col = 30}), 0);
    read_until("needs 40 x 8");
    ck_assert_int_eq(ioctl(terminal.descriptor, TIOCSWINSZ, &(struct winsize){.ws_row = 40, .ws_col = 120}), 0);
    read_until(" 1 schedule ");
    check_quits();
}
END_TEST

/* A slow line brings Escape and the rest of an arrow apart. */
START_TEST(the_users_escape_delay_is_respected)
{
    int unread;

    start_replay(24, 80, "ESCDELAY=50000");
    read_until("q quit");
    int other_end = open(ptsname(terminal.descriptor), O_RDWR | O_NOCTTY);
    type("?");
    read_until("draw the screen anew");
    type("\033");
    do
        ck_assert_int_eq(ioctl(other_end, FIONREAD, &unread), 0);
    while (unread > 0);
    poll(NULL, 0, 200); /* by then Escape would have acted, were the delay the monitor's own */
    type("[D\014");
    ck_assert_msg(drawn_anew_has("draw the screen anew"), "Escape has closed the help");
    close(other_end);
    check_quits();
}
END_TEST

/* Follows what selects a colour, "34" or "44", "39" for the terminal's own; `pen` has foreground and background. */
static void select_colours(const char *numbers, int pen[2])
{
    while (true) {
        char *end;
        const long number = strtol(numbers, &end, 10);

        if (number == 0)
            pen[0] = pen[1] = 9;
        else if (number >= 30 && number < 50)
            pen[number / 10 - 3] = (int)number % 10;
        if (*end != ';')
            return;
        numbers = end + 1;
    }
}

/* With 8 colours what would be the softer backgrounds are none: there is only black text on colours, and colours on
 * themselves, where there is no text. */
START_TEST(text_can_be_read_with_eight_colours)
{
    int pen[2] = {9, 9}, on_colours = 0, in_colours = 0;

    start_replay(60, 200, "TERM=xterm");
    read_until("q quit");
    type("\014");
    read_until("\033[2J");
    read_until("q quit");
    for (const char *at = terminal.text; *at; at++) {
        if (strncmp(at, "\033[", 2) == 0) {
            const size_t length = strspn(at + 2, "?;0123456789");

            if (at[2 + length] == 'm')
                select_colours(at + 2, pen);
            at += 2 + length;
        } else if (*at > ' ') {
            ck_assert_msg(pen[1] == 9 || pen[0] == 0 || pen[0] == pen[1], "colour %d on colour %d: %.40s", pen[0],
                          pen[1], at);
            on_colours += pen[1] != 9;
            in_colours += pen[0] != 9 && pen[0] != 0 && pen[1] == 9;
        }
    }
    ck_assert_int_gt(on_colours, 0);
    ck_assert_int_gt(in_colours, 0);
    check_quits();
}
END_TEST

START_TEST(a_terminal_that_cannot_be_drawn_on_is_named)
{
    static const struct {
        const char *variables, *expected;
    } cases[] = {
        {"TERM=dumb", "tpmon: the terminal \"dumb\" (TERM) cannot place its cursor: try TERM=xterm-256color"},
        {"TERM=no-such", "tpmon: the terminal \"no-such\" (TERM) is unknown: try TERM=xterm-256color"},
        {"TERM=", "tpmon: the terminal \"\" (TERM) is unknown: try TERM=xterm-256color"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_replay(24, 80, cases[i].variables);
        read_until(cases[i].expected);
        int status = terminal_status();
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        close(terminal.descriptor);
    }
}
END_TEST

static size_t count_demo_folders(void)
{
    glob_t found;
    const size_t count = glob("/tmp/tp-demo-*", 0, NULL, &found) == 0 ? found.gl_pathc : 0;

    globfree(&found);
    return count;
}

/* In the terminal that it was started in: run and monitor, and nothing is left of either. */
START_TEST(the_demo_ends_with_a_key_or_an_interrupt)
{
    const size_t folders = count_demo_folders();
    char command[512];
    int status;

    snprintf(command, sizeof(command), "exec env TERM=xterm-256color %s demo", program.path);
    start_command(command, 24, 80);
    read_until("W=4 N=3");
    ck_assert_uint_eq(count_demo_folders(), folders + 1);
    type(_i == 0 ? "q" : "\003");
    read_until("\033[?1049l");
    read_until("That was TiMePReSt");
    read_until("explain pipeline");
    read_until("configs/resnet.ini --interactive=paused");
    status = terminal_status();
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the demo ended with %x", (unsigned)status);
    close(terminal.descriptor);
    ck_assert_uint_eq(count_demo_folders(), folders);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("terminal");
    TCase *tcase = tcase_create("terminal");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, the_terminal_is_left_as_it_was, 0, COUNT(ends));
    tcase_add_loop_test(tcase, a_crash_leaves_the_terminal_as_it_was, 0, COUNT(deaths));
    tcase_add_test(tcase, a_run_whose_memory_is_cut_short_is_told_on_the_screen);
    tcase_add_test(tcase, a_monitor_ends_though_its_terminal_takes_nothing);
    tcase_add_test(tcase, what_is_no_key_does_nothing);
    tcase_add_test(tcase, a_comparisons_runs_are_followed_one_after_the_other);
    tcase_add_test(tcase, recordings_are_picked_from_a_list);
    tcase_add_test(tcase, a_click_on_a_views_name_shows_it);
    tcase_add_loop_test(tcase, nobody_is_asked_for_a_mouse_in_vain, 0, 2);
    tcase_add_test(tcase, a_crash_gives_the_mouse_back);
    tcase_add_test(tcase, a_monitor_that_was_stopped_draws_its_screen_anew);
    tcase_add_test(tcase, a_monitor_that_stops_leaves_the_terminal_to_the_shell);
    tcase_add_test(tcase, the_screen_has_the_terminals_size_whatever_is_exported);
    tcase_add_test(tcase, the_users_escape_delay_is_respected);
    tcase_add_test(tcase, text_can_be_read_with_eight_colours);
    tcase_add_test(tcase, a_terminal_that_cannot_be_drawn_on_is_named);
    tcase_add_loop_test(tcase, the_demo_ends_with_a_key_or_an_interrupt, 0, 2);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
