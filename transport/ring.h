/* The two ends of one direction of a link (transport/rings.h): named acquire and release operations, no waiting. A full or
 * empty ring is answered with "not yet"; the caller sleeps on its doorbell.
 *
 * Memory order: what the producer writes into a slot and a message happens before ring_publish's release store of
 * `published`, which ring_published's acquire load reads. What the consumer reads from a slot happens before
 * ring_release's release store of `released`, which ring_room's acquire load reads. */
#ifndef TP_TRANSPORT_RING_H
#define TP_TRANSPORT_RING_H

#include "transport/rings.h"

/* One process's view of an end. */
struct ring_end {
    struct ring *ring; /* NULL: the part has no neighbour there */
    struct ring_layout layout;
    struct message *messages_base;
    struct device_handle *handles;
    unsigned char *data; /* its slots; LINK_DEVICE: none */
    uint64_t messages;   /* that this end has published, or taken, since the run began */
};

/* Of link l. If there is none (l = 0 or C) the end's `ring` is NULL, and no other operation is allowed. */
void ring_end_open(struct ring_end *end, const struct segment *segment, int link, enum ring_direction direction);

/* Producer: the n-th slot's worth of data since the run began (0-based) may be written when n < ring_room. */
uint64_t ring_room(const struct ring_end *end);

/* The memory of the n-th, if it lies in the segment. */
void *ring_slot(const struct ring_end *end, uint64_t n);

/* Producer: everything written to the slot so far becomes visible with this message. */
void ring_publish(struct ring_end *end, const struct message *message);

/* Consumer: messages published so far; and the k-th of them (k counted since the run began, taken in order). */
uint64_t ring_published(const struct ring_end *end);
const struct message *ring_message(const struct ring_end *end, uint64_t k);

/* Consumer: the memory of the first n may be written again. */
void ring_release(struct ring_end *end, uint64_t n);

#endif
