/* The controls of an interactive run, obeyed: pause, step and slow motion change when an op runs, never which op or what
 * it reads. */
#include "base/clock.h"
#include "stages/internal.h"

enum { STRETCH_BOUND_US = 10000 };

/* Somebody wants the run to end: nothing is held or stretched any more. */
static bool ending(const struct part *part)
{
    struct error unused;

    return atomic_load(&part->board->stop) || segment_check_run(part->segment, &unused);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

bool hold_wanted(const struct part *part)
{
    const struct controls *controls = segment_controls(part->segment);

    return part->header->interactive && !ending(part) &&
           load(&part->block->counters.ops) >= load(&controls->ops_allowed[part->index - 1]);
}

/* Mean of the part's training ops of this kind; a test's forward is like training's. */
static uint64_t usual_ns(const struct part *part, enum op_kind kind)
{
    const struct counters *counters = &part->block->counters;
    uint64_t count = load(&counters->op_count[kind]);

    return count > 0 ? load(&counters->op_ns[kind]) / count : 0;
}

static uint64_t slow_motion(const struct controls *controls)
{
    uint32_t factor = atomic_load_explicit(&controls->slow_motion, memory_order_relaxed);

    return factor < 1 ? 1 : factor > SLOW_MOTION_MAX ? SLOW_MOTION_MAX : factor;
}

uint64_t hold_stretch(struct part *part, const struct op *op)
{
    const struct controls *controls = segment_controls(part->segment);
    uint64_t start = clock_now_ns(), usual = usual_ns(part, op->kind), held = 0;
    uint64_t wanted;

    if (!part->header->interactive)
        return 0;
    while (held < (wanted = usual * (slow_motion(controls) - 1)) && !ending(part)) {
        executor_sleep(part->stage,
                       wanted - held > STRETCH_BOUND_US * 1000u ? STRETCH_BOUND_US : (int)((wanted - held) / 1000u));
        held = clock_now_ns() - start;
    }
    if (held > 0)
        telemetry_held(part, held);
    return held;
}
