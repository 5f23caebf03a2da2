/* What passes read in place of a weight version, and how an update is made: the part's rules and optimizer (rules/,
 * optimizers/), on the vectors that it holds. */
#include <math.h>

#include "stages/internal.h"

static size_t parameters_of(const struct part *part)
{
    return part->plan->parts[part->index - 1].slice.parameters;
}

float *rules_slot(const struct part *part, enum vector vector)
{
    for (int k = 0; k < part->slot_count; k++)
        if (part->slots[k].vector == vector)
            return part->slot_floats[k];
    return NULL;
}

static int updates_of(const struct part *part)
{
    return part->phase.tracker ? versions_live(part->phase.tracker) : 0;
}

static struct combine_term locate(const struct part *part, const struct term *term, const float *live,
                                  const float *forward)
{
    const enum vector vectors[] = {term->plus, term->minus, term->square};
    const float *floats[3] = {NULL};

    for (int k = 0; k < 3; k++)
        floats[k] = vectors[k] == VECTOR_LIVE      ? live
                    : vectors[k] == VECTOR_FORWARD ? forward
                                                   : rules_slot(part, vectors[k]);
    return (struct combine_term){
        .coefficient = (float)term->coefficient,
        .plus = floats[0],
        .minus = floats[1],
        .square = floats[2],
        .root = (float)term->root,
        .epsilon = (float)term->epsilon,
    };
}

/* The sum that a rule reads; `live` itself where it has no terms now. `staleness` is the micro-batch's own. */
static const float *combine(struct part *part, const struct reading *reading, const float *live, const float *forward,
                            int staleness, struct error *error)
{
    struct term terms[READING_TERMS_MAX];
    struct combine_term located[READING_TERMS_MAX];
    const int count = plan_terms(part->plan, reading, part->index, staleness, updates_of(part), &part->course, terms);

    for (int k = 0; k < count; k++)
        located[k] = locate(part, &terms[k], live, forward);
    if (count == 0)
        return live;
    if (compute_backend(part->compute)
            ->combine(compute_engine(part->compute), parameters_of(part), live, located, count, part->combined, error))
        return NULL;
    return part->combined;
}

static const float *kept_version(const struct part *part, int version, struct error *error)
{
    const float *weights = weights_version(part->weights, version);

    if (!weights)
        error_set(error, "weight version %d is not kept here", version);
    return weights;
}

const float *rules_forward_weights(struct part *part, const struct op *op, int version, struct error *error)
{
    const struct reading *reading = forward_reading(part->phase.schedule.forward);
    const float *weights = kept_version(part, version, error);

    if (!weights || !reading->terms)
        return weights;
    return combine(part, reading, weights, NULL, versions_staleness_ahead(part->phase.tracker, op), error);
}

const float *rules_backward_weights(struct part *part, struct backward_versions versions, struct error *error)
{
    const struct reading *reading = backward_reading(part->phase.schedule.backward);

    if (!reading->terms)
        return kept_version(part, versions.read, error);
    return combine(part, reading, weights_version(part->weights, versions.live),
                   reading->keeps_forward ? weights_version(part->weights, versions.forward) : NULL,
                   versions.live - versions.forward, error);
}

bool rules_same_weights(const struct part *part, struct backward_versions a, struct backward_versions b)
{
    const struct reading *reading = backward_reading(part->phase.schedule.backward);

    return a.read == b.read && (!reading->terms || (a.forward == b.forward && a.live == b.live));
}

int rules_sum_of_squares(struct part *part, double *sum, struct error *error)
{
    *part->norm = 0.0;
    if (compute_backend(part->compute)
            ->sum_of_squares(compute_engine(part->compute), parameters_of(part), part->gradient, part->norm, error) ||
        pending_await_queue(part->stage, error))
        return -1;
    *sum = *part->norm;
    return 0;
}

/* Shortens the gradient to train.clip_norm, by the factor that the optimizer is given. */
static int clip(struct part *part, struct optimizer_settings *step, struct error *error)
{
    const double most = part->plan->config.train.clip_norm;
    double squares;

    if (!(most > 0.0))
        return 0;
    if (plan_clips_together(part->plan))
        squares = norm_squared(part);
    else if (rules_sum_of_squares(part, &squares, error))
        return -1;
    if (sqrt(squares) > most)
        step->gradient_scale = most / sqrt(squares);
    return 0;
}

/* The parameters from `first` on that are alike in whether they decay; of the tensors, those with one dimension are norms
 * and biases. Returns their number; *tensor is the next one. */
static size_t alike(const struct part *part, size_t first, int *tensor, bool *decays)
{
    const struct tensors *tensors = &part->tensors;
    size_t count = 0;

    *decays = true;
    if (part->decays_norms)
        return parameters_of(part) - first;
    for (; *tensor < tensors->count; ++*tensor) {
        const struct tensor *next = &tensors->list[*tensor];

        if (next->state)
            continue;
        if (count > 0 && (next->dimensions > 1) != *decays)
            break;
        *decays = next->dimensions > 1;
        count += next->count;
    }
    return count;
}

static float *at(float *floats, size_t first)
{
    return floats ? floats + first : NULL;
}

/* Shortens and corrects the gradient, so that the optimizer has nothing left to scale. One that passes will read
 * (VECTOR_GRADIENT) is kept as it was used: short, though no rule corrects it. */
static int correct(struct part *part, const struct update_facts *facts, struct optimizer_settings *step,
                   struct backward_versions versions, struct error *error)
{
    const struct update_rule *rule = update_rule(part->plan->schedule.update);
    const float *live = weights_version(part->weights, versions_live(part->phase.tracker)), *forward = live;
    struct correction correction = {.kind = CORRECTION_TAYLOR, .gradient_scale = (float)step->gradient_scale};
    int tensor = 0;

    if (rule->correction) {
        correction = rule->correction(facts, step);
        forward = kept_version(part, versions.forward, error);
        if (!forward)
            return -1;
    } else if (step->gradient_scale == 1.0 || !rules_slot(part, VECTOR_GRADIENT)) {
        return 0;
    }
    step->gradient_scale = 1.0;
    for (size_t first = 0, count; first < parameters_of(part); first += count) {
        struct correction own = correction;
        bool decays;

        count = alike(part, first, &tensor, &decays);
        own.decay = decays ? correction.decay : 0.0f;
        const struct correction_call call = {
            .count = count,
            .live = live + first,
            .forward = forward + first,
            .momentum = at(rules_slot(part, VECTOR_MOMENTUM), first),
            .average = at(rules_slot(part, VECTOR_SQUARED_MOMENTUM), first),
            .gradient = part->gradient + first,
        };
        if (compute_backend(part->compute)->correct(compute_engine(part->compute), &own, &call, error))
            return -1;
    }
    return 0;
}

static int step_all(struct part *part, const struct update *update, const float *from, float *to, struct error *error)
{
    float *differences = rules_slot(part, VECTOR_DIFFERENCES);
    const struct rule_settings settings = plan_rule_settings(part->plan);
    const double kept = differences_kept(&settings, plan_staleness(part->plan, part->index));
    int tensor = 0;

    for (size_t first = 0, count; first < parameters_of(part); first += count) {
        struct update own = *update;
        struct update_call call = {
            .weights = from + first,
            .gradient = part->gradient + first,
            .differences = at(differences, first),
            .keep_differences = (float)kept,
            .new_weights = to + first,
        };
        bool decays;

        count = call.count = alike(part, first, &tensor, &decays);
        own.decay = decays ? update->decay : 0.0f;
        for (int k = 0; k < update_slot_count(update->kind); k++)
            call.slots[k] = part->slot_floats[k] + first;
        if (compute_backend(part->compute)->update(compute_engine(part->compute), &own, &call, error))
            return -1;
    }
    return 0;
}

/* The gradient becomes the newest update's, and its buffer the next one's. */
static void keep_gradient(struct part *part)
{
    float *gradient = part->gradient;

    for (int k = 0; k < part->slot_count; k++)
        if (part->slots[k].vector == VECTOR_GRADIENT) {
            part->gradient = part->slot_floats[k];
            part->slot_floats[k] = gradient;
        }
}

int rules_update(struct part *part, struct backward_versions versions, struct error *error)
{
    struct version_tracker *tracker = part->phase.tracker;
    const struct update_rule *rule = update_rule(part->plan->schedule.update);
    const struct rule_settings settings = plan_rule_settings(part->plan);
    const struct update_facts facts =
        plan_update_facts(part->plan, &settings, part->index, versions.live - versions.forward, updates_of(part));
    struct optimizer_settings step = plan_next_step(part->plan, &facts, &part->course);
    struct update update;
    const float *from;
    float *to;

    if (clip(part, &step, error) || correct(part, &facts, &step, versions, error))
        return -1;
    update = optimizer_update(plan_optimizer(part->plan), &step, &part->course);
    if (rule->adjust)
        rule->adjust(&facts, &step, &update);
    from = weights_live(part->weights);
    versions_update(tracker);
    to = weights_make_room(part->weights, tracker, error);
    if (!to || step_all(part, &update, from, to, error))
        return -1;
    keep_gradient(part);
    return 0;
}

int rules_warm_up(struct part *part, struct error *error)
{
    const struct backend *backend = compute_backend(part->compute);
    struct engine *engine = compute_engine(part->compute);
    const size_t parameters = parameters_of(part);
    const float *weights = weights_live(part->weights);
    struct optimizer_settings settings = plan_optimizer_settings(part->plan);
    const struct update update = {
        .kind = optimizer_kind(plan_optimizer(part->plan), &settings), .root = 1.0f, .epsilon = 1.0f};
    struct update_call call = {
        .count = parameters, .weights = weights, .gradient = part->gradient, .new_weights = part->gradient};
    const struct combine_term term = {.plus = weights, .minus = weights};

    for (int k = 0; k < update_slot_count(update.kind); k++)
        call.slots[k] = part->slot_floats[k];
    if (backend->update(engine, &update, &call, error))
        return -1;
    return part->combined ? backend->combine(engine, parameters, weights, &term, 1, part->combined, error) : 0;
}
