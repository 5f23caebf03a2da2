/* Memory for samples, asked for only if the machine has it: beyond, a process is killed by a kernel that names no cause. */
#ifndef TP_DATA_ALLOCATE_H
#define TP_DATA_ALLOCATE_H

#include <stdint.h>

#include "base/error.h"

/* `bytes` for the images or targets of `where`, a file or a setting; `room` as struct data_options has it. The caller
 * frees them. NULL and both figures if there is no room. */
void *data_allocate(const char *where, const char *elements, uint64_t bytes, uint64_t room, struct error *error);

#endif
