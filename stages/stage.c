#include "stages/stage.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "stages/internal.h"

static const struct plan_stage *own_plan(const struct stage *stage)
{
    return &stage->plan->stages[stage->index - 1];
}

static void open_links(struct stage *stage)
{
    const struct segment *segment = stage->segment;
    int s = stage->index;
    bool first = stage_is_first(stage), last = stage_is_last(stage);

    ring_end_open(&stage->down_in, segment, first ? NULL : segment_ring_down(segment, s - 1));
    ring_end_open(&stage->up_out, segment, first ? NULL : segment_ring_up(segment, s - 1));
    ring_end_open(&stage->down_out, segment, last ? NULL : segment_ring_down(segment, s));
    ring_end_open(&stage->up_in, segment, last ? NULL : segment_ring_up(segment, s));
}

static int create_weights(struct stage *stage, struct error *error)
{
    const struct config *config = &stage->plan->config;
    const struct slice *slice = &own_plan(stage)->slice;

    if (weights_create(&stage->weights, slice->parameters, own_plan(stage)->weight_version_buffers, error) ||
        memory_floats(&stage->state, slice->state, "running statistics", error) ||
        memory_floats(&stage->gradient, slice->parameters, "weight gradients", error))
        return -1;
    network_initialise(compute_network(stage->compute), slice, (uint64_t)config->run.seed, weights_live(stage->weights),
                       stage->state);
    if (stage->plan->schedule.backward == BACKWARD_INTERMEDIATE &&
        memory_floats(&stage->blended, slice->parameters, "the intermediate weight", error))
        return -1;
    if (config->train.momentum > 0) {
        if (memory_floats(&stage->momentum, slice->parameters, "momentum", error))
            return -1;
        memset(stage->momentum, 0, slice->parameters * sizeof(float));
    }
    return 0;
}

static int create_activations(struct stage *stage, struct error *error)
{
    const struct stage_layout *layout = compute_layout(stage->compute);
    size_t slots = (size_t)own_plan(stage)->activation_sets;

    stage->set_count = layout_set_count(compute_layout_options(stage->compute), own_plan(stage)->activation_sets);
    if (memory_floats(&stage->sets, (size_t)stage->set_count * layout->set_floats, "activations", error))
        return -1;
    return stage_is_first(stage) ? memory_floats(&stage->images, slots * layout->input_floats, "images", error) : 0;
}

static int simulate(struct stage *stage, struct error *error)
{
    struct schedule schedule = plan_training(stage->plan);
    const struct link_slots slots = {.gradients = stage->plan->gradient_slots};
    const int left_out = stage->header->start.filled_after;

    if (stage->plan->config.pipeline.order != RUN_STATIC)
        return 0;
    if (simulate_slots(&schedule, slots, &stage->simulation, error))
        return -1;
    schedule.minibatches -= left_out;
    return left_out > 0 && schedule.minibatches > 0 ? simulate_slots(&schedule, slots, &stage->remainder, error) : 0;
}

int stage_create(struct stage **out, const struct segment *segment, int index, struct error *error)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    *out = NULL;
    if (!stage)
        return error_set(error, "out of memory");
    stage->segment = segment;
    stage->header = segment->header;
    stage->block = segment_stage(segment, index);
    stage->plan = &segment->header->plan;
    stage->index = index;
    open_links(stage);
    if (compute_create(&stage->compute, stage->plan, index, error) ||
        batches_create(&stage->batches, stage->plan, index, error) || create_weights(stage, error) ||
        create_activations(stage, error) || simulate(stage, error) || save_restore(stage, error)) {
        stage_destroy(stage);
        return -1;
    }
    telemetry_start(stage);
    *out = stage;
    return 0;
}

void stage_destroy(struct stage *stage)
{
    if (!stage)
        return;
    simulation_destroy(stage->simulation);
    simulation_destroy(stage->remainder);
    tensors_release(&stage->tensors);
    free(stage->sets);
    free(stage->images);
    free(stage->blended);
    free(stage->momentum);
    free(stage->gradient);
    free(stage->state);
    weights_destroy(stage->weights);
    batches_destroy(stage->batches);
    compute_destroy(stage->compute);
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

/* Whether the run was stopped in the phase that has just ended. */
static bool stopped_in(const struct stage *stage, enum phase kind, int epoch)
{
    uint64_t stopped_at = atomic_load_explicit(&stage->header->stopped_at, memory_order_acquire);

    return stopped_at >> 32 == stop_point(epoch, kind, 0) >> 32;
}

/* Trains what of the epoch is not trained yet, and saves it. */
static int train_epoch(struct stage *stage, int epoch, struct epoch_sums *sums, struct error *error)
{
    const struct start *start = &stage->header->start;
    const struct phase_run *phase = &stage->phase;
    const bool continued = save_continues(stage, epoch);
    const int before = continued ? start->filled_after + start->replayed : 0;
    int trained = before;

    *sums = continued ? start->sums : (struct epoch_sums){0};
    if (before < stage->plan->minibatches_per_epoch) {
        if (executor_run_phase(stage, PHASE_TRAIN, epoch, error))
            return -1;
        trained = phase->skipped + phase->schedule.minibatches;
        *sums = (struct epoch_sums){phase->loss_sum, phase->samples, phase->top1, phase->top5, sums->training_ns};
        if (phase->start_ns > 0)
            sums->training_ns += clock_now_ns() - phase->start_ns;
    }
    if (trained > before)
        save_epoch(stage, epoch, trained, sums);
    return 0;
}

static int run_epoch(struct stage *stage, int epoch, bool *stopped, struct error *error)
{
    struct epoch_result *result = &stage->header->epochs[epoch - 1];
    struct epoch_sums trained;

    if (train_epoch(stage, epoch, &trained, error))
        return -1;
    *stopped = stopped_in(stage, PHASE_TRAIN, epoch);
    if (*stopped)
        return 0;
    /* Stage 1 is the first to begin and the last to update. Published by the next activation it sends. */
    if (stage_is_first(stage)) {
        result->trained_ns = clock_now_ns();
        result->start_ns = result->trained_ns - trained.training_ns;
    }
    if (executor_run_phase(stage, PHASE_EVALUATE, epoch, error))
        return -1;
    *stopped = stopped_in(stage, PHASE_EVALUATE, epoch);
    if (stage_is_last(stage) && !*stopped)
        telemetry_epoch(stage, epoch, &trained);
    return 0;
}

int stage_run(struct stage *stage, struct error *error)
{
    const struct start *start = &stage->header->start;
    bool stopped = false;

    for (int epoch = start->epoch; epoch <= stage->plan->config.run.epochs && !stopped; epoch++)
        if (run_epoch(stage, epoch, &stopped, error))
            return -1;
    return 0;
}
