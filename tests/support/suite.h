/* How a test program ends. */
#ifndef TP_TESTS_SUPPORT_SUITE_H
#define TP_TESTS_SUPPORT_SUITE_H

#include <check.h>

/* Elements of a table: a test that takes a row at a time takes them all. */
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Runs the suite, in processes and with as much output as CK_FORK and CK_VERBOSITY ask for; the program's exit status. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
