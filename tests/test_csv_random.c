/* Goal of this test: schedule files, the simulator and an oracle that knows ops and dependencies only agree, on every
 * system's schedule and on random ones. What is written reads the same, and whatever is accepted can be run. */
#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/played.h"
#include "tests/support/random_schedule.h"
#include "tests/support/suite.h"

static void assert_simulated(const struct csv_schedule *csv, const struct simulation *simulation, const char *text)
{
    for (int s = 1; s <= csv->stages; s++) {
        struct op_list list;

        ck_assert_int_eq(csv_list(csv, s, simulation->minibatch_count, &list), 0);
        ck_assert_int_eq(list_count(&list), simulation_op_count(simulation, s));
        for (int n = 0; n < list_count(&list); n++) {
            const struct op is = list_op(&list, n), was = simulation_op(simulation, s, n).op;

            ck_assert_msg(played_same_op(&is, &was), "stage %d: op %d is another\n%s", s, n + 1, text);
        }
        free(list.ops);
    }
}

static void assert_written_and_read(const struct schedule *schedule, const struct simulation *simulation)
{
    struct csv_schedule csv;
    struct error error;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    ck_assert_int_eq(csv_write_simulation(out, schedule, simulation, 1, &error), 0);
    fclose(out);
    ck_assert_msg((*text == '#') == !schedule->order.flush && (strchr(text, '[') != NULL) == !schedule->order.flush,
                  "%s: in the wrong form\n%s", schedule->order.name, text);
    csv = played_read(text);
    ck_assert(csv.stages == schedule->stages && csv.microbatches == schedule->microbatches);
    ck_assert(csv.forward == schedule->forward && csv.backward == schedule->backward);
    ck_assert(csv.microbatches == 1 || csv.whole_backward == schedule->order.whole_backward);
    assert_simulated(&csv, simulation, text);
    csv_release(&csv);
    free(text);
}

/* Every system's lists, in unit and in nominal times, and however many mini-batches a run has. With a flush all
 * mini-batches are the first one's. */
START_TEST(what_is_simulated_is_written_and_reads_the_same)
{
    const struct link_slots slots = {0, 0};

    for (int w = 1; w <= 6; w++)
        for (int n = 1; n <= 7; n++) {
            const char *name = systems[_i].name;
            struct schedule schedule = played_named(name, w, n, strstr(name, "-v") != NULL ? 2 : 1);
            struct simulation *unit_times, *nominal;
            struct error error;

            schedule.minibatches = schedule.order.flush ? 1 : 12 * w + 20;
            if (schedule_check(&schedule, &error) != 0)
                continue;
            ck_assert_msg(!simulate_unit(&schedule, slots, true, &unit_times, &error) &&
                              !simulate_nominal(&schedule, slots, true, &nominal, &error),
                          "%s", error.text);
            assert_written_and_read(&schedule, unit_times);
            assert_written_and_read(&schedule, nominal);
            simulation_destroy(unit_times);
            simulation_destroy(nominal);
        }
}
END_TEST

/* The simulator takes as long as the oracle for every file, whatever it does with the period. */
START_TEST(files_are_simulated)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        const struct random_schedule random = random_schedule_draw(seed);
        char *text = random_schedule_csv(&random, seed);
        struct csv_schedule csv = played_read(text);

        for (int k = csv.minibatches; k <= 3 * csv.minibatches; k += csv.minibatches) {
            struct schedule schedule = played_schedule(&csv);
            struct simulation *simulation;
            struct list_oracle oracle;
            struct error error;

            schedule.order = csv_order(&csv, "random.csv");
            schedule.backward = csv.flush ? BACKWARD_LIVE : csv.backward;
            schedule.minibatches = k;
            schedule.text = text;
            schedule.in_flight = csv.in_flight;
            ck_assert_msg(schedule_check(&schedule, &error) == 0, "%s", error.text);
            ck_assert_msg(simulate_nominal(&schedule, (struct link_slots){0, 0}, false, &simulation, &error) == 0,
                          "%s\n%s", error.text, text);
            ck_assert_msg(played_plays(&csv, k, &oracle, NULL), "%s", oracle.text);
            ck_assert_msg(simulation->duration == oracle.makespan, "%d mini-batches take %d, not %d:\n%s", k,
                          (int)simulation->duration, oracle.makespan, text);
            for (int s = 0; s < csv.stages; s++) {
                ck_assert_int_eq(simulation->duration - simulation->stages[s].busy, oracle.idle[s]);
                ck_assert_int_eq(simulation->stages[s].microbatches_in_flight, oracle.peak[s]);
            }
            simulation_destroy(simulation);
        }
        csv_release(&csv);
        free(text);
    }
}
END_TEST

START_TEST(random_valid_files_are_read)
{
    for (uint64_t seed = 0; seed < 600; seed++) {
        const struct random_schedule random = random_schedule_draw(seed);
        char *text = random_schedule_csv(&random, seed);
        struct csv_schedule csv = played_read(text);

        ck_assert_msg(csv.stages == random.stages && csv.parts == random.parts &&
                          csv.microbatches == random.microbatches && csv.minibatches == random.minibatches &&
                          csv.placement == random.placement,
                      "seed %d\n%s", (int)seed, text);
        for (int k = 1; k <= 2 * csv.minibatches + 1; k++)
            played_assert(&csv, k, text);
        played_round_trip(&csv, !random.whole && random.minibatches == 1, text);
        csv_release(&csv);
        free(text);
    }
}
END_TEST

static int below(uint64_t *state, size_t count)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((*state >> 33) % count);
}

/* Swaps two neighbouring cells, so that the order is another, and valid or not. */
static void swap_cells(char *text, uint64_t *dice)
{
    char *comma = strchr(text + below(dice, strlen(text)), ','), swapped[256];
    size_t left, right;

    if (comma == NULL)
        return;
    for (left = 0; comma - left > text && !strchr(",\n", comma[-(ptrdiff_t)left - 1]); left++)
        ;
    right = strcspn(comma + 1, ",\r\n");
    ck_assert_uint_lt(left + right + 2, sizeof(swapped));
    snprintf(swapped, sizeof(swapped), "%.*s,%.*s", (int)right, comma + 1, (int)left, comma - left);
    memcpy(comma - left, swapped, left + right + 1);
}

/* A valid file with a few cells swapped or bytes changed is refused, or still means something that can be run. */
START_TEST(whatever_is_accepted_can_be_run)
{
    static const char bytes[] = "0123456789FBIW,,,\n@-[]();";
    int accepted = 0, deadlocks = 0;

    for (uint64_t seed = 0; seed < 10000; seed++) {
        const struct random_schedule random = random_schedule_draw(seed);
        char *text = random_schedule_csv(&random, seed);
        struct csv_schedule csv;
        struct error error = {""};
        uint64_t dice = seed;

        for (int k = below(&dice, 4); k >= 0; k--)
            if (seed % 4 == 0)
                text[below(&dice, strlen(text))] = bytes[below(&dice, sizeof(bytes) - 1)];
            else
                swap_cells(text, &dice);
        if (csv_read(&csv, text, strlen(text), &error) == 0) {
            accepted++;
            played_assert(&csv, csv.minibatches, text);
            played_assert(&csv, csv.minibatches + 2 * csv.shift + 1, text);
            csv_release(&csv);
        } else {
            ck_assert_msg(strlen(error.text) > 10 && !strchr(error.text, '\n'), "%s", error.text);
            deadlocks += strstr(error.text, "can never run") != NULL;
        }
        free(text);
    }
    ck_assert_int_gt(accepted, 1000);
    ck_assert_int_gt(deadlocks, 10);
}
END_TEST

/* The file of a system without a flush, in nominal times. The caller frees it. */
static char *periodic_text(int draw)
{
    static const char *const names[] = {"timeprest", "pipedream", "pipedream-2bw"};
    const int w = 2 + draw / 3 % 4, kind = draw % 3;
    struct schedule schedule = played_named(names[kind], w, kind == 1 ? 1 : kind == 2 ? w : 1 + draw / 12 % 3, 1);
    struct simulation *simulation;
    struct error error;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    schedule.minibatches = 12 * w + 20;
    ck_assert(!schedule_check(&schedule, &error));
    ck_assert(!simulate_nominal(&schedule, (struct link_slots){0, 0}, true, &simulation, &error));
    ck_assert(!csv_write_simulation(out, &schedule, simulation, 0, &error));
    fclose(out);
    simulation_destroy(simulation);
    return text;
}

/* Swapped cells in and around periods: what is accepted can be run however often the period stands there. */
START_TEST(whatever_period_is_accepted_can_be_run_for_ever)
{
    int accepted = 0, deadlocks = 0;

    for (uint64_t seed = 0; seed < 3000; seed++) {
        char *text = periodic_text((int)seed % 36);
        struct csv_schedule csv;
        struct error error = {""};
        uint64_t dice = seed;

        for (int k = below(&dice, 3); k >= 0; k--)
            swap_cells(text, &dice);
        if (csv_read(&csv, text, strlen(text), &error) == 0) {
            accepted++;
            played_assert(&csv, csv.minibatches, text);
            played_assert(&csv, csv.minibatches + 30 * csv.shift, text);
            csv_release(&csv);
        } else {
            deadlocks += strstr(error.text, "can never run") != NULL;
        }
        free(text);
    }
    ck_assert_int_gt(accepted, 300);
    ck_assert_int_gt(deadlocks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv_random");
    TCase *tcase = tcase_create("random");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, what_is_simulated_is_written_and_reads_the_same, 0, system_count);
    tcase_add_test(tcase, files_are_simulated);
    tcase_add_test(tcase, random_valid_files_are_read);
    tcase_add_test(tcase, whatever_is_accepted_can_be_run);
    tcase_add_test(tcase, whatever_period_is_accepted_can_be_run_for_ever);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
