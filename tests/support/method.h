/* The methods against staleness, written down once more for the oracle: what passes read, and how updates are made, element
 * by element in doubles and from the papers' formulas. */
#ifndef TP_TESTS_METHOD_H
#define TP_TESTS_METHOD_H

#include <stdbool.h>

#include "network/network.h"
#include "schedule/system.h"

enum method_optimizer { METHOD_SGD, METHOD_ADAMW, METHOD_NADAMW };

/* The rules by their names, and the config's numbers. */
struct method {
    enum forward_rule forward;
    enum backward_rule backward;
    enum update_rule_name update;
    enum method_optimizer optimizer;
    bool nesterov, decays_norms;
    double momentum, weight_decay, beta1, beta2, epsilon, momentum_decay, clip_norm;
    size_t together; /* the parameters of the whole network, if their gradient is clipped as one; else 0 */
    enum significance significance;
    double decay, discrepancy, long_momentum, strength, peak_rate;
    int further, anneal; /* anneal: K, in updates */
    bool measured;       /* tau is each mini-batch's own, */
    int nominal[8];      /* or this, by stage */
    int stages;
};

/* Whole networks: what a stage has when it has made so many updates. */
struct method_version {
    double *weights;
    double *momentum, *squares; /* of the optimizer */
    double *gradient;         /* the newest update's, as the optimizer was given it; where a prediction is made of it */
    double *differences;      /* average of the updates; where backwards read it */
    double *squared_momentum; /* average */
    double rate;              /* the schedule's, of the update that comes next */
};

/* A pass of stage s (0..) whose micro-batch went forward from version `forward`, when the stage was at `live` (a forward:
 * when it will be, at the backward). If the rule makes a sum of what it reads, fills in the stage's part of read
 * [parameters] and returns true. Adds to *changed whether the sum is another than the version from which it starts. */
bool method_forward(const struct method *method, const struct method_version *versions, const struct slice *slice,
                    int s, int forward, int live, double *read, int *changed);
bool method_backward(const struct method *method, const struct method_version *versions, const struct slice *slice,
                     int s, int forward, int live, double *read, int *changed);

/* Makes the stage's part of version live + 1, from version live and the mini-batch's gradient [parameters] of the whole
 * network; one_dimensional [parameters] says which are norms and biases. Adds to *changed whether the update is another
 * than the optimizer's alone. */
void method_update(const struct method *method, const struct method_version *versions, const struct slice *slice, int s,
                   int forward, int live, const double *gradient, const bool *one_dimensional, int *changed);

#endif
