#include "coordinator/devices.h"

#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/numbers.h"
#include "coordinator/child.h"
#include "coordinator/environment.h"
#include "coordinator/show_plan.h"
#include "device/cores.h"
#include "kernels/backend.h"

/* A driver that hangs is known to happen; one that works answers within seconds. */
enum { ANSWER_SECONDS = 60 };

/* The fastest there of that name, or of any. */
static void find_backend(struct machine_facts *machine, enum stage_place place, const char *name)
{
    struct error *why = &machine->why_not[place];
    const struct backend *backend;

    for (int n = 0; (backend = backend_at(n)); n++) {
        if (backend_place(backend->name) != place || (name && strcmp(backend->name, name) != 0))
            continue;
        if (backend->available(why) == 0) {
            memcpy(machine->backends[place], backend->name, strlen(backend->name) + 1);
            return;
        }
        error_prefix(why, "%s", backend->name);
    }
    if (why->text[0] == '\0')
        error_set(why, "%s is not built in", name ? name : "no backend");
}

static void describe(struct devices *devices, int count)
{
    devices->described = min_int(count, devices->machine.gpu_count);
    for (int g = 0; g < devices->described; g++) {
        struct gpu *gpu = &devices->gpus[g];

        if (device_cuda.facts(g, &gpu->facts, &gpu->error) == 0)
            gpu->error.text[0] = '\0';
        for (int other = 0; other < devices->described; other++)
            devices->machine.reaches[g][other] = device_cuda.peers(g, other);
    }
}

/* In the child. Nothing but this asks a driver anything before stages start. */
static int find(const void *context, void *result, struct error *error)
{
    const struct config *config = context;
    struct devices *devices = result;
    struct machine_facts *machine = &devices->machine;
    const char *name = config ? config->device.backend : "auto";
    const bool on_cpu = strcmp(name, "auto") != 0 && backend_place(name) == PLACE_CPU;

    (void)error;
    find_backend(machine, PLACE_CPU, on_cpu ? name : NULL);
    if (config && !config_may_use(config, PLACE_GPU))
        return 0;
    if (!&device_cuda) {
        error_set(&machine->why_not[PLACE_GPU], "this tpcoord was built without CUDA");
        return 0;
    }
    machine->gpu_count = min_int(device_cuda.count(&machine->why_not[PLACE_GPU]), GPUS_MAX);
    devices->gpu_seen = machine->gpu_count > 0 || access("/dev/nvidiactl", F_OK) == 0;
    if (machine->gpu_count > 0)
        find_backend(machine, PLACE_GPU, NULL);
    describe(devices, config ? config_first_gpus(config) : GPUS_MAX);
    return 0;
}

int devices_find(struct devices *devices, const struct config *config, struct signals *signals, struct error *error)
{
    const struct child_task task = {
        .name = "the search for devices",
        .run = find,
        .context = config,
        .result = devices,
        .result_bytes = sizeof(*devices),
        .seconds = ANSWER_SECONDS,
        .slow = "the GPUs' driver",
        .advice = "device.backend = onednn does without",
        .signals = signals,
    };

    memset(devices, 0, sizeof(*devices));
    return child_run(&task, error) ? error_prefix(error, "looking for devices") : 0;
}

int devices_check_room(const struct devices *devices, const struct plan *plan, struct error *error)
{
    for (int gpu = 0; gpu < devices->described; gpu++) {
        const struct device_facts *facts = &devices->gpus[gpu].facts;
        size_t planned = 0;

        for (int s = 1; s <= plan->stage_count; s++)
            if (plan_place_of(plan, s) == PLACE_GPU && plan_stage(plan, s)->device == gpu)
                planned += memory_total(plan_stage(plan, s)->memory);
        if (!devices->gpus[gpu].error.text[0] && planned > facts->free_bytes)
            return error_set(
                error,
                "the stages on GPU %d need %zu MiB of its memory and it has %zu MiB free; lower data.batch, "
                "use more GPUs (device.map), or pipeline.backward_activations = recompute",
                gpu, (planned >> 20) + 1, facts->free_bytes >> 20);
    }
    return 0;
}

const char *devices_gpu_left_out(const struct devices *devices, const struct config *config)
{
    const bool left_out =
        devices->gpu_seen && config_may_use(config, PLACE_GPU) && !devices->machine.backends[PLACE_GPU][0];

    return left_out ? devices->machine.why_not[PLACE_GPU].text : NULL;
}

const char *devices_backends(enum stage_place place, char text[128])
{
    const struct backend *backend;

    text[0] = '\0';
    for (int n = 0; (backend = backend_at(n)); n++)
        if (place == PLACES || backend_place(backend->name) == place)
            snprintf(text + strlen(text), 128 - strlen(text), "%s%s", text[0] ? ", " : "", backend->name);
    return text;
}

static double gibibytes(size_t bytes)
{
    return (double)bytes / (1 << 30);
}

static void print_gpu(FILE *out, const struct devices *devices, int g)
{
    const struct gpu *gpu = &devices->gpus[g];
    const struct device_facts *facts = &gpu->facts;
    bool reaches = false;

    fprintf(out, "gpu %-3d  ", g);
    if (gpu->error.text[0]) {
        fprintf(out, "cannot be used: %s\n", gpu->error.text);
        return;
    }
    fprintf(out, "%s, %.1f of %.1f GiB free, compute capability %d.%d, %s\n", facts->name, gibibytes(facts->free_bytes),
            gibibytes(facts->memory_bytes), facts->major, facts->minor, facts->id);
    for (int other = 0; other < devices->described; other++) {
        if (other == g || !devices->machine.reaches[g][other])
            continue;
        fprintf(out, "%s %d", reaches ? "," : "         reaches the memory of gpu", other);
        reaches = true;
    }
    if (reaches)
        fputc('\n', out);
}

void devices_print(FILE *out, const struct devices *devices)
{
    char name[128], backends[128];

    if (!environment_processor(name, sizeof(name)))
        snprintf(name, sizeof(name), "unknown processor");
    fprintf(out, "cpu      %s, %d core%s; backends %s\n", name, cores_count(), cores_count() == 1 ? "" : "s",
            devices_backends(PLACE_CPU, backends));
    for (int g = 0; g < devices->described; g++)
        print_gpu(out, devices, g);
    if (!devices->machine.backends[PLACE_GPU][0])
        fprintf(out, "no GPU can be used: %s\n", devices->machine.why_not[PLACE_GPU].text);
}

static json_t *gpu_json(const struct devices *devices, int g)
{
    const struct device_facts *facts = &devices->gpus[g].facts;
    json_t *reaches = json_array();

    for (int other = 0; other < devices->described; other++)
        if (other != g && devices->machine.reaches[g][other])
            json_array_append_new(reaches, json_integer(other));
    if (devices->gpus[g].error.text[0])
        return json_pack("{s:i, s:o, s:o}", "gpu", g, "error", text_json(devices->gpus[g].error.text), "reaches",
                         reaches);
    /* clang-format off */
    return json_pack("{s:i, s:o, s:o, s:I, s:I, s:[i, i], s:o}",
                     "gpu", g,
                     "name", text_json(facts->name),
                     "id", text_json(facts->id),
                     "memory_bytes", (json_int_t)facts->memory_bytes,
                     "free_bytes", (json_int_t)facts->free_bytes,
                     "compute_capability", facts->major, facts->minor,
                     "reaches", reaches);
    /* clang-format on */
}

json_t *devices_json(const struct devices *devices)
{
    const bool usable = devices->machine.backends[PLACE_GPU][0] != '\0';
    json_t *gpus = json_array(), *backends = json_array();
    const struct backend *backend;
    char name[128];

    if (!environment_processor(name, sizeof(name)))
        snprintf(name, sizeof(name), "unknown processor");
    for (int n = 0; (backend = backend_at(n)); n++)
        if (backend_place(backend->name) == PLACE_CPU)
            json_array_append_new(backends, json_string(backend->name));
    for (int g = 0; g < devices->described; g++)
        json_array_append_new(gpus, gpu_json(devices, g));
    return json_pack("{s:{s:o, s:i, s:o}, s:o, s:o}", "cpu", "name", text_json(name), "cores", cores_count(),
                     "backends", backends, "gpus", gpus, "no_gpu_because",
                     usable ? json_null() : text_json(devices->machine.why_not[PLACE_GPU].text));
}

static bool is_used(const struct plan *plan, int g)
{
    for (int s = 1; s <= plan->stage_count; s++)
        if (plan_place_of(plan, s) == PLACE_GPU && plan_stage(plan, s)->device == g)
            return true;
    return false;
}

void devices_print_used(FILE *out, const struct devices *devices, const struct plan *plan)
{
    if (backend_place(plan->backend) == PLACE_GPU)
        fputc('\n', out);
    for (int g = 0; g < devices->described; g++)
        if (is_used(plan, g))
            fprintf(out, "gpu %-5d %s, %s\n", g, devices->gpus[g].facts.name, devices->gpus[g].facts.id);
}

json_t *devices_used_json(const struct devices *devices, const struct plan *plan)
{
    json_t *gpus = json_array();

    for (int g = 0; g < devices->described; g++)
        if (is_used(plan, g))
            json_array_append_new(gpus, gpu_json(devices, g));
    return gpus;
}
