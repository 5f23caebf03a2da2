/* Backends that can run here, opened, and tensors that they compute on. Every tensor lies between guards, aligned to a float
 * and no more, and holds NaN until it is written. */
#ifndef TP_TESTS_MACHINE_H
#define TP_TESTS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

/* A stream of random numbers; its seed is in every message. */
struct dice {
    uint64_t seed, drawn;
    bool aligned; /* tensors begin as those of a run do, at a multiple of 64 bytes */
};

int dice_between(struct dice *dice, int low, int high);
float dice_normal(struct dice *dice);

struct guarded {
    float *memory, *values;
    size_t count, bytes; /* values; bytes of memory */
};

struct guarded guarded_create(struct dice *dice, size_t count);
struct guarded guarded_normal(struct dice *dice, size_t count, float scale);
struct guarded guarded_squares(struct dice *dice, size_t count); /* of such values */
struct guarded guarded_copy(struct dice *dice, const struct guarded *from);

/* Fails the test if a guard was overwritten. */
void guarded_destroy(struct guarded *tensor);

/* The caller frees them. */
double *guarded_doubles(const struct guarded *tensor);

/* The n-th backend that can run here, fastest first; NULL behind the last. Not before a fork. Where a GPU is a double, only
 * those for GPUs: the same program without the double has the others. With REQUIRE_GPU in the environment, the test fails if
 * one that is built in for GPUs cannot run. */
const struct backend *usable_backend(int n);

enum { MIRRORS_MAX = 24 };

/* A tensor of the host in the memory of a device. */
struct mirror {
    struct guarded tensor;
    void *memory, *staging; /* the device's, and the host's that it reaches */
};

/* A backend, opened on the first of its devices. */
struct machine {
    const struct backend *backend;
    struct engine_options options;
    struct device *device;
    struct engine *engine;
    struct mirror mirrors[MIRRORS_MAX];
    int mirror_count;
};

void machine_open(struct machine *machine, const struct backend *backend, const struct engine_options *options);
void machine_close(struct machine *machine);

/* The tensor's values where the backend can use them, with its guards around: a copy, unless that is the host. Of a tensor
 * that has been lent before, the copy as it is now. */
float *machine_lend(struct machine *machine, const struct guarded *tensor);

/* All that is lent: to the device again; back from the device, when it has done all that was queued; and back for good. */
void machine_send(struct machine *machine);
void machine_fetch(struct machine *machine);
void machine_return(struct machine *machine);

#endif
