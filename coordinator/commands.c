#include "coordinator/commands.h"

#include <string.h>

const struct command commands[VERBS] = {
    [VERB_RUN] =
        {"run", "[run] CONFIG", "train", OPERAND_CONFIG,
         "Cuts the network into stages, starts a process for each, and trains. Ctrl-C finishes the mini-batches\n"
         "in flight, writes a checkpoint and prints the report; --resume goes on from there.",
         .examples = {"CONFIG", "CONFIG --set pipeline.system=gpipe --epochs 1", "CONFIG --resume",
                      "CONFIG --hosts a:2,b:2"}},
    [VERB_PLAN] =
        {"plan", "plan CONFIG", "print what would happen: stages, weight versions, memory", OPERAND_CONFIG,
         "Trains nothing. Prints each stage's layers, weight versions and memory, the version difference and\n"
         "the bubble; with --grid the schedule on paper, with --svg, --pdf or --png as a picture; with --simulate\n"
         "what it would take in time.",
         .examples = {"plan CONFIG", "plan CONFIG --grid --set pipeline.system=1f1b",
                      "plan CONFIG --svg figure.svg --beside pipedream --versions",
                      "plan CONFIG --simulate --set simulation.link_mbit=1000"}},
    [VERB_COMPARE] = {"compare", "compare CONFIG", "train with several systems in turn, and compare them",
                      OPERAND_CONFIG,
                      "Runs every system on the same seed, partition and data, and prints one table: speed, accuracy,\n"
                      "memory, weight versions, staleness.",
                      .examples = {"compare CONFIG --systems timeprest,pipedream,gpipe --set data.limit=10000"}},
    [VERB_TEST] = {"test", "test RUN", "test what a run's checkpoint has learned", OPERAND_RUN,
                   "RUN is a run's folder, whose newest checkpoint is taken, or one checkpoint, such as\n"
                   "runs/NAME/checkpoints/best. Prints loss and accuracy on the test set, beside those that the run\n"
                   "reported. The config is the checkpoint's; --set changes it, for instance the data or the stages.",
                   .examples = {"test runs/NAME", "test runs/NAME/checkpoints/best --set pipeline.stages=1"}},
    [VERB_SAMPLE] = {"sample", "sample RUN", "write text with what a run's checkpoint has learned", OPERAND_RUN,
                     "RUN is a run's folder, whose newest checkpoint is taken, or one checkpoint. The run must have\n"
                     "trained on data.set = text. Prints the prompt and goes on with it, a byte at a time.",
                     .examples = {"sample runs/NAME --prompt Horse --tokens 400",
                                  "sample runs/NAME/checkpoints/best --temperature 0.5 --seed 2"}},
    [VERB_NETWORK] = {"network", "network [NAME]", "print a network's layers, or list the networks", OPERAND_NETWORK,
                      "NAME is one of those that are listed without it, or a file whose name ends with .net.",
                      .examples = {"network", "network vgg16", "network --types"}},
    [VERB_SYSTEMS] = {"systems", "systems", "list the systems that pipeline.system can name", OPERAND_NONE,
                      "Prints the rules of every system: its order of work, what its forwards and backwards read, its\n"
                      "updates; then a line about each rule, with its formula.",
                      .examples = {"systems"}},
    [VERB_DEVICES] = {"devices", "devices", "list what stages can run on here", OPERAND_NONE,
                      "Prints the CPU and every GPU that works, or why none does.", .examples = {"devices"}},
    [VERB_DEMO] =
        {"demo", "demo", "show half a minute of a pipeline that trains, in this terminal", OPERAND_NONE,
         "Four processes train a small network, slowed down, and tpmon shows them; q or Ctrl-C ends it sooner.\n"
         "It needs no config, and leaves no file.",
         .examples = {"demo"}},
    [VERB_EXPLAIN] =
        {"explain", "explain [NAME]", "say what a system does, or what a word means", OPERAND_NAME,
         "NAME is a system or a word such as bubble, stash or v; without it, all are listed. Pages of systems\n"
         "end with their formulas, and with what a pipeline of four stages holds.",
         .examples = {"explain", "explain timeprest", "explain bubble"}},
    [VERB_HELP] = {"help", "help [TOPIC]", "print this, or about a command, an option or a key", OPERAND_TOPIC,
                   "TOPIC is a command, an option, a key of the config such as pipeline.system, or a section of it\n"
                   "such as pipeline; a system or a word is explained.",
                   .examples = {"help plan", "help --grid", "help pipeline.system"}},
    [VERB_COMPLETE] = {"complete", "complete WORD...", "print what the last word of a command line may become",
                       OPERAND_WORDS,
                       "For shells. The words are those of a command line behind the program, up to the cursor; the\n"
                       "last one may be unfinished, or empty. Where a file is wanted nothing is printed.",
                       .examples = {"complete plan --gr", "complete plan --set pipeline.system="}},
};

const struct command *command_find(const char *name)
{
    for (int v = 0; v < VERBS; v++)
        if (strcmp(commands[v].name, name) == 0)
            return &commands[v];
    return NULL;
}
