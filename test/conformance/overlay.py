#!/usr/bin/python3
"""vpc.md: "Outer UDP source port = hash of the inner flow (ECMP). VXLAN by default, Geneve by option". RFC 7348, 8926, 6040, 6935."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr  # noqa: E402
from scapy.layers.l2 import Dot1Q  # noqa: E402

A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]


class Vxlan(Case):
    SHIM = bytes.fromhex("0800000000100000")

    def test_byte_layout(self):
        """The whole frame, as scapy builds it; the source port is of 49152 to 65535."""
        sent = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"payload"), tos=0x10)
        raw = self.send("a", sent).out[0].data
        sport = int.from_bytes(raw[34:36], "big")
        self.assertGreaterEqual(sport, 49152)
        expected = Ether(src=WIRE_MAC, dst=HOST_MAC) / IP(src=WIRE_IP, dst=HOST_IP, flags="DF", id=0, ttl=64, tos=0) / UDP(
            sport=sport, dport=4789 if self.encapsulation == "vxlan" else 6081, chksum=0) / Raw(self.SHIM) / sent
        self.assertEqual(raw.hex(), bytes(expected).hex())

    def test_largest_vni(self):
        self.put("vpc", "v", vni=0xffffff)
        self.inner(self.udp("a", "c").out[0].frame, 0xffffff)

    def test_arp_and_broadcast_never(self):
        """Whatever a guest of this card sends: no frame of the overlay is anything but IP to one."""
        for frame in (Ether(src=A.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A.mac, psrc=A.ip, pdst=C.ip),
                      Ether(src=A.mac, dst=C.mac) / ARP(op=2, hwsrc=A.mac, psrc=A.ip, hwdst=C.mac, pdst=C.ip),
                      Ether(src=A.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=A.ip, dst=C.ip) / UDP(sport=1, dport=2)):
            self.assertEqual(self.send("a", frame).to("wire"), [])

    def test_source_port_is_the_flows(self):
        """Both families and every length of one flow have one port; many flows have many (RFC 7348, 5: ECMP)."""
        def port(sport, v6=False, data=b"x"):
            return self.udp("a", "c", sport, 53, data, v6).out[0].frame[UDP].sport
        self.assertEqual(len({port(1000, data=b"x" * n) for n in (0, 1, 500, 1400)}), 1)
        self.assertEqual(len({port(1000, True, b"x" * n) for n in (0, 1, 500, 1400)}), 1)
        many = {port(n) for n in range(1000, 1200)}
        self.assertGreater(len(many), 190)
        self.assertTrue(all(49152 <= p <= 65535 for p in many))

    def test_source_port_survives_policy(self):
        before = self.udp("a", "c", 7, 8).out[0].frame[UDP].sport
        self.put("security-group", "open", rules=OPEN + [rule(protocol="tcp")])
        self.assertEqual(self.udp("a", "c", 7, 8).out[0].frame[UDP].sport, before)

    def test_fragments_take_the_path_of_their_flow(self):
        """Later fragments show no ports, and are not reordered before their first one by another path."""
        first = self.packet("a", "c", UDP(sport=5, dport=6, len=32) / Raw(b"x" * 16), id=3, flags="MF")
        last = self.ether("a", "c") / IP(src=A.ip, dst=C.ip, id=3, proto=17, frag=3) / Raw(b"x" * 8)
        ports = [self.send("a", f).out[0].frame[UDP].sport for f in (first, last)]
        self.assertEqual(ports[0], ports[1])

    def test_congestion_out(self):
        """RFC 6040, 4.1, normal mode: the inner ECN is copied, its DSCP is not shown, and not changed."""
        for v6 in (False, True):
            for ecn in range(4):
                tos = 0xb8 | ecn
                outer = self.udp("a", "c", 1, 2, b"", v6, **({"tc": tos} if v6 else {"tos": tos})).out[0].frame
                self.assertEqual(outer[IP].tos, ecn)
                inner = self.inner(outer)
                self.assertEqual(inner[IPv6].tc if v6 else inner[IP].tos, tos)

    def test_congestion_in(self):
        """RFC 6040, 4.2, figure 4: inner by row, outer (not ECT, ECT(1), ECT(0), CE) by column."""
        table = {0: (0, 0, 0, None), 1: (1, 1, 1, 3), 2: (2, 1, 2, 3), 3: (3, 3, 3, 3)}
        for v6 in (False, True):
            for inner, row in table.items():
                for outer, expected in enumerate(row):
                    tos = 0x28 | inner
                    ip = IPv6(src=C.ip6, dst=A.ip6, tc=tos) if v6 else IP(src=C.ip, dst=A.ip, tos=tos)
                    answer = self.tunnelled(Ether(src=C.mac, dst=A.mac) / ip / UDP(sport=1, dport=2), tos=0x40 | outer)
                    if expected is None:
                        self.drops(answer, "wire", "malformed")
                        continue
                    got = self.arrives(answer, "a")
                    self.assertEqual(got[IPv6].tc if v6 else got[IP].tos, 0x28 | expected)

    def test_checksum_of_the_outer_udp(self):
        """RFC 7348, 5: zero is taken; one that is not zero must be right."""
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2) / Raw(b"x" * 500)
        frame = self.outer() / inner
        del frame[UDP].chksum
        self.arrives(self.wire(frame), "a")
        frame = Ether(bytes(frame))
        frame[UDP].chksum ^= 0x0101
        self.drops(self.wire(frame), "wire", "malformed")

    def test_source_port_of_the_peer_does_not_matter(self):
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)
        for sport in (0, 1, 4789, 65535):
            self.arrives(self.tunnelled(inner, sport=sport), "a")

    def test_outer_fragments(self):
        """RFC 7348, 4.3: not taken."""
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2) / Raw(b"x" * 100)
        answer = self.wire(self.outer(flags="MF") / inner / Raw(b"y" * 2))
        self.assertEqual((answer.out, len(answer.dropped)), ([], 1))

    def test_cut_short(self):
        """At every length: dropped, and nobody is given half a frame."""
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2) / Raw(b"x" * 20)
        whole = bytes(self.outer() / inner)
        for size in range(14, len(whole)):
            answer = self.bench.answer("wire " + whole[:size].hex())
            self.assertEqual((answer.out, len(answer.dropped)), ([], 1), size)
            frame = self.outer() / Raw(bytes(inner)[:max(0, size - 50)])
            answer = self.wire(frame)
            self.assertEqual((answer.out, len(answer.dropped)), ([], 1), size)

    def test_longer_than_its_length(self):
        """What lies behind the datagram is padding."""
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2) / Raw(b"x" * 20)
        answer = self.bench.answer("wire " + (bytes(self.outer() / inner) + b"\xa5" * 30).hex())
        self.assertEqual(bytes(self.arrives(answer, "a")), bytes(inner))

    def test_inner_vlan(self):
        inner = Ether(src=C.mac, dst=A.mac) / Dot1Q(vlan=1) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)
        self.drops(self.tunnelled(inner), "a", "ethertype")

    def test_not_for_us(self):
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)
        frame = self.outer() / inner
        frame[Ether].dst = "02:00:00:00:00:77"
        self.drops(self.wire(frame), "wire", "not_ours")
        self.drops(self.wire(Ether(src=HOST_MAC, dst=WIRE_MAC) / Dot1Q(vlan=3) / frame[IP]), "wire", "not_ours")
        frame = self.outer(dst="192.0.2.9") / inner
        self.drops(self.wire(frame), "wire", "not_ours")

    def test_tunnel_in_a_tunnel(self):
        """An overlay frame that a guest makes is a guest's UDP: it has no meaning for the card."""
        inner = Ether(src=C.mac, dst=B.mac) / IP(src=C.ip, dst=B.ip) / UDP(sport=1, dport=2)
        frame = self.arrives(self.go("a", "c", UDP(sport=5, dport=4789) / VXLAN(vni=VNI, flags="Instance") / inner), "c")
        self.assertEqual(frame[IP].dst, C.ip)
        self.arrives(self.go("a", "b", UDP(sport=5, dport=4789) / VXLAN(vni=VNI, flags="Instance") / inner), "b")

    def test_host_unresolved(self):
        """Until the other card's MAC is known: dropped, with its reason; asked for by ARP meanwhile."""
        answer = self.put("host", "h2", address="192.0.2.9")
        asked = [(f.dst, f[ARP].op, f[ARP].psrc, f[ARP].pdst) for f in answer.to("wire") if ARP in f]
        self.assertIn(("ff:ff:ff:ff:ff:ff", 1, WIRE_IP, "192.0.2.9"), asked)
        self.drops(self.udp("a", "c"), "a", "host_unresolved")
        self.learn("192.0.2.9", "02:00:00:00:02:09")
        frame = self.udp("a", "c").out[0].frame
        self.assertEqual((frame.dst, frame[IP].dst), ("02:00:00:00:02:09", "192.0.2.9"))

    def test_host_behind_the_gateway(self):
        self.put("host", "h2", address="198.18.0.9")
        frame = self.udp("a", "c").out[0].frame
        self.assertEqual((frame.dst, frame[IP].dst), (ROUTER_MAC, "198.18.0.9"))

    def test_host_changes_its_mac(self):
        self.arrives(self.udp("a", "c", 1, 2), "c")
        self.learn(HOST_IP, "02:00:00:00:02:33")
        self.assertEqual(self.udp("a", "c", 1, 2).out[0].frame.dst, "02:00:00:00:02:33")

    def test_neighbours_that_were_not_asked_for(self):
        """An ARP reply for an address that nobody wanted makes no entry: it is not believed later."""
        self.learn("192.0.2.9", "02:00:00:00:66:66")
        self.put("host", "h2", address="192.0.2.9")
        self.drops(self.udp("a", "c"), "a", "host_unresolved")


class VxlanShim(Case):
    def shim(self, data):
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)
        return self.wire(Ether(src=HOST_MAC, dst=WIRE_MAC) / IP(src=HOST_IP, dst=WIRE_IP) / UDP(sport=5, dport=4789, chksum=0) /
                         Raw(data) / inner)

    def test_flags(self):
        """RFC 7348, 5: I must be set; what is reserved is ignored."""
        self.arrives(self.shim(bytes.fromhex("0800000000100000")), "a")
        self.arrives(self.shim(bytes.fromhex("ffffffff001000ff")), "a")
        self.drops(self.shim(bytes.fromhex("0000000000100000")), "wire", "malformed")
        self.drops(self.shim(bytes.fromhex("f700000000100000")), "wire", "malformed")


class Geneve(Vxlan):
    encapsulation = "geneve"
    SHIM = bytes.fromhex("0000655800100000")


class GeneveShim(Case):
    encapsulation = "geneve"

    def shim(self, data):
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)
        return self.wire(Ether(src=HOST_MAC, dst=WIRE_MAC) / IP(src=HOST_IP, dst=WIRE_IP) / UDP(sport=5, dport=6081, chksum=0) /
                         Raw(data) / inner)

    def test_options(self):
        """RFC 8926, 3.5: options that are not critical are skipped; one that is, is not for who does not know it."""
        self.arrives(self.shim(bytes.fromhex("0000655800100000")), "a")
        option = bytes.fromhex("0102030100000000")
        self.bench.check = False
        self.arrives(self.shim(bytes.fromhex("0200655800100000") + option), "a")
        self.drops(self.shim(bytes.fromhex("0240655800100000") + bytes.fromhex("0102830100000000")), "wire", "malformed")

    def test_what_is_not_ours(self):
        """A version that is not 0, control messages, payload that is not Ethernet."""
        for shim in ("4000655800100000", "c000655800100000", "0080655800100000", "0000080000100000", "000086dd00100000", "3f00655800100000"):
            self.drops(self.shim(bytes.fromhex(shim)), "wire", "malformed")


class OuterV6(Case):
    """Hosts that speak IPv6 among each other."""
    HOST6, ME6 = "2001:db8::2", "2001:db8::1"
    options = ("--wire", f"address={ME6}/64;device=fake")

    def setUp(self):
        super().setUp()
        self.put("host", "h2", address=self.HOST6)
        self.wire(Ether(src=HOST_MAC, dst=WIRE_MAC) / IPv6(src=self.HOST6, dst=self.ME6, hlim=255) / ICMPv6ND_NA(
            tgt=self.HOST6, S=1) / ICMPv6NDOptDstLLAddr(lladdr=HOST_MAC))

    def learn(self, address, mac, wire=""):
        pass

    def test_byte_layout(self):
        """RFC 6935, 6936: no UDP checksum in a tunnel over IPv6 either."""
        sent = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"payload"), tos=2)
        raw = self.send("a", sent).out[0].data
        sport = int.from_bytes(raw[54:56], "big")
        expected = Ether(src=WIRE_MAC, dst=HOST_MAC) / IPv6(src=self.ME6, dst=self.HOST6, hlim=64, tc=2) / UDP(
            sport=sport, dport=4789, chksum=0) / VXLAN(vni=VNI, flags="Instance") / sent
        self.assertEqual(raw.hex(), bytes(expected).hex())

    def test_in(self):
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)
        for checksum in (0, None):
            frame = Ether(src=HOST_MAC, dst=WIRE_MAC) / IPv6(src=self.HOST6, dst=self.ME6) / UDP(sport=9, dport=4789, chksum=checksum) / VXLAN(
                vni=VNI, flags="Instance") / inner
            self.assertEqual([o.port for o in self.wire(frame).out], ["a"])

    def test_mtu(self):
        """Outer headers are 20 bytes more."""
        told = self.drops_with(self.udp("a", "c", 1, 2, b"x" * 1403, flags="DF"), "too_big", "a")[0]
        self.assertEqual(told[ICMP].nexthopmtu, 1430)
        self.assertEqual([o.port for o in self.udp("a", "c", 1, 2, b"x" * 1402, flags="DF").out], ["wire"])


class TwoCards(Case):
    """Two benches, each the other's host: what one sends is what the other takes."""

    def setUp(self):
        super().setUp()
        self.other = Bench("--wire", f"address={HOST_IP}/24;gateway={ROUTER_IP};device=fake")
        self.addCleanup(self.other.close)
        mine = dict(self.objects)
        changes = [self.object("host", "h1", address=WIRE_IP)]
        for (kind, name), fields in mine.items():
            if kind == "host":
                continue
            fields = dict(fields)
            if kind == "eni":
                fields["host"] = "h1" if ENIS[name].here else None
            changes.append(self.object(kind, name, **fields))
        self.other.apply(changes, reset=True)
        self.objects = mine
        for name in ("c", "e"):
            self.other.do("attach " + name)
        self.other.do("wire " + bytes(Ether(src=WIRE_MAC, dst=WIRE_MAC) / ARP(op=2, hwsrc=WIRE_MAC, psrc=WIRE_IP, hwdst=WIRE_MAC,
                                                                            pdst=HOST_IP)).hex())
        # Both fake wires have the same MAC: of the frames only that is put right.
        self.learn(HOST_IP, WIRE_MAC)

    def across(self, answer, bench):
        self.assertEqual([o.port for o in answer.out], ["wire"] * len(answer.out), repr(answer))
        self.assertTrue(answer.out, repr(answer))
        return [bench.answer("wire " + o.data.hex()) for o in answer.out]

    def test_there_and_back(self):
        for v6 in (False, True):
            for to in "ce":
                sent = self.packet("a", to, UDP(sport=5, dport=6) / Raw(b"x" * 100), v6)
                got, = self.across(self.send("a", sent), self.other)
                self.assertEqual(([o.port for o in got.out], bytes(got.out[0].frame.payload)), ([to], bytes(sent.payload)))
                reply = self.packet(to, "a", UDP(sport=6, dport=5), v6)
                back, = self.across(self.other.answer(f"eni {to} {bytes(reply).hex()}"), self.bench)
                self.assertEqual([o.port for o in back.out], ["a"])

    def test_path_mtu_end_to_end(self):
        """c's guest has 1300; a learns it by its card, without anybody's setting, and then it fits."""
        self.other.do("attach c - 1300")
        big = self.packet("a", "c", UDP(sport=5, dport=6) / Raw(b"x" * 1373), flags="DF")
        refused, = self.across(self.send("a", big), self.other)
        self.assertEqual([why for _, why in refused.dropped], ["too_big"])
        told, = self.across(refused, self.bench)
        self.assertEqual(([o.port for o in told.out], told.out[0].frame[ICMP].nexthopmtu, told.out[0].frame[IP].dst), (["a"], 1300, A.ip))
        fits = self.packet("a", "c", UDP(sport=5, dport=6) / Raw(b"x" * 1272), flags="DF")
        got, = self.across(self.send("a", fits), self.other)
        self.assertEqual([o.port for o in got.out], ["c"])


if __name__ == "__main__":
    tap.main()
