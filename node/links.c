/* The rings that leave the machine. A message that a part publishes is sent from its slot, and received into the slot of the
 * same number on the other side. Slots are let go here when they are there: so both sides have the room that one ring has. */
#include <stdlib.h>

#include "base/numbers.h"
#include "node/node.h"

static int add_end(struct node *node, int link, enum ring_direction direction, struct error *error)
{
    const int producer = direction == RING_DOWN ? link : link + 1, consumer = 2 * link + 1 - producer;
    const bool from_here = plan_machine_of_part(node->plan, producer) == node->machine;
    struct far_end *end = &node->ends[node->end_count];

    if (!plan_link_leaves(node->plan, link) ||
        (!from_here && plan_machine_of_part(node->plan, consumer) != node->machine))
        return 0;
    *end = (struct far_end){
        .index = RING_DIRECTIONS * (link - 1) + (int)direction,
        .peer = plan_machine_of_part(node->plan, from_here ? consumer : producer),
        .part = from_here ? producer : consumer,
        .side = from_here ? RING_CONSUMER : RING_PRODUCER,
    };
    ring_end_open(&end->ring, &node->segment, link, direction);
    end->passages = calloc(end->ring.layout.message_capacity, sizeof(*end->passages));
    node->end_count++;
    return end->passages ? 0 : error_set(error, "out of memory");
}

int links_find(struct node *node, struct error *error)
{
    node->ends = calloc((size_t)RING_DIRECTIONS * (size_t)node->plan->part_count, sizeof(*node->ends));
    if (!node->ends)
        return error_set(error, "out of memory");
    for (int link = 1; link < node->plan->part_count; link++)
        for (int direction = 0; direction < RING_DIRECTIONS; direction++)
            if (add_end(node, link, (enum ring_direction)direction, error))
                return -1;
    return 0;
}

void links_free(struct node *node)
{
    for (int i = 0; i < node->end_count; i++)
        free(node->ends[i].passages);
    free(node->ends);
}

int links_transfers(const struct node *node)
{
    int count = 0;

    for (int i = 0; i < node->end_count; i++)
        count += (int)node->ends[i].ring.layout.message_capacity;
    return count;
}

static struct passage *passage(const struct far_end *end, uint64_t k)
{
    return &end->passages[k % end->ring.layout.message_capacity];
}

/* Whoever published it may have written anything. */
static bool is_within_slot(const struct far_end *end, const struct message *message)
{
    const uint64_t slot_bytes = end->ring.layout.slot_bytes;

    return message->bytes <= slot_bytes && message->offset <= slot_bytes - message->bytes &&
           message->bytes % sizeof(float) == 0;
}

static unsigned char *bytes_of(const struct far_end *end, const struct message *message)
{
    return (unsigned char *)ring_slot(&end->ring, message->slot) + message->offset;
}

static void send_message(struct node *node, struct far_end *end)
{
    struct passage *sent = passage(end, end->begun);
    struct packet packet = {.kind = PACKET_MESSAGE, .index = end->index};

    sent->message = *ring_message(&end->ring, end->begun);
    if (!is_within_slot(end, &sent->message)) {
        node_fail(node, "part %d has published a message that is not within its slot", end->part);
        return;
    }
    packet.body.message.message = sent->message;
    packet.body.message.stopped_at = atomic_load(&node->segment.board->stopped_at);
    packet.body.message.save_at = atomic_load(&node->segment.board->save_at);
    net_tell(node->net, end->peer, &packet, sizeof(packet.body.message));
    sent->transfer = net_send(node->net, end->peer, end->index + 1, bytes_of(end, &sent->message), sent->message.bytes);
    node->sent_bytes += sent->message.bytes;
    end->bytes += sent->message.bytes;
    end->begun++;
}

/* The peer may have let go of a slot before MPI says here that it was sent. */
static uint64_t free_slots(const struct far_end *end)
{
    const uint64_t slot = passage(end, end->done)->message.slot;

    return end->done < end->begun && slot < end->released ? slot : end->released;
}

static bool move_out(struct node *node, struct far_end *end)
{
    const uint64_t published = ring_published(&end->ring), before = end->begun + end->done;
    uint64_t released;

    while (end->begun < published && end->begun - end->done < end->ring.layout.message_capacity && !node->failed &&
           net_has_room(node->net, end->peer, true))
        send_message(node, end);
    while (end->done < end->begun && net_is_done(node->net, passage(end, end->done)->transfer))
        end->done++;
    released = free_slots(end);
    if (released == atomic_load_explicit(&end->ring.ring->released, memory_order_relaxed))
        return end->begun + end->done != before;
    ring_release(&end->ring, released);
    segment_ring_doorbell(&node->segment, end->part);
    return true;
}

static bool move_in(struct node *node, struct far_end *end)
{
    struct packet packet = {.kind = PACKET_RELEASED, .index = end->index};
    bool moved = false;

    for (; end->done < end->begun && net_is_done(node->net, passage(end, end->done)->transfer); end->done++) {
        node->received_bytes += passage(end, end->done)->message.bytes;
        ring_publish(&end->ring, &passage(end, end->done)->message);
        segment_ring_doorbell(&node->segment, end->part);
        moved = true;
    }
    packet.body.released = ring_room(&end->ring) - end->ring.layout.slots;
    if (packet.body.released == end->released || !net_has_room(node->net, end->peer, true))
        return moved;
    net_tell(node->net, end->peer, &packet, sizeof(packet.body.released));
    end->released = packet.body.released;
    return true;
}

bool links_move(struct node *node)
{
    bool moved = false;

    for (int i = 0; i < node->end_count; i++) {
        struct far_end *end = &node->ends[i];

        moved |= end->side == RING_CONSUMER ? move_out(node, end) : move_in(node, end);
    }
    return moved;
}

static struct far_end *find_end(struct node *node, int index)
{
    for (int i = 0; i < node->end_count; i++)
        if (node->ends[i].index == index)
            return &node->ends[i];
    return NULL;
}

/* What part 1 had decided before it admitted what led to this message. */
static void take_decisions(struct node *node, uint64_t stopped_at, uint64_t save_at)
{
    struct board *board = node->segment.board;

    if (node->machine == 0)
        return;
    if (stopped_at != UINT64_MAX)
        atomic_store(&board->stopped_at, stopped_at);
    if (save_at > atomic_load(&board->save_at))
        atomic_store(&board->save_at, save_at);
}

void links_message(struct node *node, const struct packet *packet)
{
    struct far_end *end = find_end(node, packet->index);
    const struct message *message = &packet->body.message.message;
    struct passage *comes;

    if (!end || end->side != RING_PRODUCER || !is_within_slot(end, message) ||
        end->begun - end->done >= end->ring.layout.message_capacity) {
        node_fail(node, "a message came for which there is no room on ring %d", packet->index);
        return;
    }
    take_decisions(node, packet->body.message.stopped_at, packet->body.message.save_at);
    comes = passage(end, end->begun++);
    comes->message = *message;
    comes->transfer = net_receive(node->net, end->peer, end->index + 1, bytes_of(end, message), message->bytes);
}

void links_released(struct node *node, const struct packet *packet)
{
    struct far_end *end = find_end(node, packet->index);

    if (end && end->side == RING_CONSUMER)
        end->released = packet->body.released;
}
