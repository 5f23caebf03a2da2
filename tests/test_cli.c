/* tpcoord as a user meets it: the real program, started with real arguments. Every wrong input is one clear line and
 * exit status 2 before anything starts; every run, however it ends, leaves nothing in /dev/shm. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "board/segment.h"
#include "tests/support/suite.h"
#include "transport/rings.h"

enum { ARGUMENTS_MAX = 32, OUTPUT_MAX = 1 << 19 };

static char folder[] = "/tmp/tp-cli-XXXXXX"; /* of one test */
static char config[64], program[512];

static void path_in_folder(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", folder, name);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[128];

    path_in_folder(path, sizeof(path), name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static const char *read_file(const char *name)
{
    static char text[4][OUTPUT_MAX];
    static int turn;
    char path[128], *buffer = text[turn++ % 4];

    path_in_folder(path, sizeof(path), name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    buffer[fread(buffer, 1, OUTPUT_MAX - 1, file)] = '\0';
    fclose(file);
    return buffer;
}

/* A small network on made-up images: a run takes a fraction of a second. */
static void set_up(void)
{
    const char *build = getenv("TP_BUILD");
    char text[256];

    snprintf(program, sizeof(program), "%s/tpcoord", build ? build : "build");
    strcpy(folder, "/tmp/tp-cli-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    path_in_folder(config, sizeof(config), "mlp.ini");
    snprintf(text, sizeof(text),
             "[run]\noutput = %s/runs\nepochs = 1\n[model]\narch = mlp\n[data]\nset = synthetic\nlimit = 400\n"
             "[pipeline]\nstages = 3\npartition = 1,1,1\n[device]\nbackend = onednn\n",
             folder);
    write_file("mlp.ini", text, strlen(text));
}

static void tear_down(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* Starts tpcoord with these words, in which @ is the config; its output goes to the files "out" and "err". */
static pid_t start(const char *words)
{
    char copy[1024], *rest = copy, *word, *arguments[ARGUMENTS_MAX] = {program};
    char out[64], err[64];
    int count = 1;

    path_in_folder(out, sizeof(out), "out");
    path_in_folder(err, sizeof(err), "err");
    snprintf(copy, sizeof(copy), "%s", words);
    while ((word = strsep(&rest, " ")) != NULL)
        arguments[count++] = strcmp(word, "@") == 0 ? config : word;
    ck_assert_int_lt(count, ARGUMENTS_MAX);
    pid_t child = fork();
    if (child == 0) {
        int out_file = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err_file = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        dup2(out_file, STDOUT_FILENO);
        dup2(err_file, STDERR_FILENO);
        close(out_file);
        close(err_file);
        if (words[0])
            execv(program, arguments);
        else
            execl(program, program, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* The run's segment, by the coordinator's number; "" if there is none. */
static void find_segment(pid_t coordinator, char name[NAME_MAX + 2])
{
    char prefix[64];
    const struct dirent *entry;
    DIR *directory = opendir("/dev/shm");

    ck_assert_ptr_nonnull(directory);
    snprintf(prefix, sizeof(prefix), "tp-%u-%d-", getuid(), (int)coordinator);
    name[0] = '\0';
    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            snprintf(name, NAME_MAX + 2, "/%s", entry->d_name);
    closedir(directory);
}

static void check_nothing_left(pid_t coordinator)
{
    char name[NAME_MAX + 2];

    find_segment(coordinator, name);
    ck_assert_msg(name[0] == '\0', "%s is left in /dev/shm", name);
}

/* Returns the exit status. */
static int finish(pid_t child)
{
    int status;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "tpcoord was killed by signal %d", WTERMSIG(status));
    check_nothing_left(child);
    return WEXITSTATUS(status);
}

static int run(const char *words)
{
    return finish(start(words));
}

/* One line on stderr that contains `expected`, nothing on stdout. */
static void check_refused(const char *words, int exit_status, const char *expected)
{
    int status = run(words);
    const char *err = read_file("err"), *newline = strchr(err, '\n');

    ck_assert_msg(status == exit_status, "\"%s\" exits with %d: %s", words, status, err);
    ck_assert_msg(newline && newline[1] == '\0', "\"%s\" says not one line:\n%s", words, err);
    ck_assert_msg(strstr(err, expected) != NULL, "\"%s\" says %s not %s", words, err, expected);
    ck_assert_str_eq(read_file("out"), "");
}

START_TEST(the_grid_is_the_papers)
{
    ck_assert_int_eq(run("plan configs/resnet.ini --grid --slots 10 --minibatches 12 --set pipeline.stages=3 --set "
                         "pipeline.microbatches=2"),
                     0);
    ck_assert_str_eq(read_file("out"), "stage 1: 1A 1B 2A 2B 3A 3B 1  4A 4B 2\n"
                                       "stage 2: .  1A 1B 2A 2B 1  3A 3B 2  4A\n"
                                       "stage 3: .  .  1A 1B 1  2A 2B 2  3A 3B\n");
    ck_assert_str_eq(read_file("err"), "");
}
END_TEST

/* By default up to the end of the third mini-batch at stage 1. */
START_TEST(the_grid_ends_by_itself)
{
    ck_assert_int_eq(run("--grid --set pipeline.microbatches=1 plan --set pipeline.stages=2 @ --set "
                         "pipeline.partition=2,1"),
                     0);
    ck_assert_str_eq(read_file("out"), "stage 1: 1A 2A . 1  3A 2  4A 3\nstage 2: .  1A 1 2A 2  3A 3  4A\n");
}
END_TEST

START_TEST(wrong_input_is_one_line_and_exit_status_2)
{
    static const char *const cases[][2] = {
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
        {"@ --set pipeline.system=pipedream", "mlp.ini"},
        {"@ --set data.set=idx", "data.set = idx needs data.dir"},
        {"@ --set data.set=idx --set data.dir=/nonexistent", "holds none of train-images-idx3-ubyte"},
        {"@ --set run.output=/dev/null/runs", "--set run.output: /dev/null/runs cannot be made: Not a directory"},
        {"@ --json /nonexistent/x", "tpcoord: --json: /nonexistent/x cannot be written: No such file or directory"},
        {"@ --trace /nonexistent/x", "tpcoord: --trace: /nonexistent/x cannot be written: No such file or directory"},
    };
    char runs[64];

    check_refused(cases[_i][0], 2, cases[_i][1]);
    /* No run's folder stays: at most the empty one above it. */
    path_in_folder(runs, sizeof(runs), "runs");
    ck_assert(rmdir(runs) == 0 || errno == ENOENT);
}
END_TEST
enum { WRONG_INPUTS = 29 };

START_TEST(all_mistakes_of_a_file_come_at_once)
{
    static const char text[] = "[pipeline]\nstages = x\n[train]\nlr = -1\n[dat]\n";

    write_file("mlp.ini", text, sizeof(text) - 1);
    ck_assert_int_eq(run("@"), 2);
    const char *err = read_file("err");
    ck_assert_ptr_nonnull(strstr(err, "mlp.ini:2: pipeline.stages: "));
    ck_assert_ptr_nonnull(strstr(err, "mlp.ini:4: train.lr: "));
    ck_assert_ptr_nonnull(strstr(err, "mlp.ini:5: unknown section [dat]"));
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
    write_file("train-images-idx3-ubyte", images, sizeof(images) - lost_from_train_images);
    write_file("t10k-images-idx3-ubyte", images, sizeof(images));
    write_file("train-labels-idx1-ubyte", labels, sizeof(labels));
    write_file("t10k-labels-idx1-ubyte", labels, sizeof(labels));
}

START_TEST(damaged_data_is_found_before_anything_starts)
{
    char words[256];

    snprintf(words, sizeof(words), "@ --set data.set=idx --set data.dir=%s --set data.batch=4 --quiet", folder);
    write_idx(0, 9);
    ck_assert_msg(run(words) == 0, "%s", read_file("err"));
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

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *object = json_loads(text, 0, &error);

    ck_assert_msg(object != NULL, "line %d: %s", error.line, error.text);
    return object;
}

static const char *const categories[] = {"weights",     "stash", "gradients", "optimizer",
                                         "activations", "links", "workspace", "total"};

static void check_memory(const json_t *memory)
{
    json_int_t sum = 0, total = json_integer_value(json_object_get(memory, "total"));

    ck_assert_uint_eq(json_object_size(memory), 8);
    for (int c = 0; c < 8; c++) {
        ck_assert_msg(json_is_integer(json_object_get(memory, categories[c])), "%s", categories[c]);
        sum += json_integer_value(json_object_get(memory, categories[c]));
    }
    ck_assert_int_gt(total, 0);
    ck_assert_int_eq(sum, 2 * total);
}

static void check_plan(const json_t *plan)
{
    static const char *const integers[] = {"layers", "parameters", "weight_versions", "minibatches_in_flight"};
    const json_t *stages = json_object_get(plan, "stage"), *stage;
    json_int_t parameters = 0;
    size_t index;

    ck_assert_str_eq(json_string_value(json_object_get(plan, "system")), "timeprest");
    ck_assert_int_eq(json_integer_value(json_object_get(plan, "stages")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(plan, "microbatches")), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(plan, "version_difference"),
                                                            (const char *[]){"paper", "exact", "simulated"}[i])),
                         1);
    ck_assert_uint_eq(json_array_size(stages), 3);
    json_array_foreach(stages, index, stage)
    {
        ck_assert_int_eq(json_integer_value(json_object_get(stage, "stage")), (json_int_t)index + 1);
        for (int i = 0; i < 4; i++)
            ck_assert_int_gt(json_integer_value(json_object_get(stage, integers[i])), 0);
        check_memory(json_object_get(stage, "memory_bytes"));
        parameters += json_integer_value(json_object_get(stage, "parameters"));
    }
    ck_assert_int_eq(parameters, 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10);
}

START_TEST(the_plan_is_table_and_json)
{
    char words[128];

    ck_assert_int_eq(run("plan @"), 0);
    const char *table = read_file("out");
    ck_assert_ptr_nonnull(strstr(table, "mlp: 269,322 parameters, 3 layers in 3 blocks"));
    ck_assert_ptr_nonnull(strstr(table, "version difference v: papers 1, exact 1, simulated 1"));
    for (const char *line = table; *line; line += strcspn(line, "\n") + 1)
        ck_assert_msg(strcspn(line, "\n") <= 110, "a long line: %.*s", (int)strcspn(line, "\n"), line);

    ck_assert_int_eq(run("plan @ --json -"), 0);
    json_t *plan = parse(read_file("out"));
    check_plan(plan);
    snprintf(words, sizeof(words), "plan @ --json %s/plan.json", folder);
    ck_assert_int_eq(run(words), 0);
    ck_assert_str_eq(read_file("out"), table);
    json_t *again = parse(read_file("plan.json"));
    ck_assert(json_equal(plan, again));
    json_decref(plan);
    json_decref(again);
}
END_TEST

static void check_prediction(const json_t *plan)
{
    const json_t *simulation = json_object_get(plan, "simulation"), *stage;
    const double seconds = json_real_value(json_object_get(simulation, "seconds"));
    size_t index;

    ck_assert(seconds > 0.0);
    ck_assert_int_eq(json_integer_value(json_object_get(simulation, "minibatches")), 50);
    ck_assert(json_real_value(json_object_get(simulation, "epoch_seconds")) > 0.0);
    ck_assert_uint_eq(json_array_size(json_object_get(simulation, "link")), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(simulation, "stage")), 3);
    json_array_foreach(json_object_get(simulation, "stage"), index, stage)
    {
        double all = json_real_value(json_object_get(stage, "busy_fraction")) * seconds +
                     json_real_value(json_object_get(stage, "drained_seconds"));
        const json_t *wait;
        const char *cause;

        json_object_foreach(json_object_get(stage, "wait_seconds"), cause, wait) all += json_real_value(wait);
        ck_assert_double_eq_tol(all, seconds, 1e-9 * seconds);
        ck_assert(json_real_value(json_object_get(json_object_get(stage, "op_ms"), "forward")) > 0.0);
        ck_assert(json_real_value(json_object_get(json_object_get(stage, "op_ms"), "backward")) > 0.0);
    }
}

START_TEST(a_simulation_is_table_json_and_trace)
{
    char words[256];

    snprintf(
        words, sizeof(words),
        "plan @ --simulate --minibatches 50 --set pipeline.order=dynamic --json %s/plan.json --trace %s/trace.json",
        folder, folder);
    ck_assert_int_eq(run(words), 0);
    const char *table = read_file("out");
    ck_assert_ptr_nonnull(strstr(table, "simulation of 50 mini-batches in dynamic order, links in shared memory\n"));
    ck_assert_ptr_nonnull(strstr(table, "v: papers 1, exact 1, unit-time 1; with these times "));
    for (const char *line = table; *line; line += strcspn(line, "\n") + 1)
        ck_assert_msg(strcspn(line, "\n") <= 110, "a long line: %.*s", (int)strcspn(line, "\n"), line);
    json_t *plan = parse(read_file("plan.json")), *trace = parse(read_file("trace.json"));
    check_plan(plan);
    check_prediction(plan);
    /* A name for each of stages and pipeline; three forwards, a backward and an update per mini-batch and stage; both ends of
     * the arrows that three activations and a gradient are on each link. */
    ck_assert_uint_eq(json_array_size(trace), 4 + 3 * 50 * 5 + 2 * 50 * 4 * 2);
    json_decref(plan);
    json_decref(trace);

    ck_assert_int_eq(run("plan @ --simulate --set simulation.link_mbit=1000 --set pipeline.system=zb-h1"), 0);
    ck_assert_ptr_nonnull(strstr(read_file("out"), "input half"));
    ck_assert_ptr_nonnull(strstr(read_file("out"), "link   activation ms  gradient ms  latency ms\n"));
}
END_TEST

static void check_epochs(const json_t *report, size_t count)
{
    static const char *const reals[] = {"seconds",   "images_per_second", "train_loss",
                                        "test_loss", "test_top1",         "test_top5"};
    const json_t *epochs = json_object_get(report, "epochs"), *epoch;
    size_t index;

    ck_assert_uint_eq(json_array_size(epochs), count);
    json_array_foreach(epochs, index, epoch)
    {
        ck_assert_int_eq(json_integer_value(json_object_get(epoch, "epoch")), (json_int_t)index + 1);
        for (int i = 0; i < 6; i++)
            ck_assert_msg(json_real_value(json_object_get(epoch, reals[i])) > 0.0, "epoch %zu: %s", index + 1,
                          reals[i]);
    }
}

/* What the stages counted adds up with what they were given to do. */
static void check_stages(const json_t *report, int minibatches)
{
    static const char *const waits[] = {"activation", "gradient", "slot"};
    const json_t *stage, *count;
    size_t index, bucket;

    json_array_foreach(json_object_get(report, "stage"), index, stage)
    {
        const json_t *waited = json_object_get(stage, "wait_seconds");
        double busy = json_real_value(json_object_get(stage, "busy_fraction"));
        json_int_t backwards = 0;

        ck_assert_int_gt(json_integer_value(json_object_get(stage, "pid")), 0);
        ck_assert(busy > 0.0 && busy <= 1.0);
        for (int i = 0; i < 3; i++)
            ck_assert(json_real_value(json_object_get(waited, waits[i])) >= 0.0);
        check_memory(json_object_get(stage, "memory_peak_bytes"));
        for (int c = 0; c < 8; c++)
            ck_assert_msg(
                json_integer_value(json_object_get(json_object_get(stage, "memory_peak_bytes"), categories[c])) <=
                    json_integer_value(json_object_get(json_object_get(stage, "memory_bytes"), categories[c])),
                "stage %zu used more %s than planned", index + 1, categories[c]);
        json_array_foreach(json_object_get(json_object_get(stage, "staleness"), "histogram"), bucket, count)
            backwards += json_integer_value(count);
        ck_assert_int_eq(backwards, 3 * minibatches);
    }
}

/* Stage s of three reads 3 - s steps ahead of the version that is named, once there has been an update. */
static void check_reads(const json_t *trace, const char *category, int *sums)
{
    const json_t *event;
    size_t index;

    json_array_foreach(trace, index, event)
    {
        const json_t *args = json_object_get(event, "args");
        const json_int_t live = json_integer_value(json_object_get(args, "version_live"));
        char from[32];

        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0 ||
            strcmp(json_string_value(json_object_get(event, "cat")), category) != 0)
            continue;
        ck_assert_int_eq(json_integer_value(json_object_get(args, "version_read")), -1);
        const char *reads = json_string_value(json_object_get(args, "reads"));
        snprintf(from, sizeof(from), "v%d", (int)live);
        ck_assert_msg(reads && strncmp(reads, from, strlen(from)) == 0, "%s reads %s", category, reads);
        ck_assert_int_eq(json_integer_value(json_object_get(args, "tau")),
                         3 - json_integer_value(json_object_get(event, "tid")));
        *sums += strstr(reads, " last_gradient") != NULL;
    }
}

START_TEST(plan_and_trace_say_what_sums_are_read)
{
    char words[256];
    int forwards = 0, backwards = 0;

    snprintf(words, sizeof(words),
             "@ --epochs 1 --set pipeline.system=spectrain --set pipeline.microbatches=1 --set run.name=sums --json "
             "%s/run.json "
             "--trace %s/trace.json",
             folder, folder);
    ck_assert_msg(run(words) == 0, "%s", read_file("err"));
    const char *out = read_file("out");
    ck_assert_ptr_nonnull(strstr(out, "forwards spectrain: w - rate s step, s = r / 2 + tau\n"));
    ck_assert_ptr_nonnull(strstr(out, "optimizer sgd: momentum 0.9; keeps momentum_buffer, last_gradient\n"));
    json_t *report = parse(read_file("run.json")), *trace = parse(read_file("trace.json")), *rules, *optimizer;
    ck_assert_ptr_nonnull(rules = json_object_get(report, "rules"));
    ck_assert_str_eq(json_string_value(json_object_get(rules, "update_rule")), "plain");
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(rules, "formulas"), "backward")),
                     "w - rate s step, s = r / 2");
    ck_assert_ptr_nonnull(optimizer = json_object_get(report, "optimizer"));
    ck_assert_str_eq(json_string_value(json_object_get(optimizer, "name")), "sgd");
    ck_assert_uint_eq(json_array_size(json_object_get(optimizer, "keeps")), 2);
    for (size_t s = 0; s < 3; s++)
        ck_assert_int_eq(
            json_integer_value(json_object_get(json_array_get(json_object_get(report, "stage"), s), "tau")), 2 - s);
    check_reads(trace, "forward", &forwards);
    check_reads(trace, "backward", &backwards);
    /* Of seven mini-batches stage 1 has begun three before its first update, stage 2 two, stage 3 one; stage 3, with r = 2,
     * looks one step ahead in backwards, the others none. */
    ck_assert_int_eq(forwards, 4 + 5 + 6);
    ck_assert_int_eq(backwards, 6);
    json_decref(report);
    json_decref(trace);
}
END_TEST

START_TEST(a_run_reports_what_it_did)
{
    char words[256];

    snprintf(words, sizeof(words), "@ --epochs 2 --set run.name=first --json %s/run.json --trace %s/trace.json", folder,
             folder);
    ck_assert_msg(run(words) == 0, "%s", read_file("err"));
    ck_assert_str_eq(read_file("err"), "");
    json_t *report = parse(read_file("run.json")), *same = parse(read_file("runs/first/report.json"));
    ck_assert(json_equal(report, same));
    check_plan(report);
    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), "finished");
    ck_assert(json_real_value(json_object_get(report, "images_per_second")) > 0.0);
    check_epochs(report, 2);
    check_stages(report, 2 * 7); /* 400 images in mini-batches of 64 */
    const json_t *measured = json_object_get(json_object_get(report, "version_difference"), "measured");
    json_int_t low = json_integer_value(json_object_get(measured, "min"));
    json_int_t median = json_integer_value(json_object_get(measured, "median"));
    ck_assert(low >= 1 && median >= low && json_integer_value(json_object_get(measured, "max")) >= median);

    json_t *trace = parse(read_file("trace.json"));
    int names[2] = {0};
    size_t index;
    const json_t *event;
    json_array_foreach(trace, index, event)
    {
        if (json_integer_value(json_object_get(event, "pid")) != 1) /* as planned */
            continue;
        names[0] += strcmp(json_string_value(json_object_get(event, "name")), "7C") == 0;
        names[1] += strcmp(json_string_value(json_object_get(event, "name")), "update") == 0;
    }
    ck_assert_int_eq(names[0], 2 * 3); /* two epochs, three stages; testing has two mini-batches */
    ck_assert_int_eq(names[1], 2 * 7 * 3);
    json_decref(trace);
    json_decref(report);
    json_decref(same);

    check_refused("@ --set run.name=first", 2, "runs/first holds the report of an earlier run");
}
END_TEST

START_TEST(json_on_standard_output_is_alone_there)
{
    ck_assert_int_eq(run("run @ --json - --set pipeline.system=gpipe"), 0);
    json_t *report = parse(read_file("out"));

    ck_assert(json_is_null(json_object_get(json_object_get(report, "version_difference"), "paper")));
    check_epochs(report, 1);
    json_decref(report);
    ck_assert_ptr_nonnull(strstr(read_file("err"), "finished after 1 of 1 epochs"));
}
END_TEST

START_TEST(every_system_runs)
{
    const struct system *system = &systems[_i];
    char words[256];

    snprintf(words, sizeof(words), "@ --quiet --set pipeline.system=%s --set pipeline.microbatches=%d --set %s",
             system->name, orders[system->order].microbatches > 0 ? orders[system->order].microbatches : 3,
             _i % 2 ? "pipeline.order=static" : "pipeline.backward_activations=recompute");
    ck_assert_msg(run(words) == 0, "%s: %s", system->name, read_file("err"));
    ck_assert_ptr_nonnull(strstr(read_file("out"), "finished after 1 of 1 epochs"));
}
END_TEST

/* Starts a run that would take very long, and waits until its stages train. */
static pid_t start_long_run(struct segment *segment)
{
    char name[NAME_MAX + 2];
    struct error error;
    pid_t child = start("@ --epochs 1000 --set train.lr=0.001 --set data.limit=20000 --quiet --set run.name=long");
    uint64_t deadline = clock_now_ns() + 30 * 1000000000ull;

    for (;;) {
        find_segment(child, name);
        if (name[0] && segment_open(segment, name, rings_bytes, &error) == 0) {
            if (atomic_load(&segment_stage(segment, 3)->counters.ops) > 100)
                return child;
            segment_close(segment);
        }
        ck_assert_msg(clock_now_ns() < deadline, "the run does not begin: %s", read_file("err"));
        usleep(2000);
    }
}

static void check_result(const char *expected)
{
    json_t *report = parse(read_file("runs/long/report.json"));

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

START_TEST(an_interrupt_ends_the_run_cleanly)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct segment segment;
    pid_t stages[3], child = start_long_run(&segment);

    take_pids(&segment, stages);
    ck_assert_int_eq(kill(child, signals[_i]), 0);
    ck_assert_int_eq(finish(child), 3);
    segment_close(&segment);
    check_stages_end(stages);
    check_result("interrupted");
    ck_assert_ptr_nonnull(strstr(read_file("out"), "interrupted after "));
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
    ck_assert_int_eq(finish(child), 1);
    ck_assert_uint_lt(clock_now_ns() - begin, 10 * 1000000000ull);
    segment_close(&segment);
    check_stages_end(stages);
    check_result("failed");
}
END_TEST

START_TEST(a_stage_s_death_is_named)
{
    static const struct {
        int signal;
        const char *words;
    } deaths[] = {{SIGKILL, "was killed by signal 9 (Killed)"}, {SIGALRM, "was killed by signal 14 (Alarm clock)"}};
    struct segment segment;
    pid_t stages[3], child = start_long_run(&segment);
    char expected[128];

    take_pids(&segment, stages);
    kill(stages[1], deaths[_i].signal);
    ck_assert_int_eq(finish(child), 1);
    segment_close(&segment);
    check_stages_end(stages);
    snprintf(expected, sizeof(expected), "tpcoord: stage 2 (pid %d) %s ", (int)stages[1], deaths[_i].words);
    ck_assert_int_eq(strncmp(read_file("err"), expected, strlen(expected)), 0);
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
    check_nothing_left(child);
}
END_TEST

START_TEST(help_is_printed)
{
    ck_assert_int_eq(run("--help"), 0);
    const char *help = read_file("out");
    ck_assert_ptr_nonnull(strstr(help, "usage: tpcoord [run] CONFIG"));
    ck_assert_ptr_nonnull(strstr(help, "--minibatches K"));
    ck_assert_int_eq(run("--version"), 0);
    ck_assert_int_eq(strncmp(read_file("out"), "tpcoord ", 8), 0);
    ck_assert_ptr_nonnull(strstr(read_file("out"), " (backends: "));
    ck_assert_ptr_nonnull(strstr(read_file("out"), "onednn, reference)\n"));
    ck_assert_int_eq(run("--help-keys"), 0);
    ck_assert_ptr_nonnull(strstr(read_file("out"), "[pipeline]\n  system "));
    ck_assert_int_eq(run("systems"), 0);
    const char *list = read_file("out");
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
    const char *list = read_file("out");
    ck_assert_int_eq(strncmp(list, "cpu      ", 9), 0);
    ck_assert_ptr_nonnull(strstr(list, "; backends onednn, reference\n"));
    ck_assert(!strstr(list, "\ngpu 0 ") != !strstr(list, "\nno GPU can be used: "));
    ck_assert_int_eq(run("devices --json -"), 0);
    json_t *devices = parse(read_file("out")), *cpu = json_object_get(devices, "cpu");
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
    tcase_add_loop_test(tcase, wrong_input_is_one_line_and_exit_status_2, 0, WRONG_INPUTS);
    tcase_add_test(tcase, all_mistakes_of_a_file_come_at_once);
    tcase_add_test(tcase, damaged_data_is_found_before_anything_starts);
    tcase_add_test(tcase, too_little_shared_memory_is_said_before_anything_starts);
    tcase_add_test(tcase, the_plan_is_table_and_json);
    tcase_add_test(tcase, a_simulation_is_table_json_and_trace);
    tcase_add_test(tcase, plan_and_trace_say_what_sums_are_read);
    tcase_add_test(tcase, a_run_reports_what_it_did);
    tcase_add_test(tcase, json_on_standard_output_is_alone_there);
    tcase_add_loop_test(tcase, every_system_runs, 0, asking_system_count);
    tcase_add_loop_test(tcase, an_interrupt_ends_the_run_cleanly, 0, 3);
    tcase_add_test(tcase, a_second_interrupt_ends_it_at_once);
    tcase_add_loop_test(tcase, a_stage_s_death_is_named, 0, 2);
    tcase_add_test(tcase, a_dead_coordinator_leaves_nothing);
    tcase_add_test(tcase, help_is_printed);
    tcase_add_test(tcase, devices_are_listed);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
