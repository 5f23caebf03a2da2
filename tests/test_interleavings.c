/* Goal of this test: for small pipelines, every order of events that can happen, not a sample. Stages begin and end
 * ops at any moment and pick any op that can run, so that every dynamic and every static order under every timing is
 * among them; where the order is a list they keep to that. In each state that can be reached somebody can go on, or
 * all is done; an op reads what the rules' definitions say; the tracker needs every version that some future reads,
 * and none that no future reads. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/list.h"
#include "schedule/versions.h"
#include "tests/support/suite.h"

/* A check that costs nothing when it passes: Check's own write to a pipe each time. */
#define require(explorer, condition, ...)                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            report(explorer, __VA_ARGS__);                                                                             \
    } while (0)

enum { STAGES_MAX = 3, MICROBATCHES_MAX = 3, MINIBATCHES_MAX = 4, TOTAL_MAX = MICROBATCHES_MAX * MINIBATCHES_MAX };
enum { PARTS_MAX = 2 * STAGES_MAX, EVENTS_MAX = 2 * 3 * TOTAL_MAX * PARTS_MAX };

/* Sets of versions: bit k for version k. */
typedef uint8_t version_set;

/* What a part has done, in micro-batches, and what it does. */
struct part_state {
    uint8_t forwards, backwards, weight_backwards;
    uint8_t running;   /* the kind of the op that runs, plus one; 0: idle */
    version_set reads; /* by that op */
};

/* A moment of the whole pipeline, in bytes without gaps: equal states are equal memory. Versions that no op to come
 * can read, nor a tracker have as its newest, are zero. */
struct state {
    struct part_state parts[PARTS_MAX];
    uint8_t pins[TOTAL_MAX];
    uint8_t committed[MINIBATCHES_MAX];
    uint8_t forward_reads[PARTS_MAX][TOTAL_MAX];
};

_Static_assert(sizeof(struct state) == 5 * PARTS_MAX + (1 + PARTS_MAX) * TOTAL_MAX + MINIBATCHES_MAX, "no gaps");

/* Per part, the versions that are read by the running op or by any op in any future. */
struct futures {
    version_set parts[PARTS_MAX];
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
    int part;
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
    struct table explored;         /* the states, with their futures */
    struct table views[PARTS_MAX]; /* what a part can know of them, with what its tracker needs and what is read */
    int most_versions[PARTS_MAX], most_in_flight[PARTS_MAX];
    struct op_list lists[STAGES_MAX]; /* where the order is a list */
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
        snprintf(path + length, sizeof(path) - length, " %d:%s%s", schedule_stage_of(schedule, explorer->path[k].part),
                 op, explorer->path[k].end ? "." : "");
    }
    ck_abort_msg("order %s, %s forwards, %s backwards, %s updates, W = %d, C = %d, N = %d, K = %d, %d gradient slots: "
                 "%s after%s",
                 schedule->order.name, forward_rule_name(schedule->forward), backward_rule_name(schedule->backward),
                 update_rule(schedule->update)->name, schedule->stages, schedule_part_count(schedule),
                 schedule->microbatches, schedule->minibatches, explorer->gradient_slots, what, path);
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

static int live_version(const struct explorer *explorer, const struct state *state, int part)
{
    return state->parts[part - 1].weight_backwards / explorer->schedule.microbatches;
}

/* A backward, or the update after it, comes back to what the forward has read. */
static bool keeps_forward_versions(const struct schedule *schedule)
{
    static const bool backward[BACKWARD_RULES] = {[BACKWARD_FORWARD] = true, [BACKWARD_INTERMEDIATE] = true};
    static const bool update[UPDATE_RULES] = {[UPDATE_GAP_AWARE] = true, [UPDATE_DC_ASGD] = true};

    return backward[schedule->backward] || update[schedule->update];
}

static struct progress progress_at(const struct explorer *explorer, const struct state *state, int part)
{
    const struct schedule *schedule = &explorer->schedule;
    const struct part_state *own = &state->parts[part - 1];
    const int size = schedule_slot_size(schedule), total = schedule->microbatches * schedule->minibatches;
    struct progress progress = {own->forwards, own->backwards, own->weight_backwards, total, 0, total, total};

    if (part > 1) {
        progress.activations_arrived = own[-1].forwards;
        if (explorer->gradient_slots > 0)
            progress.backward_room = (own[-1].weight_backwards / size + explorer->gradient_slots) * size;
    }
    if (part < schedule_part_count(schedule)) {
        const int done = min_int(own->weight_backwards, own[1].weight_backwards);
        progress.gradients_arrived = own[1].backwards;
        /* A list is given the slots that it wants (plan/replay.h). */
        if (!schedule_is_list(schedule))
            progress.forward_room = (done / size + schedule_activation_slots(schedule, part)) * size;
    }
    return progress;
}

/* The part's next op of a kind. */
static struct op op_of_kind(const struct explorer *explorer, const struct state *state, int k, enum op_kind kind)
{
    const struct part_state *part = &state->parts[k - 1];
    const int n = explorer->schedule.microbatches;
    const int numbers[] = {
        [OP_FORWARD] = part->forwards,
        [OP_BACKWARD] = part->backwards,
        [OP_BACKWARD_INPUT] = part->backwards,
        [OP_BACKWARD_WEIGHTS] = part->weight_backwards,
    };
    const bool whole = kind != OP_FORWARD && explorer->schedule.order.whole_backward;

    return (struct op){kind, numbers[kind] / n + 1, whole ? 1 : numbers[kind] % n + 1, whole ? n : 1, k};
}

static void forget(const struct explorer *explorer, struct state *state)
{
    const struct schedule *schedule = &explorer->schedule;
    const struct part_state *first = &state->parts[0], *last = &state->parts[schedule_part_count(schedule) - 1];
    const bool committed = schedule->backward == BACKWARD_COMMITTED;
    const bool pins = schedule->forward == FORWARD_PINNED || committed;
    const int total = schedule->microbatches * schedule->minibatches;

    for (int s = 0; s < schedule_part_count(schedule); s++)
        for (int k = 0; k < (keeps_forward_versions(schedule) ? state->parts[s].weight_backwards : total); k++)
            state->forward_reads[s][k] = 0;
    for (int k = 0; k < (pins ? min_int(last->forwards - 1, first->backwards) : total); k++)
        state->pins[k] = 0;
    for (int i = 0; i < (committed ? live_version(explorer, state, 1) - 1 : schedule->minibatches); i++)
        state->committed[i] = 0;
}

/* The versions that an op reads as it begins, by the rules' definitions; notes what others will read because of it. */
static version_set begin(const struct explorer *explorer, struct state *state, int part, const struct op *op)
{
    const struct schedule *schedule = &explorer->schedule;
    const int number = (op->minibatch - 1) * schedule->microbatches + op->first - 1;
    const int live = live_version(explorer, state, part);
    uint8_t *forward_reads = &state->forward_reads[part - 1][number];
    uint8_t *committed = &state->committed[op->minibatch - 1];
    version_set reads;

    if (op->kind == OP_BACKWARD_WEIGHTS)
        return 0;
    if (op->kind == OP_FORWARD) {
        if (part == 1)
            state->pins[number] = (uint8_t)live;
        const int versions[] = {
            [FORWARD_LIVE] = live,
            [FORWARD_PINNED] = state->pins[number],
            [FORWARD_DOUBLE_BUFFERED] = max_int(0, op->minibatch - 2),
            [FORWARD_SPECTRAIN] = live,
            [FORWARD_PIPEOPTIM] = live,
            [FORWARD_MSNAG] = live,
            [FORWARD_LINEAR] = live,
        };
        _Static_assert(sizeof(versions) == FORWARD_RULES * sizeof(versions[0]), "every rule");
        *forward_reads = (uint8_t)versions[schedule->forward];
        return (version_set)(1 << *forward_reads);
    }
    if (part == schedule_part_count(schedule) && op->first == 1) {
        *committed = (uint8_t)schedule->minibatches;
        for (int k = 1; k <= part; k++)
            *committed = (uint8_t)min_int(*committed, live_version(explorer, state, k));
    }
    const int versions[] = {
        [BACKWARD_LIVE] = 1 << live,
        [BACKWARD_FORWARD] = 0, /* below: each micro-batch its own */
        [BACKWARD_COMMITTED] = 1 << *committed,
        [BACKWARD_INTERMEDIATE] = 1 << live,
        [BACKWARD_SPECTRAIN] = 1 << live,
        [BACKWARD_PIPEMARE] = 1 << live,
    };
    _Static_assert(sizeof(versions) == BACKWARD_RULES * sizeof(versions[0]), "every rule");
    reads = (version_set)versions[schedule->backward];
    for (int j = 0; j < op->count && keeps_forward_versions(schedule); j++)
        reads |= (version_set)(1 << forward_reads[j]);
    return reads;
}

/* A tracker that has followed the part along the path. */
static struct version_tracker *replay(const struct explorer *explorer, int part)
{
    struct version_tracker *tracker = versions_create(&explorer->schedule, part, 0);

    require(explorer, tracker != NULL, "out of memory");
    for (int k = 0; k < explorer->depth; k++) {
        const struct event *event = &explorer->path[k];
        if (event->part != part)
            continue;
        if (event->end) {
            versions_end(tracker, &event->op);
            if (schedule_updates_after(&explorer->schedule, &event->op))
                versions_update(tracker);
        } else if (event->op.kind == OP_FORWARD) {
            const int read = versions_begin_forward(tracker, &event->op, event->version);
            require(explorer, 1 << read == event->reads, "part %d reads version %d, not those in %x", part, read,
                    event->reads);
        } else {
            versions_begin_backward(tracker, &event->op, event->version);
        }
    }
    return tracker;
}

/* What a part has seen of a state: the ops it has begun and ended, the versions that came with them, as far as they
 * say anything about those to come. */
static struct state view_of(const struct explorer *explorer, const struct state *state, int part)
{
    const struct part_state *own = &state->parts[part - 1];
    const int n = explorer->schedule.microbatches;
    const int forwards = own->forwards + (own->running == OP_FORWARD + 1);
    const bool backward_runs = own->running == OP_BACKWARD + 1 || own->running == OP_BACKWARD_INPUT + 1;
    const int backwards = own->backwards + backward_runs * (explorer->schedule.order.whole_backward ? n : 1);
    struct state view;

    memset(&view, 0, sizeof(view));
    view.parts[0] = *own;
    if (forwards > 0)
        view.pins[forwards - 1] = state->pins[forwards - 1];
    if (backwards + n - 1 < forwards)
        view.pins[backwards + n - 1] = state->pins[backwards + n - 1];
    if (backwards > 0)
        view.committed[(backwards - 1) / n] = state->committed[(backwards - 1) / n];
    for (int k = own->backwards; k < forwards; k++)
        view.forward_reads[0][k] = state->forward_reads[part - 1][k];
    return view;
}

/* The part's tracker needs `needed`; from this state on `read` is read. */
static void note_view(struct explorer *explorer, const struct state *state, int part, version_set needed,
                      version_set read)
{
    const struct state view = view_of(explorer, state, part);
    struct entry *entry = find_entry(&explorer->views[part - 1], &view);

    if (!entry->used) {
        table_add(&explorer->views[part - 1], &view, &(struct futures){{needed, read}});
        return;
    }
    require(explorer, entry->futures.parts[0] == needed, "part %d needs %x, and %x when it had seen the same", part,
            needed, entry->futures.parts[0]);
    entry->futures.parts[1] |= read;
}

/* The path's last event was at `part` and has led to `state`, from where the part reads `future` and nothing else:
 * what does its tracker say? */
static void check_tracker(struct explorer *explorer, const struct state *state, int part, version_set future)
{
    const struct part_state *own = &state->parts[part - 1];
    const int n = explorer->schedule.microbatches, live = live_version(explorer, state, part);
    struct version_tracker *tracker = replay(explorer, part);
    version_set needed = 0, existing = (version_set)((2 << live) - 1);
    int minibatches;

    for (int version = 0; version <= explorer->schedule.minibatches; version++)
        needed |= (version_set)(versions_needed(tracker, version) << version);
    versions_destroy(tracker);
    require(explorer, (own->reads & ~existing) == 0, "part %d reads %x, live is %d", part, own->reads, live);
    require(explorer, (future & existing & ~needed) == 0, "part %d may read %x, its tracker needs %x", part,
            future & existing, needed);
    note_view(explorer, state, part, needed, (version_set)((future & existing) | 1 << live));

    minibatches = (own->forwards + (own->running == OP_FORWARD + 1) + n - 1) / n - live;
    explorer->most_versions[part - 1] = max_int(explorer->most_versions[part - 1], __builtin_popcount(needed));
    explorer->most_in_flight[part - 1] = max_int(explorer->most_in_flight[part - 1], minibatches);
}

static struct futures explore(struct explorer *explorer, const struct state *state);

static void follow(struct explorer *explorer, struct state *next, const struct event *event, struct futures *futures)
{
    struct futures after;

    forget(explorer, next);
    explorer->path[explorer->depth++] = *event;
    after = explore(explorer, next);
    check_tracker(explorer, next, event->part, after.parts[event->part - 1]);
    explorer->depth--;
    for (int k = 0; k < schedule_part_count(&explorer->schedule); k++)
        futures->parts[k] |= after.parts[k];
}

static void follow_end(struct explorer *explorer, const struct state *state, int part, struct futures *futures)
{
    struct state next = *state;
    struct part_state *own = &next.parts[part - 1];
    const enum op_kind kind = own->running - 1;
    const struct event event = {.part = part, .end = true, .op = op_of_kind(explorer, &next, part, kind)};

    own->running = own->reads = 0;
    if (kind == OP_FORWARD)
        own->forwards++;
    if (kind == OP_BACKWARD || kind == OP_BACKWARD_INPUT)
        own->backwards += (uint8_t)event.op.count;
    if (kind == OP_BACKWARD || kind == OP_BACKWARD_WEIGHTS)
        own->weight_backwards += (uint8_t)event.op.count;
    follow(explorer, &next, &event, futures);
}

static void follow_begin(struct explorer *explorer, const struct state *state, int part, const struct op *op,
                         struct futures *futures)
{
    struct state next = *state;
    struct part_state *own = &next.parts[part - 1];
    struct event event = {.part = part, .op = *op};

    own->running = (uint8_t)(op->kind + 1);
    own->reads = event.reads = begin(explorer, &next, part, op);
    event.version = op->kind == OP_FORWARD
                        ? next.pins[(op->minibatch - 1) * explorer->schedule.microbatches + op->first - 1]
                        : next.committed[op->minibatch - 1];
    follow(explorer, &next, &event, futures);
}

/* Follows all that an idle part can begin. Returns whether there is anything; so must schedule_next say. */
static bool follow_begins(struct explorer *explorer, const struct state *state, int part, struct futures *futures)
{
    const struct schedule *schedule = &explorer->schedule;
    const struct progress progress = progress_at(explorer, state, part);
    const struct next chosen = schedule_next(schedule, part, &progress);
    bool can_run = false, chosen_can_run = false;

    for (enum op_kind kind = OP_FORWARD; kind <= OP_BACKWARD_WEIGHTS; kind++) {
        const struct op op = op_of_kind(explorer, state, part, kind);
        struct next next;
        if ((kind != OP_FORWARD && schedule->order.split_backward != (kind != OP_BACKWARD)) ||
            op.minibatch > schedule->minibatches)
            continue;
        next = schedule_can_run(schedule, part, &progress, &op);
        require(explorer, next.cause != WAIT_SLOT || explorer->gradient_slots > 0, "a slot holds part %d up", part);
        if (next.kind != NEXT_RUN)
            continue;
        can_run = true;
        chosen_can_run |= memcmp(&op, &chosen.op, sizeof(op)) == 0;
        follow_begin(explorer, state, part, &op, futures);
    }
    require(explorer, can_run == (chosen.kind == NEXT_RUN) && can_run == chosen_can_run,
            "part %d can run something, and chooses something else", part);
    require(explorer, (chosen.kind == NEXT_DONE) == (live_version(explorer, state, part) == schedule->minibatches),
            "part %d is done too early or never", part);
    return can_run;
}

static bool is_done(const struct part_state *part, const struct op *op, int microbatches)
{
    const int number = (op->minibatch - 1) * microbatches + op->first - 1;

    if (op->kind == OP_FORWARD)
        return number < part->forwards;
    return number < (op->kind == OP_BACKWARD_INPUT ? part->backwards : part->weight_backwards);
}

/* Follows the next op of an idle stage's list, if it can begin. */
static bool follow_list(struct explorer *explorer, const struct state *state, int stage, struct futures *futures)
{
    const struct op_list *list = &explorer->lists[stage - 1];

    for (int n = 0; n < list_count(list); n++) {
        const struct op op = list_op(list, n);

        if (is_done(&state->parts[op.part - 1], &op, explorer->schedule.microbatches))
            continue;
        const struct op next = op_of_kind(explorer, state, op.part, op.kind);
        const struct progress progress = progress_at(explorer, state, op.part);
        require(explorer, memcmp(&op, &next, sizeof(op)) == 0, "part %d's ops are out of order", op.part);
        if (schedule_can_run(&explorer->schedule, op.part, &progress, &op).kind != NEXT_RUN)
            return false;
        follow_begin(explorer, state, op.part, &op, futures);
        return true;
    }
    return false;
}

/* A stage runs one op of one of its parts at a time. Returns whether there is anything to follow. */
static bool follow_stage(struct explorer *explorer, const struct state *state, int stage, struct futures *futures)
{
    for (int k = 1; k <= schedule_part_count(&explorer->schedule); k++)
        if (schedule_stage_of(&explorer->schedule, k) == stage && state->parts[k - 1].running) {
            follow_end(explorer, state, k, futures);
            return true;
        }
    return schedule_is_list(&explorer->schedule) ? follow_list(explorer, state, stage, futures)
                                                 : follow_begins(explorer, state, stage, futures);
}

static struct futures explore(struct explorer *explorer, const struct state *state)
{
    const struct entry *entry = find_entry(&explorer->explored, state);
    struct futures futures;
    bool moved = false, done = true;

    if (entry->used)
        return entry->futures;
    for (int k = 1; k <= schedule_part_count(&explorer->schedule); k++) {
        futures.parts[k - 1] = state->parts[k - 1].reads;
        done = done && live_version(explorer, state, k) == explorer->schedule.minibatches;
    }
    for (int s = 1; s <= explorer->schedule.stages; s++)
        moved |= follow_stage(explorer, state, s, &futures);
    require(explorer, moved || done, "deadlock");
    table_add(&explorer->explored, state, &futures);
    return futures;
}

/* The limits hold, and with enough mini-batches and room they are reached. */
static void check_limits(const struct explorer *explorer)
{
    const struct schedule *schedule = &explorer->schedule;
    const bool reached = explorer->gradient_slots == 0 && schedule->minibatches > schedule->stages;

    for (int k = 1; k <= schedule_part_count(schedule); k++) {
        const int versions = explorer->most_versions[k - 1], in_flight = explorer->most_in_flight[k - 1];
        const int versions_limit = schedule_versions_limit(schedule, k);
        const int in_flight_limit = schedule_in_flight_limit(schedule, k);
        require(explorer, versions <= versions_limit && (!reached || versions == versions_limit),
                "part %d needs %d versions, the limit is %d", k, versions, versions_limit);
        require(explorer, in_flight <= in_flight_limit && (!reached || in_flight == in_flight_limit),
                "part %d has %d mini-batches in flight, the limit is %d", k, in_flight, in_flight_limit);
    }
}

/* Whatever a part has seen, each version that its tracker needs is read in some future of some state in which it has
 * seen just that: a tracker cannot do with less. (With one gradient slot it could: the last part cannot run so far
 * ahead that it reads the oldest committed versions.) */
static void check_justified(const struct explorer *explorer, int part)
{
    const struct table *views = &explorer->views[part - 1];

    for (size_t k = 0; k < views->capacity; k++) {
        const struct entry *view = &views->entries[k];
        require(explorer, !view->used || view->futures.parts[0] == view->futures.parts[1],
                "part %d with %d forwards and %d backwards done needs %x, of which only %x is ever read", part,
                view->state.parts[0].forwards, view->state.parts[0].backwards, view->futures.parts[0],
                view->futures.parts[1]);
    }
}

static void explore_all(const struct schedule *schedule, int gradient_slots)
{
    struct explorer explorer = {.schedule = *schedule, .gradient_slots = gradient_slots};
    struct state start;

    memset(&start, 0, sizeof(start));
    table_create(&explorer.explored, 1024);
    for (int k = 1; k <= schedule_part_count(schedule); k++)
        table_create(&explorer.views[k - 1], 256);
    if (schedule_is_list(schedule))
        ck_assert_int_eq(lists_create(explorer.lists, schedule), 0);
    explore(&explorer, &start);
    if (!schedule_is_list(schedule))
        check_limits(&explorer);
    for (int k = 1; k <= schedule_part_count(schedule); k++) {
        if (gradient_slots == 0)
            check_justified(&explorer, k);
        free(explorer.views[k - 1].entries);
    }
    for (int s = 0; s < STAGES_MAX; s++)
        free(explorer.lists[s].ops);
    free(explorer.explored.entries);
}

/* Every sound combination of rules for an order whose stages ask schedule_next; of the update rules that come back to no
 * version, the plain one. */
START_TEST(test_rules)
{
    static const enum update_rule_name updates[] = {UPDATE_PLAIN, UPDATE_GAP_AWARE, UPDATE_DC_ASGD};
    enum { COMBINATIONS = FORWARD_RULES * BACKWARD_RULES * sizeof(updates) / sizeof(updates[0]) };
    struct schedule schedule = {.order = orders[_i / STAGES_MAX], .stages = _i % STAGES_MAX + 1, .parts = 1};
    struct error error;
    int explored = 0;

    if (schedule_is_list(&schedule))
        return;

    for (int rules = 0; rules < COMBINATIONS; rules++) {
        schedule.forward = (enum forward_rule)(rules % FORWARD_RULES);
        schedule.backward = (enum backward_rule)(rules / FORWARD_RULES % BACKWARD_RULES);
        schedule.update = updates[rules / FORWARD_RULES / BACKWARD_RULES];
        for (schedule.microbatches = 1; schedule.microbatches <= MICROBATCHES_MAX; schedule.microbatches++)
            for (schedule.minibatches = 1; schedule.minibatches <= MINIBATCHES_MAX; schedule.minibatches++)
                if (schedule_check(&schedule, &error) == 0) {
                    explore_all(&schedule, 0);
                    explored++;
                }
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
                                .update = system->rule,
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

/* Systems whose order is a list: each stage's ops one after the other, of two parts, in a loop or in a V. */
START_TEST(test_lists)
{
    const struct system *system = &systems[asking_system_count + _i];
    struct schedule schedule = {.order = orders[system->order],
                                .forward = system->forward,
                                .backward = system->backward,
                                .update = system->rule,
                                .parts = 2,
                                .minibatches = 2};
    struct error error;
    int explored = 0;

    for (schedule.placement = 0; (int)schedule.placement < PLACEMENTS; schedule.placement++)
        for (schedule.stages = 1; schedule.stages <= STAGES_MAX; schedule.stages++)
            for (schedule.microbatches = 1; schedule.microbatches <= TOTAL_MAX / 2; schedule.microbatches++)
                if (schedule_check(&schedule, &error) == 0) {
                    explore_all(&schedule, 0);
                    explored++;
                }
    ck_assert_int_gt(explored, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interleavings");
    TCase *tcase = tcase_create("small pipelines");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, test_rules, 0, ORDERS * STAGES_MAX);
    tcase_add_loop_test(tcase, test_one_gradient_slot, 0, asking_system_count);
    tcase_add_loop_test(tcase, test_lists, 0, system_count - asking_system_count);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
