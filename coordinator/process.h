/* The run's child processes: one tpstage per stage. */
#ifndef TP_COORDINATOR_PROCESS_H
#define TP_COORDINATOR_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "board/segment.h"

enum { PROCESS_TEXT_MAX = 96 };

/* "was killed by signal 9 (Killed)" or "ended with exit status 1", from waitpid's status. */
void process_describe_status(int status, char text[PROCESS_TEXT_MAX]);

/* The same of a stage, with what it was doing: "was killed by signal 9 (Killed) while running the backward of mini-batch
 * 812 of epoch 2". */
enum { DEATH_TEXT_MAX = 320 };
void process_describe_death(const struct segment *segment, int stage, int status, char text[DEATH_TEXT_MAX]);

/* Adds to what is said of a death what may well be its cause: a limited address space, of which libraries do not say
 * that they have had too little; or too little memory, for which the kernel kills without a word. `kills` is
 * memory_kills() before the process began. */
void process_add_cause(int status, uint64_t kills, struct error *error);

struct processes {
    const struct segment *segment;
    int count, running;
    uint64_t kills; /* memory_kills() before they began */
    bool lost;      /* processes_lose() */
    struct {
        pid_t pid; /* on another machine: 0 */
        bool running;
    } stage[MAX_STAGES]; /* stage s is stage[s - 1] */
};

/* Starts the tpstage that lies beside this program once per stage of the segment's machine, each with its descriptor. On
 * the coordinator's, those on other machines count as running until they are told to have ended (struct stage_block). On failure those
 * already started go on running. Signals that are blocked here are so there until a stage knows what they mean. */
int processes_start(struct processes *processes, const struct segment *segment, struct error *error);

/* Who told of the stages on other machines is gone: they count as killed. */
void processes_lose(struct processes *processes);

/* A stage's process, of which another machine's has its number there; 0 if it is not known yet. */
int processes_pid(const struct processes *processes, int stage);

/* Takes note of one stage that has ended: its number and waitpid's status. 0 if none has. Waits for no other child. */
int processes_reap(struct processes *processes, int *status);

/* SIGKILL to those of this machine that still run. */
void processes_kill(const struct processes *processes);

#endif
