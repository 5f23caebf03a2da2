/* Update rules: what staleness changes in an update, beside the weights that passes read. Each row adjusts the optimizer's
 * settings or numbers, or corrects the gradient before the optimizer sees it. A file in rules/ per rule; whoever adds one
 * writes such a file, and its line here and in update_rule.c. */
#ifndef TP_RULES_UPDATE_RULE_H
#define TP_RULES_UPDATE_RULE_H

#include "optimizers/optimizer.h"
#include "rules/settings.h"

struct update_facts {
    const struct rule_settings *settings;
    int stages;       /* W */
    int staleness;    /* tau: updates of the part since the mini-batch's forward */
    int nominal;      /* what that is in the full pipeline, in any run */
    int updates;      /* applied before this one */
    double peak_rate; /* the largest of the run */
};

struct update_rule {
    const char *name;
    const char *formula; /* for the reader; g is the gradient, w the newest weights */
    const char *summary;
    bool keeps_forward;  /* the weights at which the gradient was taken are kept until the update */
    enum vector keeps;   /* another vector that is kept from update to update; or VECTOR_NONE */
    bool needs_momentum; /* makes sense only with sgd and its momentum */
    bool needs_moments;  /* makes sense only with an optimizer that has a beta1 */

    /* Each may be NULL. Before the optimizer's numbers are made; behind that; and the correction of the gradient, which is
     * of the weights that keeps_forward keeps. */
    void (*settle)(const struct update_facts *facts, struct optimizer_settings *step);
    void (*adjust)(const struct update_facts *facts, const struct optimizer_settings *step, struct update *update);
    struct correction (*correction)(const struct update_facts *facts, const struct optimizer_settings *step);
};

enum update_rule_name {
    UPDATE_PLAIN,
    UPDATE_PIPEMARE,
    UPDATE_NESTEROV_ASYNC,
    UPDATE_NESTEROV_BY_STAGE,
    UPDATE_SPIKE_COMPENSATION,
    UPDATE_GAP_AWARE,
    UPDATE_DC_ASGD,
    UPDATE_RULES
};
const struct update_rule *update_rule(enum update_rule_name name);

extern const struct update_rule update_rule_pipemare, update_rule_nesterov_async, update_rule_nesterov_by_stage,
    update_rule_spike_compensation, update_rule_gap_aware, update_rule_dc_asgd;

#endif
