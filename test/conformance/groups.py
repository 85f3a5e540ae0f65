#!/usr/bin/python3
"""vpc.md: stateful security groups: rules by CIDR, port range, protocol, ICMP type, and by other group."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6Unknown  # noqa: E402,F401

A, B = ENIS["a"], ENIS["b"]


class Stateful(Case):
    def test_reply_passes_without_a_rule(self):
        """b may only answer, a may only ask."""
        self.group("server", [rule(protocol="udp", ports="53")], "b")
        self.group("client", [rule("egress", "udp", ports="53")], "a")
        self.arrives(self.udp("a", "b", 40000, 53), "b")
        self.arrives(self.udp("b", "a", 53, 40000), "a")

    def test_unsolicited_does_not(self):
        self.group("client", EGRESS, "a")
        self.drops(self.udp("b", "a", 53, 40000), "a", "security_group_in")
        self.arrives(self.udp("a", "b", 40000, 53), "b")
        self.drops(self.udp("b", "a", 53, 40001), "a", "security_group_in")
        self.drops(self.udp("b", "a", 54, 40000), "a", "security_group_in")
        self.drops(self.udp("d", "a", 53, 40000), "a", "security_group_in")

    def test_reply_over_the_overlay(self):
        self.group("client", EGRESS, "a")
        self.drops(self.udp("c", "a", 53, 40000), "a", "security_group_in")
        self.arrives(self.udp("a", "c", 40000, 53), "c")
        self.arrives(self.udp("c", "a", 53, 40000), "a")

    def test_reply_ends_with_the_flow(self):
        self.group("client", EGRESS, "a")
        self.arrives(self.udp("a", "b", 40000, 53), "b")
        self.advance(29)
        self.arrives(self.udp("b", "a", 53, 40000), "a")
        self.advance(32)
        self.drops(self.udp("b", "a", 53, 40000), "a", "security_group_in")

    def test_tcp_both_ways(self):
        self.group("client", EGRESS, "a")
        self.drops(self.tcp("b", "a", 80, 40000, "S"), "a", "security_group_in")
        self.connect("a", "b")
        self.arrives(self.tcp("b", "a", 80, 40000, "PA", 5001, 1001, b"hello"), "a")

    def test_egress_rules(self):
        self.group("narrow", [rule("egress", "tcp", ports="443")], "a")
        self.arrives(self.tcp("a", "b", 40000, 443, "S"), "b")
        for answer in (self.tcp("a", "b", 40000, 444, "S"), self.udp("a", "b", 40000, 443), self.ping("a", "b"), self.udp("a", "c")):
            self.drops(answer, "a", "security_group_out")

    def test_no_egress_rules_at_all(self):
        self.group("shut", [], "a")
        self.drops(self.udp("a", "b"), "a", "security_group_out")
        self.drops(self.udp("b", "a"), "a", "security_group_in")

    def test_icmp_echo_reply(self):
        self.group("client", EGRESS, "a")
        self.drops(self.pong("b", "a"), "b", "icmp_unrelated")
        for v6 in (False, True):
            self.arrives(self.ping("a", "b", 9, v6), "b")
            self.arrives(self.pong("b", "a", 9, v6), "a")
            self.drops(self.pong("c", "a", 9, v6), "a", "icmp_unrelated")
            self.drops(self.ping("b", "a", 10, v6), "a", "security_group_in")

    def test_echo_requests_against_the_flow(self):
        """A ping that was let out lets no ping in."""
        self.group("client", EGRESS, "a")
        self.arrives(self.ping("a", "c", 9), "c")
        self.drops(self.ping("c", "a", 9), "a", "icmp_unrelated")

    def test_other_protocols(self):
        """GRE: two addresses make a flow."""
        self.group("client", EGRESS, "a")
        self.drops(self.go("c", "a", Raw(b"x" * 8), proto=47), "a", "security_group_in")
        self.arrives(self.go("a", "c", Raw(b"x" * 8), proto=47), "c")
        self.arrives(self.go("c", "a", Raw(b"x" * 8), proto=47), "a")
        self.drops(self.go("c", "a", Raw(b"x" * 8), proto=50), "a", "security_group_in")


class Rules(Case):
    def passes(self, answer):
        self.arrives(answer, "a")

    def stays_out(self, answer):
        self.drops(answer, "a", "security_group_in")

    def test_cidr(self):
        self.group("g", EGRESS + [rule(cidr="10.0.1.0/24")], "a")
        self.passes(self.udp("b", "a"))
        self.passes(self.udp("c", "a"))
        self.stays_out(self.udp("d", "a"))
        self.stays_out(self.udp("e", "a"))

    def test_one_address(self):
        self.group("g", EGRESS + [rule(cidr=B.ip + "/32"), rule(cidr=ENIS["d"].ip6 + "/128")], "a")
        self.passes(self.udp("b", "a"))
        self.stays_out(self.udp("b", "a", v6=True))
        self.passes(self.udp("d", "a", v6=True))
        self.stays_out(self.udp("d", "a"))

    def test_families_are_apart(self):
        """0.0.0.0/0 is IPv4 only, ::/0 is IPv6 only."""
        self.group("g", EGRESS + [rule()], "a")
        self.passes(self.udp("b", "a"))
        self.stays_out(self.udp("b", "a", v6=True))
        self.put("security-group", "g", rules=EGRESS + [rule(cidr=ANY6)])
        self.stays_out(self.udp("b", "a", 41000))
        self.passes(self.udp("b", "a", 41000, v6=True))

    def test_port_range(self):
        self.group("g", EGRESS + [rule(protocol="tcp", ports="1000-2000")], "a")
        for port, good in ((999, False), (1000, True), (1500, True), (2000, True), (2001, False), (1, False), (65535, False)):
            (self.passes if good else self.stays_out)(self.tcp("b", "a", 1500, port, "S"))

    def test_whole_range_and_ends(self):
        self.group("g", EGRESS + [rule(protocol="udp", ports="0-65535")], "a")
        for port in (0, 1, 65535):
            self.passes(self.udp("b", "a", 7, port))
        self.put("security-group", "g", rules=EGRESS + [rule(protocol="udp", ports="65535")])
        self.stays_out(self.udp("b", "a", 8, 65534))
        self.passes(self.udp("b", "a", 8, 65535))

    def test_ports_are_destination_ports(self):
        self.group("g", EGRESS + [rule(protocol="udp", ports="53")], "a")
        self.stays_out(self.udp("b", "a", 53, 40000))

    def test_protocol(self):
        self.group("g", EGRESS + [rule(protocol="tcp")], "a")
        self.passes(self.tcp("b", "a", 1, 2, "S"))
        self.stays_out(self.udp("b", "a", 1, 2))
        self.stays_out(self.ping("b", "a"))
        self.put("security-group", "g", rules=EGRESS + [rule(protocol=47)])
        self.passes(self.go("b", "a", Raw(b"x"), proto=47))
        self.stays_out(self.go("b", "a", Raw(b"x"), proto=50))

    def test_icmp_type_and_code(self):
        self.group("g", EGRESS + [rule(protocol="icmp", icmp_type=8)], "a")
        self.passes(self.ping("b", "a", 1))
        self.stays_out(self.go("b", "a", ICMP(type=13)))
        self.put("security-group", "g", rules=EGRESS + [rule(protocol="icmp", icmp_type=13, icmp_code=0)])
        self.stays_out(self.ping("b", "a", 2))
        self.passes(self.go("b", "a", ICMP(type=13)))
        self.stays_out(self.go("b", "a", ICMP(type=13, code=1)))
        self.put("security-group", "g", rules=EGRESS + [rule(protocol="icmp")])
        self.passes(self.ping("b", "a", 3))
        self.passes(self.go("b", "a", ICMP(type=17)))

    def test_icmp_is_not_icmpv6(self):
        self.group("g", EGRESS + [rule(protocol="icmp", cidr=ANY6), rule(protocol="icmpv6", icmp_type=128, cidr=ANY6)], "a")
        self.passes(self.ping("b", "a", 1, v6=True))
        self.stays_out(self.ping("b", "a", 1))
        self.put("security-group", "g", rules=EGRESS + [rule(protocol="icmp"), rule(protocol="icmp", cidr=ANY6)])
        self.passes(self.ping("b", "a", 2))
        self.stays_out(self.ping("b", "a", 2, v6=True))

    def test_icmp_rule_does_not_say_tcp(self):
        """Type 8, code 0 is 0x0800: no port of anybody."""
        self.group("g", EGRESS + [rule(protocol="icmp", icmp_type=8)], "a")
        self.stays_out(self.tcp("b", "a", 1, 0x0800, "S"))
        self.stays_out(self.udp("b", "a", 1, 8))

    def test_several_groups_are_one(self):
        self.group("one", EGRESS + [rule(protocol="tcp", ports="80")])
        self.group("two", [rule(protocol="udp", ports="53")])
        self.put("eni", "a", security_groups=["one", "two"])
        self.passes(self.tcp("b", "a", 1, 80, "S"))
        self.passes(self.udp("b", "a", 1, 53))
        self.stays_out(self.udp("b", "a", 1, 80))

    def test_no_group(self):
        """Nothing passes an ENI that is in none."""
        self.put("eni", "a", security_groups=[])
        self.stays_out(self.udp("b", "a"))
        self.drops(self.udp("a", "b"), "a", "security_group_out")

    def test_rules_that_cannot_hold(self):
        """A rule that could never match as it is written is refused, rather than silently no rule."""
        for wrong in (rule(protocol="icmp", ports="80"), rule(protocol="tcp", icmp_type=8), rule(protocol="tcp", ports="2-1"),
                      rule(protocol="tcp", ports="65536"), rule(protocol=47, ports="5"), rule(cidr="10.0.1.5/24"),
                      rule(protocol="all", ports="80"), rule(protocol="icmp", icmp_code=3),
                      dict(rule(), group=ident("open")), rule(protocol=132, ports="5000"), rule(protocol="stcp")):
            self.refuses(lambda: [self.object("security-group", "bad", vpc="v", rules=[wrong])])

    def test_many_rules(self):
        """A thousand, of which the right one is found."""
        rules = [rule(protocol="tcp", ports=str(port), cidr=f"10.0.{port % 250}.0/24") for port in range(1000, 2000)]
        self.group("g", EGRESS + rules, "a")
        self.passes(self.tcp("b", "a", 1, 1001, "S"))
        self.passes(self.tcp("b", "a", 1, 1251, "S"))
        self.stays_out(self.tcp("b", "a", 1, 1002, "S"))
        self.passes(self.tcp("d", "a", 1, 1002, "S"))


class OtherGroups(Case):
    def setUp(self):
        super().setUp()
        self.group("web", OPEN)
        self.group("db", EGRESS + [rule(protocol="tcp", ports="5432", group="web")], "a")

    def test_by_membership(self):
        self.drops(self.tcp("b", "a", 1, 5432, "S"), "a", "security_group_in")
        self.put("eni", "c", security_groups=["web"])
        self.arrives(self.tcp("c", "a", 1, 5432, "S"), "a")
        self.drops(self.tcp("c", "a", 1, 5433, "S"), "a", "security_group_in")
        self.drops(self.udp("c", "a", 1, 5432), "a", "security_group_in")

    def test_all_addresses_of_the_member(self):
        self.put("eni", "b", security_groups=["web"], addresses=[B.ip, "10.0.1.44", B.ip6])
        for source in (B.ip, "10.0.1.44"):
            packet = self.ether("b", "a") / IP(src=source, dst=A.ip) / TCP(sport=1, dport=5432, flags="S")
            self.arrives(self.send("b", packet), "a")
        self.arrives(self.tcp("b", "a", 1, 5432, "S", v6=True), "a")

    def test_membership_that_comes_later(self):
        self.drops(self.tcp("b", "a", 1, 5432, "S"), "a", "security_group_in")
        self.put("eni", "b", security_groups=["open", "web"])
        self.arrives(self.tcp("b", "a", 1, 5432, "S"), "a")
        self.add_eni(eni("new", 1, 50), security_groups=["web"])
        self.arrives(self.tcp("new", "a", 1, 5432, "S"), "a")

    def test_membership_that_ends(self):
        """Its live flow is judged anew."""
        self.put("eni", "b", security_groups=["web"])
        self.connect("b", "a", 1, 5432)
        self.put("eni", "b", security_groups=["open"])
        self.drops(self.tcp("b", "a", 1, 5432, "A", 1001, 5001), "a", "security_group_in")

    def test_membership_that_ends_far_away(self):
        self.put("eni", "c", security_groups=["web"])
        self.connect("c", "a", 1, 5432)
        self.put("eni", "c", security_groups=["open"])
        self.drops(self.tcp("c", "a", 1, 5432, "A", 1001, 5001), "a", "security_group_in")

    def test_the_group_itself(self):
        """Members among themselves."""
        self.group("cluster", EGRESS + [rule(group="cluster")], "a", "c")
        self.arrives(self.udp("c", "a"), "a")
        self.drops(self.udp("b", "a"), "a", "security_group_in")

    def test_egress_by_group(self):
        self.group("out", [rule("egress", group="web")], "d")
        self.drops(self.udp("d", "b"), "d", "security_group_out")
        self.put("eni", "b", security_groups=["web"])
        self.arrives(self.udp("d", "b"), "b")

    def test_a_group_in_use_stays(self):
        self.refuses([{"kind": "security-group", "id": ident("web"), "object": None}], "refers")

    def test_an_address_that_changes_hands(self):
        """The group is its owner's, not the address's."""
        self.put("eni", "b", security_groups=["web"])
        self.arrives(self.tcp("b", "a", 1, 5432, "S"), "a")
        self.apply([self.object("eni", "b", addresses=["10.0.1.60"]), self.object("eni", "d", subnet="s", addresses=[B.ip])])
        packet = Ether(src=ENIS["d"].mac, dst=A.mac) / IP(src=B.ip, dst=A.ip) / TCP(sport=1, dport=5432, flags="S")
        self.drops(self.send("d", packet), "a", "security_group_in")

    def test_spoofed_membership_from_outside(self):
        """A packet of the internet with a member's address is no member's."""
        self.put("eni", "b", security_groups=["web"])
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")
        self.drops(self.from_outside("203.0.113.10", TCP(sport=1, dport=5432, flags="S"), source=B.ip), "a", "spoofed_ip")


if __name__ == "__main__":
    tap.main()
