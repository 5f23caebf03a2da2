/* tpcoord network as a user meets it: tables and JSON that agree with the network's own numbers, and wrong input in a line
 * each. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "network/network.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"

static struct program program;

static void set_up(void)
{
    program_set_up(&program);
}

static void tear_down(void)
{
    program_tear_down(&program);
}

static void run(const char *words)
{
    ck_assert_msg(program_run(&program, words) == 0, "%s: %s", words, program_text(&program, "err"));
    ck_assert_str_eq(program_text(&program, "err"), "");
}

static void assert_says(const char *file, const char *text)
{
    ck_assert_msg(strstr(program_text(&program, file), text) != NULL, "no \"%s\" in: %s", text,
                  program_text(&program, file));
}

START_TEST(every_network_is_listed_with_what_it_is)
{
    char line[128];

    run("network");
    for (int n = 0; network_builtin_name(n); n++) {
        snprintf(line, sizeof(line), "%s%s ", n > 0 ? "\n" : "", network_builtin_name(n));
        assert_says("out", line);
    }
    assert_says("out", " ResNet-20 for small images (He et al., CVPR 2016, section 4.2)\n");
}
END_TEST

START_TEST(every_type_is_listed_with_its_arguments)
{
    run("network --types");
    for (int kind = 0; kind < LAYER_KINDS; kind++) {
        const struct layer_type *type = layer_type_of((enum layer_kind)kind);

        assert_says("out", type->name);
        assert_says("out", type->summary);
        for (int k = 0; k < LAYER_ARGUMENTS_MAX && type->arguments[k].name; k++)
            assert_says("out", type->arguments[k].name);
    }
    assert_says("out", " channels     1 to 65536\n");
    assert_says("out", " stride       1 to 11; default 1\n");
}
END_TEST

/* Numbers that were worked out by hand: a residual block of 32 channels behind one of 16. */
START_TEST(a_table_says_what_was_fused_and_what_it_costs)
{
    run("network resnet8");
    assert_says("out", "77,754 parameters, 20 layers in 5 blocks\nimages    28 x 28 x 1, 10 classes\n");
    assert_says("out", "batch_norm + relu ");
    assert_says("out", "batch_norm + add input + relu ");
    assert_says("out", "batch_norm conv2 + add shortcut_bn + relu ");
    assert_says("out",
                "convolution input channels=32 kernel=1 stride=2  14 x 14 x 32            512       0.201       0.401");
    run("network vgg16 --set data.enlarge=yes --set model.classes=100");
    assert_says("out", "images    32 x 32 x 3, 100 classes\n");
    run("network mlp --set model.depth=4 --set model.width=32 --set data.set=synthetic --set data.synthetic_size=64 "
        "--set data.synthetic_channels=3");
    assert_says("out", "depth = 4, width = 32\nimages    64 x 64 x 3");
}
END_TEST

static double sum(const json_t *objects, const char *key)
{
    double value = 0.0;
    size_t index;
    const json_t *object;

    json_array_foreach(objects, index, object)
    {
        value += json_number_value(json_object_get(object, key));
    }
    return value;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

START_TEST(json_adds_up)
{
    static const char *const keys[] = {"parameters", "forward_flops", "backward_flops"};
    size_t index;
    json_t *block;

    run("network resnet20 --json ~/network.json");
    json_t *root = program_json(&program, "network.json"), *blocks = json_object_get(root, "blocks");
    ck_assert_int_eq((int)json_array_size(blocks), 11);
    ck_assert_double_eq(number(root, "parameters"), 269722 + 2752 - 9 * 2 * 16);
    for (int k = 0; k < 3; k++)
        ck_assert_double_eq_tol(sum(blocks, keys[k]), number(root, keys[k]), 0.5);
    json_array_foreach(blocks, index, block)
    {
        for (int k = 0; k < 3; k++)
            ck_assert_double_eq_tol(sum(json_object_get(block, "layers"), keys[k]), number(block, keys[k]), 0.5);
    }
    block = json_array_get(blocks, 4);
    ck_assert_str_eq(json_string_value(json_object_get(block, "name")), "block4");
    const json_t *last = json_array_get(json_object_get(block, "layers"), 5);
    ck_assert_str_eq(json_string_value(json_object_get(last, "name")), "block4.bn2");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(last, "reads"), 1)), "block4.shortcut_bn");
    ck_assert(json_is_true(json_object_get(last, "add")) && json_is_true(json_object_get(last, "relu")));
    json_decref(root);
}
END_TEST

START_TEST(networks_of_tokens_are_shown_with_text)
{
    run("network llama-1.5m");
    assert_says("out",
                "          1,517,696 parameters, 131 layers in 11 blocks\ntokens    256, of a vocabulary of 256;");
    assert_says("out", "attention q k self_attn.v_proj heads=4 kv_heads=2 ");
    run("network tinyllama --set model.classes=32000 --set data.context=2048");
    assert_says(
        "out", "          1,100,048,384 parameters, 355 layers in 25 blocks\ntokens    2048, of a vocabulary of 32000");
}
END_TEST

START_TEST(wrong_input_is_told)
{
    static const char *const cases[][2] = {
        {"network vgg", "tpcoord: \"vgg\" is none of the choices; did you mean vgg16? "},
        {"network no.net", "tpcoord: no.net cannot be read: No such file or directory\n"},
        {"network mlp resnet8", "tpcoord: what is \"resnet8\"? usage: tpcoord network [NAME]\n"},
        {"network --json -", "tpcoord: which network? usage: tpcoord network [NAME]\n"},
        {"network mlp --types", "tpcoord: --types is about all networks; it takes no name\n"},
        {"plan @ --types", "tpcoord: --types does not go with tpcoord plan\n"},
        {"network mlp --grid", "tpcoord: --grid does not go with tpcoord network\n"},
        {"network mlp --set model.depth=x", "--set model.depth: \"x\" is not a whole number"},
        {"network mlp --set model.depth=1024 --set model.width=65537",
         "networks/mlp.net:3: model.width = 65537 is out"},
        {"network resnet8 --set model.depth=3", "networks/resnet8.net:"},
        {"network mlp --set data.set=idx", "tpcoord: data.set = idx does not say what its images are like"},
        {"network vgg16", "networks/vgg16.net:"},
        {"network /dev/null.net", "tpcoord: /dev/null.net cannot be read"},
    };

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        ck_assert_msg(program_run(&program, cases[k][0]) == 2, "%s", cases[k][0]);
        assert_says("err", cases[k][1]);
        ck_assert_str_eq(program_text(&program, "out"), "");
        const char *err = program_text(&program, "err");
        ck_assert_uint_eq(strcspn(err, "\n") + 1, strlen(err));
    }
}
END_TEST

static void write_network(const char *text, size_t size)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/own.net", program.folder);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(an_own_file_is_shown_and_trained)
{
    static const char text[] = "input image\nblock a\nx = linear units=8\nrelu = relu\nblock b\n"
                               "y = linear units=8\nblock c\nz = linear units=classes\nloss cross_entropy\n";
    static const char wrong[] = "input image\nblock a\nx = rlu\nblock b\ny = linear units=0\nloss cross_entropy\n";

    write_network(text, strlen(text));
    run("network ~/own.net");
    assert_says("out", "linear units=8 + relu");
    run("@ --quiet --set model.arch=~/own.net");
    write_network(wrong, strlen(wrong));
    ck_assert_int_eq(program_run(&program, "network ~/own.net"), 2);
    assert_says("err", "own.net:3: there is no layer type rlu; ");
    assert_says("err", "own.net:5: units=0 is out of bounds; use 1 to 1048576\n");
    ck_assert_int_eq(program_run(&program, "plan @ --set model.arch=~/own.net"), 2);
    assert_says("err", "own.net:5: units=0 is out of bounds; use 1 to 1048576\n");
}
END_TEST

/* From end to end: a plan for the larger images, and a run on them. */
START_TEST(enlarged_images_train)
{
    run("plan @ --set data.enlarge=yes");
    assert_says("out", " images of 32 x 32 x 3\n");
    run("@ --quiet --set data.enlarge=yes --set model.arch=template --json ~/report.json");
    json_t *report = program_json(&program, "report.json");
    const json_t *input = json_object_get(json_object_get(report, "network"), "input");
    ck_assert_int_eq((int)json_integer_value(json_array_get(input, 0)), 32);
    ck_assert_int_eq((int)json_integer_value(json_array_get(input, 2)), 3);
    json_decref(report);
}
END_TEST

START_TEST(files_that_are_no_text_are_refused)
{
    static char large[NETWORK_TEXT_MAX];

    write_network("input image\0block a\n", 20);
    ck_assert_int_eq(program_run(&program, "network ~/own.net"), 2);
    assert_says("err", "own.net: is no text: it has bytes of 0\n");
    memset(large, '\n', sizeof(large));
    write_network(large, sizeof(large));
    ck_assert_int_eq(program_run(&program, "network ~/own.net"), 2);
    assert_says("err", "own.net: has 65536 bytes; a network file has at most 65535\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tpcoord network");
    TCase *tests = tcase_create("tpcoord network");

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_network_is_listed_with_what_it_is);
    tcase_add_test(tests, every_type_is_listed_with_its_arguments);
    tcase_add_test(tests, a_table_says_what_was_fused_and_what_it_costs);
    tcase_add_test(tests, json_adds_up);
    tcase_add_test(tests, networks_of_tokens_are_shown_with_text);
    tcase_add_test(tests, wrong_input_is_told);
    tcase_add_test(tests, an_own_file_is_shown_and_trained);
    tcase_add_test(tests, enlarged_images_train);
    tcase_add_test(tests, files_that_are_no_text_are_refused);
    suite_add_tcase(suite, tests);

    return run_suite(suite);
}
