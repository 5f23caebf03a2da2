/* What a layer computes, in doubles and as plainly as can be, independent of every backend: tests of backends compare
 * with it, and a test of its own compares it with finite differences. */
#ifndef TP_TESTS_LAYER_ORACLE_H
#define TP_TESTS_LAYER_ORACLE_H

#include <stdbool.h>

#include "kernels/backend.h"

/* A forward over micro-batches that lie side by side, and one backward over them all with weights of its own. Groups
 * and shapes as in kernels/backend.h. The caller owns the arrays; gradients are written, never added to. */
struct layer_oracle {
    const struct layer *layer;
    int groups;
    const int *group_start;
    double *inputs[LAYER_INPUTS_MAX]; /* NULL behind the last */
    double *forward_weights, *backward_weights;
    double *output_gradient;
    struct draw draw; /* of the first row */

    double *linear_output; /* the output before ReLU */
    double *output;
    double *saved; /* batch norm: per group, mean [C] and biased variance [C] */
    double *masked_gradient;
    double *input_gradients[LAYER_INPUTS_MAX], *weight_gradient;
};

/* Fills linear_output, output and saved, in training. */
void layer_oracle_forward(const struct layer_oracle *oracle);

/* Fills masked_gradient, input_gradients and weight_gradient; after the forward. */
void layer_oracle_backward(const struct layer_oracle *oracle);

/* The largest factor by which the input gradient's terms exceed the masked gradient's: batch norm's 1 / deviation. */
double layer_oracle_amplification(const struct layer_oracle *oracle);

#endif
