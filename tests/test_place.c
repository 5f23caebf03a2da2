/* Goal of this test: stages run where the config puts them on the machine there is, links take the path that follows from
 * it, memory counts what that path needs, and whoever asks for what is not there is told in one line. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/cores.h"
#include "plan/plan.h"
#include "tests/support/suite.h"

enum { OVERRIDES_MAX = 16, WORKSPACE = 64 };

static const struct data_facts facts = {.train_count = 1000, .test_count = 200, .shape = {28, 28, 1}};
static struct config config;
static struct config_mistakes mistakes;
static struct machine_facts machine;
static struct plan plan;
static struct network *network;

/* A machine with so many GPUs, of which 0 and 1 reach each other, and 2 reaches 0 but not the other way round. */
static void use_machine(int gpus)
{
    machine = (struct machine_facts){.backends[PLACE_CPU] = "onednn", .gpu_count = gpus};
    if (gpus > 0)
        strcpy(machine.backends[PLACE_GPU], "cuda");
    else
        error_set(&machine.why_not[PLACE_GPU], "no driver");
    for (int g = 0; g < gpus; g++)
        machine.reaches[g][g] = true;
    machine.reaches[0][1] = machine.reaches[1][0] = machine.reaches[2][0] = true;
}

/* "pipeline.stages=3 ...". */
static int begin(const char *settings)
{
    const char *overrides[OVERRIDES_MAX];
    char copy[512], *rest = copy, *word;
    int count = 0;

    snprintf(copy, sizeof(copy), "%s", settings);
    while ((word = strsep(&rest, " ")) != NULL) {
        ck_assert_int_lt(count, OVERRIDES_MAX);
        overrides[count++] = word;
    }
    ck_assert_msg(config_load(&config, "/dev/null", overrides, count, &mistakes) == 0, "%s", mistakes.lines[0]);
    return plan_begin(&plan, &config, &facts, &network, &mistakes);
}

/* On the GPU a batch norm keeps four numbers a channel, on the CPU two, and an op's workspace is larger. */
static void finish(void)
{
    struct layer_cost *costs = calloc(PLACES * (size_t)network->layer_count, sizeof(*costs));
    struct error error;

    for (int place = 0; place < PLACES; place++) {
        for (int l = 0; l < network->layer_count; l++) {
            struct layer_cost *cost = &costs[place * network->layer_count + l];

            cost->saved_floats = network->layers[l].kind == LAYER_BATCH_NORM
                                     ? (size_t)(2 + 2 * place) * (size_t)network->layers[l].in.channels
                                     : 0;
            cost->workspace_bytes = (size_t)(1 + place) * WORKSPACE;
            cost->op_seconds[OP_FORWARD] = place == PLACE_GPU ? 1e-3 : 5e-3;
        }
    }
    ck_assert_msg(plan_finish(&plan, network, costs, &error) == 0, "%s", error.text);
    ck_assert_msg(plan_check(&plan, &error) == 0, "%s", error.text);
    free(costs);
}

static void make_plan(const char *settings)
{
    ck_assert_msg(begin(settings) == 0 && plan_place(&plan, &machine, &mistakes) == 0, "%s", mistakes.lines[0]);
    finish();
}

static void drop_plan(void)
{
    network_destroy(network);
    network = NULL;
}

/* "00c" for stages on GPU 0, GPU 0 and the CPU. */
static void places(char *text)
{
    for (int s = 1; s <= plan.stage_count; s++)
        *text++ = (char)(plan_place_of(&plan, s) == PLACE_GPU ? '0' + plan.stages[s - 1].device : 'c');
    *text = '\0';
}

/* "hds": shared in the host's memory, in the device's, staged. */
static void paths(char *text)
{
    for (int link = 1; link < plan.part_count; link++)
        *text++ = "hds"[plan.parts[link - 1].link];
    *text = '\0';
}

static const struct {
    int gpus;
    const char *settings, *places, *paths, *backend;
} placements[] = {
    {0, "pipeline.stages=3", "ccc", "hh", "onednn"},
    {2, "pipeline.stages=3 device.backend=onednn", "ccc", "hh", "onednn"},
    {2, "pipeline.stages=2 device.map=cpu,cpu", "cc", "h", "onednn"},
    {1, "pipeline.stages=4", "0000", "ddd", "cuda"},
    {1, "pipeline.stages=1", "0", "", "cuda"},
    {2, "pipeline.stages=4", "0011", "ddd", "cuda"},
    {2, "pipeline.stages=5 device.backend=cuda", "00011", "dddd", "cuda"},
    {3, "pipeline.stages=4", "0012", "dds", "cuda"},
    {8, "pipeline.stages=3", "012", "ds", "cuda"},
    {3, "pipeline.stages=4 device.map=2,0,cpu,1", "20c1", "sss", "cuda"},
    {0, "pipeline.stages=2 pipeline.system=breadth-first pipeline.parts=2", "cc", "hhh", "onednn"},
    {2, "pipeline.stages=2 pipeline.system=breadth-first pipeline.parts=2", "01", "ddd", "cuda"},
    {3, "pipeline.stages=2 pipeline.system=breadth-first pipeline.parts=2 device.map=0,2", "02", "sss", "cuda"},
    {1, "pipeline.stages=1 pipeline.system=breadth-first pipeline.parts=3", "0", "dd", "cuda"},
    {1, "pipeline.stages=3 pipeline.system=zb-v pipeline.parts=2 pipeline.placement=v device.map=0,0,cpu", "00c",
     "dshsd", "cuda"},
    {1, "pipeline.stages=2 pipeline.system=zb-v pipeline.parts=2 pipeline.placement=v device.map=cpu,0", "c0", "sds",
     "cuda"},
    {1, "pipeline.stages=3 device.map=0,cpu,0", "0c0", "ss", "cuda"},
    {1, "pipeline.stages=3 device.map=cpu,cpu,0", "cc0", "hs", "cuda"},
};
enum { CASES = sizeof(placements) / sizeof(placements[0]) };

START_TEST(stages_run_where_the_config_puts_them)
{
    char text[MAX_STAGES + 1];

    use_machine(placements[_i].gpus);
    make_plan(placements[_i].settings);
    places(text);
    ck_assert_str_eq(text, placements[_i].places);
    paths(text);
    ck_assert_str_eq(text, placements[_i].paths);
    ck_assert_str_eq(plan.backend, placements[_i].backend);
    for (int s = 1; s <= plan.stage_count; s++)
        ck_assert_str_eq(plan.stages[s - 1].backend, plan_place_of(&plan, s) == PLACE_GPU ? "cuda" : "onednn");
    drop_plan();
}
END_TEST

static const struct {
    int gpus;
    const char *settings, *mistake;
} mistaken[] = {
    {1, "device.pin=0,1", "--set device.pin: 2 cores, but there are 4 stages; give one for each, auto, or no"},
    {1, "device.pin=auto device.threads=2",
     "--set device.pin: a stage has 2 threads, and they would share one core; use no, or device.threads = 1"},
    {1, "device.map=0,0,0", "--set device.map: 0,0,0 is for 3 stages, but pipeline.stages is 4"},
    {1, "device.backend=onednn device.map=0,0,cpu,0",
     "--set device.map: 0,0,cpu,0 is for GPUs, and device.backend = onednn computes on the CPU; use auto"},
    {1, "device.backend=reference device.map=cpu,cpu,cpu,cpu", "--set device.map: cpu,cpu,cpu,cpu is for GPUs, and"},
    {1, "device.backend=cuda device.map=cpu,cpu,cpu,cpu", "--set device.map: cpu,cpu,cpu,cpu has no GPU for"},
    {1, "device.map=0,1,0,0", "--set device.map: GPU 1, but there is only 1; the first is 0"},
    {2, "device.map=0,1,cpu,7", "--set device.map: GPU 7, but there are only 2; the first is 0"},
    {0, "device.map=cpu,cpu,0,cpu", "--set device.map: GPU 0, but no GPU can be used: no driver"},
    {0, "device.backend=cuda", "--set device.backend: cuda, but no GPU can be used: no driver"},
};
enum { MISTAKEN = sizeof(mistaken) / sizeof(mistaken[0]) };

START_TEST(what_is_not_there_is_said_in_one_line)
{
    const char *expected = mistaken[_i].mistake;

    use_machine(mistaken[_i].gpus);
    ck_assert(begin(mistaken[_i].settings) || plan_place(&plan, &machine, &mistakes));
    ck_assert_int_eq(mistakes.count, 1);
    ck_assert_msg(strncmp(mistakes.lines[0], expected, strlen(expected)) == 0, "%s", mistakes.lines[0]);
    drop_plan();
}
END_TEST

/* Where memory cannot be exported, not even to the same GPU. */
START_TEST(a_gpu_that_exports_nothing_is_linked_through_the_host)
{
    char text[MAX_STAGES + 1];

    use_machine(1);
    machine.reaches[0][0] = false;
    make_plan("pipeline.stages=3");
    places(text);
    ck_assert_str_eq(text, "000");
    paths(text);
    ck_assert_str_eq(text, "ss");
    drop_plan();
    /* Within a stage nothing is exported. */
    make_plan("pipeline.stages=2 pipeline.system=zb-v pipeline.parts=2 pipeline.placement=v");
    paths(text);
    ck_assert_str_eq(text, "sds");
    drop_plan();
}
END_TEST

/* Of link 1 and link 2: activations down, gradients up. */
static size_t down(int link)
{
    return (size_t)plan.parts[link - 1].activation_slots * plan_slot_bytes(&plan, link);
}

static size_t up(int link)
{
    return (size_t)plan.parts[0].gradient_slots * plan_slot_bytes(&plan, link);
}

START_TEST(a_staged_link_is_there_twice_on_a_gpu)
{
    static const char common[] = "model.arch=mlp pipeline.stages=3 pipeline.partition=1,1,1 pipeline.order=static";
    char settings[256];

    use_machine(1);
    snprintf(settings, sizeof(settings), "%s device.map=0,0,0", common);
    make_plan(settings);
    ck_assert_uint_eq(plan.stages[0].memory[MEMORY_LINKS], up(1));
    ck_assert_uint_eq(plan.stages[1].memory[MEMORY_LINKS], down(1) + up(2));
    ck_assert_uint_eq(plan.stages[2].memory[MEMORY_LINKS], down(2));
    drop_plan();
    snprintf(settings, sizeof(settings), "%s device.map=cpu,0,0", common);
    make_plan(settings);
    ck_assert_uint_eq(plan.stages[0].memory[MEMORY_LINKS], up(1));
    ck_assert_uint_eq(plan.stages[1].memory[MEMORY_LINKS], down(1) + (down(1) + up(1)) + up(2));
    ck_assert_uint_eq(plan.stages[2].memory[MEMORY_LINKS], down(2));
    drop_plan();
    snprintf(settings, sizeof(settings), "%s device.map=0,cpu,0", common);
    make_plan(settings);
    ck_assert_uint_eq(plan.stages[0].memory[MEMORY_LINKS], up(1) + (down(1) + up(1)));
    ck_assert_uint_eq(plan.stages[1].memory[MEMORY_LINKS], down(1) + up(2));
    ck_assert_uint_eq(plan.stages[2].memory[MEMORY_LINKS], down(2) + (down(2) + up(2)));
    drop_plan();
}
END_TEST

/* Stage 2 of three, all alike but for where it runs. */
START_TEST(each_stage_takes_its_own_backend_s_costs)
{
    static const char *const maps[] = {"0,cpu,0", "0,0,0"};
    size_t activations[2], workspace[2];

    use_machine(1);
    for (int on_gpu = 0; on_gpu < 2; on_gpu++) {
        char settings[256];

        snprintf(settings, sizeof(settings),
                 "pipeline.stages=3 pipeline.microbatches=2 pipeline.order=dynamic data.batch=8 device.map=%s",
                 maps[on_gpu]);
        make_plan(settings);
        /* Balanced by the GPU's times, whoever computes stage 2. */
        ck_assert(plan.costs_measured);
        ck_assert_int_eq(plan.parts[1].times.op[OP_FORWARD],
                         plan.parts[1].slice.layer_count * (on_gpu ? 1000000 : 5000000));
        activations[on_gpu] = plan.stages[1].memory[MEMORY_ACTIVATIONS];
        workspace[on_gpu] = plan.stages[1].memory[MEMORY_WORKSPACE];
        drop_plan();
    }
    ck_assert_uint_gt(activations[1], activations[0]);
    ck_assert_uint_eq(workspace[1], workspace[0] + WORKSPACE);
}
END_TEST

/* Places that no config leads to; a plan that has them is refused. */
static void put_stage_1_on_a_backend_without_end(void)
{
    memset(plan.stages[0].backend, 'x', sizeof(plan.stages[0].backend));
}

static void put_stage_3_on_an_unknown_backend(void)
{
    strcpy(plan.stages[2].backend, "abacus");
}

static void put_stage_1_on_gpu_64(void)
{
    plan.stages[0].device = 64;
}

static void put_stage_1_on_gpu_minus_1(void)
{
    plan.stages[0].device = -1;
}

static void put_stage_1_elsewhere_than_mapped(void)
{
    plan.stages[0].device = 1;
}

static void put_the_mapped_cpu_stage_on_a_gpu(void)
{
    strcpy(plan.stages[2].backend, "cuda");
}

static void share_a_gpu_s_link(void)
{
    plan.parts[0].link = LINK_SHARED;
}

static void reach_into_the_host(void)
{
    plan.parts[1].link = LINK_DEVICE;
}

static void take_a_path_that_there_is_not(void)
{
    plan.parts[0].link = LINK_PATHS;
}

static void link_the_last_stage(void)
{
    plan.parts[2].link = LINK_STAGED;
}

static void (*const damages[])(void) = {
    put_stage_1_on_a_backend_without_end,
    put_stage_3_on_an_unknown_backend,
    put_stage_1_on_gpu_64,
    put_stage_1_on_gpu_minus_1,
    put_stage_1_elsewhere_than_mapped,
    put_the_mapped_cpu_stage_on_a_gpu,
    share_a_gpu_s_link,
    reach_into_the_host,
    take_a_path_that_there_is_not,
    link_the_last_stage,
};
enum { DAMAGES = sizeof(damages) / sizeof(damages[0]) };

START_TEST(a_plan_with_impossible_places_is_refused)
{
    struct error error;

    use_machine(2);
    make_plan("pipeline.stages=3 device.map=0,0,cpu");
    damages[_i]();
    ck_assert_int_eq(plan_check(&plan, &error), -1);
    ck_assert_str_eq(error.text, "stages where no config puts them");
    drop_plan();
}
END_TEST

/* A stage does not go through the host to itself. */
START_TEST(a_plan_that_stages_the_corner_of_a_v_is_refused)
{
    struct error error;

    use_machine(1);
    make_plan("pipeline.stages=2 pipeline.system=zb-v pipeline.parts=2 pipeline.placement=v");
    ck_assert_int_eq(plan.parts[1].link, LINK_DEVICE);
    plan.parts[1].link = LINK_STAGED;
    ck_assert_int_eq(plan_check(&plan, &error), -1);
    ck_assert_str_eq(error.text, "stages where no config puts them");
    drop_plan();
}
END_TEST

static const struct {
    const char *settings;
    int of_second;
} pins[] = {
    {"pipeline.stages=2", PIN_NO},
    {"pipeline.stages=2 device.pin=no", PIN_NO},
    {"pipeline.stages=2 device.pin=auto", PIN_NEXT},
    {"pipeline.stages=2 device.pin=0,3", 3},
    {"pipeline.stages=2 device.pin=0,no", PIN_NO},
};

enum { PINS = sizeof(pins) / sizeof(pins[0]) };

START_TEST(stages_keep_to_the_cores_that_the_config_names)
{
    use_machine(0);
    make_plan(pins[_i].settings);
    ck_assert_int_eq(place_pin(&plan.config, 2), pins[_i].of_second);
    drop_plan();
}
END_TEST

/* And a process that keeps to a core has no other one from there on. */
START_TEST(a_process_keeps_to_its_core)
{
    cpu_set_t before, own;
    struct error error;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
    ck_assert_int_eq(cores_at(CPU_COUNT(&before)), cores_at(0));
    const int last = cores_at(CPU_COUNT(&before) - 1);
    ck_assert_int_eq(cores_keep_to(CORES_MAX - 1, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "is not one of the"));
    ck_assert_msg(!cores_keep_to(last, &error), "%s", error.text);
    ck_assert_int_eq(sched_getaffinity(0, sizeof(own), &own), 0);
    ck_assert_int_eq(CPU_COUNT(&own), 1);
    ck_assert(CPU_ISSET(last, &own));
    ck_assert_int_eq(cores_at(7), last);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

enum { WAITED_NS = 20000000 };

static _Atomic bool rivals_end;

/* Wants the core all the time. */
static void *compete(void *unused)
{
    (void)unused;
    while (!atomic_load(&rivals_end))
        ;
    return NULL;
}

static pthread_t start_rival(const char *name)
{
    pthread_t rival;

    ck_assert_int_eq(pthread_create(&rival, NULL, compete, NULL), 0);
    ck_assert_int_eq(pthread_setname_np(rival, name), 0);
    return rival;
}

/* Where nobody else waits, and as part of a team whose other thread does while the first one only looks on. */
START_TEST(who_waits_for_a_core_knows_how_long)
{
    const int others = _i, threads = 1 + others;
    const uint64_t begin = clock_now_ns();
    char own_name[16];
    cpu_set_t before;
    struct error error;
    pthread_t rivals[2];

    ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
    ck_assert_msg(!cores_keep_to(cores_at(0), &error), "%s", error.text);
    atomic_store(&rivals_end, false);
    prctl(PR_GET_NAME, own_name);
    rivals[0] = start_rival("rival");
    struct cores_watch *watch = cores_watch(threads);
    if (others)
        rivals[1] = start_rival(own_name);
    while (cores_waited_ns(watch) < WAITED_NS)
        if (others)
            usleep(1000);
    const uint64_t waited = cores_waited_ns(watch);
    /* A wait is told when it ends: between two looks another thread's may have ended that was at the same time. */
    ck_assert_uint_le(waited, (uint64_t)threads * (clock_now_ns() - begin));
    atomic_store(&rivals_end, true);
    for (int k = 0; k <= others; k++)
        pthread_join(rivals[k], NULL);

    /* Who sleeps waits for no core. */
    const uint64_t rest = clock_now_ns(), had = cores_waited_ns(watch);
    usleep(WAITED_NS / 1000);
    const uint64_t since = cores_waited_ns(watch) - had;
    ck_assert_uint_le(since, clock_now_ns() - rest - WAITED_NS);
    cores_unwatch(watch);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("place");
    TCase *tcase = tcase_create("place");

    tcase_add_loop_test(tcase, stages_run_where_the_config_puts_them, 0, CASES);
    tcase_add_loop_test(tcase, what_is_not_there_is_said_in_one_line, 0, MISTAKEN);
    tcase_add_test(tcase, a_gpu_that_exports_nothing_is_linked_through_the_host);
    tcase_add_test(tcase, a_staged_link_is_there_twice_on_a_gpu);
    tcase_add_test(tcase, each_stage_takes_its_own_backend_s_costs);
    tcase_add_loop_test(tcase, a_plan_with_impossible_places_is_refused, 0, DAMAGES);
    tcase_add_test(tcase, a_plan_that_stages_the_corner_of_a_v_is_refused);
    tcase_add_loop_test(tcase, stages_keep_to_the_cores_that_the_config_names, 0, PINS);
    tcase_add_test(tcase, a_process_keeps_to_its_core);
    if (access("/proc/self/schedstat", R_OK) == 0)
        tcase_add_loop_test(tcase, who_waits_for_a_core_knows_how_long, 0, 2);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
