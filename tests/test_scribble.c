/* Somebody else of the same user writes random words into a live run's shared memory. That may end the run, or spoil what
 * it computes, but every process ends by itself, in time, with a line, and never by a memory error.
 *
 * RUNS=500 SEED=7 in the environment: so many runs; a failure says the seed of its run. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "transport/rings.h"

enum { SECONDS_MAX = 60, RUNS_DEFAULT = 15, WORDS_TOGETHER = 3, PAUSE_US = 300 };

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

struct scribbler {
    struct segment segment; /* read-only */
    unsigned char *bytes;   /* the same, writable */
    uint64_t seed, drawn;
};

static uint32_t draw(struct scribbler *it, size_t below)
{
    return random_below(it->seed, RANDOM_TEST, 1, it->drawn++, (uint32_t)below);
}

/* Mostly where a word means something, as most of a segment is records and tensors. */
static size_t draw_offset(struct scribbler *it)
{
    const int stage = (int)draw(it, (size_t)it->segment.header->block_count);
    const size_t block = it->segment.stages_offset + (size_t)stage * sizeof(struct stage_block);
    const size_t rings = (size_t)(it->segment.header->block_count - 1) * RING_DIRECTIONS * sizeof(struct ring);

    switch (draw(it, 7)) {
    case 0:
        return offsetof(struct board, run_state) +
               draw(it, offsetof(struct board, epochs[4]) - offsetof(struct board, run_state));
    case 1:
        return block + draw(it, offsetof(struct stage_block, telemetry.records) + 64 * sizeof(struct op_record));
    case 2:
        return block + draw(it, offsetof(struct stage_block, error));
    case 3:
        return it->segment.channels_offset + draw(it, rings + 4096);
    case 4:
        return block + offsetof(struct stage_block, passing) + draw(it, sizeof(struct passing));
    case 5:
        return draw(it, it->segment.channels_offset);
    default:
        return draw(it, it->segment.size);
    }
}

static void scribble(struct scribbler *it)
{
    static const uint32_t words[] = {0, 1, 2, 255, 65535, 0x7fffffff, 0x80000000, 0xffffffff};

    for (int k = 0; k < WORDS_TOGETHER; k++) {
        _Atomic uint32_t *word = (_Atomic uint32_t *)(void *)(it->bytes + draw_offset(it) / 4 * 4);
        const uint32_t choice = draw(it, 2 * sizeof(words) / sizeof(words[0]));

        atomic_store(word, choice < sizeof(words) / sizeof(words[0]) ? words[choice] : draw(it, UINT32_MAX));
    }
}

static void start(struct scribbler *it, pid_t *coordinator)
{
    const uint64_t deadline = clock_now_ns() + SECONDS_MAX * UINT64_C(1000000000);
    const struct system *system = &systems[draw(it, (size_t)asking_system_count)];
    const int needed = orders[system->order].microbatches, microbatches = needed ? needed : 3;
    char words[256], name[32];
    int fd;

    snprintf(name, sizeof(name), "seed-%llu", (unsigned long long)it->seed);
    snprintf(words, sizeof(words),
             "@ --quiet --epochs 40 --set run.name=%s --set run.stall_seconds=2 --set pipeline.system=%s "
             "--set pipeline.microbatches=%d --set pipeline.order=%s --set checkpoints.every=3",
             name, system->name, microbatches, draw(it, 2) ? "static" : "dynamic");
    *coordinator = program_start(&program, words);
    while (!program_segment(*coordinator, name, &it->segment)) {
        ck_assert_msg(clock_now_ns() < deadline, "seed %llu: the run does not begin; it says: %s",
                      (unsigned long long)it->seed, program_text(&program, "err"));
        usleep(1000);
    }
    fd = shm_open(it->segment.header->name, O_RDWR, 0);
    it->bytes = mmap(NULL, it->segment.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    ck_assert_ptr_ne(it->bytes, MAP_FAILED);
    /* Some runs are met as they start, most as they train. */
    for (uint64_t ops = draw(it, 60); atomic_load(&segment_stage(&it->segment, 3)->counters.ops) < ops; usleep(1000))
        ck_assert_msg(clock_now_ns() < deadline, "seed %llu: the run does not go on", (unsigned long long)it->seed);
}

/* The status; fails the test if the process does not end, or not by itself. */
static int await_end(struct scribbler *it, pid_t pid, const char *what, bool scribbles)
{
    const uint64_t deadline = clock_now_ns() + SECONDS_MAX * UINT64_C(1000000000);
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        ck_assert_msg(clock_now_ns() < deadline, "seed %llu: %s does not end; it says: %s",
                      (unsigned long long)it->seed, what, program_text(&program, "err"));
        if (scribbles)
            scribble(it);
        usleep(PAUSE_US);
    }
    ck_assert_msg(WIFEXITED(status), "seed %llu: %s was killed by signal %d; it says: %s", (unsigned long long)it->seed,
                  what, WTERMSIG(status), program_text(&program, "err"));
    return WEXITSTATUS(status);
}

/* A monitor that looks once, its output to a file of its own. */
static pid_t look(const struct scribbler *it)
{
    char path[128];
    pid_t child = fork();

    if (child)
        return child;
    snprintf(path, sizeof(path), "%s/monitor", program.folder);
    if (!freopen(path, "w", stdout) || !freopen(path, "a", stderr))
        _exit(127);
    execl(program.monitor, program.monitor, "--once", it->segment.header->name, (char *)NULL);
    _exit(127);
}

START_TEST(random_words_end_a_run_with_a_line)
{
    const uint64_t runs = number_from("RUNS", RUNS_DEFAULT), seed = number_from("SEED", 1);

    for (uint64_t k = 0; k < runs; k++) {
        struct scribbler it = {.seed = seed + k};
        pid_t coordinator;
        int status;

        start(&it, &coordinator);
        status = await_end(&it, look(&it), "the monitor", true);
        ck_assert_msg(status <= 1 && !strstr(program_text(&program, "monitor"), "Sanitizer"), "seed %llu: %d, %s",
                      (unsigned long long)it.seed, status, program_text(&program, "monitor"));
        status = await_end(&it, coordinator, "the coordinator", true);
        const char *said = program_text(&program, "err");
        ck_assert_msg(status <= 3 && !strstr(said, "Sanitizer") && !strstr(said, "signal"), "seed %llu: %d, %s",
                      (unsigned long long)it.seed, status, said);
        /* A stop is what `stop` asks for: its line is on standard output. */
        ck_assert_msg(status == 0 || status == 3 || strchr(said, '\n'), "seed %llu: not a word",
                      (unsigned long long)it.seed);
        ck_assert_msg(!program_has_segment(coordinator), "seed %llu: the segment stays", (unsigned long long)it.seed);
        munmap(it.bytes, it.segment.size);
        segment_close(&it.segment);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scribble");
    TCase *tcase = tcase_create("scribble");

    tcase_set_timeout(tcase, 36000);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, random_words_end_a_run_with_a_line);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
