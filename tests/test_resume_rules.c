/* Goal of this test: what optimizers and rules keep from update to update is saved with the weights. A run that was stopped
 * in the middle of an epoch, or whose end is lost after a checkpoint that it passed, ends with the same files, bit for bit;
 * and the files name what they hold as PyTorch does. Stages are threads. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "tests/support/saved.h"
#include "tests/support/suite.h"

enum { MINIBATCHES = 5, STAGES_MAX = 4, SLOTS_MAX = 4 };

static const struct {
    const char *system;
    int stages, microbatches;
    const char *settings;         /* "key=value key=value" */
    const char *slots[SLOTS_MAX]; /* what is kept, by the names in files */
} cases[] = {
    {"pipedream", 3, 1, "", {"momentum_buffer"}},
    {"pipedream", 3, 1, "train.momentum=0", {NULL}},
    {"pipedream", 3, 1, "train.nesterov=yes", {"momentum_buffer"}},
    {"pipedream", 3, 1, "train.optimizer=adamw", {"exp_avg", "exp_avg_sq"}},
    {"pipedream", 3, 1, "train.optimizer=nadamw", {"exp_avg", "exp_avg_sq"}},
    {"pipedream", 3, 1, "train.clip_norm=0.5", {"momentum_buffer"}},
    {"timeprest", 3, 2, "train.optimizer=adamw", {"exp_avg", "exp_avg_sq"}},
    {"timeprest", 3, 2, "staleness.update=dc-asgd", {"momentum_buffer"}},
    {"i-timeprest", 3, 2, "staleness.update=gap-aware", {"momentum_buffer", "average_squared_momentum"}},
    {"v-timeprest", 3, 3, "pipeline.forward_weights=spectrain", {"momentum_buffer", "last_gradient"}},
    {"pipedream-2bw", 3, 3, "train.optimizer=nadamw", {"exp_avg", "exp_avg_sq"}},
    {"pipedream-2bw", 3, 3, "staleness.update=dc-asgd staleness.measure=measured", {"momentum_buffer"}},
    {"pipedream-2bw",
     3,
     3,
     "pipeline.forward_weights=msnag pipeline.backward_weights=pipemare train.optimizer=adamw",
     {"exp_avg", "exp_avg_sq", "average_difference"}},
    {"stale", 3, 1, "", {"momentum_buffer"}},
    {"spectrain", 3, 1, "", {"momentum_buffer", "last_gradient"}},
    {"spectrain", 3, 1, "train.optimizer=adamw", {"exp_avg", "exp_avg_sq"}},
    {"pipeoptim", 3, 1, "", {"momentum_buffer", "last_gradient"}},
    {"pipeoptim", 3, 1, "train.momentum=0", {"last_gradient"}},
    {"pipeoptim", 3, 1, "train.optimizer=nadamw", {"exp_avg", "exp_avg_sq"}},
    {"msnag", 3, 1, "", {"momentum_buffer"}},
    {"msnag", 3, 1, "train.optimizer=adamw staleness.measure=measured", {"exp_avg", "exp_avg_sq"}},
    {"msnag", 3, 1, "train.optimizer=nadamw", {"exp_avg", "exp_avg_sq"}},
    {"pipemare", 3, 1, "", {"momentum_buffer", "average_difference"}},
    {"pipemare", 3, 1, "train.optimizer=adamw", {"exp_avg", "exp_avg_sq", "average_difference"}},
    {"nesterov-async", 3, 1, "", {"exp_avg", "exp_avg_sq"}},
    {"nesterov-async", 3, 1, "staleness.update=nesterov-by-stage", {"exp_avg", "exp_avg_sq"}},
    {"spike-compensation", 3, 1, "staleness.measure=measured", {"momentum_buffer"}},
    {"gap-aware", 3, 1, "", {"momentum_buffer", "average_squared_momentum"}},
    {"dc-asgd", 3, 1, "", {"momentum_buffer"}},
    {"dc-asgd", 3, 1, "pipeline.backward_weights=live train.optimizer=adamw", {"exp_avg", "exp_avg_sq"}},
    {"gpipe", 3, 2, "train.optimizer=adamw", {"exp_avg", "exp_avg_sq"}},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static struct saved saved;

static void set_up(void)
{
    saved_set_up(&saved);
}

static void tear_down(void)
{
    saved_tear_down(&saved);
}

static void start_over(void)
{
    tear_down();
    set_up();
}

static struct settings settings_of_case(int number, int stages)
{
    struct settings settings = saved_settings(cases[number].system, "mlp", stages, cases[number].microbatches);
    char text[128], *rest = text, *setting;

    snprintf(text, sizeof(text), "%s", cases[number].settings);
    while ((setting = strtok_r(rest, " ", &rest)) != NULL)
        snprintf(settings.text[settings.count++], sizeof(settings.text[0]), "%s", setting);
    settings_set(&settings, "checkpoints.keep", "100");
    return settings;
}

/* A set's files. */
struct files {
    int count;
    char *bytes[STAGES_MAX];
    struct safetensors read[STAGES_MAX];
};

static struct files files_of(const char *set, int stages)
{
    struct files files = {.count = stages};
    char path[256];
    struct error error;
    size_t size;

    for (int s = 0; s < stages; s++) {
        snprintf(path, sizeof(path), "%s/checkpoints/%s/stage-%d.safetensors", saved.path, set, s + 1);
        ck_assert_msg(!file_read(path, &files.bytes[s], &size, &error), "%s", error.text);
        ck_assert_msg(!safetensors_read(&files.read[s], files.bytes[s], size, &error), "%s", error.text);
    }
    return files;
}

static void files_free(struct files *files)
{
    for (int s = 0; s < files->count; s++) {
        safetensors_release(&files->read[s]);
        free(files->bytes[s]);
    }
}

static const struct safetensors_entry *find(const struct files *files, const char *name)
{
    const struct safetensors_entry *entry = NULL;

    for (int s = 0; s < files->count && entry == NULL; s++)
        entry = safetensors_find(&files->read[s], name);
    return entry;
}

static int count_tensors(const struct files *files)
{
    int count = 0;

    for (int s = 0; s < files->count; s++)
        count += files->read[s].count;
    return count;
}

/* The same tensors, whichever files they are in. */
static void assert_same(const struct files *a, const struct files *b)
{
    ck_assert_int_eq(count_tensors(a), count_tensors(b));
    for (int s = 0; s < a->count; s++)
        for (int k = 0; k < a->read[s].count; k++) {
            const struct safetensors_entry *one = &a->read[s].entries[k], *other = find(b, one->name);

            ck_assert_msg(other != NULL && one->end - one->begin == other->end - other->begin &&
                              memcmp(one->values, other->values, one->end - one->begin) == 0,
                          "%s differs", one->name);
        }
}

static struct files run_whole(int number)
{
    struct settings settings = settings_of_case(number, cases[number].stages);

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    return files_of("epoch-0002", cases[number].stages);
}

/* From the newest set to the end, which is that of the whole run. */
static void resume_to(const struct files *whole, int number, int stages)
{
    struct settings settings = settings_of_case(number, stages);
    struct checkpoint_set set = saved_newest(&saved);
    struct files resumed;

    saved_run_discarded(&saved, &settings, &set, UINT64_MAX);
    set_release(&set);
    resumed = files_of("epoch-0002", stages);
    assert_same(whole, &resumed);
    files_free(&resumed);
}

START_TEST(an_interrupted_run_ends_bit_for_bit_as_another)
{
    struct settings settings = settings_of_case(_i, cases[_i].stages);
    struct files whole = run_whole(_i);

    for (int k = 1; k < MINIBATCHES; k++) {
        start_over();
        saved_run_discarded(&saved, &settings, NULL, stop_point(1 + k % 2, PHASE_TRAIN, k));
        resume_to(&whole, _i, cases[_i].stages);
    }
    files_free(&whole);
}
END_TEST

/* Of those that are due, which depends on how fast they are written, each is as good as a stop. */
START_TEST(a_run_goes_on_from_any_checkpoint_that_it_passed)
{
    struct settings settings = settings_of_case(_i, cases[_i].stages);
    struct files whole = run_whole(_i), passed;
    int found = 0;

    start_over();
    settings_set(&settings, "checkpoints.every", "2");
    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    passed = files_of("epoch-0002", cases[_i].stages);
    assert_same(&whole, &passed);
    files_free(&passed);
    for (int k = 2 * MINIBATCHES - 1; k > 0; k--) {
        struct checkpoint_set set;
        char name[64], manifest[128];
        struct error error;

        snprintf(name, sizeof(name), "epoch-%04d-minibatch-%06d", 1 + k / MINIBATCHES, k % MINIBATCHES);
        snprintf(manifest, sizeof(manifest), "%s/manifest.json", name);
        if (k % MINIBATCHES == 0 || !saved_has(&saved, manifest))
            continue;
        found++;
        ck_assert_msg(!set_open(&set, &saved.folder, name, &error), "%s", error.text);
        saved_run_discarded(&saved, &settings, &set, UINT64_MAX);
        set_release(&set);
        passed = files_of("epoch-0002", cases[_i].stages);
        assert_same(&whole, &passed);
        files_free(&passed);
    }
    ck_assert_int_ge(found, 1);
    files_free(&whole);
}
END_TEST

/* Where every mini-batch ends with a flush, the stages' number changes no number: what is kept follows its layers. */
START_TEST(what_is_kept_follows_its_layers_to_other_stages)
{
    static const char *const optimizers[] = {"sgd", "adamw", "nadamw"};
    const int stages = 1 + _i % 2;
    struct settings settings = saved_settings("gpipe", "mlp", 3, 2), other = saved_settings("gpipe", "mlp", stages, 2);
    struct files whole, resumed;

    settings_set(&settings, "train.optimizer", optimizers[_i / 2]);
    settings_set(&other, "train.optimizer", optimizers[_i / 2]);
    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    whole = files_of("epoch-0002", 3);
    for (int k = 2; k <= MINIBATCHES; k += MINIBATCHES - 2) {
        struct checkpoint_set set;

        start_over();
        saved_run_discarded(&saved, &settings, NULL,
                            k < MINIBATCHES ? stop_point(1, PHASE_TRAIN, k) : stop_point(1, PHASE_EVALUATE, 0));
        set = saved_newest(&saved);
        saved_run_discarded(&saved, &other, &set, UINT64_MAX);
        set_release(&set);
        resumed = files_of("epoch-0002", stages);
        assert_same(&whole, &resumed);
        files_free(&resumed);
    }
    files_free(&whole);
}
END_TEST

/* Without a flush, the pipeline is filled anew: the run goes on, and says that it is not bit for bit. */
START_TEST(other_stages_fill_the_pipeline_anew)
{
    static struct pipeline pipeline;
    struct settings settings = settings_of_case(_i, cases[_i].stages), other = settings_of_case(_i, 2);
    struct checkpoint_set set;

    saved_run_discarded(&saved, &settings, NULL, stop_point(1, PHASE_TRAIN, 3));
    set = saved_newest(&saved);
    pipeline_create_in(&pipeline, settings_list(&other), &saved.folder, &set);
    ck_assert(!checkpoints_exact(&pipeline.checkpoints.manifest, &pipeline.plan));
    ck_assert_int_eq(pipeline.segment.header->start.filled_after, 3);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.segment.board->epochs_done, SAVED_EPOCHS);
    ck_assert_int_eq(segment_stage(&pipeline.segment, 2)->applied, SAVED_EPOCHS * MINIBATCHES);
    pipeline_destroy(&pipeline);
    set_release(&set);
}
END_TEST

/* Each kept vector once for each parameter, and nothing else beside the state_dict. */
START_TEST(files_name_what_is_kept_as_pytorch_does)
{
    struct settings settings = settings_of_case(_i, cases[_i].stages);
    struct checkpoint_set set;
    struct files files;
    int slots = 0, parameters = 0;

    saved_run_discarded(&saved, &settings, NULL, UINT64_MAX);
    files = files_of("epoch-0002", cases[_i].stages);
    set = saved_newest(&saved);
    while (slots < SLOTS_MAX && cases[_i].slots[slots])
        slots++;
    ck_assert_int_eq(set.manifest.slot_count, slots);
    for (int k = 0; k < slots; k++)
        ck_assert_str_eq(set.manifest.slots[k], cases[_i].slots[k]);
    for (int s = 0; s < files.count; s++)
        for (int e = 0; e < files.read[s].count; e++) {
            const struct safetensors_entry *parameter = &files.read[s].entries[e];

            if (strncmp(parameter->name, "optimizer.", strlen("optimizer.")) == 0)
                continue;
            parameters++;
            for (int k = 0; k < slots; k++) {
                const struct safetensors_entry *kept;
                char name[256];

                snprintf(name, sizeof(name), "optimizer.%s.%s", cases[_i].slots[k], parameter->name);
                kept = safetensors_find(&files.read[s], name);
                ck_assert_msg(kept != NULL, "no %s", name);
                ck_assert_int_eq(kept->end - kept->begin, parameter->end - parameter->begin);
            }
        }
    ck_assert_int_eq(parameters, 2 * 3); /* weights and biases of three layers, without statistics */
    ck_assert_int_eq(count_tensors(&files), parameters * (1 + slots));
    set_release(&set);
    files_free(&files);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resume_rules");
    TCase *same = tcase_create("same stages"), *other = tcase_create("other stages"), *names = tcase_create("names");

    tcase_set_timeout(same, 120);
    tcase_add_checked_fixture(same, set_up, tear_down);
    tcase_add_loop_test(same, an_interrupted_run_ends_bit_for_bit_as_another, 0, CASES);
    tcase_add_loop_test(same, a_run_goes_on_from_any_checkpoint_that_it_passed, 0, CASES);
    suite_add_tcase(suite, same);

    tcase_set_timeout(other, 120);
    tcase_add_checked_fixture(other, set_up, tear_down);
    tcase_add_loop_test(other, what_is_kept_follows_its_layers_to_other_stages, 0, 6);
    tcase_add_loop_test(other, other_stages_fill_the_pipeline_anew, 0, CASES - 1);
    suite_add_tcase(suite, other);

    tcase_set_timeout(names, 60);
    tcase_add_checked_fixture(names, set_up, tear_down);
    tcase_add_loop_test(names, files_name_what_is_kept_as_pytorch_does, 0, CASES);
    suite_add_tcase(suite, names);

    return run_suite(suite);
}
