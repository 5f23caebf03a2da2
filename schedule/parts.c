#include "schedule/parts.h"

const char *placement_name(enum placement placement)
{
    static const char *const names[PLACEMENTS] = {[PLACEMENT_LOOP] = "loop", [PLACEMENT_V] = "v"};

    return names[placement];
}

/* Of the `stages` parts that pass over all stages once: forwards, or in a V every other time backwards. */
static int turned(enum placement placement, int stages, int pass, int place)
{
    return placement == PLACEMENT_V && pass % 2 == 1 ? stages - 1 - place : place;
}

int placement_stage(enum placement placement, int stages, int part)
{
    return turned(placement, stages, (part - 1) / stages, (part - 1) % stages) + 1;
}

int placement_part(enum placement placement, int stages, int stage, int index)
{
    return index * stages + turned(placement, stages, index, stage - 1) + 1;
}
