/* The machines that a user names: every form that is taken, one clear line for what is not, and what plan says crosses the
 * links between them. */
#include <check.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "coordinator/hosts.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static const char *written(const struct plan_machine *machines, int count, char text[512])
{
    int length = 0;

    text[0] = '\0';
    for (int m = 0; m < count; m++)
        length += snprintf(text + length, 512 - (size_t)length, "%s%s:%d", m > 0 ? "," : "", machines[m].host,
                           machines[m].stages);
    return text;
}

static const struct {
    const char *list, *tasks, *text; /* Slurm's variables, if any */
    int stages;
    const char *read, *refused; /* one of them */
} lists[] = {
    {NULL, NULL, "a:2,b:2", 4, "a:2,b:2", NULL},
    {NULL, NULL, "a:1,b-2.example.org:3", 4, "a:1,b-2.example.org:3", NULL},
    {NULL, NULL, "a", 4, "a:4", NULL},
    {NULL, NULL, "a,b", 4, "a:2,b:2", NULL},
    {NULL, NULL, "c,b,a", 8, "c:3,b:3,a:2", NULL},
    {NULL, NULL, "10.0.0.1:1,10.0.0.2:1", 2, "10.0.0.1:1,10.0.0.2:1", NULL},
    {NULL, NULL, "", 4, NULL, "\"\" is no name of a host"},
    {NULL, NULL, "a:2,", 4, NULL, "\"\" is no name of a host"},
    {NULL, NULL, ":4", 4, NULL, "\"\" is no name of a host"},
    {NULL, NULL, "-x:4", 4, NULL, "\"-x\" is no name of a host"},
    {NULL, NULL, "a b:4", 4, NULL, "\"a b\" is no name of a host"},
    {NULL, NULL, "a:2 b:2", 4, NULL, "stages of a: \"2 b:2\" is not a whole number"},
    {NULL, NULL, "a:0,b:4", 4, NULL, "stages of a: 0 is out of bounds"},
    {NULL, NULL, "a:2,b:99999999999999999999", 4, NULL, "stages of b: "},
    {NULL, NULL, "a:2,b", 4, NULL, "b has no number of stages, and others have"},
    {NULL, NULL, "a:2,b:1,a:1", 4, NULL, "a stands there twice"},
    {NULL, NULL, "a,b,c,d,e", 4, NULL, "5 hosts for pipeline.stages = 4"},
    {NULL, NULL, "slurm", 4, NULL, "this is no allocation of Slurm's"},
    {"n1", NULL, "slurm", 4, "n1:4", NULL},
    {"n[1-2]", NULL, "slurm", 4, "n1:2,n2:2", NULL},
    {"n[08-10,12],gpu1", NULL, "slurm", 5, "n08:1,n09:1,n10:1,n12:1,gpu1:1", NULL},
    {"n[1-2],m", "1(x2),2", "slurm", 4, "n1:1,n2:1,m:2", NULL},
    {"n[1-2]", "3,1", "slurm", 4, "n1:3,n2:1", NULL},
    {"n[1-2]", "16(x2)", "slurm", 4, "n1:2,n2:2", NULL}, /* tasks that are no stages */
    {"n[1-2]", "4", "slurm", 4, "n1:2,n2:2", NULL},
    {"n[1-2]", "2(x", "slurm", 4, "n1:2,n2:2", NULL},
    {"n[1-5]", NULL, "slurm", 4, NULL, "5 hosts for pipeline.stages = 4"},
    {"n[1-9999999]", NULL, "slurm", 4, NULL, "more than 64 hosts"},
    {"n[3-1]", NULL, "slurm", 4, NULL, "\"3-1\" is no range of hosts"},
    {"n[1-]", NULL, "slurm", 4, NULL, "\"1-\" is no range of hosts"},
    {"n[-1]", NULL, "slurm", 4, NULL, "\"-1\" is no range of hosts"},
    {"n[]", NULL, "slurm", 4, NULL, "\"\" is no range of hosts"},
    {"n[1-2", NULL, "slurm", 4, NULL, "a list of hosts is like"},
    {"r[0-1]n[0-1]", NULL, "slurm", 4, NULL, "a list of hosts is like"},
    {"", NULL, "slurm", 4, NULL, "SLURM_JOB_NODELIST: no hosts"},
};

static void set(const char *name, const char *value)
{
    ck_assert_int_eq(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

START_TEST(a_list_of_hosts_is_read_or_refused)
{
    struct plan_machine machines[MAX_STAGES];
    struct error error = {.text = ""};
    char text[512];

    set("SLURM_JOB_NODELIST", lists[_i].list);
    set("SLURM_TASKS_PER_NODE", lists[_i].tasks);
    const int count = hosts_read(machines, lists[_i].text, lists[_i].stages, &error);
    ck_assert_msg((count > 0) == (lists[_i].read != NULL), "%s: %d, %s", lists[_i].text, count, error.text);
    if (count > 0)
        ck_assert_str_eq(written(machines, count, text), lists[_i].read);
    else
        ck_assert_msg(strstr(error.text, lists[_i].refused) != NULL, "%s: %s", lists[_i].text, error.text);
}
END_TEST

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

#define MLP "--set pipeline.microbatches=2 --set data.batch=60 "

/* Of 256 features between any two blocks of the mlp, 4 bytes each. */
START_TEST(the_plan_says_what_crosses)
{
    ck_assert_int_eq(program_run(&program, "plan @ " MLP "--hosts left:1,right:2 --json ~/plan.json"), 0);
    const char *table = program_text(&program, "out");
    ck_assert_msg(strstr(table, "hosts  left: stage 1; right: stages 2-3\n") != NULL, "%s", table);
    ck_assert_msg(strstr(table, "  1-2  left - right") != NULL, "%s", table);
    ck_assert_ptr_null(strstr(table, "  2-3  "));
    json_t *plan = program_json(&program, "plan.json");
    const json_t *crossings = json_object_get(plan, "crossings");
    json_t *crossing = json_array_get(crossings, 0);
    const char *from, *to;
    json_int_t activation, gradient;
    int part, next, messages;

    ck_assert_uint_eq(json_array_size(json_object_get(plan, "hosts")), 2);
    ck_assert_uint_eq(json_array_size(crossings), 1);
    ck_assert_int_eq(json_unpack(crossing, "{s:[i, i], s:s, s:s, s:I, s:I, s:i}", "link", &part, &next, "from", &from,
                                 "to", &to, "activation_bytes", &activation, "gradient_bytes", &gradient, "messages",
                                 &messages),
                     0);
    ck_assert_int_eq(part, 1);
    ck_assert_int_eq(next, 2);
    ck_assert_str_eq(from, "left");
    ck_assert_str_eq(to, "right");
    ck_assert_int_eq(activation, 60 * 256 * 4);
    ck_assert_int_eq(gradient, 60 * 256 * 4);
    ck_assert_int_eq(messages, 3); /* two forwards, and one backward of both */
    json_decref(plan);
}
END_TEST

static double activation_ms(const json_t *plan, size_t link)
{
    const json_t *links = json_object_get(json_object_get(plan, "simulation"), "link");

    return json_number_value(json_object_get(json_array_get(links, link), "activation_ms"));
}

/* One rate is that of links between hosts; a rate for each link is each's. */
START_TEST(a_prediction_slows_links_between_hosts)
{
    const char *words = "plan @ " MLP "--set simulation.forward_ms=1 --set simulation.backward_ms=2 "
                        "--set simulation.update_ms=0 --simulate --hosts a:1,b:2 --json ~/plan.json "
                        "--set simulation.link_mbit=";
    const double expected = 1e3 * 30 * 256 * 4 * 8 / 100e6;
    char all[512];

    snprintf(all, sizeof(all), "%s100", words);
    ck_assert_int_eq(program_run(&program, all), 0);
    json_t *plan = program_json(&program, "plan.json");
    ck_assert_double_eq_tol(activation_ms(plan, 0), expected, 1e-5);
    ck_assert_double_eq(activation_ms(plan, 1), 0.0);
    json_decref(plan);
    snprintf(all, sizeof(all), "%s0,100", words);
    ck_assert_int_eq(program_run(&program, all), 0);
    plan = program_json(&program, "plan.json");
    ck_assert_double_eq(activation_ms(plan, 0), 0.0);
    ck_assert_double_eq_tol(activation_ms(plan, 1), expected, 1e-5);
    json_decref(plan);
}
END_TEST

/* What stands in a launcher's place: `script` has tpnode's path and arguments for its own. */
static void write_launcher(const char *script)
{
    char text[512], path[128];

    snprintf(text, sizeof(text), "#!/bin/sh\n[ \"$2 $3\" = '--links 2' ] || exit 9\n%s\n", script);
    program_write(&program, "launcher", text, strlen(text));
    snprintf(path, sizeof(path), "%s/launcher", program.folder);
    ck_assert_int_eq(chmod(path, 0700), 0);
}

#define PREDICTS                                                                                                       \
    "plan @ " MLP "--set simulation.forward_ms=1 --set simulation.backward_ms=2 --set simulation.update_ms=0 "         \
    "--simulate --hosts a:1,b:2 --launch ~/launcher --json ~/plan.json "

static bool is_without_node(void)
{
    char node[PATH_MAX];

    snprintf(node, sizeof(node), "%.*s/tpnode", (int)(strrchr(program.path, '/') - program.path), program.path);
    return access(node, X_OK) != 0;
}

/* Where the config does not say what the network carries the nodes do. */
START_TEST(a_prediction_measures_cables)
{
    const char *const given[] = {"--set simulation.link_mbit=100 --set simulation.link_us=50",
                                 "--set simulation.link_us=50", ""};
    const bool measured = _i > 0;

    if (measured && is_without_node()) {
        ck_assert_int_eq(program_run(&program, PREDICTS), 1);
        ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "this tp was built without MPI"));
        return;
    }
    write_launcher(measured ? "echo cable 1; echo '[1,0] tpnode: cable 1: 100 Mbit/s, 50 us'" : "exit 1");
    char words[1024];
    snprintf(words, sizeof(words), "%s%s", PREDICTS, given[_i]);
    ck_assert_msg(program_run(&program, words) == 0, "%s", program_text(&program, "err"));
    json_t *plan = program_json(&program, "plan.json");
    const json_t *links = json_object_get(json_object_get(plan, "simulation"), "link");
    const json_t *outside = json_array_get(links, 0), *inside = json_array_get(links, 1);
    ck_assert_double_eq_tol(activation_ms(plan, 0), 1e3 * 30 * 256 * 4 * 8 / 100e6, 1e-5);
    ck_assert_double_eq_tol(json_number_value(json_object_get(outside, "latency_ms")), 0.05, 1e-9);
    ck_assert_double_eq(activation_ms(plan, 1), 0.0);
    ck_assert_double_eq(json_number_value(json_object_get(outside, "measured_mbit")), measured ? 100 : 0);
    ck_assert_double_eq(json_number_value(json_object_get(outside, "measured_us")), measured ? 50 : 0);
    ck_assert(json_is_null(json_object_get(inside, "measured_mbit")));
    ck_assert_int_eq(strstr(program_text(&program, "out"), "  a - b: 100.0 Mbit/s, 50.0 us\n") != NULL, measured);
    json_decref(plan);
}
END_TEST

static const struct {
    const char *script, *line;
} unmeasured[] = {
    {"exit 3", ") ended with exit status 3 before it was\n"},
    {"echo tpnode: cable 1: many Mbit/s", ") ended with exit status 0 before it was\n"},
    {"echo tpnode: cable 1: -1 Mbit/s, 50 us", ") ended with exit status 0 before it was\n"},
    {"echo tpnode: cable 1: nan Mbit/s, 50 us", ") ended with exit status 0 before it was\n"},
    {"echo tpnode: cable 1: 100 Mbit/s, inf us", ") ended with exit status 0 before it was\n"},
    {"echo tpnode: cable 2: 100 Mbit/s, 50 us", ") ended with exit status 0 before it was\n"},
    {"kill -KILL $$", ") was killed by signal 9 (Killed) before it was\n"},
    {"sleep 600", "nothing was heard of the cable between a and b for run.stall_seconds = 1 s\n"},
};

START_TEST(cables_that_are_not_measured_are_one_line)
{
    if (is_without_node())
        return;
    write_launcher(unmeasured[_i].script);
    ck_assert_int_eq(program_run(&program, PREDICTS "--set run.stall_seconds=1"), 1);
    const char *said = program_text(&program, "err");
    const char *line =
        strstr(said, "tpcoord: --hosts: what the network carries, which simulation.link_mbit does not say, ");
    ck_assert_msg(line != NULL && strstr(line, unmeasured[_i].line) != NULL, "%s", said);
    ck_assert_ptr_eq(strchr(line, '\n'), said + strlen(said) - 1);
}
END_TEST

/* And its launcher is ended before it does. */
START_TEST(measuring_can_be_interrupted)
{
    if (is_without_node())
        return;
    write_launcher("echo $$ >\"$0.begun\" && mv \"$0.begun\" \"$0.pid\"; exec sleep 600");
    const pid_t coordinator = program_start(&program, PREDICTS);
    WAIT_FOR(&program, program_has(&program, "launcher.pid"));
    const pid_t launcher = (pid_t)atoi(program_text(&program, "launcher.pid"));
    ck_assert_int_eq(kill(coordinator, SIGINT), 0);
    ck_assert_int_eq(program_finish(coordinator), 3);
    ck_assert_str_eq(program_text(&program, "err"), "tpcoord: interrupted\n");
    ck_assert_int_eq(kill(launcher, 0), -1);
}
END_TEST

/* Of what mpirun, or srun, has started there are several, and only the first one speaks. */
static const struct {
    const char *rank, *size, *words, *line;
} several[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "@", "; start one; or name the hosts that they are on, "},
    {"PMI_RANK", "PMI_SIZE", "@", "; start one; or name the hosts that they are on, "},
    {"PMIX_RANK", "SLURM_STEP_NUM_TASKS", "@", "; start one; or name the hosts that they are on, "},
    {"PMI_RANK", "PMI_SIZE", "compare @", "; start one\n"},
    {"PMI_RANK", "PMI_SIZE", "test ~", "; start one\n"},
};

START_TEST(several_of_one_are_one_line)
{
    char line[128];

    set(several[_i].size, "3");
    set(several[_i].rank, "0");
    ck_assert_int_eq(program_run(&program, several[_i].words), 2);
    const char *said = program_text(&program, "err");
    snprintf(line, sizeof(line), "tpcoord: mpirun has started 3 of these%s", several[_i].line);
    ck_assert_msg(strncmp(said, line, strlen(line)) == 0, "%s", said);
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
    set(several[_i].rank, "2");
    ck_assert_int_eq(program_run(&program, several[_i].words), 2);
    ck_assert_str_eq(program_text(&program, "err"), "");
}
END_TEST

/* Rank 0 with --hosts, and one that is alone. */
static const struct {
    const char *size, *words, *line;
} joining[] = {
    {"3", "@ --hosts localhost:1,b:2 --launch mpirun",
     "tpcoord: mpirun has started 3 of these; --launch would start others"},
    {"3", "@ --hosts localhost:1,b:2", "tpcoord: --hosts: mpirun has started 3 of these, but here are 2 hosts; "},
    {"2", "@ --hosts localhost:1,b:2 --set run.restarts=1",
     "tpcoord: --hosts: what mpirun has started cannot start again"},
    {"2", "plan @ --hosts localhost:1,b:2 --simulate", "tpcoord: --hosts: what the network carries, "},
    {"1", "@ --hosts b:1,localhost:2", "tpcoord: --hosts: b comes first, and is not this machine"},
    {"0", "@ --hosts b:1,localhost:2", "tpcoord: --hosts: b comes first, and is not this machine"},
    {"x", "@ --hosts b:1,localhost:2", "tpcoord: --hosts: b comes first, and is not this machine"},
};

START_TEST(a_first_rank_is_the_coordinator)
{
    if (is_without_node())
        return;
    set("OMPI_COMM_WORLD_RANK", "0");
    set("OMPI_COMM_WORLD_SIZE", joining[_i].size);
    ck_assert_int_ne(program_run(&program, joining[_i].words), 0);
    const char *said = program_text(&program, "err");
    ck_assert_msg(strncmp(said, joining[_i].line, strlen(joining[_i].line)) == 0, "%s", said);
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
}
END_TEST

static const struct {
    const char *words, *line;
} refused[] = {
    {"plan @ --hosts a:2,b:2", "tpcoord: --hosts: the machines have 4 stages, but pipeline.stages is 3\n"},
    {"plan @ --hosts a:1,b:1,b:1", "tpcoord: --hosts: b stands there twice; "},
    {"@ --launch mpirun", "tpcoord: --launch goes with --hosts\n"},
    {"plan @ --hosts a,b --launch mpirun", "tpcoord: --launch goes with --simulate, or with tpcoord run"},
    {"plan @ --hosts a,b --grid", "tpcoord: --hosts does not change a schedule"},
    {"plan @ --hosts a,b --set pipeline.system=missing", "pipeline.system"},
};

START_TEST(wrong_hosts_are_one_line)
{
    ck_assert_int_eq(program_run(&program, refused[_i].words), 2);
    const char *said = program_text(&program, "err");
    ck_assert_msg(strstr(said, refused[_i].line) != NULL, "%s", said);
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
}
END_TEST

static Suite *host_list_suite(void)
{
    Suite *suite = suite_create("host list");
    TCase *lists_case = tcase_create("lists"), *plans = tcase_create("plans");

    tcase_add_loop_test(lists_case, a_list_of_hosts_is_read_or_refused, 0, COUNT(lists));
    suite_add_tcase(suite, lists_case);
    tcase_set_timeout(plans, 60);
    tcase_add_checked_fixture(plans, set_up, tear_down);
    tcase_add_test(plans, the_plan_says_what_crosses);
    tcase_add_test(plans, a_prediction_slows_links_between_hosts);
    tcase_add_loop_test(plans, a_prediction_measures_cables, 0, 3);
    tcase_add_loop_test(plans, cables_that_are_not_measured_are_one_line, 0, COUNT(unmeasured));
    tcase_add_test(plans, measuring_can_be_interrupted);
    tcase_add_loop_test(plans, several_of_one_are_one_line, 0, COUNT(several));
    tcase_add_loop_test(plans, a_first_rank_is_the_coordinator, 0, COUNT(joining));
    tcase_add_loop_test(plans, wrong_hosts_are_one_line, 0, COUNT(refused));
    suite_add_tcase(suite, plans);
    return suite;
}

int main(void)
{
    return run_suite(host_list_suite());
}
