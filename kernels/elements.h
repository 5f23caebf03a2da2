/* What becomes of one element of a weight vector: the one place that says so, for plain C and for CUDA. Each function takes
 * the numbers that hold for a whole vector, and a pointer to the element in each vector that it changes. */
#ifndef TP_KERNELS_ELEMENTS_H
#define TP_KERNELS_ELEMENTS_H

#include <math.h>

#ifdef __CUDACC__
#define TP_ELEMENT static __device__ inline
#else
#define TP_ELEMENT static inline
#endif

/* The forms that an optimizer's step can have; its numbers come from optimizers/. In all of them g is the gradient times
 * `gradient_scale`, and w the weight. */
enum update_kind {
    /* d = g + decay w; w_new = w - rate d */
    UPDATE_GRADIENT,
    /* d = g + decay w; m = keep m + d; w_new = w - rate (along m + across d). Slots: m. */
    UPDATE_MOMENTUM,
    /* m += take (g - m); s = keep_square s + take_square g^2;
     * w_new = (1 - decay) w - (along m + across g) / (sqrt(s) / root + epsilon). Slots: m, s. */
    UPDATE_MOMENTS,
    UPDATE_KINDS
};
enum { UPDATE_SLOTS = 2 };

struct update {
    enum update_kind kind;
    float gradient_scale, decay, rate;
    /* An average keeps k of itself and takes 1 - k of what is new. Both are given, as 1 - 0.999f is off by 1e-5 of itself. */
    float keep, take;
    float keep_square, take_square;
    float along, across;
    float root, epsilon;
};

TP_ELEMENT float update_gradient(const struct update *update, float w, float g)
{
    const float d = update->gradient_scale * g + update->decay * w;

    return w - update->rate * d;
}

TP_ELEMENT float update_momentum(const struct update *update, float w, float g, float *m)
{
    const float d = update->gradient_scale * g + update->decay * w;

    *m = update->keep * *m + d;
    return w - update->rate * (update->along * *m + update->across * d);
}

TP_ELEMENT float update_moments(const struct update *update, float w, float g, float *m, float *s)
{
    const float scaled = update->gradient_scale * g;

    *m = *m + update->take * (scaled - *m);
    *s = update->keep_square * *s + update->take_square * scaled * scaled;
    return (1.0f - update->decay) * w -
           (update->along * *m + update->across * scaled) / (sqrtf(*s) / update->root + update->epsilon);
}

/* How a gradient g may be changed, for the distance from the weights w_forward at which it was taken to the newest, w. Where
 * there is none, g stays what it is. */
enum correction_kind {
    /* g + strength g^2 (w - w_forward) */
    CORRECTION_TAYLOR,
    /* (g + decay w) / (1 + |w - w_forward| / (rate (sqrt(average / weight) + epsilon))) - decay w, so that the decay which
     * the optimizer adds is divided as well. `average` is one of its own, of the squares of the momentum m: before g is
     * changed, average = keep average + take m^2. */
    CORRECTION_GAP,
    CORRECTION_KINDS
};

struct correction {
    enum correction_kind kind;
    float gradient_scale; /* of g, before all else */
    float strength;
    float decay, rate, keep, take, weight, epsilon;
};

TP_ELEMENT float correct_taylor(const struct correction *correction, float g, float w, float w_forward)
{
    const float scaled = correction->gradient_scale * g;

    return w == w_forward ? scaled : scaled + correction->strength * scaled * scaled * (w - w_forward);
}

TP_ELEMENT float correct_gap(const struct correction *correction, float g, float w, float w_forward, float m,
                             float *average)
{
    const float scaled = correction->gradient_scale * g, decay = correction->decay * w;
    float step;

    *average = correction->keep * *average + correction->take * m * m;
    step = correction->rate * (sqrtf(*average / correction->weight) + correction->epsilon);
    return w == w_forward ? scaled : (scaled + decay) / (1.0f + fabsf(w - w_forward) / step) - decay;
}

/* One term of what a pass reads: coefficient (plus - minus) / (sqrt(square) / root + epsilon). `plus`, `minus` and `square`
 * are elements; minus is 0 and the divisor 1 where the term has none. */
enum { COMBINE_TERMS_MAX = 64 };

TP_ELEMENT float combine_divisor(float square, float root, float epsilon)
{
    return sqrtf(square) / root + epsilon;
}

#endif
