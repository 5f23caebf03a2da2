#include "telemetry/trace.h"

#include <math.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "plan/describe.h"
#include "plan/replay.h"
#include "schedule/follower.h"
#include "telemetry/recording.h"
#include "telemetry/timeline.h"

/* Perfetto's processes: a group of tracks each. */
enum { MEASURED = 1, PLANNED = 2 };

/* Mini-batches of the plan's tracks; and how often counters are written, and a recording is looked at. */
enum { PLANNED_MINIBATCHES = 100 };
#define COUNTERS_NS UINT64_C(50000000)
#define ARROW_NS    UINT64_C(1000)

static void name_tracks(const struct trace *trace, int process, const char *name, bool first)
{
    const struct plan *plan = trace->plan;

    fprintf(trace->file, "%s{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"%s\"}}",
            first ? "[\n" : ",\n", process, name);
    for (int s = 1; s <= plan->stage_count; s++)
        fprintf(trace->file,
                ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"stage %d\"}}",
                process, s, s);
}

void trace_begin(struct trace *trace, FILE *file, const struct plan *plan, uint64_t start_ns)
{
    char name[2 * CONFIG_PATH_MAX + 8];

    *trace = (struct trace){.file = file, .plan = plan, .schedule = plan_training(plan), .start_ns = start_ns};
    snprintf(name, sizeof(name), "%s on %s", plan->config.model.arch, plan->config.pipeline.system);
    name_tracks(trace, MEASURED, name, true);
}

static double microseconds(uint64_t nanoseconds)
{
    return 1e-3 * (double)nanoseconds;
}

/* A complete event, but for its arguments. */
static void begin_event_in(const struct trace *trace, int process, int stage, const char *name, const char *category,
                           uint64_t start_ns, uint64_t duration_ns)
{
    fprintf(trace->file,
            ",\n{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f", name,
            category, process, stage, microseconds(start_ns - min_u64(start_ns, trace->start_ns)),
            microseconds(duration_ns));
}

static void begin_event(const struct trace *trace, int stage, const char *name, const char *category, uint64_t start_ns,
                        uint64_t duration_ns)
{
    begin_event_in(trace, MEASURED, stage, name, category, start_ns, duration_ns);
}

/* One end of an arrow, just behind the begin of the op's slice: a message is sent before its op's update, and may be taken
 * before that ends. */
static void print_arrow(const struct trace *trace, int stage, bool sends, const char *what, const char *id, uint64_t ns)
{
    fprintf(trace->file,
            ",\n{\"ph\":\"%s\",\"name\":\"%s\",\"cat\":\"message\",\"id\":\"%s\",\"pid\":1,\"tid\":%d,\"ts\":%.3f%s}",
            sends ? "s" : "f", what, id, stage, microseconds(ns - min_u64(ns, trace->start_ns)),
            sends ? "" : ",\"bp\":\"e\"");
}

/* What the op of a part receives from one neighbour and sends to the other. A message has its link, its direction and its
 * first micro-batch in its name. */
static void print_arrows(const struct trace *trace, int epoch, enum phase phase, const struct op *op, uint64_t start_ns,
                         uint64_t end_ns)
{
    const int parts = schedule_part_count(&trace->schedule), stage = schedule_stage_of(&trace->schedule, op->part);
    const bool forward = op->kind == OP_FORWARD;
    const int from = forward ? op->part - 1 : op->part, to = forward ? op->part : op->part - 1; /* links */
    const uint64_t within = start_ns + min_u64(ARROW_NS, (end_ns - start_ns) / 4);
    char id[80];

    if (op->kind == OP_BACKWARD_WEIGHTS)
        return;
    for (int sends = 0; sends <= 1; sends++) {
        const int link = sends ? to : from;

        if (link < 1 || link >= parts)
            continue;
        snprintf(id, sizeof(id), "%d.%d.%c%d.%d.%d", epoch, phase, forward ? 'a' : 'g', link, op->minibatch, op->first);
        print_arrow(trace, stage, sends, forward ? "activation" : "gradient", id, within);
    }
}

static void print_wait(const struct trace *trace, int stage, enum wait_cause cause, uint64_t start_ns, uint64_t end_ns)
{
    char name[32];

    if (end_ns <= start_ns || cause <= WAIT_NONE || cause >= WAIT_CAUSES)
        return;
    snprintf(name, sizeof(name), "waits: %s", wait_cause_name(cause));
    begin_event(trace, stage, name, "wait", start_ns, end_ns - start_ns);
    fputc('}', trace->file);
}

static void begin_counter(const struct trace *trace, const char *name, int part, uint64_t ns)
{
    char which[PART_TEXT_SIZE];

    part_format(&trace->schedule, part, which);
    fprintf(trace->file, ",\n{\"ph\":\"C\",\"name\":\"%s of stage %s\",\"pid\":1,\"ts\":%.3f,\"args\":{", name, which,
            microseconds(ns - min_u64(ns, trace->start_ns)));
}

static void print_memory(const struct trace *trace, int part, uint64_t ns, const size_t memory[MEMORY_CATEGORIES])
{
    begin_counter(trace, "memory (MiB)", part, ns);
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        fprintf(trace->file, "%s\"%s\":%.3f", c > 0 ? "," : "", memory_category_name((enum memory_category)c),
                (double)memory[c] / (1 << 20));
    fputs("}}", trace->file);
}

static void print_held(const struct trace *trace, int part, uint64_t ns, int versions)
{
    begin_counter(trace, "weight versions", part, ns);
    fprintf(trace->file, "\"held\":%d}}", versions);
}

static void print_staleness(const struct trace *trace, int part, uint64_t ns, const struct backward_versions *versions)
{
    begin_counter(trace, "staleness", part, ns);
    fprintf(trace->file, "\"updates\":%.6g}}", plan_staleness_of(trace->plan, versions));
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
    const uint64_t core_ns = record->start_ns - min_u64(record->wait_core_ns, record->start_ns);
    const int stage = schedule_stage_of(&trace->schedule, part);
    struct op op = timeline_op(record);
    char name[OP_TEXT_SIZE];

    op.part = part;
    op_format(&op, &trace->schedule, name);
    if (record->phase == PHASE_TRAIN) {
        trace->first_ns = trace->first_ns > 0 ? min_u64(trace->first_ns, record->start_ns) : record->start_ns;
        trace->op_ns += (double)(record->end_ns - record->start_ns);
        trace->ops++;
    }
    print_wait(trace, stage, (enum wait_cause)record->wait_cause,
               record->start_ns - min_u64(record->wait_ns, record->start_ns), core_ns);
    print_wait(trace, stage, WAIT_CORE, core_ns, record->start_ns);
    begin_event(trace, stage, name, record->phase == PHASE_TRAIN ? op_kind_name(op.kind) : "evaluate", record->start_ns,
                record->end_ns - record->start_ns);
    fprintf(trace->file,
            ",\"args\":{\"epoch\":%d,\"minibatch\":%d,\"rows\":%u,\"version_read\":%d,\"version_live\":%d,"
            "\"version_sent\":%d,\"waited_ms\":%.3f,\"waited_for\":\"%s\",\"core_ms\":%.3f,\"bytes_sent\":%llu",
            record->epoch, record->minibatch, record->rows, record->version_read, record->version_live,
            record->version_sent, 1e-6 * (double)record->wait_ns, wait_cause_name((enum wait_cause)record->wait_cause),
            1e-6 * (double)record->core_ns, (unsigned long long)record->bytes_sent);
    if (record->phase == PHASE_TRAIN)
        print_read(trace, part, record);
    if (record->updated && part == schedule_part_count(&trace->schedule) && isfinite(record->loss))
        fprintf(trace->file, ",\"loss\":%g", (double)record->loss);
    fputs("}}", trace->file);
    print_arrows(trace, record->epoch, (enum phase)record->phase, &op, record->start_ns, record->end_ns);
    if (record->phase == PHASE_TRAIN && op.kind != OP_FORWARD && op.kind != OP_BACKWARD_WEIGHTS) {
        const struct backward_versions versions = {record->version_forward, record->version_live, record->version_read};

        print_staleness(trace, part, record->start_ns, &versions);
    }
    if (!record->updated)
        return;
    begin_event(trace, stage, "update", "update", record->end_ns - record->update_ns, record->update_ns);
    fprintf(trace->file, ",\"args\":{\"version\":%d}}", record->version_live + 1);
}

void trace_counters(struct trace *trace, const struct snapshot *snapshot)
{
    if (trace->counted_ns > 0 && snapshot->now_ns < trace->counted_ns + COUNTERS_NS)
        return;
    trace->counted_ns = snapshot->now_ns;
    for (int part = 1; part <= snapshot->stage_count; part++) {
        const struct stage_counters *counters = &snapshot->stages[part - 1].counters;
        size_t memory[MEMORY_CATEGORIES];

        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            memory[c] = (size_t)counters->memory[c];
        print_memory(trace, part, snapshot->now_ns, memory);
        print_held(trace, part, snapshot->now_ns, counters->versions);
    }
}

void trace_planned(const struct trace *trace)
{
    struct schedule schedule = trace->schedule;
    struct simulation *simulation;
    double pace, busy = 0, ops = 0;
    struct error error;

    schedule.minibatches = min_int(schedule.minibatches, PLANNED_MINIBATCHES);
    if (trace->ops < 1 || plan_simulate(trace->plan, &schedule, true, &simulation, &error))
        return;
    for (int s = 1; s <= simulation->stage_count; s++) {
        busy += (double)simulation->stages[s - 1].busy;
        ops += simulation_op_count(simulation, s);
    }
    pace = trace->op_ns / trace->ops / (busy / ops);
    name_tracks(trace, PLANNED, "as planned, at the run's pace", false);
    for (int s = 1; s <= simulation->stage_count; s++)
        for (int k = 0; k < simulation_op_count(simulation, s); k++) {
            const struct timed_op timed = simulation_op(simulation, s, k);
            char name[OP_TEXT_SIZE];

            op_format(&timed.op, &trace->schedule, name);
            begin_event_in(trace, PLANNED, s, name, "planned", trace->first_ns + (uint64_t)(pace * (double)timed.start),
                           (uint64_t)(pace * (double)(timed.end - timed.start)));
            fputc('}', trace->file);
        }
    simulation_destroy(simulation);
}

int trace_recording(FILE *file, const struct recording *recording)
{
    const struct recording_facts facts = recording_facts(recording);
    struct snapshot *snapshot = malloc(sizeof(*snapshot));
    struct trace *trace = malloc(sizeof(*trace));
    struct history history;
    struct curve curve;
    int result = -1;

    if (snapshot && trace) {
        recording_seek(recording, facts.begin_ns, snapshot, &history, &curve);
        trace_begin(trace, file, facts.plan, snapshot->start_ns);
        for (int part = 1; part <= facts.plan->part_count; part++) {
            const struct stage_history ops = recording_ops(recording, part);

            for (int k = 0; k < ops.count; k++)
                trace_op(trace, part, &ops.ops[k]);
        }
        for (uint64_t ns = facts.begin_ns; ns <= facts.end_ns; ns += COUNTERS_NS) {
            recording_seek(recording, ns, snapshot, &history, &curve);
            trace_counters(trace, snapshot);
        }
        trace_planned(trace);
        result = trace_end(trace);
    }
    free(trace);
    free(snapshot);
    return result;
}

int trace_end(struct trace *trace)
{
    fputs("\n]\n", trace->file);
    return fflush(trace->file) || ferror(trace->file) ? -1 : 0;
}

/* An op of a prediction and what its stage waited for before it, since `free_ns`. */
static void trace_predicted_op(const struct trace *trace, struct follower *follower, const struct timed_op *timed,
                               uint64_t free_ns, uint64_t update_ns)
{
    const uint64_t start = (uint64_t)timed->start, end = (uint64_t)timed->end;
    const int part = timed->op.part, stage = schedule_stage_of(&trace->schedule, part);
    const struct op_versions versions = follower_begin(follower, &timed->op);
    struct version_use uses[VERSION_USES_MAX];
    char name[OP_TEXT_SIZE];

    op_format(&timed->op, &trace->schedule, name);
    print_wait(trace, stage, timeline_waited_for(trace->plan, part, &timed->op), free_ns, start);
    begin_event(trace, stage, name, op_kind_name(timed->op.kind), start, end - start);
    fprintf(trace->file, ",\"args\":{\"minibatch\":%d,\"version_live\":%d", timed->op.minibatch, versions.live);
    if (versions.read_first >= 0)
        fprintf(trace->file, ",\"version_read\":%d", versions.read_first);
    fputs("}}", trace->file);
    print_arrows(trace, 1, PHASE_TRAIN, &timed->op, start, end);
    if (timed->op.kind == OP_BACKWARD || timed->op.kind == OP_BACKWARD_INPUT)
        print_staleness(trace, part, start,
                        &(struct backward_versions){versions.forward, versions.live, versions.read_first});
    follower_end(follower, &timed->op);
    print_held(trace, part, end, follower_uses(follower, part, uses));
    if (versions.made == VERSION_UNKNOWN)
        return;
    begin_event(trace, stage, "update", "update", end - update_ns, update_ns);
    fprintf(trace->file, ",\"args\":{\"version\":%d}}", versions.made);
}

int trace_prediction(FILE *file, const struct plan *plan, const struct prediction *prediction)
{
    const struct simulation *events = prediction->events;
    struct trace trace;

    trace_begin(&trace, file, plan, 0);
    trace.schedule.minibatches = prediction->minibatches;
    struct follower *follower = follower_create(&trace.schedule, events);
    for (int part = 1; part <= plan->part_count && follower; part++)
        print_memory(&trace, part, 0, plan_part(plan, part)->memory);
    for (int s = 1; s <= plan->stage_count && follower; s++) {
        uint64_t free_ns = 0;

        for (int k = 0; k < simulation_op_count(events, s); k++) {
            const struct timed_op timed = simulation_op(events, s, k);

            trace_predicted_op(&trace, follower, &timed, free_ns,
                               (uint64_t)prediction->times[timed.op.part - 1].update);
            free_ns = (uint64_t)timed.end;
        }
    }
    const int result = follower ? 0 : -1;
    follower_destroy(follower);
    return trace_end(&trace) || result ? -1 : 0;
}
