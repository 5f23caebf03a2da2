/* Whether a plan that somebody else has written can be relied on: everything that a reader uses as an index, a size, a
 * row of a table or a text is what plan_begin and plan_finish could have put there. */
#include <limits.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/plan.h"

static bool within(int value, int low, int high)
{
    return value >= low && value <= high;
}

/* A bool that others wrote may hold any byte, and must not be read as one before that is known. */
static bool is_bool(const void *byte)
{
    return *(const unsigned char *)byte <= 1;
}

static bool same_rules(const struct schedule *claimed, const struct schedule *training)
{
    /* From behind the row's texts to its last member. */
    const size_t begin = offsetof(struct order, whole_backward);
    const size_t end = offsetof(struct order, microbatches) + sizeof(claimed->order.microbatches);

    return memcmp((const char *)&claimed->order + begin, (const char *)&training->order + begin, end - begin) == 0 &&
           within((int)claimed->forward, 0, FORWARD_DOUBLE_BUFFERED) &&
           within((int)claimed->backward, 0, BACKWARD_INTERMEDIATE);
}

/* At most W - 1 by the papers' expression, W by the others. */
static bool difference_is_sound(const struct plan *plan)
{
    return within(plan->version_difference_paper, 0, plan->stage_count) &&
           within(plan->version_difference_exact, 0, plan->stage_count) &&
           within(plan->version_difference_simulated, 0, plan->stage_count);
}

static bool counts_are_sound(const struct plan *plan)
{
    const int batch = plan->config.data.batch, microbatches = plan->config.pipeline.microbatches;

    return plan->stage_count == plan->config.pipeline.stages && plan->schedule.stages == plan->stage_count &&
           plan->schedule.microbatches == microbatches && microbatches <= batch && plan->minibatches_per_epoch >= 1 &&
           plan->schedule.minibatches == plan->minibatches_per_epoch && plan->test_minibatches >= 1 &&
           within(plan->last_minibatch_rows, 1, batch) && within(plan->last_test_minibatch_rows, 1, batch) &&
           (long long)plan->config.run.epochs * plan->minibatches_per_epoch <= INT_MAX && difference_is_sound(plan);
}

/* The rules and numbers of the two schedules. Later checks may ask the schedule. */
static bool schedule_is_sound(const struct plan *plan)
{
    struct schedule training, evaluation;
    struct error error;

    if (!counts_are_sound(plan))
        return false;
    training = plan_training(plan);
    evaluation = plan_evaluation(plan);
    return is_bool(&plan->costs_measured) && is_bool(&plan->schedule.forward_only) && !plan->schedule.forward_only &&
           same_rules(&plan->schedule, &training) && schedule_check(&training, &error) == 0 &&
           schedule_check(&evaluation, &error) == 0 && plan->gradient_slots == schedule_gradient_slots(&training);
}

static bool stage_is_sound(const struct plan *plan, const struct network *network, int s, int first_block)
{
    const struct plan_stage *stage = &plan->stages[s - 1];
    const struct schedule training = plan_training(plan), evaluation = plan_evaluation(plan);
    const int later_blocks = plan->stage_count - s;
    struct shape input, output;
    struct slice slice;

    if (!within(stage->slice.block_count, 1, network->block_count - first_block - later_blocks))
        return false;
    slice = network_slice(network, first_block, stage->slice.block_count);
    input = slice_input(network, &slice);
    output = slice_output(network, &slice);
    return memcmp(&slice, &stage->slice, sizeof(slice)) == 0 && memcmp(&input, &stage->input, sizeof(input)) == 0 &&
           memcmp(&output, &stage->output, sizeof(output)) == 0 &&
           within(stage->activation_sets, 1, schedule_slots_limit(&training, s)) &&
           within(stage->activation_slots, 1,
                  max_int(schedule_activation_slots(&training, s), schedule_activation_slots(&evaluation, s))) &&
           within(stage->weight_version_buffers, 1, schedule_versions_limit(&training, s)) &&
           within(stage->weight_versions, 1, schedule_versions_limit(&training, s)) &&
           within(stage->minibatches_in_flight, 1, schedule_in_flight_limit(&training, s));
}

static bool stages_are_sound(const struct plan *plan)
{
    struct network *network;
    struct error error;
    int blocks = 0;
    bool sound = true;

    if (network_create(&network, plan->config.model.arch, plan->data.shape, plan->config.model.classes, &error))
        return false;
    for (int s = 1; s <= plan->stage_count && sound; s++) {
        sound = stage_is_sound(plan, network, s, blocks);
        blocks += plan->stages[s - 1].slice.block_count;
    }
    sound = sound && blocks == network->block_count;
    network_destroy(network);
    return sound;
}

int plan_check(const struct plan *plan, struct error *error)
{
    if (config_check(&plan->config, error))
        return -1;
    if (!schedule_is_sound(plan))
        return error_set(error, "a schedule that no config leads to");
    if (!stages_are_sound(plan))
        return error_set(error, "stages that no network has");
    if (!places_are_sound(plan))
        return error_set(error, "stages where no config puts them");
    return 0;
}
