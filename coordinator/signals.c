#include "coordinator/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_take(struct signals *signals, struct error *error)
{
    static const int taken[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    /* Output that goes nowhere is an error to report, and no reason to leave stages and shared memory behind: a reader that
     * has gone, a file over the limit, a terminal that lets no background process write. */
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTTOU};
    sigset_t mask;

    *signals = (struct signals){.descriptor = -1};
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&mask, taken[i]);
    if (sigprocmask(SIG_BLOCK, &mask, &signals->before))
        return error_set(error, "cannot block signals: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    signals->descriptor = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    return signals->descriptor < 0 ? error_set(error, "cannot take signals: %s", strerror(errno)) : 0;
}

void signals_release(struct signals *signals)
{
    if (signals->descriptor >= 0)
        close(signals->descriptor);
    signals->descriptor = -1;
}

int signals_read(struct signals *signals)
{
    struct signalfd_siginfo info;
    int interruptions = 0;

    while (read(signals->descriptor, &info, sizeof(info)) == sizeof(info)) {
        /* A terminal that closes may tell its session's leader twice: that is not somebody's second request. */
        if (info.ssi_signo == SIGHUP && signals->interruptions + interruptions > 0)
            continue;
        if (info.ssi_signo == SIGUSR1) {
            signals->save = true;
            continue;
        }
        interruptions += info.ssi_signo != SIGCHLD;
    }
    signals->interruptions += interruptions;
    return interruptions;
}
