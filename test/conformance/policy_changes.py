#!/usr/bin/python3
"""vpc.md: "live flows are revalidated by default ..., `grandfather` keeps them until they end; a change is atomic, all or nothing"."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403

A, B = ENIS["a"], ENIS["b"]
WEB = [rule(protocol="tcp", ports="80")]


class Revalidated(Case):
    def test_rule_taken_away(self):
        """Whatever comes next of the connection, from either side, is judged by the new rules."""
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "security_group_in")
        self.drops(self.tcp("b", "a", 80, 40000, "A", 5001, 1001), "b", "tcp_not_syn")

    def test_answer_first(self):
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.drops(self.tcp("b", "a", 80, 40000, "A", 5001, 1001), "b", "security_group_in")

    def test_egress_rule_taken_away(self):
        self.group("g", OPEN, "a")
        self.connect("a", "b")
        self.put("security-group", "g", rules=[rule()])
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "a", "security_group_out")

    def test_still_allowed_goes_on(self):
        """By another rule than before: state and windows are kept."""
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS + [rule(protocol="tcp", ports="1-100")])
        self.arrives(self.tcp("a", "b", 40000, 80, "PA", 1001, 5001, b"x"), "b")
        self.drops(self.tcp("a", "b", 40000, 80, "PA", 1001 + (1 << 31), 5001, b"x"), "a", "tcp_invalid")
        self.assertEqual({f["state"] for f in self.flows()}, {"established"})

    def test_others_are_not_touched(self):
        """A change of b's group sends nobody else's packets through the slow path."""
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "c")
        before = self.counters("a")["slow_path"]
        self.put("security-group", "g", rules=EGRESS)
        self.arrives(self.tcp("a", "c", 40000, 80, "A", 1001, 5001), "c")
        self.assertEqual(self.counters("a")["slow_path"], before)

    def test_group_exchanged(self):
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.group("h", EGRESS, "b")
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "security_group_in")

    def test_closed_and_opened_live(self):
        """Closed in the middle, opened again: what is not a SYN begins nothing."""
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "security_group_in")
        self.put("security-group", "g", rules=EGRESS + WEB)
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "tcp_not_syn")
        self.connect("a", "b")

    def test_closed_and_opened_while_nobody_sent(self):
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.put("security-group", "g", rules=EGRESS + WEB)
        self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")

    def test_udp_and_echo(self):
        self.group("g", OPEN, "a")
        self.arrives(self.udp("c", "a", 1, 2), "a")
        self.arrives(self.ping("c", "a", 3), "a")
        self.put("security-group", "g", rules=EGRESS)
        self.drops(self.udp("c", "a", 1, 2), "a", "security_group_in")
        self.drops(self.ping("c", "a", 3), "a", "security_group_in")


class Grandfathered(Case):
    def setUp(self):
        super().setUp()
        self.group("g", EGRESS + WEB, "b", grandfather=True)

    def test_keeps_until_it_ends(self):
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.arrives(self.tcp("a", "b", 40000, 80, "PA", 1001, 5001, b"more"), "b")
        self.arrives(self.tcp("b", "a", 80, 40000, "A", 5001, 1005), "a")
        self.drops(self.tcp("a", "b", 40001, 80, "S"), "b", "security_group_in")
        self.arrives(self.tcp("a", "b", 40000, 80, "RA", 1005, 5001), "b")
        self.drops(self.tcp("a", "b", 40000, 80, "S", 9000), "b", "security_group_in")

    def test_ends_by_time(self):
        self.connect("c", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.advance(352)
        self.drops(self.tcp("c", "b", 40000, 80, "A", 1001, 5001), "b", "tcp_not_syn")

    def test_through_several_changes(self):
        self.connect("a", "b")
        for rules in (EGRESS, EGRESS + [rule(protocol="udp")], [], EGRESS):
            self.put("security-group", "g", rules=rules)
            self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")

    def test_taken_back(self):
        """The word is taken back: all that only it kept is cut."""
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS)
        self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")
        self.put("security-group", "g", grandfather=False)
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "security_group_in")

    def test_comes_too_late(self):
        """Said in the same change that takes the rule: what was let in before was let in without that promise."""
        self.put("security-group", "g", grandfather=False)
        self.connect("a", "b")
        self.put("security-group", "g", rules=EGRESS, grandfather=True)
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "security_group_in")

    def test_leaving_the_group(self):
        """What it let in, it keeps until it ends, also for an ENI that has left it; a group that is gone keeps nothing."""
        self.connect("a", "b")
        self.group("h", EGRESS, "b")
        self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")
        self.drops(self.tcp("a", "b", 40001, 80, "S"), "b", "security_group_in")
        self.apply([self.gone("security-group", "g")])
        self.group("h", EGRESS + [rule(protocol="udp")])
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b", "security_group_in")

    def test_routes_are_followed_all_the_same(self):
        self.group("g", OPEN, "a", grandfather=True)
        self.connect("a", "d")
        self.put("security-group", "g", rules=[])
        self.arrives(self.tcp("a", "d", 40000, 80, "A", 1001, 5001), "d")
        self.routes("s", ("10.0.2.0/24", "blackhole"))
        self.drops(self.tcp("a", "d", 40000, 80, "A", 1001, 5001), "a", "security_group_out")


class Atomic(Case):
    def test_a_refused_change_changes_nothing(self):
        """The good part of a change that is refused is not done either."""
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        before = self.counters("b")["slow_path"]
        self.refuses(lambda: [
            self.object("security-group", "g", rules=EGRESS), self.object("eni", "new", subnet="s", mac="02:00:00:00:01:40",
                                                                          addresses=["10.0.1.64"], security_groups=[]),
            self.object("eni", "bad", subnet="s", mac=A.mac, addresses=[A.ip], security_groups=[])])
        self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")
        self.arrives(self.tcp("a", "b", 40001, 80, "S"), "b")
        self.drops(self.udp("a", "10.0.1.64"), "a", "no_mapping")
        self.assertEqual(self.counters("b")["slow_path"], before + 1)

    def test_what_is_refused(self):
        e = dict(subnet="s", mac="02:00:00:00:09:09", addresses=["10.0.1.99"], security_groups=["open"])
        for kind, name, fields, words in (
                ("eni", "x", dict(e, mac=A.mac), "mac"), ("eni", "x", dict(e, addresses=[B.ip]), "10.0.1.11"),
                ("eni", "x", dict(e, addresses=["10.0.2.5"]), "10.0.2.5"), ("eni", "x", dict(e, addresses=["10.0.1.1"]), "gateway"),
                ("eni", "x", dict(e, addresses=["10.0.1.255"]), "broadcast"), ("eni", "x", dict(e, mac=GATEWAY_MAC), "gateway"),
                ("eni", "x", dict(e, mac="01:00:00:00:00:01"), "mac"), ("eni", "x", dict(e, security_groups=["nobody"]), ""),
                ("eni", "x", dict(e, subnet="nobody"), ""), ("eni", "x", dict(e, host="nobody"), ""),
                ("eni", "x", dict(e, nonsense=1), "nonsense"), ("subnet", "x", dict(vpc="v", cidr="10.0.1.128/25"), "overlaps"),
                ("subnet", "x", dict(vpc="v", cidr="10.1.0.0/24"), "inside"),
                ("subnet", "x", dict(vpc="v", cidr="10.0.9.0/29"), "length"),
                ("vpc", "x", dict(cidrs=["10.0.0.0/16"], vni=VNI), "vni"), ("vpc", "x", dict(cidrs=["10.0.0.1/16"], vni=9), "cidrs"),
                ("vpc", "x", dict(cidrs=[], vni=9), "cidrs"), ("vpc", "x", dict(cidrs=["169.254.0.0/16"], vni=9), "reserved"),
                ("vpc", "x", dict(cidrs=["10.0.0.0/16"], vni=1 << 24), "vni"),
                ("route-table", "x", dict(vpc="v", routes=[{"destination": "10.0.0.0/16", "target": "blackhole"}]), "implied"),
                ("route-table", "x", dict(vpc="v", routes=[{"destination": ANY4, "target": "internet"}] * 2), "twice"),
                ("route-table", "x", dict(vpc="v", routes=[{"destination": ANY4, "target": "nat", "id": "nobody"}]), ""),
                ("peering", "x", dict(vpc="v", peer_vpc="v"), "itself"), ("eip", "x", dict(address="203.0.113.1", eni="nobody"), ""),
                ("eip", "x", dict(address="203.0.113.1", eni="a", private_address="10.0.1.77"), "private_address"),
                ("host", "x", dict(address=HOST_IP), ""), ("host", "x", dict(address="224.0.0.1"), "")):
            with self.subTest(kind=kind, fields=fields):
                self.refuses(lambda: [self.object(kind, name, **fields)], words)

    def test_what_is_referred_to_stays(self):
        for kind, name in (("vpc", "v"), ("subnet", "s"), ("security-group", "open"), ("host", "h2")):
            self.refuses([{"kind": kind, "id": ident(name), "object": None}], "refers")

    def test_all_at_once(self):
        """A rule moves from one group to another: at no moment both or neither."""
        self.group("g", EGRESS + WEB)
        self.group("h", EGRESS)
        self.put("eni", "b", security_groups=["g", "h"])
        self.connect("a", "b")
        self.apply([self.object("security-group", "g", rules=EGRESS), self.object("security-group", "h", rules=EGRESS + WEB)])
        self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")

    def test_order_within_a_change_does_not_matter(self):
        """What is referred to may come later in the same change."""
        self.apply([self.object("eni", "n", subnet="n", mac="02:00:00:00:07:0a", addresses=["10.0.7.10"], security_groups=["ng"]),
                    self.object("subnet", "n", vpc="v", cidr="10.0.7.0/24"), self.object("security-group", "ng", vpc="v", rules=OPEN)])
        self.bench.do("attach n")
        frame = Ether(src=A.mac, dst=GATEWAY_MAC) / IP(src=A.ip, dst="10.0.7.10") / UDP(sport=1, dport=2)
        self.assertEqual([o.port for o in self.send("a", frame).out], ["n"])

    def test_addresses_exchanged_at_once(self):
        self.apply([self.object("eni", "a", addresses=[B.ip]), self.object("eni", "b", addresses=[A.ip])])
        frame = Ether(src=A.mac, dst=B.mac) / IP(src=B.ip, dst=A.ip) / UDP(sport=1, dport=2)
        self.assertEqual([o.port for o in self.send("a", frame).out], ["b"])

    def test_reset(self):
        """Everything anew, with the same again: nothing is cut (control sends it after each connection)."""
        self.connect("a", "b")
        before = self.counters("a")["slow_path"]
        self.apply([self.object(kind, name) for kind, name in self.objects], reset=True)
        self.arrives(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "b")
        self.assertEqual(self.counters("a")["slow_path"], before)

    def test_eni_gone(self):
        """Its flows end with it, its neighbours' packets find nobody; one that comes after it, even with its address, has none of it."""
        self.group("g", EGRESS + WEB, "b")
        self.connect("a", "b")
        self.apply([self.gone("eni", "b")])
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "a", "no_mapping")
        self.apply([self.object("eni", "b2", subnet="s", mac=B.mac, addresses=[B.ip, B.ip6], security_groups=["g"])])
        self.bench.do("attach b2")
        self.drops(self.tcp("a", "b", 40000, 80, "A", 1001, 5001), "a", "tcp_not_syn")
        self.drops(self.tunnelled(Ether(src=ENIS["c"].mac, dst=B.mac) / IP(src=A.ip, dst=B.ip) /
                                  TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001)), "b2", "tcp_not_syn")

    def test_eni_moves_to_another_host(self):
        """And back: a's packets follow it with the next one."""
        self.connect("a", "b")
        self.put("eni", "b", host="h2")
        frame = self.tcp("a", "b", 40000, 80, "A", 1001, 5001)
        self.assertEqual([o.port for o in frame.out], ["wire"])
        self.assertEqual(self.inner(frame.out[0].frame).dst, B.mac)

    def test_arrival_of_a_neighbour(self):
        """A flow to nobody finds him when he comes."""
        self.drops(self.udp("a", "10.0.1.99"), "a", "no_mapping")
        self.add_eni(eni("n", 1, 99))
        self.arrives(self.udp("a", "n"), "n")


class Followed(Case):
    """What a live flow was decided by has changed: its next packet goes by the new."""

    def setUp(self):
        super().setUp()
        self.connect("a", "c")

    def next_frame(self, data=b"x"):
        answer = self.tcp("a", "c", 40000, 80, "A", 1001, 5001, data)
        self.assertEqual(([o.port for o in answer.out], answer.dropped), (["wire"], []), repr(answer))
        return answer.out[0].frame

    def test_host_of_the_other_end(self):
        self.apply([self.object("host", "h3", address="192.0.2.3"), self.object("eni", "c", host="h3")])
        self.learn("192.0.2.3", "02:00:00:00:02:03")
        frame = self.next_frame()
        self.assertEqual((frame.dst, frame[IP].dst), ("02:00:00:00:02:03", "192.0.2.3"))

    def test_address_of_the_host(self):
        self.put("host", "h2", address="192.0.2.4")
        self.learn("192.0.2.4", "02:00:00:00:02:04")
        self.assertEqual(self.next_frame()[IP].dst, "192.0.2.4")

    def test_it_comes_to_this_card(self):
        self.put("eni", "c", host=None)
        self.bench.do("attach c")
        answer = self.tcp("a", "c", 40000, 80, "S", 9000)
        self.assertEqual([o.port for o in answer.out], ["c"])

    def test_mac_of_the_other_end(self):
        self.put("eni", "c", mac="02:00:00:00:01:cc")
        packet = self.packet("a", "c", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001))
        packet.dst = GATEWAY_MAC
        self.assertEqual(self.inner(self.send("a", packet).out[0].frame).dst, "02:00:00:00:01:cc")

    def test_encapsulation(self):
        self.put("vpc", "v", encapsulation="geneve")
        frame = self.next_frame()
        self.assertTrue(GENEVE in frame and frame[UDP].dport == 6081 and frame[GENEVE].vni == VNI)

    def test_mtu(self):
        self.put("vpc", "v", mtu=1300)
        big = self.packet("a", "c", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001) / Raw(b"x" * 1300), flags="DF")
        self.assertEqual(self.drops_with(self.send("a", big), "too_big", "a")[0][ICMP].nexthopmtu, 1300)

    def test_route(self):
        self.connect("a", "e", 40001)
        self.put("eni", "b", source_dest_check=False)
        self.routes("s", ("10.0.2.0/24", "eni", "b"))
        answer = self.tcp("a", "e", 40001, 80, "A", 1001, 5001)
        self.assertEqual(([o.port for o in answer.out], answer.dropped), ([], [("a", "tcp_not_syn")]))  # b has not seen its SYN
        answer = self.udp("a", "e", 5, 6)
        self.assertEqual([o.port for o in answer.out], ["b"])

    def test_who_has_the_address(self):
        """c's address is another's now: the flow is not his, but its packets are for him to refuse."""
        self.apply([self.gone("eni", "c"), self.object("eni", "c2", subnet="s", mac="02:00:00:00:01:c2", addresses=[ENIS["c"].ip],
                                                      security_groups=["open"], host="h2")])
        packet = self.packet("a", "c", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001))
        packet.dst = GATEWAY_MAC
        self.assertEqual(self.inner(self.send("a", packet).out[0].frame).dst, "02:00:00:00:01:c2")


if __name__ == "__main__":
    tap.main()
