#include "kernels/onednn/convolution.h"

#include <oneapi/dnnl/dnnl_debug.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "kernels/onednn/winograd.h"

/* A tensor as the caller has it and as the primitive wants it. Where the two differ, or an output is added to, the
 * primitive's lies in the workspace at `offset`, and `reorder` copies it in, or for the output out; NULL if they are
 * the same. */
struct operand {
    int argument;
    dnnl_memory_t caller, library;
    dnnl_primitive_t reorder;
    size_t offset;
};

enum { FIRST, SECOND, OUTPUT, OPERAND_COUNT };

struct convolution {
    struct layer layer; /* this and the next two: for winograd.c */
    enum direction direction;
    int rows;
    dnnl_primitive_t primitive; /* NULL: it is one of winograd.c, and has no operands here */
    struct operand operands[OPERAND_COUNT];
    dnnl_primitive_t add; /* the output out of the primitive's layout, added */
    dnnl_memory_t scratchpad;
    size_t scratchpad_offset;
    size_t workspace_bytes;
};

static const int arguments[DIRECTION_COUNT][OPERAND_COUNT] = {
    [DIRECTION_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    [DIRECTION_BACKWARD_INPUT] = {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC},
    [DIRECTION_BACKWARD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS},
};

static struct tensor images(int rows, struct shape shape, dnnl_format_tag_t tag)
{
    return (struct tensor){.sizes = {rows, shape.channels, shape.height, shape.width}, .tag = tag};
}

/* With 16 channels, blocks of 16 and channels-last are the same bytes: the caller's tensor needs no reorder. */
static dnnl_format_tag_t caller_tag(struct shape shape, dnnl_format_tag_t library_tag)
{
    return shape.channels == 16 ? library_tag : dnnl_nhwc;
}

static struct convolution_shape library_shape(const struct layer *layer, int rows, dnnl_format_tag_t tag)
{
    return (struct convolution_shape){
        .source = images(rows, layer->in, tag),
        .weights = {.sizes = {layer->out.channels, layer->in.channels, layer->kernel, layer->kernel},
                    .tag = dnnl_format_tag_any},
        .destination = images(rows, layer->out, tag),
        .stride = layer->stride,
        .padding = layer->padding,
    };
}

/* The caller's tensor behind an argument of the primitive. */
static struct tensor caller_tensor(const struct layer *layer, int rows, int argument, dnnl_format_tag_t tag)
{
    struct tensor filters = {.sizes = {layer->out.channels, layer->in.channels, layer->kernel, layer->kernel},
                             .tag = dnnl_ohwi};

    switch (argument) {
    case DNNL_ARG_SRC:
    case DNNL_ARG_DIFF_SRC:
        return images(rows, layer->in, caller_tag(layer->in, tag));
    case DNNL_ARG_DST:
    case DNNL_ARG_DIFF_DST:
        return images(rows, layer->out, caller_tag(layer->out, tag));
    default:
        return filters;
    }
}

static layout_view primitive_layout(dnnl_primitive_desc_t descriptor, int argument)
{
    return dnnl_primitive_desc_query_md(descriptor, dnnl_query_exec_arg_md, argument);
}

static bool has_whole_blocks(const struct layer *layer)
{
    return layer->in.channels % 16 == 0 && layer->out.channels % 16 == 0;
}

/* So many channels that their products take much longer than anything else that a convolution does. */
static bool is_wide(const struct layer *layer)
{
    return max_int(layer->in.channels, layer->out.channels) >= 128 &&
           min_int(layer->in.channels, layer->out.channels) >= 64;
}

static bool in_blocks(const struct layer *layer, enum direction direction, int rows)
{
    (void)direction;
    (void)rows;
    return has_whole_blocks(layer);
}

/* Winograd's transform of the filters is paid for by enough tiles of 4 x 4 pixels. */
static bool in_many_tiles(const struct layer *layer, enum direction direction, int rows)
{
    const int height = layer->out.height, width = layer->out.width;

    (void)direction;
    return has_whole_blocks(layer) && is_wide(layer) && min_int(height, width) >= 4 &&
           (size_t)rows * (size_t)((height + 3) / 4) * (size_t)((width + 3) / 4) >= 48;
}

/* Worth the transforms of the filters, for the library's direct convolutions of the same channels. */
static bool in_enough_tiles(const struct layer *layer, enum direction direction, int rows)
{
    (void)direction;
    return winograd_can(layer) && (size_t)rows * (size_t)(layer->out.height * layer->out.width) >= 256;
}

static bool better_in_blocks(const struct layer *layer, enum direction direction, int rows)
{
    (void)rows;
    if (!has_whole_blocks(layer))
        return false;
    if (!is_wide(layer))
        return direction != DIRECTION_BACKWARD_WEIGHTS;
    return direction == DIRECTION_FORWARD            ? layer->out.width < 8
           : direction == DIRECTION_BACKWARD_WEIGHTS ? layer->stride > 1 && layer->kernel > 1
                                                     : false;
}

static bool always(const struct layer *layer, enum direction direction, int rows)
{
    (void)layer;
    (void)direction;
    (void)rows;
    return true;
}

/* What to use, best first: the first that suits and that it has fast code for, else the last.
 *
 * Winograd's 3x3 stride-1 convolutions (Lavin and Gray, CVPR 2016) take two thirds of the direct ones' time on
 * ResNet-20's layers, half of it on VGG-16's, and differ from them by 3e-7 to 1.3e-6 (root mean square, relative).
 * Version 3 of the library has none, nor has version 2 without AVX-512: there winograd.c has them. Where tiles do not fit
 * into a cache, version 2 runs them through memory, and its scratchpad is large: that is slower than direct where channels
 * are few, and as fast as ever where they are many.
 *
 * Direct ones of few channels take 5 to 10% less time in blocks of 16 channels than channels-last in version 3, reorders
 * included (the input gradient at stride 2 half the time), and the same in version 2. The weight gradient takes more: it
 * would have both large operands reordered. Those of many channels take up to a third less channels-last, but for
 * forwards of less than 8 pixels in a row, and the weight gradient at stride 2. */
static const struct choice {
    dnnl_alg_kind_t algorithm; /* dnnl_alg_kind_undef: that of winograd.c */
    dnnl_format_tag_t tag;
    size_t scratchpad_limit;
    bool (*suits)(const struct layer *layer, enum direction direction, int rows);
} choices[] = {
    {dnnl_convolution_winograd, dnnl_nChw16c, 12u << 20, in_blocks},
    {dnnl_convolution_winograd, dnnl_nChw16c, SIZE_MAX, in_many_tiles},
    {dnnl_alg_kind_undef, dnnl_format_tag_undef, SIZE_MAX, in_enough_tiles},
    {dnnl_convolution_direct, dnnl_nChw16c, SIZE_MAX, better_in_blocks},
    {dnnl_convolution_direct, dnnl_nhwc, SIZE_MAX, always},
};
enum { CHOICE_COUNT = sizeof(choices) / sizeof(choices[0]) };

static bool fits(dnnl_primitive_desc_t descriptor, const struct choice *choice)
{
    return dnnl_memory_desc_get_size(primitive_layout(descriptor, DNNL_ARG_SCRATCHPAD)) <= choice->scratchpad_limit;
}

static dnnl_status_t choose(dnnl_primitive_desc_t *out, dnnl_format_tag_t *tag, const struct layer *layer,
                            enum direction direction, int rows, dnnl_engine_t engine)
{
    dnnl_status_t status = dnnl_unimplemented;

    for (size_t i = 0; i < CHOICE_COUNT; i++) {
        const struct choice *choice = &choices[i];
        const struct convolution_shape shape = library_shape(layer, rows, choice->tag);

        if (!choice->suits(layer, direction, rows))
            continue;
        if (choice->algorithm == dnnl_alg_kind_undef) {
            *out = NULL;
            return dnnl_success;
        }
        status = convolution_descriptor(out, direction, choice->algorithm, &shape, engine);
        if (status != dnnl_success)
            continue;
        if (i == CHOICE_COUNT - 1 || (fits(*out, choice) && descriptor_is_fast(*out))) {
            *tag = choice->tag;
            break;
        }
        dnnl_primitive_desc_destroy(*out);
    }
    return status;
}

/* Room in the workspace for a tensor of this layout; returns where it starts. */
static size_t reserve(struct convolution *convolution, layout_view layout)
{
    const size_t offset = convolution->workspace_bytes;

    convolution->workspace_bytes += (dnnl_memory_desc_get_size(layout) + 63) / 64 * 64;
    return offset;
}

static dnnl_status_t create_reorder(dnnl_primitive_t *out, layout_view from, layout_view to, bool add,
                                    dnnl_engine_t engine)
{
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = reorder_descriptor(&descriptor, from, to, add, engine);

    if (status != dnnl_success)
        return status;
    status = dnnl_primitive_create(out, descriptor);
    dnnl_primitive_desc_destroy(descriptor);
    return status;
}

static dnnl_status_t create_operand(struct convolution *convolution, int index, const struct tensor *tensor,
                                    dnnl_primitive_desc_t descriptor, int argument, dnnl_engine_t engine)
{
    struct operand *operand = &convolution->operands[index];
    const layout_view library = primitive_layout(descriptor, argument);
    layout_view caller;
    dnnl_status_t status;

    operand->argument = argument;
    if ((status = tensor_memory(&operand->caller, tensor, engine)) != dnnl_success ||
        (status = dnnl_memory_create(&operand->library, library, engine, DNNL_MEMORY_NONE)) != dnnl_success ||
        (status = dnnl_memory_get_memory_desc(operand->caller, &caller)) != dnnl_success)
        return status;

    const bool same = dnnl_memory_desc_equal(caller, library);
    const bool added_to = argument == DNNL_ARG_DIFF_SRC || argument == DNNL_ARG_DIFF_WEIGHTS;
    const layout_view from = index == OUTPUT ? library : caller, to = index == OUTPUT ? caller : library;

    if (!same || added_to)
        operand->offset = reserve(convolution, library);
    if (!same && (status = create_reorder(&operand->reorder, from, to, false, engine)) != dnnl_success)
        return status;
    return added_to ? create_reorder(&convolution->add, from, to, true, engine) : dnnl_success;
}

static dnnl_status_t create_from(struct convolution *convolution, dnnl_primitive_desc_t descriptor,
                                 const struct layer *layer, enum direction direction, int rows, dnnl_format_tag_t tag,
                                 dnnl_engine_t engine)
{
    const layout_view scratchpad = primitive_layout(descriptor, DNNL_ARG_SCRATCHPAD);
    dnnl_status_t status = dnnl_primitive_create(&convolution->primitive, descriptor);

    for (int i = 0; i < OPERAND_COUNT && status == dnnl_success; i++) {
        const int argument = arguments[direction][i];
        const struct tensor tensor = caller_tensor(layer, rows, argument, tag);

        status = create_operand(convolution, i, &tensor, descriptor, argument, engine);
    }
    if (status != dnnl_success)
        return status;
    convolution->scratchpad_offset = reserve(convolution, scratchpad);
    return dnnl_memory_create(&convolution->scratchpad, scratchpad, engine, DNNL_MEMORY_NONE);
}

int convolution_create(struct convolution **out, const struct layer *layer, enum direction direction, int rows,
                       dnnl_engine_t engine, struct error *error)
{
    struct convolution *convolution = calloc(1, sizeof(*convolution));
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_format_tag_t tag;
    dnnl_status_t status;

    if (!convolution)
        return error_set(error, "%s: out of memory", layer->name);
    status = choose(&descriptor, &tag, layer, direction, rows, engine);
    if (status == dnnl_success && !descriptor) {
        convolution->layer = *layer;
        convolution->direction = direction;
        convolution->rows = rows;
        convolution->workspace_bytes = winograd_workspace_bytes(layer, direction, rows);
    } else if (status == dnnl_success) {
        status = create_from(convolution, descriptor, layer, direction, rows, tag, engine);
        dnnl_primitive_desc_destroy(descriptor);
    }
    if (status != dnnl_success) {
        convolution_destroy(convolution);
        return error_set(error, "%s: oneDNN cannot prepare this convolution for %d rows: %s", layer->name, rows,
                         dnnl_status2str(status));
    }
    *out = convolution;
    return 0;
}

void convolution_destroy(struct convolution *convolution)
{
    for (int i = 0; i < OPERAND_COUNT; i++) {
        dnnl_memory_destroy(convolution->operands[i].caller);
        dnnl_memory_destroy(convolution->operands[i].library);
        dnnl_primitive_destroy(convolution->operands[i].reorder);
    }
    dnnl_memory_destroy(convolution->scratchpad);
    dnnl_primitive_destroy(convolution->add);
    dnnl_primitive_destroy(convolution->primitive);
    free(convolution);
}

size_t convolution_workspace_bytes(const struct convolution *convolution)
{
    return convolution->workspace_bytes;
}

/* Runs `primitive`, if there is one, from one memory object to the other. */
static dnnl_status_t run_reorder(dnnl_primitive_t primitive, dnnl_memory_t from, dnnl_memory_t to, dnnl_stream_t stream)
{
    const dnnl_exec_arg_t execution[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};

    return primitive ? dnnl_primitive_execute(primitive, stream, 2, execution) : dnnl_success;
}

/* Tells the memory objects of an operand where they are. The library takes no const pointers, not even for inputs. */
static dnnl_status_t place(const struct operand *operand, const float *pointer, bool apart, char *workspace)
{
    void *caller = (void *)(uintptr_t)pointer;
    void *library = apart ? workspace + operand->offset : caller;
    const dnnl_status_t status = dnnl_memory_set_data_handle(operand->caller, caller);

    return status == dnnl_success ? dnnl_memory_set_data_handle(operand->library, library) : status;
}

static dnnl_status_t run(const struct convolution *convolution, const float *const pointers[OPERAND_COUNT], bool add,
                         char *workspace, dnnl_stream_t stream)
{
    const struct operand *operands = convolution->operands, *output = &operands[OUTPUT];
    const dnnl_primitive_t out = add ? convolution->add : output->reorder;
    dnnl_exec_arg_t execution[OPERAND_COUNT + 1] = {{DNNL_ARG_SCRATCHPAD, convolution->scratchpad}};
    dnnl_status_t status =
        dnnl_memory_set_data_handle(convolution->scratchpad, workspace + convolution->scratchpad_offset);

    for (int i = 0; i < OPERAND_COUNT && status == dnnl_success; i++) {
        execution[1 + i] = (dnnl_exec_arg_t){operands[i].argument, operands[i].library};
        status = place(&operands[i], pointers[i], operands[i].reorder || (i == OUTPUT && add), workspace);
        if (i != OUTPUT && status == dnnl_success)
            status = run_reorder(operands[i].reorder, operands[i].caller, operands[i].library, stream);
    }
    if (status == dnnl_success)
        status = dnnl_primitive_execute(convolution->primitive, stream, OPERAND_COUNT + 1, execution);
    return status == dnnl_success ? run_reorder(out, output->library, output->caller, stream) : status;
}

int convolution_run(const struct convolution *convolution, const float *first, const float *second, float *output,
                    bool add, void *workspace, dnnl_stream_t stream, struct error *error)
{
    const float *const pointers[OPERAND_COUNT] = {[FIRST] = first, [SECOND] = second, [OUTPUT] = output};
    dnnl_status_t status;

    if (!convolution->primitive) {
        winograd_run(&convolution->layer, convolution->direction, convolution->rows, first, second, output, add,
                     workspace);
        return 0;
    }
    status = run(convolution, pointers, add, workspace, stream);

    if (status != dnnl_success)
        return error_set(error, "oneDNN failed to run a convolution: %s", dnnl_status2str(status));
    return 0;
}
