#include "transport/link.h"

#include <stdlib.h>

/* A handle names a whole block of a GPU's memory. Allocations of a multiple of this have blocks of their own. */
enum { ARENA_UNIT_BYTES = 2 << 20 };

static int await_queue(const struct links *links, struct error *error)
{
    return device_await_all(links->device, &links->waiter, error);
}

typedef int end_call(struct links *links, struct link_end *end, struct error *error);

/* Calls it for each end that a part has, or all parts have, until one fails. */
static int each_of_part(struct links *links, struct link_ends *part, end_call *call, struct error *error)
{
    struct link_end *const ends[] = {&part->down_in, &part->up_in, &part->down_out, &part->up_out};

    for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++)
        if (ends[k]->ring.ring && call(links, ends[k], error))
            return -1;
    return 0;
}

static int each_end(struct links *links, end_call *call, struct error *error)
{
    for (int i = 0; i < links->part_count; i++)
        if (each_of_part(links, links->parts[i], call, error))
            return -1;
    return 0;
}

static size_t slots_bytes(const struct ring_layout *layout)
{
    return layout->slots * layout->slot_bytes;
}

/* Tells the neighbour how far this end is. */
static void advance(const struct links *links, const struct link_end *end, enum ring_meeting meeting)
{
    /* Pairs with meet(): what this end exports is in the handles; or it has closed what it had opened. */
    atomic_store_explicit(&end->ring.ring->meeting[end->side], meeting, memory_order_release);
    segment_ring_doorbell(links->segment, end->neighbour);
}

/* Waits until the neighbour is so far, too. */
static int meet(const struct links *links, const struct link_end *end, enum ring_meeting meeting, struct error *error)
{
    const _Atomic int32_t *other = &end->ring.ring->meeting[!end->side];

    while (atomic_load_explicit(other, memory_order_acquire) < (int32_t)meeting)
        if (links->waiter.moment(links->waiter.context, error))
            return -1;
    return 0;
}

static uint64_t event_count(const struct link_end *end, enum ring_side side)
{
    return side == RING_CONSUMER ? end->ring.layout.slots : end->ring.layout.message_capacity;
}

/* Makes and exports this side's events, or opens the other's. */
static int open_events(const struct links *links, struct link_end *end, enum ring_side side, struct error *error)
{
    const struct device_type *type = links->device->type;
    /* That of the arena is the first; then come those of the consumer's events, and then of the producer's. */
    struct device_handle *handles = end->ring.handles + 1 + (side == RING_CONSUMER ? 0 : end->ring.layout.slots);
    struct device_event **events;

    if (links->segment->header->plan.config.device.sync == SYNC_HOST)
        return 0;
    events = end->events[side] = calloc(event_count(end, side), sizeof(struct device_event *));
    if (!events)
        return error_set(error, "out of memory");
    for (uint64_t k = 0; k < event_count(end, side); k++)
        if (side == end->side ? type->event_create(links->device, &events[k], &handles[k], error)
                              : type->event_import(links->device, &events[k], &handles[k], error))
            return -1;
    return 0;
}

static void close_events(const struct links *links, struct link_end *end, enum ring_side side)
{
    for (uint64_t k = 0; end->events[side] && k < event_count(end, side); k++)
        links->device->type->event_destroy(links->device, end->events[side][k]);
    free(end->events[side]);
    end->events[side] = NULL;
}

static int open_copies(const struct links *links, struct link_end *end, struct error *error)
{
    const struct device_type *type = links->device->type;
    const size_t bytes = slots_bytes(&end->ring.layout);
    void *slots;

    if (type->adopt_host(links->device, end->ring.data, bytes, error) ||
        type->allocate(links->device, &slots, bytes, "the links", error))
        return -1;
    end->slots = slots;
    end->copied = calloc(end->ring.layout.slots, sizeof(*end->copied));
    return end->copied ? 0 : error_set(error, "out of memory");
}

static void close_copies(const struct links *links, struct link_end *end)
{
    links->device->type->forget_host(links->device, end->ring.data);
    links->device->type->release(links->device, end->slots);
    free(end->copied);
}

/* The neighbour's stage. */
static int stage_behind(const struct links *links, const struct link_end *end)
{
    return plan_stage_of(&links->segment->header->plan, end->neighbour);
}

static int open_end(struct links *links, struct link_end *end, struct error *error)
{
    if (end->path == LINK_STAGED)
        return open_copies(links, end, error);
    if (end->path != LINK_DEVICE)
        return 0;
    if (end->side == RING_CONSUMER &&
        links->device->type->export_memory(links->device, links->arena, end->ring.handles, error))
        return -1;
    if (open_events(links, end, end->side, error))
        return -1;
    advance(links, end, MEETING_EXPORTED);
    return 0;
}

/* Slots of a consumer on a GPU, and of both ends in one stage, lie in its own arena. */
static void prepare_end(const struct links *links, struct link_end *end, enum ring_side side, int part, int neighbour)
{
    const int link = neighbour < part ? neighbour : part;
    const bool down = (side == RING_PRODUCER) == (neighbour > part);
    bool within;

    *end = (struct link_end){.side = side, .neighbour = neighbour};
    ring_end_open(&end->ring, links->segment, link, down ? RING_DOWN : RING_UP);
    if (!end->ring.ring)
        return;
    within = stage_behind(links, end) == links->stage;
    if (links->device->type != &device_host && !within)
        end->path = links->segment->header->plan.parts[link - 1].link;
    if (!end->ring.layout.in_arena)
        end->slots = end->ring.data;
    else if (within || side == RING_CONSUMER)
        end->slots = (unsigned char *)links->arena + end->ring.layout.arena_offset;
}

int links_open(struct links *links, const struct segment *segment, int stage, struct device *device,
               const struct device_waiter *waiter, struct error *error)
{
    size_t bytes = rings_arena_bytes(&segment->header->plan, stage);

    *links = (struct links){.segment = segment, .stage = stage, .device = device, .waiter = *waiter};
    if (bytes == 0)
        return 0;
    bytes = (bytes + ARENA_UNIT_BYTES - 1) / ARENA_UNIT_BYTES * ARENA_UNIT_BYTES;
    return device->type->allocate(device, &links->arena, bytes, "the links", error);
}

int links_open_part(struct links *links, struct link_ends *ends, int part, struct error *error)
{
    prepare_end(links, &ends->down_in, RING_CONSUMER, part, part - 1);
    prepare_end(links, &ends->up_out, RING_PRODUCER, part, part - 1);
    prepare_end(links, &ends->down_out, RING_PRODUCER, part, part + 1);
    prepare_end(links, &ends->up_in, RING_CONSUMER, part, part + 1);
    links->parts[links->part_count++] = ends;
    return each_of_part(links, ends, open_end, error);
}

/* Opens the arena of the neighbour's stage, unless another part has. */
static int import_arena(struct links *links, struct link_end *end, struct error *error)
{
    void **opened = &links->opened[stage_behind(links, end) - 1];

    if (!*opened && links->device->type->import_memory(links->device, end->ring.handles, opened, error))
        return -1;
    end->slots = (unsigned char *)*opened + end->ring.layout.arena_offset;
    return 0;
}

static int connect_end(struct links *links, struct link_end *end, struct error *error)
{
    if (end->path != LINK_DEVICE)
        return 0;
    if (meet(links, end, MEETING_EXPORTED, error) || (end->side == RING_PRODUCER && import_arena(links, end, error)))
        return -1;
    return open_events(links, end, !end->side, error);
}

int links_connect(struct links *links, struct error *error)
{
    return each_end(links, connect_end, error);
}

static int close_end(struct links *links, struct link_end *end, struct error *error)
{
    (void)error;
    if (end->path == LINK_STAGED)
        close_copies(links, end);
    if (end->path == LINK_DEVICE)
        close_events(links, end, !end->side);
    return 0;
}

static void close_arenas(struct links *links)
{
    for (int s = 1; s <= links->segment->header->plan.stage_count; s++)
        if (links->opened[s - 1])
            links->device->type->close_memory(links->device, links->opened[s - 1]);
}

static int tell_closed(struct links *links, struct link_end *end, struct error *error)
{
    (void)error;
    if (end->path == LINK_DEVICE)
        advance(links, end, MEETING_CLOSED);
    return 0;
}

/* The neighbour has let go of what was exported to it. */
static int leave_end(struct links *links, struct link_end *end, struct error *error)
{
    if (end->path != LINK_DEVICE)
        return 0;
    if (meet(links, end, MEETING_CLOSED, error))
        return -1;
    close_events(links, end, end->side);
    return 0;
}

int links_close(struct links *links, struct error *error)
{
    if (await_queue(links, error) || each_end(links, close_end, error))
        return -1;
    close_arenas(links);
    if (each_end(links, tell_closed, error) || each_end(links, leave_end, error))
        return -1;
    links->device->type->release(links->device, links->arena);
    return 0;
}

void *link_slot(const struct link_end *end, uint64_t n)
{
    return end->slots + n % end->ring.layout.slots * end->ring.layout.slot_bytes;
}

int link_begin(struct links *links, struct link_end *end, uint64_t n, struct error *error)
{
    struct device_event *const *freed = end->events[RING_CONSUMER];
    const uint64_t slots = end->ring.layout.slots;

    /* There is room: so the consumer has recorded what it has done with the slot's last use. */
    return freed && n >= slots ? links->device->type->event_wait(links->device, freed[n % slots], error) : 0;
}

int link_publish(struct links *links, struct link_end *end, const struct message *message, uint64_t n, size_t offset,
                 size_t bytes, struct error *error)
{
    const struct device_type *type = links->device->type;
    struct device_event *const *filled = end->events[RING_PRODUCER];
    struct message placed = *message;

    if (end->path == LINK_STAGED && type->copy(links->device, (char *)ring_slot(&end->ring, n) + offset,
                                               (char *)link_slot(end, n) + offset, bytes, error))
        return -1;
    if (filled) {
        if (type->event_record(links->device, filled[end->ring.messages % end->ring.layout.message_capacity], error))
            return -1;
    } else if (end->path != LINK_SHARED && await_queue(links, error)) {
        return -1;
    }
    placed.slot = n;
    placed.offset = offset;
    placed.bytes = bytes;
    ring_publish(&end->ring, &placed);
    return 0;
}

int link_take(struct links *links, struct link_end *end, uint64_t n, size_t offset, size_t bytes, struct error *error)
{
    const struct device_type *type = links->device->type;
    struct device_event *const *filled = end->events[RING_PRODUCER];
    const struct ring_layout *layout = &end->ring.layout;

    if (filled && type->event_wait(links->device, filled[end->ring.messages % layout->message_capacity], error))
        return -1;
    if (end->path == LINK_STAGED && (type->copy(links->device, (char *)link_slot(end, n) + offset,
                                                (char *)ring_slot(&end->ring, n) + offset, bytes, error) ||
                                     type->mark(links->device, &end->copied[n % layout->slots], error)))
        return -1;
    end->ring.messages++;
    return 0;
}

int link_release(struct links *links, struct link_end *end, uint64_t n, struct error *error)
{
    struct device_event *const *freed = end->events[RING_CONSUMER];
    const uint64_t slots = end->ring.layout.slots;
    int failed = 0;

    if (freed)
        failed = links->device->type->event_record(links->device, freed[n % slots], error);
    else if (end->path == LINK_STAGED)
        failed = device_await(links->device, end->copied[n % slots], &links->waiter, error);
    else if (end->path == LINK_DEVICE)
        failed = await_queue(links, error);
    if (failed)
        return -1;
    ring_release(&end->ring, n + 1);
    return 0;
}
