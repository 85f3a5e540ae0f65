#!/usr/bin/python3
"""The outboard command and VPCs, against an API that is a script: what it asks, what it prints, how it fails."""
import base64
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_api
import tap
from cli_case import PATIENCE_S, CliTest

KINDS = {"vpc": "vpcs", "subnet": "subnets", "security-group": "security-groups", "acl": "acls", "route-table": "route-tables",
         "peering": "peerings", "eni": "enis", "nat": "nats", "eip": "eips", "host": "hosts"}
LEAST = {"vpc": ["--cidr", "10.0.0.0/16"], "subnet": ["--vpc", "v", "--cidr", "10.0.1.0/24"], "security-group": ["--vpc", "v"],
         "acl": ["--vpc", "v"], "route-table": ["--vpc", "v"], "peering": ["--vpc", "v", "--peer-vpc", "w"], "eni": ["--subnet", "s"],
         "nat": ["--subnet", "s"], "eip": ["--address", "203.0.113.7"], "host": ["--address", "192.0.2.2"]}


class NetTest(CliTest):
    def make(self, kind, name, *arguments):
        self.json(kind, "create", name, *(arguments or LEAST[kind]))

    def network(self):
        self.make("vpc", "v")
        self.make("subnet", "s", "--vpc", "v", "--cidr", "10.0.1.0/24", "--cidr6", "fd00:1::/64")
        self.make("security-group", "web")
        self.make("eni", "e")


class Objects(NetTest):
    def test_every_kind_has_the_same_life(self):
        for kind, path in KINDS.items():
            with self.subTest(kind=kind):
                empty = self.outboard(kind, "list").stdout
                self.assertRegex(empty, rf'^No .* yet\. "outboard {kind} create NAME .*" makes one\.\n$')
                said = empty.split('"')[1].replace("NAME", "x").split()[1:]
                self.assertEqual(self.json(*said)["name"], "x", "what an empty list says works")
                self.assertEqual(self.json(kind, "create", "one", *LEAST[kind])["name"], "one")
                self.assertEqual(self.api.last("POST")[:2], ("POST", f"/v1/{path}"))
                listed = self.json(kind, "list")
                self.assertEqual([o["name"] for o in listed[path.replace("-", "_")]], ["one", "x"])
                lines = self.outboard(kind, "list").stdout.splitlines()
                self.assertEqual([line.split()[0] for line in lines], ["NAME", "one", "x"])
                shown = self.outboard(kind, "show", "one").stdout
                self.assertRegex(shown, r"(?m)^name +one$")
                self.assertRegex(shown, r"(?m)^created +2024-01-01T00:00:00Z$")
                self.assertEqual(self.json(kind, "show", "one")["name"], "one")
                self.assertEqual(self.json(kind, "delete", "one"), {"deleted": "one"})
                self.assertEqual(self.outboard(kind, "delete", "x").stdout, "x deleted\n")
                for verb in ("show", "delete"):
                    self.assertEqual(self.json(kind, verb, "one", status=1)["error"]["code"], "object_not_found")

    def body(self, *arguments):
        self.outboard(*arguments)
        return self.api.requests[-1][2]

    def test_options_become_fields(self):
        self.assertEqual(self.body("vpc", "create", "v", "--cidr", "10.0.0.0/16", "--cidr", "fd00::/56", "--vni", "5", "--encapsulation",
                                   "geneve", "--mtu", "9000", "--domain", "a.b", "--flow-log", "reject", "--flow-log-interval", "60",
                                   "--tags", "a=b"),
                         {"name": "v", "cidrs": ["10.0.0.0/16", "fd00::/56"], "vni": 5, "encapsulation": "geneve", "mtu": 9000,
                          "domain": "a.b", "flow_log": {"traffic": "reject", "interval_s": 60}, "tags": {"a": "b"}})
        self.assertEqual(self.body("subnet", "create", "s", "--vpc", "v", "--cidr", "10.0.1.0/24", "--cidr6", "fd00::/64", "--route-table",
                                   "r", "--acl", "a"),
                         {"name": "s", "vpc": "v", "cidr": "10.0.1.0/24", "cidr6": "fd00::/64", "route_table": "r", "acl": "a"})
        self.assertEqual(self.body("eni", "create", "e", "--subnet", "s", "-g", "a", "--security-group", "b", "--address", "10.0.1.9",
                                   "--mac", "02:00:00:00:00:01", "--host", "h", "--source-dest-check", "no", "--bandwidth-in", "1.5G",
                                   "--bandwidth-out", "10M", "--packets-per-s", "100", "--flows-max", "5", "--new-flows-per-s", "6",
                                   "--tcp-established", "7", "--udp", "8", "--udp-stream", "9", "--other", "10"),
                         {"name": "e", "subnet": "s", "security_groups": ["a", "b"], "addresses": ["10.0.1.9"],
                          "mac": "02:00:00:00:00:01", "host": "h", "source_dest_check": False, "bandwidth_in": 1500000000,
                          "bandwidth_out": 10000000, "packets_per_s": 100, "flows_max": 5, "new_flows_per_s": 6,
                          "tcp_established_s": 7, "udp_s": 8, "udp_stream_s": 9, "other_s": 10})
        self.assertEqual(self.body("security-group", "create", "g", "--vpc", "v", "--grandfather", "yes"),
                         {"name": "g", "vpc": "v", "grandfather": True})
        self.assertEqual(self.body("nat", "create", "n", "--subnet", "s", "--address", "10.0.1.9", "--mac", "02:00:00:00:00:01", "--host",
                                   "h"),
                         {"name": "n", "subnet": "s", "address": "10.0.1.9", "mac": "02:00:00:00:00:01", "host": "h"})
        self.assertEqual(self.body("eip", "create", "i", "--address", "203.0.113.7", "--eni", "e", "--private-address", "10.0.1.9"),
                         {"name": "i", "address": "203.0.113.7", "eni": "e", "private_address": "10.0.1.9"})
        self.assertEqual(self.body("peering", "create", "p", "--vpc", "v", "--peer-vpc", "w"), {"name": "p", "vpc": "v", "peer_vpc": "w"})

    def test_changes(self):
        for kind in KINDS:
            self.make(kind, "x")
        for arguments, change in (
                (["vpc", "change", "x", "--flow-log", "all", "--clear", "mtu", "--clear", "domain"],
                 {"flow_log": {"traffic": "all"}, "mtu": None, "domain": None}),
                (["subnet", "change", "x", "--clear", "acl", "--route-table", "r"], {"acl": None, "route_table": "r"}),
                (["security-group", "change", "x", "--grandfather", "no"], {"grandfather": False}),
                (["eni", "change", "x", "--bandwidth-in", "0", "--udp", "0", "--flows-max", "0"],
                 {"bandwidth_in": None, "udp_s": None, "flows_max": None}),
                (["eni", "change", "x", "--clear", "security-group", "--clear", "address", "--clear", "host"],
                 {"security_groups": [], "addresses": None, "host": None}),
                (["nat", "change", "x", "--clear", "host"], {"host": None}),
                (["eip", "change", "x", "--eni", "e"], {"eni": "e", "nat": None, "private_address": None}),
                (["eip", "change", "x", "--eni", "e", "--private-address", "10.0.1.9"],
                 {"eni": "e", "nat": None, "private_address": "10.0.1.9"}),
                (["eip", "change", "x", "--nat", "n"], {"nat": "n", "eni": None, "private_address": None}),
                (["eip", "change", "x", "--clear", "eni"], {"eni": None, "private_address": None}),
                (["eip", "change", "x", "--clear", "nat"], {"nat": None}),
                (["eip", "change", "x", "--private-address", "10.0.1.9"], {"private_address": "10.0.1.9"}),
                (["host", "change", "x", "--address", "192.0.2.3"], {"address": "192.0.2.3"})):
            with self.subTest(arguments=arguments):
                self.json(*arguments)
                self.assertEqual(self.api.last("PATCH"), ("PATCH", f"/v1/{KINDS[arguments[0]]}/x", change))

    def test_what_is_shown(self):
        self.make("eni", "e", "--subnet", "s", "--bandwidth-in", "1500M", "--bandwidth-out", "1234567", "--udp", "8", "--tags", "a=b\x1b")
        shown = self.outboard("eni", "show", "e").stdout
        for line in ("addresses    10.0.1.4, fd00:1::4", "groups       none: nothing may pass", "host         this card",
                     "in at most   1.5 Gbit/s", "out at most  1.235 Mbit/s", "UDP idle     8 s", "tag          a=b?"):
            self.assertIn(line + "\n", shown)
        self.assertNotIn("TCP idle", shown, "defaults are not listed")
        self.api.objects["enis"]["e"].update(host="h", addresses=[f"10.0.1.{i}" for i in range(4, 54)])
        self.assertRegex(self.outboard("eni", "list").stdout, r"e +s +10\.0\.1\.4, 10\.0\.1\.5, \+48 .* elsewhere +host h\n")
        self.api.objects["enis"]["e"].update(host=None, attachment={"kind": "tap", "tap": "eth0", "netns": "blue", "state": "connected",
                                                                    "socket": None})
        self.assertRegex(self.outboard("eni", "list").stdout, r"connected +eth0 in blue\n")
        self.assertIn("attached     tap, eth0 in blue, connected\n", self.outboard("eni", "show", "e").stdout)
        self.api.objects["enis"]["e"]["attachment"] = {"kind": "vhost-user", "socket": "/s", "tap": None, "state": "pending", "queues": 1,
                                                       "reason": "The card is down."}
        self.assertIn("attached     vhost-user, /s, 1 queue pair, pending\nreason       The card is down.\n",
                      self.outboard("eni", "show", "e").stdout)
        self.make("vpc", "v", "--cidr", "10.0.0.0/16", "--flow-log", "all", "--flow-log-interval", "60")
        self.assertIn("flow log     all traffic, every 60 s\n", self.outboard("vpc", "show", "v").stdout)
        self.make("eip", "i", "--address", "203.0.113.7", "--nat", "n")
        self.assertIn("nat:n", self.outboard("eip", "list").stdout)

    def test_foreign_answers_are_shown_as_they_are(self):
        for reply in ({}, [], 3, {"name": 7, "addresses": 5, "attachment": [], "tags": "x", "bandwidth_in": "much"}):
            self.api.answer("GET", "/v1/enis/e", 200, reply)
            self.outboard("eni", "show", "e")
            self.api.answer("GET", "/v1/enis", 200, [reply, reply])
            self.outboard("eni", "list")

    def test_command_lines_that_make_no_sense(self):
        for arguments, said in ((["vpc", "create", "v"], "--cidr is missing"),
                                (["vpc", "create", "v", "--cidr", "10.0.0.0/16", "--flow-log-interval", "60"],
                                 "--flow-log-interval has no meaning without --flow-log"),
                                (["vpc", "create", "v", "--cidr", "x", "--tags", "a"], "--tags must be KEY=VALUE"),
                                (["vpc", "change", "v"], "what of v is to change?"),
                                (["subnet", "change", "s", "--acl", "a", "--clear", "acl"], "--acl and --clear acl contradict each other"),
                                (["subnet", "change", "s", "--clear", "cidr"], "--clear must be one of cidr6|route-table|acl"),
                                (["subnet", "create", "s", "--vpc", "../v", "--cidr", "x"], "--vpc must be up to 63 letters"),
                                (["eni", "create", "e", "--subnet", "s", "--bandwidth-in", "fast"], "--bandwidth-in must be bits a second"),
                                (["eni", "create", "e", "--subnet", "s", "--bandwidth-in", "0.5"], "--bandwidth-in must be bits a second"),
                                (["eni", "create", "e", "--subnet", "s", "--bandwidth-in", "99999999T"], "more bits than there are"),
                                (["eni", "create", "e", "--subnet", "s", "--subnet", "t"], "--subnet is given twice"),
                                (["security-group", "change", "g"], "what of g is to change?"),
                                (["security-group", "allow", "g", "--protocol", "tcp", "--cidr", "x"], "which direction"),
                                (["security-group", "allow", "g", "--ingress", "--egress", "--protocol", "tcp", "--cidr", "x"],
                                 "which direction"),
                                (["security-group", "allow", "g", "--ingress", "--protocol", "tcp"], "--cidr or --group?"),
                                (["security-group", "allow", "g", "--ingress", "--cidr", "x"], "--protocol is missing"),
                                (["security-group", "allow", "g", "--ingress", "--protocol", "all", "--ports", "80", "--cidr", "x"],
                                 "--ports has no meaning for --protocol all"),
                                (["security-group", "allow", "g", "--ingress", "--protocol", "tcp", "--icmp-type", "8", "--cidr", "x"],
                                 "--icmp-type and --icmp-code have no meaning for --protocol tcp"),
                                (["security-group", "revoke", "g", "--ingress", "--protocol", "icmp", "--icmp-code", "8", "--cidr", "x"],
                                 "--icmp-code has no meaning without --icmp-type"),
                                (["acl", "rule-add", "a", "100", "--ingress", "--protocol", "all", "--cidr", "x"], "--allow or --deny?"),
                                (["acl", "rule-add", "a", "0", "--ingress", "--allow", "--protocol", "all", "--cidr", "x"],
                                 "NUMBER must be from 1 to 32766"),
                                (["acl", "rule-remove", "a", "32767", "--ingress"], "NUMBER must be from 1 to 32766"),
                                (["acl", "rule-remove", "a", "1"], "which direction"),
                                (["route-table", "route-add", "r", "0.0.0.0/0"], "--target is missing"),
                                (["route-table", "route-add", "r"], "DESTINATION is missing"),
                                (["eni", "attach", "e", "--netns", "blue"], "--netns has no meaning without --tap"),
                                (["eni", "attach", "e", "--tap", "t", "--queues", "2"], "--queues has no meaning with --tap"),
                                (["eni", "attach", "e", "--tap", "t", "--socket", "s"], "--socket has no meaning with --tap"),
                                (["eni", "attach", "e", "--user", "nobody-at-all"], 'there is no user "nobody-at-all"'),
                                (["eni", "qemu", "e", "--memory", "much"], "--memory must be a size"),
                                (["eni", "capture", "e"], "--write is missing"),
                                (["eni", "capture", "e", "-w", "f", "--snap", "63"], "--snap must be 64 to 65535"),
                                (["eni", "capture", "e", "-w", "f", "--duration", "0"], "--duration must be 1 to"),
                                (["eni", "capture", "e", "-w", "f", "--count", "0"], "--count must be at least 1"),
                                (["eni", "flow-log", "e", "--lines", "10001"], "--lines must be 1 to 10000"),
                                (["vpc", "trace", "--from", "e"], "--packet is missing")):
            with self.subTest(arguments=arguments):
                self.assertIn(said, self.outboard(*arguments, status=2).stderr)
                self.assertIn(said, self.json(*arguments, status=2)["error"]["message"])
        self.assertIn("give --write a file", self.json("eni", "capture", "e", "-w", "-", status=2)["error"]["message"])
        self.assertIn("--follow has no end", self.json("eni", "flow-log", "e", "--follow", status=2)["error"]["message"])
        self.assertEqual(self.api.requests, [], "nothing was asked")

    def test_the_api_speaks_of_fields_and_the_command_of_options(self):
        for field, option in (("cidrs[1]", "--cidr"), ("mtu", "--mtu"), ("vni", "--vni"), ("flow_log.interval_s", 'Field "flow_log.interval_s"')):
            self.api.answer("POST", "/v1/vpcs", *fake_api.error(400, "invalid_field", f'Field "{field}" must be better.'))
            self.assertEqual(self.outboard("vpc", "create", "v", "--cidr", "x", status=1).stderr, f"outboard: {option} must be better.\n")
        for field, option in (("addresses[0]", "--address"), ("security_groups[0]", "--security-group"), ("packets_per_s", "--packets-per-s"),
                              ("tcp_established_s", "--tcp-established, in seconds,"), ("udp_stream_s", "--udp-stream, in seconds,")):
            self.api.answer("POST", "/v1/enis", *fake_api.error(400, "invalid_field", f'ENI "e": Field "{field}" must be better.'))
            self.assertEqual(self.outboard("eni", "create", "e", "--subnet", "s", status=1).stderr, f"outboard: {option} must be better.\n")


class Rules(NetTest):
    def setUp(self):
        super().setUp()
        for kind in ("security-group", "acl", "route-table"):
            self.make(kind, "x")

    def test_allow_and_revoke(self):
        text = self.outboard("security-group", "allow", "x", "--ingress", "--protocol", "tcp", "--ports", "80-90", "--cidr", "0.0.0.0/0",
                             "--cidr", "::/0", "--group", "db", "--description", "why").stdout
        rule = {"direction": "ingress", "protocol": "tcp", "ports": "80-90", "description": "why"}
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/security-groups/x/rules", {"add": [
            {**rule, "cidr": "0.0.0.0/0"}, {**rule, "cidr": "::/0"}, {**rule, "group": "db"}]}))
        self.assertEqual(text, "x: ingress tcp 80-90 from 0.0.0.0/0\nx: ingress tcp 80-90 from ::/0\nx: ingress tcp 80-90 from group db\n"
                         '3 rules now; "outboard security-group show x" shows them.\n')
        shown = self.outboard("security-group", "show", "x").stdout
        self.assertRegex(shown, r"DIRECTION +TRAFFIC +OTHER SIDE +DESCRIPTION\ningress +tcp 80-90 +0\.0\.0\.0/0 +why\n")
        self.assertRegex(shown, r"ingress +tcp 80-90 +group db +why\n")
        gone = ["security-group", "revoke", "x", "--ingress", "--protocol", "tcp", "--ports", "81"]
        self.assertEqual(self.outboard(*gone, "--cidr", "::/0").stdout,
                         'x: no such rule: nothing changed\n3 rules now; "outboard security-group show x" shows them.\n')
        self.outboard(*gone[:1], "allow", *gone[2:], "--cidr", "::/0")
        self.assertEqual(self.outboard(*gone, "--cidr", "::/0", "--cidr", "10.0.0.0/8").stdout,
                         "x: ingress tcp 81 from ::/0 removed\nx: ingress tcp 81 from 10.0.0.0/8 removed\nOnly 1 of these 2 was there.\n"
                         '3 rules now; "outboard security-group show x" shows them.\n')
        whole = self.json("security-group", "revoke", "x", "--ingress", "--protocol", "tcp", "--ports", "80-90", "--cidr", "::/0")
        self.assertEqual(self.api.last("POST")[2], {"remove": [{"direction": "ingress", "protocol": "tcp", "ports": "80-90", "cidr": "::/0"}]})
        self.assertEqual(whole["rule_count"], 2)
        self.json("security-group", "allow", "x", "--egress", "--protocol", "icmp", "--icmp-type", "8", "--icmp-code", "0", "--cidr", "0.0.0.0/0")
        self.assertEqual(self.api.last("POST")[2], {"add": [{"direction": "egress", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0,
                                                             "cidr": "0.0.0.0/0"}]})
        self.assertIn("icmp type 8 code 0", self.outboard("security-group", "show", "x").stdout)

    def test_a_group_without_rules_says_so(self):
        self.assertIn("No rules: nothing may pass.", self.outboard("security-group", "show", "x").stdout)
        self.api.objects["security-groups"]["x"]["rules"] = [{"direction": "egress", "protocol": 47, "cidr": "::/0"}]
        self.assertRegex(self.outboard("security-group", "show", "x").stdout, r"egress +protocol 47 +::/0 +-\n")

    def test_acl(self):
        text = self.outboard("acl", "rule-add", "x", "100", "--egress", "--deny", "--protocol", "tcp", "--ports", "23", "--cidr",
                             "0.0.0.0/0").stdout
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/acls/x/rules", {"add": [
            {"number": 100, "direction": "egress", "action": "deny", "protocol": "tcp", "ports": "23", "cidr": "0.0.0.0/0"}]}))
        self.assertEqual(text, 'x: egress rule 100 denies tcp 23 to 0.0.0.0/0\n1 rule now; "outboard acl show x" shows it.\n')
        self.assertRegex(self.outboard("acl", "show", "x").stdout, r"egress +100 +deny +tcp 23 +0\.0\.0\.0/0\nWhat no rule matches is denied\.")
        self.assertIn("x: egress rule 100 removed\n0 rules now", self.outboard("acl", "rule-remove", "x", "100", "--egress").stdout)
        self.assertEqual(self.api.last("POST")[2], {"remove": [{"number": 100, "direction": "egress"}]})
        self.assertIn("x: no such rule: nothing changed\n0 rules now", self.outboard("acl", "rule-remove", "x", "100", "--egress").stdout)
        self.assertIn("No rules: nothing may pass.", self.outboard("acl", "show", "x").stdout)

    def test_routes(self):
        text = self.outboard("route-table", "route-add", "x", "0.0.0.0/0", "--target", "nat:gw").stdout
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/route-tables/x/routes", {"add": [{"destination": "0.0.0.0/0", "target": "nat:gw"}]}))
        self.assertEqual(text, 'x: 0.0.0.0/0 goes to nat:gw\n1 route now; "outboard route-table show x" shows it.\n')
        self.assertRegex(self.outboard("route-table", "show", "x").stdout, r"the VPC's cidrs +local\n0\.0\.0\.0/0 +nat:gw\n")
        self.assertEqual(self.json("route-table", "route-remove", "x", "0.0.0.0/0")["route_count"], 0)
        self.assertEqual(self.api.last("POST")[2], {"remove": [{"destination": "0.0.0.0/0"}]})
        self.assertIn("x: no such route: nothing changed\n", self.outboard("route-table", "route-remove", "x", "0.0.0.0/0").stdout)

    def test_what_is_there_with_other_contents(self):
        for path, arguments, said in (
                ("acls/x/rules", ["acl", "rule-add", "x", "1", "--ingress", "--deny", "--protocol", "all", "--cidr", "::/0"], "acl rule-remove"),
                ("route-tables/x/routes", ["route-table", "route-add", "x", "::/0", "-t", "internet"], "route-table route-remove"),
                ("security-groups/x/rules", ["security-group", "allow", "x", "--egress", "--protocol", "all", "--cidr", "::/0"],
                 "security-group revoke")):
            self.api.answer("POST", f"/v1/{path}", *fake_api.error(409, "conflict", 'Field "add[0]": there is one like that already.'))
            error = self.json(*arguments, status=1)["error"]
            self.assertEqual(error["code"], "conflict")
            self.assertIn(said, error["message"])
            self.api.answer("POST", f"/v1/{path}", *fake_api.error(409, "conflict", "Something else."))
            self.assertEqual(self.json(*arguments, status=1)["error"]["message"], "Something else.")
            self.api.answer("POST", f"/v1/{path}", *fake_api.error(400, "invalid_field", 'Field "add[0].cidr" must be a block.'))
            if "--cidr" in arguments:
                self.assertEqual(self.json(*arguments, status=1)["error"]["message"], "--cidr must be a block.")


class Load(NetTest):
    def file(self, content, name="network.json"):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def setUp(self):
        super().setUp()
        self.api.answer("POST", "/v1/vpc-load", 200, {"created": 3, "updated": 2, "deleted": 1, "unchanged": 0})
        self.small = {"vpcs": [{"name": "v", "cidrs": ["10.0.0.0/8"]}], "security_groups": [
            {"name": "g", "vpc": "v", "rules": [{"a": 1}, {"b": 2}]}, {"name": "h", "vpc": "v"}],
            "route_tables": [{"name": "r", "vpc": "v", "routes": [{}]}]}

    def test_load(self):
        path = self.file(self.small)
        self.assertEqual(self.outboard("vpc", "load", path).stdout,
                         "1 VPC, 2 security groups (2 rules), 1 route table (1 route): 3 created, 2 updated, 1 deleted, 0 unchanged\n")
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/vpc-load", self.small))
        self.assertEqual(self.json("vpc", "load", path, "--replace")["created"], 3)
        self.assertEqual(self.api.last("POST")[2], {**self.small, "replace": True})
        with open(path) as f:
            self.assertIn("1 VPC", self.outboard("vpc", "load", "-", stdin=f).stdout)
        self.assertIn("nothing: ", self.outboard("vpc", "load", self.file({})).stdout)

    def test_progress_of_a_large_file(self):
        self.small["security_groups"][0]["rules"] = [{"direction": "ingress", "cidr": "10.0.0.0/8", "n": i} for i in range(30000)]
        path = self.file(self.small)
        done = self.outboard("vpc", "load", path)
        self.assertEqual(done.stderr.splitlines()[0], "loading: 0 %")
        self.assertEqual(done.stderr.splitlines()[-1], "loading: 100 %")
        self.assertIn("(30000 rules)", done.stdout)
        self.assertEqual(self.api.last("POST")[2], self.small)
        self.json("vpc", "load", path)
        self.assertEqual(self.outboard("vpc", "load", self.file({})).stderr, "", "a small one needs no bar")

    def test_refusals(self):
        for content, said in (('{"vpcs": [}', "line 1, column"), ('{"a": 1, "a": 2}', "duplicate object key"), ("[]", "must be a JSON object"),
                              ("", "line 1")):
            error = self.json("vpc", "load", self.file(content), status=1)["error"]
            self.assertEqual(error["code"], "invalid_json")
            self.assertIn(said, error["message"])
            self.assertIn("network.json", error["message"])
        error = self.json("vpc", "load", "/nonexistent/file", status=1)["error"]
        self.assertEqual(error["code"], "file")
        self.assertIn("/nonexistent/file", error["message"])
        self.assertEqual(self.api.requests, [], "nothing was asked")
        self.api.answer("POST", "/v1/vpc-load", *fake_api.error(400, "invalid_field", 'Field "vpcs[0].mtu" must be better.'))
        self.assertEqual(self.outboard("vpc", "load", self.file(self.small), status=1).stderr,
                         'outboard: VPC "v": Field "vpcs[0].mtu" must be better.\n')

    def test_a_refusal_deep_in_a_file_says_whose_field_it_is_and_what_stands_there(self):
        for message, said in (('Field "security_groups[0].rules[1].b" is odd.', 'security group "g": {} There is 2'),
                              ('Field "security_groups[1].vpc" is odd.', 'security group "h": {} There is "v"'),
                              ('Field "security_groups[0].rules[1]" is odd.', 'security group "g": {}'),
                              ('Field "security_groups[9].rules[1]" is odd.', "{}"), ('Field "security_groups" is odd.', "{}"),
                              ('Field "nothing[0].a" is odd.', "{}"), ('Field "vpcs[0', 'VPC "v": {}'), ('VPC "v" is odd.', "{}"), ('Field "', "{}")):
            self.api.answer("POST", "/v1/vpc-load", *fake_api.error(400, "invalid_field", message))
            error = self.json("vpc", "load", self.file(self.small), status=1)["error"]
            self.assertEqual(error, {"code": "invalid_field", "message": said.format(message)})


class Trace(NetTest):
    def test_trace(self):
        reply = {"lines": [{"stage": "parse", "verdict": "pass", "detail": "IPv4"}, {"stage": "security-group", "verdict": "deny", "detail": "no\x1b"}],
                 "drop": "security_group_in", "sentence": "no ingress rule allows it"}
        self.api.answer("POST", "/v1/enis/e/trace", 200, reply)
        text = self.outboard("vpc", "trace", "--from", "e", "--packet", "tcp 10.0.1.5:80 syn").stdout
        self.assertEqual(self.api.last("POST")[2], {"packet": "tcp 10.0.1.5:80 syn"})
        self.assertEqual(text, "STAGE           VERDICT  DETAIL\nparse           pass     IPv4\nsecurity-group  deny     no?\n\n"
                         "Dropped (security_group_in): no ingress rule allows it.\n")
        self.assertEqual(self.json("vpc", "trace", "--from", "e", "-p", "x"), reply)
        for drop, sentence, end in ((None, "the packet arrives", "\nThe packet arrives.\n"), ("answered", "x", "\nThe card answers it itself.\n")):
            self.api.answer("POST", "/v1/enis/e/trace", 200, {"lines": [], "drop": drop, "sentence": sentence})
            self.assertEqual(self.outboard("vpc", "trace", "--from", "e", "-p", "x").stdout, end)
        self.api.answer("POST", "/v1/enis/e/trace", *fake_api.error(400, "invalid_field", 'Field "packet" must be shorter.'))
        self.assertEqual(self.outboard("vpc", "trace", "--from", "e", "-p", "x", status=1).stderr, "outboard: --packet must be shorter.\n")


class Attach(NetTest):
    def setUp(self):
        super().setUp()
        self.network()

    def test_attach_prints_lines_to_paste(self):
        text = self.outboard("eni", "attach", "e", "--socket", "it's, a.sock", "--queues", "2").stdout
        path = os.path.join(self.folder, "it's, a.sock")
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/enis/e/attachment", {"kind": "vhost-user", "socket": path, "queues": 2, "packed": True}))
        self.assertEqual(text.splitlines()[0], path)
        doubled = path.replace(",", ",,").replace("'", "'\\''")
        for line in ("-object memory-backend-memfd,id=mem,size=4G,share=on", f"-chardev 'socket,id=nic-e,path={doubled},reconnect=1'",
                     "-netdev vhost-user,id=net-e,chardev=nic-e,queues=2",
                     "-device virtio-net-pci,netdev=net-e,mac=02:00:00:00:00:04,mq=on,vectors=6",
                     "--memory size=4G,shared=on", "mac=02:00:00:00:00:04,num_queues=4", "Firecracker has no vhost-user NIC"):
            self.assertIn(line, text)

    def test_attach_json(self):
        self.api.objects["vpcs"]["v"]["mtu"] = 9000
        reply = self.json("eni", "attach", "e", "--no-packed", "--user", "root", "--group", "5", "--mode", "0660", "--queues", "1")
        self.assertEqual(self.api.last("POST")[2], {"kind": "vhost-user", "queues": 1, "packed": False, "uid": 0, "gid": 5, "mode": "0660"})
        self.assertEqual(reply["socket"], "/run/sockets/e.sock")
        self.assertEqual(reply["qemu"][-1], "virtio-net-pci,netdev=net-e,mac=02:00:00:00:00:04,host_mtu=9000")
        self.assertIn("num_queues=2,queue_size=256,mtu=9000", reply["cloud_hypervisor"][-1])

    def test_attach_as_an_interface(self):
        text = self.outboard("eni", "attach", "e", "--tap", "eth0", "--netns", "blue").stdout
        self.assertEqual(self.api.last("POST")[2], {"kind": "tap", "tap": "eth0", "netns": "blue"})
        self.assertEqual(text.splitlines()[0], "eth0 in blue")
        for line in ("ip -n blue address add 10.0.1.4/24 dev eth0", "ip -n blue route add default via 10.0.1.1 dev eth0",
                     "ip -n blue address add fd00:1::4/64 dev eth0 nodad", "ip -n blue -6 route add default via fd00:1::1 dev eth0"):
            self.assertIn(f"  {line}\n", text)
        self.assertEqual(self.json("eni", "attach", "e", "--tap", "eth0", "--netns", "./ns")["netns"], os.path.join(self.folder, "./ns"))
        self.assertIn("  ip address add 10.0.1.4/24 dev t0\n", self.outboard("eni", "attach", "e", "--tap", "t0").stdout)

    def test_addresses_that_fit_no_subnet_are_left_out(self):
        self.api.objects["subnets"]["s"].update(cidr6=None, cidr="nonsense")
        self.assertNotIn("address add", self.outboard("eni", "attach", "e", "--tap", "t0").stdout)
        self.api.objects["enis"]["e"]["addresses"] = ["nonsense", 3, None]
        self.assertNotIn("address add", self.outboard("eni", "attach", "e", "--tap", "t0").stdout)

    def test_detach(self):
        self.json("eni", "attach", "e")
        self.assertEqual(self.json("eni", "detach", "e"), {"detached": "e"})
        self.assertEqual(self.api.last("DELETE")[1], "/v1/enis/e/attachment")
        self.assertEqual(self.json("eni", "detach", "e", status=1)["error"]["code"], "attachment_not_found")

    def test_qemu(self):
        self.assertIn("outboard eni attach e", self.json("eni", "qemu", "e", status=1)["error"]["message"])
        self.json("eni", "attach", "e")
        self.assertEqual(self.outboard("eni", "qemu", "e").stdout,
                         "-chardev socket,id=nic-e,path=/run/sockets/e.sock,reconnect=1 -netdev vhost-user,id=net-e,chardev=nic-e,queues=4 "
                         "-device virtio-net-pci,netdev=net-e,mac=02:00:00:00:00:04,mq=on,vectors=10\n")
        line = self.json("eni", "qemu", "e", "--memory", "512M")["qemu"]
        self.assertEqual(line[:6], ["-m", "512M", "-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-machine", "q35,memory-backend=mem"])
        self.json("eni", "attach", "e", "--tap", "t0")
        self.assertEqual(self.json("eni", "qemu", "e", status=1)["error"]["code"], "attached_as_tap")

    @unittest.skipIf(shutil.which("qemu-system-x86_64") is None, "needs QEMU")
    def test_qemu_understands_its_line(self):
        """It gets as far as connecting to the socket, where nobody answers."""
        path = os.path.join(self.folder, "e.sock")
        self.json("eni", "attach", "e", "--socket", path)
        line = [word.replace(",reconnect=1", "") for word in self.json("eni", "qemu", "e", "--memory", "64M")["qemu"]]
        done = subprocess.run(["qemu-system-x86_64", "-display", "none", *line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=PATIENCE_S)
        self.assertIn(f"Failed to connect to '{path}'", done.stdout)

    def test_stats(self):
        stats = {"id": "x", "name": "e", "state": "connected", "in": {"packets": 5, "bytes": 500}, "out": {"packets": 6, "bytes": 600},
                 "drops": {"security_group_in": 7, "answered": 8}, "allowances": {"bw_in_allowance_exceeded": 0, "conntrack_allowance_available": 9},
                 "flows": 1, "flows_max": 10, "flows_created": 3, "slow_path": 4, "queues": []}
        self.api.answer("GET", "/v1/enis/e/stats", 200, stats)
        self.assertEqual(self.json("eni", "stats", "e"), stats)
        text = self.outboard("eni", "stats", "e").stdout
        for line in ("to guest     5 packets, 500 bytes", "from guest   6 packets, 600 bytes", "flows        1 of 10, 3 created",
                     "answered     8 packets, by the card itself: ARP, DHCP, DNS and the like"):
            self.assertIn(line + "\n", text)
        self.assertRegex(text, r"ALLOWANCE +COUNT\nbw_in_allowance_exceeded +0\nconntrack_allowance_available +9\n")
        self.assertRegex(text, r"DROPPED BECAUSE +COUNT\nsecurity_group_in +7\n$")
        self.api.answer("GET", "/v1/enis/e/stats", 200, {**stats, "drops": {}})
        self.assertNotIn("DROPPED", self.outboard("eni", "stats", "e").stdout)

    def test_the_manual_explains_every_reason_of_a_drop(self):
        with open(os.path.join(tap.ROOT, "src", "vpc", "drop.h")) as f:
            reasons = re.findall(r'X\(\w+, +"(\w+)", +"([^"]+)"', f.read())
        with open(os.path.join(tap.ROOT, "docs", "man", "outboard-eni.1")) as f:
            manual = f.read()
        self.assertGreater(len(reasons), 30)
        for reason, sentence in reasons:
            if reason != "answered":  # no drop
                self.assertIn(f".It Li {reason}\n{sentence[0].upper()}{sentence[1:]}.\n", manual)


def block(kind, body):
    size = 12 + len(body)
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


SECTION = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 65535))


def packet(data):
    padded = data + bytes(-len(data) % 4)
    return block(6, struct.pack("<IIIII", 0, 0, 0, len(data), len(data)) + padded)


class Capture(NetTest):
    """The card's side is a list of pieces; what comes after the last is empty."""

    def setUp(self):
        super().setUp()
        self.pieces, self.lost, self.stopped, self.reads = [], 0, [], 0
        self.api.answer("POST", "/v1/enis/e/capture", 200, self.card)
        self.path = os.path.join(self.folder, "out.pcapng")

    def card(self, body):
        if body["action"] == "start":
            self.started = body
            return {"capture": 7}
        self.assertEqual(body["capture"], 7)
        if body["action"] == "stop":
            self.stopped.append(body)
            return {}
        self.reads += 1
        piece = self.pieces.pop(0) if self.pieces else b""
        return {"data": base64.b64encode(piece).decode(), "lost": self.lost if self.reads == 1 else 0}

    def cut(self, data, size):
        self.pieces = [data[i:i + size] for i in range(0, len(data), size)]

    def written(self):
        with open(self.path, "rb") as f:
            return f.read()

    def test_whole_blocks_whatever_the_pieces(self):
        stream = SECTION + b"".join(packet(bytes([i]) * (60 + i)) for i in range(20))
        for size in (1, 3, 7, 64, 1000, len(stream)):
            with self.subTest(size=size):
                self.cut(stream, size)
                result = self.json("eni", "capture", "e", "-w", self.path, "--count", "20")
                self.assertEqual(result, {"eni": "e", "file": self.path, "packets": 20, "bytes": len(stream), "lost": 0})
                self.assertEqual(self.written(), stream)
        self.assertEqual(self.started, {"action": "start", "snap_bytes": 65535, "drops": False})
        self.assertEqual(len(self.stopped), 6, "each was stopped")

    def test_count_is_exact(self):
        self.pieces = [SECTION + packet(b"a" * 60) + packet(b"b" * 60) + packet(b"c" * 60)]
        done = self.outboard("eni", "capture", "e", "-w", self.path, "-c", "2", "--drops", "--snap", "128")
        self.assertEqual(done.stderr, "2 packets captured, 0 lost\n")
        self.assertEqual(self.written(), SECTION + packet(b"a" * 60) + packet(b"b" * 60))
        self.assertEqual(self.started, {"action": "start", "snap_bytes": 128, "drops": True})
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600, "packets are not for everybody")

    def test_lost_packets_are_told(self):
        self.lost = 5
        self.pieces = [SECTION + packet(b"a" * 60)]
        self.assertIn("1 packet captured, 5 lost: more than could be written", self.outboard("eni", "capture", "e", "-w", self.path, "-c", "1").stderr)

    def test_duration(self):
        self.pieces = [SECTION, packet(b"a" * 60)]
        self.assertEqual(self.json("eni", "capture", "e", "-w", self.path, "--duration", "1")["packets"], 1)

    def test_signals_end_it_cleanly(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.pieces, self.reads = [SECTION + packet(b"a" * 60)[:50]], 0
            process = subprocess.Popen([tap.build("outboard"), "eni", "capture", "e", "-w", self.path], env=self.environment,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while self.reads < 3:
                time.sleep(0.01)
            process.send_signal(sig)
            _, errors = process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, 0, errors)
            self.assertEqual(errors, "0 packets captured, 0 lost\n")
            self.assertEqual(self.written(), SECTION, "no half block")
        self.assertEqual(len(self.stopped), 3)

    def test_standard_output(self):
        stream = SECTION + packet(b"a" * 60)
        self.pieces = [stream]
        done = subprocess.run([tap.build("outboard"), "eni", "capture", "e", "-w", "-", "-c", "1"], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stdout), (0, stream))

    def test_a_reader_that_goes_is_no_error(self):
        self.pieces = [SECTION] + [packet(b"a" * 60)] * 100000
        process = subprocess.Popen([tap.build("outboard"), "eni", "capture", "e", "-w", "-"], env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.read(8)
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.stderr.close()
        self.assertEqual(process.wait(PATIENCE_S), 0, errors)
        self.assertEqual(len(self.stopped), 1)

    def test_what_is_no_pcapng_is_refused(self):
        for piece in (b"\0" * 12, struct.pack("<II", 6, 13) + b"\0" * 8, struct.pack("<III", 6, 12, 16), struct.pack("<II", 6, 1 << 30),
                      struct.pack("<II", 6, 8) + b"\0" * 8):
            self.pieces, self.reads = [piece], 0
            error = self.json("eni", "capture", "e", "-w", self.path, "-c", "1", status=1)["error"]
            self.assertEqual(error["code"], "protocol")
        self.assertEqual(len(self.stopped), 5, "what is running on the card is stopped")
        for data in ("x", "====", "AAA=AAAA", "A A=", "AB==", "\u00e4"):
            self.api.answer("POST", "/v1/enis/e/capture", 200, {"capture": 7, "data": data, "lost": 0})
            self.assertEqual(self.json("eni", "capture", "e", "-w", self.path, status=1)["error"]["code"], "protocol")

    def test_errors(self):
        self.assertEqual(self.json("eni", "capture", "e", "-w", "/nonexistent/file", status=1)["error"]["code"], "file")
        self.assertEqual(self.api.requests, [], "nothing was started for it")
        self.pieces = [SECTION]
        self.assertIn("No space left", self.json("eni", "capture", "e", "-w", "/dev/full", status=1)["error"]["message"])
        self.assertEqual(len(self.stopped), 1)
        self.api.answer("POST", "/v1/enis/e/capture", *fake_api.error(404, "capture_not_found", "the capture has ended"))
        self.assertEqual(self.json("eni", "capture", "e", "-w", self.path, status=1)["error"]["message"], "the capture has ended")


class FlowLog(NetTest):
    def answer(self, *lines):
        for wanted in (1, 2, 100, 10000):
            self.api.answer("GET", f"/v1/enis/e/flow-log?lines={wanted}", 200, {"lines": list(lines)[-wanted:]})

    def test_lines(self):
        self.answer("2 - e ACCEPT OK", "2 - e REJECT \x1bOK")
        self.assertEqual(self.outboard("eni", "flow-log", "e").stdout, "2 - e ACCEPT OK\n2 - e REJECT ?OK\n")
        self.assertEqual(self.outboard("eni", "flow-log", "e", "--lines", "1").stdout, "2 - e REJECT ?OK\n")
        self.assertEqual(self.json("eni", "flow-log", "e", "-n", "2"), {"lines": ["2 - e ACCEPT OK", "2 - e REJECT \x1bOK"]})
        self.answer()
        done = self.outboard("eni", "flow-log", "e")
        self.assertEqual(done.stdout, "")
        self.assertIn("--flow-log all", done.stderr)
        self.api.answer("GET", "/v1/enis/e/flow-log?lines=100", 200, {})
        self.assertEqual(self.json("eni", "flow-log", "e", status=1)["error"]["code"], "protocol")

    def test_follow(self):
        self.answer("a", "b", "c")
        process = subprocess.Popen([tap.build("outboard"), "eni", "flow-log", "e", "--follow", "--lines", "2"], env=self.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual([process.stdout.readline() for _ in range(2)], ["b\n", "c\n"])
        self.answer("b", "c", "c", "d")
        self.assertEqual([process.stdout.readline() for _ in range(2)], ["c\n", "d\n"])
        self.answer("new", "file")
        self.assertEqual([process.stdout.readline() for _ in range(2)], ["new\n", "file\n"])
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual((process.returncode, output, errors), (0, "", ""))


class Status(NetTest):
    def health(self, network, stats=None):
        self.api.answer("GET", "/healthz", 200, {"status": "ok", "card": "up", "vault": "unlocked", "version": "1", "network": network})
        if stats is None:
            self.api.answer("GET", "/v1/cards/local/stats?all=1", *fake_api.error(503, "card_unavailable", "it is down"))
        else:
            self.api.answer("GET", "/v1/cards/local/stats?all=1", 200, stats)
        return self.outboard("status").stdout

    def test_the_network_in_a_line(self):
        ok = {"state": "ok", "message": None}
        counters = {"flows": 120, "flows_max": 1000, "wires": [{"name": "wire0", "link": True}, {"name": "wire1", "link": False}]}
        stats = {"network": counters, "enis": [{"state": "connected"}, {"state": "waiting"}, {"state": "detached"}]}
        text = self.health(ok, stats)
        self.assertIn("network      2 wires (1 down), 2 ENIs attached, 120 of 1000 flows\n", text)
        self.assertIn("A wire has no link", text)
        self.assertEqual(self.json("status")["network"], {**ok, "enis": 2, "wires": 2, "wires_up": 1, "flows": 120, "flows_max": 1000})
        counters["wires"].pop()
        stats["enis"].pop(0)
        text = self.health(ok, stats)
        self.assertIn("network      1 wire, 1 ENI attached, ", text)
        self.assertNotIn("no link", text)
        self.assertIn("network      ok, not in use\n", self.health(ok, {"network": None, "enis": []}))
        self.assertIn("network      ok, not in use\n", self.health(ok))

    def test_what_is_wrong(self):
        text = self.health({"state": "refused", "message": "Too many routes."})
        self.assertIn("network      refused\n", text)
        self.assertIn("goes on with the one before: Too many routes.", text)
        self.assertIn("has not taken the network yet", self.health({"state": "pending", "message": None}))
        self.assertNotIn("network", self.health(None), "an API of before")


class Top(NetTest):
    def snapshots(self, network=True):
        """Two seconds apart: ENI busy received 2,000 packets of 100 bytes and sent half; 20 were dropped, 2 answered."""
        def snapshot(now_s, n):
            enis = [{"id": name, "name": name, "state": state, "in": {"packets": 1000 * k, "bytes": 100000 * k},
                     "out": {"packets": 500 * k, "bytes": 50000 * k}, "drops": {"acl_in": 10 * k, "answered": k} if k else {},
                     "allowances": {}, "flows": 5, "flows_max": 10, "flows_created": 100 * k, "slow_path": 100 * k, "queues": []}
                    for name, state, k in (("idle", "waiting", 0), ("busy", "connected", n))]
            wires = [{"name": "wire0", "device": "net_null0", "link": False, "mac": "02:00:00:00:00:01", "address": "192.0.2.1/24",
                      "in": {"packets": 10 * n, "bytes": 1000 * n}, "out": {"packets": 20 * n, "bytes": 2000 * n}, "full": 3 * n}]
            counters = {"flows": 5, "flows_max": 1000, "flows_created": 100 * n, "flows_expired": 50 * n, "packets": 1000 * n, "batches": n,
                        "drops": {"not_ours": 4 * n}, "wires": wires,
                        "stages": [{"name": "parse", "cycles": 20000 * n, "packets": 1000 * n}, {"name": "slow", "cycles": 50000 * n, "packets": 10 * n}]}
            return {"now_ns": now_s * 10**9, "pollers": [], "devices": [], "enis": enis if network else [], "network": counters if network else None}
        replies = [snapshot(1, 1), snapshot(3, 3)]
        self.api.answer("GET", "/v1/cards/local/stats", 200, lambda _: replies.pop(0) if len(replies) > 1 else replies[0])

    def test_rates(self):
        self.snapshots()
        stats = self.json("top")
        busy = [e for e in stats["enis"] if e["name"] == "busy"][0]
        self.assertEqual(busy, {"name": "busy", "state": "connected", "in": {"packets_per_s": 1000, "bits_per_s": 800000},
                                "out": {"packets_per_s": 500, "bits_per_s": 400000}, "drops_per_s": 10, "drops": {"acl_in": 10, "answered": 1},
                                "flows": 5, "flows_max": 10, "new_flows_per_s": 100, "slow_path_per_s": 100})
        network = stats["network"]
        self.assertEqual(network["stages"], [{"name": "parse", "packets_per_s": 1000, "cycles_per_packet": 20},
                                             {"name": "slow", "packets_per_s": 10, "cycles_per_packet": 5000}])
        self.assertEqual((network["packets_per_s"], network["cycles_per_packet"], network["drops_per_s"]), (1000, 70, 4))
        self.assertEqual(network["wires"], [{"name": "wire0", "device": "net_null0", "link": False, "address": "192.0.2.1/24", "full_per_s": 3,
                                             "in": {"packets_per_s": 10, "bits_per_s": 8000}, "out": {"packets_per_s": 20, "bits_per_s": 16000}}])

    def test_screen(self):
        self.snapshots()
        text = self.outboard("top", "--once").stdout
        self.assertIn("network: 1.00k packets/s, 5 of 1000 flows, 100 new/s\n"
                      "cycles a packet: 70 (of those that pass it: parse 20, slow 5000)\n", text)
        self.assertRegex(text, r"ENI +STATE +IN/s +BIT/s +OUT/s +BIT/s +DROP/s +FLOWS +NEW/s\n"
                               r"busy +connected +1\.00k +800k +500 +400k +10 +5 +100\nidle +waiting +0 +0 +0 +0 +0 +5 +0\n")
        self.assertRegex(text, r"wire0 +down +10 +8\.00k +20 +16\.0k +3 +192\.0\.2\.1/24\n")
        self.assertNotIn("No device has worked", text)
        self.assertNotIn("VOLUME", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 80, "it fits a terminal")

    def test_no_network(self):
        self.snapshots(network=False)
        text = self.outboard("top", "--once").stdout
        self.assertNotIn("network", text)
        self.assertIn("No device has worked yet", text)
        self.snapshots(network=False)
        stats = self.json("top")
        self.assertEqual((stats["network"], stats["enis"]), (None, []))


class Completion(NetTest):
    def complete(self, *words):
        return self.outboard("--complete", *words).stdout.split()

    def test_names_of_each_kind(self):
        for kind in KINDS:
            self.make(kind, f"{kind}-one")
            self.assertEqual(self.complete(kind, "show", ""), [f"{kind}-one"])
        for words, offered in ((["subnet", "create", "x", "--vpc", ""], ["vpc-one"]), (["eni", "create", "x", "--subnet", ""], ["subnet-one"]),
                               (["eni", "create", "x", "-g", "sec"], ["security-group-one"]), (["vpc", "trace", "--from", ""], ["eni-one"]),
                               (["subnet", "change", "x", "--route-table", ""], ["route-table-one"]), (["eip", "change", "x", "--nat", ""], ["nat-one"]),
                               (["subnet", "change", "x", "--clear", "r"], ["route-table"]), (["eni", "change", "x", "--host", ""], ["host-one"]),
                               (["vpc", "load", ""], [":file"]), (["security-group", "al"], ["allow"])):
            with self.subTest(words=words):
                self.assertEqual(self.complete(*words), offered)


if __name__ == "__main__":
    tap.main()
