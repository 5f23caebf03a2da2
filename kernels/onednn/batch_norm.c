/* Batch norm, residual and ReLU in as few passes over memory as there can be: forward, one for the statistics and one
 * that normalises, adds and clips; backward, one for the sums (which also masks the gradient and hands it to the
 * residual) and one for the input gradient. Formulas: kernels/reference/batch_norm.c.
 *
 * These are loops of our own because the library has no residual: adding it, and masking its gradient, would be passes
 * more; and because version 2 is slower even without. Microseconds per sample, one core, 22 rows, the library with ReLU
 * fused against here without and with residual:
 *
 *                            forward                         backward
 *                    oneDNN 2.6   3.7   here        oneDNN 2.6   3.7   here
 *   16 x 28 x 28            5.0   3.3   2.5, 3.0           7.2   3.0   4.2, 5.2
 *   32 x 14 x 14            2.2   1.3   1.2, 1.5           3.6   1.5   2.1, 2.6
 *   64 x  7 x  7            1.1   0.7   0.6, 0.7           1.8   0.7   1.1, 1.4 */
#include <math.h>
#include <string.h>

#include "kernels/onednn/layers.h"
#include "kernels/reference/reference.h"

/* Floats side by side in the inner loops: enough that vector instructions, not the loops around them, take the time. */
enum { LANES = 64 };

/* Sums are floats over blocks of this many, which stay in the first-level cache, and doubles over blocks. */
enum { BLOCK_FLOATS = 4096 };

/* Part of a tensor [pixels][C] seen as rows of at most LANES floats. Where C divides LANES a row is several pixels,
 * otherwise a slice of one. Lane l belongs to channel first_channel + l % period. */
struct panel {
    size_t start, rows, stride;
    int width, period, first_channel;
};

static int panel_count(int channels)
{
    return LANES % channels == 0 ? 2 : (channels + LANES - 1) / LANES;
}

static struct panel panel_at(int index, int channels, size_t first_pixel, size_t pixels)
{
    const size_t start = first_pixel * (size_t)channels, floats = pixels * (size_t)channels;
    const size_t full = floats / LANES;
    const int first = index * LANES, width = channels - first < LANES ? channels - first : LANES;

    if (LANES % channels != 0)
        return (struct panel){start + (size_t)first, pixels, (size_t)channels, width, width, first};
    if (index == 0)
        return (struct panel){start, full, LANES, LANES, channels, 0};
    return (struct panel){start + full * LANES, 1, LANES, (int)(floats - full * LANES), channels, 0};
}

/* One value per channel, to the panel's lanes. */
static void spread(const struct panel *panel, const float *values, float *lanes)
{
    for (int lane = 0; lane < panel->width; lane += panel->period)
        memcpy(lanes + lane, values + panel->first_channel, (size_t)panel->period * sizeof(float));
}

/* The panel's lanes, added to one sum per channel. */
static void fold(const struct panel *panel, const float *lanes, double *sums)
{
    for (int lane = 0; lane < panel->width; lane += panel->period)
        for (int c = 0; c < panel->period; c++)
            sums[panel->first_channel + c] += (double)lanes[lane + c];
}

static void add_values(const struct panel *panel, const float *x, double *sums)
{
    float lanes[LANES] = {0.0f};

    x += panel->start;
    for (size_t row = 0; row < panel->rows; row++, x += panel->stride)
        for (int lane = 0; lane < panel->width; lane++)
            lanes[lane] += x[lane];
    fold(panel, lanes, sums);
}

static void add_squared_deviations(const struct panel *panel, const float *x, const float *means, double *sums)
{
    float mean[LANES], lanes[LANES] = {0.0f};

    spread(panel, means, mean);
    x += panel->start;
    for (size_t row = 0; row < panel->rows; row++, x += panel->stride) {
        for (int lane = 0; lane < panel->width; lane++) {
            const float deviation = x[lane] - mean[lane];

            lanes[lane] += deviation * deviation;
        }
    }
    fold(panel, lanes, sums);
}

/* y = relu(scale (x - mean) + shift + residual) */
static void normalise(const struct panel *panel, const struct forward_call *call, bool relu, const float *means,
                      const float *scales, const float *shifts)
{
    const float *restrict x = call->inputs[0] + panel->start;
    const float *restrict residual = call->inputs[1] ? call->inputs[1] + panel->start : NULL;
    float *restrict y = call->output + panel->start;
    float mean[LANES], scale[LANES], shift[LANES];

    spread(panel, means, mean);
    spread(panel, scales, scale);
    spread(panel, shifts, shift);
    for (size_t row = 0; row < panel->rows; row++) {
        const size_t start = row * panel->stride;

        for (int lane = 0; lane < panel->width; lane++) {
            float z = scale[lane] * (x[start + lane] - mean[lane]) + shift[lane];

            if (residual)
                z += residual[start + lane];
            y[start + lane] = relu && z < 0.0f ? 0.0f : z;
        }
    }
}

/* Masks the gradient where a ReLU's output is not positive, hands it to the residual, and adds it and its product with
 * the input's deviation from the mean to the sums. */
static void add_gradients(const struct panel *panel, const struct backward_call *call, bool relu, const float *means,
                          double *sums, double *product_sums)
{
    const float *restrict x = call->inputs[0] + panel->start, *restrict y = call->output + panel->start;
    float *restrict gradient = call->output_gradient + panel->start;
    float *restrict residual = call->input_gradients[1] ? call->input_gradients[1] + panel->start : NULL;
    const bool add = call->add_input_gradients[1];
    float mean[LANES], lanes[LANES] = {0.0f}, products[LANES] = {0.0f};

    spread(panel, means, mean);
    for (size_t row = 0; row < panel->rows; row++) {
        const size_t start = row * panel->stride;

        for (int lane = 0; lane < panel->width; lane++) {
            const float value = relu && !(y[start + lane] > 0.0f) ? 0.0f : gradient[start + lane];

            if (relu)
                gradient[start + lane] = value;
            if (residual)
                residual[start + lane] = add ? residual[start + lane] + value : value;
            lanes[lane] += value;
            products[lane] += value * (x[start + lane] - mean[lane]);
        }
    }
    fold(panel, lanes, sums);
    fold(panel, products, product_sums);
}

/* dx = a dz + b (x - mean) + c */
static void write_input_gradient(const struct panel *panel, const struct backward_call *call, const float *means,
                                 const float *as, const float *bs, const float *cs)
{
    const float *restrict x = call->inputs[0] + panel->start, *restrict gradient = call->output_gradient + panel->start;
    float *restrict result = call->input_gradients[0] + panel->start;
    const bool add = call->add_input_gradients[0];
    float mean[LANES], a[LANES], b[LANES], c[LANES];

    spread(panel, means, mean);
    spread(panel, as, a);
    spread(panel, bs, b);
    spread(panel, cs, c);
    for (size_t row = 0; row < panel->rows; row++) {
        const size_t start = row * panel->stride;

        for (int lane = 0; lane < panel->width; lane++) {
            const float centred = b[lane] * (x[start + lane] - mean[lane]) + c[lane];
            const float value = a[lane] * gradient[start + lane] + centred;

            result[start + lane] = add ? result[start + lane] + value : value;
        }
    }
}

/* The workspace: arrays of a value per channel, three of doubles, then three of floats. */
enum { CHANNEL_ARRAYS = 3 };

static double *channel_doubles(void *workspace, int channels, int index)
{
    return (double *)workspace + index * channels;
}

static float *channel_floats(void *workspace, int channels, int index)
{
    void *floats = channel_doubles(workspace, channels, CHANNEL_ARRAYS);

    return (float *)floats + index * channels;
}

size_t batch_norm_workspace_bytes(const struct layer *layer)
{
    return CHANNEL_ARRAYS * (size_t)layer->in.channels * (sizeof(double) + sizeof(float));
}

static size_t pixels_per_block(int channels)
{
    return channels < BLOCK_FLOATS ? (size_t)(BLOCK_FLOATS / channels) : 1;
}

/* Adds a block's pixels to the mean and the sum of squared deviations of the `before` pixels before them (Chan, Golub,
 * LeVeque, The American Statistician 37, 1983): one pass over memory, and no cancellation. */
static void add_block(const float *input, int channels, size_t before, size_t pixels, double *mean, double *deviations,
                      double *block_sum, float *block_mean)
{
    const double share = (double)pixels / (double)(before + pixels);

    memset(block_sum, 0, (size_t)channels * sizeof(double));
    for (int i = 0; i < panel_count(channels); i++) {
        const struct panel panel = panel_at(i, channels, before, pixels);

        add_values(&panel, input, block_sum);
    }
    for (int c = 0; c < channels; c++) {
        const double distance = block_sum[c] / (double)pixels - mean[c];

        block_mean[c] = (float)(block_sum[c] / (double)pixels);
        mean[c] += share * distance;
        deviations[c] += share * (double)before * distance * distance;
    }
    for (int i = 0; i < panel_count(channels); i++) {
        const struct panel panel = panel_at(i, channels, before, pixels);

        add_squared_deviations(&panel, input, block_mean, deviations);
    }
}

static void statistics(const float *input, int channels, size_t pixels, void *workspace, float *means, float *variances)
{
    double *mean = channel_doubles(workspace, channels, 0), *deviations = channel_doubles(workspace, channels, 1);
    double *block_sum = channel_doubles(workspace, channels, 2);
    float *block_mean = channel_floats(workspace, channels, 0);
    const size_t step = pixels_per_block(channels);

    memset(mean, 0, (size_t)channels * sizeof(double));
    memset(deviations, 0, (size_t)channels * sizeof(double));
    for (size_t pixel = 0; pixel < pixels; pixel += step)
        add_block(input, channels, pixel, pixels - pixel < step ? pixels - pixel : step, mean, deviations, block_sum,
                  block_mean);
    for (int c = 0; c < channels; c++) {
        means[c] = (float)mean[c];
        variances[c] = (float)(deviations[c] / (double)pixels);
    }
}

static size_t pixel_count(const struct layer *layer, int rows)
{
    return (size_t)rows * (size_t)layer->in.height * (size_t)layer->in.width;
}

void batch_norm_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const size_t pixels = pixel_count(layer, call->rows);
    const float *mean = call->training ? call->saved : call->state, *variance = mean + channels;
    float *scale = channel_floats(call->workspace, channels, 0);

    if (pixels == 0)
        return;
    if (call->training) {
        statistics(call->inputs[0], channels, pixels, call->workspace, call->saved, call->saved + channels);
        if (call->state)
            reference_batch_norm_update_state(layer, call->rows, call->saved, call->state);
    }
    for (int c = 0; c < channels; c++)
        scale[c] = call->weights[c] / sqrtf(variance[c] + BATCH_NORM_EPSILON);
    for (int i = 0; i < panel_count(channels); i++) {
        const struct panel panel = panel_at(i, channels, 0, pixels);

        normalise(&panel, call, layer->relu, mean, scale, call->weights + channels);
    }
}

/* The first pass over a group: sums of dz and dz (x - mean). */
static void sum_group(const struct layer *layer, const struct backward_call *call, size_t first_pixel, size_t pixels,
                      const float *mean, double *sum, double *product_sum)
{
    const int channels = layer->in.channels;
    const size_t step = pixels_per_block(channels), end = first_pixel + pixels;

    memset(sum, 0, (size_t)channels * sizeof(double));
    memset(product_sum, 0, (size_t)channels * sizeof(double));
    for (size_t pixel = first_pixel; pixel < end; pixel += step) {
        for (int i = 0; i < panel_count(channels); i++) {
            const struct panel panel = panel_at(i, channels, pixel, end - pixel < step ? end - pixel : step);

            add_gradients(&panel, call, layer->relu, mean, sum, product_sum);
        }
    }
}

static void backward_group(const struct layer *layer, const struct backward_call *call, int group)
{
    const int channels = layer->in.channels;
    const size_t first = pixel_count(layer, call->group_start[group]);
    const size_t pixels = pixel_count(layer, call->group_start[group + 1]) - first;
    const float *mean = call->saved + (size_t)group * 2 * (size_t)channels, *variance = mean + channels;
    double *sum = channel_doubles(call->workspace, channels, 0);
    double *product_sum = channel_doubles(call->workspace, channels, 1);
    float *a = channel_floats(call->workspace, channels, 0), *b = channel_floats(call->workspace, channels, 1);
    float *c = channel_floats(call->workspace, channels, 2);

    sum_group(layer, call, first, pixels, mean, sum, product_sum);
    for (int i = 0; i < channels; i++) {
        const double scale = 1.0 / sqrt((double)(variance[i] + BATCH_NORM_EPSILON));
        const double factor = (double)call->weights[i] * scale;

        call->weight_gradient[i] += (float)(product_sum[i] * scale);
        call->weight_gradient[channels + i] += (float)sum[i];
        a[i] = (float)factor;
        b[i] = (float)(-factor * scale * scale * product_sum[i] / (double)pixels);
        c[i] = (float)(-factor * sum[i] / (double)pixels);
    }
    for (int i = 0; call->input_gradients[0] && i < panel_count(channels); i++) {
        const struct panel panel = panel_at(i, channels, first, pixels);

        write_input_gradient(&panel, call, mean, a, b, c);
    }
}

void batch_norm_backward(const struct layer *layer, const struct backward_call *call)
{
    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, 2 * (size_t)layer->in.channels * sizeof(float));
    for (int group = 0; group < call->groups; group++)
        if (call->group_start[group] < call->group_start[group + 1])
            backward_group(layer, call, group);
}
