/* The images or tokens of a data set where they lie: in one file, or in several of which each goes on where the one
 * before has ended. */
#ifndef TP_DATA_ELEMENTS_H
#define TP_DATA_ELEMENTS_H

#include "data/data.h"

/* `count` more elements, in memory that outlives them. */
int elements_add(struct elements *elements, const void *begin, size_t count, struct error *error);

/* Forgets all but the first `count`. */
void elements_limit(struct elements *elements, size_t count);

void elements_release(struct elements *elements);

/* Where element i lies; *follow (may be NULL): how many lie behind one another from there on, itself included. */
const uint8_t *elements_at(const struct elements *elements, size_t i, size_t *follow);

/* Shows all elements in order, as many at a time as `most` or as lie together, until `look` returns another number
 * than 0, which is returned. Pages of mapped files leave memory when they have been shown: what is resident does not
 * grow with the files. */
int elements_show(const struct elements *elements, size_t most,
                  int (*look)(void *context, const uint8_t *begin, size_t count), void *context);

#endif
