/* IDX files, the format of MNIST: big-endian; two zero bytes, the element type, the number of dimensions, one 32-bit
 * size per dimension, the elements. Only unsigned bytes. Damage anywhere is an error, which names the file. `room`
 * is as struct data_options has it. */
#ifndef TP_DATA_IDX_H
#define TP_DATA_IDX_H

#include "data/data.h"

/* Fills count, shapes and elements from a file of [n][rows][columns] or [n][rows][columns][channels]. They lie in
 * `memory`, which the caller releases, also after a failure: a plain file is mapped, a gzip file is inflated there. */
int idx_read_images(struct samples *samples, struct data_memory *memory, const char *path, uint64_t room,
                    struct error *error);

/* Fills count and targets from a file of [n] labels below `classes`. The caller frees samples->targets. */
int idx_read_labels(struct samples *samples, const char *path, int classes, uint64_t room, struct error *error);

#endif
