/* A run as its coordinator holds it: what run.c, supervise.c and judge.c share. */
#ifndef TP_COORDINATOR_RUN_INTERNAL_H
#define TP_COORDINATOR_RUN_INTERNAL_H

#include "coordinator/checkpoints.h"
#include "coordinator/keep.h"
#include "coordinator/launch.h"
#include "coordinator/process.h"
#include "coordinator/progress.h"
#include "coordinator/report.h"
#include "coordinator/run.h"
#include "coordinator/watchdog.h"
#include "telemetry/drain.h"
#include "telemetry/trace.h"

struct run {
    const struct run_request *request;
    struct segment segment;
    struct processes processes;
    struct launch launch; /* of the nodes on the plan's machines, if it has several */
    int interruptions;    /* of this run */
    bool asked;           /* for a checkpoint, which is not there yet */
    bool going;
    bool stopping;  /* after the mini-batches in flight */
    bool aborted;   /* everybody ends now */
    bool dismissed; /* the name is gone, and stages that are done need not stay */
    bool killed;
    uint64_t kill_at_ns;
    struct outcome outcome;
    struct drain drain;
    struct trace trace;
    struct snapshot *snapshot; /* for the trace's counters; NULL: there are none */
    struct steps steps;
    struct keep keep;
    struct progress_line progress;
    struct checkpoints checkpoints;
    struct watchdog watchdog;
    bool lost;        /* results that should be on a disk */
    bool may_restart; /* it failed by a stage's death or a stall: what another attempt may be spared */
};

/* supervise.c: follows a run that was started until nobody of it is left: lets the stages go when all are ready, obeys
 * signals and the monitor, shows what is done, and ends the run when it must. */
void supervise(struct run *run);

/* judge.c: what has gone wrong, who is named for it, and how the run has ended.
 *
 * The first failure is the run's; what follows are its consequences. */
__attribute__((format(printf, 2, 3))) void run_fail(struct run *run, const char *format, ...);

/* Everybody ends now. */
void run_abort(struct run *run);

/* There is nothing more to watch: the run's name goes, and stages that are done need not stay. They have stayed until now
 * so that, had the coordinator been killed, somebody would have removed the name. */
void run_dismiss(struct run *run);

/* Takes note of stages that have ended or failed, and kills those that were told to end and have not. */
void judge_stages(struct run *run);

/* Likewise of a node that has told why it cannot go on, and of a launcher that has ended, and all that it had started
 * with it. */
void judge_machines(struct run *run);

/* No stage has got on for as long as the config allows. */
void judge_stall(struct run *run);

/* When nobody is left: the run's outcome, for the report and for monitors. */
void judge_run(struct run *run);

#endif
