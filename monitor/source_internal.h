/* What a kind of source is: its functions, and what both kinds have. */
#ifndef TP_MONITOR_SOURCE_INTERNAL_H
#define TP_MONITOR_SOURCE_INTERNAL_H

#include "monitor/source.h"

struct source_kind {
    void (*look)(struct source *source, struct moment *moment);
    bool (*key)(struct source *source, int key, int stage);
    void (*close)(struct source *source);
    int (*seek)(struct source *source, double seconds, struct error *error); /* NULL: there is only now */
    void (*go)(struct source *source, int epoch, int minibatch);             /* likewise */
};

/* The first member of each kind's own struct. */
struct source {
    const struct source_kind *kind;
    struct snapshot snapshot;
    struct history history;
    struct curve curve;
    char message[STAGE_ERROR_MAX + 64];
    uint64_t said_ns; /* when it was said: it leaves after some seconds */
};

/* A key of time and what it does. */
struct time_key {
    int key;
    void (*press)(struct source *source, int stage);
};

/* A key's row in a table that ends with key 0, or NULL; and presses it: false if it has none. */
const struct time_key *source_find(const struct time_key *keys, int key);
bool source_press(const struct time_key *keys, struct source *source, int key, int stage);

#endif
