#include "coordinator/complete.h"

#include <string.h>

#include "coordinator/commands.h"
#include "coordinator/documents.h"
#include "coordinator/explain.h"
#include "coordinator/options.h"
#include "network/network.h"
#include "plan/config_keys.h"
#include "schedule/system.h"

/* What has been typed of the word, and what stands before it in its line of output. */
struct completion {
    FILE *out;
    const char *word;
};

static void offer(const struct completion *completion, const char *before, const char *candidate, const char *after)
{
    if (strncmp(candidate, completion->word, strlen(completion->word)) == 0)
        fprintf(completion->out, "%s%s%s\n", before, candidate, after);
}

static const char *system_name(int index)
{
    return index < system_count ? systems[index].name : NULL;
}

/* The last item of a list: what was typed before it stays. */
static void offer_listed(const struct completion *completion, const char *(*name)(int index))
{
    const char *comma = strrchr(completion->word, ',');
    const int kept = comma ? (int)(comma + 1 - completion->word) : 0;
    const struct completion last = {completion->out, completion->word + kept};
    char before[256];

    snprintf(before, sizeof(before), "%.*s", kept, completion->word);
    for (int k = 0; name(k); k++)
        offer(&last, before, name(k), "");
}

static void offer_commands(const struct completion *completion)
{
    for (int v = 0; v < VERBS; v++)
        offer(completion, "", commands[v].name, "");
}

static void offer_options(const struct completion *completion, enum verb verb)
{
    const struct command_line *line = options_line();
    char name[64];

    for (int r = 0; r < line->row_count; r++) {
        snprintf(name, sizeof(name), "--%s", line->rows[r].name);
        if (line->rows[r].verbs & 1 << verb)
            offer(completion, "", name, "");
    }
}

static void offer_keys(const struct completion *completion, const char *after)
{
    for (int k = 0; k < config_key_count; k++)
        offer(completion, "", config_keys[k].name, after);
}

static void offer_values(const struct completion *completion)
{
    const char *equals = strchr(completion->word, '=');
    const struct completion value = {completion->out, equals + 1};
    char name[CONFIG_NAME_MAX * 2], before[CONFIG_NAME_MAX * 2 + 1];

    snprintf(name, sizeof(name), "%.*s", (int)(equals - completion->word), completion->word);
    snprintf(before, sizeof(before), "%s=", name);
    const struct config_key *key = config_key_find(name);
    if (!key)
        return;
    if (key->type == KEY_BOOLEAN) {
        offer(&value, before, "yes", "");
        offer(&value, before, "no", "");
    }
    for (int k = 0; (key->choice || key->choices) && config_key_choice(key, k); k++)
        offer(&value, before, config_key_choice(key, k), "");
}

/* Behind an option that takes a word. */
static void offer_argument(const struct completion *completion, const char *option)
{
    if (strcmp(option, "set") == 0) {
        if (strchr(completion->word, '='))
            offer_values(completion);
        else
            offer_keys(completion, "=");
    } else if (strcmp(option, "systems") == 0 || strcmp(option, "beside") == 0) {
        offer_listed(completion, system_name);
    }
}

static void offer_operand(const struct completion *completion, enum verb verb)
{
    if (commands[verb].operand == OPERAND_NETWORK) {
        offer_listed(completion, network_builtin_name);
    } else if (commands[verb].operand == OPERAND_NAME) {
        char room[SECTION_NAME_MAX];
        const char *name;

        for (int n = 0; (name = explain_name(n, room)) != NULL; n++)
            offer(completion, "", name, "");
    } else if (commands[verb].operand == OPERAND_TOPIC) {
        offer_commands(completion);
        offer_keys(completion, "");
    }
}

/* The option in the word before, if the word after it is its argument; else NULL. */
static const struct option_row *open_option(const char *before)
{
    const struct command_line *line = options_line();

    if (strncmp(before, "--", 2) != 0)
        return NULL;
    for (int r = 0; r < line->row_count; r++)
        if (strcmp(line->rows[r].name, before + 2) == 0 && line->rows[r].argument &&
            line->rows[r].type != OPTION_PERHAPS)
            return &line->rows[r];
    return NULL;
}

void complete_print(FILE *out, char *const *words)
{
    int count = 0;
    enum verb verb = VERB_RUN;

    while (words[count])
        count++;
    if (count == 0)
        return;
    const struct completion completion = {out, words[count - 1]};
    const struct command *command = count > 1 ? command_find(words[0]) : NULL;
    const struct option_row *option = count > 1 ? open_option(words[count - 2]) : NULL;
    if (command)
        verb = (enum verb)(command - commands);
    if (option)
        offer_argument(&completion, option->name);
    else if (completion.word[0] == '-')
        offer_options(&completion, verb);
    else if (count == 1)
        offer_commands(&completion);
    else
        offer_operand(&completion, verb);
}
