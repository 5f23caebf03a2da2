/* What the files that make and open a segment share. */
#ifndef TP_BOARD_SEGMENT_INTERNAL_H
#define TP_BOARD_SEGMENT_INTERNAL_H

#include "board/segment.h"

/* Offsets of everything, computed one way for sizing, creating and checking. */
struct placement {
    size_t controls, stages, channels, end;
};
struct placement segment_place(const struct plan *plan, channels_bytes *channels);

/* Maps segment->fd, or memory of this process alone if that is -1. */
int segment_map(struct segment *segment, size_t size, int protection, struct error *error);

#endif
