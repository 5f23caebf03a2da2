/* An image is cut into tiles of 4 x 4 output pixels, each of which sees 6 x 6 input pixels. Transformed, a tile has 36 points,
 * and at each point the convolution is a product over channels: so all tiles together are 36 products of matrices.
 *
 *   forward           y  = A'[ sum over c (G w G') * (B' x B) ] A
 *   input gradient    the same, of the output gradient and the filters turned by half a turn
 *   weight gradient   dw = G'[ sum over tiles (B' x B) * (A dy A') ] G
 *
 * Tiles are taken in blocks, so that their points stay in a cache between the steps. Each step is shared among the threads
 * that the library's convolutions have as well; no sum is cut, so that their number changes no bit. */
#include "kernels/onednn/winograd.h"

#include <stdint.h>

#include "base/numbers.h"
#include "kernels/onednn/small_product.h"
#include "kernels/onednn/vector.h"

enum { SIDE = 4, HALO = 6, POINTS = HALO * HALO, TAPS = 3, FILTER = TAPS * TAPS };

/* Columns of a product's right factor that lie together, so that a product reads it from end to end. */
enum { PANEL = 32 };

/* Floats that are kept between the steps: of a block's points where the factor of all of them is made once; of the factor, or
 * of as many of its columns; and of a block's points where these are made anew for each block. */
enum { BLOCK_FLOATS = 64 << 10, FACTOR_FLOATS = 640 << 10, LARGE_BLOCK_FLOATS = 2560 << 10 };

/* Tiles of a block at least, so that products are worth their call. */
enum { BLOCK_TILES_MIN = 48 };

/* A point's matrix does not begin where the one before did in the cache. */
enum { SKEW = 16 };

/* Polynomials are evaluated at 0, the square roots of 1/2 and 2 of either sign, and infinity: with half the rounding errors
 * that 0, 1, 2 have. */
#define ROOT 1.41421356f

/* B' */
static inline void transform_input(const vector x[HALO], vector to[HALO])
{
    const vector a = x[4] - 2.0f * x[2], b = (0.5f * ROOT) * (x[3] - 2.0f * x[1]);
    const vector c = x[4] - 0.5f * x[2], d = ROOT * (x[3] - 0.5f * x[1]);

    to[0] = x[0] - 2.5f * x[2] + x[4];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + d;
    to[4] = c - d;
    to[5] = x[1] - 2.5f * x[3] + x[5];
}

/* G */
static inline void transform_filter(const vector w[TAPS], vector to[HALO])
{
    const vector a = w[0] * (-2.0f / 3.0f) - w[2] * (1.0f / 3.0f), b = w[1] * (-ROOT / 3.0f);
    const vector c = w[0] * (1.0f / 6.0f) + w[2] * (1.0f / 3.0f), d = w[1] * (ROOT / 6.0f);

    to[0] = w[0];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + d;
    to[4] = c - d;
    to[5] = w[2];
}

/* G' */
static inline void transform_filter_back(const vector x[HALO], vector to[TAPS])
{
    const vector a = x[1] + x[2], b = x[1] - x[2], c = x[3] + x[4], d = x[3] - x[4];

    to[0] = x[0] - (2.0f / 3.0f) * a + (1.0f / 6.0f) * c;
    to[1] = (ROOT / 6.0f) * d - (ROOT / 3.0f) * b;
    to[2] = (1.0f / 3.0f) * (c - a) + x[5];
}

/* A */
static inline void transform_gradient(const vector y[SIDE], vector to[HALO])
{
    const vector a = y[0] + 0.5f * y[2], b = (0.5f * ROOT) * (y[1] + 0.5f * y[3]);
    const vector c = y[0] + 2.0f * y[2], d = ROOT * (y[1] + 2.0f * y[3]);

    to[0] = y[0];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + d;
    to[4] = c - d;
    to[5] = y[3];
}

/* A' */
static inline void transform_output(const vector x[HALO], vector to[SIDE])
{
    const vector a = x[1] + x[2], b = x[1] - x[2], c = x[3] + x[4], d = x[3] - x[4];

    to[0] = x[0] + a + c;
    to[1] = (0.5f * ROOT) * (b + 2.0f * d);
    to[2] = 0.5f * a + 2.0f * c;
    to[3] = (0.25f * ROOT) * (b + 8.0f * d) + x[5];
}

/* A transform in both directions: to [to_side][to_side] of from [side][side]. */
static inline __attribute__((always_inline)) void both_ways(void (*transform)(const vector *from, vector *to),
                                                            const int side, const int to_side, const vector *from,
                                                            vector *to)
{
    vector rows[HALO * HALO], column[HALO], result[HALO];

    for (int i = 0; i < side; i++)
        transform(from + i * side, rows + i * to_side);
    for (int j = 0; j < to_side; j++) {
        for (int i = 0; i < side; i++)
            column[i] = rows[i * to_side + j];
        transform(column, result);
        for (int i = 0; i < to_side; i++)
            to[i * to_side + j] = result[i];
    }
}

/* A matrix [rows][columns] for each point. Its columns lie in panels, one behind the other. */
struct points {
    float *at;
    size_t rows, columns, panel;
};

static size_t stride_of(size_t rows, size_t columns)
{
    return rows * columns + SKEW;
}

static size_t points_floats(size_t rows, size_t columns)
{
    return POINTS * stride_of(rows, columns);
}

/* Takes them from the workspace. */
static struct points take_points(float **workspace, size_t rows, size_t columns, size_t panel)
{
    const struct points points = {*workspace, rows, columns, panel};

    *workspace += points_floats(rows, columns);
    return points;
}

static size_t panel_width(const struct points *points, size_t first)
{
    return min_size(points->panel, points->columns - first);
}

/* The vector from (row, column) on, at the first point. */
static float *place(const struct points *points, size_t row, size_t column)
{
    const size_t first = column / points->panel * points->panel;

    return points->at + first * points->rows + row * panel_width(points, first) + column - first;
}

static inline void scatter(const struct points *points, size_t row, size_t column, const vector values[POINTS])
{
    float *to = place(points, row, column);
    const size_t stride = stride_of(points->rows, points->columns);

    for (size_t p = 0; p < POINTS; p++)
        store(values[p], to + p * stride);
}

static inline void gather(const struct points *points, size_t row, size_t column, vector values[POINTS])
{
    const float *from = place(points, row, column);
    const size_t stride = stride_of(points->rows, points->columns);

    for (size_t p = 0; p < POINTS; p++)
        values[p] = load(from + p * stride);
}

/* At each point: c [m][n] = a b, or that much more, for the first m, n and k of each. `a` and `c` have one panel; `a` is
 * [k][m] if it is transposed. */
static void multiply(const struct points *a, bool transposed, const struct points *b, const struct points *c, size_t m,
                     size_t k, bool add)
{
#pragma omp parallel for
    for (size_t p = 0; p < POINTS; p++)
        for (size_t first = 0; first < b->columns; first += b->panel) {
            const size_t width = panel_width(b, first);

            small_product(&(struct small_product){
                .m = m,
                .n = width,
                .k = k,
                .a = a->at + p * stride_of(a->rows, a->columns),
                .a_row = transposed ? 1 : a->columns,
                .a_column = transposed ? a->columns : 1,
                .b = b->at + p * stride_of(b->rows, b->columns) + first * b->rows,
                .b_row = width,
                .c = c->at + p * stride_of(c->rows, c->columns) + first,
                .c_row = c->columns,
                .add = add,
            });
        }
}

/* Images [rows][height][width][channels], and how many tiles one is cut into. */
struct images {
    int height, width, down, across;
    size_t channels;
};

static struct images images_of(struct shape shape)
{
    return (struct images){shape.height, shape.width, (shape.height + SIDE - 1) / SIDE, (shape.width + SIDE - 1) / SIDE,
                           (size_t)shape.channels};
}

static size_t tile_count(const struct images *images, int rows)
{
    return (size_t)rows * (size_t)(images->down * images->across);
}

/* A square of pixels, a part of which lies in the image. */
struct window {
    ptrdiff_t corner; /* floats from the first image to its first pixel, which need not be there */
    int top, bottom, left, right;
};

/* The tile's pixels, with so many more around them. */
static struct window window_of(const struct images *images, size_t tile, int side, int margin)
{
    const size_t per_image = (size_t)(images->down * images->across);
    const int within = (int)(tile % per_image);
    const int y = within / images->across * SIDE - margin, x = within % images->across * SIDE - margin;
    const ptrdiff_t row = (ptrdiff_t)(tile / per_image) * images->height + y;

    return (struct window){
        .corner = (row * images->width + x) * (ptrdiff_t)images->channels,
        .top = max_int(0, -y),
        .bottom = min_int(side, images->height - y),
        .left = max_int(0, -x),
        .right = min_int(side, images->width - x),
    };
}

static ptrdiff_t pixel_at(const struct images *images, const struct window *window, int i, int j)
{
    return window->corner + ((ptrdiff_t)i * images->width + j) * (ptrdiff_t)images->channels;
}

/* The window's pixels, 0 beyond the image. */
static inline __attribute__((always_inline)) void read_window(const struct images *images, const struct window *window,
                                                              const int side, const float *from, vector *pixels)
{
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            const bool inside = i >= window->top && i < window->bottom && j >= window->left && j < window->right;

            pixels[i * side + j] = inside ? load(from + pixel_at(images, window, i, j)) : (vector){0.0f};
        }
}

static void write_window(const struct images *images, const struct window *window, const vector *pixels, bool add,
                         float *to)
{
    for (int i = window->top; i < window->bottom; i++)
        for (int j = window->left; j < window->right; j++) {
            float *at = to + pixel_at(images, window, i, j);

            store(add ? load(at) + pixels[i * SIDE + j] : pixels[i * SIDE + j], at);
        }
}

/* A block's tiles of images, transformed: as many channels as the points have columns. */
static void transform_inputs(const struct images *images, const float *from, size_t first, size_t count,
                             const struct points *points)
{
#pragma omp parallel for
    for (size_t tile = 0; tile < count; tile++) {
        const struct window window = window_of(images, first + tile, HALO, 1);

        for (size_t channel = 0; channel < points->columns; channel += WIDTH) {
            vector pixels[POINTS], values[POINTS];

            read_window(images, &window, HALO, from + channel, pixels);
            both_ways(transform_input, HALO, HALO, pixels, values);
            scatter(points, tile, channel, values);
        }
    }
}

static void transform_gradients(const struct images *images, const float *from, size_t first, size_t count,
                                const struct points *points)
{
#pragma omp parallel for
    for (size_t tile = 0; tile < count; tile++) {
        const struct window window = window_of(images, first + tile, SIDE, 0);

        for (size_t channel = 0; channel < points->columns; channel += WIDTH) {
            vector pixels[SIDE * SIDE], values[POINTS];

            read_window(images, &window, SIDE, from + channel, pixels);
            both_ways(transform_gradient, SIDE, HALO, pixels, values);
            scatter(points, tile, channel, values);
        }
    }
}

static void transform_outputs(const struct points *points, const struct images *images, size_t first, size_t count,
                              bool add, float *to)
{
#pragma omp parallel for
    for (size_t tile = 0; tile < count; tile++) {
        const struct window window = window_of(images, first + tile, SIDE, 0);

        for (size_t channel = 0; channel < points->columns; channel += WIDTH) {
            vector values[POINTS], pixels[SIDE * SIDE];

            gather(points, tile, channel, values);
            both_ways(transform_output, HALO, SIDE, values, pixels);
            write_window(images, &window, pixels, add, to + channel);
        }
    }
}

/* Where the filters of a product's factor lie: the tap of (row, column) is at[tap * tap_stride + row * row_stride + column *
 * column_stride], and one of the two strides is 1. */
struct filters {
    const float *at;
    size_t row_stride, column_stride;
    ptrdiff_t tap_stride;
};

/* to [9][WIDTH][columns] of rows that lie side by side. */
static void transpose_filters(const struct filters *filters, size_t columns, float *to)
{
    for (size_t column = 0; column < columns; column++)
        for (size_t tap = 0; tap < FILTER; tap++) {
            const float *from =
                filters->at + (ptrdiff_t)tap * filters->tap_stride + (ptrdiff_t)(column * filters->column_stride);

            for (size_t i = 0; i < WIDTH; i++)
                to[(tap * WIDTH + i) * columns + column] = from[i];
        }
}

/* WIDTH rows of a panel of the factor, which begins at the filters' column `first`. */
static void transform_panel(const struct filters *filters, size_t row, size_t first, size_t panel,
                            const struct points *points)
{
    float transposed[FILTER * WIDTH * PANEL];
    const size_t width = panel_width(points, panel);
    struct filters block = *filters;

    block.at += row * filters->row_stride + (first + panel) * filters->column_stride;
    if (filters->column_stride != 1) {
        transpose_filters(&block, width, transposed);
        block = (struct filters){transposed, width, 1, (ptrdiff_t)(WIDTH * width)};
    }
    for (size_t i = 0; i < WIDTH; i++)
        for (size_t column = 0; column < width; column += WIDTH) {
            vector taps[FILTER], values[POINTS];

            for (int tap = 0; tap < FILTER; tap++)
                taps[tap] = load(block.at + tap * block.tap_stride + i * block.row_stride + column);
            both_ways(transform_filter, TAPS, HALO, taps, values);
            scatter(points, row + i, panel + column, values);
        }
}

/* The factor of a product: the columns from `first` on. */
static void transform_filters(const struct filters *filters, size_t first, const struct points *points)
{
#pragma omp parallel for collapse(2)
    for (size_t panel = 0; panel < points->columns; panel += PANEL)
        for (size_t row = 0; row < points->rows; row += WIDTH)
            transform_panel(filters, row, first, panel, points);
}

/* The gradients of filters [rows][3][3][channels] from their points: the channels from `first` on. */
static void transform_sums(const struct points *points, size_t first, size_t channels, bool add, float *filters)
{
#pragma omp parallel for
    for (size_t row = 0; row < points->rows; row++)
        for (size_t column = 0; column < points->columns; column += WIDTH) {
            vector values[POINTS], taps[FILTER];

            gather(points, row, column, values);
            both_ways(transform_filter_back, HALO, TAPS, values, taps);
            for (size_t tap = 0; tap < FILTER; tap++) {
                float *to = filters + (row * FILTER + tap) * channels + first + column;

                store(add ? load(to) + taps[tap] : taps[tap], to);
            }
        }
}

/* What is done at once: so many tiles, and so many columns of the matrices [rows][columns] that belong to the filters. */
struct cut {
    size_t tiles, columns;
};

static struct cut cut_of(size_t rows, size_t columns, size_t tiles)
{
    const size_t fit = max_size(FACTOR_FLOATS / (POINTS * rows) / PANEL * PANEL, PANEL);
    const size_t floats = fit >= columns ? BLOCK_FLOATS : LARGE_BLOCK_FLOATS;

    return (struct cut){min_size(max_size(floats / (POINTS * (rows + columns)), BLOCK_TILES_MIN), tiles),
                        min_size(fit, columns)};
}

/* to [rows][height][width][columns of the filters] = from [rows][height][width][their rows] with the filters. */
static void convolve(int rows, struct shape in, struct shape out, const float *from, const struct filters *filters,
                     float *to, bool add, float *workspace)
{
    const struct images inputs = images_of(in), outputs = images_of(out);
    const size_t tiles = tile_count(&outputs, rows);
    const struct cut cut = cut_of(inputs.channels, outputs.channels, tiles);
    const struct points x = take_points(&workspace, cut.tiles, inputs.channels, inputs.channels);

    for (size_t first = 0; first < tiles; first += cut.tiles) {
        const size_t count = min_size(cut.tiles, tiles - first);

        transform_inputs(&inputs, from, first, count, &x);
        for (size_t column = 0; column < outputs.channels; column += cut.columns) {
            const size_t columns = min_size(cut.columns, outputs.channels - column);
            float *rest = workspace;
            const struct points factor = take_points(&rest, inputs.channels, columns, PANEL);
            const struct points y = take_points(&rest, cut.tiles, columns, columns);

            if (first == 0 || cut.columns < outputs.channels)
                transform_filters(filters, column, &factor);
            multiply(&x, false, &factor, &y, count, inputs.channels, false);
            transform_outputs(&y, &outputs, first, count, add, to + column);
        }
    }
}

static void forward(const struct layer *layer, int rows, const float *input, const float *weights, float *output,
                    bool add, float *workspace)
{
    const size_t in = (size_t)layer->in.channels;
    const struct filters filters = {weights, 1, FILTER * in, (ptrdiff_t)in};

    convolve(rows, layer->in, layer->out, input, &filters, output, add, workspace);
}

static void backward_input(const struct layer *layer, int rows, const float *gradient, const float *weights,
                           float *input_gradient, bool add, float *workspace)
{
    const size_t in = (size_t)layer->in.channels;
    const struct filters filters = {weights + (FILTER - 1) * in, FILTER * in, 1, -(ptrdiff_t)in};

    convolve(rows, layer->out, layer->in, gradient, &filters, input_gradient, add, workspace);
}

static void backward_weights(const struct layer *layer, int rows, const float *input, const float *gradient,
                             float *weight_gradient, bool add, float *workspace)
{
    const struct images inputs = images_of(layer->in), outputs = images_of(layer->out);
    const size_t tiles = tile_count(&outputs, rows), in = inputs.channels, out = outputs.channels;
    const struct cut cut = cut_of(out, in, tiles);
    const struct points dy = take_points(&workspace, cut.tiles, out, out);

    for (size_t first = 0; first < tiles; first += cut.tiles) {
        const size_t count = min_size(cut.tiles, tiles - first);
        const bool is_last = first + count == tiles, is_whole = cut.columns == in;

        transform_gradients(&outputs, gradient, first, count, &dy);
        for (size_t column = 0; column < in; column += cut.columns) {
            const size_t columns = min_size(cut.columns, in - column);
            float *rest = workspace;
            const struct points sums = take_points(&rest, out, columns, columns);
            const struct points x = take_points(&rest, cut.tiles, columns, PANEL);

            transform_inputs(&inputs, input + column, first, count, &x);
            multiply(&dy, true, &x, &sums, out, count, is_whole && first > 0);
            if (is_last || !is_whole)
                transform_sums(&sums, column, in, add || (!is_whole && first > 0), weight_gradient);
        }
    }
}

bool winograd_can(const struct layer *layer)
{
    return layer->kernel == TAPS && layer->stride == 1 && layer->padding == 1 && layer->in.channels % 16 == 0 &&
           layer->out.channels % 16 == 0;
}

size_t winograd_workspace_bytes(const struct layer *layer, enum direction direction, int rows)
{
    const struct images images = images_of(layer->out);
    const bool flows_back = direction != DIRECTION_FORWARD;
    const size_t from = (size_t)(flows_back ? layer->out.channels : layer->in.channels);
    const size_t to = (size_t)(flows_back ? layer->in.channels : layer->out.channels);
    const struct cut cut = cut_of(from, to, tile_count(&images, rows));

    return (points_floats(cut.tiles, from) + points_floats(from, cut.columns) + points_floats(cut.tiles, cut.columns)) *
           sizeof(float);
}

void winograd_run(const struct layer *layer, enum direction direction, int rows, const float *first,
                  const float *second, float *output, bool add, float *workspace)
{
    static void (*const runs[DIRECTION_COUNT])(const struct layer *layer, int rows, const float *first,
                                               const float *second, float *output, bool add, float *workspace) = {
        [DIRECTION_FORWARD] = forward,
        [DIRECTION_BACKWARD_INPUT] = backward_input,
        [DIRECTION_BACKWARD_WEIGHTS] = backward_weights,
    };

    runs[direction](layer, rows, first, second, output, add, workspace);
}
