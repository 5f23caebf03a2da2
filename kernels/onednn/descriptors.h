/* The one place that knows which oneDNN this is: version 2 (Debian 12) describes an operation in a struct, version 3
 * (Debian 13) in a call's arguments, and each has its own memory descriptors. The rest of the backend is the same. */
#ifndef TP_KERNELS_ONEDNN_DESCRIPTORS_H
#define TP_KERNELS_ONEDNN_DESCRIPTORS_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>

/* How the library lays out a tensor; belongs to the memory or primitive descriptor that it was asked of. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t layout_view;
#else
typedef const dnnl_memory_desc_t *layout_view;
#endif

/* A tensor of floats. Sizes are in the library's order: rows, channels, height, width; for filters out channels,
 * in channels, height, width. The tag says in what order they lie; dnnl_format_tag_any leaves it to the library. */
struct tensor {
    dnnl_dims_t sizes;
    dnnl_format_tag_t tag;
};

enum direction { DIRECTION_FORWARD, DIRECTION_BACKWARD_INPUT, DIRECTION_BACKWARD_WEIGHTS, DIRECTION_COUNT };

struct convolution_shape {
    struct tensor source, weights, destination;
    int stride, padding;
};

/* dnnl_unimplemented if the library has no such algorithm for these shapes and tags. The primitive's scratchpad is the
 * caller's to give. */
dnnl_status_t convolution_descriptor(dnnl_primitive_desc_t *out, enum direction direction, dnnl_alg_kind_t algorithm,
                                     const struct convolution_shape *shape, dnnl_engine_t engine);

/* What the library has no fast code for on this processor it still does, in plain loops, a hundred times slower: without
 * AVX-512, blocks of 16 channels. */
bool descriptor_is_fast(dnnl_primitive_desc_t descriptor);

/* Copies from one layout to another, or adds to what is there. */
dnnl_status_t reorder_descriptor(dnnl_primitive_desc_t *out, layout_view from, layout_view to, bool add,
                                 dnnl_engine_t engine);

/* A memory object without an address. */
dnnl_status_t tensor_memory(dnnl_memory_t *out, const struct tensor *tensor, dnnl_engine_t engine);

#endif
