/* Goal of this test: for small pipelines, every interleaving of the executor itself. Stages are coroutines that run
 * stages/executor.c, passes.c and weights.c over real links; kernels only look at stamps. A stage can be held up in the
 * middle of an op and after each doorbell it rings, the user can ask for a stop or a checkpoint at any moment, and a
 * stage may take any op that can run, as stages do that see one link's news before another's. Whatever happens:
 *
 *   - nobody sleeps for ever: the doorbell alone wakes whoever can go on, not the bound on every wait;
 *   - nobody wakes for nothing: what had rung before a stage looked around does not wake it afterwards;
 *   - what an op reads stays as it was written until the op has ended: no slot of a link or an activation set is written
 *     again before its last reader is done, no message either;
 *   - each op finds the weight version that its tracker promises, in a buffer that nothing else has taken;
 *   - all end at the same mini-batch, with nothing left on the links;
 *   - a checkpoint that the run passes holds, of every stage, what it had learned from the same mini-batches and no other,
 *     and older versions as they were; and it is written unless the run is stopped first.
 *
 * A state that was seen before, by its fingerprint of 128 bits, is not followed again. */
#include <check.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "checkpoint/checkpoint.h"
#include "tests/executor/explorer.h"
#include "tests/support/planned.h"
#include "tests/support/settings.h"
#include "transport/rings.h"

enum { DEPTH_MAX = 2000 };

struct actor actors[STAGES_MAX];
struct plan explored;
int running;

/* A state to come back to: the stages, and of the segment the header's flags, the versions applied and the links. */
struct moment {
    struct actor actors[STAGES_MAX];
    int32_t stop, save;
    uint64_t stopped_at, save_at, saved_at;
    int32_t applied[STAGES_MAX];
    uint64_t passed[STAGES_MAX];
    unsigned char links[];
};

struct fingerprint {
    uint64_t a, b;
};

static struct explorer {
    struct segment segment;
    struct simulation *simulation; /* static order */
    int stages, epochs;
    bool stops; /* explore stop requests */
    bool saves; /* and requests of a checkpoint */
    ucontext_t context;
    int choice, choices; /* of the ops that it could take, which it takes */
    struct moment *moments[DEPTH_MAX];
    struct {
        int stage; /* 0: a request to stop; -1: of a checkpoint */
        enum place place;
    } path[DEPTH_MAX];
    int depth;
    struct fingerprint *seen; /* [capacity], a hash table */
    size_t capacity, count;
} explorer;

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
    ck_abort_msg("%s, W = %d, N = %d, K = %d, %s: %s after%s", config->pipeline.system, explorer.stages,
                 config->pipeline.microbatches, explored.minibatches_per_epoch,
                 explorer.simulation ? "static" : "dynamic", what, path);
}

void hold(enum place place)
{
    struct actor *actor = &actors[running - 1];

    actor->place = place;
    swapcontext(&actor->context, &explorer.context);
}

/* In place of the board's: doorbells at which nobody runs out of time. */
void doorbell_ring(struct doorbell *doorbell)
{
    for (int s = 1; s <= explorer.stages; s++)
        if (doorbell == &segment_stage(&explorer.segment, s)->doorbell)
            actors[s - 1].doorbell++, actors[s - 1].late++;
    if (running) {
        actors[running - 1].rung++;
        hold(RINGING);
    }
}

void doorbell_wait(struct doorbell *doorbell, uint32_t *heard, uint64_t until_ns)
{
    (void)doorbell;
    (void)heard;
    (void)until_ns;
    actors[running - 1].rung = 0;
    hold(WAITING);
    actors[running - 1].doorbell = 0;
}

/* Others go on before a doorbell is silenced: what they ring now must not be lost. */
void doorbell_silence(struct doorbell *doorbell, uint32_t *heard)
{
    struct actor *actor = &actors[running - 1];

    (void)doorbell;
    (void)heard;
    if (actor->doorbell > 0)
        hold(SILENCING);
    actor->doorbell = 0;
    actor->silent = true;
    actor->late = 0;
}

/* What a stage allocates while it runs lies in its heap. Last come, first gone. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_calloc(size_t count, size_t size)
{
    if (!running)
        return __real_calloc(count, size);

    struct actor *actor = &actors[running - 1];
    void *memory = actor->heap + actor->heap_used;
    actor->heap_used += (count * size + 15) / 16 * 16;
    require(actor->heap_used <= HEAP_BYTES, "the test's heap is too small");
    return memset(memory, 0, count * size);
}

void __wrap_free(void *memory)
{
    if (!running)
        __real_free(memory);
    else if (memory)
        actors[running - 1].heap_used = (size_t)((unsigned char *)memory - actors[running - 1].heap);
}

int memory_floats(float **out, size_t count, const char *what, struct error *error)
{
    (void)count;
    (void)what;
    (void)error;
    *out = calloc(1, sizeof(float));
    return 0;
}

/* What a stage saves, which is as many updates and mini-batches old as the file says. */
int __wrap_checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                            const struct tensor_group *groups, int group_count, struct written_file *written);

int __wrap_checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                            const struct tensor_group *groups, int group_count, struct written_file *written)
{
    const struct stage *stage = &actors[running - 1].stage;
    const struct phase_run *phase = &stage->phase;
    int epoch, minibatch, version;

    (void)run_folder;
    (void)tensors;
    *written = (struct written_file){0};
    require(sscanf(set, "epoch-%d-minibatch-%d", &epoch, &minibatch) == 2 && epoch == phase->epoch, "a set %s", set);
    if (sscanf(groups[0].prefix, "version.%d.", &version) == 1) {
        require((int)groups[0].floats[0] == version, "stage %d saves version %g as %s", stage->index,
                (double)groups[0].floats[0], file);
        return 0;
    }
    require((int)groups[0].floats[0] == phase->first_version + minibatch, "stage %d saves version %g in %s",
            stage->index, (double)groups[0].floats[0], set);
    require(group_count == 2 && (int)groups[1].floats[0] == minibatch,
            "stage %d saves statistics of mini-batch %g in %s", stage->index, (double)groups[1].floats[0], set);
    require(phase->versions_saved == __builtin_popcountll(phase->kept.bits), "stage %d saves too few versions",
            stage->index);
    return 0;
}

/* Any op that can run. */
struct next __real_schedule_next(const struct schedule *schedule, int stage, const struct progress *progress);
struct next __wrap_schedule_next(const struct schedule *schedule, int stage, const struct progress *progress);

struct next __wrap_schedule_next(const struct schedule *schedule, int stage, const struct progress *progress)
{
    const struct next chosen = __real_schedule_next(schedule, stage, progress);
    const int numbers[OP_KINDS] = {progress->forwards, progress->backwards, progress->backwards,
                                   progress->weight_backwards};
    struct next can_run[OP_KINDS] = {chosen};
    int count = chosen.kind == NEXT_RUN;

    if (running) { /* else the plan asks */
        require(actors[running - 1].silent && actors[running - 1].doorbell == actors[running - 1].late,
                "stage %d will wake for what it sees now", stage);
        actors[running - 1].silent = false;
    }

    for (int kind = OP_FORWARD; kind < OP_KINDS && count > 0; kind++) {
        const bool split = schedule->order.split_backward, whole = schedule->order.whole_backward;
        const int n = schedule->microbatches, number = numbers[kind];
        struct op op = {(enum op_kind)kind, number / n + 1, number % n + 1, 1, stage};

        if ((kind != OP_FORWARD && (schedule->forward_only || split != (kind != OP_BACKWARD))) ||
            kind == (int)chosen.op.kind || op.minibatch > schedule->minibatches)
            continue;
        if (kind != OP_FORWARD && whole)
            op = (struct op){op.kind, op.minibatch, 1, n, stage};
        can_run[count] = schedule_can_run(schedule, stage, progress, &op);
        count += can_run[count].kind == NEXT_RUN;
    }
    explorer.choices = count > 1 ? count : 1;
    return can_run[count > 1 ? explorer.choice : 0];
}

static bool stopped_in(const struct stage *stage, enum phase kind, int epoch)
{
    return stage->board->stopped_at >> 32 == stop_point(epoch, kind, 0) >> 32;
}

/* A stage's epochs, as hosted_run has them. */
static void run_stage(void)
{
    struct hosted *hosted = &actors[running - 1].hosted;
    const struct stage *stage = hosted->parts[0];
    bool stopped = false;
    struct error error;

    for (int epoch = 1; epoch <= explorer.epochs && !stopped; epoch++)
        for (int kind = PHASE_TRAIN; kind < PHASES && !stopped; kind++) {
            if (executor_run_phase(hosted, (enum phase)kind, epoch, &error))
                report("stage %d: %s", stage->index, error.text);
            stopped = stopped_in(stage, (enum phase)kind, epoch);
        }
    hold(DONE);
}

static void create_stage(int s)
{
    const struct segment *segment = &explorer.segment;
    const struct plan_part *plan = &segment->header->plan.parts[s - 1];
    struct actor *actor = &actors[s - 1];
    struct stage *stage = &actor->stage;
    const struct device_waiter waiter = {.moment = pending_moment, .context = stage};
    struct error error;

    *stage = (struct stage){
        .segment = segment,
        .header = segment->header,
        .board = segment->board,
        .block = segment_stage(segment, s),
        .plan = &segment->header->plan,
        .index = s,
        .simulation = explorer.simulation,
        .set_count = plan->activation_sets,
        .sets = actor->sets,
        .images = actor->images,
        .gathered = actor->images,
        .copied = actor->copied,
        .loss = actor->loss,
        .state = &actor->state,
        .statistics = &actor->statistics,
    };
    stage->doorbell = &stage->block->doorbell;
    stage->heard = &stage->heard_alone;
    actor->hosted = (struct hosted){.stage = s, .count = 1, .parts = {stage}};
    require(plan->activation_sets * schedule_slot_size(&explored.schedule) <= SLOTS_MAX, "too many slots");
    require(device_host.open(&stage->device, 0, &error) == 0 &&
                links_open(&stage->links, segment, s, stage->device, &waiter, &error) == 0,
            "%s", error.text);
    running = s;
    weights_create(&stage->weights, stage->device, 1, plan->weight_version_buffers, &error);
    memory_floats(&stage->blended, 1, "", &error);
    running = 0;
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

static void add_number(struct fingerprint *print, uint64_t number)
{
    print->a = (print->a ^ number) * 1099511628211u; /* FNV-1a, on words */
    print->a ^= print->a >> 32;
    print->b = (print->b + number + 1) * 6364136223846793005u;
    print->b ^= print->b >> 29;
}

/* `size`: of whole words. */
static void add(struct fingerprint *print, const void *bytes, size_t size)
{
    uint64_t word;

    for (size_t i = 0; i < size; i += sizeof(word)) {
        memcpy(&word, (const unsigned char *)bytes + i, sizeof(word));
        add_number(print, word);
    }
}

static void add_ring(struct fingerprint *print, const struct ring_end *end)
{
    add_number(print, ring_published(end));
    add_number(print, ring_room(end));
    add_number(print, end->messages);
    for (uint64_t k = end->messages; k < ring_published(end); k++)
        add_number(print, (uint64_t)ring_message(end, k)->version);
}

/* All that what is to come depends on. What slots hold follows from what the stages have done. */
static struct fingerprint fingerprint(void)
{
    struct fingerprint print = {14695981039346656037u, 1};

    add_number(&print, (uint64_t)explorer.segment.board->stop);
    add_number(&print, explorer.segment.board->stopped_at);
    add_number(&print, (uint64_t)explorer.segment.board->save);
    add_number(&print, explorer.segment.board->save_at);
    add_number(&print, explorer.segment.board->saved_at);
    for (int s = 1; s <= explorer.stages; s++) {
        const struct actor *actor = &actors[s - 1];
        const struct phase_run *phase = &actor->stage.phase;
        const int numbers[] = {actor->place,
                               actor->op,
                               actor->first,
                               actor->rung,
                               actor->doorbell > 0,
                               phase->kind,
                               phase->epoch,
                               phase->schedule.minibatches,
                               phase->progress.forwards,
                               phase->progress.backwards,
                               phase->progress.weight_backwards,
                               actor->hosted.next_op,
                               (int)actor->stage.slots_before,
                               actor->stage.block->applied,
                               phase->save_after,
                               phase->statistics_kept,
                               actor->stage.block->passing.at == explorer.segment.board->save_at,
                               (int)actor->state};

        add(&print, numbers, sizeof(numbers));
        add(&print, actor->heap, actor->heap_used);
        if (s > 1)
            add_ring(&print, &actor->stage.links.down_in.ring);
        if (s < explorer.stages)
            add_ring(&print, &actor->stage.links.up_in.ring);
    }
    return print;
}

/* False if it was there. */
static bool remember(struct fingerprint print);

static void grow(void)
{
    struct fingerprint *old = explorer.seen;
    size_t capacity = explorer.capacity;

    explorer.capacity = capacity ? 4 * capacity : 1 << 16;
    explorer.seen = calloc(explorer.capacity, sizeof(*explorer.seen));
    explorer.count = 0;
    for (size_t k = 0; k < capacity; k++)
        if (old[k].a | old[k].b)
            remember(old[k]);
    free(old);
}

static bool remember(struct fingerprint print)
{
    size_t k;

    if (2 * explorer.count >= explorer.capacity)
        grow();
    k = print.b % explorer.capacity;
    while (explorer.seen[k].a | explorer.seen[k].b) {
        if (memcmp(&explorer.seen[k], &print, sizeof(print)) == 0)
            return false;
        k = (k + 1) % explorer.capacity;
    }
    explorer.seen[k] = print;
    explorer.count++;
    return true;
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
    memcpy(moment->actors, actors, (size_t)explorer.stages * sizeof(actors[0]));
    moment->stop = explorer.segment.board->stop;
    moment->stopped_at = explorer.segment.board->stopped_at;
    moment->save = explorer.segment.board->save;
    moment->save_at = explorer.segment.board->save_at;
    moment->saved_at = explorer.segment.board->saved_at;
    for (int s = 1; s <= explorer.stages; s++) {
        moment->applied[s - 1] = segment_stage(&explorer.segment, s)->applied;
        moment->passed[s - 1] = segment_stage(&explorer.segment, s)->passing.at;
    }
    memcpy(moment->links, bytes, size);
}

static void restore(int depth)
{
    const struct moment *moment = explorer.moments[depth];
    size_t size;
    unsigned char *bytes = links(&size);

    memcpy(actors, moment->actors, (size_t)explorer.stages * sizeof(actors[0]));
    explorer.segment.board->stop = moment->stop;
    explorer.segment.board->stopped_at = moment->stopped_at;
    explorer.segment.board->save = moment->save;
    explorer.segment.board->save_at = moment->save_at;
    explorer.segment.board->saved_at = moment->saved_at;
    for (int s = 1; s <= explorer.stages; s++) {
        segment_stage(&explorer.segment, s)->applied = moment->applied[s - 1];
        segment_stage(&explorer.segment, s)->passing.at = moment->passed[s - 1];
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
    for (int s = 1; s < explorer.stages; s++) {
        check_room(&actors[s - 1].stage.links.down_out.ring, &actors[s].stage.links.down_in.ring);
        check_room(&actors[s].stage.links.up_out.ring, &actors[s - 1].stage.links.up_in.ring);
    }
}

/* Everybody has stopped at the same place, and the links are empty. */
static void check_end(void)
{
    const struct stage *first = &actors[0].stage;
    const struct board *board = explorer.segment.board;

    require(board->save_at == board->saved_at || board->stop, "a checkpoint was begun and is not complete");
    for (int s = 1; s <= explorer.stages; s++) {
        const struct stage *stage = &actors[s - 1].stage;

        require(stage->slots_before == first->slots_before && stage->phase.kind == first->phase.kind &&
                    stage->phase.epoch == first->phase.epoch && stage->block->applied == first->block->applied,
                "stage %d ends elsewhere than stage 1", s);
        if (s == 1)
            continue;
        require(ring_published(&stage->links.down_in.ring) == stage->links.down_in.ring.messages &&
                    ring_room(&stage->links.down_in.ring) - stage->links.down_in.ring.layout.slots ==
                        stage->slots_before &&
                    ring_published(&stage->links.up_out.ring) == stage->links.up_out.ring.messages &&
                    ring_room(&stage->links.up_out.ring) - stage->links.up_out.ring.layout.slots == stage->slots_before,
                "something is left on the link to stage %d", s);
    }
}

/* The coordinator judges a checkpoint when all have written it, or the epoch's own will do. */
static void judge_checkpoint(void)
{
    struct board *board = explorer.segment.board;
    bool written = true;

    for (int s = 1; s <= explorer.stages; s++)
        written = written && segment_stage(&explorer.segment, s)->passing.at == board->save_at;
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
    explorer.choices = 1;
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

    if (!remember(fingerprint()))
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
    explorer.epochs = epochs;
    explorer.stops = stops;
    explorer.saves = saves;
    schedule = plan_training(&explored);
    ck_assert_msg(!segment_create_private(&explorer.segment, &explored, rings_bytes, &error), "%s", error.text);
    if (saves)
        strcpy(explorer.segment.header->run_folder, "somewhere");
    for (int s = 0; s < explored.stage_count; s++) {
        explorer.segment.header->plan.parts[s].slice.parameters = 1;
        explorer.segment.header->plan.parts[s].slice.state = 1;
    }
    if (explored.config.pipeline.order == RUN_STATIC)
        ck_assert_msg(!simulate_unit(&schedule, (struct link_slots){.gradients = explored.parts[0].gradient_slots},
                                     true, &explorer.simulation, &error),
                      "%s", error.text);
    for (int s = 1; s <= explorer.stages; s++)
        create_stage(s);
    explore();
    for (int depth = 0; depth < DEPTH_MAX; depth++)
        free(explorer.moments[depth]);
    free(explorer.seen);
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

/* The system's nearest N that makes sense with W. */
static int microbatches_of(const struct system *system, const struct size *size)
{
    if (orders[system->order].microbatches)
        return orders[system->order].microbatches;
    return system->forward == FORWARD_DOUBLE_BUFFERED ? max_int(size->stages, size->microbatches) : size->microbatches;
}

static void explore_system(const struct system *system, const struct size *size)
{
    int n = microbatches_of(system, size);
    struct settings settings = settings_of("mlp", size->stages, n, n, n * size->minibatches);

    settings_set(&settings, "pipeline.system", system->name);
    settings_set(&settings, "pipeline.order", size->replayed ? "static" : "dynamic");
    explore_all(settings_list(&settings), size->epochs, size->stops, size->saves);
}

START_TEST(small_pipelines)
{
    explore_system(&systems[_i % asking_system_count], &small[_i / asking_system_count]);
}
END_TEST

START_TEST(larger_pipelines)
{
    explore_system(&systems[_i % asking_system_count], &larger[_i / asking_system_count]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("executor");
    TCase *quick = tcase_create("small pipelines"), *slow = tcase_create("larger pipelines");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_tags(quick, "coroutines");
    tcase_set_timeout(quick, 300);
    tcase_add_loop_test(quick, small_pipelines, 0, (int)(sizeof(small) / sizeof(small[0])) * asking_system_count);
    suite_add_tcase(suite, quick);
    tcase_set_tags(slow, "coroutines exhaustive");
    tcase_set_timeout(slow, 3600);
    tcase_add_loop_test(slow, larger_pipelines, 0, (int)(sizeof(larger) / sizeof(larger[0])) * asking_system_count);
    suite_add_tcase(suite, slow);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
