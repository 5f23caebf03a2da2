#include "telemetry/recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "telemetry/recording_format.h"

/* Between two looks at what the stages hold; ops say exactly what they did in between. */
#define LOOK_NS UINT64_C(200000000)

enum {
    OPS_TOGETHER = 256,
    STATE_MAX = sizeof(struct recorded_state) + 2 * MAX_STAGES * sizeof(struct link_snapshot) +
                MAX_STAGES * (sizeof(struct recorded_stage) + VERSION_USES_MAX * sizeof(struct version_use)),
    PAYLOAD_MAX = STATE_MAX > sizeof(struct recorded_run) ? STATE_MAX : sizeof(struct recorded_run),
};

struct recorder {
    FILE *file;
    const struct segment *segment; /* NULL: states are noted */
    uint64_t written, bound;       /* bytes */
    bool full;
    int failure; /* errno's number, of the first one */
    uint32_t chunks;
    uint64_t looked_ns;
    int epochs; /* written */
    struct snapshot snapshot;
    struct {
        int count;
        struct op_record ops[OPS_TOGETHER];
    } stages[MAX_STAGES]; /* to be written */
    size_t filled;
    unsigned char payload[PAYLOAD_MAX];
};

_Static_assert(PAYLOAD_MAX >= sizeof(uint64_t) + OPS_TOGETHER * sizeof(struct op_record), "a chunk of ops fits");

static void put(struct recorder *recorder, const void *data, size_t bytes)
{
    memcpy(recorder->payload + recorder->filled, data, bytes);
    recorder->filled += bytes;
}

static void write_bytes(struct recorder *recorder, const void *data, size_t bytes)
{
    if (recorder->failure == 0 && fwrite(data, 1, bytes, recorder->file) != bytes)
        recorder->failure = errno ? errno : EIO;
    recorder->written += bytes;
}

static void flush(struct recorder *recorder)
{
    if (recorder->failure == 0 && fflush(recorder->file))
        recorder->failure = errno ? errno : EIO;
}

/* What was put becomes a chunk, if there is still room for the end behind it. */
static void write_chunk(struct recorder *recorder, enum chunk_kind kind)
{
    struct chunk_head head = {.kind = kind, .bytes = (uint32_t)recorder->filled, .number = recorder->chunks};
    uint64_t kept = kind == CHUNK_END ? 0 : sizeof(head) + sizeof(struct recorded_end);

    recorder->filled = 0;
    if (kind != CHUNK_END &&
        (recorder->full || recorder->written + sizeof(head) + head.bytes + kept > recorder->bound)) {
        recorder->full = true;
        return;
    }
    head.payload_crc = recording_crc(recorder->payload, head.bytes);
    head.head_crc = chunk_head_crc(&head);
    write_bytes(recorder, &head, sizeof(head));
    write_bytes(recorder, recorder->payload, head.bytes);
    recorder->chunks++;
}

struct recorder *recorder_begin(FILE *file, const struct segment *segment, uint64_t bound)
{
    struct recorder *recorder = recorder_begin_noted(file, segment->header, bound);

    if (recorder)
        recorder->segment = segment;
    return recorder;
}

struct recorder *recorder_begin_noted(FILE *file, const struct segment_header *header, uint64_t bound)
{
    const struct recording_head head = recording_head();
    struct recorder *recorder = calloc(1, sizeof(*recorder));

    if (!recorder)
        return NULL;
    recorder->file = file;
    recorder->bound = bound;
    write_bytes(recorder, &head, sizeof(head));

    struct recorded_run *run = (struct recorded_run *)recorder->payload;
    memcpy(run->name, header->name, sizeof(run->name));
    memcpy(run->run_folder, header->run_folder, sizeof(run->run_folder));
    run->start_time = header->start_time;
    run->start_ns = header->start_ns;
    run->coordinator_pid = header->coordinator_pid;
    run->interactive = header->interactive;
    run->plan = header->plan;
    run->plan.schedule.order.name = run->plan.schedule.order.summary = NULL;
    recorder->filled = sizeof(*run);
    write_chunk(recorder, CHUNK_RUN);
    return recorder;
}

static void write_ops(struct recorder *recorder, int stage)
{
    const uint64_t number = (uint64_t)stage;

    if (recorder->stages[stage - 1].count == 0)
        return;
    put(recorder, &number, sizeof(number));
    put(recorder, recorder->stages[stage - 1].ops,
        (size_t)recorder->stages[stage - 1].count * sizeof(struct op_record));
    write_chunk(recorder, CHUNK_OPS);
    recorder->stages[stage - 1].count = 0;
}

void recorder_op(struct recorder *recorder, int stage, const struct op_record *record)
{
    recorder->stages[stage - 1].ops[recorder->stages[stage - 1].count++] = *record;
    if (recorder->stages[stage - 1].count == OPS_TOGETHER)
        write_ops(recorder, stage);
}

static void put_stage(struct recorder *recorder, const struct stage_snapshot *stage)
{
    const struct recorded_stage recorded = {
        .state = (int32_t)stage->state,
        .pid = stage->pid,
        .flags = (stage->stopped ? RECORDED_STOPPED : 0) | (stage->allowed ? RECORDED_ALLOWED : 0) |
                 (stage->dead ? RECORDED_DEAD : 0) | (stage->blocked ? RECORDED_BLOCKED : 0),
        .version_live = stage->version_live,
        .activity = activity_pack(&stage->activity),
        .activity_since_ns = stage->activity_since_ns,
        .counters = stage->counters,
        .version_count = stage->version_count,
    };

    put(recorder, &recorded, sizeof(recorded));
    put(recorder, stage->versions, (size_t)stage->version_count * sizeof(stage->versions[0]));
}

static void write_epochs(struct recorder *recorder, const struct snapshot *snapshot)
{
    for (; recorder->epochs < snapshot->epochs_done; recorder->epochs++) {
        put(recorder, &snapshot->epochs[recorder->epochs], sizeof(snapshot->epochs[0]));
        write_chunk(recorder, CHUNK_EPOCH);
    }
}

static void write_state(struct recorder *recorder)
{
    const struct snapshot *snapshot = &recorder->snapshot;
    const struct recorded_state state = {
        .now_ns = snapshot->now_ns, .run_state = (int32_t)snapshot->state, .slow_motion = snapshot->slow_motion};
    for (int s = 1; s <= snapshot->stage_count; s++)
        write_ops(recorder, s);
    write_epochs(recorder, snapshot);
    put(recorder, &state, sizeof(state));
    for (int l = 1; l < snapshot->stage_count; l++) {
        put(recorder, &snapshot->down[l - 1], sizeof(snapshot->down[0]));
        put(recorder, &snapshot->up[l - 1], sizeof(snapshot->up[0]));
    }
    for (int s = 1; s <= snapshot->stage_count; s++)
        put_stage(recorder, &snapshot->stages[s - 1]);
    write_chunk(recorder, CHUNK_STATE);
    flush(recorder);
    recorder->looked_ns = snapshot->now_ns;
}

static void look(struct recorder *recorder)
{
    snapshot_take(&recorder->snapshot, recorder->segment);
    write_state(recorder);
}

void recorder_look(struct recorder *recorder)
{
    if (clock_now_ns() - recorder->looked_ns >= LOOK_NS)
        look(recorder);
}

void recorder_note(struct recorder *recorder, const struct snapshot *snapshot)
{
    recorder->snapshot = *snapshot;
    write_state(recorder);
}

bool recorder_is_full(const struct recorder *recorder)
{
    return recorder->full;
}

int recorder_failure(const struct recorder *recorder)
{
    return recorder->failure;
}

int recorder_end(struct recorder *recorder)
{
    struct recorded_end end = {0};

    if (!recorder)
        return 0;
    if (recorder->segment)
        look(recorder);
    end.run_state = (int32_t)recorder->snapshot.state;
    end.full = recorder->full;
    memcpy(end.outcome, recorder->snapshot.outcome, sizeof(end.outcome));
    put(recorder, &end, sizeof(end));
    write_chunk(recorder, CHUNK_END);
    flush(recorder);
    const bool failed = recorder->failure != 0;
    free(recorder);
    return failed ? -1 : 0;
}
