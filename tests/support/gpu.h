/* GPUs for tests that need one: real ones, or the double's (tests/gpu). */
#ifndef TP_TESTS_GPU_H
#define TP_TESTS_GPU_H

#include <stdbool.h>

/* How many there are. Asks in a process of its own, since who has asked must not fork. */
int gpu_count(void);

/* Whether they are the double's. */
bool gpu_is_double(void);

/* What a program returns that needs one where there is none: that it is skipped, or with REQUIRE_GPU=1 that it failed. */
int gpu_skip(void);

#endif
