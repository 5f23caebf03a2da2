/* The rules of weight versions.
 *
 * A version is needed for one of three reasons: it is live; an op that has begun holds it; or an op that has not yet
 * begun here may ask for it. The last is the hard one, since the stage learns what stage 1 has applied only from the
 * numbers that come with activations and gradients. It rests on what can only grow: see floor_of_versions. */
#include "schedule/versions.h"

#include <limits.h>
#include <stdlib.h>

#include "base/numbers.h"

struct version_tracker {
    struct schedule schedule;
    int part;
    int start; /* the version at the phase's begin */
    int live;
    int forwards_begun;  /* in micro-batches */
    int backwards_begun; /* likewise; with a split backward, input halves */
    int newest_pin;      /* of the forwards that have begun */
    int newest_committed;

    int record_count;
    struct record *records; /* [record_count]: micro-batch n's is records[n % record_count] while it is in flight */
    int holder_count;
    int *holders; /* [holder_count]: ops and micro-batches that hold version k, at k % holder_count */
};

struct record {
    int pin;
    struct backward_versions versions;
};

struct version_tracker *versions_create(const struct schedule *schedule, int part, int live)
{
    struct version_tracker *tracker = calloc(1, sizeof(*tracker));

    if (tracker == NULL)
        return NULL;
    tracker->schedule = *schedule;
    tracker->part = part;
    tracker->start = tracker->live = tracker->newest_pin = tracker->newest_committed = live;
    tracker->record_count = schedule_in_flight_limit(schedule, part) * schedule->microbatches;
    tracker->holder_count = schedule_versions_limit(schedule, part);
    tracker->records = calloc((size_t)tracker->record_count, sizeof(*tracker->records));
    tracker->holders = calloc((size_t)tracker->holder_count, sizeof(*tracker->holders));
    if (tracker->records == NULL || tracker->holders == NULL) {
        versions_destroy(tracker);
        return NULL;
    }
    return tracker;
}

void versions_destroy(struct version_tracker *tracker)
{
    if (tracker == NULL)
        return;
    free(tracker->holders);
    free(tracker->records);
    free(tracker);
}

void versions_stop(struct version_tracker *tracker, int minibatches)
{
    tracker->schedule.minibatches = minibatches;
}

int versions_live(const struct version_tracker *tracker)
{
    return tracker->live;
}

static struct record *record_of(const struct version_tracker *tracker, int minibatch, int microbatch)
{
    const int number = (minibatch - 1) * tracker->schedule.microbatches + microbatch - 1;

    return &tracker->records[number % tracker->record_count];
}

static int *holders_of(const struct version_tracker *tracker, int version)
{
    return &tracker->holders[version % tracker->holder_count];
}

/* Whether a micro-batch's version is held from its forward's begin to its backward's end; any other that the backward
 * reads is held while it runs. A sum starts from the live version, which is kept in any case. */
static bool is_stashed(const struct version_tracker *tracker)
{
    return schedule_keeps_forward(&tracker->schedule);
}

static bool holds_read(const struct version_tracker *tracker)
{
    const struct reading *reading = backward_reading(tracker->schedule.backward);

    return !reading->terms && reading->source != SOURCE_FORWARD;
}

/* With double buffering mini-batch i reads what the updates up to i - 2 have made: by then they are done everywhere. */
static int double_buffered(const struct version_tracker *tracker, int minibatch)
{
    return tracker->start + max_int(0, minibatch - 2);
}

int versions_begin_forward(struct version_tracker *tracker, const struct op *op, int pinned)
{
    struct record *record = record_of(tracker, op->minibatch, op->first);
    const enum forward_rule rule = tracker->schedule.forward_only ? FORWARD_LIVE : tracker->schedule.forward;
    const enum version_source source = forward_reading(rule)->source;
    int read = tracker->live;

    if (tracker->part == 1)
        pinned = tracker->live;
    if (source == SOURCE_PINNED)
        read = pinned;
    if (source == SOURCE_DOUBLE_BUFFERED)
        read = double_buffered(tracker, op->minibatch);

    tracker->forwards_begun++;
    tracker->newest_pin = pinned;
    record->pin = pinned;
    record->versions.forward = read;
    ++*holders_of(tracker, read);
    return read;
}

void versions_begin_backward(struct version_tracker *tracker, const struct op *op, int committed)
{
    if (op->kind == OP_BACKWARD_WEIGHTS)
        return;
    const struct reading *reading = backward_reading(tracker->schedule.backward);

    for (int j = op->first; j < op->first + op->count; j++) {
        struct backward_versions *versions = &record_of(tracker, op->minibatch, j)->versions;
        const int reads[] = {
            [SOURCE_LIVE] = tracker->live,
            [SOURCE_FORWARD] = versions->forward,
            [SOURCE_COMMITTED] = committed,
        };
        versions->live = tracker->live;
        versions->read = reading->terms ? -1 : reads[reading->source];
        if (holds_read(tracker))
            ++*holders_of(tracker, versions->read);
    }
    tracker->backwards_begun += op->count;
    tracker->newest_committed = committed;
}

int versions_staleness_ahead(const struct version_tracker *tracker, const struct op *op)
{
    return op->minibatch - 1 - (tracker->live - tracker->start);
}

struct backward_versions versions_of_backward(const struct version_tracker *tracker, int minibatch, int microbatch)
{
    return record_of(tracker, minibatch, microbatch)->versions;
}

void versions_end(struct version_tracker *tracker, const struct op *op)
{
    if (op->kind == OP_BACKWARD_WEIGHTS || (op->kind == OP_FORWARD && is_stashed(tracker)))
        return;
    for (int j = op->first; j < op->first + op->count; j++) {
        const struct backward_versions *versions = &record_of(tracker, op->minibatch, j)->versions;
        if (op->kind == OP_FORWARD || is_stashed(tracker))
            --*holders_of(tracker, versions->forward);
        if (op->kind != OP_FORWARD && holds_read(tracker))
            --*holders_of(tracker, versions->read);
    }
}

void versions_update(struct version_tracker *tracker)
{
    tracker->live++;
}

/* The least pin that a forward still to come can bring. Pins never fall from one forward to the next; and the limit on
 * what is in flight has held the forward back at stage 1 until so many updates were done. (Without the second bound the
 * last of W stages would keep W + 1 versions for 1F1B, not W.) */
static int future_pin(const struct version_tracker *tracker)
{
    if (tracker->part == 1)
        return tracker->live;
    return max_int(tracker->newest_pin,
                   tracker->start + schedule_updates_before(&tracker->schedule, tracker->forwards_begun));
}

/* The least committed version that a backward still to come can bring. Committed versions never fall from one
 * mini-batch to the next; and a mini-batch's is read at stage W after its last micro-batch has passed every stage, so
 * it is no older than that micro-batch's pin. */
static int future_committed(const struct version_tracker *tracker)
{
    const int n = tracker->schedule.microbatches;
    const bool forwards_begun = tracker->forwards_begun >= tracker->backwards_begun + n;
    const int last_pin =
        forwards_begun ? record_of(tracker, tracker->backwards_begun / n + 1, n)->pin : future_pin(tracker);

    return max_int(tracker->newest_committed, last_pin);
}

/* The oldest version that an op still to come may ask for; every one from there to the live version may be. INT_MAX:
 * such ops ask for the live version, or for one that is held already. */
static int floor_of_versions(const struct version_tracker *tracker)
{
    const struct schedule *schedule = &tracker->schedule;
    const int total = schedule->minibatches * schedule->microbatches;
    int oldest = INT_MAX;

    if (schedule->forward_only)
        return oldest;
    if (forward_reading(schedule->forward)->source == SOURCE_PINNED && tracker->forwards_begun < total)
        oldest = future_pin(tracker);
    if (schedule->forward == FORWARD_DOUBLE_BUFFERED && tracker->forwards_begun < total)
        oldest = double_buffered(tracker, tracker->forwards_begun / schedule->microbatches + 1);
    if (schedule->backward == BACKWARD_COMMITTED && tracker->backwards_begun < total)
        oldest = min_int(oldest, future_committed(tracker));
    return oldest;
}

/* No older version can be needed; holders_of() is right from here on. */
static int oldest_possible(const struct version_tracker *tracker)
{
    return max_int(tracker->start, tracker->live - tracker->holder_count + 1);
}

bool versions_needed(const struct version_tracker *tracker, int version)
{
    if (version > tracker->live || version < oldest_possible(tracker))
        return false;
    return version == tracker->live || *holders_of(tracker, version) > 0 || version >= floor_of_versions(tracker);
}

int versions_oldest_needed(const struct version_tracker *tracker)
{
    int version = oldest_possible(tracker);

    while (!versions_needed(tracker, version))
        version++;
    return version;
}

int versions_count_needed(const struct version_tracker *tracker)
{
    /* All from here on are needed, the live one at least. */
    const int all_from = max_int(oldest_possible(tracker), min_int(floor_of_versions(tracker), tracker->live));
    const int first = oldest_possible(tracker);
    int count = tracker->live - all_from + 1;
    int slot = first % tracker->holder_count; /* holders_of(), without a division for each */

    for (int version = first; version < all_from; version++) {
        count += tracker->holders[slot] > 0;
        slot = slot + 1 < tracker->holder_count ? slot + 1 : 0;
    }
    return count;
}

/* Micro-batches between their forward's begin and their backward's, by the version that they stash. */
static void count_stashed(const struct version_tracker *tracker, struct version_use *uses, int count)
{
    const int n = tracker->schedule.microbatches;

    for (int number = tracker->backwards_begun; number < tracker->forwards_begun; number++) {
        const int version = record_of(tracker, number / n + 1, number % n + 1)->versions.forward;

        for (int k = 0; k < count; k++) {
            if (uses[k].version != version)
                continue;
            if (uses[k].stashed++ == 0)
                uses[k].stash_first = number;
            uses[k].stash_last = number;
            uses[k].uses |= USE_STASHED;
        }
    }
}

int versions_uses(const struct version_tracker *tracker, struct version_use uses[VERSION_USES_MAX])
{
    const int expected = floor_of_versions(tracker);
    int count = 0, version = max_int(versions_oldest_needed(tracker), tracker->live - VERSION_USES_MAX + 1);

    for (; version <= tracker->live; version++)
        if (versions_needed(tracker, version))
            uses[count++] = (struct version_use){.version = version, .uses = version >= expected ? USE_EXPECTED : 0};
    if (is_stashed(tracker))
        count_stashed(tracker, uses, count);
    for (int k = 0; k < count; k++)
        if (uses[k].version >= oldest_possible(tracker) && *holders_of(tracker, uses[k].version) > uses[k].stashed)
            uses[k].uses |= USE_RUNNING;
    uses[count - 1].uses |= USE_LIVE;
    return count;
}
