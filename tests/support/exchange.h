/* Stages that do nothing but exchange messages over real links, each in a process of its own, for one part or several.
 * Part 1 draws what every message says; the others pass it on from slot to slot, down and up again, and all look at every
 * byte of it: when it comes, and once more before they let go of the slot, which is then wiped. */
#ifndef TP_TESTS_EXCHANGE_H
#define TP_TESTS_EXCHANGE_H

#include "transport/link.h"

enum { EXCHANGE_STAGES_MAX = 4, EXCHANGE_PARTS_MAX = 3, EXCHANGE_HOST = -1 };

/* Where a stage is. */
enum exchange_point {
    POINT_BEGUN,
    POINT_DEVICE_OPEN,
    POINT_LINKS_OPEN,
    POINT_CONNECTED,
    POINT_TAKEN,   /* an activation, and nothing of it is read */
    POINT_WRITTEN, /* an activation, and it is not published */
    POINT_READ,    /* all of a slot, and it is not released */
    POINT_DONE,    /* with all messages */
    POINT_CLOSED,  /* its links */
    POINTS
};

struct exchange_stage;

struct exchange {
    int stages, parts; /* of each stage */
    enum placement placement;
    int devices[EXCHANGE_STAGES_MAX]; /* each stage's GPU, or EXCHANGE_HOST */
    bool staged;                      /* between GPUs, too */
    enum device_sync sync;
    int activation_slots, gradient_slots; /* of each link */
    int microbatches;                     /* of a slot */
    int floats;                           /* of a message, at most */
    int minibatches;
    int starts; /* links are opened and closed so often */
    /* What else a stage does there; NULL: nothing, and what goes wrong is said on stderr. */
    void (*at)(struct exchange_stage *stage, enum exchange_point point);
    const void *context; /* for it */
};

struct exchange_part {
    int index; /* 1.. */
    struct link_ends ends;
    int forwards, backwards; /* messages and slots done since the start */
};

struct exchange_stage {
    const struct exchange *exchange;
    const struct segment *segment; /* of this start */
    uint32_t heard;                /* of its doorbell */
    int index;                     /* 1.. */
    struct device *device;
    struct links links;
    struct exchange_part parts[EXCHANGE_PARTS_MAX];
};

/* How a stage ended; of one that was killed, minus the signal. */
enum { EXCHANGE_FINE = 0, EXCHANGE_MISMATCH = 3, EXCHANGE_ABORTED, EXCHANGE_FAILED };

/* Runs it; results[stages]. When a stage ends otherwise than well, the others are told to abort. Returns for how many
 * seconds the last one survived that. */
double exchange_run(const struct exchange *exchange, int *results);

#endif
