#include "coordinator/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/program.h"
#include "coordinator/limits.h"
#include "device/cores.h"
#include "telemetry/explain.h"

void process_describe_status(int status, char text[PROCESS_TEXT_MAX])
{
    if (WIFSIGNALED(status))
        snprintf(text, PROCESS_TEXT_MAX, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, PROCESS_TEXT_MAX, "ended with exit status %d", WEXITSTATUS(status));
}

/* What the stage does, and the number of the part that is on turn there. */
static struct activity activity_of(const struct segment *segment, int stage, int *part)
{
    const struct plan *plan = &segment->header->plan;
    struct activity activity = {.kind = ACTIVITY_NONE};

    for (int index = 0; index < plan->schedule.parts && activity.kind == ACTIVITY_NONE; index++) {
        *part = plan_part_of(plan, stage, index);
        activity = activity_unpack(atomic_load(&segment_stage(segment, *part)->activity));
        activity.op.part = *part;
    }
    return activity;
}

void process_describe_death(const struct segment *segment, int stage, int status, char text[DEATH_TEXT_MAX])
{
    const struct schedule schedule = plan_training(&segment->header->plan);
    int part = stage;
    const struct activity activity = activity_of(segment, stage, &part);
    const struct stage_block *block = segment_stage(segment, part);
    char death[PROCESS_TEXT_MAX], doing[DEATH_TEXT_MAX / 2];

    process_describe_status(status, death);
    explain_activity(&activity, &schedule, doing, sizeof(doing));
    if (atomic_load(&block->state) != STAGE_RUNNING)
        snprintf(text, DEATH_TEXT_MAX, "%s before it began to train", death);
    else if (activity.kind == ACTIVITY_NONE)
        snprintf(text, DEATH_TEXT_MAX, "%s between two phases", death);
    else
        snprintf(text, DEATH_TEXT_MAX, "%s while %s of epoch %d", death, doing, atomic_load(&block->counters.epoch));
}

void process_add_cause(int status, uint64_t kills, struct error *error)
{
    const size_t length = strlen(error->text), room = sizeof(error->text) - length;
    char *end = error->text + length;
    struct rlimit limit;

    if (!WIFSIGNALED(status))
        return;
    if (WTERMSIG(status) == SIGKILL && memory_kills() != kills)
        snprintf(end, room,
                 "; probably by the kernel, which has killed for lack of memory meanwhile: lower data.batch, or use "
                 "pipeline.backward_activations = recompute");
    else if (WTERMSIG(status) != SIGKILL && getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        snprintf(end, room, "; its address space is limited to %llu MiB (ulimit -v)",
                 (unsigned long long)limit.rlim_cur >> 20);
}

/* OpenMP reads these as a stage starts. The threads of a stage that wait for each other do so in turns of microseconds: they
 * look again and again, as long as there is a core for each, and must leave it to others where there is not. */
static int set_environment(const struct segment *segment, struct error *error)
{
    const struct plan *plan = &segment->header->plan;
    char threads[16];
    int here = 0;

    for (int s = 1; s <= plan->stage_count; s++)
        here += segment_is_here(segment, s);
    const bool crowded = here * plan->config.device.threads > cores_count();

    snprintf(threads, sizeof(threads), "%d", plan->config.device.threads);
    if (setenv("OMP_NUM_THREADS", threads, 1) ||
        (crowded ? setenv("OMP_WAIT_POLICY", "passive", 1) : unsetenv("OMP_WAIT_POLICY")))
        return error_set(error, "cannot set the stages' environment: %s", strerror(errno));
    return 0;
}

static int start(pid_t *pid, char *program, int stage, int descriptor, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, struct error *error)
{
    char descriptor_text[16], stage_text[16];
    char *arguments[] = {program, descriptor_text, stage_text, NULL};

    snprintf(descriptor_text, sizeof(descriptor_text), "%d", descriptor);
    snprintf(stage_text, sizeof(stage_text), "%d", stage);
    int reason = posix_spawn(pid, program, actions, attributes, arguments, environ);
    return reason ? error_set(error, "cannot start %s: %s", program, strerror(reason)) : 0;
}

int processes_start(struct processes *processes, const struct segment *segment, struct error *error)
{
    char program[PATH_MAX];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int result = -1;

    *processes =
        (struct processes){.segment = segment, .count = segment->header->plan.stage_count, .kills = memory_kills()};
    if (program_find(program, "tpstage", error) || set_environment(segment, error))
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    /* A launcher's daemon kills its node's group. Stages outlive that, and remove what the node cannot. */
    posix_spawnattr_setflags(&attributes, segment->header->machine != 0 ? POSIX_SPAWN_SETPGROUP : 0);
    /* A dup2 onto itself leaves the descriptor open across the exec. */
    const int data = segment->header->data;
    if (posix_spawn_file_actions_adddup2(&actions, segment->fd, segment->fd) ||
        (data > 0 && posix_spawn_file_actions_adddup2(&actions, data, data)) ||
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) {
        error_set(error, "out of memory for the stages' start");
        goto out;
    }
    for (int s = 1; s <= processes->count; s++) {
        const bool here = segment_is_here(segment, s);

        /* Those elsewhere are the coordinator's business, not a node's. */
        if (!here && segment->header->machine != 0)
            continue;
        if (here && start(&processes->stage[s - 1].pid, program, s, segment->fd, &actions, &attributes, error))
            goto out;
        processes->stage[s - 1].running = true;
        processes->running++;
    }
    result = 0;
out:
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

/* Of a stage on another machine, as its node tells it. */
static bool was_told(const struct processes *processes, int stage, int *status)
{
    const struct stage_block *block = segment_stage(processes->segment, stage);
    /* Pairs with the node's release store: whatever else it tells of the stage is there. */
    const int32_t ended = atomic_load_explicit(&block->ended, memory_order_acquire);

    *status = processes->lost ? SIGKILL : ended & ~STAGE_ENDED;
    return processes->lost || ended != 0;
}

static bool has_ended(const struct processes *processes, int stage, int *status)
{
    if (!segment_is_here(processes->segment, stage))
        return was_told(processes, stage, status);
    return waitpid(processes->stage[stage - 1].pid, status, WNOHANG) > 0;
}

void processes_lose(struct processes *processes)
{
    processes->lost = true;
}

int processes_pid(const struct processes *processes, int stage)
{
    if (segment_is_here(processes->segment, stage))
        return (int)processes->stage[stage - 1].pid;
    return atomic_load(&segment_stage(processes->segment, stage)->pid);
}

int processes_reap(struct processes *processes, int *status)
{
    for (int s = 1; s <= processes->count; s++) {
        if (!processes->stage[s - 1].running || !has_ended(processes, s, status))
            continue;
        processes->stage[s - 1].running = false;
        processes->running--;
        return s;
    }
    return 0;
}

void processes_kill(const struct processes *processes)
{
    for (int s = 1; s <= processes->count; s++)
        if (processes->stage[s - 1].running && segment_is_here(processes->segment, s))
            kill(processes->stage[s - 1].pid, SIGKILL);
}
