/* Every method against staleness computes what its formula says: runs against the independent oracle, which has the
 * formulas once more, at the versions that were recorded. And where nothing is stale, a method is its optimizer alone. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/follow.h"
#include "tests/support/suite.h"
#include "tests/support/trained.h"

/* What a method must have changed in a run of two stages or more, lest a test proves nothing. */
enum { FORWARDS = 1, BACKWARDS = 2, UPDATES = 4 };

static const struct row {
    const char *keys; /* "section.key=value ..." */
    int microbatches;
    int changes;
} rows[] = {
    /* Optimizers alone */
    {"pipeline.system=stale", 1, 0},
    {"pipeline.system=stale train.nesterov=yes train.decay_norms=no train.weight_decay=0.1", 1, 0},
    {"pipeline.system=stale train.momentum=0 train.clip_norm=1", 1, 0},
    {"pipeline.system=stale train.optimizer=adamw train.weight_decay=0.1", 1, 0},
    {"pipeline.system=stale train.optimizer=nadamw train.weight_decay=0.1 train.decay_norms=yes train.clip_norm=1", 1,
     0},
    {"pipeline.system=v-timeprest train.optimizer=adamw train.clip_norm=1", 3, 0},
    /* Forwards that predict */
    {"pipeline.system=spectrain", 1, FORWARDS},
    {"pipeline.system=spectrain train.nesterov=yes", 1, FORWARDS},
    {"pipeline.system=spectrain train.momentum=0 train.clip_norm=1", 1, FORWARDS},
    {"pipeline.system=spectrain train.clip_norm=1", 1, FORWARDS},
    {"pipeline.system=spectrain train.optimizer=adamw", 1, FORWARDS},
    {"pipeline.system=spectrain train.optimizer=nadamw", 1, FORWARDS},
    {"pipeline.system=pipeoptim", 1, FORWARDS},
    {"pipeline.system=pipeoptim staleness.further=0 train.nesterov=yes", 1, FORWARDS},
    {"pipeline.system=pipeoptim train.optimizer=adamw train.weight_decay=0.1", 1, FORWARDS},
    {"pipeline.system=pipeoptim train.optimizer=nadamw staleness.further=2", 1, FORWARDS},
    {"pipeline.system=msnag", 1, FORWARDS},
    {"pipeline.system=msnag train.nesterov=yes", 1, FORWARDS},
    {"pipeline.system=msnag train.optimizer=adamw", 1, FORWARDS},
    {"pipeline.system=msnag train.optimizer=nadamw", 1, FORWARDS},
    {"pipeline.system=stale pipeline.forward_weights=linear", 1, FORWARDS},
    {"pipeline.system=stale pipeline.forward_weights=linear train.optimizer=nadamw", 1, FORWARDS},
    {"pipeline.system=v-timeprest pipeline.forward_weights=spectrain", 2, FORWARDS},
    {"pipeline.system=v-timeprest pipeline.forward_weights=pipeoptim train.optimizer=adamw", 3, FORWARDS},
    {"pipeline.system=timeprest pipeline.forward_weights=msnag pipeline.backward_weights=live", 2, FORWARDS},
    /* Backwards that read a sum */
    {"pipeline.system=pipemare", 1, BACKWARDS | UPDATES},
    {"pipeline.system=pipemare train.optimizer=adamw staleness.anneal=0.5", 1, BACKWARDS | UPDATES},
    {"pipeline.system=pipemare staleness.update=plain staleness.discrepancy=0.5", 1, BACKWARDS},
    {"pipeline.system=stale pipeline.backward_weights=spectrain", 1, 0},
    {"pipeline.system=v-timeprest pipeline.backward_weights=pipemare", 3, BACKWARDS},
    {"pipeline.system=timeprest pipeline.backward_weights=pipemare", 2, BACKWARDS},
    {"pipeline.system=i-timeprest staleness.significance=hyperbolic", 2, BACKWARDS},
    {"pipeline.system=pipedream pipeline.backward_weights=intermediate train.optimizer=adamw", 1, BACKWARDS},
    /* Updates that mind. With decay, gap-aware's gaps are more than a few roundings wide where no gradient came; dc-asgd's
     * term shows in so few mini-batches if it is strong. */
    {"pipeline.system=nesterov-async", 1, UPDATES},
    {"pipeline.system=nesterov-async staleness.update=nesterov-by-stage", 1, UPDATES},
    {"pipeline.system=stale train.optimizer=adamw staleness.update=nesterov-by-stage", 1, UPDATES},
    {"pipeline.system=spike-compensation", 1, UPDATES},
    {"pipeline.system=spike-compensation pipeline.backward_weights=forward train.clip_norm=1", 1, UPDATES},
    {"pipeline.system=gap-aware train.weight_decay=0.1", 1, UPDATES},
    {"pipeline.system=gap-aware train.nesterov=yes train.decay_norms=no train.weight_decay=0.1", 1, UPDATES},
    {"pipeline.system=gap-aware pipeline.backward_weights=live train.clip_norm=1 train.weight_decay=0.1", 1, UPDATES},
    {"pipeline.system=dc-asgd staleness.strength=1000", 1, UPDATES},
    {"pipeline.system=dc-asgd train.momentum=0 staleness.strength=1000 train.clip_norm=1", 1, UPDATES},
    {"pipeline.system=dc-asgd train.optimizer=adamw staleness.strength=1000", 1, UPDATES},
    {"pipeline.system=v-timeprest staleness.update=spike-compensation", 3, UPDATES},
    {"pipeline.system=timeprest staleness.update=pipemare", 1, UPDATES},
    {"pipeline.system=timeprest staleness.update=gap-aware train.weight_decay=0.1", 2, UPDATES},
    {"pipeline.system=i-timeprest staleness.update=dc-asgd staleness.strength=1000", 3, BACKWARDS | UPDATES},
    {"pipeline.system=pipedream-2bw staleness.update=dc-asgd staleness.strength=1000", 5, UPDATES},
    {"pipeline.system=pipedream-2bw staleness.update=spike-compensation", 5, UPDATES},
    /* Several at once */
    {"pipeline.system=spectrain staleness.update=spike-compensation", 1, FORWARDS | UPDATES},
    {"pipeline.system=msnag pipeline.backward_weights=pipemare staleness.update=pipemare", 1,
     FORWARDS | BACKWARDS | UPDATES},
    {"pipeline.system=pipeoptim train.optimizer=nadamw staleness.update=nesterov-by-stage", 1, FORWARDS | UPDATES},
    {"pipeline.system=pipemare pipeline.backward_weights=spectrain staleness.update=gap-aware train.weight_decay=0.1",
     1, UPDATES},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Adds keys, "section.key=value ...". */
static void add_keys(struct settings *settings, const char *keys)
{
    char copy[512], *rest = copy, *key;

    snprintf(copy, sizeof(copy), "%s", keys);
    while ((key = strsep(&rest, " ")) != NULL) {
        char *value = strchr(key, '=');

        *value = '\0';
        settings_set(settings, key, value + 1);
    }
}

static bool has(const char *keys, const char *word)
{
    return strstr(keys, word) != NULL;
}

static struct settings settings_for(const char *arch, const char *keys, int stages, int microbatches, int batch,
                                    int samples)
{
    struct settings settings = settings_of(arch, stages, microbatches, batch, samples);
    const bool moments = has(keys, "adamw") || has(keys, "system=nesterov");

    /* A gradient that is hardly more than rounding would move a weight as far as any other. */
    if (moments)
        settings_set(&settings, "train.epsilon", "1e-5");
    settings_set(&settings, "train.lr", moments ? "0.0005" : "0.002");
    add_keys(&settings, keys);
    return settings;
}

static void set_modes(struct settings *settings, int modes)
{
    settings_set(settings, "pipeline.order", modes & 1 ? "dynamic" : "static");
    settings_set(settings, "staleness.measure", modes & 2 ? "measured" : "nominal");
    settings_set(settings, "pipeline.backward_activations", modes & 4 ? "recompute" : "stored");
}

static void assert_changes(const struct row *row, const struct followed *followed, const char *what)
{
    ck_assert_msg(!(row->changes & FORWARDS) || followed->forwards > 0, "%s: no forward predicted", what);
    ck_assert_msg(!(row->changes & BACKWARDS) || followed->backwards > 0, "%s: no backward read a sum", what);
    ck_assert_msg(!(row->changes & UPDATES) || followed->updates > 0, "%s: no update minded", what);
}

/* Modes take turns from row to row and from W to W. */
START_TEST(every_method_follows_the_oracle)
{
    const struct row *row = &rows[_i];
    const int batch = row->microbatches > 3 ? 7 : 4;

    for (int stages = 1; stages <= 5; stages++) {
        struct settings settings =
            settings_for("mlp", row->keys, stages, row->microbatches, batch, (2 * stages + 3) * batch + 2);
        const int modes = (_i + 3 * stages) % 8;
        struct followed followed;

        settings_set(&settings, "model.depth", stages < 4 ? "3" : "5");
        set_modes(&settings, modes);
        followed = follow_oracle(&settings);
        /* A list is certain to have mini-batches overlap. */
        if (stages > 2 && !(modes & 1))
            assert_changes(row, &followed, row->keys);
    }
}
END_TEST

static const struct row residual[] = {
    {"pipeline.system=gap-aware train.decay_norms=no train.weight_decay=0.1", 1, UPDATES},
    {"pipeline.system=stale train.optimizer=adamw train.weight_decay=0.1", 1, 0},
    {"pipeline.system=spectrain run.epochs=2 train.lr_schedule=cosine train.warmup_epochs=0.5", 1, FORWARDS},
    {"pipeline.system=msnag pipeline.backward_weights=pipemare train.optimizer=nadamw", 1, FORWARDS | BACKWARDS},
};

/* Norms have weights about 1, which decay moves; and running statistics follow forwards that read sums. */
START_TEST(methods_follow_the_oracle_on_a_residual_network)
{
    const struct row *row = &residual[_i];
    struct settings settings = settings_for("resnet8", row->keys, 4, 1, 3, 20);
    struct followed followed;

    set_modes(&settings, _i == 2 ? 4 : 2);
    followed = follow_oracle(&settings);
    assert_changes(row, &followed, row->keys);
}
END_TEST

/* A method, and the optimizer that it is where nothing is stale. */
static const struct {
    const char *method, *plain;
} equals[] = {
    {"pipeline.system=spectrain", "pipeline.system=stale"},
    {"pipeline.system=spectrain train.optimizer=adamw", "pipeline.system=stale train.optimizer=adamw"},
    {"pipeline.system=pipeoptim staleness.further=0", "pipeline.system=stale"},
    {"pipeline.system=pipeoptim staleness.further=0 train.optimizer=nadamw",
     "pipeline.system=stale train.optimizer=nadamw"},
    {"pipeline.system=msnag train.nesterov=yes", "pipeline.system=naive train.nesterov=yes"},
    {"pipeline.system=msnag train.optimizer=adamw", "pipeline.system=naive train.optimizer=adamw"},
    {"pipeline.system=pipemare", "pipeline.system=stale"},
    {"pipeline.system=pipemare train.optimizer=adamw", "pipeline.system=pipedream train.optimizer=adamw"},
    {"pipeline.system=nesterov-async", "pipeline.system=stale train.optimizer=nadamw train.beta1=0.99"},
    {"pipeline.system=nesterov-async staleness.update=nesterov-by-stage",
     "pipeline.system=naive train.optimizer=nadamw"},
    {"pipeline.system=spike-compensation", "pipeline.system=naive"},
    {"pipeline.system=gap-aware", "pipeline.system=stale"},
    {"pipeline.system=gap-aware train.nesterov=yes", "pipeline.system=naive train.nesterov=yes"},
    {"pipeline.system=dc-asgd staleness.strength=1000", "pipeline.system=stale"},
    {"pipeline.system=dc-asgd train.optimizer=adamw", "pipeline.system=pipedream train.optimizer=adamw"},
};
enum { EQUALS = sizeof(equals) / sizeof(equals[0]) };

static float *train(const char *keys, int measured, size_t *count)
{
    struct settings settings = settings_for("resnet8", keys, 1, 1, 4, 26);

    settings_set(&settings, "staleness.measure", measured ? "measured" : "nominal");
    return trained_weights(&settings, count);
}

START_TEST(without_staleness_a_method_is_its_optimizer)
{
    size_t count, plain_count;
    float *method = train(equals[_i].method, _i % 2, &count), *plain = train(equals[_i].plain, 0, &plain_count);

    ck_assert_uint_eq(count, plain_count);
    ck_assert_msg(memcmp(method, plain, count * sizeof(*plain)) == 0, "%s is not %s with one stage", equals[_i].method,
                  equals[_i].plain);
    free(method);
    free(plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("methods");
    TCase *tcase = tcase_create("methods");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, every_method_follows_the_oracle, 0, ROWS);
    tcase_add_loop_test(tcase, methods_follow_the_oracle_on_a_residual_network, 0, COUNT(residual));
    tcase_add_loop_test(tcase, without_staleness_a_method_is_its_optimizer, 0, EQUALS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
