/* Goal of this test: pictures say what the schedule says. What is drawn of fixed plans is the same as what is kept in
 * tests/golden, as a list of elements, which a person has looked at as a picture. For every system and many sizes: ops
 * stand where the simulator has them, none over another, all have their names, nothing lies outside; and the versions
 * written on them are those that the rules' definitions give. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/draw_plan.h"
#include "coordinator/plot_comparison.h"
#include "coordinator/show_plan.h"
#include "monitor/still.h"
#include "picture/simulated.h"
#include "tests/support/fabricate.h"
#include "tests/support/golden.h"
#include "tests/support/planned.h"
#include "tests/support/suite.h"

/* Its elements as text, which the caller frees. */
static char *text_of(const struct picture *picture)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    ck_assert_ptr_nonnull(out);
    picture_print(picture, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static struct plan plan;
static struct network *network;

static void tear_down(void)
{
    if (network)
        plan_release(&plan);
    network_destroy(network);
    network = NULL;
}

static const struct golden {
    const char *name;
    const char *overrides[8];
    struct drawing_request request;
} goldens[] = {
    {"picture-grid", {"pipeline.stages=3", "pipeline.microbatches=2"}, {.ticks = 9}},
    {"picture-versions",
     {"pipeline.system=i-timeprest", "pipeline.stages=3", "pipeline.microbatches=2"},
     {.versions = true, .ticks = 13}},
    {"picture-split",
     {"pipeline.system=zb-v", "pipeline.stages=2", "pipeline.microbatches=4", "pipeline.static=nominal",
      "model.depth=6"},
     {.versions = true}},
    {"picture-times",
     {"pipeline.system=1f1b", "pipeline.stages=3", "pipeline.microbatches=2", "simulation.forward_ms=1",
      "simulation.backward_ms=2", "simulation.update_ms=0.5", "simulation.link_us=250"},
     {.times = true, .minibatches = 2}},
};
enum { GOLDENS = sizeof(goldens) / sizeof(goldens[0]) };

START_TEST(test_golden_pictures)
{
    const struct golden *golden = &goldens[_i];
    struct picture picture;

    planned(&plan, &network, golden->overrides, false);
    ck_assert_int_eq(plan_compose(&picture, &plan, &golden->request), EXIT_DONE);
    ck_assert(!picture.failed);
    char *text = text_of(&picture);
    golden_check(golden->name, text);
    free(text);
    picture_release(&picture);
}
END_TEST

static const struct run_golden {
    const char *name;
    struct fabrication fabrication;
    struct still_request request;
} run_goldens[] = {
    {"picture-run", {"timeprest", 3, 2, 40, 3, 0.5}, {.seconds = 0.02, .versions = true}},
    {"picture-run-split", {"zb-h1", 2, 4, 40, 1, 0.2}, {.seconds = 0.03}},
    {"picture-run-test", {"pipedream", 3, 1, 40, 2, 1.2}, {.seconds = 0}},
};
enum { RUN_GOLDENS = sizeof(run_goldens) / sizeof(run_goldens[0]) };

START_TEST(test_golden_runs)
{
    const struct run_golden *golden = &run_goldens[_i];
    struct fabricated *run = fabricate(&golden->fabrication);
    struct picture picture;
    struct error error;

    ck_assert_int_eq(still_compose(&picture, &run->moment, &golden->request, &error), 0);
    char *text = text_of(&picture);
    golden_check(golden->name, text);
    free(text);
    picture_release(&picture);
    fabricated_destroy(run);
}
END_TEST

/* What two systems with two seeds have learned in three epochs; a third has not come to its end. */
static json_t *made_up_summaries(void)
{
    static const char *const names[] = {"timeprest", "pipedream", "gpipe"};
    json_t *summaries = json_array();

    for (int c = 0; c < 3; c++) {
        json_t *runs = json_array();

        for (int seed = 1; seed <= 2; seed++) {
            json_t *epochs = json_array();

            for (int e = 1; e <= 3; e++)
                json_array_append_new(epochs, json_pack("{s:f, s:f, s:f}", "train_loss", 2.0 / e + 0.1 * c, "test_loss",
                                                        2.5 / e + 0.01 * seed, "test_top1", 1 - 0.5 / (e + c)));
            json_array_append_new(runs, json_pack("{s:s, s:o, s:[{s:{s:i, s:i}}, {s:{s:i, s:i}}]}", "result",
                                                  c < 2 ? "finished" : "failed", "epochs", epochs, "stage",
                                                  "memory_peak_bytes", "weights", 3 << 20, "stash", c << 20,
                                                  "memory_peak_bytes", "weights", 2 << 20, "links", 1 << 19));
        }
        json_array_append_new(summaries, json_pack("{s:s, s:i, s:i, s:o}", "system", names[c], "epochs", 3,
                                                   "runs_finished", c < 2 ? 2 : 0, "runs", runs));
    }
    return summaries;
}

START_TEST(test_golden_comparison)
{
    static const char *const overrides[] = {"pipeline.stages=2", "pipeline.microbatches=2", NULL};
    json_t *summaries = made_up_summaries(), *none = json_array();
    const struct plan *plans[] = {&plan, &plan, &plan};
    struct picture picture;
    struct error error;

    planned(&plan, &network, overrides, false);
    ck_assert_int_eq(comparison_compose(&picture, summaries, plans, &error), 0);
    char *text = text_of(&picture);
    golden_check("picture-comparison", text);
    ck_assert_ptr_null(strstr(text, ": gpipe"));
    free(text);
    picture_release(&picture);
    ck_assert_int_eq(comparison_compose(&picture, none, plans, &error), -1);
    ck_assert_str_eq(error.text, "there is nothing to plot: no run was finished");
    picture_release(&picture);
    json_decref(summaries);
    json_decref(none);
}
END_TEST

/* The system's plan for W and N in ticks, as a panel. */
static void panel_for(struct panel **panel, struct simulation **simulation, struct schedule *schedule,
                      const struct system *system, int stages, int microbatches)
{
    char set[3][64];
    const char *overrides[] = {set[0], set[1], set[2], "model.depth=12", "data.batch=16", "data.limit=96", NULL};
    struct error error;

    snprintf(set[0], sizeof(set[0]), "pipeline.system=%s", system->name);
    snprintf(set[1], sizeof(set[1]), "pipeline.stages=%d", stages);
    snprintf(set[2], sizeof(set[2]), "pipeline.microbatches=%d", microbatches);
    planned(&plan, &network, overrides, false);
    *schedule = plan_training(&plan);
    ck_assert_int_eq(plan_simulate_ticks(&plan, schedule, simulation, &error), 0);
    ck_assert_int_eq(
        panel_of_simulation(panel, &plan, schedule, *simulation, (uint64_t)(*simulation)->duration, &error), 0);
}

static const struct panel_span *find(const struct panel *panel, const struct op *op, enum op_kind kind)
{
    for (int l = 0; l < panel->lane_count; l++)
        for (int k = 0; k < panel->lanes[l].count; k++) {
            const struct op *other = &panel->lanes[l].spans[k].span.op;

            if (other->kind == kind && other->part == op->part && other->minibatch == op->minibatch &&
                other->first <= op->first && other->first + other->count > op->first)
                return &panel->lanes[l].spans[k];
        }
    ck_abort_msg("there is no such op");
}

/* Updates of the part that have ended when something begins at `start` in the same lane. */
static int updates_before(const struct panel *panel, int lane, int part, uint64_t start)
{
    int updates = 0;

    for (int k = 0; k < panel->lanes[lane].count; k++) {
        const struct span *span = &panel->lanes[lane].spans[k].span;
        updates += span->op.part == part && span->updated && span->end <= start;
    }
    return updates;
}

/* What a forward reads, by the definitions. */
static void check_forward(const struct panel *panel, const struct schedule *schedule, int lane,
                          const struct panel_span *of)
{
    const struct op *op = &of->span.op;
    const int live = updates_before(panel, lane, op->part, of->span.start);
    struct op entry = *op;

    entry.part = 1;
    if (forward_reading(schedule->forward)->terms)
        ck_assert_int_eq(of->read_first, VERSION_SUM);
    else if (schedule->forward == FORWARD_LIVE)
        ck_assert_int_eq(of->read_first, live);
    else if (schedule->forward == FORWARD_PINNED)
        ck_assert_int_eq(of->read_first, find(panel, &entry, OP_FORWARD)->read_first);
    else
        ck_assert_int_le(of->read_first, live);
}

static void check_backward(const struct panel *panel, const struct schedule *schedule, int lane,
                           const struct panel_span *of)
{
    const struct op *op = &of->span.op;
    struct op last = *op;

    last.part = schedule_part_count(schedule);
    if (backward_reading(schedule->backward)->terms)
        ck_assert_int_eq(of->read_first, VERSION_SUM);
    else if (schedule->backward == BACKWARD_LIVE)
        ck_assert_int_eq(of->read_first, updates_before(panel, lane, op->part, of->span.start));
    else if (schedule->backward == BACKWARD_FORWARD)
        ck_assert_int_eq(of->read_first, find(panel, op, OP_FORWARD)->read_first);
    else if (schedule->backward == BACKWARD_COMMITTED)
        ck_assert_int_eq(of->read_first, find(panel, &last, op->kind)->read_first);
}

static void check_panel(const struct panel *panel, const struct schedule *schedule)
{
    for (int l = 0; l < panel->lane_count; l++)
        for (int k = 0; k < panel->lanes[l].count; k++) {
            const struct panel_span *of = &panel->lanes[l].spans[k];
            const struct op *op = &of->span.op;

            ck_assert_int_eq(schedule_stage_of(schedule, op->part), l + 1);
            ck_assert(k == 0 || of[-1].span.end <= of->span.start);
            if (op->kind == OP_FORWARD)
                check_forward(panel, schedule, l, of);
            else if (op->kind != OP_BACKWARD_WEIGHTS)
                check_backward(panel, schedule, l, of);
            if (of->span.updated)
                ck_assert_int_eq(of->made, updates_before(panel, l, op->part, of->span.start) + 1);
            else
                ck_assert_int_eq(of->made, VERSION_UNKNOWN);
        }
}

/* Elements of the picture lie in it; boxes of ops do not overlap; each op has its name where there is room. */
static void check_picture(const struct panel *panel, const struct schedule *schedule, uint64_t length)
{
    const struct panel_style style = {.length = length, .ticks = true, .versions = true};
    struct picture picture;
    int named = 0, ops = 0;

    panels_compose(&picture, "", &panel, 1, &style);
    ck_assert(!picture.failed);
    for (int k = 0; k < picture.count; k++) {
        const struct element *element = &picture.elements[k];
        const double left = fmin(element->x, element->x + element->width);

        ck_assert_double_ge(left, 0);
        ck_assert_double_ge(element->y, 0);
        ck_assert_double_le(element->y + element->height, picture.height);
        ck_assert_double_le(left + fabs(element->width), picture.width);
        if (element->kind == ELEMENT_TEXT && element->anchor == ANCHOR_LEFT)
            ck_assert_double_le(left + 0.9 * picture_text_width(element->text, element->size, element->bold),
                                picture.width);
    }
    for (int l = 0; l < panel->lane_count; l++)
        for (int k = 0; k < panel->lanes[l].count && panel->lanes[l].spans[k].span.start < length; k++, ops++) {
            char label[OP_LABEL_SIZE];

            timeline_label(panel->plan, PHASE_TRAIN, &panel->lanes[l].spans[k].span.op, label);
            for (int e = 0; e < picture.count; e++)
                if (picture.elements[e].kind == ELEMENT_TEXT && strcmp(picture.elements[e].text, label) == 0) {
                    named++;
                    break;
                }
        }
    ck_assert_int_eq(named, ops);
    ck_assert_int_gt(ops, schedule->stages);
    picture_release(&picture);
}

START_TEST(test_every_system)
{
    static const int sizes[][2] = {{2, 2}, {3, 2}, {4, 4}, {5, 3}};
    const struct system *system = &systems[_i];

    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct simulation *simulation;
        struct schedule schedule;
        struct panel *panel;
        const int stages = sizes[k][0];
        int microbatches = system_microbatches(system, sizes[k][1], stages);

        if (orders[system->order].generate)
            microbatches = 2 * stages; /* suits all lists */
        panel_for(&panel, &simulation, &schedule, system, stages, microbatches);
        check_panel(panel, &schedule);
        check_picture(panel, &schedule, (uint64_t)simulation_until(simulation, 2));
        panel_destroy(panel);
        simulation_destroy(simulation);
        tear_down();
    }
}
END_TEST

START_TEST(test_inks)
{
    for (int k = 0; k < 2 * INK_CYCLE; k++) {
        const struct rgb strong = ink_rgb(ink_strong(k)), soft = ink_rgb(ink_soft(k));

        ck_assert_int_eq(ink_strong(k), ink_strong(k + INK_CYCLE));
        ck_assert_int_ne(ink_strong(k), ink_strong(k + 1));
        /* In grey, too, a forward is lighter than its backward. */
        ck_assert_double_gt(soft.red + soft.green + soft.blue, strong.red + strong.green + strong.blue + 0.3);
        ck_assert_int_eq(ink_upon(ink_soft(k)), INK_TEXT);
    }
    for (int ink = 0; ink < INKS; ink++)
        ck_assert_ptr_nonnull(ink_name((enum ink)ink));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("picture");
    TCase *golden = tcase_create("golden"), *systems_case = tcase_create("systems"), *inks = tcase_create("inks");

    tcase_add_checked_fixture(golden, NULL, tear_down);
    tcase_add_loop_test(golden, test_golden_pictures, 0, GOLDENS);
    tcase_add_test(golden, test_golden_comparison);
    tcase_add_loop_test(golden, test_golden_runs, 0, RUN_GOLDENS);
    tcase_set_timeout(systems_case, 60);
    tcase_add_loop_test(systems_case, test_every_system, 0, system_count);
    tcase_add_test(inks, test_inks);
    suite_add_tcase(suite, golden);
    suite_add_tcase(suite, systems_case);
    suite_add_tcase(suite, inks);

    return run_suite(suite);
}
