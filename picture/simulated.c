#include "picture/simulated.h"

#include <string.h>

static int add_stage(struct panel *panel, struct follower *follower, const struct schedule *schedule,
                     const struct simulation *simulation, int stage, uint64_t length)
{
    for (int k = 0; k < simulation_op_count(simulation, stage); k++) {
        const struct timed_op timed = simulation_op(simulation, stage, k);
        struct panel_span span = {.span = {.start = (uint64_t)timed.start,
                                           .end = (uint64_t)timed.end,
                                           .kind = SPAN_OP,
                                           .phase = PHASE_TRAIN,
                                           .op = timed.op,
                                           .number = timed.op.minibatch,
                                           .updated = schedule_updates_after(schedule, &timed.op)}};

        if (span.span.start >= length)
            break;
        const struct op_versions versions = follower_begin(follower, &timed.op);
        span.read_first = versions.read_first;
        span.read_last = versions.read_last;
        span.made = versions.made;
        follower_end(follower, &timed.op);
        if (panel_add(panel, stage - 1, &span))
            return -1;
    }
    return 0;
}

int panel_of_simulation(struct panel **out, const struct plan *plan, const struct schedule *schedule,
                        const struct simulation *simulation, uint64_t length, struct error *error)
{
    struct follower *follower = follower_create(schedule, simulation);
    int result;

    *out = follower ? panel_create(plan, schedule->stages) : NULL;
    result = *out ? 0 : -1;
    for (int s = 1; result == 0 && s <= schedule->stages; s++)
        result = add_stage(*out, follower, schedule, simulation, s, length);
    follower_destroy(follower);
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
