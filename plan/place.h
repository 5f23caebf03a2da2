/* Where stages run, and how the links between them lie then. */
#ifndef TP_PLAN_PLACE_H
#define TP_PLAN_PLACE_H

#include <stdbool.h>

#include "base/error.h"
#include "plan/config.h"

struct plan;

/* What a stage runs on, each with a backend of its own. */
enum stage_place { PLACE_CPU, PLACE_GPU, PLACES };
enum stage_place backend_place(const char *backend);

/* What the coordinator learns about the machine before it places stages. */
struct machine_facts {
    char backends[PLACES][CONFIG_NAME_MAX]; /* that stages there use: the config's, or the fastest that works; */
    struct error why_not[PLACES];           /* or "", and why there is none */
    int gpu_count;                          /* numbered from 0 */
    bool reaches[GPUS_MAX][GPUS_MAX];       /* [from][to]: work of one can touch memory of the other */
};

/* Whether stages of this config may run there; and the GPUs that they may run on: those below this number. */
bool config_may_use(const struct config *config, enum stage_place place);
int config_first_gpus(const struct config *config);

/* Where the slots of the link between two parts lie, and how its ends reach them (transport/link.h). */
enum link_path { LINK_SHARED, LINK_DEVICE, LINK_STAGED, LINK_PATHS };
const char *link_path_name(enum link_path path);

/* What device.map says that cannot be, whatever the machine has. */
void place_check_map(const struct config *config, struct config_mistakes *mistakes);

/* Likewise of device.pin. And what it has for a stage (1..W): a core, PIN_NO, or PIN_NEXT for auto. */
void place_check_pins(const struct config *config, struct config_mistakes *mistakes);
int place_pin(const struct config *config, int stage);

/* Fills in where each stage runs. A GPU or a backend that is not there goes to `mistakes`. */
int plan_place(struct plan *plan, const struct machine_facts *machine, struct config_mistakes *mistakes);

/* Where a placed stage (1..W) runs. */
enum stage_place plan_place_of(const struct plan *plan, int stage);

/* Whether the places of a plan that somebody else wrote are some that plan_place could have filled in. */
bool places_are_sound(const struct plan *plan);

#endif
