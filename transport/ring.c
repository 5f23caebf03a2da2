#include "transport/ring.h"

#include <string.h>

void ring_end_open(struct ring_end *end, const struct segment *segment, struct ring *ring)
{
    unsigned char *base = (unsigned char *)segment->header;

    *end = (struct ring_end){.ring = ring};
    if (!ring)
        return;
    end->messages_base = (struct message *)(base + ring->messages_offset);
    end->data = ring->handle_count > 0 ? NULL : base + ring->data_offset;
}

uint64_t ring_room(const struct ring_end *end)
{
    /* Pairs with ring_release: the consumer's last read of the slot is over. */
    return atomic_load_explicit(&end->ring->released, memory_order_acquire) + end->ring->slots;
}

void *ring_slot(const struct ring_end *end, uint64_t n)
{
    return end->data + n % end->ring->slots * end->ring->slot_bytes;
}

void ring_publish(struct ring_end *end, const struct message *message)
{
    end->messages_base[end->messages % end->ring->message_capacity] = *message;
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
    return &end->messages_base[k % end->ring->message_capacity];
}

void ring_release(struct ring_end *end, uint64_t n)
{
    atomic_store_explicit(&end->ring->released, n, memory_order_release);
}
