#include "telemetry/history.h"

#include <stdlib.h>
#include <string.h>

struct history_log {
    struct drain drain;
    int stage_count;
    struct {
        struct op_record *ops; /* [2 HISTORY_OPS]: when it is full, the newer half moves to the front */
        int count;
    } stages[MAX_STAGES];
    struct curve_log curve;
};

static void halve(struct curve_log *log)
{
    for (int i = 0; i < CURVE_POINTS / 2; i++) {
        log->loss[i] = 0.5f * (log->loss[2 * i] + log->loss[2 * i + 1]);
        log->end_ns[i] = log->end_ns[2 * i + 1];
    }
    log->count = CURVE_POINTS / 2;
    log->minibatches_per_point *= 2;
}

void curve_add(struct curve_log *log, const struct op_record *record)
{
    if (record->phase != PHASE_TRAIN || !record->updated)
        return;
    log->sum += (double)record->loss;
    if (++log->summed < log->minibatches_per_point)
        return;
    log->loss[log->count] = (float)(log->sum / log->summed);
    log->end_ns[log->count++] = record->end_ns;
    log->sum = 0;
    log->summed = 0;
    if (log->count == CURVE_POINTS)
        halve(log);
}

struct curve curve_of(const struct curve_log *log)
{
    return (struct curve){log->loss, log->count, log->minibatches_per_point};
}

int history_create(struct history_log **out, const struct segment *segment, struct error *error)
{
    struct history_log *log = calloc(1, sizeof(*log));

    *out = NULL;
    if (!log)
        return error_set(error, "out of memory");
    log->drain.segment = segment;
    log->stage_count = segment->header->plan.part_count;
    log->curve.minibatches_per_point = 1;
    for (int s = 0; s < log->stage_count; s++) {
        log->stages[s].ops = calloc(2 * HISTORY_OPS, sizeof(struct op_record));
        if (!log->stages[s].ops) {
            history_destroy(log);
            return error_set(error, "out of memory");
        }
    }
    *out = log;
    return 0;
}

void history_destroy(struct history_log *log)
{
    if (!log)
        return;
    for (int s = 0; s < log->stage_count; s++)
        free(log->stages[s].ops);
    free(log);
}

void history_take(struct history_log *log)
{
    struct op_record record;

    for (int s = 0; s < log->stage_count; s++) {
        while (drain_take(&log->drain, s + 1, &record)) {
            if (log->stages[s].count == 2 * HISTORY_OPS) {
                memcpy(log->stages[s].ops, log->stages[s].ops + HISTORY_OPS, HISTORY_OPS * sizeof(record));
                log->stages[s].count = HISTORY_OPS;
            }
            log->stages[s].ops[log->stages[s].count++] = record;
            if (s == log->stage_count - 1)
                curve_add(&log->curve, &record);
        }
    }
}

struct history history_of(const struct history_log *log)
{
    struct history history = {.lost = log->drain.lost};

    for (int s = 0; s < log->stage_count; s++)
        history.stages[s] = (struct stage_history){log->stages[s].ops, log->stages[s].count};
    return history;
}

struct curve history_curve(const struct history_log *log)
{
    return curve_of(&log->curve);
}
