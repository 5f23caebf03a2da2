/* Goal of this test: pictures as a user asks for them. Each format is what it says it is, on a disk and on standard output;
 * what makes no sense is one line and exit status 2 before anything is written, and a full disk is said. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;
static bool has_cairo;

static void set_up(void)
{
    program_set_up(&program);
    has_cairo = program_run(&program, "plan @ --svg ~/probe.svg") == 0;
    if (!has_cairo)
        ck_assert_str_eq(program_text(&program, "err"), "tpcoord: --svg: tp was built without cairo; install "
                                                        "libcairo2-dev and build it again\n");
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static void assert_begins(const char *name, const char *bytes)
{
    ck_assert_msg(strncmp(program_text(&program, name), bytes, strlen(bytes)) == 0, "%s begins with %.16s", name,
                  program_text(&program, name));
}

START_TEST(test_formats)
{
    if (!has_cairo)
        return;
    ck_assert_int_eq(program_run(&program, "plan @ --svg ~/a.svg --pdf ~/a.pdf --png ~/a.png --beside gpipe,pipedream"),
                     0);
    assert_begins("a.svg", "<?xml");
    assert_begins("a.pdf", "%PDF-");
    assert_begins("a.png", "\x89PNG");
    ck_assert_str_eq(program_text(&program, "out"), "");
    /* What was there is written anew, and the same plan gives the same bytes. */
    ck_assert_int_eq(program_run(&program, "plan @ --svg ~/b.svg --beside gpipe,pipedream"), 0);
    ck_assert_int_eq(program_run(&program, "plan @ --svg ~/b.svg --beside gpipe,pipedream"), 0);
    ck_assert_str_eq(program_text(&program, "a.svg"), program_text(&program, "b.svg"));
}
END_TEST

START_TEST(test_standard_output)
{
    if (!has_cairo)
        return;
    ck_assert_int_eq(program_run(&program, "plan @ --png - --versions"), 0);
    assert_begins("out", "\x89PNG");
    /* The plan's tables go nowhere then. */
    ck_assert_int_eq(program_run(&program, "plan @ --simulate --svg - --set simulation.forward_ms=1 "
                                           "--set simulation.backward_ms=2 --set simulation.update_ms=0"),
                     0);
    assert_begins("out", "<?xml");
    ck_assert_int_eq(program_run(&program, "plan @ --grid --slots 6 --svg ~/a.svg"), 0);
    assert_begins("out", "stage 1: 1A");
    assert_begins("a.svg", "<?xml");
}
END_TEST

static const struct refusal {
    const char *words, *reason;
} refusals[] = {
    {"plan @ --svg ~/a.png", "ends like a file for --png"},
    {"plan @ --png ~/a.PDF", "ends like a file for --pdf"},
    {"plan @ --svg ~/missing/a.svg", "cannot be written: No such file or directory"},
    {"plan @ --svg ~", "cannot be written: Is a directory"},
    {"plan @ --svg ~/a.svg --beside nothing", "\"nothing\" is none of the choices"},
    {"plan @ --svg - --png -", "only one file can go to standard output"},
    {"plan @ --beside gpipe", "--beside goes with --svg, --pdf or --png"},
    {"plan @ --versions", "--versions goes with --grid, with --stage K, or with --svg"},
    {"plan @ --svg ~/a.svg --csv ~/a.csv", "--csv writes a schedule, not a picture"},
    {"plan @ --svg ~/a.svg --json ~/a.json", "go together with --simulate only"},
    {"plan @ --svg ~/a.svg --simulate --slots 9", "--slots goes with --grid, --stage, or with a picture"},
    {"run @ --svg ~/a.svg", "--svg does not go with tpcoord run"},
    {"plan @ --svg ~/a.svg --slots 5000", "a picture of 5000 ticks is too large"},
};
enum { REFUSALS = sizeof(refusals) / sizeof(refusals[0]) };

START_TEST(test_refusals)
{
    const struct refusal *refusal = &refusals[_i];

    if (!has_cairo)
        return;
    const int status = program_run(&program, refusal->words);
    const char *said = program_text(&program, "err");

    ck_assert_int_eq(status, strstr(refusal->reason, "too large") ? 1 : 2);
    ck_assert_msg(strstr(said, refusal->reason) != NULL, "%s", said);
    ck_assert(status == 1 || !program_has(&program, "a.svg"));
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
}
END_TEST

START_TEST(test_recordings)
{
    if (!has_cairo)
        return;
    ck_assert_int_eq(program_run(&program, "@ --quiet --record ~/run.tprec"), 0);
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --at 0.01 --svg ~/a.svg --png - --versions"), 0);
    assert_begins("a.svg", "<?xml");
    assert_begins("out", "\x89PNG");
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --at 0.01 --span 0.005 --svg ~/b.svg"), 0);
    ck_assert_str_ne(program_text(&program, "a.svg"), program_text(&program, "b.svg"));
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --at 0 --once"), 0);
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --at 1e6 --once"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "run.tprec is "));
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --svg ~/missing/a.svg"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "missing/a.svg cannot be written: No such file"));
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --svg /dev/full"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "/dev/full cannot be written: No space"));
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --svg ~/a.png"), 2);
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/run.tprec --once --svg ~/a.svg"), 2);
}
END_TEST

START_TEST(test_comparisons)
{
    if (!has_cairo)
        return;
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe,timeprest --seeds 1,2 --quiet --plot ~/a.svg"),
                     0);
    assert_begins("a.svg", "<?xml");
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe --quiet --plot /dev/full"), 2);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "a picture's name ends with .svg, .pdf or .png"));
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe --plot ~/missing/a.pdf"), 2);
    ck_assert_int_eq(program_run(&program, "plan @ --plot ~/a.pdf"), 2);
}
END_TEST

START_TEST(test_full_disk)
{
    static const char *const formats[] = {"svg", "pdf", "png"};
    char words[64], said[128];

    if (!has_cairo)
        return;
    for (size_t k = 0; k < sizeof(formats) / sizeof(formats[0]); k++) {
        snprintf(words, sizeof(words), "plan @ --%s /dev/full", formats[k]);
        snprintf(said, sizeof(said), "tpcoord: /dev/full cannot be written: No space left on device\n");
        ck_assert_int_eq(program_run(&program, words), 1);
        ck_assert_str_eq(program_text(&program, "err"), said);
    }
    ck_assert_int_eq(program_run(&program, "plan @ --svg ~/wide.svg --slots 1000"), 0);
    ck_assert_int_eq(program_run(&program, "plan @ --png ~/wide.png --slots 1000"), 1);
    ck_assert_ptr_nonnull(strstr(program_text(&program, "err"), "too large for pixels"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("picture-cli");
    TCase *pictures = tcase_create("pictures");

    tcase_add_checked_fixture(pictures, set_up, tear_down);
    tcase_set_timeout(pictures, 60);
    tcase_add_test(pictures, test_formats);
    tcase_add_test(pictures, test_standard_output);
    tcase_add_loop_test(pictures, test_refusals, 0, REFUSALS);
    tcase_add_test(pictures, test_recordings);
    tcase_add_test(pictures, test_comparisons);
    tcase_add_test(pictures, test_full_disk);
    suite_add_tcase(suite, pictures);

    return run_suite(suite);
}
