#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint/seal.h"

int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_MAX])
{
    int descriptor = memfd_create("input", MFD_CLOEXEC);

    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size)
        abort();
    snprintf(path, FUZZ_PATH_MAX, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

void fuzz_sealed(const uint8_t *data, size_t size, void (*check)(const char *text, size_t size))
{
    size_t sealed_size;
    char *sealed = seal_text((const char *)data, size, &sealed_size);

    check((const char *)data, size);
    if (sealed)
        check(sealed, sealed_size);
    free(sealed);
}

void fuzz_touch(const void *bytes, size_t size)
{
    const volatile unsigned char *byte = bytes;

    for (size_t i = 0; i < size; i++)
        (void)byte[i];
}

static void gather_half(const struct samples *samples, int classes)
{
    const int context = samples->targets_per_sample;
    int32_t *tokens = calloc((size_t)context, sizeof(*tokens)), *targets = calloc((size_t)context, sizeof(*targets));
    int32_t next = -1;
    struct error error;

    if (!tokens || !targets)
        abort();
    for (int i = 0; i < samples->count; i++) {
        if (data_gather_tokens(samples, &i, 1, classes, tokens, &error) ||
            data_gather_targets(samples, &i, 1, classes, targets, &error))
            abort();
        for (int k = 0; k < context; k++) {
            if (tokens[k] < 0 || tokens[k] >= classes || (next >= 0 && tokens[k] != next))
                abort();
            next = targets[k];
        }
        if (next < 0 || next >= classes)
            abort();
    }
    free(tokens);
    free(targets);
}

void fuzz_gather(const struct dataset *dataset, int classes)
{
    gather_half(&dataset->train, classes);
    gather_half(&dataset->test, classes);
}

void fuzz_plan(struct plan *plan)
{
    static const char *const overrides[] = {"pipeline.stages=3", "pipeline.microbatches=2", "data.batch=4",
                                            "model.arch=mlp", "device.map=0,0,cpu"};
    static const struct data_facts facts = {.train_count = 30, .test_count = 6, .shape = {28, 28, 1}};
    static struct config_mistakes mistakes;
    static const struct machine_facts machine = {.backends = {"reference", "cuda"}, .gpu_count = 1};
    static struct layer_cost costs[64];
    struct network *network;
    struct config config;
    struct error error;

    if (config_load(&config, "/dev/null", overrides, sizeof(overrides) / sizeof(overrides[0]), &mistakes) ||
        plan_begin(plan, &config, &facts, &network, &mistakes) || plan_place(plan, &machine, &mistakes) ||
        plan_finish(plan, network, costs, &error))
        abort();
    network_destroy(network);
}

struct op_record fuzz_op(const struct plan *plan, uint64_t start_ns, int k)
{
    struct op_record op = {.start_ns = start_ns + 1000u * (uint64_t)k,
                           .epoch = 1,
                           .minibatch = k / 3 % plan->minibatches_per_epoch + 1,
                           .first = 1,
                           .count = 1};

    op.end_ns = op.start_ns + 900;
    op.kind = k % 3 == 2 ? OP_BACKWARD : OP_FORWARD;
    op.count = op.kind == OP_BACKWARD ? 2 : 1;
    return op;
}

void fuzz_draw(const struct moment *moment)
{
    struct canvas canvas;

    if (canvas_create(&canvas, 24, 80, false))
        abort();
    /* The schedule once more, in ticks as wide as ops cost. */
    for (int view = 0; view <= VIEWS; view++) {
        struct view_state state = {.view = (enum view)(view % VIEWS), .ticks = view == VIEWS, .costs = view == VIEWS};

        view_draw(&canvas, &state, moment);
        view_key(&state, moment, PRESS_ENTER);
        view_draw(&canvas, &state, moment);
    }
    canvas_destroy(&canvas);
}
