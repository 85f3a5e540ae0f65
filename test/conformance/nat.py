#!/usr/bin/python3
"""vpc.md: NAT gateways: many behind one address, for TCP, UDP and ICMP echo; errors are translated with what they are about."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import frame_check  # noqa: E402
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet import ICMPerror, IPerror, TCPerror, UDPerror  # noqa: E402

A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]
PUBLIC = "203.0.113.20"
NAT_MAC = "02:00:00:00:05:fe"
NAT_IP = "10.0.5.200"


class Nat(Case):
    nat_host = None

    def setUp(self):
        super().setUp()
        self.apply([self.object("route-table", "public", vpc="v", routes=[{"destination": ANY4, "target": "internet"}]),
                    self.object("subnet", "p", vpc="v", cidr="10.0.5.0/24", route_table="public"),
                    self.object("nat", "n", subnet="p", address=NAT_IP, mac=NAT_MAC, host=self.nat_host),
                    self.object("eip", "np", address=PUBLIC, nat="n")])
        for subnet in "st":
            self.routes(subnet, (ANY4, "nat", "n"))

    def out(self, source, upper, **fields):
        """Sent to the outside; the frame on the wire, and the port it has there."""
        frame = self.arrives(self.go(source, OUTSIDE, upper, **fields), "outside")
        self.assertEqual((frame[IP].src, frame[IP].dst), (PUBLIC, OUTSIDE))
        return frame

    def udp_out(self, source, sport=40000, dport=53, **fields):
        return self.out(source, UDP(sport=sport, dport=dport) / Raw(b"question"), **fields)


class Translation(Nat):
    def test_udp(self):
        frame = self.udp_out("a")
        self.assertEqual((frame[IP].ttl, frame[UDP].dport, bytes(frame[UDP].payload)), (63, 53, b"question"))
        self.assertGreaterEqual(frame[UDP].sport, 1024)
        back = self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=frame[UDP].sport) / Raw(b"answer")), "a")
        self.assertEqual((back.src, back.dst, back[IP].src, back[IP].dst, back[IP].ttl, back[UDP].sport, back[UDP].dport,
                          bytes(back[UDP].payload)), (GATEWAY_MAC, A.mac, OUTSIDE, A.ip, 56, 53, 40000, b"answer"))

    def test_udp_without_checksum(self):
        """RFC 768: none stays none."""
        frame = self.arrives(self.go("a", OUTSIDE, UDP(sport=1, dport=2, chksum=0) / Raw(b"x")), "outside")
        self.assertEqual(frame[UDP].chksum, 0)
        back = self.arrives(self.from_outside(PUBLIC, UDP(sport=2, dport=frame[UDP].sport, chksum=0) / Raw(b"y")), "a")
        self.assertEqual(back[UDP].chksum, 0)

    def test_tcp(self):
        syn = self.out("a", TCP(sport=40000, dport=80, flags="S", seq=1000, options=[("MSS", 1400), ("WScale", 7)]))
        self.assertEqual((syn[TCP].seq, syn[TCP].options[:2]), (1000, [("MSS", 1400), ("WScale", 7)]))
        port = syn[TCP].sport
        self.arrives(self.from_outside(PUBLIC, TCP(sport=80, dport=port, flags="SA", seq=5000, ack=1001)), "a")
        self.out("a", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001))
        back = self.arrives(self.from_outside(PUBLIC, TCP(sport=80, dport=port, flags="PA", seq=5001, ack=1001) / Raw(b"data")), "a")
        self.assertEqual((back[TCP].dport, bytes(back[TCP].payload)), (40000, b"data"))

    def test_tcp_again(self):
        """The same ports inside after the end: a binding anew, and the old one is nobody's."""
        port = self.out("a", TCP(sport=40000, dport=80, flags="S", seq=1000))[TCP].sport
        self.arrives(self.from_outside(PUBLIC, TCP(sport=80, dport=port, flags="RA", seq=0, ack=1001)), "a")
        again = self.out("a", TCP(sport=40000, dport=80, flags="S", seq=9000))[TCP].sport
        self.arrives(self.from_outside(PUBLIC, TCP(sport=80, dport=again, flags="SA", seq=5, ack=9001)), "a")
        self.out("a", TCP(sport=40000, dport=80, flags="A", seq=9001, ack=6))
        self.assertEqual(self.counters("n")["flows"], 1)

    def test_outside_cannot_reopen(self):
        port = self.out("a", TCP(sport=40000, dport=80, flags="S", seq=1000))[TCP].sport
        self.arrives(self.from_outside(PUBLIC, TCP(sport=80, dport=port, flags="RA", seq=0, ack=1001)), "a")
        self.drops(self.from_outside(PUBLIC, TCP(sport=80, dport=port, flags="S", seq=1)), "n", "not_ours")

    def test_echo(self):
        """The identifier is the port."""
        ping = self.out("a", ICMP(type=8, id=7, seq=3) / Raw(b"abc"))
        self.assertEqual((ping[ICMP].type, ping[ICMP].seq, bytes(ping[ICMP].payload)), (8, 3, b"abc"))
        back = self.arrives(self.from_outside(PUBLIC, ICMP(type=0, id=ping[ICMP].id, seq=3) / Raw(b"abc")), "a")
        self.assertEqual((back[ICMP].type, back[ICMP].id, back[ICMP].seq, back[IP].dst), (0, 7, 3, A.ip))

    def test_two_behind_one_address(self):
        ports = {n: self.udp_out(n)[UDP].sport for n in ("a", "b", "d")}
        self.assertEqual(len(set(ports.values())), 3)
        for name, port in ports.items():
            self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), name)
        ids = {n: self.out(n, ICMP(type=8, id=7))[ICMP].id for n in ("a", "b")}
        self.assertEqual(len(set(ids.values())), 2)
        for name, number in ids.items():
            self.arrives(self.from_outside(PUBLIC, ICMP(type=0, id=number)), name)

    def test_binding_is_stable(self):
        self.assertEqual(len({self.udp_out("a")[UDP].sport for _ in range(5)}), 1)

    def test_unsolicited(self):
        """RFC 4787, REQ-8: address- and port-dependent filtering."""
        port = self.udp_out("a")[UDP].sport
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=port ^ 1)), "n", "not_ours")
        self.drops(self.from_outside(PUBLIC, UDP(sport=54, dport=port)), "n", "not_ours")
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=port), source="198.51.100.8"), "n", "not_ours")
        self.drops(self.from_outside(PUBLIC, TCP(sport=53, dport=port, flags="S")), "n", "not_ours")
        self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), "a")

    def test_binding_ends(self):
        port = self.udp_out("a")[UDP].sport
        self.advance(29)
        self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), "a")
        self.advance(32)
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), "n", "not_ours")

    def test_two_public_addresses(self):
        """RFC 4787, REQ-2, paired: an ENI keeps the one it has, and both are used."""
        self.put("eip", "np2", address="203.0.113.21", nat="n")
        used = {}
        for name in ("a", "b", "d"):
            for sport in range(41000, 41010):
                frame = self.arrives(self.go(name, OUTSIDE, UDP(sport=sport, dport=53)), "outside")
                used.setdefault(name, set()).add(frame[IP].src)
        self.assertEqual({len(v) for v in used.values()}, {1}, used)
        self.assertLessEqual(set.union(*used.values()), {PUBLIC, "203.0.113.21"})

    def test_public_address_taken_away(self):
        port = self.udp_out("a")[UDP].sport
        self.apply([self.object("eip", "np", nat=None)])
        self.drops(self.udp("a", OUTSIDE), "n", "no_public_address")
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), "wire", "not_ours")

    def test_not_to_the_inside(self):
        """A NAT gateway leads to the outside only: not back into the VPC."""
        inner = Ether(src=C.mac, dst=NAT_MAC) / IP(src=C.ip, dst=B.ip) / UDP(sport=1, dport=2)
        self.drops(self.tunnelled(inner), "n", "no_route")

    def test_hairpin(self):
        """Nobody reaches who is behind a NAT gateway by its address (AWS: neither): it takes answers, from inside as from outside."""
        port = self.udp_out("a")[UDP].sport
        self.drops(self.go("b", PUBLIC, UDP(sport=1, dport=port)), "n", "not_ours")

    def test_ping_of_the_public_address(self):
        """RFC 1122, 3.2.2.6: the gateway answers for itself."""
        answer = self.from_outside(PUBLIC, ICMP(type=8, id=3) / Raw(b"are you there"))
        frame = self.drops_with(answer, "answered", "wire")[0]
        self.assertEqual((frame[IP].src, frame[IP].dst, frame[ICMP].type, frame[ICMP].id), (PUBLIC, OUTSIDE, 0, 3))

    def test_acl_of_its_subnet(self):
        self.apply([self.object("acl", "pa", vpc="v", rules=[
            acl_rule(1, "allow"), acl_rule(1, "deny", "egress", cidr=OUTSIDE + "/32"), acl_rule(2, "allow", "egress")]),
            self.object("subnet", "p", acl="pa")])
        self.drops(self.udp("a", OUTSIDE), "n", "acl_out")
        self.arrives(self.go("a", "198.51.100.8", UDP(sport=1, dport=2)), "outside")

    def test_acl_of_the_answer(self):
        """Judged by the port that the outside sees: 1024 and up."""
        self.apply([self.object("acl", "pa", vpc="v", rules=[
            acl_rule(1, "allow", cidr="10.0.0.0/16"), acl_rule(2, "deny", protocol="udp", ports="1024-65535"),
            acl_rule(1, "allow", "egress")]), self.object("subnet", "p", acl="pa")])
        port = self.udp_out("a")[UDP].sport
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), "n", "acl_in")

    def test_groups_are_the_enis(self):
        self.group("g", [rule("egress", "udp", ports="53")], "a")
        self.udp_out("a")
        self.drops(self.udp("a", OUTSIDE, 40000, 54), "a", "security_group_out")

    def test_hop_limit(self):
        """RFC 1812, 5.3.1: a router between; who is behind it learns who it was."""
        told = self.drops_with(self.go("a", OUTSIDE, UDP(sport=40000, dport=33434) / Raw(b"trace"), ttl=1), "ttl_exceeded", "a")[0]
        self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].type, told[ICMP].code), (NAT_IP, A.ip, 11, 0))
        quoted = told[ICMP].payload
        self.assertEqual((quoted[IPerror].src, quoted[IPerror].dst, quoted[UDPerror].sport, quoted[UDPerror].dport),
                         (A.ip, OUTSIDE, 40000, 33434))
        self.udp_out("a", 40000, 33434, ttl=2)

    def test_hop_limit_from_outside(self):
        port = self.udp_out("a")[UDP].sport
        told = self.drops_with(self.from_outside(PUBLIC, UDP(sport=53, dport=port), ttl=1), "ttl_exceeded", "wire")[0]
        self.assertEqual((told[IP].dst, told[ICMP].type, told[IPerror].dst, told[UDPerror].dport), (OUTSIDE, 11, PUBLIC, port))

    def test_fragments(self):
        """The first one shows the ports; the others follow it, there and back."""
        def fragments(source, to, sport, dport, number):
            whole = bytes(UDP(sport=sport, dport=dport, len=32) / Raw(b"x" * 24))
            return [IP(src=source, dst=to, id=number, proto=17, flags="MF", ttl=60) / Raw(whole[:16]),
                    IP(src=source, dst=to, id=number, proto=17, frag=2, ttl=60) / Raw(whole[16:])]
        sent = [self.arrives(self.send("a", self.ether("a", OUTSIDE) / f), "outside") for f in fragments(A.ip, OUTSIDE, 40000, 53, 99)]
        self.assertEqual([(f[IP].src, f[IP].frag, f[IP].flags) for f in sent], [(PUBLIC, 0, "MF"), (PUBLIC, 2, 0)])
        port = int.from_bytes(bytes(sent[0][IP].payload)[:2], "big")
        self.assertEqual(bytes(sent[1][IP].payload), b"x" * 16)
        self.assertEqual(sent[0][IP].id, sent[1][IP].id)
        back = [self.arrives(self.wire(Ether(src=ROUTER_MAC, dst=WIRE_MAC) / f), "a") for f in fragments(OUTSIDE, PUBLIC, 53, port, 98)]
        self.assertEqual([(f[IP].dst, f[IP].frag) for f in back], [(A.ip, 0), (A.ip, 2)])
        self.drops(self.wire(Ether(src=ROUTER_MAC, dst=WIRE_MAC) / fragments(OUTSIDE, PUBLIC, 53, port, 97)[1]), "n", "fragment_without_first")

    def test_fragmented_checksum(self):
        """Across fragments the checksum is over the whole: put together again it is right."""
        whole = bytes(self.ip("a", OUTSIDE, proto=17) / Raw(bytes((IP(src=A.ip, dst=OUTSIDE) / UDP(sport=40000, dport=53) / Raw(b"y" * 40))[UDP])))
        upper = whole[20:]
        parts = [IP(src=A.ip, dst=OUTSIDE, id=5, proto=17, flags="MF") / Raw(upper[:24]), IP(src=A.ip, dst=OUTSIDE, id=5, proto=17, frag=3) / Raw(upper[24:])]
        sent = [self.arrives(self.send("a", self.ether("a", OUTSIDE) / p), "outside") for p in parts]
        again = IP(src=PUBLIC, dst=OUTSIDE) / UDP(b"".join(bytes(f[IP].payload) for f in sent))
        checksum = again[UDP].chksum
        del again[UDP].chksum
        self.assertEqual(IP(bytes(again))[UDP].chksum, checksum)


class Errors(Nat):
    def whole_quote(self, quoted):
        """The quoted IP header's own checksum is right, too."""
        self.assertEqual(frame_check.ones_sum(bytes(quoted)[:20]), 0xffff)

    def test_port_unreachable(self):
        """RFC 5508, REQ-4: the error is the binding's, its quote is the inside's again."""
        sent = self.udp_out("a")
        frame = self.arrives(self.from_outside(PUBLIC, ICMP(type=3, code=3) / sent[IP]), "a")
        quoted = frame[ICMP].payload
        self.assertEqual((frame[IP].src, frame[IP].dst, quoted[IPerror].src, quoted[IPerror].dst, quoted[UDPerror].sport,
                          quoted[UDPerror].dport), (OUTSIDE, A.ip, A.ip, OUTSIDE, 40000, 53))
        self.whole_quote(quoted)
        self.quoted_udp_checksum(quoted)

    def quoted_udp_checksum(self, quoted):
        again = IP(src=quoted[IPerror].src, dst=quoted[IPerror].dst, proto=17) / UDP(bytes(quoted[UDPerror]))
        checksum = again[UDP].chksum
        del again[UDP].chksum
        self.assertEqual(IP(bytes(again))[UDP].chksum, checksum)

    def test_from_a_router_on_the_way(self):
        """RFC 5508, REQ-3: an error may come from anybody between."""
        sent = self.udp_out("a", ttl=9)
        frame = self.arrives(self.from_outside(PUBLIC, ICMP(type=11, code=0) / sent[IP], source="100.64.9.9"), "a")
        self.assertEqual((frame[IP].src, frame[IP].dst, frame[IPerror].src), ("100.64.9.9", A.ip, A.ip))

    def test_frag_needed(self):
        syn = self.out("a", TCP(sport=40000, dport=80, flags="S", seq=1000))
        frame = self.arrives(self.from_outside(PUBLIC, ICMP(type=3, code=4, nexthopmtu=1200) / IP(bytes(syn[IP])[:28])), "a")
        self.assertEqual((frame[ICMP].nexthopmtu, frame[IPerror].src, frame[TCPerror].sport, frame[TCPerror].seq),
                         (1200, A.ip, 40000, 1000))

    def test_echo(self):
        ping = self.out("a", ICMP(type=8, id=7))
        frame = self.arrives(self.from_outside(PUBLIC, ICMP(type=3, code=1) / ping[IP]), "a")
        self.assertEqual((frame[IPerror].src, frame[ICMPerror].id), (A.ip, 7))

    def test_without_a_binding(self):
        sent = self.udp_out("a")
        other = IP(src=PUBLIC, dst=OUTSIDE) / UDP(sport=sent[UDP].sport ^ 1, dport=53)
        self.drops(self.from_outside(PUBLIC, ICMP(type=3, code=3) / other), "n", "icmp_unrelated")
        other = IP(src=PUBLIC, dst="198.51.100.8") / UDP(sport=sent[UDP].sport, dport=53)
        self.drops(self.from_outside(PUBLIC, ICMP(type=3, code=3) / other), "n", "icmp_unrelated")

    def test_from_the_inside(self):
        """RFC 5508, REQ-5: the host behind it answers with an error; outside it is about what the outside sent."""
        port = self.udp_out("a")[UDP].sport
        got = self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=port) / Raw(b"late")), "a")
        frame = self.arrives(self.go("a", OUTSIDE, ICMP(type=3, code=3) / got[IP]), "outside")
        self.assertEqual((frame[IP].src, frame[IP].dst, frame[IPerror].src, frame[IPerror].dst, frame[UDPerror].sport,
                          frame[UDPerror].dport), (PUBLIC, OUTSIDE, OUTSIDE, PUBLIC, 53, port))
        self.whole_quote(frame[ICMP].payload)
        self.quoted_udp_checksum(frame[ICMP].payload)

    def test_an_error_is_no_way_out(self):
        """It goes to who sent what it is about, and to nobody else: no way past the groups of the sender."""
        self.group("g", [rule("egress", "udp", cidr=OUTSIDE + "/32")], "a")
        port = self.udp_out("a")[UDP].sport
        got = self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=port)), "a")
        for elsewhere in ("198.51.100.8", HOST_IP, B.ip, "203.0.113.99"):
            self.drops(self.go("a", elsewhere, ICMP(type=3, code=3) / got[IP]), "a", "icmp_unrelated")

    def test_errors_about_errors(self):
        sent = self.udp_out("a")
        inner = IP(src=PUBLIC, dst=OUTSIDE) / ICMP(type=3, code=3) / sent[IP]
        answer = self.from_outside(PUBLIC, ICMP(type=3, code=1) / inner)
        self.assertEqual((answer.out, [why for _, why in answer.dropped]), ([], ["icmp_unrelated"]))

    def test_cut_quotes(self):
        """Less than 8 bytes of transport say nothing about whom."""
        sent = self.udp_out("a")
        for size in (0, 10, 20, 27):
            answer = self.from_outside(PUBLIC, ICMP(type=3, code=3) / Raw(bytes(sent[IP])[:size]))
            self.assertEqual((answer.out, len(answer.dropped)), ([], 1), size)


class ManyCards(Nat):
    def test_an_eni_of_another_host(self):
        """c's card sends to the gateway's MAC; the answer goes back over the overlay."""
        inner = Ether(src=GATEWAY_MAC, dst=NAT_MAC) / IP(src=C.ip, dst=OUTSIDE) / UDP(sport=40000, dport=53)
        frame = self.arrives(self.tunnelled(inner), "outside")
        self.assertEqual(frame[IP].src, PUBLIC)
        back = self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=frame[UDP].sport)), "c")
        self.assertEqual((back.src, back[IP].dst, back[UDP].dport), (GATEWAY_MAC, C.ip, 40000))

    def test_too_big_for_the_way_back(self):
        """From outside, larger than the overlay carries: the outside is told the size that fits, in its own terms."""
        inner = Ether(src=GATEWAY_MAC, dst=NAT_MAC) / IP(src=C.ip, dst=OUTSIDE) / UDP(sport=40000, dport=53)
        port = self.arrives(self.tunnelled(inner), "outside")[UDP].sport
        answer = self.from_outside(PUBLIC, UDP(sport=53, dport=port) / Raw(b"x" * 1450), flags="DF")
        told = self.drops_with(answer, "too_big", "wire")[0]
        self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].type, told[ICMP].code, told[ICMP].nexthopmtu),
                         (PUBLIC, OUTSIDE, 3, 4, 1450))
        self.assertEqual((told[IPerror].src, told[IPerror].dst, told[UDPerror].dport), (OUTSIDE, PUBLIC, port))


class OnAnotherHost(Nat):
    nat_host = "h2"

    def test_nat_on_another_host(self):
        answer = self.udp("a", OUTSIDE, 40000, 53)
        self.assertEqual([o.port for o in answer.out], ["wire"])
        inner = self.inner(answer.out[0].frame)
        self.assertEqual((inner.src, inner.dst, inner[IP].src, inner[IP].dst, inner[IP].ttl), (GATEWAY_MAC, NAT_MAC, A.ip, OUTSIDE, 64))
        back = Ether(src=GATEWAY_MAC, dst=A.mac) / IP(src=OUTSIDE, dst=A.ip) / UDP(sport=53, dport=40000)
        self.arrives(self.tunnelled(back), "a")
        back[UDP].dport = 40001
        self.group("g", EGRESS, "a")
        self.drops(self.tunnelled(back), "a", "security_group_in")

    def test_its_public_address_is_not_ours(self):
        self.drops(self.from_outside(PUBLIC, UDP(sport=53, dport=5000)), "wire", "not_ours")


class Exhaustion(Nat):
    options = ("--wire", WIRE, "--flows", "262144")

    def test_protocols_without_ports(self):
        """GRE has nothing to tell two by: the second is refused, the first goes on."""
        self.arrives(self.go("a", OUTSIDE, Raw(b"x" * 8), proto=47), "outside")
        self.drops(self.go("b", OUTSIDE, Raw(b"x" * 8), proto=47), "n", "nat_ports_exhausted")
        self.arrives(self.wire(Ether(src=ROUTER_MAC, dst=WIRE_MAC) / IP(src=OUTSIDE, dst=PUBLIC, proto=47) / Raw(b"y")), "a")

    def test_ports(self):
        """An address has 64,512 for each destination. Nearly all can be had; then new ones are refused, and what is there goes on; to
        another destination there are as many again."""
        self.put("eni", "a", flows_max=200000)
        frame = bytes(self.packet("a", OUTSIDE, UDP(sport=1, dport=53, chksum=0)))
        used, refused, first = set(), 0, None
        lines = ["eni a " + (frame[:34] + n.to_bytes(2, "big") + frame[36:]).hex() for n in range(1, 65536)]
        for answer in self.bench.do_all(lines):
            if answer[0].startswith("wire "):
                port = int(answer[0].split()[1][68:72], 16)
                self.assertGreaterEqual(port, 1024)
                self.assertNotIn(port, used)
                used.add(port)
                first = first or port
            else:
                self.assertEqual(answer, ["drop a nat_ports_exhausted"])
                refused += 1
        self.assertGreater(len(used), 64512 * 9 // 10)
        self.assertLessEqual(len(used), 64512)
        self.assertEqual(self.counters("n")["drops"]["nat_ports_exhausted"], refused)
        self.arrives(self.from_outside(PUBLIC, UDP(sport=53, dport=first)), "a")
        self.arrives(self.go("a", "198.51.100.8", UDP(sport=1, dport=53)), "outside")


if __name__ == "__main__":
    tap.main()
