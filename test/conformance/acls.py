#!/usr/bin/python3
"""vpc.md: network ACLs: stateless, first match by number, both directions at the border of a subnet; changes cut at once."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403

A, D = ENIS["a"], ENIS["d"]
ALLOW_OUT = [acl_rule(100, "allow", "egress"), acl_rule(101, "allow", "egress", cidr=ANY6)]
ALLOW_IN = [acl_rule(100, "allow"), acl_rule(101, "allow", cidr=ANY6)]


class Acl(Case):
    def acl(self, *rules, subnet="s"):
        self.apply([self.object("acl", "acl-" + subnet, vpc="v", rules=list(rules)), self.object("subnet", subnet, acl="acl-" + subnet)])

    def test_no_acl_allows(self):
        self.arrives(self.udp("a", "d"), "d")

    def test_an_empty_one_denies(self):
        self.acl()
        self.drops(self.udp("a", "d"), "a", "acl_out")
        self.drops(self.udp("d", "a"), "a", "acl_in")

    def test_inside_the_subnet_it_says_nothing(self):
        self.acl()
        self.arrives(self.udp("a", "b"), "b")
        self.arrives(self.udp("c", "a"), "a")
        self.drops(self.udp("e", "a"), "a", "acl_in")

    def test_stateless_answer_needs_a_rule(self):
        """The answer to 40000 is judged by 40000."""
        self.acl(*ALLOW_OUT, acl_rule(200, "allow", protocol="udp", ports="50000-60000"))
        self.arrives(self.udp("a", "d", 40000, 53), "d")
        self.drops(self.udp("d", "a", 53, 40000), "a", "acl_in")
        self.arrives(self.udp("a", "d", 55000, 53), "d")
        self.arrives(self.udp("d", "a", 53, 55000), "a")

    def test_stateless_answer_outbound(self):
        self.acl(*ALLOW_IN, acl_rule(200, "allow", "egress", "udp", ports="50000-60000"))
        self.arrives(self.udp("d", "a", 40000, 53), "a")
        self.drops(self.udp("a", "d", 53, 40000), "a", "acl_out")
        self.arrives(self.udp("d", "a", 50000, 53), "a")
        self.arrives(self.udp("a", "d", 53, 50000), "d")

    def test_first_match(self):
        """By number, not by their order or length of prefix."""
        self.acl(*ALLOW_OUT, acl_rule(300, "allow", protocol="udp"), acl_rule(200, "deny", protocol="udp", cidr="10.0.2.0/24"),
                 acl_rule(100, "allow", protocol="udp", ports="53", cidr=D.ip + "/32"))
        self.arrives(self.udp("d", "a", 1, 53), "a")
        self.drops(self.udp("d", "a", 1, 54), "a", "acl_in")
        self.drops(self.udp("e", "a", 1, 53), "a", "acl_in")
        self.acl(*ALLOW_OUT, acl_rule(10, "deny", protocol="udp", ports="53"), acl_rule(100, "allow", protocol="udp", ports="53"),
                 acl_rule(300, "allow", protocol="udp"))
        self.drops(self.udp("d", "a", 1, 53), "a", "acl_in")
        self.arrives(self.udp("d", "a", 1, 54), "a")

    def test_nothing_matched_is_denied(self):
        self.acl(*ALLOW_OUT, acl_rule(1, "allow", protocol="tcp"))
        self.drops(self.udp("d", "a"), "a", "acl_in")
        self.arrives(self.tcp("d", "a", 1, 2, "S"), "a")

    def test_icmp_types(self):
        self.acl(acl_rule(1, "allow", protocol="icmp", icmp_type=8), acl_rule(1, "allow", "egress", "icmp", icmp_type=0))
        self.arrives(self.ping("d", "a"), "a")
        self.arrives(self.pong("a", "d"), "d")
        self.drops(self.ping("a", "d", 8), "a", "acl_out")
        self.acl(acl_rule(1, "allow", protocol="icmp", icmp_type=8), acl_rule(1, "allow", "egress", "icmp", icmp_type=8))
        self.arrives(self.ping("d", "a", 9), "a")
        self.drops(self.pong("a", "d", 9), "a", "acl_out")

    def test_families(self):
        self.acl(*ALLOW_OUT, acl_rule(1, "allow"))
        self.arrives(self.udp("d", "a"), "a")
        self.drops(self.udp("d", "a", v6=True), "a", "acl_in")

    def test_both_subnets_judge(self):
        self.acl(*ALLOW_IN, *ALLOW_OUT)
        self.acl(*ALLOW_OUT, subnet="t")
        self.drops(self.udp("a", "d"), "d", "acl_in")
        self.acl(*ALLOW_IN, subnet="t")
        self.drops(self.udp("d", "a"), "d", "acl_out")

    def test_cuts_at_once(self):
        """In both directions, in the middle of a connection, also what groups keep."""
        self.group("keeper", OPEN, "a", "d", grandfather=True)
        self.acl(*ALLOW_IN, *ALLOW_OUT)
        self.connect("a", "d")
        self.acl(*ALLOW_OUT, acl_rule(50, "deny", protocol="tcp"), *ALLOW_IN)
        self.drops(self.tcp("d", "a", 80, 40000, "A", 5001, 1001), "a", "acl_in")
        self.arrives(self.tcp("a", "d", 40000, 80, "A", 1001, 5001), "d")
        self.acl(acl_rule(50, "deny", "egress", "tcp"), *ALLOW_OUT, *ALLOW_IN)
        self.drops(self.tcp("a", "d", 40000, 80, "A", 1001, 5001), "a", "acl_out")

    def test_taken_away(self):
        self.acl()
        self.drops(self.udp("a", "d"), "a", "acl_out")
        self.put("subnet", "s", acl=None)
        self.arrives(self.udp("a", "d"), "d")

    def test_the_cards_services_are_not_judged(self):
        """As AWS: DHCP, DNS and metadata are not subject to ACLs."""
        self.acl()
        self.answered(self.ping("a", "169.254.169.254"), "a")

    def test_icmp_errors_pass_with_their_flow(self):
        """An error of the peer's side about a flow is judged as the flow's answer, not as ICMP."""
        self.acl(*ALLOW_OUT, acl_rule(1, "allow", protocol="udp"))
        sent = self.arrives(self.udp("a", "e", 40000, 53), "e")
        self.arrives(self.go("e", "a", ICMP(type=3, code=3) / sent[IP]), "a")

    def test_refused(self):
        for wrong in ([acl_rule(5, "allow"), acl_rule(5, "deny")], [acl_rule(0, "allow")], [acl_rule(32767, "allow")],
                      [dict(acl_rule(1, "allow"), group=ident("open"))], [acl_rule(1, "reject")]):
            self.refuses(lambda: [self.object("acl", "bad", vpc="v", rules=wrong)])
        self.acl(acl_rule(5, "allow"), acl_rule(5, "allow", "egress"))  # a number a direction


if __name__ == "__main__":
    tap.main()
