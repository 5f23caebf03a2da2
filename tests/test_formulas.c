/* The formulas of docs/systems.md against simulations: v, idle ticks, weight versions and what is in flight, for each system
 * and many sizes of pipeline. */
#include <check.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/simulate.h"
#include "tests/support/schedules.h"
#include "tests/support/suite.h"

enum { LINE_MAX = 512, COLUMNS = 5, STAGES_MAX = 7 };
enum column { NAME, V, IDLE, VERSIONS, IN_FLIGHT };

/* The names' values. */
struct sizes {
    int W, N, s, c;
};

static int sum(const char **text, const struct sizes *sizes);

static void skip_blanks(const char **text)
{
    *text += strspn(*text, " ");
}

static void take(const char **text, char sign)
{
    skip_blanks(text);
    ck_assert_msg(**text == sign, "no '%c' in: %s", sign, *text);
    (*text)++;
}

static int factor(const char **text, const struct sizes *sizes)
{
    skip_blanks(text);
    if (isdigit((unsigned char)**text)) {
        char *end;
        const int value = (int)strtol(*text, &end, 10);

        *text = end;
        return value;
    }
    if (strncmp(*text, "min(", 4) == 0) {
        *text += 4;
        int least = sum(text, sizes);
        skip_blanks(text);
        while (**text == ',') {
            (*text)++;
            least = min_int(least, sum(text, sizes));
            skip_blanks(text);
        }
        take(text, ')');
        return least;
    }
    if (**text == '(') {
        (*text)++;
        const int value = sum(text, sizes);
        take(text, ')');
        return value;
    }
    const char name = *(*text)++;
    ck_assert_msg(strchr("WNsc", name) != NULL, "what is '%c'?", name);
    return name == 'W' ? sizes->W : name == 'N' ? sizes->N : name == 's' ? sizes->s : sizes->c;
}

static int product(const char **text, const struct sizes *sizes)
{
    int value = factor(text, sizes);

    for (skip_blanks(text); **text == '*' || **text == '/'; skip_blanks(text)) {
        const char sign = *(*text)++;
        const int other = factor(text, sizes);

        value = sign == '*' ? value * other : value / other;
    }
    return value;
}

static int sum(const char **text, const struct sizes *sizes)
{
    int value = product(text, sizes);

    for (skip_blanks(text); **text == '+' || **text == '-'; skip_blanks(text)) {
        const char sign = *(*text)++;
        const int other = product(text, sizes);

        value = sign == '+' ? value + other : value - other;
    }
    return value;
}

static void check(const char *formula, const struct sizes *sizes, int actual, const char *system, const char *what)
{
    const bool bound = strncmp(formula, "<=", 2) == 0;
    const char *text = formula + (bound ? 2 : 0);
    const int value = sum(&text, sizes);

    ck_assert_msg(*text == '\0', "\"%s\" is no formula: %s", formula, text);
    ck_assert_msg(bound ? actual <= value : actual == value, "%s, W = %d, N = %d, stage %d: %s is %d, not %s = %d",
                  system, sizes->W, sizes->N, sizes->s, what, actual, formula, value);
}

/* The row's formulas: what stands between backticks in each column. */
static bool read_row(char *line, char *formulas[COLUMNS], const char **unit)
{
    char *rest = line, *cell;
    int count = -1;

    while ((cell = strsep(&rest, "|")) != NULL && count < COLUMNS) {
        char *begin = strchr(cell, '`'), *end = begin ? strchr(begin + 1, '`') : NULL;

        if (count >= 0) {
            if (!end)
                return false;
            *end = '\0';
            formulas[count] = begin + 1;
            *unit = end + 1;
        }
        count++;
    }
    return count == COLUMNS;
}

static struct schedule formula_schedule(const struct system *system, int W, int N, int minibatches)
{
    struct schedule schedule = schedule_of(system, W, N, minibatches);

    schedule.parts = schedule.order.parts;
    schedule.placement = schedule.order.placement;
    return schedule;
}

static const struct link_slots endless = {0, 0};

/* Ticks in which a stage is idle, in nominal time. */
static int64_t idle_ticks(const struct schedule *schedule, int stage)
{
    struct simulation *simulation;
    struct error error;

    ck_assert_msg(simulate_nominal(schedule, endless, false, &simulation, &error) == 0, "%s", error.text);
    const int64_t idle = simulation->duration - simulation->stages[stage - 1].busy;
    simulation_destroy(simulation);
    return idle;
}

static void check_idle(const char *formula, struct schedule schedule, const struct sizes *sizes, const char *name)
{
    if (schedule.order.flush) {
        schedule.minibatches = 1;
        check(formula, sizes, (int)idle_ticks(&schedule, sizes->s), name, "idle");
        return;
    }
    /* What fill and drain take does not grow. */
    schedule.minibatches = 60;
    const int64_t few = idle_ticks(&schedule, sizes->s);
    schedule.minibatches = 120;
    check(formula, sizes, (int)(idle_ticks(&schedule, sizes->s) - few) / 60, name, "idle");
}

static int versions_at(const struct simulation *simulation, const struct schedule *schedule, int stage)
{
    int most = 0;

    for (int k = 1; k <= schedule_part_count(schedule); k++)
        if (schedule_stage_of(schedule, k) == stage)
            most = max_int(most, simulation->parts[k - 1].weight_versions);
    return most;
}

/* Whether the system can have these sizes. */
static bool check_system(const struct system *system, char *const formulas[COLUMNS], const char *unit, int W, int N)
{
    const struct schedule schedule =
        formula_schedule(system, W, N, formula_schedule(system, W, N, 1).order.flush ? 6 : 60);
    const bool minibatches = strstr(unit, "mini-batch") != NULL;
    struct simulation *simulation;
    struct error error;

    if (schedule_check(&schedule, &error))
        return false;
    ck_assert_msg(simulate_unit(&schedule, endless, false, &simulation, &error) == 0, "%s", error.text);
    for (int s = 1; s <= W; s++) {
        const struct sizes sizes = {W, N, s, schedule.parts};
        const struct simulated_stage *stage = &simulation->stages[s - 1];

        check(formulas[V], &sizes, simulation->version_difference_max, system->name, "v");
        check(formulas[VERSIONS], &sizes, versions_at(simulation, &schedule, s), system->name, "versions");
        check(formulas[IN_FLIGHT], &sizes, minibatches ? stage->minibatches_in_flight : stage->microbatches_in_flight,
              system->name, "in flight");
        check_idle(formulas[IDLE], schedule, &sizes, system->name);
    }
    simulation_destroy(simulation);
    return true;
}

START_TEST(the_document_s_formulas_are_right)
{
    FILE *file = fopen("docs/systems.md", "r");
    char line[LINE_MAX], *formulas[COLUMNS];
    const char *unit = NULL;
    bool inside = false;
    int rows = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "## ", 3) == 0)
            inside = strcmp(line, "## Formulas\n") == 0;
        if (!inside || !read_row(line, formulas, &unit))
            continue;
        const struct system *system = system_find(formulas[NAME]);
        ck_assert_msg(system != NULL, "%s is no system", formulas[NAME]);
        const bool flush = orders[system->order].flush;
        int sizes = 0;
        for (int W = 2; W <= STAGES_MAX; W++) {
            for (int N = flush ? 2 * W : 1; N <= (flush ? 4 : 2) * W && orders[system->order].microbatches == 0; N++)
                sizes += check_system(system, formulas, unit, W, N);
            if (orders[system->order].microbatches == 1)
                sizes += check_system(system, formulas, unit, W, 1);
        }
        ck_assert_int_ge(sizes, STAGES_MAX - 1);
        rows++;
    }
    fclose(file);
    ck_assert_int_eq(rows, system_count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("formulas");
    TCase *tcase = tcase_create("formulas");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_document_s_formulas_are_right);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
