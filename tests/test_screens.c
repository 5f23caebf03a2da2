/* Goal of this test: screens of fabricated runs are the same as those kept in tests/golden, which a person has looked at.
 *
 * After a change that is meant, UPDATE_GOLDEN=1 build/tests/test_screens writes the screens anew. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/drawn.h"
#include "tests/support/golden.h"
#include "tests/support/suite.h"

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
    pause_run(run);
}

static void alter_replay(struct fabricated *run, struct view_state *state)
{
    (void)state;
    replay_run(run);
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

/* As a run is that began paused. */
static void alter_to_begin(struct fabricated *run, struct view_state *state)
{
    alter_pause(run, state);
    for (int s = 0; s < run->snapshot.stage_count; s++) {
        run->history.stages[s].count = 0;
        run->snapshot.stages[s].counters = (struct stage_counters){.epoch = 1};
        run->snapshot.stages[s].activity = (struct activity){
            .kind = s == 0 ? ACTIVITY_HELD : ACTIVITY_WAIT, .cause = WAIT_ACTIVATION, .op = {OP_FORWARD, 1, 1, 1, 0}};
    }
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
    {"held-before-all", {"timeprest", 4, 3, 60, 1, 0.012}, alter_to_begin, 24, 80},
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

int main(void)
{
    Suite *suite = suite_create("screens");
    TCase *golden = tcase_create("golden");

    tcase_set_timeout(golden, 60);
    tcase_add_loop_test(golden, test_golden_views, 0, SIZES);
    tcase_add_loop_test(golden, test_golden_scenes, 0, SCENES);
    suite_add_tcase(suite, golden);

    return run_suite(suite);
}
