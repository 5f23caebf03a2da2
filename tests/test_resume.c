/* Goal of this test: the real program goes on with a run that was interrupted or killed, to the very results of one that
 * was not, and says in a line what it resumes or why it cannot. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
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

/* Long enough to be interrupted in its middle. */
static const char run_words[] = "@ --quiet --epochs 4 --set data.limit=6000 --set data.batch=16 --set train.lr=0.002 "
                                "--set pipeline.order=static --set pipeline.system=v-timeprest";

static const char *words(const char *name, const char *more)
{
    static char text[512];

    snprintf(text, sizeof(text), "%s --set run.name=%s %s", run_words, name, more);
    return text;
}

static int run_named(const char *name, const char *more)
{
    return program_run(&program, words(name, more));
}

static bool is_there(const struct segment *segment, int number)
{
    return segment && number == 0;
}

static bool has_applied(const struct segment *segment, int updates)
{
    return atomic_load(&segment_stage(segment, 1)->applied) >= updates;
}

/* A checkpoint in the middle of an epoch is complete. */
static bool has_passed(const struct segment *segment, int number)
{
    return atomic_load(&segment->board->saved_at) >= stop_point(1, PHASE_TRAIN, number);
}

/* Waits until the run has come so far; returns stage 2's process. */
static pid_t await(pid_t child, const char *name, bool (*reached)(const struct segment *, int), int number)
{
    const uint64_t deadline = clock_now_ns() + 60 * 1000000000ull;
    struct segment segment;
    bool done = false;
    pid_t stage = 0;

    while (!done) {
        ck_assert_msg(clock_now_ns() < deadline, "%s", program_text(&program, "err"));
        usleep(500);
        if (!program_segment(child, name, &segment))
            continue;
        done = reached(&segment, number);
        stage = atomic_load(&segment_stage(&segment, 2)->pid);
        segment_close(&segment);
    }
    return stage;
}

static pid_t start_until(const char *name, const char *more, int updates, pid_t *stage)
{
    pid_t child = program_start(&program, words(name, more));

    *stage = await(child, name, has_applied, updates);
    return child;
}

static void assert_says(const char *file, const char *text)
{
    ck_assert_msg(strstr(program_text(&program, file), text) != NULL, "no \"%s\" in: %s", text,
                  program_text(&program, file));
}

START_TEST(interrupted_runs_go_on)
{
    pid_t stage, child;

    ck_assert_int_eq(run_named("whole", ""), 0);
    child = start_until("stopped", "", 400, &stage);
    /* Two runs in one folder would spoil each other's checkpoints. This one waits meanwhile. */
    ck_assert_int_eq(kill(stage, SIGSTOP), 0);
    ck_assert_int_eq(kill(child, SIGSTOP), 0);
    if (program_has(&program, "runs/stopped/checkpoints/epoch-0001/manifest.json")) {
        ck_assert_int_eq(program_run(&program, words("stopped", "--resume")), 2);
        assert_says("err", "runs/stopped is in use by a run that has not ended yet");
    }
    kill(child, SIGINT);
    kill(child, SIGCONT);
    kill(stage, SIGCONT);
    ck_assert_int_eq(program_finish(child), 3);
    assert_says("out", "continue with: ");
    assert_says("out", "/runs/stopped\n");
    /* And again, from wherever that was. */
    child = start_until("stopped", "--resume", 700, &stage);
    kill(child, SIGTERM);
    ck_assert_int_eq(program_finish(child), 3);
    ck_assert_int_eq(run_named("stopped", "--resume=~/runs/stopped"), 0);
    program_assert_same(&program, 3, 4, "whole", "stopped");
    ck_assert(!program_has(&program, "runs/stopped/checkpoints/best.part"));
    /* Nothing is left to do, which is no mistake. */
    ck_assert_int_eq(run_named("stopped", "--resume"), 0);
    program_assert_same(&program, 3, 4, "whole", "stopped");
}
END_TEST

START_TEST(killed_runs_go_on)
{
    pid_t stage, child;

    ck_assert_int_eq(run_named("whole", ""), 0);
    child = start_until("restarted", "--set run.restarts=1", 900, &stage);
    kill(stage, SIGKILL);
    ck_assert_int_eq(program_finish(child), 0);
    assert_says("err", "starting again from epoch-000");
    program_assert_same(&program, 3, 4, "whole", "restarted");
    child = start_until("killed", "", 900, &stage);
    kill(stage, SIGKILL);
    ck_assert_int_eq(program_finish(child), 1);
    assert_says("out", "continue with: ");
    ck_assert_int_eq(run_named("killed", "--resume"), 0);
    program_assert_same(&program, 3, 4, "whole", "killed");
}
END_TEST

START_TEST(what_must_agree_is_checked)
{
    static const struct {
        const char *more, *message;
    } cases[] = {
        {"--set data.batch=8", "data.batch: 8, but the checkpoint was made with 16"},
        {"--set run.seed=2", "run.seed: 2, but the checkpoint was made with 1"},
        {"--set data.synthetic_size=32", "its images are 32 x 32 x 1, those of the checkpoint 28 x 28 x 1"},
        {"--set model.arch=resnet8", "model.arch: resnet8, but the checkpoint was made with mlp"},
        {"--set data.enlarge=yes", "its images are 32 x 32 x 3, those of the checkpoint 28 x 28 x 1"},
        {"--set model.width=128", "model.width: 128, but the checkpoint was made with 256"},
        {"--set model.depth=4", "model.depth: 4, but the checkpoint was made with 3"},
        {"--set train.optimizer=adamw", "train.optimizer: adamw, but the checkpoint was made with sgd, which keeps"},
        {"--set pipeline.system=nesterov-async --set pipeline.microbatches=1",
         "nadamw for pipeline.system = nesterov-async, but the checkpoint was made with sgd, which"},
        {"--epochs 1", "run.epochs: 1, but the checkpoint is of epoch 2"},
        {"--resume=~/nowhere", "--resume: "},
        {"--resume=~/runs/made/checkpoints/epoch-0009", "epoch-0009: No such file"},
        {"--set run.name=other", "has a complete checkpoint; give its folder, --resume=DIR"},
    };
    char more[256];

    ck_assert_int_eq(run_named("made", "--epochs 2"), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(more, sizeof(more), "--epochs 3 --resume %s", cases[i].more);
        ck_assert_int_eq(run_named("made", more), 2);
        assert_says("err", cases[i].message);
    }
    /* A parameter's own value is as good as none. */
    ck_assert_int_eq(run_named("made", "--resume --epochs 2 --set model.width=256 --set model.depth=0"), 0);
    /* All else may change. */
    ck_assert_int_eq(run_named("made", "--resume --epochs 3 --set pipeline.stages=2 --set pipeline.system=gpipe "
                                       "--set pipeline.order=dynamic --set train.momentum=0 --set train.lr=0.001 "
                                       "--set train.optimizer=sgd"),
                     0);
    ck_assert_int_eq(run_named("made", "--resume --epochs 4 --set train.momentum=0.5"), 0);
}
END_TEST

/* A network's file may change its place, not its text. */
START_TEST(another_network_of_the_same_name_is_refused)
{
    char command[256];

    snprintf(command, sizeof(command), "cp networks/mlp.net %s/own.net", program.folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(run_named("own", "--epochs 1 --set model.arch=~/own.net"), 0);
    snprintf(command, sizeof(command), "sed -i 's/^relu = relu/# none/' %s/own.net", program.folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(run_named("own", "--resume --epochs 2 --set model.arch=~/own.net"), 2);
    assert_says("err", "own.net is another network than the one that the checkpoint was made with");
}
END_TEST

/* The program's own words, when it is not told to be quiet. */
START_TEST(another_backend_is_other_arithmetic)
{
    const char *loud = run_words + strlen("@ --quiet ");
    char text[512];

    ck_assert_int_eq(run_named("moved", "--epochs 2"), 0);
    snprintf(text, sizeof(text), "@ %s --set run.name=moved --resume --epochs 3", loud);
    ck_assert_int_eq(program_run(&program, text), 0);
    assert_says("out", "from epoch-0002: 2 of 3 epochs are trained\n");
    snprintf(text, sizeof(text), "@ %s --set run.name=moved --resume --set device.backend=reference", loud);
    ck_assert_int_eq(program_run(&program, text), 0);
    assert_says("out", "3 of 4 epochs are trained; not bit for bit, as another backend computes it\n");
}
END_TEST

/* Epochs that are added to a finished cosine run are trained with a rate that had fallen to 0: what it is now is said. */
START_TEST(a_learning_rate_that_changes_on_the_way_is_told)
{
    const char *loud = run_words + strlen("@ --quiet ");
    char text[512];

    ck_assert_int_eq(run_named("longer", "--epochs 2"), 0);
    snprintf(text, sizeof(text), "@ %s --set run.name=longer --resume --epochs 4", loud);
    ck_assert_int_eq(program_run(&program, text), 0);
    assert_says("out",
                "learning rate: 0.002, falling by a cosine to 0 at the end of epoch 4, after a warm-up of 0.5 epochs\n"
                "  the checkpoint's was 0.002, falling by a cosine to 0 at the end of epoch 2, after a warm-up of 0.5 "
                "epochs\n"
                "  the next update has 0.001, where that schedule had come to 0\n");
    /* Nothing is trained, or nothing changes. */
    ck_assert_int_eq(program_run(&program, text), 0);
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "learning rate:"));
    snprintf(text, sizeof(text), "@ %s --set run.name=longer --resume --epochs 5 --set train.lr_schedule=constant",
             loud);
    ck_assert_int_eq(program_run(&program, text), 0);
    assert_says("out", "learning rate: 0.002, constant, after a warm-up of 0.5 epochs\n");
    snprintf(text, sizeof(text), "@ %s --set run.name=longer --resume --epochs 6 --set train.lr_schedule=constant",
             loud);
    ck_assert_int_eq(program_run(&program, text), 0);
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "learning rate:"));
}
END_TEST

/* Asked for by a signal, to the run or to a stage, at any time: while it starts, while it trains, twice, while it tests. */
START_TEST(a_signal_writes_a_checkpoint_and_the_run_goes_on)
{
    char set[128], path[160];
    bool found = false;
    pid_t stage, child;

    ck_assert_int_eq(run_named("whole", ""), 0);
    child = program_start(&program, words("passed", "--set checkpoints.keep=1000 --set checkpoints.every=100"));
    await(child, "passed", is_there, 0);
    kill(child, SIGUSR1);
    await(child, "passed", has_passed, 1);
    stage = await(child, "passed", has_applied, 400);
    kill(child, SIGUSR1);
    kill(child, SIGUSR1);
    kill(stage, SIGUSR1);
    ck_assert_int_eq(program_finish(child), 0);
    assert_says("err", "tpcoord: a checkpoint follows when the mini-batches in flight are done; the run goes on\n");
    assert_says("err", "tpcoord: checkpoint epoch-0001");
    assert_says("err", " is complete\n");
    program_assert_same(&program, 3, 4, "whole", "passed");
    /* And from the newest of those within an epoch, as if everything after it had been lost. On a slow disk not every one
     * that was due has been begun. */
    for (int k = 3 * 375; k > 0 && !found; k--) {
        snprintf(set, sizeof(set), "runs/passed/checkpoints/epoch-%04d-minibatch-%06d", (k - 1) / 375 + 1,
                 (k - 1) % 375 + 1);
        snprintf(path, sizeof(path), "%s/manifest.json", set);
        found = program_has(&program, path);
    }
    ck_assert_msg(found, "no checkpoint within an epoch");
    snprintf(path, sizeof(path), "--resume=~/%s", set);
    ck_assert_int_eq(run_named("passed", path), 0);
    program_assert_same(&program, 3, 4, "whole", "passed");
}
END_TEST

START_TEST(an_older_checkpoint_sets_newer_ones_aside)
{
    ck_assert_int_eq(run_named("older", "--epochs 3"), 0);
    ck_assert_int_eq(run_named("older", "--epochs 2 --resume=~/runs/older/checkpoints/epoch-0002/"), 0);
    ck_assert(program_has(&program, "runs/older/checkpoints/epoch-0003/manifest.json.aside"));
    ck_assert(!program_has(&program, "runs/older/checkpoints/epoch-0003/manifest.json"));
    ck_assert_int_eq(run_named("older", "--resume"), 0);
    ck_assert(program_has(&program, "runs/older/checkpoints/epoch-0003/manifest.json"));
}
END_TEST

/* A run that is stopped goes on, to the same end; one that is finished has nothing to go on from. */
START_TEST(a_finished_run_may_keep_no_checkpoint)
{
    ck_assert_int_eq(run_named("kept", ""), 0);
    pid_t child = program_start(&program, words("none", "--set checkpoints.keep=0"));
    await(child, "none", has_applied, 400);
    kill(child, SIGINT);
    ck_assert_int_eq(program_finish(child), 3);
    ck_assert(program_has(&program, "runs/none/checkpoints"));
    ck_assert_int_eq(run_named("none", "--set checkpoints.keep=0 --resume"), 0);
    ck_assert(!program_has(&program, "runs/none/checkpoints"));
    json_t *whole = program_json(&program, "runs/kept/report.json");
    json_t *none = program_json(&program, "runs/none/report.json");
    for (size_t e = 0; e < 4; e++)
        ck_assert(json_equal(json_object_get(json_array_get(json_object_get(whole, "epochs"), e), "test_loss"),
                             json_object_get(json_array_get(json_object_get(none, "epochs"), e), "test_loss")));
    json_decref(whole);
    json_decref(none);
    ck_assert_int_eq(run_named("none", "--resume"), 2);
    assert_says("err", "has a complete checkpoint; give its folder");
}
END_TEST

START_TEST(a_full_disk_stops_no_training)
{
    struct rlimit before, limit;
    char path[256];

    /* Room for the shared memory, but not for the first layer and its momentum. */

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){6000000, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    pid_t child = program_start(&program, words("full", "--set data.limit=200 --set data.synthetic_size=64"));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(program_finish(child), 1);
    assert_says("err", "training goes on without a checkpoint: stage 1 cannot write its part of ");
    assert_says("err", "/checkpoints/epoch-0004: File too large\n");
    assert_says("out", "finished after 4 of 4 epochs");
    assert_says("out", "; 4 checkpoints could not be written");
    snprintf(path, sizeof(path), "%s/runs/full/checkpoints", program.folder);
    ck_assert_int_eq(rmdir(path), 0); /* nothing is left in it */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resume");
    TCase *tests = tcase_create("resume");

    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, interrupted_runs_go_on);
    tcase_add_test(tests, killed_runs_go_on);
    tcase_add_test(tests, what_must_agree_is_checked);
    tcase_add_test(tests, another_network_of_the_same_name_is_refused);
    tcase_add_test(tests, another_backend_is_other_arithmetic);
    tcase_add_test(tests, a_learning_rate_that_changes_on_the_way_is_told);
    tcase_add_test(tests, a_signal_writes_a_checkpoint_and_the_run_goes_on);
    tcase_add_test(tests, an_older_checkpoint_sets_newer_ones_aside);
    tcase_add_test(tests, a_finished_run_may_keep_no_checkpoint);
    tcase_add_test(tests, a_full_disk_stops_no_training);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
