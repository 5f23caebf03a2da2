/* Goal of this test: schedules as a user meets them. The plan says what published figures say, a schedule that
 * is written is the schedule that is read, and whatever list a run replays, it does so to the same bits, stopped and gone
 * on with included. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/system.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static void run(const char *words)
{
    ck_assert_msg(program_run(&program, words) == 0, "%s: %s", words, program_text(&program, "err"));
}

static int member(const json_t *object, const char *name, size_t index)
{
    const json_t *value = json_object_get(object, name);

    return (int)json_integer_value(json_is_array(value) ? json_array_get(value, index) : value);
}

/* Makespans in parts' times, found on paper and by others; peaks and idle time by their closed forms. */
static const struct {
    const char *system;
    int stages, parts, microbatches;
    const char *placement;
    int makespan, idle, first_peak, last_peak;
} published[] = {
    {"1f1b", 4, 1, 8, "loop", 33, 9, 4, 1},
    {"gpipe", 4, 1, 8, "loop", 33, 9, 8, 8},
    {"zb-h1", 4, 1, 8, "loop", 27, 3, 4, 4},
    {"zb-h2", 4, 1, 8, "loop", 27, 3, 7, 7},
    {"interleaved-1f1b", 4, 2, 8, "loop", 57, 9, 11, 5},
    {"breadth-first", 4, 2, 8, "loop", 57, 9, 16, 16},
    {"zb-v", 4, 2, 8, "v", 51, 3, 8, 8},
    {"dualpipe-v", 4, 2, 8, "v", 51, 3, 9, 9},
    {"1f1b", 8, 1, 16, "loop", 69, 21, 8, 1},
    {"interleaved-1f1b", 8, 2, 16, "loop", 117, 21, 23, 9},
    {"breadth-first", 8, 2, 16, "loop", 117, 21, 32, 32},
    {"zb-v", 8, 2, 16, "v", 103, 7, 16, 16},
};

START_TEST(the_plan_has_the_published_makespans)
{
    const int w = published[_i].stages;
    char words[512];

    snprintf(words, sizeof(words),
             "plan @ --json ~/plan.json --set model.arch=resnet56 --set data.batch=64 --set pipeline.system=%s --set "
             "pipeline.stages=%d --set pipeline.parts=%d --set pipeline.placement=%s --set pipeline.microbatches=%d",
             published[_i].system, w, published[_i].parts, published[_i].placement, published[_i].microbatches);
    run(words);
    json_t *plan = program_json(&program, "plan.json"), *schedule = json_object_get(plan, "schedule");
    ck_assert_int_eq(member(schedule, "makespan", 0), published[_i].makespan);
    for (int s = 0; s < w; s++)
        ck_assert_int_eq(member(schedule, "idle", (size_t)s), published[_i].idle);
    ck_assert_int_eq(member(schedule, "peak_activations", 0), published[_i].first_peak);
    ck_assert_int_eq(member(schedule, "peak_activations", (size_t)w - 1), published[_i].last_peak);
    ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(json_object_get(plan, "stage"), 0), "parts")),
                      (size_t)published[_i].parts);
    json_decref(plan);
}
END_TEST

static const char *const written[] = {"timeprest", "v-timeprest", "1f1b", "zb-h1", "pipedream-2bw"};
enum { WRITTEN = sizeof(written) / sizeof(written[0]) };

/* Each word begins where those of the other stages in its slot do, also where stages have two digits. */
START_TEST(the_grid_s_columns_line_up)
{
    const struct system *system = &systems[_i];
    const bool whole = orders[system->order].microbatches == 1;
    char words[256];
    int starts[30], lines = 0;

    snprintf(words, sizeof(words),
             "plan @ --grid --slots 30 --set pipeline.system=%s --set model.depth=48 --set pipeline.stages=12 --set "
             "pipeline.microbatches=%d",
             system->name, whole ? 1 : 24);
    run(words);
    const char *grid = program_text(&program, "out");
    for (const char *line = grid; *line; line += strcspn(line, "\n") + 1, lines++) {
        int at = (int)strcspn(line, ":") + 1, column = 0;

        while (line[at] != '\n') {
            at += (int)strspn(line + at, " ");
            starts[column] = lines == 0 ? at : starts[column];
            ck_assert_msg(at == starts[column], "word %d of line %d of:\n%s", column + 1, lines + 1, grid);
            at += (int)strcspn(line + at, " \n");
            column++;
        }
        ck_assert_int_eq(column, 30);
    }
    ck_assert_int_eq(lines, 12);
}
END_TEST

/* What a system does and what its schedule file says are the same grid and the same bits. */
START_TEST(a_schedule_that_is_written_trains_to_the_same_bits)
{
    char words[512], grid[8192];

    snprintf(words, sizeof(words), "plan @ --csv ~/own.csv --set pipeline.system=%s", written[_i]);
    run(words);
    snprintf(words, sizeof(words), "plan @ --grid --slots 40 --minibatches 12 --set pipeline.system=%s", written[_i]);
    run(words);
    snprintf(grid, sizeof(grid), "%s", program_text(&program, "out"));
    run("plan @ --grid --slots 40 --minibatches 12 --set pipeline.system=~/own.csv");
    ck_assert_str_eq(program_text(&program, "out"), grid);
    snprintf(words, sizeof(words), "@ --quiet --set run.name=row --set pipeline.order=static --set pipeline.system=%s",
             written[_i]);
    run(words);
    run("@ --quiet --set run.name=file --set pipeline.system=~/own.csv");
    program_assert_same(&program, 3, 1, "row", "file");
}
END_TEST

/* Files that PyTorch wrote are drawn; and trained, where stages have one part, to what our own row trains to. */
static const struct {
    const char *file;
    int stages, parts, microbatches;
    const char *placement, *row;
} pytorch[] = {
    {"gpipe", 3, 1, 4, "loop", "gpipe"},
    {"1f1b", 4, 1, 6, "loop", "1f1b"},
    {"interleaved-1f1b", 2, 3, 4, "loop", NULL},
    {"looped-bfs", 2, 2, 3, "loop", NULL},
    {"interleaved-zero-bubble", 3, 2, 6, "loop", NULL},
    {"zbv-zero-bubble", 3, 2, 6, "v", NULL},
    {"dualpipe-v", 2, 2, 5, "v", NULL},
};
enum { PYTORCH = sizeof(pytorch) / sizeof(pytorch[0]) };

START_TEST(pytorchs_files_are_drawn_and_trained)
{
    char settings[256], words[512];

    snprintf(settings, sizeof(settings),
             "--set model.arch=resnet20 --set data.batch=12 --set data.limit=60 --set pipeline.partition=auto --set "
             "pipeline.stages=%d --set pipeline.microbatches=%d",
             pytorch[_i].stages, pytorch[_i].microbatches);
    snprintf(words, sizeof(words), "plan @ --grid %s --set pipeline.system=tests/golden/pytorch/%s.csv", settings,
             pytorch[_i].file);
    run(words);
    const char *grid = program_text(&program, "out");
    ck_assert_ptr_nonnull(strstr(grid, "\nstage 2: .  1A"));
    /* The config may say what the file says. */
    snprintf(words + strlen(words), sizeof(words) - strlen(words),
             " --set pipeline.parts=%d --set pipeline.placement=%s", pytorch[_i].parts, pytorch[_i].placement);
    run(words);
    ck_assert_str_eq(program_text(&program, "out"), grid);
    if (!pytorch[_i].row)
        return;
    snprintf(words, sizeof(words), "@ --quiet --set run.name=file %s --set pipeline.system=tests/golden/pytorch/%s.csv",
             settings, pytorch[_i].file);
    run(words);
    snprintf(words, sizeof(words), "@ --quiet --set run.name=row %s --set pipeline.system=%s", settings,
             pytorch[_i].row);
    run(words);
    program_assert_same(&program, pytorch[_i].stages, 1, "row", "file");
}
END_TEST

/* A list for measured times is kept with the run: resumed, or repeated by what the report says, it computes the same. */
START_TEST(measured_times_are_kept)
{
    char words[1024];

    run("@ --quiet --epochs 2 --set run.name=whole --set pipeline.order=static --set pipeline.static=measured "
        "--set train.lr_schedule=constant");
    json_t *report = program_json(&program, "runs/whole/report.json");
    const json_t *times = json_object_get(json_object_get(report, "config"), "simulation");
    snprintf(words, sizeof(words),
             "@ --quiet --set run.name=part --set pipeline.order=static --set pipeline.static=measured "
             "--set train.lr_schedule=constant --set "
             "simulation.forward_ms=%s --set simulation.backward_ms=%s --set simulation.update_ms=%s",
             json_string_value(json_object_get(times, "forward_ms")),
             json_string_value(json_object_get(times, "backward_ms")),
             json_string_value(json_object_get(times, "update_ms")));
    json_decref(report);
    /* No word of the first epoch's times: the checkpoint has them. */
    run(words);
    run("@ --quiet --epochs 2 --set pipeline.order=static --set pipeline.static=measured "
        "--set train.lr_schedule=constant --resume=~/runs/part");
    program_assert_same(&program, 3, 2, "whole", "part");
}
END_TEST

/* So is a measured cut: by nobody's clock is this one balanced, and a run that is resumed has it all the same. */
START_TEST(a_measured_cut_is_kept)
{
    static const char common[] =
        "--quiet --set pipeline.balance=measured --set model.depth=9 --set pipeline.order=static "
        "--set train.lr_schedule=constant";
    char words[512];

    snprintf(words, sizeof(words), "@ %s --epochs 2 --set run.name=whole --set pipeline.partition=1,1,7", common);
    run(words);
    snprintf(words, sizeof(words), "@ %s --epochs 1 --set run.name=part --set pipeline.partition=1,1,7", common);
    run(words);
    snprintf(words, sizeof(words), "@ %s --epochs 2 --set pipeline.partition=auto --resume=~/runs/part", common);
    run(words);
    program_assert_same(&program, 3, 2, "whole", "part");
    json_t *report = program_json(&program, "runs/part/report.json");
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(json_object_get(report, "config"), "pipeline"), "partition")),
        "1,1,7");
    json_decref(report);
}
END_TEST

static const struct {
    const char *system;
    int parts;
    const char *placement;
} brought[] = {
    {"timeprest", 1, "loop"},        {"pipedream-2bw", 1, "loop"}, {"zb-h2", 1, "loop"},
    {"interleaved-1f1b", 2, "loop"}, {"breadth-first", 2, "loop"}, {"zb-v", 2, "v"},
    {"dualpipe-v", 2, "v"},
};
enum { BROUGHT = sizeof(brought) / sizeof(brought[0]) };

static const char room[] = "--set pipeline.partition=auto --set model.depth=9 --set pipeline.microbatches=6";

static void assert_parts(int parts, const char *placement)
{
    json_t *plan = program_json(&program, "plan.json");
    const json_t *asked = json_object_get(json_object_get(plan, "config"), "pipeline");
    const json_t *stage = json_array_get(json_object_get(plan, "stage"), 0);

    ck_assert_int_eq(json_integer_value(json_object_get(asked, "parts")), parts);
    ck_assert_str_eq(json_string_value(json_object_get(asked, "placement")), placement);
    ck_assert_uint_eq(json_array_size(json_object_get(stage, "parts")), (size_t)parts);
    json_decref(plan);
}

/* Whoever names a system, or a file, need not know what it needs; what is shown says it. */
START_TEST(a_system_brings_its_parts)
{
    char words[512];

    snprintf(words, sizeof(words), "plan @ --json ~/plan.json %s --set pipeline.system=%s", room, brought[_i].system);
    run(words);
    assert_parts(brought[_i].parts, brought[_i].placement);
    snprintf(words, sizeof(words), "plan @ --csv ~/own.csv %s --set pipeline.system=%s", room, brought[_i].system);
    run(words);
    snprintf(words, sizeof(words), "plan @ --json ~/plan.json %s --set pipeline.system=~/own.csv", room);
    run(words);
    assert_parts(brought[_i].parts, brought[_i].placement);
}
END_TEST

START_TEST(what_is_asked_for_goes_before_what_a_system_brings)
{
    char words[512];

    snprintf(words, sizeof(words), "plan @ --json ~/plan.json %s --set pipeline.system=%s", room,
             "interleaved-1f1b --set pipeline.parts=3");
    run(words);
    assert_parts(3, "loop");
    snprintf(words, sizeof(words), "plan @ --json ~/plan.json %s --set pipeline.system=%s", room,
             "gpipe --set pipeline.placement=v --set pipeline.parts=auto");
    run(words);
    assert_parts(1, "v");
}
END_TEST

/* Nobody says "auto" where it would be compared: a checkpoint has what it was made with. */
START_TEST(a_run_may_be_resumed_that_said_nothing_of_parts)
{
    static const char given[] = "--set pipeline.parts=2 --set pipeline.placement=v";
    char words[512];

    for (int k = 0; k < 3; k++) {
        snprintf(words, sizeof(words),
                 "@ %s --set train.lr_schedule=constant --set pipeline.system=zb-v --set run.name=%s --epochs %d %s %s",
                 room, k == 0 ? "whole" : "part", k == 1 ? 1 : 2, k == 2 ? "--resume" : "", k == 1 ? given : "");
        run(words);
    }
    const char *out = program_text(&program, "out");
    ck_assert_msg(strstr(out, "from epoch-0001: 1 of 2 epochs are trained\n"), "%s", out);
    ck_assert_msg(!strstr(out, "pipeline.p"), "%s", out);
    program_assert_same(&program, 6, 2, "whole", "part");
}
END_TEST

static const struct {
    const char *words, *says;
} refused[] = {
    {"plan @ --grid --set pipeline.system=~/none.csv",
     "--set pipeline.system: ~/none.csv cannot be read: No such file"},
    {"plan @ --grid --set pipeline.system=nf2b", "nor a file whose name ends with .csv"},
    {"plan @ --grid --set pipeline.system=zb-v --set pipeline.parts=1",
     "use pipeline.parts = 2 and pipeline.placement = v"},
    {"plan @ --grid --set pipeline.system=zb-v --set pipeline.placement=loop --set model.depth=6 "
     "--set pipeline.partition=auto",
     "use pipeline.parts = 2 and pipeline.placement = v"},
    {"plan @ --grid --set pipeline.system=breadth-first --set pipeline.placement=v --set model.depth=6 "
     "--set pipeline.partition=auto",
     "use pipeline.placement = loop"},
    {"plan @ --grid --set pipeline.system=dualpipe-v --set model.depth=6 --set pipeline.partition=auto "
     "--set pipeline.microbatches=5",
     "use pipeline.microbatches = 6 or more"},
    {"plan @ --grid --set pipeline.system=tests/golden/pytorch/zbv-zero-bubble.csv --set pipeline.microbatches=6 "
     "--set model.depth=6 --set pipeline.parts=1 --set pipeline.partition=auto",
     "--set pipeline.parts: 1, but the schedule file has 2 parts per rank; use 2"},
    {"plan @ --grid --set model.arch=resnet20 --set pipeline.parts=2",
     "order nF1B has one part per stage, not 2: use pipeline.parts = 1"},
    {"plan @ --csv ~/x.csv --json -", "--csv goes with neither --grid nor --json nor --simulate"},
};
enum { REFUSED = sizeof(refused) / sizeof(refused[0]) };

START_TEST(what_is_no_schedule_is_refused_in_a_line)
{
    char says[256];
    const char *rest = strchr(refused[_i].says, '~');

    snprintf(says, sizeof(says), "%.*s%s%s", rest ? (int)(rest - refused[_i].says) : 256, refused[_i].says,
             rest ? program.folder : "", rest ? rest + 1 : "");
    ck_assert_int_eq(program_run(&program, refused[_i].words), 2);
    const char *err = program_text(&program, "err");
    ck_assert_msg(strstr(err, says) != NULL, "%s: %s", refused[_i].words, err);
    ck_assert_ptr_eq(strchr(err, '\n') + 1, err + strlen(err));
    ck_assert(!program_has(&program, "runs"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule runs");
    TCase *tests = tcase_create("schedules");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, the_plan_has_the_published_makespans, 0, COUNT(published));
    tcase_add_loop_test(tests, the_grid_s_columns_line_up, 0, system_count);
    tcase_add_loop_test(tests, a_schedule_that_is_written_trains_to_the_same_bits, 0, WRITTEN);
    tcase_add_loop_test(tests, pytorchs_files_are_drawn_and_trained, 0, PYTORCH);
    tcase_add_test(tests, measured_times_are_kept);
    tcase_add_test(tests, a_measured_cut_is_kept);
    tcase_add_loop_test(tests, a_system_brings_its_parts, 0, BROUGHT);
    tcase_add_test(tests, what_is_asked_for_goes_before_what_a_system_brings);
    tcase_add_test(tests, a_run_may_be_resumed_that_said_nothing_of_parts);
    tcase_add_loop_test(tests, what_is_no_schedule_is_refused_in_a_line, 0, REFUSED);
    suite_add_tcase(suite, tests);

    return run_suite(suite);
}
