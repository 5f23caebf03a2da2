#include "board/activity.h"

#include "base/numbers.h"
#include "plan/config.h"

/* Places in the word, from the lowest bit: mini-batch 32, first micro-batch 8, count 8, then the small enums. */
enum { FIRST_AT = 32, COUNT_AT = 40, OP_AT = 48, PHASE_AT = 51, CAUSE_AT = 52, KIND_AT = 55 };

_Static_assert(MAX_MICROBATCHES < 256, "a micro-batch's number has 8 bits");
_Static_assert(OP_KINDS <= 8 && PHASES <= 2 && WAIT_CAUSES <= 8 && ACTIVITIES <= 8,
               "the enums have 3, 1, 3 and 3 bits");

uint64_t activity_pack(const struct activity *activity)
{
    return (uint64_t)(uint32_t)activity->op.minibatch | (uint64_t)activity->op.first << FIRST_AT |
           (uint64_t)activity->op.count << COUNT_AT | (uint64_t)activity->op.kind << OP_AT |
           (uint64_t)activity->phase << PHASE_AT | (uint64_t)activity->cause << CAUSE_AT |
           (uint64_t)activity->kind << KIND_AT;
}

static int bits(uint64_t word, int at, int count)
{
    return (int)(word >> at & ((UINT64_C(1) << count) - 1));
}

struct activity activity_unpack(uint64_t word)
{
    struct activity activity = {
        .kind = (enum activity_kind)bits(word, KIND_AT, 3),
        .cause = (enum wait_cause)bits(word, CAUSE_AT, 3),
        .phase = (enum phase)bits(word, PHASE_AT, 1),
        .op = {.kind = (enum op_kind)bits(word, OP_AT, 3),
               .minibatch = max_int(1, (int)(uint32_t)word),
               .first = max_int(1, bits(word, FIRST_AT, 8)),
               .count = max_int(1, bits(word, COUNT_AT, 8))},
    };

    if ((int)activity.kind >= ACTIVITIES || (int)activity.cause >= WAIT_CAUSES || (int)activity.op.kind >= OP_KINDS)
        return (struct activity){.kind = ACTIVITY_NONE};
    return activity;
}
