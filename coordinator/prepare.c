#include "coordinator/prepare.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/init.h"
#include "coordinator/cables.h"
#include "coordinator/hosts.h"
#include "coordinator/new_run.h"
#include "coordinator/probe.h"
#include "coordinator/resume.h"
#include "coordinator/room.h"
#include "coordinator/world.h"
#include "plan/predict.h"
#include "plan/replay.h"

static void say_notice(const char *what, const char *where)
{
    fprintf(stderr, "tpcoord: %s: %s\n", where, what);
}

/* Reads the whole data set, so that what is damaged is found before anything starts, and leaves it in `data` if runs
 * will follow. */
static int read_data(struct data_facts *facts, struct shared_data *data, const struct config *config,
                     struct error *error)
{
    struct data_options options = plan_data_options(config);
    struct dataset *dataset;
    struct error ignored;

    options.room = room_bytes();
    options.notice = say_notice;
    if (dataset_open(&dataset, &options, DATA_IMAGES | DATA_TARGETS, error))
        return -1;
    facts->train_count = dataset->train.count;
    facts->test_count = dataset->test.count;
    facts->shape = dataset->train.shape;
    facts->tokens = dataset->train.token_bytes > 0;
    facts->normalisation = dataset->normalisation;
    facts->crc32 = data ? dataset_crc32(dataset, options.classes) : 0;
    if (!data) {
        dataset_close(dataset);
        return 0;
    }
    const int descriptor = dataset_share(dataset, &ignored);
    *data = (struct shared_data){.facts = *facts, .descriptor = descriptor > 0 ? descriptor : 0};
    return 0;
}

static int refuse_data(const struct config *config, const struct error *why, const char *advice,
                       struct config_mistakes *mistakes)
{
    const bool simulates = config->simulation.forward_ms.count > 0;

    config_mistake(mistakes, plan_data_key(config), "%s%s", why->text, simulates ? advice : "");
    return -1;
}

/* For a simulation whose times are all given, what is known of a data set does as well: `unread` says why it was not
 * read, or "". */
static int find_data(struct data_facts *facts, struct error *unread, const struct preparation *preparation,
                     const struct config *config, struct config_mistakes *mistakes)
{
    const struct data_options options = plan_data_options(config);
    struct samples train, test;

    unread->text[0] = '\0';
    if (preparation->data && preparation->data->facts.train_count > 0) {
        *facts = preparation->data->facts;
        return 0;
    }
    if (read_data(facts, preparation->data, config, unread) == 0) {
        unread->text[0] = '\0';
        return 0;
    }
    if (!preparation->simulated)
        return refuse_data(config, unread, "", mistakes);
    if (!dataset_foretell(&options, &train, &test))
        return refuse_data(config, unread,
                           "; to simulate without it, describe it with data.set = synthetic, data.limit and "
                           "data.synthetic_size",
                           mistakes);
    *facts = (struct data_facts){.train_count = train.count,
                                 .test_count = test.count,
                                 .shape = train.shape,
                                 .tokens = data_source_has_tokens(config->data.set)};
    return 0;
}

/* Says what the plan is for; or that it cannot be. */
static int check_unread(const struct plan *plan, const struct error *unread, struct config_mistakes *mistakes)
{
    const struct data_facts *facts = &plan->data;

    if (!predict_all_given(plan))
        return refuse_data(&plan->config, unread,
                           "; a simulation needs no data where all times are given, update_ms too", mistakes);
    fprintf(stderr, "tpcoord: simulated for the %d + %d images of %d x %d x %d that %s has; it was not read: %s\n",
            facts->train_count, facts->test_count, facts->shape.height, facts->shape.width, facts->shape.channels,
            plan->config.data.set, unread->text);
    return 0;
}

/* Before the data set is read. */
static int check_size(const struct config *config, struct config_mistakes *mistakes)
{
    if (config_fits_run(config))
        return 0;
    if (config->pipeline.stages > MAX_STAGES)
        config_mistake(mistakes, "pipeline.stages",
                       "%d stages can be planned, drawn and simulated (tpcoord plan), but not be run; use at most %d",
                       config->pipeline.stages, MAX_STAGES);
    else
        config_mistake(
            mistakes, "pipeline.parts",
            "%d for each of %d stages can be planned, drawn and simulated (tpcoord plan), but not be run; use "
            "at most %d parts in all",
            config->pipeline.parts, config->pipeline.stages, MAX_PARTS);
    return -1;
}

void shared_data_release(struct shared_data *data)
{
    if (data->descriptor > 0)
        close(data->descriptor);
    *data = (struct shared_data){.descriptor = 0};
}

static bool same_pipeline(const struct config *one, const struct config *other)
{
    return one->pipeline.static_times == STATIC_MEASURED && other->pipeline.static_times == STATIC_MEASURED &&
           one->pipeline.order == RUN_STATIC && one->pipeline.stages == other->pipeline.stages &&
           one->pipeline.parts == other->pipeline.parts && strcmp(one->pipeline.system, other->pipeline.system) == 0 &&
           one->pipeline.microbatches == other->pipeline.microbatches && one->data.batch == other->data.batch;
}

/* Where nothing goes on from a checkpoint, which has weights of its own. */
static int check_init(const struct prepared *prepared, const struct preparation *preparation,
                      struct config_mistakes *mistakes)
{
    const char *path = prepared->plan.config.model.init;
    struct error error;

    if (path[0] == '\0' || preparation->resume || init_check(path, prepared->network, &error) == 0)
        return 0;
    config_mistake(mistakes, "model.init", "%s", error.text);
    return -1;
}

static bool same_parameters(const struct config *one, const struct config *other)
{
    return one->model.depth == other->model.depth && one->model.width == other->model.width &&
           one->model.classes == other->model.classes;
}

/* The partition that the checkpoint was made with, if the config still asks for as many parts and leaves it open. */
static void keep_partition(struct config *config, const struct manifest *manifest)
{
    const int parts = config->pipeline.stages * config->pipeline.parts;

    if (config->pipeline.partition.count > 0 || parts != manifest->stage_count ||
        strcmp(config->model.arch, manifest->config.model.arch) != 0 || !same_parameters(config, &manifest->config))
        return;
    config->pipeline.partition.count = parts;
    memcpy(config->pipeline.partition.values, manifest->partition, (size_t)parts * sizeof(manifest->partition[0]));
}

static bool same_balance(const struct config *one, const struct config *other)
{
    return one->pipeline.balance == BALANCE_MEASURED && other->pipeline.balance == BALANCE_MEASURED &&
           one->pipeline.order == RUN_STATIC && other->pipeline.order == RUN_STATIC;
}

/* The config that the checkpoint was made with, for its test alone. */
static int take_config(struct config *config, struct prepared *prepared, const struct preparation *preparation,
                       struct config_mistakes *mistakes)
{
    const struct manifest *manifest = &prepared->from.manifest;
    struct error error;

    if (resume_look(&prepared->from, &prepared->folder, preparation->test, &error)) {
        const struct error reason = error;

        error_set(&error, "tpcoord: %s", reason.text);
        memset(mistakes, 0, sizeof(*mistakes));
        config_mistake_line(mistakes, error.text);
        return -1;
    }
    *config = manifest->config;
    if (config_override(config, preparation->test, preparation->overrides, preparation->override_count, mistakes))
        return -1;
    keep_partition(config, manifest);
    config->run.epochs = manifest->epoch;
    config->run.restarts = 0;
    config->run.record = false;
    config->checkpoints.every = (struct config_interval){.count = 0};
    return 0;
}

/* The data may be other than the run's, as long as the network is the one that was trained. */
static int check_test(const struct prepared *prepared, struct config_mistakes *mistakes)
{
    const struct manifest *manifest = &prepared->from.manifest;
    const struct shape is = prepared->plan.data.shape, was = manifest->shape;

    if (memcmp(&is, &was, sizeof(is)) != 0)
        config_mistake(mistakes, "data.set", "its images are %d x %d x %d, those of the checkpoint %d x %d x %d",
                       is.height, is.width, is.channels, was.height, was.width, was.channels);
    else if (manifest->network_crc32 != plan_network_crc32(&prepared->plan) ||
             !same_parameters(&prepared->plan.config, &manifest->config))
        config_mistake(mistakes, "model.arch", "%s is another network than the one that the checkpoint was made with",
                       prepared->plan.config.model.arch);
    return mistakes->count > 0 ? -1 : 0;
}

static int begin_test(struct prepared *prepared, const struct preparation *preparation,
                      struct config_mistakes *mistakes)
{
    const struct normalisation *was = &prepared->from.manifest.normalisation;
    struct config config;
    struct data_facts facts;
    struct error unread;

    if (take_config(&config, prepared, preparation, mistakes) || check_size(&config, mistakes) ||
        find_data(&facts, &unread, preparation, &config, mistakes))
        return -1;
    /* What was learned was learned of images that were normalised so. */
    if (was->deviation[0] > 0.0f)
        facts.normalisation = *was;
    if (plan_begin(&prepared->plan, &config, &facts, &prepared->network, mistakes) || check_test(prepared, mistakes))
        return -1;
    if (same_pipeline(&prepared->from.manifest.config, &config))
        replay_take_times(&prepared->plan.config, &prepared->from.manifest.config);
    return 0;
}

/* A run begins where its coordinator is. */
static int check_first(const struct plan_machine *first, struct error *error)
{
    return hosts_is_here(first->host) ? 0
                                      : error_set(error,
                                                  "%s comes first, and is not this machine; begin the run there, "
                                                  "or name this one first",
                                                  first->host);
}

/* Whoever has started the nodes with this process must have started one for each machine, and starts them once. */
static int check_world(const struct plan *plan, struct error *error)
{
    const struct world world = world_find();

    if (world.size == 1)
        return 0;
    if (plan->machine_count != world.size)
        return error_set(error,
                         "mpirun has started %d of these, but here are %d hosts; it must start one on each, in their "
                         "order",
                         world.size, plan->machine_count);
    return plan->config.run.restarts == 0 ? 0
                                          : error_set(error, "what mpirun has started cannot start again: leave out "
                                                             "run.restarts, or mpirun");
}

static int spread(struct plan *plan, const struct preparation *preparation, struct config_mistakes *mistakes)
{
    struct plan_machine machines[MAX_STAGES];
    struct error error;

    if (!preparation->hosts)
        return 0;
    const int count = hosts_read(machines, preparation->hosts, plan->stage_count, &error);
    if (count > 0 && plan_spread(plan, machines, count, &error) == 0 &&
        (preparation->depth != PREPARE_RUN ||
         (check_first(&machines[0], &error) == 0 && check_world(plan, &error) == 0)))
        return 0;
    error_prefix(&error, "tpcoord: --hosts");
    config_mistake_line(mistakes, error.text);
    return -1;
}

static int begin(struct prepared *prepared, const struct preparation *preparation, struct config_mistakes *mistakes)
{
    struct shared_data *data = preparation->data;
    struct config config;
    struct data_facts facts;
    struct error unread;

    if (config_load(&config, preparation->path, preparation->overrides, preparation->override_count, mistakes))
        return -1;
    if ((data && check_size(&config, mistakes)) || find_data(&facts, &unread, preparation, &config, mistakes) ||
        plan_begin(&prepared->plan, &config, &facts, &prepared->network, mistakes) ||
        spread(&prepared->plan, preparation, mistakes))
        return -1;
    if (preparation->simulated && !preparation->compared) {
        predict_check_used(&prepared->plan, mistakes);
        if (mistakes->count > 0)
            return -1;
    }
    if (unread.text[0] && check_unread(&prepared->plan, &unread, mistakes))
        return -1;
    if (check_init(prepared, preparation, mistakes))
        return -1;
    if (preparation->depth != PREPARE_RUN)
        return 0;
    /* The folder is locked before anything in it is read, and until the run has ended. */
    if (!preparation->resume)
        return new_run_create(&prepared->folder, &config, mistakes);
    if (resume_open(&prepared->from, &prepared->folder, preparation->resume, &prepared->plan, mistakes))
        return -1;
    memcpy(prepared->plan.config.model.init, prepared->from.manifest.config.model.init,
           sizeof(prepared->plan.config.model.init));
    /* What was measured for the run is not measured again: its cut and its lists would be others. */
    if (same_balance(&prepared->from.manifest.config, &config))
        keep_partition(&prepared->plan.config, &prepared->from.manifest);
    if (same_pipeline(&prepared->from.manifest.config, &config))
        replay_take_times(&prepared->plan.config, &prepared->from.manifest.config);
    return 0;
}

static int find_cables(struct plan *plan, const struct preparation *preparation, struct error *error)
{
    if (!preparation->simulated || !predict_wants_cables(plan))
        return 0;
    for (int m = 0; preparation->cables && m < plan->machine_count; m++)
        plan->machines[m].cable = preparation->cables->machines[m].cable;
    if (preparation->cables || cables_measure(plan, preparation->launch, preparation->signals, error) == 0)
        return 0;
    return preparation->signals->interruptions > 0
               ? -1
               : error_prefix(error,
                              "--hosts: what the network carries, which simulation.link_mbit does not say, was not "
                              "measured");
}

static int finish(struct prepared *prepared, const struct preparation *preparation, struct error *error)
{
    const struct network *network = prepared->network;
    const bool measured =
        preparation->simulated ? !predict_all_given(&prepared->plan) : plan_wants_seconds(&prepared->plan);
    const struct probe_request request = {.plan = &prepared->plan,
                                          .network = network,
                                          .measured = measured,
                                          .runs = preparation->data != NULL,
                                          .signals = preparation->signals};
    struct layer_cost *costs = calloc(PLACES * (size_t)network->layer_count, sizeof(*costs));
    int result = -1;

    if (!costs)
        return error_set(error, "out of memory for the plan");
    if (probe_costs(&request, costs, error) == 0)
        result = plan_finish(&prepared->plan, network, costs, error);
    free(costs);
    return result;
}

/* What a child has not answered. */
static enum exit_status give_up(struct prepared *prepared, const struct preparation *preparation,
                                const struct error *error)
{
    fprintf(stderr, "tpcoord: %s\n", error->text);
    prepared_release(prepared);
    return preparation->signals && preparation->signals->interruptions > 0 ? EXIT_INTERRUPTED : EXIT_FAILED;
}

static enum exit_status refuse(struct prepared *prepared, const struct config_mistakes *mistakes)
{
    config_mistakes_print(mistakes, stderr);
    prepared_release(prepared);
    return EXIT_USAGE;
}

static bool refuses_pins(const struct plan *plan, struct config_mistakes *mistakes)
{
    struct error error;

    if (room_check_pins(plan, &error) == 0)
        return false;
    config_mistake(mistakes, "device.pin", "%s", error.text);
    return true;
}

enum exit_status prepare(struct prepared *prepared, const struct preparation *preparation)
{
    struct config_mistakes mistakes;
    struct error error;

    prepared->network = NULL;
    prepared->plan.tables = NULL;
    prepared->folder.descriptor = -1;
    prepared->from.manifest = (struct manifest){.stage_count = 0};
    if (preparation->test ? begin_test(prepared, preparation, &mistakes) : begin(prepared, preparation, &mistakes))
        return refuse(prepared, &mistakes);
    if (preparation->depth == PREPARE_SCHEDULE)
        return EXIT_DONE;
    if (find_cables(&prepared->plan, preparation, &error) ||
        devices_find(&prepared->devices, &prepared->plan.config, preparation->signals, &error))
        return give_up(prepared, preparation, &error);
    if (plan_place(&prepared->plan, &prepared->devices.machine, &mistakes) ||
        (preparation->data && refuses_pins(&prepared->plan, &mistakes)))
        return refuse(prepared, &mistakes);
    if (!preparation->warned && room_check_threads(&prepared->plan, &error))
        fprintf(stderr, "tpcoord: %s\n", error.text);
    if (finish(prepared, preparation, &error) ||
        (preparation->data && devices_check_room(&prepared->devices, &prepared->plan, &error)))
        return give_up(prepared, preparation, &error);
    return EXIT_DONE;
}

void prepared_say_gpu_left_out(const struct prepared *prepared)
{
    const char *reason = devices_gpu_left_out(&prepared->devices, &prepared->plan.config);

    if (reason)
        fprintf(stderr, "tpcoord: the stages run on the CPU: %s\n", reason);
}

void prepared_say_room(const struct prepared *prepared)
{
    struct error error;

    if (room_check_pins(&prepared->plan, &error))
        fprintf(stderr, "tpcoord: a run would be refused here: device.pin: %s\n", error.text);
    if (plan_fits_run(&prepared->plan) &&
        (room_check(&prepared->plan, &error) || devices_check_room(&prepared->devices, &prepared->plan, &error)))
        fprintf(stderr, "tpcoord: a run would be refused here: %s\n", error.text);
}

void prepared_release(struct prepared *prepared)
{
    network_destroy(prepared->network);
    plan_release(&prepared->plan);
    set_release(&prepared->from);
    run_folder_close(&prepared->folder);
}
