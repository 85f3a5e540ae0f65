#!/usr/bin/python3
"""vpc.md: "SYN policer, per-ENI flow quota, defined behaviour when a table is full"; allowances under the names that AWS gives them."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403

A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]


class Flood(Case):
    def frames(self, source, to, count, flags="S", first=1):
        """Lines of that many SYNs from different ports, without scapy in the loop; the checksum is nobody's business here."""
        self.bench.check = False
        frame = bytearray(bytes(self.packet(source, to, TCP(sport=1, dport=80, flags=flags, seq=1000))))
        lines = []
        for n in range(first, first + count):
            frame[34:36] = n.to_bytes(2, "big")
            lines.append(f"eni {source} {frame.hex()}")
        return lines

    def flood(self, *args, **more):
        """(how many got out, {reason: how many did not})"""
        out, dropped = 0, {}
        for answer in self.bench.do_all(self.frames(*args, **more)):
            for line in answer:
                word, _, reason = line.split(" ")[:3] if line.startswith("drop") else (line.split(" ")[0], "", "")
                if word == "drop":
                    dropped[reason] = dropped.get(reason, 0) + 1
                else:
                    out += 1
        return out, dropped


class Quota(Flood):
    def test_syn_flood_against_the_quota(self):
        """Exactly as many flows as it may have; the rest is counted under AWS's name, what was there is unharmed, others too."""
        self.put("eni", "a", flows_max=100)
        self.connect("a", "c")
        out, dropped = self.flood("a", "c", 500)
        self.assertEqual((out, dropped), (99, {"conntrack_allowance_exceeded": 401}))
        c = self.counters("a")
        self.assertEqual((c["flows"], c["flows_max"], c["drops"]["conntrack_allowance_exceeded"]), (100, 100, 401))
        self.arrives(self.tcp("a", "c", 40000, 80, "PA", 1001, 5001, b"alive"), "c")
        self.arrives(self.tcp("b", "c", 1, 2, "S"), "c")

    def test_quota_is_given_back(self):
        self.put("eni", "a", flows_max=10)
        self.assertEqual(self.flood("a", "c", 11), (10, {"conntrack_allowance_exceeded": 1}))
        self.advance(32)
        self.assertEqual(self.counters("a")["flows"], 0)
        self.assertEqual(self.flood("a", "c", 10, first=100), (10, {}))

    def test_quota_counts_what_comes_in(self):
        self.put("eni", "a", flows_max=3)
        for n in range(3):
            self.arrives(self.udp("c", "a", n, 1), "a")
        self.drops(self.udp("c", "a", 3, 1), "a", "conntrack_allowance_exceeded")
        self.arrives(self.udp("a", "c", 1, 2), "c")  # an answer needs none

    def test_flood_from_outside_does_not_take_the_others_share(self):
        self.put("eni", "a", flows_max=50)
        for n in range(200):
            self.udp("c", "a", n, 1)
        self.assertEqual(self.counters("a")["flows"], 50)
        self.arrives(self.udp("c", "b"), "b")

    def test_raised_and_lowered(self):
        """Nobody's flow is cut by a smaller quota; new ones wait."""
        self.put("eni", "a", flows_max=10)
        self.flood("a", "c", 10)
        self.put("eni", "a", flows_max=5)
        self.assertEqual(self.counters("a")["flows_max"], 5)
        self.assertEqual(self.flood("a", "c", 1, first=50), (0, {"conntrack_allowance_exceeded": 1}))
        self.arrives(self.tcp("a", "c", 3, 80, "S", 1000), "c")
        self.put("eni", "a", flows_max=12)
        self.assertEqual(self.flood("a", "c", 3, first=60), (2, {"conntrack_allowance_exceeded": 1}))

    def test_without_one_a_quarter(self):
        """Without an allowance an ENI has a quarter of the table (4096 here)."""
        self.assertEqual(self.counters("a")["flows_max"], 1024)
        out, dropped = self.flood("a", "c", 1100)
        self.assertEqual((out, dropped), (1024, {"conntrack_allowance_exceeded": 76}))


class TableFull(Flood):
    options = ("--wire", WIRE, "--flows", "256")

    def test_full(self):
        """New flows are dropped and counted; established ones are unharmed, and answers pass; there is room again with time."""
        self.put("eni", "a", flows_max=100000)
        self.connect("b", "c", 45000)
        out, dropped = self.flood("a", "c", 2000)
        self.assertEqual(set(dropped), {"flow_table_full"})
        self.assertGreaterEqual(out, 200)
        self.drops(self.udp("b", "c"), "b", "flow_table_full")
        self.arrives(self.tcp("b", "c", 45000, 80, "PA", 1001, 5001, b"alive"), "c")
        self.arrives(self.tcp("c", "b", 80, 45000, "A", 5001, 1006), "b")
        self.arrives(self.tcp("c", "a", 80, 1, "SA", 7000, 1001), "a")
        self.advance(33)
        self.arrives(self.udp("b", "c"), "c")
        self.arrives(self.tcp("b", "c", 45000, 80, "A", 1006, 5001), "c")

    def test_policy_change_with_a_full_table(self):
        self.put("eni", "a", flows_max=100000)
        self.connect("b", "c", 45000)
        self.flood("a", "c", 1000)
        self.group("g", OPEN + [rule(protocol="tcp")], "b")
        self.arrives(self.tcp("b", "c", 45000, 80, "A", 1001, 5001), "c")


class Rates(Flood):
    def test_new_flows(self):
        """The policer of SYN and of all that begins: what was saved, and then as many a second as it says."""
        self.put("eni", "a", new_flows_per_s=1000, flows_max=4000)
        self.connect("a", "c")
        out, dropped = self.flood("a", "c", 1000)
        self.assertEqual(set(dropped), {"new_flow_rate_exceeded"})
        self.assertTrue(32 <= out <= 100, out)
        self.arrives(self.tcp("a", "c", 40000, 80, "PA", 1001, 5001, b"alive"), "c")
        total = 0
        for second in range(10):
            self.bench.do("advance 100")
            total += self.flood("a", "c", 200, first=2000 + second * 200)[0]
        self.assertTrue(950 <= total <= 1010, total)
        self.arrives(self.udp("b", "c"), "c")

    def test_packets(self):
        self.put("eni", "a", packets_per_s=1000)
        self.udp("a", "c", 1, 2)
        line = "eni a " + bytes(self.packet("a", "c", UDP(sport=1, dport=2))).hex()
        answers = self.bench.do_all([line] * 500)
        refused = sum(1 for a in answers if a == ["drop a pps_allowance_exceeded"])
        self.assertTrue(380 <= refused <= 450, refused)
        self.assertEqual(self.counters("a")["drops"], {"pps_allowance_exceeded": refused})
        self.bench.do("advance 1000")
        self.arrives(self.udp("a", "c", 1, 2), "c")

    def test_packets_in(self):
        """Both directions have one allowance of packets."""
        self.put("eni", "a", packets_per_s=1000)
        line = "wire " + bytes(self.outer() / Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2)).hex()
        answers = self.bench.do_all([line] * 300)
        self.assertGreater(sum(1 for a in answers if a == ["drop wire pps_allowance_exceeded"]), 150)
        self.drops(self.udp("a", "c"), "a", "pps_allowance_exceeded")

    def test_gso_counts_as_what_it_stands_for(self):
        """A frame of 40 segments is 40 packets."""
        self.put("eni", "a", packets_per_s=1000)
        self.connect("a", "b")
        self.bench.check = False  # its checksum is not what an offload's is
        self.bench.do("attach b csum,tso4")
        data = bytes(self.packet("a", "b", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001) / Raw(b"x" * 40000)))
        reasons = [why for _ in range(6) for _, why in self.bench.answer(f"eni a {data.hex()} 1 1 1000 34 16").dropped]
        self.assertIn("pps_allowance_exceeded", reasons)
        self.assertGreaterEqual(self.counters("a")["packets_out"], 40)

    def test_bandwidth_out(self):
        self.put("eni", "a", bandwidth_out=8_000_000)
        line = "eni a " + bytes(self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"x" * 1400))).hex()
        answers = self.bench.do_all([line] * 400)
        refused = sum(1 for a in answers if a == ["drop a bw_out_allowance_exceeded"])
        self.assertTrue(250 <= refused <= 330, refused)  # a tenth of a second is 100 kB; two of the largest frames are more: 131 kB
        self.assertEqual(self.counters("a")["drops"]["bw_out_allowance_exceeded"], refused)
        self.arrives(self.udp("c", "a", 1, 2), "a")
        given = 0
        for _ in range(10):
            answers = self.bench.do_all(["advance 100"] + [line] * 200)
            given += sum(1442 for a in answers if a and a[0].startswith("wire"))
        self.assertTrue(900_000 <= given <= 1_100_000, given)

    def test_bandwidth_in(self):
        self.put("eni", "a", bandwidth_in=8_000_000)
        inner = Ether(src=C.mac, dst=A.mac) / IP(src=C.ip, dst=A.ip) / UDP(sport=1, dport=2) / Raw(b"x" * 1400)
        answers = self.bench.do_all(["wire " + bytes(self.outer() / inner).hex()] * 400)
        refused = sum(1 for a in answers if a == ["drop wire bw_in_allowance_exceeded"])
        self.assertTrue(250 <= refused <= 330, refused)
        self.assertEqual(self.counters("a")["drops"]["bw_in_allowance_exceeded"], refused)
        self.arrives(self.udp("a", "c", 1, 2), "c")
        self.arrives(self.udp("b", "c", 1, 2), "c")

    def test_limits_are_taken_away(self):
        self.put("eni", "a", new_flows_per_s=1)
        self.assertIn("new_flow_rate_exceeded", self.flood("a", "c", 100)[1])
        self.put("eni", "a", new_flows_per_s=0)
        self.assertEqual(self.flood("a", "c", 100, first=1000), (100, {}))

    def test_a_change_of_something_else_gives_nothing_back(self):
        """A policy change is no way to fill a bucket."""
        self.put("eni", "a", new_flows_per_s=10)
        self.flood("a", "c", 100)
        self.put("security-group", "open", rules=OPEN + [rule(protocol="tcp")])
        self.assertEqual(self.flood("a", "c", 1, first=1000), (0, {"new_flow_rate_exceeded": 1}))


class Room(Case):
    def test_guest_without_buffers(self):
        self.bench.do("eni-room b 1")
        self.arrives(self.udp("a", "b"), "b")
        self.drops(self.udp("a", "b"), "b", "no_receive_buffer")
        self.bench.do("eni-room b 5")
        self.arrives(self.udp("a", "b"), "b")

    def test_wire_is_full(self):
        self.bench.do("wire-room 1")
        self.arrives(self.udp("a", "c"), "c")
        self.drops(self.udp("a", "c"), "a", "wire_full")
        self.bench.do("wire-room 100")
        self.arrives(self.udp("a", "c"), "c")

    def test_half_a_gso_frame(self):
        """What the wire has no room for is counted segment by segment."""
        self.bench.check = False
        self.connect("a", "c")
        self.bench.do("wire-room 2")
        data = bytes(self.packet("a", "c", TCP(sport=40000, dport=80, flags="A", seq=1001, ack=5001) / Raw(b"x" * 10000)))
        answer = self.bench.answer(f"eni a {data.hex()} 1 1 1000 34 16")
        self.assertEqual((len(answer.out), answer.dropped, self.counters("a")["drops"]["wire_full"]), (2, [("a", "wire_full")], 8))


if __name__ == "__main__":
    tap.main()
