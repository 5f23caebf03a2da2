/* When a stage saves what, and what it begins with: a checkpoint after each epoch's training, or where the run is
 * stopped; the way back from it. */
#include <errno.h>
#include <string.h>

#include "stages/checkpoint.h"
#include "stages/internal.h"

static const char momentum_prefix[] = "optimizer.momentum.";

static const struct slice *own_slice(const struct stage *stage)
{
    return &stage->plan->stages[stage->index - 1].slice;
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
    return checkpoint_read(start->set, start->files, &stage->tensors, groups,
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
        failed = checkpoint_read(start->set, start->files, &stage->tensors, &group, 1, error);
    } else {
        snprintf(group.prefix, sizeof(group.prefix), "version.%d.", version);
        checkpoint_file_name(stage->index, version, file);
        failed = checkpoint_read_file(start->set, file, &stage->tensors, &group, 1, error);
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
    failed =
        copied ? EIO
               : checkpoint_write(stage->header->run_folder, set, file, &stage->tensors, groups, group_count, &written);
    saved->number = version < 0 ? minibatch : version;
    saved->bytes = written.bytes;
    saved->crc32 = written.crc32;
    /* Pairs with the coordinator's acquire load: all of the above is there. */
    atomic_store_explicit(&saved->state, failed ? -failed : SAVED, memory_order_release);
    telemetry_activity(stage, ACTIVITY_NONE, WAIT_NONE, NULL);
}

static void write_version(struct stage *stage, int version)
{
    struct phase_run *phase = &stage->phase;
    float *weights = (float *)(uintptr_t)weights_version(stage->weights, version);
    struct tensor_group group = {.floats = stage->copies ? stage->copies : weights};
    const struct stage_arrays from = version_at(weights), to = version_at(group.floats);
    struct error ignored;

    snprintf(group.prefix, sizeof(group.prefix), "version.%d.", version);
    write_file(stage, &stage->block->saved_versions[phase->versions_saved++], phase->epoch,
               phase->skipped + phase->kept.live - phase->first_version, version, &group, 1,
               save_copy(stage, &to, &from, &ignored));
}

static bool saves(const struct stage *stage)
{
    return stage->header->run_folder[0] != '\0';
}

void save_stopped(struct stage *stage, int minibatch)
{
    struct phase_run *phase = &stage->phase;

    if (!saves(stage) || !phase->simulation || minibatch == phase->replayed)
        return;
    if (save_find_versions(stage, minibatch, &phase->kept)) {
        atomic_store(&stage->block->saved_versions[0].state, -ENOMEM);
        return;
    }
    for (int version = phase->kept.live - 63; version < versions_live(phase->tracker); version++)
        if (is_among(&phase->kept, version))
            write_version(stage, version);
}

void save_version_before_update(struct stage *stage)
{
    const int live = versions_live(stage->phase.tracker);

    if (is_among(&stage->phase.kept, live))
        write_version(stage, live);
}

void save_epoch(struct stage *stage, int epoch, int minibatch, const struct epoch_sums *sums)
{
    const struct stage_arrays arrays = save_arrays(stage), copies = save_copies(stage);
    struct tensor_group groups[] = {
        {"", false, copies.weights}, {"", true, copies.state}, {"", false, copies.momentum}};
    struct error ignored;

    if (!saves(stage))
        return;
    strcpy(groups[2].prefix, momentum_prefix);
    stage->block->sums[epoch - 1] = *sums;
    write_file(stage, &stage->block->saved[epoch - 1], epoch, minibatch, -1, groups, copies.momentum ? 3 : 2,
               save_copy(stage, &copies, &arrays, &ignored));
}
