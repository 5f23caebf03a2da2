/* Goal of this test: what the monitor draws is what happened. Screens of fabricated runs are the same as those kept in
 * tests/golden, which a person has looked at; and for every system, every number of stages and every size: each op that
 * is wide enough has its name in its stage's lane, stages are in order, neighbouring mini-batches differ in colour,
 * nothing is drawn outside the canvas.
 *
 * After a change that is meant, UPDATE_GOLDEN=1 build/tests/test_views writes the screens anew. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/lane.h"
#include "monitor/palette.h"
#include "monitor/planned.h"
#include "plan/replay.h"
#include "tests/support/fabricate.h"
#include "tests/support/golden.h"
#include "tests/support/suite.h"

enum { SENTINEL = 0x7f };

static const struct fabrication usual = {"timeprest", 4, 4, 60, 4, 0.5};

static struct canvas canvas_of(int rows, int columns, bool ascii)
{
    struct canvas canvas;

    ck_assert_int_eq(canvas_create(&canvas, rows, columns, ascii), 0);
    return canvas;
}

/* The rows of a canvas as text, which the caller frees. */
static char *draw(const struct view_state *state, const struct moment *moment, int rows, int columns, bool ascii)
{
    struct canvas canvas = canvas_of(rows, columns, ascii);
    char *text;

    view_draw(&canvas, state, moment);
    text = canvas_text(&canvas);
    ck_assert_ptr_nonnull(text);
    canvas_destroy(&canvas);
    return text;
}

static const struct size {
    int rows, columns;
    bool ascii;
} sizes[] = {{24, 80, false}, {40, 120, false}, {60, 200, false}, {24, 80, true}};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

START_TEST(test_golden_views)
{
    struct fabricated *run = fabricate(&usual);

    for (int view = 0; view < VIEWS; view++) {
        const struct view_state state = {.view = (enum view)view};
        const struct size *size = &sizes[_i];
        char *text = draw(&state, &run->moment, size->rows, size->columns, size->ascii), name[96];

        snprintf(name, sizeof(name), "%s-%dx%d%s", view_name(state.view), size->columns, size->rows,
                 size->ascii ? "-ascii" : "");
        golden_check(name, text);
        free(text);
    }
    fabricated_destroy(run);
}
END_TEST

/* What a run's state, its system and its user can change. */
static void alter_nothing(struct fabricated *run, struct view_state *state)
{
    (void)run;
    (void)state;
}

static void alter_fail(struct fabricated *run, struct view_state *state)
{
    (void)state;
    run->moment.kind = MOMENT_ENDED;
    run->snapshot.state = RUN_FAILED;
    run->snapshot.coordinator_alive = false;
    snprintf(run->snapshot.outcome, sizeof(run->snapshot.outcome), "stage 2 (pid 4002) was killed by signal 9");
}

static void alter_pause(struct fabricated *run, struct view_state *state)
{
    (void)state;
    run->moment.controlled = run->snapshot.interactive = true;
    for (int s = 0; s < run->snapshot.stage_count; s++)
        if (run->snapshot.stages[s].activity.kind == ACTIVITY_RUN)
            run->snapshot.stages[s].activity.kind = ACTIVITY_HELD;
}

static void alter_replay(struct fabricated *run, struct view_state *state)
{
    (void)state;
    run->moment.kind = MOMENT_REPLAY;
    run->moment.speed = -0.5;
    run->moment.begin_ns = run->snapshot.epochs[0].start_ns;
    run->moment.end_ns = run->snapshot.now_ns + 7000000000;
}

static void alter_pause_small(struct fabricated *run, struct view_state *state)
{
    alter_pause(run, state);
    state->cursor_stage = 40;
}

static void alter_to_versions(struct fabricated *run, struct view_state *state)
{
    (void)run;
    state->view = VIEW_VERSIONS;
}

static void alter_to_memory(struct fabricated *run, struct view_state *state)
{
    (void)run;
    state->view = VIEW_MEMORY;
}

static void alter_to_training(struct fabricated *run, struct view_state *state)
{
    (void)run;
    state->view = VIEW_TRAINING;
}

static void alter_to_last_stage(struct fabricated *run, struct view_state *state)
{
    state->view = VIEW_VERSIONS;
    state->cursor_stage = run->snapshot.stage_count;
}

static void alter_to_say(struct fabricated *run, struct view_state *state)
{
    (void)state;
    run->moment.message = "the run has failed: stage 2 (pid 4002) was killed by signal 9 (Killed)";
}

static void alter_help(struct fabricated *run, struct view_state *state)
{
    ck_assert(view_key(state, &run->moment, '?'));
}

static void alter_marks(struct fabricated *run, struct view_state *state)
{
    alter_help(run, state);
    alter_help(run, state);
}

static void alter_version_marks(struct fabricated *run, struct view_state *state)
{
    alter_marks(run, state);
    state->view = VIEW_VERSIONS;
}

/* The third op before the newest of stage 2. */
static void alter_select(struct fabricated *run, struct view_state *state)
{
    static const int keys[] = {PRESS_DOWN, PRESS_ENTER, PRESS_LEFT, PRESS_LEFT, PRESS_LEFT};

    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
        ck_assert(view_key(state, &run->moment, keys[k]));
}

static void alter_zoom_out(struct fabricated *run, struct view_state *state)
{
    for (int k = 0; k < 8; k++)
        ck_assert(view_key(state, &run->moment, '-'));
}

static void alter_to_ticks(struct fabricated *run, struct view_state *state)
{
    ck_assert(view_key(state, &run->moment, 't'));
}

static void alter_to_costs(struct fabricated *run, struct view_state *state)
{
    alter_to_ticks(run, state);
    ck_assert(view_key(state, &run->moment, 'w'));
    ck_assert(view_key(state, &run->moment, '-'));
}

/* What eight steps of a run that began paused have made. */
static void alter_to_stepped(struct fabricated *run, struct view_state *state)
{
    alter_pause(run, state);
    alter_to_ticks(run, state);
}

static void alter_to_kinds(struct fabricated *run, struct view_state *state)
{
    alter_to_ticks(run, state);
    ck_assert(view_key(state, &run->moment, 'c'));
}

static void alter_to_read(struct fabricated *run, struct view_state *state)
{
    for (int k = COLOURING_MINIBATCH; k < COLOURING_VERSION; k++)
        ck_assert(view_key(state, &run->moment, 'c'));
    alter_to_ticks(run, state);
}

static void alter_to_choose(struct fabricated *run, struct view_state *state)
{
    static struct choice items[] = {{"a", "gpipe"}, {"b", "pipedream-seed-1"}, {"c", "timeprest"}};
    static const struct choices choices = {items, 3, 1};

    alter_replay(run, state);
    state->choices = &choices;
}

/* Three machines: the clock of one is ahead, and one has fallen silent. */
static void alter_to_machines(struct fabricated *run, struct view_state *state)
{
    const struct plan_machine machines[] = {
        {.host = "left", .stages = 2}, {.host = "right.example.org", .stages = 1}, {.host = "far", .stages = 1}};
    struct snapshot *snapshot = &run->snapshot;
    struct error error;

    ck_assert_int_eq(plan_spread(&run->plan, machines, COUNT(machines), &error), 0);
    snapshot->machine_count = COUNT(machines);
    for (int m = 0; m < snapshot->machine_count; m++) {
        struct machine_snapshot *machine = &snapshot->machines[m];

        snprintf(machine->host, sizeof(machine->host), "%.63s", machines[m].host);
        machine->state = MACHINE_PRESENT;
        machine->heard_ns = snapshot->now_ns - (m == 2 ? UINT64_C(4200000000) : UINT64_C(80000000));
        machine->clock_offset_ns = m == 1 ? INT64_C(12345678901) : INT64_C(-98765);
        machine->clock_bound_ns = 41000;
        machine->round_trip_ns = 78000;
        machine->send_rate = 11.9e6 * (m + 1);
        machine->receive_rate = 3.2e6;
        machine->processor_rate = 0.031 * (m + 1);
    }
    for (int l = 1; l < snapshot->stage_count; l++) {
        snapshot->link_rates[l - 1][0] = 5.1e6 * l;
        snapshot->link_rates[l - 1][1] = 1.6e6 * l;
    }
    state->view = VIEW_TRAINING;
}

static void alter_wait_for_run(struct fabricated *run, struct view_state *state)
{
    (void)state;
    run->moment = (struct moment){.message = "waiting for a run to begin"};
}

static const struct scene {
    const char *name;
    struct fabrication what;
    void (*alter)(struct fabricated *run, struct view_state *state);
    int rows, columns;
} scenes[] = {
    {"failed", {"timeprest", 4, 4, 60, 4, 0.5}, alter_fail, 24, 80},
    {"paused", {"timeprest", 4, 4, 60, 4, 0.5}, alter_pause, 40, 120},
    {"replay", {"timeprest", 4, 4, 60, 4, 0.5}, alter_replay, 24, 80},
    {"help", {"timeprest", 4, 4, 60, 4, 0.5}, alter_help, 24, 80},
    {"marks", {"timeprest", 4, 4, 60, 4, 0.5}, alter_marks, 24, 80},
    {"marks-versions", {"timeprest", 4, 4, 60, 4, 0.5}, alter_version_marks, 24, 80},
    {"selected", {"pipedream", 4, 1, 60, 4, 0.5}, alter_select, 24, 80},
    {"predicted", {"spectrain", 4, 1, 60, 4, 0.5}, alter_select, 24, 100},
    {"summed", {"i-timeprest", 4, 4, 60, 4, 0.5}, alter_select, 24, 80},
    {"rules", {"pipemare", 4, 1, 60, 4, 0.5}, alter_to_versions, 40, 120},
    {"kept-for-update", {"gap-aware", 4, 1, 60, 4, 0.5}, alter_to_versions, 44, 130},
    {"readings", {"timeprest", 4, 3, 60, 1, 0.3}, alter_to_last_stage, 40, 120},
    {"readings-first", {"timeprest", 4, 3, 60, 1, 0.025}, alter_to_last_stage, 40, 120},
    {"readings-halves", {"zb-h1", 4, 4, 60, 1, 0.3}, alter_to_last_stage, 40, 120},
    {"rates", {"pipemare", 4, 1, 60, 1, 0.5}, alter_to_training, 24, 80},
    {"zoomed-out", {"gpipe", 6, 4, 60, 4, 0.5}, alter_zoom_out, 24, 80},
    {"ticks", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_ticks, 24, 80},
    {"ticks-1f1b", {"1f1b", 4, 4, 60, 1, 0.04}, alter_to_ticks, 40, 120},
    {"costs", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_costs, 24, 80},
    {"stepped", {"timeprest", 4, 3, 60, 1, 0.012}, alter_to_stepped, 24, 80},
    {"ticks-halves", {"zb-h1", 4, 4, 60, 1, 0.03}, alter_to_kinds, 24, 80},
    {"ticks-versions", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_read, 24, 80},
    {"ticks-chains", {"timeprest", 8, 3, 60, 1, 0.5}, alter_to_ticks, 40, 120},
    {"split-backward", {"zb-h1", 4, 4, 60, 1, 0.03}, alter_nothing, 24, 80},
    {"evaluation", {"1f1b", 4, 4, 20, 1, 1.02}, alter_nothing, 24, 80},
    {"sixteen-stages", {"pipedream-2bw", 16, 16, 60, 4, 0.5}, alter_nothing, 40, 120},
    {"sixty-four-stages", {"pipedream", 64, 1, 150, 1, 0.5}, alter_nothing, 24, 80},
    {"sixty-four-paused", {"pipedream", 64, 1, 150, 1, 0.5}, alter_pause_small, 24, 80},
    {"sixty-four-versions", {"pipedream", 64, 1, 150, 1, 0.5}, alter_to_versions, 24, 80},
    {"sixty-four-memory", {"pipedream", 64, 1, 150, 1, 0.5}, alter_to_memory, 24, 80},
    {"machines", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_machines, 40, 120},
    {"machines-small", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_machines, 24, 80},
    {"sixty-four-training", {"pipedream", 64, 1, 150, 1, 0.5}, alter_to_training, 24, 80},
    {"narrow", {"timeprest", 4, 4, 60, 4, 0.5}, alter_nothing, 9, 40},
    {"narrow-help", {"timeprest", 4, 4, 60, 4, 0.5}, alter_help, 12, 44},
    {"narrow-message", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_say, 12, 50},
    {"choices", {"timeprest", 4, 4, 60, 4, 0.5}, alter_to_choose, 24, 80},
    {"no-run", {"naive", 1, 1, 3, 1, 0.5}, alter_wait_for_run, 24, 80},
    {"too-small", {"timeprest", 4, 4, 60, 4, 0.5}, alter_nothing, 5, 20},
};
enum { SCENES = sizeof(scenes) / sizeof(scenes[0]) };

static void check_bounds(const struct view_state *state, const struct moment *moment, int rows, int columns);

START_TEST(test_golden_scenes)
{
    const struct scene *scene = &scenes[_i];
    struct fabricated *run = fabricate(&scene->what);
    struct view_state state = {0};
    char *text;

    scene->alter(run, &state);
    text = draw(&state, &run->moment, scene->rows, scene->columns, false);
    golden_check(scene->name, text);
    free(text);
    for (int view = 0; view < VIEWS; view++) {
        state.view = (enum view)view;
        check_bounds(&state, &run->moment, scene->rows, scene->columns);
    }
    fabricated_destroy(run);
}
END_TEST

/* Ink and paper are for grounds of their own: on the terminal's they are black on black, or white on white. */
static bool can_be_read(const struct cell *cell)
{
    const struct tint ground = palette_background((enum colour)cell->style.background);

    return cell->glyph == ' ' || (cell->style.colour != COLOUR_INK && cell->style.colour != COLOUR_PAPER) ||
           (ground.of_256 >= 0 && (cell->style.colour == COLOUR_PAPER || ground.of_8 >= 0));
}

/* Draws into the middle of a canvas of sentinels: they must stay. */
static void check_bounds(const struct view_state *state, const struct moment *moment, int rows, int columns)
{
    struct canvas whole = canvas_of(rows + 2, columns + 2, false);

    for (int row = 0; row < whole.rows; row++)
        canvas_fill(&whole, row, 0, whole.columns, (struct style){0}, SENTINEL);
    struct canvas part = canvas_part(&whole, 1, 1, rows, columns);
    view_draw(&part, state, moment);
    for (int row = 0; row < whole.rows; row++)
        for (int column = 0; column < whole.columns; column++) {
            bool outside = row == 0 || row > rows || column == 0 || column > columns;
            const struct cell *cell = canvas_cell(&whole, row, column);

            /* An assertion costs a system call: not one for every cell. */
            if ((cell->glyph == SENTINEL) != outside || cell->style.colour >= COLOURS ||
                cell->style.background >= COLOURS)
                ck_abort_msg("%s at %d x %d: cell %d, %d", view_name(state->view), columns, rows, row - 1, column - 1);
            if (!outside && !can_be_read(cell))
                ck_abort_msg("%s at %d x %d: cell %d, %d has a colour of text on a ground on the terminal's own",
                             view_name(state->view), columns, rows, row - 1, column - 1);
        }
    canvas_destroy(&whole);
}

/* The row in which a stage's lane has its name, from `row` on; -1 if there is none. */
static int find_lane(const struct canvas *canvas, int row, int stage)
{
    char name[16];

    snprintf(name, sizeof(name), "%2d", stage);
    for (; row < canvas->rows; row++)
        if (canvas_cell(canvas, row, 2)->glyph == 0x2502 && canvas_cell(canvas, row, 0)->glyph == (uint32_t)name[0] &&
            canvas_cell(canvas, row, 1)->glyph == (uint32_t)name[1])
            return row;
    return -1;
}

static bool has_text(const struct canvas *canvas, int row, int column, const char *text)
{
    for (; *text; text++, column++) {
        const struct cell *cell = canvas_cell(canvas, row, column);

        if (!cell || cell->glyph != (uint32_t)*text)
            return false;
    }
    return true;
}

/* Every op that has ended and has room for its name and a column to spare on each side has it in its lane, where the
 * time axis says, in its mini-batch's colour. Returns how many there were. */
static int check_ops(const struct canvas *canvas, const struct fabricated *run, const struct time_axis *axis, int stage,
                     int row)
{
    const struct stage_history *history = &run->history.stages[stage - 1];
    int checked = 0;

    for (int k = 0; k < history->count; k++) {
        const struct op_record *record = &history->ops[k];
        const struct op op = timeline_op(record);
        char label[OP_LABEL_SIZE];
        uint64_t first, last;

        timeline_label(&run->plan, PHASE_TRAIN, &op, label);
        if (record->start_ns < axis->left || record->end_ns >= axis_right(axis) ||
            record->end_ns - record->start_ns < (strlen(label) + 3) * axis->ns_per_column)
            continue;
        first = (record->start_ns - axis->left) / axis->ns_per_column;
        last = (record->end_ns - axis->left) / axis->ns_per_column;
        ck_assert_msg(has_text(canvas, row, (int)first + 3, label) || has_text(canvas, row, (int)first + 4, label),
                      "%s, %d stages: %s of stage %d is not at column %d", run->plan.config.pipeline.system,
                      run->plan.stage_count, label, stage, (int)first);
        const struct style style = canvas_cell(canvas, row, (int)(first + last) / 2 + 3)->style;
        const bool soft = record->kind == OP_FORWARD || (record->kind == OP_BACKWARD_WEIGHTS &&
                                                         style.background >= COLOUR_MINIBATCH_SOFT); /* it is hatched */
        const int colour = soft ? COLOUR_MINIBATCH_SOFT : COLOUR_MINIBATCH;
        ck_assert_int_eq(style.background,
                         colour + ((record->epoch - 1) * run->plan.minibatches_per_epoch + record->minibatch) %
                                      MINIBATCH_COLOURS);
        checked++;
    }
    return checked;
}

static int check_lanes(const struct fabricated *run, int rows, int columns)
{
    const struct view_state state = {.view = VIEW_SCHEDULE, .ns_per_column = 100000};
    struct canvas canvas = canvas_of(rows, columns, false);
    const struct time_axis axis = axis_shown(&state, &run->moment, columns - 3 - (columns >= 110 ? 26 : 16));
    int row = 0, checked = 0;

    view_draw(&canvas, &state, &run->moment);
    for (int s = 1; s <= run->plan.stage_count; s++) {
        int found = find_lane(&canvas, row, s);

        ck_assert_msg(found >= row, "%d stages at %d x %d: no lane of stage %d below row %d", run->plan.stage_count,
                      columns, rows, s, row);
        row = found + 1;
        checked += check_ops(&canvas, run, &axis, s, found);
    }
    canvas_destroy(&canvas);
    return checked;
}

START_TEST(test_every_system_and_size)
{
    static const int places[][2] = {{24, 80}, {40, 120}, {60, 200}, {8, 40}, {13, 63}};
    const struct system *system = &systems[_i];
    int n = orders[system->order].microbatches, checked = 0;

    for (int w = 1; w <= 16; w++) {
        const struct fabrication what = {system->name, w, n > 0 ? n : 16 /* 2BW needs N >= W */, 12, 2, 0.6};
        struct fabricated *run = fabricate(&what);

        for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++)
            for (int view = 0; view < VIEWS; view++)
                check_bounds(&(struct view_state){.view = (enum view)view}, &run->moment, places[k][0], places[k][1]);
        checked += check_lanes(run, 24, 80) + check_lanes(run, 60, 200);
        fabricated_destroy(run);
    }
    ck_assert_int_gt(checked, 100);
}
END_TEST

/* In the versions view, of every system: the newest op of a stage stands in the line of the version that it has read. */
START_TEST(ops_stand_in_the_line_of_the_version_that_they_read)
{
    const struct system *system = &systems[_i];
    const int n = orders[system->order].microbatches;
    const struct fabrication what = {system->name, 4, n > 0 ? n : 4, 40, 1, 0.6};
    struct fabricated *run = fabricate(&what);

    for (int s = 1; s <= 4; s++) {
        const struct stage_history *history = &run->history.stages[s - 1];
        const struct view_state state = {.view = VIEW_VERSIONS, .cursor_stage = s};
        struct span span = {.version = -1};
        char *drawn = draw(&state, &run->moment, 60, 200, false), *at = strstr(drawn, "the version that each op");
        char line[32], label[OP_LABEL_SIZE];

        ck_assert_ptr_nonnull(at);
        for (int k = history->count - 1; k >= 0 && span.version < 0; k--)
            span = timeline_span(&run->plan, &history->ops[k]);
        timeline_label(&run->plan, PHASE_TRAIN, &span.op, label);
        snprintf(line, sizeof(line), "\n v%d ", span.version);
        at = strstr(at, line);
        ck_assert_msg(at != NULL, "%s, stage %d: no line of version %d:\n%s", system->name, s, span.version, drawn);
        *strchr(at + 1, '\n') = '\0';
        ck_assert_msg(strstr(at, label) != NULL, "%s, stage %d: no %s in %s", system->name, s, label, at);
        free(drawn);
    }
    fabricated_destroy(run);
}
END_TEST

START_TEST(test_any_size)
{
    const struct fabrication many = {"timeprest", 64, 4, 20, 1, 0.5};
    struct fabricated *runs[] = {fabricate(&usual), fabricate(&many)};

    for (int r = 0; r < 2; r++) {
        for (int rows = 0; rows <= 64; rows += 1 + rows / 12)
            for (int columns = 0; columns <= 210; columns += 1 + columns / 5)
                for (int view = 0; view < VIEWS; view++)
                    check_bounds(&(struct view_state){.view = (enum view)view, .cursor_stage = rows}, &runs[r]->moment,
                                 rows, columns);
        fabricated_destroy(runs[r]);
    }
}
END_TEST

static void check_has(const struct view_state *state, const struct moment *moment, int rows, int columns,
                      const char *text)
{
    char *drawn = draw(state, moment, rows, columns, false);

    ck_assert_msg(strstr(drawn, text) != NULL, "no \"%s\" in %s at %d x %d:\n%s", text, view_name(state->view), columns,
                  rows, drawn);
    free(drawn);
}

/* How to quit is said wherever there is room for anything, whatever else there is to say. */
START_TEST(how_to_quit_is_said_at_any_size)
{
    struct fabricated *run = fabricate(&usual);

    for (int said = 0; said < 3; said++) {
        if (said == 2)
            run->moment.message = "a message that is so long that it has no room on any terminal that is likely";
        for (int rows = 1; rows <= 60; rows += 1 + rows / 12)
            for (int columns = 7; columns <= 210; columns++)
                for (int view = 0; view < VIEWS; view++)
                    check_has(&(struct view_state){.view = (enum view)view, .help = said == 1}, &run->moment, rows,
                              columns, "q quit");
    }
    fabricated_destroy(run);
}
END_TEST

/* A screen of fewer rows than there are stages cannot show them all. */
START_TEST(stages_that_are_not_shown_are_announced)
{
    const struct fabrication many = {"timeprest", 64, 4, 20, 1, 0.5};
    struct fabricated *run = fabricate(&many);

    for (int paused = 0; paused < 2; paused++) {
        if (paused)
            alter_pause(run, NULL);
        for (int rows = 8; rows <= 64; rows += 1 + rows / 12)
            for (int columns = 40; columns <= 210; columns += 1 + columns / 5)
                for (int view = 0; view < VIEWS; view++)
                    check_has(&(struct view_state){.view = (enum view)view, .cursor_stage = rows}, &run->moment, rows,
                              columns, "of 64");
    }
    fabricated_destroy(run);
}
END_TEST

/* No key, wherever it is pressed, leads to what cannot be drawn. */
START_TEST(test_any_key)
{
    static const int keys[] = {'+',        '-',         '0',         't',         'w',           'c',
                               PRESS_LEFT, PRESS_RIGHT, PRESS_UP,    PRESS_DOWN,  PRESS_PAGE_UP, PRESS_PAGE_DOWN,
                               PRESS_HOME, PRESS_END,   PRESS_ENTER, PRESS_ESCAPE};
    struct fabricated *run = fabricate(&usual);
    struct view_state state = {0};
    uint32_t random = 20241018;

    for (int k = 0; k < 600; k++) {
        random = random * 1664525u + 1013904223u;
        ck_assert(view_key(&state, &run->moment, keys[(random >> 16) % (sizeof(keys) / sizeof(keys[0]))]));
        ck_assert_int_ge(state.cursor_stage, 0);
        ck_assert_int_le(state.cursor_stage, 4);
        check_bounds(&state, &run->moment, 24, 80);
    }
    ck_assert(!view_key(&state, &run->moment, 'q'));
    ck_assert(!view_key(&state, &run->moment, ' '));
    fabricated_destroy(run);
}
END_TEST

START_TEST(test_keys_choose_views)
{
    struct fabricated *run = fabricate(&usual);
    struct view_state state = {0};

    for (int view = VIEWS - 1; view >= 0; view--) {
        ck_assert(view_key(&state, &run->moment, '1' + view));
        ck_assert_int_eq(state.view, view);
    }
    ck_assert(view_key(&state, &run->moment, PRESS_BACK_TAB));
    ck_assert_int_eq(state.view, VIEWS - 1);
    ck_assert(view_key(&state, &run->moment, PRESS_TAB));
    ck_assert_int_eq(state.view, 0);
    ck_assert(view_key(&state, &run->moment, 'f'));
    ck_assert(state.frozen);
    ck_assert(view_key(&state, &run->moment, '?'));
    ck_assert(state.help);
    ck_assert(view_key(&state, &run->moment, PRESS_ESCAPE));
    ck_assert(!state.help);
    fabricated_destroy(run);
}
END_TEST

/* From op to op, in both directions, without leaving one out. */
START_TEST(test_selection_walks_ops)
{
    struct fabricated *run = fabricate(&usual);
    struct view_state state = {0};
    const struct stage_history *history = &run->history.stages[1];

    ck_assert(view_key(&state, &run->moment, PRESS_DOWN));
    ck_assert(view_key(&state, &run->moment, PRESS_ENTER));
    for (int k = history->count - 1; k >= 0; k--) {
        ck_assert_ptr_eq(timeline_find(history, state.cursor_ns), &history->ops[k]);
        ck_assert(view_key(&state, &run->moment, PRESS_LEFT));
    }
    for (int k = 1; k < 20; k++) {
        ck_assert(view_key(&state, &run->moment, PRESS_RIGHT));
        ck_assert_ptr_eq(timeline_find(history, state.cursor_ns), &history->ops[k]);
    }
    ck_assert(view_key(&state, &run->moment, PRESS_ESCAPE));
    ck_assert(state.cursor_ns == 0 && state.right_ns > 0);
    ck_assert(view_key(&state, &run->moment, PRESS_ESCAPE));
    ck_assert_uint_eq(state.right_ns, 0);
    fabricated_destroy(run);
}
END_TEST

static const struct op_record *click(const struct fabricated *run, struct view_state *state,
                                     const struct canvas *canvas, int row, int column)
{
    view_point(state, &run->moment, PRESS_CLICK, canvas, row, column);
    return state->cursor_ns > 0 ? timeline_find(&run->history.stages[state->cursor_stage - 1], state->cursor_ns) : NULL;
}

/* In the middle of each op that has a column of its own, in the middle of the wait before it, and left of all. */
START_TEST(a_click_selects_what_stands_there)
{
    struct fabricated *run = fabricate(&usual);
    const struct view_state before = {.ns_per_column = 250000};
    struct canvas canvas = canvas_of(40, 120, false);
    const struct time_axis axis = axis_shown(&before, &run->moment, 120 - 3 - 26);
    int ops = 0, waits = 0;

    view_draw(&canvas, &before, &run->moment);
    for (int s = 1, row = 0; s <= 4; s++, row++) {
        row = find_lane(&canvas, row, s);
        for (int k = 0; k < run->history.stages[s - 1].count; k++) {
            const struct op_record *op = &run->history.stages[s - 1].ops[k];
            struct view_state on_op = before, on_wait = before, beside = before;

            if (op->start_ns < axis.left + op->wait_ns || op->end_ns >= axis_right(&axis))
                continue;
            if (op->end_ns - op->start_ns > 2 * axis.ns_per_column) {
                const uint64_t middle = (op->start_ns + op->end_ns) / 2 - axis.left;
                ck_assert_ptr_eq(click(run, &on_op, &canvas, row, 3 + (int)(middle / axis.ns_per_column)), op);
                ck_assert_int_eq(on_op.cursor_stage, s);
                ops++;
            }
            if (op->wait_ns > 2 * axis.ns_per_column) {
                const uint64_t middle = op->start_ns - op->wait_ns / 2 - axis.left;
                ck_assert_ptr_eq(click(run, &on_wait, &canvas, row, 3 + (int)(middle / axis.ns_per_column)), op);
                waits++;
            }
            ck_assert_ptr_null(click(run, &beside, &canvas, row, 0));
            ck_assert_int_eq(beside.cursor_stage, s);
        }
    }
    ck_assert_int_gt(ops, 10);
    ck_assert_int_gt(waits, 0);
    canvas_destroy(&canvas);
    fabricated_destroy(run);
}
END_TEST

/* On the axis of ticks, too: what is clicked is named as what stands there. */
START_TEST(a_click_selects_what_is_named_there)
{
    static const char *const names[] = {"30A", "30B", "31A", "29"};
    struct fabricated *run = fabricate(&usual);
    struct canvas canvas = canvas_of(24, 80, false);
    int found = 0;

    view_draw(&canvas, &(struct view_state){.ticks = true}, &run->moment);
    for (int s = 1, row = 0; s <= 4; s++, row++) {
        row = find_lane(&canvas, row, s);
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
            for (int column = 3; column < 63; column++) {
                struct view_state state = {.ticks = true};

                if (!has_text(&canvas, row, column, names[k]) ||
                    has_text(&canvas, row, column + (int)strlen(names[k]) - 1, "9A") ||
                    canvas_cell(&canvas, row, column)->style.background == COLOUR_DEFAULT)
                    continue;
                const struct op_record *op = click(run, &state, &canvas, row, column);
                ck_assert_ptr_nonnull(op);
                ck_assert_int_eq(state.cursor_stage, s);
                ck_assert_int_eq(op->minibatch, atoi(names[k]));
                ck_assert(names[k][2] ? op->kind == OP_FORWARD && op->first == names[k][2] - 'A' + 1
                                      : op->kind == OP_BACKWARD || op->kind == OP_FORWARD);
                found++;
            }
    }
    ck_assert_int_gt(found, 6);
    canvas_destroy(&canvas);
    fabricated_destroy(run);
}
END_TEST

/* In the past the wheel keeps the time under the pointer where it is; what follows the newest op goes on to. */
START_TEST(the_wheel_zooms_about_the_pointer)
{
    struct fabricated *run = fabricate(&usual);
    struct canvas canvas = canvas_of(24, 80, false);
    struct view_state state = {.ns_per_column = 200000, .right_ns = run->snapshot.now_ns - 30000000};
    struct view_state following = {.ns_per_column = 200000};

    for (int press = PRESS_WHEEL_UP; press <= PRESS_WHEEL_DOWN; press++)
        for (int column = 0; column < 60; column += 7) {
            const struct time_axis before = axis_shown(&state, &run->moment, 80 - 3 - 16);
            struct view_state turned = state;

            view_point(&turned, &run->moment, press, &canvas, 5, 3 + column);
            const struct time_axis after = axis_shown(&turned, &run->moment, 80 - 3 - 16);
            ck_assert(press == PRESS_WHEEL_UP ? after.ns_per_column < before.ns_per_column
                                              : after.ns_per_column > before.ns_per_column);
            ck_assert_double_le(fabs((double)(before.left + before.ns_per_column * (uint64_t)column) -
                                     (double)(after.left + after.ns_per_column * (uint64_t)column)),
                                (double)after.ns_per_column);
        }
    view_point(&following, &run->moment, PRESS_WHEEL_UP, &canvas, 5, 30);
    ck_assert_uint_eq(following.right_ns, 0);
    ck_assert_uint_lt(following.ns_per_column, 200000);
    canvas_destroy(&canvas);
    fabricated_destroy(run);
}
END_TEST

START_TEST(clicks_choose_views_and_times)
{
    struct fabricated *run = fabricate(&usual);
    struct canvas canvas = canvas_of(24, 80, false);
    struct view_state state = {0};
    double seconds, before = -1;

    for (int view = VIEWS - 1; view >= 0; view--) {
        char *drawn = draw(&state, &run->moment, 24, 80, false), *last = strrchr(drawn, '\n');
        const char *name;

        for (*last = '\0'; *last != '\n'; last--)
            ;
        name = strstr(last, view_name((enum view)view));
        view_point(&state, &run->moment, PRESS_CLICK, &canvas, 23, (int)(name - last) - 1);
        ck_assert_int_eq(state.view, view);
        free(drawn);
    }
    ck_assert(!view_seeks(&run->moment, &canvas, 22, 40, &seconds));
    alter_replay(run, &state);
    for (int column = 0; column < 80; column++, before = seconds) {
        ck_assert(view_seeks(&run->moment, &canvas, 22, column, &seconds));
        ck_assert_double_ge(seconds, before < 0 ? 0 : before);
    }
    ck_assert_double_eq_tol(seconds, 1e-9 * (double)(run->moment.end_ns - run->moment.begin_ns), 1e-9);
    ck_assert(!view_seeks(&run->moment, &canvas, 21, 40, &seconds));
    canvas_destroy(&canvas);
    fabricated_destroy(run);
}
END_TEST

/* No press, wherever it is, leads to what cannot be drawn. */
START_TEST(any_press_is_fine)
{
    struct fabricated *run = fabricate(&usual);
    struct view_state state = {0};
    uint32_t random = 20261128;

    for (int k = 0; k < 600; k++) {
        static const struct size places[] = {{24, 80, false}, {5, 20, false}, {60, 200, false}, {8, 40, false}};
        const struct size *size = &places[(random >> 8) % 4];
        struct canvas canvas = canvas_of(size->rows, size->columns, false);

        random = random * 1664525u + 1013904223u;
        if (k % 7 == 0)
            view_key(&state, &run->moment, "t1234?"[(random >> 20) % 6]);
        view_point(&state, &run->moment, PRESS_CLICK + (int)((random >> 28) % 3), &canvas, (int)((random >> 16) % 64),
                   (int)((random >> 10) % 210));
        ck_assert_int_le(state.cursor_stage, 4);
        canvas_destroy(&canvas);
        check_bounds(&state, &run->moment, 24, 80);
    }
    fabricated_destroy(run);
}
END_TEST

START_TEST(test_zoom_steps_back_and_forth)
{
    for (uint64_t ns = 1000; ns < 50000000000; ns = axis_zoom_step(ns, -1)) {
        ck_assert_uint_gt(axis_zoom_step(ns, -1), ns);
        ck_assert_uint_eq(axis_zoom_step(axis_zoom_step(ns, -1), 1), ns);
    }
}
END_TEST

START_TEST(test_neighbours_differ_in_colour)
{
    for (int i = 1; i < 50; i++) {
        const struct span a = {.kind = SPAN_OP, .op.kind = OP_BACKWARD, .number = i},
                          b = {.kind = SPAN_OP, .op.kind = OP_BACKWARD, .number = i + 1};
        const struct tint of_a = palette_tint((enum colour)lane_style(&a, COLOURING_MINIBATCH).background),
                          of_b = palette_tint((enum colour)lane_style(&b, COLOURING_MINIBATCH).background);

        ck_assert_int_ne(of_a.of_256, of_b.of_256);
        ck_assert_int_ne(of_a.of_8, of_b.of_8);
    }
}
END_TEST

/* Of a colour from 16 on in xterm's palette of 256, as WCAG 2 defines it. */
static double luminance(int colour)
{
    static const int levels[] = {0, 95, 135, 175, 215, 255};
    const int cube = colour - 16, grey = 8 + 10 * (colour - 232);
    const int rgb[] = {colour < 232 ? levels[cube / 36] : grey, colour < 232 ? levels[cube / 6 % 6] : grey,
                       colour < 232 ? levels[cube % 6] : grey};
    double linear[3];

    for (int k = 0; k < 3; k++)
        linear[k] = rgb[k] <= 10 ? rgb[k] / 255.0 / 12.92 : pow((rgb[k] / 255.0 + 0.055) / 1.055, 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

/* Text on the terminal's own background, be it white or black; and the text on ops. */
START_TEST(text_is_read_on_light_and_on_dark_terminals)
{
    for (int c = COLOUR_DEFAULT; c < COLOUR_MINIBATCH; c++) {
        const struct tint tint = palette_tint((enum colour)c);

        if (c == COLOUR_INK || c == COLOUR_PAPER || c == COLOUR_EVALUATION || c == COLOUR_EVALUATION_SOFT ||
            tint.of_256 < 0)
            continue;
        ck_assert_int_ne(tint.of_8, 7);
        ck_assert_int_ge(tint.of_256, 16);
        ck_assert_msg(1.05 / (luminance(tint.of_256) + 0.05) >= 3, "colour %d on white", c);
        ck_assert_msg((luminance(tint.of_256) + 0.05) / 0.05 >= 3, "colour %d on black", c);
    }
    for (int k = 0; k < MINIBATCH_COLOURS; k++) {
        const double strong = luminance(palette_background((enum colour)(COLOUR_MINIBATCH + k)).of_256);
        const double soft = luminance(palette_background((enum colour)(COLOUR_MINIBATCH_SOFT + k)).of_256);

        ck_assert_msg((strong + 0.05) / (luminance(palette_tint(COLOUR_INK).of_256) + 0.05) >= 4.5, "strong %d", k);
        ck_assert_msg((luminance(palette_tint(COLOUR_PAPER).of_256) + 0.05) / (soft + 0.05) >= 4.5, "soft %d", k);
    }
}
END_TEST

struct found {
    const struct simulation *whole;
    int stage, count, offset;
    double tick_ns, zero_ns;
};

/* The planned op is where the whole epoch's simulation has it, but for a shift that all ops share. */
static void check_planned(void *context, const struct span *span)
{
    struct found *found = context;
    int tick = (int)(((double)span->start - found->zero_ns) / found->tick_ns + 0.5);

    for (int k = 0; k < simulation_op_count(found->whole, found->stage); k++) {
        const struct timed_op timed = simulation_op(found->whole, found->stage, k);
        if (timed.op.minibatch == span->op.minibatch && timed.op.kind == span->op.kind &&
            timed.op.first == span->op.first) {
            if (found->count++ == 0)
                found->offset = (int)timed.start - tick;
            ck_assert_int_eq((int)timed.start - tick, found->offset);
            ck_assert_double_eq_tol((double)(span->end - span->start),
                                    found->tick_ns * (double)(timed.end - timed.start), 2.0);
            return;
        }
    }
    ck_abort_msg("mini-batch %d is none of the epoch's", span->op.minibatch);
}

START_TEST(test_plan_is_the_epochs)
{
    const struct system *system = &systems[_i / 2];
    int n = orders[system->order].microbatches;

    for (int w = 1; w <= 8; w += 1 + w / 4)
        for (double at = 0.01; at < 1; at += 0.245) {
            const struct fabrication what = {system->name, w, n > 0 ? n : 8, 80, 1, at};
            struct fabricated *run = fabricate(&what);
            const struct view_state state = {0};
            const struct time_axis axis = axis_shown(&state, &run->moment, 150);
            struct planned planned;
            struct error error;
            struct found found = {0};
            struct simulation *whole = NULL;

            run->plan.config.pipeline.static_times = _i % 2 ? STATIC_NOMINAL : STATIC_UNIT;
            planned_begin(&planned, &run->moment, &axis, NULL, false);
            ck_assert_ptr_nonnull(planned.simulation);
            ck_assert_int_eq(plan_simulate(&run->plan, &run->plan.schedule, true, &whole, &error), 0);
            found = (struct found){.whole = whole, .tick_ns = planned.tick_ns, .zero_ns = planned.zero_ns};
            for (found.stage = 1; found.stage <= w; found.stage++)
                planned_visit(&planned, &run->plan, found.stage, &axis, check_planned, &found);
            ck_assert_int_gt(found.count, 0);
            simulation_destroy(whole);
            planned_end(&planned);
            fabricated_destroy(run);
        }
}
END_TEST

START_TEST(test_text_is_clipped_and_narrow)
{
    struct canvas canvas = canvas_of(2, 6, false), ascii = canvas_of(1, 6, true);
    char *text;

    ck_assert_int_eq(canvas_write(&canvas, 0, 3, (struct style){0},
                                  "a\xc2\xb7"
                                  "bcdef"),
                     10);
    ck_assert_int_eq(canvas_write(&canvas, 1, -1, (struct style){0},
                                  "x\xe4\xb8\xad\xff\x1b"
                                  "e\xcc\x81"),
                     5);
    ck_assert_int_eq(canvas_write(&canvas, 7, 0, (struct style){0}, "below"), 5);
    text = canvas_text(&canvas);
    ck_assert_str_eq(text, "   a\xc2\xb7"
                           "b\n???e?\n");
    free(text);
    canvas_write(&ascii, 0, 0, (struct style){0}, "·░█▲→é");
    text = canvas_text(&ascii);
    ck_assert_str_eq(text, ".-#^>?\n");
    free(text);
    canvas_destroy(&canvas);
    canvas_destroy(&ascii);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("views");
    TCase *golden = tcase_create("golden"), *properties = tcase_create("properties");

    tcase_set_timeout(golden, 60);
    tcase_add_loop_test(golden, test_golden_views, 0, SIZES);
    tcase_add_loop_test(golden, test_golden_scenes, 0, SCENES);
    suite_add_tcase(suite, golden);
    tcase_set_timeout(properties, 120);
    tcase_add_loop_test(properties, test_every_system_and_size, 0, asking_system_count);
    tcase_add_loop_test(properties, ops_stand_in_the_line_of_the_version_that_they_read, 0, asking_system_count);
    tcase_add_test(properties, test_any_size);
    tcase_add_test(properties, how_to_quit_is_said_at_any_size);
    tcase_add_test(properties, stages_that_are_not_shown_are_announced);
    tcase_add_test(properties, test_any_key);
    tcase_add_test(properties, test_keys_choose_views);
    tcase_add_test(properties, test_selection_walks_ops);
    tcase_add_test(properties, a_click_selects_what_stands_there);
    tcase_add_test(properties, a_click_selects_what_is_named_there);
    tcase_add_test(properties, the_wheel_zooms_about_the_pointer);
    tcase_add_test(properties, clicks_choose_views_and_times);
    tcase_add_test(properties, any_press_is_fine);
    tcase_add_test(properties, test_zoom_steps_back_and_forth);
    tcase_add_test(properties, text_is_read_on_light_and_on_dark_terminals);
    tcase_add_test(properties, test_neighbours_differ_in_colour);
    tcase_add_loop_test(properties, test_plan_is_the_epochs, 0, 2 * asking_system_count);
    tcase_add_test(properties, test_text_is_clipped_and_narrow);
    suite_add_tcase(suite, properties);

    return run_suite(suite);
}
