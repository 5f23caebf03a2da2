#include "monitor/view.h"

#include "base/numbers.h"
#include "monitor/draw.h"

/* Where a view still says something; below, it says what it needs. */
enum { LEAST_COLUMNS = 40, LEAST_ROWS = 8, BANNER_ROWS = 3, SEEK_FROM = 8 };

static const struct {
    const char *name;
    view_drawer *draw;
    const char *help;
} views[VIEWS] = {
    [VIEW_SCHEDULE] = {"schedule", draw_schedule,
                       "Each stage's ops as they happen, coloured by mini-batch; below, the plan."},
    [VIEW_VERSIONS] = {"versions", draw_versions,
                       "Which weight versions stages hold, who needs them, how stale they are."},
    [VIEW_MEMORY] = {"memory", draw_memory, "What each stage's memory holds, beside its peak and the plan."},
    [VIEW_TRAINING] = {"training", draw_training, "How the network learns, and where each stage's time goes."},
};

const char *view_name(enum view view)
{
    return views[view].name;
}

const char *view_help(enum view view)
{
    return views[view].help;
}

/* Where things are, from above: the body is the view's. What is not shown has no rows. */
struct areas {
    struct canvas header, banner, body, seek, footer;
    int body_row;
};

static struct areas areas_of(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const int end = canvas->rows - !state->above, rows = end - HEADER_ROWS, columns = canvas->columns;
    struct canvas unseen = canvas_part(canvas, 0, 0, 0, columns);
    const int banner = frame_banner(&unseen, moment, min_int(BANNER_ROWS, rows / 4));
    const bool seek = moment->kind == MOMENT_REPLAY && moment->end_ns > moment->begin_ns && rows - banner >= SEEK_FROM;

    return (struct areas){
        .header = canvas_part(canvas, 0, 0, HEADER_ROWS, columns),
        .banner = canvas_part(canvas, HEADER_ROWS, 0, banner, columns),
        .body = canvas_part(canvas, HEADER_ROWS + banner, 0, rows - banner - seek, columns),
        .seek = canvas_part(canvas, end - 1, 0, seek, columns),
        .footer = canvas_part(canvas, end, 0, canvas->rows - end, columns),
        .body_row = HEADER_ROWS + banner,
    };
}

static void draw_whole(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct areas areas = areas_of(canvas, state, moment);
    const struct canvas page = canvas_part(canvas, 0, 0, canvas->rows - areas.footer.rows, canvas->columns);
    const struct canvas message = canvas_part(&page, page.rows - 1, 0, 1, canvas->columns);

    frame_header(&areas.header, state, moment);
    frame_banner(&areas.banner, moment, areas.banner.rows);
    views[state->view].draw(&areas.body, state, moment);
    if (areas.seek.rows > 0)
        frame_seek(&areas.seek, state, moment);
    frame_footer(&areas.footer, state, moment);
    frame_message(&message, state, moment);
    if (state->help == 1)
        frame_help(&page, state, moment);
    else if (state->help == 2)
        frame_marks(&page, state, moment);
    else if (state->choices)
        frame_choices(&page, state, moment);
}

static void draw_too_small(const struct canvas *canvas)
{
    const int row = (canvas->rows - 1) / 2;

    canvas_write(canvas, row, 0, ink(COLOUR_DEFAULT), "q quit");
    canvas_print(canvas, row + 1, 0, bold(COLOUR_WARNING), "needs %d x %d", LEAST_COLUMNS, LEAST_ROWS);
}

static bool has_run(const struct moment *moment)
{
    return moment->snapshot && moment->snapshot->plan && moment->snapshot->stage_count >= 1;
}

static bool is_too_small(const struct canvas *canvas)
{
    return canvas->columns < LEAST_COLUMNS || canvas->rows < LEAST_ROWS;
}

void view_draw(struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    canvas_clear(canvas);
    if (is_too_small(canvas))
        draw_too_small(canvas);
    else if (!has_run(moment))
        canvas_write(canvas, canvas->rows / 2, 2, bold(COLOUR_TITLE),
                     moment->message && *moment->message ? moment->message : "no run yet");
    else
        draw_whole(canvas, state, moment);
}

static void choose_view(struct view_state *state, int view)
{
    state->view = (enum view)((view + VIEWS) % VIEWS);
}

static bool select_stage(struct view_state *state, const struct moment *moment, int direction)
{
    int stages = moment->snapshot ? moment->snapshot->stage_count : 1;

    state->cursor_stage = max_int(1, min_int(max_int(state->cursor_stage, 1) + direction, max_int(stages, 1)));
    return true;
}

bool view_key(struct view_state *state, const struct moment *moment, int key)
{
    if (state->help && (key == PRESS_ESCAPE || key == PRESS_ENTER || key == '?')) {
        state->help = key == '?' ? (state->help + 1) % 3 : 0;
        return true;
    }
    if (key >= '1' && key < '1' + VIEWS)
        choose_view(state, key - '1');
    else if (key == PRESS_TAB)
        choose_view(state, (int)state->view + 1);
    else if (key == PRESS_BACK_TAB)
        choose_view(state, (int)state->view - 1);
    else if (key == '?')
        state->help = 1;
    else if (key == 'f')
        state->frozen = !state->frozen;
    else if (key == PRESS_UP || key == PRESS_DOWN)
        return select_stage(state, moment, key == PRESS_UP ? -1 : 1);
    else
        return state->view == VIEW_SCHEDULE && moment->snapshot && moment->snapshot->plan && moment->history &&
               schedule_key(state, moment, key);
    return true;
}

static void turn_wheel(struct view_state *state, const struct moment *moment, int press, const struct areas *areas,
                       int row, int column)
{
    if (state->view == VIEW_SCHEDULE)
        schedule_point(state, moment, press, &areas->body, row - areas->body_row, column);
    else
        select_stage(state, moment, press == PRESS_WHEEL_UP ? -1 : 1);
}

void view_point(struct view_state *state, const struct moment *moment, int press, const struct canvas *size, int row,
                int column)
{
    if (is_too_small(size) || !has_run(moment))
        return;
    const struct areas areas = areas_of(size, state, moment);
    if (press != PRESS_CLICK)
        turn_wheel(state, moment, press, &areas, row, column);
    else if (state->help)
        state->help = 0;
    else if (row == size->rows - areas.footer.rows && frame_view_at(&areas.footer, state->view, column) < VIEWS)
        state->view = frame_view_at(&areas.footer, state->view, column);
    else if (state->view == VIEW_SCHEDULE)
        schedule_point(state, moment, press, &areas.body, row - areas.body_row, column);
}

bool view_seeks(const struct view_state *state, const struct moment *moment, const struct canvas *size, int row,
                int column, double *seconds)
{
    if (is_too_small(size) || !has_run(moment))
        return false;
    const struct areas areas = areas_of(size, state, moment);
    if (areas.seek.rows == 0 || row != size->rows - areas.footer.rows - 1)
        return false;
    *seconds = frame_time_at(&areas.seek, moment, column);
    return true;
}
