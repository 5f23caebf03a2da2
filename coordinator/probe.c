#include "coordinator/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "coordinator/child.h"
#include "coordinator/room.h"
#include "data/data.h"
#include "kernels/backend.h"

/* A mini-batch is run once to warm up and then timed so often. The shortest time counts: whatever disturbs a
 * measurement makes it longer. */
enum { TIMINGS = 3 };

/* When somebody who waits wants to know for what. */
enum { PATIENCE_SECONDS = 3 };

/* One layer with everything its calls need, all for an epoch's first mini-batch, which no other exceeds. */
struct bench {
    const struct backend *backend;
    struct device *device;
    struct engine *engine;
    const struct layer *layer;
    struct layer_kernel *kernel;
    size_t saved_floats, workspace_bytes;
    float *input, *residual, *output, *output_gradient, *input_gradient, *residual_gradient;
    float *weights, *weight_gradient, *slots[UPDATE_SLOTS], *saved, *workspace;
};

/* Nanoseconds, in one mini-batch. */
struct stopwatch {
    uint64_t forward, backward_input, backward_weights, update;
};

static int prepare(struct bench *bench, const struct plan_rows *rows, struct error *error)
{
    const bool by_group = bench->layer->kind == LAYER_BATCH_NORM;
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

enum { ARRAYS = 12 };

struct array {
    float **floats;
    size_t count;
};

static void list_arrays(struct bench *bench, const struct plan *plan, struct array arrays[ARRAYS])
{
    const struct layer *layer = bench->layer;
    const size_t rows = (size_t)plan_minibatch_rows(plan, 1);
    const size_t in = rows * shape_size(layer->in), out = rows * shape_size(layer->out);
    const struct array list[ARRAYS] = {
        {&bench->input, in},
        {&bench->residual, out},
        {&bench->output, out},
        {&bench->output_gradient, out},
        {&bench->input_gradient, in},
        {&bench->residual_gradient, out},
        {&bench->weights, layer->parameters},
        {&bench->weight_gradient, layer->parameters},
        {&bench->slots[0], layer->parameters},
        {&bench->slots[1], layer->parameters},
        {&bench->saved, bench->saved_floats * (size_t)plan->schedule.microbatches},
        {&bench->workspace, bench->workspace_bytes / sizeof(float) + 1},
    };

    memcpy(arrays, list, sizeof(list));
}

static int allocate_all(struct bench *bench, const struct plan *plan, struct error *error)
{
    struct array arrays[ARRAYS];

    list_arrays(bench, plan, arrays);
    for (int i = 0; i < ARRAYS; i++)
        if (allocate(bench, arrays[i].floats, arrays[i].count, error))
            return -1;
    return 0;
}

/* Most bytes at once that measuring layers takes. costs[network->layer_count], of their place. */
static size_t bytes_of_measuring(const struct plan *plan, const struct network *network, const struct layer_cost *costs)
{
    size_t most = 0;

    for (int l = 0; l < network->layer_count; l++) {
        struct bench bench = {.layer = &network->layers[l],
                              .saved_floats = costs[l].saved_floats,
                              .workspace_bytes = costs[l].workspace_bytes};
        struct array arrays[ARRAYS];
        size_t sum = 0, largest = 0;

        list_arrays(&bench, plan, arrays);
        for (int i = 0; i < ARRAYS; i++) {
            sum += arrays[i].count;
            largest = arrays[i].count > largest ? arrays[i].count : largest;
        }
        /* What an array is filled from lies beside it for a moment. */
        if ((sum + largest) * sizeof(float) > most)
            most = (sum + largest) * sizeof(float);
    }
    return most;
}

static void bench_destroy(struct bench *bench, const struct plan *plan)
{
    struct array arrays[ARRAYS];

    list_arrays(bench, plan, arrays);
    for (int i = 0; i < ARRAYS; i++)
        bench->device->type->release(bench->device, *arrays[i].floats);
    if (bench->kernel)
        bench->backend->layer_destroy(bench->kernel);
}

static int run_forward(struct bench *bench, int first, int rows, int microbatch, struct error *error)
{
    const size_t in = (size_t)first * shape_size(bench->layer->in), out = (size_t)first * shape_size(bench->layer->out);
    const struct forward_call call = {
        .rows = rows,
        .training = true,
        .input = bench->input + in,
        .residual = bench->layer->residual == NO_RESIDUAL ? NULL : bench->residual + out,
        .weights = bench->weights,
        .output = bench->output + out,
        .saved = bench->saved + (size_t)microbatch * bench->saved_floats,
        .workspace = bench->workspace,
    };

    return bench->backend->forward(bench->kernel, &call, error);
}

/* Adds the time since *start, and starts anew. */
static int lap(struct bench *bench, uint64_t *sum, uint64_t *start, struct error *error)
{
    if (device_finish(bench->device, error))
        return -1;
    const uint64_t now = clock_now_ns();

    *sum += now - *start;
    *start = now;
    return 0;
}

static int run_backward(struct bench *bench, int groups, const int *starts, int first_group,
                        struct stopwatch *stopwatch, struct error *error)
{
    const struct layer *layer = bench->layer;
    const size_t in = (size_t)starts[0] * shape_size(layer->in), out = (size_t)starts[0] * shape_size(layer->out);
    int group_start[MAX_MICROBATCHES + 1];
    const struct backward_call call = {
        .groups = groups,
        .group_start = group_start,
        .input = bench->input + in,
        .output = bench->output + out,
        .weights = bench->weights,
        .saved = bench->saved + (size_t)first_group * bench->saved_floats,
        .output_gradient = bench->output_gradient + out,
        .input_gradient = layer->input == NETWORK_INPUT ? NULL : bench->input_gradient + in,
        .residual_gradient = layer->residual == NO_RESIDUAL ? NULL : bench->residual_gradient + out,
        .weight_gradient = bench->weight_gradient,
        .workspace = bench->workspace,
    };

    for (int g = 0; g <= groups; g++)
        group_start[g] = starts[g] - starts[0];
    uint64_t start = clock_now_ns();
    return bench->backend->backward_input(bench->kernel, &call, error) ||
           lap(bench, &stopwatch->backward_input, &start, error) ||
           bench->backend->backward_weights(bench->kernel, &call, error) ||
           lap(bench, &stopwatch->backward_weights, &start, error);
}

/* A rate of 0: the weights stay what they are, however often this is run. */
static int run_update(struct bench *bench, const struct plan *plan, struct stopwatch *stopwatch, struct error *error)
{
    struct optimizer_settings settings = plan_optimizer_settings(plan);
    const struct optimizer_course course = {1, 1.0};
    const struct update update = optimizer_update(plan_optimizer(plan), &settings, &course);
    struct update_call call = {
        .count = bench->layer->parameters,
        .weights = bench->weights,
        .gradient = bench->weight_gradient,
        .new_weights = bench->weights,
    };
    uint64_t start = clock_now_ns();

    for (int k = 0; k < update_slot_count(update.kind); k++)
        call.slots[k] = bench->slots[k];
    return bench->backend->update(bench->engine, &update, &call, error) ||
           lap(bench, &stopwatch->update, &start, error);
}

/* One mini-batch as a stage runs it: N forwards, then one backward or N, and an update. */
static int run_minibatch(struct bench *bench, const struct plan *plan, struct stopwatch *stopwatch, struct error *error)
{
    const int microbatches = plan->schedule.microbatches;
    const int groups = plan->schedule.order.whole_backward ? microbatches : 1;
    int starts[MAX_MICROBATCHES + 1];

    for (int j = 0; j <= microbatches; j++)
        starts[j] = microbatch_start(plan_minibatch_rows(plan, 1), microbatches, j);
    uint64_t start = clock_now_ns();
    for (int j = 0; j < microbatches; j++)
        if (run_forward(bench, starts[j], starts[j + 1] - starts[j], j, error))
            return -1;
    if (lap(bench, &stopwatch->forward, &start, error))
        return -1;
    for (int j = 0; j < microbatches; j += groups)
        if (run_backward(bench, groups, &starts[j], j, stopwatch, error))
            return -1;
    return run_update(bench, plan, stopwatch, error);
}

static void keep_shortest(uint64_t *shortest, uint64_t time)
{
    *shortest = time < *shortest ? time : *shortest;
}

static int measure(struct bench *bench, const struct plan *plan, struct layer_cost *cost, struct error *error)
{
    const int forwards = plan->schedule.microbatches;
    const int backwards = plan->schedule.order.whole_backward ? 1 : forwards;
    struct stopwatch shortest = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

    for (int i = 0; i <= TIMINGS; i++) {
        struct stopwatch time = {0};

        if (run_minibatch(bench, plan, &time, error))
            return -1;
        if (i == 0)
            continue;
        keep_shortest(&shortest.forward, time.forward);
        keep_shortest(&shortest.backward_input, time.backward_input);
        keep_shortest(&shortest.backward_weights, time.backward_weights);
        keep_shortest(&shortest.update, time.update);
    }
    cost->op_seconds[OP_FORWARD] = 1e-9 * (double)shortest.forward / forwards;
    cost->op_seconds[OP_BACKWARD_INPUT] = 1e-9 * (double)shortest.backward_input / backwards;
    cost->op_seconds[OP_BACKWARD_WEIGHTS] = 1e-9 * (double)shortest.backward_weights / backwards;
    cost->op_seconds[OP_BACKWARD] = cost->op_seconds[OP_BACKWARD_INPUT] + cost->op_seconds[OP_BACKWARD_WEIGHTS];
    cost->update_seconds = 1e-9 * (double)shortest.update;
    return 0;
}

/* `bench` has backend, device and engine. */
static int probe_layer(struct bench bench, const struct layer *layer, const struct plan *plan,
                       const struct plan_rows *rows, bool measured, struct layer_cost *cost, struct error *error)
{
    int result = -1;

    bench.layer = layer;
    if (prepare(&bench, rows, error))
        goto out;
    bench.saved_floats = cost->saved_floats = bench.backend->saved_floats(bench.kernel);
    bench.workspace_bytes = bench.backend->workspace_bytes(bench.kernel);
    cost->workspace_bytes =
        bench.workspace_bytes + (bench.backend->engine_bytes ? bench.backend->engine_bytes(bench.engine) : 0);
    if (measured && (allocate_all(&bench, plan, error) || measure(&bench, plan, cost, error)))
        goto out;
    result = 0;
out:
    bench_destroy(&bench, plan);
    return result ? error_prefix(error, "%s on backend %s", layer->name, bench.backend->name) : 0;
}

/* costs[network->layer_count], of the stage's backend on the stage's device. */
static int probe_stage(const struct probe_request *request, bool measured, const struct plan_stage *stage,
                       struct layer_cost *costs, struct error *error)
{
    const struct config *config = &request->plan->config;
    const struct engine_options options = {
        .threads = config->device.threads, .tf32 = config->device.tf32, .graphs = config->device.graphs};
    struct bench bench = {.backend = backend_find(stage->backend)};
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
    plan_rows(request->plan, &rows);
    for (int l = 0; l < request->network->layer_count && result == 0; l++)
        result = probe_layer(bench, &request->network->layers[l], request->plan, &rows, measured, &costs[l], error);
    bench.backend->close(bench.engine);
    bench.device->type->close(bench.device);
    return result;
}

/* The first stage of each place stands for all of them. */
static int probe_places(const struct probe_request *request, bool measured, struct layer_cost *costs,
                        struct error *error)
{
    bool done[PLACES] = {false};

    for (int s = 1; s <= request->plan->stage_count; s++) {
        const enum stage_place place = plan_place_of(request->plan, s);

        if (!done[place] && probe_stage(request, measured, plan_stage(request->plan, s),
                                        &costs[(int)place * request->network->layer_count], error))
            return -1;
        done[place] = true;
    }
    return 0;
}

/* By costs without seconds; they would move the partition, but hardly the sum. */
static int check_room(const struct probe_request *request, const struct layer_cost *costs, struct error *error)
{
    const struct network *network = request->network;
    struct plan plan = *request->plan;
    bool on_cpu = false;

    for (int s = 1; s <= plan.stage_count; s++)
        on_cpu = on_cpu || plan_place_of(&plan, s) == PLACE_CPU;
    if (request->runs && (plan_finish(&plan, network, costs, error) || room_check(&plan, error)))
        return -1;
    if (!request->measured || !on_cpu)
        return 0;
    return room_check_bytes(bytes_of_measuring(&plan, network, &costs[PLACE_CPU * network->layer_count]),
                            "measuring the layers", "lower data.batch", error);
}

/* In the child. */
static int probe(const void *context, void *result, struct error *error)
{
    const struct probe_request *request = context;
    struct layer_cost *costs = result;

    if (probe_places(request, false, costs, error) || check_room(request, costs, error))
        return -1;
    return request->measured ? probe_places(request, true, costs, error) : 0;
}

int probe_costs(const struct probe_request *request, struct layer_cost *costs, struct error *error)
{
    char patience[128];
    const struct child_task task = {
        .name = "the probe that tries every layer before the run",
        .run = probe,
        .context = request,
        .result = costs,
        .result_bytes = PLACES * (size_t)request->network->layer_count * sizeof(*costs),
        .patience_seconds = PATIENCE_SECONDS,
        .patience = patience,
        .signals = request->signals,
    };

    snprintf(patience, sizeof(patience), "trying each layer on mini-batches of %d images, %s",
             plan_largest_minibatch_rows(request->plan),
             request->measured ? "to measure how long it takes" : "to see what it needs");
    return child_run(&task, error);
}
