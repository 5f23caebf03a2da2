/* Whether a plan that somebody else has written can be relied on: everything that a reader uses as an index, a size, a
 * row of a table or a text is what plan_begin and plan_finish could have put there. */
#include <limits.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/plan_internal.h"
#include "schedule/csv.h"

static bool within(int value, int low, int high)
{
    return value >= low && value <= high;
}

/* A bool that others wrote may hold any byte, and must not be read as one before that is known. */
static bool is_bool(const void *byte)
{
    return *(const unsigned char *)byte <= 1;
}

/* The order's row but for its texts: from behind them to its last member before the functions. */
static bool same_row(const struct order *one, const struct order *other)
{
    const size_t begin = offsetof(struct order, whole_backward);
    const size_t end = offsetof(struct order, microbatches) + sizeof(one->microbatches);

    return memcmp((const char *)one + begin, (const char *)other + begin, end - begin) == 0;
}

static bool same_rules(const struct schedule *claimed, const struct schedule *training)
{
    return same_row(&claimed->order, &training->order) && within((int)claimed->forward, 0, FORWARD_RULES - 1) &&
           within((int)claimed->backward, 0, BACKWARD_RULES - 1) && within((int)claimed->update, 0, UPDATE_RULES - 1);
}

/* A schedule file's text is read again: what is claimed of it follows from it. */
static bool text_is_sound(const struct plan *plan)
{
    const struct schedule *claimed = &plan->schedule;
    struct csv_schedule csv;
    struct error error;
    bool sound;

    if (!memchr(plan->schedule_text, '\0', sizeof(plan->schedule_text)))
        return false;
    if (!plan_is_from_file(&plan->config))
        return plan->schedule_text[0] == '\0' && claimed->in_flight == 0;
    if (csv_read(&csv, plan->schedule_text, strlen(plan->schedule_text), &error))
        return false;
    const struct order order = csv_order(&csv, "");
    sound = same_row(&claimed->order, &order) && claimed->in_flight == csv.in_flight && claimed->stages == csv.stages &&
            claimed->parts == csv.parts && claimed->microbatches == csv.microbatches;
    csv_release(&csv);
    return sound;
}

/* At most W - 1 by the papers' expression, W by the others; of a schedule file, what it has in flight. */
static bool difference_is_sound(const struct plan *plan)
{
    const int most = max_int(plan->part_count, plan->schedule.in_flight);

    return within(plan->version_difference_paper, 0, plan->part_count) &&
           within(plan->version_difference_exact, 0, plan->part_count) &&
           within(plan->version_difference_simulated, 0, most);
}

static bool counts_are_sound(const struct plan *plan)
{
    const int batch = plan->config.data.batch, microbatches = plan->config.pipeline.microbatches;

    return plan->stage_count == plan->config.pipeline.stages && plan->schedule.stages == plan->stage_count &&
           plan->schedule.parts == plan->config.pipeline.parts &&
           (int)plan->schedule.placement == plan->config.pipeline.placement &&
           plan->part_count == schedule_part_count(&plan->schedule) && plan_fits_run(plan) &&
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

    if (!counts_are_sound(plan) || !text_is_sound(plan))
        return false;
    training = plan_training(plan);
    evaluation = plan_evaluation(plan);
    return is_bool(&plan->costs_measured) && is_bool(&plan->data.tokens) && is_bool(&plan->schedule_renumbered) &&
           is_bool(&plan->schedule.forward_only) && !plan->schedule.forward_only &&
           same_rules(&plan->schedule, &training) && schedule_check(&training, &error) == 0 &&
           schedule_check(&evaluation, &error) == 0;
}

/* Else a rule might read a vector that nobody keeps. */
static bool rules_are_sound(const struct plan *plan)
{
    struct config_mistakes mistakes = {.count = 0};

    plan_check_rules(plan, &mistakes);
    return mistakes.count == 0;
}

static bool part_is_sound(const struct plan *plan, const struct network *network, int k, int first_block)
{
    const struct plan_part *part = plan_part(plan, k);
    const struct schedule training = plan_training(plan), evaluation = plan_evaluation(plan);
    const int later_blocks = plan->part_count - k;
    struct shape input, output;
    struct slice slice;

    if (!within(part->slice.block_count, 1, network->block_count - first_block - later_blocks))
        return false;
    slice = network_slice(network, first_block, part->slice.block_count);
    input = slice_input(network, &slice);
    output = slice_output(network, &slice);
    return memcmp(&slice, &part->slice, sizeof(slice)) == 0 && memcmp(&input, &part->input, sizeof(input)) == 0 &&
           memcmp(&output, &part->output, sizeof(output)) == 0 &&
           within(part->activation_sets, 1, schedule_slots_limit(&training, k)) &&
           within(part->activation_slots, 1,
                  max_int(schedule_activation_slots(&training, k), schedule_activation_slots(&evaluation, k))) &&
           within(part->gradient_slots, 1, schedule_gradient_slots(&training)) &&
           within(part->weight_version_buffers, 1, schedule_versions_limit(&training, k)) &&
           within(part->weight_versions, 1, schedule_versions_limit(&training, k)) &&
           within(part->minibatches_in_flight, 1, schedule_in_flight_limit(&training, k));
}

static bool parts_are_sound(const struct plan *plan)
{
    const struct network_options options = plan_network_options(plan);
    struct network *network = NULL;
    struct error error;
    int blocks = 0;
    bool sound = true;

    if (!memchr(plan->network_text, '\0', sizeof(plan->network_text)) || network_create(&network, &options, &error))
        return false;
    for (int k = 1; k <= plan->part_count && sound; k++) {
        sound = part_is_sound(plan, network, k, blocks);
        blocks += plan_part(plan, k)->slice.block_count;
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
    if (!machines_are_sound(plan))
        return error_set(error, "stages on machines that it has not");
    if (!rules_are_sound(plan))
        return error_set(error, "rules that its optimizer does not serve");
    if (!parts_are_sound(plan))
        return error_set(error, "parts that no network has");
    if (!places_are_sound(plan))
        return error_set(error, "stages where no config puts them");
    return 0;
}
