/*
 * Random changes, one after the other, of objects from a small pool, so that they meet. After each:
 *
 *	- what was compiled by changes is what the same objects compile to from nothing: nothing that depends on a change was missed;
 *	- an endpoint whose view changed has a new generation;
 *	- a change that was refused changed nothing, and what it wanted cannot be had from nothing either (but for objects that went to
 *	  another VPC, which only a change can do).
 *
 * Policies are compared as text: what every look-up says about every address, name and endpoint of the pool.
 */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_rig.h"

enum { CHANGES = 4000, TEXT_MAX = 1 << 16, VIEW_MAX = 8192, ENIS = 6, NATS = 2, EIPS = 4 };

static uint64_t random_state = 5;

static uint32_t below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % limit;
}

/* ---- text ---- */

struct text {
	char *at, *end;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *t, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(t->at, (size_t)(t->end - t->at), format, list);
	va_end(list);
	assert_true(n >= 0 && n < t->end - t->at);
	t->at += n;
}

static void say_address(struct text *t, const struct net_address *a)
{
	char text[NET_ADDRESS_TEXT_SIZE];

	net_address_format(a, text);
	say(t, " %s", text);
}

static const char *const addresses[] = {"10.0.0.4", "10.0.0.5",	 "10.0.16.4", "10.0.16.5", "10.1.0.4",
					"10.1.0.5", "10.1.16.4", "8.8.8.8",   "172.16.0.1"};
enum { ADDRESSES = sizeof(addresses) / sizeof(addresses[0]) };

static void say_classifier(struct text *t, const struct policy *p, const struct classifier *c)
{
	for (unsigned i = 0; i < ADDRESSES; i++) {
		for (unsigned port = 80; port < 83; port++) {
			struct classifier_query q = {.address = rig_address(addresses[i]),
						     .protocol = IPPROTO_TCP,
						     .port = (uint16_t)port,
						     .ports_known = true};
			bool deny = false;
			uint32_t rule = classifier_match(c, &q, &deny);

			say(t, "%d%s ", (int)rule, deny ? "!" : "");
		}
	}
	for (char g = '0'; g < '4'; g++) { /* in the order of names, which slots are not */
		const char name[] = {'g', g, '\0'};

		for (uint32_t slot = 0; slot < p->group_max; slot++) {
			struct classifier_query q = {.address = rig_address("fd00::1"),
						     .protocol = IPPROTO_TCP,
						     .port = 80,
						     .ports_known = true,
						     .groups = &slot,
						     .group_count = 1};
			bool deny = false;
			uint32_t rule;

			if (p->groups[slot] == NULL || strcmp(p->groups[slot]->name, name) != 0)
				continue;
			rule = classifier_match(c, &q, &deny);
			if (rule != CLASSIFIER_NO_MATCH)
				say(t, "%s:%u ", name, rule);
		}
	}
}

static void say_mapping(struct text *t, const struct policy *p, const struct policy_mapping *m)
{
	unsigned named[8] = {0};
	char mac[MAC_TEXT_SIZE];

	if (m == NULL) {
		say(t, " nobody\n");
		return;
	}
	mac_format(&m->mac, mac);
	say_address(t, &m->address);
	say(t, " %s %s on %s groups", m->name, mac, m->local ? p->endpoints[m->slot]->name : p->hosts[m->slot]->name);
	for (unsigned i = 0; i < m->group_count; i++)
		named[p->groups[m->groups[i]]->name[1] - '0']++;
	for (unsigned i = 0; i < 8; i++)
		say(t, "%u", named[i]);
	say(t, "\n");
}

static void say_routes(struct text *t, const struct policy *p, const struct policy_subnet *s)
{
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct net_address a = rig_address(addresses[i]);
		struct route_lookup r;

		if (!routes_find(s->routes, &a, &r))
			continue;
		say(t, " %s=%d", addresses[i], (int)r.target);
		if (r.target == ROUTE_PEERING)
			say(t, ":%s", p->vpcs[r.slot]->name);
		if (r.target != ROUTE_NAT && r.target != ROUTE_ENI)
			continue;
		say_address(t, &r.next_hop);
		say(t, ":%s", r.slot == POLICY_SLOT_NONE ? "elsewhere" : p->endpoints[r.slot]->name);
	}
}

/* What its flows are decided by. */
static void say_endpoint(struct text *t, const struct policy *p, const struct policy_endpoint *e)
{
	char mac[MAC_TEXT_SIZE];
	const struct policy_vpc *vpc;

	if (e == NULL) {
		say(t, "not here\n");
		return;
	}
	vpc = p->vpcs[e->subnet->vpc_slot];
	assert_ptr_equal(policy_port_find(p, vpc->vni, &e->mac), e);
	mac_format(&e->mac, mac);
	say(t, "%s %s flows %d", e->name, mac, (int)e->allowances.flows_max);
	for (unsigned i = 0; i < e->address_count; i++)
		say_address(t, &e->addresses[i]);
	for (unsigned i = 0; i < e->public_count; i++) {
		say_address(t, &e->publics[i].public_address);
		say_address(t, &e->publics[i].private_address);
	}
	for (char g = '0'; g < '4'; g++) {
		for (unsigned i = 0; i < e->group_count; i++) {
			if (e->groups[i]->name[1] != g)
				continue;
			assert_ptr_equal(e->groups[i], p->groups[e->group_slots[i]]);
			say(t, "\n group %s in ", e->groups[i]->name);
			say_classifier(t, p, e->groups[i]->ingress);
			say(t, "out ");
			say_classifier(t, p, e->groups[i]->egress);
		}
	}
	say(t, "\n vpc %s vni %u mtu %u subnet %s", vpc->name, vpc->vni, vpc->mtu, e->subnet->name);
	say_address(t, &e->subnet->gateway4);
	say(t, "\n routes");
	say_routes(t, p, e->subnet);
	if (e->subnet->acl != NULL) {
		say(t, "\n acl ");
		say_classifier(t, p, e->subnet->acl->ingress);
	}
	say(t, "\n");
}

static void say_vpc(struct text *t, const struct policy *p, const struct policy_vpc *v)
{
	char name[8];

	say(t, "vpc %s %u\n", v->name, v->vni);
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct net_address a = rig_address(addresses[i]);

		say_mapping(t, p, policy_mapping_find(p, v->slot, &a));
	}
	for (unsigned i = 0; i < ENIS; i++) {
		snprintf(name, sizeof(name), "E%u", i);
		say_mapping(t, p, policy_name_find(p, v->slot, name, 4));
	}
}

static void say_all(char text[TEXT_MAX], const struct policy *p, char views[ENIS + NATS][VIEW_MAX])
{
	struct text t = {text, text + TEXT_MAX};
	char name[24];

	for (char letter = 'a'; letter <= 'c'; letter++)
		for (uint32_t i = 0; i < p->vpc_max; i++)
			if (p->vpcs[i] != NULL && p->vpcs[i]->name[0] == letter)
				say_vpc(&t, p, p->vpcs[i]);
	for (unsigned i = 0; i < ENIS + NATS; i++) {
		struct text view = {views[i], views[i] + VIEW_MAX};
		struct uuid id;

		snprintf(name, sizeof(name), "%c%u", i < ENIS ? 'e' : 'n', i % ENIS);
		id = rig_id(i < ENIS ? NET_ENI : NET_NAT, name);
		say_endpoint(&view, p, policy_endpoint_find(p, &id));
		say(&t, "%s", views[i]);
	}
	for (unsigned i = 0; i < EIPS; i++) {
		struct net_address a, private_address = rig_address("0.0.0.0");
		const struct policy_endpoint *e;

		snprintf(name, sizeof(name), "203.0.113.%u", i);
		a = rig_address(name);
		e = policy_public_find(p, &a, &private_address);
		say(&t, "%s: %s", name, e == NULL ? "nobody" : e->name);
		say_address(&t, &private_address);
		snprintf(name, sizeof(name), "192.0.2.%u", i);
		a = rig_address(name);
		say(&t, " %s: %s\n", name, policy_host_find(p, &a) == NULL ? "nobody" : policy_host_find(p, &a)->name);
	}
}

/* ---- random objects ---- */

static const char *pick(const char *prefix, uint32_t count)
{
	static char names[8][8]; /* a few are in use at a time */
	static unsigned next;
	char *name = names[next++ % 8];

	snprintf(name, 8, "%s%u", prefix, below(count));
	return name;
}

static const char *pick_vpc(void)
{
	static const char *const names[] = {"a", "a", "b", "c"};

	return names[below(4)];
}

/* Most objects keep to the VPC that their number stands for, or little would fit together. */
static const char *vpc_of(const char *name)
{
	static const char *const names[] = {"a", "a", "b", "c"};

	return below(40) == 0 ? pick_vpc() : names[(name[1] - '0') % 4];
}

static void random_rules(struct net_spec *s, bool by_group)
{
	for (uint32_t n = below(5); n > 0; n--) {
		uint16_t port = (uint16_t)(80 + below(3));

		if (by_group && below(3) == 0)
			spec_rule_group(s, below(2), IPPROTO_TCP, 80, port, pick("g", 2));
		else
			spec_rule(s, below(2), IPPROTO_TCP, port, port, below(2) == 0 ? "0.0.0.0/0" : "10.0.0.0/20");
	}
}

static struct net_spec random_routes(const char *name)
{
	struct net_spec s = spec_route_table(name, vpc_of(name));

	if (below(2) == 0)
		spec_route(&s, "0.0.0.0/0", below(2) == 0 ? ROUTE_NAT : ROUTE_INTERNET, pick("n", NATS));
	if (below(2) == 0)
		spec_route(&s, "10.1.0.0/16", ROUTE_PEERING, pick("p", 2));
	if (below(2) == 0)
		spec_route(&s, "172.16.0.0/12", ROUTE_ENI, pick("e", ENIS));
	return s;
}

static struct net_spec random_subnet(const char *name)
{
	static const char *const cidrs[] = {"10.0.0.0/20", "10.0.16.0/20", "10.1.0.0/20", "10.0.0.0/20"};
	unsigned n = (unsigned)(name[1] - '0');
	struct net_spec s = spec_subnet(name, vpc_of(name), below(20) == 0 ? "10.1.16.0/20" : cidrs[n], NULL);

	s.subnet.has_acl = below(2);
	s.subnet.acl = rig_id(NET_ACL, n < 2 ? pick("l", 2) : pick("l", 4));
	s.subnet.has_route_table = below(2);
	s.subnet.route_table = rig_id(NET_ROUTE_TABLE, n < 2 ? pick("t", 2) : pick("t", 4));
	return s;
}

static struct net_spec random_eni(const char *name)
{
	unsigned subnet = below(4);
	static const char *const home[4][2] = {
		{"10.0.0.4", "10.0.0.5"}, {"10.0.16.4", "10.0.16.5"}, {"10.1.0.4", "10.1.0.5"}, {"10.0.0.4", "10.0.0.5"}};
	char subnet_name[8];
	struct net_spec s;

	snprintf(subnet_name, sizeof(subnet_name), "s%u", subnet);
	s = spec_eni(name, subnet_name, (uint8_t)(1 + below(6)), home[subnet][below(2)], NULL);
	if (below(4) == 0)
		spec_eni_remote(&s, pick("h", 3));
	for (uint32_t n = below(3), first = below(2); n > 0; n--) {
		char group[8];

		snprintf(group, sizeof(group), "g%u", subnet < 2 ? (first + n) % 2 : subnet);
		if (n == 1 || subnet < 2)
			spec_eni_group(&s, group);
	}
	s.eni.allowances.flows_max = below(2);
	return s;
}

static struct net_spec random_nat(const char *name)
{
	struct net_spec s =
		spec_nat(name, below(2) == 0 ? "s1" : "s2", (uint8_t)(10 + below(4)), below(2) == 0 ? "10.0.16.5" : "10.1.0.5");

	s.nat.remote = below(3) == 0;
	s.nat.host = rig_id(NET_HOST, pick("h", 3));
	return s;
}

static struct net_spec random_eip(const char *name)
{
	static const uint8_t targets[] = {0, NET_ENI, NET_NAT};
	uint8_t target = targets[below(3)];
	char address[24];

	snprintf(address, sizeof(address), "203.0.113.%u", below(EIPS));
	return spec_eip(name, address, target, target == NET_ENI ? pick("e", ENIS) : pick("n", NATS), NULL);
}

static struct net_spec random_spec(void)
{
	char address[24];
	const char *name;
	struct net_spec s;

	switch (below(10)) {
	case 0:
		snprintf(address, sizeof(address), "192.0.2.%u", below(EIPS));
		return spec_host(pick("h", 3), address);
	case 1:
		name = pick_vpc();
		s = spec_vpc(name, 100 + (uint32_t)(name[0] - 'a') + 3 * below(2), name[0] == 'b' ? "10.1.0.0/16" : "10.0.0.0/16",
			     name[0] == 'a' && below(4) == 0 ? "10.2.0.0/16" : NULL);
		s.vpc.mtu = (uint16_t)(below(2) * 1400);
		return s;
	case 2:
		name = pick("g", 4);
		s = spec_group(name, vpc_of(name));
		random_rules(&s, name[1] < '2');
		return s;
	case 3:
		name = pick("l", 4);
		s = spec_acl(name, vpc_of(name));
		random_rules(&s, false);
		return s;
	case 4:
		return random_routes(pick("t", 4));
	case 5:
		return random_subnet(pick("s", 4));
	case 6:
		return spec_peering(pick("p", 2), "a", below(5) == 0 ? "c" : "b");
	case 7:
		return random_eni(pick("e", ENIS));
	case 8:
		return random_nat(pick("n", NATS));
	default:
		return random_eip(pick("i", EIPS));
	}
}

/* ---- the state, kept beside the model ---- */

enum { OBJECTS_MAX = 64 };

struct shadow {
	struct net_spec list[OBJECTS_MAX];
	unsigned count;
};

static struct net_spec copy_of(const struct net_spec *s)
{
	struct net_spec copy = *s;

	if ((s->kind == NET_GROUP || s->kind == NET_ACL) && s->rules.count > 0) {
		copy.rules.rules = calloc(s->rules.count, sizeof(*copy.rules.rules));
		memcpy(copy.rules.rules, s->rules.rules, s->rules.count * sizeof(*copy.rules.rules));
	} else if (s->kind == NET_ROUTE_TABLE && s->route_table.count > 0) {
		copy.route_table.routes = calloc(s->route_table.count, sizeof(*copy.route_table.routes));
		memcpy(copy.route_table.routes, s->route_table.routes, s->route_table.count * sizeof(*copy.route_table.routes));
	}
	return copy;
}

static void shadow_delete(struct shadow *w, enum net_kind kind, const struct uuid *id)
{
	for (unsigned i = 0; i < w->count; i++) {
		if (w->list[i].kind != kind || memcmp(&w->list[i].id, id, sizeof(*id)) != 0)
			continue;
		net_spec_free(&w->list[i]);
		w->list[i] = w->list[--w->count];
		return;
	}
}

static void shadow_put(struct shadow *w, const struct net_spec *s)
{
	shadow_delete(w, s->kind, &s->id);
	assert_true(w->count < OBJECTS_MAX);
	w->list[w->count++] = copy_of(s);
}

static void shadow_clear(struct shadow *w)
{
	for (unsigned i = 0; i < w->count; i++)
		net_spec_free(&w->list[i]);
	w->count = 0;
}

static void shadow_copy(struct shadow *to, const struct shadow *from)
{
	shadow_clear(to);
	to->count = from->count;
	for (unsigned i = 0; i < from->count; i++)
		to->list[i] = copy_of(&from->list[i]);
}

static void random_change(struct model_rig *r, struct shadow *w)
{
	for (uint32_t n = 1 + below(below(4) == 0 ? 12 : 2); n > 0; n--) {
		struct net_spec s = random_spec();

		if (below(6) == 0) {
			assert_int_equal(model_change_delete(r->change, s.kind, &s.id), 0);
			shadow_delete(w, s.kind, &s.id);
			net_spec_free(&s);
			continue;
		}
		shadow_put(w, &s);
		rig_put(r, &s);
	}
}

/* ---- */

struct views {
	char all[TEXT_MAX];
	char of[ENIS + NATS][VIEW_MAX];
	uint32_t generation[ENIS + NATS], slot[ENIS + NATS]; /* 0: not here */
};

static void look(struct views *v, const struct policy *p)
{
	char name[8];

	say_all(v->all, p, v->of);
	for (unsigned i = 0; i < ENIS + NATS; i++) {
		const struct policy_endpoint *e;
		struct uuid id;

		snprintf(name, sizeof(name), "%c%u", i < ENIS ? 'e' : 'n', i % ENIS);
		id = rig_id(i < ENIS ? NET_ENI : NET_NAT, name);
		e = policy_endpoint_find(p, &id);
		v->generation[i] = e == NULL ? 0 : e->generation;
		v->slot[i] = e == NULL ? 0 : e->slot;
	}
}

static void fail_difference(const char *a, const char *b)
{
	size_t same = 0, line = 0;

	for (; a[same] == b[same]; same++)
		line = a[same] == '\n' ? same + 1 : line;
	fail_msg("differ:\n%.400s\n----\n%.400s", a + line, b + line);
}

static void put_from_nothing(struct model_rig *r, const struct shadow *w)
{
	rig_create(r, NULL);
	rig_begin(r);
	for (unsigned i = 0; i < w->count; i++) {
		struct net_spec s = copy_of(&w->list[i]);

		rig_put(r, &s);
	}
}

static void refused_from_nothing(const struct shadow *w)
{
	struct model_rig r;

	put_from_nothing(&r, w);
	assert_true(rig_try(&r) < 0);
	rig_destroy(&r);
}

static void compare_with_from_nothing(const struct shadow *w, const struct views *now, struct views *fresh)
{
	struct model_rig r;

	put_from_nothing(&r, w);
	rig_commit(&r);
	look(fresh, r.policy);
	if (strcmp(now->all, fresh->all) != 0)
		fail_difference(now->all, fresh->all);
	rig_destroy(&r);
}

static void compare_generations(const struct views *before, const struct views *now)
{
	for (unsigned i = 0; i < ENIS + NATS; i++) {
		if (before->generation[i] == 0 || now->generation[i] == 0)
			continue;
		assert_int_equal(before->slot[i], now->slot[i]);
		if (strcmp(before->of[i], now->of[i]) != 0 && before->generation[i] == now->generation[i])
			fail_difference(before->of[i], now->of[i]); /* and the generation is the same */
	}
}

static void changes_add_up(void **state)
{
	struct views *before = calloc(1, sizeof(*before)), *now = calloc(1, sizeof(*now)), *fresh = calloc(1, sizeof(*fresh)),
		     *swap;
	struct shadow *present = calloc(1, sizeof(*present)), *wanted = calloc(1, sizeof(*wanted));
	unsigned made = 0, bumps_spared = 0;
	struct model_rig r;

	(void)state;
	rig_create(&r, NULL);
	look(before, r.policy);
	for (unsigned i = 0; i < CHANGES; i++) {
		bool changed;

		shadow_copy(wanted, present);
		rig_begin(&r);
		random_change(&r, wanted);
		changed = rig_try(&r) == 0;
		look(now, r.policy);
		if (!changed) {
			assert_string_equal(now->all, before->all);
			if (strstr(r.error, "cannot be changed") == NULL)
				refused_from_nothing(wanted);
			continue;
		}
		made++;
		shadow_copy(present, wanted);
		compare_with_from_nothing(present, now, fresh);
		compare_generations(before, now);
		for (unsigned e = 0; e < ENIS + NATS; e++)
			bumps_spared += before->generation[e] != 0 && before->generation[e] == now->generation[e];
		swap = before;
		before = now;
		now = swap;
	}
	assert_true(made > CHANGES / 8);
	assert_true(bumps_spared > made / 2);
	shadow_clear(wanted);
	shadow_clear(present);
	rig_destroy(&r);
	free(before);
	free(now);
	free(fresh);
	free(present);
	free(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(changes_add_up)};

	return cmocka_run_group_tests_name("model at random", tests, NULL, NULL);
}
