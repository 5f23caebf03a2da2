/* tpcoord as a user meets it: the real program, started with real arguments. Every wrong input is one clear line and
 * exit status 2 before anything starts; every run, however it ends, leaves nothing in /dev/shm. */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
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

static int run(const char *words)
{
    return program_run(&program, words);
}

static const char *text(const char *name)
{
    return program_text(&program, name);
}

/* One line on stderr that contains `expected`, nothing on stdout. */
static void check_refused(const char *words, int exit_status, const char *expected)
{
    int status = run(words);
    const char *err = text("err"), *newline = strchr(err, '\n');

    ck_assert_msg(status == exit_status, "\"%s\" exits with %d: %s", words, status, err);
    ck_assert_msg(newline && newline[1] == '\0', "\"%s\" says not one line:\n%s", words, err);
    ck_assert_msg(strstr(err, expected) != NULL, "\"%s\" says %s not %s", words, err, expected);
    ck_assert_str_eq(text("out"), "");
}

START_TEST(the_grid_is_the_papers)
{
    ck_assert_int_eq(run("plan configs/resnet.ini --grid --slots 10 --minibatches 12 --set pipeline.stages=3 --set "
                         "pipeline.microbatches=2"),
                     0);
    ck_assert_str_eq(text("out"), "stage 1: 1A 1B 2A 2B 3A 3B 1  4A 4B 2\n"
                                  "stage 2: .  1A 1B 2A 2B 1  3A 3B 2  4A\n"
                                  "stage 3: .  .  1A 1B 1  2A 2B 2  3A 3B\n");
    ck_assert_str_eq(text("err"), "");
}
END_TEST

/* By default up to the end of the third mini-batch at stage 1. */
START_TEST(the_grid_ends_by_itself)
{
    ck_assert_int_eq(run("--grid --set pipeline.microbatches=1 plan --set pipeline.stages=2 @ --set "
                         "pipeline.partition=2,1"),
                     0);
    ck_assert_str_eq(text("out"), "stage 1: 1A 2A . 1  3A 2  4A 3\nstage 2: .  1A 1 2A 2  3A 3  4A\n");
}
END_TEST

static const char *const wrong_inputs[][2] = {
    {"", "which config? usage: tpcoord [run] CONFIG"},
    {"plan", "which config? usage: tpcoord plan CONFIG"},
    {"plan @ @", "what is \""},
    {"--nope @", "unknown option --nope; "},
    {"-n @", "unknown option -n"},
    {"@ --set", "--set needs a value"},
    {"@ --grid", "--grid does not go with tpcoord run"},
    {"systems --trace x", "--trace does not go with tpcoord systems"},
    {"plan @ --trace x", "--trace goes with --simulate, or with tpcoord run"},
    {"plan @ --slots 3", "--slots goes with --grid"},
    {"plan @ --minibatches 3", "--minibatches goes with --grid, --csv, --simulate or a picture"},
    {"plan @ --record x", "--record goes with --simulate, or with tpcoord run"},
    {"plan @ --stage 2", "--stage goes with --versions alone"},
    {"plan @ --versions", "--versions goes with --grid, with --stage K, or with --svg"},
    {"plan @ --versions --stage 4", "--stage 4: there are 3"},
    {"plan @ --grid --simulate", "--grid and --simulate do not go together"},
    {"plan @ --simulate --set simulation.forward_ms=1,2", "2 numbers, but there are 3 stages"},
    {"@ --json - --trace -", "--json and --trace cannot both have standard output"},
    {"@ --json - --record -", "only one file can go to standard output"},
    {"plan @ --simulate --trace - --record -", "only one file can go to standard output"},
    {"plan @ --grid --slots 0", "--slots: 0 is out of bounds; use a whole number from 1"},
    {"/nonexistent.ini", "/nonexistent.ini: cannot be opened: No such file or directory"},
    {"@ --set pipeline.stagse=3",
     "--set pipeline.stagse: unknown key; did you mean pipeline.stages? [pipeline] has: system, stages"},
    {"@ --set pipeline.stages=four", "\"four\" is not a whole number; use one from 1 to 1024"},
    {"@ --epochs 0", "--set run.epochs: 0 is out of bounds; use a whole number from 1 to 1000"},
    {"@ --set pipeline.stages=4 --set pipeline.partition=auto", "4 stages, but mlp has only 3 blocks"},
    {"@ --set pipeline.partition=1,2", "1,2 is for 2 stages, but there are 3 (pipeline.stages)"},
    {"@ --set pipeline.partition=1,2,3", "1,2,3 adds up to 6 blocks, but mlp has 3"},
    {"@ --set data.batch=2", "3 micro-batches, but a mini-batch has only 2 images"},
    {"@ --set pipeline.system=pipedream", "small.ini"},
    {"@ --set data.set=idx", "data.set = idx needs data.dir"},
    {"@ --set data.set=idx --set data.dir=/nonexistent", "holds none of train-images-idx3-ubyte"},
    {"@ --set run.output=/dev/null/runs", "--set run.output: /dev/null/runs cannot be made: Not a directory"},
    {"@ --json /nonexistent/x", "tpcoord: --json: /nonexistent/x cannot be written: No such file or directory"},
    {"@ --trace /nonexistent/x", "tpcoord: --trace: /nonexistent/x cannot be written: No such file or directory"},
};

START_TEST(wrong_input_is_one_line_and_exit_status_2)
{
    char runs[96];

    check_refused(wrong_inputs[_i][0], 2, wrong_inputs[_i][1]);
    /* No run's folder stays: at most the empty one above it. */
    snprintf(runs, sizeof(runs), "%s/runs", program.folder);
    ck_assert(rmdir(runs) == 0 || errno == ENOENT);
}
END_TEST

START_TEST(all_mistakes_of_a_file_come_at_once)
{
    static const char config[] = "[pipeline]\nstages = x\n[train]\nlr = -1\n[dat]\n";

    program_write(&program, "small.ini", config, sizeof(config) - 1);
    ck_assert_int_eq(run("@"), 2);
    const char *err = text("err");
    ck_assert_ptr_nonnull(strstr(err, "small.ini:2: pipeline.stages: "));
    ck_assert_ptr_nonnull(strstr(err, "small.ini:4: train.lr: "));
    ck_assert_ptr_nonnull(strstr(err, "small.ini:5: unknown section [dat]"));
}
END_TEST

/* Ten training and ten test images of 28 x 28 in MNIST's format. */
static void write_idx(size_t lost_from_train_images, uint8_t label)
{
    enum { COUNT = 10, PIXELS = COUNT * 28 * 28 };
    static uint8_t images[16 + PIXELS] = {0, 0, 8, 3, 0, 0, 0, COUNT, 0, 0, 0, 28, 0, 0, 0, 28};
    uint8_t labels[8 + COUNT] = {0, 0, 8, 1, 0, 0, 0, COUNT};

    for (int i = 0; i < PIXELS; i++)
        images[16 + i] = (uint8_t)(i * 37);
    labels[8 + 3] = label;
    program_write(&program, "train-images-idx3-ubyte", images, sizeof(images) - lost_from_train_images);
    program_write(&program, "t10k-images-idx3-ubyte", images, sizeof(images));
    program_write(&program, "train-labels-idx1-ubyte", labels, sizeof(labels));
    program_write(&program, "t10k-labels-idx1-ubyte", labels, sizeof(labels));
}

START_TEST(damaged_data_is_found_before_anything_starts)
{
    static const char words[] = "@ --set data.set=idx --set data.dir=~ --set data.batch=4 --quiet";

    write_idx(0, 9);
    ck_assert_msg(run(words) == 0, "%s", text("err"));
    write_idx(1, 9);
    check_refused(words, 2, "train-images-idx3-ubyte");
    write_idx(0, 10);
    check_refused(words, 2, "train-labels-idx1-ubyte");
}
END_TEST

/* In a world of its own, where /dev/shm has room for one MiB. */
START_TEST(too_little_shared_memory_is_said_before_anything_starts)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        if ((geteuid() != 0 && unshare(CLONE_NEWUSER)) || unshare(CLONE_NEWNS) ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m"))
            _exit(77);
        check_refused("@ --quiet --set run.name=x", 1, "/dev/shm is too small: this run needs ");
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        fprintf(stderr, "skipped: a small /dev/shm cannot be mounted here\n");
    else
        ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(every_system_runs)
{
    const struct system *system = &systems[_i];
    char words[256];

    snprintf(words, sizeof(words), "@ --quiet --set pipeline.system=%s --set pipeline.microbatches=%d --set %s",
             system->name, orders[system->order].microbatches > 0 ? orders[system->order].microbatches : 3,
             _i % 2 ? "pipeline.order=static" : "pipeline.backward_activations=recompute");
    ck_assert_msg(run(words) == 0, "%s: %s", system->name, text("err"));
    ck_assert_ptr_nonnull(strstr(text("out"), "finished after 1 of 1 epochs"));
}
END_TEST

/* Starts a run that would take very long, and waits until its stages train. */
static pid_t start_long_run(struct segment *segment)
{
    const pid_t child = program_start(&program, "@ --epochs 1000 --set data.limit=20000 --quiet --set run.name=long");

    WAIT_FOR(&program, program_segment(child, "long", segment));
    WAIT_FOR(&program, atomic_load(&segment_stage(segment, 3)->counters.ops) > 100);
    return child;
}

static void check_result(const char *expected)
{
    json_t *report = program_json(&program, "runs/long/report.json");

    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), expected);
    json_decref(report);
}

static bool gone(pid_t pid)
{
    char path[64], state = 'Z';

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return true;
    /* Nobody may be there to collect an orphan. */
    if (fscanf(file, "%*d %*s %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state == 'Z';
}

static void check_stages_end(const pid_t stages[3])
{
    uint64_t deadline = clock_now_ns() + 10 * 1000000000ull;

    for (int s = 0; s < 3; s++) {
        while (!gone(stages[s])) {
            ck_assert_msg(clock_now_ns() < deadline, "stage %d (pid %d) goes on", s + 1, (int)stages[s]);
            usleep(2000);
        }
    }
}

static void take_pids(const struct segment *segment, pid_t stages[3])
{
    for (int s = 0; s < 3; s++) {
        stages[s] = atomic_load(&segment_stage(segment, s + 1)->pid);
        ck_assert_int_gt(stages[s], 1);
    }
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

START_TEST(an_interrupt_ends_the_run_cleanly)
{
    struct segment segment;
    pid_t stages[3], child = start_long_run(&segment);

    take_pids(&segment, stages);
    ck_assert_int_eq(kill(child, signals[_i]), 0);
    ck_assert_int_eq(program_finish(child), 3);
    segment_close(&segment);
    check_stages_end(stages);
    check_result("interrupted");
    ck_assert_ptr_nonnull(strstr(text("out"), "interrupted after "));
}
END_TEST

START_TEST(a_second_interrupt_ends_it_at_once)
{
    struct segment segment;
    pid_t stages[3], child = start_long_run(&segment);
    uint64_t begin = clock_now_ns();

    take_pids(&segment, stages);
    /* A stage that does not move can only be killed. */
    kill(stages[1], SIGSTOP);
    kill(child, SIGINT);
    while (!atomic_load(&segment.board->stop))
        usleep(1000);
    kill(child, SIGINT);
    ck_assert_int_eq(program_finish(child), 1);
    ck_assert_uint_lt(clock_now_ns() - begin, 10 * 1000000000ull);
    segment_close(&segment);
    check_stages_end(stages);
    check_result("failed");
}
END_TEST

static const struct {
    int signal;
    const char *words;
} deaths[] = {{SIGKILL, "was killed by signal 9 (Killed)"}, {SIGALRM, "was killed by signal 14 (Alarm clock)"}};

START_TEST(a_stage_s_death_is_named)
{
    struct segment segment;
    pid_t stages[3], child = start_long_run(&segment);
    char expected[128];

    take_pids(&segment, stages);
    kill(stages[1], deaths[_i].signal);
    ck_assert_int_eq(program_finish(child), 1);
    segment_close(&segment);
    check_stages_end(stages);
    snprintf(expected, sizeof(expected), "tpcoord: stage 2 (pid %d) %s ", (int)stages[1], deaths[_i].words);
    ck_assert_int_eq(strncmp(text("err"), expected, strlen(expected)), 0);
    check_result("failed");
}
END_TEST

START_TEST(a_dead_coordinator_leaves_nothing)
{
    struct segment segment;
    pid_t stages[3], child = start_long_run(&segment);

    take_pids(&segment, stages);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    segment_close(&segment);
    check_stages_end(stages);
    ck_assert(!program_has_segment(child));
}
END_TEST

START_TEST(help_is_printed)
{
    ck_assert_int_eq(run("--help"), 0);
    const char *help = text("out");
    ck_assert_ptr_nonnull(strstr(help, "usage: tpcoord [run] CONFIG"));
    ck_assert_ptr_nonnull(strstr(help, "--minibatches K"));
    ck_assert_int_eq(run("--version"), 0);
    ck_assert_int_eq(strncmp(text("out"), "tpcoord ", 8), 0);
    ck_assert_ptr_nonnull(strstr(text("out"), " (backends: "));
    ck_assert_ptr_nonnull(strstr(text("out"), "onednn, reference)\n"));
    ck_assert_int_eq(run("--help-keys"), 0);
    ck_assert_ptr_nonnull(strstr(text("out"), "[pipeline]\n  system "));
    ck_assert_int_eq(run("systems"), 0);
    const char *list = text("out");
    for (int i = 0; i < system_count; i++)
        ck_assert_ptr_nonnull(strstr(list, systems[i].name));
    for (int i = 0; i < FORWARD_RULES; i++)
        ck_assert_ptr_nonnull(strstr(list, forward_reading((enum forward_rule)i)->formula));
    for (int i = 0; i < BACKWARD_RULES; i++)
        ck_assert_ptr_nonnull(strstr(list, backward_reading((enum backward_rule)i)->formula));
    for (int i = 0; i < UPDATE_RULES; i++)
        ck_assert_ptr_nonnull(strstr(list, update_rule((enum update_rule_name)i)->formula));
    for (int i = 0; optimizer_at(i); i++)
        ck_assert_ptr_nonnull(strstr(list, optimizer_at(i)->summary));
}
END_TEST

/* Whatever there is here. */
START_TEST(devices_are_listed)
{
    ck_assert_int_eq(run("devices"), 0);
    const char *list = text("out");
    ck_assert_int_eq(strncmp(list, "cpu      ", 9), 0);
    ck_assert_ptr_nonnull(strstr(list, "; backends onednn, reference\n"));
    ck_assert(!strstr(list, "\ngpu 0 ") != !strstr(list, "\nno GPU can be used: "));
    ck_assert_int_eq(run("devices --json -"), 0);
    json_t *devices = program_json(&program, "out"), *cpu = json_object_get(devices, "cpu");
    ck_assert_int_ge(json_integer_value(json_object_get(cpu, "cores")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(cpu, "backends")), 2);
    ck_assert(!json_array_size(json_object_get(devices, "gpus")) ==
              json_is_string(json_object_get(devices, "no_gpu_because")));
    json_decref(devices);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tcase = tcase_create("cli");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_grid_is_the_papers);
    tcase_add_test(tcase, the_grid_ends_by_itself);
    tcase_add_loop_test(tcase, wrong_input_is_one_line_and_exit_status_2, 0, COUNT(wrong_inputs));
    tcase_add_test(tcase, all_mistakes_of_a_file_come_at_once);
    tcase_add_test(tcase, damaged_data_is_found_before_anything_starts);
    tcase_add_test(tcase, too_little_shared_memory_is_said_before_anything_starts);
    tcase_add_loop_test(tcase, every_system_runs, 0, asking_system_count);
    tcase_add_loop_test(tcase, an_interrupt_ends_the_run_cleanly, 0, COUNT(signals));
    tcase_add_test(tcase, a_second_interrupt_ends_it_at_once);
    tcase_add_loop_test(tcase, a_stage_s_death_is_named, 0, COUNT(deaths));
    tcase_add_test(tcase, a_dead_coordinator_leaves_nothing);
    tcase_add_test(tcase, help_is_printed);
    tcase_add_test(tcase, devices_are_listed);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
