/* Every system trains what its rules say: against the independent oracle at the recorded weight versions, and against
 * each other where the rules coincide. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "tests/support/follow.h"
#include "tests/support/suite.h"
#include "tests/support/trained.h"

/* Systems and the papers' ablations, with the N that each is tested at. */
static const struct variant {
    const char *system, *forward_weights, *backward_weights, *vertical_sync;
    int microbatches;
    bool asynchronous;
} variants[] = {
    {"timeprest", "system", "system", "no", 3, true},
    {"v-timeprest", "system", "system", "no", 3, true},
    {"i-timeprest", "system", "system", "no", 3, true},
    {"i-timeprest", "system", "system", "no", 1, true},
    {"pipedream", "system", "system", "no", 1, true},
    {"pipedream", "system", "system", "yes", 1, true},
    {"pipedream-2bw", "system", "system", "no", 3, true},
    {"gpipe", "system", "system", "no", 3, false},
    {"1f1b", "system", "system", "no", 3, false},
    {"zb-h1", "system", "system", "no", 3, false},
    {"naive", "system", "system", "no", 1, false},
    {"timeprest", "system", "forward", "no", 3, true},   /* Variant 1: nF1B with the horizontal stash */
    {"pipedream", "pinned", "committed", "no", 1, true}, /* Variant 2: 1F1B without it */
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static struct settings variant_settings(const struct variant *variant, const char *arch, int stages, int batch,
                                        int samples, const char *rate)
{
    struct settings settings = settings_of(arch, stages, variant->microbatches, batch, samples);

    settings_set(&settings, "pipeline.system", variant->system);
    settings_set(&settings, "pipeline.forward_weights", variant->forward_weights);
    settings_set(&settings, "pipeline.backward_weights", variant->backward_weights);
    settings_set(&settings, "pipeline.vertical_sync", variant->vertical_sync);
    settings_set(&settings, "train.lr", rate);
    return settings;
}

START_TEST(every_system_follows_the_oracle)
{
    const struct variant *variant = &variants[_i];

    for (int stages = 1; stages <= 3; stages++)
        for (int order = 0; order < 2; order++) {
            struct settings settings = variant_settings(variant, "mlp", stages, 8, 52, "0.02");

            settings_set(&settings, "pipeline.order", order ? "static" : "dynamic");
            settings_set(&settings, "staleness.decay", "0.5");
            settings_set(&settings, "pipeline.backward_activations", stages == 3 && order ? "recompute" : "stored");
            follow_oracle(&settings);
        }
}
END_TEST

START_TEST(every_system_follows_the_oracle_on_a_residual_network)
{
    struct settings settings = variant_settings(&variants[_i], "resnet8", 3, 6, 27, "0.005");
    int differences;

    settings_set(&settings, "pipeline.order", "static");
    differences = follow_oracle(&settings).differences;
    /* The stash gives forward and backward the same weights, a flush leaves one version. */
    if (!variants[_i].asynchronous)
        ck_assert_int_eq(differences, 0);
}
END_TEST

/* Trains and returns the weights. */
static const char *const backends[] = {"reference", "onednn"};
static const char *const synchronous[] = {"gpipe", "1f1b", "zb-h1"};

static struct settings synchronous_settings(const char *system, int stages, int microbatches, const char *backend)
{
    struct settings settings = settings_of("resnet8", stages, microbatches, 12, 44);

    settings_set(&settings, "pipeline.system", system);
    settings_set(&settings, "device.backend", backend);
    settings_set(&settings, "train.lr", "0.02");
    return settings;
}

/* Same micro-batches, same order of additions: neither W nor the order of work may show. */
START_TEST(synchronous_systems_do_not_depend_on_stages_or_order)
{
    for (int microbatches = 1; microbatches <= 4; microbatches += 3) {
        struct settings one = synchronous_settings("gpipe", 1, microbatches, backends[_i]);

        for (int system = 0; system < 3; system++)
            for (int stages = 2; stages <= 5; stages += 3) {
                struct settings other = synchronous_settings(synchronous[system], stages, microbatches, backends[_i]);

                trained_assert_same(&one, &other, 0, synchronous[system]);
            }
    }
}
END_TEST

/* One batched backward or N: the same sums in another order. */
START_TEST(batched_backward_equals_one_per_microbatch)
{
    struct settings batched = synchronous_settings("timeprest", 1, 4, backends[_i]);
    struct settings separate = synchronous_settings("gpipe", 1, 4, backends[_i]);

    trained_assert_same(&batched, &separate, 1e-4, "timeprest and gpipe with one stage");
}
END_TEST

/* With a single mini-batch there is a single version. */
START_TEST(all_systems_agree_on_the_first_update)
{
    struct settings one = settings_of("resnet8", 1, variants[_i].microbatches, 12, 12);
    struct settings other = variant_settings(&variants[_i], "resnet8", 3, 12, 12, "0.02");

    settings_set(&one, "train.lr", "0.02");
    trained_assert_same(&one, &other, 1e-6, variants[_i].system);
}
END_TEST

static struct settings static_settings(const char *system, const char *backward, int microbatches)
{
    struct settings settings = settings_of("resnet8", 4, microbatches, 12, 140);

    settings_set(&settings, "device.backend", "onednn");
    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "pipeline.system", system);
    settings_set(&settings, "pipeline.backward_weights", backward);
    settings_set(&settings, "train.lr", "0.02");
    return settings;
}

START_TEST(intermediate_weight_has_both_ends)
{
    struct settings blended = static_settings("i-timeprest", "system", _i);
    struct settings live = static_settings("timeprest", "live", _i);
    struct settings constant = static_settings("i-timeprest", "system", _i);
    struct settings stash = static_settings("timeprest", "forward", _i);

    /* exp(-1000 d) is 0 for any staleness d. */
    settings_set(&blended, "staleness.decay", "1000");
    trained_assert_same(&blended, &live, 0, "decay 1000 and live");
    settings_set(&constant, "staleness.significance", "constant");
    settings_set(&constant, "staleness.decay", "1");
    trained_assert_same(&constant, &stash, 1e-3, "significance 1 and the stash");
}
END_TEST

START_TEST(versions_and_memory_equal_the_plan)
{
    const struct variant *variant = &variants[_i];
    static struct pipeline pipeline;
    struct settings settings = variant_settings(variant, "resnet8", 3, 8, 120, "0.02");

    settings_set(&settings, "device.backend", "onednn");
    settings_set(&settings, "pipeline.order", "static");
    pipeline_run(&pipeline, settings_list(&settings));
    for (int s = 1; s <= 3; s++) {
        const struct plan_part *plan = &pipeline.plan.parts[s - 1];
        const struct counters *counters = &segment_stage(&pipeline.segment, s)->counters;

        ck_assert_int_eq(counters->versions_peak, plan->weight_versions);
        ck_assert_int_eq(counters->in_flight_peak, plan->minibatches_in_flight);
        for (int m = 0; m < MEMORY_CATEGORIES; m++)
            ck_assert_msg(counters->memory_peak[m] == plan->memory[m], "%s, stage %d: %s: %zu bytes, planned %zu",
                          variant->system, s, memory_category_name((enum memory_category)m),
                          (size_t)counters->memory_peak[m], plan->memory[m]);
    }
    pipeline_destroy(&pipeline);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("systems");
    TCase *tcase = tcase_create("systems");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, every_system_follows_the_oracle, 0, VARIANTS);
    tcase_add_loop_test(tcase, every_system_follows_the_oracle_on_a_residual_network, 0, VARIANTS);
    tcase_add_loop_test(tcase, synchronous_systems_do_not_depend_on_stages_or_order, 0, COUNT(backends));
    tcase_add_loop_test(tcase, batched_backward_equals_one_per_microbatch, 0, COUNT(backends));
    tcase_add_loop_test(tcase, all_systems_agree_on_the_first_update, 0, VARIANTS);
    tcase_add_loop_test(tcase, intermediate_weight_has_both_ends, 1, 4);
    tcase_add_loop_test(tcase, versions_and_memory_equal_the_plan, 0, VARIANTS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
