#!/usr/bin/python3
"""What contradicts itself, is cut short, or would make another see something else than the card saw: dropped, with its reason."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet6 import (IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,  # noqa: E402
                                IPv6ExtHdrSegmentRouting)

A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]
NEAR = Ether(src=A.mac, dst=B.mac)


class Malformed(Case):
    def bad(self, frame, reason="malformed"):
        self.drops(self.bench.answer(f"eni a {bytes(frame).hex()}"), "a", reason)

    def test_every_length(self):
        """Cut at every byte: nobody is given a frame with more in its headers than there is."""
        for frame in (self.packet("a", "b", UDP(sport=1, dport=2) / Raw(b"x" * 10)), self.packet("a", "b", TCP(sport=1, dport=2, flags="S")),
                      self.packet("a", "b", ICMP(type=8)), self.packet("a", "b", UDP(sport=1, dport=2) / Raw(b"x" * 10), True)):
            whole = bytes(frame)
            for size in range(1, len(whole)):
                answer = self.bench.answer(f"eni a {whole[:size].hex()}")
                self.assertEqual((answer.out, [w for _, w in answer.dropped]), ([], ["malformed"]), size)
            self.arrives(self.bench.answer(f"eni a {whole.hex()}"), "b")

    def test_padding(self):
        """What a driver adds to a short frame is not passed on."""
        whole = bytes(self.packet("a", "b", UDP(sport=1, dport=2)))
        frame = self.bench.answer(f"eni a {(whole + b'secret').hex()}").out[0].data
        self.assertEqual(frame, whole)

    def test_ipv4(self):
        good = bytes(self.packet("a", "b", UDP(sport=1, dport=2) / Raw(b"x" * 20)))

        def with_ip(at, value):
            raw = bytearray(good)
            raw[14 + at:14 + at + len(value)] = value
            return bytes(raw)
        for at, value in ((0, b"\x44"), (0, b"\x55"), (0, b"\x65"), (0, b"\x05"), (2, b"\0\x13"), (2, b"\xff\xff"), (2, b"\0\x1b"), (10, b"\0\0")):
            self.bad(with_ip(at, value))

    def test_ipv4_checksum(self):
        frame = self.packet("a", "b", UDP(sport=1, dport=2))
        frame[IP].chksum = 0x1234
        self.bad(frame)

    def test_udp_length(self):
        for size in (0, 7, 29, 65535):
            self.bad(self.packet("a", "b", UDP(sport=1, dport=2, len=size) / Raw(b"x" * 20)))

    def test_tcp_offset(self):
        for words in (0, 4, 6, 15):
            self.bad(self.packet("a", "b", TCP(sport=1, dport=2, flags="S", dataofs=words)))

    def test_source_routes(self):
        """RFC 7126, 4.3: loose and strict. Where it goes is not where it says."""
        for option in (b"\x83\x07\x04\x0a\x00\x02\x0a\x00", b"\x89\x07\x04\x0a\x00\x02\x0a\x00"):
            raw = bytes(NEAR / IP(src=A.ip, dst=B.ip, ihl=7, len=36, proto=17, chksum=0))[:34] + option + bytes(UDP(sport=1, dport=2, len=8))
            self.bad(checksummed(raw), "unsupported")

    def test_options_that_run_over(self):
        for option in (b"\x07\x00\0\0", b"\x07\x01\0\0", b"\x07\x05\0\0", b"\x01\x01\x01\x07"):
            raw = bytes(NEAR / IP(src=A.ip, dst=B.ip, ihl=6, len=32, proto=17, chksum=0))[:34] + option + bytes(UDP(sport=1, dport=2, len=8))
            self.bad(checksummed(raw))

    def test_harmless_options(self):
        raw = bytes(NEAR / IP(src=A.ip, dst=B.ip, ihl=6, len=32, proto=17, chksum=0))[:34] + b"\x94\x04\0\0" + bytes(UDP(sport=1, dport=2, len=8))
        self.arrives(self.bench.answer(f"eni a {checksummed(raw).hex()}"), "b")

    def test_ipv6_extensions(self):
        """RFC 8200, 4: the upper layer is found behind what may precede it; the groups judge that."""
        self.group("dns", EGRESS + [rule(protocol="udp", ports="53", cidr=ANY6)], "b")
        head = NEAR / IPv6(src=A.ip6, dst=B.ip6)
        for chain in (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(),
                      IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0)):
            self.arrives(self.send("a", head / chain / UDP(sport=1, dport=53)), "b")
            self.drops(self.send("a", head / chain / UDP(sport=1, dport=54)), "b", "security_group_in")

    def test_ipv6_routing_headers(self):
        """RFC 5095, RFC 8754: with segments left the destination is another."""
        head = NEAR / IPv6(src=A.ip6, dst=B.ip6)
        self.bad(head / IPv6ExtHdrRouting(addresses=[C.ip6], segleft=1) / UDP(sport=1, dport=53), "unsupported")
        self.bad(head / IPv6ExtHdrSegmentRouting(addresses=[C.ip6], segleft=1, lastentry=0) / UDP(sport=1, dport=53), "unsupported")

    def test_ipv6_chains(self):
        head = NEAR / IPv6(src=A.ip6, dst=B.ip6)
        many = head
        for _ in range(20):
            many = many / IPv6ExtHdrDestOpt()
        self.bad(many / UDP(sport=1, dport=2))
        self.bad(head / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / UDP(sport=1, dport=2))
        self.bad(head / IPv6ExtHdrFragment(nh=44, m=1, id=1) / IPv6ExtHdrFragment(nh=17, m=1, id=2) / UDP(sport=1, dport=2, len=8))

    def test_wrong_family_in_the_ethertype(self):
        self.bad(Ether(src=A.mac, dst=B.mac, type=0x86dd) / bytes(IP(src=A.ip, dst=B.ip) / UDP() / Raw(b"x" * 40)))
        self.bad(Ether(src=A.mac, dst=B.mac, type=0x0800) / bytes(IPv6(src=A.ip6, dst=B.ip6) / UDP() / Raw(b"x" * 40)))

    def test_transport_checksums_are_the_receivers(self):
        """End to end: a wrong one passes as it is, and is not made right by the card."""
        self.bench.check = False
        frame = self.packet("a", "b", UDP(sport=1, dport=2, chksum=0x1234) / Raw(b"x"))
        self.assertEqual(self.send("a", frame).out[0].frame[UDP].chksum, 0x1234)
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")
        wrong = self.packet("a", OUTSIDE, UDP(sport=1, dport=2, chksum=0x1234) / Raw(b"x"))
        out = self.send("a", wrong).out[0].frame
        again = IP(bytes(out[IP]))
        del again[UDP].chksum
        self.assertNotEqual(IP(bytes(again))[UDP].chksum, out[UDP].chksum)

    def test_random_frames(self):
        """Bits flipped in good frames of all kinds, from guest and wire: whatever comes of it, each is passed or has a reason, and the
        bench lives. (The fuzzers go on from here.)"""
        self.bench.check = False
        chance = random.Random(7348)
        good = [bytes(f) for f in (
            self.packet("a", "b", TCP(sport=1, dport=2, flags="S", options=[("MSS", 1400)])), self.packet("a", "c", UDP() / Raw(b"x" * 30), True),
            self.packet("a", "c", ICMP(type=3) / IP(src=C.ip, dst=A.ip) / UDP()), NEAR / ARP(op=1, hwsrc=A.mac, psrc=A.ip, pdst="10.0.1.1"),
            NEAR / IPv6(src=A.ip6, dst=B.ip6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(nh=17, m=1, id=3) / UDP(len=99) / Raw(b"x" * 8))]
        wire = [bytes(self.outer() / Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP() / Raw(b"y" * 20))]
        lines = []
        for _ in range(3000):
            source, frame = chance.choice([("eni a ", chance.choice(good)), ("wire ", wire[0])])
            frame = bytearray(frame)
            for _ in range(chance.randint(1, 4)):
                frame[chance.randrange(len(frame))] = chance.randrange(256)
            lines.append(source + bytes(frame[:chance.randint(1, len(frame))] if chance.random() < 0.2 else frame).hex())
        for line, answer in zip(lines, self.bench.do_all(lines)):
            self.assertTrue(answer, line)


def checksummed(raw):
    """The IPv4 header's checksum made right."""
    import frame_check
    raw = bytearray(raw)
    raw[24:26] = b"\0\0"
    header = (raw[14] & 15) * 4
    raw[24:26] = (0xffff ^ frame_check.ones_sum(bytes(raw[14:14 + header]))).to_bytes(2, "big")
    return bytes(raw)


if __name__ == "__main__":
    tap.main()
