/* What follows from a plan. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/numbers.h"
#include "plan/plan_internal.h"

const char file_order_name[] = "file", file_order_summary[] = "as the schedule file says";

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

bool config_fits_run(const struct config *config)
{
    return config->pipeline.stages <= MAX_STAGES && config->pipeline.stages * config->pipeline.parts <= MAX_PARTS;
}

bool plan_fits_run(const struct plan *plan)
{
    return plan->stage_count <= MAX_STAGES && plan->part_count <= MAX_PARTS;
}

const struct plan_stage *plan_stage(const struct plan *plan, int s)
{
    return plan_fits_run(plan) ? &plan->stages[s - 1] : &plan->tables->stages[s - 1];
}

const struct plan_part *plan_part(const struct plan *plan, int k)
{
    return plan_fits_run(plan) ? &plan->parts[k - 1] : &plan->tables->parts[k - 1];
}

struct plan_stage *plan_fill_stage(struct plan *plan, int s)
{
    return plan_fits_run(plan) ? &plan->stages[s - 1] : &plan->tables->stages[s - 1];
}

struct plan_part *plan_fill_part(struct plan *plan, int k)
{
    return plan_fits_run(plan) ? &plan->parts[k - 1] : &plan->tables->parts[k - 1];
}

void plan_release(struct plan *plan)
{
    if (plan->tables)
        free(plan->tables->schedule_text);
    free(plan->tables);
    plan->tables = NULL;
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
        .file = config->data.file,
        .cache = config->data.cache,
        .size = config->data.size,
        .channels = config->data.channels,
        .held_out = config->data.held_out,
        .limit = config->data.limit,
        .context = config->data.context,
        .classes = config->model.classes,
        .synthetic = {size, size, config->data.synthetic_channels},
        .enlarge = config->data.enlarge,
        .seed = (uint64_t)config->run.seed,
    };
}

const char *plan_data_key(const struct config *config)
{
    if (config->data.file[0] && data_source_has_tokens(config->data.set))
        return "data.file";
    return config->data.dir[0] ? "data.dir" : "data.set";
}

int plan_targets_per_sample(const struct plan *plan)
{
    return plan->data.tokens ? plan->data.shape.height : 1;
}

const char *plan_rate_unit(const struct plan *plan)
{
    return plan->data.tokens ? "tokens/s" : "images/s";
}

struct network_options plan_network_options(const struct plan *plan)
{
    return (struct network_options){
        .name = plan->config.model.arch,
        .text = plan->network_text,
        .depth = plan->config.model.depth,
        .width = plan->config.model.width,
        .tokens = plan->data.tokens,
        .input = plan->data.shape,
        .classes = plan->config.model.classes,
    };
}

uint32_t plan_network_crc32(const struct plan *plan)
{
    return (uint32_t)crc32_z(0, (const unsigned char *)plan->network_text, strlen(plan->network_text));
}

bool plan_is_from_file(const struct config *config)
{
    const char *end = strrchr(config->pipeline.system, '.');

    return end != NULL && strcmp(end, ".csv") == 0;
}

struct schedule plan_training(const struct plan *plan)
{
    struct schedule schedule = plan->schedule;

    /* A plan may have been made in another process: the pointers in its copy of the row mean nothing here. */
    schedule.text = NULL;
    if (plan_is_from_file(&plan->config)) {
        schedule.order.name = file_order_name;
        schedule.order.summary = file_order_summary;
        schedule.order.generate = NULL;
        schedule.order.check = NULL;
        schedule.text = plan_fits_run(plan) ? plan->schedule_text : plan->tables->schedule_text;
    } else {
        schedule.order = orders[system_find(plan->config.pipeline.system)->order];
    }
    return schedule;
}

const char *plan_update_rule(const struct plan *plan)
{
    if (plan_is_from_file(&plan->config))
        return plan->schedule.order.flush ? "at the flush" : "each mini-batch";
    return system_find(plan->config.pipeline.system)->update;
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

int plan_slots_ahead(const struct plan *plan)
{
    return PLAN_MINIBATCHES_AHEAD * plan->schedule.microbatches / schedule_slot_size(&plan->schedule);
}

int plan_input_slots(const struct plan *plan)
{
    return plan_part(plan, 1)->activation_sets + plan_slots_ahead(plan);
}

size_t plan_ahead_bytes(const struct plan *plan, int part)
{
    const size_t floats = layout_align((size_t)plan_slot_rows(plan) * shape_size(plan_part(plan, 1)->input));

    return part == 1 ? (size_t)plan_slots_ahead(plan) * floats * sizeof(float) : 0;
}

const char *plan_parts_word(const struct plan *plan)
{
    return plan->schedule.parts > 1 ? "part" : "stage";
}

int plan_stage_of(const struct plan *plan, int part)
{
    return schedule_stage_of(&plan->schedule, part);
}

int plan_part_of(const struct plan *plan, int stage, int index)
{
    return placement_part(plan->schedule.placement, plan->stage_count, stage, index);
}

struct layout_options plan_layout_options(const struct plan *plan, int part)
{
    return (struct layout_options){
        .rows = plan_slot_rows(plan),
        .microbatches = schedule_slot_size(&plan->schedule),
        .first = part == 1,
        .last = part == plan->part_count,
        .slots_ahead = part == 1 ? plan_slots_ahead(plan) : 0,
        .recompute = plan->config.pipeline.backward_activations == ACTIVATIONS_RECOMPUTE,
        .split_backward = plan->schedule.order.split_backward,
    };
}

size_t plan_slot_bytes(const struct plan *plan, int link)
{
    return layout_align((size_t)plan_slot_rows(plan) * shape_size(plan_part(plan, link)->output)) * sizeof(float);
}

bool plan_balances_seconds(const struct plan *plan)
{
    const enum balance balance = (enum balance)plan->config.pipeline.balance;

    return (balance == BALANCE_MEASURED || (balance == BALANCE_AUTO && plan->config.pipeline.order == RUN_DYNAMIC)) &&
           plan->config.pipeline.partition.count == 0 && plan->part_count > 1;
}

bool plan_wants_seconds(const struct plan *plan)
{
    const bool list = plan->config.pipeline.order == RUN_STATIC && !schedule_is_list(&plan->schedule) &&
                      plan->config.pipeline.static_times == STATIC_MEASURED;

    return plan_balances_seconds(plan) || (list && plan->config.simulation.forward_ms.count == 0);
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

uint32_t plan_schedule_crc32(const struct plan *plan)
{
    const size_t length = strlen(plan->schedule_text);

    return length > 0 ? (uint32_t)crc32(0, (const Bytef *)plan->schedule_text, (uInt)length) : 0;
}
