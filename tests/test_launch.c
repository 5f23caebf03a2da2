/* What launchers say when a process of theirs has died: Open MPI's mpirun, MPICH's mpiexec.hydra, Slurm's srun. */
#include <check.h>
#include <stddef.h>

#include "coordinator/launch.h"
#include "tests/support/suite.h"

enum { LINES_MAX = 6 };

static const struct {
    const char *lines[LINES_MAX];
    struct launch_death death;
} said[] = {
    {{"Primary job  terminated normally, but 1 process returned", "a non-zero exit code.",
      "mpirun noticed that process rank 1 with PID 16 on node b exited on signal 9 (Killed)."},
     {1, "", 9}},
    {{"prterun noticed that process rank 12 with PID 0 on node a exited on signal 11 (Segmentation fault)."},
     {12, "", 11}},
    {{"  Process name: [[23644,1],1]", "  Exit code:    3"}, {1, "", 3 << 8}},
    {{"  HNP daemon   : [[24410,0],0] on node a", "  Remote daemon: [[24410,0],1] on node n07"}, {-1, "n07", -1}},
    {{"=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES", "=   PID 16 RUNNING AT b", "=   EXIT CODE: 9",
      "=   CLEANING UP REMAINING PROCESSES"},
     {-1, "b", 9}},
    {{"srun: error: n2: task 1: Killed", "srun: error: n1: task 0: Exited with exit code 1"}, {1, "", -1}},
    /* The first death is the cause of others. */
    {{"mpirun noticed that process rank 2 with PID 16 on node b exited on signal 9 (Killed).",
      "mpirun noticed that process rank 1 with PID 17 on node a exited on signal 15 (Terminated)."},
     {2, "", 9}},
    {{"Exit code: 1", "There are not enough slots available in the system", ""}, {-1, "", -1}},
};

START_TEST(deaths_are_read)
{
    struct launch_death death = {.rank = -1, .status = -1};

    for (int i = 0; i < LINES_MAX && said[_i].lines[i]; i++)
        launch_death_read(&death, said[_i].lines[i]);
    ck_assert_int_eq(death.rank, said[_i].death.rank);
    ck_assert_str_eq(death.host, said[_i].death.host);
    ck_assert_int_eq(death.status, said[_i].death.status);
}
END_TEST

static Suite *launch_suite(void)
{
    Suite *suite = suite_create("launch");
    TCase *deaths = tcase_create("deaths");

    tcase_add_loop_test(deaths, deaths_are_read, 0, COUNT(said));
    suite_add_tcase(suite, deaths);
    return suite;
}

int main(void)
{
    return run_suite(launch_suite());
}
