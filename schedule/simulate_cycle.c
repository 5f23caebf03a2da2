/* Finds the period of a simulation and leaves out its repetitions.
 *
 * What happens from some moment on depends on where every stage and message is, counted from the mini-batch that part 1
 * has updated last: not on how many there were before, nor, until part 1 has admitted the last mini-batch, on how many
 * are to come. So when a state comes back, d mini-batches and a time T later, it comes back again and again. The
 * mini-batches that are left then, but for those that make the end, are left out in multiples of d. */
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/simulate_internal.h"

static int place_prepare(struct place *place, int stages)
{
    place->begun = calloc((size_t)stages, sizeof(*place->begun));
    place->busy = calloc((size_t)stages, sizeof(*place->busy));
    place->waits = calloc((size_t)stages * WAIT_CAUSES, sizeof(*place->waits));
    return place->begun != NULL && place->busy != NULL && place->waits != NULL ? 0 : -1;
}

static void place_release(struct place *place)
{
    free(place->begun);
    free(place->busy);
    free(place->waits);
    free(place->state.values);
}

int cycle_prepare(struct simulator *simulator)
{
    simulator->looks_for_cycle = simulator->replayed == NULL && simulator->schedule.text == NULL;
    return place_prepare(&simulator->past, simulator->schedule.stages) ||
           place_prepare(&simulator->present, simulator->schedule.stages);
}

void cycle_release(struct simulator *simulator)
{
    place_release(&simulator->past);
    place_release(&simulator->present);
}

static int add_channel(struct numbers *state, const struct channel *channel, int64_t now, int64_t base)
{
    int failed = numbers_add(state, channel->seen - base) ||
                 numbers_add(state, channel->free_at > now ? channel->free_at - now : 0);

    for (int k = 0; k < channel->count && !failed; k++) {
        const struct message_on_way *message = &channel->queue[(channel->head + k) % channel->capacity];
        failed = numbers_add(state, message->arrival - now) || numbers_add(state, message->count);
    }
    return failed;
}

static int add_part(struct numbers *state, const struct simulator *simulator, int k, int64_t base)
{
    const struct running_part *part = &simulator->parts[k - 1];
    const struct progress *progress = &part->progress;
    const int64_t now = simulator->now;

    if (numbers_add(state, progress->forwards - base) || numbers_add(state, progress->backwards - base) ||
        numbers_add(state, progress->weight_backwards - base))
        return -1;
    if (k > 1 && add_channel(state, &part->activations, now, base))
        return -1;
    return k < schedule_part_count(&simulator->schedule) && add_channel(state, &part->gradients, now, base);
}

/* A list's ops belong to one mini-batch each, so that progress says where in the list the stage is. */
static int add_stage(struct numbers *state, const struct running_stage *stage, int64_t now, int updates)
{
    const struct op *op = &stage->next.op;

    return numbers_add(state, stage->state) ||
           numbers_add(state, stage->state == WAITING ? now - stage->since : stage->until - now) ||
           numbers_add(state, stage->next.kind) || numbers_add(state, stage->next.cause) ||
           numbers_add(state, op->kind) || numbers_add(state, op->part) ||
           numbers_add(state, op->minibatch - updates) || numbers_add(state, op->first);
}

static int64_t until(const struct simulator *simulator, int64_t time)
{
    return time > simulator->now ? time - simulator->now : 0;
}

static int describe(const struct simulator *simulator, struct place *place)
{
    const struct schedule *schedule = &simulator->schedule;
    const int64_t base = (int64_t)simulator->update_times.count * schedule->microbatches;
    int failed = 0;

    place->time = simulator->now;
    place->updates = simulator->update_times.count;
    place->committed_count = simulator->committed.count;
    place->pin_count = simulator->pins.count;
    place->state.count = 0;
    for (int s = 0; s < schedule->stages && !failed; s++) {
        const struct simulated_stage *kept = &simulator->simulation->stages[s];
        place->begun[s] = simulator->stages[s].begun;
        place->busy[s] = kept->busy;
        memcpy(&place->waits[s * WAIT_CAUSES], kept->waits, sizeof(kept->waits));
        failed = add_stage(&place->state, &simulator->stages[s], simulator->now, place->updates);
    }
    for (int k = 1; k <= schedule_part_count(schedule) && !failed; k++)
        failed = add_part(&place->state, simulator, k, base);
    for (int m = 0; m < simulator->cable_count && !failed; m++)
        failed = numbers_add(&place->state, until(simulator, simulator->cables[m].out_free_at)) ||
                 numbers_add(&place->state, until(simulator, simulator->cables[m].in_free_at));
    return failed;
}

static bool same_state(const struct place *a, const struct place *b)
{
    return a->state.count == b->state.count && a->state.count > 0 &&
           memcmp(a->state.values, b->state.values, (size_t)a->state.count * sizeof(*a->state.values)) == 0;
}

/* All that was counted in the period is counted as often as it is left out. */
static void leave_out(struct simulator *simulator, int turns)
{
    const struct place *past = &simulator->past, *present = &simulator->present;
    const int shift = present->updates - past->updates;
    struct simulation *simulation = simulator->simulation;

    simulation->period = present->time - past->time;
    simulation->minibatches = (struct cycle){past->committed_count, shift, turns + 1, shift};
    simulation->entries = (struct cycle){past->pin_count, shift * simulator->schedule.microbatches, turns + 1, shift};
    for (int s = 0; s < simulator->schedule.stages; s++) {
        struct simulated_stage *stage = &simulation->stages[s];
        stage->cycle = (struct cycle){past->begun[s], present->begun[s] - past->begun[s], turns + 1, shift};
        stage->busy += turns * (present->busy[s] - past->busy[s]);
        for (int cause = 0; cause < WAIT_CAUSES; cause++)
            stage->waits[cause] +=
                turns * (present->waits[s * WAIT_CAUSES + cause] - past->waits[s * WAIT_CAUSES + cause]);
    }
    simulator->schedule.minibatches -= turns * shift;
}

/* After Brent: the present is compared with a past that is renewed whenever its number has doubled, and so is found
 * however long the prologue and the period are. */
int cycle_look(struct simulator *simulator)
{
    const int microbatches = simulator->schedule.microbatches;
    const int admitted = (simulator->parts[0].progress.forwards + microbatches - 1) / microbatches;
    struct place *past = &simulator->past, *present = &simulator->present;

    if (!simulator->looks_for_cycle)
        return 0;
    if (describe(simulator, present) != 0)
        return -1;
    if (same_state(past, present)) {
        /* What is in flight, and a period, follow: the versions that the parts hold are then the cycle's, too. */
        const int shift = present->updates - past->updates;
        const int needed = admitted + (admitted - present->updates) + shift + 1;
        const int turns = (simulator->schedule.minibatches - needed) / shift;
        simulator->looks_for_cycle = false;
        if (turns > 0)
            leave_out(simulator, turns);
    } else if (present->updates >= 2 * past->updates) {
        const struct place swap = *past;
        *past = *present;
        *present = swap;
    }
    if (admitted >= simulator->schedule.minibatches)
        simulator->looks_for_cycle = false;
    return 0;
}
