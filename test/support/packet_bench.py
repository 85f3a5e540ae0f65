"""The pipeline's bench (test/conformance/harness.c) for scripts, and a small world on it that most cases begin with.

    class Spoofing(Case):
        def test_mac(self):
            self.drops(self.send("a", Ether(src=OTHER) / ...), "a", "spoofed_mac")

The world: VPC v (VNI 4096) on two cards. Here: ENIs a and b in subnet s, d in subnet t. On host h2: c in s, e in t. All are in the
group `open`. Every frame that comes out is checked before a case sees it: lengths and checksums of all its layers.
"""
import json
import subprocess
import unittest
import uuid

from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

import frame_check
import tap

HARNESS = tap.build("test/conformance/conformance-harness")
GATEWAY_MAC = "0e:00:00:00:00:01"
WIRE_MAC = "02:00:00:00:00:01"
WIRE_IP = "192.0.2.1"
HOST_IP, HOST_MAC = "192.0.2.2", "02:00:00:00:02:02"
ROUTER_IP, ROUTER_MAC = "192.0.2.254", "02:00:00:00:02:fe"
WIRE = f"address={WIRE_IP}/24;gateway={ROUTER_IP};device=fake"
OUTSIDE = "198.51.100.7"  # somebody on the internet
VNI = 4096
NEEDS_CSUM, CSUM_VALID = 1, 2
GSO_TCP4, GSO_TCP6, GSO_UDP = 1, 2, 3
ANY4, ANY6 = "0.0.0.0/0", "::/0"


def ident(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


class Refused(Exception):
    """The bench answered "error ..."."""


class Out:
    """A frame that came out: `port` is an ENI's name or "wire", "wire@1"..."""

    def __init__(self, port, data, offloads=(0, 0, 0, 0, 0)):
        self.port, self.data, self.offloads = port, data, offloads
        self.flags, self.gso, self.gso_size, self.csum_start, self.csum_offset = offloads
        self.frame = Ether(data)

    def __repr__(self):
        return f"{self.port}: {self.frame.summary()}"


class Answer:
    def __init__(self, lines, check):
        self.out, self.dropped, self.logs, self.lines = [], [], [], lines
        for line in lines:
            word, *rest = line.split(" ")
            if word == "eni":
                self.out.append(Out(rest[0], bytes.fromhex(rest[2]), tuple(int(n) for n in rest[1].split(":"))))
            elif word.startswith("wire"):
                offloads = tuple(int(n) for n in rest[1].split(":")) if len(rest) > 1 else (0, 0, 0, 0, 0)
                self.out.append(Out(word, bytes.fromhex(rest[0]), offloads))
            elif word == "drop":
                self.dropped.append((rest[0], rest[1]))
            elif word == "log":
                self.logs.append(line.removeprefix("log "))
        for out in self.out if check else ():
            frame_check.check(out.data, out.flags, out.gso)

    def to(self, port):
        return [o.frame for o in self.out if o.port == port]

    def __repr__(self):
        return "\n".join([repr(o) for o in self.out] + [f"drop {who} {why}" for who, why in self.dropped] + self.logs) or "nothing"


class Bench:
    def __init__(self, *options):
        self.check = True  # False: what goes in is wrong in ways that come out again
        self.process = subprocess.Popen([HARNESS, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def _read(self):
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == "ok":
                return lines
            if line.startswith("error "):
                raise Refused(line.removeprefix("error "))
            lines.append(line)
        raise EOFError(f"the bench has gone, status {self.process.wait()}")

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._read()

    def do_all(self, lines):
        """Many at once, for speed; the answers, one a line. No more is under way than pipes hold, there and back."""
        answers, at = [], 0
        while at < len(lines):
            part, size = [], 0
            while at < len(lines) and (not part or size + len(lines[at]) < 16000) and len(part) < 100:
                part.append(lines[at])
                size += len(lines[at])
                at += 1
            self.process.stdin.write("".join(line + "\n" for line in part))
            self.process.stdin.flush()
            answers += [self._read() for _ in part]
        return answers

    def answer(self, line):
        return Answer(self.do(line), self.check)

    def apply(self, changes, reset=False):
        return self.answer("apply " + json.dumps({"reset": reset, "changes": changes}))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)


class Eni:
    def __init__(self, name, mac, ip, ip6, subnet, here):
        self.name, self.mac, self.ip, self.ip6, self.subnet, self.here = name, mac, ip, ip6, subnet, here


def eni(name, net, number, here=True, block="10.0", block6="fd00:1:0"):
    return Eni(name, f"02:00:00:00:{net:02x}:{number:02x}", f"{block}.{net}.{number}", f"{block6}:{net}::{number}",
               "st"[net - 1] if net < 3 else f"s{net}", here)


ENIS = {e.name: e for e in (eni("a", 1, 10), eni("b", 1, 11), eni("c", 1, 12, False), eni("d", 2, 10), eni("e", 2, 11, False))}


def rule(direction="ingress", protocol="all", **fields):
    """A rule of a group; without cidr and group it is for all of IPv4."""
    if "cidr" not in fields and "group" not in fields:
        fields["cidr"] = ANY4
    return dict(fields, direction=direction, protocol=protocol)


def acl_rule(number, action, direction="ingress", protocol="all", cidr=ANY4, **fields):
    return dict(fields, number=number, action=action, direction=direction, protocol=protocol, cidr=cidr)


OPEN = [rule(d, cidr=c) for d in ("ingress", "egress") for c in (ANY4, ANY6)]
EGRESS = [rule("egress", cidr=c) for c in (ANY4, ANY6)]


class Case(unittest.TestCase):
    options = ("--wire", WIRE)
    encapsulation = "vxlan"

    # ---- the world ----

    def setUp(self):
        self.bench = Bench(*self.options)
        self.addCleanup(self.end)
        self.objects, self.enis = {}, dict(ENIS)
        self.apply([
            self.object("host", "h2", address=HOST_IP),
            self.object("vpc", "v", cidrs=["10.0.0.0/16", "fd00:1::/48"], vni=VNI, encapsulation=self.encapsulation),
            self.object("security-group", "open", vpc="v", rules=OPEN),
            self.object("subnet", "s", vpc="v", cidr="10.0.1.0/24", cidr6="fd00:1:0:1::/64"),
            self.object("subnet", "t", vpc="v", cidr="10.0.2.0/24", cidr6="fd00:1:0:2::/64")] +
            [self.eni_object(e) for e in ENIS.values()], reset=True)
        for name, e in ENIS.items():
            if e.here:
                self.bench.do(f"attach {name}")
        if self.options:
            self.learn(HOST_IP, HOST_MAC)
            self.learn(ROUTER_IP, ROUTER_MAC)

    def end(self):
        status = self.bench.close()
        if status != 0:
            raise AssertionError(f"the bench ended with status {status}")

    REFERENCES = ("vpc", "peer_vpc", "subnet", "acl", "route_table", "host", "eni", "nat", "group")

    def object(self, kind, name, **fields):
        """A change that puts it: `fields` over what it had. References are names."""
        had = self.objects.get((kind, name), {})
        self.objects[kind, name] = now = {k: v for k, v in dict(had, **fields).items() if v is not None}
        out = {k: ident(v) if k in self.REFERENCES else v for k, v in now.items()}
        if "security_groups" in out:
            out["security_groups"] = [ident(g) for g in out["security_groups"]]
        if kind == "security-group":
            out["rules"] = [dict(r, group=ident(r["group"])) if "group" in r else r for r in out["rules"]]
        if kind == "route-table":
            out["routes"] = [dict(r, id=ident(r["id"])) if "id" in r else r for r in out["routes"]]
        return {"kind": kind, "id": ident(name), "object": dict(out, name=name)}

    def eni_object(self, e, **fields):
        have = dict(subnet=e.subnet, mac=e.mac, addresses=[e.ip, e.ip6], security_groups=["open"], source_dest_check=True)
        if not e.here:
            have["host"] = "h2"
        return self.object("eni", e.name, **dict(have, **fields))

    def add_eni(self, e, **fields):
        self.enis[e.name] = e
        self.apply([self.eni_object(e, **fields)])
        if e.here:
            self.bench.do(f"attach {e.name}")

    def apply(self, changes, reset=False):
        return self.bench.apply(changes, reset)

    def put(self, kind, name, **fields):
        return self.apply([self.object(kind, name, **fields)])

    def gone(self, kind, name):
        self.objects.pop((kind, name), None)
        return {"kind": kind, "id": ident(name), "object": None}

    def group(self, name, rules, *members, **fields):
        """A group, and ENIs that are in it and in no other."""
        self.apply([self.object("security-group", name, vpc="v", rules=rules, **fields)] +
                   [self.object("eni", m, security_groups=[name]) for m in members])

    def routes(self, subnet, *routes):
        """(destination, target[, id]) in a table of the subnet."""
        table = "table-" + subnet
        self.apply([self.object("route-table", table, vpc=self.objects["subnet", subnet]["vpc"], routes=[
            dict(zip(("destination", "target", "id"), r)) for r in routes]), self.object("subnet", subnet, route_table=table)])

    def learn(self, address, mac, wire=""):
        return self.bench.do(f"wire{wire} " + bytes(Ether(src=mac, dst=WIRE_MAC) / ARP(
            op=2, hwsrc=mac, psrc=address, hwdst=WIRE_MAC, pdst=WIRE_IP)).hex())

    # ---- frames ----

    def ip(self, source, to, v6=False, **fields):
        """IP header from an ENI or address to another."""
        v6 = v6 or ":" in source + to

        def address(x):
            return (self.enis[x].ip6 if v6 else self.enis[x].ip) if x in self.enis else x
        return (IPv6 if v6 else IP)(src=address(source), dst=address(to), **fields)

    def ether(self, source, to):
        """As a guest addresses it: its neighbour, or its gateway."""
        near = to in self.enis and self.enis[to].subnet == self.enis[source].subnet
        return Ether(src=self.enis[source].mac, dst=self.enis[to].mac if near else GATEWAY_MAC)

    def packet(self, source, to, upper, v6=False, **fields):
        return self.ether(source, to) / self.ip(source, to, v6, **fields) / upper

    def send(self, source, frame, *offloads):
        return self.bench.answer(" ".join(["eni", source, bytes(frame).hex()] + [str(n) for n in offloads]))

    def go(self, source, to, upper, v6=False, **fields):
        """From a guest of either card to whom it is for."""
        packet = self.packet(source, to, upper, v6, **fields)
        if self.enis[source].here:
            return self.send(source, packet)
        far = to in self.enis and self.enis[to].subnet != self.enis[source].subnet
        return self.tunnelled(Ether(src=GATEWAY_MAC if far else self.enis[source].mac, dst=self.enis[to].mac) / packet.payload)

    def outer(self, sport=50000, vni=VNI, **fields):
        ip = IP(**dict(dict(src=HOST_IP, dst=WIRE_IP, flags="DF"), **fields))
        shim = VXLAN(vni=vni, flags="Instance") if self.encapsulation == "vxlan" else GENEVE(vni=vni, proto=0x6558)
        return Ether(src=HOST_MAC, dst=WIRE_MAC) / ip / UDP(sport=sport, dport=4789 if VXLAN in shim else 6081, chksum=0) / shim

    def tunnelled(self, inner, **fields):
        return self.wire(self.outer(**fields) / inner)

    def wire(self, frame, wire=""):
        return self.bench.answer(f"wire{wire} " + bytes(frame).hex())

    def from_outside(self, to, upper, source=OUTSIDE, **fields):
        return self.wire(Ether(src=ROUTER_MAC, dst=WIRE_MAC) / IP(**dict(dict(src=source, dst=to, ttl=57), **fields)) / upper)

    def advance(self, seconds):
        """Time passes, in which the neighbours on the wire answer when they are asked."""
        logs, left = [], int(seconds * 1000)
        while left > 0:
            step = min(left, 20000)
            logs += self.bench.answer(f"advance {step}").logs
            left -= step
            if self.options:
                self.learn(HOST_IP, HOST_MAC)
                self.learn(ROUTER_IP, ROUTER_MAC)
        return logs

    def counters(self, name=""):
        line = self.bench.do(f"counters {name}".rstrip())[-1]
        return json.loads(line.removeprefix("counters "))

    def flows(self):
        """What is tracked: dictionaries."""
        names = ("eni", "protocol", "local", "local_port", "remote", "remote_port", "state", "out", "in", "public", "public_port")
        return [dict(zip(names, line.split(" ")[1:])) for line in self.bench.do("flows")]

    def trace(self, name, text):
        lines = self.bench.do(f"trace {name} {text}")
        stages = [line.split(" ", 3)[1:] for line in lines if line.startswith("trace ")]
        reason = [line.removeprefix("dropped ") for line in lines if line.startswith("dropped ")]
        return stages, (reason[0] if reason else None)

    # ---- what must be ----

    def inner(self, frame, vni=VNI):
        """Of an overlay frame to h2; checked."""
        kind = VXLAN if self.encapsulation == "vxlan" else GENEVE
        self.assertEqual((frame.dst, frame.src, frame[IP].src, frame[IP].dst), (HOST_MAC, WIRE_MAC, WIRE_IP, HOST_IP))
        self.assertIn(kind, frame)
        self.assertEqual(frame[kind].vni, vni)
        return Ether(bytes(frame[kind].payload))

    def arrives(self, answer, to):
        """Exactly one frame, at `to` (an ENI here or on h2; "outside"), and nothing else; returned as that one is given it."""
        port = to if to in self.enis and self.enis[to].here else "wire"
        self.assertEqual(([o.port for o in answer.out], answer.dropped), ([port], []), repr(answer))
        frame = answer.out[0].frame
        if to == "outside":
            self.assertEqual((frame.dst, frame.src), (ROUTER_MAC, WIRE_MAC))
            self.assertFalse(VXLAN in frame or GENEVE in frame)
        elif port == "wire":
            frame = self.inner(frame)
            self.assertEqual(frame.dst, self.enis[to].mac)
        return frame

    def drops(self, answer, who, reason):
        """The frame that was sent has gone for this reason, and nothing came out; a counter says so. `who` "wire": nobody's."""
        self.assertEqual((answer.out, [why for _, why in answer.dropped]), ([], [reason]), repr(answer))
        self.assertGreaterEqual(self.counters("" if who == "wire" else who)["drops"].get(reason, 0), 1, f"{reason} of {who}")

    def drops_with(self, answer, reason, *ports):
        """It has gone, and the card says something at these ports; what it says."""
        self.assertEqual(([o.port for o in answer.out], [why for _, why in answer.dropped]), (list(ports), [reason]), repr(answer))
        return [o.frame for o in answer.out]

    def answered(self, answer, who):
        """The card itself answers `who` with one frame."""
        return self.drops_with(answer, "answered", who)[0]

    def silent(self, answer):
        self.assertEqual((answer.out, [why for _, why in answer.dropped]), ([], ["answered"]), repr(answer))

    def refuses(self, changes, words=""):
        """All or nothing: an error, and what was put before is as it was."""
        before = {k: dict(v) for k, v in self.objects.items()}
        with self.assertRaises(Refused) as caught:
            self.apply(changes() if callable(changes) else changes)
        self.objects = before
        self.assertIn(words, str(caught.exception))

    # ---- conversations ----

    def udp(self, source, to, sport=40000, dport=53, data=b"x", v6=False, **fields):
        return self.go(source, to, UDP(sport=sport, dport=dport) / Raw(data), v6, **fields)

    def ping(self, source, to, number=7, v6=False, **fields):
        return self.go(source, to, ICMPv6EchoRequest(id=number) if v6 else ICMP(type=8, id=number), v6, **fields)

    def pong(self, source, to, number=7, v6=False, **fields):
        return self.go(source, to, ICMPv6EchoReply(id=number) if v6 else ICMP(type=0, id=number), v6, **fields)

    def tcp(self, source, to, sport, dport, flags, seq=0, ack=0, data=b"", window=65535, options=(), v6=False):
        upper = TCP(sport=sport, dport=dport, flags=flags, seq=seq & 0xffffffff, ack=ack & 0xffffffff, window=window,
                    options=list(options))
        return self.go(source, to, upper / Raw(data) if data else upper, v6)

    def connect(self, source, to, sport=40000, dport=80, v6=False):
        """A handshake: the initiator's next byte is 1001, the other's 5001."""
        self.arrives(self.tcp(source, to, sport, dport, "S", 1000, v6=v6), to)
        self.arrives(self.tcp(to, source, dport, sport, "SA", 5000, 1001, v6=v6), source)
        self.arrives(self.tcp(source, to, sport, dport, "A", 1001, 5001, v6=v6), to)
