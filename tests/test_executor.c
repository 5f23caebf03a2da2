/* Goal of this test: for small pipelines, every interleaving of the executor itself. Stages are coroutines that run
 * stages/executor.c, passes.c and weights.c over real links; kernels only look at stamps. A stage can be held up in the
 * middle of an op and after each doorbell it rings, the user can ask for a stop at any moment, and a stage may take any
 * op that can run, as stages do that see one link's news before another's. Whatever happens:
 *
 *   - nobody sleeps for ever: the doorbell alone wakes whoever can go on, not the bound on every wait;
 *   - what an op reads stays as it was written until the op has ended: no slot of a link or an activation set is written
 *     again before its last reader is done, no message either;
 *   - each op finds the weight version that its tracker promises, in a buffer that nothing else has taken;
 *   - all end at the same mini-batch, with nothing left on the links.
 *
 * A state that was seen before, by its fingerprint of 128 bits, is not followed again. */
#include <check.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "stages/internal.h"
#include "tests/support/planned.h"
#include "tests/support/settings.h"

enum { STAGES_MAX = 3, STACK_BYTES = 8 << 10, HEAP_BYTES = 2 << 10, DEPTH_MAX = 2000, SLOTS_MAX = 16 };

/* Where a stage has been held up. */
enum place { BEGUN, IN_FORWARD, IN_BACKWARD, RINGING, WAITING, DONE };

/* All that changes while a stage runs, but for the links. */
static struct actor {
    enum place place;
    int op;    /* the kind of pass that it is in or has just done */
    int first; /* and its first micro-batch */
    int rung;  /* doorbells since then */
    bool doorbell;
    ucontext_t context;
    size_t heap_used, weights_end;
    _Alignas(16) unsigned char heap[HEAP_BYTES]; /* what the stage allocates */
    _Alignas(16) unsigned char stack[STACK_BYTES];
    float sets[SLOTS_MAX], images[SLOTS_MAX];
    struct stage stage;
} actors[STAGES_MAX];

/* A state to come back to: the stages, and of the segment the header's flags, the versions applied and the links. */
struct snapshot {
    struct actor actors[STAGES_MAX];
    int32_t stop;
    uint64_t stopped_at;
    int32_t applied[STAGES_MAX];
    unsigned char links[];
};

struct fingerprint {
    uint64_t a, b;
};

static struct explorer {
    struct plan plan;
    struct segment segment;
    struct simulation *simulation; /* static order */
    int stages, epochs;
    bool stops; /* explore stop requests */
    ucontext_t context;
    int current;         /* the stage that runs; 0: none */
    int choice, choices; /* of the ops that it could take, which it takes */
    struct snapshot *snapshots[DEPTH_MAX];
    struct {
        int stage; /* 0: the stop request */
        enum place place;
    } path[DEPTH_MAX];
    int depth;
    struct fingerprint *seen; /* [capacity], a hash table */
    size_t capacity, count;
} explorer;

__attribute__((format(printf, 1, 2), noreturn)) static void report(const char *format, ...)
{
    static const char *const places[] = {"begun", "forward", "backward", "rung", "waits", "done"};
    static char what[1400], path[1 << 14];
    const struct config *config = &explorer.plan.config;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    for (int k = 0; k < explorer.depth; k++) {
        size_t length = strlen(path);

        snprintf(path + length, sizeof(path) - length, " %d:%s", explorer.path[k].stage,
                 explorer.path[k].stage ? places[explorer.path[k].place] : "stop");
    }
    ck_abort_msg("%s, W = %d, N = %d, K = %d, %s: %s after%s", config->pipeline.system, explorer.stages,
                 config->pipeline.microbatches, explorer.plan.minibatches_per_epoch,
                 explorer.simulation ? "static" : "dynamic", what, path);
}

#define require(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            report(__VA_ARGS__);                                                                                       \
    } while (0)

/* The running stage is held up; the scheduler goes on. */
static void hold(enum place place)
{
    struct actor *actor = &actors[explorer.current - 1];

    actor->place = place;
    swapcontext(&actor->context, &explorer.context);
}

/* In place of libc's: semaphores that never run out of time. */
int sem_post(sem_t *doorbell)
{
    for (int s = 1; s <= explorer.stages; s++)
        if (doorbell == &segment_stage(&explorer.segment, s)->doorbell)
            actors[s - 1].doorbell = true;
    if (explorer.current) {
        actors[explorer.current - 1].rung++;
        hold(RINGING);
    }
    return 0;
}

int sem_clockwait(sem_t *doorbell, clockid_t clock, const struct timespec *until)
{
    (void)doorbell;
    (void)clock;
    (void)until;
    actors[explorer.current - 1].rung = 0;
    hold(WAITING);
    actors[explorer.current - 1].doorbell = false;
    return 0;
}

/* What a stage allocates while it runs lies in its heap. Last come, first gone. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_calloc(size_t count, size_t size)
{
    struct actor *actor = &actors[explorer.current - 1];
    void *memory;

    if (!explorer.current)
        return __real_calloc(count, size);
    memory = actor->heap + actor->heap_used;
    actor->heap_used += (count * size + 15) / 16 * 16;
    require(actor->heap_used <= HEAP_BYTES, "the test's heap is too small");
    return memset(memory, 0, count * size);
}

void __wrap_free(void *memory)
{
    struct actor *actor = &actors[explorer.current - 1];

    if (explorer.current && memory)
        actor->heap_used = (size_t)((unsigned char *)memory - actor->heap);
    else if (!explorer.current)
        __real_free(memory);
}

int memory_floats(float **out, size_t count, const char *what, struct error *error)
{
    (void)count;
    (void)what;
    (void)error;
    *out = calloc(1, sizeof(float));
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

    for (int kind = OP_FORWARD; kind < OP_KINDS && count > 0; kind++) {
        const bool split = schedule->order.split_backward, whole = schedule->order.whole_backward;
        const int n = schedule->microbatches, number = numbers[kind];
        struct op op = {(enum op_kind)kind, number / n + 1, number % n + 1, 1};

        if ((kind != OP_FORWARD && (schedule->forward_only || split != (kind != OP_BACKWARD))) ||
            kind == (int)chosen.op.kind || op.minibatch > schedule->minibatches)
            continue;
        if (kind != OP_FORWARD && whole)
            op = (struct op){op.kind, op.minibatch, 1, n};
        can_run[count] = schedule_can_run(schedule, stage, progress, &op);
        count += can_run[count].kind == NEXT_RUN;
    }
    explorer.choices = count > 1 ? count : 1;
    return can_run[count > 1 ? explorer.choice : 0];
}

/* Stamps: who has written a row last, and for which micro-batch. */
enum stamp_kind { STAMP_ACTIVATION, STAMP_GRADIENT, STAMP_SET, STAMP_KINDS };
enum { WRITING = -1 };

static float stamp(const struct stage *stage, enum stamp_kind kind, int owner, int minibatch, int j)
{
    int phase = stage->phase.epoch * PHASES + (int)stage->phase.kind;

    return (float)((((phase * 16 + minibatch) * 8 + j) * 8 + owner) * STAMP_KINDS + (int)kind);
}

/* A micro-batch's rows in the tensors of its slot. */
struct rows {
    const float *input, *output_gradient;
    float *output, *set, *input_gradient;
    int minibatch, j;
};

static struct rows rows_at(const struct slot_tensors *tensors, int minibatch, int j)
{
    int at = j - tensors->first_microbatch;

    return (struct rows){
        .input = tensors->input + at,
        .output = tensors->output ? tensors->output + at : NULL,
        .set = tensors->set + at,
        .output_gradient = tensors->output_gradient ? tensors->output_gradient + at : NULL,
        .input_gradient = tensors->input_gradient ? tensors->input_gradient + at : NULL,
        .minibatch = minibatch,
        .j = j,
    };
}

static void expect(const struct stage *stage, const float *row, enum stamp_kind kind, int owner, const struct rows *at)
{
    require(!row || *row == stamp(stage, kind, owner, at->minibatch, at->j),
            "stage %d reads stage %d's %s of %d.%d and finds %g", stage->index, owner,
            kind == STAMP_GRADIENT ? "gradient"
            : kind == STAMP_SET    ? "saved tensors"
                                   : "activation",
            at->minibatch, at->j, (double)*row);
}

/* What a backward reads: its input, its own output (a ReLU at the cut), what its forward saved, and the gradient. */
static void expect_kept(const struct stage *stage, const struct rows *at)
{
    expect(stage, at->input, STAMP_ACTIVATION, stage->index - 1, at);
    expect(stage, at->output, STAMP_ACTIVATION, stage->index, at);
    expect(stage, at->set, STAMP_SET, stage->index, at);
    expect(stage, at->output_gradient, STAMP_GRADIENT, stage->index + 1, at);
}

static void write_row(const struct stage *stage, float *row, enum stamp_kind kind, const struct rows *at, bool whole)
{
    if (row)
        *row = whole ? stamp(stage, kind, stage->index, at->minibatch, at->j) : WRITING;
}

static struct actor *in_pass(int op, int first)
{
    struct actor *actor = &actors[explorer.current - 1];

    actor->op = op;
    actor->first = first;
    actor->rung = 0;
    return actor;
}

static void expect_weights(const struct stage *stage, const float *weights, int version)
{
    require((int)*weights == version, "stage %d reads version %d and finds %g", stage->index, version,
            (double)*weights);
}

/* In place of stages/compute.c. */
int compute_forward(struct compute *compute, const struct slot_tensors *tensors, int j, bool training,
                    const float *weights, float *state, struct error *error)
{
    const struct stage *stage = &in_pass(OP_FORWARD, j)->stage;
    const struct phase_run *phase = &stage->phase;
    const int n = phase->schedule.microbatches, minibatch = phase->progress.forwards / n + 1;
    const struct rows at = rows_at(tensors, minibatch, j);
    const int version = training ? versions_of_backward(phase->tracker, minibatch, j).forward : phase->first_version;

    (void)compute;
    (void)state;
    (void)error;
    expect(stage, at.input, STAMP_ACTIVATION, stage->index - 1, &at);
    expect_weights(stage, weights, version);
    write_row(stage, at.output, STAMP_ACTIVATION, &at, false);
    write_row(stage, at.set, STAMP_SET, &at, false);
    hold(IN_FORWARD);
    expect(stage, at.input, STAMP_ACTIVATION, stage->index - 1, &at);
    expect_weights(stage, weights, version);
    write_row(stage, at.output, STAMP_ACTIVATION, &at, true);
    write_row(stage, at.set, STAMP_SET, &at, true);
    return 0;
}

int compute_backward(struct compute *compute, const struct slot_tensors *tensors, int first, int count, int halves,
                     const float *weights, float *gradient, bool add, struct error *error)
{
    const struct stage *stage = &in_pass(OP_BACKWARD + halves, first)->stage;
    const struct phase_run *phase = &stage->phase;
    const int done = halves == HALF_WEIGHTS ? phase->progress.weight_backwards : phase->progress.backwards;
    const int minibatch = done / phase->schedule.microbatches + 1;
    const struct backward_versions versions = versions_of_backward(phase->tracker, minibatch, first);
    const int version = versions.read;

    (void)compute;
    (void)gradient;
    (void)add;
    (void)error;
    for (int held = 0; held < 2; held++) {
        for (int j = first; j < first + count; j++) {
            const struct rows at = rows_at(tensors, minibatch, j);

            expect_kept(stage, &at);
            if (halves & HALF_INPUT)
                write_row(stage, at.input_gradient, STAMP_GRADIENT, &at, held);
        }
        if (version >= 0 && halves & HALF_INPUT)
            expect_weights(stage, weights, version);
        if (!held)
            hold(IN_BACKWARD);
    }
    return 0;
}

int compute_recompute(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                      const float *weights, struct error *error)
{
    (void)compute;
    (void)tensors;
    (void)first;
    (void)count;
    (void)weights;
    (void)error;
    return 0;
}

int compute_loss(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                 const uint8_t *labels, bool differentiate, struct loss_result *result, struct error *error)
{
    (void)compute;
    (void)tensors;
    (void)first;
    (void)count;
    (void)labels;
    (void)differentiate;
    (void)result;
    (void)error;
    return 0;
}

static int count_update(const struct sgd *sgd, size_t count, const float *weights, const float *gradient,
                        float *momentum, float *updated, struct error *error)
{
    (void)sgd;
    (void)count;
    (void)gradient;
    (void)momentum;
    (void)error;
    *updated = *weights + 1;
    return 0;
}

static int no_blend(size_t count, const float *live, const float *stale, float significance, float *blended,
                    struct error *error)
{
    (void)count;
    (void)significance;
    (void)error;
    *blended = *live + *stale;
    return 0;
}

const struct backend *compute_backend(const struct compute *compute)
{
    static const struct backend backend = {.name = "none", .sgd_update = count_update, .blend = no_blend};

    (void)compute;
    return &backend;
}

const struct stage_layout *compute_layout(const struct compute *compute)
{
    static struct stage_layout layout;

    (void)compute;
    /* A float for each micro-batch of a slot. */
    layout.set_floats = layout.input_floats = (size_t)schedule_slot_size(&explorer.plan.schedule);
    return &layout;
}

const struct layout_options *compute_layout_options(const struct compute *compute)
{
    static const struct layout_options options;

    (void)compute;
    return &options;
}

/* In place of stages/batches.c: one row per micro-batch. */
void batches_begin(struct batches *batches, enum phase phase, int epoch)
{
    (void)batches;
    (void)phase;
    (void)epoch;
}

int batches_rows(const struct batches *batches, int minibatch)
{
    (void)batches;
    (void)minibatch;
    return explorer.plan.config.data.batch;
}

void batches_images(struct batches *batches, int minibatch, int first, int j, float *input)
{
    (void)batches;
    input[j - first] = stamp(&actors[0].stage, STAMP_ACTIVATION, 0, minibatch, j);
}

const uint8_t *batches_labels(struct batches *batches, int minibatch)
{
    (void)batches;
    (void)minibatch;
    return NULL;
}

static bool stopped_in(const struct stage *stage, enum phase kind, int epoch)
{
    return stage->header->stopped_at >> 32 == stop_point(epoch, kind, 0) >> 32;
}

/* A stage's epochs, as stage_run has them. */
static void run_stage(void)
{
    struct stage *stage = &actors[explorer.current - 1].stage;
    bool stopped = false;
    struct error error;

    for (int epoch = 1; epoch <= explorer.epochs && !stopped; epoch++)
        for (int kind = PHASE_TRAIN; kind < PHASES && !stopped; kind++) {
            if (executor_run_phase(stage, (enum phase)kind, epoch, &error))
                report("stage %d: %s", stage->index, error.text);
            stopped = stopped_in(stage, (enum phase)kind, epoch);
        }
    hold(DONE);
}

static void create_stage(int s)
{
    const struct segment *segment = &explorer.segment;
    const struct plan_stage *plan = &segment->header->plan.stages[s - 1];
    struct actor *actor = &actors[s - 1];
    struct stage *stage = &actor->stage;
    struct error error;

    *stage = (struct stage){
        .segment = segment,
        .header = segment->header,
        .block = segment_stage(segment, s),
        .plan = &segment->header->plan,
        .index = s,
        .simulation = explorer.simulation,
        .set_count = plan->activation_sets,
        .sets = actor->sets,
        .images = actor->images,
    };
    require(plan->activation_sets * schedule_slot_size(&explorer.plan.schedule) <= SLOTS_MAX, "too many slots");
    ring_end_open(&stage->down_in, segment, s == 1 ? NULL : segment_ring_down(segment, s - 1));
    ring_end_open(&stage->up_out, segment, s == 1 ? NULL : segment_ring_up(segment, s - 1));
    ring_end_open(&stage->down_out, segment, s == explorer.stages ? NULL : segment_ring_down(segment, s));
    ring_end_open(&stage->up_in, segment, s == explorer.stages ? NULL : segment_ring_up(segment, s));
    explorer.current = s;
    weights_create(&stage->weights, 1, plan->weight_version_buffers, &error);
    memory_floats(&stage->blended, 1, "", &error);
    actor->weights_end = actor->heap_used;
    explorer.current = 0;
    getcontext(&actor->context);
    actor->context.uc_stack.ss_sp = actor->stack;
    actor->context.uc_stack.ss_size = sizeof(actor->stack);
    makecontext(&actor->context, run_stage, 0);
}

static unsigned char *links(size_t *size)
{
    *size = explorer.segment.size - explorer.segment.header->rings_offset;
    return (unsigned char *)explorer.segment.header + explorer.segment.header->rings_offset;
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

    add_number(&print, (uint64_t)explorer.segment.header->stop);
    add_number(&print, explorer.segment.header->stopped_at);
    for (int s = 1; s <= explorer.stages; s++) {
        const struct actor *actor = &actors[s - 1];
        const struct phase_run *phase = &actor->stage.phase;
        const int numbers[] = {actor->place,
                               actor->op,
                               actor->first,
                               actor->rung,
                               actor->doorbell,
                               phase->kind,
                               phase->epoch,
                               phase->schedule.minibatches,
                               phase->progress.forwards,
                               phase->progress.backwards,
                               phase->progress.weight_backwards,
                               phase->next_op,
                               (int)actor->stage.slots_before,
                               actor->stage.block->applied};

        add(&print, numbers, sizeof(numbers));
        add(&print, actor->heap, actor->heap_used);
        if (s > 1)
            add_ring(&print, &actor->stage.down_in);
        if (s < explorer.stages)
            add_ring(&print, &actor->stage.up_in);
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
    struct snapshot *snapshot;

    require(depth < DEPTH_MAX, "the path is too long");
    if (!explorer.snapshots[depth])
        explorer.snapshots[depth] = malloc(sizeof(*snapshot) + size);
    snapshot = explorer.snapshots[depth];
    memcpy(snapshot->actors, actors, (size_t)explorer.stages * sizeof(actors[0]));
    snapshot->stop = explorer.segment.header->stop;
    snapshot->stopped_at = explorer.segment.header->stopped_at;
    for (int s = 1; s <= explorer.stages; s++)
        snapshot->applied[s - 1] = segment_stage(&explorer.segment, s)->applied;
    memcpy(snapshot->links, bytes, size);
}

static void restore(int depth)
{
    const struct snapshot *snapshot = explorer.snapshots[depth];
    size_t size;
    unsigned char *bytes = links(&size);

    memcpy(actors, snapshot->actors, (size_t)explorer.stages * sizeof(actors[0]));
    explorer.segment.header->stop = snapshot->stop;
    explorer.segment.header->stopped_at = snapshot->stopped_at;
    for (int s = 1; s <= explorer.stages; s++)
        segment_stage(&explorer.segment, s)->applied = snapshot->applied[s - 1];
    memcpy(bytes, snapshot->links, size);
    explorer.depth = depth;
}

static void check_room(const struct ring_end *producer, const struct ring_end *consumer)
{
    require(ring_published(producer) - consumer->messages <= producer->ring->message_capacity,
            "a message is written over before it was read");
}

static void check_links(void)
{
    for (int s = 1; s < explorer.stages; s++) {
        check_room(&actors[s - 1].stage.down_out, &actors[s].stage.down_in);
        check_room(&actors[s].stage.up_out, &actors[s - 1].stage.up_in);
    }
}

/* Everybody has stopped at the same place, and the links are empty. */
static void check_end(void)
{
    const struct stage *first = &actors[0].stage;

    for (int s = 1; s <= explorer.stages; s++) {
        const struct stage *stage = &actors[s - 1].stage;

        require(stage->slots_before == first->slots_before && stage->phase.kind == first->phase.kind &&
                    stage->phase.epoch == first->phase.epoch && stage->block->applied == first->block->applied,
                "stage %d ends elsewhere than stage 1", s);
        if (s == 1)
            continue;
        require(ring_published(&stage->down_in) == stage->down_in.messages &&
                    ring_room(&stage->down_in) - stage->down_in.ring->slots == stage->slots_before &&
                    ring_published(&stage->up_out) == stage->up_out.messages &&
                    ring_room(&stage->up_out) - stage->up_out.ring->slots == stage->slots_before,
                "something is left on the link to stage %d", s);
    }
}

static void explore(void);

/* Lets stage s go on until it is held up again; then everything from there. */
static void follow(int s, int choice)
{
    struct actor *actor = &actors[s - 1];

    explorer.current = s;
    explorer.choice = choice;
    explorer.choices = 1;
    swapcontext(&explorer.context, &actor->context);
    explorer.current = 0;
    explorer.path[explorer.depth].stage = s;
    explorer.path[explorer.depth++].place = actor->place;
    check_links();
}

static void request_stop(void)
{
    explorer.path[explorer.depth++].stage = 0;
    explorer.segment.header->stop = 1;
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
    if (explorer.stops && !done && !explorer.segment.header->stop) {
        request_stop();
        explore();
        restore(depth);
    }
}

static void explore_all(const char *const *overrides, int epochs, bool stops)
{
    struct network *network;
    struct schedule schedule;
    struct error error;

    memset(actors, 0, sizeof(actors));
    memset(&explorer, 0, sizeof(explorer));
    planned(&explorer.plan, &network, overrides, false);
    network_destroy(network);
    explorer.stages = explorer.plan.stage_count;
    explorer.epochs = epochs;
    explorer.stops = stops;
    schedule = plan_training(&explorer.plan);
    ck_assert_msg(!segment_create_private(&explorer.segment, &explorer.plan, &error), "%s", error.text);
    if (explorer.plan.config.pipeline.order == RUN_STATIC)
        ck_assert_msg(!simulate_slots(&schedule, (struct link_slots){.gradients = explorer.plan.gradient_slots},
                                      &explorer.simulation, &error),
                      "%s", error.text);
    for (int s = 1; s <= explorer.stages; s++)
        create_stage(s);
    explore();
    for (int depth = 0; depth < DEPTH_MAX; depth++)
        free(explorer.snapshots[depth]);
    free(explorer.seen);
    simulation_destroy(explorer.simulation);
    segment_close(&explorer.segment);
}

struct size {
    int stages, microbatches, minibatches, epochs;
    bool replayed, stops;
};

static const struct size small[] = {
    {2, 2, 3, 2, false, true}, {2, 1, 4, 1, false, true}, {3, 2, 2, 1, false, true},
    {3, 1, 3, 1, false, true}, {3, 2, 3, 1, true, true},
};

/* Half an hour of them: make exhaustive. */
static const struct size larger[] = {
    {2, 3, 4, 2, false, true}, {3, 2, 3, 2, false, true},  {3, 2, 4, 1, false, false},
    {3, 2, 4, 2, true, true},  {3, 1, 5, 1, false, false},
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
    explore_all(settings_list(&settings), size->epochs, size->stops);
}

START_TEST(small_pipelines)
{
    explore_system(&systems[_i % system_count], &small[_i / system_count]);
}
END_TEST

START_TEST(larger_pipelines)
{
    explore_system(&systems[_i % system_count], &larger[_i / system_count]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("executor");
    TCase *quick = tcase_create("small pipelines"), *slow = tcase_create("larger pipelines");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(quick, 300);
    tcase_add_loop_test(quick, small_pipelines, 0, (int)(sizeof(small) / sizeof(small[0])) * system_count);
    suite_add_tcase(suite, quick);
    tcase_set_tags(slow, "exhaustive");
    tcase_set_timeout(slow, 3600);
    tcase_add_loop_test(slow, larger_pipelines, 0, (int)(sizeof(larger) / sizeof(larger[0])) * system_count);
    suite_add_tcase(suite, slow);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
