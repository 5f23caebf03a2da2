/* The tables of orders and systems. */
#include "schedule/system.h"

#include <string.h>

#include "schedule/orders/orders.h"

const struct order orders[ORDERS] = {
    [ORDER_NF1B] =
        {
            .name = "nF1B",
            .summary = "N forwards, then one backward of the whole mini-batch; no flush",
            .whole_backward = true,
            .limit = LIMIT_MINIBATCHES,
            .parts = 1,
        },
    [ORDER_1F1B] =
        {
            .name = "1F1B",
            .summary = "one forward, one backward, mini-batches not split; no flush",
            .whole_backward = true,
            .limit = LIMIT_MINIBATCHES,
            .microbatches = 1,
            .parts = 1,
        },
    [ORDER_1F1B_NO_FLUSH] =
        {
            .name = "1F1B-no-flush",
            .summary = "one forward, one backward of micro-batches; no flush",
            .limit = LIMIT_MICROBATCHES,
            .parts = 1,
        },
    [ORDER_FILL_DRAIN] =
        {
            .name = "fill-drain",
            .summary = "all N forwards, then all N backwards, then a flush",
            .fill_first = true,
            .flush = true,
            .limit = LIMIT_NONE,
            .parts = 1,
        },
    [ORDER_1F1B_FLUSH] =
        {
            .name = "1F1B-flush",
            .summary = "one forward, one backward of micro-batches, then a flush",
            .flush = true,
            .limit = LIMIT_MICROBATCHES,
            .parts = 1,
        },
    [ORDER_ZB_H1] =
        {
            .name = "ZB-H1",
            .summary = "1F1B with a flush, weight-gradient halves put off to fill the bubble",
            .flush = true,
            .split_backward = true,
            .limit = LIMIT_MICROBATCHES,
            .parts = 1,
        },
    [ORDER_ZB_H2] =
        {
            .name = "ZB-H2",
            .summary = "ZB-H1 with twice as many micro-batches in flight, which fill the way in as well",
            .flush = true,
            .split_backward = true,
            .limit = LIMIT_MICROBATCHES_TWICE,
            .parts = 1,
        },
    [ORDER_SEQUENTIAL] =
        {
            .name = "sequential",
            .summary = "one mini-batch at a time: a forward, a backward, a flush",
            .whole_backward = true,
            .flush = true,
            .limit = LIMIT_MINIBATCHES,
            .microbatches = 1,
            .parts = 1,
        },
    [ORDER_INTERLEAVED] =
        {
            .name = "interleaved-1F1B",
            .summary = "1F1B with a flush, the stage's parts in turns of W micro-batches",
            .flush = true,
            .limit = LIMIT_NONE,
            .parts = 2,
            .generate = interleaved_generate,
            .check = interleaved_check,
        },
    [ORDER_BREADTH_FIRST] =
        {
            .name = "breadth-first",
            .summary = "all N micro-batches through one part, then through the next; then back, then a flush",
            .flush = true,
            .limit = LIMIT_NONE,
            .parts = 2,
            .generate = breadth_first_generate,
            .check = breadth_first_check,
        },
    [ORDER_ZB_V] =
        {
            .name = "ZB-V",
            .summary = "two parts in a V, both 1F1B with a flush, weight-gradient halves where it would be idle",
            .flush = true,
            .split_backward = true,
            .limit = LIMIT_NONE,
            .parts = 2,
            .placement = PLACEMENT_V,
            .generate = zb_v_generate,
            .check = zb_v_check,
        },
    [ORDER_DUALPIPE_V] =
        {
            .name = "DualPipeV",
            .summary = "two parts in a V, a forward of one with a backward of the other, then a flush",
            .flush = true,
            .split_backward = true,
            .limit = LIMIT_NONE,
            .parts = 2,
            .placement = PLACEMENT_V,
            .generate = dualpipe_v_generate,
            .check = dualpipe_v_check,
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
    {"zb-h2", ORDER_ZB_H2, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2401.10241"},
    {"naive", ORDER_SEQUENTIAL, FORWARD_LIVE, BACKWARD_LIVE, "each mini-batch", "model parallelism"},
    {"interleaved-1f1b", ORDER_INTERLEAVED, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2104.04473"},
    {"breadth-first", ORDER_BREADTH_FIRST, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2211.05953"},
    {"zb-v", ORDER_ZB_V, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2405.15362"},
    {"dualpipe-v", ORDER_DUALPIPE_V, FORWARD_LIVE, BACKWARD_LIVE, "at the flush", "arXiv 2412.19437"},
};
const int system_count = sizeof(systems) / sizeof(systems[0]);
const int asking_system_count = sizeof(systems) / sizeof(systems[0]) - 4;

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
