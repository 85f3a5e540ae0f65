/* Policy over live flows: groups with state, ACLs without, changes that cut and changes that let be, slots that change hands. */
#include "../cmocka_all.h"

#include <netinet/in.h>

#include "pipeline_rig.h"

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 0);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

static const struct words ac = {
	.source = "10.0.1.10", .destination = "10.0.2.12", .protocol = IPPROTO_UDP, .source_port = 1000, .destination_port = 53};
static const struct words ca = {
	.source = "10.0.2.12", .destination = "10.0.1.10", .protocol = IPPROTO_UDP, .source_port = 53, .destination_port = 1000};

static void set_groups(struct pipeline_rig *rig, const char *eni, const char *group)
{
	struct net_spec e = eni[0] == 'a'   ? spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10")
			    : eni[0] == 'c' ? spec_eni("c", "far", 12, "10.0.2.12", NULL)
					    : spec_eni("b", "near", 11, "10.0.1.11", "fd00:1::1:11");

	if (group != NULL)
		spec_eni_group(&e, group);
	rig_put(&rig->model, &e);
}

static void change_groups(struct pipeline_rig *rig, const char *eni, const char *group)
{
	rig_begin(&rig->model);
	set_groups(rig, eni, group);
	rig_apply(rig);
}

static void test_answers_pass(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words unasked = ca;

	change_groups(rig, "a", "shut"); /* nothing in */
	assert_int_equal(rig_send(rig, "c", &ca), DROP_GROUP_IN);
	assert_int_equal(rig_drops(rig, "a", DROP_GROUP_IN), 1);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 0); /* a refusal is not remembered */
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	unasked.destination_port = 1001;
	assert_int_equal(rig_send(rig, "c", &unasked), DROP_GROUP_IN);
	assert_int_equal(rig_got(rig, "a"), 1);
}

static void test_no_groups_nothing_passes(void **state)
{
	struct pipeline_rig *rig = *state;

	change_groups(rig, "a", NULL);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_GROUP_IN);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_GROUP_OUT);
}

static void test_group_out_is_refused(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec g = spec_group("narrow", "v");
	struct words w = ac;

	spec_rule(&g, true, IPPROTO_UDP, 53, 53, "10.0.2.0/24");
	rig_begin(&rig->model);
	rig_put(&rig->model, &g);
	set_groups(rig, "a", "narrow");
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	w.destination_port = 54;
	assert_int_equal(rig_send(rig, "a", &w), DROP_GROUP_OUT);
	w = (struct words){.source = "10.0.1.10", .destination = "10.0.1.11", .protocol = IPPROTO_UDP, .destination_port = 53};
	assert_int_equal(rig_send(rig, "a", &w), DROP_GROUP_OUT);
	/* What the groups refuse is not also told whether it would have had a way. */
	w.destination = "10.0.1.77";
	assert_int_equal(rig_send(rig, "a", &w), DROP_GROUP_OUT);
}

static void test_rule_by_group(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec clients = spec_group("clients", "v"), servers = spec_group("servers", "v");
	struct words bc = ac;

	spec_rule(&clients, true, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0");
	spec_rule_group(&servers, false, IPPROTO_UDP, 53, 53, "clients");
	rig_begin(&rig->model);
	rig_put(&rig->model, &clients);
	rig_put(&rig->model, &servers);
	set_groups(rig, "a", "clients");
	set_groups(rig, "c", "servers");
	rig_apply(rig);
	bc.source = "10.0.1.11";
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	assert_int_equal(rig_send(rig, "b", &bc), DROP_GROUP_IN);
	/* a leaves the group: its flow ends; b joins. */
	rig_begin(&rig->model);
	set_groups(rig, "a", "open");
	set_groups(rig, "b", "clients");
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_GROUP_IN);
	assert_int_equal(rig_send(rig, "b", &bc), DROP_NONE);
	/* An answer of c to a's flow, which has ended, begins one, and c may not. */
	assert_int_equal(rig_send(rig, "c", &ca), DROP_GROUP_OUT);
}

static void test_revalidated(void **state)
{
	struct pipeline_rig *rig = *state;

	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE); /* c begins */
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	change_groups(rig, "a", "shut");
	assert_int_equal(rig_send(rig, "c", &ca), DROP_GROUP_IN);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 0);
	/* a's own flow lives on under the new groups. */
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	change_groups(rig, "a", "shut");
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
}

static void test_grandfathered(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec g = spec_group("kind", "v"), empty = spec_group("kind", "v"), strict = spec_group("kind", "v");
	struct words more = ca;

	g.rules.grandfather = empty.rules.grandfather = true;
	spec_rule(&g, false, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0");
	rig_begin(&rig->model);
	rig_put(&rig->model, &g);
	set_groups(rig, "a", "kind");
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	rig_begin(&rig->model);
	rig_put(&rig->model, &empty);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE); /* what is there may stay */
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	more.source_port = 54;
	assert_int_equal(rig_send(rig, "c", &more), DROP_GROUP_IN); /* and nothing new comes */
	/* Until the group is kind no longer. */
	rig_begin(&rig->model);
	rig_put(&rig->model, &strict);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_GROUP_IN);
}

static void put_acl(struct pipeline_rig *rig, bool deny_in, bool deny_out)
{
	struct net_spec acl = spec_acl("acl", "v"), near = spec_subnet("near", "v", "10.0.1.0/24", "fd00:1::1:0/112");
	struct rule_spec *in = spec_rule(&acl, false, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0"), *out;

	in->number = 100;
	in->deny = deny_in;
	out = spec_rule(&acl, true, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0");
	out->number = 100;
	out->deny = deny_out;
	near.subnet.has_route_table = near.subnet.has_acl = true;
	near.subnet.route_table = rig_id(NET_ROUTE_TABLE, "public");
	near.subnet.acl = rig_id(NET_ACL, "acl");
	rig_begin(&rig->model);
	rig_put(&rig->model, &acl);
	rig_put(&rig->model, &near);
	rig_apply(rig);
}

static void test_acl_is_stateless(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words neighbour = {.source = "10.0.1.10", .destination = "10.0.1.11", .protocol = IPPROTO_UDP};

	put_acl(rig, false, false);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	/* Denied in: the flow may go on out, and its answers may not come. */
	put_acl(rig, true, false);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_ACL_IN);
	assert_int_equal(rig_drops(rig, "a", DROP_ACL_IN), 1);
	put_acl(rig, false, true);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_ACL_OUT); /* live flow or not */
	/* Inside the subnet it has nothing to say. */
	assert_int_equal(rig_send(rig, "a", &neighbour), DROP_NONE);
	/* c begins: it comes in, and cannot be answered. */
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_ACL_OUT);
}

static void test_acl_cuts_the_grandfathered(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec g = spec_group("kind", "v");

	g.rules.grandfather = true;
	spec_rule(&g, false, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0");
	rig_begin(&rig->model);
	rig_put(&rig->model, &g);
	set_groups(rig, "a", "kind");
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	put_acl(rig, true, false);
	assert_int_equal(rig_send(rig, "c", &ca), DROP_ACL_IN);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 0);
}

static void test_routes_are_followed(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec table = spec_route_table("public", "v");
	struct words w = {.source = "10.0.1.10", .destination = "203.0.113.7", .protocol = IPPROTO_UDP, .source_port = 7};

	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	spec_route(&table, "0.0.0.0/0", ROUTE_INTERNET, NULL);
	spec_route(&table, "203.0.113.0/24", ROUTE_BLACKHOLE, NULL);
	rig_begin(&rig->model);
	rig_put(&rig->model, &table);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_ROUTE);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 0);
	w.source = "203.0.113.7";
	w.destination = "198.51.100.10";
	assert_int_equal(rig_wire(rig, &w), DROP_NO_ROUTE); /* nor is it heard */
}

/* A neighbour moves to another card: flows follow. */
static void test_move(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec b = spec_eni("b", "near", 11, "10.0.1.11", "fd00:1::1:11");
	struct words w = {.source = "10.0.1.10", .destination = "10.0.1.11", .protocol = IPPROTO_UDP, .source_port = 7};

	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig_got(rig, "b"), 1);
	spec_eni_group(&b, "open");
	spec_eni_remote(&b, "other");
	rig_begin(&rig->model);
	rig_delete(&rig->model, NET_EIP, "eip-b");
	rig_put(&rig->model, &b);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig->wire->frame_count, 1);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows_created, 1);
}

static void test_peering(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec vpc = spec_vpc("w", 5000, "10.9.0.0/16", NULL), subnet = spec_subnet("ws", "w", "10.9.1.0/24", NULL);
	struct net_spec table = spec_route_table("public", "v"), back = spec_route_table("wt", "w");
	struct net_spec eni = spec_eni("x", "ws", 40, "10.9.1.40", NULL), far = spec_eni("y", "ws", 41, "10.9.1.41", NULL);
	struct net_spec peering = spec_peering("vw", "v", "w"), open = rig_open_group("wide", "w");
	struct words w = {.source = "10.0.1.10", .destination = "10.9.1.40", .protocol = IPPROTO_UDP, .source_port = 7};
	struct words answer = {.source = "10.9.1.40", .destination = "10.0.1.10", .protocol = IPPROTO_UDP, .destination_port = 7};

	subnet.subnet.has_route_table = true;
	subnet.subnet.route_table = rig_id(NET_ROUTE_TABLE, "wt");
	spec_eni_remote(&far, "other");
	spec_eni_group(&eni, "wide");
	spec_route(&table, "10.9.0.0/16", ROUTE_PEERING, "vw");
	spec_route(&back, "10.0.0.0/16", ROUTE_PEERING, "vw");
	rig_begin(&rig->model);
	rig_put(&rig->model, &vpc);
	rig_put(&rig->model, &open);
	rig_put(&rig->model, &peering);
	rig_put(&rig->model, &back);
	rig_put(&rig->model, &table);
	rig_put(&rig->model, &subnet);
	rig_put(&rig->model, &eni);
	rig_put(&rig->model, &far);
	rig_apply(rig);
	rig_guest(rig, "x");
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig_got(rig, "x"), 1);
	assert_int_equal(rig_send(rig, "x", &answer), DROP_NONE);
	assert_int_equal(rig_got(rig, "a"), 1);
	/* On another card: in the VNI of the VPC where it ends. */
	w.destination = "10.9.1.41";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(get_be32(rig_wire_last(rig)->bytes + 46) >> 8, 5000);
	/* Without a peering, two VPCs never meet, whatever the addresses. */
	table = spec_route_table("public", "v");
	back = spec_route_table("wt", "w");
	rig_begin(&rig->model);
	rig_put(&rig->model, &table);
	rig_put(&rig->model, &back);
	rig_delete(&rig->model, NET_PEERING, "vw");
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_ROUTE);
	assert_int_equal(rig_send(rig, "x", &answer), DROP_NO_ROUTE);
}

/* The slot of an ENI that is gone is another's: none of the old one's flows let anything in. */
static void test_slot_changes_hands(void **state)
{
	struct pipeline_rig *rig = *state;
	uint32_t slot = rig_endpoint(&rig->model, NET_ENI, "c")->slot;
	struct net_spec d = spec_eni("d", "far", 12, "10.0.2.12", NULL);

	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NONE);
	assert_int_equal(rig_counters(rig, NET_ENI, "c")->flows, 1);
	rig_begin(&rig->model);
	rig_delete(&rig->model, NET_ENI, "c");
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_NO_MAPPING);
	rig_begin(&rig->model); /* the slot is free once nobody reads the root that had it */
	rig_apply(rig);
	spec_eni_group(&d, "shut");
	rig_begin(&rig->model);
	rig_put(&rig->model, &d);
	rig_apply(rig);
	assert_int_equal(rig_endpoint(&rig->model, NET_ENI, "d")->slot, slot);
	assert_int_equal(rig_send(rig, "a", &ac), DROP_GROUP_IN);
	assert_int_equal(rig_counters(rig, NET_ENI, "d")->flows, 0);
	rig_advance(rig, 3000);
	assert_int_equal(rig_counters(rig, NET_ENI, "d")->flows, 0);
}

static void test_endpoint_gone(void **state)
{
	struct pipeline_rig *rig = *state;

	assert_int_equal(rig_send(rig, "c", &ca), DROP_NONE);
	assert_int_equal(vpc_counters(rig->vpc)->flows, 2);
	rig_begin(&rig->model);
	rig_delete(&rig->model, NET_ENI, "c");
	rig_apply(rig);
	assert_int_equal(rig_guest(rig, "c")->sink->count, 0);
	rig_advance(rig, 3000); /* the sweep finds whose ENI has gone */
	assert_int_equal(vpc_counters(rig->vpc)->flows, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_pass, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_no_groups_nothing_passes, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_group_out_is_refused, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_rule_by_group, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_revalidated, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_grandfathered, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_acl_is_stateless, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_acl_cuts_the_grandfathered, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_routes_are_followed, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_move, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_peering, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_slot_changes_hands, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_endpoint_gone, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
