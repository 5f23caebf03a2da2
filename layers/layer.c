/* The table of layer types. */
#include "layers/layer.h"

#include <stdio.h>
#include <string.h>

const struct layer_type *layer_type_of(enum layer_kind kind)
{
    static const struct layer_type *const types[LAYER_KINDS] = {
        [LAYER_CONVOLUTION] = &layer_convolution,
        [LAYER_BATCH_NORM] = &layer_batch_norm,
        [LAYER_LINEAR] = &layer_linear,
        [LAYER_AVERAGE_POOL] = &layer_average_pool,
        [LAYER_MAX_POOL] = &layer_max_pool,
        [LAYER_RELU] = &layer_relu,
        [LAYER_ADD] = &layer_add,
        [LAYER_DROPOUT] = &layer_dropout,
        [LAYER_EMBEDDING] = &layer_embedding,
        [LAYER_RMS_NORM] = &layer_rms_norm,
        [LAYER_ROPE] = &layer_rope,
        [LAYER_ATTENTION] = &layer_attention,
        [LAYER_SILU] = &layer_silu,
        [LAYER_GELU] = &layer_gelu,
        [LAYER_MULTIPLY] = &layer_multiply,
        [LAYER_LAYER_NORM] = &layer_layer_norm,
    };
    return types[kind];
}

int layer_kind_find(const char *name)
{
    for (int kind = 0; kind < LAYER_KINDS; kind++)
        if (strcmp(layer_type_of((enum layer_kind)kind)->name, name) == 0)
            return kind;
    return -1;
}

void layer_types_list(char *text, size_t size)
{
    text[0] = '\0';
    for (int kind = 0; kind < LAYER_KINDS; kind++)
        snprintf(text + strlen(text), size - strlen(text), "%s%s", kind > 0 ? ", " : "",
                 layer_type_of((enum layer_kind)kind)->name);
}

void layer_set_argument(struct layer *layer, const struct layer_argument *argument, int value)
{
    char *member = (char *)layer + argument->offset;

    if (argument->flag)
        *(bool *)member = value != 0;
    else
        memcpy(member, &value, sizeof(value));
}

int layer_argument_value(const struct layer *layer, const struct layer_argument *argument)
{
    const char *member = (const char *)layer + argument->offset;
    int value;

    if (argument->flag)
        return *(const bool *)member;
    memcpy(&value, member, sizeof(value));
    return value;
}

int layer_tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    const struct layer_type *type = layer_type_of(layer->kind);

    return type->tensors ? type->tensors(layer, tensors) : 0;
}

struct shape layer_input_shape(const struct layer *layer, int k)
{
    const struct layer_type *type = layer_type_of(layer->kind);

    return k > 0 && type->input_shape ? type->input_shape(layer, k) : layer->in;
}

int layer_check_heads(const struct layer *layer, struct error *error)
{
    if (layer->in.channels % layer->heads == 0)
        return 0;
    return error_set(error, "%d channels cannot be divided into %d heads: take a number of heads that divides them",
                     layer->in.channels, layer->heads);
}

int layer_keep_shape(struct layer *layer, struct error *error)
{
    (void)error;
    layer->out = layer->in;
    return 0;
}

double layer_flop_per_element(const struct layer *layer)
{
    return (double)shape_size(layer->out);
}

static void count_flops(struct layer *layer)
{
    const struct layer_type *type = layer_type_of(layer->kind);
    const double forward = type->flops(layer);
    const bool both = (type->has_weight_half || type->is_norm) && layer->inputs[0] != NETWORK_INPUT;
    const bool twice = both || type->input_half_is_twice;

    layer->forward_flops = forward;
    layer->backward_flops = twice ? 2.0 * forward : forward;
}

int layer_complete(struct layer *layer, struct error *error)
{
    struct layer_tensor tensors[LAYER_TENSORS_MAX];
    int count;

    if (layer_type_of(layer->kind)->complete(layer, error))
        return -1;
    count = layer_tensors(layer, tensors);
    layer->parameters = layer->state = 0;
    for (int t = 0; t < count; t++)
        *(tensors[t].state ? &layer->state : &layer->parameters) += layer_tensor_count(&tensors[t]);
    count_flops(layer);
    return 0;
}
