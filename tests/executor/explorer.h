/* What test_executor.c shares with what it puts in the place of other modules: the stages as coroutines. */
#ifndef TP_TESTS_EXPLORER_H
#define TP_TESTS_EXPLORER_H

#include <stdbool.h>
#include <ucontext.h>

#include "stages/internal.h"

enum {
    STAGES_MAX = 3,
    EXPLORED_PARTS_MAX = 3,
    STACK_BYTES = 16 << 10,
    HEAP_BYTES = 2 << 10,
    SLOTS_MAX = 16,
    INPUTS_MAX = 28
};
enum { DEPTH_MAX = 2000 };

/* Where a stage has been held up. */
enum place { BEGUN, IN_FORWARD, IN_BACKWARD, RINGING, SILENCING, WAITING, DONE };

/* A part in its stage: what a kernel is given to know it by. */
struct compute {
    struct part part;
    float sets[SLOTS_MAX], images[INPUTS_MAX];
    float state, statistics; /* the newest mini-batch whose forward has run in training; and a checkpoint's copy */
    uint64_t copied[INPUTS_MAX];
    struct loss_result loss[LOSSES];
    double norm;
};

/* All that changes while a stage runs, but for the links. */
extern struct actor {
    enum place place;
    int part;     /* whose pass it is in or has just done */
    int op;       /* the kind of that pass */
    int first;    /* and its first micro-batch */
    int rung;     /* doorbells since then */
    int doorbell; /* how often it has been rung and not been heard */
    bool silent;  /* it was silenced before the look that comes, or that led to the pass */
    int late;     /* of `doorbell`, since then */
    int asked;    /* parts, since then */
    ucontext_t context;
    size_t heap_used;
    _Alignas(16) unsigned char heap[HEAP_BYTES]; /* what the stage allocates */
    _Alignas(16) unsigned char stack[STACK_BYTES];
    struct stage stage;
    struct compute parts[EXPLORED_PARTS_MAX];
} actors[STAGES_MAX];

extern struct explorer {
    struct segment segment;
    struct simulation *simulation; /* static order, and orders that are lists */
    int stages, parts, epochs;
    bool stops; /* explore stop requests */
    bool saves; /* and requests of a checkpoint */
    ucontext_t context;
    int choice, choices; /* of the ops that it could take, which it takes */
    bool no_choice;      /* there was no such op */
    struct moment *moments[DEPTH_MAX];
    struct {
        int stage; /* 0: a request to stop; -1: of a checkpoint */
        enum place place;
    } path[DEPTH_MAX];
    int depth;
} explorer;

/* The plan that is explored, and the stage that runs; 0: none. */
extern struct plan explored;
extern int running;

/* Part k, 1..C, at whichever stage it is. */
struct compute *part_at(int k);

/* The running stage is held up; the scheduler goes on. */
void hold(enum place place);

/* tests/executor/seen.c: takes note of the present state; false if it was seen before. And forgets all. */
bool seen_add(void);
void seen_clear(void);

/* Fails the test, with the path that led here. */
__attribute__((format(printf, 1, 2), noreturn)) void report(const char *format, ...);

#define require(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            report(__VA_ARGS__);                                                                                       \
    } while (0)

#endif
