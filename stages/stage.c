#include "stages/stage.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plan/replay.h"
#include "stages/internal.h"

static const struct plan_part *own_plan(const struct stage *stage)
{
    return &stage->plan->parts[stage->index - 1];
}

static int open_device(struct stage *stage, const struct backend **backend, struct error *error)
{
    const struct plan_stage *own = &stage->plan->stages[plan_stage_of(stage->plan, stage->index) - 1];

    *backend = backend_find(own->backend);
    if (!*backend)
        return error_set(error, "backend %s is not built in", own->backend);
    return (*backend)->device->open(&stage->device, own->device, error);
}

static int open_links(struct stage *stage, struct error *error)
{
    const struct device_waiter waiter = {.moment = pending_moment, .context = stage};

    return links_open(&stage->links, stage->segment, stage->index, stage->device, &waiter, error);
}

/* The initial values, which are drawn on the host, or those of a checkpoint. */
static int fill_weights(struct stage *stage, struct error *error)
{
    const struct slice *slice = &own_plan(stage)->slice;
    const struct stage_arrays arrays = save_arrays(stage), copies = save_copies(stage);

    network_initialise(compute_network(stage->compute), slice, (uint64_t)stage->plan->config.run.seed, copies.weights,
                       copies.state);
    if (copies.momentum)
        memset(copies.momentum, 0, slice->parameters * sizeof(float));
    return save_copy(stage, &arrays, &copies, error) || save_restore(stage, error);
}

static int create_weights(struct stage *stage, struct error *error)
{
    const struct config *config = &stage->plan->config;
    const struct slice *slice = &own_plan(stage)->slice;

    if (weights_create(&stage->weights, stage->device, slice->parameters, own_plan(stage)->weight_version_buffers,
                       error) ||
        device_floats(stage->device, &stage->state, slice->state, "running statistics", error) ||
        device_floats(stage->device, &stage->gradient, slice->parameters, "weight gradients", error))
        return -1;
    if (stage->plan->schedule.backward == BACKWARD_INTERMEDIATE &&
        device_floats(stage->device, &stage->blended, slice->parameters, "the intermediate weight", error))
        return -1;
    return config->train.momentum > 0
               ? device_floats(stage->device, &stage->momentum, slice->parameters, "momentum", error)
               : 0;
}

static int allocate_host(struct stage *stage, void *out, size_t bytes, const char *what, struct error *error)
{
    void *memory;

    if (stage->device->type->allocate_host(stage->device, &memory, bytes, what, error))
        return -1;
    memcpy(out, &memory, sizeof(memory));
    return 0;
}

/* What the host hands to the device, and takes from it. */
static int create_host_side(struct stage *stage, struct error *error)
{
    const struct slice *slice = &own_plan(stage)->slice;
    const size_t slots = (size_t)own_plan(stage)->activation_sets;
    const size_t label_count = (size_t)plan_largest_minibatch_rows(stage->plan);
    const size_t image_bytes = slots * compute_layout(stage->compute)->input_floats * sizeof(float);

    stage->gathered = stage->images;
    if (!on_host(stage)) {
        if (allocate_host(stage, &stage->copies, (2 * slice->parameters + slice->state) * sizeof(float),
                          "copies of the weights", error) ||
            (stage_is_first(stage) && allocate_host(stage, &stage->gathered, image_bytes, "images", error)))
            return -1;
    }
    if (allocate_host(stage, &stage->statistics, slice->state * sizeof(float), "copies of running statistics", error))
        return -1;
    stage->copied = calloc(slots, sizeof(*stage->copied));
    if (!stage->copied)
        return error_set(error, "out of memory");
    if (!stage_is_last(stage))
        return 0;
    if (allocate_host(stage, &stage->labels, label_count, "labels", error) ||
        allocate_host(stage, &stage->loss, LOSSES * sizeof(*stage->loss), "the loss", error))
        return -1;
    memset(stage->loss, 0, LOSSES * sizeof(*stage->loss));
    memset(stage->labels, 0, label_count);
    return 0;
}

static int create_activations(struct stage *stage, struct error *error)
{
    const struct stage_layout *layout = compute_layout(stage->compute);
    size_t slots = (size_t)own_plan(stage)->activation_sets;

    stage->set_count = layout_set_count(compute_layout_options(stage->compute), own_plan(stage)->activation_sets);
    if (device_floats(stage->device, &stage->sets, (size_t)stage->set_count * layout->set_floats, "activations", error))
        return -1;
    return stage_is_first(stage)
               ? device_floats(stage->device, &stage->images, slots * layout->input_floats, "images", error)
               : 0;
}

static int simulate(struct stage *stage, struct error *error)
{
    struct schedule schedule = plan_training(stage->plan);
    const int left_out = stage->header->start.filled_after;

    if (!plan_replays(stage->plan))
        return 0;
    if (plan_simulate(stage->plan, &schedule, true, &stage->simulation, error))
        return -1;
    schedule.minibatches -= left_out;
    return left_out > 0 && schedule.minibatches > 0
               ? plan_simulate(stage->plan, &schedule, true, &stage->remainder, error)
               : 0;
}

int stage_create(struct stage **out, const struct segment *segment, int index, struct error *error)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    const struct backend *backend;

    *out = NULL;
    if (!stage)
        return error_set(error, "out of memory");
    stage->segment = segment;
    stage->header = segment->header;
    stage->board = segment->board;
    stage->block = segment_stage(segment, index);
    stage->plan = &segment->header->plan;
    stage->index = index;
    stage->doorbell = &segment_stage(segment, plan_stage_of(stage->plan, index))->doorbell;
    stage->heard = &stage->heard_alone;
    if (open_device(stage, &backend, error) || open_links(stage, error) ||
        compute_create(&stage->compute, backend, stage->device, stage->plan, index, error) ||
        batches_create(&stage->batches, stage->plan, segment->header->data, index, error) ||
        create_weights(stage, error) || create_activations(stage, error) || create_host_side(stage, error) ||
        simulate(stage, error)) {
        stage_destroy(stage);
        return -1;
    }
    *out = stage;
    return 0;
}

int stage_connect(struct stage *stage, struct error *error)
{
    atomic_store(&stage->block->state, STAGE_MEETING);
    if (links_connect(&stage->links, error))
        return -1;
    atomic_store(&stage->block->state, STAGE_STARTING);
    if (warm_up(stage, error) || fill_weights(stage, error))
        return -1;
    telemetry_start(stage);
    return 0;
}

/* All that the device's memory holds. */
static void release_arrays(struct stage *stage)
{
    const struct device_type *type = stage->device->type;
    float *const arrays[] = {stage->sets,     stage->images,   stage->blended,
                             stage->momentum, stage->gradient, stage->state};

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
        type->release(stage->device, arrays[i]);
    if (stage->gathered != stage->images)
        type->release_host(stage->device, stage->gathered);
    type->release_host(stage->device, stage->copies);
    type->release_host(stage->device, stage->statistics);
    type->release_host(stage->device, stage->labels);
    type->release_host(stage->device, stage->loss);
    weights_destroy(stage->weights);
    compute_destroy(stage->compute);
    type->close(stage->device);
}

void stage_destroy(struct stage *stage)
{
    if (!stage)
        return;
    simulation_destroy(stage->simulation);
    simulation_destroy(stage->remainder);
    tensors_release(&stage->tensors);
    free(stage->copied);
    batches_destroy(stage->batches);
    if (stage->device)
        release_arrays(stage);
    free(stage);
}

const float *stage_weights(const struct stage *stage)
{
    return weights_live(stage->weights);
}

const float *stage_state(const struct stage *stage)
{
    return stage->state;
}

bool stage_on_host(const struct stage *stage)
{
    return on_host(stage);
}

/* Whether the run was stopped in the phase that has just ended. */
static bool stopped_in(const struct stage *stage, enum phase kind, int epoch)
{
    uint64_t stopped_at = atomic_load_explicit(&stage->board->stopped_at, memory_order_acquire);

    return stopped_at >> 32 == stop_point(epoch, kind, 0) >> 32;
}

/* Trains what of the epoch is not trained yet, and saves it. sums[hosted->count]. */
static int train_epoch(struct hosted *hosted, int epoch, struct epoch_sums *sums, struct error *error)
{
    const struct stage *first = hosted->parts[0];
    const struct start *start = &first->header->start;
    const bool continued = save_continues(first, epoch);
    const int before = continued ? start->filled_after + start->replayed : 0;
    const bool trains = before < first->plan->minibatches_per_epoch;

    if (trains && executor_run_phase(hosted, PHASE_TRAIN, epoch, error))
        return -1;
    for (int i = 0; i < hosted->count; i++) {
        struct stage *part = hosted->parts[i];
        const int trained = trains ? part->phase.skipped + part->phase.schedule.minibatches : before;

        sums[i] = continued ? start->sums : (struct epoch_sums){0};
        if (trains)
            sums[i] = save_sums(part);
        if (trained > before)
            save_epoch(part, epoch, trained, &sums[i]);
    }
    return 0;
}

static int run_epoch(struct hosted *hosted, int epoch, bool *stopped, struct error *error)
{
    const struct stage *first = hosted->parts[0], *last = hosted->parts[hosted->count - 1];
    struct epoch_result *result = &first->board->epochs[epoch - 1];
    struct epoch_sums trained[HOSTED_MAX];

    if (train_epoch(hosted, epoch, trained, error))
        return -1;
    *stopped = stopped_in(first, PHASE_TRAIN, epoch);
    if (*stopped)
        return 0;
    /* Part 1 is the first to begin and the last to update. Published by the next activation it sends. */
    if (stage_is_first(first)) {
        result->trained_ns = clock_now_ns();
        result->start_ns = result->trained_ns - trained[0].training_ns;
    }
    if (executor_run_phase(hosted, PHASE_EVALUATE, epoch, error))
        return -1;
    *stopped = stopped_in(first, PHASE_EVALUATE, epoch);
    if (stage_is_last(last) && !*stopped)
        telemetry_epoch(hosted->parts[hosted->count - 1], epoch, &trained[hosted->count - 1]);
    return 0;
}

int hosted_create(struct hosted **out, const struct segment *segment, int stage, struct error *error)
{
    const struct plan *plan = &segment->header->plan;
    struct hosted *hosted = calloc(1, sizeof(*hosted));

    *out = hosted;
    if (!hosted)
        return error_set(error, "out of memory");
    hosted->stage = stage;
    for (int index = 0; index < plan->schedule.parts; index++) {
        if (stage_create(&hosted->parts[index], segment, plan_part_of(plan, stage, index), error))
            return -1;
        hosted->count++;
    }
    for (int i = 0; i < hosted->count; i++)
        hosted->parts[i]->heard = &hosted->heard;
    return 0;
}

int hosted_connect(struct hosted *hosted, struct error *error)
{
    for (int i = 0; i < hosted->count; i++)
        if (stage_connect(hosted->parts[i], error))
            return -1;
    return 0;
}

int hosted_run(struct hosted *hosted, struct error *error)
{
    const struct stage *first = hosted->parts[0];
    bool stopped = false;

    for (int epoch = first->header->start.epoch; epoch <= first->plan->config.run.epochs && !stopped; epoch++)
        if (run_epoch(hosted, epoch, &stopped, error))
            return -1;
    for (int i = 0; i < hosted->count; i++) {
        divergence_leave(hosted->parts[i]);
        if (links_close(&hosted->parts[i]->links, error))
            return -1;
    }
    /* The first part speaks for the process, when that has ended. */
    for (int i = 1; i < hosted->count; i++)
        atomic_store(&hosted->parts[i]->block->state, STAGE_DONE);
    return 0;
}

void hosted_destroy(struct hosted *hosted)
{
    if (!hosted)
        return;
    for (int i = 0; i < hosted->count; i++)
        stage_destroy(hosted->parts[i]);
    free(hosted);
}

void hosted_set_state(const struct hosted *hosted, enum stage_state state)
{
    for (int i = hosted->count - 1; i >= 0; i--)
        atomic_store(&hosted->parts[i]->block->state, state);
}

struct stage *hosted_part(const struct hosted *hosted, int index)
{
    return hosted->parts[index];
}

bool hosted_is_on_gpu(const struct hosted *hosted)
{
    return hosted->count > 0 && !stage_on_host(hosted->parts[0]);
}
