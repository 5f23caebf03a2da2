/* Rings between two threads (run it under ThreadSanitizer too: it cannot see across processes), and segments: what is
 * created can be attached, what is damaged or foreign is refused. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "board/guard.h"
#include "telemetry/snapshot.h"
#include "tests/support/planned.h"
#include "tests/support/suite.h"
#include "transport/ring.h"

/* Just enough of a plan to lay out links: W stages, tensors of `floats` floats. Who opens a segment wants a real one. */
static struct plan small_plan(int stages, int microbatches, int slots, int floats)
{
    struct plan plan = {.stage_count = stages, .part_count = stages, .schedule = {.stages = stages, .parts = 1}};

    plan.config.data.batch = 1;
    plan.schedule.microbatches = microbatches;
    plan.schedule.order.whole_backward = true;
    for (int s = 0; s < stages; s++) {
        plan.parts[s].activation_slots = plan.parts[s].gradient_slots = slots;
        plan.parts[s].input = plan.parts[s].output = (struct shape){1, 1, floats};
    }
    return plan;
}

static struct plan real_plan(void)
{
    static const char *const overrides[] = {"pipeline.stages=3", "pipeline.microbatches=2", NULL};
    struct network *network;
    struct plan plan;

    planned(&plan, &network, overrides, false);
    network_destroy(network);
    return plan;
}

enum { MINIBATCHES = 3000, FLOATS = 48 };

struct exchange {
    struct segment segment;
    int microbatches;
};

static float stamp(int minibatch, int microbatch, int i)
{
    return (float)(minibatch * 31 + microbatch * 7 + i);
}

static void *produce(void *context)
{
    struct exchange *exchange = context;
    struct ring_end end;

    ring_end_open(&end, &exchange->segment, 1, RING_DOWN);
    for (int i = 0; i < MINIBATCHES; i++) {
        while (ring_room(&end) <= (uint64_t)i)
            ;
        for (int j = 0; j < exchange->microbatches; j++) {
            int rows = FLOATS / exchange->microbatches;
            float *slot = (float *)ring_slot(&end, (uint64_t)i) + j * rows;
            struct message message = {.minibatch = i, .first = (int16_t)j, .count = 1, .version = i - j};

            for (int k = 0; k < rows; k++)
                slot[k] = stamp(i, j, k);
            ring_publish(&end, &message);
        }
    }
    return NULL;
}

/* The consumer keeps up to all slots before it lets one go, and checks what it read only then. */
static int consume(struct exchange *exchange)
{
    struct ring_end end;
    int rows = FLOATS / exchange->microbatches, wrong = 0;

    ring_end_open(&end, &exchange->segment, 1, RING_DOWN);
    for (int i = 0; i < MINIBATCHES; i++) {
        uint64_t held = random_below(1, RANDOM_TEST, 0, (uint64_t)i, (uint32_t)end.layout.slots);

        for (int j = 0; j < exchange->microbatches; j++, end.messages++) {
            const struct message *message;

            while (ring_published(&end) <= end.messages)
                ;
            message = ring_message(&end, end.messages);
            wrong += message->minibatch != i || message->first != j || message->version != i - j;
        }
        for (int j = 0; j < exchange->microbatches; j++)
            for (int k = 0; k < rows; k++)
                wrong += memcmp(&((float *)ring_slot(&end, (uint64_t)i))[j * rows + k], &(float){stamp(i, j, k)},
                                sizeof(float)) != 0;
        if ((uint64_t)i + 1 > held)
            ring_release(&end, (uint64_t)i + 1 - held);
    }
    return wrong;
}

static const int shapes[][2] = {{1, 1}, {1, 3}, {2, 1}, {3, 4}, {5, 2}}; /* slots, micro-batches */

START_TEST(ring_carries_every_message_in_order)
{
    struct plan plan = small_plan(2, shapes[_i][1], shapes[_i][0], FLOATS);
    struct exchange exchange = {.microbatches = shapes[_i][1]};
    struct error error;
    pthread_t producer;

    ck_assert_msg(!segment_create_private(&exchange.segment, &plan, rings_bytes, &error), "%s", error.text);
    ck_assert_int_eq(pthread_create(&producer, NULL, produce, &exchange), 0);
    ck_assert_int_eq(consume(&exchange), 0);
    pthread_join(producer, NULL);
    segment_close(&exchange.segment);
}
END_TEST

/* Slots of all rings are disjoint, inside the segment and aligned. */
START_TEST(slots_do_not_overlap)
{
    struct plan plan = small_plan(_i, 3, 2, 1000);
    const int rings = 2 * (_i - 1);
    size_t end = (size_t)rings * sizeof(struct ring);

    for (int r = 0; r < rings; r++) {
        const struct ring_layout ring = ring_layout_of(&plan, r / 2 + 1, r % 2 ? RING_UP : RING_DOWN);

        ck_assert_uint_eq(ring.cursors_offset, (size_t)r * sizeof(struct ring));
        ck_assert_uint_ge(ring.messages_offset, end);
        ck_assert_uint_ge(ring.data_offset, ring.messages_offset + ring.message_capacity * sizeof(struct message));
        ck_assert_uint_eq(ring.data_offset % CACHE_LINE + ring.slot_bytes % CACHE_LINE, 0);
        ck_assert_uint_ge(ring.slot_bytes, 1000 * sizeof(float));
        end = ring.data_offset + ring.slots * ring.slot_bytes;
    }
    ck_assert_uint_eq(end, rings_bytes(&plan));
}
END_TEST

/* Slots that a stage's parts read on a GPU fill its arena, and none lies twice in it; only other stages need handles. */
START_TEST(slots_of_an_arena_do_not_overlap)
{
    enum { STAGES = 3, PARTS = 3, LINKS = STAGES * PARTS - 1, SLOTS = 2, MICROBATCHES = 3 };
    struct plan plan = small_plan(STAGES * PARTS, MICROBATCHES, SLOTS, 1000);
    size_t begins[STAGES][2 * LINKS], bytes = 0;
    int counts[STAGES] = {0};

    plan.stage_count = plan.schedule.stages = STAGES;
    plan.schedule.parts = PARTS;
    plan.schedule.placement = (enum placement)_i;
    for (int link = 1; link <= LINKS; link++)
        plan.parts[link - 1].link = LINK_DEVICE;
    for (int r = 0; r < 2 * LINKS; r++) {
        const int link = r / 2 + 1, before = plan_stage_of(&plan, link), after = plan_stage_of(&plan, link + 1);
        const struct ring_layout ring = ring_layout_of(&plan, link, r % 2 ? RING_UP : RING_DOWN);
        const int reader = r % 2 ? before : after;

        ck_assert(ring.in_arena);
        ck_assert_uint_eq(ring.handle_count, before == after ? 0 : 1 + SLOTS + SLOTS * MICROBATCHES);
        bytes = ring.slots * ring.slot_bytes;
        for (int k = 0; k < counts[reader - 1]; k++)
            ck_assert(ring.arena_offset >= begins[reader - 1][k] + bytes ||
                      begins[reader - 1][k] >= ring.arena_offset + bytes);
        begins[reader - 1][counts[reader - 1]++] = ring.arena_offset;
        ck_assert_uint_le(ring.arena_offset + bytes, rings_arena_bytes(&plan, reader));
    }
    for (int s = 1; s <= STAGES; s++)
        ck_assert_uint_eq(rings_arena_bytes(&plan, s), (size_t)counts[s - 1] * bytes);
}
END_TEST

enum { RINGS = 1000, SHORT_NS = 20000000 };

/* Rings before the look are all answered by it: the wait that follows lasts, and costs the neighbour no core. One that comes
 * behind the look ends the wait, however long that was to be. */
START_TEST(a_doorbell_is_heard_once_however_often_it_was_rung)
{
    struct doorbell doorbell = {0};
    uint32_t heard = 0;

    for (int k = 0; k < RINGS; k++)
        doorbell_ring(&doorbell);
    doorbell_silence(&doorbell, &heard);
    const uint64_t until = clock_now_ns() + SHORT_NS;
    doorbell_wait(&doorbell, &heard, until);
    ck_assert_uint_ge(clock_now_ns(), until);
    for (int k = 0; k < RINGS; k++)
        doorbell_ring(&doorbell);
    doorbell_wait(&doorbell, &heard, UINT64_MAX);
    const uint64_t later = clock_now_ns() + SHORT_NS;
    doorbell_wait(&doorbell, &heard, later);
    ck_assert_uint_ge(clock_now_ns(), later);
}
END_TEST

/* The first ring takes it on itself to wake a sleeper; the others, until that is up, spare themselves the call. */
START_TEST(a_sleeper_is_woken_by_the_first_ring_alone)
{
    struct doorbell doorbell = {.sleeps = 1};

    doorbell_ring(&doorbell);
    ck_assert_uint_eq(atomic_load(&doorbell.sleeps), 0);
    ck_assert_uint_eq(atomic_load(&doorbell.rings), 1);
    doorbell_ring(&doorbell);
    ck_assert_uint_eq(atomic_load(&doorbell.rings), 2);
}
END_TEST

START_TEST(a_run_is_private_to_its_user_and_leaves_no_name)
{
    struct plan plan = real_plan();
    struct segment segment, opened;
    struct error error;
    struct stat status;
    char name[64];

    ck_assert_msg(!segment_create(&segment, &plan, rings_bytes, "/nowhere", &error), "%s", error.text);
    ck_assert_int_eq(segment_open(&opened, segment.name, rings_bytes, &error), -1);
    ck_assert_msg(!segment_publish(&segment, &error), "%s", error.text);
    ck_assert_int_eq(fstat(segment.fd, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0600);
    ck_assert_int_ge(status.st_blocks * 512, (off_t)segment.size);
    strcpy(name, segment.name);
    ck_assert_int_eq(segment_open(&opened, name, rings_bytes, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "not a tp run"));
    segment_seal(&segment);
    ck_assert_msg(!segment_open(&opened, name, rings_bytes, &error), "%s", error.text);
    ck_assert_int_eq(opened.header->block_count, 3);
    ck_assert_str_eq(opened.header->run_folder, "/nowhere");
    segment_close(&opened);
    segment_unlink(name);
    ck_assert_int_eq(segment_open(&opened, name, rings_bytes, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, strerror(ENOENT)));
    segment_close(&segment);
}
END_TEST

/* What dead processes left goes at the next start, also if somebody else has the number now; a living one's stays. */
START_TEST(the_next_start_sweeps_up_after_the_dead)
{
    struct plan plan = small_plan(2, 1, 1, 16);
    struct segment alive, next;
    char dead[128], living[64], reused[64];
    struct error error;
    pid_t child = fork();

    if (child == 0)
        _exit(segment_create(&next, &plan, rings_bytes, "", &error) || segment_publish(&next, &error) ? 1 : 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_msg(!segment_create(&alive, &plan, rings_bytes, "", &error) && !segment_publish(&alive, &error), "%s",
                  error.text);
    strcpy(living, alive.name);
    snprintf(reused, sizeof(reused), "/tp-%u-%d-0", getuid(), (int)getppid());
    close(shm_open(reused, O_RDWR | O_CREAT, 0600));
    ck_assert_msg(!segment_create(&next, &plan, rings_bytes, "", &error) && !segment_publish(&next, &error), "%s",
                  error.text);
    snprintf(dead, sizeof(dead), "/dev/shm/tp-%u-%d-*", getuid(), (int)child);
    ck_assert_int_eq(glob(dead, 0, NULL, &(glob_t){0}), GLOB_NOMATCH);
    snprintf(dead, sizeof(dead), "/dev/shm%s", reused);
    ck_assert_int_eq(access(dead, F_OK), -1);
    snprintf(dead, sizeof(dead), "/dev/shm%s", living);
    ck_assert_int_eq(access(dead, F_OK), 0);
    segment_unlink(living);
    segment_unlink(next.name);
    segment_close(&alive);
    segment_close(&next);
}
END_TEST

/* Ways in which something under a run's name is not this user's run alone. */
static void replace_by_fifo(const char *path)
{
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void replace_by_folder(const char *path)
{
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void replace_by_symlink(const char *path)
{
    char other[PATH_MAX];

    snprintf(other, sizeof(other), "%s-other", path);
    ck_assert_int_eq(rename(path, other), 0);
    ck_assert_int_eq(symlink(other, path), 0);
}

static void give_a_second_name(const char *path)
{
    char other[PATH_MAX];

    snprintf(other, sizeof(other), "%s-other", path);
    ck_assert_int_eq(link(path, other), 0);
}

static void let_others_read(const char *path)
{
    ck_assert_int_eq(chmod(path, 0644), 0);
}

static void give_away(const char *path)
{
    enum { NOBODY = 65534 };

    /* Who cannot do that cannot test it: somebody else's file is then as good as unreadable. */
    if (chown(path, NOBODY, NOBODY))
        ck_assert_int_eq(chmod(path, 0), 0);
}

static void (*const plants[])(const char *path) = {replace_by_fifo,    replace_by_folder, replace_by_symlink,
                                                   give_a_second_name, let_others_read,   give_away};
enum { PLANTS = sizeof(plants) / sizeof(plants[0]) };

START_TEST(what_is_planted_under_a_runs_name_is_not_opened)
{
    struct plan plan = real_plan();
    char path[128], other[160];
    struct segment segment, opened;
    struct error error;

    ck_assert_msg(!segment_create(&segment, &plan, rings_bytes, "", &error), "%s", error.text);
    segment_seal(&segment);
    ck_assert_msg(!segment_publish(&segment, &error), "%s", error.text);
    ck_assert_msg(!segment_open(&opened, segment.name, rings_bytes, &error), "%s", error.text);
    segment_close(&opened);
    snprintf(path, sizeof(path), "/dev/shm%s", segment.name);
    plants[_i](path);
    ck_assert_int_eq(segment_open(&opened, segment.name, rings_bytes, &error), -1);
    ck_assert_msg(strstr(error.text, segment.name) && !strchr(error.text, '\n'), "%s", error.text);
    snprintf(other, sizeof(other), "%s-other", path);
    remove(path);
    remove(other);
    segment_close(&segment);
}
END_TEST

/* Of rules and of what they keep, what no run has: a row that there is not, or a vector that nobody keeps. */
static void no_forward_rule(struct segment_header *header)
{
    header->plan.schedule.forward = FORWARD_RULES;
}

static void no_backward_rule(struct segment_header *header)
{
    header->plan.schedule.backward = BACKWARD_RULES;
}

static void no_update_rule(struct segment_header *header)
{
    header->plan.schedule.update = UPDATE_RULES;
}

static void no_configured_update_rule(struct segment_header *header)
{
    header->plan.config.staleness.update = UPDATE_RULES;
}

static void no_measure(struct segment_header *header)
{
    header->plan.config.staleness.measure = STALENESS_MEASURED + 1;
}

static void no_decay_of_norms(struct segment_header *header)
{
    header->plan.config.train.decay_norms = -1;
}

static void no_optimizer(struct segment_header *header)
{
    strcpy(header->plan.config.train.optimizer, "adam");
}

static void a_prediction_without_momentum(struct segment_header *header)
{
    header->plan.schedule.forward = FORWARD_MSNAG;
    header->plan.schedule.backward = BACKWARD_LIVE;
    header->plan.config.train.momentum = 0.0;
}

static void a_gap_without_momentum(struct segment_header *header)
{
    header->plan.schedule.update = UPDATE_GAP_AWARE;
    header->plan.config.train.momentum = 0.0;
}

static void a_slot_too_many(struct segment_header *header)
{
    header->start.slots = 1u << 31;
}

static void (*const rule_damages[])(struct segment_header *header) = {
    no_forward_rule,
    no_backward_rule,
    no_update_rule,
    no_configured_update_rule,
    no_measure,
    no_decay_of_norms,
    no_optimizer,
    a_prediction_without_momentum,
    a_gap_without_momentum,
    a_slot_too_many,
};
enum { RULE_DAMAGES = sizeof(rule_damages) / sizeof(rule_damages[0]) };

START_TEST(rules_that_no_run_has_are_not_opened)
{
    struct plan plan = real_plan();
    struct segment segment, opened;
    struct error error;

    ck_assert_msg(!segment_create(&segment, &plan, rings_bytes, "", &error), "%s", error.text);
    rule_damages[_i](segment.header);
    segment_seal(&segment);
    ck_assert_msg(!segment_publish(&segment, &error), "%s", error.text);
    ck_assert_int_eq(segment_open(&opened, segment.name, rings_bytes, &error), -1);
    ck_assert_msg(strstr(error.text, "memory is damaged") && !strchr(error.text, '\n'), "%s", error.text);
    segment_unlink(segment.name);
    segment_close(&segment);
}
END_TEST

/* Whoever could write there may change everything after the check: nothing that was checked changes with it. */
START_TEST(what_is_written_later_does_not_change_what_was_checked)
{
    static struct snapshot snapshot;
    struct plan plan = real_plan();
    struct segment segment, opened;
    struct error error;

    ck_assert_msg(!segment_create(&segment, &plan, rings_bytes, "/nowhere", &error), "%s", error.text);
    segment_seal(&segment);
    ck_assert_msg(!segment_publish(&segment, &error), "%s", error.text);
    ck_assert_msg(!segment_open(&opened, segment.name, rings_bytes, &error), "%s", error.text);
    memset(segment.board, 0xff, segment.size);
    snapshot_take(&snapshot, &opened);
    ck_assert_int_eq(snapshot.stage_count, 3);
    ck_assert_int_eq(snapshot.plan->stage_count, 3);
    ck_assert_str_eq(snapshot.run_folder, "/nowhere");
    ck_assert_int_eq(snapshot.epochs_done, 0);
    ck_assert_uint_eq(snapshot.down[0].slots, (uint64_t)plan.parts[0].activation_slots);
    segment_unlink(segment.name);
    segment_close(&opened);
    segment_close(&segment);
}
END_TEST

START_TEST(a_segment_that_shrinks_reads_as_zeros_and_says_so)
{
    struct plan plan = real_plan();
    struct segment segment, opened;
    struct error error;

    guard_install();
    ck_assert_msg(!segment_create(&segment, &plan, rings_bytes, "", &error), "%s", error.text);
    segment_seal(&segment);
    ck_assert_msg(!segment_publish(&segment, &error), "%s", error.text);
    ck_assert_msg(!segment_open(&opened, segment.name, rings_bytes, &error), "%s", error.text);
    atomic_store(&segment_stage(&segment, 2)->pid, 7);
    ck_assert(segment_is_whole(&opened));
    ck_assert_int_eq(ftruncate(segment.fd, 4096), 0);
    ck_assert_int_eq(atomic_load(&segment_stage(&opened, 2)->pid), 0);
    ck_assert(!segment_is_whole(&opened));
    ck_assert_int_eq(opened.header->block_count, 3);
    segment_unlink(segment.name);
    segment_close(&opened);
    segment_close(&segment);
}
END_TEST

static void attach_fails(const void *bytes, size_t size, const char *expected)
{
    int fd = memfd_create("damaged", 0);
    struct segment segment;
    struct error error;

    ck_assert_int_eq(fchmod(fd, 0600), 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    ck_assert_int_eq(segment_attach(&segment, fd, rings_bytes, &error), -1);
    ck_assert_msg(strstr(error.text, expected) != NULL, "'%s' instead of '%s'", error.text, expected);
}

static void attach_damaged(const struct segment *segment, int *number, int wrong, const char *expected)
{
    int right = *number;

    *number = wrong;
    attach_fails(segment->board, segment->size, expected);
    *number = right;
}

START_TEST(damaged_segments_are_refused)
{
    struct plan plan = real_plan();
    struct segment_header *header;
    struct segment segment;
    struct error error;

    ck_assert_msg(!segment_create_private(&segment, &plan, rings_bytes, &error), "%s", error.text);
    attach_fails(segment.board, segment.size, "not a tp run");
    segment_seal(&segment);
    header = &segment.board->header;
    attach_fails(segment.board, 100, "not a tp run");
    attach_fails(segment.board, segment.size - 4096, "sizes do not add up");
    attach_damaged(&segment, &header->plan.parts[1].activation_slots, 1 << 20, "parts that no network has");
    attach_damaged(&segment, &header->plan.parts[2].slice.first_layer, 0, "parts that no network has");
    attach_damaged(&segment, &header->plan.parts[0].gradient_slots, 300, "parts that no network has");
    attach_damaged(&segment, &header->plan.stage_count, 2, "a schedule that no config leads to");
    attach_damaged(&segment, &header->plan.config.pipeline.stages, PLANNED_MAX + 1, "a value for pipeline.stages");
    attach_damaged(&segment, &header->plan.config.pipeline.stages, MAX_STAGES + 1, "a schedule that no config");
    attach_damaged(&segment, &header->plan.config.data.last_batch, -1, "a value for data.last_batch");
    attach_damaged(&segment, &header->block_count, 2, "contradicts its plan");
    memset(header->run_folder, 'a', sizeof(header->run_folder));
    attach_fails(segment.board, segment.size, "contradicts its plan");
    header->run_folder[0] = '\0';
    memset(header->plan.config.pipeline.system, 'a', CONFIG_NAME_MAX);
    attach_fails(segment.board, segment.size, "a value for pipeline.system");
    strcpy(header->plan.config.pipeline.system, "timeprest");
    header->version++;
    attach_fails(segment.board, segment.size, "another version");
    segment.board->magic++;
    attach_fails(segment.board, segment.size, "not a tp run");
    segment_close(&segment);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport");
    TCase *tcase = tcase_create("transport");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, ring_carries_every_message_in_order, 0, COUNT(shapes));
    tcase_add_loop_test(tcase, slots_do_not_overlap, 1, 9);
    tcase_add_loop_test(tcase, slots_of_an_arena_do_not_overlap, 0, PLACEMENTS);
    tcase_add_test(tcase, a_doorbell_is_heard_once_however_often_it_was_rung);
    tcase_add_test(tcase, a_sleeper_is_woken_by_the_first_ring_alone);
    tcase_add_test(tcase, a_run_is_private_to_its_user_and_leaves_no_name);
    tcase_add_test(tcase, the_next_start_sweeps_up_after_the_dead);
    tcase_add_test(tcase, damaged_segments_are_refused);
    tcase_add_loop_test(tcase, what_is_planted_under_a_runs_name_is_not_opened, 0, PLANTS);
    tcase_add_loop_test(tcase, rules_that_no_run_has_are_not_opened, 0, RULE_DAMAGES);
    tcase_add_test(tcase, what_is_written_later_does_not_change_what_was_checked);
    tcase_add_test(tcase, a_segment_that_shrinks_reads_as_zeros_and_says_so);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
