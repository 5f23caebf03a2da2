/* When a stage saves what, and what it begins with: a checkpoint after each epoch's training, or where the run is
 * stopped; the way back from it. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "checkpoint/checkpoint.h"
#include "stages/internal.h"

static const char momentum_prefix[] = "optimizer.momentum.";

static const struct slice *own_slice(const struct stage *stage)
{
    return &stage->plan->parts[stage->index - 1].slice;
}

struct stage_arrays save_arrays(const struct stage *stage)
{
    return (struct stage_arrays){weights_live(stage->weights), stage->state, stage->momentum};
}

struct stage_arrays save_copies(const struct stage *stage)
{
    const struct slice *slice = own_slice(stage);
    float *copies = stage->copies;

    if (!copies)
        return save_arrays(stage);
    return (struct stage_arrays){copies, copies + slice->parameters,
                                 stage->momentum ? copies + slice->parameters + slice->state : NULL};
}

static int copy(struct stage *stage, float *to, const float *from, size_t count, struct error *error)
{
    return to && from ? stage->device->type->copy(stage->device, to, from, count * sizeof(float), error) : 0;
}

int save_copy(struct stage *stage, const struct stage_arrays *to, const struct stage_arrays *from, struct error *error)
{
    const struct slice *slice = own_slice(stage);

    return copy(stage, to->weights, from->weights, slice->parameters, error) ||
           copy(stage, to->state, from->state, slice->state, error) ||
           copy(stage, to->momentum, from->momentum, slice->parameters, error) || pending_await_queue(stage, error);
}

/* Where a weight version that lies there is written from, or read into. */
static struct stage_arrays version_at(float *floats)
{
    return (struct stage_arrays){.weights = floats};
}

static bool restores(const struct stage *stage)
{
    return stage->header->start.set[0] != '\0';
}

int save_restore(struct stage *stage, struct error *error)
{
    const struct start *start = &stage->header->start;
    const struct stage_arrays arrays = save_arrays(stage), copies = save_copies(stage);
    struct tensor_group groups[] = {
        {"", false, copies.weights}, {"", true, copies.state}, {"", false, copies.momentum}};

    if (tensors_create(&stage->tensors, compute_network(stage->compute), own_slice(stage), error))
        return -1;
    if (!restores(stage))
        return 0;
    strcpy(groups[2].prefix, momentum_prefix);
    weights_renumber(stage->weights, start->updates);
    stage_set_applied(stage, start->updates);
    return checkpoint_read(stage->header->folder, start->set, start->files, &stage->tensors, groups,
                           copies.momentum && start->momentum ? 3 : 2, error) ||
           save_copy(stage, &arrays, &copies, error);
}

bool save_continues(const struct stage *stage, int epoch)
{
    return restores(stage) && epoch == stage->header->start.epoch;
}

int save_find_versions(const struct stage *stage, int minibatch, struct old_versions *versions)
{
    const struct phase_run *phase = &stage->phase;

    versions->live = phase->first_version + minibatch;
    return simulation_versions_read_after(phase->simulation, &phase->schedule, stage->index, minibatch,
                                          &versions->bits);
}

static bool is_among(const struct old_versions *versions, int version)
{
    const int older = versions->live - version;

    return older > 0 && older < 64 && versions->bits >> older & 1;
}

int save_restore_version(struct stage *stage, int version, float *floats, struct error *error)
{
    const struct start *start = &stage->header->start;
    struct tensor_group group = {.floats = stage->copies ? stage->copies : floats};
    char file[CHECKPOINT_NAME_MAX];
    int failed;

    if (version != start->updates && !is_among(&stage->phase.restored, version))
        return 0;
    if (version == start->updates) {
        failed = checkpoint_read(stage->header->folder, start->set, start->files, &stage->tensors, &group, 1, error);
    } else {
        snprintf(group.prefix, sizeof(group.prefix), "version.%d.", version);
        checkpoint_file_name(stage->index, version, file);
        failed = checkpoint_read_file(stage->header->folder, start->set, file, &stage->tensors, &group, 1, error);
    }
    if (failed)
        return -1;
    const struct stage_arrays to = version_at(floats), from = version_at(group.floats);
    return save_copy(stage, &to, &from, error);
}

/* `minibatch`: in the epoch. `copied`: 0, or -1 if the groups' arrays could not be copied from the device. */
static void write_file(struct stage *stage, struct saved_file *saved, int epoch, int minibatch, int version,
                       const struct tensor_group *groups, int group_count, int copied)
{
    const bool whole = minibatch == stage->plan->minibatches_per_epoch;
    char set[CHECKPOINT_NAME_MAX], file[CHECKPOINT_NAME_MAX];
    struct written_file written = {0};
    int failed;

    telemetry_activity(stage, ACTIVITY_SAVE, WAIT_NONE, NULL);
    checkpoint_set_name(epoch, whole ? 0 : minibatch, set);
    checkpoint_file_name(stage->index, version, file);
    failed = copied
                 ? EIO
                 : checkpoint_write(stage->header->folder, set, file, &stage->tensors, groups, group_count, &written);
    saved->number = version < 0 ? minibatch : version;
    saved->bytes = written.bytes;
    saved->crc32 = written.crc32;
    /* Pairs with the coordinator's acquire load: all of the above is there. */
    atomic_store_explicit(&saved->state, failed ? -failed : SAVED, memory_order_release);
    telemetry_activity(stage, ACTIVITY_NONE, WAIT_NONE, NULL);
}

/* One of phase.kept. */
static void write_version(struct stage *stage, int version)
{
    struct phase_run *phase = &stage->phase;
    float *weights = (float *)(uintptr_t)weights_version(stage->weights, version);
    struct tensor_group group = {.floats = stage->copies ? stage->copies : weights};
    const struct stage_arrays from = version_at(weights), to = version_at(group.floats);
    struct error ignored;

    snprintf(group.prefix, sizeof(group.prefix), "version.%d.", version);
    write_file(stage, &phase->kept_files[phase->versions_saved++], phase->epoch,
               phase->skipped + phase->kept.live - phase->first_version, version, &group, 1,
               save_copy(stage, &to, &from, &ignored));
}

static bool saves(const struct stage *stage)
{
    return stage->header->run_folder[0] != '\0';
}

/* Writes those that are there; the others when they are about to go. */
static void keep_versions(struct stage *stage, int minibatch, struct saved_file *files)
{
    struct phase_run *phase = &stage->phase;

    phase->kept = (struct old_versions){0};
    phase->kept_files = files;
    phase->versions_saved = 0;
    if (!phase->simulation || minibatch == phase->replayed)
        return;
    if (save_find_versions(stage, minibatch, &phase->kept)) {
        atomic_store(&files[0].state, -ENOMEM);
        return;
    }
    for (int version = phase->kept.live - 63; version < versions_live(phase->tracker); version++)
        if (is_among(&phase->kept, version))
            write_version(stage, version);
}

void save_stopped(struct stage *stage, int minibatch)
{
    if (!saves(stage))
        return;
    /* What is written where the run ends takes the place of what it would have passed. */
    stage->phase.save_after = 0;
    keep_versions(stage, minibatch, stage->block->saved_versions);
}

void save_version_before_update(struct stage *stage)
{
    const int live = versions_live(stage->phase.tracker);

    if (is_among(&stage->phase.kept, live))
        write_version(stage, live);
}

struct epoch_sums save_sums(const struct stage *stage)
{
    const struct phase_run *phase = &stage->phase;
    const uint64_t before = save_continues(stage, phase->epoch) ? stage->header->start.sums.training_ns : 0;
    const uint64_t since = phase->start_ns > 0 ? clock_now_ns() - phase->start_ns : 0;

    return (struct epoch_sums){phase->loss_sum, phase->samples, phase->top1, phase->top5, before + since};
}

/* The stage's main file, with these running statistics, which the host reaches. `copied`: as above, of them. */
static void write_main(struct stage *stage, struct saved_file *saved, int epoch, int minibatch, float *statistics,
                       int copied)
{
    const struct stage_arrays arrays = save_arrays(stage), copies = save_copies(stage);
    struct tensor_group groups[] = {{"", false, copies.weights}, {"", true, statistics}, {"", false, copies.momentum}};
    struct error ignored;

    strcpy(groups[2].prefix, momentum_prefix);
    write_file(stage, saved, epoch, minibatch, -1, groups, copies.momentum ? 3 : 2,
               copied || save_copy(stage, &copies, &arrays, &ignored));
}

void save_epoch(struct stage *stage, int epoch, int minibatch, const struct epoch_sums *sums)
{
    if (!saves(stage))
        return;
    stage->block->sums[epoch - 1] = *sums;
    write_main(stage, &stage->block->saved[epoch - 1], epoch, minibatch, save_copies(stage).state, 0);
}

void save_begin(struct stage *stage)
{
    const int every = stage->plan->config.checkpoints.every.count;

    stage->intervals = every > 0 ? stage->applied / every : 0;
}

static bool is_due(const struct stage *stage, int admitted)
{
    const struct phase_run *phase = &stage->phase;
    const struct config_interval *every = &stage->plan->config.checkpoints.every;

    if (atomic_load(&stage->board->save))
        return phase->kind == PHASE_EVALUATE || admitted > phase->replayed;
    return phase->kind == PHASE_TRAIN && !every->minutes && every->count > 0 &&
           admitted < phase->schedule.minibatches &&
           (phase->first_version + admitted) / every->count > stage->intervals;
}

void save_decide(struct stage *stage, int admitted)
{
    const struct phase_run *phase = &stage->phase;
    const struct config_interval *every = &stage->plan->config.checkpoints.every;
    const bool middle = phase->kind == PHASE_TRAIN && admitted < phase->schedule.minibatches;
    const int minibatch = middle ? phase->skipped + admitted : stage->plan->minibatches_per_epoch;
    struct board *board = stage->board;

    if (!saves(stage) || atomic_load(&board->save_at) != atomic_load(&board->saved_at) || !is_due(stage, admitted))
        return;
    if (every->count > 0)
        stage->intervals = (phase->first_version + admitted) / every->count;
    /* Seen by whoever takes a later mini-batch's first message. */
    atomic_store_explicit(&board->save_at, stop_point(phase->epoch, PHASE_TRAIN, minibatch), memory_order_release);
    atomic_store(&board->save, 0);
    segment_ring_all(stage->segment);
}

/* Whether a mini-batch of the epoch is one after which stage 1 can have decided to save: nothing of a later one has begun
 * here, as it had admitted none. Any other is not its word. */
static bool is_ahead(const struct phase_run *phase, uint32_t minibatch)
{
    const int microbatches = phase->schedule.microbatches;
    const int begun = max_int(phase->replayed + 1, (phase->progress.forwards + microbatches - 1) / microbatches);

    return minibatch >= (uint32_t)(phase->skipped + begun) &&
           minibatch < (uint32_t)(phase->skipped + phase->schedule.minibatches);
}

static void begin_passing(struct stage *stage, int minibatch)
{
    struct passing *passing = &stage->block->passing;

    for (int v = 0; v < MAX_STAGES; v++)
        atomic_store_explicit(&passing->versions[v].state, SAVED_NOT_YET, memory_order_relaxed);
    stage->phase.save_after = minibatch;
    stage->phase.statistics_kept = false;
    keep_versions(stage, minibatch, passing->versions);
}

static int keep_statistics(struct stage *stage, struct error *error)
{
    stage->phase.statistics_kept = true;
    return copy(stage, stage->statistics, stage->state, own_slice(stage)->state, error);
}

/* The mini-batch's update is the newest. */
static void end_passing(struct stage *stage)
{
    struct phase_run *phase = &stage->phase;
    struct passing *passing = &stage->block->passing;
    const int minibatch = phase->skipped + phase->save_after;
    struct error ignored;
    const int copied = phase->statistics_kept ? 0 : keep_statistics(stage, &ignored);

    passing->sums = save_sums(stage);
    write_main(stage, &passing->file, phase->epoch, minibatch, stage->statistics, copied);
    phase->save_after = 0;
    phase->kept = (struct old_versions){0};
    stage->passed_at = stop_point(phase->epoch, PHASE_TRAIN, minibatch);
    /* Pairs with the coordinator's acquire load: all of the above is there. */
    atomic_store_explicit(&passing->at, stage->passed_at, memory_order_release);
}

void save_look(struct stage *stage)
{
    struct phase_run *phase = &stage->phase;
    const uint64_t at = atomic_load_explicit(&stage->board->save_at, memory_order_acquire);
    const int last = phase->schedule.minibatches;
    const bool stopped = phase->skipped + last < stage->plan->minibatches_per_epoch;

    if (phase->kind != PHASE_TRAIN || stopped)
        return;
    if (phase->save_after == 0 && at >> 32 == stop_point(phase->epoch, PHASE_TRAIN, 0) >> 32 &&
        is_ahead(phase, (uint32_t)at) && at != stage->passed_at)
        begin_passing(stage, (int)(uint32_t)at - phase->skipped);
    if (phase->save_after > 0 && phase->progress.weight_backwards >= phase->save_after * phase->schedule.microbatches)
        end_passing(stage);
}

int save_before_forward(struct stage *stage, const struct op *op, struct error *error)
{
    struct phase_run *phase = &stage->phase;

    save_look(stage);
    return op->minibatch > phase->save_after && phase->save_after > 0 && !phase->statistics_kept
               ? keep_statistics(stage, error)
               : 0;
}
