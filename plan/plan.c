#include "plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/predict.h"

const char *memory_category_name(enum memory_category category)
{
    static const char *const names[MEMORY_CATEGORIES] = {
        [MEMORY_WEIGHTS] = "weights",         [MEMORY_STASH] = "stash",
        [MEMORY_GRADIENTS] = "gradients",     [MEMORY_OPTIMIZER] = "optimizer",
        [MEMORY_ACTIVATIONS] = "activations", [MEMORY_LINKS] = "links",
        [MEMORY_WORKSPACE] = "workspace",
    };

    return names[category];
}

int plan_minibatch_rows(const struct plan *plan, int minibatch)
{
    return minibatch == plan->minibatches_per_epoch ? plan->last_minibatch_rows : plan->config.data.batch;
}

int plan_test_minibatch_rows(const struct plan *plan, int minibatch)
{
    return minibatch == plan->test_minibatches ? plan->last_test_minibatch_rows : plan->config.data.batch;
}

int plan_largest_minibatch_rows(const struct plan *plan)
{
    return max_int(plan_minibatch_rows(plan, 1), plan_test_minibatch_rows(plan, 1));
}

struct data_options plan_data_options(const struct config *config)
{
    const int size = config->data.synthetic_size;

    return (struct data_options){
        .set = config->data.set,
        .dir = config->data.dir,
        .limit = config->data.limit,
        .classes = config->model.classes,
        .synthetic = {size, size, config->data.synthetic_channels},
        .seed = (uint64_t)config->run.seed,
    };
}

struct schedule plan_training(const struct plan *plan)
{
    struct schedule schedule = plan->schedule;

    /* A plan may have been made in another process: the pointers in its copy of the row mean nothing here. */
    schedule.order = orders[system_find(plan->config.pipeline.system)->order];
    return schedule;
}

struct schedule plan_evaluation(const struct plan *plan)
{
    struct schedule schedule = plan_training(plan);

    schedule.minibatches = plan->test_minibatches;
    schedule.forward_only = true;
    return schedule;
}

/* Of the largest mini-batch, whose first micro-batches are the largest. */
int plan_slot_rows(const struct plan *plan)
{
    return microbatch_start(plan_largest_minibatch_rows(plan), plan->schedule.microbatches,
                            schedule_slot_size(&plan->schedule));
}

struct layout_options plan_layout_options(const struct plan *plan, int stage)
{
    return (struct layout_options){
        .rows = plan_slot_rows(plan),
        .microbatches = schedule_slot_size(&plan->schedule),
        .first = stage == 1,
        .last = stage == plan->stage_count,
        .recompute = plan->config.pipeline.backward_activations == ACTIVATIONS_RECOMPUTE,
        .split_backward = plan->schedule.order.split_backward,
    };
}

size_t plan_slot_bytes(const struct plan *plan, int link)
{
    return layout_align((size_t)plan_slot_rows(plan) * shape_size(plan->stages[link - 1].output)) * sizeof(float);
}

bool plan_wants_seconds(const struct plan *plan)
{
    return plan->config.pipeline.order == RUN_DYNAMIC && plan->config.pipeline.partition.count == 0 &&
           plan->stage_count > 1;
}

/* Inserts into an ascending list without duplicates. False if it is full. */
static bool add_rows(int *list, int *count, int rows)
{
    int i = *count;

    while (i > 0 && list[i - 1] > rows)
        i--;
    if (rows == 0 || (i > 0 && list[i - 1] == rows))
        return true;
    if (*count == PLAN_ROWS_MAX)
        return false;
    memmove(&list[i + 1], &list[i], (size_t)(*count - i) * sizeof(*list));
    list[i] = rows;
    ++*count;
    return true;
}

/* Rows of every run of up to `longest` neighbouring micro-batches of a mini-batch. */
static bool add_runs(int *list, int *count, int rows, int microbatches, int longest)
{
    for (int first = 0; first < microbatches; first++)
        for (int end = first + 1; end <= min_int(first + longest, microbatches); end++)
            if (!add_rows(list, count,
                          microbatch_start(rows, microbatches, end) - microbatch_start(rows, microbatches, first)))
                return false;
    return true;
}

/* A whole backward is one call where all its micro-batches read the same weights. */
static bool add_backward(const struct plan *plan, int rows, struct plan_rows *out)
{
    const struct schedule *schedule = &plan->schedule;

    if (!schedule->order.whole_backward)
        return add_runs(out->backward, &out->backward_count, rows, schedule->microbatches, 1);
    if (schedule->backward == BACKWARD_LIVE || schedule->backward == BACKWARD_COMMITTED)
        return add_rows(out->backward, &out->backward_count, rows);
    return add_runs(out->backward, &out->backward_count, rows, schedule->microbatches, schedule->microbatches);
}

int plan_rows(const struct plan *plan, struct plan_rows *rows)
{
    const int microbatches = plan->schedule.microbatches;
    const int training[] = {plan_minibatch_rows(plan, 1), plan->last_minibatch_rows};
    const int test[] = {plan_test_minibatch_rows(plan, 1), plan->last_test_minibatch_rows};
    bool fits = true;

    *rows = (struct plan_rows){.forward_count = 0};
    for (int i = 0; i < 2; i++) {
        fits = fits && add_runs(rows->forward, &rows->forward_count, training[i], microbatches, 1) &&
               add_runs(rows->forward, &rows->forward_count, test[i], microbatches, 1) &&
               add_runs(rows->group, &rows->group_count, training[i], microbatches, 1) &&
               add_backward(plan, training[i], rows);
    }
    return fits ? 0 : -1;
}

static void choose_rules(struct plan *plan, struct config_mistakes *mistakes)
{
    const struct config *config = &plan->config;
    const struct system *system = system_find(config->pipeline.system);
    struct schedule *schedule = &plan->schedule;

    schedule->order = orders[system->order];
    schedule->forward = system->forward;
    schedule->backward = system->backward;
    if (config->pipeline.forward_weights != RULE_OF_SYSTEM)
        schedule->forward = (enum forward_rule)config->pipeline.forward_weights;
    if (config->pipeline.backward_weights != RULE_OF_SYSTEM)
        schedule->backward = (enum backward_rule)config->pipeline.backward_weights;
    /* A flush leaves one version, so every pass reads the same one on all stages. */
    if (!config->pipeline.vertical_sync || schedule->forward == FORWARD_PINNED || schedule->order.flush)
        return;
    if (schedule->forward == FORWARD_LIVE && config->pipeline.forward_weights == RULE_OF_SYSTEM)
        schedule->forward = FORWARD_PINNED;
    else
        config_mistake(mistakes, "pipeline.vertical_sync", "yes pins the forwards' weights, but %s says %s; use no",
                       config->pipeline.forward_weights == RULE_OF_SYSTEM ? system->name : "forward_weights",
                       forward_rule_name(schedule->forward));
}

static void check_schedule(const struct plan *plan, struct config_mistakes *mistakes)
{
    const int needed = plan->schedule.order.microbatches;
    struct error error;

    if (schedule_check(&plan->schedule, &error) == 0)
        return;
    config_mistake(mistakes,
                   needed > 0 && plan->schedule.microbatches != needed ? "pipeline.microbatches" : "pipeline.system",
                   "%s", error.text);
}

/* How an epoch and the test set fall into mini-batches. */
static void count_minibatches(struct plan *plan, struct config_mistakes *mistakes)
{
    const int batch = plan->config.data.batch, train = plan->data.train_count, test = plan->data.test_count;

    plan->minibatches_per_epoch = train / batch;
    plan->last_minibatch_rows = batch;
    if (plan->config.data.last_batch == LAST_BATCH_KEEP && train % batch > 0) {
        plan->minibatches_per_epoch++;
        plan->last_minibatch_rows = train % batch;
    }
    plan->test_minibatches = (test + batch - 1) / batch;
    plan->last_test_minibatch_rows = test - (plan->test_minibatches - 1) * batch;
    if (plan->minibatches_per_epoch == 0)
        config_mistake(mistakes, "data.batch", "%d is more than the %d training images, and data.last_batch = drop",
                       batch, train);
    if (plan->schedule.microbatches > batch)
        config_mistake(mistakes, "pipeline.microbatches",
                       "%d micro-batches, but a mini-batch has only %d images (data.batch)",
                       plan->schedule.microbatches, batch);
    else if (plan->schedule.microbatches > train)
        config_mistake(mistakes, "pipeline.microbatches",
                       "%d micro-batches, but the training set has only %d image%s in all", plan->schedule.microbatches,
                       train, train == 1 ? "" : "s");
}

static void check_rows(const struct plan *plan, struct config_mistakes *mistakes)
{
    struct plan_rows rows;

    if (plan_rows(plan, &rows))
        config_mistake(mistakes, "pipeline.microbatches",
                       "backwards over any run of %d micro-batches have more than %d sizes; use fewer micro-batches",
                       plan->schedule.microbatches, PLAN_ROWS_MAX);
}

static void check_partition(const struct plan *plan, const struct network *network, struct config_mistakes *mistakes)
{
    const struct config *config = &plan->config;
    char partition[CONFIG_PATH_MAX];
    int blocks = 0;

    if (plan->stage_count > network->block_count)
        config_mistake(mistakes, "pipeline.stages", "%d stages, but %s has only %d blocks to share out; use 1 to %d",
                       plan->stage_count, config->model.arch, network->block_count,
                       min_int(network->block_count, MAX_STAGES));
    if (config->pipeline.partition.count == 0)
        return;
    config_format_integers(config, "pipeline.partition", partition, sizeof(partition));
    if (config->pipeline.partition.count != plan->stage_count) {
        config_mistake(mistakes, "pipeline.partition", "%s is for %d stages, but pipeline.stages is %d", partition,
                       config->pipeline.partition.count, plan->stage_count);
        return;
    }
    for (int s = 0; s < plan->stage_count; s++)
        blocks += config->pipeline.partition.values[s];
    if (blocks != network->block_count)
        config_mistake(mistakes, "pipeline.partition", "%s adds up to %d blocks, but %s has %d", partition, blocks,
                       config->model.arch, network->block_count);
}

/* Room for what the unit-time schedule needs, if that is what will be replayed, or for what any timing may need. */
static void make_room(struct plan *plan, const struct simulation *simulation)
{
    const struct schedule *schedule = &plan->schedule;
    const bool replayed = plan->config.pipeline.order == RUN_STATIC;
    const struct schedule evaluation = plan_evaluation(plan);

    for (int s = 1; s <= plan->stage_count; s++) {
        struct plan_stage *stage = &plan->stages[s - 1];
        const struct stage_order *order = &simulation->stages[s - 1];
        int sets = schedule_slots_limit(schedule, s);
        int slots = max_int(schedule_activation_slots(schedule, s), schedule_activation_slots(&evaluation, s));

        stage->weight_versions = order->weight_versions;
        stage->minibatches_in_flight = order->minibatches_in_flight;
        stage->weight_version_buffers = replayed ? order->weight_versions : schedule_versions_limit(schedule, s);
        stage->slots_in_flight =
            schedule->order.whole_backward ? order->minibatches_in_flight : order->microbatches_in_flight;
        stage->activation_sets = replayed ? min_int(stage->slots_in_flight, sets) : sets;
        stage->activation_slots = stage->activation_sets + slots - sets;
    }
}

static int simulate(struct plan *plan, struct config_mistakes *mistakes)
{
    const struct schedule *schedule = &plan->schedule;
    struct simulation *simulation;
    struct error error;

    plan->gradient_slots = schedule_gradient_slots(schedule);
    if (simulate_slots(schedule, (struct link_slots){.gradients = plan->gradient_slots}, &simulation, &error)) {
        config_mistake(mistakes, "pipeline.system", "%s", error.text);
        return -1;
    }
    if (schedule->order.whole_backward && !schedule->order.flush) {
        plan->version_difference_paper = version_difference_paper(schedule->stages, schedule->microbatches);
        plan->version_difference_exact = version_difference_exact(schedule->stages, schedule->microbatches);
    }
    plan->version_difference_simulated = simulation->version_difference_max;
    plan->bubble_fraction = simulation->bubble_fraction;
    make_room(plan, simulation);
    simulation_destroy(simulation);
    return 0;
}

int plan_begin(struct plan *plan, const struct config *config, const struct data_facts *data, struct network **network,
               struct config_mistakes *mistakes)
{
    struct error error;

    *network = NULL;
    *plan = (struct plan){.config = *config, .data = *data, .stage_count = config->pipeline.stages};
    memcpy(plan->backend, config->device.backend, sizeof(plan->backend));
    plan->schedule.stages = config->pipeline.stages;
    plan->schedule.microbatches = config->pipeline.microbatches;
    choose_rules(plan, mistakes);
    count_minibatches(plan, mistakes);
    plan->schedule.minibatches = plan->minibatches_per_epoch;
    if (network_create(network, config->model.arch, data->shape, config->model.classes, &error))
        config_mistake(mistakes, "model.arch", "%s", error.text);
    else
        check_partition(plan, *network, mistakes);
    if (config->train.nesterov && !(config->train.momentum > 0.0))
        config_mistake(mistakes, "train.nesterov", "needs train.momentum above 0");
    predict_check(config, mistakes);
    place_check_map(config, mistakes);
    if (mistakes->count == 0)
        check_schedule(plan, mistakes);
    if (mistakes->count == 0)
        check_rows(plan, mistakes);
    if (mistakes->count > 0 || simulate(plan, mistakes)) {
        network_destroy(*network);
        *network = NULL;
        return -1;
    }
    return 0;
}

/* Seconds of one mini-batch, forward and backward. */
static double minibatch_seconds(const struct schedule *schedule, const struct layer_cost *cost)
{
    const int backwards = schedule->order.whole_backward ? 1 : schedule->microbatches;

    return schedule->microbatches * cost->op_seconds[OP_FORWARD] + backwards * cost->op_seconds[OP_BACKWARD];
}

/* block_cost[network->block_count]: seconds if the plan wants them and they were measured, else operations. */
static void cost_of_blocks(struct plan *plan, const struct network *network, const struct layer_cost *costs,
                           double *block_cost)
{
    plan->costs_measured = plan_wants_seconds(plan);
    for (int l = 0; l < network->layer_count; l++)
        plan->costs_measured = plan->costs_measured && costs[l].op_seconds[OP_FORWARD] > 0.0;
    for (int b = 0; b < network->block_count; b++)
        block_cost[b] = 0.0;
    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];

        block_cost[layer->block] += plan->costs_measured ? minibatch_seconds(&plan->schedule, &costs[l])
                                                         : layer->forward_flops + layer->backward_flops;
    }
}

static void share_out(struct plan *plan, const struct network *network, const double *block_cost, const int *counts)
{
    double sum = 0.0;
    int first = 0;

    for (int b = 0; b < network->block_count; b++)
        sum += block_cost[b];
    for (int s = 0; s < plan->stage_count; s++) {
        struct plan_stage *stage = &plan->stages[s];

        stage->slice = network_slice(network, first, counts[s]);
        stage->input = slice_input(network, &stage->slice);
        stage->output = slice_output(network, &stage->slice);
        stage->compute_share = 0.0;
        for (int b = first; b < first + counts[s]; b++)
            stage->compute_share += block_cost[b] / sum;
        first += counts[s];
    }
}

static int64_t nanoseconds(double seconds)
{
    return llround(1e9 * seconds);
}

static void add_up_times(struct plan_stage *stage, const struct layer_cost *costs)
{
    const int end = stage->slice.first_layer + stage->slice.layer_count;

    stage->times = (struct stage_times){.update = 0};
    for (int l = stage->slice.first_layer; l < end; l++) {
        for (int kind = 0; kind < OP_KINDS; kind++)
            stage->times.op[kind] += nanoseconds(costs[l].op_seconds[kind]);
        stage->times.update += nanoseconds(costs[l].update_seconds);
    }
}

/* The slots of a link's two directions. */
static size_t activation_bytes(const struct plan *plan, int link)
{
    return (size_t)plan->stages[link - 1].activation_slots * plan_slot_bytes(plan, link);
}

static size_t gradient_bytes(const struct plan *plan, int link)
{
    return (size_t)plan->gradient_slots * plan_slot_bytes(plan, link);
}

/* A GPU's copies of the slots of a staged link. */
static size_t copies_bytes(const struct plan *plan, int link, int stage)
{
    if (plan->stages[link - 1].link != LINK_STAGED || plan_place_of(plan, stage) != PLACE_GPU)
        return 0;
    return activation_bytes(plan, link) + gradient_bytes(plan, link);
}

static size_t link_bytes(const struct plan *plan, int stage)
{
    size_t bytes = 0;

    if (stage > 1)
        bytes += activation_bytes(plan, stage - 1) + copies_bytes(plan, stage - 1, stage);
    if (stage < plan->stage_count)
        bytes += gradient_bytes(plan, stage) + copies_bytes(plan, stage, stage);
    return bytes;
}

/* saved_floats[network->layer_count] is scratch. */
static int add_up_memory(struct plan *plan, const struct network *network, const struct layer_cost *costs,
                         size_t *saved_floats, int s, struct error *error)
{
    const struct layout_options options = plan_layout_options(plan, s);
    struct plan_stage *stage = &plan->stages[s - 1];
    const struct slice *slice = &stage->slice;
    const size_t version = slice->parameters * sizeof(float);
    const int blends = plan->schedule.backward == BACKWARD_INTERMEDIATE;
    struct stage_layout *layout;
    size_t workspace = 0;

    for (int l = 0; l < network->layer_count; l++)
        saved_floats[l] = costs[l].saved_floats;
    if (layout_create(&layout, network, slice, saved_floats, &options, error))
        return -1;
    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++)
        if (costs[l].workspace_bytes > workspace)
            workspace = costs[l].workspace_bytes;
    stage->memory[MEMORY_WEIGHTS] = version + slice->state * sizeof(float);
    stage->memory[MEMORY_STASH] = (size_t)(stage->weight_version_buffers - 1 + blends) * version;
    stage->memory[MEMORY_GRADIENTS] = version;
    stage->memory[MEMORY_OPTIMIZER] = plan->config.train.momentum > 0.0 ? version : 0;
    stage->memory[MEMORY_ACTIVATIONS] =
        layout_activation_floats(layout, &options, stage->activation_sets) * sizeof(float);
    stage->memory[MEMORY_LINKS] = link_bytes(plan, s);
    stage->memory[MEMORY_WORKSPACE] = layout->gradient_floats * sizeof(float) + workspace;
    layout_destroy(layout);
    return 0;
}

/* Of all layers, where the backend runs. */
static const struct layer_cost *costs_on(const struct network *network, const struct layer_cost *costs,
                                         const char *backend)
{
    return &costs[(int)backend_place(backend) * network->layer_count];
}

int plan_finish(struct plan *plan, const struct network *network, const struct layer_cost *costs, struct error *error)
{
    double *block_cost = malloc((size_t)network->block_count * sizeof(*block_cost));
    size_t *saved_floats = malloc((size_t)network->layer_count * sizeof(*saved_floats));
    int counts[MAX_STAGES], result = -1;

    if (!block_cost || !saved_floats) {
        error_set(error, "out of memory for the plan");
        goto out;
    }
    cost_of_blocks(plan, network, costs_on(network, costs, plan->backend), block_cost);
    if (plan->config.pipeline.partition.count > 0)
        memcpy(counts, plan->config.pipeline.partition.values, sizeof(counts));
    else
        partition_balance(block_cost, network->block_count, plan->stage_count, counts);
    share_out(plan, network, block_cost, counts);
    for (int s = 1; s <= plan->stage_count; s++) {
        const struct layer_cost *own = costs_on(network, costs, plan->stages[s - 1].backend);

        add_up_times(&plan->stages[s - 1], own);
        if (add_up_memory(plan, network, own, saved_floats, s, error))
            goto out;
    }
    result = 0;
out:
    free(saved_floats);
    free(block_cost);
    return result;
}
