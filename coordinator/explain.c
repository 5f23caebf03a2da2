#include "coordinator/explain.h"

#include <string.h>

#include "base/guess.h"
#include "coordinator/documents.h"
#include "coordinator/examples.h"
#include "coordinator/show_plan.h"
#include "schedule/system.h"

/* A terminal's. */
enum { WIDTH = 80 };

/* The small pipeline: stages, and mini-batches where the order does not flush. */
enum { STAGES = 4, MINIBATCHES = 40, TICKS = 18 };

static const char *document(const char *name)
{
    for (int k = 0; documents[k][0]; k++)
        if (strcmp(documents[k][0], name) == 0)
            return documents[k][1];
    return "";
}

bool explain_knows(const char *topic)
{
    struct section section;

    return system_find(topic) || section_find(&section, document("glossary"), topic) == 0;
}

const char *explain_name(int n, char *name)
{
    struct section section;

    if (n < system_count)
        return systems[n].name;
    if (section_at(&section, document("glossary"), n - system_count))
        return NULL;
    section_name(&section, name);
    return name;
}

/* The system with four stages and as few micro-batches from 3 on as its order can have, or 1. */
static struct schedule small_schedule(const struct system *system)
{
    const struct order *order = &orders[system->order];
    struct schedule schedule = {.order = *order,
                                .forward = system->forward,
                                .backward = system->backward,
                                .update = system->rule,
                                .stages = STAGES,
                                .parts = order->parts,
                                .placement = order->placement,
                                .microbatches = order->microbatches ? order->microbatches : 3,
                                .minibatches = MINIBATCHES};
    struct error error;

    while (schedule_check(&schedule, &error) && schedule.microbatches < MAX_MICROBATCHES)
        schedule.microbatches++;
    return schedule;
}

/* The cell of the table in "## Formulas" that stands in the system's row, without backticks. */
static void find_formula(const char *system, int column, char *formula, size_t size)
{
    struct section section;
    char wanted[SECTION_NAME_MAX];

    formula[0] = '\0';
    snprintf(wanted, sizeof(wanted), "\n| `%s` |", system);
    if (section_find(&section, document("systems"), "Formulas"))
        return;
    const char *cell = strstr(section.text, wanted);
    for (cell = cell ? cell + 2 : NULL; cell && column > 0; column--)
        cell = strchr(cell, '|') ? strchr(cell, '|') + 1 : NULL;
    for (size_t used = 0; cell && *cell != '|' && *cell && used + 1 < size; cell++) {
        const bool blank = *cell == ' ' && (used == 0 || cell[1] == '|');

        if (*cell != '`' && !blank)
            formula[used++] = *cell;
        formula[used] = '\0';
    }
}

static void print_formulas(FILE *out, const char *system)
{
    static const char *const names[] = {NULL, "v", "idle, in ticks per mini-batch", "versions at stage s",
                                        "in flight at stage s"};
    char formula[128];

    fputs("Formulas (a division rounds down; c parts per stage)\n", out);
    for (int column = 1; column < (int)(sizeof(names) / sizeof(names[0])); column++) {
        find_formula(system, column, formula, sizeof(formula));
        fprintf(out, "  %-30s %s\n", names[column], formula);
    }
    fputs("  memory of stage s              weights * (versions + 2) + activations in flight;\n"
          "                                 the 2 are gradient and momentum\n\n",
          out);
}

static void print_holdings(FILE *out, const struct schedule *schedule, const struct simulation *simulation)
{
    fprintf(out, "With W = %d, N = %d", schedule->stages, schedule->microbatches);
    if (schedule->parts > 1)
        fprintf(out, ", c = %d", schedule->parts);
    fprintf(out, ", in unit time: v %d; idle %.0f%% of %d mini-batches\n", simulation->version_difference_max,
            100.0 * simulation->bubble_fraction, schedule->minibatches);
    fputs("  part  stage  versions  micro-batches in flight\n", out);
    for (int k = 1; k <= simulation->part_count; k++)
        fprintf(out, "  %4d  %5d  %8d  %23d\n", k, schedule_stage_of(schedule, k),
                simulation->parts[k - 1].weight_versions, simulation->parts[k - 1].microbatches_in_flight);
}

static int print_example(FILE *out, const struct schedule *schedule, bool drawn, struct error *error)
{
    const struct link_slots endless = {0, 0};
    struct simulation *simulation;
    int result = 0;

    if (simulate_unit(schedule, endless, true, &simulation, error))
        return -1;
    print_holdings(out, schedule, simulation);
    if (!drawn) {
        fputc('\n', out);
        result = grid_print(out, schedule, simulation, TICKS, false, error);
    }
    simulation_destroy(simulation);
    return result;
}

static int explain_system(FILE *out, const char *program, const struct system *system, struct error *error)
{
    const struct schedule schedule = small_schedule(system);
    struct section section;
    char arguments[128];

    if (section_find(&section, document("systems"), system->name))
        return error_set(error, "there is no page on %s", system->name);
    fprintf(out, "%s\n\n", system->name);
    section_print(out, &section, program, WIDTH);
    fputc('\n', out);
    print_formulas(out, system->name);
    const char *fence = strstr(section.text, "```");
    if (print_example(out, &schedule, fence && fence < section.text + section.length, error))
        return -1;
    snprintf(arguments, sizeof(arguments), "plan CONFIG --grid --set pipeline.system=%s --set pipeline.microbatches=%d",
             system->name, schedule.microbatches);
    fputs("\nFor other numbers: ", out);
    example_print(out, program, arguments);
    fputc('\n', out);
    return 0;
}

static void explain_word(FILE *out, const char *program, const struct section *section)
{
    fprintf(out, "%.*s\n\n", (int)section->heading_length, section->heading);
    section_print(out, section, program, WIDTH);
}

/* A line of names as long as the terminal is wide. */
static void list_name(FILE *out, int *column, const char *name)
{
    const int length = (int)strlen(name);

    if (*column + 2 + length > WIDTH) {
        fputs("\n ", out);
        *column = 1;
    }
    fprintf(out, "%s%s", *column > 1 ? "  " : " ", name);
    *column += 2 + length;
}

static void list_all(FILE *out, const char *program)
{
    char room[SECTION_NAME_MAX];
    const char *name;
    int column = 1;

    fprintf(out, "%s explain NAME says what a system does or a word means.\n\nSystems\n ", program);
    for (int n = 0; (name = explain_name(n, room)) != NULL; n++) {
        if (n == system_count) {
            fputs("\n\nWords\n ", out);
            column = 1;
        }
        list_name(out, &column, name);
    }
    fputc('\n', out);
}

static int refuse(const char *program, const char *topic, struct error *error)
{
    char room[SECTION_NAME_MAX], nearest[SECTION_NAME_MAX], meant[GUESS_TEXT_MAX];
    const char *name;
    struct guess guess;

    guess_begin(&guess, topic);
    for (int n = 0; (name = explain_name(n, room)) != NULL; n++) {
        guess_consider(&guess, name);
        if (guess.nearest != name)
            continue;
        /* The next name goes into the same room. */
        snprintf(nearest, sizeof(nearest), "%s", name);
        guess.nearest = nearest;
    }
    return error_set(error, "\"%s\" is no system and no word of the glossary; %s%s explain lists them", topic,
                     guess_text(&guess, "", " ", meant), program);
}

int explain_print(FILE *out, const char *program, const char *topic, struct error *error)
{
    const struct system *system = topic ? system_find(topic) : NULL;
    struct section section;

    if (!topic)
        list_all(out, program);
    else if (system)
        return explain_system(out, program, system, error);
    else if (section_find(&section, document("glossary"), topic) == 0)
        explain_word(out, program, &section);
    else
        return refuse(program, topic, error);
    return 0;
}
