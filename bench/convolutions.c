/* How fast a network could train on one core if convolutions were all there is, and how fast its layers do.
 *
 *   convolutions [ARCH] [MINI-BATCH] [MICRO-BATCHES] [SIDE] [BACKEND] [layers]
 *
 * The limit is the least time that each convolution can take by itself: oneDNN's, in whichever layout and algorithm it is
 * fastest, or that of winograd.c where it is less; forward with the rows of a micro-batch, both backward halves with those
 * of a mini-batch. Below it, whole training steps of the network
 * through a backend, in one process, by kind of layer, or with `layers` layer by layer. Each time is processor time, the
 * best of several, in microseconds per sample. SIDE says which images: 28 for 28 x 28 x 1 (the default), 32 for 32 x 32 x 3;
 * for a network that reads tokens, how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/parse.h"
#include "base/random.h"
#include "kernels/backend.h"
#include "kernels/onednn/descriptors.h"
#include "kernels/onednn/winograd.h"

enum { CLASSES = 10, VOCABULARY = 256, STEPS_MIN = 3, ROWS_MAX = 4096, SIDE_MAX = 512, LIBRARY_NS = 40 * 1000 * 1000 };
static const uint64_t training_ns = 8ull * 1000 * 1000 * 1000;

struct settings {
    const char *arch;
    int minibatch, microbatches;
    bool tokens;
    struct shape sample;
    bool layers; /* a line each */
    const struct backend *backend;
    struct device *host;
};

static const struct engine_options one_thread = {.threads = 1};

/* Of this thread, which alone computes: so other programs lengthen a time by what they do to caches, not by their turns. */
static uint64_t processor_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Errors end the program here, and only here. */
static void check(int result, const struct error *error)
{
    if (result == 0)
        return;
    fprintf(stderr, "convolutions: %s\n", error->text);
    exit(1);
}

static float *floats(size_t count)
{
    float *values;
    struct error error;

    check(memory_floats(&values, count, "benchmark", &error), &error);
    for (size_t i = 0; i < count; i++)
        values[i] = random_normal(1, RANDOM_TEST, 0, i % 4096);
    return values;
}

/* The first micro-batches have one row more where N does not divide M. */
static int first_row(const struct settings *settings, int microbatch)
{
    const int rows = settings->minibatch / settings->microbatches, more = settings->minibatch % settings->microbatches;

    return microbatch * rows + (microbatch < more ? microbatch : more);
}

/* --- convolutions by themselves --- */

static const int arguments[DIRECTION_COUNT][3] = {
    [DIRECTION_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    [DIRECTION_BACKWARD_INPUT] = {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC},
    [DIRECTION_BACKWARD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS},
};

static void check_status(dnnl_status_t status)
{
    struct error error;

    if (status != dnnl_success)
        check(error_set(&error, "oneDNN failed with status %d", (int)status), &error);
}

static void create_argument(dnnl_exec_arg_t *out, float **values, dnnl_primitive_desc_t descriptor, int argument,
                            dnnl_engine_t engine)
{
    const layout_view layout = dnnl_primitive_desc_query_md(descriptor, dnnl_query_exec_arg_md, argument);

    *values = floats(dnnl_memory_desc_get_size(layout) / sizeof(float));
    out->arg = argument;
    check_status(dnnl_memory_create(&out->memory, layout, engine, *values));
}

static uint64_t time_primitive(dnnl_primitive_desc_t descriptor, enum direction direction, dnnl_engine_t engine,
                               dnnl_stream_t stream)
{
    const uint64_t start = processor_ns();
    dnnl_exec_arg_t execution[4];
    dnnl_primitive_t primitive;
    uint64_t best = UINT64_MAX;
    float *values[4];

    check_status(dnnl_primitive_create(&primitive, descriptor));
    for (int i = 0; i < 4; i++)
        create_argument(&execution[i], &values[i], descriptor, i < 3 ? arguments[direction][i] : DNNL_ARG_SCRATCHPAD,
                        engine);
    for (int run = 0; run < 3 || processor_ns() - start < LIBRARY_NS; run++) {
        const uint64_t before = processor_ns();

        check_status(dnnl_primitive_execute(primitive, stream, 4, execution));
        const uint64_t taken = processor_ns() - before;
        best = taken < best ? taken : best;
    }
    for (int i = 0; i < 4; i++) {
        dnnl_memory_destroy(execution[i].memory);
        free(values[i]);
    }
    dnnl_primitive_destroy(primitive);
    return best;
}

/* The project's own convolution, on its own layouts. UINT64_MAX: it is none of those. */
static uint64_t time_winograd(const struct layer *layer, enum direction direction, int rows)
{
    static const enum {
        INPUT,
        OUTPUT,
        WEIGHTS
    } operands[DIRECTION_COUNT][3] = {
        [DIRECTION_FORWARD] = {INPUT, WEIGHTS, OUTPUT},
        [DIRECTION_BACKWARD_INPUT] = {OUTPUT, WEIGHTS, INPUT},
        [DIRECTION_BACKWARD_WEIGHTS] = {INPUT, OUTPUT, WEIGHTS},
    };
    const size_t sizes[] = {[INPUT] = (size_t)rows * shape_size(layer->in),
                            [OUTPUT] = (size_t)rows * shape_size(layer->out),
                            [WEIGHTS] = layer->parameters};
    const uint64_t start = processor_ns();
    uint64_t best = UINT64_MAX;
    float *values[3], *workspace;

    if (!winograd_can(layer))
        return best;
    for (int i = 0; i < 3; i++)
        values[i] = floats(sizes[operands[direction][i]]);
    workspace = floats(winograd_workspace_bytes(layer, direction, rows) / sizeof(float));
    for (int run = 0; run < 3 || processor_ns() - start < LIBRARY_NS; run++) {
        const uint64_t before = processor_ns();

        winograd_run(layer, direction, rows, values[0], values[1], values[2], false, workspace);
        const uint64_t taken = processor_ns() - before;
        best = taken < best ? taken : best;
    }
    for (int i = 0; i < 3; i++)
        free(values[i]);
    free(workspace);
    return best;
}

static struct tensor images(int rows, struct shape shape, dnnl_format_tag_t tag)
{
    return (struct tensor){.sizes = {rows, shape.channels, shape.height, shape.width}, .tag = tag};
}

/* Microseconds per row, in the best layout and algorithm that there is. */
static double least_time(const struct layer *layer, enum direction direction, int rows)
{
    static const dnnl_alg_kind_t algorithms[] = {dnnl_convolution_direct, dnnl_convolution_winograd};
    static const dnnl_format_tag_t tags[] = {dnnl_format_tag_any, dnnl_nhwc, dnnl_nChw16c, dnnl_nChw8c};
    uint64_t best = time_winograd(layer, direction, rows);
    dnnl_engine_t engine;
    dnnl_stream_t stream;

    check_status(dnnl_engine_create(&engine, dnnl_cpu, 0));
    check_status(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    for (int i = 0; i < 8; i++) {
        const struct convolution_shape shape = {
            .source = images(rows, layer->in, tags[i % 4]),
            .weights = {.sizes = {layer->out.channels, layer->in.channels, layer->kernel, layer->kernel},
                        .tag = dnnl_format_tag_any},
            .destination = images(rows, layer->out, tags[i % 4]),
            .stride = layer->stride,
            .padding = layer->padding,
        };
        dnnl_primitive_desc_t descriptor;
        uint64_t taken;

        if (convolution_descriptor(&descriptor, direction, algorithms[i / 4], &shape, engine) != dnnl_success)
            continue;
        if (descriptor_is_fast(descriptor)) {
            taken = time_primitive(descriptor, direction, engine, stream);
            best = taken < best ? taken : best;
        }
        dnnl_primitive_desc_destroy(descriptor);
    }
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    if (best == UINT64_MAX)
        check_status(dnnl_unimplemented);
    return (double)best / 1e3 / rows;
}

static bool same_shape(const struct layer *a, const struct layer *b)
{
    return memcmp(&a->in, &b->in, sizeof(a->in)) == 0 && memcmp(&a->out, &b->out, sizeof(a->out)) == 0 &&
           a->kernel == b->kernel && a->stride == b->stride && (a->inputs[0] < 0) == (b->inputs[0] < 0);
}

/* Microseconds per sample of each direction. The network's input needs no gradient. */
static void measure_layer(const struct layer *layer, const struct settings *settings, double times[DIRECTION_COUNT])
{
    times[DIRECTION_FORWARD] = least_time(layer, DIRECTION_FORWARD, first_row(settings, 1));
    times[DIRECTION_BACKWARD_WEIGHTS] = least_time(layer, DIRECTION_BACKWARD_WEIGHTS, settings->minibatch);
    times[DIRECTION_BACKWARD_INPUT] =
        layer->inputs[0] == NETWORK_INPUT ? 0.0 : least_time(layer, DIRECTION_BACKWARD_INPUT, settings->minibatch);
}

/* Prints the convolutions, each shape once; returns microseconds per sample of them all. */
static double find_limit(const struct network *network, const struct settings *settings)
{
    double total = 0.0;

    printf("each convolution, us/sample            forward    backward: input   weights\n");
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        double times[DIRECTION_COUNT];
        int earlier = 0, count = 0;

        for (int j = 0; j < network->layer_count; j++) {
            const bool same = network->layers[j].kind == LAYER_CONVOLUTION && same_shape(layer, &network->layers[j]);

            earlier += same && j < i;
            count += same;
        }
        if (layer->kind != LAYER_CONVOLUTION || earlier > 0)
            continue;
        measure_layer(layer, settings, times);
        printf("  %-18s %d x %3d to %3d %11.1f %18.1f %9.1f\n", layer->name, count, layer->in.channels,
               layer->out.channels, times[DIRECTION_FORWARD], times[DIRECTION_BACKWARD_INPUT],
               times[DIRECTION_BACKWARD_WEIGHTS]);
        for (int direction = 0; direction < DIRECTION_COUNT; direction++)
            total += count * times[direction];
    }
    return total;
}

/* --- the network through a backend --- */

enum phase { PHASE_FORWARD, PHASE_BACKWARD_INPUT, PHASE_BACKWARD_WEIGHTS, PHASE_COUNT };

struct node {
    const struct layer *layer;
    struct layer_kernel *kernel;
    float *output, *gradient, *saved;
    bool gradient_written;
    uint64_t now[PHASE_COUNT], best[PHASE_COUNT]; /* nanoseconds of a mini-batch: of this step, of the fastest */
};

struct training {
    const struct network *network;
    const struct settings *settings;
    struct engine *engine;
    struct node *nodes;
    int *group_start;
    float *input, *weights, *weight_gradient, *momentum, *state;
    int32_t *targets;
    void *workspace;
    uint64_t best_loss, best_update;
};

/* Any will do: how long an embedding takes does not depend on them. */
static void fill_tokens(size_t count, void *input)
{
    int32_t *tokens = input;

    for (size_t i = 0; i < count; i++)
        tokens[i] = (int32_t)(i * 7 % VOCABULARY);
}

static void training_create(struct training *training, const struct network *network, const struct settings *settings)
{
    const struct backend *backend = settings->backend;
    const size_t rows = (size_t)settings->minibatch;
    size_t workspace = 0;
    struct error error;

    *training = (struct training){.network = network, .settings = settings};
    check(backend->open(&training->engine, settings->host, &one_thread, &error), &error);
    training->best_loss = training->best_update = UINT64_MAX;
    training->nodes = calloc((size_t)network->layer_count, sizeof(struct node));
    training->group_start = calloc((size_t)settings->microbatches + 1, sizeof(int));
    training->targets = calloc(rows * (size_t)network_targets_per_sample(network), sizeof(*training->targets));
    if (!training->nodes || !training->group_start || !training->targets)
        check(error_set(&error, "out of memory"), &error);
    for (int j = 0; j <= settings->microbatches; j++)
        training->group_start[j] = first_row(settings, j);
    training->input = floats(rows * shape_size(network->input));
    if (network->tokens)
        fill_tokens(rows * shape_size(network->input), training->input);
    training->weights = floats(network->parameters);
    training->weight_gradient = floats(network->parameters);
    training->momentum = floats(network->parameters);
    training->state = floats(network->state);
    for (int i = 0; i < network->layer_count; i++) {
        struct node *node = &training->nodes[i];

        node->layer = &network->layers[i];
        check(backend->layer_create(&node->kernel, training->engine, node->layer, &error), &error);
        for (int j = 0; j < settings->microbatches; j++)
            check(backend->prepare_forward(node->kernel, first_row(settings, j + 1) - first_row(settings, j), &error),
                  &error);
        check(backend->prepare_backward(node->kernel, settings->minibatch, &error), &error);
        node->output = floats(rows * shape_size(node->layer->out));
        node->gradient = floats(rows * shape_size(node->layer->out));
        node->saved = floats((size_t)settings->microbatches * backend->saved_floats(node->kernel));
        memset(node->best, 0xff, sizeof(node->best));
        if (backend->workspace_bytes(node->kernel) > workspace)
            workspace = backend->workspace_bytes(node->kernel);
    }
    training->workspace = floats(workspace / sizeof(float) + 1);
}

static void training_destroy(struct training *training)
{
    for (int i = 0; i < training->network->layer_count; i++) {
        training->settings->backend->layer_destroy(training->nodes[i].kernel);
        free(training->nodes[i].output);
        free(training->nodes[i].gradient);
        free(training->nodes[i].saved);
    }
    training->settings->backend->close(training->engine);
    free(training->nodes);
    free(training->group_start);
    free(training->targets);
    free(training->input);
    free(training->weights);
    free(training->weight_gradient);
    free(training->momentum);
    free(training->state);
    free(training->workspace);
}

/* The k-th input of a layer for all rows; NULL if it has none. */
static const float *input_of(const struct training *training, const struct layer *layer, int k)
{
    if (k >= layer->input_count)
        return NULL;
    return layer->inputs[k] == NETWORK_INPUT ? training->input : training->nodes[layer->inputs[k]].output;
}

static void forward(struct training *training, int index, int microbatch)
{
    const struct backend *backend = training->settings->backend;
    struct node *node = &training->nodes[index];
    const struct layer *layer = node->layer;
    const size_t first = (size_t)training->group_start[microbatch];
    struct forward_call call = {
        .rows = training->group_start[microbatch + 1] - training->group_start[microbatch],
        .training = true,
        .weights = training->weights + layer->parameter_offset,
        .output = node->output + first * shape_size(layer->out),
        .saved = node->saved + (size_t)microbatch * backend->saved_floats(node->kernel),
        .state = training->state + layer->state_offset,
        .workspace = training->workspace,
    };
    struct error error;
    uint64_t start;

    for (int k = 0; k < layer->input_count; k++)
        call.inputs[k] = input_of(training, layer, k) + first * shape_size(layer_input_shape(layer, k));
    start = processor_ns();
    check(backend->forward(node->kernel, &call, &error), &error);
    node->now[PHASE_FORWARD] += processor_ns() - start;
}

/* The gradient of layer `index`, and whether to add to it; NULL for the network's input. */
static float *gradient_of(struct training *training, int index, bool *add)
{
    if (index < 0)
        return NULL;
    *add = training->nodes[index].gradient_written;
    training->nodes[index].gradient_written = true;
    return training->nodes[index].gradient;
}

static void backward(struct training *training, int index)
{
    const struct backend *backend = training->settings->backend;
    struct node *node = &training->nodes[index];
    const struct layer *layer = node->layer;
    struct backward_call call = {
        .groups = training->settings->microbatches,
        .group_start = training->group_start,
        .output = node->output,
        .weights = training->weights + layer->parameter_offset,
        .saved = node->saved,
        .output_gradient = node->gradient,
        .weight_gradient = training->weight_gradient + layer->parameter_offset,
        .workspace = training->workspace,
    };
    struct error error;
    uint64_t start, middle;

    for (int k = 0; k < layer->input_count; k++)
        call.inputs[k] = input_of(training, layer, k);
    for (int k = layer->input_count - 1; k >= 0; k--)
        call.input_gradients[k] = gradient_of(training, layer->inputs[k], &call.add_input_gradients[k]);
    start = processor_ns();
    check(backend->backward_input(node->kernel, &call, &error), &error);
    middle = processor_ns();
    check(backend->backward_weights(node->kernel, &call, &error), &error);
    node->now[PHASE_BACKWARD_INPUT] += middle - start;
    node->now[PHASE_BACKWARD_WEIGHTS] += processor_ns() - middle;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* One mini-batch: forwards, loss, backward, update. Remembers what took less time than in earlier steps. */
static void step(struct training *training)
{
    const struct network *network = training->network;
    const struct backend *backend = training->settings->backend;
    const struct update update = {
        .kind = UPDATE_MOMENTUM, .gradient_scale = 1.0f, .rate = 1e-3f, .keep = 0.9f, .along = 1.0f};
    const struct update_call call = {.count = network->parameters,
                                     .weights = training->weights,
                                     .gradient = training->weight_gradient,
                                     .slots = {training->momentum},
                                     .new_weights = training->weights};
    const int targets = training->settings->minibatch * network_targets_per_sample(network);
    struct node *last = &training->nodes[network->layer_count - 1];
    struct loss_result result = {0};
    struct error error;
    uint64_t start;

    for (int i = 0; i < network->layer_count; i++) {
        training->nodes[i].gradient_written = false;
        memset(training->nodes[i].now, 0, sizeof(training->nodes[i].now));
    }
    for (int j = 0; j < training->settings->microbatches; j++)
        for (int i = 0; i < network->layer_count; i++)
            forward(training, i, j);

    start = processor_ns();
    check(backend->softmax_cross_entropy(training->engine, targets, network->classes, last->output, training->targets,
                                         1.0f / (float)targets, last->gradient, &result, &error),
          &error);
    training->best_loss = smaller(training->best_loss, processor_ns() - start);
    for (int i = network->layer_count - 1; i >= 0; i--)
        backward(training, i);

    start = processor_ns();
    check(backend->update(training->engine, &update, &call, &error), &error);
    training->best_update = smaller(training->best_update, processor_ns() - start);
    for (int i = 0; i < network->layer_count; i++)
        for (int phase = 0; phase < PHASE_COUNT; phase++)
            training->nodes[i].best[phase] = smaller(training->nodes[i].best[phase], training->nodes[i].now[phase]);
}

/* Adds up the nodes of a kind, or node `index` alone if that is not -1, prints a line if there are any, and returns the
 * sum. */
static double print_sum(const struct training *training, const char *name, enum layer_kind kind, int index)
{
    const double samples = 1e3 * training->settings->minibatch;
    double sums[PHASE_COUNT] = {0.0}, total = 0.0;
    int count = 0;

    for (int i = 0; i < training->network->layer_count; i++) {
        const struct node *node = &training->nodes[i];

        if (index < 0 ? node->layer->kind != kind : i != index)
            continue;
        count++;
        for (int phase = 0; phase < PHASE_COUNT; phase++)
            sums[phase] += (double)node->best[phase] / samples;
    }
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        total += sums[phase];
    if (count > 0)
        printf("  %-22s %12.1f %18.1f %9.1f %9.1f\n", name, sums[PHASE_FORWARD], sums[PHASE_BACKWARD_INPUT],
               sums[PHASE_BACKWARD_WEIGHTS], total);
    return total;
}

/* Returns microseconds per sample of all. */
static double print_training(const struct training *training)
{
    const double samples = 1e3 * training->settings->minibatch;
    const double loss = (double)training->best_loss / samples, update = (double)training->best_update / samples;
    double total = loss + update;

    printf("\nbackend %s, us/sample        forward    backward: input   weights     total\n",
           training->settings->backend->name);
    for (int i = 0; training->settings->layers && i < training->network->layer_count; i++)
        print_sum(training, training->network->layers[i].name, training->network->layers[i].kind, i);
    for (int kind = 0; kind < LAYER_KINDS; kind++)
        total += print_sum(training, layer_type_of((enum layer_kind)kind)->name, (enum layer_kind)kind, -1);
    printf("  %-22s %51.1f\n  %-22s %51.1f\n", "loss", loss, "update", update);
    return total;
}

static double training_time(const struct network *network, const struct settings *settings)
{
    const uint64_t start = processor_ns();
    struct training training;
    double total;

    training_create(&training, network, settings);
    for (int i = 0; i < STEPS_MIN || processor_ns() - start < training_ns; i++)
        step(&training);
    total = print_training(&training);
    training_destroy(&training);
    return total;
}

static int count_of(const char *text, int64_t high)
{
    struct error error;
    int64_t count;

    check(parse_int(&count, text, 1, high, &error), &error);
    return (int)count;
}

int main(int argc, char **argv)
{
    struct settings settings = {.arch = argc > 1 ? argv[1] : "resnet20"};
    struct network *network;
    struct error error;
    struct engine *onednn;
    double limit, total;
    int side;

    settings.minibatch = count_of(argc > 2 ? argv[2] : "64", ROWS_MAX);
    settings.microbatches = count_of(argc > 3 ? argv[3] : "3", settings.minibatch);
    side = count_of(argc > 4 ? argv[4] : "28", SIDE_MAX);
    settings.backend = backend_find(argc > 5 ? argv[5] : "onednn");
    if (!settings.backend)
        check(error_set(&error, "there is no backend \"%s\"", argv[5]), &error);
    settings.layers = argc > 6 && strcmp(argv[6], "layers") == 0;
    if (argc > 7 || (argc > 6 && !settings.layers))
        check(error_set(&error, "unknown argument \"%s\"", argv[argc > 7 ? 7 : 6]), &error);
    if (!network_builtin(settings.arch))
        check(error_set(&error, "there is no network \"%s\"", settings.arch), &error);
    settings.tokens = network_reads_tokens(network_builtin(settings.arch));
    settings.sample = settings.tokens ? (struct shape){side, 1, 1} : (struct shape){side, side, side == 28 ? 1 : 3};
    if (settings.backend->device != &device_host)
        check(error_set(&error, "this is about the CPU, and %s is not", settings.backend->name), &error);
    check(settings.backend->available(&error), &error);
    check(device_host.open(&settings.host, 0, &error), &error);
    check(backend_onednn.open(&onednn, settings.host, &one_thread, &error), &error);
    check(network_create(&network,
                         &(struct network_options){settings.arch, network_builtin(settings.arch), 0, 0, settings.tokens,
                                                   settings.sample, settings.tokens ? VOCABULARY : CLASSES},
                         &error),
          &error);

    printf("%s, %d x %d x %d, mini-batches of %d in %d micro-batches, one thread\n\n", settings.arch,
           settings.sample.height, settings.sample.width, settings.sample.channels, settings.minibatch,
           settings.microbatches);
    limit = find_limit(network, &settings);
    total = training_time(network, &settings);
    printf("\nconvolutions alone     %8.1f us/sample   %7.0f samples/s\n", limit, limit > 0.0 ? 1e6 / limit : 0.0);
    printf("the whole network      %8.1f us/sample   %7.0f samples/s   %.0f%% of it\n", total, 1e6 / total,
           100.0 * limit / total);
    network_destroy(network);
    backend_onednn.close(onednn);
    device_host.close(settings.host);
    return 0;
}
