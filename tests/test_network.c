/* model/: parameter counts and costs derived by hand, the graph's invariants, slices, initial weights, partitions. */
#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "network/network.h"
#include "tests/support/named.h"
#include "tests/support/suite.h"

static const struct {
    const char *name;
    int blocks, residual_blocks; /* residual_blocks: per group, 0 for what is no ResNet */
} archs[] = {{"resnet8", 5, 1},   {"resnet20", 11, 3},   {"resnet32", 17, 5},
             {"resnet56", 29, 9}, {"resnet110", 56, 18}, {"mlp", 3, 0}};

static const struct shape inputs[] = {{28, 28, 1}, {32, 32, 3}, {64, 64, 3}, {33, 47, 1}, {64, 28, 3}};

enum {
    ARCHS = sizeof(archs) / sizeof(archs[0]),
    INPUTS = sizeof(inputs) / sizeof(inputs[0]),
    NETWORKS = ARCHS * INPUTS,
    CLASSES = 10
};

static struct network *create(const char *arch, struct shape input, int classes)
{
    struct network *network = NULL;
    struct error error;

    ck_assert_msg(network_named(&network, arch, 3, input, classes, &error) == 0, "%s: %s", arch, error.text);
    return network;
}

/* Loop tests run over every architecture and input. */
static struct network *create_nth(int n)
{
    return create(archs[n / INPUTS].name, inputs[n % INPUTS], CLASSES);
}

static const struct layer *find(const struct network *network, const char *name)
{
    for (int i = 0; i < network->layer_count; i++)
        if (strcmp(network->layers[i].name, name) == 0)
            return &network->layers[i];
    ck_abort_msg("no layer %s", name);
    return NULL;
}

static bool same_shape(struct shape a, struct shape b)
{
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

/* 3x3 convolutions and batch norms of n residual blocks per group, plus stem, two projections and head. */
static size_t resnet_parameters(size_t n, size_t image_channels, size_t classes)
{
    size_t stem = 9 * image_channels * 16 + 2 * 16;
    size_t group1 = n * (2 * 9 * 16 * 16 + 4 * 16);
    size_t group2 = 9 * 16 * 32 + (2 * n - 1) * 9 * 32 * 32 + n * 4 * 32 + (16 * 32 + 2 * 32);
    size_t group3 = 9 * 32 * 64 + (2 * n - 1) * 9 * 64 * 64 + n * 4 * 64 + (32 * 64 + 2 * 64);

    return stem + group1 + group2 + group3 + 64 * classes + classes;
}

START_TEST(parameters_match_the_closed_form)
{
    int n = archs[_i / INPUTS].residual_blocks;
    struct shape input = inputs[_i % INPUTS];
    struct network *network = create_nth(_i);
    size_t expected = n > 0 ? resnet_parameters((size_t)n, (size_t)input.channels, CLASSES)
                            : (shape_size(input) + 1) * 256 + 257 * 256 + 257 * CLASSES;

    ck_assert_uint_eq(network->parameters, expected);
    network_destroy(network);
}
END_TEST

static const struct {
    const char *arch;
    size_t parameters;
} published[] = {{"resnet20", 269722}, {"resnet32", 464154}, {"resnet56", 853018}, {"resnet110", 1727962}};

/* He et al.'s networks without projections have 269,722, 464,154 and 853,018 parameters, as their published
 * re-implementations count; the two projections and their batch norms add 2,752. */
START_TEST(parameters_match_published_counts)
{
    struct network *network = create(published[_i].arch, (struct shape){32, 32, 3}, 10);

    ck_assert_uint_eq(network->parameters, published[_i].parameters + 2752);
    network_destroy(network);
}
END_TEST

/* Counted with the modules of PyTorch that bench/golden_networks.py writes out; torchvision's own for ResNet-50 at 1000
 * classes, weiaicunzai/pytorch-cifar100's and bearpaw/pytorch-classification's. */
static const struct {
    const char *name;
    struct shape input;
    int classes, blocks;
    size_t parameters;
} counted[] = {
    {"resnet20", {28, 28, 1}, 10, 11, 272186},
    {"vgg16", {32, 32, 3}, 10, 14, 14728266},
    {"vgg16", {32, 32, 3}, 100, 14, 14774436},
    {"vgg16-4096", {32, 32, 3}, 100, 16, 34015396},
    {"resnet50", {32, 32, 3}, 10, 18, 23520842},
    {"resnet50", {32, 32, 3}, 100, 18, 23705252},
    {"resnet50-imagenet", {32, 32, 3}, 100, 18, 23712932},
    {"resnet50-imagenet", {64, 64, 3}, 200, 18, 23917832},
    {"alexnet", {32, 32, 3}, 10, 6, 2472266},
    {"alexnet", {32, 32, 3}, 100, 6, 2495396},
};
enum { COUNTED = sizeof(counted) / sizeof(counted[0]) };

START_TEST(parameters_and_blocks_match_the_table)
{
    struct network *network = create(counted[_i].name, counted[_i].input, counted[_i].classes);

    ck_assert_msg(network->parameters == counted[_i].parameters, "%s: %zu parameters, not %zu", counted[_i].name,
                  network->parameters, counted[_i].parameters);
    ck_assert_int_eq(network->block_count, counted[_i].blocks);
    network_destroy(network);
}
END_TEST

/* Millions of multiply-adds of a forward, rounded up or down. */
START_TEST(multiply_adds_match_the_table)
{
    static const struct {
        const char *name;
        int side;
        double millions;
    } table[] = {{"vgg16", 32, 313},
                 {"vgg16", 64, 1253},
                 {"resnet50", 32, 1298},
                 {"resnet50-imagenet", 32, 83},
                 {"resnet50-imagenet", 64, 334}};

    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        struct network *network = create(table[t].name, (struct shape){table[t].side, table[t].side, 3}, 100);
        double flops = 0.0;

        for (int l = 0; l < network->layer_count; l++)
            if (layer_type_of(network->layers[l].kind)->has_weight_half)
                flops += network->layers[l].forward_flops;
        ck_assert_msg(fabs(flops / 2e6 - table[t].millions) < 1.0, "%s: %g million", table[t].name, flops / 2e6);
        network_destroy(network);
    }
}
END_TEST

/* ResNet-20's 40.55 million multiply-adds (as published for 32 x 32 images), and its projections'. */
START_TEST(flops_match_published_counts)
{
    const double multiply_adds = 40551040.0 + 2 * 131072.0, stem = 9.0 * 3 * 16 * 32 * 32;
    struct network *network = create("resnet20", (struct shape){32, 32, 3}, 10);
    double forward = 0.0, backward = 0.0;

    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind == LAYER_CONVOLUTION || layer->kind == LAYER_LINEAR) {
            forward += layer->forward_flops;
            backward += layer->backward_flops;
        }
    }
    ck_assert_double_eq(forward, 2.0 * multiply_adds);
    ck_assert_double_eq(backward, 2.0 * (2.0 * multiply_adds - stem));
    network_destroy(network);
}
END_TEST

/* What a batch norm and a pooling cost beside the convolutions: something, but little. */
START_TEST(flops_of_small_layers_are_small)
{
    struct network *network = create_nth(_i);
    double all = 0.0, small = 0.0;

    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        double flops = layer->forward_flops + layer->backward_flops;
        ck_assert_msg(layer->forward_flops > 0.0 && layer->backward_flops > 0.0, "%s costs nothing", layer->name);
        all += flops;
        if (layer->kind == LAYER_BATCH_NORM || layer->kind == LAYER_AVERAGE_POOL)
            small += flops;
    }
    ck_assert_double_lt(small, 0.1 * all);
    network_destroy(network);
}
END_TEST

START_TEST(weight_layers_match_the_name)
{
    static const int depths[ARCHS] = {8, 20, 32, 56, 110, 3};
    struct network *network = create(archs[_i].name, inputs[0], CLASSES);
    int depth = 0;

    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        bool projection = strstr(layer->name, ".shortcut") != NULL;
        depth += (layer->kind == LAYER_CONVOLUTION && !projection) || layer->kind == LAYER_LINEAR;
    }
    ck_assert_int_eq(depth, depths[_i]);
    ck_assert_int_eq(network->block_count, archs[_i].blocks);
    network_destroy(network);
}
END_TEST

/* Every field of a layer that another field or another layer determines. */
START_TEST(layers_are_consistent)
{
    struct network *network = create_nth(_i);
    size_t parameters = 0, state = 0;

    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const char *name = layer->name;
        ck_assert_msg(layer->inputs[0] >= NETWORK_INPUT && layer->inputs[0] < i, "%s reads layer %d", name,
                      layer->inputs[0]);
        struct shape in = layer->inputs[0] == NETWORK_INPUT ? network->input : network->layers[layer->inputs[0]].out;
        ck_assert_msg(same_shape(in, layer->in), "%s: input shape", name);
        if (layer->input_count > 1) {
            ck_assert_msg(layer->kind == LAYER_BATCH_NORM && layer->inputs[1] >= 0 && layer->inputs[1] < i, "%s", name);
            ck_assert_msg(same_shape(network->layers[layer->inputs[1]].out, layer->out), "%s: residual shape", name);
        }
        ck_assert_msg(layer->parameter_offset == parameters && layer->state_offset == state, "%s: offsets", name);
        ck_assert_uint_eq(layer->state, layer->kind == LAYER_BATCH_NORM ? 2 * (size_t)layer->out.channels : 0);
        parameters += layer->parameters;
        state += layer->state;
        for (int other = 0; other < i; other++)
            ck_assert_str_ne(name, network->layers[other].name);
        int before = i > 0 ? network->layers[i - 1].block : -1;
        ck_assert_msg(layer->block == before || layer->block == before + 1, "%s: block %d after %d", name, layer->block,
                      before);
    }
    ck_assert_uint_eq(network->parameters, parameters);
    ck_assert_uint_eq(network->state, state);
    ck_assert_int_eq(network->layers[network->layer_count - 1].block, network->block_count - 1);
    network_destroy(network);
}
END_TEST

/* Each output but the network's is read by somebody, so there is no dead layer; the network's is the logits. */
START_TEST(every_output_is_read)
{
    struct network *network = create_nth(_i);
    int last = network->layer_count - 1;

    for (int i = 0; i <= last; i++) {
        int readers = 0;
        for (int reader = i + 1; reader <= last; reader++)
            readers += (network->layers[reader].inputs[0] == i) + (network->layers[reader].inputs[1] == i);
        ck_assert_msg(i == last ? readers == 0 : readers > 0, "%s has %d readers", network->layers[i].name, readers);
    }
    ck_assert(same_shape(network->layers[last].out, (struct shape){1, 1, CLASSES}));
    ck_assert(!network->layers[last].relu);
    network_destroy(network);
}
END_TEST

/* Wherever a pipeline is cut between blocks, only the output of the layer before the cut crosses it. */
START_TEST(cuts_cut_one_tensor)
{
    struct network *network = create_nth(_i);

    for (int i = 1; i < network->layer_count; i++) {
        if (network->layers[i].block == network->layers[i - 1].block)
            continue;
        for (int reader = i; reader < network->layer_count; reader++) {
            const struct layer *layer = &network->layers[reader];

            for (int r = 0; r < layer->input_count; r++)
                ck_assert_msg(layer->inputs[r] >= i - 1, "%s reads %d across the cut before %d", layer->name,
                              layer->inputs[r], i);
        }
    }
    network_destroy(network);
}
END_TEST

START_TEST(resnet_shapes)
{
    struct shape input = inputs[_i % INPUTS];
    int n = archs[_i / INPUTS].residual_blocks, height = input.height, width = input.width;
    struct network *network = create_nth(_i);

    ck_assert(same_shape(find(network, "stem.conv")->out, (struct shape){height, width, 16}));
    ck_assert_int_eq(find(network, "stem.conv")->inputs[0], NETWORK_INPUT);
    for (int group = 0; group < 3; group++) {
        if (group > 0) { /* stride 2 rounds up */
            height = (height + 1) / 2;
            width = (width + 1) / 2;
        }
        for (int i = 0; i < n; i++) {
            char name[LAYER_NAME_MAX];
            int block = 1 + group * n + i;
            bool projected = group > 0 && i == 0;
            snprintf(name, sizeof(name), "block%d.bn2", block);
            const struct layer *end = find(network, name);
            ck_assert_int_eq(end->block, block);
            ck_assert_msg(same_shape(end->out, (struct shape){height, width, 16 << group}), "%s", name);
            ck_assert(end->relu && end->input_count == 2);
            const struct layer *added = &network->layers[end->inputs[1]];
            ck_assert_msg((added->block == block) == projected, "%s adds %s", name, added->name);
            ck_assert_msg(strcmp(strchr(added->name, '.'), projected    ? ".shortcut_bn"
                                                           : block == 1 ? ".bn"
                                                                        : ".bn2") == 0,
                          "%s adds %s", name, added->name);
            ck_assert(added->relu == !projected);
            snprintf(name, sizeof(name), "block%d.conv1", block);
            ck_assert_int_eq(find(network, name)->stride, projected ? 2 : 1);
            snprintf(name, sizeof(name), "block%d.bn1", block);
            ck_assert(find(network, name)->relu && find(network, name)->input_count == 1);
        }
    }
    ck_assert(same_shape(find(network, "head.pool")->out, (struct shape){1, 1, 64}));
    ck_assert(same_shape(find(network, "head.linear")->in, (struct shape){1, 1, 64}));
    network_destroy(network);
}
END_TEST

START_TEST(mlp_shapes)
{
    struct network *network = create("mlp", (struct shape){28, 28, 1}, 7);
    static const int widths[] = {256, 256, 7};

    ck_assert_int_eq(network->layer_count, 3);
    for (int i = 0; i < 3; i++) {
        const struct layer *layer = &network->layers[i];
        ck_assert_int_eq(layer->kind, LAYER_LINEAR);
        ck_assert_int_eq(layer->block, i);
        ck_assert(same_shape(layer->out, (struct shape){1, 1, widths[i]}));
        ck_assert(layer->relu == (i < 2));
    }
    network_destroy(network);
}
END_TEST

START_TEST(an_mlp_is_as_deep_as_is_asked)
{
    const struct shape input = {28, 28, 1};

    for (int depth = 1; depth <= NETWORK_DEPTH_MAX; depth *= 4) {
        const size_t hidden = depth > 1 ? 256 * (784 + 1) + (size_t)(depth - 2) * 256 * (256 + 1) : 0;
        struct network *network;
        struct error error;

        ck_assert_msg(network_named(&network, "mlp", depth, input, 10, &error) == 0, "%s", error.text);
        ck_assert_int_eq(network->block_count, depth);
        ck_assert_int_eq(network->layer_count, depth);
        ck_assert_uint_eq(network->parameters, hidden + 10 * ((depth > 1 ? 256 : 784) + 1));
        for (int l = 0; l < depth; l++)
            ck_assert(network->layers[l].block == l && network->layers[l].relu == (l < depth - 1));
        network_destroy(network);
    }
}
END_TEST

/* A network's depth is its name's, but for the mlp's, which has one of its own. */
START_TEST(depth_counts_for_an_mlp_alone)
{
    const struct shape input = {28, 28, 1};
    struct network *network;
    struct error error;

    ck_assert_int_eq(network_named(&network, "resnet8", 7, input, 10, &error), 0);
    ck_assert_int_eq(network->block_count, 5);
    network_destroy(network);
    ck_assert_int_eq(network_named(&network, "mlp", 0, input, 10, &error), 0);
    ck_assert_int_eq(network->block_count, 3);
    network_destroy(network);
    ck_assert_int_eq(network_named(&network, "mlp", NETWORK_DEPTH_MAX + 1, input, 10, &error), -1);
    ck_assert_str_eq(error.text, "networks/mlp.net:2: model.depth = 1025 is out of bounds; use 1 to 1024");
}
END_TEST

START_TEST(what_cannot_be_built_is_refused)
{
    static const struct {
        const char *arch;
        struct shape input;
        int classes;
        const char *phrase;
    } bad[] = {
        {"resnet18", {32, 32, 3}, 10, "no such network"}, {"", {32, 32, 3}, 10, "no such network"},
        {"resnet20", {27, 32, 3}, 10, "28 to 256"},       {"resnet20", {32, 27, 3}, 10, "28 to 256"},
        {"resnet20", {257, 32, 3}, 10, "28 to 256"},      {"mlp", {32, 257, 3}, 10, "28 to 256"},
        {"resnet20", {32, 32, 2}, 10, "1 or 3 channels"}, {"mlp", {32, 32, 0}, 10, "1 or 3 channels"},
        {"resnet20", {32, 32, 4}, 10, "1 or 3 channels"}, {"resnet20", {-32, 32, 3}, 10, "28 to 256"},
        {"resnet20", {32, 32, 3}, 1, "2 to 262144"},      {"resnet20", {32, 32, 3}, 262145, "2 to 262144"},
    };
    struct network *network = NULL;
    struct error error;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(network_named(&network, bad[i].arch, 3, bad[i].input, bad[i].classes, &error), -1);
        ck_assert_ptr_null(network);
        ck_assert_msg(strstr(error.text, bad[i].phrase) && !strchr(error.text, '\n'), "%s", error.text);
    }
}
END_TEST

static bool reads_tokens(const char *name)
{
    return strstr(network_builtin(name), "\ninput tokens\n") != NULL;
}

/* Counted from the shapes of LlamaForCausalLM; TinyLlama's is published. */
START_TEST(llamas_have_the_parameters_of_their_kind)
{
    static const struct {
        const char *name;
        int vocabulary;
        size_t parameters;
    } llamas[] = {{"llama-1.5m", 256, 1517696}, {"llama-6m", 256, 5935360}, {"tinyllama", 32000, 1100048384}};

    for (size_t k = 0; k < sizeof(llamas) / sizeof(llamas[0]); k++) {
        struct network *network = create(llamas[k].name, (struct shape){64, 1, 1}, llamas[k].vocabulary);

        ck_assert_uint_eq(network->parameters, llamas[k].parameters);
        ck_assert_int_eq(network_targets_per_sample(network), 64);
        network_destroy(network);
    }
}
END_TEST

START_TEST(the_listed_networks_are_those_that_exist)
{
    int count = 0;

    for (const char *name; (name = network_builtin_name(count)); count++)
        network_destroy(create(name, reads_tokens(name) ? (struct shape){32, 1, 1} : (struct shape){32, 32, 3}, 10));
    ck_assert_int_ge(count, ARCHS);
}
END_TEST

/* Draws `stages` counts of at least one that sum to `blocks`. */
static void random_partition(uint64_t seed, int blocks, int stages, int *counts)
{
    for (int s = 0; s < stages; s++)
        counts[s] = 1;
    for (int b = stages; b < blocks; b++)
        counts[random_below(seed, RANDOM_TEST, (uint32_t)stages, (uint64_t)b, (uint32_t)stages)]++;
}

START_TEST(slices_tile_the_network)
{
    struct network *network = create_nth(_i);
    int counts[64];

    for (int stages = 1; stages <= network->block_count; stages++) {
        int block = 0, layer = 0;
        size_t parameters = 0, state = 0;
        struct shape shape = network->input;
        random_partition((uint64_t)_i, network->block_count, stages, counts);
        for (int s = 0; s < stages; s++) {
            struct slice slice = network_slice(network, block, counts[s]);
            ck_assert_int_eq(slice.first_block, block);
            ck_assert_int_eq(slice.block_count, counts[s]);
            ck_assert_int_eq(slice.first_layer, layer);
            ck_assert_int_gt(slice.layer_count, 0);
            ck_assert_uint_eq(slice.parameter_offset, parameters);
            ck_assert_uint_eq(slice.state_offset, state);
            ck_assert(same_shape(slice_input(network, &slice), shape));
            ck_assert_int_eq(network->layers[layer].block, block);
            block += slice.block_count;
            layer += slice.layer_count;
            ck_assert_int_eq(network->layers[layer - 1].block, block - 1);
            parameters += slice.parameters;
            state += slice.state;
            shape = slice_output(network, &slice);
        }
        ck_assert_int_eq(layer, network->layer_count);
        ck_assert_uint_eq(parameters, network->parameters);
        ck_assert_uint_eq(state, network->state);
        ck_assert(same_shape(shape, (struct shape){1, 1, CLASSES}));
    }
    network_destroy(network);
}
END_TEST

/* Initialises the network stage by stage; every float is NaN before, and a guard stands behind. */
static float *initialise(const struct network *network, const int *counts, int stages, uint64_t seed)
{
    size_t total = network->parameters + network->state;
    float *values = malloc((total + 1) * sizeof(*values));

    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i <= total; i++)
        values[i] = NAN;
    for (int s = 0, block = 0; s < stages; block += counts[s++]) {
        struct slice slice = network_slice(network, block, counts[s]);
        network_initialise(network, &slice, seed, values + slice.parameter_offset,
                           values + network->parameters + slice.state_offset);
    }
    for (size_t i = 0; i < total; i++)
        if (!isfinite(values[i]))
            ck_abort_msg("seed %" PRIu64 ": value %zu of %zu was not written", seed, i, total);
    ck_assert_msg(isnan(values[total]), "wrote past the end");
    return values;
}

START_TEST(weights_do_not_depend_on_the_partition)
{
    struct network *network = create(archs[_i].name, (struct shape){28, 28, 1}, CLASSES);
    size_t bytes = (network->parameters + network->state) * sizeof(float);
    int whole = network->block_count, counts[64];
    float *expected = initialise(network, &whole, 1, 42);

    for (int stages = 2; stages <= network->block_count; stages += 1 + stages / 3) {
        random_partition((uint64_t)stages, network->block_count, stages, counts);
        float *actual = initialise(network, counts, stages, 42);
        ck_assert_msg(memcmp(actual, expected, bytes) == 0, "%s in %d stages", archs[_i].name, stages);
        free(actual);
    }
    float *other = initialise(network, &whole, 1, 43);
    ck_assert_msg(memcmp(other, expected, bytes) != 0, "the seed does not matter");
    free(other);
    free(expected);
    network_destroy(network);
}
END_TEST

static void check_constant(const float *values, size_t count, float expected, const char *what, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != expected)
            ck_abort_msg("%s: %s[%zu] is %g, not %g", name, what, i, (double)values[i], (double)expected);
}

/* Mean and variance of a normal sample, each within five standard deviations of its estimate. */
static void check_normal(const float *values, size_t count, double variance, const char *name)
{
    double sum = 0.0, squares = 0.0, n = (double)count;

    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    ck_assert_msg(fabs(sum / n) <= 5.0 * sqrt(variance / n), "%s: mean %g, variance should be %g", name, sum / n,
                  variance);
    ck_assert_msg(fabs(squares / n / variance - 1.0) <= 5.0 * sqrt(2.0 / n), "%s: variance %g, not %g", name,
                  squares / n, variance);
}

START_TEST(weights_have_the_right_distribution)
{
    struct network *network = create(archs[_i].name, (struct shape){32, 32, 3}, CLASSES);
    int whole = network->block_count;
    float *values = initialise(network, &whole, 1, 7);

    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const float *weights = values + layer->parameter_offset;
        const float *state = values + network->parameters + layer->state_offset;
        size_t channels = (size_t)layer->out.channels, filters = layer->parameters - channels;

        switch (layer->kind) {
        case LAYER_CONVOLUTION:
            filters = layer->parameters - (layer->bias ? channels : 0);
            check_normal(weights, filters, 2.0 / (layer->kernel * layer->kernel * layer->out.channels), layer->name);
            check_constant(weights + filters, layer->parameters - filters, 0.0f, "bias", layer->name);
            break;
        case LAYER_LINEAR:
            check_normal(weights, filters, 2.0 / (double)shape_size(layer->in), layer->name);
            check_constant(weights + filters, channels, 0.0f, "bias", layer->name);
            break;
        case LAYER_BATCH_NORM:
            check_constant(weights, channels, 1.0f, "gamma", layer->name);
            check_constant(weights + channels, channels, 0.0f, "beta", layer->name);
            check_constant(state, channels, 0.0f, "running mean", layer->name);
            check_constant(state + channels, channels, 1.0f, "running variance", layer->name);
            break;
        default:
            ck_assert_uint_eq(layer->parameters, 0);
            break;
        }
    }
    free(values);
    network_destroy(network);
}
END_TEST

START_TEST(layers_of_one_shape_start_differently)
{
    struct network *network = create("resnet20", (struct shape){32, 32, 3}, CLASSES);
    int whole = network->block_count;
    float *values = initialise(network, &whole, 1, 7);
    const struct layer *one = find(network, "block2.conv1"), *other = find(network, "block2.conv2");

    ck_assert_uint_eq(one->parameters, other->parameters);
    ck_assert_mem_ne(values + one->parameter_offset, values + other->parameter_offset,
                     one->parameters * sizeof(*values));
    free(values);
    network_destroy(network);
}
END_TEST

enum { BLOCKS_MAX = 12 };

/* Tries every partition, the one with the fewest blocks in the earliest stages first, and keeps the first best. */
static void best_by_trying(const double *cost, int blocks, int stages, int s, double worst, int *counts, int *best,
                           double *best_worst)
{
    if (s == stages) {
        if (blocks == 0 && worst < *best_worst) {
            *best_worst = worst;
            memcpy(best, counts, (size_t)stages * sizeof(*best));
        }
        return;
    }
    double sum = 0.0;
    for (int count = 1; count <= blocks; count++) {
        sum += cost[count - 1];
        counts[s] = count;
        best_by_trying(cost + count, blocks - count, stages, s + 1, fmax(worst, sum), counts, best, best_worst);
    }
}

/* Whole costs, with zeros and many ties, so that sums are exact and the tie rule shows. */
START_TEST(partition_is_the_best_of_all)
{
    static const uint32_t cost_bounds[] = {1, 2, 4, 1000};
    uint32_t bound = cost_bounds[_i / BLOCKS_MAX % 4];
    int blocks = 1 + _i % BLOCKS_MAX;
    double cost[BLOCKS_MAX];

    for (int b = 0; b < blocks; b++)
        cost[b] = random_below(5, RANDOM_TEST, (uint32_t)_i, (uint64_t)b, bound);
    for (int stages = 1; stages <= blocks; stages++) {
        int counts[BLOCKS_MAX + 1], expected[BLOCKS_MAX], scratch[BLOCKS_MAX];
        double best_worst = HUGE_VAL;
        counts[stages] = -1;
        best_by_trying(cost, blocks, stages, 0, 0.0, scratch, expected, &best_worst);
        partition_balance(cost, blocks, stages, counts);
        for (int s = 0; s < stages; s++)
            ck_assert_msg(counts[s] == expected[s], "case %d, %d blocks in %d stages: stage %d has %d blocks, not %d",
                          _i, blocks, stages, s + 1, counts[s], expected[s]);
        ck_assert_int_eq(counts[stages], -1);
    }
}
END_TEST

/* Costs whose sums round: the partition must still end, be complete, and be best but for rounding. */
START_TEST(partition_of_measured_costs)
{
    double cost[BLOCKS_MAX];

    for (int b = 0; b < BLOCKS_MAX; b++)
        cost[b] = 1e-3 * (double)random_uniform(6, RANDOM_TEST, (uint32_t)_i, (uint64_t)b);
    for (int stages = 1; stages <= BLOCKS_MAX; stages++) {
        int counts[BLOCKS_MAX], expected[BLOCKS_MAX], scratch[BLOCKS_MAX], block = 0;
        double best_worst = HUGE_VAL, worst = 0.0;
        best_by_trying(cost, BLOCKS_MAX, stages, 0, 0.0, scratch, expected, &best_worst);
        partition_balance(cost, BLOCKS_MAX, stages, counts);
        for (int s = 0; s < stages; s++) {
            double sum = 0.0;
            ck_assert_int_ge(counts[s], 1);
            for (int end = block + counts[s]; block < end; block++)
                sum += cost[block];
            worst = fmax(worst, sum);
        }
        ck_assert_int_eq(block, BLOCKS_MAX);
        ck_assert_msg(worst <= best_worst * (1.0 + 1e-12), "case %d, %d stages: %g, best is %g", _i, stages, worst,
                      best_worst);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tcase = tcase_create("model");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, parameters_match_the_closed_form, 0, NETWORKS);
    tcase_add_loop_test(tcase, parameters_match_published_counts, 0, COUNT(published));
    tcase_add_loop_test(tcase, parameters_and_blocks_match_the_table, 0, COUNTED);
    tcase_add_test(tcase, multiply_adds_match_the_table);
    tcase_add_test(tcase, flops_match_published_counts);
    tcase_add_loop_test(tcase, flops_of_small_layers_are_small, 0, NETWORKS);
    tcase_add_loop_test(tcase, weight_layers_match_the_name, 0, ARCHS);
    tcase_add_loop_test(tcase, layers_are_consistent, 0, NETWORKS);
    tcase_add_loop_test(tcase, every_output_is_read, 0, NETWORKS);
    tcase_add_loop_test(tcase, cuts_cut_one_tensor, 0, NETWORKS);
    tcase_add_loop_test(tcase, resnet_shapes, 0, (ARCHS - 1) * INPUTS); /* the last one is the MLP */
    tcase_add_test(tcase, mlp_shapes);
    tcase_add_test(tcase, an_mlp_is_as_deep_as_is_asked);
    tcase_add_test(tcase, depth_counts_for_an_mlp_alone);
    tcase_add_test(tcase, what_cannot_be_built_is_refused);
    tcase_add_test(tcase, the_listed_networks_are_those_that_exist);
    tcase_add_test(tcase, llamas_have_the_parameters_of_their_kind);
    tcase_add_loop_test(tcase, slices_tile_the_network, 0, NETWORKS);
    tcase_add_loop_test(tcase, weights_do_not_depend_on_the_partition, 0, ARCHS);
    tcase_add_loop_test(tcase, weights_have_the_right_distribution, 0, ARCHS);
    tcase_add_test(tcase, layers_of_one_shape_start_differently);
    tcase_add_loop_test(tcase, partition_is_the_best_of_all, 0, 4 * 3 * BLOCKS_MAX);
    tcase_add_loop_test(tcase, partition_of_measured_costs, 0, 20);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
