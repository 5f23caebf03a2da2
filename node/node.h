/* tpnode: the run's process on a machine, of runs on several. It is the other end of every ring that leaves the machine, tells
 * the coordinator's machine what the stages here show, and tells these what the run wants. Stages know nothing of it.
 *
 * Node 0 shares the coordinator's segment and starts no stage. Each of the others makes its machine's segment and starts its
 * stages. Whatever is told is told of a state, when that has changed and there is room: so nothing queues up here. */
#ifndef TP_NODE_NODE_H
#define TP_NODE_NODE_H

#include "base/file.h"
#include "board/segment.h"
#include "coordinator/process.h"
#include "node/net.h"
#include "transport/ring.h"

/* A message that is on its way. */
struct passage {
    struct message message;
    int transfer; /* of net_send or net_receive */
};

/* This node's end of a ring of which one side is on another machine. */
struct far_end {
    struct ring_end ring;
    int index; /* of the ring: 2 (link - 1) + direction */
    int peer;
    int part;                 /* the one here */
    enum ring_side side;      /* this node's: it takes what the part publishes, or publishes for it */
    struct passage *passages; /* [message_capacity] */
    uint64_t begun, done;     /* messages */
    uint64_t released;        /* slots that the consumer has let go: as it has told, or was told */
    uint64_t bytes, rated;    /* sent, in all, and when the last second was over; */
    uint64_t rate;            /* and in that */
};

/* What a part that other machines read has told each of them. */
struct told_read {
    int32_t updates, applied;
};

/* What node 0 has been told of a part here. */
struct told_part {
    uint64_t records;
    bool texts;
    int epoch;       /* of the newest checkpoint at an epoch's end */
    uint64_t passed; /* the newest stop_point() of one that the run passed */
};

/* A file that goes to a peer, or comes from it: one at a time each way. */
struct parcel {
    bool going;           /* from the packet until the answer */
    void *bytes;          /* sent: the mapped file. Received: what is under way */
    size_t size, moved;   /* of the file, */
    size_t under_way;     /* and in the transfer */
    int transfer;         /* valid if anything is under way */
    int folder;           /* received */
    struct new_file file; /* received */
    int reason;           /* an errno: why it could not be received, or as the peer has said */
};

/* A part's files of a checkpoint, on their way to node 0. */
struct saving {
    int part; /* 0: none */
    int epoch;
    uint64_t passing; /* its stop_point(), or 0: it is the epoch's */
    int next;         /* file: older versions [0..], then the main one; one more: they are all told */
    struct saved_file file, versions[MAX_STAGES];
    char set[CHECKPOINT_NAME_MAX], name[CHECKPOINT_NAME_MAX]; /* of the file under way */
};

/* Files of a set: of each part, and of its older versions. */
enum { SUPPLIES_MAX = MAX_PARTS * (1 + MAX_STAGES) };

struct machine_clock {
    int64_t offset_ns; /* there minus here */
    uint64_t bound_ns, at_ns;
};

struct node {
    struct net *net;
    struct segment segment;
    const struct plan *plan;
    int machine, machines;
    struct processes processes;
    struct far_end *ends;
    int end_count;
    struct told_part parts[MAX_PARTS];
    struct told_read read[MAX_STAGES][MAX_PARTS];
    struct words words[MAX_STAGES]; /* node 0: told to each peer */
    int epochs;                     /* done: told to node 0, or heard by it */
    struct parcel sends[MAX_STAGES], comes[MAX_STAGES];
    struct saving saving;
    int folder;                               /* that checkpoints' files go to, or come from */
    char folder_path[CONFIG_PATH_MAX];        /* of that which this node has made, or "" */
    uint64_t heard_ns[MAX_STAGES];            /* of each peer */
    uint64_t pinged_ns, looked_ns, ending_ns; /* 0: it is not ending */
    uint64_t sent_bytes, received_bytes;      /* of links' messages */
    struct node_use rate, rated;              /* of the last second; in all, when it was over: */
    uint64_t rated_ns;
    struct machine_clock clocks[MAX_STAGES]; /* node 0 */
    int32_t ended[MAX_STAGES];               /* of stages here: waitpid's status | STAGE_ENDED, until it is told */
    bool left[MAX_STAGES], lost[MAX_STAGES]; /* peers that have said BYE; that are not heard of any more */
    bool told_bye, end;                      /* node 0 has said END */
    bool silent;                             /* a peer is lost: MPI cannot be left in order */
    bool failed;                             /* this node cannot go on: */
    struct error error;
    bool told_failed;
    char (*supplies)[CHECKPOINT_NAME_MAX];  /* node 0: the files from which the run goes on [supply_count], */
    int supply_count, supplied[MAX_STAGES]; /* and how many each peer has been sent */
    int asked;                              /* a descriptor of the signal to end */
    int coordinator;                        /* node 0: a descriptor of its process */
    uint32_t heard;                         /* of the doorbell */
};

/* The node cannot go on: the first reason counts. */
void node_fail(struct node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* node/hear.c: obeys what others have told; true if there was anything. Node 0: a machine is there, or cannot go on. */
bool hear_move(struct node *node);
void hear_present(struct node *node, int machine, const char *host, int pid);
void hear_failed(const struct node *node, int machine, const char *text);

/* node/links.c: rings that leave the machine. Their number of messages under way at most; a turn, true if anything moved. */
int links_find(struct node *node, struct error *error);
int links_transfers(const struct node *node);
bool links_move(struct node *node);
void links_message(struct node *node, const struct packet *packet);
void links_released(struct node *node, const struct packet *packet);
void links_free(struct node *node);

/* node/words.c: what the run wants, what stages ask of it, what parts read of one another. */
bool words_move(struct node *node);
void words_heard(struct node *node, const struct packet *packet);
void words_asked(struct node *node, const struct packet *packet);
void words_read(struct node *node, const struct packet *packet);

/* node/shows.c: what parts here show, told to node 0, whose segment then shows it. */
bool shows_move(struct node *node);
bool shows_all_told(const struct node *node);
void shows_heard(struct node *node, int peer, const struct packet *packet);

/* node/files.c: files of checkpoints. Sends all of a set to a peer and waits (before stages start); or receives it. */
bool files_move(struct node *node);
bool files_all_told(const struct node *node);
void files_file(struct node *node, int peer, const struct packet *packet);
void files_stored(struct node *node, int peer, const struct packet *packet);
void files_saved(struct node *node, const struct packet *packet);
int files_begin_send(struct node *node, int peer, const char *set, const char *name);

/* node/clocks.c: who is alive, and what time it is there. Seconds without a word end the run. */
void clocks_look(struct node *node, uint64_t now_ns);
void clocks_ping(struct node *node, int peer, const struct packet *packet);
void clocks_pong(struct node *node, int peer, const struct packet *packet);
uint64_t clocks_here(const struct node *node, int machine, uint64_t there_ns);

/* node/folder.c: the stand-in of the run folder on other machines. */
int folder_make(struct node *node, struct error *error);

#endif
