/* Layers with random operands, and backends that run them: what the tests of backends have in common. Every tensor lies
 * between guards, aligned to a float and no more, and holds NaN until it is written. */
#ifndef TP_TESTS_LAYER_CASE_H
#define TP_TESTS_LAYER_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"
#include "tests/support/layer_oracle.h"

/* A stream of random numbers; its seed is in every message. */
struct dice {
    uint64_t seed, drawn;
};

int dice_between(struct dice *dice, int low, int high);
float dice_normal(struct dice *dice);

struct guarded {
    float *memory, *values;
    size_t count;
};

struct guarded guarded_create(struct dice *dice, size_t count);
struct guarded guarded_normal(struct dice *dice, size_t count, float scale);
struct guarded guarded_copy(struct dice *dice, const struct guarded *from);

/* Fails the test if a guard was overwritten. */
void guarded_destroy(struct guarded *tensor);

/* The caller frees them. */
double *guarded_doubles(const struct guarded *tensor);

enum { CASE_GROUPS_MAX = 5, CASE_NAME_MAX = 160 };

/* One layer, its operands, and what its gradients are added to. */
struct layer_case {
    struct layer layer;
    char name[CASE_NAME_MAX];
    int groups, group_start[CASE_GROUPS_MAX + 1];
    struct guarded input, residual, forward_weights, backward_weights, output_gradient, state;
    bool add_input_gradient, add_residual_gradient, add_weight_gradient;
    struct guarded input_gradient, residual_gradient, weight_gradient;
};

/* Half of the cases have other weights in the backward than in the forward, and half of the gradients are added to. */
void layer_case_create(struct layer_case *it, struct dice *dice, const struct layer *layer, int groups,
                       const int *group_rows);
void layer_case_destroy(struct layer_case *it);

static inline int layer_case_rows(const struct layer_case *it)
{
    return it->group_start[it->groups];
}

/* Any kind of layer, of at most so many multiply-adds a row; groups of 0 to 4 rows. */
struct layer layer_random(struct dice *dice, size_t limit);
int groups_random(struct dice *dice, int group_rows[CASE_GROUPS_MAX]);

/* A layer on a backend, prepared for a case, with exactly the workspace that it asks for. */
struct workbench {
    const struct backend *backend;
    struct device *device;
    struct engine *engine;
    struct layer_kernel *kernel;
    unsigned char *workspace;
    size_t workspace_bytes;
};

void workbench_create(struct workbench *bench, const struct backend *backend, int threads, const struct layer_case *it);
void workbench_destroy(struct workbench *bench);

/* What came out. `output_gradient` is what the input half left of it. */
struct outcome {
    struct guarded output, saved, state;
    struct guarded output_gradient, input_gradient, residual_gradient, weight_gradient;
};

/* Every group's forward, in training. */
void workbench_forward(const struct workbench *bench, const struct layer_case *it, struct dice *dice,
                       struct outcome *outcome);

/* Both halves, after the forward, each checked not to touch the other's result. */
void workbench_backward(const struct workbench *bench, const struct layer_case *it, struct dice *dice,
                        struct outcome *outcome);
void outcome_destroy(struct outcome *outcome);

/* The oracle of a case. Its forward is done; its backward takes ReLU's mask from `output`, a backend's, so that a value
 * on the edge does not count as wrong. */
struct layer_oracle *case_oracle(const struct layer_case *it);
void case_oracle_backward(struct layer_oracle *oracle, const struct guarded *output);
void case_oracle_destroy(struct layer_oracle *oracle);

#endif
