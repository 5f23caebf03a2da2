/* What stages can run on here, found in a throw-away process. */
#ifndef TP_COORDINATOR_DEVICES_H
#define TP_COORDINATOR_DEVICES_H

#include <jansson.h>
#include <stdio.h>

#include "coordinator/signals.h"
#include "device/device.h"
#include "plan/plan.h"

struct devices {
    struct machine_facts machine;
    bool gpu_seen; /* the system has one, whether or not it can be used */
    int described; /* GPUs of which there is more to say: */
    struct gpu {
        struct device_facts facts;
        struct error error; /* why not; "" if there is */
    } gpus[GPUS_MAX];
};

/* Looks for what a config may use, or for all if it is NULL. That nothing can be used is no failure. `signals` as
 * child_run has it. */
int devices_find(struct devices *devices, const struct config *config, struct signals *signals, struct error *error);

/* Why a config's stages run on the CPU though it would let them use a GPU that is there; NULL if none of that is so. */
const char *devices_gpu_left_out(const struct devices *devices, const struct config *config);

/* -1 and both figures if a GPU has less memory free than the plan's stages take there. */
int devices_check_room(const struct devices *devices, const struct plan *plan, struct error *error);

void devices_print(FILE *out, const struct devices *devices);
json_t *devices_json(const struct devices *devices);

/* Only the GPUs where the plan puts stages. */
void devices_print_used(FILE *out, const struct devices *devices, const struct plan *plan);
json_t *devices_used_json(const struct devices *devices, const struct plan *plan);

/* "cuda, onednn, reference": the backends that are built in, on that place or (PLACES) anywhere. */
const char *devices_backends(enum stage_place place, char text[128]);

#endif
