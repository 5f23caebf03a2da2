/* One stage's lane: spans of time in columns. A span narrower than a column shares it with others; the column then shows
 * what took most of it, and is marked where that is less than half. */
#ifndef TP_MONITOR_LANE_H
#define TP_MONITOR_LANE_H

#include "monitor/axis.h"
#include "telemetry/timeline.h"

enum { LANE_COLUMNS_MAX = 1024 };

struct lane {
    const struct plan *plan;
    struct time_axis axis;
    const struct op_record *selected; /* of this stage; NULL: none */
    enum colouring colouring;         /* by mini-batch, unless it is changed */
    struct lane_column {
        struct span owner;
        uint64_t owned, taken; /* ns of the column that the owner, and all spans, take; */
        uint64_t busy;         /* and ops alone */
    } columns[LANE_COLUMNS_MAX];
};

/* The lane shows at most LANE_COLUMNS_MAX columns of the axis. No op is selected. */
void lane_begin(struct lane *lane, const struct plan *plan, const struct time_axis *axis);

/* A span_visitor; the context is the lane. Spans come in order and do not overlap. */
void lane_add(void *lane, const struct span *span);

/* How much of the columns from `first` to before `end` no op takes, 0 to 1. */
double lane_idle_share(const struct lane *lane, int first, int end);

/* In which of a lane's rows names stand; there is one below it for versions, if there is more than one. */
int lane_name_row(int rows);

/* Over all rows of the canvas, column 0 being the axis's first. */
void lane_draw(const struct lane *lane, const struct canvas *canvas);

/* The glyphs and their meanings, in one row or as much of it as fits. */
void lane_legend(const struct plan *plan, const struct canvas *canvas, int row, enum colouring colouring,
                 bool interactive);

/* How an op's name is written on it. */
struct style lane_style(const struct span *span, enum colouring colouring);

/* Of the chain of updates that a mini-batch is in, with version difference v: i reads what i - v has made. */
struct style lane_chain_style(int minibatch, int v);

/* "v7", what the op read; "" if that is not known. */
enum { LANE_VERSION_MAX = 16 };
const char *lane_version(const struct span *span, char text[LANE_VERSION_MAX]);

/* "mini-batch", ...: what colours stand for. */
const char *lane_colouring_name(enum colouring colouring);

/* A wait's letter and colour. */
struct wait_mark {
    char letter;
    enum colour colour;
    const char *name, *brief;
};
struct wait_mark lane_wait(enum wait_cause cause);
extern const struct wait_mark lane_held;

#endif
