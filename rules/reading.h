/* Reading rules: the weights that a pass reads. Each row names the version from which it starts and, where a version alone
 * is not what is read, the terms of a sum. A file in rules/ per rule that has terms; whoever adds one writes such a file,
 * and its line here and in reading.c.
 *
 * A sum is of vectors that the part holds anyway or that the rule asks to be kept; what is read is version + terms. */
#ifndef TP_RULES_READING_H
#define TP_RULES_READING_H

#include <stdbool.h>

#include "optimizers/optimizer.h"
#include "rules/settings.h"

enum version_source {
    SOURCE_LIVE,            /* the newest version of the part */
    SOURCE_PINNED,          /* the one that part 1 had when the micro-batch entered (vertical synchronisation) */
    SOURCE_DOUBLE_BUFFERED, /* for mini-batch i, the phase's version max(0, i - 2) (PipeDream-2BW) */
    SOURCE_FORWARD,         /* the one that this micro-batch's forward read here (horizontal stash) */
    SOURCE_COMMITTED        /* the newest one that every part had applied when the backward began at the last */
};

/* What is known when a pass begins at a part. */
struct reading_facts {
    const struct rule_settings *settings;
    int part; /* 1..C */
    /* tau, in updates of the part. A forward: those between its begin and its micro-batch's update, that one not counted.
     * A backward: those since the micro-batch's forward. */
    int staleness;
    const struct optimizer *optimizer;
    const struct optimizer_settings *step; /* of the next update */
    const struct optimizer_course *course; /* where there was no update, no vector but the weights holds anything */
};

enum { READING_TERMS_MAX = COMBINE_TERMS_MAX };

struct reading {
    const char *name;
    const char *formula; /* of what is read, for the reader: w is the newest version */
    const char *summary;
    enum version_source source;
    bool keeps_forward;  /* the forward's version is kept up to the backward; SOURCE_FORWARD implies it */
    enum vector keeps;   /* another vector that is to be kept from update to update; or VECTOR_NONE */
    bool measures;       /* its tau is each micro-batch's own, whatever staleness.measure says */
    bool needs_momentum; /* makes sense only with an optimizer that keeps one */

    /* Fills in terms[READING_TERMS_MAX] and returns their number: 0 where the version alone is read. NULL: it always
     * is. */
    int (*terms)(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX]);

    /* How stale what is read is, in updates, `staleness` after the micro-batch's forward; NULL: not at all. */
    double (*staleness)(const struct rule_settings *settings, int staleness);
};

enum forward_rule {
    FORWARD_LIVE,
    FORWARD_PINNED,
    FORWARD_DOUBLE_BUFFERED,
    FORWARD_SPECTRAIN,
    FORWARD_PIPEOPTIM,
    FORWARD_MSNAG,
    FORWARD_LINEAR,
    FORWARD_RULES
};

enum backward_rule {
    BACKWARD_LIVE,
    BACKWARD_FORWARD,
    BACKWARD_COMMITTED,
    BACKWARD_INTERMEDIATE,
    BACKWARD_SPECTRAIN,
    BACKWARD_PIPEMARE,
    BACKWARD_RULES
};

/* What the part keeps for the rule with that optimizer, or VECTOR_NONE. */
enum vector reading_keeps(const struct reading *reading, const struct optimizer *optimizer);

/* What the optimizer's newest step would be, were it taken once more: of sgd, its next one if the newest gradient comes
 * again; of moments, their ratio as it is. Fills in terms[2], times `factor`; returns their number. */
int reading_newest_step(const struct reading_facts *facts, double factor, struct term terms[]);

const struct reading *forward_reading(enum forward_rule rule);
const struct reading *backward_reading(enum backward_rule rule);
const char *forward_rule_name(enum forward_rule rule);
const char *backward_rule_name(enum backward_rule rule);

/* pipemare: what an average of differences keeps of itself at an update, for a part of that staleness. */
double differences_kept(const struct rule_settings *settings, int staleness);

/* i-timeprest: how much of a weight that is `staleness` updates old still counts. */
double significance_of(const struct rule_settings *settings, int staleness);

extern const struct reading reading_intermediate, reading_spectrain_forward, reading_spectrain_backward,
    reading_pipeoptim, reading_msnag, reading_linear, reading_pipemare;

#endif
