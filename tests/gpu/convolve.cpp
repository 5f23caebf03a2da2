#include "tests/gpu/convolve.h"

#include <vector>

namespace gpu
{
namespace
{

/* Visits every pair of a pixel of x and one of y that a tap of the filter connects: their offsets, and the tap's in the
 * first of the k filters. */
template <class Visit> void for_each_tap(const convolution &v, Visit visit)
{
    for (int pixel = 0; pixel < v.n * v.p * v.q; pixel++) {
        int sample = pixel / (v.p * v.q), row = pixel / v.q % v.p, column = pixel % v.q;

        for (int tap = 0; tap < v.r * v.s; tap++) {
            int y = row * v.stride_h - v.pad_h + tap / v.s * v.dilation_h;
            int x = column * v.stride_w - v.pad_w + tap % v.s * v.dilation_w;

            if (y >= 0 && y < v.h && x >= 0 && x < v.w)
                visit(((size_t)(sample * v.h + y) * v.w + x) * v.c, (size_t)tap * v.c, (size_t)pixel * v.k);
        }
    }
}

/* Calls add(x, filter, y) with the offsets of three numbers that belong together, for all of them. */
template <class Add> void for_each_product(const convolution &v, Add add)
{
    const size_t one_filter = (size_t)v.r * v.s * v.c;

    for_each_tap(v, [&](size_t x, size_t filter, size_t y) {
        for (size_t k = 0; k < (size_t)v.k; k++) {
            for (size_t c = 0; c < (size_t)v.c; c++)
                add(x + c, k * one_filter + filter + c, y + k);
        }
    });
}

std::vector<float> sums_of(const convolution_call &call)
{
    const convolution &v = call.shape;
    std::vector<float> sums;
    const float *x = call.x, *filter = call.filter, *y = call.y;

    switch (call.direction) {
    case direction::forward:
        sums.resize(v.y_count());
        for_each_product(v, [&](size_t a, size_t b, size_t c) { sums[c] += x[a] * filter[b]; });
        break;
    case direction::backward_data:
        sums.resize(v.x_count());
        for_each_product(v, [&](size_t a, size_t b, size_t c) { sums[a] += y[c] * filter[b]; });
        break;
    case direction::backward_filter:
        sums.resize(v.filter_count());
        for_each_product(v, [&](size_t a, size_t b, size_t c) { sums[b] += x[a] * y[c]; });
        break;
    }
    return sums;
}

} // namespace

void convolve(const convolution_call &call)
{
    std::vector<float> sums = sums_of(call);

    for (size_t i = 0; i < sums.size(); i++)
        call.result[i] = call.alpha * sums[i] + (call.beta == 0 ? 0 : call.beta * call.result[i]);
}

} // namespace gpu
