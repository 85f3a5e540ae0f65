#include "refusal_rig.h"

#include "../cmocka_all.h"

#include <stdio.h>
#include <string.h>

void refusal_put(struct model_rig *r, struct net_spec s)
{
	rig_put(r, &s);
}

struct net_spec refusal_eni(void)
{
	struct net_spec s = spec_eni("one", "s1", 1, "10.0.1.5", "fd00:1::5");

	spec_eni_group(&s, "web");
	return s;
}

struct net_spec refusal_subnet(void)
{
	struct net_spec s = spec_subnet("s1", "a", "10.0.1.0/24", "fd00:1::/80");

	s.subnet.has_acl = s.subnet.has_route_table = true;
	s.subnet.acl = rig_id(NET_ACL, "acl");
	s.subnet.route_table = rig_id(NET_ROUTE_TABLE, "rt");
	return s;
}

struct net_spec refusal_table(void)
{
	struct net_spec s = spec_route_table("rt", "a");

	spec_route(&s, "0.0.0.0/0", ROUTE_NAT, "nat");
	spec_route(&s, "10.1.0.0/16", ROUTE_PEERING, "ab");
	spec_route(&s, "172.16.0.0/12", ROUTE_ENI, "one");
	return s;
}

void refusal_world(struct model_rig *r)
{
	refusal_put(r, spec_host("h1", "192.0.2.1"));
	refusal_put(r, spec_vpc("a", 100, "10.0.0.0/16", "fd00:1::/64"));
	refusal_put(r, spec_vpc("b", 101, "10.1.0.0/16", NULL));
	refusal_put(r, spec_vpc("c", 102, "10.0.0.0/16", NULL));
	refusal_put(r, spec_peering("ab", "a", "b"));
	refusal_put(r, spec_group("web", "a"));
	refusal_put(r, spec_group("gb", "b"));
	refusal_put(r, spec_acl("acl", "a"));
	refusal_put(r, spec_acl("acl-b", "b"));
	refusal_put(r, refusal_table());
	refusal_put(r, spec_route_table("rt-b", "b"));
	refusal_put(r, refusal_subnet());
	refusal_put(r, spec_subnet("s2", "a", "10.0.2.0/24", NULL));
	refusal_put(r, spec_subnet("sb", "b", "10.1.1.0/24", NULL));
	refusal_put(r, spec_subnet("sc", "c", "10.0.1.0/24", NULL));
	refusal_put(r, refusal_eni());
	refusal_put(r, spec_eni("bee", "sb", 1, "10.1.1.5", NULL));
	refusal_put(r, spec_nat("nat", "s2", 4, "10.0.2.7"));
	refusal_put(r, spec_eip("ip", "203.0.113.1", NET_ENI, "one", "10.0.1.5"));
}

/* Afterwards all is as it was: the same, put again, is no change to anybody. */
static void assert_untouched(struct model_rig *r, const struct policy_endpoint *one)
{
	rig_begin(r);
	refusal_world(r);
	rig_commit(r);
	assert_ptr_equal(rig_endpoint(r, NET_ENI, "one"), one);
}

void refusal_check(const struct refusal *c)
{
	struct uuid culprit = rig_id(c->kind, c->culprit);
	const struct policy_endpoint *one;
	char prefix[96];
	struct model_rig r;
	int rc;

	rig_create(&r, NULL);
	rig_begin(&r);
	refusal_world(&r);
	rig_commit(&r);
	one = rig_endpoint(&r, NET_ENI, "one");
	rig_begin(&r);
	c->make(&r);
	rc = rig_try(&r);
	if (rc != c->rc || strstr(r.error, c->says) == NULL)
		fail_msg("expected %d and '%s', got %d and '%s'", c->rc, c->says, rc, r.error);
	snprintf(prefix, sizeof(prefix), "%s '", net_kind_name(c->kind));
	assert_memory_equal(r.error, prefix, strlen(prefix));
	if (memcmp(&r.culprit, &culprit, sizeof(culprit)) != 0)
		fail_msg("'%s' is not said to be of %s", r.error, c->culprit);
	assert_untouched(&r, one);
	rig_destroy(&r);
}
