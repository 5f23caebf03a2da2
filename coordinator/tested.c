#include "coordinator/tested.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

static json_t *figures_json(double loss, double top1, double top5, bool tokens)
{
    json_t *figures = json_pack("{s:o, s:o, s:o}", "test_loss", real_json(loss), "test_top1", real_json(top1),
                                "test_top5", real_json(top5));

    if (tokens)
        json_object_set_new(figures, "test_perplexity", real_json(exp(loss)));
    return figures;
}

/* Of the epoch whose end the checkpoint is; null if it is in the middle of one, or its test was never made. */
static json_t *reported_json(const struct manifest *manifest, bool tokens)
{
    const struct epoch_result *result = &manifest->epochs[manifest->epoch - 1];

    return manifest_is_tested(manifest) ? figures_json(result->test_loss, result->test_top1, result->test_top5, tokens)
                                        : json_null();
}

json_t *tested_json(const json_t *report, const struct prepared *prepared)
{
    const json_t *epochs = json_object_get(report, "epochs");
    const struct manifest *manifest = &prepared->from.manifest;
    const struct plan *plan = &prepared->plan;
    const json_t *epoch = json_array_get(epochs, (size_t)manifest->epoch - 1);

    if (!epoch)
        return NULL;
    json_t *tested = figures_json(json_number_value(json_object_get(epoch, "test_loss")),
                                  json_number_value(json_object_get(epoch, "test_top1")),
                                  json_number_value(json_object_get(epoch, "test_top5")), plan->data.tokens);
    /* clang-format off */
    json_t *facts = json_pack("{s:o, s:s, s:i, s:i, s:o, s:I, s:i, s:i, s:b, s:o}",
                              "run", text_json(prepared->folder.path),
                              "checkpoint", prepared->from.name,
                              "epoch", manifest->epoch,
                              "updates", manifest->updates,
                              "network", text_json(plan->config.model.arch),
                              "parameters", (json_int_t)prepared->network->parameters,
                              "stages", plan->stage_count,
                              "samples", plan->data.test_count,
                              "data_of_run", plan->data.crc32 == manifest->data_crc32,
                              "reported", reported_json(manifest, plan->data.tokens));
    /* clang-format on */
    json_object_update(tested, facts);
    json_decref(facts);
    return tested;
}

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void print_figures(FILE *out, const json_t *figures)
{
    fprintf(out, "test loss %.4f, ", number(figures, "test_loss"));
    if (json_object_get(figures, "test_perplexity"))
        fprintf(out, "perplexity %.4f, ", number(figures, "test_perplexity"));
    fprintf(out, "top-1 %.2f%%, top-5 %.2f%%", 100.0 * number(figures, "test_top1"),
            100.0 * number(figures, "test_top5"));
}

static bool same_figures(const json_t *one, const json_t *other)
{
    return number(one, "test_loss") == number(other, "test_loss") &&
           number(one, "test_top1") == number(other, "test_top1") &&
           number(one, "test_top5") == number(other, "test_top5");
}

void tested_print_head(FILE *out, const struct prepared *prepared)
{
    const struct plan *plan = &prepared->plan;
    const int stages = plan->stage_count;
    char parameters[32];

    fprintf(out, "testing %s of %s: %s, %s parameters, on %d stage%s\n", prepared->from.name, prepared->folder.path,
            plan->config.model.arch, text_with_commas(prepared->network->parameters, parameters), stages,
            stages == 1 ? "" : "s");
    fflush(out);
}

void tested_print(FILE *out, const json_t *tested)
{
    const json_t *reported = json_object_get(tested, "reported");
    char samples[32];

    print_figures(out, tested);
    fprintf(out, " on %s %s\n", text_with_commas((size_t)number(tested, "samples"), samples),
            json_object_get(tested, "test_perplexity") ? "windows of tokens" : "images");
    if (!json_is_true(json_object_get(tested, "data_of_run"))) {
        fprintf(out, "its run had other data, so that its figures do not compare\n");
    } else if (json_is_null(reported)) {
        fprintf(out, "its run has not tested it\n");
    } else if (same_figures(tested, reported)) {
        fprintf(out, "its run reported the same, to the last bit\n");
    } else {
        fprintf(out, "its run reported ");
        print_figures(out, reported);
        fputc('\n', out);
    }
}
