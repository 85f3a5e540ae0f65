#!/usr/bin/python3
"""Makes packets.inc: frames as scapy writes them, and as it writes them after each change that src/vpc makes to a frame, so that the
tests do not only ask our code what it thinks of itself. Deterministic; run it only to add a frame:

    test/unit/vpc/golden/packets.py | clang-format > test/unit/vpc/golden/packets.inc
"""
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR, IPOption_Security, fragment
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, fragment6)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

GUEST, GATEWAY, HOST, NEXT_HOP = "02:00:00:00:00:05", "02:00:00:00:00:01", "02:00:00:00:0a:01", "02:00:00:00:0a:02"
A4, B4, N4, G4 = "10.0.0.5", "10.0.1.7", "203.0.113.9", "10.0.0.1"
A6, B6, N6, G6 = "fd00::5", "fd00:1::7", "2001:db8::9", "fd00::1"
OUTER4, OUTER6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8:a::1", "2001:db8:a::2")
HASH, VNI = 0x5678, 0x123456


def octets(size, first=0):
    return bytes((first + i * 7) & 0xff for i in range(size))


def ether():
    return Ether(dst=GATEWAY, src=GUEST)


def tcp4(src=A4, sport=40000, dst=B4, dport=80, tos=0, **ip):
    return ether() / IP(src=src, dst=dst, id=0x1234, flags="DF", ttl=17, tos=tos, **ip) / TCP(
        sport=sport, dport=dport, seq=0xfffffff0, ack=77, flags="PA", window=501,
        options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]) / Raw(octets(101))


def udp4(src=A4, sport=5353, dst=B4, dport=53, size=60, **ip):
    return ether() / IP(src=src, dst=dst, id=0x4321, ttl=3, **ip) / UDP(sport=sport, dport=dport) / Raw(octets(size, 3))


def tcp6(src=A6, sport=40000, dst=B6, dport=443, tc=0):
    return ether() / IPv6(src=src, dst=dst, hlim=9, tc=tc, fl=0xbeef) / TCP(sport=sport, dport=dport, seq=5, flags="S") / Raw(octets(33))


def udp6(src=A6, sport=1000, dst=B6, dport=2000):
    return ether() / IPv6(src=src, dst=dst, hlim=255) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrDestOpt(
        options=[PadN(optdata=b"\0" * 12)]) / UDP(sport=sport, dport=dport) / Raw(octets(20))


def echo4(src=A4, dst=B4, identifier=0x77):
    return ether() / IP(src=src, dst=dst, id=1) / ICMP(type=8, id=identifier, seq=3) / Raw(octets(56))


def echo6(src=A6, dst=B6, identifier=0x77):
    return ether() / IPv6(src=src, dst=dst) / ICMPv6EchoRequest(id=identifier, seq=3, data=octets(56))


def ip_of(frame, size=None):
    data = bytes(frame)[14:]
    return Raw(data[:size])


def error4(quoted, size=None, src=G4, dst=A4):
    return ether() / IP(src=src, dst=dst, id=9) / ICMP(type=3, code=3) / ip_of(quoted, size)


def error6(quoted, size=None, src=G6, dst=A6):
    return ether() / IPv6(src=src, dst=dst) / ICMPv6DestUnreach(code=4) / ip_of(quoted, size)


def encapsulated(shim, port, inner, outer, ecn):
    v4 = ":" not in outer[0]
    ip = IP(src=outer[0], dst=outer[1], id=0, flags="DF", ttl=64, tos=ecn) if v4 else IPv6(src=outer[0], dst=outer[1], hlim=64, tc=ecn)
    udp = UDP(sport=49152 + (HASH & 0x3fff), dport=port, chksum=0)
    return Ether(dst=NEXT_HOP, src=HOST) / ip / udp / shim / inner


def vxlan(inner, outer, ecn=0):
    return encapsulated(VXLAN(vni=VNI, flags=0x08), 4789, inner, outer, ecn)


def geneve(inner, outer, ecn=0, **options):
    return encapsulated(GENEVE(vni=VNI, proto=0x6558, **options), 6081, inner, outer, ecn)


def with_checksum(frame):
    """The outer UDP checksum that a tunnel end may add."""
    del frame[UDP].chksum
    return frame


def cut_tcp(ip, payload, mss, flags):
    """What TSO makes of it: (frame that stands for all, its segments)."""
    def frame(index, data, bits):
        header = ip.copy()
        if isinstance(header, IP):
            header.id = header.id + index & 0xffff
        return ether() / header / TCP(sport=1, dport=2, seq=0xffffff00 + index * mss & 0xffffffff, ack=9, flags=bits, window=3) / Raw(data)
    parts = [payload[i:i + mss] for i in range(0, len(payload), mss)]
    segments = []
    for i, part in enumerate(parts):
        bits = flags if i == len(parts) - 1 else flags.replace("P", "").replace("F", "")
        segments.append(frame(i, part, bits if i == 0 else bits.replace("C", "")))
    return frame(0, payload, flags), segments


def cut_udp(payload, size):
    def frame(index, data):
        return ether() / IP(src=A4, dst=B4, id=0xfffe + index & 0xffff) / UDP(sport=1, dport=2) / Raw(data)
    return frame(0, payload), [frame(i, payload[i * size:(i + 1) * size]) for i in range((len(payload) + size - 1) // size)]


def sequence(frames):
    """Frames one behind the other, each with its length before it (big endian, 2 bytes)."""
    return b"".join(len(bytes(f)).to_bytes(2, "big") + bytes(f) for f in frames)


def too_big4(about, size):
    return Ether(dst=GUEST, src=GATEWAY) / IP(src=G4, dst=A4, id=0, flags="DF", ttl=64, tos=0xc0) / ICMP(type=3, code=4, nexthopmtu=1400) / ip_of(about, size)


def golden():
    yield "tcp4", tcp4()
    yield "tcp4_ect0", tcp4(tos=2)
    yield "tcp4_ce", tcp4(tos=3)
    yield "tcp4_source_nat", tcp4(src=N4, sport=61000)
    yield "tcp4_destination_nat", tcp4(dst=N4, dport=8080)
    yield "udp4", udp4()
    yield "udp4_source_nat", udp4(src=N4, sport=61000)
    yield "udp4_no_checksum", ether() / IP(src=A4, dst=B4) / UDP(sport=1, dport=2, chksum=0) / Raw(b"x")
    yield "udp4_no_checksum_nat", ether() / IP(src=N4, dst=B4) / UDP(sport=9, dport=2, chksum=0) / Raw(b"x")
    yield "udp4_options", udp4(options=[IPOption_NOP(), IPOption_RR(routers=["1.2.3.4"]), ])
    yield "tcp6", tcp6()
    yield "tcp6_ect1", tcp6(tc=1)
    yield "tcp6_ce", tcp6(tc=3)
    yield "tcp6_destination_nat", tcp6(dst=N6, dport=8443)
    yield "udp6_extensions", udp6()
    yield "udp6_extensions_source_nat", udp6(src=N6, sport=61000)
    yield "udp6_routing", ether() / IPv6(src=A6, dst=B6) / IPv6ExtHdrRouting(addresses=[N6], segleft=1) / UDP(sport=1, dport=2) / Raw(b"xyz")
    yield "udp6_routing_done", ether() / IPv6(src=A6, dst=B6) / IPv6ExtHdrRouting(addresses=[N6], segleft=0) / UDP(sport=1, dport=2) / Raw(b"xyz")
    yield "echo4", echo4()
    yield "echo4_source_nat", echo4(src=N4, identifier=0xbeef)
    yield "echo6", echo6()
    yield "echo6_source_nat", echo6(src=N6, identifier=0xbeef)
    yield "error4_udp", error4(udp4())
    yield "error4_udp_source_nat", error4(udp4(src=N4, sport=61000))
    yield "error4_udp_destination_nat", error4(udp4(dst=N4, dport=5300))
    yield "error4_tcp_short", error4(tcp4(), 28)
    yield "error4_tcp_short_source_nat", error4(tcp4(src=N4, sport=61000), 28)
    yield "error4_echo", error4(echo4())
    yield "error4_echo_source_nat", error4(echo4(src=N4, identifier=0xbeef))
    yield "error6_tcp", error6(tcp6())
    yield "error6_tcp_destination_nat", error6(tcp6(dst=N6, dport=8443))
    yield "error6_extensions", error6(udp6())
    yield "error6_extensions_source_nat", error6(udp6(src=N6, sport=61000))
    yield "arp", ether() / ARP(hwsrc=GUEST, psrc=A4, pdst=G4)
    yield "vlan", Ether(dst=GATEWAY, src=GUEST) / Dot1Q(vlan=5) / IP(src=A4, dst=B4) / UDP(sport=1, dport=2) / Raw(b"abc")
    yield "fragment6_first", ether() / fragment6(IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=7) / UDP(sport=1, dport=2) / Raw(octets(200)), 150)[0]
    yield "fragment6_later", ether() / fragment6(IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=7) / UDP(sport=1, dport=2) / Raw(octets(200)), 150)[1]
    yield "fragment6_atomic", ether() / IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=7) / UDP(sport=1, dport=2) / Raw(octets(20))

    yield "vxlan4", vxlan(tcp4(), OUTER4)
    yield "vxlan4_ect0", vxlan(tcp4(tos=2), OUTER4, 2)
    yield "vxlan4_ce_on_ect0", vxlan(tcp4(tos=2), OUTER4, 3)
    yield "vxlan4_ce_on_not_ect", vxlan(tcp4(), OUTER4, 3)
    yield "vxlan4_arp", vxlan(ether() / ARP(hwsrc=GUEST, psrc=A4, pdst=G4), OUTER4)
    yield "vxlan6", vxlan(tcp6(tc=1), OUTER6, 1)
    yield "vxlan6_ce_on_ect1", vxlan(tcp6(tc=1), OUTER6, 3)
    yield "vxlan4_checksum", with_checksum(vxlan(tcp4(), OUTER4))
    yield "geneve4", geneve(tcp4(), OUTER4)
    yield "geneve6", geneve(tcp6(), OUTER6)
    yield "geneve4_options", geneve(tcp4(), OUTER4, options=b"\x01\x02\x03\x01abcd")
    yield "geneve6_checksum", with_checksum(geneve(tcp6(), OUTER6))

    whole, segments = cut_tcp(IP(src=A4, dst=B4, id=0xffff, flags="DF", tos=2), octets(3000), 1001, "FPAC")
    yield "tso4", whole
    yield "tso4_segments", sequence(segments)
    yield "tso4_vxlan_segments", sequence(encapsulated(VXLAN(vni=VNI, flags=0x08), 4789, s, OUTER4, 2) for s in segments)
    yield "tso4_geneve6_segments", sequence(geneve(s, OUTER6, 2) for s in segments)
    whole, segments = cut_tcp(IPv6(src=A6, dst=B6), octets(2500), 1200, "PA")
    yield "tso6", whole
    yield "tso6_segments", sequence(segments)
    whole, segments = cut_udp(octets(1000, 9), 300)
    yield "uso4", whole
    yield "uso4_segments", sequence(segments)

    big = udp4(size=1000)
    yield "udp4_big", big
    yield "udp4_big_fragments", sequence(ether() / f for f in fragment(big[IP], 392))
    yield "udp4_big_options", udp4(size=400, options=[IPOption_RR(routers=["1.2.3.4"]), IPOption_NOP(), IPOption_Security()])

    yield "too_big4", too_big4(udp4(), 88)
    yield "too_big4_tso", too_big4(cut_tcp(IP(src=A4, dst=B4, id=0xffff, flags="DF", tos=2), octets(1001), 1001, "FPAC")[0], 214)
    yield "too_big6", Ether(dst=GUEST, src=GATEWAY) / IPv6(src=G6, dst=A6, hlim=64) / ICMPv6PacketTooBig(mtu=1400) / ip_of(tcp6())
    yield "ttl6", Ether(dst=GUEST, src=GATEWAY) / IPv6(src=G6, dst=A6, hlim=64) / ICMPv6TimeExceeded() / ip_of(tcp6())


def main():
    print("/* Made by packets.py: do not edit. */")
    print("#ifndef OUTBOARD_TEST_GOLDEN_PACKETS_H\n#define OUTBOARD_TEST_GOLDEN_PACKETS_H\n\n#include <stdint.h>\n")
    print(f"enum {{ GOLDEN_HASH = {HASH:#x}, GOLDEN_VNI = {VNI:#x} }};\n")
    for name, frame in golden():
        data = bytes(frame)
        print(f"__attribute__((unused)) static const uint8_t golden_{name}[] = {{")
        for at in range(0, len(data), 24):
            print("\t" + ", ".join(f"{b:#04x}" for b in data[at:at + 24]) + ",")
        print("};\n")
    print("#endif")


if __name__ == "__main__":
    main()
