/* tpstage: the process of one stage. The coordinator starts it with the descriptor of the run's segment and the number
 * of its stage; nobody else should. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "stages/stage.h"
#include "transport/rings.h"

/* For the signal handler alone. */
static struct segment run;

/* What a stage may take to end when nobody is left to kill it. */
enum { GRACE_SECONDS = 3 };

static bool orphaned(void)
{
    return getppid() != run.header->coordinator_pid;
}

/* The coordinator died; or somebody asks this stage for a checkpoint, who means the run. Everything here is
 * async-signal-safe. */
static void answer(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    if (orphaned()) {
        alarm(GRACE_SECONDS);
        segment_abort(&run);
    } else {
        segment_ask_checkpoint(&run);
    }
    errno = saved;
}

static void set_signals(void)
{
    /* Compiled kernels may keep what they like where the stack pointer points. */
    static unsigned char stack[64 << 10];
    const stack_t own_stack = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = answer, .sa_flags = SA_ONSTACK};

    sigset_t answered;

    sigaltstack(&own_stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&answered);
    sigaddset(&answered, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &answered, NULL);
    /* Terminals and supervisors send these to the whole group; what they mean is the coordinator's to decide. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a checkpoint beyond the limit is an error like a full disk */
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
}

static void unlink_if_orphaned(void)
{
    if (orphaned())
        segment_unlink(run.header->name);
}

static int wait_for_go(struct stage_block *block, struct error *error)
{
    uint32_t heard = 0;

    while (!atomic_load(&run.board->go)) {
        if (atomic_load(&run.board->abort) || orphaned())
            return error_set(error, "the run was aborted");
        doorbell_wait(&block->doorbell, &heard, clock_now_ns() + UINT64_C(1000000000));
    }
    return 0;
}

static int run_stage(int index, struct error *error)
{
    struct stage_block *block = segment_stage(&run, index);
    struct stage *stage = NULL;
    bool abandoned;
    int failed;

    failed = stage_create(&stage, &run, index, error) || stage_connect(stage, error);
    if (!failed) {
        atomic_store(&block->state, STAGE_READY);
        failed = wait_for_go(block, error);
    }
    if (!failed) {
        atomic_store(&block->state, STAGE_RUNNING);
        failed = stage_run(stage, error);
    }
    /* After a failure a GPU's queue may wait for a neighbour that is dead: nothing of it can be released. */
    abandoned = failed && stage && !stage_on_host(stage);
    if (!abandoned)
        stage_destroy(stage);
    if (failed)
        snprintf(block->error, sizeof(block->error), "%s", error->text);
    /* Pairs with the coordinator's acquire load: the error's text is there. */
    atomic_store(&block->state, failed ? STAGE_FAILED : STAGE_DONE);
    if (abandoned) {
        unlink_if_orphaned();
        _exit(1);
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct error error;
    int64_t descriptor, stage;
    int index, failed;

    if (argc != 3 || parse_int(&descriptor, argv[1], 0, INT32_MAX, &error) ||
        parse_int(&stage, argv[2], 1, MAX_STAGES, &error)) {
        fprintf(stderr, "tpstage: started by tpcoord as `tpstage DESCRIPTOR STAGE`; run `tpcoord CONFIG` instead\n");
        return 2;
    }
    index = (int)stage;
    if (segment_attach(&run, (int)descriptor, rings_bytes, &error)) {
        fprintf(stderr, "tpstage %d: %s\n", index, error.text);
        return 1;
    }
    if (index > run.header->stage_count) {
        fprintf(stderr, "tpstage: the run has %d stages, there is no stage %d\n", run.header->stage_count, index);
        return 2;
    }
    set_signals();
    failed = run_stage(index, &error);
    /* The mapping stays until the process ends: the signal handler uses it. */
    unlink_if_orphaned();
    return failed ? 1 : 0;
}
