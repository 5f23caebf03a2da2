/* Network files: every line form, what is wrong with one in a line of its own, and expressions against an evaluator that
 * shares nothing with the reader's. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "network/internal.h"
#include "tests/support/suite.h"

static struct network *network;
static struct network_mistakes mistakes;

static int read_with(const char *text, int depth, int width, struct shape input, int classes)
{
    const struct network_options options = {.name = "own.net",
                                            .text = text,
                                            .depth = depth,
                                            .width = width,
                                            .tokens = input.width == 1,
                                            .input = input,
                                            .classes = classes};

    return network_read(&network, &options, &mistakes);
}

static int read_text(const char *text)
{
    return read_with(text, 0, 0, (struct shape){28, 28, 1}, 10);
}

static void read_well(const char *text)
{
    ck_assert_msg(read_text(text) == 0, "%s", mistakes.lines[0]);
}

static void check_mistakes(const char *text, const char *first, int count)
{
    ck_assert_msg(read_text(text) == -1, "read: %s", text);
    ck_assert_ptr_null(network);
    ck_assert_msg(strstr(mistakes.lines[0], first) == mistakes.lines[0], "\"%s\" is not \"%s\"", mistakes.lines[0],
                  first);
    ck_assert_msg(mistakes.count == count, "%d mistakes, the second: %s", mistakes.count, mistakes.lines[1]);
}

#define TEXT_HEAD "input tokens\nblock a\ne = embedding vocabulary=classes units=24\n"
#define TEXT_TAIL "head = linear units=classes per_position=1\nloss cross_entropy\n"

START_TEST(what_does_not_go_with_text)
{
    static const char *const cases[][2] = {
        {"input tokens\nblock a\nx = relu\n" TEXT_TAIL, "own.net:3: relu cannot read tokens: only an embedding can"},
        {TEXT_HEAD "x = embedding vocabulary=9 units=8\n" TEXT_TAIL,
         "own.net:4: embedding reads tokens, which only the network's input can be: input tokens"},
        {TEXT_HEAD "x = rope heads=5\n" TEXT_TAIL,
         "own.net:4: 24 channels cannot be divided into 5 heads: take a number of heads that divides them"},
        {TEXT_HEAD "x = rope heads=8\n" TEXT_TAIL, "own.net:4: heads of 3 channels have one that is left over"},
        {TEXT_HEAD "x = attention e\n" TEXT_TAIL, "own.net:4: attention reads three layers: name all"},
        {TEXT_HEAD "x = attention e e e heads=4\n" TEXT_TAIL,
         "own.net:4: attention reads three layers: name each once"},
        {TEXT_HEAD "k = silu e\nv = silu e\nx = attention e k v heads=7\n" TEXT_TAIL,
         "own.net:6: 24 channels cannot be divided into 7 heads"},
        {TEXT_HEAD "k = silu e\nv = silu e\nx = attention e k v heads=4 kv_heads=3\n" TEXT_TAIL,
         "own.net:6: 4 heads cannot share 3 of keys and values: take a number that divides them"},
        {TEXT_HEAD "k = silu e\nv = silu e\nx = attention e k v heads=4 kv_heads=2\n" TEXT_TAIL,
         "own.net:6: e has 16 x 1 x 24, k has 16 x 1 x 24, but attention takes 16 x 1 x 12 there"},
        {TEXT_HEAD "x = multiply e\n" TEXT_TAIL, "own.net:4: multiply reads two layers: name both"},
        {TEXT_HEAD "head = linear units=classes\nloss cross_entropy\n",
         "own.net:5: a.head gives 1 x 1 x 9: it is to give a number for each of 9 tokens at each of 16 positions"},
        {"input tokens\ninitial uniform 1\nblock a\n", "own.net:2: how weights begin is: initial normal 0.02"},
        {"input tokens\ninitial normal -1\nblock a\n",
         "own.net:2: a deviation is a number from 0.000001 to 10, not -1"},
        {"input image\nblock a\nx = relu\n",
         "own.net:1: the network reads images, but the data set (data.set) has tokens"},
    };

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        ck_assert_int_eq(read_with(cases[k][0], 0, 0, (struct shape){16, 1, 1}, 9), -1);
        ck_assert_msg(strstr(mistakes.lines[0], cases[k][1]) == mistakes.lines[0], "\"%s\" is not \"%s\"",
                      mistakes.lines[0], cases[k][1]);
    }
    ck_assert_msg(read_with(TEXT_HEAD TEXT_TAIL, 0, 0, (struct shape){16, 1, 1}, 9) == 0, "%s", mistakes.lines[0]);
    network_destroy(network);
}
END_TEST

/* One deviation for all that is random, and none for norms and biases. */
START_TEST(weights_begin_as_the_file_says)
{
    static const char text[] =
        "input tokens\ninitial normal 0.02\nblock a\ne = embedding vocabulary=classes units=100\n"
        "n = rms_norm\n" TEXT_TAIL;
    struct slice slice;
    float *weights;
    double squares = 0.0;
    int zeros = 0, ones = 0;

    ck_assert_msg(read_with(text, 0, 0, (struct shape){16, 1, 1}, 50) == 0, "%s", mistakes.lines[0]);
    slice = network_slice(network, 0, 1);
    weights = calloc(slice.parameters, sizeof(*weights));
    ck_assert_ptr_nonnull(weights);
    network_initialise(network, &slice, 1, weights, NULL);
    for (size_t i = 0; i < slice.parameters; i++) {
        zeros += weights[i] == 0.0f;
        ones += weights[i] == 1.0f;
        squares += weights[i] == 1.0f ? 0.0 : (double)weights[i] * (double)weights[i];
    }
    ck_assert_int_eq(ones, 100);
    ck_assert_int_eq(zeros, 50);
    ck_assert_msg(fabs(sqrt(squares / 10000.0) - 0.02) < 0.0006, "%g", sqrt(squares / 10000.0));
    free(weights);
    network_destroy(network);
}
END_TEST

#define HEAD "input image\nblock a\n"
#define TAIL "head = linear units=classes\nloss cross_entropy\n"

START_TEST(one_mistake_is_one_line)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"", "own.net:1: the file ends without a loss: its last line is to be: loss cross_entropy"},
        {"# nothing\n", "own.net:1: the file ends without a loss"},
        {"input image\nloss cross_entropy\n", "own.net:2: the network has no layers"},
        {HEAD "x = linear units=10\n", "own.net:3: the file ends without a loss"},
        {HEAD "x = linear units=10\nloss squares\n", "own.net:4: the loss is: loss cross_entropy"},
        {HEAD "x = linear units=10\nloss\n", "own.net:4: the loss is: loss cross_entropy"},
        {HEAD TAIL "loss cross_entropy\n", "own.net:5: nothing follows the loss"},
        {HEAD TAIL "x = relu\n", "own.net:5: nothing follows the loss"},
        {HEAD "x = linear units=9\nloss cross_entropy\n",
         "own.net:4: a.x gives 9 numbers for 10 classes: it is to give one for each, as units=classes does"},
        {HEAD "x = relu\nloss cross_entropy\n", "own.net:4: a.x gives 784 numbers for 10 classes"},
        {HEAD "x = softmax\n" TAIL,
         "own.net:3: there is no layer type softmax; there are convolution, batch_norm, linear, average_pool, "},
        {HEAD "x = convolution kernel=3\n" TAIL, "own.net:3: convolution needs channels=, from 1 to 65536"},
        {HEAD "x = convolution channels=4 kernel=3 dilation=2\n" TAIL,
         "own.net:3: convolution has no argument dilation; it has channels, kernel, stride, padding, bias"},
        {HEAD "x = relu slope=1\n" TAIL, "own.net:3: relu has no argument slope; it has none"},
        {HEAD "x = linear units=4 units=5\n" TAIL, "own.net:3: units is given twice"},
        {HEAD "x = linear units=0\n" TAIL, "own.net:3: units=0 is out of bounds; use 1 to 1048576"},
        {HEAD "x = convolution channels=4 kernel=12\n" TAIL, "own.net:3: kernel=12 is out of bounds; use 1 to 11"},
        {HEAD "x = convolution channels=4 kernel=3 bias=2\n" TAIL, "own.net:3: bias=2 is out of bounds; use 0 to 1"},
        {HEAD "x = linear units=\n" TAIL, "own.net:3: : a number or a name is missing at the end"},
        {HEAD "x = linear units=many\n" TAIL, "own.net:3: many: nothing is called many"},
        {HEAD "x = linear units=2*(3\n" TAIL, "own.net:3: 2*(3: a \")\" is missing"},
        {HEAD "x = linear units=2+\n" TAIL, "own.net:3: 2+: a number or a name is missing at the end"},
        {HEAD "x = linear units=2)\n" TAIL, "own.net:3: 2): nothing is expected before )"},
        {HEAD "x = linear units=1/0\n" TAIL, "own.net:3: 1/0: it divides by 0"},
        {HEAD "x = linear units=1%(classes-10)\n" TAIL, "own.net:3: 1%(classes-10): it divides by 0"},
        {HEAD "x = linear units=99999999999999999999\n" TAIL,
         "own.net:3: 99999999999999999999: numbers are at most 1073741824"},
        {HEAD "x = linear units=1073741824*2\n" TAIL, "own.net:3: 1073741824*2: its value is beyond 1073741824"},
        {HEAD "x = linear 4 units=4\n" TAIL, "own.net:3: block a has no layer 4 above this line"},
        {HEAD "x = linear units=4 input\n" TAIL, "own.net:3: input: layers that are read come before the arguments"},
        {HEAD "x = relu input input\n" TAIL, "own.net:3: relu reads one layer: the one above, or one that is named"},
        {HEAD "x = add input\n" TAIL, "own.net:3: add reads two layers: name both"},
        {HEAD "x = add\n" TAIL, "own.net:3: add reads two layers: name both"},
        {HEAD "x = convolution channels=4 kernel=3\ny = add x input\n" TAIL,
         "own.net:4: x has 28 x 28 x 4, input has 28 x 28 x 1: they must be alike"},
        /* A layer that comes later: the only way to a cycle. */
        {HEAD "x = add y input\ny = relu\n" TAIL, "own.net:3: block a has no layer y above this line"},
        {HEAD "x = relu x\n" TAIL, "own.net:3: block a has no layer x above this line"},
        /* A layer of another block: a cut would cut it, too. */
        {HEAD "x = relu\nblock b\ny = add input x\n" TAIL, "own.net:5: block b has no layer x above this line"},
        {HEAD "x = relu\nblock b\ny = relu a.x\n" TAIL, "own.net:5: block b has no layer a.x above this line"},
        {HEAD "x = relu\ny = relu input\n" TAIL, "own.net:6: nothing in block a, which ends here, reads its layer x"},
        {HEAD "x = relu\nx = relu\n" TAIL,
         "own.net:4: block a has a layer a.x above, and no network has two of one name"},
        {HEAD "x = relu\nblock a\n" TAIL, "own.net:4: there is a block a above"},
        {HEAD "block b\n" TAIL, "own.net:3: block a, which ends here, has no layers"},
        {HEAD TAIL "block b\n", "own.net:5: nothing follows the loss"},
        {"input image\nx = relu\nblock a\n" TAIL, "own.net:2: a layer is in a block: a line before it is to say block"},
        {"block a\n" TAIL, "own.net:1: a line before the first block says what the network reads: input image"},
        {"input text\nblock a\n" TAIL, "own.net:1: a network reads images or tokens: input image, or input tokens"},
        {"input tokens\nblock a\n" TAIL, "own.net:1: the network reads tokens, but the data set (data.set) has images"},
        {"input image\n" HEAD TAIL, "own.net:2: the input is said above"},
        {"input image\nblock\n" TAIL, "own.net:2: a block is: block NAME, or block NAME as PREFIX"},
        {"input image\nblock stem-1\n" TAIL,
         "own.net:2: \"stem-1\" is no name: use letters, digits and \"_\", with \".\" between them"},
        {"input image\nblock .a\n" TAIL, "own.net:2: \".a\" is no name"},
        {"input image\nblock a.\n" TAIL, "own.net:2: \"a.\" is no name"},
        {"input image\nblock a..b\n" TAIL, "own.net:2: \"a..b\" is no name"},
        {HEAD "x/y = relu\n" TAIL, "own.net:3: \"x/y\" is no name"},
        {HEAD "x = relu\ny = add x x{\n" TAIL, "own.net:4: x{: a \"}\" is missing"},
        {"input image\nblock a as\n" TAIL, "own.net:2: a block is: block NAME, or block NAME as PREFIX, which goes"},
        {"input image\nblock a b\n" TAIL, "own.net:2: a block is: block NAME, or block NAME as PREFIX, which goes"},
        {"input image\nblock a like b\n" TAIL, "own.net:2: a block is: block NAME, or block NAME as PREFIX"},
        {"input image\nblock a as b c\n" TAIL, "own.net:2: a block is: block NAME, or block NAME as PREFIX"},
        {"input image\nblock a as b.\n" TAIL, "own.net:2: \"b.\" is no name"},
        {"input image\nblock \"\" as b\n" TAIL, "own.net:2: \"\"\"\" is no name"},
        {"input image\nblock a as b\nx = relu\nblock c as b\nx = relu\n" TAIL,
         "own.net:5: block a has a layer b.x above, and no network has two of one name"},
        {"input image\nblock a as \"\"\nb.x = relu\nblock b\nx = relu\n" TAIL,
         "own.net:5: block a has a layer b.x above, and no network has two of one name"},
        {"input image\nblock a as \"\"\ny = relu\noptimizer.x = relu\n" TAIL,
         "own.net:4: optimizer.x: names that begin with optimizer. are those of what checkpoints hold beside"},
        {"input image\nblock a as \"\"\nversion.1 = relu\n" TAIL,
         "own.net:3: version.1: names that begin with version."},
        {"input image\nblock a{1\n" TAIL, "own.net:2: a{1: a \"}\" is missing"},
        {"input image\nblock a{i}\n" TAIL, "own.net:2: i: nothing is called i"},
        {"input image\nblock abcdefghijklmnopqrstuvwxyz012345\n" TAIL, "own.net:2: names have at most 31 characters"},
        {HEAD "repeat i = 1 to 2\n" TAIL, "own.net:3: the line \"end\" that belongs to it is missing"},
        {HEAD "if 1\n" TAIL, "own.net:3: the line \"end\" that belongs to it is missing"},
        {HEAD "end\n" TAIL, "own.net:3: nothing ends here: there is no repeat or if before it"},
        {HEAD "repeat 3\nend\n" TAIL, "own.net:3: a repeat is: repeat i = 1 to 3"},
        {HEAD "repeat i = 1\nend\n" TAIL, "own.net:3: a repeat is: repeat i = 1 to 3"},
        {HEAD "repeat i = 1 to\nend\n" TAIL, "own.net:3: : a number or a name is missing at the end"},
        {HEAD "repeat i = 1 to 4097\nend\n" TAIL, "own.net:3: it repeats 4097 times; at most 4096 are possible"},
        {HEAD "repeat classes = 1 to 2\nend\n" TAIL, "own.net:3: classes stands for another number here"},
        {HEAD "repeat i = 1 to 2\nrepeat i = 1 to 2\nend\nend\n" TAIL, "own.net:4: i stands for another number here"},
        {HEAD "repeat i = 1 to 2\nend\nx = linear units=i\n" TAIL, "own.net:5: i: nothing is called i"},
        {HEAD "if\nend\n" TAIL, "own.net:3: : a number or a name is missing at the end"},
        {HEAD "x relu\n" TAIL, "own.net:3: a line is a layer, NAME = TYPE ..., or begins with parameter, input, "},
        {HEAD "x =\n" TAIL, "own.net:3: a line is a layer"},
        {HEAD "= relu\n" TAIL, "own.net:3: a line is a layer"},
        {"parameter depth\n" HEAD TAIL, "own.net:1: a parameter is: parameter depth = 3 from 1 to 100"},
        {"parameter height = 1 from 1 to 2\n" HEAD TAIL, "own.net:1: no key sets height: parameters are called depth"},
        {"parameter depth = 3 from 4 to 5\n" HEAD TAIL, "own.net:1: 3 from 4 to 5 makes no sense"},
        {"parameter depth = 3 from 0 to 5\n" HEAD TAIL, "own.net:1: 3 from 0 to 5 makes no sense"},
        {"parameter depth = 3 from 1 to 1025\n" HEAD TAIL, "own.net:1: 3 from 1 to 1025 makes no sense"},
        {"parameter depth = 3 from 1 to 5\nparameter depth = 2 from 1 to 5\n" HEAD TAIL,
         "own.net:2: the parameter depth is said above"},
        {HEAD "x = max_pool kernel=11\ny = max_pool kernel=3\n" TAIL,
         "own.net:4: a window of 3 does not fit 2 x 2 with a padding of 0; use a smaller one"},
        {HEAD "x = max_pool kernel=3 padding=2\n" TAIL, "own.net:3: a padding of 2 is more than half the window of 3"},
        {HEAD "x = max_pool kernel=11\ny = convolution channels=1 kernel=5 padding=1\n" TAIL,
         "own.net:4: a kernel of 5 does not fit 2 x 2 with a padding of 1"},
        {HEAD "x = convolution channels=65536 kernel=1 padding=10\ny = convolution channels=65536 kernel=1 padding=10\n"
              "head = linear units=classes\nloss cross_entropy\n",
         "own.net:4: 68 x 68 x 65536 numbers for each image are more than 268435456"},
        {HEAD "x = relu 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n" TAIL, "own.net:3: lines have at most 16 words"},
        {HEAD "\033[2J\n" TAIL, "own.net:3: a line is a layer"},
        {HEAD "x = \033[2J\n" TAIL, "own.net:3: there is no layer type ?[2J; there are"},
        {HEAD "x = relu\rblock b\r\n" TAIL, "own.net:3: relu reads one layer: the one above, or one that is named"},
    };

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
        check_mistakes(cases[k].text, cases[k].line, 1);
}
END_TEST

START_TEST(all_mistakes_come_at_once)
{
    check_mistakes(
        "input text\nblock a\nx = relu\nx = relu\ny = rlu\nend\nhead = linear units=many\nloss cross_entropy\n",
        "own.net:1: a network reads images or tokens: input image, or input tokens", 5);
    ck_assert_ptr_nonnull(strstr(mistakes.lines[1], "own.net:4: "));
    ck_assert_ptr_nonnull(strstr(mistakes.lines[2], "own.net:5: "));
    ck_assert_ptr_nonnull(strstr(mistakes.lines[3], "own.net:6: "));
    ck_assert_ptr_nonnull(strstr(mistakes.lines[4], "own.net:7: "));
}
END_TEST

/* However often its line is run. */
START_TEST(a_mistake_in_a_repeat_is_told_once)
{
    check_mistakes("input image\nrepeat i = 1 to 100\nblock a{i}\nx = rlu\ny = relu\nend\nloss cross_entropy\n",
                   "own.net:4: there is no layer type rlu", 1);
}
END_TEST

START_TEST(more_mistakes_than_are_kept_are_counted)
{
    char text[4096] = HEAD;

    for (int k = 0; k < 100; k++)
        strcat(text, "x = rlu\n");
    check_mistakes(strcat(text, TAIL), "own.net:3: there is no layer type rlu", 100);
}
END_TEST

START_TEST(long_lines_are_refused_and_long_comments_are_not)
{
    char text[2048] = HEAD "x = relu ";
    size_t length = strlen(text);

    memset(text + length, 'x', 400);
    strcpy(text + length + 400, "\n" TAIL);
    check_mistakes(text, "own.net:3: lines have at most 399 characters", 1);
    text[length] = '#';
    read_well(text);
    network_destroy(network);
}
END_TEST

START_TEST(nesting_is_bounded)
{
    char text[1024] = HEAD;
    int lines = 2;

    for (int k = 0; k < 8; k++, lines++)
        strcat(text, "if 1\n");
    strcat(text, TAIL);
    for (int k = 0; k < 8; k++)
        strcat(text, "end\n");
    read_well(text);
    network_destroy(network);
    strcpy(text, HEAD);
    for (int k = 0; k < 9; k++)
        strcat(text, "if 1\n");
    for (int k = 0; k < 9; k++)
        strcat(text, "end\n");
    check_mistakes(strcat(text, TAIL), "own.net:11: repeat and if stand in each other 9 deep; use fewer", 1);
}
END_TEST

/* Repeats in each other come to any number of lines. */
START_TEST(the_lines_that_are_run_are_bounded)
{
    check_mistakes(HEAD
                   "repeat i = 1 to 4096\nrepeat j = 1 to 4096\nrepeat k = 1 to 4096\nif 0\nend\nend\nend\nend\n" TAIL,
                   "own.net:6: its repeats come to more than 65536 lines", 1);
    check_mistakes(HEAD "repeat i = 1 to 90\nrepeat j = 1 to 90\nx{i}_{j} = relu\nend\nend\n" TAIL,
                   "own.net:5: networks have at most 4096 layers", 2);
}
END_TEST

static char *long_expression(const char *open, int count, const char *close)
{
    static char text[1024];

    strcpy(text, HEAD "x = linear units=");
    for (int k = 0; k < count; k++)
        strcat(text, open);
    strcat(text, "1");
    for (int k = 0; k < count; k++)
        strcat(text, close);
    return strcat(text, "\n" TAIL);
}

START_TEST(parentheses_are_bounded)
{
    read_well(long_expression("(", 32, ")"));
    network_destroy(network);
    ck_assert_int_eq(read_text(long_expression("(", 33, ")")), -1);
    ck_assert_ptr_nonnull(strstr(mistakes.lines[0], "more than 32 parentheses in each other"));
}
END_TEST

START_TEST(line_ends_may_be_any_and_the_last_may_lack)
{
    read_well("input image\r\nblock a\r\nhead = linear units=classes # ten\r\nloss cross_entropy\r\n");
    network_destroy(network);
    read_well("\n\n  input\timage  \nblock a\n\thead  =  linear\tunits=classes\nloss cross_entropy");
    ck_assert_str_eq(network->layers[0].name, "a.head");
    network_destroy(network);
}
END_TEST

/* Blocks are told apart by their own names, layers by those that files have for them. */
START_TEST(layers_are_called_as_their_blocks_say)
{
    static const char *const layers[] = {"Conv_1",          "features.0",  "features.3",
                                         "features.3.proj", "model.2.q.k", "c.head"};
    static const char *const blocks[] = {"stem", "one", "2", "model.2", "c"};

    read_well("input image\nblock stem as \"\"\nConv_1 = relu\nblock one as features\n0 = relu\n"
              "repeat i = 2 to 2\nblock {i} as features\n{i+1} = relu\n{i+1}.proj = relu {i+1}\n"
              "block model.{i}\nq.k = relu\nend\nblock c\n" TAIL);
    ck_assert_int_eq(network->layer_count, 6);
    for (int l = 0; l < network->layer_count; l++)
        ck_assert_str_eq(network->layers[l].name, layers[l]);
    ck_assert_str_eq(network->layers[3].name + network->layers[3].own_name, "3.proj");
    ck_assert_int_eq(network->block_count, 5);
    for (int b = 0; b < network->block_count; b++)
        ck_assert_str_eq(network->blocks[b].name, blocks[b]);
    ck_assert_str_eq(network->blocks[0].prefix, "");
    ck_assert_str_eq(network->blocks[2].prefix, "features");
    ck_assert_str_eq(network->blocks[3].prefix, "model.2");
    network_destroy(network);
    /* As long as can be, and longer. */
    read_well("input image\nblock a234567890123456789012345678901 as b234567890123456789012345678901\n"
              "c234567890123456789012345678901 = linear units=classes\nloss cross_entropy\n");
    ck_assert_str_eq(network->layers[0].name, "b234567890123456789012345678901.c234567890123456789012345678901");
    network_destroy(network);
    check_mistakes(HEAD "c2345678901234567890123456789012 = relu\n" TAIL, "own.net:3: names have at most 31 characters",
                   1);
}
END_TEST

static const char with_parameters[] =
    "parameter depth = 2 from 1 to 4\nparameter width = 8 from 4 to 16\ninput image\n"
    "repeat i = 1 to depth\nblock a{i}\nx = linear units=width*i\nend\nblock b\n" TAIL;

START_TEST(parameters_are_the_keys_or_their_own)
{
    const struct shape image = {28, 28, 1};

    ck_assert_int_eq(read_with(with_parameters, 0, 0, image, 10), 0);
    ck_assert(network->depth == 2 && network->width == 8 && network->block_count == 3);
    ck_assert_int_eq(network->layers[1].units, 16);
    network_destroy(network);
    ck_assert_int_eq(read_with(with_parameters, 4, 16, image, 7), 0);
    ck_assert(network->depth == 4 && network->width == 16 && network->block_count == 5);
    ck_assert_int_eq(network->layers[3].units, 64);
    ck_assert_int_eq(network->layers[4].units, 7);
    network_destroy(network);
    ck_assert_int_eq(read_with(with_parameters, 5, 3, image, 10), -1);
    ck_assert_int_eq(mistakes.count, 2);
    ck_assert_str_eq(mistakes.lines[0], "own.net:1: model.depth = 5 is out of bounds; use 1 to 4");
    ck_assert_str_eq(mistakes.lines[1], "own.net:2: model.width = 3 is out of bounds; use 4 to 16");
    ck_assert_int_eq(read_with(HEAD TAIL, 3, 0, image, 10), -1);
    ck_assert_str_eq(mistakes.lines[0], "own.net:4: model.depth = 3, but the network has no parameter depth");
    ck_assert_int_eq(read_with(HEAD TAIL, 0, 3, image, 10), -1);
    ck_assert_str_eq(mistakes.lines[0], "own.net:4: model.width = 3, but the network has no parameter width");
}
END_TEST

START_TEST(images_and_classes_have_bounds)
{
    static const struct shape wrong[] = {{27, 28, 1}, {28, 257, 1}, {28, 28, 2}, {0, 0, 0}};

    for (int k = 0; k < 4; k++) {
        ck_assert_int_eq(read_with(HEAD TAIL, 0, 0, wrong[k], 10), -1);
        ck_assert_ptr_nonnull(strstr(mistakes.lines[0], "own.net:1: own.net cannot take images of "));
    }
    ck_assert_int_eq(read_with(HEAD TAIL, 0, 0, (struct shape){28, 28, 1}, 1), -1);
    ck_assert_ptr_nonnull(strstr(mistakes.lines[0], "1 classes are out of bounds"));
    ck_assert_int_eq(read_with(HEAD TAIL, 0, 0, (struct shape){28, 28, 1}, 262145), -1);
    ck_assert_int_eq(read_with(NULL, 0, 0, (struct shape){28, 28, 1}, 10), -1);
    ck_assert_str_eq(mistakes.lines[0], "own.net:1: there is no such network");
}
END_TEST

START_TEST(repeats_and_conditions_run_their_lines)
{
    read_well(
        "input image\nrepeat i = 3 to 5\nblock b{i}\nx{i*i} = relu\nif i % 2 == 1\ny{6-i} = linear units=i\nend\nend\n"
        "repeat i = 2 to 1\nblock never\nend\nblock c\n" TAIL);
    static const char *const names[] = {"b3.x9", "b3.y3", "b4.x16", "b5.x25", "b5.y1", "c.head"};
    ck_assert_int_eq(network->layer_count, 6 - 0);
    for (int l = 0; l < network->layer_count; l++)
        ck_assert_str_eq(network->layers[l].name, names[l]);
    ck_assert_int_eq(network->layers[4].units, 5);
    ck_assert_int_eq(network->block_count, 4);
    network_destroy(network);
}
END_TEST

/* Expressions drawn as trees: their text, and their value by the tree. */
struct drawn {
    char text[4096];
    uint64_t seed, drawn;
    bool fails; /* divides by 0, or is too large */
};

static uint32_t draw(struct drawn *drawn, uint32_t below)
{
    return random_below(drawn->seed, RANDOM_TEST, 1, drawn->drawn++, below);
}

static const struct {
    const char *text;
    int strength; /* which takes its operands first */
} operations[] = {{"*", 3}, {"/", 3},  {"%", 3},  {"+", 2},  {"-", 2}, {"<", 1},
                  {">", 1}, {"<=", 1}, {">=", 1}, {"==", 1}, {"!=", 1}};

static long apply(struct drawn *drawn, int operation, long a, long b)
{
    long value = 0;

    if ((operation == 1 || operation == 2) && b == 0) {
        drawn->fails = true;
        return 0;
    }
    switch (operation) {
    case 0:
        value = a * b;
        break;
    case 1:
        value = a / b;
        break;
    case 2:
        value = a - a / b * b;
        break;
    case 3:
        value = a + b;
        break;
    case 4:
        value = a - b;
        break;
    case 5:
        return a < b;
    case 6:
        return a > b;
    case 7:
        return a <= b;
    case 8:
        return a >= b;
    case 9:
        return a == b;
    default:
        return a != b;
    }
    if (value > 1 << 30 || value < -(1 << 30))
        drawn->fails = true;
    return drawn->fails ? 0 : value;
}

static void blank(struct drawn *drawn)
{
    strcat(drawn->text, draw(drawn, 3) == 0 ? " " : "");
}

/* Writes an expression whose operations are at least that strong; its value. */
static long draw_expression(struct drawn *drawn, int depth, int strength)
{
    const long names[] = {7, 100};
    char number[16];

    blank(drawn);
    if (depth == 0 || draw(drawn, 4) == 0) {
        const uint32_t leaf = draw(drawn, 4);

        if (leaf < 2) {
            strcat(drawn->text, leaf == 0 ? "depth" : "classes");
            return names[leaf];
        }
        const long value = (long)draw(drawn, leaf == 2 ? 5 : 40000);
        snprintf(number, sizeof(number), "%ld", value);
        strcat(drawn->text, number);
        return value;
    }
    const int operation = (int)draw(drawn, 11), own = operations[operation].strength;
    const bool parentheses = own < strength || draw(drawn, 5) == 0;
    if (parentheses)
        strcat(drawn->text, "(");
    /* The left operand may be as strong, as operations go from left to right; but comparisons take one only. */
    const long a = draw_expression(drawn, depth - 1, own == 1 ? 2 : own);
    blank(drawn);
    strcat(drawn->text, operations[operation].text);
    const long b = draw_expression(drawn, depth - 1, own + 1);
    if (parentheses)
        strcat(drawn->text, ")");
    blank(drawn);
    return apply(drawn, operation, a, b);
}

START_TEST(expressions_have_the_value_of_their_tree)
{
    struct variables variables = {.count = 0};
    int failed = 0, passed = 0;

    variables_set(&variables, "depth", 1);
    variables_set(&variables, "classes", 100);
    variables_set(&variables, "depth", 7);
    ck_assert_int_eq(variables.count, 2);
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct drawn drawn = {.seed = seed};
        const long expected = draw_expression(&drawn, 4, 1);
        struct error error;
        long value;

        if (expression_value(&value, drawn.text, &variables, &error) == 0) {
            ck_assert_msg(!drawn.fails && value == expected, "seed %d: %s is %ld, not %ld", (int)seed, drawn.text,
                          value, expected);
            passed++;
        } else {
            ck_assert_msg(drawn.fails, "seed %d: %s", (int)seed, error.text);
            failed++;
        }
    }
    ck_assert_int_gt(passed, 10000);
    ck_assert_int_gt(failed, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("network files");
    TCase *tests = tcase_create("network files");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, one_mistake_is_one_line);
    tcase_add_test(tests, what_does_not_go_with_text);
    tcase_add_test(tests, weights_begin_as_the_file_says);
    tcase_add_test(tests, all_mistakes_come_at_once);
    tcase_add_test(tests, a_mistake_in_a_repeat_is_told_once);
    tcase_add_test(tests, more_mistakes_than_are_kept_are_counted);
    tcase_add_test(tests, long_lines_are_refused_and_long_comments_are_not);
    tcase_add_test(tests, nesting_is_bounded);
    tcase_add_test(tests, the_lines_that_are_run_are_bounded);
    tcase_add_test(tests, parentheses_are_bounded);
    tcase_add_test(tests, line_ends_may_be_any_and_the_last_may_lack);
    tcase_add_test(tests, layers_are_called_as_their_blocks_say);
    tcase_add_test(tests, parameters_are_the_keys_or_their_own);
    tcase_add_test(tests, images_and_classes_have_bounds);
    tcase_add_test(tests, repeats_and_conditions_run_their_lines);
    tcase_add_test(tests, expressions_have_the_value_of_their_tree);
    suite_add_tcase(suite, tests);

    return run_suite(suite);
}
