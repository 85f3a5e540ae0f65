#!/usr/bin/python3
"""Seeds for pipeline: short conversations through each of its ways.

usage: seeds_pipeline.py FOLDER
"""
import os
import struct
import sys

from scapy.all import ARP, Ether, ICMP, ICMPv6EchoRequest, IP, IPv6, TCP, UDP, Raw, fragment

GUEST, GUEST_MENDED, WIRE, WIRE_MENDED, OVERLAY, TIME, POLICY, TRACE = range(8)
A, B, C, P = range(4)
IPS = {A: "10.0.1.10", B: "10.0.1.11", C: "10.0.2.12", P: "10.0.3.13"}
NO_OFFLOADS = bytes(8)


def record(what, which, data, size=None):
    return struct.pack("<BH", what | which << 3, len(data) if size is None else size) + data


def guest(which, packet, offloads=NO_OFFLOADS):
    return record(GUEST_MENDED, which, offloads + bytes(Ether(dst="0e:00:00:00:00:01") / packet))


def wire(which, packet):
    return record(WIRE_MENDED, which, bytes(Ether() / packet))


def overlay(which, packet):
    return record(OVERLAY, which, bytes(Ether() / packet))


def time(ms):
    return record(TIME, 0, b"", ms)


def policy(which):
    return record(POLICY, which, b"")


def trace(which, text):
    return record(TRACE, which, text.encode())


OUT = "203.0.113.7"
SYN = TCP(sport=5, dport=80, flags="S", seq=1)
TSO = struct.pack("<BBHHH", 1, 1, 1400, 34, 16)

SEEDS = {
    "handshake": guest(A, IP(src=IPS[A], dst=IPS[B]) / SYN) +
    guest(B, IP(src=IPS[B], dst=IPS[A]) / TCP(sport=80, dport=5, flags="SA", seq=9, ack=2)) +
    guest(A, IP(src=IPS[A], dst=IPS[B]) / TCP(sport=5, dport=80, flags="A", seq=2, ack=10) / Raw(b"hello")) +
    guest(B, IP(src=IPS[B], dst=IPS[A]) / TCP(sport=80, dport=5, flags="R", seq=10)) + time(1500),
    "tso": guest(A, IP(src=IPS[A], dst=IPS[B]) / SYN) +
    guest(B, IP(src=IPS[B], dst=IPS[A]) / TCP(sport=80, dport=5, flags="SA", seq=9, ack=2)) +
    guest(A, IP(src=IPS[A], dst=IPS[B], flags="DF") / TCP(sport=5, dport=80, flags="A", seq=2, ack=10) / Raw(bytes(5000)), TSO),
    "overlay": guest(A, IP(src=IPS[A], dst="10.0.1.20") / UDP(sport=1, dport=2)) +
    overlay(A, IP(src="10.0.1.20", dst=IPS[A]) / UDP(sport=2, dport=1)) +
    overlay(A, IP(src="10.0.1.20", dst=IPS[A], flags="DF") / UDP(sport=2, dport=1) / Raw(bytes(1430))),
    "nat": guest(P, IP(src=IPS[P], dst=OUT) / UDP(sport=1, dport=53) / Raw(b"?")) +
    wire(2, IP(src=OUT) / ICMP(type=3, code=3) / IP(src="198.51.100.5", dst=OUT) / UDP(sport=1024, dport=53)) +
    guest(P, IP(src=IPS[P], dst=OUT) / ICMP(id=3)) + guest(P, IP(src=IPS[P], dst=OUT, ttl=1) / ICMP(id=4)) +
    overlay(3, IP(src="10.0.1.20", dst=OUT) / UDP(sport=9, dport=9)),
    "elastic": wire(0, IP(src=OUT) / SYN) + guest(A, IP(src=IPS[A], dst=OUT) / TCP(sport=80, dport=5, flags="SA", ack=2)) +
    policy(3) + wire(0, IP(src=OUT) / TCP(sport=5, dport=80, flags="A", seq=2, ack=1)) + policy(0),
    "round": guest(A, IP(src=IPS[A], dst="198.51.100.11") / SYN) + guest(P, IP(src=IPS[P], dst="198.51.100.11") / SYN),
    "fragments": b"".join(guest(P, f) for f in fragment(IP(src=IPS[P], dst=OUT, id=7) / UDP(sport=1, dport=2) / Raw(bytes(2000)), 800)),
    "policy": guest(C, IP(src=IPS[C], dst=IPS[A]) / UDP(sport=1, dport=2)) + policy(1) +
    guest(C, IP(src=IPS[C], dst=IPS[A]) / UDP(sport=1, dport=2)) + policy(2) +
    guest(A, IP(src=IPS[A], dst=IPS[C]) / UDP(sport=2, dport=1)) + policy(0),
    "errors": guest(A, IP(src=IPS[A], dst=OUT) / UDP(sport=1, dport=2)) +
    wire(0, IP(src="203.0.113.1") / ICMP(type=11) / IP(src="198.51.100.10", dst=OUT) / UDP(sport=1, dport=2)) +
    guest(A, IP(src=IPS[A], dst=OUT) / ICMP(type=3, code=1) / IP(src=OUT, dst=IPS[A]) / UDP(sport=2, dport=1)),
    "card": record(GUEST, A, NO_OFFLOADS + bytes(Ether(src="02:00:00:00:00:0a", dst="ff:ff:ff:ff:ff:ff") /
                                                 ARP(hwsrc="02:00:00:00:00:0a", psrc=IPS[A], pdst="10.0.1.1"))) +
    record(WIRE, 0, bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.9", pdst="192.0.2.1"))) +
    wire(3, IP(src=OUT) / ICMP()) +
    record(GUEST_MENDED, A, NO_OFFLOADS + bytes(Ether() / IPv6(src="fd00:1::1:10", dst="fd00:1::1:11") / ICMPv6EchoRequest())),
    "trace": trace(A, "tcp 10.0.1.20:80 syn") + trace(P, "udp 203.0.113.7:53 size 9000 df") + trace(B, "icmp fd00:1::1:10") +
    trace(C, "tcp [fd00::5]:443 ack from 10.0.0.4:4000"),
}

for name, data in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
