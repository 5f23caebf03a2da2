/* Goal of this test: what a data set means to a run. Memory is planned, measured and trained for mini-batches that
 * occur, what does not fit is refused before it is tried, and files are read once, however many runs and stages need
 * them. */
#include <check.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <zlib.h>

#include "coordinator/room.h"
#include "device/cores.h"
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

static const char *const run_orders[] = {"static", "dynamic"};

/* A mini-batch is never larger than the data set: whatever data.batch says beyond, the run is the same. */
START_TEST(a_data_set_smaller_than_a_minibatch_trains_like_a_minibatch_of_its_size)
{
    static const char *const names[] = {"exact", "huge"}, *const batches[] = {"10", "65536"};
    char words[256], name[64];
    json_t *reports[2];

    for (int i = 0; i < 2; i++) {
        snprintf(words, sizeof(words),
                 "@ --quiet --epochs 2 --set data.limit=10 --set data.batch=%s --set run.name=%s "
                 "--set pipeline.order=%s --set pipeline.partition=%s",
                 batches[i], names[i], run_orders[_i], _i ? "auto" : "1,1,1");
        ck_assert_msg(program_run(&program, words) == 0, "%s", program_text(&program, "err"));
        ck_assert_str_eq(program_text(&program, "err"), "");
        snprintf(name, sizeof(name), "runs/%s/report.json", names[i]);
        reports[i] = program_json(&program, name);
    }
    for (size_t s = 0; s < 3; s++) {
        const json_t *planned[2];

        for (int i = 0; i < 2; i++)
            planned[i] = json_object_get(json_array_get(json_object_get(reports[i], "stage"), s), "memory_bytes");
        ck_assert(json_is_object(planned[0]) && json_equal(planned[0], planned[1]));
    }
    if (_i == 0)
        program_assert_same(&program, 3, 2, "exact", "huge");
    json_decref(reports[0]);
    json_decref(reports[1]);
}
END_TEST

START_TEST(more_microbatches_than_images_are_refused)
{
    ck_assert_int_eq(program_run(&program, "@ --set data.limit=2"), 2);
    ck_assert_ptr_nonnull(
        strstr(program_text(&program, "err"), "3 micro-batches, but the training set has only 2 images in all"));
}
END_TEST

static const struct {
    const char *words, *message;
} too_large[] = {
    {"@ --set model.arch=resnet56 --set pipeline.order=dynamic --set data.limit=65536 --set data.batch=65536",
     "tpcoord: the plan needs "},
    {"compare @ --systems gpipe --set model.arch=resnet56 --set data.limit=65536 --set data.batch=65536",
     "tpcoord: the plan needs "},
    {"plan @ --simulate --set model.arch=resnet56 --set data.limit=65536 --set data.batch=65536 "
     "--set data.synthetic_size=64",
     "tpcoord: measuring the layers needs "},
    {"@ --set data.limit=100000000 --set data.synthetic_size=64",
     "--set data.set: the synthetic data set: its images need 390626 MiB of memory and this machine has "},
};

/* A hundred GiB and more in each case. What would be measured would be said to be. */
START_TEST(what_does_not_fit_is_refused_before_it_is_tried)
{
    char words[256];

    if (room_bytes() > 80ull << 30)
        return;
    snprintf(words, sizeof(words), "%s --set data.set=synthetic", too_large[_i].words);
    ck_assert_int_ne(program_run(&program, words), 0);
    const char *err = program_text(&program, "err");
    ck_assert_msg(strncmp(err, too_large[_i].message, strlen(too_large[_i].message)) == 0, "%s", err);
    ck_assert_msg(strchr(err, '\n') == strrchr(err, '\n'), "%s", err);
}
END_TEST

static const struct {
    const char *words;
    int warnings;
} thread_counts[] = {
    {"plan @ --set device.threads=1", 0},
    {"plan @ --set device.threads=2", 1},
    {"@ --quiet --set device.threads=2", 1},
    {"compare @ --quiet --systems gpipe,naive --set device.threads=2", 1},
    {"compare @ --quiet --systems gpipe,naive --set device.threads=2 --set pipeline.partition=1,1,1", 1}};

START_TEST(threads_for_more_cores_than_there_are_are_said_once)
{
    cpu_set_t all, one;
    int said = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    CPU_SET(cores_at(0), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    ck_assert_int_eq(program_run(&program, thread_counts[_i].words), 0);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
    for (const char *at = program_text(&program, "err"); (at = strstr(at, " threads on ")) != NULL; at++, said++)
        ck_assert_ptr_nonnull(
            strstr(program_text(&program, "err"),
                   "tpcoord: 3 stages on the CPU with device.threads = 2 are 6 threads on 1 core, and "
                   "will be slow; use device.threads = 1\n"));
    ck_assert_int_eq(said, thread_counts[_i].warnings);
}
END_TEST

/* As OpenMP itself says when a process starts: without cores for all of them, they must not keep others from theirs. */
START_TEST(a_stage_s_threads_sleep_at_once_only_where_they_outnumber_cores)
{
    static const char *const words[] = {"@ --quiet --epochs 1 --set pipeline.stages=1 --set pipeline.partition=auto",
                                        "@ --quiet --epochs 1"};
    cpu_set_t all, one;
    int sleep = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    CPU_SET(cores_at(0), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    /* So that tpcoord, which says it as well, has threads that look again. */
    setenv("OMP_WAIT_POLICY", "active", 1);
    setenv("OMP_DISPLAY_ENV", "VERBOSE", 1);
    ck_assert_int_eq(program_run(&program, words[_i]), 0);
    unsetenv("OMP_DISPLAY_ENV");
    setenv("OMP_WAIT_POLICY", "passive", 1); /* as tests have it */
    ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
    const char *at = program_text(&program, "err");
    ck_assert_ptr_nonnull(strstr(at, "GOMP_SPINCOUNT = '"));
    while ((at = strstr(at, "GOMP_SPINCOUNT = '0'")) != NULL)
        at++, sleep++;
    ck_assert_int_eq(sleep, _i == 0 ? 0 : 3);
}
END_TEST

/* Plain, or gzip. */
static void write_file(const char *name, bool packs, const unsigned char *head, size_t head_bytes, size_t elements)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", program.folder, name);
    gzFile file = gzopen(path, packs ? "wb" : "wbT");
    ck_assert_ptr_nonnull(file);
    gzwrite(file, head, (unsigned)head_bytes);
    for (size_t i = 0; i < elements; i++)
        gzputc(file, (int)(i * 37 % 10));
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* How often somebody has opened a file since it is watched. Events that are alike become one: but for those of
 * closing between them, two openings could be. */
static int count_opens(int watch)
{
    _Alignas(struct inotify_event) char events[4096];
    int count = 0;
    ssize_t got;

    while ((got = read(watch, events, sizeof(events))) > 0)
        for (ssize_t at = 0; at < got; at += (ssize_t)sizeof(struct inotify_event)) {
            const struct inotify_event *event = (const void *)(events + at);

            count += (event->mask & IN_OPEN) != 0;
            at += event->len;
        }
    return count;
}

static const struct {
    const char *command;
    bool packed;
    int opens[2]; /* of the images, of the labels */
} reads[] = {
    {"@", true, {1, 1}},
    {"compare @ --systems gpipe,pipedream,naive --seeds 1,2", true, {1, 1}},
    {"@", false, {2, 2}},
    {"compare @ --systems gpipe,pipedream,naive --seeds 1,2", false, {7, 7}},
};

/* A file that is inflated is read once, for all. One that can be mapped is looked at once, and then mapped by those
 * who need it: images by the first stage of each run, labels by the last. */
START_TEST(files_are_read_once_for_all_stages_systems_and_seeds)
{
    const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 30, 0, 0, 0, 28, 0, 0, 0, 28},
                        labels[] = {0, 0, 8, 1, 0, 0, 0, 30};
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    const bool packed = reads[_i].packed;
    int watches[2];
    char text[256];

    for (int half = 0; half < 2; half++) {
        write_file(half ? "t10k-images-idx3-ubyte" : names[0], packed, images, sizeof(images), 30 * 28 * 28);
        write_file(half ? "t10k-labels-idx1-ubyte" : names[1], packed, labels, sizeof(labels), 30);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), "%s/%s", program.folder, names[i]);
        watches[i] = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        ck_assert_int_ge(inotify_add_watch(watches[i], text, IN_OPEN | IN_CLOSE_NOWRITE), 0);
    }
    snprintf(text, sizeof(text), "%s --quiet --set data.set=idx --set data.dir=~ --set data.batch=6 --set data.limit=0",
             reads[_i].command);
    ck_assert_msg(program_run(&program, text) == 0, "%s", program_text(&program, "err"));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(count_opens(watches[i]), reads[_i].opens[i]);
        close(watches[i]);
    }
}
END_TEST

/* KiB of its own memory that a process has now. */
static long resident(pid_t process)
{
    char path[64], line[128];
    long kib = -1;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file))
        sscanf(line, "RssAnon: %ld kB", &kib);
    fclose(file);
    ck_assert_int_gt(kib, 0);
    return kib;
}

/* Least of what it has from one epoch to another: in between it has more for a moment. */
static long least_resident(pid_t process, const struct segment *segment, int from, int to)
{
    long least = LONG_MAX;
    int done;

    while ((done = atomic_load(&segment->board->epochs_done)) < to) {
        const long now = done >= from ? resident(process) : LONG_MAX;

        least = now < least ? now : least;
        sched_yield();
    }
    return least;
}

/* It grew by more than a KiB with each. What stays are results, which may take four times their size. The C library keeps
 * nothing of what is freed for the next who asks: that would be counted, and is more than what a run adds. The run's folder
 * is in memory, where epochs with their checkpoints are short. */
START_TEST(a_coordinator_does_not_grow_with_its_epochs)
{
    enum { EARLY = 50, LATE = 350, WINDOW = 30, KIB_MAX = 4 * (LATE - EARLY) * sizeof(struct epoch_result) / 1024 };
    struct segment segment;
    char words[256];

    snprintf(words, sizeof(words),
             "@ --quiet --epochs 1000 --set data.limit=10 --set data.batch=10 --set pipeline.stages=2 "
             "--set pipeline.order=static --set run.output=/dev/shm/%s --set run.name=long",
             strrchr(program.folder, '/') + 1);
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0", 1);
    const pid_t coordinator = program_start(&program, words);
    unsetenv("GLIBC_TUNABLES");
    while (!program_segment(coordinator, "long", &segment))
        ck_assert_int_eq(kill(coordinator, 0), 0);
    const long early = least_resident(coordinator, &segment, EARLY, EARLY + WINDOW);
    const long late = least_resident(coordinator, &segment, LATE, LATE + WINDOW);
    segment_close(&segment);
    kill(coordinator, SIGINT);
    ck_assert_int_eq(program_finish(coordinator), 3);
    snprintf(words, sizeof(words), "rm -r /dev/shm/%s", strrchr(program.folder, '/') + 1);
    ck_assert_int_eq(system(words), 0);
    ck_assert_msg(late - early < KIB_MAX, "%ld KiB after %d epochs, %ld after %d", early, EARLY, late, LATE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_runs");
    TCase *tcase = tcase_create("data_runs"), *long_runs = tcase_create("long_runs");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_data_set_smaller_than_a_minibatch_trains_like_a_minibatch_of_its_size, 0,
                        COUNT(run_orders));
    tcase_add_test(tcase, more_microbatches_than_images_are_refused);
    tcase_add_loop_test(tcase, what_does_not_fit_is_refused_before_it_is_tried, 0, COUNT(too_large));
    tcase_add_loop_test(tcase, threads_for_more_cores_than_there_are_are_said_once, 0, COUNT(thread_counts));
    tcase_add_loop_test(tcase, a_stage_s_threads_sleep_at_once_only_where_they_outnumber_cores, 0, 2);
    tcase_add_loop_test(tcase, files_are_read_once_for_all_stages_systems_and_seeds, 0, COUNT(reads));
    suite_add_tcase(suite, tcase);

    tcase_set_timeout(long_runs, 300);
    tcase_add_checked_fixture(long_runs, set_up, tear_down);
    tcase_add_test(long_runs, a_coordinator_does_not_grow_with_its_epochs);
    suite_add_tcase(suite, long_runs);

    return run_suite(suite);
}
