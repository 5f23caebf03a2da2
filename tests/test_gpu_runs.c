/* Whole runs on GPUs, real ones or the double's: what must not change a bit of the result does not, whatever runs where;
 * whoever is interrupted goes on; whatever dies is named, and leaves nothing. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "coordinator/outlet.h"
#include "tests/support/gpu.h"
#include "tests/support/learned.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

enum { WORDS_MAX = 1024, EPOCHS = 2 };

static struct program program;
static int gpus;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

/* Small networks: the double is slow. */
static const char mlp[] = "@ --quiet --epochs 2 --set device.backend=cuda --set pipeline.order=static "
                          "--set data.batch=16 --set data.limit=200";
static const char resnet[] = "@ --quiet --epochs 2 --set device.backend=cuda --set pipeline.order=static "
                             "--set model.arch=resnet8 --set data.batch=8 --set data.limit=16 "
                             "--set pipeline.microbatches=2";

static const char *words(const char *network, const char *name, const char *more)
{
    static char text[WORDS_MAX];

    ck_assert_int_lt(snprintf(text, sizeof(text), "%s --set run.name=%s %s", network, name, more), sizeof(text));
    return text;
}

static void run(const char *network, const char *name, const char *more)
{
    ck_assert_msg(program_run(&program, words(network, name, more)) == 0, "%s: %s", more,
                  program_text(&program, "err"));
}

static void refuse(const char *more, int status, const char *message)
{
    ck_assert_msg(program_run(&program, words(mlp, "refused", more)) == status, "%s", more);
    ck_assert_msg(strstr(program_text(&program, "err"), message) != NULL, "no \"%s\" in: %s", message,
                  program_text(&program, "err"));
}

/* A stage's member of a run's report. */
static json_t *report_of(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "runs/%s/report.json", name);
    return program_json(&program, path);
}

static double last_loss(const char *name)
{
    json_t *report = report_of(name), *epochs = json_object_get(report, "epochs");
    const double loss =
        json_number_value(json_object_get(json_array_get(epochs, json_array_size(epochs) - 1), "train_loss"));

    json_decref(report);
    return loss;
}

/* All that was learned is the same, however it was cut into parts. */
static void assert_same_bits(const char *one, int parts_of_one, const char *other, int parts_of_other)
{
    learned_assert_same(&program, EPOCHS, one, parts_of_one, other, parts_of_other);
    ck_assert(last_loss(one) <= last_loss(other) && last_loss(one) >= last_loss(other));
}

/* What two runs may differ in without a bit of difference. */
static const struct {
    const char *network, *common, *one, *other;
    int stages_of_one, stages_of_other, gpus;
} equals[] = {
    {mlp, "", "--set device.sync=event", "--set device.sync=host", 3, 3, 1},
    {mlp, "", "--set device.graphs=yes", "--set device.graphs=no", 3, 3, 1},
    {mlp, "--set device.map=0,cpu,0", "--set device.sync=event", "--set device.sync=host", 3, 3, 1},
    {mlp, "--set device.map=cpu,0,0", "--set device.graphs=yes", "--set device.sync=host", 3, 3, 1},
    {mlp, "--set pipeline.system=gpipe", "--set pipeline.stages=1", "--set pipeline.stages=3", 1, 3, 1},
    {mlp, "--set pipeline.system=1f1b --set train.clip_norm=0.05", "--set device.sync=event", "--set device.sync=host",
     3, 3, 1},
    {mlp, "--set pipeline.system=gpipe", "--set train.clip_norm=0", "--set train.clip_norm=1000000", 3, 3, 1},
    {mlp, "--set model.arch=tests/networks/dropout.net", "--set device.graphs=yes", "--set device.graphs=no", 3, 3, 1},
    {mlp, "--set model.arch=tests/networks/dropout.net --set pipeline.backward_activations=recompute",
     "--set device.graphs=yes", "--set device.graphs=no", 3, 3, 1},
    {mlp, "--set model.arch=tests/networks/dropout.net --set pipeline.system=gpipe", "--set pipeline.stages=1",
     "--set pipeline.stages=3", 1, 3, 1},
    {mlp, "", "--set device.map=0,0,0", "--set device.map=0,1,0", 3, 3, 2},
    {mlp, "--set pipeline.system=zb-h1", "--set device.map=0,0,0", "--set device.map=1,1,0", 3, 3, 2},
    {resnet, "--set pipeline.stages=2", "--set device.sync=event --set device.graphs=yes", "--set device.sync=host", 2,
     2, 1},
    {resnet, "--set pipeline.stages=3 --set pipeline.backward_activations=recompute", "--set device.graphs=yes",
     "--set device.sync=host", 3, 3, 1},
};
enum { EQUALS = COUNT(equals) };

START_TEST(not_a_bit_changes)
{
    char more[512];

    if (equals[_i].gpus > gpus)
        return;
    snprintf(more, sizeof(more), "%s %s", equals[_i].common, equals[_i].one);
    run(equals[_i].network, "one", more);
    snprintf(more, sizeof(more), "%s %s", equals[_i].common, equals[_i].other);
    run(equals[_i].network, "other", more);
    assert_same_bits("one", equals[_i].stages_of_one, "other", equals[_i].stages_of_other);
}
END_TEST

/* After a flush every pass reads the same weights, however many stages there are. */
START_TEST(cuts_change_no_bit)
{
    static const int stages[] = {1, 2, 4};
    char more[128], names[COUNT(stages)][8];

    for (size_t i = 0; i < COUNT(stages); i++) {
        snprintf(names[i], sizeof(names[i]), "in-%d", stages[i]);
        snprintf(more, sizeof(more), "--set pipeline.system=gpipe --set pipeline.stages=%d", stages[i]);
        run(resnet, names[i], more);
        assert_same_bits(names[0], 1, names[i], stages[i]);
    }
}
END_TEST

/* An mlp of four, in as many parts; each mini-batch ends with a flush. */
static const char quarters[] = "@ --quiet --epochs 2 --set device.backend=cuda --set pipeline.order=static "
                               "--set data.batch=16 --set data.limit=200 --set model.depth=4 "
                               "--set pipeline.microbatches=4 --set pipeline.partition=1,1,1,1";

#define LOOP_OF_2 "--set pipeline.system=interleaved-1f1b --set pipeline.stages=2 --set pipeline.parts=2 "
#define V_OF_2    "--set pipeline.system=zb-v --set pipeline.placement=v --set pipeline.stages=2 --set pipeline.parts=2 "

/* However the parts are laid out on stages, and whatever carries tensors between them. */
static const char *const layouts[] = {
    "--set pipeline.system=interleaved-1f1b --set pipeline.stages=1 --set pipeline.parts=4",
    LOOP_OF_2 "--set device.map=0,0",
    LOOP_OF_2 "--set device.sync=host",
    LOOP_OF_2 "--set device.graphs=yes",
    "--set pipeline.system=breadth-first --set pipeline.stages=2 --set pipeline.parts=2",
    V_OF_2 "--set device.map=0,0",
    V_OF_2 "--set device.sync=host",
    V_OF_2 "--set device.graphs=yes",
    "--set pipeline.system=dualpipe-v --set pipeline.placement=v --set pipeline.stages=2 --set pipeline.parts=2",
    V_OF_2 "--set pipeline.order=dynamic",
};

START_TEST(parts_of_a_stage_change_no_bit)
{
    char name[16];

    run(quarters, "apart", "--set pipeline.system=1f1b --set pipeline.stages=4");
    for (size_t i = 0; i < COUNT(layouts); i++) {
        snprintf(name, sizeof(name), "together-%zu", i);
        run(quarters, name, layouts[i]);
        assert_same_bits("apart", 4, name, 4);
    }
}
END_TEST

static const char *link_of(const json_t *report, size_t stage)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(report, "stage"), stage), "link"));
}

/* Where devices do not reach each other, links go through the host. */
START_TEST(devices_need_not_be_peers)
{
    if (!gpu_is_double())
        return;
    run(mlp, "peers", "--set device.map=0,1,1");
    ck_assert_int_eq(setenv("GPU_DOUBLE_PEERS", "0", 1), 0);
    run(mlp, "strangers", "--set device.map=0,1,1");
    ck_assert_int_eq(unsetenv("GPU_DOUBLE_PEERS"), 0);
    assert_same_bits("peers", 3, "strangers", 3);
    json_t *peers = report_of("peers"), *strangers = report_of("strangers");
    ck_assert_str_eq(link_of(peers, 0), "device");
    ck_assert_str_eq(link_of(strangers, 0), "staged");
    ck_assert_str_eq(link_of(strangers, 1), "device");
    ck_assert_ptr_null(link_of(strangers, 2));
    json_decref(peers);
    json_decref(strangers);
}
END_TEST

static double bytes_of(const json_t *stage, const char *which)
{
    return json_number_value(json_object_get(json_object_get(stage, which), "total"));
}

/* As the CPU does, and within the memory that was planned. */
START_TEST(every_system_trains)
{
    const char *system = systems[_i].name;
    char more[256];
    json_t *stage;
    size_t s;

    snprintf(more, sizeof(more), "--set pipeline.system=%s --set data.limit=100 --set pipeline.microbatches=%d", system,
             orders[systems[_i].order].microbatches > 0 ? orders[systems[_i].order].microbatches : 3);
    run(mlp, "gpu", more);
    strcat(more, " --set device.backend=onednn");
    run(mlp, "cpu", more);
    ck_assert_double_eq_tol(last_loss("gpu"), last_loss("cpu"), 0.01 * last_loss("cpu"));
    json_t *report = report_of("gpu");
    json_array_foreach(json_object_get(report, "stage"), s, stage)
    {
        ck_assert_str_eq(json_string_value(json_object_get(stage, "backend")), "cuda");
        ck_assert_int_eq(json_integer_value(json_object_get(stage, "device")), (int)s * (gpus < 3 ? gpus : 3) / 3);
        ck_assert(bytes_of(stage, "memory_peak_bytes") <= bytes_of(stage, "memory_bytes"));
        ck_assert(json_number_value(json_object_get(stage, "busy_seconds")) > 0);
    }
    ck_assert_uint_eq(s, 3);
    json_decref(report);
}
END_TEST

/* Those with several parts in a stage, and PyTorch's files among them. */
static const char sixths[] = "@ --quiet --epochs 2 --set device.backend=cuda --set data.batch=16 --set data.limit=200 "
                             "--set model.depth=6";
static const struct {
    const char *system, *placement;
    int stages, microbatches;
    const char *map;
} lists[] = {
    {"zb-v", "v", 2, 4, "0,cpu"},
    {"zb-v", "v", 3, 6, "0,cpu,0"},
    {"dualpipe-v", "v", 2, 4, "cpu,0"},
    {"interleaved-1f1b", "loop", 2, 4, "cpu,0"},
    {"breadth-first", "loop", 3, 3, "0,0,cpu"},
    {"tests/golden/pytorch/zbv-zero-bubble.csv", "v", 3, 6, "auto"},
    {"tests/golden/pytorch/dualpipe-v.csv", "v", 2, 5, "auto"},
    {"tests/golden/pytorch/interleaved-zero-bubble.csv", "loop", 3, 6, "auto"},
};

/* To what the reference trains to, and within the memory that was planned. */
START_TEST(every_list_of_parts_trains)
{
    char common[256], more[512];
    json_t *stage;
    size_t s;

    snprintf(common, sizeof(common),
             "--set pipeline.parts=2 --set pipeline.system=%s --set pipeline.placement=%s --set pipeline.stages=%d "
             "--set pipeline.microbatches=%d",
             lists[_i].system, lists[_i].placement, lists[_i].stages, lists[_i].microbatches);
    snprintf(more, sizeof(more), "%s --set device.map=%s", common, lists[_i].map);
    run(sixths, "gpu", more);
    snprintf(more, sizeof(more), "%s --set device.backend=reference", common);
    run(sixths, "cpu", more);
    ck_assert_double_eq_tol(last_loss("gpu"), last_loss("cpu"), 0.01 * last_loss("cpu"));
    json_t *report = report_of("gpu");
    json_array_foreach(json_object_get(report, "stage"), s, stage)
    {
        ck_assert(bytes_of(stage, "memory_peak_bytes") > 0);
        ck_assert(bytes_of(stage, "memory_peak_bytes") <= bytes_of(stage, "memory_bytes"));
        ck_assert(json_number_value(json_object_get(stage, "busy_seconds")) > 0);
    }
    ck_assert_uint_eq(s, (size_t)lists[_i].stages);
    json_decref(report);
}
END_TEST

static const char long_run[] = "@ --quiet --epochs 100 --set device.backend=cuda --set data.limit=2000 "
                               "--set data.batch=16";

/* Starts a run and waits until stage 3 has done so many ops. */
static pid_t start_until(const char *text, const char *name, uint64_t ops, struct segment *segment)
{
    const uint64_t deadline = clock_now_ns() + 120 * 1000000000ull;
    pid_t child = program_start(&program, text);

    for (;;) {
        if (program_segment(child, name, segment)) {
            if (atomic_load(&segment_stage(segment, 3)->counters.ops) >= ops)
                return child;
            segment_close(segment);
        }
        ck_assert_msg(clock_now_ns() < deadline, "%s", program_text(&program, "err"));
        usleep(500);
    }
}

static void finish_within(pid_t child, int status, double seconds)
{
    const uint64_t begin = clock_now_ns();

    ck_assert_msg(program_finish(child) == status, "%s", program_text(&program, "err"));
    ck_assert_double_lt(1e-9 * (double)(clock_now_ns() - begin), seconds);
}

#define PARTS "--set model.depth=6 --set pipeline.parts=2 --set pipeline.microbatches=6 "

static const char *const deaths[] = {
    "--set device.map=0,0,0",
    "--set device.map=0,cpu,0",
    "--set device.map=cpu,0,cpu",
    PARTS "--set pipeline.system=zb-v --set pipeline.placement=v --set device.map=0,0,0",
    PARTS "--set pipeline.system=interleaved-1f1b --set device.map=0,cpu,0",
};

/* Whichever stage dies: the others end, though their GPU's queues may wait for it. */
START_TEST(a_stage_that_dies_takes_the_run_along)
{
    char name[16], death[64];
    struct segment segment;

    for (int stage = 1; stage <= 3; stage++) {
        snprintf(name, sizeof(name), "killed-%d", stage);
        pid_t child = start_until(words(long_run, name, deaths[_i]), name, 20 + 7 * (uint64_t)stage, &segment);
        const pid_t victim = atomic_load(&segment_stage(&segment, stage)->pid);
        segment_close(&segment);
        kill(victim, SIGKILL);
        finish_within(child, 1, 5);
        snprintf(death, sizeof(death), "stage %d (pid %d) was killed by signal 9 (Killed)", stage, (int)victim);
        ck_assert_msg(strstr(program_text(&program, "err"), death) != NULL, "%s", program_text(&program, "err"));
    }
}
END_TEST

static int state_of(const struct segment *segment, int stage)
{
    return atomic_load(&segment_stage(segment, stage)->state);
}

/* Those whose parent died have become this process's children. */
static bool nobody_lives(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* Stage 2 stands still before it has told where its memory is, so that its neighbours wait for that; then the coordinator
 * is killed. */
START_TEST(who_waits_for_a_neighbour_s_memory_ends_with_the_run)
{
    struct segment segment;
    pid_t child, still;
    char name[16];
    bool waits = false;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int attempt = 1; !waits; attempt++) {
        snprintf(name, sizeof(name), "left-%d", attempt);
        child = start_until(words(long_run, name, ""), name, 0, &segment);
        still = stage_pid(&segment, 2);
        kill(still, SIGSTOP);
        WAIT_FOR(&program, state_of(&segment, 1) >= STAGE_MEETING);
        waits = state_of(&segment, 1) == STAGE_MEETING && state_of(&segment, 2) < STAGE_MEETING;
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        WAIT_FOR(&program, waitpid(stage_pid(&segment, 1), NULL, WNOHANG) != 0);
        kill(still, SIGKILL);
        WAIT_FOR(&program, nobody_lives());
        ck_assert(!program_has_segment(child));
        segment_close(&segment);
    }
}
END_TEST

/* Whatever CUDA does to a process, it does it to stages. */
START_TEST(the_coordinator_touches_no_gpu)
{
    char path[512], target[256], name[32];
    const struct dirent *entry;
    struct segment segment;
    int threads = 0;

    pid_t child = start_until(words(long_run, "apart", ""), "apart", 10, &segment);
    segment_close(&segment);
    snprintf(path, sizeof(path), "/proc/%d/task", (int)child);
    DIR *tasks = opendir(path);
    ck_assert_ptr_nonnull(tasks);
    while ((entry = readdir(tasks))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)child, entry->d_name);
        FILE *comm = fopen(path, "r");
        ck_assert(comm && fgets(name, sizeof(name), comm));
        fclose(comm);
        threads += strcmp(name, OUTLET_THREAD "\n") != 0;
    }
    closedir(tasks);
    ck_assert_int_eq(threads, 1);
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)child);
    DIR *descriptors = opendir(path);
    ck_assert_ptr_nonnull(descriptors);
    while ((entry = readdir(descriptors))) {
        const ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof(target) - 1);

        target[length < 0 ? 0 : length] = '\0';
        ck_assert_msg(strncmp(target, "/dev/nvidia", 11) != 0, "%s is open", target);
    }
    closedir(descriptors);
    kill(child, SIGINT);
    finish_within(child, 3, 20);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "interrupted after "));
}
END_TEST

static const struct {
    const char *more;
    int parts;
} goes_on[] = {
    {"--set device.graphs=yes", 3},
    {"--set device.map=0,cpu,0 --set pipeline.system=v-timeprest", 3},
    {PARTS "--set pipeline.system=zb-v --set pipeline.placement=v", 6},
};

START_TEST(an_interrupted_run_goes_on_to_the_same_bits)
{
    static const char network[] = "@ --quiet --epochs 2 --set device.backend=cuda --set pipeline.order=static "
                                  "--set data.batch=8 --set data.limit=640";
    char more[256];
    struct segment segment;

    run(network, "whole", goes_on[_i].more);
    pid_t child = start_until(words(network, "stopped", goes_on[_i].more), "stopped", 60, &segment);
    segment_close(&segment);
    kill(child, SIGINT);
    finish_within(child, 3, 20);
    snprintf(more, sizeof(more), "%s --resume", goes_on[_i].more);
    run(network, "stopped", more);
    assert_same_bits("whole", goes_on[_i].parts, "stopped", goes_on[_i].parts);
}
END_TEST

/* On another backend it goes on, but not to the same bits, and says so. */
START_TEST(a_run_goes_on_elsewhere)
{
    run(mlp, "moved", "--epochs 1");
    ck_assert_int_eq(
        program_run(&program, words(mlp + strlen("@ --quiet "), "moved", "@ --resume --set device.backend=onednn")), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"),
                                 "1 of 2 epochs are trained; not bit for bit, as another backend computes it\n"));
    ck_assert_int_eq(program_run(&program, words(mlp + strlen("@ --quiet "), "moved",
                                                 "@ --resume --epochs 3 --set device.map=0,0,cpu")),
                     0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "not bit for bit"));
}
END_TEST

/* Kernels fail long after they were launched; the message says which stage did what. */
START_TEST(a_kernel_that_fails_is_named)
{
    if (!gpu_is_double())
        return;
    ck_assert_int_eq(setenv("GPU_DOUBLE_FAULT_KERNEL", "3000", 1), 0);
    pid_t child = program_start(&program, words(long_run, "faulty", ""));
    finish_within(child, 1, 60);
    ck_assert_int_eq(unsetenv("GPU_DOUBLE_FAULT_KERNEL"), 0);
    const char *err = program_text(&program, "err"), *minibatch_text = strstr(err, "mini-batch ");
    int stage, pid, minibatch, epoch;
    char kind[16];

    ck_assert_msg(sscanf(err, "tpcoord: stage %d (pid %d): %15s of ", &stage, &pid, kind) == 3, "%s", err);
    ck_assert_msg(strcmp(kind, "forward") == 0 || strcmp(kind, "backward") == 0, "%s", err);
    ck_assert_msg(minibatch_text && sscanf(minibatch_text, "mini-batch %d of epoch %d:", &minibatch, &epoch) == 2, "%s",
                  err);
    ck_assert_msg(strstr(err, "cudaErrorIllegalAddress") != NULL, "%s", err);
    ck_assert_int_gt(minibatch, 1);
}
END_TEST

START_TEST(what_is_there_is_listed)
{
    json_t *device;
    size_t g;

    ck_assert_int_eq(program_run(&program, "devices --json ~/devices"), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "\ngpu 0    "));
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "no GPU can be used"));
    json_t *devices = program_json(&program, "devices");
    ck_assert_uint_eq(json_array_size(json_object_get(devices, "gpus")), (size_t)gpus);
    json_array_foreach(json_object_get(devices, "gpus"), g, device)
    {
        ck_assert_int_eq(json_integer_value(json_object_get(device, "gpu")), (int)g);
        ck_assert_int_eq(strncmp(json_string_value(json_object_get(device, "id")), "GPU-", 4), 0);
        ck_assert_int_gt(json_integer_value(json_object_get(device, "free_bytes")), 0);
    }
    json_decref(devices);
    ck_assert_int_eq(program_run(&program, "--version"), 0);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "(backends: cuda, onednn, reference)"));
}
END_TEST

START_TEST(what_is_not_there_is_refused)
{
    char more[64], message[128];

    snprintf(more, sizeof(more), "--set device.map=0,0,%d", gpus);
    snprintf(message, sizeof(message), "--set device.map: GPU %d, but there %s %d; the first is 0\n", gpus,
             gpus == 1 ? "is only" : "are only", gpus);
    refuse(more, 2, message);
    refuse("--set device.map=0,0", 2, "--set device.map: 0,0 is for 2 stages, but pipeline.stages is 3\n");
    refuse("--set device.map=0,0,cpu --set device.backend=onednn", 2, "computes on the CPU; use auto\n");
    refuse("--set device.map=cpu,cpu,cpu", 2, "has no GPU for device.backend = cuda");
}
END_TEST

/* auto takes GPUs where they are, and is content without. */
START_TEST(auto_takes_what_there_is)
{
    static const char plan[] = "plan @ --set device.backend=auto --json ~/plan";

    ck_assert_int_eq(program_run(&program, plan), 0);
    json_t *object = program_json(&program, "plan");
    ck_assert_str_eq(json_string_value(json_object_get(object, "backend")), "cuda");
    ck_assert_uint_ge(json_array_size(json_object_get(object, "gpus")), 1);
    json_decref(object);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "  runs on  backend     link\n"));
    if (!gpu_is_double())
        return;
    ck_assert_int_eq(setenv("GPU_DOUBLE_DEVICES", "none", 1), 0);
    ck_assert_int_eq(program_run(&program, plan), 0);
    ck_assert_str_eq(program_text(&program, "err"), "");
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "runs on"));
    refuse("", 2, "--set device.backend: cuda, but no GPU can be used: no NVIDIA driver is loaded\n");
    ck_assert_int_eq(setenv("GPU_DOUBLE_DEVICES", "2", 1), 0);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tests;

    if (gpu_is_double())
        setenv("GPU_DOUBLE_DEVICES", "2", 1);
    gpus = gpu_count();
    if (gpus == 0)
        return gpu_skip();
    suite = suite_create("runs on GPUs");
    tests = tcase_create("runs");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_is_there_is_listed);
    tcase_add_test(tests, what_is_not_there_is_refused);
    tcase_add_test(tests, auto_takes_what_there_is);
    tcase_add_test(tests, the_coordinator_touches_no_gpu);
    tcase_add_loop_test(tests, not_a_bit_changes, 0, EQUALS);
    tcase_add_test(tests, cuts_change_no_bit);
    tcase_add_test(tests, parts_of_a_stage_change_no_bit);
    tcase_add_test(tests, devices_need_not_be_peers);
    tcase_add_loop_test(tests, every_system_trains, 0, asking_system_count);
    tcase_add_loop_test(tests, every_list_of_parts_trains, 0, COUNT(lists));
    tcase_add_loop_test(tests, an_interrupted_run_goes_on_to_the_same_bits, 0, COUNT(goes_on));
    tcase_add_test(tests, a_run_goes_on_elsewhere);
    tcase_add_loop_test(tests, a_stage_that_dies_takes_the_run_along, 0, COUNT(deaths));
    tcase_add_test(tests, who_waits_for_a_neighbour_s_memory_ends_with_the_run);
    tcase_add_test(tests, a_kernel_that_fails_is_named);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
