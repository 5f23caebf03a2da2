/* Where a run's rings lie: two for each pair of neighbouring parts, in the segment's memory for channels. It all follows
 * from the plan, so nobody reads it from memory that others write. */
#ifndef TP_TRANSPORT_RINGS_H
#define TP_TRANSPORT_RINGS_H

#include "board/segment.h"

/* A ring of the link between parts l and l + 1: activations go down, gradients up. */
enum ring_direction { RING_DOWN, RING_UP, RING_DIRECTIONS };

enum ring_side { RING_PRODUCER, RING_CONSUMER, RING_SIDES };

/* LINK_DEVICE: a side has exported what is its own; and it has closed what it had opened of the other's. */
enum ring_meeting { MEETING_AWAITED, MEETING_EXPORTED, MEETING_CLOSED };

/* What both ends of a ring change. Single producer, single consumer; both cursors only grow. A slot holds what one
 * backward covers (schedule_slot_size), slot = how many came before since the run began % slots, and is written row by
 * row as micro-batches come. */
struct ring {
    alignas(CACHE_LINE) _Atomic uint64_t published;          /* messages; written by the producer */
    alignas(CACHE_LINE) _Atomic uint64_t released;           /* slots that the consumer has let go */
    alignas(CACHE_LINE) _Atomic int32_t meeting[RING_SIDES]; /* enum ring_meeting of each side, written by it */
};

/* A link's message: one micro-batch's activation, or the gradient of the micro-batches that one backward covered. */
struct message {
    int32_t minibatch; /* in its phase, 1.. */
    int16_t first, count;
    int32_t version; /* down: the pin; up: the committed version */
    uint64_t slot; /* since the run began; and where in it the message's bytes are. link_publish fills these in, for */
    uint64_t offset, bytes; /* whoever carries them to another machine */
};

/* Offsets are in the memory for channels. */
struct ring_layout {
    uint64_t slots, slot_bytes;
    uint64_t message_capacity;
    uint64_t handle_count; /* LINK_DEVICE between two stages: struct device_handle of the arena, of an event per slot,
                              and of one per message; else 0 */
    size_t cursors_offset; /* struct ring */
    size_t messages_offset, handles_offset;
    bool in_arena;       /* LINK_DEVICE: slots lie in the memory of the consumer's stage, */
    size_t arena_offset; /* here in its arena; */
    size_t data_offset;  /* of the others' */
};

/* Bytes of all rings of a run: what the segment is created and opened with. */
size_t rings_bytes(const struct plan *plan);

/* Bytes of a stage's arena, which has the slots of all that its parts consume by LINK_DEVICE, side by side. */
size_t rings_arena_bytes(const struct plan *plan, int stage);

/* Of the ring of link l (1..C-1). */
struct ring_layout ring_layout_of(const struct plan *plan, int link, enum ring_direction direction);

#endif
