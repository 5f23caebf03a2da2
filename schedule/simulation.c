/* What follows from what the simulator played; and the closed forms to compare it with. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/simulate_internal.h"

static void stage_release(struct simulated_stage *stage)
{
    free(stage->ops);
    free(stage->times);
    stage->ops = NULL;
}

void simulation_destroy(struct simulation *simulation)
{
    if (simulation == NULL)
        return;
    for (int s = 0; simulation->stages != NULL && s < simulation->stage_count; s++)
        stage_release(&simulation->stages[s]);
    free(simulation->stages);
    free(simulation->parts);
    free(simulation->committed);
    free(simulation->pins);
    free(simulation->version_differences);
    free(simulation);
}

int simulation_op_count(const struct simulation *simulation, int stage)
{
    const struct simulated_stage *of = &simulation->stages[stage - 1];

    return cycle_count(&of->cycle, of->stored);
}

/* Time that passes in the turns that go before what is `added` mini-batches later. */
static int64_t time_added(const struct simulation *simulation, const struct cycle *cycle, int added)
{
    return added > 0 ? added / cycle->shift * simulation->period : 0;
}

static struct op unpacked(const struct packed_op *op, int added)
{
    return (struct op){(enum op_kind)op->kind, op->minibatch + added, op->first, op->count, op->part};
}

struct timed_op simulation_op(const struct simulation *simulation, int stage, int n)
{
    const struct simulated_stage *of = &simulation->stages[stage - 1];
    int added;
    const int index = cycle_index(&of->cycle, n, &added);
    const int64_t later = time_added(simulation, &of->cycle, added);

    return (struct timed_op){unpacked(&of->ops[index], added), of->times[index].start + later,
                             of->times[index].end + later};
}

int64_t simulation_until(const struct simulation *simulation, int minibatches)
{
    int64_t until = 0;

    for (int k = 0; k < simulation_op_count(simulation, 1); k++) {
        const struct timed_op timed = simulation_op(simulation, 1, k);

        if (timed.op.minibatch <= minibatches && timed.end > until)
            until = timed.end;
    }
    return until;
}

int simulation_committed(const struct simulation *simulation, int minibatch)
{
    int added, index;

    if (simulation->committed == NULL)
        return 0;
    index = cycle_index(&simulation->minibatches, minibatch - 1, &added);
    return simulation->committed[index] + added;
}

int simulation_pin(const struct simulation *simulation, int minibatch, int microbatch)
{
    const int number = (minibatch - 1) * simulation->microbatches + microbatch - 1;
    int added, index;

    index = cycle_index(&simulation->entries, number, &added);
    return simulation->pins[index] + added;
}

/* When part 1 had updated for the mini-batch. */
static int64_t update_time(const struct simulator *simulator, int minibatch)
{
    struct cycle cycle = simulator->simulation->minibatches;
    int added, index;

    cycle.from = simulator->past.updates;
    index = cycle_index(&cycle, minibatch - 1, &added);
    return simulator->update_times.values[index] + time_added(simulator->simulation, &cycle, added);
}

/* The first mini-batches, that fill the pipeline, are left out of what describes its steady state, and as many at the
 * end, that drain it, out of what describes its pace. */
static int warm_up(const struct simulation *simulation)
{
    return simulation->minibatch_count > simulation->stage_count ? simulation->stage_count : 0;
}

static int summarize_version_differences(struct simulation *simulation)
{
    const int begin = warm_up(simulation), end = simulation->minibatch_count;
    int below = 0;

    simulation->version_difference_min = INT_MAX;
    for (int i = begin + 1; i <= end; i++) {
        const int difference = i - simulation_committed(simulation, i);
        simulation->version_difference_min = min_int(simulation->version_difference_min, difference);
        simulation->version_difference_max = max_int(simulation->version_difference_max, difference);
    }
    simulation->version_differences =
        calloc((size_t)simulation->version_difference_max + 1, sizeof(*simulation->version_differences));
    if (simulation->version_differences == NULL)
        return -1;
    for (int i = begin + 1; i <= end; i++)
        simulation->version_differences[i - simulation_committed(simulation, i)]++;
    for (int v = 0; v <= simulation->version_difference_max; v++) {
        if (2 * below < end - begin)
            simulation->version_difference_median = v;
        below += simulation->version_differences[v];
    }
    return 0;
}

static int *shortened(const struct numbers *numbers)
{
    int *values = malloc((size_t)max_int(numbers->count, 1) * sizeof(*values));

    for (int k = 0; values != NULL && k < numbers->count; k++)
        values[k] = (int)numbers->values[k];
    return values;
}

static void summarize_times(struct simulation *simulation, const struct simulator *simulator)
{
    const int turns = simulation->minibatches.turns - 1, minibatches = simulation->minibatch_count;
    const int stages = simulation->stage_count;
    double all, busy = 0.0;

    simulation->duration = simulator->now + turns * simulation->period;
    all = (double)stages * (double)simulation->duration;
    for (int s = 0; s < stages; s++) {
        struct simulated_stage *stage = &simulation->stages[s];
        stage->waits[WAIT_NONE] += simulator->now - simulator->stages[s].since;
        busy += (double)stage->busy;
    }
    simulation->bubble_fraction = all > 0.0 ? (all - busy) / all : 0.0;
    simulation->minibatch_duration = (double)simulation->duration / minibatches;
    if (minibatches > 2 * stages && !simulator->schedule.forward_only)
        simulation->minibatch_duration =
            (double)(update_time(simulator, minibatches - stages) - update_time(simulator, stages)) /
            (minibatches - 2 * stages);
}

/* Ops of the mini-batches that are stored, in their own numbers. */
static void begin_again(const struct simulation *simulation, struct version_tracker *tracker, int microbatches,
                        const struct op *op)
{
    if (op->kind == OP_FORWARD)
        versions_begin_forward(tracker, op, simulation->pins[(op->minibatch - 1) * microbatches + op->first - 1]);
    else
        versions_begin_backward(tracker, op, simulation->committed[op->minibatch - 1]);
}

/* The most versions that each part of a stage holds at once. It follows from the ops and from what came with them. */
static int count_versions(struct simulation *simulation, const struct schedule *schedule, int part)
{
    const struct simulated_stage *stage = &simulation->stages[schedule_stage_of(schedule, part) - 1];
    struct simulated_part *of = &simulation->parts[part - 1];
    struct version_tracker *tracker = versions_create(schedule, part, 0);

    if (tracker == NULL)
        return -1;
    for (int k = 0; k < stage->stored; k++) {
        const struct op op = unpacked(&stage->ops[k], 0);
        if (op.part != part)
            continue;
        begin_again(simulation, tracker, schedule->microbatches, &op);
        versions_end(tracker, &op);
        if (!schedule_updates_after(schedule, &op))
            continue;
        versions_update(tracker);
        /* The one moment at which there can be more than before. */
        of->weight_versions = max_int(of->weight_versions, versions_count_needed(tracker));
    }
    versions_destroy(tracker);
    return 0;
}

int simulation_summarize(struct simulation *simulation, const struct simulator *simulator)
{
    int result = 0;

    summarize_times(simulation, simulator);
    simulation->pins = shortened(&simulator->pins);
    if (simulation->pins == NULL)
        return -1;
    if (!simulator->schedule.forward_only) {
        simulation->committed = shortened(&simulator->committed);
        if (simulation->committed == NULL || summarize_version_differences(simulation) != 0)
            return -1;
        for (int part = 1; part <= simulation->part_count && result == 0; part++)
            result = count_versions(simulation, &simulator->schedule, part);
    }
    for (int s = 0; s < simulation->stage_count && !simulator->keep_ops; s++)
        stage_release(&simulation->stages[s]);
    return result;
}

/* Marks the versions before k that the op, which has begun, reads. */
static void mark_read(const struct version_tracker *tracker, const struct op *op, int k, uint64_t *versions)
{
    for (int j = op->first; j < op->first + op->count; j++) {
        const struct backward_versions of = versions_of_backward(tracker, op->minibatch, j);
        const int read = op->kind == OP_FORWARD || of.read < 0 ? of.forward : of.read;

        if (read < k && k - read < 64)
            *versions |= UINT64_C(1) << (k - read);
    }
}

int simulation_versions_read_after(const struct simulation *simulation, const struct schedule *schedule, int part,
                                   int k, uint64_t *versions)
{
    const int stage = schedule_stage_of(schedule, part), count = simulation_op_count(simulation, stage);
    struct version_tracker *tracker = versions_create(schedule, part, 0);

    if (tracker == NULL)
        return -1;
    *versions = 0;
    for (int n = 0; n < count; n++) {
        const struct op op = simulation_op(simulation, stage, n).op;
        if (op.part != part)
            continue;
        if (op.kind == OP_FORWARD)
            versions_begin_forward(tracker, &op, simulation_pin(simulation, op.minibatch, op.first));
        else
            versions_begin_backward(tracker, &op, simulation_committed(simulation, op.minibatch));
        if (op.minibatch > k)
            mark_read(tracker, &op, k, versions);
        versions_end(tracker, &op);
        if (schedule_updates_after(schedule, &op))
            versions_update(tracker);
    }
    versions_destroy(tracker);
    return 0;
}

char *simulation_grid_line(const struct simulation *simulation, const struct schedule *schedule, int stage, int ticks)
{
    const int count = simulation_op_count(simulation, stage);
    char *line = NULL, text[OP_TEXT_SIZE];
    size_t size;
    FILE *stream = open_memstream(&line, &size);

    if (stream == NULL)
        return NULL;
    fprintf(stream, "stage %d:", stage);
    for (int64_t tick = 0, n = 0; tick < ticks && tick < simulation->duration; tick++) {
        const struct timed_op timed = simulation_op(simulation, stage, min_int((int)n, count - 1));
        const bool runs = n < count && timed.start <= tick;
        op_format(&timed.op, schedule, text);
        fprintf(stream, " %s", !runs ? "." : timed.start == tick ? text : "=");
        n += runs && timed.end == tick + 1;
    }
    if (fclose(stream) != 0) {
        free(line);
        return NULL;
    }
    return line;
}

int version_difference_paper(int stages, int microbatches)
{
    return (stages + microbatches - 2) / microbatches;
}

int version_difference_exact(int stages, int microbatches)
{
    return 1 + (stages - 1) / (microbatches + 1);
}
