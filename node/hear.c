/* What others have told, given to the file that it is for; and what concerns the node itself: a machine's node is there, its
 * stages may start, it cannot go on. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "node/node.h"

void node_fail(struct node *node, const char *format, ...)
{
    va_list arguments;

    if (node->failed)
        return;
    node->failed = true;
    va_start(arguments, format);
    vsnprintf(node->error.text, sizeof(node->error.text), format, arguments);
    va_end(arguments);
    text_clean(node->error.text);
}

void hear_failed(const struct node *node, int machine, const char *text)
{
    struct machine_word *word = &node->segment.board->machines[machine];

    if (atomic_load(&word->state) == MACHINE_FAILED)
        return;
    snprintf(word->error, sizeof(word->error), "machine %.50s: %.190s",
             machine < node->machines ? node->plan->machines[machine].host : "?", text);
    /* Pairs with the coordinator's acquire load: the text is there. */
    atomic_store(&word->state, MACHINE_FAILED);
    kill(node->segment.header->coordinator_pid, SIGCHLD);
}

void hear_present(struct node *node, int machine, const char *host, int pid)
{
    struct machine_word *word = &node->segment.board->machines[machine];

    snprintf(word->host, sizeof(word->host), "%.63s", host);
    atomic_store(&word->pid, pid);
    atomic_store(&word->state, MACHINE_PRESENT);
}

/* What the stages need is there. */
static void start(struct node *node)
{
    struct packet packet = {.kind = PACKET_PRESENT, .body.present.pid = (int32_t)getpid()};
    struct error error;

    if (processes_start(&node->processes, &node->segment, &error)) {
        node_fail(node, "%s", error.text);
        return;
    }
    for (int k = 1; k <= node->plan->part_count; k++)
        if (segment_is_here(&node->segment, plan_stage_of(node->plan, k)))
            atomic_store(&segment_stage(&node->segment, k)->pid,
                         processes_pid(&node->processes, plan_stage_of(node->plan, k)));
    gethostname(packet.body.present.host, sizeof(packet.body.present.host) - 1);
    net_tell(node->net, 0, &packet, sizeof(packet.body.present));
}

static void obey(struct node *node, int peer, const struct packet *packet)
{
    switch ((enum packet_kind)packet->kind) {
    case PACKET_MESSAGE:
        links_message(node, packet);
        break;
    case PACKET_RELEASED:
        links_released(node, packet);
        break;
    case PACKET_WORDS:
        words_heard(node, packet);
        break;
    case PACKET_ASKS:
        words_asked(node, packet);
        break;
    case PACKET_PART:
        words_read(node, packet);
        break;
    case PACKET_BLOCK:
    case PACKET_RECORDS:
    case PACKET_TEXTS:
    case PACKET_EPOCH:
    case PACKET_ENDED:
        shows_heard(node, peer, packet);
        break;
    case PACKET_FILE:
        files_file(node, peer, packet);
        break;
    case PACKET_STORED:
        files_stored(node, peer, packet);
        break;
    case PACKET_SAVED:
        files_saved(node, packet);
        break;
    case PACKET_START:
        start(node);
        break;
    case PACKET_PRESENT:
        hear_present(node, peer, packet->body.present.host, packet->body.present.pid);
        break;
    case PACKET_FAILED:
        hear_failed(node, peer, packet->body.error);
        break;
    case PACKET_PING:
        clocks_ping(node, peer, packet);
        break;
    case PACKET_PONG:
        clocks_pong(node, peer, packet);
        break;
    case PACKET_BYE:
        node->left[peer] = true;
        break;
    case PACKET_END:
        node->end = true;
        break;
    case PACKET_KINDS:
        break;
    }
}

bool hear_move(struct node *node)
{
    const struct packet *packet;
    bool moved = false;
    size_t bytes;
    int peer;

    while ((packet = net_next(node->net, &peer, &bytes)) != NULL) {
        node->heard_ns[peer] = clock_now_ns();
        if (packet_is_sound(packet, bytes, peer, node->machine))
            obey(node, peer, packet);
        else
            node_fail(node, "%zu bytes came from machine %s that are no packet", bytes,
                      node->plan->machines[peer].host);
        moved = true;
    }
    return moved;
}
