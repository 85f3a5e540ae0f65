/*
 * What only one object may have: VNIs, MACs and addresses in a VPC, public and underlay addresses. Each is a row of claims, so that
 * two can never have the same, and what is free is found by walking them in order.
 *
 * Of every subnet five addresses are not given to anybody, as with AWS: the network, the gateway, the resolver, one in reserve,
 * and the last.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/net_address.h"
#include "control/net_change.h"

enum { RESERVED_FIRST = 4 };

/* ---- claiming ---- */

static struct net_claim claim_of(const struct net_item *item, enum net_claim_scope scope, const void *value, uint8_t size)
{
	struct net_claim claim = {.scope = scope, .size = size};

	if (scope == CLAIM_MAC || scope == CLAIM_ADDRESS)
		claim.vpc = item->row.vpc;
	memcpy(claim.value, value, size);
	return claim;
}

static int take(struct net_change *change, struct net_item *item, const struct net_claim *claim)
{
	int rc = store_net_claim(change->store, claim, &item->row.id);

	assert(item->claim_count < sizeof(item->claims) / sizeof(item->claims[0]));
	if (rc == 0)
		item->claims[item->claim_count++] = *claim;
	return rc;
}

/* `text`: "Address 10.0.0.1". */
static int claim_or_refuse(struct net_change *change, struct net_item *item, const struct net_claim *claim, const char *what,
			   const char *value, struct failure *failure)
{
	char name[NAME_SIZE];
	enum net_kind kind;
	int rc = take(change, item, claim);

	if (rc == -EEXIST)
		rc = store_net_claim_owner(change->store, claim, &kind, name);
	else if (rc == 0)
		return 0;
	if (rc < 0)
		return store_failure(failure, rc, "claim what it needs");
	return failure_set(failure, ERROR_CONFLICT, "%s %s belongs to %s \"%s\" already.", what, value, net_kinds[kind].word, name);
}

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

static struct net_prefix prefix_of(const json_t *object, const char *field)
{
	const char *text = text_of(object, field);
	struct net_prefix prefix = {0};

	if (text != NULL)
		net_prefix_parse(text, &prefix);
	return prefix;
}

/* ---- addresses ---- */

struct range {
	struct net_address first, last; /* of those that may be given */
};

static struct range usable(const struct net_prefix *prefix)
{
	struct range range = {net_prefix_nth(prefix, RESERVED_FIRST), prefix->address};

	for (unsigned bit = prefix->length; bit < 128; bit++)
		range.last.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	range.last.bytes[15]--; /* the last one itself is reserved; a subnet has three bits at least */
	return range;
}

static int check_in_subnet(const json_t *subnet, const char *subnet_name, const char *text, const struct net_address *address,
			   struct failure *failure)
{
	const char *field = net_address_is_v4(address) ? "cidr" : "cidr6";
	struct net_prefix prefix = prefix_of(subnet, field);
	struct range range = usable(&prefix);

	if (prefix.length == 0 || !net_prefix_contains(&prefix, address))
		return failure_set(failure, ERROR_INVALID_FIELD, "Address %s is not in subnet \"%s\" (%s).", text, subnet_name,
				   prefix.length == 0 ? "which has no IPv6" : text_of(subnet, field));
	if (memcmp(address->bytes, range.first.bytes, 16) < 0 || memcmp(address->bytes, range.last.bytes, 16) > 0)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Address %s is reserved: the first four of subnet \"%s\" and its last one are the card's.", text,
				   subnet_name);
	return 0;
}

static int claim_address(struct net_change *change, struct net_item *item, const char *text, struct failure *failure)
{
	const char *subnet = text_of(item->object, "subnet");
	struct net_address address;
	struct net_claim claim;

	net_address_parse(text, &address);
	if (check_in_subnet(net_change_subnet(change, subnet), subnet, text, &address, failure) < 0)
		return -EINVAL;
	claim = claim_of(item, CLAIM_ADDRESS, address.bytes, sizeof(address.bytes));
	return claim_or_refuse(change, item, &claim, "Address", text, failure);
}

static int claim_addresses(struct net_change *change, struct net_item *item, struct failure *failure)
{
	json_t *list = json_object_get(item->object, "addresses"), *address;
	size_t at;

	json_array_foreach (list, at, address)
		if (claim_address(change, item, json_string_value(address), failure) < 0)
			return -EINVAL;
	return 0;
}

/* The next free one behind the last that was found in the same subnet, or else the first free one. */
static int find_address(struct net_change *change, struct net_item *item, const struct net_prefix *prefix, bool v4, char *text,
			struct failure *failure)
{
	const char *name = text_of(item->object, "subnet");
	struct range range = usable(prefix);
	struct net_claim first = claim_of(item, CLAIM_ADDRESS, range.first.bytes, 16), *last = &change->last_address[v4],
			 claim = first;
	bool go_on = last->size != 0 && memcmp(&last->vpc, &first.vpc, sizeof(first.vpc)) == 0 &&
		     memcmp(last->value, range.first.bytes, 16) >= 0 && memcmp(last->value, range.last.bytes, 16) <= 0;
	struct net_address address;
	int rc = -ENOENT;

	if (go_on) {
		claim = *last;
		rc = store_net_claim_free(change->store, &claim, range.last.bytes);
	}
	if (rc == -ENOENT) {
		claim = first;
		rc = store_net_claim_free(change->store, &claim, range.last.bytes);
	}
	if (rc == 0)
		rc = take(change, item, &claim);
	if (rc == -ENOENT)
		return failure_set(failure, ERROR_LIMIT_REACHED, "Subnet \"%s\" has no free address left.", name);
	if (rc < 0)
		return store_failure(failure, rc, "find a free address");
	*last = claim;
	memcpy(address.bytes, claim.value, sizeof(address.bytes));
	net_address_format(&address, text);
	return 0;
}

static int find_addresses(struct net_change *change, struct net_item *item, struct failure *failure)
{
	const json_t *subnet = net_change_subnet(change, text_of(item->object, "subnet"));
	struct net_prefix prefix = prefix_of(subnet, "cidr"), prefix6 = prefix_of(subnet, "cidr6");
	char text[NET_ADDRESS_TEXT_SIZE];
	json_t *list = json_array();
	int rc;

	json_object_set_new(item->object, "addresses", list);
	rc = find_address(change, item, &prefix, true, text, failure);
	if (rc < 0)
		return rc;
	json_array_append_new(list, json_string(text));
	if (prefix6.length == 0)
		return 0;
	rc = find_address(change, item, &prefix6, false, text, failure);
	if (rc == 0)
		json_array_append_new(list, json_string(text));
	return rc;
}

/* ---- MACs ---- */

static int claim_mac(struct net_change *change, struct net_item *item, struct failure *failure)
{
	const char *text = text_of(item->object, "mac");
	struct net_claim claim;
	struct mac mac;

	mac_parse(text, &mac);
	claim = claim_of(item, CLAIM_MAC, mac.bytes, sizeof(mac.bytes));
	return claim_or_refuse(change, item, &claim, "MAC address", text, failure);
}

/* Locally administered and unicast, of six bytes of the id; of six others, should somebody have that one. */
static int find_mac(struct net_change *change, struct net_item *item, struct failure *failure)
{
	char text[MAC_TEXT_SIZE];
	struct mac mac;
	int rc = -EEXIST;

	for (unsigned at = UUID_BYTES - sizeof(mac.bytes); rc == -EEXIST && at > 0; at--) {
		struct net_claim claim;

		memcpy(mac.bytes, item->row.id.bytes + at, sizeof(mac.bytes));
		mac.bytes[0] = (uint8_t)((mac.bytes[0] & 0xfc) | 2);
		claim = claim_of(item, CLAIM_MAC, mac.bytes, sizeof(mac.bytes));
		rc = take(change, item, &claim);
	}
	if (rc < 0)
		return store_failure(failure, rc, "find a free MAC address");
	mac_format(&mac, text);
	json_object_set_new(item->object, "mac", json_string(text));
	return 0;
}

/* ---- VNIs ---- */

static int claim_vni(struct net_change *change, struct net_item *item, struct failure *failure)
{
	uint32_t vni = htonl((uint32_t)json_integer_value(json_object_get(item->object, "vni")));
	struct net_claim claim = claim_of(item, CLAIM_VNI, &vni, sizeof(vni));
	char text[16];

	snprintf(text, sizeof(text), "%u", ntohl(vni));
	return claim_or_refuse(change, item, &claim, "VNI", text, failure);
}

static int find_vni(struct net_change *change, struct net_item *item, struct failure *failure)
{
	uint32_t first = htonl(NET_VNI_FIRST), last = htonl(NET_VNI_MAX), vni;
	struct net_claim claim = claim_of(item, CLAIM_VNI, &first, sizeof(first));
	uint8_t limit[NET_CLAIM_BYTES] = {0};
	int rc;

	memcpy(limit, &last, sizeof(last));
	rc = store_net_claim_free(change->store, &claim, limit);
	if (rc == 0)
		rc = take(change, item, &claim);
	if (rc < 0)
		return store_failure(failure, rc, "find a free VNI");
	memcpy(&vni, claim.value, sizeof(vni));
	json_object_set_new(item->object, "vni", json_integer(ntohl(vni)));
	return 0;
}

/* ---- all of an object ---- */

static int claim_single(struct net_change *change, struct net_item *item, enum net_claim_scope scope, const char *what,
			struct failure *failure)
{
	const char *text = text_of(item->object, "address");
	struct net_address address;
	struct net_claim claim;

	net_address_parse(text, &address);
	claim = claim_of(item, scope, address.bytes, sizeof(address.bytes));
	return claim_or_refuse(change, item, &claim, what, text, failure);
}

static bool given(const struct net_item *item, const char *field)
{
	const json_t *value = json_object_get(item->object, field);

	return value != NULL && !json_is_null(value);
}

int net_claim_given(struct net_change *change, struct net_item *item, struct failure *failure)
{
	switch (item->row.kind) {
	case NET_VPC:
		return given(item, "vni") ? claim_vni(change, item, failure) : 0;
	case NET_ENI:
		if (given(item, "mac") && claim_mac(change, item, failure) < 0)
			return -EINVAL;
		return claim_addresses(change, item, failure);
	case NET_NAT:
		if (given(item, "mac") && claim_mac(change, item, failure) < 0)
			return -EINVAL;
		return given(item, "address") ? claim_address(change, item, text_of(item->object, "address"), failure) : 0;
	case NET_EIP:
		return claim_single(change, item, CLAIM_PUBLIC, "Public address", failure);
	case NET_HOST:
		return claim_single(change, item, CLAIM_HOST, "Underlay address", failure);
	default:
		return 0;
	}
}

static int find_nat_address(struct net_change *change, struct net_item *item, struct failure *failure)
{
	const json_t *subnet = net_change_subnet(change, text_of(item->object, "subnet"));
	struct net_prefix prefix = prefix_of(subnet, "cidr");
	char text[NET_ADDRESS_TEXT_SIZE];

	if (find_address(change, item, &prefix, true, text, failure) < 0)
		return -EINVAL;
	json_object_set_new(item->object, "address", json_string(text));
	return 0;
}

int net_claim_automatic(struct net_change *change, struct net_item *item, struct failure *failure)
{
	switch (item->row.kind) {
	case NET_VPC:
		return given(item, "vni") ? 0 : find_vni(change, item, failure);
	case NET_ENI:
		if (!given(item, "mac") && find_mac(change, item, failure) < 0)
			return -EINVAL;
		return given(item, "addresses") ? 0 : find_addresses(change, item, failure);
	case NET_NAT:
		if (!given(item, "mac") && find_mac(change, item, failure) < 0)
			return -EINVAL;
		return given(item, "address") ? 0 : find_nat_address(change, item, failure);
	default:
		return 0;
	}
}
