#!/usr/bin/python3
"""vpc.md: elastic IPs, to and from the outside, and between two ENIs of one card."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet import ICMPerror, IPerror, TCPerror, UDPerror  # noqa: E402,F401
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr  # noqa: E402

A, B, D = ENIS["a"], ENIS["b"], ENIS["d"]
PUBLIC, PUBLIC_B = "203.0.113.10", "203.0.113.11"


class Elastic(Case):
    def setUp(self):
        super().setUp()
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "pa", address=PUBLIC, eni="a")

    def out(self, answer, source=PUBLIC, to=OUTSIDE):
        frame = self.arrives(answer, "outside")
        self.assertEqual((frame[IP].src, frame[IP].dst), (source, to))
        return frame

    def test_out_and_back(self):
        frame = self.out(self.udp("a", OUTSIDE, 40000, 53, b"question"))
        self.assertEqual((frame[IP].ttl, frame[UDP].sport, frame[UDP].dport, bytes(frame[UDP].payload)), (63, 40000, 53, b"question"))
        self.group("g", EGRESS, "a")
        back = self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=40000) / Raw(b"answer")), "a")
        self.assertEqual((back.src, back.dst, back[IP].src, back[IP].dst, back[IP].ttl), (GATEWAY_MAC, A.mac, OUTSIDE, A.ip, 56))

    def test_from_outside(self):
        """Begun outside: the group judges, the answer has the public address."""
        self.group("g", EGRESS + [rule(protocol="tcp", ports="22", cidr="198.51.100.0/24")], "a")
        syn = self.arrives(self.from_outside(PUBLIC, TCP(sport=999, dport=22, flags="S", seq=1)), "a")
        self.assertEqual((syn[IP].dst, syn[IP].src, syn.src), (A.ip, OUTSIDE, GATEWAY_MAC))
        self.out(self.tcp("a", OUTSIDE, 22, 999, "SA", 5, 2))
        self.drops(self.from_outside(PUBLIC, TCP(sport=999, dport=23, flags="S")), "a", "security_group_in")
        self.drops(self.from_outside(PUBLIC, TCP(sport=999, dport=22, flags="S"), source="203.0.114.1"), "a", "security_group_in")

    def test_ping_both_ways(self):
        self.out(self.ping("a", OUTSIDE, 5))
        self.arrives(self.from_outside(PUBLIC, ICMP(type=0, id=5)), "a")
        self.arrives(self.from_outside(PUBLIC, ICMP(type=8, id=6)), "a")
        self.out(self.pong("a", OUTSIDE, 6))

    def test_without_one(self):
        self.drops(self.udp("b", OUTSIDE), "b", "no_public_address")

    def test_which_private_address(self):
        """Of several addresses, the one that it is for."""
        self.put("eni", "a", addresses=[A.ip, "10.0.1.20", A.ip6])
        self.put("eip", "pa", private_address="10.0.1.20")
        self.drops(self.udp("a", OUTSIDE), "a", "no_public_address")
        packet = self.ether("a", OUTSIDE) / IP(src="10.0.1.20", dst=OUTSIDE) / UDP(sport=1, dport=2)
        self.out(self.send("a", packet))
        self.assertEqual(self.arrives(self.from_outside(PUBLIC, UDP(sport=2, dport=1)), "a")[IP].dst, "10.0.1.20")

    def test_no_route_back(self):
        """A subnet without a route to the internet has none of it, though the address is there."""
        self.put("eip", "pd", address="203.0.113.12", eni="d")
        self.drops(self.from_outside("203.0.113.12", UDP(sport=1, dport=2)), "d", "no_route")
        self.drops(self.udp("d", OUTSIDE), "d", "no_route")

    def test_outside_does_not_pretend(self):
        """A source that the ENI's routes find inside is nobody outside."""
        for source in (B.ip, D.ip, ENIS["c"].ip, A.ip, "10.0.200.1"):
            self.drops(self.from_outside(PUBLIC, UDP(sport=1, dport=2), source=source), "a", "spoofed_ip")
        for source in ("127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0"):
            self.drops(self.from_outside(PUBLIC, UDP(sport=1, dport=2), source=source), "a", "spoofed_ip")

    def test_private_addresses_do_not_come_from_outside(self):
        self.drops(self.from_outside(A.ip, UDP(sport=1, dport=2)), "wire", "not_ours")
        self.drops(self.from_outside(WIRE_IP, UDP(sport=1, dport=2)), "wire", "not_ours")
        self.drops(self.from_outside("203.0.113.99", UDP(sport=1, dport=2)), "wire", "not_ours")

    def test_overlay_does_not_pretend_to_be_outside(self):
        """c answers in the name of the outside: a's flow with the outside does not take it."""
        self.out(self.udp("a", OUTSIDE, 40000, 53))
        inner = Ether(src=GATEWAY_MAC, dst=A.mac) / IP(src=OUTSIDE, dst=A.ip) / UDP(sport=53, dport=40000)
        self.drops(self.tunnelled(inner), "a", "spoofed_ip")

    def test_hop_limit(self):
        for ttl in (0, 1):
            told = self.drops_with(self.go("a", OUTSIDE, UDP(sport=1, dport=2), ttl=ttl), "ttl_exceeded", "a")[0]
            self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].type, told[ICMP].code, told[IPerror].ttl),
                             ("10.0.1.1", A.ip, 11, 0, ttl))
        self.assertEqual(self.out(self.go("a", OUTSIDE, UDP(sport=1, dport=2), ttl=2))[IP].ttl, 1)

    def test_hop_limit_from_outside(self):
        told = self.drops_with(self.from_outside(PUBLIC, UDP(sport=1, dport=2), ttl=1), "ttl_exceeded", "wire")[0]
        self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].type, told[IPerror].dst), (WIRE_IP, OUTSIDE, 11, PUBLIC))

    def test_errors(self):
        sent = self.out(self.udp("a", OUTSIDE, 40000, 53))
        frame = self.arrives(self.from_outside(PUBLIC, ICMP(type=3, code=1) / sent[IP], source="100.64.0.1"), "a")
        self.assertEqual((frame[IP].src, frame[IP].dst, frame[IPerror].src, frame[UDPerror].sport), ("100.64.0.1", A.ip, A.ip, 40000))
        got = self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=40000)), "a")
        frame = self.out(self.go("a", OUTSIDE, ICMP(type=3, code=3) / got[IP]))
        self.assertEqual((frame[IPerror].src, frame[IPerror].dst, frame[UDPerror].dport), (OUTSIDE, PUBLIC, 40000))
        stray = IP(src=PUBLIC, dst=OUTSIDE) / UDP(sport=40001, dport=53)
        self.drops(self.from_outside(PUBLIC, ICMP(type=3, code=1) / stray), "a", "icmp_unrelated")

    def test_gateway_unknown(self):
        """The first packets for a next hop that has not answered are dropped, and say so."""
        bench = Bench("--wire", WIRE)
        self.addCleanup(bench.close)
        bench.apply([self.object(kind, name) for kind, name in self.objects], reset=True)
        bench.do("attach a")
        answer = bench.answer("eni a " + bytes(self.packet("a", OUTSIDE, UDP(sport=1, dport=2))).hex())
        self.assertEqual(answer.dropped, [("a", "host_unresolved")])

    def test_taken_away_and_moved(self):
        self.out(self.udp("a", OUTSIDE, 40000, 53))
        self.put("eip", "pa", eni="b")
        self.drops(self.udp("a", OUTSIDE, 40000, 53), "a", "no_public_address")
        self.out(self.udp("b", OUTSIDE, 40000, 53))
        self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=40000)), "b")
        self.apply([self.gone("eip", "pa")])
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=40000)), "wire", "not_ours")

    def test_arp_for_it(self):
        """The card answers for its public addresses on the wire (RFC 826), and says when one comes (RFC 5227)."""
        ask = Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=ROUTER_MAC, psrc=ROUTER_IP, pdst=PUBLIC)
        frame = self.drops_with(self.wire(ask), "answered", "wire")[0]
        self.assertEqual(bytes(frame)[:42], bytes(Ether(src=WIRE_MAC, dst=ROUTER_MAC) / ARP(
            op=2, hwsrc=WIRE_MAC, psrc=PUBLIC, hwdst=ROUTER_MAC, pdst=ROUTER_IP)))
        ask[ARP].pdst = "203.0.113.77"
        self.assertEqual(self.wire(ask).out, [])
        news = self.put("eip", "pb", address=PUBLIC_B, eni="b").to("wire")
        self.assertEqual([(f.dst, f[ARP].psrc, f[ARP].pdst, f[ARP].hwsrc) for f in news],
                         [("ff:ff:ff:ff:ff:ff", PUBLIC_B, PUBLIC_B, WIRE_MAC)])

    def test_of_an_eni_of_another_host(self):
        """It is that card's: not announced, not answered for, not taken here; a's packets to it go out to it."""
        news = self.put("eip", "pc", address="203.0.113.30", eni="c")
        self.assertEqual(news.to("wire"), [])
        ask = Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=ROUTER_MAC, psrc=ROUTER_IP, pdst="203.0.113.30")
        self.assertEqual(self.wire(ask).out, [])
        self.drops(self.from_outside("203.0.113.30", UDP(sport=1, dport=2)), "wire", "not_ours")
        self.out(self.udp("a", "203.0.113.30"), to="203.0.113.30")

    def test_acl_sees_the_outside(self):
        self.apply([self.object("acl", "sa", vpc="v", rules=[acl_rule(1, "deny", cidr="198.51.100.0/24"), acl_rule(2, "allow"),
                                                             acl_rule(1, "allow", "egress")]), self.object("subnet", "s", acl="sa")])
        self.drops(self.from_outside(PUBLIC, UDP(sport=1, dport=2)), "a", "acl_in")
        self.arrives(self.from_outside(PUBLIC, UDP(sport=1, dport=2), source="203.0.114.9"), "a")

    def test_not_attached(self):
        self.bench.do("detach a")
        self.drops(self.from_outside(PUBLIC, UDP(sport=1, dport=2)), "a", "not_attached")


class Hairpin(Case):
    """a and b of one card speak to each other's public address."""

    def setUp(self):
        super().setUp()
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "pa", address=PUBLIC, eni="a")
        self.put("eip", "pb", address=PUBLIC_B, eni="b")

    def test_there_and_back(self):
        frame = self.arrives(self.udp("a", PUBLIC_B, 40000, 53), "b")
        self.assertEqual((frame.src, frame.dst, frame[IP].src, frame[IP].dst, frame[IP].ttl), (GATEWAY_MAC, B.mac, PUBLIC, B.ip, 63))
        back = self.arrives(self.udp("b", PUBLIC, 53, 40000), "a")
        self.assertEqual((back[IP].src, back[IP].dst), (PUBLIC_B, A.ip))

    def test_groups_see_public_addresses(self):
        self.group("g", EGRESS + [rule(cidr=PUBLIC + "/32")], "b")
        self.arrives(self.udp("a", PUBLIC_B), "b")
        self.group("g", EGRESS + [rule(cidr=A.ip + "/32")])
        self.drops(self.udp("a", PUBLIC_B), "b", "security_group_in")

    def test_to_oneself(self):
        """RFC 4787, REQ-9 (hairpinning), with the own public address: it is a's packet to a."""
        frame = self.arrives(self.udp("a", PUBLIC, 40000, 41000), "a")
        self.assertEqual((frame[IP].src, frame[IP].dst), (PUBLIC, A.ip))

    def test_error_about_it(self):
        got = self.arrives(self.udp("a", PUBLIC_B, 40000, 53), "b")
        frame = self.arrives(self.go("b", PUBLIC, ICMP(type=3, code=3) / got[IP]), "a")
        self.assertEqual((frame[IP].src, frame[IP].dst, frame[IPerror].src, frame[IPerror].dst, frame[UDPerror].sport),
                         (PUBLIC_B, A.ip, A.ip, PUBLIC_B, 40000))

    def test_behind_nat_to_an_elastic_ip(self):
        self.apply([self.object("route-table", "public", vpc="v", routes=[{"destination": ANY4, "target": "internet"}]),
                    self.object("subnet", "p", vpc="v", cidr="10.0.5.0/24", route_table="public"),
                    self.object("nat", "n", subnet="p", address="10.0.5.200", mac="02:00:00:00:05:fe"),
                    self.object("eip", "np", address="203.0.113.20", nat="n")])
        self.routes("t", (ANY4, "nat", "n"))
        frame = self.arrives(self.udp("d", PUBLIC_B, 40000, 53), "b")
        self.assertEqual((frame[IP].src, frame[IP].dst), ("203.0.113.20", B.ip))
        back = self.udp("b", "203.0.113.20", 53, frame[UDP].sport)
        self.assertEqual(([o.port for o in back.out], [o.frame[UDP].dport for o in back.out]), (["d"], [40000]), repr(back))


class Elastic6(Case):
    """IPv6 outside, by a second wire."""
    options = ("--wire", WIRE, "--wire", "address=2001:db8:f::1/64;gateway=2001:db8:f::fe;device=fake")
    PUBLIC, OUTSIDE, WIRE_MAC = "2001:db8:aaaa::10", "2001:db8:bbbb::7", "02:00:00:00:00:02"

    def setUp(self):
        super().setUp()
        self.routes("s", (ANY6, "internet"))
        self.put("eip", "p6", address=self.PUBLIC, eni="a", private_address=A.ip6)
        told = Ether(src=ROUTER_MAC, dst=self.WIRE_MAC) / IPv6(src="2001:db8:f::fe", dst="2001:db8:f::1", hlim=255) / ICMPv6ND_NA(
            tgt="2001:db8:f::fe", S=1, R=1) / ICMPv6NDOptDstLLAddr(lladdr=ROUTER_MAC)
        self.wire(told, "@1")

    def test_out_and_back(self):
        answer = self.go("a", self.OUTSIDE, UDP(sport=1, dport=2) / Raw(b"odd"), True, hlim=9)
        frame, = answer.to("wire@1")
        self.assertEqual((frame.dst, frame.src, frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim),
                         (ROUTER_MAC, self.WIRE_MAC, self.PUBLIC, self.OUTSIDE, 8))
        back = Ether(src=ROUTER_MAC, dst=self.WIRE_MAC) / IPv6(src=self.OUTSIDE, dst=self.PUBLIC) / UDP(sport=2, dport=1) / Raw(b"x")
        self.assertEqual(self.arrives(self.wire(back, "@1"), "a")[IPv6].dst, A.ip6)

    def test_ping(self):
        answer = self.go("a", self.OUTSIDE, ICMPv6EchoRequest(id=5), True)
        self.assertEqual(answer.to("wire@1")[0][IPv6].src, self.PUBLIC)
        back = Ether(src=ROUTER_MAC, dst=self.WIRE_MAC) / IPv6(src=self.OUTSIDE, dst=self.PUBLIC) / ICMPv6EchoReply(id=5)
        self.arrives(self.wire(back, "@1"), "a")

    def test_solicitation_for_it(self):
        ask = Ether(src=ROUTER_MAC, dst="33:33:ff:00:00:10") / IPv6(src="2001:db8:f::fe", dst="ff02::1:ff00:10", hlim=255) / ICMPv6ND_NS(
            tgt=self.PUBLIC) / ICMPv6NDOptSrcLLAddr(lladdr=ROUTER_MAC)
        frame, = self.wire(ask, "@1").to("wire@1")
        self.assertEqual((frame.dst, frame[IPv6].src, frame[IPv6].dst, frame[ICMPv6ND_NA].tgt, frame[ICMPv6ND_NA].S,
                          frame[ICMPv6NDOptDstLLAddr].lladdr),
                         (ROUTER_MAC, self.PUBLIC, "2001:db8:f::fe", self.PUBLIC, 1, self.WIRE_MAC))


if __name__ == "__main__":
    tap.main()
