#!/usr/bin/python3
"""VPCs in outboard-control: its interface held against docs/openapi.yaml both ways, what the card is told, changes that are all or
nothing whoever dies, attachments of ENIs, a network of 300,000 rules in one request."""
import http.client
import ipaddress
import json
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
from control import OPENAPI, Connection, ControlTest, Refuse, Silence, documented, is_network, resolve, wait_for

KINDS = {"vpcs": "vpc", "subnets": "subnet", "security-groups": "security-group", "acls": "acl", "route-tables": "route-table",
         "peerings": "peering", "enis": "eni", "nats": "nat", "eips": "eip", "hosts": "host"}
TCP = {"direction": "ingress", "protocol": "tcp", "ports": "80", "cidr": "0.0.0.0/0"}
EGRESS = [{"direction": "egress", "protocol": "all", "cidr": c} for c in ("0.0.0.0/0", "::/0")]
DENY = {"number": 100, "direction": "ingress", "action": "deny", "protocol": "tcp", "ports": "25", "cidr": "0.0.0.0/0"}
NETWORK = [  # an object of every kind, in an order in which they can be made one by one
    ("hosts", {"name": "h", "address": "192.0.2.2"}),
    ("vpcs", {"name": "v", "cidrs": ["10.0.0.0/16", "fd00::/48"]}),
    ("vpcs", {"name": "w", "cidrs": ["10.1.0.0/16"]}),
    ("security-groups", {"name": "g", "vpc": "v", "rules": [TCP]}),
    ("acls", {"name": "a", "vpc": "v", "rules": [DENY]}),
    ("subnets", {"name": "s", "vpc": "v", "cidr": "10.0.1.0/24", "cidr6": "fd00:0:0:1::/64", "acl": "a"}),
    ("peerings", {"name": "p", "vpc": "v", "peer_vpc": "w"}),
    ("enis", {"name": "e", "subnet": "s", "security_groups": ["g"]}),
    ("nats", {"name": "n", "subnet": "s"}),
    ("eips", {"name": "i", "address": "198.51.100.1", "nat": "n"}),
    ("route-tables", {"name": "r", "vpc": "v", "routes": [{"destination": "0.0.0.0/0", "target": "nat:n"},
                                                          {"destination": "10.1.0.0/16", "target": "peering:p"}]}),
]


class NetTest(ControlTest):
    def setUp(self):
        super().setUp()
        self.start()
        self.wait_network()

    def make(self, path, status=201, **fields):
        return self.expect(status, "POST", f"/v1/{path}", fields).json

    def make_network(self):
        return {path: self.make(path, **body) for path, body in NETWORK}

    def stored(self):
        """Everything that the API shows, by kind and name."""
        found = {}
        for path in KINDS:
            for listed in self.get(f"/v1/{path}").json:
                shown = self.get(f"/v1/{path}/{listed['name']}").json
                self.assertEqual({k: v for k, v in shown.items() if k not in ("rules", "routes")}, listed)
                found[KINDS[path], listed["name"]] = shown
        return found

    def assert_agreement(self):
        """The card has what is stored: the same ids, and the same contents with ids for names."""
        stored = self.stored()
        ids = {shown["id"]: (kind, name) for (kind, name), shown in stored.items()}
        self.assertEqual({i: (kind, said["name"]) for i, (kind, said) in self.card.network.items()}, ids)
        for i, (kind, said) in self.card.network.items():
            self.assertEqual(self.by_name(said, ids), self.as_told(stored[ids[i]]))

    def by_name(self, value, ids):
        if isinstance(value, dict):
            if "target" in value and "id" in value:
                return {"destination": value["destination"], "target": f"{value['target']}:{ids[value['id']][1]}"}
            return {k: self.by_name(v, ids) for k, v in value.items() if k not in ("id", "description")}
        if isinstance(value, list):
            return [self.by_name(v, ids) for v in value]
        return ids[value][1] if isinstance(value, str) and value in ids else value

    def as_told(self, shown):
        left_out = ("id", "created_at", "tags", "attachment", "rule_count", "route_count")
        told = {k: v for k, v in shown.items() if k not in left_out and v is not None}
        if "rules" in told:
            told["rules"] = [{k: v for k, v in rule.items() if k != "description"} for rule in told["rules"]]
        return told

    def during(self, op, act):
        """A hook for the next `op` alone."""
        def hook(message):
            del self.card.hooks[op]
            act(message)
        self.card.hooks[op] = hook

    def refuse_next(self, op, *arguments):
        def act(message):
            raise Refuse(*arguments)
        self.during(op, act)

    def told(self, op):
        return [message for o, message in self.card.ops if o == op]


class Contract(NetTest):
    """docs/openapi.yaml and the server say the same."""

    def bodies(self):
        for path, item in OPENAPI["paths"].items():
            for method, operation in item.items():
                if is_network(path) and method in ("post", "patch"):
                    yield path, method.upper(), resolve(operation["requestBody"]["content"]["application/json"]["schema"])

    def test_fields(self):
        """Those that the server knows in each body are those that are described, those inside of others too."""
        checked = 0
        for path, method, schema in self.bodies():
            self.hold_fields(method, path.replace("{name}", "e"), schema, lambda body: body)
            checked += 1
        self.assertEqual(checked, 10 + 10 + 3 + 3 + 1)

    def hold_fields(self, method, path, schema, around):
        answer = self.expect(422, method, path, around({"no-such-field": 1}), "unknown_field")
        known = re.search(r"known are: (.*)\.", answer.message).group(1).split(", ")
        self.assertEqual(sorted(known), sorted(schema["properties"]), path)
        for name, inner in schema["properties"].items():
            inner = resolve(inner)
            if "properties" in inner:
                self.hold_fields(method, path, inner, lambda body: around({name: body}))
            elif "properties" in resolve(inner.get("items", {})):
                self.hold_fields(method, path, resolve(inner["items"]), lambda body: around({name: [body]}))

    def test_required_fields(self):
        for path, method, schema in self.bodies():
            for field in schema.get("required", []):
                values = dict(NETWORK).get(path.split("/")[2], {}) | {"packet": "udp 10.0.0.1:5", "action": "start"}
                body = {k: v for k, v in values.items() if k in schema["required"] and k != field}
                self.assertIn(f'"{field}" is missing', self.expect(422, method, path.replace("{name}", "e"), body, "missing_field").message)

    def test_every_answer(self):
        """Each documented success, and each refusal that is not an accident, is given at least once."""
        self.make_network()
        for path, body in NETWORK:
            self.every_answer_of_objects(path, body)
        self.every_answer_of_rules()
        self.every_answer_of_attachments()
        self.every_answer_of_probes()
        self.every_answer_of_loads()
        for path, method, _ in self.bodies():
            self.assertEqual(self.call(method, path.replace("{name}", "e"), raw="[").code, "bad_json")
            self.too_large(method, path.replace("{name}", "e"))
        accidents = {500, 503, 507}
        want = {(m.upper(), p, int(s)) for p, item in OPENAPI["paths"].items() for m, o in item.items() if m != "parameters"
                for s in o["responses"] if int(s) not in accidents and is_network(p)}
        self.assertEqual(want - self.seen, set())

    def too_large(self, method, path):
        if path != "/v1/vpc-load":
            self.expect_refusal(413, "body_too_large", self.call(method, path, raw=" " * ((1 << 20) + 1)))
            return
        connection = Connection(self.api)  # only announced: it is refused before it is sent
        connection.putrequest(method, path)
        connection.putheader("Content-Length", str((192 << 20) + 1))
        connection.endheaders()
        response = connection.getresponse()
        self.assertEqual((response.status, json.loads(response.read())["error"]["code"]), (413, "body_too_large"))
        connection.close()
        self.seen.add((method, path, 413))

    def expect_refusal(self, status, code, answer):
        self.assertEqual((answer.status, answer.code), (status, code), answer.text)

    def every_answer_of_objects(self, path, body):
        one = f"/v1/{path}/{body['name']}"
        shown = self.expect(200, "GET", one).json
        self.assertIn({k: v for k, v in shown.items() if k not in ("rules", "routes")}, self.expect(200, "GET", f"/v1/{path}").json)
        self.expect(200, "POST", f"/v1/{path}", body)
        self.expect(409, "POST", f"/v1/{path}", {**body, **self.another(path)}, "object_exists")
        changed = self.another(path, True)
        self.expect(200, "PATCH", one, changed)
        self.expect(200, "PATCH", one, {k: shown[k] for k in changed})
        self.expect(422, "PATCH", one, {"no": 1}, "unknown_field")
        missing = f"/v1/{path}/no"
        self.assertIn('"no" does not exist', self.expect(404, "GET", missing, code="object_not_found").message)
        self.expect(404, "PATCH", missing, {}, "object_not_found")
        self.expect(404, "DELETE", missing, code="object_not_found")
        for code, status in (("not_found", 404), ("conflict", 409), ("bad_request", 422), ("limit", 422), ("mystery", 500)):
            fresh = {**body, "name": "fresh", **({"address": "203.0.113.9"} if path in ("eips", "hosts") else {})}
            self.refuse_next("net_apply", code, "so it is")
            self.assertIn(": so it is.", self.expect(status, "POST", f"/v1/{path}", fresh).message)
            if changed:
                self.refuse_next("net_apply", code, "so it is")
                self.expect(status, "PATCH", one, changed)
            else:
                self.expect(409, "PATCH", one, self.another(path), "field_fixed")
            self.expect(201, "POST", f"/v1/{path}", fresh)
            self.refuse_next("net_apply", code, "so it is")
            self.expect(status, "DELETE", f"/v1/{path}/fresh")
            self.expect(204, "DELETE", f"/v1/{path}/fresh")
        self.assertEqual(self.expect(200, "GET", one).json, shown)

    def another(self, path, changeable=False):
        """A field with another value than the one in NETWORK."""
        if path == "peerings":
            return {} if changeable else {"vpc": "w", "peer_vpc": "v"}
        return {"vpcs": {"mtu": 1400}, "subnets": {"acl": None}, "security-groups": {"grandfather": True}, "acls": {"rules": []},
                "route-tables": {"routes": []}, "enis": {"source_dest_check": False}, "nats": {"host": "h"},
                "eips": {"nat": None}, "hosts": {"address": "192.0.2.3"}}[path]

    def every_answer_of_rules(self):
        for path, item, other in (("security-groups/g/rules", {**TCP, "ports": "81"}, {**TCP, "ports": "81", "description": "other"}),
                                  ("acls/a/rules", {**DENY, "number": 5}, {**DENY, "number": 5, "action": "allow"}),
                                  ("route-tables/r/routes", {"destination": "172.16.0.0/12", "target": "blackhole"},
                                   {"destination": "172.16.0.0/12", "target": "internet"})):
            self.expect(200, "POST", f"/v1/{path}", {"add": [item]})
            self.expect(409, "POST", f"/v1/{path}", {"add": [other]}, "conflict")
            self.expect(200, "POST", f"/v1/{path}", {"remove": [item]})
            self.expect(422, "POST", f"/v1/{path}", {"add": [item, item]}, "invalid_field")
            kind, _, what = path.split("/")
            self.expect(404, "POST", f"/v1/{kind}/no/{what}", {}, "object_not_found")

    def every_answer_of_attachments(self):
        one = "/v1/enis/e/attachment"
        self.expect(404, "GET", one, code="attachment_not_found")
        self.expect(404, "DELETE", one, code="attachment_not_found")
        self.expect(404, "POST", "/v1/enis/no/attachment", {}, "object_not_found")
        for code, status in (("bad_request", 422), ("conflict", 409)):
            self.refuse_next("eni_attach", code, "no")
            self.expect(status, "POST", one, {})
        self.expect(201, "POST", one, {})
        self.expect(200, "POST", one, {})
        self.expect(200, "GET", one)
        self.expect(409, "POST", one, {"queues": 1}, "attachment_exists")
        for code, status in (("bad_request", 422), ("conflict", 409)):
            self.refuse_next("eni_detach", code, "no")
            self.expect(status, "DELETE", one)
            wait_for("the detachment", lambda: self.get(one).status == 404)
            self.expect(201, "POST", one, {})
        self.expect(204, "DELETE", one)

    def every_answer_of_probes(self):
        self.expect(201, "POST", "/v1/enis/e/attachment", {})
        self.assertEqual(self.expect(200, "GET", "/v1/enis/e/stats").json["drops"], {"acl_in": 2, "no_route": 1})
        self.expect(404, "GET", "/v1/enis/no/stats", code="object_not_found")
        self.assertEqual(self.expect(200, "POST", "/v1/enis/e/trace", {"packet": "udp 10.0.1.9:53"}).json["sentence"], "It arrives.")
        self.assertEqual(self.expect(200, "POST", "/v1/enis/e/capture", {"action": "start", "drops": True, "snap_bytes": 96}).json, {"capture": 7})
        self.assertEqual({k: self.told("eni_capture")[-1][k] for k in ("action", "drops", "snap_bytes")},
                         {"action": "start", "drops": True, "snap_bytes": 96})
        self.expect(200, "POST", "/v1/enis/e/capture", {"action": "read", "capture": 7})
        self.expect(200, "POST", "/v1/enis/e/capture", {"action": "stop", "capture": 7})
        self.refuse_next("eni_capture", "not_found", "there is no capture 7")
        self.assertIn("there is no capture 7", self.expect(404, "POST", "/v1/enis/e/capture", {"action": "read", "capture": 7}, "capture_not_found").message)
        for what, body in (("trace", {"packet": "udp"}), ("capture", {"action": "start"})):
            self.expect(404, "POST", f"/v1/enis/no/{what}", body, "object_not_found")
            for code, status in (("conflict", 409), ("bad_request", 422)):
                self.refuse_next(f"eni_{what}", code, "no")
                self.expect(status, "POST", f"/v1/enis/e/{what}", body)
        self.expect(200, "GET", "/v1/enis/e/flow-log")
        self.expect(404, "GET", "/v1/enis/no/flow-log", code="object_not_found")
        for lines in ("0", "10001", "-1", "x", "", "1x", "99999999999999999999"):
            self.expect(422, "GET", f"/v1/enis/e/flow-log?lines={lines}", code="invalid_field")

    def every_answer_of_loads(self):
        self.assertEqual(self.expect(200, "POST", "/v1/vpc-load", {}).json, {"created": 0, "updated": 0, "deleted": 0, "unchanged": 0})
        self.expect(422, "POST", "/v1/vpc-load", {"vpcs": [{"name": "x", "cidrs": []}]}, "invalid_field")
        self.expect(404, "POST", "/v1/vpc-load", {"subnets": [{"name": "x", "vpc": "no", "cidr": "10.0.0.0/24"}]}, "object_not_found")
        self.expect(409, "POST", "/v1/vpc-load", {"vpcs": [{"name": "v", "cidrs": ["10.0.0.0/16"], "vni": 5}]}, "field_fixed")


class Objects(NetTest):
    def test_network(self):
        """Every kind, told to the card with ids, and again when it asks for everything."""
        self.make_network()
        self.assert_agreement()
        before = self.stored()
        self.card.restart()
        wait_for("the push", lambda: len(self.card.network) == len(NETWORK))
        self.assert_agreement()
        self.stop_control()
        self.start_control()
        self.wait_network()
        self.assertEqual(self.stored(), before)
        self.assert_agreement()
        for path, body in reversed(NETWORK):
            self.expect(204, "DELETE", f"/v1/{path}/{body['name']}")
        self.assertEqual((self.stored(), self.card.network), ({}, {}))

    def test_shown_as_made(self):
        made = self.make("enis", status=201, **self.prepare_eni(), mac="02:AB:00:00:00:01", addresses=["10.0.1.9"], bandwidth_in=10 ** 9,
                         tags={"team": "net"})
        self.assertEqual({k: made[k] for k in ("name", "mac", "addresses", "bandwidth_in", "bandwidth_out", "tags", "host", "attachment")},
                         {"name": "e", "mac": "02:ab:00:00:00:01", "addresses": ["10.0.1.9"], "bandwidth_in": 10 ** 9, "bandwidth_out": None,
                          "tags": {"team": "net"}, "host": None, "attachment": None})
        self.assertEqual(list(made)[:3], ["name", "subnet", "mac"])  # in the order of the description

    def prepare_eni(self):
        self.make("vpcs", name="v", cidrs=["10.0.0.0/16"])
        self.make("subnets", name="s", vpc="v", cidr="10.0.1.0/24")
        return {"name": "e", "subnet": "s"}

    def test_automatic(self):
        self.make_network()
        enis = [self.make("enis", name=f"e{i}", subnet="s") for i in range(20)]
        self.assertEqual(len({e["mac"] for e in enis}), 20)
        addresses = [ipaddress.ip_address(a) for e in enis for a in e["addresses"]]
        self.assertEqual(len(set(addresses)), 40)
        for address in addresses:
            subnet = ipaddress.ip_network("10.0.1.0/24" if address.version == 4 else "fd00:0:0:1::/64")
            self.assertIn(address, subnet)
            self.assertNotIn(int(address) - int(subnet.network_address), (0, 1, 2, 3, subnet.num_addresses - 1))
        self.assertEqual((self.get("/v1/vpcs/v").json["vni"], self.get("/v1/vpcs/w").json["vni"]), (4096, 4097))
        renewed = self.expect(200, "PATCH", "/v1/enis/e0", {"addresses": None}).json
        self.assertEqual(len(renewed["addresses"]), 2)

    def test_fixed_fields(self):
        made = self.make_network()
        for path, field, value in (("vpcs/v", "vni", 7), ("subnets/s", "cidr", "10.0.2.0/24"), ("subnets/s", "vpc", "w"),
                                   ("security-groups/g", "vpc", "w"), ("acls/a", "vpc", "w"), ("route-tables/r", "vpc", "w"),
                                   ("peerings/p", "vpc", "w"), ("peerings/p", "peer_vpc", "v"), ("enis/e", "subnet", "t"),
                                   ("enis/e", "mac", "02:00:00:00:00:09"), ("nats/n", "subnet", "t"), ("nats/n", "address", "10.0.1.99"),
                                   ("nats/n", "mac", "02:00:00:00:00:09"), ("eips/i", "address", "198.51.100.9")):
            answer = self.expect(409, "PATCH", f"/v1/{path}", {field: value}, "field_fixed")
            self.assertIn(f'field "{field}" cannot be changed', answer.message)
            shown = made[path.split("/")[0]] if path != "vpcs/v" else self.get("/v1/vpcs/v").json
            self.expect(200, "PATCH", f"/v1/{path}", {field: shown[field]})

    def test_references(self):
        """What is referred to stays, and who does is named; what does not exist is named with its field."""
        self.make_network()
        for path, referrer in (("vpcs/v", 'acl "a", and by 4 more'), ("vpcs/w", 'peering "p"'), ("subnets/s", 'eni "e", and by 1 more'),
                               ("security-groups/g", 'eni "e"'), ("acls/a", 'subnet "s"'), ("peerings/p", 'route-table "r"'),
                               ("nats/n", 'eip "i", and by 1 more')):
            self.assertIn(referrer, self.expect(409, "DELETE", f"/v1/{path}", code="object_in_use").message)
        for path, body, part in (("subnets", {"name": "x", "vpc": "no", "cidr": "10.0.9.0/24"}, '"vpc" names vpc "no"'),
                                 ("enis", {"name": "x", "subnet": "s", "host": "no"}, '"host" names host "no"'),
                                 ("eips", {"name": "x", "address": "203.0.113.1", "eni": "no"}, '"eni" names eni "no"'),
                                 ("route-tables", {"name": "x", "vpc": "v", "routes": [{"destination": "::/0", "target": "nat:no"}]}, 'names nat "no"')):
            self.assertIn(part, self.expect(404, "POST", f"/v1/{path}", body, "object_not_found").message)
        self.make("security-groups", name="other", vpc="w")
        answer = self.expect(422, "PATCH", "/v1/enis/e", {"security_groups": ["g", "other"]}, "invalid_field")
        self.assertIn('security-group "other", which is of another VPC', answer.message)
        self.assert_agreement()

    def test_rules(self):
        self.make_network()
        one = "/v1/security-groups/g/rules"
        ping = {"direction": "ingress", "protocol": "icmp", "icmp_type": 8, "group": "g", "description": "ping"}
        changed = self.expect(200, "POST", one, {"add": [ping], "remove": [TCP]}).json
        self.assertEqual((changed["rules"], changed["rule_count"]), (EGRESS + [ping], 3))
        count = len(self.card.ops)
        self.assertEqual(self.expect(200, "POST", one, {"add": [ping], "remove": [TCP]}).json, changed)
        self.assertEqual([op for op, _ in self.card.ops[count:] if op == "net_apply"], [])  # nothing to tell
        answer = self.expect(422, "POST", one, {"add": [TCP, {**TCP, "protocol": 6, "ports": 80}]}, "invalid_field")
        self.assertIn('"add[1]" is the same as add[0]', answer.message)
        answer = self.expect(404, "POST", one, {"remove": [ping], "add": [{"direction": "egress", "protocol": "all", "group": "no"}]})
        self.assertIn('security-group "no"', answer.message)
        self.assertEqual(self.get("/v1/security-groups/g").json, changed)  # all or nothing
        replaced = self.expect(200, "POST", "/v1/acls/a/rules", {"remove": [{"number": 100, "direction": "ingress"}],
                                                                 "add": [{**DENY, "action": "allow"}]}).json
        self.assertEqual(replaced["rules"], [{**DENY, "action": "allow"}])
        self.assert_agreement()

    def test_descriptions_stay_here(self):
        self.make("vpcs", name="v", cidrs=["10.0.0.0/16"])
        self.make("security-groups", name="g", vpc="v", rules=[{"direction": "ingress", "protocol": "all", "group": "g", "description": "us"}])
        self.assertNotIn("description", self.told("net_apply")[-1]["changes"][0]["object"]["rules"][0])
        self.assertEqual(self.get("/v1/security-groups/g").json["rules"][0]["description"], "us")

    def test_long_names(self):
        """A name that is too long for any object is not cut to one that exists."""
        name = "n" * 63
        self.make("hosts", name=name, address="192.0.2.1")
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            self.expect(404, method, f"/v1/hosts/{name}n", body, "object_not_found")
        self.expect(200, "GET", f"/v1/hosts/{name}")

    def test_names_are_not_shared_with_volumes(self):
        """An ENI and a volume of one name have sockets of their own."""
        self.make_network()
        self.create("e")
        self.attach("e")
        self.expect(201, "POST", "/v1/enis/e/attachment", {})


class Atomicity(NetTest):
    """Store and card have the same, whatever happens in between."""

    def test_refusal(self):
        made = self.make_network()
        before, card = self.stored(), dict(self.card.network)
        group = made["security-groups"]
        self.refuse_next("net_apply", "conflict", f"rules[0] of {group['id']} cannot be", made["enis"]["id"])
        answer = self.expect(409, "PATCH", "/v1/security-groups/g", {"rules": []}, "conflict")
        self.assertEqual(answer.message, 'Cannot change security-group "g": eni "e": rules[0] of security-group "g" cannot be.')
        self.refuse_next("net_apply", "bad_request", "subnet 'x': cidr overlaps 10.0.1.0/24 of subnet 's'", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
        self.assertEqual(self.expect(422, "POST", "/v1/subnets", {"name": "x", "vpc": "v", "cidr": "10.0.1.0/25"}).message,
                         "Cannot create subnet \"x\": cidr overlaps 10.0.1.0/24 of subnet 's'.")
        self.refuse_next("net_apply", "conflict", "security-group 'g': is full", group["id"])
        self.assertEqual(self.expect(409, "PATCH", "/v1/security-groups/g", {"rules": []}).message,
                         'Cannot change security-group "g": is full.')
        self.assertEqual((self.stored(), self.card.network), (before, card))
        self.expect(200, "PATCH", "/v1/security-groups/g", {"rules": []})
        self.assert_agreement()

    def kill_during_apply(self, before, call):
        killed = threading.Event()
        do = self.card.do_net_apply

        def die(message):
            self.card.do_net_apply = do
            if not before:
                do(message)
            self.process.kill()
            self.process.wait()
            killed.set()
        self.card.do_net_apply = die

        def ask():
            try:
                call()
            except (OSError, http.client.HTTPException):
                pass
        asking = threading.Thread(target=ask)
        asking.start()
        killed.wait()
        asking.join()
        self.start_control()
        self.wait_network()
        self.assert_agreement()

    def test_control_dies(self):
        """Before the card has done it, and after, with nobody told: what is stored is as before, and the card is made to agree."""
        self.make_network()
        for before in (True, False):
            stored = self.stored()
            self.kill_during_apply(before, lambda: self.post("/v1/subnets", {"name": "x", "vpc": "v", "cidr": "10.0.9.0/24"}))
            self.kill_during_apply(before, lambda: self.call("DELETE", "/v1/route-tables/r"))
            self.kill_during_apply(before, lambda: self.post("/v1/vpc-load", {"hosts": [{"name": "y", "address": "192.0.2.9"}], "enis": []}))
            self.assertEqual(self.stored(), stored)

    def test_card_dies(self):
        """In the middle of a change, without an answer: refused at once when its successor is there, and nothing is stored."""
        self.make_network()
        before = self.stored()
        entered = threading.Event()

        def vanish(message):
            entered.set()
            raise Silence
        self.during("net_apply", vanish)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.post("/v1/subnets", {"name": "x", "vpc": "v", "cidr": "10.0.9.0/24"})))
        asking.start()
        entered.wait()
        self.card.restart()
        asking.join()
        self.assertEqual((answers[0].status, answers[0].code), (503, "card_unavailable"))
        self.wait_network()
        self.assertEqual(self.stored(), before)
        self.assert_agreement()
        self.make("subnets", name="x", vpc="v", cidr="10.0.9.0/24")

    def test_late_answer(self):
        """Of the card that is gone: it finishes nothing."""
        self.make_network()
        number = []

        def remember(message):
            number.append(self.card.number)
            raise Silence
        self.during("net_apply", remember)
        asking = threading.Thread(target=lambda: self.expect(503, "POST", "/v1/hosts", {"name": "x", "address": "192.0.2.9"}))
        asking.start()
        wait_for("the change", lambda: number)
        self.card.restart()
        asking.join()
        self.wait_network()
        self.card.ours.send(json.dumps({"id": number[0], "ok": True}).encode())
        self.expect(404, "GET", "/v1/hosts/x")
        self.assert_agreement()

    def test_full_disk(self):
        """The card has said yes, and it cannot be written down: 507, and the card is given what is stored."""
        mounted = os.path.join(self.state, "small")
        os.mkdir(mounted)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mounted], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no right to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", mounted])
        self.stop_control()
        self.state, outer = mounted, self.state
        self.addCleanup(setattr, self, "state", outer)
        os.close(os.open(os.path.join(mounted, "log"), os.O_CREAT))
        self.start_control()
        self.wait_network()
        self.make_network()
        before = self.stored()
        self.during("net_apply", lambda message: self.fill(mounted))
        answer = self.expect(507, "POST", "/v1/subnets", {"name": "x", "vpc": "v", "cidr": "10.0.9.0/24"}, "state_full")
        self.assertIn('Cannot create subnet "x"', answer.message)
        self.wait_network()
        self.assertEqual(self.stored(), before)
        self.assert_agreement()
        os.unlink(os.path.join(mounted, "filler"))
        wait_for("room", lambda: self.call("POST", "/v1/subnets", {"name": "x", "vpc": "v", "cidr": "10.0.9.0/24"}).status == 201)
        self.assert_agreement()

    def fill(self, folder):
        with open(os.path.join(folder, "filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass

    def test_one_after_the_other(self):
        """Changes that come while one is under way wait, each is judged by what those before it have left, and there is a bound."""
        self.make("vpcs", name="v", cidrs=["10.0.0.0/16"])
        entered, leave = threading.Event(), threading.Event()

        def hold(message):
            entered.set()
            leave.wait()
        self.during("net_apply", hold)
        answers = {}

        def ask(name):
            answers[name] = self.post("/v1/subnets", {"name": name, "vpc": "v", "cidr": "10.0.1.0/24"})
        asking = [threading.Thread(target=ask, args=("s0",))]
        asking[0].start()
        entered.wait()
        for i in range(1, 70):
            asking.append(threading.Thread(target=ask, args=(f"s{i}",)))
            asking[-1].start()
        wait_for("those too many to be refused", lambda: len(answers) == 5)
        for answer in answers.values():
            self.assertEqual((answer.status, answer.code), (503, "busy"))
        self.assertEqual(self.get("/v1/subnets").json, [])  # reading waits for nobody
        leave.set()
        for thread in asking:
            thread.join()
        self.assertEqual(sorted(a.status for a in answers.values()), [201] * 65 + [503] * 5)
        self.assert_agreement()


class CardDown(NetTest):
    def stop_card(self):
        self.card.answering = False
        self.wait_card("down")

    def revive_card(self):
        self.card.answering = True
        self.card.restart()

    def test_changes_wait_for_it(self):
        """What can be checked is checked, stored, and told to the card when it is back."""
        self.make_network()
        self.stop_card()
        self.assertEqual(self.get("/healthz").json["network"], {"state": "pending", "message": None})
        self.make("enis", name="e2", subnet="s", addresses=["10.0.1.77"])
        self.expect(409, "POST", "/v1/enis", {"name": "e3", "subnet": "s", "addresses": ["10.0.1.77"]}, "conflict")
        self.expect(404, "POST", "/v1/enis", {"name": "e3", "subnet": "no"}, "object_not_found")
        self.expect(204, "DELETE", "/v1/eips/i")
        self.expect(503, "POST", "/v1/enis/e2/attachment", {}, "card_unavailable")
        self.expect(503, "POST", "/v1/enis/e2/trace", {"packet": "udp"}, "card_unavailable")
        self.revive_card()
        self.wait_network()
        self.assert_agreement()

    def test_it_refuses_the_whole(self):
        """Shown by /healthz with who is to blame; mended by a change, which need not be refused for what was wrong before it."""
        made = self.make_network()
        self.expect(201, "POST", "/v1/enis/e/attachment", {})
        self.stop_card()
        self.make("subnets", name="x", vpc="v", cidr="10.0.1.0/25")
        culprit = self.get("/v1/subnets/x").json["id"]

        def overlaps(message):
            names = [change["object"]["name"] for change in message["changes"] if change["kind"] == "subnet" and change["object"]]
            if message["reset"] and "x" in names:
                raise Refuse("conflict", "cidr 10.0.1.0/25 overlaps 10.0.1.0/24 of subnet 's'", culprit)
        self.card.hooks["net_apply"] = overlaps
        self.revive_card()
        message = self.wait_network("refused")["message"]
        self.assertEqual(message, "Cannot give the card the network: subnet \"x\": cidr 10.0.1.0/25 overlaps 10.0.1.0/24 of subnet 's'.")
        self.assertEqual(self.get("/healthz").json["status"], "degraded")
        attachment = self.get("/v1/enis/e/attachment").json
        self.assertEqual(attachment["state"], "pending")
        self.assertIn("overlaps", attachment["reason"])
        self.make("hosts", name="h2", address="192.0.2.77")
        self.wait_network("refused")
        self.expect(204, "DELETE", "/v1/subnets/x")
        self.wait_network()
        self.assert_agreement()
        wait_for("the attachment", lambda: self.get("/v1/enis/e/attachment").json["state"] == "waiting")
        self.assertIn(made["enis"]["id"], self.card.enis)

    def test_no_attaching_while_it_refuses(self):
        self.make_network()
        self.stop_card()

        def refuse(message):
            raise Refuse("limit", "too many vpcs")
        self.card.hooks["net_apply"] = refuse
        self.revive_card()
        self.wait_network("refused")
        answer = self.expect(503, "POST", "/v1/enis/e/attachment", {}, "card_unavailable")
        self.assertIn("too many vpcs", answer.message)
        del self.card.hooks["net_apply"]
        self.make("hosts", name="h2", address="192.0.2.77")
        self.wait_network()
        self.expect(201, "POST", "/v1/enis/e/attachment", {})

    def test_silence_after_hello(self):
        """A card that answers nothing but pings to a push is asked again when the answer is overdue, or when another comes."""
        self.make_network()

        def silent(message):
            raise Silence
        self.during("net_apply", silent)
        self.card.restart()
        wait_for("the push", lambda: "net_apply" not in self.card.hooks)
        self.assertEqual(self.get("/healthz").json["network"]["state"], "pending")
        self.card.restart()
        self.wait_network()
        self.assert_agreement()


class Attachments(NetTest):
    def setUp(self):
        super().setUp()
        self.network = self.make_network()
        self.eni = self.network["enis"]["id"]

    def test_vhost_user(self):
        answer = self.expect(201, "POST", "/v1/enis/e/attachment", {"queues": 2, "packed": False, "uid": 7, "gid": 8, "mode": "0660"}).json
        socket = os.path.join(self.state, "sockets", "enis", "e.sock")
        self.assertEqual({k: answer[k] for k in ("kind", "socket", "tap", "netns", "queues", "packed", "state", "reason")},
                         {"kind": "vhost-user", "socket": socket, "tap": None, "netns": None, "queues": 2, "packed": False,
                          "state": "waiting", "reason": None})
        self.assertEqual(self.told("eni_attach")[-1], {"eni_id": self.eni, "kind": "vhost-user", "socket": socket, "tap": None, "netns": None,
                                                       "queues": 2, "packed": False, "uid": 7, "gid": 8, "mode": 0o660, "mtu": None})
        self.assertEqual(self.get("/v1/enis/e").json["attachment"], answer)
        self.assertEqual(self.get("/v1/enis").json[0]["attachment"], answer)
        self.expect(409, "DELETE", "/v1/enis/e", code="eni_attached")
        self.expect(409, "PATCH", "/v1/enis/e", {"host": "h"}, "eni_attached")
        self.expect(204, "DELETE", "/v1/enis/e/attachment")
        self.assertEqual(self.told("eni_detach")[-1]["socket"], socket)
        self.assertEqual(self.card.enis, {})

    def test_tap(self):
        self.expect(200, "PATCH", "/v1/vpcs/v", {"mtu": 1400})
        answer = self.expect(201, "POST", "/v1/enis/e/attachment", {"kind": "tap", "tap": "eth0", "netns": "blue"}).json
        self.assertEqual((answer["kind"], answer["socket"], answer["tap"], answer["netns"]), ("tap", None, "eth0", "blue"))
        told = self.told("eni_attach")[-1]
        self.assertEqual((told["tap"], told["netns"], told["socket"], told["mtu"]), ("eth0", "blue", None, 1400))
        self.make("enis", name="e2", subnet="s")
        self.assertIn('"e"', self.expect(409, "POST", "/v1/enis/e2/attachment", {"kind": "tap", "tap": "eth0", "netns": "blue"}, "tap_in_use").message)
        self.expect(201, "POST", "/v1/enis/e2/attachment", {"kind": "tap", "tap": "eth0"})

    def test_sockets_are_not_shared(self):
        self.create("x")
        self.attach("x", socket="/run/x.sock")
        self.assertIn('Volume "x"', self.expect(409, "POST", "/v1/enis/e/attachment", {"socket": "/run/x.sock"}, "socket_in_use").message)
        self.expect(409, "POST", "/v1/enis/e/attachment", {"socket": self.api}, "socket_in_use")
        self.expect(201, "POST", "/v1/enis/e/attachment", {"socket": "/run/e.sock"})
        self.create("y")
        self.assertIn('ENI "e"', self.expect(409, "POST", "/v1/attachments", {"volume": "y", "socket": "/run/e.sock"}, "socket_in_use").message)

    def test_not_here(self):
        self.make("enis", name="far", subnet="s", host="h")
        self.assertIn('on host "h"', self.expect(409, "POST", "/v1/enis/far/attachment", {}, "conflict").message)
        self.expect(404, "GET", "/v1/enis/far/stats", code="attachment_not_found")
        for what, body in (("trace", {"packet": "udp 10.0.1.9:53"}), ("capture", {"action": "start"})):
            self.assertIn('"far" is on host "h"', self.expect(409, "POST", f"/v1/enis/far/{what}", body, "conflict").message)

    def test_refused(self):
        for code, status in (("conflict", 409), ("limit", 422), ("internal", 500)):
            self.refuse_next("eni_attach", code, "so it is")
            self.assertIn('attach eni "e": so it is', self.expect(status, "POST", "/v1/enis/e/attachment", {}).message)
            self.assertEqual(self.get("/v1/enis/e").json["attachment"], None)
        self.expect(201, "POST", "/v1/enis/e/attachment", {})

    def test_states(self):
        self.expect(201, "POST", "/v1/enis/e/attachment", {})
        state = lambda: self.get("/v1/enis/e/attachment").json
        self.card.event("device", eni_id=self.eni, state="connected", reason=None)
        wait_for("the connection", lambda: state()["state"] == "connected")
        self.card.event("device_broken", eni_id=self.eni, queue=1, message="a chain with a loop")
        wait_for("the complaint", lambda: state()["reason"] == "a chain with a loop")
        self.card.event("device", eni_id=self.eni, state="waiting", reason=None)
        wait_for("the end", lambda: (state()["state"], state()["reason"]) == ("waiting", None))
        for fields in ({"eni_id": 1}, {"eni_id": "x", "state": "connected"}, {"eni_id": self.eni}, {"eni_id": self.eni, "state": "flying"},
                       {"eni_id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "state": "connected"}):
            for name in ("device", "device_broken", "surprise"):
                if name != "device_broken" or fields["eni_id"] != self.eni:
                    self.card.event(name, **fields)
        self.get("/v1/enis/e")
        self.assertEqual(state()["state"], "waiting")

    def test_restarts(self):
        """The network first, then every attachment; of a card that stayed, nothing is forgotten."""
        names = ["e"] + [f"e{i}" for i in range(150)]
        self.expect(200, "POST", "/v1/vpc-load", {"enis": [{"name": n, "subnet": "s"} for n in names[1:]]})
        for name in names:
            self.expect(201, "POST", f"/v1/enis/{name}/attachment", {})
        for restart in (self.card.restart, self.restart_control):
            self.card.ops.clear()
            restart()
            wait_for("all to be attached", lambda: len(self.told("eni_attach")) == len(names))
            ops = [op for op, _ in self.card.ops if op in ("net_apply", "eni_attach")]
            self.assertEqual(ops, ["net_apply"] + ["eni_attach"] * len(names))
            self.assertTrue(self.told("net_apply")[0]["reset"])
            wait_for("all to wait", lambda: {e["attachment"]["state"] for e in self.get("/v1/enis").json} == {"waiting"})
            self.assert_agreement()

    def restart_control(self):
        self.kill_control()
        self.start_control()

    def test_pending(self):
        """What the card refuses after its restart is tried again, and says why not yet."""
        self.expect(201, "POST", "/v1/enis/e/attachment", {})
        self.refuse_next("eni_attach", "internal", "no memory")
        self.card.restart()
        reason = wait_for("the reason", lambda: (lambda a: "no memory" in (a["reason"] or "") and a)(self.get("/v1/enis/e/attachment").json))
        self.assertEqual(reason["state"], "pending")
        wait_for("another attempt", lambda: self.get("/v1/enis/e/attachment").json["state"] == "waiting")

    def kill_during(self, op, call, before):
        killed = threading.Event()

        def die(message):
            self.process.kill()
            self.process.wait()
            killed.set()
            if before:
                raise Silence
        self.during(op, die)

        def ask():
            try:
                call()
            except (OSError, http.client.HTTPException):
                pass
        asking = threading.Thread(target=ask)
        asking.start()
        killed.wait()
        asking.join()
        self.start_control()
        self.wait_network()

    def test_control_dies_while_attaching(self):
        """Nobody was told that it is attached: it is not."""
        for before in (True, False):
            self.kill_during("eni_attach", lambda: self.post("/v1/enis/e/attachment", {}), before)
            wait_for("the undoing", lambda: self.get("/v1/enis/e/attachment").status == 404)
            self.assertEqual(self.card.enis, {})

    def test_control_dies_while_detaching(self):
        for before in (True, False):
            self.expect(201, "POST", "/v1/enis/e/attachment", {})
            self.kill_during("eni_detach", lambda: self.call("DELETE", "/v1/enis/e/attachment"), before)
            wait_for("its end", lambda: self.get("/v1/enis/e/attachment").status == 404)
            self.assertEqual(self.card.enis, {})

    def test_card_dies_while_attaching(self):
        def vanish(message):
            self.card.restart()
            raise Silence
        self.during("eni_attach", vanish)
        self.expect(503, "POST", "/v1/enis/e/attachment", {}, "card_unavailable")
        wait_for("the undoing", lambda: self.get("/v1/enis/e/attachment").status == 404)
        self.expect(201, "POST", "/v1/enis/e/attachment", {})


class Load(NetTest):
    LISTS = {path: path.replace("-", "_") for path in KINDS}

    def network(self):
        body = {}
        for path, fields in NETWORK:
            body.setdefault(self.LISTS[path], []).append(fields)
        return body

    def load(self, status=200, **body):
        return self.expect(status, "POST", "/v1/vpc-load", body).json

    def counts(self, **counts):
        return {"created": 0, "updated": 0, "deleted": 0, "unchanged": 0, **counts}

    def test_all_kinds(self):
        """In one change; again, it changes nothing, and keeps what was found automatically."""
        self.assertEqual(self.load(**self.network()), self.counts(created=len(NETWORK)))
        self.assertEqual(len(self.told("net_apply")[-1]["changes"]), len(NETWORK))
        self.assert_agreement()
        before = self.stored()
        told = len(self.told("net_apply"))
        self.assertEqual(self.load(**self.network(), replace=True), self.counts(unchanged=len(NETWORK)))
        self.assertEqual((self.stored(), len(self.told("net_apply"))), (before, told))

    def test_update_and_replace(self):
        self.load(**self.network())
        body = self.network()
        body["security_groups"][0] = {**body["security_groups"][0], "rules": []}
        del body["eips"]
        body["hosts"].append({"name": "h2", "address": "192.0.2.9"})
        mac = self.get("/v1/enis/e").json["mac"]
        self.expect(200, "PATCH", "/v1/enis/e", {"bandwidth_in": 5000})
        self.assertEqual(self.load(**body), self.counts(created=1, updated=2, unchanged=8))
        eni = self.get("/v1/enis/e").json
        self.assertEqual((eni["bandwidth_in"], eni["mac"]), (None, mac))  # what is left out has its default; what is automatic stays
        self.expect(200, "GET", "/v1/eips/i")
        self.assertEqual(self.load(**body, replace=True), self.counts(deleted=1, unchanged=11))
        self.expect(404, "GET", "/v1/eips/i")
        self.assert_agreement()
        self.assertEqual(self.load(replace=True), self.counts(deleted=11))
        self.assertEqual((self.stored(), self.card.network), ({}, {}))

    def test_nothing_before_everything_is_checked(self):
        self.load(**self.network())
        self.expect(201, "POST", "/v1/enis/e/attachment", {})
        before, told = self.stored(), len(self.card.ops)
        new = {"name": "x", "vpc": "v", "cidr": "10.0.9.0/24"}
        for body, status, part in (
                ({"subnets": [new], "enis": [{"name": "y", "subnet": "x", "mac": "1"}]}, 422, 'Field "enis[0].mac" must be'),
                ({"subnets": [new], "peerings": [{"name": "y", "vpc": "v", "peer_vpc": "v"}]}, 422, 'Peering "y": Field "peer_vpc" must be'),
                ({"subnets": [new], "enis": [{"name": "y", "subnet": "z"}]}, 404, 'ENI "y": Field "subnet" names subnet "z"'),
                ({"subnets": [new], "enis": [{"name": "y", "subnet": "x", "addresses": ["10.0.1.9"]}]}, 422, "not in subnet"),
                ({"subnets": [new, new]}, 422, '"subnets[1]" is the same as subnets[0]'),
                ({"subnets": [new], "acls": {}}, 422, '"acls" must be a list'),
                ({"subnets": [new], "nodes": []}, 422, '"nodes" is not known'),
                ({"subnets": [new], "replace": 1}, 422, '"replace" must be true or false'),
                ({"vpcs": [{"name": "v", "cidrs": ["10.0.0.0/16"], "vni": 9}], "subnets": [new]}, 409, 'VPC "v": field "vni" cannot be changed'),
                ({"vpcs": [{"name": "v", "cidrs": ["10.0.0.0/16"]}], "replace": True}, 409, 'ENI "e" is attached')):
            self.assertIn(part, self.expect(status, "POST", "/v1/vpc-load", body).message)
        self.assertEqual(self.stored(), before)
        self.assertNotIn("net_apply", [op for op, _ in self.card.ops[told:]])
        self.refuse_next("net_apply", "limit", "too much")
        self.expect(422, "POST", "/v1/vpc-load", {"subnets": [new]}, "limit_reached")
        self.assertEqual(self.stored(), before)

    def test_addresses_change_hands(self):
        self.load(**self.network(), replace=False)
        self.load(enis=[{"name": "x", "subnet": "s", "addresses": ["10.0.1.50"]}, {"name": "y", "subnet": "s", "addresses": ["10.0.1.51"]}])
        self.load(enis=[{"name": "x", "subnet": "s", "addresses": ["10.0.1.51"]}, {"name": "y", "subnet": "s", "addresses": ["10.0.1.50"]}])
        self.assertEqual(self.get("/v1/enis/x").json["addresses"], ["10.0.1.51"])
        self.assert_agreement()

    def test_hero(self):
        """32 ENIs of 10 groups of 1,000 rules each (320,000), by CIDR and by group, 80 bytes and more a rule: in one request."""
        groups = []
        for g in range(320):
            rules = [{"direction": "ingress", "protocol": "tcp", "ports": f"{1024 + r}-{2048 + r}", "cidr": f"10.{r // 250}.{r % 250}.0/24"}
                     for r in range(990)]
            rules += [{"direction": "ingress", "protocol": "udp", "ports": "53", "group": f"g{(g + r) % 320}"} for r in range(8)]
            groups.append({"name": f"g{g}", "vpc": "v", "rules": rules + EGRESS})
        body = {"vpcs": [{"name": "v", "cidrs": ["10.0.0.0/8"]}], "subnets": [{"name": "s", "vpc": "v", "cidr": "10.0.0.0/16"}],
                "security_groups": groups,
                "enis": [{"name": f"e{e}", "subnet": "s", "security_groups": [f"g{10 * e + i}" for i in range(10)]} for e in range(32)]}
        self.assertEqual(self.load(**body), self.counts(created=354))
        self.assertEqual(sum(len(said["rules"]) for kind, said in self.card.network.values() if kind == "security-group"), 320000)
        self.assertEqual([g["rule_count"] for g in self.get("/v1/security-groups").json], [1000] * 320)
        self.assertEqual(self.get("/v1/security-groups/g7").json["rules"], groups[7]["rules"])
        self.assertEqual(self.load(**body, replace=True), self.counts(unchanged=354))
        groups[7]["rules"][0]["ports"] = "1"
        self.assertEqual(self.load(**body, replace=True), self.counts(updated=1, unchanged=353))
        self.assertEqual(len(self.told("net_apply")[-1]["changes"]), 1)
        self.restart()
        self.assertEqual(sum(len(said["rules"]) for kind, said in self.card.network.values() if kind == "security-group"), 320000)
        self.assertEqual(self.load(replace=True), self.counts(deleted=354))

    def restart(self):
        self.kill_control()
        self.card.network = {}
        self.start_control()
        self.wait_network()


class FlowLogs(NetTest):
    def setUp(self):
        super().setUp()
        self.eni = self.make_network()["enis"]["id"]

    def log_of(self, name, lines=100):
        return self.get(f"/v1/enis/{name}/flow-log?lines={lines}").json["lines"]

    def test_lines(self):
        lines = [f"2 - {self.eni} 10.0.1.4 10.0.1.5 {p} 80 6 10 840 1 2 ACCEPT OK" for p in range(250)]
        self.card.event("flow_log", lines=lines[:200], lost=0)
        self.card.event("flow_log", lines=lines[200:], lost=3)
        wait_for("the lines", lambda: self.log_of("e", 1000) == lines)
        self.assertEqual(self.log_of("e"), lines[-100:])
        wait_for("the loss to be told", lambda: "3 lines of flow logs are lost" in self.log())
        with open(os.path.join(self.state, "flow-logs", "e.log")) as f:
            self.assertEqual(f.read().splitlines(), lines)

    def test_rotation(self):
        path = os.path.join(self.state, "flow-logs", "e.log")
        with open(path, "w") as f:
            f.truncate(64 << 20)
        self.card.event("flow_log", lines=["2 - e a line"], lost=0)
        wait_for("the rotation", lambda: os.path.exists(path + ".1"))
        wait_for("the line", lambda: self.log_of("e", 1) == ["2 - e a line"])
        self.assertEqual(os.path.getsize(path + ".1"), 64 << 20)

    def test_full_disk(self):
        """A log that cannot be written stops nothing, and no half of a line is left."""
        folder = os.path.join(self.state, "flow-logs")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no right to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        line = "2 - e " + "x" * 400
        for _ in range(10):
            self.card.event("flow_log", lines=[line] * 9, lost=0)
        wait_for("the loss to be told", lambda: "No space left on device" in self.log())
        self.make("hosts", name="h2", address="192.0.2.9")
        with open(os.path.join(folder, "e.log")) as f:
            found = f.read()
        self.assertEqual(set(found.splitlines()), {line})
        self.assertTrue(found.endswith("\n"))


class Shown(NetTest):
    def test_metrics(self):
        self.make_network()
        self.expect(201, "POST", "/v1/enis/e/attachment", {})
        text = self.get("/metrics").text
        lines = text.splitlines()
        families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        self.assertEqual(len(families), len(set(families)))
        for line in lines:
            self.assertRegex(line, r'^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.]+)$')
        for line in ('outboard_eni_flows{eni="e"} 6', 'outboard_eni_flows_created_total{eni="e"} 8', 'outboard_eni_slow_path_packets_total{eni="e"} 9',
                     'outboard_eni_packets_total{eni="e",direction="in"} 3', 'outboard_eni_bytes_total{eni="e",direction="out"} 500',
                     'outboard_eni_drops_total{eni="e",reason="acl_in"} 2',
                     'outboard_eni_allowance{eni="e",name="bw_in_allowance_exceeded"} 4', 'outboard_flows 6', 'outboard_flows_max 1024',
                     'outboard_flows_expired_total 2', 'outboard_network_drops_total{reason="unknown_vni"} 1',
                     'outboard_network_stage_cycles_total{stage="parse"} 2500', 'outboard_network_stage_packets_total{stage="parse"} 100',
                     'outboard_wire_packets_total{wire="wire0",direction="in"} 10', 'outboard_wire_bytes_total{wire="wire0",direction="out"} 2000',
                     'outboard_wire_full_total{wire="wire0"} 1', 'outboard_wire_up{wire="wire0"} 1'):
            self.assertIn(line, lines)

    def test_wires(self):
        self.assertEqual([w["device"] for w in self.get("/v1/cards/local").json["wires"]], ["net_af_packet0"])


if __name__ == "__main__":
    tap.main()
