/* Reads network files. The lines are run like a program's, so that a block in a repeat is checked for every value of what it
 * counts; a mistake is told once for its line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "network/reader.h"

enum { NESTING_MAX = 8, WORDS_MAX = 16, STEPS_MAX = 1 << 16 };
enum { IMAGE_SIDE_MIN = 28, IMAGE_SIDE_MAX = 256, CLASSES_MIN = 2, CLASSES_MAX = 1 << 18 };

void reader_mistake(struct reader *reader, int line, const char *format, ...)
{
    struct network_mistakes *mistakes = reader->mistakes;
    char text[400];
    va_list arguments;

    if (line < reader->line_count && reader->wrong[line])
        return;
    if (line < reader->line_count)
        reader->wrong[line] = true;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (mistakes->count < NETWORK_MISTAKES_MAX) {
        const bool builtin = network_builtin(reader->options->name);

        snprintf(mistakes->lines[mistakes->count], sizeof(mistakes->lines[0]), "%s%.80s%s:%d: %s",
                 builtin ? "networks/" : "", reader->options->name, builtin ? ".net" : "", line + 1, text);
        text_clean(mistakes->lines[mistakes->count]);
    }
    mistakes->count++;
}

/* The words of a line without its comment. Returns their number; 0 where there are none. */
static int split(struct reader *reader, int number, char copy[LINE_LENGTH_MAX], char *words[WORDS_MAX])
{
    const char *line = reader->lines[number];
    size_t length = strcspn(line, "#\n");
    char *rest = copy, *word;
    int count = 0;

    if (length >= LINE_LENGTH_MAX) {
        reader_mistake(reader, number, "lines have at most %d characters", LINE_LENGTH_MAX - 1);
        length = 0;
    }
    memcpy(copy, line, length);
    copy[length] = '\0';
    while ((word = strtok_r(rest, " \t\r", &rest)) != NULL) {
        if (count == WORDS_MAX) {
            reader_mistake(reader, number, "lines have at most %d words", WORDS_MAX);
            return 0;
        }
        words[count++] = word;
    }
    return count;
}

static bool is_variable(const char *text)
{
    return *text >= 'a' && *text <= 'z' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0' &&
           strlen(text) < VARIABLE_NAME_MAX;
}

/* Of a block or a layer: words with dots between them. */
static bool is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t length;

    while ((length = strspn(text, letters)) > 0 && text[length] == '.')
        text += length + 1;
    return length > 0 && text[length] == '\0';
}

bool reader_value(struct reader *reader, const char *text, long *value)
{
    struct error error;

    if (expression_value(value, text, &reader->variables, &error) == 0)
        return true;
    mistake(reader, "%s", error.text);
    return false;
}

bool reader_fill_in(struct reader *reader, const char *word, char name[NETWORK_NAME_MAX])
{
    size_t length = 0;

    for (const char *at = word; *at != '\0';) {
        char expression[LINE_LENGTH_MAX], digits[24];
        const char *end = strchr(at, '}');
        long value;

        if (*at != '{') {
            digits[0] = *at++;
            digits[1] = '\0';
        } else {
            if (!end) {
                mistake(reader, "%s: a \"}\" is missing", word);
                return false;
            }
            snprintf(expression, sizeof(expression), "%.*s", (int)(end - at - 1), at + 1);
            if (!reader_value(reader, expression, &value))
                return false;
            snprintf(digits, sizeof(digits), "%ld", value);
            at = end + 1;
        }
        if (length + strlen(digits) >= NETWORK_NAME_MAX) {
            mistake(reader, "names have at most %d characters", NETWORK_NAME_MAX - 1);
            return false;
        }
        strcpy(name + length, digits);
        length += strlen(digits);
    }
    if (is_name(name))
        return true;
    mistake(reader, "\"%s\" is no name: use letters, digits and \"_\", with \".\" between them", name);
    return false;
}

/* parameter NAME = DEFAULT from LOW to HIGH */
static void read_parameter(struct reader *reader, char **words, int count)
{
    long standard, low, high;
    const bool is_depth = count > 1 && strcmp(words[1], "depth") == 0;
    const int given = is_depth ? reader->options->depth : reader->options->width;
    const long most = is_depth ? NETWORK_DEPTH_MAX : NETWORK_WIDTH_MAX;
    int *value = is_depth ? &reader->network->depth : &reader->network->width;

    if (count != 8 || strcmp(words[2], "=") != 0 || strcmp(words[4], "from") != 0 || strcmp(words[6], "to") != 0) {
        mistake(reader, "a parameter is: parameter depth = 3 from 1 to 100");
        return;
    }
    if (!is_depth && strcmp(words[1], "width") != 0) {
        mistake(reader, "no key sets %s: parameters are called depth or width, as model.depth and model.width are",
                words[1]);
        return;
    }
    if (!reader_value(reader, words[3], &standard) || !reader_value(reader, words[5], &low) ||
        !reader_value(reader, words[7], &high))
        return;
    if (*value != 0)
        mistake(reader, "the parameter %s is said above", words[1]);
    if (low < 1 || standard < low || standard > high || high > most)
        mistake(reader, "%ld from %ld to %ld makes no sense; bounds are from 1 to %ld, and it is between them",
                standard, low, high, most);
    if (given != 0 && (given < low || given > high))
        mistake(reader, "model.%s = %d is out of bounds; use %ld to %ld", words[1], given, low, high);
    *value = (int)(given ? given : standard);
    variables_set(&reader->variables, words[1], given ? given : standard);
}

static void check_image(struct reader *reader)
{
    const struct shape *input = &reader->options->input;

    if (input->height < IMAGE_SIDE_MIN || input->height > IMAGE_SIDE_MAX || input->width < IMAGE_SIDE_MIN ||
        input->width > IMAGE_SIDE_MAX || (input->channels != 1 && input->channels != 3))
        mistake(reader,
                "%s cannot take images of %d x %d pixels in %d channels; it takes sides of %d to %d pixels in 1 or 3 "
                "channels",
                reader->options->name, input->height, input->width, input->channels, IMAGE_SIDE_MIN, IMAGE_SIDE_MAX);
}

/* input image, or input tokens */
static void read_input(struct reader *reader, char **words, int count)
{
    const bool again = reader->has_input;

    reader->has_input = true;
    if (count != 2 || (strcmp(words[1], "image") != 0 && strcmp(words[1], "tokens") != 0)) {
        mistake(reader, "a network reads images or tokens: input image, or input tokens");
        return;
    }
    reader->network->tokens = words[1][0] == 't';
    if (again)
        mistake(reader, "the input is said above");
    if (reader->network->tokens != reader->options->tokens) {
        mistake(reader, "the network reads %s, but the data set (data.set) has %s",
                reader->network->tokens ? "tokens" : "images", reader->options->tokens ? "tokens" : "images");
        /* Nothing below could fit. */
        reader->steps = STEPS_MAX;
        reader->has_stopped = true;
    } else if (!reader->network->tokens)
        check_image(reader);
}

/* initial normal DEVIATION */
static void read_initial(struct reader *reader, char **words, int count)
{
    struct network *network = reader->network;
    struct error error;
    double deviation;

    if (count != 3 || strcmp(words[1], "normal") != 0)
        mistake(reader, "how weights begin is: initial normal 0.02");
    else if (network->deviation > 0.0f || network->block_count > 0)
        mistake(reader, "how weights begin is said once, before the first block");
    else if (parse_double(&deviation, words[2], 1e-6, 10.0, &error))
        mistake(reader, "a deviation is a number from 0.000001 to 10, not %s", words[2]);
    else
        network->deviation = (float)deviation;
}

/* Whoever is read by nobody is for nothing. The block's last layer is what the next block reads. */
static void end_block(struct reader *reader)
{
    const struct network *network = reader->network;

    if (network->block_count == 0)
        return;
    if (reader->block_first == network->layer_count)
        mistake(reader, "block %s, which ends here, has no layers", reader->block->name);
    for (int l = reader->block_first; l < network->layer_count - 1; l++)
        if (reader->readers[l] == 0)
            mistake(reader, "nothing in block %s, which ends here, reads its layer %s", reader->block->name,
                    network->layers[l].name + network->layers[l].own_name);
}

/* block NAME [as PREFIX] */
static bool name_block(struct reader *reader, struct block *block, char **words, int count)
{
    const struct network *network = reader->network;

    if (count != 2 && (count != 4 || strcmp(words[2], "as") != 0)) {
        mistake(reader, "a block is: block NAME, or block NAME as PREFIX, which goes before its layers' names");
        return false;
    }
    if (!reader_fill_in(reader, words[1], block->name))
        return false;
    for (int b = 0; b < network->block_count; b++)
        if (strcmp(network->blocks[b].name, block->name) == 0)
            mistake(reader, "there is a block %s above", block->name);
    if (count == 2)
        strcpy(block->prefix, block->name);
    else if (strcmp(words[3], "\"\"") != 0)
        return reader_fill_in(reader, words[3], block->prefix);
    return true;
}

static void read_block(struct reader *reader, char **words, int count)
{
    struct network *network = reader->network;
    struct block block = {.prefix = ""};

    if (!reader->has_input)
        mistake(reader, "a line before the first block says what the network reads: input image, or input "
                        "tokens");
    reader->has_input = true;
    end_block(reader);
    /* Its layers are in a block anyway. */
    if (!name_block(reader, &block, words, count))
        block = (struct block){.name = "unnamed", .prefix = "unnamed"};
    if (network->block_count == NETWORK_LAYERS_MAX)
        mistake(reader, "networks have at most %d blocks", NETWORK_LAYERS_MAX);
    else
        network->block_count++;
    reader->block = &network->blocks[network->block_count - 1];
    *reader->block = block;
    reader->block_first = network->layer_count;
    reader->block_input = network->layer_count > 0 ? network->layer_count - 1 : NETWORK_INPUT;
}

static void read_loss(struct reader *reader, char **words, int count)
{
    const struct network *network = reader->network;

    if (count != 2 || strcmp(words[1], "cross_entropy") != 0)
        mistake(reader, "the loss is: loss cross_entropy");
    if (reader->has_loss)
        mistake(reader, "the loss is said above");
    reader->has_loss = true;
    end_block(reader);
    if (network->layer_count > 0 && reader->mistakes->count == 0) {
        const struct layer *last = &network->layers[network->layer_count - 1];
        const struct shape each = {network->input.height, network->input.width, network->classes};

        if (network->tokens && memcmp(&last->out, &each, sizeof(each)) != 0)
            mistake(reader,
                    "%s gives %d x %d x %d: it is to give a number for each of %d tokens at each of %d positions, as "
                    "units=classes per_position=1 does",
                    last->name, last->out.height, last->out.width, last->out.channels, network->classes,
                    network->input.height);
        if (!network->tokens && shape_size(last->out) != (size_t)network->classes)
            mistake(reader, "%s gives %zu numbers for %d classes: it is to give one for each, as units=classes does",
                    last->name, shape_size(last->out), network->classes);
    }
}

static void run_lines(struct reader *reader, int first, int end, int nesting);

/* A few repeats in each other come to any number of lines. */
static bool may_go_on(struct reader *reader)
{
    if (reader->steps++ < STEPS_MAX)
        return true;
    if (!reader->has_stopped)
        mistake(reader, "its repeats come to more than %d lines", STEPS_MAX);
    reader->has_stopped = true;
    return false;
}

/* The line of the `end` that belongs to line `first`; `end` if it is missing. */
static int find_end(struct reader *reader, int first, int end)
{
    int depth = 0;

    for (int n = first; n < end; n++) {
        char copy[LINE_LENGTH_MAX], *words[WORDS_MAX];
        const int count = split(reader, n, copy, words);

        reader->steps++;
        if (count > 0 && (strcmp(words[0], "repeat") == 0 || strcmp(words[0], "if") == 0))
            depth++;
        if (count > 0 && strcmp(words[0], "end") == 0 && --depth == 0)
            return n;
    }
    reader_mistake(reader, first, "the line \"end\" that belongs to it is missing");
    return end;
}

/* The words first .. end - 1, which are an expression with blanks in it. */
static void join(char **words, int first, int end, char text[LINE_LENGTH_MAX])
{
    text[0] = '\0';
    for (int k = first; k < end; k++)
        snprintf(text + strlen(text), LINE_LENGTH_MAX - strlen(text), "%s%s", k > first ? " " : "", words[k]);
}

/* repeat NAME = FIRST to LAST */
static void run_repeat(struct reader *reader, char **words, int count, int first, int end, int nesting)
{
    char low[LINE_LENGTH_MAX], high[LINE_LENGTH_MAX];
    const int outside = reader->variables.count;
    long from, to;
    int middle = 3;

    while (middle < count && strcmp(words[middle], "to") != 0)
        middle++;
    if (middle >= count || strcmp(words[2], "=") != 0 || !is_variable(words[1])) {
        mistake(reader, "a repeat is: repeat i = 1 to 3");
        return;
    }
    if (variables_know(&reader->variables, words[1])) {
        mistake(reader, "%s stands for another number here; use another name", words[1]);
        return;
    }
    join(words, 3, middle, low);
    join(words, middle + 1, count, high);
    if (!reader_value(reader, low, &from) || !reader_value(reader, high, &to))
        return;
    if (to - from >= NETWORK_LAYERS_MAX) {
        mistake(reader, "it repeats %ld times; at most %d are possible", to - from + 1, NETWORK_LAYERS_MAX);
        return;
    }
    for (long value = from; value <= to && may_go_on(reader); value++) {
        variables_set(&reader->variables, words[1], value);
        run_lines(reader, first + 1, end, nesting + 1);
    }
    reader->variables.count = outside;
}

/* if EXPRESSION */
static void run_if(struct reader *reader, char **words, int count, int first, int end, int nesting)
{
    char expression[LINE_LENGTH_MAX];
    long value;

    join(words, 1, count, expression);
    if (reader_value(reader, expression, &value) && value != 0)
        run_lines(reader, first + 1, end, nesting + 1);
}

static void run_line(struct reader *reader, char **words, int count)
{
    static const struct {
        const char *word;
        void (*read)(struct reader *reader, char **words, int count);
    } lines[] = {{"parameter", read_parameter},
                 {"input", read_input},
                 {"initial", read_initial},
                 {"block", read_block},
                 {"loss", read_loss}};

    if (reader->has_loss)
        mistake(reader, "nothing follows the loss");
    for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++)
        if (strcmp(words[0], lines[k].word) == 0) {
            lines[k].read(reader, words, count);
            return;
        }
    if (count >= 3 && strcmp(words[1], "=") == 0)
        reader_read_layer(reader, words, count);
    else
        mistake(
            reader,
            "a line is a layer, NAME = TYPE ..., or begins with parameter, input, initial, block, repeat, if, end or "
            "loss");
}

/* Lines first .. end - 1. */
static void run_lines(struct reader *reader, int first, int end, int nesting)
{
    for (int n = first; n < end; n++) {
        char copy[LINE_LENGTH_MAX], *words[WORDS_MAX];
        const int count = split(reader, n, copy, words);
        bool repeats;
        int last;

        reader->line = n;
        if (!may_go_on(reader))
            return;
        if (count == 0)
            continue;
        repeats = strcmp(words[0], "repeat") == 0;
        if (!repeats && strcmp(words[0], "if") != 0) {
            if (strcmp(words[0], "end") == 0)
                mistake(reader, "nothing ends here: there is no repeat or if before it");
            else
                run_line(reader, words, count);
            continue;
        }
        last = find_end(reader, n, end);
        if (nesting == NESTING_MAX)
            mistake(reader, "repeat and if stand in each other %d deep; use fewer", NESTING_MAX + 1);
        else if (last < end && repeats)
            run_repeat(reader, words, count, n, last, nesting);
        else if (last < end)
            run_if(reader, words, count, n, last, nesting);
        n = last;
    }
}

static int find_lines(struct reader *reader, struct error *error)
{
    const char *text = reader->options->text;
    int count = 0;

    for (const char *at = text; *at != '\0'; at++)
        count += *at == '\n';
    reader->lines = calloc((size_t)count + 1, sizeof(*reader->lines));
    reader->wrong = calloc((size_t)count + 1, sizeof(*reader->wrong));
    if (!reader->lines || !reader->wrong)
        return error_set(error, "out of memory");
    for (const char *at = text; *at != '\0';) {
        const char *end = strchr(at, '\n');

        reader->lines[reader->line_count++] = at;
        at = end ? end + 1 : at + strlen(at);
    }
    return 0;
}

static int allocate(struct reader *reader, struct error *error)
{
    reader->network = calloc(1, sizeof(*reader->network));
    reader->readers = calloc(NETWORK_LAYERS_MAX, sizeof(*reader->readers));
    if (!reader->network || !reader->readers ||
        !(reader->network->layers = calloc(NETWORK_LAYERS_MAX, sizeof(*reader->network->layers))) ||
        !(reader->network->blocks = calloc(NETWORK_LAYERS_MAX, sizeof(*reader->network->blocks))))
        return error_set(error, "out of memory");
    return find_lines(reader, error);
}

static void read_all(struct reader *reader)
{
    const struct network_options *options = reader->options;
    const int none = reader->line_count > 0 ? reader->line_count - 1 : 0;
    struct error error;

    reader->network->input = options->input;
    reader->network->classes = options->classes;
    variables_set(&reader->variables, "classes", options->classes);
    if (options->classes < CLASSES_MIN || options->classes > CLASSES_MAX)
        reader_mistake(reader, reader->line_count, "%d classes are out of bounds; use %d to %d", options->classes,
                       CLASSES_MIN, CLASSES_MAX);
    run_lines(reader, 0, reader->line_count, 0);
    if (reader->mistakes->count == 0 && options->depth > 0 && reader->network->depth == 0)
        reader_mistake(reader, none, "model.depth = %d, but the network has no parameter depth", options->depth);
    if (reader->mistakes->count == 0 && options->width > 0 && reader->network->width == 0)
        reader_mistake(reader, none, "model.width = %d, but the network has no parameter width", options->width);
    if (reader->mistakes->count == 0 && !reader->has_loss)
        reader_mistake(reader, none, "the file ends without a loss: its last line is to be: loss cross_entropy");
    if (reader->mistakes->count == 0 && reader->network->layer_count == 0)
        reader_mistake(reader, none, "the network has no layers");
    if (reader->mistakes->count == 0 && network_finish(reader->network, &error))
        reader_mistake(reader, none, "%s", error.text);
}

int network_read(struct network **out, const struct network_options *options, struct network_mistakes *mistakes)
{
    struct reader reader = {.options = options, .mistakes = mistakes};
    struct error error;

    *mistakes = (struct network_mistakes){.count = 0};
    *out = NULL;
    if (!options->text)
        reader_mistake(&reader, 0, "there is no such network");
    else if (allocate(&reader, &error))
        reader_mistake(&reader, 0, "%s", error.text);
    else
        read_all(&reader);
    free(reader.lines);
    free(reader.wrong);
    free(reader.readers);
    if (mistakes->count > 0) {
        network_destroy(reader.network);
        return -1;
    }
    *out = reader.network;
    return 0;
}

int network_create(struct network **out, const struct network_options *options, struct error *error)
{
    struct network_mistakes *mistakes = malloc(sizeof(*mistakes));
    int failed;

    if (!mistakes)
        return error_set(error, "out of memory");
    failed = network_read(out, options, mistakes);
    if (failed)
        error_set(error, "%s", mistakes->lines[0]);
    free(mistakes);
    return failed;
}
