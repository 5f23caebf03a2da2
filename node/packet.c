#include "node/packet.h"

#include <stddef.h>

enum { HEAD = offsetof(struct packet, body) };
#define BODY(member)  (sizeof(((struct packet *)0)->body.member))
#define PLACE(member) (offsetof(struct packet, body.member) - HEAD)

/* Who tells whom. */
enum way { BETWEEN_ANY, FROM_FIRST, TO_FIRST };

/* What travels of each kind behind the head; of those that have a list, what stands before that. */
static const struct {
    size_t bytes;
    enum way way;
} kinds[PACKET_KINDS] = {
    [PACKET_MESSAGE] = {BODY(message), BETWEEN_ANY},
    [PACKET_RELEASED] = {BODY(released), BETWEEN_ANY},
    [PACKET_WORDS] = {BODY(words), FROM_FIRST},
    [PACKET_ASKS] = {BODY(asks), TO_FIRST},
    [PACKET_PART] = {BODY(part), BETWEEN_ANY},
    [PACKET_BLOCK] = {PLACE(block.versions), TO_FIRST},
    [PACKET_RECORDS] = {PLACE(records.records), TO_FIRST},
    [PACKET_TEXTS] = {BODY(texts), TO_FIRST},
    [PACKET_EPOCH] = {BODY(epoch), TO_FIRST},
    [PACKET_FILE] = {BODY(file), BETWEEN_ANY},
    [PACKET_STORED] = {BODY(reason), BETWEEN_ANY},
    [PACKET_SAVED] = {BODY(saved), TO_FIRST},
    [PACKET_START] = {0, FROM_FIRST},
    [PACKET_PRESENT] = {BODY(present), TO_FIRST},
    [PACKET_FAILED] = {BODY(error), TO_FIRST},
    [PACKET_ENDED] = {BODY(status), TO_FIRST},
    [PACKET_PING] = {BODY(asked_ns), BETWEEN_ANY},
    [PACKET_PONG] = {PLACE(pong.ends), TO_FIRST},
    [PACKET_BYE] = {0, TO_FIRST},
    [PACKET_END] = {0, FROM_FIRST},
};

/* Of its list, which has so many; more than there can be if it has no room for them. */
static size_t list_bytes(const struct packet *packet)
{
    size_t count = 0, most = 0, each = 0;

    if (packet->kind == PACKET_BLOCK && packet->body.block.version_count > 0) {
        count = (size_t)packet->body.block.version_count;
        each = sizeof(packet->body.block.versions[0]);
        most = sizeof(packet->body.block.versions) / each;
    } else if (packet->kind == PACKET_RECORDS) {
        count = packet->body.records.count;
        each = sizeof(packet->body.records.records[0]);
        most = sizeof(packet->body.records.records) / each;
    } else if (packet->kind == PACKET_PONG) {
        count = packet->body.pong.end_count;
        each = sizeof(packet->body.pong.ends[0]);
        most = sizeof(packet->body.pong.ends) / each;
    }
    return count <= most ? count * each : sizeof(*packet);
}

bool packet_is_sound(const struct packet *packet, size_t bytes, int from, int to)
{
    if (bytes < HEAD || packet->kind >= PACKET_KINDS || bytes < HEAD + kinds[packet->kind].bytes ||
        bytes != HEAD + kinds[packet->kind].bytes + list_bytes(packet))
        return false;
    return kinds[packet->kind].way == BETWEEN_ANY || (kinds[packet->kind].way == FROM_FIRST ? from : to) == 0;
}
