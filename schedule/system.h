/* The published systems, each a row of rules: an order of work, what a forward reads, what a backward reads, how an update
 * minds that it is stale (rules/). docs/systems.md explains them; nothing else in the project knows their names. */
#ifndef TP_SCHEDULE_SYSTEM_H
#define TP_SCHEDULE_SYSTEM_H

#include <stdbool.h>

#include "base/error.h"
#include "rules/reading.h"
#include "rules/update_rule.h"
#include "schedule/parts.h"

/* How far forwards may run ahead of backwards at a stage. With a split backward W - s + 1 counts up to the input half,
 * and a second limit, W at every stage, up to the weight half: see schedule_next. */
enum in_flight_limit {
    LIMIT_MINIBATCHES,        /* at most W - s + 1 mini-batches between their first forward and their backward (NOAM) */
    LIMIT_MICROBATCHES,       /* at most W - s + 1 micro-batches */
    LIMIT_MICROBATCHES_TWICE, /* at most 2 (W - s) + 1 */
    LIMIT_LIST,               /* as many mini-batches as a schedule file has (struct schedule) */
    LIMIT_NONE                /* as many as the phase, or with a flush the mini-batch, has */
};

/* How a stage orders its work. In every order forwards and backwards each go by mini-batch, then micro-batch, and a
 * backward that can run goes before a forward. A split backward needs the flush: without it stage 1 could finish an
 * update before a later stage that has put its weight half off, and pin a version that does not exist there yet. */
struct schedule;
struct op;
struct order {
    const char *name;
    const char *summary;
    bool whole_backward; /* one backward covers all N micro-batches; otherwise each has its own */
    bool fill_first;     /* a mini-batch's backwards start after all its forwards at this stage */
    bool flush;          /* a mini-batch's forwards start after the update before it at this stage */
    bool split_backward; /* input-gradient half now, weight-gradient half when nothing else can run (Zero Bubble) */
    enum in_flight_limit limit;
    int microbatches;         /* the N it needs; 0 = any */
    int parts;                /* per stage, where nobody asks for others */
    enum placement placement; /* of those parts, likewise */
    /* Orders that are lists (schedule/orders/) have more: NULL for those that schedule_next describes, which have one
     * part per stage. The ops of one mini-batch (number 1) at a stage, in the order in which they run; `ops` holds
     * 3 c N. Returns their number. And whether W, N, c and the placement suit the order: -1 and what would be right. */
    int (*generate)(const struct schedule *schedule, int stage, struct op *ops);
    int (*check)(const struct schedule *schedule, struct error *error);
};

enum order_name {
    ORDER_NF1B,
    ORDER_1F1B,
    ORDER_1F1B_NO_FLUSH,
    ORDER_FILL_DRAIN,
    ORDER_1F1B_FLUSH,
    ORDER_ZB_H1,
    ORDER_ZB_H2,
    ORDER_SEQUENTIAL,
    ORDER_INTERLEAVED,
    ORDER_BREADTH_FIRST,
    ORDER_ZB_V,
    ORDER_DUALPIPE_V,
    ORDERS
};
extern const struct order orders[ORDERS];

struct system {
    const char *name;
    enum order_name order;
    enum forward_rule forward;
    enum backward_rule backward;
    const char *update; /* for the reader: an update always follows a mini-batch's last backward at a stage */
    const char *source; /* the paper */
    enum update_rule_name rule;
    const char *optimizer; /* NULL: sgd */
};

/* Those whose order is a list come last. */
extern const struct system systems[];
extern const int system_count, asking_system_count; /* of all; of those that ask schedule_next */

/* NULL if there is no such system. */
const struct system *system_find(const char *name);

/* The N that is asked for, unless the system cannot have it: then the nearest that it can, with so many stages. */
int system_microbatches(const struct system *system, int asked, int stages);

#endif
