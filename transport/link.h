/* A stage's ends of its parts' links. A ring (transport/ring.h) orders a direction's messages and says when there is
 * room; a link adds where its slots are, and keeps the devices' work in the same order. The calls are the same on every
 * path:
 *
 *   LINK_SHARED  both stages on the host: slots lie in the segment.
 *   LINK_DEVICE  both on GPUs that reach each other's memory: slots lie in the consumer's, opened by the producer.
 *   LINK_STAGED  any other pair: slots lie in the segment, and an end on a GPU works on a copy of each in its own memory.
 *
 * Parts of one stage on a GPU have slots in its memory as well, but nothing to open and nothing to wait for: their work is
 * in one queue.
 *
 * What makes it safe on a GPU: no wait is queued before the record that it waits for, and the ring carries that order. A
 * producer records behind what writes a slot, then publishes; a consumer takes the message, then queues the wait. The
 * other way round with releases. Between a GPU and the host, and everywhere with device.sync = host, the end that publishes
 * or releases first waits until its device has done the work. */
#ifndef TP_TRANSPORT_LINK_H
#define TP_TRANSPORT_LINK_H

#include "device/device.h"
#include "transport/ring.h"

struct link_end {
    struct ring_end ring; /* .ring NULL where the part has no neighbour; nothing else is then allowed */
    enum ring_side side;
    int neighbour; /* a part */
    enum link_path
        path; /* as this end has it: on the host LINK_STAGED is like LINK_SHARED, and so is one stage's own */
    unsigned char *slots; /* in the segment, in this stage's device, or opened */
    /* LINK_DEVICE: the events that each side makes and records. The consumer's say that the readers of a slot are done
     * [slots], the producer's that a message is written [message_capacity]. NULL with device.sync = host. */
    struct device_event **events[RING_SIDES];
    uint64_t *copied; /* LINK_STAGED, consumer: mark behind the newest copy from each slot [slots] */
};

/* Of one part. */
struct link_ends {
    struct link_end down_in, down_out, up_in, up_out;
};

struct links {
    const struct segment *segment;
    int stage;
    struct device *device;
    struct device_waiter waiter; /* whose moment fails when the run is aborted */
    void *arena;                 /* of the device: its parts' slots of LINK_DEVICE; NULL if there are none */
    void *opened[MAX_STAGES];    /* other stages' arenas; NULL: not opened */
    struct link_ends *parts[STAGE_PARTS_MAX];
    int part_count;
};

/* Allocates the stage's arena. The device and the segment outlive the links. */
int links_open(struct links *links, const struct segment *segment, int stage, struct device *device,
               const struct device_waiter *waiter, struct error *error);

/* Adds the ends of one of the stage's parts, which outlive the links, and exports what it owns to its neighbours. */
int links_open_part(struct links *links, struct link_ends *ends, int part, struct error *error);

/* When all parts are there: waits for the neighbours' exports and opens them. Before any other call below. */
int links_connect(struct links *links, struct error *error);

/* Ends a run in which nothing has failed: everything queued is done, imports are closed, and when the neighbours have
 * closed theirs, what was exported is released. After a failure, whoever has work queued on a GPU must leave this to the
 * end of the process: a neighbour may be dead, and a queue that waits for it never ends. */
int links_close(struct links *links, struct error *error);

/* The n-th slot since the run began (0-based; n % slots). */
void *link_slot(const struct link_end *end, uint64_t n);

/* Producer: before it first writes to the n-th slot, for which there is room. */
int link_begin(struct links *links, struct link_end *end, uint64_t n, struct error *error);

/* Producer: `bytes` at `offset` of the n-th slot, which queued work writes, are this message. */
int link_publish(struct links *links, struct link_end *end, const struct message *message, uint64_t n, size_t offset,
                 size_t bytes, struct error *error);

/* Consumer: takes the next message, which has been published: work queued from now on may read those bytes. */
int link_take(struct links *links, struct link_end *end, uint64_t n, size_t offset, size_t bytes, struct error *error);

/* Consumer: all work that reads the n-th slot is queued. Slots are released in order. */
int link_release(struct links *links, struct link_end *end, uint64_t n, struct error *error);

#endif
