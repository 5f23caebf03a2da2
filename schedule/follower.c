#include "schedule/follower.h"

#include <stdlib.h>

struct follower {
    const struct schedule *schedule;
    const struct simulation *simulation;
    struct version_tracker *parts[]; /* [C] */
};

struct follower *follower_create(const struct schedule *schedule, const struct simulation *simulation)
{
    const int parts = schedule_part_count(schedule);
    struct follower *follower = calloc(1, sizeof(*follower) + (size_t)parts * sizeof(follower->parts[0]));

    if (follower == NULL)
        return NULL;
    follower->schedule = schedule;
    follower->simulation = simulation;
    for (int k = 0; k < parts; k++)
        if ((follower->parts[k] = versions_create(schedule, k + 1, 0)) == NULL) {
            follower_destroy(follower);
            return NULL;
        }
    return follower;
}

void follower_destroy(struct follower *follower)
{
    for (int k = 0; follower && k < schedule_part_count(follower->schedule); k++)
        versions_destroy(follower->parts[k]);
    free(follower);
}

struct op_versions follower_begin(struct follower *follower, const struct op *op)
{
    struct version_tracker *tracker = follower->parts[op->part - 1];
    struct op_versions versions = {.read_first = VERSION_UNKNOWN,
                                   .read_last = VERSION_UNKNOWN,
                                   .live = versions_live(tracker),
                                   .made = VERSION_UNKNOWN};

    if (schedule_updates_after(follower->schedule, op))
        versions.made = versions_live(tracker) + 1;
    if (op->kind == OP_FORWARD) {
        const int read =
            versions_begin_forward(tracker, op, simulation_pin(follower->simulation, op->minibatch, op->first));

        versions.forward = read;
        versions.read_first = versions.read_last =
            forward_reading(follower->schedule->forward)->terms ? VERSION_SUM : read;
        return versions;
    }
    versions_begin_backward(tracker, op, simulation_committed(follower->simulation, op->minibatch));
    versions.forward = versions_of_backward(tracker, op->minibatch, op->first).forward;
    if (op->kind != OP_BACKWARD_WEIGHTS) {
        versions.read_first = versions_of_backward(tracker, op->minibatch, op->first).read;
        versions.read_last = versions_of_backward(tracker, op->minibatch, op->first + op->count - 1).read;
    }
    return versions;
}

void follower_end(struct follower *follower, const struct op *op)
{
    struct version_tracker *tracker = follower->parts[op->part - 1];

    versions_end(tracker, op);
    if (schedule_updates_after(follower->schedule, op))
        versions_update(tracker);
}

int follower_uses(const struct follower *follower, int part, struct version_use uses[VERSION_USES_MAX])
{
    return versions_uses(follower->parts[part - 1], uses);
}
