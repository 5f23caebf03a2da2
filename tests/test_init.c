/* Goal of this test: a run begins with the weights that a file has, whatever wrote it: each tensor by its name, in every
 * partition, from any type of floats; and a file that does not fit is refused with all that is wrong with it. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/init.h"
#include "checkpoint/safetensors.h"
#include "tests/support/compare.h"
#include "tests/support/program.h"
#include "tests/support/saved.h"
#include "tests/support/suite.h"

static struct saved saved;

static void set_up(void)
{
    saved_set_up(&saved);
}

static void tear_down(void)
{
    saved_tear_down(&saved);
}

static const char net[] =
    "input image\nblock stem as features\n0 = convolution channels=3 kernel=3 bias=1\n1 = batch_norm\n"
    "2 = max_pool kernel=2\nblock middle as features\n3 = convolution channels=2 kernel=3 stride=2\n"
    "4 = batch_norm\nblock end as \"\"\nfc1 = linear units=3\nblock head as \"\"\n"
    "classifier = linear units=classes\nloss cross_entropy\n";

/* A tensor of a file that is to be written: its elements are element(seed, 0), element(seed, 1), ... */
struct written {
    const char *name, *type;
    int dimensions, shape[5];
};

static const struct written whole[] = {
    {"features.0.weight", "F32", 4, {3, 1, 3, 3}},
    {"features.0.bias", "F32", 1, {3}},
    {"features.1.weight", "F32", 1, {3}},
    {"features.1.bias", "F32", 1, {3}},
    {"features.1.running_mean", "F32", 1, {3}},
    {"features.1.running_var", "F32", 1, {3}},
    {"features.1.num_batches_tracked", "I64", 0, {0}},
    {"features.3.weight", "F32", 4, {2, 3, 3, 3}},
    {"features.4.weight", "F32", 1, {2}},
    {"features.4.bias", "F32", 1, {2}},
    {"features.4.running_mean", "F32", 1, {2}},
    {"features.4.running_var", "F32", 1, {2}},
    {"fc1.weight", "F32", 2, {3, 98}},
    {"fc1.bias", "F32", 1, {3}},
    {"classifier.weight", "F32", 2, {10, 3}},
    {"classifier.bias", "F32", 1, {10}},
};
enum { WHOLE = sizeof(whole) / sizeof(whole[0]) };

/* Exact in every type of floats. */
static float element(const char *name, size_t i)
{
    unsigned hash = 0;

    for (; *name; name++)
        hash = hash * 31 + (unsigned char)*name;
    return (float)((int)((hash + 7 * i) % 61) - 30) / 16.0f;
}

static size_t count_of(const struct written *tensor)
{
    size_t count = 1;

    for (int d = 0; d < tensor->dimensions; d++)
        count *= (size_t)tensor->shape[d];
    return count;
}

/* The bits that half the bytes of a float of this value have; exact, neither huge nor tiny. */
static unsigned half_bits(float value)
{
    int exponent;
    const float fraction = frexpf(fabsf(value), &exponent);

    if (value == 0.0f)
        return 0;
    return (value < 0.0f ? 0x8000u : 0u) | (unsigned)(exponent + 14) << 10 | ((unsigned)ldexpf(fraction, 11) & 1023u);
}

static void put_element(FILE *file, const char *type, float value)
{
    const double large = (double)value;
    const uint64_t zero = 0;
    unsigned bits;
    unsigned char bytes[4];

    memcpy(&bits, &value, sizeof(bits));
    bits = strcmp(type, "F16") == 0 ? half_bits(value) : strcmp(type, "BF16") == 0 ? bits >> 16 : bits;
    for (int k = 0; k < 4; k++)
        bytes[k] = (unsigned char)(bits >> 8 * k);
    if (strcmp(type, "F64") == 0)
        fwrite(&large, sizeof(large), 1, file);
    else if (strcmp(type, "I64") == 0)
        fwrite(&zero, sizeof(zero), 1, file);
    else
        fwrite(bytes, strcmp(type, "F32") == 0 ? 4 : 2, 1, file);
}

static int type_bytes(const char *type)
{
    return type[1] == '6' ? 8 : strcmp(type, "F32") == 0 ? 4 : 2;
}

/* In the test's folder. */
static void write_file(const char *name, const struct written *tensors, int count)
{
    static char header[1 << 14];
    char path[256];
    size_t offset = 0;
    uint64_t length;

    strcpy(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int t = 0; t < count; t++) {
        const size_t bytes = count_of(&tensors[t]) * (size_t)type_bytes(tensors[t].type);
        char *end = header + strlen(header);

        end += sprintf(end, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", tensors[t].name, tensors[t].type);
        for (int d = 0; d < tensors[t].dimensions; d++)
            end += sprintf(end, "%s%d", d > 0 ? "," : "", tensors[t].shape[d]);
        sprintf(end, "],\"data_offsets\":[%zu,%zu]}", offset, offset + bytes);
        offset += bytes;
    }
    strcat(header, "}");
    length = strlen(header);
    snprintf(path, sizeof(path), "%s/%s", saved.path, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fwrite(&length, sizeof(length), 1, file);
    fwrite(header, 1, length, file);
    for (int t = 0; t < count; t++)
        for (size_t i = 0; i < count_of(&tensors[t]); i++)
            put_element(file, tensors[t].type, element(tensors[t].name, i));
    ck_assert_int_eq(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", saved.path, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* A run of the network in the folder that begins with weights there. */
static struct settings settings_from(const char *name, int stages)
{
    struct settings settings;
    char path[128];

    write_text("own.net", net);
    snprintf(path, sizeof(path), "%s/own.net", saved.path);
    settings = saved_settings("timeprest", path, stages, 2);
    snprintf(path, sizeof(path), "%s/%s", saved.path, name);
    settings_set(&settings, "model.init", path);
    return settings;
}

/* By the meaning of dimensions: what is [out][in][height][width] in files is [out][height][width][in] here. */
static float expected_at(const struct written *tensor, size_t place)
{
    size_t area = 1, channels = 1;

    if (tensor->dimensions == 4) {
        channels = (size_t)tensor->shape[1];
        area = (size_t)tensor->shape[2] * (size_t)tensor->shape[3];
    } else if (strcmp(tensor->name, "fc1.weight") == 0) {
        channels = 2;
        area = 49;
    }
    const size_t out = place / (area * channels), position = place / channels % area, channel = place % channels;
    return element(tensor->name, (out * channels + channel) * area + position);
}

static void assert_begun(const struct pipeline *pipeline, bool statistics)
{
    float *weights = pipeline_weights(pipeline);
    size_t parameters = 0, state = 0;

    for (int t = 0; t < WHOLE; t++) {
        const bool running = strstr(whole[t].name, ".running_") != NULL;

        if (whole[t].dimensions == 0)
            continue;
        for (size_t i = 0; i < count_of(&whole[t]); i++) {
            const struct part *part = pipeline->parts[0];
            int p = 0;

            if (!running) {
                ck_assert_msg(weights[parameters] == expected_at(&whole[t], i), "%s, element %zu: %g is not %g",
                              whole[t].name, i, (double)weights[parameters], (double)expected_at(&whole[t], i));
                parameters++;
                continue;
            }
            while (state >= pipeline->plan.parts[p].slice.state_offset + pipeline->plan.parts[p].slice.state)
                part = pipeline->parts[++p];
            const float initial = strstr(whole[t].name, "_var") ? 1.0f : 0.0f;
            ck_assert(part_state(part)[state - pipeline->plan.parts[p].slice.state_offset] ==
                      (statistics ? expected_at(&whole[t], i) : initial));
            state++;
        }
    }
    ck_assert_uint_eq(parameters, pipeline->network->parameters);
    ck_assert_uint_eq(state, pipeline->network->state);
    free(weights);
}

static void run_checked(struct settings *settings, bool statistics)
{
    static struct pipeline pipeline;
    struct error error;

    pipeline_create(&pipeline, settings_list(settings));
    ck_assert_msg(!init_check(pipeline.plan.config.model.init, pipeline.network, &error), "%s", error.text);
    assert_begun(&pipeline, statistics);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    pipeline_destroy(&pipeline);
}

static const char *const types[] = {"F32", "F16", "BF16", "F64"};

START_TEST(a_run_begins_with_what_the_file_has)
{
    struct written tensors[WHOLE];

    memcpy(tensors, whole, sizeof(tensors));
    for (int t = 0; t < WHOLE; t++)
        if (strcmp(tensors[t].type, "F32") == 0)
            tensors[t].type = types[(_i + (_i == 4) * t) % 4];
    write_file("w.safetensors", tensors, WHOLE);
    for (int stages = 1; stages <= 4; stages++) {
        struct settings settings = settings_from("w.safetensors", stages);

        run_checked(&settings, true);
    }
}
END_TEST

START_TEST(running_statistics_may_lack)
{
    struct written tensors[WHOLE];
    int count = 0;

    for (int t = 0; t < WHOLE; t++)
        if (!strstr(whole[t].name, ".running_"))
            tensors[count++] = whole[t];
    write_file("w.safetensors", tensors, count);
    struct settings settings = settings_from("w.safetensors", 2);
    run_checked(&settings, false);
}
END_TEST

START_TEST(weights_may_lie_in_several_files)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/sharded", saved.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_file("sharded/model-00001-of-00002.safetensors", whole, 9);
    write_file("sharded/model-00002-of-00002.safetensors", whole + 9, WHOLE - 9);
    write_text("sharded/model.safetensors.index.json", "{}");
    write_text("sharded/notes.txt", "");
    struct settings settings = settings_from("sharded", 3);
    run_checked(&settings, true);
}
END_TEST

/* One of the first kind, one of the second, ... */
static const struct {
    const char *drop, *add, *reshape, *retype, *message;
} misfits[] = {
    {.drop = "fc1.bias", .message = "it lacks fc1.bias"},
    {.add = "head.weight", .message = "it has head.weight, which the network does not have"},
    {.drop = "fc1.bias",
     .add = "fc1.beta",
     .message = "it lacks fc1.bias; it has fc1.beta, which the network does not have"},
    {.reshape = "features.3.weight", .message = "features.3.weight is 2 x 3 x 3 x 4, not 2 x 3 x 3 x 3"},
    {.reshape = "features.4.running_mean", .message = "features.4.running_mean is 3, not 2"},
    {.retype = "classifier.bias", .message = "classifier.bias is of type I64, not F32, F16, BF16 or F64"},
    {.drop = "fc1.weight",
     .add = "a.b",
     .reshape = "features.0.bias",
     .retype = "features.1.bias",
     .message = "it lacks fc1.weight; it has a.b, which the network does not have; features.0.bias is 4, not 3; "
                "features.1.bias is of type I64, not F32, F16, BF16 or F64"},
    {.add = "optimizer.momentum_buffer.fc1.bias", .message = NULL},
    {.add = "version.7.fc1.bias", .message = NULL},
};

static bool is(const char *name, const char *wanted)
{
    return wanted && strcmp(name, wanted) == 0;
}

static int check_init(const char *name, struct error *error)
{
    static const struct shape image = {28, 28, 1};
    const struct network_options options = {.name = "own.net", .text = net, .input = image, .classes = 10};
    struct network *network;
    char path[512];

    ck_assert_msg(!network_create(&network, &options, error), "%s", error->text);
    snprintf(path, sizeof(path), "%s/%s", saved.path, name);
    const int failed = init_check(path, network, error);
    network_destroy(network);
    return failed;
}

static void assert_refused(const char *name, const char *words)
{
    struct error error;
    char expected[512];

    snprintf(expected, sizeof(expected), "%s/%s%s", saved.path, name, words);
    ck_assert_int_eq(check_init(name, &error), -1);
    ck_assert_msg(strncmp(error.text, expected, strlen(expected)) == 0, "\"%s\" is not \"%s\"", error.text, expected);
}

START_TEST(all_that_does_not_fit_is_named)
{
    struct written tensors[WHOLE + 1];
    struct error error;
    char words[512];
    int count = 0;

    for (int t = 0; t < WHOLE; t++) {
        if (is(whole[t].name, misfits[_i].drop))
            continue;
        tensors[count] = whole[t];
        if (is(whole[t].name, misfits[_i].reshape))
            tensors[count].shape[whole[t].dimensions - 1]++;
        if (is(whole[t].name, misfits[_i].retype))
            tensors[count].type = "I64";
        count++;
    }
    if (misfits[_i].add)
        tensors[count++] = (struct written){misfits[_i].add, "F32", 5, {1, 1, 2, 1, 1}};
    write_file("w.safetensors", tensors, count);
    if (!misfits[_i].message) {
        ck_assert_msg(!check_init("w.safetensors", &error), "%s", error.text);
        return;
    }
    snprintf(words, sizeof(words), " does not fit the network: %s", misfits[_i].message);
    assert_refused("w.safetensors", words);
    check_init("w.safetensors", &error);
    ck_assert_str_eq(error.text + strlen(error.text) - strlen(misfits[_i].message), misfits[_i].message);
}
END_TEST

/* However much is wrong, it is one line. */
START_TEST(long_lists_are_cut_and_counted)
{
    struct written tensors[40];
    char names[40][80];
    struct error error;

    for (int t = 0; t < 40; t++) {
        snprintf(names[t], sizeof(names[t]), "a.name.that.is.neither.short.nor.known.%d", t);
        tensors[t] = (struct written){names[t], "F32", 1, {1}};
    }
    write_file("w.safetensors", tensors, 40);
    ck_assert_int_eq(check_init("w.safetensors", &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "it lacks features.0.weight, features.0.bias, features.1.weight, "));
    ck_assert_ptr_nonnull(strstr(error.text, "; it has a.name.that.is.neither.short.nor.known.0, "));
    ck_assert_ptr_nonnull(strstr(error.text, " and 36 more, which the network does not have"));
}
END_TEST

START_TEST(what_is_no_weights_is_told_so)
{
    char path[128];

    assert_refused("nowhere.safetensors", ": No such file or directory");
    write_text("w.safetensors", "PK\003\004 not what it seems");
    assert_refused("w.safetensors", ": it is no safetensors file, or is cut off in its header");
    write_text("w.safetensors", "");
    assert_refused("w.safetensors", ": it is no safetensors file, or is cut off in its header");
    write_text("w.pt", "");
    assert_refused("w.pt", " is no file *.safetensors, nor a folder of them; PyTorch writes one with "
                           "safetensors.torch.save_file(model.state_dict(), FILE)");
    write_text("model.safetensors.index.json", "{}");
    assert_refused("model.safetensors.index.json", " lists the files of a model: give the folder that they are in");
    snprintf(path, sizeof(path), "%s/folder", saved.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_text("folder/stage-1-version-3.safetensors", "");
    assert_refused("folder", " has no file *.safetensors; a run's weights are in its checkpoints/best");
    write_file("folder/a.safetensors", whole, WHOLE);
    write_file("folder/b.safetensors", whole + 3, 1);
    assert_refused("folder", " has the tensor features.1.bias in two files");
    ck_assert_int_eq(chmod(path, 0), 0);
    if (geteuid() != 0)
        assert_refused("folder", " cannot be read: Permission denied");
    ck_assert_int_eq(chmod(path, 0700), 0);
}
END_TEST

/* By the definition of IEEE 754's binary16, and that of the upper half of a binary32. */
START_TEST(every_half_is_the_number_that_it_stands_for)
{
    static unsigned char values[2 << 16];
    static float floats[1 << 16];
    struct safetensors file;
    struct error error;
    char text[256];
    size_t size;

    for (int kind = 0; kind < 2; kind++) {
        static unsigned char bytes[sizeof(text) + sizeof(values)];

        for (unsigned h = 0; h < 1 << 16; h++) {
            values[2 * h] = (unsigned char)h;
            values[2 * h + 1] = (unsigned char)(h >> 8);
        }
        memset(bytes, 0, 8);
        size = (size_t)snprintf(text, sizeof(text),
                                "{\"h\":{\"dtype\":\"%s\",\"shape\":[65536],\"data_offsets\":[0,131072]}}",
                                kind == 0 ? "F16" : "BF16");
        bytes[0] = (unsigned char)size;
        memcpy(bytes + 8, text, size);
        memcpy(bytes + 8 + size, values, sizeof(values));
        ck_assert_msg(!safetensors_read(&file, bytes, 8 + size + sizeof(values), &error), "%s", error.text);
        safetensors_floats(&file.entries[0], 1, (1 << 16) - 1, floats + 1);
        for (unsigned h = 1; h < 1 << 16; h++) {
            const int bits = kind == 0 ? 10 : 7, top = kind == 0 ? 31 : 255, exponent = (int)(h >> bits) & top;
            const double fraction = ldexp((double)(h & ((1u << bits) - 1)), -bits), sign = h >> 15 ? -1.0 : 1.0;
            const double value = exponent == top ? (fraction > 0.0 ? (double)NAN : sign * (double)INFINITY)
                                 : exponent == 0 ? sign * ldexp(fraction, 1 - top / 2)
                                                 : sign * ldexp(1.0 + fraction, exponent - top / 2);

            ck_assert_msg(isnan(value) ? isnan(floats[h]) : (double)floats[h] == value, "%04x is %g, not %g", h,
                          (double)floats[h], value);
            ck_assert(isnan(value) || (signbit(floats[h]) != 0) == (h >> 15 == 1));
        }
        safetensors_release(&file);
    }
}
END_TEST

static const struct {
    const char *system;
    int stages, microbatches, parts;
} cuts[] = {{"timeprest", 1, 2, 1},
            {"timeprest", 5, 2, 1},
            {"gpipe", 3, 2, 1},
            {"interleaved-1f1b", 2, 2, 2},
            {"zb-v", 2, 2, 2}};

/* Weights and statistics of another run's checkpoint, in another partition; what its optimizer kept is not taken. */
START_TEST(another_runs_checkpoint_is_begun_with)
{
    static struct pipeline first, second, third;
    struct settings settings = saved_settings("timeprest", "resnet8", 3, 2);
    char path[128], command[512];

    saved_run(&saved, &first, &settings, NULL, UINT64_MAX);
    float *weights = pipeline_weights(&first), *begun;
    snprintf(path, sizeof(path), "%s/checkpoints/epoch-0002", saved.path);
    settings = saved_settings(cuts[_i].system, "resnet8", cuts[_i].stages, cuts[_i].microbatches);
    settings_number(&settings, "pipeline.parts", cuts[_i].parts);
    settings_set(&settings, "model.init", path);
    pipeline_create(&second, settings_list(&settings));
    begun = pipeline_weights(&second);
    ck_assert_same("weights", begun, weights, first.network->parameters);
    ck_assert_same("statistics", part_state(second.parts[0]), part_state(first.parts[0]), 16);
    ck_assert_int_eq(second.segment.board->epochs_done, 0);
    free(begun);
    pipeline_start(&second);
    pipeline_wait(&second, 0);
    /* The same without the optimizer's tensors: none of that name is the optimizer's. */
    snprintf(command, sizeof(command),
             "cp -r %s %s/copy && sed -i 's/optimizer.momentum_buffer/optimizer.momentum_nobody/g' "
             "%s/copy/stage-*.safetensors",
             path, saved.path, saved.path);
    ck_assert_int_eq(system(command), 0);
    snprintf(path, sizeof(path), "%s/copy", saved.path);
    settings_set(&settings, "model.init", path);
    pipeline_create(&third, settings_list(&settings));
    pipeline_start(&third);
    pipeline_wait(&third, 0);
    begun = pipeline_weights(&second);
    float *again = pipeline_weights(&third);
    ck_assert_same("weights after two epochs", again, begun, second.network->parameters);
    free(again);
    free(begun);
    free(weights);
    pipeline_destroy(&first);
    pipeline_destroy(&second);
    pipeline_destroy(&third);
}
END_TEST

/* It goes on from its checkpoint; the file is gone by then. */
START_TEST(a_run_that_began_so_resumes_bit_for_bit)
{
    static struct pipeline whole_run, resumed;
    struct checkpoint_set set;
    char path[128];

    write_file("w.safetensors", whole, WHOLE);
    struct settings settings = settings_from("w.safetensors", 3);
    saved_run(&saved, &whole_run, &settings, NULL, UINT64_MAX);
    float *weights = pipeline_weights(&whole_run);
    tear_down();
    set_up();
    write_file("w.safetensors", whole, WHOLE);
    settings = settings_from("w.safetensors", 3);
    saved_run_discarded(&saved, &settings, NULL, stop_point(1, PHASE_TRAIN, 3));
    snprintf(path, sizeof(path), "%s/w.safetensors", saved.path);
    ck_assert_int_eq(unlink(path), 0);
    set = saved_newest(&saved);
    ck_assert_str_eq(set.manifest.config.model.init, path);
    saved_run(&saved, &resumed, &settings, &set, UINT64_MAX);
    float *again = pipeline_weights(&resumed);
    ck_assert_same("weights", again, weights, whole_run.network->parameters);
    set_release(&set);
    free(weights);
    free(again);
    pipeline_destroy(&whole_run);
    pipeline_destroy(&resumed);
}
END_TEST

static struct program program;

static void set_up_program(void)
{
    program_set_up(&program);
}

static void tear_down_program(void)
{
    program_tear_down(&program);
}

static void run(const char *words, int status, const char *said)
{
    ck_assert_int_eq(program_run(&program, words), status);
    ck_assert_msg(strstr(program_text(&program, "err"), said) != NULL, "not \"%s\": %s", said,
                  program_text(&program, "err"));
}

/* As a user has it: with the program. */
START_TEST(the_command_line_says_what_to_begin_with)
{
    json_t *report;
    const char *init;

    run("@ --set run.name=a --quiet", 0, "");
    run("@ --set run.name=b --quiet --init ~/runs/a/checkpoints/best", 0, "");
    report = program_json(&program, "runs/b/report.json");
    init = json_string_value(json_object_get(json_object_get(json_object_get(report, "config"), "model"), "init"));
    ck_assert_msg(init && strstr(init, "/runs/a/checkpoints/best"), "%s", init);
    json_decref(report);
    run("plan @ --init ~/runs/a/checkpoints/best", 0, "");
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "weights   begin as in /tmp/"));
    run("@ --init ~/runs/a", 2, "--set model.init: ");
    run("@ --set model.depth=5 --init ~/runs/a/checkpoints/best", 2,
        "it lacks block2.linear.weight, block2.linear.bias, block3.linear.weight");
    run("@ --init=", 2, "tpcoord: --init: which file?");
    run("@ --init x --resume", 2, "tpcoord: --init and --resume do not go together");
    ck_assert(!program_has(&program, "runs/c"));
    /* What goes on has what it began with, said again or not; nothing else. */
    run("@ --set run.name=b --epochs 4 --quiet --resume=~/runs/b --set model.init=~/elsewhere.safetensors", 2,
        "elsewhere.safetensors, but a run that goes on has its checkpoint's weights; it began with ");
    run("@ --set run.name=b --epochs 4 --quiet --resume=~/runs/b", 0, "");
    report = program_json(&program, "runs/b/report.json");
    init = json_string_value(json_object_get(json_object_get(json_object_get(report, "config"), "model"), "init"));
    ck_assert_msg(init && strstr(init, "/runs/a/checkpoints/best"), "%s", init);
    json_decref(report);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("init");
    TCase *threads = tcase_create("weights"), *programs = tcase_create("programs");

    tcase_add_checked_fixture(threads, set_up, tear_down);
    tcase_set_timeout(threads, 120);
    tcase_add_loop_test(threads, a_run_begins_with_what_the_file_has, 0, 5);
    tcase_add_test(threads, running_statistics_may_lack);
    tcase_add_test(threads, weights_may_lie_in_several_files);
    tcase_add_loop_test(threads, all_that_does_not_fit_is_named, 0, COUNT(misfits));
    tcase_add_test(threads, long_lists_are_cut_and_counted);
    tcase_add_test(threads, what_is_no_weights_is_told_so);
    tcase_add_test(threads, every_half_is_the_number_that_it_stands_for);
    tcase_add_loop_test(threads, another_runs_checkpoint_is_begun_with, 0, COUNT(cuts));
    tcase_add_test(threads, a_run_that_began_so_resumes_bit_for_bit);
    suite_add_tcase(suite, threads);
    tcase_add_unchecked_fixture(programs, set_up_program, tear_down_program);
    tcase_set_timeout(programs, 120);
    tcase_add_test(programs, the_command_line_says_what_to_begin_with);
    suite_add_tcase(suite, programs);
    return run_suite(suite);
}
