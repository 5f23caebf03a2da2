/* Goal of this test: for small pipelines, every interleaving of the executor itself. Stages are coroutines that run
 * stages/executor.c, passes.c and weights.c over real links, each for all parts that it hosts; kernels only look at
 * stamps. A stage can be held up in the middle of an op and after each doorbell it rings, the user can ask for a stop
 * or a checkpoint at any moment, and a stage may take any op that can run, as stages do that see one link's news before
 * another's; or it follows its list. Whatever happens:
 *
 *   - nobody sleeps for ever: the doorbell alone wakes whoever can go on, not the bound on every wait;
 *   - nobody wakes for nothing: what had rung before a stage looked around does not wake it afterwards;
 *   - what an op reads stays as it was written until the op has ended: no slot of a link or an activation set is written
 *     again before its last reader is done, no message either;
 *   - each op finds the weight version that its tracker promises, in a buffer that nothing else has taken;
 *   - an update that is clipped by the norm of all gradients finds those of its own mini-batch, and comes before anything
 *     of the next one;
 *   - all end at the same mini-batch, with nothing left on the links;
 *   - a checkpoint that the run passes holds, of every part, what it had learned from the same mini-batches and no
 *     other, and older versions as they were; and it is written unless the run is stopped first.
 *
 * A state that was seen before, by its fingerprint of 128 bits, is not followed again. */
#include <check.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "plan/replay.h"
#include "tests/executor/explorer.h"
#include "tests/support/planned.h"
#include "tests/support/settings.h"
#include "tests/support/suite.h"
#include "transport/rings.h"

enum { PARTS_MAX = STAGES_MAX * EXPLORED_PARTS_MAX };

struct actor actors[STAGES_MAX];
struct plan explored;
struct explorer explorer;
int running;

/* A state to come back to: the stages, and of the segment the header's flags, the versions applied and the links. */
struct moment {
    struct actor actors[STAGES_MAX];
    int32_t stop, save;
    uint64_t stopped_at, save_at, saved_at;
    int32_t applied[PARTS_MAX];
    struct norm norms[PARTS_MAX];
    uint64_t passed[PARTS_MAX];
    unsigned char links[];
};

void report(const char *format, ...)
{
    static const char *const places[] = {"begun", "forward", "backward", "rung", "silences", "waits", "done"};
    static char what[1400], path[1 << 14];
    const struct config *config = &explored.config;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    for (int k = 0; k < explorer.depth; k++) {
        size_t length = strlen(path);

        snprintf(path + length, sizeof(path) - length, " %d:%s", explorer.path[k].stage,
                 explorer.path[k].stage > 0   ? places[explorer.path[k].place]
                 : explorer.path[k].stage < 0 ? "save"
                                              : "stop");
    }
    ck_abort_msg("%s, W = %d, C = %d, N = %d, K = %d, %s: %s after%s", config->pipeline.system, explorer.stages,
                 explorer.parts, config->pipeline.microbatches, explored.minibatches_per_epoch,
                 explorer.simulation ? "static" : "dynamic", what, path);
}

struct compute *part_at(int k)
{
    return &actors[plan_stage_of(&explored, k) - 1].parts[(k - 1) / explorer.stages];
}

void hold(enum place place)
{
    struct actor *actor = &actors[running - 1];

    actor->place = place;
    swapcontext(&actor->context, &explorer.context);
}

static bool stopped_in(const struct part *part, enum phase kind, int epoch)
{
    return part->board->stopped_at >> 32 == stop_point(epoch, kind, 0) >> 32;
}

/* A stage's epochs, as stage_run has them. */
static void run_stage(void)
{
    struct stage *stage = &actors[running - 1].stage;
    const struct part *first = stage->parts[0];
    bool stopped = false;
    struct error error;

    for (int epoch = 1; epoch <= explorer.epochs && !stopped; epoch++)
        for (int kind = PHASE_TRAIN; kind < PHASES && !stopped; kind++) {
            if (executor_run_phase(stage, (enum phase)kind, epoch, &error))
                report("stage %d: %s", stage->index, error.text);
            stopped = stopped_in(first, (enum phase)kind, epoch);
        }
    hold(DONE);
}

static void create_part(struct compute *compute, int k)
{
    const int s = plan_stage_of(&explored, k);
    const struct segment *segment = &explorer.segment;
    const struct plan_part *plan = &segment->header->plan.parts[k - 1];
    struct part *part = &compute->part;
    struct error error;

    *part = (struct part){
        .stage = &actors[s - 1].stage,
        .segment = segment,
        .header = segment->header,
        .board = segment->board,
        .block = segment_stage(segment, k),
        .plan = &segment->header->plan,
        .index = k,
        .device = actors[s - 1].stage.device,
        .compute = compute,
        .simulation = explorer.simulation,
        .set_count = plan->activation_sets,
        .sets = compute->sets,
        .images = compute->images,
        .gathered = compute->images,
        .copied = compute->copied,
        .loss = compute->loss,
        .norm = &compute->norm,
        .state = &compute->state,
        .statistics = &compute->statistics,
    };
    require(plan_input_slots(&explored) * schedule_slot_size(&explored.schedule) <= INPUTS_MAX &&
                plan->activation_sets * schedule_slot_size(&explored.schedule) <= SLOTS_MAX,
            "too many slots");
    require(links_open_part(&part->stage->links, &part->ends, k, &error) == 0, "%s", error.text);
    running = s;
    weights_create(&part->weights, part->device, 1, plan->weight_version_buffers, &error);
    memory_floats(&part->combined, 1, "", &error);
    memory_floats(&part->gradient, 1, "", &error);
    part->slot_count = plan_slots(&explored, part->slots);
    for (int i = 0; i < part->slot_count; i++)
        memory_floats(&part->slot_floats[i], 1, "", &error);
    part->decays_norms = true;
    running = 0;
}

static void create_stage(int s)
{
    struct actor *actor = &actors[s - 1];
    const struct device_waiter waiter = {.moment = pending_moment, .context = &actor->stage};
    struct error error;

    actor->stage = (struct stage){
        .segment = &explorer.segment,
        .index = s,
        .count = explored.schedule.parts,
        .doorbell = &segment_stage(&explorer.segment, s)->doorbell,
    };
    require(device_host.open(&actor->stage.device, 0, &error) == 0 &&
                links_open(&actor->stage.links, &explorer.segment, s, actor->stage.device, &waiter, &error) == 0,
            "%s", error.text);
    for (int i = 0; i < actor->stage.count; i++) {
        create_part(&actor->parts[i], plan_part_of(&explored, s, i));
        actor->stage.parts[i] = &actor->parts[i].part;
    }
    getcontext(&actor->context);
    actor->context.uc_stack.ss_sp = actor->stack;
    actor->context.uc_stack.ss_size = sizeof(actor->stack);
    makecontext(&actor->context, run_stage, 0);
}

static unsigned char *links(size_t *size)
{
    *size = rings_bytes(&explored);
    return segment_channels(&explorer.segment);
}

static void copy_actors(struct actor *to, const struct actor *from)
{
    const size_t bytes = offsetof(struct actor, parts) + (size_t)explored.schedule.parts * sizeof(from->parts[0]);

    for (int s = 0; s < explorer.stages; s++)
        memcpy(&to[s], &from[s], bytes);
}

static void save(int depth)
{
    size_t size;
    const unsigned char *bytes = links(&size);
    struct moment *moment;

    require(depth < DEPTH_MAX, "the path is too long");
    if (!explorer.moments[depth])
        explorer.moments[depth] = malloc(sizeof(*moment) + size);
    moment = explorer.moments[depth];
    copy_actors(moment->actors, actors);
    moment->stop = explorer.segment.board->stop;
    moment->stopped_at = explorer.segment.board->stopped_at;
    moment->save = explorer.segment.board->save;
    moment->save_at = explorer.segment.board->save_at;
    moment->saved_at = explorer.segment.board->saved_at;
    for (int k = 1; k <= explorer.parts; k++) {
        moment->applied[k - 1] = segment_stage(&explorer.segment, k)->applied;
        moment->passed[k - 1] = segment_stage(&explorer.segment, k)->passing.at;
        memcpy(&moment->norms[k - 1], &segment_stage(&explorer.segment, k)->norm, sizeof(struct norm));
    }
    memcpy(moment->links, bytes, size);
}

static void restore(int depth)
{
    const struct moment *moment = explorer.moments[depth];
    size_t size;
    unsigned char *bytes = links(&size);

    copy_actors(actors, moment->actors);
    explorer.segment.board->stop = moment->stop;
    explorer.segment.board->stopped_at = moment->stopped_at;
    explorer.segment.board->save = moment->save;
    explorer.segment.board->save_at = moment->save_at;
    explorer.segment.board->saved_at = moment->saved_at;
    for (int k = 1; k <= explorer.parts; k++) {
        segment_stage(&explorer.segment, k)->applied = moment->applied[k - 1];
        segment_stage(&explorer.segment, k)->passing.at = moment->passed[k - 1];
        memcpy(&segment_stage(&explorer.segment, k)->norm, &moment->norms[k - 1], sizeof(struct norm));
    }
    memcpy(bytes, moment->links, size);
    explorer.depth = depth;
}

static void check_room(const struct ring_end *producer, const struct ring_end *consumer)
{
    require(ring_published(producer) - consumer->messages <= producer->layout.message_capacity,
            "a message is written over before it was read");
}

static void check_links(void)
{
    for (int k = 1; k < explorer.parts; k++) {
        const struct link_ends *before = &part_at(k)->part.ends, *after = &part_at(k + 1)->part.ends;

        check_room(&before->down_out.ring, &after->down_in.ring);
        check_room(&after->up_out.ring, &before->up_in.ring);
    }
}

/* Everybody has stopped at the same place, and the links are empty. */
static void check_end(void)
{
    const struct part *first = &part_at(1)->part;
    const struct board *board = explorer.segment.board;

    require(board->save_at == board->saved_at || board->stop, "a checkpoint was begun and is not complete");
    for (int k = 1; k <= explorer.parts; k++) {
        const struct part *part = &part_at(k)->part;

        require(part->slots_before == first->slots_before && part->phase.kind == first->phase.kind &&
                    part->phase.epoch == first->phase.epoch && part->block->applied == first->block->applied,
                "part %d ends elsewhere than part 1", k);
        if (k == 1)
            continue;
        require(ring_published(&part->ends.down_in.ring) == part->ends.down_in.ring.messages &&
                    ring_room(&part->ends.down_in.ring) - part->ends.down_in.ring.layout.slots == part->slots_before &&
                    ring_published(&part->ends.up_out.ring) == part->ends.up_out.ring.messages &&
                    ring_room(&part->ends.up_out.ring) - part->ends.up_out.ring.layout.slots == part->slots_before,
                "something is left on the link to part %d", k);
    }
}

/* The coordinator judges a checkpoint when all have written it, or the epoch's own will do. */
static void judge_checkpoint(void)
{
    struct board *board = explorer.segment.board;
    bool written = true;

    for (int k = 1; k <= explorer.parts; k++)
        written = written && segment_stage(&explorer.segment, k)->passing.at == board->save_at;
    if (written || (int)(uint32_t)board->save_at == explored.minibatches_per_epoch)
        board->saved_at = board->save_at;
}

static void explore(void);

/* Lets stage s go on until it is held up again; then everything from there. */
static void follow(int s, int choice)
{
    struct actor *actor = &actors[s - 1];

    running = s;
    explorer.choice = choice;
    explorer.choices = 0;
    explorer.no_choice = false;
    swapcontext(&explorer.context, &actor->context);
    running = 0;
    explorer.path[explorer.depth].stage = s;
    explorer.path[explorer.depth++].place = actor->place;
    check_links();
    judge_checkpoint();
}

static void request_checkpoint(void)
{
    explorer.path[explorer.depth++].stage = -1;
    segment_ask_checkpoint(&explorer.segment);
}

static void request_stop(void)
{
    explorer.path[explorer.depth++].stage = 0;
    explorer.segment.board->stop = 1;
    segment_ring_all(&explorer.segment);
}

static void explore(void)
{
    const int depth = explorer.depth;
    bool moved = false, done = true;

    if (!seen_add())
        return;
    save(depth);
    for (int s = 1; s <= explorer.stages; s++) {
        const struct actor *actor = &actors[s - 1];

        done = done && actor->place == DONE;
        if (actor->place == DONE || (actor->place == WAITING && !actor->doorbell))
            continue;
        moved = true;
        for (int choice = 0, choices = 1; choice < choices; choice++) {
            follow(s, choice);
            choices = explorer.choices;
            if (!explorer.no_choice)
                explore();
            restore(depth);
        }
    }
    require(moved || done, "all sleep");
    if (done)
        check_end();
    if (explorer.stops && !done && !explorer.segment.board->stop) {
        request_stop();
        explore();
        restore(depth);
    }
    if (explorer.saves && !done && !explorer.segment.board->save && !explorer.segment.board->save_at) {
        request_checkpoint();
        explore();
        restore(depth);
    }
}

static void explore_all(const char *const *overrides, int epochs, bool stops, bool saves)
{
    struct network *network;
    struct schedule schedule;
    struct error error;

    memset(actors, 0, sizeof(actors));
    memset(&explorer, 0, sizeof(explorer));
    planned(&explored, &network, overrides, false);
    network_destroy(network);
    explorer.stages = explored.stage_count;
    explorer.parts = explored.part_count;
    explorer.epochs = epochs;
    explorer.stops = stops;
    explorer.saves = saves;
    schedule = plan_training(&explored);
    ck_assert_msg(!segment_create_private(&explorer.segment, &explored, rings_bytes, &error), "%s", error.text);
    if (saves)
        strcpy(explorer.segment.header->run_folder, "somewhere");
    for (int k = 0; k < explored.part_count; k++) {
        explorer.segment.header->plan.parts[k].slice.parameters = 1;
        explorer.segment.header->plan.parts[k].slice.state = 1;
    }
    if (plan_replays(&explored))
        ck_assert_msg(!plan_simulate(&explored, &schedule, true, &explorer.simulation, &error), "%s", error.text);
    for (int s = 1; s <= explorer.stages; s++)
        create_stage(s);
    explore();
    for (int depth = 0; depth < DEPTH_MAX; depth++)
        free(explorer.moments[depth]);
    seen_clear();
    simulation_destroy(explorer.simulation);
    segment_close(&explorer.segment);
}

struct size {
    int stages, microbatches, minibatches, epochs;
    bool replayed, stops, saves;
};

static const struct size small[] = {
    {2, 2, 3, 2, false, true, false}, {2, 1, 4, 1, false, true, false}, {3, 2, 2, 1, false, true, false},
    {3, 1, 3, 1, false, true, false}, {3, 2, 3, 1, true, true, false},  {2, 2, 3, 2, false, false, true},
    {2, 1, 3, 1, false, true, true},  {3, 2, 2, 1, false, false, true}, {3, 1, 4, 1, true, true, true},
    {3, 2, 3, 1, true, false, true},
};

/* Half an hour of them: make exhaustive. */
static const struct size larger[] = {
    {2, 3, 4, 2, false, true, false}, {3, 2, 3, 2, false, true, false},  {3, 2, 4, 1, false, false, false},
    {3, 2, 4, 2, true, true, false},  {3, 1, 5, 1, false, false, false}, {3, 2, 3, 2, false, false, true},
    {3, 2, 4, 2, true, true, true},
};

/* Systems that the executor cannot tell from another: pipedream, spectrain, pipemare and gap-aware. */
static bool is_explored(const struct system *system)
{
    static const char *const alike[] = {"stale",          "pipeoptim",          "msnag",
                                        "nesterov-async", "spike-compensation", "dc-asgd"};

    for (size_t k = 0; k < sizeof(alike) / sizeof(alike[0]); k++)
        if (strcmp(system->name, alike[k]) == 0)
            return false;
    return true;
}

/* The system's nearest N that makes sense with W. */
static int microbatches_of(const struct system *system, const struct size *size)
{
    if (orders[system->order].microbatches)
        return orders[system->order].microbatches;
    return system->forward == FORWARD_DOUBLE_BUFFERED ? max_int(size->stages, size->microbatches) : size->microbatches;
}

/* Systems whose order is a list, with several parts per stage. */
struct list_size {
    const char *system, *placement;
    int stages, parts, microbatches, minibatches, epochs;
    bool stops, saves;
};

static const struct list_size small_lists[] = {
    {"interleaved-1f1b", "loop", 2, 2, 2, 2, 2, true, true},
    {"interleaved-1f1b", "loop", 3, 2, 3, 1, 1, true, false},
    {"interleaved-1f1b", "loop", 2, 3, 2, 1, 1, true, true},
    {"breadth-first", "loop", 2, 2, 2, 2, 2, true, true},
    {"breadth-first", "loop", 3, 2, 2, 1, 1, true, false},
    {"breadth-first", "loop", 2, 3, 2, 2, 1, false, true},
    {"zb-v", "v", 2, 2, 2, 2, 2, true, true},
    {"zb-v", "v", 3, 2, 2, 1, 1, true, false},
    {"dualpipe-v", "v", 2, 2, 4, 1, 1, true, false},
    {"dualpipe-v", "v", 2, 2, 4, 2, 1, false, true},
};

static const struct list_size larger_lists[] = {
    {"interleaved-1f1b", "loop", 3, 2, 3, 2, 1, true, true},
    {"interleaved-1f1b", "loop", 2, 3, 4, 2, 2, true, true},
    {"breadth-first", "loop", 3, 2, 3, 2, 1, true, true},
    {"breadth-first", "loop", 2, 3, 4, 2, 2, true, true},
    {"zb-v", "v", 3, 2, 3, 2, 1, true, true},
    {"zb-v", "v", 2, 2, 4, 3, 2, true, true},
    {"dualpipe-v", "v", 3, 2, 6, 1, 1, true, true},
    {"dualpipe-v", "v", 2, 2, 4, 2, 2, true, true},
};

/* So short that it shortens every gradient. */
static const char clip_norm[] = "0.001";

static void explore_list(const struct list_size *size, bool clips)
{
    int n = size->microbatches;
    struct settings settings = settings_of("mlp", size->stages, n, n, n * size->minibatches);

    settings_set(&settings, "pipeline.system", size->system);
    settings_set(&settings, "pipeline.placement", size->placement);
    settings_number(&settings, "pipeline.parts", size->parts);
    settings_number(&settings, "model.depth", size->stages * size->parts);
    settings_set(&settings, "train.clip_norm", clips ? clip_norm : "0");
    explore_all(settings_list(&settings), size->epochs, size->stops, size->saves);
}

static void explore_system(const struct system *system, const struct size *size, bool clips)
{
    int n = microbatches_of(system, size);
    struct settings settings = settings_of("mlp", size->stages, n, n, n * size->minibatches);

    if (!is_explored(system))
        return;
    settings_set(&settings, "pipeline.system", system->name);
    settings_set(&settings, "pipeline.order", size->replayed ? "static" : "dynamic");
    settings_set(&settings, "train.clip_norm", clips ? clip_norm : "0");
    explore_all(settings_list(&settings), size->epochs, size->stops, size->saves);
}

START_TEST(small_pipelines)
{
    explore_system(&systems[_i % asking_system_count], &small[_i / asking_system_count], false);
}
END_TEST

START_TEST(larger_pipelines)
{
    explore_system(&systems[_i % asking_system_count], &larger[_i / asking_system_count], false);
}
END_TEST

/* Stages that wait for each other's norms. */
static void explore_clipping(const struct system *system, const struct size *size)
{
    if (orders[system->order].flush)
        explore_system(system, size, true);
}

START_TEST(small_pipelines_that_clip)
{
    explore_clipping(&systems[_i % asking_system_count], &small[_i / asking_system_count]);
}
END_TEST

START_TEST(larger_pipelines_that_clip)
{
    explore_clipping(&systems[_i % asking_system_count], &larger[_i / asking_system_count]);
}
END_TEST

START_TEST(small_lists_of_parts)
{
    explore_list(&small_lists[_i / 2], _i % 2);
}
END_TEST

START_TEST(larger_lists_of_parts)
{
    explore_list(&larger_lists[_i / 2], _i % 2);
}
END_TEST

static void add_case(Suite *suite, const char *name, const char *tags, double seconds, const TTest *test, int count)
{
    TCase *tcase = tcase_create(name);

    tcase_set_tags(tcase, tags);
    tcase_set_timeout(tcase, seconds);
    tcase_add_loop_test(tcase, test, 0, count);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    const int small_count = sizeof(small) / sizeof(small[0]), larger_count = sizeof(larger) / sizeof(larger[0]),
              small_list_count = sizeof(small_lists) / sizeof(small_lists[0]),
              larger_list_count = sizeof(larger_lists) / sizeof(larger_lists[0]);
    Suite *suite = suite_create("executor");

    add_case(suite, "small pipelines", "coroutines", 300, small_pipelines, small_count * asking_system_count);
    add_case(suite, "small lists of parts", "coroutines", 300, small_lists_of_parts, 2 * small_list_count);
    add_case(suite, "small pipelines that clip", "coroutines", 300, small_pipelines_that_clip,
             small_count * asking_system_count);
    add_case(suite, "larger pipelines", "coroutines exhaustive", 3600, larger_pipelines,
             larger_count * asking_system_count);
    add_case(suite, "larger pipelines that clip", "coroutines exhaustive", 3600, larger_pipelines_that_clip,
             larger_count * asking_system_count);
    add_case(suite, "larger lists of parts", "coroutines exhaustive", 3600, larger_lists_of_parts,
             2 * larger_list_count);

    return run_suite(suite);
}
