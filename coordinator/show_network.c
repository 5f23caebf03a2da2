#include "coordinator/show_network.h"

#include <string.h>

#include "base/json.h"
#include "base/numbers.h"
#include "base/text.h"

enum { SUMMARY_MAX = 160, DESCRIPTION_MAX = 256 };

/* The first sentence of a file's first comment, or what comes before its colon. */
static void find_summary(const char *text, char summary[SUMMARY_MAX])
{
    int length = 0;

    while (text[0] == '#' && length < SUMMARY_MAX - 2) {
        text += 1 + (text[1] == ' ');
        if (length > 0)
            summary[length++] = ' ';
        while (*text != '\n' && *text != '\0' && length < SUMMARY_MAX - 2)
            summary[length++] = *text++;
        text += *text == '\n';
    }
    summary[length] = '\0';
    for (char *at = summary; *at; at++)
        if ((*at == ':' || *at == '.') && (at[1] == ' ' || at[1] == '\0'))
            *at = '\0';
    text_clean(summary);
}

void networks_print(FILE *out)
{
    char summary[SUMMARY_MAX];
    const char *name;
    int width = 0;

    for (int n = 0; (name = network_builtin_name(n)) != NULL; n++)
        width = max_int(width, (int)strlen(name));
    for (int n = 0; (name = network_builtin_name(n)) != NULL; n++) {
        find_summary(network_builtin(name), summary);
        fprintf(out, "%-*s  %s\n", width, name, summary);
    }
}

void layer_types_print(FILE *out)
{
    for (int kind = 0; kind < LAYER_KINDS; kind++) {
        const struct layer_type *type = layer_type_of((enum layer_kind)kind);

        fprintf(out, "%-14s %s%s\n", type->name, type->summary,
                type->inputs == 1   ? ""
                : type->inputs == 2 ? "; it names both"
                                    : "; it names all three");
        for (int k = 0; k < LAYER_ARGUMENTS_MAX && type->arguments[k].name; k++) {
            const struct layer_argument *argument = &type->arguments[k];

            fprintf(out, "%-14s %-12s %d to %d", "", argument->name, argument->low, argument->high);
            if (argument->standard >= argument->low)
                fprintf(out, "; default %d", argument->standard);
            else if (argument->standard != ARGUMENT_REQUIRED)
                fprintf(out, "; default %s", argument->by);
            fputc('\n', out);
        }
    }
}

/* In its block. */
static const char *own_name(const struct layer *layer)
{
    return layer->name + layer->own_name;
}

enum { BLOCK_TITLE_MAX = 2 * NETWORK_NAME_MAX + 4 };

/* As the file has it: "conv1 as features". */
static void title_of(const struct block *block, char title[BLOCK_TITLE_MAX])
{
    const bool own = strcmp(block->prefix, block->name) == 0;

    snprintf(title, BLOCK_TITLE_MAX, "%s%s%s", block->name, own ? "" : " as ",
             own                ? ""
             : block->prefix[0] ? block->prefix
                                : "\"\"");
}

/* As the file names what the l-th layer reads. */
static const char *name_of_input(const struct network *network, int l, int input)
{
    if (input < 0 || network->layers[input].block != network->layers[l].block)
        return "input";
    return own_name(&network->layers[input]);
}

/* Whether a layer reads what it does without being told: the one above, or the block's input if it is the first. */
static bool reads_the_one_above(const struct network *network, int l)
{
    const bool first = l == 0 || network->layers[l - 1].block != network->layers[l].block;

    return first || network->layers[l].inputs[0] == l - 1;
}

/* Whether the argument must be said for the layer to be what it is. */
static bool says_something(const struct layer *layer, const struct layer_argument *argument)
{
    struct layer other = *layer;
    struct error ignored;

    if (argument->standard == ARGUMENT_REQUIRED)
        return true;
    layer_set_argument(&other, argument, argument->standard);
    return layer_complete(&other, &ignored) ||
           layer_argument_value(&other, argument) != layer_argument_value(layer, argument);
}

/* "convolution input channels=32 kernel=1 stride=2", "batch_norm + add input + relu" */
static void describe(const struct network *network, int l, char text[DESCRIPTION_MAX])
{
    const struct layer *layer = &network->layers[l];
    const struct layer_type *type = layer_type_of(layer->kind);

    text[0] = '\0';
    text_append(text, DESCRIPTION_MAX, "%s", type->name);
    for (int k = 0; k < type->inputs && (type->inputs > 1 || !reads_the_one_above(network, l)); k++)
        text_append(text, DESCRIPTION_MAX, " %s", name_of_input(network, l, layer->inputs[k]));
    for (int k = 0; k < LAYER_ARGUMENTS_MAX && type->arguments[k].name; k++)
        if (says_something(layer, &type->arguments[k]))
            text_append(text, DESCRIPTION_MAX, " %s=%d", type->arguments[k].name,
                        layer_argument_value(layer, &type->arguments[k]));
    if (layer->input_count > type->inputs)
        text_append(text, DESCRIPTION_MAX, " + add %s", name_of_input(network, l, layer->inputs[1]));
    if (layer->relu)
        text_append(text, DESCRIPTION_MAX, " + relu");
}

/* Sums over a block, or over all. */
struct cost {
    size_t parameters;
    double forward, backward;
};

static void add_cost(struct cost *cost, const struct layer *layer)
{
    cost->parameters += layer->parameters;
    cost->forward += layer->forward_flops;
    cost->backward += layer->backward_flops;
}

static struct cost cost_of_block(const struct network *network, int block)
{
    struct cost cost = {0, 0.0, 0.0};

    for (int l = 0; l < network->layer_count; l++)
        if (network->layers[l].block == block)
            add_cost(&cost, &network->layers[l]);
    return cost;
}

static struct cost cost_of_all(const struct network *network)
{
    struct cost cost = {0, 0.0, 0.0};

    for (int l = 0; l < network->layer_count; l++)
        add_cost(&cost, &network->layers[l]);
    return cost;
}

/* A column is as wide as its widest entry. */
struct widths {
    int block, name, description;
};

static struct widths find_widths(const struct network *network)
{
    struct widths widths = {5, 5, 4};
    char text[DESCRIPTION_MAX], title[BLOCK_TITLE_MAX];

    for (int b = 0; b < network->block_count; b++) {
        title_of(&network->blocks[b], title);
        widths.block = max_int(widths.block, (int)strlen(title));
    }
    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];

        describe(network, l, text);
        widths.name = max_int(widths.name, (int)strlen(own_name(layer)));
        widths.description = max_int(widths.description, (int)strlen(text));
    }
    return widths;
}

static void print_cost(FILE *out, size_t parameters, double forward, double backward)
{
    char text[32];

    fprintf(out, "  %11s  %10.3f  %10.3f\n", text_with_commas(parameters, text), 1e-6 * forward, 1e-6 * backward);
}

static void print_layer(FILE *out, const struct network *network, int l, const struct widths *widths)
{
    const struct layer *layer = &network->layers[l];
    const bool first = l == 0 || network->layers[l - 1].block != layer->block;
    char description[DESCRIPTION_MAX], shape[40], title[BLOCK_TITLE_MAX] = "";

    if (first)
        title_of(&network->blocks[layer->block], title);

    describe(network, l, description);
    snprintf(shape, sizeof(shape), "%d x %d x %d", layer->out.height, layer->out.width, layer->out.channels);
    fprintf(out, "%-*s  %-*s  %-*s  %-14s", widths->block, title, widths->name, own_name(layer), widths->description,
            description, shape);
    print_cost(out, layer->parameters, layer->forward_flops, layer->backward_flops);
}

static void print_parameters(FILE *out, const struct network *network)
{
    if (network->depth > 0)
        fprintf(out, ", depth = %d", network->depth);
    if (network->width > 0)
        fprintf(out, ", width = %d", network->width);
}

void network_print(FILE *out, const struct network *network, const struct network_options *options)
{
    const struct widths widths = find_widths(network);
    const struct cost all = cost_of_all(network);
    const int left = widths.block + 2 + widths.name + 2 + widths.description + 2;
    char parameters[32], summary[SUMMARY_MAX];

    find_summary(options->text, summary);
    fprintf(out, "network   %s%s%s\n", options->name, summary[0] ? ": " : "", summary);
    fprintf(out, "          %s parameters, %d layers in %d blocks", text_with_commas(network->parameters, parameters),
            network->layer_count, network->block_count);
    print_parameters(out, network);
    if (network->tokens)
        fprintf(out, "\ntokens    %d, of a vocabulary of %d; outputs are positions x 1 x features\n\n",
                network->input.height, network->classes);
    else
        fprintf(out, "\nimages    %d x %d x %d, %d classes\n\n", network->input.height, network->input.width,
                network->input.channels, network->classes);
    fprintf(out, "%-*s  %-*s  %-*s  %-14s  %11s  %10s  %10s\n", widths.block, "block", widths.name, "layer",
            widths.description, "type", "output", "parameters", "forward", "backward");
    for (int l = 0; l < network->layer_count; l++)
        print_layer(out, network, l, &widths);
    fprintf(out, "%-*s%-14s", left, "all", "");
    print_cost(out, all.parameters, all.forward, all.backward);
    fprintf(out,
            "\nforward, backward: millions of floating-point operations for %s; a pipeline may be cut between any two "
            "blocks\n",
            network->tokens ? "a sample" : "an image");
}

static json_t *shape_json(struct shape shape)
{
    return json_pack("[i, i, i]", shape.height, shape.width, shape.channels);
}

static json_t *arguments_json(const struct layer *layer)
{
    const struct layer_type *type = layer_type_of(layer->kind);
    json_t *object = json_object();

    for (int k = 0; k < LAYER_ARGUMENTS_MAX && type->arguments[k].name; k++)
        json_object_set_new(object, type->arguments[k].name,
                            json_integer(layer_argument_value(layer, &type->arguments[k])));
    return object;
}

/* The name of a layer that is read; null for the network's input. */
static json_t *read_json(const struct network *network, int layer)
{
    return layer == NETWORK_INPUT ? json_null() : json_string(network->layers[layer].name);
}

static json_t *layer_json(const struct network *network, int l)
{
    const struct layer *layer = &network->layers[l];
    const struct layer_type *type = layer_type_of(layer->kind);
    json_t *reads = json_array();

    for (int k = 0; k < layer->input_count; k++)
        json_array_append_new(reads, read_json(network, layer->inputs[k]));
    /* clang-format off */
    return json_pack("{s:s, s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:I, s:I, s:f, s:f}",
                     "name", layer->name,
                     "type", type->name,
                     "reads", reads,
                     "arguments", arguments_json(layer),
                     "add", layer->input_count > type->inputs,
                     "relu", layer->relu,
                     "input", shape_json(layer->in),
                     "output", shape_json(layer->out),
                     "parameters", (json_int_t)layer->parameters,
                     "state", (json_int_t)layer->state,
                     "forward_flops", layer->forward_flops,
                     "backward_flops", layer->backward_flops);
    /* clang-format on */
}

static json_t *block_json(const struct network *network, int block)
{
    const struct cost cost = cost_of_block(network, block);
    const struct slice slice = network_slice(network, block, 1);
    json_t *layers = json_array();

    for (int l = slice.first_layer; l < slice.first_layer + slice.layer_count; l++)
        json_array_append_new(layers, layer_json(network, l));
    /* clang-format off */
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:f, s:f, s:o}",
                     "name", network->blocks[block].name,
                     "prefix", network->blocks[block].prefix,
                     "input", shape_json(slice_input(network, &slice)),
                     "output", shape_json(slice_output(network, &slice)),
                     "parameters", (json_int_t)cost.parameters,
                     "forward_flops", cost.forward,
                     "backward_flops", cost.backward,
                     "layers", layers);
    /* clang-format on */
}

json_t *network_json(const struct network *network, const struct network_options *options)
{
    const struct cost all = cost_of_all(network);
    json_t *blocks = json_array();

    for (int block = 0; block < network->block_count; block++)
        json_array_append_new(blocks, block_json(network, block));
    /* clang-format off */
    return json_pack("{s:o, s:i, s:i, s:b, s:o, s:i, s:I, s:I, s:f, s:f, s:o}",
                     "arch", text_json(options->name),
                     "depth", network->depth,
                     "width", network->width,
                     "tokens", network->tokens,
                     "image", shape_json(network->input),
                     "classes", network->classes,
                     "parameters", (json_int_t)network->parameters,
                     "state", (json_int_t)network->state,
                     "forward_flops", all.forward,
                     "backward_flops", all.backward,
                     "blocks", blocks);
    /* clang-format on */
}
