#include "monitor/signals.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "board/guard.h"

static volatile sig_atomic_t end_wanted, stop_wanted, continued;

static struct termios found_mode;
static char farewell[SIGNALS_TEXT_MAX];
static volatile sig_atomic_t farewell_length; /* set last */

/* After a fault the stack may be what is used up. */
static char fault_stack[1 << 16];

static void end_now(int signal_number);
static void end_unless_guarded(int signal_number, siginfo_t *information, void *context);
static void want_end(int signal_number);
static void want_stop(int signal_number);
static void note_continued(int signal_number);

static struct row {
    int number;
    void (*handler)(int);
    void (*fault_handler)(int, siginfo_t *, void *); /* NULL, or instead */
    struct sigaction before;
} rows[] = {
    {.number = SIGINT, .handler = want_end},        {.number = SIGTERM, .handler = want_end},
    {.number = SIGHUP, .handler = want_end},        {.number = SIGTSTP, .handler = want_stop},
    {.number = SIGCONT, .handler = note_continued}, {.number = SIGQUIT, .handler = end_now},
    {.number = SIGSEGV, .handler = end_now},        {.number = SIGBUS, .fault_handler = end_unless_guarded},
    {.number = SIGILL, .handler = end_now},         {.number = SIGFPE, .handler = end_now},
    {.number = SIGTRAP, .handler = end_now},        {.number = SIGABRT, .handler = end_now},
    {.number = SIGSYS, .handler = end_now},         {.number = SIGPIPE, .handler = end_now},
    {.number = SIGALRM, .handler = end_now},        {.number = SIGUSR1, .handler = end_now},
    {.number = SIGUSR2, .handler = end_now},        {.number = SIGXCPU, .handler = end_now},
    {.number = SIGXFSZ, .handler = end_now},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static struct row *row_of(int signal_number)
{
    struct row *row = rows;

    while (row->number != signal_number)
        row++;
    return row;
}

/* Not in the background, where the shell has the terminal as it wants it; and nothing is written to one that takes
 * nothing, as that would be waiting for ever. */
static void give_back(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    const pid_t foreground = tcgetpgrp(STDIN_FILENO);
    ssize_t unused;

    if (foreground > 0 && foreground != getpgrp())
        return;
    tcflow(STDOUT_FILENO, TCOON);
    if (poll(&output, 1, 0) > 0)
        unused = write(STDOUT_FILENO, farewell, (size_t)farewell_length);
    (void)unused;
    tcsetattr(STDIN_FILENO, TCSANOW, &found_mode);
}

/* Behind the handler the signal does what it would have done without it. */
static void end_now(int signal_number)
{
    give_back();
    sigaction(signal_number, &row_of(signal_number)->before, NULL);
    raise(signal_number);
}

/* Memory of a run that was cut short is no crash. */
static void end_unless_guarded(int signal_number, siginfo_t *information, void *context)
{
    (void)context;
    if (!guard_answer(information))
        end_now(signal_number);
}

static void want_end(int signal_number)
{
    if (end_wanted)
        end_now(signal_number);
    end_wanted = 1;
}

static void want_stop(int signal_number)
{
    (void)signal_number;
    stop_wanted = 1;
}

static void note_continued(int signal_number)
{
    (void)signal_number;
    continued = 1;
}

static void take(struct row *row)
{
    struct sigaction action = {.sa_handler = row->handler, .sa_flags = SA_ONSTACK};

    if (row->fault_handler) {
        action.sa_sigaction = row->fault_handler;
        action.sa_flags |= SA_SIGINFO;
    }
    sigemptyset(&action.sa_mask);
    sigaction(row->number, NULL, &row->before);
    if (row->before.sa_handler != SIG_IGN)
        sigaction(row->number, &action, NULL);
}

void signals_take(const struct termios *mode)
{
    const stack_t stack = {.ss_sp = fault_stack, .ss_size = sizeof(fault_stack)};

    found_mode = *mode;
    sigaltstack(&stack, NULL);
    for (int k = 0; k < ROWS; k++)
        take(&rows[k]);
}

void signals_farewell(const char text[SIGNALS_TEXT_MAX])
{
    memcpy(farewell, text, SIGNALS_TEXT_MAX);
    farewell_length = (sig_atomic_t)strlen(text);
}

void signals_release(void)
{
    for (int k = 0; k < ROWS; k++)
        sigaction(rows[k].number, &rows[k].before, NULL);
}

bool signals_end_wanted(void)
{
    return end_wanted;
}

bool signals_stop_wanted(void)
{
    return stop_wanted;
}

void signals_stop(void)
{
    struct row *row = row_of(SIGTSTP);

    stop_wanted = 0;
    sigaction(SIGTSTP, &row->before, NULL);
    raise(SIGTSTP);
    take(row);
    /* Also where there is no shell to stop for, and nothing has stopped. */
    continued = 1;
}

bool signals_continued(void)
{
    const bool was = continued;

    continued = 0;
    return was;
}
