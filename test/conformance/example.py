#!/usr/bin/python3
"""How a case is written: the smallest that says something. Its world and its words are those of test/support/packet_bench.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403


class Example(Case):
    def test_ping_on_one_card(self):
        """A guest sends, and the other one is given it; the frame is scapy's to take apart."""
        frame = self.arrives(self.ping("a", "b", 7), "b")
        self.assertEqual((frame.src, frame.dst, frame[IP].src, frame[ICMP].id), (ENIS["a"].mac, ENIS["b"].mac, "10.0.1.10", 7))

    def test_ping_over_the_overlay(self):
        """c is on another host: arrives() takes the VXLAN frame off, and has looked at it."""
        self.assertEqual(self.arrives(self.ping("a", "c"), "c")[IP].dst, "10.0.1.12")
        self.arrives(self.pong("c", "a"), "a")

    def test_a_borrowed_address_is_not_carried(self):
        """What goes has its reason, and the reason its counter."""
        frame = self.ether("a", "b") / IP(src="10.0.1.99", dst="10.0.1.11") / ICMP()
        self.drops(self.send("a", frame), "a", "spoofed_ip")

    def test_policy_changes(self):
        """put() changes fields of what the world has; group() makes one, and moves ENIs into it."""
        self.group("quiet", EGRESS, "b")
        self.drops(self.ping("a", "b"), "b", "security_group_in")
        self.put("security-group", "quiet", rules=EGRESS + [rule(protocol="icmp", icmp_type=8)])
        self.arrives(self.ping("a", "b"), "b")


if __name__ == "__main__":
    tap.main()
