/* Which cores a process may use, and how it keeps to one. */
#ifndef TP_DEVICE_CORES_H
#define TP_DEVICE_CORES_H

#include "base/error.h"

/* The n-th (0..) of the cores that this process may use, from the first again behind the last; -1 if none can be found. */
int cores_at(int n);

/* Whether it may use this one; and keeps this process, and the threads that it starts from now on, on it. */
int cores_check(int core, struct error *error);
int cores_keep_to(int core, struct error *error);

#endif
