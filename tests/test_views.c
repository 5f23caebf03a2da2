/* Goal of this test: what the monitor draws is what happened. For every system, every number of stages and every size: each
 * op that is wide enough has its name in its stage's lane, stages are in order, nothing is drawn outside the canvas, the
 * plan below is the epoch's. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/axis.h"
#include "monitor/planned.h"
#include "plan/replay.h"
#include "tests/support/drawn.h"
#include "tests/support/suite.h"

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

/* Of two, one above the other, the lower one has the keys, and each has its seek bar. */
START_TEST(one_line_of_keys_is_for_both)
{
    struct fabricated *run = fabricate(&usual);

    replay_run(run);
    for (int rows = 10; rows <= 60; rows += 1 + rows / 12)
        for (int view = 0; view < VIEWS; view++) {
            struct view_state state = {.view = (enum view)view, .above = true};
            char *drawn = draw(&state, &run->moment, rows, 80, false), *last = drawn + strlen(drawn) - 1;

            ck_assert_msg(!strstr(drawn, "q quit"), "%s", drawn);
            check_bounds(&state, &run->moment, rows, 80);
            for (*last = '\0'; *last != '\n'; last--)
                ;
            ck_assert_msg(strstr(last, "27.00 s ") && strstr(last, " 34.00 s"), "%s", drawn);
            free(drawn);
            state.above = false;
            check_has(&state, &run->moment, rows + 1, 80, "q quit");
            check_has(&state, &run->moment, rows + 1, 80, " 34.00 s");
        }
    fabricated_destroy(run);
}
END_TEST

/* On a terminal of the usual size no page of help has a row cut, or left out. */
START_TEST(help_has_room_on_a_usual_terminal)
{
    struct fabricated *run = fabricate(&usual);

    for (int view = 0; view < VIEWS; view++)
        for (int page = 1; page <= 2; page++) {
            const struct view_state state = {.view = (enum view)view, .help = page};
            char *drawn = draw(&state, &run->moment, 24, 80, false), *box = strstr(drawn, "┌─");

            ck_assert_ptr_nonnull(box);
            ck_assert_msg(!strstr(box, "… │") && !strstr(box, "more on a larger screen"), "%s", drawn);
            free(drawn);
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
            pause_run(run);
        for (int rows = 8; rows <= 64; rows += 1 + rows / 12)
            for (int columns = 40; columns <= 210; columns += 1 + columns / 5)
                for (int view = 0; view < VIEWS; view++)
                    check_has(&(struct view_state){.view = (enum view)view, .cursor_stage = rows}, &run->moment, rows,
                              columns, "of 64");
    }
    fabricated_destroy(run);
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

int main(void)
{
    Suite *suite = suite_create("views");
    TCase *properties = tcase_create("properties");

    tcase_set_timeout(properties, 120);
    tcase_add_loop_test(properties, test_every_system_and_size, 0, asking_system_count);
    tcase_add_loop_test(properties, ops_stand_in_the_line_of_the_version_that_they_read, 0, asking_system_count);
    tcase_add_test(properties, test_any_size);
    tcase_add_test(properties, how_to_quit_is_said_at_any_size);
    tcase_add_test(properties, one_line_of_keys_is_for_both);
    tcase_add_test(properties, help_has_room_on_a_usual_terminal);
    tcase_add_test(properties, stages_that_are_not_shown_are_announced);
    tcase_add_loop_test(properties, test_plan_is_the_epochs, 0, 2 * asking_system_count);
    suite_add_tcase(suite, properties);

    return run_suite(suite);
}
