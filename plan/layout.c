#include "plan/layout.h"

#include <stdlib.h>

/* Gradient scratch is a pool of buffers, each as large as the largest tensor it ever holds; a buffer is free again when
 * the layer whose output gradient it holds has done its backward. */
struct buffer {
    size_t floats;
    bool used;
};

struct assignment {
    const struct network *network;
    const struct slice *slice;
    const struct layout_options *options;
    struct stage_layout *layout;
    int *buffer_of; /* [layers]: index into buffers, or one of the values below */
    struct buffer *buffers;
    int buffer_count;
    bool input_written; /* somebody has written the gradient of the stage's input */
};

enum { UNASSIGNED = -1, IN_LINK = -2, IN_SET = -3 };

static size_t tensor_floats(const struct layer *layer, const struct layout_options *options)
{
    return layout_align((size_t)options->rows * shape_size(layer->out));
}

static int take_buffer(struct assignment *a, size_t floats)
{
    int i;

    for (i = 0; i < a->buffer_count && a->buffers[i].used; i++)
        ;
    if (i == a->buffer_count) {
        a->buffer_count++;
        a->buffers[i] = (struct buffer){.floats = 0};
    }
    a->buffers[i].used = true;
    if (a->buffers[i].floats < floats)
        a->buffers[i].floats = floats;
    return i;
}

static bool waits_for_weight_half(const struct layer *layer, const struct layout_options *options)
{
    return options->split_backward && layer_type_of(layer->kind)->has_weight_half;
}

static void assign_gradient(struct assignment *a, int l)
{
    const struct layer *layer = &a->network->layers[a->slice->first_layer + l];
    size_t floats = tensor_floats(layer, a->options);

    if (waits_for_weight_half(layer, a->options)) {
        a->layout->layers[l].gradient_in_set = true;
        a->layout->layers[l].gradient = a->layout->set_floats;
        a->layout->set_floats += floats;
        a->buffer_of[l] = IN_SET;
    } else {
        a->buffer_of[l] = take_buffer(a, floats);
    }
}

/* The backward of layer l writes the gradient of tensor `target` (a global layer index, or the stage's input). Returns
 * whether it must add to what is there. */
static bool write_gradient(struct assignment *a, int target)
{
    int l = target - a->slice->first_layer;
    bool add;

    if (l < 0) {
        add = a->input_written;
        a->input_written = true;
        return add;
    }
    add = a->buffer_of[l] != UNASSIGNED;
    if (!add)
        assign_gradient(a, l);
    return add;
}

/* Where a layer adds its second input last of all, the masked output gradient is that input's gradient. If nobody has written
 * that one yet, the buffer changes hands instead of being copied. */
static bool hand_over(struct assignment *a, int l)
{
    const struct layer *layer = &a->network->layers[a->slice->first_layer + l];
    int r = layer->inputs[1] - a->slice->first_layer;

    if (layer->input_count < 2 || !layer_type_of(layer->kind)->adds_second || r < 0 || a->buffer_of[r] != UNASSIGNED ||
        waits_for_weight_half(&a->network->layers[layer->inputs[1]], a->options))
        return false;
    a->buffer_of[r] = a->buffer_of[l];
    return true;
}

static void assign_layer(struct assignment *a, int l)
{
    const struct layer *layer = &a->network->layers[a->slice->first_layer + l];
    struct layer_layout *own = &a->layout->layers[l];

    own->second_gradient_in_place = hand_over(a, l);
    for (int k = layer->input_count - 1; k >= 0; k--)
        if (k != 1 || !own->second_gradient_in_place)
            own->add_input_gradients[k] = write_gradient(a, layer->inputs[k]);
    if (a->buffer_of[l] >= 0 && !own->second_gradient_in_place)
        a->buffers[a->buffer_of[l]].used = false;
}

static int assign_gradients(struct assignment *a, struct error *error)
{
    int count = a->layout->layer_count;
    size_t *offsets = NULL;
    int result = -1;

    a->buffer_of = malloc((size_t)count * sizeof(*a->buffer_of));
    a->buffers = malloc((size_t)count * sizeof(*a->buffers));
    if (!a->buffer_of || !a->buffers) {
        error_set(error, "out of memory while laying out a stage");
        goto out;
    }
    for (int l = 0; l < count; l++)
        a->buffer_of[l] = UNASSIGNED;
    if (a->options->last)
        assign_gradient(a, count - 1);
    else
        a->buffer_of[count - 1] = IN_LINK;
    for (int l = count - 1; l >= 0; l--)
        assign_layer(a, l);

    offsets = malloc((size_t)(a->buffer_count + 1) * sizeof(*offsets));
    if (!offsets) {
        error_set(error, "out of memory while laying out a stage");
        goto out;
    }
    offsets[0] = 0;
    for (int i = 0; i < a->buffer_count; i++)
        offsets[i + 1] = offsets[i] + a->buffers[i].floats;
    a->layout->gradient_floats = offsets[a->buffer_count];
    for (int l = 0; l < count; l++)
        if (a->buffer_of[l] != IN_SET)
            a->layout->layers[l].gradient = a->buffer_of[l] == IN_LINK ? TENSOR_IN_LINK : offsets[a->buffer_of[l]];
    result = 0;
out:
    free(offsets);
    free(a->buffers);
    free(a->buffer_of);
    return result;
}

static void assign_activations(struct stage_layout *layout, const struct network *network, const struct slice *slice,
                               const size_t *saved_floats, const struct layout_options *options)
{
    size_t end = 0;

    for (int l = 0; l < layout->layer_count; l++) {
        const struct layer *layer = &network->layers[slice->first_layer + l];
        bool leaves = l == layout->layer_count - 1 && !options->last;

        layout->recomputed_output = end;
        layout->layers[l].output = leaves ? TENSOR_IN_LINK : end;
        if (!leaves || options->recompute)
            end += tensor_floats(layer, options);
        layout->layers[l].saved_floats = saved_floats[slice->first_layer + l];
        layout->layers[l].saved = end;
        end += layout_align((size_t)options->microbatches * layout->layers[l].saved_floats);
    }
    layout->set_floats = end;
    if (options->first)
        layout->input_floats = layout_align((size_t)options->rows * shape_size(slice_input(network, slice)));
}

int layout_create(struct stage_layout **out, const struct network *network, const struct slice *slice,
                  const size_t *saved_floats, const struct layout_options *options, struct error *error)
{
    struct stage_layout *layout = calloc(1, sizeof(*layout));
    struct assignment assignment = {.network = network, .slice = slice, .options = options, .layout = layout};

    *out = NULL;
    if (!layout || !(layout->layers = calloc((size_t)slice->layer_count, sizeof(*layout->layers)))) {
        layout_destroy(layout);
        return error_set(error, "out of memory while laying out a stage");
    }
    layout->layer_count = slice->layer_count;
    assign_activations(layout, network, slice, saved_floats, options);
    if (assign_gradients(&assignment, error)) {
        layout_destroy(layout);
        return -1;
    }
    *out = layout;
    return 0;
}

void layout_destroy(struct stage_layout *layout)
{
    if (!layout)
        return;
    free(layout->layers);
    free(layout);
}

int layout_set_count(const struct layout_options *options, int slots)
{
    return options->recompute && !options->split_backward ? 1 : slots;
}

size_t layout_activation_floats(const struct stage_layout *layout, const struct layout_options *options, int slots)
{
    size_t sets = (size_t)layout_set_count(options, slots);

    return sets * layout->set_floats + (size_t)(slots + options->slots_ahead) * layout->input_floats;
}
