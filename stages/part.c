/* One part of the network in the stage that hosts it: its layers, its weight versions, its ends of the links. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/init.h"
#include "plan/replay.h"
#include "stages/internal.h"

static const struct plan_part *own_plan(const struct part *part)
{
    return &part->plan->parts[part->index - 1];
}

/* The values to begin with, which are drawn on the host or read from a file; or those of a checkpoint. */
static int fill_weights(struct part *part, struct error *error)
{
    const struct slice *slice = &own_plan(part)->slice;
    const struct part_arrays arrays = save_arrays(part), copies = save_copies(part);
    const char *init = part->plan->config.model.init;

    network_initialise(compute_network(part->compute), slice, (uint64_t)part->plan->config.run.seed, copies.weights,
                       copies.state);
    for (int k = 0; k < part->slot_count; k++)
        memset(copies.slots[k], 0, slice->parameters * sizeof(float));
    if (tensors_create(&part->tensors, compute_network(part->compute), slice, error))
        return -1;
    if (save_restores(part))
        return save_restore(part, error);
    if (init[0] && init_read(init, &part->tensors, copies.weights, copies.state, error))
        return -1;
    return save_copy(part, &arrays, &copies, error);
}

static int create_weights(struct part *part, struct error *error)
{
    const struct slice *slice = &own_plan(part)->slice;

    if (weights_create(&part->weights, part->device, slice->parameters, own_plan(part)->weight_version_buffers,
                       error) ||
        device_floats(part->device, &part->state, slice->state, "running statistics", error) ||
        device_floats(part->device, &part->gradient, slice->parameters, "weight gradients", error))
        return -1;
    if (plan_combines(part->plan) &&
        device_floats(part->device, &part->combined, slice->parameters, "the weights that passes read", error))
        return -1;
    part->decays_norms = plan_decays_norms(part->plan);
    part->slot_count = plan_slots(part->plan, part->slots);
    for (int k = 0; k < part->slot_count; k++)
        if (device_floats(part->device, &part->slot_floats[k], slice->parameters, part->slots[k].name, error))
            return -1;
    return 0;
}

static int allocate_host(struct part *part, void *out, size_t bytes, const char *what, struct error *error)
{
    void *memory;

    if (part->device->type->allocate_host(part->device, &memory, bytes, what, error))
        return -1;
    memcpy(out, &memory, sizeof(memory));
    return 0;
}

/* What the host hands to the device, and takes from it. */
static int create_host_side(struct part *part, struct error *error)
{
    const struct slice *slice = &own_plan(part)->slice;
    const size_t slots = (size_t)plan_input_slots(part->plan);
    const size_t target_bytes = (size_t)plan_largest_minibatch_rows(part->plan) *
                                (size_t)network_targets_per_sample(compute_network(part->compute)) *
                                sizeof(*part->targets);
    const size_t copied = (1 + (size_t)part->slot_count) * slice->parameters + slice->state;
    const size_t image_bytes = slots * compute_layout(part->compute)->input_floats * sizeof(float);

    part->gathered = part->images;
    if (!on_host(part)) {
        if (allocate_host(part, &part->copies, copied * sizeof(float), "copies of the weights", error) ||
            (part_is_first(part) && allocate_host(part, &part->gathered, image_bytes, "images", error)))
            return -1;
    }
    if (allocate_host(part, &part->statistics, slice->state * sizeof(float), "copies of running statistics", error) ||
        allocate_host(part, &part->norm, sizeof(*part->norm), "a gradient's norm", error))
        return -1;
    part->copied = calloc(slots, sizeof(*part->copied));
    if (!part->copied)
        return error_set(error, "out of memory");
    if (!part_is_last(part))
        return 0;
    if (allocate_host(part, &part->targets, target_bytes, "targets", error) ||
        allocate_host(part, &part->loss, LOSSES * sizeof(*part->loss), "the loss", error))
        return -1;
    memset(part->loss, 0, LOSSES * sizeof(*part->loss));
    memset(part->targets, 0, target_bytes);
    return 0;
}

static int create_activations(struct part *part, struct error *error)
{
    const struct stage_layout *layout = compute_layout(part->compute);
    const size_t slots = (size_t)plan_input_slots(part->plan);

    part->set_count = layout_set_count(compute_layout_options(part->compute), own_plan(part)->activation_sets);
    if (device_floats(part->device, &part->sets, (size_t)part->set_count * layout->set_floats, "activations", error))
        return -1;
    return part_is_first(part)
               ? device_floats(part->device, &part->images, slots * layout->input_floats, "images", error)
               : 0;
}

static int simulate(struct part *part, struct error *error)
{
    struct schedule schedule = plan_training(part->plan);
    const int left_out = part->header->start.filled_after;

    if (!plan_replays(part->plan))
        return 0;
    if (plan_simulate(part->plan, &schedule, true, &part->simulation, error))
        return -1;
    schedule.minibatches -= left_out;
    return left_out > 0 && schedule.minibatches > 0
               ? plan_simulate(part->plan, &schedule, true, &part->remainder, error)
               : 0;
}

int part_create(struct part **out, struct stage *stage, int index, struct error *error)
{
    const struct segment *segment = stage->segment;
    struct part *part = calloc(1, sizeof(*part));

    *out = NULL;
    if (!part)
        return error_set(error, "out of memory");
    part->stage = stage;
    part->segment = segment;
    part->header = segment->header;
    part->board = segment->board;
    part->block = segment_stage(segment, index);
    part->plan = &segment->header->plan;
    part->index = index;
    part->device = stage->device;
    if (links_open_part(&stage->links, &part->ends, index, error) ||
        compute_create(&part->compute, stage->backend, stage->engine, part->device, part->plan, index, error) ||
        create_weights(part, error) || create_activations(part, error) || create_host_side(part, error) ||
        batches_create(&part->batches, segment, index, part->gathered, compute_layout(part->compute)->input_floats,
                       error) ||
        simulate(part, error)) {
        part_destroy(part);
        return -1;
    }
    *out = part;
    return 0;
}

int part_fill(struct part *part, struct error *error)
{
    if (warm_up(part, error) || fill_weights(part, error))
        return -1;
    telemetry_start(part);
    return 0;
}

/* All that the device's memory holds. */
static void release_arrays(struct part *part)
{
    const struct device_type *type = part->device->type;
    float *const arrays[] = {part->sets, part->images, part->combined, part->gradient, part->state};

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
        type->release(part->device, arrays[i]);
    for (int k = 0; k < part->slot_count; k++)
        type->release(part->device, part->slot_floats[k]);
    if (part->gathered != part->images)
        type->release_host(part->device, part->gathered);
    type->release_host(part->device, part->copies);
    type->release_host(part->device, part->statistics);
    type->release_host(part->device, part->targets);
    type->release_host(part->device, part->loss);
    type->release_host(part->device, part->norm);
    weights_destroy(part->weights);
    compute_destroy(part->compute);
}

void part_destroy(struct part *part)
{
    if (!part)
        return;
    simulation_destroy(part->simulation);
    simulation_destroy(part->remainder);
    tensors_release(&part->tensors);
    free(part->copied);
    batches_destroy(part->batches);
    release_arrays(part);
    free(part);
}

const float *part_weights(const struct part *part)
{
    return weights_live(part->weights);
}

const float *part_state(const struct part *part)
{
    return part->state;
}
