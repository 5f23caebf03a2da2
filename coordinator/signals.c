#include "coordinator/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_take(struct signals *signals, struct error *error)
{
    static const int taken[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
    sigset_t mask;

    *signals = (struct signals){.descriptor = -1};
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&mask, taken[i]);
    if (sigprocmask(SIG_BLOCK, &mask, &signals->before))
        return error_set(error, "cannot block signals: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN); /* a reader of our output that goes away is no reason to leave shared memory behind */
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

    while (read(signals->descriptor, &info, sizeof(info)) == sizeof(info))
        interruptions += info.ssi_signo != SIGCHLD;
    signals->interruptions += interruptions;
    return interruptions;
}
