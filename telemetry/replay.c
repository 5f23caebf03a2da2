/* A recorded run at a moment of it: what the last state before says, and from the ops around it what each stage did. */
#include <string.h>

#include "telemetry/recording_internal.h"

/* How many of the stage's ops have ended at `time_ns`. */
static int ops_ended(struct stage_history history, uint64_t time_ns)
{
    int low = 0, high = history.count;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (history.ops[middle].end_ns <= time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What the stage did at `time_ns`: it had done `done` of its ops. */
static void replay_stage(struct stage_snapshot *stage, struct stage_history ops, int done, uint64_t time_ns)
{
    const struct op_record *last = done > 0 ? &ops.ops[done - 1] : NULL;
    const struct op_record *next = done < ops.count ? &ops.ops[done] : NULL;
    uint64_t free_ns = last ? last->end_ns : 0;

    if (last)
        stage->version_live = last->version_live + last->updated;
    if (next && (next->start_ns <= time_ns || next->start_ns - time_ns <= next->wait_ns)) {
        bool runs = next->start_ns <= time_ns,
             updates = runs && next->updated && next->end_ns - time_ns <= next->update_ns;

        stage->activity = (struct activity){
            .kind = updates ? ACTIVITY_UPDATE
                    : runs  ? ACTIVITY_RUN
                            : ACTIVITY_WAIT,
            .cause = runs                                             ? WAIT_NONE
                     : next->start_ns - time_ns <= next->wait_core_ns ? WAIT_CORE
                                                                      : (enum wait_cause)next->wait_cause,
            .phase = (enum phase)next->phase,
            .op = {(enum op_kind)next->kind, next->minibatch, next->first, next->count, 0},
        };
        stage->activity_since_ns = updates ? next->end_ns - next->update_ns
                                   : runs  ? next->start_ns
                                           : next->start_ns - next->wait_ns;
    } else if (stage->activity_since_ns < free_ns) {
        /* Noted before the last op ended: what came after it, nobody has noted. */
        stage->activity = (struct activity){.kind = ACTIVITY_NONE};
        stage->activity_since_ns = free_ns;
    }
}

static size_t state_before(const struct recording *recording, uint64_t time_ns)
{
    size_t low = 0, high = recording->states.count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (state_at(recording, middle)->now_ns <= time_ns)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int epochs_ended(const struct recording *recording, uint64_t time_ns)
{
    const struct epoch_result *results = recording->epochs.items;
    int count = 0;

    while ((size_t)count < recording->epochs.count && results[count].end_ns <= time_ns)
        count++;
    return count;
}

void recording_seek(const struct recording *recording, uint64_t time_ns, struct snapshot *snapshot,
                    struct history *history, struct curve *curve)
{
    const struct recorded_run *run = &recording->run;
    size_t k = state_before(recording, time_ns);
    const struct state_place *place = state_at(recording, k);

    *snapshot = (struct snapshot){
        .plan = &run->plan,
        .run_folder = run->run_folder,
        .coordinator_alive = true,
        .coordinator_pid = run->coordinator_pid,
        .start_time = run->start_time,
        .start_ns = run->start_ns,
        .epochs_done = epochs_ended(recording, time_ns),
        .epochs = recording->epochs.items,
        .interactive = run->interactive != 0,
        .stage_count = run->plan.part_count,
    };
    memcpy(snapshot->name, run->name, sizeof(snapshot->name));
    recording_take_state(recording, recording->bytes + place->offset, place->bytes, snapshot);
    snapshot->now_ns = time_ns;
    if (recording->ended && k == recording->states.count - 1)
        memcpy(snapshot->outcome, recording->end.outcome, sizeof(snapshot->outcome));

    *history = (struct history){0};
    for (int s = 1; s <= snapshot->stage_count; s++) {
        struct stage_history ops = recording_ops(recording, s);
        int done = ops_ended(ops, time_ns);

        replay_stage(&snapshot->stages[s - 1], ops, done, time_ns);
        replay_versions(recording, s, done, done < ops.count && ops.ops[done].start_ns <= time_ns,
                        &snapshot->stages[s - 1]);
        history->stages[s - 1] = (struct stage_history){ops.ops, done};
    }
    *curve = recording_curve(recording);
    while (curve->count > 0 && recording->curve.end_ns[curve->count - 1] > time_ns)
        curve->count--;
}

uint64_t recording_find(const struct recording *recording, int epoch, int minibatch)
{
    const struct stage_history ops = recording_ops(recording, recording->run.plan.part_count);

    for (int k = 0; k < ops.count; k++)
        if (ops.ops[k].updated && ops.ops[k].epoch == epoch && ops.ops[k].minibatch == minibatch)
            return ops.ops[k].end_ns;
    return 0;
}

uint64_t recording_step(const struct recording *recording, uint64_t time_ns, bool forward)
{
    uint64_t best = time_ns;

    for (int s = 1; s <= recording->run.plan.part_count; s++) {
        struct stage_history ops = recording_ops(recording, s);
        int k = forward ? ops_ended(ops, time_ns) : ops_ended(ops, time_ns == 0 ? 0 : time_ns - 1) - 1;

        if (k < 0 || k >= ops.count)
            continue;
        if (best == time_ns || (forward ? ops.ops[k].end_ns < best : ops.ops[k].end_ns > best))
            best = ops.ops[k].end_ns;
    }
    return best;
}
