#include "board/records.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"

/* A reader that has seen a word of record n + TELEMETRY_RECORDS must see, when it looks at `head` after that, that record n
 * was due for overwriting. So every word is a release store, behind the store of `head` that came before the record, and is
 * read by an acquire load. */
void record_write(struct telemetry *telemetry, const struct op_record *record)
{
    const uint64_t head = atomic_load_explicit(&telemetry->head, memory_order_relaxed);
    uint64_t words[RECORD_WORDS];

    memcpy(words, record, sizeof(words));
    for (int w = 0; w < RECORD_WORDS; w++)
        atomic_store_explicit(&telemetry->records[head % TELEMETRY_RECORDS][w], words[w], memory_order_release);
    /* Pairs with a reader's acquire load of head: the record is whole. */
    atomic_store_explicit(&telemetry->head, head + 1, memory_order_release);
}

bool record_read(const struct telemetry *telemetry, uint64_t n, struct op_record *record)
{
    uint64_t words[RECORD_WORDS] = {0};

    for (int w = 0; w < RECORD_WORDS; w++)
        words[w] = atomic_load_explicit(&telemetry->records[n % TELEMETRY_RECORDS][w], memory_order_acquire);
    memcpy(record, words, sizeof(words));
    return atomic_load_explicit(&telemetry->head, memory_order_relaxed) - n < TELEMETRY_RECORDS;
}

static bool within(long long value, long long low, long long high)
{
    return value >= low && value <= high;
}

/* Training's op whose rule has terms has read a sum, and no version. */
static bool reads_sum(const struct op_record *op, const struct schedule *schedule)
{
    const struct reading *reading =
        op->kind == OP_FORWARD ? forward_reading(schedule->forward) : backward_reading(schedule->backward);

    return op->phase == PHASE_TRAIN && reading->terms;
}

static bool has_versions(const struct op_record *op, const struct schedule *schedule, long long most)
{
    const bool sum = reads_sum(op, schedule);

    return within(op->version_read, sum ? -1 : 0, sum ? -1 : most) && within(op->version_forward, -1, most) &&
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
    if (op->start_ns > op->end_ns || op->end_ns >= CLOCK_NS_MAX || op->wait_ns > op->start_ns ||
        op->wait_core_ns > op->wait_ns || op->update_ns > took || op->held_ns > took ||
        op->core_ns > took - op->held_ns)
        return "time";
    if (!has_versions(op, &plan->schedule, updates))
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
