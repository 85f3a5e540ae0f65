#!/usr/bin/python3
"""Seeds of fuzz/corpus/net_json: a good object of each kind, whole and as a change, rules to be changed, a file to be loaded."""
import json
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "net_json")
HOST, VPC, GROUP, ACL, ROUTE_TABLE, SUBNET, PEERING, ENI, NAT, EIP, COUNT = range(11)  # src/vpc/spec.h
LOAD, ATTACH, TRACE, CAPTURE = range(3 * COUNT, 3 * COUNT + 4)
RULES = [{"direction": "ingress", "protocol": 6, "ports": 80, "cidr": "0.0.0.0/0", "description": "web"},
         {"direction": "ingress", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0, "group": "g"},
         {"direction": "egress", "protocol": "47", "cidr": "FD00::/8", "ports": None}]
ACL_RULES = [{"number": 100, "direction": "egress", "action": "deny", "protocol": "udp", "ports": "1000-2000", "cidr": "10.0.0.0/8"}]
ROUTES = [{"destination": "0.0.0.0/0", "target": "nat:n"}, {"destination": "::/0", "target": "internet"},
          {"destination": "10.1.0.0/16", "target": "peering:p"}, {"destination": "10.2.0.0/16", "target": "eni:e"}]
OBJECTS = {
    HOST: {"name": "h", "address": "192.0.2.1"},
    VPC: {"name": "v", "cidrs": ["10.0.0.0/16", "FD00::/48"], "vni": 5000, "encapsulation": "geneve", "mtu": 1400, "domain": "a.example",
          "flow_log": {"traffic": "reject", "interval_s": 60}, "tags": {"team": "net"}},
    GROUP: {"name": "g", "vpc": "v", "grandfather": True, "rules": RULES},
    ACL: {"name": "a", "vpc": "v", "rules": ACL_RULES},
    ROUTE_TABLE: {"name": "r", "vpc": "v", "routes": ROUTES},
    SUBNET: {"name": "s", "vpc": "v", "cidr": "10.0.1.0/24", "cidr6": "fd00:0:0:1::/64", "route_table": "r", "acl": None},
    PEERING: {"name": "p", "vpc": "v", "peer_vpc": "w"},
    ENI: {"name": "e", "subnet": "s", "mac": "02:AB:00:00:00:01", "addresses": ["10.0.1.9"], "security_groups": ["g"], "host": "h",
          "source_dest_check": False, "bandwidth_in": 10 ** 9, "packets_per_s": None, "flows_max": 5, "udp_s": 60, "tags": {}},
    NAT: {"name": "n", "subnet": "s", "address": "10.0.1.10", "mac": None, "host": None},
    EIP: {"name": "i", "address": "198.51.100.1", "eni": "e", "nat": None, "private_address": "10.0.1.9"},
}
LISTS = ("hosts", "vpcs", "security_groups", "acls", "route_tables", "subnets", "peerings", "enis", "nats", "eips")

os.makedirs(FOLDER, exist_ok=True)


def write(name, which, body):
    with open(os.path.join(FOLDER, name), "wb") as f:
        f.write(bytes([which]) + json.dumps(body).encode())


for kind, fields in OBJECTS.items():
    write(f"whole-{LISTS[kind]}", kind, fields)
    write(f"part-{LISTS[kind]}", COUNT + kind, {k: v for k, v in fields.items() if k != "name"})
for kind, listed in ((GROUP, RULES), (ACL, ACL_RULES), (ROUTE_TABLE, ROUTES)):
    write(f"items-{LISTS[kind]}", 2 * COUNT + kind, {"add": listed, "remove": listed[:1]})
write("load", LOAD, {**{LISTS[kind]: [fields] for kind, fields in OBJECTS.items()}, "replace": True})
write("attach", ATTACH, {"kind": "tap", "tap": "eth0", "netns": "blue", "queues": 2})
write("attach-socket", ATTACH, {"socket": "/run/e.sock", "uid": 7, "mode": "0660"})
write("trace", TRACE, {"packet": "tcp 10.0.1.5:80 syn"})
write("capture", CAPTURE, {"action": "start", "snap_bytes": 96, "drops": True})
