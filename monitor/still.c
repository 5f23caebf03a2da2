#include "monitor/still.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/numbers.h"
#include "monitor/planned.h"
#include "picture/panel.h"

/* As a terminal of so many columns would show it. */
enum { COLUMNS = 80 };

struct adding {
    struct panel *panel;
    const struct stage_history *history; /* of the part's ops; NULL: they are planned */
    int part;
    bool failed;
};

/* What its record says of the versions. */
static void add_versions(const struct adding *adding, struct panel_span *of)
{
    const struct op_record *record = adding->history ? timeline_find(adding->history, of->span.start) : NULL;

    if (of->span.kind != SPAN_OP || !record || record->start_ns != of->span.start)
        return;
    of->read_first = of->read_last = timeline_reads_sum(adding->panel->plan, record) ? VERSION_SUM
                                     : record->version_read >= 0                     ? record->version_read
                                                                                     : VERSION_UNKNOWN;
    if (record->updated)
        of->made = record->version_live + 1;
}

/* A span_visitor. */
static void add_span(void *context, const struct span *span)
{
    struct adding *adding = context;
    const struct plan *plan = adding->panel->plan;
    struct panel_span of = {*span, VERSION_UNKNOWN, VERSION_UNKNOWN, VERSION_UNKNOWN};

    of.span.op.part = adding->part;
    if (!adding->history)
        of.span.updated = schedule_updates_after(&plan->schedule, &of.span.op);
    add_versions(adding, &of);
    adding->failed |= panel_add(adding->panel, plan_stage_of(plan, adding->part) - 1, &of) != 0;
}

static struct panel *measured_panel(const struct moment *moment, const struct time_axis *axis)
{
    const struct snapshot *snapshot = moment->snapshot;
    const struct plan *plan = snapshot->plan;
    struct panel *panel = panel_create(plan, plan->stage_count);
    struct adding adding = {.panel = panel, .failed = !panel};

    for (int part = 1; !adding.failed && part <= snapshot->stage_count; part++) {
        adding.part = part;
        adding.history = &moment->history->stages[part - 1];
        timeline_visit(snapshot, moment->history, part, axis->left, axis_right(axis), add_span, &adding);
    }
    if (adding.failed) {
        panel_destroy(panel);
        return NULL;
    }
    panel->zero = axis->left;
    snprintf(panel->title, sizeof(panel->title), "%.100s: W = %d, N = %d, measured", plan->config.pipeline.system,
             plan->stage_count, plan->schedule.microbatches);
    snprintf(panel->note, sizeof(panel->note), "%.80s on %.60s; from %.4g s after the run began",
             plan->config.model.arch, plan->config.data.set, 1e-9 * ((double)axis->left - (double)snapshot->start_ns));
    return panel;
}

/* NULL if there is none. */
static struct panel *planned_panel(const struct moment *moment, const struct time_axis *axis)
{
    static const char *const times[] = {
        [STATIC_UNIT] = "unit", [STATIC_NOMINAL] = "nominal", [STATIC_MEASURED] = "measured"};
    const struct plan *plan = moment->snapshot->plan;
    struct planned planned;
    struct panel *panel;

    planned_begin(&planned, moment, axis, NULL, false);
    panel = planned.simulation ? panel_create(plan, plan->stage_count) : NULL;
    struct adding adding = {.panel = panel, .failed = !panel};
    for (int part = 1; !adding.failed && part <= moment->snapshot->stage_count; part++) {
        adding.part = part;
        planned_visit(&planned, plan, part, axis, add_span, &adding);
    }
    planned_end(&planned);
    if (adding.failed) {
        panel_destroy(panel);
        return NULL;
    }
    panel->zero = axis->left;
    snprintf(panel->title, sizeof(panel->title), "as planned, in %s times", times[plan->config.pipeline.static_times]);
    snprintf(panel->note, sizeof(panel->note), "laid over the updates of the last stage");
    return panel;
}

static struct time_axis axis_of(const struct moment *moment, double seconds)
{
    struct view_state state = {.view = VIEW_SCHEDULE};

    if (seconds > 0)
        state.ns_per_column = max_u64(1, (uint64_t)llround(1e9 * seconds / COLUMNS));
    struct time_axis axis = axis_shown(&state, moment, COLUMNS);
    axis.left = max_u64(axis.left, moment->snapshot->start_ns);
    return axis;
}

int still_compose(struct picture *picture, const struct moment *moment, const struct still_request *request,
                  struct error *error)
{
    const struct time_axis axis = axis_of(moment, request->seconds);
    struct panel *panels[2] = {measured_panel(moment, &axis), planned_panel(moment, &axis)};

    picture_begin(picture, 0, 0);
    if (!panels[0]) {
        panel_destroy(panels[1]);
        return error_set(error, "out of memory for the picture");
    }
    panels_compose(picture, "", (const struct panel *const *)panels, panels[1] ? 2 : 1,
                   &(struct panel_style){.length = axis_right(&axis) - axis.left, .versions = request->versions});
    panel_destroy(panels[0]);
    panel_destroy(panels[1]);
    return 0;
}

static int write_file(const struct picture *picture, enum picture_format format, const char *path, struct error *error)
{
    struct error why;
    FILE *file;

    if (strcmp(path, "-") == 0)
        return picture_write(picture, format, stdout, "standard output", error);
    file = file_open_output(path, &why);
    if (!file)
        return error_set(error, "--%s: %s %s", picture_format_name(format), path, why.text);
    const int result = picture_write(picture, format, file, path, error);
    if (fclose(file) && result == 0)
        return error_set(error, "%s cannot be written: %s", path, strerror(errno));
    return result;
}

int still_write(const struct picture *picture, const char *const *paths, struct error *error)
{
    for (int format = 0; format < PICTURE_FORMATS; format++)
        if (paths[format] && write_file(picture, (enum picture_format)format, paths[format], error))
            return -1;
    return 0;
}
