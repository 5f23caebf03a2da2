/* The tables of orders and systems. */
#include "schedule/system.h"

#include <string.h>

const struct order orders[ORDERS] = {
    [ORDER_NF1B] =
        {
            .name = "nF1B",
            .summary = "N forwards, then one backward of the whole mini-batch; no flush",
            .whole_backward = true,
            .limit = LIMIT_MINIBATCHES,
        },
    [ORDER_1F1B] =
        {
            .name = "1F1B",
            .summary = "one forward, one backward, mini-batches not split; no flush",
            .whole_backward = true,
            .limit = LIMIT_MINIBATCHES,
            .microbatches = 1,
        },
    [ORDER_1F1B_NO_FLUSH] =
        {
            .name = "1F1B-no-flush",
            .summary = "one forward, one backward of micro-batches; no flush",
            .limit = LIMIT_MICROBATCHES,
        },
    [ORDER_FILL_DRAIN] =
        {
            .name = "fill-drain",
            .summary = "all N forwards, then all N backwards, then a flush",
            .fill_first = true,
            .flush = true,
            .limit = LIMIT_NONE,
        },
    [ORDER_1F1B_FLUSH] =
        {
            .name = "1F1B-flush",
            .summary = "one forward, one backward of micro-batches, then a flush",
            .flush = true,
            .limit = LIMIT_MICROBATCHES,
        },
    [ORDER_ZB_H1] =
        {
            .name = "ZB-H1",
            .summary = "1F1B with a flush, weight-gradient halves put off to fill the bubble",
            .flush = true,
            .split_backward = true,
            .limit = LIMIT_MICROBATCHES,
        },
    [ORDER_SEQUENTIAL] =
        {
            .name = "sequential",
            .summary = "one mini-batch at a time: a forward, a backward, a flush",
            .whole_backward = true,
            .flush = true,
            .limit = LIMIT_MINIBATCHES,
            .microbatches = 1,
        },
};

const struct system systems[] = {
    {"timeprest", ORDER_NF1B, FORWARD_PINNED, BACKWARD_COMMITTED, "each mini-batch", "arXiv 2410.14312"},
    {"v-timeprest", ORDER_NF1B, FORWARD_LIVE, BACKWARD_LIVE, "each mini-batch", "arXiv 2509.23241"},
    {"i-timeprest", ORDER_NF1B, FORWARD_PINNED, BACKWARD_INTERMEDIATE, "each mini-batch", "arXiv 2509.23241"},
    {"pipedream", ORDER_1F1B, FORWARD_LIVE, BACKWARD_FORWARD, "each mini-batch", "arXiv 1806.03377"},
    {"pipedream-2bw", ORDER_1F1B_NO_FLUSH, FORWARD_DOUBLE_BUFFERED, BACKWARD_FORWARD, "every N micro-batches",
     "arXiv 2006.09503"},
    {"gpipe", ORDER_FILL_DRAIN, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 1811.06965"},
    {"1f1b", ORDER_1F1B_FLUSH, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2007.01045"},
    {"zb-h1", ORDER_ZB_H1, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2401.10241"},
    {"naive", ORDER_SEQUENTIAL, FORWARD_LIVE, BACKWARD_LIVE, "each mini-batch", "model parallelism"},
};
const int system_count = sizeof(systems) / sizeof(systems[0]);

const struct system *system_find(const char *name)
{
    for (int k = 0; k < system_count; k++)
        if (strcmp(systems[k].name, name) == 0)
            return &systems[k];
    return NULL;
}

const char *forward_rule_name(enum forward_rule rule)
{
    static const char *const names[] = {
        [FORWARD_LIVE] = "live",
        [FORWARD_PINNED] = "pinned",
        [FORWARD_DOUBLE_BUFFERED] = "double-buffered",
    };
    return names[rule];
}

const char *backward_rule_name(enum backward_rule rule)
{
    static const char *const names[] = {
        [BACKWARD_LIVE] = "live",
        [BACKWARD_FORWARD] = "forward",
        [BACKWARD_COMMITTED] = "committed",
        [BACKWARD_INTERMEDIATE] = "intermediate",
    };
    return names[rule];
}
