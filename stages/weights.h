/* A part's weight versions: flat buffers, one per version that the version tracker still needs. */
#ifndef TP_STAGES_WEIGHTS_H
#define TP_STAGES_WEIGHTS_H

#include <stddef.h>

#include "base/error.h"
#include "device/device.h"
#include "schedule/versions.h"

struct weights; /* opaque */

/* Room on the device, which outlives it, for `buffers` versions of `parameters` floats; version 0 is live, its contents
 * to be filled in by the caller. */
int weights_create(struct weights **out, struct device *device, size_t parameters, int buffers, struct error *error);
void weights_destroy(struct weights *weights);

/* Gives the live version, the only one, this number. */
void weights_renumber(struct weights *weights, int version);

float *weights_live(struct weights *weights);

/* The buffer of a version; NULL if it is no longer, or not yet, here. */
const float *weights_version(const struct weights *weights, int version);

/* Buffers in use. */
int weights_count(const struct weights *weights);

/* Forgets the versions that the tracker no longer needs. */
void weights_retire(struct weights *weights, const struct version_tracker *tracker);

/* Makes the tracker's live version, one above the store's, the live one: call after versions_update(). Returns its buffer,
 * to be filled: the old one's, which is still in it, if nobody needs that, else a free one. NULL if there are more versions
 * than buffers. */
float *weights_make_room(struct weights *weights, const struct version_tracker *tracker, struct error *error);

#endif
