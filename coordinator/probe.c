#include "coordinator/probe.h"

#include <stdio.h>

#include "coordinator/child.h"
#include "coordinator/room.h"
#include "timing/layer_costs.h"

/* When somebody who waits wants to know for what. */
enum { PATIENCE_SECONDS = 3 };

/* The first stage of each place stands for all of them. */
static int probe_places(const struct probe_request *request, bool measured, struct layer_cost *costs,
                        struct error *error)
{
    bool done[PLACES] = {false};

    for (int s = 1; s <= request->plan->stage_count; s++) {
        const enum stage_place place = plan_place_of(request->plan, s);

        if (!done[place] && layer_costs_find(&costs[(int)place * request->network->layer_count], request->plan,
                                             request->network, plan_stage(request->plan, s), measured, error))
            return -1;
        done[place] = true;
    }
    return 0;
}

/* By costs without seconds; they would move the partition, but hardly the sum. */
static int check_room(const struct probe_request *request, const struct layer_cost *costs, struct error *error)
{
    const struct network *network = request->network;
    struct plan plan = *request->plan;
    bool on_cpu = false;

    for (int s = 1; s <= plan.stage_count; s++)
        on_cpu = on_cpu || plan_place_of(&plan, s) == PLACE_CPU;
    if (request->runs && (plan_finish(&plan, network, costs, error) || room_check(&plan, error)))
        return -1;
    if (!request->measured || !on_cpu)
        return 0;
    return room_check_bytes(layer_costs_bytes(&costs[PLACE_CPU * network->layer_count], &plan, network),
                            "measuring the layers", "lower data.batch", error);
}

/* In the child. */
static int probe(const void *context, void *result, struct error *error)
{
    const struct probe_request *request = context;
    struct layer_cost *costs = result;

    if (probe_places(request, false, costs, error) || check_room(request, costs, error))
        return -1;
    return request->measured ? probe_places(request, true, costs, error) : 0;
}

int probe_costs(const struct probe_request *request, struct layer_cost *costs, struct error *error)
{
    char patience[128];
    const struct child_task task = {
        .name = "the probe that tries every layer before the run",
        .run = probe,
        .context = request,
        .result = costs,
        .result_bytes = PLACES * (size_t)request->network->layer_count * sizeof(*costs),
        .patience_seconds = PATIENCE_SECONDS,
        .patience = patience,
        .signals = request->signals,
    };

    snprintf(patience, sizeof(patience), "trying each layer on mini-batches of %d images, %s",
             plan_largest_minibatch_rows(request->plan),
             request->measured ? "to measure how long it takes" : "to see what it needs");
    return child_run(&task, error);
}
