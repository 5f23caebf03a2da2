#include "coordinator/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "coordinator/limits.h"
#include "coordinator/process.h"

/* What the child leaves behind, in memory shared with the parent. */
struct legacy {
    bool complete;
    struct error error;
    _Alignas(max_align_t) unsigned char result[];
};

/* Milliseconds from now to the earlier of two moments that are still to come; 0 is no moment. For poll: -1, none. */
static int milliseconds_to(uint64_t now, uint64_t one, uint64_t other)
{
    const uint64_t earlier = one == 0 || (other != 0 && other < one) ? other : one;

    return earlier == 0 ? -1 : earlier > now ? (int)((earlier - now) / 1000000u) + 1 : 0;
}

/* Waits until the child's end of the pipe is closed. */
static int await_end(const struct child_task *task, int end, struct error *error)
{
    const uint64_t begun = clock_now_ns();
    const uint64_t deadline = task->seconds > 0 ? begun + (uint64_t)task->seconds * 1000000000u : 0;
    uint64_t patience = task->patience ? begun + (uint64_t)task->patience_seconds * 1000000000u : 0;
    struct pollfd events[] = {{.fd = end, .events = POLLIN},
                              {.fd = task->signals ? task->signals->descriptor : -1, .events = POLLIN}};

    for (;;) {
        if (poll(events, 2, milliseconds_to(clock_now_ns(), deadline, patience)) < 0 && errno != EINTR)
            return error_set(error, "cannot wait for %s: %s", task->name, strerror(errno));
        if (events[0].revents)
            return 0;
        if (task->signals && signals_read(task->signals) > 0)
            return error_set(error, "interrupted");
        if (patience != 0 && clock_now_ns() >= patience) {
            fprintf(stderr, "tpcoord: %s\n", task->patience);
            patience = 0;
        }
        if (deadline != 0 && clock_now_ns() >= deadline)
            return error_set(error, "%s has not answered for %d s; %s", task->slow, task->seconds, task->advice);
    }
}

static int judge_end(const struct child_task *task, pid_t child, uint64_t kills, const struct legacy *legacy,
                     struct error *error)
{
    char death[PROCESS_TEXT_MAX];
    int status;
    pid_t waited;

    do
        waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (waited < 0)
        return error_set(error, "cannot wait for %s: %s", task->name, strerror(errno));
    if (legacy->complete) {
        memcpy(task->result, legacy->result, task->result_bytes);
        return 0;
    }
    if (legacy->error.text[0] != '\0') {
        *error = legacy->error;
        return -1;
    }
    process_describe_status(status, death);
    error_set(error, "%s (pid %d) %s", task->name, (int)child, death);
    process_add_cause(status, kills, error);
    return -1;
}

static int start(const struct child_task *task, struct legacy *legacy, struct error *error)
{
    const pid_t parent = getpid();
    const uint64_t kills = memory_kills();
    int ends[2], result;

    if (pipe2(ends, O_CLOEXEC))
        return error_set(error, "cannot make a pipe: %s", strerror(errno));
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        legacy->complete = getppid() == parent && task->run(task->context, legacy->result, &legacy->error) == 0;
        _exit(legacy->complete ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0) {
        result = error_set(error, "cannot start %s: %s", task->name, strerror(errno));
    } else if (await_end(task, ends[0], error)) {
        /* It may hang in the kernel, where no signal ends it: nobody waits for that. */
        kill(child, SIGKILL);
        result = -1;
    } else {
        result = judge_end(task, child, kills, legacy, error);
    }
    close(ends[0]);
    return result;
}

int child_run(const struct child_task *task, struct error *error)
{
    const size_t size = sizeof(struct legacy) + task->result_bytes;
    struct legacy *legacy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int result;

    if (legacy == MAP_FAILED)
        return error_set(error, "cannot map memory for %s: %s", task->name, strerror(errno));
    result = start(task, legacy, error);
    munmap(legacy, size);
    return result;
}
