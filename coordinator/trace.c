#include "coordinator/trace.h"

#include <math.h>

#include "plan/describe.h"
#include "telemetry/timeline.h"

void trace_begin(struct trace *trace, FILE *file, const struct plan *plan, uint64_t start_ns)
{
    *trace = (struct trace){.file = file, .plan = plan, .schedule = plan_training(plan), .start_ns = start_ns};
    fprintf(file, "[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"args\":{\"name\":\"%s on %s\"}}",
            plan->config.model.arch, plan->config.pipeline.system);
    for (int s = 1; s <= plan->stage_count; s++)
        fprintf(file,
                ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%d,\"args\":{\"name\":\"stage %d\"}}", s,
                s);
}

static double microseconds(uint64_t nanoseconds)
{
    return 1e-3 * (double)nanoseconds;
}

/* A complete event, but for its arguments. */
static void begin_event(const struct trace *trace, int stage, const char *name, const char *category, uint64_t start_ns,
                        uint64_t duration_ns)
{
    fprintf(trace->file,
            ",\n{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f", name,
            category, stage, microseconds(start_ns - trace->start_ns), microseconds(duration_ns));
}

/* What training's op read, and how stale that is or will be. */
static void print_read(struct trace *trace, int part, const struct op_record *record)
{
    const struct backward_versions versions = {record->version_forward, record->version_live, record->version_read};
    const struct summed_read read = timeline_summed_read(trace->plan, part, record);
    char text[READ_TEXT_MAX];

    if (record->kind == OP_FORWARD)
        fprintf(trace->file, ",\"updates_ahead\":%d", read.staleness);
    else
        fprintf(trace->file, ",\"version_forward\":%d,\"staleness\":%.6g", record->version_forward,
                plan_staleness_of(trace->plan, &versions));
    if (!timeline_reads_sum(trace->plan, record))
        return;
    describe_read(trace->plan, &read, &trace->courses[part - 1], text);
    fprintf(trace->file, ",\"reads\":\"%s\",\"rule\":\"%s: %s\",\"tau\":%d", text, read.reading->name,
            read.reading->formula, plan_tau(trace->plan, read.reading, part, read.staleness));
}

void trace_op(struct trace *trace, int part, const struct op_record *record)
{
    const int stage = schedule_stage_of(&trace->schedule, part);
    struct op op = timeline_op(record);
    char name[OP_TEXT_SIZE];

    op.part = part;
    op_format(&op, &trace->schedule, name);
    begin_event(trace, stage, name, record->phase == PHASE_TRAIN ? op_kind_name(op.kind) : "evaluate", record->start_ns,
                record->end_ns - record->start_ns);
    fprintf(trace->file,
            ",\"args\":{\"epoch\":%d,\"minibatch\":%d,\"rows\":%u,\"version_read\":%d,\"version_live\":%d,"
            "\"version_sent\":%d,\"waited_ms\":%.3f,\"waited_for\":\"%s\",\"bytes_sent\":%llu",
            record->epoch, record->minibatch, record->rows, record->version_read, record->version_live,
            record->version_sent, 1e-6 * (double)record->wait_ns, wait_cause_name((enum wait_cause)record->wait_cause),
            (unsigned long long)record->bytes_sent);
    if (record->phase == PHASE_TRAIN)
        print_read(trace, part, record);
    if (record->updated && part == schedule_part_count(&trace->schedule) && isfinite(record->loss))
        fprintf(trace->file, ",\"loss\":%g", (double)record->loss);
    fputs("}}", trace->file);
    if (!record->updated)
        return;
    begin_event(trace, stage, "update", "update", record->end_ns - record->update_ns, record->update_ns);
    fprintf(trace->file, ",\"args\":{\"version\":%d}}", record->version_live + 1);
}

int trace_end(struct trace *trace)
{
    fputs("\n]\n", trace->file);
    return fflush(trace->file) || ferror(trace->file) ? -1 : 0;
}

static void trace_predicted_op(const struct trace *trace, int stage, const struct timed_op *timed, int64_t update)
{
    const uint64_t start = (uint64_t)timed->start, end = (uint64_t)timed->end;
    char name[OP_TEXT_SIZE];

    op_format(&timed->op, &trace->schedule, name);
    begin_event(trace, stage, name, op_kind_name(timed->op.kind), start, end - start);
    fputc('}', trace->file);
    if (!schedule_updates_after(&trace->schedule, &timed->op))
        return;
    begin_event(trace, stage, "update", "update", end - (uint64_t)update, (uint64_t)update);
    fputc('}', trace->file);
}

int trace_prediction(FILE *file, const struct plan *plan, const struct prediction *prediction)
{
    struct trace trace;

    trace_begin(&trace, file, plan, 0);
    for (int s = 1; s <= plan->stage_count; s++) {
        const int count = simulation_op_count(prediction->events, s);

        for (int k = 0; k < count; k++) {
            const struct timed_op timed = simulation_op(prediction->events, s, k);
            trace_predicted_op(&trace, s, &timed, prediction->times[timed.op.part - 1].update);
        }
    }
    return trace_end(&trace);
}
