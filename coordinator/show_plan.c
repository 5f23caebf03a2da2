#include "coordinator/show_plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/numbers.h"
#include "base/version.h"
#include "plan/config_json.h"
#include "plan/replay.h"
#include "schedule/csv.h"
#include "transport/rings.h"

/* Beyond so many, figures that are only compared take too long to find. */
enum { FIGURES_STAGES_MAX = 16 };

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
    const struct system *system = system_find(config->pipeline.system); /* NULL: it is a file */
    char parameters[32], train[32], test[32];

    fprintf(out, "network   %s: %s parameters, %d layers in %d blocks, %d classes\n", config->model.arch,
            with_commas(network->parameters, parameters), network->layer_count, network->block_count, network->classes);
    fprintf(out, "data      %s: %s + %s images of %d x %d x %d\n", config->data.set,
            with_commas((size_t)plan->data.train_count, train), with_commas((size_t)plan->data.test_count, test),
            plan->data.shape.height, plan->data.shape.width, plan->data.shape.channels);
    fprintf(out, "system    %s (%s)\n", config->pipeline.system, system ? system->source : "schedule file");
    fprintf(out, "          order %s: %s\n", schedule->order.name, schedule->order.summary);
    fprintf(out, "          forwards read %s weights, backwards %s ones; update %s\n",
            forward_rule_name(schedule->forward), backward_rule_name(schedule->backward), plan_update_rule(plan));
    fprintf(out, "epoch     %d mini-batches (M = %d", plan->minibatches_per_epoch, config->data.batch);
    if (plan->last_minibatch_rows != config->data.batch)
        fprintf(out, ", the last %d", plan->last_minibatch_rows);
    fprintf(out, "), N = %d micro-batches each\n", schedule->microbatches);
}

static bool has_gpus(const struct plan *plan)
{
    return backend_place(plan->backend) == PLACE_GPU;
}

static const char *const times_words[] = {
    [STATIC_UNIT] = "unit-time", [STATIC_NOMINAL] = "nominal-time", [STATIC_MEASURED] = "measured-time"};

/* Where the choice of pipeline.static matters: what it gives, if ops take nominal times. */
static void print_lists(FILE *out, const struct plan *plan)
{
    struct replay_figures unit, nominal;
    struct error error;

    if (plan->config.pipeline.order != RUN_STATIC || plan->schedule.order.flush || plan->stage_count == 1 ||
        schedule_is_list(&plan->schedule) || plan->stage_count > FIGURES_STAGES_MAX ||
        replay_figures(plan, STATIC_UNIT, &unit, &error) || replay_figures(plan, STATIC_NOMINAL, &nominal, &error))
        return;
    fprintf(out,
            "static order, with a core for each stage: pipeline.static = unit: v %d, idle %.0f%%; nominal: v %d, idle "
            "%.0f%%\n",
            unit.version_difference, 100.0 * unit.idle, nominal.version_difference, 100.0 * nominal.idle);
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
    fprintf(out, "; bubble: %.1f%% of the %s schedule\n", 100.0 * plan->bubble_fraction,
            times_words[config->pipeline.static_times]);
    print_lists(out, plan);
    fputc('\n', out);
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

void place_print(FILE *out, const struct plan *plan, int part)
{
    const int stage = plan_stage_of(plan, part);
    char place[16];

    if (has_gpus(plan))
        fprintf(out, "  %-7s  %-10s  %s", place_text(plan, stage, place), plan->stages[stage - 1].backend,
                part < plan->part_count ? link_path_name(plan->parts[part - 1].link) : "-");
    fputc('\n', out);
}

/* What the paths of links mean that there are. */
static void print_paths(FILE *out, const struct plan *plan)
{
    static const char *const meanings[LINK_PATHS] = {
        [LINK_LOCAL] = "local: a stage's next part reads where the part before wrote",
        [LINK_DEVICE] = "device: a stage writes straight into its neighbour's GPU memory",
        [LINK_STAGED] = "staged: copied through the host's shared memory",
    };
    bool there[LINK_PATHS] = {false};

    for (int link = 1; link < plan->part_count; link++)
        there[plan->parts[link - 1].link] = true;
    for (int path = 0; path < LINK_PATHS; path++)
        if (there[path] && meanings[path])
            fprintf(out, "link %s\n", meanings[path]);
}

static void print_part(FILE *out, const struct plan *plan, int k)
{
    const struct plan_part *part = &plan->parts[k - 1];
    const struct slice *slice = &part->slice;
    char blocks[32], parameters[32], input[48], versions[32], in_flight[32];

    if (slice->block_count == 1)
        snprintf(blocks, sizeof(blocks), "%d", slice->first_block);
    else
        snprintf(blocks, sizeof(blocks), "%d-%d", slice->first_block, slice->first_block + slice->block_count - 1);
    snprintf(input, sizeof(input), "%dx%dx%d", part->input.height, part->input.width, part->input.channels);
    fprintf(out, " %8s %7d %11s %13s %7.1f%% %9s %10s", blocks, slice->layer_count,
            with_commas(slice->parameters, parameters), input, 100.0 * part->compute_share,
            peak_of_room(part->weight_versions, part->weight_version_buffers, versions),
            peak_of_room(part->slots_in_flight, part->activation_sets, in_flight));
    place_print(out, plan, k);
}

/* In the order of the network. */
static void print_stages(FILE *out, const struct plan *plan)
{
    const bool several = plan->schedule.parts > 1;

    fprintf(out, "%sstage   blocks  layers  parameters         input  compute  versions  in flight",
            several ? "part  " : "");
    place_print_head(out, plan, 0);
    for (int k = 1; k <= plan->part_count; k++) {
        if (several)
            fprintf(out, "%4d  ", k);
        fprintf(out, "%5d", plan_stage_of(plan, k));
        print_part(out, plan, k);
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
    int slots = 0;

    for (int k = 0; k < simulation_op_count(simulation, 1); k++) {
        const struct timed_op timed = simulation_op(simulation, 1, k);

        if (timed.op.minibatch <= minibatches && timed.end > slots)
            slots = (int)timed.end;
    }
    return slots;
}

/* In ticks, as they can be drawn. */
static int simulate_ticks(const struct plan *plan, const struct schedule *schedule, struct simulation **out,
                          struct error *error)
{
    const struct link_slots slots = {0, 0};

    if (plan->config.pipeline.static_times == STATIC_UNIT)
        return simulate_unit(schedule, slots, true, out, error);
    return simulate_nominal(schedule, slots, true, out, error);
}

/* Words in columns: each as wide as its widest. The lines are taken apart. */
static void print_aligned(FILE *out, char *const *lines, int count, int columns)
{
    int *widths = calloc((size_t)columns, sizeof(*widths));

    for (int s = 0; widths && s < count; s++) {
        const char *word = strchr(lines[s], ':') + 2;

        for (int c = 0; c < columns && *word; c++) {
            const int width = (int)strcspn(word, " ");

            widths[c] = max_int(widths[c], width);
            word += width + (word[width] == ' ');
        }
    }
    for (int s = 0; s < count; s++) {
        char *rest = strchr(lines[s], ':') + 1, *word;

        fprintf(out, "%.*s", (int)(rest - lines[s]), lines[s]);
        for (int c = 0; (word = strsep(&rest, " ")) != NULL;)
            if (*word) {
                fprintf(out, " %-*s", rest && widths ? widths[c] : 0, word);
                c++;
            }
        fputc('\n', out);
    }
    free(widths);
}

int plan_print_grid(FILE *out, const struct plan *plan, int slots, int minibatches, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    char *lines[MAX_STAGES] = {NULL};
    struct simulation *simulation;
    int count = 0;

    if (minibatches > 0)
        schedule.minibatches = minibatches;
    if (simulate_ticks(plan, &schedule, &simulation, error))
        return -1;
    if (slots == 0)
        slots = slots_of(simulation, 3);
    while (count < schedule.stages &&
           (lines[count] = simulation_grid_line(simulation, &schedule, count + 1, slots)) != NULL)
        count++;
    simulation_destroy(simulation);
    if (count == schedule.stages)
        print_aligned(out, lines, count, slots);
    for (int s = 0; s < count; s++)
        free(lines[s]);
    return count == schedule.stages ? 0 : error_set(error, "out of memory for the grid");
}

int plan_write_csv(FILE *out, const struct plan *plan, int minibatches, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *simulation;
    int result;

    if (minibatches > 0)
        schedule.minibatches = minibatches;
    else
        schedule.minibatches = schedule.order.flush ? 1 : 12 * schedule.stages + 20;
    if (simulate_ticks(plan, &schedule, &simulation, error))
        return -1;
    result = csv_write_simulation(out, &schedule, simulation, 1, error);
    simulation_destroy(simulation);
    if (result == 0 && fflush(out) != 0)
        return error_set(error, "the schedule file could not be written to its end");
    return result;
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

/* Null where there is none: a GPU's number, a link to the part after. */
static json_t *device_json(const struct plan *plan, int s)
{
    return plan_place_of(plan, s) == PLACE_GPU ? json_integer(plan->stages[s - 1].device) : json_null();
}

static json_t *link_json(const struct plan *plan, int part)
{
    return part < plan->part_count ? json_string(link_path_name(plan->parts[part - 1].link)) : json_null();
}

static json_t *part_json(const struct plan *plan, const struct network *network, int k)
{
    const struct plan_part *part = &plan->parts[k - 1];
    const struct slice *slice = &part->slice;
    json_t *names = json_array();

    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++)
        json_array_append_new(names, json_string(network->layers[l].name));
    /* clang-format off */
    return json_pack("{s:i, s:o, s:i, s:i, s:i, s:o, s:I, s:I, s:o, s:o, s:f, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}",
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
        const struct plan_part *part = &plan->parts[plan_part_of(plan, s, index) - 1];

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
                     "backend", plan->stages[s - 1].backend,
                     "device", device_json(plan, s),
                     "layers", sums.layers,
                     "parameters", (json_int_t)sums.parameters,
                     "compute_share", plan->stages[s - 1].compute_share,
                     "weight_versions", sums.weight_versions,
                     "minibatches_in_flight", sums.minibatches_in_flight,
                     "slots_in_flight", sums.slots_in_flight,
                     "activation_sets", sums.activation_sets,
                     "memory_bytes", memory_json(plan->stages[s - 1].memory)));
    /* clang-format on */
    json_object_del(stage, "part");
    json_object_set_new(stage, "parts", parts);
    return stage;
}

static json_t *rules_json(const struct plan *plan)
{
    const struct schedule *schedule = &plan->schedule;

    return json_pack("{s:s, s:s, s:s, s:s}", "order", schedule->order.name, "forward",
                     forward_rule_name(schedule->forward), "backward", backward_rule_name(schedule->backward), "update",
                     plan_update_rule(plan));
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

json_t *plan_json(const struct plan *plan, const struct network *network)
{
    json_t *stages = json_array();

    for (int s = 1; s <= plan->stage_count; s++)
        json_array_append_new(stages, stage_json(plan, network, s));
    /* clang-format off */
    return json_pack("{s:s, s:s, s:o, s:i, s:i, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:b, s:I, s:o, s:o}",
                     "tp_version", version_text(),
                     "system", plan->config.pipeline.system,
                     "rules", rules_json(plan),
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
                     "bubble_fraction", plan->bubble_fraction,
                     "costs_measured", (int)plan->costs_measured,
                     "shared_memory_bytes", (json_int_t)segment_size(plan, rings_bytes),
                     "stage", stages,
                     "config", config_json(&plan->config));
    /* clang-format on */
}
