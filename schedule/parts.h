/* Which stage hosts which part. The network is cut into C = W * c parts, in its own order; a stage is a process and
 * hosts c of them. Data enters at part 1, the loss is at part C, and only neighbouring parts exchange tensors. */
#ifndef TP_SCHEDULE_PARTS_H
#define TP_SCHEDULE_PARTS_H

enum placement {
    PLACEMENT_LOOP, /* part k on stage (k - 1) mod W + 1: from stage W back to stage 1 */
    PLACEMENT_V     /* zigzag: from stage W down again; with two parts stage s has parts s and 2 W - s + 1 */
};
enum { PLACEMENTS = PLACEMENT_V + 1 };
const char *placement_name(enum placement placement);

/* The stage, 1..W, of part 1..W * c; and the part that is number `index` (0..c - 1, in the network's order) of a
 * stage. */
int placement_stage(enum placement placement, int stages, int part);
int placement_part(enum placement placement, int stages, int stage, int index);

#endif
