#include "tests/support/method.h"

#include <math.h>

static int tau_of(const struct method *method, int s, int forward, int live)
{
    return method->measured ? live - forward : method->nominal[s];
}

/* ---- The optimizer's numbers for the update that follows version k ---- */

struct numbers {
    double rate, beta1;
};

static struct numbers numbers_of(const struct method *method, const struct method_version *versions, int s, int k,
                                 int tau)
{
    struct numbers numbers = {versions[k].rate, method->beta1};

    /* PipeMare, technique 1: rate / tau^(1 - min(t / K, 1)) for update t; never a larger rate. */
    if (method->update == UPDATE_PIPEMARE && tau > 0)
        numbers.rate /= pow(tau, 1 - fmin(1, (double)(k + 1) / method->anneal));
    if (method->update == UPDATE_NESTEROV_ASYNC)
        numbers.beta1 = method->long_momentum;
    if (method->update == UPDATE_NESTEROV_BY_STAGE)
        numbers.beta1 += method->nominal[s] * (method->long_momentum - method->beta1) / method->stages;
    return numbers;
}

/* NAdam: mu_t = beta1 (1 - 0.96^(t psi) / 2), and the product of the first t. */
static double nadam_momentum(const struct method *method, double beta1, int t)
{
    return beta1 * (1 - pow(0.96, t * method->momentum_decay) / 2);
}

static double nadam_product(const struct method *method, double beta1, int t)
{
    return t == 0 ? 1 : nadam_product(method, beta1, t - 1) * nadam_momentum(method, beta1, t);
}

/* ---- What passes read ---- */

/* Moves what is read by so much of a vector. */
static void go(double *read, const struct slice *slice, double factor, const double *way)
{
    for (size_t p = slice->parameter_offset; p < slice->parameter_offset + slice->parameters; p++)
        read[p] += factor * way[p];
}

/* Likewise of m / (sqrt(squares / (1 - beta2^t)) + epsilon). */
static void go_by_moments(const struct method *method, const struct method_version *version, double *read,
                          const struct slice *slice, double factor, int t)
{
    const double correction = 1 - pow(method->beta2, t);

    for (size_t p = slice->parameter_offset; p < slice->parameter_offset + slice->parameters; p++)
        read[p] += factor * version->momentum[p] / (sqrt(version->squares[p] / correction) + method->epsilon);
}

/* How much of the average m that version k has is in the step of update t = k + j, if no gradient comes. */
static double share_of_momentum(const struct method *method, double beta1, int t, int j)
{
    const double aged = pow(beta1, j);

    if (method->optimizer == METHOD_ADAMW)
        return aged / (1 - pow(beta1, t));
    return aged * nadam_momentum(method, beta1, t + 1) / (1 - nadam_product(method, beta1, t + 1));
}

/* SpecTrain, PipeOptim: the newest step, `times` times. SGD's, if its newest gradient comes once more; Adam's, as it was. */
static void repeat_newest_step(const struct method *method, const struct method_version *version,
                               const struct numbers *numbers, const struct slice *slice, int k, int times, double *read)
{
    const double way = -numbers->rate * times, momentum = method->momentum;

    if (method->optimizer != METHOD_SGD) {
        go_by_moments(method, version, read, slice, way * share_of_momentum(method, numbers->beta1, k, 0), k);
        return;
    }
    /* m' = momentum m + g; by it, or with Nesterov's form by g + momentum m'. */
    go(read, slice, way * (method->nesterov ? momentum * momentum : momentum), version->momentum);
    go(read, slice, way * (method->nesterov ? 1 + momentum : 1), version->gradient);
}

/* MSNAG: tau updates by momentum alone; weight decay left out, squares held. */
static void coast(const struct method *method, const struct method_version *version, const struct numbers *numbers,
                  const struct slice *slice, int k, int tau, double *read)
{
    for (int j = 1; j <= tau; j++)
        if (method->optimizer == METHOD_SGD)
            go(read, slice, -numbers->rate * pow(method->momentum, method->nesterov ? j + 1 : j), version->momentum);
        else
            go_by_moments(method, version, read, slice,
                          -numbers->rate * share_of_momentum(method, numbers->beta1, k + j, j), k + j);
}

/* Linear prediction: tau times what the newest update took off by way of the momentum. */
static void go_on(const struct method *method, const struct method_version *version, const struct numbers *numbers,
                  const struct slice *slice, int k, int tau, double *read)
{
    const double way = -numbers->rate * tau;

    if (method->optimizer == METHOD_SGD)
        go(read, slice, method->nesterov ? way * method->momentum : way, version->momentum);
    else
        go_by_moments(method, version, read, slice, way * share_of_momentum(method, numbers->beta1, k, 0), k);
}

static void copy_version(const struct method_version *version, const struct slice *slice, double *read)
{
    for (size_t p = slice->parameter_offset; p < slice->parameter_offset + slice->parameters; p++)
        read[p] = version->weights[p];
}

static bool differs(const struct method_version *version, const struct slice *slice, const double *read)
{
    for (size_t p = slice->parameter_offset; p < slice->parameter_offset + slice->parameters; p++)
        if (read[p] != version->weights[p])
            return true;
    return false;
}

bool method_forward(const struct method *method, const struct method_version *versions, const struct slice *slice,
                    int s, int forward, int live, double *read, int *changed)
{
    const int tau = tau_of(method, s, forward, live);
    const struct numbers numbers = numbers_of(method, versions, s, forward, tau);
    const struct method_version *version = &versions[forward];

    if (method->forward != FORWARD_SPECTRAIN && method->forward != FORWARD_PIPEOPTIM &&
        method->forward != FORWARD_MSNAG && method->forward != FORWARD_LINEAR)
        return false;
    copy_version(version, slice, read);
    /* Before the first update there is neither momentum nor a gradient. */
    if (forward > 0 && method->forward == FORWARD_SPECTRAIN)
        repeat_newest_step(method, version, &numbers, slice, forward, s / 2 + tau, read);
    if (forward > 0 && method->forward == FORWARD_PIPEOPTIM)
        repeat_newest_step(method, version, &numbers, slice, forward, tau + method->further, read);
    if (forward > 0 && method->forward == FORWARD_MSNAG)
        coast(method, version, &numbers, slice, forward, tau, read);
    if (forward > 0 && method->forward == FORWARD_LINEAR)
        go_on(method, version, &numbers, slice, forward, tau, read);
    *changed += differs(version, slice, read);
    return true;
}

static double significance(const struct method *method, int age)
{
    if (age == 0)
        return 1;
    switch (method->significance) {
    case SIGNIFICANCE_EXPONENTIAL:
        return exp(-method->decay * age);
    case SIGNIFICANCE_HYPERBOLIC:
        return 1 / (1 + method->decay * age);
    case SIGNIFICANCE_CONSTANT:
        break;
    }
    return method->decay;
}

bool method_backward(const struct method *method, const struct method_version *versions, const struct slice *slice,
                     int s, int forward, int live, double *read, int *changed)
{
    const int tau = tau_of(method, s, forward, live);
    const struct numbers numbers = numbers_of(method, versions, s, live, tau);
    const struct method_version *version = &versions[live];
    const double stale = significance(method, live - forward);

    if (method->backward != BACKWARD_SPECTRAIN && method->backward != BACKWARD_PIPEMARE &&
        method->backward != BACKWARD_INTERMEDIATE)
        return false;
    copy_version(version, slice, read);
    if (live > 0 && method->backward == BACKWARD_SPECTRAIN)
        repeat_newest_step(method, version, &numbers, slice, live, s / 2, read);
    if (method->backward == BACKWARD_PIPEMARE)
        go(read, slice, -tau, version->differences);
    if (method->backward == BACKWARD_INTERMEDIATE) {
        go(read, slice, stale, versions[forward].weights);
        go(read, slice, -stale, version->weights);
    }
    *changed += differs(version, slice, read);
    return true;
}

/* ---- Updates ---- */

static double clip_scale(const struct method *method, const struct slice *slice, const double *gradient)
{
    const size_t first = method->together > 0 ? 0 : slice->parameter_offset;
    const size_t end = method->together > 0 ? method->together : slice->parameter_offset + slice->parameters;
    double squares = 0;

    for (size_t p = first; p < end; p++)
        squares += gradient[p] * gradient[p];
    return method->clip_norm > 0 && sqrt(squares) > method->clip_norm ? method->clip_norm / sqrt(squares) : 1;
}

/* DC-ASGD: g + lambda g g (w - w_f). Gap-aware: (g + decay) / P, P = 1 + |w - w_f| / C, of which the optimizer will add the
 * decay; C = peak rate (sqrt(A / (1 - 0.999^t)) + 1e-8), and A the average of the momentum's squares before update t. */
static double correct(const struct method *method, const struct method_version *from, const struct method_version *to,
                      size_t p, int t, double g, double decay, double stale)
{
    const double w = from->weights[p], gap = fabs(w - stale);
    double usual;

    if (method->update == UPDATE_DC_ASGD)
        return g + method->strength * g * g * (w - stale);
    if (method->update != UPDATE_GAP_AWARE)
        return g;
    to->squared_momentum[p] = 0.999 * from->squared_momentum[p] + 0.001 * from->momentum[p] * from->momentum[p];
    usual = method->peak_rate * (sqrt(to->squared_momentum[p] / (1 - pow(0.999, t))) + 1e-8);
    return gap > 0 ? (g + decay * w) / (1 + gap / usual) - decay * w : g;
}

/* SGD as PyTorch's. Spike compensation: by a m + b d with a = momentum^tau, b = 1 + momentum + ... + momentum^(tau - 1). */
static double sgd(const struct method *method, const struct numbers *numbers, int tau, double w, double g, double decay,
                  double old_m, double *m)
{
    const double d = g + decay * w;
    double a = method->nesterov ? method->momentum : 1, b = method->nesterov ? 1 : 0;

    *m = method->momentum * old_m + d;
    if (method->update == UPDATE_SPIKE_COMPENSATION) {
        a = pow(method->momentum, tau);
        b = (1 - a) / (1 - method->momentum);
    }
    return w - numbers->rate * (a * *m + b * d);
}

struct adam {
    double correction1, correction2, across; /* of m, of squares; what g itself counts */
};

static struct adam adam_of(const struct method *method, double beta1, int t)
{
    const double mu = nadam_momentum(method, beta1, t), next = nadam_momentum(method, beta1, t + 1);
    const double product = nadam_product(method, beta1, t);
    struct adam adam = {1 / (1 - pow(beta1, t)), 1 - pow(method->beta2, t), 0};

    if (method->optimizer == METHOD_NADAMW) {
        adam.correction1 = next / (1 - product * next);
        adam.across = (1 - mu) / (1 - product);
    }
    return adam;
}

static double adamw(const struct method *method, const struct numbers *numbers, const struct adam *adam, double w,
                    double g, double decay, double m, double squares)
{
    const double step = adam->correction1 * m + adam->across * g;

    return w - numbers->rate * decay * w - numbers->rate * step / (sqrt(squares / adam->correction2) + method->epsilon);
}

static bool update_changes(const struct method *method, const struct numbers *numbers, double rate, int tau)
{
    return numbers->rate != rate || numbers->beta1 != method->beta1 ||
           (method->update == UPDATE_SPIKE_COMPENSATION && tau > 0);
}

void method_update(const struct method *method, const struct method_version *versions, const struct slice *slice, int s,
                   int forward, int live, const double *gradient, const bool *one_dimensional, int *changed)
{
    const struct method_version *from = &versions[live], *to = &versions[live + 1];
    const int tau = tau_of(method, s, forward, live), t = live + 1;
    const struct numbers numbers = numbers_of(method, versions, s, live, tau);
    const double scale = clip_scale(method, slice, gradient);
    const struct adam adam = adam_of(method, numbers.beta1, t);
    const double kept = method->nominal[s] > 0 ? pow(method->discrepancy, 1.0 / method->nominal[s]) : 0;
    const bool keeps_gradient = method->forward == FORWARD_SPECTRAIN || method->forward == FORWARD_PIPEOPTIM ||
                                method->backward == BACKWARD_SPECTRAIN;
    bool changes = update_changes(method, &numbers, from->rate, tau);

    for (size_t p = slice->parameter_offset; p < slice->parameter_offset + slice->parameters; p++) {
        const double w = from->weights[p], clipped = scale * gradient[p];
        const double decay = one_dimensional[p] && !method->decays_norms ? 0 : method->weight_decay;
        const double g = correct(method, from, to, p, t, clipped, decay, versions[forward].weights[p]);

        changes |= g != clipped;
        if (keeps_gradient)
            to->gradient[p] = g;
        if (method->optimizer == METHOD_SGD) {
            to->weights[p] = sgd(method, &numbers, tau, w, g, decay, from->momentum[p], &to->momentum[p]);
        } else {
            to->momentum[p] = numbers.beta1 * from->momentum[p] + (1 - numbers.beta1) * g;
            to->squares[p] = method->beta2 * from->squares[p] + (1 - method->beta2) * g * g;
            to->weights[p] = adamw(method, &numbers, &adam, w, g, decay, to->momentum[p], to->squares[p]);
        }
        if (method->backward == BACKWARD_PIPEMARE)
            to->differences[p] = kept * from->differences[p] + (1 - kept) * (to->weights[p] - w);
    }
    *changed += changes;
}
