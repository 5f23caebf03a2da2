/* The limits that the system sets to the memory of this process's group (cgroup, v1 or v2): a container's, a batch
 * system's; and what it does when they are reached. */
#ifndef TP_COORDINATOR_LIMITS_H
#define TP_COORDINATOR_LIMITS_H

#include <stdint.h>

/* Bytes that the group, and each that it is part of, may still take; UINT64_MAX if none of them is limited. Cached
 * files do not count as taken. */
uint64_t memory_limit(void);

/* Processes that the kernel has killed for lack of memory: of the group, if groups count them, else of the machine. */
uint64_t memory_kills(void);

/* The same of a tree that lies there instead of "/", and of a process that is "self" in it. */
uint64_t memory_limit_in(const char *root);
uint64_t memory_kills_in(const char *root);

#endif
