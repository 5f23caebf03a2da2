/* The thread that fills inputs ahead: everything once and in order, never where somebody still reads, and what is being
 * loaded is done with when a pause returns. Also run under ThreadSanitizer. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "stages/loader.h"
#include "tests/support/suite.h"

enum { MICROBATCHES = 3, ROWS = 4, AHEAD = 2, TIMEOUT = 60 };

struct source {
    int shift;    /* of all values; changed only while the loader is paused */
    int fails_at; /* the mini-batch whose second micro-batch cannot be loaded; 0: none */
    int loads;    /* by the thread; read when it is paused */
    pthread_mutex_t lock;
    pthread_cond_t rung;
    int rings;
};

static int value_of(int shift, int minibatch, int microbatch, int row)
{
    return shift + 1000 * minibatch + 10 * microbatch + row;
}

static int places[AHEAD][MICROBATCHES][ROWS]; /* not atomic: what the loader orders, ThreadSanitizer sees ordered */

static int load(void *context, int minibatch, int microbatch, struct error *error)
{
    struct source *source = context;
    int *rows = places[minibatch % AHEAD][microbatch - 1];

    source->loads++;
    if (minibatch == source->fails_at && microbatch == 2)
        return error_set(error, "mini-batch %d is gone", minibatch);
    for (int row = 0; row < ROWS; row++)
        rows[row] = value_of(source->shift, minibatch, microbatch, row);
    return 0;
}

static void loaded(void *context)
{
    struct source *source = context;

    pthread_mutex_lock(&source->lock);
    source->rings++;
    pthread_cond_signal(&source->rung);
    pthread_mutex_unlock(&source->lock);
}

static struct source source;
static struct loader *loader;

static void setup(void)
{
    struct error error;

    source = (struct source){.lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER};
    const struct loader_job job = {
        .context = &source, .load = load, .loaded = loaded, .microbatches = MICROBATCHES, .ahead = AHEAD};
    ck_assert_msg(loader_create(&loader, &job, &error) == 0, "%s", error.text);
}

static void teardown(void)
{
    loader_destroy(loader);
}

/* As a stage does: looks, and sleeps until it is rung for. */
static void await(int minibatch, int microbatch)
{
    const int number = (minibatch - 1) * MICROBATCHES + microbatch;

    pthread_mutex_lock(&source.lock);
    while (loader_count(loader) < number)
        pthread_cond_wait(&source.rung, &source.lock);
    pthread_mutex_unlock(&source.lock);
}

static void read_minibatch(int minibatch)
{
    struct error error;

    for (int j = 1; j <= MICROBATCHES; j++) {
        await(minibatch, j);
        ck_assert_int_eq(loader_take(loader, minibatch, j, &error), 0);
        for (int row = 0; row < ROWS; row++)
            ck_assert_int_eq(places[minibatch % AHEAD][j - 1][row], value_of(source.shift, minibatch, j, row));
    }
}

START_TEST(all_is_loaded_once_and_in_order)
{
    enum { LAST = 2000 };

    loader_resume(loader, 1, LAST);
    for (int i = 1; i <= LAST; i++) {
        read_minibatch(i);
        loader_release(loader, i);
    }
    loader_pause(loader);
    ck_assert_int_eq(source.loads, LAST * MICROBATCHES);
}
END_TEST

/* It fills the room that there is, and waits for more to be released. */
START_TEST(it_goes_no_further_than_its_room)
{
    loader_resume(loader, 1, 100);
    await(AHEAD, MICROBATCHES);
    loader_pause(loader);
    ck_assert_int_eq(source.loads, AHEAD * MICROBATCHES);
    for (int i = 1; i <= AHEAD; i++)
        read_minibatch(i);
    ck_assert_int_eq(loader_count(loader), AHEAD * MICROBATCHES);
}
END_TEST

/* The beginning and the end of what is asked for, and what was loaded for something else. */
START_TEST(what_was_loaded_before_is_forgotten)
{
    const int phases[][2] = {{1, 5}, {4, 4}, {1, 1}, {3, 2}, {7, 60}, {1, 3}};

    for (size_t k = 0; k < sizeof(phases) / sizeof(phases[0]); k++) {
        const int first = phases[k][0], last = phases[k][1];

        loader_pause(loader);
        source.shift = (int)k * 1000000;
        loader_resume(loader, first, last);
        ck_assert_int_ge(loader_count(loader), (first - 1) * MICROBATCHES);
        /* Every other phase is left before its end, as a stopped run leaves it. */
        for (int i = first; i <= (k % 2 ? last : first); i++) {
            if (i > last)
                break;
            read_minibatch(i);
            loader_release(loader, i);
        }
    }
}
END_TEST

START_TEST(a_failure_is_told_in_its_place)
{
    struct error error;

    source.fails_at = 3;
    loader_resume(loader, 1, 10);
    for (int i = 1; i <= 2; i++) {
        read_minibatch(i);
        loader_release(loader, i);
    }
    await(3, 2);
    ck_assert_int_eq(loader_take(loader, 3, 1, &error), 0); /* what came before it is as it should be */
    ck_assert_int_eq(loader_take(loader, 3, 2, &error), -1);
    ck_assert_str_eq(error.text, "mini-batch 3 is gone");
    loader_pause(loader);
    ck_assert_int_eq(source.loads, 2 * MICROBATCHES + 2); /* nothing behind it is tried */
}
END_TEST

/* Ended in the middle, before anybody has read anything. */
START_TEST(it_ends_in_the_middle)
{
    loader_resume(loader, 1, 1000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *tests = tcase_create("loader");

    tcase_set_timeout(tests, TIMEOUT);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, all_is_loaded_once_and_in_order);
    tcase_add_test(tests, it_goes_no_further_than_its_room);
    tcase_add_test(tests, what_was_loaded_before_is_forgotten);
    tcase_add_test(tests, a_failure_is_told_in_its_place);
    tcase_add_test(tests, it_ends_in_the_middle);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
