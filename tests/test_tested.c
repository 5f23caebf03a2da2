/* Goal of this test: tpcoord test says of a checkpoint what its run said of it, to the last bit, in every partition and
 * system; it changes nothing in the run's folder, and needs it for itself no more than a reader does. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/run_folder.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static void run(const char *words, int status, const char *file, const char *said)
{
    ck_assert_msg(program_run(&program, words) == status, "%s: %s", words, program_text(&program, "err"));
    ck_assert_msg(strstr(program_text(&program, file), said) != NULL, "%s: not \"%s\": %s", words, said,
                  program_text(&program, file));
}

/* The names, times and sizes of all that is in the run's folder. */
static const char *listing(const char *name)
{
    char command[512];

    snprintf(command, sizeof(command), "cd %s/runs && ls -lR --time-style=full-iso x > ../%s", program.folder, name);
    ck_assert_int_eq(system(command), 0);
    return program_text(&program, name);
}

static double figure(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    ck_assert_msg(json_is_number(value), "no %s", name);
    return json_number_value(value);
}

static const char *const figures[] = {"test_loss", "test_top1", "test_top5"};

/* By other stages than those that trained it, or the same. */
static const char *const overrides[] = {
    "",
    " --set pipeline.stages=1",
    " --set pipeline.stages=2 --set pipeline.order=dynamic",
    " --set pipeline.system=gpipe",
    " --set pipeline.system=interleaved-1f1b --set pipeline.stages=1 --set pipeline.parts=3",
    " --set train.optimizer=adamw",
};
enum { OVERRIDES = sizeof(overrides) / sizeof(overrides[0]) };

START_TEST(a_test_says_what_the_run_said)
{
    char words[512];

    run("@ --set run.name=x --set run.epochs=3 --set checkpoints.keep=9 --quiet", 0, "err", "");
    json_t *report = program_json(&program, "runs/x/report.json"), *epochs = json_object_get(report, "epochs");
    ck_assert_int_eq((int)json_array_size(epochs), 3);
    ck_assert_double_ne(figure(json_array_get(epochs, 0), "test_loss"), figure(json_array_get(epochs, 2), "test_loss"));
    char *before = strdup(listing("before"));
    for (int epoch = 1; epoch <= 3; epoch++)
        for (int k = 0; k < (epoch == 2 ? OVERRIDES : 1); k++) {
            snprintf(words, sizeof(words), "test ~/runs/x/checkpoints/epoch-000%d --json ~/tested.json%s", epoch,
                     overrides[k]);
            run(words, 0, "out", "\nits run reported the same, to the last bit\n");
            json_t *tested = program_json(&program, "tested.json");
            for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
                const double expected = figure(json_array_get(epochs, (size_t)epoch - 1), figures[f]);

                ck_assert(figure(tested, figures[f]) == expected);
                ck_assert(figure(json_object_get(tested, "reported"), figures[f]) == expected);
            }
            ck_assert_int_eq((int)figure(tested, "epoch"), epoch);
            json_decref(tested);
        }
    ck_assert_str_eq(listing("after"), before);
    free(before);
    json_decref(report);
}
END_TEST

START_TEST(a_run_is_tested_by_its_newest_checkpoint_and_the_best_by_its_name)
{
    run("@ --set run.name=x --quiet", 0, "err", "");
    run("test ~/runs/x", 0, "out", "testing epoch-000");
    run("test ~/runs/x/best --json -", 0, "out", "\"checkpoint\": \"epoch-000");
    run("test ~/runs/x/best --quiet", 0, "out", "test loss ");
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "testing"));
    run("test ~/runs/x/ --set data.limit=16", 0, "out", "its run had other data, so that its figures do not compare");
    /* It learned of images that were normalised so. */
    json_t *manifest = program_json(&program, "runs/x/checkpoints/best/manifest.json");
    const json_t *means = json_object_get(json_object_get(manifest, "normalisation"), "mean");
    ck_assert_double_eq_tol(json_number_value(json_array_get(means, 0)), 0.5, 0.1);
    json_decref(manifest);
    /* While the run goes on, its folder is locked. */
    struct run_folder folder;
    struct error error;
    char path[256];

    snprintf(path, sizeof(path), "%s/runs/x", program.folder);
    ck_assert_msg(!run_folder_open(&folder, path, &error), "%s", error.text);
    run("test ~/runs/x", 0, "out", "to the last bit");
    run_folder_close(&folder);
}
END_TEST

START_TEST(a_checkpoint_within_an_epoch_is_tested_too)
{
    run("@ --set run.name=x --set checkpoints.every=2 --set checkpoints.keep=99 --quiet", 0, "err", "");
    run("test ~/runs/x/epoch-0001-minibatch-000002", 0, "out", "\nits run has not tested it\n");
}
END_TEST

static const struct {
    const char *words, *said;
} mistakes[] = {
    {"test", "tpcoord: which run? usage: tpcoord test RUN"},
    {"test ~/nowhere", "/nowhere: No such file or directory"},
    {"test ~/runs", "/runs is no checkpoint; its name would be as in epoch-0003"},
    {"test @", "small.ini is no checkpoint; its name would be as in epoch-0003"},
    {"test ~/runs/x/checkpoints/epoch-0009", "checkpoints/epoch-0009: No such file or directory"},
    {"test ~/runs/x --set data.limit=many", "--set data.limit: \"many\" is not a whole number"},
    {"test ~/runs/x --set model.depth=7", "model.arch (by default): mlp is another network than the one that the "},
    {"test ~/runs/x --set model.arch=resnet8 --set model.depth=0 --set model.width=0",
     "--set model.arch: resnet8 is another network than the one that the "},
    {"test ~/runs/x --set data.synthetic_channels=3",
     "its images are 28 x 28 x 3, those of the checkpoint 28 x 28 x 1"},
    {"test ~/runs/x --set pipeline.stages=9", "pipeline.stages"},
    {"test ~/runs/x --resume", "tpcoord: --resume does not go with tpcoord test"},
    {"test ~/runs/x ~/runs/x", "usage: tpcoord test RUN"},
};

START_TEST(what_cannot_be_tested_is_told_so)
{
    run("@ --set run.name=x --quiet", 0, "err", "");
    for (size_t k = 0; k < sizeof(mistakes) / sizeof(mistakes[0]); k++)
        run(mistakes[k].words, 2, "err", mistakes[k].said);
    char command[256];
    snprintf(command, sizeof(command),
             "for f in %s/runs/x/checkpoints/epoch-*/stage-2.safetensors; do echo >> $f; done", program.folder);
    ck_assert_int_eq(system(command), 0);
    run("test ~/runs/x/best", 2, "err", "stage-2.safetensors is damaged: it is not what its manifest says");
    run("test ~/runs/x", 2, "err", "runs/x has no complete checkpoint");
    run("@ --set run.name=y --set checkpoints.keep=0 --quiet", 0, "err", "");
    run("test ~/runs/y", 2, "err", "runs/y has no checkpoint: none was written yet, or checkpoints.keep is 0");
    run("@ --resume=~/runs/y", 2, "err", "runs/y has no checkpoint: none was written yet, or checkpoints.keep is 0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tested");
    TCase *tests = tcase_create("tested");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_test_says_what_the_run_said);
    tcase_add_test(tests, a_run_is_tested_by_its_newest_checkpoint_and_the_best_by_its_name);
    tcase_add_test(tests, a_checkpoint_within_an_epoch_is_tested_too);
    tcase_add_test(tests, what_cannot_be_tested_is_told_so);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
