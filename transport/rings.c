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

static bool ring_exported(const struct plan *plan, int r)
{
    return plan->parts[r / 2].link == LINK_DEVICE;
}

/* In a stage's exported memory gradients from the stage after it lie behind activations from the stage before. */
static size_t arena_offset(const struct plan *plan, int r)
{
    const int activations = r - 3;

    if (r % 2 == 0 || activations < 0 || !ring_exported(plan, activations))
        return 0;
    return ring_slots(plan, activations) * plan_slot_bytes(plan, activations / 2 + 1);
}

/* Its messages, handles and slots begin at *offset, or soon after; moves that behind them. */
static struct ring_layout lay_out(const struct plan *plan, int r, size_t *offset)
{
    const bool exported = ring_exported(plan, r);
    struct ring_layout layout = {
        .slots = ring_slots(plan, r),
        .slot_bytes = plan_slot_bytes(plan, r / 2 + 1),
        .cursors_offset = (size_t)r * sizeof(struct ring),
        .messages_offset = align_up(*offset, CACHE_LINE),
        .arena_offset = exported ? arena_offset(plan, r) : 0,
    };

    layout.message_capacity = layout.slots * (uint64_t)schedule_slot_size(&plan->schedule);
    layout.handle_count = exported ? 1 + layout.slots + layout.message_capacity : 0;
    layout.handles_offset =
        align_up(layout.messages_offset + layout.message_capacity * sizeof(struct message), CACHE_LINE);
    layout.data_offset = align_up(layout.handles_offset + layout.handle_count * sizeof(struct device_handle), 4096);
    *offset = layout.data_offset + (exported ? 0 : layout.slots * layout.slot_bytes);
    return layout;
}

/* All cursors come first. */
static size_t first_offset(const struct plan *plan)
{
    return (size_t)ring_count(plan) * sizeof(struct ring);
}

size_t rings_bytes(const struct plan *plan)
{
    size_t offset = first_offset(plan);

    for (int r = 0; r < ring_count(plan); r++)
        lay_out(plan, r, &offset);
    return offset;
}

struct ring_layout ring_layout_of(const struct plan *plan, int link, enum ring_direction direction)
{
    const int wanted = RING_DIRECTIONS * (link - 1) + (int)direction;
    size_t offset = first_offset(plan);

    for (int r = 0; r < wanted; r++)
        lay_out(plan, r, &offset);
    return lay_out(plan, wanted, &offset);
}
