#!/usr/bin/python3
"""vpc.md: "ARP, IPv6 ND, ... router advertisements ... are answered by the card". Byte by byte what scapy would build."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect,  # noqa: E402
                                ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr)

A, B, D = ENIS["a"], ENIS["b"], ENIS["d"]
BROADCAST = "ff:ff:ff:ff:ff:ff"
GATEWAY_LINK_LOCAL = "fe80::c00:ff:fe00:1"  # EUI-64 of 0e:00:00:00:00:01
A_LINK_LOCAL = "fe80::ff:fe00:10a"
FOREVER = 0xffffffff


class Arp(Case):
    def ask(self, target, source=A.ip, dst=BROADCAST):
        return self.send("a", Ether(src=A.mac, dst=dst) / ARP(op=1, hwsrc=A.mac, psrc=source, pdst=target))

    def is_at(self, answer, target, mac, asker=A.ip):
        frame = self.answered(answer, "a")
        self.assertEqual(bytes(frame), bytes(Ether(dst=A.mac, src=mac) / ARP(
            hwtype=1, ptype=0x0800, hwlen=6, plen=4, op=2, hwsrc=mac, psrc=target, hwdst=A.mac, pdst=asker)))

    def test_gateway(self):
        self.is_at(self.ask("10.0.1.1"), "10.0.1.1", GATEWAY_MAC)

    def test_gateway_asked_unicast(self):
        """RFC 1122, 2.3.2.1: a unicast poll."""
        self.is_at(self.ask("10.0.1.1", dst=GATEWAY_MAC), "10.0.1.1", GATEWAY_MAC)

    def test_services(self):
        for address in ("169.254.169.254", "169.254.169.253"):
            self.is_at(self.ask(address), address, GATEWAY_MAC)

    def test_neighbours_here_and_there(self):
        self.is_at(self.ask(B.ip), B.ip, B.mac)
        self.is_at(self.ask(ENIS["c"].ip), ENIS["c"].ip, ENIS["c"].mac)

    def test_asked_without_an_address(self):
        """RFC 5227, 2.1.1: a probe of an address that another has is answered, to nobody's address."""
        self.is_at(self.ask(B.ip, source="0.0.0.0"), B.ip, B.mac, asker="0.0.0.0")

    def test_own_address(self):
        """RFC 5227: an answer to a probe or announcement of the own address would be a conflict."""
        self.silent(self.ask(A.ip, source="0.0.0.0"))
        self.silent(self.ask(A.ip, source=A.ip))

    def test_nobody(self):
        for address in ("10.0.1.99", "10.0.2.10", "10.0.2.1", "192.0.2.1", "8.8.8.8", "10.0.1.255", "10.0.1.0", "169.254.1.1"):
            self.silent(self.ask(address))

    def test_neighbour_that_comes_and_goes(self):
        self.silent(self.ask("10.0.1.30"))
        self.add_eni(eni("new", 1, 30))
        self.is_at(self.ask("10.0.1.30"), "10.0.1.30", "02:00:00:00:01:1e")
        self.apply([self.gone("eni", "new")])
        self.silent(self.ask("10.0.1.30"))

    def test_padding_of_short_frames(self):
        """A frame as long as Ethernet wants it; what lies behind the request is not part of it."""
        frame = bytes(Ether(src=A.mac, dst=BROADCAST) / ARP(op=1, hwsrc=A.mac, psrc=A.ip, pdst="10.0.1.1")) + b"\xa5" * 18
        answer = self.bench.answer("eni a " + frame.hex())
        self.assertNotIn(b"\xa5", answer.out[0].data)
        self.is_at(answer, "10.0.1.1", GATEWAY_MAC)

    def test_malformed(self):
        for change in ({"hwtype": 6}, {"ptype": 0x86dd}, {"hwlen": 8}, {"plen": 16}):
            fields = dict(op=1, hwsrc=A.mac, psrc=A.ip, pdst="10.0.1.1")
            good = bytes(Ether(src=A.mac, dst=BROADCAST) / ARP(**fields))
            at = {"hwtype": 14, "ptype": 16, "hwlen": 18, "plen": 19}
            key, value = next(iter(change.items()))
            size = 2 if key.endswith("type") else 1
            bad = good[:at[key]] + value.to_bytes(size, "big") + good[at[key] + size:]
            self.drops(self.bench.answer("eni a " + bad.hex()), "a", "malformed")
        self.drops(self.bench.answer("eni a " + good[:41].hex()), "a", "malformed")

    def test_reverse_arp_and_others_are_silent(self):
        for op in (2, 3, 8, 9):
            self.silent(self.send("a", Ether(src=A.mac, dst=BROADCAST) / ARP(op=op, hwsrc=A.mac, psrc=A.ip, pdst="10.0.1.1")))


class Neighbours6(Case):
    def ask(self, target, source=A.ip6, option=True, hops=255, code=0):
        last = target.split(":")[-1]
        to = f"ff02::1:ff00:{last}"
        request = ICMPv6ND_NS(tgt=target, code=code)
        if option:
            request = request / ICMPv6NDOptSrcLLAddr(lladdr=A.mac)
        mac = "33:33:ff:00:" + ":".join(f"{int(last, 16):04x}"[i:i + 2] for i in (0, 2))
        return self.send("a", Ether(src=A.mac, dst=mac) / IPv6(src=source, dst=to, hlim=hops) / request)

    def is_at(self, answer, target, mac, router, to=A.ip6, solicited=1):
        frame = self.answered(answer, "a")
        self.assertEqual(bytes(frame), bytes(
            Ether(dst=A.mac, src=mac) / IPv6(src=target, dst=to, hlim=255, tc=0, fl=0) /
            ICMPv6ND_NA(R=router, S=solicited, O=1, tgt=target) / ICMPv6NDOptDstLLAddr(lladdr=mac)))

    def test_gateway(self):
        self.is_at(self.ask("fd00:1:0:1::1"), "fd00:1:0:1::1", GATEWAY_MAC, 1)

    def test_gateway_link_local(self):
        self.is_at(self.ask(GATEWAY_LINK_LOCAL), GATEWAY_LINK_LOCAL, GATEWAY_MAC, 1)

    def test_neighbours_here_and_there(self):
        self.is_at(self.ask(B.ip6), B.ip6, B.mac, 0)
        self.is_at(self.ask(ENIS["c"].ip6), ENIS["c"].ip6, ENIS["c"].mac, 0)

    def test_services(self):
        for address in ("fd00:ec2::254", "fd00:ec2::253"):
            self.is_at(self.ask(address), address, GATEWAY_MAC, 1)

    def test_from_link_local(self):
        self.is_at(self.ask("fd00:1:0:1::1", source=A_LINK_LOCAL), "fd00:1:0:1::1", GATEWAY_MAC, 1, to=A_LINK_LOCAL)

    def test_unreachability_probe(self):
        """RFC 4861, 7.3: unicast, and without an option."""
        frame = Ether(src=A.mac, dst=GATEWAY_MAC) / IPv6(src=A.ip6, dst="fd00:1:0:1::1", hlim=255) / ICMPv6ND_NS(tgt="fd00:1:0:1::1")
        self.is_at(self.send("a", frame), "fd00:1:0:1::1", GATEWAY_MAC, 1)

    def test_duplicate_address_detection(self):
        """RFC 4862, 5.4: nobody else has the own address; who has another's is told so, at the all-nodes address."""
        self.silent(self.ask(A.ip6, source="::", option=False))
        self.is_at(self.ask(B.ip6, source="::", option=False), B.ip6, B.mac, 0, to="ff02::1", solicited=0)

    def test_nobody(self):
        for address in ("fd00:1:0:1::99", "fd00:1:0:2::1", "2001:db8::1", "fe80::99", "fd00:ec2::23"):
            self.silent(self.ask(address))

    def test_not_from_this_link(self):
        """RFC 4861, 7.1.1: hop limit 255 and code 0, or it is not believed."""
        self.drops(self.ask("fd00:1:0:1::1", hops=254), "a", "malformed")
        self.drops(self.ask("fd00:1:0:1::1", hops=1), "a", "malformed")
        self.drops(self.ask("fd00:1:0:1::1", code=1), "a", "malformed")

    def test_advertisements_and_redirects_of_guests(self):
        for message in (ICMPv6ND_NA(tgt=A.ip6, O=1) / ICMPv6NDOptDstLLAddr(lladdr=A.mac), ICMPv6ND_RA(),
                        ICMPv6ND_Redirect(tgt=A.ip6, dst=B.ip6)):
            for mac, ip in (("33:33:00:00:00:01", "ff02::1"), (B.mac, B.ip6), (GATEWAY_MAC, D.ip6)):
                self.silent(self.send("a", Ether(src=A.mac, dst=mac) / IPv6(src=A.ip6, dst=ip, hlim=255) / message))

    def test_echo_of_the_gateway(self):
        for address in ("fd00:1:0:1::1", GATEWAY_LINK_LOCAL):
            frame = self.answered(self.send("a", Ether(src=A.mac, dst=GATEWAY_MAC) / IPv6(src=A_LINK_LOCAL, dst=address) /
                                            ICMPv6EchoRequest(id=9, seq=2, data=b"hello")), "a")
            self.assertEqual((frame[IPv6].src, frame[IPv6].dst, frame[ICMPv6EchoReply].id, frame[ICMPv6EchoReply].seq,
                              frame[ICMPv6EchoReply].data), (address, A_LINK_LOCAL, 9, 2, b"hello"))


class RouterAdvertisement(Case):
    def ask(self, source=A_LINK_LOCAL, hops=255):
        request = ICMPv6ND_RS() if source == "::" else ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=A.mac)
        return self.send("a", Ether(src=A.mac, dst="33:33:00:00:00:02") / IPv6(src=source, dst="ff02::2", hlim=hops) / request)

    def expected(self, to, mtu):
        """RFC 4861, 4.2: M and O, the prefix on the link and not for making addresses (they come by DHCPv6), the MTU."""
        return bytes(Ether(dst=A.mac, src=GATEWAY_MAC) / IPv6(src=GATEWAY_LINK_LOCAL, dst=to, hlim=255) /
                     ICMPv6ND_RA(chlim=64, M=1, O=1, H=0, prf=0, P=0, routerlifetime=1800, reachabletime=0, retranstimer=0) /
                     ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY_MAC) / ICMPv6NDOptMTU(mtu=mtu) /
                     ICMPv6NDOptPrefixInfo(prefixlen=64, L=1, A=0, R=0, validlifetime=FOREVER, preferredlifetime=FOREVER,
                                           prefix="fd00:1:0:1::"))

    def test_to_who_asked(self):
        self.assertEqual(bytes(self.answered(self.ask(), "a")), self.expected(A_LINK_LOCAL, 1450))

    def test_to_who_has_no_address(self):
        self.assertEqual(bytes(self.answered(self.ask("::"), "a")), self.expected("ff02::1", 1450))

    def test_mtu_of_the_vpc(self):
        self.put("vpc", "v", mtu=1400)
        self.assertEqual(bytes(self.answered(self.ask(), "a")), self.expected(A_LINK_LOCAL, 1400))

    def test_not_from_this_link(self):
        self.drops(self.ask(hops=64), "a", "malformed")

    def test_no_ipv6_no_router(self):
        self.apply([self.object("subnet", "four", vpc="v", cidr="10.0.4.0/24"),
                    self.object("eni", "four", subnet="four", mac="02:00:00:00:04:0a", addresses=["10.0.4.10"],
                                security_groups=["open"])])
        self.bench.do("attach four")
        request = Ether(src="02:00:00:00:04:0a", dst="33:33:00:00:00:02") / IPv6(src="fe80::1", dst="ff02::2", hlim=255) / ICMPv6ND_RS()
        self.silent(self.send("four", request))


class Echo(Case):
    def test_gateway_and_services(self):
        for address in ("10.0.1.1", "169.254.169.254", "169.254.169.253", "10.0.0.2"):
            request = IP(src=A.ip, dst=address, id=77, ttl=3) / ICMP(type=8, id=5, seq=6) / Raw(b"abcdefg")
            frame = self.answered(self.send("a", Ether(src=A.mac, dst=GATEWAY_MAC) / request), "a")
            self.assertEqual(bytes(frame), bytes(Ether(dst=A.mac, src=GATEWAY_MAC) / IP(
                src=address, dst=A.ip, id=0, ttl=64, flags="DF") / ICMP(type=0, id=5, seq=6) / Raw(b"abcdefg")))

    def test_gateway_of_another_subnet(self):
        """It is nobody in the VPC: only the own one answers."""
        self.drops(self.ping("a", "10.0.2.1"), "a", "no_mapping")

    def test_closed_ports_of_services(self):
        """RFC 1122, 3.2.2.1: port unreachable, with what it is about; RFC 9293, 3.10.7.1: RST."""
        asked = IP(src=A.ip, dst="169.254.169.254") / UDP(sport=5, dport=6) / Raw(b"x")
        frame = self.answered(self.send("a", Ether(src=A.mac, dst=GATEWAY_MAC) / asked), "a")
        self.assertEqual((frame[ICMP].type, frame[ICMP].code, frame[IP].src), (3, 3, "169.254.169.254"))
        self.assertEqual(bytes(frame[ICMP].payload), bytes(asked))
        frame = self.answered(self.tcp("a", "169.254.169.254", 5, 443, "S", 100), "a")
        self.assertEqual((frame[TCP].flags, frame[TCP].seq, frame[TCP].ack), ("RA", 0, 101))
        frame = self.answered(self.tcp("a", "169.254.169.254", 5, 443, "A", 100, 777), "a")
        self.assertEqual((frame[TCP].flags, frame[TCP].seq), ("R", 777))
        self.silent(self.tcp("a", "169.254.169.254", 5, 443, "R", 100))

    def test_what_others_send_to_services_is_not_carried(self):
        """No packet for a link-local service leaves the card, and none comes from there."""
        inner = Ether(src=ENIS["c"].mac, dst=A.mac) / IP(src="169.254.169.254", dst=A.ip) / UDP(sport=80, dport=80)
        self.drops(self.tunnelled(inner), "a", "spoofed_ip")


if __name__ == "__main__":
    tap.main()
