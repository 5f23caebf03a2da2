/* The telemetry ring under a weak memory model. board/records.c is compiled here with the loads and stores of a model of
 * C11's release and acquire: a store adds a value to a place's history, a load takes any value that its thread may still
 * see. The reader is run with every choice of values that there is. (Whole machines with weak memory are rarely at hand,
 * and an emulator on a strong one does not reorder.)
 *
 * The writer reads nothing that the reader writes. So it runs first, to its end; which of its stores the reader sees is the
 * reader's choice. */
#include <check.h>
#include <string.h>

#define TELEMETRY_RECORDS 2
#include "board/records.h"

enum {
    WRITTEN = 4, /* records: the ring comes round twice */
    WORDS = 1 + TELEMETRY_RECORDS * RECORD_WORDS,
    HISTORY_MAX = WRITTEN + 1,
    CHOICES_MAX = 64
};

/* What a thread has seen at least, by place: the index of a value in its history. */
struct sight {
    int at[WORDS];
};

static struct {
    struct {
        uint64_t value;
        struct sight behind; /* what the store releases: its own place alone if it is relaxed */
    } history[WORDS][HISTORY_MAX];
    int count[WORDS];
    struct sight writer, reader;
    const struct telemetry *telemetry;
    bool reads;         /* the reader runs, not the writer */
    bool relaxed_words; /* what the test of the test looks for: stores of words that release nothing */
    int choice[CHOICES_MAX], options[CHOICES_MAX], chosen;
} model;

static int place_of(const _Atomic uint64_t *word)
{
    return word == &model.telemetry->head ? 0 : 1 + (int)(word - &model.telemetry->records[0][0]);
}

static void join(struct sight *sight, const struct sight *other)
{
    for (int p = 0; p < WORDS; p++)
        if (other->at[p] > sight->at[p])
            sight->at[p] = other->at[p];
}

static void model_store(_Atomic uint64_t *word, uint64_t value, memory_order order)
{
    const int p = place_of(word), k = model.count[p]++;
    const bool releases = order == memory_order_release && !(model.relaxed_words && p > 0);

    ck_assert_int_lt(k, HISTORY_MAX);
    model.writer.at[p] = k;
    model.history[p][k].value = value;
    model.history[p][k].behind = (struct sight){{0}};
    model.history[p][k].behind.at[p] = k;
    if (releases)
        join(&model.history[p][k].behind, &model.writer);
}

/* The oldest that may be seen is the first choice. */
static uint64_t model_load(const _Atomic uint64_t *word, memory_order order)
{
    const int p = place_of(word), oldest = model.reader.at[p];
    int k = model.count[p] - 1;

    if (model.reads) {
        ck_assert_int_lt(model.chosen, CHOICES_MAX);
        model.options[model.chosen] = model.count[p] - oldest;
        k = oldest + model.choice[model.chosen++];
        model.reader.at[p] = k;
        if (order == memory_order_acquire)
            join(&model.reader, &model.history[p][k].behind);
    }
    return model.history[p][k].value;
}

/* The next choice of values, as one counts. False after the last. */
static bool choose_next(void)
{
    while (model.chosen > 0) {
        const int c = --model.chosen;

        if (++model.choice[c] < model.options[c])
            return true;
        model.choice[c] = 0;
    }
    return false;
}

#undef atomic_load_explicit
#undef atomic_store_explicit
#define atomic_load_explicit(word, order)         model_load(word, order)
#define atomic_store_explicit(word, value, order) model_store(word, value, order)
#include "board/records.c"
#include "tests/support/suite.h"

/* Every word of record n says n. */
static struct op_record record_of(uint64_t n)
{
    uint64_t words[RECORD_WORDS];
    struct op_record record;

    for (int w = 0; w < RECORD_WORDS; w++)
        words[w] = n;
    memcpy(&record, words, sizeof(record));
    return record;
}

/* Reads record n with every choice. Returns in how many of them it is taken, whole, and in how many in pieces. */
static void read_in_every_way(uint64_t n, int *whole, int *torn)
{
    const struct op_record expected = record_of(n);
    struct op_record record;

    *whole = *torn = 0;
    do {
        model.chosen = 0;
        model.reader = (struct sight){{0}};
        if (atomic_load_explicit(&model.telemetry->head, memory_order_acquire) <= n ||
            !record_read(model.telemetry, n, &record))
            continue;
        if (memcmp(&record, &expected, sizeof(record)) == 0)
            ++*whole;
        else
            ++*torn;
    } while (!*torn && choose_next());
}

static void write_all(bool relaxed_words)
{
    static struct telemetry telemetry;

    memset(&model, 0, sizeof(model));
    model.telemetry = &telemetry;
    model.relaxed_words = relaxed_words;
    for (int p = 0; p < WORDS; p++)
        model.count[p] = 1;
    for (uint64_t n = 0; n < WRITTEN; n++) {
        const struct op_record record = record_of(n);

        record_write(&telemetry, &record);
    }
    model.reads = true;
}

START_TEST(no_order_of_memory_lets_a_torn_record_pass)
{
    int whole, torn;

    write_all(false);
    for (uint64_t n = 0; n < WRITTEN; n++) {
        read_in_every_way(n, &whole, &torn);
        ck_assert_int_gt(whole, 0);
        ck_assert_int_eq(torn, 0);
    }
}
END_TEST

/* What would be wrong on ARM and POWER, though never on x86. */
START_TEST(without_the_order_a_torn_record_is_found)
{
    int whole, torn;

    write_all(true);
    read_in_every_way(0, &whole, &torn);
    ck_assert_int_gt(torn, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("telemetry order");
    TCase *tcase = tcase_create("telemetry order");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, no_order_of_memory_lets_a_torn_record_pass);
    tcase_add_test(tcase, without_the_order_a_torn_record_is_found);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
