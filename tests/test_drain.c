/* telemetry/drain: records come out in order and of one piece, or are counted as lost, however fast a stage writes. */
#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board/records.h"
#include "telemetry/drain.h"
#include "tests/support/suite.h"
#include "transport/rings.h"

/* After so many records the reader lets the writer overtake it, as the next one is then about to be overwritten. */
enum { RECORDS = 20000000, TAKEN_TOGETHER = 3 };

static struct segment segment;
static struct drain drain;

static void set_up(void)
{
    static struct plan plan;
    struct error error;

    plan = (struct plan){.stage_count = 1,
                         .part_count = 1,
                         .schedule = {.stages = 1, .parts = 1, .microbatches = 1},
                         .minibatches_per_epoch = RECORDS};
    plan.config.data.batch = 1000;
    plan.config.run.epochs = 1;
    ck_assert_msg(segment_create_private(&segment, &plan, rings_bytes, &error) == 0, "%s", error.text);
    drain = (struct drain){.segment = &segment};
}

static void tear_down(void)
{
    segment_close(&segment);
}

/* Every field of record n follows from n, the first as the last. */
static struct op_record record_number(uint64_t n)
{
    return (struct op_record){
        .start_ns = n << 24,
        .end_ns = (n << 24) + 1000,
        .wait_ns = n,
        .wait_core_ns = n / 2,
        .held_ns = n % 1000,
        .core_ns = 1000 - n % 1000,
        .bytes_sent = n,
        .epoch = 1,
        .minibatch = (int32_t)n + 1,
        .first = 1,
        .count = 1,
        .kind = OP_BACKWARD,
        .version_read = (int32_t)n,
        .version_live = (int32_t)n,
        .update_ns = n % 1000,
        .rows = (uint32_t)(n % 1000),
    };
}

static void write_record(uint64_t n)
{
    const struct op_record record = record_number(n);

    record_write(&segment_stage(&segment, 1)->telemetry, &record);
}

static void check_record(const struct op_record *record, uint64_t n)
{
    const struct op_record expected = record_number(n);

    if (memcmp(record, &expected, sizeof(expected)) != 0)
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

/* Numbers that record 1 cannot have, each alone. */
#define FIELD(name) offsetof(struct op_record, name), sizeof(((struct op_record *)NULL)->name)
static const struct {
    size_t offset, size;
    uint64_t value; /* the low bytes of it */
} impossible[] = {
    {FIELD(kind), OP_KINDS},
    {FIELD(phase), PHASES},
    {FIELD(phase), PHASE_EVALUATE}, /* has no backward */
    {FIELD(wait_cause), WAIT_CAUSES},
    {FIELD(updated), 2},
    {FIELD(epoch), 2},
    {FIELD(minibatch), RECORDS + 1},
    {FIELD(first), 0},
    {FIELD(count), 2},
    {FIELD(rows), 1001},
    {FIELD(start_ns), 0}, /* before the end of record 0 */
    {FIELD(end_ns), 0},
    {FIELD(end_ns), UINT64_MAX},
    {FIELD(wait_ns), UINT64_MAX},
    {FIELD(wait_core_ns), 2}, /* of 1 */
    {FIELD(update_ns), 1001},
    {FIELD(held_ns), 1001},
    {FIELD(core_ns), 1000}, /* of 1000, of which it was held for 1 */
    {FIELD(version_read), (uint64_t)-2},
    {FIELD(version_sent), RECORDS + 1},
    {FIELD(loss), 0x7fc00000}, /* not a number */
};

START_TEST(an_op_that_cannot_have_happened_is_not_shown)
{
    struct op_record record = record_number(1);

    write_record(0);
    memcpy((char *)&record + impossible[_i].offset, &impossible[_i].value, impossible[_i].size);
    record_write(&segment_stage(&segment, 1)->telemetry, &record);
    write_record(2);
    ck_assert(drain_take(&drain, 1, &record));
    check_record(&record, 0);
    ck_assert(drain_take(&drain, 1, &record));
    check_record(&record, 2);
    ck_assert_uint_eq(drain.lost, 1);
}
END_TEST

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
        ck_assert_uint_ge(record.wait_ns, next);
        check_record(&record, record.wait_ns);
        next = record.wait_ns + 1;
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
    tcase_add_loop_test(tcase, an_op_that_cannot_have_happened_is_not_shown, 0,
                        (int)(sizeof(impossible) / sizeof(impossible[0])));
    tcase_add_test(tcase, a_fast_writer_is_never_read_in_halves);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
