/* The plan's schedule: a grid for the eye, a file for other tools. */
#include "coordinator/show_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/csv.h"
#include "schedule/follower.h"

int plan_simulate_ticks(const struct plan *plan, const struct schedule *schedule, struct simulation **out,
                        struct error *error)
{
    const struct link_slots slots = {0, 0};

    if (plan->config.pipeline.static_times == STATIC_UNIT)
        return simulate_unit(schedule, slots, true, out, error);
    return simulate_nominal(schedule, slots, true, out, error);
}

/* Words in columns: each as wide as its widest. The lines are taken apart. */
static void print_aligned(FILE *out, char *const *lines, int count, int columns)
{
    int *widths = calloc((size_t)columns, sizeof(*widths));
    const int head = (int)(strchr(lines[count - 1], ':') + 1 - lines[count - 1]);

    for (int s = 0; widths && s < count; s++) {
        const char *word = strchr(lines[s], ':') + 2;

        for (int c = 0; c < columns && *word; c++) {
            const int width = (int)strcspn(word, " ");

            widths[c] = max_int(widths[c], width);
            word += width + (word[width] == ' ');
        }
    }
    for (int s = 0; s < count; s++) {
        char *rest = strchr(lines[s], ':') + 1, *word;

        fprintf(out, "%-*.*s", head, (int)(rest - lines[s]), lines[s]);
        for (int c = 0; (word = strsep(&rest, " ")) != NULL;)
            if (*word) {
                fprintf(out, " %-*s", rest && widths ? widths[c] : 0, word);
                c++;
            }
        fputc('\n', out);
    }
    free(widths);
}

/* "2B:1", which reads version 1; "2:1>2", which reads 1 and makes 2; "~" is a sum. */
static void print_word(FILE *out, const struct schedule *schedule, const struct op *op,
                       const struct op_versions *versions)
{
    char text[OP_TEXT_SIZE];

    op_format(op, schedule, text);
    fprintf(out, " %s", text);
    if (versions->read_first == VERSION_SUM)
        fputs(":~", out);
    else if (versions->read_first != VERSION_UNKNOWN)
        fprintf(out, versions->read_first == versions->read_last ? ":%d" : ":%d-%d", versions->read_first,
                versions->read_last);
    if (versions->made != VERSION_UNKNOWN)
        fprintf(out, ">%d", versions->made);
}

/* As simulation_grid_line, with versions. */
static char *line_with_versions(const struct simulation *simulation, const struct schedule *schedule, int stage,
                                int ticks)
{
    const int count = simulation_op_count(simulation, stage);
    struct follower *follower = follower_create(schedule, simulation);
    char *line = NULL;
    size_t size;
    FILE *stream = follower ? open_memstream(&line, &size) : NULL;
    int64_t tick = 0;

    if (!stream) {
        follower_destroy(follower);
        return NULL;
    }
    fprintf(stream, "stage %d:", stage);
    for (int n = 0; n < count && tick < ticks; n++) {
        const struct timed_op timed = simulation_op(simulation, stage, n);

        for (; tick < timed.start && tick < ticks; tick++)
            fputs(" .", stream);
        if (tick == ticks)
            break;
        const struct op_versions versions = follower_begin(follower, &timed.op);
        follower_end(follower, &timed.op);
        print_word(stream, schedule, &timed.op, &versions);
        for (tick++; tick < timed.end && tick < ticks; tick++)
            fputs(" =", stream);
    }
    for (; tick < ticks && tick < simulation->duration; tick++)
        fputs(" .", stream);
    follower_destroy(follower);
    if (fclose(stream) != 0) {
        free(line);
        return NULL;
    }
    return line;
}

int grid_print(FILE *out, const struct schedule *schedule, const struct simulation *simulation, int ticks,
               bool versions, struct error *error)
{
    char *lines[PLANNED_MAX] = {NULL};
    int count = 0;

    while (count < schedule->stages &&
           (lines[count] = versions ? line_with_versions(simulation, schedule, count + 1, ticks)
                                    : simulation_grid_line(simulation, schedule, count + 1, ticks)) != NULL)
        count++;
    if (count == schedule->stages)
        print_aligned(out, lines, count, ticks);
    for (int s = 0; s < count; s++)
        free(lines[s]);
    return count == schedule->stages ? 0 : error_set(error, "out of memory for the grid");
}

int plan_print_grid(FILE *out, const struct plan *plan, int ticks, int minibatches, bool versions, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *simulation;

    if (minibatches > 0)
        schedule.minibatches = minibatches;
    if (plan_simulate_ticks(plan, &schedule, &simulation, error))
        return -1;
    if (ticks == 0)
        ticks = (int)simulation_until(simulation, GRID_MINIBATCHES);
    const int result = grid_print(out, &schedule, simulation, ticks, versions, error);
    simulation_destroy(simulation);
    return result;
}

int plan_write_csv(FILE *out, const struct plan *plan, int minibatches, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *simulation;
    int result;

    if (minibatches > 0)
        schedule.minibatches = minibatches;
    else
        schedule.minibatches = schedule.order.flush ? 1 : 12 * schedule.stages + 20;
    if (plan_simulate_ticks(plan, &schedule, &simulation, error))
        return -1;
    result = csv_write_simulation(out, &schedule, simulation, 1, error);
    simulation_destroy(simulation);
    if (result == 0 && fflush(out) != 0)
        return error_set(error, "the schedule file could not be written to its end");
    return result;
}
