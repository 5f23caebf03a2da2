/* plan/: what spans several config keys, the partition, row counts, the room that a schedule needs, bytes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"
#include "tests/support/suite.h"

static struct config config;
static struct config_mistakes mistakes;
static struct plan plan;
static struct network *network;
static struct error error;

enum { IMAGES = 1000, OVERRIDES_MAX = 16 };

static const struct data_facts facts = {.train_count = IMAGES, .test_count = 200, .shape = {28, 28, 1}};
static const struct machine_facts machine = {.backends[PLACE_CPU] = "reference"};

/* "pipeline.stages=3 data.batch=7 ...". Returns plan_begin's answer. */
static int begin(const char *settings)
{
    const char *overrides[OVERRIDES_MAX];
    char copy[512], *rest = copy, *word;
    int count = 0;

    snprintf(copy, sizeof(copy), "%s", settings);
    while ((word = strsep(&rest, " ")) != NULL)
        overrides[count++] = word;
    ck_assert_int_le(count, OVERRIDES_MAX);
    ck_assert_msg(config_load(&config, "/dev/null", overrides, count, &mistakes) == 0, "%s", mistakes.lines[0]);
    return plan_begin(&plan, &config, &facts, &network, &mistakes);
}

/* Costs as a backend that keeps 2C floats for a batch norm; seconds as told. */
static void finish(double (*seconds)(const struct layer *layer))
{
    struct layer_cost *costs = calloc((size_t)network->layer_count, sizeof(*costs));

    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];

        costs[l].saved_floats = layer->kind == LAYER_BATCH_NORM ? 2 * (size_t)layer->in.channels : 0;
        costs[l].workspace_bytes = 64 * (size_t)(l + 1);
        costs[l].op_seconds[OP_FORWARD] = seconds ? seconds(layer) : 0.0;
    }
    ck_assert_msg(plan_place(&plan, &machine, &mistakes) == 0, "%s", mistakes.lines[0]);
    ck_assert_msg(plan_finish(&plan, network, costs, &error) == 0, "%s", error.text);
    free(costs);
}

static void make_plan(const char *settings)
{
    ck_assert_msg(begin(settings) == 0, "%s: %s", settings, mistakes.lines[0]);
    finish(NULL);
}

static void drop_plan(void)
{
    network_destroy(network);
    network = NULL;
}

static const struct {
    const char *settings, *mistake;
} wrong[] = {
    {"pipeline.stages=12", "--set pipeline.stages: 12 stages, but resnet20 has only 11 blocks to share out"},
    {"pipeline.partition=5,3,3", "--set pipeline.partition: 5,3,3 is for 3 stages, but there are 4 (pipeline.stages)"},
    {"pipeline.partition=5,3,3,3", "--set pipeline.partition: 5,3,3,3 adds up to 14 blocks, but resnet20 has 11"},
    {"pipeline.microbatches=9 data.batch=8", "--set pipeline.microbatches: 9 micro-batches, but a mini-batch has"},
    {"data.batch=1001 data.last_batch=drop", "--set data.batch: 1001 is more than the 1000 training images"},
    {"model.arch=vgg.net", "--set model.arch: vgg.net cannot be read: No such file"},
    {"train.nesterov=yes train.momentum=0", "--set train.nesterov: yes is a form of momentum, of which there is none"},
    {"pipeline.system=pipedream", "/dev/null: pipeline.microbatches (by default): order 1F1B takes whole"},
    {"pipeline.system=pipedream-2bw", "--set pipeline.system: double-buffered forwards need as many micro-batches"},
    {"pipeline.system=gpipe pipeline.backward_weights=committed", "--set pipeline.backward_weights: order fill-drain"},
    {"pipeline.system=gpipe pipeline.forward_weights=msnag", "--set pipeline.forward_weights: order fill-drain"},
    {"pipeline.system=zb-h1 staleness.update=dc-asgd",
     "--set staleness.update: order ZB-H1 finishes a mini-batch before the next one starts, so that nothing is "
     "stale for the update rule dc-asgd"},
    {"pipeline.system=spectrain pipeline.microbatches=1 pipeline.backward_weights=forward",
     "--set pipeline.backward_weights: forwards read predicted weights (spectrain), which are not kept, but "
     "backwards (forward) come back to them: use pipeline.backward_weights = live"},
    {"pipeline.system=pipedream pipeline.microbatches=1 pipeline.forward_weights=pipeoptim",
     "--set pipeline.forward_weights: forwards read predicted weights (pipeoptim), which are not kept"},
    {"pipeline.system=msnag pipeline.microbatches=1 staleness.update=gap-aware",
     "--set staleness.update: forwards read predicted weights (msnag), which are not kept, but the update rule "
     "gap-aware comes back to them"},
    {"pipeline.system=msnag pipeline.microbatches=1 train.momentum=0",
     "--set train.momentum: 0, but msnag forwards predict by the momentum"},
    {"train.nesterov=yes train.optimizer=adamw",
     "--set train.nesterov: yes is a form of sgd's momentum, but train.optimizer is adamw; use no"},
    {"pipeline.system=spike-compensation pipeline.microbatches=1 train.nesterov=yes",
     "--set train.nesterov: yes, but the update rule spike-compensation has a form of its own; use no"},
    {"pipeline.system=gap-aware pipeline.microbatches=1 train.optimizer=nadamw",
     "--set train.optimizer: nadamw, but the update rule gap-aware is made of sgd's momentum; use sgd"},
    {"pipeline.system=gap-aware pipeline.microbatches=1 train.momentum=0",
     "--set train.momentum: 0, but the update rule gap-aware is made of the momentum"},
    {"pipeline.system=nesterov-async pipeline.microbatches=1 train.optimizer=sgd",
     "--set train.optimizer: sgd has no beta1, which the update rule nesterov-async sets"},
    {"pipeline.system=v-timeprest pipeline.forward_weights=live pipeline.vertical_sync=yes",
     "--set pipeline.vertical_sync: yes pins the forwards' weights, but forward_weights says live; use no"},
    {"pipeline.system=pipedream-2bw pipeline.microbatches=4 pipeline.vertical_sync=yes",
     "--set pipeline.vertical_sync: yes pins the forwards' weights, but pipedream-2bw says double-buffered"},
    {"pipeline.system=i-timeprest pipeline.microbatches=63 data.batch=8191",
     "--set pipeline.microbatches: backwards over any run of 63 micro-batches have more than"},
    {"pipeline.system=gpipe staleness.update=spike-compensation",
     "--set staleness.update: order fill-drain finishes a mini-batch before the next one starts, so that nothing is "
     "stale for the update rule spike-compensation: use staleness.update = plain"},
    {"pipeline.system=spike-compensation pipeline.microbatches=1 train.momentum=0",
     "--set train.momentum: 0, but the update rule spike-compensation is made of the momentum"},
    {"pipeline.system=nesterov-async pipeline.microbatches=1 train.nesterov=yes",
     "--set train.nesterov: yes is a form of sgd's momentum, but train.optimizer is nadamw; use no"},
};

START_TEST(mistakes_name_the_key_and_what_would_be_right)
{
    const char *expected = wrong[_i].mistake;

    ck_assert_int_eq(begin(wrong[_i].settings), -1);
    ck_assert_ptr_null(network);
    ck_assert_int_eq(mistakes.count, 1);
    ck_assert_msg(strncmp(mistakes.lines[0], expected, strlen(expected)) == 0, "%s", mistakes.lines[0]);
}
END_TEST

START_TEST(several_mistakes_come_together)
{
    ck_assert_int_eq(begin("pipeline.stages=12 pipeline.partition=5,3 pipeline.microbatches=5 data.batch=4"), -1);
    ck_assert_int_eq(mistakes.count, 3);
}
END_TEST

static const struct {
    int batch, keep, drop, last, test, last_test;
} epochs[] = {
    {64, 16, 15, 40, 4, 8}, {100, 10, 10, 100, 2, 100}, {1, 1000, 1000, 1, 200, 1}, {1000, 1, 1, 1000, 1, 200}};

START_TEST(an_epoch_falls_into_minibatches)
{
    char settings[128];

    for (int drop = 0; drop < 2; drop++) {
        snprintf(settings, sizeof(settings), "pipeline.microbatches=1 data.batch=%d data.last_batch=%s",
                 epochs[_i].batch, drop ? "drop" : "keep");
        make_plan(settings);
        ck_assert_int_eq(plan.minibatches_per_epoch, drop ? epochs[_i].drop : epochs[_i].keep);
        ck_assert_int_eq(plan.last_minibatch_rows, drop ? epochs[_i].batch : epochs[_i].last);
        ck_assert_int_eq(plan.test_minibatches, epochs[_i].test);
        ck_assert_int_eq(plan.last_test_minibatch_rows, epochs[_i].last_test);
        int images = 0, test_images = 0;
        for (int i = 1; i <= plan.minibatches_per_epoch; i++)
            images += plan_minibatch_rows(&plan, i);
        for (int i = 1; i <= plan.test_minibatches; i++)
            test_images += plan_test_minibatch_rows(&plan, i);
        ck_assert_int_eq(images, drop ? epochs[_i].drop * epochs[_i].batch : IMAGES);
        ck_assert_int_eq(test_images, facts.test_count);
        ck_assert_int_eq(plan_training(&plan).minibatches, plan.minibatches_per_epoch);
        ck_assert_int_eq(plan_evaluation(&plan).minibatches, plan.test_minibatches);
        ck_assert(plan_evaluation(&plan).forward_only);
        drop_plan();
    }
}
END_TEST

static bool contains(const int *list, int count, int rows)
{
    for (int i = 0; i < count; i++)
        if (list[i] == rows)
            return true;
    return false;
}

static void check_ascending(const int *list, int count)
{
    ck_assert_int_gt(count, 0);
    for (int i = 0; i < count; i++)
        ck_assert_int_gt(list[i], i > 0 ? list[i - 1] : 0);
}

/* Every call that a run can make has been prepared for. */
static void check_rows(const char *settings, int minibatch_rows, bool training)
{
    const int n = plan.schedule.microbatches;
    struct plan_rows rows;

    ck_assert_int_eq(plan_rows(&plan, &rows), 0);
    check_ascending(rows.forward, rows.forward_count);
    check_ascending(rows.backward, rows.backward_count);
    check_ascending(rows.group, rows.group_count);
    for (int j = 0; j < n; j++) {
        int part = minibatch_rows / n + (j < minibatch_rows % n);

        if (part == 0)
            continue;
        ck_assert_msg(contains(rows.forward, rows.forward_count, part), "%s: forward of %d", settings, part);
        if (training)
            ck_assert_msg(contains(rows.group, rows.group_count, part), "%s: group of %d", settings, part);
        if (training && !plan.schedule.order.whole_backward)
            ck_assert_msg(contains(rows.backward, rows.backward_count, part), "%s: backward of %d", settings, part);
    }
    if (training && plan.schedule.order.whole_backward)
        ck_assert_msg(contains(rows.backward, rows.backward_count, minibatch_rows), "%s: backward of %d", settings,
                      minibatch_rows);
}

START_TEST(rows_cover_what_a_run_calls)
{
    static const int batches[] = {7, 12, 64, 999};
    const struct system *system = &systems[_i];
    char settings[128];

    for (int n = 1; n <= 7; n++) {
        for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
            if ((orders[system->order].microbatches > 0 && orders[system->order].microbatches != n) ||
                (system->forward == FORWARD_DOUBLE_BUFFERED && n < 2))
                continue;
            snprintf(settings, sizeof(settings),
                     "pipeline.stages=2 pipeline.system=%s pipeline.microbatches=%d data.batch=%d", system->name, n,
                     batches[b]);
            ck_assert_msg(begin(settings) == 0, "%s: %s", settings, mistakes.lines[0]);
            for (int i = 1; i <= plan.minibatches_per_epoch; i++)
                check_rows(settings, plan_minibatch_rows(&plan, i), true);
            for (int i = 1; i <= plan.test_minibatches; i++)
                check_rows(settings, plan_test_minibatch_rows(&plan, i), false);
            drop_plan();
        }
    }
}
END_TEST

/* Batch 10 in 4 parts: 3, 3, 2, 2. Runs of equal weights: any neighbours. */
START_TEST(a_stash_may_split_the_backward_anywhere)
{
    static const int expected[] = {2, 3, 4, 5, 6, 7, 8, 10};
    struct plan_rows rows;

    ck_assert_int_eq(begin("pipeline.system=i-timeprest pipeline.microbatches=4 data.batch=10 data.last_batch=drop"),
                     0);
    ck_assert_int_eq(plan_rows(&plan, &rows), 0);
    ck_assert_int_eq(rows.backward_count, 8);
    ck_assert_mem_eq(rows.backward, expected, sizeof(expected));
    drop_plan();
    ck_assert_int_eq(begin("pipeline.system=timeprest pipeline.microbatches=4 data.batch=10 data.last_batch=drop"), 0);
    ck_assert_int_eq(plan_rows(&plan, &rows), 0);
    ck_assert_int_eq(rows.backward_count, 1);
    ck_assert_int_eq(rows.backward[0], 10);
    drop_plan();
}
END_TEST

START_TEST(stages_share_out_the_network)
{
    static const char *const architectures[] = {"resnet8", "resnet20", "mlp"};
    char settings[128];

    for (int a = 0; a < 3; a++) {
        for (int stages = 1; stages <= 11; stages++) {
            int block = 0, layer = 0;
            size_t parameter = 0;
            double share = 0.0;

            snprintf(settings, sizeof(settings), "model.arch=%s pipeline.stages=%d", architectures[a], stages);
            if (begin(settings) != 0) {
                ck_assert_ptr_nonnull(strstr(mistakes.lines[0], "blocks"));
                continue;
            }
            finish(NULL);
            for (int s = 0; s < stages; s++) {
                const struct plan_part *stage = &plan.parts[s];

                ck_assert_int_ge(stage->slice.block_count, 1);
                ck_assert_int_eq(stage->slice.first_block, block);
                ck_assert_int_eq(stage->slice.first_layer, layer);
                ck_assert_uint_eq(stage->slice.parameter_offset, parameter);
                if (s > 0)
                    ck_assert_mem_eq(&stage->input, &plan.parts[s - 1].output, sizeof(stage->input));
                block += stage->slice.block_count;
                layer += stage->slice.layer_count;
                parameter += stage->slice.parameters;
                share += stage->compute_share;
            }
            ck_assert_int_eq(block, network->block_count);
            ck_assert_int_eq(layer, network->layer_count);
            ck_assert_uint_eq(parameter, network->parameters);
            ck_assert_double_eq_tol(share, 1.0, 1e-12);
            drop_plan();
        }
    }
}
END_TEST

static double head_is_slow(const struct layer *layer)
{
    return layer->kind == LAYER_LINEAR ? 100.0 : 1.0;
}

START_TEST(the_partition_follows_its_costs)
{
    ck_assert_int_eq(begin("pipeline.stages=2 pipeline.order=dynamic"), 0);
    ck_assert(plan_wants_seconds(&plan));
    finish(head_is_slow);
    ck_assert(plan.costs_measured);
    ck_assert_int_eq(plan.parts[0].slice.block_count, 10);
    ck_assert_double_eq_tol(plan.stages[1].compute_share, 101.0 / 143.0, 1e-12);
    drop_plan();

    /* What must repeat must not depend on a clock. */
    ck_assert_int_eq(begin("pipeline.stages=2 pipeline.order=static"), 0);
    ck_assert(!plan_wants_seconds(&plan));
    finish(head_is_slow);
    ck_assert(!plan.costs_measured);
    ck_assert_int_lt(plan.parts[0].slice.block_count, 8);
    drop_plan();

    /* Unless the config asks for it: then the cut is the config's from there on. */
    ck_assert_int_eq(begin("pipeline.stages=2 pipeline.order=static pipeline.balance=measured"), 0);
    ck_assert(plan_wants_seconds(&plan));
    finish(head_is_slow);
    ck_assert(plan.costs_measured);
    ck_assert_int_eq(plan.config.pipeline.partition.count, 2);
    ck_assert_int_eq(plan.config.pipeline.partition.values[0], 10);
    ck_assert_int_eq(plan.config.pipeline.partition.values[1], 1);
    ck_assert(!plan_wants_seconds(&plan));
    drop_plan();

    ck_assert_int_eq(begin("pipeline.stages=2 pipeline.order=dynamic pipeline.balance=flops"), 0);
    ck_assert(!plan_wants_seconds(&plan));
    drop_plan();

    ck_assert_int_eq(begin("pipeline.stages=3 pipeline.partition=1,9,1"), 0);
    ck_assert(!plan_wants_seconds(&plan));
    finish(head_is_slow);
    ck_assert_int_eq(plan.parts[0].slice.block_count, 1);
    ck_assert_int_eq(plan.parts[1].slice.block_count, 9);
    drop_plan();
}
END_TEST

/* PAPERS' known cases, and the version difference. */
START_TEST(known_systems_keep_known_versions)
{
    for (int w = 1; w <= 6; w++) {
        char settings[128];

        for (int sync = 0; sync < 2; sync++) {
            snprintf(settings, sizeof(settings),
                     "pipeline.system=pipedream pipeline.microbatches=1 pipeline.stages=%d pipeline.vertical_sync=%d",
                     w, sync);
            make_plan(settings);
            ck_assert_int_eq(plan.schedule.forward, sync ? FORWARD_PINNED : FORWARD_LIVE);
            for (int s = 1; s <= w; s++)
                ck_assert_msg(plan.parts[s - 1].weight_versions == (sync ? w : w - s + 1), "%s: %d versions at %d",
                              settings, plan.parts[s - 1].weight_versions, s);
            drop_plan();
        }
        snprintf(settings, sizeof(settings), "pipeline.system=v-timeprest pipeline.stages=%d", w);
        make_plan(settings);
        for (int s = 0; s < w; s++)
            ck_assert_int_eq(plan.parts[s].weight_version_buffers, 1);
        drop_plan();
    }
    make_plan("pipeline.stages=2 pipeline.microbatches=3 pipeline.order=static");
    ck_assert_int_eq(plan.parts[0].weight_version_buffers, 1);
    ck_assert_int_eq(plan.parts[1].weight_version_buffers, 2);
    drop_plan();
    make_plan("pipeline.stages=6 pipeline.microbatches=2");
    ck_assert_int_eq(plan.version_difference_paper, 3);
    ck_assert_int_eq(plan.version_difference_exact, 2);
    ck_assert_int_eq(plan.version_difference_simulated, 2);
    drop_plan();
    make_plan("pipeline.system=gpipe");
    ck_assert_int_eq(plan.version_difference_paper, 0);
    ck_assert_int_eq(plan.version_difference_exact, 0);
    ck_assert_int_eq(plan.version_difference_simulated, 1);
    drop_plan();
}
END_TEST

/* First slot that an op of the mini-batch takes at the stage, and the slot behind its last. */
/* From a slot's first op to its last, in time slots of the schedule. `size`: micro-batches that it holds. */
static void span(const struct simulation *simulation, int stage, int microbatches, int size, int slot, int *first,
                 int *end)
{
    *first = -1;
    for (int k = 0; k < simulation_op_count(simulation, stage); k++) {
        const struct timed_op timed = simulation_op(simulation, stage, k);
        const struct op *op = &timed.op;

        if (((op->minibatch - 1) * microbatches + op->first - 1) / size != slot)
            continue;
        if (*first < 0)
            *first = (int)timed.start;
        *end = (int)timed.end;
    }
}

/* Slots of memory between their first op at stage s and their last op at stages s and s + 1, one unit of time by one. */
static int slots_in_use(const struct simulation *simulation, const struct schedule *schedule, int s)
{
    const int n = schedule->microbatches, size = schedule->order.whole_backward ? n : 1;
    int *use = calloc((size_t)simulation->duration + 1, sizeof(*use)), most = 0;

    for (int i = 0; i < simulation->minibatch_count * n / size; i++) {
        int first, end = 0, first_after, end_after = 0;

        span(simulation, s, n, size, i, &first, &end);
        if (s < simulation->stage_count)
            span(simulation, s + 1, n, size, i, &first_after, &end_after);
        for (int slot = first; slot < (end > end_after ? end : end_after); slot++)
            use[slot]++;
    }
    for (int slot = 0; slot < simulation->duration; slot++)
        most = use[slot] > most ? use[slot] : most;
    free(use);
    return most;
}

START_TEST(room_is_enough_for_the_schedule)
{
    const struct system *system = &systems[_i];
    char settings[192];

    for (int w = 1; w <= 5; w++) {
        for (int n = 1; n <= 6; n++) {
            for (int replayed = 0; replayed < 2; replayed++) {
                struct simulation *simulation;

                if ((orders[system->order].microbatches > 0 && orders[system->order].microbatches != n) ||
                    (system->forward == FORWARD_DOUBLE_BUFFERED && n < w))
                    continue;
                snprintf(settings, sizeof(settings),
                         "pipeline.system=%s pipeline.stages=%d pipeline.microbatches=%d pipeline.order=%s "
                         "data.batch=%d",
                         system->name, w, n, replayed ? "static" : "dynamic", n == 6 ? 400 : 40);
                make_plan(settings);
                struct schedule schedule = plan_training(&plan);
                ck_assert_int_eq(simulate_unit(&schedule, (struct link_slots){0, 0}, true, &simulation, &error), 0);
                /* The gradient slots hold nothing up. */
                ck_assert(plan.bubble_fraction == simulation->bubble_fraction);
                for (int s = 1; s <= w; s++) {
                    const struct plan_part *stage = &plan.parts[s - 1];

                    ck_assert_msg(stage->activation_slots >= slots_in_use(simulation, &schedule, s),
                                  "%s: %d slots at stage %d, %d needed", settings, stage->activation_slots, s,
                                  slots_in_use(simulation, &schedule, s));
                    ck_assert_int_ge(stage->weight_version_buffers, stage->weight_versions);
                    ck_assert_int_le(stage->weight_version_buffers, plan.minibatches_per_epoch + 1);
                    ck_assert_int_le(stage->activation_slots * schedule_slot_size(&schedule),
                                     plan.minibatches_per_epoch * schedule.microbatches);
                    if (replayed)
                        ck_assert_int_eq(stage->weight_version_buffers, stage->weight_versions);
                }
                simulation_destroy(simulation);
                drop_plan();
            }
        }
    }
}
END_TEST

static size_t floats_in_bytes(size_t floats)
{
    return floats * sizeof(float);
}

/* Parts 1 and 3 lie on stage 1, 2 and 4 on stage 2: layer l's op takes 64 l bytes, and part 4's the logits' gradients. */
START_TEST(the_parts_of_a_stage_share_a_workspace)
{
    enum { ROWS = 8 };
    const size_t largest[] = {192, floats_in_bytes(ROWS * 10) + 256};

    make_plan("model.arch=mlp model.depth=4 pipeline.system=interleaved-1f1b pipeline.stages=2 pipeline.parts=2 "
              "pipeline.microbatches=2 data.batch=16 pipeline.partition=1,1,1,1");
    for (int s = 0; s < 2; s++) {
        ck_assert_uint_eq(plan.parts[s].memory[MEMORY_WORKSPACE], largest[s]);
        ck_assert_uint_eq(plan.parts[s + 2].memory[MEMORY_WORKSPACE], 0);
        ck_assert_uint_eq(plan.stages[s].memory[MEMORY_WORKSPACE], largest[s]);
    }
    drop_plan();
}
END_TEST

/* mlp: 784 -> 256 -> 256 -> 10, one block each. Every figure below is counted by hand. */
START_TEST(bytes_add_up_for_a_network_counted_by_hand)
{
    enum { P1 = 784 * 256 + 256, P2 = 256 * 256 + 256, P3 = 256 * 10 + 10, ROWS = 16 };

    make_plan("model.arch=mlp pipeline.stages=3 pipeline.microbatches=2 data.batch=16 pipeline.partition=1,1,1");
    const struct plan_part *one = &plan.parts[0], *two = &plan.parts[1], *three = &plan.parts[2];
    ck_assert_uint_eq(one->memory[MEMORY_WEIGHTS], floats_in_bytes(P1));
    ck_assert_uint_eq(two->memory[MEMORY_WEIGHTS], floats_in_bytes(P2));
    ck_assert_uint_eq(three->memory[MEMORY_WEIGHTS], floats_in_bytes(P3));
    ck_assert_uint_eq(two->memory[MEMORY_STASH], floats_in_bytes(P2) * (size_t)(two->weight_version_buffers - 1));
    ck_assert_uint_eq(two->memory[MEMORY_GRADIENTS], floats_in_bytes(P2));
    ck_assert_uint_eq(two->memory[MEMORY_OPTIMIZER], floats_in_bytes(P2));
    /* Stage 1 keeps its images, and has room for those of two mini-batches ahead; the outputs of 1 and 2 lie in the links;
     * stage 3 keeps its logits. */
    ck_assert_uint_eq(one->memory[MEMORY_ACTIVATIONS],
                      floats_in_bytes(ROWS * 784) * (size_t)(one->activation_sets + 2));
    ck_assert_uint_eq(two->memory[MEMORY_ACTIVATIONS], 0);
    ck_assert_uint_eq(three->memory[MEMORY_ACTIVATIONS], floats_in_bytes(ROWS * 10) * (size_t)three->activation_sets);
    ck_assert_uint_eq(one->memory[MEMORY_LINKS], floats_in_bytes(ROWS * 256) * 2);
    ck_assert_uint_eq(two->memory[MEMORY_LINKS], floats_in_bytes(ROWS * 256) * (size_t)(one->activation_slots + 2));
    ck_assert_uint_eq(three->memory[MEMORY_LINKS], floats_in_bytes(ROWS * 256) * (size_t)two->activation_slots);
    /* The only gradients that no link holds are the logits'. */
    ck_assert_uint_eq(one->memory[MEMORY_WORKSPACE], 64);
    ck_assert_uint_eq(two->memory[MEMORY_WORKSPACE], 128);
    ck_assert_uint_eq(three->memory[MEMORY_WORKSPACE], floats_in_bytes(ROWS * 10) + 192);
    drop_plan();

    make_plan("model.arch=mlp pipeline.stages=3 pipeline.microbatches=2 data.batch=16 pipeline.partition=1,1,1 "
              "train.momentum=0 pipeline.system=i-timeprest pipeline.backward_activations=recompute");
    ck_assert_uint_eq(plan.stages[1].memory[MEMORY_OPTIMIZER], 0);
    ck_assert_uint_eq(plan.stages[1].memory[MEMORY_STASH],
                      floats_in_bytes(P2) * (size_t)plan.parts[1].weight_version_buffers);
    /* The output once more, beside the one in the link. */
    ck_assert_uint_eq(plan.stages[1].memory[MEMORY_ACTIVATIONS], floats_in_bytes(ROWS * 256));
    ck_assert_uint_eq(plan.stages[0].memory[MEMORY_ACTIVATIONS],
                      floats_in_bytes(ROWS * 256 + ROWS * 784 * (size_t)(plan.parts[0].activation_sets + 2)));
    drop_plan();
}
END_TEST

/* resnet20 cut behind blocks 3 and 7: 28 x 28 x 16 and 7 x 7 x 64 cross the cuts. */
START_TEST(links_are_as_wide_as_their_cuts)
{
    enum { ROWS = 10, CUT1 = 28 * 28 * 16, CUT2 = 7 * 7 * 64 };

    make_plan("pipeline.stages=3 pipeline.partition=4,4,3 data.batch=10");
    const struct plan_part *stages = plan.parts;
    size_t slots1 = (size_t)stages[0].activation_slots, slots2 = (size_t)stages[1].activation_slots;
    ck_assert_uint_eq(plan_slot_bytes(&plan, 1), floats_in_bytes(ROWS * CUT1));
    ck_assert_uint_eq(plan_slot_bytes(&plan, 2), floats_in_bytes(ROWS * CUT2));
    ck_assert_uint_eq(stages[0].memory[MEMORY_LINKS], floats_in_bytes(ROWS * CUT1) * 2);
    ck_assert_uint_eq(stages[1].memory[MEMORY_LINKS],
                      floats_in_bytes(ROWS * CUT1) * slots1 + floats_in_bytes(ROWS * CUT2) * 2);
    ck_assert_uint_eq(stages[2].memory[MEMORY_LINKS], floats_in_bytes(ROWS * CUT2) * slots2);
    drop_plan();
}
END_TEST

START_TEST(one_minibatch_needs_one_of_everything)
{
    make_plan("data.batch=1000");
    ck_assert_int_eq(plan.parts[0].gradient_slots, 1);
    for (int s = 0; s < 4; s++) {
        ck_assert_int_eq(plan.parts[s].activation_slots, 1);
        ck_assert_int_eq(plan.parts[s].minibatches_in_flight, 1);
    }
    drop_plan();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, mistakes_name_the_key_and_what_would_be_right, 0,
                        (int)(sizeof(wrong) / sizeof(wrong[0])));
    tcase_add_test(tcase, several_mistakes_come_together);
    tcase_add_loop_test(tcase, an_epoch_falls_into_minibatches, 0, COUNT(epochs));
    tcase_add_loop_test(tcase, rows_cover_what_a_run_calls, 0, asking_system_count);
    tcase_add_test(tcase, a_stash_may_split_the_backward_anywhere);
    tcase_add_test(tcase, stages_share_out_the_network);
    tcase_add_test(tcase, the_partition_follows_its_costs);
    tcase_add_test(tcase, known_systems_keep_known_versions);
    tcase_add_loop_test(tcase, room_is_enough_for_the_schedule, 0, asking_system_count);
    tcase_add_test(tcase, bytes_add_up_for_a_network_counted_by_hand);
    tcase_add_test(tcase, the_parts_of_a_stage_share_a_workspace);
    tcase_add_test(tcase, links_are_as_wide_as_their_cuts);
    tcase_add_test(tcase, one_minibatch_needs_one_of_everything);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
