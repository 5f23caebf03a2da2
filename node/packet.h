/* What nodes tell one another, as it travels: the same bytes on every machine, as all run the same build. */
#ifndef TP_NODE_PACKET_H
#define TP_NODE_PACKET_H

#include "checkpoint/checkpoint.h"
#include "transport/rings.h"

enum packet_kind {
    PACKET_MESSAGE,  /* a link's next message, whose bytes follow under the ring's tag */
    PACKET_RELEASED, /* a link's consumer has let go of slots */
    PACKET_WORDS,    /* from node 0: the run's words */
    PACKET_ASKS,     /* to node 0: what a stage asks of the run */
    PACKET_PART,     /* what other parts read of one */
    PACKET_BLOCK,    /* to node 0: what a part shows of itself */
    PACKET_RECORDS,  /* to node 0: a part's next op records */
    PACKET_TEXTS,    /* to node 0: why a part has failed; before its state says so */
    PACKET_EPOCH,    /* to node 0: results of an epoch */
    PACKET_FILE,     /* a file of a checkpoint, whose bytes follow */
    PACKET_STORED,   /* the answer when it is on the disk, or cannot be */
    PACKET_SAVED,    /* to node 0: a part's files of a checkpoint are all there */
    PACKET_START,    /* from node 0: the stages may be started, what they need of a checkpoint is there */
    PACKET_PRESENT,  /* to node 0: the machine's stages are started */
    PACKET_FAILED,   /* to node 0: this node cannot go on */
    PACKET_ENDED,    /* to node 0: a stage's process has ended, and all is told of it */
    PACKET_PING,     /* what is heard of a node that has nothing else to say */
    PACKET_PONG,     /* to node 0, which has asked for the time */
    PACKET_BYE,      /* to node 0: nothing more follows */
    PACKET_END,      /* from node 0: nothing more is expected */
    PACKET_KINDS
};

/* What the coordinator's machine tells the others. */
struct words {
    int32_t go, abort, stop, dismissed;
    uint64_t diverged, stopped_at, save_at, saved_at;
    uint64_t ops_allowed[MAX_STAGES];
    uint32_t slow_motion, unused;
};

struct version_row {
    int32_t version, uses, stashed, stash_first, stash_last;
};

/* What a node has used and moved in all; or in a second, as struct machine_word has it. */
struct node_use {
    uint64_t processor_ns, bytes_sent, bytes_received;
};

/* Bytes that a node has sent over a ring in a second. */
struct end_rate {
    uint64_t index, bytes;
};

enum { PACKET_RECORDS_MAX = 24 };

struct packet {
    uint32_t kind;
    int32_t index; /* of a ring, part, stage or epoch, as the kind has it */
    union {
        struct {
            struct message message;
            uint64_t stopped_at, save_at; /* stored before it was published: so they are there before it is seen */
        } message;
        uint64_t released;
        struct words words;
        struct {
            uint64_t diverged;
            int32_t stop, save;
        } asks;
        struct {
            double squares;
            int32_t updates, applied;
        } part;
        struct {
            int32_t state, pid, applied;
            int32_t version_count; /* negative: they were just being rewritten */
            uint64_t activity, since_ns, processor_ns;
            uint64_t published[RING_DIRECTIONS], released[RING_DIRECTIONS]; /* of the link to the part after it */
            uint64_t counters[sizeof(struct counters) / sizeof(uint64_t)];
            struct version_row versions[VERSION_USES_MAX];
        } block;
        struct {
            uint64_t count;
            struct op_record records[PACKET_RECORDS_MAX];
        } records;
        struct {
            char error[STAGE_ERROR_MAX], diverged[96];
        } texts;
        struct epoch_result epoch;
        struct {
            char set[CHECKPOINT_NAME_MAX], name[CHECKPOINT_NAME_MAX];
            uint64_t bytes;
        } file;
        int32_t reason; /* an errno, or 0 */
        struct {
            int32_t epoch;
            uint64_t passing; /* its stop_point(), or 0: it is the epoch's */
            struct saved_file file, versions[MAX_STAGES];
            struct epoch_sums sums;
        } saved;
        struct {
            int32_t pid;
            char host[64];
        } present;
        char error[256];
        int32_t status;    /* waitpid's */
        uint64_t asked_ns; /* of a ping */
        struct {
            uint64_t asked_ns, answered_ns;
            struct node_use use, rate;
            uint64_t end_count;
            struct end_rate ends[RING_DIRECTIONS * MAX_PARTS];
        } pong;
    } body;
};
_Static_assert(sizeof(struct counters) % sizeof(uint64_t) == 0, "counters are of whole words");

/* Whether a packet, of which so many bytes have come, is all there and one that a node tells the other. */
bool packet_is_sound(const struct packet *packet, size_t bytes, int from, int to);

#endif
