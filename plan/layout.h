/* Where a stage's tensors lie: the activations of one slot (what one backward covers: a mini-batch or a micro-batch) in
 * flight, and the scratch of one backward. The plan adds up bytes from it and the stage allocates from it, so that what
 * is planned is what is used.
 *
 * Offsets are in floats: tensor t of a slot occupies [rows][tensor], and each micro-batch its rows within it, so that a
 * batched backward sees one contiguous tensor. */
#ifndef TP_PLAN_LAYOUT_H
#define TP_PLAN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "network/network.h"

/* Tensors that do not lie in the stage's own memory. */
#define TENSOR_IN_LINK ((size_t)-1)

struct layer_layout {
    size_t output; /* in an activation set; TENSOR_IN_LINK: the slot of the stage after */
    size_t saved;  /* in an activation set: [microbatches][saved_floats] */
    size_t saved_floats;
    size_t gradient;      /* of the output: in the gradient scratch; TENSOR_IN_LINK: the slot it arrived in */
    bool gradient_in_set; /* `gradient` is in the activation set instead: it waits there for the weight half */
    bool
        add_input_gradients[LAYER_INPUTS_MAX]; /* somebody before it in the backward has written that input's already */
    bool second_gradient_in_place;             /* the masked output gradient itself becomes the second input's */
};

struct stage_layout {
    int layer_count;
    struct layer_layout *layers; /* [layer_count] */
    size_t input_floats;         /* stage 1: the inputs of one slot, in flight or ahead; else 0, as the input lies
                               in a link's slot */
    size_t set_floats;           /* one activation set, see layout_set_count */
    size_t gradient_floats;      /* the gradient scratch, one in all */
    size_t recomputed_output; /* with recompute, where in the set the last layer's output goes the second time, if the
                                 first time it went to a link's slot; else the layer's own `output` */
};

struct layout_options {
    int rows;         /* that a slot holds at most */
    int microbatches; /* that a slot holds */
    bool first, last; /* stage 1, stage W */
    bool recompute;
    int slots_ahead;     /* stage 1: that the loader fills before a forward asks for them */
    bool split_backward; /* gradients that the weight half reads stay until it is done: in the activation set */
};

/* saved_floats[network->layer_count]: per layer and micro-batch, from the backend. The caller destroys the layout. */
int layout_create(struct stage_layout **out, const struct network *network, const struct slice *slice,
                  const size_t *saved_floats, const struct layout_options *options, struct error *error);
void layout_destroy(struct stage_layout *layout);

/* Activation sets for `slots` slots in flight: one each; or one in all with recompute, unless a weight half is still to
 * read what was recomputed. */
int layout_set_count(const struct layout_options *options, int slots);

/* Floats that `slots` slots in flight take: activation sets, and inputs with those ahead. */
size_t layout_activation_floats(const struct stage_layout *layout, const struct layout_options *options, int slots);

/* What each part is aligned to, in floats (64 bytes: a cache line, an AVX-512 register). */
enum { LAYOUT_ALIGNMENT = 16 };
static inline size_t layout_align(size_t floats)
{
    return (floats + LAYOUT_ALIGNMENT - 1) / LAYOUT_ALIGNMENT * LAYOUT_ALIGNMENT;
}

#endif
