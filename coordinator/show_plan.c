#include "coordinator/show_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "coordinator/room.h"
#include "coordinator/show_rules.h"
#include "plan/describe.h"
#include "plan/idle.h"
#include "plan/replay.h"

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

static void print_header(FILE *out, const struct plan *plan, const struct network *network)
{
    const struct config *config = &plan->config;
    const struct schedule *schedule = &plan->schedule;
    const struct system *system = system_find(config->pipeline.system); /* NULL: it is a file */
    char parameters[32], train[32], test[32];

    fprintf(out, "network   %s: %s parameters, %d layers in %d blocks, %d classes\n", config->model.arch,
            text_with_commas(network->parameters, parameters), network->layer_count, network->block_count,
            network->classes);
    if (config->model.init[0])
        fprintf(out, "weights   begin as in %s\n", config->model.init);
    fprintf(out, "data      %s: %s + %s ", config->data.set, text_with_commas((size_t)plan->data.train_count, train),
            text_with_commas((size_t)plan->data.test_count, test));
    if (plan->data.tokens)
        fprintf(out, "samples of %d tokens\n", plan->data.shape.height);
    else
        fprintf(out, "images of %d x %d x %d\n", plan->data.shape.height, plan->data.shape.width,
                plan->data.shape.channels);
    fprintf(out, "system    %s (%s)\n", config->pipeline.system, system ? system->source : "schedule file");
    fprintf(out, "          order %s: %s\n", schedule->order.name, schedule->order.summary);
    if (plan->schedule_renumbered)
        fprintf(out, "          its backwards are numbered anew, in ascending order\n");
    rules_print(out, plan);
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
    [STATIC_UNIT] = "unit", [STATIC_NOMINAL] = "nominal", [STATIC_MEASURED] = "measured"};

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

/* The grid's figure alone would promise what no run can keep. */
static void print_idle(FILE *out, const struct plan *plan)
{
    struct idle_figures figures;
    char text[IDLE_TEXT_MAX];

    if (plan->stage_count == 1 || plan_idle(plan, &figures))
        return;
    idle_describe(&figures, text);
    fprintf(out, "idle with a core for each stage: %s%s\n", text,
            figures.measured ? "" : " (a backward twice a forward)");
    if (plan->config.pipeline.order == RUN_STATIC && !schedule_is_list(&plan->schedule))
        fprintf(out, "static order replays a list that is made for %s times (pipeline.static)\n",
                times_words[plan->config.pipeline.static_times]);
}

/* What the figures above leave out. */
static void print_cores(FILE *out, const struct plan *plan)
{
    const int stages = room_stages(plan), cores = room_cores(plan);

    if (cores > 0 && stages > cores)
        fprintf(out,
                "%d stages on %d core%s: stages wait for a core, and compute %.0f%% of the time on average at most\n",
                stages, cores, cores == 1 ? "" : "s", 100.0 * cores / stages);
}

static void print_predictions(FILE *out, const struct plan *plan)
{
    const struct config *config = &plan->config;
    char pins[CONFIG_LIST_TEXT_MAX];

    fprintf(out, "pipeline  W = %d stages, %s order, backend %s", plan->stage_count,
            config->pipeline.order == RUN_STATIC ? "static" : "dynamic", plan->backend);
    if (!has_gpus(plan))
        fprintf(out, ", %d thread%s each", config->device.threads, config->device.threads == 1 ? "" : "s");
    config_format_integers(config, "device.pin", pins, sizeof(pins));
    if (!has_gpus(plan) && strcmp(pins, "no") != 0)
        fprintf(out, ", kept to cores %s", strcmp(pins, "auto") == 0 ? "one after the other" : pins);
    fprintf(out, "; partition by %s\n",
            plan->costs_measured                   ? "measured time"
            : config->pipeline.partition.count > 0 ? "hand"
                                                   : "floating-point operations");
    if (plan->version_difference_exact > 0)
        fprintf(out, "version difference v: papers %d, exact %d, simulated %d", plan->version_difference_paper,
                plan->version_difference_exact, plan->version_difference_simulated);
    else
        fprintf(out, "version difference v: simulated %d", plan->version_difference_simulated);
    fprintf(out, "; bubble: %.1f%% of the %s-time schedule\n", 100.0 * plan->bubble_fraction,
            times_words[config->pipeline.static_times]);
    print_idle(out, plan);
    print_lists(out, plan);
    print_cores(out, plan);
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
        snprintf(text, 16, "gpu %d", plan_stage(plan, stage)->device);
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
        fprintf(out, "  %-7s  %-10s  %s", place_text(plan, stage, place), plan_stage(plan, stage)->backend,
                part < plan->part_count ? link_path_name(plan_part(plan, part)->link) : "-");
    fputc('\n', out);
}

/* What the paths of links mean that there are. */
static void print_paths(FILE *out, const struct plan *plan)
{
    static const char *const meanings[LINK_PATHS] = {
        [LINK_DEVICE] = "device: a part writes straight into the GPU memory of its neighbour",
        [LINK_STAGED] = "staged: copied through the host's shared memory",
    };
    bool there[LINK_PATHS] = {false};

    for (int link = 1; link < plan->part_count; link++)
        there[plan_part(plan, link)->link] = true;
    for (int path = 0; path < LINK_PATHS; path++)
        if (there[path] && meanings[path])
            fprintf(out, "link %s\n", meanings[path]);
}

static void print_part(FILE *out, const struct plan *plan, int k)
{
    const struct plan_part *part = plan_part(plan, k);
    const struct slice *slice = &part->slice;
    char blocks[32], parameters[32], input[48], versions[32], in_flight[32];

    if (slice->block_count == 1)
        snprintf(blocks, sizeof(blocks), "%d", slice->first_block);
    else
        snprintf(blocks, sizeof(blocks), "%d-%d", slice->first_block, slice->first_block + slice->block_count - 1);
    snprintf(input, sizeof(input), "%dx%dx%d", part->input.height, part->input.width, part->input.channels);
    fprintf(out, " %8s %7d %11s %13s %7.1f%% %9s %10s %4d", blocks, slice->layer_count,
            text_with_commas(slice->parameters, parameters), input, 100.0 * part->compute_share,
            peak_of_room(part->weight_versions, part->weight_version_buffers, versions),
            peak_of_room(part->slots_in_flight, part->activation_sets, in_flight), plan_staleness(plan, k));
    place_print(out, plan, k);
}

/* The stage that all others wait for, if it has clearly more to do than the mean. */
static void print_balance(FILE *out, const struct plan *plan)
{
    int heaviest = 1;

    for (int s = 2; s <= plan->stage_count; s++)
        if (plan_stage(plan, s)->compute_share > plan_stage(plan, heaviest)->compute_share)
            heaviest = s;
    const double over = plan_stage(plan, heaviest)->compute_share * plan->stage_count - 1.0;

    if (over < 0.05)
        return;
    fprintf(out, "balance: stage %d is %.0f%% heavier than the mean by %s%s\n", heaviest, 100.0 * over,
            plan->costs_measured ? "measured time" : "floating-point operations",
            plan->schedule.parts == 1 && (plan->costs_measured || plan->config.pipeline.partition.count == 0)
                ? "; no cut between blocks does better"
                : "");
}

/* In the order of the network. */
static void print_stages(FILE *out, const struct plan *plan)
{
    const bool several = plan->schedule.parts > 1;

    fprintf(out, "%sstage   blocks  layers  parameters         input  compute  versions  in flight  tau",
            several ? "part  " : "");
    place_print_head(out, plan, 0);
    for (int k = 1; k <= plan->part_count; k++) {
        if (several)
            fprintf(out, "%4d  ", k);
        fprintf(out, "%5d", plan_stage_of(plan, k));
        print_part(out, plan, k);
    }
    fprintf(out, "versions, %s in flight: most at once on the unit-time schedule (of the room made)\n",
            describe_in_flight(plan));
    fprintf(out, "tau: updates from a forward to its micro-batch's own, in the full pipeline\n");
    print_balance(out, plan);
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
        print_memory_row(out, label, plan_stage(plan, s)->memory);
        for (int c = 0; c < MEMORY_CATEGORIES; c++)
            sums[c] += plan_stage(plan, s)->memory[c];
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
