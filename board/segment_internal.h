/* What the files that make and open a segment share. */
#ifndef TP_BOARD_SEGMENT_INTERNAL_H
#define TP_BOARD_SEGMENT_INTERNAL_H

#include <sys/stat.h>

#include "board/segment.h"

/* Notes where everything lies, computed one way for sizing, creating and checking; returns the end. */
size_t segment_place(struct segment *segment, const struct plan *plan, channels_bytes *channels);

/* Whether an open descriptor is of shared memory that this user made and nobody else can change or reach otherwise. */
bool segment_is_own(const struct stat *status);

/* Maps segment->fd, or memory of this process alone if that is -1, and makes room for the copy of the header. */
int segment_map(struct segment *segment, size_t size, int protection, struct error *error);

#endif
