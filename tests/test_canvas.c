/* Goal of this test: text is clipped at a canvas's end and takes a column for each character; colours can be read on light
 * and on dark terminals, and neighbouring mini-batches differ. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "monitor/lane.h"
#include "monitor/palette.h"
#include "tests/support/drawn.h"
#include "tests/support/suite.h"

START_TEST(test_neighbours_differ_in_colour)
{
    for (int i = 1; i < 50; i++) {
        const struct span a = {.kind = SPAN_OP, .op.kind = OP_BACKWARD, .number = i},
                          b = {.kind = SPAN_OP, .op.kind = OP_BACKWARD, .number = i + 1};
        const struct tint of_a = palette_tint((enum colour)lane_style(&a, COLOURING_MINIBATCH).background),
                          of_b = palette_tint((enum colour)lane_style(&b, COLOURING_MINIBATCH).background);

        ck_assert_int_ne(of_a.of_256, of_b.of_256);
        ck_assert_int_ne(of_a.of_8, of_b.of_8);
    }
}
END_TEST

/* Of a colour from 16 on in xterm's palette of 256, as WCAG 2 defines it. */
static double luminance(int colour)
{
    static const int levels[] = {0, 95, 135, 175, 215, 255};
    const int cube = colour - 16, grey = 8 + 10 * (colour - 232);
    const int rgb[] = {colour < 232 ? levels[cube / 36] : grey, colour < 232 ? levels[cube / 6 % 6] : grey,
                       colour < 232 ? levels[cube % 6] : grey};
    double linear[3];

    for (int k = 0; k < 3; k++)
        linear[k] = rgb[k] <= 10 ? rgb[k] / 255.0 / 12.92 : pow((rgb[k] / 255.0 + 0.055) / 1.055, 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

/* Text on the terminal's own background, be it white or black; and the text on ops. */
START_TEST(text_is_read_on_light_and_on_dark_terminals)
{
    for (int c = COLOUR_DEFAULT; c < COLOUR_MINIBATCH; c++) {
        const struct tint tint = palette_tint((enum colour)c);

        if (c == COLOUR_INK || c == COLOUR_PAPER || c == COLOUR_EVALUATION || c == COLOUR_EVALUATION_SOFT ||
            tint.of_256 < 0)
            continue;
        ck_assert_int_ne(tint.of_8, 7);
        ck_assert_int_ge(tint.of_256, 16);
        ck_assert_msg(1.05 / (luminance(tint.of_256) + 0.05) >= 3, "colour %d on white", c);
        ck_assert_msg((luminance(tint.of_256) + 0.05) / 0.05 >= 3, "colour %d on black", c);
    }
    for (int k = 0; k < MINIBATCH_COLOURS; k++) {
        const double strong = luminance(palette_background((enum colour)(COLOUR_MINIBATCH + k)).of_256);
        const double soft = luminance(palette_background((enum colour)(COLOUR_MINIBATCH_SOFT + k)).of_256);

        ck_assert_msg((strong + 0.05) / (luminance(palette_tint(COLOUR_INK).of_256) + 0.05) >= 4.5, "strong %d", k);
        ck_assert_msg((luminance(palette_tint(COLOUR_PAPER).of_256) + 0.05) / (soft + 0.05) >= 4.5, "soft %d", k);
    }
}
END_TEST

START_TEST(test_text_is_clipped_and_narrow)
{
    struct canvas canvas = canvas_of(2, 6, false), ascii = canvas_of(1, 6, true);
    char *text;

    ck_assert_int_eq(canvas_write(&canvas, 0, 3, (struct style){0},
                                  "a\xc2\xb7"
                                  "bcdef"),
                     10);
    ck_assert_int_eq(canvas_write(&canvas, 1, -1, (struct style){0},
                                  "x\xe4\xb8\xad\xff\x1b"
                                  "e\xcc\x81"),
                     5);
    ck_assert_int_eq(canvas_write(&canvas, 7, 0, (struct style){0}, "below"), 5);
    text = canvas_text(&canvas);
    ck_assert_str_eq(text, "   a\xc2\xb7"
                           "b\n???e?\n");
    free(text);
    canvas_write(&ascii, 0, 0, (struct style){0}, "·░█▲→é");
    text = canvas_text(&ascii);
    ck_assert_str_eq(text, ".-#^>?\n");
    free(text);
    canvas_destroy(&canvas);
    canvas_destroy(&ascii);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("canvas");
    TCase *tcase = tcase_create("canvas");

    tcase_add_test(tcase, test_text_is_clipped_and_narrow);
    tcase_add_test(tcase, text_is_read_on_light_and_on_dark_terminals);
    tcase_add_test(tcase, test_neighbours_differ_in_colour);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
