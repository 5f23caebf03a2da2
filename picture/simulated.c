#include "picture/simulated.h"

#include <stdlib.h>
#include <string.h>

/* Follows the versions of a stage's parts. */
struct follower {
    const struct schedule *schedule;
    const struct simulation *simulation;
    struct version_tracker **parts; /* [C] */
};

static void stop_following(struct follower *follower)
{
    for (int k = 0; follower->parts && k < schedule_part_count(follower->schedule); k++)
        versions_destroy(follower->parts[k]);
    free(follower->parts);
}

static int follow(struct follower *follower, const struct schedule *schedule, const struct simulation *simulation)
{
    const int parts = schedule_part_count(schedule);

    *follower = (struct follower){schedule, simulation, calloc((size_t)parts, sizeof(*follower->parts))};
    for (int k = 0; follower->parts && k < parts; k++)
        if ((follower->parts[k] = versions_create(schedule, k + 1, 0)) == NULL)
            return -1;
    return follower->parts ? 0 : -1;
}

/* The op runs to its end; what it read, and what its update made. */
static void add_versions(const struct follower *follower, const struct op *op, struct panel_span *span)
{
    struct version_tracker *tracker = follower->parts[op->part - 1];

    span->read_first = span->read_last = span->made = VERSION_UNKNOWN;
    if (op->kind == OP_FORWARD) {
        span->read_first =
            versions_begin_forward(tracker, op, simulation_pin(follower->simulation, op->minibatch, op->first));
        if (forward_reading(follower->schedule->forward)->terms)
            span->read_first = VERSION_SUM;
        span->read_last = span->read_first;
    } else {
        versions_begin_backward(tracker, op, simulation_committed(follower->simulation, op->minibatch));
        if (op->kind != OP_BACKWARD_WEIGHTS) {
            span->read_first = versions_of_backward(tracker, op->minibatch, op->first).read;
            span->read_last = versions_of_backward(tracker, op->minibatch, op->first + op->count - 1).read;
        }
    }
    versions_end(tracker, op);
    if (!span->span.updated)
        return;
    versions_update(tracker);
    span->made = versions_live(tracker);
}

static int add_stage(struct panel *panel, const struct follower *follower, int stage, uint64_t length)
{
    for (int k = 0; k < simulation_op_count(follower->simulation, stage); k++) {
        const struct timed_op timed = simulation_op(follower->simulation, stage, k);
        struct panel_span span = {.span = {.start = (uint64_t)timed.start,
                                           .end = (uint64_t)timed.end,
                                           .kind = SPAN_OP,
                                           .phase = PHASE_TRAIN,
                                           .op = timed.op,
                                           .number = timed.op.minibatch,
                                           .updated = schedule_updates_after(follower->schedule, &timed.op)}};

        if (span.span.start >= length)
            break;
        add_versions(follower, &timed.op, &span);
        if (panel_add(panel, stage - 1, &span))
            return -1;
    }
    return 0;
}

int panel_of_simulation(struct panel **out, const struct plan *plan, const struct schedule *schedule,
                        const struct simulation *simulation, uint64_t length, struct error *error)
{
    struct follower follower;
    int result = follow(&follower, schedule, simulation);

    *out = result == 0 ? panel_create(plan, schedule->stages) : NULL;
    if (!*out)
        result = -1;
    for (int s = 1; result == 0 && s <= schedule->stages; s++)
        result = add_stage(*out, &follower, s, length);
    stop_following(&follower);
    if (result) {
        panel_destroy(*out);
        *out = NULL;
        return error_set(error, "out of memory for the picture");
    }
    const char *slash = strrchr(plan->config.pipeline.system, '/'); /* a schedule file */
    snprintf((*out)->title, sizeof((*out)->title), "%.120s: W = %d, N = %d",
             slash ? slash + 1 : plan->config.pipeline.system, schedule->stages, schedule->microbatches);
    return 0;
}
