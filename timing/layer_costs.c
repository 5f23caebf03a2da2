#include "timing/layer_costs.h"

#include "base/clock.h"
#include "kernels/backend.h"

/* A mini-batch is run once to warm up and then timed so often. The shortest time counts: whatever disturbs a
 * measurement makes it longer. */
enum { TIMINGS = 3 };

/* What a layer's calls read and write. */
enum array {
    INPUTS,
    INPUT_GRADIENTS = INPUTS + LAYER_INPUTS_MAX,
    OUTPUT = INPUT_GRADIENTS + LAYER_INPUTS_MAX,
    OUTPUT_GRADIENT,
    WEIGHTS,
    WEIGHT_GRADIENT,
    MOMENTUM,
    SQUARES,
    SAVED,
    WORKSPACE,
    ARRAYS
};

/* One layer with everything its calls need, all for an epoch's first mini-batch, which no other exceeds. */
struct bench {
    const struct plan *plan;
    const struct backend *backend;
    struct device *device;
    struct engine *engine;
    const struct layer *layer;
    struct layer_kernel *kernel;
    size_t saved_floats;
    float *arrays[ARRAYS];
};

enum timed { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHTS, UPDATE, TIMED };

/* In one mini-batch. */
struct stopwatch {
    uint64_t start, ns[TIMED];
};

static int prepare(struct bench *bench, const struct plan_rows *rows, struct error *error)
{
    const bool by_group = layer_type_of(bench->layer->kind)->is_norm;
    const int *backward = by_group ? rows->group : rows->backward;
    const int backward_count = by_group ? rows->group_count : rows->backward_count;

    if (bench->backend->layer_create(&bench->kernel, bench->engine, bench->layer, error))
        return -1;
    for (int i = 0; i < rows->forward_count; i++)
        if (bench->backend->prepare_forward(bench->kernel, rows->forward[i], error))
            return -1;
    for (int i = 0; i < backward_count; i++)
        if (bench->backend->prepare_backward(bench->kernel, backward[i], error))
            return -1;
    return 0;
}

/* Floats of each array. */
static void count_floats(size_t floats[ARRAYS], const struct plan *plan, const struct layer *layer, size_t saved_floats,
                         size_t workspace_bytes)
{
    const size_t rows = (size_t)plan_minibatch_rows(plan, 1);

    for (int k = 0; k < LAYER_INPUTS_MAX; k++)
        floats[INPUTS + k] = floats[INPUT_GRADIENTS + k] =
            k < layer->input_count ? rows * shape_size(layer_input_shape(layer, k)) : 0;
    floats[OUTPUT] = floats[OUTPUT_GRADIENT] = rows * shape_size(layer->out);
    floats[WEIGHTS] = floats[WEIGHT_GRADIENT] = layer->parameters;
    floats[MOMENTUM] = floats[SQUARES] = layer->parameters;
    floats[SAVED] = saved_floats * (size_t)plan->schedule.microbatches;
    floats[WORKSPACE] = workspace_bytes / sizeof(float) + 1;
}

size_t layer_costs_bytes(const struct layer_cost *costs, const struct plan *plan, const struct network *network)
{
    size_t most = 0;

    for (int l = 0; l < network->layer_count; l++) {
        size_t floats[ARRAYS], sum = 0, largest = 0;

        count_floats(floats, plan, &network->layers[l], costs[l].saved_floats, costs[l].workspace_bytes);
        for (int i = 0; i < ARRAYS; i++) {
            sum += floats[i];
            largest = floats[i] > largest ? floats[i] : largest;
        }
        /* What an array is filled from lies beside it for a moment. */
        if ((sum + largest) * sizeof(float) > most)
            most = (sum + largest) * sizeof(float);
    }
    return most;
}

/* On the device, with ordinary numbers in it. */
static int allocate(const struct bench *bench, float **out, size_t count, struct error *error)
{
    const struct device_type *type = bench->device->type;
    void *host;
    int failed;

    if (device_floats(bench->device, out, count, "measuring a layer", error) ||
        type->allocate_host(bench->device, &host, count * sizeof(float), "measuring a layer", error))
        return -1;
    for (size_t i = 0; i < count; i++)
        ((float *)host)[i] = 0.01f * (float)(i % 7);
    failed = type->copy(bench->device, *out, host, count * sizeof(float), error) || device_finish(bench->device, error);
    type->release_host(bench->device, host);
    return failed ? -1 : 0;
}

static int allocate_all(struct bench *bench, struct error *error)
{
    size_t floats[ARRAYS];

    count_floats(floats, bench->plan, bench->layer, bench->saved_floats,
                 bench->backend->workspace_bytes(bench->kernel));
    for (int i = 0; i < ARRAYS; i++)
        if (allocate(bench, &bench->arrays[i], floats[i], error))
            return -1;
    return 0;
}

static void release_all(struct bench *bench)
{
    for (int i = 0; i < ARRAYS; i++)
        bench->device->type->release(bench->device, bench->arrays[i]);
    if (bench->kernel)
        bench->backend->layer_destroy(bench->kernel);
}

static void start(struct stopwatch *stopwatch)
{
    stopwatch->start = clock_now_ns();
}

/* Adds the time since the start to what was timed, and starts anew. */
static int lap(struct stopwatch *stopwatch, enum timed timed, const struct bench *bench, struct error *error)
{
    if (device_finish(bench->device, error))
        return -1;
    const uint64_t now = clock_now_ns();

    stopwatch->ns[timed] += now - stopwatch->start;
    stopwatch->start = now;
    return 0;
}

/* From this row on. */
static float *input_at(const struct bench *bench, int arrays, int k, int row)
{
    return bench->arrays[arrays + k] + (size_t)row * shape_size(layer_input_shape(bench->layer, k));
}

static int run_forward(const struct bench *bench, int first, int rows, int microbatch, struct error *error)
{
    const struct layer *layer = bench->layer;
    const size_t out = (size_t)first * shape_size(layer->out);
    struct forward_call call = {
        .rows = rows,
        .training = true,
        .weights = bench->arrays[WEIGHTS],
        .output = bench->arrays[OUTPUT] + out,
        .saved = bench->arrays[SAVED] + (size_t)microbatch * bench->saved_floats,
        .workspace = bench->arrays[WORKSPACE],
    };

    for (int k = 0; k < layer->input_count; k++)
        call.inputs[k] = input_at(bench, INPUTS, k, first);
    return bench->backend->forward(bench->kernel, &call, error);
}

static int run_backward(const struct bench *bench, int groups, const int *starts, int first_group,
                        struct stopwatch *stopwatch, struct error *error)
{
    const struct layer *layer = bench->layer;
    const size_t out = (size_t)starts[0] * shape_size(layer->out);
    int group_start[MAX_MICROBATCHES + 1];
    struct backward_call call = {
        .groups = groups,
        .group_start = group_start,
        .output = bench->arrays[OUTPUT] + out,
        .weights = bench->arrays[WEIGHTS],
        .saved = bench->arrays[SAVED] + (size_t)first_group * bench->saved_floats,
        .output_gradient = bench->arrays[OUTPUT_GRADIENT] + out,
        .weight_gradient = bench->arrays[WEIGHT_GRADIENT],
        .workspace = bench->arrays[WORKSPACE],
    };

    for (int k = 0; k < layer->input_count; k++) {
        call.inputs[k] = input_at(bench, INPUTS, k, starts[0]);
        call.input_gradients[k] =
            layer->inputs[k] == NETWORK_INPUT ? NULL : input_at(bench, INPUT_GRADIENTS, k, starts[0]);
    }
    for (int g = 0; g <= groups; g++)
        group_start[g] = starts[g] - starts[0];
    start(stopwatch);
    return bench->backend->backward_input(bench->kernel, &call, error) ||
           lap(stopwatch, BACKWARD_INPUT, bench, error) ||
           bench->backend->backward_weights(bench->kernel, &call, error) ||
           lap(stopwatch, BACKWARD_WEIGHTS, bench, error);
}

/* A rate of 0: the weights stay what they are, however often this is run. */
static int run_update(const struct bench *bench, struct stopwatch *stopwatch, struct error *error)
{
    const struct optimizer_settings settings = plan_optimizer_settings(bench->plan);
    const struct optimizer_course course = {1, 1.0};
    const struct update update = optimizer_update(plan_optimizer(bench->plan), &settings, &course);
    const struct update_call call = {
        .count = bench->layer->parameters,
        .weights = bench->arrays[WEIGHTS],
        .gradient = bench->arrays[WEIGHT_GRADIENT],
        .slots = {bench->arrays[MOMENTUM], bench->arrays[SQUARES]},
        .new_weights = bench->arrays[WEIGHTS],
    };

    start(stopwatch);
    return bench->backend->update(bench->engine, &update, &call, error) || lap(stopwatch, UPDATE, bench, error);
}

/* One mini-batch as a stage runs it: N forwards, then one backward or N, and an update. */
static int run_minibatch(const struct bench *bench, struct stopwatch *stopwatch, struct error *error)
{
    const struct schedule *schedule = &bench->plan->schedule;
    const int microbatches = schedule->microbatches, groups = schedule->order.whole_backward ? microbatches : 1;
    int starts[MAX_MICROBATCHES + 1];

    for (int j = 0; j <= microbatches; j++)
        starts[j] = microbatch_start(plan_minibatch_rows(bench->plan, 1), microbatches, j);
    start(stopwatch);
    for (int j = 0; j < microbatches; j++)
        if (run_forward(bench, starts[j], starts[j + 1] - starts[j], j, error))
            return -1;
    if (lap(stopwatch, FORWARD, bench, error))
        return -1;
    for (int j = 0; j < microbatches; j += groups)
        if (run_backward(bench, groups, &starts[j], j, stopwatch, error))
            return -1;
    return run_update(bench, stopwatch, error);
}

static int measure(const struct bench *bench, struct layer_cost *cost, struct error *error)
{
    const int forwards = bench->plan->schedule.microbatches;
    const int backwards = bench->plan->schedule.order.whole_backward ? 1 : forwards;
    uint64_t shortest[TIMED] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

    for (int i = 0; i <= TIMINGS; i++) {
        struct stopwatch stopwatch = {0};

        if (run_minibatch(bench, &stopwatch, error))
            return -1;
        for (int k = 0; k < TIMED; k++)
            if (i > 0 && stopwatch.ns[k] < shortest[k])
                shortest[k] = stopwatch.ns[k];
    }
    cost->op_seconds[OP_FORWARD] = 1e-9 * (double)shortest[FORWARD] / forwards;
    cost->op_seconds[OP_BACKWARD_INPUT] = 1e-9 * (double)shortest[BACKWARD_INPUT] / backwards;
    cost->op_seconds[OP_BACKWARD_WEIGHTS] = 1e-9 * (double)shortest[BACKWARD_WEIGHTS] / backwards;
    cost->op_seconds[OP_BACKWARD] = cost->op_seconds[OP_BACKWARD_INPUT] + cost->op_seconds[OP_BACKWARD_WEIGHTS];
    cost->update_seconds = 1e-9 * (double)shortest[UPDATE];
    return 0;
}

/* `bench` has plan, backend, device, engine and layer. */
static int find_cost(struct layer_cost *cost, struct bench bench, const struct plan_rows *rows, bool measured,
                     struct error *error)
{
    const struct backend *backend = bench.backend;
    int result = prepare(&bench, rows, error);

    if (result == 0) {
        bench.saved_floats = cost->saved_floats = backend->saved_floats(bench.kernel);
        cost->workspace_bytes =
            backend->workspace_bytes(bench.kernel) + (backend->engine_bytes ? backend->engine_bytes(bench.engine) : 0);
    }
    if (result == 0 && measured)
        result = allocate_all(&bench, error) || measure(&bench, cost, error);
    release_all(&bench);
    return result ? error_prefix(error, "%s on backend %s", bench.layer->name, backend->name) : 0;
}

int layer_costs_find(struct layer_cost *costs, const struct plan *plan, const struct network *network,
                     const struct plan_stage *stage, bool measured, struct error *error)
{
    const struct config *config = &plan->config;
    const struct engine_options options = {
        .threads = config->device.threads, .tf32 = config->device.tf32, .graphs = config->device.graphs};
    struct bench bench = {.plan = plan, .backend = backend_find(stage->backend)};
    struct plan_rows rows;
    int result = 0;

    if (!bench.backend)
        return error_set(error, "backend %s is not built in", stage->backend);
    if (bench.backend->device->open(&bench.device, stage->device, error))
        return -1;
    if (bench.backend->open(&bench.engine, bench.device, &options, error)) {
        bench.device->type->close(bench.device);
        return -1;
    }
    plan_rows(plan, &rows);
    for (int l = 0; l < network->layer_count && result == 0; l++) {
        bench.layer = &network->layers[l];
        result = find_cost(&costs[l], bench, &rows, measured, error);
    }
    bench.backend->close(bench.engine);
    bench.device->type->close(bench.device);
    return result;
}
