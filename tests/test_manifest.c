/* Goal of this test: what is read back is what was written. No damage to a manifest passes, and no number that no run has
 * written; a set of another run, or one whose test failed, is not gone on from; nothing else is removed than what tp wrote,
 * and nothing else loaded than what a stage looks for. Stages are threads. */
#include <check.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "checkpoint/safetensors.h"
#include "checkpoint/seal.h"
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

enum { TEXT_MAX = 1 << 16 };

/* Reads the text of a set's manifest and returns its length. */
static size_t read_manifest(const char *set, char text[TEXT_MAX])
{
    char path[256];

    snprintf(path, sizeof(path), "%s/checkpoints/%s/manifest.json", saved.path, set);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    const size_t size = fread(text, 1, TEXT_MAX - 1, file);
    text[size] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return size;
}

START_TEST(no_bit_of_a_manifest_changes_unnoticed)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    struct manifest manifest;
    static char text[TEXT_MAX];
    struct error error;

    saved_run_discarded(&saved, &settings, NULL, stop_point(2, PHASE_TRAIN, 3));
    const size_t size = read_manifest("epoch-0002-minibatch-000003", text);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        ck_assert_msg(manifest_read(&manifest, text, size, &error) == -1, "bit %zu of byte %zu", bit % 8, bit / 8);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    ck_assert_msg(!manifest_read(&manifest, text, size, &error), "%s", error.text);
    ck_assert_str_eq(manifest.run, saved.folder.facts.run);
    manifest_release(&manifest);
}
END_TEST

/* What no run has written, though its checksum is right. */
static const struct {
    const char *member, *value, *message;
} impossible[] = {
    {"version", "1", "written by another version of tp"},
    {"run", "\"ffff\"", "which run"},
    {"minibatch", "6", "progress"},
    {"minibatches_per_epoch", "30000", "progress"},
    {"filled_after", "6", "progress"},
    {"updates", "9", "progress"},
    {"samples", "29", "of its epoch"},
    {"top5", "29", "of its epoch"},
    {"top1", "29", "of its epoch"},
    {"loss", "-1.0", "of its epoch"},
    {"training_ns", "9000000000000000000", "of its epoch"},
    {"train_images", "40, \"hosts\": [\"a\"]", "its hosts"},
    {"train_images", "40, \"hosts\": [\"a\", \"\"]", "its hosts"},
    {"train_images", "40, \"hosts\": [\"a\", \"b\\u001b\"]", "its hosts"},
    {"train_images", "40, \"hosts\": [\"a\", 1]", "its hosts"},
    {"slots", "[0,", "optimizer's slots"},
    {"slots", "[\"momentum_buffer\",", "optimizer's slots"},
    {"slots", "[\"1\", \"2\", \"3\", \"4\", \"5\",", "optimizer's slots"},
    {"train_images", "0", "its data"},
    {"data_crc32", "4294967296", "its data"},
    {"schedule_crc32", "-1", "its schedule"},
    {"network_crc32", "-1", "its network"},
    {"test_failed", "true", "of its test"},
    {"test_failed", "0", "of its test"},
    {"train_loss", "-0.5", "results of epoch 1"},
    {"test_loss", "-0.5", "results of epoch 1"},
    {"test_top1", "9.0", "results of epoch 1"},
    {"test_top1", "null", "results of epoch 1"},
    {"test_top5", "1.5", "results of epoch 1"},
    {"trained_samples", "29", "results of epoch 1"},
    {"tested_samples", "0", "results of epoch 1"},
    {"lr", "1e9", "train.lr"},
    {"bytes", "-1", "its files"},
    {"crc32", "-1", "its files"},
};
enum { IMPOSSIBLE = sizeof(impossible) / sizeof(impossible[0]) };

/* The text with another value for the first member of that name; the caller frees. */
static char *with_value(const char *text, const char *member, const char *value, size_t *size)
{
    char key[64], *changed = malloc(strlen(text) + 64);

    snprintf(key, sizeof(key), "\"%s\": ", member);
    const char *at = strstr(text, key);
    ck_assert_msg(at != NULL, "no %s", key);
    at += strlen(key);
    sprintf(changed, "%.*s%s%s", (int)(at - text), text, value, at + strcspn(at, ",\n"));
    char *sealed = seal_text(changed, strlen(changed), size);
    ck_assert_ptr_nonnull(sealed);
    free(changed);
    return sealed;
}

START_TEST(every_number_of_a_manifest_has_a_range)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    struct manifest manifest;
    static char text[TEXT_MAX];
    struct error error;
    size_t size;

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    read_manifest("epoch-0002", text);
    /* The checksum is no part of what is changed. */
    strcpy(strstr(text, ",\n  \"crc32\""), "}");
    for (int i = 0; i < IMPOSSIBLE; i++) {
        char *changed = with_value(text, impossible[i].member, impossible[i].value, &size);

        ck_assert_msg(manifest_read(&manifest, changed, size, &error) == -1, "%s = %s", impossible[i].member,
                      impossible[i].value);
        ck_assert_msg(strstr(error.text, impossible[i].message) && !strchr(error.text, '\n'), "%s: %s",
                      impossible[i].member, error.text);
        free(changed);
    }
}
END_TEST

/* Those of a run on several machines are there again; others have none, and no word of them. */
START_TEST(hosts_are_kept)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    struct manifest manifest;
    static char text[TEXT_MAX];
    struct error error;
    size_t size;

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    size = read_manifest("epoch-0002", text);
    ck_assert_ptr_null(strstr(text, "hosts"));
    ck_assert_msg(!manifest_read(&manifest, text, size, &error), "%s", error.text);
    ck_assert_str_eq(manifest.hosts[0], "");
    strcpy(manifest.hosts[0], "a");
    strcpy(manifest.hosts[1], "b-2.example.org");
    char *written = manifest_text(&manifest, &size);
    manifest_release(&manifest);
    ck_assert_msg(!manifest_read(&manifest, written, size, &error), "%s", error.text);
    ck_assert_str_eq(manifest.hosts[0], "a");
    ck_assert_str_eq(manifest.hosts[1], "b-2.example.org");
    manifest_release(&manifest);
    free(written);
}
END_TEST

/* Another stage's file has a tensor that no memory would hold. */
START_TEST(a_stage_loads_only_what_it_looks_for)
{
    static const int shape[] = {1 << 20, 1 << 14};
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    struct rlimit before, limit;
    struct pipeline pipeline;
    struct tensors tensors;
    struct error error;
    uint64_t offset = 0;
    char path[256];
    size_t size;

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    json_t *header = json_object();
    ck_assert_int_eq(safetensors_describe(header, "huge", shape, 2, &offset), 0);
    char *bytes = safetensors_format(header, &size);
    json_decref(header);
    snprintf(path, sizeof(path), "%s/checkpoints/epoch-0002/stage-2.safetensors", saved.path);
    FILE *file = fopen(path, "w");
    fwrite(bytes, 1, size, file);
    ck_assert_int_eq(ftruncate(fileno(file), (off_t)(size + offset)) || fclose(file), 0);
    free(bytes);

    pipeline_create(&pipeline, settings_list(&settings));
    const struct slice *slice = &pipeline.plan.parts[0].slice;
    ck_assert_int_eq(tensors_create(&tensors, pipeline.network, slice, &error), 0);
    struct tensor_group group = {.floats = calloc(slice->parameters, sizeof(float))};
    ck_assert_int_eq(getrlimit(RLIMIT_DATA, &before), 0);
    limit = (struct rlimit){(rlim_t)4 << 30, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &limit), 0);
    const int failed = checkpoint_read(saved.folder.descriptor, "epoch-0002", 2, 1, &tensors, &group, 1, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &before), 0);
    ck_assert_msg(!failed, "%s", error.text);
    ck_assert_int_ne(memcmp(group.floats, part_weights(pipeline.parts[0]), slice->parameters * sizeof(float)), 0);
    /* Whoever finds all in its own file does not open that of another; whoever does not, does. */
    ck_assert_int_eq(truncate(path, 4), 0);
    ck_assert_int_eq(checkpoint_read(saved.folder.descriptor, "epoch-0002", 2, 1, &tensors, &group, 1, &error), 0);
    ck_assert_int_eq(checkpoint_read(saved.folder.descriptor, "epoch-0002", 2, 2, &tensors, &group, 1, &error), -1);
    ck_assert_str_eq(error.text, "checkpoints/epoch-0002/stage-2.safetensors: it is no safetensors file, or is cut off "
                                 "in its header");
    free(group.floats);
    tensors_release(&tensors);
    pipeline_destroy(&pipeline);
}
END_TEST

START_TEST(what_is_removed_is_what_was_written)
{
    static const char *const others[] = {"stage-notes.txt", "stage-1.safetensors.bak", "stage-01.safetensors",
                                         "manifest.json.old"};
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    char path[256];

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(path, sizeof(path), "%s/checkpoints/epoch-0001/%s", saved.path, others[i]);
        ck_assert_int_eq(fclose(fopen(path, "w")), 0);
    }
    set_remove(&saved.folder, "epoch-0001");
    ck_assert(!saved_has(&saved, "epoch-0001/manifest.json") && !saved_has(&saved, "epoch-0001/stage-1.safetensors"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(path, sizeof(path), "epoch-0001/%s", others[i]);
        ck_assert_msg(saved_has(&saved, path), "%s", path);
    }
    set_remove(&saved.folder, "epoch-0002");
    ck_assert(!saved_has(&saved, "epoch-0002"));
}
END_TEST

START_TEST(a_set_of_another_run_is_passed_over)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    char command[256], other[64];
    struct checkpoint_set set;
    struct error error;

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    strcpy(other, saved.path);
    run_folder_close(&saved.folder);
    saved_set_up(&saved);
    saved_run_discarded(&saved, &settings, NULL, stop_point(2, PHASE_TRAIN, 1));
    snprintf(command, sizeof(command), "cp -r %s/checkpoints/epoch-0002 %s/checkpoints && rm -r %s", other, saved.path,
             other);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(set_open(&set, &saved.folder, "epoch-0002", &error), -1);
    ck_assert_msg(strstr(error.text, "epoch-0002 is of another run than its folder"), "%s", error.text);
    set = saved_newest(&saved);
    ck_assert_str_eq(set.name, "epoch-0002-minibatch-000001");
    set_release(&set);
}
END_TEST

/* What of a stage is not finite in a test: a weight, a running statistic, or what comes of a weight that is only large. */
static const struct {
    int stage;
    bool state;
    float value;
    const char *message;
} faults[] = {
    {2, false, INFINITY, "the weights of "},
    {2, true, NAN, "the running statistics of "},
    {3, false, 3e38f, "the output of "},
};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

/* The first of a stage's layers that can have the fault. */
static const char *layer_with(const struct pipeline *pipeline, int stage, bool state)
{
    const struct slice *slice = &pipeline->plan.parts[stage - 1].slice;
    int l = slice->first_layer;

    while (state ? pipeline->network->layers[l].state == 0 : pipeline->network->layers[l].parameters == 0)
        l++;
    return pipeline->network->layers[l].name;
}

/* The test fails of the epoch that was trained last: its layer is named, and nothing goes on from there. */
START_TEST(a_test_that_fails_is_located_and_passed_over)
{
    struct settings settings = saved_settings("timeprest", "resnet8", 3, 2);
    struct checkpoint_set set;
    struct pipeline pipeline;
    struct error error;
    char expected[96];

    saved_run_discarded(&saved, &settings, NULL, stop_point(2, PHASE_EVALUATE, 0));
    set = saved_newest(&saved);
    ck_assert_str_eq(set.name, "epoch-0002");
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, &set);
    const struct part *stage = pipeline.parts[faults[_i].stage - 1];
    const float *floats = faults[_i].state ? part_state(stage) : part_weights(stage);
    ((float *)(uintptr_t)floats)[0] = faults[_i].value;
    pipeline_start(&pipeline);
    while (!atomic_load(&pipeline.segment.board->diverged))
        sched_yield();
    segment_abort(&pipeline.segment);
    for (int s = 0; s < 3; s++)
        pthread_join(pipeline.threads[s].thread, NULL);
    ck_assert_msg(strstr(pipeline.threads[2].error.text, "the test's loss is ") != NULL, "%s",
                  pipeline.threads[2].error.text);
    for (int s = 1; s < faults[_i].stage; s++)
        ck_assert_str_eq(segment_stage(&pipeline.segment, s)->diverged, "");
    snprintf(expected, sizeof(expected), "%s%s", faults[_i].message,
             layer_with(&pipeline, faults[_i].stage, faults[_i].state));
    ck_assert_str_eq(segment_stage(&pipeline.segment, faults[_i].stage)->diverged, expected);

    ck_assert_int_eq(checkpoints_follow(&pipeline.checkpoints, &error), 0);
    ck_assert_str_eq(pipeline.checkpoints.newest, "epoch-0001");
    pipeline_destroy(&pipeline);
    set_release(&set);
    ck_assert_int_eq(set_open(&set, &saved.folder, "epoch-0002", &error), -1);
    ck_assert_msg(strstr(error.text, "the loss was not finite when ") != NULL, "%s", error.text);
    set = saved_newest(&saved);
    ck_assert_str_eq(set.name, "epoch-0001");
    set_release(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest");
    TCase *tests = tcase_create("manifest");

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, no_bit_of_a_manifest_changes_unnoticed);
    tcase_add_test(tests, every_number_of_a_manifest_has_a_range);
    tcase_add_test(tests, hosts_are_kept);
    tcase_add_test(tests, a_stage_loads_only_what_it_looks_for);
    tcase_add_test(tests, what_is_removed_is_what_was_written);
    tcase_add_test(tests, a_set_of_another_run_is_passed_over);
    tcase_add_loop_test(tests, a_test_that_fails_is_located_and_passed_over, 0, FAULTS);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
