/* Conformance of the compute backends: every layer on every backend, over random layers and the layers of every network,
 * against an oracle in doubles that is itself held against finite differences, and against each other. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "tests/support/compare.h"
#include "tests/support/gpu.h"
#include "tests/support/layer_case.h"
#include "tests/support/layer_oracle.h"
#include "tests/support/named.h"
#include "tests/support/suite.h"

enum { RANDOM_LAYERS = 300, SMALL_LAYERS = 150, FEW_LAYERS = 40, PASSES = 5 };

/* Multiply-adds a row of the layers that are held against the oracle, and against finite differences. */
enum { TERMS_LIMIT = 300000, SMALL_TERMS_LIMIT = 3000 };

/* Relative to the terms' magnitude. A float rounds at 6e-8; long sums and Winograd's transforms lose two digits. */
static const double TOLERANCE = 3e-5;

/* Factors that keep 10 bits. */
static const double TF32_TOLERANCE = 1e-2;

/* One thread, and every product rounded as a float's. */
static const struct engine_options plain_options = {.threads = 1};

static double tolerance(const struct workbench *bench)
{
    return bench->machine.options.tf32 ? TF32_TOLERANCE : TOLERANCE;
}

static void label(char text[COMPARE_MESSAGE_MAX], const struct backend *backend, const char *name, const char *what)
{
    snprintf(text, COMPARE_MESSAGE_MAX, "%s: %s: %s", backend->name, name, what);
}

/* `before`, or NULL if it is not added to, plus what the oracle says. */
static void check_gradient(const struct workbench *bench, const struct layer_case *it, const char *what,
                           const struct guarded *actual, const double *expected, const struct guarded *before,
                           double amplification)
{
    double *sum = guarded_doubles(actual);
    char text[COMPARE_MESSAGE_MAX];

    for (size_t i = 0; i < actual->count; i++)
        sum[i] = expected[i] + (before ? (double)before->values[i] : 0.0);
    label(text, bench->backend, it->name, what);
    ck_assert_close(text, actual->values, sum, actual->count, tolerance(bench),
                    amplification * (1.0 + compare_magnitude(expected, actual->count)));
    free(sum);
}

/* Mean and variance of every group that has rows; the groups that have none keep their poison. */
static void check_saved(const struct backend *backend, const struct layer_case *it, const struct layer_oracle *oracle,
                        const struct outcome *outcome)
{
    const size_t saved = it->layer.kind == LAYER_BATCH_NORM ? 2 * (size_t)it->layer.in.channels : 0;
    char text[COMPARE_MESSAGE_MAX];

    label(text, backend, it->name, "statistics");
    for (int group = 0; group < it->groups; group++)
        if (it->group_start[group] < it->group_start[group + 1])
            ck_assert_close(text, outcome->saved.values + (size_t)group * saved, oracle->saved + (size_t)group * saved,
                            saved, TOLERANCE, 1.0);
}

/* The running statistics after each group in turn: a tenth of the new ones, the variance unbiased. */
static void check_state(const struct backend *backend, const struct layer_case *it, const struct layer_oracle *oracle,
                        const struct outcome *outcome)
{
    double *state = guarded_doubles(&it->state);
    char text[COMPARE_MESSAGE_MAX];

    for (int group = 0; group < it->groups; group++) {
        const int rows = it->group_start[group + 1] - it->group_start[group];
        const double count = (double)rows * it->layer.in.height * it->layer.in.width;

        for (size_t i = 0; rows > 0 && i < it->state.count; i++) {
            const bool unbiased = i >= it->state.count / 2 && count > 1.0;
            const double value = oracle->saved[(size_t)group * it->state.count + i];

            state[i] += 0.1 * (value * (unbiased ? count / (count - 1.0) : 1.0) - state[i]);
        }
    }
    label(text, backend, it->name, "running statistics");
    ck_assert_close(text, outcome->state.values, state, it->state.count, TOLERANCE, 1.0);
    free(state);
}

static const char *const input_names[LAYER_INPUTS_MAX] = {"first input's gradient", "second input's gradient",
                                                          "third input's gradient"};

static void check_gradients(const struct workbench *bench, const struct layer_case *it,
                            const struct layer_oracle *oracle, const struct outcome *outcome)
{
    const double amplification = layer_oracle_amplification(oracle);

    for (int k = 0; k < it->layer.input_count; k++)
        check_gradient(bench, it, input_names[k], &outcome->input_gradients[k], oracle->input_gradients[k],
                       it->add_input_gradients[k] ? &it->input_gradients[k] : NULL, k == 0 ? amplification : 1.0);
    check_gradient(bench, it, "weight gradient", &outcome->weight_gradient, oracle->weight_gradient,
                   it->add_weight_gradient ? &it->weight_gradient : NULL, amplification);
}

static void check_same_outcome(const char *name, const struct outcome *actual, const struct outcome *expected)
{
    ck_assert_same(name, actual->output.values, expected->output.values, expected->output.count);
    ck_assert_same(name, actual->state.values, expected->state.values, expected->state.count);
    for (int k = 0; k < LAYER_INPUTS_MAX; k++)
        ck_assert_same(name, actual->input_gradients[k].values, expected->input_gradients[k].values,
                       expected->input_gradients[k].count);
    ck_assert_same(name, actual->weight_gradient.values, expected->weight_gradient.values,
                   expected->weight_gradient.count);
}

/* With tensors that lie as they did before: how a library adds up may depend on that. */
static void check_repeats(struct workbench *bench, const struct layer_case *it, struct dice *dice,
                          const struct outcome *first)
{
    struct outcome again;
    char text[COMPARE_MESSAGE_MAX];

    workbench_forward(bench, it, dice, &again);
    workbench_backward(bench, it, dice, &again);
    label(text, bench->backend, it->name, "a second run");
    check_same_outcome(text, &again, first);
    outcome_destroy(&again);
}

static void check_case(const struct backend *backend, const struct engine_options *options, const struct layer_case *it,
                       struct dice *dice)
{
    struct layer_oracle *oracle = case_oracle(it);
    struct workbench bench;
    struct outcome outcome;
    struct dice again;
    char text[COMPARE_MESSAGE_MAX];

    workbench_create(&bench, backend, options, it);
    again = *dice;

    workbench_forward(&bench, it, dice, &outcome);
    label(text, backend, it->name, "output");
    ck_assert_close(text, outcome.output.values, oracle->output, outcome.output.count, tolerance(&bench),
                    layer_oracle_amplification(oracle));
    check_saved(backend, it, oracle, &outcome);
    check_state(backend, it, oracle, &outcome);

    case_oracle_backward(oracle, &outcome.output);
    workbench_backward(&bench, it, dice, &outcome);
    check_gradients(&bench, it, oracle, &outcome);
    check_repeats(&bench, it, &again, &outcome);

    outcome_destroy(&outcome);
    workbench_destroy(&bench);
    case_oracle_destroy(oracle);
}

static void check_layer(const struct backend *backend, const struct engine_options *options, const struct layer *layer,
                        int groups, const int *group_rows, struct dice *dice)
{
    struct layer_case it;

    layer_case_create(&it, dice, layer, groups, group_rows);
    check_case(backend, options, &it, dice);
    layer_case_destroy(&it);
}

START_TEST(random_layers_match_the_oracle)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);
        int group_rows[CASE_GROUPS_MAX];
        const int groups = groups_random(&dice, group_rows);

        check_layer(backend, &plain_options, &layer, groups, group_rows, &dice);
    }
}
END_TEST

START_TEST(threads_change_nothing_but_the_time)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 1000 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);

        check_layer(backend, &(const struct engine_options){.threads = 2}, &layer, 2, (const int[]){3, 2}, &dice);
    }
}
END_TEST

START_TEST(no_rows_do_no_harm)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 2000 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);

        check_layer(backend, &plain_options, &layer, 2, (const int[]){0, 0}, &dice);
    }
}
END_TEST

START_TEST(tf32_is_close)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 2500 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);

        check_layer(backend, &(const struct engine_options){.threads = 1, .tf32 = true}, &layer, 2, (const int[]){3, 2},
                    &dice);
    }
}
END_TEST

static struct layer random_layer_of(struct dice *dice, enum layer_kind kind)
{
    struct layer layer;

    do {
        layer = layer_random(dice, TERMS_LIMIT);
    } while (layer.kind != kind);
    return layer;
}

/* More micro-batches than a backend may take at a time, in one case the first half without rows. */
START_TEST(batch_norm_of_many_groups)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 2600 + (uint64_t)_i};
        const struct layer layer = random_layer_of(&dice, LAYER_BATCH_NORM);
        int group_rows[CASE_GROUPS_MAX];

        for (int group = 0; group < CASE_GROUPS_MAX; group++)
            group_rows[group] = _i == 0 && group < CASE_GROUPS_MAX / 2 ? 0 : dice_between(&dice, 0, 2);
        check_layer(backend, &plain_options, &layer, CASE_GROUPS_MAX, group_rows, &dice);
    }
}
END_TEST

START_TEST(of_equal_values_the_first_is_the_largest)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 2650 + (uint64_t)_i};
        const struct layer layer = random_layer_of(&dice, LAYER_MAX_POOL);
        struct layer_case it;

        layer_case_create(&it, &dice, &layer, 2, (const int[]){3, 2});
        layer_case_round(&it);
        check_case(backend, &plain_options, &it, &dice);
        layer_case_destroy(&it);
    }
}
END_TEST

/* The environment describes the double of a GPU; a GPU has what it has. */
START_TEST(convolutions_need_no_cudnn)
{
    const struct backend *backend;

    setenv("GPU_DOUBLE_CUDNN", "0", 1);
    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 2700 + (uint64_t)_i};
        const struct layer layer = random_layer_of(&dice, LAYER_CONVOLUTION);

        if (backend->device != &device_host)
            check_layer(backend, &plain_options, &layer, 2, (const int[]){3, 2}, &dice);
    }
}
END_TEST

static bool same_work(const struct layer *a, const struct layer *b)
{
    return a->kind == b->kind && memcmp(&a->in, &b->in, sizeof(a->in)) == 0 &&
           memcmp(&a->out, &b->out, sizeof(a->out)) == 0 && a->kernel == b->kernel && a->stride == b->stride &&
           a->padding == b->padding && a->bias == b->bias && a->per_position == b->per_position &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->vocabulary == b->vocabulary && a->relu == b->relu &&
           a->input_count == b->input_count;
}

/* TinyLlama has larger ones, for which the oracle would take too long. */
enum { DISTINCT_MAX = 256, LARGEST_FLOPS = 100000000 };

/* Adds a network's layers to those that there are, each shape once. */
static int add_layers(const struct network *network, struct layer distinct[DISTINCT_MAX], int count)
{
    for (int i = 0; i < network->layer_count; i++) {
        bool seen = network->layers[i].forward_flops > LARGEST_FLOPS;

        for (int j = 0; j < count && !seen; j++)
            seen = same_work(&network->layers[i], &distinct[j]);
        if (seen)
            continue;
        ck_assert_int_lt(count, DISTINCT_MAX);
        distinct[count++] = network->layers[i];
    }
    return count;
}

/* Images, and tokens. */
static const struct shape input_shapes[] = {{28, 28, 1}, {32, 32, 3}, {24, 1, 1}};

enum { INPUT_SHAPES = sizeof(input_shapes) / sizeof(input_shapes[0]) };

/* The layers of every network that takes such inputs, each shape once. */
static int network_layers(struct shape input, struct layer layers[DISTINCT_MAX])
{
    const char *name;
    int count = 0;

    for (int n = 0; (name = network_builtin_name(n)); n++) {
        struct network *network;
        struct error error;

        if (network_named(&network, name, 0, input, 10, &error)) {
            ck_assert_msg(strstr(error.text, "the network reads") ||
                              (input.height < 32 && strstr(error.text, "does not fit")),
                          "%s", error.text);
            continue;
        }
        count = add_layers(network, layers, count);
        network_destroy(network);
    }
    return count;
}

/* The double of a GPU computes on one thread, an element at a time: it leaves the largest convolutions out, whose code
 * random layers run as well. */
static bool takes(const struct backend *backend, const struct layer *layer)
{
    static const double double_flops = 8e6;
    const bool on_double = backend->device != &device_host && gpu_is_double();

    return !on_double || layer->forward_flops <= double_flops;
}

START_TEST(network_layers_match_the_oracle)
{
    struct layer layers[DISTINCT_MAX];
    const int count = network_layers(input_shapes[_i], layers);
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 3000 + (uint64_t)_i};

        for (int j = 0; j < count; j++)
            if (takes(backend, &layers[j]))
                check_layer(backend, &plain_options, &layers[j], 3, (const int[]){1, 0, 1}, &dice);
    }
}
END_TEST

/* With row counts of real runs, which the oracle would take too long for; among them, for 16 channels of 32 x 32, one
 * that oneDNN's Winograd convolution has too large a scratchpad for. The double of a GPU would take too long for them. */
static void check_agreement(const struct backend *backend, const struct layer *layer, struct dice *dice)
{
    struct layer_case it;
    struct workbench plain_bench, bench;
    struct outcome plain, outcome;
    double *output, *input_gradient, *weight_gradient;
    char text[COMPARE_MESSAGE_MAX];
    /* A norm over one number divides by the root of epsilon what should be 0. */
    const bool single = layer_type_of(layer->kind)->is_norm && layer->in.height * layer->in.width == 1;

    layer_case_create(&it, dice, layer, 3, gpu_is_double() ? (const int[]){2, 1, 3} : (const int[]){11, 1, 20});
    workbench_create(&plain_bench, &backend_reference, &plain_options, &it);
    workbench_create(&bench, backend, &plain_options, &it);
    workbench_forward(&plain_bench, &it, dice, &plain);
    workbench_forward(&bench, &it, dice, &outcome);
    output = guarded_doubles(&plain.output);
    label(text, backend, it.name, "output");
    ck_assert_close(text, outcome.output.values, output, plain.output.count, TOLERANCE, 1.0);

    /* One output for both, so that ReLU's mask is the same. */
    memcpy(outcome.output.values, plain.output.values, plain.output.count * sizeof(float));
    workbench_backward(&plain_bench, &it, dice, &plain);
    workbench_backward(&bench, &it, dice, &outcome);
    input_gradient = guarded_doubles(&plain.input_gradients[0]);
    weight_gradient = guarded_doubles(&plain.weight_gradient);
    label(text, backend, it.name, "input gradient");
    ck_assert_close(text, outcome.input_gradients[0].values, input_gradient, plain.input_gradients[0].count, TOLERANCE,
                    single ? 1.0 / sqrt((double)BATCH_NORM_EPSILON) : 1.0);
    label(text, backend, it.name, "weight gradient");
    ck_assert_close(text, outcome.weight_gradient.values, weight_gradient, plain.weight_gradient.count, TOLERANCE,
                    compare_magnitude(weight_gradient, plain.weight_gradient.count));

    free(output);
    free(input_gradient);
    free(weight_gradient);
    outcome_destroy(&plain);
    outcome_destroy(&outcome);
    workbench_destroy(&plain_bench);
    workbench_destroy(&bench);
    layer_case_destroy(&it);
}

START_TEST(backends_agree_on_network_layers)
{
    struct layer layers[DISTINCT_MAX];
    const int count = network_layers(input_shapes[_i], layers);
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 4000 + (uint64_t)_i};

        for (int j = 0; j < count && backend != &backend_reference; j++)
            if (takes(backend, &layers[j]))
                check_agreement(backend, &layers[j], &dice);
    }
}
END_TEST

/* The loss whose gradients the backward computes: ReLU's mask is the forward's, all else has the backward's weights. */
static double masked_sum(struct layer_oracle *oracle)
{
    double *const forward_weights = oracle->forward_weights;
    double sum = 0.0;

    oracle->forward_weights = oracle->backward_weights;
    layer_oracle_forward(oracle);
    oracle->forward_weights = forward_weights;
    for (size_t i = 0; i < (size_t)oracle->group_start[oracle->groups] * shape_size(oracle->layer->out); i++)
        sum += oracle->masked_gradient[i] * oracle->linear_output[i];
    return sum;
}

/* Central differences in a few random coordinates. */
static void check_differences(struct layer_oracle *oracle, const struct layer_case *it, const char *what,
                              double *values, const double *gradient, size_t count, struct dice *dice)
{
    const double step = 1e-6, amplification = layer_oracle_amplification(oracle);

    for (int i = 0; i < 10 && count > 0; i++) {
        const size_t at = (size_t)dice_between(dice, 0, (int)count - 1);
        const double value = values[at], analytic = gradient[at];
        double difference;

        values[at] = value + step;
        difference = masked_sum(oracle);
        values[at] = value - step;
        difference -= masked_sum(oracle);
        values[at] = value;
        ck_assert_msg(fabs(difference / (2.0 * step) - analytic) <= 1e-6 * (10.0 + fabs(analytic)) * amplification,
                      "%s: %s [%zu] of %zu is %.9g, by differences %.9g", it->name, what, at, count, analytic,
                      difference / (2.0 * step));
    }
}

START_TEST(oracle_matches_finite_differences)
{
    struct dice dice = {.seed = 5000 + (uint64_t)_i};
    const struct layer layer = layer_random(&dice, SMALL_TERMS_LIMIT);
    int group_rows[CASE_GROUPS_MAX];
    const int groups = groups_random(&dice, group_rows);
    struct layer_case it;
    struct layer_oracle *oracle;

    layer_case_create(&it, &dice, &layer, groups, group_rows);
    oracle = case_oracle(&it);
    layer_oracle_backward(oracle);
    for (int k = 0; k < layer.input_count && !layer_type_of(layer.kind)->reads_tokens; k++)
        check_differences(oracle, &it, input_names[k], oracle->inputs[k], oracle->input_gradients[k],
                          it.inputs[k].count, &dice);
    check_differences(oracle, &it, "weight gradient", oracle->backward_weights, oracle->weight_gradient,
                      layer.parameters, &dice);
    case_oracle_destroy(oracle);
    layer_case_destroy(&it);
}
END_TEST

/* One forward of all the rows; for calls other than those that a workbench makes. */
static int forward_all(struct workbench *bench, const struct layer_case *it, bool training, int rows,
                       const struct outcome *outcome, struct error *error)
{
    struct machine *machine = &bench->machine;
    struct forward_call call = {
        .rows = rows,
        .training = training,
        .weights = machine_lend(machine, &it->forward_weights),
        .output = machine_lend(machine, &outcome->output),
        .draw = it->draw,
        .saved = training ? machine_lend(machine, &outcome->saved) : NULL,
        .state = training ? NULL : machine_lend(machine, &outcome->state),
        .workspace = bench->workspace,
    };
    int result;

    for (int k = 0; k < it->layer.input_count; k++)
        call.inputs[k] = machine_lend(machine, &it->inputs[k]);
    result = bench->backend->forward(bench->kernel, &call, error);
    machine_return(machine);
    return result;
}

/* Batch norm with the running statistics. */
static double *normalised(const struct layer_case *it)
{
    const size_t channels = (size_t)it->layer.in.channels;
    double *output = guarded_doubles(&it->inputs[0]);

    for (size_t i = 0; i < it->inputs[0].count; i++) {
        const size_t c = i % channels;
        const double mean = (double)it->state.values[c], variance = (double)it->state.values[channels + c];
        const double gamma = (double)it->forward_weights.values[c],
                     beta = (double)it->forward_weights.values[channels + c];

        output[i] = gamma * (output[i] - mean) / sqrt(variance + 1e-5) + beta;
        output[i] += it->layer.input_count > 1 ? (double)it->inputs[1].values[i] : 0.0;
        output[i] = it->layer.relu ? fmax(output[i], 0.0) : output[i];
    }
    return output;
}

/* What a layer does in evaluation where that is another thing than in training; else NULL. It leaves its state alone. */
static double *inferred(const struct layer_case *it)
{
    switch (it->layer.kind) {
    case LAYER_BATCH_NORM:
        return normalised(it);
    case LAYER_DROPOUT:
        return guarded_doubles(&it->inputs[0]);
    default:
        return NULL;
    }
}

START_TEST(inference_uses_the_running_statistics_and_drops_nothing)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 6000 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);
        const int rows = dice_between(&dice, 1, 5);
        struct layer_case it;
        struct workbench bench;
        struct outcome outcome = {0};
        struct error error;
        double *expected;
        char text[COMPARE_MESSAGE_MAX];

        layer_case_create(&it, &dice, &layer, 1, &rows);
        workbench_create(&bench, backend, &plain_options, &it);
        outcome.output = guarded_create(&dice, (size_t)rows * shape_size(layer.out));
        outcome.state = guarded_copy(&dice, &it.state);
        ck_assert_msg(forward_all(&bench, &it, false, rows, &outcome, &error) == 0, "%s", error.text);

        struct layer_oracle *oracle = case_oracle(&it);

        expected = inferred(&it);
        label(text, backend, it.name, "inference");
        ck_assert_close(text, outcome.output.values, expected ? expected : oracle->output, outcome.output.count,
                        TOLERANCE, 1.0);
        ck_assert_same(text, outcome.state.values, it.state.values, it.state.count);
        free(expected);
        case_oracle_destroy(oracle);
        guarded_destroy(&outcome.output);
        guarded_destroy(&outcome.state);
        workbench_destroy(&bench);
        layer_case_destroy(&it);
    }
}
END_TEST

/* Other rows than were prepared: the call prepares them, or says that they need more workspace, and writes nothing. */
START_TEST(unprepared_rows_work_or_fail_cleanly)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 7000 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);
        const int rows = dice_between(&dice, 1, 12), prepared_rows = dice_between(&dice, 1, 12);
        struct layer_case it, prepared;
        struct layer_oracle *oracle;
        struct workbench bench;
        struct outcome outcome = {0};
        struct error error;

        layer_case_create(&it, &dice, &layer, 1, &rows);
        layer_case_create(&prepared, &dice, &layer, 1, &prepared_rows);
        oracle = case_oracle(&it);
        workbench_create(&bench, backend, &plain_options, &prepared);
        outcome.output = guarded_create(&dice, (size_t)rows * shape_size(layer.out));
        outcome.saved = guarded_create(&dice, layer.state);
        if (forward_all(&bench, &it, true, rows, &outcome, &error) == 0) {
            ck_assert_close(it.name, outcome.output.values, oracle->output, outcome.output.count, TOLERANCE,
                            layer_oracle_amplification(oracle));
        } else {
            ck_assert_ptr_nonnull(strstr(error.text, layer.name));
            ck_assert_ptr_nonnull(strstr(error.text, "not prepared"));
            ck_assert_msg(isnan(outcome.output.values[0]), "a call that failed wrote its output");
        }
        guarded_destroy(&outcome.output);
        guarded_destroy(&outcome.saved);
        workbench_destroy(&bench);
        case_oracle_destroy(oracle);
        layer_case_destroy(&prepared);
        layer_case_destroy(&it);
    }
}
END_TEST

/* One after the other, the forward and the backward on what is lent; returns how many of the two were repeated. */
static int run_passes(struct workbench *bench, const struct layer_case *it, struct outcome *outcome)
{
    const struct backend *backend = bench->backend;
    int repeats = 0;
    struct error error;

    machine_send(&bench->machine);
    for (int backward = 0; backward < 2; backward++) {
        const struct pass_key key = {.pointers = {it}, .numbers = {backward}};
        bool repeated;

        ck_assert_int_eq(backend->pass_begin(bench->machine.engine, &key, &repeated, &error), 0);
        repeats += repeated;
        if (repeated)
            continue;
        (backward ? workbench_call_backward : workbench_call_forward)(bench, it, outcome);
        ck_assert_msg(backend->pass_end(bench->machine.engine, &error) == 0, "%s", error.text);
    }
    machine_fetch(&bench->machine);
    return repeats;
}

static void refill(struct dice *dice, struct guarded *first, struct guarded *second)
{
    for (size_t i = 0; i < first->count; i++)
        first->values[i] = second->values[i] = dice_normal(dice);
}

static void check_recorded(const struct backend *backend, const struct layer *layer, int groups, const int *group_rows,
                           struct dice *dice)
{
    const struct engine_options recording = {.threads = 1, .graphs = true};
    struct layer_case it;
    struct workbench bench, plain_bench;
    struct outcome outcome, plain;
    struct dice same;

    layer_case_create(&it, dice, layer, groups, group_rows);
    workbench_create(&bench, backend, &recording, &it);
    workbench_create(&plain_bench, backend, &plain_options, &it);
    same = *dice;
    outcome_create_forward(&outcome, &it, dice);
    outcome_create_backward(&outcome, &it, dice);
    outcome_create_forward(&plain, &it, &same);
    outcome_create_backward(&plain, &it, &same);
    for (int pass = 0; pass < PASSES; pass++) {
        layer_case_fill(&it, dice);
        refill(dice, &outcome.output_gradient, &plain.output_gradient);
        ck_assert_int_eq(run_passes(&bench, &it, &outcome), pass < 2 ? 0 : 2);
        ck_assert_int_eq(run_passes(&plain_bench, &it, &plain), 0);
        check_same_outcome(it.name, &outcome, &plain);
    }
    machine_return(&bench.machine);
    machine_return(&plain_bench.machine);
    workbench_destroy(&bench);
    workbench_destroy(&plain_bench);
    outcome_destroy(&outcome);
    outcome_destroy(&plain);
    layer_case_destroy(&it);
}

START_TEST(recorded_passes_give_the_same_bits)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 7500 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);
        int group_rows[CASE_GROUPS_MAX];
        const int groups = groups_random(&dice, group_rows);

        if (backend->pass_begin)
            check_recorded(backend, &layer, groups, group_rows, &dice);
    }
}
END_TEST

/* Begins and ends a pass of one forward of so many rows, on tensors that are lent; false if the forward failed. */
static bool forward_pass(struct workbench *bench, const struct layer_case *it, const struct outcome *outcome, int rows)
{
    const struct backend *backend = bench->backend;
    struct machine *machine = &bench->machine;
    const struct pass_key key = {.pointers = {it}};
    const struct forward_call call = {
        .rows = rows,
        .training = true,
        .inputs = {machine_lend(machine, &it->inputs[0])},
        .weights = machine_lend(machine, &it->forward_weights),
        .output = machine_lend(machine, &outcome->output),
        .workspace = bench->workspace,
    };
    struct error error;
    bool repeated, failed;

    ck_assert_int_eq(backend->pass_begin(machine->engine, &key, &repeated, &error), 0);
    ck_assert(!repeated);
    failed = backend->forward(bench->kernel, &call, &error);
    ck_assert_int_eq(backend->pass_end(machine->engine, &error), 0);
    return !failed;
}

/* Rows that were not prepared fail in the pass that would be recorded; the next one is recorded instead. */
START_TEST(failed_passes_are_not_kept)
{
    static const struct layer layer = {.kind = LAYER_CONVOLUTION,
                                       .name = "convolution",
                                       .input_count = 1,
                                       .in = {8, 8, 4},
                                       .out = {8, 8, 4},
                                       .kernel = 3,
                                       .stride = 1,
                                       .padding = 1,
                                       .parameters = 144};
    const int rows = 64, prepared_rows = 8;
    const struct engine_options recording = {.threads = 1, .graphs = true};
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 7600};
        struct layer_case it, prepared;
        struct workbench bench;
        struct outcome outcome = {0};

        if (!backend->pass_begin)
            continue;
        layer_case_create(&it, &dice, &layer, 1, &rows);
        layer_case_create(&prepared, &dice, &layer, 1, &prepared_rows);
        workbench_create(&bench, backend, &recording, &prepared);
        outcome.output = guarded_create(&dice, it.output_gradient.count);
        ck_assert(forward_pass(&bench, &it, &outcome, prepared_rows));
        ck_assert(!forward_pass(&bench, &it, &outcome, rows));
        ck_assert(forward_pass(&bench, &it, &outcome, prepared_rows));
        machine_return(&bench.machine);
        guarded_destroy(&outcome.output);
        workbench_destroy(&bench);
        layer_case_destroy(&prepared);
        layer_case_destroy(&it);
    }
}
END_TEST

/* So many rows that their columns are made in parts, whose gradients add up. */
START_TEST(convolutions_in_parts)
{
    static const struct layer layer = {.kind = LAYER_CONVOLUTION,
                                       .name = "large convolution",
                                       .input_count = 1,
                                       .in = {32, 32, 16},
                                       .out = {32, 32, 16},
                                       .kernel = 3,
                                       .stride = 1,
                                       .padding = 1,
                                       .parameters = 2304};
    const struct backend *backend;

    setenv("GPU_DOUBLE_CUDNN", "0", 1);
    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 4500 + (uint64_t)_i};

        if (backend->device != &device_host)
            check_agreement(backend, &layer, &dice);
    }
}
END_TEST

/* Mean 1000, deviation 1: a variance as mean of squares less square of mean would be off by several percent. */
START_TEST(statistics_survive_a_large_mean)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 8000};
        const struct layer layer = {.kind = LAYER_BATCH_NORM,
                                    .name = "far from 0",
                                    .input_count = 1,
                                    .in = {16, 16, 16},
                                    .out = {16, 16, 16},
                                    .parameters = 32,
                                    .state = 32};
        const int rows = 16;
        struct layer_case it;
        struct layer_oracle *oracle;
        struct workbench bench;
        struct outcome outcome;

        layer_case_create(&it, &dice, &layer, 1, &rows);
        for (size_t j = 0; j < it.inputs[0].count; j++)
            it.inputs[0].values[j] += 1000.0f;
        oracle = case_oracle(&it);
        workbench_create(&bench, backend, &plain_options, &it);
        workbench_forward(&bench, &it, &dice, &outcome);
        ck_assert_close(backend->name, outcome.saved.values, oracle->saved, 32, 1e-5, 0.0);
        ck_assert_close(backend->name, outcome.output.values, oracle->output, it.inputs[0].count, 1e-3, 1.0);
        guarded_destroy(&outcome.output);
        guarded_destroy(&outcome.saved);
        guarded_destroy(&outcome.state);
        workbench_destroy(&bench);
        case_oracle_destroy(oracle);
        layer_case_destroy(&it);
    }
}
END_TEST

enum { DROPPED_ROWS = 64, DROPPED_SIZE = 315, DROPPED = DROPPED_ROWS * DROPPED_SIZE };

/* Dropout of ones, in two calls. */
static void draw_mask(const struct backend *backend, int percent, struct draw draw, struct guarded *output)
{
    static const int rows[] = {DROPPED_ROWS / 4, DROPPED_ROWS - DROPPED_ROWS / 4};
    struct dice dice = {.seed = 9000};
    struct layer layer = {
        .kind = LAYER_DROPOUT, .name = "dropout", .input_count = 1, .in = {5, 7, 9}, .percent = percent};
    struct layer_case it;
    struct workbench bench;
    struct outcome outcome;
    struct error error;

    ck_assert_int_eq(layer_complete(&layer, &error), 0);
    layer_case_create(&it, &dice, &layer, 2, rows);
    for (size_t i = 0; i < it.inputs[0].count; i++)
        it.inputs[0].values[i] = 1.0f;
    it.draw = draw;
    workbench_create(&bench, backend, &plain_options, &it);
    workbench_forward(&bench, &it, &dice, &outcome);
    *output = outcome.output;
    guarded_destroy(&outcome.saved);
    guarded_destroy(&outcome.state);
    workbench_destroy(&bench);
    layer_case_destroy(&it);
}

/* Within five deviations of what so many fair draws of this probability give. */
static void check_count(const char *what, int count, int draws, double probability)
{
    const double expected = draws * probability;

    ck_assert_msg(fabs(count - expected) <= 5.0 * sqrt(expected * (1.0 - probability)), "%s: %d of %d, expected %g",
                  what, count, draws, expected);
}

static const int percents[] = {1, 10, 50, 75, 99};

START_TEST(dropout_drops_its_share_and_scales_up_the_rest)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        const int percent = percents[_i];
        struct guarded output;
        int dropped = 0;

        draw_mask(backend, percent, (struct draw){.seed = 1, .minibatch = 1}, &output);
        for (int k = 0; k < DROPPED; k++) {
            dropped += output.values[k] <= 0.0f;
            ck_assert(output.values[k] == 0.0f || output.values[k] == 100.0f / (float)(100 - percent));
        }
        check_count(backend->name, dropped, DROPPED, percent / 100.0);
        guarded_destroy(&output);
    }
}
END_TEST

/* Another seed, mini-batch, layer or row is another, independent mask; and so is every element's from that of its
 * neighbours, in its row and in the next. */
START_TEST(masks_are_independent)
{
    static const struct draw draws[] = {
        {.seed = 1, .minibatch = 1, .layer = 1, .row = 0},
        {.seed = 2, .minibatch = 1, .layer = 1, .row = 0},
        {.seed = 1ull << 40, .minibatch = 1, .layer = 1, .row = 0},
        {.seed = 1, .minibatch = 2, .layer = 1, .row = 0},
        {.seed = 1, .minibatch = 1, .layer = 2, .row = 0},
        {.seed = 1, .minibatch = 1, .layer = 1, .row = DROPPED_ROWS},
    };
    enum { DRAWS = sizeof(draws) / sizeof(draws[0]) };
    static const int distances[] = {1, 2, 3, 4, 5, DROPPED_SIZE};
    struct guarded masks[DRAWS];

    for (int a = 0; a < DRAWS; a++) {
        draw_mask(&backend_reference, 30, draws[a], &masks[a]);
        for (int b = 0; b < a; b++) {
            int both = 0;

            for (int k = 0; k < DROPPED; k++)
                both += masks[a].values[k] <= 0.0f && masks[b].values[k] <= 0.0f;
            check_count("two draws", both, DROPPED, 0.3 * 0.3);
        }
    }
    for (size_t d = 0; d < sizeof(distances) / sizeof(distances[0]); d++) {
        const int count = DROPPED - distances[d];
        int both = 0;

        for (int k = 0; k < count; k++)
            both += masks[0].values[k] <= 0.0f && masks[0].values[k + distances[d]] <= 0.0f;
        check_count("neighbours", both, count, 0.3 * 0.3);
    }
    for (int a = 0; a < DRAWS; a++)
        guarded_destroy(&masks[a]);
}
END_TEST

START_TEST(backends_are_found_by_name)
{
    const struct backend *backend;

    for (int i = 0; (backend = backend_at(i)); i++)
        ck_assert_ptr_eq(backend_find(backend->name), backend);
    ck_assert_ptr_null(backend_find("abacus"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    TCase *layers = tcase_create("layers");

    tcase_set_timeout(layers, 600);
    tcase_add_loop_test(layers, oracle_matches_finite_differences, 0, SMALL_LAYERS);
    tcase_add_loop_test(layers, random_layers_match_the_oracle, 0, RANDOM_LAYERS);
    tcase_add_loop_test(layers, threads_change_nothing_but_the_time, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, no_rows_do_no_harm, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, inference_uses_the_running_statistics_and_drops_nothing, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, unprepared_rows_work_or_fail_cleanly, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, network_layers_match_the_oracle, 0, INPUT_SHAPES);
    tcase_add_loop_test(layers, backends_agree_on_network_layers, 0, INPUT_SHAPES);
    tcase_add_loop_test(layers, tf32_is_close, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, batch_norm_of_many_groups, 0, FEW_LAYERS / 10);
    tcase_add_loop_test(layers, of_equal_values_the_first_is_the_largest, 0, FEW_LAYERS / 4);
    tcase_add_loop_test(layers, convolutions_need_no_cudnn, 0, FEW_LAYERS / 4);
    tcase_add_loop_test(layers, convolutions_in_parts, 0, FEW_LAYERS / 10);
    tcase_add_loop_test(layers, recorded_passes_give_the_same_bits, 0, FEW_LAYERS);
    tcase_add_test(layers, failed_passes_are_not_kept);
    tcase_add_test(layers, statistics_survive_a_large_mean);
    tcase_add_loop_test(layers, dropout_drops_its_share_and_scales_up_the_rest, 0, COUNT(percents));
    tcase_add_test(layers, masks_are_independent);
    tcase_add_test(layers, backends_are_found_by_name);
    suite_add_tcase(suite, layers);

    return run_suite(suite);
}
