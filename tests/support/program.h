/* tpcoord and tpmon as a user meets them: the real programs with real arguments, on a small config in a temporary folder. */
#ifndef TP_TESTS_PROGRAM_H
#define TP_TESTS_PROGRAM_H

#include <check.h>
#include <jansson.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"
#include "board/segment.h"

struct program {
    char path[256], monitor[256]; /* of tpcoord and tpmon */
    char folder[64];              /* of one test */
    char config[96];              /* <folder>/small.ini: runs go to <folder>/runs */
};

/* Makes the folder and the config: an mlp in three stages on the CPU, on made-up images, whose run takes a fraction of a second. */
void program_set_up(struct program *program);
void program_tear_down(const struct program *program);

/* Starts tpcoord, or tpmon if that is the first word, with these words, in which @ is the config and ~ the folder; its
 * output goes to the files "out" and "err". */
pid_t program_start(const struct program *program, const char *words);

/* Waits for its end and returns the exit status. Fails the test if it was killed or left anything in /dev/shm. */
int program_finish(pid_t child);
int program_run(const struct program *program, const char *words);

/* The text of a file in the folder, valid until the fourth call from now; and what it holds. */
const char *program_text(const struct program *program, const char *name);
json_t *program_json(const struct program *program, const char *name);
bool program_has(const struct program *program, const char *name);

/* Writes a file into the folder. */
void program_write(const struct program *program, const char *name, const void *bytes, size_t size);

/* Two runs of that name have the same results in their reports, and the same bits in their last checkpoints. */
void program_assert_same(const struct program *program, int stages, int epochs, const char *a, const char *b);

/* Whether a run of that coordinator has a name in /dev/shm. */
bool program_has_segment(pid_t coordinator);

/* Opens the segment of the run that the coordinator has going, if its run folder ends with `name`. */
bool program_segment(pid_t coordinator, const char *name, struct segment *segment);

/* The process of a run's stage. */
pid_t stage_pid(const struct segment *segment, int stage);

/* Waits until `condition` holds; fails the test after half a minute. */
#define WAIT_FOR(program, condition)                                                                                   \
    do {                                                                                                               \
        const uint64_t deadline_ = clock_now_ns() + 30 * 1000000000ull;                                                \
        while (!(condition)) {                                                                                         \
            ck_assert_msg(clock_now_ns() < deadline_, "never: %s\n%s", #condition, program_text((program), "err"));    \
            usleep(1000);                                                                                              \
        }                                                                                                              \
    } while (0)

#endif
