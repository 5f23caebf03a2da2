#include "stages/stage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "stages/internal.h"

/* Whether the run was stopped in the phase that has just ended. */
static bool stopped_in(const struct part *part, enum phase kind, int epoch)
{
    uint64_t stopped_at = atomic_load_explicit(&part->board->stopped_at, memory_order_acquire);

    return stopped_at >> 32 == stop_point(epoch, kind, 0) >> 32;
}

/* Trains what of the epoch is not trained yet, and saves it. sums[stage->count]. */
static int train_epoch(struct stage *stage, int epoch, struct epoch_sums *sums, struct error *error)
{
    const struct part *first = stage->parts[0];
    const struct start *start = &first->header->start;
    const bool continued = save_continues(first, epoch);
    const int before = continued ? start->filled_after + start->replayed : 0;
    const bool trains = before < first->plan->minibatches_per_epoch;

    if (trains && executor_run_phase(stage, PHASE_TRAIN, epoch, error))
        return -1;
    for (int i = 0; i < stage->count; i++) {
        struct part *part = stage->parts[i];
        const int trained = trains ? part->phase.skipped + part->phase.schedule.minibatches : before;

        sums[i] = continued ? start->sums : (struct epoch_sums){0};
        if (trains)
            sums[i] = save_sums(part);
        if (trained > before)
            save_epoch(part, epoch, trained, &sums[i]);
    }
    return 0;
}

static int run_epoch(struct stage *stage, int epoch, bool *stopped, struct error *error)
{
    const struct part *first = stage->parts[0], *last = stage->parts[stage->count - 1];
    struct epoch_result *result = &first->board->epochs[epoch - 1];
    struct epoch_sums trained[STAGE_PARTS_MAX];

    if (train_epoch(stage, epoch, trained, error))
        return -1;
    *stopped = stopped_in(first, PHASE_TRAIN, epoch);
    if (*stopped)
        return 0;
    /* Part 1 is the first to begin and the last to update. Published by the next activation it sends. */
    if (part_is_first(first)) {
        result->trained_ns = clock_now_ns();
        result->start_ns = result->trained_ns - trained[0].training_ns;
    }
    if (executor_run_phase(stage, PHASE_EVALUATE, epoch, error))
        return -1;
    *stopped = stopped_in(first, PHASE_EVALUATE, epoch);
    if (part_is_last(last) && !*stopped)
        telemetry_epoch(stage->parts[stage->count - 1], epoch, &trained[stage->count - 1]);
    return 0;
}

static int open_device(struct stage *stage, struct error *error)
{
    const struct plan *plan = &stage->segment->header->plan;
    const struct plan_stage *own = &plan->stages[stage->index - 1];
    const struct engine_options options = {
        .threads = plan->config.device.threads, .tf32 = plan->config.device.tf32, .graphs = plan->config.device.graphs};
    const struct device_waiter waiter = {.moment = pending_moment, .context = stage};

    stage->backend = backend_find(own->backend);
    if (!stage->backend)
        return error_set(error, "backend %s is not built in", own->backend);
    stage->watch = plan_place_of(plan, stage->index) == PLACE_CPU ? cores_watch(options.threads) : NULL;
    return stage->backend->device->open(&stage->device, own->device, error) ||
           stage->backend->open(&stage->engine, stage->device, &options, error) ||
           links_open(&stage->links, stage->segment, stage->index, stage->device, &waiter, error);
}

/* As large as the largest part's. */
static int allocate_scratch(struct stage *stage, struct error *error)
{
    size_t bytes = 1;

    for (int i = 0; i < stage->count; i++)
        bytes = max_u64(bytes, compute_scratch_bytes(stage->parts[i]->compute));
    if (stage->device->type->allocate(stage->device, &stage->scratch, bytes, "scratch", error))
        return -1;
    for (int i = 0; i < stage->count; i++)
        compute_use_scratch(stage->parts[i]->compute, stage->scratch);
    return 0;
}

int stage_create(struct stage **out, const struct segment *segment, int index, struct error *error)
{
    const struct plan *plan = &segment->header->plan;
    struct stage *stage = calloc(1, sizeof(*stage));

    *out = stage;
    if (!stage)
        return error_set(error, "out of memory");
    stage->segment = segment;
    stage->index = index;
    stage->doorbell = &segment_stage(segment, index)->doorbell;
    if (open_device(stage, error))
        return -1;
    for (int i = 0; i < plan->schedule.parts; i++) {
        if (part_create(&stage->parts[i], stage, plan_part_of(plan, index, i), error))
            return -1;
        stage->count++;
    }
    return allocate_scratch(stage, error);
}

int stage_connect(struct stage *stage, struct error *error)
{
    stage_set_state(stage, STAGE_MEETING);
    if (links_connect(&stage->links, error))
        return -1;
    stage_set_state(stage, STAGE_STARTING);
    for (int i = 0; i < stage->count; i++)
        if (part_fill(stage->parts[i], error))
            return -1;
    return 0;
}

int stage_run(struct stage *stage, struct error *error)
{
    const struct part *first = stage->parts[0];
    bool stopped = false;

    for (int epoch = first->header->start.epoch; epoch <= first->plan->config.run.epochs && !stopped; epoch++)
        if (run_epoch(stage, epoch, &stopped, error))
            return -1;
    for (int i = 0; i < stage->count; i++)
        divergence_leave(stage->parts[i]);
    if (links_close(&stage->links, error))
        return -1;
    /* The first part speaks for the process, when that has ended. */
    for (int i = 1; i < stage->count; i++)
        atomic_store(&stage->parts[i]->block->state, STAGE_DONE);
    return 0;
}

void stage_destroy(struct stage *stage)
{
    if (!stage)
        return;
    for (int i = 0; i < stage->count; i++)
        part_destroy(stage->parts[i]);
    if (stage->engine)
        stage->backend->close(stage->engine);
    if (stage->device) {
        stage->device->type->release(stage->device, stage->scratch);
        stage->device->type->close(stage->device);
    }
    cores_unwatch(stage->watch);
    free(stage);
}

void stage_set_state(const struct stage *stage, enum stage_state state)
{
    for (int i = stage->count - 1; i >= 0; i--)
        atomic_store(&stage->parts[i]->block->state, state);
}

struct part *stage_part(const struct stage *stage, int i)
{
    return stage->parts[i];
}

bool stage_is_on_gpu(const struct stage *stage)
{
    return stage->device && stage->device->type != &device_host;
}
