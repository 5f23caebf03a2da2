#include "telemetry/drain.h"

bool drain_take(struct drain *drain, int stage, struct op_record *record)
{
    const struct telemetry *telemetry = &segment_stage(drain->segment, stage)->telemetry;
    uint64_t *next = &drain->next[stage - 1];
    /* Pairs with the stage's release store: the records before head are whole. */
    uint64_t head = atomic_load_explicit(&telemetry->head, memory_order_acquire);

    while (*next < head) {
        /* Record `head` may be being written now, over record head - TELEMETRY_RECORDS. */
        uint64_t oldest = head < TELEMETRY_RECORDS ? 0 : head - TELEMETRY_RECORDS + 1;

        if (*next < oldest) {
            drain->lost += oldest - *next;
            *next = oldest;
        }
        *record = telemetry->records[*next % TELEMETRY_RECORDS];
        /* The copy comes before this look at head: if the record has not been due for overwriting even now, the copy is
         * of one piece. */
        atomic_thread_fence(memory_order_acquire);
        head = atomic_load_explicit(&telemetry->head, memory_order_acquire);
        if (head - *next < TELEMETRY_RECORDS) {
            ++*next;
            return true;
        }
    }
    return false;
}
