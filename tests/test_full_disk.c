/* Goal of this test: a full disk costs what does not fit on it and nothing else. What was trained is told, nothing that is
 * half written bears the name of a whole, a recording plays up to where it was cut, and the exit status says that
 * something is missing. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/program.h"
#include "tests/support/suite.h"

enum { SKIPPED = 77 };

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

/* Mounts a disk of `size` at ~/disk that nobody else sees. */
static void mount_disk(const char *size)
{
    char path[128], options[32];

    snprintf(path, sizeof(path), "%s/disk", program.folder);
    snprintf(options, sizeof(options), "size=%s", size);
    if ((geteuid() != 0 && unshare(CLONE_NEWUSER)) || unshare(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir(path, 0700) ||
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options))
        _exit(SKIPPED);
}

/* But for so many small files at once: a run that cannot write down what it is does not begin. */
static void fill_disk(int files)
{
    enum { PAGE = 4096 };
    static const char page[PAGE];
    char path[128];

    snprintf(path, sizeof(path), "%s/disk/full", program.folder);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    setbuf(file, NULL);
    while (fwrite(page, 1, sizeof(page), file) == sizeof(page))
        ;
    ck_assert_int_eq(ftruncate(fileno(file), ftell(file) / PAGE * PAGE - files * PAGE), 0);
    fclose(file);
}

/* Runs `test` in a process whose disks are its own. */
static void with_own_disks(void (*test)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        test();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        fprintf(stderr, "skipped: a disk cannot be mounted here\n");
    else
        ck_assert_int_eq(status, 0);
}

static void assert_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in: %s", part, text);
}

static void run_on_a_full_disk(void)
{
    mount_disk("64k");
    fill_disk(2);
    ck_assert_int_eq(program_run(&program, "@ --set run.output=~/disk --set run.name=x --json ~/report"), 1);
    assert_has(program_text(&program, "out"), "\nversion difference v: ");
    assert_has(program_text(&program, "out"), "\nfinished after 1 of 1 epochs, ");
    ck_assert_ptr_null(strstr(program_text(&program, "out"), "report.json"));
    assert_has(program_text(&program, "err"), "/disk/x/report.json cannot be written: No space left on device\n");
    ck_assert(!program_has(&program, "disk/x/report.json") && !program_has(&program, "disk/x/report.json.part"));
    json_t *report = program_json(&program, "report");
    ck_assert_str_eq(json_string_value(json_object_get(report, "result")), "finished");
    json_decref(report);
}

START_TEST(results_are_told_when_the_report_has_no_place)
{
    with_own_disks(run_on_a_full_disk);
}
END_TEST

static void compare_on_a_full_disk(void)
{
    mount_disk("64k");
    fill_disk(3);
    ck_assert_int_eq(program_run(&program, "compare @ --systems gpipe,naive --set run.output=~/disk"), 1);
    assert_has(program_text(&program, "out"), "1/2 gpipe: finished after 1 epoch");
    assert_has(program_text(&program, "out"), "\nsystem  order ");
    assert_has(program_text(&program, "err"), "/comparison.json cannot be written: No space left on device\n");
}

START_TEST(a_comparison_is_told_when_it_has_no_place)
{
    with_own_disks(compare_on_a_full_disk);
}
END_TEST

static void record_on_a_small_disk(void)
{
    mount_disk("256k");
    ck_assert_int_eq(program_run(&program, "@ --epochs 40 --set data.batch=8 --record ~/disk/run.tprec"), 1);
    assert_has(program_text(&program, "out"), "\nfinished after 40 of 40 epochs, ");
    assert_has(program_text(&program, "out"), "\nreport: ");
    assert_has(program_text(&program, "err"),
               "tpcoord: the recording cannot be written: No space left on device; the rest "
               "of the run is not in it\n");
    ck_assert_int_eq(program_run(&program, "tpmon --replay ~/disk/run.tprec --once"), 0);
    assert_has(program_text(&program, "out"), "timeprest");
}

START_TEST(a_recording_that_was_cut_plays)
{
    with_own_disks(record_on_a_small_disk);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full_disk");
    TCase *tcase = tcase_create("full_disk");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, results_are_told_when_the_report_has_no_place);
    tcase_add_test(tcase, a_comparison_is_told_when_it_has_no_place);
    tcase_add_test(tcase, a_recording_that_was_cut_plays);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
