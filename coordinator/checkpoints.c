#include "coordinator/checkpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No error has so high a number. */
enum { ERRNO_END = 4096 };

static bool is_whole(const struct manifest *manifest)
{
    return manifest->minibatch == manifest->minibatches_per_epoch;
}

static bool is_tested(const struct manifest *manifest)
{
    return manifest->epoch_count == manifest->epoch;
}

bool checkpoints_exact(const struct manifest *manifest, const struct plan *plan)
{
    const struct config *one = &manifest->config, *other = &plan->config;
    bool same = one->pipeline.order == RUN_STATIC && other->pipeline.order == RUN_STATIC &&
                strcmp(one->pipeline.system, other->pipeline.system) == 0 &&
                one->pipeline.microbatches == other->pipeline.microbatches &&
                one->pipeline.vertical_sync == other->pipeline.vertical_sync &&
                one->pipeline.forward_weights == other->pipeline.forward_weights &&
                one->pipeline.backward_weights == other->pipeline.backward_weights &&
                manifest->stage_count == plan->stage_count;

    for (int s = 0; s < plan->stage_count && same; s++)
        same = manifest->partition[s] == plan->stages[s].slice.block_count;
    return same || is_whole(manifest);
}

/* Whether blocks of the manifest's that begin there are the stage's too. */
static bool share_blocks(int first, int count, const struct slice *slice)
{
    return first < slice->first_block + slice->block_count && slice->first_block < first + count;
}

bool checkpoints_same_backends(const struct manifest *manifest, const struct plan *plan)
{
    int first = 0;

    for (int m = 0; m < manifest->stage_count; m++) {
        const char *before = manifest->backends[m];

        for (int s = 0; s < plan->stage_count; s++)
            if (before[0] && share_blocks(first, manifest->partition[m], &plan->stages[s].slice) &&
                (strcmp(before, plan->stages[s].backend) != 0 ||
                 (plan_place_of(plan, s + 1) == PLACE_GPU && manifest->config.device.tf32 != plan->config.device.tf32)))
                return false;
        first += manifest->partition[m];
    }
    return true;
}

static void begin_with(const struct segment *segment, const struct checkpoint_set *set)
{
    struct segment_header *header = segment->header;
    const struct manifest *manifest = &set->manifest;
    struct start *start = &header->start;

    *start = (struct start){
        .files = manifest->stage_count,
        .momentum = manifest->config.train.momentum > 0.0,
        .epoch = manifest->epoch,
        .filled_after = manifest->minibatch,
        .updates = manifest->updates,
        .sums = manifest->sums,
    };
    snprintf(start->set, sizeof(start->set), "%s", set->path);
    if (!is_whole(manifest) && checkpoints_exact(manifest, &header->plan)) {
        start->filled_after = manifest->filled_after;
        start->replayed = manifest->minibatch - manifest->filled_after;
    }
    if (is_tested(manifest)) {
        start->epoch++;
        start->filled_after = 0;
        start->sums = (struct epoch_sums){0};
    }
    memcpy(segment->board->epochs, manifest->epochs, (size_t)manifest->epoch_count * sizeof(manifest->epochs[0]));
    atomic_store(&segment->board->epochs_done, manifest->epoch_count);
}

void checkpoints_begin(struct checkpoints *checkpoints, const struct segment *segment, const char *folder,
                       struct checkpoint_set *from)
{
    *checkpoints = (struct checkpoints){.segment = segment, .folder = folder, .epoch = 1};
    if (!from)
        return;
    begin_with(segment, from);
    sets_set_aside_after(folder, from->name);
    memcpy(checkpoints->newest, from->name, sizeof(checkpoints->newest));
    checkpoints->manifest = from->manifest;
    from->manifest = (struct manifest){.stage_count = 0};
    checkpoints->epoch = segment->header->start.epoch;
    checkpoints->judged = is_whole(&checkpoints->manifest) && !is_tested(&checkpoints->manifest);
}

void checkpoints_end(struct checkpoints *checkpoints)
{
    manifest_release(&checkpoints->manifest);
}

/* The first failure's -errno among a stage's older versions, which are written before its main file. */
static int state_of_versions(const struct stage_block *block)
{
    int state = SAVED;

    for (int v = 0; v < MAX_STAGES && block->saved_versions[v].state != SAVED_NOT_YET && state == SAVED; v++)
        state = block->saved_versions[v].state;
    return state;
}

/* All stages' parts: 0 if one is still to come, 1 if all are there, or the first failure's -errno and its stage. */
static int state_of(const struct checkpoints *checkpoints, int *stage)
{
    const struct segment_header *header = checkpoints->segment->header;
    int state = SAVED;

    for (int s = 1; s <= header->stage_count; s++) {
        struct stage_block *block = segment_stage(checkpoints->segment, s);
        /* Pairs with the stage's release store: the rest of the record is there. */
        int own = atomic_load_explicit(&block->saved[checkpoints->epoch - 1].state, memory_order_acquire);

        if (own == SAVED_NOT_YET)
            return SAVED_NOT_YET;
        if (own == SAVED && block->saved[checkpoints->epoch - 1].number < header->plan.minibatches_per_epoch)
            own = state_of_versions(block);
        if (own < SAVED_NOT_YET && state == SAVED) {
            state = own > -ERRNO_END ? own : -EIO;
            *stage = s;
        }
    }
    return state;
}

static void add_file(struct manifest *manifest, int stage, int version, const struct saved_file *saved)
{
    struct manifest_file *file = &manifest->files[manifest->file_count++];

    checkpoint_file_name(stage, version, file->name);
    file->bytes = saved->bytes;
    file->crc32 = saved->crc32;
}

static void add_files(struct manifest *manifest, const struct checkpoints *checkpoints)
{
    for (int s = 1; s <= manifest->stage_count; s++) {
        const struct stage_block *block = segment_stage(checkpoints->segment, s);

        const struct plan_stage *plan = &checkpoints->segment->header->plan.stages[s - 1];

        manifest->partition[s - 1] = plan->slice.block_count;
        memcpy(manifest->backends[s - 1], plan->backend, sizeof(plan->backend));
        add_file(manifest, s, -1, &block->saved[manifest->epoch - 1]);
        for (int v = 0; v < MAX_STAGES && !is_whole(manifest) && block->saved_versions[v].state == SAVED; v++)
            add_file(manifest, s, block->saved_versions[v].number, &block->saved_versions[v]);
    }
}

/* Results of the epochs that are tested, up to the manifest's. Their times count from the begin of each. */
static void add_results(struct manifest *manifest, const struct segment *segment, int done)
{
    manifest->epoch_count = done < manifest->epoch ? done : manifest->epoch;
    for (int e = 0; e < manifest->epoch_count; e++) {
        struct epoch_result *result = &manifest->epochs[e];

        *result = segment_epochs(segment)[e];
        result->trained_ns -= result->start_ns;
        result->end_ns -= result->start_ns;
        result->start_ns = 0;
    }
}

static int describe(struct manifest *manifest, const struct checkpoints *checkpoints)
{
    const struct segment_header *header = checkpoints->segment->header;
    const struct plan *plan = &header->plan;
    const int epoch = checkpoints->epoch;

    *manifest = (struct manifest){
        .config = plan->config,
        .epoch = epoch,
        .minibatch = segment_stage(checkpoints->segment, 1)->saved[epoch - 1].number,
        .minibatches_per_epoch = plan->minibatches_per_epoch,
        .filled_after = epoch == header->start.epoch ? header->start.filled_after : 0,
        .sums = segment_stage(checkpoints->segment, plan->stage_count)->sums[epoch - 1],
        .stage_count = plan->stage_count,
        .shape = plan->data.shape,
        .train_count = plan->data.train_count,
        .epochs = calloc((size_t)epoch, sizeof(struct epoch_result)),
        .files = calloc((size_t)plan->stage_count * (MAX_STAGES + 1), sizeof(struct manifest_file)),
    };
    if (!manifest->epochs || !manifest->files) {
        manifest_release(manifest);
        return -1;
    }
    manifest->sums.training_ns = segment_stage(checkpoints->segment, 1)->sums[epoch - 1].training_ns;
    manifest->updates = (epoch - 1) * plan->minibatches_per_epoch + manifest->minibatch;
    add_files(manifest, checkpoints);
    return 0;
}

/* The best of the complete sets at an epoch's end; "" if none is tested. */
static void find_best(const struct checkpoints *checkpoints, const struct set_place *places, int count,
                      char best[CHECKPOINT_NAME_MAX])
{
    const struct epoch_result *results = segment_epochs(checkpoints->segment);
    const int done = segment_epochs_done(checkpoints->segment);
    double most = -1.0;

    best[0] = '\0';
    for (int i = count - 1; i >= 0; i--) {
        char name[CHECKPOINT_NAME_MAX];

        checkpoint_set_name(places[i].epoch, 0, name);
        if (strcmp(name, places[i].name) != 0 || places[i].epoch > done ||
            !set_is_complete(checkpoints->folder, name) || !(results[places[i].epoch - 1].test_top1 > most))
            continue;
        most = results[places[i].epoch - 1].test_top1;
        memcpy(best, name, sizeof(name));
    }
}

/* A link that names it, for who looks into the folder. Where there are no links there is none. */
static void mark_best(const struct checkpoints *checkpoints, const char *best)
{
    char path[CHECKPOINT_PATH_MAX], temporary[CHECKPOINT_PATH_MAX + 8];

    snprintf(path, sizeof(path), "%s/" CHECKPOINTS_FOLDER "/best", checkpoints->folder);
    snprintf(temporary, sizeof(temporary), "%s.part", path);
    unlink(temporary);
    if (best[0] && (symlink(best, temporary) || rename(temporary, path)))
        unlink(temporary);
}

/* Older sets than the newest complete one: all that are not kept, or were never completed. */
static void remove_old(const struct checkpoints *checkpoints)
{
    const int keep = checkpoints->segment->header->plan.config.checkpoints.keep;
    struct set_place *places;
    const int count = sets_list(checkpoints->folder, &places);
    char best[CHECKPOINT_NAME_MAX];
    int newer = -1;

    find_best(checkpoints, places, count, best);
    mark_best(checkpoints, best);
    for (int i = 0; i < count; i++) {
        if (strcmp(places[i].name, checkpoints->newest) == 0)
            newer = 0;
        /* Beyond the newest may be one that is being written. */
        if (newer < 0)
            continue;
        const bool complete = set_is_complete(checkpoints->folder, places[i].name);
        newer += complete;
        if (!complete || (newer > keep && strcmp(places[i].name, best) != 0))
            set_remove(checkpoints->folder, places[i].name);
    }
    free(places);
}

static void name_of(const struct manifest *manifest, char name[CHECKPOINT_NAME_MAX])
{
    checkpoint_set_name(manifest->epoch, is_whole(manifest) ? 0 : manifest->minibatch, name);
}

/* With what is known by now of the epochs' tests. */
static int write_manifest(struct checkpoints *checkpoints, int done, struct error *error)
{
    struct manifest *manifest = &checkpoints->manifest;
    char name[CHECKPOINT_NAME_MAX];

    name_of(manifest, name);
    add_results(manifest, checkpoints->segment, done);
    if (set_write_manifest(checkpoints->folder, name, manifest, error))
        return -1;
    memcpy(checkpoints->newest, name, sizeof(checkpoints->newest));
    remove_old(checkpoints);
    return 0;
}

/* Every stage has written its part of the epoch's set, or failed to. */
static int complete(struct checkpoints *checkpoints, int done, struct error *error)
{
    struct manifest *manifest = &checkpoints->manifest;
    char name[CHECKPOINT_NAME_MAX];
    int stage = 0, state = state_of(checkpoints, &stage);

    manifest_release(manifest);
    if (describe(manifest, checkpoints))
        return error_set(error, "out of memory for a checkpoint's manifest");
    name_of(manifest, name);
    if (state < 0)
        error_set(error, "stage %d cannot write its part of %s/" CHECKPOINTS_FOLDER "/%s: %s", stage,
                  checkpoints->folder, name, strerror(-state));
    if (state < 0 || write_manifest(checkpoints, done, error)) {
        set_remove(checkpoints->folder, name);
        manifest_release(manifest);
        return -1;
    }
    checkpoints->written++;
    return 0;
}

/* Takes the epoch's set a step further. 1 if something was done, 0 if it is not time yet, -1 if it failed. */
static int step(struct checkpoints *checkpoints, struct error *error)
{
    /* Pairs with the last stage's release store: the results are there, and all parts were written before. */
    const int done = segment_epochs_done(checkpoints->segment);
    const struct manifest *manifest = &checkpoints->manifest;
    int stage, failed = 0;

    if (!checkpoints->judged) {
        if (state_of(checkpoints, &stage) == SAVED_NOT_YET)
            return 0;
        checkpoints->judged = true;
        return complete(checkpoints, done, error) ? -1 : 1;
    }
    if (done < checkpoints->epoch)
        return 0;
    if (manifest->stage_count > 0 && !is_tested(manifest))
        failed = write_manifest(checkpoints, done, error);
    checkpoints->epoch++;
    checkpoints->judged = false;
    return failed ? -1 : 1;
}

int checkpoints_follow(struct checkpoints *checkpoints, struct error *error)
{
    int stepped = 1;

    while (stepped > 0 && checkpoints->epoch <= checkpoints->segment->header->plan.config.run.epochs)
        stepped = step(checkpoints, error);
    checkpoints->failed += stepped < 0;
    return stepped < 0 ? -1 : 0;
}
