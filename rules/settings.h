/* What the user sets for the rules of weights: config's [staleness]. */
#ifndef TP_RULES_SETTINGS_H
#define TP_RULES_SETTINGS_H

enum significance { SIGNIFICANCE_EXPONENTIAL, SIGNIFICANCE_HYPERBOLIC, SIGNIFICANCE_CONSTANT };

struct rule_settings {
    enum significance significance; /* i-timeprest: form of the stale weight's significance, */
    double decay;                   /* and how fast it falls */
    int further;                    /* pipeoptim: steps beyond the staleness */
    double discrepancy;             /* pipemare: D */
    int anneal;                     /* pipemare: K, in updates */
    double momentum;                /* nesterov-async: what beta1 becomes, or comes close to */
    double strength;                /* dc-asgd: lambda */
};

#endif
