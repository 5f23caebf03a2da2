/* node/: two machines in one process, whose packets and transfers go from queue to queue. What one shows or wants the other has
 * word for word, messages come out of a link as they went in, and what no node would send is refused. Clocks are the test's. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "board/records.h"
#include "node/node.h"
#include "tests/support/planned.h"
#include "tests/support/suite.h"

enum { MACHINES = 2, PACKETS = 64, TRANSFERS = 64 };

/* node/net.h in this process. A packet that was told lies here until its peer asks. */
struct net {
    int rank, room; /* packets that may be told before it is full */
    struct {
        struct packet packet;
        size_t bytes;
    } told[PACKETS];
    int first, count;
    struct transfer {
        int tag;
        const void *sent;
        void *received;
        size_t bytes;
        bool active, done;
    } transfers[TRANSFERS];
};

static struct node *nodes[MACHINES];
static struct net nets[MACHINES];
static uint64_t now_ns; /* 0: the machine's own clock, which check goes by as well */

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock != CLOCK_MONOTONIC || now_ns == 0)
        return __real_clock_gettime(clock, time);
    *time = (struct timespec){(time_t)(now_ns / 1000000000u), (long)(now_ns % 1000000000u)};
    return 0;
}

bool net_has_room(const struct net *net, int peer, bool urgent)
{
    (void)peer, (void)urgent;
    return net->count < net->room;
}

void net_tell(struct net *net, int peer, struct packet *packet, size_t size)
{
    const int place = (net->first + net->count++) % PACKETS;

    ck_assert_int_ne(peer, net->rank);
    ck_assert_int_le(net->count, PACKETS);
    memset(&net->told[place].packet, 0xff, sizeof(*packet));
    memcpy(&net->told[place].packet, packet, offsetof(struct packet, body) + size);
    net->told[place].bytes = offsetof(struct packet, body) + size;
}

const struct packet *net_next(struct net *net, int *peer, size_t *bytes)
{
    struct net *other = &nets[1 - net->rank];
    const int place = other->first;

    if (other->count == 0)
        return NULL;
    other->first = (other->first + 1) % PACKETS;
    other->count--;
    *peer = other->rank;
    *bytes = other->told[place].bytes;
    return &other->told[place].packet;
}

static int begin(struct net *net, struct transfer transfer)
{
    int k = 0;

    while (net->transfers[k].active)
        ck_assert_int_lt(++k, TRANSFERS);
    net->transfers[k] = transfer;
    net->transfers[k].active = true;
    return k;
}

int net_send(struct net *net, int peer, int tag, const void *bytes, size_t size)
{
    (void)peer;
    return begin(net, (struct transfer){.tag = tag, .sent = bytes, .bytes = size});
}

int net_receive(struct net *net, int peer, int tag, void *bytes, size_t size)
{
    (void)peer;
    return begin(net, (struct transfer){.tag = tag, .received = bytes, .bytes = size});
}

/* What is received under a tag meets what was sent under it. */
bool net_is_done(struct net *net, int transfer)
{
    struct transfer *own = &net->transfers[transfer], *others = nets[1 - net->rank].transfers;

    for (int k = 0; k < TRANSFERS && own->received && !own->done; k++)
        if (others[k].active && others[k].sent && !others[k].done && others[k].tag == own->tag) {
            ck_assert_uint_eq(others[k].bytes, own->bytes);
            memcpy(own->received, others[k].sent, own->bytes);
            own->done = others[k].done = true;
        }
    own->active = !own->done;
    return own->done;
}

static struct plan plan;

static void set_up(void)
{
    static const char *const overrides[] = {"pipeline.stages=3", "pipeline.microbatches=2", NULL};
    static const struct plan_machine machines[MACHINES] = {{.host = "a", .stages = 1}, {.host = "b", .stages = 2}};
    struct network *network;
    struct error error;

    planned(&plan, &network, overrides, false);
    network_destroy(network);
    ck_assert_msg(plan_spread(&plan, machines, MACHINES, &error) == 0, "%s", error.text);
    for (int m = 0; m < MACHINES; m++) {
        struct node *node = nodes[m] = calloc(1, sizeof(*node));

        nets[m] = (struct net){.rank = m, .room = PACKETS};
        node->net = &nets[m];
        ck_assert_msg(segment_create_private(&node->segment, &plan, rings_bytes, &error) == 0, "%s", error.text);
        node->segment.header->machine = m;
        node->segment.header->coordinator_pid = getpid();
        node->plan = &node->segment.header->plan;
        node->machine = m;
        node->machines = MACHINES;
        ck_assert_int_eq(links_find(node, &error), 0);
    }
}

static void tear_down(void)
{
    for (int m = 0; m < MACHINES; m++) {
        links_free(nodes[m]);
        segment_close(&nodes[m]->segment);
        free(nodes[m]);
    }
}

/* Until nobody has anything to say. */
static void settle(void)
{
    bool moved;

    do {
        moved = false;
        for (int m = 0; m < MACHINES; m++) {
            moved |= hear_move(nodes[m]);
            moved |= words_move(nodes[m]);
            moved |= links_move(nodes[m]);
        }
    } while (moved);
    for (int m = 0; m < MACHINES; m++)
        ck_assert_msg(!nodes[m]->failed, "%s", nodes[m]->error.text);
}

static uint64_t below(int draw, uint64_t bound)
{
    uint32_t words[4];

    random_block(1, RANDOM_TEST, 0, (uint64_t)draw, words);
    return ((uint64_t)words[0] << 32 | words[1]) % bound;
}

/* Node 0 has asked at `asked_ns`. The question and the answer travel for so long, and b's clock is `ahead_ns` before a's. */
static void exchange_times(uint64_t asked_ns, uint64_t there_ns, uint64_t back_ns, int64_t ahead_ns)
{
    struct packet packet = {.kind = PACKET_PONG};

    packet.body.pong.asked_ns = asked_ns;
    packet.body.pong.answered_ns = asked_ns + there_ns + (uint64_t)ahead_ns;
    now_ns = asked_ns + there_ns + back_ns;
    clocks_pong(nodes[0], 1, &packet);
    now_ns = 0;
}

/* The offset is wrong by half the difference of the two ways, which is never more than its bound, half of their sum. */
START_TEST(a_clock_is_known_within_half_a_round_trip)
{
    const struct machine_word *word = &nodes[0]->segment.board->machines[1];

    for (int draw = 0; draw < 1000; draw++) {
        const uint64_t there_ns = 2 * below(4 * draw, 1000000), back_ns = 2 * below(4 * draw + 1, 1000000);
        const int64_t ahead_ns = (int64_t)below(4 * draw + 2, UINT64_C(2000000000000)) - INT64_C(1000000000000);
        const uint64_t asked_ns = UINT64_C(5000000000000) + below(4 * draw + 3, 1000000000);

        nodes[0]->clocks[1] = (struct machine_clock){.at_ns = 0};
        exchange_times(asked_ns, there_ns, back_ns, ahead_ns);
        const int64_t found_ns = atomic_load(&word->clock_offset_ns), wrong_ns = found_ns - ahead_ns;
        ck_assert_int_eq(wrong_ns, ((int64_t)there_ns - (int64_t)back_ns) / 2);
        ck_assert_uint_eq(atomic_load(&word->clock_bound_ns), (there_ns + back_ns) / 2);
        ck_assert_int_le(llabs(wrong_ns), (int64_t)atomic_load(&word->clock_bound_ns));
        ck_assert_uint_eq(atomic_load(&word->round_trip_ns), there_ns + back_ns);
        /* A moment there is one here. */
        ck_assert_uint_eq(clocks_here(nodes[0], 1, asked_ns), asked_ns - (uint64_t)found_ns);
    }
}
END_TEST

/* Quartzes drift by 100 millionths at most: a bound grows by 100 us each second, until a later answer has a smaller one. */
START_TEST(the_answer_with_the_least_doubt_counts)
{
    const struct machine_word *word = &nodes[0]->segment.board->machines[1];
    const uint64_t second = 1000000000, begun = 100 * second;

    exchange_times(begun, 50000, 50000, 7000);
    ck_assert_int_eq(atomic_load(&word->clock_offset_ns), 7000);
    ck_assert_uint_eq(atomic_load(&word->clock_bound_ns), 50000);
    /* Half of 400 us is more than what a second has added. */
    exchange_times(begun + second, 400000, 0, 7000);
    ck_assert_int_eq(atomic_load(&word->clock_offset_ns), 7000);
    ck_assert_uint_eq(atomic_load(&word->clock_bound_ns), 50000 + (second + 300000) / 10000);
    ck_assert_uint_eq(atomic_load(&word->round_trip_ns), 100000);
    /* And less than what two have. */
    exchange_times(begun + 2 * second, 400000, 0, 7000);
    ck_assert_int_eq(atomic_load(&word->clock_offset_ns), 7000 + 200000);
    ck_assert_uint_eq(atomic_load(&word->clock_bound_ns), 200000);
}
END_TEST

/* What the run wants is there on the other machine; of what stages there ask, here. */
START_TEST(words_are_mirrored)
{
    struct board *own = nodes[0]->segment.board, *other = nodes[1]->segment.board;
    struct controls *controls = segment_controls(&nodes[0]->segment);

    settle();
    atomic_store(&own->go, 1);
    atomic_store(&own->save_at, stop_point(1, PHASE_TRAIN, 3));
    atomic_store(&own->saved_at, stop_point(1, PHASE_TRAIN, 2));
    atomic_store(&controls->ops_allowed[2], 17);
    atomic_store(&controls->slow_motion, 5);
    settle();
    ck_assert_int_eq(atomic_load(&other->go), 1);
    ck_assert_int_eq(atomic_load(&other->abort), 0);
    ck_assert_uint_eq(atomic_load(&other->stopped_at), UINT64_MAX);
    ck_assert_uint_eq(atomic_load(&other->save_at), stop_point(1, PHASE_TRAIN, 3));
    ck_assert_uint_eq(atomic_load(&other->saved_at), stop_point(1, PHASE_TRAIN, 2));
    ck_assert_uint_eq(atomic_load(&segment_controls(&nodes[1]->segment)->ops_allowed[2]), 17);
    ck_assert_uint_eq(atomic_load(&segment_controls(&nodes[1]->segment)->slow_motion), 5);
    /* A stage there was asked to end, one has diverged, and a checkpoint is wanted. */
    atomic_store(&other->stop, 2);
    atomic_store(&other->diverged, 99);
    atomic_store(&other->save, 1);
    atomic_store(&own->saved_at, stop_point(1, PHASE_TRAIN, 3));
    settle();
    ck_assert_int_eq(atomic_load(&own->stop), 2);
    ck_assert_uint_eq(atomic_load(&own->diverged), 99);
    ck_assert_int_eq(atomic_load(&own->save), 1);
    ck_assert_int_eq(atomic_load(&other->save), 0);
    atomic_store(&own->stopped_at, stop_point(1, PHASE_TRAIN, 4));
    atomic_store(&own->abort, 1);
    atomic_store(&own->dismissed, 1);
    settle();
    ck_assert_uint_eq(atomic_load(&other->stopped_at), stop_point(1, PHASE_TRAIN, 4));
    ck_assert_int_eq(atomic_load(&other->abort), 1);
    ck_assert_int_eq(atomic_load(&other->dismissed), 1);
}
END_TEST

/* Each part's share of the norm, and what part 1 has committed. */
START_TEST(what_parts_read_of_one_another_is_mirrored)
{
    struct stage_block *first = segment_stage(&nodes[0]->segment, 1), *third = segment_stage(&nodes[1]->segment, 3);

    atomic_store(&first->applied, 4);
    atomic_store(&first->norm.squares, 0.25);
    atomic_store(&first->norm.updates, 5);
    atomic_store(&third->norm.squares, 0.75);
    atomic_store(&third->norm.updates, 6);
    settle();
    first = segment_stage(&nodes[1]->segment, 1);
    third = segment_stage(&nodes[0]->segment, 3);
    ck_assert_int_eq(atomic_load(&first->applied), 4);
    ck_assert_double_eq(atomic_load(&first->norm.squares), 0.25);
    ck_assert_int_eq(atomic_load(&first->norm.updates), 5);
    ck_assert_double_eq(atomic_load(&third->norm.squares), 0.75);
    ck_assert_int_eq(atomic_load(&third->norm.updates), 6);
}
END_TEST

/* Without room nothing is told, and nothing is lost. */
START_TEST(what_finds_no_room_is_told_later)
{
    settle();
    nets[0].room = 0;
    atomic_store(&nodes[0]->segment.board->go, 1);
    settle();
    ck_assert_int_eq(atomic_load(&nodes[1]->segment.board->go), 0);
    nets[0].room = PACKETS;
    settle();
    ck_assert_int_eq(atomic_load(&nodes[1]->segment.board->go), 1);
}
END_TEST

/* An activation of part 1, whose ring leads to the other machine: so many messages as there are slots, over and over. */
START_TEST(messages_come_out_as_they_went_in)
{
    struct ring_end out, in;

    ring_end_open(&out, &nodes[0]->segment, 1, RING_DOWN);
    ring_end_open(&in, &nodes[1]->segment, 1, RING_DOWN);
    const uint64_t slots = out.layout.slots, bytes = out.layout.slot_bytes / 8 * 4;
    for (uint64_t n = 0; n < 3 * slots; n++) {
        struct message message = {.minibatch = (int32_t)n + 1,
                                  .first = 1,
                                  .count = 1,
                                  .version = (int32_t)n,
                                  .slot = n,
                                  .offset = out.layout.slot_bytes - bytes,
                                  .bytes = bytes};
        unsigned char *slot = (unsigned char *)ring_slot(&out, n) + message.offset;

        ck_assert_uint_lt(n, ring_room(&out));
        for (uint64_t b = 0; b < bytes; b++)
            slot[b] = (unsigned char)(n * 131 + b);
        ring_publish(&out, &message);
        settle();
        ck_assert_uint_eq(ring_published(&in), n + 1);
        const struct message *come = ring_message(&in, n);
        ck_assert_int_eq(come->minibatch, message.minibatch);
        ck_assert_int_eq(come->version, message.version);
        ck_assert_uint_eq(come->slot, n);
        ck_assert_uint_eq(come->offset, message.offset);
        ck_assert_uint_eq(come->bytes, bytes);
        slot = (unsigned char *)ring_slot(&in, n) + come->offset;
        for (uint64_t b = 0; b < bytes; b++)
            ck_assert_uint_eq(slot[b], (unsigned char)(n * 131 + b));
        /* Both rings have the room of one: a slot is free when the consumer over there has let go of it. */
        ck_assert_uint_eq(ring_room(&out), slots + (n < slots ? 0 : n - slots + 1));
        if (n + 1 >= slots)
            ring_release(&in, n + 2 - slots);
        settle();
    }
    ck_assert_uint_eq(nodes[0]->sent_bytes, 3 * slots * bytes);
    ck_assert_uint_eq(nodes[1]->received_bytes, 3 * slots * bytes);
}
END_TEST

/* What was decided before a message was published is seen before it. */
START_TEST(decisions_come_with_a_message)
{
    const struct message message = {.minibatch = 1, .first = 1, .count = 1, .bytes = 4};
    struct ring_end out;

    ring_end_open(&out, &nodes[0]->segment, 1, RING_DOWN);
    atomic_store(&nodes[0]->segment.board->stopped_at, stop_point(1, PHASE_TRAIN, 2));
    atomic_store(&nodes[0]->segment.board->save_at, stop_point(1, PHASE_TRAIN, 1));
    ring_publish(&out, &message);
    links_move(nodes[0]);
    hear_move(nodes[1]);
    ck_assert_uint_eq(atomic_load(&nodes[1]->segment.board->stopped_at), stop_point(1, PHASE_TRAIN, 2));
    ck_assert_uint_eq(atomic_load(&nodes[1]->segment.board->save_at), stop_point(1, PHASE_TRAIN, 1));
}
END_TEST

/* What a stage over there shows is shown here, its times on this machine's clock. */
START_TEST(what_stages_show_is_mirrored)
{
    struct stage_block *there = segment_stage(&nodes[1]->segment, 3), *here = segment_stage(&nodes[0]->segment, 3);
    const uint64_t second = 1000000000, ahead_ns = 3 * second;
    struct op_record record = {.start_ns = 50 * second,
                               .end_ns = 50 * second + 1000,
                               .epoch = 1,
                               .minibatch = 1,
                               .first = 1,
                               .count = 1,
                               .kind = OP_FORWARD};

    exchange_times(20 * second, 10, 10, (int64_t)ahead_ns);
    atomic_store(&there->state, STAGE_READY);
    atomic_store(&there->pid, 4711);
    atomic_store(&there->applied, 12);
    atomic_store(&there->activity_since_ns, 51 * second);
    atomic_store(&there->counters.ops, 34);
    atomic_store(&there->counters.versions, 5);
    atomic_store(&there->versions.count, 1);
    atomic_store(&there->versions.rows[0].version, 11);
    record_write(&there->telemetry, &record);
    shows_move(nodes[1]);
    settle();
    ck_assert_int_eq(atomic_load(&here->state), STAGE_READY);
    ck_assert_int_eq(atomic_load(&here->pid), 4711);
    ck_assert_int_eq(atomic_load(&here->applied), 12);
    ck_assert_uint_eq(atomic_load(&here->activity_since_ns), 51 * second - ahead_ns);
    ck_assert_uint_eq(atomic_load(&here->counters.ops), 34);
    ck_assert_int_eq(atomic_load(&here->counters.versions), 5);
    ck_assert_int_eq(atomic_load(&here->versions.count), 1);
    ck_assert_int_eq(atomic_load(&here->versions.rows[0].version), 11);
    ck_assert_uint_eq(atomic_load(&here->telemetry.head), 1);
    ck_assert(record_read(&here->telemetry, 0, &record));
    ck_assert_uint_eq(record.start_ns, 50 * second - ahead_ns);
    ck_assert_uint_eq(record.end_ns, 50 * second - ahead_ns + 1000);
}
END_TEST

static void publish(int machine, enum ring_direction direction, uint64_t bytes)
{
    const struct message message = {.minibatch = 1, .first = 1, .count = 1, .bytes = bytes};
    struct ring_end end;

    ring_end_open(&end, &nodes[machine]->segment, 1, direction);
    ring_publish(&end, &message);
}

/* In the second that is over: of this machine's links as it has sent, and of others' as they tell. */
START_TEST(bytes_a_second_are_those_of_each_link)
{
    const struct board *board = nodes[0]->segment.board;

    for (int second = 0; second < 3; second++) {
        now_ns = (100 + (uint64_t)second) * 1000000000;
        for (int m = 0; m < MACHINES; m++) {
            nodes[m]->heard_ns[1 - m] = now_ns;
            clocks_look(nodes[m], now_ns);
        }
        settle();
        ck_assert_uint_eq(atomic_load(&board->link_rates[0][RING_DOWN]), second == 1 ? 64 : 0);
        ck_assert_uint_eq(atomic_load(&board->link_rates[0][RING_UP]), second == 1 ? 24 : 0);
        ck_assert_uint_eq(atomic_load(&board->machines[1].send_rate), second == 1 ? 24 : 0);
        if (second == 0) {
            publish(0, RING_DOWN, 64);
            publish(1, RING_UP, 24);
        }
        settle();
    }
    now_ns = 0;
}
END_TEST

/* Bytes behind the head, and whether a node takes them: 1 from 0, or 0 from 1. */
#define BODY(member)  sizeof(((struct packet *)0)->body.member)
#define PLACE(member) (offsetof(struct packet, body.member) - offsetof(struct packet, body))
static const struct {
    uint32_t kind;
    size_t bytes;
    bool by_0, by_1; /* taken */
} arrivals[] = {
    {PACKET_RELEASED, BODY(released), true, true},
    {PACKET_PING, BODY(asked_ns), true, true},
    {PACKET_END, 0, true, false},
    {PACKET_WORDS, BODY(words), true, false},
    {PACKET_BYE, 0, false, true},
    {PACKET_PONG, PLACE(pong.ends), false, true},
    {PACKET_ASKS, BODY(asks), false, true},
    {PACKET_PRESENT, BODY(present), false, true},
    {PACKET_FAILED, BODY(error), false, true},
    /* Cut, or longer than it is. */
    {PACKET_RELEASED, BODY(released) - 1, false, false},
    {PACKET_RELEASED, BODY(released) + 1, false, false},
    {PACKET_WORDS, 8, false, false},
    {PACKET_END, 4, false, false},
    {PACKET_PONG, BODY(pong), false, false},
    {PACKET_BLOCK, 8, false, false},
    {PACKET_BLOCK, BODY(block), false, false},
    {PACKET_RECORDS, 8 + sizeof(struct op_record), false, false},
    {PACKET_SAVED, 0, false, false},
    /* Of no kind. */
    {PACKET_KINDS, 0, false, false},
    {UINT32_MAX, 0, false, false},
};

START_TEST(what_is_no_packet_ends_the_node)
{
    for (int from = 0; from < MACHINES; from++) {
        struct node *to = nodes[1 - from];
        struct packet packet = {.kind = arrivals[_i].kind, .index = 1};

        net_tell(&nets[from], 1 - from, &packet, arrivals[_i].bytes);
        ck_assert(hear_move(to));
        ck_assert_int_eq(!to->failed, from == 0 ? arrivals[_i].by_0 : arrivals[_i].by_1);
        if (to->failed)
            ck_assert_msg(strstr(to->error.text, from == 0 ? "bytes came from machine a that are no packet"
                                                           : "bytes came from machine b that are no packet") != NULL,
                          "%s", to->error.text);
    }
}
END_TEST

/* Less than a head. */
START_TEST(a_stump_is_no_packet)
{
    const struct packet packet = {.kind = PACKET_END};

    ck_assert(packet_is_sound(&packet, offsetof(struct packet, body), 0, 1));
    for (size_t bytes = 0; bytes < offsetof(struct packet, body); bytes++)
        ck_assert(!packet_is_sound(&packet, bytes, 0, 1));
}
END_TEST

/* Of records as many as it says. */
START_TEST(a_list_is_as_long_as_it_says)
{
    const size_t head = offsetof(struct packet, body.records.records);
    struct packet packet = {.kind = PACKET_RECORDS};

    for (uint64_t count = 0; count <= PACKET_RECORDS_MAX; count++) {
        packet.body.records.count = count;
        ck_assert(packet_is_sound(&packet, head + count * sizeof(struct op_record), 1, 0));
        ck_assert(!packet_is_sound(&packet, head + (count + 1) * sizeof(struct op_record), 1, 0));
    }
    packet.body.records.count = UINT64_MAX / sizeof(struct op_record) + 2;
    ck_assert(!packet_is_sound(&packet, head + sizeof(struct op_record), 1, 0));
    packet = (struct packet){.kind = PACKET_BLOCK};
    packet.body.block.version_count = -1;
    ck_assert(packet_is_sound(&packet, offsetof(struct packet, body.block.versions), 1, 0));
    packet.body.block.version_count = 2;
    ck_assert(!packet_is_sound(&packet, offsetof(struct packet, body.block.versions), 1, 0));
    ck_assert(
        packet_is_sound(&packet, offsetof(struct packet, body.block.versions) + 2 * sizeof(struct version_row), 1, 0));
}
END_TEST

/* A message must lie within its slot, be of whole numbers, and be of a ring that comes from there. */
START_TEST(a_message_without_a_place_ends_the_node)
{
    const uint64_t slot_bytes = plan_slot_bytes(&plan, 1);
    const struct {
        int ring;
        uint64_t offset, bytes;
    } wrong[] = {
        {0, 0, slot_bytes + 4},
        {0, slot_bytes, 4},
        {0, UINT64_MAX - 3, 8},
        {0, 0, 3},
        {1, 0, 4}, /* goes the other way */
        {2, 0, 4}, /* within a machine */
        {-1, 0, 4},
        {99, 0, 4},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct packet packet = {.kind = PACKET_MESSAGE, .index = wrong[i].ring};

        packet.body.message.stopped_at = UINT64_MAX;
        packet.body.message.message.offset = wrong[i].offset;
        packet.body.message.message.bytes = wrong[i].bytes;
        net_tell(&nets[0], 1, &packet, sizeof(packet.body.message));
        hear_move(nodes[1]);
        ck_assert_msg(nodes[1]->failed && strstr(nodes[1]->error.text, "a message came for which there is no room"),
                      "%zu: %s", i, nodes[1]->error.text);
        nodes[1]->failed = false;
    }
}
END_TEST

static Suite *node_suite(void)
{
    Suite *suite = suite_create("node");
    TCase *tests = tcase_create("node");

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_clock_is_known_within_half_a_round_trip);
    tcase_add_test(tests, the_answer_with_the_least_doubt_counts);
    tcase_add_test(tests, words_are_mirrored);
    tcase_add_test(tests, what_parts_read_of_one_another_is_mirrored);
    tcase_add_test(tests, what_finds_no_room_is_told_later);
    tcase_add_test(tests, messages_come_out_as_they_went_in);
    tcase_add_test(tests, decisions_come_with_a_message);
    tcase_add_test(tests, what_stages_show_is_mirrored);
    tcase_add_test(tests, bytes_a_second_are_those_of_each_link);
    tcase_add_loop_test(tests, what_is_no_packet_ends_the_node, 0, COUNT(arrivals));
    tcase_add_test(tests, a_stump_is_no_packet);
    tcase_add_test(tests, a_list_is_as_long_as_it_says);
    tcase_add_test(tests, a_message_without_a_place_ends_the_node);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return run_suite(node_suite());
}
