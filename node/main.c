/* tpnode: the MPI process of a machine, in runs on several. tpcoord starts one on each, by way of mpirun. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/program.h"
#include "base/version.h"
#include "node/measure.h"
#include "node/run.h"

/* How late the kernel may be with a nap's end. */
enum { TIMER_SLACK_NS = 1000 };

static int usage(void)
{
    fprintf(stderr,
            "tpnode: started by tpcoord, by way of mpirun, as `tpnode SEGMENT` or `tpnode --links MACHINES`; run "
            "`tpcoord CONFIG --hosts a:2,b:2` instead\n");
    return 2;
}

static int fail(const char *reason)
{
    char host[64] = "";

    gethostname(host, sizeof(host) - 1);
    fprintf(stderr, "tpnode (%s): %s\n", host, reason);
    /* Others may have gone on: they are not waited for. */
    _exit(1);
}

static int measure(int argc, char **argv, int machines)
{
    struct error error;
    struct net *net;

    alarm(MEASURE_SECONDS);
    net = net_open(&argc, &argv);
    if (!net || measure_cables(net, machines, &error))
        return fail(net ? error.text : "out of memory");
    net_close(net);
    return 0;
}

static int run(int argc, char **argv)
{
    struct error error;
    struct net *net;
    sigset_t asked;

    /* What they mean is the coordinator's to decide. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    /* Before MPI has threads: the node asks for it when it looks around (node/run.c). */
    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    sigprocmask(SIG_BLOCK, &asked, NULL);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    net = net_open(&argc, &argv);
    return net && node_run(net, argv[1], &error) == 0 ? 0 : fail(net ? error.text : "out of memory");
}

int main(int argc, char **argv)
{
    struct error ignored;
    int64_t machines;

    program_begin();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tpnode %s\n", version_text());
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--links") == 0 && parse_int(&machines, argv[2], 2, MAX_STAGES, &ignored) == 0)
        return measure(argc, argv, (int)machines);
    return argc == 2 && argv[1][0] == '/' ? run(argc, argv) : usage();
}
