#!/usr/bin/python3
"""Seeds for packet: scapy's frames (test/unit/vpc/golden/packets.py), each in one way that its kind can come and go: whole or with a
tail, as GSO with a partial checksum, into a sink that takes it or has it cut.

usage: seeds_packet.py FOLDER
"""
import os
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "unit", "vpc", "golden"))
from packets import golden  # noqa: E402

NEEDS_CSUM, CSUM_VALID, HONEST = 1, 2, 0x10
TCP4, TCP6, UDP = 1 << 2, 2 << 2, 3 << 2
VXLAN, GENEVE6 = 1 << 5, 2 << 5
SINK_CSUM, ROOM_ANY, LARGEST = 1, 0xf0, 164  # 200 + 8 * 164: an Ethernet frame
GSO = {"tso4": (TCP4, 1001, 34, 16), "tso6": (TCP6, 1200, 54, 16), "uso4": (UDP, 300, 34, 6)}


def seed(flags, head, part, sink, largest, frame, gso=(0, 0, 0)):
    return struct.pack(">BBBBBHHB", flags, head, part, sink, largest, *gso) + frame


def seeds():
    for number, (name, frame) in enumerate(golden()):
        frame = bytes(frame)
        if "segments" in name or "fragments" in name or "nat" in name or "_ce" in name:
            continue
        if name in GSO:
            kind, *gso = GSO[name]
            for tunnel, sink in ((0, ROOM_ANY), (VXLAN, ROOM_ANY | SINK_CSUM), (GENEVE6, 0x20), (0, ROOM_ANY | 15)):
                yield f"{name}-{tunnel}-{sink}", seed(NEEDS_CSUM | HONEST | kind | tunnel, 255, 250, sink, LARGEST, frame, gso)
            yield f"{name}-partial", seed(NEEDS_CSUM | HONEST, 200, 99, ROOM_ANY, 255, frame[:14 + 1400], (0, *gso[1:]))
            continue
        yield name, seed((VXLAN, GENEVE6, 0)[number % 3], 200, 77, ROOM_ANY, 4 if "big" in name else LARGEST, frame)


def main():
    for name, data in seeds():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(data)


main()
