/* tpstage: the process of one stage. The coordinator starts it with the descriptor of the run's segment and the number
 * of its stage; nobody else should. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/program.h"
#include "device/cores.h"
#include "plan/place.h"
#include "stages/stage.h"
#include "transport/rings.h"

/* For the signal handlers alone. */
static struct segment run;
static int own_stage;

/* What a stage may take to end when nobody is left to kill it. */
enum { GRACE_SECONDS = 3 };

/* Nobody but the stages is left to remove the run's name. */
static void unlink_if_orphaned(void)
{
    if (segment_orphaned(&run))
        segment_unlink(run.header->name);
}

/* Has the coordinator look at the stages' states now. */
static void tell_coordinator(void)
{
    if (!segment_orphaned(&run))
        kill(run.parent, SIGCHLD); /* which does nothing to whoever might have its number by now */
}

/* The coordinator died, in the middle of an op perhaps that takes longer than anyone wants to wait; or somebody asks
 * this stage for a checkpoint, who means the run. Here and below everything is async-signal-safe. */
static void answer(int signal_number)
{
    const int saved = errno;

    (void)signal_number;
    if (segment_orphaned(&run)) {
        alarm(GRACE_SECONDS);
        segment_unlink(run.header->name);
        segment_abort(&run);
    } else {
        segment_ask_checkpoint(&run);
    }
    errno = saved;
}

/* Somebody wants this stage to end; without it the run cannot go on. */
static void ask_for_stop(int signal_number)
{
    const int saved = errno;
    int32_t none = 0;

    (void)signal_number;
    atomic_compare_exchange_strong(&run.board->stop, &none, own_stage);
    segment_ring_all(&run);
    tell_coordinator();
    errno = saved;
}

/* Says what each signal does, whatever was inherited. They are blocked as in the coordinator until that is said. */
static void set_signals(void)
{
    static const struct {
        int number;
        void (*handler)(int);
    } actions[] = {
        {SIGUSR1, answer},
        {SIGTERM, ask_for_stop},
        {SIGALRM, SIG_DFL},
        {SIGPIPE, SIG_DFL},
        /* Terminals and supervisors send these to the whole group; what they mean is the coordinator's to decide. */
        {SIGINT, SIG_IGN},
        {SIGQUIT, SIG_IGN},
        {SIGHUP, SIG_IGN},
        /* A checkpoint beyond the limit is an error like a full disk. */
        {SIGXFSZ, SIG_IGN},
    };
    /* Compiled kernels may keep what they like where the stack pointer points. */
    static unsigned char stack[64 << 10];
    const stack_t own_stack = {.ss_sp = stack, .ss_size = sizeof(stack)};
    sigset_t none;

    sigaltstack(&own_stack, NULL);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        const struct sigaction action = {.sa_handler = actions[i].handler, .sa_flags = SA_ONSTACK};

        sigaction(actions[i].number, &action, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Only a help: it never comes if the coordinator is dead already. */
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
}

static void wait_a_second(struct stage_block *block, uint32_t *heard)
{
    doorbell_wait(&block->doorbell, heard, clock_now_ns() + UINT64_C(1000000000));
}

static int wait_for_go(struct stage_block *block, struct error *error)
{
    uint32_t heard = 0;

    tell_coordinator();
    while (!atomic_load(&run.board->go)) {
        if (segment_check_run(&run, error))
            return -1;
        wait_a_second(block, &heard);
    }
    return 0;
}

/* The run's name is there as long as one process lives that will remove it: so a stage that is done outlives it. */
static void outlive_name(struct stage_block *block)
{
    uint32_t heard = 0;

    tell_coordinator();
    while (!atomic_load(&run.board->dismissed) && !segment_orphaned(&run))
        wait_a_second(block, &heard);
    unlink_if_orphaned();
    if (segment_orphaned(&run) && run.header->lent_folder[0])
        file_remove_tree(AT_FDCWD, run.header->lent_folder);
}

/* Before anything is allocated or started: memory then lies near the core, and threads inherit it. */
static int keep_to_core(int index, struct error *error)
{
    const struct plan *plan = &run.header->plan;
    const int pin = place_pin(&plan->config, index), before = plan_first_stage(plan, plan_machine_of(plan, index));
    const int core = pin == PIN_NEXT ? cores_at(index - before) : pin;

    return pin == PIN_NO || plan_place_of(plan, index) != PLACE_CPU ? 0 : cores_keep_to(core, error);
}

static int run_stage(int index, struct error *error)
{
    /* The first of its parts has the stage's number. */
    struct stage_block *block = segment_stage(&run, index);
    struct stage *stage = NULL;
    bool abandoned;
    int failed;

    failed = keep_to_core(index, error) || stage_create(&stage, &run, index, error) || stage_connect(stage, error);
    if (!failed) {
        stage_set_state(stage, STAGE_READY);
        failed = wait_for_go(block, error);
    }
    if (!failed) {
        stage_set_state(stage, STAGE_RUNNING);
        failed = stage_run(stage, error);
    }
    /* After a failure a GPU's queue may wait for a neighbour that is dead: nothing of it can be released. */
    abandoned = failed && stage && stage_is_on_gpu(stage);
    if (!abandoned)
        stage_destroy(stage);
    if (failed)
        snprintf(block->error, sizeof(block->error), "%s", error->text);
    /* Pairs with the coordinator's acquire load: the error's text is there. */
    atomic_store(&block->state, failed ? STAGE_FAILED : STAGE_DONE);
    outlive_name(block);
    if (abandoned)
        _exit(1);
    return failed;
}

int main(int argc, char **argv)
{
    struct error error;
    int64_t descriptor, stage;

    program_begin();
    if (argc != 3 || parse_int(&descriptor, argv[1], 0, INT32_MAX, &error) ||
        parse_int(&stage, argv[2], 1, MAX_STAGES, &error)) {
        fprintf(stderr, "tpstage: started by tpcoord as `tpstage DESCRIPTOR STAGE`; run `tpcoord CONFIG` instead\n");
        return 2;
    }
    own_stage = (int)stage;
    if (segment_attach(&run, (int)descriptor, rings_bytes, &error)) {
        fprintf(stderr, "tpstage %d: %s\n", own_stage, error.text);
        return 1;
    }
    if (own_stage > run.header->plan.stage_count) {
        fprintf(stderr, "tpstage: the run has %d stages, there is no stage %d\n", run.header->plan.stage_count,
                own_stage);
        return 2;
    }
    run.parent = run.header->coordinator_pid;
    set_signals();
    /* The mapping stays until the process ends: the signal handlers use it. */
    return run_stage(own_stage, &error) ? 1 : 0;
}
