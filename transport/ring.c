#include "transport/ring.h"

void ring_end_open(struct ring_end *end, const struct segment *segment, int link, enum ring_direction direction)
{
    const struct plan *plan = &segment->header->plan;
    unsigned char *base = segment_channels(segment);

    *end = (struct ring_end){.ring = NULL};
    if (link < 1 || link >= plan->part_count)
        return;
    end->layout = ring_layout_of(plan, link, direction);
    end->ring = (struct ring *)(base + end->layout.cursors_offset);
    end->messages_base = (struct message *)(base + end->layout.messages_offset);
    if (end->layout.in_arena)
        end->handles = (struct device_handle *)(base + end->layout.handles_offset);
    else
        end->data = base + end->layout.data_offset;
}

uint64_t ring_room(const struct ring_end *end)
{
    /* Pairs with ring_release: the consumer's last read of the slot is over. */
    return atomic_load_explicit(&end->ring->released, memory_order_acquire) + end->layout.slots;
}

void *ring_slot(const struct ring_end *end, uint64_t n)
{
    return end->data + n % end->layout.slots * end->layout.slot_bytes;
}

void ring_publish(struct ring_end *end, const struct message *message)
{
    end->messages_base[end->messages % end->layout.message_capacity] = *message;
    end->messages++;
    /* Pairs with ring_published: slot and message are written. */
    atomic_store_explicit(&end->ring->published, end->messages, memory_order_release);
}

uint64_t ring_published(const struct ring_end *end)
{
    return atomic_load_explicit(&end->ring->published, memory_order_acquire);
}

const struct message *ring_message(const struct ring_end *end, uint64_t k)
{
    return &end->messages_base[k % end->layout.message_capacity];
}

void ring_release(struct ring_end *end, uint64_t n)
{
    atomic_store_explicit(&end->ring->released, n, memory_order_release);
}
