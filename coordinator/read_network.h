/* A network for tpcoord network: of a name and the overrides of keys, without a config file or a data set. */
#ifndef TP_COORDINATOR_READ_NETWORK_H
#define TP_COORDINATOR_READ_NETWORK_H

#include "network/network.h"

struct named_network {
    struct network *network;
    struct network_options options; /* it was read with these; they point into this struct */
    char text[NETWORK_TEXT_MAX];
};

/* Reads the network that model.arch = `name` means, for images as the data set that the keys name has. -1 after a line on
 * standard error for each mistake; else the caller destroys the network. */
int named_network_read(struct named_network *named, const char *name, const char *const *overrides, int override_count);

#endif
