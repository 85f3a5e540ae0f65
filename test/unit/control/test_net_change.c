/* Changes against a store: names, what is automatic, what only one may have, who refers to whom; and that what is written after
 * the card's answer is what was checked before it. */
#include "../cmocka_all.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "control/net_change.h"
#include "rig.h"

struct net_rig {
	struct rig *rig;
	struct net_change change;
	struct failure failure;
};

static void begin(struct net_rig *n, struct rig *rig)
{
	if (rig->store.db == NULL)
		rig_open(rig);
	n->rig = rig;
	n->failure.code = ERROR_NONE;
	net_change_open(&n->change, &rig->store);
}

/* Puts an object, in place of the one of that name if there is one. */
static void put(struct net_rig *n, enum net_kind kind, const char *text)
{
	json_t *object = json_loads(text, 0, NULL);
	struct failure failure = {0};
	struct net_row old;
	int rc;

	assert_non_null(object);
	if (net_kind_check(kind, object, NET_WHOLE, &failure) < 0)
		fail_msg("%s", failure.message);
	rc = store_net_get(&n->rig->store, kind, json_string_value(json_object_get(object, "name")), &old);
	assert_non_null(net_change_put(&n->change, kind, object, rc == 0 ? &old : NULL));
	if (rc == 0)
		net_row_clear(&old);
}

static void delete (struct net_rig *n, enum net_kind kind, const char *name)
{
	struct net_row row;

	assert_int_equal(store_net_get(&n->rig->store, kind, name, &row), 0);
	assert_int_equal(net_change_delete(&n->change, &row), 0);
	net_row_clear(&row);
}

/* The tables of the network as text: what is written last, or (`whole` false) only what a change is checked by. */
static char *dump_part(struct store *store, bool whole)
{
	char *text = sqlite3_mprintf("");
	static const char *const queries[] = {
		"SELECT hex(id), kind, name, ifnull(hex(vpc), ''), '', '' FROM net_objects ORDER BY id",
		"SELECT hex(id), kind, name, '', body, item_count || ifnull(items, '') FROM net_objects",
		"SELECT hex(from_id), hex(to_id), '', '', '', '' FROM net_references ORDER BY from_id, to_id",
		"SELECT scope, hex(vpc), hex(value), hex(owner), '', '' FROM net_claims ORDER BY scope, vpc, value"};

	for (int i = 0; i < 4; i++) {
		sqlite3_stmt *s;

		if (!whole && (i == 1 || i == 2))
			continue;

		assert_int_equal(sqlite3_prepare_v2(store->db, queries[i], -1, &s, NULL), SQLITE_OK);
		while (sqlite3_step(s) == SQLITE_ROW)
			for (int column = 0; column < 6; column++)
				text = sqlite3_mprintf("%z|%s", text, sqlite3_column_text(s, column));
		sqlite3_finalize(s);
	}
	return text;
}

static char *dump(struct store *store)
{
	return dump_part(store, true);
}

/* As control does it: resolved, rolled back, written; what is written must be what was checked, which must leave no trace. */
static void commit(struct net_rig *n)
{
	struct store *store = &n->rig->store;
	char *before = dump(store), *resolved, *rolled_back, *written;

	assert_int_equal(store_begin(store), 0);
	if (net_change_resolve(&n->change, &n->failure) < 0)
		fail_msg("%s", n->failure.message);
	resolved = dump_part(store, false);
	store_rollback(store);
	rolled_back = dump(store);
	assert_string_equal(rolled_back, before);
	assert_int_equal(store_begin(store), 0);
	assert_int_equal(net_change_write(&n->change), 0);
	assert_int_equal(store_commit(store), 0);
	written = dump_part(store, false);
	assert_string_equal(written, resolved);
	sqlite3_free(before);
	sqlite3_free(resolved);
	sqlite3_free(rolled_back);
	sqlite3_free(written);
	net_change_close(&n->change);
}

static void refused(struct net_rig *n, enum api_error code, const char *says)
{
	struct store *store = &n->rig->store;
	char *before = dump(store), *after;

	assert_int_equal(store_begin(store), 0);
	assert_int_equal(net_change_resolve(&n->change, &n->failure), -EINVAL);
	store_rollback(store);
	if (n->failure.code != code || strstr(n->failure.message, says) == NULL)
		fail_msg("%d, \"%s\" does not say \"%s\"", n->failure.code, n->failure.message, says);
	after = dump(store);
	assert_string_equal(after, before);
	sqlite3_free(before);
	sqlite3_free(after);
	net_change_close(&n->change);
}

static json_t *get(struct net_rig *n, enum net_kind kind, const char *name)
{
	struct net_row row;
	json_t *object;

	assert_int_equal(store_net_get(&n->rig->store, kind, name, &row), 0);
	object = net_object_of(&row);
	net_row_clear(&row);
	return object;
}

static void assert_address(struct net_rig *n, const char *eni, size_t at, const char *address)
{
	json_t *object = get(n, NET_ENI, eni);

	assert_string_equal(json_string_value(json_array_get(json_object_get(object, "addresses"), at)), address);
	json_decref(object);
}

/* A VPC "v" with a subnet "s" of three addresses. */
static void small_network(struct net_rig *n, struct rig *rig)
{
	begin(n, rig);
	put(n, NET_SUBNET, "{\"name\": \"s\", \"vpc\": \"v\", \"cidr\": \"10.0.0.8/29\", \"cidr6\": \"fd00::10/124\"}");
	put(n, NET_VPC, "{\"name\": \"v\", \"cidrs\": [\"10.0.0.0/16\"]}");
	commit(n);
}

static void test_vnis(void **state)
{
	struct net_rig n;
	json_t *v;
	const char *const names[] = {"a", "b", "c"};
	const int vnis[] = {4096, 4098, 4099};

	begin(&n, *state);
	put(&n, NET_VPC, "{\"name\": \"a\", \"cidrs\": [\"10.0.0.0/16\"]}");
	put(&n, NET_VPC, "{\"name\": \"b\", \"cidrs\": [\"10.0.0.0/16\"]}");
	put(&n, NET_VPC, "{\"name\": \"c\", \"cidrs\": [\"10.0.0.0/16\"]}");
	put(&n, NET_VPC, "{\"name\": \"z\", \"cidrs\": [\"10.0.0.0/16\"], \"vni\": 4097}"); /* given: not found for others */
	commit(&n);
	for (int i = 0; i < 3; i++) {
		v = get(&n, NET_VPC, names[i]);
		assert_int_equal(json_integer_value(json_object_get(v, "vni")), vnis[i]);
		json_decref(v);
	}
	begin(&n, *state);
	put(&n, NET_VPC, "{\"name\": \"d\", \"cidrs\": [\"10.0.0.0/16\"], \"vni\": 4098}");
	refused(&n, ERROR_CONFLICT, "VPC \"d\": VNI 4098 belongs to vpc \"b\" already");
	begin(&n, *state);
	delete (&n, NET_VPC, "b");
	put(&n, NET_VPC, "{\"name\": \"d\", \"cidrs\": [\"10.0.0.0/16\"], \"vni\": 4098}");
	commit(&n);
}

static void test_addresses(void **state)
{
	struct net_rig n;

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\"}");
	put(&n, NET_ENI, "{\"name\": \"z\", \"subnet\": \"s\", \"addresses\": [\"10.0.0.12\", \"fd00::16\"]}");
	commit(&n);
	assert_address(&n, "a", 0, "10.0.0.13"); /* .12 was given to one further down */
	assert_address(&n, "a", 1, "fd00::14");
	begin(&n, *state);
	put(&n, NET_NAT, "{\"name\": \"n\", \"subnet\": \"s\"}");
	commit(&n);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"s\"}");
	refused(&n, ERROR_LIMIT_REACHED, "ENI \"b\": Subnet \"s\" has no free address left");
	begin(&n, *state);
	delete (&n, NET_ENI, "a");
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"s\"}");
	commit(&n);
	assert_address(&n, "b", 0, "10.0.0.13");
}

static void test_addresses_that_are_refused(void **state)
{
	static const struct {
		const char *address, *says;
		enum api_error code;
	} wrong[] = {
		{"10.0.0.8", "reserved", ERROR_INVALID_FIELD},
		{"10.0.0.11", "reserved", ERROR_INVALID_FIELD},
		{"10.0.0.15", "reserved", ERROR_INVALID_FIELD},
		{"10.0.0.16", "not in subnet \"s\" (10.0.0.8/29)", ERROR_INVALID_FIELD},
		{"fd00::13", "reserved", ERROR_INVALID_FIELD},
		{"fd00::1f", "reserved", ERROR_INVALID_FIELD},
		{"fd00::20", "not in subnet", ERROR_INVALID_FIELD},
		{"10.0.0.12", "belongs to eni \"a\" already", ERROR_CONFLICT},
		{"fd00::14", "belongs to eni \"a\" already", ERROR_CONFLICT},
	};
	struct net_rig n;
	char text[160];

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\", \"addresses\": [\"10.0.0.12\", \"fd00::14\"]}");
	commit(&n);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		begin(&n, *state);
		snprintf(text, sizeof(text), "{\"name\": \"b\", \"subnet\": \"s\", \"addresses\": [\"%s\"]}", wrong[i].address);
		put(&n, NET_ENI, text);
		refused(&n, wrong[i].code, wrong[i].says);
	}
	begin(&n, *state);
	put(&n, NET_SUBNET, "{\"name\": \"t\", \"vpc\": \"v\", \"cidr\": \"10.0.1.0/24\"}");
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"t\", \"addresses\": [\"fd00::25\"]}");
	refused(&n, ERROR_INVALID_FIELD, "not in subnet \"t\" (which has no IPv6)");
}

/* Two ENIs change places in one change. */
static void test_addresses_are_swapped(void **state)
{
	struct net_rig n;

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\", \"mac\": \"02:00:00:00:00:01\", \"addresses\": [\"10.0.0.12\"]}");
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"s\", \"mac\": \"02:00:00:00:00:02\", \"addresses\": [\"10.0.0.13\"]}");
	commit(&n);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\", \"mac\": \"02:00:00:00:00:02\", \"addresses\": [\"10.0.0.13\"]}");
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"s\", \"mac\": \"02:00:00:00:00:01\", \"addresses\": [\"10.0.0.12\"]}");
	commit(&n);
	assert_address(&n, "a", 0, "10.0.0.13");
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"c\", \"subnet\": \"s\", \"mac\": \"02:00:00:00:00:02\"}");
	refused(&n, ERROR_CONFLICT, "MAC address 02:00:00:00:00:02 belongs to eni \"a\" already");
}

/* The same addresses in two VPCs; MACs of ids, locally administered. */
static void test_tenants_overlap(void **state)
{
	struct net_rig n;
	json_t *a, *b;
	unsigned first;

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_VPC, "{\"name\": \"w\", \"cidrs\": [\"10.0.0.0/16\"]}");
	put(&n, NET_SUBNET, "{\"name\": \"t\", \"vpc\": \"w\", \"cidr\": \"10.0.0.8/29\"}");
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\"}");
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"t\"}");
	commit(&n);
	assert_address(&n, "a", 0, "10.0.0.12");
	assert_address(&n, "b", 0, "10.0.0.12");
	a = get(&n, NET_ENI, "a");
	b = get(&n, NET_ENI, "b");
	assert_int_equal(sscanf(json_string_value(json_object_get(a, "mac")), "%2x", &first), 1);
	assert_int_equal(first & 3, 2);
	assert_string_not_equal(json_string_value(json_object_get(a, "mac")), json_string_value(json_object_get(b, "mac")));
	json_decref(a);
	json_decref(b);
}

static void test_public_and_underlay(void **state)
{
	struct net_rig n;

	begin(&n, *state);
	put(&n, NET_EIP, "{\"name\": \"p\", \"address\": \"198.51.100.1\"}");
	put(&n, NET_HOST, "{\"name\": \"h\", \"address\": \"198.51.100.1\"}");
	commit(&n);
	begin(&n, *state);
	put(&n, NET_EIP, "{\"name\": \"q\", \"address\": \"198.51.100.1\"}");
	refused(&n, ERROR_CONFLICT, "Elastic IP \"q\": Public address 198.51.100.1 belongs to eip \"p\" already");
	begin(&n, *state);
	put(&n, NET_HOST, "{\"name\": \"i\", \"address\": \"198.51.100.1\"}");
	refused(&n, ERROR_CONFLICT, "Underlay address 198.51.100.1 belongs to host \"h\" already");
}

static void test_names(void **state)
{
	struct net_rig n;

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"nobody\"}");
	refused(&n, ERROR_OBJECT_NOT_FOUND, "ENI \"a\": Field \"subnet\" names subnet \"nobody\", which does not exist");
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\", \"security_groups\": [\"nobody\"]}");
	refused(&n, ERROR_OBJECT_NOT_FOUND, "Field \"security_groups\" names security-group \"nobody\"");
	begin(&n, *state);
	put(&n, NET_VPC, "{\"name\": \"w\", \"cidrs\": [\"10.0.0.0/16\"]}");
	put(&n, NET_GROUP, "{\"name\": \"g\", \"vpc\": \"w\"}");
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\", \"security_groups\": [\"g\"]}");
	refused(&n, ERROR_INVALID_FIELD, "names security-group \"g\", which is of another VPC");
	begin(&n, *state);
	delete (&n, NET_SUBNET, "s");
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\"}");
	refused(&n, ERROR_OBJECT_NOT_FOUND, "names subnet \"s\", which does not exist");
}

/* Objects that refer to each other in a circle, and to themselves. */
static void test_circles(void **state)
{
	struct net_rig n;

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_GROUP,
	    "{\"name\": \"g\", \"vpc\": \"v\", \"rules\": [{\"direction\": \"egress\", \"protocol\": \"all\", \"group\": \"g\"},"
	    " {\"direction\": \"egress\", \"protocol\": \"tcp\", \"group\": \"h\"}]}");
	put(&n, NET_GROUP,
	    "{\"name\": \"h\", \"vpc\": \"v\", \"rules\": [{\"direction\": \"egress\", \"protocol\": \"all\", \"group\": \"g\"}]}");
	put(&n, NET_ROUTE_TABLE,
	    "{\"name\": \"r\", \"vpc\": \"v\", \"routes\": [{\"destination\": \"::/0\", \"target\": \"eni:e\"}]}");
	put(&n, NET_SUBNET, "{\"name\": \"s\", \"vpc\": \"v\", \"cidr\": \"10.0.0.8/29\", \"route_table\": \"r\"}");
	put(&n, NET_ENI, "{\"name\": \"e\", \"subnet\": \"s\"}");
	commit(&n);
	begin(&n, *state);
	delete (&n, NET_GROUP, "g");
	refused(&n, ERROR_OBJECT_IN_USE, "Security group \"g\" is used by security-group \"h\". Delete or change");
	begin(&n, *state);
	delete (&n, NET_VPC, "v");
	refused(&n, ERROR_OBJECT_IN_USE, "VPC \"v\" is used by route-table \"r\", and by 3 more");
	begin(&n, *state);
	delete (&n, NET_GROUP, "g");
	delete (&n, NET_GROUP, "h");
	delete (&n, NET_ENI, "e");
	delete (&n, NET_ROUTE_TABLE, "r");
	delete (&n, NET_SUBNET, "s");
	delete (&n, NET_VPC, "v");
	commit(&n);
	begin(&n, *state);
	commit(&n); /* nothing at all */
}

static void test_attached_stays(void **state)
{
	struct net_attachment_row attachment = {.phase = ATTACHMENT_ATTACHED, .tap = "t0", .queues = 4, .uid = -1, .gid = -1};
	struct uuid vpc;
	struct net_rig n;

	small_network(&n, *state);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"e\", \"subnet\": \"s\"}");
	put(&n, NET_HOST, "{\"name\": \"h\", \"address\": \"192.0.2.1\"}");
	commit(&n);
	assert_int_equal(store_net_find(&n.rig->store, NET_ENI, "e", &attachment.eni, &vpc), 0);
	assert_int_equal(store_net_attachment_insert(&n.rig->store, &attachment), 0);
	begin(&n, *state);
	delete (&n, NET_ENI, "e");
	refused(&n, ERROR_ENI_ATTACHED, "ENI \"e\" is attached");
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"e\", \"subnet\": \"s\", \"host\": \"h\"}");
	refused(&n, ERROR_ENI_ATTACHED, "attached here");
	assert_int_equal(store_net_attachment_delete(&n.rig->store, &attachment.eni), 0);
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"e\", \"subnet\": \"s\", \"host\": \"h\"}");
	commit(&n);
}

/* What is free is found also where the numbers end. */
static void test_free_at_the_end(void **state)
{
	struct net_claim claim = {.scope = CLAIM_VNI, .size = 4, .value = {0xff, 0xff, 0xff, 0xfe}};
	const uint8_t last[NET_CLAIM_BYTES] = {0xff, 0xff, 0xff, 0xff};
	struct net_rig n;
	struct uuid id, vpc;

	small_network(&n, *state);
	assert_int_equal(store_net_find(&n.rig->store, NET_VPC, "v", &id, &vpc), 0);
	assert_int_equal(store_net_claim_free(&n.rig->store, &claim, last), 0);
	assert_int_equal(claim.value[3], 0xfe);
	assert_int_equal(store_net_claim(&n.rig->store, &claim, &id), 0);
	assert_int_equal(store_net_claim(&n.rig->store, &claim, &id), -EEXIST);
	assert_int_equal(store_net_claim_free(&n.rig->store, &claim, last), 0);
	assert_int_equal(claim.value[3], 0xff);
	assert_int_equal(store_net_claim(&n.rig->store, &claim, &id), 0);
	claim.value[3] = 0xfe;
	assert_int_equal(store_net_claim_free(&n.rig->store, &claim, last), -ENOENT);
}

static void test_attachments(void **state)
{
	struct net_attachment_row row = {.phase = ATTACHMENT_ATTACHING,
					 .socket = "/s",
					 .queues = 2,
					 .packed = true,
					 .uid = 7,
					 .gid = -1},
				  out;
	struct uuid vpc, a, b;
	char owner[NAME_SIZE];
	struct net_rig n;
	struct store *store;

	small_network(&n, *state);
	store = &n.rig->store;
	begin(&n, *state);
	put(&n, NET_ENI, "{\"name\": \"a\", \"subnet\": \"s\"}");
	put(&n, NET_ENI, "{\"name\": \"b\", \"subnet\": \"s\"}");
	commit(&n);
	assert_int_equal(store_net_find(store, NET_ENI, "a", &a, &vpc), 0);
	assert_int_equal(store_net_find(store, NET_ENI, "b", &b, &vpc), 0);
	row.eni = a;
	assert_int_equal(store_net_attachment_insert(store, &row), 0);
	row.eni = b;
	assert_int_equal(store_net_attachment_insert(store, &row), -EEXIST); /* the socket */
	row = (struct net_attachment_row){.eni = b,
					  .phase = ATTACHMENT_ATTACHED,
					  .kind = NET_ATTACHMENT_TAP,
					  .tap = "t0",
					  .netns = "ns",
					  .queues = 1,
					  .uid = -1,
					  .gid = -1};
	assert_int_equal(store_net_attachment_insert(store, &row), 0);
	assert_int_equal(store_net_socket_owner(store, "/s", owner), 0);
	assert_string_equal(owner, "a");
	assert_int_equal(store_net_tap_owner(store, "t0", "ns", owner), 0);
	assert_string_equal(owner, "b");
	assert_int_equal(store_net_tap_owner(store, "t0", "", owner), -ENOENT);
	assert_int_equal(store_net_live_set(store, &b, "connected", NULL), 0);
	assert_int_equal(store_net_live_set(store, &(struct uuid){{1}}, "connected", NULL), 0); /* nobody's: forgotten */
	assert_int_equal(store_net_attachment_get(store, &a, &out), 0);
	assert_string_equal(out.state, "pending");
	assert_int_equal(out.uid, 7);
	assert_int_equal(out.gid, -1);
	assert_true(out.packed);
	assert_int_equal(store_net_attachment_get(store, &b, &out), 0);
	assert_string_equal(out.state, "connected");
	assert_string_equal(out.name, "b");
	assert_int_equal(store_net_live_all_pending(store, "because"), 0);
	assert_int_equal(store_net_attachment_get(store, &b, &out), 0);
	assert_string_equal(out.reason, "because");
	assert_int_equal(store_net_attachment_set_phase(store, &a, ATTACHMENT_DETACHING), 0);
	assert_int_equal(store_net_attachment_delete(store, &a), 0);
	assert_int_equal(store_net_attachment_set_phase(store, &a, ATTACHMENT_ATTACHED), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vnis, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_addresses, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_addresses_that_are_refused, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_addresses_are_swapped, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_tenants_overlap, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_public_and_underlay, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_names, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_circles, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_attached_stays, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_free_at_the_end, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_attachments, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
