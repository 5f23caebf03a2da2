/* tpcoord compare: every system gets its row, no cell is empty, and what is in it is what the runs reported; what goes
 * wrong with one system does not take the others with it. */
#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
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

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    ck_assert_msg(text != NULL, "no %s", key);
    return text;
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);

    ck_assert_msg(json_is_number(number), "%s is no number", key);
    return json_number_value(number);
}

static const json_t *summary_of(const json_t *summaries, const char *system)
{
    const json_t *summary;
    size_t index;

    json_array_foreach(summaries, index, summary)
    {
        if (strcmp(text_of(summary, "system"), system) == 0)
            return summary;
    }
    ck_abort_msg("%s has no summary", system);
    return NULL;
}

static const json_t *run_of(const json_t *summary, size_t index)
{
    const json_t *run = json_array_get(json_object_get(summary, "runs"), index);

    ck_assert_ptr_nonnull(run);
    return run;
}

static const json_t *last_epoch(const json_t *run)
{
    const json_t *epochs = json_object_get(run, "epochs");

    return json_array_get(epochs, json_array_size(epochs) - 1);
}

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1.0 + fabs(b));
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

/* Titles are two or more spaces apart. The first `left` columns begin where their title does, the others end there: a
 * row with a blank in such a place has an empty cell. */
static void check_row(const char *head, const char *row, int left)
{
    int column = 0;

    for (const char *title = head; *title != '\n'; column++) {
        const char *end = title;

        while (*end != '\n' && strncmp(end, "  ", 2) != 0)
            end++;
        size_t place = (size_t)((column < left ? title : end - 1) - head);
        ck_assert_msg(strcspn(row, "\n") > place && row[place] != ' ', "no %.*s in\n%.*s", (int)(end - title), title,
                      (int)strcspn(row, "\n"), row);
        title = end + strspn(end, " ");
    }
    ck_assert_int_gt(column, 6);
}

/* The line that has this title behind that of the systems. */
static const char *find_head(const char *out, const char *title)
{
    for (const char *line = out; *line; line = next_line(line)) {
        const char *second = line + strlen("system");

        if (strncmp(line, "system ", strlen("system ")) == 0 &&
            strncmp(second + strspn(second, " "), title, strlen(title)) == 0)
            return line;
    }
    ck_abort_msg("no %s in\n%s", title, out);
    return NULL;
}

/* The block with that second title; it has a row for each of the systems, and no other. */
static void check_block(const char *out, const char *title, int left, const char *const *names, int count)
{
    const char *head = find_head(out, title), *row = head;

    for (int k = 0; k < count; k++) {
        row = next_line(row);
        ck_assert_msg(strncmp(row, names[k], strlen(names[k])) == 0, "no row of %s in\n%s", names[k], head);
        check_row(head, row, left);
    }
    ck_assert_msg(*next_line(row) == '\n', "a row too many in\n%s", head);
    for (const char *line = head; *line; line = next_line(line))
        ck_assert_msg(strcspn(line, "\n") <= 120, "a long line: %.*s", (int)strcspn(line, "\n"), line);
}

static void check_table(const char *out, const char *const *names, int count)
{
    check_block(out, "order ", 4, names, count);
    check_block(out, "v median ", 1, names, count);
}

/* A cell per name in every line, none of them empty. Returns how many lines there are. */
static int check_csv(const char *csv)
{
    int names = 1, lines = 0;

    for (const char *c = csv; *c != '\n'; c++)
        names += *c == ',';
    for (const char *line = csv; *line; line = next_line(line), lines++) {
        int cells = 1;

        for (const char *c = line; *c != '\n'; c++) {
            cells += *c == ',';
            ck_assert_msg(*c != ',' || (c > line && c[1] != ',' && c[1] != '\n'), "an empty cell: %s", line);
        }
        ck_assert_int_eq(cells, names);
    }
    return lines;
}

static double staleness_mean(const json_t *run, const char *histogram)
{
    const json_t *stages = json_object_get(run, "stage");
    double sum = 0, count = 0;

    for (size_t s = 0; s < json_array_size(stages); s++) {
        const json_t *buckets = json_object_get(json_object_get(json_array_get(stages, s), "staleness"), histogram);

        for (size_t i = 0; i < json_array_size(buckets); i++) {
            sum += (double)i * json_number_value(json_array_get(buckets, i));
            count += json_number_value(json_array_get(buckets, i));
        }
    }
    return sum / count;
}

/* The mean of the stages, which have the same number of backwards. A histogram is rounded up, and only blends' ages need
 * that. */
static double staleness_read(const json_t *run)
{
    const json_t *stages = json_object_get(run, "stage");
    const double rounded = staleness_mean(run, "histogram");
    double sum = 0;

    for (size_t s = 0; s < json_array_size(stages); s++)
        sum += number_of(json_object_get(json_array_get(stages, s), "staleness"), "mean");
    sum /= (double)json_array_size(stages);
    if (strcmp(text_of(run, "system"), "i-timeprest") == 0)
        ck_assert_msg(sum > 0 && sum < rounded, "a mean of %g, rounded %g", sum, rounded);
    else
        ck_assert_msg(close_to(sum, rounded), "a mean of %g, not %g", sum, rounded);
    return sum;
}

/* Says the same as its one run. */
static void check_summary(const json_t *summary, int epochs)
{
    const json_t *run = run_of(summary, 0), *stages = json_object_get(run, "stage"), *epoch;
    double busy = 0, memory = 0, seconds = 0;
    size_t index;

    ck_assert_str_eq(text_of(summary, "result"), "finished");
    ck_assert_int_eq((int)number_of(summary, "epochs"), epochs);
    ck_assert_int_eq((int)json_array_size(json_object_get(run, "epochs")), epochs);
    json_array_foreach(json_object_get(run, "epochs"), index, epoch)
    {
        seconds += number_of(epoch, "seconds");
    }
    for (size_t s = 0; s < 3; s++) {
        const json_t *stage = json_array_get(stages, s);
        double peak = number_of(json_object_get(stage, "memory_peak_bytes"), "total");

        busy += number_of(stage, "busy_fraction");
        memory += peak;
        ck_assert(json_number_value(json_array_get(json_object_get(summary, "memory_peak_bytes"), s)) == peak);
        for (int c = 0; c < 3; c++) {
            static const char *const categories[] = {"weights", "stash", "activations"};
            char key[64];

            snprintf(key, sizeof(key), "%s_peak_bytes", categories[c]);
            ck_assert(json_number_value(json_array_get(json_object_get(summary, key), s)) ==
                      number_of(json_object_get(stage, "memory_peak_bytes"), categories[c]));
        }
        ck_assert(json_number_value(json_array_get(json_object_get(summary, "weight_versions"), s)) ==
                  number_of(stage, "weight_versions_peak"));
    }
    const struct {
        const char *key;
        double expected;
    } cells[] = {
        {"images_per_second", number_of(run, "images_per_second")},
        {"seconds_per_epoch", seconds / epochs},
        {"busy_fraction", busy / 3},
        {"memory_peak_bytes_all", memory},
        {"test_top1", number_of(last_epoch(run), "test_top1")},
        {"test_loss", number_of(last_epoch(run), "test_loss")},
        {"staleness_forward_mean", staleness_mean(run, "forward_histogram")},
        {"staleness_backward_mean", staleness_read(run)},
        {"microbatch_size", 64.0 / number_of(run, "microbatches")},
    };
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        ck_assert_msg(close_to(number_of(summary, cells[i].key), cells[i].expected), "%s of %s", cells[i].key,
                      text_of(summary, "system"));
}

/* Two links cut the mlp where it has 256 floats: 400 images an epoch, in 7 mini-batches, go up and their gradients come
 * down, however they are packed into messages. */
static void check_communication(const json_t *run, const struct system *system)
{
    const json_t *minibatch = json_object_get(json_object_get(run, "communication"), "training_minibatch");
    const json_t *measured = json_object_get(json_object_get(run, "version_difference"), "measured"), *count;
    double n = number_of(run, "microbatches"), minibatches = 0;
    size_t difference;

    ck_assert(number_of(minibatch, "paper_messages_whole_backward") == 2 * (n + 1));
    ck_assert(number_of(minibatch, "paper_messages_microbatch_backward") == 2 * 2 * n);
    ck_assert(close_to(number_of(minibatch, "messages"), orders[system->order].whole_backward ? 2 * (n + 1) : 4 * n));
    ck_assert(close_to(number_of(minibatch, "bytes"), 2 * 2 * 256 * sizeof(float) * 400.0 / 7));
    json_array_foreach(json_object_get(measured, "histogram"), difference, count)
    {
        minibatches += json_number_value(count);
    }
    ck_assert(minibatches == 2 * 7);
}

START_TEST(every_system_has_its_row_and_no_cell_is_empty)
{
    const char *names[32];

    ck_assert_int_le(asking_system_count, 32);
    for (int k = 0; k < asking_system_count; k++)
        names[k] = systems[k].name;
    ck_assert_msg(program_run(&program, "compare @ --epochs 2 --set run.name=x --json ~/c.json --csv ~/c.csv") == 0,
                  "%s", program_text(&program, "err"));
    ck_assert_str_eq(program_text(&program, "err"), "");
    check_table(program_text(&program, "out"), names, asking_system_count);
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "partial"));
    ck_assert_int_eq(check_csv(program_text(&program, "c.csv")), asking_system_count + 1);
    ck_assert_ptr_null(strstr(program_text(&program, "c.csv"), "nan"));

    json_t *summaries = program_json(&program, "c.json"), *same = program_json(&program, "runs/x/comparison.json");
    ck_assert(json_equal(summaries, same));
    ck_assert_uint_eq(json_array_size(summaries), (size_t)asking_system_count);
    for (int k = 0; k < asking_system_count; k++) {
        char path[96];

        check_summary(summary_of(summaries, names[k]), 2);
        check_communication(run_of(summary_of(summaries, names[k]), 0), &systems[k]);
        snprintf(path, sizeof(path), "runs/x/%s/report.json", names[k]);
        json_t *report = program_json(&program, path);
        ck_assert(json_equal(run_of(summary_of(summaries, names[k]), 0), report));
        json_decref(report);
    }
    json_decref(summaries);
    json_decref(same);
}
END_TEST

/* What follows from the rules, not from the code: systems that flush have one version and nothing stale. And as they
 * compute the same sums on the same data, with no batch norm to tell micro-batches apart, they learn the same. */
START_TEST(systems_that_flush_agree)
{
    static const char *const names[] = {"naive", "gpipe", "1f1b", "zb-h1"};

    ck_assert_int_eq(program_run(&program, "compare @ --systems naive,gpipe,1f1b,zb-h1,v-timeprest --set train.lr=0.01 "
                                           "--quiet --json ~/c.json"),
                     0);
    json_t *summaries = program_json(&program, "c.json");
    double loss = number_of(summary_of(summaries, "naive"), "test_loss");
    for (int k = 0; k < 4; k++) {
        const json_t *summary = summary_of(summaries, names[k]);

        ck_assert(fabs(number_of(summary, "test_loss") - loss) < 1e-3 * loss);
        ck_assert(number_of(summary, "staleness_forward_mean") == 0);
        ck_assert(number_of(summary, "staleness_backward_mean") == 0);
        ck_assert(number_of(summary, "version_difference_max") == 1);
    }
    for (size_t k = 0; k < json_array_size(summaries); k++)
        for (size_t s = 0; s < 3; s++)
            ck_assert(json_integer_value(
                          json_array_get(json_object_get(json_array_get(summaries, k), "weight_versions"), s)) == 1);
    json_decref(summaries);
}
END_TEST

START_TEST(each_system_has_the_micro_batches_that_it_can_have)
{
    static const struct {
        const char *system;
        int microbatches;
    } expected[] = {{"timeprest", 2}, {"gpipe", 2}, {"pipedream", 1}, {"naive", 1}, {"pipedream-2bw", 3}};

    ck_assert_int_eq(program_run(&program, "compare @ --set pipeline.microbatches=2 --systems "
                                           "pipedream-2bw,timeprest,gpipe,pipedream,naive --json -"),
                     0);
    json_t *summaries = program_json(&program, "out");
    for (size_t k = 0; k < sizeof(expected) / sizeof(expected[0]); k++) {
        const json_t *summary = summary_of(summaries, expected[k].system);

        ck_assert_int_eq((int)number_of(summary, "microbatches"), expected[k].microbatches);
        ck_assert_int_eq((int)number_of(run_of(summary, 0), "microbatches"), expected[k].microbatches);
    }
    ck_assert_str_eq(text_of(json_array_get(summaries, 0), "system"), "pipedream-2bw");
    json_decref(summaries);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "N = 2, pipedream-2bw 3, pipedream 1, naive 1\n"));
}
END_TEST

/* Systems whose stages host more parts need a partition of their own, and share it. */
START_TEST(those_with_as_many_parts_share_a_partition)
{
    static const struct {
        const char *system;
        int parts;
    } expected[] = {{"1f1b", 2}, {"zb-v", 4}, {"gpipe", 2}, {"breadth-first", 4}};

    ck_assert_int_eq(program_run(&program, "compare @ --systems 1f1b,zb-v,gpipe,breadth-first --json ~/c.json --set "
                                           "model.arch=resnet8 --set data.limit=40 --set data.batch=8 --set "
                                           "pipeline.stages=2"),
                     0);
    json_t *summaries = program_json(&program, "c.json");
    char line[256], partitions[4][32];
    for (size_t k = 0; k < 4; k++) {
        const json_t *config = json_object_get(run_of(json_array_get(summaries, k), 0), "config");

        ck_assert_str_eq(text_of(json_array_get(summaries, k), "system"), expected[k].system);
        snprintf(partitions[k], sizeof(partitions[k]), "%s", text_of(json_object_get(config, "pipeline"), "partition"));
        ck_assert_uint_eq(strlen(partitions[k]), 2 * (size_t)expected[k].parts - 1);
    }
    ck_assert_str_eq(partitions[0], partitions[2]);
    ck_assert_str_eq(partitions[1], partitions[3]);
    snprintf(line, sizeof(line),
             "\npartition %s for 1f1b, gpipe (auto, decided once by 1f1b's plan); "
             "partition %s for zb-v, breadth-first (auto, decided once by zb-v's plan); N = 3\n",
             partitions[0], partitions[1]);
    ck_assert_msg(strstr(program_text(&program, "out"), line) != NULL, "%s", program_text(&program, "out"));
    json_decref(summaries);
}
END_TEST

/* An automatic partition is balanced by measured time, so that each system could come to another. */
START_TEST(the_partition_is_the_same_for_all)
{
    ck_assert_int_eq(program_run(&program, "compare @ --systems timeprest,gpipe,naive --json ~/c.json --set "
                                           "model.arch=resnet8 --set data.limit=40 --set data.batch=8"),
                     0);
    json_t *summaries = program_json(&program, "c.json");
    char line[96], partition[32] = "";
    for (size_t k = 0; k < 3; k++) {
        const json_t *run = run_of(json_array_get(summaries, k), 0), *stage;
        char own[32] = "";
        size_t s;

        json_array_foreach(json_object_get(run, "stage"), s, stage)
        {
            snprintf(own + strlen(own), sizeof(own) - strlen(own), "%s%d", s > 0 ? "," : "",
                     (int)number_of(stage, "blocks"));
        }
        if (k == 0)
            strcpy(partition, own);
        ck_assert_str_eq(own, partition);
    }
    snprintf(line, sizeof(line), "partition %s for all (auto, decided once by timeprest's plan)", partition);
    ck_assert_msg(strstr(program_text(&program, "out"), line) != NULL, "%s", program_text(&program, "out"));
    json_decref(summaries);
}
END_TEST

START_TEST(seeds_give_means_and_deviations)
{
    static const double seeds[] = {3, 5, 8};
    double loss[3], mean, deviation;

    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe --seeds 3,5,8 --set run.name=x --json "
                                           "~/c.json --set train.lr=0.002"),
                     0);
    json_t *summaries = program_json(&program, "c.json");
    const json_t *summary = summary_of(summaries, "gpipe");
    ck_assert_uint_eq(json_array_size(json_object_get(summary, "runs")), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *run = run_of(summary, i);

        ck_assert(number_of(json_object_get(json_object_get(run, "config"), "run"), "seed") == seeds[i]);
        loss[i] = number_of(last_epoch(run), "test_loss");
    }
    ck_assert(loss[0] != loss[1] && loss[1] != loss[2]);
    mean = (loss[0] + loss[1] + loss[2]) / 3;
    deviation = sqrt((pow(loss[0] - mean, 2) + pow(loss[1] - mean, 2) + pow(loss[2] - mean, 2)) / 2);
    ck_assert(close_to(number_of(summary, "test_loss"), mean));
    ck_assert(close_to(number_of(summary, "test_loss_deviation"), deviation));
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "1/1 gpipe, seed 5: finished"));
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), " ± "));
    ck_assert(program_has(&program, "runs/x/gpipe-seed-8/report.json"));
    json_decref(summaries);
}
END_TEST

/* A target that nobody reaches within the epochs is ">2" for the eye and null for scripts. */
START_TEST(epochs_to_the_target_are_counted)
{
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe --target 99% --set train.lr=0 --epochs 2 "
                                           "--json ~/c.json --csv ~/c.csv"),
                     0);
    json_t *summaries = program_json(&program, "c.json");
    ck_assert(json_is_null(json_object_get(json_array_get(summaries, 0), "epochs_to_target")));
    ck_assert(number_of(json_array_get(summaries, 0), "target_top1") == 0.99);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "out"), "  >2\n"));
    check_csv(program_text(&program, "c.csv"));
    json_decref(summaries);

    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe --target 0.0 --epochs 2 --json ~/c.json"), 0);
    summaries = program_json(&program, "c.json");
    ck_assert(number_of(json_array_get(summaries, 0), "epochs_to_target") == 1);
    json_decref(summaries);
}
END_TEST

/* Starts a comparison of three systems and returns when the second one trains. */
static pid_t start_and_wait_for_gpipe(struct segment *segment)
{
    pid_t child = program_start(&program, "compare @ --systems naive,gpipe,1f1b --set data.limit=30000 --set "
                                          "run.name=x --json ~/c.json --csv ~/c.csv");
    uint64_t deadline = clock_now_ns() + 60 * 1000000000ull;

    while (!program_segment(child, "/gpipe", segment) || atomic_load(&segment->board->go) == 0) {
        ck_assert_msg(clock_now_ns() < deadline, "gpipe does not begin: %s", program_text(&program, "err"));
        usleep(2000);
    }
    return child;
}

static void check_results(const char *naive, const char *gpipe, const char *one_forward_one_backward)
{
    const char *const expected[][2] = {{"naive", naive}, {"gpipe", gpipe}, {"1f1b", one_forward_one_backward}};
    json_t *summaries = program_json(&program, "c.json");

    for (int k = 0; k < 3; k++)
        ck_assert_str_eq(text_of(summary_of(summaries, expected[k][0]), "result"), expected[k][1]);
    ck_assert_int_eq(check_csv(program_text(&program, "c.csv")), 4);
    json_decref(summaries);
}

START_TEST(an_interruption_leaves_a_partial_table)
{
    struct segment segment;
    pid_t child = start_and_wait_for_gpipe(&segment);

    segment_close(&segment);
    ck_assert_int_eq(kill(child, SIGINT), 0);
    ck_assert_int_eq(program_finish(child), 3);
    check_results("finished", "interrupted", "not started");
    const char *out = program_text(&program, "out");
    check_block(out, "order ", 4, (const char *const[]){"naive"}, 1);
    ck_assert_ptr_nonnull(
        strstr(out, "\ninterrupted: gpipe\nnot started: 1f1b\npartial: 2 of 3 systems are not done\n"));
    ck_assert(program_has(&program, "runs/x/gpipe/report.json") && !program_has(&program, "runs/x/1f1b"));
}
END_TEST

START_TEST(a_failure_does_not_stop_the_others)
{
    struct segment segment;
    pid_t child = start_and_wait_for_gpipe(&segment);

    kill(atomic_load(&segment_stage(&segment, 2)->pid), SIGKILL);
    segment_close(&segment);
    ck_assert_int_eq(program_finish(child), 1);
    check_results("finished", "failed", "finished");
    check_block(program_text(&program, "out"), "order ", 4, (const char *const[]){"naive", "1f1b"}, 2);
    ck_assert_ptr_nonnull(
        strstr(program_text(&program, "out"), "\nfailed: gpipe\npartial: 1 of 3 systems are not done"));
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "tpcoord: 2/3 gpipe: stage 2 (pid "));
}
END_TEST

static const char *const wrong_inputs[][2] = {
    {"@ --systems gpip", "--systems: \"gpip\" is none of the choices; did you mean gpipe? There are: timeprest, "},
    {"@ --systems gpipe,naive,gpipe", "--systems: gpipe is there twice"},
    {"@ --systems gpipe,", "--systems: \"\" is none of the choices"},
    {"@ --systems gpipe,x.csv", "--systems: x.csv is a schedule file; only systems are compared"},
    {"@ --seeds 1,two", "--seeds: \"two\" is not a whole number"},
    {"@ --seeds 7,7", "--seeds: 7 is there twice"},
    {"@ --target 85", "--target: \"85\" is no top-1; use one such as 0.85 or 85%"},
    {"@ --target 101%", "--target: \"101%\" is no top-1"},
    {"@ --target %", "--target: \"%\" is no top-1"},
    {"@ --trace x", "--trace does not go with tpcoord compare"},
    {"@ --json - --csv -", "--json and --csv cannot both have standard output"},
    {"@ --csv /nonexistent/x", "--csv: /nonexistent/x cannot be written"},
    {"@ --set pipeline.stages=9", "9 stages, but mlp has only 3 blocks"},
    {"@ --systems gpipe --set pipeline.backward_weights=forward", "one weight version to read"},
};

START_TEST(wrong_input_is_one_line_and_nothing_starts)
{
    char words[128];

    snprintf(words, sizeof(words), "compare %s", wrong_inputs[_i][0]);
    ck_assert_int_eq(program_run(&program, words), 2);
    const char *err = program_text(&program, "err"), *newline = strchr(err, '\n');
    ck_assert_msg(newline && newline[1] == '\0', "\"%s\" says not one line:\n%s", words, err);
    ck_assert_msg(strstr(err, wrong_inputs[_i][1]) != NULL, "\"%s\" says %s", words, err);
    ck_assert_str_eq(program_text(&program, "out"), "");
    snprintf(words, sizeof(words), "%s/runs", program.folder);
    ck_assert(rmdir(words) == 0 || !program_has(&program, "runs"));
}
END_TEST

START_TEST(a_name_that_is_taken_is_refused)
{
    ck_assert_int_eq(program_run(&program, "compare @ --systems naive --set run.name=x --quiet"), 0);
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe,naive --set run.name=x --quiet"), 2);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "runs/x holds an earlier comparison"));
    ck_assert(!program_has(&program, "runs/x/gpipe"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *tcase = tcase_create("compare");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, every_system_has_its_row_and_no_cell_is_empty);
    tcase_add_test(tcase, systems_that_flush_agree);
    tcase_add_test(tcase, each_system_has_the_micro_batches_that_it_can_have);
    tcase_add_test(tcase, the_partition_is_the_same_for_all);
    tcase_add_test(tcase, those_with_as_many_parts_share_a_partition);
    tcase_add_test(tcase, seeds_give_means_and_deviations);
    tcase_add_test(tcase, epochs_to_the_target_are_counted);
    tcase_add_test(tcase, an_interruption_leaves_a_partial_table);
    tcase_add_test(tcase, a_failure_does_not_stop_the_others);
    tcase_add_loop_test(tcase, wrong_input_is_one_line_and_nothing_starts, 0, COUNT(wrong_inputs));
    tcase_add_test(tcase, a_name_that_is_taken_is_refused);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
