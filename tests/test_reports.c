/* What tpcoord writes for programs: plans, simulations, reports and traces as JSON, whose figures add up and agree with the
 * tables that people read. */
#include <check.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

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

static int run(const char *words)
{
    return program_run(&program, words);
}

static const char *text(const char *name)
{
    return program_text(&program, name);
}

static const char *const categories[] = {"weights",     "stash", "gradients", "optimizer",
                                         "activations", "links", "workspace", "total"};

static void check_memory(const json_t *memory)
{
    json_int_t sum = 0, total = json_integer_value(json_object_get(memory, "total"));

    ck_assert_uint_eq(json_object_size(memory), 8);
    for (int c = 0; c < 8; c++) {
        ck_assert_msg(json_is_integer(json_object_get(memory, categories[c])), "%s", categories[c]);
        sum += json_integer_value(json_object_get(memory, categories[c]));
    }
    ck_assert_int_gt(total, 0);
    ck_assert_int_eq(sum, 2 * total);
}

static void check_plan(const json_t *plan)
{
    static const char *const integers[] = {"layers", "parameters", "weight_versions", "minibatches_in_flight"};
    const json_t *stages = json_object_get(plan, "stage"), *stage;
    json_int_t parameters = 0;
    size_t index;

    ck_assert_str_eq(json_string_value(json_object_get(plan, "system")), "timeprest");
    ck_assert_int_eq(json_integer_value(json_object_get(plan, "stages")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(plan, "microbatches")), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(plan, "version_difference"),
                                                            (const char *[]){"paper", "exact", "simulated"}[i])),
                         1);
    ck_assert_uint_eq(json_array_size(stages), 3);
    json_array_foreach(stages, index, stage)
    {
        ck_assert_int_eq(json_integer_value(json_object_get(stage, "stage")), (json_int_t)index + 1);
        for (int i = 0; i < 4; i++)
            ck_assert_int_gt(json_integer_value(json_object_get(stage, integers[i])), 0);
        check_memory(json_object_get(stage, "memory_bytes"));
        parameters += json_integer_value(json_object_get(stage, "parameters"));
    }
    ck_assert_int_eq(parameters, 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10);
}

START_TEST(the_plan_is_table_and_json)
{
    ck_assert_int_eq(run("plan @"), 0);
    const char *table = text("out");
    ck_assert_ptr_nonnull(strstr(table, "mlp: 269,322 parameters, 3 layers in 3 blocks"));
    ck_assert_ptr_nonnull(strstr(table, "version difference v: papers 1, exact 1, simulated 1"));
    for (const char *line = table; *line; line += strcspn(line, "\n") + 1)
        ck_assert_msg(strcspn(line, "\n") <= 110, "a long line: %.*s", (int)strcspn(line, "\n"), line);

    ck_assert_int_eq(run("plan @ --json -"), 0);
    json_t *plan = program_json(&program, "out");
    check_plan(plan);
    ck_assert_int_eq(run("plan @ --json ~/plan.json"), 0);
    ck_assert_str_eq(text("out"), table);
    json_t *again = program_json(&program, "plan.json");
    ck_assert(json_equal(plan, again));
    json_decref(plan);
    json_decref(again);
}
END_TEST

static void check_prediction(const json_t *plan)
{
    const json_t *simulation = json_object_get(plan, "simulation"), *stage;
    const double seconds = json_real_value(json_object_get(simulation, "seconds"));
    size_t index;

    ck_assert(seconds > 0.0);
    ck_assert_int_eq(json_integer_value(json_object_get(simulation, "minibatches")), 50);
    ck_assert(json_real_value(json_object_get(simulation, "epoch_seconds")) > 0.0);
    ck_assert_uint_eq(json_array_size(json_object_get(simulation, "link")), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(simulation, "stage")), 3);
    json_array_foreach(json_object_get(simulation, "stage"), index, stage)
    {
        double all = json_real_value(json_object_get(stage, "busy_fraction")) * seconds +
                     json_real_value(json_object_get(stage, "drained_seconds"));
        const json_t *wait;
        const char *cause;

        json_object_foreach(json_object_get(stage, "wait_seconds"), cause, wait) all += json_real_value(wait);
        ck_assert_double_eq_tol(all, seconds, 1e-9 * seconds);
        ck_assert(json_real_value(json_object_get(json_object_get(stage, "op_ms"), "forward")) > 0.0);
        ck_assert(json_real_value(json_object_get(json_object_get(stage, "op_ms"), "backward")) > 0.0);
    }
}

static int count_events(const json_t *trace, const char *key, const char *value)
{
    const json_t *event;
    size_t index;
    int count = 0;

    json_array_foreach(trace, index, event)
    {
        const char *here = json_string_value(json_object_get(event, key));

        count += here && strcmp(here, value) == 0;
    }
    return count;
}

START_TEST(a_simulation_is_table_json_and_trace)
{
    ck_assert_int_eq(
        run("plan @ --simulate --minibatches 50 --set pipeline.order=dynamic --json ~/plan.json --trace ~/trace.json"),
        0);
    const char *table = text("out");
    ck_assert_ptr_nonnull(strstr(table, "simulation of 50 mini-batches in dynamic order, links in shared memory\n"));
    ck_assert_ptr_nonnull(strstr(table, "v: papers 1, exact 1, unit-time 1; with these times "));
    for (const char *line = table; *line; line += strcspn(line, "\n") + 1)
        ck_assert_msg(strcspn(line, "\n") <= 110, "a long line: %.*s", (int)strcspn(line, "\n"), line);
    json_t *plan = program_json(&program, "plan.json"), *trace = program_json(&program, "trace.json");
    check_plan(plan);
    check_prediction(plan);
    /* A name for each of stages and pipeline; three forwards, a backward and an update per mini-batch and stage; both ends of
     * the arrows that three activations and a gradient are on each link. */
    ck_assert_int_eq(count_events(trace, "ph", "M"), 4);
    ck_assert_int_eq(count_events(trace, "cat", "forward"), 3 * 50 * 3);
    ck_assert_int_eq(count_events(trace, "cat", "backward"), 3 * 50);
    ck_assert_int_eq(count_events(trace, "cat", "update"), 3 * 50);
    ck_assert_int_eq(count_events(trace, "ph", "s"), 2 * 50 * 4);
    ck_assert_int_eq(count_events(trace, "ph", "f"), 2 * 50 * 4);
    json_decref(plan);
    json_decref(trace);

    ck_assert_int_eq(run("plan @ --simulate --set simulation.link_mbit=1000 --set pipeline.system=zb-h1"), 0);
    ck_assert_ptr_nonnull(strstr(text("out"), "input half"));
    ck_assert_ptr_nonnull(strstr(text("out"), "link   activation ms  gradient ms  latency ms\n"));
}
END_TEST

static void check_epochs(const json_t *report, size_t count)
{
    static const char *const reals[] = {"seconds",   "images_per_second", "train_loss",
                                        "test_loss", "test_top1",         "test_top5"};
    const json_t *epochs = json_object_get(report, "epochs"), *epoch;
    size_t index;

    ck_assert_uint_eq(json_array_size(epochs), count);
    json_array_foreach(epochs, index, epoch)
    {
        ck_assert_int_eq(json_integer_value(json_object_get(epoch, "epoch")), (json_int_t)index + 1);
        for (int i = 0; i < 6; i++)
            ck_assert_msg(json_real_value(json_object_get(epoch, reals[i])) > 0.0, "epoch %zu: %s", index + 1,
                          reals[i]);
    }
}

/* What the stages counted adds up with what they were given to do. */
static void check_stages(const json_t *report, int minibatches)
{
    static const char *const waits[] = {"activation", "gradient", "slot"};
    const json_t *stage, *count;
    size_t index, bucket;

    json_array_foreach(json_object_get(report, "stage"), index, stage)
    {
        const json_t *waited = json_object_get(stage, "wait_seconds");
        double busy = json_real_value(json_object_get(stage, "busy_fraction"));
        json_int_t backwards = 0;

        ck_assert_int_gt(json_integer_value(json_object_get(stage, "pid")), 0);
        ck_assert(busy > 0.0 && busy <= 1.0);
        for (int i = 0; i < 3; i++)
            ck_assert(json_real_value(json_object_get(waited, waits[i])) >= 0.0);
        check_memory(json_object_get(stage, "memory_peak_bytes"));
        for (int c = 0; c < 8; c++)
            ck_assert_msg(
                json_integer_value(json_object_get(json_object_get(stage, "memory_peak_bytes"), categories[c])) <=
                    json_integer_value(json_object_get(json_object_get(stage, "memory_bytes"), categories[c])),
                "stage %zu used more %s than planned", index + 1, categories[c]);
        json_array_foreach(json_object_get(json_object_get(stage, "staleness"), "histogram"), bucket, count)
            backwards += json_integer_value(count);
        ck_assert_int_eq(backwards, 3 * minibatches);
    }
}

/* Stage s of three reads 3 - s steps ahead of the version that is named, once there has been an update. */
static void check_reads(const json_t *trace, const char *category, int *sums)
{
    const json_t *event;
    size_t index;

    json_array_foreach(trace, index, event)
    {
        const json_t *args = json_object_get(event, "args");
        const json_int_t live = json_integer_value(json_object_get(args, "version_live"));
        char from[32];

        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0 ||
            strcmp(json_string_value(json_object_get(event, "cat")), category) != 0)
            continue;
        ck_assert_int_eq(json_integer_value(json_object_get(args, "version_read")), -1);
        const char *reads = json_string_value(json_object_get(args, "reads"));
        snprintf(from, sizeof(from), "v%d", (int)live);
        ck_assert_msg(reads && strncmp(reads, from, strlen(from)) == 0, "%s reads %s", category, reads);
        ck_assert_int_eq(json_integer_value(json_object_get(args, "tau")),
                         3 - json_integer_value(json_object_get(event, "tid")));
        *sums += strstr(reads, " last_gradient") != NULL;
    }
}

START_TEST(plan_and_trace_say_what_sums_are_read)
{
    int forwards = 0, backwards = 0;

    ck_assert_msg(
        run("@ --epochs 1 --set pipeline.system=spectrain --set pipeline.microbatches=1 --set run.name=sums --json "
            "~/run.json "
            "--trace ~/trace.json") == 0,
        "%s", text("err"));
    const char *out = text("out");
    ck_assert_ptr_nonnull(strstr(out, "forwards spectrain: w - rate s step, s = r / 2 + tau\n"));
    ck_assert_ptr_nonnull(strstr(out, "optimizer sgd: momentum 0.9; keeps momentum_buffer, last_gradient\n"));
    json_t *report = program_json(&program, "run.json"), *trace = program_json(&program, "trace.json"), *rules,
           *optimizer;
    ck_assert_ptr_nonnull(rules = json_object_get(report, "rules"));
    ck_assert_str_eq(json_string_value(json_object_get(rules, "update_rule")), "plain");
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(rules, "formulas"), "backward")),
                     "w - rate s step, s = r / 2");
    ck_assert_ptr_nonnull(optimizer = json_object_get(report, "optimizer"));
    ck_assert_str_eq(json_string_value(json_object_get(optimizer, "name")), "sgd");
    ck_assert_uint_eq(json_array_size(json_object_get(optimizer, "keeps")), 2);
    for (size_t s = 0; s < 3; s++)
        ck_assert_int_eq(
            json_integer_value(json_object_get(json_array_get(json_object_get(report, "stage"), s), "tau")), 2 - s);
    check_reads(trace, "forward", &forwards);
    check_reads(trace, "backward", &backwards);
    /* Of seven mini-batches stage 1 has begun three before its first update, stage 2 two, stage 3 one; stage 3, with r = 2,
     * looks one step ahead in backwards, the others none. */
    ck_assert_int_eq(forwards, 4 + 5 + 6);
    ck_assert_int_eq(backwards, 6);
    json_decref(report);
    json_decref(trace);
}
END_TEST

START_TEST(a_run_reports_what_it_did)
{
    ck_assert_msg(run("@ --epochs 2 --set run.name=first --json ~/run.json --trace ~/trace.json") == 0, "%s",
                  text("err"));
    ck_assert_str_eq(text("err"), "");
    json_t *report = program_json(&program, "run.json"), *same = program_json(&program, "runs/first/report.json");
    ck_assert(json_equal(report, same));
    check_plan(report);
    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), "finished");
    ck_assert(json_real_value(json_object_get(report, "images_per_second")) > 0.0);
    check_epochs(report, 2);
    check_stages(report, 2 * 7); /* 400 images in mini-batches of 64 */
    const json_t *measured = json_object_get(json_object_get(report, "version_difference"), "measured");
    json_int_t low = json_integer_value(json_object_get(measured, "min"));
    json_int_t median = json_integer_value(json_object_get(measured, "median"));
    ck_assert(low >= 1 && median >= low && json_integer_value(json_object_get(measured, "max")) >= median);

    json_t *trace = program_json(&program, "trace.json");
    int names[2] = {0};
    size_t index;
    const json_t *event;
    json_array_foreach(trace, index, event)
    {
        if (json_integer_value(json_object_get(event, "pid")) != 1) /* as planned */
            continue;
        names[0] += strcmp(json_string_value(json_object_get(event, "name")), "7C") == 0;
        names[1] += strcmp(json_string_value(json_object_get(event, "name")), "update") == 0;
    }
    ck_assert_int_eq(names[0], 2 * 3); /* two epochs, three stages; testing has two mini-batches */
    ck_assert_int_eq(names[1], 2 * 7 * 3);
    json_decref(trace);
    json_decref(report);
    json_decref(same);

    ck_assert_int_eq(run("@ --set run.name=first"), 2);
    ck_assert_ptr_nonnull(strstr(text("err"), "runs/first holds the report of an earlier run"));
}
END_TEST

static double member(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* Stages that share a core compute one after the other, however long their ops seem to take. */
START_TEST(who_waits_for_a_core_is_not_busy)
{
    static const double slack = 1.02;
    const json_t *stage;
    double busy = 0.0;
    size_t index;

    ck_assert_msg(run("@ --epochs 1 --set device.pin=0,0,0 --set run.name=cores --json ~/run.json") == 0, "%s",
                  text("err"));
    ck_assert_ptr_nonnull(strstr(text("out"), "\n3 stages on 1 core: stages wait for a core, and compute 33%"));
    ck_assert_ptr_nonnull(strstr(text("out"), "    data    core   staleness"));
    json_t *report = program_json(&program, "run.json");
    const double seconds = member(report, "seconds");
    json_array_foreach(json_object_get(report, "stage"), index, stage)
    {
        const json_t *waits = json_object_get(stage, "wait_seconds"), *wait;
        const char *cause;
        double all = member(stage, "busy_seconds");

        busy += all;
        json_object_foreach(json_object_get(stage, "wait_seconds"), cause, wait) all += json_number_value(wait);
        ck_assert(all <= seconds * slack);
        ck_assert(access("/proc/self/schedstat", R_OK) != 0 || member(waits, "core") > 0.0);
    }
    ck_assert(access("/proc/self/schedstat", R_OK) != 0 || busy <= seconds * slack);
    json_decref(report);
}
END_TEST

START_TEST(a_core_that_is_not_there_is_said)
{
    static const char sentence[] = "device.pin: core 1023 is not one of the";

    ck_assert_int_eq(run("plan @ --set device.pin=0,0,1023"), 0);
    ck_assert_ptr_nonnull(strstr(text("err"), "tpcoord: a run would be refused here: "));
    ck_assert_ptr_nonnull(strstr(text("err"), sentence));
    ck_assert_int_eq(run("@ --set device.pin=0,0,1023"), 2);
    ck_assert_ptr_nonnull(strstr(text("err"), sentence));
}
END_TEST

START_TEST(json_on_standard_output_is_alone_there)
{
    ck_assert_int_eq(run("run @ --json - --set pipeline.system=gpipe"), 0);
    json_t *report = program_json(&program, "out");

    ck_assert(json_is_null(json_object_get(json_object_get(report, "version_difference"), "paper")));
    check_epochs(report, 1);
    json_decref(report);
    ck_assert_ptr_nonnull(strstr(text("err"), "finished after 1 of 1 epochs"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reports");
    TCase *tcase = tcase_create("reports");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_plan_is_table_and_json);
    tcase_add_test(tcase, a_simulation_is_table_json_and_trace);
    tcase_add_test(tcase, plan_and_trace_say_what_sums_are_read);
    tcase_add_test(tcase, a_run_reports_what_it_did);
    tcase_add_test(tcase, who_waits_for_a_core_is_not_busy);
    tcase_add_test(tcase, a_core_that_is_not_there_is_said);
    tcase_add_test(tcase, json_on_standard_output_is_alone_there);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
