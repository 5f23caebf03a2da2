/* Words: what the run wants of its stages goes from the coordinator's machine to all; what stages ask of the run goes there;
 * and what parts read of one another goes by way of it. */
#include <string.h>

#include "node/node.h"

static struct words words_now(const struct segment *segment)
{
    const struct board *board = segment->board;
    const struct controls *controls = segment_controls(segment);
    struct words words = {
        .go = atomic_load(&board->go),
        .abort = atomic_load(&board->abort),
        .stop = atomic_load(&board->stop),
        .dismissed = atomic_load(&board->dismissed),
        .diverged = atomic_load(&board->diverged),
        .stopped_at = atomic_load(&board->stopped_at),
        .save_at = atomic_load(&board->save_at),
        .saved_at = atomic_load(&board->saved_at),
        .slow_motion = atomic_load(&controls->slow_motion),
    };

    for (int s = 0; s < MAX_STAGES; s++)
        words.ops_allowed[s] = atomic_load_explicit(&controls->ops_allowed[s], memory_order_relaxed);
    return words;
}

static bool tell_words(struct node *node, int peer)
{
    struct packet packet = {.kind = PACKET_WORDS, .body.words = words_now(&node->segment)};

    if (memcmp(&packet.body.words, &node->words[peer], sizeof(struct words)) == 0 ||
        !net_has_room(node->net, peer, true))
        return false;
    node->words[peer] = packet.body.words;
    net_tell(node->net, peer, &packet, sizeof(packet.body.words));
    return true;
}

/* In this order: who sees that the run is aborted sees why. */
void words_heard(struct node *node, const struct packet *packet)
{
    const struct words *words = &packet->body.words;
    struct board *board = node->segment.board;
    struct controls *controls = segment_controls(&node->segment);

    if (words->diverged)
        atomic_store(&board->diverged, words->diverged);
    for (int s = 0; s < MAX_STAGES; s++)
        atomic_store_explicit(&controls->ops_allowed[s], words->ops_allowed[s], memory_order_relaxed);
    atomic_store(&controls->slow_motion, words->slow_motion);
    atomic_store(&board->saved_at, words->saved_at);
    if (words->save_at > atomic_load(&board->save_at))
        atomic_store(&board->save_at, words->save_at);
    if (words->stopped_at != UINT64_MAX)
        atomic_store(&board->stopped_at, words->stopped_at);
    if (words->stop)
        atomic_store(&board->stop, words->stop);
    atomic_store(&board->go, words->go);
    if (words->abort)
        atomic_store(&board->abort, words->abort);
    atomic_store(&board->dismissed, words->dismissed);
    segment_ring_all(&node->segment);
}

static bool tell_asks(struct node *node)
{
    struct board *board = node->segment.board;
    struct packet packet = {.kind = PACKET_ASKS};
    struct words *told = &node->words[0];

    packet.body.asks.diverged = atomic_load(&board->diverged);
    packet.body.asks.stop = atomic_load(&board->stop);
    packet.body.asks.save = atomic_load(&board->save);
    if ((packet.body.asks.diverged == told->diverged && packet.body.asks.stop == told->stop &&
         !packet.body.asks.save) ||
        !net_has_room(node->net, 0, true))
        return false;
    told->diverged = packet.body.asks.diverged;
    told->stop = packet.body.asks.stop;
    atomic_store(&board->save, 0);
    net_tell(node->net, 0, &packet, sizeof(packet.body.asks));
    return true;
}

void words_asked(struct node *node, const struct packet *packet)
{
    struct board *board = node->segment.board;
    int32_t none = 0;
    uint64_t nowhere = 0;

    if (packet->body.asks.diverged)
        atomic_compare_exchange_strong(&board->diverged, &nowhere, packet->body.asks.diverged);
    if (packet->body.asks.save)
        segment_ask_checkpoint(&node->segment);
    if (packet->body.asks.stop && atomic_compare_exchange_strong(&board->stop, &none, packet->body.asks.stop))
        segment_ring_all(&node->segment);
}

/* Part 1's updates are what it commits; every part's share of the norm, where gradients are clipped by that of all. */
static bool tell_part(struct node *node, int peer, int k)
{
    const struct stage_block *block = segment_stage(&node->segment, k);
    struct told_read *told = &node->read[peer][k - 1];
    struct packet packet = {.kind = PACKET_PART, .index = k};

    packet.body.part.applied = k == 1 ? atomic_load_explicit(&block->applied, memory_order_acquire) : 0;
    /* Pairs with norm_tell(): the squares are those of this update, as nobody makes the next ones before. */
    packet.body.part.updates = atomic_load_explicit(&block->norm.updates, memory_order_acquire);
    packet.body.part.squares = atomic_load_explicit(&block->norm.squares, memory_order_relaxed);
    if ((packet.body.part.applied == told->applied && packet.body.part.updates == told->updates) ||
        !net_has_room(node->net, peer, true))
        return false;
    *told = (struct told_read){packet.body.part.updates, packet.body.part.applied};
    net_tell(node->net, peer, &packet, sizeof(packet.body.part));
    return true;
}

void words_read(struct node *node, const struct packet *packet)
{
    struct stage_block *block;

    if (packet->index < 1 || packet->index > node->plan->part_count)
        return;
    block = segment_stage(&node->segment, packet->index);
    atomic_store_explicit(&block->norm.squares, packet->body.part.squares, memory_order_relaxed);
    /* Pairs with norm_is_known(). */
    atomic_store_explicit(&block->norm.updates, packet->body.part.updates, memory_order_release);
    if (packet->index == 1)
        atomic_store_explicit(&block->applied, packet->body.part.applied, memory_order_release);
    segment_ring_all(&node->segment);
}

/* Of the parts here; node 0 passes on what it has heard of others, but not to where it comes from. */
static bool tell_parts(struct node *node, int peer)
{
    bool moved = false;

    for (int k = 1; k <= node->plan->part_count; k++) {
        const int machine = plan_machine_of_part(node->plan, k);

        if (machine == node->machine || (node->machine == 0 && machine != peer))
            moved |= tell_part(node, peer, k);
    }
    return moved;
}

bool words_move(struct node *node)
{
    bool moved = false;

    if (node->machine != 0) {
        moved |= tell_asks(node);
        moved |= tell_parts(node, 0);
    }
    for (int peer = 1; peer < node->machines && node->machine == 0; peer++) {
        if (node->lost[peer])
            continue;
        moved |= tell_parts(node, peer);
        moved |= tell_words(node, peer);
    }
    return moved;
}
