/* The plan for scripts. */
#include "base/json.h"
#include "base/numbers.h"
#include "base/version.h"
#include "coordinator/show_plan.h"
#include "coordinator/show_rules.h"
#include "plan/config_json.h"
#include "plan/idle.h"
#include "plan/replay.h"
#include "transport/rings.h"

json_t *memory_json(const size_t memory[MEMORY_CATEGORIES])
{
    json_t *object = json_object();

    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        json_object_set_new(object, memory_category_name((enum memory_category)c), json_integer((json_int_t)memory[c]));
    json_object_set_new(object, "total", json_integer((json_int_t)memory_total(memory)));
    return object;
}

static json_t *shape_json(struct shape shape)
{
    return json_pack("[i, i, i]", shape.height, shape.width, shape.channels);
}

/* Null where there is none: a GPU's number, a link to the part after. */
static json_t *device_json(const struct plan *plan, int s)
{
    return plan_place_of(plan, s) == PLACE_GPU ? json_integer(plan_stage(plan, s)->device) : json_null();
}

static json_t *link_json(const struct plan *plan, int part)
{
    return part < plan->part_count ? json_string(link_path_name(plan_part(plan, part)->link)) : json_null();
}

static json_t *part_json(const struct plan *plan, const struct network *network, int k)
{
    const struct plan_part *part = plan_part(plan, k);
    const struct slice *slice = &part->slice;
    json_t *names = json_array();

    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++)
        json_array_append_new(names, json_string(network->layers[l].name));
    /* clang-format off */
    return json_pack("{s:i, s:o, s:i, s:i, s:i, s:o, s:I, s:I, s:o, s:o, s:f, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}",
                     "part", k,
                     "link", link_json(plan, k),
                     "first_block", slice->first_block,
                     "blocks", slice->block_count,
                     "layers", slice->layer_count,
                     "layer_names", names,
                     "parameters", (json_int_t)slice->parameters,
                     "state", (json_int_t)slice->state,
                     "input", shape_json(part->input),
                     "output", shape_json(part->output),
                     "compute_share", part->compute_share,
                     "weight_versions", part->weight_versions,
                     "weight_version_buffers", part->weight_version_buffers,
                     "minibatches_in_flight", part->minibatches_in_flight,
                     "slots_in_flight", part->slots_in_flight,
                     "tau", plan_staleness(plan, k),
                     "activation_sets", part->activation_sets,
                     "activation_slots", part->activation_slots,
                     "gradient_slots", part->gradient_slots,
                     "memory_bytes", memory_json(part->memory));
    /* clang-format on */
}

/* Sums over the parts of a stage, or the most of any. */
struct stage_sums {
    int layers, weight_versions, minibatches_in_flight, slots_in_flight, activation_sets;
    size_t parameters;
};

static struct stage_sums sum_of_parts(const struct plan *plan, int s)
{
    struct stage_sums sums = {0};

    for (int index = 0; index < plan->schedule.parts; index++) {
        const struct plan_part *part = plan_part(plan, plan_part_of(plan, s, index));

        sums.layers += part->slice.layer_count;
        sums.parameters += part->slice.parameters;
        sums.weight_versions = max_int(sums.weight_versions, part->weight_versions);
        sums.minibatches_in_flight = max_int(sums.minibatches_in_flight, part->minibatches_in_flight);
        sums.slots_in_flight += part->slots_in_flight;
        sums.activation_sets += part->activation_sets;
    }
    return sums;
}

/* With one part per stage, what is a part's is the stage's. */
static json_t *stage_json(const struct plan *plan, const struct network *network, int s)
{
    const struct stage_sums sums = sum_of_parts(plan, s);
    json_t *stage, *parts = json_array();

    for (int index = 0; index < plan->schedule.parts; index++)
        json_array_append_new(parts, part_json(plan, network, plan_part_of(plan, s, index)));
    stage = plan->schedule.parts > 1 ? json_object() : json_copy(json_array_get(parts, 0));
    /* clang-format off */
    json_object_update_new(stage, json_pack("{s:i, s:s, s:o, s:i, s:I, s:f, s:i, s:i, s:i, s:i, s:o}",
                     "stage", s,
                     "backend", plan_stage(plan, s)->backend,
                     "device", device_json(plan, s),
                     "layers", sums.layers,
                     "parameters", (json_int_t)sums.parameters,
                     "compute_share", plan_stage(plan, s)->compute_share,
                     "weight_versions", sums.weight_versions,
                     "minibatches_in_flight", sums.minibatches_in_flight,
                     "slots_in_flight", sums.slots_in_flight,
                     "activation_sets", sums.activation_sets,
                     "memory_bytes", memory_json(plan_stage(plan, s)->memory)));
    /* clang-format on */
    json_object_del(stage, "part");
    json_object_set_new(stage, "parts", parts);
    return stage;
}

static json_t *network_json(const struct plan *plan, const struct network *network)
{
    return json_pack("{s:s, s:i, s:i, s:I, s:o, s:i}", "arch", plan->config.model.arch, "blocks", network->block_count,
                     "layers", network->layer_count, "parameters", (json_int_t)network->parameters, "input",
                     shape_json(network->input), "classes", network->classes);
}

static json_t *data_json(const struct plan *plan)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i}", "set", plan->config.data.set, "train", plan->data.train_count,
                     "test", plan->data.test_count, "batch", plan->config.data.batch, "minibatches_per_epoch",
                     plan->minibatches_per_epoch, "last_minibatch_rows", plan->last_minibatch_rows);
}

/* Null where the closed form does not hold for the system. */
static json_t *closed_form_json(int difference)
{
    return difference > 0 ? json_integer(difference) : json_null();
}

static json_t *version_difference_json(const struct plan *plan)
{
    return json_pack("{s:o, s:o, s:i}", "paper", closed_form_json(plan->version_difference_paper), "exact",
                     closed_form_json(plan->version_difference_exact), "simulated", plan->version_difference_simulated);
}

/* Of each choice of pipeline.static, where it matters; else null. */
static json_t *lists_json(const struct plan *plan)
{
    static const char *const names[] = {[STATIC_UNIT] = "unit", [STATIC_NOMINAL] = "nominal"};
    json_t *object = json_object();

    for (int times = STATIC_UNIT; times <= STATIC_NOMINAL; times++) {
        struct replay_figures figures;
        struct error error;

        if (schedule_is_list(&plan->schedule) || plan->stage_count > FIGURES_STAGES_MAX ||
            replay_figures(plan, (enum static_times)times, &figures, &error)) {
            json_decref(object);
            return json_null();
        }
        json_object_set_new(
            object, names[times],
            json_pack("{s:i, s:f}", "version_difference", figures.version_difference, "idle", figures.idle));
    }
    return object;
}

static json_t *idle_json(const struct plan *plan)
{
    struct idle_figures figures;

    if (plan_idle(plan, &figures))
        return json_null();
    return json_pack("{s:f, s:f, s:b}", "unit", figures.unit, "costs", figures.costs, "costs_measured",
                     (int)figures.measured);
}

/* One mini-batch in nominal times, where the order flushes; else null. */
static json_t *schedule_json(const struct plan *plan)
{
    struct schedule schedule = plan_training(plan);
    json_t *idle = json_array(), *peaks = json_array();
    struct simulation *simulation;
    struct error error;
    json_t *object;

    schedule.minibatches = 1;
    if (!schedule.order.flush || simulate_nominal(&schedule, (struct link_slots){0, 0}, false, &simulation, &error)) {
        json_decref(idle);
        json_decref(peaks);
        return json_null();
    }
    for (int s = 0; s < simulation->stage_count; s++) {
        json_array_append_new(idle, json_integer(simulation->duration - simulation->stages[s].busy));
        json_array_append_new(peaks, json_integer(simulation->stages[s].microbatches_in_flight));
    }
    object = json_pack("{s:I, s:o, s:o}", "makespan", (json_int_t)simulation->duration, "idle", idle,
                       "peak_activations", peaks);
    simulation_destroy(simulation);
    return object;
}

/* Null where no run can be. */
static json_t *shared_memory_json(const struct plan *plan)
{
    return plan_fits_run(plan) ? json_integer((json_int_t)segment_size(plan, rings_bytes)) : json_null();
}

json_t *plan_json(const struct plan *plan, const struct network *network)
{
    json_t *stages = json_array();

    for (int s = 1; s <= plan->stage_count; s++)
        json_array_append_new(stages, stage_json(plan, network, s));
    /* clang-format off */
    return json_pack("{s:s, s:s, s:o, s:o, s:i, s:i, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:b, s:o, s:o, s:o}",
                     "tp_version", version_text(),
                     "system", plan->config.pipeline.system,
                     "rules", rules_json(plan),
                     "optimizer", optimizer_json(plan),
                     "stages", plan->stage_count,
                     "parts", plan->schedule.parts,
                     "placement", placement_name(plan->schedule.placement),
                     "microbatches", plan->schedule.microbatches,
                     "backend", plan->backend,
                     "network", network_json(plan, network),
                     "data", data_json(plan),
                     "version_difference", version_difference_json(plan),
                     "schedule", schedule_json(plan),
                     "static", lists_json(plan),
                     "idle", idle_json(plan),
                     "bubble_fraction", plan->bubble_fraction,
                     "costs_measured", (int)plan->costs_measured,
                     "shared_memory_bytes", shared_memory_json(plan),
                     "stage", stages,
                     "config", config_json(&plan->config));
    /* clang-format on */
}
