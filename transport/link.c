#include "transport/link.h"

static void open_end(struct link_end *end, const struct segment *segment, struct ring *ring)
{
    ring_end_open(&end->ring, segment, ring);
    end->path = LINK_SHARED;
    end->slots = end->ring.data;
}

int links_open(struct links *links, const struct segment *segment, int stage, struct device *device,
               const struct link_waiter *waiter, struct error *error)
{
    const bool first = stage == 1, last = stage == segment->header->stage_count;

    (void)error;
    *links = (struct links){.segment = segment, .stage = stage, .device = device, .waiter = *waiter};
    open_end(&links->down_in, segment, first ? NULL : segment_ring_down(segment, stage - 1));
    open_end(&links->up_out, segment, first ? NULL : segment_ring_up(segment, stage - 1));
    open_end(&links->down_out, segment, last ? NULL : segment_ring_down(segment, stage));
    open_end(&links->up_in, segment, last ? NULL : segment_ring_up(segment, stage));
    return 0;
}

int links_connect(struct links *links, struct error *error)
{
    (void)links, (void)error;
    return 0;
}

int links_close(struct links *links, struct error *error)
{
    (void)links, (void)error;
    return 0;
}

void *link_slot(const struct link_end *end, uint64_t n)
{
    return end->slots + n % end->ring.ring->slots * end->ring.ring->slot_bytes;
}

int link_begin(struct links *links, struct link_end *end, uint64_t n, struct error *error)
{
    (void)links, (void)end, (void)n, (void)error;
    return 0;
}

int link_publish(struct links *links, struct link_end *end, const struct message *message, uint64_t n, size_t offset,
                 size_t bytes, struct error *error)
{
    (void)links, (void)n, (void)offset, (void)bytes, (void)error;
    ring_publish(&end->ring, message);
    return 0;
}

int link_take(struct links *links, struct link_end *end, uint64_t n, size_t offset, size_t bytes, struct error *error)
{
    (void)links, (void)n, (void)offset, (void)bytes, (void)error;
    end->ring.messages++;
    return 0;
}

int link_release(struct links *links, struct link_end *end, uint64_t n, struct error *error)
{
    (void)links, (void)error;
    ring_release(&end->ring, n + 1);
    return 0;
}
