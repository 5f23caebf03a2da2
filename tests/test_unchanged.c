/* Goal of this test: today's systems give what they gave before stages had parts and orders could be lists. The golden
 * files were made at that time. Schedules: every system, W and N from 1 to 8, K = 2 W + 3, with links without end and
 * with as many gradient slots as a plan has. Training: final weights and statistics, and every mini-batch's loss, of
 * stages that are threads.
 *
 * UPDATE=1 writes the golden files anew. */
#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "schedule/simulate.h"
#include "tests/support/follow.h"
#include "tests/support/suite.h"

static const char *const system_names[] = {
    "timeprest", "v-timeprest", "i-timeprest", "pipedream", "pipedream-2bw", "gpipe", "1f1b", "zb-h1", "naive",
};
enum { SYSTEMS = sizeof(system_names) / sizeof(system_names[0]), SIZE_MAX_TESTED = 8, TRAINED_MAX = 4, RECORDS = 64 };

static struct schedule schedule_of(const char *name, int stages, int microbatches)
{
    const struct system *system = system_find(name);

    ck_assert_msg(system != NULL, "no system %s", name);
    return (struct schedule){
        .order = orders[system->order],
        .forward = system->forward,
        .backward = system->backward,
        .stages = stages,
        .parts = 1,
        .microbatches = microbatches,
        .minibatches = 2 * stages + 3,
    };
}

static void write_ints(FILE *out, const char *name, const int *numbers, int count)
{
    fputs(name, out);
    for (int i = 0; i < count; i++)
        fprintf(out, " %d", numbers[i]);
    fputc('\n', out);
}

/* All that the unit-time schedule says: the only lines here that know how a simulation is asked for. */
static void write_simulation(FILE *out, const struct schedule *schedule, int gradient_slots)
{
    struct simulation *simulation;
    struct error error;

    ck_assert_msg(
        simulate_unit(schedule, (struct link_slots){.gradients = gradient_slots}, true, &simulation, &error) == 0, "%s",
        error.text);
    for (int s = 1; s <= schedule->stages; s++) {
        char *line = simulation_grid_line(simulation, schedule, s, (int)simulation->duration);
        const int facts[] = {simulation->stages[s - 1].minibatches_in_flight,
                             simulation->stages[s - 1].microbatches_in_flight,
                             simulation->parts[s - 1].weight_versions};

        fprintf(out, "%s\n", line);
        write_ints(out, "  in flight, versions:", facts, 3);
        free(line);
    }
    fputs("committed:", out);
    for (int i = 1; i <= simulation->minibatch_count; i++)
        fprintf(out, " %d", simulation_committed(simulation, i));
    fputc('\n', out);
    fprintf(out, "version difference: %d to %d\n", simulation->version_difference_min,
            simulation->version_difference_max);
    simulation_destroy(simulation);
}

/* The golden files' lines are compared one by one, so that the first that differs says what changed. */
struct golden {
    const char *path;
    FILE *written; /* with UPDATE=1 */
    char *text, *rest;
    int line;
};

static struct golden golden_open(const char *path, const char *made)
{
    struct golden golden = {.path = path};
    const char *update = getenv("UPDATE");
    FILE *file;
    size_t size = 0;

    if (update != NULL && strcmp(update, "1") == 0) {
        golden.written = fopen(path, "w");
        ck_assert_msg(golden.written != NULL, "cannot write %s", path);
        fprintf(golden.written, "%s\n", made);
        return golden;
    }
    file = fopen(path, "r");
    ck_assert_msg(file != NULL && getdelim(&golden.text, &size, '\0', file) > 0, "cannot read %s", path);
    fclose(file);
    golden.rest = strchr(golden.text, '\n') + 1;
    golden.line = 1;
    return golden;
}

/* The next line of the file; NULL when it is being written. Valid until golden_close. */
static const char *golden_next(struct golden *golden)
{
    char *line = golden->rest, *end = line != NULL ? strchr(line, '\n') : NULL;

    if (golden->written != NULL)
        return NULL;
    golden->line++;
    ck_assert_msg(end != NULL, "%s:%d: the file ends here", golden->path, golden->line);
    *end = '\0';
    golden->rest = end + 1;
    return line;
}

static void golden_line(struct golden *golden, const char *text)
{
    const char *line = golden_next(golden);

    if (line == NULL)
        fprintf(golden->written, "%s\n", text);
    else
        ck_assert_msg(strcmp(line, text) == 0, "%s:%d:\n  was %s\n  is  %s", golden->path, golden->line, line, text);
}

static void golden_close(struct golden *golden)
{
    if (golden->written != NULL)
        ck_assert_int_eq(fclose(golden->written), 0);
    else
        ck_assert_msg(*golden->rest == '\0', "%s:%d: more lines than there are results", golden->path,
                      golden->line + 1);
    free(golden->text);
}

/* Written out in full, so that a reader sees what is kept, and a difference where it is. */
static const struct {
    const char *system;
    int stages, microbatches;
} shown[] = {
    {"timeprest", 3, 2},   {"timeprest", 4, 3}, {"timeprest", 6, 2},     {"v-timeprest", 2, 3},
    {"i-timeprest", 3, 1}, {"pipedream", 4, 1}, {"pipedream-2bw", 3, 3}, {"gpipe", 3, 4},
    {"1f1b", 4, 4},        {"zb-h1", 3, 5},     {"zb-h1", 4, 2},         {"naive", 3, 1},
};

static bool is_shown(const char *system, int stages, int microbatches)
{
    for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++)
        if (strcmp(shown[k].system, system) == 0 && shown[k].stages == stages && shown[k].microbatches == microbatches)
            return true;
    return false;
}

static void compare_schedule(struct golden *golden, const char *name, int stages, int microbatches)
{
    const struct schedule schedule = schedule_of(name, stages, microbatches);
    char *text = NULL, line[80];
    struct error error;
    size_t size;
    FILE *out;

    if (schedule_check(&schedule, &error) != 0)
        return;
    out = open_memstream(&text, &size);
    write_simulation(out, &schedule, 0);
    write_simulation(out, &schedule, schedule_gradient_slots(&schedule));
    ck_assert_int_eq(fclose(out), 0);
    if (is_shown(name, stages, microbatches))
        for (char *rest = text, *shown_line; (shown_line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
            golden_line(golden, shown_line);
            rest[-1] = '\n';
        }
    snprintf(line, sizeof(line), "%s W=%d N=%d: %08lx", name, stages, microbatches,
             crc32(0, (const Bytef *)text, (uInt)size));
    golden_line(golden, line);
    free(text);
}

START_TEST(schedules_are_what_they_were)
{
    struct golden golden = golden_open(
        "tests/golden/schedules.txt",
        "# Made at commit 2300909, before parts and lists, with UPDATE=1 build/tests/test_unchanged: per schedule the "
        "crc32 of its lines, a dozen of them in full; first links without end, then a plan's gradient slots.");

    for (int k = 0; k < SYSTEMS; k++)
        for (int w = 1; w <= SIZE_MAX_TESTED; w++)
            for (int n = 1; n <= SIZE_MAX_TESTED; n++)
                compare_schedule(&golden, system_names[k], w, n);
    golden_close(&golden);
}
END_TEST

/* What the C library says of the functions that training calls: another library may round the last bit otherwise, and
 * then only losses can be compared. */
static unsigned long library_crc(void)
{
    double values[256 * 4];

    for (int i = 0; i < 256; i++) {
        values[4 * i] = exp(-0.031 * i);
        values[4 * i + 1] = log1p(0.017 * i);
        values[4 * i + 2] = log(1e-3 + 0.0039 * i);
        values[4 * i + 3] = cos(0.0245 * i);
    }
    return crc32(0, (const Bytef *)values, sizeof(values));
}

static unsigned long trained_crc(const struct pipeline *pipeline)
{
    unsigned long crc = 0;

    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        const struct slice *slice = &pipeline->plan.parts[s].slice;

        crc = crc32(crc, (const Bytef *)part_weights(pipeline->parts[s]), (uInt)(slice->parameters * sizeof(float)));
        crc = crc32(crc, (const Bytef *)part_state(pipeline->parts[s]), (uInt)(slice->state * sizeof(float)));
    }
    return crc;
}

static void compare_losses(struct golden *golden, const struct pipeline *pipeline, const char *run, bool exact)
{
    const int count = pipeline->plan.minibatches_per_epoch;
    char text[RECORDS * 20];
    int length = snprintf(text, sizeof(text), "%s:", run);
    const char *line;
    char *end;

    ck_assert_int_lt(count, RECORDS);
    for (int i = 1; i <= count; i++)
        length += snprintf(text + length, sizeof(text) - (size_t)length, " %.9g", follow_loss(pipeline, i));
    if (golden->written != NULL || exact) {
        golden_line(golden, text);
        return;
    }
    line = golden_next(golden);
    end = strchr(line, ':');
    ck_assert_msg(end != NULL && !strncmp(line, text, (size_t)(end - line)), "%s:%d", golden->path, golden->line);
    end++;
    for (int i = 1; i <= count; i++) {
        const double was = strtod(end, &end), is = follow_loss(pipeline, i);

        ck_assert_msg(fabs(is - was) <= 1e-4 * fabs(was), "%s: mini-batch %d: loss %.9g, was %.9g", run, i, is, was);
    }
}

static void compare_training(struct golden *golden, const char *arch, const char *name, int stages, int microbatches,
                             bool exact)
{
    static struct pipeline pipeline;
    const struct schedule schedule = schedule_of(name, stages, microbatches);
    /* Six mini-batches, the last one of 2 rows. */
    struct settings settings = settings_of(arch, stages, microbatches, 6, 32);
    char run[64], line[96];
    struct error error;

    if (schedule_check(&schedule, &error) != 0)
        return;
    settings_set(&settings, "pipeline.system", name);
    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "device.backend", "reference");
    settings_set(&settings, "train.lr", "0.02");
    pipeline_run(&pipeline, settings_list(&settings));
    snprintf(run, sizeof(run), "%s %s W=%d N=%d", arch, name, stages, microbatches);
    compare_losses(golden, &pipeline, run, exact);
    snprintf(line, sizeof(line), "%s: weights %08lx", run, trained_crc(&pipeline));
    if (golden->written != NULL || exact)
        golden_line(golden, line);
    else
        golden_next(golden);
    pipeline_destroy(&pipeline);
}

START_TEST(training_is_what_it_was)
{
    struct golden golden = golden_open(
        "tests/golden/trained.txt",
        "# Made at commit 2300909, before parts and lists, with UPDATE=1 build/tests/test_unchanged: losses of every "
        "mini-batch, crc32 of all final weights and running statistics in stage order; order static, backend "
        "reference. Then: crc32 of what the C library computes; with another one bits cannot be compared.");
    char library[64];
    bool exact = true;

    snprintf(library, sizeof(library), "library %08lx", library_crc());
    if (golden.written != NULL)
        golden_line(&golden, library);
    else
        exact = strcmp(golden_next(&golden), library) == 0;
    if (!exact)
        fprintf(stderr, "the C library computes other bits than where %s was made: comparing losses only\n",
                golden.path);
    for (int k = 0; k < SYSTEMS; k++)
        for (int w = 1; w <= TRAINED_MAX; w++)
            for (int n = 1; n <= TRAINED_MAX; n++)
                compare_training(&golden, w < TRAINED_MAX ? "mlp" : "resnet8", system_names[k], w, n, exact);
    golden_close(&golden);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unchanged");
    TCase *schedules = tcase_create("schedules"), *training = tcase_create("training");

    tcase_set_timeout(schedules, 120);
    tcase_add_test(schedules, schedules_are_what_they_were);
    suite_add_tcase(suite, schedules);
    tcase_set_timeout(training, 300);
    tcase_set_tags(training, "long");
    tcase_add_test(training, training_is_what_it_was);
    suite_add_tcase(suite, training);

    return run_suite(suite);
}
