/* Ops that are queued on the stage's device. A stage runs ahead of a GPU by a few ops, so that the GPU need not wait for
 * it; what an op took is known when the GPU has done it. On the host an op is done when it has been run. */
#include <string.h>

#include "stages/internal.h"

/* Between two looks at the device. */
enum { MOMENT_US = 50 };

int pending_moment(void *context, struct error *error)
{
    struct part *part = context;

    executor_sleep(part, MOMENT_US);
    return executor_check_abort(part, error);
}

int pending_await(struct part *part, uint64_t mark, struct error *error)
{
    return device_await(part->device, mark, &part->links.waiter, error);
}

int pending_await_queue(struct part *part, struct error *error)
{
    return device_await_all(part->device, &part->links.waiter, error);
}

void pending_add(struct part *part, const struct pending_op *op)
{
    part->pending[part->pending_count++] = *op;
}

/* A GPU that came to an op later than to the end of the one before has waited: for what the part had waited for before it
 * could queue the op, or in the queue for the work of a neighbour. */
static void account_wait(struct part *part, const struct pending_op *op, uint64_t begin_ns)
{
    const enum wait_cause input = op->op.kind == OP_FORWARD ? WAIT_ACTIVATION : WAIT_GRADIENT;
    const enum wait_cause cause = op->cause != WAIT_NONE ? op->cause : input;
    const bool alone = op->op.kind == OP_FORWARD ? part_is_first(part) : part_is_last(part);

    if (op->cause == WAIT_NONE && alone)
        return;
    if (!on_host(part) && part->last_end_ns > 0 && begin_ns > part->last_end_ns)
        telemetry_waited(part, cause, begin_ns - part->last_end_ns);
}

static void finish(struct part *part, struct pending_op *op)
{
    const struct device_type *type = part->device->type;
    const uint64_t begin_ns = type->time_ns(part->device, op->begin), end_ns = type->time_ns(part->device, op->end);

    account_wait(part, op, begin_ns);
    part->last_end_ns = end_ns;
    if (op->only_update) {
        telemetry_update(part, end_ns - begin_ns);
        return;
    }
    op->record.start_ns = begin_ns - op->record.held_ns;
    op->record.end_ns = end_ns;
    if (op->update)
        op->record.update_ns = end_ns - type->time_ns(part->device, op->update);
    telemetry_op(part, &op->record);
}

static int name_op(const struct part *part, const struct pending_op *op, struct error *error)
{
    const struct op_record *record = &op->record;

    if (op->op.count == part->phase.schedule.microbatches)
        return error_prefix(error, "%s of mini-batch %d of epoch %d", op_kind_name(op->op.kind), record->minibatch,
                            record->epoch);
    return error_prefix(error, "%s of micro-batch %d of mini-batch %d of epoch %d", op_kind_name(op->op.kind),
                        op->op.first, record->minibatch, record->epoch);
}

int pending_look(struct part *part, struct error *error)
{
    int done = 0, reached = 1;

    while (done < part->pending_count &&
           (reached = part->device->type->reached(part->device, part->pending[done].end, error)) > 0)
        finish(part, &part->pending[done++]);
    part->pending_count -= done;
    memmove(part->pending, part->pending + done, (size_t)part->pending_count * sizeof(part->pending[0]));
    return reached < 0 ? name_op(part, &part->pending[0], error) : 0;
}

/* A GPU's error shows at whatever is asked of it next: what caused it is in the oldest op that is not done. */
int pending_name_failure(struct part *part, const struct pending_op *op, struct error *error)
{
    struct error earlier;

    if (pending_look(part, &earlier) == 0)
        return name_op(part, op, error);
    *error = earlier;
    return -1;
}

int pending_make_room(struct part *part, struct error *error)
{
    while (part->pending_count == PENDING_OPS) {
        if (pending_await(part, part->pending[0].end, error) || pending_look(part, error))
            return -1;
    }
    return 0;
}

int pending_await_all(struct part *part, struct error *error)
{
    return pending_await_queue(part, error) || pending_look(part, error) ? -1 : 0;
}
