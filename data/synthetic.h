/* Images made from a seed, for trying things without a data set: each class is a smooth random pattern under noise, so a
 * network can learn to tell them apart. */
#ifndef TP_DATA_SYNTHETIC_H
#define TP_DATA_SYNTHETIC_H

#include "data/data.h"

enum synthetic_half { SYNTHETIC_TRAIN, SYNTHETIC_TEST };

/* Fills samples->images or samples->targets [samples->count], whose shape is set; sample i does not depend on the count.
 * The caller frees them. `room` is as struct data_options has it. */
int synthetic_images(struct samples *samples, enum synthetic_half half, int classes, uint64_t seed, uint64_t room,
                     struct error *error);
int synthetic_labels(struct samples *samples, int classes, uint64_t room, struct error *error);

#endif
