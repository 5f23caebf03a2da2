#include "plan/config_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/guess.h"
#include "base/parse.h"
#include "base/text.h"
#include "data/data.h"
#include "network/network.h"
#include "optimizers/optimizer.h"
#include "schedule/parts.h"
#include "schedule/system.h"

enum { BLOCKS_MAX = 10000 }; /* in one part of a partition */

static const char *choice_system(int index)
{
    return index < system_count ? systems[index].name : NULL;
}

static const char *choice_forward_rule(int index)
{
    if (index == 0)
        return "system";
    return index - 1 < FORWARD_RULES ? forward_rule_name((enum forward_rule)(index - 1)) : NULL;
}

static const char *choice_placement(int index)
{
    if (index == 0)
        return "auto";
    return index - 1 < PLACEMENTS ? placement_name((enum placement)(index - 1)) : NULL;
}

static const char *choice_backward_rule(int index)
{
    if (index == 0)
        return "system";
    return index - 1 < BACKWARD_RULES ? backward_rule_name((enum backward_rule)(index - 1)) : NULL;
}

static const char *choice_update_rule(int index)
{
    if (index == 0)
        return "system";
    return index - 1 < UPDATE_RULES ? update_rule((enum update_rule_name)(index - 1))->name : NULL;
}

static const char *choice_optimizer(int index)
{
    if (index == 0)
        return "auto";
    const struct optimizer *optimizer = optimizer_at(index - 1);
    return optimizer ? optimizer->name : NULL;
}

#define MEMBER(section, key)                                                                                           \
#section "." #key, offsetof(struct config, section.key), sizeof(((struct config *)0)->section.key)
#define NAMED(name, member) name, offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define CHOICES(...)                                                                                                   \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

/* clang-format off */
const struct config_key config_keys[] = {
    {MEMBER(run, name), KEY_NAME, "",
     .help = "name of the run's folder; none: the config file's name and the time"},
    {MEMBER(run, seed), KEY_INTEGER, "1", 0, 9007199254740992.0,
     .help = "of the initial weights, the order of samples and the augmentation"},
    {MEMBER(run, epochs), KEY_INTEGER, "3", 1, 1000,
     .help = "passes over the training set"},
    {MEMBER(run, output), KEY_TEXT, "runs",
     .help = "folder in which each run gets its own"},
    {MEMBER(run, record), KEY_BOOLEAN, "no",
     .help = "record the run to recording.tprec in its folder, for tpmon --replay"},
    {MEMBER(run, record_mib), KEY_INTEGER, "256", 1, 1048576, .unit = "MiB",
     .help = "that a recording grows to at most; the rest of the run is not in it"},
    {MEMBER(run, restarts), KEY_INTEGER, "0", 0, 1000,
     .help = "times to start again by itself when a stage has died or all stand still"},
    {MEMBER(run, stall_seconds), KEY_INTEGER, "60", 0, 86400, .unit = "s",
     .help = "without progress, until it is said what every stage waits for; 0: never"},
    {MEMBER(run, on_stall), KEY_CHOICE, "end", .choices = CHOICES("end", "warn"),
     .help = "what then follows; warn: nothing, the run goes on when it can"},
    {MEMBER(run, silence_seconds), KEY_INTEGER, "10", 1, 3600, .unit = "s",
     .help = "in which nothing is heard of a machine, until the run ends without it; of runs on several"},

    {MEMBER(pipeline, system), KEY_CHOICE_NAME, "timeprest", .choice = choice_system, .file_ending = ".csv",
     .help = "order of work and weight versions; tpcoord explain NAME says more; or a schedule file"},
    {MEMBER(pipeline, stages), KEY_INTEGER, "4", 1, PLANNED_MAX,
     .help = "W: stages, each a process of its own; a run takes at most 64"},
    {MEMBER(pipeline, microbatches), KEY_INTEGER, "3", 1, MAX_MICROBATCHES,
     .help = "N: micro-batches per mini-batch"},
    {MEMBER(pipeline, parts), KEY_INTEGER, "auto", 1, STAGE_PARTS_MAX, .choices = CHOICES("auto"),
     .first_choice = PARTS_OF_SYSTEM, .help = "parts of the network that each stage hosts; auto: as the system has it"},
    {MEMBER(pipeline, placement), KEY_CHOICE, "auto", .choice = choice_placement, .first_choice = PLACEMENT_OF_SYSTEM,
     .help = "loop: parts on stages 1 to W, again and again; v: to stage W and back; auto: as the system has it"},
    {MEMBER(pipeline, partition), KEY_INTEGERS, "auto", 1, BLOCKS_MAX, .choices = CHOICES("auto"), .example = "5,2,2,2",
     .help = "blocks per part, such as 5,2,2,2; auto: as pipeline.balance has it"},
    {MEMBER(pipeline, balance), KEY_CHOICE, "auto", .choices = CHOICES("auto", "flops", "measured"),
     .help = "what partition = auto evens out; auto: measured time with order = dynamic, flops with static"},
    {MEMBER(pipeline, order), KEY_CHOICE, "static", .choices = CHOICES("dynamic", "static"),
     .help = "dynamic: run what has arrived; static: replay a list, bit for bit repeatable"},
    {NAMED("pipeline.static", pipeline.static_times), KEY_CHOICE, "unit", .choices = CHOICES("unit", "nominal", "measured"),
     .help = "times for which a static order's list is made: every op one; a backward twice a forward; measured"},
    {MEMBER(pipeline, vertical_sync), KEY_BOOLEAN, "no",
     .help = "yes: a system whose forwards read live weights pins them as its micro-batches enter (PipeDream's paper)"},
    {MEMBER(pipeline, forward_weights), KEY_CHOICE, "system", .choice = choice_forward_rule,
     .first_choice = RULE_OF_SYSTEM, .help = "weight version that forwards read, in place of the system's rule"},
    {MEMBER(pipeline, backward_weights), KEY_CHOICE, "system", .choice = choice_backward_rule,
     .first_choice = RULE_OF_SYSTEM, .help = "weight version that backwards read, in place of the system's rule"},
    {MEMBER(pipeline, backward_activations), KEY_CHOICE, "stored", .choices = CHOICES("stored", "recompute"),
     .help = "stored: the forward's; recompute: run the forward again at the backward's weights (less memory)"},

    {MEMBER(staleness, update), KEY_CHOICE, "system", .choice = choice_update_rule, .first_choice = RULE_OF_SYSTEM,
     .help = "what staleness changes in an update, in place of the system's rule; plain: nothing"},
    {MEMBER(staleness, measure), KEY_CHOICE, "nominal", .choices = CHOICES("nominal", "measured"),
     .help = "tau in the rules: what the unit-time schedule has in the full pipeline; or each mini-batch's own"},
    {MEMBER(staleness, significance), KEY_CHOICE, "exponential",
     .choices = CHOICES("exponential", "hyperbolic", "constant"),
     .help = "i-timeprest: what a weight d versions old still counts; exp(-decay d), 1 / (1 + decay d), or decay"},
    {MEMBER(staleness, decay), KEY_REAL, "1.0", 0.0, 1000.0,
     .help = "i-timeprest: how fast that falls; for constant, the value itself: 1 all stale, 0 all newest"},
    {MEMBER(staleness, further), KEY_INTEGER, "1", 0, 64, .unit = "updates",
     .help = "pipeoptim: predicted beyond the staleness; 1 as its code has it, 0 as its description"},
    {MEMBER(staleness, anneal), KEY_REAL, "1.0", 0.0, 1000.0, .unit = "epochs",
     .help = "pipemare: K, until the rate is no longer divided by the staleness"},
    {MEMBER(staleness, discrepancy), KEY_REAL, "0.135", 0.0, 0.9999,
     .help = "pipemare: D, what an update that is tau old counts in the average of updates"},
    {MEMBER(staleness, momentum), KEY_REAL, "0.99", 0.0, 0.9999,
     .help = "nesterov-async: beta1 in place of train.beta1; nesterov-by-stage: towards which it goes"},
    {MEMBER(staleness, strength), KEY_REAL, "0.04", 0.0, 1000.0,
     .help = "dc-asgd: lambda, how much of the gradient's square stands for the Hessian"},

    {MEMBER(model, arch), KEY_CHOICE_NAME, "resnet20", .choice = network_builtin_name, .file_ending = ".net",
     .help = "network: one that tpcoord network lists, or a file of the same form"},
    {MEMBER(model, depth), KEY_INTEGER, "0", 0, NETWORK_DEPTH_MAX,
     .help = "networks with a parameter depth (mlp: its layers); 0: as the network's file says"},
    {MEMBER(model, width), KEY_INTEGER, "0", 0, NETWORK_WIDTH_MAX,
     .help = "networks with a parameter width (mlp: units of its layers but the last); 0: as the file says"},
    {MEMBER(model, classes), KEY_INTEGER, "10", 2, 1 << 18,
     .help = "classes that the network tells apart; labels are below it"},
    {MEMBER(model, init), KEY_TEXT, "",
     .help = "weights to begin with: a safetensors file, or a folder of them; none: drawn from run.seed"},

    {MEMBER(data, set), KEY_CHOICE_NAME, "fashion-mnist", .choice = data_source_name,
     .help = "data set, which lies in data.dir or data.file; synthetic: made up, for measuring"},
    {MEMBER(data, dir), KEY_TEXT, "",
     .help = "folder of the data set; none: where Debian's package dataset-fashion-mnist puts it"},
    {MEMBER(data, file), KEY_TEXT, "",
     .help = "text, tokens: one file, whose last twentieth is the test's; none: text of Debian's package dict-gcide"},
    {MEMBER(data, batch), KEY_INTEGER, "64", 1, 65536, .unit = "samples",
     .help = "M: size of a mini-batch"},
    {MEMBER(data, limit), KEY_INTEGER, "0", 0, 100000000, .unit = "samples",
     .help = "train on the first so many only, and test on a fifth as many; 0: all"},
    {MEMBER(data, size), KEY_INTEGER, "64", 28, 256, .unit = "pixels",
     .help = "folder, tiny-imagenet: height and width of the images that pictures become"},
    {MEMBER(data, channels), KEY_INTEGER, "3", 1, 3,
     .help = "folder, tiny-imagenet: channels of those: 3, or 1 for grey"},
    {MEMBER(data, held_out), KEY_REAL, "0.1", 0.0, 0.9,
     .help = "folder: share of each class that is the test's, where no folder of its own is"},
    {MEMBER(data, cache), KEY_TEXT, "",
     .help = "folder, tiny-imagenet: where decoded images are kept; none: ~/.cache/tp"},
    {MEMBER(data, context), KEY_INTEGER, "256", 2, DATA_CONTEXT_MAX, .unit = "tokens",
     .help = "text, tokens: length of a sample; each position's target is the next token"},
    {MEMBER(data, enlarge), KEY_BOOLEAN, "no",
     .help = "images by a border of 2 pixels, and grey ones to three channels: 28 x 28 x 1 become 32 x 32 x 3"},
    {MEMBER(data, augment), KEY_CHOICE, "no", .choices = CHOICES("no", "yes", "crop"),
     .help = "yes: shift training images by up to 2 pixels and flip half of them; crop: pad by 4, crop and flip"},
    {MEMBER(data, last_batch), KEY_CHOICE, "keep", .choices = CHOICES("keep", "drop"),
     .help = "what to do with an epoch's last mini-batch if it is smaller than the others"},
    {MEMBER(data, synthetic_size), KEY_INTEGER, "28", 28, 64, .unit = "pixels",
     .help = "height and width of synthetic images"},
    {MEMBER(data, synthetic_channels), KEY_INTEGER, "1", 1, 3,
     .help = "channels of synthetic images: 1 or 3"},

    {MEMBER(train, lr), KEY_REAL, "0.02", 0.0, 100.0,
     .help = "learning rate, after the warm-up"},
    {MEMBER(train, lr_schedule), KEY_CHOICE, "cosine", .choices = CHOICES("constant", "step", "cosine"),
     .help = "how the learning rate changes; cosine: falls, to 0 at the end of the last epoch"},
    {MEMBER(train, lr_step_epochs), KEY_INTEGER, "10", 1, 1000, .unit = "epochs",
     .help = "step: multiply by lr_step_factor every so many epochs"},
    {MEMBER(train, lr_step_factor), KEY_REAL, "0.1", 0.0, 1.0,
     .help = "step: the factor"},
    {MEMBER(train, warmup_epochs), KEY_REAL, "0.5", 0.0, 1000.0, .unit = "epochs",
     .help = "the learning rate grows from 0 for so long"},
    {MEMBER(train, optimizer), KEY_CHOICE_NAME, "auto", .choice = choice_optimizer,
     .help = "how an update moves the weights; auto: the system's, sgd for most"},
    {MEMBER(train, momentum), KEY_REAL, "0.9", 0.0, 0.9999,
     .help = "sgd: momentum; 0 needs no memory for it"},
    {MEMBER(train, nesterov), KEY_BOOLEAN, "no",
     .help = "sgd: Nesterov's form of momentum"},
    {MEMBER(train, beta1), KEY_REAL, "0.9", 0.0, 0.9999,
     .help = "adamw, nadamw: what the average of gradients keeps of itself"},
    {MEMBER(train, beta2), KEY_REAL, "0.999", 0.0, 0.999999,
     .help = "adamw, nadamw: what the average of their squares keeps of itself"},
    {MEMBER(train, epsilon), KEY_REAL, "1e-8", 1e-30, 1.0,
     .help = "adamw, nadamw: added to the root that a step is divided by"},
    {MEMBER(train, momentum_decay), KEY_REAL, "0.004", 0.0, 1.0,
     .help = "nadamw: how soon the momentum is the whole of beta1"},
    {MEMBER(train, weight_decay), KEY_REAL, "0.0005", 0.0, 1.0,
     .help = "penalty on the weights; sgd: added to the gradient; adamw, nadamw: taken off the weights, times the rate"},
    {MEMBER(train, decay_norms), KEY_CHOICE, "auto", .choices = CHOICES("auto", "no", "yes"),
     .help = "weight decay of norms and biases as well; auto: with sgd, as it is used, but not with the others"},
    {MEMBER(train, clip_norm), KEY_REAL, "0", 0.0, 1e6,
     .help = "gradients longer than this are shortened to it: all stages' at a flush, else each stage's; 0: never"},

    {MEMBER(checkpoints, keep), KEY_INTEGER, "2", 0, 1000,
     .help = "newest checkpoints that are kept, and the best; 0: none of a finished run, before that the newest"},
    {MEMBER(checkpoints, every), KEY_INTERVAL, "0", 0, 1000000000,
     .help = "mini-batches, such as 500, or minutes, such as 10m, between checkpoints within an epoch; 0: at its end only"},

    {MEMBER(device, backend), KEY_CHOICE_NAME, "auto", .choices = CHOICES("auto", "reference", "onednn", "cuda"),
     .help = "who computes; reference: plain C, slow; cuda: on GPUs; auto: the fastest that works here"},
    {MEMBER(device, map), KEY_INTEGERS, "auto", 0, GPUS_MAX - 1, .choices = CHOICES("auto", "cpu"),
     .first_choice = MAP_CPU, .example = "0,0,1,cpu",
     .help = "cuda: each stage's GPU, or cpu, such as 0,0,1,cpu; auto: neighbours together, over all GPUs"},
    {MEMBER(device, threads), KEY_INTEGER, "1", 1, 256,
     .help = "threads per stage on the CPU"},
    {MEMBER(device, pin), KEY_INTEGERS, "no", 0, CORES_MAX - 1, .choices = CHOICES("auto", "no"), .first_choice = PIN_NO,
     .example = "0,1,0,1", .help = "each CPU stage's core, such as 0,1,0,1; auto: one core after the other; no: the kernel's choice"},
    {MEMBER(device, sync), KEY_CHOICE, "event", .choices = CHOICES("event", "host"),
     .help = "cuda: event: GPUs wait for each other; host: a stage waits for its GPU before it sends (slower, simpler)"},
    {MEMBER(device, tf32), KEY_BOOLEAN, "yes",
     .help = "cuda: products of floats may round their factors to 10 bits"},
    {MEMBER(device, graphs), KEY_BOOLEAN, "no",
     .help = "cuda: record each pass once as a CUDA graph and repeat it"},

    {MEMBER(simulation, forward_ms), KEY_REALS, "measured", 0.0, 3600000.0, .choices = CHOICES("measured"),
     .unit = "ms", .help = "plan --simulate: one micro-batch's forward; one for all stages, or one for each as in 4,3,3,5"},
    {MEMBER(simulation, backward_ms), KEY_REALS, "measured", 0.0, 3600000.0, .choices = CHOICES("measured"),
     .unit = "ms", .help = "plan --simulate: one micro-batch's backward; one over N micro-batches takes N times as long"},
    {MEMBER(simulation, backward_input_ms), KEY_REALS, "measured", 0.0, 3600000.0, .choices = CHOICES("measured"),
     .unit = "ms", .help = "plan --simulate: where backwards are split (zb-h1), a micro-batch's half that goes on; else half of backward_ms"},
    {MEMBER(simulation, backward_weights_ms), KEY_REALS, "measured", 0.0, 3600000.0, .choices = CHOICES("measured"),
     .unit = "ms", .help = "plan --simulate: where backwards are split, a micro-batch's half that stays; likewise"},
    {MEMBER(simulation, update_ms), KEY_REALS, "measured", 0.0, 3600000.0, .choices = CHOICES("measured"),
     .unit = "ms", .help = "plan --simulate: one update of a stage's weights"},
    {MEMBER(simulation, link_mbit), KEY_REALS, "measured", 0.0, 1000000.0, .choices = CHOICES("measured"), .unit = "Mbit/s",
     .help = "plan --simulate: bandwidth between stages, one for each link or one for all, with --hosts of each host's cable; 0: shared memory, as all links within a host are"},
    {MEMBER(simulation, link_us), KEY_REALS, "measured", 0.0, 60000000.0, .choices = CHOICES("measured"), .unit = "us",
     .help = "plan --simulate: latency of a message between stages; measured with link_mbit, and 0 where that is given alone"},
};
/* clang-format on */

const int config_key_count = (int)(sizeof(config_keys) / sizeof(config_keys[0]));

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_KEYS_MAX, "struct config_mistakes has no room");

const struct config_key *config_key_find(const char *name)
{
    for (int i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

static const char *name_in_section(const struct config_key *key)
{
    return strchr(key->name, '.') + 1;
}

const struct config_key *config_key_meant(const char *section, const char *name)
{
    const size_t length = strlen(section);
    const char *own = strchr(name, '.') ? strchr(name, '.') + 1 : name;
    const struct config_key *nearest = NULL;
    struct guess guess;

    guess_begin(&guess, own);
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const bool here = strncmp(key->name, section, length) == 0 && key->name[length] == '.';

        if (strcmp(name_in_section(key), own) == 0)
            return key;
        if (here)
            guess_consider(&guess, name_in_section(key));
        if (here && guess.nearest == name_in_section(key))
            nearest = key;
    }
    return nearest;
}

const char *config_key_choice(const struct config_key *key, int index)
{
    return key->choice ? key->choice(index) : key->choices[index];
}

const char *config_key_word(const struct config_key *key, int value)
{
    for (int i = 1; key->choices[i]; i++)
        if (key->first_choice + i - 1 == value)
            return key->choices[i];
    return NULL;
}

static int set_integer(const struct config_key *key, void *member, const char *text, struct error *error)
{
    const char *word = key->choices ? key->choices[0] : NULL;
    int64_t value = key->first_choice;

    if (!(word && strcmp(text, word) == 0) && parse_int(&value, text, (int64_t)key->low, (int64_t)key->high, error)) {
        const struct error number = *error;

        return word ? error_set(error, "%s, or %s", number.text, word) : -1;
    }
    if (key->size == sizeof(int64_t))
        *(int64_t *)member = value;
    else
        *(int *)member = (int)value;
    return 0;
}

static int set_text(const struct config_key *key, void *member, const char *text, struct error *error)
{
    if (strlen(text) >= key->size)
        return error_set(error, "%zu characters are too many; use at most %zu", strlen(text), key->size - 1);
    strcpy(member, text);
    return 0;
}

static int set_name(const struct config_key *key, void *member, const char *text, struct error *error)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (text[strspn(text, letters)] != '\0' || text[0] == '.')
        return error_set(error, "\"%s\" is not a name; use letters, digits, \"-\", \"_\" and, but for the first, \".\"",
                         text);
    return set_text(key, member, text, error);
}

static bool is_file_name(const struct config_key *key, const char *text)
{
    const size_t length = strlen(text), ending = key->file_ending ? strlen(key->file_ending) : 0;

    return ending > 0 && length > ending && strcmp(text + length - ending, key->file_ending) == 0;
}

static int set_choice(const struct config_key *key, void *member, const char *text, struct error *error)
{
    char all[512] = "", meant[GUESS_TEXT_MAX];
    const char *choice;
    struct guess guess;

    guess_begin(&guess, text);
    if (is_file_name(key, text))
        return set_text(key, member, text, error);
    for (int i = 0; (choice = config_key_choice(key, i)) != NULL; i++) {
        if (strcmp(choice, text) == 0) {
            if (key->type == KEY_CHOICE_NAME)
                return set_text(key, member, text, error);
            *(int *)member = key->first_choice + i;
            return 0;
        }
        text_append(all, sizeof(all), "%s%s", i > 0 ? ", " : "", choice);
        guess_consider(&guess, choice);
    }
    return error_set(
        error, "\"%s\" is none of the choices%s: %s%s%s", text, guess_text(&guess, "; ", " There are", meant), all,
        key->file_ending ? "; nor a file whose name ends with " : "", key->file_ending ? key->file_ending : "");
}

/* The next item of a comma-separated list, without the blanks around it. NULL behind the last. */
static char *next_item(char **rest)
{
    char *item = strsep(rest, ",");

    if (!item)
        return NULL;
    item += strspn(item, " \t");
    item[strcspn(item, " \t")] = '\0';
    return item;
}

static int set_reals(const struct config_key *key, struct config_reals *reals, const char *text, struct error *error)
{
    char copy[CONFIG_LIST_TEXT_MAX], *rest = copy, *item;

    memset(reals, 0, sizeof(*reals));
    if (key->choices && strcmp(text, key->choices[0]) == 0)
        return 0;
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return error_set(error, "the list is too long; there are at most %d parts", PLANNED_MAX);
    while ((item = next_item(&rest)) != NULL) {
        if (reals->count == PLANNED_MAX)
            return error_set(error, "\"%s\" has more numbers than the %d parts there may be", text, PLANNED_MAX);
        if (parse_double(&reals->values[reals->count++], item, key->low, key->high, error))
            return -1;
    }
    return 0;
}

/* A number, or a word that stands for one. */
static int set_listed(const struct config_key *key, int *out, const char *item, struct error *error)
{
    int64_t value;

    for (int i = 1; key->choices[i]; i++) {
        if (strcmp(item, key->choices[i]) != 0)
            continue;
        *out = key->first_choice + i - 1;
        return 0;
    }
    if (parse_int(&value, item, (int64_t)key->low, (int64_t)key->high, error))
        return -1;
    *out = (int)value;
    return 0;
}

static int set_integers(const struct config_key *key, struct config_integers *integers, const char *text,
                        struct error *error)
{
    char copy[CONFIG_LIST_TEXT_MAX], *rest = copy, *item;

    memset(integers, 0, sizeof(*integers));
    if (strcmp(text, key->choices[0]) == 0)
        return 0;
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return error_set(error, "the list is too long; there are at most %d parts", PLANNED_MAX);
    while ((item = next_item(&rest)) != NULL) {
        if (integers->count == PLANNED_MAX)
            return error_set(error, "\"%s\" has more numbers than the %d parts there may be", text, PLANNED_MAX);
        if (set_listed(key, &integers->values[integers->count++], item, error))
            return error_set(error, "\"%s\" is not right; use %s, or for each stage %.0f to %.0f%s%s, such as %s", text,
                             key->choices[0], key->low, key->high, key->choices[1] ? " or " : "",
                             key->choices[1] ? key->choices[1] : "", key->example);
    }
    return 0;
}

static int set_interval(const struct config_key *key, struct config_interval *interval, const char *text,
                        struct error *error)
{
    const size_t length = strlen(text);
    char number[32];
    int64_t value;

    memset(interval, 0, sizeof(*interval));
    interval->minutes = length > 1 && text[length - 1] == 'm';
    snprintf(number, sizeof(number), "%.*s", (int)(length - interval->minutes), text);
    if (length >= sizeof(number) || parse_int(&value, number, (int64_t)key->low, (int64_t)key->high, error))
        return error_set(error,
                         "\"%s\" is not right; use mini-batches, %.0f to %.0f, such as 500, or minutes, such as 10m",
                         text, key->low, key->high);
    interval->count = (int)value;
    return 0;
}

int config_key_set(const struct config_key *key, struct config *config, const char *text, struct error *error)
{
    void *member = (char *)config + key->offset;

    switch (key->type) {
    case KEY_INTEGER:
        return set_integer(key, member, text, error);
    case KEY_REAL:
        return parse_double(member, text, key->low, key->high, error);
    case KEY_BOOLEAN:
        return parse_bool(member, text, error);
    case KEY_CHOICE:
    case KEY_CHOICE_NAME:
        return set_choice(key, member, text, error);
    case KEY_NAME:
        return set_name(key, member, text, error);
    case KEY_TEXT:
        return set_text(key, member, text, error);
    case KEY_INTEGERS:
        return set_integers(key, member, text, error);
    case KEY_INTERVAL:
        return set_interval(key, member, text, error);
    case KEY_REALS:
        return set_reals(key, member, text, error);
    }
    return error_set(error, "a key of unknown type");
}

static int choice_count(const struct config_key *key)
{
    int count = 0;

    while (config_key_choice(key, count))
        count++;
    return count;
}

static bool is_choice_name(const struct config_key *key, const char *name)
{
    for (int i = 0; i < choice_count(key); i++)
        if (strcmp(config_key_choice(key, i), name) == 0)
            return true;
    return is_file_name(key, name);
}

/* False for a NaN. */
static bool within(double value, double low, double high)
{
    return value >= low && value <= high;
}

static bool holds_reals(const struct config_key *key, const struct config_reals *reals)
{
    if (!within(reals->count, 0, PLANNED_MAX))
        return false;
    for (int i = 0; i < reals->count; i++)
        if (!within(reals->values[i], key->low, key->high))
            return false;
    return reals->count > 0 || key->choices;
}

static bool holds_integers(const struct config_key *key, const struct config_integers *integers)
{
    if (!within(integers->count, 0, PLANNED_MAX))
        return false;
    for (int i = 0; i < integers->count; i++)
        if (!within(integers->values[i], key->low, key->high) && !config_key_word(key, integers->values[i]))
            return false;
    return true;
}

static bool holds_interval(const struct config_key *key, const struct config_interval *interval)
{
    const unsigned char *minutes = (const unsigned char *)&interval->minutes;

    return within(interval->count, key->low, key->high) && *minutes <= 1;
}

bool config_key_holds(const struct config_key *key, const struct config *config)
{
    const void *member = (const char *)config + key->offset;
    const bool text = memchr(member, '\0', key->size) != NULL;

    switch (key->type) {
    case KEY_INTEGER:
        return within(key->size == sizeof(int64_t) ? (double)*(const int64_t *)member : *(const int *)member, key->low,
                      key->high);
    case KEY_REAL:
        return within(*(const double *)member, key->low, key->high);
    case KEY_BOOLEAN:
        return *(const unsigned char *)member <= 1;
    case KEY_CHOICE:
        return within(*(const int *)member, key->first_choice, key->first_choice + choice_count(key) - 1);
    case KEY_CHOICE_NAME:
        return text && is_choice_name(key, member);
    case KEY_NAME:
    case KEY_TEXT:
        return text;
    case KEY_INTEGERS:
        return holds_integers(key, member);
    case KEY_INTERVAL:
        return holds_interval(key, member);
    case KEY_REALS:
        return holds_reals(key, member);
    }
    return false;
}

int config_check(const struct config *config, struct error *error)
{
    for (int i = 0; i < config_key_count; i++)
        if (!config_key_holds(&config_keys[i], config))
            return error_set(error, "a value for %s that no config can give it", config_keys[i].name);
    if (config->pipeline.placement == PLACEMENT_OF_SYSTEM)
        return error_set(error, "a pipeline.placement that is left to the system");
    return 0;
}
