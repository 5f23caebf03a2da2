/* Whole networks on every backend against PyTorch in double precision: outputs, losses, gradients, three updates,
 * running statistics. bench/golden_networks.py made tests/golden/networks/ and has the files' format. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/tensors.h"
#include "optimizers/optimizer.h"
#include "stages/compute.h"
#include "tests/support/compare.h"
#include "tests/support/machine.h"
#include "tests/support/planned.h"
#include "tests/support/suite.h"

enum {
    STEPS = 3,
    ROWS_MAX = 8,
    CLASSES = 10,
    TARGETS_MAX = 16,
    LOGITS_MAX = TARGETS_MAX * CLASSES,
    SUMMARY = 4,
    TENSORS_MAX = 400
};

/* Of what rounding in single precision does to gradients of 50 layers and to small changes of weights. A layer that is
 * not what it should be is off by orders more. */
static const double tolerance = 1e-3;

static const char *const names[] = {"mlp",   "resnet8",    "resnet20", "alexnet",
                                    "vgg16", "llama-1.5m", "resnet50", "resnet50-imagenet"};
enum { NETWORKS = sizeof(names) / sizeof(names[0]) };

/* A tensor's norm, a sum that depends on the order of its elements, the first element, the middle one. */
struct summary {
    double values[SUMMARY];
};

struct golden_tensor {
    char name[TENSOR_NAME_MAX];
    bool state;
    struct summary gradient; /* of the first step; of parameters alone */
    struct summary end;      /* what all steps added to a parameter; a running statistic behind them */
};

struct golden {
    struct shape input;
    int classes, rows;
    struct optimizer_settings settings;
    double loss[STEPS], logits[LOGITS_MAX], evaluated[LOGITS_MAX];
    int tensor_count;
    struct golden_tensor tensors[TENSORS_MAX];
};

/* An integer from -127 to 127 that looks random, as bench/golden_networks.py has it. */
static int scatter(size_t i, uint32_t t)
{
    uint32_t x = (uint32_t)i * 0x9E3779B1u + t * 0x85EBCA6Bu + 0x27D4EB2Fu;

    x = (x ^ x >> 15) * 0x2C1B3C6Du;
    return (int)((x ^ x >> 12) % 255) - 127;
}

/* A width of 1 is of tokens. */
static bool has_tokens(const struct golden *golden)
{
    return golden->input.width == 1;
}

static int target_count(const struct golden *golden)
{
    return golden->rows * (has_tokens(golden) ? golden->input.height : 1);
}

static void read_doubles(FILE *file, double *values, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(fscanf(file, "%lf", &values[i]), 1);
}

static void read_tensor(FILE *file, struct golden *golden, bool state)
{
    struct golden_tensor *tensor = &golden->tensors[golden->tensor_count++];

    ck_assert_int_le(golden->tensor_count, TENSORS_MAX);
    ck_assert_int_eq(fscanf(file, "%55s", tensor->name), 1);
    tensor->state = state;
    if (!state)
        read_doubles(file, tensor->gradient.values, SUMMARY);
    read_doubles(file, tensor->end.values, SUMMARY);
}

static void read_word(FILE *file, struct golden *golden, const char *word)
{
    const struct {
        const char *word;
        double *values;
        int count;
    } numbers[] = {
        {"rate", &golden->settings.rate, 1},
        {"momentum", &golden->settings.momentum, 1},
        {"weight_decay", &golden->settings.weight_decay, 1},
        {"loss", golden->loss, STEPS},
        {"logits", golden->logits, target_count(golden) * golden->classes},
        {"evaluated", golden->evaluated, target_count(golden) * golden->classes},
    };

    if (strcmp(word, "input") == 0) {
        struct shape *input = &golden->input;
        ck_assert_int_eq(fscanf(file, "%d %d %d", &input->height, &input->width, &input->channels), 3);
        return;
    }
    if (strcmp(word, "classes") == 0 || strcmp(word, "rows") == 0) {
        ck_assert_int_eq(fscanf(file, "%d", *word == 'c' ? &golden->classes : &golden->rows), 1);
        ck_assert(golden->classes <= CLASSES && golden->rows <= ROWS_MAX && target_count(golden) <= TARGETS_MAX);
        return;
    }
    for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
        if (strcmp(word, numbers[n].word) == 0) {
            read_doubles(file, numbers[n].values, numbers[n].count);
            return;
        }
    ck_assert_msg(strcmp(word, "parameter") == 0 || strcmp(word, "state") == 0, "%s: unknown", word);
    read_tensor(file, golden, *word == 's');
}

static struct golden *golden_read(const char *name)
{
    struct golden *golden = calloc(1, sizeof(*golden));
    char path[128], word[32];
    FILE *file;

    ck_assert_ptr_nonnull(golden);
    snprintf(path, sizeof(path), "tests/golden/networks/%s.txt", name);
    file = fopen(path, "r");
    ck_assert_msg(file, "cannot open %s", path);
    golden->settings.gradient_scale = 1.0;
    ck_assert_int_eq(fscanf(file, "#%*[^\n]"), 0);
    while (fscanf(file, "%31s", word) == 1)
        read_word(file, golden, word);
    ck_assert(feof(file) && golden->tensor_count > 0);
    fclose(file);
    return golden;
}

/* A network in one part that trains, and what it trains on. */
struct training {
    const struct golden *golden;
    const char *name;
    struct machine machine;
    struct compute *compute;
    void *scratch; /* the device's */
    const struct network *network;
    struct tensors tensors;
    int32_t targets[TARGETS_MAX];
    struct guarded images, weights, first, gradient, momentum, state, set;
};

/* Makes a file of tokens below the number of classes, which a plan looks at: what is trained on is not from there. */
static void write_text(char path[64])
{
    int descriptor;

    strcpy(path, "/tmp/tp-golden-networks-XXXXXX");
    descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write(descriptor, &(const uint16_t){(uint16_t)(i % CLASSES)}, 2), 2);
    close(descriptor);
}

static void plan_one_part(struct plan *plan, const struct golden *golden, const char *name, const char *backend)
{
    const bool tokens = has_tokens(golden);
    struct network *network;
    char texts[6][80], path[64] = "";
    const char *overrides[] = {texts[0],
                               texts[1],
                               texts[2],
                               texts[3],
                               texts[4],
                               texts[5],
                               "pipeline.stages=1",
                               "pipeline.system=gpipe",
                               "pipeline.microbatches=1",
                               "data.limit=8",
                               NULL};

    if (tokens)
        write_text(path);
    snprintf(texts[0], sizeof(texts[0]), "model.arch=%s", name);
    snprintf(texts[1], sizeof(texts[0]), "device.backend=%s", backend);
    snprintf(texts[2], sizeof(texts[0]), "%s=%d", tokens ? "data.context" : "data.synthetic_size",
             golden->input.height);
    if (tokens)
        snprintf(texts[3], sizeof(texts[0]), "data.file=%s", path);
    else
        snprintf(texts[3], sizeof(texts[0]), "data.synthetic_channels=%d", golden->input.channels);
    snprintf(texts[4], sizeof(texts[0]), "data.batch=%d", golden->rows);
    snprintf(texts[5], sizeof(texts[0]), "data.set=%s", tokens ? "tokens" : "synthetic");
    planned(plan, &network, overrides, false);
    if (tokens)
        unlink(path);
    network_destroy(network);
}

/* Whether it is a norm's: it says so, or its layer has running statistics, too. */
static bool is_of_norm(const struct training *training, const struct tensor *tensor)
{
    char sibling[TENSOR_NAME_MAX + 16];
    bool found = strstr(tensor->name, "norm") != NULL;

    snprintf(sibling, sizeof(sibling), "%.*s.running_var", (int)(strrchr(tensor->name, '.') - tensor->name),
             tensor->name);
    for (int t = 0; t < training->tensors.count; t++)
        found |= strcmp(training->tensors.list[t].name, sibling) == 0;
    return found;
}

/* As `first_values` of bench/golden_networks.py has it, where the reasons are. */
static float first_value(const struct tensor *tensor, bool norm, uint32_t number, size_t i)
{
    const char *last = strrchr(tensor->name, '.');
    int bits = 0;

    if (tensor->dimensions > 1) {
        const size_t area = tensor->dimensions == 4 ? (size_t)tensor->shape[2] * (size_t)tensor->shape[3] : 1;
        const bool second = tensor->shape[1] % 2 == 0 && i / area % 2 == 1;
        const int value = scatter(second ? i - area : i, number);

        while (tensor->count / (size_t)tensor->shape[0] >> (bits + 1))
            bits++;
        return ldexpf((float)(second ? -value : value), -(6 + bits / 2));
    }
    if (!norm)
        return ldexpf((float)scatter(i, number), -10);
    if (strcmp(last, ".weight") == 0)
        return 0.25f + ldexpf((float)scatter(i, number), -10);
    return scatter(i / 2, number) < -64 ? -16.0f : 2.0f;
}

static const struct tensor *find_tensor(const struct training *training, const struct golden_tensor *golden)
{
    for (int t = 0; t < training->tensors.count; t++)
        if (strcmp(training->tensors.list[t].name, golden->name) == 0) {
            ck_assert(training->tensors.list[t].state == golden->state);
            return &training->tensors.list[t];
        }
    ck_abort_msg("%s has no tensor %s", training->name, golden->name);
    return NULL;
}

static void fill_weights(struct training *training)
{
    uint32_t number = 0;

    ck_assert_int_eq(training->golden->tensor_count, training->tensors.count);
    for (int t = 0; t < training->golden->tensor_count; t++) {
        const struct tensor *tensor = find_tensor(training, &training->golden->tensors[t]);

        if (tensor->state)
            continue;
        const bool norm = is_of_norm(training, tensor);

        number++;
        for (size_t i = 0; i < tensor->count; i++)
            training->weights.values[tensor_element(tensor, i)] = first_value(tensor, norm, number, i);
    }
    memcpy(training->first.values, training->weights.values, training->weights.count * sizeof(float));
    memset(training->momentum.values, 0, training->momentum.count * sizeof(float));
    for (int t = 0; t < training->tensors.count; t++)
        if (training->tensors.list[t].state)
            for (size_t i = 0; i < training->tensors.list[t].count; i++)
                training->state.values[training->tensors.list[t].offset + i] =
                    strstr(training->tensors.list[t].name, "var") ? 1.0f : 0.0f;
}

static void fill_data(struct training *training)
{
    const struct shape input = training->golden->input;
    const size_t channels = (size_t)input.channels, area = (size_t)input.height * (size_t)input.width;

    for (size_t i = 0; i < training->images.count; i++) {
        const size_t row = i / (area * channels), channel = i / area % channels, position = i % area;

        training->images.values[(row * area + position) * channels + channel] = ldexpf((float)scatter(i, 0), -6);
    }
    for (int r = 0; r < target_count(training->golden); r++)
        training->targets[r] = (int32_t)((scatter((size_t)r, 1) + 127) % training->golden->classes);
    for (size_t i = 0; has_tokens(training->golden) && i < training->images.count; i++) {
        const int32_t token = (scatter(i, 0) + 127) % training->golden->classes;

        memcpy(&training->images.values[i], &token, sizeof(token));
    }
}

static void training_create(struct training *training, const struct golden *golden, const char *name,
                            const struct backend *backend, const struct plan *plan)
{
    const struct engine_options options = {.threads = 2};
    struct dice dice = {.seed = 30000, .aligned = true};
    struct slice slice;
    struct error error;

    *training = (struct training){.golden = golden, .name = name};
    machine_open(&training->machine, backend, &options);
    ck_assert_msg(!compute_create(&training->compute, backend, training->machine.engine, training->machine.device, plan,
                                  1, &error),
                  "%s", error.text);
    ck_assert_int_eq(backend->device->allocate(training->machine.device, &training->scratch,
                                               compute_scratch_bytes(training->compute), "scratch", &error),
                     0);
    compute_use_scratch(training->compute, training->scratch);
    training->network = compute_network(training->compute);
    slice = network_slice(training->network, 0, training->network->block_count);
    ck_assert_int_eq(tensors_create(&training->tensors, training->network, &slice, &error), 0);
    training->images = guarded_create(&dice, (size_t)golden->rows * shape_size(golden->input));
    training->weights = guarded_create(&dice, slice.parameters);
    training->first = guarded_create(&dice, slice.parameters);
    training->gradient = guarded_create(&dice, slice.parameters);
    training->momentum = guarded_create(&dice, slice.parameters);
    training->state = guarded_create(&dice, slice.state);
    training->set = guarded_create(&dice, compute_layout(training->compute)->set_floats);
    fill_weights(training);
    fill_data(training);
}

static void training_destroy(struct training *training)
{
    struct guarded *const all[] = {&training->images,   &training->weights, &training->first, &training->gradient,
                                   &training->momentum, &training->state,   &training->set};

    machine_return(&training->machine);
    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
        guarded_destroy(all[k]);
    tensors_release(&training->tensors);
    compute_destroy(training->compute);
    training->machine.device->type->release(training->machine.device, training->scratch);
    machine_close(&training->machine);
}

static struct slot_tensors slot(struct training *training)
{
    return (struct slot_tensors){
        .minibatch = 1,
        .rows = training->golden->rows,
        .first_microbatch = 1,
        .input = machine_lend(&training->machine, &training->images),
        .set = machine_lend(&training->machine, &training->set),
    };
}

#define succeed(training, call) ck_assert_msg((call) == 0, "%s: %s", (training)->name, error.text)

static void forward(struct training *training, bool trains)
{
    const struct slot_tensors tensors = slot(training);
    struct error error;

    succeed(training, compute_forward(training->compute, &tensors, 1, trains,
                                      machine_lend(&training->machine, &training->weights),
                                      machine_lend(&training->machine, &training->state), &error));
    machine_return(&training->machine);
}

/* The backward, from the loss on, which it returns. */
static double backward(struct training *training)
{
    const struct slot_tensors tensors = slot(training);
    const struct device_type *device = training->machine.device->type;
    struct loss_result *result;
    struct error error;
    void *memory;
    double loss;

    succeed(training, device->allocate_host(training->machine.device, &memory,
                                            sizeof(*result) + sizeof(training->targets), "a result", &error));
    result = memory;
    *result = (struct loss_result){0};
    memcpy(result + 1, training->targets, sizeof(training->targets));
    succeed(training,
            compute_loss(training->compute, &tensors, 1, 1, (const int32_t *)(result + 1), true, result, &error));
    succeed(training, compute_backward(training->compute, &tensors, 1, 1, HALF_INPUT | HALF_WEIGHTS,
                                       machine_lend(&training->machine, &training->weights),
                                       machine_lend(&training->machine, &training->gradient), false, &error));
    machine_return(&training->machine);
    loss = result->loss_sum / target_count(training->golden);
    device->release_host(training->machine.device, memory);
    return loss;
}

static void update(struct training *training, int step)
{
    const struct optimizer *sgd = optimizer_find("sgd");
    struct optimizer_course course = {0};
    struct update_call call = {.count = training->weights.count};
    struct update update;
    struct error error;

    optimizer_catch_up(sgd, &training->golden->settings, step, &course);
    update = optimizer_update(sgd, &training->golden->settings, &course);
    call.weights = call.new_weights = machine_lend(&training->machine, &training->weights);
    call.gradient = machine_lend(&training->machine, &training->gradient);
    call.slots[0] = machine_lend(&training->machine, &training->momentum);
    succeed(training, training->machine.backend->update(training->machine.engine, &update, &call, &error));
    machine_return(&training->machine);
}

static void close_to(const struct training *training, const char *what, const char *name, const float *actual,
                     const double *expected, size_t count, double magnitude)
{
    char text[160];

    snprintf(text, sizeof(text), "%s, %s: %s%s%s", training->machine.backend->name, training->name, what,
             name ? " of " : "", name ? name : "");
    ck_assert_close(text, actual, expected, count, tolerance, magnitude);
}

static void check_logits(const struct training *training, const char *what, const double *expected)
{
    const int last = training->network->layer_count - 1;
    const size_t count = (size_t)target_count(training->golden) * (size_t)training->golden->classes;

    close_to(training, what, NULL, training->set.values + compute_layout(training->compute)->layers[last].output,
             expected, count, compare_magnitude(expected, count));
}

/* Of one of the network's tensors: in `values`, or of the difference to `before`. `floor` is what rounding errors of a
 * sum that comes to nothing are relative to. */
static void check_summary(const struct training *training, const char *what, const struct tensor *tensor,
                          const struct summary *expected, const float *values, const float *before, double floor)
{
    const double norm = expected->values[0] + floor, root = norm / sqrt((double)tensor->count);
    const double magnitudes[SUMMARY] = {floor, norm, root, root};
    static const char *const parts[SUMMARY] = {"norm", "weighted sum", "first element", "middle element"};
    double sums[SUMMARY] = {0};

    for (size_t i = 0; i < tensor->count; i++) {
        const size_t at = tensor_element(tensor, i);
        const double x = (double)values[at] - (before ? (double)before[at] : 0.0);

        sums[0] += x * x;
        sums[1] += x * scatter(i, 0) / 128.0;
        sums[2] = i == 0 ? x : sums[2];
        sums[3] = i == tensor->count / 2 ? x : sums[3];
    }
    sums[0] = sqrt(sums[0]);
    for (int k = 0; k < SUMMARY; k++) {
        const float actual = (float)sums[k];
        char text[64];

        snprintf(text, sizeof(text), "%s (%s)", what, parts[k]);
        close_to(training, text, tensor->name, &actual, &expected->values[k], 1, magnitudes[k]);
    }
}

/* Sums that come to nothing, as the gradient of a bias before a norm does, are small beside this. */
static double floor_of(const struct golden *golden, bool state, bool end)
{
    double largest = 0.0;

    for (int t = 0; t < golden->tensor_count; t++)
        if (golden->tensors[t].state == state)
            largest = fmax(largest, (end ? golden->tensors[t].end : golden->tensors[t].gradient).values[0]);
    return 1e-3 * largest;
}

static void check_gradients(const struct training *training)
{
    const struct golden *golden = training->golden;
    const double floor = floor_of(golden, false, false);

    for (int t = 0; t < golden->tensor_count; t++)
        if (!golden->tensors[t].state)
            check_summary(training, "gradient", find_tensor(training, &golden->tensors[t]),
                          &golden->tensors[t].gradient, training->gradient.values, NULL, floor);
}

static void check_end(const struct training *training)
{
    const struct golden *golden = training->golden;
    const double floors[2] = {floor_of(golden, false, true), floor_of(golden, true, true)};

    for (int t = 0; t < golden->tensor_count; t++) {
        const bool state = golden->tensors[t].state;

        check_summary(training, state ? "value" : "change", find_tensor(training, &golden->tensors[t]),
                      &golden->tensors[t].end, (state ? training->state : training->weights).values,
                      state ? NULL : training->first.values, floors[state]);
    }
}

static void check_training(struct training *training)
{
    const struct golden *golden = training->golden;

    for (int step = 0; step < STEPS; step++) {
        float loss;

        forward(training, true);
        if (step == 0)
            check_logits(training, "logits", golden->logits);
        loss = (float)backward(training);
        if (step == 0)
            check_gradients(training);
        close_to(training, "loss", NULL, &loss, &golden->loss[step], 1, 0.0);
        update(training, step);
    }
    check_end(training);
    forward(training, false);
    check_logits(training, "logits at the end", golden->evaluated);
}

START_TEST(networks_train_as_pytorch_has_it)
{
    struct golden *golden = golden_read(names[_i]);
    const struct backend *backend;

    for (int n = 0; (backend = usable_backend(n)); n++) {
        static struct plan plan;
        struct training training;

        plan_one_part(&plan, golden, names[_i], backend->name);
        training_create(&training, golden, names[_i], backend, &plan);
        check_training(&training);
        training_destroy(&training);
    }
    free(golden);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_networks");
    TCase *tcase = tcase_create("golden_networks");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, networks_train_as_pytorch_has_it, 0, NETWORKS);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
