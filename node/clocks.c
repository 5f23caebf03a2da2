/* Who is alive, and what time it is there. Everybody pings everybody; node 0 asks the time of the others. Of the answers it
 * goes by the one that leaves the least doubt: half of the time that the exchange took, and what two clocks may have drifted
 * apart since. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "node/node.h"

enum { PING_MS = 200 };

/* Quartzes differ by less than this many millionths. */
enum { DRIFT_PPM = 100 };

static uint64_t processor_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct node_use use_of(const struct node *node)
{
    return (struct node_use){processor_ns(), node->sent_bytes, node->received_bytes};
}

enum { RATE_NS = 1000000000 };

static uint64_t rate(uint64_t now, uint64_t before, uint64_t passed_ns)
{
    return (uint64_t)(1e9 * (double)(now - before) / (double)passed_ns);
}

static void measure(struct node *node, uint64_t now_ns)
{
    const uint64_t passed_ns = now_ns - node->rated_ns;
    const struct node_use use = use_of(node), before = node->rated;

    if (passed_ns < RATE_NS)
        return;
    if (node->rated_ns > 0)
        node->rate = (struct node_use){
            .processor_ns = rate(use.processor_ns, before.processor_ns, passed_ns) / 1000,
            .bytes_sent = rate(use.bytes_sent, before.bytes_sent, passed_ns),
            .bytes_received = rate(use.bytes_received, before.bytes_received, passed_ns),
        };
    for (int i = 0; i < node->end_count; i++) {
        struct far_end *end = &node->ends[i];

        end->rate = node->rated_ns > 0 ? rate(end->bytes, end->rated, passed_ns) : 0;
        end->rated = end->bytes;
    }
    node->rated = use;
    node->rated_ns = now_ns;
}

/* Over those that this node sends. */
static uint64_t list_ends(const struct node *node, struct end_rate *rates)
{
    uint64_t count = 0;

    for (int i = 0; i < node->end_count; i++)
        if (node->ends[i].side == RING_CONSUMER)
            rates[count++] = (struct end_rate){(uint64_t)node->ends[i].index, node->ends[i].rate};
    return count;
}

static void show_ends(struct node *node, const struct end_rate *rates, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (rates[i].index < RING_DIRECTIONS * MAX_PARTS)
            atomic_store(&node->segment.board->link_rates[rates[i].index / 2][rates[i].index % 2], rates[i].bytes);
}

static void show_use(struct machine_word *word, const struct node_use *use, const struct node_use *rate)
{
    atomic_store(&word->processor_ns, use->processor_ns);
    atomic_store(&word->bytes_sent, use->bytes_sent);
    atomic_store(&word->bytes_received, use->bytes_received);
    atomic_store(&word->processor_rate, rate->processor_ns);
    atomic_store(&word->send_rate, rate->bytes_sent);
    atomic_store(&word->receive_rate, rate->bytes_received);
}

static void ping(struct node *node, int peer, uint64_t now_ns)
{
    struct packet packet = {.kind = PACKET_PING, .body.asked_ns = now_ns};

    if (net_has_room(node->net, peer, false))
        net_tell(node->net, peer, &packet, sizeof(packet.body.asked_ns));
}

static void listen_to(struct node *node, int peer, uint64_t now_ns)
{
    const int seconds = node->plan->config.run.silence_seconds;

    if (node->lost[peer] || node->left[peer] || node->end ||
        now_ns < node->heard_ns[peer] + (uint64_t)seconds * 1000000000u)
        return;
    node->lost[peer] = node->silent = true;
    node_fail(node, "nothing was heard of %s for run.silence_seconds = %d s", node->plan->machines[peer].host, seconds);
    if (node->machine == 0) {
        struct machine_word *word = &node->segment.board->machines[peer];

        snprintf(word->error, sizeof(word->error), "nothing was heard of machine %s for run.silence_seconds = %d s",
                 node->plan->machines[peer].host, seconds);
        atomic_store(&word->state, MACHINE_FAILED);
    }
}

void clocks_look(struct node *node, uint64_t now_ns)
{
    const bool pings = now_ns >= node->pinged_ns + PING_MS * 1000000ull;
    struct machine_word *own = &node->segment.board->machines[0];

    if (pings) {
        node->pinged_ns = now_ns;
        measure(node, now_ns);
    }
    for (int peer = 0; peer < node->machines; peer++) {
        if (peer == node->machine)
            continue;
        listen_to(node, peer, now_ns);
        if (pings && !node->lost[peer])
            ping(node, peer, now_ns);
    }
    if (node->machine == 0 && pings) {
        const struct node_use use = use_of(node);
        struct end_rate rates[RING_DIRECTIONS * MAX_PARTS];

        show_use(own, &use, &node->rate);
        show_ends(node, rates, list_ends(node, rates));
        atomic_store(&own->heard_ns, now_ns);
    }
}

void clocks_ping(struct node *node, int peer, const struct packet *packet)
{
    struct packet answer = {.kind = PACKET_PONG, .body.pong.asked_ns = packet->body.asked_ns};

    if (peer != 0 || !net_has_room(node->net, 0, false))
        return;
    answer.body.pong.answered_ns = clock_now_ns();
    answer.body.pong.use = use_of(node);
    answer.body.pong.rate = node->rate;
    answer.body.pong.end_count = list_ends(node, answer.body.pong.ends);
    net_tell(node->net, 0, &answer,
             offsetof(struct packet, body.pong.ends) - offsetof(struct packet, body) +
                 answer.body.pong.end_count * sizeof(struct end_rate));
}

void clocks_pong(struct node *node, int peer, const struct packet *packet)
{
    const uint64_t now_ns = clock_now_ns(), took_ns = now_ns - packet->body.pong.asked_ns;
    struct machine_clock *clock = &node->clocks[peer];
    struct machine_word *word = &node->segment.board->machines[peer];
    const uint64_t drift_ns = (now_ns - clock->at_ns) / (1000000 / DRIFT_PPM);

    if (clock->at_ns == 0 || took_ns / 2 <= clock->bound_ns + drift_ns) {
        *clock = (struct machine_clock){
            .offset_ns = (int64_t)(packet->body.pong.answered_ns - (packet->body.pong.asked_ns + took_ns / 2)),
            .bound_ns = took_ns / 2,
            .at_ns = now_ns,
        };
        atomic_store(&word->clock_offset_ns, clock->offset_ns);
        atomic_store(&word->round_trip_ns, took_ns);
    }
    atomic_store(&word->clock_bound_ns, clock->bound_ns + (now_ns - clock->at_ns) / (1000000 / DRIFT_PPM));
    atomic_store(&word->heard_ns, now_ns);
    show_use(word, &packet->body.pong.use, &packet->body.pong.rate);
    show_ends(node, packet->body.pong.ends, packet->body.pong.end_count);
}

uint64_t clocks_here(const struct node *node, int machine, uint64_t there_ns)
{
    return there_ns - (uint64_t)node->clocks[machine].offset_ns;
}
