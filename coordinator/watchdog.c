#include "coordinator/watchdog.h"

#include "base/clock.h"
#include "telemetry/explain.h"

/* Between two looks; whatever is longer was a pause of the coordinator's own. */
enum { LOOK_MAX_MS = 1000 };

void watchdog_begin(struct watchdog *watchdog, int seconds, uint64_t now_ns)
{
    *watchdog = (struct watchdog){.limit_ns = (uint64_t)seconds * 1000000000u, .looked_ns = now_ns};
}

static bool works(int state, enum activity_kind kind)
{
    return state == STAGE_STARTING || kind == ACTIVITY_RUN || kind == ACTIVITY_UPDATE || kind == ACTIVITY_SAVE;
}

/* A number that changes when a stage makes progress. */
static uint64_t mark_of(const struct segment *segment, int part, enum activity_kind kind)
{
    const struct stage_block *block = segment_stage(segment, part);
    const int state = atomic_load_explicit(&block->state, memory_order_relaxed);
    const uint64_t mark = (uint64_t)state + atomic_load_explicit(&block->counters.ops, memory_order_relaxed) +
                          atomic_load_explicit(&block->activity_since_ns, memory_order_relaxed);

    if (!works(state, kind))
        return mark;
    if (segment_is_here(segment, plan_stage_of(&segment->header->plan, part)))
        return mark + clock_process_ns(atomic_load(&block->pid));
    return mark + atomic_load_explicit(&block->processor_ns, memory_order_relaxed);
}

static bool slowed_down(const struct segment *segment)
{
    return segment->header->interactive &&
           atomic_load_explicit(&segment_controls(segment)->slow_motion, memory_order_relaxed) > 1;
}

/* Also true if the controls keep a stage from it. */
static bool has_moved(struct watchdog *watchdog, const struct segment *segment)
{
    bool held = slowed_down(segment);
    uint64_t mark = 0;

    for (int s = 1; s <= segment->header->block_count; s++) {
        const struct stage_block *block = segment_stage(segment, s);
        const struct activity activity = activity_unpack(atomic_load_explicit(&block->activity, memory_order_relaxed));

        held = held || activity.kind == ACTIVITY_HELD;
        mark += mark_of(segment, s, activity.kind);
    }
    held = held || mark != watchdog->mark;
    watchdog->mark = mark;
    return held;
}

bool watchdog_barks(struct watchdog *watchdog, const struct segment *segment, uint64_t now_ns)
{
    const uint64_t passed = now_ns - watchdog->looked_ns;

    if (watchdog->limit_ns == 0)
        return false;
    watchdog->looked_ns = now_ns;
    if (has_moved(watchdog, segment)) {
        watchdog->still_ns = 0;
        watchdog->barked = false;
        return false;
    }
    if (passed <= LOOK_MAX_MS * 1000000ull)
        watchdog->still_ns += passed;
    if (watchdog->barked || watchdog->still_ns < watchdog->limit_ns)
        return false;
    watchdog->barked = true;
    return true;
}

void watchdog_explain(FILE *out, const struct segment *segment)
{
    struct snapshot snapshot;
    char text[EXPLANATION_MAX];

    snapshot_take(&snapshot, segment);
    for (int s = 1; s <= snapshot.stage_count; s++) {
        explain_wait(&snapshot, s, text, sizeof(text));
        fprintf(out, "  %s\n", text);
    }
    for (int l = 1; l < snapshot.stage_count; l++) {
        explain_link(&snapshot, l, text, sizeof(text));
        fprintf(out, "  %s\n", text);
    }
}
