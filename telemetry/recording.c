#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "board/records.h"
#include "telemetry/recording_internal.h"

/* A payload as it is read. */
struct input {
    struct recording *recording;
    const unsigned char *payload;
    size_t bytes;
};

static int append(struct list *list, const void *items, size_t count, size_t item_bytes, struct error *error)
{
    if (list->count + count > list->room) {
        size_t room = 2 * list->room > list->count + count ? 2 * list->room : list->count + count;
        void *grown = realloc(list->items, room * item_bytes);

        if (!grown)
            return error_set(error, "out of memory");
        list->items = grown;
        list->room = room;
    }
    memcpy((unsigned char *)list->items + list->count * item_bytes, items, count * item_bytes);
    list->count += count;
    return 0;
}

/* Copies the payload's next bytes. False if it has not so many. */
static bool take(struct input *reading, void *to, size_t bytes)
{
    if (reading->bytes < bytes)
        return false;
    memcpy(to, reading->payload, bytes);
    reading->payload += bytes;
    reading->bytes -= bytes;
    return true;
}

static int wrong(const char *what, struct error *error)
{
    return error_set(error, "the recording is damaged: %s", what);
}

static int take_run(struct input *reading, struct error *error)
{
    struct recorded_run *run = &reading->recording->run;
    struct error reason;

    if (!take(reading, run, sizeof(*run)))
        return wrong("its plan has another size", error);
    run->name[sizeof(run->name) - 1] = '\0';
    run->run_folder[sizeof(run->run_folder) - 1] = '\0';
    if (run->start_ns >= CLOCK_NS_MAX)
        return wrong("an impossible time", error);
    if (plan_check(&run->plan, &reason))
        return error_set(error, "the recording is damaged: its plan has %s", reason.text);
    run->plan.schedule = plan_training(&run->plan);
    return 0;
}

static int take_ops(struct input *reading, struct error *error)
{
    struct recording *recording = reading->recording;
    struct op_record op;
    uint64_t stage;

    if (!take(reading, &stage, sizeof(stage)) || stage < 1 || stage > (uint64_t)recording->run.plan.part_count)
        return wrong("ops of a stage that there is not", error);
    struct list *ops = &recording->ops[stage - 1];
    while (take(reading, &op, sizeof(op))) {
        const struct op_record *before = ops->count > 0 ? (struct op_record *)ops->items + ops->count - 1 : NULL;

        const char *impossible = record_check(&op, &recording->run.plan);

        if (!impossible && before && op.start_ns < before->end_ns)
            impossible = "time";
        if (impossible)
            return error_set(error, "the recording is damaged: an op with an impossible %s", impossible);
        if (append(ops, &op, 1, sizeof(op), error))
            return -1;
        if (stage == (uint64_t)recording->run.plan.part_count)
            curve_add(&recording->curve, &op);
    }
    return reading->bytes > 0 ? wrong("half an op", error) : 0;
}

static int in_range(int number, int count)
{
    return number >= 0 && number < count ? number : 0;
}

static bool take_stage(struct input *reading, const struct plan *plan, struct stage_snapshot *stage)
{
    struct recorded_stage recorded;

    if (!take(reading, &recorded, sizeof(recorded)) || recorded.version_count < 0 ||
        recorded.version_count > VERSION_USES_MAX)
        return false;
    *stage = (struct stage_snapshot){
        .state = (enum stage_state)in_range(recorded.state, STAGE_FAILED + 1),
        .pid = recorded.pid,
        .stopped = recorded.flags & RECORDED_STOPPED,
        .allowed = recorded.flags & RECORDED_ALLOWED,
        .dead = recorded.flags & RECORDED_DEAD,
        .blocked = recorded.flags & RECORDED_BLOCKED,
        .version_live = recorded.version_live,
        .activity = activity_unpack(recorded.activity),
        .activity_since_ns = recorded.activity_since_ns,
        .counters = recorded.counters,
        .version_count = recorded.version_count,
    };
    if (!take(reading, stage->versions, (size_t)recorded.version_count * sizeof(stage->versions[0])))
        return false;
    snapshot_bound_stage(stage, plan);
    return true;
}

bool recording_take_state(const struct recording *recording, const unsigned char *payload, size_t bytes,
                          struct snapshot *snapshot)
{
    struct input reading = {.payload = payload, .bytes = bytes};
    int stage_count = recording->run.plan.part_count;
    struct recorded_state state;
    bool whole = take(&reading, &state, sizeof(state));

    for (int l = 1; whole && l < stage_count; l++)
        whole = take(&reading, &snapshot->down[l - 1], sizeof(snapshot->down[0])) &&
                take(&reading, &snapshot->up[l - 1], sizeof(snapshot->up[0]));
    for (int s = 1; whole && s <= stage_count; s++)
        whole = take_stage(&reading, &recording->run.plan, &snapshot->stages[s - 1]);
    if (!whole || reading.bytes > 0)
        return false;
    snapshot->now_ns = state.now_ns;
    snapshot->state = (enum run_state)in_range(state.run_state, RUN_FAILED + 1);
    snapshot->slow_motion = state.slow_motion;
    return true;
}

static int take_state(struct input *reading, struct error *error)
{
    struct recording *recording = reading->recording;
    struct state_place place = {.offset = (size_t)(reading->payload - recording->bytes), .bytes = reading->bytes};
    size_t count = recording->states.count;
    struct snapshot snapshot;

    if (!recording_take_state(recording, reading->payload, reading->bytes, &snapshot))
        return wrong("the stages' state has another size", error);
    place.now_ns = snapshot.now_ns;
    if (count > 0 && state_at(recording, count - 1)->now_ns > place.now_ns)
        return wrong("time runs backwards", error);
    if (place.now_ns >= CLOCK_NS_MAX)
        return wrong("an impossible time", error);
    return append(&recording->states, &place, 1, sizeof(place), error);
}

static int take_epoch(struct input *reading, struct error *error)
{
    struct recording *recording = reading->recording;
    struct epoch_result result;

    if (!take(reading, &result, sizeof(result)) || reading->bytes > 0 ||
        recording->epochs.count >= (size_t)recording->run.plan.config.run.epochs || epoch_check(&result))
        return wrong("an impossible epoch", error);
    return append(&recording->epochs, &result, 1, sizeof(result), error);
}

static int take_end(struct input *reading, struct error *error)
{
    struct recording *recording = reading->recording;

    if (!take(reading, &recording->end, sizeof(recording->end)) || reading->bytes > 0)
        return wrong("its end has another size", error);
    recording->end.run_state = in_range(recording->end.run_state, RUN_FAILED + 1);
    recording->end.outcome[STAGE_ERROR_MAX - 1] = '\0';
    recording->ended = true;
    return 0;
}

static int take_chunk(struct recording *recording, const struct chunk_head *head, size_t offset, struct error *error)
{
    static int (*const takers[CHUNK_KINDS])(struct input *, struct error *) = {
        [CHUNK_RUN] = take_run,     [CHUNK_OPS] = take_ops, [CHUNK_STATE] = take_state,
        [CHUNK_EPOCH] = take_epoch, [CHUNK_END] = take_end,
    };
    struct input reading = {recording, recording->bytes + offset + sizeof(*head), head->bytes};

    if (head->payload_crc != recording_crc(reading.payload, head->bytes))
        return wrong("a checksum does not fit", error);
    if (head->kind >= CHUNK_KINDS || (head->number == 0) != (head->kind == CHUNK_RUN))
        return wrong("a chunk of an unknown kind, or in the wrong place", error);
    return takers[head->kind](&reading, error);
}

/* The head of the chunk at `offset`. False if the file ends within the chunk. */
static bool take_head(struct recording *recording, size_t offset, struct chunk_head *head)
{
    size_t left = recording->size - offset;

    if (left < sizeof(*head))
        return false;
    memcpy(head, recording->bytes + offset, sizeof(*head));
    return head->head_crc != chunk_head_crc(head) || left - sizeof(*head) >= head->bytes;
}

/* Chunks up to the end, or to where the file ends before it. */
static int read_chunks(struct recording *recording, struct error *error)
{
    size_t offset = sizeof(struct recording_head);
    struct chunk_head head;

    for (uint32_t number = 0; !recording->ended; number++) {
        if (!take_head(recording, offset, &head)) {
            recording->cut = true;
            return 0;
        }
        if (head.head_crc != chunk_head_crc(&head) || head.number != number)
            return error_set(error, "at byte %zu the recording is damaged: no chunk begins there", offset);
        if (take_chunk(recording, &head, offset, error))
            return error_prefix(error, "at byte %zu", offset);
        offset += sizeof(head) + head.bytes;
    }
    return offset == recording->size
               ? 0
               : error_set(error, "at byte %zu the recording is damaged: something follows its end", offset);
}

enum { MADE_BY_MAX = RECORDING_MADE_BY + 8 };

/* For a message: "tp 0.2.0". Other text than a version's is not repeated. */
static const char *made_by(const struct recording_head *head, char text[MADE_BY_MAX])
{
    static const char letters[] = "0123456789.-+() abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const size_t length = strnlen(head->made_by, sizeof(head->made_by));

    if (length == 0 || length == sizeof(head->made_by) || strspn(head->made_by, letters) != length)
        return "another build of tp";
    snprintf(text, MADE_BY_MAX, "tp %s", head->made_by);
    return text;
}

static int check_head(const struct recording *recording, struct error *error)
{
    const struct recording_head expected = recording_head();
    struct recording_head head;
    char text[MADE_BY_MAX];

    if (recording->size < sizeof(head.magic) || memcmp(recording->bytes, expected.magic, sizeof(head.magic)) != 0)
        return error_set(error, "this is not a recording of a tp run");
    if (recording->size < sizeof(head))
        return error_set(error, "the recording ends at byte %zu, before it says of what", recording->size);
    memcpy(&head, recording->bytes, sizeof(head));
    if (head.byte_order != expected.byte_order || head.version != expected.version)
        return error_set(
            error, "the recording has version %u of the format%s; this program reads version %u", head.version,
            head.byte_order != expected.byte_order ? ", and another machine's byte order" : "", expected.version);
    if (memcmp(&head, &expected, offsetof(struct recording_head, made_by)) != 0)
        return error_set(error,
                         "the recording was made by %s, whose plans or ops are laid out otherwise; this is tp %s",
                         made_by(&head, text), version_text());
    if (head.crc != recording_crc(head.made_by, sizeof(head.made_by)))
        return error_set(error, "the recording is damaged: its head is not what was written");
    return 0;
}

/* Only up to the last state are the ops of all stages there. */
static void forget_later_ops(struct recording *recording)
{
    uint64_t end_ns = state_at(recording, recording->states.count - 1)->now_ns;

    for (int s = 0; s < recording->run.plan.part_count; s++) {
        const struct op_record *ops = recording->ops[s].items;

        while (recording->ops[s].count > 0 && ops[recording->ops[s].count - 1].end_ns > end_ns)
            recording->ops[s].count--;
    }
}

static int read_all(struct recording *recording, struct error *error)
{
    recording->curve.minibatches_per_point = 1;
    if (check_head(recording, error) || read_chunks(recording, error))
        return -1;
    if (recording->states.count == 0)
        return error_set(error, "the recording ends at byte %zu, before the run's first moment", recording->size);
    forget_later_ops(recording);
    return 0;
}

int recording_open_memory(struct recording **out, const void *bytes, size_t size, struct error *error)
{
    struct recording *recording = calloc(1, sizeof(*recording));

    *out = NULL;
    if (!recording)
        return error_set(error, "out of memory");
    recording->bytes = bytes;
    recording->size = size;
    if (read_all(recording, error)) {
        recording_close(recording);
        return -1;
    }
    *out = recording;
    return 0;
}

int recording_open(struct recording **out, const char *path, struct error *error)
{
    char *bytes;
    size_t size;

    *out = NULL;
    if (file_read(path, &bytes, &size, error))
        return -1;
    if (recording_open_memory(out, bytes, size, error)) {
        free(bytes);
        return error_prefix(error, "%s", path);
    }
    (*out)->owned = bytes;
    return 0;
}

void recording_close(struct recording *recording)
{
    if (!recording)
        return;
    for (int s = 0; s < MAX_STAGES; s++)
        free(recording->ops[s].items);
    free(recording->states.items);
    free(recording->epochs.items);
    free(recording->owned);
    free(recording);
}

struct recording_facts recording_facts(const struct recording *recording)
{
    return (struct recording_facts){
        .plan = &recording->run.plan,
        .begin_ns = state_at(recording, 0)->now_ns,
        .end_ns = state_at(recording, recording->states.count - 1)->now_ns,
        .cut = recording->cut,
        .full = recording->ended && recording->end.full,
    };
}

struct stage_history recording_ops(const struct recording *recording, int stage)
{
    const struct list *ops = &recording->ops[stage - 1];

    return (struct stage_history){ops->items, (int)ops->count};
}

struct curve recording_curve(const struct recording *recording)
{
    return curve_of(&recording->curve);
}
