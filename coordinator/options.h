/* tpcoord's command line, read through one table of verbs and one of options. */
#ifndef TP_COORDINATOR_OPTIONS_H
#define TP_COORDINATOR_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/command_line.h"
#include "base/error.h"
#include "coordinator/commands.h"
#include "picture/render.h"
#include "plan/config.h"

struct options {
    const char *program; /* as it was called */
    enum verb verb;
    const char *config;     /* path of the config file */
    const char *run;        /* folder of a run, or of a checkpoint */
    const char *network;    /* a name, or a file; NULL = not given */
    const char *topic;      /* of help; NULL = all */
    char *const *words;     /* of complete; ends with NULL */
    const char **overrides; /* "section.key=value" */
    int override_count;
    char epochs[64]; /* the overrides that --epochs and --init stand for; "": not given */
    char init[CONFIG_PATH_MAX + 16];
    const char *json, *csv;                /* path; "-" = standard output; NULL = none */
    const char *trace, *record;            /* path; NULL = none */
    const char *pictures[PICTURE_FORMATS]; /* path; "-" = standard output; NULL = none */
    const char *sweep;                     /* "section.key=A,B,C"; NULL = none */
    const char *plot;                      /* path; NULL = none */
    const char *steps;                     /* path; NULL = none */
    const char *hosts;                     /* "a:2,b:2"; NULL = this machine */
    const char *launch;                    /* words in place of mpirun's; NULL = these */
    const char *beside;                    /* systems to draw below the plan's own; NULL = none */
    const char *resume;                    /* run folder or checkpoint; "" = to be found; NULL = start anew */
    int stage;                             /* whose ledger of versions is asked for; 0 = not given */
    int ticks, minibatches;                /* 0 = not given */
    const char *systems, *seeds, *target;  /* of a comparison; NULL = not given */
    const char *prompt, *temperature;      /* of a sample; NULL = not given */
    int tokens, seed;                      /* likewise; 0 = not given */
    const char *interactive;               /* "": tpmon may control the run; "paused", "slow": and it begins so */
    bool quiet, grid, simulate, versions, types, help, help_keys, version;
};

/* Reads the command line. -1 and the reason if it makes no sense. Strings are argv's or the options' own, which must
 * not be copied. The caller releases. */
int options_read(struct options *options, int argc, char **argv, struct error *error);
void options_release(struct options *options);

/* Whether a picture is asked for. */
bool options_draw(const struct options *options);

/* The table of options. */
const struct command_line *options_line(void);

#endif
