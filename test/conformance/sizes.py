#!/usr/bin/python3
"""vpc.md: fragments follow their first one; PMTU discovery both ways; GSO frames are judged by their MSS."""
import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import frame_check  # noqa: E402
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet import IPerror, IPOption, TCPerror, UDPerror  # noqa: E402
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPerror6, IPv6ExtHdrFragment  # noqa: E402

A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]


class Fragments(Case):
    def setUp(self):
        super().setUp()
        self.group("dns", EGRESS + [rule(protocol="udp", ports="53"), rule(protocol="udp", ports="53", cidr=ANY6)], "b")

    def parts(self, dport=53, number=7, source=A, v6=False, count=3):
        """A datagram in `count` parts of 24 bytes."""
        whole = bytes(UDP(sport=9, dport=dport, len=24 * count)) + bytes(range(24 * count - 8))
        head = Ether(src=source.mac, dst=B.mac)
        for i in range(count):
            more = int(i + 1 < count)
            if v6:
                ip = IPv6(src=source.ip6, dst=B.ip6) / IPv6ExtHdrFragment(nh=17, offset=3 * i, m=more, id=number)
            else:
                ip = IP(src=source.ip, dst=B.ip, id=number, proto=17, frag=3 * i, flags="MF" if more else 0)
            yield head / ip / Raw(whole[24 * i:24 * i + 24])

    def test_in_order(self):
        for v6 in (False, True):
            for part in self.parts(v6=v6):
                frame = self.arrives(self.send("a", part), "b")
                self.assertEqual(bytes(frame), bytes(part))

    def test_all_orders(self):
        """What comes before the first is dropped; all others arrive, whatever their order."""
        for v6 in (False, True):
            for number, order in enumerate(itertools.permutations(range(3))):
                parts, seen = list(self.parts(number=100 + number, v6=v6)), False
                for i in order:
                    answer = self.send("a", parts[i])
                    seen = seen or i == 0
                    if seen:
                        self.arrives(answer, "b")
                    else:
                        self.drops(answer, "a", "fragment_without_first")

    def test_over_the_overlay(self):
        for part in self.parts(source=C):
            self.arrives(self.tunnelled(part), "b")
        last = list(self.parts(source=C, number=8))[2]
        self.drops(self.tunnelled(last), "b", "fragment_without_first")

    def test_refused_with_their_first(self):
        first, middle, last = self.parts(dport=54, source=C)
        self.drops(self.tunnelled(first), "b", "security_group_in")
        for part in (middle, last):
            self.drops(self.tunnelled(part), "b", "fragment_without_first")

    def test_who_is_refused_takes_no_room(self):
        """First fragments that no rule allows push out nobody who is allowed."""
        first, middle, last = self.parts(source=C)
        self.arrives(self.tunnelled(first), "b")
        lines = ["wire " + bytes(self.outer() / next(self.parts(54, 5000 + n, C))).hex() for n in range(300)]
        self.assertEqual({a[-1] for a in self.bench.do_all(lines)}, {"drop wire security_group_in"})
        self.arrives(self.tunnelled(middle), "b")
        self.arrives(self.tunnelled(last), "b")

    def test_other_identification_address_protocol(self):
        first, _, last = self.parts()
        self.arrives(self.send("a", first), "b")
        for field, value in (("id", 8), ("proto", 6), ("dst", "10.0.1.12")):
            other = last.copy()
            setattr(other[IP], field, value)
            if field == "dst":
                other[Ether].dst = C.mac
            answer = self.send("a", other)
            self.assertEqual((answer.out, [w for _, w in answer.dropped]), ([], ["fragment_without_first"]), field)
        self.arrives(self.send("a", last), "b")

    def test_a_second_first_one(self):
        """An identification that is used again: what follows is the last one's. One that is refused takes the rest along."""
        first, middle, last = self.parts()
        self.arrives(self.send("a", first), "b")
        self.drops(self.send("a", next(self.parts(dport=54))), "b", "security_group_in")
        self.drops(self.send("a", middle), "b", "fragment_without_first")
        self.arrives(self.send("a", first), "b")
        self.arrives(self.send("a", last), "b")

    def test_overlapping_the_header(self):
        """RFC 1858, RFC 3128: a TCP fragment that would overwrite the flags of the first one."""
        def tcp(offset, data, flags=0):
            return Ether(src=A.mac, dst=B.mac) / IP(src=A.ip, dst=B.ip, id=5, proto=6, frag=offset, flags=flags) / Raw(data)
        header = bytes(IP(src=A.ip, dst=B.ip) / TCP(sport=1, dport=53, flags="S"))[20:]
        self.group("dns", OPEN, "b")
        self.arrives(self.send("a", tcp(0, header + b"x" * 4, "MF")), "b")
        self.drops(self.send("a", tcp(1, header[8:] + b"x" * 4)), "a", "malformed")

    def test_tiny_first_one(self):
        """RFC 1858, 3; RFC 7112: a first fragment shows its whole transport header."""
        header = bytes(IP(src=A.ip, dst=B.ip) / TCP(sport=1, dport=53, flags="S"))[20:]
        for size in (8, 16):
            part = Ether(src=A.mac, dst=B.mac) / IP(src=A.ip, dst=B.ip, id=5, proto=6, flags="MF") / Raw(header[:size])
            self.drops(self.send("a", part), "a", "malformed")
        part = Ether(src=A.mac, dst=B.mac) / IPv6(src=A.ip6, dst=B.ip6) / IPv6ExtHdrFragment(nh=6, m=1, id=5) / Raw(header[:16])
        self.drops(self.send("a", part), "a", "malformed")

    def test_ping_of_death(self):
        """An end beyond 65535."""
        part = Ether(src=A.mac, dst=B.mac) / IP(src=A.ip, dst=B.ip, id=5, proto=17, frag=8191) / Raw(b"x" * 100)
        self.drops(self.send("a", part), "a", "malformed")

    def test_lengths(self):
        """All but the last are multiples of 8, and none is empty."""
        for data, flags, offset in ((b"x" * 25, "MF", 0), (b"x" * 12, "MF", 3), (b"", 0, 3)):
            part = Ether(src=A.mac, dst=B.mac) / IP(src=A.ip, dst=B.ip, id=5, proto=17, frag=offset, flags=flags) / Raw(data)
            self.drops(self.send("a", part), "a", "malformed")

    def test_atomic(self):
        """RFC 6946: a fragment header around a whole packet is no fragment."""
        whole = Ether(src=A.mac, dst=B.mac) / IPv6(src=A.ip6, dst=B.ip6) / IPv6ExtHdrFragment(nh=17, id=9) / UDP(sport=1, dport=53)
        self.arrives(self.send("a", whole), "b")
        whole[UDP].dport = 54
        self.drops(self.send("a", whole), "b", "security_group_in")

    def test_they_grow_old(self):
        first, middle, last = self.parts(source=C)
        self.arrives(self.tunnelled(first), "b")
        self.advance(25)
        self.arrives(self.tunnelled(middle), "b")
        self.advance(10)
        self.drops(self.tunnelled(last), "b", "fragment_without_first")

    def test_flood_of_first_ones(self):
        """A flood pushes out what is of its own two ends, and nothing of their neighbours."""
        first, middle, last = self.parts(source=C)
        self.arrives(self.tunnelled(first), "b")
        flood = next(self.parts(source=A))
        flood.dst, flood[IP].dst = GATEWAY_MAC, ENIS["d"].ip
        frame = bytearray(bytes(flood))
        self.bench.check = False
        lines = []
        for n in range(3000):
            frame[18:20] = (n + 1000).to_bytes(2, "big")
            frame[24:26] = b"\0\0"
            frame[24:26] = (0xffff ^ frame_check.ones_sum(bytes(frame[14:34]))).to_bytes(2, "big")
            lines.append("eni a " + frame.hex())
        self.bench.do_all(lines)
        self.arrives(self.tunnelled(middle), "b")
        self.arrives(self.tunnelled(last), "b")

    def test_the_cards_services_are_not_asked_in_fragments(self):
        part = Ether(src=A.mac, dst=GATEWAY_MAC) / IP(src=A.ip, dst="169.254.169.253", proto=17, flags="MF", id=3) / UDP(
            sport=1, dport=53, len=100) / Raw(b"x" * 16)
        self.silent(self.send("a", part))


class TooBig(Case):
    """The wire carries 1500, so an inner packet has 1450."""

    def test_what_just_fits(self):
        for v6, headers in ((False, 28), (True, 48)):
            self.arrives(self.udp("a", "c", 1, 2, b"x" * (1450 - headers), v6, **({} if v6 else {"flags": "DF"})), "c")

    def test_frag_needed(self):
        """RFC 792, 1191, 1812 4.3.2: from the gateway, with the MTU, quoting header and as much as fits."""
        sent = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(bytes(range(256)) * 6), flags="DF", id=77)
        told = self.drops_with(self.send("a", sent), "too_big", "a")[0]
        self.assertEqual((told.src, told.dst, told[IP].src, told[IP].dst, told[IP].ttl, told[IP].tos),
                         (C.mac, A.mac, "10.0.1.1", A.ip, 64, 0xc0))
        icmp = told[ICMP]
        self.assertEqual((icmp.type, icmp.code, bytes(icmp)[4:6], icmp.nexthopmtu), (3, 4, b"\0\0", 1450))
        quote = bytes(icmp.payload)
        self.assertGreaterEqual(len(quote), 28)
        self.assertLessEqual(len(bytes(told[IP])), 576)
        self.assertEqual(quote, bytes(sent[IP])[:len(quote)])
        self.assertEqual(self.counters("a")["drops"], {"too_big": 1})

    def test_packet_too_big(self):
        """RFC 4443, 3.2; 2.4(c): as much of it as fits into 1280."""
        sent = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(bytes(range(256)) * 6), True)
        told = self.drops_with(self.send("a", sent), "too_big", "a")[0]
        self.assertEqual((told[IPv6].src, told[IPv6].dst), ("fd00:1:0:1::1", A.ip6))
        error = told[ICMPv6PacketTooBig]
        self.assertEqual((error.code, error.mtu), (0, 1450))
        quote = bytes(error.payload)
        self.assertGreaterEqual(len(quote), 48)
        self.assertLessEqual(len(bytes(told[IPv6])), 1280)
        self.assertEqual(quote, bytes(sent[IPv6])[:len(quote)])

    def test_mtu_of_the_vpc(self):
        self.put("vpc", "v", mtu=1300)
        told = self.drops_with(self.udp("a", "c", 1, 2, b"x" * 1273, flags="DF"), "too_big", "a")[0]
        self.assertEqual(told[ICMP].nexthopmtu, 1300)
        self.arrives(self.udp("a", "c", 1, 2, b"x" * 1272, flags="DF"), "c")

    def test_then_it_goes(self):
        """What a guest does with it: the same again in the size that it was told."""
        self.connect("a", "c")
        big = self.packet("a", "c", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001) / Raw(b"x" * 1460), flags="DF")
        told = self.drops_with(self.send("a", big), "too_big", "a")[0]
        self.assertEqual((told[TCPerror].sport, told[TCPerror].seq), (40000, 1001))
        fit = told[ICMP].nexthopmtu - 40
        self.arrives(self.tcp("a", "c", 40000, 80, "A", 1001, 5001, b"x" * fit), "c")

    def test_none_about(self):
        """RFC 1812, 4.3.2.7, RFC 4443, 2.4(e): none about an ICMP error or a later fragment; the packet is dropped all the same."""
        inner = IP(src=C.ip, dst=A.ip) / UDP(sport=2, dport=1)
        self.arrives(self.udp("a", "c", 1, 2), "c")
        self.drops(self.go("a", "c", ICMP(type=3, code=3) / inner / Raw(b"x" * 1500), flags="DF"), "a", "too_big")

    def test_rate_of_errors(self):
        """RFC 1812, 4.3.2.8: a flood of oversize packets does not become a flood of errors."""
        line = "eni a " + bytes(self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"x" * 1450), flags="DF")).hex()
        told = sum(1 for a in self.bench.do_all([line] * 400) if len(a) == 2)
        self.assertTrue(1 <= told < 400, told)

    def test_to_a_guest_with_a_smaller_mtu(self):
        self.bench.do("attach b - 1300")
        told = self.drops_with(self.udp("a", "b", 1, 2, b"x" * 1300, flags="DF"), "too_big", "a")[0]
        self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].nexthopmtu, told[UDPerror].dport), ("10.0.1.1", A.ip, 1300, 2))

    def test_the_other_way(self):
        """From c to a guest that has less: c is told, over the overlay, and its card takes it as its flow's."""
        self.bench.do("attach b - 1300")
        for v6 in (False, True):
            answer = self.udp("c", "b", 1, 2, b"x" * 1300, v6, **({} if v6 else {"flags": "DF"}))
            told = self.inner(self.drops_with(answer, "too_big", "wire")[0])
            if v6:
                self.assertEqual((told[IPv6].src, told[IPv6].dst, told[ICMPv6PacketTooBig].mtu, told[IPerror6].dst),
                                 ("fd00:1:0:1::1", C.ip6, 1300, B.ip6))
            else:
                self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].nexthopmtu, told[IPerror].dst), ("10.0.1.1", C.ip, 1300, B.ip))

    def test_their_card_takes_it(self):
        """The error that h2's card sends from its gateway address belongs to a's flow, and reaches a; about another flow it does not."""
        sent = self.arrives(self.udp("a", "c", 1, 2, b"x" * 1400, flags="DF"), "c")
        quote = bytes(sent[IP])[:60]
        error = Ether(src=GATEWAY_MAC, dst=A.mac) / IP(src="10.0.1.1", dst=A.ip) / ICMP(type=3, code=4, nexthopmtu=1300) / Raw(quote)
        frame = self.arrives(self.tunnelled(error), "a")
        self.assertEqual(frame[ICMP].nexthopmtu, 1300)
        error[Raw].load = quote[:20] + b"\0\x09" + quote[22:]
        self.drops(self.tunnelled(error), "a", "icmp_unrelated")

    def test_to_the_outside(self):
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")
        self.arrives(self.udp("a", OUTSIDE, 1, 2, b"x" * 1472, flags="DF"), "outside")
        told = self.drops_with(self.udp("a", OUTSIDE, 1, 2, b"x" * 1473, flags="DF"), "too_big", "a")[0]
        self.assertEqual((told[ICMP].nexthopmtu, told[IPerror].src), (1500, A.ip))

    def test_from_the_outside(self):
        """Larger than the guest takes: the outside is told, from the public address and about it."""
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")
        told = self.drops_with(self.from_outside("203.0.113.10", UDP(sport=1, dport=2) / Raw(b"x" * 1430), flags="DF"), "too_big", "wire")[0]
        self.assertEqual((told[IP].src, told[IP].dst, told[ICMP].nexthopmtu, told[IPerror].dst), ("203.0.113.10", OUTSIDE, 1450, "203.0.113.10"))


class Fragmenting(Case):
    def together(self, frames):
        frames = sorted(frames, key=lambda f: f[IP].frag)
        at = 0
        for f in frames:
            self.assertEqual(f[IP].frag * 8, at)
            at += len(f[IP].payload)
        self.assertEqual([int(f[IP].flags.MF) for f in frames], [1] * (len(frames) - 1) + [0])
        return IP(src=frames[0][IP].src, dst=frames[0][IP].dst, proto=17) / Raw(b"".join(bytes(f[IP].payload) for f in frames))

    def test_without_df(self):
        """RFC 791: cut, each a packet of its own in the overlay; put together again it is what was sent."""
        data = bytes(range(251)) * 12
        answer = self.send("a", self.packet("a", "c", UDP(sport=1, dport=2) / Raw(data), id=99))
        inner = [self.inner(o.frame) for o in answer.out]
        self.assertEqual((len(inner), answer.dropped), (3, []))
        self.assertEqual({(f[IP].id, f[IP].src, f[IP].dst, f[IP].ttl) for f in inner}, {(99, A.ip, C.ip, 64)})
        self.assertTrue(all(len(f[IP]) <= 1450 for f in inner))
        whole = self.together(inner)
        self.assertEqual(bytes(whole[Raw].load)[8:], data)
        self.assertTrue(all(o.frame[IP].flags == "DF" for o in answer.out))
        self.assertEqual(len({o.frame[UDP].sport for o in answer.out}), 1)  # RFC 7348: one flow, one path

    def test_to_a_guest(self):
        self.bench.do("attach b - 1280")
        answer = self.send("a", self.packet("a", "b", UDP(sport=1, dport=2) / Raw(b"x" * 1400), id=98))
        self.assertEqual([o.port for o in answer.out], ["b", "b"])
        self.together([o.frame for o in answer.out])

    def test_fragments_are_fragmented(self):
        part = Ether(src=A.mac, dst=B.mac) / IP(src=A.ip, dst=B.ip, id=5, proto=17, flags="MF") / UDP(sport=1, dport=2, len=4000) / Raw(b"x" * 1400)
        self.bench.do("attach b - 1280")
        answer = self.send("a", part)
        self.assertEqual([(o.frame[IP].frag, int(o.frame[IP].flags.MF)) for o in answer.out], [(0, 1), (157, 1)])

    def test_options_in_the_first_only(self):
        """RFC 791, 3.1: options that are not copied are in the first fragment."""
        record_route = b"\x07\x07\x04\0\0\0\0\x01"
        packet = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"x" * 1600), id=5)
        packet[IP].options = [IPOption(record_route)]
        answer = self.send("a", packet)
        first, second = (bytes(self.inner(o.frame)[IP]) for o in answer.out)
        self.assertIn(record_route[:3], first[20:28])
        self.assertNotIn(b"\x07", second[20:(second[0] & 15) * 4])

    def test_checksum_that_was_to_come(self):
        """A frame whose checksum is left to the card, and that is cut: it is completed first."""
        packet = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"abc" * 700), id=7)
        raw = bytearray(bytes(packet))
        pseudo = bytes(raw[26:34]) + b"\0\x11" + bytes(raw[38:40])
        raw[40:42] = frame_check.ones_sum(pseudo).to_bytes(2, "big")
        answer = self.bench.answer(f"eni a {raw.hex()} {NEEDS_CSUM} 0 0 34 6")
        whole = self.together([self.inner(o.frame) for o in answer.out])
        again = IP(bytes(whole))[UDP]
        checksum = again.chksum
        expect = IP(bytes(packet[IP]))[UDP].chksum
        self.assertEqual(checksum, expect)


class Unfinished(Case):
    """Checksums that a guest leaves to the card (VIRTIO 1.2, 5.1.6.2): the field holds the sum of the pseudo header."""

    def send_unfinished(self, to, udp=True, v6=False, **more):
        upper = UDP(sport=7, dport=8) if udp else TCP(sport=7, dport=8, flags="S", seq=1)
        packet = self.packet("a", to, upper / Raw(b"odd"), v6, **more)
        raw, l4 = bytearray(bytes(packet)), 54 if v6 else 34
        at = 6 if udp else 16
        pseudo = bytes(raw[22:54] if v6 else raw[26:34]) + (len(raw) - l4).to_bytes(4, "big") + bytes([0, 0, 0, 17 if udp else 6])
        raw[l4 + at:l4 + at + 2] = frame_check.ones_sum(pseudo).to_bytes(2, "big")
        return packet, self.bench.answer(f"eni a {raw.hex()} {NEEDS_CSUM} 0 0 {l4} {at}")

    def test_completed_for_a_guest_that_needs_it(self):
        for v6, udp in itertools.product((False, True), repeat=2):
            packet, answer = self.send_unfinished("b", udp, v6)
            self.assertEqual((self.arrives(answer, "b"), answer.out[0].flags & NEEDS_CSUM), (packet.__class__(bytes(packet)), 0))

    def test_left_to_a_guest_that_takes_it(self):
        """It never leaves the machine: nobody computes it."""
        self.bench.do("attach b csum")
        for v6, udp in itertools.product((False, True), repeat=2):
            answer = self.send_unfinished("b", udp, v6)[1]
            self.assertEqual([(o.flags & NEEDS_CSUM, o.csum_start) for o in answer.out], [(NEEDS_CSUM, 54 if v6 else 34)])

    def test_on_the_wire(self):
        for v6, udp in itertools.product((False, True), repeat=2):
            self.arrives(self.send_unfinished("c", udp, v6)[1], "c")

    def test_translated(self):
        """With an elastic IP: the sum that is to be completed is the public address's."""
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")
        self.put("eip", "q", address="203.0.113.11", eni="b")
        for udp in (False, True):
            self.assertEqual(self.arrives(self.send_unfinished(OUTSIDE, udp)[1], "outside")[IP].src, "203.0.113.10")
            self.arrives(self.send_unfinished("203.0.113.11", udp)[1], "b")

    def test_to_the_resolver(self):
        self.answered(self.send_unfinished("169.254.169.253")[1], "a")


class UnfinishedWire(Unfinished):
    options = ("--wire", WIRE, "--wire-offloads", "csum")


class Gso(Case):
    """Frames of up to 64 KiB that stand for many (VIRTIO 1.2, 5.1.6)."""

    def gso(self, source, to, kind, size, data, v6=False, flags="PA", seq=1001, more=None):
        """Its checksum field holds the sum of the pseudo header, as a guest leaves it."""
        udp = kind == GSO_UDP
        upper = UDP(sport=40000, dport=80) if udp else TCP(sport=40000, dport=80, flags=flags, seq=seq, ack=5001)
        packet = self.packet(source, to, upper / Raw(data), v6, **(more or ({} if v6 else {"flags": "DF", "id": 500})))
        raw = bytearray(bytes(packet))
        l4 = 54 if v6 else 34
        addresses = raw[22:54] if v6 else raw[26:34]
        pseudo = bytes(addresses) + (len(raw) - l4).to_bytes(4, "big") + bytes([0, 0, 0, 17 if udp else 6])
        at = l4 + (6 if udp else 16)
        raw[at:at + 2] = frame_check.ones_sum(pseudo).to_bytes(2, "big")
        return self.bench.answer(f"eni {source} {raw.hex()} {NEEDS_CSUM} {kind} {size} {l4} {6 if udp else 16}")

    DATA = bytes(range(256)) * 40  # 10240

    def test_tcp_segments_on_the_wire(self):
        for v6, kind in ((False, GSO_TCP4), (True, GSO_TCP6)):
            self.connect("a", "c", v6=v6)
            answer = self.gso("a", "c", kind, 1000, self.DATA, v6, "PAFC")
            inner = [self.inner(o.frame) for o in answer.out]
            self.assertEqual((len(inner), answer.dropped), (11, []))
            self.assertEqual(b"".join(bytes(f[TCP].payload) for f in inner), self.DATA)
            self.assertEqual([f[TCP].seq for f in inner], [1001 + 1000 * i for i in range(11)])
            flags = [str(f[TCP].flags) for f in inner]
            self.assertEqual(flags, ["AC"] + ["A"] * 9 + ["FPA"])  # CWR in the first, FIN and PSH in the last
            if not v6:
                self.assertEqual([f[IP].id for f in inner], list(range(500, 511)))
            self.assertEqual(len({o.frame[UDP].sport for o in answer.out}), 1)

    def test_udp_segments_on_the_wire(self):
        answer = self.gso("a", "c", GSO_UDP, 1200, self.DATA)
        inner = [self.inner(o.frame) for o in answer.out]
        self.assertEqual([len(f[UDP].payload) for f in inner], [1200] * 8 + [640])
        self.assertEqual(b"".join(bytes(f[UDP].payload) for f in inner), self.DATA)

    def test_whole_to_a_guest_that_takes_it(self):
        self.bench.do("attach b csum,tso4,tso6,uso")
        self.connect("a", "b")
        answer = self.gso("a", "b", GSO_TCP4, 1400, self.DATA)
        self.assertEqual([(o.port, o.gso, o.gso_size, o.flags & NEEDS_CSUM, len(o.frame[TCP].payload)) for o in answer.out],
                         [("b", GSO_TCP4, 1400, NEEDS_CSUM, 10240)])

    def test_segments_for_a_guest_that_does_not(self):
        self.connect("a", "b")
        answer = self.gso("a", "b", GSO_TCP4, 1400, self.DATA)
        self.assertEqual([len(o.frame[TCP].payload) for o in answer.out], [1400] * 7 + [440])

    def test_judged_by_the_mss(self):
        """64 KiB that stand for packets of 1450 bytes fit; MSS of one more do not, and the sender is told about its first segment."""
        self.connect("a", "c")
        self.assertEqual(len(self.gso("a", "c", GSO_TCP4, 1410, self.DATA).out), 8)
        told = self.drops_with(self.gso("a", "c", GSO_TCP4, 1411, self.DATA), "too_big", "a")[0]
        self.assertEqual((told[ICMP].type, told[ICMP].code, told[ICMP].nexthopmtu), (3, 4, 1450))
        quote = bytes(told[ICMP].payload)
        self.assertEqual((told[IPerror].len, told[IPerror].id, told[TCPerror].seq), (1451, 500, 1001))
        self.assertEqual(frame_check.ones_sum(quote[:20]), 0xffff)

    def test_judged_by_the_mss_v6(self):
        self.connect("a", "c", v6=True)
        self.assertEqual(len(self.gso("a", "c", GSO_TCP6, 1390, self.DATA, True).out), 8)
        told = self.drops_with(self.gso("a", "c", GSO_TCP6, 1391, self.DATA, True), "too_big", "a")[0]
        self.assertEqual((told[ICMPv6PacketTooBig].mtu, told[IPerror6].plen), (1450, 1411))

    def test_judged_by_the_receivers_mtu(self):
        self.bench.do("attach b csum,tso4 1300")
        self.connect("a", "b")
        told = self.drops_with(self.gso("a", "b", GSO_TCP4, 1400, self.DATA), "too_big", "a")[0]
        self.assertEqual(told[ICMP].nexthopmtu, 1300)
        self.assertEqual(len(self.gso("a", "b", GSO_TCP4, 1260, self.DATA).out), 1)

    def test_one_segment(self):
        """Shorter than its MSS: a frame like others."""
        self.connect("a", "c")
        answer = self.gso("a", "c", GSO_TCP4, 1400, b"short")
        self.assertEqual([bytes(self.inner(o.frame)[TCP].payload) for o in answer.out], [b"short"])

    def test_malformed(self):
        """What a driver must not say (VIRTIO 1.2, 5.1.6.2.1)."""
        raw = bytes(self.packet("a", "c", TCP(sport=40000, dport=80, flags="A") / Raw(self.DATA), flags="DF")).hex()
        for words in ("0 1 1000 34 16", "1 1 0 34 16", "1 2 1000 34 16", "1 3 1000 34 6", "1 1 1000 35 16", "1 1 1000 34 6", "1 9 1000 34 16",
                      "1 0 0 60000 16", "1 1 1 34 16", "1 0 0 14 10"):
            self.drops(self.bench.answer(f"eni a {raw} {words}"), "a", "malformed")

    def test_through_nat(self):
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")
        self.arrives(self.tcp("a", OUTSIDE, 40000, 80, "S", 1000), "outside")
        self.arrives(self.from_outside("203.0.113.10", TCP(sport=80, dport=40000, flags="SA", seq=5000, ack=1001)), "a")
        self.arrives(self.tcp("a", OUTSIDE, 40000, 80, "A", 1001, 5001), "outside")
        answer = self.gso("a", OUTSIDE, GSO_TCP4, 1400, self.DATA)
        self.assertEqual([(o.frame[IP].src, len(o.frame[TCP].payload)) for o in answer.out], [("203.0.113.10", 1400)] * 7 + [("203.0.113.10", 440)])


class GsoWire(Gso):
    """The same on a wire that completes checksums: segments leave with what it needs to do so."""
    options = ("--wire", WIRE, "--wire-offloads", "csum")


if __name__ == "__main__":
    tap.main()
