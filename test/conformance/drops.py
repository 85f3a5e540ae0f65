#!/usr/bin/python3
"""vpc.md: "Every drop has a reason, per ENI". Each of drop.h is provoked, and counted where it belongs: one a frame, no other."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import frame_check  # noqa: E402
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403

A, B, C, D = (ENIS[n] for n in "abcd")


class Reasons(Case):
    """A method a reason, named as the counter is."""

    def setUp(self):
        super().setUp()
        self.before = self.counters()["drops"]  # what the neighbours on the wire said

    def lost(self, who, answer, reason=None):
        """Counted once, at `who` ("" for nobody's), and nowhere else."""
        reason = reason or self.id().split(".test_")[1]
        self.assertEqual([why for _, why in answer.dropped], [reason], repr(answer))
        counted = {name: self.counters(name)["drops"] for name in ("", *self.watched)}
        counted[""] = {why: n - self.before.get(why, 0) for why, n in counted[""].items() if n != self.before.get(why, 0)}
        self.assertEqual({name: drops for name, drops in counted.items() if drops}, {who: {reason: 1}})

    @property
    def watched(self):
        return [name for kind, name in self.objects if kind == "nat" or (kind == "eni" and self.enis[name].here)]

    def test_malformed(self):
        self.lost("a", self.bench.answer("eni a " + bytes(self.packet("a", "b", UDP())).hex()[:60]))

    def test_ethertype(self):
        self.lost("a", self.send("a", Ether(src=A.mac, dst=B.mac, type=0x88cc) / (b"\0" * 46)))

    def test_spoofed_mac(self):
        self.lost("a", self.send("a", Ether(src=B.mac, dst=C.mac) / IP(src=A.ip, dst=C.ip) / UDP()))

    def test_spoofed_ip(self):
        self.lost("a", self.send("a", Ether(src=A.mac, dst=C.mac) / IP(src=B.ip, dst=C.ip) / UDP()))

    def test_multicast(self):
        self.lost("a", self.send("a", Ether(src=A.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=A.ip, dst="10.0.1.255") / UDP(sport=1, dport=2)))

    def test_wrong_destination_mac(self):
        self.lost("a", self.send("a", Ether(src=A.mac, dst="02:00:00:00:99:99") / IP(src=A.ip, dst=B.ip) / UDP()))

    def test_acl_out(self):
        self.apply([self.object("acl", "x", vpc="v", rules=[]), self.object("subnet", "s", acl="x")])
        self.lost("a", self.udp("a", "d"))

    def test_acl_in(self):
        self.apply([self.object("acl", "x", vpc="v", rules=[]), self.object("subnet", "t", acl="x")])
        self.lost("d", self.udp("a", "d"))

    def test_security_group_out(self):
        self.group("g", [], "a")
        self.lost("a", self.udp("a", "b"))

    def test_security_group_in(self):
        self.group("g", [], "b")
        self.lost("b", self.udp("a", "b"))

    def test_no_route(self):
        self.lost("a", self.udp("a", OUTSIDE))

    def test_no_mapping(self):
        self.lost("a", self.udp("a", "10.0.1.99"))

    def test_host_unresolved(self):
        self.put("host", "h2", address="192.0.2.77")
        self.lost("a", self.udp("a", "c"))

    def test_not_attached(self):
        self.bench.do("detach b")
        self.lost("b", self.udp("a", "b"))

    def test_no_public_address(self):
        self.routes("s", (ANY4, "internet"))
        self.lost("a", self.udp("a", OUTSIDE))

    def test_unknown_vni(self):
        self.lost("", self.tunnelled(Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(), vni=9))

    def test_overlay_source(self):
        self.lost("", self.tunnelled(Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(), src="192.0.2.99"))

    def test_not_ours(self):
        self.lost("", self.wire(Ether(src=HOST_MAC, dst=WIRE_MAC) / IP(src=HOST_IP, dst="192.0.2.99") / UDP()))

    def elastic(self):
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")

    def test_ttl_exceeded(self):
        self.elastic()
        self.lost("a", self.udp("a", OUTSIDE, ttl=1))

    def test_too_big(self):
        self.lost("a", self.udp("a", "c", 1, 2, b"x" * 1450, flags="DF"))

    def test_fragment_without_first(self):
        self.lost("a", self.send("a", self.packet("a", "b", Raw(b"x" * 8), frag=3, proto=17)))

    def test_tcp_not_syn(self):
        self.lost("a", self.tcp("a", "b", 1, 2, "A"))

    def test_tcp_invalid(self):
        self.connect("a", "c")
        self.lost("a", self.tcp("c", "a", 80, 40000, "A", 5001 + (1 << 30), 1001))

    def test_icmp_unrelated(self):
        self.lost("a", self.pong("a", "b"))

    def test_conntrack_allowance_exceeded(self):
        self.put("eni", "a", flows_max=1)
        self.udp("a", "c", 1, 2)
        self.lost("a", self.udp("a", "c", 2, 2))

    def test_new_flow_rate_exceeded(self):
        self.put("eni", "a", new_flows_per_s=1)
        for n in range(32):
            self.udp("a", "c", n, 2)
        self.lost("a", self.udp("a", "c", 99, 2))

    def test_bw_in_allowance_exceeded(self):
        self.put("eni", "a", bandwidth_in=1)
        for _ in range(87):
            self.assertEqual(self.udp("c", "a", 1, 2, b"x" * 1450).dropped, [])
        self.lost("a", self.udp("c", "a", 1, 2, b"x" * 1450))

    def test_bw_out_allowance_exceeded(self):
        self.put("eni", "a", bandwidth_out=1)
        for _ in range(89):
            self.assertEqual(self.udp("a", "c", 1, 2, b"x" * 1422).dropped, [])
        self.lost("a", self.udp("a", "c", 1, 2, b"x" * 1422))

    def test_pps_allowance_exceeded(self):
        self.put("eni", "a", packets_per_s=1)
        for _ in range(64):
            self.udp("a", "c", 1, 2)
        self.lost("a", self.udp("a", "c", 1, 2))

    def test_nat_ports_exhausted(self):
        self.apply([self.object("route-table", "public", vpc="v", routes=[{"destination": ANY4, "target": "internet"}]),
                    self.object("subnet", "p", vpc="v", cidr="10.0.5.0/24", route_table="public"),
                    self.object("nat", "n", subnet="p", address="10.0.5.200", mac="02:00:00:00:05:fe"),
                    self.object("eip", "np", address="203.0.113.20", nat="n")])
        self.routes("s", (ANY4, "nat", "n"))
        self.go("a", OUTSIDE, Raw(b"x"), proto=47)
        self.lost("n", self.go("b", OUTSIDE, Raw(b"x"), proto=47))

    def test_no_receive_buffer(self):
        self.bench.do("eni-room b 0")
        self.lost("b", self.udp("a", "b"))

    def test_wire_full(self):
        self.bench.do("wire-room 0")
        self.lost("a", self.udp("a", "c"))

    def test_answered(self):
        self.lost("a", self.ping("a", "10.0.1.1"))

    def test_unsupported(self):
        self.connect("a", "c")
        quote = IP(src=A.ip, dst=C.ip) / TCP(sport=40000, dport=80)
        self.lost("a", self.go("c", "a", ICMP(type=5, code=1, gw=C.ip) / quote))


class WithoutWire(Case):
    options = ()

    def test_no_wire(self):
        self.drops(self.udp("a", "c"), "a", "no_wire")


class SmallTable(Case):
    options = ("--wire", WIRE, "--flows", "256")

    def test_flow_table_full(self):
        self.put("eni", "a", flows_max=10000)
        for n in range(260):
            self.udp("a", "c", n, 2)
        self.drops(self.udp("b", "c", 1, 2), "b", "flow_table_full")


class Floods(Case):
    def test_linklocal_allowance_exceeded(self):
        line = "eni a " + bytes(self.packet("a", "169.254.169.254", ICMP(type=8))).hex()
        self.bench.do_all([line] * 2000)
        self.drops(self.bench.answer(line), "a", "linklocal_allowance_exceeded")

    def test_fragment_table_full(self):
        """Eight ENIs with as many first fragments each as one may have fill the table, and more push out their own. Who has none yet is
        refused, who has, goes on."""
        many = [eni(f"f{n}", 1, 100 + n) for n in range(9)]
        self.apply([self.eni_object(e) for e in many])
        for e in many:
            self.enis[e.name] = e
            self.bench.do(f"attach {e.name}")
        lines = []
        for e in many[:8]:
            frame = bytearray(bytes(self.packet(e.name, "c", UDP(sport=1, dport=2, len=99) / Raw(b"x" * 8), flags="MF")))
            frame[24:26] = b"\0\0"
            frame[18:20] = b"\0\0"
            base = frame_check.ones_sum(bytes(frame[14:34]))
            for number in range(200):
                total = base + number
                frame[18:20] = number.to_bytes(2, "big")
                frame[24:26] = (0xffff ^ (total & 0xffff) + (total >> 16)).to_bytes(2, "big")
                lines.append(f"eni {e.name} {frame.hex()}")
        answers = self.bench.do_all(lines)
        self.assertEqual({a[-1].split(" ")[0] for a in answers}, {"wire"})
        late = many[8].name
        first = self.packet(late, "c", UDP(sport=1, dport=2, len=99) / Raw(b"x" * 8), flags="MF", id=5)
        self.drops(self.send(late, first), late, "fragment_table_full")
        self.assertEqual(len(self.bench.answer(lines[0]).to("wire")), 1)
        self.advance(31)
        self.arrives(self.send(late, first), "c")


class Completeness(unittest.TestCase):
    def test_every_reason_has_a_case(self):
        with open(os.path.join(tap.ROOT, "src/vpc/drop.h")) as f:
            reasons = set(re.findall(r'X\(\w+, "(\w+)"', f.read()))
        cases = {name.removeprefix("test_") for case in (Reasons, WithoutWire, SmallTable, Floods) for name in dir(case)
                 if name.startswith("test_")}
        self.assertEqual(reasons - cases, set())
        self.assertEqual(cases - reasons, set())


if __name__ == "__main__":
    tap.main()
