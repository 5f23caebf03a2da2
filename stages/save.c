/* When a stage saves what, and what it begins with: a checkpoint after each epoch's training, or where the run is
 * stopped; the way back from it. */
#include <errno.h>
#include <string.h>

#include "stages/checkpoint.h"
#include "stages/internal.h"

static const char momentum_prefix[] = "optimizer.momentum.";

/* Where the copies of a stage's arrays lie (struct stage), or the arrays themselves if they are the host's. */
struct arrays {
    float *weights, *state, *momentum;
};

static struct arrays copies_of(const struct stage *stage)
{
    const struct slice *slice = &stage->plan->stages[stage->index - 1].slice;
    float *copies = stage->copies;

    if (!copies)
        return (struct arrays){weights_live(stage->weights), stage->state, stage->momentum};
    return (struct arrays){copies, copies + slice->parameters, copies + slice->parameters + slice->state};
}

/* From the device to its copy on the host or the other way, unless they are one. */
static int copy(struct stage *stage, float *to, const float *from, size_t count, struct error *error)
{
    if (to == from)
        return 0;
    return stage->device->type->copy(stage->device, to, from, count * sizeof(float), error) ||
           device_finish(stage->device, error);
}

static bool restores(const struct stage *stage)
{
    return stage->header->start.set[0] != '\0';
}

int save_restore(struct stage *stage, struct error *error)
{
    const struct start *start = &stage->header->start;
    const struct slice *slice = &stage->plan->stages[stage->index - 1].slice;
    const struct arrays arrays = copies_of(stage);
    const bool momentum = stage->momentum && start->momentum;
    struct tensor_group groups[] = {
        {"", false, arrays.weights}, {"", true, arrays.state}, {"", false, arrays.momentum}};

    if (tensors_create(&stage->tensors, compute_network(stage->compute), slice, error))
        return -1;
    if (!restores(stage))
        return 0;
    strcpy(groups[2].prefix, momentum_prefix);
    weights_renumber(stage->weights, start->updates);
    atomic_store(&stage->block->applied, start->updates);
    return checkpoint_read(start->set, start->files, &stage->tensors, groups, momentum ? 3 : 2, error) ||
           copy(stage, weights_live(stage->weights), arrays.weights, slice->parameters, error) ||
           copy(stage, stage->state, arrays.state, slice->state, error) ||
           (momentum && copy(stage, stage->momentum, arrays.momentum, slice->parameters, error));
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
    return failed || copy(stage, floats, group.floats, stage->plan->stages[stage->index - 1].slice.parameters, error);
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
    const float *weights = weights_version(stage->weights, version);
    struct tensor_group group = {.floats = stage->copies ? stage->copies : (float *)(uintptr_t)weights};
    struct error ignored;

    snprintf(group.prefix, sizeof(group.prefix), "version.%d.", version);
    write_file(stage, &stage->block->saved_versions[phase->versions_saved++], phase->epoch,
               phase->skipped + phase->kept.live - phase->first_version, version, &group, 1,
               copy(stage, group.floats, weights, stage->plan->stages[stage->index - 1].slice.parameters, &ignored));
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
    const struct slice *slice = &stage->plan->stages[stage->index - 1].slice;
    const struct arrays arrays = copies_of(stage);
    struct tensor_group groups[] = {
        {"", false, arrays.weights}, {"", true, arrays.state}, {"", false, arrays.momentum}};
    struct error ignored;

    if (!saves(stage))
        return;
    strcpy(groups[2].prefix, momentum_prefix);
    stage->block->sums[epoch - 1] = *sums;
    write_file(stage, &stage->block->saved[epoch - 1], epoch, minibatch, -1, groups, stage->momentum ? 3 : 2,
               copy(stage, arrays.weights, weights_live(stage->weights), slice->parameters, &ignored) ||
                   copy(stage, arrays.state, stage->state, slice->state, &ignored) ||
                   (stage->momentum && copy(stage, arrays.momentum, stage->momentum, slice->parameters, &ignored)));
}
