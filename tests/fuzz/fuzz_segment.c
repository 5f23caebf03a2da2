/* Segments: a sound one is damaged here and there and opened. What passes is read as a stage or a monitor reads it.
 *
 * The input is a list of patches: which part of the segment, where in it (two bytes), how many bytes, the bytes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/numbers.h"
#include "board/records.h"
#include "device/device.h"
#include "telemetry/history.h"
#include "telemetry/snapshot.h"
#include "tests/fuzz/fuzz.h"
#include "transport/ring.h"

enum { PATCH_HEADER = 4, PATCHES_MAX = 64, OPS = 8 };

static struct segment sound; /* in memory of its own */
static int descriptor;       /* a copy, to be damaged */

struct part {
    size_t offset, size;
};

static void create(void)
{
    struct error error;
    struct plan plan;

    fuzz_plan(&plan);
    descriptor = memfd_create("segment", MFD_CLOEXEC);
    if (segment_create_private(&sound, &plan, rings_bytes, &error) || descriptor < 0 || fchmod(descriptor, 0600))
        abort();
    for (int k = 0; k < OPS; k++)
        for (int s = 1; s <= plan.stage_count; s++) {
            const struct op_record op = fuzz_op(&plan, sound.header->start_ns, k);

            record_write(&segment_stage(&sound, s)->telemetry, &op);
        }
    atomic_store(&sound.board->run_state, RUN_TRAINING);
    segment_seal(&sound);
    if (write(descriptor, sound.board, sound.size) != (ssize_t)sound.size)
        abort();
}

static struct part part(uint8_t index)
{
    const size_t plan = offsetof(struct board, header.plan);
    const size_t schedule = offsetof(struct plan, backend), counts = offsetof(struct plan, minibatches_per_epoch);
    const struct part parts[] = {
        {0, sizeof(struct board)},
        {plan, sizeof(struct plan)},
        {sound.channels_offset, rings_bytes(&sound.header->plan)},
        {sound.stages_offset, offsetof(struct stage_block, telemetry.records) + OPS * sizeof(struct op_record)},
        /* The plan's later members, which two bytes do not reach from its begin. */
        {plan + schedule, counts - schedule},
        {plan + counts, sizeof(struct plan) - counts},
    };

    return parts[index % (sizeof(parts) / sizeof(parts[0]))];
}

/* Writes a patch, or what it damaged. Returns the patch's length. */
static size_t patch(const uint8_t *data, size_t size, bool undo)
{
    const struct part where = part(data[0]);
    const size_t offset = where.offset + (size_t)(data[1] | data[2] << 8) % where.size;
    const size_t length = (size_t)min_int(data[3], (int)(size - PATCH_HEADER));
    const void *bytes = undo ? (const uint8_t *)sound.board + offset : data + PATCH_HEADER;

    if (pwrite(descriptor, bytes, length, (off_t)offset) != (ssize_t)length)
        abort();
    return PATCH_HEADER + length;
}

static void patch_all(const uint8_t *data, size_t size, bool undo)
{
    for (int k = 0; k < PATCHES_MAX && size > PATCH_HEADER; k++) {
        size_t length = patch(data, size, undo);

        data += length;
        size -= length;
    }
}

static void read_ring(const struct segment *segment, int link, enum ring_direction direction)
{
    struct ring_end end;

    ring_end_open(&end, segment, link, direction);
    for (uint64_t k = 0; k < end.layout.message_capacity; k++)
        fuzz_touch(ring_message(&end, k), sizeof(struct message));
    fuzz_touch(end.handles, end.layout.handle_count * sizeof(struct device_handle));
    for (uint64_t n = 0; n < end.layout.slots && end.data; n++) {
        fuzz_touch(ring_slot(&end, n), 1);
        fuzz_touch((const char *)ring_slot(&end, n) + end.layout.slot_bytes - 1, 1);
    }
}

static void read_plan(const struct plan *plan)
{
    const struct schedule schedules[] = {plan_training(plan), plan_evaluation(plan)};
    struct config_value value;
    struct plan_rows rows;
    char text[OP_TEXT_SIZE];

    for (int i = 0; config_get(&plan->config, i, &value); i++)
        fuzz_touch(value.text, strlen(value.text));
    if (plan_rows(plan, &rows))
        abort();
    for (int k = 0; k < 2; k++)
        op_format(&(struct op){OP_FORWARD, 1, schedules[k].microbatches, 1, 1}, &schedules[k], text);
    fuzz_touch(plan->backend, strlen(plan->backend));
}

/* As tpmon shows a run that goes on. */
static void watch(const struct segment *segment)
{
    static struct snapshot snapshot;
    struct history_log *log;
    struct history history;
    struct curve curve;
    struct error error;

    if (history_create(&log, segment, &error))
        abort();
    history_take(log);
    snapshot_take(&snapshot, segment);
    history = history_of(log);
    curve = history_curve(log);
    fuzz_draw(&(struct moment){.kind = MOMENT_LIVE,
                               .snapshot = &snapshot,
                               .history = &history,
                               .curve = &curve,
                               .source = "input",
                               .message = ""});
    history_destroy(log);
}

static void read_segment(const struct segment *segment)
{
    static struct snapshot snapshot;

    watch(segment);
    snapshot_take(&snapshot, segment);
    fuzz_touch(snapshot.epochs, (size_t)snapshot.epochs_done * sizeof(snapshot.epochs[0]));
    read_plan(&segment->header->plan);
    fuzz_touch(segment->header->run_folder, strlen(segment->header->run_folder));
    for (int s = 1; s <= segment->header->block_count; s++)
        fuzz_touch(segment_stage(segment, s), offsetof(struct stage_block, telemetry.records));
    for (int link = 1; link < segment->header->block_count; link++) {
        read_ring(segment, link, RING_DOWN);
        read_ring(segment, link, RING_UP);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment segment;
    struct error error;

    if (!sound.header)
        create();
    patch_all(data, size, false);
    if (segment_attach(&segment, dup(descriptor), rings_bytes, &error) == 0) {
        read_segment(&segment);
        segment_close(&segment);
    }
    patch_all(data, size, true);
    return 0;
}
