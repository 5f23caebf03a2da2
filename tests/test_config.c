/* plan/config: every row of the table of keys, every kind of mistake with its place, all of them at once. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network/network.h"
#include "plan/config.h"
#include "plan/config_keys.h"
#include "schedule/parts.h"
#include "schedule/system.h"
#include "tests/support/suite.h"

static struct config config;
static struct config_mistakes mistakes;
static char path[] = "/tmp/tp-config-XXXXXX";

static void make_file(void)
{
    strcpy(path, "/tmp/tp-config-XXXXXX");
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void remove_file(void)
{
    unlink(path);
}

static void write_bytes(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static int load(const char *text, const char *override)
{
    write_bytes(text, strlen(text));
    return config_load(&config, path, &override, override ? 1 : 0, &mistakes);
}

/* "PATH:line: rest", or "PATH: rest" for line 0. */
static void check_mistake(int index, int line, const char *rest)
{
    char expected[CONFIG_MISTAKE_LENGTH];

    if (line > 0)
        snprintf(expected, sizeof(expected), "%s:%d: %s", path, line, rest);
    else
        snprintf(expected, sizeof(expected), "%s: %s", path, rest);
    ck_assert_int_lt(index, mistakes.count);
    ck_assert_msg(strncmp(mistakes.lines[index], expected, strlen(expected)) == 0, "mistake %d is\n%s\nnot\n%s...",
                  index, mistakes.lines[index], expected);
}

START_TEST(defaults_hold_without_a_file)
{
    ck_assert_int_eq(load("", NULL), 0);
    ck_assert_str_eq(config.pipeline.system, "timeprest");
    ck_assert_int_eq(config.pipeline.stages, 4);
    ck_assert_int_eq(config.pipeline.partition.count, 0);
    ck_assert_int_eq(config.pipeline.forward_weights, RULE_OF_SYSTEM);
    ck_assert_int_eq(config.pipeline.backward_weights, RULE_OF_SYSTEM);
    ck_assert_str_eq(config.data.dir, "");
    ck_assert_int_eq(config.run.seed, 1);
    ck_assert(config.train.lr > 0.0199 && config.train.lr < 0.0201);
}
END_TEST

START_TEST(parts_are_the_system_s_unless_somebody_asks)
{
    static const struct {
        const char *text;
        int parts;
        enum placement placement;
    } cases[] = {
        {"", 1, PLACEMENT_LOOP},
        {"system = zb-v", 2, PLACEMENT_V},
        {"placement = auto\nsystem = dualpipe-v\nparts = auto", 2, PLACEMENT_V},
        {"system = interleaved-1f1b", 2, PLACEMENT_LOOP},
        {"system = breadth-first\nparts = 3", 3, PLACEMENT_LOOP},
        {"system = zb-v\nplacement = loop", 2, PLACEMENT_LOOP},
        {"system = zb-v\nparts = 16", 16, PLACEMENT_V},
        {"system = tests/golden/pytorch/interleaved-1f1b.csv", 3, PLACEMENT_LOOP},
        {"system = tests/golden/pytorch/dualpipe-v.csv", 2, PLACEMENT_V},
        {"system = tests/golden/pytorch/dualpipe-v.csv\nplacement = loop", 2, PLACEMENT_LOOP},
        {"system = /nonexistent/x.csv", 1, PLACEMENT_LOOP},
    };
    struct error error;
    char text[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "[pipeline]\n%s\n", cases[i].text);
        ck_assert_msg(load(text, NULL) == 0, "%s", mistakes.lines[0]);
        ck_assert_msg(config.pipeline.parts == cases[i].parts && config.pipeline.placement == (int)cases[i].placement,
                      "%s: %d, %d", cases[i].text, config.pipeline.parts, config.pipeline.placement);
        ck_assert_int_eq(config_check(&config, &error), 0);
    }
    ck_assert_int_eq(load("", "pipeline.parts=17"), -1);
    ck_assert_str_eq(mistakes.lines[0],
                     "--set pipeline.parts: 17 is out of bounds; use a whole number from 1 to 16, or auto");
}
END_TEST

/* What others wrote may not leave open what a config's reader has decided. */
START_TEST(nothing_is_left_to_the_system_in_a_config_that_was_read)
{
    struct error error;

    ck_assert_int_eq(load("", NULL), 0);
    ck_assert_int_eq(config_check(&config, &error), 0);
    config.pipeline.placement = PLACEMENT_OF_SYSTEM;
    ck_assert_int_eq(config_check(&config, &error), -1);
    ck_assert_int_eq(load("", NULL), 0);
    config.pipeline.parts = PARTS_OF_SYSTEM;
    ck_assert_int_eq(config_check(&config, &error), -1);
}
END_TEST

START_TEST(file_and_overrides_fill_every_type)
{
    const char *overrides[] = {"pipeline.stages=3", "data.dir=/a=b;c", "pipeline.stages=5", "run.name=n-1_a.b"};
    static const char text[] = "\xEF\xBB\xBF[run]\r\nseed = 9007199254740991\r\n"
                               "[pipeline] ; comment\nsystem: gpipe\n   stages = 2 # indented is no continuation\n"
                               "\t\n; comment\n# comment\npartition = 5, 3,2 ,1\norder = static\n"
                               "backward_weights = intermediate\nforward_weights=pinned\nvertical_sync = YES\n"
                               "[train]\nlr = 2.5e-1\n[data]\ndir = /x#y\n[run]\nepochs=1000";

    write_bytes(text, sizeof(text) - 1);
    ck_assert_msg(config_load(&config, path, overrides, 4, &mistakes) == 0, "%s", mistakes.lines[0]);
    ck_assert_int_eq(config.run.seed, 9007199254740991);
    ck_assert_str_eq(config.pipeline.system, "gpipe");
    ck_assert_int_eq(config.pipeline.stages, 5);
    ck_assert_int_eq(config.pipeline.partition.count, 4);
    ck_assert_int_eq(config.pipeline.partition.values[0], 5);
    ck_assert_int_eq(config.pipeline.partition.values[2], 2);
    ck_assert_int_eq(config.pipeline.order, RUN_STATIC);
    ck_assert_int_eq(config.pipeline.backward_weights, BACKWARD_INTERMEDIATE);
    ck_assert_int_eq(config.pipeline.forward_weights, FORWARD_PINNED);
    ck_assert(config.pipeline.vertical_sync);
    ck_assert(config.train.lr == 0.25);
    ck_assert_int_eq(config.run.epochs, 1000);
    ck_assert_str_eq(config.data.dir, "/a=b;c");
    ck_assert_str_eq(config.run.name, "n-1_a.b");
}
END_TEST

START_TEST(all_mistakes_are_found_each_with_its_line)
{
    ck_assert_int_eq(load("x = 1\n"
                          "[pipeline\n"
                          "skipped = 1\n"
                          "[nope]\n"
                          "skipped = 2\n"
                          "[pipeline]\n"
                          "stages = 0x4\n"
                          "stages = 5\n"
                          "\n"
                          "just words\n"
                          "system = timeprst\n"
                          "order =\n"
                          "microbatch = 3\n"
                          "[train]\n"
                          "lr = nan\n"
                          "momentum = 1\n"
                          "[data]\n"
                          "augment = maybe\n",
                          "pipeline.stages=1025"),
                     -1);
    ck_assert_int_eq(mistakes.count, 13);
    check_mistake(0, 1, "x: stands before any [section]");
    check_mistake(1, 2, "a section's name ends with \"]\"");
    check_mistake(2, 4, "unknown section [nope]; there are: run, pipeline, ");
    check_mistake(3, 7, "pipeline.stages: \"0x4\" is not a whole number; use one from 1 to 1024");
    check_mistake(4, 8, "pipeline.stages: already given in line 7");
    check_mistake(5, 10, "expected key = value");
    check_mistake(6, 11,
                  "pipeline.system: \"timeprst\" is none of the choices; did you mean timeprest? There are: timeprest, "
                  "v-timeprest");
    check_mistake(7, 12, "pipeline.order: has no value");
    check_mistake(
        8, 13, "pipeline.microbatch: unknown key; did you mean pipeline.microbatches? [pipeline] has: system, stages");
    check_mistake(9, 15, "train.lr: \"nan\" is not a number");
    check_mistake(10, 16, "train.momentum: 1 is out of bounds");
    check_mistake(11, 18, "data.augment: \"maybe\" is none of the choices: no, yes, crop");
    ck_assert_str_eq(mistakes.lines[12],
                     "--set pipeline.stages: 1025 is out of bounds; use a whole number from 1 to 1024");
}
END_TEST

static const struct {
    const char *override, *mistake;
} overridden[] = {
    {"pipeline.stages=1025", "--set pipeline.stages: 1025 is out of bounds; use a whole number from 1 to 1024"},
    {"pipeline.stages=", "--set pipeline.stages: has no value"},
    {"stages=4", "--set stages=4: expected section.key=value"},
    {"pipeline.stages", "--set pipeline.stages: expected section.key=value"},
    {"pipline.stages=4", "--set pipline.stages: unknown section [pipline]; did you mean pipeline? there are: run,"},
    {"pipeline.stgaes=4", "--set pipeline.stgaes: unknown key; did you mean pipeline.stages? [pipeline] has: system,"},
    {"pipeline.batch=4", "--set pipeline.batch: unknown key; did you mean data.batch? [pipeline] has: system,"},
    {"nope.stages=4", "--set nope.stages: unknown section [nope]; there are: run,"},
    {"pipeline.nope=4", "--set pipeline.nope: unknown key; [pipeline] has: system,"},
    {"pipeline.partition=5,,3",
     "--set pipeline.partition: \"5,,3\" is not right; use auto, or for each stage 1 to 10000, such as 5,2,2,2"},
    {"pipeline.partition=5,0",
     "--set pipeline.partition: \"5,0\" is not right; use auto, or for each stage 1 to 10000, such as 5,2,2,2"},
    {"device.map=0,x", "--set device.map: \"0,x\" is not right; use auto, or for each stage 0 to 63 or cpu, such as"},
    {"device.map=64", "--set device.map: \"64\" is not right"},
    {"device.map=cpu,", "--set device.map: \"cpu,\" is not right"},
    {"device.sync=gpu", "--set device.sync: \"gpu\" is none of the choices: event, host"},
    {"run.name=../x", "--set run.name: \"../x\" is not a name"},
    {"run.name=.x", "--set run.name: \".x\" is not a name"},
    {"simulation.forward_ms=1,,2", "--set simulation.forward_ms: \"\" is not a number; use one from 0 to"},
    {"simulation.link_us=1,-1", "--set simulation.link_us: -1 is out of bounds"},
    {"simulation.link_mbit=fast", "--set simulation.link_mbit: \"fast\" is not a number"},
};

START_TEST(overrides_have_a_place_of_their_own)
{
    const char *override = overridden[_i].override, *expected = overridden[_i].mistake;

    ck_assert_int_eq(load("", override), -1);
    ck_assert_int_eq(mistakes.count, 1);
    ck_assert_msg(strncmp(mistakes.lines[0], expected, strlen(expected)) == 0, "%s", mistakes.lines[0]);
}
END_TEST

START_TEST(blanks_around_an_override_s_sign_do_not_matter)
{
    ck_assert_msg(load("", "  pipeline.stages\t =  7 ") == 0, "%s", mistakes.lines[0]);
    ck_assert_int_eq(config.pipeline.stages, 7);
    ck_assert_int_eq(load("", "pipeline.stages = 7 8"), -1);
    ck_assert_str_eq(mistakes.lines[0], "--set pipeline.stages: \"7 8\" is not a whole number; use one from 1 to 1024");
}
END_TEST

/* Every value that a shipped config gives, as text; and that it gives it itself. */
static void load_shipped(struct config *out, const char *name, bool given[CONFIG_KEYS_MAX])
{
    ck_assert_msg(config_load(out, name, NULL, 0, &mistakes) == 0, "%s", mistakes.lines[0]);
    for (int i = 0; i < config_key_count; i++)
        given[i] = mistakes.places[i] > 0;
}

static bool same_value(const struct config *a, const struct config *b, int key)
{
    struct config_value one, other;

    ck_assert(config_get(a, key, &one) && config_get(b, key, &other));
    return one.integer == other.integer && one.real == other.real && one.boolean == other.boolean &&
           strcmp(one.text, other.text) == 0;
}

/* Who leaves a line out gets what the documented config has. */
START_TEST(defaults_are_those_of_the_shipped_config)
{
    bool given[CONFIG_KEYS_MAX];
    struct config defaults;

    ck_assert_int_eq(config_load(&defaults, "/dev/null", NULL, 0, &mistakes), 0);
    load_shipped(&config, "configs/resnet.ini", given);
    for (int i = 0; i < config_key_count; i++)
        ck_assert_msg(same_value(&defaults, &config, i), "%s has another default than configs/resnet.ini",
                      config_keys[i].name);
}
END_TEST

#define PAPERS " run.epochs model.arch model.classes data.set data.dir data.augment train.lr train.warmup_epochs "

static const struct {
    const char *path, *differ;
} variants[] = {
    {"configs/variant1.ini", " pipeline.backward_weights "},
    {"configs/variant2.ini",
     " pipeline.system pipeline.microbatches pipeline.forward_weights pipeline.backward_weights "},
    {"configs/alexnet.ini", " model.arch data.enlarge train.lr "},
    {"configs/vgg16.ini", " model.arch data.enlarge train.lr "},
    {"configs/resnet50.ini", " model.arch data.enlarge train.lr "},
    {"configs/papers/alexnet-cifar100.ini", PAPERS},
    {"configs/papers/alexnet-tiny-imagenet.ini", PAPERS},
    {"configs/papers/resnet50-cifar100.ini", PAPERS},
    {"configs/papers/resnet50-tiny-imagenet.ini", PAPERS},
    {"configs/papers/vgg16-cifar100.ini", PAPERS},
    {"configs/papers/vgg16-tiny-imagenet.ini", PAPERS},
};

/* An ablation compares runs that differ in nothing but what is looked at, and so does another network. A plan follows from its config alone. */
START_TEST(variants_differ_from_resnet_in_the_stated_keys_only)
{
    bool given[CONFIG_KEYS_MAX], given_there[CONFIG_KEYS_MAX];
    struct config resnet;
    char name[64];

    load_shipped(&resnet, "configs/resnet.ini", given_there);
    load_shipped(&config, variants[_i].path, given);
    for (int i = 0; i < config_key_count; i++) {
        snprintf(name, sizeof(name), " %s ", config_keys[i].name);
        bool stated = strstr(variants[_i].differ, name) != NULL;
        ck_assert_msg(same_value(&resnet, &config, i) != stated, "%s:%s%s", variants[_i].path, name,
                      stated ? "is that of resnet.ini" : "differs");
        ck_assert_msg(given[i] || !(given_there[i] || stated), "%s leaves%sout", variants[_i].path, name);
    }
}
END_TEST

START_TEST(later_mistakes_are_placed_where_the_value_came_from)
{
    ck_assert_int_eq(load("[pipeline]\nmicrobatches = 2\nstages = 3\n", "pipeline.stages=4"), 0);
    config_mistake(&mistakes, "pipeline.microbatches", "%d is wrong", 2);
    config_mistake(&mistakes, "pipeline.stages", "%s", "wrong too");
    config_mistake(&mistakes, "data.batch", "wrong by itself");
    ck_assert_int_eq(mistakes.count, 3);
    check_mistake(0, 2, "pipeline.microbatches: 2 is wrong");
    ck_assert_str_eq(mistakes.lines[1], "--set pipeline.stages: wrong too");
    check_mistake(2, 0, "data.batch (by default): wrong by itself");
}
END_TEST

START_TEST(what_is_no_text_is_refused)
{
    ck_assert_int_eq(config_load(&config, "/nonexistent/x.ini", NULL, 0, &mistakes), -1);
    ck_assert_str_eq(mistakes.lines[0], "/nonexistent/x.ini: cannot be opened: No such file or directory");
    ck_assert_int_eq(config_load(&config, "/", NULL, 0, &mistakes), -1);
    ck_assert_str_eq(mistakes.lines[0], "/: cannot be read: Is a directory");

    write_bytes("[run]\nepochs = 1\0\nseed = 3\n", 27);
    ck_assert_int_eq(config_load(&config, path, NULL, 0, &mistakes), -1);
    ck_assert_int_eq(mistakes.count, 1);
    check_mistake(0, 2, "not text");

    write_bytes("\xFF\xFE[\0r\0", 6);
    ck_assert_int_eq(config_load(&config, path, NULL, 0, &mistakes), -1);
    ck_assert_int_eq(mistakes.count, 1);
    check_mistake(0, 0, "is UTF-16; save it as UTF-8");

    ck_assert_int_eq(config_load(&config, "/dev/zero", NULL, 0, &mistakes), -1);
    ck_assert_str_eq(mistakes.lines[0], "/dev/zero: is no config: it has 1048576 bytes or more");

    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(config_load(&config, path, NULL, 0, &mistakes), -1);
    ck_assert_int_eq(mistakes.count, 1);
    check_mistake(0, 0, "is a pipe; a config is a file");
}
END_TEST

static const struct {
    const char *text;
    int line; /* 0: the value 7 is seen by pipeline.stages */
    const char *mistake;
} passed_over[] = {
    {"[pipeline]\rstages = 7\r", 0, NULL},
    {"# x\r[pipeline]\rstages = 7", 0, NULL},
    {"# x\r\n[pipeline]\r\n\r\nstages = 7\r\n", 0, NULL},
    {"\xEF\xBB\xBF  [ pipeline ]\t# x\n\t stages\t=\t7\t; x", 0, NULL},
    {"[pipeline] stages = 7\n", 1, "stages = 7: nothing may stand behind a [section]; give the key a line of its own"},
    {"[pipeline]stages = 7\n", 1, "stages = 7: nothing may stand behind a [section]"},
    {"[pipeline]]\nstages = 7\n", 1, "]: nothing may stand behind a [section]"},
    {"[pipeline stages = 7\n", 1, "a section's name ends with \"]\""},
    {"[]\nstages = 7\n", 1, "unknown section []; there are: run, "},
    {"[pipeline]\nstages 7\n", 2, "expected key = value, a [section] or a comment"},
    {"[pipeline]\n= 7\n", 2, "expected key = value, a [section] or a comment"},
    {"[pipeline]\nstages = 7\\\n", 2, "pipeline.stages: \"7\\\" is not a whole number"},
    {"[pipeline]\nstages = 7 8\n", 2, "pipeline.stages: \"7 8\" is not a whole number"},
    {"[pipeline]\nstages = 7#8\n", 2, "pipeline.stages: \"7#8\" is not a whole number"},
    {"[pipeline]\nstages = 7\x0c\n", 2, "not text"},
    {"[pipeline]\n\x1b[2Jstages = 7\n", 2, "not text"},
    {"# x\r[pipeline]\n\r\nnonsense\r", 4, "expected key = value"},
};

/* Nothing that stands in a file may pass unseen: a line counts, or it is named. */
START_TEST(no_line_is_passed_over)
{
    ck_assert_int_eq(load(passed_over[_i].text, NULL), passed_over[_i].mistake ? -1 : 0);
    if (passed_over[_i].mistake)
        check_mistake(0, passed_over[_i].line, passed_over[_i].mistake);
    else
        ck_assert_int_eq(config.pipeline.stages, 7);
    ck_assert_int_eq(mistakes.count, passed_over[_i].mistake ? 1 : 0);
}
END_TEST

START_TEST(a_line_may_be_long)
{
    static char text[65536];
    strcpy(text, "[simulation]\nforward_ms = ");
    size_t used = strlen(text);

    for (int s = 1; s <= PLANNED_MAX; s++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.15f", s > 1 ? ", " : "", s + 1.0 / 3.0);
    used += (size_t)snprintf(text + used, sizeof(text) - used, "  # ");
    memset(text + used, 'x', sizeof(text) - used);
    text[sizeof(text) - 1] = '\0';
    ck_assert_msg(load(text, NULL) == 0, "%s", mistakes.lines[0]);
    ck_assert_int_eq(config.simulation.forward_ms.count, PLANNED_MAX);
    ck_assert(config.simulation.forward_ms.values[PLANNED_MAX - 1] > 1024.3);

    memcpy(text, "[data]\ndir = /", 14);
    memset(text + 14, 'x', CONFIG_PATH_MAX);
    strcpy(text + 14 + CONFIG_PATH_MAX, "\n[run]\nseed = -1\n");
    ck_assert_int_eq(load(text, NULL), -1);
    ck_assert_int_eq(mistakes.count, 2);
    check_mistake(0, 2, "data.dir: 1025 characters are too many; use at most 1023");
    check_mistake(1, 4, "run.seed: -1 is out of bounds");

    memcpy(text, "[run]\nseed = ", 13);
    memset(text + 13, '1', sizeof(text) - 14);
    ck_assert_int_eq(load(text, NULL), -1);
    check_mistake(0, 2, "run.seed: 65522 characters are more than any key takes");
}
END_TEST

START_TEST(a_flood_of_mistakes_is_counted)
{
    char text[4096] = "";
    char *printed = NULL;
    size_t size;

    for (int i = 0; i < 100; i++)
        strcat(text, "nonsense\n");
    ck_assert_int_eq(load(text, NULL), -1);
    ck_assert_int_eq(mistakes.count, 100);
    FILE *stream = open_memstream(&printed, &size);
    config_mistakes_print(&mistakes, stream);
    fclose(stream);
    ck_assert_ptr_nonnull(strstr(printed, ":32: "));
    ck_assert_ptr_null(strstr(printed, ":33: "));
    ck_assert_ptr_nonnull(strstr(printed, "and 68 more"));
    free(printed);
}
END_TEST

/* A key takes its bounds and refuses what is just outside; a choice is taken by each of its names. */
START_TEST(an_interval_is_of_minibatches_or_of_minutes)
{
    static const char *const wrong[] = {"", "m", "10 m", "10min", "1h", "-1", "-1m", "1.5m", "1000000001", "500mm"};
    const struct config_key *key = config_key_find("checkpoints.every");
    struct config_value value;
    struct error error;

    ck_assert_int_eq(load("[checkpoints]\nevery = 500\n", NULL), 0);
    ck_assert_int_eq(config.checkpoints.every.count, 500);
    ck_assert(!config.checkpoints.every.minutes);
    ck_assert_int_eq(load("[checkpoints]\nevery = 10m\n", NULL), 0);
    ck_assert_int_eq(config.checkpoints.every.count, 10);
    ck_assert(config.checkpoints.every.minutes);
    ck_assert_int_eq(config_check(&config, &error), 0);
    for (int i = 0; config_get(&config, i, &value); i++)
        if (strcmp(value.section, "checkpoints") == 0 && strcmp(value.key, "every") == 0)
            ck_assert_str_eq(value.text, "10m");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_msg(config_key_set(key, &config, wrong[i], &error) == -1, "takes \"%s\"", wrong[i]);
        ck_assert_msg(strstr(error.text, "is not right; use mini-batches, 0 to 1000000000, such as 500, or minutes, "
                                         "such as 10m"),
                      "%s", error.text);
    }
}
END_TEST

START_TEST(each_row_keeps_its_own_word)
{
    const struct config_key *key = &config_keys[_i];
    struct error error;
    char text[64];
    const char *choice;

    ck_assert_ptr_eq(config_key_find(key->name), key);
    ck_assert_ptr_nonnull(key->help);
    ck_assert_uint_le(key->offset + key->size, sizeof(config));
    memset(&config, 0, sizeof(config));
    ck_assert_msg(config_key_set(key, &config, key->fallback, &error) == 0, "%s: %s", key->name, error.text);
    switch (key->type) {
    case KEY_INTEGER:
    case KEY_REAL:
    case KEY_REALS:
    case KEY_INTEGERS:
    case KEY_INTERVAL:
        for (int side = 0; side < 2; side++) {
            double bound = side ? key->high : key->low;

            snprintf(text, sizeof(text), "%.17g", bound);
            ck_assert_msg(config_key_set(key, &config, text, &error) == 0, "%s: %s", key->name, error.text);
            snprintf(text, sizeof(text), "%.17g", side ? bound + 1 : bound - 1);
            if (bound < 1e15)
                ck_assert_msg(config_key_set(key, &config, text, &error) == -1, "%s takes %s", key->name, text);
        }
        break;
    case KEY_CHOICE:
    case KEY_CHOICE_NAME:
        for (int i = 0; (choice = config_key_choice(key, i)) != NULL; i++) {
            struct config_value value;

            ck_assert_int_eq(config_key_set(key, &config, choice, &error), 0);
            ck_assert(config_get(&config, _i, &value));
            ck_assert_int_eq(value.type, CONFIG_TEXT);
            ck_assert_str_eq(value.text, choice);
        }
        break;
    case KEY_NAME:
    case KEY_TEXT:
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        ck_assert_int_eq(config_key_set(key, &config, text, &error), 0);
        ck_assert_str_eq((const char *)&config + key->offset, text);
        break;
    case KEY_BOOLEAN:
        break;
    }
}
END_TEST

/* What config_get says, config_load takes: a config that has gone through JSON is the same config. */
START_TEST(values_read_back_as_they_were_set)
{
    char text[8192] =
        "[run]\nname = x\nseed = 77\n[data]\ndir = /d\nfile = /f\ncache = /c\nlast_batch = drop\n[train]\nlr = 0.1\n"
        "[pipeline]\npartition = 1,2,3,4\nbackward_weights = live\n[simulation]\nforward_ms = 1.25, 3 "
        ",0.1\nlink_us=20\n[device]\nmap = 0, cpu,3,cpu\ntf32 = no\n[model]\ninit = /i.safetensors\n";
    struct config first;
    struct config_value value;
    int count = 0;

    ck_assert_int_eq(load(text, NULL), 0);
    ck_assert_int_eq(config.simulation.forward_ms.count, 3);
    ck_assert(config.simulation.forward_ms.values[1] == 3.0);
    ck_assert_int_eq(config.simulation.backward_ms.count, 0);
    ck_assert_int_eq(config.simulation.link_mbit.count, 0);
    ck_assert_int_eq(config.device.map.count, 4);
    ck_assert_int_eq(config.device.map.values[1], MAP_CPU);
    ck_assert_int_eq(config.device.map.values[2], 3);
    memcpy(&first, &config, sizeof(first)); /* padding too */
    text[0] = '\0';
    for (; config_get(&first, count, &value); count++) {
        size_t used = strlen(text);

        used += (size_t)snprintf(text + used, sizeof(text) - used, "[%s]\n%s = ", value.section, value.key);
        if (value.type == CONFIG_INTEGER)
            snprintf(text + used, sizeof(text) - used, "%lld\n", (long long)value.integer);
        else if (value.type == CONFIG_REAL)
            snprintf(text + used, sizeof(text) - used, "%.17g\n", value.real);
        else
            snprintf(text + used, sizeof(text) - used, "%s\n",
                     value.type == CONFIG_TEXT ? value.text : (value.boolean ? "yes" : "no"));
    }
    ck_assert_int_eq(count, config_key_count);
    ck_assert_msg(load(text, NULL) == 0, "%s", mistakes.lines[0]);
    ck_assert_mem_eq(&first, &config, sizeof(config));
}
END_TEST

START_TEST(keys_are_printed_with_their_bounds)
{
    char *printed = NULL;
    size_t size;
    FILE *stream = open_memstream(&printed, &size);

    config_print_keys(stream);
    fclose(stream);
    for (int i = 0; i < config_key_count; i++)
        ck_assert_msg(strstr(printed, strchr(config_keys[i].name, '.') + 1) != NULL, "%s", config_keys[i].name);
    ck_assert_ptr_nonnull(strstr(printed, "default 4; 1 to 1024\n"));
    ck_assert_ptr_nonnull(strstr(printed, "default 64; 1 to 65536 samples\n"));
    ck_assert_ptr_nonnull(strstr(printed, "default static; dynamic, static\n"));
    for (int n = 0; network_builtin_name(n); n++)
        ck_assert_msg(strstr(printed, network_builtin_name(n)) != NULL, "model.arch's help does not list %s",
                      network_builtin_name(n));
    free(printed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");

    tcase_add_checked_fixture(tcase, make_file, remove_file);
    tcase_add_test(tcase, defaults_hold_without_a_file);
    tcase_add_test(tcase, parts_are_the_system_s_unless_somebody_asks);
    tcase_add_test(tcase, nothing_is_left_to_the_system_in_a_config_that_was_read);
    tcase_add_test(tcase, file_and_overrides_fill_every_type);
    tcase_add_test(tcase, all_mistakes_are_found_each_with_its_line);
    tcase_add_loop_test(tcase, overrides_have_a_place_of_their_own, 0, COUNT(overridden));
    tcase_add_loop_test(tcase, no_line_is_passed_over, 0, COUNT(passed_over));
    tcase_add_test(tcase, a_line_may_be_long);
    tcase_add_test(tcase, blanks_around_an_override_s_sign_do_not_matter);
    tcase_add_test(tcase, defaults_are_those_of_the_shipped_config);
    tcase_add_loop_test(tcase, variants_differ_from_resnet_in_the_stated_keys_only, 0, COUNT(variants));
    tcase_add_test(tcase, later_mistakes_are_placed_where_the_value_came_from);
    tcase_add_test(tcase, what_is_no_text_is_refused);
    tcase_add_test(tcase, a_flood_of_mistakes_is_counted);
    tcase_add_test(tcase, an_interval_is_of_minibatches_or_of_minutes);
    tcase_add_loop_test(tcase, each_row_keeps_its_own_word, 0, config_key_count);
    tcase_add_test(tcase, values_read_back_as_they_were_set);
    tcase_add_test(tcase, keys_are_printed_with_their_bounds);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
