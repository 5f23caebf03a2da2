/* Goal of this test: keys and the mouse lead where they should, and none of them to what cannot be drawn. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/axis.h"
#include "telemetry/timeline.h"
#include "tests/support/drawn.h"
#include "tests/support/suite.h"

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
    ck_assert(!view_seeks(&state, &run->moment, &canvas, 22, 40, &seconds));
    replay_run(run);
    for (int column = 0; column < 80; column++, before = seconds) {
        ck_assert(view_seeks(&state, &run->moment, &canvas, 22, column, &seconds));
        ck_assert_double_ge(seconds, before < 0 ? 0 : before);
    }
    ck_assert_double_eq_tol(seconds, 1e-9 * (double)(run->moment.end_ns - run->moment.begin_ns), 1e-9);
    ck_assert(!view_seeks(&state, &run->moment, &canvas, 21, 40, &seconds));
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
        static const int places[][2] = {{24, 80}, {5, 20}, {60, 200}, {8, 40}};
        const int *size = places[(random >> 8) % 4];
        struct canvas canvas = canvas_of(size[0], size[1], false);

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

int main(void)
{
    Suite *suite = suite_create("view keys");
    TCase *keys = tcase_create("keys"), *mouse = tcase_create("mouse");

    tcase_set_timeout(keys, 120);
    tcase_add_test(keys, test_any_key);
    tcase_add_test(keys, test_keys_choose_views);
    tcase_add_test(keys, test_selection_walks_ops);
    tcase_add_test(keys, test_zoom_steps_back_and_forth);
    suite_add_tcase(suite, keys);
    tcase_set_timeout(mouse, 120);
    tcase_add_test(mouse, a_click_selects_what_stands_there);
    tcase_add_test(mouse, a_click_selects_what_is_named_there);
    tcase_add_test(mouse, the_wheel_zooms_about_the_pointer);
    tcase_add_test(mouse, clicks_choose_views_and_times);
    tcase_add_test(mouse, any_press_is_fine);
    suite_add_tcase(suite, mouse);

    return run_suite(suite);
}
