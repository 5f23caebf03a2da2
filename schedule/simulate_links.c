/* What goes between the simulator's stages: events in time, messages on links, doorbells. */
#include <limits.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "schedule/simulate_internal.h"

/* Between a part and the next one. */
static const struct link_times *link_of(const struct simulator *simulator, int part)
{
    return &simulator->timing->links[simulator->timing->same_links ? 0 : part - 1];
}

static bool before(const struct event *a, const struct event *b)
{
    return a->time < b->time;
}

void simulator_push(struct simulator *simulator, int64_t time, int stage)
{
    int k = simulator->event_count;

    if (k == simulator->event_capacity) {
        const int capacity = 2 * simulator->event_capacity;
        struct event *events = realloc(simulator->events, (size_t)capacity * sizeof(*events));
        if (events == NULL) {
            simulator->out_of_memory = true;
            return;
        }
        simulator->events = events;
        simulator->event_capacity = capacity;
    }
    simulator->event_count++;
    const struct event added = {time, stage};
    for (; k > 0 && before(&added, &simulator->events[(k - 1) / 2]); k = (k - 1) / 2)
        simulator->events[k] = simulator->events[(k - 1) / 2];
    simulator->events[k] = added;
}

struct event simulator_pop(struct simulator *simulator)
{
    const struct event first = simulator->events[0], last = simulator->events[--simulator->event_count];
    int k = 0, child;

    for (; (child = 2 * k + 1) < simulator->event_count; k = child) {
        if (child + 1 < simulator->event_count && before(&simulator->events[child + 1], &simulator->events[child]))
            child++;
        if (!before(&simulator->events[child], &last))
            break;
        simulator->events[k] = simulator->events[child];
    }
    simulator->events[k] = last;
    return first;
}

void simulator_ring(struct simulator *simulator, int stage)
{
    if (simulator->stages[stage].doorbell)
        return;
    simulator->stages[stage].doorbell = true;
    simulator->changed[simulator->changed_count++] = stage;
}

static int channel_grow(struct channel *channel)
{
    const int capacity = max_int(4, 2 * channel->capacity);
    struct message_on_way *queue = malloc((size_t)capacity * sizeof(*queue));

    if (queue == NULL)
        return -1;
    for (int k = 0; k < channel->count; k++)
        queue[k] = channel->queue[(channel->head + k) % channel->capacity];
    free(channel->queue);
    *channel = (struct channel){queue, capacity, 0, channel->count, channel->seen, channel->free_at};
    return 0;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When the message has gone over the link, or over both machines' cables: it comes in while it goes out. */
static int64_t travel(struct simulator *simulator, int from, int to, const struct channel *channel, int64_t duration)
{
    const int *machines = simulator->timing->machines;

    if (!machines || machines[from - 1] == machines[to - 1])
        return later(channel->free_at, simulator->now) + duration;
    struct cable *out = &simulator->cables[machines[from - 1]], *in = &simulator->cables[machines[to - 1]];
    const int64_t begin = later(out->out_free_at, simulator->now);
    out->out_free_at = begin + duration;
    in->in_free_at = later(in->in_free_at, begin) + duration;
    return later(out->out_free_at, in->in_free_at);
}

/* A message that takes no time is there at once. */
static void channel_send(struct simulator *simulator, int from, int part, struct channel *channel, int64_t duration,
                         int64_t latency, int count)
{
    channel->free_at = travel(simulator, from, part, channel, duration);
    if (channel->count == 0 && channel->free_at + latency <= simulator->now) {
        channel->seen += count;
        simulator_ring(simulator, stage_of(simulator, part));
        return;
    }
    if (channel->count == channel->capacity && channel_grow(channel) != 0) {
        simulator->out_of_memory = true;
        return;
    }
    channel->queue[(channel->head + channel->count++) % channel->capacity] =
        (struct message_on_way){channel->free_at + latency, count};
    simulator_push(simulator, channel->free_at + latency, stage_of(simulator, part));
}

static int channel_seen(struct channel *channel, int64_t now)
{
    while (channel->count > 0 && channel->queue[channel->head].arrival <= now) {
        channel->seen += channel->queue[channel->head].count;
        channel->head = (channel->head + 1) % channel->capacity;
        channel->count--;
    }
    return channel->seen;
}

/* Micro-batches that fit into a link when those of the first `done` have left it, a slot at a time. */
static int room(const struct schedule *schedule, int done, int asked)
{
    const int size = schedule_slot_size(schedule), total = schedule->minibatches * schedule->microbatches / size;

    return (done / size + (asked > 0 ? min_int(asked, total) : total)) * size;
}

/* Micro-batches whose activations a part has let go. */
int simulator_let_go(const struct simulator *simulator, int part)
{
    const struct progress *progress = &part_of(simulator, part)->progress;

    return simulator->schedule.forward_only ? progress->forwards : progress->weight_backwards;
}

/* Of those that part `part` sent to the next one, how many both have let go; the next one alone, with forward_only. */
int simulator_let_go_on_link(const struct simulator *simulator, int part)
{
    const struct schedule *schedule = &simulator->schedule;
    const int after = simulator_let_go(simulator, part + 1);

    return schedule->forward_only ? after : min_int(part_of(simulator, part)->progress.weight_backwards, after);
}

/* What has come from the neighbours, and what room they have. */
void simulator_look_around(struct simulator *simulator, int k)
{
    const struct schedule *schedule = &simulator->schedule;
    struct running_part *part = part_of(simulator, k);
    struct progress *progress = &part->progress;

    progress->activations_arrived = schedule->minibatches * schedule->microbatches;
    progress->forward_room = progress->backward_room = INT_MAX;
    if (k > 1) {
        progress->activations_arrived = channel_seen(&part->activations, simulator->now);
        progress->backward_room =
            room(schedule, part[-1].progress.weight_backwards, link_of(simulator, k - 1)->slots.gradients);
    }
    if (k < schedule_part_count(schedule)) {
        progress->gradients_arrived = channel_seen(&part->gradients, simulator->now);
        progress->forward_room =
            room(schedule, simulator_let_go_on_link(simulator, k), link_of(simulator, k)->slots.activations);
    }
}

void simulator_send(struct simulator *simulator, const struct op *op)
{
    const bool back = op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT;

    if (op->kind == OP_FORWARD && op->part < schedule_part_count(&simulator->schedule)) {
        const struct link_times *link = link_of(simulator, op->part);
        channel_send(simulator, op->part, op->part + 1, &part_of(simulator, op->part + 1)->activations,
                     simulator_scaled(simulator, op, link->activation), link->latency, op->count);
    }
    if (back && op->part > 1) {
        const struct link_times *link = link_of(simulator, op->part - 1);
        channel_send(simulator, op->part, op->part - 1, &part_of(simulator, op->part - 1)->gradients,
                     simulator_scaled(simulator, op, link->gradient), link->latency, op->count);
    }
}
