#include "tests/support/layer_case.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

enum { GUARD_BYTES = 64 };

static double *doubles(size_t count)
{
    double *values = calloc(count + 1, sizeof(double));

    ck_assert_ptr_nonnull(values);
    return values;
}

static size_t saved_floats(const struct layer *layer)
{
    return layer->kind == LAYER_BATCH_NORM ? 2 * (size_t)layer->in.channels : 0;
}

static bool is_norm(const struct layer *layer)
{
    return layer->kind == LAYER_BATCH_NORM || layer->kind == LAYER_RMS_NORM || layer->kind == LAYER_LAYER_NORM;
}

/* Filters so small that outputs are about 1; gamma about 1. */
static struct guarded random_weights(struct dice *dice, const struct layer *layer)
{
    const float inputs = (float)layer->parameters / (float)layer->out.channels;
    struct guarded weights =
        guarded_normal(dice, layer->parameters, is_norm(layer) ? 0.3f : 1.0f / sqrtf(inputs + 1.0f));

    for (int c = 0; is_norm(layer) && c < layer->in.channels; c++)
        weights.values[c] += 1.0f;
    return weights;
}

void layer_case_fill(struct layer_case *it, struct dice *dice)
{
    for (int k = 0; k < it->layer.input_count; k++)
        for (size_t i = 0; i < it->inputs[k].count; i++) {
            float *value = &it->inputs[k].values[i];

            if (layer_type_of(it->layer.kind)->reads_tokens) {
                const int32_t token = dice_between(dice, 0, it->layer.vocabulary - 1);

                memcpy(value, &token, sizeof(token));
            } else {
                *value = dice_normal(dice);
            }
        }
}

void layer_case_create(struct layer_case *it, struct dice *dice, const struct layer *layer, int groups,
                       const int *group_rows)
{
    *it = (struct layer_case){.layer = *layer, .groups = groups};
    dice->aligned = dice_between(dice, 0, 1);
    for (int group = 0; group < groups; group++)
        it->group_start[group + 1] = it->group_start[group] + group_rows[group];
    it->draw = (struct draw){
        .seed = dice->seed,
        .minibatch = (uint32_t)dice_between(dice, 1, 1 << 20),
        .layer = (uint32_t)dice_between(dice, 0, 99),
        .row = (uint32_t)dice_between(dice, 0, 99),
    };

    const int rows = layer_case_rows(it);

    snprintf(it->name, sizeof(it->name),
             "seed %llu, %s, %dx%dx%d to %dx%dx%d, kernel %d stride %d padding %d%s, %d inputs%s, %d rows in %d groups",
             (unsigned long long)dice->seed, layer->name, layer->in.height, layer->in.width, layer->in.channels,
             layer->out.height, layer->out.width, layer->out.channels, layer->kernel, layer->stride, layer->padding,
             layer->bias ? " bias" : "", layer->input_count, layer->relu ? " relu" : "", rows, groups);
    for (int k = 0; k < LAYER_INPUTS_MAX; k++)
        it->inputs[k] = guarded_create(dice, layer_case_input(layer, k, rows));
    layer_case_fill(it, dice);
    it->output_gradient = guarded_normal(dice, (size_t)rows * shape_size(layer->out), 1.0f);
    it->forward_weights = random_weights(dice, layer);
    it->backward_weights =
        dice_between(dice, 0, 1) ? random_weights(dice, layer) : guarded_copy(dice, &it->forward_weights);
    it->state = guarded_normal(dice, layer->state, 1.0f);
    for (size_t i = layer->state / 2; i < layer->state; i++)
        it->state.values[i] = fabsf(it->state.values[i]) + 0.1f;

    for (int k = 0; k < LAYER_INPUTS_MAX; k++) {
        const bool needed = k < layer->input_count && layer->inputs[k] != NETWORK_INPUT;

        it->add_input_gradients[k] = dice_between(dice, 0, 1);
        it->input_gradients[k] = guarded_normal(dice, needed ? layer_case_input(layer, k, rows) : 0, 1.0f);
    }
    it->add_weight_gradient = dice_between(dice, 0, 1);
    it->weight_gradient = guarded_normal(dice, layer->parameters, 1.0f);
}

void layer_case_round(struct layer_case *it)
{
    for (int k = 0; k < it->layer.input_count; k++)
        for (size_t i = 0; i < it->inputs[k].count; i++)
            it->inputs[k].values[i] = roundf(it->inputs[k].values[i]);
}

void layer_case_destroy(struct layer_case *it)
{
    for (int k = 0; k < LAYER_INPUTS_MAX; k++) {
        guarded_destroy(&it->inputs[k]);
        guarded_destroy(&it->input_gradients[k]);
    }
    guarded_destroy(&it->output_gradient);
    guarded_destroy(&it->forward_weights);
    guarded_destroy(&it->backward_weights);
    guarded_destroy(&it->state);
    guarded_destroy(&it->weight_gradient);
}

/* Channels of every sort: one, few, odd, a vector's width, more than one vector. */
static int random_channels(struct dice *dice)
{
    static const int channels[] = {1, 2, 3, 5, 8, 16, 16, 24, 32, 48, 64, 67, 80, 128};

    return channels[dice_between(dice, 0, (int)(sizeof(channels) / sizeof(channels[0])) - 1)];
}

/* Within what network files may say, and small; half of those that need not be given are not. */
static int random_argument(struct dice *dice, const struct layer_argument *argument)
{
    if (argument->offset == offsetof(struct layer, units))
        return random_channels(dice);
    if (argument->standard != ARGUMENT_REQUIRED && !argument->flag && dice_between(dice, 0, 1))
        return argument->standard;
    if (argument->offset == offsetof(struct layer, percent))
        return dice_between(dice, argument->low, argument->high);
    return dice_between(dice, argument->low, min_int(argument->high, 7));
}

static struct layer any_layer(struct dice *dice)
{
    struct layer layer = {.kind = (enum layer_kind)dice_between(dice, 0, LAYER_KINDS - 1),
                          .inputs = {dice_between(dice, 0, 4) ? 0 : NETWORK_INPUT, 1, 2}};
    const struct layer_type *type = layer_type_of(layer.kind);

    snprintf(layer.name, sizeof(layer.name), "%s", type->name);
    layer.in.height = dice_between(dice, 1, 9);
    layer.in.width = dice_between(dice, 1, 9);
    layer.in.channels = random_channels(dice);
    for (const struct layer_argument *argument = type->arguments; argument->name; argument++)
        layer_set_argument(&layer, argument, random_argument(dice, argument));
    if (type->reads_tokens) {
        layer.inputs[0] = NETWORK_INPUT;
        layer.in.channels = 1;
    }
    if (layer.heads > 0)
        layer.in.channels = layer.heads * dice_between(dice, 1, 20);
    layer.input_count = type->inputs + (type->adds_second && type->inputs == 1 && dice_between(dice, 0, 1));
    layer.relu = type->fuses_relu && dice_between(dice, 0, 1);
    return layer;
}

struct layer layer_random(struct dice *dice, size_t limit)
{
    struct layer layer;
    struct error error;

    do {
        layer = any_layer(dice);
    } while (layer_complete(&layer, &error) || layer.parameters * (size_t)(layer.out.height * layer.out.width) > limit);
    return layer;
}

int groups_random(struct dice *dice, int group_rows[CASE_GROUPS_MAX])
{
    const int groups = dice_between(dice, 1, 5);

    for (int group = 0; group < groups; group++)
        group_rows[group] = dice_between(dice, 0, 4);
    return groups;
}

static void check(const struct workbench *bench, const struct layer_case *it, int result, const struct error *error)
{
    ck_assert_msg(result == 0, "%s: %s: %s", bench->backend->name, it->name, error->text);
}

/* All of it is poisoned, and followed by a guard. */
static void create_workspace(struct workbench *bench, const struct layer_case *it)
{
    struct device *device = bench->machine.device;
    const size_t bytes = bench->workspace_bytes + GUARD_BYTES;
    struct error error;
    void *staging, *workspace;

    check(bench, it, device->type->allocate_host(device, &staging, bytes, "poison", &error), &error);
    check(bench, it, device->type->allocate(device, &workspace, bytes, "a workspace", &error), &error);
    memset(staging, 0xff, bytes);
    check(bench, it, device->type->copy(device, workspace, staging, bytes, &error), &error);
    check(bench, it, device_finish(device, &error), &error);
    device->type->release_host(device, staging);
    bench->workspace = workspace;
}

void workbench_create(struct workbench *bench, const struct backend *backend, const struct engine_options *options,
                      const struct layer_case *it)
{
    struct error error;

    *bench = (struct workbench){.backend = backend};
    machine_open(&bench->machine, backend, options);
    check(bench, it, backend->layer_create(&bench->kernel, bench->machine.engine, &it->layer, &error), &error);
    ck_assert_uint_eq(backend->saved_floats(bench->kernel), saved_floats(&it->layer));
    for (int group = 0; group < it->groups; group++)
        check(bench, it,
              backend->prepare_forward(bench->kernel, it->group_start[group + 1] - it->group_start[group], &error),
              &error);
    check(bench, it, backend->prepare_backward(bench->kernel, layer_case_rows(it), &error), &error);
    bench->workspace_bytes = backend->workspace_bytes(bench->kernel);
    create_workspace(bench, it);
}

static void destroy_workspace(struct workbench *bench)
{
    struct device *device = bench->machine.device;
    struct error error;
    void *staging;
    bool untouched = true;

    ck_assert_int_eq(device->type->allocate_host(device, &staging, GUARD_BYTES, "a guard", &error), 0);
    ck_assert_int_eq(
        device->type->copy(device, staging, bench->workspace + bench->workspace_bytes, GUARD_BYTES, &error), 0);
    ck_assert_int_eq(device_finish(device, &error), 0);
    for (int i = 0; i < GUARD_BYTES; i++)
        untouched = untouched && ((unsigned char *)staging)[i] == 0xff;
    ck_assert_msg(untouched, "%s: wrote past its workspace", bench->backend->name);
    device->type->release_host(device, staging);
    device->type->release(device, bench->workspace);
}

void workbench_destroy(struct workbench *bench)
{
    destroy_workspace(bench);
    bench->backend->layer_destroy(bench->kernel);
    machine_close(&bench->machine);
}

void outcome_create_forward(struct outcome *outcome, const struct layer_case *it, struct dice *dice)
{
    outcome->output = guarded_create(dice, (size_t)layer_case_rows(it) * shape_size(it->layer.out));
    outcome->saved = guarded_create(dice, (size_t)it->groups * saved_floats(&it->layer));
    outcome->state = guarded_copy(dice, &it->state);
}

void workbench_call_forward(struct workbench *bench, const struct layer_case *it, struct outcome *outcome)
{
    struct machine *machine = &bench->machine;
    const size_t out = shape_size(it->layer.out), saved = saved_floats(&it->layer);
    struct draw draw = it->draw;
    struct error error;

    for (int group = 0; group < it->groups; group++) {
        const size_t first = (size_t)it->group_start[group];
        struct forward_call call = {
            .rows = it->group_start[group + 1] - it->group_start[group],
            .training = true,
            .weights = machine_lend(machine, &it->forward_weights),
            .output = machine_lend(machine, &outcome->output) + first * out,
            .draw = draw,
            .saved = machine_lend(machine, &outcome->saved) + (size_t)group * saved,
            .state = machine_lend(machine, &outcome->state),
            .workspace = bench->workspace,
        };

        for (int k = 0; k < it->layer.input_count; k++)
            call.inputs[k] =
                machine_lend(machine, &it->inputs[k]) + layer_case_input(&it->layer, k, it->group_start[group]);
        check(bench, it, bench->backend->forward(bench->kernel, &call, &error), &error);
        draw.row += (uint32_t)call.rows;
    }
}

void workbench_forward(struct workbench *bench, const struct layer_case *it, struct dice *dice, struct outcome *outcome)
{
    outcome_create_forward(outcome, it, dice);
    workbench_call_forward(bench, it, outcome);
    machine_return(&bench->machine);
}

static struct guarded gradient(struct dice *dice, const struct guarded *before, bool add)
{
    return add ? guarded_copy(dice, before) : guarded_create(dice, before->count);
}

void outcome_create_backward(struct outcome *outcome, const struct layer_case *it, struct dice *dice)
{
    outcome->output_gradient = guarded_copy(dice, &it->output_gradient);
    for (int k = 0; k < LAYER_INPUTS_MAX; k++)
        outcome->input_gradients[k] = gradient(dice, &it->input_gradients[k], it->add_input_gradients[k]);
    outcome->weight_gradient = gradient(dice, &it->weight_gradient, it->add_weight_gradient);
}

static struct backward_call backward_call(struct workbench *bench, const struct layer_case *it, struct outcome *outcome)
{
    struct machine *machine = &bench->machine;
    struct backward_call call = {
        .groups = it->groups,
        .group_start = it->group_start,
        .draw = it->draw,
        .output = machine_lend(machine, &outcome->output),
        .weights = machine_lend(machine, &it->backward_weights),
        .saved = machine_lend(machine, &outcome->saved),
        .output_gradient = machine_lend(machine, &outcome->output_gradient),
        .weight_gradient = machine_lend(machine, &outcome->weight_gradient),
        .add_weight_gradient = it->add_weight_gradient,
        .workspace = bench->workspace,
    };

    for (int k = 0; k < it->layer.input_count; k++) {
        call.inputs[k] = machine_lend(machine, &it->inputs[k]);
        if (it->layer.inputs[k] != NETWORK_INPUT)
            call.input_gradients[k] = machine_lend(machine, &outcome->input_gradients[k]);
        call.add_input_gradients[k] = it->add_input_gradients[k];
    }
    return call;
}

void workbench_call_backward(struct workbench *bench, const struct layer_case *it, struct outcome *outcome)
{
    const struct backward_call call = backward_call(bench, it, outcome);
    struct error error;

    check(bench, it, bench->backend->backward_input(bench->kernel, &call, &error), &error);
    check(bench, it, bench->backend->backward_weights(bench->kernel, &call, &error), &error);
}

static void check_equal(const struct workbench *bench, const struct layer_case *it, const struct guarded *before,
                        const struct guarded *after, const char *what)
{
    ck_assert_msg(memcmp(before->values, after->values, before->count * sizeof(float)) == 0, "%s: %s: %s",
                  bench->backend->name, it->name, what);
}

void workbench_backward(struct workbench *bench, const struct layer_case *it, struct dice *dice,
                        struct outcome *outcome)
{
    struct guarded weights_before, inputs_before[LAYER_INPUTS_MAX];
    struct backward_call call;
    struct error error;

    outcome_create_backward(outcome, it, dice);
    weights_before = guarded_copy(dice, &outcome->weight_gradient);
    call = backward_call(bench, it, outcome);

    check(bench, it, bench->backend->backward_input(bench->kernel, &call, &error), &error);
    machine_fetch(&bench->machine);
    if (it->layer.kind != LAYER_BATCH_NORM)
        check_equal(bench, it, &weights_before, &outcome->weight_gradient, "the input half wrote weight gradients");
    for (int k = 0; k < LAYER_INPUTS_MAX; k++)
        inputs_before[k] = guarded_copy(dice, &outcome->input_gradients[k]);
    check(bench, it, bench->backend->backward_weights(bench->kernel, &call, &error), &error);
    machine_return(&bench->machine);
    for (int k = 0; k < LAYER_INPUTS_MAX; k++) {
        check_equal(bench, it, &inputs_before[k], &outcome->input_gradients[k],
                    "the weight half wrote input gradients");
        guarded_destroy(&inputs_before[k]);
    }
    guarded_destroy(&weights_before);
}

void outcome_destroy(struct outcome *outcome)
{
    guarded_destroy(&outcome->output);
    guarded_destroy(&outcome->saved);
    guarded_destroy(&outcome->state);
    guarded_destroy(&outcome->output_gradient);
    for (int k = 0; k < LAYER_INPUTS_MAX; k++)
        guarded_destroy(&outcome->input_gradients[k]);
    guarded_destroy(&outcome->weight_gradient);
}

struct layer_oracle *case_oracle(const struct layer_case *it)
{
    const size_t out = (size_t)layer_case_rows(it) * shape_size(it->layer.out);
    struct layer_oracle *oracle = malloc(sizeof(*oracle));

    ck_assert_ptr_nonnull(oracle);
    *oracle = (struct layer_oracle){
        .layer = &it->layer,
        .groups = it->groups,
        .group_start = it->group_start,
        .forward_weights = guarded_doubles(&it->forward_weights),
        .backward_weights = guarded_doubles(&it->backward_weights),
        .output_gradient = guarded_doubles(&it->output_gradient),
        .draw = it->draw,
        .linear_output = doubles(out),
        .output = doubles(out),
        .saved = doubles((size_t)it->groups * saved_floats(&it->layer)),
        .masked_gradient = doubles(out),
        .weight_gradient = doubles(it->layer.parameters),
    };
    for (int k = 0; k < it->layer.input_count; k++) {
        oracle->inputs[k] = guarded_doubles(&it->inputs[k]);
        for (size_t i = 0; layer_type_of(it->layer.kind)->reads_tokens && i < it->inputs[k].count; i++) {
            int32_t token;

            memcpy(&token, &it->inputs[k].values[i], sizeof(token));
            oracle->inputs[k][i] = token;
        }
        oracle->input_gradients[k] = doubles(it->inputs[k].count);
    }
    layer_oracle_forward(oracle);
    return oracle;
}

void case_oracle_backward(struct layer_oracle *oracle, const struct guarded *output)
{
    for (size_t i = 0; i < output->count; i++)
        oracle->output[i] = (double)output->values[i];
    layer_oracle_backward(oracle);
}

void case_oracle_destroy(struct layer_oracle *oracle)
{
    for (int k = 0; k < LAYER_INPUTS_MAX; k++) {
        free(oracle->inputs[k]);
        free(oracle->input_gradients[k]);
    }
    free(oracle->forward_weights);
    free(oracle->backward_weights);
    free(oracle->output_gradient);
    free(oracle->linear_output);
    free(oracle->output);
    free(oracle->saved);
    free(oracle->masked_gradient);
    free(oracle->weight_gradient);
    free(oracle);
}
