/* Convolutions in plain loops of a fixed order: x [n][h][w][c], filter [k][r][s][c], y [n][p][q][k]. */
#ifndef TESTS_GPU_CONVOLVE_H
#define TESTS_GPU_CONVOLVE_H

#include <cstddef>

namespace gpu
{

struct convolution {
    int n, h, w, c;
    int k, r, s;
    int p, q;
    int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w;

    size_t x_count() const
    {
        return (size_t)n * h * w * c;
    }

    size_t filter_count() const
    {
        return (size_t)k * r * s * c;
    }

    size_t y_count() const
    {
        return (size_t)n * p * q * k;
    }
};

enum class direction { forward, backward_data, backward_filter };

/* result = alpha * (what the direction computes of the two others) + beta * result, which is not read if beta is 0.
 * forward: y of x and filter; backward_data: dx of dy and filter; backward_filter: dw of x and dy. */
struct convolution_call {
    convolution shape;
    gpu::direction direction;
    float alpha, beta;
    const float *x, *filter, *y; /* the result's is NULL */
    float *result;
};

void convolve(const convolution_call &call);

} // namespace gpu

#endif
