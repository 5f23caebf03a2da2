#include "coordinator/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/random.h"
#include "checkpoint/init.h"
#include "coordinator/inference.h"
#include "coordinator/resume.h"
#include "data/data.h"

/* A network with what a checkpoint has learned, and the text so far: the last tokens, at most a context of them. */
struct writer {
    struct network *network;
    struct inference *inference;
    float *parameters, *state;
    char *text;      /* of the network's file */
    int32_t *tokens; /* [context] */
    double *chances; /* [classes] */
    int count;       /* of tokens that there are */
};

static void release(struct writer *writer)
{
    inference_destroy(writer->inference);
    network_destroy(writer->network);
    free(writer->parameters);
    free(writer->state);
    free(writer->text);
    free(writer->tokens);
    free(writer->chances);
}

static int read_network(struct writer *writer, const struct manifest *manifest, struct error *error)
{
    const struct config *config = &manifest->config;
    struct network_options options = {.name = config->model.arch,
                                      .depth = config->model.depth,
                                      .width = config->model.width,
                                      .tokens = true,
                                      .input = manifest->shape,
                                      .classes = config->model.classes};

    if (strcmp(config->data.set, "text") != 0)
        return error_set(error, "it was trained on data.set = %s; only what text has taught can be written as text",
                         config->data.set);
    writer->text = malloc(NETWORK_TEXT_MAX);
    if (!writer->text)
        return error_set(error, "out of memory for a network's text");
    if (network_load(writer->text, config->model.arch, error))
        return -1;
    if (crc32_z(0, (const unsigned char *)writer->text, strlen(writer->text)) != manifest->network_crc32)
        return error_set(error, "the network %s has changed since the checkpoint was made", config->model.arch);
    options.text = writer->text;
    return network_create(&writer->network, &options, error);
}

static int read_weights(struct writer *writer, const char *folder, struct error *error)
{
    const struct network *network = writer->network;
    const struct slice all = network_slice(network, 0, network->block_count);
    struct tensors tensors = {.count = 0};
    int failed = memory_floats(&writer->parameters, all.parameters, "weights", error) ||
                 memory_floats(&writer->state, all.state, "running statistics", error) ||
                 tensors_create(&tensors, network, &all, error);

    if (!failed) {
        memset(writer->state, 0, all.state * sizeof(float));
        failed = init_read(folder, &tensors, writer->parameters, writer->state, error);
    }
    tensors_release(&tensors);
    return failed;
}

static int create(struct writer *writer, const struct sample_request *request, struct error *error)
{
    struct checkpoint_set set;
    struct run_folder folder;
    char path[2 * CONFIG_PATH_MAX];
    int failed;

    if (resume_look(&set, &folder, request->run, error))
        return -1;
    snprintf(path, sizeof(path), "%s/" CHECKPOINTS_FOLDER "/%s", folder.path, set.name);
    failed = read_network(writer, &set.manifest, error) || read_weights(writer, path, error);
    set_release(&set);
    run_folder_close(&folder);
    if (failed)
        return error_prefix(error, "%s", request->run);
    writer->tokens = calloc((size_t)writer->network->input.height, sizeof(*writer->tokens));
    writer->chances = calloc((size_t)writer->network->classes, sizeof(*writer->chances));
    if (!writer->tokens || !writer->chances)
        return error_set(error, "out of memory");
    return inference_create(&writer->inference, writer->network, writer->parameters, writer->state, error);
}

static void append(struct writer *writer, int token)
{
    const int context = writer->network->input.height;

    if (writer->count == context) {
        memmove(writer->tokens, writer->tokens + 1, (size_t)(context - 1) * sizeof(*writer->tokens));
        writer->count--;
    }
    writer->tokens[writer->count++] = token;
}

/* A class, by its logit; `draw` is uniform in [0, 1). */
static int choose(struct writer *writer, const float *logits, double temperature, double draw)
{
    const int classes = writer->network->classes;
    double sum = 0.0;
    int best = 0;

    for (int k = 1; k < classes; k++)
        best = logits[k] > logits[best] ? k : best;
    if (temperature <= 0.0)
        return best;
    for (int k = 0; k < classes; k++)
        sum += writer->chances[k] = exp(((double)logits[k] - (double)logits[best]) / temperature);
    draw *= sum;
    for (int k = 0; k < classes; k++)
        if ((draw -= writer->chances[k]) < 0.0)
            return k;
    return best;
}

/* What is behind the last token is not looked at by what is before: attention is causal. */
static int next(struct writer *writer, const struct sample_request *request, int step, int *token, struct error *error)
{
    const int positions = writer->network->input.height;
    const float *logits;

    memset(writer->tokens + writer->count, 0, (size_t)(positions - writer->count) * sizeof(*writer->tokens));
    if (inference_run(writer->inference, writer->tokens, &logits, error))
        return -1;
    logits += (size_t)(writer->count - 1) * (size_t)writer->network->classes;
    *token = choose(writer, logits, request->temperature,
                    (double)random_uniform(request->seed, RANDOM_SAMPLE, 0, (uint64_t)step));
    return 0;
}

/* A terminal sees no control characters but ends of lines. */
static void put(FILE *out, int byte, bool terminal)
{
    if (terminal && (byte < ' ' || byte == 127) && byte != '\n')
        byte = byte == '\t' ? ' ' : '?';
    fputc(byte, out);
}

static int write_text(struct writer *writer, const struct sample_request *request, struct error *error)
{
    const bool terminal = isatty(fileno(request->out));
    const char *prompt = request->prompt[0] ? request->prompt : "\n";

    for (const char *at = prompt; *at != '\0'; at++)
        append(writer, (unsigned char)*at);
    fputs(request->prompt, request->out);
    for (int step = 0; step < request->tokens; step++) {
        int token;

        if (next(writer, request, step, &token, error))
            return -1;
        append(writer, token);
        put(request->out, token, terminal);
        if (terminal && fflush(request->out))
            break;
    }
    fputc('\n', request->out);
    return fflush(request->out) || ferror(request->out) ? error_set(error, "the text could not be written") : 0;
}

int sample_write(const struct sample_request *request, struct error *error)
{
    struct writer writer = {.count = 0};
    const int failed = create(&writer, request, error) || write_text(&writer, request, error);

    release(&writer);
    return failed ? -1 : 0;
}
