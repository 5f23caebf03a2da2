/* The table of update rules. */
#include "rules/update_rule.h"

static const struct update_rule plain = {
    .name = "plain",
    .formula = "g",
    .summary = "the optimizer's own update, whatever the staleness",
};

const struct update_rule *update_rule(enum update_rule_name name)
{
    static const struct update_rule *const rows[UPDATE_RULES] = {
        [UPDATE_PLAIN] = &plain,
        [UPDATE_PIPEMARE] = &update_rule_pipemare,
        [UPDATE_NESTEROV_ASYNC] = &update_rule_nesterov_async,
        [UPDATE_NESTEROV_BY_STAGE] = &update_rule_nesterov_by_stage,
        [UPDATE_SPIKE_COMPENSATION] = &update_rule_spike_compensation,
        [UPDATE_GAP_AWARE] = &update_rule_gap_aware,
        [UPDATE_DC_ASGD] = &update_rule_dc_asgd,
    };
    return rows[name];
}
