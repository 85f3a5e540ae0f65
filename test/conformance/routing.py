#!/usr/bin/python3
"""vpc.md: route tables (LPM, v4 and v6), peering, routes through an ENI, blackholes; overlapping tenants."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403

A, B = ENIS["a"], ENIS["b"]


class Routes(Case):
    def test_local_is_implied(self):
        self.arrives(self.udp("a", "d"), "d")
        self.arrives(self.udp("a", "d", v6=True), "d")

    def test_nobody_there(self):
        self.drops(self.udp("a", "10.0.1.99"), "a", "no_mapping")
        self.drops(self.udp("a", "10.0.77.1"), "a", "no_mapping")
        self.drops(self.udp("a", "fd00:1:0:1::99"), "a", "no_mapping")

    def test_no_route(self):
        self.drops(self.udp("a", OUTSIDE), "a", "no_route")
        self.drops(self.go("a", "2001:db8::1", UDP(sport=1, dport=2), True), "a", "no_route")

    def test_blackhole(self):
        self.routes("s", ("10.0.2.0/24", "blackhole"), ("fd00:1:0:2::/64", "blackhole"))
        self.drops(self.udp("a", "d"), "a", "no_route")
        self.drops(self.udp("a", "d", v6=True), "a", "no_route")
        self.arrives(self.udp("a", "b"), "b")

    def test_longest_prefix(self):
        """In whatever order they are listed."""
        routes = [(ANY4, "internet"), ("10.0.2.0/24", "blackhole"), ("10.0.2.11/32", "eni", "b"), ("10.0.2.8/29", "blackhole")]
        for order in (routes, routes[::-1]):
            self.routes("s", *order)
            self.drops(self.udp("a", "d"), "a", "no_route")
            frame = self.arrives(self.udp_to_router("a", "e"), "b")
            self.assertEqual(frame[IP].dst, ENIS["e"].ip)

    def udp_to_router(self, source, to, v6=False):
        self.put("eni", "b", source_dest_check=False)
        return self.udp(source, to, v6=v6)

    def test_longest_prefix_v6(self):
        self.routes("s", ("fd00:1:0:2::/64", "blackhole"), ("fd00:1:0:2::11/128", "eni", "b"), (ANY6, "internet"))
        self.drops(self.udp("a", "d", v6=True), "a", "no_route")
        self.arrives_via(self.udp_to_router("a", "e", True), "b")
        self.drops(self.go("a", "2001:db8::1", UDP(sport=1, dport=2), True), "a", "no_public_address")

    def arrives_via(self, answer, router):
        frame = self.arrives(answer, router)
        self.assertEqual((frame.src, frame.dst), (GATEWAY_MAC, self.enis[router].mac))
        return frame

    def test_v4_default_is_not_v6s(self):
        self.routes("s", (ANY4, "blackhole"))
        self.drops(self.go("a", "2001:db8::1", UDP(sport=1, dport=2), True), "a", "no_route")
        self.arrives(self.udp("a", "d", v6=True), "d")

    def test_own_subnets_table(self):
        """A table is its subnet's: the neighbour subnet is not concerned."""
        self.routes("s", ("10.0.1.0/24", "blackhole"))
        self.arrives(self.udp("d", "a", 1, 2), "a")

    def test_many_routes(self):
        blocks = [f"172.{16 + i // 256}.{i % 256}.0/24" for i in range(4000)]
        self.routes("s", *[(b, "blackhole") for b in blocks], ("172.16.0.0/12", "eni", "b"))
        self.put("eni", "b", source_dest_check=False)
        self.drops(self.udp("a", "172.20.1.9"), "a", "no_route")
        self.arrives_via(self.udp("a", "172.31.250.9"), "b")

    def test_macs(self):
        """A neighbour is seen by its own MAC, who is routed to by the gateway's."""
        frame = self.arrives(self.udp("a", "b"), "b")
        self.assertEqual((frame.src, frame.dst), (A.mac, B.mac))
        frame = self.arrives(self.udp("a", "d"), "d")
        self.assertEqual((frame.src, frame.dst), (GATEWAY_MAC, ENIS["d"].mac))
        frame = self.arrives(self.udp("a", "e"), "e")
        self.assertEqual((frame.src, frame.dst), (GATEWAY_MAC, ENIS["e"].mac))
        frame = self.arrives(self.udp("a", "c"), "c")
        self.assertEqual((frame.src, frame.dst), (A.mac, ENIS["c"].mac))

    def test_hop_limit_inside_the_vpc(self):
        """As AWS: routers of a VPC do not count; what is sent with 1 arrives with 1."""
        for v6 in (False, True):
            field = {"hlim": 1} if v6 else {"ttl": 1}
            for to in ("b", "d", "e"):
                frame = self.arrives(self.udp("a", to, 1, 2, b"", v6, **field), to)
                self.assertEqual(frame.payload.hlim if v6 else frame.payload.ttl, 1)


class Router(Case):
    """b forwards between s and the rest of the world, which is 172.16.0.0/12."""

    def setUp(self):
        super().setUp()
        self.put("eni", "b", source_dest_check=False)
        self.routes("s", ("172.16.0.0/12", "eni", "b"))
        self.routes("t", ("172.16.0.0/12", "eni", "b"))

    def test_to_it(self):
        for source in ("a", "d"):
            frame = self.arrives(self.udp(source, "172.16.0.9", 5, 6), "b")
            self.assertEqual((frame.src, frame.dst, frame[IP].src, frame[IP].dst),
                             (GATEWAY_MAC, B.mac, self.enis[source].ip, "172.16.0.9"))

    def test_and_back(self):
        self.arrives(self.udp("a", "172.16.0.9", 5, 6), "b")
        back = Ether(src=B.mac, dst=A.mac) / IP(src="172.16.0.9", dst=A.ip) / UDP(sport=6, dport=5)
        self.group("client", EGRESS, "a")
        frame = self.arrives(self.send("b", back), "a")
        self.assertEqual(frame[IP].src, "172.16.0.9")
        back[UDP].dport = 7
        self.drops(self.send("b", back), "a", "security_group_in")

    def test_from_another_host(self):
        """e's card sends it to b's MAC."""
        inner = Ether(src=GATEWAY_MAC, dst=B.mac) / IP(src=ENIS["e"].ip, dst="172.16.0.9") / UDP(sport=5, dport=6)
        self.arrives(self.tunnelled(inner), "b")

    def test_remote_router(self):
        self.put("eni", "c", source_dest_check=False)
        self.routes("s", ("172.16.0.0/12", "eni", "c"))
        answer = self.udp("a", "172.16.0.9", 5, 6)
        self.assertEqual([o.port for o in answer.out], ["wire"])
        inner = self.inner(answer.out[0].frame)
        self.assertEqual((inner.dst, inner.src, inner[IP].dst), (ENIS["c"].mac, GATEWAY_MAC, "172.16.0.9"))

    def test_router_with_its_check_on(self):
        self.put("eni", "b", source_dest_check=True)
        self.drops(self.udp("a", "172.16.0.9"), "b", "no_mapping")

    def test_no_loop(self):
        """The router's own table leads to itself."""
        self.drops(self.udp("b", "172.16.0.9"), "b", "no_mapping")

    def test_router_without_attachment(self):
        self.bench.do("detach b")
        self.drops(self.udp("a", "172.16.0.9"), "b", "not_attached")

    def test_groups_of_who_is_behind(self):
        """A rule by group is about who has the address, not about the router."""
        self.group("web", OPEN, "b")
        self.group("db", EGRESS + [rule(group="web")], "a")
        back = Ether(src=B.mac, dst=A.mac) / IP(src="172.16.0.9", dst=A.ip) / UDP(sport=6, dport=5)
        self.drops(self.send("b", back), "a", "security_group_in")
        self.arrives(self.udp("b", "a"), "a")


class Peering(Case):
    """w is another VPC, with x here and y on h2."""

    def setUp(self):
        super().setUp()
        self.x, self.y = (Eni(n, f"02:00:00:00:08:{i:02x}", f"10.8.1.{i}", f"fd00:8:0:1::{i}", "ws", n == "x") for n, i in (("x", 10), ("y", 11)))
        self.enis.update(x=self.x, y=self.y)
        self.apply([self.object("vpc", "w", cidrs=["10.8.0.0/16", "fd00:8::/48"], vni=5000),
                    self.object("security-group", "wopen", vpc="w", rules=OPEN),
                    self.object("subnet", "ws", vpc="w", cidr="10.8.1.0/24", cidr6="fd00:8:0:1::/64"),
                    self.object("peering", "p", vpc="v", peer_vpc="w"),
                    self.eni_object(self.x, security_groups=["wopen"]), self.eni_object(self.y, security_groups=["wopen"])])
        self.bench.do("attach x")

    def both(self):
        self.routes("s", ("10.8.0.0/16", "peering", "p"), ("fd00:8::/48", "peering", "p"))
        self.routes("ws", ("10.0.0.0/16", "peering", "p"), ("fd00:1::/48", "peering", "p"))

    def test_not_without_a_route(self):
        self.drops(self.udp("a", "x"), "a", "no_route")

    def test_one_way_only(self):
        """It arrives, and cannot be answered."""
        self.routes("s", ("10.8.0.0/16", "peering", "p"))
        self.arrives(self.udp("a", "x", 5, 6), "x")
        self.drops(self.udp("x", "a", 6, 5), "x", "no_route")
        self.drops(self.udp("x", "a", 7, 8), "x", "no_route")

    def test_the_way_back_comes_later(self):
        self.routes("s", ("10.8.0.0/16", "peering", "p"))
        self.arrives(self.udp("a", "x", 5, 6), "x")
        self.drops(self.udp("x", "a", 6, 5), "x", "no_route")
        self.both()
        self.arrives(self.udp("x", "a", 6, 5), "a")

    def test_both_ways(self):
        self.both()
        for v6 in (False, True):
            frame = self.arrives(self.udp("a", "x", 5, 6, v6=v6), "x")
            self.assertEqual((frame.src, frame.dst), (GATEWAY_MAC, self.x.mac))
            self.arrives(self.udp("x", "a", 6, 5, v6=v6), "a")

    def test_to_the_other_vpcs_vni(self):
        self.both()
        answer = self.udp("a", "y", 5, 6)
        inner = self.inner(answer.out[0].frame, vni=5000)
        self.assertEqual((inner.src, inner.dst), (GATEWAY_MAC, self.y.mac))
        back = Ether(src=GATEWAY_MAC, dst=A.mac) / IP(src=self.y.ip, dst=A.ip) / UDP(sport=6, dport=5)
        self.arrives(self.tunnelled(back), "a")

    def test_not_transitive(self):
        """v - w - u: v does not reach u, whatever routes v has."""
        self.both()
        self.apply([self.object("vpc", "u", cidrs=["10.9.0.0/16"], vni=6000), self.object("peering", "q", vpc="w", peer_vpc="u"),
                    self.object("subnet", "us", vpc="u", cidr="10.9.1.0/24"),
                    self.object("eni", "z", subnet="us", mac="02:00:00:00:09:0a", addresses=["10.9.1.10"], security_groups=[])])
        self.routes("s", ("10.8.0.0/16", "peering", "p"), ("10.9.0.0/16", "peering", "p"))
        self.drops(self.udp("a", "10.9.1.10"), "a", "no_mapping")
        self.refuses(lambda: [self.object("route-table", "table-s", vpc="v", routes=[
            {"destination": "10.9.0.0/16", "target": "peering", "id": "q"}])], "does not lead out")

    def test_taken_away(self):
        self.both()
        self.arrives(self.udp("a", "x", 5, 6), "x")
        self.routes("s")
        self.drops(self.udp("a", "x", 5, 6), "a", "no_route")

    def test_overlap_is_refused(self):
        self.apply([self.object("vpc", "o", cidrs=["10.0.128.0/17"], vni=7000)])
        self.refuses(lambda: [self.object("peering", "bad", vpc="v", peer_vpc="o")], "overlap")

    def test_groups_at_both_ends(self):
        self.both()
        self.apply([self.object("security-group", "wopen", rules=EGRESS)])
        self.drops(self.udp("a", "x"), "x", "security_group_in")
        self.arrives(self.udp("x", "a"), "a")


class Tenants(Case):
    """w has the same blocks, addresses and even MACs as v. They never meet."""

    def setUp(self):
        super().setUp()
        self.apply([self.object("vpc", "w", cidrs=["10.0.0.0/16", "fd00:1::/48"], vni=5000),
                    self.object("security-group", "wopen", vpc="w", rules=OPEN),
                    self.object("subnet", "ws", vpc="w", cidr="10.0.1.0/24", cidr6="fd00:1:0:1::/64")] + [
            self.object("eni", "w" + n, subnet="ws", mac=ENIS[n].mac, addresses=[ENIS[n].ip, ENIS[n].ip6], security_groups=["wopen"],
                        **({} if ENIS[n].here else {"host": "h2"})) for n in "abc"])
        for name in ("wa", "wb"):
            self.bench.do("attach " + name)

    def test_on_one_card(self):
        for v6 in (False, True):
            frame = self.packet("a", "b", UDP(sport=5, dport=6), v6)
            self.assertEqual([o.port for o in self.send("a", frame).out], ["b"])
            self.assertEqual([o.port for o in self.send("wa", frame).out], ["wb"])

    def test_over_the_overlay(self):
        frame = self.packet("a", "c", UDP(sport=5, dport=6))
        self.inner(self.send("a", frame).out[0].frame, VNI)
        self.inner(self.send("wa", frame).out[0].frame, 5000)
        inner = Ether(src=ENIS["c"].mac, dst=A.mac) / IP(src=ENIS["c"].ip, dst=A.ip) / UDP(sport=6, dport=5)
        self.assertEqual([o.port for o in self.tunnelled(inner, vni=VNI).out], ["a"])
        self.assertEqual([o.port for o in self.tunnelled(inner, vni=5000).out], ["wa"])

    def test_state_is_apart(self):
        """A flow of one lets nobody of the other in."""
        self.apply([self.object("security-group", "wopen", rules=EGRESS)])
        self.arrives(self.udp("a", "c", 5, 6), "c")
        inner = Ether(src=ENIS["c"].mac, dst=A.mac) / IP(src=ENIS["c"].ip, dst=A.ip) / UDP(sport=6, dport=5)
        answer = self.tunnelled(inner, vni=5000)
        self.assertEqual((answer.out, answer.dropped), ([], [("wire", "security_group_in")]))
        self.arrives(self.tunnelled(inner, vni=VNI), "a")

    def test_fragments_are_apart(self):
        def fragment(offset, flags):
            return Ether(src=A.mac, dst=B.mac) / IP(src=A.ip, dst=B.ip, id=77, proto=17, frag=offset, flags=flags) / Raw(
                (bytes(UDP(sport=5, dport=6, len=24)) if offset == 0 else b"") + b"x" * 8)
        self.arrives(self.send("a", fragment(0, "MF")), "b")
        self.drops(self.send("wa", fragment(2, 0)), "wa", "fragment_without_first")
        self.arrives(self.send("a", fragment(2, 0)), "b")

    def test_only_in_one(self):
        """What only one of them has, the other one's guests do not reach."""
        self.drops(self.send("wa", self.packet("a", "d", UDP(sport=5, dport=6))), "wa", "no_mapping")

    def test_arp(self):
        ask = Ether(src=A.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A.mac, psrc=A.ip, pdst="10.0.1.70")
        self.add_eni(eni("only", 1, 70))
        self.answered(self.send("a", ask), "a")
        self.silent(self.send("wa", ask))

    def test_unknown_vni_and_mac(self):
        inner = Ether(src=ENIS["c"].mac, dst=A.mac) / IP(src=ENIS["c"].ip, dst=A.ip) / UDP(sport=6, dport=5)
        for vni in (0, 1, VNI + 1, (1 << 24) - 1):
            self.drops(self.tunnelled(inner, vni=vni), "wire", "unknown_vni")
        inner.dst = "02:00:00:00:01:99"
        self.drops(self.tunnelled(inner), "wire", "unknown_vni")
        inner.dst = ENIS["c"].mac  # on the other host: it would come back
        self.drops(self.tunnelled(inner), "wire", "unknown_vni")
        inner.dst = GATEWAY_MAC
        self.drops(self.tunnelled(inner), "wire", "unknown_vni")

    def test_outer_source(self):
        """Only hosts of ours speak for others."""
        inner = Ether(src=ENIS["c"].mac, dst=A.mac) / IP(src=ENIS["c"].ip, dst=A.ip) / UDP(sport=6, dport=5)
        for source in ("192.0.2.3", WIRE_IP, ROUTER_IP, "8.8.8.8", "10.0.1.12"):
            self.drops(self.tunnelled(inner, src=source), "wire", "overlay_source")
        self.arrives(self.tunnelled(inner), "a")
        self.put("host", "h2", address="192.0.2.3")
        self.drops(self.tunnelled(inner), "wire", "overlay_source")
        self.arrives(self.tunnelled(inner, src="192.0.2.3"), "a")

    def test_vni_changes(self):
        inner = Ether(src=ENIS["c"].mac, dst=A.mac) / IP(src=ENIS["c"].ip, dst=A.ip) / UDP(sport=6, dport=5)
        self.put("vpc", "v", vni=4444)
        self.drops(self.tunnelled(inner), "wire", "unknown_vni")
        self.arrives(self.tunnelled(inner, vni=4444), "a")
        self.inner(self.send("a", self.packet("a", "c", UDP(sport=5, dport=6))).out[0].frame, 4444)


if __name__ == "__main__":
    tap.main()
