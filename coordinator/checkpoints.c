#include "coordinator/checkpoints.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "board/segment.h"
#include "plan/replay.h"

/* Whether static lists of the two are made for the same times. */
static bool same_list_times(const struct config *one, const struct config *other)
{
    if (one->pipeline.static_times != STATIC_MEASURED || other->pipeline.static_times != STATIC_MEASURED)
        return one->pipeline.static_times == other->pipeline.static_times;
    return replay_same_times(one, other);
}

/* No error has so high a number. */
enum { ERRNO_END = 4096 };

bool checkpoints_exact(const struct manifest *manifest, const struct plan *plan)
{
    const struct config *one = &manifest->config, *other = &plan->config;
    const bool replays =
        schedule_is_list(&plan->schedule) || (one->pipeline.order == RUN_STATIC && other->pipeline.order == RUN_STATIC);
    bool same = replays && strcmp(one->pipeline.system, other->pipeline.system) == 0 &&
                manifest->schedule_crc32 == plan_schedule_crc32(plan) && same_list_times(one, other) &&
                one->pipeline.parts == other->pipeline.parts && one->pipeline.placement == other->pipeline.placement &&
                one->pipeline.microbatches == other->pipeline.microbatches &&
                one->pipeline.vertical_sync == other->pipeline.vertical_sync &&
                one->pipeline.forward_weights == other->pipeline.forward_weights &&
                one->pipeline.backward_weights == other->pipeline.backward_weights &&
                manifest->stage_count == plan->part_count;

    for (int s = 0; s < plan->part_count && same; s++)
        same = manifest->partition[s] == plan->parts[s].slice.block_count;
    return same || manifest_is_whole(manifest);
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

        for (int k = 1; k <= plan->part_count; k++) {
            const int stage = plan_stage_of(plan, k);

            if (before[0] && share_blocks(first, manifest->partition[m], &plan->parts[k - 1].slice) &&
                (strcmp(before, plan->stages[stage - 1].backend) != 0 ||
                 (plan_place_of(plan, stage) == PLACE_GPU && manifest->config.device.tf32 != plan->config.device.tf32)))
                return false;
        }
        first += manifest->partition[m];
    }
    return true;
}

/* Of the plan's slots those that the set has. */
static uint32_t slots_in(const struct manifest *manifest, const struct plan *plan)
{
    struct slot slots[PLAN_SLOTS_MAX];
    const int count = plan_slots(plan, slots);
    uint32_t bits = 0;

    for (int k = 0; k < count; k++)
        bits |= (uint32_t)manifest_has_slot(manifest, slots[k].name) << k;
    return bits;
}

static void begin_with(const struct segment *segment, const struct checkpoint_set *set)
{
    struct segment_header *header = segment->header;
    const struct manifest *manifest = &set->manifest;
    struct start *start = &header->start;

    *start = (struct start){
        .files = manifest->stage_count,
        .slots = slots_in(manifest, &header->plan),
        .epoch = manifest->epoch,
        .filled_after = manifest->minibatch,
        .updates = manifest->updates,
        .sums = manifest->sums,
    };
    snprintf(start->set, sizeof(start->set), "%s", set->name);
    if (!manifest_is_whole(manifest) && checkpoints_exact(manifest, &header->plan)) {
        start->filled_after = manifest->filled_after;
        start->replayed = manifest->minibatch - manifest->filled_after;
    }
    if (manifest_is_tested(manifest)) {
        start->epoch++;
        start->filled_after = 0;
        start->sums = (struct epoch_sums){0};
    }
    memcpy(segment->board->epochs, manifest->epochs, (size_t)manifest->epoch_count * sizeof(manifest->epochs[0]));
    atomic_store(&segment->board->epochs_done, manifest->epoch_count);
}

void checkpoints_begin(struct checkpoints *checkpoints, const struct segment *segment, const struct run_folder *folder,
                       struct checkpoint_set *from)
{
    *checkpoints = (struct checkpoints){.segment = segment, .folder = folder, .epoch = 1, .passed_ns = clock_now_ns()};
    segment->header->folder = folder->descriptor;
    if (!from)
        return;
    begin_with(segment, from);
    memcpy(checkpoints->newest, from->name, sizeof(checkpoints->newest));
    checkpoints->manifest = from->manifest;
    from->manifest = (struct manifest){.stage_count = 0};
    checkpoints->epoch = segment->header->start.epoch;
    checkpoints->judged = manifest_is_whole(&checkpoints->manifest) && !manifest_is_tested(&checkpoints->manifest);
}

void checkpoints_begin_test(const struct segment *segment, const struct run_folder *folder,
                            const struct checkpoint_set *set)
{
    const struct manifest *manifest = &set->manifest;
    struct start *start = &segment->header->start;

    segment->header->folder = folder->descriptor;
    begin_with(segment, set);
    start->epoch = manifest->epoch;
    start->filled_after = segment->header->plan.minibatches_per_epoch;
    start->replayed = 0;
    start->sums = manifest->sums;
    /* As this plan counts them: its data may be other. */
    start->updates = manifest->epoch * segment->header->plan.minibatches_per_epoch;
    atomic_store(&segment->board->epochs_done, manifest->epoch - 1);
}

void checkpoints_started(const struct checkpoints *checkpoints)
{
    if (checkpoints->newest[0])
        sets_set_aside_after(checkpoints->folder, checkpoints->newest);
}

void checkpoints_end(struct checkpoints *checkpoints)
{
    manifest_release(&checkpoints->manifest);
}

/* A stage's part of a set. */
struct part {
    const struct saved_file *file;
    int number;                        /* of its mini-batch, which is one of the epoch's if the state is 1 */
    const struct saved_file *versions; /* [MAX_STAGES], as far as their states say; NULL: there are none */
    const struct epoch_sums *sums;
    int state; /* 0: it is still to come; 1: it is there; or the first failure's -errno */
};

/* The first failure's -errno among a stage's older versions, which are written before its main file. */
static int state_of_versions(const struct saved_file *versions)
{
    int state = SAVED;

    for (int v = 0; v < MAX_STAGES && versions[v].state != SAVED_NOT_YET && state == SAVED; v++)
        state = versions[v].state;
    return state;
}

/* Of the epoch's set, or (`passing`, a stop_point) of one that the run passes. */
static struct part part_of(const struct checkpoints *checkpoints, int s, uint64_t passing)
{
    const struct stage_block *block = segment_stage(checkpoints->segment, s);
    const int epoch = checkpoints->epoch, whole = checkpoints->segment->header->plan.minibatches_per_epoch;
    struct part part = {
        .file = &block->saved[epoch - 1], .versions = block->saved_versions, .sums = &block->sums[epoch - 1]};

    if (passing)
        part = (struct part){
            .file = &block->passing.file, .versions = block->passing.versions, .sums = &block->passing.sums};
    /* Both pair with the stage's release store: the rest of the record is there. */
    if (!passing || atomic_load_explicit(&block->passing.at, memory_order_acquire) == passing)
        part.state = atomic_load_explicit(&part.file->state, memory_order_acquire);
    part.number = min_int(max_int(part.file->number, 0), whole);
    if (part.state == SAVED && part.number != part.file->number)
        part.state = -EIO;
    if (part.state != SAVED_NOT_YET && part.number == whole)
        part.versions = NULL;
    if (part.state == SAVED && part.versions)
        part.state = state_of_versions(part.versions);
    return part;
}

/* All parts: 0 if one is still to come, 1 if all are there, or the first failure's -errno and its number. */
static int state_of(const struct checkpoints *checkpoints, uint64_t passing, int *part)
{
    const struct segment_header *header = checkpoints->segment->header;
    int state = SAVED;

    for (int s = 1; s <= header->block_count; s++) {
        const int own = part_of(checkpoints, s, passing).state;

        if (own == SAVED_NOT_YET)
            return SAVED_NOT_YET;
        if (own < SAVED_NOT_YET && state == SAVED) {
            state = own > -ERRNO_END ? own : -EIO;
            *part = s;
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

static void add_files(struct manifest *manifest, const struct checkpoints *checkpoints, uint64_t passing)
{
    for (int s = 1; s <= manifest->stage_count; s++) {
        const struct part part = part_of(checkpoints, s, passing);
        const struct plan *plan = &checkpoints->segment->header->plan;

        manifest->partition[s - 1] = plan->parts[s - 1].slice.block_count;
        memcpy(manifest->backends[s - 1], plan->stages[plan_stage_of(plan, s) - 1].backend,
               sizeof(manifest->backends[0]));
        if (plan->machine_count > 1)
            memcpy(manifest->hosts[s - 1], plan->machines[plan_machine_of_part(plan, s)].host,
                   sizeof(manifest->hosts[0]));
        add_file(manifest, s, -1, part.file);
        for (int v = 0; v < MAX_STAGES && part.versions && part.versions[v].state == SAVED; v++)
            add_file(manifest, s, part.versions[v].number, &part.versions[v]);
    }
}

/* Results of the epochs that are tested when the manifest's mini-batch is trained, or behind it. Their times count from
 * the begin of each. */
static void add_results(struct manifest *manifest, const struct segment *segment, int done)
{
    manifest->epoch_count = min_int(done, manifest_is_whole(manifest) ? manifest->epoch : manifest->epoch - 1);
    for (int e = 0; e < manifest->epoch_count; e++) {
        struct epoch_result *result = &manifest->epochs[e];

        *result = segment_epochs(segment)[e];
        result->trained_ns -= result->start_ns;
        result->end_ns -= result->start_ns;
        result->start_ns = 0;
    }
}

static int describe(struct manifest *manifest, const struct checkpoints *checkpoints, uint64_t passing)
{
    const struct segment_header *header = checkpoints->segment->header;
    const struct plan *plan = &header->plan;
    const int epoch = checkpoints->epoch;
    struct slot slots[PLAN_SLOTS_MAX];

    *manifest = (struct manifest){
        .config = plan->config,
        .epoch = epoch,
        .minibatch = part_of(checkpoints, 1, passing).number,
        .minibatches_per_epoch = plan->minibatches_per_epoch,
        .filled_after = epoch == header->start.epoch ? header->start.filled_after : 0,
        .sums = *part_of(checkpoints, plan->part_count, passing).sums,
        .stage_count = plan->part_count,
        .shape = plan->data.shape,
        .train_count = plan->data.train_count,
        .normalisation = plan->data.normalisation,
        .data_crc32 = plan->data.crc32,
        .schedule_crc32 = plan_schedule_crc32(plan),
        .network_crc32 = plan_network_crc32(plan),
        .epochs = calloc((size_t)epoch, sizeof(struct epoch_result)),
        .files = calloc((size_t)plan->part_count * (MAX_STAGES + 1), sizeof(struct manifest_file)),
    };
    if (!manifest->epochs || !manifest->files) {
        manifest_release(manifest);
        return -1;
    }
    memcpy(manifest->run, checkpoints->folder->facts.run, sizeof(manifest->run));
    manifest->slot_count = plan_slots(plan, slots);
    for (int k = 0; k < manifest->slot_count; k++)
        snprintf(manifest->slots[k], sizeof(manifest->slots[k]), "%s", slots[k].name);
    manifest->sums.training_ns = part_of(checkpoints, 1, passing).sums->training_ns;
    manifest->updates = (epoch - 1) * plan->minibatches_per_epoch + manifest->minibatch;
    add_files(manifest, checkpoints, passing);
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

/* Older sets than the newest complete one: all that are not kept, or were never completed. */
static void remove_old(const struct checkpoints *checkpoints)
{
    const struct manifest *manifest = &checkpoints->manifest;
    /* Until the newest has passed its test, the one before it may be needed. A run that is to keep none goes on from
     * the newest as long as it is not finished. */
    const int keep = max_int(checkpoints->segment->header->plan.config.checkpoints.keep, 1) +
                     (manifest_is_whole(manifest) && !manifest_is_tested(manifest));
    struct set_place *places;
    const int count = sets_list(checkpoints->folder, &places);
    char best[CHECKPOINT_NAME_MAX];
    int newer = -1;

    find_best(checkpoints, places, count, best);
    if (best[0])
        set_mark_best(checkpoints->folder, best);
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
    checkpoint_set_name(manifest->epoch, manifest_is_whole(manifest) ? 0 : manifest->minibatch, name);
}

/* With what is known by now of the epochs' tests. */
static int write_manifest(struct checkpoints *checkpoints, struct manifest *manifest, int done, struct error *error)
{
    char name[CHECKPOINT_NAME_MAX];

    name_of(manifest, name);
    add_results(manifest, checkpoints->segment, done);
    if (set_write_manifest(checkpoints->folder, name, manifest, error))
        return -1;
    /* The manifest's JSON was as long as the run; what it leaves in the heap would add up from epoch to epoch. */
    malloc_trim(0);
    memcpy(checkpoints->newest, name, sizeof(checkpoints->newest));
    remove_old(checkpoints);
    return 0;
}

/* Every stage has written its files of the set, or failed to: gives it its manifest, which is released on failure. */
static int complete(struct checkpoints *checkpoints, struct manifest *manifest, uint64_t passing, int done,
                    struct error *error)
{
    char name[CHECKPOINT_NAME_MAX];
    int part = 0, state = state_of(checkpoints, passing, &part);

    checkpoints->passed_ns = clock_now_ns();
    if (describe(manifest, checkpoints, passing))
        return error_set(error, "out of memory for a checkpoint's manifest");
    name_of(manifest, name);
    if (state < 0)
        error_set(error, "stage %d cannot write its part of %s/" CHECKPOINTS_FOLDER "/%s: %s",
                  plan_stage_of(&checkpoints->segment->header->plan, part), checkpoints->folder->path, name,
                  strerror(-state));
    if (state < 0 || write_manifest(checkpoints, manifest, done, error)) {
        set_remove(checkpoints->folder, name);
        manifest_release(manifest);
        return -1;
    }
    checkpoints->written++;
    return 0;
}

/* The epoch's test has ended the run, as its loss was not finite. */
static bool test_failed(const struct checkpoints *checkpoints)
{
    const struct activity activity = activity_unpack(atomic_load(&checkpoints->segment->board->diverged));

    return activity.kind == ACTIVITY_RUN && activity.phase == PHASE_EVALUATE;
}

/* Says so in the manifest, so that nothing goes on from there. */
static int mark_failed(struct checkpoints *checkpoints, int done, struct error *error)
{
    struct set_place *places;
    const int count = sets_list(checkpoints->folder, &places);
    char failed[CHECKPOINT_NAME_MAX];

    checkpoints->manifest.test_failed = true;
    name_of(&checkpoints->manifest, failed);
    const int result = write_manifest(checkpoints, &checkpoints->manifest, done, error);
    checkpoints->newest[0] = '\0';
    for (int i = count - 1; i >= 0; i--)
        if (strcmp(places[i].name, failed) != 0 && set_is_complete(checkpoints->folder, places[i].name))
            memcpy(checkpoints->newest, places[i].name, sizeof(checkpoints->newest));
    free(places);
    return result;
}

/* Takes the epoch's set a step further. 1 if something was done, 0 if it is not time yet, -1 if it failed. */
static int step(struct checkpoints *checkpoints, struct error *error)
{
    /* Pairs with the last stage's release store: the results are there, and all parts were written before. */
    const int done = segment_epochs_done(checkpoints->segment);
    const struct manifest *manifest = &checkpoints->manifest;
    int stage, failed = 0;

    if (!checkpoints->judged) {
        if (state_of(checkpoints, 0, &stage) == SAVED_NOT_YET)
            return 0;
        checkpoints->judged = true;
        manifest_release(&checkpoints->manifest);
        return complete(checkpoints, &checkpoints->manifest, 0, done, error) ? -1 : 1;
    }
    const bool untested = manifest->stage_count > 0 && !manifest_is_tested(manifest);
    if (done < checkpoints->epoch) {
        if (!untested || manifest->test_failed || !test_failed(checkpoints))
            return 0;
        return mark_failed(checkpoints, done, error) ? -1 : 1;
    }
    if (untested)
        failed = write_manifest(checkpoints, &checkpoints->manifest, done, error);
    checkpoints->epoch++;
    checkpoints->judged = false;
    return failed ? -1 : 1;
}

/* Likewise of the set that the run passes, unless its epoch's own, which is newer, has come before. The stages' parts are
 * theirs again when it is judged. */
static int pass(struct checkpoints *checkpoints, struct error *error)
{
    const struct segment *segment = checkpoints->segment;
    const uint64_t at = atomic_load_explicit(&segment->board->save_at, memory_order_acquire);
    const int epoch = (int)(at >> 33), done = segment_epochs_done(segment);
    struct manifest manifest = {.stage_count = 0};
    int stage, failed = 0;

    if (at == checkpoints->saved_at || epoch > checkpoints->epoch)
        return 0;
    if (epoch == checkpoints->epoch && !checkpoints->judged) {
        if ((int)(uint32_t)at == segment->header->plan.minibatches_per_epoch ||
            state_of(checkpoints, at, &stage) == SAVED_NOT_YET)
            return 0;
        failed = complete(checkpoints, &manifest, at, done, error);
        manifest_release(&manifest);
    }
    snprintf(checkpoints->passed, sizeof(checkpoints->passed), "%s", failed ? "" : checkpoints->newest);
    checkpoints->saved_at = at;
    atomic_store(&segment->board->saved_at, at);
    return failed ? -1 : 1;
}

int checkpoints_follow(struct checkpoints *checkpoints, struct error *error)
{
    const int epochs = checkpoints->segment->header->plan.config.run.epochs;
    int stepped = 1;

    while (stepped > 0) {
        stepped = pass(checkpoints, error);
        if (stepped > 0)
            return 1;
        if (stepped == 0 && checkpoints->epoch <= epochs)
            stepped = step(checkpoints, error);
    }
    checkpoints->failed += stepped < 0;
    return stepped;
}

void checkpoints_ask(struct checkpoints *checkpoints, uint64_t now_ns)
{
    const struct config_interval *every = &checkpoints->segment->header->plan.config.checkpoints.every;
    const uint64_t minute_ns = 60 * 1000000000ull;

    if (!every->minutes || every->count == 0 || now_ns < checkpoints->passed_ns + (uint64_t)every->count * minute_ns)
        return;
    checkpoints->passed_ns = now_ns;
    segment_ask_checkpoint(checkpoints->segment);
}
