/* Goal of this test: nothing trained is lost. A run that was stopped anywhere and goes on from its checkpoint computes
 * the same bits as one that was never stopped; with another partition it begins with exactly the weights that were
 * saved; of the sets in its folder the newest that is whole is taken. Stages are threads. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "stages/safetensors.h"
#include "tests/support/compare.h"
#include "tests/support/pipeline.h"
#include "tests/support/settings.h"

enum { EPOCHS = 2 };

static char folder[64];

static void set_up(void)
{
    strcpy(folder, "/tmp/tp-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void tear_down(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct settings settings_for(const char *system, const char *arch, int stages, int microbatches)
{
    struct settings settings = settings_of(arch, stages, microbatches, 6, 28);

    settings_set(&settings, "pipeline.system", system);
    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "device.backend", "onednn");
    settings_set(&settings, "train.lr", "0.002");
    settings_number(&settings, "run.epochs", EPOCHS);
    return settings;
}

/* All that a run leaves behind. */
struct result {
    size_t parameters, state;
    float *weights, *statistics;
    struct epoch_result epochs[EPOCHS];
    int epochs_done;
};

static struct result result_of(const struct pipeline *pipeline)
{
    struct result result = {.parameters = pipeline->network->parameters,
                            .state = pipeline->network->state,
                            .weights = pipeline_weights(pipeline),
                            .statistics = calloc(pipeline->network->state + 1, sizeof(float)),
                            .epochs_done = pipeline->segment.header->epochs_done};

    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        const struct slice *slice = &pipeline->plan.stages[s].slice;

        memcpy(result.statistics + slice->state_offset, stage_state(pipeline->stages[s]), slice->state * sizeof(float));
    }
    memcpy(result.epochs, pipeline->segment.header->epochs, sizeof(result.epochs));
    return result;
}

static void result_free(struct result *result)
{
    free(result->weights);
    free(result->statistics);
}

static void assert_equal(const struct result *a, const struct result *b)
{
    ck_assert_same("weights", a->weights, b->weights, a->parameters);
    ck_assert_same("running statistics", a->statistics, b->statistics, a->state);
    ck_assert_int_eq(a->epochs_done, b->epochs_done);
    for (int e = 0; e < a->epochs_done; e++) {
        ck_assert_mem_eq(&a->epochs[e].train_loss, &b->epochs[e].train_loss, 4 * sizeof(double));
        ck_assert_int_eq(a->epochs[e].trained_samples, b->epochs[e].trained_samples);
        ck_assert_int_eq(a->epochs[e].tested_samples, b->epochs[e].tested_samples);
    }
}

/* Runs from `from`, or from the beginning, to the end, or to where `stop` says. */
static struct result run(struct settings *settings, struct checkpoint_set *from, uint64_t stop)
{
    static struct pipeline pipeline;
    struct result result;

    pipeline_create_in(&pipeline, settings_list(settings), folder, from);
    atomic_store(&pipeline.segment.header->stopped_at, stop);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.checkpoints.failed, 0);
    result = result_of(&pipeline);
    pipeline_destroy(&pipeline);
    return result;
}

static struct checkpoint_set newest(void)
{
    struct checkpoint_set set;
    struct error error;

    ck_assert_msg(!set_open_newest(&set, folder, &error), "%s", error.text);
    return set;
}

static void run_discarded(struct settings *settings, struct checkpoint_set *from, uint64_t stop)
{
    struct result result = run(settings, from, stop);

    result_free(&result);
}

static struct result resume(struct settings *settings, uint64_t stop)
{
    struct checkpoint_set set = newest();
    struct result result = run(settings, &set, stop);

    set_release(&set);
    return result;
}

static const struct {
    const char *arch;
    int stages, microbatches;
} shapes[] = {{"mlp", 1, 2}, {"mlp", 2, 1}, {"mlp", 3, 3}, {"resnet8", 4, 1}, {"resnet8", 5, 2}, {"resnet8", 4, 4}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]), SYSTEMS = 9, MINIBATCHES = 5 };

static bool fits(const struct system *system, int stages, int microbatches)
{
    const int needed = orders[system->order].microbatches;

    return (needed == 0 || microbatches == needed) &&
           (system->forward != FORWARD_DOUBLE_BUFFERED || microbatches >= stages);
}

/* Stopped after every mini-batch of the first epoch and resumed, then stopped again in the second. */
START_TEST(resumed_runs_equal_uninterrupted_ones_bit_for_bit)
{
    const struct system *system = &systems[_i % SYSTEMS];
    const int stages = shapes[_i / SYSTEMS].stages, microbatches = shapes[_i / SYSTEMS].microbatches;
    struct settings settings = settings_for(system->name, shapes[_i / SYSTEMS].arch, stages, microbatches);
    struct result whole, resumed;

    if (!fits(system, stages, microbatches))
        return;
    whole = run(&settings, NULL, UINT64_MAX);
    ck_assert_int_eq(whole.epochs_done, EPOCHS);
    for (int k = 1; k < MINIBATCHES; k++) {
        tear_down();
        set_up();
        run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, k));
        if (k % 2) {
            resumed = resume(&settings, k + 1 < MINIBATCHES ? stop_point(1, PHASE_TRAIN, k + 1) : UINT64_MAX);
            result_free(&resumed);
        }
        resumed = resume(&settings, stop_point(2, PHASE_TRAIN, MINIBATCHES - k));
        result_free(&resumed);
        resumed = resume(&settings, UINT64_MAX);
        assert_equal(&whole, &resumed);
        result_free(&resumed);
    }
    result_free(&whole);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *exact = tcase_create("exact");
    SRunner *runner;
    int failed;

    tcase_set_timeout(exact, 120);
    tcase_add_checked_fixture(exact, set_up, tear_down);
    tcase_add_loop_test(exact, resumed_runs_equal_uninterrupted_ones_bit_for_bit, 0, SHAPES * SYSTEMS);
    suite_add_tcase(suite, exact);

    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
