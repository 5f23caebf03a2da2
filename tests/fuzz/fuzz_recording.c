/* Recordings: a sound one is cut or damaged here and there, its checksums made right again, and opened. What passes is
 * played and drawn as tpmon --replay does.
 *
 * The input: a byte that says whether to cut and to mend checksums, then a list of patches: where (three bytes), how many
 * bytes, the bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "telemetry/recorder.h"
#include "telemetry/recording.h"
#include "telemetry/recording_format.h"
#include "tests/fuzz/fuzz.h"
#include "transport/rings.h"

enum { CUT = 1, LEAVE_CHECKSUMS = 2, PATCH_HEADER = 4, PATCHES_MAX = 64, OPS = 40, MOMENTS = 3 };

static char *sound;
static size_t sound_size;

/* Three stages that run some ops, one after the other, and an epoch. */
static void create(void)
{
    FILE *file = open_memstream(&sound, &sound_size);
    struct recorder *recorder;
    struct segment segment;
    struct error error;
    struct plan plan;

    fuzz_plan(&plan);
    if (!file || segment_create_private(&segment, &plan, rings_bytes, &error) ||
        !(recorder = recorder_begin(file, &segment, UINT64_C(1) << 20)))
        abort();
    for (int k = 0; k < OPS; k++) {
        const struct op_record op = fuzz_op(&plan, segment.header->start_ns, k);

        for (int s = 1; s <= plan.stage_count; s++)
            recorder_op(recorder, s, &op);
        recorder_look(recorder);
    }
    atomic_store(&segment.board->epochs_done, 1);
    atomic_store(&segment.board->run_state, RUN_FINISHED);
    if (recorder_end(recorder) || fclose(file))
        abort();
    segment_close(&segment);
}

static void patch(char *bytes, size_t bytes_size, const uint8_t *data, size_t size)
{
    for (int k = 0; k < PATCHES_MAX && size > PATCH_HEADER; k++) {
        size_t offset = ((size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % bytes_size;
        size_t length = (size_t)min_int(data[3], (int)(size - PATCH_HEADER));

        if (length > bytes_size - offset)
            length = bytes_size - offset;
        memcpy(bytes + offset, data + PATCH_HEADER, length);
        data += PATCH_HEADER + length;
        size -= PATCH_HEADER + length;
    }
}

/* Of every chunk whose length is believable. */
static void mend_checksums(char *bytes, size_t size)
{
    struct chunk_head head;

    for (size_t at = sizeof(struct recording_head); size - at >= sizeof(head); at += sizeof(head) + head.bytes) {
        memcpy(&head, bytes + at, sizeof(head));
        if (head.bytes > size - at - sizeof(head))
            return;
        head.payload_crc = (uint32_t)crc32(0, (const Bytef *)bytes + at + sizeof(head), head.bytes);
        head.head_crc = (uint32_t)crc32(0, (const Bytef *)&head, offsetof(struct chunk_head, head_crc));
        memcpy(bytes + at, &head, sizeof(head));
    }
}

static void play(const struct recording *recording)
{
    const struct recording_facts facts = recording_facts(recording);
    static struct snapshot snapshot;
    struct history history;
    struct curve curve;

    for (uint64_t k = 0; k <= MOMENTS; k++) {
        const uint64_t time = facts.begin_ns + (facts.end_ns - facts.begin_ns) / MOMENTS * k;
        const struct moment moment = {.kind = MOMENT_REPLAY,
                                      .snapshot = &snapshot,
                                      .history = &history,
                                      .curve = &curve,
                                      .begin_ns = facts.begin_ns,
                                      .end_ns = facts.end_ns,
                                      .source = "input",
                                      .message = ""};

        recording_seek(recording, time, &snapshot, &history, &curve);
        fuzz_draw(&moment);
        recording_step(recording, time, k % 2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording *recording;
    struct error error;
    size_t kept;
    char *bytes;

    if (!sound)
        create();
    if (size < 3)
        return 0;
    kept = data[0] & CUT ? (size_t)(data[1] | data[2] << 8) % sound_size : sound_size;
    bytes = malloc(kept + 1);
    if (!bytes)
        abort();
    memcpy(bytes, sound, kept);
    if (kept > 0)
        patch(bytes, kept, data + 1, size - 1);
    if (!(data[0] & LEAVE_CHECKSUMS) && kept > sizeof(struct recording_head))
        mend_checksums(bytes, kept);
    if (recording_open_memory(&recording, bytes, kept, &error) == 0) {
        play(recording);
        recording_close(recording);
    }
    free(bytes);
    return 0;
}
