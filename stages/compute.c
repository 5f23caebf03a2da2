#include "stages/compute.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

struct compute {
    const struct plan *plan;
    struct device *device;
    const struct backend *backend;
    struct engine *engine;
    struct network *network;
    struct slice slice;
    struct layout_options options;
    struct stage_layout *layout;
    struct layer_kernel **kernels; /* [slice.layer_count] */
    bool draws;                    /* one of the layers does, in training */
    size_t workspace_bytes;        /* that its kernels need at most */
    float *gradient_scratch;       /* [layout->gradient_floats] */
    void *workspace;
};

static int prepare(struct compute *compute, const struct layer *layer, struct layer_kernel **kernel,
                   const struct plan_rows *rows, struct error *error)
{
    const struct backend *backend = compute->backend;
    const int *backward;
    int count;

    if (backend->layer_create(kernel, compute->engine, layer, error))
        return -1;
    for (int i = 0; i < rows->forward_count; i++)
        if (backend->prepare_forward(*kernel, rows->forward[i], error))
            return -1;
    /* Batch norm normalised each micro-batch by itself; everything else runs one backward over all rows. */
    backward = layer_type_of(layer->kind)->is_norm ? rows->group : rows->backward;
    count = layer_type_of(layer->kind)->is_norm ? rows->group_count : rows->backward_count;
    for (int i = 0; i < count; i++)
        if (backend->prepare_backward(*kernel, backward[i], error))
            return -1;
    return 0;
}

/* `saved_floats` [network->layer_count]: only the part's own are looked at. */
static int create_kernels(struct compute *compute, size_t *saved_floats, struct error *error)
{
    struct plan_rows rows;

    if (plan_rows(compute->plan, &rows))
        return error_set(error, "the plan has too many sizes of micro-batch");
    for (int l = 0; l < compute->slice.layer_count; l++) {
        int global = compute->slice.first_layer + l;
        const struct layer *layer = &compute->network->layers[global];
        size_t bytes;

        if (prepare(compute, layer, &compute->kernels[l], &rows, error))
            return error_prefix(error, "%s on backend %s", layer->name, compute->backend->name);
        compute->draws |= layer_type_of(layer->kind)->draws;
        saved_floats[global] = compute->backend->saved_floats(compute->kernels[l]);
        bytes = compute->backend->workspace_bytes(compute->kernels[l]);
        compute->workspace_bytes = bytes > compute->workspace_bytes ? bytes : compute->workspace_bytes;
    }
    return 0;
}

int compute_create(struct compute **out, const struct backend *backend, struct engine *engine, struct device *device,
                   const struct plan *plan, int part, struct error *error)
{
    const struct network_options network = plan_network_options(plan);
    struct compute *compute = calloc(1, sizeof(*compute));
    size_t *saved_floats = NULL;

    *out = NULL;
    if (!compute)
        return error_set(error, "out of memory");
    compute->device = device;
    compute->backend = backend;
    compute->engine = engine;
    compute->plan = plan;
    compute->slice = plan->parts[part - 1].slice;
    compute->options = plan_layout_options(plan, part);
    if (network_create(&compute->network, &network, error))
        goto fail;
    saved_floats = calloc((size_t)compute->network->layer_count, sizeof(*saved_floats));
    compute->kernels = calloc((size_t)compute->slice.layer_count, sizeof(*compute->kernels));
    if (!saved_floats || !compute->kernels) {
        error_set(error, "out of memory");
        goto fail;
    }
    if (create_kernels(compute, saved_floats, error) ||
        layout_create(&compute->layout, compute->network, &compute->slice, saved_floats, &compute->options, error))
        goto fail;
    free(saved_floats);
    *out = compute;
    return 0;
fail:
    free(saved_floats);
    compute_destroy(compute);
    return -1;
}

void compute_destroy(struct compute *compute)
{
    if (!compute)
        return;
    if (compute->kernels)
        for (int l = 0; l < compute->slice.layer_count; l++)
            if (compute->kernels[l])
                compute->backend->layer_destroy(compute->kernels[l]);
    free(compute->kernels);
    layout_destroy(compute->layout);
    network_destroy(compute->network);
    free(compute);
}

size_t compute_scratch_bytes(const struct compute *compute)
{
    return compute->layout->gradient_floats * sizeof(float) + compute->workspace_bytes;
}

/* Sizes of the layout keep the alignment. */
void compute_use_scratch(struct compute *compute, void *scratch)
{
    compute->gradient_scratch = scratch;
    compute->workspace = compute->gradient_scratch + compute->layout->gradient_floats;
}

const struct network *compute_network(const struct compute *compute)
{
    return compute->network;
}

const struct backend *compute_backend(const struct compute *compute)
{
    return compute->backend;
}

struct engine *compute_engine(const struct compute *compute)
{
    return compute->engine;
}

const struct stage_layout *compute_layout(const struct compute *compute)
{
    return compute->layout;
}

const struct layout_options *compute_layout_options(const struct compute *compute)
{
    return &compute->options;
}

/* Row of the slot with which micro-batch j (1.., N + 1 for the end) begins. */
static int first_row(const struct compute *compute, const struct slot_tensors *tensors, int j)
{
    int microbatches = compute->plan->config.pipeline.microbatches;

    return microbatch_start(tensors->rows, microbatches, j - 1) -
           microbatch_start(tensors->rows, microbatches, tensors->first_microbatch - 1);
}

static const struct layer *layer_at(const struct compute *compute, int l)
{
    return &compute->network->layers[compute->slice.first_layer + l];
}

/* Output of global layer `global` (or the part's input) at row `row`, as the pass in question sees it. */
static float *tensor_at(const struct compute *compute, const struct slot_tensors *tensors, int global, int row,
                        bool recomputed)
{
    int l = global - compute->slice.first_layer;
    size_t offset;

    if (l < 0)
        /* Kernels take inputs as const; dropping the qualifier here keeps one function for inputs and outputs. */
        return (float *)(uintptr_t)tensors->input + (size_t)row * shape_size(layer_at(compute, 0)->in);
    offset = compute->layout->layers[l].output;
    if (offset == TENSOR_IN_LINK && !recomputed)
        return tensors->output + (size_t)row * shape_size(layer_at(compute, l)->out);
    if (offset == TENSOR_IN_LINK)
        offset = compute->layout->recomputed_output;
    return tensors->set + offset + (size_t)row * shape_size(layer_at(compute, l)->out);
}

/* A pass of the part's layers is over all that these say. */
static struct pass_key pass_key(const struct slot_tensors *tensors, int first, int count, int what,
                                const float *weights, const float *more)
{
    return (struct pass_key){
        .pointers = {tensors->input, tensors->output, tensors->set, tensors->output_gradient, tensors->input_gradient,
                     weights, more},
        .numbers = {what, tensors->rows, tensors->first_microbatch, first, count},
    };
}

enum pass { PASS_FORWARD, PASS_TEST, PASS_RECOMPUTE, PASS_BACKWARD };

/* What is drawn for a mini-batch must not come back in another one. */
static bool may_repeat(const struct compute *compute, const struct pass_key *key)
{
    return compute->backend->pass_begin && (!compute->draws || key->numbers[0] == PASS_TEST);
}

/* False if the backend has repeated the pass, or could not begin it. */
static bool pass_begins(struct compute *compute, const struct pass_key *key, int *failed, struct error *error)
{
    bool repeated = false;

    *failed = may_repeat(compute, key) ? compute->backend->pass_begin(compute->engine, key, &repeated, error) : 0;
    return *failed == 0 && !repeated;
}

static int pass_ends(struct compute *compute, const struct pass_key *key, int failed, struct error *error)
{
    struct error ignored;

    if (may_repeat(compute, key) && compute->backend->pass_end(compute->engine, failed ? &ignored : error))
        failed = -1;
    return failed;
}

/* For layer `global` in the rows of micro-batches from j on. */
static struct draw draw_of(const struct compute *compute, const struct slot_tensors *tensors, int global, int j)
{
    const struct config *config = &compute->plan->config;

    return (struct draw){
        .seed = (uint64_t)config->run.seed,
        .minibatch = (uint32_t)tensors->minibatch,
        .layer = (uint32_t)global,
        .row = (uint32_t)microbatch_start(tensors->rows, config->pipeline.microbatches, j - 1),
    };
}

static int forward_layers(struct compute *compute, const struct slot_tensors *tensors, int j, bool training,
                          const float *weights, float *state, bool recompute, struct error *error)
{
    int start = first_row(compute, tensors, j);
    int rows = first_row(compute, tensors, j + 1) - start;

    if (rows == 0)
        return 0;
    for (int l = 0; l < compute->slice.layer_count; l++) {
        const struct layer *layer = layer_at(compute, l);
        const struct layer_layout *own = &compute->layout->layers[l];
        struct forward_call call = {
            .rows = rows,
            .training = training,
            .weights = weights + layer->parameter_offset - compute->slice.parameter_offset,
            .output = tensor_at(compute, tensors, compute->slice.first_layer + l, start, recompute),
            .draw = draw_of(compute, tensors, compute->slice.first_layer + l, j),
            .saved = tensors->set + own->saved + (size_t)(j - tensors->first_microbatch) * own->saved_floats,
            .state = state ? state + layer->state_offset - compute->slice.state_offset : NULL,
            .workspace = compute->workspace,
        };

        for (int k = 0; k < layer->input_count; k++)
            call.inputs[k] = tensor_at(compute, tensors, layer->inputs[k], start, recompute);
        if (compute->backend->forward(compute->kernels[l], &call, error))
            return error_prefix(error, "forward of %s", layer->name);
    }
    return 0;
}

static int forward(struct compute *compute, const struct slot_tensors *tensors, int j, enum pass pass,
                   const float *weights, float *state, struct error *error)
{
    const struct pass_key key = pass_key(tensors, j, 1, (int)pass, weights, state);
    int failed;

    if (!pass_begins(compute, &key, &failed, error))
        return failed;
    failed = forward_layers(compute, tensors, j, pass != PASS_TEST, weights, state, pass == PASS_RECOMPUTE, error);
    return pass_ends(compute, &key, failed, error);
}

int compute_forward(struct compute *compute, const struct slot_tensors *tensors, int j, bool training,
                    const float *weights, float *state, struct error *error)
{
    return forward(compute, tensors, j, training ? PASS_FORWARD : PASS_TEST, weights, state, error);
}

int compute_recompute(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                      const float *weights, struct error *error)
{
    for (int j = first; j < first + count; j++)
        if (forward(compute, tensors, j, PASS_RECOMPUTE, weights, NULL, error))
            return -1;
    return 0;
}

/* Gradient of global layer `global`'s output (or of the part's input, NULL at part 1) at row `row`. */
static float *gradient_at(const struct compute *compute, const struct slot_tensors *tensors, int global, int row)
{
    int l = global - compute->slice.first_layer;
    const struct layer_layout *own;
    float *base;

    if (l < 0)
        return tensors->input_gradient ? tensors->input_gradient + (size_t)row * shape_size(layer_at(compute, 0)->in)
                                       : NULL;
    own = &compute->layout->layers[l];
    if (own->gradient == TENSOR_IN_LINK)
        base = tensors->output_gradient;
    else
        base = (own->gradient_in_set ? tensors->set : compute->gradient_scratch) + own->gradient;
    return base + (size_t)row * shape_size(layer_at(compute, l)->out);
}

int compute_loss(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                 const int32_t *targets, bool differentiate, struct loss_result *result, struct error *error)
{
    int last = compute->slice.first_layer + compute->slice.layer_count - 1;
    int start = first_row(compute, tensors, first);
    int end = first_row(compute, tensors, first + count);
    int per_sample = network_targets_per_sample(compute->network);
    int skipped = microbatch_start(tensors->rows, compute->plan->config.pipeline.microbatches, first - 1);

    return compute->backend->softmax_cross_entropy(
        compute->engine, (end - start) * per_sample, compute->network->classes,
        tensor_at(compute, tensors, last, start, true), targets + (size_t)skipped * (size_t)per_sample,
        1.0f / (float)(tensors->rows * per_sample), differentiate ? gradient_at(compute, tensors, last, start) : NULL,
        result, error);
}

enum { CHUNK_FLOATS = 1 << 16 };

/* Of an array in the device's memory. What cannot be read is not said to be wrong. */
static bool all_finite(const struct compute *compute, const float *values, size_t count)
{
    struct device *device = compute->device;
    struct error ignored;
    void *memory;
    bool finite = true;

    if (device->type->allocate_host(device, &memory, CHUNK_FLOATS * sizeof(float), "a look at an array", &ignored))
        return true;
    for (size_t begin = 0; finite && begin < count; begin += CHUNK_FLOATS) {
        const size_t chunk = count - begin < CHUNK_FLOATS ? count - begin : CHUNK_FLOATS;
        const float *floats = memory;

        if (device->type->copy(device, memory, values + begin, chunk * sizeof(float), &ignored) ||
            device_finish(device, &ignored))
            break;
        for (size_t i = 0; i < chunk; i++)
            finite = finite && isfinite(floats[i]);
    }
    device->type->release_host(device, memory);
    return finite;
}

const struct layer *compute_output_not_finite(const struct compute *compute, const struct slot_tensors *tensors,
                                              int first, int count, bool recomputed)
{
    const int start = first_row(compute, tensors, first), rows = first_row(compute, tensors, first + count) - start;

    for (int l = 0; l < compute->slice.layer_count; l++) {
        const float *output = tensor_at(compute, tensors, compute->slice.first_layer + l, start, recomputed);

        if (!all_finite(compute, output, (size_t)rows * shape_size(layer_at(compute, l)->out)))
            return layer_at(compute, l);
    }
    return NULL;
}

bool compute_input_is_finite(const struct compute *compute, const struct slot_tensors *tensors, int first, int count)
{
    const int start = first_row(compute, tensors, first), rows = first_row(compute, tensors, first + count) - start;

    return all_finite(compute, tensor_at(compute, tensors, layer_at(compute, 0)->inputs[0], start, false),
                      (size_t)rows * shape_size(layer_at(compute, 0)->in));
}

const struct layer *compute_weights_not_finite(const struct compute *compute, const float *weights)
{
    for (int l = 0; l < compute->slice.layer_count; l++) {
        const struct layer *layer = layer_at(compute, l);

        if (!all_finite(compute, weights + layer->parameter_offset - compute->slice.parameter_offset,
                        layer->parameters))
            return layer;
    }
    return NULL;
}

const struct layer *compute_state_not_finite(const struct compute *compute, const float *state)
{
    for (int l = 0; l < compute->slice.layer_count; l++) {
        const struct layer *layer = layer_at(compute, l);

        if (!all_finite(compute, state + layer->state_offset - compute->slice.state_offset, layer->state))
            return layer;
    }
    return NULL;
}

static int backward_layer(struct compute *compute, const struct slot_tensors *tensors, int l, int first,
                          const struct backward_call *rows, int halves, const float *weights, float *gradient,
                          struct error *error)
{
    const struct layer *layer = layer_at(compute, l);
    const struct layer_layout *own = &compute->layout->layers[l];
    int global = compute->slice.first_layer + l;
    int start = first_row(compute, tensors, first);
    bool recompute = compute->options.recompute;
    size_t parameter_offset = layer->parameter_offset - compute->slice.parameter_offset;
    struct backward_call call = *rows;

    for (int k = 0; k < layer->input_count; k++) {
        call.inputs[k] = tensor_at(compute, tensors, layer->inputs[k], start, recompute);
        call.input_gradients[k] = gradient_at(compute, tensors, layer->inputs[k], start);
        call.add_input_gradients[k] = own->add_input_gradients[k];
    }
    call.output = tensor_at(compute, tensors, global, start, recompute);
    call.draw = draw_of(compute, tensors, global, first);
    call.weights = weights + parameter_offset;
    call.saved = tensors->set + own->saved + (size_t)(first - tensors->first_microbatch) * own->saved_floats;
    call.output_gradient = gradient_at(compute, tensors, global, start);
    call.weight_gradient = gradient + parameter_offset;
    call.workspace = compute->workspace;
    if (halves & HALF_INPUT && compute->backend->backward_input(compute->kernels[l], &call, error))
        return error_prefix(error, "backward (input gradient) of %s", layer->name);
    if (halves & HALF_WEIGHTS && compute->backend->backward_weights(compute->kernels[l], &call, error))
        return error_prefix(error, "backward (weight gradient) of %s", layer->name);
    return 0;
}

static int backward_layers(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                           int halves, const float *weights, float *gradient, bool add, struct error *error)
{
    int group_start[MAX_MICROBATCHES + 1];
    int start = first_row(compute, tensors, first);
    struct backward_call rows = {.groups = count, .group_start = group_start, .add_weight_gradient = add};

    for (int g = 0; g <= count; g++)
        group_start[g] = first_row(compute, tensors, first + g) - start;
    if (group_start[count] == 0)
        return 0;
    for (int l = compute->slice.layer_count - 1; l >= 0; l--)
        if (backward_layer(compute, tensors, l, first, &rows, halves, weights, gradient, error))
            return -1;
    return 0;
}

int compute_backward(struct compute *compute, const struct slot_tensors *tensors, int first, int count, int halves,
                     const float *weights, float *gradient, bool add, struct error *error)
{
    const int what = PASS_BACKWARD + (halves << 1 | add);
    const struct pass_key key = pass_key(tensors, first, count, what, weights, gradient);
    int failed;

    if (!pass_begins(compute, &key, &failed, error))
        return failed;
    failed = backward_layers(compute, tensors, first, count, halves, weights, gradient, add, error);
    return pass_ends(compute, &key, failed, error);
}
