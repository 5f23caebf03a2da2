#include "board/records.h"

#include <math.h>

#include "base/clock.h"

static bool within(long long value, long long low, long long high)
{
    return value >= low && value <= high;
}

static bool has_versions(const struct op_record *op, long long most)
{
    return within(op->version_read, -1, most) && within(op->version_forward, -1, most) &&
           within(op->version_live, -1, most) && within(op->version_sent, -1, most);
}

const char *record_check(const struct op_record *op, const struct plan *plan)
{
    const bool training = op->phase == PHASE_TRAIN;
    const int minibatches = training ? plan->minibatches_per_epoch : plan->test_minibatches;
    const long long updates = (long long)plan->config.run.epochs * plan->minibatches_per_epoch;
    const uint64_t took = op->end_ns - op->start_ns;

    if (op->kind >= OP_KINDS || op->phase >= PHASES || (!training && op->kind != OP_FORWARD))
        return "kind";
    if (op->wait_cause >= WAIT_CAUSES)
        return "cause of waiting";
    if (op->updated > 1)
        return "update";
    if (!within(op->epoch, 1, plan->config.run.epochs) || !within(op->minibatch, 1, minibatches))
        return "mini-batch";
    if (!within(op->first, 1, plan->schedule.microbatches) ||
        !within(op->count, 1, plan->schedule.microbatches - op->first + 1) ||
        !within(op->rows, 0, plan->config.data.batch))
        return "micro-batches";
    if (op->start_ns > op->end_ns || op->end_ns >= CLOCK_NS_MAX || op->wait_ns > op->start_ns || op->update_ns > took ||
        op->held_ns > took)
        return "time";
    if (!has_versions(op, updates))
        return "weight version";
    return isfinite(op->loss) ? NULL : "loss";
}

static bool is_share(double value)
{
    return value >= 0.0 && value <= 1.0;
}

const char *epoch_check(const struct epoch_result *result)
{
    if (result->start_ns > result->trained_ns || result->trained_ns > result->end_ns || result->end_ns >= CLOCK_NS_MAX)
        return "time";
    if (result->trained_samples < 0 || result->tested_samples < 0)
        return "sample count";
    if (!is_share(result->test_top1) || !is_share(result->test_top5))
        return "accuracy";
    return isfinite(result->train_loss) && isfinite(result->test_loss) ? NULL : "loss";
}
