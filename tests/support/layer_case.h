/* Layers with random operands, and backends that run them: what the tests of backends have in common. */
#ifndef TP_TESTS_LAYER_CASE_H
#define TP_TESTS_LAYER_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"
#include "tests/support/layer_oracle.h"
#include "tests/support/machine.h"

enum { CASE_GROUPS_MAX = 40, CASE_NAME_MAX = 200 };

/* One layer, its operands, and what its gradients are added to. */
struct layer_case {
    struct layer layer;
    char name[CASE_NAME_MAX];
    int groups, group_start[CASE_GROUPS_MAX + 1];
    struct draw draw; /* of the first row */
    struct guarded inputs[LAYER_INPUTS_MAX], forward_weights, backward_weights, output_gradient, state;
    bool add_input_gradients[LAYER_INPUTS_MAX], add_weight_gradient;
    struct guarded input_gradients[LAYER_INPUTS_MAX], weight_gradient;
};

/* Half of the cases have other weights in the backward than in the forward, half of the gradients are added to, and in half
 * of the cases tensors are aligned. */
void layer_case_create(struct layer_case *it, struct dice *dice, const struct layer *layer, int groups,
                       const int *group_rows);

/* Draws its inputs anew. */
void layer_case_fill(struct layer_case *it, struct dice *dice);

/* Rounds the inputs to whole numbers: many are equal. */
void layer_case_round(struct layer_case *it);
void layer_case_destroy(struct layer_case *it);

/* Floats of input k in so many rows; 0 if there is none. */
static inline size_t layer_case_input(const struct layer *layer, int k, int rows)
{
    return k < layer->input_count ? (size_t)rows * shape_size(layer_input_shape(layer, k)) : 0;
}

static inline int layer_case_rows(const struct layer_case *it)
{
    return it->group_start[it->groups];
}

/* Any kind of layer, of at most so many multiply-adds a row; up to 5 groups of 0 to 4 rows. */
struct layer layer_random(struct dice *dice, size_t limit);
int groups_random(struct dice *dice, int group_rows[CASE_GROUPS_MAX]);

/* A layer on a backend, prepared for a case, with exactly the workspace that it asks for. */
struct workbench {
    struct machine machine;
    const struct backend *backend;
    struct layer_kernel *kernel;
    unsigned char *workspace; /* the device's */
    size_t workspace_bytes;
};

void workbench_create(struct workbench *bench, const struct backend *backend, const struct engine_options *options,
                      const struct layer_case *it);
void workbench_destroy(struct workbench *bench);

/* What came out. `output_gradient` is what the input half left of it. */
struct outcome {
    struct guarded output, saved, state;
    struct guarded output_gradient, input_gradients[LAYER_INPUTS_MAX], weight_gradient;
};

/* Every group's forward, in training. */
void workbench_forward(struct workbench *bench, const struct layer_case *it, struct dice *dice,
                       struct outcome *outcome);

/* Both halves, after the forward, each checked not to touch the other's result. */
void workbench_backward(struct workbench *bench, const struct layer_case *it, struct dice *dice,
                        struct outcome *outcome);
void outcome_destroy(struct outcome *outcome);

/* The two in parts: tensors to write to, and the calls alone, on tensors that stay lent. */
void outcome_create_forward(struct outcome *outcome, const struct layer_case *it, struct dice *dice);
void outcome_create_backward(struct outcome *outcome, const struct layer_case *it, struct dice *dice);
void workbench_call_forward(struct workbench *bench, const struct layer_case *it, struct outcome *outcome);
void workbench_call_backward(struct workbench *bench, const struct layer_case *it, struct outcome *outcome);

/* The oracle of a case. Its forward is done; its backward takes ReLU's mask from `output`, a backend's, so that a value
 * on the edge does not count as wrong. */
struct layer_oracle *case_oracle(const struct layer_case *it);
void case_oracle_backward(struct layer_oracle *oracle, const struct guarded *output);
void case_oracle_destroy(struct layer_oracle *oracle);

#endif
