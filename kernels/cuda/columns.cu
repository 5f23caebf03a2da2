/* Images as columns: convolution as a matrix product (Chellapilla, Puri and Simard, IWFHR 2006), and back. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

/* What the kernels need of a layer: images [H][W][C], outputs [P][Q], filters R x R. */
struct window {
    int height, width, channels;
    int out_height, out_width;
    int kernel, stride, padding;
};

static struct window window_of(const struct layer *layer)
{
    return {layer->in.height, layer->in.width, layer->in.channels, layer->out.height,
            layer->out.width, layer->kernel,   layer->stride,      layer->padding};
}

/* A block has elements of the columns of one row of outputs: blockIdx.y of sample blockIdx.z. */
static __global__ void gather_columns(struct window w, const float *images, float *columns)
{
    const int i = (int)element_of_thread(), column = w.kernel * w.kernel * w.channels;

    if (i >= w.out_width * column)
        return;

    const int tap = i % column / w.channels, channel = i % w.channels;
    const int y = (int)blockIdx.y * w.stride + tap / w.kernel - w.padding;
    const int x = i / column * w.stride + tap % w.kernel - w.padding;
    const bool inside = y >= 0 && y < w.height && x >= 0 && x < w.width;
    const size_t pixel = ((size_t)blockIdx.z * w.height + y) * w.width + x;
    const size_t row = (size_t)blockIdx.z * w.out_height + blockIdx.y;

    columns[row * w.out_width * column + i] = inside ? images[pixel * w.channels + channel] : 0.0f;
}

/* A block has elements of row blockIdx.y of image blockIdx.z, each met by tap (r, s) of output ((y + padding - r) / stride,
 * (x + padding - s) / stride) where these are whole. */
static __global__ void gather_image(struct window w, const float *columns, bool add, float *images)
{
    const int i = (int)element_of_thread(), y = (int)blockIdx.y, x = i / w.channels, channel = i % w.channels;
    const size_t at = ((size_t)blockIdx.z * w.height + y) * w.width * w.channels + i;
    float sum = 0.0f;

    if (x >= w.width)
        return;
    for (int r = 0; r < w.kernel; r++) {
        const int down = y + w.padding - r, p = down / w.stride;

        if (down < 0 || down % w.stride != 0 || p >= w.out_height)
            continue;
        for (int s = 0; s < w.kernel; s++) {
            const int right = x + w.padding - s, q = right / w.stride;
            const size_t output = ((size_t)blockIdx.z * w.out_height + p) * w.out_width + q;

            if (right >= 0 && right % w.stride == 0 && q < w.out_width)
                sum += columns[((output * w.kernel + r) * w.kernel + s) * w.channels + channel];
        }
    }
    images[at] = (add ? images[at] : 0.0f) + sum;
}

cudaError_t launch_image_to_columns(const struct layer *layer, int samples, const float *images, float *columns,
                                    cudaStream_t stream)
{
    const struct window w = window_of(layer);
    const size_t row = (size_t)w.out_width * w.kernel * w.kernel * w.channels;

    return launch(gather_columns, dim3(blocks_for(row), (unsigned)w.out_height, (unsigned)samples), THREADS, stream, w,
                  images, columns);
}

cudaError_t launch_columns_to_image(const struct layer *layer, int samples, const float *columns, bool add,
                                    float *images, cudaStream_t stream)
{
    const struct window w = window_of(layer);
    const size_t row = (size_t)w.width * w.channels;

    return launch(gather_image, dim3(blocks_for(row), (unsigned)w.height, (unsigned)samples), THREADS, stream, w,
                  columns, add, images);
}
