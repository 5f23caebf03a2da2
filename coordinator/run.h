/* Carries out a plan: starts the stages, watches over them, shows progress, reports. */
#ifndef TP_COORDINATOR_RUN_H
#define TP_COORDINATOR_RUN_H

#include <jansson.h>
#include <stdio.h>

#include "coordinator/outlet.h"
#include "coordinator/prepare.h"
#include "coordinator/signals.h"
#include "coordinator/steps.h"

struct run_request {
    const struct plan *plan;
    struct run_folder *folder;   /* of the run, open */
    int data;                    /* descriptor of the data set (dataset_share); 0: stages open it by themselves */
    struct checkpoint_set *from; /* where it resumes; or NULL */
    bool only_test;              /* what `from` has learned: nothing is trained or written */
    const char *program;         /* as tpcoord was called, to say how to go on */
    const char *config;          /* its path, likewise; NULL: the run is not to be gone on with */
    const char *const *overrides;
    int override_count;                      /* that were given with it */
    const char *hosts, *launch;              /* likewise; NULL: were not given */
    bool joins;                              /* nodes of other machines were started with this process */
    struct signals *signals;                 /* taken */
    FILE *out;                               /* progress and report: `stdout` or `stderr`, */
    const struct standard_outlets *standard; /* which write in the background; NULL: they do not */
    struct outlet *trace;                    /* or NULL */
    struct outlet *record;                   /* or NULL; then, if run.record says so, it is in the folder */
    struct outlet *steps;                    /* or NULL; somebody else finishes it */
    enum steps_form steps_form;
    bool interactive; /* tpmon may pause, step and slow the stages */
    bool paused;      /* and they are held until it lets them go, */
    bool slow;        /* or run in slow motion until it changes that */
    bool quiet;
    const char *label; /* the run is one of several: this stands before its messages, and its progress is one line; or
                          NULL */
};

/* Returns when every stage has ended and nothing of the run is left but its folder. `report` is the plan's JSON, to
 * which the run's members are added, if the run came so far as to have any. Says on stderr why a run failed. */
enum exit_status run_execute(const struct run_request *request, json_t *report);

#endif
