/*
 * Inside the model. Theory of operation
 *
 * An `object` is an identity (kind and id), and stays where it is in memory while it is known; a `version` is one description of it.
 * Objects point at objects, so what refers to one need not be touched when it is replaced.
 *
 * A change collects wanted versions, and then is *carried out in place*: present versions step aside (`before`), wanted ones take
 * their place (`now`), their references are resolved, their unique keys enter the index; then everything is checked in the state in
 * which it would be, and compiled. If anything fails, all is put back in reverse, which needs no memory and cannot fail.
 *
 *	model_change.c	 the order of events, and putting back
 *	model_install.c	 references and keys of a version
 *	model_check.c	 what must hold between objects (spec_check.c: of one alone)
 *	model_compile.c	 what depends on what; groups, ACLs, routes, subnets
 *	model_mappings.c who has an address; what was removed or moved
 *	model_endpoint.c an ENI or NAT of this card, and how it is found
 *	model_root.c	 elastic IPs, VPCs, arrays, maps, and the root
 *
 * What is compiled lives in pieces (piece.h). An object has a `state` (in force) and, while a change is carried out, a `next` one.
 * Pieces that `next` does not take over are retired with the old root, slots as well (model_slots.h).
 */
#ifndef OUTBOARD_VPC_MODEL_PRIVATE_H
#define OUTBOARD_VPC_MODEL_PRIVATE_H

#include "vpc/model.h"
#include "vpc/model_index.h"
#include "vpc/model_slots.h"
#include "vpc/piece.h"
#include "vpc/policy_root.h"

enum { MODEL_ERROR_SIZE = 512 };

struct version {
	struct net_spec spec;
	struct object *object;
	bool installed;
	/* What it refers to, as its kind has it; all NULL until resolved. `vpc`: whose it is. */
	struct object *vpc, *peer, *subnet, *host, *acl, *route_table, *target;
	struct object **targets; /* beside the spec's rules (by group), routes, or an ENI's groups; NULL where there is none */
	struct list eip_link;	 /* elastic IP: of target->eips */
	unsigned key_count;
	struct model_key keys[];
};

struct object_state {
	struct model_lease *lease; /* VPC, host, group, subnet; ENI and NAT of this card */
	const void *compiled;	   /* policy_vpc, _host, _group, _acl, _subnet, _endpoint, _entrance; route table: routes */
	/* VPC */
	const struct policy_map *mappings, *names;
	const struct routes *local_routes;
	/* ENI, NAT */
	const struct policy_mapping *addresses;
	uint32_t address_count;
	const struct policy_door *door;
};

struct map_batch {
	struct policy_map_change *list;
	uint32_t count, size;
};

/* Of a VPC, while a change is carried out. */
struct network {
	struct map_batch mappings, names;
	bool disturbed; /* a flow in it may have been decided by what is no longer so */
	bool reached;	/* likewise, for a peer was disturbed */
};

struct object {
	enum net_kind kind;
	struct uuid id;
	struct model_key key;
	struct list link;	/* of model.objects[kind] */
	struct list local_link; /* of model.locals: has an endpoint */
	struct list eips;	/* versions that point here */
	struct version *now;	/* NULL: not there */
	uint32_t referrers;	/* installed references to it */
	struct object_state state;
	struct network *network;

	/* ---- during a change ---- */
	struct list touch_link; /* of change.touched[kind] */
	bool touched;
	struct version *wanted; /* NULL: to be deleted */
	struct version *before;
	bool working; /* `next` counts; in change.work */
	struct list work_link;
	struct object_state next;
	bool dirty;    /* what others have of it is no longer so */
	bool rerouted; /* as a route's target it is somewhere else */
};

struct model {
	struct model_limits limits;
	struct model_index index;
	struct list objects[NET_KIND_COUNT];
	struct model_slots slots[NET_KIND_COUNT]; /* NET_ENI: endpoints, of NATs too */
	struct list locals;
	struct list live;  /* pieces in force */
	struct list roots; /* oldest first; the last one is present */
	uint64_t mapping_count;
	struct model_change *change;
};

struct model_change {
	struct model *model;
	struct list touched[NET_KIND_COUNT];
	struct list work;
	struct list fresh, retired; /* pieces */
	struct policy_root *root;
	struct map_batch ports, endpoint_ids, publics, host_addresses;
	uint32_t generation;
	struct uuid culprit;
	char error[MODEL_ERROR_SIZE];
};

/* Over the touched objects, in the order of kinds: what is referred to comes first. The body may untouch or free `o`. */
#define touched_for_each(change, o)                                                                                                \
	for (struct object *o = touched_from(change, 0), *o##_next = touched_after(change, o); o != NULL;                          \
	     o = o##_next, o##_next = touched_after(change, o))

static inline struct object *touched_from(const struct model_change *change, unsigned kind)
{
	for (; kind < NET_KIND_COUNT; kind++)
		if (!list_empty(&change->touched[kind]))
			return list_entry(change->touched[kind].next, struct object, touch_link);
	return NULL;
}

static inline struct object *touched_after(const struct model_change *change, const struct object *o)
{
	if (o == NULL)
		return NULL;
	if (o->touch_link.next != &change->touched[o->kind])
		return list_entry(o->touch_link.next, struct object, touch_link);
	return touched_from(change, o->kind + 1);
}

/* Error text: kind, name, and what the caller says. Returns rc. */
int model_fail(struct model_change *change, const struct net_spec *culprit, int rc, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static inline struct object *object_of(struct list *node)
{
	return list_entry(node, struct object, link);
}

/* The state that will be in force. */
static inline const struct object_state *object_state(const struct object *o)
{
	return o->working ? &o->next : &o->state;
}

static inline uint32_t object_slot(const struct object *o)
{
	return object_state(o)->lease == NULL ? POLICY_SLOT_NONE : object_state(o)->lease->slot;
}

static inline struct policy_root *model_root(const struct model *model)
{
	return list_entry(model->roots.prev, struct policy_root, link);
}

/* ---- model.c ---- */
struct object *model_object(const struct model *model, enum net_kind kind, const struct uuid *id); /* NULL: not known */
int model_object_add(struct model *model, enum net_kind kind, const struct uuid *id, struct object **out);
void model_object_remove(struct model *model, struct object *object);
void version_free(struct version *version); /* NULL: nothing */

/* ---- model_install.c ---- */
int version_new(struct net_spec *spec, struct object *object, struct version **out); /* takes the spec's lists. -ENOMEM */
int version_resolve(struct model_change *change, struct version *version);	     /* references and keys; changes nothing else */
int version_install(struct model_change *change, struct version *version); /* -EEXIST: a key is taken; then nothing has happened */
void version_install_again(struct model *model, struct version *version);  /* one that was */
void version_uninstall(struct model *model, struct version *version);
struct net_address version_eip_private(const struct version *version); /* of an ENI's; all zeroes: it has none of that family */
const struct net_address *version_addresses(const struct version *version, unsigned *count); /* of an ENI or NAT */

/* ---- model_check.c ---- */
int model_check(struct model_change *change);

/* ---- model_compile.c, model_mappings.c, model_root.c ---- */
int model_compile(struct model_change *change);
struct object_state *object_work(struct model_change *change, struct object *object);
void change_retire(struct model_change *change, const void *piece); /* NULL: nothing */
int map_batch_add(struct map_batch *batch, struct policy_map_key key, const void *value);
int model_compile_mappings(struct model_change *change);
int model_compile_endpoint(struct model_change *change, struct object *object);
int model_compile_root(struct model_change *change);
struct policy_root *model_root_new(const struct model *model);
void model_root_free(struct policy_root *root);

#endif
