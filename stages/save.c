/* When a part saves what, and what it begins with: a checkpoint after each epoch's training, or where the run is
 * stopped; the way back from it. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "checkpoint/checkpoint.h"
#include "stages/internal.h"

static const struct slice *own_slice(const struct part *part)
{
    return &part->plan->parts[part->index - 1].slice;
}

struct part_arrays save_arrays(const struct part *part)
{
    struct part_arrays arrays = {weights_live(part->weights), part->state, {NULL}};

    memcpy(arrays.slots, part->slot_floats, sizeof(arrays.slots));
    return arrays;
}

struct part_arrays save_copies(const struct part *part)
{
    const struct slice *slice = own_slice(part);
    struct part_arrays arrays = {part->copies, part->copies + slice->parameters, {NULL}};

    if (!part->copies)
        return save_arrays(part);
    for (int k = 0; k < part->slot_count; k++)
        arrays.slots[k] = part->copies + (1 + (size_t)k) * slice->parameters + slice->state;
    return arrays;
}

static int copy(struct part *part, float *to, const float *from, size_t count, struct error *error)
{
    return to && from ? part->device->type->copy(part->device, to, from, count * sizeof(float), error) : 0;
}

int save_copy(struct part *part, const struct part_arrays *to, const struct part_arrays *from, struct error *error)
{
    const struct slice *slice = own_slice(part);

    for (int k = 0; k < part->slot_count; k++)
        if (copy(part, to->slots[k], from->slots[k], slice->parameters, error))
            return -1;
    return copy(part, to->weights, from->weights, slice->parameters, error) ||
           copy(part, to->state, from->state, slice->state, error) || pending_await_queue(part->stage, error);
}

enum { GROUPS_MAX = 2 + PLAN_SLOTS_MAX };

/* Before the names of a weight version's tensors; -1: of the main file's. */
static void version_prefix(int version, char prefix[TENSOR_PREFIX_MAX])
{
    prefix[0] = '\0';
    if (version >= 0)
        snprintf(prefix, TENSOR_PREFIX_MAX, "version.%d.", version);
}

/* The slots of `which` (bit k: slot k) in `arrays`, as they were at that version, added to the groups. Returns how many
 * these are now. */
static int add_slots(const struct part *part, int version, const struct part_arrays *arrays, uint32_t which,
                     struct tensor_group *groups, int count)
{
    for (int k = 0; k < part->slot_count; k++)
        if (which >> k & 1) {
            struct tensor_group *group = &groups[count++];

            *group = (struct tensor_group){.floats = arrays->slots[k]};
            version_prefix(version, group->prefix);
            snprintf(group->prefix + strlen(group->prefix), TENSOR_PREFIX_MAX - strlen(group->prefix), "optimizer.%s.",
                     part->slots[k].name);
        }
    return count;
}

bool save_restores(const struct part *part)
{
    return part->header->start.set[0] != '\0';
}

int save_restore(struct part *part, struct error *error)
{
    const struct start *start = &part->header->start;
    const struct part_arrays arrays = save_arrays(part), copies = save_copies(part);
    struct tensor_group groups[GROUPS_MAX] = {{.floats = copies.weights}, {.state = true, .floats = copies.state}};

    weights_renumber(part->weights, start->updates);
    part_set_applied(part, start->updates);
    return checkpoint_read(part->header->folder, start->set, start->files, part->index, &part->tensors, groups,
                           add_slots(part, -1, &copies, start->slots, groups, 2), error) ||
           save_copy(part, &arrays, &copies, error);
}

bool save_continues(const struct part *part, int epoch)
{
    return save_restores(part) && epoch == part->header->start.epoch;
}

int save_find_versions(const struct part *part, int minibatch, struct old_versions *versions)
{
    const struct phase_run *phase = &part->phase;

    versions->live = phase->first_version + minibatch;
    return simulation_versions_read_after(phase->simulation, &phase->schedule, part->index, minibatch, &versions->bits);
}

static bool is_among(const struct old_versions *versions, int version)
{
    const int older = versions->live - version;

    return older > 0 && older < 64 && versions->bits >> older & 1;
}

/* A version by itself is what a forward reads; one that predicts starts from the slots as they were then, too. */
static uint32_t slots_of_versions(const struct part *part)
{
    return forward_reading(part->plan->schedule.forward)->terms ? UINT32_MAX : 0;
}

/* The arrays of a weight version that lies there, and of the slots, if these go with it; and where they are written from,
 * or read into. */
static struct part_arrays version_arrays(const struct part *part, float *floats)
{
    struct part_arrays arrays = {.weights = floats};

    if (slots_of_versions(part))
        memcpy(arrays.slots, part->slot_floats, sizeof(arrays.slots));
    return arrays;
}

static struct part_arrays version_copies(const struct part *part, float *floats)
{
    struct part_arrays arrays = part->copies ? save_copies(part) : version_arrays(part, floats);

    arrays.state = NULL;
    if (!slots_of_versions(part))
        memset(arrays.slots, 0, sizeof(arrays.slots));
    return arrays;
}

int save_restore_version(struct part *part, int version, float *floats, struct error *error)
{
    const struct start *start = &part->header->start;
    const struct part_arrays to = version_arrays(part, floats), from = version_copies(part, floats);
    struct tensor_group groups[GROUPS_MAX] = {{.floats = from.weights}};
    char file[CHECKPOINT_NAME_MAX];
    int count, failed;

    if (version != start->updates && !is_among(&part->phase.restored, version))
        return 0;
    version_prefix(version == start->updates ? -1 : version, groups[0].prefix);
    count = add_slots(part, version == start->updates ? -1 : version, &from, slots_of_versions(part) & start->slots,
                      groups, 1);
    if (version == start->updates) {
        failed = checkpoint_read(part->header->folder, start->set, start->files, part->index, &part->tensors, groups,
                                 count, error);
    } else {
        checkpoint_file_name(part->index, version, file);
        failed = checkpoint_read_file(part->header->folder, start->set, file, &part->tensors, groups, count, error);
    }
    return failed ? -1 : save_copy(part, &to, &from, error);
}

/* `minibatch`: in the epoch. `copied`: 0, or -1 if the groups' arrays could not be copied from the device. */
static void write_file(struct part *part, struct saved_file *saved, int epoch, int minibatch, int version,
                       const struct tensor_group *groups, int group_count, int copied)
{
    const bool whole = minibatch == part->plan->minibatches_per_epoch;
    char set[CHECKPOINT_NAME_MAX], file[CHECKPOINT_NAME_MAX];
    struct written_file written = {0};
    int failed;

    telemetry_activity(part, ACTIVITY_SAVE, WAIT_NONE, NULL);
    checkpoint_set_name(epoch, whole ? 0 : minibatch, set);
    checkpoint_file_name(part->index, version, file);
    failed =
        copied ? EIO : checkpoint_write(part->header->folder, set, file, &part->tensors, groups, group_count, &written);
    saved->number = version < 0 ? minibatch : version;
    saved->bytes = written.bytes;
    saved->crc32 = written.crc32;
    /* Pairs with the coordinator's acquire load: all of the above is there. */
    atomic_store_explicit(&saved->state, failed ? -failed : SAVED, memory_order_release);
    telemetry_activity(part, ACTIVITY_NONE, WAIT_NONE, NULL);
}

/* One of phase.kept. */
static void write_version(struct part *part, int version)
{
    struct phase_run *phase = &part->phase;
    float *weights = (float *)(uintptr_t)weights_version(part->weights, version);
    const struct part_arrays from = version_arrays(part, weights), to = version_copies(part, weights);
    struct tensor_group groups[GROUPS_MAX] = {{.floats = to.weights}};
    struct error ignored;
    int count;

    version_prefix(version, groups[0].prefix);
    count = add_slots(part, version, &to, slots_of_versions(part), groups, 1);
    write_file(part, &phase->kept_files[phase->versions_saved++], phase->epoch,
               phase->skipped + phase->kept.live - phase->first_version, version, groups, count,
               save_copy(part, &to, &from, &ignored));
}

static bool saves(const struct part *part)
{
    return part->header->run_folder[0] != '\0';
}

/* Writes those that are there; the others when they are about to go. */
static void keep_versions(struct part *part, int minibatch, struct saved_file *files)
{
    struct phase_run *phase = &part->phase;

    phase->kept = (struct old_versions){0};
    phase->kept_files = files;
    phase->versions_saved = 0;
    if (!phase->simulation || minibatch == phase->replayed)
        return;
    if (save_find_versions(part, minibatch, &phase->kept)) {
        atomic_store(&files[0].state, -ENOMEM);
        return;
    }
    for (int version = phase->kept.live - 63; version < versions_live(phase->tracker); version++)
        if (is_among(&phase->kept, version))
            write_version(part, version);
}

void save_stopped(struct part *part, int minibatch)
{
    if (!saves(part))
        return;
    /* What is written where the run ends takes the place of what it would have passed. */
    part->phase.save_after = 0;
    keep_versions(part, minibatch, part->block->saved_versions);
}

void save_version_before_update(struct part *part)
{
    const int live = versions_live(part->phase.tracker);

    if (is_among(&part->phase.kept, live))
        write_version(part, live);
}

struct epoch_sums save_sums(const struct part *part)
{
    const struct phase_run *phase = &part->phase;
    const uint64_t before = save_continues(part, phase->epoch) ? part->header->start.sums.training_ns : 0;
    const uint64_t since = phase->start_ns > 0 ? clock_now_ns() - phase->start_ns : 0;

    return (struct epoch_sums){phase->loss_sum, phase->samples, phase->top1, phase->top5, before + since};
}

/* The part's main file, with these running statistics, which the host reaches. `copied`: as above, of them. */
static void write_main(struct part *part, struct saved_file *saved, int epoch, int minibatch, float *statistics,
                       int copied)
{
    const struct part_arrays arrays = save_arrays(part), copies = save_copies(part);
    struct tensor_group groups[GROUPS_MAX] = {{.floats = copies.weights}, {.state = true, .floats = statistics}};
    const int count = add_slots(part, -1, &copies, UINT32_MAX, groups, 2);
    struct error ignored;

    write_file(part, saved, epoch, minibatch, -1, groups, count, copied || save_copy(part, &copies, &arrays, &ignored));
}

void save_epoch(struct part *part, int epoch, int minibatch, const struct epoch_sums *sums)
{
    if (!saves(part))
        return;
    part->block->sums[epoch - 1] = *sums;
    write_main(part, &part->block->saved[epoch - 1], epoch, minibatch, save_copies(part).state, 0);
}

void save_begin(struct part *part)
{
    const int every = part->plan->config.checkpoints.every.count;

    part->intervals = every > 0 ? part->applied / every : 0;
}

static bool is_due(const struct part *part, int admitted)
{
    const struct phase_run *phase = &part->phase;
    const struct config_interval *every = &part->plan->config.checkpoints.every;

    if (atomic_load(&part->board->save))
        return phase->kind == PHASE_EVALUATE || admitted > phase->replayed;
    return phase->kind == PHASE_TRAIN && !every->minutes && every->count > 0 &&
           admitted < phase->schedule.minibatches && (phase->first_version + admitted) / every->count > part->intervals;
}

void save_decide(struct part *part, int admitted)
{
    const struct phase_run *phase = &part->phase;
    const struct config_interval *every = &part->plan->config.checkpoints.every;
    const bool middle = phase->kind == PHASE_TRAIN && admitted < phase->schedule.minibatches;
    const int minibatch = middle ? phase->skipped + admitted : part->plan->minibatches_per_epoch;
    struct board *board = part->board;

    if (!saves(part) || atomic_load(&board->save_at) != atomic_load(&board->saved_at) || !is_due(part, admitted))
        return;
    if (every->count > 0)
        part->intervals = (phase->first_version + admitted) / every->count;
    /* Seen by whoever takes a later mini-batch's first message. */
    atomic_store_explicit(&board->save_at, stop_point(phase->epoch, PHASE_TRAIN, minibatch), memory_order_release);
    atomic_store(&board->save, 0);
    segment_ring_all(part->segment);
}

/* Whether a mini-batch of the epoch is one after which part 1 can have decided to save: nothing of a later one has begun
 * here, as it had admitted none. Any other is not its word. */
static bool is_ahead(const struct phase_run *phase, uint32_t minibatch)
{
    const int microbatches = phase->schedule.microbatches;
    const int begun = max_int(phase->replayed + 1, (phase->progress.forwards + microbatches - 1) / microbatches);

    return minibatch >= (uint32_t)(phase->skipped + begun) &&
           minibatch < (uint32_t)(phase->skipped + phase->schedule.minibatches);
}

static void begin_passing(struct part *part, int minibatch)
{
    struct passing *passing = &part->block->passing;

    for (int v = 0; v < MAX_STAGES; v++)
        atomic_store_explicit(&passing->versions[v].state, SAVED_NOT_YET, memory_order_relaxed);
    part->phase.save_after = minibatch;
    part->phase.statistics_kept = false;
    keep_versions(part, minibatch, passing->versions);
}

static int keep_statistics(struct part *part, struct error *error)
{
    part->phase.statistics_kept = true;
    return copy(part, part->statistics, part->state, own_slice(part)->state, error);
}

/* The mini-batch's update is the newest. */
static void end_passing(struct part *part)
{
    struct phase_run *phase = &part->phase;
    struct passing *passing = &part->block->passing;
    const int minibatch = phase->skipped + phase->save_after;
    struct error ignored;
    const int copied = phase->statistics_kept ? 0 : keep_statistics(part, &ignored);

    passing->sums = save_sums(part);
    write_main(part, &passing->file, phase->epoch, minibatch, part->statistics, copied);
    phase->save_after = 0;
    phase->kept = (struct old_versions){0};
    part->passed_at = stop_point(phase->epoch, PHASE_TRAIN, minibatch);
    /* Pairs with the coordinator's acquire load: all of the above is there. */
    atomic_store_explicit(&passing->at, part->passed_at, memory_order_release);
}

void save_look(struct part *part)
{
    struct phase_run *phase = &part->phase;
    const uint64_t at = atomic_load_explicit(&part->board->save_at, memory_order_acquire);
    const int last = phase->schedule.minibatches;
    const bool stopped = phase->skipped + last < part->plan->minibatches_per_epoch;

    if (phase->kind != PHASE_TRAIN || stopped)
        return;
    if (phase->save_after == 0 && at >> 32 == stop_point(phase->epoch, PHASE_TRAIN, 0) >> 32 &&
        is_ahead(phase, (uint32_t)at) && at != part->passed_at)
        begin_passing(part, (int)(uint32_t)at - phase->skipped);
    if (phase->save_after > 0 && versions_live(phase->tracker) >= phase->first_version + phase->save_after)
        end_passing(part);
}

int save_before_forward(struct part *part, const struct op *op, struct error *error)
{
    struct phase_run *phase = &part->phase;

    save_look(part);
    return op->minibatch > phase->save_after && phase->save_after > 0 && !phase->statistics_kept
               ? keep_statistics(part, error)
               : 0;
}
