/* telemetry/drain: records come out in order and of one piece, or are counted as lost, however fast a stage writes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "telemetry/drain.h"
#include "transport/rings.h"

/* After so many records the reader lets the writer overtake it, as the next one is then about to be overwritten. */
enum { RECORDS = 20000000, TAKEN_TOGETHER = 3 };

static struct segment segment;
static struct drain drain;

static void set_up(void)
{
    static struct plan plan;
    struct error error;

    plan = (struct plan){.stage_count = 1, .schedule.microbatches = 1, .config.data.batch = 1};
    ck_assert_msg(segment_create_private(&segment, &plan, rings_bytes, &error) == 0, "%s", error.text);
    drain = (struct drain){.segment = &segment};
}

static void tear_down(void)
{
    segment_close(&segment);
}

/* Every field of record n says n, the first as the last. */
static void write_record(uint64_t n)
{
    struct telemetry *telemetry = &segment_stage(&segment, 1)->telemetry;

    telemetry->records[n % TELEMETRY_RECORDS] = (struct op_record){
        .start_ns = n, .end_ns = n, .wait_ns = n, .minibatch = (int32_t)n, .update_ns = n, .rows = (uint32_t)n};
    atomic_store_explicit(&telemetry->head, n + 1, memory_order_release);
}

static void check_record(const struct op_record *record, uint64_t n)
{
    ck_assert_uint_eq(record->start_ns, n);
    if (record->end_ns != n || record->wait_ns != n || record->minibatch != (int32_t)n || record->update_ns != n ||
        record->rows != (uint32_t)n)
        ck_abort_msg("record %llu is of two pieces", (unsigned long long)n);
}

/* Writes `_i - TELEMETRY_RECORDS` around a full ring. What may be being overwritten is given up. */
START_TEST(a_slow_reader_loses_the_oldest)
{
    uint64_t written = (uint64_t)_i, first = written < TELEMETRY_RECORDS ? 0 : written - TELEMETRY_RECORDS + 1;
    struct op_record record;

    ck_assert(!drain_take(&drain, 1, &record));
    for (uint64_t n = 0; n < written; n++)
        write_record(n);
    for (uint64_t n = first; n < written; n++) {
        ck_assert(drain_take(&drain, 1, &record));
        check_record(&record, n);
    }
    ck_assert(!drain_take(&drain, 1, &record));
    ck_assert_uint_eq(drain.lost, first);
}
END_TEST

static void wait_to_be_overtaken(void)
{
    const _Atomic uint64_t *head = &segment_stage(&segment, 1)->telemetry.head;
    uint64_t now;

    do
        now = atomic_load(head);
    while (now < RECORDS && now < drain.next[0] + TELEMETRY_RECORDS);
}

/* In a process of its own, as a stage is. */
START_TEST(a_fast_writer_is_never_read_in_halves)
{
    struct op_record record;
    uint64_t next = 0, taken = 0;

    pid_t writer = fork();
    if (writer == 0) {
        for (uint64_t n = 0; n < RECORDS; n++)
            write_record(n);
        _exit(0);
    }
    ck_assert_int_gt(writer, 0);
    while (next < RECORDS) {
        if (!drain_take(&drain, 1, &record))
            continue;
        ck_assert_uint_ge(record.start_ns, next);
        check_record(&record, record.start_ns);
        next = record.start_ns + 1;
        if (++taken % TAKEN_TOGETHER == 0)
            wait_to_be_overtaken();
    }
    ck_assert_uint_eq(taken + drain.lost, RECORDS);
    ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drain");
    TCase *tcase = tcase_create("drain");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_slow_reader_loses_the_oldest, TELEMETRY_RECORDS - 2, TELEMETRY_RECORDS + 3);
    tcase_add_test(tcase, a_fast_writer_is_never_read_in_halves);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
