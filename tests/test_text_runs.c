/* Goal of this test: whole runs of a small Llama on text. Every system trains it and lowers the loss, recomputed activations
 * change no bit, and a run that was cut off goes on to the very weights of one that was not. Its long form has every system
 * train the network of configs/llama.ini, twice, to the same bits. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "schedule/system.h"
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

/* Sentences of a few words, in an order that does not repeat. */
static void write_text(const char *path)
{
    static const char *const words[] = {"the", "stage", "reads", "what", "its", "neighbour", "has", "sent", "it."};
    FILE *file = fopen(path, "w");
    uint32_t state = 1;

    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 3000; i++) {
        state = state * 1664525u + 1013904223u;
        fprintf(file, "%s%c", words[(state >> 16) % 9], i % 12 == 11 ? '\n' : ' ');
    }
    ck_assert_int_eq(fclose(file), 0);
}

/* A run of that config on such a text. */
static void run(const char *config, const char *name, const char *more)
{
    char words[1024], text[256];

    snprintf(text, sizeof(text), "%s/text", program.folder);
    write_text(text);
    snprintf(words, sizeof(words), "%s --quiet --set run.name=%s --set data.file=%s %s", config, name, text, more);
    ck_assert_msg(program_run(&program, words) == 0, "%s: %s", name, program_text(&program, "err"));
}

static void train(const char *name, const char *more)
{
    char words[1024];

    snprintf(words, sizeof(words),
             "--set model.arch=tests/networks/llama.net --set model.classes=256 --set data.set=text "
             "--set data.context=24 --set data.batch=8 --set data.limit=40 --set pipeline.stages=2 "
             "--set train.optimizer=adamw --set train.lr=0.01 --set train.warmup_epochs=0 "
             "--set train.lr_schedule=constant %s",
             more);
    run("@", name, words);
}

static double loss_of(const char *name, size_t epoch)
{
    char path[128];
    json_t *report, *epochs;
    double loss;

    snprintf(path, sizeof(path), "runs/%s/report.json", name);
    report = program_json(&program, path);
    epochs = json_object_get(report, "epochs");
    loss = json_number_value(json_object_get(json_array_get(epochs, epoch), "train_loss"));
    json_decref(report);
    return loss;
}

static void check_learning(const char *name)
{
    ck_assert_msg(loss_of(name, 0) > 1.0 && loss_of(name, 1) < loss_of(name, 0), "%s: %g, then %g", name,
                  loss_of(name, 0), loss_of(name, 1));
}

START_TEST(every_system_trains_a_llama)
{
    const char *name = systems[_i].name;
    char more[160];

    snprintf(more, sizeof(more),
             "--epochs 2 --set train.optimizer=auto --set pipeline.system=%s --set pipeline.microbatches=%d", name,
             system_microbatches(&systems[_i], 4, 2));
    train(name, more);
    check_learning(name);
}
END_TEST

/* Its eleven blocks in four stages, or in eight parts, ten updates an epoch; with the optimizer of the config where a system
 * is not made of another. Sgd wants a higher rate. */
START_TEST(every_system_trains_the_llama_of_the_config_to_the_same_bits)
{
    const struct system *system = &systems[_i];
    const bool sgd = update_rule(system->rule)->needs_momentum;
    char more[512];

    snprintf(more, sizeof(more),
             "--epochs 2 --set run.output=~/runs --set device.backend=onednn --set data.context=64 "
             "--set data.limit=160 --set pipeline.system=%s --set pipeline.microbatches=%d %s %s",
             system->name, system_microbatches(system, 8, 4),
             sgd || system->optimizer ? "--set train.optimizer=auto" : "", sgd ? "--set train.lr=0.02" : "");
    run("configs/llama.ini", "once", more);
    run("configs/llama.ini", "again", more);
    check_learning("once");
    program_assert_same(&program, 4, 2, "once", "again");
}
END_TEST

START_TEST(recomputed_activations_change_no_bit)
{
    train("stored", "--epochs 2 --set pipeline.system=gpipe --set pipeline.backward_activations=stored");
    train("recomputed", "--epochs 2 --set pipeline.system=gpipe --set pipeline.backward_activations=recompute");
    program_assert_same(&program, 2, 2, "stored", "recomputed");
}
END_TEST

START_TEST(a_run_goes_on_bit_for_bit)
{
    train("whole", "--epochs 2");
    train("cut", "--epochs 1");
    train("cut", "--epochs 2 --resume=~/runs/cut");
    program_assert_same(&program, 2, 2, "whole", "cut");
}
END_TEST

/* One line, at the key that names the file; and nothing is begun. */
START_TEST(a_file_of_no_bytes_is_refused)
{
    program_write(&program, "void", "", 0);
    ck_assert_int_eq(program_run(&program, "configs/llama.ini --set run.output=~/runs --set data.file=~/void"), 2);
    const char *err = program_text(&program, "err");
    ck_assert_ptr_eq(strstr(err, "--set data.file: "), err);
    ck_assert_str_eq(err + strlen(err) - strlen("/void: is empty\n"), "/void: is empty\n");
    ck_assert(!program_has(&program, "runs"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runs on text");
    TCase *runs = tcase_create("runs on text"), *config = tcase_create("the config's network");

    tcase_set_timeout(runs, 120);
    tcase_add_checked_fixture(runs, set_up, tear_down);
    tcase_add_loop_test(runs, every_system_trains_a_llama, 0, system_count);
    tcase_add_test(runs, recomputed_activations_change_no_bit);
    tcase_add_test(runs, a_run_goes_on_bit_for_bit);
    tcase_add_test(runs, a_file_of_no_bytes_is_refused);
    suite_add_tcase(suite, runs);

    tcase_set_tags(config, "exhaustive");
    tcase_set_timeout(config, 600);
    tcase_add_checked_fixture(config, set_up, tear_down);
    tcase_add_loop_test(config, every_system_trains_the_llama_of_the_config_to_the_same_bits, 0, system_count);
    suite_add_tcase(suite, config);

    return run_suite(suite);
}
