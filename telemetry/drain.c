#include "telemetry/drain.h"

#include "board/records.h"

/* Whether it can have happened, after what the stage did before. */
static bool is_possible(struct drain *drain, int stage, const struct op_record *record)
{
    uint64_t *end_ns = &drain->end_ns[stage - 1];

    if (record_check(record, &drain->segment->header->plan) || record->start_ns < *end_ns)
        return false;
    *end_ns = record->end_ns;
    return true;
}

bool drain_take(struct drain *drain, int stage, struct op_record *record)
{
    const struct telemetry *telemetry = &segment_stage(drain->segment, stage)->telemetry;
    uint64_t *next = &drain->next[stage - 1];
    uint64_t head;

    /* Pairs with the stage's release store: the records before head are whole. */
    while (*next < (head = atomic_load_explicit(&telemetry->head, memory_order_acquire))) {
        /* Record `head` may be being written now, over record head - TELEMETRY_RECORDS. */
        const uint64_t oldest = head < TELEMETRY_RECORDS ? 0 : head - TELEMETRY_RECORDS + 1;

        if (*next < oldest) {
            drain->lost += oldest - *next;
            *next = oldest;
        }
        if (!record_read(telemetry, *next, record))
            continue;
        ++*next;
        if (is_possible(drain, stage, record))
            return true;
        drain->lost++;
    }
    return false;
}
