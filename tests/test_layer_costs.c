/* Goal of this test: what a layer costs is told for every layer of a network: bytes always, seconds only where they are
 * asked for; and how much memory measuring them takes is foretold. */
#include <check.h>
#include <stdlib.h>

#include "base/error.h"
#include "tests/support/planned.h"
#include "tests/support/suite.h"
#include "timing/layer_costs.h"

enum { UNTOUCHED = -1 };

static struct plan plan;
static struct network *network;
static struct error error;

static struct layer_cost *find(bool measured)
{
    struct layer_cost *costs = calloc((size_t)network->layer_count, sizeof(*costs));

    for (int l = 0; l < network->layer_count; l++) {
        costs[l].update_seconds = UNTOUCHED;
        for (int kind = 0; kind < OP_KINDS; kind++)
            costs[l].op_seconds[kind] = UNTOUCHED;
    }
    ck_assert_msg(layer_costs_find(costs, &plan, network, plan_stage(&plan, 1), measured, &error) == 0, "%s",
                  error.text);
    return costs;
}

static void make_plan(const char *system, const char *arch)
{
    planned(&plan, &network,
            (const char *const[]){system, arch, "pipeline.stages=1", "pipeline.microbatches=2",
                                  strcmp(arch, "model.arch=mlp") == 0 ? "model.depth=1" : NULL, NULL},
            false);
}

static const char *const systems_of_both_backwards[] = {"pipeline.system=timeprest", "pipeline.system=zb-h1"};

START_TEST(every_layer_has_its_bytes_and_seconds)
{
    make_plan(systems_of_both_backwards[_i], "model.arch=resnet8");
    struct layer_cost *bytes = find(false), *all = find(true);

    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        const double *seconds = all[l].op_seconds;

        ck_assert_uint_eq(bytes[l].saved_floats, layer->kind == LAYER_BATCH_NORM ? 2 * (size_t)layer->out.channels : 0);
        ck_assert_uint_eq(all[l].saved_floats, bytes[l].saved_floats);
        ck_assert_uint_eq(all[l].workspace_bytes, bytes[l].workspace_bytes);
        for (int kind = 0; kind < OP_KINDS; kind++)
            ck_assert_double_eq(bytes[l].op_seconds[kind], UNTOUCHED);
        ck_assert_double_eq(bytes[l].update_seconds, UNTOUCHED);
        ck_assert(seconds[OP_FORWARD] > 0 && seconds[OP_BACKWARD_INPUT] > 0 && seconds[OP_BACKWARD_WEIGHTS] > 0);
        ck_assert(all[l].update_seconds > 0);
        ck_assert_double_eq(seconds[OP_BACKWARD], seconds[OP_BACKWARD_INPUT] + seconds[OP_BACKWARD_WEIGHTS]);
    }
    free(bytes);
    free(all);
    network_destroy(network);
}
END_TEST

/* One layer, 784 numbers to 10, and mini-batches of 8 images: input and output, and the gradient of each; weights, their
 * gradients and the two vectors that an optimizer may keep; scratch; and the largest of them once more. */
START_TEST(the_memory_of_measuring_is_foretold)
{
    enum { IN = 8 * 784, OUT = 8 * 10, WEIGHTS = 784 * 10 + 10 };

    make_plan("pipeline.system=timeprest", "model.arch=mlp");
    ck_assert_int_eq(network->layer_count, 1);
    struct layer_cost *costs = find(false);

    costs[0].workspace_bytes = 4000;
    ck_assert_uint_eq(layer_costs_bytes(costs, &plan, network), 4 * (2 * IN + 2 * OUT + 4 * WEIGHTS + 1001 + WEIGHTS));
    free(costs);
    network_destroy(network);
}
END_TEST

START_TEST(a_backend_that_is_not_there_is_named)
{
    struct layer_cost cost;
    struct plan_stage stage = {.backend = "abacus"};

    make_plan("pipeline.system=timeprest", "model.arch=mlp");
    ck_assert_int_eq(layer_costs_find(&cost, &plan, network, &stage, false, &error), -1);
    ck_assert_str_eq(error.text, "backend abacus is not built in");
    network_destroy(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layer costs");
    TCase *tcase = tcase_create("layer costs");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_layer_has_its_bytes_and_seconds, 0, COUNT(systems_of_both_backwards));
    tcase_add_test(tcase, the_memory_of_measuring_is_foretold);
    tcase_add_test(tcase, a_backend_that_is_not_there_is_named);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
