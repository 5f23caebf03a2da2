/* What nodes send one another, by MPI: packets of bounded size, in order from each peer; and bytes of any number, straight
 * from memory to memory. Nothing here waits. Until a call's bytes are sent or received their memory must stay as it is. */
#ifndef TP_NODE_NET_H
#define TP_NODE_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "node/packet.h"

struct net;

/* Joins the other nodes, and learns which of them this is. NULL if out of memory. */
struct net *net_open(int *argc, char ***argv);
int net_rank(const struct net *net);
int net_size(const struct net *net);

/* Waits for all: whether every node's line of text is that of node 0, which gets the number of the first whose is not, or
 * -1, and its line. */
enum { NET_LINE_MAX = 256 };
bool net_agree(struct net *net, const char line[NET_LINE_MAX], int *other, char others_line[NET_LINE_MAX]);

/* Waits for all: gives everybody node 0's bytes. */
void net_broadcast(struct net *net, void *bytes, size_t size);

/* Makes room for so many net_send and net_receive at once; after the calls that wait and before those below. */
int net_begin(struct net *net, int transfers, struct error *error);

/* Whether a packet to this peer can be sent now; `urgent` ones may use room that is kept from others. */
bool net_has_room(const struct net *net, int peer, bool urgent);

/* Sends a packet, for which there is room; its body is `size` bytes long. */
void net_tell(struct net *net, int peer, struct packet *packet, size_t size);

/* Moves on whatever is under way. True if anything was. */
bool net_move(struct net *net);

/* The next packet that has come, from which peer and of how many bytes, until the next call; NULL: none has. */
const struct packet *net_next(struct net *net, int *peer, size_t *bytes);

/* Begins to send or to receive `size` bytes, a multiple of 4. A number to ask for; -1: too many are under way. */
int net_send(struct net *net, int peer, int tag, const void *bytes, size_t size);
int net_receive(struct net *net, int peer, int tag, void *bytes, size_t size);

/* Whether it is done; then the number is no longer its own. */
bool net_is_done(struct net *net, int transfer);

/* Whether no transfer is under way. */
bool net_is_quiet(const struct net *net);

/* Leaves in order, when all packets are sent, no transfer is under way, and every node does so. */
void net_close(struct net *net);

#endif
