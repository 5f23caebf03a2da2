/* base/: random numbers against Random123's known answers and against their distributions, strict parsing, errors. */
#include <check.h>
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/parse.h"
#include "base/program.h"
#include "base/random.h"
#include "base/text.h"
#include "tests/support/suite.h"

enum { SAMPLES = 200000, SEEDS = 5 };

/* Random123's kat_vectors, "philox4x32 10". */
static const struct {
    uint32_t counter[4], key[2], out[4];
} known_answers[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

START_TEST(philox_gives_the_published_answers)
{
    uint32_t out[4] = {0};

    random_philox(known_answers[_i].counter, known_answers[_i].key, out);
    ck_assert_mem_eq(out, known_answers[_i].out, sizeof(out));
}
END_TEST

/* Every bit of seed, purpose, substream and index must matter. */
START_TEST(blocks_depend_on_all_arguments)
{
    uint32_t base[4], other[4];

    random_block(1, RANDOM_TEST, 2, 3, base);
    random_block(1, RANDOM_TEST, 2, 3, other);
    ck_assert_mem_eq(base, other, sizeof(base));
    for (int bit = 0; bit < 64; bit++) {
        random_block(1 ^ (uint64_t)1 << bit, RANDOM_TEST, 2, 3, other);
        ck_assert_mem_ne(base, other, sizeof(base));
        random_block(1, RANDOM_TEST, 2, 3 ^ (uint64_t)1 << bit, other);
        ck_assert_mem_ne(base, other, sizeof(base));
    }
    for (int bit = 0; bit < 32; bit++) {
        random_block(1, RANDOM_TEST, 2 ^ (uint32_t)1 << bit, 3, other);
        ck_assert_mem_ne(base, other, sizeof(base));
    }
    random_block(1, RANDOM_ORDER, 2, 3, other);
    ck_assert_mem_ne(base, other, sizeof(base));
}
END_TEST

/* Sums of powers of SAMPLES numbers, to compare with a distribution's moments. */
struct moments {
    double power[5];              /* means of x^1 .. x^4 at 1 .. 4 */
    double minimum, maximum, lag; /* lag: mean of x[i] x[i + 1] */
};

static struct moments moments_of(float (*draw)(uint64_t, enum random_purpose, uint32_t, uint64_t), uint64_t seed)
{
    struct moments m = {.minimum = HUGE_VAL, .maximum = -HUGE_VAL};
    double previous = 0.0;

    for (uint64_t i = 0; i < SAMPLES; i++) {
        double x = (double)draw(seed, RANDOM_TEST, 0, i), power = 1.0;
        for (int p = 1; p <= 4; p++)
            m.power[p] += (power *= x) / SAMPLES;
        m.lag += previous * x / SAMPLES;
        m.minimum = fmin(m.minimum, x);
        m.maximum = fmax(m.maximum, x);
        previous = x;
    }
    return m;
}

static void check_near(double value, double expected, double variance, const char *what, uint64_t seed)
{
    double tolerance = 5.0 * sqrt(variance / SAMPLES);

    ck_assert_msg(fabs(value - expected) <= tolerance, "seed %" PRIu64 ": %s is %g, expected %g +- %g", seed, what,
                  value, expected, tolerance);
}

START_TEST(uniform_has_the_moments_of_a_uniform)
{
    uint64_t seed = (uint64_t)_i;
    struct moments m = moments_of(random_uniform, seed);

    ck_assert_msg(m.minimum >= 0.0 && m.minimum < 1e-3, "seed %" PRIu64 ": minimum %g", seed, m.minimum);
    ck_assert_msg(m.maximum < 1.0 && m.maximum > 1.0 - 1e-3, "seed %" PRIu64 ": maximum %g", seed, m.maximum);
    for (int p = 1; p <= 4; p++) /* E x^p = 1 / (p + 1) */
        check_near(m.power[p], 1.0 / (p + 1), 1.0 / (2 * p + 1) - 1.0 / ((p + 1) * (p + 1)), "a moment", seed);
    check_near(m.lag, 0.25, 1.0 / 9 - 1.0 / 16 + 2 * (1.0 / 12 - 1.0 / 16), "the lag-1 product", seed);
}
END_TEST

START_TEST(normal_has_the_moments_of_a_normal)
{
    static const double expected[5] = {1, 0, 1, 0, 3}, variance[5] = {0, 1, 2, 15, 96};
    uint64_t seed = (uint64_t)_i;
    struct moments m = moments_of(random_normal, seed);
    int within = 0;

    for (int p = 1; p <= 4; p++)
        check_near(m.power[p], expected[p], variance[p], "a moment", seed);
    check_near(m.lag, 0.0, 1.0, "the lag-1 product", seed);
    ck_assert_msg(m.minimum < -3.5 && m.minimum > -7.0, "seed %" PRIu64 ": minimum %g", seed, m.minimum);
    ck_assert_msg(m.maximum > 3.5 && m.maximum < 7.0, "seed %" PRIu64 ": maximum %g", seed, m.maximum);
    for (uint64_t i = 0; i < SAMPLES; i++)
        within += fabsf(random_normal(seed, RANDOM_TEST, 0, i)) < 1.0f;
    check_near((double)within / SAMPLES, erf(M_SQRT1_2), 0.6827 * 0.3173, "the share within one deviation", seed);
}
END_TEST

START_TEST(below_stays_below_its_bound)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 60000, 1u << 31, UINT32_MAX};

    for (size_t b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++)
        for (uint64_t i = 0; i < 10000; i++)
            if (random_below(99, RANDOM_TEST, 1, i, bounds[b]) >= bounds[b])
                ck_abort_msg("number %" PRIu64 " is not below %" PRIu32, i, bounds[b]);
}
END_TEST

START_TEST(below_is_even)
{
    enum { BOUND = 11 };
    int counts[BOUND] = {0};
    double chi_squared = 0.0, expected = (double)SAMPLES / BOUND;

    for (uint64_t i = 0; i < SAMPLES; i++)
        counts[random_below((uint64_t)_i, RANDOM_TEST, 1, i, BOUND)]++;
    for (int value = 0; value < BOUND; value++)
        chi_squared += (counts[value] - expected) * (counts[value] - expected) / expected;
    ck_assert_msg(chi_squared < 35.6, "seed %d: chi squared %g of 10 degrees of freedom (p = 0.0001 at 35.6)", _i,
                  chi_squared);
}
END_TEST

/* Splits the range in two unequal parts: a 32-bit multiply alone would show its bias at such a bound. */
START_TEST(below_is_even_for_large_bounds)
{
    const uint32_t bound = 3u << 30;
    int low = 0;

    for (uint64_t i = 0; i < SAMPLES; i++)
        low += random_below((uint64_t)_i, RANDOM_TEST, 1, i, bound) % 3 == 0;
    check_near((double)low / SAMPLES, 1.0 / 3, 2.0 / 9, "the share of multiples of three", (uint64_t)_i);
}
END_TEST

enum { UNTOUCHED = 12345 };

static void check_refused(int result, const struct error *error, const char *text, const char *phrase)
{
    ck_assert_msg(result == -1, "\"%s\" was accepted", text);
    ck_assert_msg(strstr(error->text, text) && strstr(error->text, phrase), "\"%s\" gave: %s", text, error->text);
    ck_assert_ptr_null(strchr(error->text, '\n'));
}

START_TEST(whole_numbers)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0}, {"-0", 0}, {"7", 7}, {"+7", 7}, {"-100", -100}, {"000100", 100}, {"100", 100}};
    static const struct {
        const char *text, *phrase;
    } bad[] = {{"", "not a whole number"},
               {" 1", "not a whole number"},
               {"1 ", "not a whole number"},
               {"1x", "not a whole number"},
               {"x", "not a whole number"},
               {"1.0", "not a whole number"},
               {"1e2", "not a whole number"},
               {"0x10", "not a whole number"},
               {"-", "not a whole number"},
               {"+-1", "not a whole number"},
               {"1-2", "not a whole number"},
               {"101", "from -100 to 100"},
               {"-101", "from -100 to 100"},
               {"4294967297", "out of bounds"},
               {"18446744073709551617", "out of bounds"},
               {"-99999999999999999999999999", "out of bounds"}};
    struct error error;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t value = UNTOUCHED;
        ck_assert_msg(parse_int(&value, good[i].text, -100, 100, &error) == 0, "%s", error.text);
        ck_assert_int_eq(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t value = UNTOUCHED;
        check_refused(parse_int(&value, bad[i].text, -100, 100, &error), &error, bad[i].text, bad[i].phrase);
        ck_assert_int_eq(value, UNTOUCHED);
    }
}
END_TEST

START_TEST(whole_numbers_at_the_ends_of_the_type)
{
    int64_t value;
    struct error error;

    ck_assert_int_eq(parse_int(&value, "9223372036854775807", INT64_MIN, INT64_MAX, &error), 0);
    ck_assert(value == INT64_MAX);
    ck_assert_int_eq(parse_int(&value, "-9223372036854775808", INT64_MIN, INT64_MAX, &error), 0);
    ck_assert(value == INT64_MIN);
    ck_assert_int_eq(parse_int(&value, "9223372036854775808", INT64_MIN, INT64_MAX, &error), -1);
    ck_assert_int_eq(parse_int(&value, "-9223372036854775809", INT64_MIN, INT64_MAX, &error), -1);
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0.0},     {"0.1", 0.1}, {".5", 0.5},  {"5.", 5.0},    {"1e-4", 1e-4},
                {"1E+1", 10.0}, {"-2", -2.0}, {"10", 10.0}, {"1e-400", 0.0}};
    static const struct {
        const char *text, *phrase;
    } bad[] = {{"", "not a number"},        {" 1", "not a number"},    {"1 ", "not a number"},
               {"0,1", "not a number"},     {"0.1.2", "not a number"}, {"1e", "not a number"},
               {".", "not a number"},       {"e5", "not a number"},    {"nan", "not a number"},
               {"inf", "not a number"},     {"-inf", "not a number"},  {"0x1p3", "not a number"},
               {"10.001", "from -2 to 10"}, {"-2.1", "from -2 to 10"}, {"1e999", "from -2 to 10"}};
    struct error error;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        double value = UNTOUCHED;
        ck_assert_msg(parse_double(&value, good[i].text, -2.0, 10.0, &error) == 0, "%s", error.text);
        ck_assert_double_eq(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double value = UNTOUCHED;
        check_refused(parse_double(&value, bad[i].text, -2.0, 10.0, &error), &error, bad[i].text, bad[i].phrase);
        ck_assert_double_eq(value, UNTOUCHED);
    }
    double value;
    ck_assert_int_eq(parse_double(&value, "1e999", -DBL_MAX, DBL_MAX, &error), -1);
    ck_assert_int_eq(parse_double(&value, "-1e999", -DBL_MAX, DBL_MAX, &error), -1);
}
END_TEST

START_TEST(yes_and_no)
{
    static const char *const yes[] = {"yes", "true", "on", "1", "Yes", "TRUE"};
    static const char *const no[] = {"no", "false", "off", "0", "No", "FALSE"};
    static const char *const bad[] = {"", "y", "2", "yes ", "maybe", "nope", "01"};
    struct error error;

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        bool value = false;
        ck_assert_int_eq(parse_bool(&value, yes[i], &error), 0);
        ck_assert(value);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        bool value = true;
        ck_assert_int_eq(parse_bool(&value, no[i], &error), 0);
        ck_assert(!value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bool value;
        check_refused(parse_bool(&value, bad[i], &error), &error, bad[i], "neither yes nor no");
    }
}
END_TEST

START_TEST(errors_gather_context)
{
    struct error error;

    ck_assert_int_eq(error_set(&error, "bad %s %d", "thing", 7), -1);
    ck_assert_str_eq(error.text, "bad thing 7");
    ck_assert_int_eq(error_prefix(&error, "file:%d", 3), -1);
    ck_assert_str_eq(error.text, "file:3: bad thing 7");
}
END_TEST

START_TEST(errors_are_cut_not_overrun)
{
    struct error error;
    char text[2 * sizeof(error.text)];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&error, "%s", text);
    ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
    error_prefix(&error, "where");
    ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
    ck_assert_int_eq(strncmp(error.text, "where: xxx", 10), 0);
}
END_TEST

START_TEST(what_others_wrote_commands_no_terminal)
{
    static const char *const texts[][2] = {
        {"plain: W = 4, \xc3\xa4\xe2\x80\x93", "plain: W = 4, \xc3\xa4\xe2\x80\x93"},
        {"\033[2J\033]0;x\007", "?[2J?]0;x?"},
        {"two\nlines\r\t\x7f", "two?lines???"},
        {"\xc2\x9b"
         "2J \xc2\xa0",
         "??2J \xc2\xa0"},
        {"\xc2", "\xc2"},
        {"", ""},
    };
    struct error error;

    for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
        char text[64];

        strcpy(text, texts[k][0]);
        text_clean(text);
        ck_assert_str_eq(text, texts[k][1]);
        error_set(&error, "%s", texts[k][0]);
        ck_assert_str_eq(error.text, texts[k][1]);
    }
}
END_TEST

START_TEST(the_clock_does_not_go_back)
{
    uint64_t before = clock_now_ns();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();
        ck_assert_uint_ge(now, before);
        before = now;
    }
}
END_TEST

START_TEST(programs_that_lie_together_are_called_alike)
{
    static const struct {
        const char *called, *call;
    } cases[] = {
        {"build/tpmon", "build/tpcoord"},
        {"./tpmon", "./tpcoord"},
        {"/usr/local/bin/tpmon", "/usr/local/bin/tpcoord"},
        {"tpmon", "tpcoord"},
        {"", "tpcoord"},
        {NULL, "tpcoord"},
    };
    char call[PROGRAM_CALL_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        program_beside(call, cases[i].called, "tpcoord");
        ck_assert_str_eq(call, cases[i].call);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tcase = tcase_create("base");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, philox_gives_the_published_answers, 0,
                        (int)(sizeof(known_answers) / sizeof(known_answers[0])));
    tcase_add_test(tcase, blocks_depend_on_all_arguments);
    tcase_add_loop_test(tcase, uniform_has_the_moments_of_a_uniform, 0, SEEDS);
    tcase_add_loop_test(tcase, normal_has_the_moments_of_a_normal, 0, SEEDS);
    tcase_add_test(tcase, below_stays_below_its_bound);
    tcase_add_loop_test(tcase, below_is_even, 0, SEEDS);
    tcase_add_loop_test(tcase, below_is_even_for_large_bounds, 0, SEEDS);
    tcase_add_test(tcase, whole_numbers);
    tcase_add_test(tcase, whole_numbers_at_the_ends_of_the_type);
    tcase_add_test(tcase, numbers);
    tcase_add_test(tcase, yes_and_no);
    tcase_add_test(tcase, errors_gather_context);
    tcase_add_test(tcase, errors_are_cut_not_overrun);
    tcase_add_test(tcase, what_others_wrote_commands_no_terminal);
    tcase_add_test(tcase, the_clock_does_not_go_back);
    tcase_add_test(tcase, programs_that_lie_together_are_called_alike);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
