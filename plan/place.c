/* Where each stage runs, and which way its links go from there. */
#include <string.h>

#include "base/numbers.h"
#include "plan/config_keys.h"
#include "plan/plan_internal.h"

/* The backend whose stages run on GPUs. */
static const char gpu_backend[] = "cuda";

enum stage_place backend_place(const char *backend)
{
    return strcmp(backend, gpu_backend) == 0 ? PLACE_GPU : PLACE_CPU;
}

enum stage_place plan_place_of(const struct plan *plan, int stage)
{
    return backend_place(plan_stage(plan, stage)->backend);
}

const char *link_path_name(enum link_path path)
{
    static const char *const names[LINK_PATHS] = {
        [LINK_SHARED] = "shared", [LINK_DEVICE] = "device", [LINK_STAGED] = "staged"};

    return names[path];
}

/* The first GPU of the map; -1 if it has none. */
static int first_gpu(const struct config_integers *map)
{
    for (int i = 0; i < map->count; i++)
        if (map->values[i] != MAP_CPU)
            return map->values[i];
    return -1;
}

bool config_may_use(const struct config *config, enum stage_place place)
{
    const struct config_integers *map = &config->device.map;
    const char *backend = config->device.backend;

    if (strcmp(backend, "auto") != 0 && backend_place(backend) == PLACE_CPU)
        return place == PLACE_CPU;
    return place == PLACE_CPU || map->count == 0 || first_gpu(map) >= 0;
}

int config_first_gpus(const struct config *config)
{
    const struct config_integers *map = &config->device.map;
    int end = map->count == 0 ? min_int(config->pipeline.stages, GPUS_MAX) : 0;

    for (int i = 0; i < map->count; i++)
        end = max_int(end, map->values[i] + 1);
    return end;
}

int place_pin(const struct config *config, int stage)
{
    const struct config_integers *pin = &config->device.pin;

    return pin->count == 0 ? PIN_NEXT : pin->values[pin->count == 1 ? 0 : stage - 1];
}

void place_check_pins(const struct config *config, struct config_mistakes *mistakes)
{
    const struct config_integers *pin = &config->device.pin;
    const int stages = config->pipeline.stages;

    if (pin->count == 1 && pin->values[0] == PIN_NO)
        return;
    if (pin->count > 0 && pin->count != stages)
        config_mistake(mistakes, "device.pin", "%d cores, but there are %d stages; give one for each, auto, or no",
                       pin->count, stages);
    if (config->device.threads > 1)
        config_mistake(mistakes, "device.pin",
                       "a stage has %d threads, and they would share one core; use no, or device.threads = 1",
                       config->device.threads);
}

void place_check_map(const struct config *config, struct config_mistakes *mistakes)
{
    const struct config_integers *map = &config->device.map;
    const char *backend = config->device.backend;
    char text[CONFIG_PATH_MAX];

    if (map->count == 0)
        return;
    config_format_integers(config, "device.map", text, sizeof(text));
    if (map->count != config->pipeline.stages)
        config_mistake(mistakes, "device.map", "%s is for %d stages, but pipeline.stages is %d", text, map->count,
                       config->pipeline.stages);
    if (!config_may_use(config, PLACE_GPU) && strcmp(backend, "auto") != 0)
        config_mistake(mistakes, "device.map",
                       backend_place(backend) == PLACE_GPU
                           ? "%s has no GPU for device.backend = %s; use auto, or a GPU's number for some stage"
                           : "%s is for GPUs, and device.backend = %s computes on the CPU; use auto",
                       text, backend);
}

/* All machines are taken to be like the coordinator's. Neighbours together: as few links as there can be lead from one GPU to another. */
static int gpu_of(const struct plan *plan, const struct machine_facts *machine, int s)
{
    const int own = plan_machine_of(plan, s), stages = plan_machine_stages(plan, own);

    return (s - plan_first_stage(plan, own)) * min_int(machine->gpu_count, stages) / stages;
}

static int check_gpus(const struct config *config, const struct machine_facts *machine,
                      struct config_mistakes *mistakes)
{
    const struct config_integers *map = &config->device.map;
    const int count = machine->gpu_count, first = first_gpu(map);
    const char *why = machine->why_not[PLACE_GPU].text;

    if (!machine->backends[PLACE_GPU][0]) {
        if (first >= 0)
            config_mistake(mistakes, "device.map", "GPU %d, but no GPU can be used: %s", first, why);
        else if (backend_place(config->device.backend) == PLACE_GPU)
            config_mistake(mistakes, "device.backend", "%s, but no GPU can be used: %s", gpu_backend, why);
        return mistakes->count > 0 ? -1 : 0;
    }
    for (int i = 0; i < map->count; i++) {
        if (map->values[i] < count)
            continue;
        config_mistake(mistakes, "device.map", "GPU %d, but there %s %d; the first is 0", map->values[i],
                       count == 1 ? "is only" : "are only", count);
        return -1;
    }
    return 0;
}

static enum link_path path_between(const struct plan *plan, const struct machine_facts *machine, int link)
{
    const int before = plan_stage_of(plan, link), after = plan_stage_of(plan, link + 1);
    const int from = plan_stage(plan, before)->device, to = plan_stage(plan, after)->device;
    const enum stage_place one = plan_place_of(plan, before), other = plan_place_of(plan, after);

    if (one == PLACE_CPU && other == PLACE_CPU)
        return LINK_SHARED;
    /* Activations go one way, gradients the other. Not even to itself does every GPU export memory, which one stage's
     * parts do not need. */
    if (before == after ||
        (one == other && !plan_link_leaves(plan, link) && machine->reaches[from][to] && machine->reaches[to][from]))
        return LINK_DEVICE;
    return LINK_STAGED;
}

int plan_place(struct plan *plan, const struct machine_facts *machine, struct config_mistakes *mistakes)
{
    const struct config_integers *map = &plan->config.device.map;
    const bool gpus = config_may_use(&plan->config, PLACE_GPU) && machine->backends[PLACE_GPU][0];

    if (config_may_use(&plan->config, PLACE_GPU) && check_gpus(&plan->config, machine, mistakes))
        return -1;
    if (!machine->backends[PLACE_CPU][0]) {
        config_mistake(mistakes, "device.backend", "%s", machine->why_not[PLACE_CPU].text);
        return -1;
    }
    memcpy(plan->backend, machine->backends[gpus ? PLACE_GPU : PLACE_CPU], sizeof(plan->backend));
    for (int s = 1; s <= plan->stage_count; s++) {
        struct plan_stage *stage = plan_fill_stage(plan, s);
        const bool on_gpu = gpus && (map->count == 0 || map->values[s - 1] != MAP_CPU);

        memcpy(stage->backend, machine->backends[on_gpu ? PLACE_GPU : PLACE_CPU], sizeof(stage->backend));
        stage->device = !on_gpu ? 0 : map->count > 0 ? map->values[s - 1] : gpu_of(plan, machine, s);
    }
    for (int link = 1; link < plan->part_count; link++)
        plan_fill_part(plan, link)->link = path_between(plan, machine, link);
    plan_fill_part(plan, plan->part_count)->link = LINK_SHARED;
    return 0;
}

/* One of those that device.backend names, but for "auto". */
static bool is_backend(const char name[CONFIG_NAME_MAX])
{
    const struct config_key *key = config_key_find("device.backend");
    const char *choice;

    for (int i = 0; (choice = config_key_choice(key, i)) != NULL; i++)
        if (strncmp(choice, name, CONFIG_NAME_MAX) == 0)
            return strcmp(choice, "auto") != 0;
    return false;
}

static bool stage_is_placed(const struct plan *plan, int s)
{
    const struct plan_stage *stage = plan_stage(plan, s);
    const struct config_integers *map = &plan->config.device.map;
    const bool on_gpu = plan_place_of(plan, s) == PLACE_GPU;

    if (!config_may_use(&plan->config, plan_place_of(plan, s)) || stage->device < 0 || stage->device >= GPUS_MAX ||
        (!on_gpu && stage->device != 0))
        return false;
    if (map->count == 0)
        return strcmp(stage->backend, plan->backend) == 0;
    return map->count == plan->stage_count && map->values[s - 1] == (on_gpu ? stage->device : MAP_CPU);
}

/* Whether a path can be what two places lead to: that GPUs reach each other cannot be known here. */
static bool path_is_sound(const struct plan *plan, int link)
{
    const int before = plan_stage_of(plan, link), after = plan_stage_of(plan, link + 1);
    const enum stage_place one = plan_place_of(plan, before), other = plan_place_of(plan, after);

    switch (plan_part(plan, link)->link) {
    case LINK_SHARED:
        return one == PLACE_CPU && other == PLACE_CPU;
    case LINK_DEVICE:
        return one == PLACE_GPU && other == PLACE_GPU && !plan_link_leaves(plan, link);
    case LINK_STAGED:
        return (one == PLACE_GPU || other == PLACE_GPU) && before != after;
    case LINK_PATHS:
        break;
    }
    return false;
}

bool places_are_sound(const struct plan *plan)
{
    if (!is_backend(plan->backend))
        return false;
    for (int s = 1; s <= plan->stage_count; s++)
        if (!is_backend(plan_stage(plan, s)->backend) || !stage_is_placed(plan, s))
            return false;
    for (int link = 1; link < plan->part_count; link++)
        if (!path_is_sound(plan, link))
            return false;
    return plan_part(plan, plan->part_count)->link == LINK_SHARED;
}
