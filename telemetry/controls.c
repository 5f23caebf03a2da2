#include "telemetry/controls.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/numbers.h"

/* From a message's arrival until the stage that waited for it says that it could run. */
#define SETTLED_NS UINT64_C(30000000)

/* A lock of an open file and not of a process: nobody else's close of the segment takes it away, and none outlives its
 * last holder. Monitors share it; the coordinator, which takes it for itself alone, excludes them. */
static int lock(const struct segment *segment, short kind)
{
    struct flock lock = {
        .l_type = kind,
        .l_whence = SEEK_SET,
        .l_start = (off_t)segment->controls_offset,
        .l_len = CONTROLS_BYTES,
    };

    return fcntl(segment->fd, F_OFD_SETLK, &lock);
}

int controls_hold(const struct segment *segment)
{
    return lock(segment, F_RDLCK);
}

static bool are_free(const struct controls *controls)
{
    return !controls_are_paused(controls) && atomic_load_explicit(&controls->slow_motion, memory_order_relaxed) == 1;
}

bool controls_free(const struct segment *segment)
{
    struct controls *controls = segment_controls(segment);
    bool found;

    if (controls_are_awaited(controls) || are_free(controls) || lock(segment, F_WRLCK))
        return false;
    /* A monitor may have resumed the run and ended in between. */
    found = !are_free(controls);
    controls_resume(controls);
    atomic_store_explicit(&controls->slow_motion, 1, memory_order_relaxed);
    lock(segment, F_UNLCK);
    return found;
}

static void allow_all(struct controls *controls, uint64_t ops)
{
    for (int s = 0; s < MAX_STAGES; s++)
        atomic_store_explicit(&controls->ops_allowed[s], ops, memory_order_relaxed);
}

void controls_await(struct controls *controls)
{
    allow_all(controls, 0);
    atomic_store_explicit(&controls->awaited, 1, memory_order_relaxed);
}

void controls_begin_slow(struct controls *controls)
{
    atomic_store_explicit(&controls->slow_motion, CONTROLS_BEGIN_SLOW, memory_order_relaxed);
    atomic_store_explicit(&controls->awaited, 1, memory_order_relaxed);
}

bool controls_are_awaited(const struct controls *controls)
{
    return atomic_load_explicit(&controls->awaited, memory_order_relaxed) != 0;
}

/* From here on somebody answers for what is held. */
static void take_over(struct controls *controls)
{
    atomic_store_explicit(&controls->awaited, 0, memory_order_relaxed);
}

void controls_pause(struct controls *controls)
{
    take_over(controls);
    allow_all(controls, 0);
}

void controls_resume(struct controls *controls)
{
    take_over(controls);
    allow_all(controls, UINT64_MAX);
}

bool controls_are_paused(const struct controls *controls)
{
    /* Whoever is killed while it pauses or resumes has told only some stages. */
    for (int s = 0; s < MAX_STAGES; s++)
        if (atomic_load_explicit(&controls->ops_allowed[s], memory_order_relaxed) != UINT64_MAX)
            return true;
    return false;
}

bool controls_step(struct controls *controls, const struct snapshot *snapshot, int stage)
{
    const struct stage_snapshot *held = &snapshot->stages[stage - 1];

    if (held->activity.kind != ACTIVITY_HELD || held->allowed)
        return false;
    take_over(controls);
    atomic_store_explicit(&controls->ops_allowed[stage - 1], held->counters.ops + 1, memory_order_relaxed);
    return true;
}

static bool is_settled(const struct stage_snapshot *stage, uint64_t now_ns)
{
    const enum activity_kind kind = stage->activity.kind;

    return (kind == ACTIVITY_HELD && !stage->allowed) ||
           ((kind == ACTIVITY_WAIT || kind == ACTIVITY_NONE) && stage->activity_since_ns + SETTLED_NS <= now_ns);
}

int controls_tick(struct controls *controls, const struct snapshot *snapshot)
{
    int count = 0;

    for (int s = 1; s <= snapshot->stage_count; s++)
        if (!is_settled(&snapshot->stages[s - 1], snapshot->now_ns))
            return -1;
    for (int s = 1; s <= snapshot->stage_count; s++)
        count += controls_step(controls, snapshot, s);
    return count;
}

static int set_slow_motion(struct controls *controls, int factor)
{
    factor = max_int(1, min_int(factor, SLOW_MOTION_MAX));
    take_over(controls);
    atomic_store_explicit(&controls->slow_motion, (uint32_t)factor, memory_order_relaxed);
    return factor;
}

static int slow_motion(const struct controls *controls)
{
    uint32_t factor = atomic_load_explicit(&controls->slow_motion, memory_order_relaxed);

    return factor > SLOW_MOTION_MAX ? SLOW_MOTION_MAX : (int)factor;
}

int controls_slow_down(struct controls *controls)
{
    return set_slow_motion(controls, 2 * slow_motion(controls));
}

int controls_speed_up(struct controls *controls)
{
    return set_slow_motion(controls, slow_motion(controls) / 2);
}
