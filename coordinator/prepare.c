#include "coordinator/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/probe.h"
#include "coordinator/resume.h"
#include "coordinator/run_folder.h"

/* Reads the whole data set, so that what is damaged is found before anything starts. */
static int count_data(struct data_facts *facts, const struct config *config, struct config_mistakes *mistakes)
{
    struct data_options options = plan_data_options(config);
    struct dataset *dataset;
    struct error error;

    if (dataset_open(&dataset, &options, DATA_IMAGES | DATA_LABELS, &error)) {
        config_mistake(mistakes, config->data.dir[0] ? "data.dir" : "data.set", "%s", error.text);
        return -1;
    }
    facts->train_count = dataset->train.count;
    facts->test_count = dataset->test.count;
    facts->shape = dataset->train.shape;
    dataset_close(dataset);
    return 0;
}

static int begin(struct prepared *prepared, const struct preparation *preparation, struct config_mistakes *mistakes)
{
    struct config config;
    struct data_facts facts;

    if (config_load(&config, preparation->path, preparation->overrides, preparation->override_count, mistakes) ||
        count_data(&facts, &config, mistakes) ||
        plan_begin(&prepared->plan, &config, &facts, &prepared->network, mistakes))
        return -1;
    if (preparation->depth != PREPARE_RUN)
        return 0;
    if (!preparation->resume)
        return run_folder_create(prepared->folder, &config, mistakes);
    if (resume_open(&prepared->from, preparation->resume, &config, &facts, mistakes))
        return -1;
    memcpy(prepared->folder, prepared->from.run_folder, sizeof(prepared->folder));
    return 0;
}

static int finish(struct plan *plan, const struct network *network, bool measured, struct error *error)
{
    struct layer_cost *costs = calloc((size_t)network->layer_count, sizeof(*costs));
    int result = -1;

    if (!costs)
        return error_set(error, "out of memory for the plan");
    if (probe_costs(plan, network, measured || plan_wants_seconds(plan), costs, error) == 0)
        result = plan_finish(plan, network, costs, error);
    free(costs);
    return result;
}

enum exit_status prepare(struct prepared *prepared, const struct preparation *preparation)
{
    struct config_mistakes mistakes;
    struct error error;

    prepared->network = NULL;
    prepared->folder[0] = '\0';
    prepared->from.manifest = (struct manifest){.stage_count = 0};
    if (begin(prepared, preparation, &mistakes)) {
        config_mistakes_print(&mistakes, stderr);
        prepared_release(prepared);
        return EXIT_USAGE;
    }
    if (preparation->depth != PREPARE_SCHEDULE &&
        finish(&prepared->plan, prepared->network, preparation->measured, &error)) {
        fprintf(stderr, "tpcoord: %s\n", error.text);
        prepared_release(prepared);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

void prepared_release(struct prepared *prepared)
{
    network_destroy(prepared->network);
    set_release(&prepared->from);
    if (prepared->folder[0] != '\0')
        run_folder_discard(prepared->folder);
}
