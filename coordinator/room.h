/* Whether this machine, this process's group and its address space have the memory, and the machine the cores, that are
 * asked for. */
#ifndef TP_COORDINATOR_ROOM_H
#define TP_COORDINATOR_ROOM_H

#include "plan/plan.h"

/* Memory that can be had without anybody suffering, and swap, in bytes, within the limit of this process's group; 0 if
 * the kernel does not say. */
unsigned long long room_bytes(void);

/* -1 and both figures if a plan does not fit: stages would be killed in the middle of training, by a kernel that names
 * no cause, or fail inside a library that does not say that it had too little address space. */
int room_check(const struct plan *plan, struct error *error);

/* The same of anything else: `what` is the subject of the sentence, `advice` what would help. */
int room_check_bytes(unsigned long long bytes, const char *what, const char *advice, struct error *error);

/* -1 and the figures if the stages on the CPU have threads for more cores than there are: teams of threads wait for their
 * last one, and the kernel runs them in turn. Single threads share cores well. */
int room_check_threads(const struct plan *plan, struct error *error);

/* -1 if device.pin names a core that this process may not use. */
int room_check_pins(const struct plan *plan, struct error *error);

/* Of this machine: the stages that compute on its cores, and the cores that are there for them; 0 if the kernel does not
 * say. */
int room_stages(const struct plan *plan);
int room_cores(const struct plan *plan);

#endif
