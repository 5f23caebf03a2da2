/* The interface that every compute backend fills: one layer's forward and backward, the loss, what
 * becomes of weights.
 *
 * A backend is a table of functions; an engine is a backend opened on a device, and a layer kernel one layer prepared on
 * an engine. What a call computes is queued on the device (device/device.h). Pointers are plain addresses in memory of
 * that device, aligned to their floats and no more, the workspace excepted. All tensors are float, channels-last, and
 * contiguous over rows (samples), laid out as network/network.h says. No call allocates tensors: what it needs beside its
 * operands lies in the workspace. Calls with no rows touch nothing, but a weight gradient that is
 * written and not added to becomes 0, the sum over no rows. */
#ifndef TP_KERNELS_BACKEND_H
#define TP_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "device/device.h"
#include "kernels/dropout.h"
#include "kernels/elements.h"
#include "network/network.h"

/* As PyTorch's defaults. */
#define BATCH_NORM_EPSILON  1e-5f
#define BATCH_NORM_MOMENTUM 0.1f

/* Of norms over each position; as Llama has it. */
#define NORM_EPSILON 1e-5f

struct engine;       /* opaque, one per backend; NULL in those that keep nothing */
struct layer_kernel; /* likewise, never NULL */

struct engine_options {
    int threads; /* of the host, at least 1, that each later call in this process may use */
    bool tf32;   /* products of floats may round their factors to 10 bits, where that is faster */
    bool graphs; /* passes may be recorded and repeated (pass_begin) */
};

struct forward_call {
    int rows;
    bool training; /* batch norm: statistics of these rows (true), or the running ones (false) */
    const float *inputs[LAYER_INPUTS_MAX]; /* [rows][that input]; NULL behind the layer's last */
    const float *weights;                  /* the layer's parameters */
    float *output;                         /* [rows][out] */
    struct draw draw;                      /* of these rows, in training: dropout */

    /* [saved_floats()], written in training: batch norm's mean [C] and biased variance [C] of these rows. */
    float *saved;

    /* Running mean [C] and variance [C]. Read when not training; in training moved towards these rows' (with the
     * unbiased variance, as PyTorch does), or left alone if NULL. */
    float *state;

    void *workspace; /* workspace_bytes(), 64-byte aligned, contents lost */
};

/* One backward over the rows of several micro-batches that lie side by side. `group_start` has groups + 1 entries, the
 * first 0, the last the number of rows: micro-batch g covers rows group_start[g] .. group_start[g + 1] - 1. Only batch
 * norm looks at the borders: it normalised each group by itself. Empty groups are allowed. */
struct backward_call {
    int groups;
    const int *group_start;
    struct draw draw;                      /* of these rows, as their forwards had it */
    const float *inputs[LAYER_INPUTS_MAX]; /* [rows][that input], as the forward read them */
    const float *output;                   /* [rows][out], as the forward wrote it: ReLU's mask is output > 0 */
    const float *weights;                  /* the version that this backward reads */
    const float *saved;                    /* [groups][saved_floats()] from the forward */

    /* [rows][out]. The input half may overwrite it (with ReLU's mask), and the weight half must then be given what the
     * input half left. */
    float *output_gradient;

    /* Each is written, or added to if its flag says so. Two inputs' gradients may lie in one place, where the last one's is
     * written first; and that of an input that is added last of all in the output gradient's. */
    float *input_gradients[LAYER_INPUTS_MAX]; /* [rows][that input], or NULL when nobody needs it */
    float *weight_gradient;                   /* the layer's parameters; sums over rows */
    bool add_input_gradients[LAYER_INPUTS_MAX], add_weight_gradient;

    void *workspace;
};

/* One optimizer step over `count` parameters. Vectors are [count]. */
struct update_call {
    size_t count;
    const float *weights, *gradient;
    float *slots[UPDATE_SLOTS]; /* as enum update_kind says; else NULL */
    float *differences;         /* moved towards what the step makes of the weights, or NULL: */
    float keep_differences;     /* d = keep d + (1 - keep) (new - old) */
    float *new_weights;         /* may be `weights` (in place) */
};

/* One change of a gradient, in place, before the optimizer sees it. Vectors are [count]. */
struct correction_call {
    size_t count;
    const float *live, *forward; /* the newest weights, and those at which the gradient was taken */
    const float *momentum;       /* CORRECTION_GAP, as is */
    float *average;              /* its own */
    float *gradient;
};

/* A term of a sum: coefficient (plus - minus) / (sqrt(square) / root + epsilon), without `minus`, or without the divisor,
 * where these are NULL; no term has both. */
struct combine_term {
    float coefficient;
    const float *plus, *minus, *square;
    float root, epsilon;
};

struct loss_result {
    double loss_sum; /* sum over rows of -log softmax[target] */
    int top1, top5;  /* rows whose target is the first, or among the first five, by logit (ties: lower class first) */
};

/* What a pass reads and writes: passes of equal keys make equal calls. It has no padding. */
struct pass_key {
    const void *pointers[8];
    int numbers[8];
};

struct backend {
    const char *name;
    const struct device_type *device; /* that it computes on */

    /* 0 if this machine can run it, else -1 and why. As with a device's `count`, whoever has called it must not fork. */
    int (*available)(struct error *error);

    /* The device outlives the engine, and the engine its layers. */
    int (*open)(struct engine **out, struct device *device, const struct engine_options *options, struct error *error);
    void (*close)(struct engine *engine);

    /* Bytes of the device's memory that it holds for itself. NULL: none. */
    size_t (*engine_bytes)(const struct engine *engine);

    /* `layer` is copied. */
    int (*layer_create)(struct layer_kernel **out, struct engine *engine, const struct layer *layer,
                        struct error *error);
    void (*layer_destroy)(struct layer_kernel *kernel);

    /* Makes calls with `rows` rows (of all groups together) ready: forward, or backward; of a layer that reads the
     * network's input, only the weight half. May be repeated with other row counts. A call with rows that were not
     * prepared prepares them, which takes time, and fails if the prepared ones' workspace is too small for them. */
    int (*prepare_forward)(struct layer_kernel *kernel, int rows, struct error *error);
    int (*prepare_backward)(struct layer_kernel *kernel, int rows, struct error *error);

    /* Floats kept per forward call beside input and output (batch norm: 2C; others 0). */
    size_t (*saved_floats)(const struct layer_kernel *kernel);

    /* Scratch bytes that the prepared calls need at most. One workspace serves all layers, one call at a time. */
    size_t (*workspace_bytes)(const struct layer_kernel *kernel);

    int (*forward)(struct layer_kernel *kernel, const struct forward_call *call, struct error *error);

    /* The input half computes input_gradients, and for batch norm also weight_gradient, which
     * falls out of the same sums. The weight half computes weight_gradient of convolutions and linear layers and does
     * nothing for others. A whole backward is the input half, then the weight half. */
    int (*backward_input)(struct layer_kernel *kernel, const struct backward_call *call, struct error *error);
    int (*backward_weights)(struct layer_kernel *kernel, const struct backward_call *call, struct error *error);

    /* logits [rows][classes]; gradient [rows][classes] = (softmax - onehot) * scale, or NULL. Adds to *result.
     * `targets` [rows] and `result` lie in host memory that the device reaches, and are read and added to when the device
     * comes to it. */
    int (*softmax_cross_entropy)(struct engine *engine, int rows, int classes, const float *logits,
                                 const int32_t *targets, float scale, float *gradient, struct loss_result *result,
                                 struct error *error);

    /* One step of an optimizer (kernels/elements.h). */
    int (*update)(struct engine *engine, const struct update *update, const struct update_call *call,
                  struct error *error);

    /* A gradient, corrected (kernels/elements.h). */
    int (*correct)(struct engine *engine, const struct correction *correction, const struct correction_call *call,
                   struct error *error);

    /* combined = base + the terms, of which there is one at least: what a pass reads in place of a weight version. All
     * [count]; `combined` is none of the others. */
    int (*combine)(struct engine *engine, size_t count, const float *base, const struct combine_term *terms,
                   int term_count, float *combined, struct error *error);

    /* Adds the sum of vector[count]'s squares to *sum, in host memory that the device reaches, when the device comes to
     * it. The order of the additions depends on `count` alone. */
    int (*sum_of_squares)(struct engine *engine, size_t count, const float *vector, double *sum, struct error *error);

    /* Around the layers' calls of a pass: a backend may keep what it did for a key, and do it again. Then *repeated, and
     * the pass is over; else the calls are made, and pass_end ends it, also if one of them failed. NULL: it never does. */
    int (*pass_begin)(struct engine *engine, const struct pass_key *key, bool *repeated, struct error *error);
    int (*pass_end)(struct engine *engine, struct error *error);
};

extern const struct backend backend_reference;
extern const struct backend backend_onednn;

/* NULL in a program that is linked without it. */
extern const struct backend backend_cuda __attribute__((weak));

/* The n-th backend that is built in (0.., fastest first); NULL behind the last. */
const struct backend *backend_at(int n);

/* The backend of that name; NULL if it is not built in. */
const struct backend *backend_find(const char *name);

/* Slots that an update of this kind has; and -1 if the call lacks one, for the backends. */
int update_slot_count(enum update_kind kind);
int update_check(const struct update *update, const struct update_call *call, struct error *error);

#endif
