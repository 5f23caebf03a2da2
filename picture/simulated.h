/* A simulated schedule as a panel: what would happen, in ticks or in nanoseconds. */
#ifndef TP_PICTURE_SIMULATED_H
#define TP_PICTURE_SIMULATED_H

#include "picture/panel.h"
#include "schedule/simulate.h"

/* The ops that begin before `length`, with the versions that they read and make; `schedule` is what was simulated of the
 * plan, with its ops kept. Says system, W and N in the title. -1 if out of memory. */
int panel_of_simulation(struct panel **out, const struct plan *plan, const struct schedule *schedule,
                        const struct simulation *simulation, uint64_t length, struct error *error);

#endif
