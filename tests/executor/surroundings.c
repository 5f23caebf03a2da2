/* What the explored stages run on: doorbells, memory, checkpoints, and the schedule, of which they may take any op. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "tests/executor/explorer.h"

/* In place of the board's: doorbells at which nobody runs out of time. */
void doorbell_ring(struct doorbell *doorbell)
{
    for (int s = 1; s <= explorer.stages; s++)
        if (doorbell == &segment_stage(&explorer.segment, s)->doorbell)
            actors[s - 1].doorbell++, actors[s - 1].late++;
    if (running) {
        actors[running - 1].rung++;
        hold(RINGING);
    }
}

void doorbell_wait(struct doorbell *doorbell, uint32_t *heard, uint64_t until_ns)
{
    (void)doorbell;
    (void)heard;
    (void)until_ns;
    actors[running - 1].rung = 0;
    actors[running - 1].silent = false;
    hold(WAITING);
    actors[running - 1].doorbell = 0;
}

/* Others go on before a doorbell is silenced: what they ring now must not be lost. */
void doorbell_silence(struct doorbell *doorbell, uint32_t *heard)
{
    struct actor *actor = &actors[running - 1];

    (void)doorbell;
    (void)heard;
    if (actor->doorbell > 0)
        hold(SILENCING);
    actor->doorbell = 0;
    actor->silent = true;
    actor->late = 0;
    actor->asked = 0;
}

/* What a stage allocates while it runs lies in its heap. What goes takes with it what came later, which goes as well
 * before anything comes. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_calloc(size_t count, size_t size)
{
    if (!running)
        return __real_calloc(count, size);

    struct actor *actor = &actors[running - 1];
    void *memory = actor->heap + actor->heap_used;
    actor->heap_used += (count * size + 15) / 16 * 16;
    require(actor->heap_used <= HEAP_BYTES, "the test's heap is too small");
    return memset(memory, 0, count * size);
}

void __wrap_free(void *memory)
{
    if (!running)
        __real_free(memory);
    else if (memory && (unsigned char *)memory < actors[running - 1].heap + actors[running - 1].heap_used)
        actors[running - 1].heap_used = (size_t)((unsigned char *)memory - actors[running - 1].heap);
}

int memory_floats(float **out, size_t count, const char *what, struct error *error)
{
    (void)count;
    (void)what;
    (void)error;
    *out = calloc(1, sizeof(float));
    return 0;
}

static const struct part *part_with(const struct tensors *tensors)
{
    for (int k = 1; k <= explorer.parts; k++)
        if (tensors == &part_at(k)->part.tensors)
            return &part_at(k)->part;
    report("stage %d saves no part's tensors", running);
}

/* What a part saves, which is as many updates and mini-batches old as the file says. */
int __wrap_checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                            const struct tensor_group *groups, int group_count, struct written_file *written);

int __wrap_checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                            const struct tensor_group *groups, int group_count, struct written_file *written)
{
    const struct part *part = part_with(tensors);
    const struct phase_run *phase = &part->phase;
    int epoch, minibatch, version;

    (void)run_folder;
    *written = (struct written_file){0};
    require(sscanf(set, "epoch-%d-minibatch-%d", &epoch, &minibatch) == 2 && epoch == phase->epoch, "a set %s", set);
    for (int k = 0; k < group_count; k++)
        require(!strstr(groups[k].prefix, "optimizer.") || (int)groups[k].floats[0] == (int)groups[0].floats[0],
                "part %d saves %s of version %g with version %g", part->index, groups[k].prefix,
                (double)groups[k].floats[0], (double)groups[0].floats[0]);
    if (sscanf(groups[0].prefix, "version.%d.", &version) == 1) {
        require((int)groups[0].floats[0] == version, "part %d saves version %g as %s", part->index,
                (double)groups[0].floats[0], file);
        return 0;
    }
    require((int)groups[0].floats[0] == phase->first_version + minibatch, "part %d saves version %g in %s", part->index,
            (double)groups[0].floats[0], set);
    require(group_count == 2 + part->slot_count && (int)groups[1].floats[0] == minibatch,
            "part %d saves statistics of mini-batch %g in %s", part->index, (double)groups[1].floats[0], set);
    require(phase->versions_saved == __builtin_popcountll(phase->kept.bits), "part %d saves too few versions",
            part->index);
    return 0;
}

/* Before a look: what comes later will be heard. */
static void check_silence(void)
{
    const struct actor *actor = &actors[running - 1];

    require(actor->silent && actor->doorbell == actor->late, "stage %d will wake for what it sees now", running);
}

struct next __real_schedule_can_run(const struct schedule *schedule, int part, const struct progress *progress,
                                    const struct op *op);
struct next __wrap_schedule_can_run(const struct schedule *schedule, int part, const struct progress *progress,
                                    const struct op *op);

struct next __wrap_schedule_can_run(const struct schedule *schedule, int part, const struct progress *progress,
                                    const struct op *op)
{
    if (running) /* else the plan asks */
        check_silence();
    return __real_schedule_can_run(schedule, part, progress, op);
}

bool __real_norm_is_known(const struct part *part);
bool __wrap_norm_is_known(const struct part *part);

bool __wrap_norm_is_known(const struct part *part)
{
    check_silence();
    return __real_norm_is_known(part);
}

struct next __real_schedule_next(const struct schedule *schedule, int part, const struct progress *progress);
struct next __wrap_schedule_next(const struct schedule *schedule, int part, const struct progress *progress);

/* All ops of a part that can run. */
static int find_ops(const struct schedule *schedule, int part, const struct progress *progress,
                    struct next can_run[OP_KINDS])
{
    const struct next chosen = can_run[0] = __real_schedule_next(schedule, part, progress);
    const int numbers[OP_KINDS] = {progress->forwards, progress->backwards, progress->backwards,
                                   progress->weight_backwards};
    int count = chosen.kind == NEXT_RUN;

    for (int kind = OP_FORWARD; kind < OP_KINDS && count > 0; kind++) {
        const bool split = schedule->order.split_backward, whole = schedule->order.whole_backward;
        const int n = schedule->microbatches, number = numbers[kind];
        struct op op = {(enum op_kind)kind, number / n + 1, number % n + 1, 1, part};

        if ((kind != OP_FORWARD && (schedule->forward_only || split != (kind != OP_BACKWARD))) ||
            kind == (int)chosen.op.kind || op.minibatch > schedule->minibatches)
            continue;
        if (kind != OP_FORWARD && whole)
            op = (struct op){op.kind, op.minibatch, 1, n, part};
        can_run[count] = __real_schedule_can_run(schedule, part, progress, &op);
        count += can_run[count].kind == NEXT_RUN;
    }
    return count;
}

/* Any op that can run, of any part: the stage has not seen yet what the others wait for. Parts are asked one after the
 * other until one has something to run: whether those that come have is known when they are asked. */
struct next __wrap_schedule_next(const struct schedule *schedule, int part, const struct progress *progress)
{
    struct next can_run[OP_KINDS];
    int count, before;
    bool last;

    if (!running)
        return __real_schedule_next(schedule, part, progress);
    check_silence();
    last = ++actors[running - 1].asked == actors[running - 1].stage.count;
    count = find_ops(schedule, part, progress, can_run);
    before = explorer.choices;
    explorer.choices += count;
    if (explorer.choice < explorer.choices) {
        explorer.choices += !last;
        explorer.no_choice = false;
        return can_run[explorer.choice - before];
    }
    explorer.no_choice = last && explorer.choice > 0;
    if (count > 0)
        can_run[0].kind = NEXT_WAIT;
    return can_run[0];
}
