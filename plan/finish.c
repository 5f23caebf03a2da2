/* The second half of a plan: partition, times and memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/plan_internal.h"
#include "plan/replay.h"

/* Seconds of one mini-batch, forward and backward. */
static double minibatch_seconds(const struct schedule *schedule, const struct layer_cost *cost)
{
    const int backwards = schedule->order.whole_backward ? 1 : schedule->microbatches;

    return schedule->microbatches * cost->op_seconds[OP_FORWARD] + backwards * cost->op_seconds[OP_BACKWARD];
}

/* block_cost[network->block_count]: seconds if the plan wants them and they were measured, else operations. */
static void cost_of_blocks(struct plan *plan, const struct network *network, const struct layer_cost *costs,
                           double *block_cost)
{
    plan->costs_measured = plan_balances_seconds(plan);
    for (int l = 0; l < network->layer_count; l++)
        plan->costs_measured = plan->costs_measured && costs[l].op_seconds[OP_FORWARD] > 0.0;
    for (int b = 0; b < network->block_count; b++)
        block_cost[b] = 0.0;
    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];

        block_cost[layer->block] += plan->costs_measured ? minibatch_seconds(&plan->schedule, &costs[l])
                                                         : layer->forward_flops + layer->backward_flops;
    }
}

/* A static run must repeat, and a cut that was measured would not: it becomes the config's, so that report and checkpoints
 * keep it. */
static void keep_cut(struct plan *plan, const int *counts)
{
    struct config_integers *partition = &plan->config.pipeline.partition;

    if (!plan->costs_measured || plan->config.pipeline.order != RUN_STATIC)
        return;
    partition->count = plan->part_count;
    memcpy(partition->values, counts, (size_t)plan->part_count * sizeof(*counts));
}

static void share_out(struct plan *plan, const struct network *network, const double *block_cost, const int *counts)
{
    double sum = 0.0;
    int first = 0;

    for (int b = 0; b < network->block_count; b++)
        sum += block_cost[b];
    for (int k = 0; k < plan->part_count; k++) {
        struct plan_part *part = plan_fill_part(plan, k + 1);

        part->slice = network_slice(network, first, counts[k]);
        part->input = slice_input(network, &part->slice);
        part->output = slice_output(network, &part->slice);
        part->compute_share = 0.0;
        for (int b = first; b < first + counts[k]; b++)
            part->compute_share += block_cost[b] / sum;
        first += counts[k];
    }
}

static int64_t nanoseconds(double seconds)
{
    return llround(1e9 * seconds);
}

static void add_up_times(struct plan_part *part, const struct layer_cost *costs)
{
    const int end = part->slice.first_layer + part->slice.layer_count;

    part->times = (struct part_times){.update = 0};
    for (int l = part->slice.first_layer; l < end; l++) {
        for (int kind = 0; kind < OP_KINDS; kind++)
            part->times.op[kind] += nanoseconds(costs[l].op_seconds[kind]);
        part->times.update += nanoseconds(costs[l].update_seconds);
    }
}

/* The slots of a link's two directions. */
static size_t activation_bytes(const struct plan *plan, int link)
{
    return (size_t)plan_part(plan, link)->activation_slots * plan_slot_bytes(plan, link);
}

static size_t gradient_bytes(const struct plan *plan, int link)
{
    return (size_t)plan_part(plan, link)->gradient_slots * plan_slot_bytes(plan, link);
}

/* A GPU's copies of the slots of a staged link. */
static size_t copies_bytes(const struct plan *plan, int link, int part)
{
    if (plan_part(plan, link)->link != LINK_STAGED || plan_place_of(plan, plan_stage_of(plan, part)) != PLACE_GPU)
        return 0;
    return activation_bytes(plan, link) + gradient_bytes(plan, link);
}

static size_t link_bytes(const struct plan *plan, int part)
{
    size_t bytes = 0;

    if (part > 1)
        bytes += activation_bytes(plan, part - 1) + copies_bytes(plan, part - 1, part);
    if (part < plan->part_count)
        bytes += gradient_bytes(plan, part) + copies_bytes(plan, part, part);
    return bytes;
}

/* saved_floats[network->layer_count] is scratch. */
static int add_up_memory(struct plan *plan, const struct network *network, const struct layer_cost *costs,
                         size_t *saved_floats, int k, struct error *error)
{
    const struct layout_options options = plan_layout_options(plan, k);
    struct plan_part *part = plan_fill_part(plan, k);
    const struct slice *slice = &part->slice;
    const size_t version = slice->parameters * sizeof(float);
    struct slot slots[PLAN_SLOTS_MAX];
    struct stage_layout *layout;
    size_t workspace = 0;

    for (int l = 0; l < network->layer_count; l++)
        saved_floats[l] = costs[l].saved_floats;
    if (layout_create(&layout, network, slice, saved_floats, &options, error))
        return -1;
    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++)
        if (costs[l].workspace_bytes > workspace)
            workspace = costs[l].workspace_bytes;
    part->memory[MEMORY_WEIGHTS] = version + slice->state * sizeof(float);
    part->memory[MEMORY_STASH] = (size_t)(part->weight_version_buffers - 1 + (plan_combines(plan) ? 1 : 0)) * version;
    part->memory[MEMORY_GRADIENTS] = version;
    part->memory[MEMORY_OPTIMIZER] = (size_t)plan_slots(plan, slots) * version;
    part->memory[MEMORY_ACTIVATIONS] =
        layout_activation_floats(layout, &options, part->activation_sets) * sizeof(float);
    part->memory[MEMORY_LINKS] = link_bytes(plan, k);
    part->memory[MEMORY_WORKSPACE] = layout->gradient_floats * sizeof(float) + workspace;
    layout_destroy(layout);
    return 0;
}

/* Of all layers, where the backend runs. */
static const struct layer_cost *costs_on(const struct network *network, const struct layer_cost *costs,
                                         const char *backend)
{
    return &costs[(int)backend_place(backend) * network->layer_count];
}

/* A stage's parts take turns in the largest workspace that one of them needs, and the first one counts it. */
static void share_workspaces(struct plan *plan)
{
    for (int k = 1; k <= plan->part_count; k++) {
        struct plan_part *part = plan_fill_part(plan, k), *first = plan_fill_part(plan, plan_stage_of(plan, k));

        if (part == first)
            continue;
        first->memory[MEMORY_WORKSPACE] = max_u64(first->memory[MEMORY_WORKSPACE], part->memory[MEMORY_WORKSPACE]);
        part->memory[MEMORY_WORKSPACE] = 0;
    }
}

/* A stage has what its parts have. */
static void add_up_stages(struct plan *plan)
{
    for (int s = 1; s <= plan->stage_count; s++) {
        struct plan_stage *stage = plan_fill_stage(plan, s);

        stage->compute_share = 0.0;
        memset(stage->memory, 0, sizeof(stage->memory));
    }
    for (int k = 1; k <= plan->part_count; k++) {
        const struct plan_part *part = plan_part(plan, k);
        struct plan_stage *stage = plan_fill_stage(plan, plan_stage_of(plan, k));

        stage->compute_share += part->compute_share;
        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            stage->memory[c] += part->memory[c];
    }
}

/* A list for times that had yet to be measured. */
static int simulate_measured(struct plan *plan, struct error *error)
{
    struct simulation *simulation;

    if (plan->config.pipeline.static_times != STATIC_MEASURED || plan->config.pipeline.order != RUN_STATIC ||
        (plan_part(plan, 1)->times.op[OP_FORWARD] == 0 && plan->config.simulation.forward_ms.count == 0))
        return 0;
    if (replay_keep_times(plan, error) || plan_simulate(plan, &plan->schedule, false, &simulation, error))
        return -1;
    plan_make_room(plan, simulation);
    simulation_destroy(simulation);
    return 0;
}

int plan_finish(struct plan *plan, const struct network *network, const struct layer_cost *costs, struct error *error)
{
    double *block_cost = malloc((size_t)network->block_count * sizeof(*block_cost));
    size_t *saved_floats = malloc((size_t)network->layer_count * sizeof(*saved_floats));
    int counts[PLANNED_MAX], result = -1;

    if (!block_cost || !saved_floats) {
        error_set(error, "out of memory for the plan");
        goto out;
    }
    cost_of_blocks(plan, network, costs_on(network, costs, plan->backend), block_cost);
    if (plan->config.pipeline.partition.count > 0)
        memcpy(counts, plan->config.pipeline.partition.values, sizeof(counts));
    else
        partition_balance(block_cost, network->block_count, plan->part_count, counts);
    keep_cut(plan, counts);
    share_out(plan, network, block_cost, counts);
    for (int k = 1; k <= plan->part_count; k++)
        add_up_times(plan_fill_part(plan, k),
                     costs_on(network, costs, plan_stage(plan, plan_stage_of(plan, k))->backend));
    if (simulate_measured(plan, error))
        goto out;
    for (int k = 1; k <= plan->part_count; k++)
        if (add_up_memory(plan, network, costs_on(network, costs, plan_stage(plan, plan_stage_of(plan, k))->backend),
                          saved_floats, k, error))
            goto out;
    share_workspaces(plan);
    add_up_stages(plan);
    result = 0;
out:
    free(saved_floats);
    free(block_cost);
    return result;
}
