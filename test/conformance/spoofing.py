#!/usr/bin/python3
"""vpc.md: "anti-spoof (source MAC/IP belong to the ENI)", "no broadcast crosses the overlay"."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.inet6 import ICMPv6MLReport2, ICMPv6ND_NS  # noqa: E402
from scapy.layers.l2 import Dot1Q  # noqa: E402

STRANGER = "02:00:00:00:00:99"


class Spoofing(Case):
    def test_own_addresses_pass(self):
        self.arrives(self.udp("a", "b"), "b")
        self.arrives(self.udp("a", "b", v6=True), "b")
        self.arrives(self.udp("a", "c"), "c")

    def test_source_mac(self):
        for v6 in (False, True):
            packet = self.packet("a", "b", UDP(sport=1, dport=2), v6)
            packet.src = STRANGER
            self.drops(self.send("a", packet), "a", "spoofed_mac")
            packet.src = ENIS["b"].mac
            self.drops(self.send("a", packet), "a", "spoofed_mac")

    def test_source_ipv4(self):
        for source in ("10.0.1.99", ENIS["b"].ip, ENIS["d"].ip, "10.0.1.1", "192.0.2.1", "0.0.0.0", "127.0.0.1", "169.254.169.254",
                       "255.255.255.255", "224.0.0.1", OUTSIDE):
            packet = self.ether("a", "b") / IP(src=source, dst=ENIS["b"].ip) / UDP(sport=1, dport=2)
            self.drops(self.send("a", packet), "a", "spoofed_ip")

    def test_source_ipv6(self):
        for source in ("fd00:1:0:1::99", ENIS["b"].ip6, "fd00:1:0:1::1", "::1", "fe80::1", "ff02::1", "2001:db8::1", "::"):
            packet = self.ether("a", "b") / IPv6(src=source, dst=ENIS["b"].ip6) / UDP(sport=1, dport=2)
            self.drops(self.send("a", packet), "a", "spoofed_ip")

    def test_every_address_of_the_eni(self):
        self.put("eni", "a", addresses=[ENIS["a"].ip, "10.0.1.20", ENIS["a"].ip6])
        packet = self.ether("a", "b") / IP(src="10.0.1.20", dst=ENIS["b"].ip) / UDP(sport=1, dport=2)
        self.arrives(self.send("a", packet), "b")

    def test_address_taken_away(self):
        self.arrives(self.udp("a", "b", 1, 2), "b")
        self.put("eni", "a", addresses=["10.0.1.21"])
        self.drops(self.udp("a", "b", 1, 2), "a", "spoofed_ip")

    def test_arp_sender(self):
        def ask(hwsrc, psrc, source=ENIS["a"].mac):
            return self.send("a", Ether(src=source, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=hwsrc, psrc=psrc, pdst="10.0.1.1"))
        self.answered(ask(ENIS["a"].mac, ENIS["a"].ip), "a")
        self.drops(ask(ENIS["a"].mac, ENIS["b"].ip), "a", "spoofed_ip")
        self.drops(ask(ENIS["a"].mac, "10.0.1.1"), "a", "spoofed_ip")
        self.drops(ask(ENIS["b"].mac, ENIS["a"].ip), "a", "spoofed_mac")
        self.drops(ask(ENIS["a"].mac, ENIS["a"].ip, STRANGER), "a", "spoofed_mac")

    def test_arp_reply_poisoning_reaches_nobody(self):
        for dst in ("ff:ff:ff:ff:ff:ff", ENIS["b"].mac):
            claim = ARP(op=2, hwsrc=ENIS["a"].mac, psrc="10.0.1.1", hwdst=ENIS["b"].mac, pdst=ENIS["b"].ip)
            self.drops(self.send("a", Ether(src=ENIS["a"].mac, dst=dst) / claim), "a", "spoofed_ip")
            own = ARP(op=2, hwsrc=ENIS["a"].mac, psrc=ENIS["a"].ip, hwdst=ENIS["b"].mac, pdst=ENIS["b"].ip)
            self.silent(self.send("a", Ether(src=ENIS["a"].mac, dst=dst) / own))

    def test_source_dest_check_off(self):
        """A router: other people's addresses, but its own MAC, and in ARP nobody's address but its own."""
        self.put("eni", "a", source_dest_check=False)
        packet = self.ether("a", "b") / IP(src="172.16.0.1", dst=ENIS["b"].ip) / UDP(sport=1, dport=2)
        self.arrives(self.send("a", packet), "b")
        packet.src = STRANGER
        self.drops(self.send("a", packet), "a", "spoofed_mac")
        ask = ARP(op=1, hwsrc=ENIS["a"].mac, psrc="172.16.0.1", pdst="10.0.1.1")
        self.drops(self.send("a", Ether(src=ENIS["a"].mac, dst="ff:ff:ff:ff:ff:ff") / ask), "a", "spoofed_ip")

    def test_a_router_is_nobodys_service(self):
        """RFC 1812, 5.3.7: not even who forwards for others may send as a resolver, as loopback or as a group."""
        self.put("eni", "a", source_dest_check=False)
        for source in ("169.254.169.253", "169.254.169.254", "127.0.0.1", "0.1.2.3", "224.0.0.1", "255.255.255.255"):
            packet = self.ether("a", "b") / IP(src=source, dst=ENIS["b"].ip) / UDP(sport=53, dport=2)
            self.drops(self.send("a", packet), "a", "spoofed_ip")
        for source in ("::1", "ff02::1", "fe80::1"):
            packet = self.ether("a", "b") / IPv6(src=source, dst=ENIS["b"].ip6) / UDP(sport=53, dport=2)
            self.drops(self.send("a", packet), "a", "spoofed_ip")

    def test_source_dest_check_of_the_receiver(self):
        """What is for another address reaches a MAC that forwards, and no other (a frame of another card can say so)."""
        inner = Ether(src=ENIS["c"].mac, dst=ENIS["a"].mac) / IP(src=ENIS["c"].ip, dst="172.16.0.1") / UDP(sport=1, dport=2)
        self.drops(self.tunnelled(inner), "a", "no_mapping")
        self.put("eni", "a", source_dest_check=False)
        self.arrives(self.tunnelled(inner), "a")

    def test_neighbour_discovery_of_another(self):
        """An advertisement for somebody else's address goes nowhere; a solicitation in another's name neither."""
        ask = IPv6(src=ENIS["b"].ip6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fd00:1:0:1::1")
        self.drops(self.send("a", Ether(src=ENIS["a"].mac, dst="33:33:ff:00:00:01") / ask), "a", "spoofed_ip")

    def test_vlan_tags(self):
        packet = self.ether("a", "b") / Dot1Q(vlan=5) / IP(src=ENIS["a"].ip, dst=ENIS["b"].ip) / UDP(sport=1, dport=2)
        self.drops(self.send("a", packet), "a", "ethertype")

    def test_other_ethertypes(self):
        for ethertype in (0x88cc, 0x8035, 0x0842, 0x8847, 0x0006):
            self.drops(self.send("a", Ether(src=ENIS["a"].mac, dst=ENIS["b"].mac, type=ethertype) / (b"\0" * 46)), "a", "ethertype")

    def test_wrong_destination_mac(self):
        """Neither the gateway nor the neighbour whose address it is for."""
        for to, mac in (("b", STRANGER), ("b", ENIS["c"].mac), ("d", ENIS["d"].mac), ("c", ENIS["b"].mac)):
            packet = self.packet("a", to, UDP(sport=1, dport=2))
            packet.dst = mac
            self.drops(self.send("a", packet), "a", "wrong_destination_mac")
        packet = self.packet("a", "b", UDP(sport=1, dport=2))
        packet.dst = GATEWAY_MAC
        self.arrives(self.send("a", packet), "b")

    def test_ipv4_mapped(self):
        """An IPv4-mapped address in an IPv6 header would be another's IPv4 address in every table of the card."""
        for source, to in (("::ffff:10.0.1.10", ENIS["b"].ip6), (ENIS["a"].ip6, "::ffff:10.0.1.11")):
            packet = self.ether("a", "b") / IPv6(src=source, dst=to) / UDP(sport=1, dport=2)
            self.drops(self.send("a", packet), "a", "malformed")


class Broadcast(Case):
    def test_ethernet_broadcast_and_multicast(self):
        for mac, ip in (("ff:ff:ff:ff:ff:ff", "255.255.255.255"), ("ff:ff:ff:ff:ff:ff", "10.0.1.255"),
                        ("ff:ff:ff:ff:ff:ff", ENIS["b"].ip), ("01:00:5e:00:00:fb", "224.0.0.251")):
            packet = Ether(src=ENIS["a"].mac, dst=mac) / IP(src=ENIS["a"].ip, dst=ip) / UDP(sport=1, dport=5353)
            self.drops(self.send("a", packet), "a", "multicast")
        packet = Ether(src=ENIS["a"].mac, dst="33:33:00:00:00:fb") / IPv6(src=ENIS["a"].ip6, dst="ff02::fb") / UDP(sport=1, dport=5353)
        self.drops(self.send("a", packet), "a", "multicast")

    def internet(self):
        self.routes("s", (ANY4, "internet"))
        self.put("eip", "p", address="203.0.113.10", eni="a")

    def test_multicast_addresses_to_the_gateway(self):
        """RFC 1112, 7.1; RFC 1812, 5.3.5: a group's address in a frame for the gateway is a group's all the same, whatever the routes."""
        self.internet()
        for ip in ("224.0.0.1", "239.1.2.3", "255.255.255.255"):
            packet = Ether(src=ENIS["a"].mac, dst=GATEWAY_MAC) / IP(src=ENIS["a"].ip, dst=ip) / UDP(sport=1, dport=5353)
            self.drops(self.send("a", packet), "a", "multicast")
        packet = Ether(src=ENIS["a"].mac, dst=GATEWAY_MAC) / IPv6(src=ENIS["a"].ip6, dst="ff05::1") / UDP(sport=1, dport=5353)
        self.drops(self.send("a", packet), "a", "multicast")

    def test_link_local_is_not_forwarded(self):
        """RFC 3927, 2.7 and RFC 4291, 2.5.6: a router must not forward what is for a link-local address."""
        self.internet()
        self.drops(self.go("a", "169.254.1.1", UDP(sport=1, dport=2)), "a", "no_route")
        packet = Ether(src=ENIS["a"].mac, dst=GATEWAY_MAC) / IPv6(src=ENIS["a"].ip6, dst="fe80::99") / UDP(sport=1, dport=2)
        self.drops(self.send("a", packet), "a", "no_route")

    def test_loopback_and_nowhere(self):
        """RFC 1122, 3.2.1.3: never on a wire."""
        self.internet()
        for ip in ("127.0.0.1", "0.0.0.0", "0.1.2.3"):
            self.drops(self.go("a", ip, UDP(sport=1, dport=2)), "a", "no_route")

    def test_subnet_broadcast(self):
        packet = Ether(src=ENIS["a"].mac, dst=GATEWAY_MAC) / IP(src=ENIS["a"].ip, dst="10.0.1.255") / UDP(sport=1, dport=2)
        self.drops(self.send("a", packet), "a", "no_mapping")

    def test_listener_reports(self):
        """RFC 3810 reports are nobody's business here, and no error either."""
        packet = Ether(src=ENIS["a"].mac, dst="33:33:00:00:00:16") / IPv6(src="fe80::ff:fe00:10a", dst="ff02::16", hlim=1) / ICMPv6MLReport2()
        self.silent(self.send("a", packet))

    def test_from_the_overlay(self):
        """Another card is not believed either."""
        for mac in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "33:33:00:00:00:01"):
            self.drops(self.tunnelled(Ether(src=ENIS["c"].mac, dst=mac) / IP(src=ENIS["c"].ip, dst=ENIS["a"].ip) / UDP()), "wire", "multicast")

    def test_arp_over_the_overlay(self):
        ask = Ether(src=ENIS["c"].mac, dst=ENIS["a"].mac) / ARP(op=1, hwsrc=ENIS["c"].mac, psrc=ENIS["c"].ip, pdst=ENIS["a"].ip)
        self.drops(self.tunnelled(ask), "a", "ethertype")


if __name__ == "__main__":
    tap.main()
