#include "kernels/onednn/descriptors.h"

#include <string.h>

/* Each version fills these in: a layout from a tag, the three directions of a convolution, and the "sum" post-op. */
#if DNNL_VERSION_MAJOR >= 3

struct layout {
    dnnl_memory_desc_t handle;
};

static layout_view layout_of(const struct layout *layout)
{
    return layout->handle;
}

static dnnl_status_t layout_create(struct layout *out, const struct tensor *tensor)
{
    return dnnl_memory_desc_create_with_tag(&out->handle, 4, tensor->sizes, dnnl_f32, tensor->tag);
}

static void layout_destroy(struct layout *layout)
{
    dnnl_memory_desc_destroy(layout->handle);
}

static dnnl_status_t describe(dnnl_primitive_desc_t *out, enum direction direction, dnnl_alg_kind_t algorithm,
                              layout_view source, layout_view weights, layout_view destination,
                              const dnnl_dims_t strides, const dnnl_dims_t padding, dnnl_primitive_desc_t forward,
                              dnnl_primitive_attr_t attributes, dnnl_engine_t engine)
{
    const dnnl_dims_t dilation = {0, 0};

    switch (direction) {
    case DIRECTION_FORWARD:
        return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_training, algorithm, source,
                                                              weights, NULL, destination, strides, dilation, padding,
                                                              padding, attributes);
    case DIRECTION_BACKWARD_INPUT:
        return dnnl_convolution_backward_data_primitive_desc_create(out, engine, algorithm, source, weights,
                                                                    destination, strides, dilation, padding, padding,
                                                                    forward, attributes);
    default:
        return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, algorithm, source, weights, NULL,
                                                                       destination, strides, dilation, padding, padding,
                                                                       forward, attributes);
    }
}

static dnnl_status_t append_sum(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
}

#else

struct layout {
    dnnl_memory_desc_t descriptor;
};

static layout_view layout_of(const struct layout *layout)
{
    return &layout->descriptor;
}

static dnnl_status_t layout_create(struct layout *out, const struct tensor *tensor)
{
    return dnnl_memory_desc_init_by_tag(&out->descriptor, 4, tensor->sizes, dnnl_f32, tensor->tag);
}

static void layout_destroy(struct layout *layout)
{
    (void)layout;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *out, enum direction direction, dnnl_alg_kind_t algorithm,
                              layout_view source, layout_view weights, layout_view destination,
                              const dnnl_dims_t strides, const dnnl_dims_t padding, dnnl_primitive_desc_t forward,
                              dnnl_primitive_attr_t attributes, dnnl_engine_t engine)
{
    dnnl_convolution_desc_t operation;
    dnnl_status_t status;

    switch (direction) {
    case DIRECTION_FORWARD:
        status = dnnl_convolution_forward_desc_init(&operation, dnnl_forward_training, algorithm, source, weights, NULL,
                                                    destination, strides, padding, padding);
        break;
    case DIRECTION_BACKWARD_INPUT:
        status = dnnl_convolution_backward_data_desc_init(&operation, algorithm, source, weights, destination, strides,
                                                          padding, padding);
        break;
    default:
        status = dnnl_convolution_backward_weights_desc_init(&operation, algorithm, source, weights, NULL, destination,
                                                             strides, padding, padding);
    }
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &operation, attributes, engine, forward) : status;
}

static dnnl_status_t append_sum(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_sum(operations, 1.0f);
}

#endif

/* A backward descriptor needs the forward's as a hint. */
static dnnl_status_t describe_with_hint(dnnl_primitive_desc_t *out, enum direction direction, dnnl_alg_kind_t algorithm,
                                        layout_view source, layout_view weights, layout_view destination,
                                        const struct convolution_shape *shape, dnnl_primitive_attr_t attributes,
                                        dnnl_engine_t engine)
{
    const dnnl_dims_t strides = {shape->stride, shape->stride}, padding = {shape->padding, shape->padding};
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t status;

    status = describe(&forward, DIRECTION_FORWARD, algorithm, source, weights, destination, strides, padding, NULL,
                      attributes, engine);
    if (status != dnnl_success || direction == DIRECTION_FORWARD) {
        *out = forward;
        return status;
    }
    status = describe(out, direction, algorithm, source, weights, destination, strides, padding, forward, attributes,
                      engine);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

dnnl_status_t convolution_descriptor(dnnl_primitive_desc_t *out, enum direction direction, dnnl_alg_kind_t algorithm,
                                     const struct convolution_shape *shape, dnnl_engine_t engine)
{
    struct layout source, weights, destination;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status;

    if ((status = layout_create(&source, &shape->source)) != dnnl_success)
        return status;
    if ((status = layout_create(&weights, &shape->weights)) != dnnl_success)
        goto err_source;
    if ((status = layout_create(&destination, &shape->destination)) != dnnl_success)
        goto err_weights;
    if ((status = dnnl_primitive_attr_create(&attributes)) != dnnl_success)
        goto err_destination;
    if ((status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user)) == dnnl_success)
        status = describe_with_hint(out, direction, algorithm, layout_of(&source), layout_of(&weights),
                                    layout_of(&destination), shape, attributes, engine);

    dnnl_primitive_attr_destroy(attributes);
err_destination:
    layout_destroy(&destination);
err_weights:
    layout_destroy(&weights);
err_source:
    layout_destroy(&source);
    return status;
}

bool descriptor_is_fast(dnnl_primitive_desc_t descriptor)
{
    const char *implementation = "";

    dnnl_primitive_desc_query(descriptor, dnnl_query_impl_info_str, 0, &implementation);
    return strncmp(implementation, "ref", 3) != 0;
}

dnnl_status_t reorder_descriptor(dnnl_primitive_desc_t *out, layout_view from, layout_view to, bool add,
                                 dnnl_engine_t engine)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t operations = NULL;
    dnnl_status_t status;

    if ((status = dnnl_primitive_attr_create(&attributes)) != dnnl_success)
        return status;
    if ((status = dnnl_post_ops_create(&operations)) != dnnl_success)
        goto err_attributes;
    if (add && (status = append_sum(operations)) != dnnl_success)
        goto err_operations;
    if ((status = dnnl_primitive_attr_set_post_ops(attributes, operations)) != dnnl_success)
        goto err_operations;
    /* Its scratchpad stays the library's: plain reorders of floats have none. */
    status = dnnl_reorder_primitive_desc_create(out, from, engine, to, engine, attributes);

err_operations:
    dnnl_post_ops_destroy(operations);
err_attributes:
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tensor_memory(dnnl_memory_t *out, const struct tensor *tensor, dnnl_engine_t engine)
{
    struct layout layout;
    dnnl_status_t status = layout_create(&layout, tensor);

    if (status != dnnl_success)
        return status;
    status = dnnl_memory_create(out, layout_of(&layout), engine, DNNL_MEMORY_NONE);
    layout_destroy(&layout);
    return status;
}
