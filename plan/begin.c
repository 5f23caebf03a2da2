/* The first half of a plan: all that needs no measuring. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/numbers.h"
#include "plan/plan_internal.h"
#include "plan/predict.h"
#include "plan/replay.h"
#include "schedule/csv.h"

/* What a file says, the config need not; if it does, it must say the same. */
static void check_number(const char *key, int config, int file, const char *what, struct config_mistakes *mistakes)
{
    if (config != file)
        config_mistake(mistakes, key, "%d, but the schedule file has %d %s; use %d", config, file, what, file);
}

/* Takes the text over. */
static const char *keep_text(struct plan *plan, char *text, size_t size)
{
    if (!plan_fits_run(plan))
        return plan->tables->schedule_text = text;
    memcpy(plan->schedule_text, text, size);
    free(text);
    return plan->schedule_text;
}

static int read_schedule(struct plan *plan, struct config_mistakes *mistakes)
{
    const struct config *config = &plan->config;
    struct schedule *schedule = &plan->schedule;
    struct csv_schedule csv;
    struct error error;
    char *text;
    size_t size;

    if (file_read(config->pipeline.system, &text, &size, &error)) {
        config_mistake(mistakes, "pipeline.system", "%s", error.text);
        return -1;
    }
    if (size >= sizeof(plan->schedule_text) && plan_fits_run(plan)) {
        config_mistake(mistakes, "pipeline.system", "%s has %zu bytes; a run takes schedule files of at most %zu",
                       config->pipeline.system, size, sizeof(plan->schedule_text) - 1);
        free(text);
        return -1;
    }
    if (csv_read(&csv, text, size, &error)) {
        config_mistake(mistakes, "pipeline.system", "%s: %s", config->pipeline.system, error.text);
        free(text);
        return -1;
    }
    schedule->text = keep_text(plan, text, size);
    check_number("pipeline.stages", config->pipeline.stages, csv.stages, "ranks", mistakes);
    if (csv.parts > STAGE_PARTS_MAX)
        config_mistake(mistakes, "pipeline.system", "%s has %d parts per rank; a stage hosts at most %d",
                       config->pipeline.system, csv.parts, STAGE_PARTS_MAX);
    else
        check_number("pipeline.parts", config->pipeline.parts, csv.parts, "parts per rank", mistakes);
    check_number("pipeline.microbatches", config->pipeline.microbatches, csv.microbatches, "micro-batches", mistakes);
    if (csv.parts > 1 && config->pipeline.placement != (int)csv.placement)
        config_mistake(mistakes, "pipeline.placement", "%s, but in the schedule file parts lie in a %s; use %s",
                       placement_name((enum placement)config->pipeline.placement), placement_name(csv.placement),
                       placement_name(csv.placement));
    schedule->order = csv_order(&csv, file_order_name);
    schedule->order.summary = file_order_summary;
    schedule->in_flight = csv.in_flight;
    plan->schedule_renumbered = csv.renumbered;
    schedule->forward = csv.forward;
    schedule->backward = csv.flush ? BACKWARD_LIVE : csv.backward; /* a flush leaves one version */
    csv_release(&csv);
    return 0;
}

static void choose_rules(struct plan *plan, struct config_mistakes *mistakes)
{
    const struct config *config = &plan->config;
    const char *const name = config->pipeline.system;
    struct schedule *schedule = &plan->schedule;

    if (plan_is_from_file(config)) {
        if (read_schedule(plan, mistakes))
            return;
    } else {
        const struct system *system = system_find(name);

        schedule->order = orders[system->order];
        schedule->forward = system->forward;
        schedule->backward = system->backward;
        schedule->update = system->rule;
    }
    if (config->pipeline.forward_weights != RULE_OF_SYSTEM)
        schedule->forward = (enum forward_rule)config->pipeline.forward_weights;
    if (config->pipeline.backward_weights != RULE_OF_SYSTEM)
        schedule->backward = (enum backward_rule)config->pipeline.backward_weights;
    if (config->staleness.update != RULE_OF_SYSTEM)
        schedule->update = (enum update_rule_name)config->staleness.update;
    /* A flush leaves one version, so every pass reads the same one on all stages. */
    if (!config->pipeline.vertical_sync || schedule->forward == FORWARD_PINNED || schedule->order.flush)
        return;
    if (schedule->forward == FORWARD_LIVE && config->pipeline.forward_weights == RULE_OF_SYSTEM)
        schedule->forward = FORWARD_PINNED;
    else
        config_mistake(mistakes, "pipeline.vertical_sync", "yes pins the forwards' weights, but %s says %s; use no",
                       config->pipeline.forward_weights == RULE_OF_SYSTEM ? name : "forward_weights",
                       forward_rule_name(schedule->forward));
}

static bool is_right(struct schedule schedule, enum forward_rule forward, enum backward_rule backward,
                     enum update_rule_name update)
{
    struct error error;

    schedule.forward = forward;
    schedule.backward = backward;
    schedule.update = update;
    return schedule_check(&schedule, &error) == 0;
}

/* The key to blame for a schedule that is wrong: the one without which it would be right; else the system. */
static const char *blame(const struct plan *plan)
{
    const struct schedule *schedule = &plan->schedule;
    const struct system *system = system_find(plan->config.pipeline.system); /* NULL: it is a file */

    if (schedule->order.microbatches > 0 && schedule->microbatches != schedule->order.microbatches)
        return "pipeline.microbatches";
    if (system && is_right(*schedule, schedule->forward, schedule->backward, system->rule))
        return "staleness.update";
    if (system && is_right(*schedule, schedule->forward, system->backward, schedule->update))
        return "pipeline.backward_weights";
    if (system && is_right(*schedule, system->forward, schedule->backward, schedule->update))
        return "pipeline.forward_weights";
    return "pipeline.system";
}

static void check_schedule(const struct plan *plan, struct config_mistakes *mistakes)
{
    struct error error;

    if (schedule_check(&plan->schedule, &error))
        config_mistake(mistakes, blame(plan), "%s", error.text);
}

static int read_network(struct plan *plan, struct network **network, struct config_mistakes *mistakes)
{
    const struct network_options options = plan_network_options(plan);
    struct network_mistakes *own = calloc(1, sizeof(*own));
    struct error error;
    int failed;

    if (!own)
        error_set(&error, "out of memory");
    if (!own || network_load(plan->network_text, plan->config.model.arch, &error)) {
        config_mistake(mistakes, "model.arch", "%s", error.text);
        free(own);
        return -1;
    }
    failed = network_read(network, &options, own);
    for (int k = 0; k < own->count && k < NETWORK_MISTAKES_MAX; k++)
        config_mistake_line(mistakes, own->lines[k]);
    free(own);
    if (failed)
        return -1;
    if (network_targets_per_sample(*network) != plan_targets_per_sample(plan)) {
        config_mistake(mistakes, "model.arch", "%s answers a sample %d times, but the data set has %d targets for each",
                       plan->config.model.arch, network_targets_per_sample(*network), plan_targets_per_sample(plan));
        return -1;
    }
    /* What the file says itself is as good as given. */
    plan->config.model.depth = (*network)->depth;
    plan->config.model.width = (*network)->width;
    return 0;
}

/* What is done to images cannot be done to tokens. */
static void check_data(const struct plan *plan, struct config_mistakes *mistakes)
{
    const char *set = plan->config.data.set;

    if (!plan->data.tokens)
        return;
    if (plan->data.train_count > INT_MAX / plan->data.shape.height)
        config_mistake(mistakes, "data.limit", "an epoch of %d samples has more than %d tokens; use at most %d",
                       plan->data.train_count, INT_MAX, INT_MAX / plan->data.shape.height);
    if (plan->config.data.enlarge)
        config_mistake(mistakes, "data.enlarge", "%s has no images to enlarge; use no", set);
    if (plan->config.data.augment != AUGMENT_NONE)
        config_mistake(mistakes, "data.augment", "%s has no images to move; use no", set);
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

    if (plan->schedule.parts > network->block_count)
        config_mistake(mistakes, "pipeline.parts", "%d for each stage, but %s has only %d blocks to share out",
                       plan->schedule.parts, config->model.arch, network->block_count);
    else if (plan->part_count > network->block_count)
        config_mistake(mistakes, "pipeline.stages", "%d %ss, but %s has only %d blocks to share out; use 1 to %d",
                       plan->part_count, plan_parts_word(plan), config->model.arch, network->block_count,
                       network->block_count / plan->schedule.parts);
    if (config->pipeline.partition.count == 0)
        return;
    config_format_integers(config, "pipeline.partition", partition, sizeof(partition));
    if (config->pipeline.partition.count != plan->part_count) {
        config_mistake(mistakes, "pipeline.partition", "%s is for %d %ss, but there are %d (pipeline.stages%s)",
                       partition, config->pipeline.partition.count, plan_parts_word(plan), plan->part_count,
                       plan->schedule.parts > 1 ? " times pipeline.parts" : "");
        return;
    }
    for (int s = 0; s < plan->part_count; s++)
        blocks += config->pipeline.partition.values[s];
    if (blocks != network->block_count)
        config_mistake(mistakes, "pipeline.partition", "%s adds up to %d blocks, but %s has %d", partition, blocks,
                       config->model.arch, network->block_count);
}

void plan_make_room(struct plan *plan, const struct simulation *simulation)
{
    const struct schedule *schedule = &plan->schedule;
    const bool replayed = plan_replays(plan), is_list = schedule_is_list(schedule);
    const struct schedule evaluation = plan_evaluation(plan);

    plan->version_difference_simulated = simulation->version_difference_max;
    plan->bubble_fraction = simulation->bubble_fraction;
    for (int k = 1; k <= plan->part_count; k++) {
        struct plan_part *part = plan_fill_part(plan, k);
        const struct simulated_part *simulated = &simulation->parts[k - 1];
        const int tested = schedule_activation_slots(&evaluation, k);
        int sets = schedule_slots_limit(schedule, k);
        int slots = max_int(schedule_activation_slots(schedule, k), tested);

        part->weight_versions = simulated->weight_versions;
        part->minibatches_in_flight = simulated->minibatches_in_flight;
        part->weight_version_buffers = replayed ? simulated->weight_versions : schedule_versions_limit(schedule, k);
        part->slots_in_flight = simulated->slots_in_flight;
        part->activation_sets = replayed ? min_int(part->slots_in_flight, sets) : sets;
        part->activation_slots =
            is_list ? max_int(simulated->link.activations, tested) : part->activation_sets + slots - sets;
        part->gradient_slots = is_list ? max_int(simulated->link.gradients, 1) : schedule_gradient_slots(schedule);
    }
}

static int simulate(struct plan *plan, struct config_mistakes *mistakes)
{
    const struct schedule *schedule = &plan->schedule;
    struct simulation *simulation;
    struct error error;

    if (plan_simulate(plan, schedule, false, &simulation, &error)) {
        config_mistake(mistakes, "pipeline.system", "%s", error.text);
        return -1;
    }
    if (schedule->order.whole_backward && !schedule->order.flush) {
        plan->version_difference_paper = version_difference_paper(schedule->stages, schedule->microbatches);
        plan->version_difference_exact = version_difference_exact(schedule->stages, schedule->microbatches);
    }
    plan_make_room(plan, simulation);
    simulation_destroy(simulation);
    return 0;
}

static int make_tables(struct plan *plan, struct config_mistakes *mistakes)
{
    const int stages = plan->config.pipeline.stages, parts = plan->config.pipeline.parts;

    if (stages * parts > PLANNED_MAX) {
        config_mistake(mistakes, "pipeline.parts", "%d for each of %d stages are %d parts; use at most %d in all",
                       parts, stages, stages * parts, PLANNED_MAX);
        return -1;
    }
    if (config_fits_run(&plan->config))
        return 0;
    plan->tables = calloc(1, sizeof(*plan->tables));
    if (!plan->tables)
        config_mistake(mistakes, "pipeline.stages", "out of memory for %d", stages);
    return plan->tables ? 0 : -1;
}

int plan_begin(struct plan *plan, const struct config *config, const struct data_facts *data, struct network **network,
               struct config_mistakes *mistakes)
{
    *network = NULL;
    *plan = (struct plan){.config = *config, .data = *data, .stage_count = config->pipeline.stages};
    if (make_tables(plan, mistakes))
        return -1;
    memcpy(plan->backend, config->device.backend, sizeof(plan->backend));
    plan->schedule.stages = config->pipeline.stages;
    plan->schedule.parts = config->pipeline.parts;
    plan->schedule.placement = (enum placement)config->pipeline.placement;
    plan->part_count = schedule_part_count(&plan->schedule);
    plan->schedule.microbatches = config->pipeline.microbatches;
    choose_rules(plan, mistakes);
    check_data(plan, mistakes);
    count_minibatches(plan, mistakes);
    plan->schedule.minibatches = plan->minibatches_per_epoch;
    if (read_network(plan, network, mistakes) == 0)
        check_partition(plan, *network, mistakes);
    plan_check_rules(plan, mistakes);
    predict_check(config, mistakes);
    place_check_map(config, mistakes);
    place_check_pins(config, mistakes);
    if (mistakes->count == 0)
        check_schedule(plan, mistakes);
    if (mistakes->count == 0)
        check_rows(plan, mistakes);
    if (mistakes->count > 0 || simulate(plan, mistakes)) {
        network_destroy(*network);
        *network = NULL;
        plan_release(plan);
        return -1;
    }
    return 0;
}
