#include "tests/support/planned.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/devices.h"
#include "coordinator/probe.h"
#include "data/data.h"

enum { OVERRIDES_MAX = 32 };

/* Earlier ones give way to a test's own. */
static const char *const defaults[] = {
    "data.set=synthetic", "data.limit=40", "data.batch=8", "model.arch=mlp", "run.epochs=1", "device.backend=reference",
};

static int collect(const char *const *overrides, const char *all[OVERRIDES_MAX])
{
    int count = 0, given = 0;

    while (overrides[given])
        given++;
    for (size_t d = 0; d < sizeof(defaults) / sizeof(defaults[0]); d++) {
        size_t key = (size_t)(strchr(defaults[d], '=') - defaults[d]) + 1;
        int i;

        for (i = 0; i < given && strncmp(defaults[d], overrides[i], key); i++)
            ;
        if (i == given)
            all[count++] = defaults[d];
    }
    for (int i = 0; i < given; i++) {
        ck_assert_int_lt(count, OVERRIDES_MAX);
        all[count++] = overrides[i];
    }
    return count;
}

static struct data_facts data_facts(const struct config *config)
{
    struct data_options options = plan_data_options(config);
    struct data_facts facts;
    struct dataset *dataset;
    struct error error;

    ck_assert_msg(!dataset_open(&dataset, &options, DATA_IMAGES | DATA_TARGETS, &error), "%s", error.text);
    facts = (struct data_facts){.train_count = dataset->train.count,
                                .test_count = dataset->test.count,
                                .shape = dataset->train.shape,
                                .tokens = dataset->train.token_bytes > 0,
                                .normalisation = dataset->normalisation};
    dataset_close(dataset);
    return facts;
}

void planned(struct plan *plan, struct network **network, const char *const *overrides, bool probe)
{
    const char *all[OVERRIDES_MAX];
    int count = collect(overrides, all);
    static struct config_mistakes mistakes;
    struct devices devices = {.machine.backends[PLACE_CPU] = "reference"};
    struct layer_cost *costs;
    struct data_facts facts;
    struct config config;
    struct error error;

    ck_assert_msg(!config_load(&config, "/dev/null", all, count, &mistakes), "%s", mistakes.lines[0]);
    facts = data_facts(&config);
    ck_assert_msg(!plan_begin(plan, &config, &facts, network, &mistakes), "%s",
                  mistakes.count ? mistakes.lines[0] : "?");
    ck_assert_msg(!probe || !devices_find(&devices, &config, NULL, &error), "%s", error.text);
    ck_assert_msg(!plan_place(plan, &devices.machine, &mistakes), "%s", mistakes.lines[0]);
    costs = calloc(PLACES * (size_t)(*network)->layer_count, sizeof(*costs));
    const struct probe_request request = {
        .plan = plan, .network = *network, .measured = plan_wants_seconds(plan), .runs = true};
    ck_assert_msg((!probe || !probe_costs(&request, costs, &error)) && !plan_finish(plan, *network, costs, &error),
                  "%s", error.text);
    free(costs);
}
