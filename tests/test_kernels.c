/* Conformance of the compute backends: every layer on every backend, over random layers and the layers of ResNet-20,
 * against an oracle in doubles that is itself held against finite differences, and against each other. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "tests/support/compare.h"
#include "tests/support/layer_case.h"
#include "tests/support/layer_oracle.h"

static const struct backend *const backends[] = {&backend_reference, &backend_onednn};

enum { BACKENDS = sizeof(backends) / sizeof(backends[0]) };

enum { RANDOM_LAYERS = 200, SMALL_LAYERS = 100, FEW_LAYERS = 40 };

/* Multiply-adds a row of the layers that are held against the oracle, and against finite differences. */
enum { TERMS_LIMIT = 300000, SMALL_TERMS_LIMIT = 3000 };

/* Relative to the terms' magnitude. A float rounds at 6e-8; long sums and Winograd's transforms lose two digits. */
static const double TOLERANCE = 3e-5;

static void label(char text[COMPARE_MESSAGE_MAX], const struct backend *backend, const char *name, const char *what)
{
    snprintf(text, COMPARE_MESSAGE_MAX, "%s: %s: %s", backend->name, name, what);
}

/* `before`, or NULL if it is not added to, plus what the oracle says. */
static void check_gradient(const struct backend *backend, const struct layer_case *it, const char *what,
                           const struct guarded *actual, const double *expected, const struct guarded *before,
                           double amplification)
{
    double *sum = guarded_doubles(actual);
    char text[COMPARE_MESSAGE_MAX];

    for (size_t i = 0; i < actual->count; i++)
        sum[i] = expected[i] + (before ? (double)before->values[i] : 0.0);
    label(text, backend, it->name, what);
    ck_assert_close(text, actual->values, sum, actual->count, TOLERANCE,
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

static void check_gradients(const struct backend *backend, const struct layer_case *it,
                            const struct layer_oracle *oracle, const struct outcome *outcome)
{
    const double amplification = layer_oracle_amplification(oracle);

    check_gradient(backend, it, "input gradient", &outcome->input_gradient, oracle->input_gradient,
                   it->add_input_gradient ? &it->input_gradient : NULL, amplification);
    check_gradient(backend, it, "residual gradient", &outcome->residual_gradient, oracle->masked_gradient,
                   it->add_residual_gradient ? &it->residual_gradient : NULL, 1.0);
    check_gradient(backend, it, "weight gradient", &outcome->weight_gradient, oracle->weight_gradient,
                   it->add_weight_gradient ? &it->weight_gradient : NULL, amplification);
}

static void check_repeats(const struct workbench *bench, const struct layer_case *it, struct dice *dice,
                          const struct outcome *first)
{
    struct outcome again;
    char text[COMPARE_MESSAGE_MAX];

    workbench_forward(bench, it, dice, &again);
    workbench_backward(bench, it, dice, &again);
    label(text, bench->backend, it->name, "a second run");
    ck_assert_same(text, again.output.values, first->output.values, first->output.count);
    ck_assert_same(text, again.state.values, first->state.values, first->state.count);
    ck_assert_same(text, again.input_gradient.values, first->input_gradient.values, first->input_gradient.count);
    ck_assert_same(text, again.residual_gradient.values, first->residual_gradient.values,
                   first->residual_gradient.count);
    ck_assert_same(text, again.weight_gradient.values, first->weight_gradient.values, first->weight_gradient.count);
    outcome_destroy(&again);
}

static void check_layer(const struct backend *backend, int threads, const struct layer *layer, int groups,
                        const int *group_rows, struct dice *dice)
{
    struct layer_case it;
    struct layer_oracle *oracle;
    struct workbench bench;
    struct outcome outcome;
    char text[COMPARE_MESSAGE_MAX];

    layer_case_create(&it, dice, layer, groups, group_rows);
    oracle = case_oracle(&it);
    workbench_create(&bench, backend, threads, &it);

    workbench_forward(&bench, &it, dice, &outcome);
    label(text, backend, it.name, "output");
    ck_assert_close(text, outcome.output.values, oracle->output, outcome.output.count, TOLERANCE,
                    layer_oracle_amplification(oracle));
    check_saved(backend, &it, oracle, &outcome);
    check_state(backend, &it, oracle, &outcome);

    case_oracle_backward(oracle, &outcome.output);
    workbench_backward(&bench, &it, dice, &outcome);
    check_gradients(backend, &it, oracle, &outcome);
    check_repeats(&bench, &it, dice, &outcome);

    outcome_destroy(&outcome);
    workbench_destroy(&bench);
    case_oracle_destroy(oracle);
    layer_case_destroy(&it);
}

START_TEST(random_layers_match_the_oracle)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);
        int group_rows[CASE_GROUPS_MAX];
        const int groups = groups_random(&dice, group_rows);

        check_layer(backends[i], 1, &layer, groups, group_rows, &dice);
    }
}
END_TEST

START_TEST(threads_change_nothing_but_the_time)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 1000 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);

        check_layer(backends[i], 2, &layer, 2, (const int[]){3, 2}, &dice);
    }
}
END_TEST

START_TEST(no_rows_do_no_harm)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 2000 + (uint64_t)_i};
        const struct layer layer = layer_random(&dice, TERMS_LIMIT);

        check_layer(backends[i], 1, &layer, 2, (const int[]){0, 0}, &dice);
    }
}
END_TEST

/* The layers of a network, each shape once. */
static int distinct_layers(const struct network *network, struct layer *distinct)
{
    int count = 0;

    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        bool seen = false;

        for (int j = 0; j < count && !seen; j++)
            seen = layer->kind == distinct[j].kind && memcmp(&layer->in, &distinct[j].in, sizeof(layer->in)) == 0 &&
                   memcmp(&layer->out, &distinct[j].out, sizeof(layer->out)) == 0 &&
                   layer->kernel == distinct[j].kernel && layer->stride == distinct[j].stride &&
                   layer->relu == distinct[j].relu &&
                   (layer->residual == NO_RESIDUAL) == (distinct[j].residual == NO_RESIDUAL);
        if (!seen)
            distinct[count++] = *layer;
    }
    return count;
}

enum { DISTINCT_MAX = 64 };

static const struct shape image_shapes[] = {{28, 28, 1}, {32, 32, 3}};

enum { IMAGE_SHAPES = sizeof(image_shapes) / sizeof(image_shapes[0]) };

static int resnet_layers(struct shape image, struct layer layers[DISTINCT_MAX])
{
    struct network *network;
    struct error error;
    int count;

    ck_assert_msg(network_create(&network, "resnet20", image, 10, &error) == 0, "%s", error.text);
    ck_assert_int_le(network->layer_count, DISTINCT_MAX);
    count = distinct_layers(network, layers);
    network_destroy(network);
    return count;
}

START_TEST(resnet_layers_match_the_oracle)
{
    struct layer layers[DISTINCT_MAX];
    const int count = resnet_layers(image_shapes[_i], layers);

    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 3000 + (uint64_t)_i};

        for (int j = 0; j < count; j++)
            check_layer(backends[i], 1, &layers[j], 3, (const int[]){1, 0, 1}, &dice);
    }
}
END_TEST

/* With row counts of real runs, which the oracle would take too long for; among them, for 16 channels of 32 x 32, one
 * that oneDNN's Winograd convolution has too large a scratchpad for. */
static void check_agreement(const struct backend *backend, const struct layer *layer, struct dice *dice)
{
    struct layer_case it;
    struct workbench plain_bench, bench;
    struct outcome plain, outcome;
    double *output, *input_gradient, *weight_gradient;
    char text[COMPARE_MESSAGE_MAX];

    layer_case_create(&it, dice, layer, 3, (const int[]){11, 1, 20});
    workbench_create(&plain_bench, &backend_reference, 1, &it);
    workbench_create(&bench, backend, 1, &it);
    workbench_forward(&plain_bench, &it, dice, &plain);
    workbench_forward(&bench, &it, dice, &outcome);
    output = guarded_doubles(&plain.output);
    label(text, backend, it.name, "output");
    ck_assert_close(text, outcome.output.values, output, plain.output.count, TOLERANCE, 1.0);

    /* One output for both, so that ReLU's mask is the same. */
    memcpy(outcome.output.values, plain.output.values, plain.output.count * sizeof(float));
    workbench_backward(&plain_bench, &it, dice, &plain);
    workbench_backward(&bench, &it, dice, &outcome);
    input_gradient = guarded_doubles(&plain.input_gradient);
    weight_gradient = guarded_doubles(&plain.weight_gradient);
    label(text, backend, it.name, "input gradient");
    ck_assert_close(text, outcome.input_gradient.values, input_gradient, plain.input_gradient.count, TOLERANCE, 1.0);
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

START_TEST(backends_agree_on_resnet_layers)
{
    struct layer layers[DISTINCT_MAX];
    const int count = resnet_layers(image_shapes[_i], layers);

    for (int i = 1; i < BACKENDS; i++) {
        struct dice dice = {.seed = 4000 + (uint64_t)_i};

        for (int j = 0; j < count; j++)
            check_agreement(backends[i], &layers[j], &dice);
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
    size_t in, out;

    layer_case_create(&it, &dice, &layer, groups, group_rows);
    in = (size_t)layer_case_rows(&it) * shape_size(layer.in);
    out = (size_t)layer_case_rows(&it) * shape_size(layer.out);
    oracle = case_oracle(&it);
    layer_oracle_backward(oracle);
    check_differences(oracle, &it, "input gradient", oracle->input, oracle->input_gradient, in, &dice);
    check_differences(oracle, &it, "weight gradient", oracle->backward_weights, oracle->weight_gradient,
                      layer.parameters, &dice);
    if (oracle->residual)
        check_differences(oracle, &it, "residual gradient", oracle->residual, oracle->masked_gradient, out, &dice);
    case_oracle_destroy(oracle);
    layer_case_destroy(&it);
}
END_TEST

/* One forward of all the rows; for calls other than those that a workbench makes. */
static int forward_all(const struct workbench *bench, const struct layer_case *it, bool training, int rows,
                       const struct outcome *outcome, struct error *error)
{
    const struct forward_call call = {
        .rows = rows,
        .training = training,
        .input = it->input.values,
        .residual = it->residual.count > 0 ? it->residual.values : NULL,
        .weights = it->forward_weights.values,
        .output = outcome->output.values,
        .saved = training ? outcome->saved.values : NULL,
        .state = training ? NULL : outcome->state.values,
        .workspace = bench->workspace,
    };

    return bench->backend->forward(bench->kernel, &call, error);
}

/* Batch norm with the running statistics, which it leaves alone. */
static double *inferred(const struct layer_case *it)
{
    const size_t channels = (size_t)it->layer.in.channels;
    double *output = guarded_doubles(&it->input);

    for (size_t i = 0; i < it->input.count; i++) {
        const size_t c = i % channels;
        const double mean = (double)it->state.values[c], variance = (double)it->state.values[channels + c];
        const double gamma = (double)it->forward_weights.values[c],
                     beta = (double)it->forward_weights.values[channels + c];

        output[i] = gamma * (output[i] - mean) / sqrt(variance + 1e-5) + beta;
        output[i] += it->residual.count > 0 ? (double)it->residual.values[i] : 0.0;
        output[i] = it->layer.relu ? fmax(output[i], 0.0) : output[i];
    }
    return output;
}

START_TEST(inference_uses_the_running_statistics)
{
    for (int i = 0; i < BACKENDS; i++) {
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
        workbench_create(&bench, backends[i], 1, &it);
        outcome.output = guarded_create(&dice, (size_t)rows * shape_size(layer.out));
        outcome.state = guarded_copy(&dice, &it.state);
        ck_assert_msg(forward_all(&bench, &it, false, rows, &outcome, &error) == 0, "%s", error.text);

        struct layer_oracle *oracle = case_oracle(&it);

        expected = layer.kind == LAYER_BATCH_NORM ? inferred(&it) : NULL;
        label(text, backends[i], it.name, "inference");
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
    for (int i = 0; i < BACKENDS; i++) {
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
        workbench_create(&bench, backends[i], 1, &prepared);
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

/* Mean 1000, deviation 1: a variance as mean of squares less square of mean would be off by several percent. */
START_TEST(statistics_survive_a_large_mean)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 8000};
        const struct layer layer = {.kind = LAYER_BATCH_NORM,
                                    .name = "far from 0",
                                    .residual = NO_RESIDUAL,
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
        for (size_t j = 0; j < it.input.count; j++)
            it.input.values[j] += 1000.0f;
        oracle = case_oracle(&it);
        workbench_create(&bench, backends[i], 1, &it);
        workbench_forward(&bench, &it, &dice, &outcome);
        ck_assert_close(backends[i]->name, outcome.saved.values, oracle->saved, 32, 1e-5, 0.0);
        ck_assert_close(backends[i]->name, outcome.output.values, oracle->output, it.input.count, 1e-3, 1.0);
        guarded_destroy(&outcome.output);
        guarded_destroy(&outcome.saved);
        guarded_destroy(&outcome.state);
        workbench_destroy(&bench);
        case_oracle_destroy(oracle);
        layer_case_destroy(&it);
    }
}
END_TEST

START_TEST(backends_are_found_by_name)
{
    for (int i = 0; i < BACKENDS; i++)
        ck_assert_ptr_eq(backend_find(backends[i]->name), backends[i]);
    ck_assert_ptr_null(backend_find("abacus"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    TCase *layers = tcase_create("layers");
    SRunner *runner = srunner_create(suite);
    int failures;

    tcase_set_timeout(layers, 120);
    tcase_add_loop_test(layers, oracle_matches_finite_differences, 0, SMALL_LAYERS);
    tcase_add_loop_test(layers, random_layers_match_the_oracle, 0, RANDOM_LAYERS);
    tcase_add_loop_test(layers, threads_change_nothing_but_the_time, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, no_rows_do_no_harm, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, inference_uses_the_running_statistics, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, unprepared_rows_work_or_fail_cleanly, 0, FEW_LAYERS);
    tcase_add_loop_test(layers, resnet_layers_match_the_oracle, 0, IMAGE_SHAPES);
    tcase_add_loop_test(layers, backends_agree_on_resnet_layers, 0, IMAGE_SHAPES);
    tcase_add_test(layers, statistics_survive_a_large_mean);
    tcase_add_test(layers, backends_are_found_by_name);
    suite_add_tcase(suite, layers);

    srunner_run_all(runner, CK_ENV);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0;
}
