/* Goal of this test: traces for Perfetto are what happened. Of a run, of its recording and of a prediction: every message
 * has an arrow with both ends, in ops of the right stages and in the right order; slices of a track nest or follow each
 * other; waits, counters and the plan's own tracks are there. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static const char *text(const json_t *event, const char *key)
{
    const char *value = json_string_value(json_object_get(event, key));

    return value ? value : "";
}

static double number(const json_t *event, const char *key)
{
    return json_number_value(json_object_get(event, key));
}

static int count(const json_t *trace, const char *phase, const char *category)
{
    const json_t *event;
    int found = 0;
    size_t k;

    json_array_foreach(trace, k, event)
    {
        found += strcmp(text(event, "ph"), phase) == 0 && (!category || strcmp(text(event, "cat"), category) == 0);
    }
    return found;
}

/* The other end of an arrow. */
static const json_t *end_of(const json_t *trace, const char *id)
{
    const json_t *event, *found = NULL;
    size_t k;

    json_array_foreach(trace, k, event)
    {
        if (strcmp(text(event, "ph"), "f") == 0 && strcmp(text(event, "id"), id) == 0) {
            ck_assert_msg(found == NULL, "%s ends twice", id);
            found = event;
        }
    }
    return found;
}

static void check_arrows(const json_t *trace)
{
    const json_t *event;
    size_t k;

    ck_assert_int_eq(count(trace, "s", NULL), count(trace, "f", NULL));
    json_array_foreach(trace, k, event)
    {
        if (strcmp(text(event, "ph"), "s") != 0)
            continue;
        const json_t *end = end_of(trace, text(event, "id"));
        const int step = strcmp(text(event, "name"), "activation") == 0 ? 1 : -1;

        ck_assert_msg(end != NULL, "%s has no end", text(event, "id"));
        ck_assert_int_eq((int)number(end, "tid"), (int)number(event, "tid") + step);
        ck_assert_double_lt(number(event, "ts"), number(end, "ts"));
    }
}

/* Each pair of slices of a track, updates being parts of ops. */
static void check_slices(const json_t *trace)
{
    const json_t *a, *b;
    size_t i, j;

    json_array_foreach(trace, i, a)
    {
        if (strcmp(text(a, "ph"), "X") != 0)
            continue;
        ck_assert_double_ge(number(a, "ts"), 0);
        ck_assert_double_ge(number(a, "dur"), 0);
        json_array_foreach(trace, j, b)
        {
            if (j <= i || strcmp(text(b, "ph"), "X") != 0 || number(a, "tid") != number(b, "tid") ||
                number(a, "pid") != number(b, "pid"))
                continue;
            const double a_end = number(a, "ts") + number(a, "dur"), b_end = number(b, "ts") + number(b, "dur");
            const bool apart = a_end <= number(b, "ts") + 0.01 || b_end <= number(a, "ts") + 0.01;
            const bool inside = number(b, "ts") >= number(a, "ts") - 0.01 && b_end <= a_end + 0.01;

            ck_assert_msg(apart || inside, "%s and %s cross", text(a, "name"), text(b, "name"));
        }
    }
}

#define SMALL "--epochs 1 --set data.limit=40 --set data.batch=8"

static const char *const kinds[] = {"timeprest", "gpipe", "zb-h1"};

START_TEST(test_runs_and_recordings)
{
    char words[256];

    snprintf(words, sizeof(words),
             "@ --quiet " SMALL " --set pipeline.system=%s --trace ~/run.json --record ~/run.tprec", kinds[_i]);
    ck_assert_msg(program_run(&program, words) == 0, "%s", program_text(&program, "err"));
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --trace ~/recorded.json"), 0);
    json_t *run = program_json(&program, "run.json"), *recorded = program_json(&program, "recorded.json");
    const int updates = count(run, "X", "update");

    check_arrows(run);
    check_slices(run);
    check_arrows(recorded);
    ck_assert_int_eq(updates, 3 * 5);
    ck_assert_int_gt(count(run, "s", "message"), 2 * 5);
    ck_assert_int_gt(count(run, "C", NULL), 3 * 5);
    ck_assert_int_gt(count(run, "X", "wait"), 0);
    ck_assert_int_eq(count(run, "M", NULL), 8);
    /* What was recorded is what was traced. */
    ck_assert_int_eq(count(recorded, "X", NULL), count(run, "X", NULL));
    ck_assert_int_eq(count(recorded, "s", NULL), count(run, "s", NULL));
    json_decref(run);
    json_decref(recorded);
}
END_TEST

/* The highest value of a counter; -1: there is none of that name. */
static double highest(const json_t *trace, const char *name, const char *value)
{
    const json_t *event;
    double most = -1;
    size_t k;

    json_array_foreach(trace, k, event)
    {
        const char *own = json_string_value(json_object_get(event, "name"));

        if (strcmp(own ? own : "", name) == 0)
            most = fmax(most, json_number_value(json_object_get(json_object_get(event, "args"), value)));
    }
    return most;
}

/* PipeDream's stage s holds W - s + 1 versions, and what its forwards have read is W - s updates old; GPipe's hold one. */
START_TEST(predictions_have_counters)
{
    const bool stash = _i == 0;
    char name[64], command[512];

    snprintf(command, sizeof(command),
             "plan @ --simulate --minibatches 12 --set pipeline.stages=3 --set simulation.forward_ms=1 "
             "--set simulation.backward_ms=2 --set simulation.update_ms=0 --trace ~/plan.json %s",
             stash ? "--set pipeline.system=pipedream --set pipeline.microbatches=1"
                   : "--set pipeline.system=gpipe --set pipeline.microbatches=4");
    ck_assert_int_eq(program_run(&program, command), 0);
    json_t *plan = program_json(&program, "plan.json");
    for (int s = 1; s <= 3; s++) {
        snprintf(name, sizeof(name), "weight versions of stage %d", s);
        ck_assert_int_eq((int)highest(plan, name, "held"), stash ? 3 - s + 1 : 1);
        snprintf(name, sizeof(name), "staleness of stage %d", s);
        ck_assert_int_eq((int)highest(plan, name, "updates"), stash ? 3 - s : 0);
        snprintf(name, sizeof(name), "memory (MiB) of stage %d", s);
        ck_assert(highest(plan, name, "weights") > 0);
    }
    ck_assert_int_gt(count(plan, "X", "wait"), 0);
    ck_assert_int_eq(count(plan, "X", "update"), 3 * 12);
    json_decref(plan);
}
END_TEST

START_TEST(test_predictions)
{
    ck_assert_int_eq(program_run(&program, "plan @ --simulate " SMALL " --minibatches 4 --set simulation.forward_ms=1 "
                                           "--set simulation.backward_ms=2 --set simulation.update_ms=1 "
                                           "--set simulation.link_us=100 --trace ~/plan.json"),
                     0);
    json_t *plan = program_json(&program, "plan.json");

    check_arrows(plan);
    check_slices(plan);
    ck_assert_int_gt(count(plan, "s", "message"), 0);
    json_decref(plan);
}
END_TEST

START_TEST(test_refusals)
{
    ck_assert_int_eq(program_run(&program, "tpmon --trace ~/a.json"), 2);
    ck_assert_str_eq(program_text(&program, "err"), "tpmon: --trace goes with --replay alone\n");
    ck_assert_int_eq(program_run(&program, "@ --quiet " SMALL " --record ~/run.tprec"), 0);
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --trace ~/missing/a.json"), 1);
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --trace /dev/full"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "/dev/full could not be written to its end"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *traces = tcase_create("traces");

    tcase_add_checked_fixture(traces, set_up, tear_down);
    tcase_set_timeout(traces, 60);
    tcase_add_loop_test(traces, test_runs_and_recordings, 0, COUNT(kinds));
    tcase_add_test(traces, test_predictions);
    tcase_add_loop_test(traces, predictions_have_counters, 0, 2);
    tcase_add_test(traces, test_refusals);
    suite_add_tcase(suite, traces);

    return run_suite(suite);
}
