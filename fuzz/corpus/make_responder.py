#!/usr/bin/python3
"""Writes the corpus of fuzz/responder.c: one request of each kind that the card answers, as scapy makes them."""
import os

from scapy.all import (ARP, BOOTP, DHCP, DNS, DNSQR, DNSRROPT, ICMP, IP, TCP, UDP, DHCP6_Confirm, DHCP6_InfoRequest, DHCP6_Rebind,
                       DHCP6_Request, DHCP6_Solicit, DHCP6OptClientId, DHCP6OptIA_NA, DHCP6OptIAAddress, DHCP6OptIA_PD,
                       DHCP6OptRapidCommit, DHCP6OptServerId, DUID_LL, Ether, ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6ND_NS, ICMPv6ND_RS,
                       ICMPv6NDOptSrcLLAddr, IPv6, Raw)

MAC, GATEWAY = "02:00:00:00:00:05", "0e:00:00:00:00:01"
ETHER = Ether(src=MAC, dst=GATEWAY)
BROADCAST = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff")
MULTICAST = Ether(src=MAC, dst="33:33:00:00:00:01")
CLIENT, SERVER = DUID_LL(lladdr=MAC), DUID_LL(lladdr=GATEWAY)


def dhcp(kind, client="0.0.0.0", **options):
    return (BROADCAST / IP(src=client, dst="255.255.255.255") / UDP(sport=68, dport=67) /
            BOOTP(chaddr=bytes.fromhex(MAC.replace(":", "")), ciaddr=client, xid=7) /
            DHCP(options=[("message-type", kind), *options.items(), ("param_req_list", [1, 3, 6, 26, 121]), "end"]))


def dhcp6(message):
    return (Ether(src=MAC, dst="33:33:00:01:00:02") / IPv6(src="fe80::5", dst="ff02::1:2") / UDP(sport=546, dport=547) / message /
            DHCP6OptClientId(duid=CLIENT))


def http(flags, data=b"", ack=0):
    return ETHER / IP(src="10.0.1.5", dst="169.254.169.254") / TCP(sport=4000, dport=80, flags=flags, seq=1, ack=ack) / Raw(data)


def dns(name, kind, **more):
    return ETHER / IP(src="10.0.1.5", dst="169.254.169.253") / UDP(sport=4000, dport=53) / DNS(rd=1, qd=DNSQR(qname=name, qtype=kind), **more)


ND = dict(src="fe80::5", dst="ff02::1:ff00:1", hlim=255)
IA = DHCP6OptIA_NA(iaid=1, ianaopts=[DHCP6OptIAAddress(addr="fd00:1::5"), DHCP6OptIAAddress(addr="fd00:1::9")])
FRAMES = {
    "arp-gateway": BROADCAST / ARP(op=1, hwsrc=MAC, psrc="10.0.1.5", pdst="10.0.1.1"),
    "arp-neighbour": BROADCAST / ARP(op=1, hwsrc=MAC, psrc="10.0.1.5", pdst="10.0.1.6"),
    "ns-gateway": MULTICAST / IPv6(**ND) / ICMPv6ND_NS(tgt="fd00:1::1") / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
    "ns-dad": MULTICAST / IPv6(**{**ND, "src": "::"}) / ICMPv6ND_NS(tgt="fd00:1::6"),
    "rs": MULTICAST / IPv6(**ND) / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
    "mld": MULTICAST / IPv6(**ND) / ICMPv6MLReport2(),
    "discover": dhcp("discover"),
    "request": dhcp("request", requested_addr="10.0.1.5", server_id="10.0.1.1"),
    "renew": dhcp("request", "10.0.1.5"),
    "nak": dhcp("request", requested_addr="10.0.1.9", server_id="10.0.1.1"),
    "inform": dhcp("inform", "10.0.1.5"),
    "solicit": dhcp6(DHCP6_Solicit(trid=1)) / IA / DHCP6OptIA_PD(iaid=2),
    "solicit-rapid": dhcp6(DHCP6_Solicit(trid=1)) / DHCP6OptRapidCommit() / IA,
    "request6": dhcp6(DHCP6_Request(trid=1)) / DHCP6OptServerId(duid=SERVER) / IA,
    "rebind6": dhcp6(DHCP6_Rebind(trid=1)) / IA,
    "confirm6": dhcp6(DHCP6_Confirm(trid=1)) / IA,
    "information6": dhcp6(DHCP6_InfoRequest(trid=1)),
    "echo": ETHER / IP(src="10.0.1.5", dst="10.0.1.1") / ICMP(id=7) / Raw(b"x" * 300),
    "echo6": ETHER / IPv6(src="fd00:1::5", dst="fd00:1::1") / ICMPv6EchoRequest(id=7, data=b"x" * 32),
    "udp-refused": ETHER / IP(src="10.0.1.5", dst="169.254.169.254") / UDP(sport=4000, dport=99) / Raw(b"x"),
    "tcp-refused": ETHER / IP(src="10.0.1.5", dst="169.254.169.253") / TCP(sport=4000, dport=99, flags="S"),
    "dns-a": dns("web.internal", "A"),
    "dns-aaaa-edns": dns("web.internal", "AAAA", ar=DNSRROPT()),
    "dns-ptr": dns("5.1.0.10.in-addr.arpa", "PTR"),
    "dns-ptr6": dns("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", "PTR"),
    "dns-outside": dns("debian.org", "A"),
    "syn": http("S"),
    "get": http("PA", b"GET /latest/meta-data/mac HTTP/1.1\r\nHost: x\r\n\r\n"),
    "fin": http("FA"),
}

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "responder")
for name, frame in FRAMES.items():
    with open(os.path.join(folder, name), "wb") as f:
        f.write(bytes([4]) + bytes(frame))
