#include "picture/ink.h"

static const struct {
    const char *name;
    unsigned rgb;
} inks[INKS] = {
    [INK_NONE] = {"none", 0xffffff},
    [INK_TEXT] = {"text", 0x1a1a1a},
    [INK_DIM] = {"dim", 0x5f5f5f},
    [INK_RULE] = {"rule", 0xb8b8b8},
    [INK_LANE] = {"lane", 0xececec},
    [INK_PAPER] = {"paper", 0xffffff},
    [INK_CYCLE_STRONG + 0] = {"strong-1", 0x0072b2},
    [INK_CYCLE_STRONG + 1] = {"strong-2", 0xe69f00},
    [INK_CYCLE_STRONG + 2] = {"strong-3", 0x009e73},
    [INK_CYCLE_STRONG + 3] = {"strong-4", 0xaa3377},
    [INK_CYCLE_STRONG + 4] = {"strong-5", 0x56b4e9},
    [INK_CYCLE_STRONG + 5] = {"strong-6", 0xd55e00},
    [INK_CYCLE_SOFT + 0] = {"soft-1", 0xb3d5e8},
    [INK_CYCLE_SOFT + 1] = {"soft-2", 0xf8e2b3},
    [INK_CYCLE_SOFT + 2] = {"soft-3", 0xb3e2d5},
    [INK_CYCLE_SOFT + 3] = {"soft-4", 0xe6c2d6},
    [INK_CYCLE_SOFT + 4] = {"soft-5", 0xd5ebf9},
    [INK_CYCLE_SOFT + 5] = {"soft-6", 0xf2cfb3},
    [INK_GREY_STRONG] = {"grey", 0x8a8a8a},
    [INK_GREY_SOFT] = {"soft-grey", 0xd9d9d9},
};

enum ink ink_strong(int number)
{
    return (enum ink)(INK_CYCLE_STRONG + number % INK_CYCLE);
}

enum ink ink_soft(int number)
{
    return (enum ink)(INK_CYCLE_SOFT + number % INK_CYCLE);
}

struct rgb ink_rgb(enum ink ink)
{
    const unsigned rgb = inks[ink].rgb;

    return (struct rgb){(rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0};
}

/* By luminance, as the eye weighs the colours. */
enum ink ink_upon(enum ink ink)
{
    const struct rgb rgb = ink_rgb(ink);

    return 0.299 * rgb.red + 0.587 * rgb.green + 0.114 * rgb.blue > 0.55 ? INK_TEXT : INK_PAPER;
}

const char *ink_name(enum ink ink)
{
    return inks[ink].name;
}
