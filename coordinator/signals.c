#include "coordinator/signals.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What one of them means to a run. A terminal that closes may tell its session's leader twice: that is not somebody's
 * second request. */
enum meaning {
    LOOK, /* a stage has ended, or has something to tell */
    INTERRUPTION,
    HANGUP,
    CHECKPOINT
};

static const struct taken {
    int number;
    enum meaning meaning;
} taken[] = {{SIGCHLD, LOOK}, {SIGINT, INTERRUPTION}, {SIGTERM, INTERRUPTION}, {SIGHUP, HANGUP}, {SIGUSR1, CHECKPOINT}};

enum { TAKEN = sizeof(taken) / sizeof(taken[0]) };

static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int signals_take(struct signals *signals, struct error *error)
{
    /* Output that goes nowhere is an error to report, and no reason to leave stages and shared memory behind: a reader that
     * has gone, a file over the limit, a terminal that lets no background process write. */
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTTOU};
    sigset_t mask;

    *signals = (struct signals){.descriptor = -1};
    sigemptyset(&mask);
    for (int i = 0; i < TAKEN; i++)
        if (taken[i].meaning == LOOK || taken[i].meaning == CHECKPOINT || !is_ignored(taken[i].number))
            sigaddset(&mask, taken[i].number);
    if (sigprocmask(SIG_SETMASK, &mask, NULL))
        return error_set(error, "cannot block signals: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    signals->descriptor = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    return signals->descriptor < 0 ? error_set(error, "cannot take signals: %s", strerror(errno)) : 0;
}

void signals_release(struct signals *signals)
{
    if (signals->descriptor >= 0) {
        signals_read(signals);
        close(signals->descriptor);
    }
    signals->descriptor = -1;
    if (signals->interruptions > 0)
        signal(SIGHUP, SIG_IGN);
    signals_unblock();
}

static enum meaning meaning_of(uint32_t number)
{
    for (int i = 0; i < TAKEN; i++)
        if ((uint32_t)taken[i].number == number)
            return taken[i].meaning;
    return LOOK;
}

int signals_read(struct signals *signals)
{
    struct signalfd_siginfo info;
    int interruptions = 0;

    while (read(signals->descriptor, &info, sizeof(info)) == sizeof(info)) {
        const enum meaning meaning = meaning_of(info.ssi_signo);

        signals->save = signals->save || meaning == CHECKPOINT;
        if (meaning == INTERRUPTION || (meaning == HANGUP && signals->interruptions + interruptions == 0))
            interruptions++;
    }
    signals->interruptions += interruptions;
    return interruptions;
}

void signals_unblock(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
