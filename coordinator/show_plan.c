#include "coordinator/show_plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/version.h"
#include "plan/config_json.h"
#include "transport/rings.h"

static double mebibytes(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

size_t memory_total(const size_t memory[MEMORY_CATEGORIES])
{
    size_t total = 0;

    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        total += memory[c];
    return total;
}

/* "272,474" */
static const char *with_commas(size_t number, char text[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%zu", number), used = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

static void print_header(FILE *out, const struct plan *plan, const struct network *network)
{
    const struct config *config = &plan->config;
    const struct schedule *schedule = &plan->schedule;
    const struct system *system = system_find(config->pipeline.system);
    char parameters[32], train[32], test[32];

    fprintf(out, "network   %s: %s parameters, %d layers in %d blocks, %d classes\n", config->model.arch,
            with_commas(network->parameters, parameters), network->layer_count, network->block_count, network->classes);
    fprintf(out, "data      %s: %s + %s images of %d x %d x %d\n", config->data.set,
            with_commas((size_t)plan->data.train_count, train), with_commas((size_t)plan->data.test_count, test),
            plan->data.shape.height, plan->data.shape.width, plan->data.shape.channels);
    fprintf(out, "system    %s (%s)\n", system->name, system->source);
    fprintf(out, "          order %s: %s\n", schedule->order.name, schedule->order.summary);
    fprintf(out, "          forwards read %s weights, backwards %s ones; update %s\n",
            forward_rule_name(schedule->forward), backward_rule_name(schedule->backward), system->update);
    fprintf(out, "epoch     %d mini-batches (M = %d", plan->minibatches_per_epoch, config->data.batch);
    if (plan->last_minibatch_rows != config->data.batch)
        fprintf(out, ", the last %d", plan->last_minibatch_rows);
    fprintf(out, "), N = %d micro-batches each\n", schedule->microbatches);
}

static bool has_gpus(const struct plan *plan)
{
    return backend_place(plan->backend) == PLACE_GPU;
}

static void print_predictions(FILE *out, const struct plan *plan)
{
    const struct config *config = &plan->config;

    fprintf(out, "pipeline  W = %d stages, %s order, backend %s", plan->stage_count,
            config->pipeline.order == RUN_STATIC ? "static" : "dynamic", plan->backend);
    if (!has_gpus(plan))
        fprintf(out, ", %d thread%s each", config->device.threads, config->device.threads == 1 ? "" : "s");
    fprintf(out, "; partition by %s\n",
            config->pipeline.partition.count > 0 ? "hand"
            : plan->costs_measured               ? "measured time"
                                                 : "floating-point operations");
    if (plan->version_difference_exact > 0)
        fprintf(out, "version difference v: papers %d, exact %d, simulated %d", plan->version_difference_paper,
                plan->version_difference_exact, plan->version_difference_simulated);
    else
        fprintf(out, "version difference v: simulated %d", plan->version_difference_simulated);
    fprintf(out, "; bubble: %.1f%% of the unit-time schedule\n\n", 100.0 * plan->bubble_fraction);
}

/* "peak of room", or one number where they are the same. */
static const char *peak_of_room(int peak, int room, char text[32])
{
    if (peak == room)
        snprintf(text, 32, "%d", peak);
    else
        snprintf(text, 32, "%d of %d", peak, room);
    return text;
}

const char *place_text(const struct plan *plan, int stage, char text[16])
{
    if (plan_place_of(plan, stage) == PLACE_GPU)
        snprintf(text, 16, "gpu %d", plan->stages[stage - 1].device);
    else
        snprintf(text, 16, "cpu");
    return text;
}

void place_print_head(FILE *out, const struct plan *plan, int indent)
{
    if (has_gpus(plan))
        fprintf(out, "%*s  runs on  backend     link", indent, "");
    fputc('\n', out);
}

void place_print(FILE *out, const struct plan *plan, int stage)
{
    const struct plan_stage *own = &plan->stages[stage - 1];
    char place[16];

    if (has_gpus(plan))
        fprintf(out, "  %-7s  %-10s  %s", place_text(plan, stage, place), own->backend,
                stage < plan->stage_count ? link_path_name(own->link) : "-");
    fputc('\n', out);
}

/* What the paths of links mean that there are. */
static void print_paths(FILE *out, const struct plan *plan)
{
    static const char *const meanings[LINK_PATHS] = {
        [LINK_DEVICE] = "device: a stage writes straight into its neighbour's GPU memory",
        [LINK_STAGED] = "staged: copied through the host's shared memory",
    };
    bool there[LINK_PATHS] = {false};

    for (int link = 1; link < plan->stage_count; link++)
        there[plan->stages[link - 1].link] = true;
    for (int path = 0; path < LINK_PATHS; path++)
        if (there[path] && meanings[path])
            fprintf(out, "link %s\n", meanings[path]);
}

static void print_stages(FILE *out, const struct plan *plan)
{
    fprintf(out, "stage   blocks  layers  parameters         input  compute  versions  in flight");
    place_print_head(out, plan, 0);
    for (int s = 1; s <= plan->stage_count; s++) {
        const struct plan_stage *stage = &plan->stages[s - 1];
        char blocks[32], parameters[32], input[48], versions[32], in_flight[32];

        if (stage->slice.block_count == 1)
            snprintf(blocks, sizeof(blocks), "%d", stage->slice.first_block);
        else
            snprintf(blocks, sizeof(blocks), "%d-%d", stage->slice.first_block,
                     stage->slice.first_block + stage->slice.block_count - 1);
        snprintf(input, sizeof(input), "%dx%dx%d", stage->input.height, stage->input.width, stage->input.channels);
        fprintf(out, "%5d %8s %7d %11s %13s %7.1f%% %9s %10s", s, blocks, stage->slice.layer_count,
                with_commas(stage->slice.parameters, parameters), input, 100.0 * stage->compute_share,
                peak_of_room(stage->weight_versions, stage->weight_version_buffers, versions),
                peak_of_room(stage->slots_in_flight, stage->activation_sets, in_flight));
        place_print(out, plan, s);
    }
    fprintf(out, "versions, %s in flight: most at once on the unit-time schedule (of the room made)\n",
            plan->schedule.order.whole_backward ? "mini-batches" : "micro-batches");
    print_paths(out, plan);
    fputc('\n', out);
}

static void print_memory_row(FILE *out, const char *label, const size_t memory[MEMORY_CATEGORIES])
{
    fprintf(out, "%5s", label);
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        fprintf(out, " %11.2f", mebibytes(memory[c]));
    fprintf(out, " %9.2f\n", mebibytes(memory_total(memory)));
}

static void print_memory(FILE *out, const struct plan *plan)
{
    size_t sums[MEMORY_CATEGORIES] = {0};

    fprintf(out, "MiB  ");
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        fprintf(out, " %11s", memory_category_name((enum memory_category)c));
    fprintf(out, " %9s\n", "total");
    for (int s = 1; s <= plan->stage_count; s++) {
        char label[16];

        snprintf(label, sizeof(label), "%d", s);
        print_memory_row(out, label, plan->stages[s - 1].memory);
        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            sums[c] += plan->stages[s - 1].memory[c];
    }
    print_memory_row(out, "all", sums);
}

void plan_print(FILE *out, const struct plan *plan, const struct network *network)
{
    print_header(out, plan, network);
    print_predictions(out, plan);
    print_stages(out, plan);
    print_memory(out, plan);
}

/* Slots until stage 1 is done with the first `minibatches` mini-batches. */
static int slots_of(const struct simulation *simulation, int minibatches)
{
    const struct stage_order *order = &simulation->stages[0];
    int slots = 0;

    for (int k = 0; k < order->op_count; k++)
        if (order->ops[k].minibatch <= minibatches && order->slots[k] >= slots)
            slots = order->slots[k] + 1;
    return slots;
}

int plan_print_grid(FILE *out, const struct plan *plan, int slots, int minibatches, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *simulation;

    if (minibatches > 0)
        schedule.minibatches = minibatches;
    if (simulate_slots(&schedule, (struct link_slots){0, 0}, &simulation, error))
        return -1;
    if (slots == 0)
        slots = slots_of(simulation, 3);
    for (int s = 1; s <= schedule.stages; s++) {
        char *line = simulation_grid_line(simulation, &schedule, s, slots);

        if (!line) {
            simulation_destroy(simulation);
            return error_set(error, "out of memory for the grid");
        }
        fprintf(out, "%s\n", line);
        free(line);
    }
    simulation_destroy(simulation);
    return 0;
}

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

/* Null where a stage has none: a GPU's number, a link to the stage after. */
static json_t *device_json(const struct plan *plan, int s)
{
    return plan_place_of(plan, s) == PLACE_GPU ? json_integer(plan->stages[s - 1].device) : json_null();
}

static json_t *link_json(const struct plan *plan, int s)
{
    return s < plan->stage_count ? json_string(link_path_name(plan->stages[s - 1].link)) : json_null();
}

static json_t *stage_json(const struct plan *plan, const struct network *network, int s)
{
    const struct plan_stage *stage = &plan->stages[s - 1];
    const struct slice *slice = &stage->slice;
    json_t *names = json_array();

    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++)
        json_array_append_new(names, json_string(network->layers[l].name));
    /* clang-format off */
    return json_pack("{s:i, s:s, s:o, s:o, s:i, s:i, s:i, s:o, s:I, s:I, s:o, s:o, s:f, s:i, s:i, s:i, s:i, s:i, s:o}",
                     "stage", s,
                     "backend", stage->backend,
                     "device", device_json(plan, s),
                     "link", link_json(plan, s),
                     "first_block", slice->first_block,
                     "blocks", slice->block_count,
                     "layers", slice->layer_count,
                     "layer_names", names,
                     "parameters", (json_int_t)slice->parameters,
                     "state", (json_int_t)slice->state,
                     "input", shape_json(stage->input),
                     "output", shape_json(stage->output),
                     "compute_share", stage->compute_share,
                     "weight_versions", stage->weight_versions,
                     "weight_version_buffers", stage->weight_version_buffers,
                     "minibatches_in_flight", stage->minibatches_in_flight,
                     "slots_in_flight", stage->slots_in_flight,
                     "activation_sets", stage->activation_sets,
                     "memory_bytes", memory_json(stage->memory));
    /* clang-format on */
}

static json_t *rules_json(const struct plan *plan)
{
    const struct schedule *schedule = &plan->schedule;

    return json_pack("{s:s, s:s, s:s, s:s}", "order", schedule->order.name, "forward",
                     forward_rule_name(schedule->forward), "backward", backward_rule_name(schedule->backward), "update",
                     system_find(plan->config.pipeline.system)->update);
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

json_t *plan_json(const struct plan *plan, const struct network *network)
{
    json_t *stages = json_array();

    for (int s = 1; s <= plan->stage_count; s++)
        json_array_append_new(stages, stage_json(plan, network, s));
    /* clang-format off */
    return json_pack("{s:s, s:s, s:o, s:i, s:i, s:s, s:o, s:o, s:o, s:f, s:b, s:i, s:I, s:o, s:o}",
                     "tp_version", version_text(),
                     "system", plan->config.pipeline.system,
                     "rules", rules_json(plan),
                     "stages", plan->stage_count,
                     "microbatches", plan->schedule.microbatches,
                     "backend", plan->backend,
                     "network", network_json(plan, network),
                     "data", data_json(plan),
                     "version_difference", version_difference_json(plan),
                     "bubble_fraction", plan->bubble_fraction,
                     "costs_measured", (int)plan->costs_measured,
                     "gradient_slots", plan->gradient_slots,
                     "shared_memory_bytes", (json_int_t)segment_size(plan, rings_bytes),
                     "stage", stages,
                     "config", config_json(&plan->config));
    /* clang-format on */
}
