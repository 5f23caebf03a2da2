/* Goal of this test: the rows of --steps are what the report sums up. Each mini-batch and each test has one; losses, version
 * differences and staleness add up to the report's, for systems of every kind; CSV and JSON lines say the same; comparisons
 * run seed by seed, and their intervals and differences are those of the reports. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/statistics.h"
#include "coordinator/show_comparison.h"
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

enum { SAMPLES = 72, BATCH = 8, MINIBATCHES = 9, EPOCHS = 2, DIFFERENCES = 16 };
#define RUN "@ --quiet --epochs 2 --set data.limit=72 --set data.batch=8 --json ~/report.json"

/* What the rows of one run add up to. */
struct sums {
    int trained[EPOCHS + 1], tested;
    double loss[EPOCHS + 1], top1[EPOCHS + 1], test_loss[EPOCHS + 1], staleness, seconds;
    int differences[DIFFERENCES];
};

static void add_row(struct sums *sums, char *line)
{
    char *cells[11], *rest = line;
    int count = 0;

    while (count < 11 && (cells[count] = strsep(&rest, ",")) != NULL)
        count++;
    ck_assert_int_eq(count, 11);
    ck_assert_ptr_null(rest);
    const int epoch = atoi(cells[3]);

    ck_assert(epoch >= 1 && epoch <= EPOCHS);
    if (strcmp(cells[2], "test") == 0) {
        sums->tested++;
        sums->test_loss[epoch] = strtod(cells[5], NULL);
        sums->top1[epoch] = strtod(cells[6], NULL);
        ck_assert_int_eq(atoi(cells[4]), epoch * MINIBATCHES);
        return;
    }
    ck_assert_str_eq(cells[2], "train");
    sums->trained[epoch]++;
    sums->loss[epoch] += strtod(cells[5], NULL);
    sums->staleness += strtod(cells[10], NULL);
    ck_assert_int_eq(atoi(cells[4]), (epoch - 1) * MINIBATCHES + sums->trained[epoch]);
    ck_assert_str_eq(cells[6], "");
    ck_assert_double_ge(strtod(cells[8], NULL), sums->seconds);
    sums->seconds = strtod(cells[8], NULL);
    sums->differences[atoi(cells[9])]++;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    ck_assert_msg(json_is_number(value), "%s", key);
    return json_number_value(value);
}

static void check_report(const struct sums *sums, const json_t *report)
{
    const json_t *histogram =
        json_object_get(json_object_get(json_object_get(report, "version_difference"), "measured"), "histogram");
    const json_t *environment = json_object_get(report, "environment");

    ck_assert_int_eq(sums->tested, EPOCHS);
    for (int e = 1; e <= EPOCHS; e++) {
        const json_t *epoch = json_array_get(json_object_get(report, "epochs"), (size_t)e - 1);

        ck_assert_int_eq(sums->trained[e], MINIBATCHES);
        ck_assert_double_eq_tol(sums->loss[e] / MINIBATCHES, number(epoch, "train_loss"), 1e-5);
        ck_assert_double_eq_tol(sums->test_loss[e], number(epoch, "test_loss"), 1e-7);
        ck_assert_double_eq_tol(sums->top1[e], number(epoch, "test_top1"), 1e-7);
    }
    for (int v = 0; v < DIFFERENCES; v++)
        ck_assert_int_eq(sums->differences[v], (int)json_integer_value(json_array_get(histogram, (size_t)v)));
    ck_assert_ptr_nonnull(json_object_get(environment, "compiler"));
    ck_assert_int_gt((int)number(environment, "cores"), 0);
    ck_assert(json_is_string(json_object_get(json_object_get(environment, "crc32"), "data")));
    ck_assert_int_gt((int)json_array_size(json_object_get(environment, "command_line")), 4);
}

static const char *const kinds[] = {"timeprest", "i-timeprest", "pipedream", "stale", "1f1b", "zb-h1", "pipedream-2bw"};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Over the backwards of all stages, weighted by how many each has. */
static double report_staleness(const json_t *report)
{
    const json_t *stage, *count;
    double sum = 0, all = 0;
    size_t s, k;

    json_array_foreach(json_object_get(report, "stage"), s, stage)
    {
        const json_t *staleness = json_object_get(stage, "staleness");
        double own = 0;

        json_array_foreach(json_object_get(staleness, "histogram"), k, count)
        {
            own += json_number_value(count);
        }
        all += own;
        sum += own * number(staleness, "mean");
    }
    return sum / all;
}

START_TEST(test_rows_add_up)
{
    struct sums sums = {.tested = 0};
    char words[512];

    snprintf(words, sizeof(words), RUN " --steps ~/steps.csv --set pipeline.system=%s --set pipeline.microbatches=%d",
             kinds[_i],
             strstr(kinds[_i], "2bw")                                       ? 4
             : strcmp(kinds[_i], "pipedream") && strcmp(kinds[_i], "stale") ? 2
                                                                            : 1);
    ck_assert_msg(program_run(&program, words) == 0, "%s", program_text(&program, "err"));
    char *text = strdup(program_text(&program, "steps.csv")), *rest = text, *line = strsep(&rest, "\n");

    ck_assert_str_eq(line, "system,seed,phase,epoch,step,loss,top1,rate,seconds,v,staleness");
    while ((line = strsep(&rest, "\n")) != NULL && *line)
        add_row(&sums, line);
    free(text);
    json_t *report = program_json(&program, "report.json");
    check_report(&sums, report);
    /* Micro-batch-wise or not: rows are means over their own backwards, all of them as many. */
    ck_assert_double_eq_tol(sums.staleness / (EPOCHS * MINIBATCHES), report_staleness(report), 1e-4);
    json_decref(report);
}
END_TEST

START_TEST(test_json_lines)
{
    int lines = 0, tests = 0;
    char *text, *rest, *line;
    json_error_t error;

    ck_assert_int_eq(program_run(&program, RUN " --steps ~/steps.jsonl"), 0);
    rest = text = strdup(program_text(&program, "steps.jsonl"));
    while ((line = strsep(&rest, "\n")) != NULL && *line) {
        json_t *row = json_loads(line, 0, &error);

        ck_assert_msg(row != NULL, "%s: %s", line, error.text);
        tests += strcmp(json_string_value(json_object_get(row, "phase")), "test") == 0;
        ck_assert_int_eq((int)json_object_size(row), 11);
        lines++;
        json_decref(row);
    }
    ck_assert_int_eq(tests, EPOCHS);
    ck_assert_int_eq(lines, EPOCHS * MINIBATCHES + EPOCHS);
    free(text);
}
END_TEST

START_TEST(test_comparison)
{
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe,timeprest --seeds 3,1,2 --steps ~/all.csv "
                                           "--json ~/all.json"),
                     0);
    const char *text = program_text(&program, "all.csv"), *out = program_text(&program, "out");
    const char *first = strstr(text, "timeprest,3,"), *second = strstr(text, "gpipe,1,");

    ck_assert(first && second && first < second && strstr(text, "gpipe,3,") < first);
    ck_assert_ptr_nonnull(strstr(out, "difference to the first"));
    ck_assert_ptr_nonnull(strstr(out, "over the n = 3 seeds"));

    json_t *summaries = program_json(&program, "all.json");
    double top1[2][3], differences[3];
    for (size_t c = 0; c < 2; c++)
        for (size_t k = 0; k < 3; k++) {
            const json_t *run = json_array_get(json_object_get(json_array_get(summaries, c), "runs"), k);
            const json_t *epochs = json_object_get(run, "epochs");

            top1[c][k] = number(json_array_get(epochs, json_array_size(epochs) - 1), "test_top1");
        }
    for (int k = 0; k < 3; k++)
        differences[k] = top1[1][k] - top1[0][k];
    const json_t *other = json_array_get(summaries, 1);
    const double mean = (differences[0] + differences[1] + differences[2]) / 3;
    double squares = 0;

    for (int k = 0; k < 3; k++)
        squares += (differences[k] - mean) * (differences[k] - mean);
    ck_assert_int_eq((int)number(other, "paired_runs"), 3);
    ck_assert_double_eq_tol(number(other, "test_top1_difference"), mean, 1e-9);
    ck_assert_double_eq_tol(number(other, "test_top1_difference_interval"), 4.303 * sqrt(squares / 2 / 3), 1e-3);
    json_decref(summaries);
}
END_TEST

/* The closed forms, at a millisecond a forward and two a backward of one of two micro-batches. */
START_TEST(test_simulated_comparison)
{
    static const char times[] =
        "--set simulation.forward_ms=1 --set simulation.backward_ms=2 --set simulation.update_ms=0 "
        "--set pipeline.microbatches=2 --minibatches 10";
    char words[512];

    snprintf(words, sizeof(words), "compare @ --simulate --systems gpipe,naive --sweep pipeline.stages=2,3 %s", times);
    ck_assert_msg(program_run(&program, words) == 0, "%s", program_text(&program, "err"));
    const char *out = program_text(&program, "out"), *three = strstr(out, "pipeline.stages=3\n");

    /* (N + W - 1) (F + B); one mini-batch at a time W N (F + B), whatever its N. */
    ck_assert(three && strstr(out, "pipeline.stages=2\n") == out);
    ck_assert_ptr_nonnull(strstr(strstr(out, "gpipe"), " 0.009000 "));
    ck_assert_ptr_nonnull(strstr(strstr(out, "naive"), " 0.012000 "));
    ck_assert_ptr_nonnull(strstr(strstr(three, "gpipe"), " 0.012000 "));
    ck_assert_ptr_nonnull(strstr(strstr(three, "naive"), " 0.018000 "));
    ck_assert(!program_has(&program, "runs"));

    ck_assert_int_eq(program_run(&program, "compare @ --sweep pipeline.stages=2,3"), 2);
    ck_assert_int_eq(program_run(&program, "compare @ --simulate --seeds 1,2"), 2);
    ck_assert_int_eq(program_run(&program, "compare @ --simulate --sweep stages"), 2);
    ck_assert_int_eq(program_run(&program, "compare @ --simulate --systems gpipe --sweep pipeline.stages=two"), 2);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "pipeline.stages"));
}
END_TEST

START_TEST(test_refusals)
{
    ck_assert_int_eq(program_run(&program, "plan @ --steps ~/a.csv"), 2);
    ck_assert_int_eq(program_run(&program, "@ --steps ~/missing/a.csv"), 2);
    ck_assert_int_eq(program_run(&program, "@ --steps - --json -"), 2);
    ck_assert_str_eq(program_text(&program, "err"), "tpcoord: only one file can go to standard output\n");
    ck_assert_int_eq(program_run(&program, "@ --quiet --steps /dev/full"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "--steps could not be written to its end: No space"));
}
END_TEST

/* As after an interruption: nothing stands behind the mean of one run, and the line on intervals is left out. */
START_TEST(one_run_of_several_has_no_interval)
{
    json_t *rows =
        json_pack("[{s:s, s:s, s:i, s:f, s:n, s:i}]", "system", "gpipe", "result", "interrupted", "runs_finished", 1,
                  "images_per_second", 94.0, "images_per_second_interval", "paired_runs", 1);
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");

    ck_assert_ptr_nonnull(rows);
    ck_assert_ptr_nonnull(out);
    comparison_print(out, rows);
    fclose(out);
    ck_assert_msg(strstr(text, "gpipe         94\n") != NULL, "%s", text);
    ck_assert_msg(!strstr(text, "nan") && !strstr(text, "±"), "%s", text);
    json_decref(rows);
}
END_TEST

/* Student's t, from tables. */
START_TEST(test_statistics)
{
    static const struct {
        int freedom;
        double t;
    } known[] = {{1, 12.706}, {2, 4.303}, {5, 2.571}, {10, 2.228}, {12, 2.179}, {20, 2.086}, {30, 2.042}, {99, 1.984}};
    static const double values[] = {1, 2, 3, 4};

    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
        ck_assert_double_eq_tol(student_t95(known[k].freedom), known[k].t, 1e-3);
    ck_assert_double_eq_tol(sample_mean(values, 4), 2.5, 1e-12);
    ck_assert_double_eq_tol(sample_deviation(values, 4), 1.2909944, 1e-6);
    ck_assert_double_eq_tol(sample_interval(values, 4), 3.182 * 1.2909944 / 2, 1e-6);
    ck_assert_double_nan(sample_mean(values, 0));
    ck_assert_double_nan(sample_interval(values, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("steps");
    TCase *rows = tcase_create("rows"), *numbers = tcase_create("numbers");

    tcase_add_checked_fixture(rows, set_up, tear_down);
    tcase_set_timeout(rows, 60);
    tcase_add_loop_test(rows, test_rows_add_up, 0, KINDS);
    tcase_add_test(rows, test_json_lines);
    tcase_add_test(rows, test_comparison);
    tcase_add_test(rows, test_simulated_comparison);
    tcase_add_test(rows, test_refusals);
    tcase_add_test(numbers, test_statistics);
    tcase_add_test(numbers, one_run_of_several_has_no_interval);
    suite_add_tcase(suite, rows);
    suite_add_tcase(suite, numbers);

    return run_suite(suite);
}
