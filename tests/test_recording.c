/* A recorded run is the run: its replay has every op that the stages recorded, at its time, forwards and backwards.
 * Damaged, cut, foreign and full recordings are told apart, each in one line. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "telemetry/recorder.h"
#include "telemetry/recording.h"
#include "telemetry/recording_format.h"
#include "tests/support/pipeline.h"
#include "tests/support/suite.h"

enum { SEED = 20260502, STAGES = 3 };
#define BOUND (UINT64_C(64) << 20)

static const char *const settings[] = {
    "pipeline.stages=3", "pipeline.microbatches=2", "data.limit=80", "data.batch=8", "run.epochs=3", NULL};

static struct pipeline pipeline;
static char *bytes;
static size_t size;
static struct recording *recording;
static struct recording_facts facts;

static void drain_all(struct drain *drain, struct recorder *recorder)
{
    struct op_record record;

    for (int s = 1; s <= STAGES; s++)
        while (drain_take(drain, s, &record))
            recorder_op(recorder, s, &record);
    recorder_look(recorder);
}

/* Runs the pipeline and records it as it runs; the run ends as `state`. */
static void record(uint64_t bound, enum run_state state)
{
    FILE *file = open_memstream(&bytes, &size);

    ck_assert_ptr_nonnull(file);
    pipeline_create(&pipeline, settings);
    struct drain drain = {.segment = &pipeline.segment};
    struct recorder *recorder = recorder_begin(file, &pipeline.segment, bound);
    ck_assert_ptr_nonnull(recorder);
    recorder_look(recorder);
    pipeline_start(&pipeline);
    while (segment_epochs_done(&pipeline.segment) < 3)
        drain_all(&drain, recorder);
    pipeline_wait(&pipeline, 0);
    drain_all(&drain, recorder);
    ck_assert_uint_eq(drain.lost, 0);
    atomic_store(&pipeline.segment.board->run_state, state);
    ck_assert_int_eq(recorder_end(recorder), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void open_recording(void)
{
    struct error error;

    ck_assert_msg(recording_open_memory(&recording, bytes, size, &error) == 0, "%s", error.text);
    facts = recording_facts(recording);
}

static void set_up(void)
{
    record(BOUND, RUN_FINISHED);
    open_recording();
}

static void tear_down(void)
{
    recording_close(recording);
    pipeline_destroy(&pipeline);
    free(bytes);
}

START_TEST(every_op_is_there)
{
    for (int s = 1; s <= STAGES; s++) {
        struct stage_history ops = recording_ops(recording, s);

        ck_assert_int_eq(ops.count, (int)pipeline_record_count(&pipeline, s));
        for (int n = 0; n < ops.count; n++)
            ck_assert_mem_eq(&ops.ops[n], pipeline_record(&pipeline, s, (uint64_t)n), sizeof(ops.ops[n]));
    }
    ck_assert(!facts.cut && !facts.full);
}
END_TEST

START_TEST(the_end_is_that_of_the_run)
{
    struct snapshot live, replayed;
    struct history history;
    struct curve curve;

    snapshot_take(&live, &pipeline.segment);
    recording_seek(recording, facts.end_ns, &replayed, &history, &curve);
    ck_assert_int_eq(replayed.state, RUN_FINISHED);
    ck_assert_int_eq(replayed.epochs_done, 3);
    ck_assert_mem_eq(replayed.epochs, live.epochs, 3 * sizeof(live.epochs[0]));
    ck_assert_mem_eq(replayed.down, live.down, sizeof(live.down));
    ck_assert_mem_eq(replayed.up, live.up, sizeof(live.up));
    ck_assert_str_eq(replayed.plan->config.pipeline.system, live.plan->config.pipeline.system);
    ck_assert_int_eq(curve.count * curve.minibatches_per_point, 3 * live.plan->minibatches_per_epoch);
    for (int s = 0; s < STAGES; s++) {
        const struct stage_snapshot *now = &live.stages[s], *then = &replayed.stages[s];

        ck_assert_mem_eq(&then->counters, &now->counters, sizeof(now->counters));
        ck_assert_int_eq(then->version_live, now->version_live);
        ck_assert_int_eq(then->version_count, now->version_count);
        ck_assert_mem_eq(then->versions, now->versions, (size_t)now->version_count * sizeof(now->versions[0]));
        ck_assert_int_eq(then->activity.kind, now->activity.kind);
        ck_assert_int_eq(history.stages[s].count, (int)now->counters.ops);
    }
}
END_TEST

/* In the middle of every op, and of every wait before one. */
START_TEST(at_any_moment_stages_do_what_they_did)
{
    static struct snapshot snapshot;
    struct history history;
    struct curve curve;

    for (int s = 1; s <= STAGES; s++) {
        struct stage_history ops = recording_ops(recording, s);

        for (int n = 0; n < ops.count; n++) {
            const struct op_record *op = &ops.ops[n];
            const struct stage_snapshot *stage = &snapshot.stages[s - 1];

            recording_seek(recording, op->start_ns, &snapshot, &history, &curve);
            ck_assert_uint_eq(snapshot.now_ns, op->start_ns);
            ck_assert_int_eq(history.stages[s - 1].count, n);
            ck_assert_int_eq(stage->activity.kind, ACTIVITY_RUN);
            ck_assert_int_eq(stage->activity.op.kind, op->kind);
            ck_assert_int_eq(stage->activity.op.minibatch, op->minibatch);
            ck_assert_int_eq(stage->activity.op.first, op->first);
            ck_assert_uint_eq(stage->activity_since_ns, op->start_ns);
            if (op->update_ns > 2) {
                recording_seek(recording, op->end_ns - 1, &snapshot, &history, &curve);
                ck_assert_int_eq(stage->activity.kind, ACTIVITY_UPDATE);
            }
            if (op->wait_ns > 2 && (n == 0 || op->start_ns - op->wait_ns / 2 > ops.ops[n - 1].end_ns)) {
                recording_seek(recording, op->start_ns - op->wait_ns / 2, &snapshot, &history, &curve);
                ck_assert_int_eq(stage->activity.kind, ACTIVITY_WAIT);
                ck_assert_int_eq(stage->activity.cause,
                                 op->wait_ns / 2 <= op->wait_core_ns ? WAIT_CORE : op->wait_cause);
            }
            recording_seek(recording, op->end_ns, &snapshot, &history, &curve);
            ck_assert_int_eq(history.stages[s - 1].count, n + 1);
            ck_assert_int_eq(stage->version_live, op->version_live + op->updated);
        }
    }
}
END_TEST

START_TEST(steps_visit_every_op_both_ways)
{
    uint64_t time_ns = facts.begin_ns, next;
    int forward = 0, backward = 0;

    for (; (next = recording_step(recording, time_ns, true)) != time_ns; time_ns = next, forward++)
        ck_assert_uint_gt(next, time_ns);
    for (; (next = recording_step(recording, time_ns, false)) != time_ns; time_ns = next, backward++)
        ck_assert_uint_lt(next, time_ns);
    ck_assert_int_eq(backward, forward - 1);
    ck_assert_int_gt(forward, 3 * STAGES * 10);
}
END_TEST

/* One line, about the place. */
static void check_refused(const void *damaged, size_t length, const char *expected)
{
    struct recording *none;
    struct error error;

    ck_assert_int_eq(recording_open_memory(&none, damaged, length, &error), -1);
    ck_assert_ptr_null(none);
    ck_assert_msg(strstr(error.text, expected) && !strchr(error.text, '\n'), "%s", error.text);
}

START_TEST(a_damaged_byte_is_found)
{
    char *damaged = malloc(size);

    ck_assert_ptr_nonnull(damaged);
    memcpy(damaged, bytes, size);
    for (uint64_t n = 0; n < 2000; n++) {
        /* Half of them near the front, where the head, the plan and the first heads of chunks are. */
        size_t at = random_below(SEED, RANDOM_TEST, 0, n, (uint32_t)(n % 2 ? size : 512));

        damaged[at] = (char)(damaged[at] ^ (1 << n % 8));
        check_refused(damaged, size, "recording");
        damaged[at] = bytes[at];
    }
    free(damaged);
}
END_TEST

/* A killed run leaves the front of its recording. It plays up to there, op for op. */
START_TEST(a_cut_recording_plays_as_far_as_it_goes)
{
    int played = 0;

    for (size_t length = 0; length < size; length += 1 + size / 1500) {
        struct recording *cut;
        struct error error;
        /* At its own end, so that whoever reads behind it is caught. */
        char *copy = malloc(length ? length : 1);

        ck_assert_ptr_nonnull(copy);
        memcpy(copy, bytes, length);
        if (recording_open_memory(&cut, copy, length, &error)) {
            ck_assert_msg(strstr(error.text, "recording") && !strchr(error.text, '\n'), "%s", error.text);
            ck_assert_int_eq(played, 0);
        } else {
            ck_assert(recording_facts(cut).cut);
            ck_assert_int_le(recording_ops(cut, 1).count, recording_ops(recording, 1).count);
            ck_assert_int_ge(recording_ops(cut, 1).count, played);
            played = recording_ops(cut, 1).count;
            if (played > 0)
                ck_assert_mem_eq(recording_ops(cut, 1).ops, recording_ops(recording, 1).ops,
                                 (size_t)played * sizeof(struct op_record));
            recording_close(cut);
        }
        free(copy);
    }
    ck_assert_int_gt(played, 0);
}
END_TEST

/* A disk on which these bytes find no place, but others behind them do. */
struct disk {
    FILE *file;
    size_t written, full_from, full_to;
};

static ssize_t write_to_disk(void *context, const char *data, size_t count)
{
    struct disk *disk = context;
    const size_t begin = disk->written;

    disk->written += count;
    if (begin < disk->full_to && disk->written > disk->full_from) {
        const size_t fits = begin < disk->full_from ? disk->full_from - begin : 0;

        fwrite(data, 1, fits, disk->file);
        errno = ENOSPC;
        return (ssize_t)fits;
    }
    return (ssize_t)fwrite(data, 1, count, disk->file);
}

/* Somebody else removes a file, and there is room again: what would then be written does not fit to what is there. */
START_TEST(a_disk_that_was_full_for_a_while_leaves_what_was_written_before)
{
    /* Most of a short recording is its head. */
    const size_t recorded = size, rest = size - sizeof(struct plan), full_from = size - rest / 2;
    struct disk disk = {.full_from = full_from, .full_to = full_from + rest / 8};
    FILE *file = fopencookie(&disk, "w", (cookie_io_functions_t){.write = write_to_disk});
    struct recorder *recorder;

    recording_close(recording);
    free(bytes);
    disk.file = open_memstream(&bytes, &size);
    ck_assert(file && disk.file);
    recorder = recorder_begin(file, &pipeline.segment, BOUND);
    recorder_look(recorder);
    for (int s = 1; s <= STAGES; s++)
        for (uint64_t n = 0; n < pipeline_record_count(&pipeline, s); n++)
            recorder_op(recorder, s, pipeline_record(&pipeline, s, n));
    /* Ops alone may be fewer bytes than those of the first recording with its states: then its last op comes again, each
     * time after the one before. */
    struct op_record again = *pipeline_record(&pipeline, 1, pipeline_record_count(&pipeline, 1) - 1);
    while (disk.written < recorded && recorder_failure(recorder) == 0) {
        const uint64_t took = again.end_ns - again.start_ns;

        again.start_ns = again.end_ns;
        again.end_ns += took;
        recorder_op(recorder, 1, &again);
    }
    ck_assert_int_eq(recorder_failure(recorder), ENOSPC);
    ck_assert_int_eq(recorder_end(recorder), -1);
    fclose(file);
    fclose(disk.file);
    ck_assert_uint_eq(size, disk.full_from);
    open_recording();
    ck_assert(facts.cut);
}
END_TEST

START_TEST(what_is_no_recording_is_called_so)
{
    char *other = malloc(size + 1);
    struct recording *none;
    struct error error;

    ck_assert_ptr_nonnull(other);
    memcpy(other, bytes, size);
    check_refused("", 0, "not a recording");
    check_refused("[run]\nepochs = 3\n", 17, "not a recording");
    other[16]++; /* the version */
    check_refused(other, size, "version 4 of the format");
    other[16]--;
    other[24]++; /* a size */
    check_refused(other, size, version_text());
    strcpy(other + offsetof(struct recording_head, made_by), "0.0.1 (0123abcdef)");
    check_refused(other, size,
                  "was made by tp 0.0.1 (0123abcdef), whose plans or ops are laid out otherwise; this is tp ");
    strcpy(other + offsetof(struct recording_head, made_by), "\x1b[2J");
    check_refused(other, size, "was made by another build of tp, ");
    memset(other + offsetof(struct recording_head, made_by), '1', RECORDING_MADE_BY);
    check_refused(other, size, "was made by another build of tp, ");
    memcpy(other, bytes, sizeof(struct recording_head));
    other[size] = 0;
    check_refused(other, size + 1, "something follows its end");
    free(other);
    ck_assert_int_eq(recording_open(&none, "/dev/null", &error), -1);
    ck_assert_str_eq(error.text, "/dev/null is no file");
    ck_assert_int_eq(recording_open(&none, "/nowhere/at/all", &error), -1);
    ck_assert_str_eq(error.text, "/nowhere/at/all cannot be read: No such file or directory");
}
END_TEST

/* What fits is in it, and how the run ended. */
START_TEST(a_recording_stops_at_its_bound)
{
    static struct snapshot snapshot;
    struct history history;
    struct curve curve;
    size_t bound = sizeof(struct plan) + 16000;

    tear_down();
    record(bound, RUN_INTERRUPTED);
    open_recording();
    ck_assert_uint_le(size, bound);
    ck_assert(facts.full && !facts.cut);
    for (int s = 1; s <= STAGES; s++)
        ck_assert_int_lt(recording_ops(recording, s).count, (int)pipeline_record_count(&pipeline, s));
    recording_seek(recording, facts.end_ns, &snapshot, &history, &curve);
    ck_assert_int_eq(snapshot.stage_count, STAGES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recording");
    TCase *tcase = tcase_create("recording");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, every_op_is_there);
    tcase_add_test(tcase, the_end_is_that_of_the_run);
    tcase_add_test(tcase, at_any_moment_stages_do_what_they_did);
    tcase_add_test(tcase, steps_visit_every_op_both_ways);
    tcase_add_test(tcase, a_damaged_byte_is_found);
    tcase_add_test(tcase, a_cut_recording_plays_as_far_as_it_goes);
    tcase_add_test(tcase, a_disk_that_was_full_for_a_while_leaves_what_was_written_before);
    tcase_add_test(tcase, what_is_no_recording_is_called_so);
    tcase_add_test(tcase, a_recording_stops_at_its_bound);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
