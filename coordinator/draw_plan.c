#include "coordinator/draw_plan.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/show_plan.h"
#include "picture/simulated.h"
#include "plan/config_keys.h"
#include "plan/predict.h"

/* More of them nobody can read. */
enum { PANELS_MAX = 16, TICKS_MAX = 2000, OPS_MAX = 100000 };

/* The plans that are drawn: the first is the caller's. */
struct drawing {
    const struct drawing_request *request;
    struct panel *panels[PANELS_MAX];
    struct prepared *prepared[PANELS_MAX];
    int count;
    uint64_t length; /* of time that is drawn: what the first plan asks for */
};

static enum exit_status fail(enum exit_status status, const struct error *error)
{
    fprintf(stderr, "tpcoord: %s\n", error->text);
    return status;
}

static void release(struct drawing *drawing)
{
    for (int p = 0; p < PANELS_MAX; p++) {
        panel_destroy(drawing->panels[p]);
        if (drawing->prepared[p])
            prepared_release(drawing->prepared[p]);
        free(drawing->prepared[p]);
    }
}

/* How much of the first plan is drawn. */
static int choose_length(struct drawing *drawing, const struct schedule *schedule, const struct simulation *simulation,
                         struct error *error)
{
    const struct drawing_request *request = drawing->request;
    const int minibatches = request->minibatches > 0 ? request->minibatches : GRID_MINIBATCHES;

    if (drawing->length > 0)
        return 0;
    drawing->length = request->ticks > 0 && !request->times ? (uint64_t)request->ticks
                                                            : (uint64_t)simulation_until(simulation, minibatches);
    if (drawing->length == 0)
        return error_set(error, "there is nothing to draw: no op takes any time");
    if (!request->times && drawing->length > TICKS_MAX)
        return error_set(error, "a picture of %llu ticks is too large; --slots K draws up to %d",
                         (unsigned long long)drawing->length, TICKS_MAX);
    if ((double)schedule_op_count(schedule) * schedule->stages / schedule->minibatches * minibatches > OPS_MAX)
        return error_set(error, "a picture of %d mini-batches in %d stages is too large; use fewer (--minibatches K)",
                         minibatches, schedule->stages);
    return 0;
}

static void note_ticks(struct panel *panel, const struct plan *plan, const struct simulation *simulation)
{
    const bool unit = plan->config.pipeline.static_times == STATIC_UNIT;

    snprintf(panel->note, sizeof(panel->note), "%s; idle %.1f%% over %d mini-batches, with a core for each stage%s",
             unit ? "unit times: every op takes one" : "nominal times: a forward takes 1, a backward's halves 1 each",
             100.0 * simulation->bubble_fraction, simulation->minibatch_count, "");
}

static void note_times(struct panel *panel, const struct prediction *prediction)
{
    const bool given = prediction->given[OP_FORWARD];

    snprintf(panel->note, sizeof(panel->note),
             "%s times, with a core for each stage: %.3g ms a mini-batch, idle %.1f%% over %d mini-batches",
             given ? "given" : "measured", 1e-6 * prediction->events->minibatch_duration,
             100.0 * prediction->events->bubble_fraction, prediction->minibatches);
}

/* The version difference, where there is one. */
static void append_difference(struct panel *panel, const struct simulation *simulation)
{
    const size_t used = strlen(panel->note);

    if (simulation->version_difference_max > 0)
        snprintf(panel->note + used, sizeof(panel->note) - used, "; version difference v = %d",
                 simulation->version_difference_median);
}

static int add_panel(struct drawing *drawing, const struct plan *plan, const struct schedule *schedule,
                     const struct simulation *simulation, struct error *error)
{
    if (choose_length(drawing, schedule, simulation, error) ||
        panel_of_simulation(&drawing->panels[drawing->count], plan, schedule, simulation, drawing->length, error))
        return -1;
    drawing->count++;
    return 0;
}

static int add_ticks(struct drawing *drawing, const struct plan *plan, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *simulation;

    if (drawing->request->minibatches > 0)
        schedule.minibatches = drawing->request->minibatches;
    if (plan_simulate_ticks(plan, &schedule, &simulation, error))
        return -1;
    const int result = add_panel(drawing, plan, &schedule, simulation, error);
    if (result == 0) {
        note_ticks(drawing->panels[drawing->count - 1], plan, simulation);
        append_difference(drawing->panels[drawing->count - 1], simulation);
    }
    simulation_destroy(simulation);
    return result;
}

static int add_times(struct drawing *drawing, const struct plan *plan, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct prediction *prediction = malloc(sizeof(*prediction));
    int result;

    if (!prediction)
        return error_set(error, "out of memory for the picture");
    result = predict(prediction, plan, drawing->request->minibatches, error);
    schedule.minibatches = prediction->minibatches;
    if (result == 0)
        result = add_panel(drawing, plan, &schedule, prediction->events, error);
    if (result == 0) {
        note_times(drawing->panels[drawing->count - 1], prediction);
        append_difference(drawing->panels[drawing->count - 1], prediction->events);
    }
    prediction_release(prediction);
    free(prediction);
    return result;
}

static int add_plan(struct drawing *drawing, const struct plan *plan, struct error *error)
{
    return (drawing->request->times ? add_times : add_ticks)(drawing, plan, error);
}

/* The same with another system, and the N that this can have. */
static enum exit_status prepare_beside(struct drawing *drawing, const struct config *config, const char *name)
{
    const struct preparation *first = drawing->request->preparation;
    const struct system *system = system_find(name); /* NULL: a schedule file */
    const char **overrides = calloc((size_t)first->override_count + 2, sizeof(*overrides));
    struct prepared *prepared = calloc(1, sizeof(*prepared));
    char chosen[CONFIG_NAME_MAX + 32], microbatches[64];
    struct preparation preparation = *first;
    enum exit_status status = EXIT_FAILED;

    if (overrides && prepared) {
        snprintf(chosen, sizeof(chosen), "pipeline.system=%s", name);
        snprintf(microbatches, sizeof(microbatches), "pipeline.microbatches=%d",
                 system ? system_microbatches(system, config->pipeline.microbatches, config->pipeline.stages)
                        : config->pipeline.microbatches);
        memcpy(overrides, first->overrides, (size_t)first->override_count * sizeof(*overrides));
        overrides[preparation.override_count++] = chosen;
        overrides[preparation.override_count++] = microbatches;
        preparation.overrides = overrides;
        preparation.warned = true;
        preparation.compared = true;
        status = prepare(prepared, &preparation);
    } else {
        fprintf(stderr, "tpcoord: out of memory for the picture\n");
    }
    free(overrides);
    if (status == EXIT_DONE) {
        drawing->prepared[drawing->count] = prepared;
        predict_scale(&prepared->plan.config,
                      (double)config->pipeline.microbatches / prepared->plan.config.pipeline.microbatches);
    } else {
        free(prepared);
    }
    return status;
}

static enum exit_status add_beside(struct drawing *drawing, const struct config *config, const char *name)
{
    struct error error;

    const enum exit_status status = prepare_beside(drawing, config, name);
    if (status == EXIT_DONE && add_plan(drawing, &drawing->prepared[drawing->count]->plan, &error))
        return fail(EXIT_FAILED, &error);
    return status;
}

static enum exit_status add_all(struct drawing *drawing, const struct plan *plan)
{
    char *copy = strdup(drawing->request->beside ? drawing->request->beside : ""), *rest = copy, *name;
    enum exit_status status = EXIT_DONE;
    struct error error;

    if (!copy || add_plan(drawing, plan, &error)) {
        free(copy);
        return copy ? fail(EXIT_FAILED, &error) : EXIT_FAILED;
    }
    while (status == EXIT_DONE && drawing->request->beside && (name = strsep(&rest, ",")) != NULL)
        status = add_beside(drawing, &plan->config, name);
    free(copy);
    return status;
}

int plan_check_beside(const char *list, struct error *error)
{
    char *copy = strdup(list), *rest = copy, *name;
    int result = copy ? 0 : error_set(error, "out of memory"), count = 1;
    struct config scratch;

    while (result == 0 && (name = strsep(&rest, ",")) != NULL) {
        result = config_key_set(config_key_find("pipeline.system"), &scratch, name, error);
        if (result == 0 && ++count > PANELS_MAX)
            result = error_set(error, "a picture has at most %d systems", PANELS_MAX);
    }
    free(copy);
    return result ? error_prefix(error, "--beside") : 0;
}

enum exit_status plan_compose(struct picture *picture, const struct plan *plan, const struct drawing_request *request)
{
    struct drawing drawing = {.request = request};
    const enum exit_status status = add_all(&drawing, plan);

    picture_begin(picture, 0, 0);
    if (status == EXIT_DONE)
        panels_compose(
            picture, "", (const struct panel *const *)drawing.panels, drawing.count,
            &(struct panel_style){.length = drawing.length, .ticks = !request->times, .versions = request->versions});
    release(&drawing);
    return status;
}

enum exit_status plan_draw(const struct plan *plan, const struct drawing_request *request)
{
    struct picture picture;
    enum exit_status status = plan_compose(&picture, plan, request);
    struct error error;

    for (int format = 0; format < PICTURE_FORMATS && status == EXIT_DONE; format++)
        if (request->files[format] && picture_write(&picture, (enum picture_format)format, request->files[format],
                                                    request->paths[format], &error))
            status = fail(EXIT_FAILED, &error);
    picture_release(&picture);
    return status;
}
