/* A config as JSON: {"section": {"key": value}}. */
#ifndef TP_PLAN_CONFIG_JSON_H
#define TP_PLAN_CONFIG_JSON_H

#include <jansson.h>

#include "plan/config.h"

/* All keys. The caller drops the reference. */
json_t *config_json(const struct config *config);

/* The way back. Nothing in it is trusted: each value is one that config_load could have put there. Keys that it does not
 * have, as it is older, are at their defaults. -1 and the first key whose value makes no sense. */
int config_read_json(struct config *config, const json_t *sections, struct error *error);

#endif
