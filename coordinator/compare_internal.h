/* A comparison: what it compares, which compare_prepare.c reads and plans and compare.c runs or predicts. */
#ifndef TP_COORDINATOR_COMPARE_INTERNAL_H
#define TP_COORDINATOR_COMPARE_INTERNAL_H

#include "coordinator/compare.h"
#include "coordinator/summary.h"

struct contender {
    const struct system *system;
    struct config_integers partition; /* once it is decided */
    bool planned;
    struct prepared prepared; /* if planned; with the config's seed */
    json_t *runs;             /* reports, of the seeds that were begun */
};

struct comparison {
    struct config config;     /* what all share */
    struct run_folder folder; /* above those of the runs */
    struct shared_data data;  /* of all runs */
    bool warned;              /* of too many threads */
    int64_t seeds[SUMMARY_RUNS_MAX];
    int seed_count;
    double target; /* NaN: none */
    bool failed;   /* a run, or only to leave all that it should */
    int count;
    struct contender contenders[]; /* [count], with room for every system */
};

/* Whether the user has asked to stop; reads the signals that have come. */
bool comparison_interrupted(struct signals *signals);

#endif
