#!/usr/bin/python3
"""vpc.md: "ICMP errors match the embedded flow". Inside a VPC; through NAT and elastic IPs: nat.py, elastic.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet import IPerror, UDPerror  # noqa: E402
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPerror6  # noqa: E402

A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]
ERRORS4 = [(3, c) for c in range(16)] + [(4, 0), (11, 0), (11, 1), (12, 0)]


class Errors(Case):
    def setUp(self):
        super().setUp()
        self.group("client", EGRESS, "a")

    def about(self, v6=False, sport=40000, dport=53, source=A, to=C):
        ip = IPv6(src=source.ip6, dst=to.ip6) if v6 else IP(src=source.ip, dst=to.ip)
        return ip / UDP(sport=sport, dport=dport)

    def test_of_the_flow(self):
        """Every kind passes without a rule of its own, from the other end and from who is between."""
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        for kind, code in ERRORS4:
            frame = self.arrives(self.go("c", "a", ICMP(type=kind, code=code) / self.about()), "a")
            self.assertEqual((frame[ICMP].type, frame[ICMP].code, frame[IPerror].src, frame[UDPerror].sport), (kind, code, A.ip, 40000))
        inner = Ether(src=GATEWAY_MAC, dst=A.mac) / IP(src="100.64.1.1", dst=A.ip) / ICMP(type=11) / self.about()
        self.arrives(self.tunnelled(inner), "a")

    def test_of_the_flow_v6(self):
        self.arrives(self.udp("a", "c", 40000, 53, v6=True), "c")
        for error in (ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1300), ICMPv6TimeExceeded(), ICMPv6ParamProblem(code=1)):
            frame = self.arrives(self.go("c", "a", error / self.about(True), True), "a")
            self.assertEqual(frame[IPerror6].src, A.ip6)

    def test_of_no_flow(self):
        for kind, code in ((3, 3), (11, 0), (4, 0), (12, 0)):
            self.drops(self.go("c", "a", ICMP(type=kind, code=code) / self.about()), "a", "icmp_unrelated")
        self.drops(self.go("c", "a", ICMPv6DestUnreach() / self.about(True), True), "a", "icmp_unrelated")

    def test_even_where_icmp_is_allowed(self):
        """A rule for ICMP lets in questions; an error about nothing is about nothing."""
        self.group("client", EGRESS + [rule(protocol="icmp"), rule()])
        self.drops(self.go("c", "a", ICMP(type=3, code=3) / self.about()), "a", "icmp_unrelated")

    def test_of_another_flow(self):
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        for quote in (self.about(sport=40001), self.about(dport=54), self.about(to=B), IP(src=A.ip, dst=C.ip) / TCP(sport=40000, dport=53)):
            self.drops(self.go("c", "a", ICMP(type=3, code=3) / quote), "a", "icmp_unrelated")

    def test_turned_round(self):
        """About a packet that c sent to a: c would not tell a of it."""
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        self.arrives(self.udp("c", "a", 53, 40000), "a")
        quote = IP(src=C.ip, dst=A.ip) / UDP(sport=53, dport=40000)
        self.drops(self.go("c", "a", ICMP(type=3, code=3) / quote), "a", "icmp_unrelated")

    def test_by_a_third_party_of_the_vpc(self):
        """b knows of a's flow with c, and may not tell a of its end: it is not b's flow."""
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        self.drops(self.go("b", "a", ICMP(type=3, code=3) / self.about()), "b", "icmp_unrelated")

    def test_to_another_than_it_is_about(self):
        self.arrives(self.udp("c", "b", 1, 2), "b")
        error = ICMP(type=3, code=3) / IP(src=C.ip, dst=B.ip) / UDP(sport=1, dport=2)
        self.drops(self.go("b", "a", error), "b", "icmp_unrelated")
        self.arrives(self.go("b", "c", error), "c")

    def test_it_does_not_change_the_flow(self):
        """It neither keeps it alive nor makes it replied, nor ends it."""
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        before = self.flows()
        self.arrives(self.go("c", "a", ICMP(type=3, code=3) / self.about()), "a")
        self.assertEqual(self.flows(), before)
        for _ in range(4):
            self.advance(10)
            self.go("c", "a", ICMP(type=3, code=3) / self.about())
        self.assertEqual(self.flows(), [])

    def test_it_resets_no_connection(self):
        """RFC 5927, 4: no ICMP error ends a TCP connection here; that is the end point's decision."""
        self.connect("a", "c")
        quote = IP(src=A.ip, dst=C.ip) / TCP(sport=40000, dport=80, seq=1001)
        self.arrives(self.go("c", "a", ICMP(type=3, code=2) / quote), "a")
        self.arrives(self.tcp("c", "a", 80, 40000, "PA", 5001, 1001, b"on"), "a")

    def test_redirects(self):
        """RFC 1122, 3.2.2.2: nobody but the gateway tells a guest where to send."""
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        self.drops(self.go("c", "a", ICMP(type=5, code=1, gw=C.ip) / self.about()), "a", "unsupported")

    def test_revalidated(self):
        """After a change it is judged as its flow is."""
        self.group("server", EGRESS + [rule(protocol="udp", ports="53")], "a")
        self.arrives(self.udp("c", "a", 40000, 53), "a")
        error = ICMP(type=3, code=3) / IP(src=C.ip, dst=A.ip) / UDP(sport=40000, dport=53)
        self.arrives(self.go("a", "c", error), "c")
        self.put("security-group", "server", rules=EGRESS)
        self.drops(self.go("a", "c", error), "a", "security_group_in")

    def test_about_a_fragment(self):
        """The first one shows the ports; a later one nobody's."""
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        first = IP(src=A.ip, dst=C.ip, flags="MF") / UDP(sport=40000, dport=53, len=100)
        self.arrives(self.go("c", "a", ICMP(type=11, code=1) / first), "a")
        later = IP(src=A.ip, dst=C.ip, frag=5, proto=17) / Raw(b"x" * 16)
        self.drops(self.go("c", "a", ICMP(type=3, code=3) / later), "a", "icmp_unrelated")

    def test_questions_of_other_kinds(self):
        """Timestamp (13, 14) is a question with its answer, like echo."""
        self.arrives(self.go("a", "c", ICMP(type=13)), "c")
        self.drops(self.go("c", "a", ICMP(type=18)), "a", "icmp_unrelated")
        self.arrives(self.go("c", "a", ICMP(type=14)), "a")

    def test_garbage(self):
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        quote = bytes(self.about())
        for bad in (b"", quote[:19], quote[:27], b"\x65" + quote[1:], b"\x4f" + quote[1:], b"\x45\0\0\x10" + quote[4:]):
            answer = self.go("c", "a", ICMP(type=3, code=3) / Raw(bad))
            self.assertEqual((answer.out, len(answer.dropped)), ([], 1), bad.hex())


if __name__ == "__main__":
    tap.main()
