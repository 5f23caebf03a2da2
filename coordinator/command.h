/* What each of tpcoord's commands does; coordinator/commands.h says what they are called. */
#ifndef TP_COORDINATOR_COMMAND_H
#define TP_COORDINATOR_COMMAND_H

#include <jansson.h>
#include <stdio.h>

#include "coordinator/options.h"
#include "coordinator/prepare.h"

/* A command, from its options to its exit status: what went wrong has been printed. */
typedef enum exit_status command_function(const struct options *options);

command_function command_run, command_plan, command_compare, command_test, command_sample, command_network,
    command_systems, command_devices, command_demo, command_explain, command_help, command_complete;

/* What commands that plan share: the preparation that the options ask for, and the plan with the devices that it is for, as
 * text and as an object that is the caller's. */
struct preparation command_preparation(const struct options *options);
void command_print_plan(FILE *out, const struct prepared *prepared);
json_t *command_plan_json(const struct prepared *prepared);

#endif
