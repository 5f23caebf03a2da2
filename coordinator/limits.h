/* The limits that the system sets to the memory of this process's group (cgroup, v1 or v2): a container's, a batch
 * system's. */
#ifndef TP_COORDINATOR_LIMITS_H
#define TP_COORDINATOR_LIMITS_H

#include <stdint.h>

/* Bytes that the group, and each that it is part of, may still take; UINT64_MAX if none of them is limited. Cached
 * files do not count as taken. */
uint64_t memory_limit(void);

/* The same of a tree that lies there instead of "/", and of a process that is "self" in it. */
uint64_t memory_limit_in(const char *root);

#endif
