/* Goal of this test: the results of one run never become another's, and one user's never another's. The real program is
 * refused a folder that is in use, that another run has written into, or that is not this user's; it resumes the run that
 * is meant, and says which and what has changed. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "checkpoint/run_folder.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

enum { NOBODY = 65534, PATH_LENGTH = 256 };

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static void path_of(const char *name, char path[PATH_LENGTH])
{
    snprintf(path, PATH_LENGTH, "%s/%s", program.folder, name);
}

/* A run of small mini-batches, long enough to be met while it trains. */
static const char settings[] = "--quiet --set data.batch=16 --set pipeline.order=static";

__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
    char words[512];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    snprintf(words + length, sizeof(words) - (size_t)length, " %s", settings);
    return program_run(&program, words);
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[1024];
    va_list arguments;

    int length = snprintf(command, sizeof(command), "cd %s && ", program.folder);
    va_start(arguments, format);
    vsnprintf(command + length, sizeof(command) - (size_t)length, format, arguments);
    va_end(arguments);
    ck_assert_msg(system(command) == 0, "%s", command);
}

static void assert_says(const char *file, const char *text)
{
    ck_assert_msg(strstr(program_text(&program, file), text) != NULL, "no \"%s\" in: %s", text,
                  program_text(&program, file));
}

static void assert_refused(int status, const char *text)
{
    ck_assert_msg(status == 2, "exit status %d: %s", status, program_text(&program, "err"));
    assert_says("err", text);
}

static void open_folder(struct run_folder *folder, const char *name)
{
    char path[PATH_LENGTH];
    struct error error;

    path_of(name, path);
    ck_assert_msg(!run_folder_open(folder, path, &error), "%s", error.text);
}

/* As long as another process has it open, be it that it only plans: nothing is read, and nothing is changed. */
START_TEST(a_folder_in_use_is_refused_with_its_holder)
{
    struct run_folder folder;
    char expected[64];

    ck_assert_int_eq(run("@ --epochs 2 --set run.name=x"), 0);
    open_folder(&folder, "runs/x");
    snprintf(expected, sizeof(expected), "runs/x is in use by a run that has not ended yet (process %d)\n",
             (int)getpid());
    assert_refused(run("@ --epochs 3 --set run.name=x --resume"), expected);
    assert_refused(run("@ --epochs 3 --resume=~/runs/x/checkpoints/epoch-0001"), expected);
    assert_refused(run("@ --set run.name=x"), expected);
    run_folder_close(&folder);
    ck_assert(program_has(&program, "runs/x/checkpoints/epoch-0002/manifest.json"));
    ck_assert_int_eq(run("@ --epochs 3 --set run.name=x --resume"), 0);
}
END_TEST

static void await(const char *name)
{
    const uint64_t deadline = clock_now_ns() + 60 * 1000000000ull;

    while (!program_has(&program, name)) {
        ck_assert_msg(clock_now_ns() < deadline, "%s does not come: %s", name, program_text(&program, "err"));
        usleep(500);
    }
}

START_TEST(of_two_fresh_runs_of_a_name_one_is_refused)
{
    pid_t first = program_start(&program, "@ --quiet --epochs 3 --set data.batch=16 --set run.name=x");

    await("runs/x/run.json");
    assert_refused(run("@ --set run.name=x"), "runs/x is in use by a run that has not ended yet (process ");
    ck_assert_int_eq(program_finish(first), 0);
}
END_TEST

/* Kills the coordinator once there is such a file, and waits until its stages have let go of the folder. */
static void run_killed(const char *words, const char *file)
{
    pid_t child = program_start(&program, words);
    struct run_folder folder;
    struct error error;
    char path[PATH_LENGTH];

    await(file);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    path_of("runs/x", path);
    while (run_folder_open(&folder, path, &error)) {
        ck_assert_msg(strstr(error.text, "in use") != NULL, "%s", error.text);
        usleep(500);
    }
    run_folder_close(&folder);
}

START_TEST(a_new_run_never_begins_in_the_folder_of_another)
{
    static const char list[] = "find runs/x -type f ! -name run.json -printf '%%p %%T@ %%s\\n' | sort >";

    run_killed("@ --quiet --epochs 1000 --set run.name=x --set data.batch=16", "runs/x/checkpoints/best");
    shell("%s before", list);
    assert_refused(run("@ --set run.name=x --set run.seed=2"),
                   "runs/x is of a run that ended without a report; go on with it, --resume=");
    assert_refused(run("@ --epochs 1000 --set run.name=x --set run.seed=2 --resume"), "run.seed: 2, but ");
    shell("%s after && cmp before after", list);
    shell("mkdir runs/notes && touch runs/notes/mine");
    assert_refused(run("@ --set run.name=notes"), "runs/notes is not empty; remove it or choose another name");
    /* What was killed before it had written anything is in nobody's way. */
    shell("rm -r runs/x/checkpoints");
    ck_assert_int_eq(run("@ --set run.name=x"), 0);
}
END_TEST

/* From now on tpcoord is a copy, beside which there is no tpstage. */
static void use_copy(void)
{
    shell("cp %s/%s tpcoord", program.path[0] == '/' ? "" : getenv("PWD"), program.path);
    snprintf(program.path, sizeof(program.path), "%s/tpcoord", program.folder);
}

/* Nothing has begun, so nothing is put aside. */
START_TEST(later_sets_are_put_aside_when_the_run_has_started)
{
    const struct program whole = program;

    ck_assert_int_eq(run("@ --epochs 3 --set run.name=x"), 0);
    use_copy();
    ck_assert_int_eq(run("@ --epochs 3 --resume=~/runs/x/checkpoints/epoch-0002"), 1);
    assert_says("err", "cannot start ");
    ck_assert(program_has(&program, "runs/x/checkpoints/epoch-0003/manifest.json"));
    memcpy(program.path, whole.path, sizeof(program.path));
    ck_assert_int_eq(run("@ --epochs 2 --resume=~/runs/x/checkpoints/epoch-0002"), 0);
    ck_assert(program_has(&program, "runs/x/checkpoints/epoch-0003/manifest.json.aside"));
}
END_TEST

/* A stage that dies before it has begun: the later sets are still there, and are not what the run goes on from. */
START_TEST(a_restart_goes_on_from_the_set_that_was_asked_for)
{
    ck_assert_int_eq(run("@ --epochs 3 --set run.name=x"), 0);
    shell("{ echo '#!/bin/sh'; echo 'mkdir %s/died && kill -9 $$'; echo 'exec %s/%.*s/tpstage \"$@\"'; } >tpstage",
          program.folder, program.path[0] == '/' ? "" : getenv("PWD"), (int)(strrchr(program.path, '/') - program.path),
          program.path);
    shell("chmod +x tpstage");
    use_copy();
    ck_assert_int_eq(run("@ --epochs 3 --resume=~/runs/x/checkpoints/epoch-0002 --set run.restarts=1"), 0);
    assert_says("err", " was killed by signal 9 (Killed) before it began to train\ntpcoord: starting again from "
                       "epoch-0002 (restart 1 of 1)\n");
}
END_TEST

/* Names that were once taken for each other: beginnings of others, the same in another folder, longer than is shown. */
static const char *const names[] = {"a/mlp.ini",
                                    "b/mlp.ini",
                                    "a/mlp-2.ini",
                                    "a/mlp.lr0.01.ini",
                                    "a/mlp.lr0.001.ini",
                                    "a/an-experiment-with-a-long-name-1.ini",
                                    "a/an-experiment-with-a-long-name-2.ini"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

START_TEST(a_config_resumes_its_own_run)
{
    char expected[NAMES][PATH_LENGTH];

    shell("mkdir a b");
    for (int i = 0; i < NAMES; i++) {
        shell("sed 's/^lr = .*/lr = 0.00%d/' small.ini >%s", i + 1, names[i]);
        assert_refused(run("~/%s --epochs 2 --resume", names[i]), "no run of this config in ");
        ck_assert_int_eq(run("~/%s", names[i]), 0);
        const char *report = strstr(program_text(&program, "out"), "report: ");
        ck_assert_ptr_nonnull(report);
        snprintf(expected[i], PATH_LENGTH,
                 "resuming %.*s from epoch-0001: ", (int)(strstr(report, "/report.json") - report - 8), report + 8);
    }
    for (int i = 0; i < NAMES; i++) {
        ck_assert_int_eq(run("~/%s --epochs 2 --resume", names[i]), 0);
        assert_says("out", expected[i]);
    }
}
END_TEST

/* Whatever the clock on the wall said when its folder got its name. */
START_TEST(the_last_run_is_the_one_that_was_started_last)
{
    ck_assert_int_eq(run("@"), 0);
    shell("mv runs/small-* runs/small-20990101-000000");
    ck_assert_int_eq(run("@"), 0);
    shell("mv runs/small-20[!9]* runs/other");
    ck_assert_int_eq(run("@ --epochs 2 --resume"), 0);
    assert_says("out", "/runs/other from epoch-0001: ");
    /* A config that has moved is known by its text; another one of its name is not. */
    shell("mkdir moved && mv small.ini moved");
    ck_assert_int_eq(run("~/moved/small.ini --epochs 3 --resume"), 0);
    assert_says("out", "/runs/other from epoch-0002: ");
    shell("cp moved/small.ini copy.ini && rm -r runs/small-2099*");
    assert_refused(run("~/copy.ini --epochs 4 --resume"), "no run of this config in ");
}
END_TEST

START_TEST(what_has_changed_is_said)
{
    ck_assert_int_eq(run("@ --set run.name=x"), 0);
    shell("cp small.ini other.ini");
    ck_assert_int_eq(run("~/other.ini --resume=~/runs/x --epochs 2 --set train.lr=0.002 --set train.nesterov=yes"), 0);
    assert_says("out", "/runs/x from epoch-0001: 1 of 2 epochs are trained\n  config file ");
    assert_says("out", "\n  run.epochs = 2, before 1\n");
    assert_says("out", "\n  train.lr = 0.002, before 0.001\n");
    assert_says("out", "\n  train.nesterov = yes, before no\n");
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "run.name"));
}
END_TEST

/* Four IDX files of 40 images and 10; every pixel has this value. */
static void write_data(const char *folder, int pixel)
{
    static const struct {
        const char *half;
        int count;
    } halves[] = {{"train", 40}, {"t10k", 10}};

    shell("mkdir -p %s", folder);
    for (int h = 0; h < 2; h++) {
        shell("{ printf '\\0\\0\\010\\003\\0\\0\\0\\%03o\\0\\0\\0\\034\\0\\0\\0\\034'; head -c %d /dev/zero | tr '\\0' "
              "'\\%03o'; } "
              ">%s/%s-images-idx3-ubyte",
              (unsigned)halves[h].count, halves[h].count * 784, (unsigned)pixel, folder, halves[h].half);
        shell("{ printf '\\0\\0\\010\\001\\0\\0\\0\\%03o'; head -c %d /dev/zero; } >%s/%s-labels-idx1-ubyte",
              (unsigned)halves[h].count, halves[h].count, folder, halves[h].half);
    }
}

START_TEST(other_data_of_the_same_size_are_refused)
{
    static const char data[] = "--set data.set=idx --set data.limit=0 --set run.name=x";

    write_data("one", 1);
    write_data("two", 2);
    ck_assert_int_eq(run("@ %s --set data.dir=~/one", data), 0);
    assert_refused(run("@ %s --set data.dir=~/two --resume --epochs 2", data),
                   "data.dir: its images or labels are others than those that the checkpoint was made with");
    shell("mv one three");
    ck_assert_int_eq(run("@ %s --set data.dir=~/three --resume --epochs 2", data), 0);
}
END_TEST

START_TEST(best_is_followed)
{
    ck_assert_int_eq(run("@ --epochs 2 --set run.name=x"), 0);
    shell("ln -sfn epoch-0001 runs/x/checkpoints/best");
    ck_assert_int_eq(run("@ --epochs 2 --resume=~/runs/x/checkpoints/best"), 0);
    assert_says("out", "/runs/x from epoch-0001: ");
    shell("ln -sfn /tmp runs/x/checkpoints/best");
    assert_refused(run("@ --epochs 2 --resume=~/runs/x/checkpoints/best"), "best is no link to a set");
}
END_TEST

/* One mini-batch is all of an epoch, and multiplies the weights by about -99: so it is a test that finds the first loss out
 * of range. */
START_TEST(a_run_goes_on_from_before_a_test_that_failed)
{
    static const char name[] = "epoch-";
    char from[32];

    ck_assert_int_eq(run("@ --epochs 100 --set run.name=x --set data.limit=16 --set train.lr=100 "
                         "--set train.weight_decay=1 --set train.warmup_epochs=0 --set train.lr_schedule=constant"),
                     1);
    assert_says("err", "the test's loss is ");
    assert_says("err", "; the first numbers out of range are in the ");
    assert_says("out", "continue with: ");
    run("@ --epochs 100 --set run.name=x --set data.limit=16 --resume");
    const char *said =
        strstr(program_text(&program, "err"), "passing over a checkpoint: the loss was not finite when ");
    ck_assert_ptr_nonnull(said);
    snprintf(from, sizeof(from), " from epoch-%04d: ", atoi(strstr(said, name) + strlen(name)) - 1);
    assert_says("out", from);
}
END_TEST

/* Formats of other versions are told as such, not as damage. */
START_TEST(an_older_checkpoint_is_refused_in_a_line)
{
    ck_assert_int_eq(run("@ --set run.name=x"), 0);
    shell("sed -i 's/\"version\": [0-9]*/\"version\": 1/' runs/x/checkpoints/epoch-0001/manifest.json");
    assert_refused(
        run("@ --epochs 2 --resume=~/runs/x/checkpoints/epoch-0001"),
        "manifest.json: it was written by another version of tp, whose checkpoints this one does not read\n");
    shell("rm runs/x/run.json");
    assert_refused(run("@ --epochs 2 --resume=~/runs/x"), "runs/x is no folder of a run: it has no run.json\n");
}
END_TEST

/* Another user's process runs the command. */
__attribute__((format(printf, 1, 2))) static void as_nobody(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    int status;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    const pid_t child = fork();
    if (child == 0) {
        if (chdir(program.folder) || setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
            _exit(126);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", command);
}

/* A folder that all may write into, without the sticky bit even. */
static void share(const char *name)
{
    shell("chmod 755 . && mkdir -p %s && chmod 777 %s", name, name);
}

static void write_secret(void)
{
    shell("echo secret >secret && chmod 600 secret");
}

static void assert_secret(void)
{
    ck_assert_str_eq(program_text(&program, "secret"), "secret\n");
}

START_TEST(another_users_folder_is_not_written_into)
{
    share("runs");
    shell("mkdir elsewhere");
    as_nobody("mkdir runs/x && chmod 777 runs/x && ln -s ../elsewhere runs/y");
    assert_refused(run("@ --set run.name=x"), "runs/x belongs to another user; copy it to a folder of your own");
    assert_refused(run("@ --set run.name=y"), "runs/y is a link of another user's");
    as_nobody("rmdir runs/x && rm runs/y");
    shell("rmdir elsewhere");
}
END_TEST

START_TEST(another_users_run_is_not_resumed)
{
    share("runs");
    ck_assert_int_eq(run("@ --set run.name=x"), 0);
    shell("chmod -R a+rX runs/x");
    as_nobody("cp -r runs/x runs/taken");
    assert_refused(run("@ --epochs 2 --resume=~/runs/taken"), "runs/taken belongs to another user");
    assert_refused(run("@ --epochs 2 --resume --set run.name=taken"), "no run of this config in ");
    /* Found by its config, it would be the newest. */
    shell("rm -r runs/x");
    assert_refused(run("@ --epochs 2 --resume"), "no run of this config in ");
    as_nobody("rm -r runs/taken");
}
END_TEST

/* Links to a private file in the place of all that a run that goes on will write, in its own folders, which anybody may
 * write into. A set that another user has put there is not read. */
START_TEST(planted_links_are_not_followed)
{
    ck_assert_int_eq(run("@ --set run.name=x --set run.record=yes"), 0);
    write_secret();
    shell("cp -r runs/x/checkpoints/epoch-0001 runs/x/checkpoints/epoch-0002");
    shell("chmod 755 . && chmod -R a+rwX runs");
    as_nobody(
        "cd runs/x && for name in run.json.part report.json report.json.part recording.tprec recording.tprec.part "
        "checkpoints/best.part; do rm -f $name && ln -s %s/secret $name || exit 1; done",
        program.folder);
    as_nobody("cd runs/x/checkpoints/epoch-0002 && rm -f * && for name in stage-1.safetensors stage-1.safetensors.part "
              "stage-2.safetensors.part manifest.json.part; do ln -s %s/secret $name || exit 1; done",
              program.folder);
    as_nobody("cd runs/x/checkpoints && cp -r epoch-0001 epoch-0009");
    ck_assert_int_eq(run("@ --epochs 3 --set run.name=x --set run.record=yes --resume"), 0);
    assert_says("out", "/runs/x from epoch-0001: ");
    assert_secret();
    shell("test -f runs/x/report.json -a ! -L runs/x/report.json -a ! -L runs/x/recording.tprec -a ! -L "
          "runs/x/checkpoints/epoch-0002/stage-1.safetensors");
    ck_assert(program_has(&program, "runs/x/checkpoints/epoch-0003/manifest.json"));
    as_nobody("rm -r runs/x/checkpoints/epoch-0009");
}
END_TEST

/* Nor are those in the place of files that a user names. */
START_TEST(outputs_are_not_written_through_planted_links)
{
    static const char *const options[] = {"@ --json", "@ --trace", "@ --record", "plan @ --json", "plan @ --csv"};
    char words[128];

    share("outputs");
    write_secret();
    as_nobody("ln -s ../secret outputs/planted");
    shell("ln -s ../elsewhere outputs/own");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        snprintf(words, sizeof(words), "%s ~/outputs/planted", options[i]);
        assert_refused(program_run(&program, words),
                       "/outputs/planted cannot be written: it is a link of another user's");
        snprintf(words, sizeof(words), "%s ~/outputs/own", options[i]);
        ck_assert_int_eq(program_run(&program, words), 0);
        shell("test -s elsewhere && rm elsewhere");
    }
    assert_secret();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_folder");
    TCase *tests = tcase_create("run_folder"), *users = tcase_create("users");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_folder_in_use_is_refused_with_its_holder);
    tcase_add_test(tests, of_two_fresh_runs_of_a_name_one_is_refused);
    tcase_add_test(tests, a_new_run_never_begins_in_the_folder_of_another);
    tcase_add_test(tests, later_sets_are_put_aside_when_the_run_has_started);
    tcase_add_test(tests, a_restart_goes_on_from_the_set_that_was_asked_for);
    tcase_add_test(tests, a_config_resumes_its_own_run);
    tcase_add_test(tests, the_last_run_is_the_one_that_was_started_last);
    tcase_add_test(tests, what_has_changed_is_said);
    tcase_add_test(tests, other_data_of_the_same_size_are_refused);
    tcase_add_test(tests, best_is_followed);
    tcase_add_test(tests, a_run_goes_on_from_before_a_test_that_failed);
    tcase_add_test(tests, an_older_checkpoint_is_refused_in_a_line);
    suite_add_tcase(suite, tests);

    tcase_set_timeout(users, 60);
    tcase_add_checked_fixture(users, set_up, tear_down);
    /* Who is not root cannot be two users. */
    if (geteuid() == 0) {
        tcase_add_test(users, another_users_folder_is_not_written_into);
        tcase_add_test(users, another_users_run_is_not_resumed);
        tcase_add_test(users, planted_links_are_not_followed);
        tcase_add_test(users, outputs_are_not_written_through_planted_links);
    }
    suite_add_tcase(suite, users);

    return run_suite(suite);
}
