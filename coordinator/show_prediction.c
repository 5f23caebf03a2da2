#include "coordinator/show_prediction.h"

#include "base/json.h"

static double milliseconds(int64_t nanoseconds)
{
    return 1e-6 * (double)nanoseconds;
}

static double percent_of(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static void print_sources(FILE *out, const struct prediction *prediction, const struct plan *plan)
{
    fprintf(out, "in milliseconds, ");
    for (int kind = 0; kind < OP_KINDS; kind++)
        if (predict_has(&plan->schedule, (enum op_kind)kind))
            fprintf(out, "%s %s, ", op_kind_name((enum op_kind)kind), prediction->given[kind] ? "given" : "measured");
    fprintf(out, "update %s:\n", prediction->update_given ? "given" : "measured");
}

static bool is_measured(const struct plan *plan, int link)
{
    return predict_wants_cables(plan) && plan_link_leaves(plan, link);
}

static void print_cable(FILE *out, const struct plan *plan, int link)
{
    if (is_measured(plan, link)) {
        const struct plan_machine *machine = &plan->machines[plan_cable_of(plan, link)];

        fprintf(out, "  %s - %s: %.1f Mbit/s, %.1f us", machine->host,
                plan->machines[(machine - plan->machines + 1) % plan->machine_count].host, machine->cable.mbit,
                machine->cable.us);
    }
    fputc('\n', out);
}

static void print_links(FILE *out, const struct prediction *prediction, const struct plan *plan)
{
    if (prediction->shared_memory)
        return;
    const int width = plan->part_count > 99 ? 9 : 5; /* "1023-1024" */

    fprintf(out, "\n%-*s  activation ms  gradient ms  latency ms%s\n", width, "link",
            predict_wants_cables(plan) ? "  measured" : "");
    for (int l = 1; l < plan->part_count; l++) {
        const struct link_times *link = &prediction->links[l - 1];
        char stages[32];

        snprintf(stages, sizeof(stages), "%d-%d", l, l + 1);
        fprintf(out, "%*s %14.3f %12.3f %11.3f", width, stages, milliseconds(link->activation),
                milliseconds(link->gradient), milliseconds(link->latency));
        print_cable(out, plan, l);
    }
}

/* The part with which a stage begins speaks for its times. */
static void print_stage(FILE *out, const struct prediction *prediction, const struct plan *plan, int s)
{
    const struct simulated_stage *events = &prediction->events->stages[s - 1];
    const struct part_times *times = &prediction->times[plan_part_of(plan, s, 0) - 1];
    const int64_t all = prediction->events->duration;

    fprintf(out, "%5d", s);
    for (int kind = 0; kind < OP_KINDS; kind++)
        if (predict_has(&plan->schedule, (enum op_kind)kind))
            fprintf(out, " %10.3f", milliseconds(times->op[kind]));
    fprintf(out, " %7.3f %6.1f%% %19.1f%% %8.1f%% %6.1f%% %9d %10d\n", milliseconds(times->update),
            percent_of(events->busy, all), percent_of(events->waits[WAIT_ACTIVATION], all),
            percent_of(events->waits[WAIT_GRADIENT], all), percent_of(events->waits[WAIT_SLOT], all),
            prediction->events->parts[plan_part_of(plan, s, 0) - 1].weight_versions, events->minibatches_in_flight);
}

static void print_stages(FILE *out, const struct prediction *prediction, const struct plan *plan)
{
    static const char *const heads[OP_KINDS] = {
        [OP_FORWARD] = "forward",
        [OP_BACKWARD] = "backward",
        [OP_BACKWARD_INPUT] = "input half",
        [OP_BACKWARD_WEIGHTS] = "weights",
    };

    fprintf(out, "stage");
    for (int kind = 0; kind < OP_KINDS; kind++)
        if (predict_has(&plan->schedule, (enum op_kind)kind))
            fprintf(out, " %10s", heads[kind]);
    fprintf(out, "  update    busy  waits: activation  gradient    slot  versions  in flight\n");
    for (int s = 1; s <= plan->stage_count; s++)
        print_stage(out, prediction, plan, s);
    fprintf(out, "in flight: mini-batches, at most\n");
}

static void print_version_difference(FILE *out, const struct prediction *prediction, const struct plan *plan)
{
    const struct simulation *events = prediction->events;

    fprintf(out, "version difference v: ");
    if (plan->version_difference_exact > 0)
        fprintf(out, "papers %d, exact %d, ", plan->version_difference_paper, plan->version_difference_exact);
    fprintf(out, "unit-time %d; with these times %d (median; %d to %d)\n", plan->version_difference_simulated,
            events->version_difference_median, events->version_difference_min, events->version_difference_max);
}

void prediction_print(FILE *out, const struct prediction *prediction, const struct plan *plan)
{
    const struct simulation *events = prediction->events;

    fprintf(out, "\nsimulation of %d mini-batches in %s order%s\n", prediction->minibatches,
            plan->config.pipeline.order == RUN_STATIC ? "static" : "dynamic",
            prediction->shared_memory ? ", links in shared memory" : "");
    print_sources(out, prediction, plan);
    print_stages(out, prediction, plan);
    print_links(out, prediction, plan);
    fprintf(out, "\n%.3f ms per mini-batch, %.0f images/s, %.2f s per epoch of training\n",
            1e-6 * events->minibatch_duration, prediction->images_per_second, prediction->epoch_seconds);
    print_version_difference(out, prediction, plan);
    fprintf(out, "bubble: %.1f%%; on the unit-time schedule %.1f%%\n", 100.0 * events->bubble_fraction,
            100.0 * plan->bubble_fraction);
}

/* Milliseconds of each kind of op that the order has, and of an update. */
static json_t *times_json(const struct part_times *times, const struct schedule *schedule)
{
    json_t *object = json_object();

    for (int kind = 0; kind < OP_KINDS; kind++)
        if (predict_has(schedule, (enum op_kind)kind))
            json_object_set_new(object, op_kind_name((enum op_kind)kind), json_real(milliseconds(times->op[kind])));
    json_object_set_new(object, "update", json_real(milliseconds(times->update)));
    return object;
}

static json_t *waits_json(const struct simulated_stage *events)
{
    json_t *object = json_object();

    for (int cause = WAIT_NONE + 1; cause < WAIT_CAUSES; cause++)
        json_object_set_new(object, wait_cause_name((enum wait_cause)cause),
                            json_real(1e-9 * (double)events->waits[cause]));
    return object;
}

static json_t *stage_json(const struct prediction *prediction, const struct plan *plan, int s)
{
    const struct simulated_stage *events = &prediction->events->stages[s - 1];

    /* clang-format off */
    return json_pack("{s:i, s:o, s:f, s:o, s:f, s:i, s:i, s:i}",
                     "stage", s,
                     "op_ms", times_json(&prediction->times[plan_part_of(plan, s, 0) - 1], &plan->schedule),
                     "busy_fraction", 0.01 * percent_of(events->busy, prediction->events->duration),
                     "wait_seconds", waits_json(events),
                     "drained_seconds", 1e-9 * (double)events->waits[WAIT_NONE],
                     "weight_versions", prediction->events->parts[plan_part_of(plan, s, 0) - 1].weight_versions,
                     "minibatches_in_flight", events->minibatches_in_flight,
                     "microbatches_in_flight", events->microbatches_in_flight);
    /* clang-format on */
}

/* null where nothing was measured. */
static json_t *link_json(const struct prediction *prediction, const struct plan *plan, int link)
{
    const struct link_times *times = &prediction->links[link - 1];
    json_t *mbit = json_null(), *us = json_null();

    if (is_measured(plan, link)) {
        const struct plan_cable *cable = &plan->machines[plan_cable_of(plan, link)].cable;

        mbit = json_real(cable->mbit);
        us = json_real(cable->us);
    }
    return json_pack("{s:f, s:f, s:f, s:o, s:o}", "activation_ms", milliseconds(times->activation), "gradient_ms",
                     milliseconds(times->gradient), "latency_ms", milliseconds(times->latency), "measured_mbit", mbit,
                     "measured_us", us);
}

static json_t *version_difference_json(const struct simulation *events)
{
    json_t *histogram = json_array();

    for (int v = 0; v <= events->version_difference_max; v++)
        json_array_append_new(histogram, json_integer(events->version_differences[v]));
    return json_pack("{s:i, s:i, s:i, s:o}", "min", events->version_difference_min, "median",
                     events->version_difference_median, "max", events->version_difference_max, "histogram", histogram);
}

json_t *prediction_json(const struct prediction *prediction, const struct plan *plan)
{
    const struct simulation *events = prediction->events;
    json_t *stages = json_array(), *links = json_array();

    for (int s = 1; s <= plan->stage_count; s++)
        json_array_append_new(stages, stage_json(prediction, plan, s));
    for (int l = 1; l < plan->part_count; l++)
        json_array_append_new(links, link_json(prediction, plan, l));
    /* No rate where nothing takes any time. */
    /* clang-format off */
    return json_pack("{s:i, s:f, s:f, s:o, s:o, s:f, s:o, s:o, s:o}",
                     "minibatches", prediction->minibatches,
                     "seconds", 1e-9 * (double)events->duration,
                     "minibatch_seconds", 1e-9 * events->minibatch_duration,
                     "images_per_second", real_json(prediction->images_per_second),
                     "epoch_seconds", real_json(prediction->epoch_seconds),
                     "bubble_fraction", events->bubble_fraction,
                     "version_difference", version_difference_json(events),
                     "stage", stages,
                     "link", links);
    /* clang-format on */
}
