/* Optimizers, each a row: how an update moves the weights, the vectors that it keeps from one update to the next, and the
 * way in which it would go on. A file per optimizer; whoever adds one writes such a file and its line in optimizer.c.
 *
 * An update is numbers (kernels/elements.h) that hold for all parameters of a part; backends apply them. */
#ifndef TP_OPTIMIZERS_OPTIMIZER_H
#define TP_OPTIMIZERS_OPTIMIZER_H

#include <stdbool.h>

#include "base/error.h"
#include "kernels/elements.h"

/* Vectors that a part may hold beside its weight versions, and may read in place of one; each [parameters]. */
enum vector {
    VECTOR_NONE,
    VECTOR_LIVE,             /* the newest weights */
    VECTOR_FORWARD,          /* those that the micro-batch's forward read here */
    VECTOR_MOMENTUM,         /* the optimizer's sum or average of gradients */
    VECTOR_SQUARES,          /* its average of their squares */
    VECTOR_GRADIENT,         /* the newest update's */
    VECTOR_DIFFERENCES,      /* an average of new - old weights over the updates */
    VECTOR_SQUARED_MOMENTUM, /* an average of the momentum's squares */
    VECTORS
};

/* A vector that goes on from update to update, as memory, checkpoints and resume know it. */
struct slot {
    enum vector vector;
    const char *name; /* in files: PyTorch's, where it has one */
};

/* What is set for an optimizer, the rate of this update included. */
struct optimizer_settings {
    double rate;
    double momentum; /* sgd; 0: none */
    bool nesterov;
    double beta1, beta2, epsilon; /* of moments */
    double momentum_decay;        /* nadamw */
    double weight_decay;
    double gradient_scale; /* 1, or less where the gradient is clipped */
};

/* coefficient (plus - minus) / (sqrt(square) / root + epsilon): kernels/backend.h's terms, before the vectors lie
 * somewhere. */
struct term {
    double coefficient;
    enum vector plus, minus, square;
    double root, epsilon;
};

/* Where the updates stand, for optimizers whose numbers depend on all those before. */
struct optimizer_course {
    int updates;
    double product; /* of the momenta of all of them */
};

struct optimizer {
    const char *name;
    const char *summary;
    const char *source;
    enum update_kind kind;
    struct slot slots[UPDATE_SLOTS]; /* those of `kind`, in its order */
    bool decays_all;                 /* weight decay is of norms and biases as well, unless the user says otherwise */

    /* The momentum of update number `update` (1..), where it is not the same for all; else NULL. */
    double (*momentum)(const struct optimizer_settings *settings, int update);

    /* Fills in the numbers of the update that follows `course`. */
    void (*prepare)(const struct optimizer_settings *settings, const struct optimizer_course *course,
                    struct update *update);

    /* What update number course->updates + j would subtract from the weights, were no gradient to come and the rate 1: a
     * term of the slots as they are, j = 1.., weight decay and the ageing of squares left out. With j = 0, what the newest
     * update has subtracted by way of the momentum. There has been an update. */
    struct term (*direction)(const struct optimizer_settings *settings, const struct optimizer_course *course, int j);
};

/* The n-th row (0..); NULL behind the last. And the row of that name, NULL if there is none. */
const struct optimizer *optimizer_at(int n);
const struct optimizer *optimizer_find(const char *name);

/* Without momentum, sgd keeps nothing. */
enum update_kind optimizer_kind(const struct optimizer *optimizer, const struct optimizer_settings *settings);
int optimizer_slot_count(const struct optimizer *optimizer, const struct optimizer_settings *settings);

/* Goes on to behind `updates` updates, from wherever the course stood: {0} at first. */
void optimizer_catch_up(const struct optimizer *optimizer, const struct optimizer_settings *settings, int updates,
                        struct optimizer_course *course);

/* The update that follows `course`. */
struct update optimizer_update(const struct optimizer *optimizer, const struct optimizer_settings *settings,
                               const struct optimizer_course *course);

extern const struct optimizer optimizer_sgd, optimizer_adamw, optimizer_nadamw;

#endif
