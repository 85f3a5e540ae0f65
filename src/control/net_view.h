/* Objects of VPCs as the API shows them. */
#ifndef OUTBOARD_CONTROL_NET_VIEW_H
#define OUTBOARD_CONTROL_NET_VIEW_H

#include "control/store_net.h"

json_t *net_view(struct store *store, const struct net_row *row); /* with the long list when the row has it; NULL: damaged */
json_t *net_attachment_view(const struct net_attachment_row *row);

#endif
