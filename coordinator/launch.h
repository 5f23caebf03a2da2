/* The launcher of a run on several machines, mpirun or another: it starts a tpnode on each, and ends with them. It has a
 * session of its own, so that a terminal's signals do not reach it and it asks nothing of a terminal. */
#ifndef TP_COORDINATOR_LAUNCH_H
#define TP_COORDINATOR_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"
#include "plan/plan.h"

enum { LAUNCH_SAID_MAX = 1 << 14 };

/* What a launcher has said of the first of its processes that has died. */
struct launch_death {
    int rank;      /* -1: not told */
    char host[64]; /* "": not told */
    int status;    /* waitpid's; -1: not told */
};

struct launch {
    pid_t pid;   /* 0: none was started */
    bool joined; /* it is this machine's node, and has no launcher here */
    bool ended;
    int status;                 /* waitpid's, once it has */
    int output;                 /* what it and the nodes say */
    char said[LAUNCH_SAID_MAX]; /* of that, what nobody has been told; what has no room is left out */
    size_t length;
    uint64_t said_ns; /* the oldest of it */
    struct launch_death death;
};

/* What can be known before anything starts: that this build has nodes, and that `words`, if any, are some. */
int launch_check(const char *words, struct error *error);

/* Starts tpnode with these arguments, of which the last is NULL, on each of the plan's machines. `words` stand in place of
 * mpirun's and its options, as a shell would read them; NULL: they follow from the plan. */
int launch_start(struct launch *launch, const struct plan *plan, const char *words, const char *const *arguments,
                 struct error *error);

/* Starts that of this machine alone: a user's own mpirun has started the others (coordinator/world.h). It is its own
 * launcher then, and as dead as that. */
int launch_join(struct launch *launch, const char *const *arguments, struct error *error);

/* Takes in what is said, and whether the launcher has ended. Never waits. */
void launch_look(struct launch *launch, uint64_t now_ns);

/* Whether something was said so long ago that it is no consequence of a failure that will be told better. */
bool launch_has_said(const struct launch *launch, uint64_t now_ns);

/* Takes what Open MPI's launchers, MPICH's and Slurm's say of a death from one line; lines that follow add to it. */
void launch_death_read(struct launch_death *death, const char *line);

/* Prints what was said, each line with the launcher's name in front, but for empty ones and rules, and reads of a death in
 * it. */
void launch_tell(struct launch *launch, FILE *out);

/* Ends it, if it has not ended by that moment, and waits for its end; a turn of the same, which does not wait. */
void launch_await(struct launch *launch, uint64_t until_ns);
void launch_hurry(const struct launch *launch, uint64_t until_ns);

void launch_release(struct launch *launch);

#endif
