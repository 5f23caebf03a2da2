#include "monitor/facts.h"

#include <stdio.h>

#include "base/numbers.h"

/* The rate is taken over so long, the loss over so many mini-batches. */
#define RATE_NS UINT64_C(10000000000)
enum { LOSSES = 20 };

/* A forward costs about half of a backward, so testing an image about a third of training one. */
enum { TRAIN_COST = 3, TEST_COST = 1 };

static double share_done(const struct snapshot *snapshot, const struct facts *facts)
{
    const struct plan *plan = snapshot->plan;
    double train = (double)TRAIN_COST * plan->data.train_count, test = (double)TEST_COST * plan->data.test_count;
    double phase = facts->minibatches > 0 ? (double)facts->minibatch / facts->minibatches : 0;
    double work = facts->phase == PHASE_TRAIN ? train * phase : train + test * phase;

    if (snapshot->state == RUN_FINISHED)
        return 1;
    return (facts->epoch - 1 + work / (train + test > 0 ? train + test : 1)) / max_int(plan->config.run.epochs, 1);
}

/* From the last stage's newest updates. */
static void take_rate(const struct moment *moment, struct facts *facts)
{
    const struct stage_history *history = &moment->history->stages[moment->snapshot->stage_count - 1];
    const struct op_record *last = NULL, *first = NULL;
    int64_t rows = 0;
    double sum = 0;
    int losses = 0;

    for (int k = history->count - 1; k >= 0; k--) {
        const struct op_record *op = &history->ops[k];

        if (op->phase != PHASE_TRAIN) {
            if (last)
                break;
            continue;
        }
        if (!op->updated)
            continue;
        if (!last)
            last = op;
        if (last->end_ns - op->end_ns > RATE_NS || op->epoch != last->epoch)
            break;
        first = op;
        rows += plan_minibatch_rows(moment->snapshot->plan, op->minibatch);
        if (losses < LOSSES) {
            sum += (double)op->loss;
            losses++;
        }
    }
    if (losses > 0)
        facts->loss = sum / losses;
    if (last && last->end_ns > first->end_ns)
        facts->rate = 1e9 * plan_targets_per_sample(moment->snapshot->plan) *
                      (double)(rows - plan_minibatch_rows(moment->snapshot->plan, first->minibatch)) /
                      (double)(last->end_ns - first->end_ns);
}

struct facts facts_of(const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    const struct stage_snapshot *last = &snapshot->stages[max_int(snapshot->stage_count, 1) - 1];
    struct facts facts = {
        .epoch = 1,
        .seconds_left = -1,
        .elapsed = 1e-9 * (double)(snapshot->now_ns > snapshot->start_ns ? snapshot->now_ns - snapshot->start_ns : 0),
        .updates = last->version_live,
        .loss = -1,
    };

    /* The stages ahead are in the next phase while the last one still works on this one, or has not begun. */
    for (int s = 0; s < snapshot->stage_count; s++)
        facts.epoch = max_int(facts.epoch, snapshot->stages[s].counters.epoch);
    if (last->counters.epoch == facts.epoch) {
        facts.minibatch = last->counters.minibatch;
        facts.phase = last->counters.phase == PHASE_EVALUATE ? PHASE_EVALUATE : PHASE_TRAIN;
    }
    facts.minibatches =
        facts.phase == PHASE_TRAIN ? snapshot->plan->minibatches_per_epoch : snapshot->plan->test_minibatches;
    facts.share = share_done(snapshot, &facts);
    take_rate(moment, &facts);
    if (facts.share > 0 && snapshot->state <= RUN_TRAINING && !facts_paused(moment))
        facts.seconds_left = facts.elapsed * (1 - facts.share) / facts.share;
    return facts;
}

static bool is_working(const struct stage_snapshot *stage)
{
    return stage->state == STAGE_RUNNING &&
           (stage->activity.kind == ACTIVITY_RUN || stage->activity.kind == ACTIVITY_UPDATE ||
            stage->activity.kind == ACTIVITY_SAVE);
}

bool facts_stand(const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;
    bool held = false;
    int done = 0;

    if (moment->kind == MOMENT_ENDED || snapshot->state > RUN_TRAINING)
        return true;
    for (int s = 0; s < snapshot->stage_count; s++) {
        if (is_working(&snapshot->stages[s]))
            return false;
        held = held || snapshot->stages[s].activity.kind == ACTIVITY_HELD;
        done += snapshot->stages[s].state >= STAGE_DONE;
    }
    return held || done == snapshot->stage_count;
}

bool facts_paused(const struct moment *moment)
{
    return moment->snapshot->interactive && moment->kind == MOMENT_LIVE && moment->snapshot->state == RUN_TRAINING &&
           facts_stand(moment);
}

enum colour facts_state(const struct moment *moment, char text[32])
{
    static const struct {
        const char *name;
        enum colour colour;
    } states[] = {
        [RUN_STARTING] = {"starting", COLOUR_WARNING}, [RUN_TRAINING] = {"training", COLOUR_GOOD},
        [RUN_FINISHED] = {"finished", COLOUR_GOOD},    [RUN_INTERRUPTED] = {"interrupted", COLOUR_WARNING},
        [RUN_FAILED] = {"failed", COLOUR_BAD},
    };
    const struct snapshot *snapshot = moment->snapshot;

    if (moment->kind != MOMENT_REPLAY && snapshot->state <= RUN_TRAINING && !snapshot->coordinator_alive) {
        snprintf(text, 32, "killed");
        return COLOUR_BAD;
    }
    if (facts_paused(moment)) {
        snprintf(text, 32, "paused");
        return COLOUR_WARNING;
    }
    if (snapshot->state == RUN_TRAINING && snapshot->interactive && snapshot->slow_motion > 1)
        snprintf(text, 32, "slow motion ×%u", (unsigned)snapshot->slow_motion);
    else
        snprintf(text, 32, "%s",
                 snapshot->state == RUN_TRAINING && facts_of(moment).phase == PHASE_EVALUATE
                     ? "testing"
                     : states[snapshot->state].name);
    return states[snapshot->state].colour;
}

const char *facts_outcome(const struct moment *moment)
{
    const struct snapshot *snapshot = moment->snapshot;

    if (snapshot->state == RUN_FAILED)
        return snapshot->outcome[0] ? snapshot->outcome : "the run failed";
    if (moment->kind != MOMENT_REPLAY && snapshot->state <= RUN_TRAINING && !snapshot->coordinator_alive)
        return "the coordinator was killed";
    return "";
}

double facts_stretch(const struct snapshot *snapshot)
{
    double busy = 0, kept = 0, stretch;

    for (int s = 0; s < snapshot->stage_count; s++) {
        busy += (double)snapshot->stages[s].counters.busy_ns;
        kept += (double)snapshot->stages[s].counters.wait_ns[WAIT_CORE];
    }
    stretch = busy > 0 ? 1 + kept / busy : 1;
    return snapshot->interactive && snapshot->slow_motion > 1 ? stretch * snapshot->slow_motion : stretch;
}
