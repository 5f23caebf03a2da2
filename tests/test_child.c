/* Goal of this test: whatever a throw-away process does, the one that started it has its result or one line that says
 * what became of it, within the time that it was given. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "coordinator/child.h"
#include "tests/support/suite.h"

static struct error error;

static int double_it(const void *context, void *result, struct error *reason)
{
    (void)reason;
    *(int *)result = 2 * *(const int *)context;
    return 0;
}

static int give_up(const void *context, void *result, struct error *reason)
{
    (void)context;
    *(int *)result = 7;
    return error_set(reason, "no such thing");
}

static int crash(const void *context, void *result, struct error *reason)
{
    (void)context, (void)result, (void)reason;
    raise(SIGKILL);
    return 0;
}

static int leave(const void *context, void *result, struct error *reason)
{
    (void)context, (void)result, (void)reason;
    _exit(3);
}

/* Nothing but SIGKILL ends it. */
static int hang(const void *context, void *result, struct error *reason)
{
    sigset_t all;

    (void)context, (void)result, (void)reason;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    while (pause() < 0)
        ;
    return 0;
}

static int run_child(int (*function)(const void *, void *, struct error *), int *result, int seconds,
                     struct signals *signals)
{
    static const int context = 21;
    const struct child_task task = {
        .name = "the child",
        .run = function,
        .context = &context,
        .result = result,
        .result_bytes = sizeof(*result),
        .seconds = seconds,
        .slow = "the oracle",
        .advice = "ask no more",
        .signals = signals,
    };

    return child_run(&task, &error);
}

START_TEST(a_child_leaves_its_result)
{
    int result = 0;

    ck_assert_int_eq(run_child(double_it, &result, 0, NULL), 0);
    ck_assert_int_eq(result, 42);
    ck_assert_int_eq(run_child(double_it, &result, 60, NULL), 0);
}
END_TEST

START_TEST(a_child_that_fails_or_dies_is_named)
{
    int result = 1;

    ck_assert_int_eq(run_child(give_up, &result, 0, NULL), -1);
    ck_assert_str_eq(error.text, "no such thing");
    ck_assert_int_eq(result, 1);
    ck_assert_int_eq(run_child(crash, &result, 0, NULL), -1);
    ck_assert_int_eq(strncmp(error.text, "the child (pid ", 15), 0);
    ck_assert_ptr_nonnull(strstr(error.text, ") was killed by signal 9 (Killed)"));
    ck_assert_int_eq(run_child(leave, &result, 0, NULL), -1);
    ck_assert_ptr_nonnull(strstr(error.text, ") ended with exit status 3"));
}
END_TEST

START_TEST(a_child_that_hangs_is_left)
{
    const uint64_t begin = clock_now_ns();
    int result = 1;

    ck_assert_int_eq(run_child(hang, &result, 1, NULL), -1);
    ck_assert_str_eq(error.text, "the oracle has not answered for 1 s; ask no more");
    ck_assert_uint_ge(clock_now_ns() - begin, 1000000000u);
    ck_assert_uint_lt(clock_now_ns() - begin, 30 * 1000000000ull);
}
END_TEST

/* Once, and before it ends. */
START_TEST(what_takes_long_is_said)
{
    FILE *said = tmpfile();
    const int before = dup(STDERR_FILENO);
    char text[64] = "";
    int result;
    const struct child_task task = {.name = "the child",
                                    .run = hang,
                                    .result = &result,
                                    .result_bytes = sizeof(result),
                                    .seconds = 1,
                                    .slow = "the oracle",
                                    .advice = "ask no more",
                                    .patience_seconds = 0,
                                    .patience = "asking the oracle"};

    dup2(fileno(said), STDERR_FILENO);
    ck_assert_int_eq(child_run(&task, &error), -1);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(said);
    ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, said), 0);
    ck_assert_str_eq(text, "tpcoord: asking the oracle\n");
    fclose(said);
}
END_TEST

START_TEST(an_interruption_ends_the_wait)
{
    struct signals signals;
    int result = 1;

    ck_assert_int_eq(signals_take(&signals, &error), 0);
    ck_assert_int_eq(kill(getpid(), SIGINT), 0);
    ck_assert_int_eq(run_child(hang, &result, 0, &signals), -1);
    ck_assert_str_eq(error.text, "interrupted");
    ck_assert_int_eq(signals.interruptions, 1);
    /* The death of the child before is no interruption. */
    ck_assert_int_eq(run_child(double_it, &result, 60, &signals), 0);
    ck_assert_int_eq(result, 42);
    signals_release(&signals);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("child");
    TCase *tcase = tcase_create("child");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_child_leaves_its_result);
    tcase_add_test(tcase, a_child_that_fails_or_dies_is_named);
    tcase_add_test(tcase, a_child_that_hangs_is_left);
    tcase_add_test(tcase, what_takes_long_is_said);
    tcase_add_test(tcase, an_interruption_ends_the_wait);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
