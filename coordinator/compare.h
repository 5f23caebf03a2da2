/* Runs several systems in turn on the same seeds, model, partition and data, and sums up what each did. */
#ifndef TP_COORDINATOR_COMPARE_H
#define TP_COORDINATOR_COMPARE_H

#include <jansson.h>
#include <stdio.h>

#include "coordinator/outlet.h"
#include "coordinator/prepare.h"
#include "coordinator/signals.h"
#include "coordinator/steps.h"
#include "picture/picture.h"

struct comparison_request {
    const char *config; /* path */
    const char *const *overrides;
    int override_count;
    const char *systems;     /* "gpipe,1f1b"; NULL: every system there is */
    const char *seeds;       /* "1,2,3"; NULL: the config's */
    const char *target;      /* top-1 to count the epochs to, "0.85" or "85%"; NULL: none */
    bool simulate;           /* nothing will be run: comparison_predict */
    struct signals *signals; /* taken: an interruption ends the planning too */
};

struct comparison;

/* Plans every run, with the partition decided once for all that have as many parts, and makes their folders. Says on
 * stderr what is wrong. The caller destroys the comparison. */
enum exit_status comparison_prepare(struct comparison **comparison, const struct comparison_request *request);

/* Where rows of all runs go (coordinator/steps.h). */
struct steps_output {
    struct outlet *outlet; /* NULL: nowhere; the caller finishes it */
    enum steps_form form;
};

/* Runs them, each seed with all systems before the next, with what they share and how far they are on `out` (see struct
 * run_request). `summaries` receives an array with an object for each system (coordinator/summary.h), written to the folder
 * too, also if some failed or an interruption came between; NULL if there are none. The caller drops the reference. */
enum exit_status comparison_run(struct comparison *comparison, FILE *out, const struct standard_outlets *standard,
                                const struct steps_output *steps, bool quiet, struct signals *signals,
                                json_t **summaries);

/* Prints what each would take on a core or GPU of its own for each stage, and what it would hold: a row for each system, as
 * its plan is simulated. Given times are of the config's micro-batches: a system with larger ones takes longer for each. */
enum exit_status comparison_predict(struct comparison *comparison, int minibatches, FILE *out);

/* Composes what they did as a picture, which the caller releases (coordinator/plot_comparison.h). */
int comparison_plot(const struct comparison *comparison, const json_t *summaries, struct picture *picture,
                    struct error *error);

void comparison_destroy(struct comparison *comparison);

#endif
