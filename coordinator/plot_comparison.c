#include "coordinator/plot_comparison.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/statistics.h"
#include "coordinator/show_plan.h"
#include "coordinator/summary.h"
#include "picture/chart.h"
#include "picture/simulated.h"

static const double margin = 18, width = 1020, chart_height = 230, gap = 12;

/* The measures that have a chart. */
static const struct measure {
    const char *title, *key, *unit;
    double scale;
} measures[] = {
    {"training loss", "train_loss", "", 1},
    {"test loss", "test_loss", "", 1},
    {"test top-1", "test_top1", "%", 100},
};
enum { MEASURES = sizeof(measures) / sizeof(measures[0]) };

/* Systems of which a run was finished. */
struct plot {
    struct picture *picture;
    int count;
    const json_t **summaries;  /* [count] */
    const struct plan **plans; /* [count] */
    const char **names;        /* [count] */
    struct series *series;     /* [count] */
};

static bool is_finished(const json_t *run)
{
    const char *result = json_string_value(json_object_get(run, "result"));

    return result && strcmp(result, "finished") == 0;
}

/* Of an epoch (0..), over the runs. */
static struct band_point point_of(const json_t *summary, const struct measure *measure, size_t epoch)
{
    double values[SUMMARY_RUNS_MAX];
    const json_t *run;
    size_t index;
    int count = 0;

    json_array_foreach(json_object_get(summary, "runs"), index, run)
    {
        const json_t *value = json_object_get(json_array_get(json_object_get(run, "epochs"), epoch), measure->key);

        if (is_finished(run) && json_is_number(value) && count < SUMMARY_RUNS_MAX)
            values[count++] = json_number_value(value);
    }
    const double mean = sample_mean(values, count), half = sample_interval(values, count);

    return (struct band_point){(double)epoch + 1, mean, mean - half, mean + half};
}

static int fill_series(struct plot *plot, const struct measure *measure)
{
    for (int c = 0; c < plot->count; c++) {
        struct series *series = &plot->series[c];
        const int epochs = (int)json_integer_value(json_object_get(plot->summaries[c], "epochs"));

        if (!series->points)
            series->points = calloc((size_t)epochs, sizeof(*series->points));
        if (!series->points)
            return -1;
        series->name = plot->names[c];
        series->count = epochs;
        for (int e = 0; e < epochs; e++)
            series->points[e] = point_of(plot->summaries[c], measure, (size_t)e);
    }
    return 0;
}

static int draw_charts(struct plot *plot, double *y)
{
    const double each = (width - 2 * margin) / MEASURES;
    struct chart chart;

    for (int m = 0; m < MEASURES; m++) {
        if (fill_series(plot, &measures[m]))
            return -1;
        chart =
            (struct chart){measures[m].title, "epoch", measures[m].unit, measures[m].scale, plot->series, plot->count};
        chart_draw(plot->picture, &chart, margin + m * each, *y, each, chart_height);
    }
    *y += chart_height + 4;
    *y += chart_legend(plot->picture, &chart, margin + 46, *y, width - 2 * margin - 46) + gap;
    return 0;
}

/* MiB of a category over all stages, the most of any finished run. */
static double mebibytes(const json_t *summary, const char *category)
{
    const json_t *run, *stage;
    double most = 0;
    size_t r, s;

    json_array_foreach(json_object_get(summary, "runs"), r, run)
    {
        double sum = 0;

        json_array_foreach(json_object_get(run, "stage"), s, stage)
        {
            sum += json_number_value(json_object_get(json_object_get(stage, "memory_peak_bytes"), category));
        }
        if (is_finished(run))
            most = fmax(most, sum / (1 << 20));
    }
    return most;
}

static int draw_memory(struct plot *plot, double *y)
{
    const char *categories[MEMORY_CATEGORIES];
    double *values = calloc((size_t)plot->count * MEMORY_CATEGORIES, sizeof(*values));
    const struct bars bars = {.title = "memory of all stages at its peak",
                              .unit = "MiB",
                              .names = plot->names,
                              .part_names = categories,
                              .values = values,
                              .count = plot->count,
                              .part_count = MEMORY_CATEGORIES};

    if (!values)
        return -1;
    for (int k = 0; k < MEMORY_CATEGORIES; k++)
        categories[k] = memory_category_name((enum memory_category)k);
    for (int c = 0; c < plot->count; c++)
        for (int k = 0; k < MEMORY_CATEGORIES; k++)
            values[c * MEMORY_CATEGORIES + k] = mebibytes(plot->summaries[c], categories[k]);
    bars_draw(plot->picture, &bars, margin, *y, width - 2 * margin);
    *y += bars_height(&bars) + gap;
    free(values);
    return 0;
}

/* The schedule of each, in ticks, as long as the first takes for a few mini-batches. */
static struct panel *panel_for(const struct plan *plan, uint64_t *length, struct error *error)
{
    const struct schedule schedule = plan_training(plan);
    struct simulation *simulation;
    struct panel *panel = NULL;

    if (plan_simulate_ticks(plan, &schedule, &simulation, error))
        return NULL;
    if (*length == 0)
        *length = (uint64_t)simulation_until(simulation, GRID_MINIBATCHES);
    if (panel_of_simulation(&panel, plan, &schedule, simulation, *length, error) == 0)
        snprintf(panel->note, sizeof(panel->note), "on paper, in %s times: idle %.1f%%",
                 plan->config.pipeline.static_times == STATIC_UNIT ? "unit" : "nominal",
                 100.0 * simulation->bubble_fraction);
    simulation_destroy(simulation);
    return panel;
}

static int draw_schedules(struct plot *plot, double *y, struct error *error)
{
    struct panel **panels = calloc((size_t)plot->count, sizeof(*panels));
    struct picture below;
    uint64_t length = 0;
    int result = panels ? 0 : error_set(error, "out of memory for the picture");

    for (int c = 0; c < plot->count && result == 0; c++)
        if ((panels[c] = panel_for(plot->plans[c], &length, error)) == NULL)
            result = -1;
    if (result == 0) {
        panels_compose(&below, "", (const struct panel *const *)panels, plot->count,
                       &(struct panel_style){.length = length, .ticks = true});
        plot->picture->width = fmax(plot->picture->width, below.width);
        *y += below.height;
        picture_append(plot->picture, &below, 0, *y - below.height);
    }
    for (int c = 0; panels && c < plot->count; c++)
        panel_destroy(panels[c]);
    free(panels);
    return result;
}

static int begin(struct plot *plot, const json_t *summaries, const struct plan *const *plans)
{
    const size_t room = json_array_size(summaries) + 1;
    const json_t *summary;
    size_t index;

    plot->summaries = calloc(room, sizeof(*plot->summaries));
    plot->plans = calloc(room, sizeof(*plot->plans));
    plot->names = calloc(room, sizeof(*plot->names));
    plot->series = calloc(room, sizeof(*plot->series));
    if (!plot->summaries || !plot->plans || !plot->names || !plot->series)
        return -1;
    json_array_foreach(summaries, index, summary)
    {
        if (json_integer_value(json_object_get(summary, "runs_finished")) == 0)
            continue;
        plot->summaries[plot->count] = summary;
        plot->plans[plot->count] = plans[index];
        plot->names[plot->count++] = json_string_value(json_object_get(summary, "system"));
    }
    return 0;
}

static void end(struct plot *plot)
{
    for (int c = 0; plot->series && c < plot->count; c++)
        free(plot->series[c].points);
    free(plot->series);
    free(plot->names);
    free(plot->plans);
    free(plot->summaries);
}

/* What was compared, and how the bands are meant. */
static void draw_head(struct plot *plot, double *y)
{
    const struct config *config = &plot->plans[0]->config;
    const int runs = (int)json_array_size(json_object_get(plot->summaries[0], "runs"));
    struct picture *picture = plot->picture;

    snprintf(picture->title, sizeof(picture->title), "%.100s on %.60s: W = %d, M = %d", config->model.arch,
             config->data.set, config->pipeline.stages, config->data.batch);
    picture_text(picture, (struct element){.ink = INK_TEXT, .x = margin, .y = *y + 15, .size = 16, .bold = true}, "%s",
                 picture->title);
    picture_text(picture, (struct element){.ink = INK_DIM, .x = margin, .y = *y + 33, .size = 11},
                 runs > 1 ? "means over n = %d seeds; bands: 95%% intervals of the mean, by Student's t"
                          : "n = %d seed: nothing is known of how much seeds differ",
                 runs);
    *y += 46;
}

int comparison_compose(struct picture *picture, const json_t *summaries, const struct plan *const *plans,
                       struct error *error)
{
    struct plot plot = {.picture = picture};
    double y = margin;
    int result = begin(&plot, summaries, plans) ? error_set(error, "out of memory for the picture") : 0;

    picture_begin(picture, width, 0);
    if (result == 0 && plot.count == 0)
        result = error_set(error, "there is nothing to plot: no run was finished");
    if (result == 0) {
        draw_head(&plot, &y);
        if (draw_charts(&plot, &y) || draw_memory(&plot, &y))
            result = error_set(error, "out of memory for the picture");
        else
            result = draw_schedules(&plot, &y, error);
    }
    picture->height = y;
    end(&plot);
    return result;
}
