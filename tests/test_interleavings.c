/* Goal of this test: for small pipelines, every order of events that can happen, not a sample. Stages begin and end
 * ops at any moment and pick any op that can run, so that every dynamic and every static order under every timing is
 * among them. In each state that can be reached somebody can go on, or all is done; an op reads what the rules'
 * definitions say; the tracker needs every version that some future reads, and none that no future reads. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/versions.h"

/* A check that costs nothing when it passes: Check's own write to a pipe each time. */
#define require(explorer, condition, ...)                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            report(explorer, __VA_ARGS__);                                                                             \
    } while (0)

enum { STAGES_MAX = 3, MICROBATCHES_MAX = 3, MINIBATCHES_MAX = 4, TOTAL_MAX = MICROBATCHES_MAX * MINIBATCHES_MAX };
enum { EVENTS_MAX = 2 * 3 * TOTAL_MAX * STAGES_MAX };

/* Sets of versions: bit k for version k. */
typedef uint8_t version_set;

/* What a stage has done, in micro-batches, and what it does. */
struct stage_state {
    uint8_t forwards, backwards, weight_backwards;
    uint8_t running;   /* the kind of the op that runs, plus one; 0: idle */
    version_set reads; /* by that op */
};

/* A moment of the whole pipeline, in bytes without gaps: equal states are equal memory. Versions that no op to come
 * can read, nor a tracker have as its newest, are zero. */
struct state {
    struct stage_state stages[STAGES_MAX];
    uint8_t pins[TOTAL_MAX];
    uint8_t committed[MINIBATCHES_MAX];
    uint8_t forward_reads[STAGES_MAX][TOTAL_MAX];
};

_Static_assert(sizeof(struct state) == 5 * STAGES_MAX + (1 + STAGES_MAX) * TOTAL_MAX + MINIBATCHES_MAX, "no gaps");

/* Per stage, the versions that are read by the running op or by any op in any future. */
struct futures {
    version_set stages[STAGES_MAX];
};

/* States, each with something known about it: a hash table with open addressing. */
struct entry {
    struct state state;
    struct futures futures;
    bool used;
};

struct table {
    struct entry *entries;
    size_t capacity, count; /* capacity: a power of two */
};

struct event {
    int stage;
    bool end;
    struct op op;
    int version; /* what came with it: the pin, or the committed version */
    version_set reads;
};

struct explorer {
    struct schedule schedule;
    int gradient_slots; /* 0: as many as never hold anything up */
    struct event path[EVENTS_MAX];
    int depth;
    struct table explored;          /* the states, with their futures */
    struct table views[STAGES_MAX]; /* what a stage can know of them, with what its tracker needs and what is read */
    int most_versions[STAGES_MAX], most_in_flight[STAGES_MAX];
};

__attribute__((format(printf, 2, 3))) static void report(const struct explorer *explorer, const char *format, ...)
{
    const struct schedule *schedule = &explorer->schedule;
    char what[256], path[4096] = "", op[OP_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    for (int k = 0; k < explorer->depth; k++) {
        const size_t length = strlen(path);
        op_format(&explorer->path[k].op, schedule, op);
        snprintf(path + length, sizeof(path) - length, " %d:%s%s", explorer->path[k].stage, op,
                 explorer->path[k].end ? "." : "");
    }
    ck_abort_msg("order %s, %s forwards, %s backwards, W = %d, N = %d, K = %d, %d gradient slots: %s after%s",
                 schedule->order.name, forward_rule_name(schedule->forward), backward_rule_name(schedule->backward),
                 schedule->stages, schedule->microbatches, schedule->minibatches, explorer->gradient_slots, what, path);
}

static struct entry *find_entry(const struct table *table, const struct state *state)
{
    const unsigned char *bytes = (const unsigned char *)state;
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    size_t k;

    for (size_t b = 0; b < sizeof(*state); b++)
        hash = (hash ^ bytes[b]) * 1099511628211u;
    k = (hash ^ hash >> 32) & (table->capacity - 1);
    while (table->entries[k].used && memcmp(&table->entries[k].state, state, sizeof(*state)) != 0)
        k = (k + 1) & (table->capacity - 1);
    return &table->entries[k];
}

static void table_create(struct table *table, size_t capacity)
{
    *table = (struct table){.entries = calloc(capacity, sizeof(*table->entries)), .capacity = capacity};
    ck_assert_ptr_nonnull(table->entries);
}

static void table_add(struct table *table, const struct state *state, const struct futures *futures)
{
    if (2 * table->count >= table->capacity) {
        const struct table old = *table;
        table_create(table, 4 * old.capacity);
        for (size_t k = 0; k < old.capacity; k++)
            if (old.entries[k].used)
                *find_entry(table, &old.entries[k].state) = old.entries[k];
        table->count = old.count;
        free(old.entries);
    }
    *find_entry(table, state) = (struct entry){*state, *futures, true};
    table->count++;
}

static int live_version(const struct explorer *explorer, const struct state *state, int stage)
{
    return state->stages[stage - 1].weight_backwards / explorer->schedule.microbatches;
}

static bool keeps_forward_versions(const struct schedule *schedule)
{
    return schedule->backward == BACKWARD_FORWARD || schedule->backward == BACKWARD_INTERMEDIATE;
}

static struct progress progress_at(const struct explorer *explorer, const struct state *state, int stage)
{
    const struct schedule *schedule = &explorer->schedule;
    const struct stage_state *own = &state->stages[stage - 1];
    const int size = schedule_slot_size(schedule), total = schedule->microbatches * schedule->minibatches;
    struct progress progress = {own->forwards, own->backwards, own->weight_backwards, total, 0, total, total};

    if (stage > 1) {
        progress.activations_arrived = own[-1].forwards;
        if (explorer->gradient_slots > 0)
            progress.backward_room = (own[-1].weight_backwards / size + explorer->gradient_slots) * size;
    }
    if (stage < schedule->stages) {
        const int done = min_int(own->weight_backwards, own[1].weight_backwards);
        progress.gradients_arrived = own[1].backwards;
        progress.forward_room = (done / size + schedule_activation_slots(schedule, stage)) * size;
    }
    return progress;
}

/* The stage's next op of a kind. */
static struct op op_of_kind(const struct explorer *explorer, const struct state *state, int s, enum op_kind kind)
{
    const struct stage_state *stage = &state->stages[s - 1];
    const int n = explorer->schedule.microbatches;
    const int numbers[] = {
        [OP_FORWARD] = stage->forwards,
        [OP_BACKWARD] = stage->backwards,
        [OP_BACKWARD_INPUT] = stage->backwards,
        [OP_BACKWARD_WEIGHTS] = stage->weight_backwards,
    };
    const bool whole = kind != OP_FORWARD && explorer->schedule.order.whole_backward;

    return (struct op){kind, numbers[kind] / n + 1, whole ? 1 : numbers[kind] % n + 1, whole ? n : 1, s};
}

static void forget(const struct explorer *explorer, struct state *state)
{
    const struct schedule *schedule = &explorer->schedule;
    const struct stage_state *first = &state->stages[0], *last = &state->stages[schedule->stages - 1];
    const bool committed = schedule->backward == BACKWARD_COMMITTED;
    const bool pins = schedule->forward == FORWARD_PINNED || committed;
    const int total = schedule->microbatches * schedule->minibatches;

    for (int s = 0; s < schedule->stages; s++)
        for (int k = 0; k < (keeps_forward_versions(schedule) ? state->stages[s].weight_backwards : total); k++)
            state->forward_reads[s][k] = 0;
    for (int k = 0; k < (pins ? min_int(last->forwards - 1, first->backwards) : total); k++)
        state->pins[k] = 0;
    for (int i = 0; i < (committed ? live_version(explorer, state, 1) - 1 : schedule->minibatches); i++)
        state->committed[i] = 0;
}

/* The versions that an op reads as it begins, by the rules' definitions; notes what others will read because of it. */
static version_set begin(const struct explorer *explorer, struct state *state, int stage, const struct op *op)
{
    const struct schedule *schedule = &explorer->schedule;
    const int number = (op->minibatch - 1) * schedule->microbatches + op->first - 1;
    const int live = live_version(explorer, state, stage);
    uint8_t *forward_reads = &state->forward_reads[stage - 1][number];
    uint8_t *committed = &state->committed[op->minibatch - 1];
    version_set reads = 0;

    if (op->kind == OP_BACKWARD_WEIGHTS)
        return 0;
    if (op->kind == OP_FORWARD) {
        if (stage == 1)
            state->pins[number] = (uint8_t)live;
        const int versions[] = {
            [FORWARD_LIVE] = live,
            [FORWARD_PINNED] = state->pins[number],
            [FORWARD_DOUBLE_BUFFERED] = max_int(0, op->minibatch - 2),
        };
        *forward_reads = (uint8_t)versions[schedule->forward];
        return (version_set)(1 << *forward_reads);
    }
    if (stage == schedule->stages && op->first == 1) {
        *committed = (uint8_t)schedule->minibatches;
        for (int s = 1; s <= schedule->stages; s++)
            *committed = (uint8_t)min_int(*committed, live_version(explorer, state, s));
    }
    if (schedule->backward == BACKWARD_COMMITTED)
        return (version_set)(1 << *committed);
    if (schedule->backward != BACKWARD_FORWARD)
        reads = (version_set)(1 << live);
    for (int j = 0; j < op->count && keeps_forward_versions(schedule); j++)
        reads |= (version_set)(1 << forward_reads[j]);
    return reads;
}

/* A tracker that has followed the stage along the path. */
static struct version_tracker *replay(const struct explorer *explorer, int stage)
{
    struct version_tracker *tracker = versions_create(&explorer->schedule, stage, 0);

    require(explorer, tracker != NULL, "out of memory");
    for (int k = 0; k < explorer->depth; k++) {
        const struct event *event = &explorer->path[k];
        if (event->stage != stage)
            continue;
        if (event->end) {
            versions_end(tracker, &event->op);
            if (schedule_updates_after(&explorer->schedule, &event->op))
                versions_update(tracker);
        } else if (event->op.kind == OP_FORWARD) {
            const int read = versions_begin_forward(tracker, &event->op, event->version);
            require(explorer, 1 << read == event->reads, "stage %d reads version %d, not those in %x", stage, read,
                    event->reads);
        } else {
            versions_begin_backward(tracker, &event->op, event->version);
        }
    }
    return tracker;
}

/* What a stage has seen of a state: the ops it has begun and ended, the versions that came with them, as far as they
 * say anything about those to come. */
static struct state view_of(const struct explorer *explorer, const struct state *state, int stage)
{
    const struct stage_state *own = &state->stages[stage - 1];
    const int n = explorer->schedule.microbatches;
    const int forwards = own->forwards + (own->running == OP_FORWARD + 1);
    const bool backward_runs = own->running == OP_BACKWARD + 1 || own->running == OP_BACKWARD_INPUT + 1;
    const int backwards = own->backwards + backward_runs * (explorer->schedule.order.whole_backward ? n : 1);
    struct state view;

    memset(&view, 0, sizeof(view));
    view.stages[0] = *own;
    if (forwards > 0)
        view.pins[forwards - 1] = state->pins[forwards - 1];
    if (backwards + n - 1 < forwards)
        view.pins[backwards + n - 1] = state->pins[backwards + n - 1];
    if (backwards > 0)
        view.committed[(backwards - 1) / n] = state->committed[(backwards - 1) / n];
    for (int k = own->backwards; k < forwards; k++)
        view.forward_reads[0][k] = state->forward_reads[stage - 1][k];
    return view;
}

/* The stage's tracker needs `needed`; from this state on `read` is read. */
static void note_view(struct explorer *explorer, const struct state *state, int stage, version_set needed,
                      version_set read)
{
    const struct state view = view_of(explorer, state, stage);
    struct entry *entry = find_entry(&explorer->views[stage - 1], &view);

    if (!entry->used) {
        table_add(&explorer->views[stage - 1], &view, &(struct futures){{needed, read}});
        return;
    }
    require(explorer, entry->futures.stages[0] == needed, "stage %d needs %x, and %x when it had seen the same", stage,
            needed, entry->futures.stages[0]);
    entry->futures.stages[1] |= read;
}

/* The path's last event was at `stage` and has led to `state`, from where the stage reads `future` and nothing else:
 * what does its tracker say? */
static void check_tracker(struct explorer *explorer, const struct state *state, int stage, version_set future)
{
    const struct stage_state *own = &state->stages[stage - 1];
    const int n = explorer->schedule.microbatches, live = live_version(explorer, state, stage);
    struct version_tracker *tracker = replay(explorer, stage);
    version_set needed = 0, existing = (version_set)((2 << live) - 1);
    int minibatches;

    for (int version = 0; version <= explorer->schedule.minibatches; version++)
        needed |= (version_set)(versions_needed(tracker, version) << version);
    versions_destroy(tracker);
    require(explorer, (own->reads & ~existing) == 0, "stage %d reads %x, live is %d", stage, own->reads, live);
    require(explorer, (future & existing & ~needed) == 0, "stage %d may read %x, its tracker needs %x", stage,
            future & existing, needed);
    note_view(explorer, state, stage, needed, (version_set)((future & existing) | 1 << live));

    minibatches = (own->forwards + (own->running == OP_FORWARD + 1) + n - 1) / n - live;
    explorer->most_versions[stage - 1] = max_int(explorer->most_versions[stage - 1], __builtin_popcount(needed));
    explorer->most_in_flight[stage - 1] = max_int(explorer->most_in_flight[stage - 1], minibatches);
}

static struct futures explore(struct explorer *explorer, const struct state *state);

static void follow(struct explorer *explorer, struct state *next, const struct event *event, struct futures *futures)
{
    struct futures after;

    forget(explorer, next);
    explorer->path[explorer->depth++] = *event;
    after = explore(explorer, next);
    check_tracker(explorer, next, event->stage, after.stages[event->stage - 1]);
    explorer->depth--;
    for (int s = 0; s < explorer->schedule.stages; s++)
        futures->stages[s] |= after.stages[s];
}

static void follow_end(struct explorer *explorer, const struct state *state, int stage, struct futures *futures)
{
    struct state next = *state;
    struct stage_state *own = &next.stages[stage - 1];
    const enum op_kind kind = own->running - 1;
    const struct event event = {.stage = stage, .end = true, .op = op_of_kind(explorer, &next, stage, kind)};

    own->running = own->reads = 0;
    if (kind == OP_FORWARD)
        own->forwards++;
    if (kind == OP_BACKWARD || kind == OP_BACKWARD_INPUT)
        own->backwards += (uint8_t)event.op.count;
    if (kind == OP_BACKWARD || kind == OP_BACKWARD_WEIGHTS)
        own->weight_backwards += (uint8_t)event.op.count;
    follow(explorer, &next, &event, futures);
}

static void follow_begin(struct explorer *explorer, const struct state *state, int stage, const struct op *op,
                         struct futures *futures)
{
    struct state next = *state;
    struct stage_state *own = &next.stages[stage - 1];
    struct event event = {.stage = stage, .op = *op};

    own->running = (uint8_t)(op->kind + 1);
    own->reads = event.reads = begin(explorer, &next, stage, op);
    event.version = op->kind == OP_FORWARD
                        ? next.pins[(op->minibatch - 1) * explorer->schedule.microbatches + op->first - 1]
                        : next.committed[op->minibatch - 1];
    follow(explorer, &next, &event, futures);
}

/* Follows all that an idle stage can begin. Returns whether there is anything; so must schedule_next say. */
static bool follow_begins(struct explorer *explorer, const struct state *state, int stage, struct futures *futures)
{
    const struct schedule *schedule = &explorer->schedule;
    const struct progress progress = progress_at(explorer, state, stage);
    const struct next chosen = schedule_next(schedule, stage, &progress);
    bool can_run = false, chosen_can_run = false;

    for (enum op_kind kind = OP_FORWARD; kind <= OP_BACKWARD_WEIGHTS; kind++) {
        const struct op op = op_of_kind(explorer, state, stage, kind);
        struct next next;
        if ((kind != OP_FORWARD && schedule->order.split_backward != (kind != OP_BACKWARD)) ||
            op.minibatch > schedule->minibatches)
            continue;
        next = schedule_can_run(schedule, stage, &progress, &op);
        require(explorer, next.cause != WAIT_SLOT || explorer->gradient_slots > 0, "a slot holds stage %d up", stage);
        if (next.kind != NEXT_RUN)
            continue;
        can_run = true;
        chosen_can_run |= memcmp(&op, &chosen.op, sizeof(op)) == 0;
        follow_begin(explorer, state, stage, &op, futures);
    }
    require(explorer, can_run == (chosen.kind == NEXT_RUN) && can_run == chosen_can_run,
            "stage %d can run something, and chooses something else", stage);
    require(explorer, (chosen.kind == NEXT_DONE) == (live_version(explorer, state, stage) == schedule->minibatches),
            "stage %d is done too early or never", stage);
    return can_run;
}

static struct futures explore(struct explorer *explorer, const struct state *state)
{
    const struct entry *entry = find_entry(&explorer->explored, state);
    struct futures futures;
    bool moved = false, done = true;

    if (entry->used)
        return entry->futures;
    for (int s = 1; s <= explorer->schedule.stages; s++) {
        futures.stages[s - 1] = state->stages[s - 1].reads;
        done = done && live_version(explorer, state, s) == explorer->schedule.minibatches;
    }
    for (int s = 1; s <= explorer->schedule.stages; s++) {
        if (state->stages[s - 1].running) {
            follow_end(explorer, state, s, &futures);
            moved = true;
        } else if (follow_begins(explorer, state, s, &futures)) {
            moved = true;
        }
    }
    require(explorer, moved || done, "deadlock");
    table_add(&explorer->explored, state, &futures);
    return futures;
}

/* The limits hold, and with enough mini-batches and room they are reached. */
static void check_limits(const struct explorer *explorer)
{
    const struct schedule *schedule = &explorer->schedule;
    const bool reached = explorer->gradient_slots == 0 && schedule->minibatches > schedule->stages;

    for (int s = 1; s <= schedule->stages; s++) {
        const int versions = explorer->most_versions[s - 1], in_flight = explorer->most_in_flight[s - 1];
        const int versions_limit = schedule_versions_limit(schedule, s);
        const int in_flight_limit = schedule_in_flight_limit(schedule, s);
        require(explorer, versions <= versions_limit && (!reached || versions == versions_limit),
                "stage %d needs %d versions, the limit is %d", s, versions, versions_limit);
        require(explorer, in_flight <= in_flight_limit && (!reached || in_flight == in_flight_limit),
                "stage %d has %d mini-batches in flight, the limit is %d", s, in_flight, in_flight_limit);
    }
}

/* Whatever a stage has seen, each version that its tracker needs is read in some future of some state in which it has
 * seen just that: a tracker cannot do with less. (With one gradient slot it could: stage W cannot run so far ahead
 * that it reads the oldest committed versions.) */
static void check_justified(const struct explorer *explorer, int stage)
{
    const struct table *views = &explorer->views[stage - 1];

    for (size_t k = 0; k < views->capacity; k++) {
        const struct entry *view = &views->entries[k];
        require(explorer, !view->used || view->futures.stages[0] == view->futures.stages[1],
                "stage %d with %d forwards and %d backwards done needs %x, of which only %x is ever read", stage,
                view->state.stages[0].forwards, view->state.stages[0].backwards, view->futures.stages[0],
                view->futures.stages[1]);
    }
}

static void explore_all(const struct schedule *schedule, int gradient_slots)
{
    struct explorer explorer = {.schedule = *schedule, .gradient_slots = gradient_slots};
    struct state start;

    memset(&start, 0, sizeof(start));
    table_create(&explorer.explored, 1024);
    for (int s = 1; s <= schedule->stages; s++)
        table_create(&explorer.views[s - 1], 256);
    explore(&explorer, &start);
    check_limits(&explorer);
    for (int s = 1; s <= schedule->stages; s++) {
        if (gradient_slots == 0)
            check_justified(&explorer, s);
        free(explorer.views[s - 1].entries);
    }
    free(explorer.explored.entries);
}

/* Every sound combination of rules for an order whose stages ask schedule_next. */
START_TEST(test_rules)
{
    struct schedule schedule = {.order = orders[_i / STAGES_MAX], .stages = _i % STAGES_MAX + 1, .parts = 1};
    struct error error;
    int explored = 0;

    if (schedule_is_list(&schedule))
        return;

    for (schedule.forward = 0; schedule.forward <= FORWARD_DOUBLE_BUFFERED; schedule.forward++)
        for (schedule.backward = 0; schedule.backward <= BACKWARD_INTERMEDIATE; schedule.backward++)
            for (schedule.microbatches = 1; schedule.microbatches <= MICROBATCHES_MAX; schedule.microbatches++)
                for (schedule.minibatches = 1; schedule.minibatches <= MINIBATCHES_MAX; schedule.minibatches++)
                    if (schedule_check(&schedule, &error) == 0) {
                        explore_all(&schedule, 0);
                        explored++;
                    }
    ck_assert_int_gt(explored, 0);
}
END_TEST

/* The published systems when a gradient must be taken before the next one can be given. */
START_TEST(test_one_gradient_slot)
{
    const struct system *system = &systems[_i];
    struct schedule schedule = {.order = orders[system->order],
                                .forward = system->forward,
                                .backward = system->backward,
                                .parts = 1,
                                .minibatches = 4};
    struct error error;
    int explored = 0;

    for (schedule.stages = 1; schedule.stages <= STAGES_MAX; schedule.stages++)
        for (schedule.microbatches = 1; schedule.microbatches <= MICROBATCHES_MAX; schedule.microbatches++)
            if (schedule_check(&schedule, &error) == 0) {
                explore_all(&schedule, 1);
                explored++;
            }
    ck_assert_int_gt(explored, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interleavings");
    TCase *tcase = tcase_create("small pipelines");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, test_rules, 0, ORDERS * STAGES_MAX);
    tcase_add_loop_test(tcase, test_one_gradient_slot, 0, asking_system_count);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
