/* Network files: whatever they say, what passes has layers that read others above them or their block's input, shapes that
 * fit, sums that are right, and reads the same again; and what can be asked for is bounded. */
#include <stdlib.h>
#include <string.h>

#include "network/network.h"
#include "tests/fuzz/fuzz.h"

enum { LAYERS_READ_TWICE = 256 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool same(struct shape a, struct shape b)
{
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

/* What layer l reads as its input k: a layer above in its block, or the last one above the block. */
static void check_input(const struct network *network, int l, int k, int block_first)
{
    const int block_input = block_first > 0 ? block_first - 1 : NETWORK_INPUT, input = network->layers[l].inputs[k];

    check(input == block_input || (input >= block_first && input < l));
    check(same(layer_input_shape(&network->layers[l], k),
               input == NETWORK_INPUT ? network->input : network->layers[input].out));
}

static void check_layers(const struct network *network)
{
    size_t parameters = 0, state = 0;
    int block_first = 0;

    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        const int before = l > 0 ? network->layers[l - 1].block : -1;

        check(layer->block == before || layer->block == before + 1);
        block_first = layer->block == before ? block_first : l;
        check(layer->input_count >= 1 && layer->input_count <= LAYER_INPUTS_MAX);
        for (int k = 0; k < layer->input_count; k++)
            check_input(network, l, k, block_first);
        check(memchr(layer->name, '\0', LAYER_NAME_MAX) && layer->own_name >= 0 &&
              layer->name[layer->own_name] != '\0');
        check(shape_size(layer->out) > 0 && shape_size(layer->out) <= NETWORK_OUTPUT_MAX);
        check(layer->parameter_offset == parameters && layer->state_offset == state);
        check(layer->forward_flops >= 0 && layer->backward_flops >= 0);
        parameters += layer->parameters;
        state += layer->state;
    }
    check(parameters == network->parameters && state == network->state);
    check(network->layers[network->layer_count - 1].block == network->block_count - 1);
    check(shape_size(network->layers[network->layer_count - 1].out) == (size_t)network->classes);
}

static struct network *read_text(const struct network_options *options)
{
    static struct network_mistakes mistakes;
    struct network *network;

    if (network_read(&network, options, &mistakes) == 0)
        return network;
    check(mistakes.count > 0 && !network);
    for (int k = 0; k < mistakes.count && k < NETWORK_MISTAKES_MAX; k++) {
        check(strncmp(mistakes.lines[k], "fuzz.net:", 9) == 0 && !strchr(mistakes.lines[k], '\n'));
        fuzz_touch(mistakes.lines[k], strlen(mistakes.lines[k]));
    }
    return NULL;
}

/* What is read twice is the same. Of long networks that would take too long: they are as many lines, not other ones. */
static void check_again(const struct network *network, const struct network_options *options)
{
    struct network *again;

    if (network->layer_count > LAYERS_READ_TWICE)
        return;
    again = read_text(options);
    check(again && again->layer_count == network->layer_count &&
          memcmp(again->layers, network->layers, (size_t)network->layer_count * sizeof(*network->layers)) == 0);
    network_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct shape images[] = {{28, 28, 1}, {32, 32, 3}};
    static char text[NETWORK_TEXT_MAX];
    const struct network_options options = {.name = "fuzz.net", .text = text, .input = images[size % 2], .classes = 10};
    struct network *network;

    if (size >= sizeof(text) || memchr(data, '\0', size))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    network = read_text(&options);
    if (!network)
        return 0;
    check(network->layer_count >= 1 && network->layer_count <= NETWORK_LAYERS_MAX);
    check(network->block_count >= 1 && network->block_count <= network->layer_count);
    check_layers(network);
    check_again(network, &options);
    network_destroy(network);
    return 0;
}
