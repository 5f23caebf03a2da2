#include "monitor/view.h"

#include "base/numbers.h"
#include "monitor/draw.h"

/* Where a view still says something; below, it says what it needs. */
enum { LEAST_COLUMNS = 40, LEAST_ROWS = 8, BANNER_ROWS = 3, SEEK_FROM = 10 };

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

static void draw_whole(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct canvas top = canvas_part(canvas, 0, 0, HEADER_ROWS, canvas->columns);
    const struct canvas above = canvas_part(canvas, 0, 0, canvas->rows - 1, canvas->columns);
    const struct canvas bottom = canvas_part(canvas, canvas->rows - 1, 0, 1, canvas->columns);
    const struct canvas message = canvas_part(canvas, canvas->rows - 2, 0, 1, canvas->columns);
    struct canvas body = canvas_part(canvas, HEADER_ROWS, 0, canvas->rows - HEADER_ROWS - 1, canvas->columns);
    int banner = frame_banner(&body, moment, min_int(BANNER_ROWS, body.rows / 4));

    body = canvas_part(&body, banner, 0, body.rows - banner, body.columns);
    if (moment->kind == MOMENT_REPLAY && moment->end_ns > moment->begin_ns && body.rows >= SEEK_FROM) {
        const struct canvas seek = canvas_part(&body, body.rows - 1, 0, 1, body.columns);

        frame_seek(&seek, state, moment);
        body.rows--;
    }
    frame_header(&top, state, moment);
    views[state->view].draw(&body, state, moment);
    frame_footer(&bottom, state, moment);
    frame_message(&message, state, moment);
    if (state->help == 1)
        frame_help(&above, state, moment);
    else if (state->help == 2)
        frame_marks(&above, state, moment);
}

static void draw_too_small(const struct canvas *canvas)
{
    const int row = (canvas->rows - 1) / 2;

    canvas_write(canvas, row, 0, ink(COLOUR_DEFAULT), "q quit");
    canvas_print(canvas, row + 1, 0, bold(COLOUR_WARNING), "needs %d x %d", LEAST_COLUMNS, LEAST_ROWS);
}

void view_draw(struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    canvas_clear(canvas);
    if (canvas->columns < LEAST_COLUMNS || canvas->rows < LEAST_ROWS)
        draw_too_small(canvas);
    else if (!moment->snapshot || !moment->snapshot->plan || moment->snapshot->stage_count < 1)
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
