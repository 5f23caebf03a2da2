#include "transport/rings.h"

#include "device/device.h"

static size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

/* Ring r of link r / 2 + 1: even down, odd up. */
static int ring_count(const struct plan *plan)
{
    return RING_DIRECTIONS * (plan->part_count - 1);
}

static uint64_t ring_slots(const struct plan *plan, int r)
{
    return (uint64_t)(r % 2 ? plan->parts[r / 2].gradient_slots : plan->parts[r / 2].activation_slots);
}

/* How far memory is given away: the segment's for channels, and each stage's arena. */
struct given {
    size_t bytes, arenas[MAX_STAGES];
};

/* Takes memory for its messages, handles and slots. */
static struct ring_layout lay_out(const struct plan *plan, int r, struct given *given)
{
    const int link = r / 2 + 1;
    const int before = plan_stage_of(plan, link), after = plan_stage_of(plan, link + 1);
    size_t *arena = &given->arenas[(r % 2 ? before : after) - 1];
    struct ring_layout layout = {
        .slots = ring_slots(plan, r),
        .slot_bytes = plan_slot_bytes(plan, link),
        .cursors_offset = (size_t)r * sizeof(struct ring),
        .messages_offset = align_up(given->bytes, CACHE_LINE),
        .in_arena = plan->parts[link - 1].link == LINK_DEVICE,
        .arena_offset = *arena,
    };
    const size_t slots_bytes = layout.slots * layout.slot_bytes;

    layout.message_capacity = layout.slots * (uint64_t)schedule_slot_size(&plan->schedule);
    layout.handle_count = layout.in_arena && before != after ? 1 + layout.slots + layout.message_capacity : 0;
    layout.handles_offset =
        align_up(layout.messages_offset + layout.message_capacity * sizeof(struct message), CACHE_LINE);
    layout.data_offset = align_up(layout.handles_offset + layout.handle_count * sizeof(struct device_handle), 4096);
    given->bytes = layout.data_offset + (layout.in_arena ? 0 : slots_bytes);
    *arena += layout.in_arena ? slots_bytes : 0;
    return layout;
}

/* By the first `count` rings. All cursors come first. */
static struct given given_to(const struct plan *plan, int count)
{
    struct given given = {.bytes = (size_t)ring_count(plan) * sizeof(struct ring)};

    for (int r = 0; r < count; r++)
        lay_out(plan, r, &given);
    return given;
}

size_t rings_bytes(const struct plan *plan)
{
    return given_to(plan, ring_count(plan)).bytes;
}

size_t rings_arena_bytes(const struct plan *plan, int stage)
{
    return given_to(plan, ring_count(plan)).arenas[stage - 1];
}

struct ring_layout ring_layout_of(const struct plan *plan, int link, enum ring_direction direction)
{
    const int r = RING_DIRECTIONS * (link - 1) + (int)direction;
    struct given given = given_to(plan, r);

    return lay_out(plan, r, &given);
}
