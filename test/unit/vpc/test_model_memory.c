/*
 * No memory, at every place where some is asked for: a change fails as a whole, what was before is as it was, nothing leaks, and the
 * same change works when there is memory again. The linker leads the allocators here (--wrap).
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_rig.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static long left = -1; /* allocations that still work; -1: all */

static bool refused(void)
{
	if (left < 0)
		return false;
	if (left == 0)
		return true;
	left--;
	return false;
}

void *__wrap_malloc(size_t size)
{
	return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return refused() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return refused() ? NULL : __real_aligned_alloc(alignment, size);
}

enum { SPECS_MAX = 160 };

/* Drawn up while there is memory. */
struct specs {
	struct net_spec list[SPECS_MAX];
	unsigned count;
};

static void draw(struct specs *s, struct net_spec spec)
{
	assert_true(s->count < SPECS_MAX);
	s->list[s->count++] = spec;
}

/* All kinds, in a first and in a second edition that differs everywhere. */
static void draw_all(struct specs *s, bool second)
{
	struct net_spec spec;
	char name[16], address[16];

	s->count = 0;
	draw(s, spec_host("h1", second ? "192.0.2.3" : "192.0.2.1"));
	draw(s, spec_vpc("a", second ? 200 : 100, "10.0.0.0/16", second ? "fd00:1::/64" : NULL));
	draw(s, spec_vpc("b", 101, "10.1.0.0/16", NULL));
	draw(s, spec_peering("ab", "a", "b"));
	spec = spec_group("web", "a");
	spec_rule(&spec, false, IPPROTO_TCP, 80, second ? 81 : 80, "0.0.0.0/0");
	spec_rule(&spec, true, NET_PROTOCOL_ANY, 0, 65535, "::/0");
	spec_rule_group(&spec, false, IPPROTO_UDP, 53, 53, "web");
	draw(s, spec);
	spec = spec_acl("acl", "a");
	spec_rule(&spec, false, IPPROTO_TCP, 80, second ? 81 : 80, "0.0.0.0/0");
	draw(s, spec);
	spec = spec_route_table("rt", "a");
	spec_route(&spec, second ? "0.0.0.0/1" : "0.0.0.0/0", ROUTE_NAT, "nat");
	spec_route(&spec, "10.1.0.0/16", ROUTE_PEERING, "ab");
	spec_route(&spec, "2001:db8::/32", ROUTE_BLACKHOLE, NULL);
	draw(s, spec);
	spec = spec_subnet("s1", "a", "10.0.1.0/24", NULL);
	spec.subnet.has_acl = spec.subnet.has_route_table = true;
	spec.subnet.acl = rig_id(NET_ACL, "acl");
	spec.subnet.route_table = rig_id(NET_ROUTE_TABLE, "rt");
	draw(s, spec);
	spec = spec_eni("one", "s1", second ? 11 : 1, "10.0.1.5", NULL);
	spec_eni_group(&spec, "web");
	draw(s, spec);
	draw(s, spec_nat("nat", "s1", 2, second ? "10.0.1.8" : "10.0.1.7"));
	draw(s, spec_eip("ip", second ? "203.0.113.9" : "203.0.113.1", NET_ENI, "one", NULL));
	for (unsigned i = 0; i < 90; i++) { /* enough for shards and tables to grow */
		snprintf(name, sizeof(name), "far-%u", i);
		snprintf(address, sizeof(address), "10.0.1.%u", 100 + i);
		spec = spec_eni(name, "s1", (uint8_t)(100 + i), address, NULL);
		spec.eni.mac.bytes[4] = second;
		spec_eni_remote(&spec, "h1");
		if (!second || i % 2 == 0)
			draw(s, spec);
	}
}

static void specs_free(struct specs *s)
{
	for (unsigned i = 0; i < s->count; i++)
		net_spec_free(&s->list[i]);
	s->count = 0;
}

/* A reset and the second edition, with `works` allocations. 0, or -ENOMEM. */
static int try_change(struct model *model, struct specs *s, long works, const struct policy **next)
{
	struct model_change *change;
	struct uuid culprit;
	char error[512];
	int rc;

	left = works;
	rc = model_change_begin(model, &change);
	if (rc < 0)
		goto done;
	rc = model_change_reset(change);
	for (unsigned i = 0; rc == 0 && i < s->count; i++)
		rc = model_change_put(change, &s->list[i]);
	if (rc < 0)
		model_change_cancel(change);
	else
		rc = model_change_finish(change, next, &culprit, error, sizeof(error));
done:
	left = -1;
	return rc;
}

static void assert_first_edition(struct model_rig *r, const struct policy_endpoint *one, const struct policy *root)
{
	struct net_address a = rig_address("10.0.1.101"), public_address = rig_address("203.0.113.1");
	struct uuid id = rig_id(NET_VPC, "a");
	struct mac mac = {{2, 0, 0, 0, 0, 1}};

	assert_ptr_equal(model_policy(r->model), root);
	assert_ptr_equal(rig_endpoint(r, NET_ENI, "one"), one);
	assert_ptr_equal(policy_port_find(root, 100, &mac), one);
	assert_ptr_equal(policy_public_find(root, &public_address, &a), one);
	a = rig_address("10.0.1.101");
	assert_string_equal(policy_mapping_find(root, one->subnet->vpc_slot, &a)->name, "far-1");
	assert_int_equal(model_find(r->model, NET_VPC, &id)->vpc.vni, 100);
}

static void a_change_fails_as_a_whole(void **state)
{
	const struct policy_endpoint *one;
	const struct policy *next, *root;
	struct specs *s = calloc(1, sizeof(*s));
	struct model_rig r;
	long works = 0;
	int rc;

	(void)state;
	assert_non_null(s);
	rig_create(&r, NULL);
	draw_all(s, false);
	assert_int_equal(try_change(r.model, s, -1, &next), 0);
	specs_free(s);
	model_release(r.model, r.policy);
	r.policy = root = next;
	one = rig_endpoint(&r, NET_ENI, "one");
	for (;; works++) {
		draw_all(s, true);
		rc = try_change(r.model, s, works, &next);
		specs_free(s);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_first_edition(&r, one, root);
	}
	assert_true(works > 200);
	r.policy = next;
	assert_int_equal(rig_endpoint(&r, NET_ENI, "one")->mac.bytes[5], 11);
	model_release(r.model, root);
	rig_destroy(&r);
	free(s);
}

static void a_model_needs_memory_too(void **state)
{
	struct model *model;
	int rc = -ENOMEM;

	(void)state;
	for (long works = 0; rc < 0; works++) {
		left = works;
		rc = model_create(&model, NULL);
		left = -1;
		assert_true(rc == 0 || rc == -ENOMEM);
	}
	model_free(model);
	model_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_change_fails_as_a_whole), cmocka_unit_test(a_model_needs_memory_too)};

	return cmocka_run_group_tests_name("model without memory", tests, NULL, NULL);
}
