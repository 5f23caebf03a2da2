/* The plan for the eye (tables, the grid) and for scripts (JSON). */
#ifndef TP_COORDINATOR_SHOW_PLAN_H
#define TP_COORDINATOR_SHOW_PLAN_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"
#include "plan/plan.h"

void plan_print(FILE *out, const struct plan *plan, const struct network *network);

/* Plays `schedule`, the plan's or one of its mini-batches, in ticks that can be drawn: with the times that pipeline.static
 * names, measured ones as nominal ones. The caller owns the simulation. */
int plan_simulate_ticks(const struct plan *plan, const struct schedule *schedule, struct simulation **out,
                        struct error *error);

/* One line per stage for the first `ticks` of a simulation in unit or nominal times, words in columns. */
int grid_print(FILE *out, const struct schedule *schedule, const struct simulation *simulation, int ticks,
               bool versions, struct error *error);

/* One line per stage for the first `ticks` of an epoch of `minibatches` mini-batches.
 * 0 ticks: until stage 1 is done with three mini-batches; 0 mini-batches: as many as the plan has. `versions`: each op says
 * which it reads and makes: "2B:1", "2:1>2". */
enum { GRID_MINIBATCHES = 3 };
int plan_print_grid(FILE *out, const struct plan *plan, int ticks, int minibatches, bool versions, struct error *error);

/* The versions that each part of a stage (1..) holds, tick by tick, and who still reads each of them. Ticks and mini-batches
 * as for the grid. */
int plan_print_ledger(FILE *out, const struct plan *plan, int stage, int ticks, int minibatches, struct error *error);

/* Writes the schedule as a schedule file (docs/schedule-files.md): in PyTorch's form, if that can say it. So many
 * mini-batches as for the grid; 0: enough for a period, or one where the order flushes. */
int plan_write_csv(FILE *out, const struct plan *plan, int minibatches, struct error *error);

/* The report of a run adds its own members to this object. NULL if out of memory; the caller drops the reference. */
json_t *plan_json(const struct plan *plan, const struct network *network);

/* The sum of bytes by category. */
size_t memory_total(const size_t memory[MEMORY_CATEGORIES]);

/* "gpu 0" or "cpu". */
const char *place_text(const struct plan *plan, int stage, char text[16]);

/* The right end of a table's head and rows, one per stage: where each runs and its link, if any is on a GPU; and the
 * newline. */
void place_print_head(FILE *out, const struct plan *plan, int indent);
void place_print(FILE *out, const struct plan *plan, int part);

/* {"weights": .., "total": ..} from bytes by category. */
json_t *memory_json(const size_t memory[MEMORY_CATEGORIES]);

#endif
