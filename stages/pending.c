/* Ops that are queued on the stage's device. A stage runs ahead of a GPU by a few ops, so that the GPU need not wait for
 * it; what an op took is known when the GPU has done it. On the host an op is done when it has been run. */
#include <string.h>

#include "base/numbers.h"
#include "stages/internal.h"

/* Between two looks at the device. */
enum { MOMENT_US = 50 };

int pending_moment(void *context, struct error *error)
{
    struct stage *stage = context;

    executor_sleep(stage, MOMENT_US);
    return executor_check_abort(stage, error);
}

int pending_await(const struct stage *stage, uint64_t mark, struct error *error)
{
    return device_await(stage->device, mark, &stage->links.waiter, error);
}

int pending_await_queue(const struct stage *stage, struct error *error)
{
    return device_await_all(stage->device, &stage->links.waiter, error);
}

int pending_mark(const struct stage *stage, struct point *point, struct error *error)
{
    point->core_ns = cores_waited_ns(stage->watch);
    return stage->device->type->mark(stage->device, &point->mark, error);
}

void pending_add(struct stage *stage, const struct pending_op *op)
{
    stage->pending[stage->pending_count++] = *op;
}

/* A GPU that came to an op later than to the end of the one before has waited: for what the stage had waited for before it
 * could queue the op, or in the queue for the work of a neighbour. */
static void account_wait(const struct stage *stage, const struct pending_op *op, uint64_t begin_ns)
{
    const enum wait_cause input = op->op.kind == OP_FORWARD ? WAIT_ACTIVATION : WAIT_GRADIENT;
    const enum wait_cause cause = op->cause != WAIT_NONE ? op->cause : input;
    const bool alone = op->op.kind == OP_FORWARD ? part_is_first(op->part) : part_is_last(op->part);

    if (op->cause == WAIT_NONE && alone)
        return;
    if (!on_host(op->part) && stage->last_end_ns > 0 && begin_ns > stage->last_end_ns)
        telemetry_waited(op->part, cause, begin_ns - stage->last_end_ns, 0);
}

static void finish(struct stage *stage, struct pending_op *op)
{
    const struct device_type *type = stage->device->type;
    const uint64_t begin_ns = type->time_ns(stage->device, op->begin.mark);
    const uint64_t end_ns = type->time_ns(stage->device, op->end.mark);
    uint64_t update_core_ns = 0;

    account_wait(stage, op, begin_ns);
    stage->last_end_ns = end_ns;
    op->record.core_ns = min_u64(op->end.core_ns - op->begin.core_ns, end_ns - begin_ns);
    if (op->only_update) {
        telemetry_update(op->part, end_ns - begin_ns, op->record.core_ns);
        return;
    }
    op->record.start_ns = begin_ns - op->record.held_ns;
    op->record.end_ns = end_ns;
    if (op->update.mark) {
        op->record.update_ns = end_ns - type->time_ns(stage->device, op->update.mark);
        update_core_ns = min_u64(op->end.core_ns - op->update.core_ns, op->record.update_ns);
    }
    telemetry_op(op->part, &op->record, min_u64(update_core_ns, op->record.core_ns));
}

static int name_op(const struct pending_op *op, struct error *error)
{
    const struct op_record *record = &op->record;

    if (op->op.count == op->part->phase.schedule.microbatches)
        return error_prefix(error, "%s of mini-batch %d of epoch %d", op_kind_name(op->op.kind), record->minibatch,
                            record->epoch);
    return error_prefix(error, "%s of micro-batch %d of mini-batch %d of epoch %d", op_kind_name(op->op.kind),
                        op->op.first, record->minibatch, record->epoch);
}

int pending_look(struct stage *stage, struct error *error)
{
    int done = 0, reached = 1;

    while (done < stage->pending_count &&
           (reached = stage->device->type->reached(stage->device, stage->pending[done].end.mark, error)) > 0)
        finish(stage, &stage->pending[done++]);
    stage->pending_count -= done;
    memmove(stage->pending, stage->pending + done, (size_t)stage->pending_count * sizeof(stage->pending[0]));
    return reached < 0 ? name_op(&stage->pending[0], error) : 0;
}

/* A GPU's error shows at whatever is asked of it next: what caused it is in the oldest op that is not done. */
int pending_name_failure(struct stage *stage, const struct pending_op *op, struct error *error)
{
    struct error earlier;

    if (pending_look(stage, &earlier) == 0)
        return name_op(op, error);
    *error = earlier;
    return -1;
}

int pending_make_room(struct stage *stage, struct error *error)
{
    while (stage->pending_count == PENDING_OPS) {
        if (pending_await(stage, stage->pending[0].end.mark, error) || pending_look(stage, error))
            return -1;
    }
    return 0;
}

int pending_await_all(struct stage *stage, struct error *error)
{
    return pending_await_queue(stage, error) || pending_look(stage, error) ? -1 : 0;
}
