#!/usr/bin/python3
"""vpc.md: flow logs (AWS v2 default fields, NODATA, SKIPDATA), capture, trace, counters."""
import io
import logging
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.utils import RawPcapNgReader  # noqa: E402

logging.getLogger("scapy").setLevel(logging.ERROR)  # 2.5.0 takes comments only with a line feed at their end, and says so
A, B, C = ENIS["a"], ENIS["b"], ENIS["c"]
START = 1700000000  # the bench's wall clock when it starts
FIELDS = ("version account interface source destination source_port destination_port protocol packets bytes start end action "
          "status").split()


class FlowLog(Case):
    traffic = "all"

    def setUp(self):
        super().setUp()
        self.put("vpc", "v", flow_log={"traffic": self.traffic, "interval_s": 10})

    def records(self, logs, interface="a"):
        """The lines of an ENI; each has the fields of version 2, and times that make sense."""
        out = []
        for line in logs:
            fields = line.split(" ")
            self.assertEqual(len(fields), len(FIELDS), line)
            record = dict(zip(FIELDS, fields))
            self.assertEqual((record["version"], record["account"]), ("2", "v"))
            self.assertLessEqual(int(record["start"]), int(record["end"]), line)
            self.assertTrue(START <= int(record["start"]) <= START + 10000, line)
            if record["interface"] == interface:
                out.append(record)
        return out

    def short(self, records):
        keys = ("source", "destination", "source_port", "destination_port", "protocol", "packets", "bytes", "action", "status")
        return sorted(" ".join(r[k] for k in keys) for r in records)

    def test_accepted(self):
        """One line for each direction of a flow: packets and bytes of IP."""
        for _ in range(3):
            self.udp("a", "c", 40000, 53, b"x" * 12)
        self.udp("c", "a", 53, 40000, b"x" * 72)
        self.assertEqual(self.short(self.records(self.advance(12))),
                         [f"{A.ip} {C.ip} 40000 53 17 3 120 ACCEPT OK", f"{C.ip} {A.ip} 53 40000 17 1 100 ACCEPT OK"])

    def test_both_ends_have_a_log(self):
        self.udp("a", "b", 1, 2, b"")
        logs = self.advance(12)
        line = [f"{A.ip} {B.ip} 1 2 17 1 28 ACCEPT OK"]
        self.assertEqual((self.short(self.records(logs, "a")), self.short(self.records(logs, "b"))), (line, line))

    def test_rejected(self):
        self.group("g", EGRESS, "a")
        for _ in range(2):
            self.tcp("c", "a", 999, 22, "S")
        self.assertEqual(self.short(self.records(self.advance(12))), [f"{C.ip} {A.ip} 999 22 6 2 80 REJECT OK"])

    def test_rejected_by_acl(self):
        self.apply([self.object("acl", "x", vpc="v", rules=[acl_rule(1, "allow")]), self.object("subnet", "s", acl="x")])
        self.udp("a", "d", 1, 2, b"")
        self.assertEqual(self.short(self.records(self.advance(12))), [f"{A.ip} {ENIS['d'].ip} 1 2 17 1 28 REJECT OK"])

    def test_answer_rejected_by_acl(self):
        """As in AWS's own example: the question accepted, the answer rejected."""
        self.apply([self.object("acl", "x", vpc="v", rules=[acl_rule(1, "allow"), acl_rule(1, "deny", "egress", "icmp"),
                                                            acl_rule(2, "allow", "egress")]), self.object("subnet", "s", acl="x")])
        self.ping("d", "a")
        self.pong("a", "d")
        self.assertEqual(self.short(self.records(self.advance(12))),
                         [f"{A.ip} {ENIS['d'].ip} 0 0 1 1 28 REJECT OK", f"{ENIS['d'].ip} {A.ip} 0 0 1 1 28 ACCEPT OK"])

    def test_ipv6(self):
        self.udp("a", "c", 1, 2, b"", True)
        self.assertEqual(self.short(self.records(self.advance(12))), [f"{A.ip6} {C.ip6} 1 2 17 1 48 ACCEPT OK"])

    def test_no_data(self):
        """An interval without traffic says so."""
        record, = self.records(self.advance(10.5))
        self.assertEqual([record[k] for k in FIELDS[3:10]], ["-"] * 7)
        self.assertEqual((record["action"], record["status"], int(record["end"]) - int(record["start"])), ("-", "NODATA", 10))

    def test_no_data_only_without_traffic(self):
        """A flow in the middle of an interval: that one has data."""
        for when in (1, 5, 9):
            with self.subTest(when=when):
                bench = self.bench
                self.setUp()
                self.advance(when)
                self.udp("a", "c", 1, 2)
                logs = self.records(self.advance(45 - when))
                covered = [(int(r["start"]), int(r["end"])) for r in logs if r["status"] == "OK"]
                self.assertEqual(len(covered), 1)
                sent = START + when
                bad = [r for r in logs if r["status"] == "NODATA" and int(r["start"]) <= sent < int(r["end"])]
                self.assertEqual(bad, [])
                self.bench, _ = bench, self.bench.close()

    def test_long_flow(self):
        """A flow of several intervals has a line in each, and they add up."""
        total = 0
        logs = []
        for _ in range(25):
            self.udp("a", "c", 1, 2, b"")
            total += 1
            logs += self.advance(1)
        logs += self.advance(40)
        records = [r for r in self.records(logs) if r["status"] == "OK"]
        self.assertGreaterEqual(len(records), 3)
        self.assertEqual(sum(int(r["packets"]) for r in records), total)
        for one, next_one in zip(records, records[1:]):
            self.assertLessEqual(int(one["end"]), int(next_one["start"]) + 1)

    def test_errors_are_of_their_flow(self):
        """An ICMP error is accepted as its flow's, and keeps the times in order."""
        self.udp("a", "c", 1, 2, b"")
        logs = self.advance(15)
        error = ICMP(type=3, code=3) / IP(src=A.ip, dst=C.ip) / UDP(sport=1, dport=2)
        self.arrives(self.go("c", "a", error), "a")
        self.records(logs + self.advance(20))

    def test_too_many_to_tell(self):
        """What finds no room is not forgotten silently: SKIPDATA."""
        self.group("g", EGRESS, "a")
        for n in range(200):
            self.tcp("c", "a", 1000 + n, 22, "S")
        records = self.records(self.advance(12))
        self.assertEqual({r["action"] for r in records}, {"REJECT", "-"})
        skipped = [r for r in records if r["status"] == "SKIPDATA"]
        self.assertEqual(len(skipped), 1)
        self.assertEqual([skipped[0][k] for k in FIELDS[3:10]], ["-"] * 7)

    def test_dropped_before_policy_is_no_rejection(self):
        """Spoofed and malformed packets are counters' business, as in AWS, where flow logs know only what policy rejected."""
        self.send("a", self.ether("a", "b") / IP(src="10.0.1.99", dst=B.ip) / UDP(sport=1, dport=2))
        self.assertEqual([r["status"] for r in self.records(self.advance(12))], ["NODATA"])

    def test_card_services_are_not_logged(self):
        """As AWS: DNS, DHCP, metadata and the default router's are not."""
        self.ping("a", "169.254.169.254")
        self.ping("a", "10.0.1.1")
        self.assertEqual([r["status"] for r in self.records(self.advance(12))], ["NODATA"])

    def test_ends_with_the_flow(self):
        """A connection that ended is logged when it goes."""
        self.put("vpc", "v", flow_log={"traffic": "all", "interval_s": 3600})
        self.connect("a", "c")
        self.tcp("a", "c", 40000, 80, "RA", 1001, 5001)
        self.assertEqual(self.short(self.records(self.advance(13))),
                         [f"{A.ip} {C.ip} 40000 80 6 3 120 ACCEPT OK", f"{C.ip} {A.ip} 80 40000 6 1 40 ACCEPT OK"])

    def test_turned_off(self):
        self.udp("a", "c", 1, 2)
        self.put("vpc", "v", flow_log=None)
        self.assertEqual(self.advance(60), [])


class AcceptLog(FlowLog):
    traffic = "accept"

    def test_rejected(self):
        self.group("g", EGRESS, "a")
        self.tcp("c", "a", 999, 22, "S")
        self.assertEqual([r["status"] for r in self.records(self.advance(12))], ["NODATA"])

    test_rejected_by_acl = test_answer_rejected_by_acl = test_too_many_to_tell = None


class RejectLog(Case):
    records, short = FlowLog.records, FlowLog.short

    def test_only_rejections(self):
        self.put("vpc", "v", flow_log={"traffic": "reject", "interval_s": 10})
        self.group("g", EGRESS, "a")
        self.udp("a", "c", 1, 2)
        self.udp("c", "a", 3, 4, b"")
        self.assertEqual(self.short(self.records(self.advance(12))), [f"{C.ip} {A.ip} 3 4 17 1 29 REJECT OK".replace("29", "28")])


class Capture(Case):
    def read_options(self, data):
        """{code: value} (draft-ietf-opsawg-pcapng, 3.5)."""
        out = {}
        while data:
            code, size = struct.unpack_from("<HH", data)
            if code == 0:
                break
            out[code] = data[4:4 + size]
            data = data[4 + (size + 3) // 4 * 4:]
        return out

    def blocks(self, data):
        while data:
            kind, size = struct.unpack_from("<II", data)
            self.assertEqual((size % 4, struct.unpack_from("<I", data, size - 4)[0]), (0, size))
            yield kind, data[8:size - 4]
            data = data[size:]

    def read(self, name="a"):
        """[(interface, comment or None, frame)]; scapy reads the same frames out of it. Times are the bench's clock."""
        word, data, lost = self.bench.do(f"capture {name}")[-1].split(" ")
        self.assertEqual((word, lost), ("pcap", "0"))
        data, interfaces, out = bytes.fromhex(data), [], []
        kinds = [kind for kind, _ in self.blocks(data)]
        self.assertEqual(kinds[:2], [0x0a0d0d0a, 1])
        for kind, body in self.blocks(data):
            if kind == 1:
                self.assertEqual(struct.unpack_from("<HHI", body), (1, 0, 65535))
                interfaces.append(self.read_options(body[8:])[2].decode())
            elif kind == 6:
                interface, high, low, captured, length = struct.unpack_from("<5I", body)
                self.assertEqual(captured, length)
                self.assertEqual((high << 32 | low) // 10 ** 9, START)
                comment = self.read_options(body[20 + (captured + 3) // 4 * 4:]).get(1)
                out.append((interfaces[interface], comment.decode() if comment else None, body[20:20 + captured]))
        self.assertEqual([frame for frame, _ in RawPcapNgReader(io.BytesIO(data))], [r[2] for r in out])
        return out

    def test_both_directions(self):
        self.bench.do("capture a")
        sent = self.packet("a", "c", UDP(sport=1, dport=2) / Raw(b"out"))
        self.send("a", sent)
        got = self.arrives(self.udp("c", "a", 2, 1, b"back"), "a")
        self.assertEqual([r[2] for r in self.read()], [bytes(sent), bytes(got)])

    def test_only_its_own(self):
        self.bench.do("capture a")
        self.udp("b", "c", 1, 2)
        self.assertEqual(self.read(), [])

    def test_answers_of_the_card(self):
        self.bench.do("capture a")
        self.ping("a", "10.0.1.1")
        self.assertEqual([ICMP in Ether(r[2]) and Ether(r[2])[ICMP].type for r in self.read()], [8, 0])

    def test_dropped_frames_are_not_among_what_arrived(self):
        self.group("g", EGRESS, "a")
        self.bench.do("capture a")
        self.udp("c", "a", 1, 2)
        self.assertEqual(self.read(), [])

    def test_drops_with_their_reason(self):
        self.group("g", EGRESS, "a")
        self.bench.do("capture a drops")
        self.udp("c", "a", 1, 2)
        spoofed = self.ether("a", "b") / IP(src="10.0.1.99", dst=B.ip) / UDP(sport=1, dport=2)
        self.send("a", spoofed)
        records = [r for r in self.read() if r[1] is not None]
        self.assertEqual([r[:2] for r in records], [
            ("a dropped", "dropped: no ingress rule of the receiver's security groups allows it"),
            ("a dropped", "dropped: the source address is not the ENI's")])
        self.assertEqual(records[1][2], bytes(spoofed))


class Trace(Case):
    def verdicts(self, text, name="a"):
        stages, reason = self.trace(name, text)
        return [tuple(s[:2]) for s in stages], reason, stages

    def test_on_this_card(self):
        steps, reason, stages = self.verdicts("udp 10.0.1.11:53")
        self.assertIsNone(reason)
        self.assertEqual([s for s, _ in steps], ["parse", "anti-spoof", "flow", "acl", "security-group", "route", "mapping", "acl", "flow",
                                                 "acl", "security-group", "acl", "mtu", "deliver"])
        self.assertEqual(stages[-1][2], "to ENI b")

    def test_to_another_host(self):
        _, reason, stages = self.verdicts("tcp 10.0.1.12:80 syn")
        self.assertIsNone(reason)
        self.assertEqual([s[2] for s in stages[-2:]], ["VXLAN, VNI 4096", f"to host h2 ({HOST_IP}) on wire 0"])

    def test_same_as_the_packet(self):
        """A trace says what then happens, in every one of these worlds; and it makes no flow, counts nothing."""
        self.group("only-web", EGRESS + [rule(protocol="tcp", ports="80")], "b")
        self.routes("s", ("10.0.2.11/32", "blackhole"), (ANY4, "internet"))
        for text, answer in (("tcp 10.0.1.11:80 syn", lambda: self.tcp("a", "b", 49152, 80, "S")),
                             ("tcp 10.0.1.11:81 syn", lambda: self.tcp("a", "b", 49152, 81, "S")),
                             ("udp 10.0.1.11:80", lambda: self.udp("a", "b", 49152, 80)),
                             ("tcp 10.0.1.11:80 ack from 10.0.1.10:49153", lambda: self.tcp("a", "b", 49153, 80, "A")),
                             ("icmp 10.0.1.12 echo", lambda: self.ping("a", "c")),
                             ("udp 10.0.2.11:1", lambda: self.udp("a", "e", 49152, 1)),
                             ("udp 10.0.1.99:1", lambda: self.udp("a", "10.0.1.99", 49152, 1)),
                             ("udp 198.51.100.7:1", lambda: self.udp("a", OUTSIDE, 49152, 1)),
                             ("udp 224.0.0.1:1", lambda: self.udp("a", "224.0.0.1", 49152, 1)),
                             ("udp 127.0.0.1:1", lambda: self.udp("a", "127.0.0.1", 49152, 1)),
                             ("udp 10.0.1.12:1 size 1451 df", lambda: self.udp("a", "c", 49152, 1, b"x" * 1423, flags="DF")),
                             ("udp 10.0.1.12:1 from 10.0.1.50", lambda: self.send("a", self.ether("a", "c") / IP(src="10.0.1.50", dst=C.ip) /
                                                                                  UDP(sport=1, dport=1))),
                             ("udp [fd00:1:0:1::12]:1", lambda: self.udp("a", "c", 49152, 1, v6=True))):
            with self.subTest(text=text):
                before, flows = (self.counters("a"), self.counters("b")), self.flows()
                _, said = self.trace("a", text)
                self.assertEqual(((self.counters("a"), self.counters("b")), self.flows()), (before, flows))
                done = [why for _, why in answer().dropped]
                self.assertEqual([said] if said else [], done)

    def test_an_existing_flow(self):
        self.connect("a", "c", 49152, 80)
        steps, reason, stages = self.verdicts("tcp 10.0.1.12:80 ack")
        self.assertIsNone(reason)
        self.assertIn("established at a, begun by it", [s[2] for s in stages])
        self.tcp("a", "c", 49152, 80, "RA", 1001, 5001)
        _, _, stages = self.verdicts("tcp 10.0.1.12:80 ack")
        self.assertIn("closed at a, begun by it", [s[2] for s in stages])

    def test_names_the_rule(self):
        self.group("g", [rule("egress", "udp", ports="1"), rule("egress", "udp", ports="53")], "a")
        _, _, stages = self.verdicts("udp 10.0.1.12:53")
        self.assertIn("egress: g, rule 2 of its list", [s[2] for s in stages])

    def test_card_services(self):
        _, reason, stages = self.verdicts("udp 169.254.169.253:53")
        self.assertEqual((reason, stages[-1][0], stages[-1][1]), (None, "card", "pass"))

    def test_what_is_not_understood(self):
        for text in ("", "tcp", "tcp nowhere:1", "tcp 10.0.1.12", "tcp 10.0.1.12:99999", "frob 10.0.1.12:1", "udp 10.0.1.12:1 nonsense",
                     "udp 10.0.1.12:1 size x", "tcp 10.0.1.12:1 " + "syn " * 200, "udp [fd00::1:2"):
            with self.assertRaises(Refused):
                self.trace("a", text)


class Counters(Case):
    def test_packets_and_bytes(self):
        """Of frames, as they pass the ENI."""
        self.arrives(self.udp("a", "c", 1, 2, b"x" * 58), "c")
        self.arrives(self.udp("c", "a", 2, 1, b"x" * 158), "a")
        self.arrives(self.udp("c", "a", 2, 1, b"x" * 158), "a")
        c = self.counters("a")
        self.assertEqual((c["packets_out"], c["bytes_out"], c["packets_in"], c["bytes_in"], c["flows"], c["drops"]), (1, 100, 2, 400, 1, {}))

    def test_slow_path_once_a_flow(self):
        for _ in range(10):
            self.udp("a", "c", 1, 2)
            self.udp("c", "a", 2, 1)
        self.assertEqual((self.counters("a")["slow_path"], self.counters("a")["flows_created"]), (1, 1))

    def test_dropped_are_not_counted_as_passed(self):
        self.group("g", EGRESS, "a")
        self.udp("c", "a", 1, 2)
        c = self.counters("a")
        self.assertEqual((c["packets_in"], c["drops"], c["flows"]), (0, {"security_group_in": 1}, 0))

    def test_a_new_eni_begins_at_zero(self):
        self.udp("b", "c", 1, 2)
        self.apply([self.gone("eni", "b")])
        self.add_eni(eni("n", 1, 99))
        c = self.counters("n")
        self.assertEqual((c["packets_out"], c["flows"], c["flows_created"], c["drops"]), (0, 0, 0, {}))


if __name__ == "__main__":
    tap.main()
