/* What the files of the simulator share. */
#ifndef TP_SCHEDULE_SIMULATE_INTERNAL_H
#define TP_SCHEDULE_SIMULATE_INTERNAL_H

#include "schedule/simulate.h"

/* An op in little room: long simulations have millions. */
struct packed_op {
    int32_t minibatch;
    uint16_t first, count, part;
    uint8_t kind;
};
struct op_time {
    int64_t start, end;
};

/* Messages on their way, in one direction of a link: a queue in a circle. */
struct message_on_way {
    int64_t arrival;
    int count; /* micro-batches */
};
struct channel {
    struct message_on_way *queue; /* [capacity] */
    int capacity, head, count;
    int seen; /* micro-batches whose message has arrived */
    int64_t free_at;
};

/* A machine's cable: when its two directions are free again. */
enum { CABLES_MAX = 64 };
struct cable {
    int64_t out_free_at, in_free_at;
};

struct running_part {
    struct progress progress;
    struct channel activations, gradients; /* that come to this part */
};

struct running_stage {
    enum { WAITING, COMPUTING, UPDATING } state;
    int64_t since; /* WAITING: when it last asked what is next */
    int64_t until; /* COMPUTING, UPDATING */
    struct next next;
    bool doorbell; /* something has happened that may make it runnable */
    int begun;     /* ops */
    int in_flight; /* micro-batches, of all its parts */
    int capacity;  /* of what the simulated stage keeps of them */
    struct timed_op current;
};

/* When something happens at a stage. */
struct event {
    int64_t time;
    int stage; /* 0-based */
};

/* Numbers that grow one by one. */
struct numbers {
    int64_t *values;
    int count, capacity;
};

/* Where the simulation stood when the pipeline was in some state. */
struct place {
    int64_t time;
    int updates; /* of part 1 */
    int committed_count, pin_count;
    struct numbers state;  /* all that decides what happens from here on, but for the numbers of mini-batches */
    int *begun;            /* [W] */
    int64_t *busy, *waits; /* [W], [W][WAIT_CAUSES] */
};

struct simulator {
    struct schedule schedule; /* its mini-batches without the repetitions that are left out */
    int minibatches;          /* with them */
    const struct timing *timing;
    const struct simulation *replayed;
    struct op_list *lists; /* [stages], of an order that is one; else NULL */
    bool keep_ops;
    int64_t now;
    struct running_stage *stages; /* [W] */
    struct running_part *parts;   /* [C] */
    struct cable cables[CABLES_MAX];
    int cable_count;      /* 0: each link has its own */
    struct event *events; /* [event_count], a heap: the earliest first */
    int event_count, event_capacity;
    int *changed; /* [changed_count] stages whose doorbell has rung */
    int changed_count;
    struct numbers committed, pins, update_times; /* of part 1's updates */
    bool updated;                                 /* part 1 has applied one since the last look for a cycle */
    bool looks_for_cycle;
    struct place past, present;
    bool out_of_memory;
    struct simulation *simulation;
};

/* -1 if out of memory. */
int numbers_add(struct numbers *numbers, int64_t value);

static inline struct running_part *part_of(const struct simulator *simulator, int part)
{
    return &simulator->parts[part - 1];
}

static inline int stage_of(const struct simulator *simulator, int part)
{
    return schedule_stage_of(&simulator->schedule, part) - 1;
}

/* Of an op of this many micro-batches, in this mini-batch, if `time` is what the order's ops usually take. */
int64_t simulator_scaled(const struct simulator *simulator, const struct op *op, int64_t time);

/* schedule/simulate_links.c: the heap of events, and what goes between parts. */
void simulator_push(struct simulator *simulator, int64_t time, int stage);
struct event simulator_pop(struct simulator *simulator);

/* Something has happened that may make a stage (0-based) runnable. */
void simulator_ring(struct simulator *simulator, int stage);

/* The op that has ended sends its result on its way. */
void simulator_send(struct simulator *simulator, const struct op *op);

/* What has come to a part from its neighbours, and what room they have. */
void simulator_look_around(struct simulator *simulator, int part);

/* Micro-batches whose activations a part has let go; and of those that it sent to the next one, how many both have. */
int simulator_let_go(const struct simulator *simulator, int part);
int simulator_let_go_on_link(const struct simulator *simulator, int part);

/* schedule/simulate_cycle.c: after an update of part 1. Looks whether the pipeline is in a state in which it was before;
 * if so, leaves repetitions out. -1 if out of memory. */
int cycle_look(struct simulator *simulator);
int cycle_prepare(struct simulator *simulator);
void cycle_release(struct simulator *simulator);

/* schedule/simulation.c: what follows from what was played. */
int simulation_summarize(struct simulation *simulation, const struct simulator *simulator);

#endif
