#include "monitor/palette.h"

enum { BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, WHITE, OWN = -1 };

/* Neighbours in the cycle of mini-batches differ in hue and in lightness, also for the colour-blind. */
static const struct tint tints[COLOURS] = {
    /* As text on the terminal's own background: these can be read on dark ones and on light ones. */
    [COLOUR_DEFAULT] = {OWN, OWN},
    [COLOUR_DIM] = {243, OWN},
    [COLOUR_TITLE] = {OWN, OWN},
    [COLOUR_KEY] = {130, MAGENTA},
    [COLOUR_GOOD] = {28, GREEN},
    [COLOUR_WARNING] = {166, YELLOW},
    [COLOUR_BAD] = {196, RED},
    [COLOUR_WAIT_ACTIVATION] = {67, CYAN},
    [COLOUR_WAIT_GRADIENT] = {131, MAGENTA},
    [COLOUR_WAIT_SLOT] = {136, YELLOW},
    [COLOUR_WAIT_NORM] = {96, BLUE},
    [COLOUR_WAIT_DATA] = {65, GREEN},
    [COLOUR_WAIT_CORE] = {133, RED},
    [COLOUR_HELD] = {OWN, OWN},
    [COLOUR_UPDATE] = {OWN, OWN},
    [COLOUR_COMPUTE] = {29, GREEN},
    [COLOUR_LOSS] = {166, YELLOW},
    [COLOUR_ACCURACY] = {30, CYAN},
    /* As backgrounds, and text on these. */
    [COLOUR_INK] = {16, BLACK},
    [COLOUR_PAPER] = {231, OWN},
    [COLOUR_EVALUATION] = {250, WHITE},
    [COLOUR_EVALUATION_SOFT] = {238, OWN},
    [COLOUR_MINIBATCH] = {39, BLUE},
    [COLOUR_MINIBATCH + 1] = {220, YELLOW},
    [COLOUR_MINIBATCH + 2] = {170, MAGENTA},
    [COLOUR_MINIBATCH + 3] = {120, GREEN},
    [COLOUR_MINIBATCH + 4] = {209, RED},
    [COLOUR_MINIBATCH + 5] = {123, CYAN},
    [COLOUR_MINIBATCH_SOFT] = {24, BLUE},
    [COLOUR_MINIBATCH_SOFT + 1] = {58, YELLOW},
    [COLOUR_MINIBATCH_SOFT + 2] = {53, MAGENTA},
    [COLOUR_MINIBATCH_SOFT + 3] = {22, GREEN},
    [COLOUR_MINIBATCH_SOFT + 4] = {88, RED},
    [COLOUR_MINIBATCH_SOFT + 5] = {23, CYAN},
    [COLOUR_PART] = {39, BLUE},
    [COLOUR_PART + 1] = {209, RED},
    [COLOUR_PART + 2] = {170, MAGENTA},
    [COLOUR_PART + 3] = {120, GREEN},
    [COLOUR_PART + 4] = {220, YELLOW},
    [COLOUR_PART + 5] = {123, CYAN},
    [COLOUR_PART + 6] = {250, WHITE},
};

static bool is_soft(enum colour colour)
{
    return colour == COLOUR_EVALUATION_SOFT || (colour >= COLOUR_MINIBATCH_SOFT && colour < COLOUR_PART);
}

struct tint palette_tint(enum colour colour)
{
    return tints[colour];
}

struct tint palette_background(enum colour colour)
{
    return (struct tint){tints[colour].of_256, is_soft(colour) ? OWN : tints[colour].of_8};
}
