/* Memory in which samples lie: mapped files, which may be larger than the machine's memory, or what was inflated. */
#ifndef TP_DATA_MEMORY_H
#define TP_DATA_MEMORY_H

#include <stdint.h>

#include "data/data.h"

/* `bytes` for the images or targets of `where`, a file or a setting; `room` as struct data_options has it: beyond, a
 * process is killed by a kernel that names no cause. The caller frees them. NULL and both figures if there is no
 * room. */
void *data_allocate(const char *where, const char *elements, uint64_t bytes, uint64_t room, struct error *error);

/* Maps a whole file, to be read. -1 if it is empty. */
int data_memory_map(struct data_memory *memory, int descriptor, const char *path, struct error *error);

void data_memory_release(struct data_memory *memory);

/* Bytes that have been looked at need not stay: of a file that is larger than memory nothing else would. The pages
 * of a mapped file come back when they are read again; other memory must not be given here. */
void data_memory_let_go(const void *from, const void *to);

#endif
