/* Lines of network files that are a layer: NAME = TYPE [LAYER ...] [ARGUMENT=VALUE ...] */
#include <stdio.h>
#include <string.h>

#include "network/reader.h"

/* The layer that a word names; -3 if there is none. */
enum { NO_LAYER = -3 };
static int find_input(struct reader *reader, const char *word)
{
    const struct network *network = reader->network;
    char name[NETWORK_NAME_MAX];

    if (strcmp(word, "input") == 0)
        return reader->block_input;
    if (!reader_fill_in(reader, word, name))
        return NO_LAYER;
    for (int l = reader->block_first; l < network->layer_count; l++)
        if (strcmp(network->layers[l].name + network->layers[l].own_name, name) == 0)
            return l;
    mistake(reader,
            "block %s has no layer %s above this line: layers read layers of their own block, or its input, as a "
            "pipeline is cut between blocks",
            reader->block->name, name);
    return NO_LAYER;
}

/* KEY=VALUE */
static bool read_argument(struct reader *reader, struct layer *layer, char *word, bool given[])
{
    const struct layer_type *type = layer_type_of(layer->kind);
    char *value_text = strchr(word, '=');
    char known[160] = "";
    long value;

    *value_text++ = '\0';
    for (int k = 0; k < LAYER_ARGUMENTS_MAX && type->arguments[k].name; k++) {
        const struct layer_argument *argument = &type->arguments[k];

        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", k > 0 ? ", " : "", argument->name);
        if (strcmp(argument->name, word) != 0)
            continue;
        if (given[k])
            mistake(reader, "%s is given twice", word);
        given[k] = true;
        if (!reader_value(reader, value_text, &value))
            return false;
        if (value < argument->low || value > argument->high) {
            mistake(reader, "%s=%ld is out of bounds; use %d to %d", word, value, argument->low, argument->high);
            return false;
        }
        layer_set_argument(layer, argument, (int)value);
        return true;
    }
    mistake(reader, "%s has no argument %s; %s%s", type->name, word, known[0] ? "it has " : "it has none", known);
    return false;
}

static bool set_defaults(struct reader *reader, struct layer *layer, const bool given[])
{
    const struct layer_type *type = layer_type_of(layer->kind);

    for (int k = 0; k < LAYER_ARGUMENTS_MAX && type->arguments[k].name; k++) {
        const struct layer_argument *argument = &type->arguments[k];

        if (given[k])
            continue;
        if (argument->standard == ARGUMENT_REQUIRED) {
            mistake(reader, "%s needs %s=, from %d to %d", type->name, argument->name, argument->low, argument->high);
            return false;
        }
        layer_set_argument(layer, argument, argument->standard);
    }
    return true;
}

static struct shape shape_of(const struct reader *reader, int layer)
{
    return layer == NETWORK_INPUT ? reader->network->input : reader->network->layers[layer].out;
}

static bool read_inputs(struct reader *reader, struct layer *layer, char **words, int count)
{
    const struct layer_type *type = layer_type_of(layer->kind);
    const int last = reader->network->layer_count - 1;

    layer->input_count = type->inputs;
    if (count > layer->input_count || (layer->input_count > 1 && count != layer->input_count)) {
        static const char *const rules[] = {"one layer: the one above, or one that is named", "two layers: name both",
                                            "three layers: name all"};

        mistake(reader, "%s reads %s", type->name, rules[layer->input_count - 1]);
        return false;
    }
    layer->inputs[0] = last < reader->block_first ? reader->block_input : last;
    for (int k = 0; k < count; k++)
        if ((layer->inputs[k] = find_input(reader, words[k])) == NO_LAYER)
            return false;
    layer->in = shape_of(reader, layer->inputs[0]);
    return true;
}

/* Tokens are no floats. */
static bool reads_its_kind(struct reader *reader, const struct layer *layer)
{
    const bool reads_tokens = layer_type_of(layer->kind)->reads_tokens;

    for (int k = 0; k < layer->input_count; k++) {
        const bool is_tokens = reader->network->tokens && layer->inputs[k] == NETWORK_INPUT;

        if (is_tokens == reads_tokens)
            continue;
        if (is_tokens)
            mistake(reader, "%s cannot read tokens: only an embedding can", layer_type_of(layer->kind)->name);
        else
            mistake(reader, "%s reads tokens, which only the network's input can be: input tokens",
                    layer_type_of(layer->kind)->name);
        return false;
    }
    return true;
}

/* Behind the first input, from whose shape those of the others follow. */
static bool other_inputs_fit(struct reader *reader, const struct layer *layer, char **words)
{
    for (int k = 1; k < layer->input_count; k++) {
        const struct shape is = shape_of(reader, layer->inputs[k]), right = layer_input_shape(layer, k);

        if (memcmp(&is, &right, sizeof(is)) == 0)
            continue;
        if (memcmp(&right, &layer->in, sizeof(right)) == 0)
            mistake(reader, "%s has %d x %d x %d, %s has %d x %d x %d: they must be alike", words[0], layer->in.height,
                    layer->in.width, layer->in.channels, words[k], is.height, is.width, is.channels);
        else
            mistake(reader, "%s has %d x %d x %d, %s has %d x %d x %d, but %s takes %d x %d x %d there", words[0],
                    layer->in.height, layer->in.width, layer->in.channels, words[k], is.height, is.width, is.channels,
                    layer_type_of(layer->kind)->name, right.height, right.width, right.channels);
        return false;
    }
    return true;
}

/* Checkpoints have other tensors beside the network's (checkpoint/checkpoint.h). */
static bool is_for_networks(struct reader *reader, const char *name)
{
    static const char *const taken[] = {"optimizer.", "version."};

    for (size_t k = 0; k < sizeof(taken) / sizeof(taken[0]); k++)
        if (strncmp(name, taken[k], strlen(taken[k])) == 0) {
            mistake(reader, "%s: names that begin with %s are those of what checkpoints hold beside the weights", name,
                    taken[k]);
            return false;
        }
    return true;
}

static bool name_layer(struct reader *reader, struct layer *layer, const char *word)
{
    const struct network *network = reader->network;
    const struct block *block = reader->block;
    char name[NETWORK_NAME_MAX];

    if (!block) {
        mistake(reader, "a layer is in a block: a line before it is to say block NAME");
        return false;
    }
    if (!reader_fill_in(reader, word, name))
        return false;
    snprintf(layer->name, sizeof(layer->name), "%s%s%s", block->prefix, block->prefix[0] ? "." : "", name);
    layer->own_name = (int)(strlen(layer->name) - strlen(name));
    for (int l = 0; l < network->layer_count; l++)
        if (strcmp(network->layers[l].name, layer->name) == 0) {
            mistake(reader, "block %s has a layer %s above, and no network has two of one name",
                    network->blocks[network->layers[l].block].name, layer->name);
            return false;
        }
    return is_for_networks(reader, layer->name);
}

void reader_read_layer(struct reader *reader, char **words, int count)
{
    struct network *network = reader->network;
    struct layer layer = {.kind = LAYER_KINDS, .block = network->block_count - 1};
    bool given[LAYER_ARGUMENTS_MAX] = {false};
    const int kind = layer_kind_find(words[2]);
    struct error error;
    int inputs = 0;

    if (kind < 0) {
        char known[400];

        layer_types_list(known, sizeof(known));
        mistake(reader, "there is no layer type %s; there are %s", words[2], known);
        return;
    }
    layer.kind = (enum layer_kind)kind;
    if (network->layer_count == NETWORK_LAYERS_MAX) {
        mistake(reader, "networks have at most %d layers", NETWORK_LAYERS_MAX);
        return;
    }
    while (3 + inputs < count && !strchr(words[3 + inputs], '='))
        inputs++;
    for (int k = 3 + inputs; k < count; k++)
        if (!strchr(words[k], '=')) {
            mistake(reader, "%s: layers that are read come before the arguments", words[k]);
            return;
        }
    if (!name_layer(reader, &layer, words[0]) || !read_inputs(reader, &layer, words + 3, inputs) ||
        !reads_its_kind(reader, &layer))
        return;
    for (int k = 3 + inputs; k < count; k++)
        if (!read_argument(reader, &layer, words[k], given))
            return;
    if (!set_defaults(reader, &layer, given))
        return;
    if (layer_complete(&layer, &error)) {
        mistake(reader, "%s", error.text);
        return;
    }
    if (!other_inputs_fit(reader, &layer, words + 3))
        return;
    if (shape_size(layer.out) > NETWORK_OUTPUT_MAX) {
        mistake(reader, "%d x %d x %d numbers for each image are more than %d", layer.out.height, layer.out.width,
                layer.out.channels, NETWORK_OUTPUT_MAX);
        return;
    }
    for (int k = 0; k < layer.input_count; k++)
        if (layer.inputs[k] >= 0)
            reader->readers[layer.inputs[k]]++;
    network->layers[network->layer_count++] = layer;
}
