#!/usr/bin/python3
"""vpc.md: "TCP: created on SYN, state followed, closed after both FIN (linger) or RST". RFC 9293, RFC 5961. b's side of the card is
what judges: c, on another host, is the peer that may lie."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403

ISS, IRS = 1000, 5000  # of the initiator and of the other side, as connect() has them


class Tcp(Case):
    """b asks c, whose frames come in through b's group: only what belongs to the flow passes."""
    initiator, other = "b", "c"

    def setUp(self):
        super().setUp()
        self.group("client", EGRESS, "b")

    def forth(self, flags, seq=ISS + 1, ack=IRS + 1, data=b"", **more):
        return self.tcp("b", "c", 40000, 80, flags, seq, ack, data, **more)

    def back(self, flags, seq=IRS + 1, ack=ISS + 1, data=b"", **more):
        return self.tcp("c", "b", 80, 40000, flags, seq, ack, data, **more)

    def goes(self, answer):
        return self.arrives(answer, "c")

    def comes(self, answer):
        return self.arrives(answer, "b")

    def refused(self, answer, reason="tcp_invalid"):
        self.drops(answer, "b", reason)

    def state(self):
        flows = self.flows()
        return flows[0]["state"] if flows else None


class Opening(Tcp):
    def test_only_a_syn_begins(self):
        for flags in ("A", "SA", "FA", "R", "RA", "PA", "F", "", "FPU", "SF", "SR", "SFRPA"):
            self.refused(self.forth(flags), "tcp_not_syn")
        self.assertEqual(self.flows(), [])
        self.goes(self.forth("S", ISS, 0))
        self.assertEqual(self.state(), "new")

    def test_from_the_other_side_too(self):
        self.group("server", EGRESS + [rule(protocol="tcp")], "b")
        for flags in ("A", "SA", "FA", "R", "RA", "PA"):
            self.refused(self.back(flags), "tcp_not_syn")
        self.comes(self.back("S", IRS, 0))

    def test_ecn_setup(self):
        """RFC 3168, 6.1.1: a SYN with ECE and CWR is a SYN."""
        self.goes(self.forth("SEC", ISS, 0))
        self.comes(self.back("SAE", IRS))

    def test_handshake(self):
        self.goes(self.forth("S", ISS, 0))
        self.assertEqual(self.state(), "new")
        self.comes(self.back("SA", IRS))
        self.assertEqual(self.state(), "replied")
        self.goes(self.forth("A"))
        self.assertEqual(self.state(), "established")

    def test_syn_is_sent_again(self):
        for _ in range(3):
            self.goes(self.forth("S", ISS, 0))
        self.comes(self.back("SA", IRS))
        self.comes(self.back("SA", IRS))
        self.goes(self.forth("A"))

    def test_another_syn_with_the_same_ports(self):
        """The first one was given up (the port is used again within the time of the flow)."""
        self.goes(self.forth("S", ISS, 0))
        self.goes(self.forth("S", 77000, 0))
        self.refused(self.back("SA", IRS, ISS + 1))
        self.comes(self.back("SA", IRS, 77001))
        self.goes(self.forth("A", 77001))

    def test_answer_that_answers_nothing(self):
        """A SYN/ACK that acknowledges what was not sent is none of ours."""
        self.goes(self.forth("S", ISS, 0))
        for ack in (ISS, ISS + 2, 0, ISS + (1 << 31)):
            self.refused(self.back("SA", IRS, ack))
        self.comes(self.back("SA", IRS))

    def test_data_before_the_handshake(self):
        self.goes(self.forth("S", ISS, 0))
        self.refused(self.back("PA", IRS, ISS + 1, b"data"))
        self.refused(self.forth("PA", ISS + 1, IRS + 1, b"data"))
        self.refused(self.back("FA", IRS))

    def test_refused_by_the_peer(self):
        """RFC 9293, 3.10.7.3: its RST acknowledges the SYN."""
        self.goes(self.forth("S", ISS, 0))
        self.refused(self.back("RA", 0, ISS + 9))
        self.refused(self.back("R", 0, 0))
        self.comes(self.back("RA", 0, ISS + 1))
        self.assertEqual(self.state(), "closed")

    def test_simultaneous_open(self):
        """RFC 9293, 3.5, figure 7."""
        self.goes(self.forth("S", ISS, 0))
        self.comes(self.back("S", IRS, 0))
        self.goes(self.forth("SA", ISS, IRS + 1))
        self.comes(self.back("SA", IRS, ISS + 1))
        self.goes(self.forth("PA", data=b"both"))
        self.comes(self.back("PA", ack=ISS + 5, data=b"both"))

    def test_challenge_of_an_old_connection(self):
        """RFC 9293, 3.5.1, figure 9: the peer still has an old one: its bare ACK is answered with RST, and then a SYN is new."""
        self.goes(self.forth("S", ISS, 0))
        self.comes(self.back("A", 999000, 888000))
        self.goes(self.forth("R", 888000, 0))
        self.goes(self.forth("S", ISS, 0))
        self.comes(self.back("SA", IRS))

    def test_time_of_an_opening(self):
        self.goes(self.forth("S", ISS, 0))
        self.advance(29)
        self.comes(self.back("SA", IRS))
        self.advance(32)
        self.refused(self.back("A"), "tcp_not_syn")

    def test_fast_open(self):
        """RFC 7413: data in the SYN and in its answer."""
        self.goes(self.forth("S", ISS, 0, b"hello"))
        self.comes(self.back("SA", IRS, ISS + 6, b"welcome"))
        self.goes(self.forth("A", ISS + 6, IRS + 8))


class Windows(Tcp):
    def setUp(self):
        super().setUp()
        self.connect("b", "c")

    def test_data_both_ways(self):
        self.goes(self.forth("PA", data=b"x" * 1000))
        self.comes(self.back("A", ack=ISS + 1001))
        self.comes(self.back("PA", ack=ISS + 1001, data=b"y" * 1000))
        self.goes(self.forth("A", ISS + 1001, IRS + 1001))

    def test_out_of_order_and_again(self):
        self.goes(self.forth("A", ISS + 1001, data=b"x" * 1000))
        self.goes(self.forth("A", ISS + 1, data=b"x" * 1000))
        self.goes(self.forth("A", ISS + 1, data=b"x" * 1000))
        self.comes(self.back("A", ack=ISS + 2001))

    def test_keep_alive(self):
        """RFC 9293, 3.8.4: a byte before the next one."""
        self.goes(self.forth("A", ISS))
        self.comes(self.back("A", IRS))

    def test_poisoning_by_sequence(self):
        """What nobody could have sent passes to nobody and moves nothing: the window is still where it was."""
        for seq in (IRS + 1 + 65536, IRS + (1 << 31), IRS - 70000, 0x90000000):
            self.refused(self.back("PA", seq, data=b"evil"))
        for ack in (ISS + 2, ISS + 100000, ISS + (1 << 31), ISS - 70000):
            self.refused(self.back("A", ack=ack))
        self.comes(self.back("PA", data=b"good"))
        self.assertEqual(self.state(), "established")

    def test_poisoning_does_not_open_a_window(self):
        """A huge window in a segment that is refused is not believed."""
        self.refused(self.back("A", IRS + (1 << 30), window=65535))
        self.refused(self.forth("A", ISS + 1 + 70000, data=b"x"))

    def test_no_acknowledgement(self):
        """RFC 9293, 3.10.7.4: all but the SYN and some RST acknowledge."""
        self.refused(self.back("P", data=b"x"))
        self.refused(self.back("F"))
        self.refused(self.back(""))

    def test_small_window(self):
        """A side that gives no window is sent its probe (RFC 9293, 3.8.6.1) and no more."""
        self.comes(self.back("A", window=0))
        self.goes(self.forth("PA", data=b"x"))

    def test_scale(self):
        """RFC 7323: windows of both are scaled as both offered."""
        for first, second, seq, good in ((7, 7, 100000, True), (7, None, 100000, False), (None, 7, 100000, False), (14, 14, 900000, True)):
            port = 41000 + seq // 100 + (first or 0) * 3 + (second or 0)
            options = [[("WScale", n)] if n is not None else [] for n in (first, second)]
            self.goes(self.tcp("b", "c", port, 80, "S", ISS, 0, options=options[0]))
            self.comes(self.tcp("c", "b", 80, port, "SA", IRS, ISS + 1, options=options[1]))
            self.goes(self.tcp("b", "c", port, 80, "A", ISS + 1, IRS + 1, window=1000))
            self.comes(self.tcp("c", "b", 80, port, "A", IRS + 1, ISS + 1, window=60000))
            far = self.tcp("b", "c", port, 80, "A", ISS + seq, IRS + 1, b"x")
            self.goes(far) if good else self.refused(far)

    def test_sequence_wraps(self):
        high = 0xfffffff0
        self.goes(self.tcp("b", "c", 43000, 80, "S", high, 0))
        self.comes(self.tcp("c", "b", 80, 43000, "SA", high, high + 1))
        self.goes(self.tcp("b", "c", 43000, 80, "A", high + 1, high + 1, b"x" * 100))
        self.comes(self.tcp("c", "b", 80, 43000, "A", high + 1, (high + 101) & 0xffffffff, b"y" * 100))
        self.goes(self.tcp("b", "c", 43000, 80, "A", (high + 101) & 0xffffffff, (high + 101) & 0xffffffff))

    def test_urgent_and_push_and_reserved(self):
        self.comes(self.back("PAU", data=b"x"))

    def test_syn_on_a_live_connection(self):
        """RFC 5961, 4.2: it passes, the end point challenges it, and nothing is changed by it."""
        self.comes(self.back("S", 123456, 0))
        self.assertEqual(self.state(), "established")
        self.goes(self.forth("A"))
        self.comes(self.back("PA", data=b"on"))

    def test_half_open(self):
        """RFC 9293, 3.5.1: b has lost its memory, and so has c: SYN, SYN/ACK, and it is a new connection."""
        self.goes(self.forth("S", 700000, 0))
        self.comes(self.back("SA", 800000, 700001))
        self.goes(self.forth("A", 700001, 800001))
        self.comes(self.back("PA", 800001, 700001, b"new"))
        self.refused(self.back("PA", data=b"old"))


class Resets(Tcp):
    def setUp(self):
        super().setUp()
        self.connect("b", "c")

    def test_exact(self):
        self.comes(self.back("R", ack=0))
        self.assertEqual(self.state(), "closed")

    def test_own(self):
        self.goes(self.forth("RA"))
        self.assertEqual(self.state(), "closed")

    def test_in_the_window(self):
        """RFC 5961, 3.2: it is the end point's to challenge; the flow lives."""
        self.comes(self.back("R", IRS + 500, 0))
        self.assertEqual(self.state(), "established")
        self.comes(self.back("PA", data=b"on"))

    def test_outside_of_the_window(self):
        for seq in (IRS + 1 + 65536, IRS - 70000, IRS + (1 << 31), 0):
            self.refused(self.back("R", seq, 0))
            self.refused(self.forth("RA", seq + 9999999))
        self.assertEqual(self.state(), "established")
        self.comes(self.back("PA", data=b"on"))

    def test_after_a_reset(self):
        """It lingers, so that what was under way is no new flow's business, and the other RST gets through; then it is gone."""
        self.goes(self.forth("RA"))
        self.comes(self.back("RA"))
        self.advance(9)
        self.assertEqual(self.state(), "closed")
        self.advance(3)
        self.assertEqual(self.flows(), [])
        self.refused(self.back("A"), "tcp_not_syn")

    def test_with_syn_or_fin(self):
        for flags in ("SR", "SF", "SRA", "SFA"):
            self.refused(self.back(flags))
        self.assertEqual(self.state(), "established")


class Closing(Tcp):
    def setUp(self):
        super().setUp()
        self.connect("b", "c")

    def close(self):
        self.goes(self.forth("FA"))
        self.comes(self.back("A", ack=ISS + 2))
        self.comes(self.back("FA", ack=ISS + 2))
        self.goes(self.forth("A", ISS + 2, IRS + 2))

    def test_both_fin(self):
        self.goes(self.forth("FA"))
        self.assertEqual(self.state(), "closing")
        self.comes(self.back("A", ack=ISS + 2))
        self.assertEqual(self.state(), "closing")
        self.comes(self.back("FA", ack=ISS + 2))
        self.assertEqual(self.state(), "closing")
        self.goes(self.forth("A", ISS + 2, IRS + 2))
        self.assertEqual(self.state(), "closed")

    def test_half_closed(self):
        """One side is done, the other sends on, for longer than a closed one lingers."""
        self.goes(self.forth("FA"))
        self.comes(self.back("A", ack=ISS + 2))
        self.advance(60)
        self.comes(self.back("PA", ack=ISS + 2, data=b"still here"))
        self.goes(self.forth("A", ISS + 2, IRS + 11))

    def test_simultaneous_close(self):
        self.goes(self.forth("FA"))
        self.comes(self.back("FA"))
        self.assertEqual(self.state(), "closing")
        self.comes(self.back("A", IRS + 2, ISS + 2))
        self.goes(self.forth("A", ISS + 2, IRS + 2))
        self.assertEqual(self.state(), "closed")

    def test_lingers(self):
        """The last ACK may be lost: FIN and ACK again pass meanwhile."""
        self.close()
        self.comes(self.back("FA", ack=ISS + 2))
        self.goes(self.forth("A", ISS + 2, IRS + 2))
        self.advance(9)
        self.assertEqual(self.state(), "closed")
        self.advance(3)
        self.assertEqual(self.flows(), [])

    def test_a_fin_that_is_forged(self):
        self.refused(self.back("FA", IRS + (1 << 30)))
        self.assertEqual(self.state(), "established")

    def test_reopened(self):
        """RFC 9293, 3.6.1, RFC 6191: the same ports again, by who began."""
        self.close()
        self.goes(self.forth("S", 500000, 0))
        self.comes(self.back("SA", 600000, 500001))
        self.goes(self.forth("A", 500001, 600001))
        self.assertEqual(self.state(), "established")
        self.refused(self.back("PA", data=b"old"))

    def test_reopened_by_the_other_side(self):
        """Which is a new connection in a direction that b's group does not allow."""
        self.close()
        self.refused(self.back("S", 600000, 0), "security_group_in")

    def test_reopened_counts_as_new(self):
        self.close()
        created = self.counters("b")["flows_created"]
        self.goes(self.forth("S", 500000, 0))
        self.assertEqual((self.counters("b")["flows_created"], self.counters("b")["flows"]), (created + 1, 1))


class Timeouts(Case):
    def setUp(self):
        super().setUp()
        self.group("client", EGRESS, "b")

    def lasts(self, seconds, answer, reason):
        """It passes a second before, which is a packet and begins the time anew; and not two seconds after."""
        self.advance(seconds - 1)
        self.arrives(answer(), "b")
        self.advance(seconds + 2)
        self.assertEqual(self.flows(), [])
        self.drops(answer(), "b", reason)

    def test_tcp_established(self):
        self.connect("b", "c")
        self.lasts(350, lambda: self.tcp("c", "b", 80, 40000, "A", 5001, 1001), "tcp_not_syn")

    def test_udp(self):
        self.arrives(self.udp("b", "c", 1, 2), "c")
        self.lasts(30, lambda: self.udp("c", "b", 2, 1), "security_group_in")

    def test_udp_stream(self):
        """More than two packets, both ways."""
        for _ in range(2):
            self.arrives(self.udp("b", "c", 1, 2), "c")
            self.arrives(self.udp("c", "b", 2, 1), "b")
        self.lasts(180, lambda: self.udp("c", "b", 2, 1), "security_group_in")

    def test_udp_one_way_is_no_stream(self):
        for _ in range(50):
            self.arrives(self.udp("b", "c", 1, 2), "c")
        self.advance(32)
        self.drops(self.udp("c", "b", 2, 1), "b", "security_group_in")

    def test_echo(self):
        self.arrives(self.ping("b", "c", 3), "c")
        self.lasts(30, lambda: self.pong("c", "b", 3), "icmp_unrelated")

    def test_others(self):
        self.arrives(self.go("b", "c", Raw(b"x"), proto=47), "c")
        self.lasts(600, lambda: self.go("c", "b", Raw(b"x"), proto=47), "security_group_in")

    def test_of_the_eni(self):
        """Each to be set by ENI, as AWS has it."""
        self.put("eni", "b", tcp_established_s=60, udp_s=5, udp_stream_s=20, other_s=40)
        self.connect("b", "c")
        self.lasts(60, lambda: self.tcp("c", "b", 80, 40000, "A", 5001, 1001), "tcp_not_syn")
        self.arrives(self.udp("b", "c", 1, 2), "c")
        self.lasts(5, lambda: self.udp("c", "b", 2, 1), "security_group_in")
        self.arrives(self.go("b", "c", Raw(b"x"), proto=47), "c")
        self.lasts(40, lambda: self.go("c", "b", Raw(b"x"), proto=47), "security_group_in")
        for _ in range(2):
            self.arrives(self.udp("b", "c", 1, 2), "c")
            self.arrives(self.udp("c", "b", 2, 1), "b")
        self.lasts(20, lambda: self.udp("c", "b", 2, 1), "security_group_in")

    def test_the_table_is_empty_at_the_end(self):
        for n in range(200):
            self.udp("b", "c", 1000 + n, 53)
        self.assertEqual((self.counters("b")["flows"], self.counters()["flows"]), (200, 200))
        self.advance(40)
        self.assertEqual((self.counters("b")["flows"], self.counters()["flows"], self.counters()["flows_expired"]), (0, 0, 200))

    def test_refused_packets_keep_nothing_alive(self):
        """What is out of the window does not renew the time."""
        self.connect("b", "c")
        for _ in range(8):
            self.advance(50)
            self.tcp("c", "b", 80, 40000, "A", 5001 + (1 << 30), 1001)
        self.assertEqual(self.flows(), [])


if __name__ == "__main__":
    tap.main()
