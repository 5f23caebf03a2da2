/* Goal of this test: text goes all the way. A pipeline learns a text that repeats, tells loss, perplexity and rate by the
 * token, the same in every partition and each time; and what it has learned is written again. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/program.h"

static struct program program;

/* The next letter follows from the one before. */
static const char cycle[] = "abcdefgh";

static void write_file(const char *name, const char *text, int times)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", program.folder, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < times; i++)
        fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
    program_set_up(&program);
    write_file("text", cycle, 1500);
    write_file("small.net",
               "input tokens\nblock embed\nembed = embedding vocabulary=classes units=16\nblock middle\n"
               "middle = linear units=16 per_position=1\nrelu = relu\nblock head\n"
               "head = linear units=classes per_position=1\nloss cross_entropy\n",
               1);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

#define TEXT                                                                                                           \
    "--set data.set=text --set data.file=~/text --set data.limit=0 --set model.arch=~/small.net --set "                \
    "model.classes=256 --set data.context=16 --set data.batch=8 "

static void run(const char *words, int status)
{
    ck_assert_msg(program_run(&program, words) == status, "%s: %s", words, program_text(&program, "err"));
}

static double figure(const json_t *object, const char *name)
{
    ck_assert_msg(json_is_number(json_object_get(object, name)), "no %s", name);
    return json_number_value(json_object_get(object, name));
}

START_TEST(text_is_learned_and_written)
{
    const json_t *report, *epoch;

    run("@ " TEXT "--epochs 4 --set train.optimizer=adamw --set train.lr=0.02 --set run.name=x --json ~/x.json", 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "tokens/s"));
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "perplexity"));
    report = program_json(&program, "x.json");
    epoch = json_array_get(json_object_get(report, "epochs"), 3);
    ck_assert_double_eq_tol(figure(epoch, "test_perplexity"), exp(figure(epoch, "test_loss")), 1e-9);
    ck_assert_double_lt(figure(epoch, "test_perplexity"), 1.2);
    ck_assert_double_gt(figure(epoch, "test_top1"), 0.99);
    ck_assert_double_eq_tol(figure(report, "tokens_per_second") / figure(report, "images_per_second"), 16, 1e-6);
    run("sample ~/runs/x --prompt abc --tokens 40 --temperature 0", 0);
    ck_assert_str_eq(program_text(&program, "out"), "abcdefghabcdefghabcdefghabcdefghabcdefghabc\n");
    run("sample ~/runs/x/checkpoints/best --prompt h --tokens 7 --temperature 0.1 --seed 3", 0);
    ck_assert_str_eq(program_text(&program, "out"), "habcdefg\n");
    run("test ~/runs/x", 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "its run reported the same, to the last bit"));
    run("sample ~/runs/x --temperature hot", 2);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "--temperature: "));
}
END_TEST

START_TEST(every_cut_and_every_time_is_the_same)
{
    run("@ " TEXT "--set pipeline.system=gpipe --set run.name=a", 0);
    run("@ " TEXT "--set pipeline.system=gpipe --set run.name=b", 0);
    program_assert_same(&program, 3, 1, "a", "b");
    run("@ " TEXT "--set pipeline.system=gpipe --set pipeline.stages=1 --json ~/c.json", 0);
    run("@ " TEXT "--set pipeline.system=gpipe --set pipeline.stages=2 --json ~/d.json", 0);
    ck_assert_double_eq(
        figure(json_array_get(json_object_get(program_json(&program, "c.json"), "epochs"), 0), "test_loss"),
        figure(json_array_get(json_object_get(program_json(&program, "d.json"), "epochs"), 0), "test_loss"));
}
END_TEST

START_TEST(what_does_not_go_together_is_refused)
{
    static const struct {
        const char *words, *said;
    } cases[] = {
        {"@ --set model.arch=~/small.net", "the network reads tokens, but the data set (data.set) has images"},
        {"@ " TEXT "--set model.arch=mlp", "the network reads images, but the data set (data.set) has tokens"},
        {"@ " TEXT "--set data.augment=crop", "data.augment: text has no images to move"},
        {"@ " TEXT "--set data.enlarge=yes", "data.enlarge: text has no images to enlarge"},
        {"@ " TEXT "--set model.classes=255", "text is bytes: set model.classes = 256, it is 255"},
        {"@ " TEXT "--set data.context=9000", "are too few for a sample"},
        {"@ " TEXT "--set data.file=~/none", "none: cannot be read: No such file or directory"},
    };

    run(cases[_i].words, 2);
    ck_assert_msg(strstr(program_text(&program, "err"), cases[_i].said) != NULL, "%s: %s", cases[_i].words,
                  program_text(&program, "err"));
}
END_TEST

START_TEST(a_sample_of_images_is_refused)
{
    run("@ --set run.name=i", 0);
    run("sample ~/runs/i", 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "it was trained on data.set = synthetic"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text runs");
    TCase *cases = tcase_create("text runs");
    SRunner *runner = srunner_create(suite);
    int failures;

    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, text_is_learned_and_written);
    tcase_add_test(cases, every_cut_and_every_time_is_the_same);
    tcase_add_loop_test(cases, what_does_not_go_together_is_refused, 0, 7);
    tcase_add_test(cases, a_sample_of_images_is_refused);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_ENV);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0;
}
