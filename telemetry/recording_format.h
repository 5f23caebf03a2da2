/* The file format of recordings, version 3, shared by its writer (recorder.c) and its reader (recording.c).
 *
 * A head, then chunks, each with its kind, length, place and checksums (CRC-32). The numbers are the machine's own, in the structs
 * below: the head tells their sizes and byte order, and a reader takes only what fits its own. A file that a killed run
 * left ends in the middle of a chunk; it is whole up to there. */
#ifndef TP_TELEMETRY_RECORDING_FORMAT_H
#define TP_TELEMETRY_RECORDING_FORMAT_H

#include <stddef.h>
#include <stdio.h>
#include <zlib.h>

#include "base/version.h"
#include "telemetry/snapshot.h"

#define RECORDING_MAGIC      "tp-recording\r\n\x1a"
#define RECORDING_BYTE_ORDER UINT32_C(0x01020304)

enum { RECORDING_VERSION = 3, RECORDING_MADE_BY = 64 };

enum chunk_kind {
    CHUNK_RUN,   /* struct recorded_run; the first chunk */
    CHUNK_OPS,   /* uint64_t stage, struct op_record [...]: in order */
    CHUNK_STATE, /* struct recorded_state, struct link_snapshot [2 (W - 1)]: down, up, ...; and for each stage
                    struct recorded_stage, struct version_use [version_count] */
    CHUNK_EPOCH, /* struct epoch_result; of epochs 1, 2, ... */
    CHUNK_END,   /* struct recorded_end; nothing follows */
    CHUNK_KINDS
};

struct recording_head {
    char magic[16];
    uint32_t version, byte_order;
    uint32_t run_bytes, op_bytes, state_bytes, stage_bytes, epoch_bytes, end_bytes;
    char made_by[RECORDING_MADE_BY]; /* version_text() of the writer */
    uint32_t crc;                    /* of made_by: the rest is compared */
};

struct chunk_head {
    uint32_t kind;
    uint32_t bytes;  /* of the payload */
    uint32_t number; /* 0, 1, ... */
    uint32_t payload_crc;
    uint32_t head_crc; /* of the four above: a length is believed before what it measures is there */
};

struct recorded_run {
    char name[64]; /* of the segment */
    char run_folder[CONFIG_PATH_MAX];
    int64_t start_time;
    uint64_t start_ns;
    int32_t coordinator_pid, interactive;
    struct plan plan; /* its pointers mean nothing */
};

struct recorded_state {
    uint64_t now_ns;
    int32_t run_state;
    uint32_t slow_motion;
};

enum recorded_flag { RECORDED_STOPPED = 1, RECORDED_ALLOWED = 2, RECORDED_DEAD = 4, RECORDED_BLOCKED = 8 };

struct recorded_stage {
    int32_t state, pid, flags, version_live;
    uint64_t activity, activity_since_ns; /* activity_pack */
    struct stage_counters counters;
    int32_t version_count, unused;
};

struct recorded_end {
    int32_t run_state;
    int32_t full; /* the file had reached its bound before the run ended */
    char outcome[STAGE_ERROR_MAX];
};

static inline uint32_t recording_crc(const void *data, size_t bytes)
{
    return (uint32_t)crc32_z(0, data, bytes);
}

static inline struct recording_head recording_head(void)
{
    struct recording_head head = {
        .magic = RECORDING_MAGIC,
        .version = RECORDING_VERSION,
        .byte_order = RECORDING_BYTE_ORDER,
        .run_bytes = sizeof(struct recorded_run),
        .op_bytes = sizeof(struct op_record),
        .state_bytes = sizeof(struct recorded_state),
        .stage_bytes = sizeof(struct recorded_stage),
        .epoch_bytes = sizeof(struct epoch_result),
        .end_bytes = sizeof(struct recorded_end),
    };

    snprintf(head.made_by, sizeof(head.made_by), "%s", version_text());
    head.crc = recording_crc(head.made_by, sizeof(head.made_by));
    return head;
}

static inline uint32_t chunk_head_crc(const struct chunk_head *head)
{
    return recording_crc(head, offsetof(struct chunk_head, head_crc));
}

#endif
