/* Kernels and data that only look at stamps, in place of stages/compute.c and batches.c: whoever writes a row of a tensor
 * leaves there who it is and for which micro-batch; whoever reads it checks that when the op begins and when it ends. */
#include <limits.h>
#include <math.h>

#include "tests/executor/explorer.h"

enum stamp_kind { STAMP_ACTIVATION, STAMP_GRADIENT, STAMP_SET, STAMP_KINDS };
enum { WRITING = -1, APART = 100 };

static float stamp(const struct part *part, enum stamp_kind kind, int owner, int minibatch, int j)
{
    int phase = part->phase.epoch * PHASES + (int)part->phase.kind;

    return (float)((((phase * 16 + minibatch) * 8 + j) * 8 + owner) * STAMP_KINDS + (int)kind);
}

/* A micro-batch's rows in the tensors of its slot. */
struct rows {
    const float *input, *output_gradient;
    float *output, *set, *input_gradient;
    int minibatch, j;
};

static struct rows rows_at(const struct slot_tensors *tensors, int minibatch, int j)
{
    int at = j - tensors->first_microbatch;

    return (struct rows){
        .input = tensors->input + at,
        .output = tensors->output ? tensors->output + at : NULL,
        .set = tensors->set + at,
        .output_gradient = tensors->output_gradient ? tensors->output_gradient + at : NULL,
        .input_gradient = tensors->input_gradient ? tensors->input_gradient + at : NULL,
        .minibatch = minibatch,
        .j = j,
    };
}

static void expect(const struct part *part, const float *row, enum stamp_kind kind, int owner, const struct rows *at)
{
    require(!row || *row == stamp(part, kind, owner, at->minibatch, at->j),
            "part %d reads part %d's %s of %d.%d and finds %g", part->index, owner,
            kind == STAMP_GRADIENT ? "gradient"
            : kind == STAMP_SET    ? "saved tensors"
                                   : "activation",
            at->minibatch, at->j, (double)*row);
}

/* What a backward reads: its input, its own output (a ReLU at the cut), what its forward saved, and the gradient. */
static void expect_kept(const struct part *part, const struct rows *at)
{
    expect(part, at->input, STAMP_ACTIVATION, part->index - 1, at);
    expect(part, at->output, STAMP_ACTIVATION, part->index, at);
    expect(part, at->set, STAMP_SET, part->index, at);
    expect(part, at->output_gradient, STAMP_GRADIENT, part->index + 1, at);
}

static void write_row(const struct part *part, float *row, enum stamp_kind kind, const struct rows *at, bool whole)
{
    if (row)
        *row = whole ? stamp(part, kind, part->index, at->minibatch, at->j) : WRITING;
}

/* The part's stage runs it. */
static const struct part *in_pass(const struct compute *compute, int op, int first)
{
    struct actor *actor = &actors[running - 1];

    require(compute == part_at(compute->part.index) && plan_stage_of(&explored, compute->part.index) == running,
            "stage %d runs part %d", running, compute->part.index);
    actor->part = compute->part.index;
    actor->op = op;
    actor->first = first;
    actor->rung = 0;
    actor->silent = false;
    return &compute->part;
}

static void expect_weights(const struct part *part, const float *weights, int version)
{
    require((int)*weights == version, "part %d reads version %d and finds %g", part->index, version, (double)*weights);
}

/* In place of stages/compute.c. */
int compute_forward(struct compute *compute, const struct slot_tensors *tensors, int j, bool training,
                    const float *weights, float *state, struct error *error)
{
    const struct part *part = in_pass(compute, OP_FORWARD, j);
    const struct phase_run *phase = &part->phase;
    const int n = phase->schedule.microbatches, minibatch = phase->progress.forwards / n + 1;
    const struct rows at = rows_at(tensors, minibatch, j);
    const int version = training ? versions_of_backward(phase->tracker, minibatch, j).forward : phase->first_version;

    (void)error;
    require(!part->due.is, "part %d begins %d.%d before the update that is due", part->index, minibatch, j);
    expect(part, at.input, STAMP_ACTIVATION, part->index - 1, &at);
    expect_weights(part, weights, version);
    write_row(part, at.output, STAMP_ACTIVATION, &at, false);
    write_row(part, at.set, STAMP_SET, &at, false);
    hold(IN_FORWARD);
    expect(part, at.input, STAMP_ACTIVATION, part->index - 1, &at);
    expect_weights(part, weights, version);
    write_row(part, at.output, STAMP_ACTIVATION, &at, true);
    write_row(part, at.set, STAMP_SET, &at, true);
    if (training)
        *state = (float)minibatch;
    return 0;
}

int compute_backward(struct compute *compute, const struct slot_tensors *tensors, int first, int count, int halves,
                     const float *weights, float *gradient, bool add, struct error *error)
{
    const struct part *part = in_pass(compute, OP_BACKWARD + halves, first);
    const struct phase_run *phase = &part->phase;
    const int done = halves == HALF_WEIGHTS ? phase->progress.weight_backwards : phase->progress.backwards;
    const int minibatch = done / phase->schedule.microbatches + 1;
    const struct backward_versions versions = versions_of_backward(phase->tracker, minibatch, first);
    const bool blends = phase->schedule.backward == BACKWARD_INTERMEDIATE;
    const int combined = versions.live + blends * APART * (versions.live - versions.forward);
    const int version = versions.read >= 0 ? versions.read : combined;

    (void)add;
    (void)error;
    for (int held = 0; held < 2; held++) {
        for (int j = first; j < first + count; j++) {
            const struct rows at = rows_at(tensors, minibatch, j);

            expect_kept(part, &at);
            if (halves & HALF_INPUT)
                write_row(part, at.input_gradient, STAMP_GRADIENT, &at, held);
        }
        if (halves & HALF_INPUT)
            expect_weights(part, weights, version);
        if (!held)
            hold(IN_BACKWARD);
    }
    if (halves & HALF_WEIGHTS)
        *gradient = (float)(phase->first_version + minibatch);
    return 0;
}

int compute_recompute(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                      const float *weights, struct error *error)
{
    (void)compute;
    (void)tensors;
    (void)first;
    (void)count;
    (void)weights;
    (void)error;
    return 0;
}

int compute_loss(struct compute *compute, const struct slot_tensors *tensors, int first, int count,
                 const int32_t *targets, bool differentiate, struct loss_result *result, struct error *error)
{
    (void)compute;
    (void)tensors;
    (void)first;
    (void)count;
    (void)targets;
    (void)differentiate;
    (void)result;
    (void)error;
    return 0;
}

/* Of a part's gradient, when so many updates have been made: any number that tells them all apart. */
static double squares_of(int part, int updates)
{
    return 100.0 * part * part + 7.0 * updates * part + updates;
}

/* Of the part whose pass the stage has just done. */
static int tell_squares(struct engine *engine, size_t count, const float *vector, double *sum, struct error *error)
{
    const struct part *part = &part_at(actors[running - 1].part)->part;

    (void)engine;
    (void)count;
    (void)vector;
    (void)error;
    require(part->norm == sum, "part %d adds up another part's gradient", part->index);
    *sum = squares_of(part->index, versions_live(part->phase.tracker));
    return 0;
}

/* Makes the next version, and with it what is kept from update to update. */
static int count_update(struct engine *engine, const struct update *update, const struct update_call *call,
                        struct error *error)
{
    const float version = *call->weights + 1;
    const int updates = (int)*call->weights;
    double squares = 0.0;

    (void)engine;
    (void)error;
    for (int k = 1; k <= explorer.parts; k++)
        squares += squares_of(k, updates);
    require(!plan_clips_together(&explored) ||
                update->gradient_scale == (float)(explored.config.train.clip_norm / sqrt(squares)),
            "stage %d shortens the gradient of update %d by %g", running, updates + 1, (double)update->gradient_scale);
    require(*call->gradient == version, "version %g is made of version %g's gradient", (double)version,
            (double)*call->gradient);
    *call->new_weights = version;
    for (int k = 0; k < update_slot_count(update->kind); k++)
        *call->slots[k] = version;
    if (call->differences)
        *call->differences = version;
    return 0;
}

/* The update's backward was the stage's last pass. */
static int check_correction(struct engine *engine, const struct correction *correction,
                            const struct correction_call *call, struct error *error)
{
    const struct part *part = &part_at(actors[running - 1].part)->part;
    const struct phase_run *phase = &part->phase;
    const int minibatch = phase->progress.weight_backwards / phase->schedule.microbatches;
    const struct backward_versions versions =
        versions_of_backward(phase->tracker, minibatch, actors[running - 1].first);

    (void)engine;
    (void)correction;
    (void)error;
    expect_weights(part, call->live, versions_live(phase->tracker));
    expect_weights(part, call->forward, versions.forward);
    if (call->average)
        *call->average = *call->live + 1;
    return 0;
}

/* The version from which a rule's sum starts, and how far apart the versions of a difference are. What is kept from update
 * to update is as new as the version. */
static int add_up(struct engine *engine, size_t count, const float *base, const struct combine_term *terms,
                  int term_count, float *combined, struct error *error)
{
    (void)engine;
    (void)count;
    (void)error;
    *combined = *base;
    for (int k = 0; k < term_count; k++)
        if (terms[k].minus)
            *combined += APART * (*terms[k].minus - *terms[k].plus);
        else
            require(*terms[k].plus == *base && (!terms[k].square || *terms[k].square == *base),
                    "version %g is predicted from what version %g left", (double)*base, (double)*terms[k].plus);
    return 0;
}

/* Nothing is saved, so nobody asks. */
const struct network *compute_network(const struct compute *compute)
{
    (void)compute;
    return NULL;
}

const struct backend *compute_backend(const struct compute *compute)
{
    static const struct backend backend = {
        .name = "none",
        .update = count_update,
        .correct = check_correction,
        .combine = add_up,
        .sum_of_squares = tell_squares,
    };

    (void)compute;
    return &backend;
}

struct engine *compute_engine(const struct compute *compute)
{
    (void)compute;
    return NULL;
}

const struct stage_layout *compute_layout(const struct compute *compute)
{
    static struct stage_layout layout;

    (void)compute;
    /* A float for each micro-batch of a slot. */
    layout.set_floats = layout.input_floats = (size_t)schedule_slot_size(&explored.schedule);
    return &layout;
}

const struct layout_options *compute_layout_options(const struct compute *compute)
{
    static const struct layout_options options;

    (void)compute;
    return &options;
}

const struct layer *compute_output_not_finite(const struct compute *compute, const struct slot_tensors *tensors,
                                              int first, int count, bool recomputed)
{
    (void)compute;
    (void)tensors;
    (void)first;
    (void)count;
    (void)recomputed;
    return NULL;
}

const struct layer *compute_weights_not_finite(const struct compute *compute, const float *weights)
{
    (void)compute;
    (void)weights;
    return NULL;
}

const struct layer *compute_state_not_finite(const struct compute *compute, const float *state)
{
    (void)compute;
    (void)state;
    return NULL;
}

bool compute_input_is_finite(const struct compute *compute, const struct slot_tensors *tensors, int first, int count)
{
    (void)compute;
    (void)tensors;
    (void)first;
    (void)count;
    return true;
}

/* In place of stages/batches.c: one row per micro-batch, and a loader that is ahead of everybody. */
void batches_begin(struct batches *batches, enum phase phase, int epoch, int skipped, int first, int last)
{
    (void)batches;
    (void)phase;
    (void)epoch;
    (void)skipped;
    (void)first;
    (void)last;
}

int batches_loaded(const struct batches *batches)
{
    (void)batches;
    return INT_MAX;
}

int batches_rows(const struct batches *batches, int minibatch)
{
    (void)batches;
    (void)minibatch;
    return explored.config.data.batch;
}

int batches_inputs(struct batches *batches, int minibatch, int first, int j, float *input, struct error *error)
{
    (void)batches;
    (void)error;
    input[j - first] = stamp(&part_at(1)->part, STAMP_ACTIVATION, 0, minibatch, j);
    return 0;
}

int batches_targets(struct batches *batches, int minibatch, int32_t *targets, struct error *error)
{
    (void)batches;
    (void)minibatch;
    (void)targets;
    (void)error;
    return 0;
}
