/* From a config file to a finished plan: read, check, count the data, find the devices, probe the backends. */
#ifndef TP_COORDINATOR_PREPARE_H
#define TP_COORDINATOR_PREPARE_H

#include "checkpoint/sets.h"
#include "coordinator/devices.h"
#include "coordinator/signals.h"
#include "plan/plan.h"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 3 };

/* A data set that is read once, for any number of plans and runs. */
struct shared_data {
    struct data_facts facts; /* all 0 until it is read */
    int descriptor;          /* of dataset_share, for the stages; 0: they open the data set by themselves */
};

struct preparation {
    const char *path; /* of the config file */
    const char *const *overrides;
    int override_count;
    const char *hosts; /* on which the stages are (coordinator/hosts.h); NULL: all on this machine */
    const char
        *launch; /* a prediction's cables are measured by these words' launcher (coordinator/launch.h); NULL: mpirun */
    const struct plan *cables; /* they were measured for this plan, on the same hosts; NULL: they were not yet */
    enum { PREPARE_SCHEDULE, PREPARE_PLAN, PREPARE_RUN } depth;
    const char *resume;       /* PREPARE_RUN: what --resume says; NULL: a new run */
    const char *test;         /* PREPARE_RUN: the checkpoint that is only tested, or its run; then `path` is NULL */
    struct shared_data *data; /* runs will follow, so the plan must fit into this machine's memory: their data, filled
                                 if it is not yet read, and released by the caller; NULL: none will */
    bool warned;              /* of too many threads, in a preparation before this one */
    bool simulated;           /* a prediction will follow: what times the config does not give are measured; if it gives
                                 all, the data set need not be there */
    bool compared;            /* and is one of several: times that its system does not use are another's */
    struct signals
        *signals; /* an interruption ends the probing; NULL: they have not been taken, and no cable is measured */
};

struct prepared {
    struct plan plan; /* with PREPARE_SCHEDULE only what plan_begin fills */
    struct network *network;
    struct devices devices;     /* likewise not with PREPARE_SCHEDULE */
    struct run_folder folder;   /* PREPARE_RUN: the run's, open */
    struct checkpoint_set from; /* where it resumes; without stages if it does not */
};

/* Says on stderr what is wrong: EXIT_USAGE if the user can mend it in the config, the data or the folders,
 * EXIT_INTERRUPTED if that came, EXIT_FAILED otherwise; then there is nothing to release. */
enum exit_status prepare(struct prepared *prepared, const struct preparation *preparation);
void prepared_release(struct prepared *prepared);
void shared_data_release(struct shared_data *data);

/* Says on stderr why stages run on the CPU if there is a GPU that they would have been put on. */
void prepared_say_gpu_left_out(const struct prepared *prepared);

/* And if this machine has not got what a run asks for, its cores, its memory or a GPU's: of plans that no run follows. */
void prepared_say_room(const struct prepared *prepared);

#endif
